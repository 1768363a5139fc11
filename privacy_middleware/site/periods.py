"""Reads from an address which days the owner looks at, and which are compared with them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Final, NamedTuple
from urllib.parse import urlencode

from ..collect.visitor import date_of, day_number
from ..errors import PrivacyError
from ..language import N_, Language

LONGEST_DAYS: Final = 10 * 366
NAMES: Final = {
    "today": N_("Today"),
    "yesterday": N_("Yesterday"),
    "7d": N_("7 days"),
    "30d": N_("30 days"),
    "month": N_("This month"),
    "last-month": N_("Last month"),
    "12m": N_("12 months"),
}
DEFAULT: Final = "30d"


class Faulty(PrivacyError):
    """An address names no period; `text` says it in a language."""

    def __init__(self, message: str, **values: object) -> None:
        super().__init__(message % values)
        self.message = message
        self.values = values

    def text(self, _: Language) -> str:
        """Return the text in a language."""
        return _(self.message, **self.values)


class Period(NamedTuple):
    """Whole days of the owner's, both included."""

    name: str
    """One of `NAMES`, or "" if it was given by its days."""
    first: int
    last: int

    @property
    def begins(self) -> str:
        """Its first day (ISO 8601)."""
        return date_of(self.first).isoformat()

    @property
    def ends(self) -> str:
        """Its last day (ISO 8601)."""
        return date_of(self.last).isoformat()

    @property
    def days(self) -> int:
        """How many days it has."""
        return self.last - self.first + 1

    @property
    def before(self) -> Period:
        """The period of the same length before it."""
        return Period("", self.first - self.days, self.first - 1)

    @property
    def query(self) -> str:
        """How an address names it."""
        return urlencode({"period": self.name} if self.name else {"from": self.begins, "to": self.ends})


def read_period(query: Mapping[str, str], today: int) -> Period:
    """Return the period that an address names.

    Raises:
        Faulty: if it names none; the text says how to write it.
    """
    if query.get("from") or query.get("to"):
        first, last = (_day(query.get(name) or query.get(other, "")) for name, other in (("from", "to"), ("to", "from")))
        if first > last:
            raise Faulty(N_("The first day is after the last. Swap them."))
        if last - first > LONGEST_DAYS:
            raise Faulty(N_("That are more than ten years. Choose fewer days."))
        return Period("", first, last)
    name = query.get("period", DEFAULT)
    if name not in NAMES:
        raise Faulty(N_("There is no such period. Known are %(names)s."), names=", ".join(NAMES))
    return named(name, today)


def named(name: str, today: int) -> Period:
    """Return a period of `NAMES`."""
    on = date_of(today)
    this_month = on.replace(day=1)
    spans = {
        "today": (on, on),
        "yesterday": (on - timedelta(1), on - timedelta(1)),
        "7d": (on - timedelta(6), on),
        "30d": (on - timedelta(29), on),
        "month": (this_month, on),
        "last-month": ((this_month - timedelta(1)).replace(day=1), this_month - timedelta(1)),
        "12m": (date(on.year - (on.month < 12), on.month % 12 + 1, 1), on),
    }
    first, last = spans[name]
    return Period(name, day_number(first), day_number(last))


def span(_: Language, first: int, last: int) -> str:
    """Write a stretch of days as people do."""
    if first == last:
        return _.day(date_of(first))
    return _("%(first)s to %(last)s", first=_.day(date_of(first)), last=_.day(date_of(last)))


def _day(text: str) -> int:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise Faulty(N_("A day is written like 2026-05-01.")) from None
    if not 1970 < found.year <= 2100:
        raise Faulty(N_("That is not within the years 1971 to 2100."))
    return day_number(found)
