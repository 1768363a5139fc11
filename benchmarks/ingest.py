"""Measures how fast hits reach SQLite: prepared rows beside plain sqlite3, and the whole writer with its classification.

Rows go in by transactions of 1,000, in WAL mode with `synchronous=FULL`, in turns with plain `executemany` of the same rows
into the same table. The whole writer is the recorder's own thread: queued exchanges become hits and are committed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from common import line, median, temporary_folder
from exchanges import exchanges
from recording import new_privacy, record

from privacy_middleware.store.queries import HIT_COLUMNS
from privacy_middleware.store.sqlite import SQLiteStore

BATCH: Final = 1_000
_COLUMNS: Final = ", ".join(HIT_COLUMNS)
PLAIN: Final = f"INSERT INTO hit ({_COLUMNS}) VALUES ({', '.join('?' * len(HIT_COLUMNS))})"
ROWS: Final = f"SELECT {_COLUMNS} FROM hit ORDER BY id"
Row = tuple[Any, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hits", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    made = list(exchanges(options.hits, days=1))
    prepared_rows(made, options.rounds)
    whole_writer(made, options.rounds)


def prepared_rows(made: Sequence[Row], rounds: int) -> None:
    rows = in_folder(lambda folder: rows_of(made, folder))
    plain, ours = [], []
    for _ in range(rounds):
        plain.append(in_folder(lambda folder: insertion(rows, folder, insert_plainly)))
        ours.append(in_folder(lambda folder: insertion(rows, folder, SQLiteStore.add_rows)))
    ratio = median([one / other for one, other in zip(ours, plain, strict=True)])
    line("prepared rows/s, plain sqlite3", f"{median(plain):,.0f}", "executemany")
    line("prepared rows/s, our store", f"{median(ours):,.0f}", f"{ratio:.2f} x plain")


def whole_writer(made: Sequence[Row], rounds: int) -> None:
    rates = [in_folder(lambda folder: recording(made, folder)) for _ in range(rounds)]
    line("hits/s, whole writer", f"{median([rate for rate, _ in rates]):,.0f}", "queue, classification, commit")
    line("hits per second of processor time", f"{median([rate for _, rate in rates]):,.0f}", "without its pauses and waits for the disk")


def in_folder(work: Callable[[Path], Any]) -> Any:
    with temporary_folder() as folder:
        return work(folder)


def batches(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]


def rows_of(made: Sequence[Row], folder: Path) -> list[Row]:
    """Return the rows that the recorder makes of exchanges, read back from its table."""
    recorder = new_privacy(folder).recorder
    record(recorder, made)
    rows: list[Row] = recorder.submit(lambda store: store.connection.execute(ROWS).fetchall()).result(60)
    recorder.close()
    return rows


def insertion(rows: Sequence[Row], folder: Path, insert: Callable[[SQLiteStore, Sequence[Row]], object]) -> float:
    """Return rows a second into a fresh file."""
    store = SQLiteStore(folder / "privacy.db")
    store.open()
    begun = time.perf_counter()
    for batch in batches(rows):
        with store.transaction():
            insert(store, batch)
    rate = len(rows) / (time.perf_counter() - begun)
    check(store, len(rows))
    store.close()
    return rate


def insert_plainly(store: SQLiteStore, rows: Sequence[Row]) -> None:
    store.connection.executemany(PLAIN, rows)


def recording(made: Sequence[Row], folder: Path) -> tuple[float, float]:
    """Return hits a second, of the clock and of processor time, through a fresh recorder."""
    recorder = new_privacy(folder).recorder
    begun, processor = time.perf_counter(), time.process_time()
    record(recorder, made)
    seconds, processor = time.perf_counter() - begun, time.process_time() - processor
    recorder.submit(lambda store: check(store, len(made))).result(60)
    recorder.close()
    return len(made) / seconds, len(made) / processor


def check(store: SQLiteStore, expected: int) -> None:
    stored = store.connection.execute("SELECT COUNT(*) FROM hit").fetchone()[0]
    if stored != expected:
        raise RuntimeError(f"{stored} rows are stored, and should be {expected}")


if __name__ == "__main__":
    main()
