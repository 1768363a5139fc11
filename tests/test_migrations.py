"""The schema: one process migrates and the others wait, a broken migration leaves nothing, a newer schema is refused readably."""

import signal
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from privacy_middleware.cli import main
from privacy_middleware.errors import SchemaTooNew, StoreError
from privacy_middleware.store.schema import migrations
from privacy_middleware.store.sqlite import SQLiteStore

from .conftest import query
from .test_recorder import get, make_app, needs_fork, script, stored, write_lock

MIGRATIONS = "SELECT number, checksum FROM migration ORDER BY number"
KNOWN = len(list((Path(__file__).parents[1] / "privacy_middleware" / "store" / "migrations" / "sqlite").glob("*.sql")))


@pytest.fixture
def store() -> Iterator[SQLiteStore]:
    store = SQLiteStore(Path("privacy.db"))
    yield store
    store.close()


def change(sql: str) -> None:
    connection = sqlite3.connect("privacy.db")
    with connection:
        connection.execute(sql)
    connection.close()


def schema() -> list[str]:
    return [row["sql"] for row in query("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")]


@pytest.fixture
def made(store: SQLiteStore) -> None:
    """A database of this version."""
    store.open()
    store.close()


@needs_fork
def test_four_processes_that_open_a_new_file_at_once_make_one_schema() -> None:
    code = """
        for round in range(15):
            path, start, children = Path(f"{round}.db"), time.monotonic() + 0.02, []
            for _ in range(4):
                child = os.fork()
                if child == 0:
                    while time.monotonic() < start:
                        pass
                    store = make_store(path)
                    store.open()
                    store.close()
                    os._exit(0)
                children.append(child)
            for child in children:
                assert os.waitpid(child, 0)[1] == 0, round
            print(query("SELECT COUNT(*) AS n FROM migration", path)[0]["n"])
    """
    assert script(code).split() == [str(KNOWN)] * 15


@needs_fork
def test_four_workers_that_start_on_a_new_file_record_without_a_complaint() -> None:
    code = """
        start, children = time.monotonic() + 0.5, []
        app = make_app(secret_keys="k" * 32)
        for _ in range(4):
            child = os.fork()
            if child == 0:
                while time.monotonic() < start:
                    pass
                get(app)
                sys.exit(0 if app.recorder.flush(5) and not app.recorder._complained else 1)
            children.append(child)
        for child in children:
            assert os.waitpid(child, 0)[1] == 0
    """
    script(code)
    assert stored() == 4
    assert len(query(MIGRATIONS)) == KNOWN


def test_a_migration_is_applied_once(store: SQLiteStore) -> None:
    store.open()
    before = query("SELECT * FROM migration")
    store.close()
    store.open()
    assert query("SELECT * FROM migration") == before
    assert len(before) == KNOWN


def test_whoever_comes_during_a_migration_waits(store: SQLiteStore) -> None:
    change("PRAGMA journal_mode = WAL")
    with ThreadPoolExecutor() as pool:
        with write_lock():
            opening = pool.submit(store.open)
            time.sleep(0.5)
            assert not opening.done()
        opening.result(5)
    assert len(query(MIGRATIONS)) == KNOWN


def test_a_migration_that_breaks_off_leaves_nothing_and_can_be_made_again(store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    from privacy_middleware.store import sqlite

    first, *others = sqlite.migrations("sqlite")
    with monkeypatch.context() as broken:
        broken.setattr(sqlite, "migrations", lambda _: [first._replace(script=first.script + "\nCREATE TABLE page (again);\n"), *others])
        with pytest.raises(StoreError, match="already exists"):
            store.open()
    assert schema() == []
    store.open()
    assert len(query(MIGRATIONS)) == KNOWN


@pytest.mark.parametrize("statement", ["CREATE TABLE page", "CREATE TABLE hit", "CREATE INDEX", "INSERT INTO migration", "COMMIT"])
def test_a_process_killed_in_the_middle_of_a_migration_leaves_nothing_half(statement: str, store: SQLiteStore) -> None:
    code = """
        from privacy_middleware.store.sqlite import migrate
        connection = sqlite3.connect("privacy.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        def kill(text):
            if sys.argv[1] in text:
                os.kill(os.getpid(), signal.SIGKILL)
        connection.set_trace_callback(kill)
        migrate(connection)
    """
    script(code, statement, code_expected=-signal.SIGKILL)
    assert schema() == []
    store.open()
    assert len(query(MIGRATIONS)) == KNOWN
    assert query("PRAGMA integrity_check") == [{"integrity_check": "ok"}]


def test_a_migration_on_a_disk_that_is_full_can_be_made_once_there_is_room() -> None:
    code = """
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, resource.RLIM_INFINITY))
        store = make_store()
        try:
            store.open()
        except StoreError as error:
            print(error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        store.open()
        store.close()
    """
    assert "privacy.db cannot be used" in script(code)
    assert len(query(MIGRATIONS)) == KNOWN
    assert list(Path().glob("*.damaged*")) == []


@pytest.mark.usefixtures("made")
def test_a_newer_schema_is_refused_readably(store: SQLiteStore) -> None:
    change("INSERT INTO migration VALUES (9999, 'of the future', 0)")
    with pytest.raises(SchemaTooNew, match="written by a newer privacy_middleware; install that version"):
        store.open()


@pytest.mark.usefixtures("made")
def test_with_a_newer_schema_the_host_is_served_and_the_log_says_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    change("INSERT INTO migration VALUES (9999, 'of the future', 0)")
    app = make_app()
    assert get(app) == b"served"
    assert not app.recorder.flush()
    assert get(app) == b"served"
    assert "newer" in caplog.text
    assert stored() == 0


@pytest.mark.usefixtures("made")
def test_a_newer_schema_is_left_as_it_is() -> None:
    change("INSERT INTO migration VALUES (9999, 'of the future', 0)")
    change("ALTER TABLE hit ADD COLUMN future TEXT")
    before = schema()
    app = make_app()
    get(app)
    app.recorder.flush()
    app.recorder.close()
    assert schema() == before
    assert list(Path().glob("*.damaged*")) == []


@pytest.mark.usefixtures("made")
def test_once_the_newer_schema_is_gone_recording_begins_without_a_restart() -> None:
    change("INSERT INTO migration VALUES (9999, 'of the future', 0)")
    app = make_app()
    get(app)
    assert not app.recorder.flush()
    change("DELETE FROM migration WHERE number = 9999")
    assert app.recorder.flush(5)
    assert stored() == 1


@pytest.mark.usefixtures("made")
def test_the_command_line_says_what_to_do_about_a_newer_schema(capsys: pytest.CaptureFixture[str]) -> None:
    change("INSERT INTO migration VALUES (9999, 'of the future', 0)")
    assert main(["status"]) == 1
    assert "newer privacy_middleware; install that version" in capsys.readouterr().err


@pytest.mark.usefixtures("made")
def test_a_migration_that_is_not_the_one_applied_is_refused(store: SQLiteStore) -> None:
    change("UPDATE migration SET checksum = 'another'")
    with pytest.raises(StoreError, match="migration 1 of the database is not the one of this package"):
        store.open()


@pytest.mark.usefixtures("made")
def test_with_a_wrong_checksum_the_host_is_served_and_the_file_kept() -> None:
    change("UPDATE migration SET checksum = 'another'")
    app = make_app()
    assert get(app) == b"served"
    assert not app.recorder.flush()
    assert list(Path().glob("*.damaged*")) == []


def test_a_database_of_somebody_else_is_refused_and_left_as_it_is() -> None:
    change("CREATE TABLE page (theirs)")
    app = make_app()
    assert get(app) == b"served"
    assert not app.recorder.flush()
    app.recorder.close()
    assert schema() == ["CREATE TABLE page (theirs)"]


def test_sign_ups_of_the_version_before_wait_for_an_invitation(store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    from privacy_middleware.rights import consents
    from privacy_middleware.store import sqlite

    with monkeypatch.context() as patch:
        patch.setattr(sqlite, "migrations", lambda kind: migrations(kind)[:5])
        store.open()
        store.close()
    change("INSERT INTO subject (id, lookup, master, sealed) VALUES (x'01', x'02', x'03', x'04')")
    for id_, purpose in (("05", "newsletter"), ("06", "answer")):
        change(
            "INSERT INTO submission (id, subject, form, purpose, day, expires, outcome, statement) "
            f"VALUES (x'{id_}', x'01', 'f', '{purpose}', 20000, 20100, 'accepted', x'07')"
        )
    store.open()
    assert consents.counts(store) == {"given": 0, "asked": 0, "withdrawn": 0, "uninvited": 1}
    [consent] = consents.of_subject(store, b"\x01")
    assert (consent.submission, consent.asked, consent.until) == (b"\x05", 20000 * 86_400_000, None)
