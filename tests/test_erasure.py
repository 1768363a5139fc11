"""Erasures: that nothing is left, whatever fails in the middle, and that nothing comes back."""

import asyncio
import base64
import logging
import os
import sqlite3
import textwrap
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine

from privacy_middleware.collect.hit import Hit
from privacy_middleware.collect.source import Source as Entry
from privacy_middleware.errors import PrivacyError, StoreError, Unstorable
from privacy_middleware.record.intake import absorb
from privacy_middleware.record.submissions import add
from privacy_middleware.rights import erasure, requests
from privacy_middleware.rights.audit import verify
from privacy_middleware.rights.requests import Particulars, Request
from privacy_middleware.sources import FileSource, SQLAlchemySource

from . import databases
from .databases import change, make_store, restore
from .requesting import (
    ANNA,
    DAY,
    OTTO,
    OWNER,
    POLICY,
    RECIPIENT,
    TEXT,
    Clock,
    Desk,
    Erased,
    Kept,
    Source,
    actions,
    amount,
    at_desk,
    graves,
    query,
    token_in,
)
from .test_recorder import IS_ROOT, needs_fork, script, until

ANNAS_VISITOR, OTTOS_VISITOR = 4711, 4712
WORDS = "The canary asks why"


@pytest.fixture
def desk() -> Iterator[Desk]:
    with at_desk() as one:
        yield one


def visit(desk: Desk, visitor: int, *, ago: int = 1000) -> None:
    """Store a hit of a visitor."""
    time = desk.now - ago
    hit = Hit(
        day=time // DAY, time=time, visitor=visitor, address=b"\xc0\0\2\0", method=0, page="/contact", site="", kind=0, status=200,
        source=Entry("", ""), campaign="", agent=("Firefox", "Linux", "desktop", ""), language="da", country="", sent=1, aborted=0, duration=1,
    )  # fmt: skip
    with desk.store.transaction():
        desk.store.add_hits([hit])


def fill(desk: Desk) -> None:
    """Two people who have sent things, asked for things, and were counted; of one, something waits in the spool, too."""
    for email, visitor in ((ANNA, ANNAS_VISITOR), (OTTO, OTTOS_VISITOR)):
        visit(desk, visitor)
        visit(desk, visitor, ago=60_000)
        desk.submit(email, email, visitor=visitor)
        desk.confirmed("complaint", email, text=WORDS)
        desk.confirmed("correction", email)
        desk.ask("overview", email)
        with desk.store.transaction():
            root = erasure.root_key(desk.store, desk.office.vault())
            erasure.limits.seconds_to_wait(desk.store, root, desk.office.settings.limits, email=email, address="", now=desk.now)
    desk.spool(ANNA, message=WORDS)


def erase(desk: Desk, email: str = ANNA) -> Request:
    request = desk.confirmed("erasure", email)
    desk.work()
    return desk.get(request)


def everything(email: str, visitor: int) -> dict[str, int]:
    """How many rows of each table are of a person."""
    with at_desk() as desk:
        lookup = desk.lookup(email)
    subjects = "SELECT id FROM subject WHERE lookup = :lookup"
    of_person = {"lookup": lookup}
    return {
        "subject": amount("subject", "lookup = :lookup", **of_person),
        "submission": amount("submission", f"subject IN ({subjects})", **of_person),
        "request": amount("request", "lookup = :lookup", **of_person),
        "hit": amount("hit", "visitor = :visitor", visitor=visitor),
        "tied": amount("submission", "visitor = :visitor", visitor=visitor),
    }


def files() -> bytes:
    return b"".join(path.read_bytes() for path in sorted(Path().rglob("*")) if path.is_file())


def spelled(text: str) -> set[bytes]:
    """What somebody would look for who has the files."""
    found = set()
    for raw in (text.encode(), text.lower().encode(), text.upper().encode(), text.encode("utf-16-le"), text.encode()[::-1]):
        encoded = (base64.b64encode(b"x" * shift + raw)[4:-4] for shift in range(3))
        found |= {raw, raw.hex().encode(), raw.hex().upper().encode(), base64.b32encode(raw).rstrip(b"="), *encoded}
    return found


# --- what an erasure takes -------------------------------------------------------------------------------------------------


def test_an_erasure_takes_everything_of_the_person_and_nothing_of_others(desk: Desk) -> None:
    fill(desk)
    others = everything(OTTO, OTTOS_VISITOR)
    assert set(everything(ANNA, ANNAS_VISITOR).values()) == {1, 2, 3}
    assert erase(desk).state == "fulfilled"
    assert everything(ANNA, ANNAS_VISITOR) == {"subject": 0, "submission": 0, "request": 0, "hit": 0, "tied": 0}
    assert everything(OTTO, OTTOS_VISITOR) == others
    assert desk.messages(OTTO) == [TEXT, TEXT]
    assert desk.office.spool.waiting() == []


def test_of_the_persons_submissions_no_field_is_left(desk: Desk) -> None:
    desk.submit(ANNA, ANNA)
    erase(desk)
    assert [amount(table) for table in ("field", "submission", "subject", "mail", "link", "step", "attempt")] == [0] * 7


def test_what_waits_in_the_spool_is_erased_and_counted(desk: Desk) -> None:
    desk.spool()
    erase(desk)
    assert desk.office.spool.waiting() == []
    assert desk.messages() == []
    assert "What you sent us: 1" in desk.mail("receipt").text


def test_waiting_mails_to_the_person_are_not_sent_any_more() -> None:
    with at_desk(mail=False) as desk:
        desk.confirmed("complaint", text=WORDS)
        assert amount("mail", "kind = 'received'") == 1
    with at_desk() as desk:
        erase(desk)
        assert "received" not in desk.to()
        assert "receipt" in desk.to()


def test_what_the_person_asked_for_besides_is_called_off(desk: Desk) -> None:
    others = [desk.confirmed("complaint", text=WORDS), desk.confirmed("correction"), desk.ask("overview")]
    erase(desk)
    assert [desk.state(one) for one in others] == ["withdrawn"] * 3
    assert amount("request", "subject IS NOT NULL OR sealed IS NOT NULL OR lookup IS NOT NULL") == 0


def test_what_was_answered_before_is_no_longer_anybodys(desk: Desk) -> None:
    answered = desk.confirmed("overview")
    erase(desk)
    assert desk.state(answered) == "fulfilled"
    assert desk.get(answered).lookup is None


def test_how_often_an_address_has_asked_is_forgotten(desk: Desk) -> None:
    fill(desk)
    before = amount("attempt")
    erase(desk)
    assert amount("attempt") == before - 1


def test_visits_that_are_not_tied_to_what_was_sent_stay(desk: Desk) -> None:
    visit(desk, ANNAS_VISITOR)
    desk.submit(ANNA)
    erase(desk)
    assert amount("hit") == 1


def test_late_hits_of_a_tied_visitor_do_not_come_back(desk: Desk) -> None:
    desk.submit(ANNA, visitor=ANNAS_VISITOR)
    erase(desk)
    visit(desk, ANNAS_VISITOR)  # from another worker's queue
    assert amount("hit") == 0


def test_who_is_not_known_is_erased_all_the_same(desk: Desk) -> None:
    assert erase(desk).state == "fulfilled"
    assert "We had nothing" in desk.mail("receipt").text


def test_the_receipt_says_how_much_it_was(desk: Desk) -> None:
    desk.submit(ANNA, ANNA, ANNA)
    erase(desk)
    assert "What you sent us: 3" in desk.mail("receipt").text
    assert desk.answers() == ["receipt"]


def test_the_page_behind_the_status_link_still_says_that_it_is_done(desk: Desk) -> None:
    request = desk.confirmed()
    with desk.store.transaction():
        requests.make_link(desk.office, desk.store, request, "status", now=desk.now)
        requests.make_link(desk.office, desk.store, request, "confirm", now=desk.now)
    desk.work()
    assert [row["purpose"] for row in query("SELECT purpose FROM link")] == ["status"]


def test_recipients_are_passed_on_by_the_owner_and_the_person_is_told() -> None:
    with at_desk(policy=POLICY + RECIPIENT) as desk:
        erase(desk)
        assert "Printer Ltd" in desk.mail("receipt").text
        assert "Printer Ltd" in desk.mail("tell_recipients").text
        assert desk.mail("tell_recipients").to == OWNER
        assert ANNA in desk.mail("tell_recipients").text


def test_an_erasure_without_mail_is_done_and_its_receipt_waits() -> None:
    with at_desk(mail=False) as desk:
        desk.submit()
        assert erase(desk).state == "fulfilled"
        assert amount("mail", "kind = 'receipt'") == 1
        desk.clock.move(minutes=1)
        clock = desk.clock
    with at_desk(clock=clock) as desk:
        desk.work()
        assert desk.answers() == ["receipt"]


def test_the_key_is_destroyed_so_that_even_the_old_rows_could_not_be_read(desk: Desk) -> None:
    desk.submit()
    [old] = query("SELECT * FROM subject")
    [sealed, _] = [row["value"] for row in query("SELECT value FROM field")]
    erase(desk)
    assert old["sealed"] not in files()
    assert sealed not in files()


@pytest.mark.parametrize("with_checkpoint", [True, False])
@pytest.mark.sqlite
def test_no_byte_of_the_person_is_in_any_file(with_checkpoint: bool) -> None:
    accounts = Source("accounts", erases=lambda _: Kept("invoices, by law", 2))
    with at_desk(sources=(accounts,), policy=POLICY + RECIPIENT) as desk:
        fill(desk)
        reader = sqlite3.connect("privacy.db", isolation_level=None)
        if not with_checkpoint:  # another connection reads an old state, so that the journal cannot be emptied
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM submission").fetchall()
        assert erase(desk).state == "fulfilled"
        journal = Path("privacy.db-wal").stat().st_size
        assert (journal == 0) == with_checkpoint
        found = files()
        assert b"erasure" in found + files()
        for text in (ANNA, "anna.canary", TEXT, WORDS):
            assert not [spelling for spelling in spelled(text) if spelling in found]
        reader.close()


@pytest.mark.sqlite
def test_once_the_journal_can_be_emptied_it_is(desk: Desk) -> None:
    desk.submit()
    [old] = query("SELECT sealed FROM subject")
    reader = sqlite3.connect("privacy.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM submission").fetchall()
    erase(desk)
    reader.close()
    desk.clerk._look_due = 0.0
    desk.clerk.look(desk.store)
    desk.rest()
    until(lambda: Path("privacy.db-wal").stat().st_size == 0)
    assert old["sealed"] not in files()


def test_the_tombstone_names_nobody(desk: Desk) -> None:
    request = erase(desk)
    [line] = graves()
    assert line == f"{desk.lookup().hex()} {request.closed}"
    assert Path("privacy.erased").stat().st_mode & 0o777 == 0o600


def test_the_audit_log_says_that_it_was_done_and_by_whom_asked_and_no_value() -> None:
    with at_desk(sources=(Source(),)) as desk:
        desk.submit()
        erase(desk)
        assert actions()[-2:] == ["erase at source", "request fulfilled"]
        assert verify(desk.store).broken is None
        assert "canary" not in str(query("SELECT * FROM audit"))


def test_what_was_held_is_counted_before_without_asking_the_sources() -> None:
    accounts = Source()
    with at_desk(sources=(accounts,)) as desk:
        fill(desk)
        request = desk.ask("erasure")
        held = erasure.held(desk.office, desk.store, request)
        assert (held.submissions, held.requests, held.sources) == ({"contact": 2}, 3, ["accounts"])
        assert accounts.asked == []


# --- what is left is an error ----------------------------------------------------------------------------------------------

IGNORED = {
    "submission": "DELETE ON submission",
    "field": "DELETE ON field",
    "subject": "DELETE ON subject WHEN old.lookup IS NOT NULL",
    "request": "UPDATE OF lookup ON request WHEN new.lookup IS NULL",
    "mail": "DELETE ON mail WHEN old.kind = 'received'",
    "hit": "DELETE ON hit",
}


@pytest.mark.parametrize("table", IGNORED)
def test_anything_that_is_left_is_an_error_and_not_a_success(table: str, caplog: pytest.LogCaptureFixture) -> None:
    with at_desk(mail=False) as desk:
        fill(desk)
        change(f"CREATE TRIGGER kept BEFORE {IGNORED[table]} BEGIN SELECT RAISE(IGNORE); END")
        before = {name: amount(name) for name in ("submission", "field", "subject", "hit")}
        request = erase(desk)
        assert request.state == "confirmed"
        assert request.tries == 1
        assert before["field"] + 2 == amount("field")  # what was in the spool is in the database now
        assert before["hit"] == amount("hit")
        assert "left after an erasure" in caplog.text
        assert amount("mail", "kind = 'receipt'") == 0


@pytest.mark.parametrize("table", ["submission", "subject", "request"])
def test_once_nothing_stands_in_the_way_it_is_erased_after_all(table: str, desk: Desk) -> None:
    fill(desk)
    change(f"CREATE TRIGGER kept BEFORE {IGNORED[table]} BEGIN SELECT RAISE(IGNORE); END")
    request = erase(desk)
    change("DROP TRIGGER kept")
    desk.clock.move(minutes=2)
    desk.work()
    assert desk.state(request) == "fulfilled"
    assert everything(ANNA, ANNAS_VISITOR) == {"subject": 0, "submission": 0, "request": 0, "hit": 0, "tied": 0}
    assert desk.to().count("receipt") == 1


@pytest.mark.parametrize("at", ["DELETE ON submission", "DELETE ON subject", "INSERT ON tombstone", "INSERT ON audit", "INSERT ON mail"])
def test_an_error_anywhere_in_the_database_leaves_all_or_nothing(at: str, desk: Desk) -> None:
    desk.submit(ANNA, ANNA)
    request = desk.confirmed()
    change(f"CREATE TRIGGER broken BEFORE {at} BEGIN SELECT RAISE(ABORT, 'broken on purpose'); END")
    with pytest.raises(Unstorable):
        erasure.erase(desk.office, desk.store, request, now=desk.now)
    assert desk.messages() == [TEXT, TEXT]
    change("DROP TRIGGER broken")
    desk.work()
    assert desk.messages() == []
    assert desk.answers() == ["receipt"]


# --- sources ---------------------------------------------------------------------------------------------------------------


def test_every_source_is_asked_with_the_address() -> None:
    one, other = Source("one"), Source("other")
    with at_desk(sources=(one, other)) as desk:
        erase(desk)
    assert one.asked == other.asked == [ANNA]


def test_what_a_source_must_keep_is_told_with_the_reason() -> None:
    with at_desk(sources=(Source("books", erases=lambda _: Kept("invoices, for five years: the law on accounting")),)) as desk:
        erase(desk)
        assert "books: invoices, for five years: the law on accounting" in desk.mail("receipt").text


def test_a_reason_is_only_text_in_the_html_of_the_receipt() -> None:
    with at_desk(sources=(Source("<b>books", erases=lambda _: Kept("<script>canary</script>")),)) as desk:
        erase(desk)
        html = desk.mail("receipt").html
        assert "<script>" not in html
        assert "<b>" not in html


def test_an_async_source_is_waited_for() -> None:
    async def erases(_: str) -> Erased:
        await asyncio.sleep(0.01)
        return Erased(3)

    with at_desk(sources=(Source(erases=erases),)) as desk:
        assert erase(desk).state == "fulfilled"
        assert query("SELECT object FROM audit WHERE action = 'erase at source'") == [{"object": "accounts: 3 erased"}]


def failing(error: BaseException) -> Any:
    def erases(_: str) -> Erased:
        raise error

    return erases


def test_a_source_that_fails_leaves_the_request_open_and_nothing_erased() -> None:
    broken = Source("broken", erases=failing(OSError(f"no route to {ANNA}")))
    with at_desk(sources=(Source("one"), broken, Source("other"))) as desk:
        desk.submit()
        assert erase(desk).state == "confirmed"
        assert desk.messages() == [TEXT]
        assert desk.answers() == []
        assert graves() == []


def test_the_others_are_asked_all_the_same_and_not_twice() -> None:
    one, broken, other = Source("one"), Source("broken", erases=failing(OSError())), Source("other")
    with at_desk(sources=(one, broken, other)) as desk:
        request = erase(desk)
        broken.erases = lambda _: Erased(1)
        desk.clock.move(minutes=2)
        desk.work()
        assert desk.state(request) == "fulfilled"
        assert [len(source.asked) for source in (one, broken, other)] == [1, 2, 1]
        assert desk.answers() == ["receipt"]


def test_what_was_kept_at_the_first_try_still_stands_in_the_receipt() -> None:
    books, broken = Source("books", erases=lambda _: Kept("by law")), Source("broken", erases=failing(OSError()))
    with at_desk(sources=(books, broken)) as desk:
        erase(desk)
        broken.erases = lambda _: Erased()
        desk.clock.move(minutes=2)
        desk.work()
        assert "books: by law" in desk.mail("receipt").text


def test_the_owner_is_told_which_source_failed() -> None:
    with at_desk(sources=(Source("old shop", erases=failing(ValueError(ANNA))),)) as desk:
        request = erase(desk)
        assert "old shop" in desk.mail("trouble").text
        assert request.id.hex()[:10] in desk.mail("trouble").text
        assert "canary" not in desk.mail("trouble").text


def test_the_text_of_a_sources_error_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    try:
        raise KeyError(ANNA)
    except KeyError as inner:
        outer = ValueError(f"cannot erase {ANNA}")
        outer.__cause__ = inner
    with at_desk(sources=(Source(erases=failing(outer)),)) as desk:
        erase(desk)
    assert "accounts" in caplog.text
    assert "ValueError" in caplog.text
    assert "canary" not in caplog.text


@pytest.mark.parametrize("outcome", [None, True, 3, "erased", Erased])
def test_a_source_that_does_not_say_what_became_of_it_has_failed(outcome: Any) -> None:
    with at_desk(sources=(Source(erases=lambda _: outcome),)) as desk:
        assert erase(desk).state == "confirmed"
        assert "accounts" in desk.mail("trouble").text


@pytest.mark.parametrize("error", [asyncio.CancelledError(), SystemExit(1), RecursionError(), MemoryError()])
def test_no_error_of_a_source_stops_the_clerk(error: BaseException) -> None:
    with at_desk(sources=(Source(erases=failing(error)),)) as desk:
        request = erase(desk)
        assert request.state == "confirmed"
        assert request.tries == 1


def test_a_table_of_the_hosts_is_erased() -> None:
    engine = create_engine("sqlite:///host.db")
    table = Table("customer", MetaData(), Column("id", Integer, primary_key=True), Column("email", String), Column("name", String))
    table.create(engine)
    with engine.begin() as connection:
        connection.execute(table.insert(), [{"email": email, "name": "Canary"} for email in (ANNA.title(), OTTO)])
    with at_desk(sources=(SQLAlchemySource(engine, table),)) as desk:
        assert erase(desk).state == "fulfilled"
    assert query("SELECT email FROM customer", "host.db") == [{"email": OTTO}]
    engine.dispose()


def test_a_table_of_the_hosts_that_is_locked_is_erased_later() -> None:
    engine = create_engine("sqlite:///host.db", connect_args={"timeout": 0.1})
    table = Table("customer", MetaData(), Column("id", Integer, primary_key=True), Column("email", String))
    table.create(engine)
    with engine.begin() as connection:
        connection.execute(table.insert(), [{"email": ANNA}])
    with at_desk(sources=(SQLAlchemySource(engine, table),)) as desk:
        with closing(sqlite3.connect("host.db", isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            request = erase(desk)
        assert desk.state(request) == "confirmed"
        desk.clock.move(minutes=2)
        desk.work()
        assert desk.state(request) == "fulfilled"
    assert query("SELECT * FROM customer", "host.db") == []
    engine.dispose()


def test_files_of_the_hosts_are_erased() -> None:
    for email in (ANNA, OTTO):
        Path("invoices", email).mkdir(parents=True)
        Path("invoices", email, "1.pdf").write_bytes(b"%PDF")
    with at_desk(sources=(FileSource("invoices", "{email}/*.pdf"),)) as desk:
        assert erase(desk).state == "fulfilled"
    assert [path.parent.name for path in Path("invoices").rglob("*.pdf")] == [OTTO]


# --- what was under way does not come back ---------------------------------------------------------------------------------


def test_what_another_worker_still_had_in_memory_does_not_come_back(desk: Desk) -> None:
    late = desk.submission(ANNA)
    desk.submit(ANNA)
    erase(desk)
    with desk.store.transaction():
        add(desk.store, desk.office.vault(), late)
    assert amount("submission") == 0


def test_what_another_worker_put_into_the_spool_meanwhile_does_not_come_back(desk: Desk) -> None:
    late = desk.submission(ANNA)
    erase(desk)
    desk.office.spool.add(desk.office.vault(), late)
    assert absorb(desk.store, desk.office.spool, desk.office.vault()) == 1
    assert desk.office.spool.waiting() == []
    assert amount("submission") == 0


def test_what_waits_of_others_is_taken_in_as_ever(desk: Desk) -> None:
    late = desk.submission(OTTO)
    erase(desk)
    desk.office.spool.add(desk.office.vault(), late)
    absorb(desk.store, desk.office.spool, desk.office.vault())
    assert desk.messages(OTTO) == [TEXT]


def test_what_the_person_sends_after_the_erasure_stays(desk: Desk) -> None:
    desk.submit(ANNA)
    erase(desk)
    desk.clock.move(seconds=1)
    desk.submit(ANNA, message="again")
    desk.spool(ANNA, message="and again")
    absorb(desk.store, desk.office.spool, desk.office.vault())
    assert desk.messages() == ["again", "and again"]


def test_what_came_in_the_hour_of_the_erasure_is_told_by_the_moment_not_by_the_hour(desk: Desk) -> None:
    """Of a form without `link_visit` only the hour is stored; it must still be known what came before and what after."""
    desk.clock.move(minutes=30)
    before = desk.submission(ANNA, message="before", time=desk.now - 1_800_000)
    erase(desk)
    desk.clock.move(minutes=1)
    after = desk.submission(ANNA, message="after", time=desk.now - desk.now % 3_600_000)
    with desk.store.transaction():
        for one in (before, after):
            add(desk.store, desk.office.vault(), one)
    assert desk.messages() == ["after"]


def test_the_moment_itself_is_never_in_the_database(desk: Desk) -> None:
    """Of a form without `link_visit`, by the moment one could tell whose visit it was."""
    desk.clock.move(minutes=17, seconds=3)
    desk.submit(ANNA, time=desk.now - desk.now % 3_600_000)
    assert str(desk.now).encode() not in files()
    assert desk.now.to_bytes(6, "big") not in files()


def test_who_comes_again_can_be_erased_again(desk: Desk) -> None:
    for _ in range(3):
        desk.submit(ANNA)
        assert erase(desk).state == "fulfilled"
        desk.clock.move(days=1)
    assert len(graves()) == 3
    assert amount("tombstone") == 1
    assert desk.answers() == ["receipt"] * 3


def test_who_comes_again_has_a_new_key(desk: Desk) -> None:
    desk.submit(ANNA)
    [before] = query("SELECT id, sealed FROM subject")
    erase(desk)
    desk.clock.move(seconds=1)
    desk.submit(ANNA)
    [after] = query("SELECT id, sealed FROM subject WHERE lookup IS NOT NULL")
    assert before["id"] != after["id"]


# --- a crash between any two steps -----------------------------------------------------------------------------------------

CRASHES = """
    from tests.test_erasure import *
    import shutil

    class Accounts(Source):
        def erase(self, subject):
            with open("accounts", "a") as file:
                file.write("asked\\n")
            return Kept("invoices, by law", 1)

    def in_child(work):
        child = os.fork()
        if not child:
            work()
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def first(nth):
        desk = Desk(mail=False, sources=(Accounts(),))
        seen = 0
        def kill(_):
            nonlocal seen
            seen += 1
            if seen == nth:
                os.kill(os.getpid(), signal.SIGKILL)
        desk.clerk.ask(lambda store: store.connection.set_trace_callback(kill)).result()
        desk.work()
        desk.close()

    def again():
        mails = []
        desk = Desk(sources=(Accounts(),), mail=mails.append)
        desk.clock.move(minutes=5)
        desk.work()
        assert verify(desk.store).broken is None
        assert [mail.kind for mail in mails if mail.to == ANNA] == ["receipt"], mails
        assert all("invoices, by law" in mail.text for mail in mails if mail.kind == "receipt")
        desk.close()

    def nothing_left():  # but of the other
        left = amount("subject", "lookup IS NOT NULL"), amount("submission"), amount("hit"), amount("hit", "visitor = 4711")
        return left == (1, 1, 1, 0)

    def fill_a_little(desk):
        for email, visitor in ((ANNA, ANNAS_VISITOR), (OTTO, OTTOS_VISITOR)):
            visit(desk, visitor)
            desk.submit(email, visitor=visitor)
        desk.confirmed("complaint", ANNA, text=WORDS)
        desk.spool(ANNA, message=WORDS)

    def set_up():
        desk = Desk(mail=False)
        fill_a_little(desk)
        desk.confirmed("erasure")
        desk.close()

    def all_rounds(one_round):
        # Copy the folder, and crash before the first, the second, the third statement, several at a time, until there is none left.
        origin, finished, nth = os.getcwd(), False, 0
        while not finished:
            children = {}
            for nth in range(nth + 1, nth + 9):
                child = os.fork()
                if not child:
                    folder = f"{origin}-{nth}"
                    shutil.copytree(origin, folder)
                    os.chdir(folder)
                    code = one_round(nth)
                    shutil.rmtree(folder)
                    os._exit(0 if code == -9 else 7)
                children[child] = nth
            codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
            assert set(codes) <= {0, 7}, codes
            finished = 7 in codes
        print(nth > 20)
"""


def crashing(code: str) -> str:
    return script(textwrap.dedent(CRASHES) + textwrap.dedent(code), timeout=100)


@needs_fork
@pytest.mark.sqlite
def test_kill_9_before_any_statement_of_an_erasure_ends_in_one_erasure_with_one_receipt() -> None:
    code = """
        assert in_child(set_up) == 0

        def replayed():
            desk = Desk(mail=False, sources=(Accounts(),))
            erasure.replay(desk.office, desk.store, actor="Berta", now=desk.now)
            desk.close()

        def one_round(nth):
            code = in_child(lambda: first(nth))
            if graves() and nth % 2:  # the owner may be quicker than the app
                assert in_child(replayed) == 0
            assert in_child(again) == 0, nth
            assert nothing_left(), nth
            assert is_whole()
            assert len(Path("accounts").read_text().split()) <= 2, nth
            assert amount("request", "kind = 'erasure' AND state = 'fulfilled'") == 1
            return code

        all_rounds(one_round)
    """
    assert crashing(code) == "True\n"


@needs_fork
def test_kill_9_while_a_source_is_asked_asks_it_again() -> None:
    code = """
        set_up()
        def die(subject):
            os.kill(os.getpid(), signal.SIGKILL)

        def dying():
            Desk(mail=False, sources=(Accounts("one"), Source("two", erases=die))).work()

        def restarted():
            desk = Desk(sources=(Accounts("one"), Source("two")))
            desk.clock.move(minutes=1)
            desk.work()
            print(len(Path("accounts").read_text().split()), desk.answers(), desk.messages(), flush=True)
            desk.close()

        assert in_child(dying) == -9
        assert in_child(restarted) == 0
    """
    assert crashing(code) == "1 ['receipt'] []\n"


@needs_fork
@pytest.mark.sqlite
def test_kill_9_in_the_middle_of_a_replay_ends_in_a_full_one() -> None:
    code = """
        def done():
            desk = Desk(mail=False)
            fill_a_little(desk)
            desk.store.checkpoint()
            shutil.copy("privacy.db", "backup")
            erase(desk)
            desk.close()
        assert in_child(done) == 0
        for path in Path().glob("privacy.db*"):
            if path.is_file():
                path.unlink()
        shutil.copy("backup", "privacy.db")

        def dying(nth):
            desk = Desk(mail=False)
            seen = 0
            def kill(_):
                nonlocal seen
                seen += 1
                if seen == nth:
                    os.kill(os.getpid(), signal.SIGKILL)
            desk.store.connection.set_trace_callback(kill)
            erasure.replay(desk.office, desk.store, actor="Berta", now=desk.now)
            desk.close()

        def one_round(nth):
            code = in_child(lambda: dying(nth))
            assert in_child(lambda: dying(0)) == 0
            assert nothing_left(), nth
            return code

        all_rounds(one_round)
    """
    assert crashing(code) == "True\n"


def test_two_workers_that_do_the_same_erasure_send_one_receipt() -> None:
    with at_desk() as one, at_desk() as other:
        one.submit(ANNA)
        request = one.confirmed()
        erasure.erase(one.office, one.store, request, now=one.now)
        late = requests.get(other.store, request.id)
        with pytest.raises(PrivacyError):
            erasure.erase(other.office, other.store, request, now=other.now)
        assert late.state == "fulfilled"
        one.work()
        assert one.answers() + other.answers() == ["receipt"]


# --- a database restored from a backup -------------------------------------------------------------------------------------


def back_up(desk: Desk) -> None:
    assert desk.store.checkpoint()
    for store in (desk.store, desk.clerk.store, desk.postman.store):
        store.close()
    databases.back_up()
    desk.store.open()


def replay(desk: Desk) -> tuple[int, int]:
    """Replay; returns how many people and rows were erased again."""
    done = erasure.replay(desk.office, desk.store, actor="Berta", now=desk.now)
    return done.people, done.rows


def erased_and_restored(**more: Any) -> Clock:
    """What the clock shows after an erasure whose database was then restored from before it."""
    with at_desk(**more) as desk:
        fill(desk)
        back_up(desk)
        desk.clock.move(hours=1)
        erase(desk)
        desk.clock.move(hours=1)
        clock = desk.clock
    restore()
    if not databases.current.on_postgres:
        Path("backup.db").unlink()
    return clock


def test_a_restored_database_is_erased_again() -> None:
    clock = erased_and_restored()
    assert everything(ANNA, ANNAS_VISITOR)["submission"] == 2
    with at_desk(clock=clock) as desk:
        assert replay(desk) == (1, 5)
    assert everything(ANNA, ANNAS_VISITOR) == {"subject": 0, "submission": 0, "request": 0, "hit": 0, "tied": 0}
    assert everything(OTTO, OTTOS_VISITOR)["submission"] == 2


def test_after_a_replay_no_byte_of_the_person_is_in_any_file() -> None:
    clock = erased_and_restored()
    [old] = query("SELECT sealed FROM subject WHERE lookup IS NOT NULL ORDER BY id LIMIT 1")
    with at_desk(clock=clock) as desk:
        replay(desk)
        found = files()
    gone = [row["sealed"] for row in query("SELECT sealed FROM subject")]
    assert old["sealed"] in gone or old["sealed"] not in found
    for text in (ANNA, TEXT, WORDS):
        assert not [spelling for spelling in spelled(text) if spelling in found]


def test_what_the_person_has_sent_since_the_erasure_stays() -> None:
    clock = erased_and_restored()
    with at_desk(clock=clock) as desk:
        desk.submit(ANNA, message="since")
        replay(desk)
        assert desk.messages() == ["since"]
        assert amount("submission") == 3


def test_what_the_person_has_asked_for_since_the_erasure_stays() -> None:
    clock = erased_and_restored()
    with at_desk(clock=clock) as desk:
        since = desk.confirmed("complaint", text="since")
        replay(desk)
        assert desk.state(since) == "in_review"
        assert requests.particulars(desk.office, desk.store, since).text == "since"


def test_a_replay_sends_the_person_no_mail() -> None:
    clock = erased_and_restored(sources=(Source(),))
    with at_desk(clock=clock, sources=(Source(),)) as desk:
        replay(desk)
        desk.work()
        assert desk.to() == []


def test_replaying_twice_does_nothing_more() -> None:
    clock = erased_and_restored()
    with at_desk(clock=clock) as desk:
        replay(desk)
        before = {table: query(f"SELECT * FROM {table}") for table in ("subject", "submission", "request", "audit", "tombstone")}
        assert replay(desk) == (0, 0)
        assert {table: query(f"SELECT * FROM {table}") for table in before} == before


def test_replaying_where_nothing_was_restored_does_nothing(desk: Desk) -> None:
    desk.submit(ANNA)
    erase(desk)
    desk.clock.move(hours=2)
    desk.submit(ANNA, message="since")
    assert replay(desk) == (0, 0)
    assert desk.messages() == ["since"]


def test_replaying_without_any_erasure_does_nothing(desk: Desk) -> None:
    desk.submit(ANNA)
    assert replay(desk) == (0, 0)
    assert desk.messages() == [TEXT]


def test_a_replay_is_noted_with_who_did_it() -> None:
    clock = erased_and_restored()
    with at_desk(clock=clock) as desk:
        replay(desk)
        assert query("SELECT actor FROM audit WHERE action = 'erase again'") == [{"actor": "Berta"}]
        assert verify(desk.store).broken is None


def test_of_two_erasures_of_one_person_the_later_counts() -> None:
    with at_desk() as desk:
        desk.submit(ANNA, message="first")
        erase(desk)
        desk.clock.move(hours=2)
        desk.submit(ANNA, message="second")
        back_up(desk)
        desk.clock.move(hours=2)
        erase(desk)
        clock = desk.clock
    restore()
    with at_desk(clock=clock) as desk:
        assert replay(desk) == (1, 1)
        assert desk.messages() == []


def test_many_people_are_erased_again() -> None:
    emails = [f"canary{number}@example.org" for number in range(20)]
    with at_desk() as desk:
        desk.submit(*emails, OTTO)
        back_up(desk)
        for email in emails:
            desk.confirmed("erasure", email)
        desk.work()
        clock = desk.clock
    restore()
    with at_desk(clock=clock) as desk:
        assert replay(desk) == (20, 20)
        assert desk.messages(OTTO) == [TEXT]
        assert amount("submission") == 1


def test_the_hosts_sources_are_asked_again_once() -> None:
    clock = erased_and_restored(sources=(Source(),))
    accounts = Source()
    with at_desk(clock=clock, sources=(accounts,)) as desk:
        desk.privacy._note_statement(desk.store)
        replay(desk)
        assert accounts.asked == []
        for _ in range(2):
            desk.work()
        assert accounts.asked == [ANNA]


def test_asking_the_sources_again_leaves_what_the_person_has_sent_since() -> None:
    clock = erased_and_restored(sources=(Source(),))
    with at_desk(clock=clock, sources=(Source(),)) as desk:
        desk.privacy._note_statement(desk.store)
        desk.submit(ANNA, message="since")
        since = desk.confirmed("complaint", text="since")
        replay(desk)
        desk.work()
        assert desk.messages() == ["since"]
        assert desk.state(since) == "in_review"


@pytest.mark.parametrize("delay", ["0", "3d"])
def test_an_erasure_that_was_restored_from_before_it_was_done_is_left_to_the_app_by_a_replay(delay: str) -> None:
    with at_desk(erasure_delay=delay) as desk:
        desk.submit(ANNA)
        request = desk.confirmed()
        back_up(desk)
        desk.clock.move(days=4)
        desk.work()
        clock = desk.clock
    restore()
    with at_desk(clock=clock) as desk:
        assert erasure.replay(desk.office, desk.store, actor="Berta", now=desk.now).left_to_app == 1
        desk.work()
        assert desk.state(request) == "fulfilled"
        assert desk.messages() == []


def test_under_a_secret_that_was_rotated_it_is_still_erased_again() -> None:
    clock = erased_and_restored()
    new = "another-secret-of-the-tests-" * 2
    with at_desk(clock=clock, secret_keys=f"{new},{'secret-of-the-tests-' * 2}") as desk:
        assert replay(desk) == (1, 5)


def test_without_the_secret_the_replay_says_so_and_takes_nothing() -> None:
    clock = erased_and_restored()
    with at_desk(clock=clock, secret_keys="a-wrong-secret-of-the-tests-" * 2) as desk:
        with pytest.raises(PrivacyError):
            replay(desk)
        assert amount("submission") == 4


# --- the file with the tombstones ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "end", ["ab" * 20, "ab" * 32 + " ", "ab" * 32 + " 17", "ab" * 32 + " 1777896000000", "\0" * 100, "x" * 5000, "\n\n\n"]
)
def test_a_tombstone_after_a_line_that_a_crash_cut_off_is_not_lost(end: str, desk: Desk) -> None:
    Path("privacy.erased").write_text(end)
    desk.submit(ANNA)
    back_up(desk)
    erase(desk)
    assert desk.lookup() in erasure.tombstones(desk.office)
    desk.close()
    restore()
    with at_desk(clock=desk.clock) as other:
        assert replay(other)[0] == 1


@pytest.mark.parametrize("damage", ["rubbish\n", "zz 17\n", "ab 17 18\n", "\0\0\0\n", " \n", f"{'ab' * 32} 9e9\n", f"{'ab' * 32} -1\n"])
def test_a_damaged_line_does_not_hide_the_others(damage: str) -> None:
    clock = erased_and_restored()
    file = Path("privacy.erased")
    file.write_text(damage + file.read_text() + damage)
    with at_desk(clock=clock) as desk:
        assert replay(desk)[0] == 1
        assert desk.messages() == []


def test_a_file_of_tombstones_that_is_no_text_is_an_error_that_names_it(desk: Desk) -> None:
    Path("privacy.erased").write_bytes(b"\xff\xfe" * 100)
    with pytest.raises(StoreError, match=r"privacy\.erased"):
        replay(desk)


def test_a_file_of_tombstones_that_cannot_be_read_is_an_error_that_names_it() -> None:
    code = """
        from tests.test_erasure import *
        from tests.test_recorder import let_permissions_bind
        desk = Desk()
        erase(desk)
        Path("privacy.erased").chmod(0)
        let_permissions_bind()
        try:
            replay(desk)
        except StoreError as error:
            print(error)
        desk.close()
    """
    assert "/privacy.erased cannot be read (PermissionError)" in script(code)


def test_where_no_tombstone_can_be_written_nothing_is_erased_and_it_is_tried_again(desk: Desk) -> None:
    Path("privacy.erased").mkdir()
    desk.submit(ANNA)
    request = erase(desk)
    assert request.state == "confirmed"
    assert desk.messages() == [TEXT]
    assert desk.to(OWNER) == ["trouble"]
    Path("privacy.erased").rmdir()
    desk.clock.move(minutes=2)
    desk.work()
    assert desk.state(request) == "fulfilled"
    assert len(graves()) == 1


@pytest.mark.sqlite
def test_in_a_folder_that_became_read_only_the_app_goes_on_and_erases_later() -> None:
    code = """
        from tests.test_erasure import *
        from tests.test_recorder import let_permissions_bind
        desk = Desk()
        desk.submit(ANNA)
        Path("privacy.erased").touch(); Path("privacy.erased").chmod(0o400)
        let_permissions_bind()
        print(erase(desk).state, desk.messages() == [TEXT], desk.to(OWNER))
        Path("privacy.erased").chmod(0o600)
        desk.clock.move(minutes=2); desk.work()
        print(desk.messages(), desk.answers())
        desk.close()
    """
    assert script(code) == "confirmed True ['trouble']\n[] ['receipt']\n"


def test_a_database_that_was_begun_anew_is_not_confused_by_tombstones_of_the_old_one(desk: Desk) -> None:
    erase(desk)
    desk.close()
    databases.remove()
    with at_desk() as new:
        new.submit(ANNA)
        assert replay(new) == (0, 0)
        assert new.messages() == [TEXT]


# --- an erasure that was begun ---------------------------------------------------------------------------------------------


def begun(desk: Desk) -> Request:
    """An erasure of which a source has done its part, and another has not."""
    request = desk.confirmed()
    desk.work()
    return desk.get(request)


def test_an_erasure_that_has_begun_can_neither_be_refused_nor_called_off() -> None:
    with at_desk(sources=(Source("one"), Source("broken", erases=failing(OSError())))) as desk:
        request = begun(desk)
        with pytest.raises(PrivacyError, match="being done"):
            desk.decide(requests.refuse, request, reason="no")
        with pytest.raises(PrivacyError, match="being done"):
            desk.withdraw(request)


def test_who_calls_off_or_is_refused_an_erasure_that_failed_here_is_not_erased_by_a_later_replay(desk: Desk) -> None:
    desk.submit(ANNA)
    change("CREATE TRIGGER broken BEFORE DELETE ON submission BEGIN SELECT RAISE(ABORT, 'broken on purpose'); END")
    request = begun(desk)
    change("DROP TRIGGER broken")
    try:
        desk.withdraw(request)
    except PrivacyError:
        return  # it cannot be called off any more: just as well
    replay(desk)
    assert desk.messages() == [TEXT]


def test_a_proof_for_one_address_does_not_erase_a_look_alike(desk: Desk) -> None:
    others = ["anna.canary+x@example.org", "annacanary@example.org", "anna.canary@example.org.evil.com", "anna.canary@sub.example.org"]
    desk.submit(ANNA, *others)
    erase(desk, ANNA)
    assert [desk.messages(email) for email in others] == [[TEXT]] * 4


def test_an_erasure_whose_particulars_cannot_be_opened_waits_for_the_key(desk: Desk) -> None:
    desk.submit(ANNA)
    desk.confirmed()
    desk.close()
    with at_desk(clock=desk.clock, secret_keys="a-wrong-secret-of-the-tests-" * 2) as wrong:
        wrong.work()
        assert amount("submission") == 1
    desk.clock.move(minutes=2)
    with at_desk(clock=desk.clock) as right:
        right.work()
        assert right.messages() == []
        assert "receipt" in right.to()


def test_the_one_time_link_is_not_in_any_file_either(desk: Desk) -> None:
    request = desk.ask()
    desk.work()
    token = token_in(desk.mail("confirm"))
    desk.confirm(desk.get(request))
    desk.work()
    assert token.encode() not in files()


def test_an_erasure_and_a_correction_of_one_person_that_are_due_together_make_no_trouble(desk: Desk) -> None:
    desk.submit(ANNA)
    correction = desk.confirmed("correction")
    desk.confirmed("erasure")
    with desk.store.transaction():
        who = Particulars(ANNA, text="and please correct it")
        requests.review_edits(desk.office, desk.store, correction, who, now=desk.now)
        requests.approve(desk.office, desk.store, desk.get(correction), actor="Berta", answer="Done", now=desk.now + 1)
    desk.clock.move(minutes=1)
    desk.work()
    assert desk.to(OWNER).count("trouble") == 0
    assert "request failed" not in actions()
    assert desk.messages() == []


def test_the_store_is_closed_for_others_at_no_time(desk: Desk) -> None:
    desk.submit(OTTO)
    erase(desk)
    with closing(make_store(desk.path)) as store:
        store.open()
        assert len(store.rows("SELECT * FROM submission")) == 1


def test_the_scripts_here_run_in_a_folder_of_their_own() -> None:
    assert Path.cwd() != Path(__file__).parents[1]
    assert (os.geteuid() == 0) == IS_ROOT
