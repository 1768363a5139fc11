"""Captures one declared form: copies its body as the host reads it, and holds the start of the answer until it is durable."""

from __future__ import annotations

from time import monotonic
from typing import Any, Final

import anyio

from .collect.form import Copy
from .forms import Form
from .record.intake import Captured, Intake

LOOK: Final = 0.001
"""Seconds between two looks whether a submission is durable."""


class Capture:
    """One request to a declared form. The host's bytes pass through the adapter; here only references to them are kept."""

    __slots__ = ("_content_type", "_copy", "_form", "_intake", "_time", "_visitor", "decided")

    def __init__(self, form: Form, intake: Intake, *, content_type: bytes, limit: int, time: float, visitor: int | None) -> None:
        self._form = form
        self._intake = intake
        self._copy = Copy(limit)
        self._content_type = content_type
        self._time = time
        self._visitor = visitor
        self.decided = False
        """True once the host's answer has begun."""

    def copy(self, message: Any) -> None:
        """Take a part of the body that the host has just read (`http.request`)."""
        if not self.decided:
            self._copy.add(message.get("body", b""), more=message.get("more_body", False))

    async def answered(self, status: int) -> None:
        """Hear the status of the host's answer before the visitor does; return once what is to be kept is durable.

        Waits no longer than twice the budget: once for the database, once for the spool.
        """
        captured = self._decide(status)
        if captured is None:
            return
        intake = self._intake
        end = monotonic() + 2 * intake.wait_seconds
        ticket = intake.take(captured)
        while monotonic() < end and (ticket is None or not ticket.done()):
            await anyio.sleep(LOOK)
            if ticket is None:
                ticket = intake.take(captured)
        if ticket is None:
            intake.lost(self._form, "no_room")
        elif not ticket.done():
            intake.late(self._form)

    def broken(self) -> None:
        """The host raised instead of answering: the server answers 500."""
        captured = self._decide(500)
        if captured is not None and self._intake.take(captured) is None:
            self._intake.lost(self._form, "no_room")

    def _decide(self, status: int) -> Captured | None:
        """Return what is to be kept, once, or None. A host that reads nothing leaves nothing."""
        if self.decided or status < 200:
            return None
        self.decided = True
        outcome = self._form.outcome(status)
        if outcome not in self._form.outcomes or not self._copy.size:
            return None
        return Captured(self._form, outcome, self._content_type, self._copy, self._time, self._visitor)
