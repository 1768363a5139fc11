"""Prints the bytes that a hit takes in the SQLite file, indexes and dictionaries included.

200,000 plausible hits of 30 days, with shortened addresses, written by the recorder and moved into the file by a checkpoint.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from sqlite3 import Connection, OperationalError

from common import line, temporary_folder
from exchanges import exchanges
from recording import new_privacy, record

from privacy_middleware.store.sqlite import SQLiteStore

DAYS = 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hits", type=int, default=200_000)
    hits = parser.parse_args().hits
    with temporary_folder() as folder:
        recorder = new_privacy(folder).recorder
        record(recorder, list(exchanges(hits, days=DAYS)))
        recorder.submit(lambda store: report(store, hits)).result(60)
        recorder.close()


def report(store: SQLiteStore, hits: int) -> None:
    if not store.checkpoint():
        raise RuntimeError("the journal could not be moved into the file")
    stored = store.connection.execute("SELECT COUNT(*) FROM hit WHERE LENGTH(address) = 3").fetchone()[0]
    if stored != hits:
        raise RuntimeError(f"{stored} hits are stored with a shortened address, and should be {hits}")
    size = sum(Path(f"{store.path}{suffix}").stat().st_size for suffix in ("", "-wal"))
    line("bytes a hit, all included", f"{size / hits:.1f}", f"{hits:,} hits, {size / 1e6:.1f} MB")
    for name, amount in sizes(store.connection):
        line(f"  {name}", f"{amount / hits:.1f}")


def sizes(connection: Connection) -> list[tuple[str, int]]:
    """Return the bytes of each table and index that has over 1 % of the file, where this SQLite can tell."""
    try:
        rows = connection.execute("SELECT name, SUM(pgsize) AS size FROM dbstat GROUP BY name ORDER BY size DESC").fetchall()
    except OperationalError:  # SQLite built without dbstat
        return []
    return [(name, size) for name, size in rows if size > sum(row[1] for row in rows) / 100]


if __name__ == "__main__":
    main()
