"""Runs real servers as processes of their own: start, wait until they answer, ask, stop, and kill whatever is left."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from itertools import product
from pathlib import Path
from string import ascii_lowercase

from .conftest import FIREFOX

ROOT = Path(__file__).parents[1]
CLIENTS = 8
PATIENCE = 20.0
"""Seconds for a server to come up; a busy machine needs a few."""
SLOW = "/slow"
APPS = '''
"""The same two apps, bare and wrapped: one in Starlette, with lifespan, and one in plain ASGI, without."""

import asyncio

from privacy_middleware import PrivacyMiddleware
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.routing import Route

try:
    from anyio import sleep
except ImportError:
    sleep = asyncio.sleep


async def page(request):
    if request.url.path == "/slow":
        await sleep(1)
    return HTMLResponse("<p>page")


def make_starlette():
    return Starlette(routes=[Route("/{word}", page)])


async def plain(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    if scope["path"] == "/slow":
        await sleep(1)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html"), (b"content-length", b"7")]})
    await send({"type": "http.response.body", "body": b"<p>page"})


bare_starlette = make_starlette()
wrapped_starlette = make_starlette()
wrapped_starlette.add_middleware(PrivacyMiddleware, path_params="word")
bare_plain = plain
wrapped_plain = PrivacyMiddleware(plain)


async def take(request):
    await request.body()
    return RedirectResponse("/thanks", 303)


FORMS = """
[[forms]]
name = "form"
path = "/form"
purpose = "answer"
retention_days = 30
[forms.fields]
email = { treatment = "keep", identity = true }
message = "redact"
"""
forms = PrivacyMiddleware(Starlette(routes=[Route("/form", take, methods=["POST"]), Route("/{word}", page)]), policy=FORMS)
'''


WSGI_APPS = '''
"""The same app in Flask, bare and wrapped, and one with a form."""

import time

from flask import Flask, redirect, request
from privacy_middleware import PrivacyWSGIMiddleware


def make():
    app = Flask(__name__)

    @app.get("/<word>")
    def page(word):
        if word == "slow":
            time.sleep(1)
        return "<p>page"

    @app.post("/form")
    def take():
        request.get_data()
        return redirect("/thanks", 303)

    return app


FORMS = """
[[forms]]
name = "form"
path = "/form"
purpose = "answer"
retention_days = 30
[forms.fields]
email = { treatment = "keep", identity = true }
message = "redact"
"""
bare = make()
wrapped = make()
wrapped.wsgi_app = PrivacyWSGIMiddleware(wrapped.wsgi_app, path_params="word")
forms = make()
forms.wsgi_app = PrivacyWSGIMiddleware(forms.wsgi_app, policy=FORMS)
'''


def words(number: int, prefix: str = "") -> list[str]:
    """Return so many different paths that look like nobody's."""
    return [f"/{prefix}{''.join(letters)}" for letters, _ in zip(product(ascii_lowercase, repeat=3), range(number), strict=False)]


def free_port() -> int:
    """Return a port that nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Server:
    """A server process, with the workers that it starts."""

    def __init__(self, command: Iterable[str], folder: Path, apps: str = APPS) -> None:
        (folder / "served.py").write_text(apps)
        self.port = free_port()
        self.output = folder / f"output-{self.port}.txt"
        environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *(part.replace("PORT", str(self.port)) for part in command)],
                cwd=folder, env=environment, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip

    def wait_until_it_answers(self) -> None:
        """Ask, with a refusal, so that nothing is recorded of it."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                ask(self.port, ["/ready"], {"sec-gpc": "1"})
            except (OSError, HTTPException):
                assert self.process.poll() is None, self.output.read_text()
                assert time.monotonic() < end, self.output.read_text()
                time.sleep(0.05)
            else:
                return

    def wait_for_port(self) -> None:
        """Wait until somebody listens, whatever they serve."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert self.process.poll() is None, self.output.read_text()
                assert time.monotonic() < end, self.output.read_text()
                time.sleep(0.05)
            else:
                return

    def ask_all(self, paths: list[str]) -> None:
        """Ask for each path once, by several clients at the same time."""
        shares = [paths[client::CLIENTS] for client in range(CLIENTS)]
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(ask, [self.port] * CLIENTS, shares))

    def stop(self, number: int, timeout: float = 10.0, *, workers: bool = False) -> int:
        """Send a signal to the process, and with `workers` to all of its, as Ctrl-C does; returns its exit code, once it has ended."""
        if workers:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end in {timeout} s:\n{self.output.read_text()}") from None

    def kill(self) -> None:
        """Kill it and all its workers at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def ask(port: int, paths: list[str], headers: dict[str, str] | None = None) -> None:
    """Ask for paths one after the other over one connection, as a browser does."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        for path in paths:
            connection.request("GET", path, headers={"user-agent": FIREFOX, **(headers or {})})
            response = connection.getresponse()
            assert (response.status, response.read()) == (200, b"<p>page")
    finally:
        connection.close()


@contextmanager
def serving(*servers: Server) -> Iterator[None]:
    """Have servers up, and kill what is left of them afterwards."""
    try:
        for server in servers:
            server.wait_until_it_answers()
        yield
    finally:
        for server in servers:
            server.kill()
