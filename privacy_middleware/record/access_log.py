"""Imports access logs in the common and combined formats, through the same rules as live visits.

Addresses become pseudonyms under salts that are made for the import and thrown away. Lines from the time since when visits
are recorded live are left out: they are recorded already, or were refused. What was imported before is recognised by a
keyed hash of all lines from the file's first on, so that the same log, also compressed, renamed or grown since, is never
imported twice.
"""

from __future__ import annotations

import gzip
import re
import secrets
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import unquote_to_bytes

import msgspec

from ..collect.country import Lookup, no_country
from ..collect.hit import Collector, Hit, Rules
from ..collect.visitor import SALT_BYTES, Salt, day_of, identity_of
from ..errors import ImportFault
from ..store.base import Store

BATCH: Final = 10_000
"""Lines a transaction; also how far apart the marks stand at which an interrupted import goes on."""
BAD_LINES_SHOWN: Final = 10
LONGEST_LINE: Final = 16 * 1024
"""Bytes; a server's limits keep its lines far below."""

# host? address identity user [time] "request" status bytes ["referrer" "agent"] anything
_LINE: Final = re.compile(
    rb"(?:(?P<host>[A-Za-z0-9.-]{1,255}(?::\d{1,5})?) )?(?P<address>[\w.:%-]{1,255}) \S+ \S.{0,255}?"
    rb"\[(?P<time>[^\]]{20,30})\] "
    rb'"(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}) (?P<bytes>\d+|-)'
    rb'(?: "(?P<referrer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)")?'
)
_UNKNOWN_RANGE: Final = b"bytes 1-1/*"
"""A log does not say which part of a file a 206 sent; most go on with a download that an earlier line counts."""
_ESCAPE: Final = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|(.))")
_METHOD: Final = re.compile(r"[A-Z]{1,20}")
_MONTHS: Final = {name: number for number, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}


class Outcome(msgspec.Struct):
    """What an import did, in lines."""

    lines: int = 0
    imported: int = 0
    known: int = 0
    """Lines that an earlier import had taken."""
    bad: int = 0
    excluded: int = 0
    unfinished: int = 0
    """1 if the last line has no end yet: it is left for the next import."""
    first_day: int | None = None
    """The earliest day of what was imported."""
    bad_lines: list[tuple[int, str]] = []
    """The first ones, with their line number and what is wrong with them."""


class Importer:
    """Imports logs into one store; keeps the throw-away salts for the time of the import."""

    def __init__(
        self,
        store: Store | None,
        *,
        rules: Rules,
        zone: tzinfo,
        keys: Sequence[str],
        excluded: re.Pattern[str] | None = None,
        country: Lookup = no_country,
    ) -> None:
        """Without a store, as for a dry run before there is one, nothing is known from before and nothing is written."""
        self.store = store
        self._collector = Collector(rules)
        self.zone = zone
        self.excluded = excluded
        self._salts: dict[int, Salt] = {}
        self._country = lru_cache(maxsize=65_536)(lambda address: country(address.decode("latin-1")))
        live = store.mark("live") if store else None
        self._live = live if live is not None else sys.maxsize
        self._known = store.imported() if store else set()
        self._key = self._recognise(keys)
        self._salt: Salt | None = None
        self._pseudonym = lru_cache(maxsize=65_536)(self._make_pseudonym)

    def _recognise(self, keys: Sequence[str]) -> bytes:
        """Return the key under which earlier imports are known again: the newest, unless they were made under another."""
        derived = [blake2b(key.encode(), digest_size=32).digest() for key in keys or [""]]
        checks = {(0, blake2b(key=key, digest_size=16).digest()): key for key in derived}
        found = next((key for check, key in checks.items() if check in self._known), None)
        if found is None and self._known:
            raise ImportFault(
                "logs were imported under a secret key that is not given any more, so that they would not be recognised; "
                "put it back, as the last of PRIVACY_SECRET_KEYS"
            )
        return found or derived[0]

    def run(self, lines: Iterator[bytes], *, dry: bool = False, progress: Callable[[int], object] = bool) -> Outcome:
        """Import lines; `progress` is told the bytes of each batch. With `dry`, everything but the writing."""
        outcome = Outcome()
        running = blake2b(digest_size=16, key=self._key)
        for batch in _batches(lines):
            if not batch[-1].endswith(b"\n"):
                outcome.unfinished += 1
                batch.pop()
            fresh = self._fresh(batch, outcome.lines, running)
            outcome.known += len(batch) - len(fresh)
            begin = outcome.lines + len(batch) - len(fresh)
            outcome.lines += len(batch)
            hits = self._hits(fresh, begin, outcome)
            outcome.imported += len(hits)
            outcome.first_day = min((day for day in (outcome.first_day, *(hit.day for hit in hits)) if day is not None), default=None)
            if fresh and not dry and self.store:
                with self.store.transaction():
                    self.store.add_hits(hits)
                    self.store.add_imported(0, blake2b(key=self._key, digest_size=16).digest())
                    self.store.add_imported(outcome.lines, running.digest())
                self._known.add((outcome.lines, running.digest()))
            progress(sum(map(len, batch)))
        return outcome

    def _fresh(self, batch: list[bytes], before: int, running: Any) -> list[bytes]:
        """Return the lines of a batch after the last place up to which the same lines were imported before; hash them all."""
        fresh = hashed = 0
        for end in sorted({end for end, _ in self._known if before < end <= before + len(batch)}):
            running.update(b"".join(batch[hashed : end - before]))
            hashed = end - before
            if (end, running.digest()) in self._known:
                fresh = hashed
        running.update(b"".join(batch[hashed:]))
        return batch[fresh:]

    def _hits(self, lines: list[bytes], before: int, outcome: Outcome) -> list[Hit]:
        hits = []
        for number, line in enumerate(lines, before + 1):
            try:
                hit = self._hit(line)
            except ValueError as error:
                outcome.bad += 1
                if len(outcome.bad_lines) < BAD_LINES_SHOWN:
                    outcome.bad_lines.append((number, str(error)))
                continue
            if hit is None:
                outcome.excluded += 1
            else:
                hits.append(hit)
        return hits

    def _hit(self, line: bytes) -> Hit | None:
        host, address, stamp, request, status, sent, referrer, agent = _plain_parts(line) or _odd_parts(line)
        time = parse_time(stamp)
        method, path, query = parse_request(request)
        if time >= self._live:
            return None
        if self.excluded is not None and self.excluded.match(path):
            return None
        salt = self._salt
        if salt is None or not salt.starts <= time < salt.ends:
            salt = self._salt = self._salt_of(time)
        host = host.lower().partition(b":")[0] if host else b""
        referrer, agent = _value(referrer), _value(agent)
        fields = (  # of an Exchange
            time / 1000, (None, b"", b"", self._country(address)), method, path, None, query, host, referrer, agent, b"", b"", b"",
            int(status), b"", b"", _UNKNOWN_RANGE, 0 if sent == b"-" else int(sent), 1, 0,
        )  # fmt: skip
        return self._collector.hit(fields, day=salt.day, visitor=self._pseudonym(salt, address, agent, host))

    @staticmethod
    def _make_pseudonym(salt: Salt, address: bytes, agent: bytes, host: bytes) -> int:
        return salt.pseudonym(identity_of(address.decode("latin-1"), agent[:512], host))

    def _salt_of(self, time: int) -> Salt:
        day = day_of(time, self.zone)
        if day not in self._salts:
            self._salts[day] = Salt(secrets.token_bytes(SALT_BYTES), day=day, zone=self.zone)
        return self._salts[day]


def read_lines(name: str) -> tuple[Iterator[bytes], IO[bytes]]:
    """Open a log, plain or gzip, or standard input for `-`; returns its lines and the raw file (for progress).

    Raises:
        ImportFault: if it cannot be opened.
    """
    try:
        raw: IO[bytes] = sys.stdin.buffer if name == "-" else Path(name).open("rb")  # noqa: SIM115  the caller closes it
    except OSError as error:
        raise ImportFault(f"{name} cannot be read ({error.strerror}); check the path and its permissions") from error
    peeked = raw.peek(2)[:2] if hasattr(raw, "peek") else b""
    if peeked == b"\x1f\x8b":
        return _gzip_lines(gzip.GzipFile(fileobj=raw), name), raw
    return iter(raw), raw


def _gzip_lines(file: gzip.GzipFile, name: str) -> Iterator[bytes]:
    try:
        yield from file
    except (EOFError, OSError, zlib.error) as error:
        raise ImportFault(f"{name} is a damaged gzip file ({error}); what came before the damage is imported") from error


def _batches(lines: Iterator[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    try:
        for line in lines:
            batch.append(line)
            if len(batch) == BATCH:
                yield batch
                batch = []
    except ImportFault:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


Parts = tuple[bytes | None, bytes, bytes, bytes, bytes, bytes, bytes | None, bytes | None]
"""Virtual host, address, time, request, status, bytes, referrer, agent, as they stand in the line."""


def _plain_parts(line: bytes) -> Parts | None:
    """Take the usual line apart by its quotes, five times as fast as by the pattern; None if it is not so plain."""
    quoted = line.split(b'"', 6)
    if len(quoted) != 7 or b"\\" in line or len(line) > LONGEST_LINE:
        return None
    before, request, between, referrer, _, agent, _ = quoted
    words, numbers = before.split(b" "), between.split(b" ")
    if len(words) != 6 or len(numbers) != 4 or words[3][:1] != b"[" or words[4][-1:] != b"]":
        return None
    _, status, sent, _ = numbers
    if len(status) != 3 or not status.isdigit() or not (sent.isdigit() or sent == b"-"):
        return None
    return None, words[0], words[3][1:] + b" " + words[4][:-1], request, status, sent, referrer, agent


def _odd_parts(line: bytes) -> Parts:
    match = _LINE.match(line) if len(line) <= LONGEST_LINE else None
    if match is None:
        raise ValueError("not in the common or combined format")
    host, address, stamp, request, status, sent, referrer, agent = match.groups()
    if address == b"-":  # no virtual host in front: what was taken for one is the address, and this the identity
        host, address = None, host or address
    return host, address, stamp, request, status, sent, referrer, agent


def parse_time(stamp: bytes) -> int:
    """Return epoch milliseconds of `17/May/2015:10:05:03 +0200`.

    Raises:
        ValueError: if it is no such time.
    """
    second = stamp[18:20]
    if not second.isdigit():
        raise ValueError("its time cannot be read")
    return _minute(stamp[:17], stamp[21:26]) + min(59, int(second)) * 1000


@lru_cache(maxsize=8192)
def _minute(stamp: bytes, offset: bytes) -> int:
    try:
        day, month, year, hour, minute = int(stamp[0:2]), _MONTHS[stamp[3:6]], int(stamp[7:11]), int(stamp[12:14]), int(stamp[15:17])
        minutes = int(offset[1:3] or 0) * 60 + int(offset[3:5] or 0)
        if not 1970 <= year <= 2100:
            raise ValueError
        zone = timezone(timedelta(minutes=-minutes if offset[:1] == b"-" else minutes)) if minutes else UTC
        return int(datetime(year, month, day, hour, minute, tzinfo=zone).timestamp()) * 1000
    except (KeyError, ValueError, OverflowError):
        raise ValueError("its time cannot be read") from None


@lru_cache(maxsize=16384)
def parse_request(request: bytes) -> tuple[str, str, bytes]:
    """Return method, decoded path and raw query of `GET /path?query HTTP/1.1`.

    Raises:
        ValueError: if it is no HTTP request, as when somebody speaks another protocol to the port.
    """
    parts = request.split(b" ")
    method = parts[0].decode("latin-1")
    if len(parts) < 2 or not _METHOD.fullmatch(method):
        raise ValueError("its request is not HTTP")
    target = _value(b" ".join(parts[1:-1]) if parts[-1].startswith(b"HTTP/") else b" ".join(parts[1:]))
    if target.startswith((b"http://", b"https://")):
        target = b"/" + target.split(b"/", 3)[3] if target.count(b"/") > 2 else b"/"
    path, _, query = target.partition(b"?")
    return method, unquote_to_bytes(path).decode("utf-8", "replace"), query


def _value(field: bytes | None) -> bytes:
    r"""Undo the log's escapes (`\"`, `\xhh`); a lone `-` stands for nothing."""
    if field is None or field == b"-":
        return b""
    if b"\\" not in field:
        return field
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]) if match[1] else match[2], field)
