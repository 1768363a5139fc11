"""Serves the privacy pages, which are an ASGI app, to a WSGI server: in one event loop of the process, started at the first such request.

a2wsgi would do the same, but a visitor who leaves in the middle of an answer leaves its task waiting for ever (1.10.10).
"""

from __future__ import annotations

import atexit
import os
import queue
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal

from .wsgi_watch import Environ, StartResponse, readable

ASGIApp = Callable[..., Awaitable[Any]]
Message = dict[str, Any]

LONGEST_BODY: Final = 2_000_000
"""Bytes of a form of ours that are read; it is far from as long."""
LOOK: Final = 0.002
"""Seconds between two looks whether the server took the last piece."""
GONE_LOOK: Final = 0.1


class Bridge:
    """An event loop in a thread of its own; each process gets one when it is first asked, so that none crosses a fork."""

    def __init__(self) -> None:
        self._portal: tuple[int, BlockingPortal] | None = None

    def serve(self, app: ASGIApp, environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        """Run the app for one request, and give its answer piece by piece; if the server closes before, the app is cancelled."""
        exchange = _Exchange(_body(environ))
        running = self._at_work().start_task_soon(app, _scope(environ), exchange.receive, exchange.send)
        start = exchange.next_piece(running)  # at once: granian looks for it before it iterates
        status = HTTPStatus(start["status"])
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in start.get("headers", ())]
        start_response(f"{status.value} {status.phrase}", headers)
        return self._pieces(exchange, running)

    @staticmethod
    def _pieces(exchange: _Exchange, running: Future[Any]) -> Iterator[bytes]:
        try:
            while True:
                message = exchange.next_piece(running)
                yield message.get("body", b"")
                if not message.get("more_body"):
                    return
        finally:
            exchange.gone = True
            if not running.done():
                running.cancel()

    def _at_work(self) -> BlockingPortal:
        if self._portal is None or self._portal[0] != os.getpid():
            starting = start_blocking_portal(name="privacy-pages")
            self._portal = (os.getpid(), starting.__enter__())  # it ends with the process
            atexit.register(_stop, os.getpid(), starting)
        return self._portal[1]


def _stop(process: int, starting: Any) -> None:
    if process == os.getpid():  # a forked child has the function, but not the thread
        with suppress(SystemExit):
            starting.__exit__(SystemExit, SystemExit(), None)  # an error lets it cancel what still runs


class _Exchange:
    """What passes between the server's thread and the app's task."""

    def __init__(self, body: bytes) -> None:
        self.body: bytes | None = body
        self.pieces: queue.Queue[Message] = queue.Queue()
        self.gone = False

    def next_piece(self, running: Future[Any]) -> Message:
        """Wait, in the server's thread, for what the app sends next.

        Raises:
            whatever the app raises instead.
        """
        while True:
            try:
                return self.pieces.get(timeout=GONE_LOOK)
            except queue.Empty:
                if running.done() and self.pieces.empty():
                    running.result()
                    raise RuntimeError("the privacy pages gave no answer") from None

    async def receive(self) -> Message:
        """Give the app the body, and then nothing until the visitor is gone."""
        if self.body is not None:
            body, self.body = self.body, None
            return {"type": "http.request", "body": body, "more_body": False}
        while not self.gone:  # noqa: ASYNC110 - it is set by another thread
            await anyio.sleep(GONE_LOOK)
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take a piece of the answer, once the server has taken the one before."""
        while not self.pieces.empty() and not self.gone:  # noqa: ASYNC110 - it is emptied by another thread
            await anyio.sleep(LOOK)
        if self.gone:
            raise OSError("the visitor is gone")
        self.pieces.put(message)


def _body(environ: Environ) -> bytes:
    length = environ.get("CONTENT_LENGTH") or ""
    amount = int(length) if length.isdigit() else LONGEST_BODY if environ.get("wsgi.input_terminated") else 0
    pieces, left = [], min(amount, LONGEST_BODY)
    while left > 0 and (piece := environ["wsgi.input"].read(left)):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _scope(environ: Environ) -> dict[str, Any]:
    """Return the request as ASGI has it; a server has joined headers of one name already."""
    headers = [
        (key.removeprefix("HTTP_").lower().replace("_", "-").encode("latin-1"), value.encode("latin-1", "replace"))
        for key, value in environ.items()
        if isinstance(value, str) and (key.startswith("HTTP_") or (key in ("CONTENT_TYPE", "CONTENT_LENGTH") and value))
    ]
    root = readable(environ.get("SCRIPT_NAME", ""))
    port = environ.get("SERVER_PORT") or ""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": environ.get("REQUEST_METHOD", "GET"),
        "scheme": environ.get("wsgi.url_scheme", "http"),
        "path": root + readable(environ.get("PATH_INFO", "")),
        "query_string": environ.get("QUERY_STRING", "").encode("latin-1", "replace"),
        "root_path": root,
        "server": (environ.get("SERVER_NAME", ""), int(port) if port.isdigit() else 0),
        "client": (environ.get("REMOTE_ADDR", ""), 0),
        "headers": headers,
        "extensions": {},
    }
