"""Signing in to the owner's pages: by a link, by a password, or by the host's own accounts. GET shows; only POST signs in or out."""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from .. import access
from ..access import ROLES, Role
from ..errors import PrivacyError
from ..language import N_
from ..privacy import Privacy
from ..record.submissions import root_key
from ..rights import audit, mails
from ..rights.limits import network_of
from ..rights.outbox import tell_owner
from ..store.base import Store
from ..waiting import answer_of, in_thread
from .origin import is_same_origin
from .pages import HEADERS, Pages, base_path
from .visitor import NOT_OURS, UNREACHABLE, address_of, read_body

Result = TypeVar("Result")
Page = Callable[[Request, Role], Awaitable[Response]]
MOST_BODY: Final = 20_000
_COOKIE: Final = "privacy-owner"


class SignIn:
    """Knows who is signed in, and keeps everybody else out."""

    def __init__(self, privacy: Privacy, pages: Pages) -> None:
        self.privacy = privacy
        self.pages = pages
        self.clock: Callable[[], float] = time.time

    def routes(self) -> list[Route]:
        """Return the routes by which one signs in and out."""
        return [
            Route("/owner/sign-in", self.sign_in, methods=["GET", "POST"]),
            Route("/owner/sign-in/{token}", self.by_link, methods=["GET", "POST"]),
            Route("/owner/sign-out", self.sign_out, methods=["POST"]),
        ]

    def route(self, path: str, page: Page, *, role: Role = "viewer", methods: tuple[str, ...] = ("GET",)) -> Route:
        """Return the route of a page for those who are signed in in a role; `officer` is for officers only."""

        async def guarded(request: Request) -> Response:
            try:
                own = await self.role(request)
                if own is None:
                    return await self._not_signed_in(request)
            except (*UNREACHABLE, PrivacyError):
                return self.pages.busy(request)
            if role == "officer" and own != "officer":
                return self.pages.unlisted(self.pages.render(request, "owner/forbidden.html", status=403, role=own))
            if request.method == "POST" and not is_same_origin(request, self.privacy.settings.base_url):
                return self.pages.say(self.pages.language_of(request)(NOT_OURS), 403)
            try:
                return self.pages.unlisted(await page(request, own))
            except UNREACHABLE:
                return self.pages.busy(request)

        return Route(path, guarded, methods=list(methods))

    async def role(self, request: Request) -> Role | None:
        """Return the role of who is signed in, or None."""
        hosts = await self._role_by_host(request)
        if hosts is not None:
            return hosts
        token = request.cookies.get(_cookie_name(request), "")
        if not token or len(token) > 100:
            return None

        def look(store: Store) -> access.Session | None:
            with store.transaction():
                return access.session(store, self._root(store), token, way=self._way, now=self._now())

        found = await self._in_store(look)
        return found.role if found else None

    async def _role_by_host(self, request: Request) -> Role | None:
        authorize = self.privacy.host.authorize
        if authorize is None:
            return None
        try:
            found = authorize(request)
            role = await found if inspect.isawaitable(found) else found
        except Exception as error:  # the host's own code: then nobody is signed in
            self.privacy.recorder.fault(error)
            return None
        return next((one for one in ROLES if one == role), None)

    # --- pages -------------------------------------------------------------------------------------------------------------

    async def _not_signed_in(self, request: Request) -> Response:
        """Say 401 where one can sign in; where nothing is set up, there is no such page."""
        return self._form(request, status=401) if await self._is_set_up() else self._nothing_here(request)

    def _nothing_here(self, request: Request) -> Response:
        return self.pages.unlisted(self.pages.render(request, "not_found.html", status=404))

    async def _is_set_up(self) -> bool:
        if self.privacy.settings.owner_password_hash or self.privacy.host.authorize or self._can_mail:
            return True
        return await self._in_store(lambda store: access.was_asked_for(store, now=self._now()))

    @property
    def _can_mail(self) -> bool:
        return bool(self.privacy.office.can_ask and self.privacy.settings.owner_email)

    def _form(self, request: Request, *, status: int = 200, fault: str = "", sent: bool = False) -> Response:
        values = {"by_password": bool(self.privacy.settings.owner_password_hash), "by_mail": self._can_mail, "fault": fault, "sent": sent}
        return self.pages.unlisted(self.pages.render(request, "owner/sign_in.html", status=status, **values))

    async def sign_in(self, request: Request) -> Response:
        """Show how to sign in; a POST signs in by password, or mails a link."""
        try:
            if not await self._is_set_up():
                return self._nothing_here(request)
            return await self._try(request) if request.method == "POST" else self._form(request)
        except (*UNREACHABLE, PrivacyError):
            return self.pages.busy(request)

    async def _try(self, request: Request) -> Response:
        sent = await form_of(request, self.privacy.settings.base_url)
        network = network_of(address_of(request, self.privacy))

        def count(store: Store) -> bool:
            with store.transaction():
                return access.may_try(store, self._root(store), network, now=self._now())

        if not await self._in_store(count):
            return self._form(
                request, status=429, fault=self.pages.language_of(request)(N_("There were too many tries. Please wait an hour."))
            )
        if "mail" in sent and self._can_mail:
            await self._in_store(self._mail_link)
            return self._form(request, sent=True)
        stored, password = self.privacy.settings.owner_password_hash, sent.get("password", "")
        if not stored or not await in_thread(lambda: access.is_password(password, stored)):
            return self._form(request, status=403, fault=self.pages.language_of(request)(N_("This is not the password.")))
        return await self._begin(request, "officer")

    def _mail_link(self, store: Store) -> None:
        office, now = self.privacy.office, self._now()
        with store.transaction():
            token = access.make_link(store, self._root(store), "officer", now=now)
            audit.note(store, now=now, actor=audit.SYSTEM, action="link to sign in mailed to the owner")
            tell_owner(office, store, mails.sign_in(office, office.page(f"owner/sign-in/{token}")), now=now)

    async def by_link(self, request: Request) -> Response:
        """Show the button that signs in by a link; a POST uses it up."""
        token = request.path_params["token"]
        try:
            if request.method != "POST":
                holds = await self._in_store(lambda store: access.is_link(store, self._root(store), token, now=self._now()))
                status = 200 if holds else 404
                return self.pages.private(self.pages.render(request, "owner/link.html", status=status, holds=holds))
            if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):  # the browser hides the Origin here
                return self.pages.say(self.pages.language_of(request)(NOT_OURS), 403)
            cookie = await self._in_store(lambda store: self._redeem(store, token))
        except (*UNREACHABLE, PrivacyError):
            return self.pages.busy(request)
        if cookie is None:
            return self.pages.private(self.pages.render(request, "owner/link.html", status=404, holds=False))
        return self._signed_in(request, cookie)

    def _redeem(self, store: Store, token: str) -> str | None:
        with store.transaction():
            found = access.redeem(store, self._root(store), token, way=self._way, now=self._now())
            if found:
                audit.note(store, now=self._now(), actor="the owner (page)", action="signed in by link")
        return found

    async def _begin(self, request: Request, role: Role) -> Response:
        def begin(store: Store) -> str:
            with store.transaction():
                audit.note(store, now=self._now(), actor="the owner (page)", action="signed in by password")
                return access.begin(store, self._root(store), role, way=self._way, now=self._now())

        return self._signed_in(request, await self._in_store(begin))

    def _signed_in(self, request: Request, token: str) -> Response:
        response = see(request, "")
        _set_cookie(request, response, token, max_age=access.LONGEST // 1000)
        return self.pages.unlisted(response)

    async def sign_out(self, request: Request) -> Response:
        """Sign out, here or everywhere."""
        sent = await form_of(request, self.privacy.settings.base_url)
        try:
            role = await self.role(request)
            if role is None:
                return await self._not_signed_in(request)
            token = request.cookies.get(_cookie_name(request), "")

            def end(store: Store) -> None:
                with store.transaction():
                    if "everywhere" in sent and role == "officer":
                        access.end_all(store)
                        audit.note(store, now=self._now(), actor="the owner (page)", action="signed out everybody")
                    access.end(store, self._root(store), token)

            await self._in_store(end)
        except (*UNREACHABLE, PrivacyError):
            return self.pages.busy(request)
        response = see(request, "sign-in")
        _set_cookie(request, response, "", max_age=0)
        return self.pages.unlisted(response)

    # --- shared ------------------------------------------------------------------------------------------------------------

    @property
    def _way(self) -> str:
        return access.fingerprint(self.privacy.keys.vault, self.privacy.settings.owner_password_hash)

    def _root(self, store: Store) -> bytes:
        if store.in_transaction:
            return root_key(store, self.privacy.keys.vault)
        with store.transaction():
            return root_key(store, self.privacy.keys.vault)

    def _now(self) -> int:
        return int(self.clock() * 1000)

    async def _in_store(self, work: Callable[[Store], Result]) -> Result:
        return await answer_of(self.privacy.recorder.submit(work))


async def form_of(request: Request, base_url: str, *, most: int = MOST_BODY) -> dict[str, str]:
    """Return what an urlencoded form of ours holds.

    Raises:
        HTTPException: 403, if it was sent from another site; 413, if it is longer than any of ours.
    """
    if not is_same_origin(request, base_url):
        raise HTTPException(403)
    body = await read_body(request, most=most)
    if body is None:
        raise HTTPException(413)
    try:
        return dict(parse_qsl(body.decode("latin-1"), keep_blank_values=True, encoding="utf-8", errors="replace", max_num_fields=200))
    except ValueError:  # more fields than any form of ours has
        return {}


def see(request: Request, place: str) -> Response:
    """Lead to another of the owner's pages; reloading that does nothing twice."""
    return RedirectResponse(f"{base_path(request)}/owner/{place}", 303, HEADERS)


def _cookie_name(request: Request) -> str:
    """With https, a name that browsers let nobody but this host set (RFC 6265bis, 4.1.3.2)."""
    return f"__Host-{_COOKIE}" if request.url.scheme == "https" else _COOKIE


def _set_cookie(request: Request, response: Response, token: str, *, max_age: int) -> None:
    secure = request.url.scheme == "https"
    response.set_cookie(_cookie_name(request), token, max_age=max_age, path="/", secure=secure, httponly=True, samesite="strict")
