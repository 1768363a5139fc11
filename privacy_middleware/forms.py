"""The declared forms: which fields may be taken of which form, in which shape, what for, and for how long.

A field that no form declares has no way into the store. Fields that can hold a secret cannot be declared at all.
"""

from __future__ import annotations

import codecs
import math
import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, Literal

import msgspec

Treatment = Literal["keep", "length", "present", "choice", "bucket", "domain", "region", "hash", "redact", "file"]
Outcome = Literal["accepted", "invalid", "failed"]
Correction = Literal["review", "auto"]
Unit = Literal["", "age", "month", "year", "decade"]

METHODS: Final = ("POST", "PUT", "PATCH")
LONGEST_RETENTION_DAYS: Final = 3660
PERSONALISED: Final = "personalised content"
"""The purpose of the form on our own page `my-preferences`."""
NEWSLETTER: Final = "newsletter"
ANSWER: Final = "answer"
QUESTIONNAIRE: Final = "questionnaire"
AUDIT_DAYS: Final = 400
"""How long it stays noted who opened what."""
_NEVER_IN_PATH: Final = re.compile(r"[{}?#<>*%\s]|//|/\.\.?(/|$)|/:")
_STATUS: Final = re.compile(r"[23](\d\d|xx)")
_HOLE: Final = re.compile(r"\{\w+(?::(\w+))?\}")

_SECRET_WORDS: Final = frozenset(
    "pass password passwd passphrase passcode userpass userpwd pwd pw pin pincode otp totp mfa cvv cvc csc iban csrf xsrf token "
    "secret nonce auth authorization jwt credential credentials captcha recaptcha turnstile viewstate eventvalidation phpsessid "
    "jsessionid wpnonce csrfmiddlewaretoken mdp passwort kennwort wachtwoord contrasena senha losenord adgangskode kodeord kreditkort "
    "kortnummer kontonummer kartennummer sortcode".split()
)
_SECRET_NAMES: Final = re.compile(
    r"\b(pass (word|wd|phrase|code)|mot de passe|2 fa|two factor|one time (code|pass)|(sms|auth|security|verification|login) (code|token)"
    r"|(credit|debit|bank|payment) ?card|card ?(number|num|no|nr|expiry|exp|code)|cc (number|num|no|nr|exp|csc|cvc|cvv)"
    r"|(recovery|backup) code|security answer|(routing|sort) (number|code)|(bank|giro) account|account (number|no|nr)|(api|private) key"
    r"|authenticity token|session ?id|request verification token)\b"
)
_SECRET_COMPOUNDS: Final = re.compile(
    r"passw(or)?d|passphrase|passwort|kennwort|motdepasse|hemmeligtkode|onetimecode|creditcard|apikey|privatekey|securitycode|csrf|xsrf"
    r"|token$|^(card|account|iban|otp|pin|cvv|cvc)(num|number|nr|no|code)$|^cc(num|number|no|exp|csc|cvc|cvv)$"
)
_SECRET_AUTOCOMPLETE: Final = re.compile(r"(current|new)-password|one-time-code|webauthn|cc-.*")


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One field of a form, and what is kept of it.

    `keep` the text; `length` its number of characters; `present` whether anything was sent; `choice` one of `choices`;
    `bucket` the range between two `edges` that a number falls into, or the `unit` of a date (with `age`: of a date of birth, the
    range of the age); `domain` of an e-mail address; `region` the first `letters` of a postcode; `hash` a keyed hash; `redact` free
    text in which e-mail addresses, telephone, account, card and national numbers are replaced by their kind; `file` the type and
    size of a file.
    """

    treatment: Treatment
    identity: bool = False
    """True for the e-mail address that says whose submission this is."""
    label: str = ""
    """What the statement calls the field; its name if empty."""
    optional: bool = False
    """True if the form does not always send it. (Browsers send every text field, also an empty one.)"""
    choices: tuple[str, ...] = ()
    several: bool = False
    """True if more than one of them may be taken; for the page `my-preferences`."""
    edges: tuple[float, ...] = ()
    unit: Unit = ""
    letters: int = 2
    countries: tuple[str, ...] = ()
    """Whose national numbers `redact` looks for (ISO 3166); a list of European countries and the United States if empty."""
    correction: Correction = "review"
    """Whether its correction by the person waits for the owner's approval, or is taken over at once (`auto`)."""
    autocomplete: str = ""
    """The field's `autocomplete` attribute, so that a secret one is refused."""

    @property
    def may_be_unsent(self) -> bool:
        """True if its absence says nothing: nothing chosen, no box ticked, no file picked."""
        return self.optional or self.treatment in ("choice", "present", "file")


class Form(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One form: where it is sent, what for, and what of it is kept for how long."""

    name: str
    purpose: str
    path: str = ""
    """The path that it is sent to, as the browser shows it; `{id}` stands for a part of it, `{rest:path}` for several. The form of the
    purpose `personalised content` has none: it stands on our own page `my-preferences`."""
    retention_days: int
    fields: dict[str, Field]
    """By the name under which the browser or program sends it; in JSON, `address.city` is within `address`."""
    title: str = ""
    """What the statement calls it, like "contact form"; its name if empty."""
    method: str = "POST"
    shown_at: str = ""
    """The path of the page that shows it, if that is another; its views are counted."""
    legal_basis: str = ""
    """If it is another than that of the purpose."""
    requested: bool = False
    """True if the visitor asks for something that cannot be done without it: then it is kept also of those who refused."""
    link_visit: bool = False
    """True if the submission is kept together with the visitor's pseudonym of the day."""
    outcomes: tuple[Outcome, ...] = ("accepted",)
    """Which submissions are kept, by the app's answer."""
    accepted: tuple[str, ...] = ("2xx", "3xx")
    """The statuses with which the app accepts: `("303",)` where it shows a wrong form again with status 200."""
    charset: str = "utf-8"
    """The encoding of the page that shows it; what the request itself says counts more."""

    @property
    def identity(self) -> str:
        """The name of the field that says who the person is, or "" if none does."""
        return next((name for name, field in self.fields.items() if field.identity), "")

    def outcome(self, status: int) -> Outcome:
        """Return what an answer's status says of the submission."""
        return _outcome(self.accepted, status)


@lru_cache(maxsize=256)
def _outcome(accepted: tuple[str, ...], status: int) -> Outcome:
    if status >= 500:
        return "failed"
    return "accepted" if {str(status), f"{status // 100}xx"} & set(accepted) else "invalid"


def path_pattern(path: str) -> re.Pattern[str] | None:
    """Return a pattern for a path with `{…}` in it, or None if it has none."""
    if "{" not in path:
        return None
    pieces, end = [], 0
    for hole in _HOLE.finditer(path):
        pieces += [re.escape(path[end : hole.start()]), ".+" if hole[1] == "path" else "[^/]+"]
        end = hole.end()
    return re.compile("".join(pieces) + re.escape(path[end:]))


def spell_out(forms: Any) -> Any:
    """Write every `name = "keep"` as `name = { treatment = "keep" }`; what is malformed is left for the check of types."""
    if not isinstance(forms, (list, tuple)):
        return forms
    return [_spelled_out(form) if isinstance(form, Mapping) else form for form in forms]


def _spelled_out(form: Mapping[str, Any]) -> dict[str, Any]:
    fields = form.get("fields")
    if not isinstance(fields, Mapping):
        return dict(form)
    return {**form, "fields": {name: {"treatment": value} if isinstance(value, str) else value for name, value in fields.items()}}


def form_problems(forms: tuple[Form, ...]) -> list[str]:
    """Return one sentence for everything that is wrong with the forms, each with its remedy."""
    names = [form.name for form in forms]
    problems = [
        f"forms: {name!r} is declared twice; keep one, or give it another name" for name in sorted(set(names)) if names.count(name) > 1
    ]
    targets = [(form.method, _HOLE.sub("{}", form.path)) for form in forms if form.path]
    personalised = [form.name for form in forms if form.purpose == PERSONALISED]
    problems += (
        [f"forms: {', '.join(personalised)} have the purpose {PERSONALISED!r}; declare one form for it"] if len(personalised) > 1 else []
    )
    problems += [f"forms: two forms are sent to {m} {p}; declare one" for m, p in sorted(set(targets)) if targets.count((m, p)) > 1]
    for form in forms:
        where = f"forms.{form.name}"
        problems += [f"{where}: {problem}" for problem in _form_problems(form)]
        for name, field in form.fields.items():
            problems += [f"{where}.fields.{name}: {problem}" for problem in (*_secret_problems(name, field), *_field_problems(field))]
    return problems


def _form_problems(form: Form) -> list[str]:
    identities = [name for name, field in form.fields.items() if field.identity]
    on_our_page = form.purpose == PERSONALISED and not form.path
    nested = [(a, b) for a in form.fields for b in form.fields if b.startswith(f"{a}.")]
    checks = {
        "the name may hold small letters, digits, - and _ only": not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,40}", form.name),
        "the path can match nothing: write {id} for a part that differs, letters as they are (not %20), and nothing from ? or # on": any(
            _NEVER_IN_PATH.search(_HOLE.sub("x", path)) for path in (form.path, form.shown_at)
        ),
        "a field has no name, or one with white space around it": any(name.strip() != name or not name for name in form.fields),
        "the path must start with /": (not form.path.startswith("/") and not on_our_page)
        or (form.shown_at != "" and not form.shown_at.startswith("/")),
        f"the method must be one of {', '.join(METHODS)}; what a GET form sends stands in the address (PRIVACY_QUERY_PARAMS)": (
            form.method not in METHODS
        ),
        f"retention_days must be from 1 to {LONGEST_RETENTION_DAYS}": not 1 <= form.retention_days <= LONGEST_RETENTION_DAYS,
        'it declares no field; name at least one, like email = "keep"': not form.fields,
        "only one field can have identity = true: the e-mail address": len(identities) > 1,
        'the field with identity = true must have the treatment "keep"': any(form.fields[n].treatment != "keep" for n in identities),
        "outcomes names none of accepted, invalid, failed": not form.outcomes,
        'accepted must list statuses, like ["303"] or ["2xx", "3xx"]': (
            not form.accepted or not all(_STATUS.fullmatch(status) for status in form.accepted)
        ),
        "charset is not one that a page can have; leave it out for utf-8": not codec(form.charset),
        "requested = true is for what the visitor asks for; a questionnaire or statistics serve you, so leave it out": (
            form.requested and form.purpose in ("questionnaire", "statistics")
        ),
        "a newsletter needs the field with identity = true, to which it is mailed": form.purpose == NEWSLETTER and not identities,
        "the form of personalised content stands on our own page; leave out path, shown_at, link_visit and requested": (
            form.purpose == PERSONALISED and bool(form.path or form.shown_at or form.link_visit or form.requested)
        ),
        'personalised content is kept without a name: leave out identity = true, and give each field the treatment "choice"': (
            form.purpose == PERSONALISED and (bool(identities) or any(f.treatment != "choice" for f in form.fields.values()))
        ),
        **{f"{a!r} cannot be declared beside {b!r}, which is a part of it": True for a, b in nested},
    }
    return [problem for problem, is_wrong in checks.items() if is_wrong]


def _secret_problems(name: str, field: Field) -> list[str]:
    plain = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])", " ", plain)
    words = re.sub(r"[^a-z0-9]+", " ", apart.lower()).strip()
    if set(words.split()) & _SECRET_WORDS or _SECRET_NAMES.search(words) or any(map(_SECRET_COMPOUNDS.search, words.split())):
        return ["by its name it holds a password, a card, an account or a token; such fields are never taken, so leave it out"]
    if any(_SECRET_AUTOCOMPLETE.fullmatch(token) for token in field.autocomplete.lower().split()):
        return [f"autocomplete = {field.autocomplete!r} says that it holds a secret; such fields are never taken, so leave it out"]
    return []


def _field_problems(field: Field) -> list[str]:
    only = {"choices": "choice", "edges": "bucket", "unit": "bucket", "countries": "redact"}
    checks = {f"{option} is for the treatment {treatment!r} only": bool(getattr(field, option)) and field.treatment != treatment
              for option, treatment in only.items()}  # fmt: skip
    checks |= {
        "several is for the treatment 'choice' only": field.several and field.treatment != "choice",
        'choice needs choices = ["…"]': field.treatment == "choice" and not field.choices,
        'bucket needs edges = [18, 30, 60] for numbers, or unit = "year" for dates': (
            field.treatment == "bucket" and not field.edges and field.unit in ("", "age")
        ),
        "edges are for numbers and unit = 'age'; dates have their unit": bool(field.edges) and field.unit not in ("", "age"),
        "edges must rise, from number to number": list(field.edges) != sorted(set(field.edges)) or not all(map(math.isfinite, field.edges)),
        "letters is for the treatment 'region' only": field.letters != 2 and field.treatment != "region",
        "letters must be from 1 to 4": not 1 <= field.letters <= 4,
        'countries must be codes like ["DK", "DE"]': any(not re.fullmatch("[A-Z]{2}", code) for code in field.countries),
    }
    return [problem for problem, is_wrong in checks.items() if is_wrong]


def codec(name: str) -> str:
    """Return Python's name for the encoding that a page names so (Encoding standard, "Names and labels"), or "" if none is.

    Browsers take some labels for larger encodings; Python knows others that no page can have, some of which are traps.
    """
    try:
        known = codecs.lookup(name).name
    except (LookupError, ValueError):
        return ""
    return _LARGER.get(known, known if known in _CHARSETS else "")


_LARGER: Final = {
    "ascii": "cp1252", "iso8859-1": "cp1252", "iso8859-9": "cp1254", "iso8859-11": "cp874", "tis-620": "cp874", "shift_jis": "cp932",
    "euc_kr": "cp949", "gb2312": "gbk", "big5": "big5hkscs",
}  # fmt: skip
_CHARSETS: Final = frozenset(
    "utf-8 koi8-r koi8-u mac-roman mac-cyrillic cp932 euc_jp iso2022_jp cp949 gbk gb18030 big5hkscs cp866 cp874".split()
).union((f"cp125{n}" for n in range(9)), (f"iso8859-{n}" for n in range(1, 17)))
