"""The bare Starlette app of the benchmarks, and the same app under our middleware or a peer's."""

from __future__ import annotations

import os
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from common import is_installed, settings
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

ASGIApp = Callable[[MutableMapping[str, Any], Any, Any], Any]
PAGE: Final = "<!doctype html><title>Article</title>" + "<p>The quick brown fox jumps over the lazy dog.</p>" * 40
NOWHERE: Final = "http://127.0.0.1:9"
"""The discard port: a peer that wants to send its findings somewhere cannot."""


async def article(request: Request) -> Response:  # noqa: ARG001  the signature that Starlette asks for
    return HTMLResponse(PAGE)


def bare() -> Starlette:
    return Starlette(routes=[Route("/articles/{slug}", article)])


def _bare(folder: Path) -> ASGIApp:  # noqa: ARG001  one signature for all
    return bare()


def _privacy(folder: Path) -> ASGIApp:
    from privacy_middleware import PrivacyMiddleware

    app = bare()
    app.add_middleware(PrivacyMiddleware, **settings(folder))
    return app


def _base_http(folder: Path) -> ASGIApp:  # noqa: ARG001
    class Trivial(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
            return await call_next(request)

    app = bare()
    app.add_middleware(Trivial)
    return app


def _session(folder: Path) -> ASGIApp:  # noqa: ARG001
    from starlette.middleware.sessions import SessionMiddleware

    app = bare()
    app.add_middleware(SessionMiddleware, secret_key="a secret of no consequence")
    return app


def _correlation_id(folder: Path) -> ASGIApp:  # noqa: ARG001
    from asgi_correlation_id import CorrelationIdMiddleware

    app = bare()
    app.add_middleware(CorrelationIdMiddleware)
    return app


def _prometheus(folder: Path) -> ASGIApp:  # noqa: ARG001
    from prometheus_fastapi_instrumentator import Instrumentator

    app = bare()
    Instrumentator().instrument(app)
    return app


def _opentelemetry(folder: Path) -> ASGIApp:  # noqa: ARG001
    """Spans are made and ended; the processor that takes them does nothing."""
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

    provider = TracerProvider()
    provider.add_span_processor(SpanProcessor())
    return OpenTelemetryMiddleware(bare(), tracer_provider=provider)


def _apitally(folder: Path) -> ASGIApp:  # noqa: ARG001
    from apitally.starlette import init

    app = bare()
    init(app, write_token="apt_" + "x" * 24, otlp_endpoint=NOWHERE)
    return app


def _log_to_sqlite(folder: Path) -> ASGIApp:
    from asgi_log_to_sqlite import AsgiLogToSqlite

    return AsgiLogToSqlite(bare(), str(folder / "log.db"))


class Subject(NamedTuple):
    """An app to measure: its name, the module that it needs, and how it is built in a folder of its own."""

    name: str
    module: str
    build: Callable[[Path], ASGIApp]


SUBJECTS: Final = {
    subject.name: subject
    for subject in (
        Subject("bare", "starlette", _bare),
        Subject("privacy-middleware", "privacy_middleware", _privacy),
        Subject("BaseHTTPMiddleware", "starlette", _base_http),
        Subject("SessionMiddleware", "itsdangerous", _session),
        Subject("asgi-correlation-id", "asgi_correlation_id", _correlation_id),
        Subject("prometheus-fastapi-instrumentator", "prometheus_fastapi_instrumentator", _prometheus),
        Subject("OpenTelemetry", "opentelemetry.instrumentation.asgi", _opentelemetry),
        Subject("apitally", "apitally", _apitally),
        Subject("asgi-log-to-sqlite", "asgi_log_to_sqlite", _log_to_sqlite),
    )
}
PEERS: Final = tuple(SUBJECTS)[2:]


def installed(name: str) -> bool:
    """Tell whether what an app needs is installed."""
    return is_installed(SUBJECTS[name].module)


def from_environment() -> ASGIApp:
    """Build the app that BENCHMARK_APP names, in BENCHMARK_FOLDER: what uvicorn calls as a factory."""
    return SUBJECTS[os.environ["BENCHMARK_APP"]].build(Path(os.environ["BENCHMARK_FOLDER"]))
