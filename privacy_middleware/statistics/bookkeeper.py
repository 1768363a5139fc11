"""Counts days into figures, in a thread of its own: a day that is over once and for all, a day that goes on when somebody looks.

Of several workers one at a time counts, under a lease.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Final

from ..collect.visitor import day_of
from ..errors import StoreError
from ..record.fork import leave_signals_alone
from ..record.purge import first_kept
from ..record.worker import LeasedWorker
from ..store import statistics_queries as queries
from ..store.base import Store
from .publish import publish_due
from .rollup import CLOSED, OPEN, PURGED, Changed, Terms, close_month, count_day, days_of_month, hold_again, keep_day, month_of

FEWEST: Final = "suppress_below"
"""The mark under which stands how few visitors were held back when the figures were last made."""
NICE: Final = 10
MOST_ASKED: Final = 200
QUICK_SECONDS: Final = 0.3
"""If counting the open days takes longer, it is not done again for twenty times as long."""


class Bookkeeper(LeasedWorker):
    """The thread. `look` wakes it when a day is to be closed, `refresh` when somebody wants the figures of days that go on."""

    name = "privacy-bookkeeper"
    what = "figures"
    lease = "rollup"
    look_seconds = 60.0
    patience = 600.0

    def __init__(
        self,
        store: Store,
        terms: Terms,
        *,
        retention_days: int,
        publishes: bool = False,
        count: Callable[..., None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.terms = terms
        self.retention_days = retention_days
        self.publishes = publishes
        super().__init__(store, count=count, clock=clock)

    def _reset(self) -> None:
        super()._reset()
        self._asked: list[Future[None]] = []
        self._pause_until = 0.0

    # --- from other threads ------------------------------------------------------------------------------------------------

    def refresh(self) -> Future[None]:
        """Count the days that go on, if there is anything new; the future is done when they are counted, or cannot be for now."""
        future: Future[None] = Future()
        if self._unusable or len(self._asked) >= MOST_ASKED:
            future.set_exception(StoreError("the figures cannot be brought up to date at the moment; try again later"))
            return future
        self._asked.append(future)
        self._call()
        return future

    def _is_anything_due(self, store: Store, now: int) -> bool:
        return bool(self._days_to_close(store, now)) or bool(months_to_close(store, self._today(now))) or self._is_other_number(store)

    def close(self, timeout: float = 2.0) -> None:
        """End; a day that is half counted is counted again by the next process."""
        self._closing = self._thread is not None
        if self._closing and self.store.is_open:
            self.store.interrupt()
        super().close(timeout)

    # --- the thread --------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        leave_signals_alone()
        give_way()
        super()._run()

    def _turn(self) -> None:
        with self._turning:
            self._busy = True
            asked, self._asked = self._asked, []
            try:
                self._open()
                self._begin_job()
                if self._has_lease(self.store):
                    self._close_what_is_due()
                    if asked:
                        self._count_open_days()
                    self._give_lease_back(self.lease, self.holder)
                self._empty_journal()
                self._complained.clear()
            except Exception as error:  # the thread must outlive any fault
                if not self._closing:
                    self._failed(error)
            finally:
                self._busy = False
                for future in asked:
                    if future.set_running_or_notify_cancel():
                        future.set_result(None)

    def _close_what_is_due(self) -> None:
        now = self._now()
        if self.store.mark(FEWEST) != self.terms.fewest:
            hold_all_again(self.store, self.terms)
        for day in self._days_to_close(self.store, now):
            if self._closing or not self._has_lease(self.store):
                return
            close_day(self.store, day, self.terms, now=now)
            self._checkpoint_due = True
        close_months(self.store, self.terms, today=self._today(now))
        if self.publishes:
            publish_due(self.store, today=self._today(now))

    def _count_open_days(self) -> None:
        if time.monotonic() < self._pause_until:
            return
        began = time.monotonic()
        count_open_days(self.store, self.terms, now=self._now())
        taken = time.monotonic() - began
        self._pause_until = time.monotonic() + (20 * taken if taken > QUICK_SECONDS else 0)

    def _days_to_close(self, store: Store, now: int) -> list[int]:
        return days_to_close(store, today=self._today(now), kept=first_kept(now, self.terms.zone, self.retention_days))

    def _is_other_number(self, store: Store) -> bool:
        return store.mark(FEWEST) != self.terms.fewest and store.rows(queries.FIRST_DAY)[0]["day"] is not None

    def _today(self, now: int) -> int:
        return day_of(now, self.terms.zone)


def give_way() -> None:
    """Let this thread have what processor time the host leaves (Linux: a thread has a priority of its own, setpriority(2))."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


def days_to_close(store: Store, *, today: int, kept: int) -> list[int]:
    """Return the days that are final and hold something not counted yet: their salt is gone, or their hits are about to be purged.

    A closed day comes again if an import, or a worker that was late, has added to it.
    """
    alive = store.live_salts()
    return [
        row["day"]
        for row in store.rows(queries.HIT_DAYS)
        if ((row["day"] < today - 1 and row["day"] not in alive) or row["day"] < kept)
        and (row["state"] == OPEN or row["last"] > row["counted"])
    ]


def close_day(store: Store, day: int, terms: Terms, *, now: int) -> None:
    """Count a day for good. Counting it again gives the same; of a day whose hits are purged, what came in since is added."""
    _count_and_keep(store, day, terms, state=CLOSED, now=now)


def count_open_days(store: Store, terms: Terms, *, now: int) -> None:
    """Count those days that go on and have changed since they were last counted.

    Those are today and yesterday, and, where the app has not run since, days whose salt is not destroyed yet.
    """
    today = day_of(now, terms.zone)
    going_on = {row["day"] for row in store.rows(queries.HIT_DAYS) if row["state"] == OPEN}
    for day in sorted({today - 1, today} | going_on):
        known = store.rows(queries.DAYS, first=day, last=day)
        if known and known[0]["state"] != OPEN:
            continue
        hits = store.rows(queries.DAY_HITS, day=day, after=0)[0]
        if known and (known[0]["hits"], known[0]["last"]) == (hits["hits"], hits["last"]):
            continue
        if hits["hits"] or known:
            _count_and_keep(store, day, terms, state=OPEN, now=now)


def _count_and_keep(store: Store, day: int, terms: Terms, *, state: int, now: int) -> None:
    for _ in range(5):
        with suppress(Changed):
            _try_to_count(store, day, terms, state=state, now=now)
            return


def _try_to_count(store: Store, day: int, terms: Terms, *, state: int, now: int) -> None:
    """Count a day and keep its figures, unless anything of it has changed meanwhile.

    A visitor may have erased hits, a purge may have begun, or another process may have counted the day.
    """
    known = store.rows(queries.DAYS, first=day, last=day)
    is_purged = bool(known) and known[0]["state"] == PURGED
    after = known[0]["last"] if is_purged else 0  # what was counted before is purged, or is just being purged
    found = store.rows(queries.DAY_HITS, day=day, after=after)[0]
    if is_purged and not found["hits"]:
        return
    table = count_day(store, day, terms, last=found["last"], after=after)
    with store.transaction():
        hits = store.rows(queries.DAY_HITS_UP_TO, day=day, after=after, last=found["last"])[0]["hits"]
        if hits != found["hits"] or store.rows(queries.DAYS, first=day, last=day) != known:
            raise Changed
        keep_day(store, day, table, terms, state=PURGED if is_purged else state, last=found["last"], now=now)


def hold_all_again(store: Store, terms: Terms) -> None:
    """Decide anew what of all days is shown: the owner has set another number of visitors."""
    for row in store.rows(queries.DAYS, first=0, last=2**31):
        with store.transaction():
            hold_again(store, row["day"], terms.fewest)
    with store.transaction():
        for row in store.rows(queries.MONTHS):
            for query in queries.CLEAR_MONTH:
                store.execute(query, month=row["month"])
        store.set_mark(FEWEST, terms.fewest)


def close_months(store: Store, terms: Terms, *, today: int) -> None:
    """Sum up every month of which all days are closed."""
    for month in months_to_close(store, today):
        with store.transaction():
            close_month(store, month, terms.fewest)


def months_to_close(store: Store, today: int) -> Sequence[int]:
    """Return the months that are over, of which all days are closed, and that are not summed up."""
    done = {row["month"] for row in store.rows(queries.MONTHS)}
    days = store.rows(queries.DAYS, first=0, last=today)
    going_on = {month_of(row["day"]) for row in days if row["state"] == OPEN}
    months = {month_of(row["day"]) for row in days} - done - going_on
    return sorted(month for month in months if days_of_month(month)[1] < today - 1)


def count_all(store: Store, terms: Terms, *, now: int, retention_days: int) -> None:
    """Bring every figure up to date, as the thread does little by little."""
    today = day_of(now, terms.zone)
    if store.mark(FEWEST) != terms.fewest:
        hold_all_again(store, terms)
    for day in days_to_close(store, today=today, kept=first_kept(now, terms.zone, retention_days)):
        close_day(store, day, terms, now=now)
    count_open_days(store, terms, now=now)
    close_months(store, terms, today=today)
