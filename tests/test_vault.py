"""The vault: sealing, wrapping, the blind index, keyed hashes, and which e-mail addresses are the same."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from privacy_middleware.errors import KeyMissing, VaultError
from privacy_middleware.vault import KEY_BYTES, Vault, Wrapped, blind_index, field_hash, new_key, normalise_email, seal, unseal

OLD, NEW, OTHER = "old-secret-" * 4, "new-secret-" * 4, "other-secret-" * 4
KEY = bytes(range(KEY_BYTES))
TEXT = b"canary of Anna"
PLACE = "field|00|email"


# --- sealing ---------------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(data=st.binary(max_size=300), place=st.text(st.characters(exclude_categories=["Cs"])))
def test_what_is_sealed_opens_in_its_place(data: bytes, place: str) -> None:
    assert unseal(KEY, seal(KEY, data, place), place) == data


def test_what_is_sealed_is_28_bytes_longer_and_holds_no_plaintext() -> None:
    sealed = seal(KEY, TEXT, PLACE)
    assert len(sealed) == len(TEXT) + 28
    assert TEXT[:4] not in sealed


def test_the_same_text_is_sealed_differently_each_time() -> None:
    assert len({seal(KEY, TEXT, PLACE) for _ in range(1000)}) == 1000


def test_no_nonce_comes_twice() -> None:
    assert len({seal(KEY, TEXT, PLACE)[:12] for _ in range(1000)}) == 1000


@pytest.mark.parametrize("place", ["field|01|email", "field|00|name", "FIELD|00|email", "field|00|email ", "", "submission|00|email"])
def test_what_was_moved_to_another_place_does_not_open(place: str) -> None:
    with pytest.raises(VaultError):
        unseal(KEY, seal(KEY, TEXT, PLACE), place)


def test_what_was_changed_by_one_bit_anywhere_does_not_open() -> None:
    sealed = seal(KEY, TEXT, PLACE)
    for bit in range(8 * len(sealed)):
        changed = bytearray(sealed)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(VaultError):
            unseal(KEY, bytes(changed), PLACE)


def test_what_was_cut_short_anywhere_does_not_open() -> None:
    sealed = seal(KEY, TEXT, PLACE)
    for length in range(len(sealed)):
        with pytest.raises(VaultError):
            unseal(KEY, sealed[:length], PLACE)
        with pytest.raises(VaultError):
            unseal(KEY, sealed[len(sealed) - length :], PLACE)


@pytest.mark.parametrize("more", [b"\0", b"more"])
def test_what_was_made_longer_does_not_open(more: bytes) -> None:
    sealed = seal(KEY, TEXT, PLACE)
    for longer in (sealed + more, more + sealed):
        with pytest.raises(VaultError):
            unseal(KEY, longer, PLACE)


def test_what_was_sealed_under_another_key_does_not_open() -> None:
    with pytest.raises(VaultError):
        unseal(new_key(), seal(KEY, TEXT, PLACE), PLACE)


@settings(deadline=None)
@given(sealed=st.binary(max_size=100))
def test_garbage_does_not_open(sealed: bytes) -> None:
    with pytest.raises(VaultError):
        unseal(KEY, sealed, PLACE)


def test_the_error_of_what_does_not_open_tells_nothing_of_it() -> None:
    sealed = seal(KEY, TEXT, PLACE)
    with pytest.raises(VaultError) as caught:
        unseal(KEY, sealed, "elsewhere")
    told = str(caught.value)
    assert "cannot be read" in told
    assert caught.value.__suppress_context__
    assert not any(secret in told for secret in (sealed.hex(), KEY.hex(), TEXT.decode(), PLACE))


def test_keys_are_random_and_256_bits_long() -> None:
    keys = {new_key() for _ in range(1000)}
    assert len(keys) == 1000
    assert {len(key) for key in keys} == {32}


# --- wrapping --------------------------------------------------------------------------------------------------------------


def test_a_wrapped_key_comes_out_again() -> None:
    vault = Vault([NEW])
    assert vault.unwrap(vault.wrap(KEY, PLACE), PLACE) == KEY


def test_a_wrapped_key_holds_neither_key_nor_secret() -> None:
    wrapped = Vault([NEW]).wrap(KEY, PLACE)
    assert KEY not in wrapped.key
    assert NEW.encode() not in wrapped.master + wrapped.key


def test_the_newest_secret_key_wraps_and_all_of_them_unwrap() -> None:
    before, both, after = Vault([OLD]), Vault([NEW, OLD]), Vault([NEW])
    assert both.unwrap(before.wrap(KEY, PLACE), PLACE) == KEY
    assert after.unwrap(both.wrap(KEY, PLACE), PLACE) == KEY
    assert both.newest == after.newest != before.newest


def test_what_is_wrapped_under_an_unknown_master_key_names_the_remedy() -> None:
    with pytest.raises(KeyMissing, match=r"set PRIVACY_SECRET_KEYS as the app has it"):
        Vault([NEW, OTHER]).unwrap(Vault([OLD]).wrap(KEY, PLACE), PLACE)


@pytest.mark.parametrize("wrapped", [Wrapped(b"", b""), Wrapped(b"\0" * 8, b"x" * 60)])
def test_a_fingerprint_that_nobody_has_is_a_missing_key(wrapped: Wrapped) -> None:
    with pytest.raises(KeyMissing):
        Vault([NEW]).unwrap(wrapped, PLACE)


def test_a_wrapped_key_that_was_moved_or_changed_is_no_missing_key() -> None:
    vault = Vault([NEW])
    wrapped = vault.wrap(KEY, PLACE)
    for key, place in ((wrapped.key, "elsewhere"), (wrapped.key[:-1], PLACE), (b"", PLACE)):
        with pytest.raises(VaultError) as caught:
            vault.unwrap(Wrapped(wrapped.master, key), place)
        assert type(caught.value) is VaultError


def test_a_wrapped_key_does_not_open_under_the_fingerprint_of_another_master_key() -> None:
    vault = Vault([NEW, OLD])
    wrapped = vault.wrap(KEY, PLACE)
    with pytest.raises(VaultError):
        vault.unwrap(Wrapped(Vault([OLD]).newest, wrapped.key), PLACE)


def test_a_fingerprint_is_the_same_in_every_process_and_tells_no_key() -> None:
    assert Vault([OLD]).newest == Vault([OLD]).newest
    assert len(Vault([OLD]).newest) == 8
    assert len({Vault([secret]).newest for secret in (OLD, NEW, OTHER)}) == 3
    assert Vault([OLD]).newest.hex() not in OLD.encode().hex()


def test_the_place_of_a_key_counts_from_the_newest() -> None:
    vault = Vault([NEW, OLD])
    assert [vault.place_of(Vault([secret]).newest) for secret in (NEW, OLD, OTHER)] == [0, 1, None]


def test_a_secret_key_that_is_given_twice_counts_once() -> None:
    vault = Vault([NEW, OLD, NEW])
    assert vault.newest == Vault([NEW]).newest
    assert vault.unwrap(Vault([OLD]).wrap(KEY, PLACE), PLACE) == KEY


def test_neither_repr_nor_str_of_a_vault_shows_a_key() -> None:
    vault = Vault([NEW, OLD])
    for text in (repr(vault), str(vault), f"{vault!r}", repr([vault])):
        assert text.strip("[]") == "Vault(2 master keys)"


# --- the blind index and keyed hashes --------------------------------------------------------------------------------------


def test_the_blind_index_is_equal_for_equal_addresses_and_differs_for_others() -> None:
    assert blind_index(KEY, "anna@example.org") == blind_index(KEY, "anna@example.org")
    others = ["anna@example.com", "ann@example.org", "Anna@example.org", "anna@example.org ", ""]
    assert blind_index(KEY, "anna@example.org") not in {blind_index(KEY, other) for other in others}


@settings(deadline=None)
@given(one=st.emails(), other=st.emails())
def test_the_blind_index_is_equal_only_for_the_same_normalised_address(one: str, other: str) -> None:
    one, other = normalise_email(one), normalise_email(other)
    assert (blind_index(KEY, one) == blind_index(KEY, other)) is (one == other)


def test_the_blind_index_tells_nothing_without_the_key() -> None:
    found = blind_index(KEY, "anna@example.org")
    assert len(found) == 32
    assert found != blind_index(new_key(), "anna@example.org")
    assert b"anna" not in found


def test_a_keyed_hash_is_equal_for_equal_texts_of_the_same_field_and_only_there() -> None:
    here = field_hash(KEY, form="contact", field="customer", text="4711")
    assert here == field_hash(KEY, form="contact", field="customer", text="4711")
    elsewhere = [
        field_hash(KEY, form="contact", field="customer", text="4712"),
        field_hash(KEY, form="contact", field="number", text="4711"),
        field_hash(KEY, form="order", field="customer", text="4711"),
        field_hash(new_key(), form="contact", field="customer", text="4711"),
        blind_index(KEY, "4711")[:16].hex(),
    ]
    assert here not in elsewhere
    assert len(set(elsewhere)) == len(elsewhere)


def test_a_keyed_hash_is_32_hexadecimal_digits() -> None:
    hashed = field_hash(KEY, form="contact", field="customer", text="4711")
    assert len(hashed) == 32
    bytes.fromhex(hashed)


@settings(deadline=None)
@given(text=st.text(st.characters()))
def test_any_text_has_a_keyed_hash(text: str) -> None:
    assert field_hash(KEY, form="contact", field="customer", text=text)


# --- addresses -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("anna@example.org", "ANNA@EXAMPLE.ORG"),
        ("anna@example.org", "  Anna@Example.Org\r\n"),
        ("anna@example.org", "\u00a0anna@example.org"),
        ("s\u00f8ren@example.org", "S\u00f8ren@example.org"),
        ("ren\u00e9@example.org", "rene\u0301@example.org"),  # composed and decomposed
        ("\uac00@example.org", "\u1100\u1161@example.org"),
        ("anna@m\u00fcnchen.example", "anna@xn--mnchen-3ya.example"),
        ("anna@M\u00dcNCHEN.example", "anna@XN--MNCHEN-3YA.EXAMPLE"),
        ("anna@mu\u0308nchen.example", "anna@m\u00fcnchen.example"),
        ("anna@b\u00fccher.m\u00fcnchen.example", "anna@xn--bcher-kva.xn--mnchen-3ya.example"),
        ("h\u0331@example.org", "H\u0331@example.org"),  # the small letter has a composed form, the capital has none
        ("\u1e96@example.org", "H\u0331@example.org"),
    ],
)
def test_spellings_that_mail_systems_take_for_one_are_one(one: str, other: str) -> None:
    assert normalise_email(one) == normalise_email(other) != ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("i@example.org", "\u0131@example.org"),  # dotless
        ("i@example.org", "\u0130@example.org"),  # capital with a dot
        ("k@example.org", "\u212a@example.org"),  # the Kelvin sign
        ("\u00e5@example.org", "\u212b@example.org"),  # the Angstrom sign
        ("s@example.org", "\u017f@example.org"),  # the long s
        ("anna@example.org", "\uff41nna@example.org"),  # full-width
        ("fi@example.org", "\ufb01@example.org"),  # a ligature
        ("stra\u00dfe@example.org", "strasse@example.org"),
        ("anna@stra\u00dfe.example", "anna@strasse.example"),
        ("anna@STRA\u1e9eE.example", "anna@strasse.example"),
        ("\u00e9@example.org", "e@example.org"),
        ("\u00c9@example.org", "\u00e9@example.org"),  # the case of others than ASCII
        ("\u0430nna@example.org", "anna@example.org"),  # Cyrillic
        ("anna@ex\u0430mple.org", "anna@example.org"),
        ("anna@\u0131ndia.example", "anna@india.example"),
        ("anna+news@example.org", "anna@example.org"),
        ("anna.b@example.org", "annab@example.org"),
        ("a.nna@gmail.com", "anna@gmail.com"),
        ("anna@googlemail.com", "anna@gmail.com"),
        ("anna@example.org", "anna@www.example.org"),
        ("anna@example.org", "anna@example.com"),
    ],
)
def test_spellings_that_can_be_two_peoples_stay_apart(one: str, other: str) -> None:
    assert normalise_email(one) != normalise_email(other)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "anna",
        "anna@",
        "@example.org",
        "@",
        "anna@.",
        "anna@...",
        "anna@example.org,otto@example.org",
        "anna@example.org;otto@example.org",
        "anna@example.org otto@example.org",
        "anna@example.org@example.com",
        "anna@otto@example.org",
        "<anna@example.org>",
        "Anna <anna@example.org>",
        '"anna b"@example.org',
        '"anna@otto"@example.org',
        "anna\\@otto@example.org",
        "anna @example.org",
        "anna@ example.org",
        "an\tna@example.org",
        "anna@example.org\nbcc: otto@example.org",
        "anna@exam\r\nple.org",
        "an\0na@example.org",
        "anna@example.org\x7f",
        "anna@example.org\x1b[31m",
        "an\x85na@example.org",
        "an\u00a0na@example.org",
        "an\u2028na@example.org",
        "an\u200bna@example.org",  # without width
        "an\u202ena@example.org",  # from right to left
        "\ufeffanna@example.org",
        "an\u00adna@example.org",  # a soft hyphen
        "\ud800@example.org",
        "anna@\udfff.org",
        "anna@exam\ud83dple.org",
        "anna@example\uff20example.org",  # full-width @, which IDNA turns into one
        "anna@example\uff0corg",  # full-width comma
        "anna@example\u00b4.org",  # IDNA makes a space of it
    ],
)
def test_what_is_no_address_has_no_normal_form(text: str) -> None:
    assert normalise_email(text) == ""


CHARACTERS = st.one_of(
    st.characters(),
    st.sampled_from('aAkKhHtTwWyYjJ@@..+-_,;<>"\\ \t\r\n\0\x1b'),
    st.sampled_from(
        "\u0130\u0131\u017f\u212a\u212b\u00df\u1e9e\u03c2\u200c\u200d\u0301\u0308\u0331\u030a\u030c\uff20\uff0c\uff0e\u3002\u00b4\u2100"
    ),
    st.sampled_from("\ud800\udfff\u202e\ufeff\u00a0\u3000\u0130\ufb01\u33c2\u1100\u1161"),
)


@settings(deadline=None)
@given(local=st.text(CHARACTERS, max_size=8), domain=st.text(CHARACTERS, max_size=80))
@example(local="H\u0331", domain="example.org")
@example(local="a", domain="b\uff20c.org")
@example(local="a", domain="b\u00b4c.org")
@example(local="a", domain="\u00fc" * 70 + ".org")
@example(local="a", domain="xn--a.org")
@example(local="a", domain="\u00fc..org")
@example(local="a", domain="\u3002\u00fc")
def test_normalising_twice_changes_nothing_more_and_never_raises(local: str, domain: str) -> None:
    once = normalise_email(f"{local}@{domain}")
    assert normalise_email(once) == once


@settings(deadline=None)
@given(text=st.text(CHARACTERS))
def test_a_normal_form_is_one_printable_address_or_nothing(text: str) -> None:
    found = normalise_email(text)
    assert found == "" or (found.count("@") == 1 and found.isprintable() and not set(found) & set(' ,;<>"\\'))


@settings(deadline=None)
@given(text=st.text(CHARACTERS))
def test_the_case_of_ascii_letters_makes_no_difference(text: str) -> None:
    upper = "".join(c.upper() if c.isascii() else c for c in text)
    lower = "".join(c.lower() if c.isascii() else c for c in text)
    assert normalise_email(upper) == normalise_email(lower)


@settings(deadline=None)
@given(text=st.emails())
def test_an_address_as_programs_make_them_is_found_again(text: str) -> None:
    assert normalise_email(text) == normalise_email(text.upper()) != ""


def test_a_very_long_address_takes_no_long_time() -> None:
    assert normalise_email("a" * 100_000 + "@" + "\u00fc" * 16_000 + ".org") == ""
    assert normalise_email("@" * 100_000) == ""
