"""The command line of the person who runs the site: config, status, stats, import, purge."""

from __future__ import annotations

import argparse
import csv
import io
import logging
import os
import re
import sqlite3
import sys
import time
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import msgspec
from tqdm import tqdm

from .collect.visitor import date_of, day_number, day_of
from .errors import PrivacyError, StoreError
from .privacy import Privacy, excluded
from .record.access_log import Importer, Outcome, read_lines
from .record.purge import finish_purge, first_kept
from .settings import Settings, effective, settings_table
from .statistics.reports import DIMENSIONS, Report, report
from .store import queries
from .store.sqlite import SQLiteStore

logger = logging.getLogger("privacy_middleware")

DEFAULT_DAYS: Final = 30
_HEADINGS: Final = ("visitors", "visits", "page_views", "hits")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 failed with a message, 2 wrong use."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.command(options)
    except (PrivacyError, sqlite3.Error) as error:
        print(f"privacy-middleware: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output, such as `head`, has enough
        sys.stderr.close()
        return 0
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="privacy-middleware", description="Keep the promises of your privacy statement.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    config = commands.add_parser("config", help="show the settings in force and where each came from")
    config.add_argument("--table", action="store_true", help="print the table of all settings as Markdown")
    config.set_defaults(command=_config)

    status = commands.add_parser("status", help="show what is stored, what was dropped and why, and what is wrong")
    status.set_defaults(command=_status)

    stats = commands.add_parser("stats", help="show visitors, visits and page views")
    stats.add_argument("--from", dest="first", type=_date, metavar="DATE", help="first day, like 2026-05-01 (default: 30 days ago)")
    stats.add_argument("--to", dest="last", type=_date, metavar="DATE", help="last day (default: today)")
    stats.add_argument("--by", choices=DIMENSIONS, help="a row for each value of this")
    stats.add_argument("--format", choices=("table", "json", "csv"), default="table")
    stats.set_defaults(command=_stats)

    importing = commands.add_parser("import", help="import access logs in the common or combined format")
    importing.add_argument("files", nargs="+", metavar="FILE", help="a log, plain or gzip; - for standard input")
    importing.add_argument("--dry-run", action="store_true", help="read and check everything, write nothing")
    importing.set_defaults(command=_import)

    purge = commands.add_parser("purge", help="delete the visits whose retention has ended, now")
    purge.set_defaults(command=_purge)
    return parser


def _date(text: str) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date; write it like 2026-05-01") from None
    if not 1970 < found.year <= 2100:
        raise argparse.ArgumentTypeError(f"{text!r} is not within the years 1971 to 2100")
    return found


def _config(options: argparse.Namespace) -> int:
    if options.table:
        print(settings_table())
        return 0
    rows = effective(Privacy.from_sources().settings)
    width = max(len(variable) for variable, _, _ in rows)
    for variable, value, origin in rows:
        print(f"{variable:{width}}  {value or '(empty)':40}  {origin}")
    return 0


def _status(_: argparse.Namespace) -> int:
    privacy = Privacy.from_sources()
    store = _open_to_read(privacy)
    try:
        stored = store.rows(queries.HITS_STORED)[0]
        counters = {row["name"]: row["amount"] for row in store.rows(queries.COUNTERS)}
        salts = sorted(store.live_salts())
        purged = store.mark("purged")
    finally:
        store.close()
    print(f"database    {store.path}, {sum(_sizes(store.path)) / 1e6:.1f} MB")
    days = f", {date_of(stored['first'])} to {date_of(stored['last'])}" if stored["hits"] else ""
    print(f"hits        {stored['hits']}{days}; kept for {privacy.settings.retention_days} days")
    print(f"salts       of {', '.join(str(date_of(day)) for day in salts) or 'no day'}")
    print(f"purged      {date_of(purged) if purged else 'never yet'}")
    for name, amount in counters.items():
        kind, _, what = name.partition(".")
        print(f"{kind:11} {what}: {amount}")
    if not any(name.startswith("dropped.") for name in counters):
        print("dropped     nothing")
    return _status_problems(privacy, salts, purged=purged, first=stored["first"])


def _status_problems(privacy: Privacy, salts: Sequence[int], *, purged: int | None, first: int | None) -> int:
    problems = []
    if not _is_writable(privacy.store.path):
        problems.append(f"{privacy.store.path} or its folder cannot be written: nothing is recorded; mend the permissions")
    if privacy.store.path.stat().st_mode & 0o077:
        problems.append(f"{privacy.store.path} can be read by other accounts than its own; `chmod 600` it")
    now, settings = int(time.time() * 1000), privacy.settings
    is_overdue = first is not None and first < first_kept(now, settings.zone, settings.retention_days) - 1
    if is_overdue and (purged or 0) < day_of(now, settings.zone) - 1:
        problems.append("visits past their retention are still there; is the app running? Else run `privacy-middleware purge`")
    if salts and salts[0] < day_of(now, settings.zone) - 1:
        problems.append("a salt is older than yesterday's; is the app running? Else run `privacy-middleware purge`")
    problems += [f"{path} is a damaged copy; read what you can, then delete it: it holds visits" for path in privacy.store.set_asides()]
    if not privacy.declaration.controller.name:
        problems.append("the statement names nobody responsible; declare [controller] in privacy.toml")
    for problem in problems:
        print(f"problem     {problem}")
    return 1 if problems else 0


def _is_writable(path: Path) -> bool:
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def _sizes(path: Path) -> list[int]:
    files = [Path(f"{path}{suffix}") for suffix in ("", "-wal", "-shm")]
    return [file.stat().st_size for file in files if file.exists()]


def _stats(options: argparse.Namespace) -> int:
    privacy = Privacy.from_sources()
    zone = privacy.settings.zone
    last = options.last or date_of(day_of(int(time.time() * 1000), zone))
    first = options.first or last - timedelta(days=DEFAULT_DAYS - 1)
    if first > last:
        raise PrivacyError(f"--from {first} is after --to {last}; swap them")
    store = _open_to_read(privacy)
    try:
        result = report(store, first=day_number(first), last=day_number(last), zone=zone, by=options.by)
    finally:
        store.close()
    formats = {"json": _as_json, "csv": _as_csv, "table": _as_table}
    print(formats[options.format](result, options.by), end="")
    return 0


def _as_json(result: Report, _: str | None) -> str:
    return msgspec.json.format(msgspec.json.encode(result)).decode() + "\n"


def _as_csv(result: Report, by: str | None) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    if by:
        writer.writerow([by, *_HEADINGS])
        writer.writerows([_harmless(row.value), row.visitors, row.visits, row.page_views, row.hits] for row in result.rows)
    else:
        figures = {name: value for name, value in msgspec.to_builtins(result).items() if name != "rows"}
        writer.writerow(figures)
        writer.writerow(figures.values())
    return out.getvalue()


def _harmless(cell: str) -> str:
    """Keep a spreadsheet from running a cell as a formula (OWASP, "CSV Injection")."""
    return "'" + cell if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def _as_table(result: Report, by: str | None) -> str:
    lines = [
        f"{result.first} to {result.last}",
        f"visitors {result.visitors}   visits {result.visits}   page views {result.page_views}   downloads {result.downloads}",
        f"bounce rate {result.bounce_rate:.0%}   mean visit {result.visit_seconds:.0f} s   hits of bots {result.bot_hits}",
    ]
    if by:
        width = min(60, max([len(by), *(len(row.value) for row in result.rows)]))
        lines.append(f"\n{by:{width}} {'visitors':>9} {'visits':>9} {'pages':>9} {'hits':>9}")
        lines += [f"{row.value or '(none)':{width}} {row.visitors:9} {row.visits:9} {row.page_views:9} {row.hits:9}" for row in result.rows]
    return "\n".join(lines) + "\n"


def _import(options: argparse.Namespace) -> int:
    privacy = Privacy.from_sources()
    settings = privacy.settings
    is_new = not privacy.store.path.exists()
    if is_new and not options.dry_run:
        logger.warning("there was no database yet: %s is made", privacy.store.path.absolute())
    store = None if options.dry_run and is_new else _open(privacy, create=True)
    failed = False
    try:
        importer = Importer(
            store,
            rules=privacy.recorder.rules,
            zone=settings.zone,
            keys=privacy.secret_keys if store else (),
            excluded=_not_imported(settings),
        )
        for name in options.files:
            outcome = _import_file(importer, name, dry=options.dry_run)
            _say_outcome(name, outcome, dry=options.dry_run)
            _say_age(outcome, settings)
            failed |= bool(outcome.bad) and not outcome.imported
    finally:
        if store:
            store.close()
    return 1 if failed else 0


def _not_imported(settings: Settings) -> re.Pattern[str]:
    """What the app would not record either: the excluded paths, and our own pages."""
    own = re.escape(settings.path) + r"(?:/.*)?\Z"
    others = excluded(settings)
    return re.compile(f"{own}|{others.pattern}" if others else own)


def _import_file(importer: Importer, name: str, *, dry: bool) -> Outcome:
    lines, raw = read_lines(name)
    size = Path(name).stat().st_size if name != "-" else None
    with raw, tqdm(total=size, unit="B", unit_scale=True, desc=name, disable=None) as bar:

        def progress(read: int) -> None:
            bar.update(raw.tell() - bar.n if size else read)

        return importer.run(lines, dry=dry, progress=progress)


def _say_outcome(name: str, outcome: Outcome, *, dry: bool) -> None:
    verb = "would be imported" if dry else "imported"
    print(f"{name}: {outcome.lines} lines: {outcome.imported} {verb}, {outcome.known} known from before, {outcome.bad} bad", end="")
    print(f", {outcome.excluded} excluded" if outcome.excluded else "", end="")
    print(", 1 unfinished: it has no line end yet and is left for the next import" if outcome.unfinished else "")
    for number, fault in outcome.bad_lines:
        print(f"  line {number}: {fault}")


def _say_age(outcome: Outcome, settings: Settings) -> None:
    """What is older than the retention goes with the next purge; whoever imports it should know."""
    oldest_kept = first_kept(int(time.time() * 1000), settings.zone, settings.retention_days)
    if outcome.first_day is not None and outcome.first_day < oldest_kept:
        print(f"  note: visits before {date_of(oldest_kept)} are older than PRIVACY_RETENTION_DAYS and go with the next purge")


def _purge(_: argparse.Namespace) -> int:
    privacy = Privacy.from_sources()
    store = _open(privacy, create=False)
    now, zone = int(time.time() * 1000), privacy.settings.zone
    today = day_of(now, zone)
    try:
        salts = store.destroy_salts(before=today - 1, after=today + 1)
        kept = first_kept(now, zone, privacy.settings.retention_days)
        hits = sum(store.purge(before=kept, after=today + 1))
        finish_purge(store, now=now, zone=zone)
        store.checkpoint()
    finally:
        store.close()
    print(f"deleted {hits} hits of days before {date_of(kept)}, and {salts} salts")
    return 0


def _open(privacy: Privacy, *, create: bool) -> SQLiteStore:
    store = privacy.store
    if not create:
        _check_there(store)
    store.open(mend=False)
    return store


def _open_to_read(privacy: Privacy) -> SQLiteStore:
    store = privacy.store
    _check_there(store)
    store.open_to_read()
    return store


def _check_there(store: SQLiteStore) -> None:
    if not store.path.exists():
        where = store.path.absolute()
        raise StoreError(f"there is no database {where}; run this in the app's working directory, or set PRIVACY_DATABASE_URL")
