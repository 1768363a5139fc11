"""Who may see the owner's pages: links to sign in, the password's hash, and sessions, which stand in the database by keyed hashes only.

Limits and lifetimes follow OWASP's "Session Management" and "Authentication" cheat sheets; scrypt is RFC 7914.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import Final, Literal, NamedTuple

from .store import access_queries as queries
from .store.base import Store
from .vault import Vault, token_hash

Role = Literal["viewer", "officer"]
ROLES: Final[tuple[Role, ...]] = ("viewer", "officer")
"""A viewer sees statistics only; an officer also data requests, submissions, audit and settings."""
MINUTE: Final = 60_000
HOUR: Final = 60 * MINUTE
LINK_LIFE: Final = 15 * MINUTE
IDLE: Final = 2 * HOUR
LONGEST: Final = 12 * HOUR
_NOTED_EVERY: Final = MINUTE
MOST_TRIES: Final = {"network": 10, "all": 100}
"""How often somebody may try to sign in within an hour: from one network, and in all."""
SHORTEST_PASSWORD: Final = 12
_COST: Final = (2**15, 8, 1)
_MEMORY: Final = 64 * 2**20


class Session(NamedTuple):
    """Somebody who is signed in."""

    role: Role
    began: int
    """Epoch milliseconds."""


def fingerprint(vault: Vault, password_hash: str) -> str:
    """Return what sessions are bound to: with another password or another secret key they end."""
    return hashlib.sha256(vault.newest + password_hash.encode()).hexdigest()[:16]


def make_link(store: Store, root: bytes, role: Role, *, now: int) -> str:
    """Return the id of a link that signs in once, in a transaction of the caller's."""
    store.execute(queries.PURGE_SIGN_INS, now=now)
    token = secrets.token_urlsafe(32)
    store.execute(queries.ADD_SIGN_IN, hash=token_hash(root, "sign-in", token), role=role, expires=now + LINK_LIFE)
    return token


def is_link(store: Store, root: bytes, token: str, *, now: int) -> bool:
    """Tell whether a link still signs in."""
    return bool(store.rows(queries.SIGN_IN, hash=token_hash(root, "sign-in", token), now=now))


def redeem(store: Store, root: bytes, token: str, *, way: str, now: int) -> str | None:
    """Use a link, in a transaction of the caller's; returns the session's id, or None if the link does not hold any more."""
    hash_ = token_hash(root, "sign-in", token)
    found = store.rows(queries.SIGN_IN, hash=hash_, now=now)
    if not found or not store.execute(queries.USE_SIGN_IN, hash=hash_):
        return None
    return begin(store, root, found[0]["role"], way=way, now=now)


def begin(store: Store, root: bytes, role: Role, *, way: str, now: int) -> str:
    """Begin a session under a new id, in a transaction of the caller's; `way` is its `fingerprint`."""
    store.execute(queries.PURGE_SESSIONS, used=now - IDLE, began=now - LONGEST, now=now)
    token = secrets.token_urlsafe(32)
    store.execute(queries.ADD_SESSION, hash=token_hash(root, "session", token), role=role, way=way, now=now)
    return token


def session(store: Store, root: bytes, token: str, *, way: str, now: int) -> Session | None:
    """Return whose session this is, and note that it is used; None if it is none, or over."""
    hash_ = token_hash(root, "session", token)
    found = store.rows(queries.SESSION, hash=hash_, way=way, used=now - IDLE, began=now - LONGEST, now=now)
    if not found:
        return None
    if now - found[0]["used"] > _NOTED_EVERY:
        store.execute(queries.USE_SESSION, hash=hash_, now=now)
    return Session(found[0]["role"], found[0]["began"])


def end(store: Store, root: bytes, token: str) -> None:
    """Sign out."""
    store.execute(queries.END_SESSION, hash=token_hash(root, "session", token))


def end_all(store: Store) -> None:
    """Sign out everywhere, and let no link that was given out sign in."""
    store.execute(queries.END_SESSIONS)
    store.execute(queries.END_SIGN_INS)


def was_asked_for(store: Store, *, now: int) -> bool:
    """Tell whether a link waits, or somebody is signed in: then the pages are there."""
    return bool(store.rows(queries.ANY_ACCESS, used=now - IDLE, began=now - LONGEST, now=now)[0]["is_there"])


def may_try(store: Store, root: bytes, network: str, *, now: int) -> bool:
    """Count one try to sign in, in a transaction of the caller's; False if there were too many."""
    hour = now // HOUR
    for name, value in (("network", network), ("all", "all")):
        if not value:  # behind a proxy that was not declared all would share one limit
            continue
        bucket = token_hash(root, f"sign-in tries {name}", value)[:16]
        tries = store.rows(queries.TRIES, bucket=bucket, hour=hour)
        if tries and tries[0]["amount"] >= MOST_TRIES[name]:
            return False
        store.execute(queries.ADD_TRY, bucket=bucket, hour=hour)
    return True


# --- passwords -------------------------------------------------------------------------------------------------------------


def hash_password(password: str) -> str:
    """Return what PRIVACY_OWNER_PASSWORD_HASH takes: scrypt, its cost, a random salt, and the hash."""
    salt = secrets.token_bytes(16)
    n, r, p = _COST
    return f"scrypt:{n}:{r}:{p}:{_text(salt)}:{_text(_scrypt(password, salt, n, r, p))}"


def is_password(password: str, stored: str) -> bool:
    """Tell whether a password is the one of a hash, by `hash_password` or by Argon2 (extra `argon2`)."""
    if stored.startswith("$argon2"):
        return _is_argon2(password, stored)
    try:
        _, n, r, p, salt, hash_ = stored.split(":")
        found = _scrypt(password, _bytes(salt), int(n), int(r), int(p))
    except (ValueError, MemoryError):
        return False
    return hmac.compare_digest(found, _bytes(hash_))


def _is_argon2(password: str, stored: str) -> bool:
    from argon2 import PasswordHasher
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        return PasswordHasher().verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=_MEMORY, dklen=32)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
