"""Publishes figures of closed days and halves of months, with noise by which nobody can tell whether one visitor was there.

Differential privacy (Dwork, McSherry, Nissim & Smith 2006) by the discrete Laplace mechanism of OpenDP. What is protected is one visitor on
one day. The noise of a figure is drawn once and kept: asking again gives the same, so that it cannot be averaged away.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from ..settings import FEWEST_PUBLIC
from ..store import statistics_queries as queries
from ..store.base import Store
from ..store.statistics_queries import OTHER
from .rollup import NUMBER, OPEN, PURGED, days_of_month, month_of

EPSILON: Final = 1.0
"""How much all published figures together may tell of one visitor's day (the privacy budget)."""
DELTA: Final = 1e-6
"""The chance that a value shows itself in a table of half a month though only one visitor had it."""
BY_HALF: Final = ("country", "device", "browser", "os")
"""Tables of half a month: dimensions of which each visitor has one value, so that a visitor changes one figure by one. Halves, since a
month's first days are purged before it is over, by default; and with them what few had in common."""
DAILY: Final = "visitors"
_SHARES: Final = len(BY_HALF) + 1
Noise = Callable[[float], Callable[[int], int]]


class Published(NamedTuple):
    """One figure that is public."""

    first: int
    """The day, or the first day of half a month."""
    dimension: str
    value: str
    visitors: int


def laplace(scale: float) -> Callable[[int], int]:
    """Return what adds discrete Laplace noise of a scale.

    Raises:
        ImportError: if OpenDP is not installed (extra `publish`).
    """
    from opendp import prelude as dp

    dp.enable_features("contrib")
    mechanism: Any = dp.m.make_laplace(dp.atom_domain(T=int), dp.absolute_distance(T=int), scale=scale)
    return lambda number: int(mechanism(number))


def publish_due(store: Store, *, today: int, noise: Noise = laplace) -> int:
    """Publish every closed day and half month that is not published yet; returns how many figures are new."""
    days = store.rows(queries.DAYS_TO_PUBLISH)
    halves = halves_to_publish(store, today)
    if not (days or halves):
        return 0
    add = noise(_SHARES / EPSILON)
    with store.transaction():
        added = sum(_publish(store, row["day"], DAILY, {"": add(row["visitors"])}, least=FEWEST_PUBLIC) for row in days)
        return added + sum(_publish_half(store, first, last, add) for first, last in halves)


def halves_to_publish(store: Store, today: int) -> list[tuple[int, int]]:
    """Return the halves of months that are over, of which all days are closed, and that are not published, as (first, last day)."""
    done = {row["first"] for row in store.rows(queries.PUBLISHED_HALVES)}
    states: dict[tuple[int, int], set[int]] = {}
    for row in store.rows(queries.DAYS, first=0, last=today):
        states.setdefault(half_of(row["day"]), set()).add(row["state"])
    return sorted(half for half, found in states.items() if half[0] not in done and half[1] < today - 1 and OPEN not in found)


def half_of(day: int) -> tuple[int, int]:
    """Return the first and last day of the half of a month (1 to 15, 16 to the end) that a day is in."""
    first, last = days_of_month(month_of(day))
    return (first, first + 14) if day < first + 15 else (first + 15, last)


def _publish_half(store: Store, first: int, last: int, add: Callable[[int], int]) -> int:
    """Publish the tables of half a month; none if days of it are purged, since then not all that was counted is known any more."""
    store.execute(queries.ADD_PUBLISHED, day=first, dimension="half", value="", figure="done", amount=first)
    if any(row["state"] == PURGED for row in store.rows(queries.DAYS, first=first, last=last)):
        return 0
    least = max(FEWEST_PUBLIC, math.ceil(1 + _SHARES / EPSILON * math.log(1 / (2 * DELTA))))
    added = 0
    for dimension in BY_HALF:
        found = store.rows(queries.VISITORS_BY_VALUE, dimension=NUMBER[dimension], first=first, last=last, other=OTHER)
        added += _publish(store, first, dimension, {row["value"]: add(row["visitors"]) for row in found}, least=least)
    return added


def _publish(store: Store, day: int, dimension: str, noisy: dict[str, int], *, least: int) -> int:
    """Keep figures; one that is too small is kept as 0, so that it is not drawn again."""
    for value, amount in noisy.items():
        is_shown = amount >= least
        if is_shown or dimension == DAILY:
            store.execute(
                queries.ADD_PUBLISHED, day=day, dimension=dimension, value=value, figure="visitors", amount=amount if is_shown else 0
            )
    return sum(amount >= least for amount in noisy.values())


def published(store: Store) -> list[Published]:
    """Return everything that is public, the oldest first."""
    return [Published(row["day"], row["dimension"], row["value"], row["amount"]) for row in store.rows(queries.PUBLISHED)]
