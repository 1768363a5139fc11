"""Personalised content: only after opt-in, by a signed cookie without data, and gone at once when somebody says so."""

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from privacy_middleware import PrivacyMiddleware, PrivacyWSGIMiddleware
from privacy_middleware.adapter import UNDECIDED
from privacy_middleware.collect.choice import preferences_cookie
from privacy_middleware.privacy import visitor_privacy

from .conftest import query
from .databases import contents, write_lock
from .requesting import SECRET, amount
from .serving_people import POLICY
from .test_recorder import Clock

COOKIE = "privacy-preferences"
PLACE = "/privacy/my-preferences"
CHOICE = {"topics": ["cats", "birds"], "size": ["small"]}
REFUSALS: list[dict[str, str]] = [{"sec-gpc": "1"}, {"dnt": "1"}, {"cookie": "privacy-choice=refuse"}]


async def shown(request: Request) -> JSONResponse:
    """What a host's page finds."""
    return JSONResponse(request.scope["privacy"].preferences)


class Visitor:
    """A site, and one browser at it."""

    def __init__(self, **more: Any) -> None:
        settings = {"policy": POLICY, "secret_keys": SECRET, "base_url": "http://testserver", **more}
        self.app = PrivacyMiddleware(Starlette(routes=[Route("/", shown)]), **settings)
        self.browser = TestClient(self.app)

    def choose(self, *, action: str = "save", **more: Any) -> Any:
        return self.browser.post(PLACE, data={**CHOICE, "action": action, **more}, headers={"origin": "http://testserver"})

    def sees(self, **headers: str) -> Any:
        return self.browser.get("/", headers=headers).json()


@pytest.fixture
def visitor() -> Iterator[Visitor]:
    visitor = Visitor()
    with visitor.browser:
        yield visitor


# --- opting in -------------------------------------------------------------------------------------------------------------


def test_without_a_choice_there_are_no_preferences_and_no_cookie(visitor: Visitor) -> None:
    response = visitor.browser.get(PLACE)
    assert response.status_code == 200
    assert "set-cookie" not in response.headers
    assert visitor.sees() is None
    assert amount("consent") == 0


def test_what_was_chosen_is_offered_to_the_host(visitor: Visitor) -> None:
    assert visitor.choose().status_code == 200
    assert visitor.sees() == {"topics": ["cats", "birds"], "size": ["small"]}


def test_the_cookie_is_signed_and_holds_no_data(visitor: Visitor) -> None:
    header = visitor.choose().headers["set-cookie"]
    assert re.fullmatch(rf"{COOKIE}=[\w-]{{32}}\.[\w-]{{43}}; Max-Age=5184000; Path=/; SameSite=Lax; HttpOnly", header)
    value = visitor.browser.cookies[COOKIE]
    assert value.partition(".")[0].encode() not in contents()
    assert not [row for row in query("SELECT value FROM field") if b"cats" in row["value"]]


def test_over_https_only_the_hosts_own_cookie_counts() -> None:
    with TestClient(Visitor().app, base_url="https://testserver") as browser:
        response = browser.post(PLACE, data={**CHOICE, "action": "save"}, headers={"origin": "https://testserver"})
        assert response.headers["set-cookie"].startswith(f"__Host-{COOKIE}=")
        assert response.headers["set-cookie"].endswith("; Secure")
        assert browser.get("/").json() == CHOICE
        value = browser.cookies[f"__Host-{COOKIE}"]
        browser.cookies.clear()
        assert browser.get("/", headers={"cookie": f"{COOKIE}={value}"}).json() is None


@pytest.mark.parametrize("change", [lambda v: v[:-1] + ("A" if v[-1] != "A" else "B"), lambda v: v.partition(".")[0], lambda v: "x" + v, lambda _: "", lambda _: "é", lambda _: "." * 9000])  # fmt: skip
def test_a_cookie_that_is_not_ours_counts_as_none(visitor: Visitor, change: Any) -> None:
    visitor.choose()
    value = change(visitor.browser.cookies[COOKIE])
    visitor.browser.cookies.clear()
    assert visitor.sees(cookie=f"{COOKIE}={value}".encode("latin-1")) is None  # type: ignore[arg-type]


def test_a_new_key_beside_the_old_one_keeps_the_cookies(visitor: Visitor) -> None:
    visitor.choose()
    value = visitor.browser.cookies[COOKIE]
    newer = Visitor(secret_keys=f"{'another key of the tests ' * 2},{SECRET}".replace(" ", "-"))
    with newer.browser:
        assert newer.sees(cookie=f"{COOKIE}={value}") == CHOICE


def test_behind_a_proxy_that_hides_https_the_choice_is_found_and_forgotten() -> None:
    visitor = Visitor(base_url="https://testserver")
    with visitor.browser as browser:
        response = browser.post(PLACE, data={**CHOICE, "action": "save"}, headers={"origin": "https://testserver"})
        value = response.headers["set-cookie"].partition("=")[2].partition(";")[0]
        cookie = {"cookie": f"__Host-{COOKIE}={value}", "origin": "https://testserver"}
        assert browser.get("/", headers=cookie).json() == CHOICE
        browser.post(PLACE, data={"action": "forget"}, headers=cookie)
        assert amount("consent") == amount("submission") == 0


def test_what_was_chosen_is_shown_and_changed(visitor: Visitor) -> None:
    visitor.choose()
    page = visitor.browser.get(PLACE).text
    assert 'value="cats" checked' in page
    assert 'value="large">' in page
    visitor.choose(topics=["birds"], size=["large"])
    assert visitor.sees() == {"topics": ["birds"], "size": ["large"]}
    assert (amount("consent"), amount("submission"), amount("subject")) == (1, 1, 1)


def test_the_consent_is_kept_with_its_words_and_the_day_alone(visitor: Visitor) -> None:
    visitor.choose()
    [row] = query("SELECT * FROM consent")
    assert row["purpose"] == "personalised content"
    assert row["given"] % 86_400_000 == 0
    assert row["sealed"]


@pytest.mark.parametrize(
    "sent",
    [{"topics": ["dogs"]}, {"size": ["small", "large"]}, {"action": "other"}, {"action": ""}],
    ids=str,
)
def test_what_is_no_choice_is_not_kept(visitor: Visitor, sent: dict[str, Any]) -> None:
    assert visitor.choose(**sent).status_code == 400
    assert amount("consent") == 0


def test_nothing_chosen_is_a_choice(visitor: Visitor) -> None:
    visitor.choose(topics=[], size=[])
    assert visitor.sees() == {"topics": [], "size": []}


def test_another_site_cannot_choose(visitor: Visitor) -> None:
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
        assert visitor.browser.post(PLACE, data={**CHOICE, "action": "save"}, headers=headers).status_code == 403
    assert amount("consent") == 0


@pytest.mark.parametrize(("back", "leads"), [("/", "/"), ("/a?b=c", "/a?b=c")])
def test_it_leads_back_to_a_page_of_the_site(visitor: Visitor, back: str, leads: str) -> None:
    response = visitor.browser.post(PLACE, data={**CHOICE, "action": "save", "back": back}, follow_redirects=False)
    assert (response.status_code, response.headers["location"]) == (303, leads)


@pytest.mark.parametrize("back", ["//evil.example", "/\\evil.example", "https://evil.example", "evil", "/a\r\nset-cookie: x=y", ""])
def test_it_leads_nowhere_else(visitor: Visitor, back: str) -> None:
    response = visitor.browser.post(PLACE, data={**CHOICE, "action": "save", "back": back}, follow_redirects=False)
    assert response.status_code == 200
    assert "location" not in response.headers
    assert "x" not in response.cookies


# --- taking it back --------------------------------------------------------------------------------------------------------


def test_who_takes_it_back_leaves_nothing_at_once(visitor: Visitor) -> None:
    visitor.choose()
    value = visitor.browser.cookies[COOKIE]
    response = visitor.choose(action="forget")
    assert "Max-Age=0" in response.headers["set-cookie"]
    assert COOKIE not in visitor.browser.cookies
    assert visitor.sees(cookie=f"{COOKIE}={value}") is None
    assert amount("consent") == amount("submission") == amount("field") == amount("subject") == 0


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
def test_who_refuses_is_offered_nothing(visitor: Visitor, refusal: dict[str, str]) -> None:
    visitor.choose()
    value = visitor.browser.cookies[COOKIE]
    visitor.browser.cookies.clear()
    cookie = "; ".join(filter(None, (f"{COOKIE}={value}", refusal.get("cookie"))))
    assert visitor.sees(**{**refusal, "cookie": cookie}) is None


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
def test_who_refuses_cannot_choose_and_gets_no_cookie(visitor: Visitor, refusal: dict[str, str]) -> None:
    response = visitor.browser.post(PLACE, data={**CHOICE, "action": "save"}, headers={"origin": "http://testserver", **refusal})
    assert "set-cookie" not in response.headers
    assert "You refuse to be recorded" in response.text
    assert amount("consent") == 0


@pytest.mark.parametrize(("place", "data"), [("opt-out", {"choice": "refuse"}), ("my-browser", {"action": "refuse"})])
def test_to_refuse_removes_it_at_once(visitor: Visitor, place: str, data: dict[str, str]) -> None:
    visitor.choose()
    visitor.browser.post(f"/privacy/{place}", data=data, headers={"origin": "http://testserver"})
    assert COOKIE not in visitor.browser.cookies
    assert amount("consent") == amount("submission") == amount("subject") == 0


def test_to_erase_the_visits_of_a_browser_leaves_the_choice(visitor: Visitor) -> None:
    visitor.choose()
    visitor.browser.post("/privacy/my-browser", data={"action": "erase"}, headers={"origin": "http://testserver"})
    assert visitor.sees() == CHOICE


def test_a_choice_ends_in_time() -> None:
    clock = Clock()
    visitor = Visitor()
    visitor.app.privacy.clerk.clock = visitor.app.privacy.preferences._clock = clock
    with visitor.browser:
        visitor.choose()
        clock.now += 59 * 86_400
        assert visitor.sees() == CHOICE
        clock.now += 3 * 86_400
        assert visitor.sees() is None
        store = visitor.app.privacy.store.another()
        store.open()
        store.set_mark("clock", int(clock() * 1000))
        visitor.app.privacy.clerk._duties(store)
        store.close()
        assert amount("consent") == amount("submission") == amount("subject") == 0


# --- the host --------------------------------------------------------------------------------------------------------------


def test_without_such_a_form_there_is_no_page() -> None:
    with Visitor(policy="[controller]\nname = 'a'\n").browser as browser:
        assert browser.get(PLACE).status_code == 404
        assert browser.post(PLACE, data={"action": "save"}).status_code == 404


def test_the_host_is_told_where_to_choose(visitor: Visitor) -> None:
    view = visitor_privacy(UNDECIDED, "/privacy", visitor.app.privacy)
    assert view.preferences_url == PLACE
    assert view.preferences is None


def test_a_view_shows_no_cookie(visitor: Visitor) -> None:
    seen: list[str] = []

    async def host(scope: Any, receive: Any, send: Any) -> None:
        seen.append(repr(scope["privacy"]))
        await JSONResponse(None)(scope, receive, send)

    app = PrivacyMiddleware(host, policy=POLICY, secret_keys=SECRET)
    TestClient(app).get("/", headers={"cookie": f"{COOKIE}=canary"})
    assert "canary" not in seen[0]


@pytest.mark.sqlite
def test_a_locked_database_does_not_keep_the_host_waiting(visitor: Visitor) -> None:
    visitor.choose()
    with write_lock():
        assert visitor.sees() == CHOICE


def test_a_fault_of_ours_is_no_fault_of_the_host(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    visitor.choose()

    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("canary")

    monkeypatch.setattr("privacy_middleware.rights.preferences.read", fails)
    assert visitor.sees() is None


def test_a_network_cannot_fill_the_database_with_choices() -> None:
    visitor = Visitor(limits="network=1,address=1,all=1")
    with TestClient(visitor.app, client=("93.184.216.34", 1)) as browser:
        found = []
        for _ in range(12):
            browser.cookies.clear()
            found.append(browser.post(PLACE, data={**CHOICE, "action": "save"}).status_code)
        assert found == [200] * 10 + [429] * 2
        assert amount("consent") == 10


def test_who_changes_a_choice_is_not_counted() -> None:
    visitor = Visitor(limits="network=1,address=1,all=1")
    with TestClient(visitor.app, client=("93.184.216.34", 1)) as browser:
        assert {browser.post(PLACE, data={**CHOICE, "action": "save"}).status_code for _ in range(15)} == {200}


def test_under_wsgi_the_host_sees_the_same(visitor: Visitor) -> None:
    visitor.choose()
    value = visitor.browser.cookies[COOKIE]
    seen: list[Any] = []

    def host(environ: Any, start_response: Any) -> list[bytes]:
        seen.append(environ["privacy.visitor"].preferences)
        start_response("200 OK", [])
        return []

    app = PrivacyWSGIMiddleware(host, policy=POLICY, secret_keys=SECRET)
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "SCRIPT_NAME": "", "wsgi.url_scheme": "http", "REMOTE_ADDR": "192.0.2.1"}
    for cookie in (f"{COOKIE}={value}", f"{COOKIE}={value}; privacy-choice=refuse", ""):
        list(app({**environ, "HTTP_COOKIE": cookie}, lambda *_: lambda _: None))
    assert seen == [CHOICE, None, None]


def test_nobody_of_the_owners_can_open_a_choice(visitor: Visitor) -> None:
    from privacy_middleware.record import submissions

    visitor.choose()
    store = visitor.app.privacy.store.another()
    store.open_to_read()
    [stored] = submissions.find(store, first=0, last=2**31)
    assert not submissions.may_be_opened(store, stored)
    store.close()


@pytest.mark.parametrize(
    ("header", "secure", "found"),
    [
        (b"a=b; privacy-preferences=x; c=d", False, "x"),
        (b'privacy-preferences="x"', False, "x"),
        (b"__Host-privacy-preferences=y; privacy-preferences=x", True, "y"),
        (b"privacy-preferences=x", True, ""),
        (b"privacy-preferences=x; __Host-privacy-preferences=y", False, "y"),
        (b"not-privacy-preferences=x", False, ""),
        (b"", False, ""),
    ],
)
def test_the_cookie_is_found_among_others(header: bytes, secure: bool, found: str) -> None:
    assert preferences_cookie([(b"cookie", header), (b"x", b"privacy-preferences=z")], secure=secure) == found


def test_many_read_at_once(visitor: Visitor) -> None:
    visitor.choose()
    reader, value = visitor.app.privacy.preferences, visitor.browser.cookies[COOKIE]

    async def all_at_once() -> list[Any]:
        return await asyncio.gather(*(asyncio.to_thread(reader.of, value) for _ in range(50)))

    assert asyncio.run(all_at_once()) == [CHOICE] * 50
