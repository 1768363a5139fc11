"""Puts submissions into the vault and takes them out again: each sealed under the key of the person that it belongs to.

A submission with an e-mail address belongs to the data subject who is found by its blind index; one without is anonymous and has a
key of its own. Its time is sealed too, and left out if it is anonymous, since with it one could tell whose visit it was.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec

from ..collect.treatment import Kept
from ..errors import KeyMissing, VaultError
from ..forms import PERSONALISED, QUESTIONNAIRE, Form
from ..store import queries, service_queries
from ..store.base import Store
from ..vault import KEY_BYTES, Vault, Wrapped, blind_index, new_key, seal, unseal

ID_BYTES: Final = 16
ROOT: Final = "root"
_A_TURN: Final = 500


class Submission(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of one form post, in plain: it leaves memory only sealed."""

    id: bytes
    form: str
    purpose: str
    day: int
    """The owner's day on which it came."""
    time: int
    """When it came, epoch milliseconds; without `link_visit` only the hour."""
    expires: int
    """The first day on which it is no longer kept."""
    outcome: str
    statement: bytes
    """Digest of the privacy statement in force."""
    visitor: int | None
    email: str
    """Normalised; "" if it is anonymous."""
    values: dict[str, list[Kept]]
    came: int = 0
    """The very moment, epoch milliseconds: to tell what came before an erasure. It is never written into the database."""

    def __repr__(self) -> str:
        """Without values: it may end up in a log or a traceback."""
        return f"Submission({self.form!r}, {self.id.hex()})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """For tracebacks that show variables: without values, too."""
        return [("form", self.form)]


class Stored(NamedTuple):
    """What is known of a stored submission without opening it."""

    id: bytes
    subject: bytes
    form: str
    purpose: str
    day: int
    expires: int
    outcome: str
    statement: bytes
    visitor: int | None
    answered: int | None
    time: bytes | None
    closed: int | None
    runs_from: int | None


def new_id() -> bytes:
    """Return a random identifier."""
    return secrets.token_bytes(ID_BYTES)


def ids_like(prefix: str) -> dict[str, bytes]:
    """Return the first and the last identifier that begin so (in hexadecimal digits); a range without any, if none can."""
    try:
        ends = [bytes.fromhex(prefix + filler * (2 * ID_BYTES - len(prefix))) for filler in "0f"]
    except ValueError:
        ends = []
    first, last = ends if all(len(end) == ID_BYTES for end in ends) and prefix.isalnum() and ends else (b"\xff", b"")
    return {"first": first, "last": last}


def root_key(store: Store, vault: Vault) -> bytes:
    """Return the key of the blind index and of keyed hashes; made at first use, in a transaction of the caller's.

    Raises:
        KeyMissing: if it is sealed under a secret key that is not given.
    """
    known = known_root_key(store, vault)
    if known is not None:
        return known
    key = new_key()
    _keep_root(store, vault, key)
    return key


def known_root_key(store: Store, vault: Vault) -> bytes | None:
    """Return the key of the blind index and of keyed hashes; None as long as there is none.

    Raises:
        KeyMissing: as `root_key`.
    """
    rows = store.rows(queries.VAULT_KEY, name=ROOT)
    return vault.unwrap(Wrapped(rows[0]["master"], rows[0]["sealed"]), _vault_place(ROOT)) if rows else None


def _keep_root(store: Store, vault: Vault, key: bytes) -> None:
    wrapped = vault.wrap(key, _vault_place(ROOT))
    store.execute(queries.SET_VAULT_KEY, name=ROOT, master=wrapped.master, sealed=wrapped.key)


def add(store: Store, vault: Vault, submission: Submission) -> None:
    """Store a submission, in a transaction of the caller's. One that is there already stays as it is."""
    if store.rows(queries.HAS_SUBMISSION, id=submission.id) or _is_erased(store, vault, submission):
        return
    subject, key = _subject_of(store, vault, submission.email)
    row = msgspec.structs.asdict(submission)
    values, email, when = row.pop("values"), row.pop("email"), str(row.pop("time")).encode()
    sealed_time = seal(key, when, _place(submission.id, "time")) if email else None
    del row["came"]
    store.execute(queries.ADD_SUBMISSION, **row, subject=subject, time=sealed_time)
    for name, value in values.items():
        sealed = seal(key, msgspec.json.encode(value), _field_place(submission.id, name))
        store.execute(queries.ADD_FIELD, submission=submission.id, name=name, value=sealed)


def _is_erased(store: Store, vault: Vault, submission: Submission) -> bool:
    """Tell whether it is of somebody who has since been erased: it waited in a spool or queue, and must not come back."""
    if not submission.email:
        return False
    rows = store.rows(queries.TOMBSTONE, lookup=blind_index(root_key(store, vault), submission.email))
    # A mark of the future is of a clock that was wrong: rather keep too much than lose what somebody has just sent.
    return bool(rows) and (submission.came or submission.time) <= int(rows[0]["erased"]) <= int(time.time() * 1000)


def _subject_of(store: Store, vault: Vault, email: str) -> tuple[bytes, bytes]:
    """Return the data subject of an address, and their key; a new one for a new address, and for each anonymous submission."""
    lookup = blind_index(root_key(store, vault), email) if email else None
    found = store.rows(queries.SUBJECT, lookup=lookup) if lookup else []
    if found:
        return found[0]["id"], _subject_key(vault, found[0])
    subject, key = new_id(), new_key()
    wrapped = vault.wrap(key + (lookup or b""), _subject_place(subject))
    store.execute(queries.ADD_SUBJECT, id=subject, lookup=lookup, master=wrapped.master, sealed=wrapped.key)
    return subject, key


def _subject_key(vault: Vault, row: Mapping[str, Any]) -> bytes:
    """Open the key of a data subject. The index is sealed with it: two people whose indexes are swapped must not get each other's."""
    opened = vault.unwrap(Wrapped(row["master"], row["sealed"]), _subject_place(row["id"]))
    if row["lookup"] is not None and row["lookup"] != opened[KEY_BYTES:]:
        raise VaultError("the index of a data subject was changed; it is left as it is, and nothing of theirs is opened")
    return opened[:KEY_BYTES]


def ensure_subject(store: Store, vault: Vault, email: str) -> None:
    """Have a data subject for an address, also if nothing of theirs is kept yet, in a transaction of the caller's."""
    _subject_of(store, vault, email)


def seal_anew(store: Store, vault: Vault, data: bytes, place: str) -> tuple[bytes, bytes]:
    """Seal something under a new key of its own, in a transaction of the caller's; returns the key's subject, and what is sealed.

    To delete the subject is to destroy the key.
    """
    subject, key = _subject_of(store, vault, "")
    return subject, seal(key, data, place)


def seal_again(store: Store, vault: Vault, subject: bytes, data: bytes, place: str) -> bytes:
    """Seal something under the key of a subject.

    Raises:
        VaultError: if that key is destroyed, or cannot be opened.
    """
    return seal(_key_of(store, vault, subject), data, place)


def open_sealed(store: Store, vault: Vault, subject: bytes, data: bytes, place: str) -> bytes:
    """Open what was sealed under the key of a subject for the same place.

    Raises:
        VaultError: if it cannot be opened.
    """
    return unseal(_key_of(store, vault, subject), data, place)


def _key_of(store: Store, vault: Vault, subject: bytes) -> bytes:
    rows = store.rows(queries.SUBJECT_KEY, id=subject)
    if not rows:
        raise VaultError("the key of this is destroyed; it cannot be read any more")
    return _subject_key(vault, rows[0])


def subject_of(store: Store, lookup: bytes) -> bytes | None:
    """Return the data subject that a blind index stands for, if anything of theirs is kept."""
    rows = store.rows(queries.SUBJECT, lookup=lookup)
    return rows[0]["id"] if rows else None


def lookup_of(store: Store, stored: Stored) -> bytes | None:
    """Return the blind index of the person whom a submission belongs to; None if it is anonymous."""
    rows = store.rows(queries.SUBJECT_KEY, id=stored.subject)
    return rows[0]["lookup"] if rows else None


def is_restricted(store: Store, stored: Stored) -> bool:
    """Tell whether a submission may only be stored, as its person asked (GDPR art. 18, 21)."""
    rows = store.rows(queries.RESTRICTED, id=stored.subject)
    return bool(rows) and rows[0]["since"] is not None


def of_subject(store: Store, subject: bytes) -> list[Stored]:
    """Return the submissions of a data subject."""
    return [Stored(**row) for row in store.rows(queries.SUBMISSIONS_OF, subject=subject)]


def change_field(store: Store, vault: Vault, stored: Stored, *, name: str, values: list[Kept]) -> None:
    """Put other values in the place of those of a field, in a transaction of the caller's."""
    sealed = seal_again(store, vault, stored.subject, msgspec.json.encode(values), _field_place(stored.id, name))
    store.execute(queries.SET_FIELD, submission=stored.id, name=name, value=sealed)


def may_be_opened(store: Store, stored: Stored) -> bool:
    """Tell whether somebody may look at a submission as one person's.

    Answers to a questionnaire without a name are shown question by question, and what visitors chose to be shown to nobody.
    """
    if stored.purpose == PERSONALISED:
        return False
    return stored.purpose != QUESTIONNAIRE or lookup_of(store, stored) is not None


def delete(store: Store, id_: bytes) -> None:
    """Delete a submission with its fields, our answers, and what was agreed to with it, in a transaction of the caller's."""
    store.execute(service_queries.PURGE_REPLIES, id=id_)
    store.execute(service_queries.PURGE_DELIVERIES_OF, id=id_)
    store.execute(service_queries.PURGE_CONSENTS_OF, id=id_)
    store.execute(queries.PURGE_FIELDS, id=id_)
    store.execute(queries.PURGE_SUBMISSION, id=id_)


def find(store: Store, *, first: int, last: int, form: str = "", purpose: str = "") -> list[Stored]:
    """Return the submissions of days `first` to `last`; of one form or purpose, if it is given."""
    rows = store.rows(queries.SUBMISSIONS, first=first, last=last, form=form, purpose=purpose)
    return [Stored(**row) for row in rows]


def find_one(store: Store, prefix: str) -> Stored | None:
    """Return the submission whose identifier begins so, if there is just one."""
    rows = store.rows(queries.SUBMISSIONS_LIKE, **ids_like(prefix))
    return Stored(**store.rows(queries.SUBMISSION, id=rows[0]["id"])[0]) if len(rows) == 1 else None


def read(store: Store, vault: Vault, stored: Stored) -> tuple[int | None, dict[str, list[Kept]]]:
    """Open a submission: when it came (epoch milliseconds; None if it is anonymous), and what is kept of each field.

    Raises:
        KeyMissing: if a secret key is not given. VaultError: if something was changed, or moved from its place.
    """
    key = _key_of(store, vault, stored.subject)
    when = int(unseal(key, stored.time, _place(stored.id, "time"))) if stored.time is not None else None
    return when, {
        row["name"]: msgspec.json.decode(unseal(key, row["value"], _field_place(stored.id, row["name"])))
        for row in store.rows(queries.FIELDS, submission=stored.id)
    }


def purge(store: Store, forms: Sequence[Form], *, today: int, most: int = _A_TURN) -> int:
    """Delete submissions past their retention, with their subjects' keys; returns how many.

    What was promised when they came counts, and what the form declares today, if that is shorter.
    """
    periods = {form.name: today - form.retention_days + 1 for form in forms} or {"": 0}
    purged = 0
    for name, before in periods.items():
        while True:
            with store.transaction():
                ids = [row["id"] for row in store.rows(queries.EXPIRED, today=today, form=name, before=before, most=most)]
                for id_ in ids:
                    delete(store, id_)
                if ids:
                    store.execute(queries.PURGE_SUBJECTS)
            purged += len(ids)
            if len(ids) < most:
                break
    return purged


# --- keys ------------------------------------------------------------------------------------------------------------------


def masters(store: Store) -> dict[bytes, int]:
    """Return the fingerprints of the master keys in use, and how many subjects' keys each wraps."""
    found = {row["master"]: row["subjects"] for row in store.rows(queries.MASTERS)}
    for row in store.rows(queries.VAULT_KEY, name=ROOT):
        found.setdefault(row["master"], 0)
    return found


def check(store: Store, vault: Vault) -> None:
    """Check that the vault of this database opens with the keys given: its index, and the key of everybody who can be found by it.

    Raises:
        KeyMissing, VaultError: if it does not.
    """
    for row in store.rows(queries.VAULT_KEY, name=ROOT):
        vault.unwrap(Wrapped(row["master"], row["sealed"]), _vault_place(ROOT))
    for row in store.rows(queries.MASTERS):
        if row["found"] and vault.place_of(row["master"]) is None:
            raise KeyMissing("the keys of some people are sealed under a secret key that is not given")


def rewrap(store: Store, vault: Vault, *, most: int = _A_TURN) -> Iterator[tuple[int, int]]:
    """Wrap all keys anew under the newest master key, a short transaction at a time; what is done stays done if it is stopped.

    Yields how many keys each transaction took, and how many of them could not be opened and were left as they are.

    Raises:
        KeyMissing: if the key of the index cannot be opened.
    """
    with store.transaction():
        if ROOT in {row["name"] for row in store.rows(queries.VAULT_KEYS)}:
            _keep_root(store, vault, root_key(store, vault))
    after = b""
    while True:
        with store.transaction():
            rows = store.rows(queries.OTHER_KEYS, newest=vault.newest, after=after, most=most)
            done = sum(_rewrap_one(store, vault, row) for row in rows)
        if not rows:
            return
        after = rows[-1]["id"]
        yield done, len(rows) - done


def _rewrap_one(store: Store, vault: Vault, row: Mapping[str, Any]) -> bool:
    place = _subject_place(row["id"])
    try:
        opened = vault.unwrap(Wrapped(row["master"], row["sealed"]), place)
    except VaultError:
        return False
    wrapped = vault.wrap(opened, place)
    store.execute(queries.REWRAP, id=row["id"], master=row["master"], newest=wrapped.master, sealed=wrapped.key)
    return True


def abandon(store: Store, vault: Vault) -> None:
    """Go on where a secret key is lost for ever: what is sealed under it stays unreadable until it is purged, or the key is found.

    Whoever cannot be opened any more cannot be found any more either; without the key of the index, nobody can.
    """
    with store.transaction():
        is_index_lost = not _opens(lambda: root_key(store, vault))
        if is_index_lost:
            _keep_root(store, vault, new_key())
        for row in store.rows(queries.LOOKUPS):
            if is_index_lost or not _opens(partial(_subject_key, vault, row)):
                store.execute(queries.FORGET_LOOKUP, id=row["id"])


def _opens(opening: Callable[[], object]) -> bool:
    try:
        opening()
    except VaultError:
        return False
    return True


def _vault_place(name: str) -> str:
    return f"vault|{name}|sealed"


def _subject_place(subject: bytes) -> str:
    return f"subject|{subject.hex()}|sealed"


def _place(submission: bytes, column: str) -> str:
    return f"submission|{submission.hex()}|{column}"


def _field_place(submission: bytes, name: str) -> str:
    return f"field|{submission.hex()}|{name}"
