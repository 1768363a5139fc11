"""Gives a recipient the declared fields of those who asked for its purpose, and nothing else; and notes it for each person.

Who asked: whoever agreed to it and did not withdraw, where the purpose rests on consent; else whoever sent an accepted form for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
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
    """Open what a recipient may get today, as `asked` and `opened` have it; `today` is the owner's day.

    Raises:
        VaultError: if something cannot be opened.
    """
    return opened(office, store, recipient, asked(store, recipient, today=today, everybody=everybody), today=today)


def asked(store: Store, recipient: Recipient, *, today: int, everybody: bool = False) -> list[bytes]:
    """Return who asked for a recipient's purpose (their subjects), without opening anything.

    Left out is whose data it got before, unless `everybody`; who had them restricted, or objected; and who gave no address, since nobody
    could tell them.
    """
    rows = store.rows(queries.GOT_ALREADY, recipient=recipient.name, purpose=recipient.purpose, refused=REFUSED)
    got = {row["subject"] for row in rows} if not everybody else set()
    everything = submissions.find(store, first=0, last=LAST_DAY, purpose=recipient.purpose)
    there = dict.fromkeys(stored.subject for stored in everything if stored.subject not in got)
    return [subject for subject in there if _given_for(store, subject, recipient.purpose, today)]


def opened(office: Office, store: Store, recipient: Recipient, subjects: Sequence[bytes], *, today: int) -> list[Person]:
    """Open what a recipient may get of these people now: of each one entry; of several forms the newest counts.

    Raises:
        VaultError: if something cannot be opened.
    """
    forms = {form.name: form for form in office.declaration.forms if form.purpose == recipient.purpose}
    found = []
    for subject in subjects:
        values: dict[str, list[Kept]] = {}
        for stored in _given_for(store, subject, recipient.purpose, today):
            if stored.form in forms:
                values = _declared(forms[stored.form], submissions.read(store, office.vault(), stored)[1], recipient.fields) | values
        if values:
            found.append(Person(new_id(), subject, values))
    return found


def _given_for(store: Store, subject: bytes, purpose: str, today: int) -> list[Stored]:
    """Return what a person has sent for a purpose, and may be used for it now, the newest first."""
    found = [stored for stored in submissions.of_subject(store, subject) if stored.purpose == purpose and stored.outcome == "accepted"]
    found = [stored for stored in reversed(found) if _may_be_given(store, stored)]
    if purpose not in BY_CONSENT:
        return [stored for stored in found if stored.expires > today]
    agreed = {consent.submission for consent in consents.of_subject(store, subject) if consent.is_in_force}
    return [stored for stored in found if stored.id in agreed]


def _may_be_given(store: Store, stored: Stored) -> bool:
    return submissions.lookup_of(store, stored) is not None and not submissions.is_restricted(store, stored)


def _declared(form: Form, values: dict[str, list[Kept]], fields: Sequence[str]) -> dict[str, list[Kept]]:
    return {name: values[name] for name in fields if name in form.fields and name in values}


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
    for query in queries.TAKE_BACK:
        store.execute(query, batch=batch)


def send(
    office: Office, store: Store, recipient: Recipient, subjects: Sequence[bytes], *, actor: str, clock: Callable[[], int]
) -> Iterator[int]:
    """Send entries to a recipient's webhook, some at a time; yields how many each message held.

    Each is opened, and noted, just before it goes: who was erased, or took something back, meanwhile is not in it. `clock` gives epoch
    milliseconds.

    Raises:
        PrivacyError: if one could not be sent, or was not accepted. What was accepted before stays so; what was sent stays noted.
    """
    hook = office.hook(recipient)
    for start in range(0, len(subjects), MOST_A_MESSAGE):
        now = clock()
        with store.transaction():
            today = day_of(now, office.settings.zone)
            some = opened(office, store, recipient, subjects[start : start + MOST_A_MESSAGE], today=today)
            if not some:
                continue
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
