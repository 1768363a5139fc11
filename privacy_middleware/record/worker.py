"""A thread of which one process at a time works, under a lease: what clerk, postman and bookkeeper share."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Final

from ..errors import PrivacyError, StoreError
from ..store.base import Store
from .fork import Worker, mind_forks

LEASE_MS: Final = 30_000


class LeasedWorker(Worker):
    """`look` wakes it when something is due, and keeps its lease while it works; what it has not ended, another process goes on with."""

    lease: str
    look_seconds: float
    patience: float
    """How many seconds one job may take: if the host's code or a server hangs, another process must be able to go on with the rest."""

    def __init__(self, store: Store, *, count: Callable[..., None], clock: Callable[[], float] = time.time) -> None:
        """Arguments: `count(name, amount)` adds to a counter; `clock` gives epoch seconds."""
        self.store = store
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

    # --- from other threads ------------------------------------------------------------------------------------------------

    def look(self, store: Store) -> None:
        """In the recorder's thread, each turn: wake the worker if something is due, and keep its lease while it works."""
        if self._unusable or time.monotonic() < self._look_due:
            return
        self._look_due = time.monotonic() + (min(self.look_seconds, LEASE_MS / 3000) if self._busy else self.look_seconds)
        now = self._now()
        if not self._busy:
            if self._checkpoint_due or self._is_anything_due(store, now):
                self._call()
        elif time.monotonic() < self._patient_until:
            self._has_lease(store)
        else:
            self._complain("hangs", "%s have kept their thread for %d minutes; others wait for it", self.what, self.patience // 60)

    def _is_anything_due(self, store: Store, now: int) -> bool:
        raise NotImplementedError

    def _call(self) -> None:
        """Have the thread take a turn."""
        self._start()
        self._wake.set()

    @property
    def is_idle(self) -> bool:
        """True if nothing is under way."""
        return not self._busy

    def close(self, timeout: float = 2.0) -> None:
        """End after what is under way, if that does not take too long. What is left is done by the next process."""
        thread = self._thread
        if thread is not None:
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
        finally:  # whatever ends the thread, the next call starts another
            with self._turning:
                self._give_lease_back(self.lease, self.holder)
                self.store.close()
            with self._starting:
                self._closing = False
                self._thread = None

    def _turn(self) -> None:
        raise NotImplementedError

    def _open(self) -> None:
        if self.store.replaced:
            self.store.close()
        if not self.store.is_open:
            self.store.open(mend=False)

    def _failed(self, error: Exception) -> None:
        """The text of our own errors names the cause and holds no value of a person's; that of others is not known to."""
        kind = str(error) if isinstance(error, PrivacyError) else type(error).__name__
        self._count(f"fault.{type(error).__name__}")
        self._complain(f"fault {kind}", "%s wait: %s", self.what, kind)
        if isinstance(error, StoreError):
            self.store.close()

    def _has_lease(self, store: Store) -> bool:
        """Take the lease, or keep it; False if another process has it."""
        now = self._now()
        return store.take_lease(self.lease, self.holder, now=now, until=now + LEASE_MS)

    def _begin_job(self) -> None:
        self._patient_until = time.monotonic() + self.patience
        self._look_due = 0.0  # from now on its lease is to be kept

    def _empty_journal(self) -> None:
        """What was deleted must not stay in the journal."""
        if self._checkpoint_due:
            self._checkpoint_due = not self.store.checkpoint()

    def _now(self) -> int:
        return int(self.clock() * 1000)
