"""Corrects what a person has sent: which values can be edited, what was changed, and how it is taken over everywhere."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

import msgspec

from ..collect.form import LONGEST_VALUE
from ..collect.treatment import Kept, in_words, treat
from ..collect.visitor import date_of, day_of
from ..forms import Field, Form
from ..language import N_
from ..record import submissions
from ..record.submissions import Stored, find_one
from ..sources import Change
from ..store import queries
from ..store.base import Store
from . import audit, mails, notices, outbox
from .erasure import SourcesFailed, take_in_spool, to_be_told_by_owner
from .office import Office, call, place_of
from .outbox import tell_owner
from .requests import Edit, Particulars, Request, close, get, particulars, seal, without_values

logger = logging.getLogger("privacy_middleware")
EDITABLE: Final = ("keep", "redact", "choice", "bucket", "domain", "region")
SHORT_VALUE: Final = 60


class Value(msgspec.Struct, frozen=True):
    """One value as the page shows it: with a name for its input, if it can be edited."""

    name: str
    label: str
    text: str
    kept: Kept = ""
    choices: tuple[str, ...] = ()
    is_long: bool = False
    hint: str = ""
    """What to write, where something else is kept than what is written."""

    def __repr__(self) -> str:
        """Without the value: it may end up in a log or a traceback."""
        return f"Value({self.label!r})"


class Sheet(msgspec.Struct, frozen=True):
    """The values of one submission."""

    title: str
    date: str
    values: tuple[Value, ...]


class Wrong(msgspec.Struct, frozen=True):
    """What the person sent: the edits, and the inputs that nothing could be made of."""

    edits: tuple[Edit, ...]
    faults: dict[str, str]


def sheets(office: Office, store: Store, request: Request) -> list[Sheet]:
    """Return what can be corrected, for the page.

    Raises:
        VaultError: if it cannot be opened.
    """
    take_in_spool(office, store)
    found = []
    for stored, form, values in _opened(office, store, request):
        shown = [_value(stored, form, name, number, value) for name, kept in values.items() for number, value in enumerate(kept)]
        found.append(Sheet(form.title or form.name if form else stored.form, str(date_of(stored.day)), tuple(shown)))
    return found


def read_edits(office: Office, store: Store, request: Request, sent: Mapping[str, str], *, now: int) -> Wrong:
    """Compare what was sent with what is kept. A new value goes the same way as a sent one: its treatment says what is kept of it.

    Raises:
        VaultError: if it cannot be opened.
    """
    today = date_of(day_of(now, office.settings.zone))
    edits, faults = [], {}
    for stored, form, values in _opened(office, store, request):
        for name, kept in values.items():
            for number, old in enumerate(kept):
                key = _key(stored, name, number)
                field = form.fields.get(name) if form else None
                text = _lines(sent.get(key, ""))
                if key not in sent or not form or not field or not _is_editable(field, old) or text == _lines(str(old)):
                    continue
                new = _treated(form, name, text, today=today)
                if new is None:
                    faults[key] = N_("This cannot be kept as it is written here.")
                elif new != old:
                    edits.append(Edit(stored.id, stored.form, name, number, old, new, field.correction == "auto"))
    return Wrong(tuple(edits), faults)


def apply(office: Office, store: Store, request: Request, *, now: int) -> Request:
    """Do a correction that is due, from wherever it was left: tell the host's sources, then change what we keep.

    Raises:
        SourcesFailed: if a source of the host's failed; the others have done their part.
    """
    who = particulars(office, store, request)
    _tell_sources(office, store, request, who, now=now)
    with store.transaction():
        request = get(store, request.id)
        if request.state != "confirmed":
            return request  # another process was faster
        for edit in who.edits:
            _change(office, store, edit)
        store.execute(queries.FORGET_EXPORTS, lookup=request.lookup)  # what sources said before
        by_owner, told = to_be_told_by_owner(office), _told_of_correction(office, store, request, who, now=now)
        mail = mails.fulfilled(office, request, who, told=[*by_owner, *told])
        outbox.add(store, office.vault(), mail, now=now, request=request.id)
        if by_owner:
            tell_owner(office, store, mails.tell_recipients(office, "correction", who, names=by_owner), now=now)
        seal(office, store, request, without_values(who))
        return close(store, request, "fulfilled", actor=audit.SYSTEM, now=now)


def _told_of_correction(office: Office, store: Store, request: Request, who: Particulars, *, now: int) -> list[str]:
    """Queue the new values for those who got the old ones, in a transaction of the caller's; returns their names.

    Each purpose has its own values: what is corrected for one is not told to who serves another.
    """
    subject = submissions.subject_of(store, request.lookup) if request.lookup else None
    if subject is None:
        return []
    edited = {edit.submission for edit in who.edits}
    fields = {(edit.submission, edit.field) for edit in who.edits}
    sent = submissions.of_subject(store, subject)
    touched = {(stored.purpose, name) for stored in sent if stored.id in edited for id_, name in fields if id_ == stored.id}
    new: dict[tuple[str, str], list[Kept]] = {}
    for stored in sent if touched else ():  # the newest last: that is what they have
        values = submissions.read(store, office.vault(), stored)[1] if stored.outcome == "accepted" else {}
        new |= {(stored.purpose, name): kept for name, kept in values.items() if (stored.purpose, name) in touched}
    return notices.tell(office, store, subject, "correction", now=now, changes=new) if new else []


def _tell_sources(office: Office, store: Store, request: Request, who: Particulars, *, now: int) -> None:
    done = {row["source"] for row in store.rows(queries.STEPS, request=request.id)}
    changes = [Change(edit.form, edit.field, edit.old, edit.new) for edit in who.edits]
    faults = {}
    for source in office.sources:
        if source.name in done or not changes:
            continue
        try:
            call(source.correct, who.email, changes)
        except Exception as error:  # the host's own code: the others are asked all the same
            faults[source.name] = type(error).__name__
            logger.error("the data source %r could not correct (%s); it is asked again", source.name, place_of(error))  # noqa: TRY400 - its text may hold values
            continue
        with store.transaction():
            step = json.dumps({"changes": len(changes)})
            store.execute(queries.ADD_STEP, request=request.id, source=source.name, outcome=step, made=now, sealed=None)
            audit.note(store, now=now, actor=audit.SYSTEM, action="correction told to source", about=source.name, subject=request.lookup)
    if faults:
        raise SourcesFailed(faults)


def _change(office: Office, store: Store, edit: Edit) -> None:
    """Put the new value in the place of the old one, if that is still there."""
    stored = find_one(store, edit.submission.hex())
    if stored is None:
        return
    _, values = submissions.read(store, office.vault(), stored)
    kept = values.get(edit.field, [])
    if edit.number < len(kept) and kept[edit.number] == edit.old:
        kept[edit.number] = edit.new
        submissions.change_field(store, office.vault(), stored, name=edit.field, values=kept)


def _opened(office: Office, store: Store, request: Request) -> list[tuple[Stored, Form | None, dict[str, list[Kept]]]]:
    subject = submissions.subject_of(store, request.lookup) if request.lookup else None
    forms = {form.name: form for form in office.declaration.forms}
    found: Sequence[Stored] = submissions.of_subject(store, subject) if subject else []
    return [(stored, forms.get(stored.form), submissions.read(store, office.vault(), stored)[1]) for stored in found]


def _value(stored: Stored, form: Form | None, name: str, number: int, kept: Kept) -> Value:
    field = form.fields.get(name) if form else None
    label = field.label if field and field.label else name
    if field is None or not _is_editable(field, kept):
        return Value("", label, in_words(kept), kept)
    text = _lines(str(kept))
    choices = field.choices if not field.choices or text in field.choices else (text, *field.choices)
    is_long = len(text) > SHORT_VALUE or "\n" in text or field.treatment == "redact"
    return Value(_key(stored, name, number), label, text, kept, choices, is_long, _hint(field))


def _hint(field: Field) -> str:
    if field.treatment == "bucket":
        return N_("Write a date, like 2026-05-31.") if field.unit else N_("Write a number; only the range that it is in is kept.")
    return {"domain": N_("Write an e-mail address."), "region": N_("Write a postcode.")}.get(field.treatment, "")


def _lines(text: str) -> str:
    """Write a text as it comes back from a page that shows it: browsers change line ends."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def _is_editable(field: Field, kept: Kept) -> bool:
    """The address itself cannot be edited: whose the new one is would have to be proven first."""
    return isinstance(kept, str) and field.treatment in EDITABLE and not field.identity


def _treated(form: Form, name: str, text: str, *, today: date) -> Kept | None:
    if len(text) > LONGEST_VALUE:
        return None
    if not text and form.fields[name].treatment in ("keep", "redact"):
        return ""
    kept, _ = treat(form, {name: [text]}, today=today, keyed_hash=_no_hash)
    return kept[name][0] if kept.get(name) else None


def _no_hash(_: str, __: str) -> str:
    raise AssertionError("fields that are hashed cannot be edited")


def _key(stored: Stored, name: str, number: int) -> str:
    return f"{stored.id.hex()}.{number}.{name}"
