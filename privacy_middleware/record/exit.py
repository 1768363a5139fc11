"""Commits what is queued when the process ends: at interpreter exit, and on SIGTERM, after which no lifespan event may come."""

from __future__ import annotations

import atexit
import multiprocessing
import multiprocessing.util
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any, Final

from .fork import Forkable
from .intake import Intake
from .recorder import Recorder

DRAIN_SECONDS: Final = 30.0
"""How long after SIGTERM requests may still be on their way to their end."""
SECONDS: Final = 2.0
"""Longest that an ending process waits for the database."""


def flush_at_exit(recorder: Forkable) -> None:
    """Commit and close when the interpreter exits; a recorder that nobody uses any more is let go."""
    reference = weakref.ref(recorder)

    def close() -> None:
        alive = reference()
        if alive is not None:
            alive.close(SECONDS)

    atexit.register(close)
    weakref.finalize(recorder, atexit.unregister, close).atexit = False
    if multiprocessing.parent_process() is not None:  # such processes end without calling what is registered there (granian)
        multiprocessing.util.Finalize(None, close, exitpriority=1)
    uwsgi = sys.modules.get("uwsgi")
    if uwsgi is not None:  # and so do its workers
        setattr(uwsgi, "atexit", partial(_one_after_the_other, close, getattr(uwsgi, "atexit", None)))  # noqa: B010 - it is no attribute yet


def _one_after_the_other(first: Callable[[], object], then: Callable[[], object] | None) -> None:
    first()
    if then is not None:
        then()


def uwsgi_fault() -> str:
    """Return why no thread of ours can run under uWSGI as it was started; "" if it can, or if this is another server."""
    uwsgi = sys.modules.get("uwsgi")
    if uwsgi is None:
        return ""
    if "gevent" in uwsgi.opt:
        return "uWSGI's gevent loop lets no thread run, and visits are lost: run it with --processes and --threads instead"
    if not {"enable-threads", "threads"} & set(uwsgi.opt):
        return "uWSGI lets no thread run, and visits are lost: start it with --enable-threads"
    return ""


def flush_on_sigterm(recorder: Recorder, intake: Intake) -> None:
    """Commit on SIGTERM, then let whoever handled the signal before do so.

    Needed where the server ends by the signal itself without a lifespan shutdown (uvicorn raises it again once it has
    stopped, and the default handler ends the process without any exit function). Python allows it in the main thread only.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    before = signal.getsignal(signal.SIGTERM)
    if before is None or before is signal.SIG_IGN:
        return
    reference, other = weakref.ref(recorder), weakref.ref(intake)

    def handle(number: int, frame: FrameType | None) -> Any:
        alive, forms = reference(), other()
        if alive is not None:
            alive.ending = time.monotonic() + DRAIN_SECONDS
            # The signal came between any two instructions of this thread, which may hold any lock: look only, and take none.
            # The recorder drains on a clock.
            end = time.monotonic() + SECONDS
            while not (alive.is_idle and (forms is None or forms.is_idle)) and time.monotonic() < end:
                time.sleep(0.01)
        if callable(before):
            return before(number, frame)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        return None

    signal.signal(signal.SIGTERM, handle)
