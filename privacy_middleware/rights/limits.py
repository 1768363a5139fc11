"""Limits how many requests are taken: of one address, of one network, and in all; shared by all workers, and kept across restarts.

Nothing here can be read back: what is counted stands under a keyed hash, and is forgotten after a day.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Final

from ..collect.visitor import truncate
from ..store import queries
from ..store.base import Store
from ..vault import token_hash

HOUR: Final = 3_600_000
HOURS: Final = 24


def network_of(address: str) -> str:
    """Return the network prefix of an address (/24, /48) as text; "" if it is none of the internet's.

    A visitor with such an address stands behind a proxy that was not declared, as all others do: they must not share one limit.
    """
    try:
        is_public = ipaddress.ip_address(address.partition("%")[0]).is_global
    except ValueError:
        return ""
    return truncate(address).hex() if is_public else ""


def seconds_to_wait(store: Store, root: bytes, limits: Mapping[str, int], *, email: str, address: str, now: int, what: str = "") -> int:
    """Count a request, in a transaction of the caller's; 0, or after how many seconds to come again if it is one too many.

    `what` is counted apart from what is called otherwise.
    """
    found = waits(store, root, limits, email=email, address=address, now=now, what=what)
    if not any(found.values()):
        count(store, root, email=email, address=address, now=now, what=what)
    return max(found.values())


def waits(store: Store, root: bytes, limits: Mapping[str, int], *, email: str, address: str, now: int, what: str = "") -> dict[str, int]:
    """Return after how many seconds to come again by each limit, without counting; arguments as of `seconds_to_wait`."""
    return {
        name: _wait(store, bucket, most=limits[name], now=now)
        for name, bucket in _buckets(root, email=email, address=address, what=what).items()
    }


def count(store: Store, root: bytes, *, email: str, address: str, now: int, what: str = "") -> None:
    """Count a request that was taken, in a transaction of the caller's."""
    for bucket in _buckets(root, email=email, address=address, what=what).values():
        store.execute(queries.ADD_ATTEMPT, bucket=bucket, hour=now // HOUR)


def _buckets(root: bytes, *, email: str, address: str, what: str) -> dict[str, bytes]:
    counted = {"address": _mailbox(email) if email else "", "network": network_of(address), "all": "all"}
    return {name: _bucket(root, what + name, value) for name, value in counted.items() if value}


def forget(store: Store, root: bytes, email: str) -> None:
    """Forget how often an address was used, in a transaction of the caller's."""
    for name in ("address", "sign-up address"):
        store.execute(queries.FORGET_ATTEMPTS, bucket=_bucket(root, name, _mailbox(email)))


def _wait(store: Store, bucket: bytes, *, most: int, now: int) -> int:
    """Return how many seconds it takes until enough of what was counted is a day old."""
    came = store.rows(queries.ATTEMPTS, bucket=bucket, since=now // HOUR - HOURS, hour=now // HOUR)
    too_many = sum(row["amount"] for row in came) - most + 1
    for row in came:
        if too_many <= 0:
            break
        too_many -= row["amount"]
        if too_many <= 0:
            return int((row["hour"] + HOURS) * HOUR - now) // 1000 + 1
    return 0


def _mailbox(email: str) -> str:
    """Leave out what stands behind a plus: `ann+1@example.org` and `ann+2@example.org` are one person's mailbox."""
    local, _, domain = email.rpartition("@")
    return f"{local.partition('+')[0]}@{domain}"


def _bucket(root: bytes, name: str, value: str) -> bytes:
    return token_hash(root, f"limit {name}", value)[:16]
