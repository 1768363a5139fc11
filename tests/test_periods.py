"""Periods: which days an address names, by name and by date, whatever it holds."""

from datetime import date, timedelta
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy_middleware.collect.visitor import date_of, day_number
from privacy_middleware.language import english
from privacy_middleware.site.periods import DEFAULT, LONGEST_DAYS, NAMES, Faulty, Period, named, read_period
from privacy_middleware.site.periods import span as span_in

TODAY = date(2026, 11, 23)
days = st.dates(date(1971, 1, 1), date(2100, 12, 31))


def span(text: str, today: date = TODAY) -> tuple[str, str]:
    found = read_period(dict(parse_qsl(text, keep_blank_values=True)), day_number(today))
    return found.begins, found.ends


@pytest.mark.parametrize(("name", "first", "last"), [
    ("today", "2026-11-23", "2026-11-23"),
    ("yesterday", "2026-11-22", "2026-11-22"),
    ("7d", "2026-11-17", "2026-11-23"),
    ("30d", "2026-10-25", "2026-11-23"),
    ("month", "2026-11-01", "2026-11-23"),
    ("last-month", "2026-10-01", "2026-10-31"),
    ("12m", "2025-12-01", "2026-11-23"),
])  # fmt: skip
def test_each_name_stands_for_its_days(name: str, first: str, last: str) -> None:
    assert span(f"period={name}") == (first, last)


@pytest.mark.parametrize(("today", "name", "first", "last"), [
    ("2026-01-01", "last-month", "2025-12-01", "2025-12-31"),
    ("2026-01-01", "yesterday", "2025-12-31", "2025-12-31"),
    ("2026-01-01", "12m", "2025-02-01", "2026-01-01"),
    ("2026-12-31", "12m", "2026-01-01", "2026-12-31"),
    ("2028-02-29", "12m", "2027-03-01", "2028-02-29"),
    ("2028-03-31", "last-month", "2028-02-01", "2028-02-29"),
    ("2026-05-01", "month", "2026-05-01", "2026-05-01"),
])  # fmt: skip
def test_names_hold_at_the_turn_of_months_and_years(today: str, name: str, first: str, last: str) -> None:
    assert span(f"period={name}", date.fromisoformat(today)) == (first, last)


def test_nothing_said_is_thirty_days() -> None:
    assert span("") == span("from=&to=") == span(f"period={DEFAULT}")


def test_of_days_one_is_enough() -> None:
    assert span("from=2026-05-04") == span("to=2026-05-04") == ("2026-05-04", "2026-05-04")


def test_days_come_before_a_name() -> None:
    assert span("period=today&from=2026-05-04&to=2026-05-10") == ("2026-05-04", "2026-05-10")


@pytest.mark.parametrize(("text", "remedy"), [
    ("period=", "Known are"),
    ("period=decade", "Known are"),
    ("from=x", "2026-05-01"),
    ("from=2026-02-29", "2026-05-01"),
    ("from=2026-05-04&to=2026-05-03", "Swap them"),
    ("from=1970-12-31", "1971 to 2100"),
    ("from=2101-01-01", "1971 to 2100"),
    ("from=2010-01-01&to=2026-01-01", "fewer days"),
])  # fmt: skip
def test_what_names_no_period_is_told_with_a_remedy(text: str, remedy: str) -> None:
    with pytest.raises(Faulty, match=remedy):
        span(text)


@given(today=days, name=st.sampled_from(sorted(NAMES)))
def test_an_address_names_the_period_that_wrote_it(today: date, name: str) -> None:
    found = named(name, day_number(today))
    assert read_period(dict(parse_qsl(found.query)), day_number(today)) == found
    assert date_of(found.last) <= today
    assert 1 <= found.days <= 366


@given(first=days, length=st.integers(0, LONGEST_DAYS))
def test_given_days_come_back_as_they_were(first: date, length: int) -> None:
    last = min(first + timedelta(length), date(2100, 12, 31))
    found = read_period({"from": first.isoformat(), "to": last.isoformat()}, 0)
    assert (date_of(found.first), date_of(found.last)) == (first, last)
    assert read_period(dict(parse_qsl(found.query)), 0) == found


@given(first=st.integers(366, 40_000), length=st.integers(0, 400))
def test_the_period_before_is_as_long_and_ends_the_day_before(first: int, length: int) -> None:
    found = Period("", first, first + length)
    assert found.before.days == found.days
    assert found.before.last == found.first - 1


@given(
    st.dictionaries(
        st.sampled_from(["period", "from", "to", "by"]),
        st.text(max_size=30) | st.sampled_from(["2026-05-04", "7d", "20260504", "2026-W01-1"]),
    )
)
def test_any_address_names_a_period_or_is_faulty(query: dict[str, str]) -> None:
    try:
        found = read_period(query, day_number(TODAY))
    except Faulty:
        pass
    else:
        assert 0 < found.days <= LONGEST_DAYS + 1


def test_days_are_written_as_people_do() -> None:
    first = day_number(date(2026, 5, 4))
    assert span_in(english(), first, first) == "4 May 2026"
    assert span_in(english(), first, first + 1) == "4 May 2026 to 5 May 2026"
