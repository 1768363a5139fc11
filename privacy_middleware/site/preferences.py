"""The page on which visitors choose what they are shown, see it, change it, and take it back; without a name, and without an account."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.requests import Request as Call
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ..collect.choice import read_choice, set_preferences_cookie
from ..collect.form import Value
from ..collect.treatment import Kept, treat
from ..collect.visitor import date_of, day_of
from ..forms import Form
from ..language import Language
from ..privacy import Privacy
from ..record.submissions import root_key
from ..rights import preferences
from ..rights.consents import Wording
from ..rights.limits import seconds_to_wait
from ..statement.section import in_days
from ..store.base import Store
from ..waiting import answer_of
from .origin import is_same_origin
from .pages import HEADERS, Pages
from .visitor import (
    NO_CHOICE,
    NOT_OURS,
    UNREACHABLE,
    address_of,
    drop_preferences_cookie,
    forget_preferences,
    is_https,
    preferences_token,
    read_body,
)

Result = TypeVar("Result")
MOST_BODY: Final = 20_000
MOST_OF_A_NETWORK: Final = 10
"""How many times as many first choices as data requests are taken of one network in 24 hours: nobody's mailbox gets anything by it."""
MOST: Final = 1_000_000


def preference_routes(privacy: Privacy, pages: Pages) -> list[Route]:
    """Return the routes of the page."""
    site = PreferencePages(privacy, pages)
    return [Route("/my-preferences", site.page, methods=["GET", "POST"])]


class PreferencePages:
    """The page of personalised content."""

    def __init__(self, privacy: Privacy, pages: Pages) -> None:
        self.privacy = privacy
        self.pages = pages
        self.office = privacy.office

    async def page(self, call: Call) -> Response:
        """Show what was chosen; a POST keeps another choice, or forgets it."""
        form = preferences.form_of(self.office)
        if form is None:
            return self.pages.render(call, "not_found.html", status=404)
        try:
            return await (self._change(call, form) if call.method == "POST" else self._show(call, form))
        except UNREACHABLE:
            return self.pages.busy(call)

    async def _show(self, call: Call, form: Form, *, done: str = "", kept: Mapping[str, list[str]] | None = None) -> Response:
        if kept is None and done != "forgotten":
            token = self._token(call)
            kept = await self._in_store(lambda store: preferences.read(self.office, store, token, now=self._now()))
        _ = self.pages.language_of(call)
        values: dict[str, Any] = {
            "form": form, "kept": kept or {}, "agreed": kept is not None, "done": done, "back": _path(call.query_params.get("back", "")),
            "words": words(_, self.privacy, form), "refused": self._refuses(call),
        }  # fmt: skip
        return self.pages.unlisted(self.pages.render(call, "my_preferences.html", **values))

    async def _change(self, call: Call, form: Form) -> Response:
        _ = self.pages.language_of(call)
        if not is_same_origin(call, self.privacy.settings.base_url):
            return self.pages.say(_(NOT_OURS), 403)
        body = await read_body(call, most=MOST_BODY)
        if body is None:
            raise HTTPException(413)
        try:
            sent = parse_qs(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=500)
        except ValueError:
            sent = {}
        action = sent.get("action", [""])[0]
        if action == "forget":
            await forget_preferences(call, self.privacy)
            response = await self._show(call, form, done="forgotten")
            drop_preferences_cookie(call, response, self.privacy)
            return response
        if action != "save":
            return self.pages.say(_(NO_CHOICE), 400)
        if self._refuses(call):
            return await self._show(call, form)
        return await self._save(call, form, sent)

    async def _save(self, call: Call, form: Form, sent: dict[str, list[str]]) -> Response:
        _ = self.pages.language_of(call)
        declared: dict[str, list[Value]] = {name: list(values) for name, values in sent.items() if name in form.fields}
        today = date_of(day_of(self._now(), self.privacy.settings.zone))
        values, unfit = treat(form, declared, today=today, keyed_hash=_no_hash)
        if unfit or any(len(kept) > 1 and not form.fields[name].several for name, kept in values.items()):
            return self.pages.say(_(NO_CHOICE), 400)
        token, cookie = self.privacy.cookies.make()
        before = self._token(call)
        said = Wording(self.pages.code_of(call), words(_, self.privacy, form))
        wait = await self._in_store(lambda store: self._keep(store, call, before, token, values, said))
        if wait:
            return self.pages.too_many(call, wait, zone=self.privacy.settings.zone, now=self._now())
        back = _path(sent.get("back", [""])[0])
        shown: dict[str, list[str]] = {name: [str(value) for value in values.get(name, [])] for name in form.fields}
        response = RedirectResponse(back, 303, HEADERS) if back else await self._show(call, form, done="saved", kept=shown)
        secure = is_https(call, self.privacy)
        response.headers.append("set-cookie", set_preferences_cookie(cookie, days=form.retention_days, secure=secure))
        return response

    def _keep(self, store: Store, call: Call, before: str, token: str, values: dict[str, list[Kept]], said: Wording) -> int:
        """Keep a choice in the place of the one before; returns after how many seconds to come again, if too many come from one network."""
        with store.transaction():
            consent = preferences.find(self.office, store, before)
            if consent is not None:
                preferences.forget(store, consent)
            else:
                limits = {"network": MOST_OF_A_NETWORK * self.privacy.settings.limits["network"], "all": MOST}
                root, address = root_key(store, self.office.vault()), address_of(call, self.privacy)
                wait = seconds_to_wait(store, root, limits, email="", address=address, now=self._now(), what="preferences ")
                if wait:
                    return wait
            preferences.save(self.office, store, token, values, said, now=self._now())
        return 0

    def _refuses(self, call: Call) -> bool:
        return read_choice(call.headers.raw, self.privacy.settings.signals, secure=call.url.scheme == "https").opted_out

    def _token(self, call: Call) -> str:
        return preferences_token(call, self.privacy)

    def _now(self) -> int:
        return int(self.privacy.clerk.clock() * 1000)

    async def _in_store(self, work: Callable[[Store], Result]) -> Result:
        return await answer_of(self.privacy.recorder.submit(work))


def words(_: Language, privacy: Privacy, form: Form) -> str:
    """Return what somebody agrees to by pressing the button; it is kept with the consent."""
    return _(
        "I agree that %(site)s keeps this for %(days)s %(purpose)s. I can take it back on this page at any time.",
        site=_.own(privacy.office.site),
        days=in_days(_, form.retention_days),
        purpose=_.own(privacy.declaration.purpose(form.purpose).text),
    )


def _path(text: str) -> str:
    """Leave only a path on this site, to lead back to; anything else could lead elsewhere."""
    return text if text[:1] == "/" and text[1:2] not in ("/", "\\") and text.isprintable() and text.isascii() and len(text) < 500 else ""


def _no_hash(_: str, __: str) -> str:
    raise AssertionError("the form of personalised content has choices only")
