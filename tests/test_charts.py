"""Charts: shapes that stay within their frame, scales that do not lie, and a map that knows its countries."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy_middleware.language import english
from privacy_middleware.site.charts import HEIGHT, SHADES, WIDEST, WIDTH, chart, shades, short, world

amounts = st.integers(0, 10**12)
points = st.lists(st.tuples(st.text(max_size=10), amounts, amounts), max_size=120)


@given(points)
def test_every_shape_stays_within_its_frame(given_points: list[tuple[str, int, int]]) -> None:
    drawn = chart(english(), given_points)
    assert len(drawn.columns) == len(given_points)
    for column in drawn.columns:
        assert 0 <= column.x <= column.x + column.width <= WIDTH + 0.2
        assert 0 <= column.y <= HEIGHT
        assert column.y + column.height == pytest.approx(HEIGHT, abs=0.11)
        assert column.width <= WIDEST
    corners = [tuple(map(float, corner.split(","))) for corner in drawn.line.split()]
    assert len(corners) == len(given_points)
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in corners)
    assert len(drawn.marks) <= 7


@given(points)
def test_a_column_is_as_high_as_its_amount(given_points: list[tuple[str, int, int]]) -> None:
    drawn = chart(english(), given_points)
    for column in drawn.columns:
        assert column.height == pytest.approx(HEIGHT * column.amount / drawn.top, abs=0.06)


@given(points)
def test_columns_do_not_touch_and_stand_in_order(given_points: list[tuple[str, int, int]]) -> None:
    columns = chart(english(), given_points).columns
    assert [column.label for column in columns] == [label for label, *_ in given_points]
    for one, following in pairwise(columns):
        assert one.x + one.width < following.x + 0.15


@given(amounts)
def test_the_scale_reaches_just_above_the_most_and_its_half_is_a_whole_number(most: int) -> None:
    top = chart(english(), [("x", most, 0)]).top
    assert max(1, most) <= top <= max(2, 2 * most)
    assert top % 2 == 0
    assert len(str(top).rstrip("0")) == 1


@pytest.mark.parametrize(
    ("most", "top"),
    [(0, 2), (1, 2), (2, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 20), (29, 30), (31, 40), (61, 80), (81, 100), (999, 1000)],
)
def test_the_scale_ends_with_a_number_that_reads_well(most: int, top: int) -> None:
    assert chart(english(), [("x", 0, most)]).top == top


def test_without_points_there_is_an_empty_chart() -> None:
    assert chart(english(), [])[0] == []
    assert chart(english(), []).line == ""


@pytest.mark.parametrize(
    ("label", "text"),
    [("2026-05-04", "4 May"), ("2026-05", "May 2026"), ("2026-13", "2026-13"), ("x", "x"), ("", ""), ("1234567", "1234567")],
)
def test_labels_below_are_short(label: str, text: str) -> None:
    assert short(english(), label) == text


def test_the_map_has_an_outline_for_every_code_and_a_name_for_every_outline() -> None:
    found = world()
    assert all(re.fullmatch("[A-Z]{2}", code) for code in found.shapes)
    assert set(found.shapes) <= set(found.names)
    assert all(re.fullmatch(r"[MLZHVmlhvz\d., -]+", path) for path in found.shapes.values())
    assert found.names["DK"] == "Denmark"


@given(st.dictionaries(st.text(min_size=2, max_size=2), amounts, max_size=20))
def test_the_darkest_country_is_the_one_with_the_most(of: dict[str, int]) -> None:
    found = shades(of)
    assert set(found) == {code for code, amount in of.items() if amount}
    assert all(1 <= shade <= SHADES for shade in found.values())
    if found:
        assert found[max(of, key=lambda code: of[code])] == SHADES
        ordered = [found[code] for code in sorted(found, key=lambda code: of[code])]
        assert ordered == sorted(ordered)
