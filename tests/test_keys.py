"""The secret keys over time: rotated, lost, wrong, abandoned. Real database files, real processes, the real command line."""

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from privacy_middleware import PrivacyMiddleware
from privacy_middleware.cli import main
from privacy_middleware.errors import KeyMissing, PrivacyError, VaultError
from privacy_middleware.privacy import Privacy
from privacy_middleware.record.spool import Spool
from privacy_middleware.record.submissions import abandon, check, find, masters, read, rewrap
from privacy_middleware.store.base import Store
from privacy_middleware.vault import Vault

from .conftest import query
from .databases import environ, make_store
from .test_recorder import let_permissions_bind, script  # noqa: F401 - the second is used by scripts
from .test_submissions import ANNA, EVER, OTTO, change, put, submission

OLD, NEW, OTHER = "old-secret-" * 4, "new-secret-" * 4, "other-secret-" * 4
SECRET = Path("privacy.secret")
TOML = """
[controller]
name = "Bakery Ltd"
[[forms]]
name = "contact"
path = "/contact"
purpose = "answer"
retention_days = 30
[forms.fields]
email = { treatment = "keep", identity = true }
message = "keep"
"""


@pytest.fixture
def store() -> Iterator[Store]:
    store = make_store()
    store.open()
    yield store
    store.close()


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A form is declared, and its submissions do not expire meanwhile."""
    Path("privacy.toml").write_text(TOML)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    code = main(arguments)
    out = capsys.readouterr()
    return code, out.out, out.err


def fill(secret: str, *emails: str) -> None:
    """Have submissions of these in the database, sealed under this secret key."""
    store = make_store()
    store.open()
    put(store, Vault([secret]), *(submission(email) for email in emails))
    store.close()


def readable(store: Store, *secrets: str) -> int:
    """How many submissions can be read with these keys, and these alone."""
    vault, count = Vault(secrets), 0
    for stored in find(store, **EVER):
        try:
            read(store, vault, stored)
        except KeyMissing:
            continue
        count += 1
    return count


async def host(scope: Any, receive: Any, send: Any) -> None:
    """Answer every request, and start and stop as asked."""
    if scope["type"] == "lifespan":
        for kind in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{kind}.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"served"})


def start(app: Any) -> list[dict[str, Any]]:
    """Start and stop an app as a server does; returns what it told the server."""

    async def live() -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = []
        asked = iter(["startup", "shutdown"])

        async def receive() -> dict[str, Any]:
            return {"type": f"lifespan.{next(asked)}"}

        async def send(message: Any) -> None:
            told.append(dict(message))

        await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)
        return told

    return asyncio.run(live())


def files() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file() and not path.name.endswith(("-wal", "-shm"))}


# --- wrapping anew ---------------------------------------------------------------------------------------------------------


def test_after_wrapping_anew_the_new_key_alone_opens_everything(store: Store) -> None:
    put(store, Vault([OLD]), *(submission(email) for email in (ANNA, OTTO, "", "")))
    both = Vault([NEW, OLD])
    assert list(rewrap(store, both)) == [(4, 0)]
    assert readable(store, NEW) == 4
    assert readable(store, OLD) == 0
    assert masters(store) == {both.newest: 4}
    check(store, Vault([NEW]))


def test_after_wrapping_anew_people_are_found_again(store: Store) -> None:
    [before] = put(store, Vault([OLD]), submission(ANNA))
    list(rewrap(store, Vault([NEW, OLD])))
    [after] = put(store, Vault([NEW]), submission(ANNA))
    assert after.subject == before.subject


def test_what_is_sealed_is_not_written_again(store: Store) -> None:
    put(store, Vault([OLD]), submission(ANNA), submission(""))
    before = (
        query("SELECT * FROM field ORDER BY submission, name"),
        query("SELECT * FROM submission ORDER BY id"),
        query("SELECT id, lookup FROM subject ORDER BY id"),
    )
    list(rewrap(store, Vault([NEW, OLD])))
    assert (
        query("SELECT * FROM field ORDER BY submission, name"),
        query("SELECT * FROM submission ORDER BY id"),
        query("SELECT id, lookup FROM subject ORDER BY id"),
    ) == before


@pytest.mark.sqlite
def test_the_keys_as_wrapped_before_are_in_no_file_any_more(store: Store) -> None:
    put(store, Vault([OLD]), submission(ANNA), submission(""))
    store.checkpoint()
    sealed = [row["sealed"] for row in query("SELECT sealed FROM subject UNION ALL SELECT sealed FROM vault")]
    assert all(each in Path("privacy.db").read_bytes() for each in sealed)
    list(rewrap(store, Vault([NEW, OLD])))
    assert store.checkpoint()
    found = b"".join(path.read_bytes() for path in Path().glob("privacy.db*"))
    assert not [each for each in sealed if each in found]


def test_wrapping_anew_can_be_stopped_in_the_middle_and_gone_on_with(store: Store) -> None:
    put(store, Vault([OLD]), *(submission("") for _ in range(20)), *(submission(f"{n}@example.org") for n in range(20)))
    both = Vault([NEW, OLD])
    turns = rewrap(store, both, most=10)
    assert [next(turns), next(turns)] == [(10, 0), (10, 0)]
    turns.close()
    store.close()  # as at kill -9: each turn is a transaction
    store.open()
    assert masters(store) == {both.newest: 20, Vault([OLD]).newest: 20}
    assert readable(store, NEW) == readable(store, OLD) == 20
    assert readable(store, NEW, OLD) == 40
    assert list(rewrap(store, both, most=15)) == [(15, 0), (5, 0)]
    assert readable(store, NEW) == 40


def test_wrapping_anew_twice_finds_nothing_more_to_do(store: Store) -> None:
    put(store, Vault([OLD]), submission(ANNA))
    both = Vault([NEW, OLD])
    assert list(rewrap(store, both)) == [(1, 0)]
    assert list(rewrap(store, both)) == []


def test_wrapping_an_empty_vault_anew_does_nothing_and_makes_no_key(store: Store) -> None:
    assert list(rewrap(store, Vault([NEW, OLD]))) == []
    assert query("SELECT * FROM vault") == []


def test_while_keys_are_wrapped_anew_submissions_come_in_and_none_is_lost(store: Store) -> None:
    put(store, Vault([OLD]), *(submission(f"{n}@example.org") for n in range(60)))
    both = Vault([NEW, OLD])
    failed: list[BaseException] = []
    done = threading.Event()
    came = 0

    def come() -> None:
        nonlocal came
        mine = make_store()
        try:
            mine.open()
            while not done.is_set() or came < 60:
                put_one(mine, both, came)
                came += 1
        except BaseException as error:
            failed.append(error)
        finally:
            mine.close()

    app = threading.Thread(target=come)
    app.start()
    try:
        wrapped = sum(turn[0] for turn in rewrap(store, both, most=2))
    finally:
        done.set()
        app.join()
    assert failed == []
    assert wrapped == 60
    assert readable(store, NEW) == 60 + came
    assert len(query("SELECT * FROM subject WHERE lookup IS NOT NULL")) == 60  # nobody became two


def put_one(store: Store, vault: Vault, number: int) -> None:
    from privacy_middleware.record.submissions import add

    with store.transaction():
        add(store, vault, submission(f"{number % 60}@example.org" if number % 3 else ""))


def test_two_processes_that_wrap_anew_at_once_do_no_harm() -> None:
    fill(OLD, *(f"{n}@example.org" for n in range(40)))
    code = f"""
        import threading
        from tests.test_keys import *
        failed = []
        def go():
            store = make_store()
            try:
                store.open()
                list(rewrap(store, Vault([{NEW!r}, {OLD!r}]), most=3))
            except BaseException as error:
                failed.append(error)
            finally:
                store.close()
        threads = [threading.Thread(target=go) for _ in range(3)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        print(failed)
    """
    assert script(code) == "[]\n"
    other = make_store()
    other.open()
    assert readable(other, NEW) == 40
    other.close()


@pytest.mark.sqlite
def test_keys_that_cannot_be_opened_stay_and_are_reported(store: Store) -> None:
    both = Vault([NEW, OTHER])
    put(store, both, submission(ANNA), submission(""))
    put_under_a_lost_key(store, 3)
    change("UPDATE subject SET sealed = x'00' WHERE id = (SELECT id FROM subject WHERE master = ? ORDER BY id LIMIT 1)", both.newest)
    before = query("SELECT * FROM subject WHERE master = :old", old=Vault([OLD]).newest)
    newest = Vault([OTHER, NEW])
    assert [tuple(map(sum, zip(*rewrap(store, newest, most=2), strict=True)))] == [(1, 4)]
    assert query("SELECT * FROM subject WHERE master = :old", old=Vault([OLD]).newest) == before
    assert masters(store) == {newest.newest: 1, both.newest: 1, Vault([OLD]).newest: 3}
    assert readable(store, NEW, OLD, OTHER) if not change("DELETE FROM subject WHERE sealed = x'00'") else True


def put_under_a_lost_key(store: Store, number: int) -> None:
    """Anonymous submissions need no index: they can be sealed under a key that the others are not sealed under."""
    put(store, Vault([OLD]), *(submission("") for _ in range(number)))


def test_without_the_key_of_the_index_nothing_is_wrapped_anew(store: Store) -> None:
    put(store, Vault([OLD]), submission(ANNA))
    before = query("SELECT * FROM subject"), query("SELECT * FROM vault")
    with pytest.raises(KeyMissing):
        list(rewrap(store, Vault([NEW, OTHER])))
    assert (query("SELECT * FROM subject"), query("SELECT * FROM vault")) == before


# --- the check at the start ------------------------------------------------------------------------------------------------


def privacy(*secrets: str, **settings: Any) -> Privacy:
    given = {"secret_keys": ",".join(secrets)} if secrets else {}
    return Privacy.from_sources({"policy": TOML, **given, **settings}, environ())


def test_with_the_right_key_the_check_passes_and_changes_nothing() -> None:
    fill(OLD, ANNA)
    before = files()
    privacy(OLD).keys.check()
    privacy(NEW, OLD).keys.check()
    assert files() == before


def test_without_any_database_the_check_passes_and_makes_none() -> None:
    privacy(OLD).keys.check()
    assert list(Path().iterdir()) == []


@pytest.mark.usefixtures("store")
@pytest.mark.sqlite
def test_with_nothing_sealed_yet_the_check_passes_and_there_is_a_secret_that_lasts() -> None:
    privacy(NEW).keys.check()
    assert not SECRET.exists()
    first = privacy()
    first.keys.check()
    assert len(SECRET.read_text()) >= 32
    assert SECRET.stat().st_mode & 0o777 == 0o600
    assert privacy().keys.vault.newest == first.keys.vault.newest


@pytest.mark.sqlite
def test_where_no_secret_can_be_kept_forms_are_not_taken() -> None:
    """A key of this process alone would make everything unreadable at the next start."""
    code = """
        from tests.test_keys import *
        let_permissions_bind()
        Path("privacy.toml").write_text(TOML)
        Path().chmod(0o555)
        try:
            PrivacyMiddleware(host)
        except KeyMissing as error:
            print("PRIVACY_SECRET_KEYS" in str(error))
    """
    assert script(code) == "True\n"


@pytest.mark.sqlite
def test_a_database_of_a_version_without_a_vault_passes_the_check(store: Store) -> None:
    for table in ("vault", "subject", "submission", "field", "audit"):
        change(f"DROP TABLE {table}")
    change("DELETE FROM migration WHERE number > 1")
    privacy(NEW).keys.check()


@pytest.mark.sqlite
def test_a_lost_key_is_an_error_that_names_cause_and_remedies() -> None:
    fill(OLD, ANNA)
    with pytest.raises(KeyMissing) as caught:
        privacy(NEW, OTHER).keys.check()
    told = str(caught.value)
    for part in ("privacy.db", "PRIVACY_SECRET_KEYS does not hold", "add it at the end", "privacy-middleware keys abandon"):
        assert part in told
    assert not any(secret in told for secret in (OLD, NEW, OTHER))


@pytest.mark.sqlite
def test_a_secret_file_with_another_key_is_an_error_that_names_the_file() -> None:
    fill(OLD, ANNA)
    SECRET.write_text(NEW)
    with pytest.raises(KeyMissing, match=r"privacy\.secret does not hold"):
        privacy().keys.check()
    assert SECRET.read_text() == NEW


@pytest.mark.sqlite
def test_a_secret_file_that_is_gone_is_an_error_and_no_new_one_is_made() -> None:
    fill(OLD, ANNA)
    with pytest.raises(KeyMissing, match=r"is gone: put \S+/privacy\.secret back.*privacy-middleware keys abandon"):
        privacy().keys.check()
    assert not SECRET.exists()


@pytest.mark.sqlite
def test_a_secret_file_that_was_put_back_passes() -> None:
    fill(OLD, ANNA)
    SECRET.write_text(OLD + "\n")
    privacy().keys.check()


@pytest.mark.parametrize("content", ["", "\n", "short"])
def test_a_secret_file_with_no_or_a_weak_secret_seals_nothing(content: str) -> None:
    SECRET.write_text(content)
    with contextlib.suppress(PrivacyError):  # refused, or another is used
        assert privacy().keys.vault.newest != Vault([content.strip()]).newest


def test_a_rotation_that_was_stopped_half_way_and_an_old_key_that_was_taken_away_are_an_error(store: Store) -> None:
    put(store, Vault([OLD]), *(submission(f"{n}@example.org") for n in range(4)))
    turns = rewrap(store, Vault([NEW, OLD]), most=2)
    next(turns)
    turns.close()
    privacy(NEW, OLD).keys.check()
    with pytest.raises(KeyMissing, match="add it at the end"):
        privacy(NEW).keys.check()


@pytest.mark.usefixtures("declared")
@pytest.mark.sqlite
def test_the_middleware_does_not_start_without_the_key() -> None:
    fill(OLD, ANNA)
    with pytest.raises(KeyMissing, match="privacy-middleware keys abandon"):
        PrivacyMiddleware(host, secret_keys=NEW)
    with pytest.raises(KeyMissing, match="is gone"):
        PrivacyMiddleware(host)
    assert not SECRET.exists()
    PrivacyMiddleware(host, secret_keys=f"{NEW},{OLD}")


def test_without_declared_forms_the_middleware_starts_without_the_key() -> None:
    fill(OLD, ANNA)
    PrivacyMiddleware(host, secret_keys=NEW)


@pytest.mark.usefixtures("declared")
def test_switched_off_the_middleware_starts_without_the_key() -> None:
    fill(OLD, ANNA)
    assert start(PrivacyMiddleware(host, secret_keys=NEW, disabled=True))[0]["type"] == "lifespan.startup.complete"


@pytest.mark.usefixtures("declared")
@pytest.mark.parametrize("content", [b"", b"x" * 5000, b"SQLite format 3\0" + b"\xff" * 4096, None])
def test_a_database_that_cannot_be_read_does_not_stop_the_start(content: bytes | None) -> None:
    Path("privacy.db").mkdir() if content is None else Path("privacy.db").write_bytes(content)
    assert [message["type"] for message in start(PrivacyMiddleware(host, secret_keys=NEW))] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


@pytest.mark.usefixtures("declared")
def test_a_key_that_was_lost_between_import_and_start_fails_the_start() -> None:
    app = PrivacyMiddleware(host, secret_keys=NEW)
    fill(OLD, ANNA)
    told = start(app)
    assert told[0]["type"] == "lifespan.startup.failed"
    assert "privacy-middleware keys abandon" in told[0]["message"]


def starlette_app(**settings: Any) -> Starlette:
    """Starlette builds its middleware when it is called first: in the event loop."""
    app = Starlette(routes=[Route("/", lambda _: PlainTextResponse("served"))])
    app.add_middleware(PrivacyMiddleware, **settings)
    return app


@pytest.mark.usefixtures("declared")
@pytest.mark.parametrize(
    ("settings", "message"), [({"secret_keys": NEW}, "PRIVACY_SECRET_KEYS does not hold"), ({}, "/privacy.secret back")]
)
@pytest.mark.sqlite
def test_a_middleware_that_is_built_in_the_event_loop_fails_the_start_with_the_reason(settings: dict[str, str], message: str) -> None:
    fill(OLD, ANNA)
    told = start(starlette_app(**settings))
    assert told[0]["type"] == "lifespan.startup.failed"
    assert message in told[0]["message"]
    assert not SECRET.exists()


@pytest.mark.usefixtures("declared")
def test_a_middleware_that_is_built_in_the_event_loop_starts_with_the_right_key() -> None:
    fill(OLD, ANNA)
    assert start(starlette_app(secret_keys=f"{NEW},{OLD}"))[0]["type"] == "lifespan.startup.complete"


@pytest.mark.usefixtures("declared")
def test_a_wrong_setting_in_a_middleware_that_is_built_in_the_event_loop_fails_the_start_with_the_reason() -> None:
    told = start(starlette_app(retention_days="soon"))
    assert told[0]["type"] == "lifespan.startup.failed"
    assert "PRIVACY_RETENTION_DAYS" in told[0]["message"]


@pytest.mark.usefixtures("declared")
@pytest.mark.sqlite
def test_a_real_server_says_why_it_does_not_start() -> None:
    fill(OLD, ANNA)
    Path("served.py").write_text("from tests.test_keys import starlette_app\napp = starlette_app()\n")
    environment = {**os.environ, "PYTHONPATH": f"{Path(__file__).parents[1]}{os.pathsep}{Path.cwd()}"}
    command = [sys.executable, "-m", "uvicorn", "served:app", "--port", "0", "--no-access-log"]
    ended = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 3
    assert "/privacy.secret back" in ended.stderr
    assert "Traceback" not in ended.stderr


# --- the commands ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("declared")
class TestCommands:
    """`keys status`, `keys rotate`, `keys abandon`."""

    @pytest.fixture(autouse=True)
    def _given(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch

    def give(self, *secrets: str) -> None:
        self.monkeypatch.setenv("PRIVACY_SECRET_KEYS", ",".join(secrets))

    @pytest.mark.parametrize("action", [("status",), ("rotate",), ("abandon",), ("abandon", "--yes")])
    @pytest.mark.sqlite
    def test_a_missing_database_is_told_and_not_made(self, action: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
        self.give(NEW)
        code, out, err = run(capsys, "keys", *action)
        assert (code, out) == (1, "")
        assert "there is no database" in err
        assert [path.name for path in Path().iterdir()] == ["privacy.toml"]

    def test_status_tells_under_which_key_how_much_is(self, capsys: pytest.CaptureFixture[str], store: Store) -> None:
        put(store, Vault([OLD]), submission(ANNA), submission(""))
        put(store, Vault([NEW, OLD]), submission(OTTO))
        self.give(NEW, OLD)
        code, out, err = run(capsys, "keys", "status")
        assert (code, err) == (0, "")
        lines = sorted(re.split(r"  +", line, maxsplit=1)[1] for line in out.splitlines())
        assert lines == ["key 2 of those given  2 keys", "the newest key  1 keys"]

    def test_status_tells_of_a_key_that_is_not_given(self, capsys: pytest.CaptureFixture[str]) -> None:
        fill(OLD, ANNA)
        self.give(NEW)
        code, out, _ = run(capsys, "keys", "status")
        assert code == 1
        assert "not among the keys given  1 keys" in out

    def test_status_of_an_empty_vault_says_so(self, capsys: pytest.CaptureFixture[str], store: Store) -> None:
        self.give(NEW)
        assert run(capsys, "keys", "status")[:2] == (0, "nothing is sealed yet\n")

    @pytest.mark.parametrize("action", ["status", "rotate"])
    def test_without_the_secret_file_none_is_made(self, action: str, capsys: pytest.CaptureFixture[str]) -> None:
        fill(OLD, ANNA)
        assert run(capsys, "keys", action)[0] == 1
        assert not SECRET.exists()

    @pytest.mark.parametrize("action", [("status",), ("rotate",), ("abandon",)])
    def test_no_command_shows_a_secret(self, action: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
        fill(OLD, ANNA)
        self.give(NEW, OLD)
        _, out, err = run(capsys, "keys", *action)
        assert not any(secret in out + err for secret in (OLD, NEW))

    @pytest.mark.sqlite
    def test_rotate_wraps_everything_under_the_newest_key(self, capsys: pytest.CaptureFixture[str], store: Store) -> None:
        put(store, Vault([OLD]), submission(ANNA), submission(OTTO), submission(""))
        self.give(NEW, OLD)
        code, out, _ = run(capsys, "keys", "rotate")
        assert code == 0
        assert out.startswith("3 keys are now wrapped under the newest secret key\n")
        assert "submissions need the older keys no more" in out
        assert readable(store, NEW) == 3
        assert run(capsys, "keys", "status")[0] == 0

    @pytest.mark.sqlite
    def test_rotate_takes_in_what_waits_in_the_spool_under_the_old_key(self, capsys: pytest.CaptureFixture[str], store: Store) -> None:
        spool = Spool(Path("privacy.db"))
        put(store, Vault([OLD]), submission(ANNA))
        spool.add(Vault([OLD]), submission(ANNA, expires=40_000))
        self.give(NEW, OLD)
        assert run(capsys, "keys", "rotate")[0] == 0
        assert spool.waiting() == []
        assert readable(store, NEW) == 2

    @pytest.mark.sqlite
    def test_rotate_warns_of_what_still_waits_in_the_spool(self, capsys: pytest.CaptureFixture[str], store: Store) -> None:
        spool = Spool(Path("privacy.db"))
        put(store, Vault([OLD]), submission(ANNA))
        spool.add(Vault([OTHER]), submission(ANNA, expires=40_000))
        self.give(NEW, OLD)
        _, out, _ = run(capsys, "keys", "rotate")
        assert "keep the old keys" in out
        assert "no more" not in out
        assert len(spool.waiting()) == 1

    def test_rotate_reports_what_cannot_be_opened(self, capsys: pytest.CaptureFixture[str], store: Store) -> None:
        put(store, Vault([OTHER]), submission(ANNA))
        put_under_a_lost_key(store, 2)
        self.give(NEW, OTHER)
        code, out, _ = run(capsys, "keys", "rotate")
        assert code == 1
        assert "1 keys are now wrapped" in out
        assert "2 cannot be opened with the keys given" in out
        assert "no more" not in out

    def test_rotate_without_the_old_key_is_told_and_changes_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        fill(OLD, ANNA)
        self.give(NEW)
        before = query("SELECT * FROM subject"), query("SELECT * FROM vault")
        code, out, err = run(capsys, "keys", "rotate")
        assert (code, out) == (1, "")
        assert "add it at the end" in err
        assert (query("SELECT * FROM subject"), query("SELECT * FROM vault")) == before

    def test_abandon_where_nothing_is_lost_does_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        fill(OLD, ANNA)
        self.give(NEW, OLD)
        before = query("SELECT * FROM subject"), query("SELECT * FROM vault")
        for arguments in ([], ["--yes"]):
            assert run(capsys, "keys", "abandon", *arguments)[:2] == (0, "nothing is lost: everything can be opened with the keys given\n")
        assert (query("SELECT * FROM subject"), query("SELECT * FROM vault")) == before

    def test_abandon_asks_first(self, capsys: pytest.CaptureFixture[str]) -> None:
        fill(OLD, ANNA, OTTO, "")
        self.give(NEW)
        before = query("SELECT * FROM subject"), query("SELECT * FROM vault")
        code, out, err = run(capsys, "keys", "abandon")
        assert (code, out) == (1, "")
        assert "what is sealed under 3 keys of people could not be read any more" in err
        assert "--yes" in err
        assert (query("SELECT * FROM subject"), query("SELECT * FROM vault")) == before

    def test_after_abandoning_the_app_starts_and_an_old_address_can_write_again(
        self, capsys: pytest.CaptureFixture[str], store: Store
    ) -> None:
        [lost] = put(store, Vault([OLD]), submission(ANNA))
        self.give(NEW)
        code, out, _ = run(capsys, "keys", "abandon", "--yes")
        assert code == 0
        assert out.startswith("done: 1 stay sealed until their retention ends")
        assert start(PrivacyMiddleware(host))[0]["type"] == "lifespan.startup.complete"
        one, two = put(store, Vault([NEW]), submission(ANNA), submission(ANNA))
        assert one.subject == two.subject != lost.subject
        assert readable(store, NEW) == 2
        assert len(query("SELECT * FROM submission")) == 3

    def test_what_was_abandoned_can_be_read_should_the_key_be_found(self, capsys: pytest.CaptureFixture[str], store: Store) -> None:
        put(store, Vault([OLD]), submission(ANNA))
        self.give(NEW)
        run(capsys, "keys", "abandon", "--yes")
        assert readable(store, NEW, OLD) == 1

    @pytest.mark.sqlite
    def test_abandoning_without_the_secret_file_begins_with_a_new_one(self, capsys: pytest.CaptureFixture[str]) -> None:
        fill(OLD, ANNA)
        assert run(capsys, "keys", "abandon")[0] == 1
        assert run(capsys, "keys", "abandon", "--yes")[0] == 0
        assert len(SECRET.read_text()) >= 32
        PrivacyMiddleware(host)

    def test_abandoning_twice_says_the_second_time_what_is_still_lost(self, capsys: pytest.CaptureFixture[str], store: Store) -> None:
        put(store, Vault([OLD]), submission(ANNA))
        self.give(NEW)
        run(capsys, "keys", "abandon", "--yes")
        [kept] = put(store, Vault([NEW]), submission(ANNA))
        run(capsys, "keys", "abandon", "--yes")
        [later] = put(store, Vault([NEW]), submission(ANNA))
        assert later.subject == kept.subject  # who can be found is still found

    def test_abandon_keeps_the_index_where_its_key_is_not_lost(self, capsys: pytest.CaptureFixture[str], store: Store) -> None:
        """The old key was taken away before the rotation had ended."""
        vault = Vault([NEW, OLD])
        stored = put(store, Vault([OLD]), *(submission(f"{n}@example.org") for n in range(4)))
        turns = rewrap(store, vault, most=2)
        next(turns)
        turns.close()
        self.give(NEW)
        assert run(capsys, "keys", "abandon", "--yes")[0] == 0
        again = put(store, Vault([NEW]), *(submission(f"{n}@example.org") for n in range(4)))
        same = [before.subject == after.subject for before, after in zip(stored, again, strict=True)]
        assert same.count(True) == 2  # whose keys can be opened go on as one person
        assert readable(store, NEW) == 6


def test_abandoning_clears_the_way_for_a_new_index(store: Store) -> None:
    put(store, Vault([OLD]), submission(ANNA))
    with pytest.raises(VaultError):
        check(store, Vault([NEW]))
    abandon(store, Vault([NEW]))
    check(store, Vault([NEW]))
    assert query("SELECT lookup FROM subject") == [{"lookup": None}]
