"""Turns the bare facts of one exchange into a `Hit` that holds declared items only, or says why it is dropped."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final, NamedTuple

from ..forms import Form
from .agent import Agent, read_agent
from .page import campaign, clean, matches, page_name, scrub_path
from .source import DIRECT, Source, read_source
from .visitor import Visitor

PAGE, DOWNLOAD, FORM, API, ASSET, ERROR, REDIRECT, PART, OTHER = range(9)
KINDS: Final = ("page", "download", "form", "api", "asset", "error", "redirect", "part", "other")
"""The names of the kinds; a hit holds the number. `part` is a range of a download that goes on with an earlier one,
`other` a HEAD, OPTIONS, prefetched or prerendered request. Neither is a page view or a download."""

METHODS: Final = ("GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "other")
METHOD_NUMBERS: Final = {method: number for number, method in enumerate(METHODS)}
LONGEST_PART: Final = 2048
"""Bytes of a path, query or referrer that are looked at; the memory of the queue is bounded by it."""
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
    """Pseudonym, what to hash for it later, the packed and, if so set, shortened address, and the country; see `visitor.Visitors`."""
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
    root: str = ""
    """What of the path belongs to the mounts in front of the app."""


class Hit(NamedTuple):
    """One row to be stored. What is not declared is None, 0, empty or `OTHER`."""

    day: int
    time: int
    """Epoch milliseconds."""
    visitor: int | None
    address: bytes | None
    method: int
    page: str
    site: str
    kind: int
    status: int
    source: Source
    campaign: str
    agent: Agent
    language: str
    country: str
    """Its code (ISO 3166), or "" if it is not known."""
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
    forms: tuple[Form, ...] = ()


NOBODY: Final = Agent("", "", "", "")


class Collector:
    """Makes hits from exchanges under one set of rules.

    Each part is worked out once for all requests that share it; of queries, only those that tell of a campaign are remembered.
    """

    def __init__(self, rules: Rules) -> None:
        remember = lru_cache(maxsize=4096)

        def taken(item: str, take: Callable[..., Any], absent: Any) -> Callable[..., Any]:
            """What is not declared has no way into a hit: in place of what takes it stands what takes nothing."""
            return take if item in rules.items else lambda *_: absent

        tells = re.compile("(?:^|&)(?:utm_|{})".format("|".join(re.escape(name) + "=" for name in {"ref", *rules.query_params})).encode())
        self._visitor = taken("visitor", lambda visitor: visitor, None)
        self._address = taken("address", lambda address: address or None, None)
        page = taken("page", lambda path, template: _page(path, template, rules.path_params), "")
        method_number = taken("page", lambda method: METHOD_NUMBERS.get(method, len(METHODS) - 1), 0)
        site = taken("site", lambda host: _site(host, rules.sites), "")
        kind = taken("page", kind_of, OTHER)
        status_of = taken("status", lambda status: status, 0)

        @remember
        def place(method: str, path: str, template: Any, host: bytes, status: int, *told: bytes) -> tuple[int, str, str, int, int]:
            """Return the columns from `method` to `status`, which follow from the same few facts."""
            return method_number(method), page(path, template), site(host), kind(method, status, _ending(path), *told), status_of(status)

        source = remember(lambda referrer, host: read_source(referrer, host, rules.own_hosts))
        self._remembered = (place, source)
        self._place = place
        self._source = taken("source", source, DIRECT)
        self._campaign = taken("campaign", lambda query: campaign(query, rules.query_params) if tells.search(query) else "", "")
        self._agent = taken("agent", read_agent, NOBODY)
        self._language = taken("language", read_language, "")
        self._country = taken("country", lambda country: country, "")
        self._sent = taken("bytes", lambda sent: sent, 0)
        self._aborted = taken("status", lambda completed: 1 - completed, 0)
        self._duration = taken("duration", lambda seconds: int(seconds * 1000), 0)

    def forget(self) -> None:
        """Empty every memory of what requests held: it must not outlive the day's salt, nor what a visitor had erased."""
        for remembered in (*self._remembered, campaign, scrub_path, read_source, read_agent, read_language):
            remembered.cache_clear()

    def hit(self, fields: tuple[Any, ...], *, day: int, visitor: int | None) -> Hit:
        """Build the hit of an exchange, given as its bare fields."""
        (
            came, (_, _, address, country), method, path, template, query, host, referrer, agent, language, purpose, request_type, status,
            content_type, disposition, content_range, sent, completed, duration, *_
        ) = fields  # fmt: skip
        return Hit(
            day,
            int(came * 1000),
            self._visitor(visitor),
            self._address(address),
            *self._place(method, path, template, host, status, content_type, disposition, content_range, purpose, request_type),
            self._source(referrer.partition(b"?")[0], host) if referrer else DIRECT,
            self._campaign(query[:LONGEST_PART]) if query else "",
            self._agent(agent),
            self._language(language),
            self._country(country),
            self._sent(sent),
            self._aborted(completed),
            self._duration(duration),
        )


def without_person(hit: Hit) -> Hit:
    """Leave of a hit only what says nothing of who it was: page, method, status, and the hour."""
    hour = hit.time - hit.time % 3_600_000
    return hit._replace(
        time=hour, visitor=None, address=None, source=DIRECT, campaign="", agent=NOBODY, language="", country="", sent=0, duration=0
    )


@lru_cache(maxsize=1024)
def read_language(accept_language: bytes) -> str:
    """Return the first tag of Accept-Language as language and region (`da-DK`), or "" if there is none (RFC 9110, 12.5.4)."""
    match = _LANGUAGE.match(accept_language[:64])
    if not match:
        return ""
    language, region = (part.decode("ascii") if part else "" for part in match.groups())
    return f"{language.lower()}-{region.upper()}" if region else language.lower()


def _page(path: str, template: str | tuple[str, ...] | None, kept: frozenset[str]) -> str:
    if isinstance(template, tuple):
        template = _matching(path, template)
    return page_name(path, template, kept)


def _site(host: bytes, sites: frozenset[str]) -> str:
    name = clean(host.decode("latin-1").lower())
    return name if name in sites else ""


def _ending(path: str) -> str:
    """Return what stands after the last dot of a file's name, or "" if there is none."""
    _, dot, ending = path.rpartition("/")[2].rpartition(".")
    return ending[:12] if dot else ""


def kind_of(
    method: str,
    status: int,
    ending: str,
    content_type: bytes,
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
