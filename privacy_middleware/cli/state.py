"""The commands `config` and `status`: what is in force, what is stored, and what is wrong."""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..collect.funnel import STEPS
from ..collect.visitor import date_of, day_of
from ..errors import VaultError
from ..privacy import Privacy
from ..record.purge import first_kept
from ..rights import erasure, outbox
from ..rights.requests import Request, find_all
from ..settings import effective, settings_table
from ..store import queries
from .common import open_to_read


def add_commands(commands: Any) -> None:
    """Add them to the parser's commands."""
    config = commands.add_parser("config", help="show the settings in force and where each came from")
    config.add_argument("--table", action="store_true", help="print the table of all settings as Markdown")
    config.set_defaults(command=_config)

    status = commands.add_parser("status", help="show what is stored, what was dropped and why, and what is wrong")
    status.set_defaults(command=_status)


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
    store = open_to_read(privacy)
    try:
        stored = store.rows(queries.HITS_STORED)[0]
        counters = {row["name"]: row["amount"] for row in store.rows(queries.COUNTERS)}
        salts = sorted(store.live_salts())
        purged = store.mark("purged")
        sent = store.rows(queries.SUBMISSION_COUNTS) if store.has_table("submission") else []
        asked = find_all(store) if store.has_table("request") else []
        mails = outbox.find(store) if store.has_table("mail") else []
        to_replay = erasure.to_replay(privacy.office, store) if store.has_table("tombstone") else erasure.tombstones(privacy.office)
    finally:
        store.close()
    print(f"database    {store.path}, {sum(_sizes(store.path)) / 1e6:.1f} MB")
    days = f", {date_of(stored['first'])} to {date_of(stored['last'])}" if stored["hits"] else ""
    print(f"hits        {stored['hits']}{days}; kept for {privacy.settings.retention_days} days")
    print(f"salts       of {', '.join(str(date_of(day)) for day in salts) or 'no day'}")
    print(f"purged      {date_of(purged) if purged else 'never yet'}")
    for row in sent:
        print(f"submissions {row['form']}: {row['submissions']}, since {date_of(row['first'])}")
    for state, amount in Counter(request.state for request in asked).items():
        print(f"requests    {state.replace('_', ' ')}: {amount}")
    if mails:
        print(f"mails       waiting: {len(mails)}")
    for name, amount in counters.items():
        kind, _, what = name.partition(".")
        if kind == "form" and what.rpartition(".")[2] in STEPS:
            continue  # see the command `forms`
        print(f"{kind:11} {what}: {amount}")
    if not any(name.startswith("dropped.") for name in counters):
        print("dropped     no visits")
    problems = [
        *_status_problems(privacy, salts, purged=purged, first=stored["first"]),
        *_request_problems(privacy, asked, mails=len(mails), to_replay=len(to_replay)),
    ]
    for problem in problems:
        print(f"problem     {problem}")
    return 1 if problems else 0


def _request_problems(privacy: Privacy, asked: Sequence[Request], *, mails: int, to_replay: int) -> list[str]:
    problems = []
    now, office = int(time.time() * 1000), privacy.office
    waiting = sum(request.state == "received" for request in asked)
    if waiting and not office.can_ask:
        problems.append(f"{waiting} data requests wait for a mail: set PRIVACY_BASE_URL and PRIVACY_SMTP_URL, or use `requests link`")
    if mails and not privacy.settings.smtp_url:
        problems.append(f"{mails} mails wait; unless your code gives send_mail, set PRIVACY_SMTP_URL, or send them yourself: `mails list`")
    overdue = sum(request.is_open and request.due < now for request in asked)
    if overdue:
        problems.append(f"{overdue} data requests are past their deadline; see `privacy-middleware requests list`")
    failing = sum(request.is_open and request.tries > 0 for request in asked)
    if failing:
        problems.append(f"{failing} data requests could not be done yet; see `privacy-middleware requests list`, and the app's log")
    if to_replay:
        problems.append(f"{to_replay} erasures are not in this database, which was restored from a backup: run `privacy-middleware replay`")
    return problems


def _status_problems(privacy: Privacy, salts: Sequence[int], *, purged: int | None, first: int | None) -> list[str]:
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
    problems += _vault_problems(privacy)
    problems += [
        f"{path} is a damaged copy; read what you can, then delete it: it holds visits, and what people sent"
        for path in privacy.store.set_asides()
    ]
    if not privacy.declaration.controller.name:
        problems.append("the statement names nobody responsible; declare [controller] in privacy.toml")
    return problems


def _vault_problems(privacy: Privacy) -> list[str]:
    problems = []
    waiting = privacy.spool.waiting()
    if waiting:
        problems.append(
            f"{len(waiting)} submissions wait in {privacy.spool.folder} for the database; does the app run, with all its secret keys?"
        )
    store = open_to_read(privacy)
    try:
        privacy.keys.check_store(store)
    except VaultError as error:
        problems.append(str(error))
    finally:
        store.close()
    return problems


def _is_writable(path: Path) -> bool:
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def _sizes(path: Path) -> list[int]:
    files = [Path(f"{path}{suffix}") for suffix in ("", "-wal", "-shm")]
    return [file.stat().st_size for file in files if file.exists()]
