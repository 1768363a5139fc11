"""A declared form is captured as the host reads it, durable before its answer, and nothing else of it is kept anywhere."""

import json
import logging
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from privacy_middleware import PrivacyMiddleware
from privacy_middleware.record import submissions

from .conftest import FIREFOX, hits, query
from .databases import wait_for_forms
from .test_asgi import BROWSER, HostError, Script, http_scope, run

POLICY = """
[[forms]]
name = "contact"
path = "/contact"
purpose = "answer"
retention_days = 30
{more}
[forms.fields]
email = {{ treatment = "keep", identity = true }}
message = "keep"
upload = "file"
"address.city" = {{ treatment = "keep", optional = true }}
"""
URLENCODED = (b"content-type", b"application/x-www-form-urlencoded")
MULTIPART = (b"content-type", b"multipart/form-data; boundary=XX")
JSON = (b"content-type", b"application/json")
BODY = urlencode({"email": "ann@example.org", "message": "Hello\r\nthere", "other": "undeclared"}).encode()
ACCEPTED = [
    {"type": "http.response.start", "status": 303, "headers": [(b"location", b"/thanks")]},
    {"type": "http.response.body", "body": b""},
]


def answering(status: int) -> Callable[..., Any]:
    """A host that reads the body whole and answers with a status, and with what it has read."""

    async def app(scope: Any, receive: Any, send: Any) -> str:
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b"end"})
        return "returned"

    return app


async def reads_nothing(scope: Any, receive: Any, send: Any) -> None:
    for message in ACCEPTED:
        await send(dict(message))


async def answers_first(scope: Any, receive: Any, send: Any) -> None:
    await send(dict(ACCEPTED[0]))
    while (await receive()).get("more_body"):
        pass
    await send(dict(ACCEPTED[1]))


async def reads_one_message(scope: Any, receive: Any, send: Any) -> None:
    first = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": repr(first).encode()})


async def reads_too_often(scope: Any, receive: Any, send: Any) -> None:
    read = [await receive() for _ in range(4)]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": repr(read).encode()})


async def raises(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    raise ERROR


async def raises_later(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send(dict(ACCEPTED[0]))
    raise ERROR


ERROR = HostError("the host's own")
HOSTS = {
    "accepts": answering(200), "refuses": answering(422), "fails": answering(500), "reads nothing": reads_nothing, "answers first": answers_first,
    "reads one message": reads_one_message, "reads too often": reads_too_often, "raises": raises, "raises later": raises_later,
}  # fmt: skip


def wrap(host: Any, more: str = "", **keywords: Any) -> PrivacyMiddleware:
    return PrivacyMiddleware(host, policy=POLICY.format(more=more), **keywords)


def chunks(body: bytes, size: int) -> Script:
    pieces = [body[start : start + size] for start in range(0, len(body), size)] or [b""]
    return [{"type": "http.request", "body": piece, "more_body": n < len(pieces) - 1} for n, piece in enumerate(pieces)]


def post(app: Any, body: bytes = BODY, *headers: tuple[bytes, bytes], path: str = "/contact", method: str = "POST", size: int = 100_000, **more: Any) -> Script:  # fmt: skip
    kind = () if any(name == b"content-type" for name, _ in headers) else (URLENCODED,)
    sent, _, _ = run(app, http_scope(path, method, [*BROWSER, *kind, *headers], **more), chunks(body, size))
    return sent


def stored(app: PrivacyMiddleware) -> list[dict[str, Any]]:
    """Open everything that is stored."""
    store = app.privacy.store
    if not store.exists():
        return []
    wait_for_forms()
    store.open()
    try:
        found = submissions.find(store, first=0, last=2**31)
        return [submissions.read(store, app.privacy.keys.vault, one)[1] for one in found]
    finally:
        store.close()


def counters(app: PrivacyMiddleware) -> dict[str, int]:
    assert app.recorder.flush()
    return {row["name"]: row["amount"] for row in query("SELECT name, SUM(amount) AS amount FROM counter GROUP BY name")}


# --- the host --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize("name", HOSTS)
def test_the_host_of_a_declared_form_sees_and_does_the_same_wrapped_or_bare(name: str, size: int, backend: str) -> None:
    host = HOSTS[name]
    for incoming in (
        chunks(BODY, size),
        [*chunks(BODY, size)[:-1], {"type": "http.disconnect"}],  # gone in the middle
        [{"type": "http.disconnect"}],
        [{"type": "http.request"}],
        [{"type": "http.request", "body": BODY}, {"type": "http.disconnect"}],
    ):
        scope = http_scope("/contact", "POST", [*BROWSER, URLENCODED])
        bare = run(host, dict(scope), list(incoming), backend=backend)
        assert run(wrap(host), dict(scope), list(incoming), backend=backend) == bare
        for headers in ([(b"sec-gpc", b"1")], [(b"cookie", b"privacy-choice=refuse")]):
            refusing = {**scope, "headers": [*scope["headers"], *headers]}
            assert run(wrap(host, "requested = true"), dict(refusing), list(incoming), backend=backend) == bare


def test_the_messages_that_the_host_reads_are_the_very_same_objects() -> None:
    messages, seen = chunks(BODY, 10), []

    async def host(scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive()).get("more_body"):
            seen.append(message)
        seen.append(message)
        await reads_nothing(scope, receive, send)

    run(wrap(host), http_scope("/contact", "POST", [*BROWSER, URLENCODED]), list(messages))
    assert len(seen) == len(messages)
    assert all(one is other for one, other in zip(seen, messages, strict=True))


def test_a_broken_intake_costs_the_host_nothing(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    app = wrap(answering(200))

    def breaks(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(app.intake, "take", breaks)
    assert post(app)[-1]["body"] == b"end"
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_what_several_tasks_send_keeps_its_order_while_the_start_is_held(backend: str) -> None:
    async def host(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send, {"type": "http.response.start", "status": 200, "headers": []})
            await anyio.lowlevel.checkpoint()
            tasks.start_soon(send, {"type": "http.response.body", "body": b"x"})

    sent, _, _ = run(wrap(host), http_scope("/contact", "POST", [*BROWSER, URLENCODED]), chunks(BODY, 100), backend=backend)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


@pytest.mark.sqlite
def test_a_host_that_gives_up_while_its_answer_is_held_may_send_another(locked: sqlite3.Connection) -> None:
    async def host(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        with anyio.move_on_after(0.01):
            await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.start", "status": 503, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    app = wrap(host)
    locked.execute("BEGIN IMMEDIATE")
    sent = post(app)
    assert [message.get("status") for message in sent] == [503, None]


# --- what is kept ----------------------------------------------------------------------------------------------------------


def test_an_accepted_form_is_kept_in_its_declared_fields_only() -> None:
    app = wrap(answering(200))
    post(app)
    assert stored(app) == [{"email": ["ann@example.org"], "message": ["Hello\r\nthere"]}]


@pytest.mark.parametrize(("status", "kept"), [(200, 1), (204, 1), (302, 1), (303, 1), (400, 0), (404, 0), (422, 0), (500, 0), (503, 0)])
def test_the_answer_decides_whether_it_is_kept(status: int, kept: int) -> None:
    app = wrap(answering(status))
    post(app)
    assert len(stored(app)) == kept


@pytest.mark.parametrize(("status", "kept"), [(200, 0), (204, 0), (302, 0), (303, 1), (400, 0)])
def test_an_app_that_shows_a_wrong_form_again_with_200_names_the_status_that_accepts(status: int, kept: int) -> None:
    app = wrap(answering(status), 'accepted = ["303"]')
    post(app)
    assert len(stored(app)) == kept
    assert counters(app)["form.contact." + ("accepted" if kept else "invalid")] == 1


def test_what_the_host_failed_to_take_is_kept_if_the_owner_wants_it() -> None:
    for host in (answering(500), raises):
        app = wrap(host, 'outcomes = ["failed"]')
        post(app)
        app.intake.close()
        app.recorder.close()
    assert [row["outcome"] for row in query("SELECT outcome FROM submission")] == ["failed", "failed"]


@pytest.mark.parametrize("host", [reads_nothing, answers_first], ids=["reads nothing", "answers first"])
def test_a_host_that_reads_nothing_before_it_answers_leaves_nothing(host: Any) -> None:
    app = wrap(host)
    post(app)
    assert stored(app) == []


def test_a_form_whose_visitor_leaves_in_the_middle_is_not_kept_as_a_whole_one(caplog: pytest.LogCaptureFixture) -> None:
    app = wrap(answering(200))
    scope = http_scope("/contact", "POST", [*BROWSER, URLENCODED])
    run(
        app,
        scope,
        [{"type": "http.request", "body": b"email=ann%40example.org&message=Hel", "more_body": True}, {"type": "http.disconnect"}],
    )
    assert stored(app) == []
    assert counters(app)["form.contact.lost.unfinished"] == 1
    assert "unfinished" in caplog.text
    assert "ann" not in caplog.text


@pytest.mark.parametrize(
    ("path", "method", "more"),
    [
        ("/contact", "GET", {}),
        ("/contact", "PUT", {}),
        ("/contact/", "POST", {}),
        ("/contacts", "POST", {}),
        ("/x", "POST", {"root_path": "/x"}),
    ],
)
def test_other_requests_are_not_captured(path: str, method: str, more: dict[str, Any]) -> None:
    app = wrap(answering(200))
    post(app, path=path, method=method, **more)
    assert stored(app) == []


@pytest.mark.parametrize("path", ["/app/contact", "/contact"])
def test_the_path_may_have_the_mount_in_front_or_not(path: str) -> None:
    app = wrap(answering(200))
    post(app, path=path, root_path="/app")
    assert len(stored(app)) == 1


def test_a_path_with_parts_left_open_matches() -> None:
    app = PrivacyMiddleware(answering(200), policy=POLICY.format(more="").replace('"/contact"', '"/items/{id}/ask"'))
    post(app, path="/items/7/ask")
    post(app, path="/items/7/8/ask")
    assert len(stored(app)) == 1


@pytest.mark.parametrize("path", ["/app/contact", "/contact"])
def test_the_funnel_knows_the_form_behind_a_mount(path: str) -> None:
    app = wrap(answering(200))
    post(app, path=path, root_path="/app")
    assert counters(app) == {"form.contact.sent": 1, "form.contact.accepted": 1}


def test_of_several_content_types_nobody_knows_which_counts_so_nothing_is_read() -> None:
    app = wrap(answering(200))
    post(app, BODY, URLENCODED, MULTIPART)
    assert stored(app) == []
    assert counters(app)["form.contact.lost.type"] == 1


def test_a_packed_body_is_not_read() -> None:
    app = wrap(answering(200))
    post(app, BODY, (b"content-encoding", b"gzip"))
    assert stored(app) == []


def test_wrapped_twice_it_is_kept_once() -> None:
    app = wrap(wrap(answering(200)))
    post(app)
    assert len(stored(app)) == 1


def test_a_framework_that_reads_the_form_itself_answers_as_ever() -> None:
    async def contact(request: Request) -> Response:
        async with request.form() as form:
            return RedirectResponse(f"/thanks?{len(form)}", 303) if form.get("email") else PlainTextResponse("no", 400)

    site = Starlette(routes=[Mount("/sub", routes=[Route("/contact", contact, methods=["POST"])])])
    app = PrivacyMiddleware(site, policy=POLICY.format(more="").replace('"/contact"', '"/sub/contact"'))
    client = TestClient(app, headers={"user-agent": FIREFOX}, follow_redirects=False)
    assert client.post("/sub/contact", data={"message": "no address"}).status_code == 400
    files = {"upload": ("plan.pdf", b"%PDF" + bytes(300_000), "application/pdf")}
    answer = client.post("/sub/contact", data={"email": "b@example.org", "message": "æ ☃"}, files=files)
    assert answer.headers["location"] == "/thanks?3"
    client.post("/sub/contact", json={"email": "c@example.org"})  # which this app cannot read: it answers 400
    assert stored(app) == [{"email": ["b@example.org"], "message": ["æ ☃"], "upload": [{"type": "application/pdf", "size": None}]}]
    assert counters(app) | {} == {"form.contact.sent": 3, "form.contact.accepted": 1, "form.contact.invalid": 2}


def test_a_json_body_is_captured_by_its_paths() -> None:
    app = wrap(answering(200))
    body = {
        "email": "ann@example.org",
        "address": {"city": "Århus", "street": "undeclared"},
        "message": ["one", "two"],
        "other": "undeclared",
    }
    post(app, json.dumps(body).encode(), JSON)
    assert stored(app) == [{"email": ["ann@example.org"], "address.city": ["Århus"], "message": ["one", "two"]}]


# --- the visit -------------------------------------------------------------------------------------------------------------


def test_a_submission_is_tied_to_the_visit_if_declared() -> None:
    app = wrap(answering(200), "link_visit = true")
    app.recorder.start()
    assert app.recorder.flush()  # now the day's salt is at hand
    post(app)
    app.recorder.close()
    [hit] = hits()
    assert query("SELECT visitor FROM submission") == [{"visitor": hit["visitor"]}]


def test_nothing_that_is_stored_ties_a_submission_to_a_visit_unless_declared() -> None:
    """Neither a pseudonym, nor a time or an address by which the hit of the same request could be found."""
    app = wrap(answering(200))
    app.clock = app.recorder.clock = lambda: 1_800_000_123.456
    app.recorder.start()
    assert app.recorder.flush()
    run(app, http_scope("/contact", headers=BROWSER))
    post(app)
    app.intake.close()
    app.recorder.close()
    seen, sent = hits()
    assert seen["visitor"] is not None
    assert (sent["visitor"], sent["address"]) == (None, None)
    assert query("SELECT visitor FROM submission") == [{"visitor": None}]
    store = app.privacy.store
    store.open()
    [one] = submissions.find(store, first=0, last=2**31)
    assert submissions.read(store, app.privacy.keys.vault, one)[0] == 1_800_000_000_000
    store.close()


def test_the_funnel_counts_views_and_outcomes_but_no_bots() -> None:
    async def host(scope: Any, receive: Any, send: Any) -> None:
        status = 200 if scope["method"] == "GET" else 303 if (await receive())["body"] else 400
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": b""})

    app = wrap(host)
    for _ in range(3):
        run(app, http_scope("/contact", headers=BROWSER))
    post(app, b"")
    post(app)
    bot = [(b"user-agent", b"curl/8.5.0"), URLENCODED]
    run(app, http_scope("/contact", "POST", bot), chunks(BODY, 1000))
    expected = {"view": 3, "sent": 2, "invalid": 1, "accepted": 1}
    assert counters(app) == {f"form.contact.{step}": amount for step, amount in expected.items()}
    assert len(stored(app)) == 2  # what a program sends is a submission all the same


# --- refusal ---------------------------------------------------------------------------------------------------------------

REFUSALS = [(b"sec-gpc", b"1"), (b"dnt", b"1"), (b"cookie", b"__Host-privacy-choice=refuse")]


@pytest.mark.parametrize("refusal", REFUSALS, ids=["gpc", "dnt", "cookie"])
def test_of_a_visitor_who_refuses_nothing_is_captured(refusal: tuple[bytes, bytes]) -> None:
    app = wrap(answering(200))
    post(app, BODY, refusal)
    assert not app.intake._queue
    assert stored(app) == []
    assert app.intake._thread is None


@pytest.mark.parametrize("refusal", REFUSALS, ids=["gpc", "dnt", "cookie"])
def test_what_a_refusing_visitor_asks_for_is_captured_and_nothing_of_the_visit(refusal: tuple[bytes, bytes]) -> None:
    app = wrap(answering(200), "requested = true\nlink_visit = true")
    post(app, BODY, refusal)
    assert stored(app) == [{"email": ["ann@example.org"], "message": ["Hello\r\nthere"]}]
    assert counters(app) == {}
    assert hits() == []
    assert query("SELECT visitor FROM submission") == [{"visitor": None}]


@pytest.mark.parametrize("status", [422, 500])
def test_of_what_a_refusing_visitor_asks_for_only_the_accepted_is_kept(status: int) -> None:
    app = wrap(answering(status), 'requested = true\noutcomes = ["accepted", "invalid", "failed"]')
    post(app, BODY, (b"sec-gpc", b"1"))
    assert stored(app) == []


def test_an_opt_out_also_unties_submissions_from_the_visit() -> None:
    app = wrap(answering(200), "link_visit = true")
    app.recorder.start()
    assert app.recorder.flush()
    post(app)
    client = TestClient(app, headers={"user-agent": FIREFOX, "host": "example.org"}, client=("192.0.2.44", 50_000))
    assert "deleted" in client.post("/privacy/opt-out", data={"choice": "refuse"}).text
    assert query("SELECT visitor FROM submission") == [{"visitor": None}]
    assert len(stored(app)) == 1


# --- durable ---------------------------------------------------------------------------------------------------------------


def seen_at_the_start(app: PrivacyMiddleware, look: Callable[[], Any]) -> Any:
    """Send a form; returns what `look` sees at the moment when the server is given the start of the answer."""
    seen = []
    incoming = chunks(BODY, 1000)

    async def receive() -> dict[str, Any]:
        return incoming.pop(0)

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            seen.append(look())

    async def main(_: Any, __: Any, ___: Any) -> None:
        await app(http_scope("/contact", "POST", [*BROWSER, URLENCODED]), receive, send)

    run(main, {})
    return seen[0]


def test_a_submission_is_in_the_database_before_its_answer_begins() -> None:
    app = wrap(answering(200), submission_wait_ms=5000)
    assert seen_at_the_start(app, lambda: query("SELECT COUNT(*) AS n FROM field")) == [{"n": 2}]


@pytest.fixture
def locked() -> Iterator[sqlite3.Connection]:
    """A database that somebody else is writing to."""
    connection = sqlite3.connect("privacy.db", isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


@pytest.mark.sqlite
def test_while_the_database_is_locked_it_is_in_the_spool_before_its_answer_begins(locked: sqlite3.Connection) -> None:
    app = wrap(answering(200))
    post(app)
    app.intake.close()
    locked.execute("BEGIN IMMEDIATE")
    spool = Path("privacy.db.spool")
    assert len(seen_at_the_start(app, lambda: list(spool.glob("*.sealed")))) == 1
    assert b"ann@example.org" not in next(spool.iterdir()).read_bytes()
    locked.execute("ROLLBACK")
    app.recorder.hurry()
    assert app.recorder.flush(10)
    app.privacy.intake._absorb_due = 0
    assert app.recorder.flush(10)
    assert list(spool.iterdir()) == []
    assert stored(app) == 2 * [{"email": ["ann@example.org"], "message": ["Hello\r\nthere"]}]


# --- nothing undeclared ----------------------------------------------------------------------------------------------------

CANARY = "c4nary7"


def canary_bodies() -> Iterator[tuple[tuple[bytes, bytes], bytes]]:
    """Bodies with a distinctive string in every place that is not declared."""
    c = CANARY.encode()
    fields = {"email": "ann@example.org", "message": "fine", "other": CANARY, CANARY: "x", "email2": CANARY, "Email": CANARY}
    yield URLENCODED, urlencode(fields).encode() + b"&" + c + b"&=" + c
    part = b'--XX\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
    yield (
        (b"content-type", b"multipart/form-data; boundary=XX; note=" + c),
        c + b"\r\n" + part % (b"email", b"ann@example.org") + part % (b"other", c) + part % (c, b"x")
        + b'--XX\r\nContent-Disposition: form-data; name="upload"; filename="' + c + b'.txt"\r\nContent-Type: text/' + c + b"\r\nX-Note: " + c
        + b"\r\n\r\n" + c * 20_000 + b"\r\n"
        + b'--XX\r\nContent-Disposition: form-data; name="message"; note="' + c + b'"\r\nContent-Type: text/plain; note=' + c + b"\r\n\r\nfine\r\n--XX--\r\n"
        + c,
    )  # fmt: skip
    nested = {
        "email": "ann@example.org",
        "message": "fine",
        "other": CANARY,
        CANARY: 1,
        "address": {"city": "Aarhus", "street": CANARY, CANARY: [CANARY]},
    }
    yield JSON, json.dumps(nested).encode()
    yield JSON, b'{"email": "' + c  # broken
    yield URLENCODED, b"message=%ff" + c + b"&email=x"  # not in its charset
    yield (b"content-type", b"text/" + c), c
    yield MULTIPART, b"--XX\r\n" + c
    yield MULTIPART, b"--XX\r\nContent-Disposition: " + c + b"\r\n\r\n" + c + b"\r\n--XX" + c
    yield (b"content-type", b"multipart/form-data; boundary=" + c), b"--" + c + b"\r\n" + c
    yield URLENCODED, b"message=" + c * 20_000  # over the limit


@pytest.mark.parametrize("locks", [False, True], ids=["database", "spool"])
@pytest.mark.parametrize("status", [200, 422, 500])
def test_no_string_from_an_undeclared_place_is_in_anything_that_is_written(
    status: int, locks: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, locked: sqlite3.Connection
) -> None:
    caplog.set_level(logging.DEBUG)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    app = wrap(answering(status), submission_wait_ms=20)
    post(app, b"message=first")
    app.intake.close()
    if locks:
        locked.execute("BEGIN IMMEDIATE")
    c = CANARY.encode()
    headers = [(b"cookie", b"session=" + c), (b"x-note", c), (b"referer", b"https://other.example/?q=" + c), (b"authorization", c)]
    for kind, body in canary_bodies():
        post(app, body, kind, *headers, query_string=b"q=" + c)
    if locks:
        assert_no_canary(tmp_path, caplog)
        locked.execute("ROLLBACK")
    app.recorder.flush(10)
    assert_no_canary(tmp_path, caplog)
    app.intake.close()
    app.recorder.close()
    assert_no_canary(tmp_path, caplog)
    if status == 200 and not locks:
        assert {"email": ["ann@example.org"], "message": ["fine"], "upload": [{"type": "other", "size": None}]} in stored(app)
        assert {"email": ["ann@example.org"], "message": ["fine"], "address.city": ["Aarhus"]} in stored(app)


def assert_no_canary(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert CANARY.encode() not in path.read_bytes().lower(), path
    assert CANARY not in caplog.text.lower()


@pytest.mark.sqlite
def test_no_kept_value_is_readable_in_any_file_or_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    app = wrap(answering(200))
    for number in range(20):
        post(app, urlencode({"email": f"{CANARY}{number}@example.org", "message": CANARY * 10}).encode())
    assert_no_canary(tmp_path, caplog)
    app.intake.close()
    app.recorder.close()
    assert_no_canary(tmp_path, caplog)
    assert len(stored(app)) == 20
