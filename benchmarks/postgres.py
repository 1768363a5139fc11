"""Measures how fast hits reach PostgreSQL by COPY: prepared rows beside plain psycopg, and the whole writer with its classification.

Rows go in by transactions of 1,000, each durable (fsync and synchronous commit), into a cluster of this command's own on the disk of the
temporary folder: in turns by our store, and by plain COPY (text) of the same rows into a table without index, partition or lock.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from common import ROOT, line, median
from exchanges import START, exchanges
from recording import record

from privacy_middleware.privacy import Privacy
from privacy_middleware.store.postgres import PostgresStore
from privacy_middleware.store.queries import HIT_COLUMNS

sys.path.insert(0, str(ROOT))
from tests.databases import Cluster

BATCH: Final = 1_000
_COLUMNS: Final = ", ".join(HIT_COLUMNS)
ROWS: Final = f"SELECT {_COLUMNS} FROM hit ORDER BY id"
Row = tuple[Any, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hits", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    cluster = Cluster(Path(tempfile.gettempdir()), durable=True)
    try:
        compare(cluster, list(exchanges(options.hits, days=1)), options.rounds)
    finally:
        cluster.stop()


def compare(cluster: Cluster, made: Sequence[Row], rounds: int) -> None:
    names = (f"round_{number}" for number in range(10_000))
    rows = rows_of(cluster.make(next(names)), made)
    plain, ours = [], []
    for _ in range(rounds):
        plain.append(rate(PostgresStore(cluster.make(next(names))), rows, copy_plainly, "plain"))
        ours.append(rate(PostgresStore(cluster.make(next(names))), rows, PostgresStore.add_rows, "hit"))
    ratio = median([one / other for one, other in zip(ours, plain, strict=True)])
    line("prepared rows/s, plain psycopg", f"{median(plain):,.0f}", "COPY, a table without index")
    line("prepared rows/s, our store", f"{median(ours):,.0f}", f"{ratio:.2f} x plain")
    whole = [recording(cluster.make(next(names)), made) for _ in range(rounds)]
    line("hits/s, whole writer", f"{median(whole):,.0f}", "queue, classification, commit")


def privacy_at(url: str) -> Privacy:
    privacy = Privacy.from_sources({"database_url": url, "secret_keys": "0" * 40}, {})
    privacy.recorder.clock = lambda: START + 3600.0
    privacy.recorder.submit(lambda _: None).result(60)  # tables and salts are there
    return privacy


def rows_of(url: str, made: Sequence[Row]) -> list[Row]:
    """Return the rows that the recorder makes of exchanges, read back from its table."""
    recorder = privacy_at(url).recorder
    record(recorder, made)
    rows: list[Row] = recorder.submit(lambda store: store.tuples(ROWS)).result(60)
    recorder.close()
    return rows


def batches(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]


def rate(store: PostgresStore, rows: Sequence[Row], insert: Callable[[PostgresStore, Sequence[Row]], object], table: str) -> float:
    """Return rows a second into a fresh table."""
    store.open()
    store.execute("CREATE TABLE plain (LIKE hit)")
    begun = time.perf_counter()
    for batch in batches(rows):
        if insert is copy_plainly:
            insert(store, batch)
        else:
            with store.transaction():
                insert(store, batch)
    seconds = time.perf_counter() - begun
    if store.value(f"SELECT COUNT(*) FROM {table}") != len(rows):
        raise RuntimeError("not all rows are stored")
    store.close()
    return len(rows) / seconds


def copy_plainly(store: PostgresStore, rows: Sequence[Row]) -> None:
    statement = f"COPY plain ({_COLUMNS}, id) FROM STDIN"
    with store.connection.transaction(), store.connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row((*row, 1))


def recording(url: str, made: Sequence[Row]) -> float:
    """Return hits a second through a fresh recorder."""
    recorder = privacy_at(url).recorder
    begun = time.perf_counter()
    record(recorder, made)
    seconds = time.perf_counter() - begun
    recorder.close()
    return len(made) / seconds


if __name__ == "__main__":
    main()
