"""The owner's pages as an owner meets them: a real browser and a real server, in light and dark, on a desktop and on a phone."""

import csv
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page

from privacy_middleware.collect.agent import Agent
from privacy_middleware.collect.hit import Hit
from privacy_middleware.collect.source import DIRECT, Source

from .conftest import query
from .requesting import SECRET
from .serving import ROOT, Server, free_port
from .test_browser import browser, context
from .test_browser_requests import SITE
from .test_owner_pages import HASH, HOSTILE, PASSWORD, SPAN, WHOLE, Site, ago, fill, hit, hostile_hits, make_site, signed_in, token
from .test_recorder import until

__all__ = ["browser", "context"]  # the fixtures

PAGES = {
    "/": 60,
    "/prices": 34,
    "/contact": 21,
    "/work/canary-cages": 18,
    "/work/a-long-name-of-a-page-that-tells-all-about-its-content": 9,
    "/about": 7,
}
SOURCES = (
    DIRECT,
    Source("search", "google.com/"),
    Source("referral", "example.net/links"),
    Source("social", "linkedin.com/"),
    Source("ai-assistant", "chatgpt.com/"),
)
AGENTS = (
    Agent("Firefox", "Linux", "desktop", ""), Agent("Mobile Safari", "iOS", "mobile", ""), Agent("Chrome", "Windows", "desktop", ""),
    Agent("Chrome Mobile", "Android", "mobile", ""), Agent("Safari", "Mac OS X", "tablet", ""),
)  # fmt: skip
COUNTRIES = ("DK", "DE", "SE", "US", "GB", "FR", "PL", "DK", "DK", "DE")
POLICY = WHOLE.replace("/canary-page", "/prices").replace("canary goal", "saw the prices").replace("canary funnel", "asked for a price")
DESK = ("questions", "requests", "submissions", "questionnaires", "newsletter", "recipients", "statement", "audit", "state")


def visits() -> Iterator[Hit]:
    """Ninety days of a site that people like: more of them on working days, and now."""
    for back in range(2, 92):
        on = ago(back)
        for number in range(14 if on.weekday() < 5 else 6):
            visitor = back * 1000 + number
            about: dict[str, Any] = {
                "source": SOURCES[number % 5], "agent": AGENTS[(number + back) % 5], "country": COUNTRIES[number % 10], "language": ("da-DK", "en-GB", "de")[number % 3],
                "campaign": "spring letter" if number % 4 == 0 else "",
            }  # fmt: skip
            for place, page in enumerate(list(PAGES)[: 1 + (number + back) % 6]):
                yield hit(on, visitor, page, hour=8 + number * 0.7 + place / 60, **about)
            if number % 3 == 0:
                yield hit(
                    on,
                    visitor,
                    "/files/price-list.pdf",
                    kind="download",
                    hour=8.3 + number * 0.7,
                    sent=1_200_000,
                    aborted=number % 2,
                    **about,
                )
        for kind in ("search", "ai-training", "monitoring"):
            yield from (hit(on, 10**9 + number, "/", agent=Agent("", "", "", kind), sent=9000) for number in range(5))
    now = datetime.now(UTC) - timedelta(minutes=2)
    for number in range(7):
        yield hit(now.date(), number, list(PAGES)[number % 2], hour=now.hour + now.minute / 60, agent=AGENTS[number % 5])


class Served:
    """A server with figures, requests and submissions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "privacy.db"
        (folder / "asked.py").write_text(SITE)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.settings = {
            "base_url": self.url, "policy": POLICY, "secret_keys": SECRET, "database_url": f"sqlite:///{self.database}", "retention_days": "60",
            "owner_password_hash": HASH,
        }  # fmt: skip
        self.site = make_site(**self.settings)
        fill(self.site, visits())
        self.site.send_form("berta@example.org", "Could you print a yellow canary, please?", wish="A cage.", number="two")
        until(lambda: len(query("SELECT id FROM submission", self.database)) == 1)
        self.site.confirmed("complaint", "anna@example.org", text="Why does the canary sing?")
        self.site.confirmed("restriction", "otto@example.org")
        self.site.settle()
        self.site.privacy.recorder.close()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            self.server = Server(["uvicorn", "asked:app", "--port", str(port), "--no-access-log"], folder)
        self.server.port = port
        self.server.wait_for_port()

    @property
    def environment(self) -> dict[str, str]:
        return {f"PRIVACY_{name.upper()}": value for name, value in self.settings.items()}

    def id_of(self, table: str) -> str:
        return str(query(f"SELECT lower(hex(id)) AS id FROM {table} ORDER BY id", self.database)[0]["id"])

    def login(self, *arguments: str) -> str:
        """Return the link that the command prints."""
        environment = {**os.environ, **self.environment, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "privacy_middleware", "login", *arguments]
        printed = subprocess.run(command, env=environment, cwd=self.folder, check=True, capture_output=True, text=True).stdout
        found = re.search(r"http://\S+/owner/sign-in/\S+", printed)
        assert found, printed
        return found[0]

    def sign_in(self, page: Page, role: Any = "officer") -> None:
        page.goto(f"{self.url}/privacy/owner/sign-in/{token(self.site, role)}")
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/owner/")
        page.get_by_role("heading", name="Figures", exact=True).wait_for()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("owner"))
    yield served
    served.server.kill()


BY_LOOKS = ("color-contrast", "scrollable-region-focusable", "target-size", "link-in-text-block")
"""The rules whose outcome depends on colours and the width of the screen."""


def violations(page: Page, *rules: str) -> list[Any]:
    """What axe finds; of what it does not complain of, it need not tell."""
    options = {"resultTypes": ["violations"]} | ({"runOnly": list(rules)} if rules else {})
    found = Axe().run(page, options=options).response["violations"]
    return [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in found]


def every_page(page: Page, served: Served) -> Iterator[str]:
    """Go to each page in turn; yields what it is."""
    owner = f"{served.url}/privacy/owner"

    def go(place: str) -> None:
        page.goto(f"{owner}/{place}")

    go("")
    yield "not-signed-in"
    go(f"sign-in/{'x' * 43}")
    yield "link-used"
    go("sign-in")
    page.get_by_label("Password").fill("not it")
    page.get_by_role("button", name="Sign in").click()
    yield "sign-in-wrong"
    go(f"sign-in/{token(served.site)}")
    yield "link"
    page.get_by_role("button", name="Sign in").click()
    yield "dashboard"
    page.get_by_text("The same as a table").click()
    yield "dashboard-table"
    filtered = "?period=30d&by=country&value=DK"
    for name, place in {
        "today": "?period=today", "year": "?period=12m", "filtered": filtered, "no-week": "?period=today&by=country&value=DK",
        "no-visits": "?from=2000-01-01&to=2000-01-02", "faulty": "?from=2026-02-30", "panel": "figures/page", "panel-country": "figures/country",
        "panel-hour": "figures/hour", "panel-filtered": f"figures/page{filtered}", "now": "now", "downloads": "downloads", "forms": "forms",
        "goals": "goals", "bots": "bots", "not-found": "nowhere", **{name: name for name in DESK},
        "request": f"requests/{served.id_of('request')}", "submission": f"submissions/{served.id_of('submission')}",
    }.items():  # fmt: skip
        go(place)
        yield name
    open_request = query("SELECT lower(hex(id)) AS id FROM request WHERE state = 'in_review'", served.database)[0]["id"]
    go(f"requests/{open_request}")
    page.get_by_role("button", name="Refuse").click()
    yield "request-fault"
    page.context.clear_cookies()
    served.sign_in(page, "viewer")
    yield "viewer"
    go("audit")
    yield "forbidden"


def test_every_page_is_accessible_and_fits_the_screen(browser: Browser, served: Served) -> None:
    context = browser.new_context(bypass_csp=True)
    page = context.new_page()
    folder = os.environ.get("SCREENSHOTS")
    for name in every_page(page, served):
        for scheme, width in (("light", 1200), ("dark", 320)):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.set_viewport_size({"width": width, "height": 800})
            assert violations(page, *(BY_LOOKS if width == 320 else ())) == [], (name, scheme, width)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
            if folder:
                page.screenshot(path=f"{folder}/{name}-{scheme}-{width}.png", full_page=True)
    context.close()


@pytest.mark.parametrize(("scheme", "width"), [("light", 320), ("dark", 1200), ("light", 768), ("dark", 320)])
def test_the_dashboard_is_accessible_in_light_and_dark_on_every_screen(browser: Browser, served: Served, scheme: Any, width: int) -> None:
    context = browser.new_context(bypass_csp=True, color_scheme=scheme, viewport={"width": width, "height": 800})
    page = context.new_page()
    served.sign_in(page)
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=f"{folder}/dashboard-{scheme}-{width}.png", full_page=True)
    context.close()


def test_no_page_breaks_a_rule_of_its_own_policy_or_needs_anything_from_elsewhere(context: BrowserContext, served: Served) -> None:
    page = context.new_page()
    complaints: list[str] = []
    addresses: set[str] = set()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("request", lambda request: addresses.add(request.url.partition("/privacy")[0]))
    for _ in every_page(page, served):
        pass
    assert [text for text in complaints if "status of 4" not in text] == []
    assert addresses == {served.url}


def test_an_owner_signs_in_reads_filters_exports_and_signs_out(context: BrowserContext, served: Served, tmp_path: Path) -> None:
    page = context.new_page()
    link = served.login()
    page.goto(link)
    page.reload()
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/privacy/owner/")
    pages = page.get_by_role("region", name="Pages", exact=True)
    assert "/prices" in pages.inner_text()
    page.get_by_role("link", name="12 months").click()
    page.get_by_role("link", name="30 days").click()
    page.get_by_label("From").fill(SPAN["from"])
    page.get_by_label("to", exact=True).fill(SPAN["to"])
    page.get_by_role("button", name="Show").click()
    page.wait_for_url(f"**/?from={SPAN['from']}&to={SPAN['to']}")
    page.get_by_role("region", name="Countries").get_by_role("link", name="Germany").click()
    page.get_by_text("Only visits with Countries: Germany").wait_for()
    with page.expect_download() as download:
        page.get_by_role("link", name=re.compile(r"^CSV\W+Pages$")).click()
    download.value.save_as(tmp_path / "pages.csv")
    with (tmp_path / "pages.csv").open(newline="") as file:
        rows = {row["value"]: int(row["visitors"]) for row in csv.DictReader(file)}
    shown = pages.locator("tbody tr").all_inner_texts()
    assert len(rows) == len(shown) > 3
    for text in shown:
        name, _, visitors = text.split()
        assert rows[name] == int(visitors)
    page.get_by_role("link", name="Show all visits").click()
    page.get_by_role("link", name="State", exact=True).click()
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.wait_for_url("**/owner/sign-in")
    page.goto(f"{served.url}/privacy/owner/")
    assert page.get_by_role("heading").inner_text() == "Sign in"
    page.goto(link)
    assert "used already" in page.inner_text("main")
    page.go_back()
    assert "/prices" not in page.inner_text("main")


def test_an_officer_decides_a_request_and_notes_an_answer(context: BrowserContext, served: Served) -> None:
    page = context.new_page()
    served.sign_in(page)
    page.get_by_role("link", name="Requests").click()
    page.get_by_role("link", name="Restriction").click()
    page.get_by_role("button", name="End it").click()
    page.get_by_role("button", name="End it").wait_for(state="detached")
    page.get_by_role("link", name="Submissions").click()
    page.locator("tbody a").first.click()
    assert "yellow canary" in page.inner_text("main")
    page.get_by_role("button", name="Note as answered").click()
    page.get_by_role("button", name="Note as answered").wait_for(state="detached")
    page.get_by_role("link", name="Audit").click()
    assert "none was changed" in page.inner_text("main")


def test_all_of_it_works_without_javascript(browser: Browser, served: Served) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{served.url}/privacy/owner/sign-in")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("The same as a table").click()
    assert page.locator("figure table tbody tr").first.is_visible()
    page.get_by_role("region", name="Devices").get_by_role("link", name="mobile").click()
    page.get_by_text("Only visits with Devices: mobile").wait_for()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Password").wait_for()
    context.close()


def test_signing_in_and_out_works_over_plain_http_where_browsers_tell_less(context: BrowserContext, served: Served) -> None:
    page = context.new_page()
    elsewhere = served.url.replace("127.0.0.1", "owner.example")
    page.goto(f"{elsewhere}/privacy/owner/sign-in")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Figures", exact=True).wait_for()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/owner/sign-in")
    page.goto(f"{elsewhere}/privacy/owner/sign-in/{token(served.site)}")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Figures", exact=True).wait_for()


def test_the_figures_can_be_reached_and_filtered_by_keyboard(context: BrowserContext, served: Served) -> None:
    page = context.new_page()
    served.sign_in(page)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.innerText") == "/prices":
            break
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.get_by_text("Only visits with Pages: /prices").wait_for()


def test_no_visitor_runs_anything_in_the_owners_browser(browser: Browser, tmp_path: Path) -> None:
    site = make_site(database_url=f"sqlite:///{tmp_path / 'attacked.db'}")
    fill(site, hostile_hits())
    context = browser.new_context()
    page = context.new_page()
    ran: list[str] = []
    page.on("dialog", lambda dialog: (ran.append(dialog.message), dialog.dismiss()))
    page.on("console", lambda message: ran.append(message.text) if "status of 400" not in message.text else None)
    officer = signed_in(site)

    def answer(route: Any) -> None:
        """Let the app itself answer what the browser asks for."""
        path = route.request.url.removeprefix("https://www.example.org")
        if not path.startswith("/privacy/"):
            ran.append(route.request.url)
        response = officer.get(path)
        route.fulfill(status=response.status_code, headers=dict(response.headers), body=response.content)

    page.route("**/*", answer)
    for place in (
        "",
        "figures/page",
        "figures/country",
        "downloads",
        "bots",
        "now",
        f"?by=campaign&value={quote(HOSTILE[0])}",
        f"?from={quote(HOSTILE[1])}",
    ):
        page.goto(f"https://www.example.org/privacy/owner/{place}")
        assert page.locator("main script, main img, main iframe, main [onerror], main [onload], main [onmouseover]").count() == 0
    page.goto("https://www.example.org/privacy/owner/figures/page")
    for link in page.locator("main a").all():
        assert str(link.get_attribute("href")).startswith("/privacy/owner/")
    assert HOSTILE[0] in page.inner_text("main")
    assert ran == []
    context.close()


def test_an_owner_without_visits_sees_what_to_do_next(browser: Browser, tmp_path: Path) -> None:
    site = Site(database_url=f"sqlite:///{tmp_path / 'empty.db'}", policy=WHOLE)
    officer = signed_in(site)
    context = browser.new_context(bypass_csp=True)
    page = context.new_page()

    def answer(route: Any) -> None:
        response = officer.get(route.request.url.removeprefix("https://www.example.org"))
        route.fulfill(status=response.status_code, headers=dict(response.headers), body=response.content)

    page.route("**/*", answer)
    for place in ("", "now", "downloads", "forms", "goals", "bots", "requests", "submissions", "audit", "figures/page"):
        page.goto(f"https://www.example.org/privacy/owner/{place}")
        for scheme, width in (("light", 1200), ("dark", 320)):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (place, width)
            if not place:
                assert violations(page) == []
            if folder := os.environ.get("SCREENSHOTS"):
                page.screenshot(path=f"{folder}/empty-{place.replace('/', '-') or 'dashboard'}-{scheme}-{width}.png", full_page=True)
    context.close()
