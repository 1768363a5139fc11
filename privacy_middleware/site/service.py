"""The officer's pages of serving who wrote: questions, questionnaires, the newsletter, recipients. GET shows, POST acts."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from starlette.requests import Request as Call
from starlette.responses import Response
from starlette.routing import Route

from ..access import Role
from ..collect.visitor import date_of, day_of
from ..forms import QUESTIONNAIRE
from ..record.submissions import Stored, ids_like
from ..rights import answers, audit, consents, disclosures, newsletter, notices
from ..rights.mails import NOTICES
from ..statistics import questionnaires
from ..statistics.response_times import NAMES, response_times
from ..store.base import Store
from .officer import ACTOR, MOST_ROWS, OfficerPages
from .sign_in import form_of, see

MOST_TEXTS: Final = 500
LONGEST_PROOF: Final = 200
SLOW_DAYS: Final = 2


class ServicePages(OfficerPages):
    """The pages for who answers people."""

    def routes(self) -> list[Route]:
        """Return the routes."""
        route = self._route
        return [
            route("questions", self.questions),
            route("questionnaires", self.questionnaires),
            route("newsletter", self.newsletter),
            route("recipients", self.recipients, "GET", "POST"),
        ]

    async def questions(self, call: Call, role: Role) -> Response:
        """List what people asked and is not closed, the oldest first; nothing of it is opened. And how long answers took."""
        now, zone = self._now(), self.privacy.settings.zone
        today = day_of(now, zone)

        def look(store: Store) -> tuple[list[Stored], Any]:
            return answers.queue(store), response_times(store, today=today)

        found, times = await self.owner.read(look)
        rows = [
            {
                "id": one.id.hex(), "date": date_of(one.day).isoformat(), "form": self._title(one.form), "days": today - one.day,
                "answered": self._date(one.answered), "is_slow": one.answered is None and today - one.day >= SLOW_DAYS,
            }
            for one in found
        ]  # fmt: skip
        more = max(0, len(rows) - MOST_ROWS)
        return self._page(call, "questions.html", role, here="questions", rows=rows[:MOST_ROWS], more=more, times=times, names=NAMES)

    async def questionnaires(self, call: Call, role: Role) -> Response:
        """Show what was answered, question by question, and texts apart from all else; that is noted, since it opens what was sent."""
        forms = [form for form in self.privacy.declaration.forms if form.purpose == QUESTIONNAIRE]
        fewest, vault = self.privacy.settings.suppress_below, self.privacy.keys.vault

        def look(store: Store) -> list[questionnaires.Results]:
            return [questionnaires.results(store, vault, form, fewest=fewest, texts=True) for form in forms]

        found = await self.owner.read(look) if forms else []
        if forms:
            await self._in_store(self._note_answers_read)
        return self._page(call, "questionnaires.html", role, here="questionnaires", found=found, most=MOST_TEXTS)

    def _note_answers_read(self, store: Store) -> None:
        with store.transaction():
            audit.note(store, now=self._now(), actor=ACTOR, action="show questionnaires")

    async def newsletter(self, call: Call, role: Role) -> Response:
        """Show how many get the newsletter, and what was sent."""

        def look(store: Store) -> tuple[dict[str, int], list[tuple[newsletter.Issue, newsletter.Progress]]]:
            return consents.counts(store), [(one, newsletter.progress(store, one)) for one in newsletter.issues(store)[:MOST_ROWS]]

        counts, found = await self.owner.read(look)
        rows = [(issue.subject, self._instant(issue.begun), self._instant(issue.ended), progress) for issue, progress in found]
        return self._page(call, "newsletter.html", role, here="newsletter", counts=counts, rows=rows)

    async def recipients(self, call: Call, role: Role) -> Response:
        """Show who gets data, who got what, and who must still be told of something; a POST notes that they know."""
        if call.method == "POST":
            sent = await form_of(call, self.privacy.settings.base_url)
            await self._in_store(lambda store: self._note_received(store, sent))
            return see(call, "recipients")

        def look(store: Store) -> tuple[list[tuple[str, str, int, date, date]], list[dict[str, Any]]]:
            return disclosures.record(self.office, store), notices.listed(store)

        given, told = await self.owner.read(look)
        rows = [
            {
                "id": row["id"].hex(), "entry": row["disclosure"].hex(), "recipient": row["recipient"], "kind": NOTICES[row["kind"]],
                "made": self._instant(row["made"]), "received": self._instant(row["received"]), "proof": row["proof"],
                "attempts": row["attempts"],
            }
            for row in told[:MOST_ROWS]
        ]  # fmt: skip
        declared = [(one, self._ends(one.undertaking.expires if one.undertaking else None)) for one in self.privacy.declaration.recipients]
        return self._page(call, "recipients.html", role, here="recipients", recipients=declared, given=given, notices=rows)

    def _note_received(self, store: Store, sent: dict[str, str]) -> None:
        prefix = ids_like(sent.get("id", ""))
        with store.transaction():
            id_ = notices.find_one(store, prefix)
            proof = " ".join(sent.get("proof", "").split())[:LONGEST_PROOF]
            if id_ is not None:
                notices.received(store, id_, proof=proof or "noted by hand", actor=ACTOR, now=self._now())

    def _ends(self, expires: date | None) -> bool:
        """Tell whether an undertaking has expired."""
        return expires is not None and expires < date_of(day_of(self._now(), self.privacy.settings.zone))

    def _title(self, form: str) -> str:
        return next((one.title or one.name for one in self.privacy.declaration.forms if one.name == form), form)
