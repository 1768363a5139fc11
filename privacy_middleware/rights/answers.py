"""The owner's answers to what people ask with forms of the purpose `answer`: mailed, kept with the question, and closed.

Retention runs from the last answer, and from closing.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final, NamedTuple

import msgspec

from ..collect.visitor import day_of
from ..errors import PrivacyError, VaultError
from ..forms import ANSWER
from ..mail import is_mailable
from ..record import submissions
from ..record.submissions import Stored, new_id, open_sealed, seal_again
from ..statistics.response_times import COUNTED, step_of
from ..store import service_queries as queries
from ..store.base import Store
from ..vault import normalise_email
from . import audit, mails, outbox
from .office import Office
from .requests import OutOfTurn

HOUR: Final = 3_600_000
LONGEST_ANSWER: Final = 20_000


class Reply(NamedTuple):
    """One answer of the owner's."""

    made: int
    text: str

    def __repr__(self) -> str:
        """Without the text: it may end up in a log or a traceback."""
        return f"Reply({self.made})"


def queue(store: Store) -> list[Stored]:
    """Return the questions that are not closed, the oldest first; without those of people who asked to have them stored only."""
    found = [Stored(**row) for row in store.rows(queries.OPEN_QUESTIONS, purpose=ANSWER)]
    return [stored for stored in found if not submissions.is_restricted(store, stored)]


def send(office: Office, store: Store, stored: Stored, text: str, *, actor: str, now: int, close_it: bool = False) -> None:
    """Mail an answer to who asked, keep it with the question, and count how long it took; in a transaction of the caller's.

    Raises:
        PrivacyError: if there is nobody to write to, nothing to say, or it may not be used. VaultError: if it cannot be opened.
    """
    text = text.strip()
    if not text:
        raise PrivacyError("the answer is empty; write what the person is to read")
    if len(text) > LONGEST_ANSWER:
        raise PrivacyError(f"the answer is longer than {LONGEST_ANSWER} characters; shorten it")
    _check(store, stored)
    when, _ = submissions.read(store, office.vault(), stored)
    email = address_of(office, store, stored)
    if not is_mailable(email):
        raise PrivacyError("it says no e-mail address that could be written to: note it as answered, or close it")
    id_ = new_id()
    sealed = seal_again(store, office.vault(), stored.subject, msgspec.json.encode(text), _place(id_))
    store.execute(queries.ADD_REPLY, id=id_, submission=stored.id, made=now, sealed=sealed)
    outbox.add(
        store, office.vault(), mails.answer(office, mails.Reader(email, office.settings.language), text), now=now, person=stored.subject
    )
    _answered(office, store, stored, when, now=now)
    audit.note(store, now=now, actor=actor, action="answer", about=stored.id.hex(), subject=submissions.lookup_of(store, stored))
    if close_it:
        close(office, store, stored, actor=actor, now=now)


def note_answered(office: Office, store: Store, stored: Stored, *, now: int) -> None:
    """Note that something was answered elsewhere, such as by telephone, in a transaction of the caller's."""
    when = None
    if stored.answered is None:
        with suppress(VaultError):  # then it is not known how long it took
            when, _ = submissions.read(store, office.vault(), stored)
    _answered(office, store, stored, when, now=now)


def close(office: Office, store: Store, stored: Stored, *, actor: str, now: int) -> None:
    """Close a question, in a transaction of the caller's: from today on its retention runs.

    Raises:
        OutOfTurn: if it is closed.
    """
    if stored.closed is not None:
        raise OutOfTurn("it is closed already")
    _check(store, stored)
    store.execute(queries.CLOSE, id=stored.id, now=now, **_retention(office, stored, now))
    audit.note(store, now=now, actor=actor, action="close", about=stored.id.hex(), subject=submissions.lookup_of(store, stored))


def thread(office: Office, store: Store, stored: Stored) -> list[Reply]:
    """Return what was answered, in order.

    Raises:
        VaultError: if it cannot be opened.
    """
    found = store.rows(queries.REPLIES, submission=stored.id)
    return [
        Reply(
            row["made"], msgspec.json.decode(open_sealed(store, office.vault(), stored.subject, row["sealed"], _place(row["id"])), type=str)
        )
        for row in found
    ]


def address_of(office: Office, store: Store, stored: Stored) -> str:
    """Return the e-mail address of the person whose submission it is; "" if it is anonymous.

    Raises:
        VaultError: if it cannot be opened.
    """
    form = next((form for form in office.declaration.forms if form.name == stored.form), None)
    if form is None or not form.identity or submissions.lookup_of(store, stored) is None:
        return ""
    found = submissions.read(store, office.vault(), stored)[1].get(form.identity, [])
    return normalise_email(str(found[0])) if found else ""


def _check(store: Store, stored: Stored) -> None:
    if stored.purpose != ANSWER:
        raise PrivacyError(f"it was sent for the purpose {stored.purpose!r}, and not to be answered")
    if submissions.is_restricted(store, stored):
        raise PrivacyError("it may only be stored: so its person asked")


def _answered(office: Office, store: Store, stored: Stored, when: int | None, *, now: int) -> None:
    store.execute(queries.ANSWERED, id=stored.id, now=now, **_retention(office, stored, now))
    if stored.answered is None and when is not None:
        store.count({f"{COUNTED}{step_of(max(0, now - when) // HOUR)}": 1}, day=day_of(now, office.settings.zone))


def _retention(office: Office, stored: Stored, now: int) -> dict[str, int]:
    """Return from when its retention runs now, and the first day on which it is no longer kept. Of other purposes that does not change."""
    day = day_of(now, office.settings.zone)
    before = stored.day if stored.runs_from is None else stored.runs_from
    if stored.purpose != ANSWER:
        return {"day": before, "expires": stored.expires}
    return {"day": max(day, before), "expires": max(stored.expires, stored.expires - before + day)}


def _place(id_: bytes) -> str:
    return f"reply|{id_.hex()}|sealed"
