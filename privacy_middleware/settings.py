"""Reads PRIVACY_* variables, keywords, and the [settings] table of privacy.toml into one frozen `Settings`.

This is the only module that looks at `os.environ`. Keywords win over the environment, the environment
over privacy.toml, and that over the defaults.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import msgspec

from . import values
from .errors import SettingsError

PREFIX: Final = "PRIVACY_"
DEFAULT_POLICY: Final = "privacy.toml"
DEFAULT_STATEMENT: Final = "statement"
LONGEST_SHOWN: Final = 200

AddressForm = Literal["truncated", "none", "full"]
Deadlines = Literal["gdpr", "uk", "ccpa"]
FEWEST_PUBLIC: Final = 10
"""No figure below this is published, whatever the owner may see."""
PROFILE_DEFAULTS: Final = {"cnil": {"ip": "none"}, "uk": {"deadlines": "uk"}, "ccpa": {"deadlines": "ccpa"}}
"""What else than the usual default holds under a profile; what is set explicitly holds all the same."""
REQUEST_DAYS: Final = 400
"""How long a closed data request is kept."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings in force. Durations carry their unit in the name; nothing here is read again later."""

    database_url: str
    secret_keys: tuple[str, ...]
    spool: str
    path: str
    base_url: str
    policy: str
    trusted_proxies: int | tuple[values.Network, ...]
    ip: AddressForm
    retention_days: int
    timezone: str
    signals: dict[str, bool]
    sites: frozenset[str]
    exclude_paths: tuple[str, ...]
    query_params: frozenset[str]
    path_params: frozenset[str]
    frame_ancestors: tuple[str, ...]
    forms: tuple[dict[str, Any], ...] | None
    form_limit: int
    submission_wait_ms: int
    smtp_url: str
    mail_from: str
    owner_email: str
    deadlines: Deadlines
    review: frozenset[str]
    erasure_delay: int
    """Hours."""
    limits: dict[str, int]
    """Requests in 24 hours, of one `address`, one `network`, and `all`."""
    suppress_below: int
    geoip_db: str
    owner_password_hash: str
    metrics_token: str
    report: Literal["none", "weekly", "monthly"]
    publish: bool
    publish_licence: str
    webhook_secrets: dict[str, bytes]
    """By the slug of the recipient."""
    webhook_inside: tuple[values.Network, ...]
    profile: Literal["", "gdpr", "cnil", "uk", "ccpa"]
    language: str
    statement: str
    disabled: bool
    origins: dict[str, str]

    def __repr__(self) -> str:
        """Without secrets: a settings object may end up in a log or a traceback."""
        return f"Settings(database_url={mask_url(self.database_url)!r}, path={self.path!r}, ip={self.ip!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """For tracebacks that show variables: without secrets, too."""
        return [("path", self.path), ("ip", self.ip)]

    @property
    def database_path(self) -> Path:
        """The SQLite file that `database_url` names; of a server, what the files of this host are named after that stand in for it."""
        if self.database_url.startswith(values.POSTGRES):
            return Path(self.spool).absolute() / "privacy"
        return Path(self.database_url.removeprefix("sqlite:///"))

    @property
    def statement_folder(self) -> Path | None:
        """The folder of the owner's sections and catalogues; None if there is none."""
        return Path(self.statement) if self.statement else None

    @property
    def zone(self) -> tzinfo:
        """The owner's time zone, in which days begin and end."""
        return UTC if self.timezone == "UTC" else ZoneInfo(self.timezone)


class Setting(msgspec.Struct, frozen=True):
    """One setting: how its text is read, what it defaults to, and what it means in one line."""

    name: str
    default: str
    parse: Callable[[str], Any]
    meaning: str
    secret: bool = False

    @property
    def variable(self) -> str:
        """The environment variable of this setting."""
        return PREFIX + self.name.upper()


SETTINGS: Final = (
    Setting(
        "database_url",
        "sqlite:///privacy.db",
        values.database_url,
        "The database: `sqlite:///` and a file, relative or absolute; or `postgresql://user:password@host/database`.",
    ),
    Setting(
        "spool",
        "",
        values.folder,
        "With PostgreSQL: the folder of this host where what comes waits while the server is away. Empty: the working directory.",
    ),
    Setting(
        "secret_keys",
        "",
        values.secret_keys,
        "Secret keys, newest first, separated by commas. Empty: one is made once and kept beside the SQLite file.",
        secret=True,
    ),
    Setting("path", "/privacy", values.path, "Where the privacy pages are mounted."),
    Setting("base_url", "", values.base_url, "The site's public address: tells own pages from sources, and https behind a proxy."),
    Setting("policy", DEFAULT_POLICY, str, "The declaration: a path to a TOML file, or TOML itself."),
    Setting(
        "trusted_proxies", "0", values.trusted_proxies, "Whose X-Forwarded-For counts: networks (`10.0.0.0/8,::1`) or a number of hops."
    ),
    Setting("ip", "truncated", values.one_of("truncated", "none", "full"), "The address kept: `truncated` (/24, /48), `none`, or `full`."),
    Setting("retention_days", "30", values.days, "Days that single visits are kept."),
    Setting("timezone", "UTC", values.timezone, "The time zone in which days begin and end."),
    Setting("signals", "gpc=refuse,dnt=refuse", values.signals, "What a browser's signal does: `refuse` or `ignore`, for `gpc` and `dnt`."),
    Setting("sites", "", values.hosts, "Host names to tell apart in the figures; any other host is not kept."),
    Setting("exclude_paths", "", values.paths, "Paths that are never recorded; `*` stands for anything: `/health,/internal/*`."),
    Setting("query_params", "", values.names, "Query parameters kept besides `utm_*` and `ref`. No other is."),
    Setting("path_params", "", values.names, "Route parameters whose value is kept: `slug` makes `/blog/{slug}` `/blog/hello`."),
    Setting("frame_ancestors", "", values.origins, "Origins of the same site that may show the opt-out page in a frame."),
    Setting("forms", "", values.forms, "The declared forms, as a JSON list or TOML; they take the place of those in privacy.toml."),
    Setting("form_limit", "65536", values.number(1024, 4_194_304), "Bytes of a form that are looked at, large files in it apart."),
    Setting(
        "submission_wait_ms",
        "250",
        values.number(20, 10_000),
        "Milliseconds that an answer waits until the database holds the submission; then at most as long again, or 500, for the spool.",
    ),
    Setting(
        "smtp_url",
        "",
        values.smtp_url,
        "The mail server: `smtp://`, `smtp+starttls://` or `smtps://`, with `user:password@` if needed.",
        secret=True,
    ),
    Setting("mail_from", "", values.email, "Whom mails are from. Empty: the controller's e-mail address."),
    Setting("owner_email", "", values.email, "Who is told of requests to review and of deadlines. Empty: the controller's e-mail address."),
    Setting(
        "deadlines", "gdpr", values.one_of("gdpr", "uk", "ccpa"), "The law whose periods hold for data requests: `gdpr`, `uk`, `ccpa`."
    ),
    Setting("review", "correction", values.kinds, "Kinds of request that wait for your approval; `complaint` always does."),
    Setting("erasure_delay", "0", values.hours, "How long a confirmed erasure can be called off before it is done: `0`, `12h`, `3d`."),
    Setting(
        "limits", "address=5,network=20,all=500", values.limits, "Data requests taken in 24 hours: of one address, one network, and in all."
    ),
    Setting("suppress_below", "3", values.number(1, 1000), "How few visitors are not shown by themselves in any figure; `1` shows all."),
    Setting("geoip_db", "", values.geoip_db, "Your MMDB file with the countries of networks; empty: no country is noted."),
    Setting("owner_password_hash", "", values.password_hash, "The hash of your password, by `privacy-middleware password`.", secret=True),
    Setting("metrics_token", "", values.token, "Opens `/privacy/metrics` (OpenMetrics) to who sends it as a bearer token.", secret=True),
    Setting("report", "none", values.one_of("none", "weekly", "monthly"), "Mails you a report: `weekly`, `monthly`, `none`."),
    Setting("publish", "0", values.flag, "`1` publishes anonymous figures, with noise, at `/privacy/figures`."),
    Setting("publish_licence", "CC-BY-4.0", str, "Under which licence the published figures may be used."),
    Setting(
        "webhook_secrets",
        "",
        values.webhook_secrets,
        "What messages to recipients are signed with: `print-post-ltd=whsec_…`, the recipient's name in small letters and hyphens.",
        secret=True,
    ),
    Setting("webhook_inside", "", values.networks, "Networks of your own that webhooks may reach, also without https: `10.1.2.0/24`."),
    Setting(
        "profile",
        "",
        values.one_of("", "gdpr", "cnil", "uk", "ccpa"),
        "The law that `check` and the start hold all against: `gdpr`, `cnil`, `uk`, `ccpa`. `cnil` keeps no address and no campaign.",
    ),
    Setting("language", "en", str.lower, "The language of who asks for none that there is, and of mails to you."),
    Setting(
        "statement",
        "",
        values.folder,
        "The folder of your own sections and catalogues; if empty, `statement` beside `privacy.toml`, where there is one.",
    ),
    Setting("disabled", "0", values.flag, "`1` switches everything off: the app runs as if it were not wrapped."),
)
_NOT_IN_FILE: Final = ("policy", "secret_keys", "forms", "smtp_url", "owner_password_hash", "metrics_token", "webhook_secrets")
_BY_NAME: Final = {setting.name: setting for setting in SETTINGS}


def load_settings(
    keywords: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> tuple[Settings, dict[str, Any]]:
    """Return the settings in force, and the rest of privacy.toml (the declaration, not yet checked).

    Raises:
        SettingsError: with one sentence for every wrong value, so that all can be mended at once.
    """
    environ = os.environ if environ is None else environ
    problems: list[str] = []
    given = {name: ("keyword", _text_of_forms(value) if name == "forms" else _text(value)) for name, value in (keywords or {}).items()
             if value is not None}  # fmt: skip
    problems += [f"{name} is not a setting; known are {', '.join(_BY_NAME)}" for name in given if name not in _BY_NAME]
    from_environment = _read_environment(environ, problems)
    policy_origin, policy_text = given.get("policy") or from_environment.get("policy") or ("default", DEFAULT_POLICY)
    document = read_policy(policy_text, problems, must_exist=policy_origin != "default")
    has_policy = bool(document)
    from_file = _read_table(document.pop("settings", {}), problems)

    profile = next((s["profile"][1] for s in (given, from_environment, from_file) if "profile" in s), "")
    from_profile = {name: (f"profile {profile}", text) for name, text in PROFILE_DEFAULTS.get(profile, {}).items()}
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for setting in SETTINGS:
        sources = (given, from_environment, from_file, from_profile)
        origin, text = next((s[setting.name] for s in sources if setting.name in s), ("default", setting.default))
        origins[setting.name] = origin
        try:
            values[setting.name] = setting.parse(text)
        except ValueError as error:
            shown = "the value" if setting.secret or len(text) > LONGEST_SHOWN else repr(mask_url(text))
            problems.append(f"{setting.variable} ({origin}): {shown} {error}")
    if problems:
        raise SettingsError(problems)
    values["statement"] = values["statement"] or (_beside(policy_text) if has_policy else "")
    settings = Settings(**values, origins=origins)
    return settings, document if settings.forms is None else {**document, "forms": settings.forms}


def _beside(policy: str) -> str:
    """Return the folder `statement` beside privacy.toml, if there is one."""
    folder = Path(policy).parent / DEFAULT_STATEMENT
    return str(folder.absolute()) if not _is_inline(policy) and folder.is_dir() else ""


def _is_inline(policy: str) -> bool:
    return "\n" in policy or ("=" in policy and not policy.endswith(".toml"))


def read_policy(text: str, problems: list[str], *, must_exist: bool) -> dict[str, Any]:
    """Parse privacy.toml from a path or from TOML itself; a missing default file is an empty policy."""
    inline = _is_inline(text)
    where = "the inline text" if inline else repr(text)
    try:
        return tomllib.loads(text if inline else Path(text).read_text(encoding="utf-8"))
    except FileNotFoundError:
        if must_exist:
            problems.append(f"PRIVACY_POLICY: there is no file {text!r}; write the path of your privacy.toml, or TOML itself")
    except tomllib.TOMLDecodeError as error:
        problems.append(f"PRIVACY_POLICY: {where} is not valid TOML: {error}")
    except (OSError, ValueError) as error:  # not readable, not UTF-8, no possible path
        problems.append(f"PRIVACY_POLICY: {where} cannot be read ({type(error).__name__}); make it a readable UTF-8 file")
    return {}


def effective(settings: Settings) -> list[tuple[str, str, str]]:
    """Return (variable, value as text, origin) of every setting, with secrets masked."""
    return [(s.variable, _shown(s, getattr(settings, s.name)), settings.origins[s.name]) for s in SETTINGS]


def settings_table() -> str:
    """Return the settings as a Markdown table, as it stands in the README."""
    rows = [f"| `{s.variable}` | {f'`{s.default}`' if s.default else '(empty)'} | {s.meaning} |" for s in SETTINGS]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows])


def mask_url(text: str) -> str:
    """Hide the passwords of a URL."""
    return re.sub(r"(password=)[^&\s]*", r"\1***", re.sub(r"(://[^:/@\s]*):\S*@", r"\1:***@", text))


def _read_environment(environ: Mapping[str, str], problems: list[str]) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for variable, text in environ.items():
        if not variable.startswith(PREFIX):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name in _BY_NAME:
            found[name] = ("environment", text)
        elif name == "secret_keys_file":
            found.setdefault(*_read_secret_file(text, problems))
        else:
            problems.append(f"{variable} is not a setting of this package; see the README's table, or unset it")
    return found


def _read_secret_file(path: str, problems: list[str]) -> tuple[str, tuple[str, str]]:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        problems.append(f"PRIVACY_SECRET_KEYS_FILE: {path!r} cannot be read ({type(error).__name__}); name a readable file")
        return "secret_keys", ("file", "")
    if not text.strip():
        problems.append(f"PRIVACY_SECRET_KEYS_FILE: {path!r} is empty; write a key into it, or unset the variable")
    return "secret_keys", (f"file {path}", text)


def _read_table(table: Any, problems: list[str]) -> dict[str, tuple[str, str]]:
    if not isinstance(table, dict):
        problems.append("[settings] in privacy.toml is not a table; write [settings] on a line of its own")
        return {}
    unknown = [name for name in table if name not in _BY_NAME or name in _NOT_IN_FILE]
    allowed = ", ".join(name for name in _BY_NAME if name not in _NOT_IN_FILE)
    problems += [f"[settings] {name} in privacy.toml is not a setting that may stand there; known are {allowed}" for name in unknown]
    return {name: ("privacy.toml", _text(value)) for name, value in table.items() if name not in unknown}


def _text(value: Any) -> str:
    """Write a Python or TOML value as the text that the environment would hold."""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, Mapping):
        return ",".join(f"{key}={entry}" for key, entry in value.items())
    if isinstance(value, (list, tuple, set, frozenset)):
        return ",".join(map(str, value))
    return str(value)


def _text_of_forms(value: Any) -> str:
    """Write a list of forms as JSON; what is none stays as it is, to be refused."""
    try:
        return value if isinstance(value, str) else json.dumps(value)
    except (TypeError, ValueError) as error:
        return f"{type(value).__name__} ({error})"


def _shown(setting: Setting, value: Any) -> str:
    if setting.name == "smtp_url":
        return re.sub(r"//.*@", "//***@", value)
    if setting.secret:
        return f"*** ({len(value)} given)" if isinstance(value, (tuple, dict)) and value else "***" if value else ""
    if setting.name == "forms":
        return ",".join(str(form.get("name")) for form in value or ())
    if setting.name == "database_url" and not value.startswith(values.POSTGRES):
        path = Path(value.removeprefix("sqlite:///"))
        return f"sqlite:///{path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}"
    if setting.name == "signals":
        return ",".join(f"{name}={'refuse' if on else 'ignore'}" for name, on in value.items())
    if setting.name == "erasure_delay":
        return f"{value}h" if value else "0"
    if isinstance(value, frozenset):
        value = sorted(value)
    return mask_url(" ".join(_text(value).split()))
