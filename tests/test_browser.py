"""The demo app under a real browser: visits are counted, refusals honoured, and the pages are accessible."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from .conftest import hits

ROOT = Path(__file__).parents[1]
CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--host-resolver-rules=MAP *.example 127.0.0.1",  # names that are not localhost
    "--disable-features=HttpsUpgrades,LocalNetworkAccessChecks",
]
# Headless Chromium names itself so, and is rightly taken for a bot; a person's does not.
PERSON = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
OUR_PAGES = ["/privacy/", "/privacy/opt-out", "/privacy/nowhere"]

if not Path(CHROMIUM).exists():
    if os.environ.get("CI"):
        pytest.fail("Chromium is missing: tests/run installs it by apt", pytrace=False)
    pytest.skip("Chromium is missing: install it by `apt-get install chromium`", allow_module_level=True)


class Demo:
    """The running demo: its address, its database, and the end of it."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.database = folder / "privacy.db"
        command = [sys.executable, "-m", "demo_app", "--port", str(port), "--folder", str(folder)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PRIVACY_DATABASE_URL": f"sqlite:///{self.database}"}
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(100):
            try:
                urllib.request.urlopen(self.url + "/health").close()
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise RuntimeError("the demo does not answer")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    demo = Demo(tmp_path)
    try:
        yield demo
    finally:
        demo.process.kill()
        demo.process.wait()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(locale="en-GB", user_agent=PERSON)
    yield context
    context.close()


def violations(page: Page) -> list[Any]:
    return [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in Axe().run(page).response["violations"]]


def stats(database: Path, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "privacy_middleware", "stats", "--format", "json", *arguments]
    environment = {**os.environ, "PRIVACY_DATABASE_URL": f"sqlite:///{database}", "PRIVACY_SUPPRESS_BELOW": "1"}
    return json.loads(subprocess.run(command, env=environment, check=True, capture_output=True).stdout)


def test_a_visit_is_counted_to_the_unit(demo: Demo, context: BrowserContext) -> None:
    page = context.new_page()
    for path in ("/", "/prices", "/", "/contact"):
        page.goto(demo.url + path)
    context.new_page().goto(demo.url + "/work?utm_source=letter&secret=1")
    page.goto(demo.url + "/nowhere-at-all")
    with page.expect_download() as download:
        page.evaluate("location.href = '/downloads/price-list.pdf'")
    assert download.value.failure() is None
    demo.stop()

    figures = stats(demo.database, "--by", "page")
    pages = {row["value"]: row["page_views"] for row in figures["rows"]}
    assert pages == {"/": 2, "/prices": 1, "/contact": 1, "/work": 1}
    assert (figures["visitors"], figures["visits"], figures["page_views"], figures["downloads"]) == (1, 1, 5, 1)
    brute = hits(demo.database)
    assert sum(hit["kind"] == 0 for hit in brute) == 5
    assert {(hit["browser"], hit["os"], hit["device"], hit["bot"]) for hit in brute} == {("Chrome", "Linux", "desktop", "")}
    assert [hit["campaign_value"] for hit in brute if hit["campaign_value"]] == ["utm_source=letter"]
    assert {hit["language_value"] for hit in brute} == {"en-GB"}


def test_opting_out_by_the_button_without_javascript_deletes_and_stops(demo: Demo, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(demo.url + "/")
    page.get_by_role("link", name=re.compile("do not record", re.IGNORECASE)).click()
    page.get_by_role("button", name="Do not record my visits").click()
    assert "has been deleted" in page.get_by_role("status").inner_text()
    page.goto(demo.url + "/prices")
    assert [cookie["name"] for cookie in context.cookies()] == ["privacy-choice"]
    page.goto(demo.url + "/privacy/opt-out")
    page.get_by_role("button", name="Allow my visits to be recorded").click()
    page.goto(demo.url + "/work")
    context.close()
    demo.stop()
    assert [hit["path"] for hit in hits(demo.database) if hit["kind"] == 0] == ["/work"]


def test_opting_out_works_over_plain_http_under_any_name(demo: Demo, context: BrowserContext) -> None:
    """Browsers send Sec-Fetch-Site to https and localhost only; elsewhere it is the Origin that counts."""
    page = context.new_page()
    page.goto(demo.url.replace("127.0.0.1", "www.shop.example") + "/privacy/opt-out")
    page.get_by_role("button", name="Do not record my visits").click()
    assert "not recorded any more" in page.get_by_role("status").inner_text()


def test_in_a_frame_of_another_site_the_choice_is_kept_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, context: BrowserContext
) -> None:
    """Browsers keep no cookie for such a frame: the answer opens in the whole window."""
    monkeypatch.setenv("PRIVACY_FRAME_ANCESTORS", "http://www.other.example")
    demo = Demo(tmp_path)
    try:
        framed = demo.url.replace("127.0.0.1", "www.shop.example") + "/privacy/opt-out"
        page = context.new_page()
        outer = f'<iframe src="{framed}" width="600" height="400"></iframe>'
        page.route("http://www.other.example/", lambda route: route.fulfill(body=outer, content_type="text/html"))
        page.goto("http://www.other.example/")
        page.frame_locator("iframe").get_by_role("button", name="Do not record my visits").click()
        page.wait_for_url(framed)
        assert "not recorded any more" in page.get_by_role("status").inner_text()
        assert [(cookie["name"], cookie["value"]) for cookie in context.cookies()] == [("privacy-choice", context.cookies()[0]["value"])]
        assert re.fullmatch(r"refuse\.[0-9a-f]{8}", context.cookies()[0]["value"])
    finally:
        demo.process.kill()
        demo.process.wait()


def test_a_browser_with_gpc_is_not_recorded_and_is_told_so(demo: Demo, browser: Browser) -> None:
    context = browser.new_context(extra_http_headers={"Sec-GPC": "1"})
    page = context.new_page()
    page.goto(demo.url + "/")
    page.goto(demo.url + "/privacy/opt-out")
    assert "Global Privacy Control" in page.inner_text("main")
    assert context.cookies() == []
    context.close()
    demo.stop()
    assert not demo.database.exists() or hits(demo.database) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 320])
def test_our_pages_are_accessible_and_fit_the_screen(demo: Demo, browser: Browser, scheme: Any, width: int) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800}, bypass_csp=True)
    page = context.new_page()
    folder = os.environ.get("SCREENSHOTS")
    for path in OUR_PAGES:
        page.goto(demo.url + path)
        assert violations(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        if folder:
            page.screenshot(path=f"{folder}/{path.strip('/').replace('/', '-')}-{scheme}-{width}.png", full_page=True)
    context.close()


def test_our_pages_break_no_rule_of_their_own_policy(demo: Demo, context: BrowserContext) -> None:
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    for path in OUR_PAGES:
        page.goto(demo.url + path)
    assert [complaint for complaint in complaints if "404" not in complaint] == []


def test_the_choice_can_be_made_by_keyboard(demo: Demo, context: BrowserContext) -> None:
    page = context.new_page()
    page.goto(demo.url + "/privacy/opt-out")
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "BUTTON":
            break
    page.keyboard.press("Enter")
    page.get_by_role("status").wait_for()
    [cookie] = context.cookies()
    assert re.fullmatch(r"refuse\.[0-9a-f]{8}", cookie["value"])
