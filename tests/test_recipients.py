"""Recipients: they get the declared fields of those who asked, are told what becomes of them, and every person sees it."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from privacy_middleware.cli import main
from privacy_middleware.collect.visitor import date_of, day_of
from privacy_middleware.declaration import Recipient
from privacy_middleware.errors import DeclarationError, PrivacyError, SettingsError
from privacy_middleware.language import english
from privacy_middleware.record import submissions
from privacy_middleware.rights import correction, disclosures, erasure, notices, requests
from privacy_middleware.rights.disclosures import Person
from privacy_middleware.rights.overview import gather
from privacy_middleware.rights.requests import Particulars
from privacy_middleware.statement.processing import record_in_force
from privacy_middleware.values import networks
from privacy_middleware.webhook import Hook, NotAccepted, NotSent, post, signature

from .conftest import query
from .databases import contents, environ, restore
from .requesting import ANNA, DAY, OTTO, OWNER, amount
from .serving_people import HOOK_SECRET, INSIDE, POLICY, POST, PRINTER, Hooks, People, hooked, serving_people, taking_hooks
from .test_erasure import back_up


@pytest.fixture
def desk() -> Iterator[People]:
    with serving_people(also=PRINTER + POST) as desk:
        desk.send_form("contact", ANNA, message="Forty posters, please", phone="a canary's number")
        desk.send_form("contact", OTTO, message="Ten cards, please")
        yield desk


@contextmanager
def with_hook() -> Iterator[tuple[People, Hooks]]:
    with taking_hooks() as hooks, serving_people(also=hooked(PRINTER, hooks.url) + hooked(POST, hooks.url), **INSIDE) as desk:
        desk.send_form("contact", ANNA, message="Forty posters, please", phone="a canary's number")
        yield desk, hooks


def today(desk: People) -> int:
    return day_of(desk.now, desk.office.settings.zone)


def recipient(desk: People, name: str = "printer-ltd", purpose: str = "answer") -> Recipient:
    return disclosures.recipient_of(desk.office, name, purpose, today=date_of(today(desk)))


def people(desk: People, name: str = "printer-ltd", purpose: str = "answer", **more: bool) -> list[Person]:
    return disclosures.people(desk.office, desk.store, recipient(desk, name, purpose), today=today(desk), **more)


def give(desk: People, name: str = "printer-ltd", purpose: str = "answer", **more: bool) -> list[Person]:
    """Give what may be given, as by file."""
    found = people(desk, name, purpose, **more)
    with desk.store.transaction():
        disclosures.note(desk.office, desk.store, recipient(desk, name, purpose), found, way="file", actor="Berta", now=desk.now)
    return found


def send(desk: People, during: Callable[[], object] = bool) -> list[int]:
    """Send what may be sent by webhook; `during` is called after each message."""
    subjects = disclosures.asked(desk.store, recipient(desk), today=today(desk))
    sending = disclosures.send(desk.office, desk.store, recipient(desk), subjects, actor="Berta", clock=lambda: desk.now)
    return [amount for amount in sending if during() or True]


def emails(found: list[Person]) -> list[str]:
    return sorted(str(one.fields["email"][0]) for one in found)


def waiting() -> list[str]:
    return [row["kind"] for row in query("SELECT kind FROM notice WHERE received IS NULL ORDER BY made, kind")]


# --- who gets what ---------------------------------------------------------------------------------------------------------


def test_a_recipient_gets_the_declared_fields_and_no_other(desk: People) -> None:
    found = people(desk)
    assert emails(found) == [ANNA, OTTO]
    assert all(set(one.fields) == {"email", "message"} for one in found)


def test_nobody_is_given_twice_unless_that_is_asked_for(desk: People) -> None:
    assert emails(give(desk)) == [ANNA, OTTO]
    assert give(desk) == []
    desk.send_form("contact", "third@example.org", message="Hello")
    assert emails(give(desk)) == ["third@example.org"]
    assert len(people(desk, everybody=True)) == 3


def test_of_several_forms_the_newest_counts(desk: People) -> None:
    desk.clock.now += DAY // 1000
    desk.send_form("contact", ANNA, message="Fifty, after all")
    found = {str(one.fields["email"][0]): one.fields["message"] for one in people(desk)}
    assert found[ANNA] == ["Fifty, after all"]


@pytest.mark.parametrize("kind", ["restriction", "objection"])
def test_who_objects_is_given_to_nobody(desk: People, kind: str) -> None:
    desk.confirmed(kind)
    assert emails(people(desk)) == [OTTO]


def test_who_gave_no_address_is_given_to_nobody(desk: People) -> None:
    desk.send_form("contact", "", message="anonymous")
    assert len(people(desk)) == 2


def test_the_newsletter_is_given_of_who_said_yes(desk: People) -> None:
    desk.ask_for_news(OTTO)
    token = desk.subscribe(ANNA)
    assert emails(people(desk, "post-letters", "newsletter")) == [ANNA]
    desk.press(token, "leave")
    assert people(desk, "post-letters", "newsletter") == []


def test_what_was_not_accepted_or_is_over_is_given_to_nobody(desk: People) -> None:
    desk.clock.now += 365 * DAY // 1000
    assert people(desk) == []


@pytest.mark.parametrize(
    ("name", "purpose", "words"),
    [
        ("nobody", "answer", "there is no recipient 'nobody'; declared in privacy.toml are: 'Printer Ltd', 'Post & Letters'"),
        ("Printer Ltd", "newsletter", "declared for the purpose 'answer', not for 'newsletter'"),
        ("printer ltd", "sell", "not for 'sell'"),
    ],
)
def test_who_or_what_for_is_not_declared_is_refused(desk: People, name: str, purpose: str, words: str) -> None:
    with pytest.raises(PrivacyError, match=words):
        recipient(desk, name, purpose)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("date = 2020-05-01", "date = 2020-05-01, expires = 2021-04-30", "expired on 2021-04-30; renew it"),
        ("date = 2020-05-01", "date = 2999-01-01", "begins on 2999-01-01 only"),
        ('country = "DK"', 'country = "IN"', "nothing says what protects the data there"),
        ('country = "DK"', 'country = "Denmark"', "write the country as a code"),
    ],
)
def test_without_a_valid_undertaking_or_safeguard_nothing_is_given(before: str, after: str, words: str) -> None:
    with serving_people(also=PRINTER.replace(before, after)) as desk, pytest.raises(PrivacyError, match=words):
        recipient(desk)


def test_a_safeguard_lets_it_go_abroad() -> None:
    with serving_people(also=PRINTER.replace('"DK"', '"IN"').rstrip() + '\nsafeguard = "standard contractual clauses"\n') as desk:
        assert recipient(desk).country == "IN"


def test_an_undertaking_holds_on_its_last_day() -> None:
    ends = date.today() + timedelta(3)  # noqa: DTZ011 - a day of the test's
    with serving_people(also=PRINTER.replace("2020-05-01", f"2020-05-01, expires = {ends}")) as desk:
        assert disclosures.recipient_of(desk.office, "printer-ltd", "answer", today=ends)
        with pytest.raises(PrivacyError, match="expired"):
            disclosures.recipient_of(desk.office, "printer-ltd", "answer", today=ends + timedelta(1))


def test_a_recipient_without_fields_is_given_nothing() -> None:
    plain = '[[recipients]]\nname = "Host"\npurpose = "statistics"\ndata = "figures"\ncountry = "DK"\n'
    with serving_people(also=plain) as desk, pytest.raises(PrivacyError, match="it has no fields"):
        recipient(desk, "host", "statistics")


# --- what is noted ---------------------------------------------------------------------------------------------------------


def test_each_person_sees_in_their_overview_who_got_what(desk: People) -> None:
    give(desk)
    found = gather(desk.office, desk.store, desk.confirmed("overview"), now=desk.now)
    [row] = next(part for part in found.parts if part.name == "disclosures").rows
    assert (row["recipient"], row["country"], row["purpose"], row["what"]) == ("Printer Ltd", "DK", "answer", "Your address, message")


def test_the_record_of_processing_says_how_many(desk: People) -> None:
    give(desk)
    given = disclosures.record(desk.office, desk.store)
    [words] = record_in_force(english(), desk.office.facts, given).disclosures
    assert words.startswith("Printer Ltd, for the purpose “answer”, from ")
    assert words.endswith("; entries: 2")


def test_the_statement_names_the_fields_and_the_undertaking(desk: People) -> None:
    from privacy_middleware.statement.section import plain_text

    text = plain_text(desk.privacy.sections(english()))
    assert "Printer Ltd (Denmark): Your address, message, for the purpose “answer”. Confidentiality: undertaking of 1 May 2020." in text
    assert "for as long as we keep them ourselves, and for 400 days at least" in text


def test_what_was_given_is_forgotten_after_its_time(desk: People) -> None:
    give(desk)
    desk.clock.now += 401 * DAY // 1000
    desk.store.set_mark("clock", desk.now)
    submissions.purge(desk.store, desk.office.declaration.forms, today=today(desk))
    desk.work()
    assert amount("disclosure") == amount("subject", "lookup IS NOT NULL") == 0


# --- what they are told ----------------------------------------------------------------------------------------------------


def test_an_erasure_reaches_who_has_no_webhook_by_the_owner_and_names_nobody(desk: People) -> None:
    [anna] = [one for one in give(desk) if one.fields["email"] == [ANNA]]
    desk.confirmed("erasure")
    desk.work()
    desk.clock.now += 5
    desk.work()
    mail = desk.mail("pass_on")
    assert mail.to == OWNER
    assert anna.entry.hex() in mail.text
    assert ANNA not in mail.text
    assert waiting() == ["erasure"]
    assert "Printer Ltd" in desk.mail("receipt").text
    assert amount("disclosure", "subject IS NULL") == 1
    assert ANNA.encode() not in contents()


def test_the_owner_is_reminded_until_it_is_noted(desk: People) -> None:
    give(desk)
    desk.confirmed("erasure")
    for _ in range(3):
        desk.work()
        desk.clock.now += notices.REMIND_DAYS * DAY // 1000 + 1
        desk.store.set_mark("clock", desk.now)
    assert len([mail for mail in desk.mails if mail.kind == "pass_on"]) == 3
    [row] = notices.listed(desk.store)
    with desk.store.transaction():
        assert notices.received(desk.store, row["id"], proof="their mail of 1 May", actor="Berta", now=desk.now)
        assert not notices.received(desk.store, row["id"], proof="again", actor="Berta", now=desk.now)
    desk.work()
    assert len([mail for mail in desk.mails if mail.kind == "pass_on"]) == 3
    assert notices.listed(desk.store)[0]["proof"] == "their mail of 1 May"


def test_a_webhook_gets_what_is_given_signed_and_each_entry_once() -> None:
    with with_hook() as (desk, hooks):
        assert send(desk) == [1]
        [message] = hooks.messages
        entry = query("SELECT lower(hex(id)) AS id FROM disclosure")[0]["id"]
        assert message["type"] == "disclosure"
        assert message["data"] == {
            "purpose": "answer",
            "entries": [{"entry": entry, "fields": {"email": [ANNA], "message": ["Forty posters, please"]}}],
        }
        assert people(desk) == []


def test_an_erasure_reaches_a_webhook_with_the_entry_alone_and_its_proof_is_kept() -> None:
    with with_hook() as (desk, hooks):
        [one] = give(desk)
        desk.confirmed("erasure")
        desk.work()
        desk.clock.now += 5
        desk.work()
        [message] = hooks.messages
        assert message["type"] == "erasure"
        assert message["data"] == {"entry": one.entry.hex(), "fields": {}}
        [row] = notices.listed(desk.store)
        assert row["received"]
        assert row["proof"].startswith("200, sha256 ")
        assert OWNER not in [mail.to for mail in desk.mails]


@pytest.mark.parametrize("status", [302, 400, 500])
def test_a_webhook_that_does_not_take_it_is_tried_again_with_the_same_number(status: int) -> None:
    with with_hook() as (desk, hooks):
        give(desk)
        hooks.status = status
        desk.confirmed("erasure")
        for _ in range(8):
            desk.work()
            desk.clock.now += 24 * 3600
            desk.store.set_mark("clock", desk.now)
        assert waiting() == ["erasure"]
        assert len({headers["webhook-id"] for headers, _ in hooks.taken}) == 1
        assert len(hooks.taken) >= 6
        assert [mail.kind for mail in desk.mails if mail.to == OWNER] == ["not_told"]
        hooks.status = 204
        desk.work()
        assert waiting() == []


def test_a_correction_reaches_who_got_the_field() -> None:
    with with_hook() as (desk, hooks):
        give(desk)
        request = desk.confirmed("correction")
        stored = submissions.of_subject(desk.store, query("SELECT id FROM subject WHERE lookup IS NOT NULL")[0]["id"])[0]
        edits = (
            requests.Edit(stored.id, "contact", "message", 0, "Forty posters, please", "Fifty posters"),
            requests.Edit(stored.id, "contact", "phone", 0, "a canary's number", "another"),
        )
        with desk.store.transaction():
            requests.review_edits(desk.office, desk.store, request, Particulars(ANNA, edits=edits), now=desk.now)
            requests.approve(desk.office, desk.store, desk.get(request), actor="Berta", now=desk.now)
        desk.work()
        desk.clock.now += 5
        desk.work()
        assert [message["data"]["fields"] for message in hooks.messages] == [{"message": ["Fifty posters"]}]
        assert b"Fifty" not in contents()
        assert "Printer Ltd" in next(mail for mail in desk.mails if mail.kind == "fulfilled").text
    assert correction


def test_a_correction_of_what_they_did_not_get_tells_them_nothing() -> None:
    with with_hook() as (desk, hooks):
        give(desk)
        request = desk.confirmed("correction")
        stored = submissions.of_subject(desk.store, query("SELECT id FROM subject WHERE lookup IS NOT NULL")[0]["id"])[0]
        edit = requests.Edit(stored.id, "contact", "phone", 0, "a canary's number", "another", auto=True)
        with desk.store.transaction():
            requests.review_edits(desk.office, desk.store, request, Particulars(ANNA, edits=(edit,)), now=desk.now)
        desk.work()
        assert (waiting(), hooks.taken) == ([], [])


def test_what_is_corrected_for_one_purpose_is_not_told_to_who_serves_another() -> None:
    letters = POST.replace('fields = ["email"]', 'fields = ["email", "name"]')
    policy = POLICY.replace('message = "keep"\nphone', 'message = "keep"\nname = "keep"\nphone')
    with taking_hooks() as hooks, serving_people(policy=policy, also=hooked(letters, hooks.url), **INSIDE) as desk:
        sent = desk.send_form("contact", ANNA, message="Hello", name="Patient 4711")
        desk.subscribe()
        give(desk, "post-letters", "newsletter")
        request = desk.confirmed("correction")
        edit = requests.Edit(sent.id, "contact", "name", 0, "Patient 4711", "Patient 4712")
        with desk.store.transaction():
            requests.review_edits(desk.office, desk.store, request, Particulars(ANNA, edits=(edit,)), now=desk.now)
            requests.approve(desk.office, desk.store, desk.get(request), actor="Berta", now=desk.now)
        desk.work()
        assert (waiting(), hooks.taken) == ([], [])


def test_new_values_go_only_to_who_is_still_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    with with_hook() as (desk, hooks):
        give(desk)
        request = desk.confirmed("correction")
        stored = submissions.of_subject(desk.store, query("SELECT id FROM subject WHERE lookup IS NOT NULL")[0]["id"])[0]
        edit = requests.Edit(stored.id, "contact", "message", 0, "Forty posters, please", "Fifty posters")
        with desk.store.transaction():
            requests.review_edits(desk.office, desk.store, request, Particulars(ANNA, edits=(edit,)), now=desk.now)
            requests.approve(desk.office, desk.store, desk.get(request), actor="Berta", now=desk.now)
        monkeypatch.setattr(notices, "is_bound", lambda *_: False)
        desk.work()
        desk.clock.now += 5
        desk.work()
        assert [message["data"]["fields"] for message in hooks.messages] == [{}]


def test_who_is_erased_while_entries_go_out_is_in_none_of_the_later_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disclosures, "MOST_A_MESSAGE", 1)
    with with_hook() as (desk, hooks):
        desk.send_form("contact", OTTO, message="Hello")
        erased = False

        def erase_the_other() -> None:
            nonlocal erased
            if not erased:
                erased = True
                first = hooks.messages[0]["data"]["entries"][0]["fields"]["email"]
                desk.confirmed("erasure", OTTO if first == [ANNA] else ANNA)
                desk.work()

        assert send(desk, erase_the_other) == [1]
        assert len([message for message in hooks.messages if message["type"] == "disclosure"]) == 1


def test_what_is_still_kept_is_still_told_of_after_years() -> None:
    with with_hook() as (desk, hooks):
        token = desk.subscribe()
        give(desk, "post-letters", "newsletter")
        desk.clock.now += 500 * DAY // 1000
        desk.store.set_mark("clock", desk.now)
        desk.work()
        desk.press(token, "leave")
        desk.work()
        assert [message["type"] for message in hooks.messages] == ["withdrawal"]
        desk.clock.now += 401 * DAY // 1000
        desk.store.set_mark("clock", desk.now)
        desk.work()
        assert amount("disclosure") == amount("notice") == 0


def test_who_left_and_joins_again_is_given_again() -> None:
    with with_hook() as (desk, _):
        desk.press(desk.subscribe(), "leave")
        desk.press(desk.subscribe(), "join")
        give(desk, "post-letters", "newsletter")
        token = desk.mails[-1].text.partition("/newsletter/")[2].split()[0]
        desk.press(token, "leave")
        desk.subscribe()
        assert emails(people(desk, "post-letters", "newsletter")) == [ANNA]


def test_notices_of_an_entry_arrive_in_their_order() -> None:
    with with_hook() as (desk, hooks):
        give(desk)
        request = desk.confirmed("restriction")
        hooks.status = 500
        desk.work()
        desk.clock.now += 1
        desk.decide(requests.lift, request)
        desk.work()
        hooks.status = 200
        for _ in range(4):
            desk.clock.now += 3600
            desk.work()
        taken = [message["type"] for message in hooks.messages]
        assert taken[-2:] == ["restriction", "end of restriction"]
        assert set(taken[:-2]) == {"restriction"}


def test_after_one_failure_a_recipient_is_left_alone_for_the_turn() -> None:
    with with_hook() as (desk, hooks):
        for number in range(4):
            desk.send_form("contact", f"person{number}@example.org", message="Hello")
        give(desk)
        hooks.status = 500
        for number in range(4):
            desk.confirmed("restriction", f"person{number}@example.org")
        notices.deliver(desk.office, desk.store, now=desk.now)
        assert len(hooks.taken) == 1


def test_a_withdrawal_reaches_the_mail_service() -> None:
    with with_hook() as (desk, hooks):
        token = desk.subscribe()
        give(desk, "post-letters", "newsletter")
        give(desk)
        desk.press(token, "leave")
        assert waiting() == ["withdrawal"]
        desk.work()
        assert [message["type"] for message in hooks.messages] == ["withdrawal"]


def test_a_restriction_and_its_end_reach_them() -> None:
    with with_hook() as (desk, hooks):
        give(desk)
        request = desk.confirmed("restriction")
        desk.work()
        desk.decide(requests.lift, request)
        desk.clock.now += 1
        desk.work()
        assert [message["type"] for message in hooks.messages] == ["restriction", "end of restriction"]


def test_an_erasure_calls_off_what_was_still_to_be_told() -> None:
    with with_hook() as (desk, hooks):
        hooks.status = 500
        give(desk)
        desk.confirmed("restriction")
        desk.work()
        desk.confirmed("erasure")
        desk.work()
        assert waiting() == ["erasure"]


def test_a_replay_tells_them_again_and_leaves_nothing() -> None:
    with with_hook() as (desk, hooks):
        desk.subscribe()
        give(desk)
        back_up(desk)
        desk.confirmed("erasure")
        desk.work()
        for store in (desk.store, desk.clerk.store, desk.postman.store):
            store.close()
        restore()
        desk.store.open()
        assert amount("consent") == 1
        erasure.replay(desk.office, desk.store, actor="Berta", now=desk.now)
        assert amount("consent") == amount("submission") == amount("disclosure", "subject IS NOT NULL") == 0
        assert waiting() == ["erasure"]
        assert hooks


# --- the webhook -----------------------------------------------------------------------------------------------------------


def test_a_signature_is_that_of_the_standard() -> None:
    """The example of the Standard Webhooks specification's reference libraries."""
    import base64

    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    found = signature(secret, id_="msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp=1614265330, body=body)
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def hook(url: str, *inside: str) -> Hook:
    return Hook(url, b"x" * 32, networks(",".join(inside)))


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/hook", "https://localhost/hook", "https://10.1.2.3/", "https://169.254.169.254/latest", "https://[::1]/",
        "https://[fd00::1]/", "https://0.0.0.0/", "https://[::ffff:127.0.0.1]/", "https://224.0.0.1/", "https://[64:ff9b::a00:1]/",
        "https://[2002:a00:1::1]/", "https://[::127.0.0.1]/", "https://[fec0::1]/",
    ],
)  # fmt: skip
def test_an_address_inside_is_never_reached(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> socket.socket:
        raise AssertionError("it connected")

    with pytest.raises(NotSent, match="inside a network"):
        post(hook(url), {}, id_="a", timestamp=1, connect=never)


def test_an_address_outside_is_reached_by_https_only() -> None:
    with pytest.raises(NotSent, match="https only"):
        post(hook("http://192.0.9.1/"), {}, id_="a", timestamp=1)


def test_a_name_that_is_none_is_told() -> None:
    with pytest.raises(NotSent, match="not known"):
        post(hook("https://hooks.invalid/"), {}, id_="a", timestamp=1)


def test_a_server_that_is_away_got_nothing() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    with pytest.raises(NotSent, match="cannot be reached"):
        post(hook(f"http://127.0.0.1:{port}/", "127.0.0.0/8"), {}, id_="a", timestamp=1)


def test_a_server_that_speaks_no_tls_got_nothing() -> None:
    with taking_hooks() as hooks, pytest.raises(NotSent, match="cannot be reached"):
        post(hook(hooks.url.replace("http:", "https:"), "127.0.0.0/8"), {}, id_="a", timestamp=1)
    assert hooks.taken == []


def test_each_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Any] = []

    def refuse(address: Any, **_: Any) -> socket.socket:
        tried.append(address[0])
        raise ConnectionRefusedError

    both = [(0, 0, 0, "", ("2606:2800::1", 443)), (0, 0, 0, "", ("93.184.216.34", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
    with pytest.raises(NotSent, match="cannot be reached"):
        post(hook("https://hooks.example.org/"), {}, id_="a", timestamp=1, connect=refuse)
    assert tried == ["2606:2800::1", "93.184.216.34"]


def test_a_redirect_is_not_followed() -> None:
    with taking_hooks() as hooks:
        hooks.status = 307
        with pytest.raises(NotAccepted, match="redirects are not followed"):
            post(hook(hooks.url, "127.0.0.0/8"), {}, id_="a", timestamp=1)
        assert len(hooks.taken) == 1


def test_what_was_not_sent_is_not_noted_and_what_was_not_taken_is() -> None:
    with taking_hooks() as hooks, serving_people(also=hooked(PRINTER, hooks.url), **INSIDE) as desk:
        desk.send_form("contact", ANNA, message="Hello")
        hooks.status = 500
        with pytest.raises(PrivacyError, match="did not say that it took the last 1: it answered 500; run this again later"):
            send(desk)
        assert [row["way"] for row in query("SELECT way FROM disclosure")] == ["webhook (not accepted)"]
        assert len(people(desk)) == 1  # to be sent again
        hooks.close()
        with pytest.raises(PrivacyError, match="got nothing of the last 1"):
            send(desk)
        assert amount("disclosure") == 1
        hooks.__init__()  # type: ignore[misc]  # for its end


def test_a_webhook_without_its_secret_stops_the_start() -> None:
    with pytest.raises(SettingsError, match="PRIVACY_WEBHOOK_SECRETS=printer-ltd=whsec_"):
        serving_people(also=hooked(PRINTER, "https://hooks.example.org/")).__enter__()


@pytest.mark.parametrize(
    "value", ["printer-ltd", "printer-ltd=abc", "Printer=whsec_YWFh", "printer-ltd=whsec_%%%", "printer-ltd=whsec_YWFh"]
)
def test_a_secret_that_is_none_is_told_without_showing_it(value: str) -> None:
    with pytest.raises(SettingsError) as raised:
        serving_people(webhook_secrets=value).__enter__()
    assert value.partition("=")[2] not in str(raised.value) or not value.partition("=")[2]


def test_secrets_are_in_no_repr() -> None:
    assert "x" * 8 not in repr(hook("https://hooks.example.org/"))
    with serving_people(**INSIDE) as desk:
        assert HOOK_SECRET not in repr(desk.office.settings)


# --- the command line ------------------------------------------------------------------------------------------------------


@pytest.fixture
def settled(desk: People, monkeypatch: pytest.MonkeyPatch) -> People:
    """The command line sees what the desk sees."""
    Path("privacy.toml").write_text(desk_policy())
    for name, value in {**environ(), "PRIVACY_SECRET_KEYS": "secret-of-the-tests-" * 2}.items():
        monkeypatch.setenv(name, value)
    return desk


def desk_policy() -> str:
    return POLICY + PRINTER + POST


def test_disclose_writes_a_file_that_only_its_owner_reads(settled: People, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["disclose", "printer-ltd", "--purpose", "answer", "--output", "out.csv"]) == 0
    lines = Path("out.csv").read_text().splitlines()
    assert lines[0] == '"entry","email","message"'
    assert len(lines) == 3
    assert Path("out.csv").stat().st_mode & 0o777 == 0o600
    assert "of 2 people; each of them sees it in their overview" in capsys.readouterr().out
    assert main(["disclose", "Printer Ltd", "--purpose", "answer", "--output", "again.csv"]) == 0
    assert not Path("again.csv").exists()
    assert main(["disclose", "Printer Ltd", "--purpose", "answer", "--all", "--format", "json", "--output", "all.json"]) == 0
    assert len(json.loads(Path("all.json").read_text())) == 2
    assert amount("disclosure") == 4


@pytest.mark.parametrize(
    "arguments",
    [["--purpose", "newsletter", "--output", "x.csv"], ["--purpose", "answer"], ["--purpose", "answer", "--output", "/nowhere/x"]],
)
def test_disclose_that_cannot_be_done_notes_nothing(settled: People, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["disclose", "printer-ltd", *arguments]) == 1
    assert capsys.readouterr().err.startswith("privacy-middleware: ")
    assert amount("disclosure") == 0


def test_the_list_for_a_mail_service_is_exported_as_a_recipient(settled: People) -> None:
    settled.subscribe()
    assert main(["newsletter", "export", "post-letters", "--output", "list.csv"]) == 0
    assert ANNA in Path("list.csv").read_text()
    assert amount("disclosure", "purpose = 'newsletter'") == 1


def test_the_record_of_processing_is_printed_with_what_was_given(settled: People, capsys: pytest.CaptureFixture[str]) -> None:
    give(settled)
    assert main(["record"]) == 0
    assert json.loads(capsys.readouterr().out)["disclosures"][0].endswith("entries: 2")


def test_recipients_are_listed_and_noted(settled: People, capsys: pytest.CaptureFixture[str]) -> None:
    give(settled)
    settled.confirmed("erasure")
    settled.work()
    assert main(["recipients", "list"]) == 0
    out = capsys.readouterr().out
    assert "Printer Ltd (DK), for answer: email, message; confidentiality: agreement 12, 2020-05-01" in out
    assert "erasure" in out
    id_ = notices.listed(settled.store)[0]["id"].hex()[:10]
    assert main(["recipients", "show", id_]) == 0
    assert "erasure" in capsys.readouterr().out
    assert main(["recipients", "received", id_, "--proof", "their mail"]) == 0
    assert main(["recipients", "received", id_, "--proof", "their mail"]) == 1
    assert waiting() == []


def test_sell_is_no_option_of_anything() -> None:
    with pytest.raises(DeclarationError, match="unknown field `sell`"):
        serving_people(also=PRINTER.rstrip() + "\nsell = true\n").__enter__()
    with pytest.raises(SystemExit):
        main(["sell"])
