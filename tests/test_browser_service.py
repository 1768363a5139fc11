"""Answers, newsletter, personalised content and recipients, as a person and as the owner: a real browser, server and mail server."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from .conftest import query
from .requesting import SECRET
from .serving import ROOT, Server, free_port
from .serving_people import POLICY, PRINTER
from .test_browser import browser, context
from .test_browser_owner import BY_LOOKS, violations
from .test_browser_requests import ask, link_in, mail_server
from .test_mail import MailServer
from .test_recorder import until

__all__ = ["browser", "context"]  # the fixtures

EMAIL = "anna.kanariefugl@example.org"
SITE = """
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.routing import Route

from privacy_middleware import PrivacyMiddleware

FIELDS = {"contact": ("email", "message"), "news": ("email", "name"), "poll": ("found", "comment")}


async def home(request):
    chosen = request.scope["privacy"].preferences
    topics = ", ".join(chosen["topics"]) if chosen else "everything"
    link = request.scope["privacy"].preferences_url
    return HTMLResponse(f'<!doctype html><html lang="en"><title>Home</title><h1>{topics}</h1><a href="{link}?back=/">Choose</a>')


async def show(request):
    name = request.url.path[1:]
    inputs = "".join(f'<label>{field} <input name="{field}"></label>' for field in FIELDS[name])
    return HTMLResponse(f'<!doctype html><html lang="en"><title>{name}</title><form method="post">{inputs}<button>Send</button></form>')


async def take(request):
    await request.body()
    return RedirectResponse("/thanks", 303)


async def thanks(request):
    return HTMLResponse("<!doctype html><p>Thank you")


forms = [route for name in FIELDS for route in (Route(f"/{name}", show), Route(f"/{name}", take, methods=["POST"]))]
app = PrivacyMiddleware(Starlette(routes=[Route("/", home), Route("/thanks", thanks), *forms]))
"""


class Served(Server):
    """The site, with a mail server."""

    def __init__(self, folder: Path, smtp_port: int, patch: pytest.MonkeyPatch) -> None:
        (folder / "people.py").write_text(SITE)
        self.folder = folder
        self.database = folder / "privacy.db"
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        settings = {
            "BASE_URL": self.url, "POLICY": POLICY + PRINTER, "SECRET_KEYS": SECRET, "DATABASE_URL": f"sqlite:///{self.database}",
            "SMTP_URL": f"smtp://127.0.0.1:{smtp_port}", "LIMITS": "address=100",
        }  # fmt: skip
        for name, value in settings.items():
            patch.setenv(f"PRIVACY_{name}", value)
        super().__init__(["uvicorn", "people:app", "--port", str(port), "--no-access-log"], folder)
        self.port = port

    def __enter__(self) -> Self:
        self.wait_for_port()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def run(self, *arguments: str) -> str:
        """Run a command as the owner does."""
        command = [sys.executable, "-m", "privacy_middleware", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, env=environment, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def sign_in(self, page: Page) -> None:
        link = re.search(r"http://\S+", self.run("login"))
        assert link
        page.goto(link[0])
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/owner/")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Served, MailServer]]:
    with mail_server() as mails, Served(tmp_path, mails.port, monkeypatch) as served:
        yield served, mails


def fill(page: Page, url: str, **values: str) -> None:
    page.goto(url)
    for name, value in values.items():
        page.get_by_label(name).fill(value)
    page.get_by_role("button", name="Send").click()
    page.wait_for_url("**/thanks")


def newest(mails: MailServer, number: int, to: str = EMAIL) -> tuple[Any, str]:
    """Wait for the mail of this number to somebody; returns it, and its text."""
    until(lambda: len([mail for mail in mails.inbox if mail.to == [to]]) >= number)
    mail = [mail for mail in mails.inbox if mail.to == [to]][number - 1].message
    return mail, str(mail.get_body(("plain",)).get_content())


def link(text: str) -> str:
    found = re.search(r"http://\S+/newsletter/\S+", text)
    assert found, text
    return found[0]


def looks_well(page: Page) -> None:
    """Accessible, in light and dark, on a desktop and on a phone."""
    for scheme, width in (("light", 1200), ("dark", 320)):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": 800})
        assert violations(page, *(BY_LOOKS if width == 320 else ())) == [], (page.url, scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, page.url


def test_a_newsletter_from_signing_up_to_leaving(browser: Browser, site: tuple[Served, MailServer]) -> None:
    served, mails = site
    context = browser.new_context(bypass_csp=True)
    page = context.new_page()
    fill(page, f"{served.url}/news", email=EMAIL, name="Anna")
    _, text = newest(mails, 1)
    page.goto(link(text))
    looks_well(page)
    page.get_by_role("button", name="Yes, send it to me").click()
    assert "You will get our newsletter" in page.get_by_role("status").inner_text()
    looks_well(page)
    (served.folder / "spring.md").write_text("# Spring\n\nThe canary *sings*.\n")
    assert "sent: 1; refused by the address: 0; doubtful: 0; left: 0" in served.run("newsletter", "send", "spring.md")
    mail, text = newest(mails, 2)
    assert mail["subject"] == "Spring"
    assert "<em>sings</em>" in mail.get_body(("html",)).get_content()
    assert mail["list-unsubscribe"] == f"<{link(text)}>"
    page.goto(link(text))
    page.get_by_role("button", name="Stop the newsletter").click()
    assert "You do not get our newsletter any more" in page.get_by_role("status").inner_text()
    looks_well(page)
    (served.folder / "summer.md").write_text("# Summer\n\nIt sings no more.\n")
    assert "sent: 0" in served.run("newsletter", "send", "summer.md")
    assert len([mail for mail in mails.inbox if mail.to == [EMAIL]]) == 2
    context.close()


def test_a_question_from_asking_to_closing(browser: Browser, site: tuple[Served, MailServer]) -> None:
    served, mails = site
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    fill(page, f"{served.url}/contact", email=EMAIL, message="Can canaries fly?")
    until(lambda: query("SELECT COUNT(*) AS n FROM submission", served.database)[0]["n"] == 1)
    owner = browser.new_context(java_script_enabled=False)
    desk = owner.new_page()
    served.sign_in(desk)
    desk.get_by_role("link", name="Questions", exact=True).click()
    desk.locator("tbody a").click()
    assert "Can canaries fly?" in desk.inner_text("main")
    desk.get_by_label("Your answer").fill("Some can.\n\nBerta")
    desk.get_by_role("button", name="Send and close").click()
    desk.get_by_role("heading", name="Our answer").wait_for()
    mail, text = newest(mails, 1)
    assert text.replace("\r", "").startswith("Some can.\n\nBerta")
    assert mail["reply-to"] == "owner@example.net"
    assert mail["auto-submitted"] is None
    desk.get_by_role("link", name="Questions", exact=True).click()
    assert "Nothing waits for an answer." in desk.inner_text("main")
    assert "half came within four hours" in desk.inner_text("main")
    owner.close()
    context.close()


def test_personalised_content_from_choosing_to_taking_it_back(browser: Browser, site: tuple[Served, MailServer]) -> None:
    served, _ = site
    context = browser.new_context(bypass_csp=True)
    page = context.new_page()
    page.goto(served.url)
    assert page.inner_text("h1") == "everything"
    page.get_by_role("link", name="Choose").click()
    looks_well(page)
    page.get_by_label("birds").check()
    page.get_by_role("button", name="I agree").click()
    page.wait_for_url(f"{served.url}/")
    assert page.inner_text("h1") == "birds"
    [cookie] = context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == ("privacy-preferences", True, "Lax")
    page.get_by_role("link", name="Choose").click()
    assert page.get_by_label("birds").is_checked()
    looks_well(page)
    page.get_by_role("button", name="Forget what I chose").click()
    assert "Forgotten" in page.get_by_role("status").inner_text()
    assert context.cookies() == []
    page.goto(served.url)
    assert page.inner_text("h1") == "everything"
    page.get_by_role("link", name="Choose").click()
    page.get_by_label("cats").check()
    page.get_by_role("button", name="I agree").click()
    page.wait_for_url(f"{served.url}/")
    page.goto(f"{served.url}/privacy/opt-out")
    page.get_by_role("button", name="Do not record my visits").click()
    assert [cookie["name"] for cookie in context.cookies()] == ["privacy-choice"]
    page.goto(served.url)
    assert page.inner_text("h1") == "everything"
    page.get_by_role("link", name="Choose").click()
    assert "You refuse to be recorded" in page.inner_text("main")
    looks_well(page)
    assert query("SELECT COUNT(*) AS n FROM consent", served.database)[0]["n"] == 0
    context.close()


def test_a_recipient_from_giving_to_erasure(browser: Browser, site: tuple[Served, MailServer], context: BrowserContext) -> None:
    served, mails = site
    page = context.new_page()
    fill(page, f"{served.url}/contact", email=EMAIL, message="Forty posters, please.")
    until(lambda: query("SELECT COUNT(*) AS n FROM submission", served.database)[0]["n"] == 1)
    assert "of one person" in served.run("disclose", "printer-ltd", "--purpose", "answer", "--output", "printer.csv")
    entry = (served.folder / "printer.csv").read_text().splitlines()[1].split(",")[0].strip('"')
    page.goto(f"{served.url}/privacy/requests/")
    ask_as(page, served.url, "See my data")
    page.goto(link_in(newest(mails, 1)[1]))
    page.get_by_role("button", name="Show my data").click()
    page.get_by_role("button", name="Show my data here").click()
    shown = page.inner_text("main")
    assert "Who got data of you from us" in shown
    assert "Printer Ltd" in shown
    ask_as(page, served.url, "Erase my data")
    page.goto(link_in(newest(mails, 3)[1]))
    page.get_by_role("button", name="Erase everything").click()
    _, text = newest(mails, 4)
    assert "We also tell those who got data from us: Printer Ltd." in text
    _, text = newest(mails, 1, "owner@example.net")
    assert entry in text
    assert EMAIL not in text
    desk = context.new_page()
    served.sign_in(desk)
    desk.get_by_role("link", name="Recipients", exact=True).click()
    assert entry in desk.inner_text("main")
    desk.get_by_label("How you know that they know").fill("their mail of today")
    desk.get_by_role("button", name="Note that they know").click()
    desk.get_by_text("their mail of today").wait_for()


def ask_as(page: Page, url: str, kind: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.test_browser_requests.EMAIL", EMAIL)
        ask(page, url, kind)


def test_a_questionnaire_from_answering_to_the_numbers(browser: Browser, site: tuple[Served, MailServer], context: BrowserContext) -> None:
    served, _ = site
    page = context.new_page()
    for number in range(4):
        fill(page, f"{served.url}/poll", found="friend", comment=f"Comment {number}, write to otto@example.org")
    until(lambda: query("SELECT COUNT(*) AS n FROM submission", served.database)[0]["n"] == 4)
    served.sign_in(page)
    page.get_by_role("link", name="Questionnaires", exact=True).click()
    shown = page.inner_text("main")
    assert "Answers of at least 3 people." in shown
    assert "Comment 3, write to [e-mail]" in shown
    assert "otto@" not in shown
