"""Tells recipients what they must be told, in a thread of its own: a webhook that hangs keeps no data request waiting."""

from __future__ import annotations

from ..store import service_queries as queries
from ..store.base import Store
from . import notices
from .worker import OfficeWorker


class Messenger(OfficeWorker):
    """The thread; a notice that is due wakes it."""

    name = "privacy-messenger"
    what = "notices to recipients"
    lease = "messenger"
    look_seconds = 2.0
    patience = 600.0

    def _is_anything_due(self, store: Store, now: int) -> bool:
        return bool(store.value(queries.ANY_NOTICE_DUE, now=now))

    def _turn(self) -> None:
        with self._turning:
            self._busy = True
            try:
                self._open()
                notices.deliver(self.office, self.store, now=self._now(), may_go=self._may_go)
            except Exception as error:  # the thread must outlive any fault
                self._failed(error)
            finally:
                self._busy = False

    def _may_go(self) -> bool:
        self._begin_job()
        return not self._closing and self._has_lease(self.store)
