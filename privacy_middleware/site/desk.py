"""The officer's pages: data requests, submissions, audit, state. GET shows, POST acts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from starlette.requests import Request as Call
from starlette.responses import Response
from starlette.routing import Route

from ..access import Role
from ..collect.treatment import in_words
from ..collect.visitor import date_of
from ..errors import PrivacyError, StoreError, VaultError
from ..forms import ANSWER
from ..language import N_, Language
from ..problems import problems
from ..record import submissions
from ..record.submissions import Stored
from ..rights import answers, audit, requests
from ..rights.requests import DAY, Request
from ..settings import effective
from ..store import queries
from ..store.base import Store
from .officer import ACTOR, MOST_ROWS, OfficerPages
from .sign_in import form_of, see

MOST_ANSWER: Final = 12 * answers.LONGEST_ANSWER + 10_000
"""Bytes of the form: a letter takes twelve at most."""
SOON_DAYS: Final = 7
LAST_DAY: Final = 2**31
LENGTH_OF_ID: Final = 32
NOT_THERE: Final = N_("There is no such request.")
KINDS: Final = {
    "overview": N_("Overview"), "correction": N_("Correction"), "erasure": N_("Erasure"), "restriction": N_("Restriction"),
    "objection": N_("Objection"), "complaint": N_("Question or complaint"),
}  # fmt: skip


class DeskPages(OfficerPages):
    """The pages for who may see more than statistics."""

    def routes(self) -> list[Route]:
        """Return the routes."""
        route = self._route
        return [
            route("requests", self.requests),
            route("requests/{id}", self.request, "GET", "POST"),
            route("submissions", self.submissions),
            route("submissions/{id}", self.submission, "GET", "POST"),
            route("audit", self.audit),
            route("state", self.state),
        ]

    # --- data requests -----------------------------------------------------------------------------------------------------

    async def requests(self, call: Call, role: Role) -> Response:
        """List data requests, the next deadline first."""
        found = await self.owner.read(requests.find_all)
        now = self._now()
        rows = [
            {
                "id": one.id.hex(), "kind": KINDS[one.kind], "state": one.state.replace("_", " "), "received": self._date(one.created),
                "due": self._date(one.due), "closed": self._date(one.closed), "is_open": one.is_open, "failed": one.tries,
                "left": (one.due - now) // DAY, "is_soon": one.is_open and one.due - now < SOON_DAYS * DAY,
            }
            for one in sorted(found, key=lambda one: (not one.is_open, one.due if one.is_open else -(one.closed or 0)))
        ]  # fmt: skip
        return self._page(call, "requests.html", role, here="requests", rows=rows[:MOST_ROWS], more=max(0, len(rows) - MOST_ROWS))

    async def request(self, call: Call, role: Role) -> Response:
        """Open a request, which is noted; a POST decides."""
        fault, sent = "", {}
        _ = self.owner.pages.language_of(call)
        if call.method == "POST":
            sent = await form_of(call, self.privacy.settings.base_url)
            fault = await self._in_store(lambda store: self._decide(_, store, call.path_params["id"], sent))
            if fault == NOT_THERE:
                return self._not_found(call)
            if not fault:
                return see(call, f"requests/{call.path_params['id']}")
        shown = await self._in_store(lambda store: self._open_request(_, store, call.path_params["id"]))
        if shown is None:
            return self._not_found(call)
        return self._page(
            call, "request.html", role, here="requests", status=409 if fault else 200, fault=fault, text=sent.get("text", ""), **shown
        )

    def _decide(self, _: Language, store: Store, id_: str, sent: dict[str, str]) -> str:
        """Do what was pressed; returns what is wrong with it, or ""."""
        text, action, now = sent.get("text", "").strip(), sent.get("action", ""), self._now()
        if action in ("refuse", "extend") and not text:
            return _("Please write the reason: the law asks for one, and the person reads it.")
        decisions: dict[str, Callable[[Request], object]] = {
            "approve": lambda found: requests.approve(self.office, store, found, actor=ACTOR, answer=text, now=now),
            "refuse": lambda found: requests.refuse(self.office, store, found, actor=ACTOR, reason=text, now=now),
            "extend": lambda found: requests.extend(self.office, store, found, actor=ACTOR, reason=text, now=now),
            "lift": lambda found: requests.lift(self.office, store, found, actor=ACTOR, now=now),
        }
        if action not in decisions:
            return _("The form was sent without a choice. Press one of the buttons.")
        try:
            with store.transaction():
                found = requests.find_one(store, _whole(id_))
                if found is None:
                    return NOT_THERE
                decisions[action](found)
        except StoreError:
            raise
        except PrivacyError as error:
            return str(error)
        return ""

    def _open_request(self, _: Language, store: Store, id_: str) -> dict[str, Any] | None:
        found = requests.find_one(store, _whole(id_))
        if found is None:
            return None
        try:
            who, problem = requests.particulars(self.office, store, found), ""
        except VaultError as error:
            who, problem = None, str(error)
        with store.transaction():
            about = f"{found.kind} {found.id.hex()}"
            audit.note(store, now=self._now(), actor=ACTOR, action="show request", about=about, subject=found.lookup)
        edits = [(f"{edit.form}, {edit.field}", in_words(edit.old), in_words(edit.new)) for edit in who.edits] if who else []
        in_force = bool(found.lookup and found.closed and store.rows(queries.IN_FORCE, lookup=found.lookup, closed=found.closed))
        names = (N_("Received"), N_("Confirmed"), N_("To be answered by"), N_("Closed"))
        dates = dict(zip(names, (found.created, found.confirmed, found.due, found.closed), strict=True))
        return {
            "asked": found, "kind": _.own(KINDS[found.kind]), "who": who, "problem": problem, "edits": edits,
            "dates": {name: self._date(instant) for name, instant in dates.items() if instant is not None},
            "steps": store.rows(queries.STEPS, request=found.id), "in_force": in_force, "state": found.state.replace("_", " "),
        }  # fmt: skip

    # --- submissions -------------------------------------------------------------------------------------------------------

    async def submissions(self, call: Call, role: Role) -> Response:
        """List what was sent with forms, by purpose; nothing of it is opened."""
        purpose = call.query_params.get("purpose", "")

        def look(store: Store) -> tuple[Counter[str], list[Stored]]:
            everything = submissions.find(store, first=0, last=LAST_DAY)
            usable = [s for s in everything if not submissions.is_restricted(store, s) and submissions.may_be_opened(store, s)]
            return Counter(stored.purpose for stored in usable), [stored for stored in usable if purpose in ("", stored.purpose)]

        counts, found = await self.owner.read(look)
        rows = [self._facts(stored) for stored in reversed(found[-MOST_ROWS:])]
        more = max(0, len(found) - MOST_ROWS)
        return self._page(call, "submissions.html", role, here="submissions", rows=rows, more=more, counts=counts, purpose=purpose)

    async def submission(self, call: Call, role: Role) -> Response:
        """Open a submission, which is noted; a POST notes that it is answered."""

        def act(store: Store) -> dict[str, Any] | None:
            stored = submissions.find_one(store, _whole(call.path_params["id"]))
            if stored is None or submissions.is_restricted(store, stored) or not submissions.may_be_opened(store, stored):
                return None
            fault = self._answer(store, stored, sent) if call.method == "POST" else ""
            if call.method == "POST" and not fault:
                return {}
            with store.transaction():
                subject = submissions.lookup_of(store, stored)
                audit.note(store, now=self._now(), actor=ACTOR, action="show", about=stored.id.hex(), subject=subject)
            opened = {"facts": self._facts(stored), "values": {}, "problem": fault, "at": "", "thread": [], "can_answer": False}
            try:
                instant, values = submissions.read(store, self.privacy.keys.vault, stored)
                opened["thread"] = [(self._instant(one.made), one.text) for one in answers.thread(self.office, store, stored)]
                opened["can_answer"] = stored.purpose == ANSWER and bool(answers.address_of(self.office, store, stored))
            except VaultError as error:
                return opened | {"problem": str(error)}
            shown = {name: [in_words(value) for value in found] for name, found in values.items()}
            return opened | {"values": shown, "at": self._instant(instant)}

        sent = await form_of(call, self.privacy.settings.base_url, most=MOST_ANSWER) if call.method == "POST" else {}
        opened = await self._in_store(act)
        if opened is None:
            return self._not_found(call)
        if not opened:
            return see(call, f"submissions/{call.path_params['id']}")
        status, text = (409, sent.get("text", "")) if sent else (200, "")
        labels = self._labels(opened["facts"]["form"])
        return self._page(call, "submission.html", role, here="submissions", status=status, labels=labels, text=text, **opened)

    def _answer(self, store: Store, stored: Stored, sent: dict[str, str]) -> str:
        """Do what was pressed; returns what is wrong with it, or ""."""
        action, now = sent.get("action", ""), self._now()
        try:
            with store.transaction():
                if action in ("send", "send and close"):
                    text, ends = sent.get("text", "").replace("\r\n", "\n"), action == "send and close"
                    answers.send(self.office, store, stored, text, actor=ACTOR, now=now, close_it=ends)
                elif action == "close":
                    answers.close(self.office, store, stored, actor=ACTOR, now=now)
                else:
                    answers.note_answered(self.office, store, stored, now=now)
                    subject = submissions.lookup_of(store, stored)
                    audit.note(store, now=now, actor=ACTOR, action="answer", about=stored.id.hex(), subject=subject)
        except StoreError:
            raise
        except PrivacyError as error:
            return str(error)
        return ""

    def _labels(self, form: str) -> dict[str, str]:
        found = next((one for one in self.privacy.declaration.forms if one.name == form), None)
        return {name: field.label or name for name, field in found.fields.items()} if found else {}

    def _facts(self, stored: Stored) -> dict[str, Any]:
        return {
            "id": stored.id.hex(), "date": date_of(stored.day).isoformat(), "form": stored.form, "purpose": stored.purpose,
            "outcome": stored.outcome, "answered": self._date(stored.answered), "closed": self._date(stored.closed),
            "kept_until": date_of(stored.expires - 1).isoformat(),
        }  # fmt: skip

    # --- what is in force --------------------------------------------------------------------------------------------------

    async def audit(self, call: Call, role: Role) -> Response:
        """Show who looked at what and decided what, the newest first, and whether the chain of entries is whole."""

        def look(store: Store) -> tuple[list[dict[str, Any]], audit.Verified]:
            return store.rows(queries.LAST_AUDITED, most=MOST_ROWS), audit.verify(store)

        found, verified = await self.owner.read(look)
        rows = [(self._instant(row["time"]), row["actor"], row["action"], row["object"]) for row in found if row["action"]]
        return self._page(call, "audit.html", role, here="audit", rows=rows, verified=verified)

    async def state(self, call: Call, role: Role) -> Response:
        """Show what was dropped and why, the queue, and the settings in force."""

        def look(store: Store) -> tuple[dict[str, int], dict[str, Any], list[str]]:
            counted = store.rows(queries.COUNTS, first=0, last=LAST_DAY, step=1)
            wrong = problems(self.privacy, store)
            return {row["name"]: row["amount"] for row in counted}, store.rows(queries.HITS_STORED)[0], wrong

        counters, stored, wrong = await self.owner.read(look)
        dropped = {name.removeprefix("dropped."): n for name, n in counters.items() if name.startswith("dropped.")}
        faults = {name.partition(".")[2]: n for name, n in counters.items() if name.startswith(("fault.", "mail."))}
        days = (date_of(stored["first"]).isoformat(), date_of(stored["last"]).isoformat()) if stored["hits"] else ()
        values = {
            "dropped": dropped,
            "faults": faults,
            "stored": stored["hits"],
            "days": days,
            "queue": len(self.privacy.recorder.queue),
            "wrong": wrong,
        }
        return self._page(call, "state.html", role, here="state", settings=effective(self.privacy.settings), **values)


def _whole(id_: str) -> str:
    """Leave an identifier only if it is whole: on pages, no beginning of one opens anything."""
    return id_ if len(id_) == LENGTH_OF_ID else "none"
