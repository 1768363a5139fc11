"""The command `audit`: who opened, changed or decided what; and whether anybody has changed that record."""

from __future__ import annotations

import argparse
import re
from typing import Any

from ..errors import PrivacyError
from ..privacy import Privacy
from ..rights.audit import verify
from ..store import queries
from .checks import audit_data
from .common import in_one_line, instant, open_to_read


def add_commands(commands: Any) -> None:
    """Add it to the parser's commands."""
    audited = commands.add_parser("audit", help="show who opened, changed or decided what")
    audited.set_defaults(command=_audit)
    actions = audited.add_subparsers(metavar="ACTION")
    verifying = actions.add_parser("verify", help="check that no entry was changed or taken out; exit code 1 if one was")
    verifying.add_argument("--head", default="", metavar="HASH", help="what an earlier `audit verify` showed: it must still be there")
    verifying.set_defaults(command=_verify)
    comparing = actions.add_parser("data", help="compare what is kept with what the statement says; exit code 1 if more is kept")
    comparing.set_defaults(command=audit_data)


def _audit(_: argparse.Namespace) -> int:
    store = open_to_read(Privacy.from_sources())
    try:
        rows = store.rows(queries.AUDITED) if store.has_table("audit") else []
    finally:
        store.close()
    rows = [row for row in rows if row["action"]]  # one without is what is left of those whose retention ended
    if not rows:
        print("nobody has opened or changed anything yet")
    for row in rows:
        person = f"  person {row['subject'].hex()[:10]}" if row["subject"] else ""
        print(f"{instant(row['time'])}  {in_one_line(row['actor'])}  {row['action']}  {in_one_line(row['object'])}{person}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    if options.head and not re.fullmatch("[0-9a-f]{64}", options.head):
        raise PrivacyError("--head takes a hash of 64 digits and letters, as `audit verify` shows it")
    store = open_to_read(Privacy.from_sources())
    try:
        found = verify(store, known=options.head)
    finally:
        store.close()
    if found.broken is not None:
        print(f"entry {found.broken} was changed, or an entry before it is gone: what this log says cannot be relied on")
        return 1
    print(f"{found.entries} entries, and none was changed")
    if found.head:
        print(f"note this hash elsewhere; `audit verify --head` then tells if entries are taken off the end:\n{found.head}")
    return 0
