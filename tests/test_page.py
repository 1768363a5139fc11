"""Page names: reports do not explode, nobody is given away, nothing hostile gets through."""

import re
import secrets
import time
import unicodedata
from urllib.parse import parse_qsl, quote, unquote, urlencode

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from privacy_middleware.collect.page import LONGEST_CAMPAIGN, LONGEST_PATH, campaign, clean, matches, page_name, scrub, scrub_path

NOTHING: frozenset[str] = frozenset()
BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def is_safe(text: str) -> bool:
    """No control, surrogate, line-separating or direction characters: what a terminal, a page or a CSV might act on."""
    return not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in BIDI for c in text)


def decoded(text: str) -> str:
    """What somebody who wants to know would get out of a stored text."""
    for _ in range(4):
        text = unquote(text.replace("+", " "))
    return text


# --- route templates -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "template", "name"),
    [
        ("/orders/17", "/orders/{id}", "/orders/{id}"),
        ("/orders/17", "/orders/{id:int}", "/orders/{id}"),
        ("/files/a/b.txt", "/files/{path:path}", "/files/{path}"),
        ("/u/jo@example.org/x", "/u/{email}/x", "/u/{email}/x"),
        ("/about", "/about", "/about"),
        ("/", "/", "/"),
        ("/anything", "", ""),
    ],
)
def test_a_page_is_named_by_its_route_template(path: str, template: str, name: str):
    assert page_name(path, template, NOTHING) == name


@pytest.mark.parametrize(
    ("path", "template", "kept", "name"),
    [
        ("/blog/hello-world", "/blog/{slug}", {"slug"}, "/blog/hello-world"),
        ("/blog/2026/hello", "/blog/{year:int}/{slug}", {"slug"}, "/blog/{year}/hello"),
        ("/blog/2026/hello", "/blog/{year:int}/{slug}", {"slug", "year"}, "/blog/2026/hello"),
        ("/f/a/b.txt", "/f/{path:path}", {"path"}, "/f/a/b.txt"),
        ("/blog/x", "/blog/{slug}", {"other"}, "/blog/{slug}"),
        ("/mounted/blog/x", "/blog/{slug}", {"slug"}, "/blog/{slug}"),  # the path does not fit: nothing is taken from it
        ("/blog/a.c", "/blog/a.c", {"slug"}, "/blog/a.c"),
    ],
)
def test_the_parameters_that_the_owner_keeps_are_filled_in(path: str, template: str, kept: set[str], name: str):
    assert page_name(path, template, frozenset(kept)) == name


@pytest.mark.parametrize(
    ("value", "kept"), [("jo@example.org", "{email}"), ("1234567", "{number}"), ("0f8fad5b-d9cb-469f-a165-70867728950e", "{uuid}")]
)
def test_a_kept_parameter_is_scrubbed_all_the_same(value: str, kept: str):
    assert page_name(f"/blog/{value}", "/blog/{slug}", frozenset({"slug"})) == f"/blog/{kept}"


@pytest.mark.parametrize(
    ("path", "template", "fits"),
    [
        ("/a/1", "/a/{id}", True),
        ("/a/1/", "/a/{id}", False),
        ("/a/1/2", "/a/{id}", False),
        ("/a/1/2", "/a/{rest:path}", True),
        ("/axb", "/a.b", False),
        ("/a/", "/a/{id}", False),
    ],
)
def test_a_path_lies_under_a_template_or_not(path: str, template: str, fits: bool):
    assert matches(path, template) is fits


# --- scrubbing -------------------------------------------------------------------------------------------------------------

UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/u/jane.doe@example.org", "/u/{email}"),
        ("/u/jane.doe%40example.org", "/u/{email}"),
        ("/u/jane+news@sub.example.co.uk/edit", "/u/{email}/edit"),
        ("/u/jürgen@bücher.example", "/u/{email}"),
        ("/from=a@b.org", "/{email}"),
        ("/u/a@b.org,c@d.org", "/u/{email},{email}"),
        (f"/o/{UUID}", "/o/{uuid}"),
        (f"/o/{UUID.upper()}", "/o/{uuid}"),
        (f"/o/{UUID.replace('-', '')}", "/o/{uuid}"),
        (f"/o/file-{UUID}.pdf", "/o/file-{uuid}.pdf"),
        ("/o/12345", "/o/{number}"),
        ("/o/order12345678x", "/o/order{number}x"),
        ("/o/2026050412", "/o/{number}"),
        ("/tel/+4512345678", "/tel/{number}"),
        ("/tel/+45 12 34 56 78", "/tel/{number}"),
        ("/tel/(555) 123-4567", "/tel/{number}"),
        ("/cpr/010190-1234", "/cpr/{number}"),
        ("/t/sk_live_51H8aBcDeFgHiJkLmNoPqR", "/t/{token}"),
        ("/t/Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MA==", "/t/{token}"),
        ("/t/Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MA%3D%3D", "/t/{token}"),
        ("/t/" + JWT, "/t/{token}"),
        ("/t/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/t/{token}"),
        ("/t/V1StGXR8_Z5jdHi6B-myT", "/t/{token}"),
    ],
)
def test_what_looks_like_a_person_or_a_secret_is_replaced_by_its_kind(path: str, name: str):
    assert page_name(path, None, NOTHING) == name


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "//a//b/",
        "/about-us",
        "/blog/2026/05/04/ten-tips-for-2026.html",
        "/blog/how-to-write-a-privacy-statement-in-2026",
        "/presentations/logstash-monitorama-2013/",
        "/news/covid19-figures-of-the-week",
        "/blog/3d-printing-for-beginners",
        "/static/bootstrap-5.3.3-dist.bundle.min.js",
        "/archive/2026-05-04",
        "/archive/20260504",
        "/archive/20260504.html",
        "/releases/v2.10.14",
        "/p/1234",
        "/søg/blåbærgrød",
        "/東京/案内",
        "/IMG_2042.jpg",
        "/sundhedsstyrelsen/persondataforordningen",
        "/@jane",
        "/a b",
        "/100%",
    ],
)
def test_readable_paths_are_kept(path: str):
    assert page_name(path, None, NOTHING) == path


@pytest.mark.parametrize(
    "name",
    [
        "AnnualReport2025-final-version.pdf",
        "PrivacyMiddleware-0.1.0-py3-none-any.whl",
        "why-we-love-iPhone-and-GitHub",
        "LibreOffice_24.2.0_Linux_x86-64_deb.tar.gz",
        "jquery.dataTables.min.css",
        "what-is-h2o-and-why-does-it-matter",
        "Firefox-Setup-140.0.2.exe",
        "Sommerfest_2025_Einladung_final_v2.docx",
        "Screenshot_2026-05-04-14-03-07.png",
        "ubuntu-24.04.1-desktop-amd64.iso",
    ],
)
def test_names_of_files_and_titles_are_kept(name: str):
    assert scrub_path(f"/files/{name}") == f"/files/{name}"


@pytest.mark.parametrize(
    "path",
    [
        "/p;jsessionid=Ab3dEf6hIj9kLmNoPqRsTuV",
        "/bot110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw/send",
        "/s/(Ab3dEf6hIj9kLmNoPqRsTuV)",
        "/s/Ab3dEf6hIj9kLmNoPqRsTuV,1",
        "/s/Ab3dEf6hIj9kLmNoPqRsTuV!",
    ],
)
def test_a_token_beside_other_characters_is_replaced(path: str):
    assert "{token}" in scrub_path(path)
    assert not re.search(r"dEf6hIj9|WJxfSeof", scrub_path(path))


# A few in a million may look like words.
@pytest.mark.parametrize("size", [16, 24, 32])
def test_random_tokens_are_not_taken_for_slugs(size: int):
    tokens = [secrets.token_urlsafe(size) for _ in range(2000)]
    assert sum(scrub(token) == token for token in tokens) <= 2


@pytest.mark.parametrize("make", [secrets.token_hex, lambda size: secrets.token_hex(size).upper()])
def test_random_hexadecimal_keys_are_replaced(make):
    keys = [make(16) for _ in range(500)]
    assert not any(key[:8] in scrub(key) for key in keys)


@pytest.mark.parametrize("path", ["/o/123456-78", "/o/12345-67", "/o/12345 678"])
def test_a_long_number_with_a_short_tail_is_replaced(path: str):
    assert "12345" not in scrub_path(path)


# The server has unquoted once before.
@pytest.mark.parametrize("times", [0, 1, 2, 3])
def test_an_address_is_found_however_often_it_was_quoted(times: int):
    segment = "jane.doe@example.org"
    for _ in range(times):
        segment = quote(segment, safe="")
    assert "jane" not in decoded(scrub_path(f"/u/{segment}"))


# --- hostile characters ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "character", ["\0", "\t", "\r", "\n", "\x1b", "\x7f", "\x85", "\x9b", "\u2028", "\u2029", "\u202e", "\u2066", "\udcff"]
)
def test_a_hostile_character_is_made_visible(character: str):
    assert clean(f"a{character}b") == "a\ufffdb"
    assert scrub_path(f"/a{character}b/c") == "/a\ufffdb/c"


@pytest.mark.parametrize("character", list(BIDI))
def test_a_direction_character_is_made_visible(character: str):
    assert scrub_path(f"/a{character}b") == "/a\ufffdb"


@pytest.mark.parametrize("code", ["%00", "%0a", "%0d", "%1b", "%7f", "%c2%9b", "%e2%80%a8", "%e2%80%ae"])
def test_a_hostile_character_that_was_quoted_twice_is_not_let_loose(code: str):
    assert is_safe(scrub_path(f"/a{code}[31mb"))
    assert is_safe(page_name(f"/x/a{code}[31mb", "/x/{y}", frozenset({"y"})))
    assert is_safe(campaign(f"utm_source=a{code}b".encode(), NOTHING))


def test_ordinary_letters_of_any_script_are_left_alone():
    assert clean("blåbær 東京 café Ωμέγα עברית") == "blåbær 東京 café Ωμέγα עברית"


@pytest.mark.parametrize(
    "path",
    [
        "/" + "a" * 8192,
        "/" + "a1" * 4096,
        "/" + "a/" * 4096,
        "/" + "@" * 8192,
        "/" + ("a" * 64 + "@" + "a." * 127) * 25,
        "/" + "x@y" * 2700,
        "/" + "1" * 8192,
        "/" + "1-" * 4096,
        "/" + "a-1" * 2700,
        "/" + "%41" * 2700,
        "/" + "%25" * 2700,
        "/" + "0f8fad5b-" * 900,
        "/" + "\u202e" * 8192,
        "/" + "a." * 4096 + "@",
        "/" + "(" * 8192,
        "/1" + " " * 8190,
    ],
)
def test_a_path_of_8_kilobytes_is_cut_and_costs_little(path: str):
    began = time.perf_counter()
    for text in (scrub_path(path), page_name(path, "/{x:path}", frozenset({"x"})), campaign(b"utm_source=" + path.encode(), NOTHING)):
        assert len(text) <= LONGEST_PATH
    assert time.perf_counter() - began < 1.0


ANY_TEXT = st.text(st.characters(), max_size=60)  # surrogates too: servers decode paths with surrogateescape
SEGMENTS = ANY_TEXT | st.sampled_from(["%0a", "%251b", "jane@example.org", "%40", UUID, "1234567", "{id}", "..", "\x1b[31m", "%ff", "=1+1"])


@given(st.lists(SEGMENTS, max_size=8).map("/".join))
@settings(deadline=None, max_examples=300)
@example("/%0a")
def test_any_path_gives_a_safe_and_bounded_name(path: str):
    for name in (page_name(path, None, NOTHING), page_name("/b/" + path, "/b/{slug:path}", frozenset({"slug"}))):
        assert len(name) <= LONGEST_PATH
        assert is_safe(name)
        name.encode()


EMAILS = st.from_regex(r"[a-z0-9][a-z0-9._+-]{0,20}@[a-z0-9]{1,12}(-[a-z0-9]{1,5})?(\.[a-z]{2,6}){1,2}", fullmatch=True)
AROUND = st.sampled_from(["", "/", "user-", "mailto:", "=", "<", ",", ";", " ", "x" * 70, "1" * 190 + " ", "%20", "~", "(", '"'])


@given(
    email=EMAILS, before=AROUND, after=st.sampled_from(["", "/", "/edit", ";x", ",", " ", ">", "?a", ")", "&b=c"]), quoted=st.integers(0, 1)
)
@settings(deadline=None, max_examples=500)
def test_no_email_address_survives_in_a_path(email: str, before: str, after: str, quoted: int):
    segment = quote(email, safe="") if quoted else email
    assert email not in decoded(scrub_path(f"/a/{before}{segment}{after}"))
    assert email not in decoded(page_name(f"/a/{before}{segment}{after}", "/a/{x:path}", frozenset({"x"})))


@given(email=EMAILS, before=AROUND, name=st.sampled_from(["utm_source", "ref", "q"]), quoted=st.integers(1, 2))
@settings(deadline=None, max_examples=300)
def test_no_email_address_survives_in_a_campaign(email: str, before: str, name: str, quoted: int):
    value = before + (quote(email) if quoted == 2 else email)
    assert email not in decoded(campaign(urlencode({name: value}).encode(), frozenset({"q"})))


# --- campaigns -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "kept", "expected"),
    [
        (b"", (), ""),
        (b"utm_source=news", (), "utm_source=news"),
        (b"ref=partner", (), "ref=partner"),
        (b"a=1&utm_medium=mail&b=2&utm_source=news&ref=x", (), "ref=x&utm_medium=mail&utm_source=news"),
        (b"utm_source=news&utm_medium=mail", (), "utm_medium=mail&utm_source=news"),
        (b"utm_medium=mail&utm_source=news", (), "utm_medium=mail&utm_source=news"),
        (b"q=cake&page=2", ("q",), "q=cake"),
        (b"q=cake&page=2", (), ""),
        (b"UTM_SOURCE=news&Ref=x&utm_=1&utm_so-urce=2&utm_1=3&xutm_source=4&referrer=5", (), ""),
        (b"utm_source=", (), ""),
        (b"utm_source", (), ""),
        (b"utm_source=a+b%20c", (), "utm_source=a%20b%20c"),
        (b"utm_source=a%26b%3Dc", (), "utm_source=a%26b%3Dc"),
        (b"utm_source=caf%C3%A9", (), "utm_source=caf%C3%A9"),
        (b"utm_source=jane%40example.org", (), "utm_source={email}"),
        (b"utm_content=1234567", (), "utm_content={number}"),
        (b"utm_id=" + UUID.encode(), (), "utm_id={uuid}"),
        (b"q=jane@example.org", ("q",), "q={email}"),
        (b"ref=https://example.org/a", (), "ref=https://example.org/a"),
        (b"\xff\xfe=1&utm_source=x", (), "utm_source=x"),
        (b"utm_source=a;utm_medium=b", (), "utm_source=a%3Butm_medium%3Db"),
    ],
)
def test_of_a_query_only_the_allowed_parameters_are_kept(query: bytes, kept: tuple[str, ...], expected: str):
    assert campaign(query, frozenset(kept)) == expected


def test_a_parameter_given_twice_is_kept_in_a_fixed_order():
    assert campaign(b"ref=b&ref=a", NOTHING) == campaign(b"ref=a&ref=b", NOTHING)


# What stands in front of a cut may shrink when it is scrubbed.
def test_an_address_that_lies_across_the_cut_does_not_stay_in_part():
    campaigns = [campaign(b"utm_source=" + b"1" * digits + b"+jane.doe@example.org", NOTHING) for digits in range(150, 200)]
    assert [text for text in campaigns if "jane" in text] == []


@pytest.mark.parametrize("letters", range(28, 36))
def test_a_long_campaign_is_cut_between_parameters(letters: int):
    text = campaign(urlencode({"utm_medium": "a", "utm_source": "b", "ref": "é" * letters}).encode(), NOTHING)
    assert {name for name, _ in parse_qsl(text, keep_blank_values=True)} <= {"ref", "utm_medium", "utm_source"}
    assert not re.search(r"%(?![0-9A-F]{2})", text)


@given(
    st.dictionaries(
        st.sampled_from(["utm_source", "utm_medium", "ref", "q", "secret", "token"]),
        st.text(st.characters(codec="utf-8"), max_size=8),
        max_size=3,
    )
)
@settings(deadline=None, max_examples=300)
def test_a_campaign_holds_allowed_names_only_and_can_be_read_back(parameters: dict[str, str]):
    text = campaign(urlencode(parameters).encode(), frozenset({"q"}))
    names = [name for name, _ in parse_qsl(text, keep_blank_values=True)]
    assert set(names) <= {"utm_source", "utm_medium", "ref", "q"}
    assert names == sorted(names)


@given(st.binary(max_size=300))
@settings(deadline=None, max_examples=300)
def test_any_query_gives_a_printable_and_bounded_campaign(query: bytes):
    for text in (campaign(query, NOTHING), campaign(b"utm_source=" + query, NOTHING)):
        assert len(text) <= LONGEST_CAMPAIGN
        assert text.isascii()
        assert text == "" or text.isprintable()


def test_no_value_of_a_parameter_that_is_not_allowed_is_kept():
    assert "CANARY" not in campaign(b"password=CANARY&utm_source=x&CANARY=1&token=CANARY#CANARY", NOTHING)
