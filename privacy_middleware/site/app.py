"""Puts the pages together into one small app, mounted by the adapters."""

from __future__ import annotations

from importlib import resources
from typing import Final
from urllib.parse import quote, urlsplit

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ..checks import HTTPS_SEEN, LINKED
from ..privacy import Privacy
from ..waiting import in_thread
from .accountability import AccountabilityPages
from .desk import DeskPages
from .figures import FiguresPages
from .metrics import Metrics
from .newsletter import newsletter_routes
from .owner import OwnerPages
from .pages import HEADERS, Pages, base_path, wished_language
from .preferences import preference_routes
from .receipts import receipt_routes
from .requests import request_routes
from .service import ServicePages
from .sign_in import SignIn
from .statement import statement_routes
from .visitor import NOT_OURS, visitor_routes

_STYLE_HEADERS: Final = {"cache-control": "max-age=3600", "x-content-type-options": "nosniff"}


def _keep_token(request: Request, response: Response) -> Response:
    """The path of a page that is not there may hold a token, and something more."""
    return Pages.private(response) if {"requests", "owner", "newsletter"} & set(request.url.path.split("/")) else response


class Notices:
    """Notes once that browsers come by https, and by a link on the website's own pages: the day only, for `check`."""

    def __init__(self, privacy: Privacy) -> None:
        self.privacy = privacy
        self._noted: set[str] = set()

    def look(self, connection: HTTPConnection) -> None:
        """Look at one request for our pages."""
        page = urlsplit(connection.headers.get("referer", ""))
        if connection.url.scheme == "https" or connection.headers.get("origin", "").startswith("https://"):
            self._note(HTTPS_SEEN)
        if page.netloc and page.netloc == connection.headers.get("host") and not page.path.startswith(base_path(connection)):
            self._note(LINKED)

    def _note(self, name: str) -> None:
        if name in self._noted:
            return
        self._noted.add(name)
        day = int(self.privacy.recorder.clock() // 86_400)
        self.privacy.recorder.submit(lambda store: store.set_mark(name, day))


def make_site(privacy: Privacy) -> ASGIApp:
    """Return the app that serves everything under the mount; its `root_path` is the mount."""
    pages = Pages(privacy.languages)
    style = (resources.files(__package__) / "static" / "style.css").read_text(encoding="utf-8")

    async def not_found(request: Request, _: Exception) -> Response:
        return _keep_token(request, pages.render(request, "not_found.html", status=404))

    async def not_allowed(request: Request, error: Exception) -> Response:
        _ = pages.language_of(request)
        response = _keep_token(request, pages.say(_("This page is not used in that way."), 405))
        response.headers.update(getattr(error, "headers", None) or {})
        return response

    async def too_long(request: Request, __: Exception) -> Response:
        _ = pages.language_of(request)
        return pages.say(_("What you wrote is too long. Go back, and shorten it."), 413)

    async def not_ours(request: Request, _: Exception) -> Response:
        return pages.say(pages.language_of(request)(NOT_OURS), 403)

    async def show_style(_: Request) -> Response:
        return Response(style, media_type="text/css", headers=_STYLE_HEADERS)

    sign_in = SignIn(privacy, pages)
    owner = OwnerPages(privacy, pages, sign_in)
    app = Starlette(
        routes=[
            *statement_routes(privacy, pages),
            *receipt_routes(privacy, pages),
            *visitor_routes(privacy, pages),
            *request_routes(privacy, pages),
            *newsletter_routes(privacy, pages),
            *preference_routes(privacy, pages),
            *sign_in.routes(),
            *owner.routes(),
            *DeskPages(privacy, owner, sign_in).routes(),
            *ServicePages(privacy, owner, sign_in).routes(),
            *AccountabilityPages(privacy, owner, sign_in).routes(),
            *FiguresPages(privacy, pages).routes(),
            *Metrics(privacy, pages).routes(),
            Route("/style.css", show_style, methods=["GET"]),
        ],
        exception_handlers={404: not_found, 405: not_allowed, 403: not_ours, 413: too_long},
    )
    app.router.redirect_slashes = False  # it would build the address from the Host header

    notices = Notices(privacy)

    async def site(scope: Scope, receive: Receive, send: Send) -> None:
        connection = HTTPConnection(scope)
        code = pages.code_of(connection)
        notices.look(connection)
        if not pages.languages.is_loaded(code):
            await in_thread(lambda: pages.languages.get(code))
        if scope["path"] != scope["root_path"]:
            await app(scope, receive, send)
            return
        chosen = f"?lang={quote(wished)}" if (wished := wished_language(connection)) else ""
        redirect = RedirectResponse(f"{base_path(connection)}/{chosen}", 308, HEADERS)
        await redirect(scope, receive, send)

    return site
