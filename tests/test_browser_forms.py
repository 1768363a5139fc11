"""Forms as a real browser sends them: the demo's three, and every awkward kind of field, split wherever a body can be split."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from privacy_middleware.collect.form import Copy, File, read_fields
from privacy_middleware.forms import Field, Form
from privacy_middleware.record import submissions
from privacy_middleware.vault import Vault

from .databases import make_store
from .serving import Server
from .test_browser import Demo, browser, context, demo, violations

__all__ = ["browser", "context", "demo"]  # the fixtures

AWKWARD = "Æblegrød & <b>“quotes”</b> 100 % + 1 = ☃ 🧁\ttab; a=b&c=d"
LINES = "first\nsecond\n\nlast"
SITE = '''
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.routing import Route

FIELDS = """
<input name="text"><textarea name="lines"></textarea><input type="hidden" name="hidden" value="not declared">
<input type="checkbox" name="many" value="one" checked><input type="checkbox" name="many" value="two" checked>
<input name='quote&quot;d'><input name="blåbær"><input name="empty"><select name="picked"><option>first<option selected>second</select>
<input type="file" name="upload"><input type="file" name="none"><input type="email" name="email"><button>Send</button>
"""


async def show(request):
    page = f"<!doctype html><meta charset={request.path_params['charset']}><form method=post enctype='{request.query_params['type']}'>{FIELDS}</form>"
    encoding = request.path_params["charset"]
    return HTMLResponse(page.encode(encoding), headers={"content-type": f"text/html; charset={encoding}"})


async def take(request):
    number = len(list(Path("bodies").iterdir()))
    body = await request.body()
    Path(f"bodies/{number}").write_bytes(request.headers["content-type"].encode() + b"\\n" + body)
    return RedirectResponse("/done", 303)


async def done(request):
    return HTMLResponse("<p>done")


Path("bodies").mkdir(exist_ok=True)
app = Starlette(routes=[Route("/done", done), Route("/{charset}", show), Route("/{charset}", take, methods=["POST"])])
'''
DECLARED = ("text", "lines", "many", 'quote"d', "blåbær", "empty", "picked", "upload", "none", "email")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "awkward_site.py").write_text(SITE)
    server = Server(["uvicorn", "awkward_site:app", "--port", "PORT", "--no-access-log"], tmp_path)
    try:
        server.wait_for_port()
        yield server
    finally:
        server.kill()


def fill(page: Page, folder: Path) -> None:
    page.fill("[name=text]", AWKWARD)
    page.fill("[name=lines]", LINES)
    page.fill("[name^=quote]", "q")
    page.fill("[name^=bl]", "blå")
    page.fill("[name=email]", "Ann@Example.org")
    (folder / "a file's “name”.pdf").write_bytes(b"%PDF\r\n--" + bytes(range(256)) * 8)
    page.set_input_files("[name=upload]", str(folder / "a file's “name”.pdf"))
    page.click("button")
    page.wait_for_url("**/done")


@pytest.mark.parametrize("charset", ["utf-8", "windows-1252"])
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data"])
def test_what_a_browser_sends_comes_out_as_it_was_entered_split_at_every_byte(
    site: Server, context: BrowserContext, kind: str, charset: str, tmp_path: Path
) -> None:
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{site.port}/{charset}?type={kind}")
    fill(page, tmp_path)
    content_type, _, body = (tmp_path / "bodies" / "0").read_bytes().partition(b"\n")
    form = Form(
        name="f", path="/", purpose="answer", retention_days=1, charset=charset, fields={name: Field(treatment="keep") for name in DECLARED}
    )
    expected: dict[str, list[Any]] = {
        "text": [AWKWARD], "lines": [LINES.replace("\n", "\r\n")], "many": ["one", "two"], 'quote"d': ["q"], "blåbær": ["blå"],
        "empty": [""], "picked": ["second"], "email": ["Ann@Example.org"],
    }  # fmt: skip
    if charset != "utf-8":  # what an old encoding lacks, browsers send as a character reference
        expected["text"] = [AWKWARD.replace("☃", "&#9731;").replace("🧁", "&#129473;")]
    if kind == "multipart/form-data":
        expected["upload"] = [File("application/pdf", 8 + 256 * 8)]
    else:
        expected |= {"upload": ["a file's “name”.pdf"], "none": [""]}  # a browser sends the name alone
    for split in range(len(body) + 1):
        copy = Copy(65_536)
        copy.add(body[:split], more=True)
        copy.add(body[split:], more=False)
        assert read_fields(form, content_type, copy.body()) == expected, split


def stored(database: Path) -> dict[str, list[dict[str, Any]]]:
    """Open everything that the demo has stored."""
    store = make_store(database)
    vault = Vault([database.with_suffix(".secret").read_text()])
    store.open()
    found: dict[str, list[dict[str, Any]]] = {}
    try:
        for one in submissions.find(store, first=0, last=2**31):
            found.setdefault(one.form, []).append(submissions.read(store, vault, one)[1])
    finally:
        store.close()
    return found


def send(page: Page, url: str, values: dict[str, str], choices: tuple[str, ...] = ()) -> None:
    page.goto(url)
    for name, value in values.items():
        page.fill(f"[name={name}]", value)
    for choice in choices:
        page.get_by_label(choice, exact=True).check()
    page.locator("main button").click()


def test_the_demos_forms_are_kept_as_its_statement_says(demo: Demo, context: BrowserContext) -> None:
    page = context.new_page()
    contact = {
        "name": "Ane Lund",
        "email": "ane@example.com",
        "message": "Eighty cards.\nCall +45 32 12 34 56, or pay by 4111 1111 1111 1111",
    }
    send(page, f"{demo.url}/contact", {**contact, "email": ""})
    assert "That did not work yet" in page.inner_text("main")
    send(page, f"{demo.url}/contact", contact)
    page.wait_for_url("**/contact/thanks")
    send(page, f"{demo.url}/newsletter", {"email": "ane@example.com"})
    page.wait_for_url("**/newsletter/thanks")
    comment = "Write to mette.skov@example.com about it."
    send(page, f"{demo.url}/questionnaire", {"comment": comment}, ("A friend", "25 to 39"))
    page.wait_for_url("**/questionnaire/thanks")
    demo.stop()
    assert stored(demo.database) == {
        "contact": [
            {"email": ["ane@example.com"], "message": ["Eighty cards.\r\nCall [telephone], or pay by [card number]"], "name": ["Ane Lund"]}
        ],
        "newsletter": [{"email": ["ane@example.com"]}],
        "questionnaire": [{"found": ["A friend"], "age": ["25 to 39"], "comment": ["Write to [e-mail] about it."]}],
    }
    assert {form["form"]: [form[step] for step in ("view", "sent", "invalid", "accepted", "abandoned")] for form in funnel(demo)} == {
        "contact": [2, 2, 1, 1, 1], "newsletter": [1, 1, 0, 1, 0], "questionnaire": [1, 1, 0, 1, 0],
    }  # fmt: skip


def funnel(demo: Demo) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "privacy_middleware", "forms", "--format", "json"]
    environment = {"PRIVACY_DATABASE_URL": f"sqlite:///{demo.database}", "PRIVACY_POLICY": "demo_app/privacy.toml", "PYTHONPATH": "."}
    root = Path(__file__).parents[1]
    return json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, cwd=root).stdout)


def test_of_a_browser_that_refuses_only_what_it_asks_for_is_kept(demo: Demo, context: BrowserContext) -> None:
    context.set_extra_http_headers({"Sec-GPC": "1"})
    page = context.new_page()
    send(page, f"{demo.url}/questionnaire", {"comment": "hello"}, ("A friend",))
    page.wait_for_url("**/questionnaire/thanks")
    assert stored(demo.database) == {}
    send(page, f"{demo.url}/newsletter", {"email": "ane@example.com"})
    page.wait_for_url("**/newsletter/thanks")
    demo.stop()
    assert stored(demo.database) == {"newsletter": [{"email": ["ane@example.com"]}]}


@pytest.mark.parametrize("path", ["/contact", "/newsletter", "/questionnaire"])
def test_the_demos_forms_are_accessible_and_lead_to_what_is_kept_of_them(demo: Demo, context: BrowserContext, path: str) -> None:
    page = context.new_page()
    page.goto(demo.url + path)
    page.get_by_role("link", name="privacy statement").click()
    assert page.url.endswith(f"/privacy/#form-{path[1:]}")
    assert page.locator(f"#form-{path[1:]} h2").is_visible()


def test_the_demos_form_pages_have_no_accessibility_fault(demo: Demo, browser: Any) -> None:
    context = browser.new_context(bypass_csp=True)
    page = context.new_page()
    for path in ("/contact", "/newsletter", "/questionnaire"):
        page.goto(demo.url + path)
        assert violations(page) == [], path
    context.close()
