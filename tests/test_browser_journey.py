"""A person's whole way in a real browser with a real mail server: ask, confirm, read, correct, erase, receipt."""

import base64
import email
import email.policy
import json
import os
import quopri
import re
import socket
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from playwright.sync_api import Browser, BrowserContext, Page

from .conftest import query
from .serving import free_port
from .test_browser import ROOT, browser, violations
from .test_recorder import until

__all__ = ["browser"]  # the fixture

APP = """
import sys
from pathlib import Path

import uvicorn

from demo_app.site import HERE, make_site
from privacy_middleware import PrivacyMiddleware

app = PrivacyMiddleware(make_site(), database_url="sqlite:///privacy.db", policy=str(HERE / "privacy.toml"))
uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False)
"""
NAME, ADDRESS, WORDS = "Ann Canary-Andersen", "ann.canary@example.org", "A poster with a canary for my aunt"


class Letters:
    """What the mail server has taken."""

    def __init__(self) -> None:
        self.taken: list[Any] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.taken.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 OK"

    def newest(self, subject: str) -> str:
        until(lambda: any(subject in letter["subject"] for letter in self.taken))
        letter = [letter for letter in self.taken if subject in letter["subject"]][-1]
        self.taken.remove(letter)
        return str(letter.get_body(("plain",)).get_content())


class Shop:
    """The demo's site with a real mail server, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.letters = Letters()
        self.mail_server = Controller(self.letters, hostname="127.0.0.1", port=free_port())
        self.mail_server.start()
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PRIVACY_BASE_URL": self.url,
            "PRIVACY_SMTP_URL": f"smtp://127.0.0.1:{self.mail_server.port}",
        }
        self.process = subprocess.Popen([sys.executable, "-c", APP, str(port)], cwd=folder, env=self.environment)
        until(lambda: answers(port))

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)
        self.mail_server.stop()

    def command(self, *arguments: str) -> str:
        environment = {**self.environment, "PRIVACY_POLICY": str(ROOT / "demo_app/privacy.toml")}
        command = [sys.executable, "-m", "privacy_middleware", *arguments]
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def link(self, subject: str) -> str:
        found = re.search(rf"{self.url}/privacy/requests/\S+", self.letters.newest(subject))
        assert found
        return found[0]

    def files(self) -> bytes:
        return b"".join(path.read_bytes() for path in sorted(self.folder.rglob("*")) if path.is_file())


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def spelled(text: str) -> list[bytes]:
    """How a text could stand in a file."""
    data = text.encode()
    inner = base64.b64encode(data)[2:-4]
    return [data, data.hex().encode(), inner, quopri.encodestring(data), text.encode("utf-16-le"), json.dumps(text).encode()]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    folder = tmp_path / "shop"
    folder.mkdir()
    shop = Shop(folder)
    try:
        yield shop
    finally:
        shop.stop()


@pytest.fixture(params=["light", "dark"])
def context(browser: Browser, request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    context = browser.new_context(color_scheme=request.param, viewport={"width": 320, "height": 640}, accept_downloads=True)
    yield context
    context.close()


@pytest.fixture
def scriptless(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 320, "height": 640}, java_script_enabled=False)
    yield context
    context.close()


def check(page: Page) -> None:
    """Each page of the way: nothing for axe, and nothing beside a narrow screen."""
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def ask(page: Page, shop: Shop, choice: str) -> None:
    page.goto(shop.url + "/privacy/requests/")
    page.get_by_role("radio", name=choice).check()
    page.get_by_label("Your e-mail address").fill(ADDRESS)
    page.get_by_role("button", name="Send").click()
    assert "Please look into your mailbox" in page.content()


def test_the_whole_way_from_asking_to_the_receipt_leaves_nothing(shop: Shop, context: BrowserContext) -> None:  # noqa: PLR0915 - one way
    page = context.new_page()
    page.goto(shop.url + "/contact")
    for label, text in (("Your name", NAME), ("e-mail", ADDRESS), ("printed", WORDS)):
        page.get_by_label(re.compile(label, re.IGNORECASE)).first.fill(text)
    page.get_by_role("button", name="Send").click()

    page.goto(shop.url + "/privacy/requests/")
    check(page)
    ask(page, shop, "See my data")
    check(page)
    page.goto(shop.link("confirm"))
    check(page)
    page.get_by_role("button", name="Show my data").click()
    check(page)
    overview = page.url
    page.get_by_role("button", name="Show my data here").click()
    check(page)
    assert WORDS in page.content()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download my data").click()
    package = shop.folder.parent / "package.zip"
    download.value.save_as(package)
    with zipfile.ZipFile(package) as archive:
        assert archive.testzip() is None
        assert WORDS in archive.read("data.json").decode()
        archive.extract("index.html", shop.folder.parent)
    page.goto(f"file://{shop.folder.parent}/index.html")
    check(page)
    assert WORDS in page.content()

    ask(page, shop, "Correct my data")
    page.goto(shop.link("confirm"))
    check(page)
    page.get_by_role("button", name="Go on to my data").click()
    check(page)
    page.get_by_role("button", name="Show my data").click()
    check(page)
    page.get_by_label("Your name").fill("Ann Canary")
    page.get_by_role("button", name="Send the corrections").click()
    check(page)
    listed = json.loads(shop.command("requests", "list", "--format", "json"))
    assert [one["kind"] for one in listed] == ["correction"]
    shown = shop.command("requests", "show", listed[0]["id"])
    assert f"old  {NAME}" in shown
    assert "new  Ann Canary" in shown
    shop.command("requests", "approve", listed[0]["id"])
    assert "We have corrected your data" in shop.letters.newest("Your data are corrected")
    page.goto(overview)
    page.get_by_role("button", name="Show my data here").click()
    assert "Ann Canary<" in page.content()

    ask(page, shop, "Erase my data")
    page.goto(shop.link("confirm"))
    check(page)
    assert "1 \u00d7 what you sent with \u201ccontact form\u201d" in page.content()
    page.get_by_role("button", name="Erase everything").click()
    check(page)
    assert "Your data are erased" in page.content()
    assert "Your data are erased, as you asked" in shop.letters.newest("Your data are erased")
    until(lambda: query("SELECT * FROM mail", shop.folder / "privacy.db") == [])
    page.goto(overview)
    check(page)
    assert "This link does not work" in page.content()

    needles = [needle for text in (NAME, ADDRESS, WORDS, "Ann Canary") for needle in spelled(text)]
    before, files = shop.files(), None
    assert [needle for needle in needles if needle in before] == []
    shop.process.terminate()
    shop.process.wait(20)
    with closing(sqlite3.connect(shop.folder / "privacy.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    files = shop.files()
    assert [needle for needle in needles if needle in files] == []
    assert shop.command("audit", "verify").endswith("\n")


@pytest.mark.parametrize("path", ["/privacy/my-browser", "/privacy/requests/sent", "/privacy/requests/status/x", "/privacy/"])
def test_the_other_pages_are_as_clean(shop: Shop, context: BrowserContext, path: str) -> None:
    page = context.new_page()
    page.goto(shop.url + "/")
    page.goto(shop.url + path)
    check(page)


def test_a_mistake_in_the_form_is_said_at_its_beginning(shop: Shop, context: BrowserContext) -> None:
    page = context.new_page()
    page.goto(shop.url + "/privacy/requests/?kind=complaint")
    page.get_by_label("Your e-mail address").fill(ADDRESS)
    page.get_by_role("button", name="Send").click()
    check(page)
    assert page.get_by_role("alert").inner_text() == "Please write your question or complaint."
    assert page.title().startswith("Error: ")
    assert page.get_by_label("Your e-mail address").input_value() == ADDRESS


def test_a_request_can_be_made_and_confirmed_by_keyboard_alone_and_without_javascript(shop: Shop, scriptless: BrowserContext) -> None:
    page = scriptless.new_page()
    page.goto(shop.url + "/privacy/requests/")
    page.get_by_role("radio", name="See my data").focus()
    for _ in range(2):
        page.keyboard.press("ArrowDown")
    assert page.get_by_role("radio", name="Erase my data").is_checked()
    page.keyboard.press("Tab")
    page.keyboard.type(ADDRESS)
    page.keyboard.press("Enter")
    page.goto(shop.link("confirm"))
    while page.evaluate("document.activeElement.innerText") != "Erase everything":
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_text("Your data are erased").wait_for()
