"""The privacy pages: statement and opt-out, under strict headers, without any cookie but the choice itself."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from privacy_middleware import PrivacyMiddleware

from .conftest import FIREFOX, hits, query

REFUSE = {"choice": "refuse"}


async def page(request: Any) -> HTMLResponse:
    return HTMLResponse("<p>page")


def make_client(base: str = "http://testserver", **settings: Any) -> TestClient:
    app = Starlette(routes=[Route("/", page), Route("/a", page)])
    app.add_middleware(PrivacyMiddleware, **settings)
    return TestClient(app, base_url=base, headers={"user-agent": FIREFOX})


@pytest.fixture
def client() -> Iterator[TestClient]:
    with make_client() as client:
        yield client


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


@pytest.mark.parametrize("path", ["/privacy/", "/privacy/opt-out", "/privacy/nowhere"])
def test_every_page_has_the_strict_headers_and_sets_no_cookie(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert "unsafe" not in response.headers["content-security-policy"]
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["referrer-policy"] == "same-origin"
    assert "set-cookie" not in response.headers
    assert "<script" not in response.text
    assert "style=" not in response.text


def test_the_mount_without_its_slash_leads_to_the_statement_whatever_the_host_header_says(client: TestClient) -> None:
    assert "Privacy statement" in client.get("/privacy").text
    redirect = client.get("/privacy", headers={"host": "evil.example"}, follow_redirects=False)
    assert redirect.headers["location"] == "/privacy/"
    assert redirect.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("method", "path", "status"), [("PUT", "/privacy/opt-out", 405), ("POST", "/privacy/", 405), ("POST", "/privacy/opt-out", 400)]
)
def test_refusals_have_the_strict_headers_too(client: TestClient, method: str, path: str, status: int) -> None:
    response = client.request(method, path)
    assert response.status_code == status
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]


def test_what_a_mount_in_front_matched_cannot_break_headers_or_links() -> None:
    inner = Starlette(routes=[Route("/", page)])
    inner.add_middleware(PrivacyMiddleware)
    client = TestClient(Starlette(routes=[Mount("/t/{tenant}", app=inner)]))
    for tenant, shown in [
        ("%E2%82%AC", "%E2%82%AC"),
        ("%3E%3B%20rel=x", "%3E%3B%20rel=x"),
        ("%0d%0aSet-Cookie:%20a=b", "%0D%0ASet-Cookie:%20a=b"),
    ]:
        response = client.get(f"/t/{tenant}/privacy/")
        assert response.status_code == 200
        assert response.headers["link"] == f'</t/{shown}/privacy/>; rel="privacy-policy"'


def test_opting_out_says_what_it_did_and_deletes_this_browsers_hits(client: TestClient) -> None:
    client.get("/")
    client.get("/a")
    client.get("/a", headers={"user-agent": "Mozilla/5.0 somebody else"})
    response = client.post("/privacy/opt-out", data=REFUSE)
    assert "has been deleted: 2 requests" in response.text
    assert [hit["browser"] for hit in hits()] == [""]


def test_after_opting_out_nothing_is_recorded_until_it_is_taken_back(client: TestClient) -> None:
    client.post("/privacy/opt-out", data=REFUSE)
    client.get("/")
    assert "not recorded" in client.get("/privacy/opt-out").text
    client.post("/privacy/opt-out", data={"choice": "allow"})
    client.get("/a")
    client.app_state  # noqa: B018  the client is still in its lifespan
    client.__exit__(None, None, None)
    assert [hit["path"] for hit in hits()] == ["/a"]


def test_the_cookie_is_constant_short_lived_and_of_the_host_only() -> None:
    with make_client("https://testserver") as client:
        cookie = client.post("/privacy/opt-out", data=REFUSE).headers["set-cookie"]
        again = client.post("/privacy/opt-out", data=REFUSE).headers["set-cookie"]
    assert cookie == again
    assert re.fullmatch(r"__Host-privacy-choice=refuse\.[0-9a-f]{8}; Max-Age=33696000; Path=/; SameSite=Lax; HttpOnly; Secure", cookie)
    assert 33_696_000 <= 396 * 86_400


def test_a_visit_does_not_renew_the_cookie(client: TestClient) -> None:
    client.post("/privacy/opt-out", data=REFUSE)
    assert "set-cookie" not in client.get("/").headers
    assert "set-cookie" not in client.get("/privacy/opt-out").headers


def test_a_get_changes_nothing(client: TestClient) -> None:
    client.get("/")
    client.get("/privacy/opt-out?choice=refuse")
    client.request("HEAD", "/privacy/opt-out")
    assert len(client.cookies) == 0


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://["}, 403),
        ({"origin": "//testserver"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"origin": "http://testserver"}, 200),
        ({}, 200),
    ],
)
def test_a_form_from_another_site_is_refused(client: TestClient, headers: dict[str, str], status: int) -> None:
    response = client.post("/privacy/opt-out", data=REFUSE, headers=headers)
    assert response.status_code == status
    assert ("set-cookie" in response.headers) == (status == 200)


def test_behind_a_proxy_that_rewrites_the_host_the_base_url_counts() -> None:
    with make_client(base_url="http://www.example.org") as client:
        assert client.post("/privacy/opt-out", data=REFUSE, headers={"origin": "http://www.example.org"}).status_code == 200


@pytest.mark.parametrize("body", [b"", b"choice=maybe", b"x" * 100_000, b"choice=refuse&choice=allow"])
def test_a_form_without_a_choice_changes_nothing_and_says_so(client: TestClient, body: bytes) -> None:
    response = client.post("/privacy/opt-out", content=body)
    assert response.status_code == 400
    assert "set-cookie" not in response.headers


@pytest.mark.parametrize(("header", "name"), [("sec-gpc", "Global Privacy Control"), ("dnt", "Do Not Track")])
def test_the_page_says_that_a_signal_was_received_and_honoured(client: TestClient, header: str, name: str) -> None:
    text = text_of(client.get("/privacy/opt-out", headers={header: "1"}).text)
    assert f"Your browser sends {name}" in text
    assert "We received it and honour it" in text
    assert "not recorded" in text


def test_the_page_says_that_an_ignored_signal_is_no_refusal() -> None:
    with make_client(signals="gpc=ignore") as client:
        text = text_of(client.get("/privacy/opt-out", headers={"sec-gpc": "1"}).text)
    assert "does not take it as a refusal" in text


def test_only_the_opt_out_page_may_be_framed_and_by_the_listed_origins() -> None:
    with make_client(frame_ancestors="https://www.example.org") as client:
        framed = client.get("/privacy/opt-out").headers
        assert "frame-ancestors https://www.example.org" in framed["content-security-policy"]
        assert "x-frame-options" not in framed
        assert "frame-ancestors 'none'" in client.get("/privacy/").headers["content-security-policy"]


def test_below_a_mount_links_and_forms_stay_below_it() -> None:
    inner = Starlette(routes=[Route("/", page)])
    inner.add_middleware(PrivacyMiddleware)
    with TestClient(Starlette(routes=[Mount("/shop", app=inner)])) as client:
        html = client.get("/shop/privacy/opt-out").text
    assert 'action="/shop/privacy/opt-out"' in html
    assert 'href="/shop/privacy/style.css"' in html


def test_choices_are_counted_without_identity(client: TestClient) -> None:
    client.post("/privacy/opt-out", data=REFUSE)
    client.post("/privacy/opt-out", data={"choice": "allow"})
    client.__exit__(None, None, None)
    assert query("SELECT name, amount FROM counter ORDER BY name") == [
        {"name": "choice.allow", "amount": 1},
        {"name": "choice.refuse", "amount": 1},
    ]


def test_opting_out_works_while_the_database_cannot_be_reached(tmp_path: Any) -> None:
    (tmp_path / "folder").mkdir()
    with make_client(database_url="sqlite:///folder", secret_keys="x" * 32) as client:
        response = client.post("/privacy/opt-out", data=REFUSE)
    assert "privacy-choice=refuse" in response.headers["set-cookie"]
    assert "could not be deleted just now" in response.text


def test_the_date_of_the_last_change_stays_when_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    for retention, versions in [(30, 1), (30, 1), (31, 2)]:
        with make_client(retention_days=retention) as client:
            assert "Last changed on" in client.get("/privacy/").text
        assert len(query("SELECT * FROM version")) == versions
