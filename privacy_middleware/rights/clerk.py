"""Does what takes time for data requests: erases, corrects, asks the host's sources, keeps deadlines.

One thread a process, started when there is something to do, with a connection of its own. Of several workers one at a time works,
under a lease; what it has not ended, another goes on with.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from ..errors import StoreError, VaultError
from ..forms import AUDIT_DAYS
from ..record.purge import LONGEST_JUMP_DAYS
from ..settings import REQUEST_DAYS
from ..store import queries, service_queries
from ..store.base import Store
from . import audit, consents, erasure, limits, links, mails, newsletter, notices, outbox, requests
from .correction import apply
from .deadlines import REMIND_DAYS
from .erasure import SourcesFailed
from .requests import DAY, UNPROVEN_DAYS, Request
from .worker import OfficeWorker

Result = TypeVar("Result")

MOST_A_TURN: Final = 50
MOST_ASKED: Final = 50
RETRY_MINUTES: Final = (1, 5, 15, 60, 240)
MINUTE: Final = 60_000


class Clerk(OfficeWorker):
    """The thread and its queue of jobs: what is due, and what a page has it do."""

    name = "privacy-clerk"
    what = "data requests"
    lease = "clerk"
    look_seconds = 2.0
    patience = 600.0

    def _reset(self) -> None:
        super()._reset()
        self._ask_at = 0
        """When the next of those who signed up for the newsletter may be asked, if too many have today."""
        self._jobs: deque[tuple[Callable[[Store], Any], Future[Any]]] = deque()

    # --- from other threads ------------------------------------------------------------------------------------------------

    def _is_anything_due(self, store: Store, now: int) -> bool:
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
        return bool(due[0]["duty"]) or self._is_service_due(store, now)

    def _is_service_due(self, store: Store, now: int) -> bool:
        periods = {"before": now - AUDIT_DAYS * DAY, "delivered": now - newsletter.KEPT_DAYS * DAY, "hopeless": now - newsletter.HOPELESS}
        can_ask = self.office.can_ask and now >= self._ask_at
        found = store.rows(service_queries.ANY_SERVICE, now=now, can_ask=can_ask, **periods)
        return bool(found[0]["duty"])

    def hurry(self) -> Future[None]:
        """Have it look at once; the future is done when what was due is done."""
        return self.ask(self._duties)

    def ask(self, job: Callable[[Store], Result]) -> Future[Result]:
        """Have the thread do something with the store and the host's sources."""
        future: Future[Result] = Future()
        if self._unusable or len(self._jobs) >= MOST_ASKED:
            future.set_exception(StoreError("the database cannot be asked at the moment; try again later"))
            return future
        self._jobs.append((job, future))
        self._call()
        return future

    def _call(self) -> None:
        if not self._jobs:
            self.hurry()
        else:
            super()._call()

    @property
    def is_idle(self) -> bool:
        """True if nothing is under way."""
        return not (self._jobs or self._busy)

    # --- the thread --------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        super()._run()
        if self._jobs:  # asked after the last look
            self._call()

    def _turn(self) -> None:
        self._busy = True
        try:
            while self._jobs:
                with self._turning:
                    self._do(*self._jobs.popleft())
            with self._turning:
                self._end_turn()
        finally:
            self._busy = False

    def _do(self, job: Callable[[Store], Any], future: Future[Any]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        self._begin_job()
        try:
            self._open()
            future.set_result(job(self.store))
        except Exception as error:  # whatever it is, the caller gets it
            self._failed(error)
            future.set_exception(error)

    def _end_turn(self) -> None:
        try:
            self._open()
            self._empty_journal()
        except Exception as error:  # the thread must outlive any fault
            self._failed(error)

    # --- what is due -------------------------------------------------------------------------------------------------------

    def _duties(self, store: Store) -> None:
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
                self._checkpoint_due |= bool(consents.lapse(store, now=now))
                notices.purge(store, now=now)
                newsletter.purge(store, now=now)
        self._ask_for_proofs(store)
        self._ask_at = consents.ask_new(self.office, store, now=now)
        may_call_off = has_jumped and self.office.settings.erasure_delay  # their time is not over, if the clock is wrong
        for row in store.rows(queries.REQUESTS_TO_DO, now=now, most=MOST_A_TURN) if not may_call_off else ():
            self._begin_job()
            request = requests.get(store, row["id"])  # an erasure before it may have ended it
            if request.state == "confirmed" and self._has_lease(store):
                self._do_request(store, request)
        self._remind(store)

    def _has_clock_jumped(self, store: Store, now: int) -> bool:
        """A wrong clock must not delete."""
        seen = store.mark("clock")
        if seen is None or now - seen <= LONGEST_JUMP_DAYS * DAY:
            return False
        text = "no data request lapses: the clock jumped by over %d days; if it is right, run `privacy-middleware purge`"
        self._complain("clock", text, LONGEST_JUMP_DAYS)
        return True

    def _ask_for_proofs(self, store: Store) -> None:
        """Of requests that came while no mail could be sent."""
        if not self.office.can_ask:
            return
        for row in store.rows(queries.REQUESTS_IN, state="received", most=MOST_A_TURN):
            request = Request(**row)
            try:
                with store.transaction():
                    who = requests.particulars(self.office, store, request)
                    requests.ask_for_proof(self.office, store, request, who, now=self._now())
            except VaultError as error:  # it cannot be opened with the keys given; the others can
                self._failed(error)

    def _do_request(self, store: Store, request: Request) -> None:
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

    def _put_off(self, store: Store, request: Request, error: Exception) -> None:
        places = error.names if isinstance(error, SourcesFailed) else ["the database"]
        minutes = RETRY_MINUTES[min(request.tries, len(RETRY_MINUTES) - 1)]
        now = self._now()
        with store.transaction():
            store.execute(queries.SET_TRIES, id=request.id, tries=request.tries + 1, acts=now + minutes * MINUTE)
            about = f"{request.kind} {request.id.hex()}: {', '.join(places)}"
            audit.note(store, now=now, actor=audit.SYSTEM, action="request failed", about=about, subject=request.lookup)
            if not request.tries:
                outbox.tell_owner(self.office, store, mails.trouble(self.office, request.kind, request.id, places=places), now=now)

    def _remind(self, store: Store) -> None:
        now = self._now()
        for row in store.rows(queries.REQUESTS_DUE, before=now + REMIND_DAYS[0] * DAY):
            request = Request(**row)
            stage = sum(request.due <= now + days * DAY for days in REMIND_DAYS)
            if stage > request.reminded:
                with store.transaction():
                    store.execute(queries.SET_REMINDED, id=request.id, reminded=stage)
                    mail = mails.reminder(self.office, request.kind, request.id, due=request.due)
                    outbox.tell_owner(self.office, store, mail, now=now)
