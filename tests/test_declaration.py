"""The declaration: what privacy.toml may say, and how a mistake in it is told."""

import re
import tomllib
from datetime import date
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy_middleware.declaration import STATISTICS, VISIT_ITEMS, Declaration, load_declaration
from privacy_middleware.errors import DeclarationError
from privacy_middleware.privacy import rules
from privacy_middleware.settings import load_settings

EXAMPLE = """
[controller]
name = "Bakery Ltd"
address = ["1 High Street\\nAarhus", "PO box 7"]
email = "privacy@example.org"
telephone = "+45 12 34 56 78"

[[purposes]]
name = "orders"
text = "to deliver what you ordered"
legal_basis = "contract (GDPR art. 6(1)(b))"
elsewhere = true

[visits]
items = ["time", "page", "visitor"]
purpose = "statistics"

[[recipients]]
name = "Parcel Co"
purpose = "orders"
data = "your postal address"
country = "Denmark"
confidentiality = "bound by contract"

[statement]
introduction = "We bake."
"""
RECIPIENT = {"name": "Parcel Co", "purpose": "statistics", "data": "figures", "country": "Denmark"}


def load(text: str) -> Declaration:
    return load_declaration(tomllib.loads(text))


def fault(text: str) -> str:
    with pytest.raises(DeclarationError) as raised:
        load(text)
    return str(raised.value)


def test_nothing_declared_is_a_valid_declaration_of_every_visit_item():
    declaration = load("")
    assert declaration.visits.items == tuple(VISIT_ITEMS)
    assert declaration.purposes == (STATISTICS,)
    assert declaration.controller.name == ""
    assert declaration.recipients == ()


def test_everything_declared_is_read():
    declaration = load(EXAMPLE)
    assert declaration.controller.address == ("1 High Street\nAarhus", "PO box 7")
    assert declaration.controller.telephone == "+45 12 34 56 78"
    assert declaration.purpose("orders").legal_basis == "contract (GDPR art. 6(1)(b))"
    assert declaration.visits.items == ("time", "page", "visitor")
    assert declaration.recipients[0].confidentiality == "bound by contract"
    assert declaration.statement.introduction == "We bake."


def test_a_declaration_cannot_be_changed():
    with pytest.raises(AttributeError):
        load(EXAMPLE).controller = None  # type: ignore[misc,assignment]


def test_statistics_is_a_purpose_that_needs_no_entry():
    assert load(EXAMPLE).purpose("statistics") == STATISTICS


def test_the_owner_may_word_statistics_anew():
    declaration = load('[[purposes]]\nname = "statistics"\ntext = "to count"\nlegal_basis = "consent"')
    assert declaration.purpose("statistics").text == "to count"


def test_each_visit_item_is_told_in_plain_words_with_an_example():
    assert all(item.name == name and item.title and item.example for name, item in VISIT_ITEMS.items())


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[visits]\nitems = ['time', 'shoe_size']", ["visits.items", "'shoe_size'", "known are time, visitor"]),
        ("[visits]\nitems = ['page']", ["visits.items", "'time'", "purged"]),
        ("[visits]\nitems = []", ["visits.items", "'time'"]),
        ("[visits]\npurpose = 'sales'", ["visits.purpose", "'sales'", "[[purposes]]", "add one"]),
        ("[controller]\nemail = 'nobody'", ["controller.email", "privacy@example.org"]),
        ("[controller]\nemail = 'a@b.org, c@d.org'", ["controller.email", "privacy@example.org"]),
        ("[controller]\nemail = '<a@b.org>'", ["controller.email", "privacy@example.org"]),
        ('[controller]\nemail = "a@b.org\\nBcc: c@d.org"', ["controller.email", "privacy@example.org"]),
        ("[controller]\nnmae = 'x'", ["unknown field `nmae`", "at controller", "README"]),
        ("[controller]\nname = 7", ["Expected `str`, got `int`", "at controller.name", "README"]),
        ("[controller]\naddress = 'one street'", ["Expected `array`, got `str`", "at controller.address", "README"]),
        ("[[purposes]]\nname = 'x'\ntext = 'y'", ["missing required field `legal_basis`", "at purposes[0]", "README"]),
        ("[purposes]\nname = 'x'", ["Expected `array`, got `object`", "at purposes", "README"]),
        ("[[recipients]]\nname = 'x'", ["missing required field `purpose`", "at recipients[0]", "README"]),
        ("[kookies]\nall = true", ["unknown field `kookies`", "at the top level", "README"]),
        ("controller = 'me'", ["Expected `object`, got `str`", "at controller", "README"]),
        ("[statement]\nintroduction = ['a']", ["Expected `str`, got `array`", "at statement.introduction", "README"]),
        ("[visits]\nitems = 'time'", ["Expected `array`, got `str`", "at visits.items", "README"]),
    ],
)
def test_a_mistake_is_told_with_its_place_and_a_remedy(text: str, parts: list[str]):
    message = fault(text)
    assert "privacy.toml is not valid" in message
    for part in parts:
        assert part in message


def test_a_recipient_with_a_purpose_of_its_own_is_refused():
    with pytest.raises(DeclarationError, match="'Parcel Co' has the purpose 'orders', which is its own: nobody gives data for it"):
        load_declaration({"recipients": [RECIPIENT | {"purpose": "orders"}]})


def test_to_declare_the_purpose_does_not_make_it_one_that_data_are_given_for():
    own = {"name": "advertising", "text": "to sell", "legal_basis": "none"}
    with pytest.raises(DeclarationError, match="Data are not sold"):
        load_declaration({"purposes": [own], "recipients": [RECIPIENT | {"purpose": "advertising"}]})


FORM = {"name": "orders", "path": "/o", "purpose": "answer", "retention_days": 9, "fields": {"name": "keep", "email": "keep"}}
PRINTER = {"name": "Print & Post Ltd", "purpose": "answer", "country": "DK", "fields": ["name"]}
BOUND = {"reference": "agreement 12", "date": date(2026, 5, 1)}


def test_a_recipient_of_fields_is_declared_with_its_undertaking():
    found = load_declaration({"forms": [FORM], "recipients": [PRINTER | {"undertaking": BOUND}]}).recipients[0]
    assert (found.fields, found.slug) == (("name",), "print-post-ltd")
    assert found.undertaking
    assert found.undertaking.date == date(2026, 5, 1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "no undertaking of confidentiality is declared"),
        ({"undertaking": BOUND | {"reference": " "}}, "no undertaking of confidentiality is declared"),
        ({"undertaking": BOUND, "fields": ["name", "phone"]}, "fields that no form of the purpose 'answer' declares: phone"),
        ({"undertaking": BOUND, "purpose": "statistics"}, "fields that no form of the purpose 'statistics' declares: name"),
        ({"undertaking": BOUND, "fields": []}, "needs fields"),
        ({"undertaking": BOUND, "webhook": "ftp://x"}, "has a webhook that is no address"),
        ({"undertaking": BOUND, "webhook": "https://x.example:99999/"}, "has a webhook that is no address"),
        ({"undertaking": BOUND, "webhook": "https://[::1/"}, "has a webhook that is no address"),
        ({"undertaking": BOUND, "webhook": "https://user:word@x.example/"}, "has a webhook that is no address"),
        ({"undertaking": BOUND, "fields": [], "data": "names", "webhook": "https://x.example"}, "has a webhook, and no fields"),
        ({"undertaking": BOUND, "name": "…"}, "has no name that settings could be written for"),
        ({"undertaking": {"reference": "x"}}, "missing required field `date`"),
        ({"undertaking": BOUND, "sell": True}, "unknown field `sell`"),
    ],
)
def test_what_a_recipient_lacks_is_told_at_the_start(change: dict[str, Any], words: str):
    with pytest.raises(DeclarationError) as raised:
        load_declaration({"forms": [FORM], "recipients": [PRINTER | change]})
    assert words in str(raised.value)


def test_two_recipients_that_settings_could_not_tell_apart_are_refused():
    both = [PRINTER | {"undertaking": BOUND}, PRINTER | {"undertaking": BOUND, "name": "Print Post Ltd"}]
    with pytest.raises(DeclarationError, match="named twice"):
        load_declaration({"forms": [FORM], "recipients": both})


def test_a_recipient_of_statistics_needs_no_purpose_entry():
    assert load_declaration({"recipients": [RECIPIENT]}).recipients[0].name == "Parcel Co"


def test_several_mistakes_are_told_at_once():
    message = fault("[controller]\nemail = 'x'\n[visits]\nitems = ['pages']\npurpose = 'y'")
    assert len(re.findall(r"^  - ", message, re.MULTILINE)) == 4
    for part in ("'pages'", "'time'", "visits.purpose", "controller.email"):
        assert part in message


@pytest.mark.parametrize("email", ["privacy@example.org", "a.b+c@sub.example.co.uk", "søren@blåbærgrød.dk"])
def test_ordinary_addresses_are_accepted(email: str):
    assert load_declaration({"controller": {"email": email}}).controller.email == email


# Else the first would silently win, also in the statement.
def test_two_purposes_of_one_name_are_refused():
    entry = '[[purposes]]\nname = "orders"\ntext = "{}"\nlegal_basis = "contract"\n'
    assert "'orders'" in fault(entry.format("to deliver") + entry.format("to sell"))


# Else the statement would say "The legal basis is ." (GDPR art. 13(1)(c) asks for it).
@pytest.mark.parametrize("field", ["name", "text", "legal_basis"])
def test_a_purpose_with_an_empty_field_is_refused(field: str):
    entry = {"name": "orders", "text": "to deliver", "legal_basis": "contract"} | {field: " "}
    with pytest.raises(DeclarationError, match=field):
        load_declaration({"purposes": [entry]})


# --- what the declaration lets through -------------------------------------------------------------------------------------


@given(st.sets(st.sampled_from(sorted(VISIT_ITEMS))))
@settings(deadline=None, max_examples=50)
def test_what_may_be_taken_is_what_is_declared(items: set[str]):
    found, _ = load_settings({"sites": "www.example.org", "geoip_db": "countries.mmdb"}, {})
    declaration = load_declaration({"visits": {"items": sorted(items | {"time"})}})
    assert rules(found, declaration).items == items | {"time"}


@pytest.mark.parametrize(
    ("keywords", "without"),
    [
        ({"ip": "none"}, {"address", "site", "country"}),
        ({"ip": "none", "sites": "a.example"}, {"address", "country"}),
        ({}, {"site", "country"}),
        ({"geoip_db": "countries.mmdb"}, {"site"}),
    ],
)
def test_settings_only_take_away_from_the_declaration(keywords: dict[str, Any], without: set[str]):
    found, _ = load_settings(keywords, {})
    assert rules(found, Declaration()).items == set(VISIT_ITEMS) - without


def test_own_hosts_are_those_of_the_base_url_and_the_sites():
    found, _ = load_settings({"base_url": "https://www.example.org", "sites": "shop.example.org:8443,www.example.net"}, {})
    assert rules(found, Declaration()).own_hosts == {"example.org", "shop.example.org", "example.net"}


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
@settings(deadline=None, max_examples=100)
def test_any_document_is_either_valid_or_told_with_a_declaration_error(value: Any):
    for table in msgspec.structs.fields(Declaration):
        try:
            load_declaration({table.name: value})
        except DeclarationError as error:
            assert "privacy.toml is not valid" in str(error)  # noqa: PT017  both outcomes are right
