"""Sends the mails of the outbox, in a thread of its own: a slow mail server keeps nothing else waiting."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Final

from ..errors import PrivacyError
from ..record.fork import Worker, mind_forks
from ..store import queries
from ..store.sqlite import SQLiteStore
from . import outbox
from .office import Office

LOOK_SECONDS: Final = 1.0
LEASE_MS: Final = 30_000
MAIL_SECONDS: Final = 960
"""How long one mail may take before another worker may go on with the rest; the longest that a mail server is waited for, and more."""
PAUSE_SECONDS: Final = 30.0
"""How long no other attempt is made after the mail server was away."""


class Postman(Worker):
    """The thread; `look` finds whether a mail is due. Of several workers one at a time sends, under a lease."""

    name = "privacy-postman"
    what = "mails"

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
        self._busy = False
        self._look_due = 0.0
        self._patient_until = 0.0
        self._checkpoint_due = False
        self.holder = uuid.uuid4().hex

    def after_fork_in_child(self) -> None:
        """Share nothing with the parent's thread. If its turn did not end in time, its connection is left alone."""
        clean = self._forking
        self._reset()
        self._unusable = not clean

    def look(self, store: SQLiteStore) -> None:
        """In the recorder's thread, each turn: wake the postman if a mail is due, and keep the lease while one is on its way."""
        if self.office.send is None or self._unusable or time.monotonic() < self._look_due:
            return
        self._look_due = time.monotonic() + LOOK_SECONDS
        now = self._now()
        if self._busy:
            if time.monotonic() < self._patient_until:
                store.take_lease("postman", self.holder, now=now, until=now + LEASE_MS)
            else:
                self._complain("hangs", "sending a mail has taken %d minutes; others wait for it", MAIL_SECONDS // 60)
        elif self._checkpoint_due or store.rows(queries.ANY_MAIL_DUE, now=now)[0]["duty"]:
            self._start()
            self._wake.set()

    @property
    def is_idle(self) -> bool:
        """True if no mail is on its way."""
        return not self._busy

    def close(self, timeout: float = 2.0) -> None:
        """End the thread after the mail that is on its way, if that does not take too long. The rest waits in the outbox."""
        thread = self._thread
        if thread is not None:
            self._closing = True
            self._wake.set()
            thread.join(timeout)

    def _run(self) -> None:
        try:
            while not self._closing:
                self._wake.wait()
                self._wake.clear()
                if not self._closing:
                    self._turn()
        finally:  # whatever ends the thread, the next look starts another
            with self._turning:
                self._give_lease_back("postman", self.holder)
                self.store.close()
            with self._starting:
                self._closing = False
                self._thread = None

    def _turn(self) -> None:
        with self._turning:
            self._busy = True
            try:
                self._deliver()
            except Exception as error:  # the thread must outlive any fault; the text of errors not ours may hold an address
                kind = str(error) if isinstance(error, PrivacyError) else getattr(error, "sqlite_errorname", type(error).__name__)
                self._count(f"fault.{type(error).__name__}")
                self._complain(f"fault {kind}", "mails wait: %s", kind)
                self.store.close()
            finally:
                self._busy = False

    def _deliver(self) -> None:
        if self.store.replaced:
            self.store.close()
        if not self.store.is_open:
            self.store.open(mend=False)
        now = self._now()
        if self._may_send():
            self._note(outbox.deliver(self.office, self.store, now=now, may_send=self._may_send))
        if self._checkpoint_due:  # what was sent is deleted, and must not stay in the journal
            self._checkpoint_due = not self.store.checkpoint()

    def _may_send(self) -> bool:
        self._patient_until = time.monotonic() + MAIL_SECONDS
        now = self._now()
        return not self._closing and self.store.take_lease("postman", self.holder, now=now, until=now + LEASE_MS)

    def _note(self, result: outbox.Sent) -> None:
        for name, amount in (("sent", result.sent), ("lost", result.lost)):
            if amount:
                self._count(f"mail.{name}", amount)
        if result.fault:
            self._look_due = time.monotonic() + PAUSE_SECONDS
            self._count("mail.failed")
            self._complain(f"mail {result.fault}", "mails wait: they cannot be sent (%s)", result.fault)
        elif result.sent:
            self._complained.clear()
        self._checkpoint_due |= bool(result.sent or result.lost)

    def _now(self) -> int:
        return int(self.clock() * 1000)
