"""Sends the mails of the outbox, in a thread of its own: a slow mail server keeps nothing else waiting."""

from __future__ import annotations

import time
from typing import Final

from ..store import queries
from ..store.base import Store
from . import outbox
from .worker import OfficeWorker

PAUSE_SECONDS: Final = 30.0
"""How long no other attempt is made after the mail server was away."""


class Postman(OfficeWorker):
    """The thread; a mail that is due wakes it."""

    name = "privacy-postman"
    what = "mails"
    lease = "postman"
    look_seconds = 1.0
    patience = 960.0  # the longest that a mail server is waited for, and more

    def _is_anything_due(self, store: Store, now: int) -> bool:
        return self.office.send is not None and bool(store.rows(queries.ANY_MAIL_DUE, now=now)[0]["duty"])

    def _turn(self) -> None:
        with self._turning:
            self._busy = True
            try:
                self._open()
                if self._may_send():
                    self._note(outbox.deliver(self.office, self.store, now=self._now(), may_send=self._may_send))
                self._empty_journal()
            except Exception as error:  # the thread must outlive any fault
                self._failed(error)
            finally:
                self._busy = False

    def _may_send(self) -> bool:
        self._begin_job()
        return not self._closing and self._has_lease(self.store)

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
