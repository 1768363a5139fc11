"""The ASGI adapter: `app = PrivacyMiddleware(app)`. The hot path is here; it takes no lock and opens nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from string import printable
from time import monotonic
from typing import Any, Final
from urllib.parse import quote

import anyio

from .adapter import UNDECIDED, WELL_KNOWN, Adapter
from .collect.choice import CHOICE_HEADERS as _MAY_CHOOSE
from .collect.choice import OUR_COOKIES, preferences_cookie, read_choice
from .errors import KeyMissing, PrivacyError
from .forms import Form
from .mail import Send as MailSender
from .privacy import SWITCHED_OFF, Host, Privacy
from .record.exit import SECONDS
from .sources import DataSource
from .waiting import answer_of
from .watch import FormWatch, Message, Receive, Scope, Send, Watch

ASGIApp = Callable[[Scope, Receive, Send], Awaitable[Any]]

_COOKIE: Final = OUR_COOKIES


class PrivacyMiddleware(Adapter):
    """Wraps an ASGI app: logs visits, honours refusals, and serves the privacy pages under one path.

    Args:
        app: any ASGI application.
        sources: what else your app keeps of people, asked for overviews, corrections and erasures; see `privacy_middleware.sources`.
        current_subject: a function of a Starlette `Request` that returns the e-mail address of who is signed in, or None; may be async.
        authorize: a function of a Starlette `Request` that returns the role of who may see the owner's pages: `viewer` (statistics only),
            `officer` (all), or None; may be async.
        send_mail: a function that sends a `privacy_middleware.mail.Mail`, in the place of PRIVACY_SMTP_URL; may be async.
        **settings: the settings of the README's table, in lower case; they win over the environment.

    Raises:
        SettingsError, DeclarationError: when a setting or privacy.toml is wrong; nothing is served then.
    """

    def __init__(
        self,
        app: ASGIApp,
        /,
        *,
        sources: Sequence[DataSource] = (),
        current_subject: Callable[[Any], str | Awaitable[str | None] | None] | None = None,
        send_mail: MailSender | None = None,
        authorize: Callable[[Any], str | Awaitable[str | None] | None] | None = None,
        **settings: Any,
    ) -> None:
        late = _in_event_loop()
        try:
            privacy = Privacy.from_sources(settings, host=Host(sources, current_subject, send_mail, authorize))
            if privacy.declaration.forms and not late and not privacy.settings.disabled:
                privacy.keys.check()
        except PrivacyError as error:
            if not late:
                raise
            # Starlette builds its middleware when it is first called: an error raised there is taken for a missing lifespan.
            app, privacy = _no_start(error), Privacy.from_sources({"disabled": True, "policy": "\n"}, {})
        super().__init__(privacy, keys_checked=not late)
        self.app = app
        self._site: ASGIApp | None = None

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
            scope.setdefault("privacy", self._view)
            watch = None
        if watch is None:
            return await self.app(scope, receive, send)
        if not isinstance(watch, Watch):
            return await watch(scope, receive, send)
        try:
            return await self.app(scope, watch.receive, watch.send)
        except BaseException as error:
            watch.broken(error)
            raise
        finally:
            if not watch.ended:
                watch.end(completed=0)
            if self.recorder.ending:
                await self._flush()

    def _begin(self, scope: Scope, receive: Receive, send: Send) -> Watch | ASGIApp | None:
        """Return what watches this request, an app that answers it in the host's place, or None to leave it alone."""
        path = scope["path"]
        root = scope.get("root_path")
        if path[self._start] in self._own_starts or root:
            answer = self._own_answer(scope, path, root or "")
            if answer is not None:
                return answer
        if self._disabled or "privacy" in scope:
            scope.setdefault("privacy", SWITCHED_OFF)
            return None
        headers = scope["headers"]
        if headers.__class__ is not list and headers.__class__ is not tuple:
            scope["privacy"] = self._view
            return None  # an iterator is the host's to read, once; and without a choice nothing is recorded
        found = dict(headers)
        cookie = found.get(b"cookie")  # searched by `find`: `in` costs twice as much with bytes
        if (
            b"sec-gpc" in found
            or b"dnt" in found
            or (cookie is not None and (cookie.find(_COOKIE) >= 0 or len(found) != len(headers)))  # several: all count
        ):
            if self._refuses(scope, headers, root or ""):
                return self._asked_for(scope, found, receive, send)
        else:
            scope["privacy"] = self._view_of(UNDECIDED, root) if root else self._view
        if self._excluded is not None and self._excluded.match(path):
            return None
        if not self._prepared:
            self._prepare()
        if scope["method"] in self._form_methods and (form := self._form_of(scope)) is not None:
            return FormWatch(self, scope, found, receive, send).capturing(form)
        return Watch(self, scope, found, receive, send)

    def _refuses(self, scope: Scope, headers: Sequence[tuple[bytes, bytes]], root: str) -> bool:
        """Read the choice from the few headers that can hold one, each as often as it was sent."""
        choice, secure = UNDECIDED, scope.get("scheme") == "https"
        choosing = [header for header in headers if header[0] in _MAY_CHOOSE and (header[0] != b"cookie" or _COOKIE in header[1])]
        if choosing:
            choice = read_choice(choosing, self._signals, secure=secure)
        scope["privacy"] = self._view_with(choice, root, preferences_cookie(choosing, secure=secure))
        return choice.opted_out

    def _form_of(self, scope: Scope) -> Form | None:
        """Return the declared form that a request is for."""
        return self._forms.sent_to(scope["method"], scope["path"], scope.get("root_path", ""))

    def _asked_for(self, scope: Scope, found: dict[bytes, bytes], receive: Receive, send: Send) -> Watch | None:
        """Of a visitor who refuses, capture a form by which they ask for something; the visit itself is not recorded."""
        form = self._form_of(scope) if scope["method"] in self._form_methods else None
        if form is None or not form.requested or (self._excluded is not None and self._excluded.match(scope["path"])):
            return None
        self._prepare()
        watch = FormWatch(self, scope, found, receive, send)
        watch.ended = True  # so it never will be queued
        return watch.capturing(form)

    def _own_answer(self, scope: Scope, path: str, root: str) -> ASGIApp | None:
        """Our own pages, if the path is one of theirs; the host keeps `/privacyX` and `/privacy/../x`."""
        path = path.removeprefix(root)
        if self._disabled:
            return None
        if path in WELL_KNOWN:
            return self._well_known if not root and scope["method"] in ("GET", "HEAD") else None
        return self._answer if self._is_own(path) else None

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._prepare()
        if self._site is None:
            self._site = own_pages(self)
        await self._site(scope, receive, send)

    async def _well_known(self, scope: Scope, receive: Receive, send: Send) -> Any:
        """Let the host answer; only where it knows no such path (404), answer what we know there."""
        from .site.well_known import HostFirst, well_known_app

        own = well_known_app(scope["path"], self.privacy)
        if own is None:
            return await self.app(scope, receive, send)
        scope.setdefault("privacy", self._view)
        host = HostFirst(send)
        result = await self.app(scope, receive, host.send)
        if host.declined:
            await own(scope, receive, send)
        return result

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> Any:
        wrong = ""

        async def watched(message: Message) -> None:
            nonlocal wrong
            if wrong:
                return  # the server has been told that nothing starts
            if message["type"] == "lifespan.startup.complete":
                # From now on salts are destroyed and visits purged in time, also if nobody comes.
                self._keys_checked = True  # as it is below, off the event loop
                self._prepare()
                self.recorder.start()
                wrong = await self._wrong_key()
                if wrong:
                    message = {"type": "lifespan.startup.failed", "message": wrong}
            elif message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
                await self._flush()
            await send(message)

        async def until_wrong() -> Message:
            return {"type": "lifespan.shutdown"} if wrong else await receive()

        try:
            return await self.app(scope, until_wrong if self._forms.forms else receive, watched)
        finally:
            await self._flush()

    async def _wrong_key(self) -> str:
        """Return what is wrong if the database holds submissions that the secret keys given do not open, else ""."""
        if not self._forms.forms:
            return ""
        try:
            await answer_of(self.recorder.submit(lambda _: self.privacy.keys.check()))
        except KeyMissing as error:
            return str(error)
        except Exception as error:  # the database is away: visitors are served all the same
            self.recorder.fault(error)
        return ""

    def forwarded_address(self, scope: Scope, peer: str) -> str:
        """Return the visitor's address behind the trusted proxies."""
        forwarded = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        return self.client_address(peer, forwarded)

    async def _flush(self) -> None:
        """Commit what is queued, also where the server has cancelled the task; look on instead of waiting in a thread."""
        recorder, end = self.recorder, monotonic() + SECONDS
        if recorder.ending and monotonic() > recorder.ending:
            recorder.ending = 0.0  # the process was told to end and did not
        try:
            with anyio.CancelScope(shield=True):
                while not (recorder.is_idle and self.intake.is_idle) and monotonic() < end:
                    recorder.hurry()
                    await anyio.sleep(0.005)
            if monotonic() >= end:
                self.intake.ending()
        except Exception as error:  # whatever it is, the host goes on
            recorder.fault(error)


def own_pages(adapter: Adapter) -> ASGIApp:
    """Return the app that serves the privacy pages, below whatever mounts are in front of it."""
    from .site.app import make_site

    site, mount, recorder = make_site(adapter.privacy), adapter.privacy.settings.path, adapter.recorder

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        root, path, query = scope.get("root_path", ""), scope["path"], scope["query_string"]
        if not path.startswith(root):  # behind a proxy that strips the root path, as FastAPI's root_path has it
            path = root + path
        if not query.isascii():  # no URL, but some servers let it pass
            query = quote(query, safe=printable).encode()
        try:
            await site({**scope, "root_path": root + mount, "path": path, "query_string": query}, receive, send)
        except Exception as error:  # Starlette has answered 500; the server need not hear of it
            recorder.fault(error)

    return app


def _no_start(error: PrivacyError) -> ASGIApp:
    """Return an app that tells the server at its start what is wrong, and serves nothing."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            raise error
        await receive()
        await send({"type": "lifespan.startup.failed", "message": str(error)})

    return app


def _in_event_loop() -> bool:
    try:
        anyio.get_current_task()
    except Exception:  # each event loop has its own error for not running
        return False
    return True
