"""The SQLite store: one file in WAL mode, which several processes may share.

Journal and file hold no deleted bytes: `secure_delete` overwrites them, and `checkpoint` empties the journal
(SQLite documentation, "PRAGMA secure_delete" and "Write-Ahead Logging").
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from ..errors import Damaged, StoreError, Unstorable
from . import queries, statistics_queries
from .base import BUSY_SECONDS, Row, Store, near
from .schema import Migration, migrations, missing

logger = logging.getLogger("privacy_middleware")

ROWS_A_STATEMENT: Final = 100
STEPS_A_LOOK: Final = 100_000
_CORRUPT: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_REFUSED: Final = (
    sqlite3.IntegrityError, sqlite3.DataError, sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.NotSupportedError,
)  # fmt: skip
_COLUMNS: Final = """/* store.columns */
SELECT item.name, part.name FROM sqlite_master AS item JOIN pragma_table_info(item.name) AS part
WHERE item.type = 'table' AND item.name NOT LIKE 'sqlite_%' ORDER BY item.name, part.cid"""


class SQLiteStore(Store):
    """One connection to the file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.place = str(path)
        self._connection: sqlite3.Connection | None = None
        self._inode: int | None = None

    def another(self) -> SQLiteStore:
        """Return a store of the same file, not opened yet."""
        return SQLiteStore(self.path)

    def exists(self) -> bool:
        """Tell whether there is a file with something in it; an empty one may just be being made by another worker."""
        try:
            return self.path.stat().st_size > 0
        except OSError:
            return False

    # --- connection --------------------------------------------------------------------------------------------------------

    def open(self, *, mend: bool = True) -> None:
        """Connect, and bring the schema up to date. A damaged file is set aside if `mend`, and refused if not.

        Raises:
            StoreError: if the file cannot be opened or written; SchemaTooNew if a newer package wrote it.
        """
        try:
            self._connect()
        except (sqlite3.DatabaseError, OSError) as error:
            self.close()
            if not mend or not _is_damage(error):
                folder = self.path.parent.absolute()
                remedy = "check the path and its permissions"
                if not folder.exists():
                    remedy = f"there is no folder {folder}: make it, or {remedy}"
                raise StoreError(f"{self.path} cannot be used as a database ({error}); {remedy}") from error
            self.set_aside()
            self._connect()

    def open_to_read(self, *, patience: float | None = None, as_it_is: bool = False) -> None:
        """Connect without writing anything, so that a file that cannot be written, or is locked, can be looked at.

        Raises:
            StoreError: if the file cannot be read; SchemaTooNew if a newer package wrote it.
        """
        end = time.monotonic() + (patience or 0)
        busy = BUSY_SECONDS if patience is None else min(patience, BUSY_SECONDS)
        for how in ("mode=ro",) if as_it_is else ("mode=ro", "immutable=1"):  # the second where the folder of a journal cannot be written
            try:
                connection = sqlite3.connect(f"file:{quote(str(self.path))}?{how}", uri=True, timeout=busy, isolation_level=None)
                self._connection = connection
                connection.execute("PRAGMA temp_store = MEMORY")
                check_schema(connection)
            except sqlite3.Error as error:
                self.close()
                fault: Exception = error
            else:
                if patience is not None:
                    connection.set_progress_handler(lambda: time.monotonic() > end, STEPS_A_LOOK)
                return
        raise StoreError(f"{self.path} cannot be read as a database ({fault}); check the path and its permissions") from fault

    def _connect(self) -> None:
        # Readable by the owner of the process only; the journal inherits the mode. Transactions are begun by hand.
        # A file that is there must not be opened and closed by hand: that would drop every lock that this process holds on it
        # (SQLite, "How To Corrupt", section 2.2).
        if not self.path.exists():
            with contextlib.suppress(FileExistsError):
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        connection = sqlite3.connect(self.path, timeout=self._patience, isolation_level=None, check_same_thread=False)
        self._connection = connection
        self._inode = self._inode_now()
        self._use_wal(connection)
        for pragma in ("synchronous = FULL", "secure_delete = ON", "temp_store = MEMORY", "cache_size = -8000"):
            connection.execute(f"PRAGMA {pragma}")
        migrate(connection)
        self._forget_words()

    def wait_at_most(self, seconds: float) -> None:
        """From now on wait no longer than this for another writer."""
        self._patience = seconds
        if self._connection is not None:
            self._connection.execute(f"PRAGMA busy_timeout = {seconds * 1000:.0f}")

    def _use_wal(self, connection: sqlite3.Connection) -> None:
        """Switch to WAL. SQLite does not wait here if another process switches at the same moment."""
        end = time.monotonic() + self._patience
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                    raise
                time.sleep(0.01)
            else:
                return

    def close(self) -> None:
        """Close the connection; the store can be opened again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def set_aside(self) -> None:
        """Move a damaged file, and its journal, out of the way under a new name; it is never deleted.

        Nothing is moved if another worker has already put a new file in its place.
        """
        if self._inode_now() != self._inode:
            return
        aside = self.path.with_name(f"{self.path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(4)}")
        if self._is_sound() or self._inode_now() != self._inode:  # looked at once more: another worker may have been quicker
            return
        try:
            for suffix in ("", "-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    Path(f"{self.path}{suffix}").rename(f"{aside}{suffix}")
        except OSError as error:
            raise StoreError(f"{self.path} is damaged and cannot be moved out of the way ({error.strerror}); move it by hand") from error
        logger.error("%s is damaged; it is kept as %s and a new one is begun. `sqlite3 … .recover` may read it.", self.path, aside)

    def _is_sound(self) -> bool:
        """Look again before moving: a sector that could not be read once looks like damage."""
        try:
            with contextlib.closing(sqlite3.connect(self.path, timeout=BUSY_SECONDS)) as connection:
                return bool(connection.execute("PRAGMA integrity_check(1)").fetchone()[0] == "ok")
        except sqlite3.Error as error:
            return not _is_damage(error)

    @property
    def replaced(self) -> bool:
        """True if the file was deleted or replaced since it was opened: what is written now would go nowhere."""
        return self._connection is not None and self._inode_now() != self._inode

    @property
    def is_open(self) -> bool:
        """True between `open` and `close`."""
        return self._connection is not None

    @property
    def connection(self) -> sqlite3.Connection:
        """The open connection."""
        if self._connection is None:
            raise StoreError("the database is not open")
        return self._connection

    @property
    def in_transaction(self) -> bool:
        """True within `transaction` or `snapshot`."""
        return self.connection.in_transaction

    def interrupt(self) -> None:
        """From another thread, break off what is under way."""
        with contextlib.suppress(sqlite3.Error, StoreError):  # closed at this very moment
            self.connection.interrupt()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Write all or nothing. Waits up to `BUSY_SECONDS` for another writer."""
        self._run("BEGIN IMMEDIATE")
        try:
            yield
            self._run("COMMIT")
        except BaseException:
            self._forget_words()
            with contextlib.suppress(sqlite3.Error):
                self.connection.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def savepoint(self) -> Iterator[None]:
        """Within a transaction, take back a part of it if that part fails."""
        self._run("SAVEPOINT part")
        try:
            yield
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self.connection.execute("ROLLBACK TO part")
            raise
        finally:
            with contextlib.suppress(sqlite3.Error):
                self.connection.execute("RELEASE part")

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read several times from one state of the database."""
        self._run("BEGIN")
        try:
            yield
        finally:
            self._run("COMMIT")

    @contextlib.contextmanager
    def scratch(self) -> Iterator[None]:
        """Have tables of this connection's own (TEMP, in memory): they stand beside the file, so no transaction is needed."""
        try:
            yield
        finally:
            for drop in statistics_queries.DROP_PART:
                self._run(drop)

    # --- statements --------------------------------------------------------------------------------------------------------

    def rows(self, query: str, **values: Any) -> list[dict[str, Any]]:
        """Return the rows of a query as dictionaries."""
        try:
            cursor = self.connection.execute(query, values)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]
        except sqlite3.Error as error:
            raise _as_ours(error) from error

    def tuples(self, query: str, **values: Any) -> list[Row]:
        """Return the rows of a query as tuples."""
        try:
            return self.connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise _as_ours(error) from error

    def portions(self, query: str, most: int) -> Iterator[list[dict[str, Any]]]:
        """Return the rows of a query in a transaction, so many at a time: not all of them are in memory at once."""
        cursor = self._run(query)
        names = [column[0] for column in cursor.description]
        try:
            while rows := cursor.fetchmany(most):
                yield [dict(zip(names, row, strict=True)) for row in rows]
        except sqlite3.Error as error:
            raise _as_ours(error) from error

    def execute(self, query: str, **values: Any) -> int:
        """Run one statement that writes; returns how many rows it took."""
        return self._run(query, values).rowcount

    def execute_many(self, query: str, rows: Iterable[Mapping[str, Any] | Sequence[Any]]) -> None:
        """Run one statement for each of many rows."""
        try:
            self.connection.executemany(query, rows)
        except sqlite3.Error as error:
            raise _as_ours(error) from error

    def _run(self, statement: str, values: Mapping[str, Any] | Sequence[Any] = ()) -> sqlite3.Cursor:
        try:
            return self.connection.execute(statement, values)
        except sqlite3.Error as error:
            raise _as_ours(error) from error

    def add_rows(self, rows: Sequence[Row], *, columns: Sequence[str] = queries.HIT_COLUMNS) -> None:
        """Insert prepared hits, in a transaction of the caller's."""
        for start in range(0, len(rows), ROWS_A_STATEMENT):
            part = rows[start : start + ROWS_A_STATEMENT]
            self._run(queries.insert_hits(len(part), columns), tuple(chain.from_iterable(part)))

    def checkpoint(self) -> bool:
        """Move the journal into the file and empty it. False if another connection stood in the way: try again."""
        self._run("PRAGMA busy_timeout = 50")
        busy, _, _ = self._run("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        self.wait_at_most(self._patience)
        return not busy

    # --- the file ----------------------------------------------------------------------------------------------------------

    def columns(self) -> dict[str, list[str]]:
        """Return the columns of every table."""
        found: dict[str, list[str]] = {}
        for table, column in self.tuples(_COLUMNS):
            found.setdefault(table, []).append(column)
        return found

    def size(self) -> int:
        """Return how many bytes file and journal take."""
        files = [Path(f"{self.path}{suffix}") for suffix in ("", "-wal", "-shm")]
        return sum(file.stat().st_size for file in files if file.exists())

    def problems(self) -> list[str]:
        """Return what is wrong with the file and its copies, each with its remedy."""
        found = []
        if not (os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK)):
            found.append(f"{near(self.path)} or its folder cannot be written: nothing is recorded; mend the permissions")
        if self.path.stat().st_mode & 0o077:
            found.append(f"{near(self.path)} can be read by other accounts than its own; `chmod 600` it")
        copies = sorted(self.path.parent.glob(f"{self.path.name}.damaged-*"))
        text = "is a damaged copy; read what you can, then delete it: it holds visits, and what people sent"
        return found + [f"{near(path)} {text}" for path in copies]

    def _inode_now(self) -> int | None:
        try:
            return self.path.stat().st_ino
        except OSError:
            return None


def _is_damage(error: BaseException) -> bool:
    code = getattr(error, "sqlite_errorcode", None) if isinstance(error, sqlite3.DatabaseError) else None
    return code is not None and code & 0xFF in _CORRUPT  # the low byte of an extended code is the plain one


def _as_ours(error: sqlite3.Error) -> StoreError:
    """Return the error of ours that says the same; its text is SQLite's name of the fault, which holds no value."""
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    if _is_damage(error):
        return Damaged(name)
    return Unstorable(name) if isinstance(error, _REFUSED) else StoreError(name)


def check_schema(connection: sqlite3.Connection) -> None:
    """Check that every applied migration is known.

    Raises:
        SchemaTooNew: if one is not. sqlite3.OperationalError: if the file is not one of ours.
    """
    missing({number: "" for (number,) in connection.execute("/* migrate */ SELECT number FROM migration")}, _numbers_only())


def _numbers_only() -> list[Migration]:
    return [migration._replace(checksum="") for migration in migrations("sqlite")]


def migrate(connection: sqlite3.Connection) -> None:
    """Apply the numbered migrations that the file lacks, under a lock, so that one process does and the others wait.

    Raises:
        SchemaTooNew: if the file has migrations that this version does not know.
        StoreError: if an applied migration differs from the one in this package.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(
            "/* migrate */ CREATE TABLE IF NOT EXISTS migration "
            "(number INTEGER PRIMARY KEY, checksum TEXT NOT NULL, applied INTEGER NOT NULL)"
        )
        applied = dict(connection.execute("/* migrate */ SELECT number, checksum FROM migration").fetchall())
        for number, script, checksum in missing(applied, migrations("sqlite")):
            _run_script(connection, script)
            connection.execute("/* migrate */ INSERT INTO migration VALUES (?, ?, ?)", (number, checksum, int(time.time() * 1000)))
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _run_script(connection: sqlite3.Connection, script: str) -> None:
    """Run the statements of a script inside the open transaction (`executescript` would commit it)."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
