"""Reads PRIVACY_* variables, keywords, and the [settings] table of privacy.toml into one frozen `Settings`.

This is the only module that looks at `os.environ`. Keywords win over the environment, the environment
over privacy.toml, and that over the defaults.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from .errors import SettingsError

PREFIX: Final = "PRIVACY_"
DEFAULT_POLICY: Final = "privacy.toml"
SECRET_MIN_LENGTH: Final = 32
LONGEST_RETENTION_DAYS: Final = 3660
LONGEST_SHOWN: Final = 200
LONGEST_DELAY_HOURS: Final = 14 * 24
"""A month is all the time there is to erase."""
SMTP_PORTS: Final = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
AddressForm = Literal["truncated", "none", "full"]
Deadlines = Literal["gdpr", "uk", "ccpa"]
REQUEST_DAYS: Final = 400
"""How long a closed data request is kept."""
REQUEST_KINDS: Final = ("overview", "correction", "erasure", "restriction", "objection", "complaint")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings in force. Durations carry their unit in the name; nothing here is read again later."""

    database_url: str
    secret_keys: tuple[str, ...]
    path: str
    base_url: str
    policy: str
    trusted_proxies: int | tuple[Network, ...]
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
        """The SQLite file that `database_url` names."""
        return Path(self.database_url.removeprefix("sqlite:///"))

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


def _database_url(text: str) -> str:
    if not text.startswith("sqlite:///") or text in ("sqlite:///", "sqlite:///:memory:") or set("\0?") & set(text):
        raise ValueError("is not a database this version can use; write sqlite:///path/to/privacy.db")
    return text


def _secret_keys(text: str) -> tuple[str, ...]:
    keys = tuple(_list(text))
    if any(len(key) < SECRET_MIN_LENGTH for key in keys):
        raise ValueError(
            f"has a key shorter than {SECRET_MIN_LENGTH} characters; make one with "
            "`python -c 'import secrets; print(secrets.token_urlsafe(32))'`"
        )
    return keys


def _path(text: str) -> str:
    if not re.fullmatch(r"(/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)+", text):
        raise ValueError("is not a mount path; write a path that starts with / and does not end with it, like /privacy")
    return text


def _base_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        sound = parts.scheme in ("http", "https") and parts.hostname and not (parts.query or parts.fragment or parts.port == 0)
    except ValueError:  # an impossible port or IPv6 address
        sound = False
    if text and (not sound or not re.fullmatch(r"[\w:/?#\[\]@!$&'()*+,;=.~%-]+", text, re.ASCII)):
        raise ValueError("is not an absolute URL; write for example https://www.example.org")
    return text.rstrip("/")


def _trusted_proxies(text: str) -> int | tuple[Network, ...]:
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        return tuple(ipaddress.ip_network(entry, strict=False) for entry in _list(text))
    except ValueError as error:
        raise ValueError(f"is neither a number of hops nor a list of networks ({error}); write 1 or 10.0.0.0/8") from None


def _choice(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"is not known; write one of {', '.join(allowed)}")
        return text

    return parse


def _days(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= LONGEST_RETENTION_DAYS:
        raise ValueError(f"is not a number of days; write a whole number from 1 to {LONGEST_RETENTION_DAYS}")
    return int(text)


def _number(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or not least <= int(text) <= most:
            raise ValueError(f"is not a whole number from {least} to {most}")
        return int(text)

    return parse


def _forms(text: str) -> tuple[dict[str, Any], ...] | None:
    """The forms of PRIVACY_FORMS, not yet checked: a JSON list, or TOML with [[forms]] as in privacy.toml. None if it is empty."""
    if not text.strip():
        return None
    try:
        document = {"forms": _json_list(text)} if text.lstrip()[:1] == "[" and text.lstrip()[:2] != "[[" else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is neither a JSON list nor TOML with [[forms]] ({error})") from None
    found = document.get("forms")
    if not isinstance(found, list) or not all(isinstance(form, dict) for form in found) or not (found or text.strip() == "[]"):
        raise ValueError('holds no forms; write a JSON list like [{"name": …}], or TOML with [[forms]] as in the README')
    others = sorted(set(document) - {"forms"})
    if others:
        raise ValueError(f"holds {', '.join(others)} besides forms; write those into privacy.toml")
    return tuple(found)


def _json_list(text: str) -> Any:
    """Parse JSON; what begins with a bracket may also be the first table of TOML."""
    try:
        return json.loads(text)
    except ValueError as error:
        try:
            return tomllib.loads(text).get("forms")
        except tomllib.TOMLDecodeError:
            raise error from None


def _timezone(text: str) -> str:
    if text == "UTC":
        return text
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("is not a known time zone; write one like Europe/Copenhagen, or `pip install tzdata`") from None
    return text


def _signals(text: str) -> dict[str, bool]:
    """`gpc=refuse,dnt=ignore` -> {"gpc": True, "dnt": False}; a signal that is not named is honoured."""
    signals = {"gpc": True, "dnt": True}
    for entry in _list(text):
        name, _, action = entry.partition("=")
        if name not in signals or action not in ("refuse", "ignore"):
            raise ValueError("is not a list of signals; write for example gpc=refuse,dnt=ignore")
        signals[name] = action == "refuse"
    return signals


def _paths(text: str) -> tuple[str, ...]:
    paths = tuple(_list(text))
    if any(not path.startswith("/") for path in paths):
        raise ValueError("has an entry that does not start with /; write for example /health,/internal/*")
    return paths


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(_list(text))
    if any(not re.fullmatch(r"'self'|https?://(\*\.)?[A-Za-z0-9.-]+(:\d+)?", origin) for origin in origins):
        raise ValueError("has an entry that is not an origin; write for example 'self',https://www.example.org")
    return origins


def _hosts(text: str) -> frozenset[str]:
    hosts = frozenset(entry.lower() for entry in _list(text))
    if any(not re.fullmatch(r"[a-z0-9.-]+(:\d+)?", host) for host in hosts):
        raise ValueError("has an entry that is not a host name; write for example www.example.org,shop.example.org")
    return hosts


def _names(text: str) -> frozenset[str]:
    return frozenset(_list(text))


def _smtp_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        host = parts.netloc.rpartition("@")[2]
        sound = parts.scheme in SMTP_PORTS and bool(parts.hostname) and parts.port != 0
        sound = (
            sound
            and parts.path in ("", "/")
            and not (parts.query or parts.fragment)
            and bool(re.fullmatch(r"[\w.:\[\]-]+", host, re.ASCII))
            and text.isprintable()  # `urlsplit` takes line ends out
        )
    except ValueError:  # an impossible port
        sound = False
    if text and not sound:
        raise ValueError("is not the address of a mail server; write smtp://, smtp+starttls:// or smtps://, and user:password@host:port")
    return text


def _email(text: str) -> str:
    if text and not re.fullmatch(r"[^@\s<>,;:\"]+@[^@\s<>,;:\"]+", text):
        raise ValueError("is not one e-mail address; write for example privacy@example.org")
    return text


def _kinds(text: str) -> frozenset[str]:
    kinds = _names(text)
    if kinds - set(REQUEST_KINDS):
        raise ValueError(f"names what is no kind of request; known are {', '.join(REQUEST_KINDS)}")
    return kinds


def _hours(text: str) -> int:
    """`0`, `12h`, `3d` -> hours."""
    found = re.fullmatch(r"0|([0-9]{1,3})([hd])", text)
    hours = int(found[1] or 0) * {"h": 1, "d": 24, None: 0}[found[2]] if found else LONGEST_DELAY_HOURS + 1
    if hours > LONGEST_DELAY_HOURS:
        raise ValueError(f"is not a time of up to {LONGEST_DELAY_HOURS // 24} days; write 0, 12h or 3d")
    return hours


def _limits(text: str) -> dict[str, int]:
    """`address=5,network=20,all=500` -> numbers; what is not named stays as it is by default."""
    limits = {"address": 5, "network": 20, "all": 500}
    for entry in _list(text):
        name, _, number = entry.partition("=")
        if name not in limits or not (number.isascii() and number.isdigit()) or not 1 <= int(number) <= 1_000_000:
            raise ValueError("is not a list of limits; write for example address=5,network=20,all=500 (requests in 24 hours)")
        limits[name] = int(number)
    return limits


def _flag(text: str) -> bool:
    flags = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False, "": False}
    if text.lower() not in flags:
        raise ValueError("is neither yes nor no; write 1 or 0")
    return flags[text.lower()]


def _list(text: str) -> list[str]:
    return [entry for entry in re.split(r"[,\s]+", text) if entry]


SETTINGS: Final = (
    Setting("database_url", "sqlite:///privacy.db", _database_url, "The database: `sqlite:///` and a file, relative or absolute."),
    Setting(
        "secret_keys",
        "",
        _secret_keys,
        "Secret keys, newest first, separated by commas. Empty: one is made once and kept beside the SQLite file.",
        secret=True,
    ),
    Setting("path", "/privacy", _path, "Where the privacy pages are mounted."),
    Setting("base_url", "", _base_url, "The site's public address: tells own pages from sources, and https behind a proxy."),
    Setting("policy", DEFAULT_POLICY, str, "The declaration: a path to a TOML file, or TOML itself."),
    Setting("trusted_proxies", "0", _trusted_proxies, "Whose X-Forwarded-For counts: networks (`10.0.0.0/8,::1`) or a number of hops."),
    Setting("ip", "truncated", _choice("truncated", "none", "full"), "The address kept: `truncated` (/24, /48), `none`, or `full`."),
    Setting("retention_days", "30", _days, "Days that single visits are kept."),
    Setting("timezone", "UTC", _timezone, "The time zone in which days begin and end."),
    Setting("signals", "gpc=refuse,dnt=refuse", _signals, "What a browser's signal does: `refuse` or `ignore`, for `gpc` and `dnt`."),
    Setting("sites", "", _hosts, "Host names to tell apart in the figures; any other host is not kept."),
    Setting("exclude_paths", "", _paths, "Paths that are never recorded; `*` stands for anything: `/health,/internal/*`."),
    Setting("query_params", "", _names, "Query parameters kept besides `utm_*` and `ref`. No other is."),
    Setting("path_params", "", _names, "Route parameters whose value is kept: `slug` makes `/blog/{slug}` `/blog/hello`."),
    Setting("frame_ancestors", "", _origins, "Origins of the same site that may show the opt-out page in a frame."),
    Setting("forms", "", _forms, "The declared forms, as a JSON list or TOML; they take the place of those in privacy.toml."),
    Setting("form_limit", "65536", _number(1024, 4_194_304), "Bytes of a form that are looked at, large files in it apart."),
    Setting(
        "submission_wait_ms",
        "250",
        _number(20, 10_000),
        "Milliseconds that an answer waits until the database holds the submission; then at most as long again, or 500, for the spool.",
    ),
    Setting(
        "smtp_url",
        "",
        _smtp_url,
        "The mail server: `smtp://`, `smtp+starttls://` or `smtps://`, with `user:password@` if needed.",
        secret=True,
    ),
    Setting("mail_from", "", _email, "Whom mails are from. Empty: the controller's e-mail address."),
    Setting("owner_email", "", _email, "Who is told of requests to review and of deadlines. Empty: the controller's e-mail address."),
    Setting("deadlines", "gdpr", _choice("gdpr", "uk", "ccpa"), "The law whose periods hold for data requests: `gdpr`, `uk`, `ccpa`."),
    Setting("review", "correction", _kinds, "Kinds of request that wait for your approval; `complaint` always does."),
    Setting("erasure_delay", "0", _hours, "How long a confirmed erasure can be called off before it is done: `0`, `12h`, `3d`."),
    Setting("limits", "address=5,network=20,all=500", _limits, "Data requests taken in 24 hours: of one address, one network, and in all."),
    Setting("disabled", "0", _flag, "`1` switches everything off: the app runs as if it were not wrapped."),
)
_NOT_IN_FILE: Final = ("policy", "secret_keys", "forms", "smtp_url")
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
    from_file = _read_table(document.pop("settings", {}), problems)

    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for setting in SETTINGS:
        sources = (given, from_environment, from_file)
        origin, text = next((s[setting.name] for s in sources if setting.name in s), ("default", setting.default))
        origins[setting.name] = origin
        try:
            values[setting.name] = setting.parse(text)
        except ValueError as error:
            shown = "the value" if setting.secret or len(text) > LONGEST_SHOWN else repr(mask_url(text))
            problems.append(f"{setting.variable} ({origin}): {shown} {error}")
    if problems:
        raise SettingsError(problems)
    settings = Settings(**values, origins=origins)
    return settings, document if settings.forms is None else {**document, "forms": settings.forms}


def read_policy(text: str, problems: list[str], *, must_exist: bool) -> dict[str, Any]:
    """Parse privacy.toml from a path or from TOML itself; a missing default file is an empty policy."""
    inline = "\n" in text or ("=" in text and not text.endswith(".toml"))
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
    """Hide the password of a URL."""
    return re.sub(r"(://[^:/@\s]*):\S*@", r"\1:***@", text)


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
        return f"*** ({len(value)} given)" if value else ""
    if setting.name == "forms":
        return ",".join(str(form.get("name")) for form in value or ())
    if setting.name == "signals":
        return ",".join(f"{name}={'refuse' if on else 'ignore'}" for name, on in value.items())
    if setting.name == "erasure_delay":
        return f"{value}h" if value else "0"
    if isinstance(value, frozenset):
        value = sorted(value)
    return mask_url(" ".join(_text(value).split()))
