"""The recorder under fire: queue, faults of the database file, forks, clocks, forgetting and purging. Real SQLite files, real faults."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import repeat
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from privacy_middleware import PrivacyMiddleware
from privacy_middleware.collect.hit import Exchange, Rules
from privacy_middleware.collect.visitor import day_of, identity_of
from privacy_middleware.errors import StoreError
from privacy_middleware.record import fork
from privacy_middleware.record import recorder as recorder_module
from privacy_middleware.record.purge import finish_purge
from privacy_middleware.record.recorder import BATCH, CAPACITY, Recorder
from privacy_middleware.statistics import bookkeeper
from privacy_middleware.statistics.rollup import Terms
from privacy_middleware.store import sqlite as sqlite_module
from privacy_middleware.store.base import Store

from .conftest import FIREFOX, hits, query
from .databases import change, is_whole, make_store, write_lock

ROOT = Path(__file__).parents[1]
ITEMS = frozenset("time visitor address page site status source campaign agent language bytes duration".split())
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")


class Clock:
    """A clock that the test moves."""

    def __init__(self, text: str = "2026-05-04T12:00:00+00:00") -> None:
        self.now = datetime.fromisoformat(text).timestamp()

    def __call__(self) -> float:
        return self.now

    def move(self, **delta: float) -> None:
        self.now += timedelta(**delta).total_seconds()

    @property
    def today(self) -> int:
        return day_of(int(self.now * 1000), UTC)


def make_recorder(path: str | Path = "privacy.db", *, retention_days: int = 30, zone: tzinfo = UTC, **more: Any) -> Recorder:
    rules = Rules(ITEMS, frozenset(), frozenset(), frozenset())
    return Recorder(make_store(path), rules=rules, zone=zone, retention_days=retention_days, **more)


def visit(
    recorder: Recorder,
    path: str = "/",
    *,
    ago: float = 0.0,
    address: str = "192.0.2.250",
    agent: str = FIREFOX,
    status: Any = 200,
    query_string: bytes = b"",
) -> None:
    """Queue one request, as the hot path does; `ago` seconds before the recorder's now."""
    now = recorder.clock() - ago
    visitor = recorder.visitors.meet(now, address, agent.encode(), b"example.org")
    recorder.put(
        Exchange(
            time=now, visitor=visitor, method="GET", path=path, template=None, query=query_string, host=b"example.org", referrer=b"",
            agent=agent.encode(), language=b"da", purpose=b"", request_type=b"", status=status, content_type=b"text/html",
            disposition=b"", content_range=b"", sent=5, completed=1, duration=0.001,
        )
    )  # fmt: skip


def make_app(**settings: Any) -> PrivacyMiddleware:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": b"served"})

    return PrivacyMiddleware(app, **settings)


def get(app: PrivacyMiddleware, path: str = "/") -> bytes:
    """Drive the app as a server does; returns the body."""
    scope = {
        "type": "http", "method": "GET", "path": path, "query_string": b"", "root_path": "", "client": ("192.0.2.250", 1),
        "headers": [(b"host", b"example.org"), (b"user-agent", FIREFOX.encode())],
    }  # fmt: skip
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return b"".join(message.get("body", b"") for message in sent)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks and repeated failures take tenths of a second instead of seconds."""
    monkeypatch.setattr(sqlite_module, "BUSY_SECONDS", 0.1)
    monkeypatch.setattr(recorder_module, "LONGEST_RETRY", 0.3)


def until(condition: Callable[[], Any], seconds: float = 30.0) -> None:
    """Wait for something that happens by itself."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def stored(path: str | Path = "privacy.db") -> int:
    return int(query("SELECT COUNT(*) AS n FROM hit", path)[0]["n"])


def counted(name: str) -> int:
    return int(query("SELECT COALESCE(SUM(amount), 0) AS n FROM counter WHERE name = :name", name=name)[0]["n"])


def paths(path: str | Path = "privacy.db") -> list[str]:
    return [hit["path"] for hit in hits(path)]


def visitors(path: str | Path = "privacy.db") -> list[int]:
    return [hit["visitor"] for hit in hits(path)]


def set_aside() -> list[Path]:
    return sorted(path for path in Path().glob("privacy.db.damaged-*") if not path.name.endswith(("-wal", "-shm")))


def script(
    code: str, *arguments: object, cwd: Path | str | None = None, code_expected: int = 0, timeout: float = 60, **options: Any
) -> str:
    """Run Python in a process of its own, with this module's helpers at hand; returns what it printed."""
    head = "import os, resource, signal, sys, time\nfrom pathlib import Path\nfrom tests.test_recorder import *\n"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", head + textwrap.dedent(code), *map(str, arguments)]
    process = subprocess.run(command, check=False, cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout, **options)
    assert process.returncode == code_expected, process.stdout + process.stderr
    return process.stdout


def let_permissions_bind() -> None:
    """Give up root's right to read and write everything (capset(2)); of no effect for others, whom permissions bind anyway."""
    if IS_ROOT:
        import ctypes

        header, no_capabilities = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
        assert ctypes.CDLL(None).capset(header, no_capabilities) == 0


def work(recorder: Recorder, turns: int = 4) -> None:
    """Have the recorder do all that is due: a purge and what follows it take several turns."""
    for _ in range(turns):
        begin(recorder)


def begin(recorder: Recorder) -> Recorder:
    """Have the recorder's thread do a turn, also if there is nothing to write."""
    recorder.submit(lambda _: None).result(5)
    return recorder


# --- the queue -------------------------------------------------------------------------------------------------------------


def test_what_is_queued_is_stored_in_order() -> None:
    recorder = make_recorder()
    for number in range(100):
        visit(recorder, f"/page/{'x' * (number % 7)}")
    assert recorder.flush()
    assert paths() == [f"/page/{'x' * (number % 7)}" for number in range(100)]


def test_what_is_queued_is_stored_within_a_second_by_itself() -> None:
    recorder = begin(make_recorder())
    visit(recorder)
    until(stored, 1.0)


def test_of_a_burst_beyond_the_queue_every_visit_is_stored_or_counted(impatient: None) -> None:
    recorder = make_recorder()
    visit(recorder)
    assert recorder.flush()
    with write_lock():
        for _ in range(50_000):
            visit(recorder)
            assert len(recorder.queue) <= CAPACITY
    assert recorder.flush(30)
    assert stored() + counted("dropped.queue_full") == 50_001
    assert stored() >= CAPACITY


def test_a_full_queue_is_said_once(caplog: pytest.LogCaptureFixture, impatient: None) -> None:
    recorder = begin(make_recorder())
    with write_lock():
        for _ in range(CAPACITY + 2 * BATCH):
            visit(recorder)
    recorder.flush(30)
    assert len([record for record in caplog.records if "queue_full" in record.getMessage()]) == 1


def test_nothing_waits_while_another_process_holds_the_lock() -> None:
    recorder = begin(make_recorder())
    with write_lock():
        began = time.perf_counter()
        for _ in range(1000):
            visit(recorder)
        took = time.perf_counter() - began
        time.sleep(1)
        assert stored() == 0
    assert took < 0.5
    assert recorder.flush(10)
    assert stored() == 1000


def test_what_waited_for_a_lock_lands_by_itself(impatient: None) -> None:
    recorder = begin(make_recorder())
    with write_lock():
        visit(recorder)
        until(lambda: recorder._failures > 2)
    until(lambda: stored() == 1)


def test_waiting_for_a_locked_database_ends_in_time() -> None:
    recorder = begin(make_recorder())
    with write_lock():
        visit(recorder)
        began = time.monotonic()
        assert not recorder.flush(0.5)
        assert time.monotonic() - began < 1
    assert recorder.flush(10)
    assert stored() == 1


@pytest.mark.parametrize("status", ["two", None, 2**70, object(), 2j])
def test_a_poison_exchange_does_not_stop_the_others(status: Any) -> None:
    recorder = make_recorder()
    visit(recorder, "/before")
    visit(recorder, "/poison", status=status)
    visit(recorder, "/after")
    assert recorder.flush()
    assert paths() == ["/before", "/after"]
    assert sum(row["amount"] for row in query("SELECT amount FROM counter WHERE name LIKE 'dropped.fault.%'")) == 1


@pytest.mark.parametrize("path", ["/\ud800", "/\x00", "/" + "x" * 100_000, "/'; DROP TABLE hit; --"])
def test_a_hostile_path_does_not_stop_the_others(path: str) -> None:
    recorder = make_recorder()
    for each in ("/before", path, "/after"):
        visit(recorder, each)
    assert recorder.flush()
    assert [paths()[0], paths()[-1]] == ["/before", "/after"]


def test_the_log_of_a_fault_holds_no_captured_value(caplog: pytest.LogCaptureFixture) -> None:
    recorder = make_recorder()
    visit(recorder, "/canary", status="canary")
    visit(recorder, "/canary", status=2**70)
    recorder.flush()
    assert "canary" not in caplog.text


@pytest.mark.parametrize(("visits", "length"), [(60_000, 10), (1_000, 50_000)])
def test_memory_does_not_grow_with_the_requests_that_came(visits: int, length: int) -> None:
    code = """
        recorder = make_recorder()
        def come(first, number):
            for one in range(first, first + number):
                visit(recorder, query_string=b"clicked=%d" % one + b"x" * int(sys.argv[2]))
                if one % 5000 == 0:
                    assert recorder.flush(30)
            assert recorder.flush(30)
        come(0, 1000)
        before = int(Path("/proc/self/statm").read_text().split()[1])
        come(1000, int(sys.argv[1]))
        print((int(Path("/proc/self/statm").read_text().split()[1]) - before) * 4096 // 1_000_000)
    """
    if not Path("/proc/self/statm").exists():
        pytest.skip("no /proc")
    assert int(script(code, visits, length)) < 16


def test_a_command_that_fails_tells_its_caller_and_nobody_else() -> None:
    recorder = make_recorder()
    visit(recorder)
    with pytest.raises(StoreError):
        recorder.submit(lambda store: store.rows("SELECT * FROM nowhere")).result(5)
    visit(recorder)
    assert recorder.flush()
    assert stored() == 2


def test_a_command_that_nobody_waits_for_any_more_does_not_end_the_recorder() -> None:
    recorder = begin(make_recorder())
    recorder.submit(lambda _: time.sleep(0.3))
    recorder.submit(lambda _: None).cancel()
    visit(recorder)
    assert recorder.flush()
    assert stored() == 1


def test_after_closing_the_next_visit_begins_anew() -> None:
    recorder = make_recorder()
    visit(recorder)
    recorder.close()
    assert stored() == 1
    visit(recorder)
    recorder.close()
    assert stored() == 2


def test_closing_while_visits_come_loses_none() -> None:
    recorder = make_recorder()

    def come() -> None:
        for _ in range(1000):
            visit(recorder)
            time.sleep(0.0002)

    visitor = threading.Thread(target=come)
    visitor.start()
    while visitor.is_alive():
        recorder.close()
    assert recorder.flush(10)
    assert query("SELECT * FROM counter") == []
    assert stored() == 1000


def test_closing_in_vain_does_not_end_the_recording_for_good() -> None:
    recorder = begin(make_recorder())
    recorder.submit(lambda _: time.sleep(0.5))
    recorder.close(timeout=0.1)
    time.sleep(1)
    visit(recorder)
    assert recorder.flush(5)
    assert stored() == 1


def test_a_secret_that_cannot_be_made_does_not_stop_the_recording() -> None:
    Path("privacy.secret").symlink_to("nowhere")
    app = make_app()
    assert get(app) == b"served"
    assert app.recorder.flush()
    assert stored() == 1


def test_two_wrapped_apps_in_one_process_lose_nothing_when_another_process_ends() -> None:
    code = """
        one, two = make_recorder(), make_recorder()
        for recorder in (one, two):
            visit(recorder); assert recorder.flush()
        script("print(stored())")  # opens the database, and closes it
        for recorder in (one, two):
            visit(recorder); assert recorder.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    """
    script(code, code_expected=-signal.SIGKILL)
    assert stored() == 4


def test_without_threads_the_host_is_served_and_recording_begins_later() -> None:
    code = """
        import threading
        app = make_app()
        threading.stack_size(1 << 30)
        size = int(Path("/proc/self/statm").read_text().split()[0]) * 4096
        resource.setrlimit(resource.RLIMIT_AS, (size + (256 << 20), resource.RLIM_INFINITY))
        assert get(app) == b"served"
        assert app.recorder._thread is None
        threading.stack_size(0)
        assert get(app) == b"served"
        assert app.recorder.flush(5)
        print(stored())
    """
    if not Path("/proc/self/statm").exists():
        pytest.skip("no /proc")
    assert script(code) == "2\n"


@pytest.mark.sqlite
def test_without_file_descriptors_the_host_is_served_and_recording_begins_later() -> None:
    code = """
        app = make_app()
        get(app); assert app.recorder.flush()
        app.recorder.close()
        loop = asyncio.new_event_loop()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
        taken = []
        try:
            while True:
                taken.append(open(os.devnull))
        except OSError:
            pass
        for number in range(3):
            visit(app.recorder)
            assert not app.recorder.flush(1)
        for file in taken:
            file.close()
        assert app.recorder.flush(5)
        assert get(app) == b"served" and app.recorder.flush(5)
        print(stored())
    """
    assert script(code) == "5\n"


# --- the file cannot be used -----------------------------------------------------------------------------------------------


@pytest.mark.sqlite
def test_a_directory_in_the_place_of_the_file_is_survived_and_left_alone(impatient: None) -> None:
    Path("privacy.db").mkdir()
    app = make_app()
    assert get(app, "/early") == b"served"
    assert not app.recorder.flush()
    Path("privacy.db").rmdir()
    assert get(app, "/late") == b"served"
    assert app.recorder.flush(5)
    assert paths() == ["/early", "/late"]


def test_a_path_below_a_file_is_survived(impatient: None) -> None:
    Path("file").write_text("not a folder")
    app = make_app(database_url="sqlite:///file/privacy.db")
    assert get(app) == b"served"
    assert not app.recorder.flush()
    Path("file").unlink()
    Path("file").mkdir()
    assert app.recorder.flush(5)
    assert stored("file/privacy.db") == 1


def test_a_missing_folder_is_said_once_with_the_way_out(caplog: pytest.LogCaptureFixture, impatient: None) -> None:
    app = make_app(database_url="sqlite:///nowhere/privacy.db", secret_keys="k" * 32)
    get(app)
    until(lambda: app.recorder._failures > 3)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1
    assert "nowhere: make it" in said[0]


@pytest.mark.sqlite
def test_a_read_only_folder_is_survived_and_recording_begins_once_it_is_mended() -> None:
    code = """
        let_permissions_bind()
        Path().chmod(0o555)
        app = make_app()
        assert get(app) == b"served"
        assert not app.recorder.flush()
        assert list(Path().iterdir()) == []
        Path().chmod(0o755)
        assert app.recorder.flush(5)
        print(stored())
    """
    assert script(code) == "1\n"


@pytest.mark.skipif(not IS_ROOT, reason="only root can make a file another user's")
@pytest.mark.sqlite
def test_a_file_of_another_user_is_survived_and_recording_begins_once_it_is_mended() -> None:
    code = """
        app = make_app()
        get(app); assert app.recorder.flush()
        app.recorder.close()
        os.chown("privacy.db", 65534, 65534)
        Path("privacy.db").chmod(0o444)
        if os.fork() == 0:  # somebody who mends it when asked
            until(Path("mend").exists, 20)
            for file in Path().glob("privacy.db*"):
                os.chown(file, os.getuid(), os.getgid()); file.chmod(0o600)
            Path("mended").touch()
            os._exit(0)
        let_permissions_bind()
        assert get(app) == b"served"
        assert not app.recorder.flush()
        Path("mend").touch()
        until(Path("mended").exists)
        assert app.recorder.flush(5)
        print(stored())
    """
    assert script(code) == "2\n"


@pytest.mark.sqlite
def test_the_file_is_readable_by_its_owner_only() -> None:
    recorder = make_recorder()
    visit(recorder)
    recorder.flush()
    assert {file.name: file.stat().st_mode & 0o777 for file in Path().glob("privacy.db*")} == dict.fromkeys(
        ["privacy.db", "privacy.db-wal", "privacy.db-shm"], 0o600
    )


# --- the file is damaged ---------------------------------------------------------------------------------------------------


def garbage(content: bytes) -> bytes:
    return bytes(byte ^ 0x5A for byte in content)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "header": lambda content: garbage(content[:100]) + content[100:],
    "first page": lambda content: content[:100] + garbage(content[100:4096]) + content[4096:],
    "pages": lambda content: content[:4096] + garbage(content[4096:]),
    "all": garbage,
    "a text": lambda content: b"Not a database.\n" * 1000,
    "half": lambda content: content[: len(content) // 2],
    "a page and a bit": lambda content: content[:5000],
    "half a page": lambda content: content[:2000],
    "half a header": lambda content: content[:50],
}


@pytest.mark.parametrize("name", DAMAGE)
@pytest.mark.sqlite
def test_a_damaged_file_is_kept_aside_and_a_new_one_begun(name: str) -> None:
    app = make_app()
    for number in range(50):
        visit(app.recorder, f"/old/{'x' * number}")
    app.recorder.close()
    damaged = DAMAGE[name](Path("privacy.db").read_bytes())
    Path("privacy.db").write_bytes(damaged)
    for _ in range(3):
        assert get(app, "/new") == b"served"
    app.recorder.flush()
    assert app.recorder.flush()  # the damage may be found only while writing
    app.recorder.close()
    (aside,) = set_aside()
    assert len(aside.read_bytes()) >= len(damaged) or aside.read_bytes()[: len(damaged)] == damaged
    assert paths() == ["/new"] * 3
    assert is_whole()


@pytest.mark.sqlite
def test_an_empty_file_is_a_new_database() -> None:
    Path("privacy.db").touch()
    recorder = make_recorder()
    visit(recorder)
    assert recorder.flush()
    assert stored() == 1
    assert set_aside() == []


@pytest.mark.sqlite
def test_a_damaged_index_is_damage(impatient: None) -> None:
    clock = Clock()
    recorder = make_recorder(clock=clock, retention_days=1)
    visit(recorder, "/old")
    recorder.close()
    count_days()
    # The index of pages becomes an empty one; SQLite finds that (SQLITE_CORRUPT_INDEX) when the purge deletes a page.
    connection = sqlite3.connect("privacy.db")
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("CREATE TABLE empty (site, path, UNIQUE (site, path))")
    connection.execute(
        "UPDATE sqlite_master SET rootpage = (SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_empty_1') "
        "WHERE name = 'sqlite_autoindex_page_1'"
    )
    connection.commit()
    connection.close()
    clock.move(days=3)
    recorder = make_recorder(clock=clock, retention_days=1)
    recorder.start()
    until(set_aside)
    visit(recorder, "/new")
    assert recorder.flush()
    assert paths() == ["/new"]
    assert len(set_aside()) == 1


@pytest.mark.sqlite
def test_of_several_workers_that_find_the_damage_only_one_moves_the_file() -> None:
    stores = [make_store() for _ in range(2)]
    for store in stores:
        store.open()
    for store in stores:
        store.close()
    Path("privacy.db").write_bytes(b"damaged" * 1000)
    # Both have found the damage; the first is done before the second moves the file.
    stores[0].set_aside()
    stores[0].open()
    stores[0].set_mark("new", 1)
    stores[1].set_aside()
    stores[1].open()
    try:
        assert stores[1].mark("new") == 1
        assert [file.read_bytes()[:7] for file in set_aside()] == [b"damaged"]
    finally:
        for store in stores:
            store.close()


@pytest.mark.sqlite
def test_workers_that_find_the_same_damage_at_once_end_up_in_one_file() -> None:
    make_and_close(Path("privacy.db"))
    Path("privacy.db").write_bytes(b"damaged" * 10_000)
    code = """
        recorder = make_recorder()
        time.sleep(max(0, float(sys.argv[1]) - time.time()))
        for _ in range(20):
            visit(recorder); recorder.flush(5); time.sleep(0.05)
        print(counted("dropped.fault.OperationalError"))
    """
    at_once(code, 4)
    assert stored() == 80
    assert [file.read_bytes()[:7] for file in set_aside()] == [b"damaged"]


def make_and_close(path: Path) -> None:
    store = make_store(path)
    store.open()
    store.close()


def at_once(code: str, processes: int) -> list[str]:
    """Run a script several times at the same moment, which it is told as its argument; returns what each printed."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(processes) as pool:
        return list(pool.map(lambda _: script(code, start), range(processes))) if (start := time.time() + 2) else []


@pytest.mark.sqlite
def test_a_damaged_file_that_cannot_be_moved_is_left_and_recording_begins_once_it_can() -> None:
    code = """
        let_permissions_bind()
        Path("privacy.db").write_bytes(b"damaged" * 1000)
        Path("privacy.secret").write_text("k" * 40)
        Path().chmod(0o555)
        app = make_app()
        for _ in range(2):
            assert get(app) == b"served"
            assert not app.recorder.flush()
        assert Path("privacy.db").read_bytes()[:7] == b"damaged"
        Path().chmod(0o755)
        assert app.recorder.flush(5)
        print(stored())
    """
    assert script(code) == "2\n"


@pytest.mark.sqlite
def test_a_damaged_file_that_cannot_be_moved_is_said_once() -> None:
    code = """
        import logging
        let_permissions_bind()
        logging.basicConfig(stream=sys.stdout)
        recorder_module.LONGEST_RETRY = 0.1
        Path("privacy.db").write_bytes(b"damaged" * 1000)
        Path().chmod(0o555)
        recorder = make_recorder()
        visit(recorder)
        until(lambda: recorder._failures > 5)
        Path().chmod(0o755)
    """
    assert script(code).count("cannot be moved") == 1


@pytest.mark.sqlite
def test_a_deleted_file_is_noticed_and_begun_anew(caplog: pytest.LogCaptureFixture) -> None:
    recorder = make_recorder()
    visit(recorder, "/old")
    recorder.flush()
    for file in Path().glob("privacy.db*"):
        file.unlink()
    visit(recorder, "/new")
    assert recorder.flush()
    assert paths() == ["/new"]
    assert "deleted or replaced" in caplog.text


@pytest.mark.sqlite
def test_a_deleted_file_whose_journal_is_left_is_begun_anew() -> None:
    recorder = make_recorder()
    visit(recorder, "/old")
    recorder.flush()
    Path("privacy.db").unlink()
    visit(recorder, "/new")
    assert recorder.flush()
    assert paths() == ["/new"]
    assert set_aside() == []


@pytest.mark.sqlite
def test_a_replaced_file_is_noticed_and_written_to() -> None:
    other = make_recorder("other.db")
    visit(other, "/other")
    other.close()
    recorder = make_recorder()
    visit(recorder, "/old")
    recorder.flush()
    Path("other.db").rename("privacy.db")
    visit(recorder, "/new")
    assert recorder.flush()
    assert paths() == ["/other", "/new"]


def test_a_file_deleted_under_several_workers_is_begun_anew_by_all() -> None:
    code = """
        recorder = make_recorder()
        time.sleep(max(0, float(sys.argv[1]) - time.time()))
        while time.time() < float(sys.argv[1]) + 1.5:
            visit(recorder, "/old"); time.sleep(0.01)
        while time.time() < float(sys.argv[1]) + 3:
            time.sleep(0.01)
        for _ in range(30):
            visit(recorder, "/new"); time.sleep(0.01)
        assert recorder.flush(5)
    """
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(3) as pool:
        start = time.time() + 2
        workers = [pool.submit(script, code, start) for _ in range(3)]
        time.sleep(3)
        for file in Path().glob("privacy.db*"):
            file.unlink()
        for worker in workers:
            worker.result()
    assert paths().count("/new") == 90
    assert is_whole()


# --- a full disk -----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not IS_ROOT, reason="only root can mount")
def test_on_a_full_disk_the_host_is_served_and_recording_resumes(tmp_path: Path, impatient: None) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        app = make_app(database_url=f"sqlite:///{disk}/privacy.db")
        get(app)
        assert app.recorder.flush()
        with (disk / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space"):
            filler.writelines(repeat(bytes(4096)))
        for number in range(500):
            assert get(app, f"/{'x' * number}") == b"served"
        until(lambda: app.recorder._failures)
        (disk / "filler").unlink()
        assert app.recorder.flush(10)
        app.recorder.close()
        assert stored(disk / "privacy.db") == 501
        assert query("PRAGMA integrity_check", disk / "privacy.db") == [{"integrity_check": "ok"}]
        assert list(disk.glob("*.damaged*")) == []
    finally:
        for one in list(fork._known):
            one.close()
        subprocess.run(["umount", disk], check=True)


def test_wherever_writing_begins_to_fail_the_host_is_served_and_recording_resumes() -> None:
    """Files may grow to a limit, which moves from nothing to what a first start writes, one page at a time."""
    code = """
        sqlite_module.BUSY_SECONDS = 0.1
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        failed = 0
        for limit in [*range(0, 160_000, 4096), *range(100, 20_000, 4099)]:
            name = f"{limit}.db"
            app = make_app(database_url=f"sqlite:///{name}", secret_keys="k" * 32)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            for number in range(100):
                assert get(app, f"/{'x' * number}") == b"served"
            failed += not app.recorder.flush(5)
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            assert app.recorder.flush(10), limit
            app.recorder.close()
            assert stored(name) == 100, (limit, stored(name))
            assert query("PRAGMA integrity_check", name) == [{"integrity_check": "ok"}], limit
        assert not list(Path().glob("*.damaged*"))
        print(failed > 30)
    """
    assert script(code) == "True\n"


# --- forks -----------------------------------------------------------------------------------------------------------------


@needs_fork
def test_a_forked_child_writes_its_own_and_nothing_is_written_twice() -> None:
    code = """
        recorder = make_recorder()
        for _ in range(100):
            visit(recorder, "/parent")
        child = os.fork()
        for _ in range(50):
            visit(recorder, "/child" if child == 0 else "/parent")
        assert recorder.flush(10)
        recorder.close()
        if child:
            assert os.waitpid(child, 0)[1] == 0
    """
    script(code)
    assert sorted(paths()) == ["/child"] * 50 + ["/parent"] * 150


@needs_fork
def test_children_forked_before_the_first_visit_record_each() -> None:
    code = """
        app = make_app()
        children = []
        for _ in range(4):
            child = os.fork()
            if child == 0:
                for _ in range(50):
                    get(app)
                sys.exit(0)
            children.append(child)
        for child in children:
            assert os.waitpid(child, 0)[1] == 0
    """
    script(code)
    assert stored() == 200
    assert len(set(visitors())) == 1


@needs_fork
def test_a_child_forked_in_the_middle_of_a_transaction_can_write() -> None:
    code = """
        import threading
        recorder = make_recorder()
        visit(recorder, "/parent"); assert recorder.flush()
        begun, done = threading.Event(), threading.Event()
        def hold(store):
            with store.transaction():
                begun.set(); time.sleep(0.1)
        recorder.submit(hold); begun.wait()
        child = os.fork()
        visit(recorder, "/parent" if child else "/child")
        if child == 0:
            time.sleep(1)
        print(recorder.flush(10), flush=True)
        recorder.close()
        if child:
            os.waitpid(child, 0)
    """
    assert script(code) == "True\nTrue\n"
    assert sorted(paths()) == ["/child", "/parent", "/parent"]


@needs_fork
def test_a_child_forked_while_the_database_is_locked_for_long_serves_and_counts() -> None:
    code = """
        import threading
        app = make_app()
        get(app); assert app.recorder.flush()
        begun = threading.Event()
        app.recorder.submit(lambda store: begun.set() or time.sleep(3)); begun.wait()
        began = time.monotonic()
        child = os.fork()
        assert time.monotonic() - began < 2
        assert get(app) == b"served"
        if child == 0:
            print(app.recorder._counts["dropped.fork"], flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        assert app.recorder.flush(5)
    """
    assert script(code) == "1\n"
    assert stored() == 2


@needs_fork
def test_a_child_that_outlives_its_parent_loses_nothing_when_another_process_ends() -> None:
    code = """
        recorder = make_recorder()
        visit(recorder); assert recorder.flush()
        child = os.fork()
        if child == 0:
            visit(recorder); assert recorder.flush()
            time.sleep(1)  # the parent has closed the database
            script("print(stored())")
            visit(recorder); assert recorder.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.5)
        recorder.close()
        os.waitpid(child, 0)
    """
    script(code)
    assert stored() == 3


@needs_fork
def test_forking_over_and_over_under_load_hangs_nobody() -> None:
    code = """
        recorder = make_recorder()
        for round in range(40):
            for _ in range(200):
                visit(recorder, "/parent")
            child = os.fork()
            if child == 0:
                visit(recorder, "/child")
                ok = recorder.flush(8)
                os._exit(0 if ok else 1)
            assert os.waitpid(child, 0)[1] == 0, round
        assert recorder.flush(10)
    """
    script(code)
    assert (paths().count("/child"), paths().count("/parent")) == (40, 8000)


# --- salts and clocks ------------------------------------------------------------------------------------------------------


def test_several_processes_share_one_salt() -> None:
    code = """
        recorder = make_recorder()
        time.sleep(max(0, float(sys.argv[1]) - time.time()))
        visit(recorder); assert recorder.flush(5)
    """
    at_once(code, 3)
    assert len(visitors()) == 3
    assert len(set(visitors())) == 1


def test_at_midnight_everybody_gets_another_pseudonym() -> None:
    clock = Clock("2026-05-04T23:59:59+00:00")
    recorder = make_recorder(clock=clock)
    visit(recorder)
    recorder.flush()
    clock.move(seconds=2)
    visit(recorder)
    recorder.flush()
    before, after = hits()
    assert before["visitor"] != after["visitor"]
    assert (before["day"], after["day"]) == (clock.today - 1, clock.today)


def test_midnight_is_the_owners() -> None:
    clock = Clock("2026-05-04T23:59:59+02:00")
    recorder = make_recorder(clock=clock, zone=ZoneInfo("Europe/Copenhagen"))
    visit(recorder)
    recorder.flush()
    clock.move(seconds=2)
    visit(recorder)
    recorder.flush()
    assert len(set(visitors())) == 2
    assert [hit["day"] for hit in hits()] == [clock.today, clock.today + 1]


def test_a_visit_from_before_midnight_that_is_written_after_it_keeps_its_day() -> None:
    clock = Clock("2026-05-04T23:59:59+00:00")
    recorder = make_recorder(clock=clock)
    visit(recorder)
    recorder.flush()
    clock.move(seconds=2)
    recorder.flush()
    visit(recorder, ago=2)
    assert recorder.flush()
    assert len(set(visitors())) == 1
    assert [hit["day"] for hit in hits()] == [clock.today - 1] * 2


def test_a_worker_begun_after_midnight_stores_a_visit_that_began_before_it() -> None:
    clock = Clock("2026-05-04T23:59:59+00:00")
    first = make_recorder(clock=clock)
    visit(first)
    first.close()
    clock.move(seconds=2)
    second = make_recorder(clock=clock)
    visit(second, ago=2)
    second.flush()
    assert len(set(visitors())) == 1
    assert stored() == 2


def test_a_visit_in_the_first_moment_of_a_day_is_stored() -> None:
    clock = Clock("2026-05-04T23:59:59.999+00:00")
    recorder = begin(make_recorder(clock=clock))
    visit(recorder, ago=-0.002)  # the recorder looked at the clock just before
    recorder.flush()
    clock.move(seconds=1)
    recorder.flush()
    assert [hit["day"] for hit in hits()] == [clock.today]


def test_with_the_clock_back_an_hour_the_pseudonyms_stay() -> None:
    clock = Clock("2026-05-05T00:30:00+00:00")
    earlier = make_recorder(clock=Clock("2026-05-04T22:00:00+00:00"))
    visit(earlier)
    earlier.close()
    recorder = make_recorder(clock=clock)
    for hours in (0, -1, 1):  # 00:30, back at 23:30, 00:30 again
        clock.move(hours=hours)
        visit(recorder)
        assert recorder.flush()
    evening, night, back, again = visitors()
    assert evening == back
    assert night == again != evening


@pytest.mark.sqlite
def test_a_database_that_comes_late_takes_over_the_salt_from_memory(impatient: None) -> None:
    Path("privacy.db").mkdir()
    recorder = make_recorder()
    visit(recorder)
    until(lambda: recorder._failures)
    visit(recorder)  # hashed at once, under the provisional salt
    Path("privacy.db").rmdir()
    assert recorder.flush(5)
    visit(recorder)
    recorder.flush()
    other = make_recorder()
    visit(other)
    other.flush()
    assert len(visitors()) == 4
    assert len(set(visitors())) == 1


@pytest.mark.sqlite
def test_a_worker_that_was_cut_off_takes_the_salt_that_the_others_share(impatient: None) -> None:
    first = make_recorder()
    visit(first)
    first.close()
    Path("privacy.db").rename("away")
    Path("privacy.db").mkdir()
    second = make_recorder()
    visit(second)
    until(lambda: second._failures)
    Path("privacy.db").rmdir()
    Path("away").rename("privacy.db")
    assert second.flush(5)
    visit(second)
    second.flush()
    assert visitors()[-1] == visitors()[0]


def test_visits_from_before_midnight_wait_for_a_locked_database_like_all_others(impatient: None) -> None:
    clock = Clock("2026-05-04T23:59:59+00:00")
    first = make_recorder(clock=clock)
    visit(first)
    first.close()
    clock.move(seconds=2)
    second = begin(make_recorder(clock=clock))
    with write_lock():
        for _ in range(20):
            visit(second, ago=2)
        until(lambda: second._failures)
    assert second.flush(10)
    assert stored() == 21


def test_recording_survives_the_year_2038() -> None:
    clock = Clock("2038-01-19T03:14:07+00:00")
    recorder = make_recorder(clock=clock)
    for _ in range(2):
        visit(recorder)
        assert recorder.flush()
        clock.move(seconds=1)
    assert stored() == 2


# --- forgetting ------------------------------------------------------------------------------------------------------------


IDENTITY = identity_of("192.0.2.250", FIREFOX.encode(), b"example.org")
"""Of whoever `visit` lets come."""


def test_forgetting_deletes_this_visitors_hits_and_no_others() -> None:
    recorder = make_recorder(clock=Clock())
    visit(recorder, "/mine")
    visit(recorder, "/mine")
    visit(recorder, "/others", address="192.0.2.1")
    recorder.flush()
    assert recorder.forget(IDENTITY).result(5) == 2
    assert paths() == ["/others"]


def test_late_hits_from_another_workers_queue_do_not_come_back() -> None:
    clock = Clock()
    one, two = make_recorder(clock=clock), make_recorder(clock=clock)
    for recorder in (one, two):
        visit(recorder, "/mine")
        recorder.flush()
    with write_lock():  # the second worker's hits wait in its queue
        visit(two, "/late")
        visit(two, "/others", address="192.0.2.1")
        clock.move(seconds=1)
        forgotten = one.forget(IDENTITY)
    assert forgotten.result(10) >= 2
    assert two.flush(10)
    assert paths() == ["/others"]


def test_a_request_that_began_before_the_erasure_and_ends_hours_after_it_does_not_come_back() -> None:
    clock = Clock()
    recorder = make_recorder(clock=clock)
    visit(recorder, "/page")
    work(recorder)
    assert recorder.forget(IDENTITY).result(5) == 1
    recorder.close()
    clock.move(hours=3)
    later = make_recorder(clock=clock)
    work(later)
    visit(later, "/events", ago=3 * 3600 + 60)  # a stream that was open all the time
    assert later.flush()
    assert paths() == []


def test_who_allows_it_again_is_recorded_again() -> None:
    clock = Clock()
    recorder = make_recorder(clock=clock)
    visit(recorder, "/before")
    recorder.flush()
    recorder.forget(IDENTITY).result(5)
    clock.move(seconds=1)
    visit(recorder, "/after")
    recorder.flush()
    assert paths() == ["/after"]


def test_what_is_to_be_forgotten_is_itself_forgotten_with_the_salt() -> None:
    clock = Clock()
    recorder = make_recorder(clock=clock)
    visit(recorder)
    recorder.flush()
    recorder.forget(IDENTITY).result(5)
    clock.move(days=2)
    recorder.flush()
    assert query("SELECT * FROM forgotten") == []


# --- purging ---------------------------------------------------------------------------------------------------------------


def fill(days_ago: dict[str, int], clock: Clock, path: str = "privacy.db") -> None:
    """Store a visit to each path, so many days ago, without any purge in between."""
    for page, days in days_ago.items():
        then = Clock()
        then.now = clock.now - days * 86_400
        recorder = make_recorder(path, clock=then, retention_days=3660)
        visit(recorder, page)
        recorder.close()
    forget_the_purge(clock)


def forget_the_purge(clock: Clock) -> None:
    """Make it the first purge since yesterday, for any process."""
    change("DELETE FROM lease")
    sql = "INSERT INTO mark VALUES ('clock', ?), ('purged', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
    change(sql, int(clock.now * 1000) - 86_400_000, clock.today - 1)
    count_days()


def count_days() -> None:
    """Do what the bookkeeper does, whom these tests have not: no visit is purged before it is counted."""
    store = make_store()
    store.open()
    for day in bookkeeper.days_to_close(store, today=2**20, kept=2**20):
        bookkeeper.close_day(store, day, Terms(UTC, 3), now=0)
    store.close()


def purge_now(clock: Clock, **more: Any) -> Recorder:
    """Run a worker for as long as its purge takes."""
    recorder = make_recorder(clock=clock, **more)
    work(recorder)
    return recorder


def test_the_purge_deletes_what_is_due_and_nothing_else() -> None:
    clock = Clock()
    fill({"/old": 30, "/last": 29, "/recent": 28, "/today": 0}, clock)
    purge_now(clock)
    assert paths() == ["/last", "/recent", "/today"]


def test_the_purge_follows_the_retention_set() -> None:
    clock = Clock()
    fill({"/old": 2, "/recent": 1, "/today": 0}, clock)
    purge_now(clock, retention_days=2)
    assert paths() == ["/recent", "/today"]


def test_the_purge_runs_once_a_day_in_one_process_only() -> None:
    clock = Clock()
    fill({"/old": 40}, clock)
    purge_now(clock)
    assert paths() == []
    late = make_recorder(clock=Clock("2026-03-01T00:00:00+00:00"), retention_days=3660)
    visit(late, "/old")
    late.close()
    count_days()
    purge_now(clock)
    assert paths() == ["/old"]
    clock.move(days=1)
    purge_now(clock)
    assert paths() == []


def test_while_another_process_holds_the_lease_nobody_else_purges() -> None:
    clock = Clock()
    fill({"/old": 40}, clock)
    store = make_store()
    store.open()
    store.take_lease("purge", "another", now=int(clock.now * 1000), until=int(clock.now * 1000) + 1000)
    store.close()
    purge_now(clock)
    assert paths() == ["/old"]
    clock.move(seconds=2)  # the other process has died, and its lease ended
    purge_now(clock)
    assert paths() == []


@pytest.mark.sqlite
def test_a_purge_that_a_lock_broke_off_is_gone_on_with(impatient: None) -> None:
    clock = Clock()
    fill({"/old": 40}, clock)
    columns = "day, time, visitor, method, page, kind, status, source, campaign, agent, language, sent, aborted, duration"
    connection = sqlite3.connect("privacy.db")
    for _ in range(14):
        connection.execute(f"INSERT INTO hit ({columns}) SELECT {columns} FROM hit")
    connection.commit()
    connection.close()
    count_days()
    recorder = make_recorder(clock=clock)
    recorder.start()
    until(lambda: stored() < 16_384)
    with write_lock():
        assert stored() > 0
        until(lambda: recorder._failures)
    until(lambda: stored() == 0)


@pytest.mark.parametrize(("days", "purged"), [(1, True), (31, True), (32, False), (400, False)])
def test_the_purge_refuses_an_absurd_jump_of_the_clock(days: int, purged: bool, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    fill({"/old": 29}, clock)
    purge_now(clock).close()
    clock.move(days=days)
    purge_now(clock)
    assert paths() == ([] if purged else ["/old"])
    assert ("privacy-middleware purge" in caplog.text) is not purged


def test_after_a_purge_by_hand_the_purge_goes_on_in_the_new_time() -> None:
    clock = Clock()
    fill({"/old": 29}, clock)
    purge_now(clock).close()
    clock.move(days=400)
    store = make_store()
    store.open()
    finish_purge(store, (), now=int(clock.now * 1000), zone=UTC)
    store.close()
    clock.move(days=1)
    purge_now(clock)
    assert paths() == []


def test_with_the_clock_back_the_purge_deletes_nothing_that_is_not_due() -> None:
    clock = Clock()
    fill({"/recent": 20, "/today": 0}, clock)
    for back in ({"hours": -1}, {"days": -10}, {"days": -4000}):
        clock.move(**back)
        purge_now(clock).close()
        assert paths() == ["/recent", "/today"]


def test_the_purge_removes_words_that_no_hit_uses_any_more() -> None:
    clock = Clock()
    fill({"/old": 40, "/both": 40}, clock)
    fill({"/both": 1, "/recent": 1}, clock)
    purge_now(clock)
    assert sorted(row["path"] for row in query("SELECT path FROM page")) == ["/both", "/recent"]
    assert sorted(paths()) == ["/both", "/recent"]


def test_another_worker_notices_that_words_were_removed() -> None:
    clock = Clock()
    then = Clock()
    then.move(days=-40)
    other = make_recorder(clock=then, retention_days=3660)
    visit(other, "/page")
    work(other)  # it now knows the number of /page by heart
    forget_the_purge(clock)
    purge_now(clock).close()
    assert query("SELECT * FROM page") == []
    then.now = clock.now
    visit(other, "/page")
    assert other.flush()
    assert paths() == ["/page"]


@pytest.mark.sqlite
def test_a_word_that_comes_into_use_during_the_purge_stays() -> None:
    clock = Clock()
    fill({"/old": 40, "/mine": 0}, clock)
    other = make_recorder(clock=clock)
    store = make_store()
    store.open()
    store.connection.execute("DELETE FROM hit WHERE day < ?", (clock.today,))

    def in_between(statement: str) -> None:
        if statement.startswith("BEGIN"):  # the purge has looked for unused words and begins to delete them
            store.connection.set_trace_callback(None)
            other.forget(IDENTITY).result(5)
            clock.move(seconds=1)
            visit(other, "/old")
            assert other.flush()

    store.connection.set_trace_callback(in_between)
    try:
        store.purge_words()
    finally:
        store.close()
    assert stored() == 1
    assert paths() == ["/old"]


@pytest.mark.sqlite
def test_counters_are_purged_in_time() -> None:
    clock = Clock()
    fill({"/": 0}, clock)
    connection = sqlite3.connect("privacy.db")
    connection.executemany("INSERT INTO counter VALUES (?, 'choice.refuse', 1)", [(clock.today - 401,), (clock.today - 400,)])
    connection.commit()
    connection.close()
    purge_now(clock)
    assert query("SELECT day FROM counter WHERE name = 'choice.refuse'") == [{"day": clock.today - 400}]


# --- ending ----------------------------------------------------------------------------------------------------------------


def test_at_the_interpreters_exit_what_is_queued_is_committed() -> None:
    script("app = make_app()\nfor _ in range(100):\n    get(app)")
    assert stored() == 100


def test_at_an_exit_by_an_exception_what_is_queued_is_committed() -> None:
    script("app = make_app()\nget(app)\nraise KeyError", code_expected=1)
    assert stored() == 1


def test_on_sigterm_what_is_queued_is_committed_and_the_process_ends_by_the_signal() -> None:
    script("app = make_app()\nfor _ in range(100):\n    get(app)\nos.kill(os.getpid(), signal.SIGTERM)", code_expected=-signal.SIGTERM)
    assert stored() == 100


def test_on_sigterm_the_hosts_own_handler_comes_to_its_turn() -> None:
    code = """
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
        app = make_app()
        get(app)
        os.kill(os.getpid(), signal.SIGTERM)
    """
    script(code, code_expected=7)
    assert stored() == 1


def test_an_ignored_sigterm_stays_ignored() -> None:
    code = """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        app = make_app()
        get(app)
        os.kill(os.getpid(), signal.SIGTERM)
        print("still here")
    """
    assert script(code) == "still here\n"


def test_a_locked_database_holds_up_the_end_for_two_seconds_only() -> None:
    code = """
        app = make_app()
        get(app); app.recorder.flush()
        lock = write_lock(); lock.__enter__()
        get(app)
        os.kill(os.getpid(), signal.SIGTERM)
    """
    began = time.monotonic()
    script(code, code_expected=-signal.SIGTERM)
    assert time.monotonic() - began < 6


@pytest.mark.parametrize("where", ["threading.Thread.start", "threading.Event.set"])
def test_a_sigterm_at_the_worst_moment_ends_the_process_all_the_same(where: str) -> None:
    """The signal comes while the main thread is within the recorder and holds a lock of its own."""
    code = """
        import threading
        app = make_app()
        if sys.argv[1] == "threading.Thread.start":
            get(make_app(disabled=True))
            from privacy_middleware.record.exit import flush_on_sigterm
            flush_on_sigterm(app.recorder, app.intake)
        else:
            get(app)
        armed = [True]
        def profile(frame, event, argument):
            name = frame.f_code.co_qualname if hasattr(frame.f_code, "co_qualname") else frame.f_code.co_name
            inside = "Thread.start" if sys.argv[1] == "threading.Thread.start" else "Condition.notify_all"
            if armed and event == "call" and name == inside and "threading" in frame.f_code.co_filename:
                armed.clear()
                os.kill(os.getpid(), signal.SIGTERM)
        sys.setprofile(profile)
        visit(app.recorder)
        app.recorder.submit(lambda store: None)
        time.sleep(5)
    """
    began = time.monotonic()
    script(code, where, code_expected=-signal.SIGTERM, timeout=15)
    assert time.monotonic() - began < 6


def test_a_recorder_that_nobody_uses_any_more_is_let_go() -> None:
    code = """
        import gc, weakref
        app = make_app()
        get(app); app.recorder.close()
        gone = weakref.ref(app.recorder)
        del app
        gc.collect()
        print(gone() is None)
    """
    assert script(code) == "True\n"


# --- the store's own promises ----------------------------------------------------------------------------------------------


@pytest.mark.sqlite
def test_a_store_error_names_the_file_and_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nowhere/privacy\.db cannot be used .* check the path and its permissions"):
        make_store("nowhere/privacy.db").open()


def set_half_a_mark(store: Store) -> None:
    with store.transaction():
        store.set_mark("half", 1)
        raise KeyError


def test_a_broken_transaction_leaves_nothing() -> None:
    store = make_store()
    store.open()
    try:
        with pytest.raises(KeyError):
            set_half_a_mark(store)
        assert store.mark("half") is None
    finally:
        store.close()
