"""The command `mails`: what waits to be sent, and how to send it by hand where the app sends no mail."""

from __future__ import annotations

import argparse
import time
from typing import Any

from ..errors import PrivacyError
from ..privacy import Privacy
from ..rights import audit, outbox
from ..store import queries
from ..store.base import Store
from .common import actor, instant, open_store, open_to_read, print_table, printable


def add_commands(commands: Any) -> None:
    """Add it to the parser's commands."""
    group = commands.add_parser("mails", help="list, show, or note as sent the mails that wait")
    actions = group.add_subparsers(required=True, metavar="ACTION")
    actions.add_parser("list", help="list the mails that wait, without opening them").set_defaults(command=_list)
    show = actions.add_parser("show", help="open a mail and show it, to send it yourself; this is noted (see `audit`)")
    show.add_argument("id", metavar="ID", help="as `list` shows it; the first letters are enough")
    show.set_defaults(command=_show)
    sent = actions.add_parser("sent", help="note that you have sent a mail: it is deleted here")
    sent.add_argument("id", metavar="ID")
    sent.set_defaults(command=_sent)


def _list(_: argparse.Namespace) -> int:
    store = open_to_read(Privacy.from_sources())
    try:
        found = outbox.find(store) if store.has_table("mail") else []
    finally:
        store.close()
    if not found:
        print("no mail waits")
        return 0
    rows = [{"id": mail.id.hex()[:10], "kind": mail.kind, "next_attempt": instant(mail.due), "attempts": mail.attempts} for mail in found]
    print_table(rows, list(rows[0]))
    return 0


def _show(options: argparse.Namespace) -> int:
    privacy = Privacy.from_sources()
    store = open_store(privacy)
    try:
        waiting = _one(outbox.find(store, options.id), options.id)
        mail = outbox.read(store, privacy.keys.vault, waiting)
        with store.transaction():
            audit.note(
                store,
                now=int(time.time() * 1000),
                actor=actor(),
                action="show mail",
                about=f"{waiting.kind} {waiting.id.hex()}",
                subject=_person(store, waiting),
            )
    finally:
        store.close()
    print(printable(f"To: {mail.to}\nSubject: {mail.subject}\n\n{mail.text}"))
    return 0


def _sent(options: argparse.Namespace) -> int:
    store = open_store(Privacy.from_sources())
    try:
        waiting = _one(outbox.find(store, options.id), options.id)
        with store.transaction():
            outbox.remove(store, waiting.id, waiting.subject)
            about = f"{waiting.kind} {waiting.id.hex()}"
            audit.note(store, now=int(time.time() * 1000), actor=actor(), action="mail sent by hand", about=about)
        store.checkpoint()
    finally:
        store.close()
    print("noted, and deleted here")
    return 0


def _person(store: Store, waiting: outbox.Waiting) -> bytes | None:
    """Return the blind index of the person whom a mail is about."""
    rows = store.rows(queries.REQUEST, id=waiting.request)
    return rows[0]["lookup"] if rows else None


def _one(found: list[outbox.Waiting], prefix: str) -> outbox.Waiting:
    if len(found) != 1:
        raise PrivacyError(f"no mail, or several, begin with {prefix!r}; see `privacy-middleware mails list`")
    return found[0]
