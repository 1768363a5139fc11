"""Counts the last half hour, from single hits; rounded down to multiples of the fewest visitors shown."""

from __future__ import annotations

from datetime import tzinfo
from typing import Final, NamedTuple

from ..collect.visitor import day_of
from ..store import statistics_queries as queries
from ..store.base import Store

MINUTES: Final = 30
MOST_PAGES: Final = 10


class Now(NamedTuple):
    """Who is here now, as numbers."""

    visitors: int
    page_views: int
    pages: list[tuple[str, int]]
    """The pages with the most visitors."""


def right_now(store: Store, *, now: int, zone: tzinfo, fewest: int) -> Now:
    """Return the figures of the half hour before `now` (epoch milliseconds)."""
    since = now - MINUTES * 60_000
    bound = {"day": day_of(since, zone), "since": since}
    total = store.rows(queries.NOW, **bound)[0]
    if total["visitors"] < fewest:
        return Now(0, 0, [])
    pages = [(row["value"], _rounded(row["visitors"], fewest)) for row in store.rows(queries.NOW_PAGES, **bound)]
    shown = sorted((page for page in pages if page[1]), key=lambda page: (-page[1], page[0]))
    return Now(_rounded(total["visitors"], fewest), _rounded(total["page_views"], fewest), shown[:MOST_PAGES])


def _rounded(number: int, fewest: int) -> int:
    return int(number - number % fewest)
