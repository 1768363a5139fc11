"""The SQL of the statistics, as `queries` holds the rest: counting a day's hits, keeping the figures, and reading them."""

from __future__ import annotations

from typing import Final

# --- counting a day --------------------------------------------------------------------------------------------------------
# A visit ends after 30 minutes (1,800,000 ms) without a hit, and at midnight, where the pseudonym ends. A day is counted in parts, each of
# some of its visitors, whose figures add up; tables of the connection itself (TEMP, in memory) hold one part at a time.

OTHER: Final = "\x01"
"""The value under which values are put together that are not shown; no page, source or browser is called so."""
MEASURES: Final = ("visitors", "visits", "page_views", "bounces", "milliseconds", "hits", "sent", "aborted")
UNITS: Final = {"milliseconds": 60_000, "sent": 1_000_000}
"""What is rounded to multiples of this many times the fewest visitors: a minute, a megabyte; other measures are numbers of something."""
_PART: Final = "(abs(hit.visitor % :parts) = :part OR (hit.visitor IS NULL AND :part = 0))"

DROP_PART: Final = (
    "DROP TABLE IF EXISTS piece",
    "DROP TABLE IF EXISTS visits",
    "DROP TABLE IF EXISTS reached",
    "DROP TABLE IF EXISTS who",
)
MAKE_PIECE: Final = """/* rollup.piece */
CREATE TEMP TABLE piece (
    place INTEGER PRIMARY KEY, is_bot INTEGER, visitor BIGINT, visit INTEGER, id BIGINT, time BIGINT, kind INTEGER, page INTEGER,
    status INTEGER, source INTEGER, campaign INTEGER, agent INTEGER, language INTEGER, country TEXT, sent BIGINT, aborted INTEGER
)"""


FILL_PIECE: Final = f"""/* rollup.piece */
WITH ordered AS (
    SELECT hit.id, hit.time, hit.visitor, CASE WHEN agent.bot <> '' THEN 1 ELSE 0 END AS is_bot,
           CASE WHEN hit.time - LAG(hit.time) OVER (PARTITION BY agent.bot <> '', hit.visitor ORDER BY hit.time, hit.id) <= 1800000
                THEN 0 ELSE 1 END AS begins
    FROM hit JOIN agent ON agent.id = hit.agent
    WHERE hit.day = :day AND hit.id > :after AND hit.id <= :last AND {_PART}
), numbered AS (
    SELECT id, is_bot, ROW_NUMBER() OVER in_order AS place, CASE WHEN visitor IS NOT NULL THEN SUM(begins) OVER in_order END AS visit
    FROM ordered WINDOW in_order AS (ORDER BY is_bot, visitor, time, id ROWS UNBOUNDED PRECEDING)
)
INSERT INTO piece
SELECT place, is_bot, hit.visitor, visit, hit.id, hit.time, kind, page, status, source, campaign, agent, language, country, sent, aborted
FROM numbered JOIN hit ON hit.id = numbered.id AND hit.day = :day"""
"""People and bots apart: a bot under a person's pseudonym does not bridge two visits."""
LEAVE_PEOPLE: Final = ("DELETE FROM piece WHERE is_bot = 1", "DELETE FROM visits WHERE is_bot = 1", "DELETE FROM who WHERE is_bot = 1")

MAKE_VISITS: Final = """/* rollup.visits */
CREATE TEMP TABLE visits AS
SELECT whole.*, begun.source, begun.campaign, entry.page AS entry, leaving.page AS leaving
FROM (
    SELECT visit, visitor, is_bot, COUNT(*) FILTER (WHERE kind = 0) AS page_views, MAX(time) - MIN(time) AS duration,
           COUNT(*) AS hits, SUM(sent) AS sent, SUM(aborted) AS aborted, MIN(place) AS first,
           MIN(CASE WHEN kind = 0 THEN place END) AS first_view, MAX(CASE WHEN kind = 0 THEN place END) AS last_view
    FROM piece WHERE visit IS NOT NULL GROUP BY visit, visitor, is_bot
) AS whole
JOIN piece AS begun ON begun.place = whole.first
LEFT JOIN piece AS entry ON entry.place = whole.first_view
LEFT JOIN piece AS leaving ON leaving.place = whole.last_view"""

INDEX_VISITS: Final = "/* rollup.visits */ CREATE INDEX visits_visit ON visits (visit)"

_PAGE: Final = "page.site || page.path"
_SOURCE: Final = """CASE WHEN source.kind = '' AND source.address = '' THEN 'direct'
    ELSE source.kind || ' ' || source.address END"""
OF_VISITS: Final = {
    "total": ("", "''"),
    "entry": ("JOIN page ON page.id = visits.entry", _PAGE),
    "exit": ("JOIN page ON page.id = visits.leaving", _PAGE),
    "source": ("JOIN source ON source.id = visits.source", _SOURCE),
    "campaign": ("JOIN campaign ON campaign.id = visits.campaign AND campaign.value <> ''", "campaign.value"),
}
_AGENT: Final = "JOIN agent ON agent.id = who.agent"
OF_HITS: Final = {
    "page": ("JOIN page ON page.id = piece.page WHERE piece.kind = 0", _PAGE),
    "download": ("JOIN page ON page.id = piece.page WHERE piece.kind = 1", _PAGE),
    "site": ("JOIN page ON page.id = piece.page", "page.site"),
    "status": ("", "piece.status"),
    "kind": ("", "piece.kind"),
}
ANY_SITE: Final = "/* rollup.site */ SELECT 1 FROM page WHERE site <> '' LIMIT 1"
OF_PEOPLE: Final = {
    "country": ("", "who.country"),
    "browser": (_AGENT, "agent.browser"),
    "os": (_AGENT, "agent.os"),
    "device": (_AGENT, "agent.device"),
    "language": ("JOIN language ON language.id = who.language", "language.value"),
    "bot": (f"{_AGENT} WHERE who.is_bot = 1", "agent.bot"),
}
"""What hardly ever changes within a visit."""
MAKE_WHO: Final = """/* rollup.who */
CREATE TEMP TABLE who AS
SELECT is_bot, visit, MIN(visitor) AS visitor, agent, language, country, COUNT(*) FILTER (WHERE kind = 0) AS views, COUNT(*) AS hits,
       SUM(sent) AS sent, SUM(aborted) AS aborted
FROM piece GROUP BY is_bot, visit, agent, language, country"""


def of_visits(dimension: str) -> str:
    """One row for each value that a visit has as a whole."""
    join, value = OF_VISITS[dimension]
    return f"""/* rollup.{dimension} */
SELECT {value} AS value, COUNT(DISTINCT visits.visitor), COUNT(*), SUM(page_views), COUNT(*) FILTER (WHERE page_views = 1),
       SUM(duration), SUM(hits), SUM(sent), SUM(aborted)
FROM visits {join} GROUP BY 1"""


def of_hits(dimension: str) -> str:
    """One row for each value that single hits have; a visit counts under each value that it has."""
    join, value = OF_HITS[dimension]
    return _of_hits(dimension, join, value)


def of_people(dimension: str) -> str:
    """The same, for what hardly ever changes within a visit, from fewer rows."""
    join, value = OF_PEOPLE[dimension]
    return _with_visits(
        dimension,
        f"""SELECT {value} AS value, who.visit, MIN(who.visitor) AS visitor, SUM(who.views) AS views, SUM(who.hits) AS hits,
           SUM(who.sent) AS sent, SUM(who.aborted) AS aborted
    FROM who {join} GROUP BY 1, who.visit""",
    )


_MEDIUM: Final = ("JOIN source ON source.id = visits.source", "CASE WHEN source.kind = '' THEN 'direct' ELSE source.kind END")


LEAVE_SAMPLE: Final = """/* filters.sample */
DELETE FROM piece WHERE (abs(visitor % 1000003) * :mix + :shift) / 1009 % :of = 0"""


def leave_only(dimension: str, *, hour: str = "") -> str:
    """Take out the hits of all visits that do not have a value (`:value`) of a dimension; `hour` is how a hit's hour is worked out."""
    if dimension == "goal":
        have = "SELECT visit FROM reached WHERE goal = :value"
    else:
        of_visits = {**OF_VISITS, "medium": _MEDIUM}
        table = "visits" if dimension in of_visits else "who" if dimension in OF_PEOPLE else "piece"
        join, value = ("", hour) if dimension == "hour" else {**of_visits, **OF_HITS, **OF_PEOPLE}[dimension]
        word = "AND" if " WHERE " in join else "WHERE"
        have = f"SELECT {table}.visit FROM {table} {join} {word} CAST({value} AS TEXT) = :value AND {table}.visit IS NOT NULL"
    return f"/* filters.only */ DELETE FROM piece WHERE visit IS NULL OR visit NOT IN ({have})"


def local_hour(changes: int) -> str:
    """The hour of the owner's clock, which changes its offset from UTC `changes` times within the day.

    Binds `offset_0` … and, for each change, `change_1` …: the instant (ms) from which `offset_1` … (ms) holds.
    """
    cases = " ".join(f"WHEN piece.time >= :change_{n} THEN :offset_{n}" for n in range(changes, 0, -1))
    offset = f"CASE {cases} ELSE :offset_0 END" if changes else ":offset_0"
    return f"(piece.time + {offset}) % 86400000 / 3600000"


def by_hour(changes: int) -> str:
    """One row for each hour of the owner's clock; see `local_hour`."""
    return _of_hits("hour", "", local_hour(changes))


def _of_hits(dimension: str, join: str, value: str) -> str:
    return _with_visits(
        dimension,
        f"""SELECT {value} AS value, piece.visit, MIN(piece.visitor) AS visitor,
           COUNT(*) FILTER (WHERE piece.kind = 0) AS views, COUNT(*) AS hits, SUM(piece.sent) AS sent, SUM(piece.aborted) AS aborted
    FROM piece {join} GROUP BY 1, piece.visit""",
    )


def _with_visits(dimension: str, parts: str) -> str:
    """Sum up the parts of visits by value, with the bounces and seconds of the whole visits."""
    return f"""/* rollup.{dimension} */
SELECT part.value, COUNT(DISTINCT part.visitor), COUNT(part.visit), SUM(part.views), COUNT(*) FILTER (WHERE visits.page_views = 1),
       COALESCE(SUM(visits.duration), 0), SUM(part.hits), SUM(part.sent), SUM(part.aborted)
FROM (
    {parts}
) AS part LEFT JOIN visits ON visits.visit = part.visit GROUP BY 1"""


NOBODYS: Final = """/* rollup.total */
SELECT '' AS value, 0, 0, COUNT(*) FILTER (WHERE kind = 0), 0, 0, COUNT(*), COALESCE(SUM(sent), 0), COALESCE(SUM(aborted), 0)
FROM piece WHERE visitor IS NULL"""

MAKE_REACHED: Final = "/* rollup.goals */ CREATE TEMP TABLE reached (goal INTEGER, visit INTEGER, place INTEGER, hits INTEGER)"
MAKE_MARKS: Final = """/* rollup.goals */
CREATE TEMP TABLE IF NOT EXISTS goal_page (goal INTEGER, page INTEGER, kind INTEGER, least INTEGER, most INTEGER, begins INTEGER)"""
CLEAR_MARKS: Final = "/* rollup.goals */ DELETE FROM goal_page"
ADD_MARK: Final = "/* rollup.goals */ INSERT INTO goal_page VALUES (:goal, :page, :kind, :least, :most, :begins)"
ALL_PAGES: Final = "/* rollup.goals */ SELECT id, path FROM page"
_MATCH: Final = (
    """goal_page.page = piece.page AND goal_page.kind = piece.kind AND piece.status BETWEEN goal_page.least AND goal_page.most"""
)
REACH: Final = f"""/* rollup.goals */
INSERT INTO reached
SELECT goal_page.goal, piece.visit, MIN(piece.place), COUNT(*) FROM goal_page JOIN piece ON {_MATCH}
WHERE goal_page.begins = 1 GROUP BY goal_page.goal, piece.visit"""
GOALS: Final = """/* rollup.goals */
SELECT reached.goal AS value, COUNT(DISTINCT visits.visitor), COUNT(reached.visit), 0, 0, 0, SUM(reached.hits), 0, 0
FROM reached LEFT JOIN visits ON visits.visit = reached.visit WHERE reached.goal >= 0 GROUP BY 1"""
GOALS_BY_SOURCE: Final = f"""/* rollup.goals */
SELECT CAST(reached.goal AS TEXT) || :between || {_SOURCE} AS value, COUNT(DISTINCT visits.visitor), COUNT(*), 0, 0, 0,
       SUM(reached.hits), 0, 0
FROM reached JOIN visits ON visits.visit = reached.visit JOIN source ON source.id = visits.source WHERE reached.goal >= 0 GROUP BY 1"""
STEP_ON: Final = f"""/* rollup.funnels */
INSERT INTO reached
SELECT :next, piece.visit, MIN(piece.place), COUNT(*)
FROM reached JOIN piece ON piece.visit = reached.visit AND piece.place > reached.place JOIN goal_page ON {_MATCH}
WHERE reached.goal = :before AND goal_page.goal = :next GROUP BY piece.visit"""
FUNNELS: Final = """/* rollup.funnels */
SELECT reached.goal AS value, COUNT(DISTINCT visits.visitor), COUNT(*), 0, 0, 0, SUM(reached.hits), 0, 0
FROM reached JOIN visits ON visits.visit = reached.visit WHERE reached.goal < 0 GROUP BY 1"""

# --- keeping the figures ---------------------------------------------------------------------------------------------------

DAY_HITS: Final = "/* rollup.day */ SELECT COUNT(*) AS hits, COALESCE(MAX(id), 0) AS last FROM hit WHERE day = :day AND id > :after"
DAY_HITS_UP_TO: Final = "/* rollup.day */ SELECT COUNT(*) AS hits FROM hit WHERE day = :day AND id > :after AND id <= :last"
HIT_DAYS: Final = """/* rollup.due */
WITH RECURSIVE days (day) AS (
    SELECT MIN(day) FROM hit UNION ALL SELECT (SELECT MIN(hit.day) FROM hit WHERE hit.day > days.day) FROM days WHERE days.day IS NOT NULL
)
SELECT days.day, COALESCE(day.state, 0) AS state, COALESCE(day.last, -1) AS counted,
       (SELECT MAX(id) FROM hit WHERE hit.day = days.day) AS last
FROM days LEFT JOIN day ON day.day = days.day WHERE days.day IS NOT NULL"""
DAYS: Final = "/* rollup.days */ SELECT day, state, hits, last, made FROM day WHERE day BETWEEN :first AND :last ORDER BY day"
OLDEST_DAY: Final = "/* filters.weeks */ SELECT MIN(day) AS day FROM hit"
FIRST_DAY: Final = "/* reports.first */ SELECT MIN(day) AS day FROM day"
SET_DAY: Final = """/* rollup.keep */
INSERT INTO day (day, state, hits, last, made) VALUES (:day, :state, :hits, :last, :made)
ON CONFLICT (day) DO UPDATE SET state = excluded.state, hits = excluded.hits, last = excluded.last, made = excluded.made"""
CLEAR_DAY_OF: Final = "/* rollup.keep */ DELETE FROM rollup WHERE dimension = :dimension AND day = :day"
FORGET_OPEN_ROWS: Final = """/* recorder.forget */
DELETE FROM rollup WHERE day = :day AND EXISTS (SELECT 1 FROM day WHERE day.day = rollup.day AND day.state = 0)"""
FORGET_OPEN_DAY: Final = "/* recorder.forget */ DELETE FROM day WHERE day = :day AND state = 0"
ADD_ROW: Final = f"""/* rollup.keep */
INSERT INTO rollup (dimension, day, value, held, {", ".join(MEASURES)}) VALUES (:dimension, :day, :value, :held, :{", :".join(MEASURES)})"""
ROWS_OF_DAY: Final = f"/* rollup.add */ SELECT value, {', '.join(MEASURES)} FROM rollup WHERE dimension = :dimension AND day = :day"
SET_HELD: Final = "/* rollup.hold */ UPDATE rollup SET held = :held WHERE dimension = :dimension AND day = :day AND value = :value"
PURGE_DAY_HITS: Final = "/* rollup.add */ DELETE FROM hit WHERE day = :day AND id <= :last"
PUT_TOGETHER: Final = (
    f"""/* purge.figures */
INSERT INTO rollup (dimension, day, value, held, {", ".join(MEASURES)})
SELECT dimension, day, :other, MAX(held), {", ".join(f"SUM({name})" for name in MEASURES)} FROM rollup
WHERE held > 0 AND value <> :other AND day IN (SELECT day FROM day WHERE state = 2 AND day < :before) GROUP BY dimension, day
ON CONFLICT (dimension, day, value) DO UPDATE SET {", ".join(f"{name} = rollup.{name} + excluded.{name}" for name in MEASURES)}""",
    """/* purge.figures */
DELETE FROM rollup WHERE held > 0 AND value <> :other AND day IN (SELECT day FROM day WHERE state = 2 AND day < :before)""",
)
"""What too few had in common is not kept longer than the visits themselves."""
PURGE_COUNTED_HITS: Final = """/* purge.hits */
DELETE FROM hit WHERE id IN (
    SELECT hit.id FROM hit LEFT JOIN day ON day.day = hit.day
    WHERE (hit.day < :before AND day.state = 2 AND hit.id <= day.last) OR hit.day > :after LIMIT :most)"""
MARK_PURGED: Final = "/* purge.hits */ UPDATE day SET state = 2 WHERE day < :before AND state < 2"
FIRST_UNCLOSED: Final = """/* purge.hits */
WITH RECURSIVE days (day) AS (
    SELECT MIN(day) FROM hit UNION ALL SELECT (SELECT MIN(hit.day) FROM hit WHERE hit.day > days.day) FROM days WHERE days.day < :before
)
SELECT MIN(days.day) AS day FROM days WHERE days.day < :before AND NOT EXISTS (
    SELECT 1 FROM day WHERE day.day = days.day AND day.state > 0 AND day.last >= (SELECT MAX(id) FROM hit WHERE hit.day = days.day))"""

MONTHS: Final = "/* rollup.months */ SELECT month FROM month ORDER BY month"
ADD_MONTH: Final = "/* rollup.months */ INSERT INTO month (month) VALUES (:month)"
CLEAR_MONTH: Final = (
    "/* rollup.months */ DELETE FROM monthly WHERE month = :month",
    "/* rollup.months */ DELETE FROM month WHERE month = :month",
)
ADD_MONTHLY: Final = f"""/* rollup.months */
INSERT INTO monthly (dimension, month, value, {", ".join(MEASURES)}) VALUES (:dimension, :month, :value, :{", :".join(MEASURES)})"""
_SUMS: Final = ", ".join(f"SUM({name}) AS {name}" for name in MEASURES)
MONTH_ROWS: Final = f"""/* rollup.months */
SELECT value, held, COUNT(*) AS days, {_SUMS} FROM rollup
WHERE dimension = :dimension AND day BETWEEN :first AND :last GROUP BY value, held"""
CELLS: Final = """/* rollup.months */
SELECT day, value FROM rollup WHERE dimension = :dimension AND day BETWEEN :first AND :last AND held = 1 ORDER BY day, value"""

# --- reading them ----------------------------------------------------------------------------------------------------------
# Of a day that goes on, figures are rounded down to multiples of the fewest visitors shown: so two looks do not tell of one visitor.

_PLAIN: Final = ", ".join(MEASURES)
_OF_DAY: Final = ", ".join(f"rollup.{name}" for name in MEASURES)
_ROUNDED: Final = ", ".join(
    f"rollup.{name} - rollup.{name} % (CASE WHEN :fewest = 1 THEN 1 ELSE :fewest * {UNITS.get(name, 1)} END)" for name in MEASURES
)
_WEIGHT: Final = "CASE WHEN rollup.visitors > 0 THEN rollup.visitors ELSE rollup.hits END"


def panel(segments: int) -> str:
    """The figures by value of whole months and of `segments` stretches of days (`first_0`, `last_0` …)."""
    parts = [f"SELECT value, {_PLAIN} FROM monthly WHERE dimension = :dimension AND month BETWEEN :first_month AND :last_month"]
    for n in range(segments):
        of_days = f"""FROM rollup JOIN day ON day.day = rollup.day
    WHERE dimension = :dimension AND rollup.day BETWEEN :first_{n} AND :last_{n}"""
        parts += [
            f"SELECT CASE WHEN held > 0 THEN :other ELSE value END AS value, {_OF_DAY} {of_days} AND day.state > 0 AND held < 2",
            f"SELECT value, {_ROUNDED} {of_days} AND day.state = 0 AND held = 0 AND value <> :other AND {_WEIGHT} >= :fewest",
        ]
    return f"/* reports.panel */ SELECT value, {_SUMS} FROM ({' UNION ALL '.join(parts)}) AS shown GROUP BY value"


NOW: Final = """/* now.visitors */
SELECT COUNT(DISTINCT hit.visitor) AS visitors, COUNT(CASE WHEN hit.kind = 0 THEN 1 END) AS page_views
FROM hit JOIN agent ON agent.id = hit.agent WHERE hit.day >= :day AND hit.time >= :since AND agent.bot = ''"""
NOW_PAGES: Final = """/* now.pages */
SELECT page.site || page.path AS value, COUNT(DISTINCT hit.visitor) AS visitors
FROM hit JOIN agent ON agent.id = hit.agent JOIN page ON page.id = hit.page
WHERE hit.day >= :day AND hit.time >= :since AND hit.kind = 0 AND agent.bot = '' GROUP BY 1"""
BY_DAY: Final = f"""/* reports.by_day */
SELECT rollup.day, day.state, rollup.held, {_OF_DAY}
FROM rollup JOIN day ON day.day = rollup.day
WHERE dimension = :dimension AND value = :value AND rollup.day BETWEEN :first AND :last ORDER BY rollup.day"""
MONTHLY: Final = f"""/* reports.by_month */
SELECT month, {_PLAIN} FROM monthly WHERE dimension = :dimension AND value = :value AND month BETWEEN :first AND :last ORDER BY month"""

# --- what is public --------------------------------------------------------------------------------------------------------

DAYS_TO_PUBLISH: Final = """/* publish.days */
SELECT day.day, COALESCE(SUM(rollup.visitors), 0) AS visitors
FROM day LEFT JOIN rollup ON rollup.day = day.day AND rollup.dimension = 0
WHERE day.state > 0 AND NOT EXISTS (SELECT 1 FROM published WHERE published.day = day.day AND published.dimension = 'visitors')
GROUP BY day.day ORDER BY day.day"""
PUBLISHED_HALVES: Final = "/* publish.halves */ SELECT day AS first FROM published WHERE dimension = 'half'"
VISITORS_BY_VALUE: Final = """/* publish.halves */
SELECT value, SUM(visitors) AS visitors FROM rollup
WHERE dimension = :dimension AND day BETWEEN :first AND :last AND value <> :other GROUP BY value ORDER BY value"""
ADD_PUBLISHED: Final = """/* publish.add */
INSERT INTO published (day, dimension, value, figure, amount) VALUES (:day, :dimension, :value, :figure, :amount)
ON CONFLICT (day, dimension, value, figure) DO NOTHING"""
PUBLISHED: Final = """/* publish.read */
SELECT day, dimension, value, amount FROM published WHERE figure = 'visitors' AND amount > 0 ORDER BY day, dimension, amount DESC, value"""
