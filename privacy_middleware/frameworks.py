"""Finds out how an app is to be wrapped: `init(app)`. Nothing is imported for it: what an app is, its classes' modules say."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any, Final

from .asgi import PrivacyMiddleware
from .errors import PrivacyError
from .wsgi import PrivacyWSGIMiddleware

logger = logging.getLogger("privacy_middleware")


class UnknownAppError(PrivacyError):
    """It cannot be told how this is to be wrapped."""


def init(app: Any, /, **keywords: Any) -> Any:
    """Wrap an app in the way that fits its framework, and return what is to be served from then on.

    Flask, Quart, Litestar, Starlette, FastAPI and Dash apps are changed in place and returned. Of any other ASGI or WSGI app (Django's
    handlers, Falcon, BlackSheep, a function) the wrapper is returned: serve that. What was done is logged.

    Args:
        app: the app.
        **keywords: as of `PrivacyMiddleware`.

    Raises:
        UnknownAppError: if it is neither an ASGI nor a WSGI app.
        SettingsError, DeclarationError: when a setting or privacy.toml is wrong.
    """
    packages = {cls.__module__.partition(".")[0] for cls in type(app).__mro__}
    for package, wrap in _WAYS.items():
        if package in packages:
            done = wrap(app, keywords)
            logger.info("privacy_middleware wraps the %s app", package)
            return done
    kind = _protocol(app)
    protocol = "ASGI" if kind is PrivacyMiddleware else "WSGI"
    logger.info("privacy_middleware wraps an app that speaks %s; serve what init() returned", protocol)
    return kind(app, **keywords)


def _starlette(app: Any, keywords: dict[str, Any]) -> Any:
    app.add_middleware(PrivacyMiddleware, **keywords)
    return app


def _flask(app: Any, keywords: dict[str, Any]) -> Any:
    app.wsgi_app = PrivacyWSGIMiddleware(app.wsgi_app, **keywords)
    return app


def _quart(app: Any, keywords: dict[str, Any]) -> Any:
    app.asgi_app = PrivacyMiddleware(app.asgi_app, **keywords)
    return app


def _litestar(app: Any, keywords: dict[str, Any]) -> Any:
    app.asgi_handler = PrivacyMiddleware(app.asgi_handler, **keywords)  # what is in `middleware=[…]` never sees a 404
    return app


def _dash(app: Any, keywords: dict[str, Any]) -> Any:
    init(app.server, **keywords)
    return app


_WAYS: Final[dict[str, Callable[[Any, dict[str, Any]], Any]]] = {
    "quart": _quart,  # before Flask, on which it is built
    "flask": _flask,
    "litestar": _litestar,
    "dash": _dash,
    "starlette": _starlette,  # and FastAPI, NiceGUI, whatever is built on it
}


def _protocol(app: Any) -> type[PrivacyMiddleware | PrivacyWSGIMiddleware]:
    """Tell by how it is called: ASGI apps take scope, receive and send, and are awaited; WSGI apps take environ and start_response."""
    if callable(app):
        call = app if inspect.isroutine(app) else type(app).__call__
        try:
            given = [p for p in inspect.signature(app).parameters.values() if p.default is p.empty and p.kind in _POSITIONAL]
        except (TypeError, ValueError):
            given = []
        if inspect.iscoroutinefunction(call) or len(given) == len(("scope", "receive", "send")):
            return PrivacyMiddleware
        if len(given) == len(("environ", "start_response")):
            return PrivacyWSGIMiddleware
    raise UnknownAppError(
        f"it cannot be told whether {type(app).__qualname__} is an ASGI or a WSGI app; "
        "wrap it yourself: PrivacyMiddleware(app) for ASGI, PrivacyWSGIMiddleware(app) for WSGI"
    )


_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
