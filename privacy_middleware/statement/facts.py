"""Everything that the statement says, as facts without words: its canonical form. Equal facts are the same version."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from ..collect.hit import Rules
from ..declaration import VISIT_ITEMS, Controller, Cookie, Declaration, Purpose, Recipient, StatementText
from ..forms import Form
from ..settings import AddressForm, Deadlines, Settings

WORDING: Final = 3
"""Counted up whenever the package's own words change (a test says when): then people read something else than before."""
ITEM_NAMES: Final = tuple(VISIT_ITEMS)


class Facts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is collected, why, for how long, who gets it, and how it is protected: all that a reader is told.

    A new fact gets a default that means what older versions meant, so that these can still be read.
    """

    wording: int = WORDING
    controller: Controller = Controller()
    items: tuple[str, ...] = ()
    """The data of a visit that are kept, of `VISIT_ITEMS`."""
    address: AddressForm = "none"
    values: tuple[str, ...] = ()
    """Names of parameters whose values are kept with addresses of pages."""
    retention_days: int = 30
    visits_purpose: str = "statistics"
    purposes: tuple[Purpose, ...] = ()
    """Those that anything is kept for, that of visits first."""
    forms: tuple[Form, ...] = ()
    """Only as far as a reader is told of them."""
    recipients: tuple[Recipient, ...] = ()
    sources: tuple[str, ...] = ()
    """What else the website keeps of people, and asks for an overview or erasure."""
    cookies: tuple[Cookie, ...] = ()
    """Those that the website itself sets."""
    signals: tuple[str, ...] = ()
    """Which signals of browsers are taken as a refusal: `gpc`, `dnt`."""
    suppress_below: int = 3
    publish: bool = False
    deadlines: Deadlines = "gdpr"
    review: tuple[str, ...] = ()
    """Kinds of data request that somebody looks at; `complaint` always is."""
    erasure_delay: int = 0
    """Hours."""
    accounts: bool = False
    """True if the website has accounts: who is signed in need not prove their address by mail."""
    https: bool = False
    text: StatementText = StatementText()
    own: dict[str, dict[str, str]] = {}
    """The owner's sections: Markdown by name and language ("" is the owner's default)."""
    catalogues: dict[str, str] = {}
    """Digests of the owner's own catalogues, by language."""

    @property
    def purposes_by_name(self) -> dict[str, Purpose]:
        """The purposes by their names."""
        return {purpose.name: purpose for purpose in self.purposes}


def facts_of(
    declaration: Declaration,
    settings: Settings,
    rules: Rules,
    *,
    sources: Iterable[str] = (),
    accounts: bool = False,
    own: dict[str, dict[str, str]] | None = None,
    catalogues: dict[str, str] | None = None,
) -> Facts:
    """Gather what the statement is to say, from what the code is going to do."""
    values = rules.query_params if "campaign" in rules.items else frozenset[str]()
    values |= rules.path_params if "page" in rules.items else frozenset()
    of_forms = [form.purpose for form in declaration.forms]
    names = dict.fromkeys(
        (declaration.visits.purpose, *(p.name for p in declaration.purposes), *of_forms, *(r.purpose for r in declaration.recipients))
    )
    used = {declaration.visits.purpose, *of_forms, *(r.purpose for r in declaration.recipients)}
    return Facts(
        controller=declaration.controller,
        items=tuple(name for name in ITEM_NAMES if name in rules.items),
        address=settings.ip if "address" in rules.items else "none",
        values=tuple(sorted(values)),
        retention_days=settings.retention_days,
        visits_purpose=declaration.visits.purpose,
        purposes=tuple(declaration.purpose(name) for name in names if name in used),
        forms=tuple(_as_told(form) for form in declaration.forms),
        recipients=declaration.recipients,
        sources=tuple(sources),
        cookies=declaration.cookies,
        signals=tuple(name for name, is_on in settings.signals.items() if is_on),
        suppress_below=settings.suppress_below,
        publish=settings.publish,
        deadlines=settings.deadlines,
        review=tuple(sorted(settings.review)),
        erasure_delay=settings.erasure_delay,
        accounts=accounts,
        https=settings.base_url.startswith("https://"),
        text=declaration.statement,
        own=own or {},
        catalogues=catalogues or {},
    )


def _as_told(form: Form) -> Form:
    """Leave out what is only of use for finding and reading the form."""
    fields = {
        name: msgspec.structs.replace(field, optional=False, several=False, countries=(), correction="review", autocomplete="")
        for name, field in form.fields.items()
    }
    replaced: dict[str, Any] = {"outcomes": tuple(sorted(form.outcomes))}
    replaced |= {"path": "", "method": "POST", "shown_at": "", "accepted": ("2xx", "3xx"), "charset": "utf-8", "fields": fields}
    return msgspec.structs.replace(form, **replaced)


def canonical(facts: Facts) -> bytes:
    """Write facts so that equal ones give equal bytes: JSON in the order of their definition, defaults left out."""
    return msgspec.json.encode(facts)


def digest(facts: Facts) -> bytes:
    """Return the SHA-256 of the canonical form: the identity of a version."""
    return hashlib.sha256(canonical(facts)).digest()


def read_facts(data: bytes) -> Facts:
    """Read facts that an older package may have written."""
    return msgspec.json.decode(data, type=Facts, strict=False)
