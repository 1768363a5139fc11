"""Publishes figures of closed days and months, with noise by which nobody can tell whether one visitor was there.

Differential privacy (Dwork, McSherry, Nissim & Smith 2006) by the discrete Laplace mechanism of OpenDP. What is protected is one visitor on
one day. The noise of a figure is drawn once and kept: asking again gives the same, so that it cannot be averaged away.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from ..settings import FEWEST_PUBLIC
from ..store import statistics_queries as queries
from ..store.sqlite import SQLiteStore
from ..store.statistics_queries import OTHER
from .rollup import NUMBER, PURGED, days_of_month

EPSILON: Final = 1.0
"""How much all published figures together may tell of one visitor's day (the privacy budget)."""
DELTA: Final = 1e-6
"""The chance that a value shows itself in a table of a month though only one visitor had it."""
BY_MONTH: Final = ("country", "device", "browser", "os")
"""Tables of a month: dimensions of which each visitor has one value, so that a visitor changes one figure by one."""
DAILY: Final = "visitors"
_SHARES: Final = len(BY_MONTH) + 1
Noise = Callable[[float], Callable[[int], int]]


class Published(NamedTuple):
    """One figure that is public."""

    first: int
    """The day, or the first day of the month."""
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


def publish_due(store: SQLiteStore, *, fewest: int, noise: Noise = laplace) -> int:
    """Publish every closed day and month that is not published yet; returns how many figures are new."""
    days = store.rows(queries.DAYS_TO_PUBLISH)
    months = store.rows(queries.MONTHS_TO_PUBLISH)
    if not (days or months):
        return 0
    added = 0
    add = noise(_SHARES / EPSILON)
    with store.transaction():
        for row in days:
            added += _publish(store, row["day"], DAILY, {"": add(row["visitors"])}, least=FEWEST_PUBLIC)
        for row in months:
            added += _publish_month(store, row["month"], fewest=fewest, noise=noise)
    return added


def _publish_month(store: SQLiteStore, month: int, *, fewest: int, noise: Noise) -> int:
    first, last = days_of_month(month)
    # Where values of few visitors were put together before the month was over, one visitor more can move as many as that.
    was_purged = any(row["state"] == PURGED for row in store.rows(queries.DAYS, first=first, last=last))
    scale = (fewest if was_purged else 1) * _SHARES / EPSILON
    add = noise(scale)
    least = max(FEWEST_PUBLIC, math.ceil(1 + scale * math.log(1 / (2 * DELTA))))
    added = 0
    for dimension in BY_MONTH:
        found = store.rows(queries.MONTH_VISITORS, dimension=NUMBER[dimension], first=first, last=last, other=OTHER)
        added += _publish(store, first, dimension, {row["value"]: add(row["visitors"]) for row in found}, least=least)
    store.execute(queries.ADD_PUBLISHED, day=first, dimension="month", value="", figure="done", amount=month)
    return added


def _publish(store: SQLiteStore, day: int, dimension: str, noisy: dict[str, int], *, least: int) -> int:
    """Keep figures; one that is too small is kept as 0, so that it is not drawn again."""
    for value, amount in noisy.items():
        is_shown = amount >= least
        if is_shown or dimension == DAILY:
            store.execute(
                queries.ADD_PUBLISHED, day=day, dimension=dimension, value=value, figure="visitors", amount=amount if is_shown else 0
            )
    return sum(amount >= least for amount in noisy.values())


def published(store: SQLiteStore) -> list[Published]:
    """Return everything that is public, the oldest first."""
    return [Published(row["day"], row["dimension"], row["value"], row["amount"]) for row in store.rows(queries.PUBLISHED)]
