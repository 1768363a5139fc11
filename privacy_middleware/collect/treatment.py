"""Turns what was sent under a declared field into what is kept of it, by the field's treatment."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import date
from functools import partial
from itertools import pairwise
from typing import Any, Final

from ..forms import Field, Form
from .form import LONGEST_VALUE, File, Undecodable, Value
from .redact import COUNTRIES, hide_payment, is_payment_number, redact

Kept = str | int | bool | dict[str, Any]
"""What is kept of one value; of a file `{"type": …, "size": …}`."""

_LABEL: Final = re.compile(r"(?!-)[\w-]{1,63}")
_NUMBER: Final = re.compile(r"[+-]?\d{1,15}(?:\.\d{1,15}|,\d{1,2}|,\d{4,15})?(?:[eE][+-]?\d{1,2})?", re.ASCII)
"""With three digits behind a comma nobody can tell whether they are thousands."""
_DATE: Final = re.compile(r"(\d{4})-(\d\d?)(?:-(\d\d?)(?:[T ].{0,40})?)?", re.ASCII)
_EUROPEAN_DATE: Final = re.compile(r"(\d\d?)[./-](\d\d?)[./-](\d{4})", re.ASCII)
_WORD_END: Final = 300
LONGEST_ADDRESS: Final = 255
MOST_TEXT: Final = 20_000
"""Characters of all texts of a form together that are searched for numbers and addresses; further values are not kept."""
CUT_MARK: Final = " … [cut]"


def in_words(value: Kept) -> str:
    """Write what is kept of one value as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        size = value.get("size")
        return f"{value.get('type')}, {'large' if size is None else f'{size} bytes'}"
    return str(value)


class Unfit(Exception):
    """A value that the field's treatment can make nothing of, or that must not be kept."""


def treat(
    form: Form, sent: Mapping[str, list[Value]], *, today: date, keyed_hash: Callable[[str, str], str]
) -> tuple[dict[str, list[Kept]], Counter[str]]:
    """Return what is kept of each declared field that was sent, and how many values were not, by field and reason.

    `keyed_hash(field, text)` is asked for the treatment `hash`; it may raise `Unfit`.
    """
    kept: dict[str, list[Kept]] = {}
    counts: Counter[str] = Counter()
    room = MOST_TEXT
    for name, values in sent.items():
        field = form.fields[name]
        treatment = _treatment(field, name, today=today, keyed_hash=keyed_hash, counts=counts)
        kept[name] = []
        for value in values:
            if _says_nothing(field, value):
                continue
            try:
                if isinstance(value, str) and field.treatment in ("keep", "redact"):
                    room -= min(len(value), LONGEST_VALUE)
                    if room < 0:
                        raise Unfit("too_much")
                kept[name].append(treatment(value))
            except Unfit as unfit:
                counts[f"{unfit}.{name}"] += 1
    return {name: values for name, values in kept.items() if values}, counts


def _cut(text: str, name: str, counts: Counter[str]) -> str:
    """Shorten a text that is too long, before a word or number rather than within it: half an address would not be recognised."""
    if len(text) <= LONGEST_VALUE:
        return text
    counts[f"cut.{name}"] += 1
    kept = text[:LONGEST_VALUE]
    least = LONGEST_VALUE - _WORD_END
    space = max(kept.rfind(space, least) for space in " \n\t\r")
    kept = kept[:space] if space > 0 else kept
    last = re.split(r"\s", kept[least:])[-1]
    while last and any(map(str.isdigit, last)):  # half a number would not be recognised either
        kept = kept[: len(kept) - len(last)].rstrip()
        last = re.split(r"\s", kept[least:])[-1]
    return kept + CUT_MARK


def _treatment(
    field: Field, name: str, *, today: date, keyed_hash: Callable[[str, str], str], counts: Counter[str]
) -> Callable[[Value], Kept]:
    if field.treatment == "file":
        return _file
    if field.treatment == "present":
        return lambda value: value != ""
    of_text: dict[str, Callable[[str], Kept]] = {
        "keep": _address_or(partial(_keep, name=name, counts=counts)) if field.identity else partial(_keep, name=name, counts=counts),
        "length": len,
        "choice": partial(_choice, field),
        "bucket": partial(_bucket, field, today=today),
        "domain": _domain,
        "region": partial(_region, letters=field.letters),
        "hash": partial(_hash, name, keyed_hash),
        "redact": partial(redact, countries=field.countries or COUNTRIES),
    }
    cut = (lambda text: text) if field.treatment == "length" else partial(_cut, name=name, counts=counts)
    return partial(_text_only, of_text[field.treatment], cut)


def _says_nothing(field: Field, value: Value) -> bool:
    """A field that was left empty: browsers send it, and there is nothing to make a range, part or hash of."""
    return value == "" and field.treatment in ("choice", "bucket", "domain", "region", "hash") and "" not in field.choices


def _text_only(treatment: Callable[[str], Kept], cut: Callable[[str], str], value: Value) -> Kept:
    if isinstance(value, File):
        raise Unfit("file")
    if isinstance(value, Undecodable):
        raise Unfit("charset")
    return treatment(cut(value))


def _file(value: Value) -> Kept:
    if not isinstance(value, File):
        raise Unfit("no_file")
    return {"type": value.type, "size": value.size}


def _keep(text: str, *, name: str, counts: Counter[str]) -> str:
    """Card and account numbers are never kept: neither as the value, nor within a text."""
    if is_payment_number(text):
        raise Unfit("payment_number")
    text, hidden = hide_payment(text)
    if hidden:
        counts[f"payment_number.{name}"] += hidden
    return text


def _address_or(keep: Callable[[str], str]) -> Callable[[str], str]:
    """An e-mail address stays whole, whatever its digits look like: it says who the person is."""
    return lambda text: text if "@" in text and len(text) < LONGEST_ADDRESS else keep(text)


def _choice(field: Field, text: str) -> str:
    if text not in field.choices:
        raise Unfit("not_a_choice")
    return text


def _hash(name: str, keyed_hash: Callable[[str, str], str], text: str) -> str:
    if is_payment_number(text):  # there are too few of them: they could be guessed, should the key become known
        raise Unfit("payment_number")
    return keyed_hash(name, text.strip())


def _domain(text: str) -> str:
    local, _, domain = text.strip().partition("@")
    labels = domain.lower().split(".")
    sound = local and not any(c.isspace() for c in local) and len(labels) > 1 and len(domain) <= 253 and not labels[-1].isdigit()
    if not sound or not all(_LABEL.fullmatch(label) for label in labels):
        raise Unfit("not_an_email")
    return domain.lower()


def _region(text: str, *, letters: int) -> str:
    code = "".join(c for c in text.upper() if c.isalnum())
    if not 3 <= len(code) <= 10 or not any(c.isdigit() for c in code):
        raise Unfit("not_a_postcode")
    return code[:letters]


def _bucket(field: Field, text: str, *, today: date) -> str:
    if field.unit == "age":
        return _range(_age(text, today), field.edges)
    if field.unit:
        return _part_of_date(text, field.unit)
    number = re.sub(r"(?<=\d)[ \u00a0\u202f'](?=\d{3}(?!\d))", "", text.strip())  # thousands
    if not _NUMBER.fullmatch(number):
        raise Unfit("not_a_number")
    return _range(float(number.replace(",", ".")), field.edges)


def _range(number: float, edges: tuple[float, ...]) -> str:
    return range_names(edges)[bisect_right(edges, number)]


def range_names(edges: tuple[float, ...]) -> list[str]:
    """Name the ranges between edges: `under 18`, `18 to under 30`, `30 and over`."""
    names = [f"{edge:.15g}" for edge in edges]
    return [f"under {names[0]}", *(f"{lower} to under {upper}" for lower, upper in pairwise(names)), f"{names[-1]} and over"]


def _part_of_date(text: str, unit: str) -> str:
    year, month, _ = _date(text)
    return {"year": f"{year:04}", "month": f"{year:04}-{month:02}", "decade": f"{year // 10 * 10}s"}[unit]


def _age(text: str, today: date) -> int:
    year, month, day = _date(text)
    age = today.year - year - ((today.month, today.day) < (month, day))
    if not 0 <= age <= 130:
        raise Unfit("not_an_age")
    return age


def _date(text: str) -> tuple[int, int, int]:
    """Return year, month, day of `2026-11-22` (also `2026-11`) or `22.11.2026`."""
    match, other = _DATE.fullmatch(text.strip()), _EUROPEAN_DATE.fullmatch(text.strip())
    if match:
        year, month, day = int(match[1]), int(match[2]), int(match[3] or 1)
    elif other:
        year, month, day = int(other[3]), int(other[2]), int(other[1])
    else:
        raise Unfit("not_a_date")
    try:
        date(year, month, day)
    except ValueError:
        raise Unfit("not_a_date") from None
    return year, month, day
