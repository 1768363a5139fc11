"""Brings the catalogues in privacy_middleware/translations up to date with the texts in the code: `python tools/catalogues.py [da …]`.

Messages that the code has no longer are dropped, new ones are added without a translation: nothing is guessed. `--check` changes nothing,
names what is out of date or lacks a translation, and exits with 1 if anything does; `--missing da` prints what lacks one, as JSON.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "privacy_middleware"
FOLDER = PACKAGE / "translations"
LANGUAGES = ("da", "de", "es", "fr")
METHODS = [("**/templates/**.html", "jinja2.ext:babel_extract"), ("**/templates/**.atom", "jinja2.ext:babel_extract"), ("**.py", "python")]
OPTIONS = {
    pattern: {"extensions": "jinja2.ext.i18n", "newstyle_gettext": "true", "trimmed": "true", "silent": "false", "trim_blocks": "true"}
    for pattern, method in METHODS
    if method.startswith("jinja2")
}
KEYWORDS = {"_": None, "N_": None, "plural": (1, 2), "gettext": None, "ngettext": (1, 2)}


def template() -> Catalog:
    """Return all messages of the code, each with the files that it stands in."""
    catalog = Catalog(charset="utf-8")
    found: dict[tuple[str, ...] | str, set[str]] = {}
    for file, _, message, _, _ in extract_from_dir(PACKAGE, METHODS, OPTIONS, KEYWORDS):
        found.setdefault(message, set()).add(f"privacy_middleware/{file}")
    for message in sorted(found, key=lambda one: one if isinstance(one, str) else one[0]):
        catalog.add(message, locations=[(file, 0) for file in sorted(found[message])])
    return catalog


def updated(code: str, messages: Catalog) -> Catalog:
    """Return the catalogue of a language with exactly the messages of the code; what is translated stays."""
    path = FOLDER / f"{code}.po"
    before = read_po(io.BytesIO(path.read_bytes()), locale=code) if path.exists() else Catalog(locale=code)
    catalog = Catalog(locale=code, charset="utf-8")
    for message in messages:
        if not message.id:
            continue
        known = before.get(message.id)
        if known is None or isinstance(known.string, tuple) != isinstance(message.id, tuple):
            catalog.add(message.id, "", locations=message.locations, flags=message.flags)
            continue
        flags = {*message.flags, *(["fuzzy"] if known.fuzzy else [])}  # a mark of the translator's, which counts as missing
        catalog.add(message.id, known.string, locations=message.locations, flags=flags, user_comments=known.user_comments)
    return catalog


def text_of(catalog: Catalog) -> bytes:
    """Write a catalogue without dates, names and line numbers, so that it only changes with its messages."""
    out = io.BytesIO()
    write_po(out, catalog, width=0, omit_header=True, include_lineno=False)
    header = [
        'msgid ""',
        'msgstr ""',
        '"Project-Id-Version: privacy-middleware\\n"',
        f'"Language: {catalog.locale}\\n"',
        '"MIME-Version: 1.0\\n"',
        '"Content-Type: text/plain; charset=utf-8\\n"',
        '"Content-Transfer-Encoding: 8bit\\n"',
        f'"Plural-Forms: {catalog.plural_forms}\\n"',
        "",
        "",
    ]
    return "\n".join(header).encode() + out.getvalue()


def missing(catalog: Catalog) -> Iterator[tuple[str, ...] | str]:
    """Yield the messages without a translation, or with one that is marked as fuzzy."""
    for message in catalog:
        if message.id and (message.fuzzy or not all(message.string if isinstance(message.string, tuple) else (message.string,))):
            yield message.id


def outdated(code: str, catalog: Catalog) -> list[str]:
    """Say in what the file of a language differs from what it should be."""
    path = FOLDER / f"{code}.po"
    if not path.exists():
        return ["there is no catalogue"]
    if path.read_bytes() == text_of(catalog):
        return []
    before = {message.id for message in read_po(io.BytesIO(path.read_bytes()), locale=code) if message.id}
    after = {message.id for message in catalog if message.id}
    found = [f"not in it: {message!r}" for message in sorted(after - before, key=str)]
    found += [f"not in the code: {message!r}" for message in sorted(before - after, key=str)]
    return found or ["its files or its order changed"]


def main() -> int:
    """Update, check, or list."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("languages", nargs="*", default=LANGUAGES)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--missing", action="store_true")
    given = parser.parse_args()
    messages, wrong = template(), 0
    for code in given.languages:
        catalog = updated(code, messages)
        lacking = list(missing(catalog))
        if given.missing:
            json.dump(lacking, sys.stdout, ensure_ascii=False, indent=0)
        elif given.check:
            faults = [*outdated(code, catalog), *(f"not translated: {message!r}" for message in lacking)]
            wrong += len(faults)
            sys.stdout.writelines(f"{code}: {fault}\n" for fault in faults)
        else:
            (FOLDER / f"{code}.po").write_bytes(text_of(catalog))
            sys.stdout.write(f"{code}: {len(catalog)} messages, {len(lacking)} without a translation\n")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
