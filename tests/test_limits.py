"""Limits: who has to wait, for how long, and that nobody can read from the counts whom they are of."""

import ipaddress
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from privacy_middleware.rights import limits
from privacy_middleware.rights.limits import HOUR, HOURS, forget, network_of, seconds_to_wait
from privacy_middleware.store.base import Store

from .conftest import query
from .databases import make_store
from .test_recorder import script
from .test_submissions import files, spellings

ROOT = b"root" * 8
NOON = 1_780_000_000_000 // HOUR * HOUR
MOST = {"address": 3, "network": 5, "all": 9}
ANNA, OTTO = "anna.canary@example.org", "otto.canary@example.org"
OFFICE, ELSEWHERE = "8.8.8.8", "9.9.9.9"


@pytest.fixture
def store() -> Iterator[Store]:
    one = make_store()
    one.open()
    yield one
    one.close()


def ask(store: Store, email: str = ANNA, address: str = OFFICE, *, now: int = NOON, most: dict[str, int] = MOST, root: bytes = ROOT) -> int:
    with store.transaction():
        return seconds_to_wait(store, root, most, email=email, address=address, now=now)


def counted() -> int:
    return sum(row["amount"] for row in query("SELECT amount FROM attempt"))


# --- what is limited -------------------------------------------------------------------------------------------------------


def test_one_address_is_asked_about_so_often_and_not_oftener(store: Store) -> None:
    waits = [ask(store, address=f"8.8.{n}.8") for n in range(5)]
    assert waits[:3] == [0, 0, 0]
    assert all(waits[3:])


def test_one_network_asks_so_often_and_not_oftener(store: Store) -> None:
    waits = [ask(store, f"{n}@example.org", f"8.8.8.{n}") for n in range(7)]
    assert waits[:5] == [0] * 5
    assert all(waits[5:])


def test_all_together_ask_so_often_and_not_oftener(store: Store) -> None:
    waits = [ask(store, f"{n}@example.org", f"8.8.{n}.8") for n in range(11)]
    assert waits[:9] == [0] * 9
    assert all(waits[9:])


def test_who_has_to_wait_is_not_counted(store: Store) -> None:
    for _ in range(3):
        ask(store)
    before = counted()
    assert all(ask(store) for _ in range(20))
    assert counted() == before


def test_who_has_to_wait_does_not_use_up_what_others_may_ask(store: Store) -> None:
    for _ in range(30):
        ask(store, ANNA)
    assert ask(store, OTTO, ELSEWHERE) == 0


def test_another_network_is_not_touched(store: Store) -> None:
    for n in range(5):
        ask(store, f"{n}@example.org")
    assert ask(store, "other@example.org", ELSEWHERE) == 0


def test_a_limit_of_one_lets_one_through(store: Store) -> None:
    most = {"address": 1, "network": 1, "all": 1}
    assert [bool(ask(store, most=most)) for _ in range(3)] == [False, True, True]


def test_a_limit_that_was_lowered_counts_at_once(store: Store) -> None:
    for _ in range(3):
        ask(store)
    assert ask(store, most={"address": 1, "network": 1, "all": 1}) > 0


def test_a_limit_that_was_raised_counts_at_once(store: Store) -> None:
    for _ in range(4):
        ask(store)
    assert ask(store, most={"address": 10, "network": 10, "all": 10}) == 0


# --- how long --------------------------------------------------------------------------------------------------------------


def test_who_waits_as_long_as_told_may_ask_again(store: Store) -> None:
    for _ in range(3):
        ask(store, now=NOON + 90_000)
    seconds = ask(store, now=NOON + 100_000)
    assert ask(store, now=NOON + 100_000 + (seconds - 2) * 1000) > 0
    assert ask(store, now=NOON + 100_000 + seconds * 1000) == 0


def test_who_asked_at_different_hours_waits_for_the_oldest_only(store: Store) -> None:
    for hour in range(3):
        ask(store, now=NOON + hour * HOUR)
    now = NOON + 3 * HOUR
    seconds = ask(store, now=now)
    assert now + seconds * 1000 == NOON + HOURS * HOUR + 1000
    assert ask(store, now=now + seconds * 1000) == 0
    assert ask(store, now=now + seconds * 1000) > 0


def test_nobody_waits_longer_than_a_day(store: Store) -> None:
    waits = [ask(store, now=NOON + minute * 60_000) for minute in range(0, 120, 7)]
    assert max(waits) <= HOURS * 3600 + 1


def test_the_longest_wait_of_all_limits_counts(store: Store) -> None:
    for n in range(5):
        ask(store, f"{n}@example.org", now=NOON)
    for n in range(3):
        ask(store, ANNA, f"9.9.{n}.9", now=NOON + 5 * HOUR)
    assert ask(store, ANNA, now=NOON + 6 * HOUR) > ask(store, OTTO, now=NOON + 6 * HOUR) > 0


def test_a_clock_that_went_back_locks_nobody_out_for_longer_than_a_day(store: Store) -> None:
    for _ in range(3):
        ask(store, now=NOON + 400 * HOURS * HOUR)
    assert ask(store, now=NOON) <= HOURS * 3600 + 1


# --- networks --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "127.0.0.1",
        "169.254.0.1",
        "100.64.0.1",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fd00::1",
        "::ffff:10.0.0.1",
    ],
)
def test_private_addresses_share_no_limit(address: str, store: Store) -> None:
    assert network_of(address) == ""
    most = {"address": 1, "network": 1, "all": 99}
    assert [ask(store, f"{n}@example.org", address, most=most) for n in range(5)] == [0] * 5


@pytest.mark.parametrize(
    "address", ["", "unknown", "testclient", "/run/app.sock", "1.2.3", "8.8.8.8:80", "8.8.8.8, 9.9.9.9", "ü", "\0", "%", "%eth0"]
)
def test_what_is_no_address_shares_no_limit(address: str, store: Store) -> None:
    assert network_of(address) == ""
    assert ask(store, address=address) == 0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("8.8.8.8", "8.8.8.255"),
        ("2a00:1450:4001::1", "2a00:1450:4001:ffff:ffff::2"),
        ("2A00:1450:4001::1", "2a00:1450:4001:0::1"),
        ("::ffff:8.8.8.8", "8.8.8.9"),
        ("2a00:1450:4001::1%eth0", "2a00:1450:4001::1"),
    ],
)
def test_addresses_of_one_network_share_a_limit(one: str, other: str) -> None:
    assert network_of(one) == network_of(other) != ""


@pytest.mark.parametrize(
    ("one", "other"), [("8.8.8.8", "8.8.9.8"), ("2a00:1450:4001::1", "2a00:1450:4002::1"), ("8.8.8.8", "2a00:808:808::1")]
)
def test_addresses_of_two_networks_share_no_limit(one: str, other: str) -> None:
    assert network_of(one) != network_of(other)


@given(st.ip_addresses())
def test_of_an_address_only_its_network_is_told(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert len(network_of(str(address))) in (0, 6, 12)
    assert bool(network_of(str(address))) <= address.is_global


# --- where it is kept ------------------------------------------------------------------------------------------------------


def test_limits_hold_across_a_restart(store: Store) -> None:
    for _ in range(3):
        ask(store)
    store.close()
    store.open()
    assert ask(store) > 0


def test_two_workers_share_the_limits(store: Store) -> None:
    other = make_store()
    other.open()
    assert [bool(ask(worker)) for worker in (store, other, store, other)] == [False, False, False, True]
    other.close()


def test_several_workers_at_once_let_no_more_through(store: Store) -> None:
    start, let_through = threading.Barrier(6), Counter[bool]()
    lock = threading.Lock()

    def work() -> None:
        own = make_store()
        own.open()
        start.wait(10)
        for _ in range(4):
            result = ask(own)
            with lock:
                let_through[result == 0] += 1
        own.close()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert let_through == {True: 3, False: 21}


def test_another_process_shares_the_limits(store: Store) -> None:
    script(
        """
        from tests.test_limits import *
        store = make_store()
        store.open()
        assert [ask(store) for _ in range(3)] == [0, 0, 0]
        """,
        cwd=Path.cwd(),
    )
    assert ask(store) > 0


def test_nothing_in_the_table_can_be_read(store: Store) -> None:
    ask(store, ANNA, "8.8.8.8")
    store.checkpoint()
    found = files()
    for text in (ANNA, "8.8.8.8", "8.8.8.0", "080808"):
        assert not [spelling for spelling in spellings(text) if len(spelling) > 6 and spelling in found]
    assert {len(row["bucket"]) for row in query("SELECT bucket FROM attempt")} == {16}


def test_the_counts_of_two_sites_cannot_be_compared(store: Store) -> None:
    ask(store)
    one = {row["bucket"] for row in query("SELECT bucket FROM attempt")}
    ask(store, root=b"other" * 8)
    assert len({row["bucket"] for row in query("SELECT bucket FROM attempt")} - one) == 3


def test_an_address_and_a_network_of_the_same_name_are_two(store: Store) -> None:
    ask(store, network_of(OFFICE), OFFICE)
    ask(store, "all", ELSEWHERE)
    assert len(query("SELECT DISTINCT bucket FROM attempt")) == 5


def test_an_address_that_is_erased_is_forgotten_and_no_other(store: Store) -> None:
    for email in (ANNA, ANNA, ANNA, OTTO):
        ask(store, email)
    with store.transaction():
        forget(store, ROOT, ANNA)
    assert ask(store, ANNA) == 0
    assert counted() == 1 + 1 + 2 * 5


def test_what_is_older_than_a_day_is_forgotten(store: Store) -> None:
    from .requesting import at_desk

    store.close()
    with at_desk() as desk:
        with desk.store.transaction():
            seconds_to_wait(desk.store, ROOT, MOST, email=ANNA, address=OFFICE, now=desk.now)
        desk.clock.move(hours=23)
        desk.work()
        assert counted() == 3
        desk.clock.move(hours=3)
        desk.work()
        assert counted() == 0


# --- against a model -------------------------------------------------------------------------------------------------------


class Model:
    """The same, said simply: of each thing the hours at which it was counted."""

    def __init__(self) -> None:
        self.hours: dict[tuple[str, str], list[int]] = {}

    def is_let_through(self, email: str, network: str, now: int) -> bool:
        things = [("address", email), ("all", ""), *([("network", network)] if network else [])]
        hour = now // HOUR
        if any(sum(hour - HOURS < one for one in self.hours.get(thing, [])) >= MOST[thing[0]] for thing in things):
            return False
        for thing in things:
            self.hours.setdefault(thing, []).append(hour)
        return True


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["a@x.org", "b@x.org", "c@x.org", "d@x.org"]),
        st.sampled_from([OFFICE, ELSEWHERE, "10.0.0.1"]),
        st.integers(0, 9 * HOUR),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_the_limits_are_those_of_a_simple_model(store: Store, steps: list[tuple[str, str, int]]) -> None:
    store.execute("DELETE FROM attempt")
    model, now = Model(), NOON
    for email, address, later in steps:
        now += later
        seconds = ask(store, email, address, now=now)
        assert (seconds == 0) == model.is_let_through(email, network_of(address), now)
        assert 0 <= seconds <= HOURS * 3600 + 1


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_whoever_waits_as_long_as_told_is_let_through(store: Store, steps: list[tuple[str, str, int]]) -> None:
    store.execute("DELETE FROM attempt")
    now = NOON
    for email, address, later in steps:
        now += later
        if seconds := ask(store, email, address, now=now):
            now += seconds * 1000
            assert ask(store, email, address, now=now) == 0


def test_the_names_of_the_limits_are_those_of_the_settings() -> None:
    from privacy_middleware.settings import load_settings

    assert set(load_settings({}, {})[0].limits) == set(MOST)
    assert limits.HOURS == 24
