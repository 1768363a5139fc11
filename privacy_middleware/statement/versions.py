"""Knows when the statement last changed: each new content is noted once, with its date, by whichever worker is first."""

from __future__ import annotations

import hashlib

import msgspec

from ..store.sqlite import SQLiteStore
from .section import Section


def digest(sections: tuple[Section, ...]) -> bytes:
    """Return the SHA-256 of the statement's canonical form."""
    return hashlib.sha256(msgspec.json.encode(sections)).digest()


def in_force_since(store: SQLiteStore, sections: tuple[Section, ...], *, now: int) -> int:
    """Return the instant (epoch milliseconds) since when this content is in force."""
    return store.statement_since(digest(sections), now=now)
