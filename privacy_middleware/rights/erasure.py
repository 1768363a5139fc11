"""Erases a person: their key, their rows everywhere, what the host's sources hold; counts what is left, and makes sure that it stays so.

Each step is stored when it is done: after a crash between any two, the erasure goes on where it was, and nothing is done twice.
"""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from ..collect.treatment import Kept as Value
from ..errors import PrivacyError, StoreError, VaultError
from ..record import submissions
from ..record.intake import absorb
from ..record.submissions import Stored, root_key
from ..sources import DataSource, Erased, Kept
from ..store import queries, service_queries
from ..store.base import Store
from ..vault import blind_index, normalise_email
from . import audit, consents, limits, mails, notices, outbox
from .office import Office, call, place_of
from .outbox import tell_owner
from .requests import Particulars, Request, close, detach, get, of_person, open_request, particulars

logger = logging.getLogger("privacy_middleware")
Outcome = Erased | Kept
MOST_ABSORBED: Final = 1000
LAST_INSTANT: Final = 2**62
SOURCES: Final = "sources"
"""The mark under which the app notes how many sources it has: the command line does not see them."""


class SourcesFailed(PrivacyError):
    """Some of the host's sources could not do their part; `names` says which. They are asked again."""

    def __init__(self, faults: dict[str, str]) -> None:
        self.names = list(faults)
        super().__init__("; ".join(f"the source {name!r} failed ({fault})" for name, fault in faults.items()))


class Held(NamedTuple):
    """What is held of a person, before it is erased."""

    submissions: dict[str, int]
    """How many, by form."""
    requests: int
    sources: list[str]
    """Who else is asked."""


def held(office: Office, store: Store, request: Request) -> Held:
    """Count what an erasure would take; the sources of the host are named, and not asked."""
    subject = submissions.subject_of(store, request.lookup) if request.lookup else None
    found = submissions.of_subject(store, subject) if subject else []
    others = [one for one in of_person(store, request.lookup) if one.id != request.id] if request.lookup else []
    titles = {form.name: form.title or form.name for form in office.declaration.forms}
    amounts = Counter(titles.get(stored.form, stored.form) for stored in found)
    return Held(dict(amounts), len(others), [source.name for source in office.sources])


def erase(office: Office, store: Store, request: Request, *, now: int) -> Request:
    """Do an erasure that is due, from wherever it was left.

    Raises:
        SourcesFailed: if a source of the host's failed; the others have done their part. StoreError: if something was left.
    """
    who = particulars(office, store, request)
    outcomes = _ask_sources(office, store, request, who.email, now=now)
    if who.again:  # what is ours, the replay has erased; what was sent since then stays
        with store.transaction():
            return _end(store, request, now=now)
    take_in_spool(office, store)
    write_tombstone(office, blind_index(root_key(store, office.vault()), who.email), now)
    with store.transaction():
        request = _erase_here(office, store, request, who, outcomes, now=now)
    store.checkpoint()
    return request


def _end(store: Store, request: Request, *, now: int) -> Request:
    """Close an erasure, and forget whose it was; its status page stays."""
    request = close(store, request, "fulfilled", actor=audit.SYSTEM, now=now)
    detach(store, request, keep_link="status")
    return get(store, request.id)


def _ask_sources(office: Office, store: Store, request: Request, email: str, *, now: int) -> dict[str, Outcome]:
    done = {row["source"]: _outcome(row["outcome"]) for row in store.rows(queries.STEPS, request=request.id)}
    faults = {}
    for source in office.sources:
        if source.name in done:
            continue
        try:
            done[source.name] = outcome = _ask(source, email)
        except Exception as error:  # the host's own code: whatever it is, the others are asked all the same
            faults[source.name] = type(error).__name__
            logger.error("the data source %r could not erase (%s); it is asked again", source.name, place_of(error))  # noqa: TRY400 - its text may hold values
            continue
        kept = outcome.reason if isinstance(outcome, Kept) else None
        with store.transaction():
            step = json.dumps({"amount": outcome.amount, "kept": kept})
            store.execute(queries.ADD_STEP, request=request.id, source=source.name, outcome=step, made=now, sealed=None)
            about = f"{source.name}: {outcome.amount} erased{', some kept' if kept else ''}"
            audit.note(store, now=now, actor=audit.SYSTEM, action="erase at source", about=about, subject=request.lookup)
    if faults:
        raise SourcesFailed(faults)
    return done


def _ask(source: DataSource, email: str) -> Outcome:
    outcome = call(source.erase, email)
    if not isinstance(outcome, (Erased, Kept)):
        raise TypeError("erase must return Erased(amount) or Kept(reason)")
    return outcome


def _outcome(step: str) -> Outcome:
    found = json.loads(step)
    return Erased(found["amount"]) if found["kept"] is None else Kept(found["kept"], found["amount"])


def take_in_spool(office: Office, store: Store) -> None:
    """Move what waits in the spool into the database: what is erased there must not follow later."""
    for _ in range(MOST_ABSORBED):
        if not absorb(store, office.spool, office.vault()):
            return


def _erase_here(office: Office, store: Store, request: Request, who: Particulars, outcomes: dict[str, Outcome], *, now: int) -> Request:
    """Erase in our own tables, and count what is left, in a transaction of the caller's."""
    request = get(store, request.id)
    if request.state != "confirmed" or request.lookup is None:
        return request  # another process was faster
    lookup, subject = request.lookup, submissions.subject_of(store, request.lookup)
    found = submissions.of_subject(store, subject) if subject else []
    others = [other for other in of_person(store, lookup) if other.id != request.id]
    told = _told_of_erasure(office, store, subject, now=now)
    _erase_subject(store, subject, found, now=now)
    for other in others:
        _end_other(store, other, now=now)
    limits.forget(store, root_key(store, office.vault()), who.email)
    store.execute(queries.ADD_TOMBSTONE, lookup=lookup, erased=now)
    _end(store, request, now=now)
    left = _left(store, lookup, subject, found, [request, *others])
    if left:
        raise StoreError(f"{left} rows were left after an erasure; nothing of it was done, and it is tried again")
    by_owner = to_be_told_by_owner(office)
    receipt = mails.receipt(office, who, submissions=len(found), outcomes=outcomes, told=[*by_owner, *told])
    outbox.add(store, office.vault(), receipt, now=now)
    if by_owner:
        tell_owner(office, store, mails.tell_recipients(office, "erasure", who, names=by_owner), now=now)
    return get(store, request.id)


def to_be_told_by_owner(office: Office) -> list[str]:
    """Return the names of recipients of which this software does not know whose data they got."""
    return [recipient.name for recipient in office.declaration.recipients if not recipient.fields]


def _told_of_erasure(office: Office, store: Store, subject: bytes | None, *, now: int, until: int | None = None) -> list[str]:
    """Queue the notices to those who got data of a person, and forget whose data that were, in a transaction of the caller's.

    With an instant, only of what they got up to it.
    """
    if subject is None:
        return []
    told = notices.tell(office, store, subject, "erasure", now=now, until=until)
    store.execute(service_queries.FORGET_WHO, subject=subject, until=LAST_INSTANT if until is None else until)
    return told


def _erase_subject(store: Store, subject: bytes | None, found: Sequence[Stored], *, now: int) -> None:
    """Delete what was agreed to, submissions with the hits that are tied to them, and destroy the key."""
    if subject is not None:
        consents.erase(store, subject)
        for row in store.rows(queries.MAILS_OF_PERSON, person=subject):
            outbox.remove(store, row["id"], row["subject"])
    _erase_submissions(store, found, now=now)
    if subject is not None:
        store.execute(queries.DELETE_SUBJECT, id=subject)


def _erase_submissions(store: Store, found: Sequence[Stored], *, now: int) -> None:
    for stored in found:
        submissions.delete(store, stored.id)
    tied = {(stored.day, stored.visitor) for stored in found if stored.visitor is not None}
    for day, visitor in tied:
        store.execute(queries.FORGET, day=day, visitor=visitor, until=now)
    for day in {day for day, _ in tied}:  # one look through a day's hits for all
        store.execute(queries.FORGET_HITS, day=day)


def _end_other(store: Store, other: Request, *, now: int) -> None:
    """Close another request of the same person, and forget whose it was."""
    if other.is_open:
        other = close(store, other, "withdrawn", actor=audit.SYSTEM, now=now)
    detach(store, other)


def _left(store: Store, lookup: bytes, subject: bytes | None, found: Sequence[Stored], asked: Sequence[Request]) -> int:
    """Count what is left of a person, by what was there before."""
    counts = [
        store.rows(queries.LEFT_OF_PERSON, lookup=lookup, subject=subject),
        *(store.rows(queries.LEFT_OF_SUBMISSION, id=one.id) for one in found),
        *(store.rows(queries.LEFT_OF_VISITS, day=day) for day in {one.day for one in found if one.visitor is not None}),
        *(store.rows(queries.LEFT_OF_REQUEST, request=one.id, subject=one.subject) for one in asked),
    ]
    return sum(rows[0]["amount"] for rows in counts)


# --- tombstones ------------------------------------------------------------------------------------------------------------


def write_tombstone(office: Office, lookup: bytes, erased: int) -> None:
    """Note an erasure in the file beside the database, on disk before it is done: a restored database does not know of it.

    Raises:
        OSError: if it cannot be written.
    """
    line = f"\n{lookup.hex()} {erased}\n"  # a line of its own, also where a crash has cut off the one before
    with os.fdopen(os.open(office.graves, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="ascii") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def tombstones(office: Office) -> dict[bytes, int]:
    """Return who was erased and when, by the file beside the database.

    Raises:
        StoreError: if it cannot be read.
    """
    try:
        lines = office.graves.read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise StoreError(f"{office.graves} cannot be read ({type(error).__name__}); mend it, or put the right one back") from None
    found: dict[bytes, int] = {}
    for line in lines:
        lookup, _, erased = line.partition(" ")
        with suppress(ValueError):  # the end of a line that a crash cut off: its erasure was not done then
            found[bytes.fromhex(lookup)] = max(int(erased), found.get(bytes.fromhex(lookup), 0))
    return found


def to_replay(office: Office, store: Store) -> dict[bytes, int]:
    """Return the erasures that this database does not know of: it was restored from before them."""
    known = {row["lookup"]: row["erased"] for row in store.rows(queries.TOMBSTONES)}
    return {lookup: erased for lookup, erased in tombstones(office).items() if known.get(lookup, 0) < erased}


class Replayed(NamedTuple):
    """How many people's data a replay has found and erased again, and how many submissions and requests that were."""

    people: int
    rows: int
    left_to_app: int
    """Erasures that were restored from just before they were done: the app does them again."""
    unknown: int
    """People whose address is not known any more: the host's sources cannot be asked again for them."""


def replay(office: Office, store: Store, *, actor: str, now: int) -> Replayed:
    """Erase again what a restored backup has brought back. What a person has sent since their erasure stays, if it was in a later hour."""
    take_in_spool(office, store)
    people = erased = left_to_app = unknown = 0
    for lookup, instant in to_replay(office, store).items():
        under_way = [one for one in of_person(store, lookup) if one.kind == "erasure" and one.acts is not None and one.is_open]
        for request in under_way:  # restored from just before it was done: the app does it, with all that belongs to it
            with store.transaction():
                store.execute(queries.SET_TRIES, id=request.id, tries=request.tries, acts=now)
                audit.note(store, now=now, actor=actor, action="erase again", about=f"request {request.id.hex()}", subject=lookup)
        if under_way:
            left_to_app += 1
            continue
        with store.transaction():
            amount, email = _erase_older(office, store, lookup, instant, now=now)
            for other in of_person(store, lookup):
                if other.created <= instant:
                    email = email or _email_of(office, store, other)
                    _end_other(store, other, now=now)
                    amount += 1
            store.execute(queries.ADD_TOMBSTONE, lookup=lookup, erased=instant)
            audit.note(store, now=now, actor=actor, action="erase again", about=f"{amount} rows", subject=lookup)
            unknown += not email
            if email and store.mark(SOURCES):
                _erase_at_sources_again(office, store, email, now=now)
        people += bool(amount)
        erased += amount
    store.checkpoint()
    return Replayed(people, erased, left_to_app, unknown)


def _erase_older(office: Office, store: Store, lookup: bytes, instant: int, *, now: int) -> tuple[int, str]:
    """Delete what a person had sent before an instant; returns how many submissions, and the address if one of them told it."""
    subject = submissions.subject_of(store, lookup)
    found = submissions.of_subject(store, subject) if subject else []
    older = [(stored, values) for stored, time, values in _opened(office, store, found) if time is None or time <= instant]
    if len(older) == len(found):
        _told_of_erasure(office, store, subject, now=now)
        _erase_subject(store, subject, found, now=instant)
    else:
        _told_of_erasure(office, store, subject, now=now, until=instant)
        consents.erase(store, subject or b"", until=instant)
        _erase_submissions(store, [stored for stored, _ in older], now=instant)
    texts = (str(value) for _, values in older for kept in values.values() for value in kept)
    root = root_key(store, office.vault())
    emails = (email for text in texts if (email := normalise_email(text)) and blind_index(root, email) == lookup)
    return len(older), next(emails, "")


def _opened(office: Office, store: Store, found: list[Stored]) -> Iterator[tuple[Stored, int | None, dict[str, list[Value]]]]:
    """Open submissions; of what cannot be opened the time is not known."""
    for stored in found:
        try:
            yield stored, *submissions.read(store, office.vault(), stored)
        except VaultError:
            yield stored, None, {}


def _email_of(office: Office, store: Store, request: Request) -> str:
    try:
        return particulars(office, store, request).email
    except VaultError:
        return ""


def _erase_at_sources_again(office: Office, store: Store, email: str, *, now: int) -> None:
    """The host's own data may have been restored, too: have the app's clerk ask its sources, without a mail to the person."""
    request = open_request(office, store, "erasure", Particulars(email=email, again=True), now=now)
    store.execute(
        queries.SET_STATE, id=request.id, before="received", state="confirmed", due=request.due, confirmed=now, acts=now, closed=None
    )
