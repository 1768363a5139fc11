"""Mails that wait to be sent: durable, each sealed under a key of its own, and gone once it is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from ..errors import VaultError
from ..mail import Mail, NotNow, Undeliverable, Unsure
from ..record.submissions import ids_like, new_id, open_sealed, seal_anew
from ..store import queries
from ..store.base import Store
from ..vault import Vault
from . import audit, mails
from .office import Office, call

MINUTE: Final = 60_000
CLAIM_MINUTES: Final = 20
UNSURE_MINUTES: Final = 60
RETRY_MINUTES: Final = (2, 5, 15, 30, 60, 120, 240, 480, 720)
"""Minutes to wait after each attempt that failed; after the last, as long again, until the mail is of no use any more."""
LIFE: Final = 7 * 24 * 60 * MINUTE
"""How long a mail is tried, unless it says something that is over before."""
MOST_A_TURN: Final = 50


class Waiting(NamedTuple):
    """A mail that waits, as it is stored."""

    id: bytes
    request: bytes | None
    subject: bytes
    kind: str
    due: int
    attempts: int
    unsure: int
    """1 if the connection broke off once when it was handed over."""
    sealed: bytes


def add(
    store: Store, vault: Vault, mail: Mail, *, now: int, request: bytes | None = None, person: bytes | None = None, life: int = LIFE
) -> None:
    """Queue a mail, in a transaction of the caller's. What is about no request names its person (their subject): so an erasure finds it."""
    id_ = new_id()
    subject, sealed = seal_anew(store, vault, msgspec.json.encode(mail), _place(id_))
    times = {"due": now, "expires": now + life}
    store.execute(queries.ADD_MAIL, id=id_, request=request, person=person, subject=subject, kind=mail.kind, sealed=sealed, **times)


def tell_owner(office: Office, store: Store, mail: Mail, *, now: int) -> None:
    """Queue a mail to the owner, if anybody is named, in a transaction of the caller's."""
    if mail.to:
        add(store, office.vault(), mail, now=now)


def read(store: Store, vault: Vault, waiting: Waiting) -> Mail:
    """Open a mail.

    Raises:
        VaultError: if it cannot be opened with the keys given.
    """
    data = open_sealed(store, vault, waiting.subject, waiting.sealed, _place(waiting.id))
    return msgspec.json.decode(data, type=Mail)


def find(store: Store, prefix: str = "") -> list[Waiting]:
    """Return the mails that wait, or those whose identifier begins so."""
    rows = store.rows(queries.MAILS_LIKE, **ids_like(prefix)) if prefix else store.rows(queries.MAILS)
    return [Waiting(**row) for row in rows]


def remove(store: Store, id_: bytes, subject: bytes) -> None:
    """Delete a mail with its key, in a transaction of the caller's."""
    store.execute(queries.DELETE_MAIL, id=id_)
    store.execute(queries.DELETE_SUBJECT, id=subject)


class Sent(NamedTuple):
    """What became of the mails that were due."""

    sent: int
    lost: int
    """Those that can never be delivered."""
    fault: str
    """The kind of the error by which sending broke off, or "" if it did not."""


def deliver(office: Office, store: Store, *, now: int, may_send: Callable[[], bool] = lambda: True) -> Sent:
    """Send what is due, one after another. If the server is away, the rest waits for the next turn.

    `may_send` is asked before each: another process may have taken over.
    """
    sent = lost = 0
    fault = ""
    for waiting in [Waiting(**row) for row in store.rows(queries.DUE_MAILS, now=now, most=MOST_A_TURN)] if office.send else ():
        # Before it is sent: should this process die in between, nobody sends it a second time at once.
        if not may_send() or not _claim(store, waiting, now=now):
            continue
        error = _attempt(office, store, waiting)
        if error is None:
            sent += 1
            with store.transaction():
                remove(store, waiting.id, waiting.subject)
        elif isinstance(error, Undeliverable) or (isinstance(error, Unsure) and waiting.unsure):
            lost += 1
            _lose(office, store, waiting, now=now)
        else:
            _put_off(store, waiting, now=now, unsure=isinstance(error, Unsure))
        if isinstance(error, VaultError):  # it is under another key, which may be given again
            fault = str(error)
        elif error is not None and not isinstance(error, (Undeliverable, Unsure, NotNow)):  # it would be the same for the others
            return Sent(sent, lost, type(error).__name__)
    return Sent(sent, lost, fault)


def _attempt(office: Office, store: Store, waiting: Waiting) -> Exception | None:
    """Send one mail; returns what stood in the way."""
    try:
        mail = read(store, office.vault(), waiting)
        if office.send is not None:
            call(office.send, msgspec.structs.replace(mail, message_id=office.message_id(waiting.id)))
    except Exception as error:  # whatever sends is the host's or the network's business
        return error
    return None


def _lose(office: Office, store: Store, waiting: Waiting, *, now: int) -> None:
    """Give a mail up. The owner is told, unless it is only a link that nobody used, or is for the owner."""
    with store.transaction():
        remove(store, waiting.id, waiting.subject)
        if waiting.kind in mails.TO_PERSON and waiting.kind not in mails.ONLY_LINKS:
            request = waiting.request.hex() if waiting.request else ""
            audit.note(store, now=now, actor=audit.SYSTEM, action="mail lost", about=f"{waiting.kind} {request}".strip())
            if office.owner:
                add(store, office.vault(), mails.lost(office, waiting.kind, waiting.request), now=now)


def drop_expired(office: Office, store: Store, *, now: int) -> int:
    """Delete mails that are of no use any more; returns how many."""
    expired = [Waiting(**row) for row in store.rows(queries.EXPIRED_MAILS, now=now)]
    for waiting in expired:
        _lose(office, store, waiting, now=now)
    return len(expired)


def _claim(store: Store, waiting: Waiting, *, now: int) -> bool:
    """Keep others from sending a mail for as long as that may take; False if another process was faster."""
    with store.transaction():
        return store.execute(queries.CLAIM_MAIL, id=waiting.id, attempts=waiting.attempts, due=now + CLAIM_MINUTES * MINUTE) > 0


def _put_off(store: Store, waiting: Waiting, *, now: int, unsure: bool) -> None:
    """Set the time of the next attempt; much later, if the last one may have been the one."""
    minutes = UNSURE_MINUTES if unsure else RETRY_MINUTES[min(waiting.attempts, len(RETRY_MINUTES) - 1)]
    with store.transaction():
        store.execute(queries.PUT_OFF_MAIL, id=waiting.id, due=now + minutes * MINUTE, unsure=int(unsure or waiting.unsure))


def _place(id_: bytes) -> str:
    return f"mail|{id_.hex()}|sealed"
