"""What people agree to, each for one purpose: asked for, given behind a link, withdrawn; with the proof of it (GDPR art. 7).

A newsletter is asked for with a form; that somebody else did not write the address there, a link in a mail proves (double opt-in).
Who withdraws is forgotten at once, but for the proof that they had agreed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final, NamedTuple

import msgspec

from ..collect.visitor import date_of, day_of
from ..errors import VaultError
from ..forms import NEWSLETTER
from ..mail import is_mailable
from ..record import submissions
from ..record.submissions import Stored, new_id, open_sealed, root_key, seal_again
from ..store import queries as common_queries
from ..store import service_queries as queries
from ..store.base import Store
from ..vault import token_hash
from . import audit, limits, mails, notices, outbox
from .answers import address_of
from .office import Office

DAY: Final = 86_400_000
UNCONFIRMED_DAYS: Final = 7
"""How long a sign-up waits for its person; then it is deleted."""
MOST_A_TURN: Final = 50
SIGN_UP: Final = "sign-up "
"""Sign-ups are counted apart from data requests: neither may stand in the other's way."""


class Wording(msgspec.Struct, frozen=True):
    """What somebody agreed to: the words that they read, and their language. Before that, the language alone is known."""

    language: str
    words: str = ""

    def __repr__(self) -> str:
        """Short: it may end up in a log or a traceback."""
        return f"Wording({self.language!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """For tracebacks that show variables: without the words, too."""
        return [("language", self.language)]


class Consent(NamedTuple):
    """A consent as it is stored; instants are epoch milliseconds, of anonymous people whole days."""

    id: bytes
    subject: bytes
    submission: bytes | None
    purpose: str
    statement: bytes
    asked: int
    given: int | None
    withdrawn: int | None
    until: int | None
    hash: bytes | None
    bounces: int
    sealed: bytes | None

    @property
    def is_in_force(self) -> bool:
        """True from the yes to the withdrawal."""
        return self.given is not None and self.withdrawn is None


# --- asking ----------------------------------------------------------------------------------------------------------------


def ask_new(office: Office, store: Store, *, now: int) -> int:
    """Write to everybody who has asked for the newsletter, and could not have been somebody else's joke until they press the button.

    Returns when to go on, if there are too many for today (epoch milliseconds), else 0.
    """
    for row in store.rows(queries.NEW_SIGN_UPS, purpose=NEWSLETTER, most=MOST_A_TURN) if office.can_ask else ():
        again = 0
        with suppress(VaultError), store.transaction():  # its key may be given again; the others can be asked meanwhile
            again = _ask(office, store, Stored(**row), now=now)
        if again:
            return again
    return 0


def _ask(office: Office, store: Store, stored: Stored, *, now: int) -> int:
    """Write to one who signed up; returns when to go on, if too many have today."""
    if stored.form not in {form.name for form in office.declaration.forms}:  # it is declared no more: left to its retention
        _add(office, store, stored, hash_=None, until=None, now=now, sealed=None)
        return 0
    email = address_of(office, store, stored)
    if not is_mailable(email):  # nobody can be written to
        _add(office, store, stored, hash_=None, until=now + UNCONFIRMED_DAYS * DAY, now=now, sealed=None)
        return 0
    root = root_key(store, office.vault())
    wait = limits.waits(store, root, office.settings.limits, email=email, address="", now=now, what=SIGN_UP)
    in_force = next((one for one in of_subject(store, stored.subject) if one.purpose == stored.purpose and one.is_in_force), None)
    if wait["address"] or in_force is not None:  # so many mails went there today; or nobody has proven whose it is: it must change nothing
        submissions.delete(store, stored.id)
        store.execute(common_queries.PURGE_SUBJECTS)
    if wait["address"]:
        return 0
    if wait["all"]:
        return now + wait["all"] * 1000
    limits.count(store, root, email=email, address="", now=now, what=SIGN_UP)
    if in_force is not None:
        who = mails.Reader(email, wording(office, store, in_force).language)
        mail = mails.already(office, who, link(office, store, in_force))
        outbox.add(store, office.vault(), mail, now=now, person=stored.subject)
        return 0
    consent, token = _new(office, store, stored, language=office.settings.language, now=now)
    mail, life = mails.sign_up(office, _reader(office, email), _address(office, token)), (consent.until or now) - now
    outbox.add(store, office.vault(), mail, now=now, person=stored.subject, life=life)
    audit.note(store, now=now, actor=audit.SYSTEM, action="consent asked", about=_about(consent), subject=_lookup(store, consent))
    return 0


def _new(office: Office, store: Store, stored: Stored, *, language: str, now: int) -> tuple[Consent, str]:
    id_ = new_id()
    token = _token(store, office, id_)
    sealed = _seal(office, store, stored.subject, id_, Wording(language))
    until = now + UNCONFIRMED_DAYS * DAY
    consent = _add(office, store, stored, hash_=_hash(store, office, token), until=until, now=now, sealed=sealed, id_=id_)
    return consent, token


def _add(
    office: Office,
    store: Store,
    stored: Stored,
    *,
    hash_: bytes | None,
    until: int | None,
    now: int,
    sealed: bytes | None,
    id_: bytes = b"",
) -> Consent:
    id_ = id_ or new_id()
    store.execute(
        queries.ADD_CONSENT, id=id_, subject=stored.subject, submission=stored.id, purpose=stored.purpose, statement=office.digest(),
        asked=now, given=None, until=until, hash=hash_, sealed=sealed,
    )  # fmt: skip
    return get(store, id_)


def invite(office: Office, store: Store, *, actor: str, now: int) -> int:
    """Ask those who signed up before there was a confirmation, each person once; returns how many. Each is a short transaction."""
    invited = 0
    for row in store.rows(queries.UNINVITED, purpose=NEWSLETTER):
        with suppress(VaultError), store.transaction():  # its key may be given again
            invited += _invite(office, store, Consent(**row), actor=actor, now=now)
    return invited


def _invite(office: Office, store: Store, consent: Consent, *, actor: str, now: int) -> bool:
    stored = stored_of(store, consent)
    email = address_of(office, store, stored) if stored else ""
    others = [one for one in of_subject(store, consent.subject) if one.id != consent.id and one.purpose == consent.purpose]
    if not is_mailable(email) or any(one.is_in_force or (one.given is None and one.sealed) for one in others):
        return False
    token = _token(store, office, consent.id)
    sealed = _seal(office, store, consent.subject, consent.id, Wording(office.settings.language))
    until = now + UNCONFIRMED_DAYS * DAY
    store.execute(queries.INVITE, id=consent.id, hash=_hash(store, office, token), until=until, asked=now, sealed=sealed)
    mail = mails.sign_up(office, _reader(office, email), _address(office, token))
    outbox.add(store, office.vault(), mail, now=now, person=consent.subject, life=until - now)
    audit.note(store, now=now, actor=actor, action="consent asked", about=_about(consent), subject=_lookup(store, consent))
    return True


# --- giving and withdrawing ------------------------------------------------------------------------------------------------


def give(office: Office, store: Store, consent: Consent, said: Wording, *, now: int) -> Consent:
    """Note that somebody has said yes, in a transaction of the caller's; what else was asked with their address goes."""
    if consent.given is not None or (consent.until or 0) <= now:
        return consent
    for other in of_subject(store, consent.subject):
        if other.id != consent.id and other.purpose == consent.purpose and other.withdrawn is None:
            forget(store, other if not other.is_in_force else consent)
            if other.is_in_force:
                return other
    sealed = _seal(office, store, consent.subject, consent.id, said)
    store.execute(queries.GIVE, id=consent.id, given=now, statement=office.digest(), sealed=sealed)
    audit.note(store, now=now, actor=audit.PERSON, action="consent given", about=_about(consent), subject=_lookup(store, consent))
    return get(store, consent.id)


def withdraw(office: Office, store: Store, consent: Consent, *, actor: str, now: int, why: str = "") -> Consent:
    """End a consent, in a transaction of the caller's: what came with it is deleted, the proof stays for a while, recipients are told."""
    if consent.withdrawn is not None:
        return consent
    if consent.given is None:
        forget(store, consent)
        store.execute(common_queries.PURGE_SUBJECTS)  # with the last of theirs the key goes, and the keyed hash of the address
        return consent._replace(withdrawn=now, submission=None)
    notices.tell(office, store, consent.subject, "withdrawal", now=now, purpose=consent.purpose)
    until = now + _proof_days(office, store, consent) * DAY
    store.execute(queries.WITHDRAW, id=consent.id, now=now, until=until)
    store.execute(queries.DELETE_DELIVERIES, id=consent.id)
    if consent.submission is not None:
        submissions.delete(store, consent.submission)
    action = f"consent withdrawn{f' ({why})' if why else ''}"
    audit.note(store, now=now, actor=actor, action=action, about=_about(consent), subject=_lookup(store, consent))
    return get(store, consent.id)


def lapse(store: Store, *, now: int) -> int:
    """Delete what nobody confirmed in time, and proofs that are old; returns how many. In a transaction of the caller's."""
    late = [Consent(**row) for row in store.rows(queries.LAPSED, now=now)]
    for consent in late:
        forget(store, consent)
    if late:
        store.execute(common_queries.PURGE_SUBJECTS)
    return len(late)


def erase(store: Store, subject: bytes, *, until: int | None = None) -> None:
    """Delete all of a person, or what they were asked for up to an instant, in a transaction of the caller's; not what was sent with it."""
    for consent in of_subject(store, subject):
        if until is None or consent.asked <= until:
            forget(store, consent._replace(submission=None))


def forget(store: Store, consent: Consent) -> None:
    """Delete a consent, and what was sent with it, in a transaction of the caller's."""
    store.execute(queries.DELETE_DELIVERIES, id=consent.id)
    store.execute(queries.DELETE_CONSENT, id=consent.id)
    if consent.submission is not None:
        submissions.delete(store, consent.submission)


# --- what is there ---------------------------------------------------------------------------------------------------------


def get(store: Store, id_: bytes) -> Consent:
    """Return a consent that is there."""
    return Consent(**store.rows(queries.CONSENT, id=id_)[0])


def find(office: Office, store: Store, token: str) -> Consent | None:
    """Return the consent that a link stands for, in a transaction of the caller's. It is sought by a keyed hash: the time tells nothing."""
    rows = store.rows(queries.CONSENT_BY_HASH, hash=_hash(store, office, token))
    return Consent(**rows[0]) if rows else None


def of_subject(store: Store, subject: bytes) -> list[Consent]:
    """Return the consents of a person, in the order in which they were asked for."""
    return [Consent(**row) for row in store.rows(queries.CONSENTS_OF, subject=subject)]


def stored_of(store: Store, consent: Consent) -> Stored | None:
    """Return what was sent with a consent, if it is still kept."""
    rows = store.rows(common_queries.SUBMISSION, id=consent.submission) if consent.submission else []
    return Stored(**rows[0]) if rows else None


def wording(office: Office, store: Store, consent: Consent) -> Wording:
    """Return what somebody agreed to, in which language.

    Raises:
        VaultError: if it cannot be opened.
    """
    if consent.sealed is None:
        return Wording(office.settings.language)
    data = open_sealed(store, office.vault(), consent.subject, consent.sealed, place(consent.id))
    return msgspec.json.decode(data, type=Wording)


def counts(store: Store, purpose: str = NEWSLETTER) -> dict[str, int]:
    """Return how many have agreed, were asked, have withdrawn, and signed up before there was a confirmation."""
    return {name: int(amount or 0) for name, amount in store.rows(queries.CONSENT_COUNTS, purpose=purpose)[0].items()}


def link(office: Office, store: Store, consent: Consent) -> str:
    """Return the link by which somebody withdraws, in a transaction of the caller's. It is derived anew each time: it is not stored."""
    return _address(office, _token(store, office, consent.id))


def rows_of(office: Office, store: Store, subject: bytes, instant: Callable[[int], str]) -> Iterator[dict[str, Any]]:
    """Return the consents of a person for an overview."""
    for consent in of_subject(store, subject):
        said = wording(office, store, consent)
        stored = stored_of(store, consent)
        yield {
            "date": str(date_of(day_of(consent.given or consent.asked, office.settings.zone))),
            "purpose": consent.purpose,
            "form": stored.form if stored else "",
            "words": said.words,
            "given": instant(consent.given) if consent.given else "",
            "withdrawn": instant(consent.withdrawn) if consent.withdrawn else "",
            "statement": consent.statement.hex(),
        }


def _proof_days(office: Office, store: Store, consent: Consent) -> int:
    """The form's retention: for so long it can be shown that somebody had agreed."""
    stored = stored_of(store, consent)
    forms = [form for form in office.declaration.forms if form.purpose == consent.purpose and (stored is None or form.name == stored.form)]
    return forms[0].retention_days if forms else 0


def _token(store: Store, office: Office, id_: bytes) -> str:
    """The secret id of a consent's link. Who has the database alone cannot derive it."""
    return token_hash(root_key(store, office.vault()), "consent link", id_.hex()).hex()


def _hash(store: Store, office: Office, token: str) -> bytes:
    return token_hash(root_key(store, office.vault()), "consent", token)


def _reader(office: Office, email: str) -> mails.Reader:
    """Whoever signs up says no language: it is the owner's until they press the button, in theirs."""
    return mails.Reader(email, office.settings.language)


def _address(office: Office, token: str) -> str:
    return office.page(f"newsletter/{token}")


def _seal(office: Office, store: Store, subject: bytes, id_: bytes, said: Wording) -> bytes:
    return seal_again(store, office.vault(), subject, msgspec.json.encode(said), place(id_))


def _lookup(store: Store, consent: Consent) -> bytes | None:
    rows = store.rows(common_queries.SUBJECT_KEY, id=consent.subject)
    return rows[0]["lookup"] if rows else None


def _about(consent: Consent) -> str:
    return f"{consent.purpose} {consent.id.hex()}"


def place(id_: bytes) -> str:
    """Return to what the words of a consent are bound."""
    return f"consent|{id_.hex()}|sealed"
