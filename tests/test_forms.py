"""Declared forms: what an owner may write, and how each mistake is told."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy_middleware.declaration import FORM_PURPOSES, Declaration, load_declaration
from privacy_middleware.errors import DeclarationError, SettingsError
from privacy_middleware.forms import Field, Form, codec, path_pattern
from privacy_middleware.privacy import Privacy
from privacy_middleware.settings import effective, load_settings

CONTACT: dict[str, Any] = {
    "name": "contact",
    "path": "/contact",
    "purpose": "answer",
    "retention_days": 365,
    "fields": {"email": {"treatment": "keep", "identity": True}, "name": "keep", "message": "redact"},
}
TOML = """
[[forms]]
name = "contact"
path = "/contact"
purpose = "answer"
requested = true
retention_days = 365
[forms.fields]
email = { treatment = "keep", identity = true }
name = "keep"
message = "redact"
"""


def declare(**changes: Any) -> Form:
    return load_declaration({"forms": [CONTACT | changes]}).forms[0]


def fault(*forms: dict[str, Any], **document: Any) -> str:
    with pytest.raises(DeclarationError) as raised:
        load_declaration({"forms": list(forms), **document})
    return str(raised.value)


def accepts(name: str, **options: Any) -> bool:
    try:
        declare(fields={name: {"treatment": "keep", **options}})
    except DeclarationError as error:
        assert f"forms.contact.fields.{name}" in str(error)  # noqa: PT017  both outcomes are asked for
        assert "leave it out" in str(error)  # noqa: PT017
        return False
    return True


# --- what can be written ---------------------------------------------------------------------------------------------------


def test_the_example_of_the_readme_is_read():
    form = load_declaration(tomllib.loads(TOML)).forms[0]
    assert form.fields["email"] == Field(treatment="keep", identity=True)
    assert form.requested
    assert form.identity == "email"


def test_a_treatment_alone_is_short_for_a_table():
    assert declare().fields["name"] == declare(fields={"name": {"treatment": "keep"}}).fields["name"] == Field(treatment="keep")


def test_what_is_not_written_has_a_sparing_default():
    form = declare()
    assert (form.method, form.requested, form.link_visit, form.outcomes, form.charset) == ("POST", False, False, ("accepted",), "utf-8")


def test_fields_stay_in_the_order_in_which_they_are_declared():
    assert list(declare(fields={"z": "keep", "a": "length", "m": "present"}).fields) == ["z", "a", "m"]


@pytest.mark.parametrize("treatment", ["keep", "length", "present", "domain", "region", "hash", "redact", "file"])
def test_a_treatment_without_options_needs_none(treatment: str):
    assert declare(fields={"x": treatment}).fields["x"].treatment == treatment


@pytest.mark.parametrize(
    "field",
    [
        {"treatment": "choice", "choices": ["yes", "no"]},
        {"treatment": "bucket", "edges": [18, 30, 60]},
        {"treatment": "bucket", "edges": [-0.5]},
        {"treatment": "bucket", "unit": "age", "edges": [18]},
        {"treatment": "bucket", "unit": "year"},
        {"treatment": "bucket", "unit": "month"},
        {"treatment": "bucket", "unit": "decade"},
        {"treatment": "region", "letters": 1},
        {"treatment": "region", "letters": 4},
        {"treatment": "redact", "countries": ["DK", "DE"]},
        {"treatment": "keep", "label": "Your name", "autocomplete": "section-a shipping name"},
    ],
    ids=str,
)
def test_options_are_accepted_with_their_treatment(field: dict[str, Any]):
    assert declare(fields={"x": field}).fields["x"].treatment == field["treatment"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_form_may_be_sent_by_each_method_that_has_a_body(method: str):
    assert declare(method=method).method == method


def test_one_path_may_have_a_form_for_each_method():
    forms = load_declaration({"forms": [CONTACT, CONTACT | {"name": "change", "method": "PUT"}]}).forms
    assert [form.method for form in forms] == ["POST", "PUT"]


def test_a_declaration_without_forms_has_none():
    assert load_declaration({}).forms == load_declaration({"forms": []}).forms == ()


def test_a_form_without_an_identity_field_belongs_to_nobody():
    assert declare(fields={"message": "redact"}).identity == ""


@pytest.mark.parametrize("days", [1, 3660])
def test_the_ends_of_the_retention_are_accepted(days: int):
    assert declare(retention_days=days).retention_days == days


@pytest.mark.parametrize("path", ["/", "/contact", "/orders/{id}", "/orders/{id}/notes/{rest:path}", "/søg/ét", "/a.b-c_d~e/"])
def test_a_path_may_be_plain_or_a_template(path: str):
    assert declare(path=path).path == path


@pytest.mark.parametrize(
    ("template", "path", "fits"),
    [
        ("/orders/{id}", "/orders/17", True),
        ("/orders/{id}", "/orders/17/x", False),
        ("/orders/{id}", "/orders/", False),
        ("/orders/{id}/edit", "/orders/17/edit", True),
        ("/f/{rest:path}", "/f/a/b/c", True),
        ("/f/{rest:path}/end", "/f/a/b/end", True),
        ("/a.b/{id}", "/aXb/1", False),
        ("/{a}-{b}", "/1-2", True),
        ("/orders/{id:int}", "/orders/17", True),
        ("/orders/{id:int}", "/orders/17/x", False),
    ],
)
def test_a_hole_in_a_path_stands_for_a_part_of_it(template: str, path: str, fits: bool):
    pattern = path_pattern(template)
    assert pattern is not None
    assert bool(pattern.fullmatch(path)) is fits


def test_a_path_without_holes_needs_no_pattern():
    assert path_pattern("/contact") is None


# --- the answer decides ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accepted", "status", "outcome"),
    [
        (("2xx", "3xx"), 200, "accepted"),
        (("2xx", "3xx"), 204, "accepted"),
        (("2xx", "3xx"), 303, "accepted"),
        (("2xx", "3xx"), 400, "invalid"),
        (("2xx", "3xx"), 499, "invalid"),
        (("2xx", "3xx"), 500, "failed"),
        (("2xx", "3xx"), 599, "failed"),
        (("303",), 303, "accepted"),
        (("303",), 302, "invalid"),
        (("303",), 200, "invalid"),
        (("303", "2xx"), 201, "accepted"),
    ],
)
def test_the_status_tells_what_became_of_a_submission(accepted: tuple[str, ...], status: int, outcome: str):
    assert declare(accepted=list(accepted)).outcome(status) == outcome


# --- mistakes --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"name": "Contact"}, ["forms.Contact", "small letters, digits, - and _"]),
        ({"name": ""}, ["forms.", "small letters"]),
        ({"name": "x" * 42}, ["small letters"]),
        ({"name": "-x"}, ["small letters"]),
        ({"name": "x\n"}, ["small letters"]),
        ({"name": "../x"}, ["small letters"]),
        ({"path": "contact"}, ["forms.contact", "path must start with /"]),
        ({"path": ""}, ["path must start with /"]),
        ({"path": "https://www.example.org/contact"}, ["path must start with /"]),
        ({"shown_at": "about"}, ["forms.contact", "path must start with /"]),
        ({"method": "GET"}, ["forms.contact", "POST, PUT, PATCH", "PRIVACY_QUERY_PARAMS"]),
        ({"method": "post"}, ["POST, PUT, PATCH"]),
        ({"retention_days": 0}, ["forms.contact", "retention_days", "1 to 3660"]),
        ({"retention_days": 3661}, ["retention_days", "1 to 3660"]),
        ({"retention_days": -1}, ["retention_days", "1 to 3660"]),
        ({"fields": {}}, ["forms.contact", "no field", 'email = "keep"']),
        ({"outcomes": []}, ["forms.contact", "accepted, invalid, failed"]),
        ({"accepted": []}, ["forms.contact", '["303"]']),
        ({"accepted": ["404"]}, ['["303"]']),
        ({"accepted": ["3XX"]}, ['["303"]']),
        ({"accepted": ["303 "]}, ['["303"]']),
        ({"charset": "rot13"}, ["forms.contact", "charset", "leave it out"]),
        ({"charset": "utf-7"}, ["charset"]),
        ({"charset": "idna"}, ["charset"]),
        ({"charset": "nonsense"}, ["charset"]),
        ({"charset": ""}, ["charset"]),
        ({"charset": "utf-8\0"}, ["charset"]),
        ({"purpose": "sales"}, ["forms.contact", "'sales'", "[[purposes]]", "add one"]),
        ({"purpose": "questionnaire", "requested": True}, ["forms.contact", "requested = true", "leave it out"]),
        ({"purpose": "statistics", "requested": True}, ["requested = true", "leave it out"]),
        (
            {"fields": {"a": {"treatment": "keep", "identity": True}, "b": {"treatment": "keep", "identity": True}}},
            ["forms.contact", "only one field", "identity"],
        ),
        ({"fields": {"a": {"treatment": "hash", "identity": True}}}, ["forms.contact", "identity", '"keep"']),
        ({"fields": {"a": "keep", "a.b": "keep"}}, ["forms.contact", "'a'", "'a.b'"]),
        ({"fields": {"a.b": "keep", "a": "keep"}}, ["'a'", "'a.b'"]),
    ],
    ids=str,
)
def test_a_mistake_in_a_form_is_told_with_its_place_and_a_remedy(changes: dict[str, Any], parts: list[str]):
    message = fault(CONTACT | changes)
    assert "privacy.toml is not valid" in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("field", "part"),
    [
        ({"treatment": "keep", "choices": ["a"]}, "choices is for the treatment 'choice' only"),
        ({"treatment": "choice", "choices": ["a"], "edges": [1]}, "edges is for the treatment 'bucket' only"),
        ({"treatment": "length", "unit": "year"}, "unit is for the treatment 'bucket' only"),
        ({"treatment": "keep", "countries": ["DK"]}, "countries is for the treatment 'redact' only"),
        ({"treatment": "choice"}, 'choice needs choices = ["…"]'),
        ({"treatment": "choice", "choices": []}, 'choice needs choices = ["…"]'),
        ({"treatment": "bucket"}, "bucket needs edges = [18, 30, 60]"),
        ({"treatment": "bucket", "unit": "age"}, "bucket needs edges = [18, 30, 60]"),
        ({"treatment": "bucket", "unit": "year", "edges": [1]}, "edges are for numbers and unit = 'age'; dates have their unit"),
        ({"treatment": "bucket", "edges": [2, 1]}, "edges must rise"),
        ({"treatment": "bucket", "edges": [1, 1]}, "edges must rise"),
        ({"treatment": "region", "letters": 0}, "letters must be from 1 to 4"),
        ({"treatment": "region", "letters": 5}, "letters must be from 1 to 4"),
        ({"treatment": "redact", "countries": ["dk"]}, 'countries must be codes like ["DK", "DE"]'),
        ({"treatment": "redact", "countries": ["Denmark"]}, 'countries must be codes like ["DK", "DE"]'),
    ],
    ids=str,
)
def test_a_mistake_in_a_field_names_form_and_field(field: dict[str, Any], part: str):
    assert f"forms.contact.fields.age: {part}" in fault(CONTACT | {"fields": {"age": field}})


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"fields": ["email"]}, ["Expected `object`, got `array`", "forms.contact.fields"]),
        ({"fields": {"email": "keeep"}}, ["keeep", "forms.contact.fields.email"]),
        ({"fields": {"email": 1}}, ["Expected `object`, got `int`", "forms.contact.fields.email"]),
        ({"fields": {"email": {}}}, ["missing required field `treatment`"]),
        ({"fields": {"email": {"treatment": "keep", "idenity": True}}}, ["unknown field `idenity`"]),
        ({"fields": {"email": {"treatment": "bucket", "unit": "day"}}}, ["day"]),
        ({"retention_days": "30"}, ["Expected `int`, got `str`", "forms.contact.retention_days"]),
        ({"retention_days": True}, ["Expected `int`, got `bool`"]),
        ({"outcomes": ["acepted"]}, ["acepted", "forms.contact.outcomes"]),
        ({"requested": "yes"}, ["Expected `bool`, got `str`", "forms.contact.requested"]),
        ({"retention": 3}, ["unknown field `retention`", "forms.contact"]),
    ],
    ids=str,
)
def test_what_is_malformed_is_told_with_its_place(changes: dict[str, Any], parts: list[str]):
    for part in parts:
        assert part in fault(CONTACT | changes)


@pytest.mark.parametrize(
    ("changes", "known", "unknown"),
    [
        ({"fields": {"email": "keeep"}}, "redact", "accepted"),
        ({"outcomes": ["acepted"]}, "accepted", "redact"),
        ({"fields": {"born": {"treatment": "bucket", "unit": "day"}}}, "decade", "redact"),
    ],
    ids=str,
)
def test_an_unknown_word_is_told_with_the_known_ones(changes: dict[str, Any], known: str, unknown: str):
    assert known in fault(CONTACT | changes)
    assert unknown not in fault(CONTACT | changes)


@pytest.mark.parametrize("missing", ["name", "purpose", "retention_days", "fields"])
def test_what_a_form_cannot_do_without_must_be_written(missing: str):
    assert f"missing required field `{missing}`" in fault({key: value for key, value in CONTACT.items() if key != missing})


@pytest.mark.parametrize("forms", ["contact", {"name": "contact"}, 7, ["contact"], [7], [[CONTACT]]], ids=str)
def test_forms_of_another_shape_are_told(forms: Any):
    with pytest.raises(DeclarationError, match=r"privacy\.toml is not valid: Expected"):
        load_declaration({"forms": forms})


def test_two_forms_of_one_name_are_told():
    assert "'contact' is declared twice; keep one" in fault(CONTACT, CONTACT | {"path": "/other"})


def test_two_forms_sent_to_one_place_are_told():
    assert "two forms are sent to POST /contact; declare one" in fault(CONTACT, CONTACT | {"name": "other"})


def test_several_mistakes_are_told_at_once():
    message = fault(CONTACT | {"path": "x", "retention_days": 0, "fields": {"password": "keep", "age": "bucket"}})
    assert message.count("\n  - ") == 4


# Nobody would notice: such a form just never gets a submission.
@pytest.mark.parametrize("path", ["/{}", "/orders/{id", "/a%20b", "/{", "/{a", "/contact?a=1", "/contact#form"])
def test_a_path_that_can_never_match_is_refused(path: str):
    assert "forms.contact" in fault(CONTACT | {"path": path})


@pytest.mark.parametrize("edge", [float("nan"), float("inf"), float("-inf")])
def test_an_edge_must_be_a_number(edge: float):
    assert "forms.contact.fields.age" in fault(CONTACT | {"fields": {"age": {"treatment": "bucket", "edges": [edge]}}})


def test_a_field_needs_a_name():
    assert "forms.contact" in fault(CONTACT | {"fields": {"": "keep"}})


# --- purposes --------------------------------------------------------------------------------------------------------------


PREFERENCES = {
    "name": "interests",
    "purpose": "personalised content",
    "retention_days": 30,
    "fields": {"what": {"treatment": "choice", "choices": ["a", "b"]}},
}


@pytest.mark.parametrize("purpose", ["answer", "newsletter", "questionnaire", "statistics"])
def test_the_usual_purposes_need_no_declaration(purpose: str):
    assert declare(purpose=purpose).purpose == purpose
    assert Declaration().purpose(purpose).legal_basis


def test_each_given_purpose_has_its_words_and_its_legal_basis():
    assert all("GDPR art. 6(1)" in purpose.legal_basis and purpose.text.startswith("to ") for purpose in FORM_PURPOSES)


def test_the_owner_may_word_a_given_purpose_anew():
    own = {"name": "answer", "text": "to bake for you", "legal_basis": "contract"}
    assert load_declaration({"purposes": [own], "forms": [CONTACT]}).purpose("answer").text == "to bake for you"


def test_an_own_purpose_is_declared_once_and_used():
    own = {"name": "orders", "text": "to deliver", "legal_basis": "contract"}
    assert load_declaration({"purposes": [own], "forms": [CONTACT | {"purpose": "orders"}]}).forms[0].purpose == "orders"


def test_the_form_of_personalised_content_stands_on_our_own_page():
    assert load_declaration({"forms": [PREFERENCES]}).forms[0].path == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"path": "/interests"}, "stands on our own page; leave out path"),
        ({"requested": True}, "stands on our own page"),
        ({"link_visit": True}, "stands on our own page"),
        ({"fields": {"what": "keep"}}, 'give each field the treatment "choice"'),
        ({"fields": {"email": {"treatment": "keep", "identity": True}}}, "kept without a name"),
    ],
)
def test_personalised_content_is_of_choices_without_a_name(change: dict[str, Any], words: str):
    assert words in fault(PREFERENCES | change)


def test_there_is_one_form_of_personalised_content():
    assert "declare one form for it" in fault(PREFERENCES, PREFERENCES | {"name": "others"})


def test_a_newsletter_needs_an_address():
    assert "a newsletter needs the field with identity = true" in fault(CONTACT | {"purpose": "newsletter", "fields": {"name": "keep"}})


def test_several_choices_are_for_choices_only():
    assert "several is for the treatment 'choice' only" in fault(CONTACT | {"fields": {"name": {"treatment": "keep", "several": True}}})


@pytest.mark.parametrize("purpose", ["answer", "newsletter"])
def test_what_the_visitor_asks_for_may_be_requested(purpose: str):
    assert declare(purpose=purpose, requested=True).requested


# --- link_visit ------------------------------------------------------------------------------------------------------------


def test_link_visit_needs_the_visitor_among_the_visit_items():
    message = fault(CONTACT | {"link_visit": True}, visits={"items": ["time", "page"]})
    assert "forms.contact: link_visit needs 'visitor' among visits.items; add it there, or leave link_visit out" in message


def test_link_visit_is_accepted_with_the_visitor_item():
    assert declare(link_visit=True).link_visit


def test_without_link_visit_the_visitor_item_is_not_needed():
    assert load_declaration({"forms": [CONTACT], "visits": {"items": ["time"]}}).forms


# --- secrets ---------------------------------------------------------------------------------------------------------------

SECRETS = """
password Password PASSWORD new_password newPassword userPassword userpassword password2 password_confirmation user[password] user.password
current-password confirm_password passwd passwrd_passwd pass_word pwd PWD user_pwd UserPWD passphrase passcode pass_code
pin pin_code pinCode user.pin otp otp_code otp-token totp mfa_code 2fa 2fa_code one_time_code one-time-code oneTimeCode onetimecode
one_time_password security_code verification_code verificationCode verificationToken
card-number cardNumber cardnumber CardNumber card_number card_num card_no cc_num cc-number ccNumber ccnumber ccnum cc_no cc_exp cc-csc ccexp
creditcard credit_card creditCard creditCardNumber debit_card bank_card payment_card payment[card][number] cvv CVV card_cvv cardCvv cvc csc
iban IBAN iban_number userIban account.iban
csrf csrf_token csrfToken _csrf csrfmiddlewaretoken xsrf XSRF-TOKEN _xsrf __RequestVerificationToken authenticity_token _token token
access_token accessToken refresh_token form_token apikey api_key apiKey API-Key private_key nonce secret client_secret secretAnswer
""".split()
SECRETS_BY_PRODUCT = """
pass user_pass pass1 pass2 pass[pass1] userpwd pwd1 pwd2 pincode PINCode OTPCode otp1 sms_code two_factor_code auth_code
cvv2 CVV2 cvc2 csc2 card_nr card_expiry _wpnonce __VIEWSTATE __EVENTVALIDATION g-recaptcha-response h-captcha-response
cf-turnstile-response session_id PHPSESSID
""".split()
SECRETS_ABROAD = (
    "adgangskode kodeord passwort kennwort wachtwoord mot_de_passe contraseña contrasena senha lösenord kortnummer kartennummer".split()
)
INNOCENTS = """
name email e-mail firstName last_name message subject age newsletter phone telephone company address address.city city country country_code
postcode zip_code postcard passport_country passport shipping opinion opinions discard discarded pinned shopping spinning topic mapping
compass passenger passengers bypass passage description encryption accessories account_name scorecard cc cc_email cv cvs csv
tokenize bingo hyphen number order_number phone_number promo_code coupon coupon_code postal_code keynote monkey notepad
wildcard greeting_card gift_card_text business_card cardigan cardiology canon ibanez
""".split()
INNOCENTS_WITH_A_NUMBER = (
    "card_notes cardNote business_card_note postcard_note cc_notify discard_number postcard_number product_authenticity".split()
)


@pytest.mark.parametrize("name", SECRETS)
def test_a_field_that_holds_a_secret_by_its_name_is_refused(name: str):
    assert not accepts(name)


@pytest.mark.parametrize("name", SECRETS_BY_PRODUCT)
def test_a_secret_field_as_a_common_product_or_framework_names_it_is_refused(name: str):
    assert not accepts(name)


@pytest.mark.parametrize("name", SECRETS_ABROAD)
def test_a_password_or_card_field_in_another_language_is_refused(name: str):
    assert not accepts(name)


@pytest.mark.parametrize("treatment", ["keep", "length", "present", "domain", "region", "hash", "redact", "file"])
def test_a_secret_field_is_refused_whatever_its_treatment(treatment: str):
    assert "forms.contact.fields.password" in fault(CONTACT | {"fields": {"password": treatment}})


@pytest.mark.parametrize("name", INNOCENTS)
def test_an_innocent_field_is_accepted(name: str):
    assert accepts(name)


@pytest.mark.parametrize("name", INNOCENTS_WITH_A_NUMBER)
def test_a_name_that_only_resembles_a_secret_is_accepted(name: str):
    assert accepts(name)


@pytest.mark.parametrize(
    "autocomplete",
    [
        "new-password",
        "current-password",
        "one-time-code",
        "cc-number",
        "cc-csc",
        "cc-exp",
        "cc-exp-month",
        "cc-name",
        "CC-Number",
        "New-Password",
        "section-blue billing cc-number",
        "username webauthn",
        " new-password ",
        "off new-password",
        "shipping\tcc-number",
    ],
)
def test_a_field_that_holds_a_secret_by_its_autocomplete_is_refused(autocomplete: str):
    assert not accepts("field7", autocomplete=autocomplete)


@pytest.mark.parametrize(
    "autocomplete", ["", "off", "on", "email", "name", "section-cc-x email", "shipping postal-code", "bday", "tel-national"]
)
def test_any_other_autocomplete_is_accepted(autocomplete: str):
    assert accepts("field7", autocomplete=autocomplete)


# --- charsets --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "charset", ["utf-8", "UTF8", "windows-1252", "iso-8859-1", "latin1", "iso-8859-15", "shift_jis", "gbk", "euc-kr", "big5"]
)
def test_what_a_page_may_be_encoded_in_is_known(charset: str):
    assert codec(charset)


@pytest.mark.parametrize(
    "charset", ["utf-7", "rot13", "idna", "punycode", "hex", "base64", "zlib", "undefined", "unicode_escape", "mbcs", "", "\0", "é"]
)
def test_what_only_python_knows_is_no_charset_of_a_page(charset: str):
    assert not codec(charset)


# --- where the forms come from ---------------------------------------------------------------------------------------------


def names(keywords: dict[str, Any] | None = None, **environ: str) -> list[str]:
    return [form.name for form in load_declaration(load_settings(keywords, environ)[1]).forms]


def problem(keywords: dict[str, Any] | None = None, **environ: str) -> str:
    with pytest.raises(SettingsError) as raised:
        load_settings(keywords, environ)
    assert len(raised.value.problems) == 1
    return raised.value.problems[0]


@pytest.mark.parametrize("layout", [{}, {"indent": 1}, {"indent": 2}, {"separators": (",", ":")}, {"indent": "\t"}], ids=str)
def test_the_variable_may_hold_a_json_list(layout: dict[str, Any]):
    assert names(PRIVACY_FORMS=json.dumps([CONTACT], **layout)) == ["contact"]


@pytest.mark.parametrize("space", [" ", "\n", "\r\n\t"])
def test_white_space_around_a_json_list_does_not_matter(space: str):
    text = json.dumps([CONTACT])
    assert names(PRIVACY_FORMS=f"{space}[{space}{text[1:-1]}{space}]{space}") == ["contact"]


def test_the_variable_may_hold_toml():
    assert names(PRIVACY_FORMS=TOML) == ["contact"]


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_keyword_may_hold_python_mappings(kind: Any):
    assert names({"forms": kind([CONTACT, CONTACT | {"name": "other", "path": "/other"}])}) == ["contact", "other"]


@pytest.mark.parametrize("text", [json.dumps([CONTACT]), TOML], ids=["json", "toml"])
def test_a_keyword_may_hold_the_text_of_the_variable(text: str):
    assert names({"forms": text}) == ["contact"]


def test_json_toml_and_python_declare_the_same():
    read = [
        load_declaration(load_settings(keywords, environ)[1]).forms
        for keywords, environ in [
            ({"forms": [CONTACT | {"requested": True}]}, {}),
            ({}, {"PRIVACY_FORMS": TOML}),
            ({}, {"PRIVACY_FORMS": json.dumps([CONTACT | {"requested": True}])}),
            ({"policy": TOML}, {}),
        ]
    ]
    assert read[0] == read[1] == read[2] == read[3]


def named(name: str) -> list[dict[str, Any]]:
    return [CONTACT | {"name": name}]


def test_the_keyword_wins_over_the_variable_and_that_over_the_file():
    policy = TOML.replace('"contact"', '"file"')
    variable = json.dumps(named("variable"))
    assert names({"policy": policy}) == ["file"]
    assert names({"policy": policy}, PRIVACY_FORMS=variable) == ["variable"]
    assert names({"policy": policy, "forms": named("keyword")}, PRIVACY_FORMS=variable) == ["keyword"]


def test_the_forms_of_the_variable_take_the_place_of_all_in_the_file():
    policy = TOML + TOML.replace('"contact"', '"second"').replace('"/contact"', '"/second"')
    assert names({"policy": policy}) == ["contact", "second"]
    assert names({"policy": policy}, PRIVACY_FORMS=json.dumps(named("only"))) == ["only"]


def test_the_rest_of_the_file_stays_in_force_beside_the_variable():
    _, document = load_settings({"policy": '[controller]\nname = "Bakery"\n' + TOML}, {"PRIVACY_FORMS": json.dumps(named("only"))})
    assert load_declaration(document).controller.name == "Bakery"


@pytest.mark.parametrize("empty", ["", "  \n"])
def test_an_empty_variable_declares_nothing(empty: str):
    assert names({"policy": TOML}, PRIVACY_FORMS=empty) == ["contact"]


def test_an_empty_list_as_keyword_leaves_no_form_in_force():
    assert names({"policy": TOML, "forms": []}) == []


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[{", "neither a JSON list nor TOML with [[forms]]"),
        ('[{"name": "contact"', "neither a JSON list nor TOML with [[forms]]"),
        ("contact", "neither a JSON list nor TOML with [[forms]]"),
        ("[[forms]\nname = 'x'", "neither a JSON list nor TOML with [[forms]]"),
        ("[{" * 50_000, "neither a JSON list nor TOML with [[forms]]"),
        ("[" * 50_000, "[[forms]]"),
        ('[{"name": "a"}, 7]', "holds no forms"),
        ("[1]", "holds no forms"),
        ("forms = 1", "holds no forms"),
        ("[forms]\nname = 'x'", "holds no forms"),
        ("[controller]\nname = 'x'", "holds no forms"),
        (TOML + "[controller]\nname = 'x'", "holds controller besides forms"),
    ],
    ids=lambda text: text[:30],
)
def test_a_wrong_text_is_told_with_the_variable_and_a_remedy(text: str, part: str):
    message = problem(PRIVACY_FORMS=text)
    assert message.startswith("PRIVACY_FORMS (environment): ")
    assert part in message


@pytest.mark.parametrize("value", [[7], "x", 7, CONTACT], ids=str)
def test_a_keyword_that_is_no_list_of_mappings_is_told(value: Any):
    assert problem({"forms": value}).startswith("PRIVACY_FORMS (keyword): ")


@pytest.mark.parametrize("value", [{"a"}, b"30", 1.5, None], ids=str)
def test_a_value_of_another_type_in_a_keyword_is_told(value: Any):
    with pytest.raises((SettingsError, DeclarationError), match=r"retention_days|PRIVACY_FORMS"):
        names({"forms": [CONTACT | {"retention_days": value}]})


def test_a_value_that_no_text_can_hold_in_a_keyword_is_told():
    with pytest.raises((SettingsError, DeclarationError)):
        names({"forms": [CONTACT | {"retention_days": object}]})


def test_a_mistake_in_a_form_of_the_variable_is_told_like_one_in_the_file():
    _, document = load_settings({}, {"PRIVACY_FORMS": json.dumps([CONTACT | {"path": "x"}])})
    with pytest.raises(DeclarationError, match=r"forms\.contact: the path must start with /"):
        load_declaration(document)


def test_forms_are_no_setting_of_the_settings_table():
    assert "[settings] forms in privacy.toml" in problem({"policy": '[settings]\nforms = "x"'})


def test_the_configuration_shows_the_names_of_the_forms_of_the_variable():
    found, _ = load_settings({"forms": [CONTACT, CONTACT | {"name": "other"}]}, {})
    assert ("PRIVACY_FORMS", "contact,other", "keyword") in effective(found)


@pytest.mark.parametrize(("text", "limit"), [("1024", 1024), ("65536", 65536), ("4194304", 4_194_304)])
def test_the_limit_of_a_form_is_a_number_of_bytes(text: str, limit: int):
    assert load_settings({}, {"PRIVACY_FORM_LIMIT": text})[0].form_limit == limit


@pytest.mark.parametrize("text", ["1023", "4194305", "64KB", "-1", "", "1e4", "٢٠٤٨"])
def test_another_limit_is_refused(text: str):
    assert "PRIVACY_FORM_LIMIT" in problem(PRIVACY_FORM_LIMIT=text)
    assert "from 1024 to 4194304" in problem(PRIVACY_FORM_LIMIT=text)


def test_the_limit_may_stand_in_the_settings_table():
    assert load_settings({"policy": "[settings]\nform_limit = 2048"}, {})[0].form_limit == 2048


# --- forms that no app would see -------------------------------------------------------------------------------------------


def build(**keywords: Any) -> Privacy:
    return Privacy.from_sources({"forms": [CONTACT | keywords.pop("form", {})], **keywords}, {})


@pytest.mark.parametrize("excluded", ["/contact", "/con*", "/", "/*", "/health,/contact"])
def test_a_form_on_an_excluded_path_is_refused(excluded: str):
    with pytest.raises(DeclarationError, match=r"forms\.contact is sent to /contact, which PRIVACY_EXCLUDE_PATHS names; take it out"):
        build(exclude_paths=excluded)


def test_a_form_below_an_excluded_path_is_refused():
    with pytest.raises(DeclarationError, match="PRIVACY_EXCLUDE_PATHS"):
        build(exclude_paths="/internal", form={"path": "/internal/{id}"})


@pytest.mark.parametrize("path", ["/privacy", "/privacy/contact", "/privacy/{id}"])
def test_a_form_where_the_privacy_pages_are_is_refused(path: str):
    with pytest.raises(DeclarationError, match=r"forms\.contact is sent to /privacy.*, where the privacy pages are"):
        build(form={"path": path})


@pytest.mark.parametrize("path", ["/privacy-question", "/contact/privacy"])
def test_a_form_beside_the_privacy_pages_is_accepted(path: str):
    assert build(form={"path": path}).declaration.forms[0].path == path


def test_a_form_elsewhere_than_the_excluded_paths_is_accepted():
    assert build(exclude_paths="/contacts,/health/*").declaration.forms


def test_while_the_package_is_switched_off_no_form_stops_the_start():
    assert build(exclude_paths="/contact", disabled=True)


# --- the extra -------------------------------------------------------------------------------------------------------------

WITHOUT = """
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, *rest):
        return None if name.partition(".")[0] in {missing!r} else self.finder.find_spec(name, *rest)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
from privacy_middleware.privacy import Privacy
{code}
"""
DECLARED = f"Privacy.from_sources({{'forms': [{CONTACT!r}]}}, {{}})"


def run_without(missing: set[str], code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", WITHOUT.format(missing=missing, code=code)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("module", ["stdnum", "phonenumbers", "python_multipart"])
def test_a_missing_extra_is_named_at_start(module: str, tmp_path: Path):
    done = run_without({module}, DECLARED, tmp_path)
    assert done.returncode == 1
    assert f"DeclarationError: forms are declared, and {module} is not installed; `pip install 'privacy-middleware[forms]'`" in done.stderr


@pytest.mark.parametrize("code", ["Privacy.from_sources({}, {})", DECLARED.replace("]}", "], 'disabled': True}")])
def test_without_forms_in_force_the_extra_is_not_needed(code: str, tmp_path: Path):
    done = run_without({"stdnum", "phonenumbers", "python_multipart", "cryptography"}, code, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


# --- anything --------------------------------------------------------------------------------------------------------------

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
KEYS = [*Form.__struct_fields__, "other"]


@given(st.dictionaries(st.sampled_from(KEYS), ANYTHING, max_size=6).map(lambda changes: CONTACT | changes))
@settings(deadline=None, max_examples=150)
def test_any_form_is_either_valid_or_told_with_a_declaration_error(form: Any):
    try:
        load_declaration({"forms": [form]})
    except DeclarationError as error:
        assert "privacy.toml is not valid" in str(error)  # noqa: PT017  both outcomes are right


@given(st.dictionaries(st.sampled_from(Field.__struct_fields__), ANYTHING, max_size=6))
@settings(deadline=None, max_examples=150)
def test_any_field_is_either_valid_or_told_with_a_declaration_error(field: Any):
    try:
        load_declaration({"forms": [CONTACT | {"fields": {"x": {"treatment": "keep"} | field}}]})
    except DeclarationError as error:
        assert "privacy.toml is not valid" in str(error)  # noqa: PT017  both outcomes are right


@given(st.text(max_size=80) | st.sampled_from(["[[forms]]", "[{}]", "[{", "[[", "{}", "[]", "[\n{}]", "[NaN]", '[{"a":NaN}]']))
@settings(deadline=None, max_examples=150)
def test_any_text_of_the_variable_is_either_forms_or_told(text: str):
    try:
        load_settings({}, {"PRIVACY_FORMS": text})
    except SettingsError as error:
        assert "PRIVACY_FORMS" in str(error)  # noqa: PT017  both outcomes are right
