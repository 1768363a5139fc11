"""Lets a page ask the recorder's thread for something from the database, on any event loop, for a bounded time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import anyio.to_thread

from ..record.recorder import Recorder
from ..store.sqlite import SQLiteStore

Result = TypeVar("Result")
PATIENCE: Final = 3.0
"""Seconds that a page waits for the database before it says that it could not be reached."""


async def ask(recorder: Recorder, command: Callable[[SQLiteStore], Result]) -> Result:
    """Return what `command` returns, done after all that is queued now.

    Raises:
        TimeoutError, StoreError, sqlite3.Error: if the database cannot be used.
    """
    future = recorder.submit(command)
    return await anyio.to_thread.run_sync(future.result, PATIENCE)
