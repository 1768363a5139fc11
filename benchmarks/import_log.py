"""Compares lines a second of our `import` with GoAccess on the same million-line file, in turns, and shows our peak memory.

The file repeats the real log of ../shared/data a hundred times, with days and addresses shifted; where that log is not
present, a generated one. Ours writes each hit to SQLite on the way; GoAccess keeps its totals in memory.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from common import ROOT, environment, line, median, needs, temporary_folder
from exchanges import exchanges

REAL_LOG: Final = ROOT.parent / "shared" / "data" / "apache_10k.log.gz"
DAYS_IN_REAL_LOG: Final = 4
_STAMPED: Final = re.compile(rb"(\d+)(\.\S+ \S+ \S+ \[)([^:]+)(.*)", re.DOTALL)


class Run(NamedTuple):
    """One run of a program: seconds of the clock and of processor time, and peak memory in megabytes."""

    seconds: float
    processor: float
    memory: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    needs("goaccess")
    with temporary_folder() as folder:
        log, quarter = folder / "access.log", folder / "quarter.log"
        origin = write_log(log, options.lines)
        with log.open("rb") as file:
            quarter.write_bytes(b"".join(file.readline() for _ in range(options.lines // 4)))
        print(f"{options.lines:,} lines from {origin}, {log.stat().st_size / 1e6:.0f} MB", file=sys.stderr, flush=True)
        report(log, quarter, options.lines, options.rounds)


def report(log: Path, quarter: Path, lines: int, rounds: int) -> None:
    small = importing(quarter, lines // 4)
    pairs = [(importing(log, lines), goaccess(log, lines)) for _ in range(rounds)]
    ours, theirs = zip(*pairs, strict=True)
    for meaning, field in (("lines/s", "seconds"), ("lines per second of processor time", "processor")):
        of_ours, of_theirs = ([getattr(run, field) for run in runs] for runs in (ours, theirs))
        ratio = median([other / one for one, other in zip(of_ours, of_theirs, strict=True)])
        line(f"{meaning}, GoAccess", f"{lines / median(of_theirs):,.0f}")
        line(f"{meaning}, ours", f"{lines / median(of_ours):,.0f}", f"{ratio:.2f} x GoAccess")
    line("peak memory, GoAccess", f"{theirs[0].memory:.0f} MB")
    line("peak memory, ours", f"{ours[0].memory:.0f} MB", f"a quarter of the file: {small.memory:.0f} MB")


def write_log(path: Path, lines: int) -> str:
    """Write a log of so many lines; returns where they come from."""
    real = REAL_LOG.exists()
    source = _repeated(lines) if real else _generated(lines)
    with path.open("wb") as file:
        file.writelines(source)
    return "the real log, repeated" if real else "generated exchanges"


def _repeated(lines: int) -> Iterator[bytes]:
    with gzip.open(REAL_LOG) as file:
        parts = [match.groups() for match in map(_STAMPED.match, file) if match]
    for number in range(lines):
        turn, place = divmod(number, len(parts))
        network, words, day, rest = parts[place]
        yield b"%d%s%s%s" % (1 + (int(network) + turn) % 223, words, _later(day, turn * DAYS_IN_REAL_LOG), rest)


@cache
def _later(day: bytes, days: int) -> bytes:
    moved = datetime.strptime(day.decode(), "%d/%b/%Y").replace(tzinfo=UTC) + timedelta(days=days)
    return moved.strftime("%d/%b/%Y").encode()


def _generated(lines: int) -> Iterator[bytes]:
    for moment, (_, _, address), method, path, _, query, _, referrer, agent, *_, status, _, _, _, sent, _, _ in exchanges(lines, days=90):
        stamp = datetime.fromtimestamp(moment, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
        target = path + ("?" + query.decode() if query else "")
        request = f'{address[0]}.{address[1]}.{address[2]}.7 - - [{stamp}] "{method} {target} HTTP/1.1" {status} {sent}'
        yield f'{request} "{referrer.decode() or "-"}" "{agent.decode()}"\n'.encode()


def importing(log: Path, lines: int) -> Run:
    """Import into a fresh database by our command, and check that every line is there."""
    with temporary_folder() as folder:
        database = folder / "privacy.db"
        variables = environment(PRIVACY_DATABASE_URL=f"sqlite:///{database}", PRIVACY_SECRET_KEYS="0" * 40)
        result = timed([sys.executable, "-m", "privacy_middleware", "import", str(log)], folder, variables)
        with closing(sqlite3.connect(database)) as connection:
            stored = connection.execute("SELECT COUNT(*) FROM hit").fetchone()[0]
    if stored < 0.999 * lines:  # the real log has a few lines that are not HTTP
        sys.exit(f"only {stored:,} of {lines:,} lines were imported")
    return result


def goaccess(log: Path, lines: int) -> Run:
    with temporary_folder() as folder:
        result = timed(["goaccess", str(log), "--log-format=COMBINED", "--no-progress", "-o", "out.json"], folder, environment())
        counted = json.loads((folder / "out.json").read_text("utf-8", "replace"))["general"]["total_requests"]
    if counted < 0.999 * lines:
        sys.exit(f"GoAccess took only {counted:,} of {lines:,} lines")
    return result


def timed(arguments: Sequence[str], folder: Path, variables: dict[str, str]) -> Run:
    """Run a program to its end; its peak memory is what the kernel says of this one child."""
    with (folder / "output").open("wb") as output:
        begun = time.perf_counter()
        process = subprocess.Popen(arguments, cwd=folder, env=variables, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{arguments[0]} ended with {process.returncode}: {(folder / 'output').read_text('utf-8', 'replace')[-2000:]}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


if __name__ == "__main__":
    main()
