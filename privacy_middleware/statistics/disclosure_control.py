"""Keeps figures from telling of single visitors: what too few have in common is shown only together with something else.

Cell suppression with complementary cells, as statistical offices do it (Hundepool et al., "Statistical Disclosure Control", 2012, ch. 4).
It is done once for each day, and every report is a sum of days so treated: what differs between two reports is then never about fewer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ..store.statistics_queries import OTHER, UNITS


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
        if not are_too_few([visitors[one] for one in few], fewest=fewest, overlap=overlap, rest=rest):
            break
        few.add(value)
    return few


def are_too_few(numbers: Collection[int], *, fewest: int, overlap: int | None, rest: int = 0) -> bool:
    """Tell whether what is put together tells of somebody, and of fewer visitors than it takes; arguments as of `held`."""
    values = [*numbers, min(rest, 1)]  # behind the rest may be one visitor with many values
    at_least = max(values) if overlap is None else max(*values, sum(numbers) + rest - overlap)
    return 0 < at_least < fewest


def told(cells: Collection[tuple[int, str]], together: Collection[str]) -> set[str]:
    """Return values of which a month's sum, less what its days show, would tell what one day holds back.

    A table of days and values with its sums tells a cell that it holds back if, and only if, the cell is a bridge in the graph of such
    cells (Gusfield, "A graph theoretic approach to statistical data security", SIAM J. Comput. 17(3), 1988).

    Args:
        cells: which days hold which values back.
        together: the values that the month holds back as well; of these only the sum of all is shown.
    """
    ways: dict[int | str, list[tuple[int, int | str]]] = {}
    for number, (day, value) in enumerate(cells):
        column = OTHER if value in together else value
        ways.setdefault(day, []).append((number, column))
        ways.setdefault(column, []).append((number, day))
    bridges = _bridges(ways)
    found: set[str] = set()
    for number, (day, value) in enumerate(cells):
        if number in bridges and len(ways[day]) > 1:  # one alone is what was put together before
            found |= {value} if value not in together else {str(column) for _, column in ways[day] if column != OTHER}
    return found


def _bridges(ways: Mapping[int | str, Sequence[tuple[int, int | str]]]) -> set[int]:
    """Return the edges without which a graph falls apart; `ways` holds the edges of each node, and where they lead."""
    order: dict[int | str, int] = {}
    bridges: set[int] = set()

    def reach(node: int | str, by: int) -> int:
        """Return the earliest node one gets to from here, not going back the way one came; it goes twice as deep as there are days."""
        order[node] = earliest = len(order)
        for number, following in ways[node]:
            if number == by:
                continue
            if following in order:
                seen = order[following]
            elif (seen := reach(following, number)) > order[node]:
                bridges.add(number)
            earliest = min(earliest, seen)
        return earliest

    for node in ways:
        if node not in order:
            reach(node, -1)
    return bridges


def rounded(name: str, amount: int, *, fewest: int) -> int:
    """Round an amount of a measure down, so that one visitor more or less hardly ever shows; with 1 as the fewest, nothing is rounded."""
    step = 1 if fewest == 1 else fewest * UNITS.get(name, 1)
    return amount - amount % step
