"""Each content of the statement is one version, which stays readable, and says in words what it changed."""

import sqlite3
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from privacy_middleware import PrivacyMiddleware
from privacy_middleware.declaration import Purpose, Recipient
from privacy_middleware.language import OURS, Languages, english
from privacy_middleware.privacy import Privacy
from privacy_middleware.settings import load_settings
from privacy_middleware.statement.changes import changes
from privacy_middleware.statement.facts import Facts, canonical, digest, read_facts
from privacy_middleware.statement.section import plain_text
from privacy_middleware.statement.text import write_statement
from privacy_middleware.statement.versions import difference, find, history, last_change, material_since, note, steps
from privacy_middleware.store.base import Store

from . import serving_people
from .conftest import query
from .databases import make_store

LANGUAGES = Languages()
FORM = """
[[forms]]
name = "contact"
title = "Contact form"
path = "/contact"
purpose = "answer"
retention_days = 30
[forms.fields]
email = { treatment = "keep", identity = true, label = "Your e-mail address" }
message = { treatment = "redact", label = "Your message" }
"""
RECIPIENT = '[[recipients]]\nname = "Post"\npurpose = "answer"\ndata = "addresses"\ncountry = "DK"\n'
POLICY = f'[controller]\nname = "Example"\nemail = "a@example.org"\n{FORM}'

# Each setting that a reader is told of: what it is changed to, and the words for it in English.
MATTERING: list[tuple[dict[str, Any], str]] = [
    ({"retention_days": 90}, "Retention of visits: 90 days, before: 30 days"),
    ({"ip": "full"}, "Network address: in full, before: shortened"),
    ({"ip": "none"}, "Network address: not kept, before: shortened"),
    ({"signals": "gpc=refuse,dnt=ignore"}, "No longer: Taken as a refusal: Do Not Track (DNT: 1)"),
    ({"query_params": "shop"}, "New: Value in addresses that is kept: shop"),
    ({"path_params": "slug"}, "New: Value in addresses that is kept: slug"),
    ({"sites": "example.org"}, "New: Noted of visits: Which of our host names you used"),
    ({"deadlines": "ccpa"}, "Time for an answer: You get an answer within 45 days"),
    ({"review": "correction,erasure"}, "Data requests that one of us looks at: corrections, erasures and questions and complaints, before:"),
    ({"erasure_delay": "12h"}, "Time to call an erasure off: 12 hours, before: none"),
    ({"suppress_below": 5}, "Fewest visitors that a figure shows: 5, before: 3"),
    ({"base_url": "https://www.example.org"}, "Transmission: encrypted (HTTPS), before: not encrypted"),
    ({"policy": POLICY.replace("Example", "Other")}, "Who is responsible: Other, before: Example"),
    ({"policy": POLICY.replace('"a@example.org"', '"b@example.org"')}, "Our e-mail address: b@example.org, before: a@example.org"),
    ({"policy": POLICY.replace("[[forms]]", 'country = "DK"\n[[forms]]')}, "Our country: Denmark, before: none"),
    ({"policy": POLICY.replace("retention_days = 30", "retention_days = 60")}, "Retention of form “Contact form”: 60 days, before: 30 days"),
    ({"policy": POLICY.replace('"redact"', '"length"')}, "Form “Contact form”, “Your message”: Only the number of characters"),
    ({"policy": POLICY.replace('purpose = "answer"', 'purpose = "questionnaire"')}, "Purpose of form “Contact form”: questionnaire, before: answer"),
    ({"policy": POLICY.replace("[forms.fields]", "link_visit = true\n[forms.fields]")}, "whose it is, or when it is kept has changed"),
    ({"policy": POLICY.replace("[forms.fields]", "requested = true\n[forms.fields]")}, "Form “Contact form”, refusal: If you have refused"),
    ({"policy": POLICY + RECIPIENT}, "New: Recipient: Post (Denmark): addresses, for the purpose “answer”."),
    ({"policy": POLICY + '[[cookies]]\nname = "cart"\npurpose = "Your cart"\ndays = 7\n'}, "New: Cookie cart: Your cart; 7 days"),
    ({"policy": POLICY + '[visits]\nitems = ["time", "page"]\n'}, "No longer: Noted of visits: Number of bytes sent"),
    ({"policy": POLICY + '[statement]\nmore = "Call us."\n'}, "New: Our own words (more)"),
    ({"profile": "cnil"}, "No longer: Noted of visits: The name of the campaign in the link that you followed"),
]  # fmt: skip
# Settings that change nothing of what a reader is told.
OTHERS: list[dict[str, Any]] = [
    {"exclude_paths": "/health"}, {"trusted_proxies": "1"}, {"form_limit": 2048}, {"limits": "address=1"}, {"language": "da"}, {"report": "weekly"},
    {"frame_ancestors": "https://other.example"}, {"submission_wait_ms": 100}, {"publish_licence": "MIT"}, {"metrics_token": "t" * 40},
    {"policy": POLICY.replace('path = "/contact"', 'path = "/kontakt"')},
]  # fmt: skip


def facts(**settings: Any) -> Facts:
    return Privacy.from_sources({"policy": POLICY, **settings}, {}).facts


def words(before: Facts, after: Facts) -> list[str]:
    return [change.words for change in changes(english(), before, after)]


def start(**settings: Any) -> PrivacyMiddleware:
    """An app that has noted its statement, and come to its end."""
    app = PrivacyMiddleware(Starlette(), **{"policy": POLICY, **settings})
    with TestClient(app) as client:
        assert client.get("/privacy/statement/changes").status_code == 200
    return app


def opened() -> Store:
    store = make_store()
    store.open_to_read()
    return store


def versions() -> list[dict[str, Any]]:
    return [dict(row) for row in query("SELECT number, hex(digest) AS digest, since FROM version ORDER BY number")]


# --- one version for each content ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("change", "said"), MATTERING, ids=lambda value: str(value)[:40])
def test_a_setting_that_matters_makes_one_version_with_a_change_in_words(change: dict[str, Any], said: str) -> None:
    start()
    start(**change)
    start(**change)
    assert [row["number"] for row in versions()] == [1, 2]
    store = opened()
    try:
        told = [one.words for one in steps(english(), history(store))[0].changes]
    finally:
        store.close()
    assert any(said in one for one in told), told


@pytest.mark.parametrize(("change", "said"), MATTERING, ids=lambda value: str(value)[:40])
def test_what_a_setting_changes_is_said_in_each_language(change: dict[str, Any], said: str) -> None:
    before, after = facts(), facts(**change)
    told = {code: [one.words for one in changes(LANGUAGES.get(code), before, after)] for code in OURS}
    assert all(told.values()), said
    assert len({len(one) for one in told.values()}) == 1
    for code in set(OURS) - {"en"}:
        assert told[code] != told["en"], code


@pytest.mark.parametrize("change", OTHERS, ids=lambda value: str(value)[:40])
def test_a_setting_that_nobody_is_told_of_makes_no_version(change: dict[str, Any]) -> None:
    assert digest(facts(**change)) == digest(facts())
    assert words(facts(), facts(**change)) == []


def test_every_setting_either_matters_or_is_known_not_to() -> None:
    known = {name for change, _ in MATTERING for name in change} | {name for change in OTHERS for name in change}
    unseen = {
        "database_url", "secret_keys", "path", "timezone", "forms", "smtp_url", "mail_from", "owner_email", "geoip_db", "owner_password_hash",
        "publish", "statement", "disabled", "spool", "webhook_secrets", "webhook_inside",
    }  # fmt: skip
    assert known | unseen >= set(load_settings({}, {})[0].origins)


def test_restarting_makes_no_version() -> None:
    for _ in range(3):
        start()
    assert len(versions()) == 1


def test_a_content_that_comes_back_is_a_version_of_its_own() -> None:
    for days in (30, 60, 30):
        start(retention_days=days)
    found = versions()
    assert [row["number"] for row in found] == [1, 2, 3]
    assert found[0]["digest"] == found[2]["digest"] != found[1]["digest"]
    assert found[0]["since"] < found[1]["since"] < found[2]["since"]


def test_several_workers_that_start_at_once_make_one_version() -> None:
    code = (
        "from starlette.testclient import TestClient\nfrom privacy_middleware import PrivacyMiddleware\n"
        "async def host(scope, receive, send): pass\n"
        f"app = PrivacyMiddleware(host, policy={POLICY!r}, retention_days=7)\n"
        "client = TestClient(app)\nassert client.get('/privacy/statement/changes').status_code == 200\napp.recorder.close()\n"
    )
    workers = [subprocess.Popen([sys.executable, "-W", "error", "-c", code]) for _ in range(4)]
    assert [worker.wait(60) for worker in workers] == [0] * 4
    assert len(versions()) == 1


@pytest.mark.sqlite
def test_the_versions_of_before_are_kept_by_the_migration(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    store = make_store(path)
    store.open()
    store.close()
    connection = sqlite3.connect(path)
    connection.executescript(
        "CREATE TABLE statement (digest BLOB PRIMARY KEY, since INTEGER NOT NULL);"
        "INSERT INTO statement VALUES (x'02', 2000), (x'01', 1000); DROP TABLE version; DELETE FROM migration WHERE number = 5;"
    )
    connection.close()
    store.open()
    try:
        found = history(store)
    finally:
        store.close()
    assert [(one.number, one.digest, one.since, one.facts) for one in found] == [(2, b"\2", 2000, None), (1, b"\1", 1000, None)]


# --- the canonical form ----------------------------------------------------------------------------------------------------


def test_a_change_that_reads_the_same_is_one_of_words_only() -> None:
    plain = POLICY.replace('title = "Contact form"\n', "")
    titled = POLICY.replace("Contact form", "contact")
    assert words(facts(policy=plain), facts(policy=titled)) == ["Only words, nothing of what is done"]
    start(policy=plain)
    with TestClient(PrivacyMiddleware(Starlette(), policy=titled)) as client:
        assert "Only words, nothing of what is done" in client.get("/privacy/statement/changes").text


def test_facts_are_read_back_as_they_were() -> None:
    for change, _ in MATTERING:
        found = facts(**change)
        assert read_facts(canonical(found)) == found


def test_facts_of_a_package_that_knew_less_are_read() -> None:
    assert read_facts(b'{"retention_days":7}').retention_days == 7


def test_the_order_in_which_sets_are_written_makes_no_difference() -> None:
    assert digest(facts(query_params="a,b", review="erasure,overview")) == digest(facts(query_params="b,a", review="overview,erasure"))


# --- material changes ------------------------------------------------------------------------------------------------------

PURPOSE = Purpose(name="research", text="to learn", legal_basis="consent (GDPR art. 6(1)(a))")
POST = Recipient(name="Post", purpose="statistics", data="all", country="DK")


@pytest.mark.parametrize(
    ("before", "after", "is_material"),
    [
        (Facts(), Facts(purposes=(PURPOSE,)), True),
        (Facts(), Facts(items=("time",)), True),
        (Facts(), Facts(recipients=(POST,)), True),
        (Facts(retention_days=30), Facts(retention_days=60), True),
        (Facts(retention_days=60), Facts(retention_days=30), False),
        (Facts(address="truncated"), Facts(address="full"), True),
        (Facts(address="full"), Facts(address="truncated"), False),
        (Facts(signals=("gpc",)), Facts(), True),
        (Facts(), Facts(signals=("gpc",)), False),
        (Facts(recipients=(POST,)), Facts(), False),
        (Facts(items=("time",)), Facts(), False),
        (Facts(), Facts(publish=True), True),
        (Facts(), Facts(suppress_below=2), True),
        (Facts(), Facts(https=True), False),
        (Facts(), Facts(wording=99), False),
    ],
)
def test_more_for_more_or_for_longer_is_material(before: Facts, after: Facts, is_material: bool) -> None:
    found = changes(english(), before, after)
    assert found
    assert any(change.is_material for change in found) is is_material


FIELD = '{ treatment = "redact", label = "Your message" }'
LINKED = POLICY.replace("[forms.fields]", 'outcomes = ["accepted", "invalid"]\n[forms.fields]')


@pytest.mark.parametrize(
    ("before", "after", "is_material"),
    [
        (POLICY.replace(FIELD, '"length"'), POLICY, True),
        (POLICY, POLICY.replace(FIELD, '"keep"'), True),
        (POLICY.replace(FIELD, '"keep"'), POLICY, False),
        (POLICY.replace(FIELD, '{ treatment = "choice", choices = ["a"] }'), POLICY.replace(FIELD, '{ treatment = "choice", choices = ["a", "b"] }'), True),
        (POLICY, POLICY.replace('purpose = "answer"', 'purpose = "questionnaire"'), True),
        (LINKED, LINKED.replace(', "invalid"', "").replace("[forms.fields]", "link_visit = true\n[forms.fields]"), True),
        (LINKED.replace("[forms.fields]", "link_visit = true\n[forms.fields]"), LINKED, False),
        (POLICY + RECIPIENT, POLICY + RECIPIENT.replace("addresses", "everything") + RECIPIENT, True),
        (POLICY, POLICY + '[[purposes]]\nname = "ads"\ntext = "to send ads"\nlegal_basis = "art. 6(1)(f)"\n', None),
    ],
    ids=str,
)  # fmt: skip
def test_what_a_form_keeps_more_is_material(before: str, after: str, is_material: bool | None) -> None:
    found = changes(english(), facts(policy=before), facts(policy=after))
    assert bool(found) is (is_material is not None)
    assert any(change.is_material for change in found) is bool(is_material)


def test_what_is_written_in_another_order_is_no_version() -> None:
    assert digest(facts(policy=LINKED)) == digest(facts(policy=LINKED.replace('"accepted", "invalid"', '"invalid", "accepted"')))


def test_the_host_is_told_of_a_material_change_for_thirty_days(monkeypatch: pytest.MonkeyPatch) -> None:
    start()
    app = PrivacyMiddleware(Starlette(), policy=POLICY, retention_days=90)
    with TestClient(app) as client:
        client.get("/privacy/")
        view = app._view
        assert view.statement_changed is not None
        later = view.statement_changed
        app.privacy.material_since = (app.privacy.material_since or 0) - 31 * 86_400_000
        assert view.statement_changed is None
    assert str(later) == str(app.privacy.settings.zone and later)


def test_the_first_version_is_no_change_to_point_out() -> None:
    assert start()._view.statement_changed is None


def test_a_change_that_is_not_material_is_not_pointed_out() -> None:
    start()
    assert start(retention_days=7)._view.statement_changed is None


# --- reading them ----------------------------------------------------------------------------------------------------------


def test_every_version_stays_readable_word_for_word_in_each_language() -> None:
    start()
    start(retention_days=90)
    with TestClient(PrivacyMiddleware(Starlette(), policy=POLICY, retention_days=7)) as client:
        for code in OURS:
            for number, days in ((1, 30), (2, 90), (3, 7)):
                page = client.get(f"/privacy/statement/{number}?lang={code}")
                assert page.status_code == 200
                written = write_statement(LANGUAGES.get(code), facts(retention_days=days))
                text = page.text.replace("&#39;", "'").replace("&#34;", '"').replace("&amp;", "&")
                for section in written:
                    for paragraph in section.paragraphs:
                        assert paragraph in text
        assert client.get("/privacy/statement/4").status_code == 404


@pytest.mark.parametrize("number", ["0", "9" * 19, "9" * 5000, "-1", "1.0", "٣", "x", "1/2"])
def test_a_number_that_no_version_has_is_not_found(number: str) -> None:
    with TestClient(PrivacyMiddleware(Starlette(), policy=POLICY)) as client:
        assert client.get(f"/privacy/statement/{number}").status_code == 404
        assert client.get(f"/privacy/statement/changes/{number}").status_code == 404


def test_an_old_version_says_that_it_is_old_and_when_it_ended() -> None:
    start()
    with TestClient(PrivacyMiddleware(Starlette(), policy=POLICY, retention_days=7)) as client:
        old, new = client.get("/privacy/statement/1").text, client.get("/privacy/statement/2").text
    assert "This is version 1" in old
    assert "It ended on" in old
    assert "It ended on" not in new


def test_the_changes_are_listed_the_newest_first() -> None:
    start()
    start(retention_days=90)
    with TestClient(PrivacyMiddleware(Starlette(), policy=POLICY, retention_days=7)) as client:
        html = client.get("/privacy/statement/changes").text
    assert html.index("Retention of visits: 7 days, before: 90 days") < html.index("Retention of visits: 90 days, before: 30 days")
    assert "<strong>Retention of visits: 90 days, before: 30 days</strong>" in html
    assert "<strong>Retention of visits: 7 days" not in html
    assert "The first version." in html


def test_two_versions_can_be_compared_line_by_line() -> None:
    start()
    start(retention_days=90)
    store = opened()
    try:
        one, two = find(store, 1), find(store, 2)
    finally:
        store.close()
    assert one is not None
    assert two is not None
    lines = difference(english(), one, two)
    assert any(sign == "-" and "30 days" in line for sign, line in lines)
    assert any(sign == "+" and "90 days" in line for sign, line in lines)
    with TestClient(PrivacyMiddleware(Starlette(), policy=POLICY, retention_days=90)) as client:
        assert "<ins>" in client.get("/privacy/statement/changes/2").text
        assert client.get("/privacy/statement/changes/1").status_code == 404
        assert client.get("/privacy/statement/changes/3").status_code == 404


def test_the_feed_is_valid_atom_with_an_entry_for_each_version() -> None:
    start()
    start(retention_days=90)
    with TestClient(PrivacyMiddleware(Starlette(), policy=POLICY, retention_days=90, base_url="https://www.example.org")) as client:
        response = client.get("/privacy/statement/feed.atom")
    assert response.headers["content-type"].startswith("application/atom+xml")
    feed = ET.fromstring(response.text)
    atom = "{http://www.w3.org/2005/Atom}"
    entries = feed.findall(f"{atom}entry")
    assert [entry.findtext(f"{atom}title", "").split(",")[0] for entry in entries] == ["Version 3", "Version 2", "Version 1"]
    for entry in (feed, *entries):
        assert all(entry.findtext(f"{atom}{name}") for name in ("id", "title", "updated"))
    assert len({entry.findtext(f"{atom}id") for entry in entries}) == 3
    assert "Retention of visits: 90 days, before: 30 days" in (entries[1].findtext(f"{atom}content") or "")
    assert entries[1].find(f"{atom}category") is not None


def test_the_date_of_the_last_change_is_that_of_the_last_real_one(tmp_path: Path) -> None:
    store = make_store(tmp_path / "v.db")
    store.open()
    try:
        note(store, facts(retention_days=1), LANGUAGES, now=1000)
        note(store, facts(retention_days=2), LANGUAGES, now=2000)
        note(store, msgspec.structs.replace(facts(retention_days=2), wording=99), LANGUAGES, now=3000)
        found = history(store)
    finally:
        store.close()
    assert len(found) == 3
    assert last_change(found, english()) == 2000
    assert material_since(found, english()) == 2000


@pytest.mark.sqlite
def test_without_a_database_the_statement_is_shown_and_only_its_versions_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("privacy.db").mkdir()
    with TestClient(PrivacyMiddleware(Starlette(), policy=POLICY)) as client:
        assert client.get("/privacy/").status_code == 200
        assert client.get("/privacy/statement.json").json()["version"] is None
        assert client.get("/privacy/statement/changes").status_code == 503
        assert client.get("/privacy/statement/feed.atom").status_code == 503
        assert client.get("/privacy/statement/1").status_code == 503


def test_the_wording_is_counted_up_when_the_packages_words_change() -> None:
    """If this fails: you changed what the statement says. Count up `WORDING` in statement/facts.py, and put the new digest here."""
    import hashlib

    of_all = [facts(base_url="https://www.example.org"), facts(policy=serving_people.POLICY + serving_people.PRINTER)]
    text = "\n".join(plain_text(write_statement(english(), one)) for one in of_all)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "8660870212dc4ff7"
