"""Fuzzing: no body, whatever its bytes, makes the reader of forms crash, hang or grow."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from privacy_middleware.collect.form import Copy, File, Undecodable, UnreadableForm, read_fields
from privacy_middleware.forms import Field, Form

from .test_form import CHROME, multipart, urlencoded

ROOT = Path(__file__).parent.parent
RUNS = int(os.environ.get("FUZZ_RUNS", "20000"))
SECONDS = int(os.environ.get("FUZZ_SECONDS", "11"))
LIMIT = 16_384
URLENCODED = b"application/x-www-form-urlencoded"
MULTIPART = b"multipart/form-data; boundary="
JSON = b"application/json"
REASONS = {"broken", "charset", "too_large", "unfinished", "type", "encoding"}
NAMES = ("email", "message", "søg", 'a "b"', "user.name", "user.address.city")
FORM = Form(
    name="contact",
    path="/contact",
    purpose="answer",
    retention_days=1,
    fields={name: Field(treatment="keep") for name in NAMES} | {"file": Field(treatment="file")},
)

# The first three bytes say how: which content type, in which chunks.
TARGET = """
import sys
import atheris

with atheris.instrument_imports(include=["privacy_middleware.collect.form", "privacy_middleware.forms", "python_multipart"]):
    from tests.test_fuzz import read_anything
    import python_multipart.multipart

atheris.Setup(sys.argv, lambda data: read_anything(data))
atheris.Fuzz()
"""
KINDS = (
    URLENCODED,
    URLENCODED + b"; charset=windows-1252",
    MULTIPART + CHROME,
    MULTIPART + b"X",
    MULTIPART + b'"a b"; charset=shift_jis',
    JSON,
    None,  # the data say
)
SEEDS = [
    (0, urlencoded([("email", "ann@example.org"), ("other", "x"), ("message", "æ\r\n"), ("søg", "ø"), ('a "b"', "v")])),
    (1, urlencoded([("email", "ø"), ("message", "€ 日")], "windows-1252")),
    (2, multipart([("email", "a"), ("other", "x"), ("file", ("a.png", "image/png", b"\x89PNG\r\n--")), ("søg", "ø"), ('a "b"', "v")])),
    (2, multipart([("email", "a"), ("file", ("a.pdf", "application/pdf", b"\r\n" * 20_000)), *((name, "b") for name in NAMES[1:])])),
    (
        3,
        b'preamble\r\n--X\r\nContent-Disposition: form-data; name="email"\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nv\r\n--X--\r\n',
    ),
    (3, b"--X\r\nContent-Disposition: form-data; name=\"file\"; filename*=UTF-8''a\r\n\r\nv\r\n--X  \r\n--X--"),
    (4, multipart([("email", "v")], b"a b")),
    (5, b'{"email": "a", "user": {"name": [1, true, null, "x"], "address": {"city": "\\ud83d\\ude00"}}, "user.name": -1.5e3}'),
    (5, b'{"email":' + b"[" * 2000),
    (5, b'{"email": "\\ud83d", "other": {"x": []}}'),
    (6, b'multipart/form-data; boundary="x"; charset=utf-7\0--x--\r\n'),
    (6, b"application/json; charset=bogus\0{}"),
]


def read_anything(data: bytes) -> dict[str, Any] | None:
    """Read what the data say; anything but UnreadableForm with a known reason is a fault."""
    how, chunk, rest = data[:1] or b"\0", data[1:3], data[3:]
    kind, body = KINDS[how[0] % len(KINDS)], rest
    if kind is None:
        kind, _, body = rest.partition(b"\0")
    copy = Copy(LIMIT)
    size = int.from_bytes(chunk, "big") or LIMIT * 5
    size = max(size, len(body) // 2000)
    for start in range(0, len(body), size):
        copy.add(body[start : start + size], more=True)
    copy.add(b"", more=False)
    copied = copy.body()
    check(len(copied.head) <= LIMIT and len(copied.tail) <= LIMIT, "the copy is over its limit")
    check((copied.head, copied.tail) == (body[:LIMIT], body[LIMIT:][-LIMIT:]), "the copy is not the body")
    try:
        found = read_fields(FORM, kind, copied)
    except UnreadableForm as unreadable:
        check(unreadable.reason in REASONS, f"unknown reason {unreadable.reason}")
        return None
    check(set(found) <= set(FORM.fields), "a field that is not declared")
    for values in found.values():
        check(0 < len(values) <= 100, "too many values")
        for value in values:
            check(isinstance(value, (File, Undecodable)) or (len(value) <= LIMIT and value.encode() is not None), "not a text")
    return found


def check(holds: bool, fault: str) -> None:
    if not holds:
        raise AssertionError(fault)


def seed(kind: int, chunk: int, body: bytes) -> bytes:
    return bytes([kind]) + chunk.to_bytes(2, "big") + body


@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris is not installed: it has no build for this Python or system"
)
@pytest.mark.skipif(sys.platform != "linux", reason="atheris runs on Linux only")
def test_a_fuzzer_finds_no_crash_hang_or_growth(tmp_path: Path):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number, (kind, body) in enumerate(SEEDS):
        for chunk in (0, 1, 1000):
            (corpus / f"{number}-{chunk}").write_bytes(seed(kind, chunk, body))
    script = tmp_path / "target.py"
    script.write_text(TARGET)
    limits = [f"-runs={RUNS}", f"-max_total_time={SECONDS}", "-max_len=70000", "-timeout=5", "-rss_limit_mb=512", "-seed=7"]
    command = [sys.executable, str(script), str(corpus), *limits, f"-artifact_prefix={tmp_path}/"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, errors="replace", timeout=110, check=False
    )
    found = [
        f"{path.name}: {path.read_bytes()[:300]!r}" for kind in ("crash", "oom", "timeout", "leak") for path in tmp_path.glob(f"{kind}-*")
    ]
    assert (done.returncode, found) == (0, []), done.stdout[-3000:] + done.stderr[-3000:]
    assert "Done" in done.stderr


@pytest.mark.parametrize("place", range(len(SEEDS)))
def test_the_seeds_are_read_or_refused_in_any_chunks(place: int):
    kind, body = SEEDS[place]
    found = [read_anything(seed(kind, chunk, body)) for chunk in (0, 1, 7, 1000, 16_384, 40_000)]
    assert all(one == found[0] for one in found)
    assert (found[0] is not None) is (place in (0, 1, 2, 3, 4, 6, 7, 9))


PIECES = st.sampled_from(
    [
        b"email",
        b"message",
        b"&",
        b"=",
        b"%",
        b"%4",
        b"%ff",
        b"+",
        b"\r\n",
        b"\r",
        b"\n",
        b"--X",
        b"--X--",
        b"--",
        b"--" + CHROME,
        b"\r\n--X\r\n",
        b'Content-Disposition: form-data; name="email"',
        b"; filename=",
        b"; filename*=",
        b"Content-Type: text/plain; charset=",
        b'"',
        b"\\",
        b";",
        b"utf-8",
        b"\0",
        b"\xff",
        b"\xed\xa0\x80",
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b",",
        b'{"email":',
        b'"user":{"name":',
        b"null",
        b"1e5",
        b"\\ud83d",
    ]
)
BODIES = st.binary(max_size=400) | st.lists(PIECES | st.binary(max_size=8), max_size=40).map(b"".join)


@given(BODIES, st.integers(0, 65_535))
@settings(deadline=None, max_examples=500)
@example(b"\r\n", 1)
def test_any_bytes_under_any_content_type_are_read_or_refused(body: bytes, chunk: int):
    for kind in range(len(KINDS)):
        read_anything(seed(kind, chunk, body))


@given(
    st.lists(
        st.tuples(st.sampled_from([number for number, _ in enumerate(SEEDS)]), st.integers(0, 400), st.binary(max_size=6)),
        min_size=1,
        max_size=3,
    )
)
@settings(deadline=None, max_examples=300)
def test_a_body_with_a_few_wrong_bytes_is_read_or_refused(changes: list[tuple[int, int, bytes]]):
    kind, body = SEEDS[changes[0][0]]
    for _, place, wrong in changes:
        body = body[:place] + wrong + body[place + len(wrong) :]
    read_anything(seed(kind, 0, body))
