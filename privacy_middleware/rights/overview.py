"""Gathers all that is held of a person: on demand, from the vault, and from the host's own sources."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, tzinfo
from datetime import time as time_of_day
from pathlib import Path
from typing import Any, Final

import msgspec

from ..collect.hit import KINDS
from ..collect.treatment import Kept
from ..collect.visitor import date_of
from ..forms import Form
from ..language import N_
from ..record import submissions
from ..record.submissions import Stored
from ..sources import DataSource, Record
from ..statement.facts import Facts
from ..statement.versions import facts_by_name
from ..store import queries
from ..store.base import Store
from . import answers, audit, consents, disclosures
from .erasure import take_in_spool
from .office import Office, call, place_of
from .requests import Particulars, Request, of_person, particulars

logger = logging.getLogger("privacy_middleware")
Row = dict[str, Any]

_DEEDS: Final = {
    "show": N_("we opened what you sent"),
    "export": N_("we opened what you sent, with that of others (export)"),
    "answer": N_("we answered it, or noted that it is answered"),
    "close": N_("we noted that it is done with"),
    "consent withdrawn": N_("we ended a consent"),
    "show request": N_("we opened your request"),
    "show mail": N_("we opened a mail to you"),
    "link by hand": N_("we made a link for you"),
    "request approved": N_("we approved your request"),
    "request refused": N_("we refused your request"),
    "request extended": N_("we took more time for your request"),
    "request lifted": N_("we ended a restriction"),
}
"""What the audit log calls a deed of the owner's, in words for the person."""
_WORDS: Final = (
    N_("overview"), N_("correction"), N_("erasure"), N_("restriction"), N_("objection"), N_("complaint"),
    N_("received"), N_("awaiting confirmation"), N_("confirmed"), N_("in review"), N_("fulfilled"), N_("refused"), N_("withdrawn"),
    N_("expired"),
    N_("download"), N_("api"), N_("asset"), N_("error"), N_("redirect"), N_("part"), N_("other"),
    N_("accepted"), N_("invalid"), N_("failed"), N_("statistics"), N_("answer"), N_("newsletter"), N_("personalised content"),
    N_("questionnaire"),
)  # fmt: skip
"""What can stand in rows, for the catalogues: pages show it in the reader's language."""
VISIT_GAP: Final = 30 * 60_000
MOST_STORED: Final = 8_388_608
SLOW_SECONDS: Final = 2.0
"""What a source exports is kept (sealed, for 72 hours) if it took longer, so that nobody waits for it twice."""


class Part(msgspec.Struct, frozen=True):
    """One kind of thing that is held: its name for programs, its title for people, and its rows."""

    name: str
    title: str
    rows: tuple[Row, ...]
    as_of: str = ""
    """When it was asked of a source, if that was before."""

    def __repr__(self) -> str:
        """Without values: it may end up in a log or a traceback."""
        return f"Part({self.name!r}, {len(self.rows)} rows)"

    @property
    def heading(self) -> str:
        """Return the title, with the time if it was asked before, for programs."""
        return f"{self.title}, as of {self.as_of}" if self.as_of else self.title


class Overview(msgspec.Struct, frozen=True):
    """All that is held of a person, as it is now."""

    email: str
    made: str
    parts: tuple[Part, ...]
    missing: tuple[str, ...] = ()
    """Sources of the host that could not be read just now."""
    facts: dict[str, Facts] = {}
    """What earlier versions of the statement said, by the names of those under which something was sent or asked."""

    def __repr__(self) -> str:
        """Without values."""
        return f"Overview({len(self.parts)} parts)"

    @property
    def counts(self) -> dict[str, int]:
        """How much there is of each kind, by its title."""
        return {part.heading: len(part.rows) for part in self.parts}


def gather(office: Office, store: Store, request: Request, *, now: int) -> Overview:
    """Return everything that is held of the person who made a request, and note that it was looked at.

    Raises:
        VaultError: if it cannot be opened.
    """
    who = particulars(office, store, request)
    take_in_spool(office, store)
    parts = list(_own_parts(office, store, request))
    exported, missing = _from_sources(office, store, request, who, now=now)
    with store.transaction():
        audit.note(store, now=now, actor=audit.PERSON, action="overview", about=f"request {request.id.hex()}", subject=request.lookup)
    made = _instant(now, office.settings.zone)
    named = {str(row["statement"])[:8] for part in parts for row in part.rows if row.get("statement")}
    facts = facts_by_name(store, named)
    return Overview(who.email, made, tuple(part for part in (*parts, *exported) if part.rows), tuple(missing), facts)


def _own_parts(office: Office, store: Store, request: Request) -> list[Part]:
    zone, lookup = office.settings.zone, request.lookup
    if lookup is None:
        return []
    subject = submissions.subject_of(store, lookup)
    found = submissions.of_subject(store, subject) if subject else []
    opened = [(stored, *submissions.read(store, office.vault(), stored)) for stored in found]
    sent = [_submission_row(office, stored, when, values) | _answers(office, store, stored) for stored, when, values in opened]
    agreed = list(consents.rows_of(office, store, subject, lambda instant: _instant(instant, zone))) if subject else []
    given = [{"time": _instant(made, zone), **row} for made, row in disclosures.rows_of(office, store, subject)] if subject else []
    visits = [row for stored, when, _ in opened for row in _visit_rows(store, stored, when, zone)]
    asked = [_request_row(one, zone) for one in of_person(store, lookup)]
    named = [stored.id.hex() for stored in found] or [lookup.hex()]
    accesses = {row["id"]: row for name in named for row in store.rows(queries.AUDITED_OF, subject=lookup, named=name)}
    ours = [row for _, row in sorted(accesses.items()) if row["actor"] not in (audit.SYSTEM, audit.PERSON)]
    seen = [{"time": _instant(row["time"], zone), "what": _DEEDS.get(row["action"], row["action"])} for row in ours]
    return [
        Part("submissions", N_("What you sent with forms"), tuple(sent)),
        Part("permissions", N_("What you gave permission for"), (*agreed, *_permissions(sent, agreed))),
        Part("disclosures", N_("Who got data of you from us"), tuple(given)),
        Part("visits", N_("Visits tied to what you sent"), tuple(visits)),
        Part("requests", N_("Your requests and objections"), tuple(asked)),
        Part("accesses", N_("When one of us opened, changed or decided on them"), tuple(seen)),
    ]


def _submission_row(office: Office, stored: Stored, when: int | None, values: Mapping[str, list[Kept]]) -> Row:
    declaration, zone = office.declaration, office.settings.zone
    form = next((form for form in declaration.forms if form.name == stored.form), None)
    purpose = declaration.all_purposes.get(stored.purpose)
    basis = form.legal_basis if form and form.legal_basis else purpose.legal_basis if purpose else ""
    received = {"received": _instant(when, zone)} if when is not None else {}
    return {
        "id": stored.id.hex(),
        "form": form.title or form.name if form else stored.form,
        "date": str(date_of(stored.day)),
        **received,
        "purpose": stored.purpose,
        "legal_basis": basis,
        "outcome": stored.outcome,
        "kept_until": str(date_of(stored.expires - 1)),
        "answered": _instant(stored.answered, zone) if stored.answered is not None else "",
        "statement": stored.statement.hex(),
        "fields": dict(_labelled(form, values)),
    }


def _labelled(form: Form | None, values: Mapping[str, list[Kept]]) -> Iterator[tuple[str, list[Kept]]]:
    """Name each field as the statement does; where two have the same label, with its name."""
    labels = {name: form.fields[name].label or name if form and name in form.fields else name for name in values}
    for name, kept in values.items():
        is_shared = list(labels.values()).count(labels[name]) > 1
        yield f"{labels[name]} ({name})" if is_shared else labels[name], kept


def _permissions(sent: Sequence[Row], agreed: Sequence[Row]) -> list[Row]:
    """What was sent on the basis of consent (GDPR art. 6(1)(a)): when, for what, and under which version of the statement.

    Where the consent is kept by itself, that tells more.
    """
    told = {row["purpose"] for row in agreed}
    return [
        {"date": row["date"], "purpose": row["purpose"], "form": row["form"], "words": "", "given": "", "withdrawn": "",
         "statement": row["statement"]}
        for row in sent
        if "consent" in row["legal_basis"].lower() and row["purpose"] not in told
    ]  # fmt: skip


def _answers(office: Office, store: Store, stored: Stored) -> Row:
    """Return what we answered, if we did."""
    found = answers.thread(office, store, stored)
    return {"answers": [f"{_instant(one.made, office.settings.zone)}: {one.text}" for one in found]} if found else {}


def _visit_rows(store: Store, stored: Stored, when: int | None, zone: tzinfo) -> list[Row]:
    """Return the one visit in which it was sent: others under the same number may be somebody else's at the same computer."""
    if stored.visitor is None or when is None:
        return []
    rows = store.rows(queries.VISIT_OF, day=stored.day, visitor=stored.visitor)
    visit: list[Row] = []
    for row in rows:
        if visit and row["time"] - visit[-1]["time"] > VISIT_GAP:
            if visit[0]["time"] - VISIT_GAP <= when <= visit[-1]["time"] + VISIT_GAP:
                break
            visit = []
        visit.append(row)
    if not visit or not visit[0]["time"] - VISIT_GAP <= when <= visit[-1]["time"] + VISIT_GAP:
        return []
    return [{"time": _instant(row["time"], zone), "page": row["path"], "kind": KINDS[row["kind"]]} for row in visit]


def _request_row(request: Request, zone: tzinfo) -> Row:
    return {
        "id": request.id.hex(),
        "kind": request.kind,
        "state": request.state.replace("_", " "),
        "received": _instant(request.created, zone),
        "confirmed": _instant(request.confirmed, zone) if request.confirmed else "",
        "closed": _instant(request.closed, zone) if request.closed else "",
        "statement": request.statement.hex(),
    }


def _instant(instant: int, zone: tzinfo) -> str:
    return datetime.fromtimestamp(instant / 1000, zone).isoformat(timespec="seconds")


# --- the host's sources ----------------------------------------------------------------------------------------------------


def _from_sources(office: Office, store: Store, request: Request, who: Particulars, *, now: int) -> tuple[list[Part], list[str]]:
    parts, missing = [], []
    steps = {row["source"]: row for row in store.rows(queries.STEPS, request=request.id)}
    for number, source in enumerate(office.sources, 1):
        try:
            step = steps.get(source.name)
            rows = _stored_export(office, store, request, step) if step else _export(office, store, request, source, who, now=now)
        except Exception as error:  # the host's own code: the others are asked all the same
            logger.error("the data source %r could not be read (%s)", source.name, place_of(error))  # noqa: TRY400 - its text may hold values
            missing.append(source.name)
            continue
        as_of = _instant(step["made"], office.settings.zone)[:16].replace("T", ", ") if step else ""
        parts.append(Part(f"source_{number}", source.name, tuple(rows), as_of))
    return parts, missing


def _export(office: Office, store: Store, request: Request, source: DataSource, who: Particulars, *, now: int) -> list[Row]:
    begun = time.monotonic()
    rows = [_plain_row(row) for row in call(source.export, who.email)]
    has_files = any(isinstance(value, (bytes, Path)) for row in rows for value in row.values())
    if time.monotonic() - begun > SLOW_SECONDS and request.subject is not None and not has_files:
        data, place = msgspec.msgpack.encode(rows), _place(request, source.name)
        if len(data) > MOST_STORED:
            return rows
        sealed = submissions.seal_again(store, office.vault(), request.subject, data, place)
        with store.transaction():
            store.execute(queries.ADD_STEP, request=request.id, source=source.name, outcome="exported", made=now, sealed=sealed)
    return rows


def _plain_row(row: Record) -> Row:
    return {str(_plain(name)): _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    """Return what JSON, CSV and pages can show of a host's value; files stay as they are."""
    if value is None or isinstance(value, (bool, int, float, bytes, Path)):
        return value
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, Mapping):
        return _plain_row(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(one) for one in value]
    text = value.isoformat() if isinstance(value, (date, time_of_day)) else str(value)
    return text.encode("utf-8", "backslashreplace").decode()


def _stored_export(office: Office, store: Store, request: Request, step: Mapping[str, Any]) -> list[Row]:
    place = _place(request, step["source"])
    data = submissions.open_sealed(store, office.vault(), request.subject or b"", step["sealed"], place)
    return msgspec.msgpack.decode(data, type=list[Row])


def _place(request: Request, source: str) -> str:
    return f"step|{request.id.hex()}|{source}"
