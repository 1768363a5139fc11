"""The composition root: from settings and declaration to the store, the recorder and the secret that an app uses."""

from __future__ import annotations

import logging
import re
import sqlite3
import time
from collections.abc import Mapping
from fnmatch import translate
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from markupsafe import Markup

from .collect.choice import Choice, Signal
from .collect.hit import Rules
from .declaration import Declaration, load_declaration
from .errors import DeclarationError, KeyMissing, PrivacyError
from .forms import Form
from .record.intake import Intake
from .record.recorder import Recorder
from .record.spool import Spool
from .record.submissions import check, masters
from .secret import lasting_secret, random_secret, secret_path
from .settings import Settings, load_settings
from .statement.text import write_statement
from .statement.versions import digest, in_force_since
from .store.sqlite import SQLiteStore
from .vault import Vault

logger = logging.getLogger("privacy_middleware")


class Privacy:
    """Everything that one wrapped app shares: what is in force, the recorder, and the secret keys."""

    def __init__(self, settings: Settings, declaration: Declaration) -> None:
        self.settings = settings
        self.declaration = declaration
        self.store = SQLiteStore(settings.database_path)
        self.recorder = Recorder(
            SQLiteStore(settings.database_path),
            rules=rules(settings, declaration),
            zone=settings.zone,
            retention_days=settings.retention_days,
            address=settings.ip,
            opened=self._note_statement,
            pepper=self._pepper,
        )
        self.statement = write_statement(declaration, settings, self.recorder.rules)
        self.spool = Spool(settings.database_path)
        self.intake = Intake(
            SQLiteStore(settings.database_path),
            self.spool,
            vault=lambda: self.vault,
            zone=settings.zone,
            statement=lambda: self.statement_digest,
            wait_seconds=settings.submission_wait_ms / 1000,
            count=self.recorder.count,
        )
        if declaration.forms:
            self.recorder.absorb = self.intake.absorb
        self._own_pepper: str | None = None
        self.statement_since: int | None = None
        """Since when (epoch milliseconds) this statement is in force; None until the database was opened."""

    def _pepper(self) -> bytes:
        """The secret that is part of the pseudonyms; without one that lasts, one of this process alone."""
        try:
            return self.secret_keys[0].encode()
        except KeyMissing as error:
            if self._own_pepper is None:
                logger.warning("%s", error)
                self._own_pepper = random_secret()
            return self._own_pepper.encode()

    @cached_property
    def statement_digest(self) -> bytes:
        """The digest of the statement in force."""
        return digest(self.statement)

    @cached_property
    def vault(self) -> Vault:
        """The master keys. Reads a file at first use."""
        return Vault(self.secret_keys)

    def new_vault(self) -> Vault:
        """Return the master keys also where the secret is gone that they were derived from; then a new one is made.

        Raises:
            KeyMissing: if none can be kept.
        """
        return Vault(self.settings.secret_keys or (lasting_secret(self.settings.database_path),))

    def check_vault(self) -> None:
        """Check that there is a secret key that lasts, and that it opens what the database holds sealed.

        A database that cannot be read is no reason not to serve: the recorder says what is wrong with it.

        Raises:
            KeyMissing: if not.
        """
        if self.declaration.forms:
            _ = self.vault  # there must be a key
        store = SQLiteStore(self.settings.database_path)
        if not _has_content(store.path):
            return
        try:
            store.open_to_read()
            self.check_keys(store)
        except KeyMissing:
            raise
        except (PrivacyError, sqlite3.Error) as error:
            logger.warning("it could not be checked whether the secret keys open what is in %s: %s", store.path, error)
        finally:
            store.close()

    def check_keys(self, store: SQLiteStore) -> None:
        """Check that the keys given open what an open database holds sealed.

        Raises:
            KeyMissing, VaultError: if they do not.
        """
        if not store.has_table("vault") or not masters(store):  # not migrated yet, or nothing sealed
            return
        vault = self.vault
        try:
            check(store, vault)
        except KeyMissing:
            given = "PRIVACY_SECRET_KEYS" if self.settings.secret_keys else str(secret_path(self.settings.database_path))
            text = f"{store.path} holds submissions sealed under a secret key that {given} does not hold: add it at the end. {_LOST_KEY}"
            raise KeyMissing(text) from None

    def _note_statement(self, store: SQLiteStore) -> None:
        self.statement_since = in_force_since(store, self.statement, now=int(time.time() * 1000))

    @cached_property
    def secret_keys(self) -> tuple[str, ...]:
        """The secret keys, newest first: those given, else the one kept beside the database, which is made if there is none.

        Raises:
            KeyMissing: if none can be kept there; if it is gone, and the database holds what is sealed under it.
        """
        if self.settings.secret_keys:
            return self.settings.secret_keys
        database = self.settings.database_path
        if not secret_path(database).exists() and self._holds_sealed():
            path = secret_path(database)
            raise KeyMissing(f"{database} holds submissions sealed under a secret key that is gone: put {path} back. {_LOST_KEY}")
        return (lasting_secret(database),)

    def _holds_sealed(self) -> bool:
        """Look with a connection of its own; what cannot be read is not known to hold anything."""
        store = SQLiteStore(self.settings.database_path)
        if not _has_content(store.path):
            return False
        try:
            store.open_to_read()
            return store.has_table("vault") and bool(masters(store))
        except (PrivacyError, sqlite3.Error):
            return False
        finally:
            store.close()

    @classmethod
    def from_sources(cls, keywords: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None) -> Privacy:
        """Build from keywords, environment and privacy.toml.

        Raises:
            SettingsError, DeclarationError: if anything there is wrong.
        """
        settings, document = load_settings(keywords, environ)
        declaration = load_declaration(document)
        _check_forms(settings, declaration)
        return cls(settings, declaration)


_LOST_KEY: Final = "If it is lost for ever, `privacy-middleware keys abandon` lets you go on without what cannot be read any more"


class VisitorPrivacy(msgspec.Struct, frozen=True):
    """What the host's code may know of this request, as `request.scope["privacy"]`."""

    opted_out: bool
    """True if this visitor is not recorded, by their choice or their browser's signal."""
    signal: Signal | None
    """The browser's signal that is honoured, if it sent one."""
    statement_url: str
    opt_out_url: str

    @property
    def footer(self) -> Markup:
        """Links to the statement and the opt-out for a page's footer: `{{ request.scope.privacy.footer }}`.

        Empty while the package is switched off.
        """
        if not self.statement_url:
            return Markup()
        choice = "My visits are not recorded" if self.opted_out else "Do not record my visits"
        return Markup('<a href="{}">Privacy</a> · <a href="{}">{}</a>').format(self.statement_url, self.opt_out_url, choice)


SWITCHED_OFF: Final = VisitorPrivacy(opted_out=False, signal=None, statement_url="", opt_out_url="")


def visitor_privacy(choice: Choice, base: str) -> VisitorPrivacy:
    """Describe a request for the host's code; `base` is the path of the privacy pages, mounts in front included."""
    return VisitorPrivacy(choice.opted_out, choice.signal, f"{base}/", f"{base}/opt-out")


def rules(settings: Settings, declaration: Declaration) -> Rules:
    """Return what may be taken of a visit: what is declared, less what the settings switch off."""
    items = set(declaration.visits.items)
    if settings.ip == "none":
        items.discard("address")
    if not settings.sites:
        items.discard("site")
    hosts = {urlsplit(settings.base_url).hostname or "", *(site.partition(":")[0] for site in settings.sites)} - {""}
    own_hosts = frozenset(host.removeprefix("www.") for host in hosts)
    return Rules(frozenset(items), settings.query_params, settings.path_params, settings.sites, own_hosts, declaration.forms)


def excluded(settings: Settings) -> re.Pattern[str] | None:
    """Return the pattern of paths that are never recorded: those given, and, without a `*`, all below them."""
    patterns = [translate(path) + "|" + translate(path.rstrip("/") + "/*") for path in settings.exclude_paths]
    return re.compile("|".join(patterns)) if patterns else None


def _has_content(path: Path) -> bool:
    """Tell whether a file is there with something in it; an empty one may just be being made by another worker."""
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def _check_forms(settings: Settings, declaration: Declaration) -> None:
    if not declaration.forms or settings.disabled:
        return
    missing = _extra_missing()
    if missing:
        raise DeclarationError(f"forms are declared, and {missing} is not installed; `pip install 'privacy-middleware[forms]'`")
    never = excluded(settings)
    for form in declaration.forms:
        _check_countries(form)
        if never is not None and never.match(form.path):
            raise DeclarationError(
                f"forms.{form.name} is sent to {form.path}, which PRIVACY_EXCLUDE_PATHS names; take it out of one of them"
            )
        if form.path == settings.path or form.path.startswith(settings.path + "/"):
            raise DeclarationError(f"forms.{form.name} is sent to {form.path}, where the privacy pages are; no app sees it there")


def _check_countries(form: Form) -> None:
    named = {code for field in form.fields.values() for code in field.countries}
    if not named:
        return
    from phonenumbers import SUPPORTED_REGIONS

    unknown = sorted(named - set(SUPPORTED_REGIONS))
    if unknown:
        raise DeclarationError(f"forms.{form.name}: {', '.join(unknown)} is no country code of ISO 3166 (the United Kingdom is GB)")


def _extra_missing() -> str:
    """Return the name of a module that forms need and that is not installed, or ""."""
    return next((name for name in ("cryptography", "python_multipart", "stdnum", "phonenumbers") if find_spec(name) is None), "")
