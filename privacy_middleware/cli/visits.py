"""The commands about visits: `stats`, `import`, `purge`."""

from __future__ import annotations

import argparse
import csv
import io
import logging
import re
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
from tqdm import tqdm

from ..collect.country import no_country
from ..collect.visitor import date_of, day_number, day_of
from ..errors import PrivacyError, StoreError
from ..privacy import Privacy, excluded
from ..record.access_log import Importer, Outcome, read_lines
from ..record.purge import finish_purge, first_kept
from ..settings import Settings
from ..spreadsheet import harmless
from ..statistics import bookkeeper
from ..statistics.reports import DIMENSIONS, Report, Row, report, source_name
from ..store.base import Store
from .common import a_date, check_there, open_store, open_to_read

logger = logging.getLogger("privacy_middleware")

DEFAULT_DAYS: Final = 30
_HEADINGS: Final = ("visitors", "visits", "page_views", "hits")


def add_commands(commands: Any) -> None:
    """Add them to the parser's commands."""
    stats = commands.add_parser("stats", help="show visitors, visits and page views")
    stats.add_argument("--from", dest="first", type=a_date, metavar="DATE", help="first day, like 2026-05-01 (default: 30 days ago)")
    stats.add_argument("--to", dest="last", type=a_date, metavar="DATE", help="last day (default: today)")
    stats.add_argument("--by", choices=DIMENSIONS, help="a row for each value of this")
    stats.add_argument("--format", choices=("table", "json", "csv"), default="table")
    stats.set_defaults(command=_stats)

    importing = commands.add_parser("import", help="import access logs in the common or combined format")
    importing.add_argument("files", nargs="+", metavar="FILE", help="a log, plain or gzip; - for standard input")
    importing.add_argument("--dry-run", action="store_true", help="read and check everything, write nothing")
    importing.set_defaults(command=_import)

    purge = commands.add_parser("purge", help="delete the visits and submissions whose retention has ended, now")
    purge.set_defaults(command=_purge)


def _stats(options: argparse.Namespace) -> int:
    privacy = Privacy.from_sources()
    zone = privacy.settings.zone
    last = options.last or date_of(day_of(int(time.time() * 1000), zone))
    first = options.first or last - timedelta(days=DEFAULT_DAYS - 1)
    if first > last:
        raise PrivacyError(f"--from {first} is after --to {last}; swap them")
    store = _up_to_date(privacy)
    try:
        result = report(store, first=day_number(first), last=day_number(last), fewest=privacy.settings.suppress_below, by=options.by)
    finally:
        store.close()
    formats = {"json": _as_json, "csv": _as_csv, "table": _as_table}
    print(formats[options.format](result, options.by), end="")
    return 0


def _up_to_date(privacy: Privacy) -> Store:
    """Open the database, with all its days counted; if it cannot be written, as they were counted last."""
    check_there(privacy.store)
    store = privacy.store.another()
    store.wait_at_most(1)
    try:
        store.open(mend=False)
        _count_all(store, privacy)
    except StoreError:
        store.close()
        logger.warning("the database cannot be written just now: these are the figures that were counted last")
        return open_to_read(privacy)
    return store


def _count_all(store: Store, privacy: Privacy) -> None:
    now = int(time.time() * 1000)
    bookkeeper.count_all(store, privacy.terms, now=now, retention_days=privacy.settings.retention_days)


def _named(by: str | None, row: Row) -> str:
    """Return what a row is called."""
    if row.is_other:
        return "(other)"
    value = row.value.replace("\x1f", ": ")
    return source_name(value) if by == "source" else value


def _as_json(result: Report, by: str | None) -> str:
    builtins = msgspec.to_builtins(result)
    builtins["rows"] = [{"value": _named(by, row), **{name: getattr(row, name) for name in _HEADINGS}} for row in result.rows]
    return msgspec.json.format(msgspec.json.encode(builtins)).decode() + "\n"


def _as_csv(result: Report, by: str | None) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    if by:
        writer.writerow([by, *_HEADINGS])
        writer.writerows([harmless(_named(by, row)), row.visitors, row.visits, row.page_views, row.hits] for row in result.rows)
    else:
        figures = {name: value for name, value in msgspec.to_builtins(result).items() if name != "rows"}
        writer.writerow(figures)
        writer.writerow(figures.values())
    return out.getvalue()


def _as_table(result: Report, by: str | None) -> str:
    lines = [
        f"{result.first} to {result.last}",
        f"visitors {result.visitors}   visits {result.visits}   page views {result.page_views}   downloads {result.downloads}",
        f"bounce rate {result.bounce_rate:.0%}   mean visit {result.visit_seconds:.0f} s   hits of bots {result.bot_hits}",
    ]
    if by:
        names = [_named(by, row) or "(none)" for row in result.rows]
        width = min(60, max(map(len, [by, *names])))
        lines.append(f"\n{by:{width}} {'visitors':>9} {'visits':>9} {'pages':>9} {'hits':>9}")
        lines += [
            f"{name:{width}} {row.visitors:9} {row.visits:9} {row.page_views:9} {row.hits:9}"
            for name, row in zip(names, result.rows, strict=True)
        ]
    return "\n".join(lines) + "\n"


def _import(options: argparse.Namespace) -> int:
    privacy = Privacy.from_sources()
    settings = privacy.settings
    is_new = not privacy.store.exists()
    if is_new and not options.dry_run:
        logger.warning("there was no database yet: %s is made", privacy.store.place)
    store = None if options.dry_run and is_new else open_store(privacy, create=True)
    failed = False
    try:
        importer = Importer(
            store,
            rules=privacy.recorder.rules,
            zone=settings.zone,
            keys=privacy.keys.secrets if store else (),
            excluded=_not_imported(settings),
            country=privacy.countries.of if privacy.countries and "country" in privacy.recorder.rules.items else no_country,
        )
        for name in options.files:
            outcome = _import_file(importer, name, dry=options.dry_run)
            _say_outcome(name, outcome, dry=options.dry_run)
            _say_age(outcome, settings)
            failed |= bool(outcome.bad) and not outcome.imported
    finally:
        if store:
            if not options.dry_run:
                _count_all(store, privacy)
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
    store = open_store(privacy)
    now, zone = int(time.time() * 1000), privacy.settings.zone
    today = day_of(now, zone)
    try:
        salts = store.destroy_salts(before=today - 1, after=today + 1)
        kept = first_kept(now, zone, privacy.settings.retention_days)
        _count_all(store, privacy)
        hits = sum(store.purge(before=kept, after=today + 1, only_counted=True))
        forms = finish_purge(store, privacy.declaration.forms, now=now, zone=zone)
        store.checkpoint()
    finally:
        store.close()
    print(f"deleted {hits} hits of days before {date_of(kept)}, {forms} submissions, and {salts} salts")
    return 0
