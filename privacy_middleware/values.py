"""Reads the text of one setting; what is wrong with it is said in a sentence that goes on after the value."""

from __future__ import annotations

import base64
import ipaddress
import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

SECRET_MIN_LENGTH: Final = 32
LONGEST_RETENTION_DAYS: Final = 3660
LONGEST_DELAY_HOURS: Final = 14 * 24
"""A month is all the time there is to erase."""
SMTP_PORTS: Final = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
REQUEST_KINDS: Final = ("overview", "correction", "erasure", "restriction", "objection", "complaint")
WEBHOOK_SECRET_BYTES: Final = 24
"""At the least (Standard Webhooks)."""
POSTGRES: Final = ("postgresql://", "postgres://")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def database_url(text: str) -> str:
    """Read the address of a database; a relative path is one from the folder of now, wherever the process goes afterwards."""
    if text.startswith(POSTGRES):
        return text
    if not text.startswith("sqlite:///") or text in ("sqlite:///", "sqlite:///:memory:") or set("\0?") & set(text):
        raise ValueError("is not a database this version can use; write sqlite:///path/to/privacy.db, or postgresql://user@host/database")
    return f"sqlite:///{Path(text.removeprefix('sqlite:///')).absolute()}"


def folder(text: str) -> str:
    """Read the path of a folder that is there."""
    if text and not Path(text).is_dir():
        raise ValueError("is no folder; write the path of one, or leave it empty")
    return text and str(Path(text).absolute())


def secret_keys(text: str) -> tuple[str, ...]:
    """Read secret keys, newest first."""
    keys = tuple(entries(text))
    if any(len(key) < SECRET_MIN_LENGTH for key in keys):
        raise ValueError(
            f"has a key shorter than {SECRET_MIN_LENGTH} characters; make one with "
            "`python -c 'import secrets; print(secrets.token_urlsafe(32))'`"
        )
    return keys


def path(text: str) -> str:
    """Read a mount path."""
    if not re.fullmatch(r"(/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)+", text):
        raise ValueError("is not a mount path; write a path that starts with / and does not end with it, like /privacy")
    return text


def base_url(text: str) -> str:
    """Read a site's public address."""
    try:
        parts = urlsplit(text)
        sound = parts.scheme in ("http", "https") and parts.hostname and not (parts.query or parts.fragment or parts.port == 0)
    except ValueError:  # an impossible port or IPv6 address
        sound = False
    if text and (not sound or not re.fullmatch(r"[\w:/?#\[\]@!$&'()*+,;=.~%-]+", text, re.ASCII)):
        raise ValueError("is not an absolute URL; write for example https://www.example.org")
    return text.rstrip("/")


def trusted_proxies(text: str) -> int | tuple[Network, ...]:
    """Read a number of hops, or networks."""
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        return tuple(ipaddress.ip_network(entry, strict=False) for entry in entries(text))
    except ValueError as error:
        raise ValueError(f"is neither a number of hops nor a list of networks ({error}); write 1 or 10.0.0.0/8") from None


def networks(text: str) -> tuple[Network, ...]:
    """Read networks."""
    try:
        return tuple(ipaddress.ip_network(entry, strict=False) for entry in entries(text))
    except ValueError as error:
        raise ValueError(f"is no list of networks ({error}); write for example 10.1.2.0/24") from None


def webhook_secrets(text: str) -> dict[str, bytes]:
    """`print-post-ltd=whsec_…` -> the secret in bytes, by the name (Standard Webhooks)."""
    found = {}
    for entry in entries(text):
        name, _, secret = entry.partition("=")
        try:
            if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) or not secret.startswith("whsec_"):
                raise ValueError
            found[name] = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except ValueError:
            raise ValueError(
                "is no list of names and secrets; write for example print-post-ltd=whsec_ and 32 random bytes in base64"
            ) from None
        if len(found[name]) < WEBHOOK_SECRET_BYTES:
            raise ValueError(f"has a secret of fewer than {WEBHOOK_SECRET_BYTES} bytes; make one with `openssl rand -base64 32`")
    return found


def one_of(*allowed: str) -> Callable[[str], str]:
    """Return what reads one of some words."""

    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"is not known; write one of {', '.join(allowed)}")
        return text

    return parse


def days(text: str) -> int:
    """Read a number of days."""
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= LONGEST_RETENTION_DAYS:
        raise ValueError(f"is not a number of days; write a whole number from 1 to {LONGEST_RETENTION_DAYS}")
    return int(text)


def number(least: int, most: int) -> Callable[[str], int]:
    """Return what reads a whole number from `least` to `most`."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or not least <= int(text) <= most:
            raise ValueError(f"is not a whole number from {least} to {most}")
        return int(text)

    return parse


def forms(text: str) -> tuple[dict[str, Any], ...] | None:
    """Read the forms of PRIVACY_FORMS, not yet checked: a JSON list, or TOML with [[forms]] as in privacy.toml. None if it is empty."""
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


def timezone(text: str) -> str:
    """Read the name of a time zone."""
    if text == "UTC":
        return text
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("is not a known time zone; write one like Europe/Copenhagen, or `pip install tzdata`") from None
    return text


def signals(text: str) -> dict[str, bool]:
    """`gpc=refuse,dnt=ignore` -> {"gpc": True, "dnt": False}; a signal that is not named is honoured."""
    signals = {"gpc": True, "dnt": True}
    for entry in entries(text):
        name, _, action = entry.partition("=")
        if name not in signals or action not in ("refuse", "ignore"):
            raise ValueError("is not a list of signals; write for example gpc=refuse,dnt=ignore")
        signals[name] = action == "refuse"
    return signals


def paths(text: str) -> tuple[str, ...]:
    """Read paths."""
    paths = tuple(entries(text))
    if any(not path.startswith("/") for path in paths):
        raise ValueError("has an entry that does not start with /; write for example /health,/internal/*")
    return paths


def origins(text: str) -> tuple[str, ...]:
    """Read origins."""
    origins = tuple(entries(text))
    if any(not re.fullmatch(r"'self'|https?://(\*\.)?[A-Za-z0-9.-]+(:\d+)?", origin) for origin in origins):
        raise ValueError("has an entry that is not an origin; write for example 'self',https://www.example.org")
    return origins


def hosts(text: str) -> frozenset[str]:
    """Read host names."""
    hosts = frozenset(entry.lower() for entry in entries(text))
    if any(not re.fullmatch(r"[a-z0-9.-]+(:\d+)?", host) for host in hosts):
        raise ValueError("has an entry that is not a host name; write for example www.example.org,shop.example.org")
    return hosts


def names(text: str) -> frozenset[str]:
    """Read names."""
    return frozenset(entries(text))


def smtp_url(text: str) -> str:
    """Read the address of a mail server."""
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


def email(text: str) -> str:
    """Read one e-mail address."""
    if text and not re.fullmatch(r"[^@\s<>,;:\"]+@[^@\s<>,;:\"]+", text):
        raise ValueError("is not one e-mail address; write for example privacy@example.org")
    return text


def kinds(text: str) -> frozenset[str]:
    """Read kinds of data requests."""
    kinds = names(text)
    if kinds - set(REQUEST_KINDS):
        raise ValueError(f"names what is no kind of request; known are {', '.join(REQUEST_KINDS)}")
    return kinds


def hours(text: str) -> int:
    """`0`, `12h`, `3d` -> hours."""
    found = re.fullmatch(r"0|([0-9]{1,3})([hd])", text)
    hours = int(found[1] or 0) * {"h": 1, "d": 24, None: 0}[found[2]] if found else LONGEST_DELAY_HOURS + 1
    if hours > LONGEST_DELAY_HOURS:
        raise ValueError(f"is not a time of up to {LONGEST_DELAY_HOURS // 24} days; write 0, 12h or 3d")
    return hours


def limits(text: str) -> dict[str, int]:
    """`address=5,network=20,all=500` -> numbers; what is not named stays as it is by default."""
    limits = {"address": 5, "network": 20, "all": 500}
    for entry in entries(text):
        name, _, number = entry.partition("=")
        if name not in limits or not (number.isascii() and number.isdigit()) or not 1 <= int(number) <= 1_000_000:
            raise ValueError("is not a list of limits; write for example address=5,network=20,all=500 (requests in 24 hours)")
        limits[name] = int(number)
    return limits


def flag(text: str) -> bool:
    """Read yes or no."""
    flags = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False, "": False}
    if text.lower() not in flags:
        raise ValueError("is neither yes nor no; write 1 or 0")
    return flags[text.lower()]


def entries(text: str) -> list[str]:
    """Read a list, separated by commas or white space."""
    return [entry for entry in re.split(r"[,\s]+", text) if entry]


def token(text: str) -> str:
    """Read a secret word that a program sends."""
    if text and (len(text) < SECRET_MIN_LENGTH or not re.fullmatch(r"[\x21-\x7e]+", text)):
        raise ValueError(f"is no token of {SECRET_MIN_LENGTH} characters and more; make one with `privacy-middleware password --token`")
    return text


def password_hash(text: str) -> str:
    """Read the hash of a password, as `privacy-middleware password` prints it, or of Argon2."""
    if text and not re.fullmatch(r"scrypt:\d+:\d+:\d+:[\w-]+:[\w-]+|\$argon2(id|i|d)\$.+", text):
        raise ValueError("is not the hash of a password; make one with `privacy-middleware password`")
    return text


def geoip_db(text: str) -> str:
    """Read the path of an MMDB file."""
    if text and not text.endswith(".mmdb"):
        raise ValueError("is not the path of an MMDB file; download one, such as DB-IP's or MaxMind's country database, and write its path")
    return text
