"""The commands `check`, `audit data` and `record`: is all in order, is only kept what is said, and what is shown to an authority."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

import msgspec

from ..checks import PROFILES, check
from ..language import english
from ..privacy import Privacy
from ..rights import disclosures
from ..statement.processing import Given, record_in_force
from ..truth import compare, wrong
from .common import in_one_line, open_to_read


def add_commands(commands: Any) -> None:
    """Add them to the parser's commands; `audit data` stands with `audit`."""
    checking = commands.add_parser("check", help="hold everything against the rules of a law; exit code 1 if one is not kept")
    checking.add_argument("--profile", choices=PROFILES, help="the law; PRIVACY_PROFILE, or gdpr, if it is not given")
    checking.add_argument("--json", action="store_true", help="as JSON, for programs")
    checking.set_defaults(command=_check)
    recording = commands.add_parser("record", help="print the record of processing activities (GDPR art. 30) as JSON")
    recording.add_argument("--language", default="", help="en, da, de, es, fr; PRIVACY_LANGUAGE if it is not given")
    recording.set_defaults(command=_record)


def _check(options: argparse.Namespace) -> int:
    privacy = Privacy.from_sources()
    profile = options.profile or privacy.settings.profile or "gdpr"
    store = open_to_read(privacy) if privacy.store.exists() else None
    try:
        found = check(english(), privacy, store, profile)
    finally:
        if store is not None:
            store.close()
    failed = sum(not one.passed for one in found)
    if options.json:
        print(json.dumps([one._asdict() for one in found], indent=1))
        return int(failed > 0)
    for one in found:
        print(f"{'pass' if one.passed else 'FAIL'}  {one.name}: {in_one_line(one.found)} ({one.source})")
        if not one.passed:
            print(f"      {one.remedy}")
    print(f"{len(found)} rules of {profile}, {failed} not kept" + ("" if store else "; there is no database yet to look at"))
    return int(failed > 0)


def _record(options: argparse.Namespace) -> int:
    privacy = Privacy.from_sources()
    language = privacy.languages.get(options.language or privacy.settings.language)
    record = record_in_force(language, privacy.facts, _given(privacy))
    print(msgspec.json.format(msgspec.json.encode(record)).decode())
    return 0


def _given(privacy: Privacy) -> Sequence[Given]:
    """What was given to recipients, if there is a database yet."""
    store = privacy.store
    if not store.exists():
        return ()
    store.open_to_read()
    try:
        return disclosures.record(privacy.office, store) if store.has_table("disclosure") else ()
    finally:
        store.close()


def audit_data(_: argparse.Namespace) -> int:
    """Compare what is in the database with what the statement says, both ways."""
    privacy = Privacy.from_sources()
    store = open_to_read(privacy)
    try:
        found = compare(privacy, store)
    finally:
        store.close()
    for one in found:
        print(f"{one.verdict:<10}  {in_one_line(one.what)}: {in_one_line(one.words)}")
    amount = len(wrong(found))
    print(f"{len(found)} things compared; {amount} kept that the statement does not say")
    return int(amount > 0)
