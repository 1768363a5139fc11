"""Turns a network address into a pseudonym that lasts a day, and into the shortened form that may be kept.

The pseudonym is a keyed BLAKE2b (RFC 7693) of address, user agent and site, under a random salt that is
destroyed after its second day. From then on nobody can link a hit to an address.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from hashlib import blake2b
from typing import Final

from .country import Countries

SALT_BYTES: Final = 32
VISITORS_IN_MEMORY: Final = 10_000
_MAPPED: Final = bytes(10) + b"\xff\xff"
_EPOCH: Final = date(1970, 1, 1)


class Salt:
    """The random key of one day, ready for hashing, with the instants (epoch milliseconds) in which it serves."""

    __slots__ = ("day", "ends", "hasher", "starts")

    def __init__(self, key: bytes, *, day: int, zone: tzinfo) -> None:
        self.day = day
        self.starts = day_start(day, zone)
        self.ends = day_start(day + 1, zone)
        self.hasher = blake2b(digest_size=8, key=key)

    def __repr__(self) -> str:
        """Without the key."""
        return f"Salt(day={self.day})"

    def pseudonym(self, identity: bytes) -> int:
        """Return the visitor number, a signed 64-bit integer, of an `identity` made by `identity_of`."""
        hasher = self.hasher.copy()
        hasher.update(identity)
        return int.from_bytes(hasher.digest(), "little", signed=True)


Visitor = tuple[int | None, bytes, bytes, str]
"""Pseudonym, what to hash later if there is none yet (else nothing), the kept form of the address, and the country's code."""


class Visitors:
    """Knows this day's visitors for the hot path: each is hashed once, then found by a hash of Python's own, keyed for the process.

    No address is kept in it. `serving` holds (first instant, end, visitors by hash), in epoch seconds; it is replaced as a whole, so that
    what was seen under one salt is never looked up under another.
    """

    __slots__ = ("_countries", "_shorten", "salt", "serving")

    def __init__(self, shorten: Callable[[str], bytes], countries: Countries | None = None) -> None:
        self._shorten = shorten
        self._countries = countries
        self.serve(None)

    def serve(self, salt: Salt | None) -> None:
        """Use another day's salt, and forget who was seen under the last."""
        self.salt = salt
        if self._countries is not None:
            self._countries.renew(salt and salt.day)
        starts, ends = (salt.starts, salt.ends) if salt else (0, 0)
        self.serving: tuple[float, float, dict[int, Visitor]] = (starts / 1000, ends / 1000, {})

    def meet(self, now: float, address: str, agent: bytes, host: bytes) -> Visitor:
        """Return a visitor who is not in `serving` yet, and put them there under `hash((address, agent, host))`."""
        serving, salt = self.serving, self.salt
        identity, kept = identity_of(address, agent, host), self._shorten(address)
        country = self._countries.of(address) if self._countries is not None else ""
        if salt is None or not salt.starts <= now * 1000 < salt.ends:
            return None, identity, kept, country
        visitor = (salt.pseudonym(identity), b"", kept, country)
        if serving[0] == salt.starts / 1000:
            if len(serving[2]) >= VISITORS_IN_MEMORY:
                serving[2].clear()
            serving[2][hash((address, agent, host))] = visitor
        return visitor


def shortener(form: str) -> Callable[[str], bytes]:
    """Return what makes the kept form of an address: `truncated`, `full`, or `none`."""
    return {"truncated": truncate, "full": pack, "none": _no_address}[form]


def _no_address(_: str) -> bytes:
    return b""


def identity_of(address: str, agent: bytes, site: bytes) -> bytes:
    """Join what tells one visitor from another within a day; never stored, only hashed."""
    return b"\0".join((address.encode("utf-8", "replace"), agent[:512], site[:255]))


def day_of(time: int, zone: tzinfo) -> int:
    """Return the owner's day (days since 1970-01-01 in `zone`) of an instant in epoch milliseconds."""
    return (datetime.fromtimestamp(time // 1000, zone).date() - _EPOCH).days


def day_start(day: int, zone: tzinfo) -> int:
    """Return the instant (epoch milliseconds) at which the owner's day begins, daylight saving considered."""
    midnight = datetime.combine(date_of(day), datetime.min.time(), zone)
    return int(midnight.astimezone(UTC).timestamp()) * 1000


def date_of(day: int) -> date:
    """Return the calendar date of a day number."""
    return _EPOCH + timedelta(days=day)


def day_number(calendar_date: date) -> int:
    """Return the day number of a calendar date; the inverse of `date_of`."""
    return (calendar_date - _EPOCH).days


def truncate(address: str) -> bytes:
    """Return the network part of an address: 3 bytes of IPv4 (/24), 6 of IPv6 (/48), none of anything else."""
    packed = pack(address)
    return packed[:3] if len(packed) == 4 else packed[:6]


def pack(address: str) -> bytes:
    """Return the address as 4 or 16 bytes; an IPv4 address mapped into IPv6 as 4; anything else as none."""
    try:
        if ":" not in address:
            return socket.inet_pton(socket.AF_INET, address)
        packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    except (OSError, ValueError):
        return b""
    return packed[12:] if packed[:12] == _MAPPED else packed


def client_address(
    peer: str,
    forwarded: Sequence[bytes],
    trusted: int | tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...],
) -> str:
    """Return the visitor's address behind trusted proxies.

    `forwarded` holds the values of X-Forwarded-For in order. With networks, the right-most address outside them
    counts; with a number of hops, the one that the outermost trusted proxy saw. A peer outside the trusted networks,
    or an entry that is not an address, ends the search: what stands to the left of it is anybody's word.
    """
    chain = [entry.strip().decode("latin-1") for value in forwarded for entry in value.split(b",") if entry.strip()]
    if isinstance(trusted, int):
        hops = [*chain, peer]
        return _bare(hops[max(0, len(hops) - 1 - trusted)], otherwise=peer)
    address = peer
    while chain and _is_trusted(address, trusted):
        nearer, address = address, _bare(chain.pop(), otherwise="")
        if not address:
            return nearer
    return address


def _is_trusted(address: str, networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return any((mapped or parsed) in network for network in networks)


def _bare(entry: str, *, otherwise: str) -> str:
    """Strip the port and brackets that some proxies add; `otherwise` if what is left is no address."""
    if entry.startswith("["):
        entry = entry[1:].partition("]")[0]
    elif entry.count(":") == 1:
        entry = entry.partition(":")[0]
    return entry if pack(entry) else otherwise
