"""Compares requests a second and the 99th percentile of a bare Flask app with those of the same app under our WSGI middleware.

gunicorn (gthread, one worker or `--workers`, four threads) under wrk, 32 connections, in turns: A B A B … Each figure is the median of the
rounds' ratios to the bare app of the same round. Afterwards every request that wrk counted must be stored in SQLite or counted as dropped,
and the log may not say that the database was locked. `--django` does the same with a Django app, and with the peers that are installed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from common import HERE, environment, needs, settings, temporary_folder
from flask import Flask
from throughput import OURS, WARM_UP_SECONDS, Load, account, free_port, load, report, wait_for


def make() -> Any:
    """Return the app that the environment names, for gunicorn."""
    app = Flask(__name__)
    app.add_url_rule("/articles/<slug>", "article", lambda slug: f"<!doctype html><title>{slug}</title><p>{'word ' * 200}")
    if os.environ["BENCHMARK_APP"] == OURS:
        from privacy_middleware import PrivacyWSGIMiddleware

        app.wsgi_app = PrivacyWSGIMiddleware(app.wsgi_app, **settings(Path(os.environ["BENCHMARK_FOLDER"])))
    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--django", action="store_true")
    options = parser.parse_args()
    needs("wrk")
    peers = [peer for peer in ("django-request", "django-sitepulse") if options.django and is_installed(peer)]
    target = "django_site:make()" if options.django else "wsgi:make()"
    rounds = []
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
        rounds.append({name: measure(name, options.seconds, target, options.workers) for name in ("bare", OURS, *peers)})
    report(rounds)


def is_installed(name: str) -> bool:
    """Tell whether a distribution is there; one that is not is left out, with a line that says so."""
    with contextlib.suppress(PackageNotFoundError):
        version(name)
        return True
    print(f"{name} is not installed", file=sys.stderr)
    return False


def measure(name: str, seconds: int, target: str, workers: int) -> Load | None:
    """Load one app, in processes and a folder of its own."""
    with temporary_folder() as folder:
        with server(name, folder, target, workers) as (address, worker):
            warm_up = load(address, worker, WARM_UP_SECONDS)
            result = load(address, worker, seconds) if warm_up else None
        if name == OURS and result and warm_up:
            account(folder / "privacy.db", warm_up.requests + result.requests)
            complaints = [text for text in (folder / "server.log").read_text().splitlines() if "wait" in text or "locked" in text]
            if complaints:
                raise RuntimeError("\n".join(complaints))
    return result


@contextlib.contextmanager
def server(name: str, folder: Path, target: str, workers: int) -> Iterator[tuple[str, int]]:
    """Run gunicorn; yields the address, and the process of its (first) worker."""
    port = free_port()
    arguments = [
        *(sys.executable, "-m", "gunicorn", target, "--bind", f"127.0.0.1:{port}", "--chdir", str(HERE), "--workers", str(workers)),
        *("--worker-class", "gthread", "--threads", "4", "--keep-alive", "60", "--log-level", "error"),
    ]
    with (folder / "server.log").open("wb") as log:
        variables = environment(BENCHMARK_APP=name, BENCHMARK_FOLDER=str(folder))
        process = subprocess.Popen(arguments, cwd=folder, env=variables, stdout=log, stderr=log)
        try:
            wait_for(port, process)
            time.sleep(1)
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            yield f"http://127.0.0.1:{port}/articles/ten-tips", int(children[0])
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


if __name__ == "__main__":
    main()
