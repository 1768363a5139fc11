"""The pages of data requests over ASGI: what they take and refuse, what a link does once and never again, and what they give away: nothing."""

import csv
import hashlib
import io
import json
import random
import re
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from privacy_middleware import PrivacyMiddleware
from privacy_middleware.mail import Mail
from privacy_middleware.rights import outbox, requests
from privacy_middleware.site import requests as request_pages
from privacy_middleware.sources import Erased

from .conftest import FIREFOX, hits, query
from .databases import is_there, make_store
from .requesting import ANNA, OTTO, SECRET, Source, amount, graves
from .test_recorder import Clock, until, write_lock
from .test_site import text_of

BASE = "https://www.example.org"
KINDS = ("overview", "correction", "erasure", "restriction", "objection", "complaint")
SCRIPT = "<script>alert('canary')</script>\"'><img src=x onerror=alert(1)>{{ 7*7 }}"
POLICY = """
[controller]
name = "Example"
email = "owner@example.net"
[[forms]]
name = "contact"
title = "contact form"
path = "/contact"
purpose = "answer"
retention_days = 365
requested = true
link_visit = true
[forms.fields]
email = { treatment = "keep", identity = true }
message = "keep"
wish = { treatment = "keep", optional = true, label = "What would you like?" }
number = { treatment = "choice", choices = ["one", "two"], optional = true, correction = "auto" }
"""
NO_LINK = "This link does not work"
EVIL_HOSTS = {"host": "evil.example", "x-forwarded-host": "evil.example", "forwarded": "host=evil.example", "x-forwarded-proto": "http"}


async def page(request: Any) -> HTMLResponse:
    return HTMLResponse("<p>page")


async def take(request: Any) -> RedirectResponse:
    await request.body()
    return RedirectResponse("/thanks", 303)


def make_host() -> Starlette:
    paths = ("/", "/a", "/b", "/c", "/secret-page", "/other-page", "/thanks")
    return Starlette(routes=[*(Route(path, page) for path in paths), Route("/contact", take, methods=["POST"])])


class Site:
    """One worker of a site in the current folder, as a browser sees it; its mails are only collected."""

    def __init__(
        self, *, host: Callable[[], Any] = make_host, base: str = BASE, mail: bool = True, prefix: str = "", client: Any = None, **more: Any
    ) -> None:
        self.mails: list[Mail] = []
        given = {"policy": POLICY, "secret_keys": SECRET, "base_url": base + prefix, "send_mail": self.mails.append if mail else None}
        self.middleware = PrivacyMiddleware(host(), **{**given, **more})
        self.privacy = self.middleware.privacy
        self.mount = self.privacy.settings.path
        self.database = self.privacy.settings.database_path
        self.app: Any = Starlette(routes=[Mount(prefix, app=self.middleware)]) if prefix else self.middleware
        self.prefix = prefix
        self.peer = {"client": client} if client else {}
        self.client = self.browser()

    def browser(self, **more: Any) -> TestClient:
        """Another browser at the same worker."""
        headers = {"user-agent": FIREFOX}
        return TestClient(
            self.app, base_url=BASE, headers=headers, follow_redirects=False, raise_server_exceptions=False, **{**self.peer, **more}
        )

    def path(self, place: str) -> str:
        return f"{self.prefix}{self.mount}/{place}"

    def send_form(self, email: str = ANNA, message: str = "a canary sings at night", **more: str) -> None:
        sent = self.client.post(f"{self.prefix}/contact", data={"email": email, "message": message, **more})
        assert sent.status_code == 303

    def ask(self, kind: str = "overview", email: str = ANNA, *, text: str = "", headers: dict[str, str] | None = None, **more: str) -> Any:
        data = {"kind": kind, "email": email, "text": text or ("A question?" if kind == "complaint" else ""), **more}
        return self.client.post(self.path("requests/"), data=data, headers=headers or {})

    def all_mails(self) -> list[Mail]:
        """Those that wait, and those that were sent."""
        store = make_store(self.database)
        store.open_to_read()
        try:
            waiting = [outbox.read(store, self.privacy.keys.vault, mail) for mail in outbox.find(store)]
        finally:
            store.close()
        return [*waiting, *self.mails]

    def mail(self, kind: str = "confirm", to: str = ANNA) -> Mail:
        """The newest mail of a kind; it waits, or was sent."""
        found = [mail for mail in self.all_mails() if (mail.kind, mail.to) == (kind, to)]
        assert found, [(mail.kind, mail.to) for mail in self.all_mails()]
        return found[0]

    def link(self, kind: str = "confirm", to: str = ANNA) -> str:
        """The path of the link in a mail."""
        return path_in(self.mail(kind, to))

    def asked(self, kind: str = "overview", email: str = ANNA, **more: Any) -> str:
        """Ask, and return the path of the link that was mailed."""
        before = self._links(email)
        assert self.ask(kind, email, **more).status_code == 303
        [link] = self._links(email) - before
        return link

    def _links(self, email: str) -> set[str]:
        mails = self.all_mails() if is_there(self.database) else []
        return {path_in(mail) for mail in mails if (mail.kind, mail.to) == ("confirm", email)}

    def confirmed(self, kind: str = "overview", email: str = ANNA, **more: Any) -> str:
        """Ask and confirm; returns the path of the page on which it goes on."""
        done = self.client.post(self.asked(kind, email, **more))
        assert done.status_code == 303, done.text
        return str(done.headers["location"])

    def settle(self) -> None:
        """Have the clerk do all that is due."""
        self.privacy.clerk.hurry().result(20)
        until(lambda: self.privacy.clerk.is_idle)

    def state(self) -> str:
        """The state of the newest request."""
        return str(query("SELECT state FROM request ORDER BY created DESC, id DESC")[0]["state"])


def path_in(mail: Mail) -> str:
    found = re.search(r"https?://\S+/requests/\w+/\S+", mail.text)
    assert found, mail.text
    return urlsplit(found[0]).path


@pytest.fixture
def site() -> Site:
    return Site()


def sealed_rows() -> list[Any]:
    """All that a page could change, as it is stored."""
    tables = ("request", "link", "submission", "field", "tombstone", "audit")
    return [query(f"SELECT * FROM {table}") for table in tables]


def unpack(response: Any) -> zipfile.ZipFile:
    assert response.status_code == 200, response.text
    return zipfile.ZipFile(io.BytesIO(response.content))


# --- the form --------------------------------------------------------------------------------------------------------------


def test_the_form_offers_every_kind_of_request(site: Site) -> None:
    html = site.client.get("/privacy/requests/").text
    assert re.findall(r'type="radio" name="kind" value="(\w+)"', html) == list(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_link_can_choose_the_kind_beforehand(site: Site, kind: str) -> None:
    html = site.client.get(f"/privacy/requests/?kind={kind}").text
    assert re.findall(r'value="(\w+)" checked', html) == [kind]


def test_a_kind_that_is_none_is_not_taken_over_from_the_address(site: Site) -> None:
    html = site.client.get("/privacy/requests/", params={"kind": SCRIPT, "email": ANNA}).text
    assert re.findall(r'value="(\w+)" checked', html) == ["overview"]
    assert "alert" not in html
    assert ANNA not in html


FAULTS = [
    ({"kind": ""}, "choose"),
    ({"kind": "everything"}, "choose"),
    ({"kind": "Erasure"}, "choose"),
    ({"email": ""}, "e-mail address"),
    ({"email": "anna"}, "e-mail address"),
    ({"email": "@example.org"}, "e-mail address"),
    ({"email": "anna@"}, "e-mail address"),
    ({"email": "anna@localhost"}, "e-mail address"),
    ({"email": "anna@10.0.0.1"}, "e-mail address"),
    ({"email": f"{ANNA},{OTTO}"}, "e-mail address"),
    ({"email": f"{ANNA};{OTTO}"}, "e-mail address"),
    ({"email": f"{ANNA} {OTTO}"}, "e-mail address"),
    ({"email": f"{ANNA}\r\nBcc: {OTTO}"}, "e-mail address"),
    ({"email": f"{ANNA}%0aBcc:{OTTO}"}, "e-mail address"),
    ({"email": f"Anna <{ANNA}>"}, "e-mail address"),
    ({"email": f"{ANNA}\x00"}, "e-mail address"),
    ({"email": f"{OTTO}@example.org"}, "e-mail address"),
    ({"email": "a" * 400 + "@example.org"}, "e-mail address"),
    ({"kind": "complaint", "text": " \r\n "}, "question or complaint"),
    ({"kind": "complaint", "text": "x" * 4001}, "shorten"),
    ({"kind": "erasure", "text": "and please write to me"}, "would not be read"),
]


@pytest.mark.parametrize(("sent", "said"), FAULTS)
def test_a_form_that_is_not_right_says_what_to_do_and_takes_nothing(site: Site, sent: dict[str, str], said: str) -> None:
    response = site.client.post("/privacy/requests/", data={"kind": "overview", "email": ANNA} | sent)
    assert response.status_code == 400
    assert said in re.findall(r'role="alert"[^>]*>([^<]+)<', response.text)[0]
    assert "<title>Error" in response.text
    site.client.get("/privacy/")
    assert amount("request") == amount("mail") == 0


def test_what_was_typed_is_shown_again_as_text(site: Site) -> None:
    response = site.client.post("/privacy/requests/", data={"kind": "erasure", "email": SCRIPT, "text": SCRIPT})
    assert response.status_code == 400
    assert re.findall(r'value="(\w+)" checked', response.text) == ["erasure"]
    assert response.text.count("&lt;script&gt;alert(&#39;canary&#39;)") == 2
    assert "<script" not in response.text
    assert "<img" not in response.text


def test_a_request_that_was_taken_leads_to_a_page_that_can_be_reloaded(site: Site) -> None:
    taken = site.ask()
    assert (taken.status_code, taken.headers["location"]) == (303, "/privacy/requests/sent")
    assert "mailbox" in site.client.get("/privacy/requests/sent").text
    assert amount("request") == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://["},
    ],
)
@pytest.mark.parametrize("signed_in", [False, True])
def test_a_form_from_another_site_is_refused_and_takes_nothing(headers: dict[str, str], signed_in: bool) -> None:
    site = Site(current_subject=(lambda _: ANNA) if signed_in else None)
    assert site.ask("erasure", headers=headers).status_code == 403
    site.client.get("/privacy/")
    assert amount("request") == amount("mail") == 0


@pytest.mark.parametrize("headers", [{"sec-fetch-site": "same-origin"}, {"origin": BASE}, {}])
def test_the_sites_own_form_is_taken(site: Site, headers: dict[str, str]) -> None:
    assert site.ask(headers=headers).status_code == 303


@pytest.mark.parametrize("place", ["confirm", "status", "correct", "overview"])
def test_another_site_cannot_press_the_buttons_behind_a_link(site: Site, place: str) -> None:
    site.send_form()
    path = {
        "confirm": lambda: site.asked("erasure"),
        "status": lambda: site.confirmed("complaint"),
        "correct": lambda: site.confirmed("correction"),
        "overview": site.confirmed,
    }[place]()
    before = sealed_rows()
    response = site.client.post(path, data={"action": "withdraw"}, headers={"sec-fetch-site": "cross-site"})
    assert response.status_code == 403
    assert sealed_rows() == before


def test_a_body_that_is_longer_than_any_form_is_refused(site: Site) -> None:
    for path in ("/privacy/requests/", site.asked()):
        response = site.client.post(path, content=b"kind=overview&text=" + b"x" * 1_000_000)
        assert response.status_code == 413
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert response.headers["cache-control"] == "no-store"
    assert site.state() == "awaiting_confirmation"


def test_a_text_of_the_longest_kind_is_taken_whatever_its_letters(site: Site) -> None:
    text = "🧁" * 4000
    site.confirmed("complaint", text=text)
    store = site.privacy.store
    store.open()
    try:
        [one] = requests.find_all(store)
        assert requests.particulars(site.privacy.office, store, one).text == text
    finally:
        store.close()


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe\x00", b"kind", b"&&&=&", b"kind=overview&email=%ff%fe@example.org", b'{"kind":"overview"}']
)
def test_a_body_that_is_no_form_is_answered_with_the_form(site: Site, body: bytes) -> None:
    response = site.client.post("/privacy/requests/", content=body)
    assert response.status_code == 400
    assert 'role="alert"' in response.text


def test_a_form_with_files_is_answered_with_the_form(site: Site) -> None:
    response = site.client.post("/privacy/requests/", data={"kind": "overview", "email": ANNA}, files={"f": b"x"})
    assert response.status_code == 400


def test_of_two_addresses_in_one_form_one_gets_a_mail(site: Site) -> None:
    body = f"kind=overview&email={ANNA}&email={OTTO}"
    assert site.client.post("/privacy/requests/", content=body).status_code == 303
    assert [(mail.kind, mail.to) for mail in site.all_mails()] == [("confirm", OTTO)]


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "requests/"), ("DELETE", "requests/confirm/x"), ("POST", "requests/sent"), ("PATCH", "my-browser")]
)
def test_other_methods_are_refused(site: Site, method: str, path: str) -> None:
    response = site.client.request(method, f"/privacy/{path}")
    assert response.status_code == 405
    assert response.headers["referrer-policy"] in ("no-referrer", "same-origin")
    assert response.headers["cache-control"] == "no-store"


# --- the link in the mail --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("kind", KINDS)
def test_to_look_at_a_link_changes_nothing_however_often(site: Site, kind: str, method: str) -> None:
    site.send_form()
    path = site.asked(kind)
    before = sealed_rows()
    for _ in range(3):
        assert site.client.request(method, path, headers={"user-agent": "Mail-Scanner/1.0"}).status_code == 200
    assert sealed_rows() == before


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("overview", "Show my data"),
        ("correction", "Go on to my data"),
        ("erasure", "Erase everything"),
        ("restriction", "Only store my data"),
        ("objection", "Stop using my data"),
        ("complaint", "Send it"),
    ],
)
def test_the_page_behind_the_link_says_what_its_button_does(site: Site, kind: str, says: str) -> None:
    html = site.client.get(site.asked(kind)).text
    assert f">{says}</button>" in html
    assert "Nothing happens before you press this button" in html


def test_an_erasure_shows_first_what_would_go() -> None:
    site = Site(sources=[Source("Customer accounts")])
    site.send_form()
    site.send_form()
    site.send_form(OTTO)
    text = text_of(site.client.get(site.asked("erasure")).text)
    assert "2 \u00d7 what you sent with “contact form”" in text
    assert "Your data in “Customer accounts”" in text


@pytest.mark.parametrize("kind", KINDS)
def test_the_button_acts_once(site: Site, kind: str) -> None:
    path = site.asked(kind)
    assert site.client.post(path).status_code == 303
    site.settle()
    before = query("SELECT id, kind, state, confirmed FROM request")
    again = site.client.post(path)
    assert again.status_code == 404
    assert NO_LINK in again.text
    assert query("SELECT id, kind, state, confirmed FROM request") == before


def test_a_link_used_twice_says_what_to_do(site: Site) -> None:
    path = site.asked()
    site.client.post(path)
    text = text_of(site.client.get(path).text)
    assert "work once" in text
    assert "Ask for a new one" in text


def test_a_button_pressed_twice_does_not_say_that_nothing_was_done(site: Site) -> None:
    path = site.asked("erasure")
    site.client.post(path)
    site.settle()
    assert site.state() == "fulfilled"
    assert "Nothing was changed" not in site.client.post(path).text


def test_a_link_pressed_by_several_at_once_acts_once(site: Site) -> None:
    site.send_form()
    path = site.asked("erasure")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda browser: browser.post(path).status_code, [site.browser() for _ in range(8)]))
    assert sorted(answers) == [303] + [404] * 7
    site.settle()
    assert [mail.kind for mail in site.all_mails() if mail.kind == "receipt"] == ["receipt"]


def test_a_link_of_the_day_before_does_nothing_also_if_the_clock_goes_back(site: Site) -> None:
    clock = site.privacy.clerk.clock = Clock()
    path = site.asked("erasure")
    clock.move(hours=24, seconds=1)
    assert site.client.get(path).status_code == 404
    assert site.client.post(path).status_code == 404
    site.settle()
    clock.move(hours=-2)
    assert site.client.post(path).status_code == 404
    assert site.state() == "expired"


def test_an_hour_before_its_end_a_link_still_works(site: Site) -> None:
    clock = site.privacy.clerk.clock = Clock()
    path = site.asked("restriction")
    clock.move(hours=23)
    site.settle()
    assert site.client.post(path).status_code == 303


@pytest.mark.parametrize("made_for", ["confirm", "overview", "correct", "status"])
def test_a_link_for_another_purpose_does_nothing(site: Site, made_for: str) -> None:
    path = {
        "confirm": lambda: site.asked("erasure"),
        "overview": site.confirmed,
        "correct": lambda: site.confirmed("correction"),
        "status": lambda: site.confirmed("complaint"),
    }[made_for]()
    token = path.rpartition("/")[2]
    before = sealed_rows()
    for purpose in {"confirm", "overview", "correct", "status"} - {made_for}:
        for method in ("GET", "HEAD", "POST"):
            response = site.client.request(
                method, f"/privacy/requests/{purpose}/{token}", data={"action": "withdraw"} if method == "POST" else None
            )
            assert response.status_code == 404, (purpose, method)
    assert sealed_rows() == before


GARBAGE = ["x", "A" * 43, "A" * 8000, "%00", "%E2%82%AC", "%ff%fe", "a%2fb", "'%20OR%201=1--", "%3Cscript%3E", "%0d%0aSet-Cookie:a=b"]


@pytest.mark.parametrize("token", GARBAGE)
@pytest.mark.parametrize("purpose", ["confirm", "overview", "correct", "status"])
def test_a_link_that_is_none_is_answered_with_help(site: Site, purpose: str, token: str) -> None:
    for method in ("GET", "POST"):
        response = site.client.request(method, f"/privacy/requests/{purpose}/{token}")
        assert response.status_code == 404
        assert '<a class="button"' in response.text or "There is no such page" in response.text
        assert "<script" not in response.text
        assert "set-cookie" not in response.headers


def test_a_link_with_something_behind_it_gives_nothing_away(site: Site) -> None:
    for end in ("/", "/x", ".", "%2f"):
        response = site.client.get(site.asked(email=f"{len(end)}{ANNA}") + end)
        assert response.status_code == 404
        assert response.headers["referrer-policy"] == "no-referrer"


def test_a_letter_more_or_less_makes_it_another_link(site: Site) -> None:
    path = site.asked("erasure")
    for other in (path[:-1], path + "A", path[:-1] + ("A" if path[-1] != "A" else "B"), path.swapcase()):
        assert site.client.post(other).status_code in (404, 405)
    assert site.state() == "awaiting_confirmation"


def test_a_forged_host_is_in_no_mail_and_no_redirect(site: Site) -> None:
    asked = site.ask("complaint", headers=EVIL_HOSTS)
    done = site.client.post(site.link(), headers=EVIL_HOSTS)
    site.settle()
    assert "evil" not in asked.headers["location"] + done.headers["location"]
    mails = site.all_mails()
    assert {mail.kind for mail in mails} == {"confirm", "received", "to_review"}
    for mail in mails:
        assert "evil" not in mail.text + mail.html + mail.subject
        assert all(link.startswith(f"{BASE}/privacy/") for link in re.findall(r"https?://\S+", mail.text) if "edpb" not in link)


def test_no_word_of_the_requester_is_in_the_mail_before_the_proof(site: Site) -> None:
    site.ask("complaint", text="BUY at evil.example", headers={"accept-language": "de-BUY", "user-agent": "BUY", "referer": f"{BASE}/BUY"})
    mail = site.mail()
    assert "BUY" not in repr((mail.subject, mail.text, mail.html, mail.language))


def test_whoever_got_the_mail_can_ask_for_something_else_instead(site: Site) -> None:
    path = site.asked("complaint")
    changed = site.client.post(path, data={"kind": "erasure"})
    assert (changed.status_code, changed.headers["location"]) == (303, "/privacy/requests/sent")
    kinds = query("SELECT kind, state FROM request ORDER BY created, state")
    assert {(row["kind"], row["state"]) for row in kinds} == {("complaint", "withdrawn"), ("erasure", "awaiting_confirmation")}
    assert site.client.post(path).status_code == 404
    until(lambda: len([mail for mail in site.all_mails() if mail.kind == "confirm"]) == 2 or amount("mail") == 1)


# --- without mail ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["mail", "base"])
def test_without_mail_or_base_url_a_request_waits_and_the_page_says_so(missing: str) -> None:
    site = Site(mail=missing != "mail", base="" if missing == "base" else BASE)
    assert site.ask().headers["location"] == "/privacy/requests/sent"
    assert "cannot send mails by itself" in site.client.get("/privacy/requests/sent").text
    assert site.state() == "received"
    assert amount("mail") == 0


def test_once_mail_is_configured_what_waited_goes_on_by_itself() -> None:
    Site(mail=False).ask()
    site = Site()
    with site.client:
        until(lambda: [mail.kind for mail in site.mails] == ["confirm"])
    assert site.client.post(path_in(site.mails[0])).status_code == 303
    assert site.state() == "fulfilled"


# --- who is signed in ------------------------------------------------------------------------------------------------------


def sync_subject(_: Any) -> str:
    return ANNA.upper()


async def async_subject(_: Any) -> str:
    return ANNA


@pytest.mark.parametrize("current_subject", [sync_subject, async_subject])
def test_who_is_signed_in_needs_no_mail(current_subject: Any) -> None:
    site = Site(current_subject=current_subject, base="")
    site.send_form()
    html = site.client.get("/privacy/requests/").text
    assert f"signed in as <strong>{ANNA}</strong>" in html
    assert 'name="email"' not in html
    taken = site.client.post("/privacy/requests/", data={"kind": "overview"})
    assert "canary sings" in site.client.post(taken.headers["location"], data={"action": "show"}).text
    assert not [mail for mail in site.all_mails() if mail.kind == "confirm"]


async def raising_late(_: Any) -> str:
    raise RuntimeError("no session")


def raising(_: Any) -> str:
    raise KeyError("session")


RUBBISH = [
    raising,
    raising_late,
    *(lambda _, value=value: value for value in ("", None, 42, True, b"anna.canary@example.org", [ANNA], "anna", f"{ANNA}, {OTTO}")),
]


@pytest.mark.parametrize("current_subject", RUBBISH)
def test_what_is_no_signed_in_address_leaves_the_mail_as_the_proof(current_subject: Any) -> None:
    site = Site(current_subject=current_subject)
    assert 'name="email"' in site.client.get("/privacy/requests/").text
    assert site.ask().headers["location"] == "/privacy/requests/sent"
    assert site.state() == "awaiting_confirmation"


def test_who_is_signed_in_cannot_ask_for_another_address() -> None:
    site = Site(current_subject=sync_subject)
    response = site.ask("erasure", OTTO)
    assert response.status_code == 400
    assert "sign out first" in response.text
    site.client.get("/privacy/")
    assert amount("request") == 0


def test_who_is_signed_in_sees_what_an_erasure_takes_before_it_does() -> None:
    site = Site(current_subject=sync_subject)
    site.send_form()
    place = site.ask("erasure").headers["location"]
    assert "/requests/confirm/" in place
    assert "1 \u00d7 what you sent" in text_of(site.client.get(place).text)
    assert amount("submission") == 1
    site.client.post(place)
    assert amount("submission") == 0


def test_an_objection_of_who_is_signed_in_refuses_for_this_browser_at_once() -> None:
    site = Site(current_subject=sync_subject)
    with site.client:
        site.client.get("/a")
        done = site.client.post("/privacy/requests/", data={"kind": "objection"})
        assert "privacy-choice=refuse" in done.headers["set-cookie"]
        assert "It is done." in site.client.get(done.headers["location"]).text
    assert hits() == []


@pytest.mark.parametrize("kind", ["overview", "erasure", "restriction", "objection"])
def test_what_the_owner_wants_to_look_at_first_waits(kind: str) -> None:
    site = Site(review=kind)
    site.send_form()
    path = site.asked(kind)
    assert "One of us looks at your request first" in site.client.get(path).text
    place = site.client.post(path).headers["location"]
    site.settle()
    assert "One of us looks at your request" in site.client.get(place).text
    assert site.state() == "in_review"
    assert amount("submission") == 1
    assert {mail.kind for mail in site.all_mails()} == {"confirm", "received", "to_review"}


# --- limits ----------------------------------------------------------------------------------------------------------------


def test_too_many_requests_for_an_address_are_refused_with_the_time_to_come_again(site: Site) -> None:
    for number in range(5):
        assert site.ask(KINDS[number], email=f"anna.canary+{number}@example.org").status_code == 303
    refused = site.ask()
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 86_400
    assert "Please come again later" in refused.text
    assert ANNA not in refused.text
    assert amount("request") == 5
    assert site.ask(email=OTTO).status_code == 303


def test_the_limit_tells_nothing_of_whether_an_address_is_known() -> None:
    site = Site(limits="address=1")
    site.privacy.clerk.clock = Clock()
    site.send_form()
    answers = []
    for email in (ANNA, OTTO):
        site.ask(email=email)
        refused = site.ask(email=email)
        answers.append((refused.status_code, sorted(refused.headers.items()), refused.content))
    assert answers[0] == answers[1]
    assert answers[0][0] == 429


def test_limits_are_shared_by_workers_and_survive_a_restart() -> None:
    Site(limits="address=2").ask()
    Site(limits="address=2").ask()
    assert Site(limits="address=2").ask().status_code == 429


def test_one_network_is_limited_whatever_it_says_about_itself() -> None:
    site = Site(limits="network=2", client=("8.8.8.8", 1))
    codes = [site.ask(email=f"a{n}@example.org", headers={"x-forwarded-for": f"9.9.{n}.9"}).status_code for n in range(3)]
    assert codes == [303, 303, 429]


def test_behind_a_trusted_proxy_each_network_has_a_limit_of_its_own() -> None:
    site = Site(limits="network=1", trusted_proxies="1", client=("10.0.0.1", 1))
    codes = [site.ask(email=f"a{n}@example.org", headers={"x-forwarded-for": f"9.9.{n}.9"}).status_code for n in (1, 2, 1)]
    assert codes == [303, 303, 429]


def test_behind_a_proxy_that_was_not_declared_people_do_not_share_one_limit() -> None:
    site = Site(limits="network=1", client=("10.0.0.1", 1))
    assert [site.ask(email=f"a{n}@example.org").status_code for n in range(3)] == [303, 303, 303]


def test_in_all_no_more_are_taken_than_the_limit_says() -> None:
    site = Site(limits="all=2")
    assert [site.ask(email=f"a{n}@example.org").status_code for n in range(3)] == [303, 303, 429]


# --- headers ---------------------------------------------------------------------------------------------------------------


def every_answer(site: Site) -> Iterator[tuple[str, Any]]:
    """Every page of data requests, and every answer that leads to one."""
    get, post = site.client.get, site.client.post
    site.send_form()
    yield "form", get("/privacy/requests/")
    yield "form with faults", post("/privacy/requests/")
    yield "taken", site.ask()
    yield "sent", get("/privacy/requests/sent")
    yield "my browser", get("/privacy/my-browser")
    path = site.link()
    yield "confirm, private", get(path)
    done = post(path)
    yield "confirmed, private", done
    yield "no link, private", get(path)
    yield "overview, private", get(done.headers["location"])
    yield "overview shown, private", post(done.headers["location"], data={"action": "show"})
    yield "overview, without an action, private", post(done.headers["location"])
    yield "download, private", post(done.headers["location"], data={"action": "download"})
    place = site.confirmed("correction")
    yield "correct, private", get(place)
    yield "correct shown, private", post(place, data={"action": "show"})
    yield "nothing corrected, private", post(place, data={"action": "send"})
    place = site.confirmed("complaint")
    yield "status, private", get(place)
    yield "called off, private", post(place, data={"action": "withdraw"})
    yield "called off twice, private", post(place, data={"action": "withdraw"})
    yield "too many", [site.ask() for _ in range(5)][-1]
    yield "another site's", post("/privacy/requests/", headers={"sec-fetch-site": "cross-site"})


def test_every_answer_has_the_strict_headers(site: Site) -> None:
    for name, response in every_answer(site):
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy, name
        assert "unsafe" not in policy, name
        assert "frame-ancestors 'none'" in policy, name
        assert "form-action 'self'" in policy, name
        assert response.headers["cache-control"] == "no-store", name
        assert response.headers["x-content-type-options"] == "nosniff", name
        assert response.headers["x-frame-options"] == "DENY", name
        assert "set-cookie" not in response.headers, name
        if "html" in response.headers.get("content-type", ""):
            assert "<script" not in response.text, name
            assert "style=" not in response.text, name


def test_what_stands_behind_a_secret_link_is_for_nobody_else(site: Site) -> None:
    for name, response in every_answer(site):
        if name.endswith("private"):
            assert response.headers["referrer-policy"] == "no-referrer", name
            assert "noindex" in response.headers["x-robots-tag"], name
            assert "/requests/" not in response.headers.get("link", ""), name


def test_no_page_shows_its_own_secret_link(site: Site) -> None:
    path = site.asked("erasure")
    assert path.rpartition("/")[2] not in site.client.get(path).text
    place = site.client.post(path).headers["location"]
    assert place.rpartition("/")[2] not in site.client.get(place).text


# --- objection -------------------------------------------------------------------------------------------------------------


def test_an_objection_also_refuses_to_be_recorded_and_deletes_this_browsers_visits(site: Site) -> None:
    with site.client:
        site.client.get("/a")
        site.client.get("/b", headers={"user-agent": "Mozilla/5.0 somebody else"})
        done = site.client.post(site.asked("objection"))
        assert done.headers["set-cookie"].startswith("__Host-privacy-choice=refuse.")
        site.client.get("/c")
    assert [hit["path"] for hit in hits()] == ["/b"]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "objection"])
def test_no_other_request_changes_the_choice(site: Site, kind: str) -> None:
    assert "set-cookie" not in site.client.post(site.asked(kind)).headers


# --- the database is away --------------------------------------------------------------------------------------------------

WAYS = [
    ("GET", "my-browser"),
    ("POST", "my-browser"),
    ("POST", "requests/"),
    *((m, f"requests/{p}/{'A' * 43}") for p in ("confirm", "overview", "correct", "status") for m in ("GET", "POST")),
]


@pytest.mark.parametrize(("method", "path"), WAYS)
def test_while_the_database_is_away_every_page_says_so(method: str, path: str) -> None:
    Path("folder").mkdir()
    site = Site(database_url="sqlite:///folder")
    data = {"kind": "overview", "email": ANNA} if path == "requests/" else {"action": "erase"}
    response = site.client.request(method, f"/privacy/{path}", data=data if method == "POST" else None)
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0
    assert "Nothing was changed" in response.text
    assert "set-cookie" not in response.headers


def test_the_form_can_be_read_while_the_database_is_away() -> None:
    Path("folder").mkdir()
    assert Site(database_url="sqlite:///folder").client.get("/privacy/requests/").status_code == 200


def test_what_was_answered_with_try_again_is_not_done_later(site: Site) -> None:
    path = site.asked("restriction")
    until(lambda: amount("mail") == 0)
    with write_lock(), ThreadPoolExecutor(2) as pool:
        asked = pool.submit(site.ask, "erasure", OTTO)
        confirmed = pool.submit(site.browser().post, path)
        assert [asked.result().status_code, confirmed.result().status_code] == [503, 503]
    until(lambda: site.privacy.recorder.is_idle)
    assert query("SELECT kind, state FROM request") == [{"kind": "restriction", "state": "awaiting_confirmation"}]
    assert site.client.post(path).status_code == 303


# --- my browser ------------------------------------------------------------------------------------------------------------


def test_my_browser_shows_kinds_and_counts_and_never_pages(site: Site) -> None:
    with site.client:
        for path in ("/secret-page", "/other-page"):
            site.client.get(path, headers={"referer": "https://search.example/?q=secret-words"})
        html = site.client.get("/privacy/my-browser").text
    assert re.findall(r"<td>(\w+)</td><td>(\d+)</td>", html) == [("Pages", "2")]
    assert "secret" not in html
    assert "other-page" not in html


def test_my_browser_shows_nothing_of_another_browser(site: Site) -> None:
    with site.client:
        site.client.get("/a", headers={"user-agent": "Mozilla/5.0 somebody else"})
        assert "Nothing is recorded under this browser" in site.client.get("/privacy/my-browser").text


def test_my_browser_can_be_erased(site: Site) -> None:
    with site.client:
        site.client.get("/a")
        response = site.client.post("/privacy/my-browser", data={"action": "erase"})
        assert "1 request was erased" in text_of(response.text)
        assert "set-cookie" not in response.headers
        site.client.get("/b")
    assert [hit["path"] for hit in hits()] == ["/b"]


def test_my_browser_can_be_refused_from_then_on(site: Site) -> None:
    with site.client:
        site.client.get("/a")
        response = site.client.post("/privacy/my-browser", data={"action": "refuse"})
        assert "From now on this browser is not recorded" in text_of(response.text)
        site.client.get("/b")
        text = text_of(site.client.get("/privacy/my-browser").text)
    assert "At the moment your visits are not recorded" in text
    assert "do not record me" not in text
    assert hits() == []


@pytest.mark.parametrize(("body", "status"), [(b"", 400), (b"action=show", 400), (b"action=erase&action=refuse", 400), (b"x" * 5000, 400)])
def test_my_browser_does_nothing_without_a_button(site: Site, body: bytes, status: int) -> None:
    with site.client:
        site.client.get("/a")
        assert site.client.post("/privacy/my-browser", content=body).status_code == status
    assert len(hits()) == 1


def test_another_site_cannot_erase_my_browser(site: Site) -> None:
    with site.client:
        site.client.get("/a")
        refused = site.client.post("/privacy/my-browser", data={"action": "refuse"}, headers={"sec-fetch-site": "cross-site"})
        assert refused.status_code == 403
        assert "set-cookie" not in refused.headers
    assert len(hits()) == 1


def test_where_visitors_are_not_told_apart_my_browser_says_so() -> None:
    site = Site(policy=POLICY.replace("link_visit = true", "") + '[visits]\nitems = ["time", "page", "status"]\n')
    with site.client:
        site.client.get("/a")
        text = text_of(site.client.get("/privacy/my-browser").text)
    assert "without anything that tells one visitor from another" in text
    assert "Erase it" not in text


# --- whose data ------------------------------------------------------------------------------------------------------------

OTHERS = [
    "anna.canary@example.com",
    "аnna.canary@example.org",  # noqa: RUF001 - a Cyrillic a
    "ａnna.canary@example.org",  # noqa: RUF001 - a wide a
    "ánna.canary@example.org",
    "annacanary@example.org",
    "anna.canary+x@example.org",
    "anna.canary@exаmple.org",  # noqa: RUF001
    "anna.canary@example.org.evil.org",
    "anna.canary@sub.example.org",
]


@pytest.mark.parametrize("other", OTHERS)
def test_an_address_that_looks_like_anothers_is_given_nothing_of_theirs(other: str) -> None:
    site = Site(current_subject=lambda _: other)
    site.send_form()
    place = site.client.post("/privacy/requests/", data={"kind": "overview"})
    if place.status_code == 303:
        assert "canary sings" not in site.client.post(place.headers["location"], data={"action": "show"}).text


@pytest.mark.parametrize("other", OTHERS)
def test_a_mail_never_goes_to_an_address_that_was_not_given(site: Site, other: str) -> None:
    site.send_form()
    site.ask(email=other)
    assert ANNA not in {mail.to for mail in site.all_mails()}


@pytest.mark.parametrize("same", ["Anna.Canary@Example.ORG", " anna.canary@example.org ", "ANNA.CANARY@EXAMPLE.ORG"])
def test_another_spelling_of_the_same_address_finds_the_same_data(site: Site, same: str) -> None:
    site.send_form()
    assert site.ask(email=same).status_code == 303
    done = site.client.post(site.link())
    assert "canary sings" in site.client.post(done.headers["location"], data={"action": "show"}).text


def test_an_international_domain_is_found_in_both_spellings(site: Site) -> None:
    site.send_form("ann@bücher.example")
    site.ask(email="ann@xn--bcher-kva.example")
    done = site.client.post(site.link(to="ann@xn--bcher-kva.example"))
    assert "canary sings" in site.client.post(done.headers["location"], data={"action": "show"}).text


def test_nobody_else_of_the_same_site_is_shown_changed_or_erased(site: Site) -> None:
    site.send_form(OTTO, "ottos own words")
    site.send_form(ANNA, "annas own words")
    shown = site.client.post(site.confirmed(), data={"action": "show"}).text
    assert "annas own words" in shown
    assert "ottos" not in shown
    site.confirmed("erasure")
    assert "ottos own words" in site.client.post(site.confirmed(email=OTTO), data={"action": "show"}).text


# --- the overview ----------------------------------------------------------------------------------------------------------


def test_the_overview_shows_nothing_before_the_button_is_pressed(site: Site) -> None:
    site.send_form()
    html = site.client.get(site.confirmed()).text
    assert "canary" not in html
    assert "Show my data here" in html


def test_of_whom_nothing_is_held_the_overview_says_so(site: Site) -> None:
    text = text_of(site.client.post(site.confirmed(), data={"action": "show"}).text)
    assert "Nothing that you sent with forms is kept under this address" in text


def test_the_package_holds_all_for_people_programs_and_spreadsheets(site: Site) -> None:
    site.send_form(message="=1+1 sings", wish="a card")
    response = site.client.post(site.confirmed(), data={"action": "download"})
    assert re.fullmatch(r'attachment; filename="your-data-\d{4}-\d\d-\d\d\.zip"', response.headers["content-disposition"])
    archive = unpack(response)
    assert archive.testzip() is None
    files = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(files.pop("manifest.json"))
    assert manifest["sha256"] == {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    data = json.loads(files["data.json"])
    assert data["data"]["submissions"]["rows"][0]["fields"]["What would you like?"] == ["a card"]
    assert "=1+1 sings" in files["index.html"].decode()
    assert "complain to" in text_of(files["index.html"].decode())
    rows = list(csv.DictReader(io.StringIO(files["submissions.csv"].decode("utf-8-sig"))))
    assert [row["value"] for row in rows if row["field"] == "message"] == ["'=1+1 sings"]


def test_an_overview_is_downloaded_three_times_by_whichever_link(site: Site) -> None:
    page_link = site.confirmed()
    mailed_link = site.link("ready")
    assert page_link != mailed_link
    codes = [
        site.client.post(path, data={"action": "download"}).status_code
        for path in (page_link, mailed_link, page_link, mailed_link, page_link)
    ]
    assert codes == [200, 200, 200, 410, 410]
    for path in (page_link, mailed_link):
        assert "It was downloaded three times" in site.client.get(path).text
        assert site.client.post(path, data={"action": "show"}).status_code == 200


def test_three_downloads_at_once_are_all_there_are(site: Site) -> None:
    path = site.confirmed()
    with ThreadPoolExecutor(6) as pool:
        codes = list(
            pool.map(lambda browser: browser.post(path, data={"action": "download"}).status_code, [site.browser() for _ in range(6)])
        )
    assert sorted(codes) == [200] * 3 + [410] * 3


def test_after_three_days_an_overview_is_not_there_any_more(site: Site) -> None:
    clock = site.privacy.clerk.clock = Clock()
    path = site.confirmed()
    clock.move(hours=72, seconds=1)
    for data in (None, {"action": "show"}, {"action": "download"}):
        assert site.client.post(path, data=data).status_code == 404


def test_a_source_that_fails_is_named_in_the_overview() -> None:
    class Broken(Source):
        def export(self, subject: str) -> Any:
            raise RuntimeError(subject)

    site = Site(sources=[Broken("Customer accounts"), Source("Orders", rows=({"order": SCRIPT},))])
    html = site.client.post(site.confirmed(), data={"action": "show"}).text
    assert "is missing here: Customer accounts" in text_of(html)
    assert "&lt;script&gt;" in html


def test_a_source_that_is_slow_does_not_hold_up_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_pages, "SOURCE_SECONDS", 0.2)

    class Slow(Source):
        def export(self, subject: str) -> Any:
            time.sleep(1)
            return [{"order": "a canary"}]

    site = Site(sources=[Slow("Orders")])
    path = site.confirmed()
    response = site.client.post(path, data={"action": "download"})
    assert response.status_code == 503
    assert "still being put together" in response.text
    assert query("SELECT uses FROM link WHERE purpose = 'overview'")[0]["uses"] == 3


# --- correction ------------------------------------------------------------------------------------------------------------


def values_of(html: str) -> dict[str, str]:
    """The names of the inputs that can be edited, by field."""
    names = re.findall(r'name="(\w+\.\d+\.[^"]+)"', html)
    return {name.rpartition(".")[2]: name for name in names}


def test_a_correction_of_what_may_be_changed_at_once_is_done_at_once(site: Site) -> None:
    site.send_form(number="one")
    path = site.confirmed("correction")
    assert "canary" not in site.client.get(path).text
    names = values_of(site.client.post(path, data={"action": "show"}).text)
    assert set(names) == {"message", "number"}
    done = site.client.post(path, data={"action": "send", names["number"]: "two"})
    assert done.status_code == 303
    assert "It is done." in site.client.get(done.headers["location"]).text
    data = json.loads(unpack(site.client.post(site.confirmed(), data={"action": "download"})).read("data.json"))
    assert data["data"]["submissions"]["rows"][0]["fields"]["number"] == ["two"]


def test_any_other_correction_is_looked_at_first(site: Site) -> None:
    site.send_form()
    path = site.confirmed("correction")
    names = values_of(site.client.post(path, data={"action": "show"}).text)
    done = site.client.post(path, data={"action": "send", names["message"]: "another song"})
    assert "One of us looks at your request" in site.client.get(done.headers["location"]).text
    assert site.client.post(path, data={"action": "send", names["message"]: "a third"}).status_code == 404


def test_a_correction_that_changes_nothing_says_so_and_can_be_gone_on_with(site: Site) -> None:
    site.send_form(message="first\r\nsecond")
    path = site.confirmed("correction")
    html = site.client.post(path, data={"action": "show"}).text
    same = site.client.post(path, data={"action": "send", values_of(html)["message"]: "first\r\nsecond"})
    assert same.status_code == 400
    assert "Nothing is changed yet" in same.text
    assert site.client.post(path, data={"action": "send", "note": "My name is wrong"}).status_code == 303


def test_a_value_that_cannot_be_kept_is_said_beside_it(site: Site) -> None:
    site.send_form(number="one")
    path = site.confirmed("correction")
    names = values_of(site.client.post(path, data={"action": "show"}).text)
    wrong = site.client.post(path, data={"action": "send", names["number"]: "three", names["message"]: SCRIPT})
    assert wrong.status_code == 400
    assert "cannot be kept as it is written here" in wrong.text
    assert f'id="{names["number"]}-fault"' in wrong.text
    assert "<script" not in wrong.text


def test_nobody_can_correct_what_another_has_sent(site: Site) -> None:
    site.send_form(OTTO, number="one")
    otto = values_of(site.client.post(site.confirmed("correction", OTTO), data={"action": "show"}).text)
    site.send_form(ANNA)
    path = site.confirmed("correction", ANNA)
    assert site.client.post(path, data={"action": "send", otto["number"]: "two"}).status_code == 400
    assert amount("request", "state = 'confirmed' AND acts IS NOT NULL") == 0


def test_the_address_itself_is_shown_and_cannot_be_edited(site: Site) -> None:
    site.send_form()
    html = site.client.post(site.confirmed("correction"), data={"action": "show"}).text
    assert ANNA in html
    assert "email" not in values_of(html)


# --- status ----------------------------------------------------------------------------------------------------------------


def test_a_request_can_be_called_off_once(site: Site) -> None:
    path = site.confirmed("complaint")
    assert "Call it off" in site.client.get(path).text
    assert "It was called off" in site.client.post(path, data={"action": "withdraw"}).text
    again = site.client.post(path, data={"action": "withdraw"})
    assert again.status_code == 409
    assert "can no longer be done" in again.text


def test_the_status_page_shows_neither_address_nor_text(site: Site) -> None:
    html = site.client.get(site.confirmed("complaint", text="secret words")).text
    assert ANNA not in html
    assert "secret" not in html


def test_an_erasure_can_be_called_off_until_it_is_done() -> None:
    site = Site(erasure_delay="3d")
    clock = site.privacy.clerk.clock = Clock()
    site.send_form()
    path = site.confirmed("erasure")
    assert "We erase your data on 7 May 2026" in text_of(site.client.get(path).text)
    assert "It was called off" in site.client.post(path, data={"action": "withdraw"}).text
    clock.move(days=4)
    site.settle()
    assert amount("submission") == 1
    assert graves() == []


def test_what_is_done_cannot_be_called_off(site: Site) -> None:
    path = site.confirmed("erasure")
    assert "Your data are erased" in text_of(site.client.get(path).text)
    assert site.client.post(path, data={"action": "withdraw"}).status_code == 409


def test_a_restriction_can_be_ended_by_its_person(site: Site) -> None:
    path = site.confirmed("restriction")
    assert "Use my data again" in site.client.get(path).text
    assert "Use my data again" not in site.client.post(path, data={"action": "lift"}).text
    assert "lifted" in {mail.kind for mail in site.all_mails()}


def test_a_button_that_is_none_does_nothing(site: Site) -> None:
    path = site.confirmed("complaint")
    assert site.client.post(path, data={"action": "approve"}).status_code < 500
    assert site.state() == "in_review"


# --- text stays text -------------------------------------------------------------------------------------------------------


def test_a_script_in_every_field_is_shown_as_text(site: Site) -> None:
    with site.client:
        site.client.get("/" + "%3Cscript%3Ealert(1)", headers={"referer": "javascript:alert(1)"})
        site.send_form(message=SCRIPT, wish=SCRIPT)
    shown = site.client.post(site.confirmed(), data={"action": "show"}).text
    correct = site.client.post(site.confirmed("correction"), data={"action": "show"}).text
    package = unpack(site.client.post(site.link("ready"), data={"action": "download"}))
    index = package.read("index.html").decode()
    for html in (shown, correct, index):
        assert "&lt;script&gt;" in html
        assert "<script" not in html
        assert "<img" not in html
        assert "{{ 7*7 }}" in html
        assert "javascript:" not in html


# --- where the pages are ---------------------------------------------------------------------------------------------------


def test_secret_links_are_not_in_the_visit_log(site: Site) -> None:
    with site.client:
        place = site.confirmed()
        token = place.rpartition("/")[2]
        site.client.get(place)
        site.client.get("/a", headers={"referer": f"{BASE}{place}"})
        site.client.get(f"/privacyX/{token}")
    stored = repr(hits()) + repr(query("SELECT * FROM page")) + repr(query("SELECT * FROM source"))
    assert "/requests" not in stored
    assert token not in repr([row for row in hits() if "privacyX" not in row["path"]])


def test_below_a_mount_all_links_stay_below_it() -> None:
    site = Site(prefix="/shop")
    site.send_form()
    html = site.client.get("/shop/privacy/requests/").text
    assert 'action="/shop/privacy/requests/"' in html
    path = site.asked("erasure")
    assert path.startswith("/shop/privacy/requests/confirm/")
    assert site.client.get(path).status_code == 200
    place = site.client.post(path).headers["location"]
    assert place.startswith("/shop/privacy/requests/status/")
    assert site.client.get(place).status_code == 200


def test_the_pages_move_with_the_path_and_the_host_has_the_old_one() -> None:
    site = Site(path="/our/data")
    site.send_form()
    place = site.confirmed()
    assert place.startswith("/our/data/requests/overview/")
    assert site.link("ready").startswith("/our/data/requests/overview/")
    assert 'href="/our/data/' in site.client.get(place).text
    assert site.client.get("/privacy/requests/").status_code == 404


def test_a_root_path_of_another_host_leads_nowhere_else(site: Site) -> None:
    client = site.browser(root_path="//evil.example")
    taken = client.post("//evil.example/privacy/requests/", data={"kind": "overview", "email": ANNA})
    assert not taken.headers.get("location", "/x").startswith("//")


# --- is this address known? ------------------------------------------------------------------------------------------------


def test_the_answers_are_the_same_for_known_and_unknown_addresses(site: Site) -> None:
    site.send_form()
    answers = []
    for email in (ANNA, OTTO):
        taken = site.ask("erasure", email)
        sent = site.client.get(taken.headers["location"])
        answers.append([(one.status_code, sorted(one.headers.items()), one.content) for one in (taken, sent)])
    assert answers[0] == answers[1]
    texts = [re.sub(r"confirm/\S+", "", site.mail(to=email).text) for email in (ANNA, OTTO)]
    assert texts[0] == texts[1]


def test_the_time_of_the_answer_does_not_tell_whether_an_address_is_known() -> None:
    site = Site(limits="address=100000,network=100000,all=100000")
    known = [f"known{number}@example.org" for number in range(20)]
    for email in known:
        for _ in range(3):
            site.send_form(email)
    order = [(number % 2 == 0, number) for number in range(1000)]
    random.shuffle(order)
    times: dict[bool, list[float]] = {True: [], False: []}
    with site.client:
        for is_known, number in order:
            email = f"{'known' if is_known else 'unknown'}{number // 2 % 20}@example.org"
            begun = time.perf_counter()
            code = site.ask(KINDS[number // 2 % 5], email).status_code
            times[is_known].append(time.perf_counter() - begun)
            assert code == 303
    assert abs(share_of_slower(times[True], times[False]) - 0.5) < 0.1


def share_of_slower(some: list[float], others: list[float]) -> float:
    """How likely one of `some` is larger than one of `others` (Mann and Whitney's U, as a share: 0.5 if they do not differ)."""
    ranked = sorted([(value, True) for value in some] + [(value, False) for value in others])
    ranks = sum(rank for rank, (_, is_some) in enumerate(ranked, 1) if is_some)
    return (ranks - len(some) * (len(some) + 1) / 2) / (len(some) * len(others))


def test_a_request_for_an_unknown_address_is_confirmed_and_done_like_any_other(site: Site) -> None:
    site.confirmed("erasure", OTTO)
    site.settle()
    assert "We had nothing that was kept under your address" in site.mail("receipt", OTTO).text


def test_erased_means_erased_at_every_source_and_once() -> None:
    source = Source("Customer accounts", erases=lambda _: Erased(3))
    site = Site(sources=[source])
    site.send_form()
    site.confirmed("erasure")
    site.settle()
    assert source.asked == [ANNA]
    assert "Customer accounts: 3" in site.mail("receipt").text
    assert amount("submission") == amount("field") == 0
