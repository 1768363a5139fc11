"""Imported logs: every common shape of line, nothing twice, nothing lost, nobody's address kept."""

import gzip
import io
import itertools
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy_middleware.cli import main
from privacy_middleware.collect.agent import read_agent
from privacy_middleware.collect.hit import KINDS, METHODS, Rules
from privacy_middleware.collect.visitor import date_of, day_number
from privacy_middleware.declaration import VISIT_ITEMS
from privacy_middleware.errors import ImportFault, Unstorable
from privacy_middleware.record import access_log
from privacy_middleware.record.access_log import Importer, Outcome, parse_request, parse_time, read_lines
from privacy_middleware.statistics.bookkeeper import count_all
from privacy_middleware.statistics.reports import report
from privacy_middleware.statistics.rollup import Terms
from privacy_middleware.store.base import Store
from tests.conftest import FIREFOX, hits, query

from .databases import change, contents, make_store

REAL_LOG = Path(__file__).parents[2] / "shared/data/apache_10k.log.gz"
RULES = Rules(frozenset(VISIT_ITEMS), frozenset({"q"}), frozenset(), frozenset({"www.example.org"}))
KEY = "a-secret-key-for-the-tests-0123456789"
NOON = "17/May/2015:12:00:00 +0000"


def line(
    path: str = "/", *, address: str = "192.0.2.1", at: str = NOON, status: int = 200, agent: str = FIREFOX, referrer: str = "-"
) -> bytes:
    return f'{address} - - [{at}] "GET {path} HTTP/1.1" {status} 100 "{referrer}" "{agent}"\n'.encode()


def log(number: int, first: int = 0) -> bytes:
    """A log of so many lines, each with a path of its own."""
    return b"".join(line(f"/page-{n}", address=f"192.0.2.{n % 200}") for n in range(first, first + number))


@pytest.fixture
def store() -> Iterator[Store]:
    store = make_store()
    store.open()
    yield store
    store.close()


def run(store: Store, data: bytes, *, zone: tzinfo = UTC, dry: bool = False, excluded: re.Pattern[str] | None = None) -> Outcome:
    importer = Importer(store, rules=RULES, zone=zone, keys=[KEY], excluded=excluded)
    return importer.run(iter(io.BytesIO(data)), dry=dry)


def run_file(store: Store, name: str) -> Outcome:
    lines, raw = read_lines(name)
    with raw:
        return Importer(store, rules=RULES, zone=UTC, keys=[KEY]).run(lines)


def one(store: Store, data: bytes) -> dict[str, Any]:
    outcome = run(store, data)
    assert (outcome.lines, outcome.imported, outcome.bad) == (1, 1, 0)
    [hit] = hits()
    return hit


# --- shapes of lines -------------------------------------------------------------------------------------------------------


def test_a_combined_line_becomes_a_hit(store: Store):
    text = f'192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /a/b?x=1&utm_source=n&q=c HTTP/1.1" 200 2326 "https://example.net/p?s=1" "{FIREFOX}"\n'
    hit = one(store, text.encode())
    assert hit["time"] == datetime(2015, 5, 17, 10, 5, 3, tzinfo=UTC).timestamp() * 1000
    assert date_of(hit["day"]) == date(2015, 5, 17)
    assert (hit["path"], METHODS[hit["method"]], hit["status"], hit["sent"], hit["aborted"]) == ("/a/b", "GET", 200, 2326, 0)
    assert (hit["source_kind"], hit["source_address"]) == ("referral", "example.net/p")
    assert hit["campaign_value"] == "q=c&utm_source=n"
    assert (hit["browser"], hit["os"], hit["device"], hit["bot"]) == ("Firefox", "Linux", "desktop", "")
    assert KINDS[hit["kind"]] == "page"
    assert hit["visitor"] is not None
    assert hit["address"] is None


REQUEST = '[17/May/2015:10:05:03 +0000] "GET /x HTTP/1.1" 200 5'
QUOTED = f'"https://example.net/" "{FIREFOX}"'


@pytest.mark.parametrize(
    "text",
    [
        f"192.0.2.1 - - {REQUEST}",
        f"192.0.2.1 - - {REQUEST} {QUOTED}",
        f"192.0.2.1 - jane {REQUEST} {QUOTED}",
        f"192.0.2.1 - jane doe {REQUEST} {QUOTED}",
        f"192.0.2.1 - jane@example.org {REQUEST} {QUOTED}",
        f'192.0.2.1 - "" {REQUEST} {QUOTED}',
        f"192.0.2.1 ident jane {REQUEST} {QUOTED}",
        f"www.example.org 192.0.2.1 - - {REQUEST} {QUOTED}",
        f"www.example.org:443 192.0.2.1 - - {REQUEST} {QUOTED}",
        f"192.0.2.1 - - {REQUEST} {QUOTED} 1234 0.005",
        f'192.0.2.1 - - {REQUEST} {QUOTED} "203.0.113.7, 10.0.0.1" rt=0.1',
        f'192.0.2.1 - - {REQUEST} {QUOTED} "-"',
        f"2001:db8::1 - - {REQUEST} {QUOTED}",
        f"::1 - - {REQUEST} {QUOTED}",
        f"::ffff:192.0.2.1 - - {REQUEST} {QUOTED}",
        f"fe80::1%eth0 - - {REQUEST} {QUOTED}",
        f"www.example.org:80 2001:db8::1 - - {REQUEST} {QUOTED}",
        f"www.example.org ::1 - - {REQUEST} {QUOTED}",
        f"dsl-7.isp.example - - {REQUEST} {QUOTED}",
        f"localhost - - {REQUEST} {QUOTED}",
        f"- - - {REQUEST} {QUOTED}",
        f"192.0.2.1 - - {REQUEST} {QUOTED}\r",
    ],
)
def test_each_common_shape_of_a_line_is_read(store: Store, text: str):
    hit = one(store, text.encode() + b"\n")
    assert (hit["path"], hit["status"], hit["sent"]) == ("/x", 200, 5)
    assert (hit["source_address"], hit["browser"]) == (("example.net/", "Firefox") if QUOTED in text else ("", ""))


@pytest.mark.parametrize(
    ("prefix", "site"),
    [
        ("www.example.org ", "www.example.org"),
        ("WWW.Example.ORG ", "www.example.org"),
        ("www.example.org:443 ", "www.example.org"),  # Apache's `%v:%p`
        ("evil.example ", ""),
        ("", ""),
    ],
)
def test_of_a_virtual_host_the_declared_one_is_kept(store: Store, prefix: str, site: str):
    assert one(store, prefix.encode() + line("/x"))["site"] == site


@pytest.mark.parametrize(
    ("request_text", "method", "path"),
    [
        ("GET / HTTP/1.0", "GET", "/"),
        ("GET /x HTTP/2.0", "GET", "/x"),
        ("GET /x HTTP/3", "GET", "/x"),
        ("GET /x", "GET", "/x"),
        ("POST /form HTTP/1.1", "POST", "/form"),
        ("HEAD / HTTP/1.1", "HEAD", "/"),
        ("OPTIONS * HTTP/1.1", "OPTIONS", "*"),
        ("PROPFIND /dav HTTP/1.1", "other", "/dav"),
        ("GET http://www.example.org/x HTTP/1.1", "GET", "/x"),
        ("GET https://www.example.org HTTP/1.1", "GET", "/"),
        ("GET /a b c HTTP/1.1", "GET", "/a b c"),
        ("GET /s%C3%B8g/%20x HTTP/1.1", "GET", "/søg/ x"),
        ("GET /100%25 HTTP/1.1", "GET", "/100%"),
        ("GET /%FF HTTP/1.1", "GET", "/\ufffd"),
        (r"GET /say-\"hi\" HTTP/1.1", "GET", '/say-"hi"'),
        (r"GET /\xc3\xb8 HTTP/1.1", "GET", "/ø"),
        (r"GET /a\\b HTTP/1.1", "GET", "/a\\b"),
        (r"GET /a\x1bb HTTP/1.1", "GET", "/a\ufffdb"),
        ("GET /u/jane%40example.org HTTP/1.1", "GET", "/u/{email}"),
        ("GET /o/1234567 HTTP/1.1", "GET", "/o/{number}"),
    ],
)
def test_each_shape_of_a_request_is_read(store: Store, request_text: str, method: str, path: str):
    hit = one(store, f'192.0.2.1 - - [{NOON}] "{request_text}" 200 5 "-" "{FIREFOX}"\n'.encode())
    assert (METHODS[hit["method"]], hit["path"]) == (method, path)


def test_escaped_quotes_in_referrer_and_agent_do_not_end_the_field(store: Store):
    text = f'192.0.2.1 - - [{NOON}] "GET / HTTP/1.1" 200 5 "https://example.net/a\\"b" "My \\"quoted\\" {FIREFOX}" "x"\n'
    hit = one(store, text.encode())
    assert hit["source_address"].startswith("example.net/a")
    assert hit["browser"] == "Firefox"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"\n", "not in the common or combined format"),
        (b"garbage\n", "not in the common or combined format"),
        (b"\xff\xfe\x00\n", "not in the common or combined format"),
        (b'{"time": "2015-05-17", "request": "GET /"}\n', "not in the common or combined format"),
        (b'192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" two 5\n', "not in the common or combined format"),
        (b'192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /\n', "not in the common or combined format"),
        (b'192.0.2.1 - - [17/Mai/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 5\n', "its time cannot be read"),
        (b'192.0.2.1 - - [32/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 5\n', "its time cannot be read"),
        (b'192.0.2.1 - - [2015-05-17T10:05:03+00:00] "GET / HTTP/1.1" 200 5\n', "its time cannot be read"),
        (b'192.0.2.1 - - [17/May/2015:25:05:03 +0000] "GET / HTTP/1.1" 200 5\n', "its time cannot be read"),
        (b'192.0.2.1 - - [17/May/2015:10:05:03 +9999] "GET / HTTP/1.1" 200 5\n', "its time cannot be read"),
        (b'192.0.2.1 - - [17/May/2015:10:05:03 +0000] "-" 408 0 "-" "-"\n', "its request is not HTTP"),
        (b'192.0.2.1 - - [17/May/2015:10:05:03 +0000] "" 400 0\n', "its request is not HTTP"),
        (b'192.0.2.1 - - [17/May/2015:10:05:03 +0000] "\\x16\\x03\\x01 x" 400 0\n', "its request is not HTTP"),
        (b'192.0.2.1 - - [17/May/2015:10:05:03 +0000] "quit now" 400 0\n', "its request is not HTTP"),
    ],
)
def test_a_bad_line_is_counted_with_what_is_wrong_and_not_shown(store: Store, text: bytes, fault: str):
    outcome = run(store, text)
    assert (outcome.lines, outcome.imported, outcome.bad) == (1, 0, 1)
    assert outcome.bad_lines == [(1, fault)]


def test_of_bad_lines_all_are_counted_and_the_first_ten_numbered(store: Store):
    outcome = run(store, b"".join(line(f"/{n}") + b"bad\n" for n in range(15)))
    assert (outcome.lines, outcome.imported, outcome.bad) == (30, 15, 15)
    assert [number for number, _ in outcome.bad_lines] == list(range(2, 21, 2))


def test_bad_lines_keep_their_numbers_beyond_the_first_batch_and_after_known_lines(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(access_log, "BATCH", 4)
    assert run(store, log(10)).imported == 10
    assert [number for number, _ in run(store, log(10) + line("/x") + b"bad\n" + line("/y") + b"bad\n").bad_lines] == [12, 14]


@pytest.mark.parametrize("at", ["31/Dec/9999:12:00:00 +0000", "01/Jan/0001:00:00:00 +0000", "01/Jan/0001:00:00:00 +1200"])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Copenhagen", "America/New_York"])
def test_a_line_of_an_impossible_year_is_a_bad_line(store: Store, at: str, zone: str):
    outcome = run(store, line() + line(at=at) + line(), zone=ZoneInfo(zone))
    assert (outcome.imported, outcome.bad) == (2, 1)


@pytest.mark.parametrize(
    "begin",
    [
        b"a." * 30_000,
        b"1:" * 30_000,
        b"a" * 60_000,
        b"1.2.3.4 - - [" * 5_000,
        b'1.2.3.4 - - [17/May/2015:10:05:03 +0000] "' + b'\\"' * 30_000,
    ],
)
def test_a_hostile_line_of_60_kilobytes_costs_little(store: Store, begin: bytes):
    began = time.perf_counter()
    assert run(store, begin + b"\n" + line()).imported == 1
    assert time.perf_counter() - began < 1.0


@given(st.lists(st.binary(max_size=60) | st.sampled_from([line(), b'1.1.1.1 - - [17/May/2015:10:05:03 +0000] "']), max_size=8))
@settings(deadline=None, max_examples=50)
def test_any_bytes_are_imported_or_counted_as_bad(parts: list[bytes]):
    store = make_store("any.db")
    store.open()
    outcome = run(store, b"".join(parts), dry=True)
    store.close()
    assert outcome.imported + outcome.bad == outcome.lines
    assert 0 <= b"".join(parts).count(b"\n") + 1 - outcome.lines <= 1


# --- times and days --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stamp", "instant"),
    [
        ("17/May/2015:10:05:03 +0000", "2015-05-17T10:05:03+00:00"),
        ("17/May/2015:10:05:03 +0200", "2015-05-17T08:05:03+00:00"),
        ("17/May/2015:00:05:03 +0200", "2015-05-16T22:05:03+00:00"),
        ("31/Dec/2015:23:30:00 -0800", "2016-01-01T07:30:00+00:00"),
        ("17/May/2015:10:05:03 +0545", "2015-05-17T04:20:03+00:00"),
        ("17/May/2015:10:05:03 -0330", "2015-05-17T13:35:03+00:00"),
        ("29/Feb/2016:00:00:00 +0000", "2016-02-29T00:00:00+00:00"),
        ("19/Jan/2038:03:14:08 +0000", "2038-01-19T03:14:08+00:00"),
        ("31/Dec/2016:23:59:60 +0000", "2016-12-31T23:59:59+00:00"),  # a leap second
    ],
)
def test_a_time_is_read_with_its_offset(stamp: str, instant: str):
    assert parse_time(stamp.encode()) == datetime.fromisoformat(instant).timestamp() * 1000


@pytest.mark.parametrize(
    ("at", "zone", "day"),
    [
        ("17/May/2015:23:30:00 +0000", "UTC", "2015-05-17"),
        ("17/May/2015:23:30:00 +0000", "Europe/Copenhagen", "2015-05-18"),
        ("17/May/2015:00:30:00 +0000", "America/New_York", "2015-05-16"),
        ("18/May/2015:01:30:00 +0200", "UTC", "2015-05-17"),
        ("25/Oct/2015:23:30:00 +0100", "Europe/Copenhagen", "2015-10-25"),
    ],
)
def test_a_line_belongs_to_the_owners_day(store: Store, at: str, zone: str, day: str):
    outcome = run(store, line(at=at), zone=ZoneInfo(zone))
    assert date_of(hits()[0]["day"]) == date.fromisoformat(day)
    assert outcome.first_day == day_number(date.fromisoformat(day))


def test_the_first_day_is_the_earliest_also_where_lines_are_out_of_order(store: Store):
    data = line(at="18/May/2015:12:00:00 +0000") + line(at="16/May/2015:12:00:00 +0000") + line(at="17/May/2015:12:00:00 +0000")
    assert run(store, data).first_day == day_number(date(2015, 5, 16))


# --- visitors --------------------------------------------------------------------------------------------------------------


def test_one_visitor_has_one_pseudonym_a_day_and_another_the_next(store: Store):
    morning, evening, next_day = "17/May/2015:08:00:00 +0000", "17/May/2015:20:00:00 +0000", "18/May/2015:08:00:00 +0000"
    run(store, line("/1", at=morning) + line("/2", at=next_day) + line("/3", at=evening))
    first, second, third = (hit["visitor"] for hit in hits())
    assert first == third != second


def test_address_and_agent_tell_visitors_apart(store: Store):
    run(store, line() + line(address="192.0.2.2") + line(agent="curl/8") + line())
    found = [hit["visitor"] for hit in hits()]
    assert len(set(found)) == 3
    assert found[0] == found[3]


def test_the_salts_of_an_import_are_in_no_table(store: Store):
    run(store, log(50))
    assert query("SELECT * FROM salt") == []


def test_two_imports_of_one_day_cannot_be_linked(store: Store):
    run(store, line("/1"))
    run(store, line("/2"))
    first, second = hits()
    assert first["visitor"] != second["visitor"]


def test_lines_from_the_time_since_which_visits_are_recorded_live_are_left_out(store: Store):
    begun = datetime.now(UTC).replace(microsecond=0)
    store.set_mark("live", int(begun.timestamp()) * 1000)
    stamps = [(begun + timedelta(seconds=seconds)).strftime("%d/%b/%Y:%H:%M:%S +0000") for seconds in (-1, 0, 1)]
    outcome = run(store, b"".join(line(f"/{number}", at=stamp) for number, stamp in enumerate(stamps)))
    assert (outcome.imported, outcome.excluded) == (1, 2)
    assert [hit["path"] for hit in hits()] == ["/0"]


@pytest.mark.parametrize("form", ["{} - - ", "{} - jane.doe ", "www.example.org {} - - "])
@pytest.mark.parametrize("address", ["203.0.113.77", "2001:db8:77::77", "host-77.isp.example"])
@pytest.mark.sqlite
def test_nothing_of_an_address_a_user_or_an_agent_is_in_any_file(form: str, address: str):
    agent = "Canary/7.7 (secret device 4711)"
    text = f'{form.format(address)}[{NOON}] "GET /page?password=hunter2 HTTP/1.1" 200 5 "https://example.net/?q=canary-query" "{agent}"\n'
    Path("log").write_text(text * 3)
    assert main(["import", "log"]) == 0
    assert len(hits()) == 3
    Path("log").unlink()
    content = b"".join(file.read_bytes() for file in Path().rglob("*") if file.is_file())
    assert b"/page" in content
    for secret in (address, "jane.doe", "Canary/7.7", "secret device", "hunter2", "canary-query"):
        assert secret.encode() not in content


# --- nothing twice ---------------------------------------------------------------------------------------------------------


def count(store: Store) -> int:
    return len(hits())


def test_importing_twice_imports_nothing_twice(store: Store):
    data = log(100)
    assert run(store, data).imported == 100
    again = run(store, data)
    assert (again.lines, again.imported, again.known, again.bad) == (100, 0, 100, 0)
    assert count(store) == 100


def test_bad_lines_are_not_told_again(store: Store):
    data = log(3) + b"bad\n"
    assert run(store, data).bad == 1
    assert run(store, data).bad == 0


def test_the_same_log_given_twice_in_one_command_is_imported_once(store: Store):
    importer = Importer(store, rules=RULES, zone=UTC, keys=[KEY])
    outcomes = [importer.run(iter(io.BytesIO(log(20)))) for _ in range(2)]
    assert [outcome.imported for outcome in outcomes] == [20, 0]
    assert count(store) == 20


def test_of_a_grown_log_only_the_new_lines_are_imported(store: Store):
    run(store, log(10))
    outcome = run(store, log(15))
    assert (outcome.imported, outcome.known) == (5, 10)
    assert [hit["path"] for hit in hits()] == [f"/page-{n}" for n in range(15)]


def test_a_log_may_grow_many_times(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(access_log, "BATCH", 7)
    for number in (3, 7, 8, 20, 20, 21, 50):
        run(store, log(number))
        assert count(store) == number


def test_two_logs_with_the_same_beginning_are_both_imported_whole(store: Store):
    run(store, log(10) + line("/one"))
    assert run(store, log(10) + line("/other")).known in (0, 10)
    assert {"/one", "/other"} <= {hit["path"] for hit in hits()}


def test_a_log_that_begins_otherwise_is_another_log(store: Store):
    run(store, log(10))
    assert run(store, line("/new") + log(10)).known == 0


# A server writes its log in pieces: the last line may lack its end.
@pytest.mark.parametrize("cut", [1, 2, 10, 60])
def test_a_log_whose_last_line_was_not_finished_is_recognised_when_it_has_grown(store: Store, cut: int):
    data = log(10)
    run(store, data[:-cut])
    run(store, data + log(2, first=10))
    assert Counter(hit["path"] for hit in hits()) == Counter(f"/page-{n}" for n in range(12))


def test_a_log_without_a_line_end_at_its_end_is_not_imported_twice(store: Store):
    run(store, log(3).rstrip(b"\n"))
    run(store, log(3).rstrip(b"\n"))
    assert count(store) in (2, 3)  # an unfinished line may wait for its end; it is never imported twice


def test_a_log_is_recognised_renamed_and_compressed(store: Store):
    Path("access.log").write_bytes(log(30))
    Path("access.log.1.gz").write_bytes(gzip.compress(log(30)))
    assert run_file(store, "access.log").imported == 30
    assert run_file(store, "access.log.1.gz").known == 30
    Path("access.log").rename("old")
    assert run_file(store, "old").known == 30
    assert count(store) == 30


def test_after_a_rotation_of_keys_a_log_is_recognised_by_the_old_one(store: Store):
    run(store, log(5))
    rotated = Importer(store, rules=RULES, zone=UTC, keys=["another-key", KEY]).run(iter(io.BytesIO(log(5))))
    assert rotated.known == 5


def test_without_the_key_of_earlier_imports_nothing_is_imported_twice_by_mistake(store: Store):
    run(store, log(5))
    with pytest.raises(ImportFault, match="PRIVACY_SECRET_KEYS"):
        Importer(store, rules=RULES, zone=UTC, keys=["another-key"])


# --- interrupted -----------------------------------------------------------------------------------------------------------


def broken(data: bytes, after: int) -> Iterator[bytes]:
    yield from itertools.islice(io.BytesIO(data), after)
    raise KeyboardInterrupt


@pytest.mark.parametrize("after", [0, 1, 9, 10, 11, 25, 40])
def test_an_interrupted_import_goes_on_where_it_was(store: Store, after: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(access_log, "BATCH", 10)
    with pytest.raises(KeyboardInterrupt):
        Importer(store, rules=RULES, zone=UTC, keys=[KEY]).run(broken(log(40), after))
    assert count(store) in (after // 10 * 10, after)
    outcome = run(store, log(40))
    assert outcome.known + outcome.imported == 40
    assert Counter(hit["path"] for hit in hits()) == Counter(f"/page-{n}" for n in range(40))


def test_hits_and_the_mark_of_how_far_are_committed_together(store: Store):
    change("CREATE TRIGGER full BEFORE INSERT ON imported BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    with pytest.raises(Unstorable):
        run(store, log(5))
    change("DROP TRIGGER full")
    assert count(store) == 0
    assert run(store, log(5)).imported == 5


def test_what_came_before_the_damage_of_a_gzip_is_imported(store: Store):
    Path("cut.gz").write_bytes(gzip.compress(log(500))[:-8])
    with pytest.raises(ImportFault, match=r"cut\.gz is a damaged gzip file .* what came before the damage is imported"):
        run_file(store, "cut.gz")
    assert count(store) > 0


def test_a_damaged_gzip_is_told_so_wherever_the_damage_is(store: Store):
    whole = bytearray(gzip.compress(b"".join(line(f"/{random.Random(n).random()}") for n in range(300))))
    for place in range(12, len(whole), max(1, len(whole) // 40)):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        Path("damaged.gz").write_bytes(damaged)
        with pytest.raises(ImportFault, match="damaged gzip"):
            run_file(store, "damaged.gz")


@pytest.mark.parametrize("name", ["missing.log", "."])
def test_a_log_that_cannot_be_opened_is_told_so(name: str):
    with pytest.raises(ImportFault, match="cannot be read"):
        read_lines(name)


# --- dry runs and exclusions -----------------------------------------------------------------------------------------------


def test_a_dry_run_tells_the_same_and_writes_nothing(store: Store):
    data = log(20) + b"bad\n"
    dry = run(store, data, dry=True)
    assert query("SELECT * FROM hit") == query("SELECT * FROM imported") == query("SELECT * FROM page") == []
    assert dry == run(store, data)


def test_a_dry_run_knows_what_was_imported(store: Store):
    run(store, log(20))
    outcome = run(store, log(25), dry=True)
    assert (outcome.known, outcome.imported) == (20, 5)
    assert count(store) == 20


def test_excluded_paths_are_counted_and_not_imported(store: Store):
    outcome = run(store, line("/health") + line("/x") + line("/health?y=1"), excluded=re.compile("/health$"))
    assert (outcome.lines, outcome.imported, outcome.excluded, outcome.bad) == (3, 1, 2, 0)


def test_what_is_not_declared_is_not_taken(store: Store):
    bare = Rules(frozenset({"time", "page"}), frozenset(), frozenset(), frozenset())
    Importer(store, rules=bare, zone=UTC, keys=[KEY]).run(iter([line("/x", referrer="https://example.net/")]))
    [hit] = hits()
    assert (hit["path"], hit["visitor"], hit["browser"], hit["source_kind"], hit["status"], hit["sent"]) == ("/x", None, "", "", 0, 0)


def test_progress_is_told_in_bytes(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(access_log, "BATCH", 10)
    told: list[int] = []
    Importer(store, rules=RULES, zone=UTC, keys=[KEY]).run(iter(io.BytesIO(log(25))), progress=told.append)
    assert len(told) == 3
    assert sum(told) == len(log(25))


def test_a_posted_request_keeps_its_method_and_query_out_of_the_path():
    assert parse_request(b"POST /a%3Fb?c=d HTTP/1.1") == ("POST", "/a?b", b"c=d")


# --- from files and standard input -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_standard_input_is_read_plain_or_compressed(pack: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(pack(log(12))))))
    assert main(["import", "-"]) == 0
    assert len(hits()) == 12


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_file_is_read_plain_or_compressed_whatever_its_name(store: Store, pack: Callable[[bytes], bytes]):
    Path("log").write_bytes(pack(log(12)))
    assert run_file(store, "log").imported == 12


def test_an_empty_log_is_no_fault(store: Store):
    Path("log").touch()
    assert run_file(store, "log") == Outcome()


def test_several_compressed_logs_one_after_another_in_a_file_are_all_read(store: Store):
    Path("log.gz").write_bytes(gzip.compress(log(5)) + gzip.compress(log(5, first=5)))
    assert run_file(store, "log.gz").imported == 10


# --- a real log, counted independently -------------------------------------------------------------------------------------


def independent_count() -> list[dict[str, Any]]:
    """Read the real log by splitting at quotes and brackets, without any of our own code."""
    found = []
    for text in gzip.decompress(REAL_LOG.read_bytes()).decode("latin-1").splitlines():
        before, _, rest = text.partition('"')
        parts = rest.split('"')
        stamp = before[before.index("[") + 1 : before.index("]")]
        status, size = parts[1].split()
        found.append(
            {
                "address": before.split()[0],
                "time": datetime.strptime(stamp, "%d/%b/%Y:%H:%M:%S %z"),
                "method": parts[0].split()[0],
                "path": parts[0].split()[1].partition("?")[0],
                "status": int(status),
                "size": 0 if size == "-" else int(size),
                "referrer": parts[2],
                "agent": '"'.join(parts[4:-1]).replace('\\"', '"'),
            }
        )
    return found


def visits_of(rows: list[dict[str, Any]]) -> int:
    """Count the visits: another one begins after 30 minutes without a request, and each day anew."""
    last: dict[tuple[Any, ...], datetime] = {}
    visits = 0
    for row in sorted(rows, key=lambda row: row["time"]):
        visitor = (row["time"].date(), row["address"], row["agent"])
        visits += visitor not in last or row["time"] - last[visitor] > timedelta(minutes=30)
        last[visitor] = row["time"]
    return visits


@pytest.mark.skipif(not REAL_LOG.exists(), reason="the real log is not beside the repository")
def test_the_totals_of_a_real_log_agree_with_an_independent_count(store: Store):
    rows = independent_count()
    outcome = run_file(store, str(REAL_LOG))
    assert (outcome.lines, outcome.imported, outcome.bad) == (len(rows), len(rows), 0)
    found = hits()
    assert Counter(hit["status"] for hit in found) == Counter(row["status"] for row in rows)
    assert Counter(METHODS[hit["method"]] for hit in found) == Counter(row["method"] for row in rows)
    assert Counter(date_of(hit["day"]) for hit in found) == Counter(row["time"].date() for row in rows)
    assert [hit["time"] for hit in found] == [row["time"].timestamp() * 1000 for row in rows]
    assert sum(hit["sent"] for hit in found) == sum(row["size"] for row in rows)
    assert sum(hit["path"] == "/" for hit in found) == sum(row["path"] == "/" for row in rows)
    assert sum(hit["source_kind"] == "" for hit in found) == sum(not row["referrer"].startswith("http") for row in rows)
    assert len({(hit["day"], hit["visitor"]) for hit in found}) == len({(row["time"].date(), row["address"], row["agent"]) for row in rows})


@pytest.mark.skipif(not REAL_LOG.exists(), reason="the real log is not beside the repository")
def test_the_figures_of_a_real_log_agree_with_an_independent_count(store: Store):
    people = [row for row in independent_count() if not read_agent(row["agent"].encode("latin-1")).bot]
    run_file(store, str(REAL_LOG))
    count_all(store, Terms(UTC, 1), now=int(time.time() * 1000), retention_days=3660)
    figures = report(store, first=day_number(date(2015, 5, 17)), last=day_number(date(2015, 5, 20)), fewest=1)
    assert figures.visitors == len({(row["time"].date(), row["address"], row["agent"]) for row in people})
    assert figures.visits == visits_of(people)
    assert figures.bot_hits == len(independent_count()) - len(people)


@pytest.mark.skipif(not REAL_LOG.exists(), reason="the real log is not beside the repository")
def test_no_address_and_no_agent_of_a_real_log_is_in_the_database(store: Store):
    rows = independent_count()
    run_file(store, str(REAL_LOG))
    store.close()
    content = contents()
    paths = " ".join({row["path"] + row["referrer"] for row in rows})
    for text in {row["address"] for row in rows} | {row["agent"] for row in rows if len(row["agent"]) > 20}:
        assert text in paths or text.encode("latin-1") not in content
