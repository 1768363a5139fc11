"""Real servers with PostgreSQL behind them: several hosts share one, and it is killed under load without anything being lost."""

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

import pytest

from privacy_middleware.record import submissions
from privacy_middleware.record.spool import Spool
from privacy_middleware.record.waiting_hits import WaitingHits
from privacy_middleware.store.postgres import PostgresStore
from privacy_middleware.vault import Vault

from .conftest import FIREFOX
from .databases import Cluster
from .serving import WSGI_APPS, Server, serving, words
from .test_recorder import until

SECRET = "the-secret-of-these-tests-which-is-long-enough"
KILLS = 5
HOSTS = {
    "uvicorn": (["uvicorn", "served:forms", "--port", "PORT", "--no-access-log"], None),
    "gunicorn, 2 workers": (["gunicorn", "served:forms", "--bind", "127.0.0.1:PORT", "--threads", "4", "--workers", "2"], WSGI_APPS),
}


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    cluster = Cluster()
    yield cluster
    cluster.stop()


@pytest.fixture
def url(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> str:
    url = cluster.make("site")
    monkeypatch.setenv("PRIVACY_DATABASE_URL", url)
    monkeypatch.setenv("PRIVACY_SECRET_KEYS", SECRET)
    monkeypatch.setenv("PRIVACY_LIMITS", "address=100,network=100000,all=100000")
    return url


class Client:
    """Somebody who asks again and again over one connection, until told to stop, and notes how it was answered."""

    def __init__(self, port: int, name: str, stop: threading.Event) -> None:
        self.port, self.name, self.stop = port, name, stop
        self.hits = 0
        self.forms: list[str] = []
        self.requests: list[str] = []

    def run(self) -> None:
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            number = 0
            while not self.stop.is_set():
                number += 1
                name = f"{self.name}n{number}"
                assert self._ask(connection, "GET", f"/{words(600)[number % 600][1:]}") == 200
                self.hits += 1
                assert self._ask(connection, "POST", "/form", email=f"{name}@example.org", message="hello") == 303
                self.hits += 1
                self.forms.append(name)
                if (
                    number % 5 == 0
                    and self._ask(connection, "POST", "/privacy/requests/", email=f"{name}@example.org", kind="overview") == 303
                ):
                    self.requests.append(name)

    def _ask(self, connection: HTTPConnection, method: str, path: str, **data: str) -> int:
        headers = {"user-agent": FIREFOX, **({"content-type": "application/x-www-form-urlencoded"} if data else {})}
        connection.request(method, path, urlencode(data) or None, headers)
        response = connection.getresponse()
        response.read()
        return response.status


def hosts(name: str, folder: Path, amount: int = 2) -> list[Server]:
    """Start servers that share nothing but the database."""
    command, apps = HOSTS[name]
    found = []
    for number in range(amount):
        own = folder / f"host{number}"
        own.mkdir()
        found.append(Server(command, own, *([apps] if apps else [])))
    return found


def load(servers: list[Server], meanwhile: Callable[[], None]) -> list[Client]:
    """Have clients ask all servers while something else happens."""
    stop = threading.Event()
    clients = [Client(server.port, f"h{number}c{n}", stop) for number, server in enumerate(servers) for n in range(2)]
    threads = [threading.Thread(target=client.run) for client in clients]
    for thread in threads:
        thread.start()
    meanwhile()
    stop.set()
    for thread in threads:
        thread.join()
    return clients


def waits_for_nothing(folder: Path) -> bool:
    return WaitingHits(folder / "privacy.waiting").is_empty() and not Spool(folder / "privacy").waiting()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", HOSTS)
def test_killed_five_times_under_load_it_costs_no_form_no_request_and_no_hit(name: str, cluster: Cluster, url: str, tmp_path: Path) -> None:
    def kill_often() -> None:
        for _ in range(KILLS):
            time.sleep(0.7)
            cluster.kill()
            time.sleep(0.5)
            cluster.start()
        time.sleep(0.5)

    servers = hosts(name, tmp_path)
    with serving(*servers):
        clients = load(servers, kill_often)
        for server in servers:
            until(lambda folder=server.output.parent: waits_for_nothing(folder), seconds=60)
            assert server.stop(signal.SIGTERM) in (0, -signal.SIGTERM)
    with closing(PostgresStore(url)) as store:
        store.open()
        vault = Vault([SECRET])
        found = Counter(
            str(submissions.read(store, vault, one)[1]["email"][0]).partition("@")[0]
            for one in submissions.find(store, first=0, last=2**31)
        )
        counters = {row["name"]: row["amount"] for row in store.rows("SELECT name, SUM(amount) AS amount FROM counter GROUP BY name")}
        asked = store.value("SELECT COUNT(*) FROM request")
        stored = store.value("SELECT COUNT(*) FROM hit")
    sent = [form for client in clients for form in client.forms]
    assert len(sent) > 50
    assert found == Counter(sent)  # each once
    assert asked >= sum(len(client.requests) for client in clients) > 0
    dropped = sum(amount for name, amount in counters.items() if name.startswith("dropped."))
    assert stored + dropped == sum(client.hits for client in clients)
    assert dropped == 0, counters


@pytest.mark.parametrize("name", HOSTS)
def test_several_hosts_share_one_database_and_stop_cleanly(name: str, cluster: Cluster, url: str, tmp_path: Path) -> None:
    servers = hosts(name, tmp_path)
    with serving(*servers):
        clients = load(servers, lambda: time.sleep(2))
        for server in servers:
            assert server.stop(signal.SIGTERM) in (0, -signal.SIGTERM)
    with closing(PostgresStore(url)) as store:
        store.open()
        assert store.value("SELECT COUNT(*) FROM hit") == sum(client.hits for client in clients)
        assert store.value("SELECT COUNT(*) FROM submission") == sum(len(client.forms) for client in clients)
        assert store.value("SELECT COUNT(*) FROM salt") == 1
    assert not any("Traceback" in server.output.read_text() for server in servers)
    assert not any(Spool(server.output.parent / "privacy").waiting() for server in servers)
