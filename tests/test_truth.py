"""What is kept is said, and what is said is kept: by generated declarations and requests through the whole app, and by faults put in."""

import contextlib
import itertools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from privacy_middleware import PrivacyMiddleware
from privacy_middleware.cli import main
from privacy_middleware.declaration import VISIT_ITEMS
from privacy_middleware.language import english
from privacy_middleware.privacy import Privacy
from privacy_middleware.record import fork
from privacy_middleware.statement.section import plain_text
from privacy_middleware.store.base import Store
from privacy_middleware.truth import COLUMNS_OF_HITS, OF_THE_SOFTWARE, WHERE_SAID, Finding, compare, wrong

from . import databases
from .conftest import FIREFOX, query
from .databases import change, make_store
from .test_country import write

SECRET = "secret-of-the-tests-" * 2
BROWSER = {"user-agent": FIREFOX, "accept-language": "da-DK", "referer": "https://search.example.org/canary-search?q=canary-words"}
ADDRESSES = ("192.0.2.77", "198.51.100.77", "2001:db8:5::77")
CANARY = "canary"
# Each way of keeping a field, and what a person sends.
FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "keep": ({"treatment": "keep"}, "canary-kept"),
    "length": ({"treatment": "length"}, "canary-length"),
    "present": ({"treatment": "present"}, "canary-present"),
    "choice": ({"treatment": "choice", "choices": ("red", "blue")}, "red"),
    "bucket": ({"treatment": "bucket", "edges": (10.0, 20.0)}, "12.7182818"),
    "domain": ({"treatment": "domain"}, "canary.domain@example.net"),
    "region": ({"treatment": "region"}, "8000canary"),
    "hash": ({"treatment": "hash"}, "canary-hash"),
    "redact": ({"treatment": "redact"}, "write to canary.redact@example.net"),
    "email": ({"treatment": "keep", "identity": True}, "canary.person@example.org"),
}  # fmt: skip
PURPOSES = ("answer", "newsletter", "questionnaire", "statistics")


async def answer(request: Request) -> PlainTextResponse:
    """An app that answers with the status it is asked for."""
    await request.body()
    return PlainTextResponse("x" * 2000, int(request.headers.get("x-status", "200")))


def host() -> Starlette:
    paths = ("/canary-page", "/contact", "/form0", "/form1", "/form2")
    return Starlette(routes=[Route(path, answer, methods=["GET", "POST"]) for path in paths])


def declare(items: list[str], forms: list[dict[str, Any]]) -> str:
    """Write a privacy.toml."""
    lines = ['[controller]\nname = "Example"\nemail = "a@example.org"\n[visits]', f"items = {items}"]
    for form in ({**one, "link_visit": one["link_visit"] and "visitor" in items} for one in forms):
        lines += ["[[forms]]", *(f"{name} = {_toml(value)}" for name, value in form.items() if name != "fields")]
        lines += ["[forms.fields]", *(f"{name} = {_toml(FIELDS[name][0])}" for name in form["fields"])]
    return "\n".join(lines)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_toml(one)}" for name, one in value.items()) + " }"
    if isinstance(value, tuple | list):
        return f"[{', '.join(_toml(one) for one in value)}]"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def read() -> Store:
    store = make_store()
    store.open_to_read()
    return store


def findings(**keywords: Any) -> dict[str, Finding]:
    """Compare the database of this folder with what these settings would say."""
    store = read()
    try:
        return {one.what: one for one in compare(Privacy.from_sources(keywords, databases.environ()), store)}
    finally:
        store.close()


def undeclared(**keywords: Any) -> set[str]:
    return {one.what for one in wrong(list(findings(**keywords).values()))}


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder for one generated example: Hypothesis runs many in one test."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        os.environ.update(databases.environ())
        try:
            yield Path(name)
        finally:
            close_all()
            os.chdir(before)


def close_all() -> None:
    """End the threads of an example, before its folder goes."""
    for one in list(fork._known):
        one.close()


# --- generated -------------------------------------------------------------------------------------------------------------

ITEMS = st.lists(st.sampled_from([name for name in VISIT_ITEMS if name != "time"]), unique=True).map(lambda names: ["time", *sorted(names)])
FORMS = st.lists(
    st.fixed_dictionaries(
        {
            "purpose": st.sampled_from(PURPOSES),
            "retention_days": st.integers(1, 400),
            "link_visit": st.booleans(),
            "requested": st.booleans(),
            "outcomes": st.lists(st.sampled_from(["accepted", "invalid", "failed"]), min_size=1, unique=True),
            "fields": st.lists(st.sampled_from(sorted(FIELDS)), min_size=1, unique=True),
        }
    ),
    max_size=3,
).map(
    lambda forms: [
        {
            **form,
            "fields": sorted({*form["fields"], *(["email"] if form["purpose"] == "newsletter" else [])}),
            "name": f"form{n}",
            "path": f"/form{n}",
            "requested": form["requested"] and form["purpose"] in ("answer", "newsletter"),
        }
        for n, form in enumerate(forms)
    ]
)
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "ip": st.sampled_from(["none", "truncated", "full"]),
        "retention_days": st.integers(1, 800),
        "query_params": st.sampled_from(["shop", "shop,size"]),
        "sites": st.just("testserver"),
        "signals": st.sampled_from(["gpc=refuse,dnt=ignore", "gpc=ignore,dnt=refuse", "gpc=refuse,dnt=refuse"]),
    },
)
REFUSALS = st.sampled_from([{}, {"sec-gpc": "1"}, {"dnt": "1"}, {"cookie": "privacy-choice=refuse"}])
VISITS = st.lists(
    st.tuples(
        st.sampled_from(ADDRESSES),
        REFUSALS,
        st.sampled_from(["GET", "POST0", "POST1", "POST2"]),
        st.sampled_from(["200", "303", "404", "422", "500"]),
    ),
    max_size=8,
)
TARGET = "/canary-page?utm_source=canary-campaign&shop=aarhus&size=8&secret=canary-undeclared"


@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@given(items=ITEMS, forms=FORMS, chosen=SETTINGS, visits=VISITS)
def test_what_is_kept_is_said_and_what_is_said_is_kept(
    items: list[str], forms: list[dict[str, Any]], chosen: dict[str, Any], visits: list[tuple[str, dict[str, str], str, str]]
) -> None:
    with folder():
        countries = write({"192.0.2.0/24": {"country": {"iso_code": "DK"}}})
        keywords = {"policy": declare(items, forms), "secret_keys": SECRET, "geoip_db": countries, "trusted_proxies": "1", **chosen}
        app = PrivacyMiddleware(host(), **keywords)
        everything = {name: sent for name, (_, sent) in FIELDS.items()} | {"secret": "canary-undeclared"}
        with TestClient(app, client=("127.0.0.1", 1)) as client:
            person = {**BROWSER, "x-forwarded-for": ADDRESSES[0]}
            client.get(TARGET, headers=person)  # one visitor who refuses nothing, and does everything
            for form in forms:
                status = {"accepted": "200", "invalid": "422", "failed": "500"}[form["outcomes"][0]]
                client.post(form["path"], data=everything, headers={**person, "x-status": status})
            for address, refusal, what, status in visits:
                headers = {**BROWSER, **refusal, "x-forwarded-for": address, "x-status": status}
                if what == "GET":
                    client.get(TARGET, headers=headers)
                else:
                    client.post(f"/form{what[-1]}", data=everything, headers=headers)
        close_all()
        found = findings(**keywords)
        assert wrong(list(found.values())) == []
        lacking = {one.what for one in found.values() if one.verdict == "not yet"}
        assert lacking <= {"visits, duration"} | ({"visits, site"} if "sites" not in chosen else set())

        stored = databases.contents()
        for never in (
            b"canary-undeclared",
            b"canary-words",
            b"canary-kept",
            b"canary.person",
            b"canary-length",
            b"canary-hash",
            b"8000canary",
        ):
            assert never not in stored
        for item, words in (
            ("source", b"search.example.org"),
            ("campaign", b"canary-campaign"),
            ("page", b"/canary-page"),
            ("language", b"da-DK"),
        ):
            assert (words in stored) is (item in items)

        said = plain_text(app.privacy.sections(english()))
        for form in forms:
            for name in form["fields"]:
                assert name in said


@settings(deadline=None, max_examples=20, suppress_health_check=list(HealthCheck))
@given(items=ITEMS, forms=FORMS, refusal=REFUSALS.filter(bool), methods=st.lists(st.sampled_from(["GET", "POST0"]), min_size=1, max_size=4))
def test_a_person_who_refuses_leaves_nothing_but_what_they_asked_for(
    items: list[str], forms: list[dict[str, Any]], refusal: dict[str, str], methods: list[str]
) -> None:
    with folder():
        app = PrivacyMiddleware(host(), policy=declare(items, forms), secret_keys=SECRET)
        everything = {name: sent for name, (_, sent) in FIELDS.items()}
        with TestClient(app, client=(ADDRESSES[0], 1)) as client:
            for method in methods:
                headers = {**BROWSER, **refusal}
                client.get(TARGET, headers=headers) if method == "GET" else client.post("/form0", data=everything, headers=headers)
        close_all()
        assert query("SELECT * FROM hit") == []
        asked_for = any(form["requested"] and "accepted" in form["outcomes"] for form in forms[:1]) and "POST0" in methods
        assert bool(query("SELECT * FROM submission")) is asked_for


# --- faults that are found -------------------------------------------------------------------------------------------------

ALL = {"policy": declare(list(VISIT_ITEMS), []), "secret_keys": SECRET, "sites": "testserver", "ip": "full", "query_params": "shop"}
FORM = {
    "name": "contact", "path": "/contact", "purpose": "answer", "retention_days": 30, "link_visit": True,
    "outcomes": ["accepted", "invalid", "failed"], "fields": ["email", "redact"],
}  # fmt: skip


@pytest.fixture
def recorded() -> dict[str, Any]:
    """A database with visits and submissions of each outcome, all of it declared."""
    keywords = {**ALL, "policy": declare(list(VISIT_ITEMS), [FORM]), "geoip_db": write({"192.0.2.0/24": {"country": {"iso_code": "DK"}}})}
    app = PrivacyMiddleware(host(), **keywords)
    with TestClient(app, client=(ADDRESSES[0], 1)) as client:
        client.get("/privacy/")
        client.get(TARGET, headers=BROWSER)
        for status in ("200", "422", "500"):
            sent = {name: FIELDS[name][1] for name in ("email", "redact")}
            client.post("/contact", data=sent, headers={**BROWSER, "x-status": status})
    app.recorder.close()
    change("UPDATE hit SET duration = 1")
    assert undeclared(**keywords) == set()
    assert {one.verdict for one in findings(**keywords).values()} == {"as said"}
    return keywords


@pytest.mark.parametrize("item", [name for name in VISIT_ITEMS if name != "time"])
def test_an_item_that_is_no_longer_declared_is_found(recorded: dict[str, Any], item: str) -> None:
    policy = declare([name for name in VISIT_ITEMS if name != item], [FORM])
    assert f"visits, {item}" in undeclared(**{**recorded, "policy": policy})
    assert main_exit(policy) == 1


def main_exit(policy: str) -> int:
    """The command's exit code, with a declaration in a file."""
    Path("privacy.toml").write_text(policy)
    os.environ["PRIVACY_POLICY"] = "privacy.toml"
    os.environ["PRIVACY_SECRET_KEYS"] = SECRET
    try:
        return main(["audit", "data"])
    finally:
        del os.environ["PRIVACY_POLICY"], os.environ["PRIVACY_SECRET_KEYS"]


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"ip": "truncated"}, "visits, full addresses"),
        ({"ip": "none"}, "visits, address, visits, full addresses"),
        ({"query_params": "other"}, "visits, campaign"),
        ({"sites": ""}, "visits, site"),
        ({"geoip_db": ""}, "visits, country"),
    ],
)
def test_a_setting_by_which_less_would_be_kept_is_found(recorded: dict[str, Any], settings: dict[str, Any], what: str) -> None:
    assert ", ".join(sorted(undeclared(**{**recorded, **settings}))) == what


@pytest.mark.parametrize(
    ("form", "what"),
    [
        (None, {"form contact", "form contact, field email", "form contact, field redact"}),
        ({"fields": ["email"]}, {"form contact, field redact"}),
        ({"link_visit": False}, {"form contact"}),
        ({"retention_days": 7}, {"form contact, retention"}),
        ({"outcomes": ["accepted", "failed"]}, {"form contact, invalid"}),
        ({"outcomes": ["invalid"]}, {"form contact, accepted", "form contact, failed"}),
    ],
)
def test_a_form_of_which_less_would_be_kept_is_found(recorded: dict[str, Any], form: dict[str, Any] | None, what: set[str]) -> None:
    forms = [] if form is None else [{**FORM, **form}]
    assert undeclared(**{**recorded, "policy": declare(list(VISIT_ITEMS), forms)}) == what


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("UPDATE hit SET day = day - 40", "visits, retention"),
        ("UPDATE submission SET day = day - 40, expires = expires - 40", "forms, retention"),
        ("UPDATE salt SET day = day - 9", "salts"),
        ("UPDATE audit SET time = 1", "audit"),
        ("CREATE TABLE profile (person TEXT)", "table profile"),
        ("ALTER TABLE hit ADD COLUMN screen TEXT", "table hit.screen"),
    ],
)
@pytest.mark.sqlite
def test_what_stays_too_long_or_is_unknown_is_found(recorded: dict[str, Any], sql: str, what: str) -> None:
    if "audit" in sql:
        change("INSERT INTO audit (time, actor, action, object) VALUES (5, 'me', 'looked', '')")
    change(sql)
    assert what in undeclared(**recorded)


@pytest.mark.sqlite
def test_every_table_and_column_of_the_migrations_is_accounted_for(recorded: dict[str, Any]) -> None:
    tables = {row["name"] for row in query("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")}
    known = [*itertools.chain(*WHERE_SAID.values()), *OF_THE_SOFTWARE]
    assert sorted(known) == sorted(tables)
    assert set(COLUMNS_OF_HITS) == {row["name"] for row in query("SELECT name FROM pragma_table_info('hit')")}
    assert {item for item in COLUMNS_OF_HITS.values() if item} <= set(VISIT_ITEMS)


def test_every_section_that_a_table_is_said_in_is_in_the_statement(recorded: dict[str, Any]) -> None:
    sections = {section.name for section in Privacy.from_sources(recorded, {}).sections(english())}
    assert set(WHERE_SAID) <= sections | {"forms"}


def test_a_database_before_the_first_visit_is_in_order() -> None:
    with TestClient(PrivacyMiddleware(Starlette(), **ALL)) as client:
        client.get("/privacy/statement/changes")
    found = findings(**ALL)
    assert wrong(list(found.values())) == []
    assert found["visits, page"].verdict == "not yet"


def test_the_command_prints_each_thing_and_fails_on_what_is_not_said(recorded: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    Path("privacy.toml").write_text(declare(["time"], []))
    assert main_exit(declare(["time"], [])) == 1
    printed = capsys.readouterr().out
    assert "UNDECLARED  visits, page: in 4 of 4 visits" in printed
    assert "kept that the statement does not say" in printed
    assert CANARY not in printed


@pytest.mark.sqlite
def test_the_command_without_a_database_names_the_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "data"]) != 0
    assert "privacy.db" in capsys.readouterr().err


def test_findings_are_plain_values() -> None:
    assert msgspec.json.decode(msgspec.json.encode(Finding("as said", "tables", "all"))) == ["as said", "tables", "all"]
