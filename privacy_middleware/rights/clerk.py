"""Does what takes time for data requests: erases, corrects, asks the host's sources, keeps deadlines.

One thread a process, started when there is something to do, with a connection of its own. Of several workers one at a time works,
under a lease; what it has not ended, another goes on with.
"""

from __future__ import annotations

import logging
import sqlite3
import time
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from ..errors import PrivacyError, StoreError
from ..record.fork import Worker, mind_forks
from ..record.purge import LONGEST_JUMP_DAYS
from ..settings import REQUEST_DAYS
from ..store import queries
from ..store.sqlite import SQLiteStore
from . import audit, erasure, limits, links, mails, outbox, requests
from .correction import apply
from .deadlines import REMIND_DAYS
from .erasure import SourcesFailed
from .office import Office
from .requests import DAY, UNPROVEN_DAYS, Request

logger = logging.getLogger("privacy_middleware")
Result = TypeVar("Result")

LOOK_SECONDS: Final = 2.0
LEASE_MS: Final = 30_000
JOB_SECONDS: Final = 600
"""How long one job may take before another worker may go on with the rest."""
MOST_A_TURN: Final = 50
MOST_ASKED: Final = 50
RETRY_MINUTES: Final = (1, 5, 15, 60, 240)
MINUTE: Final = 60_000


class Clerk(Worker):
    """The thread and its queue. `look` finds what is due; `ask` has it do something for a page."""

    name = "privacy-clerk"
    what = "data requests"

    def __init__(self, store: SQLiteStore, office: Office, *, count: Callable[..., None], clock: Callable[[], float] = time.time) -> None:
        """Arguments: `count(name, amount)` adds to a counter; `clock` gives epoch seconds."""
        self.store = store
        self.office = office
        self.clock = clock
        self._count = count
        self._reset()
        mind_forks(self)

    def _reset(self) -> None:
        self._begin()
        self._jobs: deque[tuple[Callable[[SQLiteStore], Any], Future[Any]]] = deque()
        self._working = False
        self._checkpoint_due = False
        self._look_due = 0.0
        self._patient_until = 0.0
        self.holder = uuid.uuid4().hex

    def after_fork_in_child(self) -> None:
        """Share nothing with the parent's thread. If its turn did not end in time, its connection is left alone."""
        clean = self._forking
        self._reset()
        self._unusable = not clean

    # --- from other threads ------------------------------------------------------------------------------------------------

    def look(self, store: SQLiteStore) -> None:
        """In the recorder's thread, each turn: wake the clerk if something is due, and keep its lease while it works."""
        if time.monotonic() < self._look_due:
            return
        self._look_due = time.monotonic() + LOOK_SECONDS
        now = self._now()
        if self._working:
            self._keep_lease(store, now)
        elif self._checkpoint_due or self._is_anything_due(store, now):
            self.hurry()

    def _keep_lease(self, store: SQLiteStore, now: int) -> None:
        """Not for ever: if a source of the host's hangs, another worker must be able to go on."""
        if time.monotonic() < self._patient_until:
            store.take_lease("clerk", self.holder, now=now, until=now + LEASE_MS)
        else:
            self._complain("hangs", "a data source has not answered for %d minutes; data requests wait for it", JOB_SECONDS // 60)

    def _is_anything_due(self, store: SQLiteStore, now: int) -> bool:
        first, last = REMIND_DAYS
        due = store.rows(
            queries.ANY_DUTY,
            now=now,
            can_ask=self.office.can_ask,
            unedited=now - links.LIFE["correct"],
            remind=now + first * DAY,
            last=now + last * DAY,
            closed=now - REQUEST_DAYS * DAY,
            unproven=now - UNPROVEN_DAYS * DAY,
            hour=now // limits.HOUR - limits.HOURS,
        )
        return bool(due[0]["duty"])

    def hurry(self) -> Future[None]:
        """Have it look at once; the future is done when what was due is done."""
        return self.ask(self._duties)

    def ask(self, job: Callable[[SQLiteStore], Result]) -> Future[Result]:
        """Have the thread do something with the store and the host's sources."""
        future: Future[Result] = Future()
        if self._unusable or len(self._jobs) >= MOST_ASKED:
            future.set_exception(StoreError("the database cannot be asked at the moment; try again later"))
            return future
        self._jobs.append((job, future))
        self._start()
        self._wake.set()
        return future

    @property
    def is_idle(self) -> bool:
        """True if nothing is under way."""
        return not (self._jobs or self._working)

    def close(self, timeout: float = 2.0) -> None:
        """End what is under way, close the database, end the thread. What is left is done by the next process."""
        thread = self._thread
        if thread is None:
            return
        self._closing = True
        self._wake.set()
        thread.join(timeout)

    # --- the thread --------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._closing:
                self._wake.wait()
                self._wake.clear()
                self._turn()
        finally:  # whatever ends the thread, the next job starts another
            with self._turning:
                self._give_lease_back("clerk", self.holder)
                self.store.close()
            with self._starting:
                self._closing = False
                self._thread = None
            if self._jobs:  # asked after the last look
                self._start()
                self._wake.set()

    def _turn(self) -> None:
        self._working = True
        try:
            while self._jobs:
                with self._turning:
                    self._do(*self._jobs.popleft())
            with self._turning:
                self._guarded(self._empty_journal)
        finally:
            self._working = False

    def _do(self, job: Callable[[SQLiteStore], Any], future: Future[Any]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        self._patient_until = time.monotonic() + JOB_SECONDS
        try:
            self._open()
            future.set_result(job(self.store))
        except Exception as error:  # whatever it is, the caller gets it
            self._failed(error)
            future.set_exception(error)

    def _guarded(self, duty: Callable[[SQLiteStore], object]) -> None:
        try:
            self._open()
            duty(self.store)
        except Exception as error:  # the thread must outlive any fault
            self._failed(error)

    def _open(self) -> None:
        if self.store.replaced:
            self.store.close()
        if not self.store.is_open:
            self.store.open(mend=False)

    def _failed(self, error: Exception) -> None:
        kind = str(error) if isinstance(error, PrivacyError) else getattr(error, "sqlite_errorname", type(error).__name__)
        self._count(f"fault.{type(error).__name__}")
        self._complain(f"fault {kind}", "data requests wait: %s", kind)
        if isinstance(error, sqlite3.Error):
            self.store.close()

    def _now(self) -> int:
        return int(self.clock() * 1000)

    # --- what is due -------------------------------------------------------------------------------------------------------

    def _has_lease(self, store: SQLiteStore) -> bool:
        now = self._now()
        return store.take_lease("clerk", self.holder, now=now, until=now + LEASE_MS)

    def _duties(self, store: SQLiteStore) -> None:
        if not self._has_lease(store):
            return
        now = self._now()
        has_jumped = self._has_clock_jumped(store, now)
        if not has_jumped:
            requests.lapse(store, now=now)
            requests.purge(store, now=now)
            outbox.drop_expired(self.office, store, now=now)
            with store.transaction():
                store.execute(queries.PURGE_ATTEMPTS, before=now // limits.HOUR - limits.HOURS, after=now // limits.HOUR)
        self._ask_for_proofs(store)
        may_call_off = has_jumped and self.office.settings.erasure_delay  # their time is not over, if the clock is wrong
        for row in store.rows(queries.REQUESTS_TO_DO, now=now, most=MOST_A_TURN) if not may_call_off else ():
            self._patient_until = time.monotonic() + JOB_SECONDS
            request = requests.get(store, row["id"])  # an erasure before it may have ended it
            if request.state == "confirmed" and self._has_lease(store):
                self._do_request(store, request)
        self._remind(store)

    def _has_clock_jumped(self, store: SQLiteStore, now: int) -> bool:
        """A wrong clock must not delete."""
        seen = store.mark("clock")
        if seen is None or now - seen <= LONGEST_JUMP_DAYS * DAY:
            return False
        text = "no data request lapses: the clock jumped by over %d days; if it is right, run `privacy-middleware purge`"
        self._complain("clock", text, LONGEST_JUMP_DAYS)
        return True

    def _ask_for_proofs(self, store: SQLiteStore) -> None:
        """Of requests that came while no mail could be sent."""
        if not self.office.can_ask:
            return
        for row in store.rows(queries.REQUESTS_IN, state="received", most=MOST_A_TURN):
            request = Request(**row)
            try:
                with store.transaction():
                    who = requests.particulars(self.office, store, request)
                    requests.ask_for_proof(self.office, store, request, who, now=self._now())
            except PrivacyError as error:  # it cannot be opened with the keys given; the others can
                self._failed(error)

    def _do_request(self, store: SQLiteStore, request: Request) -> None:
        """Do an erasure or correction; one that fails is tried again later, and the owner is told once."""
        try:
            if request.kind == "erasure":
                erasure.erase(self.office, store, request, now=self._now())
                self._checkpoint_due = True
            else:
                apply(self.office, store, request, now=self._now())
        except Exception as error:  # whatever it is: it is tried again, and the others are done
            self._failed(error)
            if not store.is_open:
                self._open()
            self._put_off(store, request, error)
        else:
            self._complained.clear()

    def _put_off(self, store: SQLiteStore, request: Request, error: Exception) -> None:
        places = error.names if isinstance(error, SourcesFailed) else ["the database"]
        minutes = RETRY_MINUTES[min(request.tries, len(RETRY_MINUTES) - 1)]
        now = self._now()
        with store.transaction():
            store.execute(queries.SET_TRIES, id=request.id, tries=request.tries + 1, acts=now + minutes * MINUTE)
            about = f"{request.kind} {request.id.hex()}: {', '.join(places)}"
            audit.note(store, now=now, actor=audit.SYSTEM, action="request failed", about=about, subject=request.lookup)
            if not request.tries:
                requests.tell_owner(self.office, store, mails.trouble(self.office, request.kind, request.id, places=places), now=now)

    def _remind(self, store: SQLiteStore) -> None:
        now = self._now()
        for row in store.rows(queries.REQUESTS_DUE, before=now + REMIND_DAYS[0] * DAY):
            request = Request(**row)
            stage = sum(request.due <= now + days * DAY for days in REMIND_DAYS)
            if stage > request.reminded:
                with store.transaction():
                    store.execute(queries.SET_REMINDED, id=request.id, reminded=stage)
                    mail = mails.reminder(self.office, request.kind, request.id, due=request.due)
                    requests.tell_owner(self.office, store, mail, now=now)

    def _empty_journal(self, store: SQLiteStore) -> None:
        """What was deleted must not stay in the journal."""
        if self._checkpoint_due:
            self._checkpoint_due = not store.checkpoint()
