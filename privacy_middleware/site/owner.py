"""The owner's statistics: one page that answers at a glance, and a page for each thing that needs more room. None shows one visitor."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..access import Role
from ..collect.visitor import date_of, day_of
from ..errors import StoreError
from ..language import N_, Language, english
from ..privacy import Privacy
from ..statistics import reports
from ..statistics.filters import FILTERS, Filters, Only
from ..statistics.forms import form_reports
from ..statistics.goals import BETWEEN
from ..statistics.live import right_now
from ..statistics.reports import NOTHING, Row, shown_value
from ..store import queries, statistics_queries
from ..store.base import Store
from ..waiting import answer_of, in_thread
from .charts import Chart, chart, shades, world
from .files import FORMATS, file_of
from .pages import Pages
from .panels import BY_HITS, PANELS, TITLES, Line, Panel, cards, every_day, label
from .panels import points as points_of
from .periods import NAMES, Faulty, Period, read_period, span
from .sign_in import SignIn, see

Result = TypeVar("Result")

ROWS: Final = 10
MOST_ROWS: Final = 1000
"""On a page of one dimension; a file has all."""
LONGEST_BY_DAY: Final = 92
"""Days: of a longer period the chart has months."""
FRESH_SECONDS: Final = 1.0
PATIENCE: Final = 20.0
COLUMNS: Final = ("value", "visitors", "visits", "page_views", "hits", "bounce_rate", "visit_seconds", "bytes_sent", "broken_off")


class View(NamedTuple):
    """What an address asks for: a period, and perhaps a filter."""

    period: Period
    only: Only | None

    @property
    def query(self) -> str:
        """How an address names it."""
        return self.period.query + (f"&{urlencode({'by': self.only.dimension, 'value': self.only.value})}" if self.only else "")


class Figures(NamedTuple):
    """Everything on the dashboard."""

    first: int
    last: int
    total: Row
    before: Row
    chart: Chart
    panels: list[Panel]
    made: int | None
    """When the days that go on were counted, epoch milliseconds."""
    is_empty: bool
    countries: dict[str, int]


class OwnerPages:
    """The pages of statistics."""

    def __init__(self, privacy: Privacy, pages: Pages, sign_in: SignIn) -> None:
        self.privacy = privacy
        self.pages = pages
        self.sign_in = sign_in
        self.fewest = privacy.settings.suppress_below
        self.filters = Filters(privacy.terms)
        self.clock: Callable[[], float] = time.time

    def routes(self) -> list[Route]:
        """Return the routes."""
        route = self.sign_in.route
        return [
            route("/owner", self.home),
            route("/owner/", self.dashboard),
            route("/owner/now", self.now),
            route("/owner/figures/{dimension}", self.panel),
            route("/owner/downloads", self.downloads),
            route("/owner/forms", self.forms),
            route("/owner/goals", self.goals),
            route("/owner/bots", self.bots),
        ]

    # --- the dashboard -----------------------------------------------------------------------------------------------------

    async def home(self, request: Request, _: Role) -> Response:
        """Lead to the dashboard who leaves out the last slash."""
        return see(request, "")

    async def dashboard(self, request: Request, role: Role) -> Response:
        """Show the figures of a period."""
        try:
            view = self._view(request)
        except Faulty as fault:
            return self._faulty(request, role, fault)
        _ = self.pages.language_of(request)
        await self._freshen()
        figures = await self.read(lambda store: self._filtered(_, store, view) if view.only else self._all(_, store, view))
        values: dict[str, Any] = {
            "view": view,
            "figures": figures,
            "only": self._only_in_words(_, view.only),
        }
        if figures is not None:
            values |= {
                "cards": cards(_, figures.total, figures.before),
                "world": world() if figures.countries else None,
                "shades": shades(figures.countries),
                "made": self._clock_time(figures.made),
                "first": date_of(figures.first).isoformat(),
                "last": date_of(figures.last).isoformat(),
                "span": span(_, figures.first, figures.last),
            }
        return self.render(request, "owner/dashboard.html", role, here="", **values)

    def _view(self, request: Request) -> View:
        query = request.query_params
        period = read_period(query, self._today())
        by, value = query.get("by", ""), query.get("value", "")
        if by and by not in FILTERS:
            raise Faulty(N_("There is no filter by that. Known are %(names)s."), names=", ".join(FILTERS))
        return View(period, Only(by, value[:2000]) if by else None)

    def _faulty(self, request: Request, role: Role, fault: Faulty) -> Response:
        return self.render(request, "owner/faulty.html", role, here="", status=400, fault=fault.text(self.pages.language_of(request)))

    def _all(self, _: Language, store: Store, view: View) -> Figures:
        period = view.period
        days: dict[str, Any] = {"first": period.first, "last": period.last, "fewest": self.fewest}
        before = period.before
        oldest = store.rows(statistics_queries.FIRST_DAY)[0]["day"]
        points = reports.by_day(store, **days) if period.days <= LONGEST_BY_DAY else reports.every_month(store, **days)
        panels = {name: reports.rows(store, name, **days) for name in PANELS}
        known = store.rows(statistics_queries.DAYS, first=self._today(), last=self._today())
        return Figures(
            period.first,
            period.last,
            reports.totals(store, **days),
            reports.totals(store, first=before.first, last=before.last, fewest=self.fewest)
            if oldest and oldest <= before.first
            else NOTHING,
            chart(_, _chart_points(points, panels["hour"], period)),
            [self._panel(_, name, rows, view) for name, rows in panels.items() if _says_something(rows)],
            known[0]["made"] if known and period.last >= self._today() - 1 else None,
            oldest is None,
            {row.value: row.visitors for row in panels["country"] if row.value and not row.is_other},
        )

    def _filtered(self, _: Language, store: Store, view: View) -> Figures | None:
        only = view.only or Only("page", "")
        found = self.filters.figures(store, only, first=view.period.first, last=view.period.last)
        if found is None:
            return None
        says = {name: rows for name in PANELS if _says_something(rows := found.panels.get(name, []))}
        shown = [self._panel(_, name, rows, view) for name, rows in says.items()]
        countries = {row.value: row.visitors for row in found.panels.get("country", ()) if row.value}
        return Figures(
            found.first,
            found.last,
            found.total,
            NOTHING,
            chart(_, points_of(found.weeks)),
            shown,
            None,
            is_empty=False,
            countries=countries,
        )

    def _panel(self, _: Language, dimension: str, rows: Sequence[Row], view: View, *, most: int = ROWS) -> Panel:
        by_hits = dimension in BY_HITS
        nobody = not any(row.visitors for row in rows)  # visitors are not declared
        amounts = [row.hits if by_hits or nobody else row.visitors for row in rows]
        largest = max((amount for row, amount in zip(rows, amounts, strict=True) if not row.is_other), default=0) or 1
        lines = [
            Line(
                label=self.label(_, dimension, row),
                link=self._link(dimension, row, view),
                amount=amount,
                second=row.page_views,
                share=round(min(100, 100 * amount / largest), 1),
                is_other=row.is_other,
                is_chosen=view.only == Only(dimension, reports.stored_value(dimension, row.value)),
            )
            for row, amount in zip(rows, amounts, strict=True)
            if amount
        ]
        named = [line for line in lines if not line.is_other]
        others = [line for line in lines if line.is_other]
        unit = _("Hits") if by_hits or nobody else _("Visitors")
        return Panel(
            dimension,
            _.own(TITLES[dimension]),
            unit,
            "views" if dimension == "page" else "",
            named[: most if dimension != "hour" else 24] + (others if len(named) <= most else []),
            len(named),
        )

    def _link(self, dimension: str, row: Row, view: View) -> str:
        if dimension not in FILTERS or row.is_other:
            return ""
        value = reports.stored_value(dimension, row.value)
        return f"{view.period.query}&{urlencode({'by': dimension, 'value': value})}"

    def label(self, _: Language, dimension: str, row: Row) -> str:
        """Return what a row is called."""
        if row.is_other and self.fewest > 1:
            return _("Others, each with fewer than %(fewest)s visitors on a day", fewest=self.fewest)
        return _("Others") if row.is_other else label(_, dimension, row.value)

    @staticmethod
    def _only_in_words(_: Language, only: Only | None) -> tuple[str, str] | None:
        return (_.own(TITLES[only.dimension]), label(_, only.dimension, shown_value(only.dimension, only.value))) if only else None

    # --- one dimension -----------------------------------------------------------------------------------------------------

    async def panel(self, request: Request, role: Role) -> Response:
        """Show all rows of one dimension, or give them as a file."""
        dimension = request.path_params["dimension"]
        if dimension not in TITLES:
            return self.pages.render(request, "not_found.html", status=404)
        try:
            view = self._view(request)
        except Faulty as fault:
            return self._faulty(request, role, fault)
        await self._freshen()
        rows = await self.read(lambda store: self._rows(store, dimension, view))
        _ = self.pages.language_of(request)
        format_ = request.query_params.get("format", "")
        if format_:
            file = await in_thread(lambda: self._file(dimension, rows, view, format_))
            return file or self.pages.say(
                _("There is no such format here. Known are %(names)s; Parquet needs the extra `parquet`.", names=", ".join(FORMATS)), 400
            )
        panel = self._panel(_, dimension, rows, view, most=MOST_ROWS)
        values: dict[str, Any] = {
            "view": view,
            "panel": panel,
            "rows": rows,
            "label": lambda row: self.label(_, dimension, row),
            "formats": FORMATS,
        }
        only = self._only_in_words(_, view.only)
        return self.render(request, "owner/panel.html", role, here="", only=only, **values)

    def _rows(self, store: Store, dimension: str, view: View) -> list[Row]:
        if view.only is None:
            return reports.rows(store, dimension, first=view.period.first, last=view.period.last, fewest=self.fewest)
        found = self.filters.figures(store, view.only, first=view.period.first, last=view.period.last)
        return found.panels.get(dimension, []) if found else []

    def _file(self, dimension: str, rows: Sequence[Row], view: View, format_: str) -> Response | None:
        values = [
            {
                "value": self.label(english(), dimension, row), "visitors": row.visitors, "visits": row.visits,
                "page_views": row.page_views,
                "hits": row.hits, "bounce_rate": row.bounce_rate, "visit_seconds": row.visit_seconds, "bytes_sent": row.sent,
                "broken_off": row.aborted,
            }
            for row in rows
        ]  # fmt: skip
        about = {
            "dimension": dimension,
            "from": date_of(view.period.first).isoformat(),
            "to": date_of(view.period.last).isoformat(),
            "filter": {"by": view.only.dimension, "value": view.only.value} if view.only else None,
            "fewest_visitors_shown": self.fewest,
        }
        return file_of(f"{dimension}-{about['from']}-{about['to']}", values, format_=format_, columns=COLUMNS, about=about)

    # --- other pages -------------------------------------------------------------------------------------------------------

    async def now(self, request: Request, role: Role) -> Response:
        """Show the last half hour."""
        now = int(self.clock() * 1000)
        found = await self.read(lambda store: right_now(store, now=now, zone=self.privacy.settings.zone, fewest=self.fewest))
        return self.render(request, "owner/now.html", role, here="now", found=found, at=self._clock_time(now))

    async def downloads(self, request: Request, role: Role) -> Response:
        """Show downloads with bytes sent and how many came to an end."""
        return await self._of_dimension(request, role, "download", "owner/downloads.html", here="downloads")

    async def bots(self, request: Request, role: Role) -> Response:
        """Show bots and AI crawlers by their kind."""
        return await self._of_dimension(request, role, "bot", "owner/bots.html", here="bots")

    async def _of_dimension(self, request: Request, role: Role, dimension: str, template: str, *, here: str) -> Response:
        try:
            view = self._view(request)
        except Faulty as fault:
            return self._faulty(request, role, fault)
        await self._freshen()
        _ = self.pages.language_of(request)
        everything = view._replace(only=None)
        rows = await self.read(lambda store: self._rows(store, dimension, everything))
        values: dict[str, Any] = {
            "view": view,
            "rows": rows,
            "label": lambda row: self.label(_, dimension, row),
        }
        return self.render(request, template, role, here=here, **values)

    async def forms(self, request: Request, role: Role) -> Response:
        """Show how far visitors come with each form, and how many choices were made."""
        try:
            view = self._view(request)
        except Faulty as fault:
            return self._faulty(request, role, fault)
        names = {
            form.name: self.pages.language_of(request).own(form.title) or form.name for form in self.privacy.declaration.forms if form.path
        }
        first, last = view.period.first, view.period.last

        def look(store: Store) -> tuple[list[object], dict[str, int]]:
            counted = store.rows(queries.COUNTS, first=first, last=last, step=self.fewest)
            choices = {row["name"]: row["amount"] for row in counted if row["name"].startswith("choice.")}
            return list(form_reports(store, names, first=first, last=last, step=self.fewest)), choices

        found, choices = await self.read(look)
        values: dict[str, Any] = {"view": view, "found": found, "names": names, "choices": choices}
        return self.render(request, "owner/forms.html", role, here="forms", **values)

    async def goals(self, request: Request, role: Role) -> Response:
        """Show goals with their sources, and funnels."""
        try:
            view = self._view(request)
        except Faulty as fault:
            return self._faulty(request, role, fault)
        await self._freshen()
        days: dict[str, Any] = {"first": view.period.first, "last": view.period.last, "fewest": self.fewest}
        found = await self.read(
            lambda store: {name: reports.panel(store, name, **days) for name in ("goal", "goal_source", "funnel", "total")}
        )
        by_name = {row.value: row for row in found["goal"]}
        sources = {
            goal.name: [row for row in found["goal_source"] if row.value.startswith(goal.name + BETWEEN)]
            for goal in self.privacy.declaration.goals
        }
        funnels = {
            funnel.name: [(step, next((row for row in found["funnel"] if row.value == f"{funnel.name}{BETWEEN}{number}"), NOTHING))
                          for number, step in enumerate(funnel.steps, 1)]
            for funnel in self.privacy.declaration.funnels
        }  # fmt: skip
        _ = self.pages.language_of(request)
        total = next((row for row in found["total"] if not row.is_other), NOTHING)
        values: dict[str, Any] = {
            "view": view,
            "goals": self.privacy.declaration.goals,
            "by_name": by_name,
            "sources": sources,
            "funnels": funnels,
            "total": total,
            "nothing": NOTHING,
            "source_of": lambda row: label(_, "source", row.value.partition(BETWEEN)[2]),
        }
        return self.render(request, "owner/goals.html", role, here="goals", **values)

    # --- shared ------------------------------------------------------------------------------------------------------------

    def render(self, request: Request, template: str, role: Role, *, here: str, status: int = 200, **values: object) -> Response:
        """Return one of the owner's pages; `here` is its place in the navigation."""
        shared = {"role": role, "here": here, "periods": NAMES, "fewest": self.fewest}
        return self.pages.render(request, template, status=status, **shared, **values)

    async def read(self, work: Callable[[Store], Result]) -> Result:
        """Do some reading on a connection of its own, in a thread of ours, from one state of the database, within `PATIENCE`."""

        def reading() -> Result:
            store = self.privacy.store.another()
            store.open_to_read(patience=PATIENCE)
            try:
                with store.snapshot():
                    return work(store)
            finally:
                store.close()

        return await in_thread(reading)

    async def _freshen(self) -> None:
        """Have the days that go on counted; if that takes too long, the page shows what was counted last, and says when."""
        with suppress(TimeoutError, StoreError):
            await answer_of(self.privacy.bookkeeper.refresh(), patience=FRESH_SECONDS)

    def _today(self) -> int:
        return day_of(int(self.clock() * 1000), self.privacy.settings.zone)

    def _clock_time(self, instant: int | None) -> str:
        return datetime.fromtimestamp(instant / 1000, self.privacy.settings.zone).strftime("%H:%M") if instant else ""


def _says_something(rows: Sequence[Row]) -> bool:
    """Tell whether there is more than that nothing is known."""
    return any(row.value and not row.is_other for row in rows)


def _chart_points(rows: Sequence[Row], hours: Sequence[Row], period: Period) -> list[tuple[str, int, int]]:
    """Return what the chart shows: hours of one day, days, or months."""
    if period.days == 1:
        by_hour = {row.value: row for row in hours}
        names = [f"{hour:02d}" for hour in range(24)]
        return [(f"{name}:00", by_hour.get(name, NOTHING).visitors, by_hour.get(name, NOTHING).page_views) for name in names]
    return every_day(rows, period) if period.days <= LONGEST_BY_DAY else points_of(rows)
