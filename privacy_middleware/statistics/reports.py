"""Figures over a range of the owner's days, from what was counted of them; no figure here tells of fewer visitors than are set.

Days that go on are rounded down, and values that too few visitors have in common stand together as `OTHER` (see `disclosure_control`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from ..collect.hit import KINDS
from ..collect.visitor import date_of
from ..store import statistics_queries as queries
from ..store.base import Store
from ..store.statistics_queries import OTHER
from .disclosure_control import rounded
from .rollup import NUMBER, days_of_month, month_of

BY: Final = ("day", "month", "medium")
"""What rows can stand for besides the dimensions of `rollup`."""
DIMENSIONS: Final = (
    "entry", "exit", "source", "medium", "campaign", "page", "download", "site", "country", "browser", "os", "device", "language", "status",
    "kind", "day", "month", "bot", "hour", "goal", "goal_source", "funnel",
)  # fmt: skip
_IN_ORDER: Final = ("day", "month", "hour", "funnel")
_KIND: Final = "kind"
_KIND_NUMBERS: Final = frozenset(map(str, range(len(KINDS))))
_HOURS: Final = frozenset(map(str, range(24)))
_DOWNLOAD: Final = "download"


class Row(msgspec.Struct, frozen=True):
    """One value of a dimension. `hits` are all requests behind it: for downloads, statuses and bots the figure that counts."""

    value: str
    visitors: int
    visits: int
    page_views: int
    hits: int
    bounces: int = 0
    milliseconds: int = 0
    """Of all its visits, from the first to the last hit of each."""
    sent: int = 0
    """Bytes."""
    aborted: int = 0
    """Hits whose answer broke off."""

    @property
    def is_other(self) -> bool:
        """True if this is what is put together of values not shown."""
        return self.value == OTHER

    @property
    def bounce_rate(self) -> float:
        """Share of visits with exactly one page view, 0 to 1, to four places."""
        return round(min(1.0, self.bounces / self.visits), 4) if self.visits else 0.0

    @property
    def visit_seconds(self) -> float:
        """Mean time from the first to the last hit of a visit, in seconds, to one place."""
        return round(self.milliseconds / self.visits / 1000, 1) if self.visits else 0.0


NOTHING: Final = Row("", 0, 0, 0, 0)


class Report(msgspec.Struct, frozen=True, rename={"first": "from", "last": "to"}):
    """The figures of a period, whole days from `first` to `last` (ISO dates, the owner's)."""

    first: str
    last: str
    visitors: int
    visits: int
    page_views: int
    downloads: int
    bounce_rate: float
    visit_seconds: float
    bot_hits: int
    rows: list[Row]


def report(store: Store, *, first: int, last: int, fewest: int, by: str | None = None) -> Report:
    """Return the figures of the days `first` to `last` (day numbers, both included), with a row for each value of `by`.

    Args:
        store: the database.
        first: the first day.
        last: the last day.
        fewest: how many visitors it takes to be shown.
        by: one of `DIMENSIONS`.

    Raises:
        ValueError: if `by` is not one of `DIMENSIONS`.
    """
    total = totals(store, first=first, last=last, fewest=fewest)
    kinds = panel(store, _KIND, first=first, last=last, fewest=fewest)
    bots = panel(store, "bot", first=first, last=last, fewest=fewest)
    return Report(
        first=date_of(first).isoformat(),
        last=date_of(last).isoformat(),
        visitors=total.visitors,
        visits=total.visits,
        page_views=total.page_views,
        downloads=sum(row.hits for row in kinds if row.value == _DOWNLOAD),
        bounce_rate=total.bounce_rate,
        visit_seconds=total.visit_seconds,
        bot_hits=sum(row.hits for row in bots),
        rows=rows(store, by, first=first, last=last, fewest=fewest) if by else [],
    )


def totals(store: Store, *, first: int, last: int, fewest: int) -> Row:
    """Return the figures of all visits together."""
    found = panel(store, "total", first=first, last=last, fewest=fewest)
    return next((row for row in found if not row.is_other), NOTHING)


def rows(store: Store, by: str, *, first: int, last: int, fewest: int) -> list[Row]:
    """Return a row for each value of a dimension, the largest first, `OTHER` last; days, months and hours in their order.

    Raises:
        ValueError: if `by` is not one of `DIMENSIONS`.
    """
    if by in ("day", "month"):
        return by_day(store, first=first, last=last, fewest=fewest) if by == "day" else by_month(store, first=first, last=last)
    if by == "medium":
        return by_medium(panel(store, "source", first=first, last=last, fewest=fewest))
    if by not in DIMENSIONS:
        raise ValueError(f"{by!r} is not a dimension; known are {', '.join(DIMENSIONS)}")
    return panel(store, by, first=first, last=last, fewest=fewest)


def panel(store: Store, dimension: str, *, first: int, last: int, fewest: int) -> list[Row]:
    """Return the rows of one dimension, the largest first, `OTHER` last."""
    first_month, last_month, days = stretches(store, first, last)
    bound = {f"{name}_{n}": day for n, stretch in enumerate(days) for name, day in zip(("first", "last"), stretch, strict=True)}
    found = store.rows(
        queries.panel(len(days)),
        dimension=NUMBER[dimension], first_month=first_month, last_month=last_month, other=OTHER, fewest=fewest, **bound,
    )  # fmt: skip
    shown = [Row(**{**row, "value": shown_value(dimension, row["value"])}) for row in found]
    return sorted(shown, key=lambda row: row.value) if dimension in _IN_ORDER else sorted(shown, key=order)


def order(row: Row) -> tuple[bool, int, int, int, str]:
    """Sort the largest first, and `OTHER` last."""
    return row.is_other, -row.visitors, -row.visits, -row.hits, row.value


def shown_value(dimension: str, value: str) -> str:
    """Return a value as reports have it."""
    if value == OTHER:
        return OTHER
    if dimension == "hour" and value in _HOURS:
        return f"{int(value):02d}"
    return KINDS[int(value)] if dimension == _KIND and value in _KIND_NUMBERS else value


def source_name(value: str) -> str:
    """Return what a source is called: its address, or its kind where it has none."""
    kind, _, address = value.partition(" ")
    return address or kind


def by_medium(sources: Sequence[Row]) -> list[Row]:
    """Sum up sources by their kind (search, social, …): so no kind can tell of a source that is not shown."""
    found: dict[str, list[int]] = {}
    for row in sources:
        medium = OTHER if row.is_other else row.value.partition(" ")[0]
        amounts = found.setdefault(medium, [0] * len(queries.MEASURES))
        found[medium] = [a + getattr(row, name) for a, name in zip(amounts, queries.MEASURES, strict=True)]
    return sorted((Row(value=medium, **dict(zip(queries.MEASURES, amounts, strict=True))) for medium, amounts in found.items()), key=order)


def stretches(store: Store, first: int, last: int) -> tuple[int, int, list[tuple[int, int]]]:
    """Cut a period into whole months that are summed up, and stretches of days: (first month, last month, [(first, last), …]).

    The months are the longest run of them; there is none if the last is before the first.
    """
    closed = {row["month"] for row in store.rows(queries.MONTHS)}
    whole = [
        m
        for m in range(month_of(first), month_of(last) + 1)
        if m in closed and first <= days_of_month(m)[0] and days_of_month(m)[1] <= last
    ]
    run = max(_runs(whole), key=len, default=[])
    if not run:
        return 0, -1, [(first, last)]
    begin, end = days_of_month(run[0])[0], days_of_month(run[-1])[1]
    return run[0], run[-1], [(a, b) for a, b in ((first, begin - 1), (end + 1, last)) if a <= b]


def _runs(months: Sequence[int]) -> Iterator[list[int]]:
    run: list[int] = []
    for month in months:
        if run and month != run[-1] + 1:
            yield run
            run = []
        run.append(month)
    if run:
        yield run


def by_day(store: Store, *, first: int, last: int, fewest: int, dimension: str = "total", value: str = "") -> list[Row]:
    """Return the figures of each day, in order; a day with too few visitors is left out."""
    found = store.rows(queries.BY_DAY, dimension=NUMBER[dimension], value=value, first=first, last=last)
    result = []
    for row in found:
        day, state, is_held = row.pop("day"), row.pop("state"), row.pop("held")
        step = 1 if state else fewest  # of days that go on only
        if not is_held and (state or (row["visitors"] or row["hits"]) >= fewest):
            result.append(Row(value=date_of(day).isoformat(), **{name: rounded(name, amount, fewest=step) for name, amount in row.items()}))
    return result


def by_month(store: Store, *, first: int, last: int, dimension: str = "total", value: str = "") -> list[Row]:
    """Return the figures of each month that is over and lies within the period, in order."""
    found = store.rows(queries.MONTHLY, dimension=NUMBER[dimension], value=value, first=month_of(first), last=month_of(last))
    return [
        Row(value=f"{row['month'] // 12}-{row['month'] % 12 + 1:02d}", **{name: row[name] for name in queries.MEASURES})
        for row in found
        if first <= days_of_month(row["month"])[0] and days_of_month(row["month"])[1] <= last
    ]


def every_month(store: Store, *, first: int, last: int, fewest: int) -> list[Row]:
    """Return the figures of each month in a period, in order; of one that goes on, or is in it in part, from its days."""
    whole = {row.value: row for row in by_month(store, first=first, last=last)}
    sums: dict[str, list[int]] = {}
    for row in by_day(store, first=first, last=last, fewest=fewest):
        amounts = sums.setdefault(row.value[:7], [0] * len(queries.MEASURES))
        sums[row.value[:7]] = [a + getattr(row, name) for a, name in zip(amounts, queries.MEASURES, strict=True)]
    parts = {month: Row(value=month, **dict(zip(queries.MEASURES, amounts, strict=True))) for month, amounts in sums.items()}
    return [row for _, row in sorted({**parts, **whole}.items())]


def stored_value(dimension: str, value: str) -> str:
    """Return a value as it is stored; the inverse of `shown_value`."""
    if dimension == _KIND:
        return str(KINDS.index(value)) if value in KINDS else value
    return str(int(value)) if dimension == "hour" and value.isdigit() else value
