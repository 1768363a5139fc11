"""Lets a task on any event loop wait for what a thread of ours does, for a bounded time.

It looks again every few milliseconds instead of waiting in a thread: the host's own endpoints need those.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from time import monotonic
from typing import Final, TypeVar

import anyio
from anyio.lowlevel import RunVar

Result = TypeVar("Result")
_OWN_THREADS: Final = 2
_limiter: Final[RunVar[anyio.CapacityLimiter]] = RunVar("privacy_middleware threads")
PATIENCE: Final = 3.0
"""Seconds that a page waits for the database before it says that it could not be reached."""
LOOK: Final = 0.005


async def answer_of(future: Future[Result], *, patience: float = PATIENCE) -> Result:
    """Return what a thread of ours answers, within `patience` seconds.

    Raises:
        TimeoutError, StoreError: if the database cannot be used; the question is then withdrawn.
    """
    end = monotonic() + patience
    while not future.done():
        if monotonic() > end:
            future.cancel()
            raise TimeoutError
        await anyio.sleep(LOOK)
    return future.result()


async def in_thread(work: Callable[[], Result]) -> Result:
    """Do some work beside the event loop, in one of a few threads that are not the host's."""
    try:
        limiter = _limiter.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(_OWN_THREADS)
        _limiter.set(limiter)
    return await anyio.to_thread.run_sync(work, limiter=limiter)
