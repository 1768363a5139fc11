"""Reports by mail: of each week or month that is over and closed, once, to the owner."""

from datetime import UTC, date
from itertools import pairwise
from typing import Any

import pytest

from privacy_middleware.collect.agent import Agent
from privacy_middleware.collect.hit import Hit
from privacy_middleware.collect.source import Source
from privacy_middleware.collect.visitor import date_of, day_number
from privacy_middleware.errors import SettingsError
from privacy_middleware.language import english
from privacy_middleware.rights.report_mails import ReportMails, period
from privacy_middleware.statistics import bookkeeper
from privacy_middleware.statistics.rollup import Terms

from .requesting import OWNER, Desk, at_desk

TERMS = Terms(UTC, 3)


def on(text: str) -> int:
    return day_number(date.fromisoformat(text))


@pytest.mark.parametrize(
    ("kind", "today", "first", "last"),
    [
        ("weekly", "2026-05-05", "2026-04-27", "2026-05-03"),  # a Tuesday: Sunday is closed
        ("weekly", "2026-05-04", "2026-04-20", "2026-04-26"),
        ("weekly", "2026-05-11", "2026-04-27", "2026-05-03"),
        ("monthly", "2026-06-02", "2026-05-01", "2026-05-31"),
        ("monthly", "2026-06-01", "2026-04-01", "2026-04-30"),
        ("monthly", "2026-01-02", "2025-12-01", "2025-12-31"),
        ("monthly", "2024-03-31", "2024-02-01", "2024-02-29"),
    ],
)
def test_a_period_is_reported_once_its_last_day_is_closed(kind: str, today: str, first: str, last: str) -> None:
    assert period(kind, on(today)) == (on(first), on(last))


@pytest.mark.parametrize("kind", ["weekly", "monthly"])
def test_every_day_is_reported_exactly_once_in_the_course_of_years(kind: str) -> None:
    ends = sorted({period(kind, day) for day in range(on("2024-01-10"), on("2027-12-31"))})
    for (_, last), (first, _) in pairwise(ends):
        assert first == last + 1, date_of(first)


def visit(desk: Desk, day: int, visitors: int, page: str = "/") -> None:
    agent = Agent("Firefox", "Linux", "desktop", "")
    source = Source("search", "google.com/")
    hits = [
        Hit(day, day * 86_400_000 + n, n, None, 0, page, "", 0, 200, source, "", agent, "da", "", sent=1, aborted=0, duration=1)
        for n in range(1, visitors + 1)
    ]
    with desk.store.transaction():
        desk.store.add_hits(hits)


def look(desk: Desk, *, times: int = 1) -> list[Any]:
    for _ in range(times):
        ReportMails(desk.office, desk.clock).look(desk.store)
    desk.work()
    return [mail for mail in desk.mails if mail.kind == "report"]


def close(desk: Desk) -> None:
    for day in bookkeeper.days_to_close(desk.store, today=2**20, kept=0):
        bookkeeper.close_day(desk.store, day, TERMS, now=0)


def test_a_week_is_mailed_once_it_is_over_with_its_figures_and_no_small_one() -> None:
    with at_desk(report="weekly") as desk:
        first, last = period("weekly", desk.now // 86_400_000)
        assert look(desk) == []  # what was before it was switched on
        desk.clock.move(hours=7 * 24)
        visit(desk, last + 3, 12)
        visit(desk, last + 3, 2, page="/rare-canary")
        close(desk)
        mails = look(desk, times=3)
        assert len(mails) == 1
        assert mails[0].to == OWNER
        assert "Visitors: 12 (before: 0)" in mails[0].text
        assert "google.com/" in mails[0].text
        assert "rare-canary" not in mails[0].text
        assert "https://www.example.org/privacy/owner/" in mails[0].text
        assert english().day(date_of(last + 1)) in mails[0].subject
        assert first < last


def test_a_week_with_a_day_that_is_not_closed_waits() -> None:
    with at_desk(report="weekly") as desk:
        _, last = period("weekly", desk.now // 86_400_000)
        look(desk)
        desk.clock.move(hours=7 * 24)
        visit(desk, last + 3, 12)
        bookkeeper.count_open_days(desk.store, TERMS, now=(last + 3) * 86_400_000 + 1)
        assert look(desk) == []
        close(desk)
        assert len(look(desk)) == 1


def test_after_a_long_time_off_only_the_last_period_is_mailed() -> None:
    with at_desk(report="weekly") as desk:
        look(desk)
        desk.clock.move(hours=60 * 24)
        assert len(look(desk, times=2)) == 1


def test_a_report_without_anybody_to_mail_it_to_is_refused_at_the_start() -> None:
    with pytest.raises(SettingsError, match="PRIVACY_REPORT"), at_desk(report="weekly", policy="\n"):
        pass
