"""Deletes the visits and submissions whose retention has ended: once a day, in one process, a little at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import tzinfo
from typing import Final

from ..collect.visitor import day_of
from ..forms import AUDIT_DAYS, Form
from ..store import queries, statistics_queries
from ..store.base import Store
from . import submissions

HOUR: Final = 3_600_000
LOOK_SECONDS: Final = 600
LONGEST_JUMP_DAYS: Final = 31
"""If the clock was last seen longer ago, nothing is purged: a wrong clock must not delete."""
COUNTER_DAYS: Final = 400
LATEST: Final = 48 * HOUR
"""How long visits that are not counted yet are kept beyond their retention, should counting fail."""


class DailyPurge:
    """Looks every ten minutes whether anything is due, and does one short transaction a turn while there is."""

    def __init__(self, *, zone: tzinfo, retention_days: int, forms: Sequence[Form], complain: Callable[..., None]) -> None:
        self.zone = zone
        self.retention_days = retention_days
        self.forms = forms
        self._complain = complain
        self.interrupt()

    def interrupt(self) -> None:
        """After a fault: begin again at the next turn, so that nothing due is taken for done."""
        self._going: Iterator[int] | None = None
        self._look_due = 0.0

    @property
    def is_going(self) -> bool:
        """True while there is more to delete."""
        return self._going is not None

    def step(self, store: Store, *, now: int, holder: str) -> bool:
        """Do what is due; True when a purge has just ended and the journal should be emptied."""
        if self._going is not None:
            if next(self._going, None) is not None:
                return False
            self._going = None
            finish_purge(store, self.forms, now=now, zone=self.zone)
            return True
        if time.monotonic() >= self._look_due:
            self._look_due = time.monotonic() + LOOK_SECONDS
            note_live(store, now=now)
            if self._may_begin(store, now=now, holder=holder):
                # Not what is of the future: if the clock is set back, that is all there is.
                before = first_kept(now, self.zone, self.retention_days)
                self._going = store.purge(before=before, only_counted=counted_before(store, before) == before)
        return False

    def _may_begin(self, store: Store, *, now: int, holder: str) -> bool:
        """Once a day, in one process, and not if the clock has jumped."""
        seen = store.mark("clock")
        if seen is not None and now - seen > LONGEST_JUMP_DAYS * 24 * HOUR:
            text = "nothing is purged: the clock jumped by over %d days; if it is right, run `privacy-middleware purge`"
            self._complain("clock", text, LONGEST_JUMP_DAYS)
            return False
        store.set_mark("clock", max(now, seen or 0))
        if store.mark("purged") == day_of(now, self.zone) or self._waits_for_figures(store, now):
            return False
        return store.take_lease("purge", holder, now=now, until=now + HOUR)

    def _waits_for_figures(self, store: Store, now: int) -> bool:
        """No visit is purged before its day is counted; but if counting fails, what was promised to visitors counts more."""
        if counted_before(store, before := first_kept(now, self.zone, self.retention_days)) == before:
            store.set_mark("uncounted", 0)
            return False
        since = store.mark("uncounted") or now
        store.set_mark("uncounted", since)
        return now - since < LATEST


def first_kept(now: int, zone: tzinfo, retention_days: int) -> int:
    """Return the first day whose visits are still kept: none is kept longer than `retention_days` times 24 hours."""
    return day_of(now, zone) - retention_days + 1


def counted_before(store: Store, before: int) -> int:
    """Return the first day, up to `before`, whose visits are not counted into figures yet: they are not purged so far."""
    first = store.rows(statistics_queries.FIRST_UNCLOSED, before=before)[0]["day"]
    return before if first is None else int(first)


def finish_purge(store: Store, forms: Sequence[Form], *, now: int, zone: tzinfo) -> int:
    """After the hits: delete submissions, words that no hit uses, old counters, and note the day; returns how many submissions."""
    today = day_of(now, zone)
    purged = submissions.purge(store, forms, today=today)
    store.mix(since=today - 2)
    store.purge_words()
    store.purge_counters(before=today - COUNTER_DAYS)
    with store.transaction():
        _purge_audit(store, before=now - AUDIT_DAYS * 24 * HOUR)
        store.execute(queries.PURGE_BATCHES)
        store.set_mark("purged", today)
        store.set_mark("clock", now)
    return purged


def _purge_audit(store: Store, *, before: int) -> None:
    """Delete the oldest entries, in a transaction of the caller's; of the last of them the hash stays, which the next one is chained to."""
    end = store.rows(queries.AUDIT_END, before=before)[0]["id"]
    if end is not None:
        store.execute(queries.PURGE_AUDIT, id=end)
        store.execute(queries.ANCHOR_AUDIT, id=end)


def note_live(store: Store, *, now: int) -> None:
    """Note since when visits are recorded live: the same visits must not come in again by an access log."""
    if store.mark("live") is None:
        store.set_mark("live", now)
