"""Puts the pages together into one small Starlette app, mounted by the adapters."""

from __future__ import annotations

from importlib import resources
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..privacy import Privacy
from .pages import Pages
from .visitor import visitor_routes

_STYLE_HEADERS: Final = {"cache-control": "max-age=3600", "x-content-type-options": "nosniff"}


def make_site(privacy: Privacy) -> Starlette:
    """Return the app that serves everything under the mount; its `root_path` is the mount."""
    pages = Pages()
    style = (resources.files(__package__) / "static" / "style.css").read_text(encoding="utf-8")

    async def not_found(request: Request, _: Exception) -> Response:
        return pages.render(request, "not_found.html", status=404)

    async def show_style(_: Request) -> Response:
        return Response(style, media_type="text/css", headers=_STYLE_HEADERS)

    return Starlette(
        routes=[*visitor_routes(privacy, pages), Route("/style.css", show_style, methods=["GET"])],
        exception_handlers={404: not_found},
    )
