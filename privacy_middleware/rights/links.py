"""Links in mails: a random id of 256 bits stands in the link; only its keyed hash is stored, bound to a request and a purpose."""

from __future__ import annotations

import secrets
from typing import Final, Literal

from ..store import queries
from ..store.base import Store
from ..vault import token_hash

Purpose = Literal["confirm", "overview", "correct", "status"]
HOUR: Final = 3_600_000
LIFE: Final[dict[Purpose, int]] = {"confirm": 24 * HOUR, "overview": 72 * HOUR, "correct": 72 * HOUR, "status": 400 * 24 * HOUR}
USES: Final[dict[Purpose, int]] = {"confirm": 1, "overview": 3, "correct": 1, "status": 1}
"""How often a link may act: an overview can be downloaded three times. To look at what it would do costs nothing."""


def make(store: Store, root: bytes, request: bytes, purpose: Purpose, *, now: int) -> str:
    """Return a new id, in a transaction of the caller's."""
    token = secrets.token_urlsafe(32)
    hash_ = token_hash(root, "link", token)
    store.execute(queries.ADD_LINK, hash=hash_, request=request, purpose=purpose, expires=now + LIFE[purpose], uses=USES[purpose])
    return token


def find(store: Store, root: bytes, token: str, purpose: Purpose, *, now: int) -> tuple[bytes, int] | None:
    """Return the request that a link belongs to, and how often it may still act; None if it is none of ours, late, or for another purpose.

    It is sought by a keyed hash: the time that takes tells nothing of the ids that there are.
    """
    rows = store.rows(queries.LINK, hash=token_hash(root, "link", token))
    if not rows or rows[0]["purpose"] != purpose or rows[0]["expires"] <= now:
        return None
    return rows[0]["request"], rows[0]["uses"]


def use(store: Store, root: bytes, token: str) -> bool:
    """Take one of the uses of a link, and of all of its request and purpose, in the transaction of what it does; False if none is left."""
    return store.execute(queries.USE_LINK, hash=token_hash(root, "link", token)) > 0
