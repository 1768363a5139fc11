"""Counts the hits of a day into figures by dimension and value, and days into months.

A visitor is a daily pseudonym, so visitors of several days add up. A visit ends after 30 minutes without a hit and at midnight. A bounce
is a visit of one page view. Bots are left out, but for their own dimension. The counting itself is SQL over tables in memory: SQLite lets
Python's lock go while it counts, so that the host goes on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, date, datetime, tzinfo
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from ..collect.hit import DOWNLOAD, PAGE
from ..collect.visitor import date_of, day_number, day_start
from ..store import statistics_queries as queries
from ..store.base import Store
from ..store.statistics_queries import OTHER
from .disclosure_control import are_too_few, held, told
from .goals import BETWEEN, Mark

DIMENSIONS: Final = (
    "total", "page", "entry", "exit", "source", "campaign", "country", "browser", "os", "device", "language", "download", "status", "kind",
    "hour", "site", "bot", "goal", "goal_source", "funnel",
)  # fmt: skip
"""The database holds their numbers: add at the end only."""
NUMBER: Final = {name: number for number, name in enumerate(DIMENSIONS)}
APART: Final = frozenset({"total", "country", "browser", "os", "device", "bot"})
"""Dimensions of which each visitor has one value."""
WHO_HAS_ONE: Final = {
    **dict.fromkeys(("source", "language", "status", "hour", "site", "kind"), ("total", "")),
    **dict.fromkeys(("page", "entry", "exit"), ("kind", str(PAGE))),
    "download": ("kind", str(DOWNLOAD)),
}
"""Of which row of a day the visitors are all who have some value of a dimension."""
MOST_VALUES: Final = 200
"""Values kept of a day and dimension; the others are put together."""
HITS_A_PART: Final = 350_000
"""Hits counted at one go: about 70 MB of memory."""
OPEN, CLOSED, PURGED = range(3)
"""The states of a day: its figures may change; they are final; and its hits are purged."""
SHOWN, TOGETHER, UNSHOWN = range(3)
"""How a row of a day is held: not; shown in `OTHER` only; and not even there, because all together are still too few."""

SAMPLE_OF: Final = 10

Measures = list[int]
Table = dict[str, dict[str, Measures]]
"""Figures by dimension and value, in the order of `queries.MEASURES`."""


class Changed(Exception):
    """Hits of the day were erased while it was counted."""


class Terms(NamedTuple):
    """On what terms days are counted."""

    zone: tzinfo
    fewest: int
    """How many visitors it takes for a figure to be shown."""
    marks: tuple[Mark, ...] = ()


def count_day(store: Store, day: int, terms: Terms, *, last: int, after: int = 0, only: tuple[str, str] | None = None) -> Table:
    """Count the hits of a day, after the hit `after` up to the hit `last`; `only` those of visits that have a value (dimension, value).

    Raises:
        Changed: if hits were erased meanwhile; count again.
    """
    hits = store.rows(queries.DAY_HITS_UP_TO, day=day, after=after, last=last)[0]["hits"]
    parts = hits // HITS_A_PART + 1
    table: Table = {}
    for part in range(parts):
        with store.scratch():
            store.execute(queries.MAKE_PIECE)
            store.execute(queries.FILL_PIECE, day=day, after=after, last=last, parts=parts, part=part)
            store.filled("piece")
            if only:
                _leave_only(store, day, terms, *only)
            for dimension, rows in _read(store, day, terms):
                _add(table.setdefault(dimension, {}), rows)
    if store.rows(queries.DAY_HITS_UP_TO, day=day, after=after, last=last)[0]["hits"] != hits:
        raise Changed
    return table


def _leave_only(store: Store, day: int, terms: Terms, dimension: str, value: str) -> None:
    """Leave the hits of those visits that have a value."""
    _make_visits(store)
    clock = clock_changes(day, day, terms.zone) if dimension == "hour" else {}
    if dimension == "goal":
        _reach(store, terms.marks)
        bound: Any = next((mark.number for mark in terms.marks if mark.begins and mark.name == value), None)
    else:
        bound = value
    store.execute(queries.leave_only(dimension, hour=queries.local_hour(len(clock) // 2)), value=bound, **clock)
    if terms.fewest > 1:
        store.execute(queries.LEAVE_SAMPLE, **sample(dimension, value))
    for drop in queries.DROP_PART[1:]:
        store.execute(drop)


def sample(dimension: str, value: str) -> dict[str, int]:
    """Return by which arithmetic a filter leaves one visitor in `SAMPLE_OF` out: for each filter others, for the same always the same."""
    digest = blake2b(f"{dimension} {value}".encode("utf-8", "replace"), digest_size=8).digest()
    return {"mix": int.from_bytes(digest[:3], "big") | 1, "shift": int.from_bytes(digest[3:6], "big"), "of": SAMPLE_OF}


def _make_visits(store: Store) -> None:
    store.execute(queries.MAKE_VISITS)
    store.execute(queries.INDEX_VISITS)
    store.filled("visits")
    store.execute(queries.MAKE_WHO)
    store.filled("who")


def _read(store: Store, day: int, terms: Terms) -> Iterable[tuple[str, Iterable[tuple[Any, ...]]]]:
    """Count what is in the part's tables: first the bots, who are then taken out."""
    _make_visits(store)
    yield "bot", _rows(store, queries.of_people("bot"))
    for query in queries.LEAVE_PEOPLE:
        store.execute(query)
    for dimension in queries.OF_VISITS:
        yield dimension, _rows(store, queries.of_visits(dimension))
    yield "total", _rows(store, queries.NOBODYS)
    has_sites = bool(_rows(store, queries.ANY_SITE))
    for dimension in queries.OF_HITS:
        if dimension != "site" or has_sites:
            yield dimension, _rows(store, queries.of_hits(dimension))
    for dimension in queries.OF_PEOPLE:
        if dimension != "bot":
            yield dimension, _rows(store, queries.of_people(dimension))
    clock = clock_changes(day, day, terms.zone)
    yield "hour", _rows(store, queries.by_hour(len(clock) // 2), **clock)
    if terms.marks:
        yield from _read_marks(store, terms.marks)


def _read_marks(store: Store, marks: tuple[Mark, ...]) -> Iterable[tuple[str, Iterable[tuple[Any, ...]]]]:
    _reach(store, marks)
    names = {mark.number: mark.name for mark in marks}
    yield "goal", [(names[number], *rest) for number, *rest in _rows(store, queries.GOALS)]
    by_source = [(value.partition(BETWEEN), rest) for value, *rest in _rows(store, queries.GOALS_BY_SOURCE, between=BETWEEN)]
    yield "goal_source", [(names[int(goal)] + BETWEEN + source, *rest) for (goal, _, source), rest in by_source]
    yield "funnel", [(names[number], *rest) for number, *rest in _rows(store, queries.FUNNELS)]


def _reach(store: Store, marks: tuple[Mark, ...]) -> None:
    """Find which visits reach which goals, and how far they come in each funnel."""
    store.execute(queries.MAKE_MARKS)
    store.execute(queries.CLEAR_MARKS)
    store.execute(queries.MAKE_REACHED)
    pages = store.rows(queries.ALL_PAGES)
    rows = [
        {"goal": mark.number, "page": page["id"], "kind": mark.kind, "least": least, "most": most, "begins": int(mark.begins)}
        for mark in marks for page in pages if mark.path.fullmatch(page["path"]) for least, most in mark.statuses
    ]  # fmt: skip
    store.execute_many(queries.ADD_MARK, rows)
    store.filled("goal_page")
    store.execute(queries.REACH)
    for mark in marks:
        if not mark.begins:
            store.execute(queries.STEP_ON, next=mark.number, before=mark.number + 1)


def _rows(store: Store, query: str, **values: Any) -> list[tuple[Any, ...]]:
    return store.tuples(query, **values)


def _add(found: dict[str, Measures], rows: Iterable[tuple[Any, ...]]) -> None:
    for value, *measures in rows:
        if value is None or not any(measures):
            continue
        key = str(value)
        found[key] = [a + b for a, b in zip(found[key], measures, strict=True)] if key in found else list(measures)


# --- keeping ---------------------------------------------------------------------------------------------------------------


def keep_day(store: Store, day: int, table: Table, terms: Terms, *, state: int, last: int, now: int) -> None:
    """Put the figures of a day in the place of those from before, in a transaction of the caller's.

    Of a day whose hits were purged before (`PURGED`), what came in since, by an import, is added, and purged as well.
    """
    counted = store.rows(queries.DAY_HITS_UP_TO, day=day, after=0, last=last)[0]["hits"]
    if state == PURGED:
        for dimension, rows in _stored(store, day).items():
            _add(table.setdefault(dimension, {}), [(value, *measures) for value, measures in rows.items()])
    elif state == OPEN and terms.fewest > 1:
        _hold_still(table, _stored(store, day), terms.fewest)
    for dimension in DIMENSIONS:
        store.execute(queries.CLEAR_DAY_OF, dimension=NUMBER[dimension], day=day)
        kept = bounded(table.get(dimension, {}), MOST_VALUES)
        hidden, how = hidden_values(kept, terms.fewest, overlap=overlap_of(dimension, table))
        if hidden and state == PURGED:
            kept = put_together(kept, hidden)
        states = {value: how if value in hidden or value == OTHER else SHOWN for value in kept}
        place = {"dimension": NUMBER[dimension], "day": day}
        store.execute_many(
            queries.ADD_ROW, [{**place, "held": states[value], **as_row(value, measures)} for value, measures in kept.items()]
        )
    if state == PURGED:
        store.execute(queries.PURGE_DAY_HITS, day=day, last=last)
    store.execute(queries.SET_DAY, day=day, state=state, hits=counted, last=last, made=now)
    for query in queries.CLEAR_MONTH:
        store.execute(query, month=month_of(day))


def as_row(value: str, measures: Measures) -> dict[str, Any]:
    """Return a value and its measures as a query binds them."""
    return {"value": value, **dict(zip(queries.MEASURES, measures, strict=True))}


def _hold_still(table: Table, before: Table, fewest: int) -> None:
    """Of a day that goes on, leave a row as it was until enough other visitors have come: two looks do not follow one visitor's steps."""
    for dimension, rows in table.items():
        for value, old in before.get(dimension, {}).items():
            if value in rows and value != OTHER and weight(old) >= fewest and 0 <= weight(rows[value]) - weight(old) < fewest:
                rows[value] = old


def _stored(store: Store, day: int) -> Table:
    """Return the figures of a day as they are kept."""
    found = {dimension: store.tuples(queries.ROWS_OF_DAY, dimension=NUMBER[dimension], day=day) for dimension in DIMENSIONS}
    return {dimension: {value: measures for value, *measures in rows} for dimension, rows in found.items()}


def overlap_of(dimension: str, table: Table) -> int | None:
    """Return how often a visitor of a day has more than one value of a dimension; None if that is not known.

    Whoever has any value is known: of sources everybody, of pages everybody who viewed one.
    """
    if dimension in APART:
        return 0
    if dimension not in WHO_HAS_ONE:
        return None
    of, value = WHO_HAS_ONE[dimension]
    rows = table.get(dimension, {})
    people = table.get(of, {}).get(value, [0])[0]
    if not people or not all(measures[0] for measures in rows.values()):
        return None
    return max(0, sum(measures[0] for measures in rows.values()) - people)


def bounded(rows: Mapping[str, Measures], most: int) -> dict[str, Measures]:
    """Keep the rows with the most visitors, then hits; put the others together under `OTHER`."""
    order = sorted(rows, key=lambda value: (value == OTHER, -rows[value][0], -rows[value][5], value))
    kept = {value: rows[value] for value in order[:most] if value != OTHER}
    return put_together(rows, set(rows) - set(kept))


def put_together(rows: Mapping[str, Measures], values: set[str]) -> dict[str, Measures]:
    """Move values, and what was put together before, to `OTHER`, as the last row."""
    others = [measures for value, measures in rows.items() if value in values or value == OTHER]
    kept = {value: measures for value, measures in rows.items() if value not in values and value != OTHER}
    return kept | ({OTHER: [sum(column) for column in zip(*others, strict=True)]} if others else {})


def hidden_values(rows: Mapping[str, Measures], fewest: int, *, overlap: int | None, also: Collection[str] = ()) -> tuple[set[str], int]:
    """Return the values of a day, or of a month, that have too few visitors to be shown, and whether they are `TOGETHER` or `UNSHOWN`."""
    groups: dict[str, dict[str, int]] = {"": {}}
    for value, measures in rows.items():
        if value != OTHER:
            groups.setdefault(value.partition(BETWEEN)[0] if BETWEEN in value else "", {})[value] = weight(measures)
    terms: dict[str, Any] = {"fewest": fewest, "overlap": overlap, "rest": weight(rows[OTHER]) if OTHER in rows else 0}
    hidden: set[str] = set()
    how = TOGETHER
    for group in groups.values():
        mine = held(group, also=also, **terms)
        hidden |= mine
        if are_too_few([group[value] for value in mine], **terms):
            how = UNSHOWN
    return hidden, how


def weight(measures: Measures) -> int:
    """Return how many people a row may tell of: where nobody is told apart, each hit may be somebody."""
    return measures[0] or measures[5]


def hold_again(store: Store, day: int, fewest: int) -> None:
    """Decide anew what of a day is shown, in a transaction of the caller's: the owner has set another number."""
    table = _stored(store, day)
    for dimension, rows in table.items():
        hidden, how = hidden_values(rows, fewest, overlap=overlap_of(dimension, table))
        for value in rows:
            held_so = how if value in hidden or value == OTHER else SHOWN
            store.execute(queries.SET_HELD, held=held_so, dimension=NUMBER[dimension], day=day, value=value)


# --- months ----------------------------------------------------------------------------------------------------------------


def month_of(day: int) -> int:
    """Return the number of a day's month: twelve times the year, and the months since January."""
    on = date_of(day)
    return 12 * on.year + on.month - 1


def days_of_month(month: int) -> tuple[int, int]:
    """Return the first and the last day of a month."""
    year, index = divmod(month, 12)
    following = date(year + (index == 11), (index + 1) % 12 + 1, 1)
    return day_number(date(year, index + 1, 1)), day_number(following) - 1


def close_month(store: Store, month: int, fewest: int) -> None:
    """Sum up the days of a month, in a transaction of the caller's; what was held on each day is shown if it is enough in the month.

    It must have been held on several days as well: else the month less its days would tell what one day holds back.
    """
    first, last = days_of_month(month)
    for dimension in DIMENSIONS:
        sums: tuple[dict[str, Measures], ...] = ({}, {}, {})
        seldom: set[str] = set()
        for value, held_so, days, *measures in store.tuples(queries.MONTH_ROWS, dimension=NUMBER[dimension], first=first, last=last):
            sums[held_so][value] = measures
            if held_so and days < fewest:
                seldom.add(value)
        cells = store.tuples(queries.CELLS, dimension=NUMBER[dimension], first=first, last=last)
        shown = sums[SHOWN]
        for held_so in (TOGETHER, UNSHOWN):
            hidden, how = hidden_values(sums[held_so], fewest, overlap=0 if dimension in APART else None, also=seldom)
            while held_so == TOGETHER and (more := told(cells, {*hidden, OTHER})):
                hidden |= more
            for value, measures in sums[held_so].items():
                if value not in hidden and value != OTHER:
                    _add(shown, [(value, *measures)])
                elif TOGETHER in (how, held_so):
                    _add(shown, [(OTHER, *measures)])
        place = {"dimension": NUMBER[dimension], "month": month}
        store.execute_many(queries.ADD_MONTHLY, [{**place, **as_row(*row)} for row in bounded(shown, MOST_VALUES).items()])
    store.execute(queries.ADD_MONTH, month=month)


# --- the owner's clock -----------------------------------------------------------------------------------------------------


def clock_changes(first: int, last: int, zone: tzinfo) -> dict[str, int]:
    """Return the offsets from UTC in a period, as `queries.by_hour` binds them: `offset_0`, and `change_n`, `offset_n` (ms)."""
    begin, end = day_start(first, zone), day_start(last + 1, zone)
    values = {"offset_0": _offset(begin, zone)}
    hour = begin
    while hour < end:
        following = min(hour + 86_400_000, end)
        if _offset(following, zone) != _offset(hour, zone):
            instant = _change_between(hour, following, zone)
            number = len(values) // 2 + 1
            values |= {f"change_{number}": instant, f"offset_{number}": _offset(instant, zone)}
        hour = following
    return values


def _change_between(before: int, after: int, zone: tzinfo) -> int:
    """Find the instant at which the offset changes, to the second, by halving."""
    offset = _offset(before, zone)
    while after - before > 1000:
        middle = (before + after) // 2000 * 1000
        before, after = (middle, after) if _offset(middle, zone) == offset else (before, middle)
    return after


def _offset(instant: int, zone: tzinfo) -> int:
    offset = datetime.fromtimestamp(instant / 1000, UTC).astimezone(zone).utcoffset()
    return int(offset.total_seconds()) * 1000 if offset else 0
