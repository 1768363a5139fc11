"""The owner's pages over ASGI: who gets in, what is shown and what is not, and that no visitor's text runs anything there."""

import asyncio
import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from pyarrow import parquet
from starlette.testclient import TestClient

from privacy_middleware import access, waiting
from privacy_middleware.cli import main
from privacy_middleware.collect.agent import Agent
from privacy_middleware.collect.hit import KINDS, Hit
from privacy_middleware.collect.source import DIRECT, Source
from privacy_middleware.collect.visitor import date_of, day_number, day_start
from privacy_middleware.language import Languages
from privacy_middleware.record.submissions import root_key
from privacy_middleware.site.accountability import AccountabilityPages
from privacy_middleware.site.desk import DeskPages
from privacy_middleware.site.owner import FILTERS, OwnerPages
from privacy_middleware.site.pages import Pages
from privacy_middleware.site.panels import PANELS, TITLES
from privacy_middleware.site.periods import NAMES
from privacy_middleware.site.service import ServicePages
from privacy_middleware.site.sign_in import SignIn
from privacy_middleware.statistics import bookkeeper, reports
from privacy_middleware.store.base import Store
from privacy_middleware.waiting import answer_of

from . import databases
from .conftest import FIREFOX, query
from .databases import change, is_there, make_store
from .requesting import SECRET, actions, amount
from .test_recorder import until, write_lock
from .test_request_pages import POLICY, Site

PASSWORD = "a canary in the coal mine"
SALT = "c2FsdA"
HASH = f"scrypt:16:1:1:{SALT}:{access._text(access._scrypt(PASSWORD, access._bytes(SALT), 16, 1, 1))}"
"""Of little cost, as no owner has it: the tests try often."""
CANARY = "/canary-page"
PERSON = Agent("Firefox", "Linux", "desktop", "")
PHONE = Agent("Mobile Safari", "iOS", "mobile", "")
BOT = Agent("", "", "", "ai-training")
TODAY = datetime.now(UTC).date()
WHOLE = (
    POLICY
    + """
[[goals]]
name = "canary goal"
when = "/canary-page"
[[funnels]]
name = "canary funnel"
steps = ["/", "/canary-page"]
[[recipients]]
name = "Printer Ltd"
purpose = "answer"
data = "addresses"
country = "Denmark"
"""
)
OFFICERS = (
    "questions", "requests", "submissions", "questionnaires", "newsletter", "recipients", "statement", "audit", "state",
)  # fmt: skip


# --- a site with figures ---------------------------------------------------------------------------------------------------


def hit(on: date, visitor: int, page: str = "/", *, hour: float = 12, kind: str = "page", **more: Any) -> Hit:
    """One hit on a day, of a person in Denmark who came directly; `more` are other fields of it."""
    day = day_number(on)
    plain: dict[str, Any] = {
        "address": None, "method": 0, "site": "", "status": 200, "source": DIRECT, "campaign": "", "agent": PERSON, "language": "da",
        "country": "DK", "sent": 0, "aborted": 0, "duration": 0,
    }  # fmt: skip
    return Hit(
        day=day, time=day_start(day, UTC) + round(hour * 3_600_000), visitor=visitor, page=page, kind=KINDS.index(kind), **(plain | more)
    )


def fill(site: Site, hits: Iterable[Hit]) -> None:
    """Store hits and count them, as recorder and bookkeeper do."""
    store = site.privacy.store.another()
    store.open()
    try:
        with store.transaction():
            store.add_hits(list(hits))
        now = int(datetime.now(UTC).timestamp() * 1000)
        bookkeeper.count_all(store, site.privacy.terms, now=now, retention_days=site.privacy.settings.retention_days)
    finally:
        store.close()


def ago(days: int) -> date:
    return TODAY - timedelta(days=days)


def traffic(days: int = 50, visitors: int = 8) -> Iterator[Hit]:
    """Every day a few visitors, who do different things."""
    search = Source("search", "google.com/")
    for back in range(2, days + 2):
        for number in range(visitors + back % 5):
            visitor = back * 1000 + number
            about: dict[str, Any] = {"agent": PERSON if number % 2 else PHONE, "source": search if number % 2 else DIRECT}
            about |= {"country": "DK" if number % 2 else "DE", "language": "da-DK" if number % 2 else "de"}
            yield hit(ago(back), visitor, "/", hour=9, campaign="spring" if number % 2 else "", **about)
            if number % 2:
                yield hit(ago(back), visitor, CANARY, hour=9.1, **about)
                yield hit(ago(back), visitor, "/files/price.pdf", hour=9.2, kind="download", sent=120_000, aborted=number % 3 == 0, **about)
        yield from (hit(ago(back), 10**9 + number, "/", agent=BOT, sent=500) for number in range(4))


def make_site(**more: Any) -> Site:
    return Site(**{"policy": WHOLE, "retention_days": 60, **more})


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of pages wait here for the database's thread: each looks again at once."""
    monkeypatch.setattr(waiting, "LOOK", 0.0005)


@pytest.fixture
def site() -> Site:
    return make_site()


@pytest.fixture(scope="module")
def stored_traffic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with visits on fifty days, counted once."""
    return stored(tmp_path_factory, traffic())


@pytest.fixture(scope="module")
def stored_attacks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with visits of which every word is hostile."""
    return stored(tmp_path_factory, hostile_hits())


def stored(factory: pytest.TempPathFactory, hits: Iterable[Hit]) -> Path:
    path = factory.mktemp("stored") / "privacy.db"
    url = databases.current.keep(path) if databases.current.on_postgres else f"sqlite:///{path}"
    site = make_site(database_url=url)
    fill(site, hits)
    return path


@pytest.fixture
def busy(stored_traffic: Path) -> Site:
    databases.back_up(stored_traffic, "privacy.db")
    return make_site()


def token(site: Site, role: access.Role = "officer", *, now: int | None = None) -> str:
    """A link that signs in, as `privacy-middleware login` makes it."""
    store = make_store(site.database)
    store.open()
    try:
        with store.transaction():
            instant = now if now is not None else int(datetime.now(UTC).timestamp() * 1000)
            return access.make_link(store, root_key(store, site.privacy.keys.vault), role, now=instant)
    finally:
        store.close()


def signed_in(site: Site, role: access.Role = "officer") -> TestClient:
    """A browser that is signed in."""
    browser = site.browser()
    assert browser.post(f"/privacy/owner/sign-in/{token(site, role)}").status_code == 303
    return browser


def routes(site: Site) -> list[Any]:
    """Every route of the owner's pages, so that a new one is looked at as well."""
    pages = Pages(Languages())
    sign_in = SignIn(site.privacy, pages)
    owner = OwnerPages(site.privacy, pages, sign_in)
    desk = [*DeskPages(site.privacy, owner, sign_in).routes(), *ServicePages(site.privacy, owner, sign_in).routes()]
    return [*sign_in.routes(), *owner.routes(), *desk]


def places(site: Site) -> list[str]:
    """The path of every page, with something in the place of its parameters."""
    filled = {"{token}": "x" * 43, "{dimension}": "page", "{id}": "0" * 32}
    return [re.sub(r"{\w+}", lambda found: filled[found[0]], f"/privacy{route.path}") for route in routes(site)]


def pages_of(site: Site) -> list[str]:
    """What can be read by GET, apart from signing in."""
    return [place for place in places(site) if "/sign-" not in place and "0" * 32 not in place and place != "/privacy/owner"]


class Shown(HTMLParser):
    """What a page holds: its elements with their attributes, its text, and the cells of its tables."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.tables: list[list[list[str]]] = []
        self._cell: list[str] | None = None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self._cell = []

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self._cell is not None:
            self.tables[-1][-1].append("".join(self._cell).strip())
            self._cell = None

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._cell is not None:
            self._cell.append(data)

    def cards(self) -> list[str]:
        return re.findall(
            r"(?:Visitors|Visits|Page views|Bounce rate|Time of a visit) (\S+(?: s| min \d\d s)?)", " ".join(self.text.split())
        )

    def links(self) -> list[str]:
        return [attributes["href"] for tag, attributes in self.elements if tag == "a"]


def show(browser: TestClient, place: str, status: int = 200, **params: str) -> Shown:
    response = browser.get(f"/privacy/owner/{place}", params=params or None)
    assert response.status_code == status, (place, response.status_code, response.text)
    return Shown(response.text)


def number(text: str) -> int:
    return int(text.replace("\u202f", ""))


def whole_database(*apart: str) -> dict[str, Any]:
    """Every row of every table; apart from when a session was used, and what the workers note of themselves."""
    tables = [row["name"] for row in query("SELECT name FROM sqlite_master WHERE type = 'table'")]
    without = {"lease", "mark", "sqlite_sequence", "sqlite_stat1", *apart}
    found = {name: query(f'SELECT * FROM "{name}"') for name in tables if name not in without}
    for row in found.get("session", ()):
        del row["used"]
    return found


class Answer:
    """What the app sends for one request, asked as a server does, with a path that no client has tidied."""

    def __init__(self, site: Site, method: str, path: str, *, root_path: str = "", headers: dict[str, str] | None = None, query: str = "",
        client: str = "192.0.2.7",
    ) -> None:  # fmt: skip
        sent: list[dict[str, Any]] = []
        named = {"host": "www.example.org", "user-agent": FIREFOX, **(headers or {})}
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "https", "path": path,
            "raw_path": quote(path).encode(), "query_string": query.encode(), "root_path": root_path, "client": (client, 1),
            "server": ("www.example.org", 443), "headers": [(name.encode(), value.encode()) for name, value in named.items()],
        }  # fmt: skip

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(site.app(scope, receive, send))
        self.status = sent[0]["status"]
        self.headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        self.text = b"".join(message.get("body", b"") for message in sent).decode()


# --- nothing is set up -----------------------------------------------------------------------------------------------------


def test_where_nothing_is_set_up_no_owner_page_is_there() -> None:
    site = make_site(mail=False)
    for place in places(site):
        for method in ("GET", "HEAD", "POST"):
            status = site.client.request(method, place).status_code
            assert status == 404 or (status == 405 and method not in ("GET", "HEAD")) or (method != "POST" and "sign-out" in place), (
                method,
                place,
                status,
            )


def test_where_nothing_is_set_up_the_answer_is_that_of_any_page_that_is_not_there() -> None:
    site = make_site(mail=False)
    nowhere = site.client.get("/privacy/nowhere")
    for place in ("owner/", "owner/now", "owner/requests", "owner/sign-in"):
        assert site.client.get(f"/privacy/{place}").text == nowhere.text


def test_once_a_link_waits_one_is_told_how_to_sign_in_and_no_more_when_it_has_lapsed(monkeypatch: pytest.MonkeyPatch) -> None:
    site = make_site(mail=False)
    long_ago = int((datetime.now(UTC) - timedelta(minutes=16)).timestamp() * 1000)
    token(site, now=long_ago)
    assert site.client.get("/privacy/owner/").status_code == 404
    token(site)
    assert site.client.get("/privacy/owner/").status_code == 401


# --- nobody gets in --------------------------------------------------------------------------------------------------------

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get", "GE\tT", "")
OUTSIDE = {400, 401, 403, 404, 405}


def tricks(path: str) -> list[tuple[str, str]]:
    """Other ways to write a path, each with a root path."""
    rest = path.removeprefix("/privacy")
    spellings = [
        path, path + "/", path.rstrip("/"), "/" + path, path.replace("/owner", "//owner"), path.replace("/owner/", "/owner//"), path.upper(),
        path.replace("owner", "Owner"), f"/privacy/.{rest}", f"/privacy/x/..{rest}", f"/privacy/%2e{rest}", f"/privacy/%2e%2e/privacy{rest}",
        path.replace("/owner", "/%6fwner"), path.replace("/owner", "\\owner"), path + ";x", path + "\0", path + "%00", path + " ", path + "?",
        path.replace("owner", "own\u200ber"), f"/PRIVACY{rest}", f"/privacy{rest}.json", f"/./privacy{rest}", f"/x/../privacy{rest}",
    ]  # fmt: skip
    roots = [
        ("/app" + path, "/app"), (path, "/app"), (path, "/privacy"), (path, "/privacy/owner"), (rest, "/privacy"), (path, path), (path, "/"),
        ("/owner" + path, "/owner"),
    ]  # fmt: skip
    return [(spelling, "") for spelling in spellings] + roots


def test_without_sign_in_no_method_and_no_spelling_of_a_path_gives_a_figure(busy: Site) -> None:
    asked = 0
    for place in places(busy):
        if "/sign-" in place:
            continue
        for path, root in tricks(place):
            for method in METHODS if path == place else ("GET", "HEAD", "POST"):
                answer = Answer(busy, method, path, root_path=root)
                asked += 1
                is_hosts = answer.text == "<p>page" or answer.headers.get("location", "").endswith("/")
                assert answer.status in OUTSIDE or is_hosts, (method, path, root, answer.status)
                assert CANARY not in answer.text, (method, path, root)
                assert "set-cookie" not in answer.headers, (method, path, root)
    assert asked > 300
    assert actions() == []


@pytest.mark.parametrize("headers", [
    {"cookie": "privacy-owner=x"},
    {"cookie": "__Host-privacy-owner="},
    {"cookie": "privacy-owner=" + "x" * 43},
    {"cookie": "privacy-owner=' OR 1=1 --"},
    {"cookie": "privacy-owner=" + "y" * 15_000},
    {"cookie": "privacy-owner=\u00e9"},
    {"authorization": "Basic b3duZXI6b3duZXI="},
    {"x-forwarded-user": "owner", "x-remote-user": "owner", "x-original-url": "/privacy/", "x-http-method-override": "GET"},
])  # fmt: skip
def test_no_header_takes_the_place_of_signing_in(busy: Site, headers: dict[str, str]) -> None:
    token(busy)
    for method in ("GET", "HEAD", "POST"):
        answer = Answer(busy, method, "/privacy/owner/", headers=headers)
        assert answer.status in OUTSIDE
        assert CANARY not in answer.text


def test_a_viewer_sees_statistics(busy: Site) -> None:
    viewer = signed_in(busy, "viewer")
    for place in ("", "now", "downloads", "forms", "goals", "bots", "figures/page"):
        html = viewer.get(f"/privacy/owner/{place}").text
        assert "Sign out" in html
        assert not [desk for desk in OFFICERS if f'/owner/{desk}"' in html]


def test_a_viewer_gets_no_page_of_the_officers(busy: Site) -> None:
    busy.send_form()
    until(lambda: amount("submission") == 1)
    asked = busy.confirmed("restriction")
    assert asked
    before = (actions(), query("SELECT * FROM request"))
    viewer = signed_in(busy, "viewer")
    pages = Pages(Languages())
    sign_in = SignIn(busy.privacy, pages)
    own = DeskPages(busy.privacy, None, sign_in).routes()  # type: ignore[arg-type]
    own += AccountabilityPages(busy.privacy, OwnerPages(busy.privacy, pages, sign_in), sign_in).routes()
    own += ServicePages(busy.privacy, OwnerPages(busy.privacy, pages, sign_in), sign_in).routes()
    assert len(own) == 14
    ids = [row["id"] for row in query("SELECT lower(hex(id)) AS id FROM request UNION ALL SELECT lower(hex(id)) FROM submission")]
    for route in own:
        for id_ in ids:
            for method in ("GET", "HEAD", "POST"):
                status = viewer.request(
                    method, f"/privacy{route.path}".replace("{id}", id_), data={"action": "approve"} if method == "POST" else None
                ).status_code
                assert status in (403, 405), (method, route.path, status)
    assert (actions(), query("SELECT * FROM request")) == (before[0] + ["signed in by link"], before[1])


# --- signing in by link ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_link_is_not_used_up_by_looking_at_it(site: Site, method: str) -> None:
    link = f"/privacy/owner/sign-in/{token(site)}"
    for _ in range(3):
        looked = site.client.request(method, link)
        assert looked.status_code == 200
        assert "set-cookie" not in looked.headers
    assert amount("session") == 0
    assert site.client.post(link).status_code == 303


def test_a_link_signs_in_once(site: Site) -> None:
    link = f"/privacy/owner/sign-in/{token(site)}"
    first = site.browser().post(link)
    assert (first.status_code, first.headers["location"]) == (303, "/privacy/owner/")
    again = site.browser().post(link)
    assert again.status_code == 404
    assert "used already" in again.text
    assert "set-cookie" not in again.headers
    assert site.client.get(link).status_code == 404
    assert actions() == ["signed in by link"]


def test_a_link_lapses_after_a_quarter_of_an_hour(site: Site) -> None:
    past = int((datetime.now(UTC) - timedelta(minutes=15, seconds=5)).timestamp() * 1000)
    assert site.client.post(f"/privacy/owner/sign-in/{token(site, now=past)}").status_code == 404


def test_the_address_of_a_link_is_told_to_nobody(site: Site) -> None:
    link = f"/privacy/owner/sign-in/{token(site)}"
    for response in (site.client.get(link), site.client.post(link), site.client.get(link)):
        assert response.headers["cache-control"] == "no-store"
        assert "noindex" in response.headers["x-robots-tag"]
        assert link not in response.text
        if response.status_code != 303:
            assert response.headers["referrer-policy"] == "no-referrer"


def test_the_command_login_makes_a_link_for_either_role(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("SECRET_KEYS", SECRET), ("BASE_URL", "https://www.example.org"), ("POLICY", WHOLE)):
        monkeypatch.setenv(f"PRIVACY_{name}", value)
    site.client.get("/privacy/")
    until(is_there)
    for role, status in (("officer", 200), ("viewer", 403)):
        assert main(["login", "--role", role]) == 0
        printed = capsys.readouterr().out
        link = re.search(r"https://www\.example\.org(/privacy/owner/sign-in/[\w-]{43})\n", printed)
        assert link, printed
        browser = site.browser()
        assert browser.post(link[1]).status_code == 303
        assert browser.get("/privacy/owner/audit").status_code == status
    assert main(["logout"]) == 0
    assert browser.get("/privacy/owner/").status_code == 404  # nobody has asked for the pages any more


# --- by password -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def guarded() -> Site:
    return make_site(mail=False, owner_password_hash=HASH)


def try_password(browser: TestClient, password: str, **headers: str) -> Any:
    return browser.post("/privacy/owner/sign-in", data={"password": password}, headers=headers)


def test_the_password_signs_in_as_an_officer() -> None:
    guarded = make_site(mail=False, owner_password_hash=access.hash_password(PASSWORD))
    assert 'type="password"' in guarded.client.get("/privacy/owner/sign-in").text
    done = try_password(guarded.client, PASSWORD)
    assert (done.status_code, done.headers["location"]) == (303, "/privacy/owner/")
    assert guarded.client.get("/privacy/owner/audit").status_code == 200
    assert actions() == ["signed in by password"]


@pytest.mark.parametrize("password", ["", "wrong", PASSWORD + " ", PASSWORD.upper(), "\0", "x" * 15_000, HASH, "\u202e", "é" * 100])
def test_another_password_does_not(guarded: Site, password: str) -> None:
    refused = try_password(guarded.client, password)
    assert refused.status_code == 403
    assert "This is not the password" in refused.text
    assert 'role="alert"' in refused.text
    assert "set-cookie" not in refused.headers
    assert guarded.client.get("/privacy/owner/").status_code == 401


def test_a_password_of_20_kilobytes_is_refused_unread(guarded: Site) -> None:
    assert try_password(guarded.client, "x" * 20_001).status_code == 413


def test_after_ten_tries_from_a_network_the_right_password_does_not_help_there(guarded: Site) -> None:
    here, near, elsewhere = ({"client": (address, 1)} for address in ("8.8.8.8", "8.8.8.200", "9.9.9.9"))
    for _ in range(10):
        assert try_password(guarded.browser(**here), "wrong").status_code == 403
    for where in (here, near):
        late = try_password(guarded.browser(**where), PASSWORD)
        assert late.status_code == 429
        assert "wait" in late.text
        assert "set-cookie" not in late.headers
    assert try_password(guarded.browser(**elsewhere), PASSWORD).status_code == 303


def test_a_forged_address_does_not_give_more_tries(guarded: Site) -> None:
    browser = guarded.browser(client=("8.8.8.8", 1))
    answers = [try_password(browser, "wrong", **{"x-forwarded-for": f"9.9.{number}.1"}).status_code for number in range(11)]
    assert answers == [403] * 10 + [429]


def test_behind_a_proxy_that_was_not_declared_others_do_not_lock_the_owner_out(guarded: Site) -> None:
    browser = guarded.browser(client=("10.0.0.1", 1))
    assert [try_password(browser, "wrong").status_code for _ in range(12)] == [403] * 12
    assert try_password(browser, PASSWORD).status_code == 303


def test_a_hundred_tries_an_hour_are_all(guarded: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(access.MOST_TRIES, "all", 5)
    answers = [try_password(guarded.browser(client=(f"203.0.{number}.1", 1)), "wrong").status_code for number in range(6)]
    assert answers == [403] * 5 + [429]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_looking_at_the_form_is_no_try(guarded: Site, method: str) -> None:
    for _ in range(12):
        assert guarded.client.request(method, "/privacy/owner/sign-in").status_code == 200
    signed_in(guarded)
    assert amount("attempt") == 0


def test_another_password_ends_all_sessions(guarded: Site) -> None:
    try_password(guarded.client, PASSWORD)
    cookie = guarded.client.cookies
    other = make_site(mail=False, owner_password_hash=access.hash_password("another canary in the mine"))
    assert other.browser(cookies=dict(cookie)).get("/privacy/owner/").status_code == 401
    same = make_site(mail=False, owner_password_hash=HASH)
    assert same.browser(cookies=dict(cookie)).get("/privacy/owner/").status_code == 200


def test_another_secret_key_ends_all_sessions_even_if_the_old_one_is_listed(guarded: Site) -> None:
    try_password(guarded.client, PASSWORD)
    other = make_site(mail=False, owner_password_hash=HASH, secret_keys="another-secret-of-the-tests-" * 2 + "," + SECRET)
    assert other.browser(cookies=dict(guarded.client.cookies)).get("/privacy/owner/").status_code == 401


# --- by mail ---------------------------------------------------------------------------------------------------------------


def test_a_link_is_mailed_to_the_owner_and_to_nobody_else() -> None:
    site = make_site(owner_email="berta@example.net")
    sent = site.client.post("/privacy/owner/sign-in", data={"mail": "1", "email": "eve@example.org"}, headers={"host": "evil.example"})
    assert sent.status_code == 200
    assert "on its way" in sent.text
    mail = site.mail("sign_in", "berta@example.net")
    assert "evil" not in mail.text
    link = re.search(r"https://www\.example\.org(/privacy/owner/sign-in/[\w-]+)", mail.text)
    assert link, mail.text
    assert [mail.to for mail in site.all_mails()] == ["berta@example.net"]
    assert link[1].rpartition("/")[2] not in sent.text
    assert site.client.post(link[1]).status_code == 303
    assert site.client.get("/privacy/owner/audit").status_code == 200


def test_links_are_mailed_ten_times_an_hour_at_most() -> None:
    site = make_site(owner_email="berta@example.net")
    browser = site.browser(client=("8.8.8.8", 1))
    answers = [browser.post("/privacy/owner/sign-in", data={"mail": "1"}).status_code for _ in range(12)]
    assert answers == [200] * 10 + [429] * 2
    assert [row["action"] for row in query("SELECT action FROM audit")] == ["link to sign in mailed to the owner"] * 10


def test_nothing_is_mailed_where_no_owner_is_named(guarded: Site) -> None:
    answer = guarded.client.post("/privacy/owner/sign-in", data={"mail": "1"})
    assert answer.status_code == 403
    assert amount("sign_in") == 0


# --- by the host -----------------------------------------------------------------------------------------------------------


async def _later(role: Any) -> Any:
    await asyncio.sleep(0)
    return role


def _fails(_: Any) -> str:
    raise RuntimeError("canary in the host")


AUTHORIZED: list[tuple[Callable[[Any], Any], int, int]] = [
    (lambda _: "officer", 200, 200),
    (lambda _: "viewer", 200, 403),
    (lambda _: _later("officer"), 200, 200),
    (lambda _: _later("viewer"), 200, 403),
    (lambda _: None, 401, 401),
    (lambda _: _later(None), 401, 401),
    (lambda _: "admin", 401, 401),
    (lambda _: "Officer", 401, 401),
    (lambda _: True, 401, 401),
    (lambda _: ["officer"], 401, 401),
    (lambda _: {}, 401, 401),
    (_fails, 401, 401),
    (lambda _: _later(1 / 0), 401, 401),
]


@pytest.mark.parametrize(("authorize", "figures", "audit"), AUTHORIZED)
def test_the_host_says_who_is_signed_in(authorize: Callable[[Any], Any], figures: int, audit: int) -> None:
    site = make_site(mail=False, authorize=authorize)
    assert site.client.get("/privacy/owner/").status_code == figures
    assert site.client.get("/privacy/owner/audit").status_code == audit


def test_a_fault_of_the_host_is_counted_and_nothing_of_it_is_shown() -> None:
    site = make_site(mail=False, authorize=_fails)
    assert "canary" not in site.client.get("/privacy/owner/").text
    site.privacy.recorder.submit(lambda _: None).result(5)
    site.privacy.recorder.close()
    assert [row["name"] for row in query("SELECT name FROM counter WHERE name LIKE 'fault.%'")] == ["fault.RuntimeError"]


def test_whom_the_host_does_not_know_can_sign_in_by_link_all_the_same() -> None:
    site = make_site(authorize=lambda _: None)
    assert signed_in(site).get("/privacy/owner/").status_code == 200


# --- the session -----------------------------------------------------------------------------------------------------------


def test_the_cookie_is_kept_from_scripts_other_sites_and_plain_http(site: Site) -> None:
    cookie = site.client.post(f"/privacy/owner/sign-in/{token(site)}").headers["set-cookie"]
    name, *attributes = cookie.split("; ")
    assert re.fullmatch(r"__Host-privacy-owner=[\w-]{43}", name)
    assert {attribute.lower() for attribute in attributes} == {"path=/", "secure", "httponly", "samesite=strict", "max-age=43200"}


def test_over_plain_http_the_cookie_has_another_name_and_is_not_secure(site: Site) -> None:
    client = site.browser()
    client.base_url = "http://testserver"
    cookie = client.post(f"/privacy/owner/sign-in/{token(site)}").headers["set-cookie"]
    assert cookie.startswith("privacy-owner=")
    assert "secure" not in cookie.lower()
    assert "HttpOnly" in cookie


def test_over_https_a_cookie_that_another_host_can_set_does_not_count(site: Site) -> None:
    cookie = signed_in(site).cookies["__Host-privacy-owner"]
    assert site.browser(cookies={"privacy-owner": cookie}).get("/privacy/owner/").status_code == 401


def test_a_session_id_from_before_signing_in_is_worth_nothing(guarded: Site) -> None:
    planted = "z" * 43
    client = guarded.browser(cookies={"__Host-privacy-owner": planted})
    done = try_password(client, PASSWORD)
    assert planted not in done.headers["set-cookie"]
    assert guarded.browser(cookies={"__Host-privacy-owner": planted}).get("/privacy/owner/").status_code == 401


def test_signing_in_again_gives_another_session(guarded: Site) -> None:
    given = {try_password(guarded.client, PASSWORD).headers["set-cookie"].split(";")[0] for _ in range(3)}
    assert len(given) == 3


def test_the_database_holds_no_link_and_no_session_that_could_be_used(site: Site) -> None:
    link = token(site)
    client = signed_in(site)
    until(lambda: amount("session") == 1)
    stored = b"".join(path.read_bytes() for path in Path().glob("privacy.db*"))
    for secret in (link, client.cookies["__Host-privacy-owner"]):
        assert secret.encode() not in stored


@pytest.mark.parametrize(("column", "hours"), [("used", 2), ("began", 12)])
def test_a_session_ends_when_it_is_idle_or_old(site: Site, column: str, hours: int) -> None:
    client = signed_in(site)
    token(site)  # so that there is something to be told

    def move(minutes: int) -> int:
        change(f"UPDATE session SET {column} = ?", int(datetime.now(UTC).timestamp() * 1000 - minutes * 60_000), path=site.database)
        return client.get("/privacy/owner/").status_code

    assert move(hours * 60 - 2) == 200
    assert move(hours * 60 + 1) == 401


def test_signing_out_ends_this_session_only(site: Site) -> None:
    one, other = signed_in(site), signed_in(site)
    copied = dict(one.cookies)
    done = one.post("/privacy/owner/sign-out")
    assert (done.status_code, done.headers["location"]) == (303, "/privacy/owner/sign-in")
    assert "max-age=0" in done.headers["set-cookie"].lower()
    assert one.get("/privacy/owner/").status_code == 401
    assert site.browser(cookies=copied).get("/privacy/owner/").status_code == 401
    assert other.get("/privacy/owner/").status_code == 200


def test_signing_out_everywhere_ends_all_sessions_and_links(site: Site) -> None:
    one, other = signed_in(site), signed_in(site, "viewer")
    waiting = token(site)
    assert one.post("/privacy/owner/sign-out", data={"everywhere": "1"}).status_code == 303
    assert amount("session") == amount("sign_in") == 0
    assert other.get("/privacy/owner/").status_code == 404  # nothing is set up any more
    assert site.client.post(f"/privacy/owner/sign-in/{waiting}").status_code == 404
    assert actions()[-1] == "signed out everybody"


def test_a_viewer_cannot_sign_out_the_others(site: Site) -> None:
    one, other = signed_in(site, "viewer"), signed_in(site)
    one.post("/privacy/owner/sign-out", data={"everywhere": "1"})
    assert one.get("/privacy/owner/").status_code == 401
    assert other.get("/privacy/owner/").status_code == 200


# --- other sites -----------------------------------------------------------------------------------------------------------

CROSS = [
    {"sec-fetch-site": "cross-site", "origin": "https://evil.example"},
    {"sec-fetch-site": "same-site", "origin": "https://www2.example.org"},
    {"origin": "https://evil.example"},
    {"origin": "https://www.example.org.evil.example"},
    {"origin": "null"},
]


@pytest.mark.parametrize("headers", CROSS)
def test_no_other_site_can_have_anything_done(site: Site, headers: dict[str, str]) -> None:
    site.send_form()
    until(lambda: amount("submission") == 1)
    site.asked("correction")
    officer = signed_in(site)
    ids = query("SELECT lower(hex(id)) AS id FROM request UNION ALL SELECT lower(hex(id)) FROM submission")
    before = whole_database()
    for place in ("sign-out", "sign-in", *(f"{kind}/{row['id']}" for kind in ("requests", "submissions") for row in ids)):
        answer = officer.post(f"/privacy/owner/{place}", data={"action": "refuse", "text": "no", "everywhere": "1"}, headers=headers)
        assert answer.status_code == 403, place
    assert whole_database() == before


@pytest.mark.parametrize("headers", CROSS[:2])
def test_no_other_site_can_sign_anybody_in(site: Site, headers: dict[str, str]) -> None:
    link = f"/privacy/owner/sign-in/{token(site)}"
    assert site.client.post(link, headers=headers).status_code == 403
    assert site.client.post(link).status_code == 303


def test_reading_changes_nothing(busy: Site) -> None:
    busy.send_form()
    until(lambda: amount("submission") == 1)
    busy.asked("correction")
    until(lambda: amount("mail") == 0)
    link = token(busy)
    officer = signed_in(busy)
    officer.get("/privacy/owner/")  # today's figures are counted
    busy.privacy.recorder.submit(lambda _: None).result(5)
    ids = query("SELECT lower(hex(id)) AS id FROM request UNION ALL SELECT lower(hex(id)) FROM submission")
    details = [f"/privacy/owner/{kind}/{row['id']}" for kind in ("requests", "submissions") for row in ids]
    before = whole_database("audit")
    notes = len(actions())
    for place in [*places(busy), f"/privacy/owner/sign-in/{link}", f"/privacy/owner/figures/page?by=page&value={CANARY}", *details]:
        for method in ("GET", "HEAD"):
            assert officer.request(method, place).status_code in (200, 303, 404, 405), place
    assert whole_database("audit") == before
    assert set(actions()[notes:]) <= {"show", "show request"}  # to open something is noted


# --- figures ---------------------------------------------------------------------------------------------------------------


def read(site: Site, work: Callable[[Store], Any]) -> Any:
    store = make_store(site.database)
    store.open_to_read()
    try:
        return work(store)
    finally:
        store.close()


def days(first: date, last: date) -> dict[str, Any]:
    return {"first": day_number(first), "last": day_number(last), "fewest": 3}


SPAN = {"from": ago(29).isoformat(), "to": ago(0).isoformat()}


def test_the_cards_are_the_figures_of_the_store(busy: Site) -> None:
    total = read(busy, lambda store: reports.totals(store, **days(ago(29), ago(0))))
    assert total.visitors > 200
    shown = signed_in(busy).get("/privacy/owner/").text
    cards = re.findall(r'<span class="name">(.*?)</span> <strong>(.*?)</strong>', shown)
    assert [name for name, _ in cards] == ["Visitors", "Visits", "Page views", "Bounce rate", "Time of a visit"]
    assert [number(text) for _, text in cards[:3]] == [total.visitors, total.visits, total.page_views]
    assert cards[3][1] == f"{total.bounce_rate:.0%}"
    minutes, seconds = divmod(round(total.visit_seconds), 60)
    assert cards[4][1] == (f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s")


def test_the_figures_are_those_of_the_hits_counted_by_hand(busy: Site) -> None:
    first = day_number(ago(29))
    mine = [one for one in traffic() if one.day >= first and not one.agent.bot]
    total = read(busy, lambda store: reports.totals(store, **days(ago(29), ago(0))))
    assert total.visitors == len({(one.day, one.visitor) for one in mine})
    assert total.page_views == sum(one.kind == KINDS.index("page") for one in mine)


def test_the_chart_has_every_day_and_a_table_behind_it(busy: Site) -> None:
    by_day = {row.value: row for row in read(busy, lambda store: reports.by_day(store, **days(ago(29), ago(0))))}
    table = show(signed_in(busy), "").tables[0]
    assert table[0] == ["When", "Visitors", "Page views"]
    assert [row[0] for row in table[1:]] == [ago(back).isoformat() for back in range(29, -1, -1)]
    for name, visitors, views in table[1:]:
        expected = by_day.get(name, reports.NOTHING)
        assert (number(visitors), number(views)) == (expected.visitors, expected.page_views)


def test_a_panel_has_the_rows_of_the_store(busy: Site) -> None:
    officer = signed_in(busy)
    for dimension in TITLES:
        rows = read(busy, lambda store, name=dimension: reports.rows(store, name, **days(ago(29), ago(0))))
        page = show(officer, f"figures/{dimension}", **SPAN)
        shown = sorted(number(row[-1]) for row in page.tables[0][1:]) if page.tables else []
        by_hits = dimension in ("download", "status", "bot", "kind")
        assert shown == sorted(n for row in rows if (n := row.hits if by_hits else row.visitors)), dimension


def test_the_dashboard_has_ten_rows_of_a_panel_and_leads_to_all(site: Site) -> None:
    fill(site, (hit(ago(3), 100 * page + n, f"/page-{page:02d}") for page in range(15) for n in range(20 - page)))
    html = signed_in(site).get("/privacy/owner/").text
    pages = re.search(r'<section aria-labelledby="panel-page">(.*?)</section>', html, re.DOTALL)
    assert pages
    assert re.findall(r">(/page-\d\d)<", pages[1]) == [f"/page-{page:02d}" for page in range(10)]
    assert "All 15" in pages[1]


def test_what_it_was_before_is_compared(site: Site) -> None:
    fill(site, (hit(ago(back), 100 * back + n) for back in range(2, 16) for n in range(10 if back < 9 else 5)))
    html = signed_in(site).get("/privacy/owner/", params={"from": ago(8).isoformat(), "to": ago(2).isoformat()}).text
    assert re.findall(r'<span class="change[^"]*">([+-]\d+%)', html)[:3] == ["+100%"] * 3
    first = signed_in(site).get("/privacy/owner/", params={"from": ago(15).isoformat(), "to": ago(9).isoformat()}).text
    assert 'class="change' not in first  # before that nothing was counted


def test_every_period_is_shown(busy: Site) -> None:
    officer = signed_in(busy)
    for name in NAMES:
        page = show(officer, "", period=name)
        [current] = [
            link
            for tag, link in page.elements
            if tag == "a" and "period=" in link["href"] and "aria-current" in link and "hreflang" not in link
        ]
        assert current["href"] == f"/privacy/owner/?period={name}"


WRONG = [
    ({"period": "fortnight"}, "Known are"),
    ({"period": ""}, "Known are"),
    ({"period": "'; DROP TABLE hit; --"}, "Known are"),
    ({"from": "2026-02-30"}, "2026-05-01"),
    ({"from": "yesterday"}, "2026-05-01"),
    ({"to": "<script>"}, "2026-05-01"),
    ({"from": "2026-05-02", "to": "2026-05-01"}, "Swap them"),
    ({"from": "1971-01-01", "to": "2026-05-01"}, "Choose fewer"),
    ({"from": "0001-01-01"}, "1971 to 2100"),
    ({"from": "9999-12-31"}, "1971 to 2100"),
    ({"by": "visitor", "value": "1"}, "Known are"),
    ({"by": "bot", "value": "ai"}, "Known are"),
    ({"by": "<script>"}, "Known are"),
]


@pytest.mark.parametrize("place", ["", "downloads", "bots", "forms", "goals", "figures/page"])
def test_a_wrong_address_is_told_with_a_remedy(site: Site, place: str) -> None:
    viewer = signed_in(site, "viewer")
    for params, remedy in WRONG:
        answer = viewer.get(f"/privacy/owner/{place}", params=params)
        assert answer.status_code == 400, params
        assert remedy in answer.text
        assert "<script" not in answer.text


def test_a_page_that_is_not_there_is_404(site: Site) -> None:
    officer = signed_in(site)
    for place in ("figures/nothing", "figures/total", "figures/", "nowhere", "requests/x/y", "now/", "figures/page/"):
        assert officer.get(f"/privacy/owner/{place}").status_code == 404, place


def test_a_time_without_figures_is_shown_empty(busy: Site) -> None:
    officer = signed_in(busy)
    for first, last in (("2099-12-01", "2100-12-31"), ("1971-01-01", "1971-01-02"), ("1971-01-01", "1980-12-31")):
        assert "no visitors in this time" in show(officer, "", **{"from": first, "to": last}).text


def test_of_a_long_period_no_visitor_is_missing_in_the_chart(busy: Site) -> None:
    span = {"from": ago(100).isoformat(), "to": ago(0).isoformat()}
    page = show(signed_in(busy), "", **span)
    total = read(busy, lambda store: reports.totals(store, **days(ago(100), ago(0))))
    assert sum(number(row[1]) for row in page.tables[0][1:]) == total.visitors


def test_today_is_counted_when_somebody_looks(site: Site) -> None:
    officer = signed_in(site)
    for visitor in range(4):
        site.browser(client=(f"198.51.{visitor}.7", 1)).get("/a")
    site.privacy.recorder.submit(lambda _: None).result(5)
    until(lambda: amount("hit") == 4)
    html = officer.get("/privacy/owner/?period=today").text
    assert "as of " in html
    assert re.findall(r"<strong>(\d+)</strong>", html)[:3] == ["3", "3", "3"]  # rounded down to multiples of 3
    now = show(officer, "now")
    assert now.tables[0][1:] == [["/a", "3"]]


def test_fewer_than_three_are_not_shown_anywhere(site: Site) -> None:
    fill(
        site,
        [*(hit(ago(3), n, "/many") for n in range(9)), *(hit(ago(3), 100 + n, "/few-canary", agent=PHONE, country="SE") for n in range(2))],
    )
    officer = signed_in(site)
    for place in pages_of(site):
        assert "few-canary" not in officer.get(place).text
    for dimension in TITLES:
        for kind in ("csv", "json", "ndjson"):
            text = officer.get(f"/privacy/owner/figures/{dimension}?format={kind}").text
            assert "few-canary" not in text, dimension
            assert "iOS" not in text, dimension


# --- filters ---------------------------------------------------------------------------------------------------------------


def test_every_value_that_can_be_clicked_leads_to_its_figures(busy: Site) -> None:
    officer = signed_in(busy)
    for dimension in FILTERS:
        links = [
            link for link in show(officer, f"figures/{dimension}", **SPAN).links() if f"by={dimension}" in link and "period=" not in link
        ]
        for link in links[:1]:
            page = officer.get(link)
            assert page.status_code == 200, link
            assert "Only visits with" in page.text
            assert "whole weeks" in page.text
            assert "Show all visits" in page.text


def test_a_filter_counts_only_the_visits_with_that_value(busy: Site) -> None:
    html = signed_in(busy).get("/privacy/owner/", params={**SPAN, "by": "country", "value": "DE"}).text
    said = re.search(r'<p class="quiet">(\d+ \w+ \d{4}) to (\d+ \w+ \d{4}), whole weeks', html)
    assert said
    first, last = (datetime.strptime(text, "%d %B %Y").date() for text in said.groups())  # noqa: DTZ007
    assert (first.weekday(), last.weekday()) == (0, 6)
    mine = {(one.day, one.visitor) for one in traffic() if one.country == "DE" and first <= date_of(one.day) <= last}
    [visitors] = re.findall(r"Visitors</span> <strong>(\d+)<", html)
    weeks = (last - first).days // 7 + 1
    assert len(mine) - 3 * weeks < int(visitors) <= len(mine)
    assert "/canary-page" not in html  # only the others went there


def test_a_filter_without_a_whole_week_says_so(busy: Site) -> None:
    page = show(signed_in(busy), "", period="today", by="country", value="DK")
    assert "whole weeks" in page.text
    assert "Choose a period" in page.text


@pytest.mark.parametrize("by", FILTERS)
def test_any_value_can_be_asked_for_and_shows_nothing_that_is_not_there(busy: Site, by: str) -> None:
    officer = signed_in(busy)
    month = {"from": ago(14).isoformat(), "to": ago(2).isoformat(), "by": by}
    for value in ("", "nothing", "\x01", "-1", "99", "9" * 5000, "²", "\0", "' OR 1=1 --"):
        answer = officer.get("/privacy/owner/figures/page", params={**month, "value": value})
        assert answer.status_code in (200, 400), value
        if value not in ("", "99", "-1"):
            assert CANARY not in answer.text


# --- files -----------------------------------------------------------------------------------------------------------------


def file(browser: TestClient, dimension: str, kind: str, **params: str) -> Any:
    response = browser.get(f"/privacy/owner/figures/{dimension}", params={**SPAN, **params, "format": kind})
    assert response.status_code == 200
    assert response.headers["content-disposition"] == f'attachment; filename="{dimension}-{SPAN["from"]}-{SPAN["to"]}.{kind}"'
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-store"
    return response


def rows_in(response: Any, kind: str) -> list[dict[str, Any]]:
    if kind == "csv":
        return [
            {name: value if name == "value" else float(value) for name, value in row.items()}
            for row in csv.DictReader(io.StringIO(response.text))
        ]
    if kind == "json":
        return list(response.json()["rows"])
    if kind == "ndjson":
        return [json.loads(line) for line in response.text.splitlines()]
    return list(parquet.read_table(io.BytesIO(response.content)).to_pylist())


@pytest.mark.parametrize("params", [{}, {"by": "country", "value": "DK"}], ids=["all", "filtered"])
@pytest.mark.parametrize("kind", ["csv", "json", "ndjson", "parquet"])
def test_a_file_holds_what_the_page_shows(busy: Site, kind: str, params: dict[str, str]) -> None:
    officer = signed_in(busy)
    for dimension in ("page", "source", "country", "download", "bot", "hour", "goal_source", "day"):
        found = {row["value"]: row for row in rows_in(file(officer, dimension, kind, **params), kind)}
        page = show(officer, f"figures/{dimension}", **SPAN, **params)
        shown = {row[0]: row[1:] for row in page.tables[0][1:]} if page.tables else {}
        column = "hits" if dimension in ("download", "bot") else "visitors"
        assert {name: int(row[column]) for name, row in found.items() if row[column]} == {
            name: number(cells[-1]) for name, cells in shown.items()
        }
        if dimension == "page":
            assert found
            assert {name: int(row["page_views"]) for name, row in found.items()} == {
                name: number(cells[0]) for name, cells in shown.items()
            }


def test_json_says_what_it_is(busy: Site) -> None:
    found = file(signed_in(busy), "country", "json", by="country", value="DK").json()
    assert {name: found[name] for name in ("dimension", "from", "to", "filter", "fewest_visitors_shown")} == {
        "dimension": "country", **SPAN, "filter": {"by": "country", "value": "DK"}, "fewest_visitors_shown": 3,
    }  # fmt: skip


def test_another_format_is_refused_with_a_remedy(site: Site) -> None:
    officer = signed_in(site)
    for kind in ("xlsx", "CSV", "../csv", "<script>", "csv\0"):
        answer = officer.get("/privacy/owner/figures/page", params={"format": kind})
        assert answer.status_code == 400
        assert "csv, json, ndjson, parquet" in answer.text
        assert answer.headers["content-type"].startswith("text/plain")


def test_a_file_without_rows_is_a_file_all_the_same(site: Site) -> None:
    officer = signed_in(site)
    for kind in ("csv", "json", "ndjson", "parquet"):
        assert rows_in(file(officer, "page", kind), kind) == []


# --- hostile visitors ------------------------------------------------------------------------------------------------------

HOSTILE = [
    "<script>alert('canary')</script>", '"><img src=x onerror=alert(1)>', "' onmouseover='alert(1)", "javascript:alert(1)", "JaVaScRiPt&#58;alert(1)",
    "data:text/html,<script>alert(1)</script>", "=cmd|' /C calc'!A0", "@SUM(1+1)*cmd|' /C calc'!A0", "+1+cmd|' /C calc'!A0", "-2+3+cmd|' /C calc'!A0",
    "\t=1+1", "\r=1+1", "\n=1+1", "x;=1+1", "a\0b", "\u202egnp.exe", "{{ 7*7 }}", "{% for x in y %}", "${7*7}", "#{7*7}", "<!--", "-->", "]]>",
    "</title></svg></style><script>alert(1)</script>", "%s%n%d", "//evil.example/x", "\\\\evil", "&lt;b&gt;", "x" * 8192, "\x1f", "\x02", "\u2028", "\ufeff=1",
    "<svg/onload=alert(1)>", "`'\"><b>",
]  # fmt: skip
TAGS = set(
    "html head meta title link body a header footer nav ul li form button main h1 h2 h3 p section table thead tbody tr th td svg rect line text "
    "polyline path figure figcaption details summary span strong ol label input code dl div dt dd textarea pre".split()
)
ATTRIBUTES = set(
    "lang charset name content rel href class aria-label aria-current method action id aria-labelledby scope viewbox role x y x1 x2 y1 y2 width "
    "height text-anchor points d preserveaspectratio aria-hidden type required value for aria-describedby rows maxlength colspan autocomplete hidden role tabindex hreflang".split()
)


def check_harmless(html: str, where: str) -> None:
    page = Shown(html)
    for tag, attributes in page.elements:
        assert tag in TAGS, (where, tag, attributes)
        assert set(attributes) <= ATTRIBUTES, (where, tag, attributes)
        for name in ("href", "action"):
            if name in attributes:
                assert re.match(r"#|/privacy(/|$)|/$|\?[\w%.~+&=*-]*lang=\w\w$", attributes[name]), (where, attributes)
    assert "49" not in re.findall(r"(?:^|\W)49(?=\W|$)", page.text)  # no template was run


def hostile_hits() -> Iterator[Hit]:
    """Three visitors a day, over a fortnight, for each hostile text, in every place that can hold one."""
    for place, text in enumerate(HOSTILE):
        value = text[:1000]
        about: dict[str, Any] = {
            "source": Source("referral", value), "campaign": value, "agent": Agent(value, value, value, ""), "language": value, "country": value,
            "site": value,
        }  # fmt: skip
        for visitor, back in product(range(place * 10, place * 10 + 3), range(2, 16)):
            yield hit(ago(back), visitor, value, **about)
            yield hit(ago(back), visitor, "/" + value, kind="download", hour=12.1, **about)
            if back == 2:
                yield hit(ago(back), 5000 + visitor, "/", agent=Agent("", "", "", value))


@pytest.fixture
def hostile(stored_attacks: Path) -> Site:
    databases.back_up(stored_attacks, "privacy.db")
    return make_site()


def test_no_text_of_a_visitor_runs_on_any_page(hostile: Site) -> None:
    officer = signed_in(hostile)
    pages = [*pages_of(hostile), *(f"/privacy/owner/figures/{dimension}" for dimension in TITLES)]
    for place in pages:
        response = officer.get(place)
        assert response.status_code == 200, place
        check_harmless(response.text, place)
        assert "script-src" not in response.headers["content-security-policy"]
        assert "unsafe" not in response.headers["content-security-policy"]
    assert "<script>alert('canary')</script>" in show(officer, "figures/page").text  # it is shown as what it is
    assert "{{ 7*7 }}" in show(officer, "figures/campaign").text


def test_a_filter_by_a_hostile_value_runs_nothing(hostile: Site) -> None:
    officer = signed_in(hostile)
    for value in HOSTILE:
        response = officer.get("/privacy/owner/", params={"by": "campaign", "value": value})
        assert response.status_code == 200
        check_harmless(response.text, value)


def test_the_link_of_a_hostile_value_filters_by_just_that_value(hostile: Site) -> None:
    officer = signed_in(hostile)
    links = [link for link in show(officer, "figures/campaign").links() if "by=campaign" in link and "period=30d" in link]
    assert len(links) == len(HOSTILE)
    for link in links:
        page = officer.get(link.replace("/owner/?", "/owner/figures/device?"))
        assert len(Shown(page.text).tables[0]) == 2, link


def test_no_cell_of_a_file_is_a_formula(hostile: Site) -> None:
    officer = signed_in(hostile)
    for dimension in ("page", "source", "campaign", "browser", "os", "language", "country", "bot", "download", "site"):
        text = officer.get(f"/privacy/owner/figures/{dimension}?format=csv").content.decode()
        rows = list(csv.reader(io.StringIO(text, newline="")))
        assert len(rows) > 10
        for row in rows[1:]:
            assert len(row) == 9
            for cell in row:
                assert not cell.lstrip(" \0\ufeff\u00a0").startswith(("=", "+", "-", "@", "\t", "\r", "\n")), cell
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=";"):  # as a spreadsheet in much of Europe reads it
            for cell in row[1:]:
                assert not cell.lstrip(" \0\ufeff").startswith(("=", "+", "@")), cell


def test_hostile_requests_break_no_page(site: Site) -> None:
    for value in HOSTILE:
        plain = value.encode("utf-8", "replace").decode("latin-1").translate(dict.fromkeys((0, 10, 13)))
        headers = {"user-agent": FIREFOX + plain[:4000], "referer": f"https://evil.example/{plain[:2000]}", "accept-language": plain[:100]}
        query_ = urlencode({"utm_source": value[:500], "ref": value[:500]})
        for address in ("192.0.2.1", "198.51.100.1", "203.0.113.1"):
            Answer(site, "GET", f"/{value}", headers=headers, query=query_, client=address)
    officer = signed_in(site)
    until(lambda: amount("hit") == 3 * len(HOSTILE))
    for place in [*pages_of(site), *(f"/privacy/owner/figures/{dimension}?period=today" for dimension in TITLES)]:
        response = officer.get(place)
        assert response.status_code == 200, place
        check_harmless(response.text, place)
    assert "{{" in show(officer, "figures/campaign", period="today").text


INJECTIONS = ["'", "' OR 1=1 --", "'; DROP TABLE hit; --", "1 UNION SELECT 1", "\\", "%", ":value", "0x00"]


def test_sql_in_a_parameter_is_only_text(busy: Site) -> None:
    sent(busy)
    officer = signed_in(busy)
    officer.get("/privacy/owner/")
    before = whole_database()
    for value in INJECTIONS:
        for place, names in (
            ("", "period from to by sort"),
            ("figures/page", "format value"),
            ("submissions", "purpose"),
            ("audit", "page"),
        ):
            for name in names.split():
                answer = officer.get(f"/privacy/owner/{place}", params={name: value})
                assert answer.status_code == (400 if name in ("period", "from", "to", "by", "format") else 200), (name, value)
        for place in ("figures/", "requests/", "submissions/", "sign-in/"):
            assert officer.get(f"/privacy/owner/{place}{quote(value, safe='')}").status_code == 404, place
        assert CANARY not in officer.get("/privacy/owner/figures/page", params={**SPAN, "by": "page", "value": value}).text
    assert whole_database() == before


# --- small sites -----------------------------------------------------------------------------------------------------------


def test_a_site_without_visits_is_told_what_to_do_next(site: Site) -> None:
    page = show(signed_in(site), "")
    assert "Nothing is counted yet" in page.text
    assert "privacy-middleware import" in page.text
    for place in pages_of(site):
        assert signed_in(site).get(place).status_code == 200


def test_a_site_with_twenty_visitors_a_day_sees_a_useful_page(site: Site) -> None:
    hits = []
    for back in range(2, 30):
        for n in range(20):
            source = (DIRECT, Source("search", "google.com/"), Source("referral", "example.net/"))[n % 3]
            hits.append(hit(ago(back), back * 100 + n, ("/", "/prices", "/contact")[n % 3], agent=(PERSON, PHONE)[n % 2], source=source))
    fill(site, hits)
    page = show(signed_in(site), "")
    for text in ("/prices", "google.com", "example.net", "Firefox", "iOS", "Denmark"):
        assert text in page.text
    assert "Others, each" not in page.text


@pytest.mark.parametrize("authorized", [True, False])
@pytest.mark.sqlite
def test_before_there_is_a_database_the_pages_are_there(authorized: bool) -> None:
    site = make_site(mail=False, owner_password_hash=HASH, authorize=(lambda _: "officer") if authorized else None)
    assert not is_there()
    if not authorized:
        assert site.client.get("/privacy/owner/").status_code == 401
        assert try_password(site.client, PASSWORD).status_code == 303
    for place in pages_of(site):
        assert site.client.get(place).status_code == 200, place


# --- the database is away --------------------------------------------------------------------------------------------------


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page waits tenths of a second for the database, not seconds."""
    monkeypatch.setitem(answer_of.__kwdefaults__ or {}, "patience", 0.3)


def test_while_the_database_is_locked_a_page_says_so_and_the_host_goes_on(busy: Site, hasty: None) -> None:
    officer = signed_in(busy)
    with write_lock():
        for place in ("", "figures/page", "requests", "sign-in/" + "x" * 43):
            answer = officer.get(f"/privacy/owner/{place}")
            assert answer.status_code == 503, place
            assert "retry-after" in answer.headers
            assert CANARY not in answer.text
        assert officer.post("/privacy/owner/sign-out").status_code == 503
        assert busy.client.get("/a").text == "<p>page"
    until(lambda: officer.get("/privacy/owner/").status_code == 200)


def test_whom_the_host_signs_in_reads_the_figures_while_the_database_is_locked_for_writing(hasty: None) -> None:
    site = make_site(authorize=lambda _: "viewer")
    fill(site, traffic(10))
    with write_lock():
        answer = site.client.get("/privacy/owner/")
    assert answer.status_code == 200
    assert CANARY in answer.text


@pytest.mark.parametrize("damage", ["garbage", "cut", "a folder"])
@pytest.mark.sqlite
def test_a_damaged_database_costs_figures_but_no_page_of_the_host(damage: str, hasty: None) -> None:
    site = make_site(authorize=lambda _: "officer")
    fill(site, traffic(5))
    site.privacy.recorder.close()
    path = Path("privacy.db")
    for rest in Path().glob("privacy.db-*"):
        rest.unlink()
    data = path.read_bytes()
    path.unlink()
    if damage == "a folder":
        path.mkdir()
    else:
        path.write_bytes(b"garbage" * 1000 if damage == "garbage" else data[: len(data) // 2])
    for place in ("", "now", "figures/page", "requests", "submissions", "audit", "state"):
        answer = site.client.get(f"/privacy/owner/{place}")
        assert answer.status_code in (200, 503), (place, answer.status_code)
        assert "Traceback" not in answer.text
        assert str(Path.cwd()) not in answer.text
    assert site.client.get("/a").text == "<p>page"


# --- the officer's desk ----------------------------------------------------------------------------------------------------


def id_of(table: str) -> str:
    return str(query(f"SELECT lower(hex(id)) AS id FROM {table}")[0]["id"])


def sent(site: Site, **more: str) -> str:
    """A submission; returns its id."""
    site.send_form(**more)
    until(lambda: amount("submission") == 1)
    return id_of("submission")


def reviewed(site: Site) -> str:
    """A complaint that waits for an answer; returns its id."""
    site.confirmed("complaint", text="Why does the canary sing?")
    assert site.state() == "in_review"
    return id_of("request")


def decide(browser: TestClient, id_: str, action: str, text: str = "") -> Any:
    return browser.post(f"/privacy/owner/requests/{id_}", data={"action": action, "text": text})


def test_requests_are_listed_with_their_deadlines(site: Site) -> None:
    assert "Nobody has asked" in show(signed_in(site), "requests").text
    id_ = reviewed(site)
    page = show(signed_in(site), "requests")
    assert page.tables[0][1][1:3] == ["in review", TODAY.isoformat()]
    assert f"/privacy/owner/requests/{id_}" in page.links()
    assert "canary" not in page.text
    assert "anna" not in page.text


def test_opening_a_request_shows_who_asks_for_what_and_is_noted(site: Site) -> None:
    id_ = reviewed(site)
    page = show(signed_in(site), f"requests/{id_}")
    assert "Why does the canary sing?" in page.text
    assert "anna.canary@example.org" in page.text
    assert "(proven)" in page.text
    assert actions()[-1] == "show request"


def test_an_approved_complaint_is_answered_by_mail(site: Site) -> None:
    id_ = reviewed(site)
    officer = signed_in(site)
    assert decide(officer, id_, "approve", "It likes to.").status_code == 303
    site.settle()
    assert site.state() == "fulfilled"
    assert "It likes to." in show(officer, f"requests/{id_}").text
    assert any("It likes to." in mail.text for mail in site.all_mails())


def test_a_refusal_needs_its_reason(site: Site) -> None:
    id_ = reviewed(site)
    officer = signed_in(site)
    refused = decide(officer, id_, "refuse", "  ")
    assert refused.status_code == 409
    assert "the law asks for one" in refused.text
    assert site.state() == "in_review"
    assert decide(officer, id_, "refuse", "No canary here.").status_code == 303
    assert site.state() == "refused"
    assert any("No canary here." in mail.text for mail in site.all_mails())


def test_the_longer_period_is_taken_once(site: Site) -> None:
    id_ = reviewed(site)
    officer = signed_in(site)
    due = query("SELECT due FROM request")[0]["due"]
    assert decide(officer, id_, "extend", "There are many canaries.").status_code == 303
    assert query("SELECT due FROM request")[0]["due"] > due
    assert "Take the longer period" not in officer.get(f"/privacy/owner/requests/{id_}").text
    assert decide(officer, id_, "extend", "And more.").status_code == 409


def test_a_restriction_is_lifted(site: Site) -> None:
    sent(site)
    site.confirmed("restriction")
    site.settle()
    id_ = id_of("request")
    officer = signed_in(site)
    assert "in force" in show(officer, f"requests/{id_}").text
    assert decide(officer, id_, "lift").status_code == 303
    assert "in force" not in show(officer, f"requests/{id_}").text
    assert decide(officer, id_, "lift").status_code == 409


@pytest.mark.parametrize("action", ["", "delete", "APPROVE", "__class__"])
def test_a_decision_that_is_none_changes_nothing(site: Site, action: str) -> None:
    id_ = reviewed(site)
    assert decide(signed_in(site), id_, action, "x").status_code == 409
    assert site.state() == "in_review"


def test_what_nobody_has_proven_is_not_approved(site: Site) -> None:
    site.asked("complaint")
    answer = decide(signed_in(site), id_of("request"), "approve", "yes")
    assert answer.status_code == 409
    assert "proven" in answer.text
    assert site.state() == "awaiting_confirmation"


def test_a_fault_does_not_lose_what_the_officer_wrote(site: Site) -> None:
    site.asked("complaint")
    answer = decide(signed_in(site), id_of("request"), "approve", "A long and careful answer.")
    assert "A long and careful answer." in answer.text


def test_an_identifier_that_is_none_is_404(site: Site) -> None:
    reviewed(site)
    sent(site)
    officer = signed_in(site)
    before = actions()
    for kind, id_ in product(("requests", "submissions"), ("0" * 32, "zz", "%25", "_", "é", "²", "x" * 5000, "%00", "-", "00")):
        assert officer.get(f"/privacy/owner/{kind}/{id_}").status_code == 404, id_
        assert officer.post(f"/privacy/owner/{kind}/{id_}", data={"action": "approve", "text": "x"}).status_code in (303, 404), id_
    assert actions() == before


def test_submissions_are_listed_by_purpose_and_none_is_opened(site: Site) -> None:
    id_ = sent(site)
    page = show(signed_in(site), "submissions", purpose="answer")
    assert f"/privacy/owner/submissions/{id_}" in page.links()
    assert "canary" not in page.text
    assert f"/privacy/owner/submissions/{id_}" not in show(signed_in(site), "submissions", purpose="other").links()
    assert set(actions()) <= {"signed in by link", "link to sign in"}


def test_opening_a_submission_is_noted_and_so_is_its_answer(site: Site) -> None:
    id_ = sent(site)
    officer = signed_in(site)
    page = show(officer, f"submissions/{id_}")
    assert "a canary sings at night" in page.text
    assert "not yet" in page.text
    assert officer.post(f"/privacy/owner/submissions/{id_}").status_code == 303
    assert f"Answered{TODAY.isoformat()}" in "".join(show(officer, f"submissions/{id_}").text.split())
    assert actions()[-3:] == ["show", "answer", "show"]


def test_a_submission_that_may_only_be_stored_is_not_shown(site: Site) -> None:
    id_ = sent(site)
    site.confirmed("restriction")
    site.settle()
    officer = signed_in(site)
    assert id_ not in officer.get("/privacy/owner/submissions").text
    assert officer.get(f"/privacy/owner/submissions/{id_}").status_code == 404
    assert officer.post(f"/privacy/owner/submissions/{id_}").status_code == 404
    assert query("SELECT answered FROM submission") == [{"answered": None}]


def test_no_hostile_form_value_runs(site: Site) -> None:
    for value in HOSTILE:
        site.send_form(message=value, wish=value)
    until(lambda: amount("submission") == len(HOSTILE))
    officer = signed_in(site)
    check_harmless(officer.get("/privacy/owner/submissions").text, "list")
    text = ""
    for row in query("SELECT lower(hex(id)) AS id FROM submission"):
        html = officer.get(f"/privacy/owner/submissions/{row['id']}").text
        check_harmless(html, row["id"])
        text += Shown(html).text
    for value in HOSTILE:
        if value.isprintable():
            assert value[:1000] in text


def test_no_hostile_complaint_and_no_hostile_answer_runs(site: Site) -> None:
    short = [value for value in HOSTILE if len(value) < 100]
    site.confirmed("complaint", text="Why? " + "\n".join(short))
    officer = signed_in(site)
    assert decide(officer, id_of("request"), "refuse", "Since\n" + "\n".join(short)).status_code == 303
    html = officer.get(f"/privacy/owner/requests/{id_of('request')}").text
    check_harmless(html, "request")
    for value in short:
        assert not value.isprintable() or Shown(html).text.count(value) >= 2, value
    for place in ("audit", "requests"):
        check_harmless(officer.get(f"/privacy/owner/{place}").text, place)


def test_a_submission_whose_key_is_lost_is_marked_and_breaks_nothing(site: Site) -> None:
    id_ = sent(site)
    asked = reviewed(site)
    change("UPDATE field SET value = x'00'", path=site.database)
    change("UPDATE request SET sealed = x'00'", path=site.database)
    officer = signed_in(site)
    for place in (f"submissions/{id_}", f"requests/{asked}"):
        page = show(officer, place)
        assert any(attributes.get("class") == "problem" for _, attributes in page.elements), place
        assert "canary" not in page.text


def test_the_audit_shows_that_nothing_was_changed_and_when_something_was(site: Site) -> None:
    id_ = sent(site)
    officer = signed_in(site)
    officer.get(f"/privacy/owner/submissions/{id_}")
    page = show(officer, "audit")
    assert "none was changed" in page.text
    assert [row[2] for row in page.tables[0][1:]] == ["show", "signed in by link"]
    change("UPDATE audit SET actor = 'somebody else' WHERE action = 'show'", path=site.database)
    assert "was changed" in show(officer, "audit").text


def test_recipients_are_those_declared(site: Site) -> None:
    assert show(signed_in(site), "recipients").tables[0][1] == ["Printer Ltd", "addresses", "answer", "Denmark", "not declared"]


def test_the_versions_of_the_statement_are_listed(site: Site) -> None:
    site.client.get("/privacy/")
    page = show(signed_in(site), "statement")
    assert re.match(r"\d+ \w+ \d{4}, \d\d:\d\d", page.tables[0][1][1])
    assert "(now)" in page.tables[0][1][0]


def test_the_state_shows_what_is_in_force_and_no_secret() -> None:
    token_ = "canary-token-" * 4
    site = make_site(
        owner_password_hash=HASH,
        metrics_token=token_,
        smtp_url="smtp://berta:canary-password@mail.example.org",
        owner_email="berta@example.net",
    )
    fill(site, traffic(5))
    html = signed_in(site).get("/privacy/owner/state").text
    assert "PRIVACY_RETENTION_DAYS" in html
    for secret in (SECRET, HASH, HASH.rpartition(":")[2], token_, "canary-password"):
        assert secret not in html
    shown = {row[0]: row[1] for table in Shown(html).tables for row in table}
    assert shown["PRIVACY_OWNER_PASSWORD_HASH"] == "***"
    assert shown["PRIVACY_METRICS_TOKEN"] == "***"
    assert shown["PRIVACY_RETENTION_DAYS"] == "60"


def test_lost_visits_are_told_with_their_reason(site: Site) -> None:
    site.privacy.recorder.count("dropped.queue", 7)
    site.privacy.recorder.close()
    assert ["queue", "7"] in show(signed_in(site), "state").tables[0]


def test_the_forms_page_counts_choices_without_saying_whose(site: Site) -> None:
    site.privacy.recorder.count("choice.refuse", 5)
    site.privacy.recorder.count("choice.allow", 2)
    site.privacy.recorder.close()
    table = show(signed_in(site), "forms").tables[-1]
    assert table[1:] == [["Do not record my visits", "3"], ["Record my visits", "0"]]  # rounded down each day


def test_goals_and_funnels_are_shown_with_their_sources(busy: Site) -> None:
    page = show(signed_in(busy), "goals", **SPAN)
    assert "canary goal" in page.text
    assert ["google.com/", page.tables[0][1][1]] in page.tables[0]
    first, second = [number(row[1]) for row in page.tables[1][1:]]
    assert first > second > 0


def test_every_page_forbids_scripts_storing_and_framing(busy: Site) -> None:
    officer = signed_in(busy)
    for place in [*pages_of(busy), "/privacy/owner/sign-in", "/privacy/owner/nowhere"]:
        headers = officer.get(place).headers
        assert headers["content-security-policy"].startswith("default-src 'none'"), place
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert "noindex" in headers["x-robots-tag"], place


def test_looking_at_the_owners_pages_is_no_visit(busy: Site) -> None:
    before = amount("hit")
    officer = signed_in(busy)
    for place in pages_of(busy):
        officer.get(place)
    busy.privacy.recorder.close()
    assert amount("hit") == before


def test_the_pages_work_below_a_mount_of_the_host() -> None:
    site = make_site(prefix="/app", owner_password_hash=HASH)
    assert site.client.get("/privacy/owner/").status_code == 404
    done = site.client.post("/app/privacy/owner/sign-in", data={"password": PASSWORD})
    assert done.headers["location"] == "/app/privacy/owner/"
    html = site.client.get("/app/privacy/owner/").text
    assert all(link.startswith(("/app/privacy/", "#", "?")) for link in Shown(html).links())


def test_every_panel_has_a_title() -> None:
    assert set(PANELS) <= set(TITLES)
    assert set(FILTERS) <= set(TITLES)
    assert set(reports.DIMENSIONS) == set(TITLES)
