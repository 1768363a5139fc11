"""The ASGI adapter: `app = PrivacyMiddleware(app)`. The hot path is here; it takes no lock and opens nothing."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import anyio
import anyio.to_thread

from .collect.choice import COOKIE, Choice, read_choice
from .collect.hit import CLIENT_CLOSED_REQUEST, Exchange
from .collect.visitor import client_address, identity_of, pack, truncate
from .privacy import Privacy, VisitorPrivacy, excluded, visitor_privacy
from .record.exit import SECONDS, flush_at_exit, flush_on_sigterm
from .record.recorder import Recorder
from .routes import RouteTemplates

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[Any]]

_COOKIE: Final = COOKIE.encode()
_UNDECIDED: Final = Choice(None, None)
_WELL_KNOWN: Final = "/.well-known/"


class PrivacyMiddleware:
    """Wraps an ASGI app: logs visits, honours refusals, and serves the privacy pages under one path.

    Args:
        app: any ASGI application.
        **settings: the settings of the README's table, in lower case; they win over the environment.

    Raises:
        SettingsError, DeclarationError: when a setting or privacy.toml is wrong; nothing is served then.
    """

    def __init__(self, app: ASGIApp, **settings: Any) -> None:
        self.app = app
        self.privacy = privacy = Privacy.from_sources(settings)
        self.recorder = privacy.recorder
        self._disabled = privacy.settings.disabled
        self._mount = privacy.settings.path
        self._own = (self._mount, _WELL_KNOWN)
        self._signals = privacy.settings.signals
        self._excluded = excluded(privacy.settings)
        self._templates = RouteTemplates()
        self._views: dict[tuple[Choice, str], VisitorPrivacy] = {}
        self._view = self._view_of(_UNDECIDED, "")
        self._site: ASGIApp | None = None
        self.clock: Callable[[], float] = time.time
        """Epoch seconds; the demo sets it to fill the past."""
        self._has_lifespan = False
        self._prepared = False
        items = privacy.recorder.rules.items
        shorten = pack if privacy.settings.ip == "full" else truncate
        self._shorten: Callable[[str], bytes] = shorten if "address" in items else _no_address
        self._trusted = privacy.settings.trusted_proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        """Serve one connection; whatever the host's app returns or raises goes on to the server."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan" and not self._disabled:
                return await self._lifespan(scope, receive, send)
            return await self.app(scope, receive, send)
        try:
            watch = self._begin(scope, receive, send)
        except Exception as error:  # whatever our own fault, the host is served
            self.recorder.fault(error)
            watch = None
        if watch is None:
            return await self.app(scope, receive, send)
        if not isinstance(watch, _Watch):
            return await watch(scope, receive, send)
        try:
            return await self.app(scope, watch.receive, watch.send)
        except BaseException as error:
            watch.broken(error)
            raise
        finally:
            if not watch.ended:
                watch.end(False)
            if self.recorder.ending:
                await self._flush()

    def _begin(self, scope: Scope, receive: Receive, send: Send) -> _Watch | ASGIApp | None:
        """Return what watches this request, an app that answers it in the host's place, or None to leave it alone."""
        if self._disabled or "privacy" in scope:
            return None
        path = scope["path"]
        root = scope.get("root_path")
        if root or path.startswith(self._own):
            answer = self._own_answer(scope, path, root or "")
            if answer is not None:
                return answer
        headers = scope["headers"]
        if headers.__class__ is not list and headers.__class__ is not tuple:
            return None  # an iterator is the host's to read, once; and without a choice nothing is recorded
        found = dict(headers)
        cookie = found.get(b"cookie")
        if b"sec-gpc" in found or b"dnt" in found or (cookie is not None and (_COOKIE in cookie or len(found) != len(headers))):
            choice = read_choice(headers, self._signals)
            scope["privacy"] = self._view_of(choice, root or "")
            if choice.opted_out:
                return None
        else:
            scope["privacy"] = self._view_of(_UNDECIDED, root) if root else self._view
        if self._excluded is not None and self._excluded.match(path):
            return None
        if not self._prepared:
            self._prepare()
        return _Watch(self, scope, found, receive, send)

    def _own_answer(self, scope: Scope, path: str, root: str) -> ASGIApp | None:
        """Our own pages, if the path is one of theirs; the host keeps `/privacyX` and `/privacy/../x`."""
        path = path.removeprefix(root)
        if path.startswith(_WELL_KNOWN):
            return self._well_known if not root and scope["method"] in ("GET", "HEAD") else None
        below = path.removeprefix(self._mount)
        if below is path or (below and below[0] != "/") or "/.." in path:
            return None
        return self._answer

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._site is None:
            from .site.app import make_site

            self._site = make_site(self.privacy)
        if not self._prepared:
            self._prepare()
        await self._site({**scope, "root_path": scope.get("root_path", "") + self._mount}, receive, send)

    async def _well_known(self, scope: Scope, receive: Receive, send: Send) -> Any:
        """Let the host answer; only where it knows no such path (404), answer what we know there."""
        from .site.well_known import HostFirst, well_known_app

        own = well_known_app(scope["path"], self.privacy)
        if own is None:
            return await self.app(scope, receive, send)
        host = HostFirst(send)
        result = await self.app(scope, receive, host.send)
        if host.declined:
            await own(scope, receive, send)
        return result

    def _view_of(self, choice: Choice, root: str) -> VisitorPrivacy:
        key = (choice, root)
        view = self._views.get(key)
        if view is None:
            if len(self._views) > 1000:  # a client chooses no root path, but nothing grows without an end
                self._views.clear()
            view = self._views[key] = visitor_privacy(choice, root + self._mount)
        return view

    def _prepare(self) -> None:
        """Once a process that serves: see to it that what is queued at the end is committed."""
        self._prepared = True
        flush_at_exit(self.recorder)
        if not self._has_lifespan:
            flush_on_sigterm(self.recorder)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> Any:
        async def watched(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                self._has_lifespan = True
            elif message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
                await self._flush()
            await send(message)

        try:
            return await self.app(scope, receive, watched)
        finally:
            await self._flush()

    async def _flush(self) -> None:
        """Commit what is queued, in a thread, also where the server has cancelled the task."""
        if self.recorder.is_idle:
            return
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self.recorder.flush, SECONDS)


def _no_address(_: str) -> bytes:
    return b""


class _Watch:
    """Watches one exchange without touching it. Its methods are plain functions: an async frame would cost as much again."""

    __slots__ = (
        "_bytes", "_content_range", "_content_type", "_disposition", "_found", "_length", "_middleware", "_receive", "_recorder",
        "_scope", "_send", "_started", "_status", "_time", "ended",
    )  # fmt: skip

    def __init__(self, middleware: PrivacyMiddleware, scope: Scope, found: dict[bytes, bytes], receive: Receive, send: Send) -> None:
        self._middleware = middleware
        self._recorder: Recorder = middleware.recorder
        self._scope = scope
        self._found = found
        self._receive = receive
        self._send = send
        self._time = middleware.clock()
        self._started = time.monotonic()
        self._status = 0
        self._bytes = 0
        self._length = 0
        self._content_type = self._disposition = self._content_range = b""
        self.ended = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self.ended:
            self._end_safely()
        return message

    def send(self, message: Message) -> Awaitable[None]:
        try:
            kind = message["type"]
            if kind == "http.response.body":
                body = message.get("body")
                if body:
                    self._bytes += len(body)
                if not self.ended and not message.get("more_body"):
                    self.end(True)
            elif kind == "http.response.start":
                self._answered(message)
            elif kind in ("http.response.pathsend", "http.response.zerocopysend"):
                self._sent_by_server(message)
        except Exception as error:  # whatever our own fault, the message goes on
            self._recorder.fault(error)
        return self._send(message)

    def _answered(self, message: Message) -> None:
        self._status = message["status"]
        headers = message.get("headers")
        if headers.__class__ is not list and headers.__class__ is not tuple:
            return  # an iterator is the host's to read, once
        found = dict(headers)
        content_type = found.get(b"content-type")
        if content_type is None and headers:
            found = {name.lower(): value for name, value in headers}
            content_type = found.get(b"content-type")
        self._content_type = content_type or b""
        if b"content-disposition" in found:
            self._disposition = found[b"content-disposition"]
        if self._status == 206:
            self._content_range = found.get(b"content-range", b"")
        if b"content-length" in found and self._scope.get("extensions"):
            length = found[b"content-length"]
            self._length = int(length) if length.isdigit() else 0

    def _sent_by_server(self, message: Message) -> None:
        """The server reads the file itself; what it sends is what the answer has announced."""
        self._bytes += message.get("count") or self._length
        if not message.get("more_body") and not self.ended:
            self.end(True)

    def broken(self, error: BaseException) -> None:
        """The app raised: before its answer, the server sends 500; if it was cancelled, nobody waits for one."""
        if not self._status:
            self._status = 500 if isinstance(error, Exception) else CLIENT_CLOSED_REQUEST

    def _end_safely(self) -> None:
        if not self._status:
            self._status = CLIENT_CLOSED_REQUEST
        self.end(False)

    def end(self, completed: bool) -> None:  # noqa: FBT001  the hot path: a keyword costs
        """Queue the exchange, once. From the address only the pseudonym and the shortened form go on."""
        self.ended = True
        try:
            self._queue(completed)
        except Exception as error:  # see send
            self._recorder.fault(error)

    def _queue(self, completed: bool) -> None:  # noqa: FBT001  see end
        scope, middleware, found = self._scope, self._middleware, self._found
        get = found.get
        client = scope.get("client")
        address = client[0] if client else ""
        if middleware._trusted:  # noqa: SLF001  one unit with the middleware
            forwarded = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
            address = client_address(address, forwarded, middleware._trusted)  # noqa: SLF001
        agent, host = get(b"user-agent", b"")[:512], get(b"host", b"")[:255]
        now = int(self._time * 1000)
        salt = self._recorder.salt
        identity = identity_of(address, agent, host)
        if salt is not None and salt.starts <= now < salt.ends:
            visitor, identity = salt.pseudonym(identity), b""
        else:
            visitor = None
        self._recorder.put(
            Exchange(
                now,
                visitor,
                identity,
                middleware._shorten(address),  # noqa: SLF001
                scope["method"],
                scope["path"],
                middleware._templates.find(scope),  # noqa: SLF001
                scope.get("query_string", b""),
                host,
                get(b"referer", b""),
                agent,
                get(b"accept-language", b""),
                get(b"sec-purpose", b"") or get(b"purpose", b""),
                get(b"content-type", b""),
                self._status or 500,
                self._content_type,
                self._disposition,
                self._content_range,
                self._bytes,
                completed,
                int((time.monotonic() - self._started) * 1000),
            )
        )
