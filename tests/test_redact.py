"""Redaction: what identifies somebody in free text gives way to its kind, and nothing else changes."""

import re
import subprocess
import sys
import unicodedata

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import luhn

from privacy_middleware.collect.redact import COUNTRIES, hide_payment, is_payment_number, redact

LONGEST = 16_384
NBSP, NARROW, EN_DASH = "\u00a0", "\u202f", "\u2013"
FULLWIDTH = str.maketrans("0123456789", "０１２３４５６７８９")  # noqa: RUF001 - what an input method for Chinese types
ARABIC = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")


@pytest.fixture(params=["{}", "Hello: {}.\r\nThanks!", "🙂\0 ({})\n", "it is\t{}, not 17"], ids=["alone", "sentence", "brackets", "tab"])
def around(request: pytest.FixtureRequest) -> str:
    """Stand for what people write around it."""
    return str(request.param)


# --- e-mail addresses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "email",
    """jo@example.org jo.von+news@mail.example.co.uk JO@EXAMPLE.ORG o'brien@example.org jörg@müller.example 用户@例子.中国 jo＠example.org
    2026-11-22@example.org 12345678@example.org jo(at)example.org jo[at]example[dot]org""".split(),  # noqa: RUF001
)
def test_an_email_address_is_replaced(email: str, around: str):
    assert redact(around.format(email)) == around.format("[e-mail]")


def test_an_email_address_that_is_spelled_out_is_replaced():
    assert redact("jo (at) example (dot) org, please") == "[e-mail], please"


@pytest.mark.parametrize("text", ["@jo", "3 @ 1.50", "3@1.50", "jo@localhost", "@", "look at example.org", "a @ b"])
def test_an_at_sign_alone_makes_no_email_address(text: str):
    assert redact(text) == text


# --- IBANs and cards -------------------------------------------------------------------------------------------------------

IBANS = [
    "DE89 3704 0044 0532 0130 00",
    "DE89370400440532013000",
    "de89 3704 0044 0532 0130 00",
    "DE 89 3704 0044 0532 0130 00",
    "GB29 NWBK 6016 1331 9268 19",
    "gb29nwbk60161331926819",
    "DK50 0040 0440 1162 43",
    "NO93 8601 1117 947",
    "FR14 2004 1010 0505 0001 3M02 606",
    "BE68-5390-0754-7034",
    "MT84 MALT 0110 0001 2345 MTLC AST0 01S",
    f"CH93{NBSP}0076{NBSP}2011{NBSP}6238{NBSP}5295{NBSP}7",
]
CARDS = [
    "4111 1111 1111 1111",
    "4111111111111111",
    "4111-1111-1111-1111",
    "4111.1111.1111.1111",
    "4111 - 1111 - 1111 - 1111",
    f"4111{NBSP}1111{NARROW}1111{NBSP}1111",
    f"4111{EN_DASH}1111{EN_DASH}1111{EN_DASH}1111",
    "5555 5555 5555 4444",
    "2223 0031 2200 3222",
    "3782 822463 10005",
    "3056 9309 0259 04",
    "6011 1111 1111 1117",
    "4222222222222",
    "4111 1111 1111 1111".translate(FULLWIDTH),
    "4111 1111 1111 1111".translate(ARABIC),
]


@pytest.mark.parametrize("iban", IBANS)
def test_an_iban_is_replaced(iban: str, around: str):
    assert redact(around.format(iban)) == around.format("[IBAN]")
    assert hide_payment(around.format(iban)) == (around.format("[IBAN]"), 1)
    assert is_payment_number(f" {iban}\n")


@pytest.mark.parametrize("card", CARDS)
def test_a_card_number_is_replaced(card: str, around: str):
    assert redact(around.format(card)) == around.format("[card number]")
    assert hide_payment(around.format(card)) == (around.format("[card number]"), 1)
    assert is_payment_number(f"\t{card} ")


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("DE89 3704 0044 0532 0130 00 please pay", "[IBAN] please pay"),
        ("IBANde89370400440532013000please", "IBAN[IBAN]please"),
        ("4111 1111 1111 1111 12/27 123", "[card number] 12/27 123"),
        ("room 25 4111 1111 1111 1111", "room 25 [card number]"),
        ("EUR 4111 1111 1111 1111", "EUR [card number]"),
        ("EUR 4111 - 1111 - 1111 - 1111", "EUR [card number]"),
        ("2000 - 1900 - 0000 - 0005", "[card number]"),
        ("4111 - 1111 - 1111 - 1111 kr", "[card number] kr"),
    ],
)
def test_words_and_numbers_beside_a_payment_number_stay(text: str, hidden: str):
    assert redact(text) == hidden
    assert hide_payment(text) == (hidden, 1)


def test_only_payment_numbers_are_hidden_for_payment_and_they_are_counted():
    text = "{} and {}, {}; jo@example.org, +44 20 7946 0958, 211062-5629"
    hidden = text.format("[card number]", "[IBAN]", "[card number]")
    assert hide_payment(text.format(CARDS[0], IBANS[0], CARDS[8])) == (hidden, 3)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[IBAN]",
        "[card number]",
        "4111 1111 1111 1112",
        "1111111111111117",
        "4111 1111 1111",
        "DE88 3704 0044 0532 0130 00",
        "+49 151 12345678",
        f"{CARDS[0]}, {CARDS[0]}",
        f"card {CARDS[0]}",
        "4" * 40,
    ],
)
def test_what_is_not_one_valid_payment_number_is_none(text: str):
    assert not is_payment_number(text)


# --- national identity numbers ---------------------------------------------------------------------------------------------

NATIONAL = {
    "DK": ["211062-5629", "211062 5629", f"211062{EN_DASH}5629", "2110625629"],
    "DE": ["36 574 261 809", "36574261809"],
    "FR": ["2 95 10 99 126 111 93", "295109912611193", "253072B07300470"],
    "ES": ["54362315-K", "54362315k", "X2482300W"],
    "GB": ["943 476 5870", "943-476-5870", "AB 12 34 56 C", "ab123456c"],
    "US": ["536-90-4399", "912-90-3456"],
    "NL": ["111222333", "1112.22.333"],
    "SE": ["880320-0016", "19880320-0016", "8803200016"],
    "NO": ["151086 95088", "15108695088"],
    "FI": ["131052-308T", "131052A308T"],
    "IT": ["RCCMNL83S18D969H", "rcc mnl 83s18 d969h"],
    "PL": ["44051401359"],
    "AT": ["1237 010180", "1237010180"],
    "CH": ["756.9217.0769.85", "7569217076985"],
    "BE": ["85.07.30-033.28", "85 07 30 033 28", "85073003328"],
    "IE": ["6433435F", "6433435FT"],
    "PT": ["00000000 0 ZZ4", "123 456 789"],
}


def test_every_default_country_has_a_national_number():
    assert set(NATIONAL) == set(COUNTRIES)


@pytest.mark.parametrize(("country", "number"), [(country, number) for country, numbers in NATIONAL.items() for number in numbers])
def test_a_national_number_is_replaced(country: str, number: str, around: str):
    assert redact(around.format(number)) == around.format("[national number]")
    assert redact(around.format(number), countries=[country.lower()]) == around.format("[national number]")


def test_a_national_number_of_a_country_that_is_not_asked_for_stays():
    assert redact("131052-308T RCCMNL83S18D969H", countries=["DK"]) == "131052-308T RCCMNL83S18D969H"


# --- telephone numbers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("country", COUNTRIES)
@pytest.mark.parametrize("kind", ["FIXED_LINE", "MOBILE"])
@pytest.mark.parametrize("form", ["INTERNATIONAL", "NATIONAL", "E164", "RFC3966"])
def test_a_telephone_number_is_replaced_in_every_form_of_every_country(country: str, kind: str, form: str):
    number = phonenumbers.example_number_for_type(country, getattr(phonenumbers.PhoneNumberType, kind))
    assert number
    text = phonenumbers.format_number(number, getattr(phonenumbers.PhoneNumberFormat, form))
    assert not re.search(r"\d", redact(f"Hello {text}, thanks"))


# of the ranges that Ofcom, the FCC, ARCEP, BNetzA and PTS keep for fiction, where there is one
@pytest.mark.parametrize(
    "telephone",
    [
        "020 7946 0958",
        "(020) 7946 0958",
        "+44 20 7946 0958",
        "+44 (0)20 7946 0958",
        "+44 (0) 20 7946 0958",
        "0044 20 7946 0958",
        "00442079460958",
        "07700 900123",
        "212-555-0123",
        "(212) 555-0123",
        "212.555.0123",
        "+1 (212) 555-0123 ext. 45",
        "+1 212 555 0123 x45",
        "06 39 98 12 34",
        "06.39.98.12.34",
        "+33 6 39 98 12 34",
        "030 23125 123",
        "030/23125123",
        "030 / 23125-123",
        "(030) 23125 - 123",
        "+49 (30) 23125 123",
        "08-465 004 12",
        "+46 8 465 004 12",
        "32 12 34 56",
        "32123456",
        "3212 3456",
        "(+45) 32 12 34 56",
        "+45-32-12-34-56",
        f"+45{NBSP}32{NARROW}12{NBSP}34{NBSP}56",
        f"32{EN_DASH}12{EN_DASH}34{EN_DASH}56",
        "612 345 678",
        "+48 512 345 678",
        "+45 00 00 00 00",
        "+49 30123",
        "32 12 34 56".translate(FULLWIDTH),
        "+45 32 12 34 56".translate(ARABIC),
    ],
)
def test_a_telephone_number_is_replaced(telephone: str, around: str):
    assert redact(around.format(telephone)) == around.format("[telephone]")


@pytest.mark.parametrize(
    "introduction",
    [
        "Tel. {}",
        "tel:{}",
        "Tlf.: {}",
        "TELEFON {}",
        "Telefonnummer: {}",
        "téléphone : {}",
        "teléfono {}",
        "telefono: {}",
        "telefoon {}",
        "puh. {}",
        "phone number: {}",
        "mobile {}",
        "mobil {}",
        "móvil {}",
        "Handy: {}",
        "ring {}",
        "ring til mig på {}",
        "call me at {}",
        "call us on {}",
        "ruf mich an unter {}",
        "appelez moi au {}",
        "llámame al {}",
        "WhatsApp: {}",
        "fax {}",
        "tlf{}",
    ],
)
@pytest.mark.parametrize("number", ["123456", "12 34 56", "555-1234"])
def test_six_digits_are_a_telephone_number_after_a_word_that_says_so(introduction: str, number: str):
    assert redact(introduction.format(number)) == introduction.format("[telephone]")


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("32123456 87654321", "[telephone] [telephone]"),
        ("+45 32123456 2026", "[telephone] 2026"),
        ("A4 32123456", "A4 [telephone]"),
        ("2026-11-22 32123456", "2026-11-22 [telephone]"),
        ("[telephone] 123456", "[telephone] 123456"),
        ("32123456, 123456", "[telephone], 123456"),
    ],
)
def test_a_telephone_number_ends_where_it_ends(text: str, redacted: str):
    assert redact(text) == redacted


def test_beyond_the_numbers_that_are_looked_up_every_one_counts_as_a_telephone_number():
    text = ", ".join(f"0900 {number}" for number in range(1000, 1400))
    assert redact("0900 1000", countries=["DK"]) == "0900 1000"
    assert redact(text, countries=["DK"]).endswith("[telephone]")


def test_without_countries_only_international_numbers_are_found():
    assert redact("+44 20 7946 0958 or 020 7946 0958", countries=()) == "[telephone] or 020 7946 0958"
    assert redact("020 7946 0958", countries=["XX", ""]) == "020 7946 0958"


# --- what stays ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-22",
        "2026/11/22",
        "22.11.2026",
        "22. 11. 2026",
        "22/11/2026",
        "22-11-26",
        "11/22/2026 14:03",
        "22-24.11.2026",
        "2026-11-22 14:03:07",
        "2026-11-22T14:03:07.123+02:00",
        "14:03:07",
        "2026-11-22/2026-11-30",
        "1 250,00 kr",
        "1.250 kr.",
        "3.200,00 EUR",
        "12 345 678,00 kr",
        f"12{NBSP}345{NBSP}678{NBSP}€",
        "€ 12.345.678",
        "$1,250,000.00",
        "12 345 678,50",
        "in 2026",
        "1990-2000",
        "1990 - 2000",
        "17 of 25",
        "99,9 %",
        "1 234 567",
        "order 123456",
        "order no. 12345",
        "I called about order 123456",
        "my iPhone 15",
        "call me 2026-11-22",
        "A4, B2B, 3D, H2O, x86_64, 10.0.19",
        "[e-mail] [IBAN] [card number] [national number] [telephone]",
        "Ein schöner Tag\r\n\0 🙂 e\u0301 \ud800",
    ],
)
def test_what_identifies_nobody_stays(text: str):
    assert redact(text) == text
    assert hide_payment(text) == (text, 0)


# --- for every text --------------------------------------------------------------------------------------------------------

ANYTHING = st.text(st.characters(), max_size=60)
PIECES = st.lists(
    st.sampled_from(
        [*CARDS, *IBANS, *NATIONAL["DK"], *NATIONAL["IT"], "+45", "0045", "32 12 34 56", "12345678", "123456", "jo@example.org"]
    )
    | st.sampled_from(
        [*"0123459 -+./()@[]:,€\n\0\ud800", "tel", "call me", "kr", "22.11.2026", "14:03", "x45", "[telephone]", "(at)", "[dot]"]
    )
    | ANYTHING,
    max_size=12,
).map("".join)


@given(PIECES)
def test_a_text_that_is_redacted_twice_is_redacted_once(text: str):
    redacted = redact(text)
    assert redact(redacted) == redacted


@given(PIECES)
def test_no_payment_number_is_left_to_hide(text: str):
    hidden, count = hide_payment(text)
    assert hide_payment(hidden) == (hidden, 0)
    assert (hidden == text) == (count == 0)


@given(PIECES)
def test_whatever_is_not_replaced_stays_in_its_order(text: str):
    rest = re.split(r"\[(?:e-mail|IBAN|card number|national number|telephone)\]", redact(text))
    position = 0
    for piece in rest:
        position = text.index(piece, position) + len(piece)


@given(ANYTHING.filter(lambda text: not any(c.isdecimal() or unicodedata.normalize("NFKC", c) == "@" for c in text)))
def test_a_text_without_digits_and_at_signs_stays(text: str):
    assert redact(text) == text


@given(ANYTHING, st.emails(), ANYTHING)
def test_an_email_address_between_spaces_never_survives(before: str, email: str, after: str):
    assert f" {email} " not in redact(f"{before} {email} {after}")


@given(
    ANYTHING,
    st.from_regex(r"[2-6][0-9]{14}", fullmatch=True),
    st.sampled_from(["", " ", "-", ".", NBSP, EN_DASH, " - "]),
    st.sampled_from([{}, FULLWIDTH, ARABIC]),
    ANYTHING,
)
def test_a_valid_card_number_never_survives(before: str, digits: str, separator: str, script: dict[int, str], after: str):
    digits += luhn.calc_check_digit(digits)
    card = separator.join(re.findall("....", digits)).translate(script)
    assert card not in redact(f"{before} {card} {after}")


@pytest.mark.parametrize(
    "pattern",
    """1 1_ 4_ 44_ 00_ a@ a@a. a(at) a(a)1. AA11_ DE11_1 DE89370400440532013000_ gb29nwbk60161331926819 call_me_ tel_ tel00000000 ((+ +1_ 12345678_
    123456789_ 1. 1- 1/ 1:1 22-11-22- 2026-11-22/ 1_111_ kr_111_ 1_-_ 1_(1)_ [telephone] [telephone]1 12345678x1 RCCMNL83S18D969H""".split(),
)
def test_a_hostile_text_is_redacted_in_bounded_time(pattern: str):
    text = (pattern.replace("_", " ") * LONGEST)[:LONGEST]
    redacted = redact(text)
    assert redact(redacted) == redacted


def test_the_libraries_load_at_first_use_only():
    script = "import sys, privacy_middleware.collect.redact; sys.exit(len({'phonenumbers', 'stdnum'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
