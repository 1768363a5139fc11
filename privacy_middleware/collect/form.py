"""Reads the declared fields, and nothing else, out of the body of a form or of JSON, copied while the app read it.

Sources: HTML standard, "Form submission" (urlencoded, multipart); RFC 7578 (multipart/form-data); RFC 8259 (JSON).
"""

from __future__ import annotations

import logging
import mimetypes
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_to_bytes

import msgspec

from ..forms import Form, is_charset, path_pattern

URLENCODED: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"
JSON: Final = "application/json"
LONGEST_VALUE: Final = 16_384
"""Characters kept of one value at most."""
MOST_VALUES: Final = 100
"""Values of one field at most."""
_SILENT: Final = logging.Logger("privacy_middleware.silent", logging.CRITICAL + 1)  # noqa: LOG001 - unknown to any configuration
"""For python-multipart, whose warnings tell bytes of the body."""
_BOUNDARY: Final = re.compile(rb"[ -~]{1,70}")


class UnreadableForm(Exception):
    """The body cannot be read, for a reason that is counted: broken, charset, too_large, unfinished, type, encoding."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class File(NamedTuple):
    """What is known of a file that was sent: its registered type, and its size in bytes. No name, no content."""

    type: str
    size: int


Value = str | File


class Body(NamedTuple):
    """The copy of a body: all of it, or, if it is over the limit, its head and its tail."""

    head: bytes
    tail: bytes
    """Empty if `head` is all."""
    size: int
    finished: bool


class Copy:
    """Keeps references to the chunks of a body as they pass: the first `limit` bytes, and at least the last `limit`.

    It is on the way of the host's own reading: nothing is joined, parsed or decoded here.
    """

    __slots__ = ("_head", "_limit", "_tail", "_tail_size", "finished", "size")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._head: list[bytes] = []
        self._tail: list[bytes] = []
        self._tail_size = 0
        self.size = 0
        self.finished = False

    def add(self, chunk: bytes, *, more: bool) -> None:
        """Take what the host has just read. The hot path of uploads: one call a chunk."""
        length = len(chunk)
        self.size += length
        if self.size <= self._limit:
            self._head.append(chunk)
        elif self._limit <= length < self.size and length <= 4 * self._limit:
            self._tail = [chunk]
            self._tail_size = length
        else:
            self._add_to_tail(chunk, length)
        if not more:
            self.finished = True

    def _add_to_tail(self, chunk: bytes, length: int) -> None:
        if length == self.size:  # the first chunk, and over the limit
            self._head = [chunk[: self._limit]]
        if length > 4 * self._limit:  # do not hold on to all of it
            chunk, length = chunk[-self._limit :], self._limit
        tail = self._tail
        tail.append(chunk)
        self._tail_size += length
        while self._tail_size - len(tail[0]) >= self._limit:
            self._tail_size -= len(tail.pop(0))

    def body(self) -> Body:
        """Return what was copied."""
        head, tail = b"".join(self._head), b"".join(self._tail)
        missing = self.size - len(head)
        if missing <= len(tail):  # nothing is lost between the two
            whole = head + tail[len(tail) - missing :]
            head, tail = whole[: self._limit], whole[self._limit :]
        return Body(head, tail[-self._limit :], self.size, self.finished)


def media_type(content_type: bytes) -> tuple[str, dict[str, str]]:
    """Return a content type in small letters, and its parameters."""
    from python_multipart.multipart import parse_options_header

    kind, parameters = parse_options_header(content_type)
    return kind.decode("latin-1").lower(), {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in parameters.items()}


def read_fields(form: Form, content_type: bytes, body: Body) -> dict[str, list[Value]]:
    """Return the values of the declared fields that were sent, each field's in their order.

    Raises:
        UnreadableForm: if that cannot be told for certain.
    """
    if not body.finished:
        raise UnreadableForm("unfinished")
    kind, parameters = media_type(content_type)
    charset = parameters.get("charset") or form.charset
    if not is_charset(charset):
        raise UnreadableForm("charset")
    if kind == MULTIPART:
        return _Multipart(form, charset, longest=len(body.head)).read(body, parameters.get("boundary", "").encode("latin-1"))
    if body.tail:
        raise UnreadableForm("too_large")
    if kind == URLENCODED:
        return _read_urlencoded(form, charset, body.head)
    if kind == JSON or kind.endswith("+json"):
        return _read_json(form, body.head)
    raise UnreadableForm("type")


def _read_urlencoded(form: Form, charset: str, body: bytes) -> dict[str, list[Value]]:
    wanted = {name.encode(charset, "replace"): name for name in form.fields}
    longest = 3 * max(map(len, wanted))
    found: dict[str, list[Value]] = {}
    for pair in body.split(b"&"):
        raw, _, value = pair.partition(b"=")
        if len(raw) > longest:
            continue
        name = wanted.get(unquote_to_bytes(raw.replace(b"+", b" ")))
        if name is not None:
            _put(found, name, _text(unquote_to_bytes(value.replace(b"+", b" ")), charset))
    return found


def _put(found: dict[str, list[Value]], name: str, value: Value) -> None:
    values = found.setdefault(name, [])
    if len(values) < MOST_VALUES:
        values.append(value)


def _text(value: bytes, charset: str) -> str:
    if not is_charset(charset):
        raise UnreadableForm("charset")
    try:
        return value.decode(charset)
    except UnicodeError:
        raise UnreadableForm("charset") from None


class _Multipart:
    """Takes the parts of a multipart body as python-multipart finds them; only those of declared fields are put together."""

    def __init__(self, form: Form, charset: str, *, longest: int) -> None:
        self._form = form
        self._charset = charset
        self._limit = longest
        self._taken = 0
        self._found: dict[str, list[Value]] = {}
        self._ended = False
        self._offset = 0
        """Where in the whole body the bytes begin that are parsed just now."""
        self._clear()

    def _clear(self) -> None:
        self._headers: dict[bytes, bytes] = {}
        self._header = self._content = b""
        self._name: str | None = None
        self._file = ""
        """The type of the file, if the part is one."""
        self._is_empty_file = False
        self._starts = 0
        self._size = 0
        self._pieces: list[bytes] = []
        self._in_data = False

    def read(self, body: Body, boundary: bytes) -> dict[str, list[Value]]:
        from python_multipart.exceptions import FormParserError

        if not _BOUNDARY.fullmatch(boundary):
            raise UnreadableForm("broken")
        delimiter = b"\r\n--" + boundary
        whole = len(body.head) + len(body.tail) == body.size
        data = body.head + body.tail if whole else body.head
        start = 0 if data.startswith(delimiter[2:]) else data.find(delimiter) + 2  # a preamble is no part (RFC 2046, 5.1.1)
        self._offset = start
        try:
            self._parse(data[start:], boundary)
            if not whole and not self._ended:
                self._skip_to(body, delimiter, boundary)
        except (FormParserError, ValueError):
            raise UnreadableForm("broken") from None
        if not self._ended:
            raise UnreadableForm("broken")
        return self._found

    def _skip_to(self, body: Body, delimiter: bytes, boundary: bytes) -> None:
        """Go on in the tail, after the file in which the head has ended."""
        if not self._in_data or (self._name is not None and not self._file):
            raise UnreadableForm("too_large")
        place = body.tail.find(delimiter)
        if place < 0:
            raise UnreadableForm("too_large")
        self._offset = body.size - len(body.tail)
        self._size = self._offset + place - self._starts
        self._part_ended()
        self._offset += place + 2
        self._parse(body.tail[place + 2 :], boundary)

    def _parse(self, data: bytes, boundary: bytes) -> None:
        from python_multipart.multipart import MultipartParser

        callbacks: Any = {
            "on_part_begin": self._clear,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_ended,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_part_end": self._part_ended,
            "on_end": self._all_ended,
        }
        parser = MultipartParser(boundary, callbacks)
        parser.logger = _SILENT
        parser.write(data)

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._content += data[start:end]

    def _header_ended(self) -> None:
        self._headers[self._header.lower()] = self._content
        self._header = self._content = b""

    def _headers_finished(self) -> None:
        from python_multipart.multipart import parse_options_header

        _, parameters = parse_options_header(self._headers.get(b"content-disposition"))
        raw = parameters.get(b"name")
        self._name = self._declared(raw) if raw is not None else None
        if b"filename" in parameters or b"filename*" in parameters:
            self._file = file_type(self._headers.get(b"content-type", b""))
            self._is_empty_file = not parameters.get(b"filename")
        self._in_data = True

    def _declared(self, raw: bytes) -> str | None:
        """Return the declared field of that name; browsers escape quotes and line ends in it."""
        for spelling in (raw, raw.replace(b"%22", b'"').replace(b"%0D", b"\r").replace(b"%0A", b"\n")):
            try:
                name = spelling.decode(self._charset)
            except (LookupError, UnicodeError):
                return None
            if name in self._form.fields:
                return name
        return None

    def _data(self, data: bytes, start: int, end: int) -> None:
        if not self._size:
            self._starts = self._offset + start
        self._size += end - start
        if self._name is not None and not self._file:
            self._taken += end - start
            if self._taken > self._limit:
                raise UnreadableForm("too_large")
            self._pieces.append(data[start:end])

    def _part_ended(self) -> None:
        self._in_data = False
        if self._name is None:
            return
        if self._file:
            if self._size or not self._is_empty_file:  # what a browser sends where no file was chosen
                _put(self._found, self._name, File(self._file, self._size))
            return
        kind, parameters = media_type(self._headers.get(b"content-type", b""))
        charset = parameters.get("charset", self._charset) if kind.startswith("text/") else self._charset
        _put(self._found, self._name, _text(b"".join(self._pieces), charset))
        self._pieces = []

    def _all_ended(self) -> None:
        self._ended = True


def file_type(content_type: bytes) -> str:
    """Return a file's type if it is a registered one, else "other": a header could say anything."""
    kind, _ = media_type(content_type)
    return kind if kind in _REGISTERED_TYPES or kind == "application/octet-stream" else "other"


_REGISTERED_TYPES: Final = frozenset(mimetypes.MimeTypes().types_map[True].values()) | frozenset(
    "image/heic image/webp image/avif application/zip application/gzip".split()
)


def _read_json(form: Form, body: bytes) -> dict[str, list[Value]]:
    found: dict[str, list[Value]] = {}
    try:
        _read_object(body, {tuple(name.split(".")): name for name in form.fields}, found)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise UnreadableForm("broken") from None
    return found


def _read_object(body: bytes, wanted: Mapping[tuple[str, ...], str], found: dict[str, list[Value]]) -> None:
    """Take the wanted paths out of an object. What is not wanted is checked to be JSON, and skipped."""
    keys = {*(path[0] for path in wanted), *(".".join(path) for path in wanted)}
    raw = _pick(body, tuple(sorted(keys)))
    for path, name in wanted.items():
        if ".".join(path) in raw:
            for value in _scalars(raw[".".join(path)]):
                _put(found, name, value)
    for first in {path[0] for path in wanted if len(path) > 1} & set(raw):
        if raw[first].lstrip()[:1] == b"{":
            _read_object(raw[first], {path[1:]: name for path, name in wanted.items() if path[0] == first and len(path) > 1}, found)


def _pick(body: bytes, keys: tuple[str, ...]) -> dict[str, bytes]:
    fields = [(f"f{number}", msgspec.Raw | msgspec.UnsetType, msgspec.UNSET) for number, _ in enumerate(keys)]
    renamed = {f"f{number}": key for number, key in enumerate(keys)}
    picked = msgspec.json.decode(body, type=msgspec.defstruct("Picked", fields, rename=renamed))
    values = {key: getattr(picked, name) for name, key in renamed.items()}
    return {key: bytes(value) for key, value in values.items() if value is not msgspec.UNSET}


def _scalars(raw: bytes) -> Iterable[str]:
    """Return a text, number or truth value, or a list of them, as texts; null is nothing, objects are not taken."""
    first = raw.lstrip()[:1]
    if first == b"{":
        return ()
    if first == b"[":
        return [text for item in msgspec.json.decode(raw, type=list[msgspec.Raw]) for text in _scalar(bytes(item))]
    return _scalar(raw)


def _scalar(raw: bytes) -> tuple[str, ...]:
    text = raw.strip()
    if text[:1] in (b"{", b"[") or text == b"null":
        return ()
    return (msgspec.json.decode(text, type=str),) if text[:1] == b'"' else (text.decode(),)


class FormIndex:
    """Finds the declared form of a request by its method and path."""

    def __init__(self, forms: Iterable[Form]) -> None:
        self.forms = tuple(forms)
        self.methods = frozenset(form.method for form in self.forms)
        """Of a request with another method nothing needs to be looked at."""
        self._sent_to = _Places((form.method, form.path, form) for form in self.forms)
        self._shown_at = _Places(("GET", form.shown_at or form.path, form) for form in self.forms)

    def sent_to(self, method: str, path: str) -> Form | None:
        """Return the form that is sent there."""
        return self._sent_to.find(method, path)

    def shown_at(self, path: str) -> Form | None:
        """Return the form that is shown there."""
        return self._shown_at.find("GET", path)


class _Places:
    def __init__(self, places: Iterable[tuple[str, str, Form]]) -> None:
        self._plain: dict[tuple[str, str], Form] = {}
        self._patterns: list[tuple[str, re.Pattern[str], Form]] = []
        for method, path, form in places:
            pattern = path_pattern(path)
            if pattern is None:
                self._plain.setdefault((method, path), form)
            else:
                self._patterns.append((method, pattern, form))

    def find(self, method: str, path: str) -> Form | None:
        found = self._plain.get((method, path))
        if found is None and self._patterns:
            return next((form for m, pattern, form in self._patterns if m == method and pattern.fullmatch(path)), None)
        return found
