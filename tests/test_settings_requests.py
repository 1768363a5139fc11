"""The settings of data requests: what each means, what is refused and how, and what is checked together with the host's code."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy_middleware.errors import SettingsError
from privacy_middleware.mail import Mail
from privacy_middleware.privacy import Host, Privacy
from privacy_middleware.settings import SETTINGS, Settings, effective, load_settings
from privacy_middleware.sources import FileSource
from privacy_middleware.values import REQUEST_KINDS, SMTP_PORTS

from .requesting import Source

NEW = ("smtp_url", "mail_from", "owner_email", "deadlines", "review", "erasure_delay", "limits")
URL = "https://www.example.org"
CONTROLLER = '[controller]\nname = "Example"\nemail = "owner@example.net"\n'


def load(**environ: Any) -> Settings:
    return load_settings({}, {f"PRIVACY_{name.upper()}": value for name, value in environ.items()})[0]


def problem(**environ: Any) -> str:
    with pytest.raises(SettingsError) as raised:
        load(**environ)
    [one] = raised.value.problems
    return one


def shown(settings: Settings) -> dict[str, str]:
    return {variable: text for variable, text, _ in effective(settings)}


def start(*sources: Any, policy: str = CONTROLLER, settings: dict[str, Any] | None = None, **host: Any) -> Privacy:
    """Start an app's privacy with the host's code."""
    return Privacy.from_sources({"base_url": URL, "policy": policy, **(settings or {})}, {}, host=Host(sources=sources, **host))


def refused(*sources: Any, **more: Any) -> str:
    with pytest.raises(SettingsError) as raised:
        start(*sources, **more)
    [one] = raised.value.problems
    return one


# --- what they are by default ----------------------------------------------------------------------------------------------


def test_by_default_a_request_is_answered_by_itself_within_a_month_with_limits():
    found = load()
    assert (found.smtp_url, found.mail_from, found.owner_email) == ("", "", "")
    assert (found.deadlines, found.review, found.erasure_delay) == ("gdpr", {"correction"}, 0)
    assert found.limits == {"address": 5, "network": 20, "all": 500}


@pytest.mark.parametrize("name", NEW)
def test_each_setting_has_a_meaning_in_a_line(name: str):
    [setting] = [one for one in SETTINGS if one.name == name]
    assert setting.meaning.endswith(".")
    assert "\n" not in setting.meaning


def test_the_kinds_of_request_are_six():
    assert REQUEST_KINDS == ("overview", "correction", "erasure", "restriction", "objection", "complaint")


# --- the mail server -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "",
        "smtp://localhost",
        "smtp://127.0.0.1:2525",
        "smtp://[::1]:25",
        "smtp+starttls://mail.example.org",
        "smtps://mail.example.org:465/",
        "smtps://anna:secret@mail.example.org",
        "smtps://a%40b.org:p%3A%2F@mail.example.org:465",
        "smtps://anna@example.org:secret@mail.example.org",
        "smtp://anna@mail.example.org",
    ],
)
def test_the_address_of_a_mail_server_is_taken(url: str):
    assert load(smtp_url=url).smtp_url == url


@pytest.mark.parametrize(
    "url",
    [
        "mail.example.org",
        "mail.example.org:25",
        "http://mail.example.org",
        "smtp+tls://mail.example.org",
        "starttls://mail.example.org",
        "smtp://",
        "smtp://:25",
        "smtp:mail.example.org",
        "smtp://anna:secret@",
        "smtp://mail.example.org:0",
        "smtp://mail.example.org:99999",
        "smtp://mail.example.org:x",
        "smtp://mail.example.org/path",
        "smtp://mail.example.org?timeout=3",
        "smtp://mail.example.org#x",
        "smtp://[::1",
        "smtp://exa mple.org",
        "smtp://mail.example.org\nx",
        "smtp://mail.example.org\r\nRCPT",
        "smtps://anna:pass#word@mail.example.org",
        "smtps://anna:pass/word@mail.example.org",
    ],
)
def test_what_is_no_address_of_a_mail_server_stops_the_start_with_a_remedy(url: str):
    one = problem(smtp_url=url)
    assert one.startswith("PRIVACY_SMTP_URL (environment): ")
    assert "not the address of a mail server" in one
    assert "smtp+starttls://" in one


URLS = ["smtps://anna:x@mail.example.org", f"smtps://anna:{'x' * 50}@mail.example.org"]
PASSWORDS = [
    "smtps://anna:canary@mail.example.org",
    "smtps://anna@example.org:canary@mail.example.org",
    "smtps://anna:can@canary@mail.example.org",
    "smtps://:canary@mail.example.org",
    "anna:canary@mail.example.org",
    "smpt://anna:canary@mail.example.org",
    "smtps:/anna:canary@mail.example.org",
    "smtps://anna:a canary@mail.example.org",
    "smtps://anna:canary/x@mail.example.org",
    "smtps://anna:canary@mail.example.org:99999",
    "smtps://anna:canary",
    "anna canary mail.example.org",
]


@pytest.mark.parametrize("url", PASSWORDS)
def test_the_password_of_the_mail_server_is_never_shown(url: str):
    said = []
    try:
        settings = load(smtp_url=url)
        said = [repr(settings), str(settings), repr(settings.__rich_repr__()), repr(shown(settings))]
    except SettingsError as error:
        said = [str(error), repr(error)]
    assert not [text for text in said if "canary" in text]


def test_what_is_shown_of_the_mail_server_tells_nothing_of_the_length_of_the_password():
    assert shown(load(smtp_url=URLS[0]))["PRIVACY_SMTP_URL"] == shown(load(smtp_url=URLS[1]))["PRIVACY_SMTP_URL"] != ""


def test_the_address_of_the_mail_server_may_not_stand_in_the_file():
    with pytest.raises(SettingsError, match="smtp_url") as raised:
        load_settings({"policy": '[settings]\nsmtp_url = "smtps://anna:canary@mail.example.org"\n'}, {})
    assert "canary" not in str(raised.value)


def test_the_ports_are_those_of_the_standards():
    """RFC 5321, 4.5.4.2; RFC 6409; RFC 8314."""
    assert SMTP_PORTS == {"smtp": 25, "smtp+starttls": 587, "smtps": 465}


@given(st.text(max_size=30))
def test_any_text_is_an_address_of_a_mail_server_or_refused(text: str):
    try:
        found = load_settings({"smtp_url": text}, {})[0].smtp_url
    except SettingsError:
        return
    assert found == "" or re.match(r"(?i)smtp(\+starttls|s)?://", found)


# --- addresses -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mail_from", "owner_email"])
@pytest.mark.parametrize("address", ["", "privacy@example.org", "a.b+c@sub.example.org", "root@localhost"])
def test_an_address_is_taken(name: str, address: str):
    assert getattr(load(**{name: address}), name) == address


@pytest.mark.parametrize("name", ["mail_from", "owner_email"])
@pytest.mark.parametrize(
    "address",
    [
        "example.org",
        "@example.org",
        "anna@",
        "anna@example.org,otto@example.org",
        "Anna <anna@example.org>",
        "anna @example.org",
        "a@b@example.org",
        "anna@example.org\nBcc: otto@example.org",
        "anna@example.org\n",
        '"anna"@example.org',
        "anna@example.org;otto",
    ],
)
def test_what_is_not_one_address_stops_the_start_with_a_remedy(name: str, address: str):
    one = problem(**{name: address})
    assert one.startswith(f"PRIVACY_{name.upper()} (environment): ")
    assert "not one e-mail address" in one
    assert "privacy@example.org" in one


# --- what is decided, and when ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("law", ["gdpr", "uk", "ccpa"])
def test_a_law_is_taken(law: str):
    assert load(deadlines=law).deadlines == law


@pytest.mark.parametrize("law", ["", "GDPR", "lgpd", "30"])
def test_a_law_that_is_not_known_stops_the_start_with_a_remedy(law: str):
    one = problem(deadlines=law)
    assert one.startswith("PRIVACY_DEADLINES (environment): ")
    assert "gdpr, uk, ccpa" in one


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("", set()),
        ("erasure", {"erasure"}),
        ("overview, erasure", {"overview", "erasure"}),
        (",".join(REQUEST_KINDS), set(REQUEST_KINDS)),
        ("erasure\nerasure", {"erasure"}),
    ],
)
def test_kinds_to_review_are_taken(text: str, kinds: set[str]):
    assert load(review=text).review == kinds


def test_kinds_to_review_may_be_a_list():
    assert load_settings({"review": ["overview", "erasure"]}, {})[0].review == {"overview", "erasure"}


@pytest.mark.parametrize("text", ["all", "Erasure", "erase", "erasure;overview", "none"])
def test_a_kind_that_there_is_not_stops_the_start_with_a_remedy(text: str):
    one = problem(review=text)
    assert one.startswith("PRIVACY_REVIEW (environment): ")
    assert ", ".join(REQUEST_KINDS) in one


@pytest.mark.parametrize(("text", "hours"), [("0", 0), ("0h", 0), ("1h", 1), ("12h", 12), ("3d", 72), ("14d", 336), ("336h", 336)])
def test_a_delay_is_taken_in_hours(text: str, hours: int):
    assert load(erasure_delay=text).erasure_delay == hours


@pytest.mark.parametrize(
    "text", ["", "12", "15d", "337h", "1w", "-1h", "1.5h", "3D", "3 d", "1h30", "999d", "1000h", "\u0661h", "never", "0\n"]
)
def test_a_delay_that_cannot_be_stops_the_start_with_a_remedy(text: str):
    one = problem(erasure_delay=text)
    assert one.startswith("PRIVACY_ERASURE_DELAY (environment): ")
    assert "14 days" in one
    assert "0, 12h or 3d" in one


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("", {"address": 5, "network": 20, "all": 500}),
        ("address=1", {"address": 1, "network": 20, "all": 500}),
        ("address=2,network=3,all=4", {"address": 2, "network": 3, "all": 4}),
        ("all=1000000\nnetwork=7", {"address": 5, "network": 7, "all": 1_000_000}),
    ],
)
def test_limits_are_taken_and_those_not_named_stay(text: str, limits: dict[str, int]):
    assert load(limits=text).limits == limits


def test_limits_may_be_a_dictionary():
    assert load_settings({"limits": {"address": 1}}, {})[0].limits == {"address": 1, "network": 20, "all": 500}


@pytest.mark.parametrize(
    "text", ["5", "address", "address=", "address=0", "address=-1", "address=5.0", "addresses=5", "all=1000001", "all=\u0663", "a=b=c"]
)
def test_limits_that_cannot_be_stop_the_start_with_a_remedy(text: str):
    one = problem(limits=text)
    assert one.startswith("PRIVACY_LIMITS (environment): ")
    assert "address=5,network=20,all=500" in one


def test_what_is_shown_of_the_settings_can_be_given_again():
    given_ones = {"review": "erasure,overview", "erasure_delay": "3d", "limits": "address=1,network=2,all=3", "deadlines": "ccpa",
                  "mail_from": "a@example.org", "owner_email": "b@example.org"}  # fmt: skip
    first = load(**given_ones)
    again = load(**{name: shown(first)[f"PRIVACY_{name.upper()}"] for name in given_ones})
    for name in given_ones:
        assert getattr(first, name) == getattr(again, name)


# --- together with the host's code -----------------------------------------------------------------------------------------


def test_a_host_that_gives_nothing_starts():
    assert start().office.sources == ()


def test_sources_that_are_sources_start(tmp_path: Any):
    assert len(start(Source("one"), FileSource(tmp_path, "{email}", name="two")).office.sources) == 2


@pytest.mark.parametrize(
    "wrong", [object(), None, "accounts", Source, type("Half", (), {"name": "x", "export": print, "erase": print})(), Source(""), Source(7)]
)  # type: ignore[arg-type]
def test_what_is_no_source_stops_the_start_with_a_remedy(wrong: Any):
    assert "each needs a name, and the methods export, correct and erase" in refused(Source("one"), wrong)


def test_a_name_that_cannot_be_one_stops_the_start_with_a_remedy():
    assert "each needs a name" in refused(Source(["one"]))  # type: ignore[arg-type]


def test_two_sources_of_one_name_stop_the_start_with_a_remedy():
    one = refused(Source("accounts"), Source("accounts"), Source("other"))
    assert "'accounts'" in one
    assert "give each its own" in one


@pytest.mark.parametrize("name", ["current_subject", "send_mail"])
@pytest.mark.parametrize("wrong", ["anna@example.org", 1, {"a": 1}])
def test_what_is_no_function_stops_the_start(name: str, wrong: Any):
    assert f"{name} must be a function" in refused(**{name: wrong})


def test_a_mail_server_without_a_sender_stops_the_start_with_a_remedy():
    one = refused(policy="\n", settings={"smtp_url": "smtp://localhost"})
    assert "PRIVACY_SMTP_URL" in one
    assert "PRIVACY_MAIL_FROM" in one


@pytest.mark.parametrize(("policy", "settings"), [(CONTROLLER, {}), ("\n", {"mail_from": "mails@example.net"})])
def test_a_mail_server_with_a_sender_starts(policy: str, settings: dict[str, str]):
    assert start(policy=policy, settings={"smtp_url": "smtp://localhost", **settings}).office.can_ask


def test_all_that_is_wrong_with_the_hosts_code_is_told_at_once():
    with pytest.raises(SettingsError) as raised:
        start(object(), Source("a"), Source("a"), policy="\n", settings={"smtp_url": "smtp://localhost"}, send_mail="x")
    assert len(raised.value.problems) == 4


def test_what_is_switched_off_is_not_checked():
    assert start(object(), settings={"disabled": "1"})


@pytest.mark.parametrize(
    ("settings", "send", "can_ask"),
    [
        ({}, None, False),
        ({}, print, True),
        ({"smtp_url": "smtp://localhost"}, None, True),
        ({"smtp_url": "smtp://localhost", "base_url": ""}, None, False),
    ],
)
def test_people_can_be_asked_for_a_proof_if_there_is_mail_and_a_base_url(settings: dict[str, str], send: Any, can_ask: bool):
    assert start(settings=settings, send_mail=send).office.can_ask is can_ask


def test_a_function_of_the_hosts_goes_before_the_mail_server():
    def send(_: Mail) -> None:
        """Do nothing."""

    assert start(settings={"smtp_url": "smtp://localhost"}, send_mail=send).office.send is send


@pytest.mark.parametrize(("settings", "owner"), [({}, "owner@example.net"), ({"owner_email": "berta@example.net"}, "berta@example.net")])
def test_the_owner_is_who_is_named(settings: dict[str, str], owner: str):
    assert start(settings=settings).office.owner == owner
