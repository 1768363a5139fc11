"""The commands about data requests: `requests` and `replay`. They decide; the running app does what was decided."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any, Final

from ..collect.treatment import in_words
from ..errors import PrivacyError, VaultError
from ..privacy import Privacy
from ..rights import audit, erasure, requests
from ..rights.mails import NAMES
from ..rights.office import Office
from ..rights.requests import DAY, Particulars, Request
from ..store import queries
from ..store.base import Store
from .common import actor, check_there, in_one_line, instant, open_store, open_to_read, print_table, printable, text_of

SHORT_ID: Final = 10
SOON_DAYS: Final = 7


def add_commands(commands: Any) -> None:
    """Add them to the parser's commands."""
    group = commands.add_parser("requests", help="list, show, approve, refuse or extend data requests")
    actions = group.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="list open requests, the next deadline first")
    listing.add_argument("--all", action="store_true", help="closed ones, too")
    due = f"only those to be answered within {SOON_DAYS} days; exit code 1 if there is one: for cron"
    listing.add_argument("--due", action="store_true", help=due)
    listing.add_argument("--format", choices=("table", "json"), default="table")
    listing.set_defaults(command=_list)
    show = _action(actions, "show", "open a request and show it, with old and new values of a correction; this is noted (see `audit`)")
    show.set_defaults(command=_show)
    approve = _action(actions, "approve", "have a request done that waits for you; --message is sent along (a question needs one)")
    approve.add_argument("--message", default="", help="what you write to the person; - reads it from standard input, @FILE from a file")
    approve.set_defaults(command=_approve)
    for name, text in (
        ("refuse", "refuse a request; the person is told why"),
        ("extend", "take the longer period; the person is told why"),
    ):
        reasoned = _action(actions, name, text)
        reasoned.add_argument("--reason", required=True, help="written for the person; - reads it from standard input, @FILE from a file")
        reasoned.set_defaults(command=_refuse if name == "refuse" else _extend)
    _action(actions, "lift", "end a restriction or objection; the person is told").set_defaults(command=_lift)
    _action(actions, "link", "make a new link by which the person proves the address, to send it yourself").set_defaults(command=_link)
    for parent in (actions, commands):
        replay = parent.add_parser("replay", help="erase again what a restored backup has brought back")
        replay.set_defaults(command=_replay)


def _action(actions: Any, name: str, text: str) -> Any:
    parser = actions.add_parser(name, help=text)
    parser.add_argument("id", metavar="ID", help="as `list` shows it; the first letters are enough")
    return parser


def _list(options: argparse.Namespace) -> int:
    privacy = Privacy.from_sources()
    store = open_to_read(privacy)
    try:
        found = requests.find_all(store) if store.has_table("request") else []
    finally:
        store.close()
    now = _now()
    urgent = {one.id for one in found if one.is_open and one.due - now < SOON_DAYS * DAY}
    wanted = (one for one in found if (one.id in urgent if options.due else options.all or one.is_open))
    shown = sorted(wanted, key=lambda one: (not one.is_open, one.due))
    rows = [_facts(one, now) for one in shown]
    if options.format == "json":
        print(json.dumps(rows, indent=2))
    elif rows:
        print_table([{**row, "id": str(row["id"])[:SHORT_ID]} for row in rows], list(rows[0]))
    elif not options.due:  # then nothing to say is nothing for cron to mail
        print("no data request is open")
    return 1 if options.due and urgent else 0


def _facts(request: Request, now: int) -> dict[str, Any]:
    left = (request.due - now) // DAY
    return {
        "id": request.id.hex(),
        "kind": request.kind,
        "state": request.state.replace("_", " "),
        "received": instant(request.created),
        "confirmed": instant(request.confirmed),
        "due": instant(request.due),
        "days_left": left if request.is_open else "",
        "extended": "yes" if request.extended else "",
        "failed": request.tries or "",
        "closed": instant(request.closed),
    }


def _show(options: argparse.Namespace) -> int:
    privacy = Privacy.from_sources()
    store = open_store(privacy)
    try:
        request = _find(store, options.id)
        who, fault = _opened(privacy.office, store, request)
        with store.transaction():
            about = f"{request.kind} {request.id.hex()}"
            audit.note(store, now=_now(), actor=actor(), action="show request", about=about, subject=request.lookup)
        steps = store.rows(queries.STEPS, request=request.id)
    finally:
        store.close()
    for name, value in _facts(request, _now()).items():
        if value != "":
            print(f"{name:12} {value}")
    for step in steps:
        print(f"{'source':12} {in_one_line(step['source'])}: {in_one_line(_in_words(step['outcome']))}")
    if request.tries and request.acts is not None:
        print(f"{'tried again':12} {instant(request.acts)}; see the app's log for what failed")
    if who is None:
        print(f"{'note' if request.subject is None else 'problem':12} {fault}")
        return 0 if request.subject is None else 1
    _print_particulars(request, who)
    return 0


def _in_words(outcome: str) -> str:
    """Write what a source has done for a request."""
    if not outcome.startswith("{"):
        return outcome
    found = json.loads(outcome)
    if "changes" in found:
        return f"told of {found['changes']} changes"
    return f"{found['amount']} erased" + (f"; kept: {found['kept']}" if found["kept"] else "")


def _opened(office: Office, store: Store, request: Request) -> tuple[Particulars | None, str]:
    try:
        return requests.particulars(office, store, request), ""
    except VaultError as error:
        return None, str(error)


def _print_particulars(request: Request, who: Particulars) -> None:
    proof = "proven" if request.confirmed is not None else "not proven to be theirs"
    print(f"{'email':12} {printable(who.email)} ({proof})")
    print(f"{'asks for':12} {NAMES[request.kind]}")
    for name, text in (("text", who.text), ("answer", who.answer)):
        if text:
            print(f"{name:12} " + printable(text).replace("\n", "\n" + " " * 13))
    for edit in who.edits:
        print(f"\n{edit.form}, {edit.field}:")
        for name, value in (("old", edit.old), ("new", edit.new)):
            print(f"  {name}  " + printable(in_words(value)).replace("\n", "\n       "))


def _approve(options: argparse.Namespace) -> int:
    message = text_of(options.message)
    return _decide(options, lambda office, store, request: requests.approve(
        office, store, request, actor=actor(), answer=message, now=_now()))  # fmt: skip


def _refuse(options: argparse.Namespace) -> int:
    reason = _reason(options)
    return _decide(options, lambda office, store, request: requests.refuse(
        office, store, request, actor=actor(), reason=reason, now=_now()))  # fmt: skip


def _extend(options: argparse.Namespace) -> int:
    reason = _reason(options)
    return _decide(options, lambda office, store, request: requests.extend(
        office, store, request, actor=actor(), reason=reason, now=_now()))  # fmt: skip


def _lift(options: argparse.Namespace) -> int:
    def lift(office: Office, store: Store, request: Request) -> Request:
        requests.lift(office, store, request, actor=actor(), now=_now())
        return request

    return _decide(options, lift, done="lifted; the person is told")


def _decide(options: argparse.Namespace, decision: Callable[[Office, Store, Request], Request], *, done: str = "") -> int:
    privacy = Privacy.from_sources()
    store = open_store(privacy)
    try:
        with store.transaction():
            request = decision(privacy.office, store, _find(store, options.id))
    finally:
        store.close()
    is_to_do = request.acts is not None and request.is_open
    state = "approved; the running app does it, and tells the person" if is_to_do else done or request.state.replace("_", " ")
    print(f"{request.kind} {request.id.hex()[:SHORT_ID]}: {state}")
    return 0


def _link(options: argparse.Namespace) -> int:
    privacy = Privacy.from_sources()
    if not privacy.settings.base_url:
        raise PrivacyError("a link needs the site's public address: set PRIVACY_BASE_URL")
    store = open_store(privacy)
    try:
        with store.transaction():
            request = _find(store, options.id)
            if request.state not in ("received", "awaiting_confirmation"):
                raise PrivacyError(f"the request is {request.state.replace('_', ' ')}: there is nothing to prove any more")
            who = requests.particulars(privacy.office, store, request)
            link = privacy.office.link("confirm", requests.make_proof(privacy.office, store, request, now=_now()))
            audit.note(store, now=_now(), actor=actor(), action="link by hand", about=request.id.hex(), subject=request.lookup)
    finally:
        store.close()
    print(f"Send this link to {printable(who.email)}, and to nobody else; it holds for 24 hours:\n{link}")
    return 0


def _replay(_: argparse.Namespace) -> int:
    privacy = Privacy.from_sources()
    check_there(privacy.store)
    store = open_store(privacy)
    try:
        done = erasure.replay(privacy.office, store, actor=actor(), now=_now())
    finally:
        store.close()
    print(f"erased again: {done.people} people, {done.rows} submissions and requests")
    if done.left_to_app:
        print(f"{done.left_to_app} erasures were just under way in the backup: the running app does them")
    if done.people:
        print("if your app gives the middleware sources, it asks them again by itself; let it run")
    if done.unknown:
        print(f"the address of {done.unknown} is not known any more: if you restored other data, too, yours cannot be found by it")
    return 0


def _find(store: Store, prefix: str) -> Request:
    found = requests.find_one(store, prefix)
    if found is None:
        raise PrivacyError(f"no request, or several, begin with {prefix!r}; see `privacy-middleware requests list --all`")
    return found


def _reason(options: argparse.Namespace) -> str:
    reason = text_of(options.reason)
    if not reason:
        raise PrivacyError("the reason is empty; the law asks for one, and the person reads it")
    return reason


def _now() -> int:
    return int(time.time() * 1000)
