"""The declaration: who is responsible, what is collected and why, as written in privacy.toml.

Everything else follows it: what may be recorded, what the statement says, and how long a thing is kept.
A visit item that is not named in `visits.items` has no way into the store.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args
from urllib.parse import urlsplit

import msgspec

from .errors import DeclarationError
from .forms import PERSONALISED, Correction, Field, Form, Outcome, Treatment, Unit, form_problems, spell_out
from .language import N_


class Item(msgspec.Struct, frozen=True):
    """One datum of a visit: what it is in plain words, and an example of what is kept."""

    name: str
    title: str
    example: str


VISIT_ITEMS: Final = {
    item.name: item
    for item in (
        Item("time", N_("Time of the request"), "2026-05-04 14:03:07"),
        Item("visitor", N_("A random-looking number that stands for you for one day"), "5710498013325467412"),
        Item("address", N_("Your network address, shortened"), "192.0.2.0"),
        Item("page", N_("The page or file asked for, and how (method)"), "GET /products/{id}"),
        Item("status", N_("Whether it was found (status) and whether it reached you whole"), "200, complete"),
        Item("source", N_("The page that led you here, without its query"), "search.example.org/"),
        Item("campaign", N_("The name of the campaign in the link that you followed"), "utm_source=newsletter"),
        Item("agent", N_("Kind of browser, operating system and device"), "Firefox, Linux, desktop"),
        Item("language", N_("First language that your browser asks for"), "da-DK"),
        Item("country", N_("Your country, looked up in a list of networks on our own server"), "Denmark"),
        Item("bytes", N_("Number of bytes sent"), "20480"),
        Item("duration", N_("How long our server took"), "12 ms"),
        Item("site", N_("Which of our host names you used"), "www.example.org"),
    )
}


class Controller(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Who is responsible (GDPR art. 4(7)) and how to reach them."""

    name: str = ""
    address: tuple[str, ...] = ()
    """Postal addresses, one string each; lines are separated by line breaks."""
    email: str = ""
    telephone: str = ""
    country: str = ""
    """Where they are established (ISO 3166-1 alpha-2, such as DK): whose data protection authority takes complaints."""
    data_protection_officer: str = ""
    """How to reach the data protection officer (art. 37), if there is one."""


class Purpose(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Why data are collected, and the legal basis for it (GDPR art. 6(1))."""

    name: str
    text: str
    legal_basis: str
    elsewhere: bool = False
    """True if the website itself keeps data for it, besides visits and declared forms."""


class Visits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is taken of each visit, and for which purpose."""

    items: tuple[str, ...] = tuple(VISIT_ITEMS)
    purpose: str = "statistics"


class Undertaking(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What binds a recipient to confidentiality (GDPR art. 28(3)(b)): where it is found, since when, and until when it holds."""

    reference: str
    date: dt.date
    expires: dt.date | None = None
    """The last day on which it holds; without one it holds until you take it out."""


class Recipient(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Somebody outside who gets data: who, what for, which data, and where (GDPR art. 13(1)(e, f))."""

    name: str
    purpose: str
    """One that people gave the data for. A recipient has none of its own: data are not sold."""
    country: str
    """Its code (ISO 3166-1 alpha-2, such as DK), or its name."""
    data: str = ""
    """In words; not needed with `fields`."""
    fields: tuple[str, ...] = ()
    """The fields of forms that `privacy-middleware disclose` gives to it; nothing else is given."""
    undertaking: Undertaking | None = None
    """Needed with `fields`."""
    confidentiality: str = ""
    """In words, of a recipient without `fields`."""
    safeguard: str = ""
    """What protects the data outside the European Union (GDPR art. 44 to 49): a decision of adequacy, standard contractual clauses."""
    webhook: str = ""
    """Where data, corrections and erasures are sent to, by https; without it they go by file and mail."""

    @property
    def slug(self) -> str:
        """Its name as settings write it: `Print & Post Ltd` is `print-post-ltd`."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


class Cookie(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A cookie that the website itself sets: its name, what for, and how long it lives."""

    name: str
    purpose: str
    days: int = 0
    """How long the browser keeps it; 0: until the browser is closed."""


class Goal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Something that visitors are to reach."""

    name: str
    when: str
    """A page (`/thanks`, `/work/*`), a download (`download:/files/*`), or a form that is accepted (`form:contact`)."""


class Funnel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Up to five steps that visitors take one after another within a visit."""

    name: str
    steps: tuple[str, ...]
    """Each as `Goal.when`."""


class StatementText(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """The owner's own words, in Markdown, shown beside the generated text."""

    introduction: str = ""
    protection: str = ""
    more: str = ""


MOST_STEPS: Final = 5
MOST_GOALS: Final = 50
STATISTICS: Final = Purpose(
    name="statistics",
    text=N_("to improve our website on the basis of how it is used; the data are only analysed statistically and anonymously"),
    legal_basis=N_("our legitimate interest in a website that works well (GDPR art. 6(1)(f))"),
)

FORM_PURPOSES: Final = (
    Purpose(
        name="answer",
        text=N_("to answer you"),
        legal_basis=N_("you ask for it (GDPR art. 6(1)(b)), or our legitimate interest in answering who writes to us (art. 6(1)(f))"),
    ),
    Purpose(name="newsletter", text=N_("to send you the newsletter that you ask for"), legal_basis=N_("your consent (GDPR art. 6(1)(a))")),
    Purpose(
        name=PERSONALISED,
        text=N_("to show you what you told us to be interested in"),
        legal_basis=N_("your consent (GDPR art. 6(1)(a))"),
    ),
    Purpose(
        name="questionnaire",
        text=N_("to learn what our visitors think"),
        legal_basis=N_("our legitimate interest in serving our visitors better (GDPR art. 6(1)(f)); answering is up to you"),
    ),
)
"""Purposes of forms that need no declaration; one of the same name in privacy.toml takes its place."""
_GIVEN: Final = (STATISTICS, *FORM_PURPOSES)


class Declaration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All that privacy.toml declares, except the [settings] table."""

    controller: Controller = Controller()
    purposes: tuple[Purpose, ...] = (STATISTICS,)
    visits: Visits = Visits()
    forms: tuple[Form, ...] = ()
    recipients: tuple[Recipient, ...] = ()
    goals: tuple[Goal, ...] = ()
    funnels: tuple[Funnel, ...] = ()
    cookies: tuple[Cookie, ...] = ()
    statement: StatementText = StatementText()

    def purpose(self, name: str) -> Purpose:
        """Return the declared purpose of that name; `statistics` and those of `FORM_PURPOSES` need no declaration."""
        return self.all_purposes[name]

    @property
    def all_purposes(self) -> dict[str, Purpose]:
        """The purposes by name: those declared, and those that need no declaration."""
        return {purpose.name: purpose for purpose in (*_GIVEN, *self.purposes)}


def load_declaration(document: Mapping[str, Any]) -> Declaration:
    """Check the parsed privacy.toml and return it as a `Declaration`.

    Raises:
        DeclarationError: naming the place in the file, what is wrong there, and the remedy.
    """
    try:
        declaration = msgspec.convert(_spelled_out(document), Declaration)
    except msgspec.ValidationError as error:
        raise DeclarationError(_explain(_fault_of_form(document.get("forms")) or str(error))) from None
    problems = _problems(declaration)
    unprintable = next((text for text in _texts(document) if _CONTROL.search(text)), "")
    problems += [f"there is a control character in {unprintable!r}; leave it out"] if unprintable and not problems else []
    if problems:
        raise DeclarationError("privacy.toml is not valid:\n" + "\n".join(f"  - {problem}" for problem in problems))
    return declaration


def _spelled_out(document: Mapping[str, Any]) -> dict[str, Any]:
    return {**document, "forms": spell_out(document["forms"])} if "forms" in document else dict(document)


def _explain(fault: str) -> str:
    """Turn msgspec's `... - at `$.controller`` into a sentence that names the table."""
    what, _, where = fault.partition(" - at `$")
    place = where.rstrip("`").lstrip(".") or "the top level"
    remedy = next((remedy for sign, remedy in _REMEDIES.items() if sign in what), "compare its names")
    known = next((words for end, words in _KNOWN_WORDS.items() if re.search(rf"{end}(\[\d+\])?$", place)), ())
    if "Invalid enum value" in what and known:
        remedy = f"known are {', '.join(filter(None, known))}"
    return f"privacy.toml is not valid: {what} (at {place}); {remedy}, as in the README's example"


_KNOWN_WORDS: Final = {
    "treatment": get_args(Treatment),
    "outcomes": get_args(Outcome),
    "unit": get_args(Unit),
    "correction": get_args(Correction),
}
_REMEDIES: Final = {
    "Expected `array`, got `str`": 'write it in brackets, like ["…"]',
    "Expected `array`, got `object`": "write its name in two pairs of brackets, like [[recipients]]",
    "Expected `object`, got `array`": "write its name in one pair of brackets, like [controller]",
    "Expected `int`, got `str`": "write it without quotes",
    "Expected `str`, got": "write it in quotes",
    "Expected `bool`": "write true or false, without quotes",
    "Object missing required field": "add it",
    "Object contains unknown field": 'compare its names (a name with a dot in it stands in quotes, like "address.city")',
}


def _fault_of_form(forms: Any) -> str:
    """Find the form and the field that are malformed; "" if none is: what msgspec says of them names neither."""
    for form in spell_out(forms) if isinstance(forms, (list, tuple)) else ():
        fields = form.get("fields") if isinstance(form, Mapping) else None
        name = form.get("name") if isinstance(form, Mapping) else None
        places = [(f".fields.{key}", value, Field) for key, value in fields.items()] if isinstance(fields, Mapping) else []
        for place, value, kind in (*places, ("", form, Form)):
            try:
                msgspec.convert(value, kind)
            except msgspec.ValidationError as error:
                what, _, where = str(error).partition(" - at `$")
                return f"{what} - at `$forms.{name}{place}{where.rstrip('`')}`"
    return ""


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield str(name)
            yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)


_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]")
"""What no XML may hold either, and so no feed."""


def _problems(declaration: Declaration) -> list[str]:
    problems = [
        f"visits.items names {name!r}, which is not a datum of a visit; known are {', '.join(VISIT_ITEMS)}"
        for name in declaration.visits.items
        if name not in VISIT_ITEMS
    ]
    if "time" not in declaration.visits.items:
        problems.append("visits.items must name 'time': without it nothing could be purged when its retention ends")
    names = [purpose.name for purpose in declaration.purposes]
    purposes = {*names, *(purpose.name for purpose in _GIVEN)}
    problems += [f"[[purposes]] {name!r} is declared twice; keep one" for name in purposes if names.count(name) > 1]
    problems += [
        f"[[purposes]] {purpose.name!r} has an empty {field}; a statement cannot be made from it"
        for purpose in declaration.purposes
        for field in ("name", "text", "legal_basis")
        if not getattr(purpose, field).strip(" .")
    ]
    if declaration.visits.purpose not in purposes:
        problems.append(f"visits.purpose is {declaration.visits.purpose!r}, which no [[purposes]] entry declares; add one")
    problems += _recipient_problems(declaration)
    problems += form_problems(declaration.forms)
    problems += [
        f"forms.{form.name} has the purpose {form.purpose!r}, which no [[purposes]] entry declares; add one"
        for form in declaration.forms
        if form.purpose not in purposes
    ]
    if "visitor" not in declaration.visits.items:
        problems += [
            f"forms.{form.name}: link_visit needs 'visitor' among visits.items; add it there, or leave link_visit out"
            for form in declaration.forms
            if form.link_visit
        ]
    problems += _goal_problems(declaration)
    if not re.fullmatch(r"([A-Z]{2})?", declaration.controller.country):
        problems.append("controller.country is not a country's code (ISO 3166-1 alpha-2); write for example DK")
    names = [cookie.name for cookie in declaration.cookies]
    problems += [f"[[cookies]] {name!r} is declared twice; keep one" for name in sorted(set(names)) if names.count(name) > 1]
    problems += [
        f"[[cookies]] {cookie.name!r} needs a name, a purpose, and days from 0"
        for cookie in declaration.cookies
        if not cookie.name.strip() or not cookie.purpose.strip() or cookie.days < 0
    ]
    email = declaration.controller.email
    if email and not re.fullmatch(r"[^@\s<>]+@[^@\s<>]+\.[^@\s<>]+", email):
        problems.append("controller.email is not an e-mail address; write for example privacy@example.org")
    return problems


def _recipient_problems(declaration: Declaration) -> list[str]:
    problems = []
    names = [recipient.slug for recipient in declaration.recipients]
    of_forms = {form.purpose for form in declaration.forms}
    given_for = {declaration.visits.purpose, *of_forms, *(p.name for p in declaration.purposes if p.elsewhere)}
    for one in declaration.recipients:
        who = f"recipient {one.name!r}"
        known = {name for form in declaration.forms if form.purpose == one.purpose for name in form.fields}
        unknown = sorted(set(one.fields) - known)
        is_twice = names.count(one.slug) > 1 and any(other.fields for other in declaration.recipients if other.slug == one.slug)
        checks = {
            "is named twice, or so like another that settings could not tell them apart; give it another name": is_twice,
            "has no name that settings could be written for; use letters of a to z, or digits": not one.slug,
            f"has the purpose {one.purpose!r}, which is its own: nobody gives data for it. Data are not sold: name the purpose of the "
            "visits or of a form (or, of data that your site keeps elsewhere, declare it in [[purposes]] with elsewhere = true)": (
                one.purpose not in given_for
            ),
            "needs fields (what `disclose` gives to it), or data (what it gets, in words)": not one.fields and not one.data.strip(),
            f"has fields that no form of the purpose {one.purpose!r} declares: {', '.join(unknown)}; leave them out": bool(unknown),
            "gets fields, and no undertaking of confidentiality is declared; add "
            'undertaking = { reference = "agreement 12", date = 2026-05-01, expires = 2028-05-01 }': (
                bool(one.fields) and (one.undertaking is None or not one.undertaking.reference.strip())
            ),
            "has a webhook, and no fields that could go there; name them": bool(one.webhook) and not one.fields,
            "has a webhook that is no address; write for example https://hooks.example.org/privacy": (
                one.webhook != "" and not _is_address(one.webhook)
            ),
        }
        problems += [f"{who} {words}" for words, is_wrong in checks.items() if is_wrong]
    return problems


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and not (parts.username or parts.fragment)
    except ValueError:  # an impossible port or address
        return False
    return sound and bool(re.fullmatch(r"[\w:/?#\[\]@!$&'()*+,;=.~%-]+", text, re.ASCII))


def _goal_problems(declaration: Declaration) -> list[str]:
    forms = {form.name for form in declaration.forms}
    problems = []
    for what, found in (("goals", declaration.goals), ("funnels", declaration.funnels)):
        names = [one.name for one in found]
        problems += [
            f"[[{what}]] {name!r} is declared twice; give one another name" for name in sorted(set(names)) if names.count(name) > 1
        ]
        problems += [f"[[{what}]] has an entry without a name; give it one" for name in names if not name.strip() or not name.isprintable()]
        problems += [f"[[{what}]] holds more than {MOST_GOALS}; leave some out"] if len(found) > MOST_GOALS else []
    for funnel in declaration.funnels:
        if not 2 <= len(funnel.steps) <= MOST_STEPS:
            problems.append(f"funnel {funnel.name!r} has {len(funnel.steps)} steps; give it from 2 to {MOST_STEPS}")
    parts = [(goal.name, goal.when) for goal in declaration.goals]
    parts += [(funnel.name, step) for funnel in declaration.funnels for step in funnel.steps]
    for name, when in parts:
        what, colon, target = when.partition(":")
        if what == "form" and colon and target not in forms:
            problems.append(f"{name!r} names the form {target!r}, which no [[forms]] entry declares; add one, or write another name")
        elif not (when.startswith("/") or (what == "download" and target.startswith("/")) or (what == "form" and colon)):
            problems.append(f"{name!r} has {when!r}, which is none of /page, download:/file, form:name; write one of these")
    return problems
