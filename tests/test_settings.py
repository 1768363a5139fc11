"""Settings: where each comes from, what is refused and how, and that secrets never show."""

import ipaddress
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy_middleware.cli import main
from privacy_middleware.errors import SettingsError
from privacy_middleware.settings import PREFIX, SETTINGS, Settings, effective, load_settings, mask_url, settings_table
from privacy_middleware.store.postgres import PostgresStore

KEY = "correct-horse-battery-staple-0123456789"
OLD_KEY = "an-older-key-that-is-still-in-rotation-42"
NAMES = [setting.name for setting in SETTINGS]


def load(keywords: dict[str, Any] | None = None, **environ: str) -> Settings:
    return load_settings(keywords, environ)[0]


def problems(keywords: dict[str, Any] | None = None, **environ: str) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        load_settings(keywords, environ)
    return raised.value.problems


# --- where a value comes from ----------------------------------------------------------------------------------------------


def test_without_anything_the_defaults_hold():
    found = load()
    assert (found.path, found.ip, found.retention_days, found.timezone, found.trusted_proxies) == ("/privacy", "truncated", 30, "UTC", 0)
    assert found.signals == {"gpc": True, "dnt": True}
    assert found.secret_keys == ()
    assert not found.disabled


def test_without_anything_every_origin_is_the_default():
    assert set(load().origins.values()) == {"default"}
    assert list(load().origins) == NAMES


# One legal value of each kind for keyword, environment and file, all different from the default.
THREE = {
    "database_url": ("sqlite:////k.db", "sqlite:////e.db", "sqlite:////f.db"),
    "spool": ("/", "/usr", "/etc"),
    "path": ("/k", "/e", "/f"),
    "base_url": ("https://k.example", "https://e.example", "https://f.example"),
    "trusted_proxies": ("1", "2", "3"),
    "ip": ("none", "full", "none"),
    "retention_days": ("1", "2", "3"),
    "timezone": ("Europe/Copenhagen", "America/New_York", "Asia/Tokyo"),
    "signals": ("gpc=ignore,dnt=refuse", "gpc=refuse,dnt=ignore", "gpc=ignore,dnt=ignore"),
    "sites": ("k.example", "e.example", "f.example"),
    "webhook_inside": ("10.0.0.0/8", "127.0.0.1/32", "::1/128"),
    "exclude_paths": ("/k", "/e", "/f"),
    "query_params": ("k", "e", "f"),
    "path_params": ("k", "e", "f"),
    "frame_ancestors": ("https://k.example", "https://e.example", "https://f.example"),
    "form_limit": ("2048", "4096", "8192"),
    "submission_wait_ms": ("21", "22", "23"),
    "mail_from": ("k@example.org", "e@example.org", "f@example.org"),
    "owner_email": ("k@example.org", "e@example.org", "f@example.org"),
    "deadlines": ("uk", "ccpa", "uk"),
    "review": ("erasure", "overview", "objection"),
    "erasure_delay": ("1h", "2h", "3d"),
    "limits": ("address=1", "address=2", "address=3"),
    "suppress_below": ("2", "4", "5"),
    "geoip_db": ("k.mmdb", "e.mmdb", "f.mmdb"),
    "report": ("weekly", "monthly", "weekly"),
    "publish": ("1", "yes", "on"),
    "language": ("da", "de", "fr"),
    "profile": ("cnil", "uk", "ccpa"),
    "statement": ("/", "/usr", "/etc"),
    "publish_licence": ("CC0-1.0", "MIT", "none"),
    "disabled": ("1", "yes", "on"),
}


def test_the_table_of_three_values_covers_every_setting_that_may_stand_in_the_file():
    assert set(THREE) == set(NAMES) - {
        "policy",
        "secret_keys",
        "forms",
        "smtp_url",
        "owner_password_hash",
        "metrics_token",
        "webhook_secrets",
    }


@pytest.mark.parametrize("name", THREE)
@pytest.mark.parametrize(("sources", "winner"), [("kef", 0), ("ke", 0), ("kf", 0), ("k", 0), ("ef", 1), ("e", 1), ("f", 2)])
def test_a_keyword_wins_over_the_environment_and_that_over_the_file(name: str, sources: str, winner: int):
    keyword, variable, line = THREE[name]
    if "f" in sources:
        Path("privacy.toml").write_text(f'[settings]\n{name} = "{line}"\n')
    found = load({name: keyword} if "k" in sources else {}, **({PREFIX + name.upper(): variable} if "e" in sources else {}))
    alone = load({name: THREE[name][winner]})
    assert getattr(found, name) == getattr(alone, name)
    assert found.origins[name] == ("keyword", "environment", "privacy.toml")[winner]


def test_other_settings_keep_their_own_origin():
    Path("privacy.toml").write_text("[settings]\nretention_days = 7\n")
    origins = load({"path": "/p"}, PRIVACY_IP="none").origins
    assert {name: origin for name, origin in origins.items() if origin != "default"} == {
        "path": "keyword",
        "ip": "environment",
        "retention_days": "privacy.toml",
    }


def test_the_environment_of_the_process_is_read_if_none_is_given(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PRIVACY_RETENTION_DAYS", "9")
    assert load_settings()[0].retention_days == 9


def test_variables_of_other_programs_are_left_alone():
    assert load(PATH="/usr/bin", HOME="/root", MY_PRIVACY_PATH="nonsense", PRIVACYPATH="nonsense").path == "/privacy"


# --- what values mean ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "given_value", "meaning"),
    [
        ("trusted_proxies", "0", 0),
        ("trusted_proxies", 2, 2),
        ("trusted_proxies", "10.0.0.0/8, ::1", (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1/128"))),
        ("trusted_proxies", ["192.0.2.7/24"], (ipaddress.ip_network("192.0.2.0/24"),)),
        ("signals", "gpc=ignore", {"gpc": False, "dnt": True}),
        ("signals", {"dnt": "ignore"}, {"gpc": True, "dnt": False}),
        ("signals", "", {"gpc": True, "dnt": True}),
        ("sites", "WWW.Example.org, shop.example.org:8443", frozenset({"www.example.org", "shop.example.org:8443"})),
        ("exclude_paths", "/health\n/internal/*", ("/health", "/internal/*")),
        ("query_params", {"q", "page"}, frozenset({"q", "page"})),
        ("frame_ancestors", "'self' https://*.example.org:8443", ("'self'", "https://*.example.org:8443")),
        ("base_url", "https://www.example.org/", "https://www.example.org"),
        ("base_url", "", ""),
        ("disabled", True, True),
        ("disabled", False, False),
        ("disabled", "TRUE", True),
        ("disabled", "", False),
        ("retention_days", 3660, 3660),
        ("secret_keys", f"{KEY}, {OLD_KEY}", (KEY, OLD_KEY)),
        ("secret_keys", [KEY, OLD_KEY], (KEY, OLD_KEY)),
    ],
)
def test_a_value_is_read_as_meant(name: str, given_value: object, meaning: object):
    assert getattr(load({name: given_value}), name) == meaning


@pytest.mark.parametrize(("url", "path"), [("sqlite:///privacy.db", "privacy.db"), ("sqlite:////var/lib/p.db", "/var/lib/p.db")])
def test_a_database_url_names_a_relative_or_an_absolute_file(url: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    here = Path.cwd()
    settings = load({"database_url": url})
    monkeypatch.chdir(tmp_path)
    assert settings.database_path == here / path


def test_toml_values_may_stand_in_their_own_types():
    Path("privacy.toml").write_text(
        '[settings]\nretention_days = 14\ndisabled = true\nsites = ["a.example", "b.example"]\ntrusted_proxies = 1\n'
        'signals = {gpc = "refuse", dnt = "ignore"}\n'
    )
    found = load()
    assert (found.retention_days, found.disabled, found.trusted_proxies) == (14, True, 1)
    assert found.sites == {"a.example", "b.example"}
    assert found.signals == {"gpc": True, "dnt": False}


# --- what is refused, and how it is said -----------------------------------------------------------------------------------

WRONG = [
    ("database_url", "mysql://localhost/x", "not a database", "sqlite:///path"),
    ("database_url", "sqlite:///", "not a database", "sqlite:///path"),
    ("database_url", "", "not a database", "sqlite:///path"),
    ("path", "privacy", "not a mount path", "like /privacy"),
    ("path", "/", "not a mount path", "like /privacy"),
    ("path", "/privacy/", "not a mount path", "like /privacy"),
    ("path", "//privacy", "not a mount path", "like /privacy"),
    ("path", "/pri vacy", "not a mount path", "like /privacy"),
    ("path", "/privacy\n", "not a mount path", "like /privacy"),
    ("base_url", "www.example.org", "not an absolute URL", "https://www.example.org"),
    ("base_url", "ftp://example.org", "not an absolute URL", "https://www.example.org"),
    ("base_url", "https://", "not an absolute URL", "https://www.example.org"),
    ("base_url", "https://example.org/?a=1", "not an absolute URL", "https://www.example.org"),
    ("base_url", "https://example.org/#a", "not an absolute URL", "https://www.example.org"),
    ("trusted_proxies", "-1", "neither a number of hops nor", "10.0.0.0/8"),
    ("trusted_proxies", "1.5", "neither a number of hops nor", "10.0.0.0/8"),
    ("trusted_proxies", "10.0.0.0/33", "neither a number of hops nor", "10.0.0.0/8"),
    ("trusted_proxies", "proxy.example.org", "neither a number of hops nor", "10.0.0.0/8"),
    ("trusted_proxies", "\u0661", "neither a number of hops nor", "10.0.0.0/8"),
    ("ip", "Full", "not known", "truncated, none, full"),
    ("ip", "", "not known", "truncated, none, full"),
    ("retention_days", "0", "not a number of days", "1 to 3660"),
    ("retention_days", "3661", "not a number of days", "1 to 3660"),
    ("retention_days", "-1", "not a number of days", "1 to 3660"),
    ("retention_days", "a month", "not a number of days", "1 to 3660"),
    ("retention_days", "30.0", "not a number of days", "1 to 3660"),
    ("retention_days", "\u0663\u0660", "not a number of days", "1 to 3660"),
    ("timezone", "Mars/Olympus", "not a known time zone", "Europe/Copenhagen"),
    ("timezone", "Europe", "not a known time zone", "Europe/Copenhagen"),
    ("timezone", "../../etc/passwd", "not a known time zone", "Europe/Copenhagen"),
    ("timezone", "", "not a known time zone", "Europe/Copenhagen"),
    ("signals", "gpc", "not a list of signals", "gpc=refuse,dnt=ignore"),
    ("signals", "gpc=maybe", "not a list of signals", "gpc=refuse,dnt=ignore"),
    ("signals", "tcf=refuse", "not a list of signals", "gpc=refuse,dnt=ignore"),
    ("sites", "https://example.org", "not a host name", "www.example.org"),
    ("sites", "exa_mple.org", "not a host name", "www.example.org"),
    ("exclude_paths", "health", "does not start with /", "/health"),
    ("frame_ancestors", "example.org", "not an origin", "https://www.example.org"),
    ("frame_ancestors", "https://a.example;script-src*", "not an origin", "https://www.example.org"),
    ("disabled", "maybe", "neither yes nor no", "1 or 0"),
]


@pytest.mark.parametrize(("name", "value", "fault", "remedy"), WRONG)
def test_a_wrong_value_stops_the_start_and_says_variable_fault_and_remedy(name: str, value: str, fault: str, remedy: str):
    [problem] = problems(**{PREFIX + name.upper(): value})
    assert problem.startswith(f"{PREFIX}{name.upper()} (environment): {value!r} ")
    assert fault in problem
    assert remedy in problem.partition(fault)[2]


@pytest.mark.parametrize(("keywords", "environ", "origin"), [({"ip": "x"}, {}, "keyword"), ({}, {"PRIVACY_IP": "x"}, "environment")])
def test_a_wrong_value_is_told_with_where_it_came_from(keywords: dict[str, str], environ: dict[str, str], origin: str):
    assert problems(keywords, **environ)[0].startswith(f"PRIVACY_IP ({origin}): 'x'")


def test_a_wrong_value_in_the_file_is_told_so():
    Path("privacy.toml").write_text('[settings]\nip = "x"\n')
    assert problems()[0].startswith("PRIVACY_IP (privacy.toml): 'x'")


def test_a_wrong_value_that_is_overridden_stops_nothing():
    assert load({"ip": "none"}, PRIVACY_IP="x").ip == "none"


def test_several_problems_are_told_at_once():
    Path("privacy.toml").write_text("[settings]\nretention_days = 0\nfoo = 1\n")
    found = problems({"path": "x", "colour": "red"}, PRIVACY_IP="x", PRIVACY_NONSENSE="1")
    assert len(found) == 6
    for part in ("colour", "PRIVACY_NONSENSE", "foo", "PRIVACY_PATH", "PRIVACY_IP", "PRIVACY_RETENTION_DAYS"):
        assert sum(part in problem for problem in found) == 1


def test_the_error_shows_every_problem_on_a_line_of_its_own():
    with pytest.raises(SettingsError, match=r"cannot start:\n  - PRIVACY_PATH.*\n  - PRIVACY_IP") as raised:
        load(PRIVACY_IP="x", PRIVACY_PATH="x")
    assert str(raised.value).count("\n") == 2


@pytest.mark.parametrize("variable", ["PRIVACY_RETENTION", "PRIVACY_SECRET_KEY", "PRIVACY_DATABASE_URL_FILE", "PRIVACY_"])
def test_an_unknown_variable_with_our_prefix_stops_the_start(variable: str):
    [problem] = problems(**{variable: "30"})
    assert problem.startswith(f"{variable} is not a setting")
    assert "unset it" in problem


def test_an_unknown_keyword_stops_the_start_and_names_the_known_ones():
    [problem] = problems({"retention": 30})
    assert problem.startswith("retention is not a setting")
    assert "retention_days" in problem


@pytest.mark.parametrize("name", ["policy", "secret_keys"])
def test_what_may_not_stand_in_the_file_is_refused_there(name: str):
    Path("privacy.toml").write_text(f'[settings]\n{name} = "{KEY}"\n')
    [problem] = problems()
    assert name in problem
    assert KEY not in problem


def test_settings_that_are_no_table_are_refused():
    Path("privacy.toml").write_text("settings = 5\n")
    assert "not a table" in problems()[0]


def test_a_base_url_that_cannot_be_parsed_is_told_with_a_remedy():
    assert "https://www.example.org" in problems(PRIVACY_BASE_URL="http://[::1")[0]


@pytest.mark.parametrize("url", ["https://exa mple.org", "https://example.org:99999", 'https://example.org/"><script>'])
def test_a_base_url_that_no_browser_could_follow_is_refused(url: str):
    assert "https://www.example.org" in problems(PRIVACY_BASE_URL=url)[0]


@pytest.mark.parametrize("path", ["/..", "/a/../b", "/."])
def test_a_mount_path_that_browsers_would_resolve_away_is_refused(path: str):
    assert "like /privacy" in problems(PRIVACY_PATH=path)[0]


# sqlite3 would give each connection an empty database of its own.
def test_a_database_in_memory_is_refused_because_no_two_connections_would_share_it():
    assert "sqlite:///path" in problems(PRIVACY_DATABASE_URL="sqlite:///:memory:")[0]


@given(name=st.sampled_from(NAMES), value=st.text(max_size=40))
@settings(deadline=None, max_examples=300)
def test_any_text_is_either_a_value_or_a_problem(name: str, value: str):
    try:
        load({name: value})
    except SettingsError as error:
        assert error.problems  # noqa: PT017  both outcomes are right


# --- policy ----------------------------------------------------------------------------------------------------------------


def test_the_policy_may_be_toml_itself():
    found, document = load_settings({}, {"PRIVACY_POLICY": '[controller]\nname = "Inline"\n[settings]\nretention_days = 5'})
    assert found.retention_days == 5
    assert document == {"controller": {"name": "Inline"}}


def test_the_policy_may_be_one_line_of_toml():
    assert load_settings({}, {"PRIVACY_POLICY": 'controller.name = "One line"'})[1] == {"controller": {"name": "One line"}}


def test_the_policy_may_be_a_path():
    Path("other.toml").write_text('[controller]\nname = "By path"\n')
    assert load_settings({"policy": Path("other.toml")}, {})[1] == {"controller": {"name": "By path"}}


def test_a_policy_given_by_keyword_wins_over_the_environment():
    assert load_settings({"policy": "controller.name = 'K'"}, {"PRIVACY_POLICY": "controller.name = 'E'"})[1]["controller"] == {"name": "K"}


def test_the_settings_of_an_inline_policy_yield_to_the_environment():
    assert load(PRIVACY_POLICY="[settings]\nretention_days = 5", PRIVACY_RETENTION_DAYS="6").retention_days == 6


def test_no_file_of_the_default_name_is_an_empty_policy():
    assert load_settings({}, {})[1] == {}


def test_a_policy_that_was_named_must_exist():
    [problem] = problems(PRIVACY_POLICY="missing.toml")
    assert "PRIVACY_POLICY" in problem
    assert "'missing.toml'" in problem
    assert "write the path" in problem


@pytest.mark.parametrize("content", [b"[controller\n", b"a = 1\na = 2\n"])
def test_a_policy_that_is_not_toml_is_told_with_its_place(content: bytes):
    Path("privacy.toml").write_bytes(content)
    assert re.search(r"'privacy.toml' is not valid TOML: .*line \d", problems()[0])


def test_an_inline_policy_that_is_not_toml_is_not_repeated_in_the_error():
    [problem] = problems(PRIVACY_POLICY="password-like-text = = 1")
    assert "the inline text is not valid TOML" in problem
    assert "password-like-text" not in problem


def test_a_policy_that_cannot_be_read_is_told():
    Path("privacy.toml").write_bytes(b"\xff\xfe")
    assert "readable UTF-8 file" in problems()[0]
    assert "IsADirectoryError" in problems(PRIVACY_POLICY=".")[0]


def test_a_policy_path_with_a_nul_is_a_problem_like_any_other():
    assert "PRIVACY_POLICY" in problems({"policy": "a\0b"})[0]


# --- secrets ---------------------------------------------------------------------------------------------------------------


def test_secret_keys_may_come_from_a_file():
    Path("keys").write_text(f"{KEY}\n{OLD_KEY}\n")
    found = load(PRIVACY_SECRET_KEYS_FILE="keys")
    assert found.secret_keys == (KEY, OLD_KEY)
    assert found.origins["secret_keys"] == "file keys"


@pytest.mark.parametrize(
    "order", [("PRIVACY_SECRET_KEYS", "PRIVACY_SECRET_KEYS_FILE"), ("PRIVACY_SECRET_KEYS_FILE", "PRIVACY_SECRET_KEYS")]
)
def test_the_variable_wins_over_the_file_in_either_order(order: tuple[str, str]):
    Path("keys").write_text(OLD_KEY)
    values = {"PRIVACY_SECRET_KEYS": KEY, "PRIVACY_SECRET_KEYS_FILE": "keys"}
    assert load(**{variable: values[variable] for variable in order}).secret_keys == (KEY,)


def test_a_keyword_wins_over_the_file():
    Path("keys").write_text(OLD_KEY)
    assert load({"secret_keys": KEY}, PRIVACY_SECRET_KEYS_FILE="keys").secret_keys == (KEY,)


@pytest.mark.parametrize("name", ["missing", "."])
def test_a_file_of_keys_that_cannot_be_read_stops_the_start(name: str):
    [problem] = problems(PRIVACY_SECRET_KEYS_FILE=name)
    assert problem.startswith("PRIVACY_SECRET_KEYS_FILE: ")
    assert "name a readable file" in problem


def test_a_binary_file_of_keys_stops_the_start_and_is_not_shown():
    Path("keys").write_bytes(b"\xff" * 40)
    assert "\\xff" not in problems(PRIVACY_SECRET_KEYS_FILE="keys")[0]


# Else a key would be made and kept beside the database without a word about the file.
def test_an_empty_file_of_keys_stops_the_start():
    Path("keys").write_text("\n")
    assert "PRIVACY_SECRET_KEYS" in problems(PRIVACY_SECRET_KEYS_FILE="keys")[0]


@pytest.mark.parametrize("keys", ["too-short-secret", f"{KEY},too-short-secret"])
@pytest.mark.parametrize("way", ["keyword", "environment", "file"])
def test_a_short_key_is_refused_with_a_remedy_and_without_showing_it(keys: str, way: str):
    Path("keys").write_text(keys)
    [problem] = (
        problems({"secret_keys": keys})
        if way == "keyword"
        else problems(**({"PRIVACY_SECRET_KEYS": keys} if way == "environment" else {"PRIVACY_SECRET_KEYS_FILE": "keys"}))
    )
    assert problem.startswith("PRIVACY_SECRET_KEYS (")
    assert "token_urlsafe" in problem
    assert "too-short-secret" not in problem
    assert KEY not in problem


@pytest.mark.parametrize("show", [repr, str, "{}".format, lambda found: repr([found]), lambda found: f"{found!r}"])
def test_no_key_shows_in_a_settings_object(show: Any):
    found = load({"secret_keys": [KEY, OLD_KEY]})
    assert KEY not in show(found)
    assert OLD_KEY not in show(found)


@pytest.mark.parametrize("way", ["environment", "file"])
def test_the_config_command_masks_the_keys(way: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    Path("keys").write_text(KEY)
    monkeypatch.setenv(*(("PRIVACY_SECRET_KEYS", KEY) if way == "environment" else ("PRIVACY_SECRET_KEYS_FILE", "keys")))
    assert main(["config"]) == 0
    out = capsys.readouterr()
    assert KEY not in out.out + out.err
    assert re.search(r"PRIVACY_SECRET_KEYS +\*\*\* \(1 given\) +(environment|file keys)\n", out.out)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://user:hunter2@db.example/x",
        "redis://:hunter2@db.example",
        "mysql://user:p@hunter2@db.example/x",
        "mysql://user:hunter2/hunter2@db.example/x",
    ],
)
def test_a_password_in_a_url_is_masked_also_in_the_error(url: str):
    assert "hunter2" not in mask_url(url)
    assert "hunter2" not in PostgresStore(url.replace("mysql:", "postgresql:")).place
    assert "hunter2" not in problems(PRIVACY_DATABASE_URL=url)[0]


# --- what is in force ------------------------------------------------------------------------------------------------------


def test_effective_lists_every_setting_once_in_order():
    assert [variable for variable, _, _ in effective(load())] == [PREFIX + name.upper() for name in NAMES]


def test_effective_shows_values_and_origins():
    Path("privacy.toml").write_text("[settings]\nretention_days = 7\n")
    found = load({"sites": ["b.example", "a.example"], "secret_keys": [KEY]}, PRIVACY_SIGNALS="dnt=ignore", PRIVACY_TRUSTED_PROXIES="::1")
    rows = {variable: (value, origin) for variable, value, origin in effective(found)}
    assert rows["PRIVACY_SITES"] == ("a.example,b.example", "keyword")
    assert rows["PRIVACY_SIGNALS"] == ("gpc=refuse,dnt=ignore", "environment")
    assert rows["PRIVACY_TRUSTED_PROXIES"] == ("::1/128", "environment")
    assert rows["PRIVACY_RETENTION_DAYS"] == ("7", "privacy.toml")
    assert rows["PRIVACY_SECRET_KEYS"] == ("*** (1 given)", "keyword")
    assert rows["PRIVACY_DISABLED"] == ("0", "default")


@pytest.mark.parametrize("name", THREE)
@pytest.mark.parametrize("column", [0, 1, 2])
def test_what_effective_shows_can_be_given_again(name: str, column: int):
    found = load({name: THREE[name][column]})
    shown = {variable: value for variable, value, _ in effective(found)}[PREFIX + name.upper()]
    assert getattr(load({name: shown}), name) == getattr(found, name)


def test_the_table_for_the_readme_has_a_row_for_each_setting():
    assert re.findall(r"^\| `(\w+)` \|", settings_table(), re.MULTILINE) == [PREFIX + name.upper() for name in NAMES]


def test_every_default_is_a_legal_value():
    for setting in SETTINGS:
        setting.parse(setting.default)
