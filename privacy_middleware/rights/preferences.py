"""What visitors chose to be shown: kept without a name, found by a signed cookie that holds no data, and gone when they say so.

The cookie holds a random id and its signature; the database holds a keyed hash of the id. Neither tells anything without the other.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Final

import msgspec
from itsdangerous import BadSignature, Signer

from ..collect.treatment import Kept
from ..collect.visitor import day_of
from ..errors import PrivacyError
from ..forms import PERSONALISED, Form
from ..record import submissions
from ..record.submissions import Submission, new_id, root_key, seal_again
from ..store import queries as common_queries
from ..store import service_queries as queries
from ..store.base import Store
from ..vault import token_hash
from . import consents
from .consents import Consent, Wording
from .office import Office

DAY: Final = 86_400_000
PATIENCE: Final = 0.25
"""Seconds that a host's page waits for the preferences at most."""
AWAY_SECONDS: Final = 5.0
"""How long nothing is read after the database could not be."""
Preferences = dict[str, list[str]]


def form_of(office: Office) -> Form | None:
    """Return the form of the page `my-preferences`, if one is declared."""
    return next((form for form in office.declaration.forms if form.purpose == PERSONALISED), None)


class Cookies:
    """Signs and reads the cookies, under the secret keys; those of older keys count, too."""

    def __init__(self, keys: Callable[[], Sequence[str]]) -> None:
        """`keys` returns the secret keys, newest first, and may read a file."""
        self._keys = keys

    def make(self) -> tuple[str, str]:
        """Return a new random id, and the value of its cookie."""
        token = secrets.token_urlsafe(24)
        return token, self._signer().sign(token).decode()

    def read(self, value: str) -> str:
        """Return the id of a cookie; "" if we did not sign it."""
        with suppress(BadSignature, PrivacyError):
            return self._signer().unsign(value).decode()
        return ""

    def _signer(self) -> Signer:
        keys = list(reversed(self._keys()))  # it signs with the last
        return Signer(keys, salt="privacy_middleware preferences", digest_method=hashlib.sha256)


def find(office: Office, store: Store, token: str) -> Consent | None:
    """Return the consent that a cookie's id stands for."""
    root = _root(office, store)
    rows = store.rows(queries.CONSENT_BY_HASH, hash=token_hash(root, "preferences", token)) if token and root else []
    return Consent(**rows[0]) if rows and rows[0]["purpose"] == PERSONALISED else None


def read(office: Office, store: Store, token: str, *, now: int) -> Preferences | None:
    """Return what was chosen; None without a consent, and when its time is over.

    Raises:
        VaultError: if it cannot be opened.
    """
    consent, form = find(office, store, token), form_of(office)
    if consent is None or form is None or not consent.is_in_force or (consent.until or 0) <= now:
        return None
    stored = consents.stored_of(store, consent)
    if stored is None:
        return None
    _, values = submissions.read(store, office.vault(), stored)
    return {name: [str(value) for value in values.get(name, [])] for name in form.fields}


def save(office: Office, store: Store, token: str, values: Mapping[str, list[Kept]], said: Wording, *, now: int) -> None:
    """Keep what was chosen under a new id and key, in a transaction of the caller's. What was chosen before is to be forgotten first.

    Only the day is noted: the moment would tell whose visit it was.
    """
    form = form_of(office)
    if form is None:
        raise PrivacyError("no form of the purpose 'personalised content' is declared; declare one in privacy.toml")
    today = day_of(now, office.settings.zone)
    submission = Submission(
        id=new_id(), form=form.name, purpose=PERSONALISED, day=today, time=now, expires=today + form.retention_days, outcome="accepted",
        statement=office.digest(), visitor=None, email="", values=dict(values),
    )  # fmt: skip
    submissions.add(store, office.vault(), submission)
    subject = store.rows(common_queries.SUBMISSION, id=submission.id)[0]["subject"]
    id_, midnight = new_id(), now - now % DAY
    store.execute(
        queries.ADD_CONSENT, id=id_, subject=subject, submission=submission.id, purpose=PERSONALISED, statement=office.digest(),
        asked=midnight, given=midnight, until=midnight + (form.retention_days + 1) * DAY,
        hash=token_hash(root_key(store, office.vault()), "preferences", token),
        sealed=seal_again(store, office.vault(), subject, msgspec.json.encode(said), consents.place(id_)),
    )  # fmt: skip


def forget(store: Store, consent: Consent) -> None:
    """Delete what was chosen, the consent, and the key, in a transaction of the caller's."""
    consents.forget(store, consent)
    store.execute(common_queries.DELETE_SUBJECT, id=consent.subject)


class Reader:
    """Reads preferences for the host's own pages, when they ask for them: briefly, or not at all."""

    def __init__(
        self, store: Store, office: Office, cookies: Cookies, *, clock: Callable[[], float], fault: Callable[[Exception], None]
    ) -> None:
        """Arguments: `clock` gives epoch seconds; `fault` counts an error of our own."""
        self._store = store
        self._office = office
        self._cookies = cookies
        self._clock = clock
        self._fault = fault
        self._away_until = 0.0

    def of(self, cookie: str) -> Preferences | None:
        """Return what the visitor with a cookie chose; None if they did not agree, or it cannot be read within `PATIENCE`."""
        token = self._cookies.read(cookie)
        if not token or time.monotonic() < self._away_until:
            return None
        try:
            return self._read_beside(token) if self._store.is_shared else self._read(token)
        except Exception as error:  # the host's page is shown all the same
            self._fault(error)
            self._away_until = time.monotonic() + AWAY_SECONDS
            return None

    def _read(self, token: str) -> Preferences | None:
        store = self._store.another()
        try:
            store.open_to_read(patience=PATIENCE, as_it_is=True)
            return read(self._office, store, token, now=int(self._clock() * 1000))
        finally:
            store.close()

    def _read_beside(self, token: str) -> Preferences | None:
        """Read in a thread of its own: a server that does not answer keeps that waiting, and not the host."""
        future: Future[Preferences | None] = Future()

        def work() -> None:
            try:
                future.set_result(self._read(token))
            except Exception as error:  # whatever it is, the caller gets it
                future.set_exception(error)

        threading.Thread(target=work, name="privacy-preferences", daemon=True).start()
        return future.result(PATIENCE)


def _root(office: Office, store: Store) -> bytes | None:
    """Return the key of keyed hashes, if there is one yet: a reader makes none."""
    return submissions.known_root_key(store, office.vault())
