"""The commands `config` and `status`: what is in force, what is stored, and what is wrong."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

from ..collect.funnel import STEPS
from ..collect.visitor import date_of
from ..privacy import Privacy
from ..problems import problems
from ..rights import outbox
from ..rights.requests import find_all
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
        wrong = problems(privacy, store)
        size = store.size()
    finally:
        store.close()
    print(f"database    {store.place}, {size / 1e6:.1f} MB")
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
    for problem in wrong:
        print(f"problem     {problem}")
    return 1 if wrong else 0
