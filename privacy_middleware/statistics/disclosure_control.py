"""Keeps figures from telling of single visitors: what too few have in common is shown only together with something else.

Cell suppression with complementary cells, as statistical offices do it (Hundepool et al., "Statistical Disclosure Control", 2012, ch. 4).
It is done once for each day, and every report is a sum of days so treated: what differs between two reports is then never about fewer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from ..store.statistics_queries import UNITS


def held(visitors: Mapping[str, int], *, fewest: int, overlap: int | None, rest: int = 0, also: Collection[str] = ()) -> set[str]:
    """Return the values that must not be shown by themselves.

    Args:
        visitors: how many visitors have each value.
        fewest: how many it takes to be shown.
        overlap: how often a visitor has more than one value, in all; 0 if each has one only, so that the visitors of several values add up.
            None if that is not known: then of several values only the largest number is sure, since they may be of the same people.
        rest: how many visitors are behind what was put together before (see `queries.OTHER`); what is held is put together with that.
        also: values that must be held whatever their number.

    With what is held the rest must not tell of too few either: then the next larger value is held, too.
    """
    few = {value for value, number in visitors.items() if number < fewest or value in also}
    for value, _ in sorted(visitors.items(), key=lambda item: (item[1], item[0])):
        if not are_too_few((visitors[one] for one in few), fewest=fewest, overlap=overlap, rest=rest):
            break
        few.add(value)
    return few


def are_too_few(numbers: Iterable[int], *, fewest: int, overlap: int | None, rest: int = 0) -> bool:
    """Tell whether what is put together tells of somebody, and of fewer visitors than it takes; arguments as of `held`."""
    known = [*numbers, min(rest, 1) if overlap is None else rest]
    at_least = max(known) if overlap is None else max(*known, sum(known) - overlap)
    return 0 < at_least < fewest


def rounded(name: str, amount: int, *, fewest: int) -> int:
    """Round an amount of a measure down, so that one visitor more or less hardly ever shows; with 1 as the fewest, nothing is rounded."""
    step = 1 if fewest == 1 else fewest * UNITS.get(name, 1)
    return amount - amount % step
