"""Every page that anybody may read, in each language: valid HTML, accessible, within the screen, and fit to print."""

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import html5lib
import pytest
from playwright.sync_api import Browser, Page

from privacy_middleware.language import OURS

from .test_browser import Demo, browser, violations

__all__ = ["browser"]
PATHS = (
    "/privacy/", "/privacy/opt-out", "/privacy/my-browser", "/privacy/requests/", "/privacy/statement/changes",
    "/privacy/statement/changes/2", "/privacy/statement/1", "/privacy/nowhere",
)  # fmt: skip
FOLDER = os.environ.get("SCREENSHOTS")
CHANGED = {"PRIVACY_RETENTION_DAYS": "60"}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The demo with two versions of its statement."""
    folder = tmp_path_factory.mktemp("languages")
    Demo(folder).stop()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CHANGED.items():
            patch.setenv(name, value)
        demo = Demo(folder)
    try:
        yield demo
    finally:
        demo.process.kill()
        demo.process.wait()


def shot(page: Page, name: str) -> None:
    if FOLDER:
        page.screenshot(path=f"{FOLDER}/{name}.png", full_page=True)


@pytest.mark.parametrize("code", OURS)
def test_every_page_is_valid_accessible_and_fits_the_screen_in_each_language(demo: Demo, browser: Browser, code: str) -> None:
    context = browser.new_context(bypass_csp=True, locale=code, service_workers="block")
    page = context.new_page()
    for path in PATHS:
        response = page.goto(demo.url + path)
        assert response is not None
        html5lib.HTMLParser(strict=True).parse(response.text())
        assert page.evaluate("document.documentElement.lang") == code, path
        for scheme, width in (("light", 1200), ("dark", 320)):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.set_viewport_size({"width": width, "height": 800})
            assert violations(page) == [], (path, scheme, width)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)
            shot(page, f"{code}-{path.strip('/').replace('/', '-')}-{scheme}-{width}")
    context.close()


@pytest.mark.parametrize("code", OURS)
def test_the_links_of_the_page_keep_the_language_that_was_chosen(demo: Demo, browser: Browser, code: str) -> None:
    context = browser.new_context(locale="nl")
    page = context.new_page()
    page.goto(demo.url + "/privacy/")
    assert page.evaluate("document.documentElement.lang") == "en"
    page.locator(f'footer a[hreflang="{code}"]').click() if code != "en" else None
    page.locator('a[href*="opt-out"]').first.click()
    assert page.evaluate("document.documentElement.lang") == code
    page.get_by_role("button").first.click()
    page.get_by_role("status").wait_for()
    assert page.evaluate("document.documentElement.lang") == code
    assert [cookie["name"] for cookie in context.cookies()] == ["privacy-choice"]
    context.close()


def test_the_statement_prints_whole_in_black_on_white_with_its_addresses(demo: Demo, browser: Browser, tmp_path: Path) -> None:
    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    page.goto(demo.url + "/privacy/")
    page.emulate_media(media="print", color_scheme="dark")
    colours: dict[str, str] = page.evaluate(
        "(() => { const body = getComputedStyle(document.body); return {text: body.color, back: body.backgroundColor}; })()"
    )
    assert brightness(colours["text"]) < 60
    assert "255, 255, 255" in colours["back"] or colours["back"] == "rgba(0, 0, 0, 0)"
    assert not page.locator("nav.contents").is_visible()
    assert page.locator("section#data").is_visible()
    printed = page.pdf(format="A4")
    assert printed.startswith(b"%PDF")
    if FOLDER:
        Path(FOLDER, "print.pdf").write_bytes(printed)
        shot(page, "print")
    context.close()


def brightness(colour: str) -> float:
    return sum(float(part) for part in re.findall(r"[\d.]+", colour)[:3]) / 3


def test_the_mails_to_a_person_are_in_the_language_of_their_request(demo: Demo, browser: Browser) -> None:
    context = browser.new_context(locale="da")
    page = context.new_page()
    page.goto(demo.url + "/privacy/requests/")
    page.locator('input[type="email"]').fill("anna@example.org")
    page.locator("main button").first.click()
    with closing(sqlite3.connect(demo.database)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM request").fetchone()[0] == 1
    wait_for_danish(page, demo)
    context.close()


def wait_for_danish(page: Page, demo: Demo) -> None:
    said: Any = ""
    for _ in range(50):
        page.goto(demo.url + "/mails")
        said = page.inner_text("main")
        if "Bekræft" in said or "bekræft" in said:
            return
        page.wait_for_timeout(200)
    pytest.fail(f"no Danish mail: {said}")
