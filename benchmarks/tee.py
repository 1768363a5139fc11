"""What copying a declared form costs on its way to the app, and how much memory it takes, against an undeclared POST in the same run.

The app answers 400, so that nothing is kept: what is measured is the tee alone, in process, without an event loop. Besides, a
middleware that buffers the body and hands it on, as many do.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from common import line, median, settings, temporary_folder

from privacy_middleware import PrivacyMiddleware

ROUNDS: Final = 15
CHUNK: Final = 65_536
"""Bytes that uvicorn hands over at a time."""
FORM: Final = '[[forms]]\nname = "form"\npath = "/declared"\npurpose = "answer"\nretention_days = 1\n[forms.fields]\nemail = "keep"\n'
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Sizes = {"1 KB": (1024, 1024, 5000), "10 MB": (10_485_760, CHUNK, 50), "10 MB at once": (10_485_760, 10_485_760, 500)}


async def refuse(scope: dict[str, Any], receive: Receive, send: Send) -> None:  # noqa: ARG001
    """Read everything, keep nothing, and answer 400."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 400, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def buffering(app: Any) -> Any:
    """Return a middleware that reads the body first, as a peer would."""

    async def middleware(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message["body"]
            if not message["more_body"]:
                break

        async def replay() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        await app(scope, replay, send)

    return middleware


def scope(path: str, method: str = "POST") -> dict[str, Any]:
    headers = [(b"host", b"example.org"), (b"user-agent", b"Mozilla/5.0"), (b"content-type", b"multipart/form-data; boundary=x")]
    base = {"type": "http", "asgi": {"version": "3.0"}, "method": method, "scheme": "http", "query_string": b"", "root_path": ""}
    return {**base, "path": path, "raw_path": path.encode(), "headers": headers, "client": ("192.0.2.1", 1), "server": ("x", 80)}


def once(app: Any, path: str, messages: Iterable[dict[str, Any]], method: str = "POST") -> None:
    """Send one request through, driven by hand."""
    incoming = iter(messages)

    async def receive() -> dict[str, Any]:
        return next(incoming)

    async def send(message: dict[str, Any]) -> None:
        pass

    try:
        app(scope(path, method), receive, send).send(None)
    except StopIteration:
        return
    raise RuntimeError("it waited")


def seconds(app: Any, path: str, messages: list[dict[str, Any]], times: int, method: str = "POST") -> float:
    """Return the seconds that one request takes."""
    gc.collect()
    start = perf_counter()
    for _ in range(times):
        once(app, path, messages, method)
    return (perf_counter() - start) / times


def messages_of(size: int, chunk: int) -> list[dict[str, Any]]:
    starts = range(0, size, chunk)
    return [{"type": "http.request", "body": bytes(min(chunk, size - start)), "more_body": start != starts[-1]} for start in starts]


def memory(app: Any, path: str, *, gigabytes: int) -> float:
    """Return the megabytes that one upload adds at its peak."""
    number = gigabytes * 1_073_741_824 // CHUNK
    stream = ({"type": "http.request", "body": bytes(CHUNK), "more_body": n < number - 1} for n in range(number))
    once(app, path, messages_of(1024, 1024))
    gc.collect()
    tracemalloc.start()
    once(app, path, stream)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def compare(folder: Path) -> None:
    wrapped = PrivacyMiddleware(refuse, policy=FORM, **settings(folder))
    peer = buffering(refuse)
    for name, (size, chunk, times) in Sizes.items():
        messages = messages_of(size, chunk)
        undeclared, declared, bare, buffered = ([] for _ in range(4))
        for _ in range(ROUNDS):
            undeclared.append(seconds(wrapped, "/undeclared", messages, times))
            declared.append(seconds(wrapped, "/declared", messages, times))
            bare.append(seconds(refuse, "/", messages, times))
            buffered.append(seconds(peer, "/", messages, times))
            wrapped.recorder.flush(30)
        added = (median(declared) - median(undeclared)) * 1e6
        by_peer = (median(buffered) - median(bare)) * 1e6
        line(
            f"tee, {name}", f"{added:.2f} µs", f"added to an undeclared POST; a buffering middleware adds {by_peer:.1f} µs to the bare app"
        )
    one_byte = messages_of(1, 1)
    ratios = []
    for _ in range(ROUNDS):
        get, post = (seconds(wrapped, "/undeclared", one_byte, 5000, method) for method in ("GET", "POST"))
        ratios.append(post / get)
        wrapped.recorder.flush(30)
    line("undeclared POST", f"{median(ratios):.2f} x", "of a GET")
    line(
        "memory, 1 GB upload",
        f"{memory(wrapped, '/declared', gigabytes=1):.2f} MB",
        f"undeclared {memory(wrapped, '/undeclared', gigabytes=1):.2f} MB",
    )
    wrapped.recorder.close()


if __name__ == "__main__":
    with temporary_folder() as temporary:
        compare(temporary)
