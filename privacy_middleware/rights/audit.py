"""Notes every decision, access and change: when, who, what kind; never a value. Each entry is chained by hash to the one before."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from ..store import queries
from ..store.base import Store

SYSTEM: Final = "system"
PERSON: Final = "the person"
_FACTS: Final = ("time", "actor", "action", "object", "subject")


class Verified(NamedTuple):
    """What a look at the whole chain found."""

    entries: int
    head: str
    """The hash of the newest entry: note it elsewhere, and nobody can change what came before it."""
    broken: int | None
    """The number of the first entry that was changed, or that follows one that is gone."""


def note(store: Store, *, now: int, actor: str, action: str, about: str = "", subject: bytes | None = None) -> None:
    """Add an entry, in a transaction of the caller's; `subject` is the blind index of the person whom it is about."""
    newest = store.rows(queries.LAST_AUDIT)
    texts = {"actor": actor, "action": action, "object": about}
    entry = {"time": now, **{name: text.replace("\0", "\ufffd") for name, text in texts.items()}, "subject": subject}
    store.execute(queries.ADD_AUDIT, **entry, chain=_link(newest[0]["chain"] if newest else None, entry))


def verify(store: Store, *, known: str = "") -> Verified:
    """Look at every entry. `known` is a head noted earlier, which must still be in the chain.

    The oldest entries go with their retention; of the last of these the hash stays. There were entries before there was a chain.
    """
    rows = store.rows(queries.AUDITED)
    before: bytes | None = None
    for number, row in enumerate(rows):
        is_anchor = number == 0 and not row["action"]
        is_older = before is None and row["chain"] is None
        if not (is_anchor or is_older) and row["chain"] != _link(before, row):
            return Verified(len(rows), "", row["id"])
        before = row["chain"]
    entries = sum(bool(row["action"]) for row in rows)
    if known and known not in {row["chain"].hex() for row in rows if row["chain"]}:
        return Verified(len(rows), "", rows[-1]["id"] if rows else 0)
    return Verified(entries, before.hex() if before else "", None)


def _link(before: bytes | None, entry: Mapping[str, Any]) -> bytes:
    return hashlib.sha256((before or b"") + msgspec.json.encode([entry[name] for name in _FACTS])).digest()
