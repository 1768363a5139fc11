"""Filters: whole weeks that are over, counted from single visits, as a sample; nothing in them tells of one visitor."""

import random
import threading
from collections.abc import Iterator
from datetime import UTC, date
from typing import Any

import pytest

from privacy_middleware.collect.agent import Agent
from privacy_middleware.collect.hit import Hit
from privacy_middleware.collect.source import DIRECT
from privacy_middleware.collect.visitor import day_number
from privacy_middleware.errors import StoreError
from privacy_middleware.statistics import bookkeeper, reports, rollup
from privacy_middleware.statistics.filters import FILTERS, Filtered, Filters, Only, weeks_within
from privacy_middleware.statistics.rollup import DIMENSIONS, Terms
from privacy_middleware.store.base import Store

from .databases import make_store

FEWEST = 3
TERMS = Terms(UTC, FEWEST)
ALL = Terms(UTC, 1)
MONDAY = day_number(date(2026, 5, 4))
COUNTRIES, BROWSERS, DEVICES = ("DK", "SE", "NO", "DE"), ("Firefox", "Chrome", "Safari"), ("desktop", "mobile")
FIREFOX = Only("browser", "Firefox")


@pytest.fixture
def store() -> Iterator[Store]:
    store = make_store()
    store.open()
    yield store
    store.close()


def visit(draw: random.Random, day: int, *pages: str, **facts: Any) -> list[Hit]:
    """One visitor like others, under a pseudonym as random as real ones."""
    visitor = draw.getrandbits(64) - 2**63
    agent = Agent(facts.get("browser") or draw.choice(BROWSERS), "Linux", facts.get("device") or draw.choice(DEVICES), "")
    country = facts.get("country") or draw.choice(COUNTRIES)
    start = day * 86_400_000 + draw.randrange(80_000_000)
    return [
        Hit(day, start + n, visitor, None, 0, page, "", 0, 200, DIRECT, "", agent, "da", country, sent=100, aborted=0, duration=1)
        for n, page in enumerate(pages)
    ]


def crowd(seed: int, *, days: int = 8, visitors: int = 40) -> list[Hit]:
    draw = random.Random(seed)
    return [one for day in range(MONDAY, MONDAY + days) for _ in range(visitors) for one in visit(draw, day, "/", "/a")]


def fill(store: Store, hits: list[Hit], terms: Terms = TERMS) -> None:
    with store.transaction():
        store.add_hits(hits)
    bookkeeper.count_all(store, terms, now=(MONDAY + 60) * 86_400_000, retention_days=3660)


def week(store: Store, only: Only = FIREFOX, *, filters: Filters | None = None) -> Filtered:
    found = (filters or Filters(TERMS)).figures(store, only, first=MONDAY, last=MONDAY + 6)
    assert found is not None
    return found


# --- an attack -------------------------------------------------------------------------------------------------------------


def test_who_alone_did_not_see_a_page_is_not_described_by_the_filter_of_those_who_did(store: Store) -> None:
    """The exact figures tell that one visitor of the week did not see "/". What "/" lacks in each panel would be what this visitor has."""
    right, told = 0, 0
    for seed in range(12):
        draw = random.Random(seed)
        store.execute("DELETE FROM hit")
        for table in ("day", "rollup", "month", "monthly"):
            store.execute(f"DELETE FROM {table}")
        planted = {"country": draw.choice(COUNTRIES), "browser": draw.choice(BROWSERS), "device": draw.choice(DEVICES)}
        fill(store, crowd(seed) + visit(draw, MONDAY + 2, *["/a"] * 5, **planted))
        span: dict[str, int] = {"first": MONDAY, "last": MONDAY + 6, "fewest": FEWEST}
        total = reports.totals(store, **span)
        assert total.visitors - next(row.visitors for row in reports.rows(store, "page", **span) if row.value == "/") == 1
        found = week(store, Only("page", "/"))
        assert (total.page_views - found.total.page_views, total.sent - found.total.sent) != (5, 500)
        for by, truth in planted.items():
            exact = {row.value: row.visitors for row in reports.rows(store, by, **span)}
            filtered = {row.value: row.visitors for row in found.panels[by]}
            lacking = [value for value, number in exact.items() if filtered.get(value, 0) < number - number % FEWEST]
            if len(lacking) == 1:  # the attacker takes it for what the visitor has
                told += 1
                right += lacking == [truth]
    assert right < 0.7 * max(told, 1) or told < 6


def test_two_filters_that_differ_by_one_visitor_do_not_differ_by_what_this_visitor_has(store: Store) -> None:
    draw = random.Random(5)
    fill(store, crowd(5) + visit(draw, MONDAY + 2, *["/a"] * 50, country="NO", browser="Safari"))
    one, other = week(store, Only("page", "/")), week(store, Only("page", "/a"))
    assert other.total.page_views - one.total.page_views not in range(48, 53)


# --- what is counted -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hits_a_part", [10, 10**6])
def test_in_however_many_parts_a_day_is_counted_the_same_visitors_are_left_out(
    store: Store, monkeypatch: pytest.MonkeyPatch, hits_a_part: int
) -> None:
    fill(store, crowd(1, visitors=15))
    whole = week(store)
    monkeypatch.setattr(rollup, "HITS_A_PART", hits_a_part)
    assert week(store) == whole


def test_with_one_as_the_number_a_filter_leaves_nobody_out(store: Store) -> None:
    hits = crowd(2)
    fill(store, hits, ALL)
    found = week(store, filters=Filters(ALL))
    mine = [one for one in hits if one.agent.browser == "Firefox" and one.day < MONDAY + 7]
    assert found.total.visitors == len({one.visitor for one in mine})
    assert {row.value: row.visitors for row in found.panels["country"]} == {
        country: len({one.visitor for one in mine if one.country == country}) for country in COUNTRIES
    }
    assert found.total.sent == sum(one.sent for one in mine)


def test_the_weeks_add_up_to_the_whole(store: Store) -> None:
    fill(store, crowd(3, days=29))
    found = Filters(TERMS).figures(store, FIREFOX, first=MONDAY, last=MONDAY + 28)
    assert found is not None
    assert [row.value for row in found.weeks] == ["2026-05-04", "2026-05-11", "2026-05-18", "2026-05-25"]
    assert sum(row.visitors for row in found.weeks) == found.total.visitors
    assert (found.first, found.last) == (MONDAY, MONDAY + 27)


@pytest.mark.parametrize("by", FILTERS)
@pytest.mark.parametrize("value", ["", "nothing", "\x01", "' OR 1 --", "%", "0", "é", "\0", "x" * 2000])
def test_a_value_that_no_visit_has_shows_nothing_and_breaks_nothing(store: Store, by: str, value: str) -> None:
    fill(store, crowd(4, visitors=4))
    found = week(store, Only(by, value))
    if not found.total.visitors:
        assert (found.weeks, [rows for rows in found.panels.values() if rows]) == ([], [])
    else:
        assert (by, value) in {("hour", "0"), ("kind", "0"), ("site", ""), ("os", ""), ("campaign", "")}


def test_every_filter_is_a_dimension_that_is_counted() -> None:
    assert set(FILTERS) - {"medium"} <= set(DIMENSIONS)


# --- which weeks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "last", "weeks"),
    [
        (0, 6, [0]),
        (0, 5, []),
        (1, 7, []),
        (-3, 13, [0, 7]),
        (1, 20, [7, 14]),
        (0, 27, [0, 7, 14]),  # the last one is not over
    ],
)
def test_only_whole_weeks_within_a_period_that_are_over_are_looked_at(store: Store, first: int, last: int, weeks: list[int]) -> None:
    fill(store, crowd(6, days=22, visitors=3))
    assert weeks_within(store, MONDAY + first, MONDAY + last) == [MONDAY + week for week in weeks]


def test_a_week_with_a_purged_day_is_none_any_more(store: Store) -> None:
    fill(store, crowd(7, days=15, visitors=3))
    list(store.purge(before=MONDAY + 1))
    assert weeks_within(store, MONDAY, MONDAY + 14) == [MONDAY + 7]
    assert Filters(TERMS).figures(store, FIREFOX, first=MONDAY, last=MONDAY + 6) is None


def test_the_week_in_which_the_first_visits_came_counts_though_it_began_without_any(store: Store) -> None:
    fill(store, [one for one in crowd(8) if one.day >= MONDAY + 4])
    assert weeks_within(store, MONDAY, MONDAY + 6) == [MONDAY]


def test_without_visits_there_is_no_week(store: Store) -> None:
    assert Filters(TERMS).figures(store, FIREFOX, first=MONDAY, last=MONDAY + 60) is None


# --- in memory -------------------------------------------------------------------------------------------------------------


def test_a_week_is_counted_once_for_a_filter_and_again_when_something_came_to_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store, crowd(9))
    filters, counted = Filters(TERMS), []
    real = rollup.count_day
    monkeypatch.setattr("privacy_middleware.statistics.filters.count_day", lambda *a, **k: counted.append(a[1]) or real(*a, **k))
    before = week(store, filters=filters)
    assert week(store, filters=filters) == before
    assert counted == list(range(MONDAY, MONDAY + 7))
    fill(store, [one for seed in range(40) for one in visit(random.Random(seed), MONDAY + 1, "/", browser="Firefox")])
    assert week(store, filters=filters).total.visitors > before.total.visitors
    assert len(counted) == 14


@pytest.mark.sqlite
def test_a_count_that_was_broken_off_is_begun_again_by_the_next_who_asks(store: Store) -> None:
    fill(store, crowd(10))
    filters = Filters(TERMS)
    store.connection.set_progress_handler(lambda: 1, 100)
    with pytest.raises(StoreError, match="INTERRUPT"):
        week(store, filters=filters)
    store.connection.set_progress_handler(None, 0)
    assert week(store, filters=filters) == week(store)


def test_several_who_ask_at_once_see_the_same(store: Store) -> None:
    fill(store, crowd(11))
    filters, expected = Filters(TERMS), [week(store, Only("country", country)) for country in COUNTRIES]
    found: dict[int, Filtered] = {}

    def look(number: int) -> None:
        own = make_store()
        own.open_to_read()
        with own.snapshot():
            found[number] = week(own, Only("country", COUNTRIES[number % 4]), filters=filters)
        own.close()

    threads = [threading.Thread(target=look, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [found[number] for number in range(8)] == expected * 2
