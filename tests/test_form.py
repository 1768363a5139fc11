"""Bodies: copied without being held, and read for the declared fields and nothing else."""

import json
import logging
import tracemalloc
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from privacy_middleware.collect.form import (
    MOST_VALUES,
    Body,
    Copy,
    File,
    FormIndex,
    Undecodable,
    UnreadableForm,
    file_type,
    media_type,
    read_fields,
)
from privacy_middleware.forms import Field, Form

URLENCODED = b"application/x-www-form-urlencoded"
MULTIPART = b"multipart/form-data; boundary="
JSON = b"application/json"
LIMIT = 65_536
CHROME = b"----WebKitFormBoundary7MA4YWxkTrZu0gWb"
FIREFOX = b"----geckoformboundary8d5c2ba3e91b3b2e4a1f0c9d7e6b5a43"
OLD_FIREFOX = b"---------------------------41265490131283746501982734650"
CANARY = "cAnArY-7f3a"
Parts = list[tuple[str, str | tuple[str, str, bytes]]]


def a_form(*fields: str, charset: str = "utf-8", **more: Any) -> Form:
    """A form that keeps these fields; a name that begins with "file" is a file."""
    declared = {name: Field(treatment="file" if name.startswith("file") else "keep") for name in fields or ("email", "message", "file")}
    return Form(
        **{"name": "contact", "path": "/contact", "purpose": "answer", "retention_days": 1, "fields": declared, "charset": charset} | more
    )


def copied(body: bytes, sizes: Iterable[int] = (), limit: int = LIMIT) -> Body:
    """Copy a body in chunks of these sizes; what is left over comes in one."""
    copy = Copy(limit)
    chunks, start = [], 0
    for size in sizes:
        chunks.append(body[start : start + size])
        start += size
    chunks += [body[start:]]
    for number, chunk in enumerate(chunks, 1):
        copy.add(chunk, more=number < len(chunks))
    return copy.body()


def read(form: Form, content_type: bytes, body: bytes, *, sizes: Iterable[int] = (), limit: int = LIMIT) -> Any:
    return read_fields(form, content_type, copied(body, sizes, limit))


def fault(form: Form, content_type: bytes, body: bytes, **options: Any) -> str:
    with pytest.raises(UnreadableForm) as raised:
        read(form, content_type, body, **options)
    return raised.value.reason


def every(size: int, length: int) -> list[int]:
    return [size] * (length // size)


# What browsers send (HTML standard, "Form submission").
def urlencoded(pairs: Iterable[tuple[str, str]], charset: str = "utf-8") -> bytes:
    def quoted(text: str) -> str:
        return quote_plus(text.encode(charset, "xmlcharrefreplace"), safe="*-._")

    return "&".join(f"{quoted(name)}={quoted(value)}" for name, value in pairs).encode()


def escaped(name: str) -> str:
    return name.replace("\n", "%0A").replace("\r", "%0D").replace('"', "%22")


def multipart(parts: Parts, boundary: bytes = CHROME, charset: str = "utf-8") -> bytes:
    """Write parts: a text, or a file as its name, its type and its content."""
    body = b""
    for name, value in parts:
        body += b"--" + boundary + b'\r\nContent-Disposition: form-data; name="' + escaped(name).encode(charset, "xmlcharrefreplace") + b'"'
        if isinstance(value, str):
            body += b"\r\n\r\n" + value.encode(charset, "xmlcharrefreplace")
        else:
            body += f'; filename="{escaped(value[0])}"\r\nContent-Type: {value[1]}\r\n\r\n'.encode() + value[2]
        body += b"\r\n"
    return body + b"--" + boundary + b"--\r\n"


def read_parts(form: Form, parts: Parts, boundary: bytes = CHROME, **options: Any) -> Any:
    return read(form, MULTIPART + boundary, multipart(parts, boundary, form.charset), **options)


# --- the copy --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 199, 200, 201, 299, 300, 301, 399, 400, 401, 500, 1000])
@pytest.mark.parametrize("chunk", [1, 3, 50, 99, 100, 101, 150, 399, 400, 401, 1000])
def test_the_copy_holds_the_head_and_the_tail_however_the_body_was_split(size: int, chunk: int):
    data = bytes(number % 251 for number in range(size))
    assert copied(data, every(chunk, size), limit=100) == Body(data[:100], data[100:][-100:], size, finished=True)


@given(st.data(), st.integers(0, 700), st.integers(1, 120))
@settings(deadline=None, max_examples=300)
def test_every_chunking_gives_the_same_copy(data: st.DataObject, size: int, limit: int):
    body = bytes(number % 251 for number in range(size))
    sizes = data.draw(st.lists(st.integers(0, 300), max_size=20))
    assert copied(body, sizes, limit) == Body(body[:limit], body[limit:][-limit:], size, finished=True)


@pytest.mark.parametrize("first", [0, 1, 10, 99, 100])
def test_a_small_first_chunk_before_a_huge_one_does_not_shorten_the_head(first: int):
    data = bytes(range(250)) * 40
    assert copied(data, [first], limit=100).head == data[:100]


@pytest.mark.parametrize("chunk", [16, 100, 40_000, 65_536, 65_537, 200_000, 262_144, 262_145, 3_000_000])
def test_the_memory_of_a_copy_is_bounded_by_the_limit(chunk: int):
    copy = Copy(LIMIT)
    amount = max(8_000_000, 4 * chunk) if chunk > 1000 else 400_000
    tracemalloc.start()
    for _ in range(amount // chunk):
        copy.add(bytes(chunk), more=True)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert copy.size == amount // chunk * chunk
    assert held < 10 * LIMIT


# Each piece costs its entry in a list, which is more than its bytes.
@pytest.mark.parametrize("chunk", [1, 2, 5])
def test_the_memory_of_a_copy_in_tiny_pieces_is_bounded_as_well(chunk: int):
    copy = Copy(LIMIT)
    tracemalloc.start()
    for _ in range(400_000 // chunk):
        copy.add(bytes(chunk), more=True)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 50 * LIMIT


@pytest.mark.parametrize("before", [0, 10, 2000])
def test_empty_chunks_cost_no_memory(before: int):
    copy = Copy(1024)
    copy.add(bytes(before), more=True)
    tracemalloc.start()
    for _ in range(50_000):
        copy.add(b"", more=True)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 10_000


def test_a_body_in_single_bytes_comes_to_an_end():
    """Were it quadratic, the timeout of all tests would end it."""
    limit = 400_000
    copy = Copy(limit)
    for _ in range(4 * limit):
        copy.add(b"a", more=True)
    assert copy.body().held == 2 * limit


def test_a_copy_knows_whether_the_body_ended():
    copy = Copy(100)
    copy.add(b"a", more=True)
    assert not copy.body().finished
    copy.add(b"", more=False)
    assert copy.body() == Body(b"a", b"", 1, finished=True)


def test_a_copy_of_nothing_is_empty_and_unfinished():
    assert Copy(100).body() == Body(b"", b"", 0, finished=False)


def test_a_body_that_broke_off_is_not_read():
    for kind in (URLENCODED, JSON, MULTIPART + CHROME):
        with pytest.raises(UnreadableForm, match="unfinished"):
            read_fields(a_form(), kind, Body(b"email=a", b"", 7, finished=False))


# --- urlencoded ------------------------------------------------------------------------------------------------------------

TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)
DECLARED = ["email", "message", 'a "b"', "søg", "tags[]", "user.name", "x&y=z+%", "line\r\nend", "名前", "back\\slash", "per%22cent"]
UNDECLARED = ["Email", "email2", "e", "ema", "other", "email ", "名", ""]
NAMES = st.sampled_from(DECLARED + UNDECLARED)


def expected(pairs: Iterable[tuple[str, str]], declared: Iterable[str] = DECLARED) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        if name in declared:
            found.setdefault(name, []).append(value)
    return found


@given(st.lists(st.tuples(NAMES, TEXTS), max_size=12))
@settings(deadline=None, max_examples=300)
def test_urlencoded_values_come_out_as_the_browser_sent_them(pairs: list[tuple[str, str]]):
    assert read(a_form(*DECLARED), URLENCODED, urlencoded(pairs)) == expected(pairs)


@pytest.mark.parametrize(
    ("body", "values"),
    [
        (b"email=a", ["a"]),
        (b"email=", [""]),
        (b"email", [""]),
        (b"email=a=b", ["a=b"]),
        (b"email=a&email=b&email=a", ["a", "b", "a"]),
        (b"&&email=a&&", ["a"]),
        (b"%65mail=a", ["a"]),
        (b"%65%6D%61%69%6c=a", ["a"]),
        (b"email=a+b%2Bc%20d", ["a b+c d"]),
        (b"email=%", ["%"]),
        (b"email=%4", ["%4"]),
        (b"email=%zz%", ["%zz%"]),
        (b"email=a;email=b", ["a;email=b"]),
        (b"email=%00%0D%0A", ["\0\r\n"]),
        (b"email=%F0%9F%98%80", ["\N{GRINNING FACE}"]),
        ("email=ø".encode(), ["ø"]),
    ],
)
def test_a_urlencoded_field_is_read_as_servers_read_it(body: bytes, values: list[str]):
    assert read(a_form("email"), URLENCODED, body) == {"email": values}


@pytest.mark.parametrize("body", [b"", b"&", b"=", b"=a", b"Email=a", b"email%20=a", b"+email=a", b"other=a", b"e=a&emai=b&emaill=c"])
def test_a_field_that_is_not_declared_is_never_read(body: bytes):
    assert read(a_form("email"), URLENCODED, body) == {}


@pytest.mark.parametrize("other", [b"other=%ff%fe", b"%ff=%ff", b"other=\xff\xc0", b"\xff\xff\xff=1", b"other", b"%ff" * 5000 + b"=1"])
def test_undeclared_bytes_that_are_no_text_do_no_harm(other: bytes):
    assert read(a_form("email"), URLENCODED, other + b"&email=a&" + other) == {"email": ["a"]}


@pytest.mark.parametrize("value", [b"%ff", b"\xff", b"%c3", b"%ed%a0%80", b"%c0%80", b"a%80b"])
def test_declared_bytes_that_are_no_text_are_told_as_such_and_the_rest_is_read(value: bytes):
    found = read(a_form("email", "message"), URLENCODED, b"email=" + value + b"&message=a&email=b")
    assert found == {"email": [Undecodable(), "b"], "message": ["a"]}
    assert type(found["email"][0]) is Undecodable


def test_a_urlencoded_body_is_the_same_in_every_split():
    pairs = [("email", "ann@example.org"), ("message", "æ\r\nø å&=+%"), ("other", CANARY), ("email", "二")]
    body = urlencoded(pairs)
    for place in range(len(body) + 1):
        assert read(a_form(), URLENCODED, body, sizes=[place]) == expected(pairs, ["email", "message"])


def test_no_more_than_a_hundred_values_of_a_field_are_read():
    body = b"&".join(b"email=%d" % number for number in range(1000))
    assert read(a_form("email"), URLENCODED, body) == {"email": [str(number) for number in range(MOST_VALUES)]}


# --- charsets --------------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(NAMES, st.text(st.characters(codec="windows-1252"), max_size=20)), max_size=8))
@settings(deadline=None, max_examples=100)
def test_a_page_in_windows_1252_is_read_as_declared(pairs: list[tuple[str, str]]):
    declared = [name for name in DECLARED if name != "名前"]
    form = a_form(*declared, charset="windows-1252")
    assert read(form, URLENCODED, urlencoded(pairs, "windows-1252")) == expected(pairs, declared)
    assert read_parts(form, pairs) == expected(pairs, declared)


# Characters that the page's encoding does not have arrive as the browser wrote them: as references.
def test_characters_outside_the_encoding_arrive_as_the_browser_wrote_them():
    form = a_form("email", charset="windows-1252")
    assert read(form, URLENCODED, urlencoded([("email", "日 €")], "windows-1252")) == {"email": ["&#26085; €"]}


@pytest.mark.parametrize("charset", ["windows-1252", "WINDOWS-1252", '"windows-1252"', "iso-8859-15"])
@pytest.mark.parametrize("kind", ["urlencoded", "multipart"])
def test_the_charset_of_the_request_counts_more_than_the_declared_one(charset: str, kind: str):
    form, parameter = a_form("email"), f"; charset={charset}".encode()
    if kind == "urlencoded":
        assert read(form, URLENCODED + parameter, b"email=%F8") == {"email": ["ø"]}
    else:
        assert read(form, MULTIPART + CHROME + parameter, multipart([("email", "ø")], charset="windows-1252")) == {"email": ["ø"]}


@pytest.mark.parametrize("charset", ["bogus", "rot13", "undefined", "idna", "utf-7", "hex", '"\0"', "é", "unicode_escape", "x" * 3000])
@pytest.mark.parametrize("kind", ["urlencoded", "multipart"])
def test_an_unknown_charset_of_the_request_makes_it_unreadable(charset: str, kind: str):
    parameter = f"; charset={charset}".encode()
    if kind == "urlencoded":
        assert fault(a_form("email"), URLENCODED + parameter, b"email=a") == "charset"
    else:
        assert fault(a_form("email"), MULTIPART + CHROME + parameter, multipart([("email", "a")])) == "charset"


def test_a_part_may_say_its_own_charset():
    body = b'--X\r\nContent-Disposition: form-data; name="email"\r\nContent-Type: text/plain; charset=windows-1252\r\n\r\n\xf8\r\n--X--\r\n'
    assert read(a_form("email"), MULTIPART + b"X", body) == {"email": ["ø"]}
    assert fault(a_form("email"), MULTIPART + b"X", body.replace(b"windows-1252", b"bogus")) == "charset"


# A page that calls itself iso-8859-1 is windows-1252 to every browser (Encoding standard, "Names and labels").
@pytest.mark.parametrize(
    ("label", "sent", "text"),
    [
        ("iso-8859-1", b"%80", "€"),
        ("latin1", b"%93%94", "\u201c\u201d"),
        ("us-ascii", b"%E9", "é"),
        ("iso-8859-9", b"%80%F0", "€ğ"),
        ("iso-8859-11", b"%80", "€"),
        ("shift_jis", b"%87%40", "①"),
        ("gb2312", b"%97%50", "桺"),
        ("euc-kr", b"%81A", "갂"),
    ],
)
def test_a_page_is_in_the_encoding_that_browsers_mean_by_its_label(label: str, sent: bytes, text: str):
    assert read(a_form("email", charset=label), URLENCODED, b"email=" + sent) == {"email": [text]}


@pytest.mark.parametrize("charset", ["shift_jis", "gb18030", "big5", "euc-jp", "euc-kr", "koi8-r", "windows-1251", "iso-8859-2", "utf-8"])
def test_values_in_any_encoding_of_a_page_come_out(charset: str):
    text = {"koi8-r": "Привет", "windows-1251": "Привет", "iso-8859-2": "Příliš", "euc-kr": "한국어"}.get(charset, "日本")
    form = a_form("email", charset=charset)
    assert read(form, URLENCODED, urlencoded([("email", text)], charset)) == {"email": [text]}
    assert read_parts(form, [("email", text)]) == {"email": [text]}


# --- multipart -------------------------------------------------------------------------------------------------------------

FILE = ("photo.png", "image/png", b"\x89PNG\r\n\x1a\n" + bytes(range(256)))


@given(
    st.lists(st.tuples(NAMES, TEXTS | st.tuples(TEXTS, st.just("image/png"), st.binary(max_size=40))), max_size=8),
    st.sampled_from([CHROME, FIREFOX, OLD_FIREFOX, b"X", b"a'()+_,-./:=? b"]),
)
@settings(deadline=None, max_examples=300)
def test_multipart_values_come_out_as_the_browser_sent_them(parts: Parts, boundary: bytes):
    form = a_form(*DECLARED)
    body = multipart(parts, boundary)
    found = read(form, MULTIPART + (b'"' + boundary + b'"' if b" " in boundary else boundary), body)
    wanted: dict[str, list[Any]] = {}
    for name, value in parts:
        if name in DECLARED and (isinstance(value, str) or value[0] or value[2]):
            wanted.setdefault(name, []).append(value if isinstance(value, str) else File("image/png", len(value[2])))
    assert found == wanted


@pytest.mark.parametrize("boundary", [CHROME, FIREFOX, OLD_FIREFOX], ids=["Chrome", "Firefox", "old Firefox"])
def test_a_multipart_body_is_the_same_in_every_split(boundary: bytes):
    parts: Parts = [("email", "ann@example.org"), ("other", CANARY), ("file", FILE), ("message", "æ\r\n--ø\r\n"), ("email", "二")]
    body = multipart(parts, boundary)
    wanted = {"email": ["ann@example.org", "二"], "message": ["æ\r\n--ø\r\n"], "file": [File("image/png", len(FILE[2]))]}
    for place in range(len(body) + 1):
        assert read(a_form(), MULTIPART + boundary, body, sizes=[place]) == wanted
    assert read(a_form(), MULTIPART + boundary, body, sizes=every(1, len(body))) == wanted


@pytest.mark.parametrize("chunk", [None, 1, 7, 300, 1023, 1025])
def test_a_body_with_a_file_over_the_limit_is_the_same_in_every_split(chunk: int | None):
    parts: Parts = [("email", "ann@example.org"), ("other", CANARY), ("file", ("a.png", "image/png", b"\r\n--" * 700)), ("message", "æ")]
    body = multipart(parts)
    wanted = {"email": ["ann@example.org"], "file": [File("image/png", 2800)], "message": ["æ"]}
    for place in range(0, len(body) + 1, 1 if chunk is None else 97):
        sizes = [place] if chunk is None else [place, *every(chunk, len(body) - place)]
        assert known(read(a_form(), MULTIPART + CHROME, body, sizes=sizes, limit=1024), 2800) == wanted


@pytest.mark.parametrize(
    "name",
    [
        'a"b',
        'a""b',
        '"',
        "a\r\nb",
        "a\nb",
        "a\\b",
        "a\\",
        "æøå",
        "日本",
        "\N{GRINNING FACE}",
        "a b",
        " a ",
        "a;b",
        "a=b",
        "a;name=x",
        "a%22b",
        "a'b",
        "a*",
        "a[0][b]",
    ],
)
def test_a_name_is_found_as_browsers_escape_it(name: str):
    assert read_parts(a_form(name), [(name, "v"), ("other", "w")]) == {name: ["v"]}


@pytest.mark.parametrize(
    "header",
    [
        b'Content-Disposition: form-data; name="email"',
        b'content-disposition: form-data; name="email"',
        b'CONTENT-DISPOSITION:form-data; name="email"',
        b"Content-Disposition: form-data; name=email",
        b'Content-Disposition: form-data; NAME="email"',
        b'Content-Disposition: form-data;name="email"',
        b'X-First: 1\r\nContent-Disposition: form-data; name="email"\r\nContent-Length: 1',
        b'Content-Type: text/plain\r\nContent-Disposition: form-data; name="email"',
    ],
)
def test_a_part_header_may_be_written_otherwise(header: bytes):
    assert read(a_form("email"), MULTIPART + b"X", b"--X\r\n" + header + b"\r\n\r\nv\r\n--X--\r\n") == {"email": ["v"]}


@pytest.mark.parametrize(
    "header",
    [
        b"Content-Disposition: form-data",
        b'Content-Disposition: form-data; filename="email"',
        b'Content-Type: text/plain; name="email"',
        b'X-Disposition: form-data; name="email"',
        b'Content-Disposition: form-data; name="Email"',
        b'Content-Disposition: form-data; name="email\\"',
        b'Content-Disposition: form-data; xname="email"',
    ],
)
def test_a_part_that_names_no_declared_field_is_never_read(header: bytes):
    assert read(a_form("email"), MULTIPART + b"X", b"--X\r\n" + header + b"\r\n\r\n\xff" + b"\r\n--X--\r\n") == {}


def test_undeclared_parts_that_are_no_text_do_no_harm():
    body = (
        multipart([("other", "zzz"), ("email", "a"), ("other", "zzz")])
        .replace(b"zzz", b"\xff\xc0\xed\xa0\x80")
        .replace(b'"other"', b'"\xff"')
    )
    assert read(a_form("email"), MULTIPART + CHROME, body) == {"email": ["a"]}


def test_a_declared_part_that_is_no_text_is_told_as_such_and_the_rest_is_read():
    body = multipart([("email", "zzz"), ("message", "a")]).replace(b"zzz", b"\xff")
    assert read(a_form("email", "message"), MULTIPART + CHROME, body) == {"email": [Undecodable()], "message": ["a"]}


def test_duplicates_stay_in_order():
    assert read_parts(a_form("tag"), [("tag", "b"), ("tag", "a"), ("x", "y"), ("tag", "b")]) == {"tag": ["b", "a", "b"]}


@pytest.mark.parametrize(
    "value", ["", "\r\n", "\r\n\r\n", "--", "\r\n--", "\r", "-", "\r\n--" + CHROME.decode()[:-1], CHROME.decode(), "--" + CHROME.decode()]
)
def test_a_value_may_look_like_a_boundary(value: str):
    assert read_parts(a_form("email"), [("email", value), ("message", "x")]) == {"email": [value]}


@pytest.mark.parametrize(
    "preamble", [b"", b"\r\n", b"This is a multi-part message.\r\n", b"pre--\r\n--\r\n", CANARY.encode() * 50 + b"\r\n", b"\xff\r\n\r\n"]
)
@pytest.mark.parametrize(
    "epilogue", [b"", b"\r\n", CANARY.encode(), b'\r\n--X\r\nContent-Disposition: form-data; name="email"\r\n\r\nw\r\n--X--\r\n']
)
def test_what_stands_before_and_after_the_parts_is_no_part(preamble: bytes, epilogue: bytes):
    body = preamble + multipart([("email", "v")], b"X")[:-2] + b"\r\n" + epilogue
    assert read(a_form("email"), MULTIPART + b"X", body) == {"email": ["v"]}


def test_the_last_line_end_may_be_missing():
    assert read(a_form("email"), MULTIPART + b"X", multipart([("email", "v")], b"X")[:-2]) == {"email": ["v"]}


def test_a_multipart_form_without_any_part_is_empty():
    assert read_parts(a_form(), []) == {}


# --- files -----------------------------------------------------------------------------------------------------------------


def test_of_a_file_only_its_type_and_size_are_known():
    found = read_parts(a_form(), [("file", (f"{CANARY}.png", "image/png", CANARY.encode()))])
    assert found == {"file": [File("image/png", len(CANARY))]}
    assert CANARY not in repr(found)


def test_a_file_input_without_a_file_is_nothing():
    assert read_parts(a_form(), [("file", ("", "application/octet-stream", b"")), ("email", "a")]) == {"email": ["a"]}


def test_an_empty_file_is_a_file():
    assert read_parts(a_form(), [("file", ("empty.txt", "text/plain", b""))]) == {"file": [File("text/plain", 0)]}


def test_several_files_of_one_field_stay_in_order():
    parts: Parts = [("file", ("a.png", "image/png", b"12")), ("file", ("b.pdf", "application/pdf", b"1"))]
    assert read_parts(a_form(), parts) == {"file": [File("image/png", 2), File("application/pdf", 1)]}


@pytest.mark.parametrize(
    "parameters",
    [
        b'; filename="a.txt"',
        b"; filename=a.txt",
        b'; FileName="a.txt"',
        b"; filename*=UTF-8''a.txt",
        b"; filename*0=a; filename*1=b",
        b'; filename=""',
    ],
)
def test_the_content_of_a_file_is_never_taken_for_a_text(parameters: bytes):
    body = b'--X\r\nContent-Disposition: form-data; name="email"' + parameters + b"\r\nContent-Type: text/plain\r\n\r\nv\r\n--X--\r\n"
    assert read(a_form("email"), MULTIPART + b"X", body) == {"email": [File("text/plain", 1)]}


@pytest.mark.parametrize(
    ("content_type", "known"),
    [
        (b"image/png", "image/png"),
        (b"IMAGE/PNG; x=y", "image/png"),
        (b"application/pdf", "application/pdf"),
        (b"image/heic", "image/heic"),
        (b"application/zip", "application/zip"),
        (b"application/octet-stream", "application/octet-stream"),
        (b"", "other"),
        (b"nonsense", "other"),
        (b"application/x-" + CANARY.encode(), "other"),
        (b"image/png" + CANARY.encode(), "other"),
        (b"\xff\xfe", "other"),
    ],
)
def test_a_file_type_is_a_registered_one_or_other(content_type: bytes, known: str):
    assert file_type(content_type) == known


def known(found: dict[str, list[Any]], size: int) -> dict[str, list[Any]]:
    """Fill in the size of a file that was too large to be told."""
    return {
        name: [File(value.type, size) if isinstance(value, File) and value.size is None else value for value in values]
        for name, values in found.items()
    }


def upload(parts: list[tuple[bytes, int]], boundary: bytes = CHROME, chunk: int = 16_384) -> Iterator[bytes]:
    """Stream parts, each with so many zero bytes after what is given."""
    for before, size in parts:
        yield before
        for _ in range(size // chunk):
            yield bytes(chunk)
        yield bytes(size % chunk)


def head_of(name: str, value: str | None = None) -> bytes:
    text = multipart([(name, value if value is not None else ("a.bin", "application/octet-stream", b""))])
    return text.removesuffix(b"--" + CHROME + b"--\r\n").removesuffix(b"" if value is not None else b"\r\n")


END = b"\r\n--" + CHROME + b"--\r\n"


def read_upload(parts: list[tuple[bytes, int]], chunk: int, fields: tuple[str, ...] = ("email", "message", "file")) -> Any:
    copy = Copy(LIMIT)
    for piece in upload([*parts, (END, 0)], chunk=chunk):
        copy.add(piece, more=piece is not END)
    copy.add(b"", more=False)
    return read_fields(a_form(*fields), MULTIPART + CHROME, copy.body())


SIZE = 2_000_003


@pytest.mark.parametrize("chunk", [1000, 16_384, 65_536, 262_145, 2_000_000])
@pytest.mark.parametrize("name", ["file", "other"])
def test_declared_fields_before_and_after_a_large_file_are_read(name: str, chunk: int):
    found = read_upload([(head_of("email", "a@b.org"), 0), (head_of(name), SIZE), (b"\r\n" + head_of("message", "hi")[:-2], 0)], chunk)
    files = {"file": [File("application/octet-stream", SIZE)]} if name == "file" else {}
    assert known(found, SIZE) == {"email": ["a@b.org"], "message": ["hi"]} | files


@pytest.mark.parametrize("chunk", [1000, 65_536, 2_000_000])
def test_a_large_file_may_stand_first_or_last(chunk: int):
    first = read_upload([(head_of("file"), SIZE), (b"\r\n" + head_of("email", "a")[:-2], 0)], chunk, ("email", "file"))
    last = read_upload([(head_of("email", "a") + head_of("file"), SIZE)], chunk, ("email", "file"))
    assert first == last == {"email": ["a"], "file": [File("application/octet-stream", None)]}


@pytest.mark.parametrize("chunk", [1000, 16_384, 65_536])
def test_a_declared_field_between_two_large_files_is_read_or_the_form_is_unreadable(chunk: int):
    try:
        found = read_upload(
            [
                (head_of("file"), SIZE),
                (b"\r\n" + head_of("email", "a") + head_of("file"), SIZE),
                (b"\r\n" + head_of("message", "hi")[:-2], 0),
            ],
            chunk,
        )
    except UnreadableForm as unreadable:
        assert unreadable.reason == "too_large"  # noqa: PT017  both outcomes are right
    else:
        assert known(found, SIZE) == {"email": ["a"], "message": ["hi"], "file": [File("application/octet-stream", SIZE)] * 2}


def test_a_large_upload_costs_no_memory():
    tracemalloc.start()
    read_upload([(head_of("email", "a"), 0), (head_of("file"), 20_000_000), (b"\r\n" + head_of("message", "hi")[:-2], 0)], 65_536)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12 * LIMIT


@pytest.mark.parametrize("size", [*range(500, 1300, 7), *range(1600, 2400, 7), *range(2700, 3400, 31)])
def test_a_file_of_any_size_around_the_limit_is_told_rightly_or_not_at_all(size: int):
    parts: Parts = [("email", "a"), ("file", ("a.png", "image/png", b"\r\n" * (size // 2) + b"x" * (size % 2))), ("message", "hi")]
    body = multipart(parts)
    for chunk in (len(body), 512, 100):
        try:
            found = read(a_form(), MULTIPART + CHROME, body, sizes=every(chunk, len(body)), limit=1024)
        except UnreadableForm as unreadable:
            assert unreadable.reason == "too_large"  # noqa: PT017  both outcomes are right
        else:
            assert known(found, size) == {"email": ["a"], "file": [File("image/png", size)], "message": ["hi"]}
            assert found["file"][0].size == size or len(body) > 2048


LAYOUTS = st.lists(
    st.tuples(st.sampled_from(["email", "message", "other", "file", "other file"]), st.integers(0, 60) | st.integers(900, 4000)),
    max_size=7,
    unique_by=lambda part: part[0] if part[0] in ("email", "message") else object(),
)


@given(LAYOUTS, st.integers(1, 5000))
@settings(deadline=None, max_examples=400)
@example([("file", 900), ("email", 900)], 5000)
@example([("email", 1), ("file", 3000), ("file", 3000), ("message", 1)], 5000)
def test_any_mix_of_fields_and_files_is_read_rightly_or_not_at_all(layout: list[tuple[str, int]], chunk: int):
    parts: Parts = [(name, ("a.png", "image/png", b"x" * size) if "file" in name else "y" * size) for name, size in layout]
    body = multipart(parts)
    try:
        found = read(a_form(), MULTIPART + CHROME, body, sizes=every(chunk, len(body)), limit=1024)
    except UnreadableForm as unreadable:
        assert unreadable.reason == "too_large"  # noqa: PT017  both outcomes are right
        assert len(body) > 1024
        return
    files = [size for name, size in layout if name == "file"]
    told = [file.size for file in found.pop("file", [])]
    assert found == {name: ["y" * size] for name, size in layout if name in ("email", "message")}
    assert len(told) <= len(files)
    assert {size for size in told if size is not None} <= set(files)
    if len(body) <= 2048:
        assert told == files


def test_a_hundred_files_and_large_ones_after_them_do_no_harm():
    parts: Parts = [("file", ("a", "image/png", b"x" * 5000)) for _ in range(MOST_VALUES + 2)]
    with suppress(UnreadableForm):
        found = read_parts(a_form("file"), parts, limit=MOST_VALUES * 5200)
        assert {file.size for file in found["file"]} <= {5000, None}


# --- broken multipart ------------------------------------------------------------------------------------------------------


def test_a_truncated_multipart_body_is_broken_wherever_it_ends():
    body = multipart([("email", "a"), ("file", FILE), ("message", "hi")])
    assert {fault(a_form(), MULTIPART + CHROME, body[:end]) for end in range(len(body) - 4)} == {"broken"}


@pytest.mark.parametrize(
    "kind",
    [b"multipart/form-data", b"multipart/form-data; boundary=", b'multipart/form-data; boundary=""', b"multipart/form-data; boundary"],
)
def test_a_multipart_body_without_a_boundary_is_broken(kind: bytes):
    assert fault(a_form(), kind, multipart([("email", "a")])) == "broken"


@pytest.mark.parametrize("boundary", [b"other", CHROME + b"x", CHROME[:-1], b"x" * 71, b"x" * 5000, b"\xff", b"\x00"])
def test_a_multipart_body_with_a_wrong_boundary_is_broken(boundary: bytes):
    assert fault(a_form(), MULTIPART + boundary, multipart([("email", "a")])) == "broken"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"email=a",
        b"--X",
        b"--X\r\n",
        b"--X\r\n\r\n",
        b"--X\n\nv\n--X--\n",
        b'--X\r\nContent-Disposition: form-data; name="email"\r\n\r\nv',
        b'--X\r\nContent-Disposition: form-data; name="email"\r\n\r\nv\r\n--X',
        b'--X\r\nContent-Disposition: form-data; name="email"\r\n\r\nv\r\n--X-',
        b'--X\r\nContent-Disposition: form-data; name="email"\r\n\r\nv\r\n--X\r\n',
        b"--X\r\nno header\r\n\r\nv\r\n--X--\r\n",
        b"--X\r\n: v\r\n\r\nv\r\n--X--\r\n",
        b"--X\r\nbad\xffheader: 1\r\n\r\nv\r\n--X--\r\n",
        b"--X\r\nA: " + b"b" * 9000 + b"\r\n\r\nv\r\n--X--\r\n",
        b"--X\r\n" + b"A: b\r\n" * 50 + b"\r\nv\r\n--X--\r\n",
        b"\r\n" * 30_000,
    ],
    ids=lambda body: repr(body[:60]),
)
def test_a_malformed_multipart_body_is_broken(body: bytes):
    assert fault(a_form("email"), MULTIPART + b"X", body) == "broken"


def test_the_log_of_the_parser_tells_no_byte_of_the_body(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    mark = CANARY.encode()
    bodies = [
        b"--X" + mark,
        b"--X\r\n" + mark + b"\xff: 1\r\n",
        b"--X\r\nA: b\r" + mark,
        b"--X\r\n" + mark + b"@: 1\r\n\r\nv\r\n--X--\r\n",
        b"--X\r\n: " + mark + b"\r\n\r\n",
        multipart([("email", CANARY)], b"X") + mark,
        b"--X--" + mark,
        b"--X\r\n\r\n\r\n--X\r" + mark + b"\r\n--X--",
        mark * 100,
        multipart([("email", CANARY), ("file", (CANARY, CANARY, mark))], b"X"),
    ]
    for body in bodies:
        for kind in (MULTIPART + b"X", MULTIPART + mark, URLENCODED, JSON):
            try:
                read(a_form(), kind, body)
            except UnreadableForm as unreadable:
                assert CANARY not in str(unreadable)  # noqa: PT017  both outcomes are right
    assert caplog.records == []


# --- JSON ------------------------------------------------------------------------------------------------------------------


@given(TEXTS, st.booleans())
@settings(deadline=None, max_examples=200)
@example('\0\x1f"\\/\u2028\N{GRINNING FACE}', True)
def test_a_json_text_comes_out_as_it_was_sent(text: str, ascii_only: bool):
    body = json.dumps({"other": [text], "email": text, text: 1}, ensure_ascii=ascii_only).encode()
    if text not in ("other", "email"):
        assert read(a_form("email"), JSON, body) == {"email": [text]}


@pytest.mark.parametrize(
    ("value", "values"),
    [
        ('"a"', ["a"]),
        ('""', [""]),
        ("1", ["1"]),
        ("-0.10", ["-0.10"]),
        ("1e5", ["1e5"]),
        ("123456789012345678901234567890", ["123456789012345678901234567890"]),
        ("true", ["true"]),
        ("false", ["false"]),
        ('["a", 1, true, null, "b"]', ["a", "1", "true", "b"]),
        ('[ "a" ,\n{"x": 1}, ["y"] ]', ["a"]),
        (' \r\n\t"a" ', ["a"]),
        ('"\\u0065\\n\\ud83d\\ude00"', ["e\n\N{GRINNING FACE}"]),
    ],
)
def test_a_json_value_is_read_as_text(value: str, values: list[str]):
    assert read(a_form("email"), JSON, f'{{"x": {{"email": 0}}, "email": {value}, "y": []}}'.encode()) == {"email": values}


@pytest.mark.parametrize("value", ["null", "{}", '{"email": "a"}', "[]", "[null]", "[{}]", '[["a"]]'])
def test_null_and_what_is_nested_is_nothing(value: str):
    assert not read(a_form("email"), JSON, f'{{"email": {value}}}'.encode()).get("email")


def test_a_dotted_name_is_a_path_or_a_flat_key():
    form = a_form("address.city", "address.street.name", "email")
    nested = {"email": "a", "address": {"city": "Aarhus", "zip": CANARY, "street": {"name": "High", "number": CANARY}}}
    assert read(form, JSON, json.dumps(nested).encode()) == {"email": ["a"], "address.city": ["Aarhus"], "address.street.name": ["High"]}
    flat = {"address.city": "Aarhus", "address.street.name": "High", "address": CANARY}
    assert read(form, JSON, json.dumps(flat).encode()) == {"address.city": ["Aarhus"], "address.street.name": ["High"]}


@pytest.mark.parametrize("value", [1, "x", None, [], [{"city": "a"}], {"City": "a"}, {"city": {"x": "a"}}], ids=str)
def test_a_path_that_leads_nowhere_is_nothing(value: Any):
    assert not read(a_form("address.city"), JSON, json.dumps({"address": value, "city": "a"}).encode()).get("address.city")


def test_of_a_json_key_given_twice_the_last_counts_as_it_does_for_parsers():
    assert read(a_form("email"), JSON, b'{"email": "a", "email": "b"}') == {"email": ["b"]}


def test_a_json_key_may_be_written_in_escapes():
    assert read(a_form("email", "søg"), JSON, b'{"\\u0065mail": "a", "s\\u00f8g": "b"}') == {"email": ["a"], "søg": ["b"]}


@pytest.mark.parametrize("name", [name for name in DECLARED if "." not in name] + ["\t", "a\x7fb"])
def test_a_json_field_may_have_any_name(name: str):
    assert read(a_form(name), JSON, json.dumps({"other": 1, name: "v"}).encode()) == {name: ["v"]}


@pytest.mark.parametrize(
    "kind", [JSON, b"application/json; charset=utf-8", b"APPLICATION/JSON", b"application/merge-patch+json", b"application/ld+json"]
)
def test_json_is_known_by_its_content_type(kind: bytes):
    assert read(a_form("email"), kind, b'{"email": "a"}') == {"email": ["a"]}


@pytest.mark.parametrize("other", [b'"other": "\xff\xc0"', b'"other": {"x": ["\xed\xa0\x80"]}'])
def test_undeclared_json_that_is_no_text_does_no_harm(other: bytes):
    assert read(a_form("email"), JSON, b"{" + other + b', "email": "a"}') == {"email": ["a"]}


# What JavaScript's slice() leaves of an emoji is JSON to most parsers, the host's among them.
@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (rb"a\ud83d", "a\ufffd"),
        (rb"\ude00a", "\ufffda"),
        (rb"\ud83d\ud83d\ude00", "\ufffd\N{GRINNING FACE}"),
        (rb"\ud83d\ude00\ude00", "\N{GRINNING FACE}\ufffd"),
        (rb"\ud83d\u0041", "\ufffdA"),
        (rb"\\ud83d", "\\ud83d"),
        (rb"\\\ud83d", "\\\ufffd"),
    ],
)
def test_half_an_emoji_in_json_is_marked_as_such(sent: bytes, text: str):
    assert read(a_form("email"), JSON, b'{"email": "' + sent + b'"}') == {"email": [text]}
    assert read(a_form("email"), JSON, b'{"other": "\\udfff", "email": "' + sent + b'"}') == {"email": [text]}


@pytest.mark.parametrize("value", [b'"\xff"', b'["a", "\xff"]', b'"\xed\xa0\x80"'])
def test_declared_json_that_is_no_text_is_refused(value: bytes):
    assert fault(a_form("email"), JSON, b'{"email": ' + value + b"}") in ("broken", "charset")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b'["email"]',
        b'"email"',
        b"1",
        b"{",
        b"}",
        b'{"email"}',
        b'{"email": }',
        b'{"email": "a"',
        b'{"email": "a}',
        b'{"email": "a"} x',
        b'{"email": "a",}',
        b"{'email': 'a'}",
        b'{"email": 01}',
        b'{"email": NaN}',
        b'{"email": tru}',
        b'{"email": "a\nb"}',
        b'{"other": 01, "email": "a"}',
        b'{"\xff": 1, "email": "a"}',
        b'{"email": "a"}{"email": "b"}',
        b"email=a",
    ],
)
def test_what_is_no_json_object_is_broken(body: bytes):
    assert fault(a_form("email"), JSON, body) == "broken"


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"email":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"other":' + b"[" * 100_000 + b"]" * 100_000 + b', "email": "a"}',
        b'{"email":' + b'{"x":' * 100_000 + b"1" + b"}" * 100_001,
        b'{"email.x":' + b'{"x":' * 100_000 + b"1" + b"}" * 100_001,
    ],
    ids=["open", "open objects", "lists", "lists beside", "objects", "dotted"],
)
def test_deep_nesting_is_refused_and_nothing_worse(body: bytes):
    assert fault(a_form("email.x", "message"), JSON, body, limit=4_000_000) == "broken"


def test_json_over_the_limit_is_too_large():
    assert fault(a_form("email"), JSON, b'{"email": "a"}' + b" " * 1011, limit=1024) == "too_large"
    assert read(a_form("email"), JSON, b'{"email": "a"}' + b" " * 1010, limit=1024) == {"email": ["a"]}


def test_reading_json_again_and_again_leaves_nothing_behind():
    form = a_form("email", "address.city")
    body = b'{"email": "a", "address": {"city": "b"}}'
    for _ in range(50):
        read(form, JSON, body)
    tracemalloc.start()
    for _ in range(2000):
        read(form, JSON, body)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 2_000_000


# --- limits ----------------------------------------------------------------------------------------------------------------


def test_a_body_of_exactly_the_limit_is_read():
    body = b"email=" + b"a" * (1024 - 6)
    assert read(a_form("email"), URLENCODED, body, limit=1024) == {"email": ["a" * 1018]}
    assert fault(a_form("email"), URLENCODED, body + b"a", limit=1024) == "too_large"


@pytest.mark.parametrize("chunk", [1000, 65_536, 4_000_000])
def test_a_million_tiny_fields_beyond_the_limit_are_too_large(chunk: int):
    body = b"email=a&" + b"a=&" * 1_000_000
    assert fault(a_form("email"), URLENCODED, body, sizes=every(chunk, len(body))) == "too_large"


def test_tiny_parts_beyond_the_limit_are_too_large():
    part = multipart([("x", "")], b"X").removesuffix(b"--X--\r\n")
    body = multipart([("email", "a")], b"X").removesuffix(b"--X--\r\n") + part * 40_000 + b"--X--\r\n"
    assert fault(a_form("email"), MULTIPART + b"X", body) == "too_large"


def test_a_text_over_the_limit_is_too_large():
    assert fault(a_form(), MULTIPART + CHROME, multipart([("email", "a" * 5000), ("message", "b")]), limit=1024) == "too_large"


@pytest.mark.parametrize("kind", [URLENCODED, MULTIPART + b"X", JSON], ids=["urlencoded", "multipart", "json"])
@pytest.mark.parametrize(
    "unit", [b"&", b"%", b"\r\n", b"=", b"+", b"--X", b"\r\n--X", b"--X\r\n", b"email=&", b"\0", b'"', b"[", b"{", b"\xff", b";", b"%25"]
)
def test_64_kilobytes_of_anything_come_to_an_end(kind: bytes, unit: bytes):
    for start in (
        b"",
        b"email=",
        b'--X\r\nContent-Disposition: form-data; name="email"\r\n\r\n',
        b'{"email":"',
        b"--X\r\nContent-Disposition: ",
    ):
        body = (start + unit * LIMIT)[:LIMIT]
        try:
            found = read(a_form("email"), kind, body)
        except UnreadableForm:
            found = {}
        assert set(found) <= {"email"}


# --- other content ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [b"", b"text/plain", b"application/xml", b"multipart/mixed; boundary=X", b"application/jsonx", b"json", b"\xff", b";", b"text/json"],
)
def test_another_content_type_is_not_read(kind: bytes):
    assert fault(a_form("email"), kind, b"email=a") == "type"


@pytest.mark.parametrize(
    "kind", [URLENCODED, URLENCODED.upper(), URLENCODED + b"; charset=UTF-8", URLENCODED + b";", b" " + URLENCODED + b" "]
)
def test_urlencoded_is_known_however_it_is_written(kind: bytes):
    assert read(a_form("email"), kind, b"email=a") == {"email": ["a"]}


@given(st.binary(max_size=60) | st.text(max_size=40).map(lambda text: b"multipart/form-data; " + text.encode()))
@settings(deadline=None, max_examples=300)
def test_any_content_type_is_told_apart(content_type: bytes):
    kind, parameters = media_type(content_type)
    assert isinstance(kind, str)
    assert all(isinstance(value, str) for value in parameters.values())
    with suppress(UnreadableForm):
        read(a_form("email"), content_type, b"email=a")


# --- finding the form ------------------------------------------------------------------------------------------------------


def test_a_form_is_found_by_method_and_path():
    contact, change = a_form(), a_form(name="change", path="/orders/{id}", method="PUT")
    index = FormIndex([contact, change])
    assert index.methods == {"POST", "PUT"}
    assert index.sent_to("POST", "/contact") is contact
    assert index.sent_to("PUT", "/orders/17") is change
    for method, path in [
        ("GET", "/contact"),
        ("PUT", "/contact"),
        ("POST", "/orders/17"),
        ("PUT", "/orders/"),
        ("POST", "/contact/"),
        ("POST", "/Contact"),
    ]:
        assert index.sent_to(method, path) is None


def test_a_plain_path_counts_more_than_a_template():
    new, other = a_form(name="new", path="/orders/new"), a_form(name="other", path="/orders/{id}")
    index = FormIndex([other, new])
    assert index.sent_to("POST", "/orders/new") is new
    assert index.sent_to("POST", "/orders/17") is other


def test_a_form_is_shown_where_it_is_sent_unless_told_otherwise():
    index = FormIndex([a_form(), a_form(name="letter", path="/letter", shown_at="/about/{page}")])
    assert [form.name for path in ("/contact", "/about/us") for form in index.shown_at(path)] == ["contact", "letter"]
    assert list(index.shown_at("/letter")) == []


def test_without_forms_there_is_nothing_to_look_for():
    index = FormIndex([])
    assert index.methods == frozenset()
    assert index.sent_to("POST", "/contact") is None
