"""Checks what visitors type into the forms. The site stores nothing of it: that is the middleware's part (see privacy.toml)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

LONGEST_VALUE: Final = 4000
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


class Field(NamedTuple):
    """One field: what to say if it is missing or wrong (empty: it may be left out), and its choices, if it has any."""

    name: str
    fault: str = ""
    choices: tuple[str, ...] = ()


class Form(NamedTuple):
    """A form at `/<name>`, shown by the template of that name."""

    name: str
    fields: tuple[Field, ...]

    def values(self, sent: Mapping[str, object]) -> dict[str, str]:
        """Return the text of each field of this form; what else was sent is not looked at."""
        found = {field.name: sent.get(field.name) for field in self.fields}
        return {name: value.strip() if isinstance(value, str) else "" for name, value in found.items()}

    def faults(self, values: Mapping[str, str]) -> dict[str, str]:
        """Return what is wrong, by field, in the order of the form."""
        return {field.name: fault for field in self.fields if (fault := _fault(field, values[field.name]))}


def _fault(field: Field, value: str) -> str:
    if not value:
        return field.fault
    if len(value) > LONGEST_VALUE:
        return f"Please shorten this to {LONGEST_VALUE} characters."
    if field.name == "email" and not _EMAIL.fullmatch(value):
        return "Please write an e-mail address like name@example.org."
    if field.choices and value not in field.choices:
        return field.fault or "Please choose one of the answers."
    return ""


_EMAIL_FIELD: Final = Field("email", "Please write your e-mail address.")
CONTACT: Final = Form(
    "contact",
    (Field("name", "Please write your name."), _EMAIL_FIELD, Field("message", "Please write what you would like to have printed.")),
)
NEWSLETTER: Final = Form("newsletter", (_EMAIL_FIELD,))
QUESTIONNAIRE: Final = Form(
    "questionnaire",
    (
        Field("found", "Please say how you found us.", ("A friend", "A search engine", "An AI assistant", "Social media", "Walked past")),
        Field("age", choices=("Under 25", "25 to 39", "40 to 59", "60 or over")),
        Field("printed", choices=("Yes, by you", "Yes, by somebody else", "Not yet")),
        Field("comment"),
    ),
)
FORMS: Final = (CONTACT, NEWSLETTER, QUESTIONNAIRE)
