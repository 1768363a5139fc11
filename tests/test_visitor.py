"""Who a visitor is for a day: pseudonyms, days of the owner's clock, shortened addresses, and addresses behind proxies."""

import ipaddress
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy_middleware.collect import visitor
from privacy_middleware.collect.visitor import (
    SALT_BYTES,
    Salt,
    Visitors,
    client_address,
    date_of,
    day_number,
    day_of,
    day_start,
    identity_of,
    pack,
    shortener,
    truncate,
)

COPENHAGEN = ZoneInfo("Europe/Copenhagen")
NEW_YORK = ZoneInfo("America/New_York")
HOUR = 3_600_000
AGENT = b"Mozilla/5.0 Firefox/140.0"
DAY = day_number(date(2026, 5, 4))
ONE_KEY, OTHER_KEY = bytes(range(SALT_BYTES)), bytes(range(1, SALT_BYTES + 1))


def milliseconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


# --- pseudonyms ------------------------------------------------------------------------------------------------------------


def test_a_pseudonym_is_the_same_all_day():
    identity = identity_of("192.0.2.1", AGENT, b"example.org")
    morning, evening = Salt(ONE_KEY, day=DAY, zone=UTC), Salt(ONE_KEY, day=DAY, zone=UTC)
    assert morning.pseudonym(identity) == morning.pseudonym(identity) == evening.pseudonym(identity)


def test_a_pseudonym_tells_nothing_under_another_salt():
    identity = identity_of("192.0.2.1", AGENT, b"example.org")
    assert Salt(ONE_KEY, day=DAY, zone=UTC).pseudonym(identity) != Salt(OTHER_KEY, day=DAY, zone=UTC).pseudonym(identity)


@pytest.mark.parametrize(
    "other", [("192.0.2.2", AGENT, b"example.org"), ("192.0.2.1", b"curl", b"example.org"), ("192.0.2.1", AGENT, b"example.net")]
)
def test_address_agent_and_site_each_make_another_visitor(other: tuple[str, bytes, bytes]):
    salt = Salt(ONE_KEY, day=DAY, zone=UTC)
    assert salt.pseudonym(identity_of("192.0.2.1", AGENT, b"example.org")) != salt.pseudonym(identity_of(*other))


@given(st.text(max_size=60), st.binary(max_size=600), st.binary(max_size=300))
@settings(deadline=None, max_examples=100)
def test_a_pseudonym_fits_a_signed_64_bit_column_whatever_it_is_made_of(address: str, agent: bytes, site: bytes):
    number = Salt(ONE_KEY, day=DAY, zone=UTC).pseudonym(identity_of(address, agent, site))
    assert -(2**63) <= number < 2**63


def test_pseudonyms_of_many_addresses_are_all_different():
    salt = Salt(ONE_KEY, day=DAY, zone=UTC)
    addresses = [f"10.0.{a}.{b}" for a in range(100) for b in range(100)]
    assert len({salt.pseudonym(identity_of(address, AGENT, b"")) for address in addresses}) == len(addresses)


def test_an_address_with_broken_text_still_makes_an_identity():
    assert identity_of("\udcff", b"\xff", b"\0") == b"?\0\xff\0\0"


def test_a_salt_does_not_show_its_key():
    assert repr(Salt(ONE_KEY, day=DAY, zone=UTC)) == f"Salt(day={DAY})"


def test_a_salt_serves_exactly_the_owners_day():
    salt = Salt(ONE_KEY, day=DAY, zone=COPENHAGEN)
    assert salt.starts == milliseconds("2026-05-04T00:00:00+02:00")
    assert salt.ends == milliseconds("2026-05-05T00:00:00+02:00")


# --- the visitors of a day, as the hot path sees them ----------------------------------------------------------------------


MIDNIGHT = DAY * 24 * 3600.0
NOON = MIDNIGHT + 12 * 3600


def meet(visitors: Visitors, address: str = "192.0.2.77", *, at: float = NOON) -> visitor.Visitor:
    """What the hot path does: look in `serving`, else `meet`."""
    starts, ends, seen = visitors.serving
    key = hash((address, AGENT, b"example.org"))
    if starts <= at < ends and key in seen:
        return seen[key]
    return visitors.meet(at, address, AGENT, b"example.org")


def test_a_visitor_is_their_pseudonym_and_shortened_address_each_time():
    visitors, salt = Visitors(truncate), Salt(ONE_KEY, day=DAY, zone=UTC)
    visitors.serve(salt)
    expected = (salt.pseudonym(identity_of("192.0.2.77", AGENT, b"example.org")), b"", b"\xc0\x00\x02", "")
    assert meet(visitors) == meet(visitors) == expected
    assert len(visitors.serving[2]) == 1


@pytest.mark.parametrize("at", [MIDNIGHT - 0.001, MIDNIGHT + 24 * 3600])
def test_outside_the_salts_day_the_identity_waits_for_the_right_salt(at: float):
    visitors = Visitors(truncate)
    visitors.serve(Salt(ONE_KEY, day=DAY, zone=UTC))
    meet(visitors)
    assert meet(visitors, at=at) == (None, identity_of("192.0.2.77", AGENT, b"example.org"), b"\xc0\x00\x02", "")
    assert len(visitors.serving[2]) == 1


def test_without_a_salt_the_identity_waits():
    assert meet(Visitors(truncate))[0] is None


def test_a_new_salt_makes_a_new_visitor_of_everybody():
    visitors = Visitors(truncate)
    visitors.serve(Salt(ONE_KEY, day=DAY, zone=UTC))
    before = meet(visitors)
    visitors.serve(Salt(OTHER_KEY, day=DAY, zone=UTC))
    assert meet(visitors)[0] not in (None, before[0])


def test_a_visitor_met_while_the_salt_changes_is_not_remembered_under_the_other_one():
    visitors = Visitors(truncate)
    visitors.serve(Salt(ONE_KEY, day=DAY, zone=UTC))
    visitors.salt = Salt(OTHER_KEY, day=DAY + 1, zone=UTC)  # as between the two steps of `serve`, in another thread
    assert meet(visitors, at=NOON + 24 * 3600)[0] == visitors.salt.pseudonym(identity_of("192.0.2.77", AGENT, b"example.org"))
    assert visitors.serving[2] == {}


def test_the_memory_of_visitors_holds_no_address_of_theirs():
    visitors = Visitors(shortener("none"))
    visitors.serve(Salt(ONE_KEY, day=DAY, zone=UTC))
    meet(visitors)
    assert "192.0.2" not in repr(visitors.serving)
    assert AGENT.decode() not in repr(visitors.serving)


def test_the_memory_of_visitors_is_bounded_and_right_beyond_its_bound(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(visitor, "VISITORS_IN_MEMORY", 10)
    visitors, salt = Visitors(truncate), Salt(ONE_KEY, day=DAY, zone=UTC)
    visitors.serve(salt)
    addresses = [f"192.0.2.{n}" for n in range(50)] * 2
    assert [meet(visitors, a)[0] for a in addresses] == [salt.pseudonym(identity_of(a, AGENT, b"example.org")) for a in addresses]
    assert len(visitors.serving[2]) <= 10


@pytest.mark.parametrize(("form", "kept"), [("truncated", b"\xc0\x00\x02"), ("full", b"\xc0\x00\x02\x4d"), ("none", b"")])
def test_the_owner_says_which_form_of_the_address_is_kept(form: str, kept: bytes):
    assert shortener(form)("192.0.2.77") == kept


# --- days ------------------------------------------------------------------------------------------------------------------

DAYS = [
    ("2026-05-04T00:00:00+00:00", UTC, "2026-05-04"),
    ("2026-05-03T23:59:59+00:00", UTC, "2026-05-03"),
    ("2026-05-03T22:00:00+00:00", COPENHAGEN, "2026-05-04"),
    ("2026-05-03T21:59:59+00:00", COPENHAGEN, "2026-05-03"),
    ("2026-01-03T23:00:00+00:00", COPENHAGEN, "2026-01-04"),
    ("2026-05-04T03:59:59+00:00", NEW_YORK, "2026-05-03"),
    ("2026-05-04T04:00:00+00:00", NEW_YORK, "2026-05-04"),
    # daylight saving begins and ends
    ("2026-03-28T23:00:00+00:00", COPENHAGEN, "2026-03-29"),
    ("2026-03-29T21:59:59+00:00", COPENHAGEN, "2026-03-29"),
    ("2026-03-29T22:00:00+00:00", COPENHAGEN, "2026-03-30"),
    ("2026-10-24T22:00:00+00:00", COPENHAGEN, "2026-10-25"),
    ("2026-10-25T22:59:59+00:00", COPENHAGEN, "2026-10-25"),
    ("2026-10-25T23:00:00+00:00", COPENHAGEN, "2026-10-26"),
    ("2026-11-02T04:59:59+00:00", NEW_YORK, "2026-11-01"),
    # beyond 32 bits
    ("2038-01-19T03:14:07+00:00", UTC, "2038-01-19"),
    ("2038-01-19T03:14:08+00:00", UTC, "2038-01-19"),
    ("2038-07-01T22:00:00+00:00", COPENHAGEN, "2038-07-02"),
    ("2040-07-01T03:59:59+00:00", NEW_YORK, "2040-06-30"),
    ("1969-12-31T23:59:59+00:00", UTC, "1969-12-31"),
]


@pytest.mark.parametrize(("instant", "zone", "expected"), DAYS)
def test_an_instant_belongs_to_the_owners_calendar_day(instant: str, zone: tzinfo, expected: str):
    assert date_of(day_of(milliseconds(instant), zone)) == date.fromisoformat(expected)


@pytest.mark.parametrize(
    ("day", "zone", "hours"),
    [
        ("2026-03-29", COPENHAGEN, 23),
        ("2026-10-25", COPENHAGEN, 25),
        ("2026-03-08", NEW_YORK, 23),
        ("2026-11-01", NEW_YORK, 25),
        ("2026-05-04", COPENHAGEN, 24),
        ("2038-01-19", UTC, 24),
        ("2038-03-28", COPENHAGEN, 23),
        ("2026-04-05", ZoneInfo("Australia/Lord_Howe"), 24.5),
        ("2018-11-04", ZoneInfo("America/Sao_Paulo"), 23),  # 00:00 did not exist
        ("2018-02-17", ZoneInfo("America/Sao_Paulo"), 25),  # 23:00 came twice
        ("2026-03-08", ZoneInfo("America/Havana"), 23),  # 00:00 did not exist
        ("2026-11-01", ZoneInfo("America/Havana"), 25),  # 00:00 came twice
    ],
)
def test_a_day_is_as_long_as_the_owners_clock_makes_it(day: str, zone: tzinfo, hours: float):
    number = day_number(date.fromisoformat(day))
    assert day_start(number + 1, zone) - day_start(number, zone) == hours * HOUR


ZONES = st.sampled_from(
    [UTC, COPENHAGEN, NEW_YORK]
    + [
        ZoneInfo(name)
        for name in (
            "America/Havana",
            "America/Santiago",
            "Asia/Kathmandu",
            "Australia/Lord_Howe",
            "Pacific/Kiritimati",
            "Africa/Casablanca",
        )
    ]
)


@given(time=st.integers(milliseconds("2012-01-01T00:00+00:00"), milliseconds("2045-01-01T00:00+00:00")), zone=ZONES)
@settings(deadline=None, max_examples=300)
def test_every_instant_lies_within_its_day(time: int, zone: tzinfo):
    day = day_of(time, zone)
    assert day_start(day, zone) <= time < day_start(day + 1, zone)


@given(day=st.integers(15_400, 27_000), zone=ZONES)
@settings(deadline=None, max_examples=300)
def test_the_start_of_a_day_is_in_it_and_the_millisecond_before_is_not(day: int, zone: tzinfo):
    start = day_start(day, zone)
    assert day_of(start, zone) == day
    assert day_of(start - 1, zone) == day - 1


@given(st.dates())
@settings(deadline=None, max_examples=50)
def test_day_numbers_and_dates_are_inverse(day: date):
    assert date_of(day_number(day)) == day
    assert date(1970, 1, 1) + timedelta(days=day_number(day)) == day


# --- addresses shortened ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("192.0.2.1", b"\xc0\x00\x02"),
        ("0.0.0.0", b"\0\0\0"),
        ("255.255.255.255", b"\xff\xff\xff"),
        ("2001:db8:1:2:3:4:5:6", b"\x20\x01\x0d\xb8\x00\x01"),
        ("2001:DB8::1", b"\x20\x01\x0d\xb8\x00\x00"),
        ("::1", bytes(6)),
        ("fe80::1%eth0", b"\xfe\x80\0\0\0\0"),
        ("::ffff:192.0.2.1", b"\xc0\x00\x02"),
        ("::FFFF:c000:201", b"\xc0\x00\x02"),
        ("64:ff9b::192.0.2.1", b"\x00\x64\xff\x9b\x00\x00"),
    ],
)
def test_an_address_is_cut_to_its_network(address: str, kept: bytes):
    assert truncate(address) == kept


@pytest.mark.parametrize(
    "garbage",
    ["", "testclient", "unix:", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.4:80", "[::1]", "::1::", "1.2.3.4\0", ":", "12345::", "\udcff", "é", "0x7f.1", "%"],
)  # fmt: skip
def test_what_is_no_address_leaves_nothing(garbage: str):
    assert truncate(garbage) == b""


@given(st.ip_addresses(v=4))
@settings(deadline=None, max_examples=50)
def test_of_ipv4_a_24_bit_network_is_left(address: ipaddress.IPv4Address):
    assert truncate(str(address)) == address.packed[:3]
    assert truncate(f"::ffff:{address}") == address.packed[:3]


@given(st.ip_addresses(v=6).filter(lambda address: not address.ipv4_mapped))
@settings(deadline=None, max_examples=50)
def test_of_ipv6_a_48_bit_network_is_left(address: ipaddress.IPv6Address):
    assert truncate(str(address)) == address.packed[:6]


@given(st.text(max_size=50))
@settings(deadline=None, max_examples=200)
def test_any_text_is_packed_to_an_address_or_nothing(text: str):
    assert len(pack(text)) in (0, 4, 16)


# --- behind proxies --------------------------------------------------------------------------------------------------------

LOCAL = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("2001:db8:aaaa::/48"))


@pytest.mark.parametrize("trusted", [0, (), (ipaddress.ip_network("172.16.0.0/12"),)])
def test_a_forged_header_is_ignored_if_nobody_is_trusted(trusted: int | tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]):
    assert client_address("203.0.113.9", [b"10.0.0.1", b"192.0.2.1, 10.1.1.1"], trusted) == "203.0.113.9"


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.0.0.1", [b"192.0.2.1"], "192.0.2.1"),
        ("10.0.0.1", [b"192.0.2.1, 10.2.2.2"], "192.0.2.1"),
        ("10.0.0.1", [b"192.0.2.1", b"10.2.2.2"], "192.0.2.1"),
        ("10.0.0.1", [b"1.1.1.1, 192.0.2.1, 10.2.2.2"], "192.0.2.1"),  # what stands left of the visitor is forged
        ("10.0.0.1", [b"10.9.9.9, 192.0.2.1"], "192.0.2.1"),
        ("192.0.2.1", [b"1.1.1.1"], "192.0.2.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [b""], "10.0.0.1"),
        ("10.0.0.1", [b" , ,"], "10.0.0.1"),
        ("10.0.0.1", [b"10.3.3.3, 10.2.2.2"], "10.3.3.3"),  # everybody is one of ours
        ("::ffff:10.0.0.1", [b"192.0.2.1"], "192.0.2.1"),
        ("2001:db8:aaaa::1", [b"2001:db8:bbbb::2"], "2001:db8:bbbb::2"),
        ("10.0.0.1", [b"192.0.2.1:4711"], "192.0.2.1"),
        ("10.0.0.1", [b"[2001:db8::7]"], "2001:db8::7"),
        ("10.0.0.1", [b"[2001:db8::7]:4711"], "2001:db8::7"),
        ("10.0.0.1", [b"192.0.2.1, [2001:db8:aaaa::2]:80"], "192.0.2.1"),
        ("10.0.0.1", [b"unknown"], "10.0.0.1"),
        ("10.0.0.1", [b"192.0.2.1, unknown"], "10.0.0.1"),
        ("10.0.0.1", [b"192.0.2.1, _hidden, 10.2.2.2"], "10.2.2.2"),
        ("10.0.0.1", [b"\xff\xfe\x00"], "10.0.0.1"),
        ("10.0.0.1", [b"<script>alert(1)</script>"], "10.0.0.1"),
        ("10.0.0.1", [b"192.0.2.1\r\nX: y"], "10.0.0.1"),
        ("10.0.0.1", [b"999.1.1.1"], "10.0.0.1"),
        ("10.0.0.1", [b"[192.0.2.1"], "192.0.2.1"),
        ("", [b"1.1.1.1"], ""),
        ("testclient", [b"1.1.1.1"], "testclient"),
    ],
)
def test_with_trusted_networks_the_right_most_other_address_counts(peer: str, forwarded: list[bytes], client: str):
    assert client_address(peer, forwarded, LOCAL) == client


@pytest.mark.parametrize(
    ("hops", "forwarded", "client"),
    [
        (1, [b"192.0.2.1"], "192.0.2.1"),
        (1, [b"1.1.1.1, 192.0.2.1"], "192.0.2.1"),
        (1, [b"1.1.1.1", b"192.0.2.1"], "192.0.2.1"),
        (2, [b"1.1.1.1, 192.0.2.1, 198.51.100.1"], "192.0.2.1"),
        (2, [b"192.0.2.1, 198.51.100.1"], "192.0.2.1"),
        (3, [b"192.0.2.1"], "192.0.2.1"),  # fewer entries than hops: the outermost
        (1, [], "10.0.0.1"),
        (1, [b"192.0.2.1:4711"], "192.0.2.1"),
        (1, [b"[2001:db8::7]:4711"], "2001:db8::7"),
        (1, [b"garbage"], "10.0.0.1"),
        (1, [b"192.0.2.1, garbage"], "10.0.0.1"),
        (10**9, [b"192.0.2.1"], "192.0.2.1"),
    ],
)
def test_with_a_number_of_hops_the_address_that_the_outermost_proxy_saw_counts(hops: int, forwarded: list[bytes], client: str):
    assert client_address("10.0.0.1", forwarded, hops) == client


@pytest.mark.parametrize("trusted", [0, 1, LOCAL])
def test_a_peer_that_is_no_address_is_left_as_it_is(trusted: int | tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]):
    assert client_address("", [], trusted) == ""
    assert client_address("testclient", [], trusted) == "testclient"


ENTRY = st.one_of(st.ip_addresses().map(str), st.sampled_from(["unknown", "10.0.0.5", "[::1]:8", "1.2.3.4:5", ""]), st.text(max_size=10))


@given(chain=st.lists(ENTRY, max_size=6), trusted=st.integers(0, 7) | st.just(LOCAL))
@settings(deadline=None, max_examples=300)
def test_whatever_is_forwarded_the_answer_is_an_address(
    chain: list[str], trusted: int | tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]
):
    header = ", ".join(chain).encode("utf-8", "replace")
    assert pack(client_address("10.0.0.1", [header], trusted))


@given(forged=st.lists(ENTRY, max_size=6))
@settings(deadline=None, max_examples=100)
def test_nothing_that_a_visitor_writes_changes_the_address_that_a_trusted_proxy_adds(forged: list[str]):
    header = ", ".join([*forged, "192.0.2.1"]).encode("utf-8", "replace")
    assert client_address("10.0.0.1", [header], LOCAL) == client_address("10.0.0.1", [header], 1) == "192.0.2.1"
