"""Data requests: how they go from state to state, who may do what, and what is left after each."""

import base64
import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from privacy_middleware.errors import PrivacyError, VaultError
from privacy_middleware.record.submissions import find, is_restricted, purge, root_key
from privacy_middleware.rights import links, mails, requests
from privacy_middleware.rights.requests import OPEN, Edit, Particulars, Request
from privacy_middleware.rights.requests import confirm as confirm_request
from privacy_middleware.settings import REQUEST_DAYS
from privacy_middleware.values import REQUEST_KINDS

from .requesting import ANNA, DAY, HOUR, OTTO, OWNER, TEXT, Desk, actions, amount, at_desk, query, token_in

WORDS = "a canary's reason"
EVER = {"first": 0, "last": 2**31}
REVIEWED = {"review": "overview,correction,erasure,restriction,objection"}


@pytest.fixture
def desk() -> Iterator[Desk]:
    with at_desk() as one:
        yield one


@pytest.fixture
def reviewing() -> Iterator[Desk]:
    """A desk whose owner reviews every kind."""
    with at_desk(**REVIEWED) as one:
        yield one


def ask_about(desk: Desk, kind: str, email: str = ANNA) -> Request:
    return desk.confirmed(kind, email, text="a canary asks" if kind == "complaint" else "")


def edited(desk: Desk, request: Request, *edits: Edit, note: str = "") -> Request:
    """Send the correction form."""
    with desk.store.transaction():
        who = Particulars(ANNA, text=note, edits=edits)
        return requests.review_edits(desk.office, desk.store, desk.get(request), who, now=desk.now)


def edit(desk: Desk, new: str = "a canary sleeps", *, auto: bool = False) -> Edit:
    """An edit of the first thing that is kept."""
    [stored, *_] = find(desk.store, **EVER)
    return Edit(stored.id, "contact", "message", 0, TEXT, new, auto)


def left_of(request: Request) -> dict[str, Any]:
    """What is stored of a request that could lead to a person."""
    [row] = query("SELECT lookup, subject, sealed FROM request WHERE id = :id", id=request.id)
    return row | {
        "links": amount("link", "request = :id", id=request.id),
        "mails": amount("mail", "request = :id", id=request.id),
        "steps": amount("step", "request = :id", id=request.id),
    }


NOTHING = {"lookup": None, "subject": None, "sealed": None, "links": 0, "mails": 0, "steps": 0}


# --- asking ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", REQUEST_KINDS)
def test_a_request_waits_for_the_proof(kind: str, desk: Desk) -> None:
    assert desk.ask(kind).state == "awaiting_confirmation"
    desk.work()
    assert desk.to() == ["confirm"]


def test_a_request_that_no_mail_can_ask_about_waits_as_received() -> None:
    with at_desk(mail=False) as desk:
        assert desk.ask().state == "received"
        assert amount("mail") == amount("link") == 0


def test_a_request_without_a_base_url_waits_as_received() -> None:
    with at_desk(base_url="") as desk:
        assert desk.ask().state == "received"
        desk.work()
        assert desk.mails == []


def test_a_request_that_came_without_mail_is_asked_about_once_there_is_mail() -> None:
    with at_desk(mail=False) as desk:
        request = desk.ask()
    with at_desk() as desk:
        desk.work()
        assert desk.state(request) == "awaiting_confirmation"
        assert desk.to() == ["confirm"]


def test_a_request_that_waited_for_mail_for_days_can_still_be_confirmed() -> None:
    with at_desk(mail=False) as desk:
        request = desk.ask()
    with at_desk() as desk:
        desk.clock.move(days=3)
        desk.work()
        desk.clock.move(hours=23)
        desk.work()
        assert desk.state(request) == "awaiting_confirmation"


@pytest.mark.sqlite
def test_asking_looks_at_nothing_that_is_kept(desk: Desk) -> None:
    desk.submit(ANNA)
    traced: list[str] = []
    desk.store.connection.set_trace_callback(lambda sql: traced.append(sql.split("*/")[-1].split("VALUES")[0]))
    desk.ask("overview", ANNA)
    known = list(traced)
    traced.clear()
    desk.ask("overview", OTTO)
    desk.store.connection.set_trace_callback(None)
    assert [sql.split("WHERE")[0] for sql in known] == [sql.split("WHERE")[0] for sql in traced]
    assert known
    assert not any("submission" in sql or "field" in sql for sql in known)


def test_the_mail_that_asks_for_the_proof_holds_no_word_of_the_person(desk: Desk) -> None:
    desk.ask("complaint", text="canary <b>text</b>")
    desk.work()
    mail = desk.mail("confirm")
    assert "canary" not in mail.text + mail.html + mail.subject
    assert mail.to == ANNA


def test_a_link_in_a_mail_begins_with_the_base_url(desk: Desk) -> None:
    desk.ask()
    desk.work()
    assert "https://www.example.org/privacy/requests/confirm/" in desk.mail("confirm").text


def test_two_spellings_of_an_address_ask_for_the_same_person(desk: Desk) -> None:
    assert desk.ask(email="Anna.Canary@EXAMPLE.org").lookup == desk.ask(email=ANNA).lookup


def test_addresses_that_only_look_alike_are_two_people(desk: Desk) -> None:
    assert desk.ask(email="anna@example.org").lookup != desk.ask(email="аnna@example.org").lookup  # noqa: RUF001


def test_what_is_asked_stands_in_no_file_in_plain(desk: Desk) -> None:
    desk.confirmed("complaint", text="The canary asks why")
    desk.work()
    found = b"".join(path.read_bytes() for path in Path().rglob("*") if path.is_file())
    for text in (ANNA, "The canary asks why"):
        for spelling in (text.encode(), text.encode().hex().encode(), base64.b64encode(text.encode()).rstrip(b"=")):
            assert spelling not in found


def test_neither_a_request_nor_its_particulars_show_a_value_in_repr(desk: Desk) -> None:
    request = desk.ask("complaint", text="canary")
    who = requests.particulars(desk.office, desk.store, request)
    assert "canary" not in repr(request) + repr(who) + repr(Edit(b"", "contact", "message", 0, "canary", "canary"))


# --- links -----------------------------------------------------------------------------------------------------------------


def link(desk: Desk, request: Request, purpose: Any = "confirm") -> tuple[str, bytes]:
    with desk.store.transaction():
        root = root_key(desk.store, desk.office.vault())
        return links.make(desk.store, root, request.id, purpose, now=desk.now), root


def test_a_link_leads_to_its_request(desk: Desk) -> None:
    request = desk.ask()
    desk.work()
    _, root = link(desk, request)
    assert links.find(desk.store, root, token_in(desk.mail("confirm")), "confirm", now=desk.now) == (request.id, 1)


@pytest.mark.parametrize("purpose", ["overview", "correct", "status", ""])
def test_a_link_for_another_purpose_leads_nowhere(purpose: Any, desk: Desk) -> None:
    token, root = link(desk, desk.ask())
    assert links.find(desk.store, root, token, purpose, now=desk.now) is None


def test_a_link_holds_until_its_last_millisecond(desk: Desk) -> None:
    token, root = link(desk, desk.ask())
    assert links.find(desk.store, root, token, "confirm", now=desk.now + 24 * HOUR - 1)
    assert links.find(desk.store, root, token, "confirm", now=desk.now + 24 * HOUR) is None


def test_a_link_acts_once(desk: Desk) -> None:
    token, root = link(desk, desk.ask())
    assert [links.use(desk.store, root, token) for _ in range(3)] == [True, False, False]


def test_a_link_to_an_overview_acts_three_times(desk: Desk) -> None:
    token, root = link(desk, desk.ask("overview"), "overview")
    assert [links.use(desk.store, root, token) for _ in range(4)] == [True, True, True, False]


def test_two_links_of_one_request_and_purpose_share_their_uses(desk: Desk) -> None:
    request = desk.ask()
    [(one, root), *others] = [link(desk, request) for _ in range(9)]
    assert links.use(desk.store, root, one)
    assert not any(links.use(desk.store, root, other) for other, _ in others)


def test_a_link_takes_no_use_of_another_request(desk: Desk) -> None:
    (one, root), (other, _) = link(desk, desk.ask(email=ANNA)), link(desk, desk.ask(email=OTTO))
    assert links.use(desk.store, root, one)
    assert links.use(desk.store, root, other)


@pytest.mark.parametrize("token", ["", "x", "x" * 43, "x" * 10_000, "\0", "ü", "' OR 1 --", "\ud800"])
def test_what_is_no_link_leads_nowhere(token: str, desk: Desk) -> None:
    _, root = link(desk, desk.ask())
    assert links.find(desk.store, root, token, "confirm", now=desk.now) is None
    assert not links.use(desk.store, root, token)


def test_the_database_does_not_hold_the_link_itself(desk: Desk) -> None:
    token, _ = link(desk, desk.ask())
    raw = base64.urlsafe_b64decode(token + "=")
    assert len(raw) == 32
    found = b"".join(path.read_bytes() for path in Path().glob("privacy.db*"))
    assert token.encode() not in found
    assert raw not in found


# --- confirming ------------------------------------------------------------------------------------------------------------

AFTER: dict[str, tuple[str, list[str]]] = {
    "overview": ("fulfilled", ["ready"]),
    "correction": ("confirmed", ["ready"]),
    "erasure": ("fulfilled", ["receipt"]),
    "restriction": ("fulfilled", ["fulfilled"]),
    "objection": ("fulfilled", ["fulfilled"]),
    "complaint": ("in_review", ["received"]),
}


@pytest.mark.parametrize("kind", AFTER)
def test_what_follows_the_proof(kind: str, desk: Desk) -> None:
    request = ask_about(desk, kind)
    desk.work()
    assert (desk.state(request), [one for one in desk.to() if one != "confirm"]) == AFTER[kind]


@pytest.mark.parametrize("kind", [kind for kind in AFTER if kind != "correction"])
def test_a_reviewed_kind_waits_for_the_owner_who_is_told(kind: str, reviewing: Desk) -> None:
    request = ask_about(reviewing, kind)
    reviewing.work()
    assert reviewing.state(request) == "in_review"
    assert reviewing.to(OWNER) == ["to_review"]
    assert "received" in reviewing.to(ANNA)


def test_the_mail_to_the_owner_names_nobody(reviewing: Desk) -> None:
    request = ask_about(reviewing, "complaint")
    reviewing.work()
    mail = reviewing.mail("to_review")
    assert "canary" not in mail.text + mail.subject
    assert request.id.hex()[:10] in mail.text


def test_a_correction_is_reviewed_only_once_it_is_written(reviewing: Desk) -> None:
    assert reviewing.confirmed("correction").state == "confirmed"


def test_confirming_twice_does_nothing_more(desk: Desk) -> None:
    request = desk.confirmed("overview")
    before = query("SELECT * FROM request"), actions(), amount("mail")
    assert desk.confirm(request) == request
    assert (query("SELECT * FROM request"), actions(), amount("mail")) == before


def test_confirming_what_was_read_before_it_changed_is_refused(desk: Desk) -> None:
    asked = desk.ask("overview")
    desk.confirm(asked)
    with pytest.raises(PrivacyError, match="at the same moment"):
        desk.confirm(asked)
    assert actions().count("request fulfilled") == 1


def test_from_the_proof_on_the_period_of_the_law_counts_from_the_asking(desk: Desk) -> None:
    asked = desk.ask("complaint", text="canary")
    desk.clock.move(hours=20)
    confirmed = desk.confirm(asked)
    assert datetime.fromtimestamp(confirmed.due / 1000, UTC).date().isoformat() == "2026-06-04"  # a month after 4 May


def test_under_the_ccpa_it_must_first_be_confirmed_then_answered() -> None:
    with at_desk(deadlines="ccpa") as desk:
        asked = desk.ask("complaint", text="canary")
        confirmed = desk.confirm(asked)
        days = [datetime.fromtimestamp(one.due / 1000, UTC).date().isoformat() for one in (asked, confirmed)]
    assert days == ["2026-05-18", "2026-06-18"]


def test_an_erasure_with_a_delay_is_told_and_can_be_called_off() -> None:
    with at_desk(erasure_delay="3d") as desk:
        desk.submit()
        request = desk.confirmed()
        desk.work()
        assert request.acts == desk.now + 3 * DAY
        assert "received" in desk.to()
        assert desk.withdraw(request).state == "withdrawn"
        desk.clock.move(days=4)
        desk.work()
        assert desk.messages() == [TEXT]


@pytest.mark.parametrize("kind", ["restriction", "objection"])
def test_who_restricts_or_objects_is_marked_so(kind: str, desk: Desk) -> None:
    desk.submit(ANNA, OTTO)
    desk.confirmed(kind)
    assert sorted(is_restricted(desk.store, stored) for stored in find(desk.store, **EVER)) == [False, True]


def test_who_restricts_and_has_sent_nothing_is_answered_all_the_same(desk: Desk) -> None:
    assert desk.confirmed("restriction").state == "fulfilled"


def test_restricted_data_are_not_purged(desk: Desk) -> None:
    desk.submit(ANNA, OTTO)
    desk.confirmed("restriction")
    purge(desk.store, desk.office.declaration.forms, today=desk.now // DAY + 500)
    assert (desk.messages(ANNA), desk.messages(OTTO)) == ([TEXT], [])


def test_after_an_objection_data_are_purged_when_their_time_is_over_as_the_mail_says(desk: Desk) -> None:
    desk.submit(ANNA)
    desk.confirmed("objection")
    purge(desk.store, desk.office.declaration.forms, today=desk.now // DAY + 500)
    assert desk.messages(ANNA) == []


def test_the_purge_of_submissions_leaves_the_keys_of_requests_and_mails(desk: Desk) -> None:
    desk.submit(ANNA)
    request = desk.confirmed("complaint", text="why")
    purge(desk.store, desk.office.declaration.forms, today=desk.now // DAY + 500)
    assert requests.particulars(desk.office, desk.store, desk.get(request)).text == "why"
    desk.work()
    assert "received" in desk.to()


# --- two of a kind ---------------------------------------------------------------------------------------------------------


def test_a_correction_that_waits_for_its_person_gives_way_to_another_since_they_may_have_lost_its_link(desk: Desk) -> None:
    first, second = desk.confirmed("correction"), desk.confirmed("correction")
    assert (desk.state(first), second.state) == ("withdrawn", "confirmed")


def test_a_second_proven_request_does_not_cancel_one_in_review(reviewing: Desk) -> None:
    first, second = reviewing.confirmed("erasure"), reviewing.confirmed("erasure")
    assert (reviewing.state(first), second.state) == ("in_review", "withdrawn")


@pytest.mark.parametrize("kind", [kind for kind in REQUEST_KINDS if kind != "complaint"])
def test_an_unproven_request_in_another_name_cancels_nothing(kind: str, reviewing: Desk) -> None:
    attackers = [reviewing.ask(kind) for _ in range(5)]
    victims = reviewing.confirmed(kind)
    attackers += [reviewing.ask(kind) for _ in range(5)]
    reviewing.work()
    assert reviewing.state(victims) in ("in_review", "confirmed")
    assert {reviewing.state(one) for one in attackers} == {"awaiting_confirmation"}


def test_what_an_attacker_withdraws_or_lets_lapse_leaves_the_victims_request(desk: Desk) -> None:
    attackers, victims = desk.ask("correction"), desk.ask("correction")
    desk.withdraw(attackers)
    third = desk.ask("correction")
    victims = desk.confirm(victims)
    desk.clock.move(hours=25)
    desk.work()
    assert (desk.state(victims), desk.state(third)) == ("confirmed", "expired")


def test_the_unproven_twin_of_a_request_can_do_nothing_itself(desk: Desk) -> None:
    """A proof belongs to one request: it does not prove another one of the same address."""
    desk.submit(ANNA)
    attackers = desk.ask("erasure")
    desk.confirmed("overview")
    desk.work()
    assert desk.state(attackers) == "awaiting_confirmation"
    assert desk.messages() == [TEXT]


def test_requests_of_two_people_do_not_count_as_the_same(desk: Desk) -> None:
    assert [desk.confirmed("correction", email).state for email in (ANNA, OTTO)] == ["confirmed", "confirmed"]


def test_two_kinds_of_one_person_do_not_count_as_the_same(reviewing: Desk) -> None:
    assert [ask_about(reviewing, kind).state for kind in ("overview", "erasure", "objection")] == ["in_review"] * 3


def test_questions_are_never_taken_for_the_same(desk: Desk) -> None:
    assert [ask_about(desk, "complaint").state for _ in range(3)] == ["in_review"] * 3


def test_one_can_ask_again_once_the_first_is_answered(reviewing: Desk) -> None:
    first = reviewing.confirmed("overview")
    reviewing.decide(requests.refuse, first, reason=WORDS)
    assert reviewing.confirmed("overview").state == "in_review"


# --- approving -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "mail"), [(kind, mail[-1]) for kind, (_, mail) in AFTER.items() if kind not in ("correction", "complaint")]
)
def test_what_the_owner_approves_is_done(kind: str, mail: str, reviewing: Desk) -> None:
    reviewing.submit(ANNA)
    request = ask_about(reviewing, kind)
    reviewing.decide(requests.approve, request)
    reviewing.work()
    assert reviewing.state(request) == "fulfilled"
    assert mail in reviewing.to()


@pytest.mark.parametrize("kind", [kind for kind in REQUEST_KINDS if kind != "correction"])
def test_what_the_owner_writes_with_an_approval_reaches_the_person(kind: str, reviewing: Desk) -> None:
    request = ask_about(reviewing, kind)
    reviewing.decide(requests.approve, request, answer=WORDS)
    reviewing.work()
    assert any(WORDS in mail.text for mail in reviewing.mails)


def test_the_owners_words_are_only_text_in_the_html_of_a_mail(desk: Desk) -> None:
    request = ask_about(desk, "complaint")
    desk.decide(requests.approve, request, answer='<script>alert("{{ 1 + 1 }}")</script>')
    desk.work()
    assert "<script>" not in desk.mail("fulfilled").html
    assert "{{ 1 + 1 }}" in desk.mail("fulfilled").text


def test_a_question_cannot_be_approved_without_an_answer(desk: Desk) -> None:
    request = ask_about(desk, "complaint")
    with pytest.raises(PrivacyError, match="--message"):
        desk.decide(requests.approve, request)
    assert desk.state(request) == "in_review"


@pytest.mark.parametrize("kind", REQUEST_KINDS)
def test_an_owners_yes_does_not_take_the_place_of_the_proof(kind: str, reviewing: Desk) -> None:
    reviewing.submit(ANNA)
    request = reviewing.ask(kind)
    with pytest.raises(PrivacyError, match="proven"):
        reviewing.decide(requests.approve, request, answer="yes")
    reviewing.work()
    assert reviewing.state(request) == "awaiting_confirmation"
    assert reviewing.messages() == [TEXT]


def test_what_does_not_wait_for_the_owner_cannot_be_approved(reviewing: Desk) -> None:
    closed = reviewing.confirmed("overview")
    reviewing.decide(requests.refuse, closed, reason=WORDS)
    for request in (reviewing.get(closed), reviewing.confirmed("correction")):
        with pytest.raises(PrivacyError, match="only while"):
            reviewing.decide(requests.approve, request)


def test_of_two_decisions_at_the_same_moment_one_holds(reviewing: Desk) -> None:
    request = reviewing.confirmed("overview")
    reviewing.decide(requests.refuse, request, reason=WORDS)
    with pytest.raises(PrivacyError, match="at the same moment"):
        reviewing.decide(requests.approve, request)  # with what was read before
    reviewing.work()
    assert reviewing.state(request) == "refused"
    assert "ready" not in reviewing.to()


def test_an_approved_erasure_keeps_its_delay() -> None:
    with at_desk(review="erasure", erasure_delay="2d") as desk:
        desk.submit()
        request = desk.confirmed()
        desk.clock.move(days=1)
        desk.decide(requests.approve, request)
        desk.clock.move(days=1)
        desk.work()
        assert desk.messages() == [TEXT]
        desk.clock.move(days=1, minutes=1)
        desk.work()
        assert desk.messages() == []


# --- corrections -----------------------------------------------------------------------------------------------------------


def test_a_written_correction_waits_for_the_owner(desk: Desk) -> None:
    desk.submit()
    request = edited(desk, desk.confirmed("correction"), edit(desk))
    desk.work()
    assert request.state == "in_review"
    assert desk.messages() == [TEXT]


def test_an_approved_correction_is_done(desk: Desk) -> None:
    desk.submit()
    request = edited(desk, desk.confirmed("correction"), edit(desk))
    desk.decide(requests.approve, request)
    desk.work()
    assert desk.state(request) == "fulfilled"
    assert desk.messages() == ["a canary sleeps"]
    assert "fulfilled" in desk.to()


def test_a_correction_of_automatic_fields_needs_no_owner(desk: Desk) -> None:
    desk.submit()
    request = edited(desk, desk.confirmed("correction"), edit(desk, auto=True))
    desk.work()
    assert desk.state(request) == "fulfilled"
    assert desk.messages() == ["a canary sleeps"]


@pytest.mark.parametrize(("auto", "note"), [((True, False), ""), ((True,), "and something else")])
def test_a_correction_with_anything_to_look_at_waits_for_the_owner(auto: tuple[bool, ...], note: str, desk: Desk) -> None:
    desk.submit()
    request = desk.confirmed("correction")
    assert edited(desk, request, *(edit(desk, auto=one) for one in auto), note=note).state == "in_review"


def test_where_corrections_are_not_reviewed_none_waits() -> None:
    with at_desk(review="") as desk:
        desk.submit()
        edited(desk, desk.confirmed("correction"), edit(desk))
        desk.work()
        assert desk.messages() == ["a canary sleeps"]


def test_a_refused_correction_changes_nothing(desk: Desk) -> None:
    desk.submit()
    request = edited(desk, desk.confirmed("correction"), edit(desk))
    desk.decide(requests.refuse, request, reason=WORDS)
    desk.work()
    assert desk.messages() == [TEXT]
    assert WORDS in desk.mail("refused").text


def test_a_correction_does_not_overwrite_what_was_changed_since(desk: Desk) -> None:
    desk.submit()
    stale = edit(desk, "from the old page")
    first = edited(desk, desk.confirmed("correction"), edit(desk))
    desk.decide(requests.approve, first)
    desk.work()
    second = edited(desk, desk.confirmed("correction"), stale)
    desk.decide(requests.approve, second)
    desk.work()
    assert desk.messages() == ["a canary sleeps"]


def test_a_correction_of_what_is_gone_is_done_without_it(desk: Desk) -> None:
    desk.submit()
    request = edited(desk, desk.confirmed("correction"), edit(desk))
    purge(desk.store, desk.office.declaration.forms, today=desk.now // DAY + 500)
    desk.decide(requests.approve, request)
    desk.work()
    assert desk.state(request) == "fulfilled"


# --- refusing, extending, calling off, lifting ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", REQUEST_KINDS)
def test_who_is_refused_is_told_why_and_where_to_complain(kind: str, reviewing: Desk) -> None:
    request = ask_about(reviewing, kind)
    reviewing.decide(requests.refuse, request, reason=WORDS)
    reviewing.work()
    assert reviewing.state(request) == "refused"
    mail = reviewing.mail("refused")
    assert WORDS in mail.text
    assert mails.COMPLAIN in mail.text


def test_a_refused_request_keeps_its_reason_for_the_owner(reviewing: Desk) -> None:
    request = reviewing.confirmed("overview")
    refused = reviewing.decide(requests.refuse, request, reason=WORDS)
    assert requests.particulars(reviewing.office, reviewing.store, refused).answer == WORDS


def test_a_refused_erasure_is_not_done(reviewing: Desk) -> None:
    reviewing.submit()
    reviewing.decide(requests.refuse, reviewing.confirmed(), reason=WORDS)
    reviewing.work()
    assert reviewing.messages() == [TEXT]


def test_who_has_not_proven_the_address_gets_no_mail_of_a_refusal(desk: Desk) -> None:
    request = desk.ask("complaint", text="canary")
    desk.decide(requests.refuse, request, reason=WORDS)
    desk.work()
    assert desk.mails == []
    assert left_of(request) == NOTHING


def test_what_is_closed_cannot_be_refused_or_called_off(desk: Desk) -> None:
    request = desk.confirmed("overview")
    with pytest.raises(PrivacyError, match="only while"):
        desk.decide(requests.refuse, request, reason=WORDS)
    with pytest.raises(PrivacyError, match="only while"):
        desk.withdraw(request)
    with pytest.raises(PrivacyError, match="only while"):
        desk.decide(requests.extend, request, reason=WORDS)


def test_an_extension_is_told_with_its_reason_and_the_new_day(reviewing: Desk) -> None:
    request = reviewing.decide(requests.extend, reviewing.confirmed("overview"), reason=WORDS)
    reviewing.work()
    mail = reviewing.mail("extended")
    assert WORDS in mail.text
    assert "4 August 2026" in mail.text
    assert datetime.fromtimestamp(request.due / 1000, UTC).date().isoformat() == "2026-08-04"


def test_an_extension_keeps_its_reason_for_the_owner(reviewing: Desk) -> None:
    request = reviewing.decide(requests.extend, reviewing.confirmed("overview"), reason=WORDS)
    assert requests.particulars(reviewing.office, reviewing.store, request).answer == WORDS


def test_a_request_is_extended_only_once(reviewing: Desk) -> None:
    request = reviewing.decide(requests.extend, reviewing.confirmed("overview"), reason=WORDS)
    with pytest.raises(PrivacyError, match="once"):
        reviewing.decide(requests.extend, request, reason=WORDS)


def test_a_request_cannot_be_extended_once_its_period_is_over(reviewing: Desk) -> None:
    request = reviewing.confirmed("overview")
    reviewing.clock.now = request.due / 1000 + 1
    with pytest.raises(PrivacyError, match="over"):
        reviewing.decide(requests.extend, request, reason=WORDS)
    assert reviewing.get(request).due == request.due


def test_what_nobody_has_proven_cannot_be_extended(desk: Desk) -> None:
    request = desk.ask()
    with pytest.raises(PrivacyError, match="only while"):
        desk.decide(requests.extend, request, reason=WORDS)


@pytest.mark.parametrize("kind", [kind for kind in REQUEST_KINDS if kind != "correction"])
def test_what_waits_for_the_owner_can_be_called_off(kind: str, reviewing: Desk) -> None:
    request = ask_about(reviewing, kind)
    assert reviewing.withdraw(request).state == "withdrawn"
    with pytest.raises(PrivacyError):
        reviewing.decide(requests.approve, request, answer="yes")


def test_a_withdrawn_erasure_is_not_done(reviewing: Desk) -> None:
    reviewing.submit()
    reviewing.withdraw(reviewing.confirmed())
    reviewing.work()
    assert reviewing.messages() == [TEXT]
    assert "receipt" not in reviewing.to()


def test_what_is_due_cannot_be_called_off_any_more(desk: Desk) -> None:
    request = desk.confirmed("erasure")
    with pytest.raises(PrivacyError, match="being done"):
        desk.withdraw(request)


def test_a_restriction_can_be_lifted_and_the_person_is_told(desk: Desk) -> None:
    desk.submit()
    request = desk.confirmed("restriction")
    desk.decide(requests.lift, request)
    desk.work()
    [stored] = find(desk.store, **EVER)
    assert not is_restricted(desk.store, stored)
    assert "lifted" in desk.to()


def test_what_was_lifted_cannot_be_lifted_again(desk: Desk) -> None:
    desk.submit()
    request = desk.confirmed("restriction")
    desk.decide(requests.lift, request)
    with pytest.raises(PrivacyError):
        desk.decide(requests.lift, desk.get(request))


@pytest.mark.parametrize("kind", ["overview", "correction", "complaint"])
def test_what_restricts_nothing_cannot_be_lifted(kind: str, desk: Desk) -> None:
    request = ask_about(desk, kind)
    with pytest.raises(PrivacyError, match="only a restriction"):
        desk.decide(requests.lift, request)


def test_a_restriction_that_was_not_fulfilled_cannot_be_lifted(reviewing: Desk) -> None:
    request = reviewing.confirmed("restriction")
    with pytest.raises(PrivacyError, match="only a restriction"):
        reviewing.decide(requests.lift, request)


# --- lapsing and purging ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", REQUEST_KINDS)
def test_what_nobody_confirms_within_a_day_lapses(kind: str, desk: Desk) -> None:
    request = desk.ask(kind)
    assert requests.lapse(desk.store, now=desk.now + 24 * HOUR - 1) == 0
    assert requests.lapse(desk.store, now=desk.now + 24 * HOUR) == 1
    assert desk.state(request) == "expired"
    assert left_of(request) == NOTHING


def test_a_correction_that_nobody_writes_within_three_days_lapses(desk: Desk) -> None:
    request = desk.confirmed("correction")
    assert requests.lapse(desk.store, now=desk.now + 72 * HOUR - 1) == 0
    assert requests.lapse(desk.store, now=desk.now + 72 * HOUR) == 1
    assert desk.state(request) == "expired"


def test_a_correction_that_waits_for_the_owner_does_not_lapse(desk: Desk) -> None:
    desk.submit()
    edited(desk, desk.confirmed("correction"), edit(desk))
    assert requests.lapse(desk.store, now=desk.now + 200 * DAY) == 0


def test_what_is_confirmed_does_not_lapse() -> None:
    with at_desk(erasure_delay="14d", **REVIEWED) as desk:
        for kind in ("overview", "erasure", "complaint"):
            ask_about(desk, kind)
        assert requests.lapse(desk.store, now=desk.now + 200 * DAY) == 0


def test_a_lapsed_request_cannot_be_confirmed_any_more(desk: Desk) -> None:
    request = desk.ask()
    requests.lapse(desk.store, now=desk.now + 25 * HOUR)
    assert desk.confirm(desk.get(request)).state == "expired"


def test_a_closed_request_is_purged_after_its_period(desk: Desk) -> None:
    request = desk.confirmed("overview")
    assert requests.purge(desk.store, now=desk.now + REQUEST_DAYS * DAY - 1) == 0
    assert requests.purge(desk.store, now=desk.now + REQUEST_DAYS * DAY) == 1
    assert [amount(table) for table in ("request", "link", "mail", "step", "subject")] == [0] * 5
    assert requests.find_one(desk.store, request.id.hex()) is None


def test_an_open_request_is_never_purged(reviewing: Desk) -> None:
    reviewing.confirmed("overview")
    assert requests.purge(reviewing.store, now=reviewing.now + 10 * REQUEST_DAYS * DAY) == 0
    assert amount("request") == 1


def test_purging_one_request_leaves_those_of_others_and_what_was_sent(desk: Desk) -> None:
    desk.submit(ANNA)
    desk.confirmed("overview", ANNA)
    desk.clock.move(days=10)
    other = desk.confirmed("overview", OTTO)
    requests.purge(desk.store, now=desk.now + (REQUEST_DAYS - 5) * DAY)
    assert [one.id for one in requests.find_all(desk.store)] == [other.id]
    assert requests.particulars(desk.office, desk.store, other).email == OTTO
    assert desk.messages(ANNA) == [TEXT]


def test_links_that_are_over_are_purged(desk: Desk) -> None:
    desk.ask()
    requests.purge(desk.store, now=desk.now + 24 * HOUR)
    assert amount("link") == 0


def test_what_a_slow_source_exported_is_purged_after_three_days(desk: Desk) -> None:
    request = desk.confirmed("overview")
    with desk.store.transaction():
        sql = "INSERT INTO step (request, source, outcome, made, sealed) VALUES (:id, 'slow', 'exported', :now, :sealed)"
        desk.store.execute(sql, id=request.id, now=desk.now, sealed=b"\0")
    requests.purge(desk.store, now=desk.now + 72 * HOUR - 1)
    assert amount("step") == 1
    requests.purge(desk.store, now=desk.now + 72 * HOUR)
    assert amount("step") == 0


# --- what is left after each -----------------------------------------------------------------------------------------------


def test_of_an_unproven_request_that_is_called_off_nothing_is_left(desk: Desk) -> None:
    request = desk.ask()
    desk.withdraw(request)
    assert left_of(request) == NOTHING
    assert amount("subject") == 0
    desk.work()
    assert desk.mails == []


@pytest.mark.parametrize("kind", ["overview", "restriction", "objection"])
def test_of_an_answered_request_only_whose_it_was_is_kept_for_the_next_overview(kind: str, desk: Desk) -> None:
    request = desk.confirmed(kind)
    desk.work()
    assert desk.get(request).lookup == desk.lookup()
    assert amount("mail") == 0


def test_a_mails_key_goes_with_the_mail(desk: Desk) -> None:
    request = desk.ask()
    assert amount("subject") == 2
    desk.work()
    assert query("SELECT id FROM subject") == [{"id": request.subject}]


def test_what_is_forgotten_cannot_be_read_any_more(desk: Desk) -> None:
    request = desk.ask()
    with desk.store.transaction():
        requests.detach(desk.store, request)
    with pytest.raises(PrivacyError, match="forgotten"):
        requests.particulars(desk.office, desk.store, desk.get(request))
    with pytest.raises(VaultError, match="destroyed"):
        requests.particulars(desk.office, desk.store, request)


def test_the_particulars_of_two_requests_that_were_swapped_do_not_open(desk: Desk) -> None:
    anna, otto = desk.ask(email=ANNA), desk.ask(email=OTTO)
    with desk.store.transaction():
        for one, other in ((anna, otto), (otto, anna)):
            sql = "UPDATE request SET sealed = :sealed, subject = :subject WHERE id = :id"
            desk.store.execute(sql, id=one.id, sealed=other.sealed, subject=other.subject)
    for one in (anna, otto):
        with pytest.raises(VaultError):
            requests.particulars(desk.office, desk.store, desk.get(one))


def test_every_change_is_noted_with_who_made_it_and_no_value(reviewing: Desk) -> None:
    request = reviewing.confirmed("complaint", text="canary")
    reviewing.decide(requests.extend, request, reason=WORDS)
    reviewing.decide(requests.approve, reviewing.get(request), answer=WORDS)
    rows = query("SELECT actor, action, object FROM audit ORDER BY id")
    assert [(row["actor"], row["action"].removeprefix("request ")) for row in rows] == [
        ("the person", "received"), ("system", "awaiting_confirmation"), ("the person", "confirmed"), ("system", "in_review"),
        ("Berta", "extended"), ("Berta", "approved"), ("Berta", "fulfilled"),
    ]  # fmt: skip
    assert {row["object"] for row in rows} == {f"complaint {request.id.hex()}"}
    assert "canary" not in json.dumps(rows)


def test_a_change_that_is_rolled_back_leaves_neither_mail_nor_entry(desk: Desk) -> None:
    request = desk.ask("overview")
    before = actions(), amount("mail"), amount("link")
    with suppress(ZeroDivisionError), desk.store.transaction():
        confirm_request(desk.office, desk.store, request, now=desk.now)
        raise ZeroDivisionError
    assert (actions(), amount("mail"), amount("link")) == before
    assert desk.state(request) == "awaiting_confirmation"


# --- finding ---------------------------------------------------------------------------------------------------------------


def test_a_request_is_found_by_the_first_letters_of_its_identifier(desk: Desk) -> None:
    request = desk.ask()
    assert requests.find_one(desk.store, request.id.hex()[:10]) == request
    assert requests.find_one(desk.store, request.id.hex().upper()) == request


@pytest.mark.parametrize("prefix", ["", "%", "_", "' OR '1'='1", "zz", "\0", "ä", "\ud800", "0" * 99])
def test_what_begins_no_identifier_finds_nothing(prefix: str, desk: Desk) -> None:
    desk.ask()
    assert requests.find_one(desk.store, prefix) is None


# --- any order of things ---------------------------------------------------------------------------------------------------

STEPS = ["ask", "confirm", "approve", "refuse", "extend", "withdraw", "lift", "work", "hour", "days"]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.sampled_from(STEPS), st.sampled_from(REQUEST_KINDS), st.sampled_from([ANNA, OTTO])), max_size=14))
def test_in_any_order_of_events_every_state_is_sound(steps: list[tuple[str, str, str]], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("order") / "privacy.db"
    with at_desk(database_url=f"sqlite:///{path}") as desk:
        desk.submit(ANNA, OTTO)
        asked: list[Request] = []
        for step, kind, email in steps:
            try:
                take(desk, asked, step, kind=kind, email=email)
            except PrivacyError:
                continue
        desk.work()
        for one in requests.find_all(desk.store):
            assert one.is_open == (one.closed is None) == (one.state in OPEN)
            assert one.confirmed is not None or one.state in ("received", "awaiting_confirmation", "refused", "withdrawn", "expired")
            assert (one.confirmed is not None) or one.is_open or one.lookup is None
            assert one.subject is None or requests.particulars(desk.office, desk.store, one).email in (ANNA, OTTO)


def take(desk: Desk, asked: list[Request], step: str, *, kind: str, email: str) -> None:
    """One thing that happens; with an open request, if there is one."""
    if step == "ask":
        asked.append(desk.ask(kind, email))
    elif step in ("hour", "days"):
        desk.clock.move(hours=1 if step == "hour" else 60)
    elif step == "work":
        desk.work()
    elif asked:
        request = desk.get(asked[-1])
        more: dict[str, Any] = {"approve": {"answer": WORDS}, "refuse": {"reason": WORDS}, "extend": {"reason": WORDS}}.get(step, {})
        if step == "confirm":
            desk.confirm(request)
        elif step == "withdraw":
            desk.withdraw(request)
        else:
            desk.decide(getattr(requests, step), request, **more)
