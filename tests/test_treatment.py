"""Treatments: what is kept of a value that was sent, and what is counted instead."""

from collections import Counter
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum import luhn

from privacy_middleware.collect.form import LONGEST_VALUE, File, Undecodable, Value
from privacy_middleware.collect.treatment import CUT_MARK, Unfit, range_names, treat
from privacy_middleware.forms import Field, Form

TODAY = date(2026, 11, 22)
PHOTO = File("image/png", 2048)
CARDS = ["4111 1111 1111 1111", "4111111111111111", "5500-0000-0000-0004", "378282246310005", " 4111111111111111\r\n"]
IBANS = ["DE89 3704 0044 0532 0130 00", "DK5000400440116243", "gb29nwbk60161331926819"]
FIELDS: dict[str, Field] = {
    "keep": Field(treatment="keep"),
    "length": Field(treatment="length"),
    "present": Field(treatment="present"),
    "choice": Field(treatment="choice", choices=("yes", "no", "")),
    "number": Field(treatment="bucket", edges=(0, 18, 30.5)),
    "age": Field(treatment="bucket", unit="age", edges=(18, 30)),
    "month": Field(treatment="bucket", unit="month"),
    "year": Field(treatment="bucket", unit="year"),
    "decade": Field(treatment="bucket", unit="decade"),
    "domain": Field(treatment="domain"),
    "region": Field(treatment="region"),
    "hash": Field(treatment="hash"),
    "redact": Field(treatment="redact"),
    "file": Field(treatment="file"),
}
TEXT_ONLY = [name for name in FIELDS if name not in ("present", "file")]


def keyed_hash(field: str, text: str) -> str:
    return f"<{field}:{text}>"


def treated(field: Field | str, *values: Value, today: date = TODAY) -> tuple[list[Any], Counter[str]]:
    """Return what is kept of the values of one field called `x`, and what is counted."""
    declared = FIELDS[field] if isinstance(field, str) else field
    form = Form(name="c", path="/c", purpose="answer", retention_days=1, fields={"x": declared})
    kept, counts = treat(form, {"x": list(values)}, today=today, keyed_hash=keyed_hash)
    assert set(kept) <= {"x"}
    assert kept.get("x") != []
    return kept.get("x", []), counts


def kept(field: Field | str, value: Value, **options: Any) -> Any:
    values, counts = treated(field, value, **options)
    assert counts == Counter()
    assert len(values) == 1
    return values[0]


def unfit(field: Field | str, value: Value, **options: Any) -> str:
    """Return the reason why nothing was kept of a value."""
    values, counts = treated(field, value, **options)
    assert values == []
    assert list(counts.values()) == [1]
    (reason,) = counts
    return reason.removesuffix(".x")


# --- several fields and values ---------------------------------------------------------------------------------------------


def test_values_stay_in_order_and_unfit_ones_are_counted_apart():
    values, counts = treated("number", "5", "x", "20", "", "5")
    assert values == ["0 to under 18", "18 to under 30.5", "0 to under 18"]
    assert counts == {"not_a_number.x": 1}


@pytest.mark.parametrize("treatment", ["number", "month", "domain", "region", "hash"])
def test_a_field_that_was_left_empty_is_neither_kept_nor_counted(treatment: str):
    assert treated(treatment, "") == ([], Counter())


def test_a_field_of_which_nothing_is_kept_is_not_there():
    assert treated("number", "x") == ([], Counter({"not_a_number.x": 1}))
    assert treated("keep") == ([], Counter())


def test_each_field_is_counted_by_its_own_name():
    form = Form(name="c", path="/c", purpose="answer", retention_days=1, fields={"a": FIELDS["number"], "b": FIELDS["domain"]})
    found, counts = treat(form, {"a": ["1", "x"], "b": ["y", "a@example.org"]}, today=TODAY, keyed_hash=keyed_hash)
    assert found == {"a": ["0 to under 18"], "b": ["example.org"]}
    assert counts == {"not_a_number.a": 1, "not_an_email.b": 1}


def test_a_declared_field_that_was_not_sent_is_not_there():
    form = Form(name="c", path="/c", purpose="answer", retention_days=1, fields=FIELDS)
    assert treat(form, {}, today=TODAY, keyed_hash=keyed_hash) == ({}, Counter())


# --- keep ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "ann@example.org",
        "  two  spaces ",
        "line\r\nend",
        "æøå 日本",
        "\0",
        "12345",
        "+45 12 34 56 78",
        "=1+1",
        "x" * LONGEST_VALUE,
    ],
)
def test_a_kept_text_is_kept_as_it_was_sent(text: str):
    assert kept("keep", text) == text


@pytest.mark.parametrize("number", [*CARDS, *IBANS])
def test_a_card_or_account_number_is_never_kept(number: str):
    assert unfit("keep", number) == "payment_number"


@pytest.mark.parametrize(("number", "kind"), [*((card.strip(), "[card number]") for card in CARDS), *((iban, "[IBAN]") for iban in IBANS)])
def test_a_card_or_account_number_within_a_kept_text_is_hidden_and_counted(number: str, kind: str):
    assert treated("keep", f"Take it from {number}, please.") == ([f"Take it from {kind}, please."], Counter({"payment_number.x": 1}))


def test_every_card_within_a_kept_text_is_counted():
    assert treated("keep", f"{IBANS[0]}\n{CARDS[0]}\nand {CARDS[2]}") == (
        ["[IBAN]\n[card number]\nand [card number]"],
        Counter({"payment_number.x": 3}),
    )


@pytest.mark.parametrize(
    "text", ["4111 1111 1111 1112", "GB28 NWBK 6016 1331 9268 19", "1234567890123456", "ann@example.org", "+45 12345678"]
)
def test_what_is_no_valid_card_or_account_number_is_kept(text: str):
    assert kept("keep", text) == text


# --- cutting ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("treatment", ["keep", "redact"])
@pytest.mark.parametrize("over", [1, 2, 50_000])
def test_a_long_text_is_cut_marked_and_counted(treatment: str, over: int):
    values, counts = treated(treatment, "x y " * (LONGEST_VALUE // 4) + "z" * over)
    assert counts == {"cut.x": 1}
    assert values[0].endswith(CUT_MARK)
    assert values[0].startswith("x y x y x y")
    assert LONGEST_VALUE - 100 < len(values[0]) <= LONGEST_VALUE + len(CUT_MARK)


def test_a_long_text_without_any_space_is_cut_as_well():
    values, _ = treated("keep", "x" * (LONGEST_VALUE + 1))
    assert 0 < len(values[0]) <= LONGEST_VALUE + len(CUT_MARK)


def digits_in(text: str) -> int:
    return sum(character.isdigit() for character in text)


@pytest.mark.parametrize("treatment", ["keep", "redact"])
@pytest.mark.parametrize("inside", range(0, 20, 3))
def test_a_card_number_that_lies_across_the_cut_does_not_stay_in_part(treatment: str, inside: int):
    values, _ = treated(treatment, "x " * ((LONGEST_VALUE - inside) // 2) + CARDS[0] + " yy" * 20)
    assert digits_in(values[0]) == 0


@pytest.mark.parametrize("inside", [5, 8, 12, 16, 18])
def test_an_email_address_that_lies_across_the_cut_does_not_stay_in_part(inside: int):
    values, _ = treated("redact", "x " * ((LONGEST_VALUE - inside) // 2) + "jane.doe@example.org" + " yy" * 20)
    assert "jane" not in values[0]


@pytest.mark.parametrize("iban", [IBANS[0], "FR14 2004 1010 0505 0001 3M02 606", "GB29 NWBK 6016 1331 9268 19"])
@pytest.mark.parametrize("inside", [5, 10, 15, 20, 25, 30])
def test_an_iban_that_lies_across_the_cut_does_not_stay_in_part(iban: str, inside: int):
    values, _ = treated("keep", "x " * ((LONGEST_VALUE - inside) // 2) + iban + " yy" * 20)
    assert digits_in(values[0]) <= 2  # country and bank tell of nobody


# --- length, present -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "length"), [("", 0), ("a", 1), ("æøå", 3), ("\N{GRINNING FACE}", 1), ("a\r\nb", 4), ("x" * LONGEST_VALUE, LONGEST_VALUE)]
)
def test_the_length_is_the_number_of_characters(text: str, length: int):
    assert kept("length", text) == length


def test_the_length_of_a_long_text_is_its_own():
    assert treated("length", "x" * 50_000)[0] == [50_000]


@pytest.mark.parametrize(
    ("value", "is_present"),
    [("", False), ("0", True), (" ", True), ("x", True), ("x" * 20_000, True), (PHOTO, True), (File("text/plain", 0), True)],
)
def test_of_a_value_it_is_told_whether_anything_was_sent(value: Value, is_present: bool):
    assert treated("present", value)[0] == [is_present]
    assert type(treated("present", value)[0][0]) is bool


# --- choice ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["yes", "no", ""])
def test_a_listed_choice_is_kept(text: str):
    assert kept("choice", text) == text


@pytest.mark.parametrize("text", ["Yes", " yes", "yes ", "maybe", "yes\r\n", "y", "ann@example.org", "x" * 20_000])
def test_what_is_not_a_listed_choice_is_not_kept(text: str):
    values, counts = treated("choice", text)
    assert values == []
    assert counts["not_a_choice.x"] == 1


# --- bucket: numbers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "bucket"),
    [
        ("-1", "under 0"),
        ("-0.0001", "under 0"),
        ("0", "0 to under 18"),
        ("-0", "0 to under 18"),
        ("17.999", "0 to under 18"),
        ("17,99", "0 to under 18"),
        ("1 000", "30.5 and over"),
        ("18", "18 to under 30.5"),
        ("18.0", "18 to under 30.5"),
        (" 18\r\n", "18 to under 30.5"),
        ("+18", "18 to under 30.5"),
        ("30,49", "18 to under 30.5"),
        ("30.5", "30.5 and over"),
        ("1e3", "30.5 and over"),
        ("1E+3", "30.5 and over"),
        ("9" * 15, "30.5 and over"),
    ],
)
def test_a_number_falls_into_the_range_between_its_edges(text: str, bucket: str):
    assert kept("number", text) == bucket


@pytest.mark.parametrize(
    "text",
    [" ", "x", "nan", "NaN", "inf", "-inf", "Infinity", "1e400", "9" * 5000, "1,2,3", "1 2", "0x10", "5 kg", "²", "1.234,5", "--1"],
)
def test_what_is_no_number_has_no_range(text: str):
    assert unfit("number", text) == "not_a_number"


@pytest.mark.parametrize(
    ("edges", "names"),
    [
        ((18,), ["under 18", "18 and over"]),
        ((18, 30, 60), ["under 18", "18 to under 30", "30 to under 60", "60 and over"]),
        ((-1.5, 0), ["under -1.5", "-1.5 to under 0", "0 and over"]),
        ((0.1, 0.2), ["under 0.1", "0.1 to under 0.2", "0.2 and over"]),
        ((100_000, 1_000_000), ["under 100000", "100000 to under 1000000", "1000000 and over"]),
    ],
)
def test_ranges_are_named_by_their_edges(edges: tuple[float, ...], names: list[str]):
    assert range_names(edges) == names


@given(st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=6, unique=True).map(sorted))
@settings(deadline=None, max_examples=100)
def test_no_two_ranges_have_one_name(edges: list[int]):
    assert len(set(range_names(tuple(edges)))) == len(edges) + 1


# With three digits behind it, a comma may stand before thousands.
def test_a_number_that_could_be_two_is_none():
    assert unfit("number", "1,234") == "not_a_number"


@given(st.decimals(-(10**12), 10**12, places=3), st.lists(st.integers(-1000, 1000), min_size=1, max_size=5, unique=True).map(sorted))
@settings(deadline=None, max_examples=200)
def test_every_number_falls_into_exactly_one_range(number: Decimal, edges: list[int]):
    found = kept(Field(treatment="bucket", edges=tuple(edges)), f"{number:f}")
    place = range_names(tuple(edges)).index(found)
    assert place == 0 or edges[place - 1] <= number
    assert place == len(edges) or number < edges[place]


# --- bucket: dates and ages ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "month"),
    [
        ("2026-11-22", "2026-11"),
        ("2026-11", "2026-11"),
        ("2026-1-2", "2026-01"),
        (" 2026-11-22 ", "2026-11"),
        ("2026-11-22T10:30", "2026-11"),
        ("2026-11-22 10:30:00Z", "2026-11"),
        ("22.11.2026", "2026-11"),
        ("1.2.2026", "2026-02"),
        ("22/11/2026", "2026-11"),
        ("22-11-2026", "2026-11"),
        ("2024-02-29", "2024-02"),
        ("0001-01-01", "0001-01"),
        ("9999-12-31", "9999-12"),
    ],
)
def test_of_a_date_the_month_the_year_or_the_decade_is_kept(text: str, month: str):
    assert kept("month", text) == month
    assert kept("year", text) == month[:4]
    assert kept("decade", text) == f"{int(month[:3])}0s".replace("00s", "0s" if month.startswith("000") else "00s")


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "1990",
        "2026-13-01",
        "2026-00-01",
        "2026-02-29",
        "2026-02-30",
        "2026-11-31",
        "0000-01-01",
        "2026-W05",
        "11/22/2026",
        "22.11.26",
        *["12026-11-22", "22.11.20266", "2026/11/22", "20261122", "November 2026", "2026-", "-2026-11-22", "born 2026-11-22"],
    ],
)
def test_what_is_no_date_has_no_part(text: str):
    for unit in ("month", "year", "decade", "age"):
        assert unfit(unit, text) == "not_a_date"


@pytest.mark.parametrize("text", ["2026-11-222", "2026-11-3O", "2026-11-22-33", "2026-11-22.5", "22.11.2026x"])
def test_a_date_with_something_at_its_end_is_no_date(text: str):
    assert unfit("month", text) == "not_a_date"


@pytest.mark.parametrize(
    ("born", "today", "bucket"),
    [
        ("2008-11-22", TODAY, "18 to under 30"),
        ("2008-11-23", TODAY, "under 18"),
        ("22.11.2008", TODAY, "18 to under 30"),
        ("2008-11", TODAY, "18 to under 30"),
        ("1996-11-22", TODAY, "30 and over"),
        ("1996-11-23", TODAY, "18 to under 30"),
        ("2026-11-22", TODAY, "under 18"),
        ("1896-11-22", TODAY, "30 and over"),
        ("2008-02-29", date(2026, 2, 28), "under 18"),
        ("2008-02-29", date(2026, 3, 1), "18 to under 30"),
        ("2008-02-28", date(2026, 2, 28), "18 to under 30"),
    ],
)
def test_of_a_date_of_birth_the_range_of_the_age_is_kept(born: str, today: date, bucket: str):
    assert kept("age", born, today=today) == bucket


@pytest.mark.parametrize("born", ["2026-11-23", "2027-01-01", "9999-12-31", "1895-11-22", "0001-01-01"])
def test_nobody_is_unborn_or_older_than_130(born: str):
    assert unfit("age", born) == "not_an_age"


# --- domain, region --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("email", "domain"),
    [
        ("ann@example.org", "example.org"),
        (" Ann.B+c@Mail.Example.CO.UK\r\n", "mail.example.co.uk"),
        ("jörg@müller.example", "müller.example"),
        ("a@xn--mller-kva.example", "xn--mller-kva.example"),
        ("a@1und1.example", "1und1.example"),
    ],
)
def test_of_an_email_address_the_domain_is_kept(email: str, domain: str):
    assert kept("domain", email) == domain


@pytest.mark.parametrize(
    "text",
    ["x", "a@b", "@example.org", "a@", "a@b.c d", "a b@c.d", "a@b@c.d", "a@.", "a@example.", "Ann <a@b.c>", "example.org", "a@\r\n.b"],
)
def test_what_is_no_email_address_has_no_domain(text: str):
    assert unfit("domain", text) == "not_an_email"


@pytest.mark.parametrize(
    "host",
    [
        "x/y?z.org",
        "b.org>",
        "b..org",
        ".b.org",
        "[192.0.2.1]",
        "b.org,",
        "x" * 300 + ".org",
        "doe.4111111111111111",
        '"b.org',
        "b.org:25",
        "<script>.org",
    ],
)
def test_what_is_no_host_name_is_not_kept_as_a_domain(host: str):
    assert unfit("domain", f"a@{host}") == "not_an_email"


@pytest.mark.parametrize(
    ("code", "letters", "region"),
    [
        ("8000", 2, "80"),
        ("8000", 1, "8"),
        ("dk-8000", 2, "DK"),
        ("SW1A 1AA", 2, "SW"),
        ("sw1a1aa", 4, "SW1A"),
        (" 12345 ", 3, "123"),
        ("12345-6789", 3, "123"),
        ("K1A 0B1", 3, "K1A"),
    ],
)
def test_of_a_postcode_the_first_letters_are_kept(code: str, letters: int, region: str):
    assert kept(Field(treatment="region", letters=letters), code) == region


@pytest.mark.parametrize("text", ["12", "abc", "Aarhus", "12345678901", "ann@example.org 8000 Aarhus", "---", "\N{GRINNING FACE}"])
def test_what_is_no_postcode_has_no_region(text: str):
    assert unfit("region", text) == "not_a_postcode"


# --- hash, redact ----------------------------------------------------------------------------------------------------------


def test_a_hash_is_asked_for_field_and_text():
    assert kept("hash", " member 17 ") == "<x:member 17>"


@pytest.mark.parametrize("number", [*CARDS, *IBANS])
def test_a_card_or_account_number_is_not_hashed(number: str):
    assert unfit("hash", number) == "payment_number"


def test_a_hash_that_cannot_be_made_is_counted():
    def no_key(field: str, text: str) -> str:
        raise Unfit("no_key")

    form = Form(name="c", path="/c", purpose="answer", retention_days=1, fields={"x": FIELDS["hash"]})
    assert treat(form, {"x": ["a", "b"]}, today=TODAY, keyed_hash=no_key) == ({}, Counter({"no_key.x": 2}))


def test_free_text_is_redacted_and_not_refused():
    text = f"Write to ann@example.org or call +45 33 12 12 12, card {CARDS[0]}"
    assert kept("redact", text) == "Write to [e-mail] or call [telephone], card [card number]"
    assert kept("redact", CARDS[1]) == "[card number]"


def test_the_countries_of_the_field_decide_which_national_numbers_are_looked_for():
    danish = "131052-1234 is what they call me"
    assert kept(Field(treatment="redact", countries=("DK",)), danish) != danish
    assert kept(Field(treatment="redact", countries=("US",)), "hello") == "hello"


# --- files -----------------------------------------------------------------------------------------------------------------


def test_of_a_file_type_and_size_are_kept():
    assert kept("file", PHOTO) == {"type": "image/png", "size": 2048}


@pytest.mark.parametrize("treatment", TEXT_ONLY)
def test_a_file_under_a_treatment_for_texts_is_not_kept(treatment: str):
    assert unfit(treatment, PHOTO) == "file"


@pytest.mark.parametrize("text", ["", "photo.png", "x" * 100])
def test_a_text_under_a_file_field_is_not_kept(text: str):
    assert unfit("file", text) == "no_file"


@pytest.mark.parametrize("size", [0, 10**12, None])
def test_a_file_may_be_empty_huge_or_of_unknown_size(size: int | None):
    assert kept("file", File("other", size)) == {"type": "other", "size": size}


@pytest.mark.parametrize("treatment", sorted(set(FIELDS) - {"present"}))
def test_undecodable_bytes_are_counted_and_not_kept(treatment: str):
    values, counts = treated(treatment, Undecodable(), PHOTO if treatment == "file" else Undecodable())
    assert len(values) == (treatment == "file")
    assert sum(counts.values()) == 2 - len(values)


def test_undecodable_bytes_are_present():
    values, counts = treated("present", Undecodable())
    assert values == [True] or (values == [] and sum(counts.values()) == 1)


# --- anything --------------------------------------------------------------------------------------------------------------

ARABIC_DATE = "2026-11-22".translate({ord("0") + n: 0x660 + n for n in range(10)})
DIGITS = st.text("0123456789 -.,/", max_size=40)
ANY_TEXT = (
    st.text(st.characters(), max_size=60)
    | DIGITS
    | st.sampled_from(
        [
            *CARDS,
            *IBANS,
            "a@b.org",
            "2026-11-22",
            ARABIC_DATE,
            "\N{FULLWIDTH DIGIT ONE}8",
            "Ⅷ",
            "²",
            "ß12",
            "nan",
            "1_000",
            "\ud800",
            "\0",
            "İ" * 9,
        ]
    )
    | st.text("0123456789²³½- " + ARABIC_DATE, max_size=25)
)


@given(
    st.sampled_from(sorted(FIELDS)),
    st.lists(ANY_TEXT | st.builds(File, ANY_TEXT, st.integers(0, 10**12)) | st.just(Undecodable()), max_size=4),
)
@settings(deadline=None, max_examples=500)
def test_no_value_raises_and_each_is_kept_or_counted(name: str, values: list[Value]):
    found, counts = treated(name, *values)
    assert len(found) + sum(counts[reason] for reason in counts if name != "keep" or not reason.startswith("payment_number")) <= len(values)
    assert len(found) <= len(values)
    assert all(isinstance(one, (str, int, bool, dict)) for one in found)


@given(st.text("0123456789", min_size=15, max_size=15).filter(lambda text: text[0] in "3456"), ANY_TEXT, ANY_TEXT)
@settings(deadline=None, max_examples=200)
def test_no_card_number_is_kept_wherever_it_stands(body: str, before: str, after: str):
    card = body + luhn.calc_check_digit(body)
    around = [piece for piece in (before, after) if not any(c.isdecimal() or c == "+" for c in piece)]
    for piece in around:
        for treatment in ("keep", "redact"):
            assert card not in "".join(treated(treatment, f"{piece} {card} x")[0])


@pytest.mark.parametrize("treatment", ["keep", "redact", "domain", "region", "hash", "number", "month", "choice"])
@pytest.mark.parametrize(
    "text",
    [
        "4111 " * 3277,
        "1" * 16_384,
        "4 " * 8192,
        "DE89 " * 3277,
        "a@a." * 4096,
        "+1 " * 5461,
        "a@" + "." * 16_300 + "@",
        "a@" + "x." * 8100 + " @",
        "2026-" * 3277,
        "a@" * 8192,
        *[" " * 16_384, "\r\n" * 8192, "a." * 8192, "-" * 16_384],
    ],
    ids=lambda text: f"{text[:6]!r}",
)
def test_the_longest_value_of_any_kind_comes_to_an_end(treatment: str, text: str):
    treated(treatment, text)
