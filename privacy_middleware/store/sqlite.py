"""The SQLite store: one file in WAL mode, which several processes may share.

Journal and file hold no deleted bytes: `secure_delete` overwrites them, and `checkpoint` empties the journal
(SQLite documentation, "PRAGMA secure_delete" and "Write-Ahead Logging").
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import secrets
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from ..collect.hit import Hit
from ..errors import SchemaTooNew, StoreError
from . import queries, statistics_queries

logger = logging.getLogger("privacy_middleware")

ROWS_A_STATEMENT: Final = 100
WORDS_IN_MEMORY: Final = 50_000
LAST_DAY: Final = 2**31
BUSY_SECONDS: Final = 5.0
_CORRUPT: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class SQLiteStore:
    """One connection to the file, for one thread at a time. `open` before use; `close` on every path, and before a fork."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._inode: int | None = None
        self._words: dict[str, dict[tuple[str, ...], int]] = {table: {} for table in queries.DICTIONARIES}
        self._generation = -1
        self._patience = BUSY_SECONDS

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
            if not mend or not self.is_damage(error):
                folder = self.path.parent.absolute()
                remedy = "check the path and its permissions"
                if not folder.exists():
                    remedy = f"there is no folder {folder}: make it, or {remedy}"
                raise StoreError(f"{self.path} cannot be used as a database ({error}); {remedy}") from error
            self.set_aside()
            self._connect()

    def open_to_read(self) -> None:
        """Connect without writing anything, so that a file that cannot be written, or is locked, can be looked at.

        Raises:
            StoreError: if the file cannot be read; SchemaTooNew if a newer package wrote it.
        """
        for how in ("mode=ro", "immutable=1"):  # the second where the folder of a journal cannot be written
            try:
                connection = sqlite3.connect(f"file:{quote(str(self.path))}?{how}", uri=True, timeout=BUSY_SECONDS, isolation_level=None)
                self._connection = connection
                connection.execute("PRAGMA temp_store = MEMORY")
                check_schema(connection)
            except sqlite3.Error as error:
                self.close()
                fault: Exception = error
            else:
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
            return not self.is_damage(error)

    @staticmethod
    def is_damage(error: BaseException) -> bool:
        """Tell whether an error means that the file is no sound database."""
        code = getattr(error, "sqlite_errorcode", None) if isinstance(error, sqlite3.DatabaseError) else None
        return code is not None and code & 0xFF in _CORRUPT  # the low byte of an extended code is the plain one

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

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Write all or nothing. Waits up to `BUSY_SECONDS` for another writer."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            self._forget_words()
            with contextlib.suppress(sqlite3.Error):
                self.connection.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def savepoint(self) -> Iterator[None]:
        """Within a transaction, take back a part of it if that part fails."""
        self.connection.execute("SAVEPOINT part")
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
        self.connection.execute("BEGIN")
        try:
            yield
        finally:
            self.connection.execute("COMMIT")

    def rows(self, query: str, **values: Any) -> list[dict[str, Any]]:
        """Return the rows of a query as dictionaries."""
        cursor = self.connection.execute(query, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def execute(self, query: str, **values: Any) -> int:
        """Run one statement that writes; returns how many rows it took."""
        return self.connection.execute(query, values).rowcount

    def has_table(self, name: str) -> bool:
        """Tell whether the database, as it was opened, has a table; one that was opened to be read may be of an older version."""
        return bool(self._value(queries.HAS_TABLE, name=name))

    def _value(self, query: str, **values: Any) -> Any:
        row = self.connection.execute(query, values).fetchone()
        return row[0] if row else None

    def _inode_now(self) -> int | None:
        try:
            return self.path.stat().st_ino
        except OSError:
            return None

    # --- hits --------------------------------------------------------------------------------------------------------------

    def add_hits(self, hits: Sequence[Hit]) -> None:
        """Insert hits, in a transaction of the caller's. Those of a visitor who has since erased them do not stay."""
        self._refresh_words()
        after = self._value(queries.LAST_HIT)
        self.add_rows([self._row(hit) for hit in hits])
        if self._value(queries.ANY_FORGOTTEN):
            self.connection.execute(queries.FORGET_LATE_HITS, {"after": after})

    def add_rows(self, rows: Sequence[Sequence[Any]]) -> None:
        """Insert prepared rows, in the order of `queries.HIT_COLUMNS`."""
        execute = self.connection.execute
        for start in range(0, len(rows), ROWS_A_STATEMENT):
            part = rows[start : start + ROWS_A_STATEMENT]
            execute(queries.insert_hits(len(part)), tuple(chain.from_iterable(part)))

    def _row(self, hit: Hit) -> tuple[Any, ...]:
        words, find = self._words, self._word
        (
            day, time, visitor, address, method, page, site, kind, status, source, campaign, agent, language, country, sent,
            aborted, duration,
        ) = hit  # fmt: skip
        return (
            day,
            time,
            visitor,
            address,
            method,
            words["page"].get((site, page)) or find("page", (site, page)),
            kind,
            status,
            words["source"].get(source) or find("source", source),
            words["campaign"].get((campaign,)) or find("campaign", (campaign,)),
            words["agent"].get(agent) or find("agent", agent),
            words["language"].get((language,)) or find("language", (language,)),
            country,
            sent,
            aborted,
            duration,
        )

    def _word(self, table: str, key: tuple[str, ...]) -> int:
        """Find or add a word that is not in memory, and keep its number there."""
        words = self._words[table]
        if len(words) >= WORDS_IN_MEMORY:
            words.clear()
        found = self.connection.execute(queries.find_word(table), key).fetchone()
        found = found or self.connection.execute(queries.add_word(table), key).fetchone()
        words[key] = number = int(found[0])
        return number

    def _refresh_words(self) -> None:
        """A purge by any process removes unused words, and raises the generation so that nobody goes on using their ids."""
        generation = self.mark("words") or 0
        if generation != self._generation:
            self._forget_words()
            self._generation = generation

    def _forget_words(self) -> None:
        for words in self._words.values():
            words.clear()

    # --- salts -------------------------------------------------------------------------------------------------------------

    def salt(self, day: int, proposal: bytes) -> bytes:
        """Return the salt of a day, shared by all processes; `proposal` becomes it if there is none yet."""
        with self.transaction():
            self.connection.execute(queries.ADD_SALT, {"day": day, "value": proposal})
            return bytes(self._value(queries.SALT, day=day))

    def live_salts(self) -> dict[int, bytes]:
        """Return the salts that are not destroyed yet, by day."""
        return {row["day"]: bytes(row["value"]) for row in self.rows(queries.LIVE_SALTS)}

    def destroy_salts(self, *, before: int, after: int) -> int:
        """Overwrite the salts of days before `before`, and after `after` (of a clock that was wrong); returns how many.

        Call `checkpoint` until it says True.
        """
        with self.transaction():
            self.connection.execute(queries.DESTROY_FORGOTTEN, {"before": before})
            return self.connection.execute(queries.DESTROY_SALTS, {"before": before, "after": after}).rowcount

    def checkpoint(self) -> bool:
        """Move the journal into the file and empty it. False if another connection stood in the way: try again."""
        self.connection.execute("PRAGMA busy_timeout = 50")
        busy, _, _ = self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        self.wait_at_most(self._patience)
        return not busy

    # --- erasing, purging, counting ----------------------------------------------------------------------------------------

    def forget(self, visitors: Sequence[tuple[int, int]], *, until: int) -> dict[tuple[int, int], int]:
        """Delete the hits of (day, visitor) pairs up to an instant, and keep late ones from coming back; returns how many of each."""
        days = {day for day, _ in visitors}
        with self.transaction():
            rows = [{"day": day, "visitor": visitor, "until": until} for day, visitor in visitors]
            self.connection.executemany(queries.FORGET, rows)
            self.connection.executemany(queries.UNTIE, [{"day": day, "visitor": visitor} for day, visitor in visitors])
            found = {(row["day"], row["visitor"]): row["hits"] for day in days for row in self.rows(queries.FORGOTTEN_HITS, day=day)}
            for day in days if found else ():
                self.connection.execute(queries.FORGET_HITS, {"day": day})
                self.connection.execute(statistics_queries.FORGET_OPEN_ROWS, {"day": day})
                self.connection.execute(statistics_queries.FORGET_OPEN_DAY, {"day": day})
            return found

    def purge(self, *, before: int, after: int = LAST_DAY, most: int = 5000, only_counted: bool = False) -> Iterator[int]:
        """Delete the hits of days before `before`, and after `after` (of a clock that was wrong), a short transaction at a time.

        Yields how many each one took. With `only_counted`, what came in since its day was counted stays for now.
        """
        delete = statistics_queries.PURGE_COUNTED_HITS if only_counted else queries.PURGE_HITS
        self.execute(queries.UNTIE_OLD, before=before)
        self.execute(statistics_queries.MARK_PURGED, before=before)  # first: a day that is purged in part must not be counted again
        while True:
            with self.transaction():
                purged = self.connection.execute(delete, {"before": before, "after": after, "most": most}).rowcount
            yield purged
            if purged < most:
                with self.transaction():
                    for query in statistics_queries.PUT_TOGETHER:
                        self.execute(query, before=before, other=statistics_queries.OTHER)
                return

    def purge_words(self) -> int:
        """Delete pages, sources and so on that no hit names any more; returns how many."""
        after = self._value(queries.LAST_HIT)
        unused = [(table, row["id"]) for table in queries.DICTIONARIES for row in self.rows(queries.unused_words(table))]
        if not unused:
            return 0
        with self.transaction():
            purged = sum(self.connection.execute(queries.purge_word(t), {"id": i, "after": after}).rowcount for t, i in unused)
            self.set_mark("words", (self.mark("words") or 0) + 1)
        return purged

    def purge_counters(self, *, before: int) -> None:
        """Delete the counters of days before `before`."""
        with self.transaction():
            self.connection.execute(queries.PURGE_COUNTERS, {"before": before})

    def count(self, amounts: Mapping[str, int], *, day: int) -> None:
        """Add to named counters of a day, in a transaction of the caller's."""
        rows = [{"day": day, "name": name, "amount": amount} for name, amount in amounts.items()]
        self.connection.executemany(queries.COUNT, rows)

    def mark(self, name: str) -> int | None:
        """Return a number that was noted under a name, or None."""
        value: int | None = self._value(queries.MARK, name=name)
        return value

    def set_mark(self, name: str, value: int) -> None:
        """Note a number under a name."""
        self.connection.execute(queries.SET_MARK, {"name": name, "value": value})

    def take_lease(self, name: str, holder: str, *, now: int, until: int) -> bool:
        """Take or keep the right to do a job until an instant; False if another process holds it."""
        with self.transaction():
            self.connection.execute(queries.TAKE_LEASE, {"name": name, "holder": holder, "now": now, "until": until})
            return bool(self._value(queries.LEASE_HOLDER, name=name) == holder)

    def give_lease_back(self, name: str, holder: str) -> None:
        """Let another process do a job at once."""
        with self.transaction():
            self.execute(queries.GIVE_LEASE_BACK, name=name, holder=holder)

    # --- imports and statement ---------------------------------------------------------------------------------------------

    def set_asides(self) -> list[Path]:
        """Return the damaged files that were set aside."""
        return sorted(self.path.parent.glob(f"{self.path.name}.damaged-*"))

    def imported(self) -> set[tuple[int, bytes]]:
        """Return how far access logs were imported: (lines, keyed hash of them)."""
        return {(row["lines"], bytes(row["digest"])) for row in self.rows(queries.IMPORTED)}

    def add_imported(self, lines: int, digest: bytes) -> None:
        """Note how far an access log was imported, in the transaction of its hits."""
        self.connection.execute(queries.ADD_IMPORTED, {"lines": lines, "digest": digest})


def check_schema(connection: sqlite3.Connection) -> None:
    """Check that every applied migration is known.

    Raises:
        SchemaTooNew: if one is not. sqlite3.OperationalError: if the file is not one of ours.
    """
    applied = {number for (number,) in connection.execute("/* migrate */ SELECT number FROM migration")}
    if applied - set(_migrations()):
        raise SchemaTooNew("the database was written by a newer privacy_middleware; install that version, or use another file")


def migrate(connection: sqlite3.Connection) -> None:
    """Apply the numbered migrations that the file lacks, under a lock, so that one process does and the others wait.

    Raises:
        SchemaTooNew: if the file has migrations that this version does not know.
        StoreError: if an applied migration differs from the one in this package.
    """
    known = _migrations()
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(
            "/* migrate */ CREATE TABLE IF NOT EXISTS migration "
            "(number INTEGER PRIMARY KEY, checksum TEXT NOT NULL, applied INTEGER NOT NULL)"
        )
        applied = dict(connection.execute("/* migrate */ SELECT number, checksum FROM migration").fetchall())
        if set(applied) - set(known):
            raise SchemaTooNew("the database was written by a newer privacy_middleware; install that version, or use another file")
        for number, script in known.items():
            checksum = hashlib.sha256(script.encode()).hexdigest()
            if number not in applied:
                _run_script(connection, script)
                connection.execute("/* migrate */ INSERT INTO migration VALUES (?, ?, ?)", (number, checksum, int(time.time() * 1000)))
            elif applied[number] != checksum:
                raise StoreError(f"migration {number} of the database is not the one of this package; was the package changed by hand?")
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _migrations() -> dict[int, str]:
    folder = resources.files(__package__) / "migrations"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return {int(file.name[:4]): file.read_text(encoding="utf-8") for file in files}


def _run_script(connection: sqlite3.Connection, script: str) -> None:
    """Run the statements of a script inside the open transaction (`executescript` would commit it)."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
