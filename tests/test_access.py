"""Who may see the owner's pages: links that work once, sessions that end, passwords that are never stored."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from privacy_middleware import access
from privacy_middleware.access import HOUR, IDLE, LINK_LIFE, LONGEST, MINUTE, MOST_TRIES, hash_password, is_password
from privacy_middleware.cli import main
from privacy_middleware.errors import SettingsError
from privacy_middleware.settings import load_settings
from privacy_middleware.store.base import Store
from privacy_middleware.vault import Vault

from .conftest import query
from .databases import make_store

ROOT = b"r" * 32
NOW = 1_777_852_800_000
WAY = "way"
PASSWORD = "correct horse battery staple"


@pytest.fixture
def store() -> Iterator[Store]:
    store = make_store()
    store.open()
    yield store
    store.close()


def begin(store: Store, role: access.Role = "officer", *, now: int = NOW) -> str:
    return access.begin(store, ROOT, role, way=WAY, now=now)


def session(store: Store, token: str, *, now: int = NOW, way: str = WAY, root: bytes = ROOT) -> access.Session | None:
    return access.session(store, root, token, way=way, now=now)


# --- links -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", access.ROLES)
def test_a_link_signs_in_once_in_its_role(store: Store, role: access.Role) -> None:
    token = access.make_link(store, ROOT, role, now=NOW)
    assert access.is_link(store, ROOT, token, now=NOW)
    signed_in = access.redeem(store, ROOT, token, way=WAY, now=NOW)
    assert signed_in is not None
    assert session(store, signed_in) == access.Session(role, NOW)
    assert access.redeem(store, ROOT, token, way=WAY, now=NOW) is None
    assert not access.is_link(store, ROOT, token, now=NOW)


def test_a_link_is_over_after_its_time(store: Store) -> None:
    token = access.make_link(store, ROOT, "officer", now=NOW)
    assert access.is_link(store, ROOT, token, now=NOW + LINK_LIFE - 1)
    assert access.redeem(store, ROOT, token, way=WAY, now=NOW + LINK_LIFE) is None


@pytest.mark.parametrize("token", ["", "x", "x" * 43, "../..", "\0", "é" * 9])
def test_nothing_else_is_a_link_or_a_session(store: Store, token: str) -> None:
    access.make_link(store, ROOT, "officer", now=NOW)
    begin(store)
    assert access.redeem(store, ROOT, token, way=WAY, now=NOW) is None
    assert session(store, token) is None


def test_a_link_is_no_session_and_a_session_no_link(store: Store) -> None:
    link, token = access.make_link(store, ROOT, "officer", now=NOW), begin(store)
    assert session(store, link) is None
    assert access.redeem(store, ROOT, token, way=WAY, now=NOW) is None


def test_no_token_stands_in_the_database(store: Store) -> None:
    tokens = [access.make_link(store, ROOT, "officer", now=NOW), begin(store)]
    store.checkpoint()
    held = b"".join(file.read_bytes() for file in Path().glob("privacy.db*"))
    assert not [token for token in tokens if token.encode() in held]
    assert len({len(token) for token in tokens}) == 1 == len({len(token) >= 43 for token in tokens})


# --- sessions --------------------------------------------------------------------------------------------------------------


def test_a_session_that_is_used_goes_on_until_its_longest_time(store: Store) -> None:
    token = begin(store)
    now = NOW
    while now + HOUR < NOW + LONGEST:
        now += HOUR
        assert session(store, token, now=now)
    assert session(store, token, now=NOW + LONGEST) is None


def test_a_session_that_is_not_used_ends(store: Store) -> None:
    token = begin(store)
    assert session(store, token, now=NOW + IDLE - 1)
    other = begin(store)
    assert session(store, other, now=NOW + IDLE) is None


def test_a_session_does_not_revive_when_the_clock_is_set_back(store: Store) -> None:
    token = begin(store, now=NOW + 48 * HOUR)
    assert session(store, token, now=NOW) is None


def test_that_a_session_is_used_is_noted_once_a_minute(store: Store) -> None:
    token = begin(store)
    session(store, token, now=NOW + MINUTE)
    assert query("SELECT used FROM session") == [{"used": NOW}]
    session(store, token, now=NOW + MINUTE + 1)
    assert query("SELECT used FROM session") == [{"used": NOW + MINUTE + 1}]


def test_with_another_password_or_another_secret_sessions_are_over() -> None:
    one, other = Vault(["a" * 40]), Vault(["b" * 40, "a" * 40])
    ways = {access.fingerprint(vault, password) for vault in (one, other) for password in ("", "x", "y")}
    assert len(ways) == 6


def test_a_session_of_another_way_is_none(store: Store) -> None:
    assert session(store, begin(store), way="another") is None
    assert session(store, begin(store), root=b"s" * 32) is None


def test_signing_out_ends_one_session_and_signing_out_everywhere_all_and_every_link(store: Store) -> None:
    tokens = [begin(store) for _ in range(3)]
    link = access.make_link(store, ROOT, "officer", now=NOW)
    access.end(store, ROOT, tokens[0])
    assert [session(store, token) is None for token in tokens] == [True, False, False]
    access.end_all(store)
    assert all(session(store, token) is None for token in tokens)
    assert not access.is_link(store, ROOT, link, now=NOW)


def test_what_is_over_is_deleted(store: Store) -> None:
    begin(store)
    access.make_link(store, ROOT, "officer", now=NOW)
    access.make_link(store, ROOT, "officer", now=NOW + LONGEST)
    begin(store, now=NOW + LONGEST)
    assert query("SELECT COUNT(*) AS n FROM session") == query("SELECT COUNT(*) AS n FROM sign_in") == [{"n": 1}]


def test_the_pages_are_there_while_a_link_waits_or_somebody_is_signed_in(store: Store) -> None:
    assert not access.was_asked_for(store, now=NOW)
    access.make_link(store, ROOT, "viewer", now=NOW)
    assert access.was_asked_for(store, now=NOW)
    assert not access.was_asked_for(store, now=NOW + LINK_LIFE)
    begin(store)
    assert access.was_asked_for(store, now=NOW + LINK_LIFE)
    assert not access.was_asked_for(store, now=NOW + IDLE)


# --- tries -----------------------------------------------------------------------------------------------------------------


def test_from_one_network_only_so_many_tries_are_taken_in_an_hour(store: Store) -> None:
    tries = [access.may_try(store, ROOT, "c00002", now=NOW) for _ in range(MOST_TRIES["network"] + 3)]
    assert tries == [True] * MOST_TRIES["network"] + [False] * 3
    assert access.may_try(store, ROOT, "c00003", now=NOW)
    assert access.may_try(store, ROOT, "c00002", now=NOW + HOUR)


def test_of_all_together_only_so_many_are_taken(store: Store) -> None:
    tries = [access.may_try(store, ROOT, f"{n:06x}", now=NOW) for n in range(MOST_TRIES["all"] + 3)]
    assert tries == [True] * MOST_TRIES["all"] + [False] * 3


def test_who_stands_behind_a_proxy_that_was_not_declared_shares_no_limit_but_that_of_all(store: Store) -> None:
    assert all(access.may_try(store, ROOT, "", now=NOW) for _ in range(MOST_TRIES["all"]))
    assert not access.may_try(store, ROOT, "", now=NOW)


# --- passwords -------------------------------------------------------------------------------------------------------------


def test_a_password_is_known_again_by_its_hash_alone() -> None:
    stored = hash_password(PASSWORD)
    assert is_password(PASSWORD, stored)
    assert not is_password(PASSWORD + " ", stored)
    assert not is_password("", stored)
    assert PASSWORD not in stored
    assert hash_password(PASSWORD) != stored


def test_a_password_in_other_letters_is_one_too() -> None:
    assert is_password("søde ænder på åen", hash_password("søde ænder på åen"))


def test_a_hash_of_argon2_is_taken_as_well() -> None:
    argon2 = pytest.importorskip("argon2")
    stored = argon2.PasswordHasher(time_cost=1, memory_cost=8192).hash(PASSWORD)
    assert load_settings({"owner_password_hash": stored}, {})[0].owner_password_hash == stored
    assert is_password(PASSWORD, stored)
    assert not is_password("another", stored)
    assert not is_password(PASSWORD, "$argon2id$nonsense")


@pytest.mark.parametrize(
    "stored", ["scrypt:1:2:3:x:y", "scrypt:0:0:0:aa:bb", "scrypt:1073741824:8:1:aaaa:bbbb", "scrypt:16384:8:1:!:!", "", "x:y"]
)
def test_a_damaged_hash_opens_to_nobody(stored: str) -> None:
    assert not is_password(PASSWORD, stored)


@pytest.mark.parametrize("stored", [PASSWORD, "scrypt", "md5:abc", "scrypt:1:2:3", "$2b$12$abc"])
def test_what_is_no_hash_is_refused_at_the_start_and_not_shown(stored: str) -> None:
    with pytest.raises(SettingsError, match="privacy-middleware password") as raised:
        load_settings({"owner_password_hash": stored}, {})
    assert stored not in str(raised.value)


# --- commands --------------------------------------------------------------------------------------------------------------


def test_login_prints_a_link_that_works_and_notes_it(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRIVACY_BASE_URL", "https://www.example.org")
    assert main(["login", "--role", "viewer"]) == 0
    link = capsys.readouterr().out.split()[0]
    assert link.startswith("https://www.example.org/privacy/owner/sign-in/")
    assert [row["role"] for row in query("SELECT role FROM sign_in")] == ["viewer"]
    assert [row["action"] for row in query("SELECT action FROM audit")] == ["link to sign in as viewer"]
    assert link.rpartition("/")[2] not in str(query("SELECT * FROM audit"))


def test_without_a_base_url_login_says_what_to_put_in_its_place(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    main(["login"])
    assert "PRIVACY_BASE_URL" in capsys.readouterr().out


def test_logout_ends_all_sessions(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    begin(store)
    assert main(["logout"]) == 0
    assert query("SELECT * FROM session") == []


def test_the_command_prints_the_hash_of_a_password_that_was_given_twice(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("getpass.getpass", lambda _: PASSWORD)
    assert main(["password"]) == 0
    stored = capsys.readouterr().out.strip().removeprefix("PRIVACY_OWNER_PASSWORD_HASH=").strip("'")
    assert is_password(PASSWORD, stored)


@pytest.mark.parametrize("given", [("short", "short"), (PASSWORD, PASSWORD + "x")])
def test_a_short_password_or_two_different_ones_are_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, given: tuple[str, str]
) -> None:
    typed = iter(given)
    monkeypatch.setattr("getpass.getpass", lambda _: next(typed))
    assert main(["password"]) == 1
    assert "scrypt" not in capsys.readouterr().out


def test_the_command_prints_tokens_that_are_long_enough(capsys: pytest.CaptureFixture[str]) -> None:
    main(["password", "--token"])
    token = capsys.readouterr().out.strip()
    assert load_settings({"metrics_token": token}, {})[0].metrics_token == token
