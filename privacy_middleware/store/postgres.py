"""The PostgreSQL store: one connection to a server that several hosts share; also through PgBouncer, a transaction at a time.

As in SQLite, one transaction at a time writes: each begins by taking one lock (an advisory one, which ends with the transaction), so that
what holds there holds here. Hits stand in a partition a day, and come in by COPY.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, Final

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import LockNotAvailable
from psycopg.pq import TransactionStatus
from psycopg.types.string import StrDumperUnknown as StrDumper

from ..errors import StoreError, Unstorable
from . import queries
from .base import Row, Store
from .schema import migrations, missing

DEFAULTS: Final = {
    "connect_timeout": 3,
    "application_name": "privacy_middleware",
    "client_encoding": "utf8",
    "tcp_user_timeout": 10_000,
}
"""What holds where the URL says nothing else: seconds to connect, milliseconds without an answer of the network."""
IDLE_SECONDS: Final = 60
"""How long a transaction of ours may do nothing: if its host is gone, the others must be able to go on."""
DROP_SECONDS: Final = 1.0
"""How long a purge waits for those who read, before it deletes row by row."""
KEYS: Final = ("salt", "subject", "vault")
"""Tables of keys: they are written anew when something was deleted, since a deleted row stays in its page until that is used again."""
_LOCK: Final = 5_065_231_987
"""The number of our lock: any will do that no other program uses."""
_BEGIN: Final = (
    "/* store.transaction */ BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = {patience:d}; "
    f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'; "
    f"SELECT pg_advisory_xact_lock({_LOCK})"
)
_OF_OURS: Final = "c.relnamespace = CAST(current_schema() AS regnamespace)"
_COLUMNS: Final = f"""/* store.columns */
SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE {_OF_OURS} AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY c.relname, a.attnum"""
_SIZE: Final = f"/* store.size */ SELECT SUM(pg_total_relation_size(c.oid)) FROM pg_class c WHERE {_OF_OURS} AND c.relkind = 'r'"
_DAYS: Final = """/* store.days */
SELECT CAST(substr(c.relname, 5) AS integer) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = CAST('hit' AS regclass) ORDER BY 1"""
_COUNTED: Final = "/* store.drop_days */ SELECT 1 FROM day WHERE day = :day AND state = 2 AND last >= :last"
_MARKED: Final = re.compile(r"(?<![:\w]):([a-z_][a-z_0-9]*)")


class PostgresStore(Store):
    """One connection to the server. What the URL says goes to libpq as it is: `sslmode`, `target_session_attrs`, several hosts."""

    is_shared = True

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.place = f"postgresql://{url.partition('://')[2].rpartition('@')[2].partition('?')[0]}"
        self._connection: psycopg.Connection[Row] | None = None
        self._days: set[int] = set()
        self._reading_patience: float | None = None
        self._was_skipped = False

    def another(self) -> PostgresStore:
        """Return a store of the same database, not opened yet."""
        return PostgresStore(self.url)

    def exists(self) -> bool:
        """Tell that there may be a database: the server is asked when it is opened."""
        return True

    # --- connection --------------------------------------------------------------------------------------------------------

    def open(self, *, mend: bool = True) -> None:
        """Connect, and bring the schema up to date.

        Raises:
            StoreError: if the server cannot be reached or used; SchemaTooNew if a newer package wrote the database.
        """
        del mend
        self._connect()
        try:
            self._migrate()
        except BaseException:
            self.close()
            raise
        self._forget_words()
        self._days.clear()

    def open_to_read(self, *, patience: float | None = None, as_it_is: bool = False) -> None:
        """Connect without writing anything; no statement within `snapshot` may take longer than `patience` seconds.

        Raises:
            StoreError: if it cannot be read; SchemaTooNew if a newer package wrote it.
        """
        del as_it_is  # a server has no other
        self._connect()
        self._reading_patience = patience
        try:
            if self.value("/* migrate */ SELECT to_regclass('migration')") is None:
                raise StoreError(f"{self.place} holds nothing of privacy_middleware yet; start the app once, or check the URL")
            missing(self._applied(), migrations("postgres"))
        except BaseException:
            self.close()
            raise

    def _connect(self) -> None:
        try:
            settings: dict[str, Any] = {**DEFAULTS, **conninfo_to_dict(self.url)}
            connection: psycopg.Connection[Row] = psycopg.connect(**settings, autocommit=True, prepare_threshold=None)
        except psycopg.Error as error:
            reason = " ".join(str(error).split())
            raise StoreError(f"{self.place} cannot be used as a database ({reason}); check the URL, and whether the server runs") from error
        self._connection = connection
        connection.adapters.register_loader("numeric", _WholeNumber)
        connection.adapters.register_dumper(str, _Text)
        connection.add_notice_handler(self._noticed)
        self._reading_patience = None
        if connection.info.parameter_status("server_encoding") not in ("UTF8", None):
            self.close()
            raise StoreError(f"{self.place} is not encoded in UTF-8; make one by `createdb --encoding=UTF8 --template=template0`")

    def _applied(self) -> dict[int, str]:
        return {row["number"]: row["checksum"] for row in self.rows("/* migrate */ SELECT number, checksum FROM migration")}

    def _migrate(self) -> None:
        """Apply the numbered migrations that the database lacks, under the lock, so that one process does and the others wait."""
        known = migrations("postgres")
        is_new = self.value("/* migrate */ SELECT to_regclass('migration')") is None
        if not is_new and not missing(self._applied(), known):
            return
        with self.transaction():
            self.execute(
                "/* migrate */ CREATE TABLE IF NOT EXISTS migration "
                "(number INTEGER PRIMARY KEY, checksum TEXT NOT NULL, applied BIGINT NOT NULL)"
            )
            for number, script, checksum in missing(self._applied(), known):
                self._script(script)
                values = {"number": number, "checksum": checksum, "applied": int(time.time() * 1000)}
                self.execute("/* migrate */ INSERT INTO migration VALUES (:number, :checksum, :applied)", **values)

    def close(self) -> None:
        """Close the connection; the store can be opened again."""
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    def interrupt(self) -> None:
        """From another thread, break off what is under way."""
        connection = self._connection
        if connection is not None:
            with contextlib.suppress(psycopg.Error):
                connection.cancel_safe(timeout=1.0)

    @property
    def is_open(self) -> bool:
        """True between `open` and `close`."""
        return self._connection is not None

    @property
    def replaced(self) -> bool:
        """True if the server has ended the connection, as far as that was noticed."""
        return self._connection is not None and (self._connection.closed or self._connection.broken)

    @property
    def in_transaction(self) -> bool:
        """True within `transaction` or `snapshot`."""
        return self.connection.info.transaction_status != TransactionStatus.IDLE

    @property
    def connection(self) -> psycopg.Connection[Row]:
        """The open connection."""
        if self._connection is None:
            raise StoreError("the database is not open")
        return self._connection

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Write all or nothing, while nobody else writes; waits for others as long as `wait_at_most` says."""
        self.is_in_doubt = False
        try:
            self._script(_BEGIN.format(patience=max(1, int(self._patience * 1000))))
            yield
            self._commit()
        except BaseException:
            self._forget_words()
            self._days.clear()
            self._roll_back()
            raise

    def _commit(self) -> None:
        """PostgreSQL answers COMMIT after a failed statement with a silent ROLLBACK."""
        if self.connection.info.transaction_status != TransactionStatus.INTRANS:
            raise StoreError("InFailedSqlTransaction")
        try:
            self._script("COMMIT")
        except StoreError:
            self.is_in_doubt = True
            raise

    def _roll_back(self) -> None:
        if self._connection is not None and not self._connection.closed:
            with contextlib.suppress(StoreError):
                self._script("ROLLBACK")

    @contextlib.contextmanager
    def savepoint(self) -> Iterator[None]:
        """Within a transaction, take back a part of it if that part fails."""
        self._script("SAVEPOINT part")
        try:
            yield
        except BaseException:
            with contextlib.suppress(StoreError):
                self._script("ROLLBACK TO part; RELEASE part")
            raise
        self._script("RELEASE part")

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read several times from one state of the database."""
        limit = f"SET LOCAL statement_timeout = {int(self._reading_patience * 1000)}" if self._reading_patience else ""
        self._script(f"BEGIN ISOLATION LEVEL REPEATABLE READ; {limit}")
        try:
            yield
        finally:
            self._roll_back()

    @contextlib.contextmanager
    def scratch(self) -> Iterator[None]:
        """Have tables of this connection's own (TEMP): in a transaction that leaves nothing."""
        is_within = self.in_transaction
        self._script("SAVEPOINT scratch" if is_within else "BEGIN")
        try:
            yield
        finally:
            with contextlib.suppress(StoreError):
                self._script("ROLLBACK TO scratch; RELEASE scratch" if is_within else "ROLLBACK")

    def filled(self, table: str) -> None:
        """Have the server look at a temporary table before it is joined: else it takes it for nearly empty."""
        self._script(f"ANALYZE {table}")

    # --- statements --------------------------------------------------------------------------------------------------------

    def rows(self, query: str, **values: Any) -> list[dict[str, Any]]:
        """Return the rows of a query as dictionaries."""
        try:
            with self.connection.execute(_translated(query), values) as cursor:
                names = [column.name for column in cursor.description or ()]
                return [dict(zip(names, row, strict=True)) for row in cursor]
        except psycopg.Error as error:
            raise _as_ours(error) from error

    def tuples(self, query: str, **values: Any) -> list[Row]:
        """Return the rows of a query as tuples."""
        try:
            with self.connection.execute(_translated(query), values) as cursor:
                return cursor.fetchall()
        except psycopg.Error as error:
            raise _as_ours(error) from error

    def portions(self, query: str, most: int) -> Iterator[list[dict[str, Any]]]:
        """Return the rows of a query in a transaction, so many at a time: not all of them are in memory at once."""
        try:
            with self.connection.cursor(name="portions") as cursor:
                cursor.execute(query)
                names = [column.name for column in cursor.description or ()]
                while rows := cursor.fetchmany(most):
                    yield [dict(zip(names, row, strict=True)) for row in rows]
        except psycopg.Error as error:
            raise _as_ours(error) from error

    def execute(self, query: str, **values: Any) -> int:
        """Run one statement that writes; returns how many rows it took."""
        try:
            with self.connection.execute(_translated(query), values) as cursor:
                return cursor.rowcount
        except psycopg.Error as error:
            raise _as_ours(error) from error

    def execute_many(self, query: str, rows: Iterable[Mapping[str, Any] | Sequence[Any]]) -> None:
        """Run one statement for each of many rows."""
        try:
            with self.connection.cursor() as cursor:
                cursor.executemany(_translated(query), rows)
        except psycopg.Error as error:
            raise _as_ours(error) from error

    def _script(self, statements: str) -> None:
        """Run fixed text of ours, without values, in one message to the server."""
        try:
            self.connection.execute(statements).close()
        except psycopg.Error as error:
            raise _as_ours(error) from error

    # --- hits --------------------------------------------------------------------------------------------------------------

    def add_rows(self, rows: Sequence[Row], *, columns: Sequence[str] = queries.HIT_COLUMNS) -> None:
        """Insert prepared hits, in a transaction of the caller's."""
        day = columns.index("day")
        self._make_days({row[day] for row in rows} - self._days)
        try:
            with self.connection.cursor() as cursor, cursor.copy(_copy(tuple(columns))) as copy:
                copy.set_types([_TYPES[column] for column in columns])
                for row in rows:
                    copy.write_row(row)
        except psycopg.Error as error:
            raise _as_ours(error) from error

    def count_on(self) -> None:
        """After rows came in with numbers of their own, go on numbering after them."""
        self._script("SELECT setval('hit_id', MAX(id)) FROM hit")
        for table in (*queries.DICTIONARIES, "audit"):
            self._script(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), MAX(id)) FROM {table}")

    def _make_days(self, days: set[int]) -> None:
        """Have a partition for each day. It is attached when it is made: so those who read need not wait."""
        if not days:
            return
        known = {day for (day,) in self.tuples(_DAYS)}
        for day in sorted(days - known):
            self._script(
                f"CREATE TABLE hit_{day:d} (LIKE hit INCLUDING DEFAULTS INCLUDING INDEXES); "
                f"ALTER TABLE hit ATTACH PARTITION hit_{day:d} FOR VALUES FROM ({day:d}) TO ({day + 1:d})"
            )
        self._days |= days | known

    def drop_days(self, *, before: int, after: int, only_counted: bool) -> int:
        """Drop the partitions of days before `before`, and after `after`; of those that somebody reads just now, rows are deleted instead.

        Returns how many hits they held. With `only_counted`, a day into which hits came since it was counted stays.
        """
        dropped = 0
        for (day,) in self.tuples(_DAYS):
            if day < before or day > after:
                with contextlib.suppress(StoreError):
                    dropped += self._drop_day(day, only_counted=only_counted and day < before)
        return dropped

    def _drop_day(self, day: int, *, only_counted: bool) -> int:
        patience, self._patience = self._patience, DROP_SECONDS
        try:
            with self.transaction():
                hits, last = self.tuples(f"/* store.drop_days */ SELECT COUNT(*), COALESCE(MAX(id), 0) FROM hit_{day:d}")[0]
                if only_counted and hits and not self.value(_COUNTED, day=day, last=last):
                    return 0
                self._script(f"DROP TABLE hit_{day:d}")
                return int(hits)
        finally:
            self._patience = patience
            self._days.discard(day)

    def checkpoint(self) -> bool:
        """Have deleted rows taken out of their tables; those of keys are written anew. False if somebody stood in the way: try again.

        What the server keeps besides, its journal (WAL) and backups, is its administrator's.
        """
        self._was_skipped = False
        self._script(f"/* store.checkpoint */ VACUUM (SKIP_LOCKED) {', '.join(self.columns())}")
        for table in KEYS:
            self._script(f"/* store.checkpoint */ VACUUM (FULL, SKIP_LOCKED) {table}")
        return not self._was_skipped

    def mix(self, *, since: int) -> None:
        """Write the submissions since a day anew, all at once and by their random identifiers.

        Each row has the number of the transaction that wrote it, and a place in its file: both would tell between which visits it came.
        """
        with self.transaction():
            for query in queries.REWRITE:
                self.execute(query, since=since)
        for table in ("subject", "field", "submission", "consent"):
            patience = f"SET LOCAL lock_timeout = '{DROP_SECONDS:.0f}s'"
            with contextlib.suppress(StoreError):  # somebody reads it just now: tomorrow again
                self._script(f"/* purge.mix */ BEGIN; {patience}; CLUSTER {table} USING {table}_pkey; COMMIT")
            if self.in_transaction:
                self._roll_back()

    def _noticed(self, notice: psycopg.errors.Diagnostic) -> None:
        if notice.sqlstate == LockNotAvailable.sqlstate:
            self._was_skipped = True

    # --- the database ------------------------------------------------------------------------------------------------------

    def columns(self) -> dict[str, list[str]]:
        """Return the columns of every table, without the partitions."""
        found: dict[str, list[str]] = {}
        for table, column in self.tuples(_COLUMNS):
            found.setdefault(table, []).append(column)
        return found

    def size(self) -> int:
        """Return how many bytes the tables take."""
        return int(self.value(_SIZE) or 0)


class _Text(StrDumper):
    """Text of PostgreSQL holds no NUL."""

    def dump(self, obj: str) -> Buffer | None:
        return super().dump(obj.replace("\0", "\ufffd") if "\0" in obj else obj)


class _WholeNumber(Loader):
    """Sums of whole numbers are whole numbers, not decimals."""

    def load(self, data: Buffer) -> int:
        return int(bytes(data))


_TYPES: Final = {
    "id": "int8", "day": "int4", "time": "int8", "visitor": "int8", "address": "bytea", "method": "int2", "page": "int4", "kind": "int2",
    "status": "int2", "source": "int4", "campaign": "int4", "agent": "int4", "language": "int4", "country": "text", "sent": "int8",
    "aborted": "int2", "duration": "int4",
}  # fmt: skip
"""What binary COPY must know of each column: a sixth faster than text."""


@cache
def _copy(columns: tuple[str, ...]) -> str:
    return f"/* recorder.add_hits */ COPY hit ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)"


@lru_cache(maxsize=1000)
def _translated(query: str) -> str:
    """Write the placeholders as the driver wants them; `%` is an operator of ours."""
    return _MARKED.sub(r"%(\1)s", query.replace("%", "%%"))


def _as_ours(error: psycopg.Error) -> StoreError:
    """Return the error of ours that says the same; its text is PostgreSQL's name of the fault, which holds no value."""
    name = type(error).__name__
    state = error.sqlstate or ""
    is_refused = state[:2] in ("22", "23") or (not state and isinstance(error, (psycopg.DataError, psycopg.ProgrammingError)))
    return Unstorable(name) if is_refused else StoreError(name)
