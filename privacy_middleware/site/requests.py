"""The pages of data requests: ask, prove, look, correct, and see how it stands. GET shows; only POST acts."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Final, NamedTuple, TypeVar, cast
from urllib.parse import parse_qsl, quote

from starlette.exceptions import HTTPException
from starlette.requests import Request as Call
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from ..errors import PrivacyError
from ..mail import is_mailable
from ..privacy import Privacy
from ..record.submissions import root_key
from ..rights import erasure, links, requests
from ..rights.audit import PERSON
from ..rights.correction import Wrong, read_edits, sheets
from ..rights.limits import seconds_to_wait
from ..rights.overview import Overview, gather
from ..rights.requests import LONGEST_TEXT, Kind, OutOfTurn, Particulars, Request
from ..statement.requests import PERIODS
from ..store.base import Store
from ..values import REQUEST_KINDS
from ..vault import normalise_email
from ..waiting import answer_of, in_thread
from .origin import is_same_origin
from .package import kept_in_words, package, shown
from .pages import HEADERS, Pages, base_path, wished_language
from .visitor import NO_CHOICE, NOT_OURS, UNREACHABLE, address_of, read_body, refuse_in_browser

Result = TypeVar("Result")
MOST_BODY: Final = 12 * LONGEST_TEXT + 10_000
"""Bytes: a letter takes twelve at most in a form."""
MOST_EDITS_BODY: Final = 4_000_000
SOURCE_SECONDS: Final = 8.0
"""How long a page waits for the host's sources."""
ERASE_SECONDS: Final = 2.0


class Faulty(PrivacyError):
    """What was sent with a form is not complete or right; the text says what to do."""


class Opened(NamedTuple):
    """A link that still holds, and its request."""

    token: str
    request: Request
    uses: int

    def __repr__(self) -> str:
        """Without the token: it may end up in a log or a traceback."""
        return f"Opened({self.request.kind!r})"


class Asked(NamedTuple):
    """What somebody asks for, as the form was sent."""

    kind: Kind
    who: Particulars
    is_proven: bool


def request_routes(privacy: Privacy, pages: Pages) -> list[Route]:
    """Return the routes of the pages for data requests."""
    site = RequestPages(privacy, pages)
    both = ["GET", "POST"]
    return [
        Route("/requests/", site.ask, methods=both),
        Route("/requests/sent", site.sent, methods=["GET"]),
        Route("/requests/confirm/{token}", site.confirm, methods=both),
        Route("/requests/overview/{token}", site.overview, methods=both),
        Route("/requests/correct/{token}", site.correct, methods=both),
        Route("/requests/status/{token}", site.status, methods=both),
    ]


class RequestPages:
    """The pages for people who want to see, correct, or erase what is held of them."""

    def __init__(self, privacy: Privacy, pages: Pages) -> None:
        self.privacy = privacy
        self.pages = pages
        self.office = privacy.office

    # --- asking ------------------------------------------------------------------------------------------------------------

    async def ask(self, call: Call) -> Response:
        """Show the form; a POST takes a request."""
        if call.method == "POST":
            return await self._take(call)
        kind = call.query_params.get("kind", "overview")
        return await self._form(call, {"kind": kind if kind in REQUEST_KINDS else "overview"})

    async def _form(self, call: Call, sent: Mapping[str, str], *, fault: str = "", status: int = 200) -> Response:
        return self.pages.render(
            call,
            "requests.html",
            status=status,
            sent=sent,
            fault=fault,
            signed_in=await self._signed_in(call),
            period=PERIODS[self.office.settings.deadlines],
            longest=LONGEST_TEXT,
        )

    async def _signed_in(self, call: Call) -> str:
        """Return the address of who is signed in by the host's own accounts; "" if nobody is, or that cannot be told."""
        current_subject = self.privacy.host.current_subject
        if current_subject is None:
            return ""
        try:
            found = current_subject(call)
            email = await found if inspect.isawaitable(found) else found
        except Exception as error:  # the host's own code: then the mail is the proof
            self.privacy.recorder.fault(error)
            return ""
        return normalise_email(email) if isinstance(email, str) else ""

    async def _take(self, call: Call) -> Response:
        """Take a request: the same work, and the same answer, whether or not anything is held."""
        if not is_same_origin(call, self.office.settings.base_url):
            return self.pages.say(self.pages.language_of(call)(NOT_OURS), 403)
        sent = await _fields(call, most=MOST_BODY)
        try:
            asked = self._read(call, sent, await self._signed_in(call))
        except Faulty as fault:
            return await self._form(call, sent, fault=str(fault), status=400)
        try:
            wait, token, place = await self._in_store(lambda store: self._open(store, call, asked))
        except UNREACHABLE:
            return self.pages.busy(call)
        if wait:
            return self.pages.too_many(call, wait, zone=self.office.settings.zone, now=self._now())
        if asked.is_proven:
            return await self._go_on(call, place, token, refuse=asked.kind == "objection")
        return _see(call, "sent")

    def _read(self, call: Call, sent: Mapping[str, str], signed_in: str) -> Asked:
        _ = self.pages.language_of(call)
        kind, text = sent.get("kind", ""), sent.get("text", "").strip()
        if kind not in REQUEST_KINDS:
            raise Faulty(_("Please choose what you would like to ask for."))
        email = signed_in or normalise_email(sent.get("email", ""))
        if signed_in and normalise_email(sent.get("email", signed_in)) != signed_in:
            raise Faulty(_("You are signed in as %(email)s. To ask for another address, sign out first.", email=signed_in))
        if not email or not (signed_in or is_mailable(email)):
            raise Faulty(_("Please write your e-mail address, like name@example.org."))
        if kind == "complaint" and not text:
            raise Faulty(_("Please write your question or complaint."))
        if kind != "complaint" and text:
            raise Faulty(_("Your text would not be read with this request. Choose “Ask or complain” to send it, or leave it empty."))
        if len(text) > LONGEST_TEXT:
            raise Faulty(_("Please shorten your text to %(number)s characters.", number=LONGEST_TEXT))
        who = Particulars(email, _.code, text)
        return Asked(cast("Kind", kind), who, is_proven=bool(signed_in))

    def _open(self, store: Store, call: Call, asked: Asked) -> tuple[int, str, str]:
        """In the recorder's thread: count and store the request, and queue the mail; or say how long to wait."""
        office, now = self.office, self._now()
        root = root_key_of(self, store)
        with store.transaction():
            address = address_of(call, self.privacy)
            email = "" if asked.is_proven else asked.who.email  # nobody's mailbox can be flooded by who is signed in
            wait = seconds_to_wait(store, root, office.settings.limits, email=email, address=address, now=now)
            if wait:
                return wait, "", ""
            request = requests.open_request(office, store, asked.kind, asked.who, now=now)
            if asked.is_proven and asked.kind == "erasure":  # it cannot be undone: first show what would go
                return 0, requests.make_proof(office, store, request, now=now), "confirm"
            if asked.is_proven:
                return 0, *self._proven(store, request, now=now)
            if office.can_ask:
                requests.ask_for_proof(office, store, request, asked.who, now=now)
        return 0, "", ""

    async def sent(self, call: Call) -> Response:
        """Say what happens now: the same for everybody."""
        return self.pages.render(call, "sent.html", mails=self.office.can_ask)

    # --- proving -----------------------------------------------------------------------------------------------------------

    async def confirm(self, call: Call) -> Response:
        """Show what a link from a mail would do; a POST does it."""
        try:
            if call.method == "POST":
                return await self._confirm(call)
            opened = await self._in_store(lambda store: self._opened(store, call, "confirm"))
            if opened is None:
                return self._no_link(call)
            held = await self._in_store(lambda store: erasure.held(self.office, store, opened.request))
        except UNREACHABLE:
            return self.pages.busy(call)
        kind = opened.request.kind
        values = {"hours": self.office.settings.erasure_delay, "reviewed": kind in self.office.settings.review}
        return self._page(call, "confirm.html", kind=kind, held=held, **values)

    async def _confirm(self, call: Call) -> Response:
        chosen = (await _fields(call, most=MOST_BODY)).get("kind", "")
        kind = _other_kind(chosen)
        if chosen and kind is None:
            return self.pages.say(self.pages.language_of(call)(NO_CHOICE), 400)

        def act(store: Store) -> tuple[str, str, Kind] | None:
            with store.transaction():
                opened = self._opened(store, call, "confirm")
                if opened is None or not links.use(store, root_key_of(self, store), opened.token):
                    return None
                if kind and kind != opened.request.kind:
                    requests.ask_instead(self.office, store, opened.request, kind, now=self._now())
                    return "", "sent", kind
                token, place = self._proven(store, opened.request, now=self._now())
            return token, place, opened.request.kind

        done = await self._in_store(act)
        if done is None:
            return self._no_link(call)
        token, place, of_kind = done
        return await self._go_on(call, place, token, refuse=of_kind == "objection") if token else _see(call, place)

    def _proven(self, store: Store, request: Request, *, now: int) -> tuple[str, str]:
        """In a transaction: confirm a request; returns the token of the page to go on with, and its place."""
        request = requests.confirm(self.office, store, request, now=now)
        place: links.Purpose = "status"
        if request.kind == "overview" and request.state == "fulfilled":
            place = "overview"
        elif request.kind == "correction" and request.state == "confirmed":
            place = "correct"
        return links.make(store, root_key_of(self, store), request.id, place, now=now), place

    async def _go_on(self, call: Call, place: str, token: str, *, refuse: bool) -> Response:
        """Lead to the page where it goes on; an objection also refuses to be recorded in this browser."""
        response = self.pages.private(_see(call, f"{place}/{token}"))
        if refuse:
            await refuse_in_browser(call, response, self.privacy)
        soon = self.privacy.clerk.hurry()
        if place == "status":  # an erasure without sources is done in a moment: let the next page say so
            with suppress(Exception):  # the clerk counts and logs what failed, and tries again
                await answer_of(soon, patience=ERASE_SECONDS)
        return response

    # --- overview ----------------------------------------------------------------------------------------------------------

    async def overview(self, call: Call) -> Response:
        """Say what there is behind the link; a POST shows it, or sends the package."""
        try:
            opened = await self._in_store(lambda store: self._opened(store, call, "overview", used_up=True))
            if opened is None:
                return self._no_link(call)
            if call.method != "POST":
                return self._overview_page(call, opened)
            action = (await _fields(call, most=MOST_BODY)).get("action")
            if action not in ("show", "download"):
                return self._overview_page(call, opened, status=400)
            if action == "download" and not opened.uses:
                return self._overview_page(call, opened, status=410)
            found = await self._from_sources(lambda store: gather(self.office, store, opened.request, now=self._now()))
            if found is None:
                return self._overview_page(call, opened, status=503, slow=True)
            if action == "show":
                return await in_thread(lambda: self._overview_page(call, opened, overview=found))
            return await self._download(call, opened, found)
        except UNREACHABLE:
            return self.pages.busy(call)

    def _overview_page(
        self, call: Call, opened: Opened, *, overview: Overview | None = None, slow: bool = False, status: int = 200
    ) -> Response:
        return self._page(
            call,
            "overview.html",
            status=status,
            opened=opened,
            overview=overview,
            slow=slow,
            shown=partial(shown, self.pages.language_of(call)),
        )

    async def _download(self, call: Call, opened: Opened, found: Overview) -> Response:
        def take_one(store: Store) -> bool:
            with store.transaction():
                return links.use(store, root_key_of(self, store), opened.token)

        if not await self._in_store(take_one):
            return self._overview_page(call, opened._replace(uses=0), status=410)
        name = f"your-data-{found.made[:10]}.zip"
        headers = {**HEADERS, "content-disposition": f'attachment; filename="{name}"'}

        async def chunks() -> AsyncIterator[bytes]:
            made = package(self.office, self.pages, found, self.pages.language_of(call))
            while chunk := await in_thread(lambda: next(made, b"")):
                yield chunk

        return self.pages.private(StreamingResponse(chunks(), media_type="application/zip", headers=headers))

    # --- correction --------------------------------------------------------------------------------------------------------

    async def correct(self, call: Call) -> Response:
        """Say what can be done behind the link; a POST shows the values, or takes the edited ones."""
        try:
            opened = await self._in_store(lambda store: self._opened(store, call, "correct"))
            if opened is None:
                return self._no_link(call)
            if call.method != "POST":
                return self._page(call, "correct.html", sheets=None)
            sent = await _fields(call, most=MOST_EDITS_BODY)
            if sent.get("action") != "send":
                return await self._sheets(call, opened)
            return await self._edit(call, opened, sent)
        except UNREACHABLE:
            return self.pages.busy(call)

    async def _sheets(
        self, call: Call, opened: Opened, *, sent: Mapping[str, str] | None = None, wrong: Wrong | None = None, fault: str = ""
    ) -> Response:
        found = await self._from_sources(lambda store: sheets(self.office, store, opened.request))
        if found is None:
            return self.pages.busy(call)
        values = {"sent": sent or {}, "faults": wrong.faults if wrong else {}, "fault": fault, "longest": LONGEST_TEXT}
        status = 400 if fault or values["faults"] else 200
        values["in_words"] = partial(kept_in_words, self.pages.language_of(call))
        return self._page(call, "correct.html", status=status, sheets=found, **values)

    async def _edit(self, call: Call, opened: Opened, sent: Mapping[str, str]) -> Response:
        _ = self.pages.language_of(call)
        note = sent.get("note", "").strip()
        wrong = await self._from_sources(lambda store: read_edits(self.office, store, opened.request, sent, now=self._now()))
        if wrong is None:
            return self.pages.busy(call)
        if wrong.faults:
            return await self._sheets(call, opened, sent=sent, wrong=wrong)
        if len(note) > LONGEST_TEXT:
            return await self._sheets(
                call, opened, sent=sent, fault=_("Please shorten your text to %(number)s characters.", number=LONGEST_TEXT)
            )
        if not wrong.edits and not note:
            return await self._sheets(call, opened, sent=sent, fault=_("Nothing is changed yet. Change a value, or write what is wrong."))

        def act(store: Store) -> str | None:
            with store.transaction():
                if not links.use(store, root_key_of(self, store), opened.token):
                    return None
                request = requests.get(store, opened.request.id)
                who = requests.particulars(self.office, store, request)
                who = Particulars(who.email, who.language, note, edits=wrong.edits)
                requests.review_edits(self.office, store, request, who, now=self._now())
                return links.make(store, root_key_of(self, store), opened.request.id, "status", now=self._now())

        try:
            token = await self._in_store(act)
        except OutOfTurn:  # it was called off, or decided on, meanwhile
            token = None
        return self._no_link(call) if token is None else await self._go_on(call, "status", token, refuse=False)

    # --- status ------------------------------------------------------------------------------------------------------------

    async def status(self, call: Call) -> Response:
        """Show how a request stands; a POST calls it off."""
        try:
            if call.method != "POST":
                found = await self._in_store(lambda store: self._standing(store, call))
                return self._status_page(call, *found) if found else self._no_link(call)
            action = (await _fields(call, most=MOST_BODY)).get("action", "")
            fault = await self._in_store(lambda store: self._changed(store, call, action))
            found = await self._in_store(lambda store: self._standing(store, call))
        except UNREACHABLE:
            return self.pages.busy(call)
        if fault is None or found is None:
            return self._no_link(call)
        return self._status_page(call, *found, fault=fault)

    def _standing(self, store: Store, call: Call) -> tuple[Request, bool] | None:
        """Return the request, and whether it restricts anything."""
        opened = self._opened(store, call, "status")
        return (opened.request, requests.is_in_force(store, opened.request)) if opened else None

    def _changed(self, store: Store, call: Call, action: str) -> str | None:
        """In the recorder's thread: call a request off, or end what it restricts; returns what stood in the way. None without a link."""
        with store.transaction():
            opened = self._opened(store, call, "status")
            if opened is None:
                return None
            try:
                with store.savepoint():
                    if action == "withdraw":
                        requests.withdraw(self.office, store, opened.request, now=self._now())
                    if action == "lift":
                        requests.lift(self.office, store, opened.request, actor=PERSON, now=self._now())
            except OutOfTurn:
                _ = self.pages.language_of(call)
                return _("That can no longer be done.")
        return ""

    def _status_page(self, call: Call, request: Request, in_force: bool, *, fault: str = "") -> Response:  # noqa: FBT001 - a fact of the request
        zone = self.office.settings.zone
        names = {"received": "created", "confirmed": "confirmed", "acts": "acts", "due": "due", "closed": "closed"}
        instants = {name: getattr(request, field) for name, field in names.items()}
        dates = {name: datetime.fromtimestamp(instant / 1000, zone) for name, instant in instants.items() if instant is not None}
        delayed = request.acts is not None and request.acts > self._now() and not request.tries
        values = {
            "asked": request,
            "dates": dates,
            "fault": fault,
            "delayed": delayed,
            "restricted": in_force,
            "token": call.path_params["token"],
        }
        return self._page(call, "status.html", status=409 if fault else 200, **values)

    # --- shared ------------------------------------------------------------------------------------------------------------

    def _opened(self, store: Store, call: Call, purpose: links.Purpose, *, used_up: bool = False) -> Opened | None:
        token = call.path_params["token"]
        found = links.find(store, root_key_of(self, store), token, purpose, now=self._now())
        if found is None or not (found[1] or used_up):
            return None
        return Opened(token, requests.get(store, found[0]), found[1])

    def _page(self, call: Call, template: str, *, status: int = 200, **values: object) -> Response:
        """Render a page behind a secret link; its forms are sent to itself."""
        return self.pages.private(self.pages.render(call, template, status=status, **values))

    def _no_link(self, call: Call) -> Response:
        return self._page(call, "no_link.html", status=404)

    def _now(self) -> int:
        return int(self.privacy.clerk.clock() * 1000)

    async def _in_store(self, work: Callable[[Store], Result]) -> Result:
        return await answer_of(self.privacy.recorder.submit(work))

    async def _from_sources(self, work: Callable[[Store], Result]) -> Result | None:
        """Have the clerk do it, who may ask the host's sources; None if that takes too long."""
        try:
            return await answer_of(self.privacy.clerk.ask(work), patience=SOURCE_SECONDS)
        except TimeoutError:
            return None


def root_key_of(pages: RequestPages, store: Store) -> bytes:
    """Return the key of keyed hashes, made at first use."""
    if store.in_transaction:
        return root_key(store, pages.office.vault())
    with store.transaction():
        return root_key(store, pages.office.vault())


async def _fields(call: Call, *, most: int) -> dict[str, str]:
    """Return what an urlencoded form holds; nothing of what is no form.

    Raises:
        HTTPException: 413, if it is longer than any of ours; 403, if it was sent from another site. (Behind a secret link the browser hides
            the Origin, since it tells no referrer; Sec-Fetch-Site it sends all the same.)
    """
    if call.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        raise HTTPException(403)
    body = await read_body(call, most=most)
    if body is None:
        raise HTTPException(413)
    try:
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=20_000))
    except ValueError:
        return {}


def _other_kind(kind: str) -> Kind | None:
    """Return what somebody with a link would like instead of what it was made for; a complaint would lack its text."""
    return cast("Kind", kind) if kind in REQUEST_KINDS and kind != "complaint" else None


def _see(call: Call, place: str) -> Response:
    """Lead to another of these pages, in the language that was chosen; reloading that does nothing twice."""
    wished = wished_language(call)
    chosen = f"?lang={quote(wished)}" if wished else ""
    return RedirectResponse(f"{base_path(call)}/requests/{place}{chosen}", 303, HEADERS)
