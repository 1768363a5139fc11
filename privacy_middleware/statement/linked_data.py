"""The statement and receipts as JSON-LD in W3C's Data Privacy Vocabulary, for programs that read policies.

Sources: Data Privacy Vocabulary (DPV) 2, with its extensions Personal Data (PD) and EU GDPR; ISO/IEC TS 27560:2023 for receipts, written as
the Data Privacy Vocabularies and Controls Community Group's guide has it (https://w3id.org/dpv/guides/consent-27560).
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any, Final, Literal, NamedTuple

from ..collect.choice import LIFETIME_DAYS
from ..declaration import Purpose
from ..forms import Form
from ..language import Language
from .facts import Facts
from .forms import kept, title
from .text import item

CONTEXT: Final = {
    "dpv": "https://w3id.org/dpv#",
    "pd": "https://w3id.org/dpv/pd#",
    "eu-gdpr": "https://w3id.org/dpv/legal/eu/gdpr#",
    "dct": "http://purl.org/dc/terms/",
    "schema": "https://schema.org/",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
RECEIPT: Final = "https://w3id.org/dpv/schema/dpv-27560#receipt"
RECORD: Final = "https://w3id.org/dpv/schema/dpv-27560#record"
RIGHTS: Final = ("A15", "A16", "A17", "A18", "A20", "A21", "A77")
_DATA: Final = {
    "address": "pd:IPAddress",
    "page": "pd:BrowsingBehaviour",
    "source": "pd:BrowsingReferral",
    "agent": "pd:UserAgent",
    "language": "pd:Language",
    "country": "pd:Country",
}
_PURPOSES: Final = {
    "statistics": "dpv:ServiceUsageAnalytics",
    "answer": "dpv:CommunicationForCustomerCare",
    "newsletter": "dpv:DirectMarketing",
    "personalised content": "dpv:ServicePersonalisation",
    "questionnaire": "dpv:ServiceOptimisation",
}
Node = dict[str, Any]


def statement_document(_: Language, facts: Facts, *, address: str, version: int, since: date | None) -> Node:
    """Return what is collected, why, for how long and by whom, as a JSON-LD document."""
    notice: Node = {
        "@id": address,
        "@type": "dpv:PrivacyNotice",
        "dct:title": _("Privacy statement"),
        "dct:language": _.code,
        "schema:version": version,
        "dpv:hasProcess": [_visits(_, facts), *(_form(_, facts, form) for form in facts.forms)],
        "dpv:hasDataController": controller(facts),
        "dpv:hasRight": [{"@id": f"eu-gdpr:{right}"} for right in RIGHTS],
        "dpv:hasTechnicalOrganisationalMeasure": [{"@id": measure} for measure in measures(facts)],
        "dpv:hasRecipient": _recipients(facts),
    }
    if since:
        notice["dct:modified"] = {"@type": "xsd:date", "@value": since.isoformat()}
    return {"@context": CONTEXT, **notice}


def controller(facts: Facts) -> Node:
    """Return who is responsible."""
    who = facts.controller
    contact = [value for value in (who.email, who.telephone) if value]
    there: Node = {"dpv:hasName": who.name, "dpv:hasAddress": list(who.address), "dpv:hasContact": contact}
    there |= {"schema:addressCountry": who.country}
    return {"@type": "dpv:DataController", **{name: value for name, value in there.items() if value}}


def measures(facts: Facts) -> list[str]:
    """Return the terms of the measures of protection that are in force."""
    found = ["dpv:AccessControlMethod", "dpv:DataRedaction", "dpv:LoggingPolicy"]
    found += ["dpv:Pseudonymisation"] if "visitor" in facts.items else []
    found += ["dpv:EncryptionAtRest"] if facts.forms else []
    return [*found, "dpv:EncryptionInTransfer"] if facts.https else found


def _visits(_: Language, facts: Facts) -> Node:
    data = [{"@type": _DATA.get(name, "dpv:PersonalData"), "dct:description": item(_, facts, name)[0]} for name in facts.items]
    return _process(_, _("Visits"), facts.purposes_by_name[facts.visits_purpose], data=data, days=facts.retention_days)


def _form(_: Language, facts: Facts, form: Form) -> Node:
    data = [
        {
            "@type": "pd:EmailAddress" if field.identity else "dpv:PersonalData",
            "dct:title": _.own(field.label) or name,
            "dct:description": kept(_, field),
        }
        for name, field in form.fields.items()
    ]
    purpose = facts.purposes_by_name[form.purpose]
    return _process(_, title(_, form), purpose, data=data, days=form.retention_days, of_form=form.legal_basis)


def _process(_: Language, name: str, purpose: Purpose, *, data: list[Node], days: int, of_form: str = "") -> Node:
    legal = of_form or purpose.legal_basis
    return {
        "@type": "dpv:Process",
        "dct:title": name,
        "dpv:hasPurpose": {"@type": _PURPOSES.get(purpose.name, "dpv:Purpose"), "dct:description": _.own(purpose.text)},
        "dpv:hasPersonalData": data,
        "dpv:hasProcessing": [{"@id": "dpv:Collect"}, {"@id": "dpv:Store"}, {"@id": "dpv:Use"}, {"@id": "dpv:Erase"}],
        "dpv:hasLegalBasis": {"@type": legal_term(legal), "dct:description": _.own(legal)},
        "dpv:hasStorageCondition": [
            {"@type": "dpv:StorageDuration", "dpv:hasDuration": {"@type": "xsd:duration", "@value": f"P{days}D"}},
            {"@type": "dpv:StorageLocation", "dpv:hasLocation": _("the website's own server")},
        ],
    }


def _recipients(facts: Facts) -> list[Node]:
    return [{"@type": "dpv:Recipient", "dpv:hasName": one.name, "schema:addressCountry": one.country} for one in facts.recipients]


def legal_term(text: str) -> str:
    """Return the term for a legal basis that is written out: by the article that it names, or by its words."""
    article = re.search(r"6\s?\(1\)\s?\(([a-f])\)", text)
    if article:
        return f"eu-gdpr:A6-1-{article[1]}"
    words = {"consent": "dpv:Consent", "contract": "dpv:Contract", "legitimate": "dpv:LegitimateInterest", "law": "dpv:LegalObligation"}
    return next((term for word, term in words.items() if word in text.lower()), "dpv:LegalBasis")


# --- receipts --------------------------------------------------------------------------------------------------------------

Event = Literal["refused", "allowed", "consented", "withdrawn", "objected", "restricted"]
_STATUS: Final[dict[Event, str]] = {
    "refused": "dpv:ConsentRefused",
    "allowed": "dpv:ConsentGiven",
    "consented": "dpv:ConsentGiven",
    "withdrawn": "dpv:ConsentWithdrawn",
    "objected": "dpv:ConsentRefused",
    "restricted": "dpv:ConsentStatus",
}


OF_REQUESTS: Final[dict[str, Event]] = {"objection": "objected", "restriction": "restricted"}
"""Kinds of data request that are decisions."""


VALID_MONTHS: Final = LIFETIME_DAYS // 30
"""How long a browser keeps its choice; when it was made, nobody knows."""


class Decision(NamedTuple):
    """What a person decided: what about, when, and under which version of the statement."""

    event: Event
    purpose: str
    """The name of a purpose; "" for all of them."""
    at: date | datetime
    version: str
    """The name of the version of the statement (`Version.name`)."""
    identifier: str
    """What it is found by: random, or nothing that names a person."""
    language: str = "en"
    person: str = ""
    """Whose it is, if they are known: an e-mail address."""


def receipt_document(_: Language, facts: Facts, decision: Decision, *, address: str) -> Node:
    """Return a receipt of a consent, refusal, or objection (ISO/IEC TS 27560:2023), for the person to keep.

    `address` is that of the statement. The fields are those that the standard makes mandatory, as far as they are known.
    """
    by_browser = decision.event in ("refused", "allowed")
    purposes = [facts.purposes_by_name[decision.purpose]] if decision.purpose in facts.purposes_by_name else list(facts.purposes)
    processes = [_visits(_, facts)] if by_browser else [process for purpose in purposes for process in _processes_of(_, facts, purpose)]
    at = decision.at.isoformat()
    right = {"objected": "A21", "restricted": "A18"}.get(decision.event)
    subject = decision.person or _("this browser")
    record: Node = {
        "@type": ["dpv:ConsentRecord", "dpv:RightExerciseRecord"] if right else "dpv:ConsentRecord",
        "dct:identifier": decision.identifier,
        "dct:conformsTo": {"@id": RECORD},
        "dct:language": decision.language,
        "dpv:hasDataSubject": {"@type": "dpv:DataSubject", "dct:identifier": subject},
        "dpv:hasDataController": controller(facts),
        "dpv:hasNotice": {
            "@id": address,
            "@type": "dpv:PrivacyNotice",
            "schema:version": decision.version,
            "dct:language": decision.language,
        },
        "dpv:hasProcess": processes,
        "dpv:hasRecipient": _recipients(facts),
        "dpv:hasJurisdiction": facts.controller.country or _("not declared"),
        "dpv:hasConsentControl": {"@id": address + ("opt-out" if by_browser else "requests/"), "@type": "dpv:WithdrawConsent"},
        "dpv:hasConsentStatus": {
            "@type": _STATUS[decision.event],
            "dct:description": decision.event,
            "dct:date": {"@type": "xsd:dateTime" if isinstance(decision.at, datetime) else "xsd:date", "@value": at},
            "dct:valid": _.plural("one month at most", "%(number)s months at most", VALID_MONTHS)
            if by_browser
            else _("until you take it back"),
            "dpv:isImplementedByEntity": subject,
            **({"dpv:hasRight": {"@id": f"eu-gdpr:{right}"}} if right else {}),
        },
        "dpv:hasRight": [{"@id": f"eu-gdpr:{one}"} for one in ("A7-3", *RIGHTS)],
    }
    return {
        "@context": CONTEXT,
        "@type": "dpv:ConsentReceipt",
        "dct:identifier": f"receipt-{decision.identifier}",
        "dct:conformsTo": {"@id": RECEIPT},
        "dct:created": at,
        "dct:publisher": controller(facts),
        "dpv:hasRecordOfActivity": record,
    }


def _processes_of(_: Language, facts: Facts, purpose: Purpose) -> list[Node]:
    visits = [_visits(_, facts)] if purpose.name == facts.visits_purpose else []
    found = visits + [_form(_, facts, form) for form in facts.forms if form.purpose == purpose.name]
    return found or [_process(_, _.own(purpose.name), purpose, data=[], days=0)]
