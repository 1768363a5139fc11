"""Moves everything from one database to another: hits in portions, so that it can go on where it was broken off, and the rest at one go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from ..errors import StoreError
from . import queries, transfer_queries
from .base import Store

UNDER_WAY: Final = "migrating"
"""The mark of a database that is being filled."""
A_PORTION: Final = 10_000
_OWN: Final = frozenset({"migration"})


def move(source: Store, target: Store, *, progress: Callable[[int], object] = bool) -> dict[str, tuple[int, int]]:
    """Copy everything from one open database to another; returns how many rows of each table are there and here.

    Nothing is deleted at the source, whose writers wait meanwhile. `progress` is told how many rows have come.

    Raises:
        StoreError: if the target holds something already that did not come from a move that was broken off.
    """
    _begin(target)
    with source.transaction():
        _move_hits(source, target, progress)
        _move_rest(source, target, progress)
        return {table: (_amount(source, table), _amount(target, table)) for table in tables(source)}


def amount(store: Store) -> int:
    """Return how many rows there are to move."""
    return sum(_amount(store, table) for table in tables(store))


def tables(store: Store) -> list[str]:
    """Return the tables that are moved."""
    return [table for table in store.columns() if table not in _OWN]


def _begin(target: Store) -> None:
    if target.mark(UNDER_WAY) is None and any(_amount(target, table) for table in tables(target)):
        raise StoreError(f"{target.place} holds something already: nothing is moved; name an empty database")
    with target.transaction():
        target.set_mark(UNDER_WAY, 1)


def _move_hits(source: Store, target: Store, progress: Callable[[int], object]) -> None:
    for table in queries.DICTIONARIES:
        columns = source.columns()[table]
        with target.transaction():
            for portion in source.portions(transfer_queries.read(table, columns), A_PORTION):
                target.execute_many(transfer_queries.write_word(table, columns), portion)
    columns = ["id", *queries.HIT_COLUMNS]
    after = _done(source, target)
    progress(target.value(transfer_queries.amount("hit")))
    while rows := source.tuples(transfer_queries.hits_after(columns), after=after, most=A_PORTION):
        with target.transaction():
            target.add_rows(rows, columns=columns)
        after = rows[-1][0]
        progress(len(rows))


def _done(source: Store, target: Store) -> int:
    """Return up to which hit they have come; if hits were deleted since, that begins anew."""
    last = int(target.value(queries.LAST_HIT))
    if source.value(transfer_queries.HITS_UP_TO, last=last) == target.value(transfer_queries.HITS_UP_TO, last=last):
        return last
    with target.transaction():
        target.execute(transfer_queries.CLEAR_HITS)
    return 0


def _move_rest(source: Store, target: Store, progress: Callable[[int], object]) -> None:
    """All or nothing: what people sent, requests and figures belong together."""
    columns = source.columns()
    with target.transaction():
        for table in _rest(source):
            target.execute(transfer_queries.clear(table))
        for table in _rest(source):
            for portion in source.portions(transfer_queries.read(table, columns[table]), A_PORTION):
                target.execute_many(transfer_queries.write(table, columns[table]), portion)
                progress(len(portion))
        target.execute(transfer_queries.UNDO_MARK, name=UNDER_WAY)
        target.count_on()


def _rest(source: Store) -> Iterator[str]:
    return (table for table in tables(source) if table not in queries.DICTIONARIES and table != "hit")


def _amount(store: Store, table: str) -> int:
    return int(store.value(transfer_queries.amount(table)))
