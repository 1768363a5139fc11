"""Disclosure control under attack: whoever may see every report, of every period and with every filter, finds no single visitor."""

import itertools
import random
from collections.abc import Iterator
from datetime import UTC, date
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy_middleware.collect.agent import Agent
from privacy_middleware.collect.hit import Hit
from privacy_middleware.collect.source import DIRECT, Source
from privacy_middleware.collect.visitor import day_number
from privacy_middleware.statistics import bookkeeper, reports
from privacy_middleware.statistics.disclosure_control import are_too_few, held, told
from privacy_middleware.statistics.filters import FILTERS, Filters, Only
from privacy_middleware.statistics.live import right_now
from privacy_middleware.statistics.reports import DIMENSIONS, Row
from privacy_middleware.statistics.rollup import APART, Terms, days_of_month, month_of, sample
from privacy_middleware.store.base import Store
from privacy_middleware.store.statistics_queries import OTHER

from .databases import make_store

FEWEST = 3
TERMS = Terms(UTC, FEWEST)
MONDAY = day_number(date(2026, 5, 4))
DAYS = 21
LAST = MONDAY + DAYS - 1
NOW = (LAST + 3) * 86_400_000
CANARIES = ("/canary", "canary.example/", "utm_source=canary", "CY", "Canary")


@pytest.fixture
def store() -> Iterator[Store]:
    store = make_store()
    store.open()
    yield store
    store.close()


def crowd(seed: int, *, most: int) -> list[Hit]:
    """Some visitors a day, from none to `most`, who differ in everything."""
    draw = random.Random(seed)
    return [
        one
        for day in range(MONDAY, LAST + 1)
        for visitor in range(draw.randrange(most + 1))
        for one in visit(
            draw, day, 1000 * day + visitor,
            pages=[draw.choice(["/", "/a", "/b", "/c", "/d"]) for _ in range(draw.randrange(1, 4))],
            source=draw.choice([DIRECT, DIRECT, Source("search", "google.com/"), Source("social", "t.co/"), Source("referral", f"r{draw.randrange(9)}.example/")]),
            campaign=draw.choice(["", "", "ref=x"]),
            agent=Agent(draw.choice(["Firefox", "Chrome", "Chrome", "Safari"]), draw.choice(["Linux", "Windows"]), draw.choice(["desktop", "mobile"]), ""),
            country=draw.choice(["DK", "DK", "DE", "SE"]),
        )
    ]  # fmt: skip


def visit(
    draw: random.Random, day: int, visitor: int, *, pages: list[str], source: Source, campaign: str, agent: Agent, country: str
) -> list[Hit]:
    start = day * 86_400_000 + draw.randrange(80_000_000)
    return [
        Hit(
            day,
            start + 1000 * n,
            visitor,
            None,
            0,
            page,
            "",
            0,
            200,
            source if n == 0 else DIRECT,
            campaign,
            agent,
            "da",
            country,
            100,
            0,
            1,
        )
        for n, page in enumerate(pages)
    ]


def planted(day: int) -> list[Hit]:
    """One visitor who is like nobody else, and looks at many pages."""
    return visit(
        random.Random(1), day, 7, pages=["/canary", "/", "/a"] * 3, source=Source("referral", "canary.example/"), campaign="utm_source=canary",
        agent=Agent("Canary", "Canary", "tablet", ""), country="CY",
    )  # fmt: skip


def fill(store: Store, hits: list[Hit], *, close: bool = True) -> None:
    with store.transaction():
        store.add_hits(hits)
    bookkeeper.count_all(store, TERMS, now=NOW if close else LAST * 86_400_000 + 86_000_000, retention_days=3660)


def everything(store: Store, first: int, last: int) -> dict[str, list[Row]]:
    found = {by: reports.rows(store, by, first=first, last=last, fewest=FEWEST) for by in DIMENSIONS}
    return found | {"total": [reports.totals(store, first=first, last=last, fewest=FEWEST)]}


def periods() -> list[tuple[int, int]]:
    return [(first, last) for first in range(MONDAY, LAST + 1) for last in range(first, LAST + 1)]


def is_safe(number: int) -> bool:
    return not 0 < number < FEWEST


# --- the rule itself -------------------------------------------------------------------------------------------------------

numbers = st.dictionaries(st.text("abcdef", min_size=1, max_size=2), st.integers(1, 20), max_size=12)


@given(numbers, st.integers(1, 6), st.integers(0, 8))
@settings(deadline=None, max_examples=300)
def test_nothing_shown_is_too_few_and_what_is_not_shown_is_not_either(visitors: dict[str, int], fewest: int, rest: int) -> None:
    hidden = held(visitors, fewest=fewest, overlap=0, rest=rest)
    shown = {value: number for value, number in visitors.items() if value not in hidden}
    assert all(number >= fewest for number in shown.values())
    together = sum(visitors[value] for value in hidden) + rest
    assert together == 0 or together >= fewest or not shown


@given(numbers, st.integers(1, 6))
@settings(deadline=None, max_examples=300)
def test_where_a_visitor_may_have_several_values_the_sum_is_not_trusted(visitors: dict[str, int], fewest: int) -> None:
    hidden = held(visitors, fewest=fewest, overlap=None)
    assert not hidden or max(visitors[value] for value in hidden) >= fewest or len(hidden) == len(visitors)


@given(numbers)
@settings(deadline=None, max_examples=100)
def test_no_more_is_held_than_it_takes(visitors: dict[str, int]) -> None:
    few = {value for value, number in visitors.items() if number < FEWEST}
    assert len(held(visitors, fewest=FEWEST, overlap=0) - few) <= 1


def test_with_one_as_the_number_all_is_shown() -> None:
    assert held({"a": 1, "b": 2}, fewest=1, overlap=0) == set()


def test_what_was_put_together_may_be_of_one_visitor_with_many_values() -> None:
    assert are_too_few([1], fewest=FEWEST, overlap=50, rest=50)
    assert not are_too_few([1], fewest=FEWEST, overlap=0, rest=2)
    assert held({"/": 10, "/a": 1}, fewest=FEWEST, overlap=250, rest=250) == {"/", "/a"}


@pytest.mark.parametrize(
    ("cells", "together", "values"),
    [
        ([], [], set()),
        ([(1, "a"), (1, "b"), (2, "a"), (2, "b")], [], set()),
        ([(1, "a"), (1, "b"), (2, "a"), (2, "c")], ["b", "c"], set()),
        ([(1, "a"), (1, "b"), (2, "a"), (2, "b"), (3, "c"), (3, "b")], [], {"c", "b"}),  # the month would show c, which is day 3's
        ([(1, "a"), (1, "b"), (2, "a"), (2, "b"), (3, "c"), (3, "b")], ["c"], {"b"}),  # the sum of what stays together is day 3's
        ([(1, "a"), (1, "b"), (2, "a"), (2, "b"), (3, "c"), (3, "b")], ["b", "c"], set()),
        ([(1, OTHER), (2, OTHER)], [OTHER], set()),
    ],
)
def test_a_month_holds_back_what_would_tell_of_one_day(cells: list[tuple[int, str]], together: list[str], values: set[str]) -> None:
    assert told(cells, together) == values


@given(st.sets(st.tuples(st.integers(1, 6), st.sampled_from("abcdef")), max_size=18), st.sets(st.sampled_from("abcdef"), max_size=3))
@settings(deadline=None, max_examples=300)
def test_a_cell_is_told_if_days_and_values_fall_apart_without_it(drawn: set[tuple[int, str]], together: set[str]) -> None:
    cells = sorted(drawn)
    edges = [(day, OTHER if value in together else value) for day, value in cells]
    lone = {day for day, _ in edges if sum(one == day for one, _ in edges) == 1}
    expected: set[str] = set()
    for number, (day, column) in enumerate(edges):
        met: set[int | str] = {day}
        for _ in edges:
            met |= {end for n, edge in enumerate(edges) if n != number and met & set(edge) for end in edge}
        if column not in met and day not in lone:
            expected |= {column} if column != OTHER else {other for one, other in edges if one == day and other != OTHER}
    assert told(cells, together) == expected


# --- the attack ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [2, 6, 20])
@pytest.mark.parametrize("seed", [1, 2])
def test_no_report_of_any_period_shows_too_few(store: Store, seed: int, most: int) -> None:
    fill(store, crowd(seed, most=most) + planted(MONDAY + 9))
    for first, last in periods():
        for by, rows in everything(store, first, last).items():
            assert [row for row in rows if not row.is_other and not is_safe(row.visitors)] == [], (by, first, last)


@pytest.mark.parametrize("most", [2, 6, 20])
def test_nothing_of_a_single_visitor_is_in_any_report(store: Store, most: int) -> None:
    fill(store, crowd(3, most=most) + planted(MONDAY + 9))
    filters = Filters(TERMS)
    shown = [row.value for first, last in periods() for rows in everything(store, first, last).values() for row in rows]
    for dimension, value in [("country", "CY"), ("browser", "Canary"), ("page", "/canary"), ("source", "referral canary.example/")]:
        found = filters.figures(store, Only(dimension, value), first=MONDAY, last=LAST)
        assert found is not None
        assert (found.total.visitors, found.weeks) == (0, [])
        assert not any(found.panels.values())
    for by in FILTERS:
        for row in reports.rows(store, by, first=MONDAY, last=LAST, fewest=FEWEST):
            found = filters.figures(store, Only(by, reports.stored_value(by, row.value)), first=MONDAY, last=LAST)
            shown += [one.value for rows in found.panels.values() for one in rows] if found else []
    assert not [value for value in shown if any(canary in value for canary in CANARIES)]


@pytest.mark.parametrize("most", [2, 6, 20])
def test_the_difference_of_any_two_periods_tells_of_nobody_or_of_enough(store: Store, most: int) -> None:
    fill(store, crowd(4, most=most) + planted(MONDAY + 9))
    found = {period: everything(store, *period) for period in periods()}
    for by in found[MONDAY, LAST]:
        for one, other in itertools.combinations(found, 2):
            inner = one[0] >= other[0] and one[1] <= other[1]
            if not inner and not (other[0] >= one[0] and other[1] <= one[1]):
                continue
            rows = [{row.value: row.visitors for row in found[period][by] if not row.is_other} for period in (one, other)]
            for value in set(rows[0]) | set(rows[1]):
                assert is_safe(abs(rows[0].get(value, 0) - rows[1].get(value, 0))), (by, value, one, other)


@pytest.mark.parametrize("most", [2, 6, 20])
def test_the_total_less_all_that_is_shown_tells_of_nobody_or_of_enough(store: Store, most: int) -> None:
    fill(store, crowd(5, most=most) + planted(MONDAY + 9))
    for first, last in periods():
        total = reports.totals(store, first=first, last=last, fewest=FEWEST).visitors
        for by in APART - {"total", "bot"}:
            shown = sum(row.visitors for row in reports.rows(store, by, first=first, last=last, fewest=FEWEST) if not row.is_other)
            assert is_safe(total - shown), (by, first, last)


def test_a_kind_of_source_tells_nothing_of_a_source_that_is_not_shown(store: Store) -> None:
    fill(store, crowd(6, most=20) + planted(MONDAY + 9))
    for first, last in periods():
        sources = {
            row.value: row.visitors for row in reports.rows(store, "source", first=first, last=last, fewest=FEWEST) if not row.is_other
        }
        for row in reports.rows(store, "medium", first=first, last=last, fewest=FEWEST):
            if not row.is_other:
                assert row.visitors == sum(number for value, number in sources.items() if value.partition(" ")[0] == row.value)


def test_a_month_tells_no_more_of_few_than_its_days(store: Store) -> None:
    draw = random.Random(7)
    first, last = days_of_month(month_of(MONDAY))
    agent = Agent("Firefox", "Linux", "desktop", "")
    hits = [
        one
        for day in range(first, last + 1)
        for visitor in range(draw.randrange(8))
        for one in visit(
            draw, day, visitor, pages=[f"/{draw.randrange(40)}"], source=DIRECT, campaign="", agent=agent, country=draw.choice("ABCDEFGH")
        )
    ]
    with store.transaction():
        store.add_hits(hits)
    bookkeeper.count_all(store, TERMS, now=(last + 5) * 86_400_000, retention_days=3660)
    for by in ("page", "country", "total"):
        month = {row.value: row.visitors for row in reports.panel(store, by, first=first, last=last, fewest=FEWEST)}
        days: dict[str, int] = {}
        for day in range(first, last + 1):
            for row in reports.panel(store, by, first=day, last=day, fewest=FEWEST):
                days[row.value] = days.get(row.value, 0) + row.visitors
        assert by != "page" or any(value not in days for value in month)
        for value, number in month.items():
            if value != OTHER:
                assert is_safe(number), value
                assert is_safe(number - days.get(value, 0)), value


def test_two_looks_at_a_day_that_goes_on_do_not_tell_of_a_visitor_between_them(store: Store) -> None:
    """Between them one visitor comes: no figure changes by that one, and most do not change at all."""
    draw = random.Random(8)
    agent = Agent("Firefox", "Linux", "desktop", "")
    before: dict[str, list[Row]] = {}
    for visitor in range(30):
        fill(store, visit(draw, LAST, visitor, pages=["/", "/a", "/b"], source=DIRECT, campaign="", agent=agent, country="DK"), close=False)
        now = everything(store, LAST, LAST)
        for by, rows in now.items():
            for row in rows:
                assert all(getattr(row, name) % FEWEST == 0 for name in ("visitors", "visits", "page_views", "hits")), by
                old = next((one.visitors for one in before.get(by, ()) if one.value == row.value), 0)
                assert row.visitors - old in (0, FEWEST)
        before = now


def test_two_looks_at_a_day_that_goes_on_do_not_follow_the_steps_of_one_visitor(store: Store) -> None:
    """Twelve pages more, by somebody new or not, change nothing until enough others have come; closed, the day is exact."""
    agent = Agent("Firefox", "Linux", "desktop", "")

    def come(*visitors: int, pages: int = 2) -> None:
        hits = [
            one
            for visitor in visitors
            for one in visit(
                random.Random(visitor), LAST, visitor, pages=["/"] * pages, source=DIRECT, campaign="", agent=agent, country="DK"
            )
        ]
        fill(store, hits, close=False)

    come(*range(1, 8))
    before = everything(store, LAST, LAST)
    for visitor in (3, 50, 51):  # one who was there, and two who are new
        come(visitor, pages=12)
        assert everything(store, LAST, LAST) == before
    come(52)
    now = everything(store, LAST, LAST)
    assert (now["total"][0].visitors, now["total"][0].page_views) == (9, 51)
    bookkeeper.count_all(store, TERMS, now=NOW, retention_days=3660)
    assert (everything(store, LAST, LAST)["total"][0].visitors, everything(store, LAST, LAST)["total"][0].page_views) == (10, 52)


def test_right_now_shows_no_single_visitor(store: Store) -> None:
    now = LAST * 86_400_000 + 43_200_000
    agent = Agent("Firefox", "Linux", "desktop", "")
    for visitor in range(8):
        page = "/canary" if visitor == 4 else "/"
        hit = Hit(LAST, now - 1000, visitor + 1, None, 0, page, "", 0, 200, DIRECT, "", agent, "da", "DK", 1, 0, 1)
        with store.transaction():
            store.add_hits([hit])
        found = right_now(store, now=now, zone=UTC, fewest=FEWEST)
        assert found.visitors % FEWEST == found.page_views % FEWEST == 0
        assert "/canary" not in dict(found.pages)
    assert right_now(store, now=now + 3_600_000, zone=UTC, fewest=FEWEST).visitors == 0


# --- filters ---------------------------------------------------------------------------------------------------------------


def test_a_filter_and_all_that_it_leaves_out_do_not_tell_together_of_one_visitor(store: Store) -> None:
    """Filtered figures are multiples of the number, so that what is missing from the whole can be none as well as a few."""
    fill(store, crowd(9, most=20) + planted(MONDAY + 9))
    filters = Filters(TERMS)
    for by in FILTERS:
        for row in reports.rows(store, by, first=MONDAY, last=LAST, fewest=FEWEST):
            if row.is_other:
                continue
            found = filters.figures(store, Only(by, reports.stored_value(by, row.value)), first=MONDAY, last=LAST)
            assert found is not None
            for rows in (*found.panels.values(), found.weeks, [found.total]):
                for one in rows:
                    assert all(getattr(one, name) % FEWEST == 0 for name in ("visitors", "visits", "page_views", "hits", "bounces"))


def test_filters_look_at_whole_weeks_that_are_over_only(store: Store) -> None:
    fill(store, crowd(10, most=20))
    filters = Filters(TERMS)
    for first, last in periods():
        found = filters.figures(store, Only("country", "DK"), first=first, last=last)
        weeks = [monday for monday in range(MONDAY, LAST, 7) if first <= monday and monday + 6 <= last]
        assert (found is None) == (not weeks)
        if found:
            assert (found.first, found.last) == (weeks[0], weeks[-1] + 6)


def test_two_filtered_periods_differ_by_whole_weeks(store: Store) -> None:
    fill(store, crowd(11, most=20))
    filters = Filters(TERMS)
    whole = filters.figures(store, Only("browser", "Firefox"), first=MONDAY, last=LAST)
    parts = [filters.figures(store, Only("browser", "Firefox"), first=monday, last=monday + 6) for monday in range(MONDAY, LAST, 7)]
    assert whole is not None
    for name in ("visitors", "visits", "page_views", "hits"):
        assert getattr(whole.total, name) == sum(getattr(part.total, name) for part in parts if part)


def test_what_a_filter_shows_is_about_what_the_visits_have(store: Store) -> None:
    """Nine in ten visitors are counted, and the figures scaled; tests/test_rollup.py compares them exactly, where nothing is held back."""
    draw = random.Random(12)
    agent = Agent("Firefox", "Linux", "desktop", "")
    hits = [
        one
        for n in range(3000)
        for one in visit(
            draw, MONDAY + n % 7, draw.getrandbits(62), pages=["/"], source=DIRECT, campaign="", agent=agent, country="DSNF"[n % 4]
        )
    ]
    fill(store, hits + crowd(12, most=3))
    found = Filters(TERMS).figures(store, Only("browser", "Firefox"), first=MONDAY, last=MONDAY + 6)
    assert found is not None
    assert found.total.visitors == pytest.approx(3000, rel=0.03)
    for row in found.panels["country"]:
        if row.value in "DSNF":
            assert row.visitors == pytest.approx(750, rel=0.07)


def test_each_filter_leaves_other_visitors_out_and_the_same_filter_always_the_same(store: Store) -> None:
    fill(store, crowd(12, most=20))
    one = Filters(TERMS).figures(store, Only("browser", "Firefox"), first=MONDAY, last=LAST)
    assert Filters(TERMS).figures(store, Only("browser", "Firefox"), first=MONDAY, last=LAST) == one
    samples = {tuple(sample("page", f"/{n}").values()) for n in range(50)}
    assert len(samples) == 50
    for n in range(50):
        terms = sample("page", f"/{n}")
        left_out = sum(
            (visitor % 1000003 * terms["mix"] + terms["shift"]) // 1009 % terms["of"] == 0 for visitor in range(10**12, 10**12 + 10_000)
        )
        assert 800 < left_out < 1200


def test_a_week_that_an_import_adds_to_is_filtered_anew(store: Store) -> None:
    fill(store, crowd(13, most=20))
    filters = Filters(TERMS)
    before = filters.figures(store, Only("country", "DK"), first=MONDAY, last=MONDAY + 6)
    agent = Agent("Firefox", "Linux", "desktop", "")
    more = [visit(random.Random(n), MONDAY, -n, pages=["/"], source=DIRECT, campaign="", agent=agent, country="DK") for n in range(1, 31)]
    fill(store, list(itertools.chain.from_iterable(more)))
    after = filters.figures(store, Only("country", "DK"), first=MONDAY, last=MONDAY + 6)
    assert before is not None
    assert after is not None
    assert 20 <= after.total.visitors - before.total.visitors <= 39


def test_of_purged_weeks_there_is_no_filter(store: Store) -> None:
    fill(store, crowd(14, most=20))
    list(store.purge(before=MONDAY + 8))
    found = Filters(TERMS).figures(store, Only("country", "DK"), first=MONDAY, last=LAST)
    assert found is not None
    assert found.first == MONDAY + 14


# --- what is put together, and what is not even that -----------------------------------------------------------------------


def one_each(day: int, values: dict[str, int], *, start: int = 0) -> list[Hit]:
    """On a day, so many visitors from each country, each with one page."""
    agent = Agent("Firefox", "Linux", "desktop", "")
    visitors = itertools.count(1000 * start + 1)
    return [
        one
        for country, number in values.items()
        for _ in range(number)
        for one in visit(random.Random(1), day, next(visitors), pages=["/"], source=DIRECT, campaign="", agent=agent, country=country)
    ]


def shown(store: Store, by: str, first: int, last: int) -> dict[str, int]:
    return {row.value: row.visitors or row.hits for row in reports.rows(store, by, first=first, last=last, fewest=FEWEST)}


@pytest.mark.parametrize("most", [1, 2, 6, 20])
@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_put_together_is_enough_as_well_in_any_period(store: Store, seed: int, most: int) -> None:
    fill(store, crowd(seed, most=most) + planted(MONDAY + 9))
    found = {period: everything(store, *period) for period in periods()}
    others = {
        by: {period: sum(row.visitors or row.hits for row in rows[by] if row.is_other) for period, rows in found.items()}
        for by in found[MONDAY, LAST]
    }
    for by, amounts in others.items():
        assert all(map(is_safe, amounts.values())), by
        for (first, last), amount in amounts.items():
            if first < last:
                assert is_safe(amount - amounts[first + 1, last]), (by, first, last)
                assert is_safe(amount - amounts[first, last - 1]), (by, first, last)


def test_of_a_visitor_who_was_alone_on_a_day_nothing_is_shown_until_a_month_has_enough_of_such(store: Store) -> None:
    first, last = days_of_month(month_of(MONDAY))
    fill(store, planted(MONDAY) + one_each(MONDAY + 1, {"DK": 9}))
    assert not any(row.hits for rows in everything(store, MONDAY, MONDAY).values() for row in rows)
    assert shown(store, "country", MONDAY, MONDAY + 1) == {"DK": 9}
    bookkeeper.count_all(store, TERMS, now=(last + 5) * 86_400_000, retention_days=3660)
    assert shown(store, "country", first, last) == {"DK": 9}
    with store.transaction():
        store.add_hits([one for n in range(3) for one in one_each(MONDAY + 10 + n, {"SE": 1})])
    bookkeeper.count_all(store, TERMS, now=(last + 5) * 86_400_000, retention_days=3660)
    assert shown(store, "country", first, last) == {"DK": 9, OTHER: 4}


def test_a_month_does_not_tell_what_one_day_held_back_beside_a_single_visitor(store: Store) -> None:
    """If it showed Denmark's visitors of that one day, what is left of the others of the day would be the single visitor."""
    first, last = days_of_month(month_of(MONDAY))
    days = [one for day in range(first, last + 1) if day != MONDAY for one in one_each(day, {"DK": 20, "SE": 30})]
    fill(store, days + one_each(MONDAY, {"CY": 1, "DK": 5, "SE": 30}))
    bookkeeper.count_all(store, TERMS, now=(last + 5) * 86_400_000, retention_days=3660)
    assert shown(store, "country", MONDAY, MONDAY) == {"SE": 30, OTHER: 6}
    month = shown(store, "country", first, last)
    assert month["DK"] == 20 * (last - first)
    assert month[OTHER] == 6


@pytest.mark.parametrize("seed", range(4))
def test_what_a_month_adds_to_its_days_was_held_on_several(store: Store, seed: int) -> None:
    draw = random.Random(seed)
    first, last = days_of_month(month_of(MONDAY))
    drawn = [{country: draw.choice([0, 0, 1, 2, 3, 5, 9]) for country in ("DK", "SE", "NO", "DE", "CY")} for _ in range(first, last + 1)]
    with store.transaction():
        store.add_hits([one for n, values in enumerate(drawn) for one in one_each(first + n, values)])
    bookkeeper.count_all(store, TERMS, now=(last + 5) * 86_400_000, retention_days=3660)
    month = shown(store, "country", first, last)
    by_day = [shown(store, "country", day, day) for day in range(first, last + 1)]
    for country in ("DK", "SE", "NO", "DE", "CY"):
        added = month.get(country, 0) - sum(day.get(country, 0) for day in by_day)
        hidden = [values[country] for values, day in zip(drawn, by_day, strict=True) if values[country] and country not in day]
        assert added == 0 or (added >= FEWEST and len(hidden) >= FEWEST)
    assert is_safe(month.get(OTHER, 0))
    assert sum(month.values()) <= sum(map(sum, (values.values() for values in drawn)))


def test_what_not_even_all_together_are_enough_for_is_purged_with_its_day_and_stays_unshown(store: Store) -> None:
    fill(store, planted(MONDAY) + one_each(MONDAY + 1, {"DK": 9, "CY": 1}))
    list(store.purge(before=MONDAY + 2))
    assert shown(store, "country", MONDAY, MONDAY) == {}
    assert shown(store, "country", MONDAY + 1, MONDAY + 1) == {OTHER: 10}
    values = {row["value"] for row in store.rows("SELECT value FROM rollup WHERE dimension = 6")}
    assert values == {OTHER}


@pytest.mark.parametrize("seed", [1, 2, 3, 9, 53, 99, 144])
def test_no_arithmetic_with_a_month_and_its_days_tells_a_number_that_a_day_holds_back(store: Store, seed: int) -> None:
    """The attacker writes down an equation for the others of each day and for each value of the month, and solves them."""
    draw = random.Random(seed)
    first, last = days_of_month(month_of(MONDAY))
    amounts = draw.choice([[0, 0, 1, 2, 5, 9], [3, 5, 9, 9, 9, 9, 9, 9, 9, 1], [0, 0, 0, 1], [*[9] * 20, 1, 2, 3]])
    drawn = [{country: draw.choice(amounts) for country in ("DK", "SE", "NO", "DE", "CY")} for _ in range(first, last + 1)]
    with store.transaction():
        store.add_hits([one for n, values in enumerate(drawn) for one in one_each(first + n, values)])
    bookkeeper.count_all(store, TERMS, now=(last + 5) * 86_400_000, retention_days=3660)
    month = shown(store, "country", first, last)
    by_day = [shown(store, "country", day, day) for day in range(first, last + 1)]
    cells = [(n, country) for n, day in enumerate(by_day) for country in drawn[0] if country not in day]
    equations = [[Fraction(cell[0] == n) for cell in cells] + [Fraction(day[OTHER])] for n, day in enumerate(by_day) if OTHER in day]
    equations += [[Fraction(cell[0] == n) for cell in cells] + [Fraction(0)] for n, day in enumerate(by_day) if not any(drawn[n].values())]
    for country in drawn[0]:
        added = month.get(country, 0) - sum(day.get(country, 0) for day in by_day)
        if added:
            equations.append([Fraction(cell[1] == country) for cell in cells] + [Fraction(added)])
    for row in solved(equations, len(cells)):
        [*factors, result] = row
        if sum(map(bool, factors)) == 1:
            assert not 0 < result < FEWEST, cells[next(number for number, factor in enumerate(factors) if factor)]


def solved(equations: list[list[Fraction]], unknown: int) -> list[list[Fraction]]:
    """Gauss and Jordan."""
    done = 0
    for column in range(unknown):
        found = next((n for n in range(done, len(equations)) if equations[n][column]), None)
        if found is None:
            continue
        equations[done], equations[found] = equations[found], equations[done]
        pivot = [number / equations[done][column] for number in equations[done]]
        equations = [
            [a - row[column] * b for a, b in zip(row, pivot, strict=True)] if row[column] and n != done else row
            for n, row in enumerate(equations)
        ]
        equations[done] = pivot
        done += 1
    return equations[:done]
