"""Reads the declared fields, and nothing else, out of the body of a form or of JSON, copied while the app read it.

Sources: HTML standard, "Form submission" (urlencoded, multipart); RFC 7578 (multipart/form-data); RFC 8259 (JSON).
"""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Iterable, Mapping, MutableSequence, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_to_bytes

import msgspec

from ..forms import Form, codec, path_pattern

URLENCODED: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"
JSON: Final = "application/json"
SMALL: Final = 512
"""Bytes of a chunk that is not kept apart: each costs memory of its own."""
LONGEST_VALUE: Final = 16_384
"""Characters kept of one value at most."""
MOST_VALUES: Final = 100
"""Values of one field at most."""
_SILENT: Final = logging.Logger("privacy_middleware.silent", logging.CRITICAL + 1)  # noqa: LOG001 - unknown to any configuration
"""For python-multipart, whose warnings tell bytes of the body."""
_BOUNDARY: Final = re.compile(rb"[ -~]{1,70}")


class UnreadableForm(Exception):
    """The body cannot be read, for a reason that is counted: broken, charset, too_large, unfinished, type."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class File(NamedTuple):
    """What is known of a file that was sent: its registered type, and its size in bytes. No name, no content."""

    type: str
    size: int | None
    """None if it is so large that its end was not looked at."""


class Undecodable(NamedTuple):
    """A text whose bytes are none in the encoding of the form."""


Value = str | File | Undecodable


class Body(NamedTuple):
    """The copy of a body: all of it, or, if it is over the limit, its head and its tail."""

    head: bytes
    tail: bytes
    """Empty if `head` is all."""
    size: int
    finished: bool

    @property
    def held(self) -> int:
        """How many bytes of it are in memory."""
        return len(self.head) + len(self.tail)

    def __repr__(self) -> str:
        """Without bytes: it may end up in a log or a traceback."""
        return f"Body({self.size} bytes)"


class Copy:
    """Keeps references to the chunks of a body as they pass: the first `limit` bytes, and at least the last `limit`.

    It is on the way of the host's own reading: nothing is joined, parsed or decoded here.
    """

    __slots__ = ("_head", "_large", "_limit", "_most", "_tail", "_tail_size", "finished", "size")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._most = 4 * limit
        self._head: list[bytes | bytearray] = []
        self._large: bytes | None = None
        """The last chunk, if it is long enough to be the whole tail."""
        self._tail: deque[bytes | bytearray] | None = None
        self._tail_size = 0
        self.size = 0
        self.finished = False

    def add(self, chunk: bytes, *, more: bool) -> None:
        """Take what the host has just read. The hot path of uploads: one call a chunk."""
        before = self.size
        length = len(chunk)
        self.size = before + length
        if before >= self._limit <= length <= self._most:
            self._large = chunk
        elif before + length > self._limit:
            self._overflow(chunk, length, before)
        elif length >= SMALL:
            self._head.append(chunk)
        else:
            _append_small(self._head, chunk)
        if not more:
            self.finished = True

    def _overflow(self, chunk: bytes, length: int, before: int) -> None:
        if before < self._limit:
            self._head.append(chunk[: self._limit - before])
        if length > self._most:  # do not hold on to all of it
            chunk, length = chunk[-self._limit :], self._limit
        tail = self._tail
        if tail is None or self._large is not None:
            tail = self._tail = deque() if self._large is None else deque((self._large,))
            self._tail_size = 0 if self._large is None else len(self._large)
            self._large = None
        _append_small(tail, chunk) if length < SMALL else tail.append(chunk)
        self._tail_size += length
        while self._tail_size - len(tail[0]) >= self._limit:
            self._tail_size -= len(tail.popleft())

    def body(self) -> Body:
        """Return what was copied."""
        head, tail = b"".join(self._head), self._large if self._large is not None else b"".join(self._tail or ())
        missing = self.size - len(head)
        if missing <= len(tail):  # nothing is lost between the two
            whole = head + tail[len(tail) - missing :]
            head, tail = whole[: self._limit], whole[self._limit :]
        return Body(head, tail[-self._limit :], self.size, self.finished)


def _append_small(pieces: MutableSequence[bytes | bytearray], chunk: bytes) -> None:
    last = pieces[-1] if pieces else None
    if isinstance(last, bytearray) and len(last) < 8 * SMALL:
        last += chunk
    elif chunk:
        pieces.append(bytearray(chunk))


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
    charset = codec(parameters.get("charset") or form.charset)
    if not charset:
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
    wanted = {name.encode(charset, "xmlcharrefreplace"): name for name in form.fields}  # as browsers write what the charset lacks
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


def _text(value: bytes, charset: str) -> str | Undecodable:
    try:
        return value.decode(charset)
    except UnicodeError:
        return Undecodable()


class _Multipart:
    """Takes the parts of a multipart body as python-multipart finds them; only those of declared fields are put together."""

    def __init__(self, form: Form, charset: str, *, longest: int) -> None:
        self._form = form
        self._charset = charset
        self._limit = longest
        self._taken = 0
        self._files_after = 0
        self._found: dict[str, list[Value]] = {}
        self._ended = False
        self._clear()

    def _clear(self) -> None:
        self._headers: dict[bytes, bytes] = {}
        self._header = self._content = b""
        self._name: str | None = None
        self._file = ""
        """The type of the file, if the part is one."""
        self._is_empty_file = False
        self._size: int | None = 0
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
        """Go on in the tail, after the file in which the head has ended.

        What lies between the two is taken for that file alone if every declared text was found around it: browsers send each
        text field of a form, also an empty one. (Of a field that is sent several times, one could still lie there.)
        """
        place = body.tail.find(delimiter)
        if not self._in_data or (self._name is not None and not self._file) or place < 0:
            raise UnreadableForm("too_large")
        self._size = None
        self._part_ended()
        self._parse(body.tail[place + 2 :], boundary)
        if any(not field.may_be_unsent and name not in self._found for name, field in self._form.fields.items()):
            raise UnreadableForm("too_large")

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
        has_extended_name = b"filename*" in self._headers.get(b"content-disposition", b"").lower()  # RFC 5987: the library drops it
        if b"filename" in parameters or has_extended_name:
            self._file = file_type(self._headers.get(b"content-type", b""))
            self._is_empty_file = not parameters.get(b"filename") and not has_extended_name
        self._in_data = True

    def _declared(self, raw: bytes) -> str | None:
        """Return the declared field of that name; browsers escape quotes and line ends in it."""
        for spelling in (raw, raw.replace(b"%22", b'"').replace(b"%0D", b"\r").replace(b"%0A", b"\n")):
            try:
                name = spelling.decode(self._charset)
            except UnicodeError:
                return None
            if name in self._form.fields:
                return name
        return None

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._size = (self._size or 0) + end - start
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
            if self._size != 0 or not self._is_empty_file:  # what a browser sends where no file was chosen
                _put(self._found, self._name, File(self._file, self._size))
            return
        kind, parameters = media_type(self._headers.get(b"content-type", b""))
        charset = codec(parameters["charset"]) if kind.startswith("text/") and "charset" in parameters else self._charset
        if not charset:
            raise UnreadableForm("charset")
        _put(self._found, self._name, _text(b"".join(self._pieces), charset))
        self._pieces = []

    def _all_ended(self) -> None:
        self._ended = True


def file_type(content_type: bytes) -> str:
    """Return a file's type if it is a registered one, else "other": a header could say anything."""
    kind, _ = media_type(content_type)
    return kind if kind in _REGISTERED_TYPES else "other"


_REGISTERED_TYPES: Final = frozenset(
    f"{kind}/{name}"
    for kind, names in {
        "application": "epub+zip gzip json msword octet-stream pdf postscript rtf vnd.ms-excel vnd.ms-powerpoint "
        "vnd.oasis.opendocument.presentation vnd.oasis.opendocument.spreadsheet vnd.oasis.opendocument.text "
        "vnd.openxmlformats-officedocument.presentationml.presentation "
        "vnd.openxmlformats-officedocument.spreadsheetml.sheet vnd.openxmlformats-officedocument.wordprocessingml.document vnd.rar "
        "x-7z-compressed x-rar-compressed x-tar x-zip-compressed xml zip",
        "audio": "aac flac midi mp4 mpeg ogg opus wav webm x-m4a x-wav",
        "image": "avif bmp gif heic heif jpeg png svg+xml tiff webp x-icon",
        "text": "calendar css csv html markdown plain vcard xml",
        "video": "mp4 mpeg ogg quicktime webm x-matroska x-msvideo",
    }.items()
    for name in names.split()
)


def _read_json(form: Form, body: bytes) -> dict[str, list[Value]]:
    found: dict[str, list[Value]] = {}
    wanted = {tuple(name.split(".")): name for name in form.fields}
    body = body.removeprefix(b"\xef\xbb\xbf")  # a byte order mark may be ignored (RFC 8259, 8.1)
    try:
        try:
            _read_object(form, body, wanted, found)
        except msgspec.DecodeError:  # half an emoji, as JavaScript's `slice` makes it, is JSON to most parsers
            _read_object(form, _HALF_PAIRS.sub(rb"\1\2\\ufffd", body), wanted, found)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise UnreadableForm("broken") from None
    return found


_HALF_PAIRS: Final = re.compile(  # after an even number of backslashes: an odd one is a backslash of the text itself
    rb"(?<!\\)((?:\\\\)*)\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\)(?<!\\u[dD][89abAB][0-9a-fA-F]{2})((?:\\\\)*)\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)


def _read_object(form: Form, body: bytes, wanted: Mapping[tuple[str, ...], str], found: dict[str, list[Value]]) -> None:
    """Take the wanted paths out of an object. What is not wanted is checked to be JSON, and skipped."""
    raw = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    for first in {path[0] for path in wanted if len(path) > 1} & set(raw):
        if bytes(raw[first]).lstrip()[:1] == b"{":
            below = {path[1:]: name for path, name in wanted.items() if path[0] == first and len(path) > 1}
            _read_object(form, bytes(raw[first]), below, found)
    for path, name in wanted.items():
        value = bytes(raw.get(".".join(path), b"null"))
        if name in found or (form.fields[name].treatment == "present" and value.strip() == b"false"):
            continue  # of the two spellings of a path only one is taken
        for text in _scalars(value):
            _put(found, name, text)


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
        self.forms = tuple(form for form in forms if form.path)
        self.methods = frozenset(form.method for form in self.forms)
        """Of a request with another method nothing needs to be looked at."""
        self._sent_to = _Places((form.method, form.path, form) for form in self.forms)
        self._shown_at = _Places(("GET", form.shown_at or form.path, form) for form in self.forms)

    def sent_to(self, method: str, path: str, root: str = "") -> Form | None:
        """Return the form that is sent there; its path may or may not have the mounts in front of the app (`root`) in it."""
        found = self._sent_to.find(method, path, root)
        return found[0] if found else None

    def shown_at(self, path: str, root: str = "") -> Sequence[Form]:
        """Return the forms that are shown there."""
        return self._shown_at.find("GET", path, root)


class _Places:
    def __init__(self, places: Iterable[tuple[str, str, Form]]) -> None:
        self._plain: dict[tuple[str, str], list[Form]] = {}
        self._patterns: list[tuple[str, re.Pattern[str], Form]] = []
        for method, path, form in places:
            pattern = path_pattern(path)
            if pattern is None:
                self._plain.setdefault((method, path), []).append(form)
            else:
                self._patterns.append((method, pattern, form))

    def find(self, method: str, path: str, root: str) -> Sequence[Form]:
        return self._at(method, path) or (self._at(method, path.removeprefix(root)) if root else ())

    def _at(self, method: str, path: str) -> Sequence[Form]:
        found = self._plain.get((method, path), ())
        if self._patterns:
            return [*found, *(form for m, pattern, form in self._patterns if m == method and pattern.fullmatch(path))]
        return found
