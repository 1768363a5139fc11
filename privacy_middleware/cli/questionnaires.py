"""The command `questionnaires`: what was answered, question by question, and texts apart from all else."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import msgspec

from ..errors import PrivacyError
from ..forms import QUESTIONNAIRE
from ..privacy import Privacy
from ..rights import audit
from ..statistics.questionnaires import Question, Results, results
from .common import actor, in_one_line, open_store, printable


def add_commands(commands: Any) -> None:
    """Add it to the parser's commands."""
    show = commands.add_parser("questionnaires", help="show what was answered, question by question; this is noted (see `audit`)")
    show.add_argument("--form", default="", help="of one questionnaire only")
    show.add_argument("--format", choices=("table", "json"), default="table")
    show.set_defaults(command=_show)


def _show(options: argparse.Namespace) -> int:
    privacy = Privacy.from_sources()
    forms = [form for form in privacy.declaration.forms if form.purpose == QUESTIONNAIRE and options.form in ("", form.name)]
    if not forms:
        raise PrivacyError("no such form of the purpose “questionnaire” is declared; see privacy.toml")
    store = open_store(privacy)
    try:
        with store.transaction():
            audit.note(store, now=int(time.time() * 1000), actor=actor(), action="show questionnaires", about=options.form)
        fewest = privacy.settings.suppress_below
        found = [results(store, privacy.keys.vault, form, fewest=fewest, texts=True) for form in forms]
    finally:
        store.close()
    if options.format == "json":
        print(json.dumps(msgspec.to_builtins(found), indent=2, ensure_ascii=False))
        return 0
    for one in found:
        _print(one, fewest)
    return 0


def _print(found: Results, fewest: int) -> None:
    print(
        f"{in_one_line(found.title)}: "
        + (f"{found.total} people or more" if found.total else f"fewer than {fewest} people: nothing is shown")
    )
    for question in found.questions:
        print(f"\n  {in_one_line(question.label)}")
        _print_answers(question, fewest)
    if found.unreadable:
        print(f"\n  {found.unreadable} cannot be opened; see `privacy-middleware status`")
    print()


def _print_answers(question: Question, fewest: int) -> None:
    for value, amount in question.answers:
        print(f"    {amount if amount or fewest == 1 else f'<{fewest}':>6}  {in_one_line(value)}")
    if question.others:
        print(f"    {question.others:>6}  (others)")
    for text in question.texts:
        print("    - " + printable(text).replace("\n", "\n      "))
