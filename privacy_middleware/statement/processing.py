"""The record of processing activities (GDPR art. 30(1)), made from the same facts as the statement."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import msgspec

from ..forms import AUDIT_DAYS
from ..language import Language
from ..settings import REQUEST_DAYS
from .authorities import ADEQUATE, EEA
from .facts import Facts
from .forms import basis, kept_for, title
from .section import Section, in_days
from .text import item, recipient, write_statement

Given = tuple[str, str, int, date, date]
"""A recipient, a purpose, how many entries it got, and on which days the first and the last."""


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """One activity, with what article 30(1) asks for in its order (b to g)."""

    name: str
    purpose: str
    legal_basis: str
    people: str
    """Categories of data subjects."""
    data: tuple[str, ...]
    recipients: tuple[str, ...] = ()
    transfers: tuple[str, ...] = ()
    """To countries outside the European Economic Area, with what protects the data there (art. 44 to 49)."""
    erased: str
    measures: tuple[str, ...]


class ProcessingRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The record of one controller."""

    controller: str
    contact: tuple[str, ...]
    data_protection_officer: str
    language: str
    activities: tuple[Activity, ...]
    disclosures: tuple[str, ...] = ()
    """Who got data, and how much of it, as far as this software gave them."""


def record_in_force(_: Language, facts: Facts, given: Sequence[Given] = ()) -> ProcessingRecord:
    """Return the record, as it follows from the facts, and from what was given to recipients."""
    protection = next(section for section in write_statement(_, facts) if section.name == "protection")
    who = facts.controller
    contact = (*who.address, *(value for value in (who.email, who.telephone) if value))
    return ProcessingRecord(
        controller=who.name or _("not declared"),
        contact=contact or (_("not declared"),),
        data_protection_officer=who.data_protection_officer or _("none named"),
        language=_.code,
        activities=(
            _visits(_, facts, protection),
            *_forms(_, facts, protection),
            _requests(_, facts, protection),
            _log(_, protection),
        ),
        disclosures=tuple(
            _(
                "%(name)s, for the purpose “%(purpose)s”, from %(first)s to %(last)s; entries: %(number)s",
                name=name,
                purpose=_.own(purpose),
                number=_.number(amount),
                first=_.day(first),
                last=_.day(last),
            )
            for name, purpose, amount, first, last in given
        ),
    )


def _visits(_: Language, facts: Facts, protection: Section) -> Activity:
    purpose = facts.purposes_by_name[facts.visits_purpose]
    return Activity(
        name=_("Visits"),
        purpose=_.own(purpose.text),
        legal_basis=_.own(purpose.legal_basis),
        people=_("Visitors of the website"),
        data=tuple(item(_, facts, name)[0] for name in facts.items),
        recipients=_recipients(_, facts, facts.visits_purpose),
        transfers=_transfers(_, facts, facts.visits_purpose),
        erased=_("after %(days)s", days=in_days(_, facts.retention_days)),
        measures=protection.points,
    )


def _forms(_: Language, facts: Facts, protection: Section) -> tuple[Activity, ...]:
    return tuple(
        Activity(
            name=title(_, form),
            purpose=_.own(facts.purposes_by_name[form.purpose].text),
            legal_basis=basis(_, facts, form),
            people=_("People who use this form"),
            data=tuple(_.own(field.label) or name for name, field in form.fields.items()),
            recipients=_recipients(_, facts, form.purpose),
            transfers=_transfers(_, facts, form.purpose),
            erased=kept_for(_, form),
            measures=protection.points,
        )
        for form in facts.forms
    )


def _requests(_: Language, facts: Facts, protection: Section) -> Activity:
    return Activity(
        name=_("Data requests"),
        purpose=_("to answer people who ask for an overview, a correction or an erasure, and to prove it"),
        legal_basis=_("our legal obligation (GDPR art. 6(1)(c))"),
        people=_("People who ask"),
        data=(_("E-mail address"), _("What they write"), _("Kind, state and dates of the request")),
        recipients=facts.sources,
        erased=_("%(days)s after our answer", days=in_days(_, REQUEST_DAYS)),
        measures=protection.points,
    )


def _log(_: Language, protection: Section) -> Activity:
    return Activity(
        name=_("Audit log"),
        purpose=_("to show who opened, changed or decided what"),
        legal_basis=_("our legal obligation (GDPR art. 5(2) and 32)"),
        people=_("Those who run this website, and people whose data they opened"),
        data=(_("Who, what and when"), _("A keyed checksum of the address of the person whose data it is about")),
        erased=_("after %(days)s", days=in_days(_, AUDIT_DAYS)),
        measures=protection.points,
    )


def _recipients(_: Language, facts: Facts, purpose: str) -> tuple[str, ...]:
    return tuple(recipient(_, facts, one) for one in facts.recipients if one.purpose == purpose)


def _transfers(_: Language, facts: Facts, purpose: str) -> tuple[str, ...]:
    found = []
    for one in facts.recipients:
        if one.purpose == purpose and len(one.country) == 2 and one.country not in EEA:
            adequate = _("decision of adequacy (art. 45)") if one.country in ADEQUATE else _("nothing declared")
            found.append(f"{one.name}, {_.country(one.country)}: {_.own(one.safeguard) or adequate}")
    return tuple(found)
