"""The composition root: from settings and declaration to the store, the recorder and the secret that an app uses."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime
from fnmatch import translate
from functools import cached_property
from importlib.util import find_spec
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from markupsafe import Markup

from .collect.choice import Choice, Signal
from .collect.country import Countries
from .collect.hit import Rules
from .declaration import Declaration, load_declaration
from .errors import DeclarationError, PrivacyError, SettingsError
from .forms import Form
from .language import Language, Languages, english
from .mail import Send, Smtp, ascii_address
from .record.intake import Intake
from .record.keys import Keys
from .record.recorder import Recorder
from .record.spool import Spool
from .record.waiting_hits import WaitingHits
from .rights.clerk import Clerk
from .rights.erasure import SOURCES, to_replay
from .rights.mailer import Mailer
from .rights.messenger import Messenger
from .rights.office import Office
from .rights.postman import Postman
from .rights.preferences import Cookies, Reader
from .rights.report_mails import ReportMails
from .settings import Settings, load_settings
from .sources import DataSource
from .statement.facts import digest, facts_of
from .statement.own_words import digest_of_catalogues, read_own_words
from .statement.text import write_statement
from .statement.versions import DAY, MATERIAL_DAYS, Sections, history, last_change, material_since, note
from .statistics.bookkeeper import Bookkeeper
from .statistics.goals import marks
from .statistics.rollup import Terms
from .store import store_of
from .store.base import Store
from .values import POSTGRES

logger = logging.getLogger("privacy_middleware")


class Host(msgspec.Struct, frozen=True):
    """What the host's code gives to the middleware besides settings."""

    sources: Sequence[DataSource] = ()
    """What else is kept of people, and must be asked for an overview, a correction, an erasure."""
    current_subject: Callable[[Any], str | Awaitable[str | None] | None] | None = None
    """Returns the e-mail address of who is signed in, of a Starlette `Request`; then no mail is needed as a proof."""
    send_mail: Send | None = None
    """Sends a `Mail` in the place of a mail server."""
    authorize: Callable[[Any], str | Awaitable[str | None] | None] | None = None
    """Returns the role of who is signed in (`viewer` or `officer`), of a Starlette `Request`; then the owner needs no other sign-in."""


NO_HOST: Final = Host()


class Privacy:
    """Everything that one wrapped app shares: what is in force, the recorder, and the secret keys."""

    def __init__(self, settings: Settings, declaration: Declaration, host: Host = NO_HOST) -> None:
        self.settings = settings
        self.declaration = declaration
        self.store = store_of(settings.database_url)
        self.languages = Languages(settings.language, settings.statement_folder)
        self.keys = Keys(settings, self.store, needed=bool(declaration.forms))
        self.countries = Countries(settings.geoip_db) if settings.geoip_db else None
        self.recorder = Recorder(
            self.store.another(),
            rules=rules(settings, declaration),
            zone=settings.zone,
            retention_days=settings.retention_days,
            address=settings.ip,
            countries=self.countries,
            opened=self._note_statement,
            pepper=self.keys.pepper,
        )
        if self.store.is_shared:
            self.recorder.waiting = WaitingHits(settings.database_path.with_suffix(".waiting"))
        self.facts = facts_of(
            declaration,
            settings,
            self.recorder.rules,
            sources=() if settings.disabled else [source.name for source in host.sources],
            accounts=host.current_subject is not None,
            own=read_own_words(settings.statement_folder),
            catalogues=digest_of_catalogues(settings.statement_folder),
        )
        self._sections: dict[str, Sections] = {}
        self.spool = Spool(settings.database_path)
        self.intake = Intake(
            self.store.another(),
            self.spool,
            vault=lambda: self.keys.vault,
            zone=settings.zone,
            statement=lambda: self.statement_digest,
            wait_seconds=settings.submission_wait_ms / 1000,
            count=self.recorder.count,
        )
        if declaration.forms:
            self.recorder.duties.append(self.intake.absorb)
        self.host = host
        self.office = Office(
            settings=settings,
            declaration=declaration,
            vault=lambda: self.keys.vault,
            spool=self.spool,
            send=host.send_mail or _smtp(settings, declaration),
            sources=tuple(host.sources),
            languages=self.languages,
            statement=self.sections,
            facts=self.facts,
            digest=lambda: self.statement_digest,
        )
        self.clerk = Clerk(self.store.another(), self.office, count=self.recorder.count)
        self.postman = Postman(self.store.another(), self.office, count=self.recorder.count)
        self.mailer = Mailer(self.store.another(), self.office, count=self.recorder.count)
        self.messenger = Messenger(self.store.another(), self.office, count=self.recorder.count)
        self.cookies = Cookies(lambda: self.keys.secrets)
        self.preferences = Reader(self.store, self.office, self.cookies, clock=self.clerk.clock, fault=self.recorder.fault)
        self.terms = Terms(settings.zone, settings.suppress_below, marks(declaration.goals, declaration.funnels, declaration.forms))
        self.bookkeeper = Bookkeeper(
            self.store.another(),
            self.terms,
            retention_days=settings.retention_days,
            publishes=settings.publish,
            count=self.recorder.count,
        )
        self.recorder.duties += [self.clerk.look, self.postman.look, self.mailer.look, self.messenger.look, self.bookkeeper.look]
        if settings.report != "none":
            self.recorder.duties.append(ReportMails(self.office).look)
        self.statement_since: int | None = None
        """When (epoch milliseconds) what the statement says last changed; None until the database was opened."""
        self.material_since: int | None = None
        """When it last changed in a way that people should be told of."""

    @cached_property
    def statement_digest(self) -> bytes:
        """The digest of the statement in force."""
        return digest(self.facts)

    def changed_lately(self) -> date | None:
        """Return the owner's date of a material change of the statement within the last 30 days, if there was one."""
        since = self.material_since
        if since is None or time.time() * 1000 > since + MATERIAL_DAYS * DAY:
            return None
        return datetime.fromtimestamp(since / 1000, self.settings.zone).date()

    def sections(self, language: Language) -> Sections:
        """Return the statement in force in a language."""
        found = self._sections.get(language.code)
        if found is None:
            found = self._sections[language.code] = write_statement(language, self.facts)
        return found

    def _note_statement(self, store: Store) -> None:
        if self.statement_since is None:
            now = note(store, self.facts, self.languages, now=int(time.time() * 1000))
            versions = history(store)
            self.material_since = material_since(versions, english())
            self.statement_since = last_change(versions, english()) or now
        if self.host.sources or store.mark(SOURCES):
            store.set_mark(SOURCES, len(self.host.sources))
        try:
            self.keys.check_store(store)
            forgotten = len(to_replay(self.office, store))
        except PrivacyError as error:  # no reason not to record
            logger.error("%s", error)  # noqa: TRY400 - the text says it all
        else:
            if forgotten:
                logger.error("%d erasures are not in this database, which was restored: run `privacy-middleware replay`", forgotten)

    @classmethod
    def from_sources(
        cls, keywords: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None, *, host: Host = NO_HOST
    ) -> Privacy:
        """Build from keywords, environment and privacy.toml.

        Raises:
            SettingsError, DeclarationError: if anything there is wrong.
        """
        settings, document = load_settings(keywords, environ)
        declaration = load_declaration(document)
        _check_forms(settings, declaration)
        _check_host(settings, declaration, host)
        return cls(settings, declaration, host)


class VisitorPrivacy(msgspec.Struct, frozen=True):
    """What the host's code may know of this request, as `request.scope["privacy"]`."""

    opted_out: bool
    """True if this visitor is not recorded, by their choice or their browser's signal."""
    signal: Signal | None
    """The browser's signal that is honoured, if it sent one."""
    statement_url: str
    opt_out_url: str
    of: Privacy | None = None
    cookie: str = ""
    """That of personalised content, if the browser sent one and does not refuse."""

    def __repr__(self) -> str:
        """Without the cookie: it may end up in a log or a traceback."""
        return f"VisitorPrivacy(opted_out={self.opted_out})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """For tracebacks that show variables: without it, too."""
        return [("opted_out", self.opted_out)]

    @property
    def preferences(self) -> dict[str, list[str]] | None:
        """What the visitor chose to be shown, by the fields of the form of personalised content; None if they did not agree, or refuse.

        It is read from the database when you ask for it, within a quarter of a second, and is None if that fails.
        """
        return self.of.preferences.of(self.cookie) if self.of and self.cookie else None

    @property
    def preferences_url(self) -> str:
        """The page on which visitors choose what they are shown, and take it back."""
        return f"{self.statement_url}my-preferences" if self.statement_url else ""

    @property
    def statement_changed(self) -> date | None:
        """When the statement last changed in a way that your pages should point out: None if that is longer ago than 30 days, or never was.

        So it is if more is collected, for more, for longer, or given to more.
        """
        return self.of.changed_lately() if self.of else None

    @property
    def footer(self) -> Markup:
        """Links to the statement and the opt-out for a page's footer: `{{ request.scope.privacy.footer }}`.

        In the language of PRIVACY_LANGUAGE. Empty while the package is switched off.
        """
        return self.footer_in("")

    def footer_in(self, language: str) -> Markup:
        """Return the footer in another language: `{{ request.scope.privacy.footer_in("da") }}`."""
        if not self.statement_url or self.of is None:
            return Markup()
        _ = self.of.languages.get(language)
        choice = _("My visits are not recorded") if self.opted_out else _("Do not record my visits")
        links = Markup('<a href="{}">{}</a> · <a href="{}">{}</a>')
        return links.format(self.statement_url, _("Privacy"), self.opt_out_url, choice)


SWITCHED_OFF: Final = VisitorPrivacy(opted_out=False, signal=None, statement_url="", opt_out_url="")


def visitor_privacy(choice: Choice, base: str, privacy: Privacy) -> VisitorPrivacy:
    """Describe a request for the host's code; `base` is the path of the privacy pages, mounts in front included."""
    return VisitorPrivacy(choice.opted_out, choice.signal, f"{base}/", f"{base}/opt-out", privacy)


def rules(settings: Settings, declaration: Declaration) -> Rules:
    """Return what may be taken of a visit: what is declared, less what the settings switch off."""
    items = set(declaration.visits.items)
    if settings.ip == "none":
        items.discard("address")
    if not settings.geoip_db:
        items.discard("country")
    if not settings.sites:
        items.discard("site")
    if settings.profile == "cnil":  # audience measurement alone is exempt from consent, not that of advertisements
        items.discard("campaign")
    hosts = {urlsplit(settings.base_url).hostname or "", *(site.partition(":")[0] for site in settings.sites)} - {""}
    own_hosts = frozenset(host.removeprefix("www.") for host in hosts)
    return Rules(frozenset(items), settings.query_params, settings.path_params, settings.sites, own_hosts, declaration.forms)


def excluded(settings: Settings) -> re.Pattern[str] | None:
    """Return the pattern of paths that are never recorded: those given, and, without a `*`, all below them."""
    patterns = [translate(path) + "|" + translate(path.rstrip("/") + "/*") for path in settings.exclude_paths]
    return re.compile("|".join(patterns)) if patterns else None


def _smtp(settings: Settings, declaration: Declaration) -> Send | None:
    sender = settings.mail_from or declaration.controller.email
    return Smtp(settings.smtp_url, sender=ascii_address(sender), name=declaration.controller.name) if settings.smtp_url else None


def _check_host(settings: Settings, declaration: Declaration, host: Host) -> None:
    problems = [Countries(settings.geoip_db).check()] if settings.geoip_db else []
    problems = list(filter(None, problems))
    if settings.database_url.startswith(POSTGRES):
        problems += _check_server(settings)
    if settings.publish and find_spec("opendp") is None:
        problems.append("PRIVACY_PUBLISH is set, and opendp is not installed; `pip install 'privacy-middleware[publish]'`")
    if settings.owner_password_hash.startswith("$argon2") and find_spec("argon2") is None:
        problems.append("PRIVACY_OWNER_PASSWORD_HASH is of Argon2, and that is not installed; `pip install 'privacy-middleware[argon2]'`")
    if settings.report != "none" and not (settings.owner_email or declaration.controller.email):
        problems.append("PRIVACY_REPORT is set, and nothing says whom to mail it to; set PRIVACY_OWNER_EMAIL, or controller.email")
    problems += [
        f"recipient {one.name!r} has a webhook, and no secret to sign with; set PRIVACY_WEBHOOK_SECRETS={one.slug}=whsec_…"
        for one in declaration.recipients
        if one.webhook and one.slug not in settings.webhook_secrets
    ]
    if settings.smtp_url and not (settings.mail_from or declaration.controller.email):
        problems.append("PRIVACY_SMTP_URL is set, and nothing says whom mails are from; set PRIVACY_MAIL_FROM, or controller.email")
    try:
        ascii_address(settings.mail_from or declaration.controller.email)
    except ValueError:
        problems.append("mails cannot be from an address with letters beyond ASCII before the @; set PRIVACY_MAIL_FROM to another")
    names = [str(getattr(source, "name", "")) for source in host.sources]
    if not all(isinstance(source, DataSource) and isinstance(source.name, str) and source.name for source in host.sources):
        problems.append("sources holds what is no data source; each needs a name, and the methods export, correct and erase")
    twice = sorted({name for name in names if name and names.count(name) > 1})
    problems += [f"sources: {name!r} is the name of two; give each its own" for name in twice]
    problems += [
        f"{name} must be a function" for name in ("current_subject", "send_mail", "authorize") if not callable(getattr(host, name) or print)
    ]
    if problems and not settings.disabled:
        raise SettingsError(problems)


def _check_server(settings: Settings) -> list[str]:
    problems = []
    if find_spec("psycopg") is None:
        problems.append("PRIVACY_DATABASE_URL is of PostgreSQL, and psycopg is not installed; `pip install 'privacy-middleware[postgres]'`")
    if not settings.secret_keys:
        problems.append("PRIVACY_DATABASE_URL is of PostgreSQL, and PRIVACY_SECRET_KEYS is empty; give every host the same keys")
    return problems


def _check_forms(settings: Settings, declaration: Declaration) -> None:
    if not declaration.forms or settings.disabled:
        return
    missing = _extra_missing()
    if missing:
        raise DeclarationError(f"forms are declared, and {missing} is not installed; `pip install 'privacy-middleware[forms]'`")
    never = excluded(settings)
    for form in declaration.forms:
        _check_countries(form)
        if form.path and never is not None and never.match(form.path):
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
    return next((name for name in ("python_multipart", "stdnum", "phonenumbers") if find_spec(name) is None), "")
