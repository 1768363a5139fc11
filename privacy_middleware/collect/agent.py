"""Reads browser, operating system, device class, and kind of bot from a user agent; the text itself is dropped.

Bots are found by the patterns of `is-bot`, their kinds by the tags of `crawler-user-agents`, browsers and
systems by `ua-parser` (all maintained lists).
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from is_bot import Bots
    from ua_parser import OS, Parser, UserAgent

LONGEST_AGENT: Final = 512
"""Bytes looked at; no browser sends more, and it bounds what a hostile text can cost."""

_ASSISTANT: Final = re.compile(
    r"-User\b|SearchBot|PerplexityBot|Perplexity-?User|ChatGPT|DuckAssistBot|Deep-Research|NotebookLM|kagi-fetcher"
    r"|PhindBot|TavilyBot|LinkupBot|meta-externalfetcher|iAskBot|LinerBot|YouBot|Devin",
    re.IGNORECASE,
)
_TRAINING: Final = re.compile(
    r"Amazonbot|Applebot-Extended|ImagesiftBot|Diffbot|omgili|Timpibot|PanguBot|VelenPublicWebCrawler", re.IGNORECASE
)
_LIBRARY: Final = re.compile(
    r"^$|^(python|java|go-http|okhttp|curl|wget|libwww|php|ruby|perl|node|axios|https?|guzzlehttp|reqwest|undici|postmanruntime"
    r"|faraday|deno|bun|dart|jakarta|insomnia)\b",
    re.IGNORECASE,
)
_FEED: Final = re.compile(r"NetNewsWire|Liferea|Newsboat|Feed-?Fetcher|Akregator|\bRSS\b|syndication", re.IGNORECASE)
_BROWSER: Final = re.compile(r"Web0S.*WebAppManager|SogouMobileBrowser")
"""People's browsers that `is-bot` takes for bots."""
_FAMILY: Final = re.compile(r"[A-Za-z][A-Za-z0-9 ./_+-]{0,29}")
"""A plain short name; some of ua-parser's patterns return any text of a user agent as its family."""
_TAGGED: Final = (("monitoring", "monitoring"), ("feed", "feed-reader"), ("search", "search-engine"), ("library", "http-library"))
_TABLET: Final = re.compile(r"iPad|Tablet|Kindle|Silk/|PlayBook|Nexus (?:7|9|10)\b|SM-[TX]\d")
_PHONE: Final = re.compile(r"Mobi|iPhone|iPod|Windows Phone|Opera Mini|BlackBerry|IEMobile")
_TV: Final = re.compile(r"SmartTV|SMART-TV|\bTV\b|AppleTV|HbbTV|CrKey|Roku|BRAVIA|PlayStation|Xbox|Nintendo")


class Agent(NamedTuple):
    """What is kept of a user agent. `bot` is empty for people's browsers, else the kind of bot."""

    browser: str
    os: str
    device: str
    bot: str


@lru_cache(maxsize=4096)
def read_agent(user_agent: bytes) -> Agent:
    """Return browser family, system family, device class (desktop, mobile, tablet, tv) and kind of bot.

    The kinds are search, ai-training, ai-assistant, monitoring, feed, library, other. No user agent at all is a library's.
    """
    text = user_agent[:LONGEST_AGENT].decode("utf-8", "replace").strip()
    if _is_bot(text):
        return Agent("", "", "", _bot_kind(text))
    parser = _parser()
    return Agent(_family(parser.parse_user_agent(text)), _family(parser.parse_os(text)), _device(text), "")


def _is_bot(text: str) -> bool:
    return bool(_LIBRARY.search(text) or _FEED.search(text)) or (_bots().is_bot(text) and not _BROWSER.search(text))


def _family(found: OS | UserAgent | None) -> str:
    return found.family if found and _FAMILY.fullmatch(found.family) and "Mozilla" not in found.family else ""


def _device(text: str) -> str:
    if _TV.search(text):
        return "tv"
    if _TABLET.search(text) or ("Android" in text and not _PHONE.search(text)):
        return "tablet"
    return "mobile" if _PHONE.search(text) else "desktop"


def _bot_kind(text: str) -> str:
    if _ASSISTANT.search(text):
        return "ai-assistant"
    if _tagged("ai-crawler").search(text) or _TRAINING.search(text):
        return "ai-training"
    if _LIBRARY.search(text):
        return "library"
    if _FEED.search(text):
        return "feed"
    return next((kind for kind, tag in _TAGGED if _tagged(tag).search(text)), "other")


@cache
def _bots() -> Bots:
    from is_bot import Bots

    return Bots()


@cache
def _tagged(tag: str) -> re.Pattern[str]:
    from crawleruseragents import CRAWLER_USER_AGENTS_DATA

    return re.compile("|".join(crawler["pattern"] for crawler in CRAWLER_USER_AGENTS_DATA if tag in crawler.get("tags", ())))


@cache
def _parser() -> Parser:
    """Without ua-parser's own cache: `read_agent` has one."""
    from ua_parser import Parser, basic, loaders

    return Parser(basic.Resolver(loaders.load_lazy_builtins()))
