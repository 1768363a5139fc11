"""What the statement says of data requests is what the code does: each number and kind compared with the constants in use."""

import re
from datetime import UTC, date
from typing import Any, get_args

import pytest

from privacy_middleware.forms import AUDIT_DAYS
from privacy_middleware.language import Languages
from privacy_middleware.privacy import Privacy
from privacy_middleware.rights import limits, links, mails, outbox
from privacy_middleware.rights.deadlines import add_months, due
from privacy_middleware.rights.requests import DAY, Kind
from privacy_middleware.settings import REQUEST_DAYS, Deadlines
from privacy_middleware.statement.requests import _OF_KIND, PERIODS
from privacy_middleware.values import REQUEST_KINDS

from .requesting import ANNA, HOUR, POLICY, RECIPIENT, Desk, amount, at_desk, query
from .test_deadlines import ms

ENGLISH = Languages().get("en")
LAWS: tuple[Deadlines, ...] = get_args(Deadlines)


def statement(*, policy: str = POLICY, **settings: Any) -> dict[str, str]:
    """The texts of the statement, by title."""
    privacy = Privacy.from_sources({"base_url": "https://www.example.org", "policy": policy, **settings}, {})
    return {section.title: "\n".join(section.paragraphs) for section in privacy.sections(ENGLISH)}


def everything(**settings: Any) -> str:
    return "\n".join(statement(**settings).values())


def kept(**settings: Any) -> str:
    return statement(**settings)["What we keep of a data request"]


# --- the answer ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("law", LAWS)
def test_the_period_of_the_law_in_force_is_said(law: Deadlines) -> None:
    assert PERIODS[law] in everything(deadlines=law)


def test_every_law_has_its_period() -> None:
    assert set(PERIODS) == set(LAWS)


@pytest.mark.parametrize("law", ["gdpr", "uk"])
def test_the_months_that_are_said_are_those_that_are_kept(law: Deadlines) -> None:
    assert "one month" in PERIODS[law]
    assert "two months more" in PERIODS[law]
    came = date(2026, 5, 4)
    assert due(law, ms("2026-05-04T12:00"), zone=UTC) == ms(f"{add_months(came, 1)}T00:00") + DAY - 1
    assert due(law, ms("2026-05-04T12:00"), zone=UTC, extended=True) == ms(f"{add_months(came, 3)}T00:00") + DAY - 1


def test_the_days_that_are_said_for_california_are_those_that_are_kept() -> None:
    first, more = map(int, re.findall(r"(\d+) days", PERIODS["ccpa"]))
    assert due("ccpa", ms("2026-05-04T12:00"), zone=UTC) == ms("2026-05-05T00:00") + first * DAY - 1
    assert due("ccpa", ms("2026-05-04T12:00"), zone=UTC, extended=True) == ms("2026-05-05T00:00") + (first + more) * DAY - 1


def test_every_kind_of_request_has_its_words() -> None:
    kinds = set(REQUEST_KINDS)
    assert set(_OF_KIND) == set(mails.YOU_ASKED) == set(mails.NAMES) == set(get_args(Kind)) == kinds


@pytest.mark.parametrize("kind", [kind for kind in REQUEST_KINDS if kind != "complaint"])
def test_a_kind_that_is_reviewed_is_named_and_no_other(kind: str) -> None:
    [sentence] = re.findall(r"One of us looks at these: ([^.]*)\.", everything(review=kind))
    named = {name for name, words in _OF_KIND.items() if words in sentence.lower()}
    assert named == {kind, "complaint"}


def test_complaints_are_looked_at_whatever_is_reviewed() -> None:
    assert "One of us looks at these: questions and complaints." in everything(review="")


@pytest.mark.parametrize("kind", REQUEST_KINDS)
@pytest.mark.parametrize("review", ["", "overview,erasure", "correction,restriction,objection"])
def test_what_is_said_to_be_looked_at_waits_for_the_owner_and_the_rest_does_not(kind: Any, review: str) -> None:
    with at_desk(review=review) as desk:
        sentence = re.findall(
            r"One of us looks at these: ([^.]*)\.", "\n".join(p for one in desk.privacy.sections(ENGLISH) for p in one.paragraphs)
        )[0]
        request = desk.confirmed(kind, text="why?" if kind == "complaint" else "")
        is_said = _OF_KIND[kind] in sentence.lower()
        if kind != "correction":  # which waits once it is filled in
            assert (request.state == "in_review") is is_said


@pytest.mark.parametrize(("delay", "words"), [("0", None), ("12h", "12 hours"), ("3d", "72 hours")])
def test_the_time_to_call_an_erasure_off_is_said(delay: str, words: str | None) -> None:
    found = re.findall(r"called off for ([^;]*);", everything(erasure_delay=delay))
    assert found == ([words] if words else [])


def test_an_erasure_is_done_when_it_is_said_to_be() -> None:
    with at_desk(erasure_delay="12h") as desk:
        request = desk.confirmed("erasure")
        desk.clock.move(hours=11, minutes=59)
        desk.work()
        assert desk.state(request) == "confirmed"
        desk.clock.move(minutes=2)
        desk.work()
        assert desk.state(request) == "fulfilled"


def test_the_way_to_the_court_and_the_authority_is_said() -> None:
    assert "complain to the data protection authority of your country, and go to court" in everything()


def test_recipients_are_told_as_it_is_said() -> None:
    assert "Those who got data from us are told." in everything(policy=POLICY + RECIPIENT)


def test_the_page_is_called_as_the_statement_says() -> None:
    from privacy_middleware.site.pages import Pages

    assert "“Your data”" in everything()
    templates = Pages(Languages())._environment(Languages().get("en"))
    assert "Your data" in (templates.loader.get_source(templates, "requests.html")[0] if templates.loader else "")


# --- what is kept ----------------------------------------------------------------------------------------------------------


def left(desk: Desk, days: float = 0, hours: float = 0) -> int:
    """How many requests are stored after a time, in steps that no clock jumps over."""
    hours += days * 24
    while hours > 0:
        desk.clock.move(hours=min(hours, 24 * 5))
        hours -= 24 * 5
        with desk.store.transaction():
            desk.store.set_mark("clock", desk.now)
        desk.work()
    return amount("request")


def test_a_request_that_nobody_confirms_is_forgotten_after_the_time_that_is_said() -> None:
    [hours] = map(int, re.findall(r"within (\d+) hours", kept()))
    assert hours * HOUR == links.LIFE["confirm"]
    with at_desk() as desk:
        request = desk.ask()
        desk.work()
        desk.clock.move(hours=hours - 0.1)
        desk.work()
        assert desk.get(request).sealed is not None
        desk.clock.move(hours=0.2)
        desk.work()
        gone = desk.get(request)
        assert (gone.state, gone.sealed, gone.subject, gone.lookup) == ("expired", None, None, None)


def test_the_mail_says_the_same_hours_as_the_statement() -> None:
    [hours] = re.findall(r"within (\d+) hours", kept())
    with at_desk() as desk:
        desk.ask()
        desk.work()
        assert f"holds for {hours} hours" in desk.mail("confirm").text


def test_a_request_is_kept_for_the_days_that_are_said() -> None:
    [days] = map(int, re.findall(r"(\d+) days after our answer", kept()))
    assert days == REQUEST_DAYS
    with at_desk() as desk:
        request = desk.confirmed("overview")
        assert left(desk, days=days - 1) == 1
        assert desk.get(request).sealed is not None
        assert left(desk, days=1.1) == 0


@pytest.mark.parametrize("kind", ["objection", "restriction"])
def test_a_wish_that_holds_longer_is_kept_as_long_and_that_is_said(kind: Any) -> None:
    assert re.search(r"objection[^.]* as long as it holds", kept())
    with at_desk() as desk:
        desk.submit()
        desk.confirmed(kind)
        assert left(desk, days=REQUEST_DAYS + 2) == 1


def test_the_audit_log_is_kept_for_the_days_that_are_said() -> None:
    assert f"that note is kept for {AUDIT_DAYS} days" in kept()


def test_mails_wait_for_the_week_that_is_said() -> None:
    assert "for a week at most" in kept()
    assert outbox.LIFE == 7 * DAY
    assert max(links.LIFE["confirm"], links.LIFE["overview"], links.LIFE["correct"]) <= outbox.LIFE


def test_counts_are_kept_for_the_day_that_is_said() -> None:
    assert "we count for a day" in kept()
    assert limits.HOURS == 24


def test_the_links_hold_and_act_as_the_mails_say() -> None:
    with at_desk() as desk:
        desk.confirmed("overview")
        desk.confirmed("correction")
        desk.work()
        texts = [mail.text for mail in desk.mails if mail.kind == "ready"]
    assert len(texts) == 2
    assert {re.findall(r"holds for (\d+) hours", text)[0] for text in texts} == {str(links.LIFE["overview"] // HOUR)}
    assert any("three times" in text for text in texts)
    assert (links.USES["overview"], links.LIFE["overview"]) == (3, links.LIFE["correct"])


def test_after_an_erasure_nothing_remains_of_the_address_but_the_checksum_that_is_said() -> None:
    assert "nothing remains of your address but that keyed checksum" in " ".join(kept().split())
    with at_desk() as desk:
        desk.submit()
        lookup = desk.lookup()
        request = desk.confirmed("erasure")
        desk.work()
        gone = desk.get(request)
        assert (gone.sealed, gone.subject, gone.lookup) == (None, None, None)
        assert [row["lookup"] for row in query("SELECT lookup FROM tombstone")] == [lookup]
        assert amount("subject") == 0


def test_what_is_kept_of_a_request_is_what_is_said() -> None:
    """The address, the text, the language under a key of its own; kind, state, dates and the statement beside."""
    text = kept()
    for words in (
        "e-mail address",
        "what you write",
        "language",
        "kind, state and dates",
        "version of this statement",
        "encrypted under a key",
    ):
        assert words in text
    with at_desk() as desk:
        desk.ask("complaint", text="a canary asks")
        [row] = query("SELECT * FROM request")
    assert set(row) == {"id", "kind", "state", "lookup", "subject", "created", "due", "confirmed", "acts", "closed", "extended", "reminded",
                        "tries", "statement", "sealed"}  # fmt: skip
    assert ANNA.encode() not in row["sealed"]


def test_the_legal_basis_is_said() -> None:
    assert "GDPR art. 6(1)(c)" in kept()
