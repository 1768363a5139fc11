"""Real servers: what was answered is stored exactly once when they are told to end, and nearly all of it when they are killed."""

import signal
import threading
import time
from collections import Counter
from http.client import HTTPException
from pathlib import Path

import pytest

from .conftest import query
from .serving import SLOW, Server, ask, serving, words

HITS = 120
UVICORN = ["uvicorn", "served:APP", "--port", "PORT", "--no-access-log"]
HYPERCORN = ["hypercorn", "served:APP", "--bind", "127.0.0.1:PORT"]
SERVERS = {
    "uvicorn, uvloop": [*UVICORN, "--loop", "uvloop", "--http", "httptools"],
    "uvicorn, uvloop, no lifespan": [*UVICORN, "--loop", "uvloop", "--http", "httptools", "--lifespan", "off"],
    "uvicorn, asyncio": [*UVICORN, "--loop", "asyncio", "--http", "h11"],
    "uvicorn, asyncio, no lifespan": [*UVICORN, "--loop", "asyncio", "--http", "h11", "--lifespan", "off"],
    "uvicorn, 2 workers": [*UVICORN, "--workers", "2"],
    "hypercorn, asyncio": [*HYPERCORN, "--worker-class", "asyncio"],
    "hypercorn, trio": [*HYPERCORN, "--worker-class", "trio"],
    "hypercorn, 2 workers": [*HYPERCORN, "--workers", "2"],
    "daphne": ["daphne", "-b", "127.0.0.1", "-p", "PORT", "served:APP"],
    "granian": ["granian", "--interface", "asgi", "--port", "PORT", "served:APP"],
}

NO_LIFESPAN = ("uvicorn, uvloop, no lifespan", "uvicorn, asyncio, no lifespan")


def start(name: str, app: str, folder: Path) -> Server:
    return Server([part.replace("APP", app) for part in SERVERS[name]], folder)


def stored() -> list[str]:
    if not query("SELECT 1 FROM sqlite_master WHERE name = 'hit'"):
        return []
    return [row["path"] for row in query("SELECT page.path FROM hit JOIN page ON page.id = hit.page")]


# A server, an app in it, and whether the signal goes to the workers as well: a terminal and systemd tell all of them.
ENDS = [
    *[(name, "starlette", False) for name in SERVERS],
    *[(name, "plain", False) for name in SERVERS if name not in ("hypercorn, 2 workers", *NO_LIFESPAN)],  # this app has none anyway
    *[(name, "starlette", True) for name in ("uvicorn, 2 workers", "hypercorn, asyncio", "hypercorn, 2 workers", "granian")],
]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
@pytest.mark.parametrize(("name", "app", "workers"), ENDS)
def test_told_to_end_it_has_stored_all_it_answered_and_ends_as_the_bare_app_does(
    name: str, app: str, workers: bool, number: signal.Signals, tmp_path: Path
) -> None:
    wrapped, bare = start(name, f"wrapped_{app}", tmp_path), start(name, f"bare_{app}", tmp_path)
    with serving(wrapped, bare):
        wrapped.ask_all(words(HITS))
        codes = [wrapped.stop(number, workers=workers)]
        bare.ask_all(words(10))
        codes.append(bare.stop(number, workers=workers))
    assert Counter(stored()) == Counter(words(HITS)), wrapped.output.read_text()
    assert codes[0] == codes[1], wrapped.output.read_text()


@pytest.mark.parametrize("app", ["starlette", "plain"])
def test_an_impatient_second_ctrl_c_loses_nothing(app: str, tmp_path: Path) -> None:
    server = start("uvicorn, uvloop", f"wrapped_{app}", tmp_path)
    with serving(server):
        ask(server.port, words(10))
        server.process.send_signal(signal.SIGINT)
        server.stop(signal.SIGINT)
    assert Counter(stored()) == Counter(words(10)), server.output.read_text()


@pytest.mark.parametrize(
    ("name", "app"),
    [
        ("uvicorn, uvloop", "starlette"),
        ("uvicorn, uvloop", "plain"),
        ("uvicorn, asyncio, no lifespan", "starlette"),
        ("hypercorn, asyncio", "plain"),
        ("hypercorn, trio", "plain"),
    ],
)
def test_what_is_answered_after_the_signal_is_stored_too(name: str, app: str, tmp_path: Path) -> None:
    server = start(name, f"wrapped_{app}", tmp_path)
    with serving(server):
        ask(server.port, words(1))
        slow = threading.Thread(target=ask, args=(server.port, [SLOW]))
        slow.start()
        time.sleep(0.4)
        server.stop(signal.SIGTERM)
        slow.join()
    assert Counter(stored()) == Counter([*words(1), SLOW]), server.output.read_text()


def warm_up(server: Server, path: str) -> None:
    """Ask once, and wait until that is stored: the first visit loads the parsers, which takes long on a busy machine."""
    ask(server.port, [path])
    end = time.monotonic() + 10
    while path not in stored():
        assert time.monotonic() < end, server.output.read_text()
        time.sleep(0.1)


@pytest.mark.parametrize("name", ["uvicorn, uvloop", "uvicorn, 2 workers"])
def test_killed_it_loses_the_last_second_at_most_and_damages_nothing(name: str, tmp_path: Path) -> None:
    answered: dict[str, float] = {}

    def keep_asking(client: str) -> None:
        for path in words(17_576, client):
            try:
                ask(server.port, [path])
            except (OSError, HTTPException):
                return
            answered[path] = time.monotonic()

    for round_number in range(3):
        server = start(name, "wrapped_plain", tmp_path)
        with serving(server):
            warm_up(server, f"/{'klm'[round_number]}")
            clients = [threading.Thread(target=keep_asking, args=(f"{'klm'[round_number]}{client}",)) for client in "abcd"]
            for client in clients:
                client.start()
            time.sleep(1.5 + 0.13 * round_number)
            killed = time.monotonic()
            server.kill()
            for client in clients:
                client.join()
        known = Counter(stored())
        lost = [killed - when for path, when in answered.items() if path not in known]
        assert max(lost, default=0) < 1, f"{len(lost)} of {len(answered)} lost in round {round_number}"
        assert set(known.values()) == {1}
        assert query("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
        answered = {path: when for path, when in answered.items() if path in known}
    assert len(known) > 200
