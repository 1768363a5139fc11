"""After its second day no byte of a day's salt is in any file, and no raw address or user agent ever is."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from privacy_middleware.store.base import Store

from .conftest import query
from .databases import make_store
from .test_recorder import IDENTITY, Clock, count_days, make_app, make_recorder, script, visit, visitors, work, write_lock

ADDRESS, AGENT = "198.51.100.233", "Mozilla/5.0 (Canary; rv:1.2.3) QuiteUnusual/4.5"


def files() -> dict[str, bytes]:
    """Return the bytes of every file of the database, journals included.

    Another process reads them: to open and close the file in this one would drop SQLite's locks on it.
    """
    names = sorted(str(file) for file in Path().glob("privacy.db*"))
    return {name: subprocess.run(["cat", name], capture_output=True, check=True).stdout for name in names}


def where(secret: bytes) -> list[str]:
    """Return the files that hold any eight bytes in a row of a secret."""
    pieces = [secret[start : start + 8] for start in range(len(secret) - 7)]
    return [name for name, content in files().items() if any(piece in content for piece in pieces)]


def salt_of(day: int) -> bytes:
    return bytes(query("SELECT value FROM salt WHERE day = :day", day=day)[0]["value"])


@pytest.fixture
def other_connection() -> Iterator[Store]:
    """Another process on the same database, which keeps the journal from being removed."""
    store = make_store()
    store.open()
    yield store
    store.close()


@pytest.mark.sqlite
def test_a_salt_is_kept_for_two_days_and_then_destroyed_in_every_file() -> None:
    clock = Clock()
    recorder = make_recorder(clock=clock)
    visit(recorder)
    work(recorder)
    salt = salt_of(clock.today)
    assert where(salt) != []
    clock.move(days=1)
    work(recorder)
    assert where(salt) != []
    clock.move(days=1)
    work(recorder)
    assert where(salt) == []


@pytest.mark.sqlite
def test_each_of_many_salts_is_destroyed_on_its_day() -> None:
    clock = Clock()
    recorder = make_recorder(clock=clock)
    salts = []
    for _ in range(10):
        for number in range(50):
            visit(recorder, f"/{'x' * number}")
        work(recorder)
        salts.append(salt_of(clock.today))
        assert [bool(where(salt)) for salt in salts[-3:]] == [False, True, True][-len(salts) :]
        clock.move(days=1)
    assert len(set(salts)) == 10


def test_a_salt_is_destroyed_under_load() -> None:
    clock = Clock()
    recorder = make_recorder(clock=clock)
    for number in range(3000):
        visit(recorder, f"/{'x' * (number % 500)}")
    recorder.flush(10)
    salt = salt_of(clock.today)
    clock.move(days=2)
    for number in range(3000):
        visit(recorder, f"/{'y' * (number % 500)}")
    recorder.flush(10)
    work(recorder)
    assert where(salt) == []


@pytest.mark.sqlite
def test_a_salt_is_destroyed_while_other_processes_are_connected(other_connection: Store) -> None:
    clock = Clock()
    recorder = make_recorder(clock=clock)
    visit(recorder)
    work(recorder)
    salt = salt_of(clock.today)
    clock.move(days=2)
    work(recorder)
    assert "privacy.db-wal" in files()
    assert where(salt) == []


def test_a_reader_in_the_way_only_delays_the_destruction(other_connection: Store) -> None:
    clock = Clock()
    recorder = make_recorder(clock=clock)
    visit(recorder)
    work(recorder)
    salt = salt_of(clock.today)
    other_connection.connection.execute("BEGIN")
    other_connection.rows("SELECT * FROM salt")
    clock.move(days=2)
    work(recorder)
    other_connection.connection.execute("COMMIT")
    work(recorder)
    assert where(salt) == []


def test_a_writer_in_the_way_only_delays_the_destruction() -> None:
    clock = Clock()
    recorder = make_recorder(clock=clock)
    visit(recorder)
    work(recorder)
    salt = salt_of(clock.today)
    with write_lock():
        clock.move(days=2)
        assert not recorder.flush(0.5)
    assert recorder.flush(10)
    work(recorder)
    assert where(salt) == []


def test_a_salt_that_another_process_deleted_before_it_died_is_destroyed_too(other_connection: Store) -> None:
    clock = Clock()
    recorder = make_recorder(clock=clock)
    visit(recorder)
    work(recorder)
    salt = salt_of(clock.today)
    clock.move(days=2)
    other_connection.destroy_salts(before=clock.today - 1, after=clock.today + 1)  # and dies before it has emptied the journal
    work(recorder)
    assert query("SELECT day FROM salt") == [{"day": clock.today}]
    assert where(salt) == []


@pytest.mark.parametrize("last", ["assert recorder.flush()", "pass"])
def test_after_kill_9_and_a_restart_two_days_later_the_salt_is_in_no_file(last: str) -> None:
    code = f"""
        recorder = make_recorder(clock=Clock())
        work(recorder)
        for number in range(300):
            visit(recorder, "/" + "x" * number)
        {last}
        print(query("SELECT value FROM salt")[0]["value"].hex(), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    salt = bytes.fromhex(script(code, code_expected=-signal.SIGKILL))
    assert where(salt) != []
    clock = Clock()
    clock.move(days=2)
    recorder = make_recorder(clock=clock)
    work(recorder)
    assert where(salt) == []


@pytest.mark.sqlite
def test_while_nobody_restarts_the_app_the_purge_command_destroys_the_salts() -> None:
    from privacy_middleware.cli import main

    recorder = make_recorder(clock=Clock("2026-01-01T00:00:00+00:00"))
    visit(recorder)
    recorder.flush()
    salt = salt_of(recorder.clock.today)  # type: ignore[attr-defined]
    recorder.close()
    assert where(salt) != []
    assert main(["purge"]) == 0
    assert where(salt) == []


@pytest.mark.sqlite
def test_who_was_forgotten_is_in_no_file_after_the_second_day() -> None:
    clock = Clock()
    recorder = make_recorder(clock=clock)
    visit(recorder)
    recorder.flush()
    visitor = visitors()[0]
    recorder.forget(IDENTITY).result(5)
    pseudonym = visitor.to_bytes(8, "big", signed=True)
    assert where(pseudonym) != []
    clock.move(days=2)
    work(recorder)
    assert where(pseudonym) == []


@pytest.mark.sqlite
def test_purged_hits_are_in_no_file() -> None:
    clock = Clock()
    recorder = make_recorder(clock=clock, retention_days=1)
    visit(recorder, "/a-very-unusual-page")
    recorder.flush()
    pseudonym = visitors()[0].to_bytes(8, "big", signed=True)
    assert where(pseudonym) != []
    recorder.close()
    count_days()
    clock.move(days=3)
    recorder = make_recorder(clock=clock, retention_days=1)
    work(recorder, 5)
    assert query("SELECT * FROM hit") == []
    assert where(pseudonym) == []
    assert where(b"/a-very-unusual-page") == []


@pytest.mark.parametrize("kept", ["truncated", "none"])
def test_no_raw_address_or_user_agent_is_in_any_file(kept: str) -> None:
    recorder = make_recorder(address=kept)
    for number in range(200):
        visit(recorder, f"/{'x' * (number % 20)}", address=ADDRESS, agent=AGENT)
        visit(recorder, address="2001:db8:1234:5678:9abc:def0:1357:2468", agent=AGENT)
    work(recorder)
    for secret in (
        ADDRESS.encode(),
        bytes([198, 51, 100, 233]),
        AGENT.encode(),
        b"QuiteUnusual",
        b"1357:2468",
        bytes.fromhex("9abcdef013572468"),
    ):
        assert [name for name, content in files().items() if secret in content] == [], secret


@pytest.mark.sqlite
def test_no_raw_address_is_in_any_file_while_the_salt_is_not_at_hand() -> None:
    """Until the database answers, the queue holds what to hash; it must not reach a file in that form."""
    code = """
        Path("privacy.db").mkdir()
        app = make_app(secret_keys="k" * 32)
        for _ in range(20):
            visit(app.recorder, address="198.51.100.233", agent="QuiteUnusual")
        until(lambda: app.recorder._failures)
        Path("privacy.db").rmdir()
        assert app.recorder.flush(5)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    script(code, code_expected=-signal.SIGKILL)
    assert [name for name, content in files().items() if b"198.51.100.233" in content or b"QuiteUnusual" in content] == []
    assert query("SELECT COUNT(*) AS n FROM hit") == [{"n": 20}]


def test_the_salt_is_in_no_text_that_python_shows() -> None:
    recorder = make_recorder(clock=Clock())
    visit(recorder)
    recorder.flush()
    salt = salt_of(Clock().today)
    shown = repr(recorder.visitors.salt) + repr(vars(recorder)) + repr(vars(recorder.store)) + repr(make_app().recorder)
    assert repr(salt)[2:-1] not in shown
    assert salt.hex() not in shown
