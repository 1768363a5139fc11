"""Real WSGI servers: what was answered is stored once when they are told to end, the pages are served, and forms are durable."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import pytest

from .conftest import FIREFOX, query
from .serving import ROOT, SLOW, WSGI_APPS, Server, ask, serving, words
from .test_servers import stored, warm_up
from .test_servers_forms import SECRET, kept, send_forms

HITS = 80
GUNICORN = ["gunicorn", "served:APP", "--bind", "127.0.0.1:PORT", "--log-level", "warning"]
UWSGI = [
    "tests.run_uwsgi", "--http-socket", "127.0.0.1:PORT", "--module", "served:APP", "--master", "--die-on-term", "--need-app", "--enable-threads",
]  # fmt: skip
SERVERS = {
    "gunicorn, sync": GUNICORN,
    "gunicorn, sync, 2 workers, preload": [*GUNICORN, "--workers", "2", "--preload"],
    "gunicorn, gthread": [*GUNICORN, "--worker-class", "gthread", "--threads", "4"],
    "gunicorn, gthread, 2 workers, preload": [*GUNICORN, "--worker-class", "gthread", "--threads", "4", "--workers", "2", "--preload"],
    "granian": ["granian", "--interface", "wsgi", "--port", "PORT", "served:APP"],
    "uwsgi, 2 processes": [*UWSGI, "--processes", "2"],
    "uwsgi, threads": [*UWSGI, "--threads", "4"],
    "waitress": ["waitress", "--listen", "127.0.0.1:PORT", "served:APP"],
    "werkzeug": ["flask", "--app", "served:APP", "run", "--port", "PORT"],
}
WHOLE_END = [name for name in SERVERS if name not in ("waitress", "werkzeug")]
"""Those that end in order on SIGTERM; the others are ended by the signal itself."""


def start(name: str, app: str, folder: Path) -> Server:
    return Server([part.replace("APP", app) for part in SERVERS[name]], folder, WSGI_APPS)


def ask_in_pieces(server: Server, paths: list[str]) -> None:
    """By several clients, each with a connection for each path."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda path: ask(server.port, [path]), paths))


@pytest.mark.parametrize("name", WHOLE_END)
def test_told_to_end_it_has_stored_all_it_answered_and_ends_as_the_bare_app_does(name: str, tmp_path: Path) -> None:
    wrapped, bare = start(name, "wrapped", tmp_path), start(name, "bare", tmp_path)
    with serving(wrapped, bare):
        ask_in_pieces(wrapped, words(HITS))
        if name.startswith("uwsgi"):
            time.sleep(0.2)  # a worker that has not quite ended a request calls nobody at its end
        codes = [wrapped.stop(signal.SIGTERM)]
        ask_in_pieces(bare, words(10))
        codes.append(bare.stop(signal.SIGTERM))
    assert Counter(stored()) == Counter(words(HITS)), wrapped.output.read_text()
    assert codes[0] == codes[1], wrapped.output.read_text()


@pytest.mark.parametrize(("options", "remedy"), [(["--enable-threads", "--gevent", "10"], "--processes"), ([], "--enable-threads")])
def test_uwsgi_that_lets_no_thread_run_is_told_what_to_do(options: list[str], remedy: str, tmp_path: Path) -> None:
    command = [part.replace("APP", "wrapped") for part in UWSGI if part != "--enable-threads"]
    server = Server([*command, *options], tmp_path, WSGI_APPS)
    with serving(server):
        ask(server.port, words(1))
    text = server.output.read_text()
    assert "lets no thread run" in text
    assert remedy in text


@pytest.mark.parametrize("name", ["waitress", "werkzeug"])
def test_a_server_that_is_ended_by_ctrl_c_has_stored_all_it_answered(name: str, tmp_path: Path) -> None:
    server = start(name, "wrapped", tmp_path)
    with serving(server):
        server.ask_all(words(HITS))
        server.stop(signal.SIGINT)
    assert Counter(stored()) == Counter(words(HITS)), server.output.read_text()


@pytest.mark.parametrize("name", SERVERS)
def test_the_privacy_pages_are_served_and_refusal_is_honoured(name: str, tmp_path: Path) -> None:
    server = start(name, "wrapped", tmp_path)
    with serving(server):
        connection = HTTPConnection("127.0.0.1", server.port, timeout=20)
        headers = {"user-agent": FIREFOX, "origin": f"http://127.0.0.1:{server.port}"}
        warm_up(server, "/before")
        connection.request("GET", "/privacy/", headers=headers)
        response = connection.getresponse()
        assert (response.status, b"Privacy statement" in response.read()) == (200, True)
        connection.close()
        connection.request("POST", "/privacy/opt-out", "choice=refuse", {**headers, "content-type": "application/x-www-form-urlencoded"})
        response = connection.getresponse()
        assert b"not recorded any more" in response.read()
        cookie = (response.getheader("set-cookie") or "").partition(";")[0]
        connection.close()
        ask(server.port, ["/after"], {"cookie": cookie})
        server.stop(signal.SIGINT if name in ("waitress", "werkzeug") else signal.SIGTERM)
    assert stored() == [], server.output.read_text()


@pytest.mark.parametrize("name", ["gunicorn, sync", "gunicorn, gthread"])
def test_what_is_answered_after_the_signal_is_stored_too(name: str, tmp_path: Path) -> None:
    server = start(name, "wrapped", tmp_path)
    with serving(server):
        ask(server.port, words(1))
        slow = threading.Thread(target=ask, args=(server.port, [SLOW]))
        slow.start()
        time.sleep(0.4)
        server.stop(signal.SIGTERM)
        slow.join()
    assert Counter(stored()) == Counter([*words(1), SLOW]), server.output.read_text()


@pytest.mark.parametrize("name", ["gunicorn, sync, 2 workers, preload", "gunicorn, gthread", "granian"])
def test_what_a_visitor_saw_accepted_is_kept_if_the_server_is_killed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRIVACY_SECRET_KEYS", SECRET)
    for round_number in range(2):
        server, accepted, stop = start(name, "forms", tmp_path), [], threading.Event()
        with serving(server):
            names = [[f"{round_number}{client}{number}" for number in range(500)] for client in "abcd"]
            clients = [threading.Thread(target=send_forms, args=(server.port, share, accepted, stop)) for share in names]
            for client in clients:
                client.start()
            time.sleep(1.0)
            server.kill()
            stop.set()
            for client in clients:
                client.join()
        assert len(accepted) > 10, server.output.read_text()
        found = kept()
        assert [person for person in accepted if person not in found] == []
    assert query("PRAGMA integrity_check") == [{"integrity_check": "ok"}]


def test_gunicorn_with_gevent_serves_and_stores(tmp_path: Path) -> None:
    server = Server([*(part.replace("APP", "wrapped") for part in GUNICORN), "--worker-class", "gevent"], tmp_path, WSGI_APPS)
    with serving(server):
        server.ask_all(words(HITS))
        connection = HTTPConnection("127.0.0.1", server.port, timeout=20)
        connection.request("GET", "/privacy/", headers={"user-agent": FIREFOX, "sec-gpc": "1"})
        assert b"Privacy statement" in connection.getresponse().read(), server.output.read_text()
        connection.close()
        server.stop(signal.SIGTERM)
    assert Counter(stored()) == Counter(words(HITS)), server.output.read_text()


def test_a_worker_that_is_replaced_loses_nothing(tmp_path: Path) -> None:
    server = Server([*(part.replace("APP", "wrapped") for part in GUNICORN), "--max-requests", "7"], tmp_path, WSGI_APPS)
    with serving(server):
        for word in words(HITS):
            ask(server.port, [word])
        server.stop(signal.SIGTERM)
    assert Counter(stored()) == Counter(words(HITS)), server.output.read_text()


def test_a_process_that_only_imports_the_app_ends_at_once(tmp_path: Path) -> None:
    (tmp_path / "served.py").write_text(WSGI_APPS)
    code = "import served; client = served.wrapped.test_client(); assert client.get('/privacy/').status_code == 200"
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Error" not in done.stderr
