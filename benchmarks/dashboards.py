"""Prints how long the owner's figures take at 10 million hits of 12 months, and what counting them costs.

The hits are made first (about 700 MB; with `--folder` they are kept for the next run). Each panel is timed for 30 days and 12 months, and
one of them against the same figures by raw SQL over the hits; the whole page is timed through the pages themselves.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import Any

from common import ROOT, line, median, temporary_folder

from privacy_middleware import PrivacyMiddleware
from privacy_middleware.site.panels import PANELS
from privacy_middleware.statistics import bookkeeper, reports
from privacy_middleware.statistics.rollup import Terms
from privacy_middleware.store.base import Store
from privacy_middleware.store.sqlite import SQLiteStore
from privacy_middleware.store.transfer import move

DAYS = 365
HITS_A_VISITOR = 10
BATCH = 50_000
TERMS = Terms(UTC, 3)
RAW = """/* benchmark */
SELECT page.path, COUNT(DISTINCT CAST(day AS TEXT) || ':' || CAST(visitor AS TEXT)) AS visitors, COUNT(*) FROM hit
JOIN page ON page.id = hit.page JOIN agent ON agent.id = hit.agent
WHERE hit.kind = 0 AND agent.bot = '' AND day BETWEEN :first AND :last GROUP BY 1 ORDER BY 2 DESC LIMIT 10"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hits", type=int, default=10_000_000)
    parser.add_argument("--day", type=int, default=1_000_000, help="hits of the one large day")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--postgres", action="store_true", help="also move all to a PostgreSQL of this command's own")
    options = parser.parse_args()
    today = int(time.time() // 86_400)
    with temporary_folder() as folder:
        place = options.folder or folder
        place.mkdir(parents=True, exist_ok=True)
        store = SQLiteStore(place / f"visits-{options.hits}.db")
        is_new = not store.path.exists()
        store.open()
        if is_new:
            fill(store, options.hits, first=today - DAYS, days=DAYS)
        last = store.connection.execute("SELECT MAX(day) FROM hit").fetchone()[0] + 2
        count(store, last)
        sizes(store, options.hits)
        panels(store, last)
        if options.postgres:
            on_postgres(store, last)
        store.close()
        asyncio.run(page(store.path))
        large_day(folder, options.day)


def on_postgres(store: SQLiteStore, today: int) -> None:
    sys.path.insert(0, str(ROOT))
    from privacy_middleware.store.postgres import PostgresStore
    from tests.databases import Cluster

    cluster = Cluster(Path(tempfile.gettempdir()), durable=True)
    target = PostgresStore(cluster.make("site"))
    target.open()
    began = time.monotonic()
    rows = sum(here for _, here in move(store, target).values())
    line("moved to PostgreSQL", f"{rows / (time.monotonic() - began):,.0f} rows/s", f"{rows:,} rows")
    target.checkpoint()
    panels(target, today)
    target.close()
    cluster.stop()


def fill(store: SQLiteStore, hits: int, *, first: int, days: int) -> None:
    began = time.monotonic()
    rows: list[tuple[Any, ...]] = []
    words(store)
    for row in visits(hits, first=first, days=days):
        rows.append(row)
        if len(rows) == BATCH:
            write(store, rows)
            rows = []
    write(store, rows)
    line("hits made", f"{hits:,}", f"in {time.monotonic() - began:.0f} s")


def write(store: SQLiteStore, rows: list[tuple[Any, ...]]) -> None:
    with store.transaction():
        store.add_rows(rows)


PAGES, SOURCES, AGENTS, LANGUAGES, CAMPAIGNS, BOTS = 4000, 500, 40, 30, 20, 5


def words(store: SQLiteStore) -> None:
    """Fill the dictionaries, so that ids run from 1."""
    add = store.connection.executemany
    kinds = ("search", "social", "referral", "mail", "ai-assistant")
    with store.transaction():
        add("INSERT INTO page (site, path) VALUES ('', ?)", [(f"/garden/winter-letter-{n}" if n else "/",) for n in range(PAGES)])
        sources = [("", "")] + [(kinds[n % 5], f"www{n}.example/page") for n in range(SOURCES - 1)]
        add("INSERT INTO source (kind, address) VALUES (?, ?)", sources)
        browsers, systems, devices = (
            ("Chrome", "Firefox", "Safari", "Edge"),
            ("Windows", "Linux", "iOS", "Android", "Mac OS X"),
            ("desktop", "mobile"),
        )
        people = [(b, s, d, "") for b in browsers for s in systems for d in devices]
        bots = [("", "", "", bot) for bot in ("search", "ai", "monitoring", "library", "other")]
        add("INSERT INTO agent (browser, os, device, bot) VALUES (?, ?, ?, ?)", people + bots)
        add("INSERT INTO language (value) VALUES (?)", [(f"l{n}",) for n in range(LANGUAGES)])
        add("INSERT INTO campaign (value) VALUES (?)", [("",)] + [(f"utm_campaign=week{n}",) for n in range(CAMPAIGNS - 1)])


def visits(hits: int, *, first: int, days: int, seed: int = 1) -> Iterator[tuple[Any, ...]]:
    """Yield prepared rows, day by day, of visitors with ten hits each; which pages and sources are popular follows Zipf's law."""
    chance = random.Random(seed)
    pages = random.Random(seed + 1).choices(range(1, PAGES + 1), [1 / n for n in range(1, PAGES + 1)], k=200_003)
    sources = random.Random(seed + 2).choices(range(1, SOURCES + 1), [1 / n for n in range(1, SOURCES + 1)], k=50_021)
    countries = ("DK", "DE", "SE", "US", "GB", "NO", "FR", "NL", "IN", "BR")
    position = 0
    for number in range(hits // HITS_A_VISITOR):
        day = first + number * days // (hits // HITS_A_VISITOR)
        at = day * 86_400_000 + chance.randrange(80_000_000)
        visitor = chance.getrandbits(63)
        bot = chance.random() < 0.12
        agent = AGENTS + 1 + number % BOTS if bot else 1 + number * 7 % AGENTS
        source, language = sources[number % 50_021], 1 + number * 3 % LANGUAGES
        campaign = 1 if number % 9 else 2 + number % (CAMPAIGNS - 1)
        country = countries[number * number % 10]
        for step in range(HITS_A_VISITOR):
            position += 1
            kind = (0, 0, 4, 0, 4, 0, 1, 0, 4, 5)[(step + number) % 10]
            at += 20_000 if step % 7 else 700_000 + (number % 3) * 900_000
            yield (
                day, at, visitor, b"\xc0\0\2", 0, pages[position % 200_003], kind, 404 if kind == 5 else 200, source if not step else 1,
                campaign, agent, language, country, 20_000, 0, 12,
            )  # fmt: skip


def count(store: SQLiteStore, today: int) -> None:
    began = time.monotonic()
    bookkeeper.count_all(store, TERMS, now=today * 86_400_000, retention_days=3660)
    line("all days counted", f"{time.monotonic() - began:.0f} s", "(0 if they were before)")


def sizes(store: SQLiteStore, hits: int) -> None:
    store.checkpoint()
    found = dict(store.connection.execute("SELECT name, SUM(pgsize) FROM dbstat GROUP BY name").fetchall())
    rollups = sum(found.get(name, 0) for name in ("rollup", "monthly", "day", "month"))
    rows = store.connection.execute("SELECT COUNT(*) FROM rollup").fetchone()[0]
    line(
        "figures of a year",
        f"{rollups / 1e6:.1f} MB",
        f"{rows:,} rows of days; target 80 MB; the hits take {found['hit'] / 1e6:.0f} MB ({hits:,})",
    )


def timed(work: Callable[[], object], times: int = 7) -> float:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append((time.perf_counter() - began) * 1000)
    return median(taken)


def panels(store: Store, today: int) -> None:
    for label, days in (("30 days", 30), ("12 months", 365)):
        panels_of(store, label, today - 1 - days, today - 2)


def panels_of(store: Store, label: str, first: int, last: int) -> None:
    period: dict[str, Any] = {"first": first, "last": last, "fewest": 3}
    times = {name: timed(partial(reports.rows, store, name, **period)) for name in [*PANELS, "bot"]}
    times["totals"] = timed(lambda: reports.totals(store, **period))
    times["chart"] = timed(lambda: reports.by_day(store, **period))
    slowest = max(times, key=lambda name: times[name])
    line(f"slowest panel, {label}", f"{times[slowest]:.1f} ms", f"{slowest}; median {median(list(times.values())):.1f} ms; target 50 ms")
    raw = timed(lambda: store.tuples(RAW, first=first, last=last), times=1)
    line(f"  pages by raw SQL, {label}", f"{raw:,.0f} ms", f"{raw / times['page']:,.0f} x")


async def page(database: Path) -> None:
    """Ask for the whole page through the wrapped app, as a signed-in owner; the first time the days that go on are counted."""

    async def app(*_: Any) -> None:
        raise RuntimeError

    secret = "0" * 40
    wrapped = PrivacyMiddleware(
        app, authorize=lambda _: "officer", database_url=f"sqlite:///{database}", secret_keys=secret, retention_days=3660
    )
    wrapped.privacy.bookkeeper.close()

    async def get(query: str) -> None:
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "GET", "path": "/privacy/owner/", "raw_path": b"", "query_string": query.encode(), "headers": [],
            "scheme": "http", "server": ("localhost", 80), "client": ("127.0.0.1", 1), "http_version": "1.1", "root_path": "",
        }  # fmt: skip
        await wrapped(scope, receive, send)
        if sent[0]["status"] != 200:
            raise RuntimeError(sent)

    for query in ("period=30d", "period=12m"):
        taken = []
        for _ in range(6):
            began = time.perf_counter()
            await get(query)
            taken.append((time.perf_counter() - began) * 1000)
        line(f"whole page, {query[7:]}", f"{median(taken[1:]):.0f} ms", f"first time {taken[0]:.0f} ms; target 300 ms")
    wrapped.recorder.close()


def large_day(folder: Path, hits: int) -> None:
    """Count one large day, and look how long a small app's requests take meanwhile."""
    store = SQLiteStore(folder / "day.db")
    store.open()
    fill(store, hits, first=20_000, days=1)

    def close() -> None:
        bookkeeper.give_way()
        bookkeeper.close_day(store, 20_000, TERMS, now=0)

    taken = []
    quiet, busy = [], []
    for _ in range(3):
        quiet.append(p99(None))
        began = time.monotonic()
        busy.append(p99(close))
        taken.append(time.monotonic() - began)
    line(f"a day of {hits:,} hits", f"{median(taken):.1f} s", "in the background; target 10 s")
    rows = store.connection.execute("SELECT COUNT(*) FROM rollup").fetchone()[0]
    line("  its rows of figures", f"{rows:,}", f"so a year of {hits * 365:,} hits has {rows * 365:,}: they do not grow with hits")
    line("  p99 of the host meanwhile", f"{median(busy) / median(quiet):.2f} x", "target 1.2 x (a handler of 0.3 ms, in the same process)")
    store.close()


def p99(work: Callable[[], None] | None) -> float:
    """Return the 99th percentile of a handler's time: alone for two seconds, or while something is done in another thread."""
    thread = threading.Thread(target=work) if work else None
    if thread:
        thread.start()
    end, times = time.monotonic() + 2, []
    while thread.is_alive() if thread else time.monotonic() < end:
        began = time.perf_counter()
        sum(number * number for number in range(4000))
        times.append(time.perf_counter() - began)
        time.sleep(0.002)
    return sorted(times)[len(times) * 99 // 100]


if __name__ == "__main__":
    main()
