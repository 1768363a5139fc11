"""Captures one declared form: copies its body as the host reads it, and holds the start of the answer until it is durable."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic, sleep
from typing import Final

import anyio

from .collect.form import Copy
from .forms import Form
from .record.intake import Captured, Intake

SPOOL_SECONDS: Final = 0.5
LOOK: Final = 0.001
"""Seconds between two looks whether a submission is durable."""


class Capture:
    """One request to a declared form. The host's bytes pass through the adapter; here only references to them are kept."""

    __slots__ = ("_content_type", "_form", "_intake", "_time", "copy", "outcomes", "visitor")

    def __init__(self, form: Form, intake: Intake, content_type: bytes, limit: int, time: float) -> None:
        self._form = form
        self._intake = intake
        self._content_type = content_type
        self._time = time
        self.copy: Copy | None = Copy(limit)
        """What the host has read so far; None once its answer has begun."""
        self.outcomes = form.outcomes
        self.visitor: int | None = None
        """The pseudonym that the submission is tied to, if the form declares so."""

    def decide(self, status: int) -> Captured | None:
        """Hear the status of the host's answer, once; return what is to be kept, if anything.

        A host that reads nothing leaves nothing. What the host does afterwards (such as to give up while its answer is held)
        changes nothing any more.
        """
        copy, form = self.copy, self._form
        if copy is None or status < 200:
            return None
        self.copy = None
        outcome = form.outcome(status)
        if outcome not in self.outcomes:
            return None
        if not copy.size:
            self._intake.unread(form)
            return None
        return Captured(form, outcome, self._content_type, copy.body(), self._time, self.visitor)

    async def keep(self, captured: Captured) -> None:
        """Return once it is durable, so that the visitor sees the answer only then; on any event loop."""
        for _ in self._looks(captured):
            await anyio.sleep(LOOK)

    def keep_in_thread(self, captured: Captured) -> None:
        """Return once it is durable, as `keep`, where a thread serves each request (WSGI)."""
        for _ in self._looks(captured):
            sleep(LOOK)

    def _looks(self, captured: Captured) -> Iterator[None]:
        """Hand it to the intake, and look whether it is durable; the caller pauses between two looks.

        Ends after the budget for the database at the latest, and then as long again, or a little longer, for the spool.
        """
        intake = self._intake
        end = monotonic() + intake.wait_seconds + max(intake.wait_seconds, SPOOL_SECONDS)
        ticket = intake.take(captured)
        while monotonic() < end and (ticket is None or not ticket.done()):
            yield
            if ticket is None:
                ticket = intake.take(captured)
        if ticket is None:
            intake.lost(self._form, "no_room")
        elif not ticket.done() or not ticket.result():
            intake.late(self._form)

    def broken(self) -> None:
        """The host raised instead of answering: the server answers 500."""
        captured = self.decide(500)
        if captured is not None and self._intake.take(captured) is None:
            self._intake.lost(self._form, "no_room")
