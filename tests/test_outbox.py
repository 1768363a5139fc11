"""The outbox under fire: nothing is lost, nothing is sent twice, and nobody who has the files can read a mail."""

import asyncio
import logging
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from privacy_middleware.mail import Mail, NotNow, Smtp, Undeliverable, Unsure
from privacy_middleware.rights import outbox
from privacy_middleware.rights.office import Office
from privacy_middleware.rights.outbox import LIFE, MINUTE, MOST_A_TURN, RETRY_MINUTES, Sent, Waiting, deliver, drop_expired, find, read
from privacy_middleware.rights.postman import Postman
from privacy_middleware.vault import Vault

from .conftest import query
from .databases import make_store
from .requesting import ANNA, OTTO, OWNER, SECRET, Desk, amount, at_desk
from .test_mail import by_the_book, mail_server, raw_server
from .test_recorder import needs_fork, script
from .test_submissions import files, spellings

TEXT = "a canary sings of its link"
LETTER = Mail("confirm", ANNA, f"Subject: {TEXT}", TEXT, f"<p>{TEXT}</p>")
OTHER_SECRET = "another-secret-" * 3


@pytest.fixture
def desk() -> Iterator[Desk]:
    with at_desk() as one:
        yield one


def add(desk: Desk, *mails: Mail, **more: Any) -> None:
    with desk.store.transaction():
        for mail in mails or (LETTER,):
            outbox.add(desk.store, desk.office.vault(), mail, now=desk.now, **more)


def office_that(desk: Desk, send: Callable[[Mail], Any] | None) -> Office:
    return msgspec.structs.replace(desk.office, send=send)


def turn(desk: Desk, send: Callable[[Mail], Any] | None = None, *, now: int | None = None) -> Sent:
    """Send what is due now, in the test's own thread."""
    return deliver(office_that(desk, send or desk.mails.append), desk.store, now=desk.now if now is None else now)


def post(desk: Desk, send: Callable[[Mail], Any]) -> Counter[str]:
    """Have the postman send what is due; returns what it counted."""
    counts: Counter[str] = Counter()

    def count(name: str, amount: int = 1) -> None:
        counts[name] += amount

    store = make_store(desk.path)
    try:
        Postman(store, office_that(desk, send), count=count, clock=desk.clock)._turn()
    finally:
        store.close()
    return counts


def failing(error: BaseException) -> Callable[[Mail], None]:
    def send(_: Mail) -> None:
        raise error

    return send


def waiting(desk: Desk) -> Waiting:
    [one] = find(desk.store)
    return one


# --- what waits ------------------------------------------------------------------------------------------------------------


def test_a_mail_that_waits_comes_out_as_it_went_in(desk: Desk) -> None:
    add(desk)
    assert read(desk.store, desk.office.vault(), waiting(desk)) == LETTER


def test_a_mail_waits_in_the_transaction_of_what_it_tells_of(desk: Desk) -> None:
    with suppress(ZeroDivisionError), desk.store.transaction():
        outbox.add(desk.store, desk.office.vault(), LETTER, now=desk.now)
        raise ZeroDivisionError
    assert amount("mail") == 0


def test_a_mail_that_waits_is_sent_by_the_next_process(desk: Desk) -> None:
    add(desk)
    desk.close()
    with at_desk() as other:
        assert turn(other) == Sent(1, 0, "")
        assert other.to() == ["confirm"]


def test_a_mail_that_waits_can_be_read_in_no_file(desk: Desk) -> None:
    add(desk)
    found = files()
    assert not [spelling for text in (ANNA, TEXT) for spelling in spellings(text) if spelling in found]


def test_no_two_mails_share_a_key(desk: Desk) -> None:
    add(desk, LETTER, LETTER)
    assert len({one.subject for one in find(desk.store)}) == 2
    assert len({row["sealed"] for row in query("SELECT sealed FROM subject")}) == 2


def test_the_row_of_a_mail_names_nobody(desk: Desk) -> None:
    add(desk)
    [row] = query("SELECT * FROM subject")
    assert row["lookup"] is None


@pytest.mark.parametrize("swapped", ["sealed", "subject"])
def test_a_mail_that_was_moved_in_the_database_is_not_sent(swapped: str, desk: Desk) -> None:
    add(desk, LETTER, msgspec.structs.replace(LETTER, to=OTTO))
    one, other = find(desk.store)
    for mine, its in ((one, other), (other, one)):
        desk.store.execute(f"UPDATE mail SET {swapped} = :value WHERE id = :id", value=getattr(its, swapped), id=mine.id)
    assert turn(desk).sent == 0
    assert desk.mails == []
    assert amount("mail") == 2


def test_mails_are_found_by_the_beginning_of_their_identifier(desk: Desk) -> None:
    add(desk, LETTER, LETTER)
    for one in find(desk.store):
        assert find(desk.store, one.id.hex()) == [one]


@pytest.mark.parametrize("prefix", ["%", "_" * 32, "zz"])
def test_a_wildcard_finds_no_mail(prefix: str, desk: Desk) -> None:
    add(desk)
    assert find(desk.store, prefix) == []


# --- what is sent ----------------------------------------------------------------------------------------------------------


def test_a_mail_that_was_sent_is_gone_with_its_key(desk: Desk) -> None:
    add(desk)
    assert turn(desk) == Sent(1, 0, "")
    assert (amount("mail"), amount("subject")) == (0, 0)


def test_a_mail_that_was_sent_leaves_no_byte_in_the_files(desk: Desk) -> None:
    add(desk)
    sealed = waiting(desk).sealed
    [key] = query("SELECT sealed FROM subject")
    turn(desk)
    desk.store.checkpoint()
    found = files()
    assert sealed not in found
    assert key["sealed"] not in found


def test_a_mail_is_sent_once(desk: Desk) -> None:
    add(desk)
    assert [turn(desk).sent for _ in range(3)] == [1, 0, 0]
    assert len(desk.mails) == 1


def test_a_mail_that_is_sent_has_an_identifier_of_the_senders_domain(desk: Desk) -> None:
    add(desk)
    id_ = waiting(desk).id.hex()
    turn(desk)
    assert desk.mails[0].message_id == f"{id_}@example.net"


def test_mails_go_out_in_the_order_in_which_they_came(desk: Desk) -> None:
    for number in range(5):
        add(desk, msgspec.structs.replace(LETTER, subject=str(number)))
        desk.clock.move(seconds=1)
    turn(desk)
    assert [mail.subject for mail in desk.mails] == list("01234")


def test_a_flood_of_mails_is_sent_in_turns(desk: Desk) -> None:
    add(desk, *[LETTER] * (MOST_A_TURN + 1))
    assert [turn(desk).sent for _ in range(3)] == [MOST_A_TURN, 1, 0]


def test_without_anything_that_sends_mails_wait(desk: Desk) -> None:
    add(desk)
    assert deliver(office_that(desk, None), desk.store, now=desk.now) == Sent(0, 0, "")
    assert waiting(desk).attempts == 0


def test_an_async_function_may_send(desk: Desk) -> None:
    async def send(mail: Mail) -> None:
        await asyncio.sleep(0)
        desk.mails.append(mail)

    add(desk)
    assert turn(desk, send) == Sent(1, 0, "")
    assert desk.to() == ["confirm"]


def test_an_async_function_may_fail(desk: Desk) -> None:
    async def send(_: Mail) -> None:
        await asyncio.sleep(0)
        raise Undeliverable

    add(desk)
    assert turn(desk, send) == Sent(0, 1, "")


@pytest.mark.parametrize("error", [asyncio.CancelledError(), SystemExit(1)])
def test_what_would_end_the_thread_does_not(error: BaseException, desk: Desk) -> None:
    add(desk)
    assert turn(desk, failing(error)) == Sent(0, 0, "RuntimeError")
    assert amount("mail") == 1


def test_a_mail_goes_out_by_the_mail_server_of_the_settings() -> None:
    with mail_server() as server, at_desk(mail=False, smtp_url=f"smtp://127.0.0.1:{server.port}") as desk:
        add(desk)
        assert deliver(desk.office, desk.store, now=desk.now) == Sent(1, 0, "")
    [one] = server.inbox
    assert (one.sender, one.to, one.message["From"]) == ("owner@example.net", [ANNA], "Example <owner@example.net>")


def test_the_settings_say_whom_mails_are_from() -> None:
    url = {"mail_from": "mails@example.net"}
    with mail_server() as server, at_desk(mail=False, smtp_url=f"smtp://127.0.0.1:{server.port}", **url) as desk:
        add(desk)
        deliver(desk.office, desk.store, now=desk.now)
    assert server.inbox[0].sender == "mails@example.net"


# --- what is tried again ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (NotNow(), ""),
        (ConnectionRefusedError(ANNA), "ConnectionRefusedError"),
        (ValueError(TEXT), "ValueError"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_a_mail_that_could_not_be_sent_waits_for_the_next_attempt(error: Exception, fault: str, desk: Desk) -> None:
    add(desk)
    assert turn(desk, failing(error)) == Sent(0, 0, fault)
    one = waiting(desk)
    assert (one.attempts, one.due) == (1, desk.now + RETRY_MINUTES[0] * MINUTE)


def test_a_mail_is_not_tried_before_its_time(desk: Desk) -> None:
    add(desk)
    turn(desk, failing(NotNow()))
    due = waiting(desk).due
    assert turn(desk, now=due - 1).sent == 0
    assert turn(desk, now=due).sent == 1


def test_the_pauses_between_attempts_grow_and_then_stay(desk: Desk) -> None:
    add(desk)
    now, pauses = desk.now, []
    for _ in range(len(RETRY_MINUTES) + 3):
        turn(desk, failing(NotNow()), now=now)
        due = waiting(desk).due
        pauses.append((due - now) // MINUTE)
        now = due
    assert pauses == [*RETRY_MINUTES, *[RETRY_MINUTES[-1]] * 3]
    assert pauses == sorted(pauses)


def test_a_mail_has_the_same_identifier_each_time(desk: Desk) -> None:
    seen: list[str] = []

    def send(mail: Mail) -> None:
        seen.append(mail.message_id)
        if len(seen) < 4:
            raise NotNow

    add(desk)
    while amount("mail"):
        turn(desk, send)
        desk.clock.move(days=1)
    assert len(seen) == 4
    assert len(set(seen)) == 1


def test_if_the_server_is_away_it_is_not_asked_for_each_mail(desk: Desk) -> None:
    tried: list[Mail] = []

    def send(mail: Mail) -> None:
        tried.append(mail)
        raise ConnectionRefusedError

    add(desk, LETTER, LETTER, LETTER)
    turn(desk, send)
    assert len(tried) == 1
    assert sorted(one.attempts for one in find(desk.store)) == [0, 0, 1]


def test_one_address_that_does_not_answer_does_not_stop_the_others(desk: Desk) -> None:
    def send(mail: Mail) -> None:
        if mail.to == ANNA:
            raise NotNow
        desk.mails.append(mail)

    add(desk, LETTER, msgspec.structs.replace(LETTER, to=OTTO), LETTER, msgspec.structs.replace(LETTER, to=OTTO))
    assert turn(desk, send) == Sent(2, 0, "")
    assert desk.to(OTTO) == ["confirm", "confirm"]


def test_a_mail_that_breaks_the_connection_does_not_stop_the_others_for_ever(desk: Desk) -> None:
    def send(mail: Mail) -> None:
        if mail.to == ANNA:
            raise ConnectionResetError
        desk.mails.append(mail)

    add(desk, LETTER)
    desk.clock.move(seconds=1)
    add(desk, msgspec.structs.replace(LETTER, to=OTTO))
    turn(desk, send)
    turn(desk, send)
    assert desk.to(OTTO) == ["confirm"]


def test_a_mail_that_can_never_be_delivered_is_given_up_with_its_key(desk: Desk) -> None:
    add(desk)
    assert turn(desk, failing(Undeliverable())) == Sent(0, 1, "")
    assert (amount("mail"), amount("subject")) == (0, 0)


@pytest.mark.parametrize("kind", ["receipt", "refused", "fulfilled"])
def test_the_owner_is_told_of_an_answer_that_could_not_be_delivered(kind: str, desk: Desk) -> None:
    add(desk, msgspec.structs.replace(LETTER, kind=kind))
    assert turn(desk, failing(Undeliverable())).lost == 1
    turn(desk)
    [told] = desk.mails
    assert (told.kind, told.to) == ("lost", OWNER)
    for value in (ANNA, TEXT):
        assert value not in told.text + told.html + told.subject


def test_the_owner_is_not_told_of_a_link_that_could_not_be_delivered(desk: Desk) -> None:
    """Anybody can give an address that there is not."""
    add(desk)
    turn(desk, failing(Undeliverable()))
    assert amount("mail") == 0


def test_a_mail_to_the_owner_that_could_not_be_delivered_makes_no_other(desk: Desk) -> None:
    add(desk, msgspec.structs.replace(LETTER, kind="receipt"))
    turn(desk, failing(Undeliverable()))
    turn(desk, failing(Undeliverable()))
    assert amount("mail") == 0


def test_an_answer_that_was_lost_is_noted_without_the_address(desk: Desk) -> None:
    add(desk, msgspec.structs.replace(LETTER, kind="receipt"))
    turn(desk, failing(Undeliverable()))
    [entry] = query("SELECT * FROM audit WHERE action = 'mail lost'")
    assert ANNA not in repr(entry)


def test_a_mail_that_was_perhaps_sent_is_tried_once_more_and_not_oftener(desk: Desk) -> None:
    add(desk)
    assert turn(desk, failing(Unsure())) == Sent(0, 0, "")
    assert waiting(desk).due > desk.now + RETRY_MINUTES[0] * MINUTE
    assert turn(desk, failing(Unsure()), now=waiting(desk).due) == Sent(0, 1, "")
    assert amount("mail") == 0


def test_a_mail_that_was_perhaps_sent_has_the_same_identifier_the_second_time(desk: Desk) -> None:
    def send(mail: Mail) -> None:
        desk.mails.append(mail)
        if len(desk.mails) == 1:
            raise Unsure

    add(desk)
    turn(desk, send)
    turn(desk, send, now=waiting(desk).due)
    assert len({mail.message_id for mail in desk.mails}) == 1
    assert amount("mail") == 0


def test_a_server_that_hangs_up_after_the_text_is_perhaps_one_that_sent_it(desk: Desk) -> None:
    def talk(file: Any) -> None:
        file.write(b"220 test\r\n")
        while line := file.readline():
            if line[:4].upper() == b"DATA":
                file.write(b"354 go on\r\n")
                while file.readline() != b".\r\n":
                    pass
                return
            file.write(b"250 OK\r\n")

    with raw_server(talk) as port, pytest.raises(Unsure):
        Smtp(f"smtp://127.0.0.1:{port}", sender="a@example.net")(msgspec.structs.replace(LETTER, message_id="1@example.net"))


def test_a_server_that_accepts_and_then_misbehaves_gets_the_mail_once(desk: Desk) -> None:
    add(desk)
    with raw_server(lambda file: by_the_book(file, QUIT=b"421 bye")) as port:
        assert turn(desk, Smtp(f"smtp://127.0.0.1:{port}", sender="a@example.net")) == Sent(1, 0, "")
    assert amount("mail") == 0


# --- what is of no use any more --------------------------------------------------------------------------------------------


def test_a_mail_whose_time_is_over_is_dropped_with_its_key(desk: Desk) -> None:
    add(desk, life=MINUTE)
    assert drop_expired(desk.office, desk.store, now=desk.now + MINUTE) == 1
    assert (amount("mail"), amount("subject")) == (0, 0)


def test_a_mail_whose_time_is_not_over_is_not_dropped(desk: Desk) -> None:
    add(desk, life=MINUTE)
    assert drop_expired(desk.office, desk.store, now=desk.now + MINUTE - 1) == 0
    assert amount("mail") == 1


def test_a_mail_is_tried_for_its_whole_life_and_not_longer(desk: Desk) -> None:
    add(desk)
    assert drop_expired(desk.office, desk.store, now=desk.now + LIFE - 1) == 0
    assert drop_expired(desk.office, desk.store, now=desk.now + LIFE) == 1


def test_a_mail_whose_time_is_over_is_not_sent_even_if_nobody_dropped_it(desk: Desk) -> None:
    add(desk, life=MINUTE)
    assert turn(desk, now=desk.now + MINUTE) == Sent(0, 0, "")
    assert desk.mails == []


# --- under another key -----------------------------------------------------------------------------------------------------


def test_a_mail_under_a_key_that_is_not_given_waits_for_it(desk: Desk) -> None:
    add(desk)
    other = msgspec.structs.replace(office_that(desk, desk.mails.append), vault=lambda: Vault([OTHER_SECRET]))
    result = deliver(other, desk.store, now=desk.now)
    assert (result.sent, result.lost) == (0, 0)
    assert result.fault
    both = msgspec.structs.replace(other, vault=lambda: Vault([OTHER_SECRET, SECRET]))
    assert deliver(both, desk.store, now=waiting(desk).due) == Sent(1, 0, "")


def test_a_mail_that_cannot_be_opened_does_not_stop_the_others(desk: Desk) -> None:
    add(desk)
    other = msgspec.structs.replace(office_that(desk, desk.mails.append), vault=lambda: Vault([OTHER_SECRET]))
    with desk.store.transaction():
        outbox.add(desk.store, Vault([OTHER_SECRET]), msgspec.structs.replace(LETTER, to=OTTO), now=desk.now)
    assert deliver(other, desk.store, now=desk.now).sent == 1
    assert desk.to(OTTO) == ["confirm"]


# --- several workers, and crashes ------------------------------------------------------------------------------------------


def test_two_workers_that_see_the_same_mail_send_it_once(desk: Desk) -> None:
    """The second begins while the first is sending."""
    other = make_store(desk.path)
    other.open()
    inner: list[Sent] = []

    def send(mail: Mail) -> None:
        desk.mails.append(mail)
        inner.append(deliver(office_that(desk, desk.mails.append), other, now=desk.now))

    add(desk)
    assert turn(desk, send) == Sent(1, 0, "")
    other.close()
    assert inner == [Sent(0, 0, "")]
    assert len(desk.mails) == 1


def test_eight_workers_at_once_send_each_mail_once(desk: Desk) -> None:
    add(desk, *(msgspec.structs.replace(LETTER, subject=str(number)) for number in range(40)))
    start, failed = threading.Barrier(8), []

    def work() -> None:
        store = make_store(desk.path)
        store.open()
        try:
            start.wait(10)
            deliver(office_that(desk, desk.mails.append), store, now=desk.now)
        except Exception as error:
            failed.append(error)
        finally:
            store.close()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    assert sorted(mail.subject for mail in desk.mails) == sorted(map(str, range(40)))
    assert amount("mail") == 0


@needs_fork
def test_a_mail_whose_sender_was_killed_before_it_sent_is_sent_later(desk: Desk) -> None:
    add(desk)
    script(
        """
        from tests.requesting import at_desk
        from privacy_middleware.rights.outbox import deliver
        with at_desk(mail=lambda mail: os.kill(os.getpid(), signal.SIGKILL)) as desk:
            deliver(desk.office, desk.store, now=desk.now)
        """,
        cwd=Path.cwd(),
        code_expected=-signal.SIGKILL,
    )
    one = waiting(desk)
    assert one.attempts == 1
    assert turn(desk, now=one.due - 1).sent == 0
    assert turn(desk, now=one.due) == Sent(1, 0, "")


def test_a_mail_that_was_taken_back_while_others_were_sent_is_not_sent(desk: Desk) -> None:
    def send(mail: Mail) -> None:
        desk.mails.append(mail)
        with desk.store.transaction():
            for one in find(desk.store):
                outbox.remove(desk.store, one.id, one.subject)

    add(desk, LETTER, LETTER, LETTER)
    turn(desk, send)
    assert len(desk.mails) == 1
    assert amount("mail") == 0


# --- what it shows of itself -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ConnectionRefusedError(f"{ANNA} {TEXT}"), Undeliverable(f"{ANNA} {TEXT}"), ValueError(TEXT)])
def test_nothing_of_a_mail_is_logged(error: Exception, desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    add(desk)
    counts = post(desk, failing(error))
    assert counts
    for value in (ANNA, TEXT, SECRET):
        assert value not in caplog.text


def test_nothing_of_a_mail_is_shown_by_what_waits(desk: Desk) -> None:
    add(desk)
    shown = repr(waiting(desk)) + repr(desk.office) + repr(desk.clerk) + os.linesep.join(map(repr, find(desk.store)))
    for value in (ANNA, TEXT, SECRET):
        assert value not in shown


def test_what_was_sent_and_given_up_is_counted(desk: Desk) -> None:
    def send(mail: Mail) -> None:
        if mail.to == OTTO:
            raise Undeliverable

    add(desk, LETTER, msgspec.structs.replace(LETTER, to=OTTO))
    counts = post(desk, send)
    assert (counts["mail.sent"], counts["mail.lost"]) == (1, 1)


def test_what_was_sent_leaves_no_byte_in_the_journal(desk: Desk) -> None:
    add(desk)
    sealed = waiting(desk).sealed
    post(desk, desk.mails.append)
    assert len(desk.mails) == 1
    assert sealed not in files()
