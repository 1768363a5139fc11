"""Turns figures into what a page shows of them: panels of rows with bars, cards, the points of a chart, and what each value is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from ..collect.visitor import date_of
from ..statistics.goals import BETWEEN
from ..statistics.reports import NOTHING, Row, source_name
from .charts import world
from .periods import Period

PANELS: Final = {
    "page": "Pages",
    "source": "Sources",
    "entry": "Entry pages",
    "exit": "Exit pages",
    "medium": "Kinds of source",
    "campaign": "Campaigns",
    "country": "Countries",
    "language": "Languages",
    "device": "Devices",
    "browser": "Browsers",
    "os": "Operating systems",
    "download": "Downloads",
    "goal": "Goals",
    "status": "Statuses",
    "hour": "Hours of the day",
    "site": "Host names",
}
TITLES: Final = {
    **PANELS,
    "bot": "Bots",
    "kind": "Kinds of request",
    "funnel": "Funnels",
    "goal_source": "Goals by source",
    "day": "Days",
    "month": "Months",
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


def label(dimension: str, value: str) -> str:
    """Return what a value is called."""
    if dimension == "country":
        return world().names.get(value, value) or "Not known"
    if dimension == "source":
        return _SOURCES.get(source_name(value), source_name(value))
    if dimension == "hour":
        return f"{value}:00"
    if dimension in ("goal_source", "funnel"):
        return value.replace(BETWEEN, ": ")
    if dimension == "medium":
        return _SOURCES.get(value, value.capitalize())
    if dimension == "bot":
        return _BOTS.get(value, value.capitalize())
    return value or "Not known"


_SOURCES: Final = {"direct": "Direct, or not told", "internal": "From this website", "ai-assistant": "AI assistants"}
_BOTS: Final = {
    "ai-training": "AI crawlers, for training", "ai-assistant": "AI assistants, for somebody who asks", "search": "Search engines",
    "monitoring": "Monitoring", "feed": "Feed readers", "library": "Programs and scripts", "other": "Other bots",
}  # fmt: skip


class Card(NamedTuple):
    """One figure in large letters, and how it has changed."""

    title: str
    text: str
    change: str
    is_up: bool


def cards(total: Row, before: Row) -> list[Card]:
    """Return the five figures at the top."""
    return [
        Card("Visitors", _number(total.visitors), *_change(total.visitors, before.visitors)),
        Card("Visits", _number(total.visits), *_change(total.visits, before.visits)),
        Card("Page views", _number(total.page_views), *_change(total.page_views, before.page_views)),
        Card("Bounce rate", f"{total.bounce_rate:.0%}", *_points_more(total.bounce_rate, before)),
        Card("Time of a visit", _duration(total.visit_seconds), *_change(total.visit_seconds, before.visit_seconds)),
    ]


def _number(number: float) -> str:
    return f"{number:,.0f}".replace(",", "\u202f")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _change(now: float, then: float) -> tuple[str, bool]:
    if not then:
        return "", False
    return f"{(now - then) / then:+.0%}", now > then


def _points_more(share: float, before: Row) -> tuple[str, bool]:
    """A share changes by percentage points."""
    if not before.visits:
        return "", False
    points_more = round(100 * share) - round(100 * before.bounce_rate)
    return f"{points_more:+d} point{'' if abs(points_more) == 1 else 's'}", points_more > 0


def points(rows: Sequence[Row]) -> list[tuple[str, int, int]]:
    """Return the points of a chart, as `charts.chart` takes them."""
    return [(row.value, row.visitors, row.page_views) for row in rows]


def every_day(rows: Sequence[Row], period: Period) -> list[tuple[str, int, int]]:
    """Days without figures stand in the chart as well."""
    by_day: Mapping[str, Row] = {row.value: row for row in rows}
    dates = [date_of(day).isoformat() for day in range(period.first, period.last + 1)]
    return [(on, by_day.get(on, NOTHING).visitors, by_day.get(on, NOTHING).page_views) for on in dates]
