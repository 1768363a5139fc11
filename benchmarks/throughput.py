"""Compares requests a second and the 99th percentile of the bare app with those of the same app under our middleware.

uvicorn (uvloop, httptools, one worker, no access log) under wrk, 32 connections, in turns: A B A B … Each figure is the
median of the rounds' ratios to the bare app of the same round. Afterwards every request that wrk counted must be stored
in SQLite or counted as dropped.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from apps import PEERS, installed
from common import HERE, environment, line, median, needs, run, temporary_folder

OURS: Final = "privacy-middleware"
CONNECTIONS: Final = 32
WARM_UP_SECONDS: Final = 1
HEADERS: Final = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "da,en-US;q=0.7,en;q=0.3",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Referer": "https://www.google.com/",
    "Cookie": "theme=dark; sid=eyJhbGciOiJIUzI1NiJ9.e30.x",
    "Upgrade-Insecure-Requests": "1",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "cross-site",
    "Priority": "u=0, i",
}
_UNITS: Final = {"us": 0.001, "ms": 1.0, "s": 1000.0}


class Load(NamedTuple):
    """What wrk saw: requests, requests a second, 50th and 99th percentile in milliseconds; and the server's processor time."""

    requests: int
    rate: float
    p50: float
    p99: float
    processor: float
    """Seconds a request, of all threads."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--peers", action="store_true", help="side by side with other middlewares")
    options = parser.parse_args()
    needs("wrk")
    peers = PEERS if options.peers else ()
    names = ["bare", OURS, *filter(installed, peers)]
    rounds = []
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
        rounds.append({name: measure(name, options.seconds) for name in names})
    report(rounds)
    for name in peers:
        if not installed(name):
            line(name, "", "not installed, left out")


def report(rounds: list[dict[str, Load | None]]) -> None:
    line("against the bare app, median of rounds", "requests/s", "p50    p99    processor time a request")
    for name in rounds[0]:
        pairs = [(loads[name], loads["bare"]) for loads in rounds]
        ratios = [[a / b for a, b in zip(ours[1:], bare[1:], strict=True)] for ours, bare in pairs if ours and bare]
        if len(ratios) < len(rounds):
            line(name, "", "does not work here, left out")
            continue
        rate, p50, p99, processor = map(median, zip(*ratios, strict=True))
        of_all = " ".join(f"{ratio[0]:.2f}" for ratio in ratios)
        absolute = median([ours.rate for ours, _ in pairs if ours])
        line(name, f"{rate:.3f}", f"{p50:.2f}   {p99:.2f}   {processor:.2f}   (rounds: {of_all}; {absolute:,.0f}/s)")


def measure(name: str, seconds: int) -> Load | None:
    """Load one app, in a process and a folder of its own; None if it does not answer as it should."""
    with temporary_folder() as folder:
        with server(name, folder) as (address, process):
            warm_up = load(address, process, WARM_UP_SECONDS)
            result = load(address, process, seconds) if warm_up else None
        if name == OURS and result and warm_up:
            account(folder / "privacy.db", warm_up.requests + result.requests)
    return result


@contextlib.contextmanager
def server(name: str, folder: Path) -> Iterator[tuple[str, int]]:
    """Run uvicorn; on leaving, end it as Ctrl-C does and wait for it."""
    port = free_port()
    arguments = [
        *(sys.executable, "-m", "uvicorn", "--factory", "apps:from_environment", "--port", str(port), "--app-dir", str(HERE)),
        *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"),
    ]
    with (folder / "server.log").open("wb") as log:
        variables = environment(BENCHMARK_APP=name, BENCHMARK_FOLDER=str(folder))
        process = subprocess.Popen(arguments, cwd=folder, env=variables, stdout=log, stderr=log)
        try:
            wait_for(port, process)
            yield f"http://127.0.0.1:{port}/articles/ten-tips", process.pid
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        if process.poll() is not None:
            return
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def load(address: str, process: int, seconds: int) -> Load | None:
    """Run wrk once; None if there was no answer, or one that is no success."""
    headers = [part for name, value in HEADERS.items() for part in ("-H", f"{name}: {value}")]
    before = processor_time(process)
    try:
        text = run(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", *headers, address])
    except RuntimeError:
        return None
    if "Non-2xx" in text or "Socket errors" in text:
        return None
    counted = re.search(r"(\d+) requests in", text)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    if not counted or not rate or counted[1] == "0":
        return None
    requests = int(counted[1])
    spent = (processor_time(process) - before) / requests
    return Load(requests, float(rate[1]), percentile(text, 50), percentile(text, 99), spent)


def processor_time(process: int) -> float:
    """Return the seconds that a process has used so far, all threads together (Linux, proc(5))."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def percentile(text: str, percent: int) -> float:
    found = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s)", text, re.MULTILINE)
    if not found:
        raise RuntimeError(f"wrk printed no percentile:\n{text}")
    return float(found[1]) * _UNITS[found[2]]


def account(database: Path, answered: int) -> None:
    """End the benchmark if a request that was answered is neither stored nor counted as dropped.

    wrk does not count what is under way when it stops: at most one request a connection, in either of its two runs.
    """
    with contextlib.closing(sqlite3.connect(database)) as connection:
        stored = connection.execute("SELECT COUNT(*) FROM hit").fetchone()[0]
        dropped = connection.execute("SELECT COALESCE(SUM(amount), 0) FROM counter WHERE name LIKE 'dropped.%'").fetchone()[0]
    print(f"  wrk counted {answered:,}; stored {stored:,}, dropped and counted {dropped:,}", file=sys.stderr, flush=True)
    if not answered <= stored + dropped <= answered + 2 * CONNECTIONS:
        sys.exit(f"{answered:,} requests were answered, but {stored:,} are stored and {dropped:,} counted as dropped")


if __name__ == "__main__":
    main()
