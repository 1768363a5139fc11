"""Keeps every version of the statement: what it said in each language, and since when; noted once, by whichever worker is first."""

from __future__ import annotations

import difflib
import zlib
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from ..errors import PrivacyError
from ..language import Language, Languages
from ..store import queries
from ..store.base import Store
from .changes import Change, changes
from .facts import Facts, canonical, digest, read_facts
from .section import Section, plain_text
from .text import write_statement

MATERIAL_DAYS: Final = 30
"""How long pages may point out a material change."""
DAY: Final = 86_400_000
Sections = tuple[Section, ...]


class Version(NamedTuple):
    """One version: its number, since when (epoch milliseconds) it was in force, its facts, and its texts by language."""

    number: int
    digest: bytes
    since: int
    facts: Facts | None
    """None of versions that were only noted, before their content was kept."""
    packed: bytes

    @property
    def name(self) -> str:
        """How it is named to people and in receipts."""
        return self.digest.hex()[:8]

    def sections(self, language: Language) -> Sections:
        """Return what it said, word for word; in English if it was not yet written in that language."""
        texts = msgspec.json.decode(zlib.decompress(self.packed), type=dict[str, Sections]) if self.packed else {}
        return texts.get(language.code) or texts.get("en", ())


class Step(NamedTuple):
    """What a version changed."""

    version: Version
    before: Version | None
    changes: list[Change]


def note(store: Store, facts: Facts, languages: Languages, *, now: int, also: Callable[[bool], None] = lambda _: None) -> int:
    """Note the version in force, if it is not the last one already; returns since when it is (epoch milliseconds).

    `also` is called in the same transaction when a version is noted, with whether the change is material.
    """
    latest = store.rows(queries.LATEST_VERSION)
    if latest and latest[0]["digest"] == digest(facts):
        return int(latest[0]["since"])
    texts = {code: write_statement(languages.get(code), facts) for code in languages.codes}  # before the lock: it takes a moment
    packed = zlib.compress(msgspec.json.encode(texts), 9)
    with store.transaction():
        latest = store.rows(queries.LATEST_VERSION)
        if latest and latest[0]["digest"] == digest(facts):  # another worker was faster
            return int(latest[0]["since"])
        number = int(latest[0]["number"]) + 1 if latest else 1
        since = max(now, int(latest[0]["since"]) + 1) if latest else now
        store.execute(queries.ADD_VERSION, number=number, digest=digest(facts), since=since, facts=canonical(facts), texts=packed)
        before = _version(latest[0]).facts if latest else None
        also(before is not None and any(change.is_material for change in changes(languages.get("en"), before, facts)))
    return since


def history(store: Store) -> list[Version]:
    """Return all versions, the newest first."""
    return [_version(row) for row in store.rows(queries.VERSIONS)]


def find(store: Store, number: int) -> Version | None:
    """Return one version; None if there is none of that number."""
    rows = store.rows(queries.VERSION, number=number)
    return _version(rows[0]) if rows else None


def facts_by_name(store: Store, names: Collection[str]) -> dict[str, Facts]:
    """Return the facts of the versions of these names, as far as they were kept."""
    return {version.name: version.facts for version in history(store) if version.facts and version.name in names} if names else {}


def steps(_: Language, versions: list[Version]) -> list[Step]:
    """Return what each version changed, the newest first."""
    found = []
    for version, before in zip(versions, [*versions[1:], None], strict=True):
        old, new = before.facts if before else None, version.facts
        found.append(Step(version, before, changes(_, old, new) if old and new else []))
    return found


def material_since(versions: list[Version], language: Language) -> int | None:
    """Return since when (epoch milliseconds) the last material change is in force; None if there was none."""
    return next((step.version.since for step in steps(language, versions) if any(change.is_material for change in step.changes)), None)


def last_change(versions: list[Version], language: Language) -> int | None:
    """Return the instant of the last change of what is done; a mere change of the package's wording is none."""
    for step in steps(language, versions):
        facts, before = step.version.facts, step.before.facts if step.before else None
        if facts is None or before is None or msgspec.structs.replace(before, wording=facts.wording) != facts:
            return step.version.since
    return None


def change_notice(_: Language, store: Store, *, site: str, address: str) -> str:
    """Return, as Markdown for the newsletter, what the last version of the statement changed that people should be told of.

    Raises:
        PrivacyError: if there is no such change.
    """
    found = next((step for step in steps(_, history(store)) if any(change.is_material for change in step.changes)), None)
    if found is None:
        raise PrivacyError("the privacy statement has not changed in a way that people should be told of")
    listed = "\n".join(f"- {change.words}".replace("<", "&lt;") for change in found.changes if change.is_material)
    return "\n\n".join(
        (
            f"# {_('Our privacy statement has changed')}",
            _("More is collected or given on by %(site)s than before, or for longer. This is what has changed:", site=_.own(site)),
            listed,
            _("The whole statement, and what it said before: %(address)s", address=f"<{address}statement/changes>"),
        )
    )


def difference(language: Language, before: Version, after: Version) -> list[tuple[str, str]]:
    """Return the lines of both texts, each with `+` (new), `-` (gone) or " "; runs of equal lines are shortened to "…"."""
    old, new = ([line for line in _text(version, language) if line.strip("=")] for version in (before, after))
    found: list[tuple[str, str]] = []
    for line in difflib.unified_diff(old, new, lineterm="", n=1):
        if line.startswith("@@"):
            found.append((" ", "…"))
        elif not line.startswith(("---", "+++")):
            found.append((line[0], line[1:]))
    return found


def _text(version: Version, language: Language) -> list[str]:
    return plain_text(version.sections(language)).splitlines()


def _version(row: Mapping[str, Any]) -> Version:
    facts = bytes(row["facts"])
    return Version(row["number"], bytes(row["digest"]), row["since"], read_facts(facts) if facts else None, bytes(row.get("texts", b"")))
