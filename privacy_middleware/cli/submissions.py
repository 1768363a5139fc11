"""The commands about what people send with forms: `submissions` and `forms`."""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from ..collect.treatment import Kept, in_words
from ..collect.visitor import date_of, day_number
from ..errors import PrivacyError, VaultError
from ..privacy import Privacy
from ..record.submissions import Stored, find, find_one, is_restricted, lookup_of, may_be_opened, read
from ..rights import answers, audit
from ..spreadsheet import write_csv
from ..statistics.forms import FormReport, form_reports
from ..store.base import Store
from .common import a_date, actor, instant, new_file, open_store, open_to_read, print_table, printable, text_of

LAST_DAY: Final = 2**31
SHORT_ID: Final = 10
"""Letters of an identifier that are shown; as many as tell it apart are enough to name it."""
_UNREADABLE: Final = "(unreadable)"


class Opened(NamedTuple):
    """A submission, and what is kept of it in plain; `fault` if it cannot be opened."""

    stored: Stored
    time: int | None
    values: dict[str, list[Kept]]
    fault: str = ""


def add_commands(commands: Any) -> None:
    """Add them to the parser's commands."""
    group = commands.add_parser("submissions", help="list, read, export what was sent with the declared forms, or note it as answered")
    actions = group.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="list submissions, without opening them")
    _add_filters(listing)
    listing.add_argument("--format", choices=("table", "json", "csv"), default="table")
    listing.set_defaults(command=_list)
    show = actions.add_parser("show", help="open submissions and show them; this is noted (see `audit`)")
    show.add_argument("ids", nargs="+", metavar="ID", help="as `list` shows it; the first letters are enough")
    show.set_defaults(command=_show)
    export = actions.add_parser("export", help="open submissions and write them as CSV or JSON; this is noted (see `audit`)")
    _add_filters(export)
    export.add_argument("--format", choices=("csv", "json"), default="csv")
    export.add_argument("--output", type=Path, metavar="FILE", help="a new file (mode 0600) instead of standard output")
    export.set_defaults(command=_export)
    queue = actions.add_parser("queue", help="list what was sent to be answered and is not closed, the oldest first")
    queue.add_argument("--format", choices=("table", "json"), default="table")
    queue.set_defaults(command=_queue)
    answered = actions.add_parser("answer", help="answer by mail, or note that submissions are answered")
    answered.add_argument("ids", nargs="+", metavar="ID")
    text = "what you write to the person; it is kept with the question. - reads it from standard input, @FILE from a file"
    answered.add_argument("--message", default="", help=text)
    answered.add_argument("--close", action="store_true", help="close it, too")
    answered.set_defaults(command=_answer)
    closing = actions.add_parser("close", help="close what was sent to be answered: from today on its retention runs")
    closing.add_argument("ids", nargs="+", metavar="ID")
    closing.set_defaults(command=_close)

    forms = commands.add_parser("forms", help="show how often each form was seen, sent and accepted, and what was left out and why")
    _add_period(forms)
    forms.add_argument("--format", choices=("table", "json", "csv"), default="table")
    forms.set_defaults(command=_forms)


def _add_period(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--from", dest="first", type=a_date, metavar="DATE", help="first day, like 2026-05-01 (default: all)")
    parser.add_argument("--to", dest="last", type=a_date, metavar="DATE", help="last day (default: today)")


def _add_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--form", default="", help="of one form only")
    parser.add_argument("--purpose", default="", help="for one purpose only")
    _add_period(parser)


def _period(options: argparse.Namespace) -> tuple[int, int]:
    if options.first and options.last and options.first > options.last:
        raise PrivacyError(f"--from {options.first} is after --to {options.last}; swap them")
    return (day_number(options.first) if options.first else 0), (day_number(options.last) if options.last else LAST_DAY)


def _find(privacy: Privacy, store: Store, options: argparse.Namespace) -> list[Stored]:
    first, last = _period(options)
    known = [form.name for form in privacy.declaration.forms]
    found = find(store, first=first, last=last, form=options.form, purpose=options.purpose)
    if not found and options.form and options.form not in known:
        raise PrivacyError(f"there is no form {options.form!r}, neither declared nor stored; declared are: {', '.join(known) or 'none'}")
    return found


def _list(options: argparse.Namespace) -> int:
    privacy = Privacy.from_sources()
    store = open_to_read(privacy)
    try:
        found = _find(privacy, store, options) if store.has_table("submission") else []
    finally:
        store.close()
    rows = [_facts(stored) for stored in found]
    if options.format == "json":
        print(json.dumps(rows, indent=2))
    elif options.format == "csv":
        write_csv(sys.stdout, rows, list(_facts_names()))
    else:
        print_table([{**row, "id": row["id"][:SHORT_ID]} for row in rows], list(_facts_names()))
    return 0


def _facts_names() -> tuple[str, ...]:
    return ("id", "date", "form", "purpose", "outcome", "answered", "kept_until")


def _facts(stored: Stored) -> dict[str, str]:
    return {
        "id": stored.id.hex(),
        "date": str(date_of(stored.day)),
        "form": stored.form,
        "purpose": stored.purpose,
        "outcome": stored.outcome,
        "answered": instant(stored.answered),
        "kept_until": str(date_of(stored.expires - 1)),
    }


def _show(options: argparse.Namespace) -> int:
    privacy = Privacy.from_sources()
    store = open_store(privacy)
    try:
        found = _find_all(store, options.ids)
        with store.transaction():
            _note(store, "show", found)
        opened = [_open(privacy, store, stored) for stored in found]
    finally:
        store.close()
    for one in opened:
        facts = _facts(one.stored) | ({"received": instant(one.time)} if one.time is not None else {})
        print("\n".join(f"{name:12} {value}" for name, value in facts.items() if value))
        for name, values in one.values.items():
            for value in values:
                print(f"{printable(name):12} " + printable(in_words(value)).replace("\n", "\n" + " " * 13))
        print(f"problem      {one.fault}\n" if one.fault else "")
    return 1 if any(one.fault for one in opened) else 0


def _find_all(store: Store, ids: Sequence[str]) -> list[Stored]:
    found = {id_: find_one(store, id_) for id_ in ids}
    missing = [id_ for id_, stored in found.items() if stored is None]
    if missing:
        raise PrivacyError(f"no submission, or several, begin with {', '.join(missing)}; see `privacy-middleware submissions list`")
    there = [stored for stored in found.values() if stored is not None]
    restricted = [stored.id.hex()[:SHORT_ID] for stored in there if is_restricted(store, stored)]
    if restricted:
        raise PrivacyError(f"{', '.join(restricted)} may only be stored: so its person asked (`privacy-middleware requests list --all`)")
    hidden = [stored.id.hex()[:SHORT_ID] for stored in there if not may_be_opened(store, stored)]
    if hidden:
        remedy = (
            "answers to a questionnaire are shown question by question (`privacy-middleware questionnaires`), what visitors chose to nobody"
        )
        raise PrivacyError(f"{', '.join(hidden)} cannot be opened as one person's: {remedy}")
    return there


def _open(privacy: Privacy, store: Store, stored: Stored) -> Opened:
    try:
        return Opened(stored, *read(store, privacy.keys.vault, stored))
    except VaultError as error:
        return Opened(stored, None, {}, str(error))


def _note(store: Store, action: str, found: Sequence[Stored], *, what: str = "") -> None:
    """Note what is done with which submissions, in a transaction of the caller's; by their identifiers an overview finds it again."""
    people = {lookup_of(store, stored) for stored in found}
    about = " ".join((*([what] if what else []), *(stored.id.hex() for stored in found)))
    audit.note(store, now=_now(), actor=actor(), action=action, about=about, subject=people.pop() if len(people) == 1 else None)


def _now() -> int:
    return int(time.time() * 1000)


def _export(options: argparse.Namespace) -> int:
    privacy = Privacy.from_sources()
    store = open_store(privacy)
    try:
        matching = _find(privacy, store, options)
        usable = [stored for stored in matching if not is_restricted(store, stored)]
        found = [stored for stored in usable if may_be_opened(store, stored)]
        asked = " ".join(
            f"{n}={v}"
            for n, v in (("form", options.form), ("purpose", options.purpose), ("from", options.first), ("to", options.last))
            if v
        )
        with store.transaction():
            _note(store, "export", found, what=f"{len(found)} submissions {asked}".strip() + (":" if found else ""))
        opened = [_open(privacy, store, stored) for stored in found]
    finally:
        store.close()
    out = new_file(options.output) if options.output else sys.stdout
    try:
        if options.format == "json":
            out.write(json.dumps([_as_json(one) for one in opened], indent=2, ensure_ascii=out.isatty()) + "\n")
        elif out.isatty():
            buffer = io.StringIO()
            _export_csv(buffer, opened)
            out.write(printable(buffer.getvalue()))
        else:
            _export_csv(out, opened)
    finally:
        if options.output:
            out.close()
    if len(usable) < len(matching):
        print(f"privacy-middleware: {len(matching) - len(usable)} left out: their people asked to have them stored only", file=sys.stderr)
    if len(found) < len(usable):
        text = "answers without a name are shown question by question (`privacy-middleware questionnaires`)"
        print(f"privacy-middleware: {len(usable) - len(found)} left out: {text}", file=sys.stderr)
    faults = sum(bool(one.fault) for one in opened)
    if faults:
        print(f"privacy-middleware: {faults} of {len(opened)} cannot be opened; see `privacy-middleware status`", file=sys.stderr)
    return 1 if faults else 0


def _as_json(one: Opened) -> dict[str, Any]:
    facts: dict[str, Any] = {**_facts(one.stored), "received": instant(one.time), "fields": one.values}
    return facts | ({"problem": one.fault} if one.fault else {})


def _export_csv(out: Any, opened: Sequence[Opened]) -> None:
    fields = sorted({name for one in opened for name in one.values})
    taken = [*_facts_names(), "received"]
    columns: dict[str, str] = {}
    for name in fields:
        column = name
        while column in taken or column in columns.values() or (column != name and column in fields):
            column = f"field {column}"
        columns[name] = column
    rows = []
    for one in opened:
        row = {**_facts(one.stored), "received": instant(one.time) if not one.fault else _UNREADABLE}
        rows.append(row | {columns[name]: "\n".join(map(in_words, values)) for name, values in one.values.items()})
    write_csv(out, rows, [*taken, *columns.values()])


def _answer(options: argparse.Namespace) -> int:
    privacy = Privacy.from_sources()
    if options.message:
        return _mail(privacy, options)
    store = open_store(privacy)
    try:
        found = _find_all(store, options.ids)
        with store.transaction():
            for stored in found:
                answers.note_answered(privacy.office, store, stored, now=_now())
            _note(store, "answer", found)
            for stored in found if options.close else ():
                answers.close(privacy.office, store, stored, actor=actor(), now=_now())
    finally:
        store.close()
    print(f"{len(found)} noted as answered")
    return 0


def _mail(privacy: Privacy, options: argparse.Namespace) -> int:
    text = text_of(options.message)
    if len(options.ids) != 1:
        raise PrivacyError("an answer goes to one person; name one submission")
    store = open_store(privacy)
    try:
        [stored] = _find_all(store, options.ids)
        with store.transaction():
            answers.send(privacy.office, store, stored, text, actor=actor(), now=_now(), close_it=options.close)
    finally:
        store.close()
    print("the answer is kept, and waits to be sent: the running app does that" + ("; closed" if options.close else ""))
    return 0


def _close(options: argparse.Namespace) -> int:
    privacy = Privacy.from_sources()
    store = open_store(privacy)
    try:
        found = _find_all(store, options.ids)
        with store.transaction():
            for stored in found:
                answers.close(privacy.office, store, stored, actor=actor(), now=_now())
    finally:
        store.close()
    print(f"{len(found)} closed")
    return 0


def _queue(options: argparse.Namespace) -> int:
    store = open_to_read(Privacy.from_sources())
    try:
        found = answers.queue(store) if store.has_table("reply") else []
    finally:
        store.close()
    rows = [{name: _facts(stored)[name] for name in ("id", "date", "form", "answered", "kept_until")} for stored in found]
    if options.format == "json":
        print(json.dumps(rows, indent=2))
    elif rows:
        print_table([{**row, "id": row["id"][:SHORT_ID]} for row in rows], list(rows[0]))
    else:
        print("nothing waits for an answer")
    return 0


def _forms(options: argparse.Namespace) -> int:
    privacy = Privacy.from_sources()
    first, last = _period(options)
    store = open_to_read(privacy)
    try:
        reports = form_reports(store, [form.name for form in privacy.declaration.forms if form.path], first=first, last=last)
    finally:
        store.close()
    rows = [_form_row(report) for report in reports]
    if options.format == "json":
        print(json.dumps([row | {"remarks": report.remarks} for row, report in zip(rows, reports, strict=True)], indent=2))
    elif options.format == "csv":
        write_csv(sys.stdout, rows, list(rows[0]) if rows else ["form"])
    elif not reports:
        print("no form is declared; see the README, “Forms”")
    else:
        print_table(rows, list(rows[0]))
        for report in reports:
            for what, amount in report.remarks.items():
                print(f"{report.form}: {what}: {amount}")
    return 0


def _form_row(report: FormReport) -> dict[str, Any]:
    return {name: getattr(report, name) for name in ("form", "view", "sent", "invalid", "failed", "accepted", "abandoned")}
