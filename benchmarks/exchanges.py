"""Makes plausible exchanges of a middling site: thousands of pages, hundreds of agents, visitors who come and go."""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Iterator
from itertools import accumulate
from typing import Any, Final

DAY: Final = 86_400
START: Final = 1_780_272_000
"""2026-06-01 00:00 UTC, epoch seconds."""
HITS_A_VISITOR: Final = 8
_WORDS: Final = "garden winter bread music harbour letter window coffee summer bridge paper river silver kitchen travel story".split()
_SYSTEMS: Final = (
    "Windows NT 10.0; Win64; x64",
    "Macintosh; Intel Mac OS X 10_15_7",
    "X11; Linux x86_64",
    "Linux; Android 10; K",
    "iPhone; CPU iPhone OS {} like Mac OS X",
)
_BOTS: Final = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
    "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
    "python-requests/2.32.3",
)
_LANGUAGES: Final = ("en-US,en;q=0.9", "de-DE,de;q=0.9,en;q=0.8", "da,en;q=0.7", "fr-FR,fr;q=0.9", "es-ES,es;q=0.9", "nl", "sv-SE", "")
_SEARCHES: Final = (b"https://www.google.com/", b"https://www.bing.com/", b"https://duckduckgo.com/", b"https://search.brave.com/")
HOST: Final = b"www.example.org"


class _Site:
    """What can be visited and by whom; which of it is popular follows Zipf's law."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.pages = ["/", *(f"/{chance.choice(_WORDS)}/{chance.choice(_WORDS)}-{chance.choice(_WORDS)}-{n}" for n in range(4000))]
        self.files = [f"/downloads/{chance.choice(_WORDS)}-{n}.pdf" for n in range(60)]
        self.assets = [f"/static/{chance.choice(_WORDS)}-{n}.{chance.choice(('css', 'js', 'png', 'webp'))}" for n in range(300)]
        self.sources = [f"https://www.{chance.choice(_WORDS)}{n}.example/{chance.choice(_WORDS)}/{n}".encode() for n in range(1500)]
        self.agents = [agent.encode() for agent in _agents()]
        self._weights = {len(kind): list(accumulate(1 / (n + 1) for n in range(len(kind)))) for kind in (self.pages, self.assets)}

    def popular(self, things: list[str]) -> str:
        weights = self._weights[len(things)]
        return things[bisect(weights, self.chance.random() * weights[-1])]


def _agents() -> Iterator[str]:
    for version in range(90, 150):
        for system in _SYSTEMS[:4]:
            mobile = "Mobile " if "Android" in system else ""
            yield f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 {mobile}Safari/537.36"
        yield f"Mozilla/5.0 ({_SYSTEMS[version % 3]}; rv:{version}.0) Gecko/20100101 Firefox/{version}.0"
    for version in ("15_6", "16_7", "17_5", "17_6_1", "18_0", "18_5"):
        browser = f"Version/{version[:2]}.0 Mobile/15E148 Safari/604.1"
        yield f"Mozilla/5.0 ({_SYSTEMS[4].format(version)}) AppleWebKit/605.1.15 (KHTML, like Gecko) {browser}"


def exchanges(number: int, *, days: int, seed: int = 1) -> Iterator[tuple[Any, ...]]:
    """Yield the fields of `Exchange`, in the order of time, spread over so many days."""
    chance = random.Random(seed)
    site = _Site(chance)
    visitors = [_visitor(site) for _ in range(max(20, number // days // HITS_A_VISITOR // 20))]
    for index in range(number):
        place = chance.randrange(len(visitors))
        yield _exchange(site, START + index * days * DAY / number, visitors[place])
        if chance.random() < 1 / HITS_A_VISITOR:
            visitors[place] = _visitor(site)


def _visitor(site: _Site) -> tuple[tuple[int, bytes, bytes], bytes, bytes, bytes]:
    """Return (pseudonym, nothing to hash later, address of /24), agent, language, and where they come from."""
    chance = site.chance
    pseudonym = (chance.randrange(-(2**63), 2**63), b"", chance.randbytes(3), "DK")
    agent = chance.choice(_BOTS).encode() if chance.random() < 0.15 else chance.choice(site.agents)
    came_from = chance.choices((b"", chance.choice(_SEARCHES), chance.choice(site.sources)), (5, 3, 2))[0]
    return pseudonym, agent, chance.choice(_LANGUAGES).encode(), came_from


def _exchange(site: _Site, time: float, visitor: tuple[Any, bytes, bytes, bytes]) -> tuple[Any, ...]:
    pseudonym, agent, language, came_from = visitor
    chance = site.chance
    dice = chance.random()
    content_type, path, query, status = b"text/html; charset=utf-8", site.popular(site.pages), b"", 200
    if dice < 0.35:
        content_type, path = b"image/png", site.popular(site.assets)
        status = 200 if dice < 0.25 else 304
    elif dice < 0.37:
        content_type, path = b"application/pdf", chance.choice(site.files)
    elif dice < 0.40:
        path, status = f"/{chance.choice(_WORDS)}.php", 404
    elif dice < 0.45:
        query = b"utm_source=newsletter&utm_campaign=week%d" % chance.randrange(20)
    referrer = came_from if chance.random() < 0.2 else b"https://www.example.org" + site.popular(site.pages).encode()
    return (
        time,
        pseudonym,
        "GET",
        path,
        None,
        query,
        HOST,
        referrer,
        agent,
        language,
        b"",
        b"",
        status,
        content_type,
        b"",
        b"",
        int(chance.expovariate(1 / 20_000)),
        1 if chance.random() < 0.99 else 0,
        chance.expovariate(1 / 0.03),
    )
