"""The WSGI adapter: it watches and changes nothing, and it stores the same rows as the ASGI adapter for the same exchange."""

import gc
import io
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest
from flask import Flask, Response
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from privacy_middleware import PrivacyMiddleware, PrivacyWSGIMiddleware
from privacy_middleware.errors import DeclarationError, KeyMissing, SettingsError
from privacy_middleware.record import intake as intake_module
from privacy_middleware.wsgi import Bridge
from privacy_middleware.wsgi_watch import Tee, _Answer, route_template

from .conftest import FIREFOX, hits, query
from .databases import is_there
from .requesting import SECRET
from .test_recorder import until, write_lock
from .test_truth import close_all, folder

POLICY = """
[[forms]]
name = "contact"
path = "/contact"
purpose = "answer"
retention_days = 30
outcomes = ["accepted", "invalid", "failed"]
[forms.fields]
message = "keep"
email = { treatment = "keep", identity = true, optional = true }
[[forms]]
name = "order"
path = "/order"
purpose = "answer"
retention_days = 30
requested = true
link_visit = true
[forms.fields]
message = "keep"
"""
HEADERS = [("Content-Type", "text/html")]
MESSAGE = b"message=a+canary+sings"


def environ(
    path: str = "/", *, method: str = "GET", body: bytes = b"", headers: dict[str, str] | None = None, **more: Any
) -> dict[str, Any]:
    """What a server passes for one request."""
    path, _, queried = path.partition("?")
    found: dict[str, Any] = {
        "REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": path.encode().decode("latin-1"), "QUERY_STRING": queried,
        "SERVER_NAME": "www.example.org", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "192.0.2.77",
        "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(body), "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True, "wsgi.multiprocess": True, "wsgi.run_once": False, "HTTP_HOST": "www.example.org",
        "HTTP_USER_AGENT": FIREFOX,
    }  # fmt: skip
    if body:
        found |= {"CONTENT_LENGTH": str(len(body)), "CONTENT_TYPE": "application/x-www-form-urlencoded"}
    found |= {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in (headers or {}).items()}
    return found | more


class Server:
    """A server that calls an app, and notes what it was given."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.started: list[tuple[Any, ...]] = []
        self.written: list[bytes] = []

    def start_response(self, *arguments: Any) -> Callable[[bytes], None]:
        self.started.append(arguments)
        return self.written.append

    def get(self, path: str = "/", *, close: bool = True, **more: Any) -> bytes:
        result = self.app(environ(path, **more), self.start_response)
        try:
            return b"".join(self.written) + b"".join(result)
        finally:
            if close and hasattr(result, "close"):
                result.close()


def wrap(app: Any, **settings: Any) -> PrivacyWSGIMiddleware:
    return PrivacyWSGIMiddleware(app, **{"secret_keys": SECRET, "policy": POLICY, **settings})


def stored(app: PrivacyWSGIMiddleware) -> list[dict[str, Any]]:
    app.recorder.flush()
    return hits() if query("SELECT 1 FROM sqlite_master WHERE name = 'hit'") else []


def page(_: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", HEADERS)
    return [b"a", b"bc"]


def stream(_: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", HEADERS)
    yield b"a"
    yield b""
    yield b"bc"


# --- nothing is changed ----------------------------------------------------------------------------------------------------


def test_a_list_goes_on_as_the_same_object() -> None:
    given = [b"a", b"bc"]

    def app(_: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", HEADERS)
        return given

    wrapped = wrap(app)
    assert wrapped(environ(), Server(wrapped).start_response) is given
    assert [(hit["path"], hit["status"], hit["sent"], hit["aborted"]) for hit in stored(wrapped)] == [("/", 200, 3, 0)]


def test_chunks_pass_one_by_one_when_the_server_asks_for_them() -> None:
    made: list[int] = []

    def app(_: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", HEADERS)
        for number in range(3):
            made.append(number)
            yield b"x"

    result = iter(wrap(app)(environ(), Server(None).start_response))
    assert made == []
    for number in range(3):
        next(result)
        assert made == list(range(number + 1))


def test_what_the_app_returns_is_closed_once_by_the_server_and_not_by_us() -> None:
    class Closing:
        closed = 0

        def __iter__(self) -> Iterator[bytes]:
            return iter([b"x"])

        def close(self) -> None:
            self.closed += 1

    given = Closing()

    def app(_: Any, start_response: Any) -> Closing:
        start_response("200 OK", HEADERS)
        return given

    result = wrap(app)(environ(), Server(None).start_response)
    assert list(result) == [b"x"]
    assert given.closed == 0
    result.close()  # type: ignore[attr-defined]
    assert given.closed == 1


def test_the_length_of_an_iterable_is_there_only_if_the_app_gave_one() -> None:
    class Sized:
        def __len__(self) -> int:
            return 1

        def __iter__(self) -> Iterator[bytes]:
            return iter([b"x"])

    def app(sized: Any) -> Any:
        def call(_: Any, start_response: Any) -> Any:
            start_response("200 OK", HEADERS)
            return sized

        return call

    assert len(wrap(app(Sized()))(environ(), Server(None).start_response)) == 1  # type: ignore[arg-type]
    assert not hasattr(wrap(app(iter([b"x"])))(environ(), Server(None).start_response), "__len__")


def test_a_file_wrapper_goes_on_so_that_the_server_can_send_the_file_itself() -> None:
    def app(given: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "application/pdf"), ("Content-Length", "7")])
        return given["wsgi.file_wrapper"](io.BytesIO(b"a paper"))

    wrapped = wrap(app)
    result = wrapped(environ("/a.pdf", **{"wsgi.file_wrapper": FileWrapper}), Server(None).start_response)
    assert isinstance(result, FileWrapper)
    assert [(hit["path"], hit["sent"]) for hit in stored(wrapped)] == [("/a.pdf", 7)]


def test_write_is_the_servers_and_its_bytes_are_counted() -> None:
    def app(_: Any, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", HEADERS)
        write(b"abc")
        write(b"de")
        return []

    wrapped = wrap(app)
    server = Server(wrapped)
    assert server.get() == b"abcde"
    assert server.written == [b"abc", b"de"]
    assert [hit["sent"] for hit in stored(wrapped)] == [5]


def test_a_server_without_write_is_left_as_it_is() -> None:
    wrapped = wrap(page)
    assert list(wrapped(environ(), lambda *_: None)) == [b"a", b"bc"]


def test_an_app_may_take_its_start_back() -> None:
    def app(_: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", HEADERS)
        try:
            raise ValueError("canary")
        except ValueError as error:
            start_response("500 Oh", HEADERS, (ValueError, error, error.__traceback__))
        return [b"sorry"]

    wrapped = wrap(app)
    server = Server(wrapped)
    server.get()
    assert [len(one) for one in server.started] == [2, 3]
    assert [hit["status"] for hit in stored(wrapped)] == [500]


@pytest.mark.parametrize("late", [False, True])
def test_the_apps_error_goes_on_as_the_same_object_and_is_a_500(late: bool) -> None:
    error = RuntimeError("canary")

    def early(_: Any, __: Any) -> list[bytes]:
        raise error

    def generator(_: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", HEADERS)
        if late:
            yield b"x"
        raise error

    for app in (early, generator):
        wrapped = wrap(app)
        with pytest.raises(RuntimeError) as raised:
            Server(wrapped).get()
        assert raised.value is error
        wrapped.recorder.flush()
    assert {hit["status"] for hit in hits()} == ({500, 200} if late else {500})
    assert {hit["aborted"] for hit in hits()} == {1}


def test_the_app_gets_the_same_environ_with_one_key_more() -> None:
    seen: list[Any] = []
    given = environ("/page", method="POST", body=b"x")
    before = dict(given)

    def app(found: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(found)
        return page(found, start_response)

    wrap(app)(given, Server(None).start_response)
    assert seen[0] is given
    assert {name for name in given if name not in before} == {"privacy.visitor"}
    assert all(given[name] is before[name] for name in before)


def test_the_validator_of_the_standard_library_has_no_complaint_on_either_side() -> None:
    for app in (page, stream):
        server = Server(validator(wrap(validator(app))))
        assert server.get("/page", **{"wsgi.version": (1, 0)}) == b"abc"
    body = environ("/contact", method="POST", body=MESSAGE)
    result = validator(wrap(validator(reading)))(body, Server(None).start_response)
    assert b"".join(result) == MESSAGE
    result.close()


def reading(found: dict[str, Any], start_response: Any) -> list[bytes]:
    body = found["wsgi.input"].read(int(found.get("CONTENT_LENGTH", 0)))
    start_response("200 OK", HEADERS)
    return [body]


# --- when an exchange ends -------------------------------------------------------------------------------------------------


def test_an_answer_that_the_server_does_not_take_whole_is_broken_off() -> None:
    wrapped = wrap(stream)
    result = wrapped(environ(), Server(None).start_response)
    next(iter(result))
    result.close()  # type: ignore[attr-defined]
    assert [(hit["sent"], hit["aborted"]) for hit in stored(wrapped)] == [(1, 1)]


def test_an_answer_whose_announced_length_was_taken_is_whole() -> None:
    def app(_: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [*HEADERS, ("Content-Length", "2")])
        yield b"ab"

    wrapped = wrap(app)
    result = wrapped(environ(), Server(None).start_response)
    next(iter(result))
    result.close()  # type: ignore[attr-defined]
    assert [(hit["sent"], hit["aborted"]) for hit in stored(wrapped)] == [(2, 0)]


@pytest.mark.parametrize("read", [True, False])
def test_a_server_that_never_closes_leaves_a_row_all_the_same(read: bool) -> None:
    wrapped = wrap(stream)
    result = wrapped(environ(), Server(None).start_response)
    assert isinstance(result, _Answer)
    if read:
        list(result)
    del result
    gc.collect()
    assert [hit["aborted"] for hit in stored(wrapped)] == [0 if read else 1]


def test_a_head_request_is_whole_without_a_body() -> None:
    wrapped = wrap(stream)
    result = wrapped(environ(method="HEAD"), Server(None).start_response)
    result.close()  # type: ignore[attr-defined]
    assert [hit["aborted"] for hit in stored(wrapped)] == [0]


# --- refusing --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-gpc": "1"},
        {"dnt": "1"},
        {"cookie": "privacy-choice=refuse"},
        {"cookie": "a=b; privacy-choice=refuse.01234567"},
        {"sec-gpc": "0,1"},
    ],
)
def test_who_refuses_leaves_nothing(headers: dict[str, str]) -> None:
    wrapped = wrap(page)
    given = environ("/page", headers=headers)
    wrapped(given, Server(None).start_response)
    Server(wrapped).get("/contact", method="POST", body=MESSAGE, headers=headers)
    assert given["privacy.visitor"].opted_out
    assert stored(wrapped) == []


def test_who_does_not_refuse_is_told_so_to_the_app() -> None:
    wrapped = wrap(page)
    given = environ("/page", headers={"cookie": "privacy-choice=allow", "sec-gpc": "1"})
    wrapped(given, Server(None).start_response)
    assert not given["privacy.visitor"].opted_out
    assert [hit["path"] for hit in stored(wrapped)] == ["/page"]


def test_excluded_paths_are_left_alone() -> None:
    wrapped = wrap(page, exclude_paths="/health")
    given = environ("/health")
    wrapped(given, Server(None).start_response)
    assert "privacy.visitor" in given
    assert stored(wrapped) == []


def test_wrapped_twice_it_is_recorded_once() -> None:
    wrapped = wrap(wrap(page))
    Server(wrapped).get("/page")
    assert [hit["path"] for hit in stored(wrapped)] == ["/page"]


@pytest.mark.sqlite
def test_switched_off_it_does_nothing() -> None:
    wrapped = wrap(page, disabled=True)
    given = environ("/privacy/")
    assert wrapped(given, Server(None).start_response) == [b"a", b"bc"]
    assert not given["privacy.visitor"].opted_out
    assert not is_there()


def test_behind_trusted_proxies_the_forwarded_address_counts() -> None:
    wrapped = wrap(page, trusted_proxies="1", ip="full")
    Server(wrapped).get(headers={"x-forwarded-for": "198.51.100.9, 203.0.113.5"})
    assert [hit["address"] for hit in stored(wrapped)] == [bytes([203, 0, 113, 5])]


@pytest.mark.parametrize("fault", ["clock", "_view_of"])
def test_a_fault_of_ours_is_counted_and_the_host_is_served(fault: str) -> None:
    wrapped = wrap(page)

    def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    setattr(wrapped, fault, broken)
    assert Server(wrapped).get(headers={"dnt": "0"}) == b"abc"


def test_a_wrong_setting_stops_the_start() -> None:
    with pytest.raises(SettingsError):
        wrap(page, retention_days=-1)
    with pytest.raises(DeclarationError):
        wrap(page, policy="[controler]\n")


def test_a_wrong_key_stops_the_start() -> None:
    Server(wrap(reading)).get("/contact", method="POST", body=MESSAGE)
    close_all()
    with pytest.raises(KeyMissing):
        wrap(page, secret_keys="another-" * 6)


# --- our own pages ---------------------------------------------------------------------------------------------------------


def test_the_privacy_pages_are_served_and_their_forms_work() -> None:
    client = Flask(__name__)
    client.wsgi_app = wrap(client.wsgi_app)  # type: ignore[method-assign]
    browser = client.test_client()
    assert b"Privacy statement" in browser.get("/privacy/").data
    assert browser.get("/privacy").headers["location"] == "/privacy/"
    assert browser.get("/privacyX").status_code == 404
    answered = browser.post("/privacy/opt-out", data={"choice": "refuse"}, headers={"origin": "http://localhost"})
    assert answered.status_code == 200
    assert "privacy-choice=refuse" in answered.headers["set-cookie"]
    assert browser.get("/privacy/statement.json").json["facts"]["forms"][0]["name"] == "contact"  # type: ignore[index]
    assert browser.get("/.well-known/gpc.json").json["gpc"] is True  # type: ignore[index]


def test_below_a_mount_links_stay_below_it() -> None:
    app = DispatcherMiddleware(page, {"/shop": wrap(page)})
    server = Server(app)
    assert b'href="/shop/privacy/opt-out"' in server.get("/shop/privacy/")


def test_the_hosts_own_well_known_answer_goes_before_ours() -> None:
    for app in (page, stream):
        server = Server(wrap(app))
        assert server.get("/.well-known/gpc.json") == b"abc"
        assert server.started == [("200 OK", HEADERS)]

    def missing(_: Any, start_response: Any) -> Iterator[bytes]:
        start_response("404 Not Found", HEADERS)
        yield b"nothing here"

    server = Server(wrap(missing))
    assert b'"gpc": true' in server.get("/.well-known/gpc.json")
    assert [one[0] for one in server.started] == ["200 OK"]
    assert server.get("/.well-known/security.txt") == b"nothing here"


@pytest.mark.parametrize(
    "given",
    [
        {"PATH_INFO": "/privacy/\xff\xfe"}, {"QUERY_STRING": "lang=\xff%ff"}, {"HTTP_ACCEPT_LANGUAGE": "\xff"}, {"SERVER_PORT": ""},
        {"REMOTE_ADDR": ""}, {"CONTENT_LENGTH": "x"}, {"HTTP_HOST": ""}, {"SCRIPT_NAME": "/\xc3\xa6"}, {"CONTENT_LENGTH": ""},
    ],
)  # fmt: skip
def test_odd_requests_break_no_page(given: dict[str, str]) -> None:
    server = Server(wrap(page))
    server.get(**{"path": "/privacy/", **given})
    assert server.started[0][0][:3] in ("200", "404")


def test_a_body_longer_than_any_form_of_ours_is_refused() -> None:
    server = Server(wrap(page))
    server.get("/privacy/opt-out", method="POST", body=b"x" * 3_000_000, headers={"origin": "http://www.example.org"})
    assert server.started[0][0].startswith("4")


def test_a_visitor_who_leaves_ends_the_task_that_answers() -> None:
    ended = threading.Event()

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
        finally:
            ended.set()

    answer = Bridge().serve(endless, environ(), lambda *_: None)
    assert [next(answer), next(answer)] == [b"x", b"x"]
    answer.close()  # type: ignore[attr-defined]
    assert ended.wait(5)


def test_an_error_of_the_pages_reaches_the_server() -> None:
    async def broken(*_: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(Bridge().serve(broken, environ(), lambda *_: None))


def test_the_pages_are_answered_to_several_visitors_at_once() -> None:
    wrapped = wrap(page)
    answers: list[bytes] = []
    threads = [threading.Thread(target=lambda: answers.append(Server(wrapped).get("/privacy/opt-out"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(answers) == 8
    assert all(b"Your choice" in answer for answer in answers)


# --- forms -----------------------------------------------------------------------------------------------------------------

READERS: dict[str, Callable[[Any, int], bytes]] = {
    "all": lambda stream, length: stream.read(length),
    "pieces": lambda stream, length: b"".join(iter(lambda: stream.read(min(7, length)), b"")),
    "line": lambda stream, _: stream.readline(),
    "lines": lambda stream, _: b"".join(stream.readlines()),
    "iterated": lambda stream, _: b"".join(stream),
    "next": lambda stream, _: next(stream),
    "into": lambda stream, length: bytes(buffer) if stream.readinto(buffer := bytearray(length)) else b"",
    "without a size": lambda stream, _: stream.read(),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("known", [True, False], ids=["length known", "chunked"])
def test_a_form_is_captured_however_the_app_reads_it(reader: str, known: bool) -> None:
    def app(found: dict[str, Any], start_response: Any) -> list[bytes]:
        body = READERS[reader](found["wsgi.input"], len(MESSAGE))
        if not known:
            found["wsgi.input"].read()
        start_response("303 See Other", [("Location", "/thanks")])
        return [body]

    wrapped = wrap(app)
    more = {} if known else {"CONTENT_LENGTH": ""}
    assert Server(wrapped).get("/contact", method="POST", body=MESSAGE, **more) == MESSAGE
    assert [(row["form"], row["outcome"]) for row in query("SELECT * FROM submission")] == [("contact", "accepted")]
    assert [row["name"] for row in query("SELECT name FROM field")] == ["message"]


@pytest.mark.parametrize("kind", ["list", "generator", "write", "empty", "file"])
def test_a_submission_is_durable_before_the_first_byte_of_the_answer_goes_out(kind: str) -> None:
    def app(found: dict[str, Any], start_response: Any) -> Any:
        found["wsgi.input"].read()
        write = start_response("200 OK", HEADERS)
        if kind == "write":
            write(b"x")
        if kind == "file":
            return FileWrapper(io.BytesIO(b"x"))
        return {"list": [b"x"], "empty": [], "write": []}.get(kind, iter([b"x"]))

    durable: list[int] = []

    def write(_: bytes) -> None:
        durable.append(amount())

    def amount() -> int:
        return len(query("SELECT * FROM submission"))

    wrapped = wrap(app)
    given = environ("/contact", method="POST", body=MESSAGE, **{"wsgi.file_wrapper": FileWrapper})
    result = wrapped(given, lambda *_: write)
    durable.extend(amount() for _ in result)
    assert amount() == 1
    assert durable == ([] if kind == "empty" else [1])


@pytest.mark.parametrize(
    ("status", "outcome"), [("200 OK", "accepted"), ("303 See Other", "accepted"), ("422 No", "invalid"), ("500 Oh", "failed")]
)
def test_the_answer_decides_what_becomes_of_a_submission(status: str, outcome: str) -> None:
    def app(found: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        found["wsgi.input"].read()
        start_response(status, HEADERS)
        yield b"x"

    Server(wrap(app)).get("/contact", method="POST", body=MESSAGE)
    assert [row["outcome"] for row in query("SELECT outcome FROM submission")] == [outcome]


def test_an_app_that_takes_its_start_back_has_failed() -> None:
    def app(found: dict[str, Any], start_response: Any) -> list[bytes]:
        found["wsgi.input"].read()
        start_response("200 OK", HEADERS)
        start_response("500 Oh", HEADERS, (ValueError, ValueError(), None))
        return [b"x"]

    Server(wrap(app)).get("/contact", method="POST", body=MESSAGE)
    assert [row["outcome"] for row in query("SELECT outcome FROM submission")] == ["failed"]


def test_an_app_that_raises_has_failed() -> None:
    def app(found: dict[str, Any], _: Any) -> list[bytes]:
        found["wsgi.input"].read()
        raise RuntimeError

    wrapped = wrap(app)
    with pytest.raises(RuntimeError):
        Server(wrapped).get("/contact", method="POST", body=MESSAGE)
    until(lambda: bool(query("SELECT 1 FROM sqlite_master WHERE name = 'submission'")) and bool(query("SELECT * FROM submission")))
    assert [row["outcome"] for row in query("SELECT outcome FROM submission")] == ["failed"]


def test_what_the_app_does_not_read_is_not_kept() -> None:
    wrapped = wrap(page)
    Server(wrapped).get("/contact", method="POST", body=MESSAGE)
    wrapped.recorder.flush()
    assert query("SELECT * FROM submission") == []


def test_of_who_refuses_only_what_they_ask_for_is_kept_and_no_visit() -> None:
    wrapped = wrap(reading)
    for path in ("/contact", "/order"):
        Server(wrapped).get(path, method="POST", body=MESSAGE, headers={"sec-gpc": "1"})
    assert stored(wrapped) == []
    assert [(row["form"], row["visitor"]) for row in query("SELECT form, visitor FROM submission")] == [("order", None)]


def test_a_submission_is_tied_to_the_visit_only_where_that_is_declared() -> None:
    wrapped = wrap(reading)
    Server(wrapped).get("/page")
    wrapped.recorder.flush()
    for path in ("/contact", "/order"):
        Server(wrapped).get(path, method="POST", body=MESSAGE)
    visitors = {row["form"]: row["visitor"] for row in query("SELECT form, visitor FROM submission")}
    assert visitors == {"contact": None, "order": stored(wrapped)[0]["visitor"]}


def test_a_packed_body_is_not_understood_and_counted() -> None:
    wrapped = wrap(reading)
    Server(wrapped).get("/contact", method="POST", body=MESSAGE, headers={"content-encoding": "gzip"})
    wrapped.recorder.flush()
    assert query("SELECT * FROM submission") == []


def test_while_the_database_is_locked_the_answer_waits_no_longer_than_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    wrapped = wrap(reading, submission_wait_ms=100)
    Server(wrapped).get("/contact", method="POST", body=MESSAGE)
    with write_lock("privacy.db"):
        began = time.monotonic()
        assert Server(wrapped).get("/contact", method="POST", body=MESSAGE) == MESSAGE
        assert time.monotonic() - began < 30
    until(lambda: len(query("SELECT * FROM submission")) == 2)
    assert intake_module


def test_the_copy_hides_nothing_of_the_servers_stream() -> None:
    class Stream(io.BytesIO):
        special = "kept"

    class NoCapture:
        copy = None

    tee = Tee(Stream(b"abc"), NoCapture(), 3)  # type: ignore[arg-type]
    assert (tee.special, tee.tell(), tee.read(2), tee.readline()) == ("kept", 0, b"ab", b"c")


# --- route templates -------------------------------------------------------------------------------------------------------


def make_flask() -> Flask:
    app = Flask(__name__)
    app.add_url_rule("/orders/<int:number>", "order", lambda number: f"{number}")
    app.add_url_rule("/files/<path:name>", "file", lambda name: name)
    app.add_url_rule("/people/<any(anna, 'otto'):who>/<string(length=2):code>", "person", lambda who, code: who + code)
    app.add_url_rule("/stream", "stream", lambda: Response(iter(["a", "b"])))
    return app


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/orders/17", "/orders/{number}"),
        ("/files/anna/otto.txt", "/files/{name}"),
        ("/people/anna/dk", "/people/{who}/{code}"),
        ("/nowhere/12345678", "/nowhere/{number}"),
        ("/stream", "/stream"),
    ],
)
def test_pages_of_flask_are_named_by_their_rules(path: str, name: str) -> None:
    app = make_flask()
    app.wsgi_app = wrapped = wrap(app.wsgi_app)  # type: ignore[method-assign,assignment]
    assert app.test_client().get(path).data
    assert [hit["path"] for hit in stored(wrapped)] == [name]


def test_pages_of_a_mounted_flask_app_have_the_mount_before_them() -> None:
    wrapped = wrap(DispatcherMiddleware(page, {"/shop": make_flask()}))
    Server(wrapped).get("/shop/orders/17")
    assert [hit["path"] for hit in stored(wrapped)] == ["/shop/orders/{number}"]


def test_parameters_that_are_declared_are_filled_in() -> None:
    app = make_flask()
    app.wsgi_app = wrapped = wrap(app.wsgi_app, path_params="who")  # type: ignore[method-assign,assignment]
    app.test_client().get("/people/anna/dk")
    assert [hit["path"] for hit in stored(wrapped)] == ["/people/anna/{code}"]


def test_an_app_of_no_known_framework_has_no_template() -> None:
    assert route_template(environ("/page"), "") is None


# --- the same rows as under ASGI -------------------------------------------------------------------------------------------

WORD = st.sampled_from(["orders", "anna@example.org", "17", "1234567", "ærø", "a b", "%41", ""])
VALUES = st.sampled_from(["", "1", "text/html", "da, en;q=0.5", "https://search.example.org/x?q=1", FIREFOX, "GPTBot/1.0", "prefetch"])
ANSWERED = [
    ("content-type", "text/html; charset=utf-8"), ("content-type", "application/pdf"), ("content-type", "text/css"),
    ("content-disposition", "attachment"), ("content-range", "bytes 0-4/10"),
]  # fmt: skip
EXCHANGES = st.lists(
    st.fixed_dictionaries(
        {
            "method": st.sampled_from(["GET", "POST", "HEAD", "DELETE"]),
            "path": st.lists(WORD, min_size=1, max_size=3).map(lambda words: "/" + "/".join(words)),
            "query": st.sampled_from(["", "utm_source=letter", "ref=card&secret=1", "a=%C3%A6"]),
            "headers": st.dictionaries(
                st.sampled_from(["user-agent", "referer", "accept-language", "sec-purpose", "sec-gpc", "dnt", "cookie", "x-forwarded-for"]),
                VALUES | st.sampled_from(["privacy-choice=refuse", "privacy-choice=allow", "203.0.113.9"]),
                max_size=5,
            ),
            "status": st.sampled_from([200, 204, 206, 301, 404, 500]),
            "answer": st.lists(
                st.sampled_from(ANSWERED),
                max_size=3,
                unique_by=lambda header: header[0],
            ),
            "chunks": st.lists(st.binary(max_size=20), max_size=3),
        }
    ),
    min_size=1,
    max_size=4,
)


def asgi_host(exchange: dict[str, Any]) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(name.encode(), value.encode()) for name, value in exchange["answer"]]
        await send({"type": "http.response.start", "status": exchange["status"], "headers": headers})
        for chunk in exchange["chunks"]:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return app


def wsgi_host(exchange: dict[str, Any]) -> Any:
    def app(_: Any, start_response: Any) -> Iterable[bytes]:
        start_response(f"{exchange['status']} Status", exchange["answer"])
        return iter(exchange["chunks"])

    return app


async def call(app: Any, exchange: dict[str, Any]) -> None:
    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_: Any) -> None:
        return None

    headers = [(b"host", b"www.example.org"), *((name.encode(), value.encode("latin-1")) for name, value in exchange["headers"].items())]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": exchange["method"], "scheme": "http",
        "path": exchange["path"], "raw_path": b"", "query_string": exchange["query"].encode(), "root_path": "", "headers": headers,
        "client": ("192.0.2.77", 1), "server": ("www.example.org", 80),
    }  # fmt: skip
    await app(scope, receive, send)


def rows() -> list[dict[str, Any]]:
    if not query("SELECT 1 FROM sqlite_master WHERE name = 'hit'"):
        return []
    volatile = ("id", "time", "duration", "day", "page", "source", "campaign", "agent", "language")
    return [{name: value for name, value in hit.items() if name not in volatile} for hit in hits()]


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(exchanges=EXCHANGES, proxies=st.sampled_from(["", "1"]))
def test_the_same_exchange_leaves_the_same_row_as_under_asgi(exchanges: list[dict[str, Any]], proxies: str) -> None:
    import asyncio

    with folder():
        for exchange in exchanges:
            app = PrivacyMiddleware(asgi_host(exchange), secret_keys=SECRET, policy="\n", trusted_proxies=proxies)
            asyncio.run(call(app, exchange))
            app.recorder.flush()
            close_all()
        of_asgi = rows()
        for exchange in exchanges:
            wrapped = wrap(wsgi_host(exchange), policy="\n", trusted_proxies=proxies)
            given = environ(method=exchange["method"], headers=exchange["headers"])
            given |= {"PATH_INFO": exchange["path"].encode().decode("latin-1"), "QUERY_STRING": exchange["query"]}
            if "user-agent" not in exchange["headers"]:
                del given["HTTP_USER_AGENT"]
            result = wrapped(given, Server(None).start_response)
            list(result)
            wrapped.recorder.flush()
            close_all()
        of_both = rows()
    assert of_both[len(of_asgi) :] == of_asgi


def test_a_form_leaves_the_same_rows_as_under_asgi() -> None:
    from .test_truth import host

    with TestClient(PrivacyMiddleware(host(), secret_keys=SECRET, policy=POLICY)) as client:
        client.post("/contact", data={"message": "a canary sings", "email": "anna@example.org"})
    Server(wrap(reading)).get("/contact", method="POST", body=b"message=a+canary+sings&email=anna%40example.org")
    names = "form, purpose, day, expires, outcome, statement, visitor, subject"
    first, second = query(f"SELECT {names} FROM submission")
    assert first == second
