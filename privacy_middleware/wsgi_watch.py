"""Watches one exchange under WSGI (PEP 3333) on its way between server and host, and queues what is to be recorded of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from time import monotonic
from typing import Any, Final, Protocol

from .capture import Capture
from .collect.agent import LONGEST_AGENT
from .collect.hit import LONGEST_PART
from .collect.page import scrub_path
from .forms import Form
from .record.intake import Intake
from .record.recorder import CAPACITY, Recorder

Environ = MutableMapping[str, Any]
StartResponse = Callable[..., Any]

_PARAMETER: Final = re.compile(r"<(?:([a-zA-Z_]\w*)(?:\([^)]*\))?:)?([a-zA-Z_]\w*)>")
"""A part of a rule of Werkzeug's: `<int:id>`, `<path:rest>`, `<name>`."""
_PARTIAL_CONTENT: Final = 206


class Middleware(Protocol):
    """What a watch needs of the middleware that it works for."""

    recorder: Recorder
    intake: Intake
    clock: Callable[[], float]
    trusted: Any
    form_limit: int

    def client_address(self, peer: str, forwarded: Sequence[bytes]) -> str:
        """Return the visitor's address behind the trusted proxies."""

    def flush(self) -> None:
        """Commit what is queued, in a process that was told to end."""


class WSGIWatch:
    """Watches one exchange without touching it: passes on what comes, in the same pieces and at the same time."""

    __slots__ = (
        "_bytes", "_capture", "_environ", "_headers", "_middleware", "_path", "_root", "_start_response", "_started", "_status",
        "_time", "ended", "template",
    )  # fmt: skip

    def __init__(self, middleware: Middleware, environ: Environ, start_response: StartResponse, root: str) -> None:
        self._middleware = middleware
        self._environ = environ
        self._start_response = start_response
        self._root = root
        self._path = root + environ.get("PATH_INFO", "")  # now: a dispatcher in the app moves parts of it
        self._time = middleware.clock()
        self._started = monotonic()
        self._status = self._bytes = 0
        self._headers: Sequence[tuple[str, str]] = ()
        self._capture: Capture | None = None
        self.template: str | None = None
        self.ended = False

    # --- the request -------------------------------------------------------------------------------------------------------

    def capture_form(self, form: Form, *, refuses: bool) -> None:
        """Copy what the app reads of the body. It is tied to the visit only if the form declares so, and the visit is recorded."""
        environ, middleware = self._environ, self._middleware
        packed = "HTTP_CONTENT_ENCODING" in environ
        content_type = b"" if packed else environ.get("CONTENT_TYPE", "").encode("latin-1")
        self._capture = Capture(form, middleware.intake, content_type, middleware.form_limit, self._time)
        if refuses:  # who asks for what is done if it is accepted, and for nothing else; the visit is not recorded
            self.ended = True
            self._capture.outcomes = ("accepted",) if "accepted" in form.outcomes else ()
        elif form.link_visit:
            self._capture.visitor = middleware.recorder.visitors.meet(self._time, *self._who())[0]
        length = environ.get("CONTENT_LENGTH", "")
        environ["wsgi.input"] = Tee(environ["wsgi.input"], self._capture, int(length) if length.isdigit() else None)

    def _who(self) -> tuple[str, bytes, bytes]:
        """Return what tells one visitor from another: address, user agent, and host."""
        environ, middleware = self._environ, self._middleware
        address = environ.get("REMOTE_ADDR", "")
        if middleware.trusted:
            forwarded = environ.get("HTTP_X_FORWARDED_FOR", "")
            address = middleware.client_address(address, [forwarded.encode("latin-1")] if forwarded else [])
        return address, self._sent("HTTP_USER_AGENT", LONGEST_AGENT), self._sent("HTTP_HOST", LONGEST_AGENT)

    def _sent(self, name: str, longest: int) -> bytes:
        value: str = self._environ.get(name, "")
        return value[:longest].encode("latin-1", "replace") if value else b""

    # --- the answer --------------------------------------------------------------------------------------------------------

    def start_response(self, status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
        """Hear the start of the answer, and pass it on; an app may replace it as long as nothing is sent."""
        try:
            self._status, self._headers = int(status[:3]), headers
            self.template = route_template(self._environ, self._root)  # now: Flask takes it away with its context
        except Exception as error:  # what the app gave is the server's to judge
            self._middleware.recorder.fault(error)
        write = self._start_response(status, headers, *exc_info)
        return self._writer(write) if callable(write) else write

    def _writer(self, write: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
        def counting(data: bytes) -> Any:
            self.sends(data)
            return write(data)

        return counting

    def answer(self, result: Iterable[bytes]) -> Iterable[bytes]:
        """Return what goes on to the server in the place of the app's iterable: the same object wherever that is possible."""
        try:
            self.decide_now()  # not with the first chunk: some servers send status and headers before it
            kind = result.__class__
            if (kind is list or kind is tuple) and self._status:
                self.sends(b"")
                self._bytes += sum(map(len, result))
                self.end()
                return result
            wrapper = self._environ.get("wsgi.file_wrapper")
            if isinstance(wrapper, type) and isinstance(result, wrapper):
                self.sends_file()
                return result
            return _Sized(self, result) if hasattr(result, "__len__") else _Answer(self, result)
        except Exception as error:  # whatever our own fault, the answer goes out
            self._middleware.recorder.fault(error)
            return result

    def sends_file(self) -> None:
        """Hear that the server sends a file, perhaps by itself; what is known is the length that the app announced."""
        self.sends(b"")
        length = self._answered("content-length")
        self._bytes += int(length) if length.isdigit() else 0
        self.end()

    def sends(self, chunk: bytes) -> None:
        """Hear of some bytes before they go out: with the first, the answer is decided, and what is to be kept must be durable."""
        try:
            self._bytes += len(chunk)
            if self._capture is not None and self._status:
                self._decide(self._capture)
        except Exception as error:  # whatever our own fault, the answer goes out
            self._middleware.recorder.fault(error)

    def decide_now(self) -> None:
        """With the start of the answer, the fate of a submission is decided; what is to be kept is durable when this returns."""
        if self._capture is not None and self._status:
            self._decide(self._capture)

    async def decide_in_task(self) -> None:
        """The same on an event loop."""
        capture, self._capture = self._capture, None
        captured = capture.decide(self._status) if capture is not None else None
        if capture is not None and captured is not None:
            await capture.keep(captured)

    def _decide(self, capture: Capture) -> None:
        self._capture = None
        captured = capture.decide(self._status)
        if captured is not None:
            capture.keep_in_thread(captured)

    def finished(self) -> None:
        """All of the answer has been handed to the server."""
        self.sends(b"")
        if not self.ended:
            self.end()

    def closed(self) -> None:
        """The server is done with it; if it did not take all, the visitor may have left."""
        if not self.ended:
            length = self._answered("content-length")
            self.end(
                completed=int(self._environ.get("REQUEST_METHOD", "GET") == "HEAD" or (length.isdigit() and self._bytes >= int(length)))
            )

    def broken(self, error: BaseException) -> None:
        """Note that the app raised: the server answers 500 if nothing was sent yet, which decides about the form as well."""
        if not self._bytes:
            self._status = 500
        if self._capture is not None and isinstance(error, Exception):
            self._capture.broken()
            self._capture = None
        if not self.ended:
            self.end(completed=0)

    def _answered(self, wanted: str) -> str:
        return next((value for name, value in self._headers if name.lower() == wanted), "")

    def end(self, completed: int = 1) -> None:
        """Queue the exchange, once. From the address only the pseudonym and the shortened form go on."""
        if self.ended:
            return
        self.ended = True
        environ, middleware, recorder = self._environ, self._middleware, self._middleware.recorder
        try:
            who = self._who()
            starts, ends, seen = recorder.visitors.serving
            visitor = seen.get(hash(who)) if starts <= self._time < ends else None
            if visitor is None:
                visitor = recorder.visitors.meet(self._time, *who)
            method, status = environ.get("REQUEST_METHOD", "GET"), self._status or 500
            # The fields of an Exchange, as the ASGI adapter has them.
            fields = (
                self._time,
                visitor,
                method,
                readable(self._path)[:LONGEST_PART],
                self.template,
                self._sent("QUERY_STRING", LONGEST_PART),
                who[2],
                self._sent("HTTP_REFERER", LONGEST_PART),
                who[1],
                self._sent("HTTP_ACCEPT_LANGUAGE", LONGEST_AGENT),
                self._sent("HTTP_SEC_PURPOSE", LONGEST_AGENT),
                b"" if method == "GET" else self._sent("CONTENT_TYPE", LONGEST_AGENT),
                status,
                self._answered("content-type").encode("latin-1", "replace"),
                self._answered("content-disposition").encode("latin-1", "replace"),
                b"" if status != _PARTIAL_CONTENT else self._answered("content-range").encode("latin-1", "replace"),
                self._bytes,
                completed,
                monotonic() - self._started,
                readable(self._root),
            )
            if recorder.ready and len(recorder.queue) < CAPACITY:
                recorder.queue.append(fields)
            else:
                recorder.put(fields)
            if recorder.ending:
                middleware.flush()
        except Exception as error:  # see sends
            recorder.lost(error)


class _Answer:
    """The app's iterable on its way to the server: each chunk passes when the server asks for it."""

    __slots__ = ("_next", "_result", "_watch")

    def __init__(self, watch: WSGIWatch, result: Iterable[bytes]) -> None:
        self._watch = watch
        self._result = result
        self._next: Callable[[], bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            if self._next is None:
                self._next = iter(self._result).__next__
            chunk = self._next()
        except StopIteration:
            self._watch.finished()
            raise
        except BaseException as error:
            self._watch.broken(error)
            raise
        self._watch.sends(chunk)
        return chunk

    def close(self) -> None:
        """Close the app's iterable, if it can be closed."""
        try:
            close(self._result)
        finally:
            self._watch.closed()

    def __del__(self) -> None:
        """A server should call `close`; one that does neither that nor read on leaves at least a row."""
        self._watch.closed()


class _Sized(_Answer):
    """Some servers announce the length of an answer that consists of one chunk."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(self._result)  # type: ignore[arg-type]


def close(result: Any) -> None:
    """Close the iterable of an answer, if it can be closed."""
    method = getattr(result, "close", None)
    if method is not None:
        method()


class Tee:
    """`wsgi.input`, of which what the app reads is copied as it passes."""

    def __init__(self, stream: Any, capture: Capture, length: int | None) -> None:
        self._stream = stream
        self._capture = capture
        self._length = length

    def _took(self, data: bytes, *, wanted: bool = True) -> bytes:
        copy = self._capture.copy
        if copy is not None and wanted:
            ended = not data if self._length is None else copy.size + len(data) >= self._length
            copy.add(data, more=not ended)
        return data

    def read(self, *size: Any) -> bytes:
        """Read some bytes, or all."""
        everything = not size or size[0] is None or size[0] < 0
        data = self._took(self._stream.read(*size), wanted=size != (0,))
        if everything and self._capture.copy is not None:
            self._capture.copy.finished = True
        return data

    def readline(self, *size: Any) -> bytes:
        """Read a line."""
        return self._took(self._stream.readline(*size), wanted=size != (0,))

    def readlines(self, *hint: Any) -> list[bytes]:
        """Read lines."""
        return [self._took(line) for line in self._stream.readlines(*hint)]

    def readinto(self, buffer: Any) -> int | None:
        """Read into a buffer."""
        amount: int | None = self._stream.readinto(buffer)
        if amount is not None:
            self._took(bytes(memoryview(buffer)[:amount]), wanted=len(buffer) > 0)
        return amount

    def __iter__(self) -> Iterator[bytes]:
        for line in self._stream:
            yield self._took(line)
        self._took(b"")

    def __next__(self) -> bytes:
        return self._took(next(self._stream))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def readable(text: str) -> str:
    """Decode a part of a path: WSGI gives its bytes as Latin-1 (PEP 3333), browsers send UTF-8."""
    return text if text.isascii() else text.encode("latin-1", "replace").decode("utf-8", "replace")


def route_template(environ: Environ, root: str) -> str | None:
    """Return the route template under which the app answered, where its framework leaves it: Flask, and what is built on it."""
    rule = getattr(getattr(environ.get("werkzeug.request"), "url_rule", None), "rule", None)
    if not isinstance(rule, str):
        return None
    mount = environ.get("SCRIPT_NAME", "").removeprefix(root)
    return (scrub_path(readable(mount)) if mount else "") + as_template(rule)


def as_template(rule: str) -> str:
    """Return a rule of Werkzeug's or a route of Django's as our templates are written: `/orders/<int:id>` is `/orders/{id}`."""
    return _PARAMETER.sub(_hole, rule)


def _hole(found: re.Match[str]) -> str:
    return f"{{{found[2]}:path}}" if found[1] == "path" else f"{{{found[2]}}}"
