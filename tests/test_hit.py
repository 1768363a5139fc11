"""Hits: their kinds, and that nothing is taken that is not declared."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy_middleware.collect.agent import Agent
from privacy_middleware.collect.hit import (
    KINDS,
    METHOD_NUMBERS,
    METHODS,
    NOBODY,
    OTHER,
    Collector,
    Exchange,
    Hit,
    Rules,
    read_language,
)
from privacy_middleware.collect.source import DIRECT, Source
from privacy_middleware.declaration import VISIT_ITEMS

FIREFOX = b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
HTML = b"text/html; charset=utf-8"
PLAIN: dict[str, Any] = {
    "time": 1_777_852_800.0,
    "visitor": (42, b"", b"\xc0\x00\x02", "DK"),
    "method": "GET",
    "path": "/",
    "template": None,
    "query": b"",
    "host": b"www.example.org",
    "referrer": b"",
    "agent": FIREFOX,
    "language": b"",
    "purpose": b"",
    "request_type": b"",
    "status": 200,
    "content_type": HTML,
    "disposition": b"",
    "content_range": b"",
    "sent": 100,
    "completed": 1,
    "duration": 0.005,
}
DAY = 20577


def rules(items: Any = tuple(VISIT_ITEMS), **others: Any) -> Rules:
    limits = {name: frozenset(others.get(name, ())) for name in ("query_params", "path_params", "sites", "own_hosts")}
    return Rules(frozenset(items), **limits)


def hit(given_rules: Rules | None = None, **facts: Any) -> Hit:
    exchange = Exchange(**(PLAIN | facts))
    return Collector(given_rules or rules()).hit(tuple(exchange), day=DAY, visitor=exchange.visitor[0])


def kind(**facts: Any) -> str:
    return KINDS[hit(**facts).kind]


# --- kinds -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content_type", [b"text/html", b"text/html; charset=utf-8", b"TEXT/HTML", b" text/html ;x", b"application/xhtml+xml"]
)
def test_a_get_of_html_is_a_page(content_type: bytes):
    assert kind(content_type=content_type) == "page"


def test_html_under_a_name_with_an_ending_is_a_page_all_the_same():
    assert kind(path="/guide.pdf", content_type=HTML) == "page"
    assert kind(path="/logo.png", content_type=HTML) == "page"


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/a", b"application/pdf"),
        ("/a", b"application/zip"),
        ("/a", b"application/octet-stream"),
        ("/a", b"application/x-7z-compressed"),
        ("/a", b"application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("/a", b"application/vnd.oasis.opendocument.text"),
        ("/a", b"application/vnd.ms-excel"),
        ("/a", b"application/epub+zip"),
        ("/a", b"audio/mpeg"),
        ("/a", b"video/mp4"),
        ("/a", b"text/csv; charset=utf-8"),
        ("/a.pdf", b"application/x-unheard-of"),
        ("/a.PDF", b""),
        ("/a.tar.gz", b""),
        ("/a.deb", b"text/plain"),
    ],
)
def test_a_document_archive_recording_or_program_is_a_download(path: str, content_type: bytes):
    assert kind(path=path, content_type=content_type) == "download"


@pytest.mark.parametrize("disposition", [b"attachment", b"Attachment; filename=x.html", b'attachment; filename="x"'])
@pytest.mark.parametrize("content_type", [HTML, b"application/json", b"image/png", b""])
def test_whatever_is_sent_as_an_attachment_is_a_download(disposition: bytes, content_type: bytes):
    assert kind(disposition=disposition, content_type=content_type) == "download"


def test_what_is_sent_inline_is_what_its_type_says():
    assert kind(disposition=b"inline; filename=x.pdf") == "page"


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/a", b"text/css"),
        ("/a", b"text/javascript; charset=utf-8"),
        ("/a", b"application/javascript"),
        ("/a", b"application/wasm"),
        ("/a", b"application/manifest+json"),
        ("/a", b"image/png"),
        ("/a", b"image/svg+xml"),
        ("/a", b"font/woff2"),
        ("/a", b"application/font-woff"),
        ("/favicon.ico", b""),
        ("/robots.txt", b"text/plain"),
        ("/sitemap.xml", b"application/xml"),
        ("/app.js", b""),
    ],
)
def test_what_a_page_is_made_of_is_an_asset(path: str, content_type: bytes):
    assert kind(path=path, content_type=content_type) == "asset"


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/a", b"application/json"),
        ("/data.csv", b"application/json"),
        ("/a", b"application/problem+json"),
        ("/a", b"text/plain"),
        ("/a", b"text/event-stream"),
        ("/feed", b"application/rss+xml"),
        ("/feed.atom", b""),
        ("/a", b"application/x-unheard-of"),
        ("/a", b"garbage"),
    ],
)
def test_what_is_for_programs_is_api(path: str, content_type: bytes):
    assert kind(path=path, content_type=content_type) == "api"


@pytest.mark.parametrize("request_type", [b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x", b"Multipart/Form-Data"])
@pytest.mark.parametrize("status", [200, 204, 302, 303])
def test_a_posted_form_is_a_form_also_where_it_leads_elsewhere(request_type: bytes, status: int):
    assert kind(method="POST", request_type=request_type, status=status) == "form"


@pytest.mark.parametrize(
    ("method", "request_type"), [("POST", b"application/json"), ("POST", b""), ("PUT", b"multipart/form-data"), ("DELETE", b"")]
)
def test_html_that_answers_another_request_is_no_page_view(method: str, request_type: bytes):
    assert kind(method=method, request_type=request_type) == "api"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 418, 429, 499, 500, 503, 599])
@pytest.mark.parametrize("facts", [{}, {"method": "HEAD"}, {"purpose": b"prefetch"}, {"disposition": b"attachment"}, {"path": "/a.css"}])
def test_a_status_of_400_and_up_is_an_error_whatever_else(status: int, facts: dict[str, Any]):
    assert kind(status=status, **facts) == "error"
    assert hit(status=status, **facts).status == status


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_a_redirect_is_no_page_view(status: int):
    assert kind(status=status) == "redirect"


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_head_and_options_are_no_page_views(method: str):
    assert kind(method=method) == "other"


@pytest.mark.parametrize("purpose", [b"prefetch", b"prefetch;prerender", b"prerender", b"prefetch;anonymous-client-ip"])
@pytest.mark.parametrize("facts", [{}, {"path": "/a.pdf", "content_type": b"application/pdf"}, {"status": 304, "content_type": b""}])
def test_what_was_only_fetched_ahead_was_not_looked_at(purpose: bytes, facts: dict[str, Any]):
    assert kind(purpose=purpose, **facts) == "other"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "page"),
        ("/about", "page"),
        ("/about/", "page"),
        ("/a.html", "page"),
        ("/a.css", "asset"),
        ("/feed.json", "api"),
        ("/a.pdf", "part"),
    ],
)
def test_not_modified_is_told_by_the_ending_and_is_no_second_download(path: str, expected: str):
    assert kind(path=path, status=304, content_type=b"") == expected


# Without a content type (304, imported logs) only the ending tells.
@pytest.mark.parametrize("path", ["/map", "/blog/csv", "/products/bin", "/js", "/guides/doc", "/pdf", "/v1.2/json"])
def test_a_name_without_a_dot_has_no_ending(path: str):
    assert kind(path=path, status=304, content_type=b"") == "page"


# The browser stays on the page that it shows (RFC 9110, 15.3.5).
@pytest.mark.parametrize("status", [204, 205])
def test_an_answer_without_content_is_no_page_view(status: int):
    assert kind(path="/beacon", status=status, content_type=b"") != "page"


# --- ranges ----------------------------------------------------------------------------------------------------------------

PDF: dict[str, Any] = {"path": "/a.pdf", "content_type": b"application/pdf", "status": 206}


@pytest.mark.parametrize("content_range", [b"bytes 0-99/1000", b"bytes 0-999/1000", b"bytes 0-99/*", b"bytes  0-99/1000"])
def test_a_range_from_the_first_byte_is_a_download(content_range: bytes):
    assert kind(**PDF, content_range=content_range) == "download"


@pytest.mark.parametrize("content_range", [b"bytes 1-99/1000", b"bytes 500-999/1000", b"bytes 999999999999-1000000000000/*"])
def test_a_range_that_goes_on_is_part_of_an_earlier_download(content_range: bytes):
    assert kind(**PDF, content_range=content_range) == "part"


@pytest.mark.parametrize("content_range", [b"", b"garbage", b"bytes */1000", b"bytes -", b"items 5-6/7"])
def test_a_range_that_cannot_be_read_is_a_download(content_range: bytes):
    assert kind(**PDF, content_range=content_range) == "download"


def test_a_whole_file_is_a_download_whatever_its_range_says():
    assert kind(**(PDF | {"status": 200}), content_range=b"bytes 5-9/10") == "download"


def test_a_range_of_a_page_or_an_asset_is_what_it_was():
    assert kind(status=206, content_range=b"bytes 5-9/10") == "page"
    assert kind(status=206, content_range=b"bytes 5-9/10", content_type=b"image/png") == "asset"


# A reader that asks for several ranges at once gets multipart/byteranges, without Content-Range (RFC 9110, 14.6).
def test_several_ranges_at_once_are_part_of_an_earlier_download():
    assert kind(path="/a.pdf", content_type=b"multipart/byteranges; boundary=x", status=206) == "part"


# Safari begins every recording with `Range: bytes=0-1`, and then asks for it from the first byte.
@pytest.mark.parametrize("content_range", [b"bytes 0-1/1000", b"bytes 0-0/1000"])
def test_a_players_probe_of_the_first_bytes_is_no_download(content_range: bytes):
    assert kind(path="/a.mp3", content_type=b"audio/mpeg", status=206, content_range=content_range) == "part"


# --- the other fields ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS[:-1])
def test_a_known_method_is_kept_as_its_number(method: str):
    assert METHODS[hit(method=method).method] == method


@pytest.mark.parametrize("method", ["get", "PROPFIND", "", "X" * 1000, "GET\n"])
def test_an_unknown_method_is_other(method: str):
    assert METHODS[hit(method=method).method] == "other"


@pytest.mark.parametrize(("completed", "aborted"), [(1, 0), (0, 1)])
def test_an_answer_that_did_not_get_through_is_marked(completed: int, aborted: int):
    assert hit(completed=completed).aborted == aborted


@pytest.mark.parametrize(
    ("host", "site"), [(b"www.example.org", "www.example.org"), (b"WWW.Example.ORG", "www.example.org"), (b"evil.example", ""), (b"", "")]
)
def test_a_host_is_kept_only_if_it_is_among_the_sites(host: bytes, site: str):
    assert hit(rules(sites=["www.example.org"]), host=host).site == site


def test_of_several_templates_the_one_that_the_path_lies_under_counts():
    templates = ("/a/{id}", "/b/{id}")
    assert [hit(path=path, template=templates).page for path in ("/b/7", "/a/7", "/c/1234567")] == ["/b/{id}", "/a/{id}", "/c/{number}"]


def test_a_referrer_from_one_of_our_hosts_is_no_source():
    assert hit(rules(own_hosts=["example.net"]), referrer=b"https://www.example.net/secret").source == Source("internal", "")


@pytest.mark.parametrize("address", [b"", b"\xc0\x00\x02"])
def test_an_empty_address_is_none(address: bytes):
    assert hit(visitor=(42, b"", address, "DK")).address == (address or None)


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (b"da-DK,da;q=0.9,en;q=0.8", "da-DK"),
        (b"EN-us", "en-US"),
        (b"zh-Hant-TW", "zh-TW"),
        (b"zh-hans", "zh"),
        (b"es-419", "es-419"),
        (b"fil;q=0.5", "fil"),
        (b" de ", "de"),
        (b"en-US-x-private", "en-US"),
        (b"", ""),
        (b"*", ""),
        (b"i-klingon", ""),
        (b"x-secret-canary", ""),
        (b"english", ""),
        (b"<script>", ""),
        (b"\xff\xfe", ""),
        (b"d", ""),
        (b"da" * 10_000, ""),
    ],
)
def test_of_the_languages_only_the_first_tag_is_kept(header: bytes, language: str):
    assert read_language(header) == language
    assert hit(language=header).language == language


# --- what is not declared is not taken -------------------------------------------------------------------------------------

# A canary in every field: each declared item leaves its own trace, and an undeclared one none.
CANARIES: dict[str, Any] = PLAIN | {
    "time": 1_777_852_812.345,
    "visitor": (987_654_321, b"identity-canary", b"\xca\xfe\x01", "ZW"),
    "method": "DELETE",
    "path": "/page-canary",
    "query": b"utm_source=campaign-canary",
    "host": b"site-canary.example",
    "referrer": b"https://source-canary.example/",
    "language": b"da-DK",
    "status": 418,
    "sent": 777_001,
    "completed": 0,
    "duration": 55.555,
}
FIELDS: dict[str, dict[str, Any]] = {
    "time": {"day": 0, "time": 0},  # always declared, see test_declaration.py
    "visitor": {"visitor": None},
    "address": {"address": None},
    "page": {"method": 0, "page": "", "kind": OTHER},
    "status": {"status": 0, "aborted": 0},
    "source": {"source": DIRECT},
    "campaign": {"campaign": ""},
    "agent": {"agent": NOBODY},
    "language": {"language": ""},
    "country": {"country": ""},
    "bytes": {"sent": 0},
    "duration": {"duration": 0},
    "site": {"site": ""},
}
"""The fields of a hit that each item fills, with what stands there if it is not declared."""


ITEMS = st.sets(st.sampled_from(sorted(VISIT_ITEMS))).map(lambda items: items | {"time"})


def test_every_item_and_every_field_is_accounted_for():
    assert set(FIELDS) == set(VISIT_ITEMS)
    assert sorted(field for fields in FIELDS.values() for field in fields) == sorted(Hit._fields)


def test_with_everything_declared_every_canary_is_in_the_hit():
    found = hit(rules(sites=["site-canary.example"]), **CANARIES)
    absent = {field: value for fields in FIELDS.values() for field, value in fields.items()}
    assert [field for field, value in found._asdict().items() if field in absent and value == absent[field]] == []
    assert found.page == "/page-canary"
    assert found.method == METHOD_NUMBERS["DELETE"]
    assert found.source == Source("referral", "source-canary.example/")
    assert found.agent == Agent("Firefox", "Linux", "desktop", "")


@given(ITEMS)
@settings(deadline=None, max_examples=200)
def test_an_undeclared_item_is_absent_and_a_declared_one_complete(items: set[str]):
    everything = hit(rules(sites=["site-canary.example"]), **CANARIES)._asdict()
    found = hit(rules(items, sites=["site-canary.example"]), **CANARIES)._asdict()
    for item, fields in FIELDS.items():
        for field, absent in fields.items():
            assert found[field] == (everything[field] if item in items else absent)


@given(ITEMS)
@settings(deadline=None, max_examples=100)
def test_no_canary_of_an_undeclared_item_is_anywhere_in_the_hit(items: set[str]):
    text = repr(hit(rules(items, sites=["site-canary.example"]), **CANARIES))
    traces = {
        "visitor": ["987654321"], "address": ["\\xca"], "page": ["page-canary"], "status": ["418"],
        "source": ["source-canary"], "campaign": ["campaign-canary"], "agent": ["Firefox", "Linux"], "language": ["da-DK"], "country": ["ZW"],
        "bytes": ["777001"], "duration": ["55555"], "site": ["site-canary"],
    }  # fmt: skip
    assert "identity-canary" not in text
    for item in set(VISIT_ITEMS) - items:
        assert not [trace for trace in traces[item] if trace in text]


def test_two_sets_of_rules_do_not_mix():
    exchange = tuple(Exchange(**CANARIES))
    one, other = Collector(rules({"time", "page"})), Collector(rules({"time", "agent"}))
    for _ in range(2):
        assert one.hit(exchange, day=DAY, visitor=1).agent == NOBODY
        assert other.hit(exchange, day=DAY, visitor=1).page == ""


@pytest.mark.parametrize("field", [name for name in Exchange._fields if name not in ("identity", "visitor", "template", "root")])
def test_a_hit_is_the_same_whatever_was_collected_before_it(field: str):
    collector = Collector(rules(sites=["site-canary.example"]))
    exchanges = [tuple(Exchange(**facts)) for facts in (PLAIN, PLAIN | {field: CANARIES[field]}, PLAIN)]
    alone = [Collector(rules(sites=["site-canary.example"])).hit(one, day=DAY, visitor=1) for one in exchanges]
    assert [collector.hit(one, day=DAY, visitor=1) for one in exchanges] == alone


@pytest.mark.parametrize("field", ["host", "request_type", "content_type", "disposition", "content_range", "purpose"])
def test_what_only_serves_to_make_a_hit_is_not_in_it(field: str):
    assert "canary" not in repr(hit(**{field: b"canary-" * 3}))


def test_nothing_of_a_user_agent_and_of_a_query_but_what_is_meant_is_in_the_hit():
    found = hit(agent=FIREFOX + b" canary/7", query=b"password=canary&utm_source=x", referrer=b"https://example.net/?q=canary#canary")
    assert "canary" not in repr(found)


@given(
    st.fixed_dictionaries(
        {
            "method": st.text(max_size=8),
            "path": st.text(st.characters(), max_size=30),
            "query": st.binary(max_size=40),
            "host": st.binary(max_size=30),
            "referrer": st.binary(max_size=40) | st.binary(max_size=30).map(b"http://".__add__),
            "agent": st.binary(max_size=60),
            "language": st.binary(max_size=20),
            "purpose": st.binary(max_size=20),
            "request_type": st.binary(max_size=20),
            "content_type": st.binary(max_size=20),
            "disposition": st.binary(max_size=20),
            "content_range": st.binary(max_size=20) | st.binary(max_size=10).map(b"bytes ".__add__),
            "status": st.integers(0, 999),
        }
    )
)
@settings(deadline=None, max_examples=200)
def test_any_exchange_makes_a_hit_that_can_be_stored(facts: dict[str, Any]):
    found = hit(rules(sites=["x"]), **facts)
    assert 0 <= found.kind < len(KINDS)
    for text in (found.page, found.site, found.campaign, found.language, *found.source, *found.agent):
        assert len(text) <= 512
        text.encode()
