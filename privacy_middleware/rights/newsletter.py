"""Sends an issue of the newsletter to everybody who has agreed to get it: each once, however often it is broken off.

Before each mail it is noted that it is being sent. If the process ends in between, nobody knows whether that one went out: it is not
sent again by itself, and is counted as doubtful. It is at most one for each time that the sending was broken off.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final, NamedTuple

import msgspec

from ..errors import PrivacyError, VaultError
from ..forms import NEWSLETTER
from ..mail import Mail, NotNow, Smtp, Undeliverable, Unsure
from ..record.submissions import ids_like, new_id, root_key
from ..statement.own_words import as_mail, has_html
from ..store import service_queries as queries
from ..store.base import Store
from ..vault import blind_index, normalise_email, token_hash
from . import audit, consents, mails
from .answers import address_of
from .consents import Consent
from .office import Office, call

MINUTE: Final = 60_000
DAY: Final = 1440 * MINUTE
RETRY_MINUTES: Final = (5, 30, 120, 360)
LONGEST_TRY: Final = 3 * DAY
"""How long a mail is tried that a server puts off."""
HOPELESS: Final = 10 * DAY
"""After so long an issue ends, whoever is left: what is news in it is not any more."""
KEPT_DAYS: Final = 30
"""How long it stays noted who was sent an issue, after its end: so nobody gets it twice."""
MOST_BOUNCES: Final = 3
"""After so many issues in a row that an address refuses, it gets no more."""
LONGEST_TEXT: Final = 200_000

SENDING, SENT, LATER, DOUBTFUL = "sending", "sent", "later", "doubtful"
BOUNCED: Final = "refused"


class NoAddress(Undeliverable):
    """The sign-up says no address, as its form is declared now: that is not the person's fault."""


class Issue(NamedTuple):
    """One newsletter: its text is Markdown, and no secret."""

    id: bytes
    digest: bytes
    subject: str
    text: str
    begun: int
    ended: int | None
    sent: int
    refused: int
    doubtful: int


class Progress(NamedTuple):
    """How far an issue has come."""

    sent: int
    refused: int
    """Addresses that do not take it."""
    doubtful: int
    """Those of whom nobody knows whether they got it."""
    later: int
    """Those whose server asked to come again."""
    left: int


class Turn(NamedTuple):
    """What became of one go at sending."""

    fault: str
    """The kind of the error by which it was broken off, or ""."""
    due: int | None
    """When to go on, if some servers asked to come again."""


def read_issue(text: str, *, subject: str = "") -> tuple[str, str]:
    """Return subject and text of an issue in Markdown; its first heading is the subject, if none is given.

    Raises:
        PrivacyError: if there is no subject or text, or there is HTML in it.
    """
    text = text.strip()
    heading = re.match(r"#\s+(.+)", text)
    subject = " ".join((subject or (heading[1] if heading else "")).split()).strip("# ")
    if not subject:
        raise PrivacyError("the issue has no subject; begin its text with a heading, like `# News of spring`, or give --subject")
    if not text.partition("\n")[2 if heading else 0].strip():
        raise PrivacyError("the issue has no text below its heading; write one")
    if len(text) > LONGEST_TEXT:
        raise PrivacyError(f"the issue is longer than {LONGEST_TEXT} characters; shorten it")
    if has_html(text):
        raise PrivacyError("there is HTML in the issue; write it as Markdown")
    return subject, text


def begin(store: Store, *, subject: str, text: str, actor: str, now: int) -> Issue:
    """Begin an issue, in a transaction of the caller's; the same text again is the same issue, which goes on."""
    digest = hashlib.sha256(f"{subject}\n{text}".encode()).digest()
    found = store.rows(queries.ISSUE_BY_DIGEST, digest=digest)
    if found:
        return Issue(**found[0])
    id_ = new_id()
    store.execute(queries.ADD_ISSUE, id=id_, digest=digest, subject=subject, text=text, begun=now)
    audit.note(store, now=now, actor=actor, action="newsletter begun", about=id_.hex())
    return get(store, id_)


def get(store: Store, id_: bytes) -> Issue:
    """Return an issue that is there."""
    return Issue(**store.rows(queries.ISSUE, id=id_)[0])


def for_how_many(store: Store, *, now: int) -> int:
    """Return how many would get an issue that begins now."""
    return int(store.value(queries.FOR_HOW_MANY, purpose=NEWSLETTER, begun=now) or 0)


def issues(store: Store) -> list[Issue]:
    """Return all issues, the newest first."""
    return [Issue(**row) for row in store.rows(queries.ISSUES)]


def find(store: Store, prefix: str) -> Issue:
    """Return the issue whose identifier begins so.

    Raises:
        PrivacyError: if none does, or several.
    """
    first, last = ids_like(prefix).values()
    found = [one for one in issues(store) if first <= one.id <= last]
    if len(found) != 1:
        raise PrivacyError(f"no issue, or several, begin with {prefix!r}; see `privacy-middleware newsletter status`")
    return found[0]


def unfinished(store: Store) -> list[Issue]:
    """Return the issues that are not sent to everybody yet, the oldest first."""
    return [get(store, row["id"]) for row in store.rows(queries.ANY_ISSUE_OPEN)]


def progress(store: Store, issue: Issue) -> Progress:
    """Count how far an issue has come; of one that has ended, what was noted then."""
    if issue.ended is not None:
        return Progress(issue.sent, issue.refused, issue.doubtful, 0, 0)
    states = {row["state"]: int(row["amount"]) for row in store.rows(queries.DELIVERIES, issue=issue.id)}
    for_all = int(store.value(queries.FOR_HOW_MANY, purpose=NEWSLETTER, begun=issue.begun) or 0)
    doubtful = states.get(DOUBTFUL, 0) + states.get(SENDING, 0)
    left = max(0, for_all - sum(states.values()))
    return Progress(states.get(SENT, 0), states.get(BOUNCED, 0), doubtful, states.get(LATER, 0), left)


# --- sending ---------------------------------------------------------------------------------------------------------------


def send(office: Office, store: Store, issue: Issue, *, clock: Callable[[], int], may_send: Callable[[], bool] = lambda: True) -> Turn:
    """Send an issue to who did not get it yet, from wherever it was left. One process at a time may do so.

    `may_send` is asked before each mail: another process may have taken over, or this one is to end.
    """
    if issue.ended is not None:
        return Turn("", None)
    with store.transaction():  # what another process was just sending when it ended
        store.execute(queries.DOUBT, issue=issue.id)
    html, after, last = as_mail(issue.text), b"", None
    with _session(office) as send_one:
        while may_send():
            with store.transaction():
                _mark(store, issue, last, now=clock())
                last, consent = None, _claim(store, issue, after, now=clock())
            if consent is None:
                return Turn("", _end(store, issue, now=clock()))
            after = max(after, consent.id)
            last = consent, _attempt(office, store, issue, consent, html, send_one)
            fault = last[1]
            if fault is not None and not isinstance(fault, (Undeliverable, Unsure, NotNow, VaultError)):
                with store.transaction():
                    _mark(store, issue, last, now=clock())
                return Turn(type(fault).__name__, None)
    with store.transaction():
        _mark(store, issue, last, now=clock())
    return Turn("", None)


@contextmanager
def _session(office: Office) -> Iterator[Callable[[Mail], object]]:
    """Send over one connection where it is ours; what the host gives is called for each mail."""
    if office.send is None:
        raise PrivacyError("no mail can be sent from here: set PRIVACY_SMTP_URL, or let the running app send it")
    if isinstance(office.send, Smtp):
        with office.send.session() as send_one:
            yield send_one
    else:
        yield partial(call, office.send)


def _claim(store: Store, issue: Issue, after: bytes, *, now: int) -> Consent | None:
    """Note who is next, before anything is sent."""
    who = {"purpose": NEWSLETTER, "begun": issue.begun, "issue": issue.id}
    rows = store.rows(queries.NEXT_CONSENT, after=after, **who) or store.rows(queries.NEXT_AGAIN, now=now, **who)
    if not rows:
        return None
    consent = Consent(**rows[0])
    store.execute(queries.CLAIM, issue=issue.id, consent=consent.id, now=now)
    return consent


def _attempt(
    office: Office, store: Store, issue: Issue, consent: Consent, html: str, send_one: Callable[[Mail], object]
) -> Exception | None:
    """Send it to one person; returns what stood in the way."""
    try:
        stored = consents.stored_of(store, consent)
        email = address_of(office, store, stored) if stored else ""
        if not email:
            return NoAddress()
        who = mails.Reader(email, consents.wording(office, store, consent).language)
        mail = mails.issue(office, who, consents.link(office, store, consent), subject=issue.subject, text=issue.text, html=html)
        send_one(msgspec.structs.replace(mail, message_id=office.message_id(_message_id(office, store, issue, consent))))
    except Exception as error:  # whatever sends is the host's or the network's business
        return error
    return None


def _message_id(office: Office, store: Store, issue: Issue, consent: Consent) -> bytes:
    """The same each time: who gets it twice can tell. It says nothing of who it is."""
    return token_hash(root_key(store, office.vault()), "issue", issue.id.hex() + consent.id.hex())[:16]


def _mark(store: Store, issue: Issue, done: tuple[Consent, Exception | None] | None, *, now: int) -> None:
    """Note what became of a mail, in a transaction of the caller's."""
    if done is None:
        return
    consent, fault = done
    state, due = SENT, now
    if isinstance(fault, Unsure):
        state = DOUBTFUL
    elif isinstance(fault, Undeliverable):
        state = BOUNCED
    elif fault is not None:
        rows = store.rows(queries.DELIVERY, issue=issue.id, consent=consent.id)
        attempts = rows[0]["attempts"] if rows else 1
        state, due = LATER, now + RETRY_MINUTES[min(attempts - 1, len(RETRY_MINUTES) - 1)] * MINUTE
    store.execute(queries.SET_DELIVERY, issue=issue.id, consent=consent.id, state=state, due=due)
    bounced = state == BOUNCED and not isinstance(fault, NoAddress)
    if bounced or (state == SENT and consent.bounces):
        store.execute(queries.SET_BOUNCES, id=consent.id, bounces=consent.bounces + 1 if bounced else 0)


def _end(store: Store, issue: Issue, *, now: int) -> int | None:
    """End an issue if nothing is left to do; returns when to go on with it, if there is."""
    with store.transaction():
        if now - issue.begun > LONGEST_TRY:
            store.execute(queries.GIVE_UP, issue=issue.id)
        due = store.value(queries.LATER, issue=issue.id)
        if due is not None:
            return int(due)
        _note_end(store, issue, now=now)
    return None


def _note_end(store: Store, issue: Issue, *, now: int) -> None:
    done = progress(store, issue)
    counted = {"sent": done.sent, "refused": done.refused, "doubtful": done.doubtful}
    store.execute(queries.END_ISSUE, id=issue.id, now=now, **counted)


def end_bounced(office: Office, store: Store, *, now: int) -> int:
    """Take addresses off that have refused several issues in a row; returns how many."""
    ended = 0
    for row in store.rows(queries.BOUNCED, most=MOST_BOUNCES, purpose=NEWSLETTER):
        with store.transaction():
            found = store.rows(queries.CONSENT, id=row["id"])  # another process may have been faster
            if found and found[0]["withdrawn"] is None:
                consents.withdraw(office, store, Consent(**found[0]), actor=audit.SYSTEM, why="refused by the address", now=now)
                ended += 1
    return ended


def resend_doubtful(store: Store, issue: Issue, *, actor: str, now: int) -> int:
    """Have the doubtful ones sent again, knowing that some may get it twice, in a transaction of the caller's; returns how many."""
    again = store.execute(queries.AGAIN, issue=issue.id, now=now)
    if again:
        store.execute(queries.REOPEN_ISSUE, id=issue.id)
        audit.note(store, now=now, actor=actor, action="newsletter resent", about=f"{issue.id.hex()}: {again} doubtful")
    return again


def purge(store: Store, *, now: int) -> None:
    """End what could not be sent for too long, and forget who was sent what long ago, in a transaction of the caller's."""
    for issue in unfinished(store):
        if now - issue.begun >= HOPELESS:
            store.execute(queries.GIVE_UP, issue=issue.id)
            _note_end(store, issue, now=now)
    store.execute(queries.PURGE_DELIVERIES, before=now - KEPT_DAYS * DAY)


def remove(office: Office, store: Store, emails: list[str], *, why: str, actor: str, now: int) -> int:
    """Take addresses off the list that bounced or complained; returns how many of them were on it. Each is a short transaction."""
    removed = 0
    for text in emails:
        email = normalise_email(text)
        with store.transaction():
            rows = (
                store.rows(queries.OF_LOOKUP, lookup=blind_index(root_key(store, office.vault()), email), purpose=NEWSLETTER)
                if email
                else []
            )
            for row in rows:
                consents.withdraw(office, store, Consent(**row), actor=actor, why=why, now=now)
        removed += bool(rows)
    return removed
