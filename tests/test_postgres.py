"""What holds of PostgreSQL alone: partitions, COPY, a server that goes away or is killed, PgBouncer, moving from SQLite and back."""

import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from privacy_middleware.cli import main
from privacy_middleware.collect.agent import Agent
from privacy_middleware.collect.hit import Hit
from privacy_middleware.collect.source import Source
from privacy_middleware.collect.visitor import identity_of
from privacy_middleware.errors import SchemaTooNew, SettingsError, StoreError
from privacy_middleware.privacy import Privacy
from privacy_middleware.record import submissions
from privacy_middleware.record.purge import finish_purge
from privacy_middleware.record.waiting_hits import WaitingHits
from privacy_middleware.statistics.bookkeeper import count_all
from privacy_middleware.store.base import Store
from privacy_middleware.store.postgres import PostgresStore
from privacy_middleware.store.sqlite import SQLiteStore
from privacy_middleware.store.transfer import UNDER_WAY, move, tables
from privacy_middleware.vault import Vault

from . import databases
from .conftest import HITS
from .databases import Cluster
from .test_recorder import Clock, make_recorder, until, visit
from .test_rollup import ALL
from .test_submissions import submission

DAY = 20_000
ANNA = "anna.canary@example.org"
SECRET = "secret-of-the-tests-" * 3


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    return databases.current.cluster


@pytest.fixture
def url(clean_environment: None) -> str:
    return databases.current.url()


@pytest.fixture
def store(url: str) -> Iterator[PostgresStore]:
    store = PostgresStore(url)
    store.open()
    yield store
    store.close()


def some_hits(amount: int, *, seed: int = 1, days: int = 3) -> list[Hit]:
    draw = random.Random(seed)
    return [
        Hit(
            day := DAY + draw.randrange(days), day * 86_400_000 + n * 1000, draw.choice([None, draw.getrandbits(62)]),
            draw.choice([None, b"\xc0\0\2\0"]), draw.randrange(3), f"/page/{draw.randrange(20)} æ %s ?", draw.choice(["", "example.org"]),
            draw.randrange(4), 200, Source("search", "Søg %"), draw.choice(["", "spring"]),
            Agent("Firefox", "Linux", "desktop", draw.choice(["", "", "crawler"])), "da", "DK", draw.getrandbits(36), 0, draw.randrange(9000),
        ) for n in range(amount)
    ]  # fmt: skip


def add(store: Store, hits: list[Hit]) -> None:
    with store.transaction():
        store.add_hits(hits)


def rows(store: Store) -> list[dict[str, Any]]:
    return sorted(store.rows(HITS), key=lambda row: int(row["id"]))


def without_numbers(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    numbers = {"id", "page", "source", "campaign", "agent", "language"}
    return [{name: value for name, value in row.items() if name not in numbers} for row in found]


def partitions(store: Store) -> list[str]:
    return [row["relname"] for row in store.rows("SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r' ORDER BY relname")]


# --- the same as SQLite ----------------------------------------------------------------------------------------------------


def test_hits_read_back_are_those_that_sqlite_gives(store: PostgresStore) -> None:
    with closing(SQLiteStore(Path("other.db"))) as other:
        other.open()
        for each in (store, other):
            add(each, some_hits(500))
        assert without_numbers(rows(store)) == without_numbers(rows(other))


def test_both_have_the_same_tables_and_columns(store: PostgresStore) -> None:
    with closing(SQLiteStore(Path("other.db"))) as other:
        other.open()
        assert {table: set(columns) for table, columns in store.columns().items()} == {
            table: set(columns) for table, columns in other.columns().items()
        }


def test_figures_are_those_that_sqlite_gives(store: PostgresStore) -> None:
    found = []
    with closing(SQLiteStore(Path("other.db"))) as other:
        other.open()
        for each in (store, other):
            add(each, some_hits(3000))
            count_all(each, ALL, now=(DAY + 9) * 86_400_000, retention_days=30)
            found.append(each.rows("SELECT * FROM rollup ORDER BY dimension, day, value"))
    assert found[0] == found[1]
    assert len(found[0]) > 300


def test_several_who_write_at_once_lose_nothing_and_find_the_same_words(url: str) -> None:
    def write(seed: int) -> None:
        with closing(PostgresStore(url)) as own:
            own.open()
            own.wait_at_most(60)
            hits = some_hits(2000, seed=seed)
            for start in range(0, 2000, 100):
                add(own, hits[start : start + 100])

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with closing(PostgresStore(url)) as own:
        own.open()
        assert own.value("SELECT COUNT(*) FROM hit") == 12_000
        assert len(rows(own)) == 12_000
        assert own.value("SELECT COUNT(*) FROM page") == own.value("SELECT COUNT(DISTINCT (site, path)) FROM page")


def test_a_transaction_that_has_failed_is_not_taken_for_done(store: PostgresStore) -> None:
    def half() -> None:
        with store.transaction():
            store.set_mark("half", 1)
            with suppress(StoreError):
                store.execute("INSERT INTO nowhere VALUES (1)")

    with pytest.raises(StoreError):
        half()
    assert store.mark("half") is None


def test_whoever_waits_for_too_long_is_told(store: PostgresStore, url: str) -> None:
    with closing(PostgresStore(url)) as other:
        other.open()
        other.wait_at_most(0.1)
        with store.transaction(), pytest.raises(StoreError, match="LockNotAvailable"), other.transaction():
            pass
        with other.transaction():
            other.set_mark("afterwards", 1)


# --- partitions ------------------------------------------------------------------------------------------------------------


def test_a_purge_drops_whole_days(store: PostgresStore) -> None:
    add(store, some_hits(300))
    assert partitions(store) == [f"hit_{DAY + n}" for n in range(3)]
    before = Counter(row["day"] for row in rows(store))
    assert sum(store.purge(before=DAY + 2)) == before[DAY] + before[DAY + 1]
    assert partitions(store) == [f"hit_{DAY + 2}"]
    assert len(rows(store)) == before[DAY + 2]


def test_while_somebody_reads_a_purge_deletes_row_by_row_and_nobody_waits_for_long(store: PostgresStore, url: str) -> None:
    add(store, some_hits(300))
    with closing(PostgresStore(url)) as reader:
        reader.open_to_read()
        with reader.snapshot():
            assert reader.value("SELECT COUNT(*) FROM hit") == 300
            assert sum(store.purge(before=DAY + 3)) == 300
            assert reader.value("SELECT COUNT(*) FROM hit") == 300
        assert reader.value("SELECT COUNT(*) FROM hit") == 0
    list(store.purge(before=DAY + 3))
    assert partitions(store) == []


def test_a_day_to_which_hits_came_since_it_was_counted_is_not_dropped(store: PostgresStore) -> None:
    add(store, some_hits(300, days=1))
    count_all(store, ALL, now=(DAY + 5) * 86_400_000, retention_days=30)
    add(store, some_hits(7, days=1))
    assert sum(store.purge(before=DAY + 1, only_counted=True)) == 300
    assert len(rows(store)) == 7


# --- what was deleted is gone ----------------------------------------------------------------------------------------------


def test_a_destroyed_key_is_in_no_file_of_a_table_any_more(store: PostgresStore, cluster: Cluster) -> None:
    with store.transaction():
        submissions.add(store, Vault([SECRET]), submission(ANNA))
        store.execute("INSERT INTO salt (day, value) VALUES (1, :value)", value=b"salt of the earth, canary")
    sealed = bytes(store.rows("SELECT sealed FROM subject")[0]["sealed"])
    with psycopg.connect(cluster.url(), autocommit=True) as root:
        root.execute("CHECKPOINT")
        assert _in_files(cluster, sealed)
        store.execute("DELETE FROM field")
        store.execute("DELETE FROM submission")
        store.execute("DELETE FROM subject")
        store.destroy_salts(before=2, after=9)
        until(store.checkpoint)
        root.execute("CHECKPOINT")
    assert not _in_files(cluster, sealed)
    assert not _in_files(cluster, b"salt of the earth")


def _in_files(cluster: Cluster, text: bytes) -> bool:
    return any(text in path.read_bytes() for path in (cluster.data / "base").rglob("*") if path.is_file())


def test_after_the_purge_nothing_tells_in_which_order_submissions_came(store: PostgresStore) -> None:
    now = int(time.time() * 1000)
    today = now // 86_400_000
    for _ in range(40):
        with store.transaction():
            submissions.add(store, Vault([SECRET]), submission("", day=today, expires=today + 30))
    finish_purge(store, (), now=now, zone=UTC)
    for table, key in (("submission", "id"), ("field", "submission"), ("subject", "id")):
        found = store.rows(f"SELECT {key} AS id, xmin FROM {table} ORDER BY ctid")
        assert len({row["xmin"] for row in found}) == 1, table
        assert len(found) >= 40
        assert [row["id"] for row in found] == sorted(row["id"] for row in found)


# --- a server that goes away -----------------------------------------------------------------------------------------------


@pytest.fixture
def own() -> Iterator[Cluster]:
    """A cluster that may be killed."""
    cluster = Cluster()
    yield cluster
    cluster.stop()


def away_and_back(own: Cluster, url: str) -> Any:
    recorder = make_recorder(retention_days=30)
    recorder.store = PostgresStore(url)
    recorder.waiting = WaitingHits(Path("privacy.waiting"))
    return recorder


def test_while_the_server_is_away_hits_wait_in_a_file_and_follow_each_once(own: Cluster) -> None:
    url = own.make("site")
    recorder = away_and_back(own, url)
    for n in range(50):
        visit(recorder, f"/before/{n}")
    assert recorder.flush()
    own.kill()
    for n in range(3000):
        visit(recorder, f"/meanwhile/{n}")
    until(lambda: not recorder.queue and not WaitingHits(Path("privacy.waiting")).is_empty())
    own.start()
    until(lambda: WaitingHits(Path("privacy.waiting")).is_empty(), seconds=30)
    visit(recorder, "/after")
    until(recorder.flush)
    recorder.close()
    with closing(PostgresStore(url)) as store:
        store.open()
        paths = Counter(row["path"] for row in rows(store))
    assert len(paths) == 3051
    assert set(paths.values()) == {1}


def test_what_waits_outlives_its_process(own: Cluster) -> None:
    url = own.make("site")
    recorder = away_and_back(own, url)
    visit(recorder)
    assert recorder.flush()
    own.kill()
    for _ in range(20):
        visit(recorder)
    recorder.close()
    own.start()
    another = away_and_back(own, url)
    another.start()
    until(lambda: WaitingHits(Path("privacy.waiting")).is_empty(), seconds=30)
    another.close()
    with closing(PostgresStore(url)) as store:
        store.open()
        assert len(rows(store)) == 21


def test_hits_that_waited_until_nobody_could_erase_them_are_dropped_and_counted(url: str) -> None:
    clock = Clock()
    file = WaitingHits(Path("privacy.waiting"))
    file.add([hit._replace(day=clock.today - 5) for hit in some_hits(7)], today=clock.today - 5)
    recorder = make_recorder(clock=clock)
    recorder.store = PostgresStore(url)
    recorder.waiting = file
    recorder.start()
    until(file.is_empty)
    assert recorder.flush()
    recorder.close()
    with closing(PostgresStore(url)) as store:
        store.open()
        assert rows(store) == []
        assert store.value("SELECT amount FROM counter WHERE name = 'dropped.waited_too_long'") == 7


def test_what_was_erased_meanwhile_does_not_follow(own: Cluster) -> None:
    url = own.make("site")
    recorder = away_and_back(own, url)
    visit(recorder)
    assert recorder.flush()
    own.kill()
    for _ in range(5):
        visit(recorder)
    until(lambda: not WaitingHits(Path("privacy.waiting")).is_empty())
    recorder.close()
    own.start()
    another = make_recorder()  # of another host, which has not got the file
    another.store = PostgresStore(url)
    assert another.forget(identity_of("192.0.2.250", _firefox(), b"example.org")).result(10) == 1
    another.close()
    recorder.start()
    until(lambda: WaitingHits(Path("privacy.waiting")).is_empty(), seconds=30)
    recorder.close()
    with closing(PostgresStore(url)) as store:
        store.open()
        assert rows(store) == []


def _firefox() -> bytes:
    from .conftest import FIREFOX

    return FIREFOX.encode()


class Cut:
    """Passes a connection on to the server, and cuts it when the client says COMMIT: before the server hears it, or before its answer."""

    def __init__(self, server: Path, folder: Path, *, heard: bool) -> None:
        self.server, self.folder, self.heard = server, folder, heard
        self.cuts = 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(folder / ".s.PGSQL.5432"))
        self.listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self.server / ".s.PGSQL.5432"))
                threading.Thread(target=self._pass, args=(client, server), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError), one, other:
            while data := one.recv(65536):
                if self.cuts and b"COMMIT\0" in data:
                    self.cuts -= 1
                    if self.heard:
                        other.sendall(data)
                        time.sleep(0.3)
                    one.shutdown(socket.SHUT_RDWR)
                    other.shutdown(socket.SHUT_RDWR)
                    return
                other.sendall(data)

    def close(self) -> None:
        self.listener.close()


@pytest.mark.parametrize("heard", [True, False])
def test_a_batch_whose_end_was_cut_off_comes_once(heard: bool, cluster: Cluster, url: str, tmp_path: Path) -> None:
    folder = Path(f"/tmp/cut-{os.getpid()}-{heard}")
    folder.mkdir()
    cut = Cut(cluster.folder, folder, heard=heard)
    name = url.partition("?")[0].rpartition("/")[2]
    try:
        recorder = away_and_back(cluster, f"postgresql://tests@/{name}?host={quote(str(folder), safe='')}")
        visit(recorder, "/first")
        assert recorder.flush()
        cut.cuts = 1
        for _ in range(10):
            visit(recorder, "/cut")
        until(lambda: not cut.cuts)
        until(recorder.flush, seconds=30)
        recorder.close()
    finally:
        cut.close()
        shutil.rmtree(folder)
    with closing(PostgresStore(url)) as store:
        store.open()
        assert Counter(row["path"] for row in rows(store)) == {"/first": 1, "/cut": 10}


# --- PgBouncer -------------------------------------------------------------------------------------------------------------


@contextmanager
def bouncer(cluster: Cluster) -> Iterator[str]:
    """Run PgBouncer in front of the cluster, with two connections for all, each lent for one transaction."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("PgBouncer is not installed: `apt-get install pgbouncer`")
    folder = Path(f"/tmp/bouncer-{os.getpid()}")
    folder.mkdir()
    (folder / "users").write_text('"tests" ""\n')
    (folder / "ini").write_text(
        f"[databases]\n* = host={cluster.folder} user=tests\n[pgbouncer]\npool_mode = transaction\nlisten_addr =\nlisten_port = 6432\n"
        f"unix_socket_dir = {folder}\nauth_type = any\nauth_file = {folder}/users\ndefault_pool_size = 2\nmax_client_conn = 100\n"
        "ignore_startup_parameters = extra_float_digits\n"
    )
    if cluster.user:
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, cluster.user)
    process = subprocess.Popen([program, "-q", str(folder / "ini")], user=cluster.user, cwd="/", stdout=subprocess.DEVNULL)
    try:
        until((folder / ".s.PGSQL.6432").exists)
        yield f"host={quote(str(folder), safe='')}&port=6432"
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder)


def test_through_pgbouncer_all_works_a_transaction_at_a_time(cluster: Cluster, url: str) -> None:
    name = url.partition("?")[0].rpartition("/")[2]
    with bouncer(cluster) as through:
        address = f"postgresql://tests@/{name}?{through}"
        stores = [PostgresStore(address) for _ in range(8)]
        for store in stores:
            store.open()
        for number, store in enumerate(stores):
            add(store, some_hits(200, seed=number))
            store.wait_at_most(7)
        recorder = away_and_back(cluster, address)
        visit(recorder)
        assert recorder.flush()
        recorder.close()
        count_all(stores[3], ALL, now=int(time.time() * 1000), retention_days=40_000)
        reader = PostgresStore(address)
        reader.open_to_read(patience=3)
        with reader.snapshot():
            assert reader.value("SELECT COUNT(*) FROM hit") == 1601
            assert reader.value("SELECT SUM(hits) FROM rollup WHERE dimension = 0") > 900
        assert stores[5].checkpoint()
        for store in (*stores, reader):
            store.close()


# --- moving ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def full() -> Iterator[SQLiteStore]:
    """A file with something in most tables."""
    store = SQLiteStore(Path("privacy.db"))
    store.open()
    add(store, some_hits(2500))
    count_all(store, ALL, now=(DAY + 60) * 86_400_000, retention_days=90)
    with store.transaction():
        for _ in range(20):
            submissions.add(store, Vault([SECRET]), submission(ANNA))
            submissions.add(store, Vault([SECRET]), submission(""))
        store.set_mark("purged", DAY)
        store.count({"dropped.queue_full": 3}, day=DAY)
    yield store
    store.close()


def contents(store: Store) -> dict[str, list[Any]]:
    found = {}
    for table in tables(store):
        columns = sorted(store.columns()[table])
        found[table] = sorted(store.tuples(f"SELECT {', '.join(columns)} FROM {table}"), key=repr)
    return found


def test_all_moves_to_postgresql_and_back_as_it_was(full: SQLiteStore, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["migrate", "--from", "sqlite:///privacy.db", "--to", url]) == 0
    assert "hit" in capsys.readouterr().out
    with closing(PostgresStore(url)) as store:
        store.open()
        assert contents(store) == contents(full)
        add(store, some_hits(10, seed=9))  # it goes on counting
        assert store.value("SELECT MAX(id) FROM hit") == 2510
        store.execute("DELETE FROM hit WHERE id > 2500")
        store.purge_words()
    assert main(["migrate", "--from", url, "--to", "sqlite:///back.db"]) == 0
    with closing(SQLiteStore(Path("back.db"))) as back:
        back.open()
        assert {**contents(back), "mark": 0} == {**contents(full), "mark": 0}


@pytest.mark.parametrize("broken_at", [500, 2000, 2510])
def test_a_move_that_is_broken_off_goes_on(
    broken_at: int, full: SQLiteStore, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("privacy_middleware.store.transfer.A_PORTION", 250)
    seen = 0

    def break_off(amount: int) -> None:
        nonlocal seen
        seen += amount
        if seen >= broken_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        move(full, store, progress=break_off)
    assert store.mark(UNDER_WAY) == 1
    told: list[int] = []
    compared = move(full, store, progress=told.append)
    assert told[0] == min(2500, broken_at - broken_at % 250)
    assert all(there == here for there, here in compared.values())
    assert contents(store) == contents(full)
    assert store.mark(UNDER_WAY) is None


def test_hits_erased_between_two_tries_do_not_stay(full: SQLiteStore, store: PostgresStore) -> None:
    def break_off(amount: int) -> None:
        if amount:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        move(full, store, progress=break_off)
    assert store.value("SELECT COUNT(*) FROM hit") == 2500
    full.execute("DELETE FROM hit WHERE id < 1000")
    move(full, store)
    assert contents(store) == contents(full)


def test_nothing_is_moved_to_where_something_is(
    full: SQLiteStore, store: PostgresStore, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    add(store, some_hits(1))
    assert main(["migrate", "--from", "sqlite:///privacy.db", "--to", url]) == 1
    assert "holds something already" in capsys.readouterr().err
    assert store.value("SELECT COUNT(*) FROM hit") == 1


def test_without_a_source_the_command_says_so(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["migrate", "--from", "sqlite:///nowhere.db", "--to", url]) == 1
    assert "nowhere.db" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["migrate", "--from", "mysql://me:secret@x/y", "--to", url])
    assert "secret" not in capsys.readouterr().err


# --- what is wrong is said -------------------------------------------------------------------------------------------------


def test_a_server_that_is_not_there_is_named_without_the_password() -> None:
    store = PostgresStore("postgresql://me:s3cret-canary@127.0.0.1:1/site")
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:1/site cannot be used") as caught:
        store.open()
    assert "canary" not in str(caught.value)


def test_an_empty_database_is_not_read(cluster: Cluster) -> None:
    name = f"empty_{os.getpid()}"
    with closing(PostgresStore(cluster.make(name))) as store, pytest.raises(StoreError, match="holds nothing of privacy_middleware"):
        store.open_to_read()
    cluster.drop(name)


def test_a_database_in_another_encoding_is_refused(cluster: Cluster) -> None:
    name = f"latin_{os.getpid()}"
    cluster.ask(f"CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0")
    with closing(PostgresStore(cluster.url(name))) as store, pytest.raises(StoreError, match="not encoded in UTF-8"):
        store.open()
    cluster.drop(name)


def test_the_database_of_a_newer_package_is_refused(store: PostgresStore, url: str) -> None:
    store.execute("INSERT INTO migration VALUES (99, 'x', 0)")
    with closing(PostgresStore(url)) as other, pytest.raises(SchemaTooNew):
        other.open()


def test_four_processes_that_open_an_empty_database_make_one_schema(cluster: Cluster) -> None:
    name = f"fresh_{os.getpid()}"
    url = cluster.make(name)
    code = f"from privacy_middleware.store.postgres import PostgresStore as S; s = S({url!r}); s.open(); print(len(s.columns())); s.close()"
    processes = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert len({process.communicate()[0] for process in processes}) == 1
    cluster.drop(name)


def test_without_secret_keys_or_driver_the_start_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="PRIVACY_SECRET_KEYS is empty"):
        Privacy.from_sources({"database_url": "postgresql://localhost/site"}, {})
    monkeypatch.setattr("privacy_middleware.privacy.find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=r"privacy-middleware\[postgres\]"):
        Privacy.from_sources({"database_url": "postgresql://localhost/site", "secret_keys": "x" * 32}, {})


def test_the_password_is_shown_nowhere(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("postgresql://me:canary@127.0.0.1:1/site", "postgresql://me@127.0.0.1:1/site?password=canary&sslmode=require"):
        monkeypatch.setenv("PRIVACY_DATABASE_URL", url)
        monkeypatch.setenv("PRIVACY_SECRET_KEYS", "k" * 40)
        assert main(["config"]) == 0
        main(["status"])
        privacy = Privacy.from_sources()
        said = capsys.readouterr()
        assert "canary" not in said.out + said.err + repr(privacy.settings) + repr(privacy.keys)
