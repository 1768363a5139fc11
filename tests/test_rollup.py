"""Counting days into figures: the same whatever the parts, again or late, and what stays of them when the visits go."""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy_middleware.collect.hit import KINDS
from privacy_middleware.collect.visitor import day_number
from privacy_middleware.declaration import Declaration, Funnel, Goal, load_declaration
from privacy_middleware.errors import DeclarationError
from privacy_middleware.statistics import bookkeeper, reports, rollup
from privacy_middleware.statistics.filters import Filters, Only
from privacy_middleware.statistics.goals import BETWEEN, marks
from privacy_middleware.statistics.rollup import DIMENSIONS, OPEN, PURGED, Terms, bounded, days_of_month, month_of
from privacy_middleware.store import statistics_queries as queries
from privacy_middleware.store.base import Store
from privacy_middleware.store.statistics_queries import OTHER

from .databases import make_store, remove
from .test_reports import (
    BOT,
    HALF_HOUR,
    OF_HIT,
    OF_VISIT,
    Request,
    add,
    at,
    awkward_hits,
    expected_rows,
    expected_totals,
    hit,
    sessions,
    values,
)

COPENHAGEN = ZoneInfo("Europe/Copenhagen")
ALL = Terms(UTC, 1)
THREE = Terms(UTC, 3)
DAY = day_number(date(2026, 5, 4))
LATER = 2**20


@pytest.fixture
def store() -> Iterator[Store]:
    store = make_store()
    store.open()
    yield store
    store.close()


def close(store: Store, terms: Terms = ALL, *, today: int = LATER) -> None:
    for day in bookkeeper.days_to_close(store, today=today, kept=0):
        bookkeeper.close_day(store, day, terms, now=0)
    bookkeeper.close_months(store, terms, today=today)


def kept(store: Store) -> list[dict[str, Any]]:
    return store.rows("SELECT * FROM rollup ORDER BY dimension, day, value")


def monthly(store: Store) -> list[dict[str, Any]]:
    return store.rows("SELECT * FROM monthly ORDER BY dimension, month, value")


def some(visitors: int, *, day: int = DAY, start: int = 0, **facts: Any) -> list[Request]:
    noon = day * 86_400_000 + 43_200_000
    return [hit(noon + n, visitor=start + n, **facts) for n in range(1, visitors + 1)]


def row(store: Store, dimension: str, value: str, *, fewest: int = 1, first: int = DAY, last: int = DAY) -> reports.Row | None:
    return next((one for one in reports.rows(store, dimension, first=first, last=last, fewest=fewest) if one.value == value), None)


# --- the same, however it is counted ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("hits_a_part", [1, 7, 40, 10**6])
def test_in_however_many_parts_a_day_is_counted_the_figures_are_the_same(
    store: Store, monkeypatch: pytest.MonkeyPatch, hits_a_part: int
) -> None:
    hits = awkward_hits(7, COPENHAGEN, "2026-03-28 00:00")
    add(store, hits)
    close(store, Terms(COPENHAGEN, 1))
    whole = kept(store)
    store.execute("DELETE FROM day")
    monkeypatch.setattr(rollup, "HITS_A_PART", hits_a_part)
    close(store, Terms(COPENHAGEN, 1))
    assert kept(store) == whole


visits_of = st.lists(
    st.tuples(
        st.integers(0, 3 * 86_400_000 - 1),
        st.integers(-3, 3),
        st.sampled_from([0, 0, 0, 1, 3, 5]),
        st.sampled_from(["/", "/a", "/b"]),
        st.booleans(),
    ),
    max_size=60,
)


@given(visits_of, st.sampled_from(["UTC", "Europe/Copenhagen", "America/New_York", "Australia/Lord_Howe"]))
@settings(deadline=None, max_examples=60)
def test_every_figure_of_any_traffic_is_what_plain_python_counts(drawn: list[tuple[int, int, int, str, bool]], zone_name: str) -> None:
    zone = ZoneInfo(zone_name)
    begin = at("2026-10-24 00:00", zone)  # daylight saving ends within these days in Europe
    hits = [
        hit(begin + instant, visitor, zone=zone, kind=KINDS[kind], page=page, **({"agent": BOT} if is_bot else {}))
        for instant, visitor, kind, page, is_bot in drawn
    ]
    path = Path("drawn.db")
    remove(path)
    store = make_store(path)
    store.open()
    try:
        add(store, hits)
        close(store, Terms(zone, 1))
        days = [one.day for one in hits] or [DAY]
        first, last = min(days), max(days)
        found = reports.report(store, first=first, last=last, fewest=1)
        assert {name: getattr(found, name) for name in expected_totals(hits)} == expected_totals(hits)
        for by in ("page", "entry", "exit", "hour", "bot", "kind", "day"):
            assert values(reports.report(store, first=first, last=last, fewest=1, by=by)) == expected_rows(hits, by, zone), by
    finally:
        store.close()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)


@pytest.mark.parametrize("seed", [4, 5])
def test_bounces_and_seconds_of_a_value_are_those_of_the_visits_that_have_it(store: Store, seed: int) -> None:
    hits = awkward_hits(seed, COPENHAGEN, "2026-03-28 00:00")
    add(store, hits)
    close(store, Terms(COPENHAGEN, 1))
    days = [one.day for one in hits]
    visits = sessions([one for one in hits if not one.agent.bot])
    for by, value_of in OF_HIT.items():
        if by in ("bot", "day"):
            continue
        expected: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for visit in visits:
            views = sum(one.kind == 0 for one in visit)
            for value in {value_of(one, COPENHAGEN) for one in visit} - {None}:
                expected[str(value)][0] += views == 1
                expected[str(value)][1] += visit[-1].time - visit[0].time
        found = reports.rows(store, by, first=min(days), last=max(days), fewest=1)
        assert {one.value: [one.bounces, one.milliseconds] for one in found} == expected, by


@pytest.mark.parametrize(
    "by", ["page", "entry", "exit", "source", "medium", "country", "browser", "os", "download", "status", "kind", "hour", "goal"]
)
def test_a_filtered_week_is_what_plain_python_counts_of_its_visits(store: Store, by: str) -> None:
    monday = DAY
    hits = [one for seed in range(4) for one in awkward_hits(seed, UTC, f"2026-05-{4 + seed:02d} 12:00")]
    add(store, [one for one in hits if one.day < monday + 7])
    add(store, some(1, day=monday + 6))
    hits = [*(one for one in hits if one.day < monday + 7), *some(1, day=monday + 6)]
    terms = Terms(UTC, 1, marks((Goal(name="b", when="/b"),), (), ()))
    close(store, terms)
    filters = Filters(terms)
    visits = sessions([one for one in hits if not one.agent.bot])
    for row_ in reports.rows(store, by, first=monday, last=monday + 6, fewest=1):
        value = row_.value
        if by == "goal":
            mine = [visit for visit in visits if any(one.page == "/b" and one.kind == 0 and one.status < 400 for one in visit)]
        elif by in OF_VISIT:
            mine = [visit for visit in visits if OF_VISIT[by](visit) == (reports.source_name(value) if by == "source" else value)]
        else:
            mine = [visit for visit in visits if any(OF_HIT[by](one, UTC) == value for one in visit)]
        found = filters.figures(store, Only(by, reports.stored_value(by, value)), first=monday, last=monday + 6)
        assert found is not None
        assert (found.total.visits, found.total.page_views) == (len(mine), sum(one.kind == 0 for visit in mine for one in visit)), (
            by,
            value,
        )
        assert found.total.visitors == len({(visit[0].day, visit[0].visitor) for visit in mine})


def test_to_close_a_day_again_gives_the_same_rows(store: Store) -> None:
    add(store, awkward_hits(8, UTC, "2026-05-04 00:00"))
    close(store, THREE)
    before = kept(store), monthly(store)
    for row_ in store.rows(queries.DAYS, first=0, last=LATER):
        bookkeeper.close_day(store, row_["day"], THREE, now=5)
    close(store, THREE)
    assert (kept(store), monthly(store)) == before


def test_hits_that_come_late_reopen_their_day(store: Store) -> None:
    add(store, some(5))
    close(store)
    assert bookkeeper.days_to_close(store, today=LATER, kept=0) == []
    add(store, some(2, start=100))
    assert bookkeeper.days_to_close(store, today=LATER, kept=0) == [DAY]
    close(store)
    assert reports.totals(store, first=DAY, last=DAY, fewest=1).visitors == 7


def test_a_day_whose_hits_are_purged_is_added_to_and_its_new_hits_go_at_once(store: Store) -> None:
    add(store, some(5, page="/a"))
    close(store)
    list(store.purge(before=DAY + 1))
    assert store.rows(queries.DAYS, first=DAY, last=DAY)[0]["state"] == PURGED
    add(store, [*some(2, start=100, page="/a"), *some(3, start=200, page="/b")])
    for _ in range(3):
        close(store)
    assert reports.totals(store, first=DAY, last=DAY, fewest=1).visitors == 10
    found = row(store, "page", "/a")
    assert found is not None
    assert found.visitors == 7
    assert store.rows("SELECT COUNT(*) AS n FROM hit")[0]["n"] == 0


# --- open days -------------------------------------------------------------------------------------------------------------


def test_a_day_that_goes_on_is_counted_again_only_if_it_has_changed(store: Store) -> None:
    now = DAY * 86_400_000 + 80_000_000
    add(store, some(6))
    bookkeeper.count_open_days(store, ALL, now=now)
    bookkeeper.count_open_days(store, ALL, now=now + 5)
    assert store.rows(queries.DAYS, first=DAY, last=DAY)[0]["made"] == now
    add(store, some(1, start=50))
    bookkeeper.count_open_days(store, ALL, now=now + 9)
    assert store.rows(queries.DAYS, first=DAY, last=DAY)[0] | {"last": 0} == {
        "day": DAY,
        "state": OPEN,
        "hits": 7,
        "made": now + 9,
        "last": 0,
    }


def test_what_a_visitor_erases_is_in_no_figure_any_more_before_anybody_looks(store: Store) -> None:
    add(store, [*some(3), *some(1, start=77, page="/canary")])
    bookkeeper.count_open_days(store, ALL, now=DAY * 86_400_000 + 80_000_000)
    assert row(store, "page", "/canary")
    store.forget([(DAY, 78)], until=(DAY + 1) * 86_400_000)
    assert kept(store) == []
    bookkeeper.count_open_days(store, ALL, now=DAY * 86_400_000 + 80_000_001)
    assert row(store, "page", "/canary") is None
    assert reports.totals(store, first=DAY, last=DAY, fewest=1).visitors == 3


def test_a_day_is_not_closed_while_its_salt_lives(store: Store) -> None:
    add(store, some(3))
    store.salt(DAY, bytes(32))
    assert bookkeeper.days_to_close(store, today=DAY + 2, kept=0) == []
    store.destroy_salts(before=DAY + 1, after=DAY + 9)
    assert bookkeeper.days_to_close(store, today=DAY + 1, kept=0) == []
    assert bookkeeper.days_to_close(store, today=DAY + 2, kept=0) == [DAY]


def test_a_day_whose_visits_are_about_to_be_purged_is_closed_though_its_salt_lives(store: Store) -> None:
    add(store, some(3))
    store.salt(DAY, bytes(32))
    assert bookkeeper.days_to_close(store, today=DAY + 1, kept=DAY + 1) == [DAY]


# --- bounds and months -----------------------------------------------------------------------------------------------------


def test_of_a_dimension_the_largest_values_are_kept_and_the_rest_together(store: Store) -> None:
    hits = [one for page in range(rollup.MOST_VALUES + 50) for one in some(1 + (page < 10), start=1000 * page, page=f"/{page:03d}")]
    add(store, hits)
    close(store)
    found = {one["value"]: one for one in kept(store) if one["dimension"] == DIMENSIONS.index("page")}
    assert len(found) == rollup.MOST_VALUES + 1
    assert found[OTHER]["visitors"] == 50
    assert sum(one["page_views"] for one in found.values()) == len(hits)


def test_rows_do_not_grow_with_hits(store: Store) -> None:
    for visitors, page_count in ((300, 300), (3000, 3000)):
        add(store, [one for page in range(page_count) for one in some(visitors // page_count, start=7 * page, page=f"/{page}")])
        close(store)
    assert sum(one["dimension"] == DIMENSIONS.index("page") for one in kept(store)) == rollup.MOST_VALUES + 1


def test_putting_together_loses_no_amount() -> None:
    draw = random.Random(1)
    rows = {str(n): [draw.randrange(9) for _ in queries.MEASURES] for n in range(40)} | {OTHER: [1] * 8}
    for most in (0, 1, 7, 40, 99):
        result = bounded(rows, most)
        assert [sum(column) for column in zip(*result.values(), strict=True)] == [
            sum(column) for column in zip(*rows.values(), strict=True)
        ]


def test_a_month_is_the_sum_of_its_days(store: Store) -> None:
    hits = [one for n in range(40) for one in some(3 + n % 4, day=DAY - 10 + n, page=f"/{n % 3}", start=1000 * n)]
    add(store, hits)
    close(store)
    first, last = days_of_month(month_of(DAY))
    assert [one["month"] for one in store.rows(queries.MONTHS)] == [month_of(first - 1), month_of(first), month_of(last + 1)]
    by_months = reports.rows(store, "page", first=first, last=last, fewest=1)
    store.execute("DELETE FROM month")
    assert reports.rows(store, "page", first=first, last=last, fewest=1) == by_months


@pytest.mark.parametrize("month", range(12 * 2023, 12 * 2025))
def test_months_follow_one_another_without_a_gap(month: int) -> None:
    first, last = days_of_month(month)
    assert month_of(first) == month_of(last) == month
    assert days_of_month(month + 1)[0] == last + 1


def test_any_period_is_cut_into_months_and_days_that_hold_each_day_once(store: Store) -> None:
    add(store, [one for n in range(0, 130, 3) for one in some(1, day=DAY - 60 + n)])
    close(store)
    draw = random.Random(3)
    for _ in range(200):
        first = DAY - 70 + draw.randrange(150)
        last = first + draw.randrange(150)
        first_month, last_month, days = reports.stretches(store, first, last)
        held = [day for month in range(first_month, last_month + 1) for day in range(days_of_month(month)[0], days_of_month(month)[1] + 1)]
        held += [day for a, b in days for day in range(a, b + 1)]
        assert sorted(held) == list(range(first, last + 1))


def test_a_month_that_is_added_to_is_summed_up_again(store: Store) -> None:
    add(store, some(5))
    close(store)
    add(store, some(4, start=50))
    close(store)
    first, last = days_of_month(month_of(DAY))
    assert reports.totals(store, first=first, last=last, fewest=1).visitors == 9


# --- what is kept of few ---------------------------------------------------------------------------------------------------


def test_what_few_have_in_common_goes_with_their_visits(store: Store) -> None:
    add(store, [*some(9, page="/common"), *some(2, start=50, page="/canary")])
    close(store, THREE)
    store.checkpoint()
    list(store.purge(before=DAY + 1))
    store.purge_words()
    store.checkpoint()
    assert all(b"canary" not in file.read_bytes() for file in Path().glob("privacy.db*"))
    found = {one.value: one.visitors for one in reports.rows(store, "page", first=DAY, last=DAY, fewest=3)}
    assert found == {OTHER: 11}  # two alone would show in the total: the larger one stands with them


def test_what_is_enough_in_its_month_is_shown_when_the_month_is_over(store: Store) -> None:
    first, last = days_of_month(month_of(DAY))
    add(store, [one for day in range(first, last + 1) for one in (*some(9, day=day), *some(1, day=day, start=90, page="/slow"))])
    close(store, THREE, today=last)
    days = {"first": first, "last": last - 2}
    assert {one.value for one in reports.rows(store, "page", **days, fewest=3)} == {OTHER}
    close(store, THREE)
    found = {one.value: one.visitors for one in reports.rows(store, "page", first=first, last=last, fewest=3)}
    assert found == {"/": 9 * (last - first + 1), "/slow": last - first + 1}


def test_with_another_number_it_is_decided_anew_what_is_shown(store: Store) -> None:
    add(store, [*some(20, page="/many"), *some(4, start=50, page="/four"), *some(5, start=70, page="/five")])
    for fewest, shown in ((3, {"/many", "/four", "/five"}), (5, {"/many", OTHER}), (3, {"/many", "/four", "/five"})):
        bookkeeper.count_all(store, Terms(UTC, fewest), now=(DAY + 60) * 86_400_000, retention_days=3660)
        assert {one.value for one in reports.rows(store, "page", first=DAY, last=DAY, fewest=fewest)} == shown, fewest


# --- goals and funnels -----------------------------------------------------------------------------------------------------

GOALS = (Goal(name="thanks", when="/thanks"), Goal(name="file", when="download:/files/*"), Goal(name="any a", when="/a*"))
FUNNELS = (Funnel(name="order", steps=("/a", "/b", "/thanks")), Funnel(name="twice", steps=("/a", "/a")))


def expected_funnel(hits: Sequence[Request], steps: Sequence[str]) -> list[int]:
    """How many visits took each step after the one before it."""
    found = [0] * len(steps)
    for visit in sessions(list(hits)):
        pages = [one.page for one in visit if one.kind == 0]
        place = 0
        for number, step in enumerate(steps):
            if step not in pages[place:]:
                break
            place += pages[place:].index(step) + 1
            found[number] += 1
    return found


@pytest.mark.parametrize("seed", range(12))
def test_goals_and_funnels_are_what_plain_python_counts(store: Store, seed: int) -> None:
    draw = random.Random(seed)
    hits = []
    for visitor in range(1, 15):
        instant = DAY * 86_400_000 + draw.randrange(30_000_000)
        for _ in range(draw.randrange(1, 12)):
            instant += draw.choice([1000, 60_000, HALF_HOUR, HALF_HOUR + 1])
            kind = draw.choice(["page", "page", "page", "download", "error"])
            page = draw.choice(["/files/x.pdf", "/other.pdf"]) if kind == "download" else draw.choice(["/a", "/b", "/c", "/thanks", "/ab"])
            hits.append(hit(instant, visitor, kind=kind, page=page, status=404 if kind == "error" else 200))
    add(store, hits)
    close(store, Terms(UTC, 1, marks(GOALS, FUNNELS, ())))
    reached: dict[str, int] = defaultdict(int)
    for visit in sessions(hits):
        reached["thanks"] += any(one.page == "/thanks" and one.kind == 0 for one in visit)
        reached["file"] += any(one.page.startswith("/files/") and one.kind == 1 for one in visit)
        reached["any a"] += any(one.page.startswith("/a") and one.kind == 0 for one in visit)
    found = {one.value: one.visits for one in reports.rows(store, "goal", first=DAY, last=DAY, fewest=1)}
    assert found == {name: amount for name, amount in reached.items() if amount}
    by_source = {one.value: one.visits for one in reports.rows(store, "goal_source", first=DAY, last=DAY, fewest=1)}
    assert by_source == {f"{name}{BETWEEN}direct": amount for name, amount in found.items()}
    steps = {one.value: one.visits for one in reports.rows(store, "funnel", first=DAY, last=DAY, fewest=1)}
    for funnel in FUNNELS:
        amounts = expected_funnel(hits, funnel.steps)
        assert {f"{funnel.name}{BETWEEN}{n}": amount for n, amount in enumerate(amounts, 1) if amount}.items() <= steps.items()


FORM = '[[forms]]\nname = "contact"\npath = "/contact"\npurpose = "answer"\nretention_days = 9\naccepted = ["303"]\n[forms.fields]\nname = "keep"\n'


def test_a_form_is_a_goal_when_the_app_accepts_it(store: Store) -> None:
    import tomllib

    declared = load_declaration(tomllib.loads('[[goals]]\nname = "asked"\nwhen = "form:contact"\n' + FORM))
    add(store, [*some(4, kind="form", page="/contact", status=303), *some(3, start=50, kind="form", page="/contact", status=200)])
    close(store, Terms(UTC, 1, marks(declared.goals, declared.funnels, declared.forms)))
    assert [(one.value, one.visits) for one in reports.rows(store, "goal", first=DAY, last=DAY, fewest=1)] == [("asked", 4)]


@pytest.mark.parametrize(
    ("toml", "wrong"),
    [
        ({"goals": [{"name": "a", "when": "thanks"}]}, "none of /page, download:/file, form:name"),
        ({"goals": [{"name": "a", "when": "form:nowhere"}]}, "no \\[\\[forms\\]\\] entry declares"),
        ({"goals": [{"name": "a", "when": "/"}, {"name": "a", "when": "/b"}]}, "declared twice"),
        ({"goals": [{"name": " ", "when": "/"}]}, "without a name"),
        ({"goals": [{"name": "a\x1fb", "when": "/"}]}, "without a name"),
        ({"funnels": [{"name": "a", "steps": ["/"]}]}, "from 2 to 5"),
        ({"funnels": [{"name": "a", "steps": ["/"] * 6}]}, "from 2 to 5"),
        ({"funnels": [{"name": "a", "steps": ["/", "download:x"]}]}, "write one of these"),
    ],
)
def test_a_wrong_goal_is_refused_with_its_remedy(toml: dict[str, Any], wrong: str) -> None:
    with pytest.raises(DeclarationError, match=wrong):
        load_declaration(toml)


def test_without_goals_nothing_is_looked_for() -> None:
    assert marks(Declaration().goals, Declaration().funnels, ()) == ()
