"""Says where a visitor came from: the referrer's host and path, never its query, and its kind."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from .page import clean, scrub_path

LONGEST_REFERRER: Final = 2048
LONGEST_SOURCE: Final = 300

_KINDS: Final = {
    "search": (
        "google bing duckduckgo yahoo yandex baidu ecosia qwant startpage brave seznam naver daum sogou so ask aol lycos "
        "mojeek kagi swisscows metager presearch searx yep marginalia-search"
    ),
    "social": (
        "facebook fb instagram twitter x t linkedin lnkd reddit pinterest tiktok youtube youtu vk ok weibo quora tumblr threads "
        "bsky mastodon telegram whatsapp discord snapchat xing news.ycombinator lobste lemmy"
    ),
    "ai-assistant": (
        "chatgpt chat.openai openai perplexity claude gemini.google copilot.microsoft you phind deepseek mistral poe meta grok"
    ),
}
_SUFFIXES: Final = {
    "t": ("co",),
    "x": ("com",),
    "so": ("com",),
    "ok": ("ru",),
    "fb": ("com", "me"),
    "you": ("com",),
    "ask": ("com",),
    "poe": ("com",),
    "meta": ("ai",),
}
_KIND_OF: Final = {name: kind for kind, names in _KINDS.items() for name in names.split()}
_NO_SEARCH: Final = frozenset("docs drive sites accounts classroom mail groups calendar translate play maps meet".split())
"""What stands before a search engine's name when the visitor does not come from a search."""
_QUOTES: Final = str.maketrans(dict.fromkeys("\"'<>`\\", "\ufffd"))
_ANDROID_APPS: Final = {"com.google.android.gm": "mail", "com.google.android.googlequicksearchbox": "search"}


class Source(NamedTuple):
    """Where a visit came from: `kind` is search, social, ai-assistant, mail, referral or internal; none if direct."""

    kind: str
    address: str


DIRECT: Final = Source("", "")


@lru_cache(maxsize=4096)
def read_source(referrer: bytes, own_host: bytes, own_hosts: frozenset[str] = frozenset()) -> Source:
    """Return the source that a Referer header names, or `DIRECT`.

    Anything that is not an http, https or android-app address is no source at all, so that a hostile text never
    becomes a link. A referrer of the same host, or of one in `own_hosts` (without `www.`), is `internal`, and then only its
    being so is kept.
    """
    try:
        parts = urlsplit(referrer[:LONGEST_REFERRER].decode("utf-8", "replace").strip())
        host = (parts.hostname or "").removeprefix("www.")
    except ValueError:
        return DIRECT
    if parts.scheme not in ("http", "https", "android-app") or not host.isprintable() or not _is_host(host):
        return DIRECT
    if host in own_hosts or host == _without_port(own_host.decode("latin-1")):
        return Source("internal", "")
    path = "/" if parts.scheme == "android-app" else scrub_path(parts.path or "/")
    return Source(_kind(host), clean(host + path.translate(_QUOTES))[:LONGEST_SOURCE])


def _without_port(host: str) -> str:
    """Return a Host header's name without port, brackets and `www.`."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return name.lower().removeprefix("www.")


def _is_host(host: str) -> bool:
    return 0 < len(host) <= 253 and not set(host) & set(" \"'<>\\^`{|}%;,()")


def _kind(host: str) -> str:
    if host in _ANDROID_APPS:
        return _ANDROID_APPS[host]
    labels = host.split(".")
    if labels[0] in ("mail", "webmail", "outlook"):
        return "mail"
    for start in range(len(labels) - 1):
        for length in (1, 2):
            name, rest = ".".join(labels[start : start + length]), labels[start + length :]
            kind = _KIND_OF.get(name)
            if kind and 0 < len(rest) <= 2 and _fits(name, rest):
                return "referral" if kind == "search" and labels[0] in _NO_SEARCH else kind
    return "referral"


def _fits(name: str, rest: list[str]) -> bool:
    """A name counts before a public suffix only: `google.co.uk`, but not `google.example.org`."""
    if name in _SUFFIXES:
        return len(rest) == 1 and rest[0] in _SUFFIXES[name]
    return len(rest) == 1 or (len(rest[0]) <= 3 and len(rest[1]) == 2)
