"""What clerk and postman share: a thread that works for the office."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..record.worker import LeasedWorker
from ..store.base import Store
from .office import Office


class OfficeWorker(LeasedWorker):
    """A thread of the office, of which one process at a time works."""

    def __init__(self, store: Store, office: Office, *, count: Callable[..., None], clock: Callable[[], float] = time.time) -> None:
        self.office = office
        super().__init__(store, count=count, clock=clock)
