"""Names the page of a request so that reports do not explode, and so that no path gives a person away."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlencode

LONGEST_PATH: Final = 300
LONGEST_CAMPAIGN: Final = 300
LONGEST_VALUE: Final = 80
LONG_NUMBER_DIGITS: Final = 5

_EMAIL: Final = re.compile(r"[^\s/@;,]{1,64}@[^\s/@;,]{1,255}\.[^\W\d_]{2,63}")
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
_DATE: Final = r"20\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?!\d)"
_NUMBER: Final = re.compile(rf"(?<!\d)(?!{_DATE})\+?\d{{{LONG_NUMBER_DIGITS},}}")
_PHONE: Final = re.compile(r"\+?\(?\d[\d\s().-]{6,}\d")
_RUN: Final = re.compile(r"[\w~+=.-]{16,}", re.ASCII)
_WORD: Final = re.compile(
    r"\d{0,4}[a-z]+\d{0,5}|[A-Z]?[a-z]+\d{0,4}|[A-Z]{1,6}\d{0,2}|\d{1,4}|20\d{6}|[a-z]\d[a-z]"
    r"|(?:[A-Z][a-z]|[a-z]{1,8})?(?:[A-Z][a-z]{2,}){1,4}\d{0,4}|[a-z]{2,6}[A-Z]{2,3}|"
)
"""A word of a name that people read: 36 in a million random tokens of 128 bits are made of such words alone."""
_SHORT: Final = re.compile(r"(?<![A-Za-z0-9])(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{8,15}(?![A-Za-z0-9])")
_CHANGE: Final = re.compile(r"[a-z](?=[A-Z0-9])|[A-Z](?=[0-9])|[0-9](?=[A-Za-z])")
_ADDRESS: Final = re.compile(r"(?:\d{1,3}\.){3}\d{1,3}|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){3,7}|(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}")
_PAIRS: Final = re.compile(r"(?:\+?\d{1,3} )?(?:\d\d[ .]){3,4}\d\d")
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_UTM: Final = re.compile(r"utm_[a-z_]{1,20}")
_PARAMETER: Final = re.compile(r"\{(\w+)(?::(\w+))?\}")


def page_name(path: str, template: str | None, kept: frozenset[str]) -> str:
    """Return the route template where the host gave one, filled with the parameters in `kept`; else the scrubbed path.

    `/orders/17` under `/orders/{id}` is `/orders/{id}`. Without a template, segments that look like a person or
    a secret are replaced by their kind: `/reset/{token}`.
    """
    if template is None:
        return scrub_path(path)
    if kept:
        template = _fill(path, template, kept)
    return _PARAMETER.sub(r"{\1}", template)[:LONGEST_PATH]


@lru_cache(maxsize=4096)
def scrub_path(path: str) -> str:
    """Replace each segment of a path that looks like a person or a secret by its kind, such as `{email}` or `{number}`."""
    return "/".join([segment and clean(scrub(segment)) for segment in path.split("/")])[:LONGEST_PATH]


def scrub(text: str) -> str:
    """Replace what looks like an e-mail address, UUID, token, telephone or long number in one short text."""
    for _ in range(10):  # some escape what is escaped already
        if "%" not in text:
            break
        text = unquote(text)
    if "@" in text:
        text = _EMAIL.sub("{email}", text)
    if _ADDRESS.fullmatch(text):
        return "{address}"
    if len(text) >= 16:
        text = _RUN.sub(_token, _UUID.sub("{uuid}", text))
    if len(text) >= 8:
        text = _SHORT.sub(_short_token, text)
    if _PAIRS.fullmatch(text) or (_PHONE.fullmatch(text) and sum(map(str.isdigit, text)) > 8):
        return "{number}"
    return _NUMBER.sub("{number}", text)


def clean(text: str) -> str:
    """Make a text safe to store and show: control, surrogate and direction characters become U+FFFD."""
    return text if text.isascii() and text.isprintable() else _UNPRINTABLE.sub("\ufffd", text)


@lru_cache(maxsize=4096)
def campaign(query: bytes, kept: frozenset[str]) -> str:
    """Return the allowed parameters of a query string (`utm_*`, `ref`, and those in `kept`) in a fixed order, or "".

    No other part of the query is looked at further than its name.
    """
    text = query[:8192].decode("utf-8", "replace")
    parameters = [
        urlencode({name: clean(scrub(value))[:LONGEST_VALUE]}, safe="{}/:", quote_via=quote)
        for name, value in sorted(parse_qsl(text))
        if name in kept or name == "ref" or _UTM.fullmatch(name)
    ]
    while parameters and len("&".join(parameters)) > LONGEST_CAMPAIGN:
        parameters.pop()
    return "&".join(parameters)


def _short_token(run: re.Match[str]) -> str:
    """Tell a short key from a name with a number: its letters and digits change places often."""
    word = run[0]
    changes = len(_CHANGE.findall(word))
    is_key = changes > 2 or (changes > 1 and re.fullmatch(r"[0-9a-f]{12,}|[0-9A-F]{12,}", word))
    return "{token}" if is_key and not _WORD.fullmatch(word) else word


def _token(run: re.Match[str]) -> str:
    """Tell a token from a readable slug or file name (`ten-tips-for-2026.html`), which is plain words between separators."""
    words = re.split(r"[-_.~+=]", run[0])
    is_slug = (len(run[0]) < 32 and run[0].isalpha() and run[0].islower()) or all(
        len(word) < 20 and _WORD.fullmatch(word) for word in words
    )
    return run[0] if is_slug else "{token}"


def _fill(path: str, template: str, kept: frozenset[str]) -> str:
    match = _pattern(template).fullmatch(path)
    values = match.groupdict() if match else {}

    def value(parameter: re.Match[str]) -> str:
        name = parameter[1]
        return scrub_path(values[name]) if name in kept and name in values else parameter[0]

    return _PARAMETER.sub(value, template)


@lru_cache(maxsize=1024)
def _pattern(template: str) -> re.Pattern[str]:
    """Compile a route template to the pattern of the paths under it."""
    parts = _PARAMETER.split(template)
    pattern = re.escape(parts[0])
    for name, convertor, literal in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        pattern += f"(?P<{name}>{'.*' if convertor == 'path' else '[^/]+'})" + re.escape(literal)
    return re.compile(pattern)


def matches(path: str, template: str) -> bool:
    """Tell whether a path lies under a route template."""
    return _pattern(template).fullmatch(path) is not None
