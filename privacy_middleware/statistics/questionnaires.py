"""What visitors answered to a questionnaire, question by question: how often each answer was given, and texts apart from all else.

No answer stands beside another one of the same person. Numbers are rounded down, so that one person more or less hardly ever shows.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import msgspec

from ..collect.redact import COUNTRIES, redact
from ..collect.treatment import Kept, in_words
from ..errors import VaultError
from ..forms import Field, Form
from ..record import submissions
from ..store.base import Store
from ..vault import Vault

LAST_DAY: Final = 2**31
TEXTS: Final = ("redact", "keep")
COUNTED: Final = ("choice", "bucket", "region", "domain", "present", "length")


class Question(msgspec.Struct, frozen=True):
    """One question: how often each answer was given, rounded down; or the texts, in the order of the alphabet."""

    name: str
    label: str
    answers: tuple[tuple[str, int], ...] = ()
    others: int = 0
    """How many gave answers that too few have in common, together; rounded down."""
    texts: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Without texts: it may end up in a log or a traceback."""
        return f"Question({self.name!r})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        """For tracebacks that show variables: without texts, too."""
        return [("name", self.name)]


class Results(msgspec.Struct, frozen=True):
    """The answers to one questionnaire."""

    form: str
    title: str
    total: int
    """How many answered, rounded down; 0 if too few did to show anything."""
    questions: tuple[Question, ...]
    unreadable: int = 0


def results(store: Store, vault: Vault, form: Form, *, fewest: int, texts: bool) -> Results:
    """Return what was answered, of everything that is kept; with `texts` the open answers, too.

    What fewer than `fewest` people have in common is not shown by itself, and numbers are rounded down to multiples of it.
    """
    found = [one for one in submissions.find(store, first=0, last=LAST_DAY, form=form.name) if one.outcome == "accepted"]
    opened: list[dict[str, list[Kept]]] = []
    unreadable = 0
    for stored in found:
        if submissions.is_restricted(store, stored):
            continue
        try:
            opened.append(submissions.read(store, vault, stored)[1])
        except VaultError:
            unreadable += 1
    title = form.title or form.name
    if len(opened) < fewest:
        return Results(form.name, title, 0, (), unreadable)
    questions = tuple(
        _question(name, field, [values.get(name, []) for values in opened], fewest=fewest, texts=texts)
        for name, field in form.fields.items()
        if not field.identity and (field.treatment in COUNTED or (texts and field.treatment in TEXTS))
    )
    return Results(form.name, title, _rounded(len(opened), fewest), questions, unreadable)


def _question(name: str, field: Field, answers: list[list[Kept]], *, fewest: int, texts: bool) -> Question:
    label = field.label or name
    if field.treatment in TEXTS:
        return Question(name, label, texts=_texts(field, answers) if texts else ())
    counted = Counter(in_words(value) for kept in answers for value in dict.fromkeys(map(_hashable, kept)))
    shown = {value: amount for value, amount in counted.items() if amount >= fewest}
    order = [*field.choices, *sorted(set(shown) - set(field.choices))]
    rows = tuple((value, _rounded(shown.get(value, 0), fewest)) for value in order)
    return Question(name, label, rows, _rounded(sum(counted.values()) - sum(shown.values()), fewest))


def _texts(field: Field, answers: list[list[Kept]]) -> tuple[str, ...]:
    countries = field.countries or COUNTRIES
    found = (str(value).strip() for kept in answers for value in kept)
    return tuple(sorted(text if field.treatment == "redact" else redact(text, countries=countries) for text in found if text))


def _rounded(amount: int, fewest: int) -> int:
    return amount - amount % fewest


def _hashable(value: Kept) -> str | int | bool:
    return str(value) if isinstance(value, dict) else value
