"""Figures: each one against the same computation in plain Python, over visits made to be awkward."""

import itertools
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from privacy_middleware.collect.agent import Agent
from privacy_middleware.collect.hit import KINDS, Hit
from privacy_middleware.collect.source import DIRECT, Source
from privacy_middleware.collect.visitor import day_number
from privacy_middleware.statistics import bookkeeper, reports
from privacy_middleware.statistics.reports import Report, source_name
from privacy_middleware.statistics.rollup import Terms, clock_changes
from privacy_middleware.store import statistics_queries as queries
from privacy_middleware.store.base import Store

from .databases import make_store

COPENHAGEN = ZoneInfo("Europe/Copenhagen")
NEW_YORK = ZoneInfo("America/New_York")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")  # half an hour of daylight saving
MINUTE, HALF_HOUR, HOUR = 60_000, 1_800_000, 3_600_000
PERSON = Agent("Firefox", "Linux", "desktop", "")
PHONE = Agent("Mobile Safari", "iOS", "mobile", "")
BOT = Agent("", "", "", "search")


@pytest.fixture
def store() -> Iterator[Store]:
    store = make_store()
    store.open()
    yield store
    store.close()


def at(text: str, zone: tzinfo = UTC) -> int:
    """Epoch milliseconds of a local time."""
    return round(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


def local(instant: int, zone: tzinfo) -> datetime:
    return (datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=instant)).astimezone(zone)


class Request(NamedTuple):
    """What a test says of one hit; plain fields, for the computation in plain Python."""

    day: int
    time: int
    visitor: int | None
    kind: int
    page: str = "/"
    site: str = ""
    status: int = 200
    source: Source = DIRECT
    campaign: str = ""
    agent: Agent = PERSON
    language: str = ""


def hit(instant: int, visitor: int | None = 1, *, zone: tzinfo = UTC, kind: str = "page", **facts: Any) -> Request:
    return Request(day_number(local(instant, zone).date()), instant, visitor, KINDS.index(kind), **facts)


def add(store: Store, requests: Iterable[Request]) -> None:
    hits = []
    for one in requests:
        described = (0, one.page, one.site, one.kind, one.status, one.source, one.campaign, one.agent, one.language)
        hits.append(Hit(one.day, one.time, one.visitor, None, *described, country="", sent=0, aborted=0, duration=0))
    with store.transaction():
        store.add_hits(hits)


DIMENSIONS = tuple(name for name in reports.DIMENSIONS if name not in ("month", "goal", "goal_source", "funnel"))


def report(store: Store, *, first: int, last: int, zone: tzinfo, by: str | None = None) -> Report:
    """Count what is not counted yet, and report it; nothing is held back."""
    terms = Terms(zone, 1)
    for day in bookkeeper.days_to_close(store, today=2**20, kept=0):
        bookkeeper.close_day(store, day, terms, now=0)
    bookkeeper.close_months(store, terms, today=2**20)
    return reports.report(store, first=first, last=last, fewest=1, by=by)


def figures(store: Store, first: str, last: str | None = None, *, zone: tzinfo = UTC, by: str | None = None) -> Report:
    return report(store, first=day_number(date.fromisoformat(first)), last=day_number(date.fromisoformat(last or first)), zone=zone, by=by)


def values(found: Report) -> dict[str, tuple[int, int, int, int]]:
    media = {"direct", "internal", "search", "social", "referral"}
    rows = {
        source_name(row.value) if row.value.partition(" ")[0] in media else row.value: (row.visitors, row.visits, row.page_views, row.hits)
        for row in found.rows
    }
    assert len(rows) == len(found.rows)
    return rows


# --- the same in plain Python ----------------------------------------------------------------------------------------------


def sessions(hits: list[Request]) -> list[list[Request]]:
    """Split hits into visits: by day and visitor, and where there was no hit for more than half an hour."""
    visits: list[list[Request]] = []
    of_visitor: dict[tuple[int, int | None], list[Request]] = defaultdict(list)
    for one in hits:
        of_visitor[one.day, one.visitor].append(one)
    for mine in of_visitor.values():
        mine.sort(key=lambda one: one.time)  # stable: of two at one instant the one stored first is first
        visits.append([mine[0]])
        for before, one in itertools.pairwise(mine):
            if one.time - before.time > HALF_HOUR:
                visits.append([])
            visits[-1].append(one)
    return visits


def is_view(one: Request) -> bool:
    return KINDS[one.kind] == "page"


def first_view(visit: list[Request]) -> str | None:
    return next((one.site + one.page for one in visit if is_view(one)), None)


OF_VISIT: dict[str, Callable[[list[Request]], str | None]] = {
    "entry": first_view,
    "exit": lambda visit: first_view(visit[::-1]),
    "source": lambda visit: visit[0].source.address or visit[0].source.kind or "direct",
    "medium": lambda visit: visit[0].source.kind or "direct",
    "campaign": lambda visit: visit[0].campaign or None,
}
OF_HIT: dict[str, Callable[[Request, tzinfo], str | None]] = {
    "page": lambda one, _: one.site + one.page if is_view(one) else None,
    "download": lambda one, _: one.site + one.page if KINDS[one.kind] == "download" else None,
    "site": lambda one, _: one.site,
    "country": lambda *_: "",
    "browser": lambda one, _: one.agent.browser,
    "os": lambda one, _: one.agent.os,
    "device": lambda one, _: one.agent.device,
    "language": lambda one, _: one.language,
    "status": lambda one, _: str(one.status),
    "kind": lambda one, _: KINDS[one.kind],
    "day": lambda one, zone: local(one.time, zone).date().isoformat(),
    "bot": lambda one, _: one.agent.bot,
    "hour": lambda one, zone: f"{local(one.time, zone).hour:02d}",
}


def tally(groups: dict[str, list[tuple[int, list[Request]]]]) -> dict[str, tuple[int, int, int, int]]:
    """Of each value, (number of the visit, its hits): visitors, visits, page views, hits."""
    return {
        value: (
            len({(hits[0].day, hits[0].visitor) for _, hits in visits}),
            len({number for number, _ in visits}),
            sum(is_view(one) for _, hits in visits for one in hits),
            sum(len(hits) for _, hits in visits),
        )
        for value, visits in groups.items()
    }


def expected_rows(hits: list[Request], by: str, zone: tzinfo) -> dict[str, tuple[int, int, int, int]]:
    whom = [one for one in hits if bool(one.agent.bot) == (by == "bot")]
    groups: dict[str, list[tuple[int, list[Request]]]] = defaultdict(list)
    for number, visit in enumerate(sessions(whom)):
        if by in OF_VISIT:
            value = OF_VISIT[by](visit)
            if value is not None:
                groups[value].append((number, visit))
        else:
            for one in visit:
                value = OF_HIT[by](one, zone)
                if value is not None:
                    groups[value].append((number, [one]))
    return tally(groups)


def expected_totals(hits: list[Request]) -> dict[str, Any]:
    people = [one for one in hits if not one.agent.bot]
    visits = sessions(people)
    bounces = sum(sum(map(is_view, visit)) == 1 for visit in visits)
    seconds = sum(visit[-1].time - visit[0].time for visit in visits) / 1000
    return {
        "visitors": len({(one.day, one.visitor) for one in people}),
        "visits": len(visits),
        "page_views": sum(map(is_view, people)),
        "downloads": sum(KINDS[one.kind] == "download" for one in people),
        "bounce_rate": round(bounces / len(visits), 4) if visits else 0.0,
        "visit_seconds": round(seconds / len(visits), 1) if visits else 0.0,
        "bot_hits": len(hits) - len(people),
    }


GAPS = (0, 1, 5 * MINUTE, HALF_HOUR - 1, HALF_HOUR, HALF_HOUR + 1, 3 * HOUR)


def awkward_hits(seed: int, zone: tzinfo, begin: str) -> list[Request]:
    """Three days of visitors whose gaps lie at the limit, with everything else drawn from a few values each."""
    draw = random.Random(seed)
    start, hits = at(begin, zone), []
    for visitor in range(1, 9):
        instant = start + draw.randrange(36 * HOUR)
        agent = draw.choice([PERSON, PERSON, PHONE, BOT, Agent("curl", "", "", "library")])
        for _ in range(draw.randrange(1, 30)):
            instant += draw.choice(GAPS)
            if draw.random() < 0.1:
                instant += draw.randrange(9 * HOUR)
            hits.append(
                hit(
                    instant,
                    draw.choice([visitor, -visitor]) if draw.random() < 0.1 else visitor,
                    zone=zone,
                    kind=draw.choice(["page", "page", "page", "download", "asset", "api", "error", "redirect", "form", "part", "other"]),
                    page=draw.choice(["/", "/a", "/b", "/it's", '/"', "/%", "/{id}", "/søg"]),
                    site=draw.choice(["", "a.example", "b.example"]),
                    status=draw.choice([200, 206, 302, 404, 500]),
                    source=draw.choice(
                        [DIRECT, DIRECT, Source("internal", ""), Source("search", "google.com/"), Source("referral", "a.example/x")]
                    ),
                    campaign=draw.choice(["", "", "utm_source=n", "ref=x"]),
                    agent=agent,
                    language=draw.choice(["", "da", "en-US"]),
                )
            )
    draw.shuffle(hits)  # several workers write in no order
    return hits


CASES = [
    ("2026-05-04 00:00", UTC),
    ("2026-05-04 00:00", COPENHAGEN),
    ("2026-03-28 00:00", COPENHAGEN),  # daylight saving begins on the 29th
    ("2026-10-24 00:00", COPENHAGEN),  # and ends on the 25th
    ("2026-10-31 00:00", NEW_YORK),
    ("2026-04-04 00:00", LORD_HOWE),
    ("2038-01-18 00:00", UTC),
]


@pytest.mark.parametrize(("begin", "zone"), CASES)
@pytest.mark.parametrize("seed", [1, 2])
def test_every_figure_is_what_plain_python_counts(store: Store, seed: int, begin: str, zone: tzinfo):
    hits = awkward_hits(seed, zone, begin)
    add(store, hits)
    days = sorted({one.day for one in hits})
    for first, last in [(days[0], days[-1]), (days[0], days[0]), (days[1], days[1]), (days[1], days[-1]), (days[0] - 5, days[-1] + 5)]:
        within = [one for one in hits if first <= one.day <= last]
        found = report(store, first=first, last=last, zone=zone)
        assert {name: getattr(found, name) for name in expected_totals(within)} == expected_totals(within)
        for by in DIMENSIONS:
            assert values(report(store, first=first, last=last, zone=zone, by=by)) == expected_rows(within, by, zone), by


def test_the_computation_in_plain_python_knows_every_dimension():
    assert set(DIMENSIONS) == set(OF_VISIT) | set(OF_HIT)
    assert set(OF_VISIT) == {*queries.OF_VISITS, "medium"} - {"total"}


def test_a_dimension_changes_nothing_about_the_totals(store: Store):
    hits = awkward_hits(3, UTC, "2026-05-04 00:00")
    add(store, hits)
    days = [one.day for one in hits]
    totals = {str(report(store, first=min(days), last=max(days), zone=UTC, by=by)).partition("rows=")[0] for by in (None, *DIMENSIONS)}
    assert len(totals) == 1


# --- visits ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gap", "visits"), [(0, 1), (1, 1), (HALF_HOUR - 1, 1), (HALF_HOUR, 1), (HALF_HOUR + 1, 2), (5 * HOUR, 2)])
def test_a_visit_ends_after_more_than_thirty_minutes_without_a_hit(store: Store, gap: int, visits: int):
    noon = at("2026-05-04 12:00")
    add(store, [hit(noon), hit(noon + gap)])
    assert figures(store, "2026-05-04").visits == visits


def test_any_hit_keeps_a_visit_going(store: Store):
    noon = at("2026-05-04 12:00")
    add(store, [hit(noon), hit(noon + HALF_HOUR, kind="asset"), hit(noon + 2 * HALF_HOUR, kind="error")])
    assert figures(store, "2026-05-04").visits == 1


def test_a_visit_of_many_hours_is_one_visit(store: Store):
    noon = at("2026-05-04 00:00")
    add(store, [hit(noon + n * HALF_HOUR) for n in range(48)])
    found = figures(store, "2026-05-04")
    assert (found.visits, found.page_views, found.visit_seconds) == (1, 48, 47 * 1800)


@pytest.mark.parametrize("zone", [UTC, COPENHAGEN, NEW_YORK])
def test_a_visit_ends_at_the_owners_midnight(store: Store, zone: tzinfo):
    midnight = at("2026-05-05 00:00", zone)
    add(store, [hit(midnight - 1, zone=zone), hit(midnight, zone=zone)])
    assert figures(store, "2026-05-04", "2026-05-05", zone=zone).visits == 2
    assert figures(store, "2026-05-04", zone=zone).visits == figures(store, "2026-05-05", zone=zone).visits == 1


def test_visitors_of_several_days_add_up(store: Store):
    add(store, [hit(at(f"2026-05-0{day} 12:00"), visitor=7) for day in (4, 5, 6)])
    assert figures(store, "2026-05-04", "2026-05-06").visitors == 3


def test_two_visitors_at_one_instant_are_two(store: Store):
    add(store, [hit(at("2026-05-04 12:00"), visitor=1), hit(at("2026-05-04 12:00"), visitor=-1)])
    assert figures(store, "2026-05-04").visits == 2


@pytest.mark.parametrize(
    ("kinds", "rate"),
    [
        (["page"], 1.0),
        (["page", "page"], 0.0),
        (["page", "asset", "error", "download"], 1.0),
        (["asset"], 0.0),
        (["redirect", "page"], 1.0),
    ],
)
def test_a_bounce_is_a_visit_of_one_page_view(store: Store, kinds: list[str], rate: float):
    noon = at("2026-05-04 12:00")
    add(store, [hit(noon + n, kind=kind) for n, kind in enumerate(kinds)])
    assert figures(store, "2026-05-04").bounce_rate == rate


def test_entry_and_exit_are_the_first_and_last_page_viewed(store: Store):
    noon = at("2026-05-04 12:00")
    kinds_and_pages = [
        ("redirect", "/old"),
        ("page", "/in"),
        ("page", "/middle"),
        ("page", "/out"),
        ("download", "/file"),
        ("error", "/404"),
    ]
    add(store, [hit(noon + n, kind=kind, page=page) for n, (kind, page) in enumerate(kinds_and_pages)])
    assert list(values(figures(store, "2026-05-04", by="entry"))) == ["/in"]
    assert list(values(figures(store, "2026-05-04", by="exit"))) == ["/out"]


def test_of_hits_at_one_instant_the_first_stored_is_the_entry(store: Store):
    noon = at("2026-05-04 12:00")
    add(store, [hit(noon, page="/first"), hit(noon, page="/second")])
    assert list(values(figures(store, "2026-05-04", by="entry"))) == ["/first"]
    assert list(values(figures(store, "2026-05-04", by="exit"))) == ["/second"]


def test_source_and_campaign_are_those_with_which_the_visit_began(store: Store):
    noon = at("2026-05-04 12:00")
    add(
        store,
        [
            hit(noon, source=Source("search", "google.com/"), campaign="ref=x"),
            hit(noon + 1, source=Source("internal", ""), campaign="ref=y"),
            hit(noon + 2 * HOUR, source=Source("social", "t.co/"), campaign="ref=z"),
        ],
    )
    assert values(figures(store, "2026-05-04", by="source")) == {"google.com/": (1, 1, 2, 2), "t.co/": (1, 1, 1, 1)}
    assert set(values(figures(store, "2026-05-04", by="campaign"))) == {"ref=x", "ref=z"}


# --- who is counted, and when ----------------------------------------------------------------------------------------------


def test_bots_are_left_out_of_every_figure_but_their_own(store: Store):
    noon = at("2026-05-04 12:00")
    add(
        store,
        [
            hit(noon, visitor=1),
            hit(noon, visitor=2, agent=BOT, page="/bot", language="xx"),
            hit(noon + HOUR, visitor=2, agent=BOT, kind="download"),
        ],
    )
    for by in DIMENSIONS:
        found = figures(store, "2026-05-04", by=by)
        assert (found.visitors, found.visits, found.page_views, found.downloads, found.bot_hits) == (1, 1, 1, 0, 2)
        assert ("search" in values(found)) == (by == "bot")
        assert not {"/bot", "xx"} & set(values(found))
    assert values(figures(store, "2026-05-04", by="bot")) == {"search": (1, 2, 1, 2)}


def test_a_bot_under_a_persons_pseudonym_does_not_bridge_two_visits(store: Store):
    noon = at("2026-05-04 12:00")
    add(store, [hit(noon), hit(noon + HALF_HOUR, agent=BOT), hit(noon + HALF_HOUR + 1)])
    assert figures(store, "2026-05-04").visits == 2


def test_both_days_of_a_period_are_included(store: Store):
    add(store, [hit(at(f"2026-05-{day:02d} {clock}")) for day in range(1, 10) for clock in ("00:00", "23:59:59.999")])
    assert figures(store, "2026-05-03", "2026-05-05").page_views == 6
    assert figures(store, "2026-05-03").page_views == 2
    assert set(values(figures(store, "2026-05-03", "2026-05-05", by="day"))) == {"2026-05-03", "2026-05-04", "2026-05-05"}


def test_a_period_is_told_as_it_was_asked_for(store: Store):
    found = figures(store, "2026-05-03", "2026-05-05")
    assert (found.first, found.last) == ("2026-05-03", "2026-05-05")


def test_nothing_stored_gives_nothing(store: Store):
    for by in (None, *DIMENSIONS):
        found = figures(store, "2026-05-03", by=by)
        assert (found.visitors, found.visits, found.page_views, found.bounce_rate, found.visit_seconds, found.rows) == (
            0,
            0,
            0,
            0.0,
            0.0,
            [],
        )


def test_a_period_that_ends_before_it_begins_has_nothing(store: Store):
    add(store, [hit(at("2026-05-04 12:00"))])
    assert figures(store, "2026-05-05", "2026-05-03").visits == 0


def test_where_visitors_are_not_declared_pages_are_counted_all_the_same(store: Store):
    add(store, [hit(at("2026-05-04 12:00"), visitor=None, page=page) for page in ("/a", "/a", "/b")])
    found = figures(store, "2026-05-04", by="page")
    assert (found.visitors, found.visits, found.page_views) == (0, 0, 3)
    assert values(found) == {"/a": (0, 0, 2, 2), "/b": (0, 0, 1, 1)}


# --- rows ------------------------------------------------------------------------------------------------------------------


def test_rows_come_by_visitors_then_visits_then_hits_then_name(store: Store):
    for seed in (5, 6):
        add(store, awkward_hits(seed, UTC, "2026-05-04 00:00"))
    for by in set(DIMENSIONS) - {"day", "hour"}:
        rows = figures(store, "2026-05-04", "2026-05-08", by=by).rows
        assert rows == sorted(rows, key=lambda row: (-row.visitors, -row.visits, -row.hits, row.value))


@pytest.mark.parametrize("by", ["day", "hour"])
def test_days_and_hours_come_in_their_order(store: Store, by: str):
    add(store, awkward_hits(7, UTC, "2026-05-04 00:00"))
    rows = [row.value for row in figures(store, "2026-05-04", "2026-05-08", by=by).rows]
    assert rows == sorted(rows)
    assert len(rows) > 2


@pytest.mark.parametrize("by", ["", "visitor", "Page", "page; DROP TABLE hit", "page' OR '1'='1", "hits.time"])
def test_an_unknown_dimension_is_refused_by_name(store: Store, by: str):
    if by:
        with pytest.raises(ValueError, match="is not a dimension; known are entry"):
            figures(store, "2026-05-04", by=by)
    else:
        assert figures(store, "2026-05-04", by=by).rows == []


# --- hours and daylight saving ---------------------------------------------------------------------------------------------


def test_the_hour_that_comes_twice_counts_both_times(store: Store):
    begin = at("2026-10-25 00:00", COPENHAGEN)
    add(store, [hit(begin + n * HOUR, visitor=n, zone=COPENHAGEN) for n in range(25)])
    rows = values(figures(store, "2026-10-25", zone=COPENHAGEN, by="hour"))
    assert {hour: counts[3] for hour, counts in rows.items()} == {f"{hour:02d}": 2 if hour == 2 else 1 for hour in range(24)}


def test_the_hour_that_does_not_come_is_missing(store: Store):
    begin = at("2026-03-29 00:00", COPENHAGEN)
    add(store, [hit(begin + n * HOUR, visitor=n, zone=COPENHAGEN) for n in range(23)])
    assert set(values(figures(store, "2026-03-29", zone=COPENHAGEN, by="hour"))) == {f"{hour:02d}" for hour in range(24)} - {"02"}


def test_the_clock_changes_at_its_very_millisecond(store: Store):
    change = at("2026-03-29 01:00", UTC)
    add(store, [hit(change - 1, zone=COPENHAGEN), hit(change, visitor=2, zone=COPENHAGEN)])
    assert list(values(figures(store, "2026-03-29", zone=COPENHAGEN, by="hour"))) == ["01", "03"]


def test_hours_are_right_on_both_sides_of_several_changes(store: Store):
    instants = [at(f"20{year}-{month:02d}-15 12:30", NEW_YORK) for year in range(24, 30) for month in range(1, 13)]
    add(store, [hit(instant, visitor=n, zone=NEW_YORK) for n, instant in enumerate(instants)])
    assert list(values(figures(store, "2024-01-01", "2029-12-31", zone=NEW_YORK, by="hour"))) == ["12"]


@pytest.mark.parametrize(
    "name", ["Europe/Copenhagen", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "America/Havana", "Antarctica/Troll", "Asia/Kathmandu", "Africa/Cairo"]
)  # fmt: skip
def test_the_clock_of_any_zone_is_followed(name: str):
    zone = ZoneInfo(name)
    first, last = day_number(date(2024, 1, 1)), day_number(date(2028, 12, 31))
    changes = clock_changes(first, last, zone)
    number = len(changes) // 2
    for instant in range(at("2024-01-02 00:00"), at("2028-12-30 00:00"), HOUR // 2):
        offset = next((changes[f"offset_{n}"] for n in range(number, 0, -1) if instant >= changes[f"change_{n}"]), changes["offset_0"])
        assert timedelta(milliseconds=offset) == local(instant, zone).utcoffset()


def test_a_century_by_the_hour_is_no_trouble(store: Store):
    add(store, [hit(at("2026-05-04 12:00", COPENHAGEN), zone=COPENHAGEN)])
    began = time.perf_counter()
    assert list(values(figures(store, "1950-01-01", "2099-12-31", zone=COPENHAGEN, by="hour"))) == ["12"]
    assert time.perf_counter() - began < 5
