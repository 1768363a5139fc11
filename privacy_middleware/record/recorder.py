"""Takes exchanges from the hot path and commits them as hits, in one background thread a process.

The hot path appends to a bounded deque and takes no lock. The thread drains it on a clock, owns the database
connection and the day's salts, and does what falls due: destroying salts and purging old hits. It starts at first
use, so that it belongs to the process that serves, also after a fork.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import tzinfo
from functools import partial
from typing import Any, Final, TypeVar

from ..collect.country import Countries
from ..collect.form import FormIndex
from ..collect.funnel import form_of, steps
from ..collect.hit import Collector, Hit, Rules, without_person
from ..collect.visitor import Visitors, day_of, shortener
from ..errors import Damaged, PrivacyError, StoreError, Unstorable
from ..settings import AddressForm
from ..store.base import Store
from .fork import Forkable, leave_signals_alone, mind_forks
from .purge import DailyPurge
from .salts import DaySalts
from .seen import Seen, seen
from .waiting_hits import WaitingHits

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
MOST_COMMANDS: Final = 200
LONGEST_RETRY: Final = 10.0
SERVER_RETRY: Final = 2.0


class Recorder(Forkable):
    """The queue and its thread. `put` is for the hot path; everything else may wait."""

    def __init__(
        self,
        store: Store,
        *,
        rules: Rules,
        zone: tzinfo,
        retention_days: int,
        address: AddressForm = "truncated",
        countries: Countries | None = None,
        opened: Callable[[Store], object] = bool,
        pepper: Callable[[], bytes] = bytes,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Arguments: `opened` is called in the thread whenever the database was opened; for `pepper` see `DaySalts`."""
        self.store = store
        self.waiting: WaitingHits | None = None
        """The file for hits while the database is away, where that is on a server."""
        self.rules = rules
        self.zone = zone
        self.visitors = Visitors(
            shortener(address if "address" in rules.items else "none"), countries if "country" in rules.items else None
        )
        self._collector = Collector(rules)
        self._opened = opened
        self._pepper = pepper
        self._forms = FormIndex(rules.forms)
        self.duties: list[Callable[[Store], object]] = []
        """Called each turn: to take in what waits in the spool, to see whether a data request is due."""
        self._salts = DaySalts(self.visitors, zone=zone, pepper=pepper)
        self._purge = DailyPurge(zone=zone, retention_days=retention_days, forms=rules.forms, complain=self._complain)
        self.clock = clock
        self.holder = uuid.uuid4().hex
        self._reset()
        mind_forks(self)

    def _reset(self) -> None:
        """Begin with nothing, as at first use and in a forked child; what a parent has queued, the parent writes."""
        self.queue: deque[tuple[Any, ...]] = deque()
        self._salts.clear()
        self._hits: list[Hit] = []
        self._in_doubt: list[Hit] = []
        self._batches = 0
        self._retry_at = 0.0
        self._commands: deque[tuple[Callable[[Store], Any], Future[Any]]] = deque()
        self._forgets: deque[tuple[bytes, Future[int]]] = deque()
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
        self.batch_seconds = 0.0
        """How long the last batch took to be written."""
        self._closing = False
        self._busy = False
        self.ending = 0.0
        """Until when (monotonic seconds) each request waits for its hit to be committed, as the process was told to end; else 0."""
        self._failures = 0
        self._checkpoint_due = False
        self._complained: set[str] = set()
        self._purge.interrupt()

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
        kind = type(error).__name__
        self.count(f"fault.{kind}")
        self._complain(f"fault {kind}", "privacy_middleware made an error (%s); the app goes on, please report it", kind)

    def lost(self, error: Exception) -> None:
        """Count a hit that an error of our own has cost."""
        self.fault(error)
        self.drop(f"fault.{type(error).__name__}")

    def count(self, name: str, amount: int = 1) -> None:
        """Add to a named counter, which reaches the database with the next batch."""
        with self._counting:
            self._counts[name] += amount

    def start(self) -> None:
        """Start the thread, once."""
        with self._starting:
            if self._thread is None:
                if self._unusable:
                    return
                thread = threading.Thread(target=self._run, name="privacy-recorder", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:  # no more threads: out of memory, or the interpreter is ending
                    self._complain("thread", "the recorder cannot start a thread (%s)", type(error).__name__)
                    return
                self._thread = thread
                self.ready = True

    def submit(self, command: Callable[[Store], Result]) -> Future[Result]:
        """Have the thread do something with the store, after all that is queued now is written."""
        future: Future[Result] = Future()
        if self._unusable or len(self._commands) >= MOST_COMMANDS:
            future.set_exception(StoreError("the database cannot be asked at the moment; try again later"))
            return future
        self._commands.append((command, future))
        self.start()
        self._wake.set()
        return future

    def forget(self, identity: bytes) -> Future[int]:
        """Delete the hits of whoever has this identity now, of today and yesterday; the future says how many.

        All that ask in the same turn are served by one look through the hits.
        """
        future: Future[int] = Future()
        if self._unusable or len(self._forgets) >= MOST_COMMANDS:
            future.set_exception(StoreError("the database cannot be asked at the moment; try again later"))
            return future
        self._forgets.append((identity, future))
        self.start()
        self._wake.set()
        return future

    def seen(self, identity: bytes) -> Future[list[Seen]]:
        """Say what is recorded under the pseudonyms that this identity has now, as kinds and counts, never pages."""
        return self.submit(lambda store: seen(store, self._salts, identity))

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
        except (TimeoutError, StoreError):
            return False
        return True

    def hurry(self) -> None:
        """Have the thread look at the queue now."""
        self.start()
        self._wake.set()

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
        leave_signals_alone()
        try:
            self._pepper()  # made at first use
        except Exception as error:  # visits are recorded all the same
            self.fault(error)
        try:
            while not self._closing:
                self._wake.wait(self._pause())
                self._wake.clear()
                self._turn()
            self._turn()
        finally:  # whatever ends the thread, the next request starts another
            with self._turning:
                self._hits, self._in_doubt = self._in_doubt + self._hits, []
                if self.waiting:
                    self._make_waiting_hits()
                self.store.close()
            self.ready = self._closing = False
            self._thread = None

    def _pause(self) -> float:
        if self._failures and not self.waiting:
            return max(0.0, self._retry_at - time.monotonic())
        return BUSY_PAUSE if self.queue or self._purge.is_going else IDLE_PAUSE if not self._commands else 0

    def _turn(self) -> None:
        with self._turning:
            self._do_turn()

    def _do_turn(self) -> None:
        """Do everything that is due. A failing database is tried again later; nothing taken from the queue is lost."""
        self._busy = True
        commands = [self._commands.popleft() for _ in range(len(self._commands))]
        try:
            if not self._is_away():
                self._open()
                self._keep_salts()
                self._drain()
                self._bring_in()
                self._write_counts()
                self._upkeep()
                self._recovered()
        except Exception as error:  # the thread must outlive any fault of the database
            self._failed(error)
        if self._failures:
            self._make_waiting_hits()
        answers = [*self._forget_all(), *[answer for asked in commands for answer in self._obey(*asked)]]
        self._busy = False  # before anybody who waited for an answer looks
        for answer in answers:
            answer()

    def _obey(self, command: Callable[[Store], Any], future: Future[Any]) -> Iterator[Callable[[], None]]:
        """Do what was asked, and yield how to answer."""
        if not future.set_running_or_notify_cancel():
            return
        try:
            self._check_usable()
            result = command(self.store)
        except Exception as error:  # whatever it is, the caller gets it
            yield partial(future.set_exception, error)
        else:
            yield partial(future.set_result, result)

    def _check_usable(self) -> None:
        if self._failures:
            raise StoreError("the database cannot be used at the moment; see `privacy-middleware status`")

    def _forget_all(self) -> Iterator[Callable[[], None]]:
        """Serve all who want their hits deleted, by one look through them, and yield how to answer each."""
        waiting = [self._forgets.popleft() for _ in range(len(self._forgets))]
        waiting = [(identity, future) for identity, future in waiting if future.set_running_or_notify_cancel()]
        if not waiting:
            return
        try:
            self._check_usable()
            living = self._salts.living(self.store)
            visitors = [[(salt.day, salt.pseudonym(identity)) for salt in living] for identity, _ in waiting]
            deleted = self.store.forget([pair for pairs in visitors for pair in pairs], until=self._now())
        except Exception as error:  # whatever it is, those who asked get it
            for _, future in waiting:
                yield partial(future.set_exception, error)
            return
        self._checkpoint_due = True
        self._collector.forget()
        for pairs, (_, future) in zip(visitors, waiting, strict=True):
            yield partial(future.set_result, sum(deleted.get(pair, 0) for pair in pairs))

    def _open(self) -> None:
        if self.store.replaced:
            self._complain("replaced", "%s was deleted or replaced while in use; it is opened anew", self.store.place)
            self.store.close()
            self._salts.clear()
        if not self.store.is_open:
            self.store.open()
            self._opened(self.store)
            self._checkpoint_due = True  # a journal left by a killed process may hold what was deleted since

    def _failed(self, error: Exception) -> None:
        self._failures = min(self._failures + 1, 8)
        self._retry_at = time.monotonic() + min(SERVER_RETRY if self.waiting else LONGEST_RETRY, BUSY_PAUSE * 2.0**self._failures)
        # The text of our own errors names the cause and holds no captured value; that of others is not known to.
        kind = str(error) if isinstance(error, PrivacyError) else type(error).__name__
        self._complain(f"database {kind}", "visits wait: the database cannot be used (%s)", kind)
        self.store.close()
        if isinstance(error, Damaged):
            try:
                self.store.set_aside()
            except StoreError as failure:
                self._complain("damage", "%s", failure)
        self._purge.interrupt()
        self._salts.fetch_provisionally(self._now())

    def _is_away(self) -> bool:
        """Tell whether the database has failed just now, so that hits go to the file meanwhile."""
        return bool(self._failures and self.waiting and not self._closing and time.monotonic() < self._retry_at)

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
        if not self._salts.serve(self._now()):
            self._salts.fetch(self.store, self._now())
            self._collector.forget()
            self._checkpoint_due = True  # whoever destroyed old ones: each worker empties the journal, should another not live to

    # --- hits --------------------------------------------------------------------------------------------------------------

    def _drain(self) -> None:
        """Write what is queued now, a batch a transaction."""
        if self._in_doubt and self.store.mark(self._batch) != self._batches:
            self._write(self._in_doubt)
        self._in_doubt = []
        left = len(self.queue)
        while left > 0 or self._hits:
            left -= self._make_hits(min(left, BATCH - len(self._hits)))
            if self._hits:
                began = time.monotonic()
                try:
                    self._write(self._hits)
                except StoreError:
                    if self.store.is_in_doubt:  # it may have them: they must not come twice
                        self._in_doubt, self._hits = self._hits, []
                    raise
                self.batch_seconds = time.monotonic() - began
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
            except StoreError:  # a salt was needed and could not be had
                queue.appendleft(fields)
                raise
            except Exception as error:  # one strange request must not stop the others
                self.lost(error)
                continue
            if hit is not None:
                self._hits.append(hit)
        return most

    def _make_waiting_hits(self) -> None:
        """While the database is away, make hits of what is queued, which hold less than the requests: a batch, or, with a file, all."""
        with contextlib.suppress(StoreError):  # one needs a salt that is not at hand, or the file cannot be written: it waits
            self._make_hits(min(len(self.queue), max(0, BATCH - len(self._hits))))
            while self._hits and self.waiting and self.waiting.add(self._hits, today=day_of(self._now(), self.zone)):
                self._hits = []
                self._make_hits(min(len(self.queue), BATCH))

    @property
    def _batch(self) -> str:
        """The mark of this process, under which the number of its last batch comes to a server together with that."""
        return f"batch {self.holder}"

    def _bring_in(self) -> None:
        """Bring what waits in the file to the database, some at a turn."""
        if self.waiting and (gone := self.waiting.bring_in(self.store, today=day_of(self._now(), self.zone), complain=self._complain)):
            self.drop("waited_too_long", gone)

    def _hit(self, fields: tuple[Any, ...]) -> Hit | None:
        day, salt = self._salts.of(fields[0] * 1000, self.store)
        visitor, identity, *_ = fields[1]
        if visitor is None:
            if salt is None:
                self.drop("no_salt")
                return None
            visitor = salt.pseudonym(identity)
        hit = self._collector.hit(fields, day=day, visitor=visitor)
        if not self.rules.forms:
            return hit
        for step in steps(self._forms, fields):
            self.count(step)
        form = form_of(self._forms, fields)
        if form is not None and not form.link_visit:  # by its time one could tell whose submission it was
            return without_person(hit)
        return hit

    def _write(self, hits: list[Hit]) -> None:
        store = self.store
        try:
            self._batches += 1
            with store.transaction():
                store.add_hits(hits)
                if store.is_shared:
                    store.set_mark(self._batch, self._batches)
        except (Unstorable, TypeError, ValueError, OverflowError):
            self._write_singly(hits)

    def _write_singly(self, hits: list[Hit]) -> None:
        """One hit in the batch cannot be stored: find it, drop it, keep the others. What is written leaves the list at once."""
        while hits:
            try:
                with self.store.transaction():
                    self.store.add_hits(hits[:1])
            except (Unstorable, TypeError, ValueError, OverflowError) as error:
                self.lost(error)
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

    def _upkeep(self) -> None:
        if self._checkpoint_due:
            self._checkpoint_due = not self.store.checkpoint()
        for duty in self.duties:
            duty(self.store)
        if self._purge.step(self.store, now=self._now(), holder=self.holder):
            self._checkpoint_due = True
