"""Invents a day of plausible visits by people and bots, as requests with their times; nothing is sent here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta, tzinfo
from random import Random
from typing import Final, NamedTuple, TypeVar
from urllib.parse import urlencode

from .content import JOBS, POSTS
from .forms import QUESTIONNAIRE

Value = TypeVar("Value")
Header = tuple[bytes, bytes]
Table = Mapping[Value, float]
"""Values with their weights."""

HOST: Final = "letterpress.example.org"
ORIGIN: Final = f"https://{HOST}"

_WEBKIT: Final = "AppleWebKit/537.36 (KHTML, like Gecko)"
_APPLE: Final = "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6"
BROWSERS: Final[Table[str]] = {
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_WEBKIT} Chrome/142.0.0.0 Safari/537.36": 24,
    f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) {_APPLE} Mobile/15E148 Safari/604.1": 24,
    f"Mozilla/5.0 (Linux; Android 10; K) {_WEBKIT} Chrome/142.0.0.0 Mobile Safari/537.36": 16,
    f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_APPLE} Safari/605.1.15": 9,
    f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_WEBKIT} Chrome/142.0.0.0 Safari/537.36": 7,
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_WEBKIT} Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0": 7,
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0": 6,
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0": 3,
    f"Mozilla/5.0 (iPad; CPU OS 18_6 like Mac OS X) {_APPLE} Mobile/15E148 Safari/604.1": 3,
    f"Mozilla/5.0 (Linux; Android 10; K) {_WEBKIT} SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36": 3,
}
LANGUAGES: Final[Table[str]] = {
    "da-DK,da;q=0.9,en-US;q=0.8,en;q=0.7": 56,
    "en-GB,en;q=0.9": 12,
    "en-US,en;q=0.9": 11,
    "de-DE,de;q=0.9,en;q=0.8": 8,
    "sv-SE,sv;q=0.9,en;q=0.8": 6,
    "nb-NO,nb;q=0.9,en;q=0.8": 4,
    "nl,en;q=0.7": 2,
}
REFUSALS: Final[Table[tuple[Header, ...]]] = {
    (): 90,
    ((b"sec-gpc", b"1"),): 6,
    ((b"dnt", b"1"),): 1.5,
    ((b"cookie", b"__Host-privacy-choice=refuse"),): 2.5,
}


class Source(NamedTuple):
    """What brings a visitor: the Referer header and the query of the link."""

    referrer: str = ""
    query: str = ""


SOURCES: Final[Table[Source]] = {
    Source(): 32,
    Source("https://www.google.com/"): 24,
    Source("https://duckduckgo.com/"): 3,
    Source("https://www.bing.com/"): 3,
    Source("https://www.ecosia.org/"): 1,
    Source("https://l.instagram.com/", "utm_source=instagram&utm_medium=social"): 8,
    Source("https://www.pinterest.com/"): 5,
    Source("https://m.facebook.com/"): 3,
    Source("https://chatgpt.com/", "utm_source=chatgpt.com"): 4,
    Source("https://www.perplexity.ai/"): 1.5,
    Source("https://weddings.example.com/suppliers/print"): 5,
    Source("https://typefriends.example.net/links"): 3,
    Source("https://harbour-market.example.org/exhibitors"): 2,
    Source("", "ref=visiting-card"): 2,
}
NEWSLETTER: Final = Source("", "utm_source=newsletter&utm_medium=email&utm_campaign=open-days")
NEWSLETTER_WEEKDAY: Final = 3
NEWSLETTER_WEIGHT: Final = 45

WORK: Final = tuple(f"/work/{job.slug}" for job in JOBS)
JOURNAL: Final = tuple(f"/journal/{post.slug}" for post in POSTS)
GONE: Final = ("/work/oyster-menu", "/preise", "/shop", "/journal/open-day-2025")
ENTRIES: Final[Table[str]] = {
    "/": 42,
    "/work": 7,
    **dict(zip(WORK, (5, 9, 4, 3), strict=True)),
    **dict(zip(JOURNAL, (9, 6, 2), strict=True)),
    "/prices": 9,
    "/contact": 4,
    **dict.fromkeys(GONE, 0.8),
}
_OFTEN: Final[Table[str]] = {"/prices": 21, "/work": 20, "/contact": 12, "/journal": 7, "/newsletter": 4, "/questionnaire": 3}
AFTER: Final[Mapping[str, Table[str]]] = {
    "/": {**_OFTEN, WORK[1]: 8, WORK[0]: 7, JOURNAL[0]: 6},
    "/work": dict(zip((*WORK, "/prices", "/"), (12, 20, 9, 8, 12, 4), strict=True)),
    "/journal": dict(zip((*JOURNAL, "/"), (14, 11, 8, 4), strict=True)),
    "/prices": {"/contact": 34, "/work": 14, "/": 8, "/newsletter": 3},
    "/contact": {"/": 10, "/prices": 8, "/work": 6},
}
AFTER_OTHERS: Final[Table[str]] = {**_OFTEN, "/": 10}
LENGTHS: Final[Table[int]] = {1: 40, 2: 19, 3: 14, 4: 10, 5: 7, 6: 5, 7: 3, 8: 2}

WEEKDAYS: Final = (1.0, 1.1, 1.1, 1.2, 0.9, 0.65, 0.75)
HOURS: Final = (1, 1, 0.5, 0.5, 0.5, 1, 3, 6, 8, 10, 11, 11, 12, 10, 10, 9, 8, 7, 7, 9, 11, 10, 6, 3)
HOURS_WEEKEND: Final = (2, 1, 1, 0.5, 0.5, 0.5, 1, 2, 4, 7, 10, 11, 10, 9, 9, 9, 8, 8, 7, 8, 9, 8, 6, 4)
SATURDAY: Final = 5
USUAL_VISITS: Final = 78
FEWEST_VISITS: Final = 40
MOST_VISITS: Final = 120
COMES_BACK: Final = 0.1
"""Share of visits by somebody who has been here on the same day."""
IPV6: Final = 0.4
DOWNLOADS: Final = 0.35
RESUMES: Final = 0.15
"""Share of downloads that are cut off and gone on with."""
FILLS_IN: Final = {"/contact": 0.45, "/newsletter": 0.5, "/questionnaire": 0.6}
LEAVES_OUT: Final = 0.2
"""Share of forms that are first sent with something missing."""

READING: Final = (3.4, 0.9)
TYPING: Final = (4.4, 0.5)
GLANCE: Final = (1.8, 0.4)
"""Logarithms of the usual number of seconds, and how much they differ."""
SHORTEST_GAP: Final = 2.0
LONGEST_GAP: Final = 900.0

NAMES: Final = ("Ane Lund", "Karla Birk", "Jonas Holm", "Mette Skov", "Emil Dahl", "Sofie Krogh", "Ole Bjerre")
WISHES: Final = (
    "Eighty invitations for a wedding in June, in green. What would that cost?",
    "Could you print menus on something that can be wiped?",
    "We need 200 visiting cards for two people before the fair.",
    "Do you still have the poster of the third film night?",
)
COMMENTS: Final = (
    "",
    "",
    "The photographs could be larger.",
    "Lovely shop. I could not find your opening hours at first.",
    "Please write to me about the open day: mette.skov@example.com or 00 12 34 56.",
)


class Request(NamedTuple):
    """One request, and when it is sent (epoch seconds)."""

    time: float
    address: str
    path: str
    headers: tuple[Header, ...]
    query: str = ""
    body: bytes = b""

    @property
    def method(self) -> str:
        """POST if something is sent along, else GET."""
        return "POST" if self.body else "GET"


class Visitor(NamedTuple):
    """Somebody's address, and the headers that their browser sends with everything."""

    address: str
    headers: tuple[Header, ...]


class Bot(NamedTuple):
    """A program: what it calls itself, how often it comes a day, and what it asks for each time."""

    agent: str
    times: int
    paths: tuple[str, ...]


EVERYTHING: Final = ("/robots.txt", "/", "/work", "/prices", "/journal", *WORK, *JOURNAL)
BOTS: Final = (
    Bot("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", 4, ("/robots.txt", "/", "/prices", WORK[1])),
    Bot("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", 2, ("/", "/work", JOURNAL[0])),
    Bot("Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)", 1, EVERYTHING),
    Bot("Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; ClaudeBot/1.0; +claudebot@anthropic.com)", 1, EVERYTHING),
    Bot("Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko); compatible; ChatGPT-User/1.0; +https://openai.com/bot", 3, ("/prices",)),
    Bot("Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)", 24, ("/", "/health")),
    Bot("Feedly/1.0 (+http://www.feedly.com/fetcher.html; like FeedFetcher-Google)", 12, ("/journal/feed.xml",)),
    Bot("NetNewsWire (RSS Reader; https://netnewswire.com/)", 5, ("/journal/feed.xml",)),
    Bot("python-requests/2.32.5", 3, ("/api/opening-hours",)),
    Bot("curl/8.5.0", 1, ("/wp-login.php", "/.env")),
)


def invent_day(day: date, *, zone: tzinfo, random: Random) -> list[Request]:
    """Return the requests of one day in `zone`, in order of time; what would fall beyond midnight is left out."""
    requests = [request for visit in _visits(day, zone, random) for request in visit]
    requests += [request for bot in BOTS for request in _bot(bot, day, zone, random)]
    ends = _midnight(day + timedelta(days=1), zone)
    return sorted(request for request in requests if request.time < ends)


def _visits(day: date, zone: tzinfo, random: Random) -> Iterator[list[Request]]:
    weekend = day.weekday() >= SATURDAY
    hours = dict(enumerate(HOURS_WEEKEND if weekend else HOURS))
    sources = {**SOURCES, NEWSLETTER: NEWSLETTER_WEIGHT} if day.weekday() == NEWSLETTER_WEEKDAY else SOURCES
    number = random.gauss(USUAL_VISITS, 8) * WEEKDAYS[day.weekday()]
    seen: list[Visitor] = []
    for _ in range(round(min(max(number, FEWEST_VISITS), MOST_VISITS))):
        clock = time(pick(random, hours), random.randrange(60), random.randrange(60))
        starts = datetime.combine(day, clock, zone).timestamp() + random.random()
        visitor = random.choice(seen) if seen and random.random() < COMES_BACK else _visitor(random)
        seen.append(visitor)
        yield Visit(visitor, starts, pick(random, sources), random).requests


def _bot(bot: Bot, day: date, zone: tzinfo, random: Random) -> Iterator[Request]:
    """A bot comes at even intervals, give or take, always from the same address."""
    begins, address = _midnight(day, zone), f"198.51.100.{200 + BOTS.index(bot)}"
    interval = 86_400 / bot.times
    for number in range(bot.times):
        starts = begins + interval * (number + random.random())
        for place, path in enumerate(bot.paths):
            yield Request(starts + 3 * place, address, path, ((b"user-agent", bot.agent.encode()),))


def _visitor(random: Random) -> Visitor:
    headers = ((b"user-agent", pick(random, BROWSERS).encode()), (b"accept-language", pick(random, LANGUAGES).encode()))
    return Visitor(_address(random), (*headers, *pick(random, REFUSALS)))


def _address(random: Random) -> str:
    """An address that nobody has: they are reserved for documentation (RFC 5737, RFC 3849)."""
    if random.random() < IPV6:
        return f"2001:db8:{random.randrange(1, 4000):x}::{random.randrange(1, 0xFFFF):x}"
    return f"{random.choice(('192.0.2', '203.0.113'))}.{random.randrange(1, 255)}"


class Visit:
    """Walks through the site as one visitor; `requests` is what they have asked for."""

    def __init__(self, visitor: Visitor, starts: float, source: Source, random: Random) -> None:
        self.requests: list[Request] = []
        self._visitor = visitor
        self._time = starts
        self._random = random
        self._walk(source)

    def _walk(self, source: Source) -> None:
        path = pick(self._random, ENTRIES)
        self._ask(path, source.referrer, query=source.query)
        self._ask("/static/style.css", ORIGIN + path)
        self._ask("/static/mark.svg", ORIGIN + path)
        for _ in range(pick(self._random, LENGTHS) - 1):
            self._act(path)
            self._wait(READING)
            path, left = pick(self._random, AFTER.get(path, AFTER_OTHERS)), path
            self._ask(path, ORIGIN + left)
        self._act(path)

    def _act(self, path: str) -> None:
        """Do what a visitor may do on a page: download something, or fill in its form."""
        if path == "/prices" and self._random.random() < DOWNLOADS:
            self._download(path)
        elif path in FILLS_IN and self._random.random() < FILLS_IN[path]:
            self._fill_in(path)

    def _download(self, page: str) -> None:
        file = "/downloads/" + pick(self._random, {"price-list.pdf": 4, "card-templates.zip": 1})
        self._wait(GLANCE)
        self._ask(file, ORIGIN + page)
        if self._random.random() < RESUMES:
            self._wait(GLANCE)
            self._ask(file, ORIGIN + page, extra=((b"range", b"bytes=512-"),))

    def _fill_in(self, page: str) -> None:
        fields = _answers(page, self._random)
        if self._random.random() < LEAVES_OUT:
            self._wait(TYPING)
            self._post(page, {**fields, "email": "", "found": ""})
        self._wait(TYPING)
        self._post(page, fields)
        self._ask(f"{page}/thanks", ORIGIN + page)

    def _post(self, page: str, fields: Mapping[str, str]) -> None:
        kind = (b"content-type", b"application/x-www-form-urlencoded")
        self._ask(page, ORIGIN + page, body=urlencode(fields).encode(), extra=(kind,))

    def _ask(self, path: str, referrer: str, *, query: str = "", body: bytes = b"", extra: tuple[Header, ...] = ()) -> None:
        headers = (*self._visitor.headers, *extra)
        if referrer:
            headers = (*headers, (b"referer", referrer.encode()))
        self._time += 0.1
        self.requests.append(Request(self._time, self._visitor.address, path, headers, query, body))

    def _wait(self, usual: tuple[float, float]) -> None:
        self._time += min(max(self._random.lognormvariate(*usual), SHORTEST_GAP), LONGEST_GAP)


def _answers(page: str, random: Random) -> dict[str, str]:
    name = random.choice(NAMES)
    email = f"{name.lower().replace(' ', '.')}@example.com"
    if page == "/contact":
        return {"name": name, "email": email, "message": random.choice(WISHES)}
    if page == "/newsletter":
        return {"email": email}
    choices = {field.name: random.choice(field.choices) for field in QUESTIONNAIRE.fields if field.choices}
    return {**choices, "comment": random.choice(COMMENTS)}


def pick(random: Random, table: Table[Value]) -> Value:
    """Return one of the values, as often as their weights say."""
    return random.choices(list(table), list(table.values()))[0]


def _midnight(day: date, zone: tzinfo) -> float:
    return datetime.combine(day, time(), zone).timestamp()
