"""The intake under fire: real captured bodies, real database files, locks, forks and full folders."""

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pytest

from privacy_middleware.collect.form import Copy
from privacy_middleware.forms import Field, Form, Outcome
from privacy_middleware.record import intake as intake_module
from privacy_middleware.record.intake import MOST_WAITING, Captured, Intake, absorb
from privacy_middleware.record.spool import Spool
from privacy_middleware.record.submissions import Stored, find, read, rewrap
from privacy_middleware.vault import Vault

from .conftest import query
from .databases import change, is_there, is_whole, make_store
from .test_recorder import begin, let_permissions_bind, make_recorder, needs_fork, script, until, write_lock  # noqa: F401 - for scripts
from .test_submissions import ANNA, EVER, OTTO, put, submission

OLD, NEW = "old-secret-" * 4, "new-secret-" * 4
LIMIT = 4096
URLENCODED = b"application/x-www-form-urlencoded"
NOON = datetime(2026, 5, 27, 12, tzinfo=UTC).timestamp()
CONTACT = Form(
    name="contact",
    path="/contact",
    purpose="answer",
    retention_days=3660,
    fields={
        "email": Field(treatment="keep", identity=True),
        "message": Field(treatment="keep"),
        "customer": Field(treatment="hash"),
        "colour": Field(treatment="choice", choices=("red",)),
    },
)
counts: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def _count_anew() -> None:
    counts.clear()


def count(name: str, amount: int = 1) -> None:
    counts[name] += amount


def make_intake(*secrets: str, wait_seconds: float = 0.5, zone: tzinfo = UTC) -> Intake:
    vault, path = Vault(secrets or (NEW,)), Path("privacy.db")
    return Intake(
        make_store(path), Spool(path), vault=lambda: vault, zone=zone, statement=lambda: b"digest", wait_seconds=wait_seconds, count=count
    )


def captured(
    body: bytes | None = None,
    *,
    email: str = ANNA,
    message: str = "canary message",
    content_type: bytes = URLENCODED,
    form: Form = CONTACT,
    outcome: Outcome = "accepted",
    more: bool = False,
    visitor: int | None = None,
    at: float = NOON,
) -> Captured:
    """A form post as the adapter hands it over; `more` if the client left before its end."""
    copy = Copy(LIMIT)
    copy.add(urlencode({"email": email, "message": message}).encode() if body is None else body, more=more)
    return Captured(form, outcome, content_type, copy.body(), at, visitor)


def send(intake: Intake, *several: Captured) -> None:
    """Take these, and wait until they are durable."""
    futures = [intake.take(each) for each in several or (captured(),)]
    for future in futures:
        assert future is not None
        assert future.result(20) is True


def stored() -> int:
    return int(query("SELECT COUNT(*) AS n FROM submission")[0]["n"]) if is_there() else 0


def waiting() -> int:
    return len(Spool(Path("privacy.db")).waiting())


def read_all(*secrets: str) -> list[tuple[Stored, int | None, dict[str, Any]]]:
    store = make_store()
    store.open()
    try:
        return [(each, *read(store, Vault(secrets or (NEW,)), each)) for each in find(store, **EVER)]
    finally:
        store.close()


def take_in() -> int:
    """Have the spool taken in as the recorder does."""
    store = make_store()
    store.open()
    try:
        return absorb(store, Spool(Path("privacy.db")), Vault([NEW, OLD]))
    finally:
        store.close()


def make_database() -> None:
    with closing(make_store()) as store:
        store.open()


# --- what is stored --------------------------------------------------------------------------------------------------------


@pytest.mark.sqlite
def test_a_form_is_durable_once_its_future_is_done() -> None:
    send(make_intake())
    assert stored() == 1  # as another connection sees it
    assert waiting() == 0
    assert not Path("privacy.db.spool").exists()


def test_what_was_sent_comes_out_as_it_was_sent() -> None:
    send(
        make_intake(),
        captured(urlencode([("email", "Anna@Example.org"), ("message", "ü😀\r\n1"), ("message", "two"), ("other", "x")]).encode()),
    )
    [(_, time_, values)] = read_all()
    assert time_ == NOON * 1000
    assert values == {"email": ["Anna@Example.org"], "message": ["ü😀\r\n1", "two"]}


def test_with_it_are_kept_form_purpose_outcome_statement_and_until_when() -> None:
    send(make_intake(), captured(outcome="invalid"))
    [(kept, _, _)] = read_all()
    day = int(NOON // 86400)
    assert (kept.form, kept.purpose, kept.outcome, kept.statement) == ("contact", "answer", "invalid", b"digest")
    assert (kept.day, kept.expires, kept.visitor, kept.answered) == (day, day + 3660, None, None)


def test_its_day_is_the_owners() -> None:
    send(make_intake(zone=ZoneInfo("Pacific/Kiritimati")))  # 14 hours ahead
    [(kept, _, _)] = read_all()
    assert kept.day == int(NOON // 86400) + 1


def test_the_visitor_is_kept_where_the_adapter_gives_one() -> None:
    send(make_intake(), captured(visitor=-(2**63)), captured(visitor=2**63 - 1), captured())
    assert {kept.visitor for kept, _, _ in read_all()} == {-(2**63), 2**63 - 1, None}


def test_submissions_of_one_address_belong_to_one_person() -> None:
    intake = make_intake()
    send(intake, *(captured(email=email) for email in ("anna@example.org", "ANNA@example.ORG", " anna@example.org ")))
    send(intake, captured(email=OTTO))
    assert len({kept.subject for kept, _, _ in read_all()}) == 2


def test_of_several_addresses_in_one_form_none_says_who_it_is() -> None:
    """The app may have taken the first or the last of them: it must not end up with somebody else."""
    intake = make_intake()
    send(intake, captured(urlencode([("email", ANNA), ("email", OTTO)]).encode()), captured(email=ANNA), captured(email=OTTO))
    subjects = {kept.id: kept.subject for kept, _, _ in read_all()}
    assert len(set(subjects.values())) == 3
    assert query("SELECT COUNT(lookup) AS n FROM subject") == [{"n": 2}]


def test_the_same_address_twice_in_other_letters_says_who_it_is() -> None:
    send(make_intake(), captured(urlencode([("email", ANNA), ("email", ANNA.upper())]).encode()), captured(email=ANNA))
    assert len({kept.subject for kept, _, _ in read_all()}) == 1


@pytest.mark.parametrize("email", ["nobody", "", "anna@example.org, otto@example.org", "anna@example.org\nx", "anna@", "\0@x.org"])
def test_an_identity_that_is_no_address_makes_it_anonymous(email: str) -> None:
    intake = make_intake()
    send(intake, captured(email=email), captured(email=email))
    found = read_all()
    assert [(kept.time, values["message"]) for kept, _, values in found] == [(None, ["canary message"])] * 2
    assert len({kept.subject for kept, _, _ in found}) == 2
    assert query("SELECT lookup FROM subject") == [{"lookup": None}] * 2


def test_json_and_multipart_are_taken_as_well() -> None:
    boundary = b"--x\r\nContent-Disposition: form-data; name="
    multipart = boundary + b'"email"\r\n\r\nanna@example.org\r\n' + boundary + b'"message"\r\n\r\nhello\r\n--x--\r\n'
    send(
        make_intake(),
        captured(b'{"email": "anna@example.org", "message": "hello", "other": {"a": 1}}', content_type=b"application/json"),
        captured(multipart, content_type=b"multipart/form-data; boundary=x"),
    )
    assert [values for _, _, values in read_all()] == [{"email": ["anna@example.org"], "message": ["hello"]}] * 2


def test_a_form_without_any_declared_field_is_counted_as_empty_and_not_stored() -> None:
    send(make_intake(), captured(b"other=x"), captured(b"&&&="))
    assert counts == {"form.contact.empty": 2}
    assert stored() == 0


def test_a_value_that_does_not_fit_is_counted_and_the_others_are_kept() -> None:
    send(make_intake(), captured(b"colour=green&message=hello&message=4111111111111111"))
    assert counts == {"form.contact.dropped.not_a_choice.colour": 1, "form.contact.dropped.payment_number.message": 1}
    [(_, _, values)] = read_all()
    assert values == {"message": ["hello"]}


def test_nobody_who_waits_for_it_any_more_does_not_keep_it_from_being_stored() -> None:
    make_database()
    intake = make_intake(wait_seconds=20)
    with write_lock():
        futures = [intake.take(captured()) for _ in range(3)]
        cancelled = [future.cancel() for future in futures if future is not None]
    until(lambda: intake.is_idle)
    assert True in cancelled
    send(intake)
    assert stored() == 4


# --- what is lost ----------------------------------------------------------------------------------------------------------

LARGE = urlencode({"message": "canary" * LIMIT}).encode()
LOST: dict[str, tuple[str, Captured]] = {
    "unfinished": ("unfinished", captured(b"message=canary", more=True)),
    "too large": ("too_large", captured(LARGE)),
    "broken multipart": ("broken", captured(b"--x\r\ncanary", content_type=b"multipart/form-data; boundary=x")),
    "no boundary": ("broken", captured(b"--x\r\ncanary", content_type=b"multipart/form-data")),
    "broken JSON": ("broken", captured(b'{"message": "canary', content_type=b"application/json")),
    "no JSON object": ("broken", captured(b'["canary"]', content_type=b"application/json")),
    "an unknown charset": ("charset", captured(b"message=canary", content_type=URLENCODED + b"; charset=canary")),
    "an unknown type": ("type", captured(b"message=canary", content_type=b"text/canary")),
    "no type": ("type", captured(b"message=canary", content_type=b"")),
}


@pytest.mark.parametrize("name", LOST)
def test_what_cannot_be_read_is_counted_with_its_reason_and_said_without_any_value(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    reason, lost = LOST[name]
    intake = make_intake()
    send(intake, lost)
    send(intake, captured(message="harmless"))
    assert counts == {f"form.contact.lost.{reason}": 1}
    assert stored() == 1
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(said) == 1
    assert f"({reason})" in said[0]
    assert "privacy-middleware status" in said[0]
    assert "canary" not in caplog.text


@pytest.mark.parametrize(
    "charset", ["unicode_escape", "raw_unicode_escape", "utf-7", "utf-16", "idna", "punycode", "rot13", "hex", "undefined"]
)
@pytest.mark.parametrize("value", [rb"\ud800", b"+2AA-", b"%00%d8", b"xn--a-", b"\xff"])
def test_no_charset_that_a_client_names_stops_the_others(charset: str, value: bytes) -> None:
    intake = make_intake()
    poison = captured(b"message=" + value, content_type=URLENCODED + b"; charset=" + charset.encode())
    send(intake, poison, captured(), poison, captured())
    until(lambda: intake.is_idle)
    assert len([values for _, _, values in read_all() if values["message"] == ["canary message"]]) == 2


@pytest.mark.parametrize("value", [b'"\\ud800"', b'"\\udfff\\ud800"', b"1e999", b"NaN", b"9" * 400, b'"\\u0000"', b"[[[]]]", b"{}", b"-0"])
def test_no_json_value_stops_the_others(value: bytes) -> None:
    intake = make_intake()
    poison = captured(b'{"message": ' + value + b"}", content_type=b"application/json")
    send(intake, poison, captured(), poison, captured())
    until(lambda: intake.is_idle)
    assert len([values for _, _, values in read_all() if values["message"] == ["canary message"]]) == 2


def test_a_hundred_kinds_of_poison_do_not_fill_the_memory() -> None:
    intake = make_intake()
    poison = captured(rb"message=\ud800", content_type=URLENCODED + b"; charset=unicode_escape")
    for _ in range(MOST_WAITING // 20 + 1):
        send(intake, *[poison] * 20)
    send(intake)
    assert len([values for _, _, values in read_all() if values["message"] == ["canary message"]]) == 1


def test_a_loss_is_said_once_and_counted_each_time(caplog: pytest.LogCaptureFixture) -> None:
    send(make_intake(), *[captured(b"message=x", more=True)] * 5)
    assert counts["form.contact.lost.unfinished"] == 5
    assert len(caplog.records) == 1


def test_a_late_answer_is_counted() -> None:
    make_intake().late(CONTACT)
    assert counts == {"form.contact.late": 1}


# --- keyed hashes ----------------------------------------------------------------------------------------------------------


def test_a_keyed_hash_is_the_same_after_a_restart() -> None:
    for _ in range(2):
        intake = make_intake()
        send(intake, captured(b"customer=4711"), captured(b"customer=4712"))
        intake.close()
    hashes = Counter(values["customer"][0] for _, _, values in read_all())
    assert sorted(hashes.values()) == [2, 2]
    assert all(len(each) == 32 for each in hashes)


def test_a_hash_without_a_database_is_counted_and_the_rest_is_kept() -> None:
    make_database()
    intake = make_intake(wait_seconds=0.1)
    with write_lock():
        send(intake, captured(b"customer=4711&message=hello"))
    assert counts["form.contact.dropped.no_key.customer"] == 1
    assert (stored(), waiting()) == (0, 1)
    assert take_in() == 1
    [(_, _, values)] = read_all()
    assert values == {"message": ["hello"]}


@pytest.mark.sqlite
def test_once_its_key_is_known_a_hash_needs_no_database() -> None:
    intake = make_intake(wait_seconds=0.1)
    send(intake, captured(b"customer=4711"))
    with write_lock():
        send(intake, captured(b"customer=4711"))
    assert take_in() == 1
    assert len({values["customer"][0] for _, _, values in read_all()}) == 1
    assert "form.contact.dropped.no_key.customer" not in counts


# --- the database is away --------------------------------------------------------------------------------------------------


@pytest.mark.sqlite
def test_while_the_database_is_locked_forms_go_to_the_spool_and_the_recorder_takes_them_in_later(caplog: pytest.LogCaptureFixture) -> None:
    intake = make_intake(wait_seconds=0.2)
    send(intake)
    recorder = make_recorder()
    recorder.duties.append(intake.absorb)
    with write_lock():
        send(intake, *(captured() for _ in range(5)))
        assert (stored(), waiting()) == (1, 5)
    begin(recorder)
    until(lambda: stored() == 6)
    assert waiting() == 0
    assert len({kept.subject for kept, _, _ in read_all()}) == 1
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == [
        "submissions go to privacy.db.spool: the database cannot take them (SQLITE_BUSY)"
    ]


@pytest.mark.sqlite
def test_a_database_that_another_process_locks_before_the_first_form_is_no_loss() -> None:
    make_database()
    intake = make_intake(wait_seconds=0.2)
    with write_lock():
        send(intake, captured(), captured(email=OTTO), captured(email=""))
        assert waiting() == 3
    assert take_in() == 3
    assert stored() == 3


@pytest.mark.sqlite
def test_a_lock_that_ends_within_the_budget_costs_no_file() -> None:
    make_database()
    intake = make_intake(wait_seconds=20)
    with write_lock():
        futures = [intake.take(captured()) for _ in range(3)]
        time.sleep(0.3)
        assert not any(future.done() for future in futures if future is not None)
    for future in futures:
        assert future is not None
        future.result(20)
    assert (stored(), waiting()) == (3, 0)


def test_once_the_lock_is_over_forms_go_to_the_database_again() -> None:
    intake = make_intake(wait_seconds=0.2)
    send(intake)
    with write_lock():
        send(intake)

    def goes_to_the_database() -> bool:
        before = stored()
        send(intake)
        time.sleep(0.1)
        return stored() > before

    until(goes_to_the_database)
    take_in()
    assert waiting() == 0
    assert len(query("SELECT * FROM subject")) == 1


@pytest.mark.sqlite
def test_where_the_time_is_up_the_database_is_tried_all_the_same_and_then_the_spool() -> None:
    make_database()
    intake = make_intake(wait_seconds=0)
    send(intake)
    assert (stored(), waiting()) == (1, 0)
    with write_lock():
        send(intake)
    assert (stored(), waiting()) == (1, 1)


@pytest.mark.sqlite
def test_a_database_that_was_deleted_while_in_use_is_made_anew() -> None:
    intake = make_intake()
    send(intake)
    for path in Path().glob("privacy.db*"):
        path.unlink()
    send(intake, captured(), captured(b"customer=4711"))
    take_in()
    assert stored() == 2
    assert len(read_all()) == 2


@pytest.mark.sqlite
def test_a_damaged_database_is_left_alone_and_nothing_is_lost() -> None:
    Path("privacy.db").write_bytes(b"this is no database" * 500)
    intake = make_intake()
    send(intake, captured(), captured(b"customer=4711&message=hello"))
    assert waiting() == 2
    assert Path("privacy.db").read_bytes() == b"this is no database" * 500
    recorder = make_recorder()
    recorder.duties.append(intake.absorb)
    begin(recorder)  # sets it aside
    until(lambda: waiting() == 0)
    assert stored() == 2


def test_under_a_lost_secret_key_forms_wait_in_the_spool_until_it_is_given(caplog: pytest.LogCaptureFixture) -> None:
    send(first := make_intake(OLD))
    first.close()
    intake = make_intake(NEW)
    send(intake)
    intake.close()
    assert (stored(), waiting()) == (1, 1)
    assert "PRIVACY_SECRET_KEYS" in caplog.text
    assert "canary" not in caplog.text
    assert take_in() == 1  # with both keys
    assert len({kept.subject for kept, _, _ in read_all(NEW, OLD)}) == 1


def test_one_person_whose_key_is_lost_does_not_send_the_others_to_the_spool() -> None:
    with closing(make_store()) as store:
        store.open()
        put(store, Vault([OLD]), *(submission(f"{n}@example.org") for n in range(4)))
        turns = rewrap(store, Vault([NEW, OLD]), most=2)
        next(turns)
        turns.close()
    intake = make_intake(NEW)
    send(intake, *(captured(email=f"{n}@example.org") for n in range(4)), captured(email=OTTO))
    assert (stored(), waiting()) == (4 + 3, 2)


# --- neither database nor spool --------------------------------------------------------------------------------------------


def test_with_neither_database_nor_spool_forms_wait_in_memory_and_go_to_the_spool_once_it_is_mended(
    caplog: pytest.LogCaptureFixture,
) -> None:
    make_database()
    Path("privacy.db.spool").write_text("in the way")
    intake = make_intake(wait_seconds=0.1)
    with write_lock():
        futures = [intake.take(captured()) for _ in range(3)]
        until(lambda: "cannot be written" in caplog.text)
        assert not intake.is_idle
        Path("privacy.db.spool").unlink()
        until(lambda: waiting() == 3)
        until(lambda: intake.is_idle)
    assert all(future is not None for future in futures)
    assert take_in() == 3


def test_with_neither_database_nor_spool_forms_wait_in_memory_and_go_to_the_database_once_it_is_free() -> None:
    make_database()
    Path("privacy.db.spool").write_text("in the way")
    intake = make_intake(wait_seconds=0.1)
    with write_lock():
        for _ in range(3):
            intake.take(captured())
        until(lambda: intake._unwritten)
    until(lambda: stored() == 3, 15)
    assert intake.is_idle


def test_a_future_tells_whether_its_form_is_durable() -> None:
    make_database()
    Path("privacy.db.spool").write_text("in the way")
    intake = make_intake(wait_seconds=0.1)
    with write_lock():
        future = intake.take(captured())
        assert future is not None
        assert future.result(20) is False
        assert not intake.is_idle
        Path("privacy.db.spool").unlink()
        send(intake)
    until(lambda: intake.is_idle)
    take_in()
    assert stored() == 2


@pytest.mark.sqlite
def test_in_a_folder_that_cannot_be_written_forms_wait_in_memory_until_it_can() -> None:
    code = """
        from tests.test_intake import *
        let_permissions_bind()
        Path().chmod(0o555)
        intake = make_intake(wait_seconds=0.1)
        for _ in range(3):
            intake.take(captured())
        until(lambda: intake._unwritten)
        assert list(Path().iterdir()) == []
        Path().chmod(0o755)
        until(lambda: intake.is_idle)
        take_in()
        intake.close()
        print(stored())
    """
    assert script(code) == "3\n"


def test_memory_holds_a_bounded_number_of_forms_and_what_found_room_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_module, "MOST_WAITING", 20)
    make_database()
    Path("privacy.db.spool").write_text("in the way")
    intake = make_intake(wait_seconds=0.1)
    with write_lock():
        taken: list[Future[bool] | None] = []
        until(lambda: taken.append(intake.take(captured())) or taken[-1] is None)
        until(lambda: len(intake._unwritten) >= 20 and not intake._waiting)
        taken += [intake.take(captured()) for _ in range(50)]
        accepted = sum(future is not None for future in taken)
        assert 20 <= accepted <= 41
        Path("privacy.db.spool").unlink()
        until(lambda: intake.is_idle)
    take_in()
    assert stored() == accepted


# --- many at once ----------------------------------------------------------------------------------------------------------


def take_surely(intake: Intake, one: Captured) -> Future[bool]:
    """Wait for room, as the adapter does."""
    while True:
        future = intake.take(one)
        if future is not None:
            return future
        time.sleep(0.001)


def in_threads(number: int, work: Callable[[int], None]) -> None:
    failed: list[BaseException] = []

    def guarded(place: int) -> None:
        try:
            work(place)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=guarded, args=(place,)) for place in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_500_forms_from_many_threads_are_stored_exactly_once_each() -> None:
    intake = make_intake(wait_seconds=10)

    def work(place: int) -> None:
        for number in range(50):
            take_surely(intake, captured(email=f"{place}@example.org", message=f"{place} {number}")).result(30)

    in_threads(10, work)
    take_in()
    sent = sorted(values["message"][0] for _, _, values in read_all())
    assert sent == sorted(f"{place} {number}" for place in range(10) for number in range(50))
    assert len(query("SELECT * FROM subject")) == 10


def test_processes_that_take_their_first_form_at_once_know_the_same_person() -> None:
    """The key of the index is made by one of them, and the others take it over."""
    code = """
        from tests.test_intake import *
        intake = make_intake(wait_seconds=10)
        Path(f"ready-{os.getpid()}").touch()
        until(Path("go").exists)
        send(intake, *(captured(b"email=anna%40example.org&customer=4711") for _ in range(5)))
        intake.close()
    """
    processes = [threading.Thread(target=script, args=(code,)) for _ in range(3)]
    for process in processes:
        process.start()
    until(lambda: len(list(Path().glob("ready-*"))) == 3)
    Path("go").touch()
    for process in processes:
        process.join()
    take_in()
    found = read_all()
    assert len(found) == 15
    assert len({kept.subject for kept, _, _ in found}) == 1
    assert len({values["customer"][0] for _, _, values in found}) == 1


def test_forms_that_come_while_it_is_closed_again_and_again_are_stored_exactly_once_each() -> None:
    intake = make_intake(wait_seconds=10)

    def work(place: int) -> None:
        if place == 0:
            for _ in range(60):
                intake.close()
                time.sleep(0.002)
            return
        for number in range(60):
            take_surely(intake, captured(message=f"{place} {number}")).result(10)

    in_threads(4, work)
    take_in()
    assert stored() == 180
    assert len({str(values["message"]) for _, _, values in read_all()}) == 180


def test_after_closing_the_next_form_begins_anew() -> None:
    intake = make_intake()
    for number in range(1, 4):
        send(intake)
        intake.close()
        assert stored() == number
        assert not intake.store.is_open


def test_closing_finishes_what_is_queued() -> None:
    intake = make_intake()
    for _ in range(20):
        intake.take(captured())
    intake.close(20)
    assert stored() + waiting() == 20


def test_closing_one_that_was_never_used_makes_nothing() -> None:
    make_intake().close()
    assert list(Path().iterdir()) == []


# --- forks -----------------------------------------------------------------------------------------------------------------


@needs_fork
def test_after_a_fork_parent_and_child_both_store_and_nothing_twice() -> None:
    code = """
        from tests.test_intake import *
        intake = make_intake(wait_seconds=10)
        send(intake)
        queued = [intake.take(captured(message="queued")) for _ in range(10)]
        child = os.fork()
        who = "parent" if child else "child"
        send(intake, *(captured(message=f"{who} {number}") for number in range(20)))
        until(lambda: intake.is_idle)
        intake.close()
        if not child:
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        [future.result(20) for future in queued]
        take_in()
        print(sorted(Counter(values["message"][0].split()[0] for _, _, values in read_all()).items()))
        print(is_whole(), len(query("SELECT * FROM subject")))
    """
    expected = "[('canary', 1), ('child', 20), ('parent', 20), ('queued', 10)]\nTrue 1\n"
    assert script(code) == expected


@needs_fork
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no /proc")
@pytest.mark.sqlite
def test_no_connection_crosses_a_fork() -> None:
    code = """
        from tests.test_intake import *
        intake = make_intake()
        send(intake)
        def opened():
            links = [os.readlink(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{number}")]
            return sorted(Path(link).name for link in links if "privacy.db" in link)
        assert opened()
        child = os.fork()
        if not child:
            print(opened(), intake.store.is_open, flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        send(intake)
        print(stored())
    """
    assert script(code) == "[] False\n2\n"


@needs_fork
def test_many_forks_while_forms_come_lose_nothing_and_store_nothing_twice() -> None:
    code = """
        from tests.test_intake import *
        intake = make_intake(wait_seconds=10)
        def come():
            for number in range(200):
                take_surely(intake, captured(message=f"parent {number}")).result(30)
        thread = threading.Thread(target=come)
        thread.start()
        children = []
        for number in range(10):
            child = os.fork()
            if not child:
                send(intake, captured(message=f"child {number}"))
                intake.close()
                os._exit(0)
            children.append(child)
            time.sleep(0.02)
        thread.join()
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 10
        take_in()
        messages = [values["message"][0] for _, _, values in read_all()]
        print(len(messages), len(set(messages)))
    """
    assert script(code) == "210 210\n"


@needs_fork
@pytest.mark.sqlite
def test_after_a_fork_in_the_middle_of_a_write_the_child_uses_the_spool_and_the_parent_goes_on() -> None:
    code = """
        from tests.test_intake import *
        make_database()
        intake = make_intake(wait_seconds=20)
        lock = write_lock()
        lock.__enter__()
        waits = intake.take(captured(message="parent"))
        until(lambda: intake._waiting and not intake._queue)
        time.sleep(0.2)
        child = os.fork()
        if not child:
            send(intake, captured(message="child 1"))
            intake.close(2)
            send(intake, captured(message="child 2"))
            print(waiting(), flush=True)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert not waits.done()
        lock.__exit__(None, None, None)
        waits.result(20)
        take_in()
        print(sorted(values["message"][0] for _, _, values in read_all()), is_whole())
    """
    assert script(code) == "2\n['child 1', 'child 2', 'parent'] True\n"


# --- ending ----------------------------------------------------------------------------------------------------------------


def test_at_the_interpreters_exit_what_is_queued_is_stored() -> None:
    code = """
        from tests.test_intake import *
        from privacy_middleware.record.exit import flush_at_exit
        intake = make_intake(wait_seconds=10)
        flush_at_exit(intake)
        for _ in range(50):
            intake.take(captured())
    """
    script(code)
    assert stored() + waiting() == 50


def test_after_kill_9_what_was_durable_is_there() -> None:
    code = """
        from tests.test_intake import *
        intake = make_intake(wait_seconds=10)
        for number in range(10):
            send(intake)
            print(number + 1, flush=True)
        intake.take(captured())
        os.kill(os.getpid(), signal.SIGKILL)
    """
    assert script(code, code_expected=-9).split()[-1] == "10"
    take_in()
    assert stored() in (10, 11)
    assert is_whole()


# --- nothing is told -------------------------------------------------------------------------------------------------------


def test_logs_at_debug_of_all_that_can_happen_hold_no_value(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("privacy_middleware").setLevel(logging.DEBUG)
    canary = captured(b"email=canary%40example.org&message=canary&customer=canary&colour=canary")
    intake = make_intake(wait_seconds=0.1)
    send(intake, canary, *(lost for _, lost in LOST.values()))
    with write_lock():
        send(intake, canary)
    Path("privacy.db.spool", "canary.sealed").write_bytes(b"canary")
    recorder = make_recorder()
    recorder.duties.append(intake.absorb)
    begin(recorder)
    until(lambda: stored() == 2)
    intake.close()
    change("UPDATE vault SET sealed = ?", b"canary")
    other = make_intake(wait_seconds=0.1)
    send(other, canary)
    other.close()
    told = "\n".join(f"{record.getMessage()} {record.args} {record.exc_text}" for record in caplog.records)
    assert told
    assert "canary" not in told.replace("canary.sealed", "")


def test_neither_repr_of_a_queue_nor_of_a_submission_shows_a_value() -> None:
    make_database()
    Path("privacy.db.spool").write_text("in the way")
    intake = make_intake(wait_seconds=0.1)
    with write_lock():
        intake.take(captured())
        until(lambda: intake._unwritten)
        assert "canary" not in repr(intake._unwritten)
        Path("privacy.db.spool").unlink()
        until(lambda: intake.is_idle)


def test_nothing_of_the_body_is_in_any_file_in_plain() -> None:
    make_database()
    intake = make_intake(wait_seconds=0.1)
    send(intake, captured(b"message=canary-kept&other=canary-other&customer=canary-hashed"))
    with write_lock():
        send(intake, captured(b"message=canary-kept&other=canary-other&customer=canary-hashed"))
    found = b"".join(path.read_bytes() for path in Path().rglob("*") if path.is_file())
    assert waiting() == 1
    assert b"canary" not in found


@pytest.mark.sqlite
def test_the_scripts_here_run_in_a_folder_of_their_own() -> None:
    assert Path.cwd() != Path(__file__).parents[1]
    assert not os.environ.get("PRIVACY_SECRET_KEYS")
