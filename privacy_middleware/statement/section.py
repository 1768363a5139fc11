"""One section of the statement, and the words that several of them share."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


class Section(msgspec.Struct, frozen=True):
    """One section: plain paragraphs, a list of points, a table (first row: headings), and Markdown of the owner's."""

    name: str
    title: str
    paragraphs: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()
    markdown: str = ""


def in_days(days: int) -> str:
    """Write a number of days."""
    return "one day" if days == 1 else f"{days} days"


def listed(words: Iterable[str], last: str = "and") -> str:
    """Write a list: `a, b and c`."""
    *before, end = words
    return f"{', '.join(before)} {last} {end}" if before else end
