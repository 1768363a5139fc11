"""Figures over a range of the owner's days, from the stored hits.

A visitor is a daily pseudonym, so visitors of several days add up. A visit ends after 30 minutes without a hit and at
midnight. A bounce is a visit of one page view. Bots are left out, but for their own report.
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Any, Final

import msgspec

from ..collect.hit import KINDS
from ..collect.visitor import date_of, day_start
from ..store import queries
from ..store.sqlite import SQLiteStore

DIMENSIONS: Final = (*queries.VISIT_DIMENSIONS, *queries.HIT_DIMENSIONS, "hour")
_IN_ORDER: Final = ("day", "hour")


class Row(msgspec.Struct, frozen=True):
    """One value of a dimension. `hits` are all requests behind it: for downloads, statuses and bots the figure that counts."""

    value: str
    visitors: int
    visits: int
    page_views: int
    hits: int


class Report(msgspec.Struct, frozen=True, rename={"first": "from", "last": "to"}):
    """The figures of a period, whole days from `first` to `last` (ISO dates, the owner's)."""

    first: str
    last: str
    visitors: int
    visits: int
    page_views: int
    downloads: int
    bounce_rate: float
    """Share of visits with exactly one page view, 0 to 1, to four places."""
    visit_seconds: float
    """Mean time from the first to the last hit of a visit, in seconds, to one place."""
    bot_hits: int
    rows: list[Row]


def report(store: SQLiteStore, *, first: int, last: int, zone: tzinfo, by: str | None = None) -> Report:
    """Return the figures of the days `first` to `last` (day numbers, both included), with a row for each value of `by`.

    Raises:
        ValueError: if `by` is not one of `DIMENSIONS`.
    """
    days = {"first": first, "last": last}
    with store.snapshot():
        visits = store.rows(queries.TOTALS, **days)[0]
        hits = store.rows(queries.HIT_TOTALS, **days)[0]
        rows = _rows(store, first=first, last=last, zone=zone, by=by) if by else []
    number = visits["visits"]
    return Report(
        first=date_of(first).isoformat(),
        last=date_of(last).isoformat(),
        visitors=visits["visitors"],
        visits=number,
        bounce_rate=round(visits["bounces"] / number, 4) if number else 0.0,
        visit_seconds=round(visits["milliseconds"] / number / 1000, 1) if number else 0.0,
        rows=rows,
        **hits,
    )


def _rows(store: SQLiteStore, *, first: int, last: int, zone: tzinfo, by: str) -> list[Row]:
    days = {"first": first, "last": last}
    if by in queries.VISIT_DIMENSIONS:
        found = store.rows(queries.by_visit(by), **days)
    elif by == "hour":
        clock = clock_changes(first, last, zone)
        found = store.rows(queries.by_hour(len(clock) // 2), **days, **clock)
    elif by in queries.HIT_DIMENSIONS:
        found = store.rows(queries.by_hit(by), **days)
    else:
        raise ValueError(f"{by!r} is not a dimension; known are {', '.join(DIMENSIONS)}")
    rows = [Row(**{**row, "value": _shown(by, row["value"])}) for row in found]
    if by in _IN_ORDER:
        return sorted(rows, key=lambda row: row.value)
    return sorted(rows, key=lambda row: (-row.visitors, -row.visits, -row.hits, row.value))


def _shown(by: str, value: Any) -> str:
    if by == "day":
        return date_of(value).isoformat()
    if by == "hour":
        return f"{value:02d}"
    if by == "kind":
        return KINDS[value]
    return "" if value is None else str(value)


def clock_changes(first: int, last: int, zone: tzinfo) -> dict[str, int]:
    """Return the offsets from UTC in a period, as `queries.by_hour` binds them: `offset_0`, and `change_n`, `offset_n` (ms)."""
    begin, end = day_start(first, zone), day_start(last + 1, zone)
    values = {"offset_0": _offset(begin, zone)}
    hour = begin
    while hour < end:
        following = min(hour + 86_400_000, end)
        if _offset(following, zone) != _offset(hour, zone):
            instant = _change_between(hour, following, zone)
            number = len(values) // 2 + 1
            values |= {f"change_{number}": instant, f"offset_{number}": _offset(instant, zone)}
        hour = following
    return values


def _change_between(before: int, after: int, zone: tzinfo) -> int:
    """Find the instant at which the offset changes, to the second, by halving."""
    offset = _offset(before, zone)
    while after - before > 1000:
        middle = (before + after) // 2000 * 1000
        before, after = (middle, after) if _offset(middle, zone) == offset else (before, middle)
    return after


def _offset(instant: int, zone: tzinfo) -> int:
    offset = datetime.fromtimestamp(instant / 1000, UTC).astimezone(zone).utcoffset()
    return int(offset.total_seconds()) * 1000 if offset else 0
