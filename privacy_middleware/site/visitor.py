"""The visitor's pages: the statement, and the choice to refuse or allow the recording of visits."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import date, datetime

from markdown_it import MarkdownIt
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..collect.choice import ALLOWED, COOKIE, REFUSED, Choice, choice_cookie, read_choice, stale_cookie
from ..collect.visitor import client_address, identity_of
from ..errors import StoreError
from ..privacy import Privacy
from ..waiting import answer_of
from .origin import is_same_origin
from .pages import Pages

_UNREACHABLE = (TimeoutError, StoreError, sqlite3.Error)
_markdown = MarkdownIt("commonmark", {"html": False})


def visitor_routes(privacy: Privacy, pages: Pages) -> list[Route]:
    """Return the routes of the visitor's pages."""
    visitor = VisitorPages(privacy, pages)
    return [
        Route("/", visitor.statement, methods=["GET"]),
        Route("/opt-out", visitor.choice, methods=["GET", "POST"]),
    ]


class VisitorPages:
    """The pages that any visitor may see."""

    def __init__(self, privacy: Privacy, pages: Pages) -> None:
        self.privacy = privacy
        self.pages = pages
        self._sections = privacy.statement
        # Markdown without raw HTML gives safe HTML.
        self._own_words = {section.name: Markup(_markdown.render(section.markdown)) for section in self._sections}  # noqa: S704

    async def statement(self, request: Request) -> Response:
        """Show the statement in force."""
        return self.pages.render(
            request,
            "statement.html",
            sections=self._sections,
            own_words=self._own_words,
            changed=await statement_date(self.privacy),
            controller=self.privacy.declaration.controller,
        )

    async def choice(self, request: Request) -> Response:
        """Show what is in force for this browser; a POST keeps another choice."""
        if request.method == "POST":
            return await self._choose(request)
        return self._choice_page(request, self._choice(request))

    async def _choose(self, request: Request) -> Response:
        """Keep the visitor's choice in a cookie; a refusal also deletes what is recorded under their pseudonyms."""
        if not is_same_origin(request, self.privacy.settings.base_url):
            return self.pages.say("This form must be sent from this website's own page.", 403)
        answer = parse_choice(await _short_body(request))
        if answer is None:
            return self.pages.say("The form was sent without a choice. Go back, and press one of the buttons.", 400)
        deleted = await self._delete_hits(request) if answer == REFUSED else None
        self.privacy.recorder.count(f"choice.{answer}")
        done = {"answer": answer, "deleted": deleted}
        response = self._choice_page(request, Choice(answer, self._choice(request).signal), done=done)
        secure = _is_https(request, self.privacy)
        response.headers.append("set-cookie", choice_cookie(answer, secure=secure))
        if secure and COOKIE in request.cookies:
            response.headers.append("set-cookie", stale_cookie())
        return response

    def _choice(self, request: Request) -> Choice:
        return read_choice(request.headers.raw, self.privacy.settings.signals, secure=request.url.scheme == "https")

    def _choice_page(self, request: Request, choice: Choice, *, done: Mapping[str, object] | None = None) -> Response:
        sent = {"gpc": request.headers.get("sec-gpc"), "dnt": request.headers.get("dnt")}
        response = self.pages.render(
            request,
            "choice.html",
            choice=choice,
            done=done,
            # In a frame of another site browsers keep no cookie: there the form opens its answer in the whole window.
            framed=bool(self.privacy.settings.frame_ancestors),
            ignored=[name for name, value in sent.items() if value == "1" and not self.privacy.settings.signals[name]],
        )
        if self.privacy.settings.frame_ancestors:
            self.pages.allow_frames(response, self.privacy.settings.frame_ancestors)
        return response

    async def _delete_hits(self, request: Request) -> int | None:
        """Delete this browser's hits of today and yesterday; None if the database could not be reached in time."""
        settings = self.privacy.settings
        peer = request.client.host if request.client else ""
        forwarded = [value for name, value in request.headers.raw if name == b"x-forwarded-for"]
        address = client_address(peer, forwarded, settings.trusted_proxies) if settings.trusted_proxies else peer
        headers = dict(request.headers.raw)  # of several lines the last counts, as where visits are recorded
        identity = identity_of(address, headers.get(b"user-agent", b""), headers.get(b"host", b""))
        try:
            return await answer_of(self.privacy.recorder.forget(identity))
        except _UNREACHABLE:
            return None


async def statement_date(privacy: Privacy) -> date | None:
    """Return the owner's date on which the statement last changed; None if the database cannot be reached."""
    if privacy.statement_since is None:
        try:
            await answer_of(privacy.recorder.submit(lambda _: None))
        except _UNREACHABLE:
            return None
    since = privacy.statement_since
    return None if since is None else datetime.fromtimestamp(since / 1000, privacy.settings.zone).date()


def parse_choice(body: bytes) -> str | None:
    """Return `refuse` or `allow` from the form, or None."""
    return {b"choice=refuse": REFUSED, b"choice=allow": ALLOWED}.get(body.strip())


async def _short_body(request: Request) -> bytes:
    """Read what the form can be at most; anything longer is not our form."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > 1000:
            return b""
    return body


def _is_https(request: Request, privacy: Privacy) -> bool:
    """Tell whether the browser is on https: a proxy may hide it, but the browser says so with its own form (Origin)."""
    page = request.headers.get("origin") or privacy.settings.base_url
    return request.url.scheme == "https" or page.startswith("https://")
