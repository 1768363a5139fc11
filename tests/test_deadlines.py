"""Deadlines: by the calendar, in the owner's time zone, as the named sources say."""

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy_middleware.rights.deadlines import REMIND_DAYS, add_months, confirm_by, due, end_of
from privacy_middleware.settings import Deadlines

COPENHAGEN, NEW_YORK, LORD_HOWE, KIRITIMATI = map(
    ZoneInfo, ("Europe/Copenhagen", "America/New_York", "Australia/Lord_Howe", "Pacific/Kiritimati")
)


def ms(text: str, zone: tzinfo = UTC) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


def last_day(came: str, *, profile: Deadlines = "gdpr", zone: tzinfo = UTC, **more: Any) -> str:
    """The last day to answer what came at a moment."""
    return str(datetime.fromtimestamp(due(profile, ms(came, zone), zone=zone, **more) / 1000, zone).date())


# --- one month (GDPR art. 12(3); Regulation 1182/71 art. 3(2)(c): the day of the same number) ------------------------------


@pytest.mark.parametrize(
    ("came", "last"),
    [
        ("2026-05-04T12:00", "2026-06-04"),
        ("2026-05-04T00:00", "2026-06-04"),
        ("2026-05-04T23:59:59.999", "2026-06-04"),
        ("2026-12-15T12:00", "2027-01-15"),
        ("2025-11-30T12:00", "2025-12-30"),
    ],
)
def test_a_month_ends_on_the_day_of_the_same_number(came: str, last: str) -> None:
    assert last_day(came) == last


@pytest.mark.parametrize(
    ("came", "last"),
    [
        ("2026-03-31T12:00", "2026-04-30"),  # ICO, "Right of access": received on 31 March, answered by 30 April
        ("2026-08-31T12:00", "2026-09-30"),
        ("2025-01-29T12:00", "2025-02-28"),
        ("2025-01-31T12:00", "2025-02-28"),
        ("2028-01-31T12:00", "2028-02-29"),
        ("2028-02-29T12:00", "2028-03-29"),
    ],
)
def test_a_month_that_has_no_such_day_ends_on_its_last(came: str, last: str) -> None:
    assert last_day(came) == last


@pytest.mark.parametrize(
    ("came", "last"),
    [
        ("2026-04-09T12:00", "2026-05-11"),  # a Saturday
        ("2026-04-10T12:00", "2026-05-11"),  # a Sunday
        ("2026-04-11T12:00", "2026-05-11"),  # a Monday
        ("2026-04-08T12:00", "2026-05-08"),  # a Friday
        ("2026-01-31T12:00", "2026-03-02"),  # the 28th of February is a Saturday
        ("2026-11-02T12:00", "2026-12-02"),
    ],
)
def test_a_month_that_ends_on_a_weekend_ends_on_monday(came: str, last: str) -> None:
    """Regulation 1182/71, art. 3(4)."""
    assert last_day(came) == last


@pytest.mark.parametrize(
    ("came", "last"),
    [
        ("2026-05-04T12:00", "2026-08-04"),
        ("2025-11-30T12:00", "2026-03-02"),
        ("2027-11-30T12:00", "2028-02-29"),
        ("2026-10-31T12:00", "2027-02-01"),
    ],
)
def test_the_longer_period_is_two_months_more(came: str, last: str) -> None:
    assert last_day(came, extended=True) == last


# --- California (11 CCR 7021) ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("came", "last"), [("2026-01-01T12:00", "2026-02-15"), ("2026-05-04T12:00", "2026-06-18"), ("2028-01-31T12:00", "2028-03-16")]
)
def test_in_california_there_are_45_days(came: str, last: str) -> None:
    assert last_day(came, profile="ccpa") == last


def test_in_california_the_longer_period_is_90_days_in_all() -> None:
    assert last_day("2026-01-01T12:00", profile="ccpa", extended=True) == "2026-04-01"


@pytest.mark.parametrize(
    ("came", "last"),
    [
        ("2026-05-04T12:00", "2026-05-18"),  # a Monday
        ("2026-05-08T12:00", "2026-05-22"),  # a Friday
        ("2026-05-09T12:00", "2026-05-22"),  # a Saturday
        ("2026-05-10T12:00", "2026-05-22"),  # a Sunday
        ("2026-12-28T12:00", "2027-01-11"),
    ],
)
def test_in_california_receipt_is_confirmed_within_ten_business_days(came: str, last: str) -> None:
    moment = confirm_by("ccpa", ms(came), zone=UTC)
    assert str(datetime.fromtimestamp(moment / 1000, UTC).date()) == last


@pytest.mark.parametrize("profile", ["gdpr", "uk"])
def test_elsewhere_receipt_needs_no_confirmation_before_the_answer(profile: Deadlines) -> None:
    moment = ms("2026-05-04T12:00")
    assert confirm_by(profile, moment, zone=UTC) == due(profile, moment, zone=UTC)


# --- time zones and daylight saving ----------------------------------------------------------------------------------------


def test_the_day_on_which_it_came_is_the_owners() -> None:
    moment = ms("2026-04-30T23:30")
    ends = {zone: datetime.fromtimestamp(due("gdpr", moment, zone=zone) / 1000, zone).date() for zone in (UTC, COPENHAGEN, NEW_YORK)}
    assert ends == {UTC: date(2026, 6, 1), COPENHAGEN: date(2026, 6, 1), NEW_YORK: date(2026, 6, 1)}
    moment = ms("2026-06-30T23:30")
    assert due("gdpr", moment, zone=COPENHAGEN) > due("gdpr", moment, zone=UTC)


@pytest.mark.parametrize(
    ("day", "zone", "hours"),
    [
        ("2026-03-29", COPENHAGEN, 23),
        ("2026-10-25", COPENHAGEN, 25),
        ("2026-11-01", NEW_YORK, 25),
        ("2026-10-04", LORD_HOWE, 23.5),
        ("2026-05-04", COPENHAGEN, 24),
    ],
)
def test_a_day_ends_with_its_last_millisecond_however_long_it_is(day: str, zone: ZoneInfo, hours: float) -> None:
    assert end_of(date.fromisoformat(day), zone) == ms(day + "T00:00", zone) + hours * 3_600_000 - 1


def test_a_deadline_across_the_change_of_the_clock_is_the_end_of_the_owners_day() -> None:
    assert due("gdpr", ms("2026-09-27T12:00", COPENHAGEN), zone=COPENHAGEN) == ms("2026-10-28T00:00", COPENHAGEN) - 1
    assert due("gdpr", ms("2026-02-28T12:00", COPENHAGEN), zone=COPENHAGEN) == ms("2026-03-31T00:00", COPENHAGEN) - 1


def test_an_instant_within_the_repeated_hour_counts_for_its_day() -> None:
    first = round(datetime(2026, 10, 25, 2, 30, tzinfo=COPENHAGEN).timestamp() * 1000)
    assert due("gdpr", first, zone=COPENHAGEN) == due("gdpr", first + 3_600_000, zone=COPENHAGEN)


# --- in general ------------------------------------------------------------------------------------------------------------

MOMENTS = st.integers(ms("2000-01-01T00:00"), ms("2099-12-31T00:00"))
ZONES = st.sampled_from([UTC, COPENHAGEN, NEW_YORK, LORD_HOWE, KIRITIMATI])
PROFILES = st.sampled_from(["gdpr", "uk", "ccpa"])


@given(MOMENTS, st.integers(0, 400 * 86_400_000), ZONES, PROFILES, st.booleans())
def test_what_came_later_is_never_due_earlier(moment: int, later: int, zone: tzinfo, profile: Deadlines, extended: bool) -> None:
    assert due(profile, moment, zone=zone, extended=extended) <= due(profile, moment + later, zone=zone, extended=extended)


@given(MOMENTS, ZONES, st.booleans())
def test_the_law_of_the_united_kingdom_counts_alike(moment: int, zone: tzinfo, extended: bool) -> None:
    assert due("uk", moment, zone=zone, extended=extended) == due("gdpr", moment, zone=zone, extended=extended)


@given(MOMENTS, ZONES, PROFILES)
def test_the_longer_period_is_longer_and_a_receipt_is_confirmed_within_the_first(moment: int, zone: tzinfo, profile: Deadlines) -> None:
    first, longer = due(profile, moment, zone=zone), due(profile, moment, zone=zone, extended=True)
    assert moment < confirm_by(profile, moment, zone=zone) <= first < longer


@given(MOMENTS, ZONES, PROFILES, st.booleans())
def test_a_deadline_is_the_last_millisecond_of_an_owners_day(moment: int, zone: tzinfo, profile: Deadlines, extended: bool) -> None:
    end = due(profile, moment, zone=zone, extended=extended)
    day = datetime.fromtimestamp(end / 1000, zone).date()
    assert datetime.fromtimestamp((end + 1) / 1000, zone).date() == day + timedelta(days=1)


@given(MOMENTS, ZONES, st.booleans())
def test_a_deadline_by_months_is_no_weekend_and_not_much_longer_than_the_months(moment: int, zone: tzinfo, extended: bool) -> None:
    came = datetime.fromtimestamp(moment / 1000, zone).date()
    last = datetime.fromtimestamp(due("gdpr", moment, zone=zone, extended=extended) / 1000, zone).date()
    assert last.weekday() < 5
    assert (89 if extended else 28) <= (last - came).days <= (94 if extended else 33)


@given(st.dates(date(1, 1, 1), date(9990, 1, 1)), st.integers(0, 100))
def test_months_later_it_is_that_month_and_no_later_day(day: date, months: int) -> None:
    later = add_months(day, months)
    assert (later.year * 12 + later.month) - (day.year * 12 + day.month) == months
    assert later.day <= day.day
    assert later.day == day.day or (later + timedelta(days=1)).day == 1


def test_the_owner_is_reminded_a_week_and_a_day_before() -> None:
    assert REMIND_DAYS == (7, 1)


def test_midnight_is_the_beginning_of_a_day() -> None:
    midnight = round(datetime.combine(date(2026, 5, 4), time(), COPENHAGEN).timestamp() * 1000)
    assert due("gdpr", midnight, zone=COPENHAGEN) == due("gdpr", midnight + 3_600_000, zone=COPENHAGEN)
    assert due("gdpr", midnight - 1, zone=COPENHAGEN) < due("gdpr", midnight, zone=COPENHAGEN)
