"""The newsletter: only to who said yes, each issue once, and gone with one press of a button."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from privacy_middleware.errors import PrivacyError
from privacy_middleware.mail import Mail, NotNow, Undeliverable, Unsure
from privacy_middleware.record import submissions
from privacy_middleware.rights import consents, mails, newsletter
from privacy_middleware.rights.overview import gather
from privacy_middleware.statement import forms as statement_forms

from .conftest import query
from .databases import change, contents
from .requesting import ANNA, DAY, OTTO, actions, amount
from .serving_people import POLICY, People, serving_people, token_of


@pytest.fixture
def desk() -> Iterator[People]:
    with serving_people() as desk:
        yield desk


# --- joining ---------------------------------------------------------------------------------------------------------------


def test_who_signs_up_is_asked_first_and_gets_nothing_before(desk: People) -> None:
    desk.ask_for_news()
    desk.issue()
    assert desk.to() == ["sign_up"]
    assert consents.counts(desk.store)["given"] == 0
    mail = desk.mail("sign_up")
    assert "canary" not in mail.text.replace("canary@", "")
    assert mail.text.rstrip().endswith("/privacy/requests/")


def test_who_says_yes_gets_each_issue(desk: People) -> None:
    desk.subscribe()
    desk.issue()
    desk.issue("# More news\n\nIt sang again.")
    assert desk.got() == [ANNA, ANNA]


def test_the_consent_is_kept_with_its_words_language_time_and_version(desk: People) -> None:
    token = desk.ask_for_news()
    desk.clock.now += 3600
    consent = desk.press(token)
    assert consent
    assert (consent.given, consent.statement) == (desk.now, desk.office.digest())
    assert consents.wording(desk.office, desk.store, consent) == consents.Wording("da", "Yes, please.")
    assert b"Yes, please." not in contents()


def test_to_say_yes_twice_changes_nothing(desk: People) -> None:
    token = desk.subscribe()
    first = query("SELECT * FROM consent")
    desk.clock.now += 10
    desk.press(token)
    assert query("SELECT * FROM consent") == first


def test_a_second_sign_up_is_told_by_mail_only_and_changes_nothing(desk: People) -> None:
    desk.subscribe()
    before = query("SELECT * FROM consent"), amount("submission")
    token = desk.ask_for_news()
    assert desk.to() == ["sign_up", "already"]
    assert (query("SELECT * FROM consent"), amount("submission")) == before
    assert desk.press(token, "leave").withdrawn  # type: ignore[union-attr]


def test_of_several_sign_ups_the_one_that_is_confirmed_stays(desk: People) -> None:
    first, second = desk.ask_for_news(), desk.ask_for_news()
    assert desk.press(second)
    assert desk.press(first) is None
    assert (amount("consent"), amount("submission")) == (1, 1)


def test_a_mailbox_is_not_flooded(desk: People) -> None:
    for _ in range(12):
        desk.send_form("news", name="a joke")
        desk.work()
    assert desk.got("sign_up") == [ANNA] * 5
    assert amount("submission") == 5


def test_sign_ups_and_data_requests_do_not_use_up_each_others_limit() -> None:
    with serving_people(limits="all=2") as desk:
        for number in range(4):
            desk.send_form("news", f"canary{number}@example.org", name="A")
        desk.work()
        assert len(desk.got("sign_up")) == 2
        assert amount("submission") == 4  # the others wait
        desk.clock.now += DAY // 1000 + 3600
        desk.work()
        assert len(desk.got("sign_up")) == 4


def test_what_nobody_confirms_is_deleted_with_all_that_came(desk: People) -> None:
    token = desk.ask_for_news()
    desk.clock.now += consents.UNCONFIRMED_DAYS * DAY // 1000 + 1
    assert desk.press(token).given is None  # type: ignore[union-attr]
    desk.work()
    assert amount("consent") == amount("submission") == amount("subject", "lookup IS NOT NULL") == 0
    assert ANNA.encode() not in contents()


def test_somebody_who_is_signed_up_again_and_again_keeps_nobody_else_from_it(desk: People) -> None:
    for number in range(60):
        desk.send_form("news", f"victim+{number}@example.org", name="a joke")
    desk.work()
    desk.send_form("news", name="A")
    desk.work()
    desk.work()
    assert desk.got("sign_up").count(ANNA) == 1
    assert len(desk.got("sign_up")) == 6
    assert amount("submission") == 6


def test_a_form_that_is_declared_no_more_ends_no_subscription() -> None:
    with serving_people() as desk:
        desk.subscribe()
    with serving_people(policy=POLICY.replace('"news"', '"letters"')) as desk:
        for number in range(4):
            desk.issue(f"# Issue {number}\n\nText")
        assert newsletter.end_bounced(desk.office, desk.store, now=desk.now) == 0
        assert consents.counts(desk.store)["given"] == 1


def test_a_mail_that_waits_is_gone_with_its_person() -> None:
    with serving_people() as desk:
        desk.send_form("news", name="A")
        desk.clerk.hurry().result(20)
        desk.rest()
        assert [row["kind"] for row in query("SELECT kind FROM mail")] == ["sign_up"]
        desk.confirmed("erasure")
        desk.clerk.hurry().result(20)
        desk.rest()
        assert "sign_up" not in [row["kind"] for row in query("SELECT kind FROM mail")]


def test_while_a_key_is_missing_a_sign_up_waits(desk: People) -> None:
    desk.send_form("news", name="A")
    rows = query("SELECT id, sealed FROM subject WHERE lookup IS NOT NULL")
    change("UPDATE subject SET master = id WHERE lookup IS NOT NULL")
    desk.work()
    assert (desk.mails, amount("consent"), amount("submission")) == ([], 0, 1)
    assert rows


def test_without_mail_a_sign_up_waits() -> None:
    with serving_people(mail=False) as desk:
        desk.send_form("news", name="A")
        desk.work()
        assert (amount("submission"), amount("consent")) == (1, 0)


def test_an_address_that_cannot_be_written_to_is_left_alone(desk: People) -> None:
    desk.send_form("news", "root@localhost", name="A")
    desk.work()
    desk.work()
    assert desk.mails == []
    desk.clock.now += 8 * DAY // 1000
    desk.work()
    assert amount("submission") == amount("consent") == 0


def test_the_periods_are_those_of_the_statement() -> None:
    assert consents.UNCONFIRMED_DAYS == statement_forms.UNCONFIRMED_DAYS
    assert newsletter.KEPT_DAYS == statement_forms.DELIVERED_DAYS


# --- leaving ---------------------------------------------------------------------------------------------------------------


def test_who_leaves_is_forgotten_but_for_the_proof_which_goes_in_time(desk: People) -> None:
    token = desk.subscribe()
    desk.press(token, "leave")
    desk.issue()
    assert desk.got() == []
    assert (amount("submission"), amount("consent"), amount("delivery")) == (0, 1, 0)
    assert actions()[-2:] == ["consent withdrawn", "newsletter begun"]
    desk.clock.now += 30 * DAY // 1000 + 1
    desk.work()
    assert amount("consent") == amount("subject", "lookup IS NOT NULL") == 0


def test_the_newsletter_is_kept_for_as_long_as_it_is_wanted(desk: People) -> None:
    desk.subscribe()
    today = query("SELECT day FROM submission")[0]["day"]
    assert submissions.purge(desk.store, desk.office.declaration.forms, today=today + 3000) == 0
    desk.issue()
    assert desk.got() == [ANNA]


def test_who_left_can_join_again(desk: People) -> None:
    desk.press(desk.subscribe(), "leave")
    desk.subscribe()
    desk.issue()
    assert desk.got() == [ANNA]
    assert amount("consent") == 2


@pytest.mark.parametrize("kind", ["restriction", "objection"])
def test_who_objects_gets_none_until_that_is_over(desk: People, kind: str) -> None:
    from privacy_middleware.rights import requests

    desk.subscribe()
    request = desk.confirmed(kind)
    assert desk.issue().ended
    assert desk.got() == []
    desk.decide(requests.lift, request)
    desk.issue("# Later\n\nIt sang.")
    assert desk.got() == [ANNA]


def test_who_is_erased_is_gone_from_the_list_and_from_what_was_sent(desk: People) -> None:
    desk.subscribe()
    desk.issue()
    desk.confirmed("erasure")
    desk.work()
    assert amount("consent") == amount("delivery") == amount("submission") == amount("subject", "lookup IS NOT NULL") == 0
    desk.issue("# Later\n\nIt sang.")
    assert desk.got() == [ANNA]


def test_an_overview_has_what_was_agreed_to(desk: People) -> None:
    token = desk.subscribe()
    desk.press(token, "leave")
    found = gather(desk.office, desk.store, desk.confirmed("overview"), now=desk.now)
    [row] = next(part for part in found.parts if part.name == "permissions").rows
    assert row["words"] == "Yes, please."
    assert row["given"]
    assert row["withdrawn"]
    assert row["statement"] == desk.office.digest().hex()


# --- an issue --------------------------------------------------------------------------------------------------------------


def test_a_mail_has_the_text_the_reason_and_the_way_out(desk: People) -> None:
    desk.subscribe()
    desk.issue("# News & more\n\nA canary *sang*: [here](https://www.example.org/a).")
    mail = desk.mail("issue")
    assert mail.subject == "News & more"
    assert "<em>sang</em>" in mail.html
    assert "A canary *sang*" in mail.text
    assert "You get this because" not in mail.text  # Danish, as when she said yes
    link = mail.headers["List-Unsubscribe"].strip("<>")
    assert link in mail.text
    assert link in mail.html
    assert mail.headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail.text.rstrip().endswith("/privacy/requests/")
    assert re.fullmatch(r"[0-9a-f]{32}@\S+", mail.message_id)


def test_the_link_of_an_issue_is_each_persons_own(desk: People) -> None:
    desk.subscribe()
    desk.subscribe(OTTO)
    desk.issue()
    links = {mail.to: token_of(mail) for mail in desk.mails if mail.kind == "issue"}
    assert len(set(links.values())) == 2
    desk.press(links[OTTO], "leave")
    desk.issue("# Later\n\nIt sang.")
    assert (sorted(desk.got()[:2]), desk.got()[2:]) == ([ANNA, OTTO], [ANNA])


def test_without_https_no_one_click_is_promised(desk: People) -> None:
    mail = mails.issue(desk.office, mails.Reader(ANNA, "en"), "http://x.example/privacy/newsletter/a", subject="a", text="b", html="c")
    assert set(mail.headers) == {"List-Unsubscribe", "Precedence"}


def test_the_same_text_again_is_the_same_issue_and_sent_to_nobody_twice(desk: People) -> None:
    desk.subscribe()
    assert desk.issue().id == desk.issue().id
    desk.subscribe(OTTO)  # who came later gets the next one
    desk.issue()
    assert desk.got() == [ANNA]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no subject"),
        ("no heading\n\ntext", "no subject"),
        ("# Only a heading", "no text"),
        ("# A\n\n<script>alert(1)</script>", "HTML"),
        ("# A\n\n" + "x" * 200_000, "longer"),
    ],
)
def test_an_issue_that_is_none_is_told(text: str, words: str) -> None:
    with pytest.raises(PrivacyError, match=words):
        newsletter.read_issue(text)


def test_the_subject_is_the_first_heading_or_what_is_given() -> None:
    assert newsletter.read_issue("# A  b\nText")[0] == "A b"
    assert newsletter.read_issue("# A\nText", subject="C\r\nBcc: x")[0] == "C Bcc: x"
    assert newsletter.read_issue("Text\nMore", subject="C") == ("C", "Text\nMore")


# --- what goes wrong -------------------------------------------------------------------------------------------------------


class Server:
    """A mail server of the host's: it fails as the test says, once for each entry."""

    def __init__(self, *faults: type[Exception] | None) -> None:
        self.faults = list(faults)
        self.sent: list[Mail] = []

    def __call__(self, mail: Mail) -> None:
        fault = self.faults.pop(0) if mail.kind == "issue" and self.faults else None
        if fault:
            raise fault
        self.sent.append(mail)

    def got(self) -> list[str]:
        return [mail.to for mail in self.sent if mail.kind == "issue"]


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def two(server: Server) -> Iterator[People]:
    """Two people who get the newsletter, by a server that fails."""
    with serving_people(mail=server) as desk:
        for email in (ANNA, OTTO):
            desk.send_form("news", email, name="A")
            desk.work()
            desk.press(token_of(server.sent[-1]))
        yield desk


def test_an_address_that_refuses_is_counted_and_the_others_get_it(two: People, server: Server) -> None:
    server.faults = [Undeliverable]
    issue = two.issue()
    assert (issue.sent, issue.refused, issue.doubtful) == (1, 1, 0)


def test_an_address_that_refuses_three_issues_in_a_row_is_taken_off(two: People, server: Server) -> None:
    for number in range(3):
        server.faults = [Undeliverable, Undeliverable]
        two.issue(f"# Issue {number}\n\nText")
    assert newsletter.end_bounced(two.office, two.store, now=two.now) == 2
    assert consents.counts(two.store)["given"] == 0


def test_an_address_that_takes_one_in_between_stays(two: People, server: Server) -> None:
    for number in range(5):
        server.faults = [] if number == 2 else [Undeliverable, Undeliverable]
        two.issue(f"# Issue {number}\n\nText")
    assert newsletter.end_bounced(two.office, two.store, now=two.now) == 0


def test_a_server_that_asks_to_come_again_gets_it_later(two: People, server: Server) -> None:
    server.faults = [NotNow]
    issue = two.issue()
    assert issue.ended is None
    assert newsletter.progress(two.store, issue).later == 1
    assert two.go_on(issue).ended is None  # too soon
    two.clock.now += 301
    assert two.go_on(issue).sent == 2
    assert sorted(server.got()) == [ANNA, OTTO]


def test_who_cannot_be_reached_for_three_days_is_given_up(two: People, server: Server) -> None:
    server.faults = [NotNow] * 99
    issue = two.issue()
    for _ in range(14):
        two.clock.now += 6 * 3600
        issue = two.go_on(issue)
    assert (issue.sent, issue.refused) == (0, 2)


def test_a_server_that_is_away_breaks_it_off_and_it_goes_on(two: People, server: Server) -> None:
    server.faults = [ConnectionRefusedError]
    issue = two.issue()
    assert newsletter.progress(two.store, issue).left == 1
    two.clock.now += 301
    assert two.go_on(issue).sent == 2


def test_a_connection_that_breaks_off_leaves_a_doubt_and_no_second_mail(two: People, server: Server) -> None:
    server.faults = [Unsure]
    issue = two.issue()
    assert (issue.sent, issue.doubtful) == (1, 1)
    two.go_on(issue)
    assert len(server.got()) == 1
    with two.store.transaction():
        assert newsletter.resend_doubtful(two.store, issue, actor="Berta", now=two.now) == 1
    assert two.go_on(newsletter.get(two.store, issue.id)).sent == 2


def test_a_process_that_ends_while_it_sends_leaves_a_doubt(two: People, server: Server) -> None:
    server.faults = [KeyboardInterrupt]  # type: ignore[list-item]
    with pytest.raises(KeyboardInterrupt):
        two.issue()
    [issue] = newsletter.unfinished(two.store)
    done = two.go_on(issue)
    assert (done.sent, done.doubtful) == (1, 1)
    assert len(server.got()) == 1


def test_who_leaves_while_it_is_sent_gets_none_any_more(two: People, server: Server) -> None:
    turns = iter([True, False])
    subject, text = newsletter.read_issue("# A\n\nB")
    with two.store.transaction():
        issue = newsletter.begin(two.store, subject=subject, text=text, actor="Berta", now=two.now)
    newsletter.send(two.office, two.store, issue, clock=lambda: two.now, may_send=lambda: next(turns))
    [first] = server.got()
    other = next(mail for mail in server.sent if mail.kind == "sign_up" and mail.to != first)
    two.press(token_of(other), "leave")
    assert two.go_on(issue).sent == 1


# --- upkeep ----------------------------------------------------------------------------------------------------------------


def test_who_was_sent_an_issue_is_forgotten_after_a_month_and_the_number_stays(desk: People) -> None:
    desk.subscribe()
    issue = desk.issue()
    assert amount("delivery") == 1
    desk.clock.now += newsletter.KEPT_DAYS * DAY // 1000 + 1
    desk.work()
    assert amount("delivery") == 0
    assert newsletter.progress(desk.store, newsletter.get(desk.store, issue.id)).sent == 1


def test_who_complains_is_taken_off_and_nobody_else(desk: People) -> None:
    desk.subscribe()
    desk.subscribe(OTTO)
    listed = [f" {OTTO.upper()} ", "nobody@example.org", "no address", ""]
    assert newsletter.remove(desk.office, desk.store, listed, why="complaint", actor="Berta", now=desk.now) == 1
    desk.issue()
    assert desk.got() == [ANNA]
    assert actions()[-2] == "consent withdrawn (complaint)"


def test_sign_ups_from_before_get_no_mail_until_they_are_invited(desk: People) -> None:
    desk.send_form("news", name="A")
    change(
        "INSERT INTO consent (id, subject, submission, purpose, statement, asked) "
        "SELECT id, subject, id, purpose, statement, 0 FROM submission"
    )
    desk.work()
    assert desk.mails == []
    assert consents.counts(desk.store)["uninvited"] == 1
    today = query("SELECT day FROM submission")[0]["day"]
    assert consents.invite(desk.office, desk.store, actor="Berta", now=desk.now) == 1
    assert consents.invite(desk.office, desk.store, actor="Berta", now=desk.now) == 0
    desk.work()
    desk.press(token_of(desk.mail("sign_up")))
    desk.issue()
    assert desk.got() == [ANNA]
    assert submissions.purge(desk.store, desk.office.declaration.forms, today=today + 3000) == 0


def test_an_invitation_goes_to_each_person_once_and_not_to_who_objects(desk: People) -> None:
    for _ in range(3):
        desk.send_form("news", name="A")
    desk.send_form("news", OTTO, name="A")
    change(
        "INSERT INTO consent (id, subject, submission, purpose, statement, asked) "
        "SELECT id, subject, id, purpose, statement, 0 FROM submission"
    )
    desk.confirmed("objection", OTTO)
    assert consents.invite(desk.office, desk.store, actor="Berta", now=desk.now) == 1
    desk.work()
    assert desk.got("sign_up") == [ANNA]


def test_one_address_that_waits_does_not_hold_up_the_next_issue(two: People, server: Server) -> None:
    from privacy_middleware.rights.mailer import Mailer

    server.faults = [NotNow]
    two.issue()
    mailer = Mailer(two.store.another(), two.office, count=lambda *_: None, clock=two.clock)
    assert not mailer._is_anything_due(two.store, two.now)
    with two.store.transaction():
        newsletter.begin(two.store, subject="B", text="# B\n\nC", actor="Berta", now=two.now)
    assert mailer._is_anything_due(two.store, two.now)
    mailer._turn()
    mailer.close()
    mailer.store.close()
    assert not mailer._is_anything_due(two.store, two.now)
    assert mailer._is_anything_due(two.store, two.now + 301_000)


def test_an_issue_that_nobody_could_send_ends_after_ten_days() -> None:
    with serving_people() as desk:
        desk.subscribe()
        with desk.store.transaction():
            newsletter.begin(desk.store, subject="A", text="# A\n\nB", actor="Berta", now=desk.now)
        desk.clock.now += 11 * DAY // 1000
        desk.work()
        assert newsletter.unfinished(desk.store) == []


def test_sign_ups_from_before_go_when_their_time_is_over(desk: People) -> None:
    desk.send_form("news", name="A")
    change(
        "INSERT INTO consent (id, subject, submission, purpose, statement, asked) "
        "SELECT id, subject, id, purpose, statement, 0 FROM submission"
    )
    today = query("SELECT day FROM submission")[0]["day"]
    assert submissions.purge(desk.store, desk.office.declaration.forms, today=today + 30) == 1
    assert amount("consent") == amount("submission") == 0


def test_the_app_sends_by_itself_what_is_begun(desk: People) -> None:
    desk.subscribe()
    with desk.store.transaction():
        newsletter.begin(desk.store, subject="A", text="# A\n\nB", actor="Berta", now=desk.now)
    mailer = desk.privacy.mailer
    mailer._turn()
    assert desk.got() == [ANNA]
    mailer.close()


def test_nothing_of_a_person_shows_in_a_traceback(desk: People) -> None:
    desk.subscribe()
    consent = consents.of_subject(desk.store, query("SELECT subject FROM consent")[0]["subject"])[0]
    shown: list[Any] = [consents.wording(desk.office, desk.store, consent), mails.Reader(ANNA, "da")]
    assert ANNA not in repr(shown)
    assert "please" not in repr(shown)
