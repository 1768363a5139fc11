"""Tells those who got data of a person that it was erased, corrected, withdrawn or restricted, until they say that they know (art. 19).

A notice names the entry that a disclosure gave them, and nobody: what is erased here is not kept for the sake of telling.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final, Literal

import msgspec

from ..collect.treatment import Kept
from ..collect.visitor import date_of, day_of
from ..declaration import Recipient
from ..errors import PrivacyError, StoreError
from ..forms import AUDIT_DAYS
from ..record.submissions import new_id, open_sealed, seal_again
from ..store import queries as common_queries
from ..store import service_queries as queries
from ..store.base import Store
from ..webhook import NotAccepted, NotSent, post
from . import audit, mails
from .office import Office
from .outbox import tell_owner

Kind = Literal["erasure", "correction", "withdrawal", "restriction", "end of restriction"]
MINUTE: Final = 60_000
DAY: Final = 1440 * MINUTE
RETRY_MINUTES: Final = (1, 5, 15, 60, 240, 1440)
REMIND_DAYS: Final = 7
"""How often the owner is asked to pass on what has no webhook."""
COMPLAIN_AFTER: Final = 5
"""Failed attempts after which the owner is told."""
MOST_A_TURN: Final = 50
AWAY: Final = "it did not take another notice just now"


def tell(
    office: Office,
    store: Store,
    subject: bytes,
    kind: Kind,
    *,
    now: int,
    purpose: str = "",
    changes: Mapping[tuple[str, str], list[Kept]] | None = None,
    until: int | None = None,
) -> list[str]:
    """Queue a notice for each entry of a person that somebody got, in a transaction of the caller's; returns the names of who is told.

    With a purpose, only for what was given for that; with changes (new values by purpose and name of the field), only for who got these;
    with an instant, only for what was given up to it.
    """
    told = []
    for row in store.rows(queries.DISCLOSURES_OF, subject=subject):
        fields = json.loads(row["fields"])
        new = {name: changes[row["purpose"], name] for name in fields if (row["purpose"], name) in changes} if changes else {}
        if (purpose and row["purpose"] != purpose) or (changes is not None and not new) or (until is not None and row["made"] > until):
            continue
        id_ = new_id()
        sealed = seal_again(store, office.vault(), subject, msgspec.json.encode(new), _place(id_)) if new else None
        if kind == "erasure":
            store.execute(queries.CALL_OFF, disclosure=row["id"], kind=kind)
        store.execute(queries.ADD_NOTICE, id=id_, disclosure=row["id"], recipient=row["recipient"], kind=kind, made=now, sealed=sealed)
        told.append(row["recipient"])
    return list(dict.fromkeys(told))


def deliver(office: Office, store: Store, *, now: int, may_go: Callable[[], bool] = lambda: True) -> None:
    """Send what is due by webhook, and ask the owner to pass on what has none; what fails is tried again, for as long as it takes.

    After one failure the rest of a recipient waits for the next turn, so that others need not wait for it.
    """
    declared = {one.name: one for one in office.declaration.recipients}
    away: set[str] = set()
    for row in store.rows(queries.NOTICES_DUE, now=now, most=MOST_A_TURN):
        if not may_go():
            return
        recipient = declared.get(row["recipient"])
        if recipient is None or not recipient.webhook:
            _ask_owner(office, store, row, now=now)
        elif recipient.name in away:
            _put_off(office, store, row, AWAY, now=now)
        elif not _send(office, store, recipient, row, now=now):
            away.add(recipient.name)


def received(store: Store, id_: bytes, *, proof: str, actor: str, now: int) -> bool:
    """Note that a recipient knows, in a transaction of the caller's; False if that was noted before."""
    if not store.execute(queries.RECEIVED, id=id_, now=now, proof=proof):
        return False
    audit.note(store, now=now, actor=actor, action="notice received", about=id_.hex())
    return True


def find_one(store: Store, prefix: Mapping[str, bytes]) -> bytes | None:
    """Return the notice that waits and whose identifier begins so (see `ids_like`), if there is just one."""
    rows = store.rows(queries.NOTICES_LIKE, **prefix)
    return rows[0]["id"] if len(rows) == 1 else None


def opened(
    office: Office, store: Store, prefix: Mapping[str, bytes], *, actor: str, now: int
) -> tuple[dict[str, Any], dict[str, list[Kept]]] | None:
    """Open the notice that waits and whose identifier begins so, which is noted; None if there is none, or several."""
    id_ = find_one(store, prefix)
    if id_ is None:
        return None
    row = store.rows(queries.NOTICE, id=id_)[0]
    with store.transaction():
        audit.note(store, now=now, actor=actor, action="show notice", about=id_.hex())
    return row, _opened(office, store, row)


def listed(store: Store) -> list[dict[str, Any]]:
    """Return all notices, those that wait first."""
    return store.rows(queries.NOTICES)


def purge(store: Store, *, now: int) -> None:
    """Delete disclosures, with their notices, of which nothing need be told any more, in a transaction of the caller's."""
    amounts = [store.execute(query, before=now - AUDIT_DAYS * DAY) for query in queries.PURGE_DISCLOSURES]
    if any(amounts):
        store.execute(common_queries.PURGE_SUBJECTS)


def _send(office: Office, store: Store, recipient: Recipient, row: Mapping[str, Any], *, now: int) -> bool:
    """Send a notice; False if that failed. New values go only to who may still get them."""
    today = date_of(day_of(now, office.settings.zone))
    try:
        fields = _opened(office, store, row) if is_bound(recipient, today) else {}
        new = {name: values for name, values in fields.items() if name in recipient.fields}
        message = {"type": row["kind"], "timestamp": row["made"], "data": {"entry": row["disclosure"].hex(), "fields": new}}
        proof = post(office.hook(recipient), message, id_=row["id"].hex(), timestamp=now // 1000)
    except (NotSent, NotAccepted, PrivacyError) as error:
        if isinstance(error, StoreError):
            raise
        _put_off(office, store, row, str(error), now=now)
        return False
    with store.transaction():
        received(store, row["id"], proof=proof, actor=audit.SYSTEM, now=now)
    return True


def is_bound(recipient: Recipient, today: date) -> bool:
    """Tell whether a recipient's undertaking of confidentiality holds today."""
    undertaking = recipient.undertaking
    if undertaking is None or undertaking.date > today:
        return False
    return undertaking.expires is None or undertaking.expires >= today


def _opened(office: Office, store: Store, row: Mapping[str, Any]) -> dict[str, list[Kept]]:
    if row["sealed"] is None or row["subject"] is None:
        return {}
    data = open_sealed(store, office.vault(), row["subject"], row["sealed"], _place(row["id"]))
    return msgspec.json.decode(data, type=dict[str, list[Kept]])


def _put_off(office: Office, store: Store, row: Mapping[str, Any], fault: str, *, now: int) -> None:
    minutes = RETRY_MINUTES[min(row["attempts"], len(RETRY_MINUTES) - 1)]
    with store.transaction():
        store.execute(queries.PUT_OFF_NOTICE, id=row["id"], due=now + minutes * MINUTE)
        if row["attempts"] + 1 == COMPLAIN_AFTER:
            tell_owner(office, store, mails.not_told(office, row["recipient"], row["kind"], row["id"], fault=fault), now=now)


def _ask_owner(office: Office, store: Store, row: Mapping[str, Any], *, now: int) -> None:
    with store.transaction():
        store.execute(queries.PUT_OFF_NOTICE, id=row["id"], due=now + REMIND_DAYS * DAY)
        mail = mails.pass_on(office, row["recipient"], row["kind"], row["id"], entry=row["disclosure"].hex())
        tell_owner(office, store, mail, now=now)


def _place(id_: bytes) -> str:
    return f"notice|{id_.hex()}|sealed"
