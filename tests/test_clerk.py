"""The clerk: that what is due is done, once, by one of several workers, whatever fails meanwhile. Real databases, real faults."""

import gc
import logging
import shutil
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

from privacy_middleware.errors import StoreError
from privacy_middleware.mail import Mail
from privacy_middleware.record.worker import LEASE_MS
from privacy_middleware.rights import audit, requests
from privacy_middleware.rights.clerk import MOST_ASKED, RETRY_MINUTES, Clerk
from privacy_middleware.rights.requests import Particulars

from .databases import change, is_there, is_whole, make_store
from .requesting import ANNA, DAY, HOUR, OTTO, OWNER, TEXT, Desk, Erased, Source, actions, amount, at_desk, query
from .test_recorder import let_permissions_bind, needs_fork, script, until, write_lock  # noqa: F401 - for scripts

MINUTE = 60_000


@pytest.fixture
def desk() -> Iterator[Desk]:
    with at_desk() as one:
        yield one


def is_due(desk: Desk) -> bool:
    return desk.clerk._is_anything_due(desk.store, desk.now)


def look(desk: Desk) -> None:
    """Have the recorder's thread look, as it does every two seconds, and wait for what follows."""
    desk.clerk._look_due = 0.0
    desk.clerk.look(desk.store)
    desk.rest()
    desk.send()


def failing(error: BaseException) -> Callable[[str], Erased]:
    def erases(_: str) -> Erased:
        raise error

    return erases


class Gate:
    """A source that is slow until the test lets it go."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self, _: str) -> Erased:
        self.reached.set()
        assert self.opened.wait(20)
        return Erased(1)


# --- what is due -----------------------------------------------------------------------------------------------------------


def test_where_nothing_is_due_no_thread_is_started(desk: Desk) -> None:
    desk.submit(ANNA)
    look(desk)
    assert desk.clerk._thread is None


def an_erasure(desk: Desk) -> None:
    desk.submit(ANNA)
    desk.confirmed()


def an_unproven_request(desk: Desk) -> None:
    desk.ask()
    desk.work()
    desk.clock.move(days=2)


def an_unwritten_correction(desk: Desk) -> None:
    desk.confirmed("correction")
    desk.work()
    desk.clock.move(days=4)


def a_deadline(desk: Desk) -> None:
    desk.confirmed("complaint", text="why")
    desk.work()
    desk.clock.move(days=25)


def a_near_deadline(desk: Desk) -> None:
    a_deadline(desk)
    desk.work()
    desk.clock.move(days=6)


def a_deadline_that_is_over(desk: Desk) -> None:
    desk.confirmed("complaint", text="why")
    desk.work()
    desk.clock.move(days=100)


def an_old_request(desk: Desk) -> None:
    desk.confirmed("overview")
    desk.work()
    desk.clock.move(days=401)


def an_old_export(desk: Desk) -> None:
    request = desk.confirmed("overview")
    desk.work()
    sql = "INSERT INTO step (request, source, outcome, made, sealed) VALUES (:id, 'slow', 'exported', :now, :sealed)"
    desk.store.execute(sql, id=request.id, now=desk.now, sealed=b"\0")
    desk.clock.move(days=4)


def an_old_attempt(desk: Desk) -> None:
    sql = "INSERT INTO attempt (bucket, hour, amount) VALUES (:bucket, :hour, 1)"
    desk.store.execute(sql, bucket=b"\0", hour=desk.now // HOUR)
    desk.clock.move(hours=26)


DUTIES = [
    an_erasure, an_unproven_request, an_unwritten_correction, a_deadline, a_near_deadline, a_deadline_that_is_over,
    an_old_request, an_old_export, an_old_attempt,
]  # fmt: skip


@pytest.mark.parametrize("duty", DUTIES)
def test_what_is_due_is_seen_and_done_and_then_nothing_is_due_any_more(duty: Callable[[Desk], None], desk: Desk) -> None:
    duty(desk)
    assert is_due(desk)
    look(desk)
    assert not is_due(desk)
    assert "fault" not in str(desk.counts)


def test_a_request_that_came_without_mail_is_due_once_there_is_mail() -> None:
    with at_desk(mail=False) as desk:
        desk.ask()
        assert not is_due(desk)
        clock = desk.clock
    clock.move(minutes=1)
    with at_desk(clock=clock) as desk:
        assert is_due(desk)
        look(desk)
        assert desk.to() == ["confirm"]


def test_two_looks_within_two_seconds_are_one(desk: Desk) -> None:
    look(desk)
    desk.ask()
    desk.clerk.look(desk.store)
    assert desk.clerk._thread is None


def test_more_than_one_turn_can_hold_is_done_in_several(desk: Desk) -> None:
    emails = [f"canary{number}@example.org" for number in range(60)]
    for email in emails:
        desk.confirmed("erasure", email)
    for _ in range(4):
        look(desk)
    assert amount("request", "state = 'fulfilled'") == 60
    assert sorted(mail.to for mail in desk.mails if mail.kind == "receipt") == sorted(emails)


def test_the_apps_own_thread_finds_what_is_due(desk: Desk) -> None:
    desk.clock.now = time.time()
    desk.submit(ANNA)
    request = desk.confirmed()
    desk.privacy.recorder.start()
    until(lambda: desk.state(request) == "fulfilled")
    until(lambda: "receipt" in desk.to())
    for thread in (desk.privacy.recorder, desk.privacy.clerk, desk.privacy.postman):
        thread.close()


# --- what fails is tried again ---------------------------------------------------------------------------------------------


def test_a_source_that_fails_is_asked_again_after_longer_and_longer_pauses() -> None:
    broken = Source(erases=failing(OSError()))
    with at_desk(sources=(broken,)) as desk:
        request = desk.confirmed()
        for tries, minutes in enumerate((*RETRY_MINUTES, RETRY_MINUTES[-1], RETRY_MINUTES[-1]), 1):
            desk.work()
            found = desk.get(request)
            assert (found.state, found.tries, found.acts) == ("confirmed", tries, desk.now + minutes * MINUTE)
            desk.clock.now += minutes * 60 - 1
            desk.work()
            assert len(broken.asked) == tries
            desk.clock.now += 1


def test_the_owner_is_told_of_trouble_once_and_each_try_is_noted() -> None:
    with at_desk(sources=(Source("old shop", erases=failing(OSError())),)) as desk:
        desk.confirmed()
        for _ in range(5):
            desk.work()
            desk.clock.move(days=1)
        assert desk.to(OWNER).count("trouble") == 1
        assert actions().count("request failed") == 5
        assert {row["object"].split(": ")[1] for row in query("SELECT * FROM audit WHERE action = 'request failed'")} == {"old shop"}


def test_trouble_with_the_database_is_told_as_such(desk: Desk) -> None:
    desk.submit(ANNA)
    desk.confirmed()
    change("CREATE TRIGGER broken BEFORE DELETE ON submission BEGIN SELECT RAISE(ABORT, 'canary'); END")
    desk.work()
    assert "the database" in desk.mail("trouble").text
    assert "canary" not in desk.mail("trouble").text


def test_a_request_that_fails_does_not_stop_the_others() -> None:
    accounts = Source(erases=lambda subject: failing(OSError())(subject) if subject == ANNA else Erased(1))
    with at_desk(sources=(accounts,)) as desk:
        anna, otto = desk.confirmed("erasure", ANNA), desk.confirmed("erasure", OTTO)
        desk.work()
        assert (desk.state(anna), desk.state(otto)) == ("confirmed", "fulfilled")


def test_a_correction_whose_source_fails_changes_nothing_until_it_can() -> None:
    shop, broken = Source("shop"), Source("broken")
    broken.corrects = lambda: failing(OSError())("")
    with at_desk(sources=(shop, broken), review="") as desk:
        desk.submit(ANNA)
        request = desk.confirmed("correction")
        [stored] = requests.submissions.find(desk.store, first=0, last=2**31)
        edit = requests.Edit(stored.id, "contact", "message", 0, TEXT, "corrected")
        with desk.store.transaction():
            requests.review_edits(desk.office, desk.store, request, Particulars(ANNA, edits=(edit,)), now=desk.now)
        desk.work()
        assert desk.messages() == [TEXT]
        assert desk.to(OWNER) == ["trouble"]
        broken.corrects = lambda: None
        desk.clock.move(minutes=2)
        desk.work()
        assert desk.messages() == ["corrected"]
        assert (len(shop.changes), len(broken.changes)) == (1, 2)
        assert desk.state(request) == "fulfilled"


def test_trouble_is_logged_once_and_again_after_it_was_over(caplog: pytest.LogCaptureFixture) -> None:
    broken = Source(erases=failing(OSError()))
    with at_desk(sources=(broken,)) as desk:
        for round_ in range(2):
            desk.confirmed("erasure", ANNA)
            for _ in range(3):
                desk.work()
                desk.clock.move(days=1)
            assert caplog.text.count("data requests wait") == round_ + 1
            broken.erases = lambda _: Erased(1)
            desk.work()
            desk.clock.move(days=1)
            broken.erases = failing(OSError())


def test_a_mail_server_that_is_away_is_asked_again_and_nothing_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    is_away, sent = True, []

    def send(mail: Mail) -> None:
        if is_away:
            raise ConnectionRefusedError(f"no way to {mail.to}")
        sent.append(mail.kind)

    with at_desk(mail=send) as desk:
        desk.ask()
        for _ in range(3):
            desk.work()
            desk.clock.move(hours=1)
        assert amount("mail") == 1
        is_away = False
        desk.work()
        assert sent == ["confirm"]
        assert desk.counts["mail.failed"] == 3
        assert caplog.text.count("mails wait") == 1
        assert "canary" not in caplog.text


# --- several workers -------------------------------------------------------------------------------------------------------


def test_of_two_workers_one_does_what_is_due() -> None:
    accounts = Source()
    with at_desk(sources=(accounts,)) as one, at_desk(sources=(accounts,), clock=one.clock) as other:
        one.submit(ANNA)
        request = one.confirmed()
        other.work()
        one.work()
        assert one.state(request) == "fulfilled"
        assert accounts.asked == [ANNA]
        assert (one.to(), other.answers()) == ([], ["receipt"])


def test_what_a_worker_has_not_ended_another_goes_on_with_once_the_lease_is_over() -> None:
    with at_desk() as one, at_desk(clock=one.clock) as other:
        one.work()  # it has the lease now, and is heard of no more
        request = one.confirmed()
        other.work()
        assert other.state(request) == "confirmed"
        other.clock.now += LEASE_MS / 1000 + 1
        other.work()
        assert other.state(request) == "fulfilled"


def test_a_worker_that_ends_gives_its_lease_back() -> None:
    with at_desk() as one, at_desk(clock=one.clock) as other:
        one.work()
        one.clerk.close()
        request = one.confirmed()
        other.work()
        assert other.state(request) == "fulfilled"


def test_while_it_works_the_lease_is_kept() -> None:
    gate = Gate()
    with at_desk(sources=(Source(erases=gate),)) as one, at_desk(sources=(Source(erases=gate),), clock=one.clock) as other:
        request = one.confirmed()
        future = one.clerk.hurry()
        assert gate.reached.wait(20)
        gate.reached.clear()
        for _ in range(4):
            one.clock.move(seconds=20)
            one.clerk._look_due = 0.0
            one.clerk.look(one.store)
            other.work()
        assert not gate.reached.is_set()
        gate.opened.set()
        future.result(20)
        one.rest()
        one.clock.move(minutes=1)  # the other may have the lease for mails
        one.send()
        assert one.state(request) == "fulfilled"
        assert one.answers() + other.answers() == ["receipt"]


def test_two_workers_that_both_think_it_is_theirs_send_one_receipt() -> None:
    """A worker was stopped for so long that its lease ended; then it goes on."""
    gate, quick = Gate(), Source()
    with at_desk(sources=(Source(erases=gate),)) as slow, at_desk(sources=(quick,), clock=slow.clock) as other:
        slow.submit(ANNA)
        request = slow.confirmed()
        future = slow.clerk.hurry()
        assert gate.reached.wait(20)
        other.clock.move(minutes=1)
        other.work()
        assert other.state(request) == "fulfilled"
        gate.opened.set()
        future.result(20)
        slow.rest()
        slow.clock.move(minutes=1)
        slow.work()
        assert slow.answers() + other.answers() == ["receipt"]
        assert slow.to(OWNER) + other.to(OWNER) == []
        assert slow.messages() == []


def test_a_lease_is_not_lost_to_who_read_the_clock_a_little_earlier(desk: Desk) -> None:
    now = desk.now
    assert desk.store.take_lease("clerk", "one", now=now, until=now + LEASE_MS)
    assert not desk.store.take_lease("clerk", "other", now=now - 5, until=now - 5 + LEASE_MS)


def test_after_the_clock_was_set_back_by_hours_the_work_goes_on() -> None:
    with at_desk() as one:
        one.work()
        with at_desk() as other:
            other.clock.move(hours=-5)
            request = other.confirmed()
            other.work()
            assert other.state(request) == "fulfilled"


def test_what_a_killed_worker_has_begun_another_ends() -> None:
    code = """
        from tests.test_clerk import *
        def die(subject):
            os.kill(os.getpid(), signal.SIGKILL)
        desk = Desk(sources=(Source("one"), Source("two", erases=die)))
        desk.submit(ANNA)
        desk.confirmed()
        desk.work()
    """
    script(code, code_expected=-9)
    one, two = Source("one"), Source("two")
    with at_desk(sources=(one, two)) as desk:
        desk.work()
        assert desk.messages() == [TEXT]  # the dead one has the lease
        desk.clock.move(minutes=1)
        desk.work()
        assert desk.messages() == []
        assert (one.asked, two.asked) == ([], [ANNA])
        assert desk.to().count("receipt") == 1
        assert is_whole()


def test_four_workers_erase_many_people_once_each() -> None:
    code = """
        from tests.requesting import Clock
        from tests.test_clerk import *
        def worker(number):
            def send(mail):
                with open("sent", "a") as file:
                    file.write(f"{mail.kind} {mail.to}\\n")
            clock = Clock(); clock.now = time.time()
            desk = Desk(mail=send, clock=clock)
            desk.privacy.recorder.start()
            for person in range(5):
                desk.submit(f"canary{number}.{person}@example.org")
                desk.confirmed("erasure", f"canary{number}.{person}@example.org")
                desk.privacy.clerk.hurry()
            until(lambda: not amount("request", "closed IS NULL") and not amount("mail"))
            time.sleep(0.2)
            [thread.close() for thread in (desk.privacy.recorder, desk.privacy.clerk, desk.privacy.postman, desk)]
            os._exit(0)

        children = []
        for number in range(4):
            child = os.fork()
            if not child:
                worker(number)
            children.append(child)
        assert {os.waitpid(child, 0)[1] for child in children} == {0}
        sent = [line for line in Path("sent").read_text().splitlines() if line.startswith("receipt")]
        print(len(sent), len(set(sent)), amount("submission"), amount("request", "state = 'fulfilled'"), audit_is_whole())
    """
    assert script(code) == "20 20 0 20 True\n"


def audit_is_whole() -> bool:
    store = make_store()
    store.open_to_read()
    try:
        return audit.verify(store).broken is None
    finally:
        store.close()


# --- forks -----------------------------------------------------------------------------------------------------------------


@needs_fork
def test_a_forked_child_has_a_clerk_of_its_own() -> None:
    code = """
        from tests.test_clerk import *
        desk = Desk()
        desk.submit(ANNA, OTTO)
        desk.work()
        desk.store.close()
        child = os.fork()
        desk.store.open()
        if not child:
            desk.clock.move(minutes=1)
            desk.confirmed("erasure", ANNA)
            desk.work()
            desk.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        desk.clock.move(minutes=2)
        desk.confirmed("erasure", OTTO)
        desk.work()
        print(amount("submission"), amount("request", "state = 'fulfilled'"), is_whole())
        desk.close()
    """
    assert script(code) == "0 2 True\n"


@needs_fork
def test_a_child_that_was_forked_in_the_middle_of_a_job_leaves_it_to_the_parent() -> None:
    code = """
        from tests.test_clerk import *
        gate = Gate()
        desk = Desk(sources=(Source(erases=gate),))
        desk.submit(ANNA)
        request = desk.confirmed()
        future = desk.clerk.hurry()
        assert gate.reached.wait(20)
        desk.store.close()
        child = os.fork()
        if not child:
            assert desk.clerk.is_idle
            try:
                desk.clerk.ask(lambda store: None).result(5)
            except StoreError as error:
                print(error, flush=True)
            desk.clerk.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        gate.opened.set()
        future.result(20)
        desk.store.open()
        print(desk.state(request), is_whole())
        desk.close()
    """
    assert script(code) == "the database cannot be asked at the moment; try again later\nfulfilled True\n"


@needs_fork
def test_what_a_parent_was_asked_the_child_does_not_do_again() -> None:
    code = """
        from tests.test_clerk import *
        desk = Desk()
        gate = Gate()
        for number in range(3):
            desk.clerk.ask(lambda store, number=number: (gate(""), open("done", "a").write(f"{number}\\n")))
        assert gate.reached.wait(20)
        desk.store.close()
        child = os.fork()
        gate.opened.set()
        if not child:
            time.sleep(0.2)
            desk.clerk.close()
            os._exit(0)
        os.waitpid(child, 0)
        desk.rest()
        desk.clerk.close()
        print(Path("done").read_text().split())
    """
    assert script(code) == "['0', '1', '2']\n"


# --- asking and closing ----------------------------------------------------------------------------------------------------


def test_who_asks_gets_the_answer(desk: Desk) -> None:
    assert desk.clerk.ask(lambda store: store.mark("none")).result(20) is None
    assert desk.clerk.ask(lambda _: "answer").result(20) == "answer"


def test_who_asks_gets_the_error_and_the_next_gets_an_answer(desk: Desk) -> None:
    with pytest.raises(ZeroDivisionError):
        desk.clerk.ask(lambda _: 1 / 0).result(20)
    assert desk.clerk.ask(lambda _: 2).result(20) == 2
    assert desk.counts == {"fault.ZeroDivisionError": 1}


def test_what_is_asked_is_done_in_order(desk: Desk) -> None:
    done: list[int] = []
    futures = [desk.clerk.ask(lambda _, number=number: done.append(number)) for number in range(40)]
    for future in futures:
        future.result(20)
    assert done == list(range(40))


def test_nobody_who_waits_any_more_is_answered(desk: Desk) -> None:
    gate, done = Gate(), []
    first = desk.clerk.ask(lambda _: gate(""))
    assert gate.reached.wait(20)
    second = desk.clerk.ask(lambda _: done.append(2))
    assert second.cancel()
    gate.opened.set()
    first.result(20)
    desk.rest()
    assert done == []
    with pytest.raises(CancelledError):
        second.result(0)


def test_whoever_asks_when_too_many_wait_is_told_at_once(desk: Desk) -> None:
    gate = Gate()
    first = desk.clerk.ask(lambda _: gate(""))
    assert gate.reached.wait(20)
    futures = [desk.clerk.ask(lambda _: None) for _ in range(MOST_ASKED + 1)]
    with pytest.raises(StoreError, match="try again later"):
        futures[-1].result(0)
    gate.opened.set()
    first.result(20)
    for future in futures[:-1]:
        future.result(20)


def test_closing_ends_what_is_under_way_and_the_thread(desk: Desk) -> None:
    desk.submit(ANNA)
    request = desk.confirmed()
    desk.clerk.hurry()
    desk.clerk.close(20)
    assert desk.clerk._thread is None
    assert not desk.clerk.store.is_open
    assert desk.state(request) == "fulfilled"


def test_after_closing_the_next_question_begins_anew(desk: Desk) -> None:
    for number in range(5):
        assert desk.clerk.ask(lambda _, number=number: number).result(20) == number
        desk.clerk.close(20)
        desk.clerk.close(20)


def test_closing_what_was_never_used_does_nothing(desk: Desk) -> None:
    desk.clerk.close()
    assert desk.clerk._thread is None


def test_every_question_is_answered_also_while_it_is_being_closed(desk: Desk) -> None:
    ended = threading.Event()

    def close_again_and_again() -> None:
        while not ended.is_set():
            desk.clerk.close(1)

    closing_thread = threading.Thread(target=close_again_and_again)
    closing_thread.start()
    try:
        answers = [desk.clerk.ask(lambda _, number=number: number).result(20) for number in range(300)]
    finally:
        ended.set()
        closing_thread.join()
    assert answers == list(range(300))


def test_closing_waits_for_a_slow_source_only_as_long_as_it_may() -> None:
    gate = Gate()
    with at_desk(sources=(Source(erases=gate),)) as desk:
        request = desk.confirmed()
        desk.clerk.hurry()
        assert gate.reached.wait(20)
        desk.clerk.close(0.05)
        assert not desk.clerk.is_idle
        gate.opened.set()
        until(lambda: desk.clerk._thread is None)
        assert desk.state(request) == "fulfilled"


def test_an_interpreter_that_ends_in_the_middle_leaves_the_request_to_the_next() -> None:
    code = """
        from tests.test_clerk import *
        desk = Desk(sources=(Source(erases=lambda _: time.sleep(60)),))
        desk.submit(ANNA)
        desk.confirmed()
        desk.clerk.hurry()
        until(lambda: desk.office.sources[0].asked)
        desk.clerk.close(0.1)
    """
    script(code, timeout=30)
    with at_desk(sources=(Source(),)) as desk:
        desk.clock.move(minutes=1)
        desk.work()
        assert desk.messages() == []


def test_a_clerk_that_nobody_uses_any_more_is_let_go() -> None:
    with at_desk() as desk:
        desk.work()
        office = desk.office
    reference = weakref.ref(Clerk(make_store(), office, count=lambda *_: None))
    gc.collect()
    assert reference() is None


# --- the database is away --------------------------------------------------------------------------------------------------


def test_while_the_database_is_locked_nothing_is_done_and_afterwards_all(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.submit(ANNA)
    request = desk.confirmed()
    desk.clerk.store.wait_at_most(0.05)
    with write_lock():
        for _ in range(3):
            with pytest.raises(StoreError):
                desk.clerk.hurry().result(20)
            desk.rest()
    assert 1 <= len(caplog.records) <= 2
    desk.work()
    assert desk.state(request) == "fulfilled"


def test_a_database_that_is_locked_in_the_middle_of_an_erasure_only_puts_it_off() -> None:
    gate = Gate()
    with at_desk(sources=(Source(erases=gate),)) as desk:
        desk.submit(ANNA)
        request = desk.confirmed()
        desk.clerk.store.wait_at_most(0.05)
        future = desk.clerk.hurry()
        assert gate.reached.wait(20)
        with write_lock():
            gate.opened.set()
            assert isinstance(future.exception(20), StoreError)
        desk.clock.move(minutes=2)
        desk.work()
        assert desk.state(request) == "fulfilled"
        assert desk.to().count("receipt") == 1


@pytest.mark.sqlite
def test_a_database_that_was_replaced_is_opened_anew(desk: Desk) -> None:
    assert desk.store.checkpoint()
    shutil.copy("privacy.db", "other.db")
    desk.work()
    request = desk.confirmed()
    desk.clerk.ask(lambda store: store.checkpoint()).result(20)
    desk.store.close()
    for suffix in ("-wal", "-shm"):
        Path(f"privacy.db{suffix}").unlink(missing_ok=True)
    Path("other.db").replace("privacy.db")
    found = desk.clerk.ask(lambda store: store.rows("SELECT COUNT(*) AS n FROM request")).result(20)
    assert found == [{"n": 0}]
    assert request.id not in Path("privacy.db").read_bytes()


@pytest.mark.sqlite
def test_a_database_that_was_deleted_is_begun_anew(desk: Desk) -> None:
    desk.work()
    desk.store.close()
    for path in Path().glob("privacy.db*"):
        path.unlink()
    assert desk.clerk.ask(requests.find_all).result(20) == []
    assert is_there()


@pytest.mark.sqlite
def test_a_damaged_database_is_left_alone_for_the_recorder(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.work()
    desk.close()
    for suffix in ("-wal", "-shm"):
        Path(f"privacy.db{suffix}").unlink(missing_ok=True)
    Path("privacy.db").write_bytes(b"rubbish" * 1000)
    with pytest.raises(StoreError):
        desk.clerk.hurry().result(20)
    assert Path("privacy.db").read_bytes() == b"rubbish" * 1000
    assert "cannot be used as a database" in caplog.text


@pytest.mark.sqlite
def test_a_folder_that_is_not_there_is_no_end_of_the_thread(desk: Desk) -> None:
    away = Clerk(make_store("nowhere/privacy.db"), desk.office, count=desk._count, clock=desk.clock)
    for _ in range(2):
        with pytest.raises(StoreError, match="no folder"):
            away.hurry().result(20)
    until(lambda: away.is_idle)
    Path("nowhere").mkdir()
    away.hurry().result(20)
    away.close(20)


def test_logs_of_all_that_can_fail_hold_no_value(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    def send(mail: Mail) -> None:
        raise ValueError(mail.to + mail.text)

    accounts = Source(erases=failing(KeyError(ANNA)))
    with at_desk(sources=(accounts,), mail=send) as desk:
        desk.submit(ANNA)
        desk.confirmed("complaint", text=TEXT)
        desk.confirmed()
        change("CREATE TRIGGER broken BEFORE DELETE ON submission BEGIN SELECT RAISE(ABORT, 'broken'); END")
        for _ in range(3):
            desk.work()
            desk.clock.move(hours=1)
            accounts.erases = lambda _: Erased(1)
    told = "\n".join(f"{record.getMessage()} {record.args} {record.exc_text}" for record in caplog.records)
    assert "accounts" in told
    assert "canary" not in told


# --- reminders -------------------------------------------------------------------------------------------------------------


def reminded(desk: Desk) -> int:
    desk.work()
    return desk.to(OWNER).count("reminder")


def test_the_owner_is_reminded_a_week_and_a_day_before_a_deadline(desk: Desk) -> None:
    request = desk.confirmed("complaint", text="why")
    for days, expected in ((8, 0), (7, 1), (6, 1), (2, 1), (1, 2), (0, 2), (-1, 2), (-40, 2)):
        desk.clock.now = (request.due - days * DAY) / 1000
        assert reminded(desk) == expected, days


def test_a_deadline_that_is_near_at_once_is_told_once(desk: Desk) -> None:
    request = desk.confirmed("complaint", text="why")
    desk.clock.now = request.due / 1000
    assert [reminded(desk) for _ in range(3)] == [1, 1, 1]


def test_after_an_extension_the_owner_is_reminded_anew(desk: Desk) -> None:
    request = desk.confirmed("complaint", text="why")
    desk.clock.now = (request.due - DAY) / 1000
    assert reminded(desk) == 1
    later = desk.decide(requests.extend, desk.get(request), reason="much to do")
    assert reminded(desk) == 1
    desk.clock.now = (later.due - 7 * DAY) / 1000
    assert reminded(desk) == 2


def test_nobody_is_reminded_of_what_is_answered(desk: Desk) -> None:
    request = desk.confirmed("complaint", text="why")
    desk.decide(requests.approve, request, answer="so")
    desk.clock.now = request.due / 1000
    assert reminded(desk) == 0


def test_a_request_that_waits_for_want_of_mail_comes_to_the_owners_mind_too() -> None:
    """Nobody can be asked without a base URL, but the owner can be written to."""
    with at_desk(base_url="") as desk:
        request = desk.ask("overview")
        desk.clock.now = (request.due - DAY) / 1000
        assert reminded(desk) == 1


def test_a_reminder_says_until_when_and_names_nobody(desk: Desk) -> None:
    request = desk.confirmed("complaint", text="a canary asks")
    desk.clock.now = (request.due - DAY) / 1000
    assert reminded(desk) == 1
    assert "4 June 2026" in desk.mail("reminder").subject
    assert "canary" not in desk.mail("reminder").text


def test_without_an_owners_address_nothing_is_queued() -> None:
    policy = '[[forms]]\nname = "contact"\npath = "/contact"\npurpose = "answer"\nretention_days = 9\n[forms.fields]\nmessage = "keep"\n'
    with at_desk(policy=policy) as desk:
        request = desk.confirmed("complaint", text="why")
        desk.clock.now = request.due / 1000
        desk.work()
        assert desk.to("") == []
        assert not is_due(desk)


# --- delays and clocks -----------------------------------------------------------------------------------------------------


def test_a_delayed_erasure_is_done_when_its_time_has_come_and_not_before() -> None:
    with at_desk(erasure_delay="12h") as desk:
        desk.submit(ANNA)
        request = desk.confirmed()
        look(desk)
        desk.clock.now = request.acts / 1000 - 0.001 if request.acts else 0
        assert not is_due(desk)
        desk.work()
        assert desk.messages() == [TEXT]
        desk.clock.now += 0.001
        assert is_due(desk)
        look(desk)
        assert desk.messages() == []
        assert desk.state(request) == "fulfilled"


def test_a_delayed_erasure_takes_what_was_sent_until_it_is_done() -> None:
    with at_desk(erasure_delay="2d") as desk:
        desk.submit(ANNA)
        desk.confirmed()
        desk.clock.move(days=1)
        desk.submit(ANNA, message="meanwhile")
        desk.clock.move(days=1, seconds=1)
        desk.work()
        assert desk.messages() == []


def test_a_delayed_erasure_survives_a_restart() -> None:
    with at_desk(erasure_delay="2d") as desk:
        desk.submit(ANNA)
        request = desk.confirmed()
        clock = desk.clock
    clock.move(days=3)
    with at_desk(clock=clock) as desk:  # also where there is no delay any more
        desk.work()
        assert desk.state(request) == "fulfilled"


def test_a_clock_that_jumps_over_a_year_deletes_nothing(desk: Desk) -> None:
    desk.store.set_mark("clock", desk.now)
    desk.confirmed("overview")
    unproven = desk.ask("erasure", OTTO)
    desk.clock.move(days=500)
    desk.clerk.hurry().result(20)
    assert desk.state(unproven) == "awaiting_confirmation"
    assert amount("request") == 2


def test_a_clock_that_is_set_back_does_nothing_twice(desk: Desk) -> None:
    accounts = Source()
    with at_desk(sources=(accounts,), clock=desk.clock) as one:
        one.submit(ANNA)
        request = one.confirmed()
        one.work()
        one.clock.move(hours=-3)
        one.work()
        assert one.state(request) == "fulfilled"
        assert accounts.asked == [ANNA]
        assert one.to().count("receipt") == 1


def test_under_a_lost_secret_other_requests_are_done_all_the_same() -> None:
    with at_desk(secret_keys="an-older-secret-of-the-tests-" * 2) as desk:
        desk.confirmed("erasure", ANNA)
        clock = desk.clock
    clock.move(minutes=1)
    with at_desk(clock=clock, secret_keys="a-newer-secret-of-the-tests-" * 2) as desk:
        change("DELETE FROM vault")  # as `keys abandon` does: a new index is begun
        desk.submit(OTTO)
        other = desk.confirmed("erasure", OTTO)
        desk.work()
        assert desk.state(other) == "fulfilled"
        assert desk.messages(OTTO) == []
        assert amount("request", "state = 'confirmed' AND tries = 1") == 1


@pytest.mark.sqlite
def test_a_folder_that_became_read_only_is_no_end_of_the_thread() -> None:
    code = """
        from privacy_middleware.errors import PrivacyError
        from tests.test_clerk import *
        desk = Desk()
        desk.submit(ANNA)
        request = desk.confirmed()
        desk.store.checkpoint(); desk.store.close()
        for path in Path().glob("privacy.db*"):
            path.chmod(0o400)
        Path().chmod(0o500)
        let_permissions_bind()
        try:
            desk.clerk.hurry().result(20)
        except PrivacyError as error:
            print(type(error).__name__)
        desk.rest()
        Path().chmod(0o700)
        for path in Path().glob("privacy.db*"):
            path.chmod(0o600)
        desk.store.open(); desk.clock.move(minutes=2)
        desk.work()
        print(desk.state(request))
        desk.close()
    """
    assert script(code) == "StoreError\nfulfilled\n"
