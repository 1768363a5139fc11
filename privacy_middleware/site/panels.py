"""Turns figures into what a page shows of them: panels of rows with bars, cards, the points of a chart, and what each value is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from ..collect.visitor import date_of
from ..language import N_, Language
from ..statistics.goals import BETWEEN
from ..statistics.reports import NOTHING, Row, source_name
from .periods import Period

PANELS: Final = {
    "page": N_("Pages"),
    "source": N_("Sources"),
    "entry": N_("Entry pages"),
    "exit": N_("Exit pages"),
    "medium": N_("Kinds of source"),
    "campaign": N_("Campaigns"),
    "country": N_("Countries"),
    "language": N_("Languages"),
    "device": N_("Devices"),
    "browser": N_("Browsers"),
    "os": N_("Operating systems"),
    "download": N_("Downloads"),
    "goal": N_("Goals"),
    "status": N_("Statuses"),
    "hour": N_("Hours of the day"),
    "site": N_("Host names"),
}
TITLES: Final = {
    **PANELS,
    "bot": N_("Bots"),
    "kind": N_("Kinds of request"),
    "funnel": N_("Funnels"),
    "goal_source": N_("Goals by source"),
    "day": N_("Days"),
    "month": N_("Months"),
}
BY_HITS: Final = frozenset({"download", "status", "bot", "kind"})
"""Dimensions of which requests are counted, not visitors."""


class Line(NamedTuple):
    """One row of a panel, as it is shown."""

    label: str
    link: str
    """The query of the address that filters by it; "" if one cannot."""
    amount: int
    second: int
    share: float
    """Of the largest, in per cent."""
    is_other: bool
    is_chosen: bool


class Panel(NamedTuple):
    """One dimension, as it is shown."""

    dimension: str
    title: str
    unit: str
    second: str
    """What a second column counts; "" if there is none."""
    lines: list[Line]
    total: int
    """How many rows there are in all."""


def label(_: Language, dimension: str, value: str) -> str:
    """Return what a value is called."""
    if dimension == "country":
        return _.country(value) if value else _("Not known")
    if dimension == "source":
        name = source_name(value)
        return _.own(_SOURCES[name]) if name in _SOURCES else name
    if dimension == "hour":
        return f"{value}:00"
    if dimension in ("goal_source", "funnel"):
        return ": ".join(_.own(part) for part in value.split(BETWEEN))
    if dimension == "goal":
        return _.own(value)
    if dimension == "medium":
        return _.own(_MEDIA.get(value, value.capitalize()))
    if dimension == "bot":
        return _.own(_BOTS.get(value, value.capitalize()))
    return value or _("Not known")


_SOURCES: Final = {"direct": N_("Direct, or not told"), "internal": N_("From this website"), "ai-assistant": N_("AI assistants")}
_MEDIA: Final = {
    **_SOURCES, "search": N_("Search"), "social": N_("Social"), "campaign": N_("Campaign"), "referral": N_("Referral"), "mail": N_("Mail"),
    "other": N_("Other"),
}  # fmt: skip
_BOTS: Final = {
    "ai-training": N_("AI crawlers, for training"), "ai-assistant": N_("AI assistants, for somebody who asks"),
    "search": N_("Search engines"),
    "monitoring": N_("Monitoring"), "feed": N_("Feed readers"), "library": N_("Programs and scripts"), "other": N_("Other bots"),
}  # fmt: skip


class Card(NamedTuple):
    """One figure in large letters, and how it has changed."""

    title: str
    text: str
    change: str
    is_up: bool


def cards(_: Language, total: Row, before: Row) -> list[Card]:
    """Return the five figures at the top."""
    return [
        Card(_("Visitors"), _.number(total.visitors), *_change(total.visitors, before.visitors)),
        Card(_("Visits"), _.number(total.visits), *_change(total.visits, before.visits)),
        Card(_("Page views"), _.number(total.page_views), *_change(total.page_views, before.page_views)),
        Card(_("Bounce rate"), _.percent(total.bounce_rate), *_points_more(_, total.bounce_rate, before)),
        Card(_("Time of a visit"), _duration(total.visit_seconds), *_change(total.visit_seconds, before.visit_seconds)),
    ]


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _change(now: float, then: float) -> tuple[str, bool]:
    if not then:
        return "", False
    return f"{(now - then) / then:+.0%}", now > then


def _points_more(_: Language, share: float, before: Row) -> tuple[str, bool]:
    """A share changes by percentage points."""
    if not before.visits:
        return "", False
    points_more = round(100 * share) - round(100 * before.bounce_rate)
    return _.plural("%(signed)s point", "%(signed)s points", abs(points_more), signed=f"{points_more:+d}"), points_more > 0


def points(rows: Sequence[Row]) -> list[tuple[str, int, int]]:
    """Return the points of a chart, as `charts.chart` takes them."""
    return [(row.value, row.visitors, row.page_views) for row in rows]


def every_day(rows: Sequence[Row], period: Period) -> list[tuple[str, int, int]]:
    """Days without figures stand in the chart as well."""
    by_day: Mapping[str, Row] = {row.value: row for row in rows}
    dates = [date_of(day).isoformat() for day in range(period.first, period.last + 1)]
    return [(on, by_day.get(on, NOTHING).visitors, by_day.get(on, NOTHING).page_views) for on in dates]
