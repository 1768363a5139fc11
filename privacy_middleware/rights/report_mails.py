"""Mails the owner a report of each week or month, once all its days are closed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

from ..collect.visitor import date_of, day_number, day_of
from ..language import Language
from ..mail import Mail
from ..statistics import reports
from ..statistics.reports import Row, source_name
from ..store import statistics_queries
from ..store.base import Store
from . import mails
from .office import Office
from .outbox import tell_owner

LOOK_SECONDS: Final = 600.0
CLOSED_AFTER_DAYS: Final = 2
"""A day is closed when its salt is gone: on the second day after."""
MOST_ROWS: Final = 10
SENT: Final = "report"
"""The mark under which stands the last day of what was reported last."""


class ReportMails:
    """Looks every ten minutes whether a report is due."""

    def __init__(self, office: Office, clock: Callable[[], float] = time.time) -> None:
        self.office = office
        self.clock = clock
        self._look_due = 0.0

    def look(self, store: Store) -> None:
        """In the recorder's thread: queue the mail of the last period that is over, once."""
        if time.monotonic() < self._look_due:
            return
        self._look_due = time.monotonic() + LOOK_SECONDS
        now = int(self.clock() * 1000)
        first, last = period(self.office.settings.report, day_of(now, self.office.settings.zone))
        if store.mark(SENT) is None:  # what was before this was switched on is not reported
            store.set_mark(SENT, last)
        if (store.mark(SENT) or 0) >= last or not _is_closed(store, first, last):
            return
        with store.transaction():
            if (store.mark(SENT) or 0) < last:
                tell_owner(self.office, store, self._mail(store, first, last), now=now)
                store.set_mark(SENT, last)

    def _mail(self, store: Store, first: int, last: int) -> Mail:
        fewest, length = self.office.settings.suppress_below, last - first + 1
        total = reports.totals(store, first=first, last=last, fewest=fewest)
        before = reports.totals(store, first=first - length, last=first - 1, fewest=fewest)
        _ = self.office.languages.get(self.office.settings.language)
        named = (
            (_("Pages"), _listed(_, reports.rows(store, "page", first=first, last=last, fewest=fewest), str)),
            (_("Sources"), _listed(_, reports.rows(store, "source", first=first, last=last, fewest=fewest), source_name)),
            (_("Downloads"), _listed(_, reports.rows(store, "download", first=first, last=last, fewest=fewest), str)),
            (_("Goals"), _listed(_, reports.rows(store, "goal", first=first, last=last, fewest=fewest), _.own)),
        )
        figures = (
            _("Visitors: %(now)s (before: %(before)s)", now=_.number(total.visitors), before=_.number(before.visitors)),
            _("Visits: %(now)s (before: %(before)s)", now=_.number(total.visits), before=_.number(before.visits)),
            _("Page views: %(now)s (before: %(before)s)", now=_.number(total.page_views), before=_.number(before.page_views)),
            _("Bounce rate: %(share)s", share=_.percent(total.bounce_rate)),
        )
        span = _("%(first)s to %(last)s", first=_.day(date_of(first)), last=_.day(date_of(last)))
        return mails.report(self.office, span, figures, [(title, lines) for title, lines in named if lines])


def period(kind: str, today: int) -> tuple[int, int]:
    """Return the first and last day of the last week, or month, of which all days are closed by now."""
    closed = date_of(today - CLOSED_AFTER_DAYS)
    if kind == "weekly":
        sunday = day_number(closed) - (closed.weekday() + 1) % 7
        return sunday - 6, sunday
    end = (closed + timedelta(1)).replace(day=1) - timedelta(1)
    return day_number(end.replace(day=1)), day_number(end)


def _is_closed(store: Store, first: int, last: int) -> bool:
    return all(row["state"] for row in store.rows(statistics_queries.DAYS, first=first, last=last))


def _listed(_: Language, rows: Sequence[Row], name: Callable[[str], str]) -> list[str]:
    shown = [row for row in rows if not row.is_other and row.visitors][:MOST_ROWS]
    return [f"{_.number(row.visitors)}  {name(row.value) or _('(not known)')}" for row in shown]
