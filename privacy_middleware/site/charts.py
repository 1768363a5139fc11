"""Computes charts as plain shapes for the templates: inline SVG needs no script, and a table stands behind each."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import date
from functools import lru_cache
from importlib import resources
from typing import Any, Final, NamedTuple

from ..language import Language

WIDTH: Final = 720
HEIGHT: Final = 180
SHADES: Final = 5
WIDEST: Final = 60.0
"""Of one column: a single day is no wall."""


class Column(NamedTuple):
    """One column of a chart, in the chart's own units, from its top left corner."""

    label: str
    amount: int
    second: int
    x: float
    y: float
    width: float
    height: float


class Chart(NamedTuple):
    """Columns over a line, with a scale."""

    columns: list[Column]
    top: int
    """What the highest line of the scale stands for."""
    line: str
    """The points of a second line: page views."""
    marks: list[tuple[float, str]]
    """Where below the columns stands which label."""


def chart(_: Language, points: Sequence[tuple[str, int, int]]) -> Chart:
    """Return the chart of (label, amount, second amount)."""
    top = _round_up(max([1, *(max(amount, second) for _, amount, second in points)]))
    step = WIDTH / max(1, len(points))
    columns = []
    for number, (label, amount, second) in enumerate(points):
        height = HEIGHT * amount / top
        width = min(WIDEST, step - min(4.0, step * 0.2))
        columns.append(
            Column(
                label,
                amount,
                second,
                _rounded((number + 0.5) * step - width / 2),
                _rounded(HEIGHT - height),
                _rounded(width),
                _rounded(height),
            )
        )
    line = " ".join(
        f"{_rounded((number + 0.5) * step)},{_rounded(HEIGHT - HEIGHT * second / top)}" for number, (*__, second) in enumerate(points)
    )
    every = max(1, math.ceil(len(points) / 7))
    marks = [(_rounded((number + 0.5) * step), short(_, label)) for number, (label, *__) in enumerate(points) if number % every == 0]
    return Chart(columns, top, line, marks)


def _rounded(number: float) -> float:
    return round(number, 1)


def short(_: Language, label: str) -> str:
    """Write `2026-05-04` as `4 May`, `2026-05` as `May 2026`, and leave everything else as it is."""
    is_month = len(label) == len("2026-05")
    try:
        on = date.fromisoformat(f"{label}-01" if is_month else label)
    except ValueError:
        return label
    return _.short_month(on) if is_month else _.short_day(on)


def _round_up(number: int) -> int:
    """Return the next number that reads well on a scale, and so does its half."""
    size: int = 10 ** (len(str(number)) - 1)
    return next(top for step in (1, 2, 3, 4, 5, 6, 8, 10) if (top := size * step) >= number and top % 2 == 0)


class World(NamedTuple):
    """The outlines of countries (Natural Earth, public domain), and their names (ISO 3166)."""

    width: int
    height: int
    shapes: dict[str, str]
    names: dict[str, str]


@lru_cache(maxsize=1)
def world() -> World:
    """Return the map; it is read once."""
    found: dict[str, Any] = json.loads((resources.files(__package__) / "world.json").read_text(encoding="utf-8"))
    return World(**found)


def shades(amounts: Mapping[str, int]) -> dict[str, int]:
    """Return for each country how dark it is, from 1 to `SHADES`: by the root of its amount, so that small ones can be told apart."""
    most = max(amounts.values(), default=0)
    return {code: max(1, math.ceil(SHADES * math.sqrt(amount / most))) for code, amount in amounts.items() if amount > 0}
