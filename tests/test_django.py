"""The Django middleware, sync and async, with real Django: visits by route, refusal, forms, streams and files, our own pages."""

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path, re_path

from .conftest import FIREFOX, hits, query
from .databases import is_there
from .requesting import SECRET
from .test_readme import django_app
from .test_truth import close_all
from .test_wsgi import POLICY

django_app()  # configures Django, once a process


def order(_: HttpRequest, number: int) -> HttpResponse:
    return HttpResponse(f"order {number}")


async def later(_: HttpRequest, word: str) -> HttpResponse:
    await asyncio.sleep(0)
    return HttpResponse(word)


def contact(request: HttpRequest) -> HttpResponse:
    assert request.POST["message"]
    return HttpResponseRedirect("/thanks", status=303)


def pieces(_: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(iter([b"a", b"bc"]))


async def pieces_later(_: HttpRequest) -> StreamingHttpResponse:
    async def stream() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"bc"

    return StreamingHttpResponse(stream())


def paper(_: HttpRequest) -> FileResponse:
    return FileResponse(io.BytesIO(b"a paper"), filename="paper.pdf")


def broken(_: HttpRequest) -> HttpResponse:
    raise RuntimeError("canary")


def shown(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"{request.privacy.opted_out} {request.privacy.statement_url}")


urlpatterns = [
    path("orders/<int:number>/", order),
    path("later/<str:word>/", later),
    path("contact", contact),
    path("pieces", pieces),
    path("pieces-later", pieces_later),
    path("paper.pdf", paper),
    path("broken", broken),
    path("shown", shown),
    re_path(r"^old/(?P<number>\d+)$", order),
]


@pytest.fixture(autouse=True)
def site() -> Iterator[None]:
    settings = {"ROOT_URLCONF": __name__, "MIDDLEWARE": ["privacy_middleware.django.PrivacyMiddleware"], "USE_TZ": True}
    with override_settings(**settings, PRIVACY={"secret_keys": SECRET, "policy": POLICY}):
        yield


class Browser:
    """A client of either kind, asked in the same way."""

    def __init__(self, *, is_async: bool) -> None:
        self.is_async = is_async
        self.client: Any = (AsyncClient if is_async else Client)(raise_request_exception=False, headers={"user-agent": FIREFOX})

    def ask(self, method: str, place: str, data: Any = None, **more: Any) -> Any:
        call = getattr(self.client, method)
        arguments = (place,) if data is None else (place, data)
        return async_to_sync(call)(*arguments, **more) if self.is_async else call(*arguments, **more)

    def body(self, response: Any) -> bytes:
        if not response.streaming:
            return bytes(response.content)
        if not response.is_async:
            return b"".join(response.streaming_content)

        async def read() -> bytes:
            return b"".join([piece async for piece in response.streaming_content])

        return async_to_sync(read)()

    def get(self, place: str, **more: Any) -> bytes:
        response = self.ask("get", place, **more)
        body = self.body(response)
        response.close()
        return body


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def browser(request: pytest.FixtureRequest) -> Browser:
    return Browser(is_async=request.param)


def stored() -> list[dict[str, Any]]:
    close_all()
    return hits() if is_there() and query("SELECT 1 FROM sqlite_master WHERE name = 'hit'") else []


def test_visits_are_named_by_their_routes(browser: Browser) -> None:
    assert browser.get("/orders/17/?utm_source=letter") == b"order 17"
    assert browser.get("/later/soon/") == b"soon"
    assert browser.get("/old/123456") == b"order 123456"
    assert browser.ask("get", "/nowhere").status_code == 404
    found = [(hit["path"], hit["status"], hit["sent"], hit["campaign_value"]) for hit in stored()]
    assert found[:2] == [("/orders/{number}/", 200, 8, "utm_source=letter"), ("/later/{word}/", 200, 4, "")]
    assert [one[:2] for one in found[2:]] == [("/old/{number}", 200), ("/nowhere", 404)]


def test_streams_and_files_are_counted_and_pass_in_their_pieces(browser: Browser) -> None:
    assert browser.get("/pieces") == b"abc"
    assert browser.get("/paper.pdf") == b"a paper"
    if browser.is_async:
        assert browser.get("/pieces-later") == b"abc"
    found = [(hit["path"], hit["sent"], hit["aborted"]) for hit in stored()]
    assert found == [("/pieces", 3, 0), ("/paper.pdf", 7, 0), *([("/pieces-later", 3, 0)] if browser.is_async else [])]


def test_a_stream_that_is_closed_early_is_broken_off() -> None:
    response = Client().get("/pieces")
    next(iter(response.streaming_content))
    response.close()
    assert [(hit["sent"], hit["aborted"]) for hit in stored()] == [(1, 1)]


def test_an_error_of_the_site_is_a_500(browser: Browser) -> None:
    assert browser.ask("get", "/broken").status_code == 500
    assert [hit["status"] for hit in stored()] == [500]


@pytest.mark.parametrize("headers", [{"sec-gpc": "1"}, {"dnt": "1"}, {"cookie": "privacy-choice=refuse"}])
def test_who_refuses_leaves_nothing(browser: Browser, headers: dict[str, str]) -> None:
    if "cookie" in headers:
        browser.client.cookies.load(headers["cookie"])
        headers = {}
    assert browser.get("/shown", headers=headers) == b"True /privacy/"
    assert stored() == []


def test_who_does_not_is_recorded_and_the_site_knows(browser: Browser) -> None:
    assert browser.get("/shown") == b"False /privacy/"
    assert len(stored()) == 1


@pytest.mark.parametrize("multipart", [True, False])
def test_a_form_is_captured(browser: Browser, multipart: bool) -> None:
    data: Any = {"message": "a canary sings", "other": "x"}
    more = {} if multipart else {"content_type": "application/x-www-form-urlencoded"}
    response = browser.ask("post", "/contact", data if multipart else "message=a+canary+sings&other=x", **more)
    assert response.status_code == 303
    assert [(row["form"], row["outcome"]) for row in query("SELECT form, outcome FROM submission")] == [("contact", "accepted")]
    assert [row["name"] for row in query("SELECT name FROM field")] == ["message"]
    assert [hit["method"] for hit in stored()] == [1]


def test_the_privacy_pages_are_served_and_a_choice_is_kept(browser: Browser) -> None:
    assert b"Privacy statement" in browser.get("/privacy/")
    headers = {"origin": "http://testserver"} | ({} if browser.is_async else {"host": "testserver"})  # a real server passes it
    response = browser.ask("post", "/privacy/opt-out", "choice=refuse", content_type="application/x-www-form-urlencoded", headers=headers)
    assert b"not recorded any more" in browser.body(response)
    assert response.cookies["privacy-choice"].value.startswith("refuse.")
    assert "default-src 'none'" in response["content-security-policy"]
    assert browser.get("/shown") == b"True /privacy/"
    assert browser.ask("get", "/privacy").status_code == 308
    assert stored() == []


def test_what_browsers_look_for_is_answered_where_the_site_has_nothing(browser: Browser) -> None:
    assert b'"gpc": true' in browser.get("/.well-known/gpc.json")
    assert browser.ask("get", "/.well-known/other").status_code == 404


def test_a_path_that_is_not_ascii_is_read_as_the_visitor_meant_it() -> None:
    with override_settings(PRIVACY={"secret_keys": SECRET, "policy": POLICY, "path_params": "word"}):
        assert Browser(is_async=False).get("/later/%C3%A6r%C3%B8/") == "ærø".encode()
    assert [hit["path"] for hit in stored()] == ["/later/ærø/"]


def test_a_fault_of_ours_is_counted_and_the_site_is_served(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken_begin(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("privacy_middleware.django._Adapter._begin", broken_begin)
    assert browser.get("/shown") == b"False /privacy/"
