"""How long people waited for an answer: from counters, so that it stays when the questions are gone."""

from __future__ import annotations

from typing import Final, NamedTuple

from ..language import N_
from ..store import queries
from ..store.base import Store

COUNTED: Final = "answer.within."
WITHIN_HOURS: Final = (4, 24, 72, 168)
"""Steps by which they are counted; what takes longer is counted under `longer`."""
NAMES: Final = {
    "4": N_("within four hours"),
    "24": N_("within a day"),
    "72": N_("within three days"),
    "168": N_("within a week"),
    "longer": N_("later"),
}
PERIOD_DAYS: Final = 365


class ResponseTimes(NamedTuple):
    """Of the answers of a year: how many came within which time, and within which the half of them did."""

    steps: dict[str, int]
    total: int
    half: str
    """One of `NAMES`; "" without answers."""


def step_of(hours: int) -> str:
    """Return the step under which an answer is counted that took so many hours."""
    return next((str(most) for most in WITHIN_HOURS if hours < most), "longer")


def response_times(store: Store, *, today: int) -> ResponseTimes:
    """Return how long answers took within the last year; `today` is the owner's day."""
    counted = store.rows(queries.COUNTS, first=today - PERIOD_DAYS, last=today, step=1)
    amounts = {row["name"].removeprefix(COUNTED): int(row["amount"]) for row in counted if row["name"].startswith(COUNTED)}
    steps = {name: amounts.get(name, 0) for name in NAMES}
    total, seen, half = sum(steps.values()), 0, ""
    for name, amount in steps.items():
        seen += amount
        if not half and total and 2 * seen >= total:
            half = name
    return ResponseTimes(steps, total, half)
