"""Keeps hits in a SQLite file of this host while the server that holds the database is away, and brings each to it once.

The file is open only while something is put in or taken out: so nothing of it crosses a fork.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ..collect.agent import Agent
from ..collect.hit import Hit
from ..collect.source import Source
from ..errors import StoreError
from ..store import queries, statistics_queries
from ..store.base import LAST_DAY, Row, Store
from ..store.sqlite import SQLiteStore

MOST_WAITING: Final = 5_000_000
"""Hits in the file at most (about half a gigabyte)."""
A_BATCH: Final = 1_000
BATCHES_A_TURN: Final = 20
_HOST: Final = "host"


class WaitingHits:
    """The file. Several processes of a host share it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, hits: Sequence[Hit], *, today: int) -> bool:
        """Put hits into the file; False if there are too many already. Hits of days before yesterday go.

        Raises:
            StoreError: if it cannot be written.
        """
        with self._open() as file:
            if _amount(file) + len(hits) > MOST_WAITING:
                return False
            with file.transaction():
                file.add_hits(hits)
            _purge(file, today=today)
            return True

    def move(self, store: Store, *, today: int) -> int:
        """Bring hits to the database, some at a turn; returns how many were deleted instead, since they waited for too long.

        The database notes how far it has them, in the same transaction: if this breaks off anywhere, none comes twice.

        Raises:
            StoreError: if file or database cannot be written.
        """
        if not self.path.exists():
            return 0
        with self._open() as file:
            gone = _purge(file, today=today)
            for _ in range(BATCHES_A_TURN):
                with file.transaction():
                    if not _move_some(file, store):
                        break
            if not _amount(file):
                file.purge_words()
                file.checkpoint()
            return gone

    def bring_in(self, store: Store, *, today: int, complain: Callable[..., None]) -> int:
        """As `move`; but a fault is only told of, since one of the file must not stop what comes in meanwhile."""
        try:
            return self.move(store, today=today)
        except StoreError as error:  # one of the database shows at its next use
            complain("waiting", "visits that waited cannot be brought to the database (%s)", error)
            return 0

    def is_empty(self) -> bool:
        """Tell whether nothing waits."""
        if not self.path.exists():
            return True
        with self._open() as file:
            return not _amount(file)

    @contextmanager
    def _open(self) -> Iterator[SQLiteStore]:
        file = SQLiteStore(self.path)
        file.open()
        try:
            yield file
        finally:
            file.close()


def _move_some(file: SQLiteStore, store: Store) -> int:
    name = f"waiting {_host(file)}"
    file.execute(queries.DELETE_WAITING, last=store.mark(name) or 0)
    rows = file.tuples(queries.WAITING, most=A_BATCH)
    if rows:
        with store.transaction():
            store.add_hits([_hit(row) for row in rows])
            store.set_mark(name, rows[-1][0])
        file.execute(queries.DELETE_WAITING, last=rows[-1][0])
    return len(rows)


def _amount(file: SQLiteStore) -> int:
    return int(file.value(queries.WAITING_AMOUNT))


def _host(file: SQLiteStore) -> int:
    """Return the random number by which the database knows this file."""
    host = file.mark(_HOST)
    if host is None:
        host = secrets.randbits(62)
        file.set_mark(_HOST, host)
    return host


def _purge(file: SQLiteStore, *, today: int) -> int:
    """Delete the hits of days before yesterday: their salts are gone, and with them the means to find whose they are and to erase them."""
    return sum(file.purge(before=today - 1)) if _oldest(file) < today - 1 else 0


def _oldest(file: SQLiteStore) -> int:
    first = file.value(statistics_queries.OLDEST_DAY)
    return LAST_DAY if first is None else int(first)


def _hit(row: Row) -> Hit:
    (
        _, day, time, visitor, address, method, path, site, kind, status, source_kind, source, campaign, browser, os, device, bot,
        language, country, sent, aborted, duration,
    ) = row  # fmt: skip
    return Hit(
        day, time, visitor, address, method, path, site, kind, status, Source(source_kind, source), campaign,
        Agent(browser, os, device, bot), language, country, sent, aborted, duration,
    )  # fmt: skip
