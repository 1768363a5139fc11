"""Turns the bare facts of one exchange into a `Hit` that holds declared items only, or says why it is dropped."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final, NamedTuple

from .agent import Agent, read_agent
from .page import campaign, clean, matches, page_name
from .source import DIRECT, Source, read_source
from .visitor import Visitor

PAGE, DOWNLOAD, FORM, API, ASSET, ERROR, REDIRECT, PART, OTHER = range(9)
KINDS: Final = ("page", "download", "form", "api", "asset", "error", "redirect", "part", "other")
"""The names of the kinds; a hit holds the number. `part` is a range of a download that goes on with an earlier one,
`other` a HEAD, OPTIONS, prefetched or prerendered request. Neither is a page view or a download."""

METHODS: Final = ("GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "other")
METHOD_NUMBERS: Final = {method: number for number, method in enumerate(METHODS)}
CLIENT_CLOSED_REQUEST: Final = 499
"""The status of a request whose visitor left before any answer began (nginx's convention)."""

_DOWNLOAD_ENDINGS: Final = frozenset(
    "pdf zip gz tgz bz2 xz zst 7z rar tar dmg exe msi deb rpm apk iso img jar whl csv tsv xls xlsx ods doc docx odt rtf ppt pptx "
    "odp epub mobi mp3 mp4 m4a m4v mov avi mkv webm ogg oga ogv flac wav torrent parquet sqlite bin".split()
)
_ASSET_ENDINGS: Final = frozenset(
    "css js mjs map png jpg jpeg gif webp avif svg ico bmp woff woff2 ttf otf eot webmanifest wasm txt xml".split()
)
_API_ENDINGS: Final = frozenset("json rss atom rdf ics".split())
_DOWNLOAD_TYPES: Final = re.compile(
    rb"application/(pdf|zip|gzip|x-(tar|gzip|7z-compressed|bzip2?|xz|rar-compressed)|octet-stream|epub\+zip|msword|rtf|java-archive"
    rb"|vnd\.(ms-|openxmlformats|oasis\.opendocument|debian|android\.package).*)|audio/.*|video/.*|text/csv"
)
_ASSET_TYPES: Final = re.compile(rb"text/(css|javascript)|application/(x-)?(javascript|wasm|manifest\+json|font.*)|image/.*|font/.*")
_API_TYPES: Final = (b"application/json", b"application/problem+json")
_PAGE_TYPES: Final = (b"text/html", b"application/xhtml+xml")
_FORM_TYPES: Final = (b"application/x-www-form-urlencoded", b"multipart/form-data")
_LANGUAGE: Final = re.compile(rb"\s*([A-Za-z]{2,3})(?:-[A-Za-z]{4})?(?:-([A-Za-z]{2}|\d{3}))?(?![A-Za-z0-9])")
_RANGE: Final = re.compile(rb"\s*bytes\s+(\d{1,18})-(\d{1,18})")


class Exchange(NamedTuple):
    """The bare facts of one request and its answer, as the adapters queue them. No address: only what is left of it.

    While the day's salt is not at hand, the visitor has no pseudonym but what to hash for it, until the writer has the
    salt (at most one turn later).
    """

    time: float
    """When the request came, epoch seconds."""
    visitor: Visitor
    """Pseudonym, what to hash for it later, and the packed and, if so set, shortened address; see `visitor.Visitors`."""
    method: str
    path: str
    template: str | tuple[str, ...] | None
    """The host's route template; several if one endpoint has several."""
    query: bytes
    host: bytes
    referrer: bytes
    agent: bytes
    language: bytes
    purpose: bytes
    """Sec-Purpose (prefetch, prerender)."""
    request_type: bytes
    """The content type of what was sent to us, if anything."""
    status: int
    content_type: bytes
    disposition: bytes
    content_range: bytes
    sent: int
    """Bytes of the body that were sent."""
    completed: int
    """1, or 0 if the answer broke off."""
    duration: float
    """Seconds from the request to the last byte handed to the server."""


DESCRIBED: Final = slice(2, 16)
"""The fields of an `Exchange` from which its `Shape` follows."""


class Shape(NamedTuple):
    """What many hits have in common. What is not declared is empty, 0, or `other`."""

    method: int
    page: str
    site: str
    kind: int
    status: int
    source: Source
    campaign: str
    agent: Agent
    language: str


class Hit(NamedTuple):
    """One row to be stored. What is not declared is None or 0."""

    day: int
    time: int
    """Epoch milliseconds."""
    visitor: int | None
    address: bytes | None
    shape: Shape
    sent: int
    aborted: int
    duration: int
    """Milliseconds."""


class Rules(NamedTuple):
    """What may be taken: the declared items, and the settings that limit them further."""

    items: frozenset[str]
    query_params: frozenset[str]
    path_params: frozenset[str]
    sites: frozenset[str]
    own_hosts: frozenset[str] = frozenset()
    """Host names of the site itself, without `www.`: what comes from there is no source."""


NOBODY: Final = Agent("", "", "", "")
SHAPES_IN_MEMORY: Final = 20_000


class Collector:
    """Makes hits from exchanges under one set of rules. Shapes are remembered: most requests resemble an earlier one."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._shapes: dict[tuple[Any, ...], Shape] = {}
        self._takes = [(take if item in rules.items else _nothing(absent)) for item, take, absent in _MEASURES]

    def hit(self, fields: tuple[Any, ...], *, day: int, visitor: int | None) -> Hit:
        """Build the hit of an exchange, given as its bare fields. Whatever the rules do not name is not taken."""
        described = fields[DESCRIBED]
        shape = self._shapes.get(described)
        if shape is None:
            if len(self._shapes) >= SHAPES_IN_MEMORY:
                self._shapes.clear()
            shape = self._shapes[described] = describe(Exchange._make(fields), self.rules)
        take_visitor, take_address, take_sent, take_aborted, take_duration = self._takes
        return Hit(
            day,
            int(fields[0] * 1000),
            visitor and take_visitor(visitor),
            take_address(fields[1][2]),
            shape,
            take_sent(fields[16]),
            take_aborted(fields[17]),
            take_duration(fields[18]),
        )


def describe(exchange: Exchange, rules: Rules) -> Shape:
    """Return the declared items that an exchange has in common with others like it."""
    return Shape(*[take(exchange, rules) if item in rules.items else absent for item, take, absent in _SHAPE])


@lru_cache(maxsize=1024)
def read_language(accept_language: bytes) -> str:
    """Return the first tag of Accept-Language as language and region (`da-DK`), or "" if there is none (RFC 9110, 12.5.4)."""
    match = _LANGUAGE.match(accept_language[:64])
    if not match:
        return ""
    language, region = (part.decode("ascii") if part else "" for part in match.groups())
    return f"{language.lower()}-{region.upper()}" if region else language.lower()


def _nothing(absent: Any) -> Callable[[Any], Any]:
    return lambda _: absent


def _take_page(exchange: Exchange, rules: Rules) -> str:
    template = exchange.template
    if isinstance(template, tuple):
        template = _matching(exchange.path, template)
    return page_name(exchange.path, template, rules.path_params)


def _take_site(exchange: Exchange, rules: Rules) -> str:
    host = clean(exchange.host.decode("latin-1").lower())
    return host if host in rules.sites else ""


def _take_kind(exchange: Exchange, _: Rules) -> int:
    return kind_of(
        exchange.method,
        exchange.status,
        exchange.content_type,
        _ending(exchange.path),
        exchange.disposition[:10],
        exchange.content_range[:40],
        exchange.purpose[:40],
        exchange.request_type[:40],
    )


def _ending(path: str) -> str:
    """Return what stands after the last dot of a file's name, or "" if there is none."""
    _, dot, ending = path.rpartition("/")[2].rpartition(".")
    return ending[:12] if dot else ""


def _take_source(exchange: Exchange, rules: Rules) -> Source:
    return read_source(exchange.referrer, exchange.host, rules.own_hosts) if exchange.referrer else DIRECT


# Each line names the item that must be declared, how it is taken, and what stands there if it is not declared.
# The order is that of the fields of Shape, and of the last fields of Hit.
_SHAPE: Final[tuple[tuple[str, Callable[[Exchange, Rules], Any], Any], ...]] = (
    ("page", lambda exchange, _: METHOD_NUMBERS.get(exchange.method, len(METHODS) - 1), 0),
    ("page", _take_page, ""),
    ("site", _take_site, ""),
    ("page", _take_kind, OTHER),
    ("status", lambda exchange, _: exchange.status, 0),
    ("source", _take_source, DIRECT),
    ("campaign", lambda exchange, rules: campaign(exchange.query, rules.query_params) if exchange.query else "", ""),
    ("agent", lambda exchange, _: read_agent(exchange.agent), NOBODY),
    ("language", lambda exchange, _: read_language(exchange.language), ""),
)
_MEASURES: Final[tuple[tuple[str, Callable[[Any], Any], Any], ...]] = (
    ("visitor", int, None),
    ("address", lambda address: address or None, None),
    ("bytes", int, 0),
    ("status", lambda completed: 1 - completed, 0),
    ("duration", lambda seconds: int(seconds * 1000), 0),
)


@lru_cache(maxsize=4096)
def kind_of(
    method: str,
    status: int,
    content_type: bytes,
    ending: str,
    disposition: bytes,
    content_range: bytes,
    purpose: bytes,
    request_type: bytes,
) -> int:
    """Return the kind of a hit, a number into `KINDS`.

    Errors first (status 400 and up), then requests that nobody looked at, redirects, and then what was sent: by its
    content type, or, where there is none (304), by the path's ending.
    """
    if status >= 400:
        return ERROR
    if method in ("HEAD", "OPTIONS") or b"prefetch" in purpose or b"prerender" in purpose:
        return OTHER
    if method == "POST" and request_type.partition(b";")[0].strip().lower() in _FORM_TYPES:
        return FORM
    if 300 <= status < 400 and status != 304:
        return REDIRECT
    if status in (204, 205):
        return API
    kind = _kind_of_content(content_type.partition(b";")[0].strip().lower(), ending.lower(), disposition.lower())
    if kind == PAGE and method != "GET":
        return API
    if kind == DOWNLOAD and (status == 304 or (status == 206 and _continues(content_type, content_range))):
        return PART
    return kind


def _kind_of_content(content_type: bytes, ending: str, disposition: bytes) -> int:
    if disposition.startswith(b"attachment"):
        return DOWNLOAD
    if content_type in _PAGE_TYPES:
        return PAGE
    if _ASSET_TYPES.fullmatch(content_type):
        return ASSET
    if _DOWNLOAD_TYPES.fullmatch(content_type) or (ending in _DOWNLOAD_ENDINGS and content_type not in _API_TYPES):
        return DOWNLOAD
    if ending in _ASSET_ENDINGS:
        return ASSET
    return API if content_type or ending in _API_ENDINGS else PAGE


def _continues(content_type: bytes, content_range: bytes) -> bool:
    """Tell whether a range belongs to a download that is counted by another one (RFC 9110, 14.4).

    So does a range that does not begin at the first byte, several ranges in one answer (which have no Content-Range), and the
    first two bytes, by which Safari asks whether ranges are served.
    """
    match = _RANGE.match(content_range)
    several = content_type.startswith(b"multipart/byteranges")
    return several or (match is not None and (int(match[1]) > 0 or match[2] in (b"0", b"1")))


def _matching(path: str, templates: Iterable[str]) -> str | None:
    return next((template for template in templates if matches(path, template)), None)
