"""The commands about data requests and mails, as the person who runs the site sees them."""

import json
import re
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from privacy_middleware.cli import main
from privacy_middleware.rights import requests
from privacy_middleware.rights.requests import Request

from .conftest import query
from .databases import back_up, is_there, make_store, restore
from .requesting import ANNA, DAY, OTTO, POLICY, SECRET, TEXT, Clock, Desk, Source, actions, amount, at_desk, graves
from .test_cli_submissions import CONTROLS, ESCAPES, run, table
from .test_request_pages import Site

BASE = "https://www.example.org"


@pytest.fixture(autouse=True)
def _declared(monkeypatch: pytest.MonkeyPatch, clean_environment: None) -> None:
    Path("privacy.toml").write_text(POLICY)
    for name, value in {"PRIVACY_SECRET_KEYS": SECRET, "PRIVACY_BASE_URL": BASE, "LOGNAME": "berta"}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def desk() -> Any:
    """A worker of the running app, at the time of now."""
    with at_desk(clock=Now()) as desk:
        yield desk


class Now(Clock):
    """The time that the commands see, too."""

    def __call__(self) -> float:
        return time.time()


def id_of(request: Request) -> str:
    return request.id.hex()


def asked(desk: Desk, *kinds: str) -> list[Request]:
    return [desk.ask(kind, f"{kind}@example.org") for kind in kinds]


def set_due(request: Request, *, days: float) -> None:
    with closing(make_store()) as store:
        store.open()
        with store.transaction():
            store.execute("UPDATE request SET due = :due WHERE id = :id", due=int((time.time() + days * 86_400) * 1000), id=request.id)


def last_action() -> dict[str, Any]:
    return query("SELECT actor, action, object FROM audit ORDER BY id DESC LIMIT 1")[0]


# --- all of them -----------------------------------------------------------------------------------------------------------

COMMANDS: list[tuple[str, ...]] = [
    ("requests", "list"),
    ("requests", "show", "ab"),
    ("requests", "approve", "ab"),
    ("requests", "refuse", "ab", "--reason", "no"),
    ("requests", "extend", "ab", "--reason", "much"),
    ("requests", "lift", "ab"),
    ("requests", "link", "ab"),
    ("requests", "replay"),
    ("replay",),
    ("mails", "list"),
    ("mails", "show", "ab"),
    ("mails", "sent", "ab"),
    ("audit",),
    ("audit", "verify"),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_without_a_database_a_command_says_where_it_looked_and_makes_none(
    capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    code, out, err = run(capsys, *command)
    assert (code, out) == (1, "")
    assert "there is no database" in err
    assert not is_there()


@pytest.mark.parametrize(
    "command", [("requests",), ("mails",), ("requests", "refuse", "ab"), ("requests", "extend", "ab"), ("requests", "show")]
)
def test_a_command_that_is_not_whole_is_a_wrong_use(capsys: pytest.CaptureFixture[str], command: tuple[str, ...]) -> None:
    assert run(capsys, *command)[0] == 2


@pytest.mark.parametrize("command", [command for command in COMMANDS if "ab" in command])
@pytest.mark.parametrize("prefix", ["", "%", "zz'", "\x1b[31m"])
def test_an_identifier_that_is_none_is_refused(
    desk: Desk, capsys: pytest.CaptureFixture[str], command: tuple[str, ...], prefix: str
) -> None:
    asked(desk, "overview", "erasure")
    before = actions()
    code, out, err = run(capsys, *(prefix if part == "ab" else part for part in command))
    assert (code, out) == (1, "")
    assert "begin with" in err
    assert not CONTROLS.search(err)
    assert actions() == before


# --- list ------------------------------------------------------------------------------------------------------------------


def test_with_nothing_asked_the_list_says_so(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "requests", "list") == (0, "no data request is open\n", "")
    assert json.loads(run(capsys, "requests", "list", "--format", "json")[1]) == []


def test_the_list_shows_open_requests_the_next_deadline_first_and_opens_none(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    overview, erasure, complaint = asked(desk, "overview", "erasure", "complaint")
    set_due(erasure, days=3.5)
    desk.withdraw(complaint)
    code, out, _ = run(capsys, "requests", "list")
    rows = table(out)
    assert code == 0
    assert [row[:3] for row in rows[1:]] == [
        [id_of(erasure)[:10], "erasure", "awaiting"],
        [id_of(overview)[:10], "overview", "awaiting"],
    ]
    assert rows[1][-1] == "3"  # days left
    assert "@" not in out
    assert "show request" not in actions()


def test_the_list_of_all_shows_closed_ones_behind(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = asked(desk, "overview", "erasure")
    desk.withdraw(first)
    found = json.loads(run(capsys, "requests", "list", "--all", "--format", "json")[1])
    assert [(row["id"], row["state"]) for row in found] == [(id_of(second), "awaiting confirmation"), (id_of(first), "withdrawn")]


@pytest.mark.parametrize(("days", "code"), [(6.9, 1), (0.1, 1), (-3, 1), (8, 0)])
def test_cron_is_told_of_a_deadline_within_a_week(desk: Desk, capsys: pytest.CaptureFixture[str], days: float, code: int) -> None:
    [request] = asked(desk, "erasure")
    set_due(request, days=days)
    assert run(capsys, "requests", "list", "--due")[0] == code
    assert run(capsys, "requests", "list")[0] == 0


def test_cron_is_not_told_of_what_is_closed(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    [request] = asked(desk, "erasure")
    set_due(request, days=1)
    desk.withdraw(request)
    assert run(capsys, "requests", "list", "--due")[0] == 0
    assert run(capsys, "requests", "list", "--due", "--all")[0] == 0


# --- show ------------------------------------------------------------------------------------------------------------------


def test_what_is_shown_is_noted(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    request = desk.confirmed("complaint", text="Why?\nAnd how?")
    code, out, _ = run(capsys, "requests", "show", id_of(request)[:6])
    assert code == 0
    assert f"email        {ANNA} (proven)" in out
    assert "text         Why?\n             And how?" in out
    assert last_action() == {"actor": "berta (command line)", "action": "show request", "object": f"complaint {id_of(request)}"}


def test_an_address_that_nobody_has_proven_is_shown_as_such(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"{ANNA} (not proven to be theirs)" in run(capsys, "requests", "show", id_of(desk.ask("complaint", text="?")))[1]


def test_hostile_text_is_shown_and_not_obeyed(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.ask("complaint", text=ESCAPES + "\n" + ESCAPES)
    request = desk.confirm(desk.ask("complaint", OTTO, text=ESCAPES))
    out = run(capsys, "requests", "show", id_of(request))[1]
    assert "\\x1b[31mred" in out
    assert not CONTROLS.search(out)


def test_of_what_is_forgotten_it_shows_what_is_left(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    request = desk.confirmed("erasure")
    desk.work()
    code, out, _ = run(capsys, "requests", "show", id_of(request))
    assert code == 0
    assert "whose request this was is forgotten" in out
    assert "@" not in out


def test_without_its_key_a_request_is_listed_and_its_show_fails(
    desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    request = desk.confirmed("complaint", text="?")
    monkeypatch.setenv("PRIVACY_SECRET_KEYS", "another-secret-" * 4)
    assert id_of(request)[:10] in run(capsys, "requests", "list")[1]
    code, out, _ = run(capsys, "requests", "show", id_of(request))
    assert code == 1
    assert "secret key" in out
    assert ANNA not in out


def test_old_and_new_values_are_shown_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    site = Site(policy=POLICY)
    site.send_form()
    path = site.confirmed("correction")
    html = site.client.post(path, data={"action": "show"}).text
    name = re.findall(r'name="(\w+\.0\.message)"', html)[0]
    site.client.post(path, data={"action": "send", name: "the canary is silent\x1b[2J", "note": "My name, too"})
    [found] = json.loads(run(capsys, "requests", "list", "--format", "json")[1])
    out = run(capsys, "requests", "show", found["id"])[1]
    assert "contact, message:\n  old  a canary sings at night\n  new  the canary is silent" in out
    assert "My name, too" in out
    assert not CONTROLS.search(out)
    assert run(capsys, "requests", "approve", found["id"], "--message", "Done.")[0] == 0
    site.settle()
    assert site.state() == "fulfilled"


# --- decisions -------------------------------------------------------------------------------------------------------------


def test_an_approved_complaint_is_answered_with_the_owners_words(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    request = desk.confirmed("complaint", text="Why?")
    assert run(capsys, "requests", "approve", id_of(request), "--message", "Because.")[:2] == (
        0,
        f"complaint {id_of(request)[:10]}: fulfilled\n",
    )
    desk.work()
    assert "Because." in desk.mail("fulfilled").text
    assert actions()[-2:] == ["request approved", "request fulfilled"]


def test_a_complaint_is_not_answered_without_a_word(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    request = desk.confirmed("complaint", text="Why?")
    code, _, err = run(capsys, "requests", "approve", id_of(request))
    assert code == 1
    assert "--message" in err
    assert desk.state(request) == "in_review"


def test_an_approval_does_not_take_the_place_of_the_persons_proof(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    request = desk.ask("erasure")
    code, _, err = run(capsys, "requests", "approve", id_of(request))
    assert code == 1
    assert "nobody has proven" in err
    assert desk.state(request) == "awaiting_confirmation"


@pytest.mark.parametrize("way", ["argument", "file", "input"])
def test_a_reason_can_stand_in_a_file_or_come_by_standard_input(
    desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    import io

    Path("reason.txt").write_text("It is årsagen.\n")
    monkeypatch.setattr("sys.stdin", io.StringIO("It is årsagen.\n"))
    given = {"argument": "It is årsagen.", "file": "@reason.txt", "input": "-"}[way]
    request = desk.confirmed("complaint", text="Why?")
    assert run(capsys, "requests", "refuse", id_of(request), "--reason", given)[0] == 0
    desk.work()
    mail = desk.mail("refused")
    assert "It is årsagen." in mail.text
    assert "go to court" in mail.text
    assert "data protection authority" in mail.text


@pytest.mark.parametrize("reason", ["", "  \n", "@missing.txt", "@binary"])
def test_without_a_reason_nothing_is_refused_or_extended(desk: Desk, capsys: pytest.CaptureFixture[str], reason: str) -> None:
    Path("binary").write_bytes(b"\xff\xfe")
    request = desk.confirmed("complaint", text="Why?")
    for action in ("refuse", "extend"):
        assert run(capsys, "requests", action, id_of(request), "--reason", reason)[0] == 1
    assert desk.state(request) == "in_review"


def test_an_extension_moves_the_deadline_once_and_tells_the_person(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    request = desk.confirmed("complaint", text="Why?")
    before = desk.get(request).due
    assert run(capsys, "requests", "extend", id_of(request), "--reason", "It is a lot.")[0] == 0
    assert desk.get(request).due - before > 50 * DAY
    code, _, err = run(capsys, "requests", "extend", id_of(request), "--reason", "Still a lot.")
    assert code == 1
    assert "once" in err
    desk.work()
    assert "It is a lot." in desk.mail("extended").text


def test_what_is_closed_cannot_be_decided_on(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    request = desk.confirmed("restriction")
    for command in (("approve",), ("refuse", "--reason", "no"), ("extend", "--reason", "much"), ("link",)):
        code, out, err = run(capsys, "requests", command[0], id_of(request), *command[1:])
        assert (code, out) == (1, ""), command
        assert "fulfilled" in err, command


@pytest.mark.parametrize("kind", ["restriction", "objection"])
def test_a_restriction_or_objection_can_be_lifted_once(desk: Desk, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    request = desk.confirmed(kind)
    assert run(capsys, "requests", "lift", id_of(request))[0] == 0
    assert run(capsys, "requests", "lift", id_of(request))[0] == 1
    desk.work()
    assert desk.to().count("lifted") == 1


@pytest.mark.parametrize("kind", ["overview", "complaint", "erasure"])
def test_nothing_else_can_be_lifted(desk: Desk, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    code, _, err = run(capsys, "requests", "lift", id_of(desk.confirmed(kind, text="?" if kind == "complaint" else "")))
    assert code == 1
    assert "only a restriction or objection" in err


def test_a_link_by_hand_proves_the_address(capsys: pytest.CaptureFixture[str]) -> None:
    site = Site(mail=False, policy=POLICY)
    site.ask("restriction")
    [found] = json.loads(run(capsys, "requests", "list", "--format", "json")[1])
    code, out, _ = run(capsys, "requests", "link", found["id"])
    assert code == 0
    assert ANNA in out
    link = out.splitlines()[-1]
    assert link.startswith(f"{BASE}/privacy/requests/confirm/")
    assert last_action()["action"] == "link by hand"
    assert link.rpartition("/")[2] not in repr(query("SELECT * FROM audit"))
    assert site.client.post(link.removeprefix(BASE)).status_code == 303
    assert site.state() == "fulfilled"


def test_a_link_needs_the_public_address(desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    request = desk.ask("restriction")
    monkeypatch.delenv("PRIVACY_BASE_URL")
    code, out, err = run(capsys, "requests", "link", id_of(request))
    assert (code, out) == (1, "")
    assert "PRIVACY_BASE_URL" in err


# --- replay ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [("replay",), ("requests", "replay")])
def test_a_restored_backup_is_erased_again(capsys: pytest.CaptureFixture[str], command: tuple[str, ...]) -> None:
    with at_desk(clock=Now()) as desk:
        desk.submit(ANNA, OTTO)
        desk.store.checkpoint()
        desk.store.close()
        back_up()
        desk.store.open()
        desk.confirmed("erasure")
        desk.work()
        assert desk.messages() == []
    restore()
    code, out, _ = run(capsys, "status")
    assert code == 1
    assert "1 erasures are not in this database" in out
    code, out, _ = run(capsys, *command)
    assert (code, out.splitlines()[0]) == (0, "erased again: 1 people, 1 submissions and requests")
    assert run(capsys, *command)[1].splitlines()[0] == "erased again: 0 people, 0 submissions and requests"
    with at_desk(clock=Now()) as desk:
        assert (desk.messages(ANNA), desk.messages(OTTO)) == ([], [TEXT])
    assert len(graves()) == 1


# --- mails -----------------------------------------------------------------------------------------------------------------


def test_mails_that_wait_are_listed_without_opening_them(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "mails", "list") == (0, "no mail waits\n", "")
    desk.ask("overview")
    code, out, _ = run(capsys, "mails", "list")
    assert code == 0
    assert table(out)[1][1] == "confirm"
    assert "@" not in out
    assert "show mail" not in actions()


def mail_id(capsys: pytest.CaptureFixture[str]) -> str:
    return table(run(capsys, "mails", "list")[1])[1][0]


def test_a_mail_can_be_sent_by_hand_and_is_then_gone(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.ask("overview")
    id_ = mail_id(capsys)
    code, out, _ = run(capsys, "mails", "show", id_)
    assert code == 0
    assert out.startswith(f"To: {ANNA}\nSubject: Please confirm your request (Example)\n\n")
    assert f"{BASE}/privacy/requests/confirm/" in out
    assert run(capsys, "mails", "sent", id_) == (0, "noted, and deleted here\n", "")
    assert amount("mail") == 0
    assert [action for action in actions() if "mail" in action] == ["show mail", "mail sent by hand"]
    assert run(capsys, "mails", "show", id_)[0] == 1


def test_a_mail_with_hostile_words_of_the_owner_is_shown_and_not_obeyed(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    request = desk.confirmed("complaint", text="?")
    desk.send()
    desk.decide(requests.refuse, request, reason=ESCAPES)
    out = run(capsys, "mails", "show", mail_id(capsys))[1]
    assert "\\x1b[31mred" in out
    assert not CONTROLS.search(out)


def test_the_person_sees_in_the_overview_that_the_owner_opened_a_mail_to_them(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.submit()
    request = desk.ask("overview")
    run(capsys, "mails", "show", mail_id(capsys))
    assert query("SELECT subject FROM audit WHERE action = 'show mail'") == [{"subject": desk.get(request).lookup}]


# --- audit -----------------------------------------------------------------------------------------------------------------


def test_every_decision_is_in_the_audit_log_without_values(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    request = desk.confirmed("complaint", text="secret words")
    run(capsys, "requests", "extend", id_of(request), "--reason", "secret words")
    run(capsys, "requests", "approve", id_of(request), "--message", "secret words")
    code, out, _ = run(capsys, "audit")
    assert code == 0
    said = [re.split(r"  +", line)[1:3] for line in out.splitlines()]
    assert said == [
        ["the person", "request received"],
        ["system", "request awaiting_confirmation"],
        ["the person", "request confirmed"],
        ["system", "request in_review"],
        ["berta (command line)", "request extended"],
        ["berta (command line)", "request approved"],
        ["berta (command line)", "request fulfilled"],
    ]
    assert "secret" not in out
    assert "@" not in out


def test_the_log_of_a_hostile_account_name_stays_in_one_line(
    desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "berta\x1b[31m\nsystem")
    run(capsys, "requests", "show", id_of(desk.ask("overview")))
    out = run(capsys, "audit")[1]
    assert len(out.splitlines()) == 3
    assert not CONTROLS.search(out)


def test_an_untouched_log_is_said_to_be_whole_and_its_head_can_be_noted(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "audit", "verify")[:2] == (0, "0 entries, and none was changed\n")
    desk.ask("overview")
    code, out, _ = run(capsys, "audit", "verify")
    assert code == 0
    assert out.startswith("2 entries, and none was changed\n")
    head = out.splitlines()[-1]
    assert re.fullmatch("[0-9a-f]{64}", head)
    desk.ask("erasure")
    assert run(capsys, "audit", "verify", "--head", head)[0] == 0
    assert run(capsys, "audit", "verify", "--head", head[::-1])[0] == 1


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit SET actor = 'somebody' WHERE id = 1",
        "UPDATE audit SET time = time + 1 WHERE id = 2",
        "UPDATE audit SET object = 'nothing' WHERE id = 3",
        "DELETE FROM audit WHERE id = 2",
        "UPDATE audit SET id = id + 100 WHERE id = 2",
    ],
)
def test_a_changed_log_is_found(desk: Desk, capsys: pytest.CaptureFixture[str], change: str) -> None:
    desk.confirmed("restriction")
    with desk.store.transaction():
        desk.store.execute(change)
    code, out, _ = run(capsys, "audit", "verify")
    assert code == 1
    assert "cannot be relied on" in out


# --- status ----------------------------------------------------------------------------------------------------------------


def problems(capsys: pytest.CaptureFixture[str]) -> list[str]:
    code, out, _ = run(capsys, "status")
    found = [line.removeprefix("problem").strip() for line in out.splitlines() if line.startswith("problem")]
    assert code == (1 if found else 0)
    return found


def test_status_counts_requests_by_their_state_and_mails_that_wait(
    desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRIVACY_SMTP_URL", "smtp://mail.example.org")
    asked(desk, "overview", "erasure")
    desk.withdraw(desk.ask("restriction"))
    out = run(capsys, "status")[1]
    assert "requests    awaiting confirmation: 2\n" in out
    assert "requests    withdrawn: 1\n" in out
    assert "mails       waiting: 2\n" in out
    assert problems(capsys) == []


def test_status_says_that_requests_wait_for_a_mail(capsys: pytest.CaptureFixture[str]) -> None:
    Site(mail=False, policy=POLICY).ask()
    assert any("1 data requests wait for a mail: set PRIVACY_BASE_URL and PRIVACY_SMTP_URL" in problem for problem in problems(capsys))


def test_status_says_that_mails_wait_without_a_mail_server(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.ask()
    assert any("1 mails wait" in problem and "PRIVACY_SMTP_URL" in problem for problem in problems(capsys))


def test_status_says_that_a_deadline_is_over(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    request = desk.confirmed("complaint", text="?")
    desk.send()
    set_due(request, days=-1)
    desk.send()
    assert [problem for problem in problems(capsys) if "past their deadline" in problem]


def test_status_says_that_a_source_fails(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_: str) -> Any:
        raise RuntimeError

    with at_desk(clock=Now(), sources=(Source("Accounts", erases=fail),)) as desk:
        request = desk.confirmed("erasure")
        desk.work()
        assert [problem for problem in problems(capsys) if "could not be done yet" in problem]
        shown = json.loads(run(capsys, "requests", "list", "--format", "json")[1])
        assert [(row["id"], row["failed"]) for row in shown] == [(id_of(request), 1)]


def test_a_refused_command_prints_no_value(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    request = desk.ask("complaint", text="secret words")
    for command in (
        ("approve", id_of(request), "--message", "more secret words"),
        ("lift", id_of(request)),
        ("extend", id_of(request), "--reason", "x"),
    ):
        code, out, err = run(capsys, "requests", *command)
        assert code == 1
        assert "secret" not in out + err
        assert "@" not in out + err


def test_the_commands_explain_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (("requests",), ("mails",), ("audit",), ("requests", "list"), ("requests", "approve"), ("replay",)):
        with pytest.raises(SystemExit) as ended:
            main([*command, "--help"])
        assert ended.value.code == 0
        assert "usage: privacy-middleware" in capsys.readouterr().out
