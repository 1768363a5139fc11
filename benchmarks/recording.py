"""Drives a recorder of our package as the hot path would: fill the queue, wait until it is committed, again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import settings
from exchanges import START

from privacy_middleware.privacy import Privacy
from privacy_middleware.record.recorder import CAPACITY, Recorder


def new_privacy(folder: Path) -> Privacy:
    """Return what our package builds on a fresh file, with a clock that stands on the first day of the exchanges."""
    privacy = Privacy.from_sources(settings(folder), {})
    privacy.recorder.clock = lambda: START + 3600.0
    privacy.recorder.submit(lambda _: None).result(60)  # tables and salts are there
    return privacy


def record(recorder: Recorder, made: Sequence[tuple[Any, ...]]) -> None:
    """Put exchanges, given as the bare fields, and wait until all are committed."""
    for start in range(0, len(made), CAPACITY):
        for exchange in made[start : start + CAPACITY]:
            recorder.put(exchange)
        if not recorder.flush(600):
            raise RuntimeError("the recorder does not keep up")
