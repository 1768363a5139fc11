"""What every database does alike: hits, salts, leases, marks and purges, by the SQL of `queries`, over the connection of a child class.

Errors of a driver never leave a store: they come out as `StoreError` with the driver's name of the fault as their text, since its own
text could hold a value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

from ..collect.hit import Hit
from . import queries, statistics_queries

WORDS_IN_MEMORY: Final = 50_000
LAST_DAY: Final = 2**31
BUSY_SECONDS: Final = 5.0

Row = tuple[Any, ...]


class Store:
    """One connection, for one thread at a time. `open` before use; `close` on every path, and before a fork."""

    def __init__(self) -> None:
        self._words: dict[str, dict[tuple[str, ...], int]] = {table: {} for table in queries.DICTIONARIES}
        self._generation = -1
        self._patience = BUSY_SECONDS

    # --- what each database does its own way -------------------------------------------------------------------------------

    place: str
    """Where the database is, as a message names it: without a password."""
    is_shared = False
    """True if it is on a server, so that it can be away while this host serves."""

    def another(self) -> Store:
        """Return a store of the same database, not opened yet."""
        raise NotImplementedError

    def exists(self) -> bool:
        """Tell whether there is a database that could be opened; of a server that is not known before."""
        raise NotImplementedError

    def open(self, *, mend: bool = True) -> None:
        """Connect, and bring the schema up to date. A damaged file is set aside if `mend`, and refused if not.

        Raises:
            StoreError: if it cannot be opened or written; SchemaTooNew if a newer package wrote it.
        """
        raise NotImplementedError

    def open_to_read(self, *, patience: float | None = None, as_it_is: bool = False) -> None:
        """Connect without writing anything; what takes longer than `patience` seconds altogether is broken off.

        With `as_it_is`, a file whose newest rows cannot be seen is refused.

        Raises:
            StoreError: if it cannot be read; SchemaTooNew if a newer package wrote it.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Close the connection; the store can be opened again."""
        raise NotImplementedError

    def interrupt(self) -> None:
        """From another thread, break off what is under way."""
        raise NotImplementedError

    def set_aside(self) -> None:
        """Move a damaged database out of the way, where that can be done."""

    def problems(self) -> list[str]:
        """Return what is wrong with where the database is kept, each with its remedy."""
        return []

    def size(self) -> int:
        """Return how many bytes it takes."""
        raise NotImplementedError

    def columns(self) -> dict[str, list[str]]:
        """Return the columns of every table of ours."""
        raise NotImplementedError

    @property
    def is_open(self) -> bool:
        """True between `open` and `close`."""
        raise NotImplementedError

    @property
    def replaced(self) -> bool:
        """True if what is written now would go nowhere, since the database is another one than was opened."""
        return False

    @property
    def in_transaction(self) -> bool:
        """True within `transaction` or `snapshot`."""
        raise NotImplementedError

    def transaction(self) -> AbstractContextManager[None]:
        """Write all or nothing. One at a time writes; the others wait, for as long as `wait_at_most` says."""
        raise NotImplementedError

    def savepoint(self) -> AbstractContextManager[None]:
        """Within a transaction, take back a part of it if that part fails."""
        raise NotImplementedError

    def snapshot(self) -> AbstractContextManager[None]:
        """Read several times from one state of the database."""
        raise NotImplementedError

    def scratch(self) -> AbstractContextManager[None]:
        """Have tables of this connection's own (TEMP), until the end of the block."""
        raise NotImplementedError

    def filled(self, table: str) -> None:
        """Say that a table of the connection's own has its rows now, and is about to be read."""

    def rows(self, query: str, **values: Any) -> list[dict[str, Any]]:
        """Return the rows of a query as dictionaries."""
        raise NotImplementedError

    def tuples(self, query: str, **values: Any) -> list[Row]:
        """Return the rows of a query as tuples."""
        raise NotImplementedError

    def portions(self, query: str, most: int) -> Iterator[list[dict[str, Any]]]:
        """Return the rows of a query in a transaction, so many at a time: not all of them are in memory at once."""
        raise NotImplementedError

    def execute(self, query: str, **values: Any) -> int:
        """Run one statement that writes; returns how many rows it took."""
        raise NotImplementedError

    def execute_many(self, query: str, rows: Iterable[Mapping[str, Any] | Sequence[Any]]) -> None:
        """Run one statement for each of many rows."""
        raise NotImplementedError

    def add_rows(self, rows: Sequence[Row], *, columns: Sequence[str] = queries.HIT_COLUMNS) -> None:
        """Insert prepared hits, in a transaction of the caller's."""
        raise NotImplementedError

    def count_on(self) -> None:
        """After rows came in with numbers of their own, go on numbering after them."""

    def checkpoint(self) -> bool:
        """See that what was deleted is not left in a journal either. False if something stood in the way: try again."""
        raise NotImplementedError

    def drop_days(self, *, before: int, after: int, only_counted: bool) -> int:
        """Drop whole days of hits at once, where the database keeps days apart; returns how many hits."""
        del before, after, only_counted
        return 0

    is_in_doubt = False
    """True if the end of the last transaction was cut off, so that nobody knows whether it was done."""

    def mix(self, *, since: int) -> None:
        """See that nothing tells in which order submissions since a day came: beside the order of visits, it could tell whose they are."""

    def wait_at_most(self, seconds: float) -> None:
        """From now on wait no longer than this for another writer."""
        self._patience = seconds

    def _word(self, table: str, key: tuple[str, ...]) -> int:
        """Find or add a word that is not in memory, and keep its number there."""
        words = self._words[table]
        if len(words) >= WORDS_IN_MEMORY:
            words.clear()
        bound = dict(zip(queries.DICTIONARIES[table], key, strict=True))
        found = self.tuples(queries.find_word(table), **bound) or self.tuples(queries.add_word(table), **bound)
        words[key] = number = int(found[0][0])
        return number

    def has_table(self, name: str) -> bool:
        """Tell whether the database, as it was opened, has a table; one that was opened to be read may be of an older version."""
        return name in self.columns()

    def value(self, query: str, **values: Any) -> Any:
        """Return the only value of a query; None if it has no row."""
        found = self.tuples(query, **values)
        return found[0][0] if found else None

    # --- hits --------------------------------------------------------------------------------------------------------------

    def add_hits(self, hits: Sequence[Hit]) -> None:
        """Insert hits, in a transaction of the caller's. Those of a visitor who has since erased them do not stay."""
        self._refresh_words()
        after = self.value(queries.LAST_HIT) if self.value(queries.ANY_FORGOTTEN) else None
        self.add_rows([self._row(hit) for hit in hits])
        if after is not None:
            self.execute(queries.FORGET_LATE_HITS, after=after)

    def _row(self, hit: Hit) -> Row:
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
            int(aborted),
            duration,
        )

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
            self.execute(queries.ADD_SALT, day=day, value=proposal)
            return bytes(self.value(queries.SALT, day=day))

    def live_salts(self) -> dict[int, bytes]:
        """Return the salts that are not destroyed yet, by day."""
        return {row["day"]: bytes(row["value"]) for row in self.rows(queries.LIVE_SALTS)}

    def destroy_salts(self, *, before: int, after: int) -> int:
        """Overwrite the salts of days before `before`, and after `after` (of a clock that was wrong); returns how many.

        Call `checkpoint` until it says True.
        """
        with self.transaction():
            self.execute(queries.DESTROY_FORGOTTEN, before=before)
            return self.execute(queries.DESTROY_SALTS, before=before, after=after)

    # --- erasing, purging, counting ----------------------------------------------------------------------------------------

    def forget(self, visitors: Sequence[tuple[int, int]], *, until: int) -> dict[tuple[int, int], int]:
        """Delete the hits of (day, visitor) pairs up to an instant, and keep late ones from coming back; returns how many of each."""
        days = {day for day, _ in visitors}
        with self.transaction():
            self.execute_many(queries.FORGET, [{"day": day, "visitor": visitor, "until": until} for day, visitor in visitors])
            self.execute_many(queries.UNTIE, [{"day": day, "visitor": visitor} for day, visitor in visitors])
            found = {(row["day"], row["visitor"]): row["hits"] for day in days for row in self.rows(queries.FORGOTTEN_HITS, day=day)}
            for day in days if found else ():
                self.execute(queries.FORGET_HITS, day=day)
                self.execute(statistics_queries.FORGET_OPEN_ROWS, day=day)
                self.execute(statistics_queries.FORGET_OPEN_DAY, day=day)
            return found

    def purge(self, *, before: int, after: int = LAST_DAY, most: int = 5000, only_counted: bool = False) -> Iterator[int]:
        """Delete the hits of days before `before`, and after `after` (of a clock that was wrong), a short transaction at a time.

        Yields how many each one took. With `only_counted`, what came in since its day was counted stays for now.
        """
        delete = statistics_queries.PURGE_COUNTED_HITS if only_counted else queries.PURGE_HITS
        self.execute(queries.UNTIE_OLD, before=before)
        self.execute(statistics_queries.MARK_PURGED, before=before)  # first: a day that is purged in part must not be counted again
        dropped = self.drop_days(before=before, after=after, only_counted=only_counted)
        if dropped:
            yield dropped
        while True:
            with self.transaction():
                purged = self.execute(delete, before=before, after=after, most=most)
            yield purged
            if purged < most:
                with self.transaction():
                    for query in statistics_queries.PUT_TOGETHER:
                        self.execute(query, before=before, other=statistics_queries.OTHER)
                return

    def purge_words(self) -> int:
        """Delete pages, sources and so on that no hit names any more; returns how many."""
        after = self.value(queries.LAST_HIT)
        unused = [(table, row["id"]) for table in queries.DICTIONARIES for row in self.rows(queries.unused_words(table))]
        if not unused:
            return 0
        with self.transaction():
            purged = sum(self.execute(queries.purge_word(table), id=number, after=after) for table, number in unused)
            self.set_mark("words", (self.mark("words") or 0) + 1)
        return purged

    def purge_counters(self, *, before: int) -> None:
        """Delete the counters of days before `before`."""
        with self.transaction():
            self.execute(queries.PURGE_COUNTERS, before=before)

    def count(self, amounts: Mapping[str, int], *, day: int) -> None:
        """Add to named counters of a day, in a transaction of the caller's."""
        self.execute_many(queries.COUNT, [{"day": day, "name": name, "amount": amount} for name, amount in amounts.items()])

    def mark(self, name: str) -> int | None:
        """Return a number that was noted under a name, or None."""
        value: int | None = self.value(queries.MARK, name=name)
        return value

    def set_mark(self, name: str, value: int) -> None:
        """Note a number under a name."""
        self.execute(queries.SET_MARK, name=name, value=value)

    def take_lease(self, name: str, holder: str, *, now: int, until: int) -> bool:
        """Take or keep the right to do a job until an instant; False if another process holds it."""
        with self.transaction():
            self.execute(queries.TAKE_LEASE, name=name, holder=holder, now=now, until=until)
            return bool(self.value(queries.LEASE_HOLDER, name=name) == holder)

    def give_lease_back(self, name: str, holder: str) -> None:
        """Let another process do a job at once."""
        with self.transaction():
            self.execute(queries.GIVE_LEASE_BACK, name=name, holder=holder)

    # --- imports -----------------------------------------------------------------------------------------------------------

    def imported(self) -> set[tuple[int, bytes]]:
        """Return how far access logs were imported: (lines, keyed hash of them)."""
        return {(row["lines"], bytes(row["digest"])) for row in self.rows(queries.IMPORTED)}

    def add_imported(self, lines: int, digest: bytes) -> None:
        """Note how far an access log was imported, in the transaction of its hits."""
        self.execute(queries.ADD_IMPORTED, lines=lines, digest=digest)


def near(path: Path) -> Path:
    """Name a path as one from the working folder, if it is in it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
