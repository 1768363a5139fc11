"""Watches one exchange on its way between server and host, and queues what is to be recorded of it at its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from time import monotonic
from typing import Any, Protocol

import anyio

from .capture import Capture
from .collect.agent import LONGEST_AGENT
from .collect.hit import CLIENT_CLOSED_REQUEST, LONGEST_PART
from .forms import Form
from .record.intake import Captured, Intake
from .record.recorder import CAPACITY, Recorder
from .routes import RouteTemplates

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Middleware(Protocol):
    """What a watch needs of the middleware that it works for."""

    recorder: Recorder
    intake: Intake
    templates: RouteTemplates
    clock: Callable[[], float]
    trusted: Any
    form_limit: int

    def forwarded_address(self, scope: Scope, peer: str) -> str:
        """Return the visitor's address behind the trusted proxies."""


class Watch:
    """Watches one exchange without touching it.

    The hot path: its methods are plain functions, since an async frame would cost as much again, and `end` does in one
    piece what would be clearer in five, since each call costs 600 instructions (benchmarks/instructions.py).
    """

    __slots__ = (
        "_bytes", "_found", "_headers", "_middleware", "_receive", "_root", "_scope", "_send", "_started", "_status", "_time", "ended",
    )  # fmt: skip

    def __init__(self, middleware: Middleware, scope: Scope, found: dict[bytes, bytes], receive: Receive, send: Send) -> None:
        self._middleware = middleware
        self._scope = scope
        self._found = found
        self._receive = receive
        self._send = send
        self._time = middleware.clock()
        self._started = monotonic()
        self._status = self._bytes = 0
        self._headers: Any = ()
        self._root = scope["root_path"] if "root_path" in scope else ""
        self.ended = False

    async def receive(self) -> Message:
        """Read the next message for the host."""
        message = await self._receive()
        try:
            if message["type"] == "http.disconnect" and not self.ended:
                self.left()
        except Exception as error:  # as in send
            self._middleware.recorder.fault(error)
        return message

    def left(self) -> None:
        """Note that the visitor is gone."""
        self._status = self._status or CLIENT_CLOSED_REQUEST
        self.end(completed=0)

    def send(self, message: Message) -> Awaitable[None]:
        """Take the next message of the host's answer, and pass it on."""
        try:
            kind = message["type"]
            if kind == "http.response.body":
                if "body" in message:
                    self._bytes += len(message["body"])
                if not (message.get("more_body")) and not self.ended:
                    self.end()
            elif kind == "http.response.start":
                self._status = message["status"]
                self._headers = message.get("headers")
            elif kind in ("http.response.pathsend", "http.response.zerocopysend"):
                self._sent_by_server(message)
        except Exception as error:  # whatever our own fault, the message goes on
            self._middleware.recorder.fault(error)
        return self._send(message)

    def _sent_by_server(self, message: Message) -> None:
        """Count what the server reads from a file itself: what the answer has announced."""
        length = self._answered(b"content-length")
        self._bytes += message.get("count") or (int(length) if length.isdigit() else 0)
        if not message.get("more_body") and not self.ended:
            self.end()

    def _answered(self, wanted: bytes) -> bytes:
        """Return a header of the answer, also if a bare ASGI app wrote its name in capitals; an iterator is the host's to read."""
        headers = self._headers if isinstance(self._headers, (list, tuple)) else ()
        return next((value for name, value in headers if name.lower() == wanted), b"")

    def broken(self, error: BaseException) -> None:
        """Note that the app raised: before its answer, the server sends 500; if it was cancelled, nobody waits for one."""
        if not self._status:
            self._status = 500 if isinstance(error, Exception) else CLIENT_CLOSED_REQUEST

    def end(self, completed: int = 1) -> None:
        """Queue the exchange, once. From the address only the pseudonym and the shortened form go on."""
        self.ended = True
        middleware, scope, found = self._middleware, self._scope, self._found
        recorder = middleware.recorder
        try:
            client = scope["client"] if "client" in scope else None
            address = (client[0] or "") if client else ""  # a Unix socket has none
            if middleware.trusted:
                address = middleware.forwarded_address(scope, address)
            agent = found[b"user-agent"][:LONGEST_AGENT] if b"user-agent" in found else b""
            host = found[b"host"][:LONGEST_AGENT] if b"host" in found else b""
            now = self._time
            starts, ends, seen = recorder.visitors.serving
            visitor = seen.get(hash((address, agent, host))) if starts <= now < ends else None
            if visitor is None:
                visitor = recorder.visitors.meet(now, address, agent, host)
            content_type = disposition = b""
            headers, status = self._headers, self._status
            if headers.__class__ is list or headers.__class__ is tuple:
                for name, value in headers:
                    if name == b"content-type":
                        content_type = value
                    elif name == b"content-disposition":
                        disposition = value
            method = scope["method"]
            templates = middleware.templates
            try:
                mounted = "root_path" in scope and scope["root_path"] != self._root
                template = templates.find(scope, self._root) if mounted else templates.known[scope["endpoint"]]
            except (KeyError, TypeError):  # not seen before, none, or one that cannot be a key
                template = templates.find(scope, self._root)
            # The fields of an Exchange: a plain tuple costs a quarter of a named one, and the writer names them.
            fields = (
                now,
                visitor,
                method,
                scope["path"][:LONGEST_PART],
                template,
                scope["query_string"][:LONGEST_PART],
                host,
                found[b"referer"][:LONGEST_PART] if b"referer" in found else b"",
                agent,
                found[b"accept-language"][:LONGEST_AGENT] if b"accept-language" in found else b"",
                found[b"sec-purpose"][:LONGEST_AGENT] if b"sec-purpose" in found else b"",
                b"" if method == "GET" else found.get(b"content-type", b"")[:LONGEST_AGENT],
                status or 500,
                content_type or self._answered(b"content-type"),
                disposition,
                b"" if status != 206 else self._answered(b"content-range"),
                self._bytes,
                completed,
                monotonic() - self._started,
                self._root,
            )
            if recorder.ready and len(recorder.queue) < CAPACITY:
                recorder.queue.append(fields)
            else:
                recorder.put(fields)
        except Exception as error:  # see send
            recorder.lost(error)


class FormWatch(Watch):
    """Watches a request to a declared form: copies what the host reads, and holds the start of its answer."""

    __slots__ = ("capture", "held")
    capture: Capture
    held: anyio.Event | None
    """Set once the start of an answer that was held has gone out."""

    def capturing(self, form: Form) -> FormWatch:
        """Begin to capture a form. It is tied to the visit only if the form declares so, and the visit is recorded."""
        middleware, found = self._middleware, self._found
        content_type = found[b"content-type"] if b"content-type" in found else b""
        if len(found) != len(self._scope["headers"]) and sum(name == b"content-type" for name, _ in self._scope["headers"]) > 1:
            content_type = b""  # nobody knows which of them the app goes by
        if b"content-encoding" in found:
            content_type = b""  # packed: it cannot be told what the app makes of it
        self.held = None
        self.capture = Capture(form, middleware.intake, content_type, middleware.form_limit, self._time)
        if self.ended:  # who refuses asks for what is done if it is accepted, and for nothing else
            self.capture.outcomes = ("accepted",) if "accepted" in form.outcomes else ()
        elif form.link_visit:
            self.capture.visitor = self._pseudonym()
        return self

    def _pseudonym(self) -> int | None:
        """Return the visitor's pseudonym of the day, as `end` has it; None if the day's salt is not at hand."""
        client, found = self._scope.get("client"), self._found
        address = (client[0] or "") if client else ""
        if self._middleware.trusted:
            address = self._middleware.forwarded_address(self._scope, address)
        agent, host = (found.get(name, b"")[:LONGEST_AGENT] for name in (b"user-agent", b"host"))
        return self._middleware.recorder.visitors.meet(self._time, address, agent, host)[0]

    async def receive(self) -> Message:
        """Read the next message for the host, and copy what it holds of the body."""
        message = await self._receive()
        try:
            if message["type"] == "http.request":
                copy = self.capture.copy
                if copy is not None:
                    more = message["more_body"] if "more_body" in message else False
                    copy.add(message["body"] if "body" in message else b"", more=more)
            elif not self.ended:
                self.left()
        except Exception as error:  # as in send
            self._middleware.recorder.fault(error)
        return message

    def send(self, message: Message) -> Awaitable[None]:
        """Take the next message of the host's answer; hold its start, and what follows, until what is to be kept is durable."""
        try:
            if message["type"] == "http.response.start":
                captured = self.capture.decide(message["status"])
                if captured is not None:
                    self.held = anyio.Event()
                    return self._answer(captured, message, self.held)
            elif self.held is not None and not self.held.is_set():  # an app that sends from several tasks
                return self._follow(message, self.held)
        except Exception as error:  # as above
            self._middleware.recorder.fault(error)
        return Watch.send(self, message)

    async def _answer(self, captured: Captured, message: Message, held: anyio.Event) -> None:
        try:
            try:
                await self.capture.keep(captured)
            except Exception as error:  # whatever our own fault, the answer goes out
                self._middleware.recorder.fault(error)
            await Watch.send(self, message)
        finally:
            held.set()

    async def _follow(self, message: Message, held: anyio.Event) -> None:
        await held.wait()
        await Watch.send(self, message)

    def broken(self, error: BaseException) -> None:
        """Note that the app raised, which decides about the form as well."""
        super().broken(error)
        if isinstance(error, Exception):
            self.capture.broken()
