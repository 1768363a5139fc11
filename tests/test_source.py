"""Sources: what kind of place a visitor came from, and that nothing hostile or private of it is kept."""

import time
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from privacy_middleware.collect.source import DIRECT, LONGEST_SOURCE, Source, read_source
from tests.test_page import is_safe

OWN = b"www.example.org"


def source(referrer: str, *, own_hosts: frozenset[str] = frozenset()) -> Source:
    return read_source(referrer.encode(), OWN, own_hosts)


# --- kinds -----------------------------------------------------------------------------------------------------------------

SEARCH = """
https://www.google.com/ https://google.de/ https://www.google.co.uk/ https://www.google.com.br/search https://images.google.fr/
https://www.bing.com/ https://cn.bing.com/ https://duckduckgo.com/ https://html.duckduckgo.com/ https://search.yahoo.com/ https://yahoo.co.jp/
https://yandex.ru/search https://ya.ru.yandex.com/ https://www.baidu.com/link https://www.ecosia.org/ https://www.qwant.com/ https://www.startpage.com/
https://search.brave.com/ https://search.seznam.cz/ https://search.naver.com/ https://search.daum.net/ https://www.sogou.com/ https://www.so.com/
https://www.ask.com/ https://www.mojeek.com/ https://kagi.com/ https://swisscows.com/ https://metager.de/ https://searx.be/
android-app://com.google.android.googlequicksearchbox/
"""
SOCIAL = """
https://www.facebook.com/ https://l.facebook.com/l.php https://lm.facebook.com/ https://m.facebook.com/ https://fb.me/x https://www.instagram.com/
https://t.co/abc https://twitter.com/ https://x.com/ https://www.linkedin.com/ https://lnkd.in/x https://www.reddit.com/r/x https://out.reddit.com/
https://old.reddit.com/ https://www.pinterest.com/ https://www.pinterest.co.uk/ https://www.tiktok.com/ https://www.youtube.com/ https://youtu.be/x
https://vk.com/ https://ok.ru/ https://www.quora.com/ https://blog.tumblr.com/ https://www.threads.net/ https://bsky.app/ https://mastodon.social/
https://web.telegram.org/ https://web.whatsapp.com/ https://discord.com/ https://www.xing.com/ https://news.ycombinator.com/item https://lobste.rs/
android-app://com.linkedin.android/ android-app://com.reddit.frontpage/
"""
ASSISTANT = """
https://chatgpt.com/ https://chat.openai.com/ https://www.perplexity.ai/ https://claude.ai/ https://gemini.google.com/ https://copilot.microsoft.com/
https://you.com/ https://www.phind.com/ https://chat.deepseek.com/ https://chat.mistral.ai/ https://poe.com/ https://grok.com/
"""
MAIL = """
https://mail.google.com/ https://mail.yahoo.com/ https://outlook.live.com/ https://outlook.office.com/ https://webmail.example.net/
android-app://com.google.android.gm/
"""
REFERRAL = """
https://google.example.org/ https://google.com.evil.example/ https://notgoogle.com/ https://mygoogle.com/ https://google/ https://www.x.org/ https://t.example/
https://ask.example/ https://x.example.com/ https://so.net/ https://you.example.com/ https://bing.evil.example/ https://google-com.example/
https://facebook.github.io/ https://twitter.evil.co.example/ https://192.0.2.1/ https://[2001:db8::1]/ https://example.net/ http://localhost:8000/
https://okay.com/ https://gmail.example/ https://mailing.example/
"""


@pytest.mark.parametrize(
    ("kind", "referrers"), [("search", SEARCH), ("social", SOCIAL), ("ai-assistant", ASSISTANT), ("mail", MAIL), ("referral", REFERRAL)]
)
def test_each_kind_of_source_is_recognised(kind: str, referrers: str):
    found = {referrer: source(referrer).kind for referrer in referrers.split()}
    assert found == dict.fromkeys(found, kind)


def test_meta_ai_is_an_assistant():
    assert source("https://www.meta.ai/") == Source("ai-assistant", "meta.ai/")


@pytest.mark.parametrize("host", ["docs.google.com", "sites.google.com", "accounts.google.com", "classroom.google.com", "drive.google.com"])
def test_what_is_not_the_search_of_a_search_company_is_no_search(host: str):
    assert source(f"https://{host}/x").kind == "referral"


@pytest.mark.parametrize("host", ["GOOGLE.com", "Www.Google.Com"])
def test_hosts_are_compared_without_regard_to_case(host: str):
    assert source(f"HTTPS://{host}/") == Source("search", "google.com/")


# --- what is kept ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("referrer", "address"),
    [
        ("https://www.example.net/blog/hello", "example.net/blog/hello"),
        ("https://example.net", "example.net/"),
        ("http://example.net:8080/x", "example.net/x"),
        ("https://sub.example.net/x/", "sub.example.net/x/"),
        ("https://jane:hunter2@example.net/x", "example.net/x"),
        ("https://example.net/x?q=secret", "example.net/x"),
        ("https://example.net?q=secret", "example.net/"),
        ("https://example.net/x#secret", "example.net/x"),
        ("https://example.net/x?a=1?b=2#c?d", "example.net/x"),
        ("https://example.net/u/jane@example.com", "example.net/u/{email}"),
        ("https://example.net/u/jane%40example.com", "example.net/u/{email}"),
        ("https://example.net/o/12345678", "example.net/o/{number}"),
        ("https://example.net/reset/Ab3dEf6hIj9kLmNoPqRsTuV", "example.net/reset/{token}"),
        ("https://xn--bcher-kva.example/", "xn--bcher-kva.example/"),
        ("android-app://com.example.reader/https/www.example.org/x", "com.example.reader/"),
        (" https://example.net/x ", "example.net/x"),
    ],
)
def test_host_and_scrubbed_path_are_kept_and_nothing_else(referrer: str, address: str):
    assert source(referrer) == Source("referral", address)


WORDS = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=8)


@given(query=st.text(st.characters(codec="utf-8"), max_size=40), quoted=st.booleans(), path=st.lists(WORDS, max_size=3).map("/".join))
@settings(deadline=None, max_examples=200)
def test_no_query_is_ever_kept(query: str, quoted: bool, path: str):
    text = quote(f"CANARY{query}") if quoted else f"CANARY{query}"
    for separator in "?#":
        found = source(f"https://example.net/{path}{separator}q={text}")
        assert "CANARY" not in found.address


# --- what is no source -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "referrer",
    [
        "",
        " ",
        "-",
        "about:blank",
        "about:client",
        "no-referrer",
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)//https://example.net/",
        " javascript:alert(1)",
        "java\tscript:alert(1)",
        "javascript://example.net/%0aalert(1)",
        "data:text/html,<script>alert(1)</script>",
        "vbscript:x",
        "file:///etc/passwd",
        "ftp://example.net/",
        "blob:https://example.net/x",
        "chrome-extension://abc/x.html",
        "mailto:jane@example.net",
        "//example.net/x",
        "/x",
        "example.net/x",
        "http:example.net",
        "http:/example.net",
        "http:///x",
        "http://",
        "http://?q=1",
        "http://[::1",
        'http://exam"ple.net/',
        "http://exam'ple.net/",
        "http://example.net<script>/",
        "http://example.net>/",
        "http://exa mple.net/",
        "http://example.net\\@evil.example\\/",
        "http://example.net;x/",
        "http://=cmd|' /C calc'!A0/",
        "http://%31.example/",
        "http://example.net\0/",
        "http://\u202eexample.net/",
        "http://" + "a" * 300 + ".example/",
        "\x00\x01\x02",
        "http\0://example.net/",
    ],
)
def test_what_is_no_web_address_is_no_source(referrer: str):
    assert source(referrer) == DIRECT


def test_bytes_that_are_no_text_are_no_source():
    assert read_source(b"\xff\xfe\xfd", OWN) == DIRECT


@pytest.mark.parametrize(
    "path", ['"><script>alert(1)</script>', "%22%3E%3Cscript%3E", '"onmouseover="alert(1)', "`x`", "%3Cimg src=x onerror=y%3E"]
)
def test_what_could_break_out_of_an_attribute_is_not_stored(path: str):
    assert not set('"<>`') & set(source(f"https://example.net/{path}").address)


@pytest.mark.parametrize("path", ["a%0d%0aSet-Cookie:x", "a%1b[31m", "a\x1b[31m", "a%e2%80%ae", "%00", "\x7f"])
def test_no_control_character_is_kept(path: str):
    assert is_safe(source(f"https://example.net/{path}").address)


# --- our own pages ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("referrer", "host"),
    [
        ("https://www.example.org/secret/page", b"www.example.org"),
        ("https://example.org/secret", b"www.example.org"),
        ("https://www.example.org/", b"example.org"),
        ("http://WWW.EXAMPLE.ORG/", b"www.example.org"),
        ("http://www.example.org:8000/x", b"www.example.org:8000"),
        ("http://localhost:8000/x", b"localhost:8000"),
        ("http://127.0.0.1:8000/x", b"127.0.0.1:8000"),
        ("http://[::1]:8000/x", b"[::1]:8000"),
    ],
)
def test_of_a_page_of_the_same_host_only_that_is_kept(referrer: str, host: bytes):
    assert read_source(referrer.encode(), host) == Source("internal", "")


@pytest.mark.parametrize("referrer", ["https://shop.example.org/x", "https://www.shop.example.org/x"])
def test_the_owners_other_hosts_are_internal_too(referrer: str):
    assert source(referrer, own_hosts=frozenset({"shop.example.org"})) == Source("internal", "")


@pytest.mark.parametrize("host", ["shop.example.org", "example.org.evil.example", "notexample.org"])
def test_a_host_that_only_resembles_ours_is_not_internal(host: str):
    assert source(f"https://{host}/").kind == "referral"


def test_without_a_host_of_our_own_nothing_is_internal():
    assert read_source(b"https://example.net/", b"").kind == "referral"


# --- anything --------------------------------------------------------------------------------------------------------------


@given(
    st.binary(max_size=200)
    | st.binary(max_size=200).map(b"https://".__add__)
    | st.binary(max_size=100).map(b"http://example.net/".__add__),
    st.binary(max_size=20),
)
@settings(deadline=None, max_examples=500)
@example(b"http://example.net/" + b"%0a" * 3000, OWN)
@example(b"http://example.net/%2525252525252525", OWN)
def test_any_referrer_gives_a_safe_and_bounded_source(referrer: bytes, host: bytes):
    found = read_source(referrer, host)
    assert found.kind in ("", "search", "social", "ai-assistant", "mail", "referral", "internal")
    assert len(found.address) <= LONGEST_SOURCE
    assert is_safe(found.address)
    assert "://" not in found.address.partition("/")[0]


@pytest.mark.parametrize(
    "referrer", [b"http://" + b"a." * 50_000, b"http://a/" + b"x@" * 50_000, b"http://[" * 10_000, b"http://a.b/" + b"%25" * 30_000]
)
def test_a_hostile_referrer_of_100_kilobytes_costs_little(referrer: bytes):
    began = time.perf_counter()
    read_source(referrer, OWN)
    assert time.perf_counter() - began < 0.5
