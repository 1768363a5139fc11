"""Takes exchanges from the hot path and commits them as hits, in one background thread a process.

The hot path appends to a bounded deque and takes no lock. The thread drains it on a clock, owns the database
connection and the day's salts, and does what falls due: destroying salts and purging old hits. It starts at first
use, so that it belongs to the process that serves, also after a fork.
"""

from __future__ import annotations

import logging
import os
import secrets
import sqlite3
import threading
import time
import uuid
import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import tzinfo
from typing import Any, Final, TypeVar

from ..collect.hit import Collector, Hit, Rules
from ..collect.visitor import SALT_BYTES, Salt, Visitors, day_of, shortener
from ..errors import PrivacyError, StoreError
from ..settings import AddressForm
from ..store.sqlite import SQLiteStore

logger = logging.getLogger("privacy_middleware")
Result = TypeVar("Result")

CAPACITY: Final = 20_000
"""Exchanges queued at most (about 1 KB each); further ones are dropped and counted."""
BATCH: Final = 1_000
"""Hits a transaction at most."""
SLICE: Final = 40
"""Hits made at one go before the host's thread is let in: Python's lock is asked for every 5 ms only."""
BREATH: Final = 0.000_05
BUSY_PAUSE: Final = 0.1
IDLE_PAUSE: Final = 0.5
"""Seconds between two looks at the queue. With these, kill -9 loses less than the last second."""
FORK_PATIENCE: Final = 1.0
LONGEST_RETRY: Final = 10.0
LONGEST_JUMP_DAYS: Final = 90
"""If the clock was last seen longer ago, nothing is purged: a wrong clock must not delete."""
HOUR: Final = 3_600_000

_recorders: weakref.WeakSet[Recorder] = weakref.WeakSet()


class Recorder:
    """The queue and its thread. `put` is for the hot path; everything else may wait."""

    def __init__(
        self,
        store: SQLiteStore,
        *,
        rules: Rules,
        zone: tzinfo,
        retention_days: int,
        address: AddressForm = "truncated",
        prepare: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`prepare` is called once in the thread before anything else: what would block an event loop has its place there."""
        self.store = store
        self.rules = rules
        self.zone = zone
        self.retention_days = retention_days
        self.visitors = Visitors(shortener(address if "address" in rules.items else "none"))
        self._collector = Collector(rules)
        self._prepare = prepare
        self.clock = clock
        self.holder = uuid.uuid4().hex
        self._reset()
        _recorders.add(self)

    def _reset(self) -> None:
        """Begin with nothing, as at first use and in a forked child; what a parent has queued, the parent writes."""
        self.queue: deque[tuple[Any, ...]] = deque()
        self.visitors.serve(None)
        self._salts: dict[int, Salt] = {}
        self._proposals: dict[int, bytes] = {}
        self._hits: list[Hit] = []
        self._commands: deque[tuple[Callable[[SQLiteStore], Any], Future[Any]]] = deque()
        self._counts: Counter[str] = Counter()
        self._counting = threading.Lock()
        self._starting = threading.Lock()
        self._wake = threading.Event()
        self._turning = threading.Lock()
        self._forking = False
        self._unusable = False
        self._thread: threading.Thread | None = None
        self.ready = False
        """True while the thread runs: then the hot path may append to the queue itself, up to `CAPACITY`."""
        self._closing = False
        self._busy = False
        self.ending = False
        """True once the process was told to end: from then on each request waits for its hit to be committed."""
        self._failures = 0
        self._checkpoint_due = False
        self._upkeep_due = 0.0
        self._purging: Iterator[int] | None = None
        self._complained: set[str] = set()

    def before_fork(self) -> None:
        """Let the thread end its turn, and close the connection: SQLite allows none to cross a fork ("How To Corrupt", 2.6)."""
        self._forking = self._turning.acquire(timeout=FORK_PATIENCE)
        if self._forking:
            self.store.close()

    def after_fork_in_parent(self) -> None:
        """Go on; the next turn opens the database again."""
        if self._forking:
            self._turning.release()

    def after_fork_in_child(self) -> None:
        """Share nothing with the parent's thread. If its turn did not end in time, this process cannot use the database."""
        clean = self._forking
        self.holder = uuid.uuid4().hex
        self._reset()
        if not clean:
            self._unusable = True

    # --- from the host's side ----------------------------------------------------------------------------------------------

    def put(self, exchange: tuple[Any, ...]) -> None:
        """Queue the fields of one `Exchange`; drop and count it if the queue is full. Never blocks, never raises."""
        if len(self.queue) >= CAPACITY:
            self.drop("queue_full")
            return
        if self._unusable:
            self.drop("fork")
            return
        self.queue.append(exchange)
        if self._thread is None:
            self.start()

    def drop(self, reason: str, amount: int = 1) -> None:
        """Count what is not recorded, by reason; say so once."""
        self.count(f"dropped.{reason}", amount)
        self._complain(reason, "visits are not recorded (%s); see `privacy-middleware status`", reason)

    def fault(self, error: Exception) -> None:
        """Count an error of our own; the log names its kind only, since a text could hold a captured value."""
        self.drop(f"fault.{type(error).__name__}")

    def count(self, name: str, amount: int = 1) -> None:
        """Add to a named counter, which reaches the database with the next batch."""
        with self._counting:
            self._counts[name] += amount

    def start(self) -> None:
        """Start the thread, once."""
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="privacy-recorder", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:  # no more threads: out of memory, or the interpreter is ending
                    self._complain("thread", "the recorder cannot start a thread (%s)", type(error).__name__)
                    return
                self._thread = thread
                self.ready = True

    def submit(self, command: Callable[[SQLiteStore], Result]) -> Future[Result]:
        """Have the thread do something with the store, after all that is queued now is written."""
        future: Future[Result] = Future()
        self._commands.append((command, future))
        self.start()
        self._wake.set()
        return future

    @property
    def is_idle(self) -> bool:
        """True if there is nothing to flush."""
        return not (self._busy or self.queue or self._hits or self._counts or self._commands)

    def flush(self, timeout: float = 2.0) -> bool:
        """Wait until all that is queued now is committed; False if that takes longer than `timeout` seconds."""
        if self._thread is None and self.is_idle:
            return True
        try:
            self.submit(lambda _: None).result(timeout)
        except (TimeoutError, StoreError, sqlite3.Error):
            return False
        return True

    def close(self, timeout: float = 2.0) -> None:
        """Write what is queued, close the database, end the thread. The next `put` begins anew."""
        thread = self._thread
        if thread is None:
            return
        self._closing = True
        self.ready = False
        self._wake.set()
        thread.join(timeout)

    # --- the thread --------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._prepare()
        except Exception as error:  # what is prepared may fail; visits are recorded all the same
            self.fault(error)
        try:
            while not self._closing:
                self._wake.wait(self._pause())
                self._wake.clear()
                self._turn()
            self._turn()
        finally:  # whatever ends the thread, the next request starts another
            self.ready = self._closing = False
            self._thread = None
            self.store.close()

    def _pause(self) -> float:
        if self._failures:
            return min(LONGEST_RETRY, BUSY_PAUSE * 2.0**self._failures)
        return BUSY_PAUSE if self.queue or self._purging else IDLE_PAUSE if not self._commands else 0

    def _turn(self) -> None:
        with self._turning:
            self._do_turn()

    def _do_turn(self) -> None:
        """Do everything that is due. A failing database is tried again later; nothing taken from the queue is lost."""
        self._busy = True
        commands = [self._commands.popleft() for _ in range(len(self._commands))]
        try:
            self._open()
            self._keep_salts()
            self._drain()
            self._write_counts()
            self._upkeep()
            self._recovered()
        except Exception as error:  # the thread must outlive any fault of the database
            self._failed(error)
            self._make_waiting_hits()
        self._busy = False
        for command, future in commands:
            self._obey(command, future)

    def _obey(self, command: Callable[[SQLiteStore], Any], future: Future[Any]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            if self._failures:
                raise StoreError("the database cannot be used at the moment; see `privacy-middleware status`")
            future.set_result(command(self.store))
        except Exception as error:  # whatever it is, the caller gets it
            future.set_exception(error)

    def _open(self) -> None:
        if self.store.replaced:
            self._complain("replaced", "%s was deleted or replaced while in use; it is opened anew", self.store.path)
            self.store.close()
            self.visitors.serve(None)
            self._salts.clear()
        if not self.store.is_open:
            self.store.open()
            self._checkpoint_due = True  # a journal left by a killed process may hold what was deleted since

    def _failed(self, error: Exception) -> None:
        self._failures = min(self._failures + 1, 8)
        # The text of our own errors names the cause and holds no captured value; that of others is not known to.
        kind = str(error) if isinstance(error, PrivacyError) else getattr(error, "sqlite_errorname", type(error).__name__)
        self._complain(f"database {kind}", "visits wait: the database cannot be used (%s)", kind)
        self.store.close()
        if self.store.is_damage(error):
            self.store.set_aside()
        self._purging = None
        self._upkeep_due = 0.0
        self._use_provisional_salt()

    def _recovered(self) -> None:
        if self._failures:
            logger.info("the database can be used again")
            self._failures = 0
            self._complained.clear()

    def _complain(self, topic: str, text: str, *facts: object) -> None:
        """Log a fault once, until it is over."""
        if topic not in self._complained:
            self._complained.add(topic)
            logger.warning(text, *facts)

    # --- salts -------------------------------------------------------------------------------------------------------------

    def _now(self) -> int:
        return int(self.clock() * 1000)

    def _keep_salts(self) -> None:
        """Have today's salt at hand for the hot path, and none that is older than yesterday's."""
        now = self._now()
        if self._serves(now) and not self._proposals:
            return
        today = day_of(now, self.zone)
        self.store.destroy_salts(before=today - 1)
        self._checkpoint_due = True  # whoever destroyed them: each worker empties the journal, should another not live to
        for day in {today, *self._proposals}:
            if day >= today - 1:
                key = self.store.salt(day, self._proposals.get(day) or secrets.token_bytes(SALT_BYTES))
                self._salts[day] = Salt(key, day=day, zone=self.zone)
        self._proposals.clear()
        self._salts = {day: salt for day, salt in self._salts.items() if day >= today - 1}
        self.visitors.serve(self._salts[today])

    def _serves(self, now: int) -> bool:
        salt = self.visitors.salt
        return salt is not None and salt.starts <= now < salt.ends

    def _use_provisional_salt(self) -> None:
        """While the database is away, today's salt lives in memory; it becomes the shared one if no other worker has one."""
        now = self._now()
        if not self._serves(now):
            today = day_of(now, self.zone)
            self._proposals = {today: secrets.token_bytes(SALT_BYTES)}
            salt = Salt(self._proposals[today], day=today, zone=self.zone)
            self._salts = {day: old for day, old in self._salts.items() if day == today - 1} | {today: salt}
            self.visitors.serve(salt)

    # --- hits --------------------------------------------------------------------------------------------------------------

    def _drain(self) -> None:
        """Write what is queued now, a batch a transaction."""
        left = len(self.queue)
        while left > 0 or self._hits:
            left -= self._make_hits(min(left, BATCH - len(self._hits)))
            if self._hits:
                self._write(self._hits)
                self._hits = []

    def _make_hits(self, most: int) -> int:
        """Turn up to `most` exchanges into hits, with a breath between slices for the host's thread."""
        queue = self.queue
        for number in range(most):
            if number % SLICE == SLICE - 1:
                time.sleep(BREATH)
            fields = queue.popleft()
            try:
                hit = self._hit(fields)
            except Exception as error:  # one strange request must not stop the others
                self.fault(error)
                continue
            if hit is not None:
                self._hits.append(hit)
        return most

    def _make_waiting_hits(self) -> None:
        """While the database is away, keep at least no raw identity longer than a turn: make hits, as many as fit a batch."""
        self._make_hits(min(len(self.queue), max(0, BATCH - len(self._hits))))

    def _hit(self, fields: tuple[Any, ...]) -> Hit | None:
        came = fields[0] * 1000
        salt = self.visitors.salt
        if salt is None or not salt.starts <= came < salt.ends:
            day = day_of(int(came), self.zone)
            salt = self._salts.get(day) or self._late_salt(day)
        else:
            day = salt.day
        visitor, identity, _ = fields[1]
        if visitor is None:
            if salt is None:
                self.drop("no_salt")
                return None
            visitor = salt.pseudonym(identity)
        return self._collector.hit(fields, day=day, visitor=visitor)

    def _late_salt(self, day: int) -> Salt | None:
        """Return the salt of another day that still lives: requests at midnight, and of a worker that starts just then."""
        if self.visitors.salt is None or abs(day - self.visitors.salt.day) > 1 or not self.store.is_open:
            return None
        key = self.store.salt(day, secrets.token_bytes(SALT_BYTES))
        self._salts[day] = Salt(key, day=day, zone=self.zone)
        return self._salts[day]

    def _write(self, hits: list[Hit]) -> None:
        store = self.store
        try:
            with store.transaction():
                store.add_hits(hits)
        except (sqlite3.OperationalError, StoreError):
            raise
        except sqlite3.DatabaseError as error:
            if store.is_damage(error):
                raise
            self._write_singly(hits)
        except (TypeError, ValueError, OverflowError):
            self._write_singly(hits)

    def _write_singly(self, hits: list[Hit]) -> None:
        """One hit in the batch cannot be stored: find it, drop it, keep the others. What is written leaves the list at once."""
        while hits:
            try:
                with self.store.transaction():
                    self.store.add_hits(hits[:1])
            except (sqlite3.IntegrityError, sqlite3.ProgrammingError, TypeError, ValueError, OverflowError) as error:
                self.fault(error)
            del hits[0]

    def _write_counts(self) -> None:
        with self._counting:
            counts, self._counts = self._counts, Counter()
        if not counts:
            return
        try:
            with self.store.transaction():
                self.store.count(counts, day=day_of(self._now(), self.zone))
        except BaseException:
            with self._counting:
                self._counts.update(counts)
            raise

    # --- what falls due ----------------------------------------------------------------------------------------------------

    def _upkeep(self) -> None:
        if self._checkpoint_due:
            self._checkpoint_due = not self.store.checkpoint()
        if self._purging is not None:
            self._purge_a_little()
        elif time.monotonic() >= self._upkeep_due:
            self._upkeep_due = time.monotonic() + 600
            if self._may_purge():
                self._purging = self.store.purge(before=day_of(self._now(), self.zone) - self.retention_days)

    def _may_purge(self) -> bool:
        """Once a day, in one process, and not if the clock has jumped."""
        now, today = self._now(), day_of(self._now(), self.zone)
        seen = self.store.mark("clock")
        if seen is not None and now - seen > LONGEST_JUMP_DAYS * 24 * HOUR:
            self._complain("clock", "nothing is purged: the clock jumped by over %d days; if it is right, run "
                           "`privacy-middleware purge`", LONGEST_JUMP_DAYS)  # fmt: skip
            return False
        self.store.set_mark("clock", max(now, seen or 0))
        if self.store.mark("purged") == today:
            return False
        return self.store.take_lease("purge", self.holder, now=now, until=now + HOUR)

    def _purge_a_little(self) -> None:
        """One short transaction a turn, so that hits are written in between."""
        if self._purging is not None and next(self._purging, None) is None:
            self._purging = None
            finish_purge(self.store, now=self._now(), zone=self.zone)
            self._checkpoint_due = True


def finish_purge(store: SQLiteStore, *, now: int, zone: tzinfo) -> None:
    """After the hits: remove the words that no hit uses, old counters, and note the day as purged."""
    today = day_of(now, zone)
    store.purge_words()
    store.purge_counters(before=today - 400)
    with store.transaction():
        store.set_mark("purged", today)
        store.set_mark("clock", now)


def _all(step: Callable[[Recorder], None]) -> Callable[[], None]:
    def for_all() -> None:
        for recorder in list(_recorders):
            step(recorder)

    return for_all


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(
        before=_all(Recorder.before_fork),
        after_in_parent=_all(Recorder.after_fork_in_parent),
        after_in_child=_all(Recorder.after_fork_in_child),
    )
