"""Data requests as a person meets them: a real browser, a real server, a real mail server; and every page, for everybody."""

import base64
import hashlib
import io
import json
import os
import quopri
import re
import signal
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Self
from urllib.parse import quote

import pytest
from aiosmtpd.controller import Controller
from playwright.sync_api import Browser, BrowserContext, Page

from .conftest import query
from .requesting import SECRET
from .serving import ROOT, Server, free_port
from .test_browser import browser, context, violations
from .test_mail import MailServer
from .test_recorder import until
from .test_request_pages import POLICY, Site

__all__ = ["browser", "context"]  # the fixtures

SITE = '''
import json
from pathlib import Path

from starlette.applications import Starlette
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.routing import Route

from privacy_middleware import PrivacyMiddleware
from privacy_middleware.sources import Erased


class Accounts:
    """The host's own data: one JSON file."""

    name = "Customer accounts"
    file = Path("accounts.json")

    def read(self):
        return json.loads(self.file.read_text()) if self.file.exists() else {}

    def export(self, subject):
        return [row for email, row in self.read().items() if email == subject]

    def correct(self, subject, changes):
        rows = self.read()
        for change in changes:
            if subject in rows and rows[subject].get(change.field) == change.old:
                rows[subject][change.field] = change.new
        self.file.write_text(json.dumps(rows))

    def erase(self, subject):
        rows = self.read()
        gone = rows.pop(subject, None)
        self.file.write_text(json.dumps(rows))
        return Erased(int(gone is not None))


FORM = """<!doctype html><html lang="en"><title>Write to us</title><main><form method="post">
<label>E-mail <input type="email" name="email"></label> <label>Name <input name="name"></label>
<label>Message <textarea name="message"></textarea></label> <button>Send</button></form></main>"""


async def show(request):
    return HTMLResponse(FORM)


async def take(request):
    await request.body()
    return RedirectResponse("/thanks", 303)


async def page(request):
    return HTMLResponse("<!doctype html><p>page")


app = Starlette(routes=[Route("/contact", show), Route("/contact", take, methods=["POST"]), Route("/", page), Route("/thanks", page)])
app = PrivacyMiddleware(app, sources=[Accounts()])
'''
WHOLE_POLICY = POLICY.replace('message = "keep"', 'message = "keep"\nname = { treatment = "keep", label = "Your name" }')
EMAIL, NAME = "anna.kanariefugl@example.org", "Åse Kanariefugl"
TEXT, RIGHT = "Could you print a yellow canary, please? Kanariegül", "Could you print a blue canary, please? Kanarieblå"


class Served(Server):
    """The site with a mail server, in two folders: its own, and `data` for what the package keeps."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, *, smtp_port: int = 0, policy: str = WHOLE_POLICY) -> None:
        (folder / "asked.py").write_text(SITE)
        (folder / "data").mkdir()
        self.data = folder / "data"
        self.database = self.data / "privacy.db"
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        settings = {
            "LIMITS": "address=100",
            "BASE_URL": self.url,
            "POLICY": policy,
            "SECRET_KEYS": SECRET,
            "DATABASE_URL": f"sqlite:///{self.database}",
        }
        if smtp_port:
            settings["SMTP_URL"] = f"smtp://127.0.0.1:{smtp_port}"
        for name, value in settings.items():
            monkeypatch.setenv(f"PRIVACY_{name}", value)
        super().__init__(["uvicorn", "asked:app", "--port", str(port), "--no-access-log"], folder)
        self.port = port

    def __enter__(self) -> Self:
        self.wait_for_port()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """A mail server in a thread with an event loop of its own: that of this thread is the browser's."""
    server = MailServer()
    server.port = free_port()
    controller = Controller(server, hostname="127.0.0.1", port=server.port)
    controller.start()
    try:
        yield server
    finally:
        controller.stop()


def command(*arguments: str) -> str:
    """Run a command as the owner does."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "privacy_middleware", *arguments], env=environment, check=True, capture_output=True, text=True
    ).stdout


def new_mail(server: MailServer, number: int) -> str:
    """Wait for the mail of this number; returns its text."""
    until(lambda: len(server.inbox) >= number)
    assert len(server.inbox) == number, [str(mail.message["subject"]) for mail in server.inbox]
    return str(server.inbox[-1].message.get_body(("plain",)).get_content())  # type: ignore[union-attr]


def link_in(text: str) -> str:
    found = re.search(r"http://\S+/requests/\S+", text)
    assert found, text
    return found[0]


def ask(page: Page, url: str, kind: str) -> None:
    page.goto(f"{url}/privacy/requests/")
    page.get_by_label(kind).check()
    page.get_by_label("Your e-mail address").fill(EMAIL)
    page.get_by_role("button", name="Send").click()
    page.wait_for_url("**/requests/sent")
    assert "look into your mailbox" in page.inner_text("h1")


def needles() -> list[bytes]:
    """What would tell of the person, in every spelling in which it could have been written."""
    found = set()
    for text in (EMAIL, EMAIL.partition("@")[0], NAME, TEXT, RIGHT, "Kanariefugl", "Kanariegül", "Kanarieblå", "canary, please"):
        for encoding in ("utf-8", "utf-16-le", "latin-1"):
            data = text.encode(encoding)
            found |= {data, data.hex().encode(), data.hex().upper().encode(), quopri.encodestring(data), quote(data).encode()}
            for shift in range(3):  # in a longer text it may begin anywhere
                encoded = base64.b64encode(b"\0" * shift + data)
                found.add(encoded[4 if shift else 0 : -4])
    return [needle.lower() for needle in found if len(needle) > 7]


def traces(folder: Path) -> list[tuple[str, bytes]]:
    """Where in the files of a folder the person still is."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [(path.name, needle) for path in files for data in [path.read_bytes().lower()] for needle in needles() if needle in data]


def test_the_whole_way_from_a_question_to_no_trace(browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "accounts.json").write_text(json.dumps({EMAIL: {"customer": 7, "message": TEXT}, "otto@example.org": {"customer": 8}}))
    context = browser.new_context(java_script_enabled=False, accept_downloads=True)
    page = context.new_page()
    with mail_server() as mails, Served(tmp_path, monkeypatch, smtp_port=mails.port) as site:
        write_to_us(page, site)
        see_and_download(page, site, mails)
        correct(page, site, mails)
        erase(page, site, mails)
        until(lambda: query("SELECT COUNT(*) AS n FROM mail", site.database)[0]["n"] == 0)
        assert traces(site.data) == []
        assert json.loads((tmp_path / "accounts.json").read_text()) == {"otto@example.org": {"customer": 8}}
        assert site.stop(signal.SIGTERM) in (0, -signal.SIGTERM)
        assert traces(site.data) == []
        with closing(sqlite3.connect(site.database)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert traces(site.data) == []
        assert EMAIL not in site.output.read_text()
    context.close()


def write_to_us(page: Page, site: Served) -> None:
    page.goto(f"{site.url}/contact")
    page.get_by_label("E-mail").fill(EMAIL.upper())
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Message").fill(TEXT)
    page.get_by_role("button").click()
    page.wait_for_url("**/thanks")


def see_and_download(page: Page, site: Served, mails: MailServer) -> None:
    ask(page, site.url, "See my data")
    page.goto(link_in(new_mail(mails, 1)))
    page.get_by_role("button", name="Show my data").click()
    page.get_by_role("button", name="Show my data here").click()
    shown = page.inner_text("main")
    assert all(word in shown for word in (EMAIL, NAME, TEXT, "Customer accounts"))
    with page.expect_download() as download:
        page.get_by_role("button", name="Download my data").click()
    archive = zipfile.ZipFile(io.BytesIO(Path(download.value.path()).read_bytes()))
    sums = json.loads(archive.read("manifest.json"))["sha256"]
    assert sums == {name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist() if name != "manifest.json"}
    data = json.loads(archive.read("data.json"))["data"]
    assert data["submissions"]["rows"][0]["fields"]["Your name"] == [NAME]
    assert [row["customer"] for row in data["source_1"]["rows"]] == [7]
    assert link_in(new_mail(mails, 2)).startswith(f"{site.url}/privacy/requests/overview/")


def correct(page: Page, site: Served, mails: MailServer) -> None:
    ask(page, site.url, "Correct my data")
    page.goto(link_in(new_mail(mails, 3)))
    page.get_by_role("button", name="Go on to my data").click()
    page.get_by_role("button", name="Show my data").click()
    page.get_by_label("message").fill(RIGHT)
    page.get_by_role("button", name="Send the corrections").click()
    assert "One of us looks at your request" in page.get_by_role("status").inner_text()
    until(lambda: len(mails.inbox) == 6)  # the link to it, the owner's and the person's
    assert sorted(mail.to[0] for mail in mails.inbox[3:]) == [EMAIL, EMAIL, "owner@example.net"]
    listed = command("requests", "list").splitlines()
    [row] = [line for line in listed if "correction" in line]
    id_ = row.split()[0]
    shown = command("requests", "show", id_)
    assert f"old  {TEXT}" in shown
    assert f"new  {RIGHT}" in shown
    assert "in review" in row
    command("requests", "approve", id_)
    assert "We have corrected your data as you asked." in new_mail(mails, 7)
    assert "It is done." in page.goto(page.url).text()  # type: ignore[union-attr]


def erase(page: Page, site: Served, mails: MailServer) -> None:
    ask(page, site.url, "Erase my data")
    page.goto(link_in(new_mail(mails, 8)))
    shown = page.inner_text("main")
    assert "1 \u00d7 what you sent with “contact form”" in shown
    assert "Customer accounts" in shown
    page.get_by_role("button", name="Erase everything").click()
    assert "Your data are erased" in page.get_by_role("status").inner_text()
    receipt = new_mail(mails, 9)
    assert "What you sent us: 1" in receipt
    assert "Customer accounts: 1" in receipt
    assert mails.inbox[-1].to == [EMAIL]


def test_what_would_be_a_trace_is_found_before_the_erasure(tmp_path: Path) -> None:
    for number, spelling in enumerate([EMAIL.encode(), base64.b64encode(b"xy" + NAME.encode() + b"z"), RIGHT.encode().hex().encode()]):
        (tmp_path / str(number)).write_bytes(b"\x00" + spelling + b"\xff")
    assert {name for name, _ in traces(tmp_path)} == {"0", "1", "2"}


# --- every page ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    with Served(tmp_path, monkeypatch, smtp_port=free_port()) as served:  # nobody listens there: mails wait
        yield served


@pytest.fixture
def other(served: Served) -> Site:
    """Another worker of the same site, by which the test has links at once, without waiting for mails."""
    return Site(base=served.url, policy=WHOLE_POLICY, database_url=f"sqlite:///{served.database}")


def every_page(page: Page, served: Served, site: Site) -> Iterator[str]:
    """Go to each page of data requests in each of its states."""

    def button(name: str) -> None:
        page.get_by_role("button", name=name, exact=True).click()

    def go(path: str) -> None:
        page.goto(served.url + path)

    site.send_form("ann@example.org", TEXT + "\n" + "A long-line-without-spaces-" * 8, name=NAME, number="one", wish="a card")
    go("/thanks")
    go("/privacy/requests/")
    yield "form"
    go("/privacy/requests/?kind=erasure")
    page.locator("form").evaluate("form => form.noValidate = true")
    page.get_by_label("Your e-mail address").fill("nobody")
    button("Send")
    yield "form-fault"
    go("/privacy/requests/sent")
    yield "sent"
    for kind in ("overview", "erasure", "complaint"):
        go(site.asked(kind, "ann@example.org" if kind != "complaint" else "bob@example.org"))
        yield f"confirm-{kind}"
    page.locator("summary").click()
    yield "confirm-open"
    go("/privacy/requests/confirm/none")
    yield "no-link"
    go(site.confirmed("overview", "ann+1@example.org"))
    yield "overview"
    button("Show my data here")
    yield "overview-nothing"
    go(site.confirmed("overview", "ann@example.org"))
    button("Show my data here")
    yield "overview-shown"
    place = site.confirmed("correction", "ann@example.org")
    go(place)
    yield "correct"
    button("Show my data")
    yield "correct-shown"
    button("Send the corrections")
    yield "correct-unchanged"
    for kind in ("erasure", "restriction", "objection", "complaint"):
        go(site.confirmed(kind, "otto@example.org"))
        yield f"status-{kind}"
    button("Call it off")
    yield "status-withdrawn"
    go("/privacy/my-browser")
    yield "my-browser"
    button("Erase it")
    yield "my-browser-erased"
    fill_limit(served)
    go("/privacy/requests/")
    page.get_by_label("Your e-mail address").fill("eve@example.org")
    button("Send")
    yield "too-many"


def fill_limit(served: Served) -> None:
    with closing(sqlite3.connect(served.database, isolation_level=None, timeout=20)) as connection:
        connection.execute("UPDATE attempt SET amount = 1000000")


def test_every_page_is_accessible_and_fits_the_screen(browser: Browser, served: Served, other: Site) -> None:
    context = browser.new_context(bypass_csp=True)
    page = context.new_page()
    folder = os.environ.get("SCREENSHOTS")
    for name in every_page(page, served, other):
        for scheme, width in (("light", 1200), ("dark", 320)):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.set_viewport_size({"width": width, "height": 800})
            assert violations(page) == [], (name, scheme, width)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
            if folder:
                page.screenshot(path=f"{folder}/{name}-{scheme}-{width}.png", full_page=True)
    context.close()


def test_no_page_breaks_a_rule_of_its_own_policy_or_needs_anything_from_elsewhere(
    context: BrowserContext, served: Served, other: Site
) -> None:
    page = context.new_page()
    complaints: list[str] = []
    addresses: set[str] = set()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("request", lambda request: addresses.add(request.url.partition("/privacy")[0]))
    for _ in every_page(page, served, other):
        pass
    assert [text for text in complaints if "status of 4" not in text] == []
    assert {address for address in addresses if not address.endswith("/thanks")} == {served.url}


def test_the_package_can_be_read_from_disk_by_everybody(browser: Browser, other: Site, tmp_path: Path) -> None:
    other.send_form("ann@example.org", "<script>document.title = 'run'</script>" + "long" * 80, name=NAME)
    sent = other.client.post(other.confirmed("overview", "ann@example.org"), data={"action": "download"})
    with zipfile.ZipFile(io.BytesIO(sent.content)) as archive:
        archive.extractall(tmp_path / "package")
    context = browser.new_context(bypass_csp=True)
    page = context.new_page()
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    for scheme, width in (("light", 1200), ("dark", 320)):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": 800})
        page.goto((tmp_path / "package" / "index.html").as_uri())
        assert violations(page) == [], (scheme, width)
        if folder := os.environ.get("SCREENSHOTS"):
            page.screenshot(path=f"{folder}/package-{scheme}-{width}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, width
    assert NAME in page.inner_text("main")
    assert page.title().startswith("Your data")
    assert all(address.startswith("file:") for address in addresses)
    context.close()


def press_until(page: Page, condition: str) -> None:
    """Press Tab until the focus is where it shall be."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate(f"(e => {condition})(document.activeElement)"):
            return
    raise AssertionError(f"no Tab leads to {condition}")


def test_all_of_it_can_be_done_by_keyboard_alone(context: BrowserContext, served: Served, other: Site) -> None:
    other.send_form("ann@example.org", TEXT, name=NAME)
    page = context.new_page()
    page.goto(f"{served.url}/privacy/requests/")
    press_until(page, "e.name == 'kind'")
    page.keyboard.press("ArrowDown")
    press_until(page, "e.name == 'email'")
    page.keyboard.type("ann@example.org")
    page.keyboard.press("Enter")
    page.wait_for_url("**/requests/sent")
    assert query("SELECT kind FROM request", served.database) == [{"kind": "correction"}]
    page.goto(served.url + other.link("confirm", "ann@example.org"))
    for name in ("Go on to my data", "Show my data"):
        press_until(page, f"e.innerText == '{name}'")
        with page.expect_navigation():
            page.keyboard.press("Enter")
    press_until(page, "e.name.endsWith('.name')")
    page.keyboard.press("Control+A")
    page.keyboard.type("Åse Finch")
    press_until(page, "e.innerText == 'Send the corrections'")
    page.keyboard.press("Enter")
    page.get_by_role("status").wait_for()
    assert "One of us looks at your request" in page.inner_text("main")
    press_until(page, "e.innerText == 'Call it off'")
    page.keyboard.press("Enter")
    page.get_by_text("It was called off").wait_for()


def test_a_button_pressed_twice_shows_what_became_of_it(context: BrowserContext, served: Served, other: Site) -> None:
    page = context.new_page()
    page.goto(served.url + other.asked("erasure", "ann@example.org"))
    page.get_by_role("button", name="Erase everything").dblclick()
    until(lambda: [row["state"] for row in query("SELECT state FROM request", served.database)] == ["fulfilled"])
    page.wait_for_url("**/requests/status/**")
    page.goto(page.url)  # it may have come before the erasure was done
    page.get_by_text("Your data are erased").wait_for()


def test_what_was_shown_behind_a_secret_link_is_not_kept_by_the_browser(context: BrowserContext, served: Served, other: Site) -> None:
    other.send_form("ann@example.org", TEXT)
    page = context.new_page()
    page.goto(served.url + other.confirmed("overview", "ann@example.org"))
    page.get_by_role("button", name="Show my data here").click()
    assert TEXT in page.inner_text("main")
    page.get_by_role("link", name="Back to the website").click()
    assert page.evaluate("document.referrer") == ""
