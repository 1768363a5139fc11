"""The commands `disclose` and `recipients`: give a recipient what it may get, and see that it is told what becomes of it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tqdm import tqdm

from ..collect.treatment import in_words
from ..collect.visitor import date_of, day_of
from ..declaration import Recipient
from ..errors import PrivacyError
from ..privacy import Privacy
from ..record.submissions import ids_like
from ..rights import disclosures, notices
from ..rights.disclosures import FILE
from ..spreadsheet import write_csv
from ..store.base import Store
from .common import actor, in_one_line, instant, new_file, open_store, open_to_read, print_table, printable

SHORT_ID: Final = 10


def add_commands(commands: Any) -> None:
    """Add them to the parser's commands."""
    give = commands.add_parser("disclose", help="give a recipient the declared fields of those who asked for its purpose, and note it")
    add_arguments(give)
    give.add_argument("--purpose", required=True, help="the purpose that it is declared for")
    give.set_defaults(command=run)

    group = commands.add_parser("recipients", help="see who got what, and who must still be told of an erasure or correction")
    actions = group.add_subparsers(required=True, metavar="ACTION")
    actions.add_parser("list", help="who is declared, who got what, and what they must be told").set_defaults(command=_list)
    show = actions.add_parser("show", help="show what a recipient must be told")
    show.add_argument("id", metavar="ID", help="as `list` shows it; the first letters are enough")
    show.set_defaults(command=_show)
    received = actions.add_parser("received", help="note that a recipient knows")
    received.add_argument("id", metavar="ID")
    received.add_argument("--proof", required=True, help="how you know, such as “their mail of 1 May”")
    received.set_defaults(command=_received)


def add_arguments(parser: Any) -> None:
    """Add what both `disclose` and `newsletter export` take."""
    parser.add_argument("recipient", metavar="RECIPIENT", help="its name in privacy.toml")
    parser.add_argument("--all", action="store_true", help="also those whose data it got before")
    parser.add_argument("--format", choices=("csv", "json"), default="csv", help="of the file")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="a new file (mode 0600); without it, it goes to the recipient's webhook"
    )


def run(options: argparse.Namespace) -> int:
    """Give a recipient what it may get."""
    privacy = Privacy.from_sources()
    now = _now()
    today = day_of(now, privacy.settings.zone)
    recipient = disclosures.recipient_of(privacy.office, options.recipient, options.purpose, today=date_of(today))
    if options.output is None and not recipient.webhook:
        raise PrivacyError(f"{recipient.name} has no webhook; name a file with --output, and send it in a way that is safe")
    store = open_store(privacy)
    try:
        subjects = disclosures.asked(store, recipient, today=today, everybody=options.all)
        if options.output is not None and subjects:
            amount = _write(privacy, store, recipient, subjects, options, now=now)
        else:
            amount = _send(privacy, store, recipient, subjects)
    finally:
        store.close()
    if not amount:
        print(f"there is nobody whose data {recipient.name} may get and has not got before")
        return 0
    whose = "one person, who sees it in their overview" if amount == 1 else f"{amount} people; each of them sees it in their overview"
    print(f"{recipient.name} gets {', '.join(recipient.fields)} of {whose}")
    return 0


def _send(privacy: Privacy, store: Store, recipient: Recipient, subjects: Sequence[bytes]) -> int:
    sent = 0
    with tqdm(total=len(subjects), unit="person", desc="sending", file=sys.stderr, disable=not subjects) as bar:
        for amount in disclosures.send(privacy.office, store, recipient, subjects, actor=actor(), clock=_now) if subjects else ():
            bar.update(amount)
            sent += amount
    return sent


def _write(
    privacy: Privacy, store: Store, recipient: Recipient, subjects: Sequence[bytes], options: argparse.Namespace, *, now: int
) -> int:
    """Note who gets what, then write the file: should this process end in between, rather too much is noted than too little."""
    out = new_file(options.output)
    batch = b""
    try:
        with out:
            with store.transaction():
                found = disclosures.opened(privacy.office, store, recipient, subjects, today=day_of(now, privacy.settings.zone))
                batch = disclosures.note(privacy.office, store, recipient, found, way=FILE, actor=actor(), now=now)
            if options.format == "json":
                json.dump([one.row for one in found], out, ensure_ascii=False, indent=1)
            else:
                rows = [{"entry": one.entry.hex(), **{n: "\n".join(map(in_words, v)) for n, v in one.fields.items()}} for one in found]
                write_csv(out, rows, ["entry", *recipient.fields])
    except BaseException:
        options.output.unlink(missing_ok=True)
        with store.transaction():
            disclosures.take_back(store, batch)
        raise
    print(f"{options.output} holds people's data: send it in a way that is safe, and delete it", file=sys.stderr)
    return len(found)


def _list(_: argparse.Namespace) -> int:
    privacy = Privacy.from_sources()
    store = open_to_read(privacy)
    try:
        given = disclosures.record(privacy.office, store)
        told = notices.listed(store)
    finally:
        store.close()
    for one in privacy.declaration.recipients:
        bound = f"{one.undertaking.reference}, {one.undertaking.date}" if one.undertaking else one.confidentiality or "not declared"
        until = f", until {one.undertaking.expires}" if one.undertaking and one.undertaking.expires else ""
        print(f"{one.name} ({one.country}), for {one.purpose}: {', '.join(one.fields) or one.data}; confidentiality: {bound}{until}")
    if given:
        print("\ngiven:")
        print_table(
            [{"recipient": r, "purpose": p, "entries": n, "first": str(first), "last": str(last)} for r, p, n, first, last in given],
            ("recipient", "purpose", "entries", "first", "last"),
        )
    if told:
        print("\nto be told:")
        rows = [
            {
                "id": row["id"].hex()[:SHORT_ID], "recipient": row["recipient"], "what": row["kind"], "since": instant(row["made"]),
                "tried": row["attempts"], "received": instant(row["received"]), "proof": row["proof"],
            }
            for row in told
        ]  # fmt: skip
        print_table(rows, list(rows[0]))
    return 0


def _show(options: argparse.Namespace) -> int:
    privacy = Privacy.from_sources()
    store = open_store(privacy)
    try:
        found = notices.opened(privacy.office, store, ids_like(options.id), actor=actor(), now=_now())
    finally:
        store.close()
    if found is None:
        raise PrivacyError(f"no notice that waits, or several, begin with {options.id!r}; see `privacy-middleware recipients list`")
    row, fields = found
    for name, value in (
        ("recipient", row["recipient"]),
        ("what", row["kind"]),
        ("entry", row["disclosure"].hex()),
        ("since", instant(row["made"])),
    ):
        print(f"{name:10} {in_one_line(value)}")
    for name, values in fields.items():
        for value in values:
            print(f"{in_one_line(name):10} {printable(in_words(value))}")
    return 0


def _received(options: argparse.Namespace) -> int:
    store = open_store(Privacy.from_sources())
    try:
        with store.transaction():
            id_ = notices.find_one(store, ids_like(options.id))
            if id_ is None:
                raise PrivacyError(f"no notice that waits, or several, begin with {options.id!r}; see `privacy-middleware recipients list`")
            notices.received(store, id_, proof=options.proof, actor=actor(), now=_now())
    finally:
        store.close()
    print("noted")
    return 0


def _now() -> int:
    return int(time.time() * 1000)
