"""The visitor's choice: cookie over signal over default, and when in doubt not recorded."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy_middleware.collect.choice import (
    ALLOWED,
    CHOICE_HEADERS,
    COOKIE,
    REFUSED,
    SECURE_COOKIE,
    Choice,
    Kept,
    choice_cookie,
    kept_choice,
    read_choice,
)

BOTH = {"gpc": True, "dnt": True}
VERSION = "1a2b3c4d"
GPC = (b"sec-gpc", b"1")
DNT = (b"dnt", b"1")
THIRTEEN_MONTHS = 13 * 30.4 * 86400


def cookie(text: str) -> tuple[bytes, bytes]:
    return (b"cookie", text.encode("latin-1"))


def attributes(header: str) -> dict[str, str]:
    _, *parts = header.split("; ")
    return dict(part.partition("=")[::2] for part in parts)


# --- the order: cookie, signal, default ------------------------------------------------------------------------------------


def test_who_says_nothing_is_recorded():
    choice = read_choice([(b"host", b"example.org"), (b"cookie", b"session=1")], BOTH)
    assert choice == Choice(None, None)
    assert not choice.opted_out


@pytest.mark.parametrize("name", [COOKIE, SECURE_COOKIE])
def test_a_cookie_refuses_without_any_signal(name: str):
    assert read_choice([cookie(f"{name}=refuse")], BOTH) == Choice(REFUSED, None)
    assert read_choice([cookie(f"{name}=refuse")], BOTH).opted_out


@pytest.mark.parametrize("signal", [GPC, DNT])
def test_a_cookie_that_allows_wins_over_a_signal(signal: tuple[bytes, bytes]):
    for headers in ([signal, cookie(f"{COOKIE}=allow")], [cookie(f"{COOKIE}=allow"), signal]):
        assert not read_choice(headers, BOTH).opted_out


def test_a_cookie_that_refuses_wins_where_signals_are_ignored():
    assert read_choice([GPC, DNT, cookie(f"{COOKIE}=refuse")], {"gpc": False, "dnt": False}).opted_out


@pytest.mark.parametrize(("signal", "name"), [(GPC, "gpc"), (DNT, "dnt")])
def test_a_signal_refuses(signal: tuple[bytes, bytes], name: str):
    assert read_choice([signal], BOTH) == Choice(None, name)  # type: ignore[arg-type]
    assert read_choice([signal], BOTH).opted_out


@pytest.mark.parametrize(("signal", "name"), [(GPC, "gpc"), (DNT, "dnt")])
def test_a_signal_that_the_owner_ignores_refuses_nothing(signal: tuple[bytes, bytes], name: str):
    assert read_choice([signal], BOTH | {name: False}) == Choice(None, None)


def test_the_signal_is_told_also_where_the_cookie_decides():
    assert read_choice([GPC, cookie(f"{COOKIE}=allow")], BOTH) == Choice(ALLOWED, "gpc")


@pytest.mark.parametrize("headers", [[GPC, DNT], [DNT, GPC]])
def test_of_two_signals_gpc_is_named(headers: list[tuple[bytes, bytes]]):
    assert read_choice(headers, BOTH).signal == "gpc"


# --- signals ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [b"0", b"", b"2", b"10", b"01", b"1.0", b"true", b"?1", b"1;a", b"\xef\xbc\x91", b"\xc2\xb9", b'"1"'])
def test_only_exactly_1_is_a_gpc_signal(value: bytes):
    assert read_choice([(b"sec-gpc", value)], BOTH) == Choice(None, None)


@pytest.mark.parametrize("value", [b" 1", b"1 ", b"\t1\t", b"1, 1", b"0, 1"])
def test_white_space_around_a_value_is_not_part_of_it(value: bytes):
    assert read_choice([(b"sec-gpc", value)], BOTH).signal == "gpc"
    assert read_choice([(b"dnt", value)], BOTH).signal == "dnt"


@pytest.mark.parametrize("values", [(b"1", b"0"), (b"0", b"1"), (b"", b"0", b"1"), (b"1", b"1")])
@pytest.mark.parametrize("name", [b"sec-gpc", b"dnt"])
def test_of_repeated_headers_any_one_refuses(name: bytes, values: tuple[bytes, ...]):
    assert read_choice([(name, value) for value in values], BOTH).opted_out


@pytest.mark.parametrize("value", [b"0", b"", b"null", b"unspecified", b"x1"])
def test_a_dnt_header_that_does_not_begin_with_1_refuses_nothing(value: bytes):
    assert not read_choice([(b"dnt", value)], BOTH).opted_out


def test_dnt_may_carry_extensions_after_its_1():
    assert read_choice([(b"dnt", b"1xyz")], BOTH).signal == "dnt"


# --- cookies ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [COOKIE, SECURE_COOKIE])
@pytest.mark.parametrize(
    "value",
    ["", "1", "Allow", "ALLOW", "allowed", "yes", "allow ed", "\xff\xfe", "allow\0", "%61llow", "undefined", "refuse", "null", "a" * 4000],
)
def test_a_cookie_that_cannot_be_read_refuses(name: str, value: str):
    assert read_choice([cookie(f"{name}={value}")], BOTH).explicit == REFUSED


def test_a_cookie_without_a_value_refuses():
    assert read_choice([cookie(f"a=b; {COOKIE}")], BOTH).opted_out


@pytest.mark.parametrize(
    "text", ["{}=allow", "a=b; {}=allow; c=d", "a=b;{}=allow;c", '{}="allow"', "  {}=allow  ", ";;{}=allow;", "x={}=refuse; {}=allow"]
)
@pytest.mark.parametrize("name", [COOKIE, SECURE_COOKIE])
def test_a_cookie_is_found_among_others(name: str, text: str):
    assert read_choice([cookie(text.replace("{}", name))], BOTH).explicit == ALLOWED


@pytest.mark.parametrize(
    "name",
    ["my-privacy-choice", "privacy-choice2", "Privacy-Choice", "__host-privacy-choice", "__Secure-privacy-choice", "privacy-choice[0]"],
)
def test_a_cookie_of_another_name_says_nothing(name: str):
    assert read_choice([cookie(f"{name}=refuse")], BOTH) == Choice(None, None)


@pytest.mark.parametrize(("one", "other", "explicit"), [("allow", "refuse", REFUSED), ("allow", "allow", ALLOWED), ("x", "allow", REFUSED)])
def test_of_both_cookies_the_one_that_refuses_counts(one: str, other: str, explicit: str):
    for first, second in ((one, other), (other, one)):
        together = [cookie(f"{SECURE_COOKIE}={first}; {COOKIE}={second}")]
        apart = [cookie(f"{COOKIE}={first}"), cookie(f"{SECURE_COOKIE}={second}")]
        assert read_choice(together, BOTH).explicit == read_choice(apart, BOTH).explicit == explicit


def test_of_one_cookie_sent_twice_the_one_that_refuses_counts():
    assert read_choice([cookie(f"{COOKIE}=allow; {COOKIE}=refuse; {COOKIE}=allow")], BOTH).opted_out


def test_every_header_that_is_looked_at_is_named():
    assert {b"cookie", b"sec-gpc", b"dnt"} == CHOICE_HEADERS


VALUES = st.sampled_from([b"1", b"0", b"", b"allow", b"privacy-choice=allow", b"privacy-choice=refuse", b"__Host-privacy-choice=refuse"])
HEADERS = st.lists(st.tuples(st.sampled_from([b"cookie", b"sec-gpc", b"dnt", b"host"]), VALUES | st.binary(max_size=30)), max_size=6)


@given(headers=HEADERS, gpc=st.booleans(), dnt=st.booleans())
@settings(deadline=None, max_examples=200)
def test_any_headers_give_a_choice_that_does_not_depend_on_their_order(headers: list[tuple[bytes, bytes]], gpc: bool, dnt: bool):
    signals = {"gpc": gpc, "dnt": dnt}
    assert read_choice(headers, signals) == read_choice(headers[::-1], signals)


@given(headers=HEADERS)
@settings(deadline=None, max_examples=200)
def test_a_further_refusal_never_makes_anybody_recorded(headers: list[tuple[bytes, bytes]]):
    refused = read_choice([*headers, cookie(f"{COOKIE}=refuse")], BOTH)
    assert refused.opted_out
    with_signal = read_choice([*headers, GPC], BOTH)
    assert with_signal.opted_out or with_signal.explicit == ALLOWED


# --- the cookie that keeps a choice ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [REFUSED, ALLOWED])
@pytest.mark.parametrize("secure", [True, False])
def test_the_cookie_set_is_read_back(value: str, secure: bool):
    pair = choice_cookie(value, version=VERSION, secure=secure).partition(";")[0]
    assert read_choice([cookie(pair)], BOTH).explicit == value


def test_over_https_the_cookie_is_bound_to_this_host():
    header = choice_cookie(REFUSED, version=VERSION, secure=True)
    assert header.startswith("__Host-privacy-choice=refuse.1a2b3c4d; ")
    assert attributes(header) == {"Max-Age": str(390 * 86400), "Path": "/", "SameSite": "Lax", "HttpOnly": "", "Secure": ""}


def test_over_plain_http_the_cookie_has_no_prefix_that_browsers_would_reject():
    header = choice_cookie(REFUSED, version=VERSION, secure=False)
    assert header.startswith("privacy-choice=refuse.1a2b3c4d; ")
    assert attributes(header) == {"Max-Age": str(390 * 86400), "Path": "/", "SameSite": "Lax", "HttpOnly": ""}


@pytest.mark.parametrize("secure", [True, False])
def test_a_choice_is_kept_for_13_months_at_most(secure: bool):
    assert 0 < int(attributes(choice_cookie(ALLOWED, version=VERSION, secure=secure))["Max-Age"]) <= THIRTEEN_MONTHS


@pytest.mark.parametrize("secure", [True, False])
def test_the_cookie_is_the_same_for_everybody(secure: bool):
    assert len({choice_cookie(REFUSED, version=VERSION, secure=secure) for _ in range(100)}) == 1


@pytest.mark.parametrize("secure", [True, False])
@pytest.mark.parametrize("choice", [REFUSED, ALLOWED])
def test_the_cookie_says_under_which_version_of_the_statement_it_was_chosen(choice: str, secure: bool):
    name, _, value = choice_cookie(choice, version=VERSION, secure=secure).partition(";")[0].partition("=")
    assert kept_choice({name: value}) == Kept(choice, VERSION)


def test_a_cookie_of_an_older_version_of_the_package_still_holds():
    assert kept_choice({COOKIE: "allow"}) == Kept(ALLOWED, "")
    assert read_choice([cookie(f"{COOKIE}=allow")], BOTH).explicit == ALLOWED


@pytest.mark.parametrize("value", ["allow.", "allow.xyz", "allow.1a2b3c4", "allow.1a2b3c4d5", "allow 1a2b3c4d", "allow.1A2B3C4D"])
def test_a_choice_with_something_else_behind_it_refuses_and_has_no_receipt(value: str):
    assert read_choice([cookie(f"{COOKIE}={value}")], BOTH).explicit == REFUSED
    assert kept_choice({COOKIE: value}) is None
