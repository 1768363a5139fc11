"""Gives a recipient the declared fields of those who asked for its purpose, and nothing else; and notes it for each person.

Who asked: whoever agreed to it and did not withdraw, where the purpose rests on consent; else whoever sent an accepted form for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any, Final, NamedTuple

from ..collect.treatment import Kept
from ..collect.visitor import date_of, day_of
from ..declaration import Recipient
from ..errors import PrivacyError
from ..forms import NEWSLETTER, Form
from ..record import submissions
from ..record.submissions import Stored, new_id
from ..statement.authorities import ADEQUATE, EEA
from ..store import service_queries as queries
from ..store.base import Store
from ..webhook import NotAccepted, NotSent, post
from . import audit, consents
from .office import Office

BY_CONSENT: Final = (NEWSLETTER,)
"""Purposes for which somebody must have agreed behind a link."""
MOST_A_MESSAGE: Final = 100
LAST_DAY: Final = 2**31
FILE, WEBHOOK, REFUSED = "file", "webhook", "webhook (not accepted)"


class Person(NamedTuple):
    """What a recipient gets of one person: an entry that it can be told of later, and the declared fields."""

    entry: bytes
    subject: bytes
    fields: dict[str, list[Kept]]

    def __repr__(self) -> str:
        """Without values: it may end up in a log or a traceback."""
        return f"Person({self.entry.hex()!r})"

    @property
    def row(self) -> dict[str, Any]:
        """What goes out."""
        return {"entry": self.entry.hex(), "fields": self.fields}


def recipient_of(office: Office, name: str, purpose: str, *, today: date) -> Recipient:
    """Return the declared recipient of a name, if data may be given to it for a purpose today.

    Raises:
        PrivacyError: naming what stands in the way, and the remedy.
    """
    declared = office.declaration.recipients
    found = next((one for one in declared if name.lower() in (one.name.lower(), one.slug)), None)
    if found is None:
        known = ", ".join(repr(one.name) for one in declared) or "none"
        raise PrivacyError(f"there is no recipient {name!r}; declared in privacy.toml are: {known}")
    for problem in _problems(found, purpose, today):
        raise PrivacyError(f"nothing is given to {found.name!r}: {problem}")
    return found


def _problems(one: Recipient, purpose: str, today: date) -> Iterator[str]:
    if purpose != one.purpose:
        yield f"it is declared for the purpose {one.purpose!r}, not for {purpose!r}; people gave nothing for that"
    if not one.fields or one.undertaking is None:
        yield "it has no fields; declare which it gets, and its undertaking of confidentiality"
    elif one.undertaking.date > today:
        yield f"its undertaking of confidentiality ({one.undertaking.reference}) begins on {one.undertaking.date} only"
    elif one.undertaking.expires is not None and one.undertaking.expires < today:
        yield (
            f"its undertaking of confidentiality ({one.undertaking.reference}) expired on {one.undertaking.expires}; renew it, and "
            "write the new one into privacy.toml"
        )
    if one.country not in EEA and one.country not in ADEQUATE and not one.safeguard:
        yield (
            f"it is in {one.country!r}, and nothing says what protects the data there (GDPR art. 44 to 49); declare safeguard, or write "
            "the country as a code, like DK"
        )


def people(office: Office, store: Store, recipient: Recipient, *, today: int, everybody: bool = False) -> list[Person]:
    """Open what a recipient may get: of each person one entry, of several forms the newest counts. `today` is the owner's day.

    Left out is whose data it got before, unless `everybody`; who had them restricted, or objected; and who gave no address, since nobody
    could tell them.

    Raises:
        VaultError: if something cannot be opened.
    """
    rows = store.rows(queries.GOT_ALREADY, recipient=recipient.name, purpose=recipient.purpose, refused=REFUSED)
    got = {row["subject"] for row in rows} if not everybody else set()
    forms = {form.name: form for form in office.declaration.forms if form.purpose == recipient.purpose}
    found: dict[bytes, dict[str, list[Kept]]] = {}
    for stored in _asked(store, recipient.purpose, today):
        if stored.form not in forms or stored.subject in got or not _may_be_given(store, stored):
            continue
        values = _declared(forms[stored.form], submissions.read(store, office.vault(), stored)[1], recipient)
        if values:
            found[stored.subject] = values | found.get(stored.subject, {})
    return [Person(new_id(), subject, values) for subject, values in found.items()]


def _asked(store: Store, purpose: str, today: int) -> list[Stored]:
    """Return what was sent for a purpose, the newest first."""
    everything = submissions.find(store, first=0, last=LAST_DAY, purpose=purpose)
    there = [stored for stored in reversed(everything) if stored.outcome == "accepted"]
    if purpose not in BY_CONSENT:
        return [stored for stored in there if stored.expires > today]
    return [s for s in there if any(c.is_in_force and c.submission == s.id for c in consents.of_subject(store, s.subject))]


def _may_be_given(store: Store, stored: Stored) -> bool:
    return submissions.lookup_of(store, stored) is not None and not submissions.is_restricted(store, stored)


def _declared(form: Form, values: dict[str, list[Kept]], recipient: Recipient) -> dict[str, list[Kept]]:
    return {name: values[name] for name in recipient.fields if name in form.fields and name in values}


def note(office: Office, store: Store, recipient: Recipient, found: Sequence[Person], *, way: str, actor: str, now: int) -> bytes:
    """Note for each person who gets what, in a transaction of the caller's, before it is given; returns the number of the batch."""
    batch = new_id()
    for one in found:
        store.execute(
            queries.ADD_DISCLOSURE, id=one.entry, subject=one.subject, recipient=recipient.name, purpose=recipient.purpose,
            fields=json.dumps(list(one.fields)), way=way, made=now, batch=batch, statement=office.digest(),
        )  # fmt: skip
    about = f"{recipient.name}, {recipient.purpose}: {len(found)} people, {way}"
    audit.note(store, now=now, actor=actor, action="disclose", about=about)
    return batch


def take_back(store: Store, batch: bytes) -> None:
    """Forget a batch of which nothing left this machine, in a transaction of the caller's."""
    store.execute(queries.TAKE_BACK, batch=batch)


def send(office: Office, store: Store, recipient: Recipient, found: Sequence[Person], *, actor: str, now: int) -> Iterator[int]:
    """Send entries to a recipient's webhook, some at a time, each noted before it goes; yields how many each message held.

    Raises:
        PrivacyError: if one could not be sent, or was not accepted. What was accepted before stays so; what was sent stays noted.
    """
    hook = office.hook(recipient)
    for start in range(0, len(found), MOST_A_MESSAGE):
        some = found[start : start + MOST_A_MESSAGE]
        with store.transaction():
            batch = note(office, store, recipient, some, way=WEBHOOK, actor=actor, now=now)
        data = {"purpose": recipient.purpose, "entries": [one.row for one in some]}
        try:
            post(hook, {"type": "disclosure", "timestamp": now, "data": data}, id_=batch.hex(), timestamp=now // 1000)
        except NotSent as error:
            with store.transaction():
                take_back(store, batch)
            raise PrivacyError(f"{recipient.name} got nothing of the last {len(some)}: {error}") from None
        except NotAccepted as error:  # it may have them all the same: the overviews say so
            with store.transaction():
                store.execute(queries.SET_WAY, batch=batch, way=REFUSED)
            raise PrivacyError(f"{recipient.name} did not say that it took the last {len(some)}: {error}; run this again later") from None
        yield len(some)


def rows_of(office: Office, store: Store, subject: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    """Return who got what of a person, for an overview: when (epoch milliseconds), and the rest."""
    declared = {one.name: one for one in office.declaration.recipients}
    for row in store.rows(queries.DISCLOSURES_OF, subject=subject):
        recipient = declared.get(row["recipient"])
        yield (
            row["made"],
            {
                "recipient": row["recipient"],
                "country": recipient.country if recipient else "",
                "purpose": row["purpose"],
                "what": ", ".join(_labels(office, row["purpose"], json.loads(row["fields"]))),
                "statement": row["statement"].hex(),
            },
        )


def record(office: Office, store: Store) -> list[tuple[str, str, int, date, date]]:
    """Return who got data for what, of how many entries, first and last: for the record of processing (GDPR art. 30(1)(d))."""
    zone = office.settings.zone
    return [
        (row["recipient"], row["purpose"], row["amount"], date_of(day_of(row["first"], zone)), date_of(day_of(row["last"], zone)))
        for row in store.rows(queries.DISCLOSED)
    ]


def _labels(office: Office, purpose: str, names: Sequence[str]) -> list[str]:
    labels = {name: field.label for form in office.declaration.forms if form.purpose == purpose for name, field in form.fields.items()}
    return [labels.get(name) or name for name in names]
