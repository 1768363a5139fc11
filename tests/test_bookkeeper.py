"""The bookkeeper: counts in a thread of its own, one process at a time, and gives way to everything else."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from privacy_middleware import PrivacyMiddleware
from privacy_middleware.errors import StoreError
from privacy_middleware.record.purge import LATEST, DailyPurge
from privacy_middleware.record.worker import LEASE_MS
from privacy_middleware.statistics import bookkeeper as module
from privacy_middleware.statistics import reports, rollup
from privacy_middleware.statistics.bookkeeper import Bookkeeper
from privacy_middleware.statistics.rollup import CLOSED, OPEN, Terms
from privacy_middleware.store import statistics_queries as queries
from privacy_middleware.store.base import Store

from .conftest import FIREFOX, query
from .databases import make_store
from .test_recorder import Clock, until, write_lock
from .test_reports import add
from .test_rollup import some

TERMS = Terms(UTC, 1)


@pytest.fixture
def store() -> Iterator[Store]:
    store = make_store()
    store.open()
    yield store
    store.close()


def make(clock: Clock, *, counts: dict[str, int] | None = None, **more: Any) -> Bookkeeper:
    counted = {} if counts is None else counts

    def count(name: str, amount: int = 1) -> None:
        counted[name] = counted.get(name, 0) + amount

    return Bookkeeper(make_store(), more.pop("terms", TERMS), retention_days=30, count=count, clock=clock, **more)


def states(store: Store) -> dict[int, int]:
    return {row["day"]: row["state"] for row in store.rows(queries.DAYS, first=0, last=2**30)}


def test_what_is_over_is_closed_and_what_goes_on_is_counted_when_asked(store: Store) -> None:
    clock = Clock()
    add(store, [*some(5, day=clock.today - 3), *some(4, day=clock.today)])
    make(clock).refresh().result(10)
    assert states(store) == {clock.today - 3: CLOSED, clock.today: OPEN}
    assert reports.totals(store, first=clock.today - 3, last=clock.today, fewest=1).visitors == 9


def test_a_look_wakes_it_only_if_something_is_due(store: Store) -> None:
    clock = Clock()
    keeper = make(clock)
    keeper.look(store)
    assert keeper._thread is None
    add(store, some(5, day=clock.today - 3))
    keeper._look_due = 0
    keeper.look(store)
    until(lambda: states(store) == {clock.today - 3: CLOSED})


def test_while_another_process_counts_this_one_leaves_it_alone(store: Store) -> None:
    clock = Clock()
    add(store, some(5, day=clock.today - 3))
    now = int(clock.now * 1000)
    store.take_lease("rollup", "another", now=now, until=now + 60_000)
    make(clock).refresh().result(10)
    assert states(store) == {}
    clock.move(seconds=61)
    make(clock).refresh().result(10)
    assert states(store) == {clock.today - 3: CLOSED}


def test_it_gives_its_lease_back_so_that_any_worker_can_bring_the_figures_up_to_date(store: Store) -> None:
    clock = Clock()
    for number, keeper in enumerate([make(clock), make(clock), make(clock)]):
        add(store, some(1, day=clock.today, start=10 * number))
        keeper.refresh().result(10)
        assert reports.totals(store, first=clock.today, last=clock.today, fewest=1).visitors == number + 1


def test_two_workers_count_the_same_days_once(store: Store) -> None:
    clock = Clock()
    add(store, [one for n in range(30) for one in some(3, day=clock.today - 40 + n)])
    keepers = [make(clock) for _ in range(4)]
    for future in [keeper.refresh() for keeper in keepers]:
        future.result(10)
    until(lambda: len(states(store)) == 30)
    assert reports.totals(store, first=clock.today - 60, last=clock.today, fewest=1).visitors == 90


def test_a_locked_database_is_waited_for_and_tried_again(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    add(store, some(5, day=clock.today - 3))
    keeper = make(clock)
    keeper.store.wait_at_most(0.1)
    with write_lock():
        keeper.refresh().result(30)
    assert states(store) == {}
    assert "figures wait" in caplog.text
    keeper.refresh().result(10)
    assert states(store) == {clock.today - 3: CLOSED}


def test_to_close_it_breaks_off_a_long_count_and_the_next_process_counts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    add(store, some(5, day=clock.today - 3))
    counting = threading.Event()
    real = module.count_day

    def slow(store: Store, *arguments: Any, **more: Any) -> Any:
        counting.set()
        store.connection.execute("WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT COUNT(*) FROM n").fetchall()
        return real(store, *arguments, **more)

    monkeypatch.setattr(module, "count_day", slow)
    keeper = make(clock)
    keeper.refresh()
    assert counting.wait(10)
    time.sleep(0.05)
    keeper.close()
    until(lambda: keeper._thread is None)
    assert states(store) == {}
    monkeypatch.setattr(module, "count_day", real)
    make(clock).refresh().result(10)
    assert states(store) == {clock.today - 3: CLOSED}


def test_what_is_erased_while_it_is_counted_is_counted_without(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    add(store, some(5, day=clock.today))
    real, calls = rollup._read, []

    def erasing(counted: Store, day: int, terms: Terms) -> Any:
        if not calls:
            other = make_store()
            other.open()
            other.forget([(day, 3)], until=(day + 1) * 86_400_000)
            other.close()
        calls.append(day)
        return real(counted, day, terms)

    monkeypatch.setattr(rollup, "_read", erasing)
    make(clock).refresh().result(10)
    assert len(calls) == 2
    assert reports.totals(store, first=clock.today, last=clock.today, fewest=1).visitors == 4


@pytest.mark.sqlite
def test_nothing_of_what_is_counted_is_left_in_temporary_tables_or_files(store: Store) -> None:
    clock = Clock()
    add(store, some(5, day=clock.today))
    before = set(Path("/tmp").glob("*etilqs*"))
    keeper = make(clock)
    keeper.refresh().result(10)
    assert keeper.store.rows("SELECT name FROM sqlite_temp_master WHERE name <> 'goal_page'") == []
    assert keeper.store.connection.execute("PRAGMA temp_store").fetchone() == (2,)
    assert set(Path("/tmp").glob("*etilqs*")) <= before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_forked_child_counts_with_a_connection_of_its_own(store: Store) -> None:
    clock = Clock()
    keeper = make(clock)
    add(store, some(2, day=clock.today))
    keeper.refresh().result(10)
    store.close()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            own = make_store()
            own.open()
            add(own, some(3, day=clock.today, start=50))
            keeper.refresh().result(10)
            code = 0 if reports.totals(own, first=clock.today, last=clock.today, fewest=1).visitors == 5 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    store.open()
    add(store, some(1, day=clock.today, start=90))
    keeper.refresh().result(10)
    assert reports.totals(store, first=clock.today, last=clock.today, fewest=1).visitors == 6


def test_with_too_many_waiting_one_more_is_told_to_come_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = make(Clock())
    monkeypatch.setattr(keeper, "_call", lambda: None)
    for _ in range(module.MOST_ASKED):
        keeper.refresh()
    with pytest.raises(Exception, match="try again later"):
        keeper.refresh().result(0)


def test_a_day_that_takes_long_to_count_is_not_counted_at_every_look(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, counted = Clock(), []
    add(store, some(2, day=clock.today))
    monkeypatch.setattr(module, "count_open_days", lambda *_, **__: (counted.append(1), time.sleep(0.01)))
    monkeypatch.setattr(module, "QUICK_SECONDS", 0.001)
    keeper = make(clock)
    for _ in range(3):
        keeper.refresh().result(10)
    assert len(counted) == 1


def test_it_has_a_lower_priority_than_the_host() -> None:
    priorities = []

    def look() -> None:
        module.give_way()
        priorities.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert priorities[0] >= os.getpriority(os.PRIO_PROCESS, 0)


def test_where_the_app_has_not_run_since_its_last_days_are_counted_all_the_same(store: Store) -> None:
    """Their salts live until it runs again, or `purge` does."""
    clock = Clock()
    for ago in (6, 5):
        add(store, some(4, day=clock.today - ago))
        store.salt(clock.today - ago, bytes(32))
    module.count_all(store, TERMS, now=int(clock.now * 1000), retention_days=30)
    assert reports.totals(store, first=clock.today - 9, last=clock.today, fewest=1).visitors == 8
    assert set(states(store).values()) == {OPEN}
    store.destroy_salts(before=clock.today - 1, after=clock.today + 1)
    module.count_all(store, TERMS, now=int(clock.now * 1000), retention_days=30)
    assert set(states(store).values()) == {CLOSED}


# --- the purge waits -------------------------------------------------------------------------------------------------------


def purge(store: Store, clock: Clock, complaints: list[Any] | None = None) -> None:
    daily = DailyPurge(zone=UTC, retention_days=30, forms=(), complain=lambda *facts: (complaints or []).append(facts))
    for _ in range(9):
        daily.step(store, now=int(clock.now * 1000), holder="me")


def test_no_visit_is_purged_before_its_day_is_counted(store: Store) -> None:
    clock = Clock()
    add(store, some(5, day=clock.today - 40))
    purge(store, clock)
    assert query("SELECT COUNT(*) AS n FROM hit") == [{"n": 5}]
    make(clock).refresh().result(10)
    purge(store, clock)
    assert query("SELECT COUNT(*) AS n FROM hit") == [{"n": 0}]
    assert reports.totals(store, first=clock.today - 40, last=clock.today, fewest=1).visitors == 5


def test_if_counting_fails_for_two_days_what_was_promised_to_visitors_counts_more(store: Store) -> None:
    clock = Clock()
    add(store, some(5, day=clock.today - 40))
    purge(store, clock)
    clock.move(hours=LATEST / 3_600_000 - 1)
    purge(store, clock)
    assert query("SELECT COUNT(*) AS n FROM hit") == [{"n": 5}]
    clock.move(hours=2)
    purge(store, clock)
    assert query("SELECT COUNT(*) AS n FROM hit") == [{"n": 0}]


def test_what_was_counted_last_stays_of_a_day_that_was_purged_while_it_went_on(store: Store) -> None:
    """Else its month would never be over."""
    clock = Clock("2026-05-04T12:00:00+00:00")
    add(store, some(5, day=clock.today))
    module.count_open_days(store, TERMS, now=int(clock.now * 1000))
    clock.move(days=40)
    purge(store, clock)
    clock.move(hours=49)
    purge(store, clock)
    assert query("SELECT COUNT(*) AS n FROM hit") == [{"n": 0}]
    make(clock).refresh().result(10)
    assert query("SELECT month FROM month") == [{"month": 12 * 2026 + 4}]
    assert reports.totals(store, first=clock.today - 60, last=clock.today, fewest=1).visitors == 5


def test_of_a_day_that_is_purged_in_part_only_what_came_in_since_is_added(store: Store) -> None:
    clock = Clock()
    day = clock.today - 40
    add(store, some(50, day=day))
    module.count_all(store, TERMS, now=int(clock.now * 1000), retention_days=30)
    purging = store.purge(before=day + 9, most=10)
    for late in range(3):
        next(purging, None)
        add(store, some(1, day=day, start=100 + late))
        module.count_all(store, TERMS, now=int(clock.now * 1000), retention_days=30)
        assert reports.totals(store, first=day, last=day, fewest=1).visitors == 51 + late
    list(purging)
    assert query("SELECT COUNT(*) AS n FROM hit") == [{"n": 0}]
    assert reports.totals(store, first=day, last=day, fewest=1).visitors == 53


def test_a_day_that_another_process_counts_and_purges_meanwhile_is_not_overwritten(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    day = clock.today - 40
    add(store, some(30, day=day))
    real, done = module.count_day, []

    def overtaken(counted: Store, *arguments: Any, **more: Any) -> Any:
        table = real(counted, *arguments, **more)
        if not done:
            done.append(1)
            other = make_store()
            other.open()
            module.count_all(other, TERMS, now=int(clock.now * 1000), retention_days=30)
            assert sum(other.purge(before=day + 9)) == 30
            other.close()
        return table

    monkeypatch.setattr(module, "count_day", overtaken)
    module.close_day(store, day, TERMS, now=0)
    assert done
    assert reports.totals(store, first=day, last=day, fewest=1).visitors == 30


def test_what_comes_in_while_a_purge_goes_on_is_counted_before_it_goes(store: Store) -> None:
    clock = Clock()
    day = clock.today - 40
    add(store, some(30, day=day))
    make(clock).refresh().result(10)
    daily = DailyPurge(zone=UTC, retention_days=30, forms=(), complain=lambda *_: None)
    daily.step(store, now=int(clock.now * 1000), holder="me")
    assert daily.is_going
    add(store, [*some(5, day=day, start=100), *some(4, day=day - 1)])  # an import, of a counted day and of one that was not known
    while daily.is_going:
        daily.step(store, now=int(clock.now * 1000), holder="me")
    assert query("SELECT COUNT(*) AS n FROM hit") == [{"n": 9}]
    make(clock).refresh().result(10)
    assert reports.totals(store, first=day - 1, last=day, fewest=1).visitors == 39


def test_each_wait_begins_anew(store: Store) -> None:
    clock = Clock()
    for days in (0, 10):
        clock.move(days=days)
        add(store, some(5, day=clock.today - 40, start=1000 * days))
        purge(store, clock)
        assert query("SELECT COUNT(*) AS n FROM hit") == [{"n": 5}]
        make(clock).refresh().result(10)
        purge(store, clock)
        clock.move(days=1)


def test_with_a_retention_of_one_day_yesterday_is_counted_and_gone_soon_after_midnight(store: Store) -> None:
    clock = Clock()
    add(store, some(5, day=clock.today - 1))
    keeper = Bookkeeper(make_store(), TERMS, retention_days=1, count=lambda *_: None, clock=clock)
    keeper.refresh().result(10)
    assert states(store) == {clock.today - 1: CLOSED}


# --- in an app -------------------------------------------------------------------------------------------------------------


def test_an_app_closes_yesterdays_yesterday_by_itself_and_ends_in_time(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    store = make_store()
    store.open()
    today = int(time.time()) // 86_400
    add(store, some(5, day=today - 3))
    store.close()
    with TestClient(PrivacyMiddleware(Starlette(), policy="\n", secret_keys="0" * 40)) as client:
        client.get("/", headers={"user-agent": FIREFOX})
        until(lambda: query("SELECT state FROM day") == [{"state": CLOSED}])
    assert "figures" not in caplog.text


@pytest.mark.sqlite
def test_a_database_of_an_older_version_is_brought_up_to_date_and_counted() -> None:
    store = make_store()
    store.open()
    add(store, some(5, day=20_000))
    for name in ("day", "rollup", "monthly", "month", "published", "sign_in", "session"):
        store.execute(f"DROP TABLE {name}")
    store.execute("DELETE FROM migration WHERE number = 4")
    store.close()
    make(Clock()).refresh().result(10)
    assert query("SELECT day, state FROM day") == [{"day": 20_000, "state": CLOSED}]


@pytest.mark.sqlite
def test_a_read_only_connection_reads_figures_too(store: Store) -> None:
    clock = Clock()
    add(store, some(5, day=clock.today - 3))
    make(clock).refresh().result(10)
    store.close()
    store.open_to_read()
    assert reports.totals(store, first=clock.today - 3, last=clock.today, fewest=1).visitors == 5
    with pytest.raises(StoreError):
        store.execute("DELETE FROM rollup")


# --- two at once -----------------------------------------------------------------------------------------------------------


def meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], Any]) -> None:
    """Have something happen once between counting a day and keeping its figures."""
    real = module.count_day

    def counting(*arguments: Any, **more: Any) -> Any:
        table = real(*arguments, **more)
        monkeypatch.setattr(module, "count_day", real)
        happens()
        return table

    monkeypatch.setattr(module, "count_day", counting)


def test_what_is_erased_after_it_was_counted_is_not_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    add(store, some(5, day=clock.today))
    meanwhile(monkeypatch, lambda: store.forget([(clock.today, 3)], until=(clock.today + 1) * 86_400_000))
    make(clock).refresh().result(10)
    assert reports.totals(store, first=clock.today, last=clock.today, fewest=1).visitors == 4


def test_a_purged_day_that_two_processes_add_to_at_once_is_added_to_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    day = clock.today - 40
    add(store, some(5, day=day))
    make(clock).refresh().result(10)
    purge(store, clock)
    add(store, some(3, day=day, start=50))
    meanwhile(monkeypatch, lambda: module.close_day(store, day, TERMS, now=0))
    make(clock).refresh().result(10)
    assert reports.totals(store, first=day, last=day, fewest=1).visitors == 8


@pytest.mark.parametrize("was_purged", [False, True])
def test_what_came_to_a_closed_day_is_not_purged_before_it_is_counted(store: Store, was_purged: bool) -> None:
    clock = Clock()
    day = clock.today - 40
    add(store, some(5, day=day))
    make(clock).refresh().result(10)
    if was_purged:
        purge(store, clock)
        clock.move(days=1)
    add(store, some(3, day=day, start=50))
    purge(store, clock)
    make(clock).refresh().result(10)
    purge(store, clock)
    assert query("SELECT COUNT(*) AS n FROM hit") == [{"n": 0}]
    assert reports.totals(store, first=day, last=day, fewest=1).visitors == 8


def test_while_it_counts_its_lease_is_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    add(store, some(5, day=clock.today - 3))
    counting, go_on = threading.Event(), threading.Event()
    meanwhile(monkeypatch, lambda: (counting.set(), go_on.wait(30)))
    keeper = make(clock)
    keeper.look(store)
    assert counting.wait(10)
    for _ in range(3):
        clock.move(milliseconds=LEASE_MS - 1)
        keeper.look(store)
        assert keeper._look_due < time.monotonic() + LEASE_MS / 2000
        keeper._look_due = 0.0
        make(clock).refresh().result(10)
        assert states(store) == {}
    go_on.set()
    until(lambda: states(store) == {clock.today - 3: CLOSED})
