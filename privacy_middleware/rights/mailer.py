"""Sends newsletters, in a thread of its own: 10,000 mails keep neither a data request nor its answer waiting."""

from __future__ import annotations

import time
from typing import Final

from ..forms import NEWSLETTER
from ..record.worker import LEASE_MS
from ..store import service_queries as queries
from ..store.base import Store
from . import newsletter
from .worker import OfficeWorker

PAUSE_SECONDS: Final = 60.0
"""How long no other attempt is made after the mail server was away."""


class Mailer(OfficeWorker):
    """The thread; an issue that is not sent to everybody wakes it."""

    name = "privacy-newsletter"
    what = "newsletters"
    lease = "newsletter"
    look_seconds = 2.0
    patience = 960.0  # the longest that a mail server is waited for, and more

    def _reset(self) -> None:
        super()._reset()
        self._paused_until = 0
        self._renew_at = 0.0

    def _is_anything_due(self, store: Store, now: int) -> bool:
        is_paused = self.office.send is None or now < self._paused_until
        return not is_paused and bool(store.value(queries.ANY_ISSUE_DUE, now=now, purpose=NEWSLETTER))

    def _turn(self) -> None:
        with self._turning:
            self._busy = True
            try:
                self._open()
                if self.may_send():
                    for issue in newsletter.unfinished(self.store):
                        self._send(issue)
                    self._checkpoint_due |= bool(newsletter.end_bounced(self.office, self.store, now=self._now()))
                self._empty_journal()
            except Exception as error:  # the thread must outlive any fault
                self._paused_until = self._now() + int(PAUSE_SECONDS * 1000)
                self._failed(error)
            finally:
                self._busy = False

    def _send(self, issue: newsletter.Issue) -> None:
        turn = newsletter.send(self.office, self.store, issue, clock=self._now, may_send=self.may_send)
        if turn.fault:
            self._paused_until = self._now() + int(PAUSE_SECONDS * 1000)
            self._complain(f"mail {turn.fault}", "a newsletter waits: mails cannot be sent (%s)", turn.fault)
        else:
            self._complained.clear()

    def may_send(self) -> bool:
        """Tell whether this process is the one that sends; asked before each mail, and looked up a few times a minute."""
        self._begin_job()
        if self._closing:
            return False
        if time.monotonic() >= self._renew_at:
            if not self._has_lease(self.store):
                return False
            self._renew_at = time.monotonic() + LEASE_MS / 3000
        return True
