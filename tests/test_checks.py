"""Rules that settings, declaration and database are held against: each is kept or not, names its source, and says what to do."""

import json
import logging
import time
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from privacy_middleware import PrivacyMiddleware, checks
from privacy_middleware.checks import EUROPEAN, HTTPS_SEEN, LINKED, PROFILES, RULES, Check, Profile, check, failures
from privacy_middleware.cli import main
from privacy_middleware.language import OURS, Languages, english
from privacy_middleware.privacy import Host, Privacy
from privacy_middleware.rights import outbox
from privacy_middleware.store.base import Store

from .databases import make_store
from .requesting import ANNA, SECRET, at_desk

CONTROLLER = '[controller]\nname = "Example"\naddress = ["1 Street"]\nemail = "a@example.org"\ncountry = "DK"\n'
ELSEWHERE = '[[purposes]]\nname = "parcels"\ntext = "to deliver"\nlegal_basis = "contract (GDPR art. 6(1)(b))"\nelsewhere = true\n'
RECIPIENT = (
    ELSEWHERE
    + '[[recipients]]\nname = "Post"\npurpose = "parcels"\ndata = "addresses"\ncountry = "DK"\nconfidentiality = "agreement of 2026"\n'
)
NEWS = """
[[forms]]
name = "news"
path = "/news"
purpose = "newsletter"
retention_days = 730
[forms.fields]
email = { treatment = "keep", identity = true }
"""
GOOD: dict[str, Any] = {"policy": CONTROLLER, "base_url": "https://www.example.org", "secret_keys": SECRET, "smtp_url": "smtp://localhost"}
GOOD |= {"mail_from": "a@example.org"}
ENOUGH: dict[Profile, dict[str, Any]] = {
    "gdpr": GOOD,
    "cnil": {**GOOD, "profile": "cnil"},
    "uk": {**GOOD, "policy": CONTROLLER.replace("DK", "GB"), "profile": "uk"},
    "ccpa": {**GOOD, "profile": "ccpa"},
}
"""What makes every rule of a profile kept."""

# The rule, the profiles that have it, and what breaks it.
BROKEN: list[tuple[str, tuple[Profile, ...], dict[str, Any]]] = [
    ("Network address", PROFILES, {"ip": "full"}),
    ("Network address", ("cnil",), {"ip": "truncated"}),
    ("Retention of visits", PROFILES, {"retention_days": 761}),
    ("Global Privacy Control", PROFILES, {"signals": "gpc=ignore,dnt=refuse"}),
    ("Public address", PROFILES, {"base_url": ""}),
    ("Mail", PROFILES, {"smtp_url": ""}),
    ("HTTPS declared", PROFILES, {"base_url": "http://www.example.org"}),
    ("Contact", PROFILES, {"policy": CONTROLLER.replace('"a@example.org"', '""')}),
    ("Where to complain", EUROPEAN, {"policy": CONTROLLER.replace('country = "DK"\n', "")}),
    ("Recipient Post", PROFILES, {"policy": CONTROLLER + RECIPIENT.replace("confidentiality", "safeguard")}),
    ("Recipient Post, country", EUROPEAN, {"policy": CONTROLLER + RECIPIENT.replace("DK", "IN")}),
    ("Recipient Post, country", EUROPEAN, {"policy": CONTROLLER + RECIPIENT.replace("DK", "Denmark")}),
    ("Form “news”", EUROPEAN, {"policy": CONTROLLER + NEWS.replace("[forms.f", 'legal_basis = "our wish (art. 6(1)(f))"\n[forms.f')}),
    ("Deadlines", ("gdpr", "cnil", "uk"), {"deadlines": "ccpa"}),
    ("Deadlines", ("ccpa",), {"deadlines": "gdpr"}),
    ("Fewest visitors that a figure shows", PROFILES, {"suppress_below": 2}),
    ("Secret key", PROFILES, {"secret_keys": "", "policy": CONTROLLER + NEWS}),
]  # fmt: skip
PURPOSE = '[[purposes]]\nname = "delivery"\ntext = "to deliver"\nlegal_basis = "because we like to"\nelsewhere = true\n'
PURPOSE += RECIPIENT.removeprefix(ELSEWHERE).replace('"parcels"', '"delivery"')


def held(law: Profile, *, store: Store | None = None, **settings: Any) -> dict[str, Check]:
    return {one.name: one for one in check(english(), Privacy.from_sources(settings, {}), store, law)}


@pytest.mark.parametrize("profile", PROFILES)
def test_a_site_that_does_all_it_should_passes(profile: Profile) -> None:
    assert [one for one in held(profile, **ENOUGH[profile]).values() if not one.passed] == []


@pytest.mark.parametrize(("name", "profiles", "change"), BROKEN, ids=lambda value: str(value)[:40])
def test_what_is_not_in_order_is_found_with_source_and_remedy(name: str, profiles: tuple[Profile, ...], change: dict[str, Any]) -> None:
    for profile in PROFILES:
        found = held(profile, **{**ENOUGH[profile], **change})
        if profile in profiles:
            assert not found[name].passed, profile
            assert found[name].remedy not in ("", "nothing to do")
            assert found[name].source
        elif name in found and name != "Network address":
            assert found[name].passed, profile


def test_a_legal_basis_names_its_article() -> None:
    found = held("gdpr", **{**GOOD, "policy": CONTROLLER + PURPOSE})
    assert not found["Legal basis of “delivery”"].passed
    assert found["Legal basis of “statistics”"].passed


def test_campaigns_are_outside_of_the_exemption_and_the_profile_leaves_them_out() -> None:
    assert not held("cnil", **{**GOOD, "ip": "none"})["Campaigns"].passed
    assert held("cnil", **ENOUGH["cnil"])["Campaigns"].passed
    privacy = Privacy.from_sources(ENOUGH["cnil"], {})
    assert (privacy.settings.ip, "campaign" in privacy.facts.items) == ("none", False)


def test_the_cookie_of_the_choice_lives_no_longer_than_thirteen_months() -> None:
    for profile in EUROPEAN:
        assert held(profile, **GOOD)["Life of the choice's cookie"].passed


def test_public_figures_have_a_threshold_of_their_own() -> None:
    assert held("gdpr", **{**GOOD, "publish": True})["Fewest visitors in public figures"].passed


def test_mail_by_the_hosts_own_code_is_mail() -> None:
    privacy = Privacy.from_sources({**GOOD, "smtp_url": ""}, {}, host=Host(send_mail=lambda _: None))
    assert next(one for one in check(english(), privacy, None, "gdpr") if one.name == "Mail").passed


def test_every_rule_is_said_in_each_language() -> None:
    privacy = Privacy.from_sources({**GOOD, "policy": CONTROLLER + RECIPIENT + NEWS}, {})
    told = {code: check(Languages().get(code), privacy, None, "gdpr") for code in OURS}
    assert len({len(found) for found in told.values()}) == 1
    for code in set(OURS) - {"en"}:
        assert sum(one.remedy == other.remedy for one, other in zip(told[code], told["en"], strict=True)) == 0, code


def test_each_rule_has_a_test_that_breaks_it() -> None:
    names = {name.partition(" Post")[0] for name, _, _ in BROKEN} | {"Campaigns", "Life of the choice's cookie"}
    for rule in RULES:
        found = [one.name for profile in PROFILES for one in rule(english(), Privacy.from_sources({**GOOD, "policy": CONTROLLER + RECIPIENT + NEWS}, {}), None, profile)]  # fmt: skip
        assert any(name.partition(" Post")[0] in names or name.startswith("Legal basis") for name in found), rule


# --- what the database has seen --------------------------------------------------------------------------------------------


def with_store(**settings: Any) -> dict[str, Check]:
    store = make_store()
    store.open_to_read()
    try:
        return held("gdpr", store=store, **settings)
    finally:
        store.close()


def test_a_visit_by_https_and_a_link_from_the_websites_pages_are_seen() -> None:
    app = PrivacyMiddleware(Starlette(), **GOOD)
    with TestClient(app, base_url="http://www.example.org") as client:
        client.get("/privacy/")
    assert [with_store(**GOOD)[name].passed for name in ("HTTPS seen", "Refusal offered and linked")] == [False, False]
    app = PrivacyMiddleware(Starlette(), **GOOD)
    with TestClient(app, base_url="https://www.example.org") as client:
        client.get("/privacy/", headers={"referer": "https://www.example.org/shop"})
    assert [with_store(**GOOD)[name].passed for name in ("HTTPS seen", "Refusal offered and linked")] == [True, True]


@pytest.mark.parametrize("referer", ["https://other.example/", "https://www.example.org/privacy/opt-out", "", "nonsense"])
def test_a_link_from_elsewhere_is_no_link_of_the_website(referer: str) -> None:
    app = PrivacyMiddleware(Starlette(), **GOOD)
    with TestClient(app, base_url="https://www.example.org") as client:
        client.get("/privacy/", headers={"referer": referer})
    assert not with_store(**GOOD)["Refusal offered and linked"].passed


@pytest.mark.sqlite
def test_the_marks_hold_a_day_and_nothing_of_who_came() -> None:
    app = PrivacyMiddleware(Starlette(), **GOOD)
    with TestClient(app, base_url="https://www.example.org") as client:
        client.get("/privacy/", headers={"referer": "https://www.example.org/canary"})
    store = make_store()
    store.open_to_read()
    try:
        assert all(isinstance(store.mark(name), int) for name in (HTTPS_SEEN, LINKED))
    finally:
        store.close()
    assert b"canary" not in Path("privacy.db").read_bytes()


def test_mails_that_wait_for_more_than_a_day_are_found() -> None:
    with at_desk() as desk:
        request = desk.ask("overview", ANNA)
        assert request
        found = {one.name: one for one in check(english(), desk.privacy, desk.store, "gdpr")}
        assert found["Mails that wait"].passed
        with desk.store.transaction():
            day_before_yesterday = int(time.time() * 1000) - 2 * checks.LATE_MAIL
            desk.store.execute("UPDATE mail SET attempts = 1, expires = :expires", expires=day_before_yesterday + outbox.LIFE)
        found = {one.name: one for one in check(english(), desk.privacy, desk.store, "gdpr")}
        assert not found["Mails that wait"].passed
        assert found["Mails that wait"].found == "1 mail waits for more than a day"


# --- at start, and as a command --------------------------------------------------------------------------------------------


def test_a_profile_is_held_at_the_start_and_failures_are_warnings(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), TestClient(PrivacyMiddleware(Starlette(), policy=CONTROLLER, profile="uk")) as client:
        client.get("/privacy/statement/changes")
    said = [record.getMessage() for record in caplog.records if record.getMessage().startswith("not in order")]
    assert any("Public address" in one and "PRIVACY_BASE_URL" in one for one in said)


def test_without_a_profile_nothing_is_said_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), TestClient(PrivacyMiddleware(Starlette())) as client:
        client.get("/privacy/statement/changes")
    assert "not in order" not in caplog.text


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str, **settings: str) -> int:
    Path("privacy.toml").write_text(settings.pop("policy", CONTROLLER))
    for name, value in settings.items():
        monkeypatch.setenv(f"PRIVACY_{name.upper()}", value)
    return main(["check", *arguments])


@pytest.mark.sqlite
def test_the_command_prints_each_rule_and_its_exit_code_is_for_ci(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = {name: value for name, value in GOOD.items() if name != "policy"}
    assert command(monkeypatch, **good) == 0
    printed = capsys.readouterr().out
    assert "pass  Contact: complete (GDPR art. 13(1)(a))" in printed
    assert "0 not kept; there is no database yet to look at" in printed
    assert command(monkeypatch, "--profile", "cnil") == 1
    printed = capsys.readouterr().out
    assert "FAIL  Network address: shortened" in printed
    assert "      set PRIVACY_IP=none" in printed
    assert command(monkeypatch, "--json") == 0
    assert {"name", "source", "passed", "found", "remedy"} == set(json.loads(capsys.readouterr().out)[0])


def test_the_command_goes_by_the_profile_of_the_settings(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    command(monkeypatch, profile="ccpa")
    assert "rules of ccpa" in capsys.readouterr().out


def test_the_command_looks_at_the_database(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with TestClient(PrivacyMiddleware(Starlette(), **GOOD), base_url="http://www.example.org") as client:
        client.get("/privacy/")
    good = {name: value for name, value in GOOD.items() if name != "policy"}
    assert command(monkeypatch, **good) == 1
    assert "FAIL  HTTPS seen" in capsys.readouterr().out


def test_failures_are_whole_sentences() -> None:
    said = failures(english(), Privacy.from_sources({"secret_keys": SECRET}, {}), None, "gdpr")
    assert "Public address: not set; set PRIVACY_BASE_URL: links in mails are made of it (GDPR art. 12(2))" in said
