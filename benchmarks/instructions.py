"""Counts the instructions that our middleware, or a peer's, adds to one request of a bare Starlette app.

Callgrind counts a child that serves N requests through the ASGI callable, without a server, for two N; the slope is
the cost of one request, free of start-up. A row is really queued for each. The writer's thread is held back while it
counts: its work is the business of `ingest.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
from collections.abc import MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

from apps import PEERS, SUBJECTS, ASGIApp, installed
from common import line, needs, run, temporary_folder

OURS: Final = "privacy-middleware"
FEW, MANY = 500, 3500
HEADERS: Final = {
    "minimal": b"host: www.example.org",
    "browser": (
        b"host: www.example.org\r\n"
        b"user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n"
        b"accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
        b"accept-language: da,en-US;q=0.7,en;q=0.3\r\n"
        b"accept-encoding: gzip, deflate, br, zstd\r\n"
        b"referer: https://www.google.com/\r\n"
        b"connection: keep-alive\r\n"
        b"cookie: theme=dark; sid=eyJhbGciOiJIUzI1NiJ9.e30.x\r\n"
        b"upgrade-insecure-requests: 1\r\n"
        b"sec-fetch-dest: document\r\n"
        b"sec-fetch-mode: navigate\r\n"
        b"sec-fetch-site: cross-site\r\n"
        b"priority: u=0, i"
    ),
}
HEADERS["refused"] = HEADERS["browser"] + b"\r\nsec-gpc: 1"
HEADERS["newcomer"] = HEADERS["browser"]
REQUESTS: Final = {
    "browser": "a browser's request, 5 a visitor",
    "newcomer": "the same, each of a new visitor",
    "minimal": "only a Host header, 5 a visitor",
    "refused": "a browser that sends Sec-GPC: 1",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-peers", action="store_true", help="our middleware only")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, request, count, folder = options.child
        serve(name, request, int(count), Path(folder))
    needs("valgrind")
    report(() if options.no_peers else PEERS)


def report(peers: Sequence[str]) -> None:
    wanted = [(name, request) for request in REQUESTS for name in ("bare", OURS)]
    wanted += [(name, "browser") for name in peers if installed(name)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        costs = dict(zip(wanted, pool.map(lambda pair: cost(*pair), wanted), strict=True))
    line("instructions per request", "bare app", "added")
    for request, meaning in REQUESTS.items():
        bare, ours = costs["bare", request], costs[OURS, request]
        line(meaning, f"{bare:,.0f}", f"{ours - bare:+,.0f}")
    for name in peers:
        if installed(name):
            line(name, f"{costs['bare', 'browser']:,.0f}", f"{costs[name, 'browser'] - costs['bare', 'browser']:+,.0f}")
        else:
            line(name, "", "not installed, left out")


def cost(name: str, request: str) -> float:
    """Return the instructions of one request: the slope between few and many. What is not compiled yet is so beforehand."""
    with temporary_folder() as folder:
        run(child(name, request, 1, folder))
    return (count(name, request, MANY) - count(name, request, FEW)) / (MANY - FEW)


def count(name: str, request: str, requests: int) -> int:
    """Run a child under callgrind and return all instructions of its process."""
    with temporary_folder() as folder:
        out = folder / "callgrind.out"
        run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", *child(name, request, requests, folder)])
        totals = re.findall(r"^(?:totals|summary): (\d+)", out.read_text(), re.MULTILINE)
        return int(totals[-1])


def child(name: str, request: str, requests: int, folder: Path) -> list[str]:
    return [sys.executable, __file__, "--child", name, request, str(requests), str(folder)]


def serve(name: str, request: str, requests: int, folder: Path) -> None:
    """In the child: serve the requests and end at once, so that no clearing up is counted."""
    app = SUBJECTS[name].build(folder)
    queued = asyncio.run(exchange(app, name, request, requests))
    if name == OURS and queued != (0 if request == "refused" else requests):
        sys.exit(f"{queued} rows were queued for {requests} requests")
    sys.stdout.flush()
    os._exit(0)


async def exchange(app: ASGIApp, name: str, request: str, requests: int) -> int:
    """Send the requests; return how many rows they left in our queue."""
    recorder = await _hold_recorder(app) if name == OURS else None
    sent = []
    for number in range(requests):
        sent.clear()
        visitor = number if request == "newcomer" else number // 5
        await app(scope_of(HEADERS[request], number, visitor), receive, partial(_send, sent))
        if sent[0]["status"] != 200 or sent[-1].get("more_body"):
            sys.exit(f"the app did not answer: {sent}")
    return len(recorder.queue) if recorder else 0


async def _hold_recorder(app: ASGIApp) -> Any:
    """Let the recorder fetch the day's salt, then keep its thread from starting again."""
    await app(scope_of(HEADERS["refused"], 0, 0), receive, partial(_send, []))  # builds the middleware stack
    middleware = app.middleware_stack.app  # type: ignore[attr-defined]
    recorder = middleware.recorder
    recorder.submit(lambda _: None).result(60)
    recorder.close(60)
    if recorder.visitors.salt is None or recorder.queue:
        sys.exit("the recorder is not ready")
    recorder._thread, recorder.ready = object(), True  # noqa: SLF001  so that it is taken for running
    return recorder


async def receive() -> MutableMapping[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(sent: list[Any], message: Any) -> None:
    sent.append(message)


def scope_of(headers: bytes, number: int, visitor: int) -> dict[str, Any]:
    """Build the scope as uvicorn does, from bytes that are new each time: nothing has its hash at hand."""
    path = f"/articles/number-{number % 50}"
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": (f"203.0.{visitor >> 8}.{visitor & 255}", 54321),
        "scheme": "http",
        "root_path": "",
        "headers": [tuple(header.split(b": ", 1)) for header in headers.split(b"\r\n")],
        "state": {},
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
    }


if __name__ == "__main__":
    main()
