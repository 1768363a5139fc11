"""Public figures: closed days and months only, none too small, each with noise that is drawn once and never again."""

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from privacy_middleware import PrivacyMiddleware
from privacy_middleware.collect.agent import Agent
from privacy_middleware.collect.hit import Hit
from privacy_middleware.collect.source import DIRECT
from privacy_middleware.collect.visitor import day_number
from privacy_middleware.errors import SettingsError
from privacy_middleware.settings import FEWEST_PUBLIC
from privacy_middleware.statistics import bookkeeper, publish
from privacy_middleware.statistics.publish import BY_HALF, DELTA, EPSILON, half_of, halves_to_publish, laplace, publish_due, published
from privacy_middleware.statistics.rollup import Terms, days_of_month
from privacy_middleware.store.base import Store

from .conftest import query
from .databases import make_store

MONTH = 12 * 2026 + 4
FIRST, LAST = days_of_month(MONTH)
TERMS = Terms(UTC, 3)


@pytest.fixture
def store() -> Iterator[Store]:
    store = make_store()
    store.open()
    yield store
    store.close()


def visit(store: Store, day: int, visitors: int, *, country: str = "DK", browser: str = "Firefox", start: int = 0) -> None:
    agent = Agent(browser, "Linux", "desktop", "")
    hits = [
        Hit(day, day * 86_400_000 + n, n, None, 0, "/", "", 0, 200, DIRECT, "", agent, "da", country, sent=1, aborted=0, duration=1)
        for n in range(start + 1, start + visitors + 1)
    ]
    with store.transaction():
        store.add_hits(hits)


def close(store: Store) -> None:
    for day in bookkeeper.days_to_close(store, today=2**20, kept=0):
        bookkeeper.close_day(store, day, TERMS, now=0)
    bookkeeper.close_months(store, TERMS, today=2**20)


def silent(scale: float) -> Callable[[int], int]:
    """No noise, so that what is published can be counted."""
    assert scale >= len((*BY_HALF, "visitors")) / EPSILON
    return lambda number: number


def found(store: Store) -> dict[tuple[int, str, str], int]:
    return {(one.first, one.dimension, one.value): one.visitors for one in published(store)}


def test_a_day_that_goes_on_is_not_public(store: Store) -> None:
    visit(store, FIRST, 50)
    bookkeeper.count_open_days(store, TERMS, now=FIRST * 86_400_000 + 1000)
    assert publish_due(store, today=2**20, noise=silent) == 0
    assert published(store) == []


def test_a_closed_day_is_public_by_its_visitors_only(store: Store) -> None:
    visit(store, FIRST, 50)
    bookkeeper.close_day(store, FIRST, TERMS, now=0)
    publish_due(store, today=2**20, noise=silent)
    assert found(store) == {(FIRST, "visitors", ""): 50}


@pytest.mark.parametrize(("visitors", "shown"), [(FEWEST_PUBLIC - 1, []), (FEWEST_PUBLIC, [FEWEST_PUBLIC])])
def test_no_figure_below_ten_is_public(store: Store, visitors: int, shown: list[int]) -> None:
    visit(store, FIRST, visitors)
    close(store)
    publish_due(store, today=2**20, noise=silent)
    assert [one.visitors for one in published(store)] == shown


def test_half_a_month_is_public_by_what_is_common_enough_that_nobody_shows_by_being_there(store: Store) -> None:
    for day in range(FIRST, LAST + 1):
        visit(store, day, 30)
        visit(store, day, 1, country="SE", browser="Rare", start=1000)
    close(store)
    publish_due(store, today=2**20, noise=silent)
    least = math.ceil(1 + 5 / EPSILON * math.log(1 / (2 * DELTA)))
    assert least > 16
    halves = {key: amount for key, amount in found(store).items() if key[1] != "visitors"}
    assert halves[(FIRST, "country", "DK")] == 450
    assert halves[(FIRST + 15, "country", "DK")] == 30 * (LAST - FIRST - 14)
    assert halves[(FIRST, "browser", "Firefox")] == 450
    assert not {("country", "SE"), ("browser", "Rare")} & {key[1:] for key in halves}


def test_half_a_month_that_goes_on_is_not_public(store: Store) -> None:
    for day in range(FIRST, FIRST + 15):
        visit(store, day, 30)
    close(store)
    for today in (FIRST + 14, FIRST + 15):
        assert halves_to_publish(store, today) == []
    assert halves_to_publish(store, FIRST + 16) == [(FIRST, FIRST + 14)]


@pytest.mark.parametrize("month", range(12 * 2023, 12 * 2025))
def test_halves_of_months_follow_one_another(month: int) -> None:
    first, last = days_of_month(month)
    assert half_of(first) == (first, first + 14) == half_of(first + 14)
    assert half_of(first + 15) == (first + 15, last) == half_of(last)


def test_of_half_a_month_that_is_purged_in_part_there_are_no_tables(store: Store) -> None:
    """What few had in common was put together then: whether one visitor came could change that by many."""
    for day in range(FIRST, LAST + 1):
        visit(store, day, 30)
    close(store)
    list(store.purge(before=FIRST + 3))
    publish_due(store, today=2**20, noise=silent)
    assert {key[0] for key in found(store) if key[1] == "country"} == {FIRST + 15}
    assert len([key for key in found(store) if key[1] == "visitors"]) == LAST - FIRST + 1


def test_a_day_of_few_counts_the_same_before_and_after_it_is_purged(store: Store) -> None:
    numbers = []
    for visitors in (2, 3):
        visit(store, FIRST + visitors, visitors)
    close(store)
    list(store.purge(before=LAST))

    def noting(_: float) -> Callable[[int], int]:
        return lambda number: numbers.append(number) or number

    publish_due(store, today=2**20, noise=noting)
    assert numbers == [2, 3]


def test_noise_is_drawn_once_and_kept(store: Store) -> None:
    visit(store, FIRST, 50)
    close(store)
    publish_due(store, today=2**20)
    before = query("SELECT * FROM published")
    for _ in range(5):
        assert publish_due(store, today=2**20) == 0
    visit(store, FIRST, 20, start=500)  # an import
    close(store)
    publish_due(store, today=2**20)
    assert query("SELECT * FROM published") == before


def test_a_figure_that_is_too_small_is_not_drawn_again_until_it_is_large_enough(store: Store) -> None:
    visit(store, FIRST, 2)
    close(store)
    publish_due(store, today=2**20, noise=silent)
    assert publish_due(store, today=2**20, noise=lambda _: lambda number: number + 100) == 0
    assert published(store) == []


def test_the_noise_is_discrete_laplace_of_the_scale_that_the_budget_asks_for() -> None:
    """Of the variance 2·s², and as often up as down (Inusah & Kozubowski 2006)."""
    scale = 5.0
    add = laplace(scale)
    drawn = [add(0) for _ in range(4000)]
    variance = sum(number * number for number in drawn) / len(drawn)
    expected = 2 * math.exp(-1 / scale) / (1 - math.exp(-1 / scale)) ** 2
    assert 0.8 * expected < variance < 1.25 * expected
    assert abs(sum(drawn) / len(drawn)) < 0.7
    assert max(Counter(drawn), key=Counter(drawn).__getitem__) in range(-3, 4)


# --- the page --------------------------------------------------------------------------------------------------------------


def site(**settings: Any) -> TestClient:
    return TestClient(PrivacyMiddleware(Starlette(), policy="\n", secret_keys="0" * 40, **settings))


def test_without_the_setting_there_is_no_such_page() -> None:
    client = site()
    for path in ("figures", "figures.csv", "figures.json", "figures.schema.json"):
        assert client.get(f"/privacy/{path}").status_code == 404


def test_page_csv_and_json_say_the_same(store: Store) -> None:
    for day in range(FIRST, LAST + 1):
        visit(store, day, 30)
    close(store)
    publish_due(store, today=2**20)
    client = site(publish=True, publish_licence="CC0-1.0")
    document = client.get("/privacy/figures.json").json()
    rows = list(csv.DictReader(io.StringIO(client.get("/privacy/figures.csv").text)))
    assert [{**row, "visitors": str(row["visitors"])} for row in document["rows"]] == rows
    assert {row["from"] for row in document["rows"] if row["period"] == "half-month"} == {"2026-05-01", "2026-05-16"}
    page = client.get("/privacy/figures").text
    assert "Denmark" in page
    assert "CC0-1.0" in page
    assert document["licence"] == "CC0-1.0"
    for row in document["rows"]:
        if row["dimension"] == "visitors":
            assert f"{row['from']}: {row['visitors']}" in page


def test_the_json_keeps_to_its_schema(store: Store) -> None:
    visit(store, FIRST, 300)
    close(store)
    publish_due(store, today=2**20)
    client = site(publish=True)
    schema, document = client.get("/privacy/figures.schema.json").json(), client.get("/privacy/figures.json").json()
    assert set(schema["required"]) <= set(document)
    assert document["rows"]
    for row in document["rows"]:
        item = schema["properties"]["rows"]["items"]
        assert set(row) == set(item["required"]) == set(item["properties"])
        assert row["period"] in item["properties"]["period"]["enum"]
        assert row["dimension"] in item["properties"]["dimension"]["enum"]
        assert date.fromisoformat(row["from"])
        assert row["visitors"] >= FEWEST_PUBLIC
    assert json.dumps(schema)


def test_a_site_without_figures_says_when_there_will_be_some() -> None:
    assert "nothing to show yet" in site(publish=True).get("/privacy/figures").text


def test_the_bookkeeper_publishes_what_it_has_closed() -> None:
    client = site(publish=True)
    with client:
        privacy = client.app.privacy  # type: ignore[attr-defined]
        privacy.recorder.flush()
        writer = make_store()
        writer.open()
        visit(writer, day_number(date(2026, 5, 1)), 500)
        writer.close()
        privacy.bookkeeper.refresh().result(10)
        assert client.get("/privacy/figures.json").json()["rows"]


def test_to_publish_without_the_library_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    import privacy_middleware.privacy as module

    monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=r"privacy-middleware\[publish\]"):
        site(publish=True)


def test_the_statement_says_that_figures_are_public_if_they_are() -> None:
    assert "Anonymous figures are public" in site(publish=True).get("/privacy/").text
    assert "Anonymous figures are public" not in site().get("/privacy/").text


def test_the_budget_is_shared_by_all_tables() -> None:
    assert len(BY_HALF) + 1 == publish._SHARES
