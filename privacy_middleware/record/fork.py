"""Background threads, each with a database connection of its own; neither may cross a fork (SQLite, "How To Corrupt", section 2.6)."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import weakref
from contextlib import suppress
from typing import Final

from ..errors import StoreError
from ..store.base import Store

logger = logging.getLogger("privacy_middleware")

PATIENCE: Final = 0.5
"""Seconds that a fork waits for a thread to end what it is doing."""


class Forkable:
    """Something with a thread and a connection of its own; the thread holds `_turning` while it uses the connection."""

    store: Store
    _turning: threading.Lock
    _forking = False
    """True if the thread had ended its turn when the process forked."""

    def before_fork(self) -> None:
        """Let the thread end its turn, and close the connection: SQLite allows none to cross a fork ("How To Corrupt", 2.6)."""
        self._forking = self._turning.acquire(timeout=PATIENCE)
        if self._forking:
            self.store.close()

    def after_fork_in_parent(self) -> None:
        """Go on; the next turn opens the database again."""
        if self._forking:
            self._turning.release()

    def after_fork_in_child(self) -> None:
        """Begin with nothing of the parent's."""
        raise NotImplementedError

    def close(self, timeout: float = 2.0) -> None:
        """End the thread, after what is under way."""
        raise NotImplementedError


class Worker(Forkable):
    """A thread that is started when it is first needed, and again if it has ended."""

    name: str
    """What the thread is called."""
    what: str
    """What it is for, as a log says it."""

    def _begin(self) -> None:
        """Have nothing yet, as at first use and in a forked child."""
        self._wake = threading.Event()
        self._starting = threading.Lock()
        self._turning = threading.Lock()
        self._forking = False
        self._unusable = False
        self._thread: threading.Thread | None = None
        self._closing = False
        self._complained: set[str] = set()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name=self.name, daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:  # no more threads: out of memory, or the interpreter is ending
                    self._complain("thread", "no thread can be started for %s (%s)", self.what, type(error).__name__)
                    return
                self._thread = thread

    def _run(self) -> None:
        raise NotImplementedError

    def _give_lease_back(self, name: str, holder: str) -> None:
        """At the end of the thread, so that another worker need not wait; if the database is away, it lapses."""
        if self.store.is_open:
            with suppress(StoreError):
                self.store.give_lease_back(name, holder)

    def _complain(self, topic: str, text: str, *facts: object) -> None:
        """Log a fault once, until it is over."""
        if topic not in self._complained:
            self._complained.add(topic)
            logger.error(text, *facts)


def leave_signals_alone() -> None:
    """Have signals go to the host's own threads: uWSGI, for one, ends in whichever thread one reaches, and a thread cannot wait for itself.

    Not for threads that run the host's code: a process that this starts would inherit it.
    """
    if sys.platform == "linux" and threading.get_native_id() != os.getpid():  # under gevent this is the host's own thread, by turns
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT})


_known: weakref.WeakSet[Forkable] = weakref.WeakSet()


def mind_forks(one: Forkable) -> None:
    """Call the three methods at every fork for as long as it lives."""
    _known.add(one)


def _before() -> None:
    for one in list(_known):
        one.before_fork()


def _after_in_parent() -> None:
    for one in list(_known):
        one.after_fork_in_parent()


def _after_in_child() -> None:
    for one in list(_known):
        one.after_fork_in_child()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
