"""Corrections: what a person may change, what is kept of it, who looks at it, and who is told."""

import logging
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from privacy_middleware.errors import PrivacyError
from privacy_middleware.record import submissions
from privacy_middleware.rights import requests
from privacy_middleware.rights.correction import LONGEST_VALUE, Sheet, Value, apply, read_edits, sheets
from privacy_middleware.rights.erasure import SourcesFailed
from privacy_middleware.rights.requests import Edit, Request, particulars

from .requesting import ANNA, OTTO, OWNER, POLICY, RECIPIENT, TEXT, Desk, Source, amount, at_desk
from .test_submissions import files, spellings

FIELDS = """
colour = { treatment = "choice", choices = ["red", "green"] }
born = { treatment = "bucket", unit = "age", edges = [18, 30] }
mails = "domain"
postcode = "region"
story = "redact"
long = "length"
there = "present"
customer = "hash"
scan = "file"
"""
EDITABLE = ["colour", "born", "mails", "postcode", "story", "message", "phone"]
SENT: dict[str, Any] = {
    "email": [ANNA], "message": [TEXT], "phone": ["+45 12 34 56 78"], "colour": ["red"], "born": ["18 to under 30"],
    "mails": ["example.org"], "postcode": ["21"], "story": ["Call me"], "long": [7], "there": [True], "customer": ["ab" * 16],
    "scan": [{"type": "image/png", "size": 7}],
}  # fmt: skip


@pytest.fixture
def desk() -> Iterator[Desk]:
    with at_desk(policy=POLICY + FIELDS) as one:
        one.submit(values=SENT)
        yield one


def sheet(desk: Desk, request: Request) -> Sheet:
    [one] = sheets(desk.office, desk.store, desk.get(request))
    return one


def inputs(desk: Desk, request: Request) -> dict[str, Value]:
    """The values that can be edited, by the name of their field."""
    return {value.name.split(".", 2)[2]: value for value in sheet(desk, request).values if value.name}


def edit(desk: Desk, request: Request, **new: str) -> tuple[tuple[Edit, ...], dict[str, str]]:
    """What is made of new values, by the name of their field."""
    names = {name: value.name for name, value in inputs(desk, request).items()}
    found = read_edits(desk.office, desk.store, desk.get(request), {names[name]: text for name, text in new.items()}, now=desk.now)
    return found.edits, {key.split(".", 2)[2]: text for key, text in found.faults.items()}


def correct(desk: Desk, request: Request, note: str = "", **new: str) -> Request:
    """Send the form with new values."""
    edits, _ = edit(desk, request, **new)
    who = particulars(desk.office, desk.store, desk.get(request))
    with desk.store.transaction():
        who = msgspec.structs.replace(who, edits=edits, text=note)
        return requests.review_edits(desk.office, desk.store, desk.get(request), who, now=desk.now)


def kept(desk: Desk, email: str = ANNA) -> dict[str, Any]:
    """What is kept of the one thing that a person sent."""
    subject = submissions.subject_of(desk.store, desk.lookup(email))
    assert subject is not None
    [stored] = submissions.of_subject(desk.store, subject)
    return submissions.read(desk.store, desk.office.vault(), stored)[1]


# --- what can be edited ----------------------------------------------------------------------------------------------------


def test_what_is_kept_as_a_text_can_be_edited_and_nothing_else(desk: Desk) -> None:
    assert sorted(inputs(desk, desk.confirmed("correction"))) == sorted(EDITABLE)


def test_all_that_is_kept_is_shown(desk: Desk) -> None:
    values = {value.label: value.text for value in sheet(desk, desk.confirmed("correction")).values}
    assert set(values) == set(SENT)
    assert (values["email"], values["there"], values["scan"], values["long"]) == (ANNA, "yes", "image/png, 7 bytes", "7")


def test_the_address_cannot_be_edited(desk: Desk) -> None:
    """Whose the new one is would have to be proven first."""
    request = desk.confirmed("correction")
    [stored] = submissions.of_subject(desk.store, submissions.subject_of(desk.store, desk.lookup()) or b"")
    found = read_edits(desk.office, desk.store, request, {f"{stored.id.hex()}.0.email": OTTO}, now=desk.now)
    assert (found.edits, found.faults) == ((), {})


@pytest.mark.parametrize("name", ["long", "there", "customer", "scan", "nothing", ""])
def test_what_cannot_be_edited_cannot_be_sent_either(name: str, desk: Desk) -> None:
    request = desk.confirmed("correction")
    [stored] = submissions.of_subject(desk.store, submissions.subject_of(desk.store, desk.lookup()) or b"")
    found = read_edits(desk.office, desk.store, request, {f"{stored.id.hex()}.0.{name}": "x"}, now=desk.now)
    assert (found.edits, found.faults) == ((), {})


def test_what_another_person_sent_cannot_be_edited(desk: Desk) -> None:
    desk.submit(OTTO, message="of Otto")
    ottos = inputs(desk, desk.confirmed("correction", OTTO))["message"].name
    found = read_edits(desk.office, desk.store, desk.confirmed("correction"), {ottos: "changed"}, now=desk.now)
    assert found.edits == ()


def test_what_was_sent_with_a_form_that_is_not_declared_any_more_is_shown_only() -> None:
    with at_desk() as desk:
        desk.submit(form="old")
        request = desk.confirmed("correction")
        assert [value.name for value in sheet(desk, request).values] == ["", ""]
        assert sheet(desk, request).title == "old"


def test_choices_are_offered(desk: Desk) -> None:
    assert inputs(desk, desk.confirmed("correction"))["colour"].choices == ("red", "green")


def test_a_long_text_gets_room() -> None:
    with at_desk() as other:
        other.submit(OTTO, message="word " * 50)
        assert inputs(other, other.confirmed("correction", OTTO))["message"].is_long


def test_fields_are_called_by_their_labels() -> None:
    with at_desk(policy=POLICY.replace('message = "keep"', 'message = {treatment = "keep", label = "Your message"}')) as desk:
        desk.submit()
        assert inputs(desk, desk.confirmed("correction"))["message"].label == "Your message"


def test_what_is_shown_of_a_value_in_a_log_is_its_label_only(desk: Desk) -> None:
    assert TEXT not in repr(sheet(desk, desk.confirmed("correction")))


def test_what_waits_in_the_spool_can_be_edited() -> None:
    with at_desk() as desk:
        desk.spool()
        assert "message" in inputs(desk, desk.confirmed("correction"))


def test_several_values_of_a_field_are_edited_one_by_one() -> None:
    with at_desk() as desk:
        desk.submit(values={"email": [ANNA], "message": ["one", "two", "three"]})
        request = desk.confirmed("correction")
        names = [value.name for value in sheet(desk, request).values if value.name]
        found = read_edits(desk.office, desk.store, request, {names[1]: "2"}, now=desk.now)
        [one] = found.edits
        assert (one.number, one.old, one.new) == (1, "two", "2")


# --- what is made of it ----------------------------------------------------------------------------------------------------


def test_what_is_sent_as_it_was_is_no_change(desk: Desk) -> None:
    request = desk.confirmed("correction")
    assert edit(desk, request, **{name: value.text for name, value in inputs(desk, request).items()}) == ((), {})


@pytest.mark.parametrize("old", ["a\r\nb", "a\nb", "a\rb", "  a  ", "a\n", "\na", "a\n\n", "a\tb", "ä", "\u2028"])
def test_what_a_browser_makes_of_a_text_is_no_change(old: str) -> None:
    """It sends every line end as CR LF."""
    with at_desk() as desk:
        desk.submit(message=old)
        request = desk.confirmed("correction")
        sent = inputs(desk, request)["message"].text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")
        assert edit(desk, request, message=sent) == ((), {})


def test_a_new_text_is_a_change(desk: Desk) -> None:
    [one], faults = edit(desk, desk.confirmed("correction"), message="a canary sleeps")
    assert (one.form, one.field, one.number, one.old, one.new) == ("contact", "message", 0, TEXT, "a canary sleeps")
    assert faults == {}


def test_a_text_can_be_emptied(desk: Desk) -> None:
    [one], _ = edit(desk, desk.confirmed("correction"), message="")
    assert one.new == ""


@pytest.mark.parametrize(
    ("field", "text", "new"),
    [
        ("colour", "green", "green"),
        ("born", "1980-01-01", "30 and over"),
        ("mails", "otto@example.net", "example.net"),
        ("postcode", "8000", "80"),
    ],
)
def test_a_new_value_is_treated_as_a_sent_one(field: str, text: str, new: str, desk: Desk) -> None:
    [one], _ = edit(desk, desk.confirmed("correction"), **{field: text})
    assert one.new == new


def test_what_must_not_be_kept_is_not_kept_of_a_new_text(desk: Desk) -> None:
    [one], _ = edit(desk, desk.confirmed("correction"), story="Write to otto@example.net or call +45 12 34 56 78")
    assert "otto@" not in one.new
    assert "34 56" not in one.new


def test_a_card_number_is_never_kept(desk: Desk) -> None:
    edits, faults = edit(desk, desk.confirmed("correction"), message="4111 1111 1111 1111")
    assert edits == ()
    assert "message" in faults


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("colour", "blue"),
        ("colour", ""),
        ("born", "yesterday"),
        ("born", ""),
        ("mails", "no address"),
        ("mails", ""),
        ("postcode", "no"),
        ("message", "x" * (LONGEST_VALUE + 1)),
    ],
)
def test_what_nothing_can_be_made_of_is_a_fault_of_its_field(field: str, text: str, desk: Desk) -> None:
    edits, faults = edit(desk, desk.confirmed("correction"), **{field: text}, phone="7")
    assert [one.field for one in edits] == ["phone"]
    assert list(faults) == [field]


def test_a_part_of_a_value_that_stays_the_same_is_no_change(desk: Desk) -> None:
    edits, faults = edit(desk, desk.confirmed("correction"), postcode="2100", mails="anna@EXAMPLE.org", born="2000-01-01")
    assert (edits, faults) == ((), {})


def test_what_is_shown_of_an_edit_in_a_log_is_its_field_only(desk: Desk) -> None:
    edits, _ = edit(desk, desk.confirmed("correction"), message="a canary sleeps")
    assert "canary" not in repr(edits)


def test_a_word_can_be_changed_in_a_text_as_long_as_a_form_may_send() -> None:
    from privacy_middleware.collect.form import LONGEST_VALUE as LONGEST_SENT

    with at_desk() as desk:
        desk.submit(message="word " * (LONGEST_SENT // 5))
        edits, faults = edit(desk, desk.confirmed("correction"), message="Word" + " word" * (LONGEST_SENT // 5 - 1))
        assert (len(edits), faults) == (1, {})


# --- who looks at it -------------------------------------------------------------------------------------------------------


def test_an_edit_of_a_field_that_may_be_corrected_at_once_is_done_at_once(desk: Desk) -> None:
    request = desk.confirmed("correction")
    assert correct(desk, request, phone="7").state == "confirmed"
    desk.work()
    assert desk.state(request) == "fulfilled"
    assert kept(desk)["phone"] == ["7"]


def test_an_edit_of_another_field_waits_for_the_owner(desk: Desk) -> None:
    request = desk.confirmed("correction")
    assert correct(desk, request, message="a canary sleeps").state == "in_review"
    desk.work()
    assert kept(desk)["message"] == [TEXT]
    assert "to_review" in desk.to(OWNER)


def test_one_edit_for_the_owner_makes_all_of_them_wait(desk: Desk) -> None:
    request = desk.confirmed("correction")
    assert correct(desk, request, phone="7", message="a canary sleeps").state == "in_review"
    desk.work()
    assert kept(desk)["phone"] == SENT["phone"]


def test_a_note_in_words_waits_for_the_owner(desk: Desk) -> None:
    assert correct(desk, desk.confirmed("correction"), note="My name is Anna", phone="7").state == "in_review"


def test_an_owner_who_reviews_nothing_has_every_edit_done_at_once() -> None:
    with at_desk(review="") as desk:
        desk.submit()
        request = desk.confirmed("correction")
        correct(desk, request, message="a canary sleeps")
        desk.work()
        assert desk.state(request) == "fulfilled"
        assert desk.messages() == ["a canary sleeps"]


def test_what_the_owner_approves_is_done(desk: Desk) -> None:
    request = desk.confirmed("correction")
    correct(desk, request, message="a canary sleeps")
    desk.decide(requests.approve, desk.get(request))
    desk.work()
    assert (desk.state(request), kept(desk)["message"]) == ("fulfilled", ["a canary sleeps"])
    assert "fulfilled" in desk.to()


def test_what_the_owner_refuses_is_not_done(desk: Desk) -> None:
    request = desk.confirmed("correction")
    correct(desk, request, message="a canary sleeps")
    desk.decide(requests.refuse, desk.get(request), reason="It was so.")
    desk.work()
    assert (desk.state(request), kept(desk)["message"]) == ("refused", [TEXT])
    assert "It was so." in desk.mail("refused").text


def test_the_owners_mail_holds_no_value(desk: Desk) -> None:
    correct(desk, desk.confirmed("correction"), message="a canary sleeps")
    desk.work()
    told = desk.mail("to_review")
    for value in (ANNA, "canary", TEXT):
        assert value not in told.text + told.html + told.subject


def test_an_owner_cannot_approve_what_nobody_has_proven(desk: Desk) -> None:
    with pytest.raises(PrivacyError, match="proven"):
        desk.decide(requests.approve, desk.ask("correction"))


# --- what is done ----------------------------------------------------------------------------------------------------------


def test_a_correction_changes_what_was_edited_and_nothing_else(desk: Desk) -> None:
    request = desk.confirmed("correction")
    correct(desk, request, phone="7")
    desk.work()
    assert kept(desk) == SENT | {"phone": ["7"]}


def test_a_correction_leaves_other_things_of_the_person_and_of_others_alone(desk: Desk) -> None:
    request = desk.confirmed("correction")
    correct(desk, request, phone="7")
    desk.submit(values={"email": [ANNA], "phone": SENT["phone"]})
    desk.submit(OTTO, values={"email": [OTTO], "phone": SENT["phone"]})
    desk.work()
    subject = submissions.subject_of(desk.store, desk.lookup()) or b""
    phones = [submissions.read(desk.store, desk.office.vault(), one)[1]["phone"] for one in submissions.of_subject(desk.store, subject)]
    assert sorted(phones) == sorted([["7"], SENT["phone"]])
    assert kept(desk, OTTO)["phone"] == SENT["phone"]


def test_a_value_that_was_changed_meanwhile_is_left(desk: Desk) -> None:
    request = desk.confirmed("correction")
    correct(desk, request, phone="7")
    [stored] = submissions.of_subject(desk.store, submissions.subject_of(desk.store, desk.lookup()) or b"")
    with desk.store.transaction():
        submissions.change_field(desk.store, desk.office.vault(), stored, name="phone", values=["8"])
    desk.work()
    assert kept(desk)["phone"] == ["8"]
    assert desk.state(request) == "fulfilled"


def test_what_was_purged_meanwhile_does_not_come_back(desk: Desk) -> None:
    request = desk.confirmed("correction")
    correct(desk, request, phone="7")
    [stored] = submissions.of_subject(desk.store, submissions.subject_of(desk.store, desk.lookup()) or b"")
    with desk.store.transaction():
        submissions.delete(desk.store, stored.id)
    desk.work()
    assert desk.state(request) == "fulfilled"
    assert amount("submission") == amount("field") == 0


def test_a_correction_is_done_once(desk: Desk) -> None:
    request = desk.confirmed("correction")
    correct(desk, request, phone="7")
    desk.work()
    desk.work()
    assert apply(desk.office, desk.store, desk.get(request), now=desk.now).state == "fulfilled"
    assert desk.to().count("fulfilled") == 1


def test_restricted_data_can_be_corrected(desk: Desk) -> None:
    desk.confirmed("restriction")
    request = desk.confirmed("correction")
    correct(desk, request, phone="7")
    desk.work()
    assert kept(desk)["phone"] == ["7"]


def test_no_value_of_a_correction_can_be_read_in_any_file(desk: Desk) -> None:
    correct(desk, desk.confirmed("correction"), message="a canary sleeps", phone="canary 7")
    found = files()
    assert not [spelling for text in ("a canary sleeps", "canary 7", ANNA) for spelling in spellings(text) if spelling in found]


def test_the_old_value_is_in_no_row_any_more(desk: Desk) -> None:
    [before] = desk.store.rows("SELECT value FROM field WHERE name = 'phone'")
    correct(desk, desk.confirmed("correction"), phone="7")
    desk.work()
    desk.store.checkpoint()
    assert before["value"] not in files()


# --- the host's sources and the recipients ---------------------------------------------------------------------------------


def test_a_source_is_told_each_change_once() -> None:
    source = Source()
    with at_desk(sources=(source,), policy=POLICY) as desk:
        desk.submit(values={"email": [ANNA], "phone": ["1"], "message": [TEXT]})
        correct(desk, desk.confirmed("correction"), phone="7")
        desk.work()
        desk.work()
    assert source.asked == [ANNA]
    [change] = source.changes
    assert (change.form, change.field, change.old, change.new) == ("contact", "phone", "1", "7")


def test_a_source_that_is_not_to_be_told_of_a_note_is_not_asked() -> None:
    source = Source()
    with at_desk(sources=(source,)) as desk:
        desk.submit()
        request = desk.confirmed("correction")
        correct(desk, request, note="My name is Anna")
        desk.decide(requests.approve, desk.get(request), answer="Done")
        desk.work()
        assert desk.state(request) == "fulfilled"
    assert source.asked == []


def fail() -> None:
    raise ValueError(f"{ANNA} {TEXT}")


def test_a_source_that_fails_is_asked_again_and_the_others_are_not(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    broken, sound = Source("broken"), Source("sound")
    broken.corrects = fail
    with at_desk(sources=(broken, sound)) as desk:
        desk.submit(values={"email": [ANNA], "phone": ["1"]})
        request = desk.confirmed("correction")
        correct(desk, request, phone="7")
        desk.work()
        assert (desk.state(request), kept(desk)["phone"]) == ("confirmed", ["1"])
        broken.corrects = lambda: None
        desk.clock.move(minutes=2)
        desk.work()
        assert (desk.state(request), kept(desk)["phone"]) == ("fulfilled", ["7"])
    assert (len(broken.asked), len(sound.asked)) == (2, 1)
    assert "broken" in caplog.text
    for value in (ANNA, TEXT):
        assert value not in caplog.text


def test_the_owner_is_told_once_which_source_fails() -> None:
    broken = Source("broken")
    broken.corrects = fail
    with at_desk(sources=(broken,)) as desk:
        desk.submit(values={"email": [ANNA], "phone": ["1"]})
        correct(desk, desk.confirmed("correction"), phone="7")
        for _ in range(4):
            desk.work()
            desk.clock.move(hours=5)
        told = [mail for mail in desk.mails if mail.kind == "trouble"]
    assert len(told) == 1
    assert "broken" in told[0].text
    assert ANNA not in told[0].text


def test_a_failure_says_the_names_and_no_value() -> None:
    broken = Source("broken")
    broken.corrects = fail
    with at_desk(sources=(broken,)) as desk:
        desk.submit(values={"email": [ANNA], "phone": ["1"]})
        request = desk.confirmed("correction")
        correct(desk, request, phone="7")
        with pytest.raises(SourcesFailed) as raised:
            apply(desk.office, desk.store, desk.get(request), now=desk.now)
    assert raised.value.names == ["broken"]
    assert ANNA not in str(raised.value)


def test_an_async_source_is_told_too() -> None:
    source = Source()
    done: list[str] = []

    async def corrects() -> None:
        done.append("corrected")

    source.corrects = corrects
    with at_desk(sources=(source,)) as desk:
        desk.submit(values={"email": [ANNA], "phone": ["1"]})
        correct(desk, desk.confirmed("correction"), phone="7")
        desk.work()
    assert done == ["corrected"]


def test_recipients_are_named_to_the_person_and_the_owner_is_asked_to_tell_them() -> None:
    with at_desk(policy=POLICY + RECIPIENT) as desk:
        desk.submit(values={"email": [ANNA], "phone": ["1"]})
        correct(desk, desk.confirmed("correction"), phone="7")
        desk.work()
        assert "Printer Ltd" in desk.mail("fulfilled").text
        assert desk.mail("tell_recipients").to == OWNER
        assert ANNA in desk.mail("tell_recipients").text


def test_without_recipients_nobody_is_asked_to_tell_any(desk: Desk) -> None:
    correct(desk, desk.confirmed("correction"), phone="7")
    desk.work()
    assert "tell_recipients" not in desk.to(OWNER)
