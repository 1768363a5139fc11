"""Real servers with data requests: whichever worker takes one, whichever does it; and whatever is killed in the middle ends whole, and once."""

import os
import re
import signal
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from .conftest import FIREFOX, query
from .requesting import ANNA, OTTO, POLICY, SECRET, graves
from .serving import Server, serving
from .test_mail import MailServer, mail_server
from .test_recorder import until

SITE = '''
import os
import time
from pathlib import Path

from starlette.applications import Starlette
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.routing import Route

from privacy_middleware import PrivacyMiddleware
from privacy_middleware.sources import Erased


class Slow:
    """Notes that it was asked; waits while the file `wait` is there; then notes that it is done."""

    def __init__(self, name):
        self.name = name

    def note(self, what):
        with open("notes", "a") as file:
            file.write(f"{what} {self.name} {os.getpid()}\\n")

    def export(self, subject):
        return []

    def correct(self, subject, changes):
        pass

    def erase(self, subject):
        self.note("asked")
        while Path(f"wait-{self.name}").exists():
            time.sleep(0.01)
        self.note("done")
        return Erased(1)


async def take(request):
    await request.body()
    return RedirectResponse("/thanks", 303)


async def page(request):
    return HTMLResponse("<p>page")


app = Starlette(routes=[Route("/contact", take, methods=["POST"]), Route("/{word}", page)])
app = PrivacyMiddleware(app, sources=[Slow("first"), Slow("second")])
'''
BASE = "http://www.example.org"


@pytest.fixture
def mails() -> Iterator[MailServer]:
    with mail_server() as mails:
        yield mails


@pytest.fixture(autouse=True)
def _configured(monkeypatch: pytest.MonkeyPatch, mails: MailServer, clean_environment: None) -> None:
    Path("asked.py").write_text(SITE)
    settings = {
        "SECRET_KEYS": SECRET,
        "POLICY": POLICY,
        "BASE_URL": BASE,
        "SMTP_URL": f"smtp://127.0.0.1:{mails.port}",
        "LIMITS": "address=1000",
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"PRIVACY_{name}", value)


def serve(*, workers: int = 1) -> Server:
    return Server(["uvicorn", "asked:app", "--port", "PORT", "--no-access-log", "--workers", str(workers)], Path.cwd())


def send(port: int, method: str, path: str, **fields: str) -> tuple[int, str, str]:
    """Send one request over a connection of its own, to whichever worker takes it; returns status, location and body."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        headers = {"user-agent": FIREFOX, "content-type": "application/x-www-form-urlencoded"}
        connection.request(method, path, urlencode(fields) if method == "POST" else None, headers)
        response = connection.getresponse()
        return response.status, response.headers.get("location", ""), response.read().decode(errors="replace")
    finally:
        connection.close()


def texts(mails: MailServer, kind: str, email: str = ANNA) -> list[str]:
    """The texts of the mails with such a subject to somebody."""
    found = [mail.message for mail in mails.inbox if mail.to == [email] and kind in str(mail.message["subject"])]
    return [str(message.get_body(("plain",)).get_content()) for message in found]  # type: ignore[union-attr]


def asked(port: int, mails: MailServer, kind: str = "erasure", email: str = ANNA) -> str:
    """Ask, wait for the mail, and return the path of its link."""
    before = len(texts(mails, "confirm", email))
    assert send(port, "POST", "/privacy/requests/", kind=kind, email=email)[0] == 303
    until(lambda: len(texts(mails, "confirm", email)) > before)
    found = re.search(rf"{BASE}(/privacy/requests/confirm/\S+)", texts(mails, "confirm", email)[-1])
    assert found
    return found[1]


def notes() -> Counter[str]:
    """What the sources were asked and have done, each as often as it happened."""
    lines = Path("notes").read_text().splitlines() if Path("notes").exists() else []
    return Counter(" ".join(line.split()[:2]) for line in lines)


def pid_of(note: str) -> int:
    """The worker that noted something last."""
    return int([line for line in Path("notes").read_text().splitlines() if line.startswith(note)][-1].split()[2])


def state() -> str:
    return str(query("SELECT state FROM request ORDER BY created DESC")[0]["state"])


def let_leases_end() -> None:
    """Do not wait for those of processes that were killed: thirty seconds."""
    with closing(sqlite3.connect("privacy.db", isolation_level=None, timeout=20)) as connection:
        connection.execute("UPDATE lease SET until = 0")


def test_a_request_taken_by_one_worker_is_done_by_whichever_and_mailed_once(mails: MailServer) -> None:
    server = serve(workers=2)
    people = [f"person{number}@example.org" for number in range(6)]
    with serving(server):
        for email in people:
            send(server.port, "POST", "/contact", email=email, message="hello")
        for email in people:
            send(server.port, "POST", "/privacy/requests/", kind="erasure", email=email)
        until(lambda: all(texts(mails, "confirm", email) for email in people))
        for email in people:
            [text] = texts(mails, "confirm", email)
            path = urlsplit(re.findall(r"http\S+/confirm/\S+", text)[0]).path
            status, place, _ = send(server.port, "POST", path)
            assert status == 303
            assert send(server.port, "GET", place)[0] == 200
        until(lambda: all(texts(mails, "erased", email) for email in people))
        until(lambda: query("SELECT COUNT(*) AS n FROM mail")[0]["n"] == 0)
        server.stop(signal.SIGTERM)
    assert Counter(mail.to[0] for mail in mails.inbox) == dict.fromkeys(people, 2)
    assert notes() == {"asked first": 6, "done first": 6, "asked second": 6, "done second": 6}
    assert query("SELECT COUNT(*) AS n FROM submission")[0]["n"] == 0


def test_a_link_pressed_at_two_workers_at_once_acts_once(mails: MailServer) -> None:
    server = serve(workers=2)
    with serving(server):
        path = asked(server.port, mails, "restriction")
        codes: list[int] = []
        threads = [threading.Thread(target=lambda: codes.append(send(server.port, "POST", path)[0])) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(codes) == [303] + [404] * 7
        until(lambda: texts(mails, "only stored"))
        until(lambda: query("SELECT COUNT(*) AS n FROM mail")[0]["n"] == 0)
        assert len(texts(mails, "only stored")) == 1


def test_of_many_requests_at_once_for_one_address_the_limit_holds_over_workers(mails: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRIVACY_LIMITS", "address=5")
    server = serve(workers=2)
    with serving(server):
        codes: list[int] = []

        def ask() -> None:
            codes.append(send(server.port, "POST", "/privacy/requests/", kind="overview", email=ANNA)[0])

        threads = [threading.Thread(target=ask) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert Counter(codes) == {303: 5, 429: 11}


def test_killed_in_the_middle_of_an_erasure_it_ends_in_one_erasure_and_one_receipt(mails: MailServer) -> None:
    Path("wait-second").touch()
    server = serve()
    with serving(server):
        for email in (ANNA, OTTO):
            send(server.port, "POST", "/contact", email=email, message="hello")
        send(server.port, "POST", asked(server.port, mails))
        until(lambda: notes()["asked second"] == 1)
        assert state() == "confirmed"
        server.kill()
    Path("wait-second").unlink()
    assert texts(mails, "erased") == []
    let_leases_end()
    again = serve()
    with serving(again):
        until(lambda: texts(mails, "erased"))
        until(lambda: query("SELECT COUNT(*) AS n FROM mail")[0]["n"] == 0)
        again.stop(signal.SIGTERM)
    assert len(texts(mails, "erased")) == 1
    assert notes() == {"asked first": 1, "done first": 1, "asked second": 2, "done second": 1}  # what is done is not asked again
    assert query("SELECT COUNT(*) AS n FROM submission")[0]["n"] == 1
    assert query("SELECT lookup FROM request") == [{"lookup": None}]
    assert len({line.split()[0] for line in graves()}) == 1
    assert query("PRAGMA integrity_check") == [{"integrity_check": "ok"}]


def test_the_worker_that_erases_is_killed_and_the_other_goes_on(mails: MailServer) -> None:
    Path("wait-second").touch()
    server = serve(workers=2)
    with serving(server):
        send(server.port, "POST", "/contact", email=ANNA, message="hello")
        send(server.port, "POST", asked(server.port, mails))
        until(lambda: notes()["asked second"] == 1)
        os.kill(pid_of("asked second"), signal.SIGKILL)
        Path("wait-second").unlink()
        let_leases_end()
        until(lambda: texts(mails, "erased"))
    assert notes()["done first"] == notes()["done second"] == 1
    assert len(texts(mails, "erased")) == 1


def test_told_to_end_while_a_source_is_slow_it_ends_in_time_and_goes_on_later(mails: MailServer) -> None:
    Path("wait-first").touch()
    server = serve()
    with serving(server):
        send(server.port, "POST", "/contact", email=ANNA, message="canary words")
        path = asked(server.port, mails)
        send(server.port, "POST", path)
        until(lambda: notes()["asked first"] == 1)
        server.stop(signal.SIGTERM, timeout=10)
    assert not [word for word in ("Traceback", ANNA, "canary", path.rpartition("/")[2]) if word in server.output.read_text()]
    Path("wait-first").unlink()
    let_leases_end()
    again = serve()
    with serving(again):
        until(lambda: texts(mails, "erased"), seconds=30)
    assert notes()["done first"] == notes()["done second"] == 1


def test_what_was_acknowledged_is_there_after_a_kill_at_any_moment(mails: MailServer) -> None:
    taken: list[str] = []
    for turn in range(2):
        server = serve(workers=2)
        with serving(server):
            threads = [threading.Thread(target=ask_on, args=(server.port, f"t{turn}c{client}", taken)) for client in range(3)]
            for thread in threads:
                thread.start()
            until(lambda: len(taken) > 10 * (turn + 1))  # noqa: B023 - called in this turn
            server.kill()
            for thread in threads:
                thread.join()
    assert query("SELECT COUNT(*) AS n FROM request")[0]["n"] >= len(taken)
    assert query("SELECT COUNT(*) AS n FROM request")[0]["n"] <= len(taken) + 6  # those whose answer was on its way
    let_leases_end()
    server = serve()
    with serving(server):  # one that was just being sent is not sent again at once: perhaps it was
        until(lambda: query("SELECT COUNT(*) AS n FROM mail WHERE attempts = 0")[0]["n"] == 0)
    left = query("SELECT COUNT(*) AS n FROM mail")[0]["n"]
    assert left <= 2
    assert len(set(taken) - {mail.to[0] for mail in mails.inbox}) <= left


def ask_on(port: int, name: str, taken: list[str]) -> None:
    """Ask again and again, each time for another address, until the server is gone."""
    for number in range(1000):
        email = f"{name}n{number}@example.org"
        try:
            status, _, _ = send(port, "POST", "/privacy/requests/", kind="overview", email=email)
        except (OSError, HTTPException):
            return
        assert status == 303
        taken.append(email)
