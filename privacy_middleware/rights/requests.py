"""Data requests and their states: taken, proven, decided, closed. What is asked for is done by the modules beside this one.

    received → awaiting_confirmation → confirmed → (in_review) → fulfilled | refused | withdrawn | expired

Each change is one transaction with its mail and its entry in the audit log.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final, Literal, NamedTuple

import msgspec

from ..errors import PrivacyError, VaultError
from ..record import submissions
from ..record.submissions import ids_like, new_id, root_key
from ..settings import REQUEST_DAYS
from ..store import queries
from ..store.base import Store
from ..vault import blind_index
from . import audit, links, mails, notices, outbox
from .deadlines import confirm_by, due
from .office import Office

Kind = Literal["overview", "correction", "erasure", "restriction", "objection", "complaint"]
State = Literal["received", "awaiting_confirmation", "confirmed", "in_review", "fulfilled", "refused", "withdrawn", "expired"]
OPEN: Final = ("received", "awaiting_confirmation", "confirmed", "in_review")
HOUR: Final = 3_600_000
DAY: Final = 24 * HOUR
UNPROVEN_DAYS: Final = 30
"""How long kind and dates are kept of a request that nobody has proven to be theirs."""
LONGEST_TEXT: Final = 4000


class OutOfTurn(PrivacyError):
    """A request is in a state in which this cannot be done to it (any more)."""


class Edit(msgspec.Struct, frozen=True):
    """One value of a submission that a person has corrected."""

    submission: bytes
    form: str
    field: str
    number: int
    """Which of the field's values."""
    old: Any
    new: Any
    auto: bool = False
    """True if the declaration lets it be taken over without review."""

    def __repr__(self) -> str:
        """Without values."""
        return f"Edit({self.form!r}, {self.field!r})"


class Particulars(msgspec.Struct, frozen=True):
    """What is sealed of a request: who asks, and what was written."""

    email: str
    language: str = "en"
    text: str = ""
    """What the person wrote."""
    answer: str = ""
    """What the owner wrote: the reason of a refusal or extension, the answer to a question."""
    edits: tuple[Edit, ...] = ()
    again: bool = False
    """True if it was made by a replay: the person is not written to."""

    def __repr__(self) -> str:
        """Without any of it: it may end up in a log or a traceback."""
        return "Particulars()"


class Request(NamedTuple):
    """A request as it is stored."""

    id: bytes
    kind: Kind
    state: State
    lookup: bytes | None
    subject: bytes | None
    created: int
    due: int
    confirmed: int | None
    acts: int | None
    closed: int | None
    extended: int
    reminded: int
    tries: int
    statement: bytes
    sealed: bytes | None

    @property
    def is_open(self) -> bool:
        """True until it is answered, called off, or lapsed."""
        return self.state in OPEN


def open_request(office: Office, store: Store, kind: Kind, who: Particulars, *, now: int) -> Request:
    """Take a request, in a transaction of the caller's. Nothing of what is kept is looked at: it is the same work for everybody."""
    id_, root = new_id(), root_key(store, office.vault())
    subject, sealed = submissions.seal_anew(store, office.vault(), msgspec.json.encode(who), _place(id_))
    store.execute(
        queries.ADD_REQUEST,
        id=id_,
        kind=kind,
        state="received",
        lookup=blind_index(root, who.email),
        subject=subject,
        created=now,
        due=confirm_by(office.settings.deadlines, now, zone=office.settings.zone),
        statement=office.digest(),
        sealed=sealed,
    )
    request = get(store, id_)
    _note(store, request, "received", actor=audit.PERSON, now=now)
    return request


def ask_for_proof(office: Office, store: Store, request: Request, who: Particulars, *, now: int) -> str:
    """Queue the mail with the one-time link, in a transaction of the caller's; returns the link."""
    link = office.link("confirm", make_proof(office, store, request, now=now))
    mail = mails.confirm(office, request.kind, who, link)
    outbox.add(store, office.vault(), mail, now=now, request=request.id, life=links.LIFE["confirm"])
    return link


def make_proof(office: Office, store: Store, request: Request, *, now: int) -> str:
    """Return the id of a new one-time link, in a transaction of the caller's; the request waits for it."""
    if request.state == "received":
        _set_state(store, request, "awaiting_confirmation", actor=audit.SYSTEM, now=now)
    return links.make(store, root_key(store, office.vault()), request.id, "confirm", now=now)


def confirm(office: Office, store: Store, request: Request, *, now: int) -> Request:
    """Note that the person is who they say, in a transaction of the caller's, and go on to what follows.

    Only now does a request count as one: if there is one like it under way, this one is called off.
    """
    if request.state not in ("received", "awaiting_confirmation"):
        return request
    until = due(office.settings.deadlines, request.created, zone=office.settings.zone)
    request = _set_state(store, request, "confirmed", actor=audit.PERSON, now=now, confirmed=now, due=until)
    if _is_duplicate(store, request, now=now):
        return close(store, request, "withdrawn", actor=audit.SYSTEM, now=now)
    who = particulars(office, store, request)
    if request.kind == "complaint" or (request.kind in office.settings.review and request.kind != "correction"):
        request = _set_state(store, request, "in_review", actor=audit.SYSTEM, now=now)
        outbox.tell_owner(office, store, mails.to_review(office, request.kind, request.id), now=now)
        _mail(office, store, request, mails.received(office, request, who, status_link(office, store, request, now=now)), now=now)
        return request
    return carry_out(office, store, request, who, actor=audit.SYSTEM, now=now)


def _is_duplicate(store: Store, request: Request, *, now: int) -> bool:
    """Tell whether one like it is under way. A correction that waits for its person gives way: they may have lost its link."""
    others = [get(store, row["id"]) for row in store.rows(queries.DO_DUPLICATE, lookup=request.lookup, kind=request.kind, id=request.id)]
    for other in others:
        if request.kind == "correction" and other.state == "confirmed" and other.acts is None:
            close(store, other, "withdrawn", actor=audit.SYSTEM, now=now)
    return request.kind != "complaint" and any(get(store, other.id).is_open for other in others)


def carry_out(office: Office, store: Store, request: Request, who: Particulars, *, actor: str, now: int) -> Request:
    """Begin what was asked for and is not to be reviewed (any more), in a transaction of the caller's."""
    if request.kind == "erasure":
        acts = now + office.settings.erasure_delay * HOUR
        request = _set_state(store, request, "confirmed", actor=actor, now=now, acts=acts)
        if acts > now:
            _mail(office, store, request, mails.received(office, request, who, status_link(office, store, request, now=now)), now=now)
        return request
    if request.kind == "correction":
        if who.edits or who.text:
            return _set_state(store, request, "confirmed", actor=actor, now=now, acts=now)
        _mail_link(office, store, request, who, "correct", now=now)
        return request
    if request.kind in ("restriction", "objection"):  # it holds for what they send later, too
        submissions.ensure_subject(store, office.vault(), who.email)
    if request.kind == "restriction":
        store.execute(queries.RESTRICT, lookup=request.lookup, since=now)
    if request.kind == "objection":
        store.execute(queries.OBJECT, lookup=request.lookup, since=now)
    if request.kind == "overview":
        _mail_link(office, store, request, who, "overview", now=now)
    else:
        _mail(office, store, request, mails.fulfilled(office, request, who), now=now)
    if request.kind in ("restriction", "objection"):
        outbox.tell_owner(office, store, mails.mind(office, request.kind, request.id), now=now)
        _tell_recipients(office, store, request, "restriction", now=now)
    return close(store, request, "fulfilled", actor=actor, now=now)


def review_edits(office: Office, store: Store, request: Request, who: Particulars, *, now: int) -> Request:
    """Take what the person has corrected, in a transaction of the caller's: to be done at once, or to be reviewed.

    Raises:
        OutOfTurn: if the request does not wait for that.
    """
    if request.kind != "correction" or request.state != "confirmed" or request.acts is not None:
        raise OutOfTurn("this request does not wait for corrections (any more)")
    seal(office, store, request, who)
    _note(store, request, f"edited {len(who.edits)}", actor=audit.PERSON, now=now)
    if not who.text and ("correction" not in office.settings.review or all(edit.auto for edit in who.edits)):
        return _set_state(store, request, "confirmed", actor=audit.SYSTEM, now=now, acts=now)
    request = _set_state(store, request, "in_review", actor=audit.SYSTEM, now=now)
    outbox.tell_owner(office, store, mails.to_review(office, request.kind, request.id), now=now)
    _mail(office, store, request, mails.received(office, request, who, status_link(office, store, request, now=now)), now=now)
    return request


# --- what the owner decides ------------------------------------------------------------------------------------------------


def approve(office: Office, store: Store, request: Request, *, actor: str, answer: str = "", now: int) -> Request:
    """Have a reviewed request done, in a transaction of the caller's.

    Raises:
        PrivacyError: if it does not wait for that. Who it is must have been proven: an owner's yes does not take the place of that.
    """
    if request.state in ("received", "awaiting_confirmation"):
        raise PrivacyError("nobody has proven yet that the address is theirs; send the link again with `privacy-middleware requests link`")
    _must_be(request, "in_review")
    who = msgspec.structs.replace(particulars(office, store, request), answer=answer)
    if request.kind == "overview" and not office.settings.base_url:
        raise PrivacyError("the link to the overview needs the site's public address: set PRIVACY_BASE_URL for this command, too")
    if (request.kind == "complaint" or who.text) and not answer:
        raise PrivacyError("the person wrote something, which must be answered: write a message (--message)")
    seal(office, store, request, who)
    _note(store, request, "approved", actor=actor, now=now)
    return carry_out(office, store, request, who, actor=actor, now=now)


def refuse(office: Office, store: Store, request: Request, *, actor: str, reason: str, now: int) -> Request:
    """Refuse a request (GDPR art. 12(4)), in a transaction of the caller's; the person is told why, and where to complain.

    Raises:
        OutOfTurn: if it is closed, or is just being done.
    """
    _must_be(request, *OPEN)
    _must_not_have_begun(request, now=now)
    who = particulars(office, store, request)
    if request.confirmed is not None:  # else nobody knows whose address it is
        _mail(office, store, request, mails.refused(office, request, who, reason), now=now)
    seal(office, store, request, without_values(msgspec.structs.replace(who, answer=reason)))
    return close(store, request, "refused", actor=actor, now=now)


def extend(office: Office, store: Store, request: Request, *, actor: str, reason: str, now: int) -> Request:
    """Take the longer period (GDPR art. 12(3)), in a transaction of the caller's; the person is told why.

    Raises:
        OutOfTurn: if the first period is over, or was extended before.
    """
    _must_be(request, "confirmed", "in_review")
    if request.extended:
        raise OutOfTurn("it was extended before; the law allows that once")
    if now > request.due:
        raise OutOfTurn("the first period is over; an extension must be told within it. Answer the request now")
    later = due(office.settings.deadlines, request.created, zone=office.settings.zone, extended=True)
    store.execute(queries.SET_DUE, id=request.id, due=later)
    request = get(store, request.id)
    who = msgspec.structs.replace(particulars(office, store, request), answer=reason)
    seal(office, store, request, who)
    _note(store, request, "extended", actor=actor, now=now)
    _mail(office, store, request, mails.extended(office, request, who, reason), now=now)
    return get(store, request.id)


def withdraw(office: Office, store: Store, request: Request, *, now: int) -> Request:
    """Call a request off, as its person asks, in a transaction of the caller's.

    Raises:
        OutOfTurn: if it is closed, or is just being done.
    """
    _must_be(request, *OPEN)
    _must_not_have_begun(request, now=now)
    with suppress(VaultError):  # its key is lost: it can be called off all the same
        seal(office, store, request, without_values(particulars(office, store, request)))
    return close(store, request, "withdrawn", actor=audit.PERSON, now=now)


def lift(office: Office, store: Store, request: Request, *, actor: str, now: int) -> None:
    """End a restriction, in a transaction of the caller's; the person is told (GDPR art. 18(3)).

    Raises:
        OutOfTurn: if it restricts nothing.
    """
    query = {"restriction": queries.LIFT_RESTRICTION, "objection": queries.LIFT_OBJECTION}.get(request.kind)
    if query is None or request.lookup is None or not store.execute(query, lookup=request.lookup, since=request.closed):
        raise OutOfTurn("only a restriction or objection that is in force can be lifted")
    _note(store, request, "lifted", actor=actor, now=now)
    _mail(office, store, request, mails.lifted(office, request, particulars(office, store, request)), now=now)
    outbox.tell_owner(office, store, mails.mind(office, request.kind, request.id, lifted=True), now=now)
    _tell_recipients(office, store, request, "end of restriction", now=now)


def _tell_recipients(office: Office, store: Store, request: Request, kind: notices.Kind, *, now: int) -> None:
    """Those who got data of the person must not use them either (GDPR art. 19)."""
    subject = submissions.subject_of(store, request.lookup) if request.lookup else None
    if subject is not None:
        notices.tell(office, store, subject, kind, now=now)


# --- the end ---------------------------------------------------------------------------------------------------------------


def close(store: Store, request: Request, state: State, *, actor: str, now: int) -> Request:
    """Close a request, in a transaction of the caller's. One that nobody has proven to be theirs leaves nothing of an address behind."""
    request = _set_state(store, request, state, actor=actor, now=now, acts=None, closed=now)
    if state != "fulfilled":
        store.execute(queries.DELETE_LINKS, request=request.id, but="status")
    if request.confirmed is None:
        detach(store, request)
    return request


def lapse(store: Store, *, now: int) -> int:
    """Close what nobody has confirmed in time, or gone on with; returns how many."""
    with store.transaction():
        late = store.rows(queries.UNPROVEN, now=now)
        late += store.rows(queries.UNEDITED, before=now - links.LIFE["correct"])
        for row in late:
            close(store, get(store, row["id"]), "expired", actor=audit.SYSTEM, now=now)
    return len(late)


def purge(store: Store, *, now: int) -> int:
    """Delete what was closed long ago, and links that lead nowhere; returns how many requests."""
    with store.transaction():
        old = store.rows(queries.LONG_CLOSED, closed=now - REQUEST_DAYS * DAY, unproven=now - UNPROVEN_DAYS * DAY)
        for row in old:
            detach(store, get(store, row["id"]))
            store.execute(queries.DELETE_REQUEST, id=row["id"])
        store.execute(queries.PURGE_LINKS, now=now)
        store.execute(queries.PURGE_STEPS, before=now - links.LIFE["overview"])
    return len(old)


def detach(store: Store, request: Request, *, keep_link: links.Purpose | None = None) -> None:
    """Forget whose a request was, in a transaction of the caller's: address, text, links, mails, key. Kind, state and dates stay."""
    for row in store.rows(queries.MAILS_OF, request=request.id):
        outbox.remove(store, row["id"], row["subject"])
    store.execute(queries.DELETE_LINKS, request=request.id, but=keep_link or "")
    store.execute(queries.DELETE_STEPS, request=request.id)
    store.execute(queries.DETACH, id=request.id)
    if request.subject is not None:
        store.execute(queries.DELETE_SUBJECT, id=request.subject)


# --- what is stored --------------------------------------------------------------------------------------------------------


def get(store: Store, id_: bytes) -> Request:
    """Return a request that is there."""
    return Request(**store.rows(queries.REQUEST, id=id_)[0])


def find_one(store: Store, prefix: str) -> Request | None:
    """Return the request whose identifier begins so, if there is just one."""
    rows = store.rows(queries.REQUESTS_LIKE, **ids_like(prefix))
    return Request(**rows[0]) if len(rows) == 1 else None


def find_all(store: Store) -> list[Request]:
    """Return all requests, the oldest first."""
    return [Request(**row) for row in store.rows(queries.REQUESTS)]


def of_person(store: Store, lookup: bytes) -> list[Request]:
    """Return the requests of the person whom a blind index stands for."""
    return [Request(**row) for row in store.rows(queries.REQUESTS_OF, lookup=lookup)]


def particulars(office: Office, store: Store, request: Request) -> Particulars:
    """Open what is sealed of a request.

    Raises:
        VaultError: if it cannot be opened, or is forgotten.
    """
    if request.subject is None or request.sealed is None:
        raise VaultError("whose request this was is forgotten")
    data = submissions.open_sealed(store, office.vault(), request.subject, request.sealed, _place(request.id))
    return msgspec.json.decode(data, type=Particulars)


def seal(office: Office, store: Store, request: Request, who: Particulars) -> None:
    """Put other particulars in the place of a request's, in a transaction of the caller's."""
    if request.subject is not None:
        sealed = submissions.seal_again(store, office.vault(), request.subject, msgspec.json.encode(who), _place(request.id))
        store.execute(queries.SET_SEALED, id=request.id, sealed=sealed)


def without_values(who: Particulars) -> Particulars:
    """Leave out old and new values: a closed correction must not keep them for longer than the form does."""
    return msgspec.structs.replace(who, edits=tuple(msgspec.structs.replace(edit, old=None, new=None) for edit in who.edits))


def ask_instead(office: Office, store: Store, request: Request, kind: Kind, *, now: int) -> None:
    """Take a request of another kind in the place of an unproven one, in a transaction of the caller's; its link goes to the same address.

    Whoever made the first one may have been somebody else, who so keeps the person from asking for what they want.
    """
    who = msgspec.structs.replace(particulars(office, store, request), text="")
    close(store, request, "withdrawn", actor=audit.PERSON, now=now)
    other = open_request(office, store, kind, who, now=now)
    if office.can_ask:
        ask_for_proof(office, store, other, who, now=now)


def is_in_force(store: Store, request: Request) -> bool:
    """Tell whether a restriction or objection still holds."""
    return bool(store.rows(queries.IN_FORCE, lookup=request.lookup, closed=request.closed))


def close_unreadable(office: Office, store: Store, *, actor: str, now: int) -> int:
    """Close open requests whose key is lost for ever, in a transaction of the caller's; returns how many."""
    lost = [request for request in find_all(store) if request.is_open and not _is_readable(office, store, request)]
    for request in lost:
        detach(store, close(store, request, "expired", actor=actor, now=now))
    return len(lost)


def _is_readable(office: Office, store: Store, request: Request) -> bool:
    try:
        particulars(office, store, request)
    except VaultError:
        return False
    return True


def make_link(office: Office, store: Store, request: Request, purpose: links.Purpose, *, now: int) -> str:
    """Return a new link of a request for a mail, in a transaction of the caller's; "" without a base URL."""
    if not office.settings.base_url:
        return ""
    return office.link(purpose, links.make(store, root_key(store, office.vault()), request.id, purpose, now=now))


def status_link(office: Office, store: Store, request: Request, *, now: int) -> str:
    """Return a new link to what has become of a request."""
    return make_link(office, store, request, "status", now=now)


def _mail(office: Office, store: Store, request: Request, mail: Any, *, now: int, life: int = outbox.LIFE) -> None:
    outbox.add(store, office.vault(), mail, now=now, request=request.id, life=life)


def _mail_link(
    office: Office, store: Store, request: Request, who: Particulars, purpose: Literal["overview", "correct"], *, now: int
) -> None:
    """Queue the mail that leads to somebody's data. Without a base URL there is none: then they stand at the page already."""
    link = make_link(office, store, request, purpose, now=now)
    if link:
        _mail(office, store, request, mails.ready(office, request, who, link), now=now, life=links.LIFE[purpose])


def _must_not_have_begun(request: Request, *, now: int) -> None:
    if request.acts is not None and (request.acts <= now or request.tries):
        raise OutOfTurn("it is being done already; what is done cannot be taken back")


def _must_be(request: Request, *states: State) -> None:
    if request.state not in states:
        raise OutOfTurn(f"the request is {request.state.replace('_', ' ')}: this can be done only while it is {' or '.join(states)}")


def _set_state(store: Store, request: Request, state: State, *, actor: str, now: int, **changes: int | None) -> Request:
    """Change the state, unless another process was faster.

    Raises:
        OutOfTurn: if it was.
    """
    values = {"due": request.due, "confirmed": request.confirmed, "acts": request.acts, "closed": request.closed, **changes}
    if not store.execute(queries.SET_STATE, id=request.id, before=request.state, state=state, **values):
        raise OutOfTurn("the request was changed at the same moment; look at it again")
    changed = get(store, request.id)
    _note(store, changed, state, actor=actor, now=now)
    return changed


def _note(store: Store, request: Request, what: str, *, actor: str, now: int) -> None:
    about = f"{request.kind} {request.id.hex()}"
    audit.note(store, now=now, actor=actor, action=f"request {what}", about=about, subject=request.lookup)


def _place(id_: bytes) -> str:
    return f"request|{id_.hex()}|sealed"
