"""Finds in a day's hits what the owner declared as goals and as the steps of funnels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import translate
from typing import Final, NamedTuple

from ..collect.hit import DOWNLOAD, FORM, PAGE
from ..declaration import Funnel, Goal
from ..forms import Form, path_pattern

BETWEEN: Final = "\x1f"
"""Stands between a goal and a source, a funnel and the number of its step, in the values of the figures."""
_STEPS_APART: Final = 10


class Mark(NamedTuple):
    """What a hit must be to count: a goal reached, or a step of a funnel taken."""

    number: int
    """Goals from 0 up; steps of funnels from -10 down: -10 and -11 are the first steps of the first funnel."""
    name: str
    """The value under which it is counted."""
    kind: int
    path: re.Pattern[str]
    statuses: tuple[tuple[int, int], ...]
    begins: bool
    """True of a goal and of a funnel's first step: nothing need come before it."""


def marks(goals: Sequence[Goal], funnels: Sequence[Funnel], forms: Iterable[Form]) -> tuple[Mark, ...]:
    """Return all that is to be looked for."""
    by_name = {form.name: form for form in forms}
    return (*_of_goals(goals, by_name), *_of_funnels(funnels, by_name))


def _of_goals(goals: Sequence[Goal], forms: dict[str, Form]) -> Iterator[Mark]:
    for number, goal in enumerate(goals):
        yield Mark(number, goal.name, *_what(goal.when, forms), begins=True)


def _of_funnels(funnels: Sequence[Funnel], forms: dict[str, Form]) -> Iterator[Mark]:
    for number, funnel in enumerate(funnels, 1):
        for step, when in enumerate(funnel.steps):
            place = -number * _STEPS_APART - step
            yield Mark(place, f"{funnel.name}{BETWEEN}{step + 1}", *_what(when, forms), begins=step == 0)


def _what(when: str, forms: dict[str, Form]) -> tuple[int, re.Pattern[str], tuple[tuple[int, int], ...]]:
    """Read `/thanks`, `download:/files/*` or `form:contact`."""
    what, _, name = when.partition(":")
    if what == "form" and name in forms:
        form = forms[name]
        return FORM, path_pattern(form.path) or re.compile(re.escape(form.path)), tuple(map(_range, form.accepted))
    kind, path = (DOWNLOAD, name) if what == "download" else (PAGE, when)
    return kind, re.compile(translate(path)), ((0, 399),)


def _range(status: str) -> tuple[int, int]:
    return (int(status[0]) * 100, int(status[0]) * 100 + 99) if status.endswith("xx") else (int(status), int(status))
