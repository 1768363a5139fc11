"""One section of the statement, as data: what is shown as a page, as plain text, and to programs."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ..language import Language

WIDTH = 100


class Section(msgspec.Struct, frozen=True):
    """One section: plain paragraphs, a list of points, a table (first row: headings), links, and Markdown of the owner's."""

    name: str
    title: str
    paragraphs: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    """Text and address; an address that begins with `/` is one below the mount of the privacy pages."""
    markdown: str = ""


def in_days(_: Language, days: int) -> str:
    """Write a number of days."""
    return _.plural("one day", "%(number)s days", days)


def plain_text(sections: Sequence[Section], *, base: str = "") -> str:
    """Write sections as plain text, in paragraphs that are one line each."""
    parts: list[str] = []
    for section in sections:
        parts += [f"{section.title}\n{'=' * len(section.title)}", *section.paragraphs]
        if section.table:
            parts.append("\n".join(" | ".join(" ".join(cell.split()) for cell in row) for row in section.table))
        if section.points:
            parts.append("\n".join(f"- {point}" for point in section.points))
        if section.links:
            parts.append("\n".join(f"{text}: {base + address if address.startswith('/') else address}" for text, address in section.links))
        if section.markdown.strip():
            parts.append(section.markdown.strip())
    return "\n\n".join(parts) + "\n"
