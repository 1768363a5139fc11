"""Fills the past 30 days with invented visits, sent through the real middleware under a clock that is set back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any, Final

from tqdm import tqdm

from privacy_middleware import PrivacyMiddleware
from privacy_middleware.collect.visitor import date_of, day_of, day_start
from privacy_middleware.errors import StoreError
from privacy_middleware.store import queries

from .site import make_site, privacy_settings
from .visits import HOST, Request, invent_day

DAYS: Final = 30
SEED: Final = "Havn & Hede"
PATIENCE: Final = 30.0
"""Seconds that a day's visits may take to be written."""


class Clock:
    """A clock that is set by hand."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the epoch seconds that it was set to."""
        return self.now


def fill(folder: Path, *, until: float) -> str:
    """Send the visits of the 30 days before `until` (epoch seconds) and of its own day so far; say what was done.

    A database that already holds visits from before yesterday is left as it is.

    Raises:
        StoreError: if the database cannot be used.
    """
    middleware = PrivacyMiddleware(make_site(), **privacy_settings(folder))
    zone = middleware.privacy.settings.zone
    today = day_of(int(until * 1000), zone)
    first, before = stored(middleware)
    if first is not None and first < today - 1:
        return f"No visits invented: {middleware.privacy.store.place} already holds some, since {date_of(first)}."
    middleware.clock = middleware.recorder.clock = clock = Clock(day_start(today - DAYS, zone) / 1000)
    middleware.recorder.start()
    flush(middleware)  # what the recorder has to say at its start comes before the progress bar
    sent = 0
    with asyncio.Runner() as runner:
        for day in tqdm(range(today - DAYS, today + 1), desc="Inventing visits", unit="day", disable=None):
            clock.now = day_start(day, zone) / 1000
            flush(middleware)  # the recorder makes the day's salt
            requests = invent_day(date_of(day), zone=zone, random=Random(f"{SEED} {day}"))
            due = [request for request in requests if request.time < until]
            runner.run(send_all(middleware, due, clock))
            flush(middleware)
            sent += len(due)
    middleware.recorder.close()
    return f"{sent} requests were sent; {stored(middleware)[1] - before} are recorded, the others were refused or are never recorded."


def stored(middleware: PrivacyMiddleware) -> tuple[int | None, int]:
    """Return the first day of which there are hits, and how many hits there are."""
    store = middleware.privacy.store
    store.open()
    try:
        found = store.rows(queries.HITS_STORED)[0]
    finally:
        store.close()
    return found["first"], found["hits"]


def flush(middleware: PrivacyMiddleware) -> None:
    """Wait until what was sent is written, and the recorder has seen the clock."""
    if not middleware.recorder.flush(PATIENCE):
        raise StoreError(f"{middleware.privacy.store.place} does not take the visits in {PATIENCE:.0f} s; is the disk full?")


async def send_all(middleware: PrivacyMiddleware, requests: list[Request], clock: Clock) -> None:
    """Send requests one after another, each at its time."""
    for request in requests:
        clock.now = request.time
        await send(middleware, request)


async def send(middleware: PrivacyMiddleware, request: Request) -> None:
    """Send one request as a server would; a visitor leaves when the answer is complete."""
    bodies = iter([request.body])
    answered = asyncio.Event()

    async def receive() -> dict[str, Any]:
        for body in bodies:
            return {"type": "http.request", "body": body, "more_body": False}
        await answered.wait()
        return {"type": "http.disconnect"}

    async def take(message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.body" and not message.get("more_body"):
            answered.set()

    await middleware(scope_of(request), receive, take)


def scope_of(request: Request) -> dict[str, Any]:
    """Write a request as an ASGI scope."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "https",
        "path": request.path,
        "raw_path": request.path.encode(),
        "query_string": request.query.encode(),
        "root_path": "",
        "headers": [(b"host", HOST.encode()), *request.headers],
        "client": (request.address, 50_000),
        "server": (HOST, 443),
        "state": {},
    }
