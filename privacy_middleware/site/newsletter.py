"""The page behind the link of a newsletter's mails: say yes, or stop it. GET shows; only POST acts, and needs one press of a button."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request as Call
from starlette.responses import Response
from starlette.routing import Route

from ..forms import NEWSLETTER
from ..language import Language
from ..privacy import Privacy
from ..rights import consents
from ..rights.audit import PERSON
from ..rights.consents import Consent, Wording
from ..store.base import Store
from ..waiting import answer_of
from .pages import Pages
from .visitor import NO_CHOICE, UNREACHABLE, read_body

Result = TypeVar("Result")
MOST_BODY = 4000
ONE_CLICK = b"List-Unsubscribe"
"""In the body that a mail program sends (RFC 8058), be it urlencoded or multipart."""


def newsletter_routes(privacy: Privacy, pages: Pages) -> list[Route]:
    """Return the routes of the newsletter's page."""
    site = NewsletterPages(privacy, pages)
    return [Route("/newsletter/{token}", site.page, methods=["GET", "POST"])]


class NewsletterPages:
    """Each person's own page of the newsletter."""

    def __init__(self, privacy: Privacy, pages: Pages) -> None:
        self.privacy = privacy
        self.pages = pages
        self.office = privacy.office

    async def page(self, call: Call) -> Response:
        """Show how it stands; a POST confirms, or stops. The secret link says who it is, so it needs no other proof, nor a sign-in."""
        try:
            if call.method != "POST":
                consent = await self._in_store(lambda store: self._find(store, call))
                return self._shown(call, consent)
            body = await read_body(call, most=MOST_BODY)
            if body is None:
                raise HTTPException(413)
            action = "leave" if ONE_CLICK in body else body.decode("latin-1").strip().removeprefix("action=")
            if action not in ("join", "leave"):
                return self.pages.say(self.pages.language_of(call)(NO_CHOICE), 400)
            said = Wording(self.pages.code_of(call), words(self.pages.language_of(call), self.office.site))
            consent = await self._in_store(lambda store: self._act(store, call, action, said))
        except UNREACHABLE:
            return self.pages.busy(call)
        return self._shown(call, consent, done=action)

    def _find(self, store: Store, call: Call) -> Consent | None:
        with store.transaction():
            found = consents.find(self.office, store, call.path_params["token"])
        if found is None or (found.given is None and (found.until or 0) <= self._now()):
            return None
        return found if found.purpose == NEWSLETTER else None

    def _act(self, store: Store, call: Call, action: str, said: Wording) -> Consent | None:
        with store.transaction():
            consent = consents.find(self.office, store, call.path_params["token"])
            if consent is None or consent.purpose != NEWSLETTER:
                return None
            if action == "join":
                return consents.give(self.office, store, consent, said, now=self._now())
            left = consents.withdraw(self.office, store, consent, actor=PERSON, now=self._now())
        store.checkpoint()
        return left

    def _shown(self, call: Call, consent: Consent | None, *, done: str = "") -> Response:
        if consent is None:
            return self.pages.private(self.pages.render(call, "no_link.html", status=404))
        _ = self.pages.language_of(call)
        state = "left" if consent.withdrawn is not None else "in" if consent.is_in_force else "asked"
        values: dict[str, Any] = {"state": state, "done": done, "words": words(_, self.office.site), "site": _.own(self.office.site)}
        values |= {"token": call.path_params["token"], "was_in": consent.given is not None}
        return self.pages.private(self.pages.render(call, "newsletter.html", **values))

    def _now(self) -> int:
        return int(self.privacy.clerk.clock() * 1000)

    async def _in_store(self, work: Callable[[Store], Result]) -> Result:
        return await answer_of(self.privacy.recorder.submit(work))


def words(_: Language, site: str) -> str:
    """Return what somebody agrees to by pressing the button; it is kept with the consent."""
    return _("Please send me the newsletter of %(site)s. I can stop it at any time.", site=_.own(site))
