"""Figures of those visits only that share one value: one page, one source, one browser; from single hits, for as long as these are kept.

They are made of whole weeks that are over, of nine in ten visitors, other ones for each filter, and rounded down to multiples of the fewest
visitors shown. So neither another range of weeks nor the same week without the filter, or with other values, tells of a single visitor
(random sample queries: Denning, "Secure statistical databases with random sample queries", ACM TODS 5(3), 1980).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from ..collect.visitor import date_of
from ..store import statistics_queries as queries
from ..store.base import Store
from ..store.statistics_queries import OTHER
from .disclosure_control import rounded
from .reports import Row, by_medium, order, shown_value
from .rollup import CLOSED, SAMPLE_OF, Changed, Measures, Table, Terms, count_day, weight

FILTERS: Final = (
    "page", "entry", "exit", "source", "medium", "campaign", "country", "browser", "os", "device", "language", "download", "site", "status",
    "kind", "hour", "goal",
)  # fmt: skip
WEEK: Final = 7
WEEKS_IN_MEMORY: Final = 64


class Only(NamedTuple):
    """What all visits have in common: a value of a dimension, as it is stored."""

    dimension: str
    value: str


class Filtered(NamedTuple):
    """The figures of some visits, over whole weeks."""

    first: int
    last: int
    total: Row
    weeks: list[Row]
    """Each called by the date on which it begins."""
    panels: dict[str, list[Row]]


class Filters:
    """Counts filtered weeks, and remembers the last of them: a week that is over does not change."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self._week = lru_cache(maxsize=WEEKS_IN_MEMORY)(self._count_week)
        self._store: Store | None = None
        self._counting = threading.Lock()

    def figures(self, store: Store, only: Only, *, first: int, last: int) -> Filtered | None:
        """Return the figures of the whole weeks within a period of which single hits are kept; None if there is no such week."""
        weeks = weeks_within(store, first, last)
        if not weeks:
            return None
        with self._counting:
            self._store = store
            tables = [(week, self._week(only, week, self._state_of(store, week))) for week in weeks]
            self._store = None
        panels: dict[str, list[Row]] = {}
        for dimension in {dimension for _, table in tables for dimension in table}:
            panels[dimension] = self._summed(dimension, [table.get(dimension, {}) for _, table in tables])
        panels["medium"] = by_medium(panels.get("source", ()))
        by_week = [(week, table.get("total", {}).get("")) for week, table in tables]
        shown = [Row(date_of(week).isoformat(), *_as_row(measures)) for week, measures in by_week if measures]
        total = next((row for row in panels.get("total", ()) if not row.is_other), Row("", 0, 0, 0, 0))
        return Filtered(weeks[0], weeks[-1] + WEEK - 1, total, shown, panels)

    @staticmethod
    def _state_of(store: Store, week: int) -> tuple[int, ...]:
        """A week that an import has added to is another one."""
        return tuple(row["last"] for row in store.rows(queries.DAYS, first=week, last=week + WEEK - 1))

    def _count_week(self, only: Only, week: int, _: tuple[int, ...]) -> Table:
        store = self._store
        if store is None:  # called by `figures` only
            raise Changed
        table: Table = {}
        for day in range(week, week + WEEK):
            last = store.rows(queries.DAY_HITS, day=day, after=0)[0]["last"]
            for dimension, rows in count_day(store, day, self.terms, last=last, only=only).items():
                mine = table.setdefault(dimension, {})
                for value, measures in rows.items():
                    mine[value] = [a + b for a, b in zip(mine[value], measures, strict=True)] if value in mine else measures
        return {dimension: _rounded(rows, self.terms.fewest) for dimension, rows in table.items()}

    @staticmethod
    def _summed(dimension: str, tables: Sequence[dict[str, Measures]]) -> list[Row]:
        sums: dict[str, Measures] = {}
        for table in tables:
            for value, measures in table.items():
                sums[value] = [a + b for a, b in zip(sums[value], measures, strict=True)] if value in sums else measures
        return sorted((Row(shown_value(dimension, value), *_as_row(measures)) for value, measures in sums.items()), key=order)


def _as_row(measures: Measures) -> tuple[int, ...]:
    visitors, visits, page_views, bounces, milliseconds, hits, sent, aborted = measures
    return visitors, visits, page_views, hits, bounces, milliseconds, sent, aborted


def _rounded(rows: dict[str, Measures], fewest: int) -> dict[str, Measures]:
    enough = {value: measures for value, measures in rows.items() if weight(measures) >= fewest and value != OTHER}
    scaled = {value: [amount if fewest == 1 else amount * SAMPLE_OF // (SAMPLE_OF - 1) for amount in m] for value, m in enough.items()}
    names = queries.MEASURES
    return {value: [rounded(name, n, fewest=fewest) for name, n in zip(names, m, strict=True)] for value, m in scaled.items()}


def weeks_within(store: Store, first: int, last: int) -> list[int]:
    """Return the Mondays of whole weeks within a period that are over and of which no hit is purged."""
    states = {row["day"]: row["state"] for row in store.rows(queries.DAYS, first=first, last=last)}
    oldest = store.rows(queries.OLDEST_DAY)[0]["day"]
    newest = max((day for day, state in states.items() if state == CLOSED), default=-1)
    if oldest is None:
        return []
    monday = first + -date_of(first).weekday() % WEEK
    weeks = range(monday, last - WEEK + 2, WEEK)
    return [
        week
        for week in weeks
        if week >= oldest - date_of(oldest).weekday()
        and week + WEEK - 1 <= newest
        and all(states.get(day, CLOSED) == CLOSED for day in range(week, week + WEEK))
    ]
