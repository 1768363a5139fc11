"""The WSGI adapter: `app = PrivacyWSGIMiddleware(app)`, as PEP 3333 has it: Flask, Django, Dash, and any other WSGI app."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import chain
from time import monotonic, sleep
from typing import Any, Final

from .adapter import UNDECIDED, WELL_KNOWN, Adapter
from .asgi import ASGIApp, own_pages
from .collect.choice import OUR_COOKIES, preferences_cookie, read_choice
from .mail import Send as MailSender
from .privacy import SWITCHED_OFF, Host, Privacy
from .record.exit import SECONDS
from .sources import DataSource
from .wsgi_site import Bridge
from .wsgi_watch import Environ, StartResponse, WSGIWatch, close, readable

WSGIApp = Callable[[Environ, StartResponse], Iterable[bytes]]

_COOKIE: Final = OUR_COOKIES.decode()
_CHOOSING: Final = {"HTTP_SEC_GPC": b"sec-gpc", "HTTP_DNT": b"dnt", "HTTP_COOKIE": b"cookie"}
VISITOR: Final = "privacy.visitor"
"""In the environ; PEP 3333 wants a dot in the name of what is no text."""
_NOT_FOUND: Final = "404"


class PrivacyWSGIMiddleware(Adapter):
    """Wraps a WSGI app: logs visits, honours refusals, and serves the privacy pages under one path.

    Args:
        app: any WSGI application; with Flask, `app.wsgi_app = PrivacyWSGIMiddleware(app.wsgi_app)`.
        sources, current_subject, send_mail, authorize, **settings: as of `PrivacyMiddleware`.

    The app finds in `environ["privacy.visitor"]` what ASGI apps find in `scope["privacy"]`.

    Raises:
        SettingsError, DeclarationError, KeyMissing: when a setting, privacy.toml, or the secret key is wrong; nothing is served then.
    """

    def __init__(
        self,
        app: WSGIApp,
        /,
        *,
        sources: Sequence[DataSource] = (),
        current_subject: Callable[[Any], str | Awaitable[str | None] | None] | None = None,
        send_mail: MailSender | None = None,
        authorize: Callable[[Any], str | Awaitable[str | None] | None] | None = None,
        **settings: Any,
    ) -> None:
        privacy = Privacy.from_sources(settings, host=Host(sources, current_subject, send_mail, authorize))
        if privacy.declaration.forms and not privacy.settings.disabled:
            privacy.keys.check()
        super().__init__(privacy)
        self.app = app
        self._site: ASGIApp | None = None
        self._bridge = Bridge()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request; whatever the host's app returns or raises goes on to the server."""
        try:
            watch = self._begin(environ, start_response)
        except Exception as error:  # whatever our own fault, the host is served
            self.recorder.fault(error)
            environ.setdefault(VISITOR, self._view)
            watch = None
        if watch is None:
            return self.app(environ, start_response)
        if not isinstance(watch, WSGIWatch):
            return watch(environ, start_response)
        try:
            result = self.app(environ, watch.start_response)
        except BaseException as error:
            watch.broken(error)
            raise
        return watch.answer(result)

    def _begin(self, environ: Environ, start_response: StartResponse) -> WSGIWatch | WSGIApp | None:
        """Return what watches this request, an app that answers it in the host's place, or None to leave it alone."""
        path, root = environ.get("PATH_INFO", ""), environ.get("SCRIPT_NAME", "")
        if path[self._start] in self._own_starts:
            if path in WELL_KNOWN and not root and environ.get("REQUEST_METHOD", "GET") in ("GET", "HEAD"):
                return self._well_known
            if self._is_own(path):
                return self._own_pages
        if self._disabled or VISITOR in environ:
            environ.setdefault(VISITOR, SWITCHED_OFF)
            return None
        cookie = environ.get("HTTP_COOKIE", "")
        refuses = False
        if "HTTP_SEC_GPC" in environ or "HTTP_DNT" in environ or _COOKIE in cookie:
            refuses = self._refuses(environ, root)
        else:
            environ[VISITOR] = self._view_of(UNDECIDED, root) if root else self._view
        if self._excluded is not None and self._excluded.match(path):
            return None
        method = environ.get("REQUEST_METHOD", "GET")
        form = self._forms.sent_to(method, readable(root + path), readable(root)) if method in self._form_methods else None
        if refuses and (form is None or not form.requested):
            return None
        if not self._prepared:
            self._prepare()
        watch = WSGIWatch(self, environ, start_response, root)
        if form is not None:
            watch.capture_form(form, refuses=refuses)
        return watch

    def _refuses(self, environ: Environ, root: str) -> bool:
        """Read the choice; a server joins headers of one name by a comma, or cookies by a semicolon."""
        choosing = [(name, environ[key].encode("latin-1")) for key, name in _CHOOSING.items() if key in environ]
        secure = environ.get("wsgi.url_scheme") == "https"
        choice = read_choice(choosing, self._signals, secure=secure)
        environ[VISITOR] = self._view_with(choice, root, preferences_cookie(choosing, secure=secure))
        return choice.opted_out

    # --- our own pages -----------------------------------------------------------------------------------------------------

    def _own_pages(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve the privacy pages, which are an ASGI app, in an event loop of this process: made here, after any fork."""
        self._prepare()
        if self._site is None:
            self._site = own_pages(self)
        return self._bridge.serve(self._site, environ, start_response)

    def _well_known(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Let the host answer; only where it knows no such path (404), answer what we know there."""
        from .site.well_known import well_known_app

        own = well_known_app(environ["PATH_INFO"], self.privacy)
        if own is None:
            return self.app(environ, start_response)
        environ.setdefault(VISITOR, self._view)
        declined = False

        def host_first(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            nonlocal declined
            declined = status.startswith(_NOT_FOUND)
            return (lambda _: None) if declined else start_response(status, headers, *exc_info)

        result = self.app(environ, host_first)
        iterator = iter(result)
        first = list(next(([chunk] for chunk in iterator), []))  # a generator calls start_response only now
        if not declined:
            return _Rest(chain(first, iterator), result)
        close(result)
        return self._bridge.serve(own, environ, start_response)

    def flush(self) -> None:
        """Commit what is queued, in a process that was told to end."""
        recorder, end = self.recorder, monotonic() + SECONDS
        if recorder.ending and monotonic() > recorder.ending:
            recorder.ending = 0.0  # it did not end
        while not (recorder.is_idle and self.intake.is_idle) and monotonic() < end:
            recorder.hurry()
            sleep(0.005)


class _Rest:
    """What is left of an iterable after its first chunk was looked at."""

    __slots__ = ("_chunks", "_result")

    def __init__(self, chunks: Iterator[bytes], result: Iterable[bytes]) -> None:
        self._chunks = chunks
        self._result = result

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def close(self) -> None:
        """Close the app's iterable."""
        close(self._result)
