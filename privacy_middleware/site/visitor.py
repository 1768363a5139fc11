"""The visitor's pages: the choice to refuse or allow the recording of visits, and what is recorded of this browser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, tzinfo
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..collect.choice import (
    ALLOWED,
    COOKIE,
    PREFERENCES,
    REFUSED,
    SECURE_PREFERENCES,
    Choice,
    choice_cookie,
    kept_choice,
    preferences_cookie,
    read_choice,
    set_preferences_cookie,
    stale_cookie,
)
from ..collect.visitor import client_address, date_of, identity_of
from ..errors import StoreError, VaultError
from ..language import N_
from ..privacy import Privacy
from ..record.seen import Seen
from ..rights import preferences
from ..store.base import Store
from ..waiting import answer_of
from .origin import is_same_origin
from .pages import Pages

UNREACHABLE: Final = (TimeoutError, StoreError, VaultError)
NOT_OURS: Final = N_("This form must be sent from this website's own page.")
NO_CHOICE: Final = N_("The form was sent without a choice. Go back, and press one of the buttons.")


def visitor_routes(privacy: Privacy, pages: Pages) -> list[Route]:
    """Return the routes of the visitor's pages."""
    visitor = VisitorPages(privacy, pages)
    return [
        Route("/opt-out", visitor.choice, methods=["GET", "POST"]),
        Route("/my-browser", visitor.my_browser, methods=["GET", "POST"]),
    ]


class VisitorPages:
    """The pages that any visitor may see."""

    def __init__(self, privacy: Privacy, pages: Pages) -> None:
        self.privacy = privacy
        self.pages = pages

    async def choice(self, request: Request) -> Response:
        """Show what is in force for this browser; a POST keeps another choice."""
        if request.method == "POST":
            return await self._choose(request)
        return self._choice_page(request, self._choice(request))

    async def _choose(self, request: Request) -> Response:
        """Keep the visitor's choice in a cookie; a refusal also deletes what is recorded under their pseudonyms."""
        if not is_same_origin(request, self.privacy.settings.base_url):
            return self.pages.say(self.pages.language_of(request)(NOT_OURS), 403)
        answer = parse_choice(await read_body(request, most=1000) or b"")
        if answer is None:
            return self.pages.say(self.pages.language_of(request)(NO_CHOICE), 400)
        deleted = await delete_of_browser(request, self.privacy) if answer == REFUSED else None
        done = {"answer": answer, "deleted": deleted}
        response = self._choice_page(request, Choice(answer, self._choice(request).signal), done=done)
        keep_choice(request, response, self.privacy, answer)
        if deleted is not None:
            drop_preferences_cookie(request, response, self.privacy)
        return response

    async def my_browser(self, request: Request) -> Response:
        """Show what is recorded under this browser's pseudonyms, as kinds and counts; a POST erases it, and may refuse from then on."""
        if request.method == "POST":
            return await self._erase_my_browser(request)
        try:
            seen = await answer_of(self.privacy.recorder.seen(identity_here(request, self.privacy)))
        except UNREACHABLE:
            return self.pages.busy(request)
        return self._my_browser_page(request, seen)

    async def _erase_my_browser(self, request: Request) -> Response:
        if not is_same_origin(request, self.privacy.settings.base_url):
            return self.pages.say(self.pages.language_of(request)(NOT_OURS), 403)
        action = {b"action=erase": "erase", b"action=refuse": "refuse"}.get((await read_body(request, most=1000) or b"").strip())
        if action is None:
            return self.pages.say(self.pages.language_of(request)(NO_CHOICE), 400)
        deleted = await (delete_of_browser if action == "refuse" else delete_hits)(request, self.privacy)
        if deleted is None:
            return self.pages.busy(request)
        response = self._my_browser_page(request, [], deleted=deleted, refused=action == "refuse")
        if action == "refuse":
            keep_choice(request, response, self.privacy, REFUSED)
            drop_preferences_cookie(request, response, self.privacy)
        return response

    def _my_browser_page(self, request: Request, seen: Sequence[Seen], *, deleted: int | None = None, refused: bool = False) -> Response:
        zone = self.privacy.settings.zone
        rows = [(date_of(one.day), one.kind, one.amount, _hour(one.first, zone), _hour(one.last, zone)) for one in seen]
        opted_out = refused or self._choice(request).opted_out
        has_visitors = "visitor" in self.privacy.recorder.rules.items
        return self.pages.render(
            request, "my_browser.html", rows=rows, deleted=deleted, refused=refused, opted_out=opted_out, has_visitors=has_visitors
        )

    def _choice(self, request: Request) -> Choice:
        return read_choice(request.headers.raw, self.privacy.settings.signals, secure=request.url.scheme == "https")

    def _choice_page(self, request: Request, choice: Choice, *, done: Mapping[str, object] | None = None) -> Response:
        sent = {"gpc": request.headers.get("sec-gpc"), "dnt": request.headers.get("dnt")}
        response = self.pages.render(
            request,
            "choice.html",
            choice=choice,
            kept=kept_choice(request.cookies) if done is None else None,
            done=done,
            # In a frame of another site browsers keep no cookie: there the form opens its answer in the whole window.
            framed=bool(self.privacy.settings.frame_ancestors),
            ignored=[name for name, value in sent.items() if value == "1" and not self.privacy.settings.signals[name]],
        )
        if self.privacy.settings.frame_ancestors:
            self.pages.allow_frames(response, self.privacy.settings.frame_ancestors)
        return response


def _hour(instant: int, zone: tzinfo) -> str:
    return datetime.fromtimestamp(instant / 1000, zone).strftime("%H:%M")


def address_of(request: Request, privacy: Privacy) -> str:
    """Return the visitor's address, behind trusted proxies too."""
    peer = request.client.host if request.client else ""
    forwarded = [value for name, value in request.headers.raw if name == b"x-forwarded-for"]
    trusted = privacy.settings.trusted_proxies
    return client_address(peer, forwarded, trusted) if trusted else peer


def identity_here(request: Request, privacy: Privacy) -> bytes:
    """Return what this browser's pseudonyms are made of."""
    headers = dict(request.headers.raw)  # of several lines the last counts, as where visits are recorded
    return identity_of(address_of(request, privacy), headers.get(b"user-agent", b""), headers.get(b"host", b""))


async def delete_hits(request: Request, privacy: Privacy) -> int | None:
    """Delete this browser's hits of today and yesterday; None if the database could not be reached in time."""
    try:
        return await answer_of(privacy.recorder.forget(identity_here(request, privacy)))
    except UNREACHABLE:
        return None


async def delete_of_browser(request: Request, privacy: Privacy) -> int | None:
    """Delete all that is kept of who refuses: what they chose to be shown, and this browser's hits. As `delete_hits`."""
    try:
        await forget_preferences(request, privacy)
    except UNREACHABLE:
        return None
    return await delete_hits(request, privacy)


async def refuse_in_browser(request: Request, response: Response, privacy: Privacy) -> None:
    """Delete all that is kept of this browser, as far as the database can be reached, and keep the refusal in its cookie."""
    deleted = await delete_of_browser(request, privacy)
    keep_choice(request, response, privacy, REFUSED)
    if deleted is not None:
        drop_preferences_cookie(request, response, privacy)


async def forget_preferences(request: Request, privacy: Privacy) -> None:
    """Delete what this browser's visitor chose to be shown, if they did.

    Raises:
        TimeoutError, StoreError, VaultError: if the database cannot be reached.
    """
    token = preferences_token(request, privacy) if preferences.form_of(privacy.office) else ""
    if not token:
        return

    def act(store: Store) -> None:
        with store.transaction():
            consent = preferences.find(privacy.office, store, token)
            if consent is not None:
                preferences.forget(store, consent)
        store.checkpoint()

    await answer_of(privacy.recorder.submit(act))


def drop_preferences_cookie(request: Request, response: Response, privacy: Privacy) -> None:
    """Have the browser forget its cookie, if it has one."""
    secure = is_https(request, privacy)
    for name, is_secure in ((SECURE_PREFERENCES, True), (PREFERENCES, False)):
        if name in request.cookies and (secure or not is_secure):
            response.headers.append("set-cookie", set_preferences_cookie("", days=0, secure=is_secure))


def preferences_token(request: Request, privacy: Privacy) -> str:
    """Return the id in this browser's cookie of personalised content; "" if there is none that we signed."""
    return privacy.cookies.read(preferences_cookie(request.headers.raw, secure=request.url.scheme == "https"))


def keep_choice(request: Request, response: Response, privacy: Privacy, answer: str) -> None:
    """Keep a choice in this browser's cookie, and count it without identity."""
    privacy.recorder.count(f"choice.{answer}")
    secure = is_https(request, privacy)
    response.headers.append("set-cookie", choice_cookie(answer, version=privacy.statement_digest.hex()[:8], secure=secure))
    if secure and COOKIE in request.cookies:
        response.headers.append("set-cookie", stale_cookie())


async def statement_date(privacy: Privacy) -> date | None:
    """Return the owner's date on which the statement last changed; None if the database cannot be reached."""
    if privacy.statement_since is None:
        try:
            await answer_of(privacy.recorder.submit(lambda _: None))
        except UNREACHABLE:
            return None
    since = privacy.statement_since
    return None if since is None else datetime.fromtimestamp(since / 1000, privacy.settings.zone).date()


def parse_choice(body: bytes) -> str | None:
    """Return `refuse` or `allow` from the form, or None."""
    return {b"choice=refuse": REFUSED, b"choice=allow": ALLOWED}.get(body.strip())


async def read_body(request: Request, *, most: int) -> bytes | None:
    """Read what a form can be at most, in bytes; None if it is longer."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            return None
    return body


def is_https(request: Request, privacy: Privacy) -> bool:
    """Tell whether the browser is on https: a proxy may hide it, but the browser says so with its own form (Origin)."""
    page = request.headers.get("origin") or privacy.settings.base_url
    return request.url.scheme == "https" or page.startswith("https://")
