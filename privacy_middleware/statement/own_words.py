"""The owner's own sections: Markdown files beside privacy.toml, which add to the statement and cannot hide what it says.

`statement/NAME.md` holds a section for every language, `statement/NAME.da.md` one in Danish. Where NAME is a section that the package
writes, these words open it; else they are a section of their own, titled by their first heading.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from markdown_it import MarkdownIt
from markupsafe import Markup

from ..errors import SettingsError
from ..language import Language
from .facts import Facts
from .section import Section

LONGEST: Final = 100_000
"""Bytes of one file."""
BEFORE: Final = "automated"
"""The section before which those of the owner's stand."""
_NAME: Final = re.compile(r"([a-z][a-z0-9-]*)(?:\.([a-z]{2,3}(?:-[a-z0-9]+)*))?\.md")
_markdown = MarkdownIt("commonmark", {"html": False})
_with_html = MarkdownIt("commonmark", {"html": True})


def read_own_words(folder: Path | None) -> dict[str, dict[str, str]]:
    """Return the texts of the owner's folder by section and language ("" for every other one).

    Raises:
        SettingsError: for a file with a name that says nothing, with raw HTML, without a text for every language, or that cannot be read.
    """
    found: dict[str, dict[str, str]] = {}
    problems: list[str] = []
    for path in sorted(folder.glob("*.md")) if folder else ():
        match = _NAME.fullmatch(path.name)
        if match is None:
            problems.append(f"{path}: name it like working-hours.md, or working-hours.da.md for Danish, in small letters")
            continue
        text, problem = _read(path)
        problems += [problem] if problem else []
        found.setdefault(match[1], {})[match[2] or ""] = text
    problems += [
        f"{folder}/{name}.md is missing, though there is one of a language; add it" for name, texts in found.items() if "" not in texts
    ]
    if problems:
        raise SettingsError(problems)
    return found


def _read(path: Path) -> tuple[str, str]:
    try:
        data = path.read_bytes()
        text = "\n".join(data.decode("utf-8-sig").strip().splitlines())
    except (OSError, ValueError) as error:
        return "", f"{path} cannot be read ({type(error).__name__}); make it a readable UTF-8 file"
    if len(data) > LONGEST:
        return "", f"{path} is longer than {LONGEST} bytes; shorten it"
    line = has_html(text)
    return ("", f"{path}, line {line}: there is HTML in it; write it as Markdown") if line else (text, "")


def has_html(markdown: str) -> int:
    """Return the line of the first raw HTML in Markdown; 0 if there is none."""
    for token in _with_html.parse(markdown):
        if token.type == "html_block" or any(child.type == "html_inline" for child in token.children or ()):
            return (token.map or [0])[0] + 1
    return 0


def digest_of_catalogues(folder: Path | None) -> dict[str, str]:
    """Return a digest of each of the owner's catalogues: another wording is another version."""
    return {path.stem: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in sorted(folder.glob("*.po"))} if folder else {}


def add_own_words(_: Language, facts: Facts, sections: Sequence[Section]) -> tuple[Section, ...]:
    """Add the owner's sections, or put their words at the head of ours."""
    own = {name: texts.get(_.code) or texts[""] for name, texts in facts.own.items()}
    done: list[Section] = []
    for section in sections:
        if section.name == BEFORE:
            ours = {one.name for one in sections}
            done += [_section(name, text) for name, text in own.items() if name not in ours]
        words = "\n\n".join(filter(None, (own.get(section.name, ""), _.own(section.markdown.strip()))))
        done.append(msgspec.structs.replace(section, markdown=words) if words != section.markdown else section)
    return tuple(done)


def _section(name: str, text: str) -> Section:
    first, _, rest = text.partition("\n")
    if first.startswith("#"):
        return Section(name, first.strip("# "), markdown=rest.strip())
    return Section(name, name.replace("-", " ").capitalize(), markdown=text)


def as_mail(markdown: str) -> str:
    """Render Markdown for a mail; raw HTML in it is shown as text."""
    return str(_markdown.render(markdown))


def as_html(markdown: str) -> Markup:
    """Render Markdown; raw HTML in it is shown as text. Headings go below those of the statement."""
    html: str = _markdown.render(markdown)
    for level in (4, 3, 2, 1):
        html = re.sub(rf"<(/?)h{level}>", rf"<\1h{level + 2}>", html)
    return Markup(html)  # noqa: S704 - Markdown without raw HTML gives safe HTML
