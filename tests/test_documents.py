"""The statement for programs and for authorities: valid by its schema, readable as linked data, and the same facts as the pages."""

import json
import re
import warnings
from datetime import UTC, date, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from rdflib import RDF, Graph, Literal, Namespace, URIRef

from privacy_middleware.checks import PROFILES
from privacy_middleware.cli import main
from privacy_middleware.collect.choice import kept_choice
from privacy_middleware.language import OURS, Languages, english
from privacy_middleware.privacy import Privacy
from privacy_middleware.statement.linked_data import CONTEXT, Decision, Event, legal_term, receipt_document
from privacy_middleware.statement.processing import record_in_force

from .databases import change
from .requesting import ANNA, SECRET
from .test_owner_pages import signed_in
from .test_request_pages import Site

DPV, DCT, GDPR = Namespace(CONTEXT["dpv"]), Namespace(CONTEXT["dct"]), Namespace(CONTEXT["eu-gdpr"])
HOME = "https://www.example.org/privacy/"
POLICY = """
[controller]
name = "Example"
address = ["1 Street\\nTown"]
email = "privacy@example.org"
telephone = "+45 12 34 56 78"
country = "DK"
data_protection_officer = "Olga, dpo@example.org"
[[forms]]
name = "contact"
title = "Contact form"
path = "/contact"
purpose = "answer"
retention_days = 365
[forms.fields]
email = { treatment = "keep", identity = true, label = "Your address" }
message = "redact"
[[forms]]
name = "news"
path = "/news"
purpose = "newsletter"
retention_days = 730
[forms.fields]
email = { treatment = "keep", identity = true }
[[recipients]]
name = "Printer Ltd"
purpose = "answer"
data = "addresses"
country = "US"
safeguard = "standard contractual clauses"
[[recipients]]
name = "Nordic Post"
purpose = "newsletter"
data = "addresses"
country = "NO"
"""
# Of ISO/IEC TS 27560:2023, the mandatory fields, by the properties that the guide of the Data Privacy Vocabulary gives them.
MANDATORY = {
    "schema version": DCT.conformsTo, "record id": DCT.identifier, "principal": DPV.hasDataSubject, "privacy notice": DPV.hasNotice,
    "language": DCT.language, "purpose": DPV.hasPurpose, "data": DPV.hasPersonalData, "controllers": DPV.hasDataController,
    "storage": DPV.hasStorageCondition, "location": DPV.hasLocation, "retention": DPV.hasDuration, "jurisdiction": DPV.hasJurisdiction,
    "recipients": DPV.hasRecipient, "withdrawal": DPV.hasConsentControl, "party name": DPV.hasName, "party address": DPV.hasAddress,
    "party contact": DPV.hasContact, "event time": DCT.date, "validity": DCT.valid, "entity": DPV.isImplementedByEntity,
    "event type": DPV.hasLegalBasis, "event state": DPV.hasConsentStatus,
}  # fmt: skip


@pytest.fixture
def site() -> Site:
    return Site(policy=POLICY)


def graph(document: str | dict[str, Any]) -> Graph:
    """Read JSON-LD as RDF, with a library that knows nothing of us; its context is in the document, nothing is fetched."""
    text = document if isinstance(document, str) else json.dumps(document)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of rdflib about itself
        return Graph().parse(StringIO(text), format="json-ld", publicID=HOME)


# --- statement.json --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", OURS)
def test_the_statement_for_programs_is_valid_by_its_published_schema(site: Site, language: str) -> None:
    schema = site.client.get("/privacy/statement.schema.json").json()
    jsonschema.Draft202012Validator.check_schema(schema)
    response = site.client.get(f"/privacy/statement.json?lang={language}")
    document = response.json()
    jsonschema.validate(document, schema, cls=jsonschema.Draft202012Validator)
    assert document["language"] == response.headers["content-language"] == language
    assert document["address"] == HOME
    assert [form["name"] for form in document["facts"]["forms"]] == ["contact", "news"]
    assert document["sections"][0]["title"]


def test_the_statement_for_programs_says_what_the_page_says(site: Site) -> None:
    page = site.client.get("/privacy/").text
    for section in site.client.get("/privacy/statement.json").json()["sections"]:
        assert f'id="{section["name"]}"' in page
        assert section["title"].replace("'", "&#39;") in page


def test_programs_of_other_sites_may_read_it_and_it_changes_by_language(site: Site) -> None:
    for path in ("statement.json", "statement.jsonld", "statement.txt"):
        headers = site.client.get(f"/privacy/{path}", headers={"accept-language": "da"}).headers
        assert headers["access-control-allow-origin"] == "*"
        assert headers["content-language"] == "da"
        assert headers["vary"] == "accept-language"
        assert "set-cookie" not in headers


def test_the_plain_text_has_every_section_and_full_addresses(site: Site) -> None:
    text = site.client.get("/privacy/statement.txt").text
    assert "<" not in re.sub(r"<https?://[^>]*>|<mailto:[^>]*>", "", text)
    for section in site.client.get("/privacy/statement.json").json()["sections"]:
        assert section["title"] in text
    assert HOME + "requests/" in text


# --- linked data -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", OURS)
def test_the_statement_is_linked_data_that_a_public_library_reads(site: Site, language: str) -> None:
    found = graph(site.client.get(f"/privacy/statement.jsonld?lang={language}").text)
    notice = URIRef(HOME)
    assert (notice, RDF.type, DPV.PrivacyNotice) in found
    processes = list(found.objects(notice, DPV.hasProcess))
    assert len(processes) == 3
    assert {str(found.value(basis, RDF.type)) for basis in found.objects(None, DPV.hasLegalBasis)} >= {
        str(GDPR["A6-1-f"]),
        str(GDPR["A6-1-a"]),
    }
    durations = {str(value) for value in found.objects(None, DPV.hasDuration)}
    assert durations == {"P30D", "P365D", "P730D"}
    assert found.value(None, DPV.hasName, Literal("Example")) is not None
    assert (notice, DPV.hasTechnicalOrganisationalMeasure, DPV.EncryptionInTransfer) in found
    assert len(list(found.objects(notice, DPV.hasRight))) == 7
    assert found.value(notice, DCT.modified).toPython() == datetime.now(UTC).date()


def test_every_name_has_a_prefix_that_the_context_knows(site: Site) -> None:
    def names(node: Any) -> set[str]:
        if isinstance(node, dict):
            return {name for name in node if name != "@context"} | {name for value in node.values() for name in names(value)}
        return {name for value in node for name in names(value)} if isinstance(node, list) else set()

    document = site.client.get("/privacy/statement.jsonld").json()
    assert {name.partition(":")[0] for name in names(document) if not name.startswith("@")} <= set(CONTEXT)


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("our legitimate interest (GDPR art. 6(1)(f))", "eu-gdpr:A6-1-f"),
        ("Art. 6 (1)(b) GDPR", "eu-gdpr:A6-1-b"),
        ("your consent", "dpv:Consent"),
        ("our contract with you", "dpv:Contract"),
        ("the Bookkeeping Law", "dpv:LegalObligation"),
        ("because we like to", "dpv:LegalBasis"),
    ],
)
def test_a_legal_basis_in_words_gets_its_term(text: str, term: str) -> None:
    assert legal_term(text) == term


# --- receipts --------------------------------------------------------------------------------------------------------------


def has_the_mandatory_fields(found: Graph) -> None:
    [record] = found.subjects(RDF.type, DPV.ConsentRecord)
    [receipt] = found.subjects(RDF.type, DPV.ConsentReceipt)
    assert found.value(receipt, DPV.hasRecordOfActivity) == record
    lacking = [name for name, term in MANDATORY.items() if next(found.objects(None, term), None) is None]
    assert lacking == []
    for term in (DCT.conformsTo, DCT.identifier, DPV.hasDataSubject, DPV.hasNotice, DPV.hasConsentStatus, DPV.hasConsentControl):
        assert len(list(found.objects(record, term))) == 1


@pytest.mark.parametrize("event", ["refused", "allowed", "consented", "withdrawn", "objected", "restricted"])
@pytest.mark.parametrize("purpose", ["statistics", "newsletter", ""])
def test_a_receipt_has_every_field_that_the_standard_makes_mandatory(event: Event, purpose: str) -> None:
    facts = Privacy.from_sources({"policy": POLICY, "secret_keys": SECRET}, {}).facts
    decision = Decision(event, purpose, date(2026, 5, 4), "0123abcd", "an-id", person=ANNA)
    for language in OURS:
        has_the_mandatory_fields(graph(receipt_document(Languages().get(language), facts, decision, address=HOME)))


@pytest.mark.parametrize(("choice", "status"), [("refuse", DPV.ConsentRefused), ("allow", DPV.ConsentGiven)])
def test_a_person_can_keep_a_receipt_of_their_choice(site: Site, choice: str, status: URIRef) -> None:
    assert site.client.get("/privacy/receipt").status_code == 404
    site.client.post("/privacy/opt-out", data={"choice": choice})
    kept = kept_choice(dict(site.client.cookies))
    assert kept is not None
    response = site.client.get("/privacy/receipt")
    assert 'filename="receipt.jsonld"' in response.headers["content-disposition"]
    found = graph(response.text)
    has_the_mandatory_fields(found)
    [event] = found.objects(None, DPV.hasConsentStatus)
    assert (event, RDF.type, status) in found
    [notice] = found.subjects(RDF.type, DPV.PrivacyNotice)
    assert str(found.value(notice, URIRef(CONTEXT["schema"] + "version"))) == kept.version == site.privacy.statement_digest.hex()[:8]
    assert ANNA not in response.text


def test_a_receipt_says_what_the_version_said_under_which_was_chosen(site: Site) -> None:
    site.client.get("/privacy/statement/changes")
    site.client.post("/privacy/opt-out", data={"choice": "refuse"})
    later = Site(policy=POLICY, retention_days=90)
    later.client.get("/privacy/statement/changes")
    later.client.cookies.update(site.client.cookies)
    found = graph(later.client.get("/privacy/receipt").text)
    assert {str(value) for value in found.objects(None, DPV.hasDuration)} == {"P30D"}
    later.client.cookies.set("__Host-privacy-choice", "refuse.00000000", domain="www.example.org", path="/")
    assert later.client.get("/privacy/receipt").status_code in (200, 404)


def test_a_receipt_of_the_choice_is_about_visits_also_where_a_form_has_their_purpose() -> None:
    site = Site(policy=POLICY.replace('purpose = "newsletter"', 'purpose = "statistics"'))
    site.client.post("/privacy/opt-out", data={"choice": "refuse"})
    found = graph(site.client.get("/privacy/receipt").text)
    assert {str(value) for value in found.objects(None, DPV.hasDuration)} == {"P30D"}


@pytest.mark.parametrize(("kind", "article"), [("objection", "A21"), ("restriction", "A18")])
def test_a_person_can_keep_a_receipt_of_an_objection_or_restriction(site: Site, kind: str, article: str) -> None:
    where = site.confirmed(kind)
    page = site.client.get(where).text
    [link] = re.findall(r'href="(/privacy/requests/receipt/[^"]+)"', page)
    response = site.client.get(link)
    assert response.headers["cache-control"] == "no-store"
    found = graph(response.text)
    has_the_mandatory_fields(found)
    [event] = found.objects(None, DPV.hasConsentStatus)
    assert found.value(event, DPV.hasRight) == GDPR[article]
    assert (None, DCT.identifier, Literal(ANNA)) in found
    assert site.client.get(link + "x").status_code == 404


def test_what_is_no_decision_has_no_receipt(site: Site) -> None:
    status = site.confirmed("complaint").rpartition("/")[2]
    assert site.client.get(f"/privacy/requests/receipt/{status}").status_code == 404


def test_without_a_database_there_is_no_receipt_of_a_request_but_one_of_a_choice(site: Site) -> None:
    Path("other").mkdir()
    broken = Site(policy=POLICY, database_url="sqlite:///other")
    assert broken.client.get("/privacy/requests/receipt/" + "x" * 43).status_code == 503
    broken.client.post("/privacy/opt-out", data={"choice": "refuse"})
    assert broken.client.get("/privacy/receipt").status_code == 200


# --- the record of processing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", OURS)
def test_the_record_of_processing_says_what_article_30_asks_for(code: str) -> None:
    record = record_in_force(Languages().get(code), Privacy.from_sources({"policy": POLICY, "secret_keys": SECRET}, {}).facts)
    assert (record.controller, record.data_protection_officer) == ("Example", "Olga, dpo@example.org")
    assert record.contact == ("1 Street\nTown", "privacy@example.org", "+45 12 34 56 78")
    assert len(record.activities) == 5
    for activity in record.activities:
        assert all((activity.name, activity.purpose, activity.people, activity.data, activity.erased, activity.measures))
    contact, news = record.activities[1:3]
    assert contact.recipients
    assert "standard contractual clauses" in contact.transfers[0]
    assert news.recipients
    assert news.transfers == ()


def test_the_record_says_what_is_not_declared() -> None:
    record = record_in_force(english(), Privacy.from_sources({"secret_keys": SECRET}, {}).facts)
    assert (record.controller, record.contact, record.data_protection_officer) == ("not declared", ("not declared",), "none named")


def test_the_officer_prints_the_record_and_downloads_it(site: Site) -> None:
    officer = signed_in(site)
    page = officer.get("/privacy/owner/processing").text
    document = officer.get("/privacy/owner/processing.json").json()
    for activity in document["activities"]:
        assert activity["name"] in page
    assert "standard contractual clauses" in page
    assert signed_in(site, "viewer").get("/privacy/owner/processing").status_code == 403


def test_the_command_prints_the_record_in_a_language(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    Path("privacy.toml").write_text(POLICY)
    monkeypatch.setenv("PRIVACY_SECRET_KEYS", SECRET)
    for code in ("en", "da"):
        assert main(["record", "--language", code]) == 0
        assert json.loads(capsys.readouterr().out)["language"] == code


# --- the officer's pages ---------------------------------------------------------------------------------------------------


def test_the_officer_sees_versions_and_what_each_changed(site: Site) -> None:
    site.client.get("/privacy/statement/changes")
    later = Site(policy=POLICY, retention_days=90)
    page = signed_in(later).get("/privacy/owner/statement").text
    assert "Retention of visits: 90 days, before: 30 days" in page


@pytest.mark.parametrize("profile", [*PROFILES, "", "nonsense"])
def test_the_officer_sees_which_rules_are_kept(site: Site, profile: str) -> None:
    page = signed_in(site).get(f"/privacy/owner/checks?profile={profile}")
    assert page.status_code == 200
    assert "Recipient Nordic Post" in page.text
    assert ("GDPR art. 28(3)(b)" in page.text) is (profile != "ccpa")
    assert "table hit" not in page.text


def test_the_officer_sees_what_is_kept_and_not_said(site: Site) -> None:
    site.client.get("/privacy/statement/changes")
    change("CREATE TABLE profile (person TEXT)")
    assert "table profile" in signed_in(site).get("/privacy/owner/checks").text
