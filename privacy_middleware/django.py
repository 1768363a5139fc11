"""The same as a Django middleware, sync and async: `MIDDLEWARE = ["privacy_middleware.django.PrivacyMiddleware", …]`, the first of all.

Pages are named by their routes, and `request.privacy` tells what other apps find in `scope["privacy"]`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from .site.well_known import well_known_app
from .wsgi import VISITOR, PrivacyWSGIMiddleware, WSGIApp
from .wsgi_watch import Environ, Tee, WSGIWatch, as_template

NOT_FOUND: Final = HTTPStatus.NOT_FOUND
GetResponse = Callable[[HttpRequest], Any]


class PrivacyMiddleware:
    """Watches each request of a Django site, and serves the privacy pages under one path.

    What other frameworks pass to `PrivacyMiddleware(app, …)` stands in Django's settings, for example
    `PRIVACY = {"retention_days": 30, "sources": [...]}`; PRIVACY_* variables of the environment count for what is not there.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)
        self.adapter = _Adapter(**getattr(settings, "PRIVACY", {}))

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Serve one request."""
        return self._in_task(request) if self.is_async else self._in_thread(request)

    def _in_thread(self, request: HttpRequest) -> HttpResponseBase:
        watch, own, is_known_place = self.adapter.begin(request)
        if own is not None and not is_known_place:
            return own.streamed()
        response: HttpResponseBase = self.get_response(request)
        if own is not None and response.status_code == NOT_FOUND:
            return own.streamed()
        if watch is not None:
            self.adapter.answered(watch, request, response)
            watch.decide_now()
            self.adapter.watch_body(watch, response)
        return response

    async def _in_task(self, request: HttpRequest) -> HttpResponseBase:
        watch, own, is_known_place = self.adapter.begin(request)
        if own is not None and not is_known_place:
            return await asyncio.to_thread(own.whole)
        response: HttpResponseBase = await self.get_response(request)
        if own is not None and response.status_code == NOT_FOUND:
            return await asyncio.to_thread(own.whole)
        if watch is not None:
            self.adapter.answered(watch, request, response)
            await watch.decide_in_task()
            self.adapter.watch_body(watch, response)
        return response


class _Adapter(PrivacyWSGIMiddleware):
    """The WSGI adapter, of which Django has taken apart what the server gave."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(_nothing, **keywords)

    def begin(self, request: HttpRequest) -> tuple[WSGIWatch | None, _Answer | None, bool]:
        """Return what watches this request, our own answer to it, and whether that counts only where the host knows no such path."""
        environ = _environ(request)
        try:
            found = self._begin(environ, _ignore)
        except Exception as error:  # whatever our own fault, the host is served
            self.recorder.fault(error)
            found = None
        request.privacy = environ.get(VISITOR, self._view)
        if isinstance(found, WSGIWatch):
            if isinstance(environ["wsgi.input"], Tee):
                request._stream = environ["wsgi.input"]  # noqa: SLF001 - where Django reads the body from
            return found, None, False
        if found == self._own_pages:
            return None, _Answer(self._own_pages, environ), False
        own = well_known_app(environ["PATH_INFO"], self.privacy) if found == self._well_known else None
        if own is None:
            return None, None, False
        return None, _Answer(partial(self._bridge.serve, own), environ), True

    def answered(self, watch: WSGIWatch, request: HttpRequest, response: HttpResponseBase) -> None:
        """Hear the start of the answer."""
        watch.start_response(f"{response.status_code} ", list(response.items()))
        watch.template = _route(request)

    def watch_body(self, watch: WSGIWatch, response: HttpResponseBase) -> None:
        """Count what goes out, and hear the end of it."""
        try:
            if not response.streaming:
                watch.sends(response.content)
                watch.end()
                return
            close = response.close

            def closing() -> None:
                try:
                    close()
                finally:
                    watch.closed()

            response.close = closing
            if getattr(response, "file_to_stream", None) is not None:  # the server may send the file itself
                watch.sends_file()
            elif response.is_async:
                response.streaming_content = _counted_in_task(watch, response.streaming_content)
            else:
                response.streaming_content = _counted(watch, response.streaming_content)
        except Exception as error:  # whatever our own fault, the answer goes out
            self.recorder.fault(error)


class _Answer:
    """One of our own pages as a response of Django's."""

    def __init__(self, app: WSGIApp, environ: Environ) -> None:
        self._app = app
        self._environ = environ
        self._status = 200
        self._headers: list[tuple[str, str]] = []

    def _start_response(self, status: str, headers: list[tuple[str, str]]) -> None:
        self._status, self._headers = int(status[:3]), headers

    def streamed(self) -> HttpResponseBase:
        """Return it piece by piece, as a thread serves it."""
        pieces = self._app(self._environ, self._start_response)
        return self._with_headers(StreamingHttpResponse(pieces, status=self._status))

    def whole(self) -> HttpResponseBase:
        """Return it in one piece."""
        pieces = self._app(self._environ, self._start_response)
        return self._with_headers(HttpResponse(b"".join(pieces), status=self._status))

    def _with_headers(self, response: HttpResponseBase) -> HttpResponseBase:
        del response["Content-Type"]
        for name, value in self._headers:
            if name.lower() == "set-cookie":
                response.cookies.load(value)
            else:
                response[name] = value
        return response


def _environ(request: HttpRequest) -> Environ:
    """Return the request as WSGI has it; under ASGI Django has decoded the path already."""
    environ: Environ = dict(request.META)
    environ["PATH_INFO"] = request.path_info.encode().decode("latin-1")
    script = request.path.removesuffix(request.path_info) if request.path.endswith(request.path_info) else ""
    environ["SCRIPT_NAME"] = script.encode().decode("latin-1")
    environ["wsgi.url_scheme"] = request.scheme
    environ["wsgi.input"] = getattr(request, "_stream", request)
    return environ


def _route(request: HttpRequest) -> str | None:
    """Return the route of the page, such as `/orders/{id}`; None for routes by regular expressions, and where none was found."""
    route = getattr(request.resolver_match, "route", None)
    if not isinstance(route, str) or any(sign in route for sign in "^$\\("):
        return None
    return "/" + as_template(route)


def _counted(watch: WSGIWatch, pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        watch.sends(piece)
        yield piece
    watch.finished()


async def _counted_in_task(watch: WSGIWatch, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for piece in pieces:
        watch.sends(piece)
        yield piece
    watch.finished()


def _ignore(*_: Any) -> None:
    """Django starts the response itself."""


def _nothing(_: Environ, __: Any) -> list[bytes]:
    return []
