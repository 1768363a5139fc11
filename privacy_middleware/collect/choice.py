"""Decides from a request's headers whether its visitor refuses to be recorded, and writes their choice.

An explicit choice (cookie) wins over a signal of the browser, and a signal over the default, which is to record.
Sources: Global Privacy Control (W3C, section 3.2: the field value is exactly `1`); Tracking Preference
Expression (W3C, section 5.2: `DNT` starts with `1`); RFC 6265bis for the `__Host-` prefix.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal, NamedTuple

import msgspec

COOKIE: Final = "privacy-choice"
SECURE_COOKIE: Final = "__Host-" + COOKIE
REFUSED: Final = "refuse"
ALLOWED: Final = "allow"
PREFERENCES: Final = "privacy-preferences"
SECURE_PREFERENCES: Final = "__Host-" + PREFERENCES
OUR_COOKIES: Final = b"privacy-"
"""What the names of both cookies have in them."""
LIFETIME_DAYS: Final = 390
"""Under 13 months, the longest that the CNIL allows a choice to be kept without asking again."""

CHOICE_HEADERS: Final = frozenset((b"cookie", b"sec-gpc", b"dnt"))
"""The headers that `read_choice` looks at."""

_VALUE: Final = re.compile(r"(refuse|allow)(?:\.([0-9a-f]{8}))?")
"""What the cookie holds: the choice, and the version of the statement that was in force. (Not its day: who refuses on a day when nobody
else does could be known again by it.)"""

Signal = Literal["gpc", "dnt"]
Headers = Iterable[tuple[bytes, bytes]]


class Choice(msgspec.Struct, frozen=True):
    """What a visitor decided (`refuse`, `allow`, or None), and which signal their browser sent, if any is honoured."""

    explicit: str | None
    signal: Signal | None

    @property
    def opted_out(self) -> bool:
        """True if nothing may be recorded."""
        return self.explicit == REFUSED if self.explicit else self.signal is not None


def read_choice(headers: Headers, signals: dict[str, bool], *, secure: bool = False) -> Choice:
    """Return the visitor's choice; `signals` says which signals are honoured, `secure` that the request came over https.

    Over https, the cookie without `__Host-` may refuse but not allow: another host of the same domain can plant it. A header
    that is repeated counts if any one of its values refuses. A choice cookie whose value is neither of ours counts as a
    refusal: when the choice cannot be read, nothing is recorded.
    """
    explicit: str | None = None
    signal: Signal | None = None
    for name, value in headers:
        if name == b"cookie":
            explicit = _stricter(explicit, _explicit(value, secure=secure))
        elif name == b"sec-gpc" and signals["gpc"] and b"1" in _values(value):
            signal = "gpc"
        elif name == b"dnt" and signals["dnt"] and any(one[:1] == b"1" for one in _values(value)):
            signal = signal or "dnt"
    return Choice(explicit, signal)


class Kept(NamedTuple):
    """A choice as the cookie keeps it."""

    choice: str
    version: str
    """"" in cookies of older versions of this package."""


def kept_choice(cookies: Mapping[str, str]) -> Kept | None:
    """Return what the cookie keeps, for a receipt; None without one. `read_choice` says what is in force."""
    match = _VALUE.fullmatch((cookies.get(SECURE_COOKIE) or cookies.get(COOKIE) or "").strip('"'))
    return Kept(match[1], match[2] or "") if match else None


def choice_cookie(choice: str, *, version: str, secure: bool) -> str:
    """Return the Set-Cookie value that keeps a choice; it is the same for everybody who chooses so under this version of the statement."""
    value = f"{choice}.{version}"
    attributes = f"; Max-Age={LIFETIME_DAYS * 86400}; Path=/; SameSite=Lax; HttpOnly"
    return f"{SECURE_COOKIE}={value}{attributes}; Secure" if secure else f"{COOKIE}={value}{attributes}"


def stale_cookie() -> str:
    """Return the Set-Cookie value that removes a choice made over plain http, once another is made over https."""
    return f"{COOKIE}=; Max-Age=0; Path=/; SameSite=Lax; HttpOnly"


def preferences_cookie(headers: Headers, *, secure: bool) -> str:
    """Return the value of the cookie of personalised content, not checked; "" if there is none.

    Over https, only the one that no other host of the domain can plant; where a proxy does not say that it is https, that one first.
    """
    found: dict[bytes, str] = {}
    for header, value in headers:
        for pair in value.split(b";") if header == b"cookie" else ():
            key, _, kept = pair.strip().partition(b"=")
            found.setdefault(key, kept.strip(b'"').decode("latin-1"))
    plain = "" if secure else found.get(PREFERENCES.encode(), "")
    return found.get(SECURE_PREFERENCES.encode()) or plain


def set_preferences_cookie(value: str, *, days: int, secure: bool) -> str:
    """Return the Set-Cookie value that keeps, or with 0 days removes, the cookie of personalised content."""
    attributes = f"; Max-Age={min(days, LIFETIME_DAYS) * 86400}; Path=/; SameSite=Lax; HttpOnly"
    return f"{SECURE_PREFERENCES}={value}{attributes}; Secure" if secure else f"{PREFERENCES}={value}{attributes}"


def _values(header: bytes) -> list[bytes]:
    """Split what a proxy may have joined of repeated headers (RFC 9110, 5.3)."""
    return [value.strip() for value in header.split(b",")]


def _explicit(cookie: bytes, *, secure: bool) -> str | None:
    found: str | None = None
    for pair in cookie.split(b";"):
        name, _, value = (part.strip() for part in pair.partition(b"="))
        if name not in (COOKIE.encode(), SECURE_COOKIE.encode()):
            continue
        match = _VALUE.fullmatch(value.strip(b'"').decode("latin-1"))
        choice = ALLOWED if match and match[1] == ALLOWED else REFUSED
        if choice == REFUSED or not secure or name == SECURE_COOKIE.encode():
            found = _stricter(found, choice)
    return found


def _stricter(one: str | None, other: str | None) -> str | None:
    return REFUSED if REFUSED in (one, other) else one or other
