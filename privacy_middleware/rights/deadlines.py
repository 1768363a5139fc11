"""By when a data request must be answered, by the law that the owner names.

Sources: GDPR art. 12(3) (one month, two more with notice inside the first) with Regulation (EEC) 1182/71 art. 3 on periods; the UK
GDPR alike (ICO, "Right of access"); California's 11 CCR 7021 (receipt confirmed within 10 business days, answered within 45 days, 45
more with notice). Public holidays are left out: then a deadline is early, never late.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date, datetime, timedelta, tzinfo
from typing import Final

from ..collect.visitor import day_number, day_start
from ..settings import Deadlines

REMIND_DAYS: Final = (7, 1)
"""How many days before a deadline the owner is reminded."""


def due(profile: Deadlines, received: int, *, zone: tzinfo, extended: bool = False) -> int:
    """Return the last instant (epoch milliseconds) to answer a request that came at an instant.

    The day on which it came does not count; so a month ends on the day of the same number, or the last one of a shorter month.
    """
    day = datetime.fromtimestamp(received / 1000, zone).date()
    if profile == "ccpa":
        return end_of(day + timedelta(days=90 if extended else 45), zone)
    return end_of(_working_day(add_months(day, 3 if extended else 1)), zone)


def confirm_by(profile: Deadlines, received: int, *, zone: tzinfo) -> int:
    """Return the last instant by which its receipt must be confirmed: the tenth business day under the CCPA, else no sooner than `due`."""
    if profile != "ccpa":
        return due(profile, received, zone=zone)
    day = datetime.fromtimestamp(received / 1000, zone).date()
    for _ in range(10):
        day = _working_day(day + timedelta(days=1))
    return end_of(day, zone)


def end_of(day: date, zone: tzinfo) -> int:
    """Return the last millisecond of an owner's day."""
    return day_start(day_number(day) + 1, zone) - 1


def add_months(day: date, months: int) -> date:
    """Return the day of the same number some months later, or the last one of a shorter month."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _working_day(day: date) -> date:
    """A period that would end on a weekend ends on the next working day (Regulation 1182/71, art. 3(4))."""
    return day + timedelta(days=max(0, 7 - day.weekday()) if day.weekday() > 4 else 0)
