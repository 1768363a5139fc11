"""`init(app)` for each framework: the app's own answers stay, visits are named by its routes, and the privacy pages are there."""

import asyncio
import logging
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient
from werkzeug.test import Client

import privacy_middleware
from privacy_middleware import PrivacyMiddleware, PrivacyWSGIMiddleware, SettingsError
from privacy_middleware.frameworks import UnknownAppError

from .conftest import FIREFOX, hits
from .requesting import SECRET
from .test_readme import django_app
from .test_truth import close_all


def starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    return Starlette(routes=[Route("/orders/{id}", lambda _: PlainTextResponse("order"))])


def fastapi() -> Any:
    from fastapi import FastAPI
    from fastapi.responses import PlainTextResponse

    app = FastAPI()

    @app.get("/orders/{id}", response_class=PlainTextResponse)
    def order(id: str) -> str:  # noqa: A002 - the route's own name
        return "order"

    return app


def litestar() -> Any:
    from litestar import Litestar, get
    from litestar.params import FromPath

    @get("/orders/{id:str}", media_type="text/plain")
    async def order(id: FromPath[str]) -> str:  # noqa: A002 - the route's own name
        return "order"

    return Litestar([order])


def quart() -> Any:
    from quart import Quart

    app = Quart("app")

    @app.get("/orders/<id>")
    async def order(id: str) -> str:  # noqa: A002 - the route's own name
        return "order"

    return app


def falcon_asgi() -> Any:
    import falcon.asgi

    class Order:
        async def on_get(self, _: Any, response: Any, id: str) -> None:  # noqa: A002 - the route's own name
            response.text = "order"

    app = falcon.asgi.App()
    app.add_route("/orders/{id}", Order())
    return app


def falcon_wsgi() -> Any:
    import falcon

    class Order:
        def on_get(self, _: Any, response: Any, id: str) -> None:  # noqa: A002 - the route's own name
            response.text = "order"

    app = falcon.App()
    app.add_route("/orders/{id}", Order())
    return app


def blacksheep() -> Any:
    from blacksheep import Application, get, text

    app = Application()

    @get("/orders/{id}")
    async def order(id: str) -> Any:  # noqa: A002 - the route's own name
        return text("order")

    asyncio.run(app.start())
    return app


def flask() -> Any:
    from flask import Flask

    app = Flask("app")
    app.add_url_rule("/orders/<id>", "order", lambda id: "order")  # noqa: A006 - the route's own name
    return app


def dash() -> Any:
    """What counts of a Dash app: its class stands in `dash`, and `server` is its Flask app. (Its pytest plugin fails with new pytest.)"""
    return type("Dash", (), {"__module__": "dash.dash", "server": flask()})()


def plain_asgi() -> Any:
    async def app(_: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"order"})

    return app


def plain_wsgi() -> Any:
    def app(_: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"order"]

    return app


ASGI = {
    starlette: "/orders/{id}", fastapi: "/orders/{id}", litestar: "/orders/{id}", quart: "/orders/seventeen", falcon_asgi: "/orders/seventeen",
    blacksheep: "/orders/seventeen", plain_asgi: "/orders/seventeen",
}  # fmt: skip
WSGI = {flask: "/orders/{id}", dash: "/orders/{id}", falcon_wsgi: "/orders/seventeen", plain_wsgi: "/orders/seventeen"}
IN_PLACE = (starlette, fastapi, litestar, quart, flask, dash)


def name_of(value: Any) -> str:
    return value.__name__ if callable(value) else str(value)


@pytest.mark.parametrize(("make", "page"), ASGI.items(), ids=name_of)
def test_an_asgi_app_is_wrapped(make: Callable[[], Any], page: str) -> None:
    app = make()
    wrapped = privacy_middleware.init(app, secret_keys=SECRET)
    assert (wrapped is app) is (make in IN_PLACE)
    client = TestClient(wrapped, headers={"user-agent": FIREFOX})
    assert client.get("/orders/seventeen").text == "order"
    assert "Privacy statement" in client.get("/privacy/").text
    assert client.get("/orders/eighteen", headers={"sec-gpc": "1"}).text == "order"
    close_all()
    assert [(hit["path"], hit["status"], hit["sent"]) for hit in hits()] == [(page, 200, 5)]


@pytest.mark.parametrize(("make", "page"), WSGI.items(), ids=name_of)
def test_a_wsgi_app_is_wrapped(make: Callable[[], Any], page: str) -> None:
    app = make()
    wrapped = privacy_middleware.init(app, secret_keys=SECRET)
    assert (wrapped is app) is (make in IN_PLACE)
    client = Client(getattr(wrapped, "server", wrapped))
    assert client.get("/orders/seventeen", headers={"user-agent": FIREFOX}).data == b"order"
    assert b"Privacy statement" in client.get("/privacy/").data
    assert client.get("/orders/eighteen", headers={"sec-gpc": "1"}).data == b"order"
    close_all()
    assert [(hit["path"], hit["status"], hit["sent"]) for hit in hits()] == [(page, 200, 5)]


def test_handlers_of_django_are_wrapped_by_their_protocol() -> None:
    from django.core.handlers.asgi import ASGIHandler

    assert isinstance(privacy_middleware.init(django_app(), secret_keys=SECRET), PrivacyWSGIMiddleware)
    assert isinstance(privacy_middleware.init(ASGIHandler(), secret_keys=SECRET), PrivacyMiddleware)


@pytest.mark.parametrize("app", [None, 17, "app", object(), lambda: None, dict, type("App", (), {"run": 1})()])
def test_what_is_no_app_is_told_with_the_remedy(app: Any) -> None:
    with pytest.raises(UnknownAppError, match="wrap it yourself"):
        privacy_middleware.init(app)


def test_it_says_what_it_did(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "privacy_middleware"):
        privacy_middleware.init(flask(), secret_keys=SECRET)
        privacy_middleware.init(plain_asgi(), secret_keys=SECRET)
    said = [record.getMessage() for record in caplog.records]
    assert "privacy_middleware wraps the flask app" in said
    assert "privacy_middleware wraps an app that speaks ASGI; serve what init() returned" in said


def test_a_wrong_setting_stops_the_start() -> None:
    with pytest.raises(SettingsError):
        privacy_middleware.init(flask(), retention_days=0)


def test_no_framework_is_imported_for_it() -> None:
    code = (
        "import sys, privacy_middleware\n"
        "def app(environ, start_response): return []\n"
        "privacy_middleware.init(app, disabled=True)\n"
        "print([name for name in ('flask', 'quart', 'litestar', 'fastapi', 'dash', 'django', 'falcon') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
