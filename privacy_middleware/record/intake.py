"""Takes captured forms, and has each durable before its answer goes out: in the database, or, past the time budget, in the spool.

Where the database is on a server, the spool comes first: this host's disk is sure, and near; from there it goes on to the server at once.

One thread a process, started at the first form, with a connection of its own: a form must wait neither for the recorder's hits nor
for another form that the database keeps waiting. It parses and treats what was captured, off the host's path.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import tzinfo
from itertools import islice
from typing import Final, NamedTuple

from ..collect.form import Body, UnreadableForm, read_fields
from ..collect.treatment import Kept, Unfit, treat
from ..collect.visitor import date_of, day_of
from ..errors import KeyMissing, PrivacyError, StoreError, Unstorable
from ..forms import Form, Outcome
from ..store.base import Store
from ..vault import Vault, field_hash, normalise_email
from . import submissions
from .fork import Worker, leave_signals_alone, mind_forks
from .spool import Spool, openable
from .submissions import Submission

logger = logging.getLogger("privacy_middleware")

HOUR: Final = 3_600_000
MOST_WAITING: Final = 200
MOST_BYTES: Final = 16_777_216
"""Forms, and bytes of them, in memory at most; further ones find no room, and their answers wait for it within the budget."""
SLICE_SECONDS: Final = 0.03
"""How long forms are read before what was read is stored."""
BREATH: Final = 0.001
"""A pause in which the host's threads are let in."""
OVERDUE_SECONDS: Final = 1.0
"""How long after its deadline a large form goes before small ones."""
LEAST_PATIENCE: Final = 0.02
AWAY_SECONDS: Final = 2.0
"""How long the spool is used at once after the database did not answer in time."""
ABSORB_SECONDS: Final = 2.0
MOST_A_TURN: Final = 100
"""Files of the spool that are moved at one go: the recorder's hits wait meanwhile."""
_LEFT_ALONE: Final[list[Store]] = []
"""Stores of a parent process, whose connections must not be closed here."""


class Captured(NamedTuple):
    """One form post as the adapters hand it over: the copy of its body, not yet parsed."""

    form: Form
    outcome: Outcome
    content_type: bytes
    body: Body
    time: float
    """When the request came, epoch seconds."""
    visitor: int | None
    """The pseudonym, if the form declares `link_visit`."""

    def __repr__(self) -> str:
        """Without what was sent: it may end up in a log or a traceback."""
        return f"Captured({self.form.name!r}, {self.body!r})"


class _Ticket(NamedTuple):
    captured: Captured
    deadline: float
    """Until when (monotonic seconds) the database may take it; then it is the spool's turn."""
    future: Future[bool]


class Intake(Worker):
    """The queue of captured forms and its thread."""

    name = "privacy-intake"
    what = "forms"

    def __init__(
        self,
        store: Store,
        spool: Spool,
        *,
        vault: Callable[[], Vault],
        zone: tzinfo,
        statement: Callable[[], bytes],
        wait_seconds: float,
        count: Callable[..., None],
    ) -> None:
        """Arguments: `vault` may read a file and is called in the thread; `count(name, amount)` adds to a counter."""
        self.store = store
        self.spool = spool
        self.wait_seconds = wait_seconds
        self._vault_of = vault
        self._zone = zone
        self._statement = statement
        self._count = count
        self._reset()
        mind_forks(self)

    def _reset(self) -> None:
        self._begin()
        self._queue: deque[_Ticket] = deque()
        self._unwritten: list[Submission] = []
        self._root: bytes | None = None
        self._busy = False
        self._waiting = 0
        self._waiting_bytes = 0
        self._is_spooled = False
        self._away_until = 0.0
        self._absorb_due = 0.0

    def after_fork_in_child(self) -> None:
        """Share nothing with the parent's thread; without a clean end of its turn, this process uses the spool alone."""
        clean = self._forking
        self._reset()
        self._unusable = not clean
        if not clean:  # the parent's connection must be neither used nor closed here
            _LEFT_ALONE.append(self.store)
            self.store = self.store.another()

    def take(self, captured: Captured) -> Future[bool] | None:
        """Queue one form; the future says whether it is durable, or need not be. None if there is no room at the moment."""
        size = captured.body.held
        with self._starting:
            waiting = self._waiting + len(self._unwritten)
            if waiting >= MOST_WAITING or (waiting and self._waiting_bytes + size > MOST_BYTES):
                return None
            self._waiting += 1
            self._waiting_bytes += size
        future: Future[bool] = Future()
        self._queue.append(_Ticket(captured, time.monotonic() + self.wait_seconds, future))
        self._start()
        self._wake.set()
        return future

    @property
    def is_idle(self) -> bool:
        """True if everything taken is durable."""
        return not (self._waiting or self._unwritten or self._busy)

    def ending(self) -> None:
        """Say what could not be made durable before the process ends."""
        left = self._waiting + len(self._unwritten)
        if left:
            self._complain("ending", "%d submissions could not be stored before the end of the process", left)

    def close(self, timeout: float = 2.0) -> None:
        """Finish what is queued, close the database, end the thread. The next form begins anew."""
        end = time.monotonic() + timeout
        while (thread := self._thread) is not None:
            self._closing = True
            self._wake.set()
            thread.join(max(0.0, end - time.monotonic()))
            if time.monotonic() >= end:
                return

    def lost(self, form: Form, reason: str) -> None:
        """Count a submission that the host accepted and that is not kept, and say so: this must not go unnoticed."""
        self._count(f"form.{form.name}.lost.{reason}")
        self._complain(
            f"lost {reason}", "a submission of the form %r was not kept (%s); see `privacy-middleware status`", form.name, reason
        )

    def unread(self, form: Form) -> None:
        """Count an accepted form of which the host had read nothing when it began to answer."""
        self._count(f"form.{form.name}.unread")

    def late(self, form: Form) -> None:
        """Count an answer that went out before its submission was durable: database and spool were both too slow."""
        self._count(f"form.{form.name}.late")

    # --- the thread --------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        leave_signals_alone()
        try:
            while not self._closing:
                self._wake.wait(1.0 if self._unwritten else None)
                self._wake.clear()
                self._turn()
            self._turn()
        finally:  # whatever ends the thread, the next form starts another
            with self._turning:
                self.store.close()
            with self._starting:
                self._closing = False
                self._thread = None
            if self._queue:  # it came after the last look
                self._start()

    def _turn(self) -> None:
        with self._turning:
            self._busy = True
            self._handle([])  # what only memory holds
            taken = self._sorted([])
            while taken:
                end = time.monotonic() + SLICE_SECONDS
                batch: list[tuple[Submission | None, _Ticket]] = []
                while taken and (not batch or time.monotonic() < end):
                    ticket = taken.pop(0)
                    batch.append((self._read(ticket.captured), ticket))
                self._handle(batch)
                taken = self._sorted(taken)
                if taken:
                    time.sleep(BREATH)
            if self._is_spooled:
                self._send_on()
            self._busy = False

    def _send_on(self) -> None:
        """Bring what is in the spool to the server; if it is away, the recorder's thread tries again."""
        self._is_spooled = False
        if time.monotonic() < self._away_until or self._unusable:
            return
        try:
            self._open(self.wait_seconds)
            while absorb(self.store, self.spool, self._vault_of()) == MOST_A_TURN:
                pass
            self._complained.clear()
        except (PrivacyError, OSError) as error:
            self._away(error)

    def _sorted(self, taken: list[_Ticket]) -> list[_Ticket]:
        """Take what has come, too. Small forms need not wait for large ones, unless those have waited for long."""
        taken += [self._queue.popleft() for _ in range(len(self._queue))]
        overdue = time.monotonic() - OVERDUE_SECONDS
        return sorted(taken, key=lambda ticket: (ticket.deadline > overdue, ticket.captured.body.held))

    def _handle(self, batch: Sequence[tuple[Submission | None, _Ticket]]) -> None:
        """Keep what was read, and tell who waits for it."""
        found = [*self._unwritten, *(submission for submission, _ in batch if submission is not None)]
        self._unwritten = []
        try:
            if found:
                self._keep(found, deadline=min((t.deadline for _, t in batch), default=time.monotonic() + self.wait_seconds))
        except Exception as error:  # the thread must outlive any fault; what has an identifier can be tried again
            self._unwritten = found
            self._fault(error)
        with self._starting:
            self._waiting -= len(batch)
            self._waiting_bytes -= sum(ticket.captured.body.held for _, ticket in batch)
        in_memory = {submission.id for submission in self._unwritten}
        for submission, ticket in batch:
            if ticket.future.set_running_or_notify_cancel():
                ticket.future.set_result(submission is None or submission.id not in in_memory)

    def _read(self, captured: Captured) -> Submission | None:
        """Parse and treat; what cannot be read is counted."""
        try:
            return self._submission(captured)
        except UnreadableForm as fault:
            self.lost(captured.form, fault.reason)
        except Exception as error:  # one strange body must not stop the others
            self.lost(captured.form, f"fault_{type(error).__name__}")
        return None

    def _submission(self, captured: Captured) -> Submission | None:
        form, now = captured.form, int(captured.time * 1000)
        day = day_of(now, self._zone)
        sent = read_fields(form, captured.content_type, captured.body)
        values, unfit = treat(form, sent, today=date_of(day), keyed_hash=self._hash_of(form))
        for reason, amount in unfit.items():
            self._count(f"form.{form.name}.dropped.{reason}", amount)
        if not values:
            self._count(f"form.{form.name}.empty")
            return None
        email = self._whose(form, values)
        return Submission(
            id=submissions.new_id(),
            form=form.name,
            purpose=form.purpose,
            day=day,
            time=now if form.link_visit else now - now % HOUR,  # to the millisecond it would be that of a hit
            expires=day + form.retention_days,
            outcome=captured.outcome,
            statement=self._statement(),
            visitor=captured.visitor,
            email=email,
            values=values,
            came=now if email else 0,
        )

    def _whose(self, form: Form, values: dict[str, list[Kept]]) -> str:
        """Return the normalised address of the person; "" if there is none, or several: then the app may have taken another of them."""
        found = {normalise_email(str(value)) for value in values.get(form.identity, ())}
        email = found.pop() if len(found) == 1 else ""
        if form.identity in values and not email:
            self._count(f"form.{form.name}.unidentified")
        return email

    def _hash_of(self, form: Form) -> Callable[[str, str], str]:
        def keyed_hash(field: str, text: str) -> str:
            root = self._root or self._root_in_time()
            if root is None:
                raise Unfit("no_key")
            return field_hash(root, form=form.name, field=field, text=text)

        return keyed_hash

    def _root_in_time(self) -> bytes | None:
        if self._unusable or time.monotonic() < self._away_until:
            return None
        try:
            self._open(self.wait_seconds)
        except (PrivacyError, OSError) as error:
            self._away(error)
            return None
        return self._root

    def _keep(self, found: Sequence[Submission], *, deadline: float) -> None:
        if self.store.is_shared:
            for submission in found:
                self._put_aside(submission)
            self._is_spooled = True
            found, self._unwritten = self._unwritten, []  # what the disk does not take
            if not found:
                return
        if time.monotonic() >= self._away_until and not self._unusable:
            try:  # also where many wait and the time is up: one transaction is quicker than many files
                found = self._commit(found, deadline=max(deadline, time.monotonic() + LEAST_PATIENCE))
            except (PrivacyError, OSError) as error:
                self._away(error)
        for submission in found:
            self._put_aside(submission)

    def _commit(self, found: Sequence[Submission], *, deadline: float) -> list[Submission]:
        """Store submissions in one transaction; returns those that the database can do nothing with."""
        left = []
        self._open(deadline - time.monotonic())
        self.store.wait_at_most(max(0.0, deadline - time.monotonic()))
        with self.store.transaction():
            for submission in found:
                try:
                    with self.store.savepoint():
                        submissions.add(self.store, self._vault_of(), submission)
                except Unstorable as error:
                    self._fault(error)
                    left.append(submission)
                except StoreError:
                    raise
                except Exception as error:  # one must not stop the others
                    self._fault(error)
                    left.append(submission)
        if not left:
            self._complained.clear()
        return left

    def _open(self, patience: float) -> None:
        if self.store.replaced:
            self.store.close()
            self._root = None
        if not self.store.is_open:
            self.store.wait_at_most(patience)
            self.store.open(mend=False)
        if self._root is None:
            with self.store.transaction():
                self._root = submissions.root_key(self.store, self._vault_of())

    def _away(self, error: Exception) -> None:
        """The text of our own errors names the cause and holds no captured value; that of others is not known to."""
        self._away_until = time.monotonic() + AWAY_SECONDS
        kind = str(error) if isinstance(error, PrivacyError) else type(error).__name__
        self._complain(f"away {kind}", "submissions go to %s: the database cannot take them (%s)", self.spool.folder, kind)
        self.store.close()

    def _put_aside(self, submission: Submission) -> None:
        try:
            self.spool.add(self._vault_of(), submission)
        except (OSError, KeyMissing) as error:
            self._unwritten.append(submission)  # and tried again every second, for as long as the process lives
            kind = str(error) if isinstance(error, KeyMissing) else type(error).__name__
            self._complain("spool", "%s cannot be written (%s): submissions wait in memory", self.spool.folder, kind)
        except Exception as error:  # it cannot be written at all: it must not stand in the way of others
            self._fault(error)
            self._count(f"form.{submission.form}.lost.fault")

    def _fault(self, error: Exception) -> None:
        self._count(f"fault.{type(error).__name__}")
        kind = str(error) if isinstance(error, PrivacyError) else type(error).__name__
        self._complain(f"fault {kind}", "a submission cannot be put into the database (%s); see `privacy-middleware status`", kind)

    # --- from the recorder's thread ----------------------------------------------------------------------------------------

    def absorb(self, store: Store) -> int:
        """Move what waits in the spool into the database; returns how many. Looks every two seconds.

        Raises:
            StoreError: if the database cannot be used.
        """
        if time.monotonic() < self._absorb_due:
            return 0
        self._absorb_due = time.monotonic() + ABSORB_SECONDS
        if not self.spool.folder.exists():
            return 0
        return absorb(store, self.spool, self._vault_of(), today=day_of(int(time.time() * 1000), self._zone))


def absorb(store: Store, spool: Spool, vault: Vault, *, today: int = 0) -> int:
    """Move what waits in the spool and can be opened into the database; returns how many.

    What is past its retention on the day `today` is deleted.
    """
    spool.clear(today=today)
    moved = 0
    for path, submission in islice(openable(spool, vault), MOST_A_TURN):
        try:
            with store.transaction():
                submissions.add(store, vault, submission)
        except Exception as error:  # sealed under a key that is not given, or whatever: it stays, and `status` tells of it
            if isinstance(error, StoreError) and not isinstance(error, Unstorable):
                raise
            logger.debug("%s stays in the spool (%s)", path.name, type(error).__name__)
            continue
        spool.remove(path)
        moved += 1
    return moved
