"""Keeps figures from telling of single visitors: what too few have in common is shown only together with something else.

Cell suppression with complementary cells, as statistical offices do it (Hundepool et al., "Statistical Disclosure Control", 2012, ch. 4).
It is done once for each day, and every report is a sum of days so treated: what differs between two reports is then never about fewer.
"""

from __future__ import annotations

from collections.abc import Mapping


def held(visitors: Mapping[str, int], *, fewest: int, apart: bool, rest: int = 0) -> set[str]:
    """Return the values that must not be shown by themselves.

    Args:
        visitors: how many visitors have each value.
        fewest: how many it takes to be shown.
        apart: True if each visitor has one value only, so that the visitors of several values add up. If not, several may be the same
            person: only the largest number is sure.
        rest: how many visitors are behind what was put together before (see `queries.OTHER`); what is held is put together with that.

    With what is held the rest must not tell of too few either: then the next larger value is held, too.
    """
    few = {value for value, number in visitors.items() if number < fewest}
    numbers = [number for value, number in visitors.items() if value in few]
    if rest:
        numbers.append(rest if apart else 1)
    together = sum(numbers) if apart else max(numbers, default=0)
    for value, number in sorted(visitors.items(), key=lambda item: (item[1], item[0])):
        if not 0 < together < fewest:
            break
        if value not in few:
            few.add(value)
            together = together + number if apart else max(together, number)
    return few
