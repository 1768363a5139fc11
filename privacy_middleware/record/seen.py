"""Says what is recorded of a visitor: kinds and counts, never pages, since two people can share an address and a browser."""

from __future__ import annotations

from typing import NamedTuple

from ..collect.hit import KINDS
from ..store import queries
from ..store.base import Store
from .salts import DaySalts


class Seen(NamedTuple):
    """How many hits of one kind are recorded of a visitor on one of the owner's days, and from when to when (epoch milliseconds)."""

    day: int
    kind: str
    amount: int
    first: int
    last: int


def seen(store: Store, salts: DaySalts, identity: bytes) -> list[Seen]:
    """Look under the pseudonyms that an identity has on the days whose salts live."""
    pseudonyms = {salt.day: salt.pseudonym(identity) for salt in salts.living(store)}
    return [
        Seen(day, KINDS[row["kind"]], row["amount"], row["first"], row["last"])
        for day, visitor in sorted(pseudonyms.items())
        for row in store.rows(queries.SEEN, day=day, visitor=visitor)
    ]
