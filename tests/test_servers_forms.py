"""Real servers with a declared form: whatever a visitor saw accepted is kept, also if the server is killed at that moment."""

import random
import signal
import sqlite3
import threading
import time
from collections import Counter
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlencode

import pytest

from privacy_middleware.record import submissions
from privacy_middleware.record.intake import absorb
from privacy_middleware.record.spool import Spool
from privacy_middleware.vault import Vault

from .conftest import FIREFOX
from .databases import make_store
from .serving import Server, serving

SECRET = "the-secret-of-these-tests-which-is-long-enough"
SERVERS = {
    "uvicorn": ["uvicorn", "served:forms", "--port", "PORT", "--no-access-log"],
    "uvicorn, 2 workers": ["uvicorn", "served:forms", "--port", "PORT", "--no-access-log", "--workers", "2"],
    "hypercorn, trio": ["hypercorn", "served:forms", "--bind", "127.0.0.1:PORT", "--worker-class", "trio"],
    "granian": ["granian", "--interface", "asgi", "--port", "PORT", "served:forms"],
}


def send_forms(port: int, names: list[str], accepted: list[str], stop: threading.Event) -> None:
    """Send a form for each name over one connection, and note those whose answer was seen."""
    headers = {"user-agent": FIREFOX, "content-type": "application/x-www-form-urlencoded"}
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        for name in names:
            if stop.is_set():
                return
            connection.request("POST", "/form", urlencode({"email": f"{name}@example.org", "message": "hello", "other": "x"}), headers)
            response = connection.getresponse()
            assert response.status == 303
            accepted.append(name)
            response.read()
    except (OSError, HTTPException):  # the server is gone
        return
    finally:
        connection.close()


def kept() -> Counter[str]:
    """Who is in the database and in the spool together."""
    vault = Vault([SECRET])
    store = make_store()
    store.open()
    try:
        while absorb(store, Spool(store.path), vault):
            pass
        assert store.rows("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
        found = submissions.find(store, first=0, last=2**31)
        return Counter(str(submissions.read(store, vault, one)[1]["email"][0]).partition("@")[0] for one in found)
    finally:
        store.close()


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRIVACY_SECRET_KEYS", SECRET)


@pytest.mark.parametrize("locks", [False, True], ids=["database", "often locked"])
@pytest.mark.parametrize("name", ["uvicorn", "uvicorn, 2 workers"])
def test_killed_at_any_moment_no_form_is_lost_that_was_seen_accepted(name: str, locks: bool, tmp_path: Path) -> None:
    accepted: list[str] = []
    for number in range(4):
        server = Server(SERVERS[name], tmp_path)
        stop = threading.Event()
        with serving(server):
            names = [[f"r{number}c{client}n{n}" for n in range(400)] for client in range(4)]
            clients = [threading.Thread(target=send_forms, args=(server.port, own, accepted, stop)) for own in names]
            blocker = threading.Thread(target=lock_often, args=(stop,))
            for thread in [*clients, *([blocker] if locks else [])]:
                thread.start()
            time.sleep(0.3 + random.random())
            server.kill()
            stop.set()
            for thread in [*clients, *([blocker] if locks else [])]:
                thread.join()
    found = kept()
    assert accepted
    assert set(accepted) <= set(found)
    assert set(found.values()) == {1}  # nothing twice


def lock_often(stop: threading.Event) -> None:
    """Write to the database from elsewhere, a good while at a time."""
    while not stop.is_set():
        with closing(sqlite3.connect("privacy.db", isolation_level=None, timeout=5)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            stop.wait(0.4)
            connection.execute("ROLLBACK")
        stop.wait(0.1)


@pytest.mark.parametrize("name", SERVERS)
def test_told_to_end_it_has_kept_every_form_once(name: str, tmp_path: Path) -> None:
    accepted: list[str] = []
    server = Server(SERVERS[name], tmp_path)
    with serving(server):
        threads = [
            threading.Thread(target=send_forms, args=(server.port, [f"c{client}n{n}" for n in range(25)], accepted, threading.Event()))
            for client in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        server.stop(signal.SIGTERM)
    assert len(accepted) == 100, server.output.read_text()
    assert kept() == Counter(accepted)
