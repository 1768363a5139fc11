"""The host behaves wrapped as it does bare, on asyncio and trio, and what happened is recorded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient

from privacy_middleware import PrivacyMiddleware, SettingsError

from .conftest import FIREFOX, hits, query

BROWSER = [(b"host", b"example.org"), (b"user-agent", FIREFOX.encode()), (b"accept-language", b"da-DK,da;q=0.9")]
START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]}
END = {"type": "http.response.body", "body": b"end"}
Script = list[dict[str, Any]]


class HostError(Exception):
    """Something that goes wrong in the host."""


def http_scope(path: str = "/", method: str = "GET", headers: Any = None, **more: Any) -> dict[str, Any]:
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http", "path": path,
        "raw_path": path.encode("utf-8", "replace"), "query_string": b"", "root_path": "", "headers": BROWSER if headers is None else headers,
        "client": ("192.0.2.44", 50000), "server": ("example.org", 80),
    }  # fmt: skip
    return {**scope, **more}


def run(app: Any, scope: dict[str, Any], incoming: Script | None = None, *, backend: str = "asyncio") -> tuple[Script, Any, int]:
    """Drive an app as a server does; returns what it sent, what it returned or raised, and how much it read."""
    waiting = list(incoming or [{"type": "http.request", "body": b"", "more_body": False}])
    sent: Script = []
    read = 0

    async def receive() -> dict[str, Any]:
        nonlocal read
        read += 1
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append({**message, "headers": list(message["headers"])} if "headers" in message else dict(message))

    async def main() -> Any:
        try:
            return await app(scope, receive, send)
        except (HostError, OSError) as error:
            return error

    return sent, anyio.run(main, backend=backend), read


def sending(*messages: dict[str, Any]) -> Callable[..., Any]:
    async def app(scope: Any, receive: Any, send: Any) -> str:
        for message in messages:
            await send(dict(message))
        return "returned"

    return app


async def reads_late(scope: Any, receive: Any, send: Any) -> None:
    await send(START)
    while (await receive()).get("more_body"):
        pass
    await send(END)


async def reads_twice(scope: Any, receive: Any, send: Any) -> None:
    first, second = await receive(), await receive()
    await send(START)
    await send({"type": "http.response.body", "body": repr((first, second)).encode()})


async def raises_before(scope: Any, receive: Any, send: Any) -> None:
    raise ERROR


async def raises_during(scope: Any, receive: Any, send: Any) -> None:
    await send(START)
    await send({"type": "http.response.body", "body": b"half", "more_body": True})
    raise ERROR


async def raises_after(scope: Any, receive: Any, send: Any) -> None:
    await send(START)
    await send(END)
    raise ERROR


async def iterates_headers_once(scope: Any, receive: Any, send: Any) -> None:
    await send({**START, "headers": iter([(b"content-type", b"text/html")])})
    await send(END)


async def stops_on_disconnect(scope: Any, receive: Any, send: Any) -> None:
    await send(START)
    while (await receive())["type"] != "http.disconnect":
        await send({"type": "http.response.body", "body": b"event: x\n\n", "more_body": True})


ERROR = HostError("the host's own")
HOSTS: dict[str, Callable[..., Any]] = {
    "plain": sending(START, END),
    "empty body message": sending(START, {"type": "http.response.body"}),
    "streamed": sending(START, *[{"type": "http.response.body", "body": b"x", "more_body": True}] * 3, END),
    "no content": sending({"type": "http.response.start", "status": 204}, {"type": "http.response.body"}),
    "not modified": sending({"type": "http.response.start", "status": 304, "headers": []}, {"type": "http.response.body"}),
    "trailers": sending({**START, "trailers": True}, END, {"type": "http.response.trailers", "headers": [(b"x", b"y")]}),
    "pathsend": sending({**START, "headers": [(b"content-length", b"9")]}, {"type": "http.response.pathsend", "path": "/x"}),
    "early hints and debug": sending({"type": "http.response.debug", "info": {}}, START, END),
    "nonsense": sending(
        {"type": "http.response.start", "status": "two", "headers": "no"}, {"type": "other"}, {"type": "http.response.body"}
    ),
    "memoryview body": sending(START, {"type": "http.response.body", "body": memoryview(b"abc")}),
    "mixed-case headers": sending({**START, "headers": [[b"Content-Type", b"text/html"]]}, END),
    "nothing sent": sending(),
    "late reader": reads_late,
    "double reader": reads_twice,
    "raises before": raises_before,
    "raises during": raises_during,
    "raises after": raises_after,
    "header iterator": iterates_headers_once,
    "server-sent events": stops_on_disconnect,
}
BODY = [
    {"type": "http.request", "body": b"a=1&", "more_body": True},
    {"type": "http.request", "body": b"b=2", "more_body": True},
    {"type": "http.request", "body": b"", "more_body": False},
]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("name", HOSTS)
def test_every_kind_of_host_behaves_the_same_wrapped_and_bare(name: str, method: str, backend: str) -> None:
    incoming = BODY if method == "POST" else None
    bare = run(HOSTS[name], http_scope(method=method), incoming, backend=backend)
    wrapped = run(PrivacyMiddleware(HOSTS[name]), http_scope(method=method), incoming, backend=backend)
    assert wrapped == bare


@pytest.mark.parametrize("name", ["raises before", "raises during", "raises after"])
def test_the_hosts_error_reaches_the_server_as_the_same_object(name: str) -> None:
    assert run(PrivacyMiddleware(HOSTS[name]), http_scope())[1] is ERROR


@pytest.mark.parametrize(
    "scope",
    [
        {"type": "http"},
        http_scope(headers=[]),
        http_scope(headers=[(b"user-agent", b"\xff\xfe\x00"), (b"host", b"\xff"), (b"cookie", b"\xff=;;;=")]),
        http_scope(headers=[(b"cookie", b"x" * 15_000), (b"referer", b"\x00" * 9000)]),
        http_scope(path="/" + "\ud800\x00" * 4000),
        http_scope(client=None),
        http_scope(client=("not an address", 0)),
        http_scope(headers=iter([(b"host", b"a")])),
    ],
    ids=["bare scope", "no headers", "bytes", "long", "surrogates", "no client", "odd client", "header iterator"],
)
def test_a_strange_request_is_served_as_if_bare(scope: dict[str, Any]) -> None:
    assert run(PrivacyMiddleware(HOSTS["plain"]), scope)[0] == [START, END]


def test_a_hit_holds_what_was_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    app = PrivacyMiddleware(HOSTS["streamed"])
    headers = [*BROWSER, (b"referer", b"https://www.google.com/search?q=secret"), (b"x-canary", b"canary")]
    run(app, http_scope("/a/very/nice/page", headers=headers, query_string=b"utm_source=mail&q=secret"))
    assert app.recorder.flush()
    (hit,) = hits()
    assert (hit["path"], hit["status"], hit["kind"], hit["sent"], hit["aborted"]) == ("/a/very/nice/page", 200, 0, 6, 0)
    assert (hit["source_kind"], hit["source_address"], hit["campaign_value"]) == ("search", "google.com/search", "utm_source=mail")
    assert (hit["browser"], hit["os"], hit["device"], hit["bot"], hit["language_value"]) == ("Firefox", "Linux", "desktop", "", "da-DK")
    assert hit["address"] == bytes([192, 0, 2])


def test_request_headers_that_can_be_read_once_are_left_to_the_host() -> None:
    async def host(scope: Any, receive: Any, send: Any) -> None:
        seen.extend(scope["headers"])

    seen: list[Any] = []
    run(PrivacyMiddleware(host), http_scope(headers=iter(BROWSER)))
    assert seen == BROWSER


@pytest.mark.parametrize(
    ("name", "status", "aborted"),
    [
        ("raises before", 500, 1),
        ("raises during", 200, 1),
        ("raises after", 200, 0),
        ("server-sent events", 200, 1),
        ("nothing sent", 500, 1),
    ],
)
def test_an_answer_that_broke_off_is_recorded_as_such(name: str, status: int, aborted: int) -> None:
    app = PrivacyMiddleware(HOSTS[name])
    run(app, http_scope())
    app.recorder.flush()
    assert [(hit["status"], hit["aborted"]) for hit in hits()] == [(status, aborted)]


@pytest.mark.parametrize(
    ("settings", "expected"), [({"ip": "none"}, None), ({"ip": "full"}, bytes([192, 0, 2, 44])), ({}, bytes([192, 0, 2]))]
)
def test_the_address_is_kept_as_set(settings: dict[str, str], expected: bytes | None) -> None:
    app = PrivacyMiddleware(HOSTS["plain"], **settings)
    run(app, http_scope())
    app.recorder.flush()
    assert hits()[0]["address"] == expected


@pytest.mark.parametrize(
    "header",
    [(b"sec-gpc", b"1"), (b"dnt", b"1"), (b"cookie", b"a=b; privacy-choice=refuse"), (b"cookie", b"__Host-privacy-choice=garbage")],
)
def test_a_refused_request_leaves_no_row_and_no_queue_entry(header: tuple[bytes, bytes], tmp_path: Path) -> None:
    app = PrivacyMiddleware(HOSTS["plain"])
    scope = http_scope(headers=[*BROWSER, header])
    assert run(app, scope)[0] == [START, END]
    assert scope["privacy"].opted_out
    assert app.recorder.is_idle
    assert list(tmp_path.iterdir()) == []


def test_a_split_cookie_header_is_read_as_a_whole() -> None:
    app = PrivacyMiddleware(HOSTS["plain"])
    run(app, http_scope(headers=[*BROWSER, (b"cookie", b"privacy-choice=refuse"), (b"cookie", b"a=b")]))
    assert app.recorder.is_idle


def test_ignored_signals_do_not_refuse() -> None:
    app = PrivacyMiddleware(HOSTS["plain"], signals="gpc=ignore,dnt=ignore")
    run(app, http_scope(headers=[*BROWSER, (b"sec-gpc", b"1"), (b"dnt", b"1")]))
    app.recorder.flush()
    assert len(hits()) == 1


def test_the_host_learns_of_the_visitors_privacy() -> None:
    scope = http_scope(headers=[*BROWSER, (b"sec-gpc", b"1")])
    run(PrivacyMiddleware(HOSTS["plain"], path="/about/privacy"), scope)
    privacy = scope["privacy"]
    assert (privacy.opted_out, privacy.signal) == (True, "gpc")
    assert (privacy.statement_url, privacy.opt_out_url) == ("/about/privacy/", "/about/privacy/opt-out")
    assert 'href="/about/privacy/"' in privacy.footer.__html__()


@pytest.mark.parametrize("path", ["/privacyX", "/privacy-policy", "/privacy/../x", "//privacy", "/Privacy", "/x/privacy"])
def test_paths_that_only_look_like_ours_go_to_the_host(path: str) -> None:
    assert run(PrivacyMiddleware(HOSTS["plain"]), http_scope(path))[0] == [START, END]


@pytest.mark.parametrize("mount", ["/p", "/me", "/a/b/c", "/privacy"])
def test_a_short_mount_is_found_as_well_as_a_long_one(mount: str) -> None:
    app = PrivacyMiddleware(HOSTS["plain"], path=mount)
    assert "Privatlivserklæring".encode() in answer(app, mount + "/")[1]
    assert b"Dit valg" in answer(app, mount + "/opt-out")[1]
    assert answer(app, "/")[1] == b"end"


def test_other_well_known_paths_are_the_hosts_and_recorded() -> None:
    app = PrivacyMiddleware(HOSTS["plain"])
    assert answer(app, "/.well-known/security.txt")[1] == b"end"
    app.recorder.flush()
    assert [hit["path"] for hit in hits()] == ["/.well-known/security.txt"]


def test_our_own_pages_are_never_recorded() -> None:
    app = PrivacyMiddleware(HOSTS["plain"])
    for path in ("/privacy", "/privacy/", "/privacy/opt-out", "/privacy/nothing", "/privacy/style.css"):
        run(app, http_scope(path))
    app.recorder.flush()
    assert query("SELECT COUNT(*) AS n FROM hit") == [{"n": 0}]


def test_excluded_paths_are_not_recorded() -> None:
    app = PrivacyMiddleware(HOSTS["plain"], exclude_paths="/health,/internal/*.json")
    for path in ("/health", "/health/deep", "/internal/a.json", "/healthy"):
        run(app, http_scope(path))
    app.recorder.flush()
    assert [hit["path"] for hit in hits()] == ["/healthy"]


def test_switched_off_it_does_nothing_at_all(tmp_path: Path) -> None:
    app = PrivacyMiddleware(HOSTS["plain"], disabled=True)
    scope = http_scope("/privacy/")
    assert run(app, scope)[0] == [START, END]
    assert scope["privacy"].footer == ""
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_setting_stops_the_start_at_once() -> None:
    with pytest.raises(SettingsError, match="PRIVACY_IP"):
        PrivacyMiddleware(HOSTS["plain"], ip="wrong")


def test_a_wrong_setting_stops_the_start_where_the_framework_wraps_late() -> None:
    app = Starlette()
    app.add_middleware(PrivacyMiddleware, ip="wrong")
    sent = run(app, {"type": "lifespan", "asgi": {}}, [{"type": "lifespan.startup"}])[0]
    assert [message["type"] for message in sent] == ["lifespan.startup.failed"]
    assert "PRIVACY_IP" in sent[0]["message"]


def test_wrapped_twice_records_once() -> None:
    inner = PrivacyMiddleware(HOSTS["plain"])
    outer = PrivacyMiddleware(inner)
    run(outer, http_scope())
    outer.recorder.flush()
    inner.recorder.flush()
    assert len(hits()) == 1


def test_websockets_pass_through_unrecorded(tmp_path: Path) -> None:
    async def echo(websocket: Any) -> None:
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())
        await websocket.close()

    app = Starlette(routes=[WebSocketRoute("/ws", echo)])
    app.add_middleware(PrivacyMiddleware)
    with TestClient(app).websocket_connect("/ws") as socket:
        socket.send_text("hello")
        assert socket.receive_text() == "hello"
    assert list(tmp_path.iterdir()) == []


# --- well-known addresses -----------------------------------------------------------------------------------------------------


def answer(app: Any, path: str, **more: Any) -> tuple[int, bytes]:
    sent = run(app, http_scope(path, **more))[0]
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


def test_gpc_and_dnt_resources_are_served_where_the_host_has_none() -> None:
    app = PrivacyMiddleware(Starlette())
    status, body = answer(app, "/.well-known/gpc.json")
    assert status == 200
    assert body.startswith(b'{"gpc": true, "lastUpdate": "20')
    assert answer(app, "/.well-known/dnt/") == (200, b'{"tracking": "N"}\n')
    assert answer(app, "/.well-known/other")[0] == 404


def test_the_hosts_own_well_known_answer_goes_first() -> None:
    app = PrivacyMiddleware(Starlette(routes=[Route("/.well-known/gpc.json", lambda _: PlainTextResponse("mine"))]))
    assert answer(app, "/.well-known/gpc.json") == (200, b"mine")


def test_below_a_mount_the_root_is_not_ours() -> None:
    app = PrivacyMiddleware(Starlette())
    assert answer(app, "/sub/.well-known/gpc.json", root_path="/sub")[0] == 404


def test_ignored_signals_are_not_promised_at_well_known_addresses() -> None:
    app = PrivacyMiddleware(Starlette(), signals="gpc=ignore,dnt=ignore")
    assert b'"gpc": false' in answer(app, "/.well-known/gpc.json")[1]
    assert answer(app, "/.well-known/dnt/")[0] == 404


# --- in a framework -----------------------------------------------------------------------------------------------------------


def make_starlette(folder: Path) -> Starlette:
    (folder / "price list.pdf").write_bytes(b"%PDF-" + bytes(10_000))

    async def page(request: Any) -> HTMLResponse:
        return HTMLResponse("<p>" + request.scope["privacy"].footer)

    async def order(request: Any) -> JSONResponse:
        return JSONResponse(dict(request.path_params))

    async def background(request: Any) -> PlainTextResponse:
        return PlainTextResponse("ok", background=BackgroundTask(done.append, "ran"))

    async def download(request: Any) -> FileResponse:
        return FileResponse(folder / "price list.pdf", filename="price list.pdf")

    async def stream(request: Any) -> StreamingResponse:
        return StreamingResponse(iter([b"a", b"b"]), media_type="text/html")

    done: list[str] = []
    app = Starlette(
        routes=[
            Route("/", page),
            Route("/orders/{id:int}", order),
            Route("/again/{id:int}", order),
            Route("/blog/{slug}", page),
            Mount("/api", routes=[Route("/people/{name}", order)]),
            Route("/background", background),
            Route("/download", download),
            Route("/stream", stream),
            Route("/form", page, methods=["POST"]),
        ]
    )
    app.state.done = done
    return app


def test_starlettes_routes_are_named_by_their_template(tmp_path: Path) -> None:
    app = make_starlette(tmp_path)
    app.add_middleware(PrivacyMiddleware, path_params="slug")
    with TestClient(app) as client:
        for path in ("/", "/orders/17", "/again/18", "/api/people/jo", "/blog/ten-tips", "/nowhere/jo@example.org/123456"):
            client.get(path)
    expected = ["/", "/orders/{id}", "/again/{id}", "/api/people/{name}", "/blog/ten-tips", "/nowhere/{email}/{number}"]
    assert [hit["path"] for hit in hits()] == expected


def test_background_tasks_run_and_downloads_and_ranges_are_told_apart(tmp_path: Path) -> None:
    app = make_starlette(tmp_path)
    app.add_middleware(PrivacyMiddleware)
    with TestClient(app) as client:
        assert client.get("/background").text == "ok"
        assert client.get("/download").content[:5] == b"%PDF-"
        assert client.get("/download", headers={"range": "bytes=0-99"}).status_code == 206
        assert client.get("/download", headers={"range": "bytes=100-199"}).status_code == 206
        client.post("/form", data={"a": "b"})
        client.get("/", headers={"sec-purpose": "prefetch;prerender"})
    assert app.state.done == ["ran"]
    names = ["api", "download", "download", "part", "form", "other"]
    from privacy_middleware.collect.hit import KINDS

    assert [KINDS[hit["kind"]] for hit in hits()] == names
    assert [hit["sent"] for hit in hits()][1:4] == [10_005, 100, 100]


def test_lifespan_state_reaches_the_host_and_the_shutdown_commits() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            scope["state"]["answer"] = 42
            seen.append((await receive())["type"])
            await send({"type": "lifespan.startup.complete"})
            seen.append((await receive())["type"])
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await HOSTS["plain"](scope, receive, send)

    wrapped = PrivacyMiddleware(app)
    with TestClient(wrapped) as client:
        assert client.app_state == {"answer": 42}
        client.get("/")
    assert seen == ["lifespan.startup", "lifespan.shutdown"]
    assert len(hits()) == 1


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_host_without_lifespan_raises_as_it_does_bare(backend: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ERROR

    assert run(PrivacyMiddleware(app), {"type": "lifespan", "asgi": {}}, backend=backend) == ([], ERROR, 0)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_cancelled_lifespan_still_commits(backend: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await send({"type": "lifespan.startup.complete"})
            await anyio.sleep_forever()
        await HOSTS["plain"](scope, receive, send)

    wrapped = PrivacyMiddleware(app)

    async def ignore(message: Any) -> None:
        pass

    async def nothing() -> dict[str, Any]:
        return {"type": "http.request"}

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wrapped, {"type": "lifespan", "asgi": {}}, nothing, ignore)
            await wrapped(http_scope(), nothing, ignore)
            tasks.cancel_scope.cancel()

    anyio.run(main, backend=backend)
    assert wrapped.recorder.is_idle
    assert len(hits()) == 1


def test_behind_a_trusted_proxy_the_forwarded_address_counts() -> None:
    app = PrivacyMiddleware(HOSTS["plain"], ip="full", trusted_proxies="192.0.2.0/24")
    run(app, http_scope(headers=[*BROWSER, (b"x-forwarded-for", b"203.0.113.9, 198.51.100.7")]))
    app.recorder.flush()
    assert hits()[0]["address"] == bytes([198, 51, 100, 7])


def test_visitors_are_told_apart_by_address_and_browser() -> None:
    app = PrivacyMiddleware(HOSTS["plain"])
    other = [(b"host", b"example.org"), (b"user-agent", b"Mozilla/5.0 Other")]
    for scope in (http_scope(), http_scope(), http_scope(client=("192.0.2.45", 1)), http_scope(headers=other)):
        run(app, scope)
    app.recorder.flush()
    assert len({hit["visitor"] for hit in hits()}) == 3
