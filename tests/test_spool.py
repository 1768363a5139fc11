"""The spool: sealed files beside the database, complete or absent, taken in exactly once. Real files, real processes."""

import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from privacy_middleware.errors import KeyMissing, VaultError
from privacy_middleware.record.intake import absorb
from privacy_middleware.record.spool import Spool, openable
from privacy_middleware.record.submissions import Submission, find, read
from privacy_middleware.store.base import Store
from privacy_middleware.vault import Vault

from .conftest import query
from .databases import make_store
from .test_recorder import ROOT, script, until
from .test_submissions import ANNA, EVER, OTTO, TIME, put, spellings, submission

OLD, NEW, OTHER = "old-secret-" * 4, "new-secret-" * 4, "other-secret-" * 4
FOLDER = Path("privacy.db.spool")


@pytest.fixture
def vault() -> Vault:
    return Vault([NEW])


@pytest.fixture
def spool() -> Spool:
    return Spool(Path("privacy.db"))


@pytest.fixture
def store() -> Iterator[Store]:
    store = make_store()
    store.open()
    yield store
    store.close()


def fill(spool: Spool, vault: Vault, number: int = 1, email: str = ANNA) -> list[Submission]:
    submissions = [submission(email) for _ in range(number)]
    for each in submissions:
        spool.add(vault, each)
    return submissions


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def stored() -> int:
    return int(query("SELECT COUNT(*) AS n FROM submission")[0]["n"])


# --- the files -------------------------------------------------------------------------------------------------------------


def test_a_spool_that_nobody_needs_is_not_made(spool: Spool, vault: Vault) -> None:
    assert spool.waiting() == []
    assert list(openable(spool, vault)) == []
    spool.clear(today=1)
    assert list(Path().iterdir()) == []


def test_it_lies_beside_its_database() -> None:
    assert Spool(Path("data/site.sqlite3")).folder == Path("data/site.sqlite3.spool")


def test_what_was_put_into_the_spool_comes_out_as_it_was(spool: Spool, vault: Vault) -> None:
    values = {"message": ["a", "b\n\0=ü😀"], "sent": [True], "size": [3], "file": [{"type": "image/png", "size": 7}]}
    for sent in (submission(values=values, visitor=-5), submission("")):
        spool.add(vault, sent)
        path = FOLDER / f"{sent.expires}-{sent.id.hex()}.sealed"
        assert spool.open(vault, path) == sent
    assert len(spool.waiting()) == 2


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_folder_and_files_are_their_owners_alone(umask: int, spool: Spool, vault: Vault) -> None:
    before = os.umask(umask)
    try:
        fill(spool, vault)
    finally:
        os.umask(before)
    assert mode(FOLDER) == 0o700
    assert [mode(path) for path in FOLDER.iterdir()] == [0o600]


def test_the_spool_holds_no_plaintext(spool: Spool, vault: Vault) -> None:
    fill(spool, vault)
    spool.add(vault, submission("", message="Canary-of-nobody"))
    found = b"".join(path.read_bytes() + path.name.encode() for path in FOLDER.iterdir())
    texts = [ANNA, "anna.canary", "canary message", "Canary-of-nobody", "contact", "answer", str(TIME), str(TIME // 1000)]
    assert not [spelling for text in texts for spelling in spellings(text) if spelling in found]
    assert TIME.to_bytes(8, "big") not in found
    assert TIME.to_bytes(6, "big") not in found


def test_adding_the_same_twice_is_one_file(spool: Spool, vault: Vault) -> None:
    [sent] = fill(spool, vault)
    spool.add(vault, sent)
    assert len(list(FOLDER.iterdir())) == 1


def test_what_was_added_leaves_no_draft(spool: Spool, vault: Vault) -> None:
    fill(spool, vault, 5)
    assert {path.suffix for path in FOLDER.iterdir()} == {".sealed"}


def test_a_process_that_is_killed_in_the_middle_leaves_files_that_are_complete_or_drafts(spool: Spool, vault: Vault) -> None:
    code = f"""if True:
        from tests.test_spool import *
        while True:
            fill(Spool(Path("privacy.db")), Vault([{NEW!r}]), email={OTTO!r})
    """
    for round_ in range(1, 4):
        process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)})
        until(lambda expected=5 * round_: len(spool.waiting()) >= expected or process.poll() is not None)  # noqa: B023 - called at once
        process.kill()
        process.wait()
    waiting = spool.waiting()
    assert len(waiting) >= 15
    assert all(spool.open(vault, path).email == OTTO for path in waiting)


def test_what_a_killed_process_has_begun_is_never_taken_for_a_submission(spool: Spool, vault: Vault, store: Store) -> None:
    [sent] = fill(spool, vault)
    [path] = spool.waiting()
    for length in (0, 5, 8, 20, len(path.read_bytes()) - 1, len(path.read_bytes())):
        (FOLDER / f"{length:032x}.draft").write_bytes(path.read_bytes()[:length])
    assert spool.waiting() == [path]
    assert [found for _, found in openable(spool, vault)] == [sent]
    assert absorb(store, spool, vault) == 1
    assert stored() == 1


def test_drafts_are_cleared_once_they_are_old(spool: Spool, vault: Vault, store: Store) -> None:
    fill(spool, vault)
    old, young = FOLDER / "00.draft", FOLDER / "01.draft"
    for draft in (old, young):
        draft.write_bytes(b"half")
    os.utime(old, (time.time() - 120, time.time() - 120))
    absorb(store, spool, vault)
    assert (old.exists(), young.exists()) == (False, True)


def test_what_does_not_belong_there_is_left_alone(spool: Spool, vault: Vault, store: Store) -> None:
    fill(spool, vault)
    (FOLDER / "README").write_text("by hand")
    (FOLDER / "folder.sealed").mkdir()
    (FOLDER / "folder.draft").mkdir()
    (FOLDER / "link.sealed").symlink_to("nowhere")
    os.utime(FOLDER / "folder.draft", (1, 1))
    assert absorb(store, spool, vault) == 1
    assert sorted(path.name for path in FOLDER.iterdir()) == ["README", "folder.draft", "folder.sealed", "link.sealed"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_file_that_cannot_be_written_is_an_os_error_and_leaves_nothing(spool: Spool, vault: Vault) -> None:
    fill(spool, vault)
    sent = submission()
    (FOLDER / f"{sent.expires}-{sent.id.hex()}.draft").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        spool.add(vault, sent)
    assert len(list(FOLDER.iterdir())) == 1


def test_a_file_in_the_place_of_the_folder_is_an_os_error_and_stays(spool: Spool, vault: Vault) -> None:
    FOLDER.write_text("by hand")
    with pytest.raises(FileExistsError):
        spool.add(vault, submission())
    assert spool.waiting() == []
    assert FOLDER.read_text() == "by hand"


def test_a_missing_folder_of_the_database_is_an_os_error(vault: Vault) -> None:
    with pytest.raises(FileNotFoundError):
        Spool(Path("nowhere/privacy.db")).add(vault, submission())


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no permissions here")
def test_a_folder_that_cannot_be_written_is_an_os_error_and_mended_later() -> None:
    code = f"""
        from tests.test_recorder import let_permissions_bind
        from tests.test_spool import *
        let_permissions_bind()
        Path().chmod(0o555)
        spool, vault = Spool(Path("privacy.db")), Vault([{NEW!r}])
        try:
            spool.add(vault, submission())
        except PermissionError:
            print("refused")
        Path().chmod(0o755)
        spool.add(vault, submission())
        print(len(spool.waiting()))
    """
    assert script(code) == "refused\n1\n"


# --- what cannot be opened -------------------------------------------------------------------------------------------------


def test_under_another_key_it_does_not_open(spool: Spool, vault: Vault) -> None:
    fill(spool, Vault([OLD]))
    [path] = spool.waiting()
    with pytest.raises(KeyMissing):
        spool.open(vault, path)


def test_it_opens_with_the_old_key_listed(spool: Spool) -> None:
    [sent] = fill(spool, Vault([OLD]))
    assert spool.open(Vault([NEW, OLD]), spool.waiting()[0]) == sent


def test_under_another_name_it_does_not_open(spool: Spool, vault: Vault) -> None:
    fill(spool, vault, 2)
    one, two = spool.waiting()
    one.replace(two)
    with pytest.raises(VaultError):
        spool.open(vault, two)


@pytest.mark.parametrize("content", [b"", b"x", b"x" * 8, b"x" * 300])
def test_garbage_is_a_vault_error(content: bytes, spool: Spool, vault: Vault) -> None:
    fill(spool, vault)
    [path] = spool.waiting()
    path.write_bytes(content)
    with pytest.raises(VaultError):
        spool.open(vault, path)


def test_what_was_changed_or_cut_short_anywhere_does_not_open(spool: Spool, vault: Vault) -> None:
    fill(spool, vault)
    [path] = spool.waiting()
    whole = path.read_bytes()
    for place in range(0, len(whole), 3):
        for content in (whole[:place], whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]):
            path.write_bytes(content)
            with pytest.raises(VaultError):
                spool.open(vault, path)


@pytest.mark.parametrize("content", [b"\xc1", b"\x90", b"\x93\x01\x02\x03", b""])
def test_what_another_version_has_written_is_a_vault_error_that_names_the_file(content: bytes, spool: Spool, vault: Vault) -> None:
    fill(spool, vault)
    [path] = spool.waiting()
    wrapped = vault.wrap(content, f"spool|{path.stem}")
    path.write_bytes(wrapped.master + wrapped.key)
    with pytest.raises(VaultError, match=f"{path.name} was written by another version"):
        spool.open(vault, path)


def test_what_cannot_be_opened_is_never_deleted_and_stops_no_other(spool: Spool, vault: Vault, store: Store) -> None:
    fill(spool, Vault([OLD]), 2)
    fill(spool, vault, 3)
    (FOLDER / f"x{'0' * 32}.sealed").write_bytes(b"garbage")
    (FOLDER / f"{'f' * 32}.sealed").write_bytes(b"")
    opened = {path.name for path, _ in openable(spool, vault)}
    stay = {path.name for path in spool.waiting()} - opened
    for path in FOLDER.iterdir():
        os.utime(path, (1, 1))  # however old they are
    assert absorb(store, spool, vault) == 3
    assert {path.name for path in FOLDER.iterdir()} == stay
    assert len(stay) == 4
    assert absorb(store, spool, Vault([NEW, OLD])) == 2


def test_while_the_index_is_sealed_under_a_key_that_is_not_given_it_stays(spool: Spool, vault: Vault, store: Store) -> None:
    put(store, Vault([OLD]), submission(OTTO))
    fill(spool, vault)
    assert absorb(store, spool, vault) == 0
    assert len(spool.waiting()) == 1
    assert absorb(store, spool, Vault([NEW, OLD])) == 1


# --- taking in -------------------------------------------------------------------------------------------------------------


def test_taking_in_moves_each_into_the_database_and_empties_the_spool(spool: Spool, vault: Vault, store: Store) -> None:
    sent = [*fill(spool, vault, 3), *fill(spool, vault, 2, email="")]
    assert absorb(store, spool, vault) == 5
    assert list(FOLDER.iterdir()) == []
    found = find(store, **EVER)
    assert {each.id for each in found} == {each.id for each in sent}
    assert len({each.subject for each in found}) == 3
    by_id = {each.id: each for each in sent}
    for each in found:
        expected = by_id[each.id]
        assert read(store, vault, each) == (expected.time if expected.email else None, expected.values)


def test_what_the_database_has_already_is_not_stored_again(spool: Spool, vault: Vault, store: Store) -> None:
    """As after kill -9 between the commit and the removal of the file."""
    sent = fill(spool, vault, 2)
    put(store, vault, *sent)
    absorb(store, spool, vault)
    assert spool.waiting() == []
    assert stored() == 2


@pytest.mark.usefixtures("store")
def test_two_processes_that_take_in_at_once_store_each_exactly_once(spool: Spool, vault: Vault) -> None:
    sent = fill(spool, vault, 60)
    code = f"""
        from tests.test_spool import *
        store = make_store()
        store.open()
        Path(f"ready-{{os.getpid()}}").touch()
        until(Path("go").exists)
        print(absorb(store, Spool(Path("privacy.db")), Vault([{NEW!r}])))
        store.close()
    """
    printed: list[str] = []
    processes = [threading.Thread(target=lambda: printed.append(script(code))) for _ in range(2)]
    for process in processes:
        process.start()
    until(lambda: len(list(Path().glob("ready-*"))) == 2)
    Path("go").touch()
    for process in processes:
        process.join()
    assert len(printed) == 2
    assert spool.waiting() == []
    assert sorted(row["id"] for row in query("SELECT id FROM submission")) == sorted(each.id for each in sent)
    assert len(query("SELECT * FROM field")) == 120
    assert len(query("SELECT * FROM subject")) == 1


def test_a_file_that_another_process_was_faster_with_is_passed_over(spool: Spool, vault: Vault, store: Store) -> None:
    fill(spool, vault, 4)
    found = openable(spool, vault)
    next(found)
    for path in spool.waiting()[1:3]:
        path.unlink()
    assert len(list(found)) == 1


def test_removing_what_is_removed_already_does_nothing(spool: Spool, vault: Vault) -> None:
    fill(spool, vault)
    [path] = spool.waiting()
    spool.remove(path)
    spool.remove(path)
    assert spool.waiting() == []


def test_what_is_past_its_retention_is_deleted_whether_it_can_be_opened_or_not(spool: Spool, vault: Vault, store: Store) -> None:
    """Also one that was put back from a copy, or that is sealed under a key that is gone."""
    spool.add(vault, submission(expires=20_700))
    spool.add(Vault([OLD]), submission(expires=20_700))
    spool.add(vault, submission(expires=20_700 + 1))
    assert absorb(store, spool, vault, today=20_700) == 1
    assert list(FOLDER.iterdir()) == []


def test_a_large_spool_is_taken_in_a_part_at_a_time(spool: Spool, vault: Vault, store: Store) -> None:
    fill(spool, vault, 130)
    assert [absorb(store, spool, vault) for _ in range(3)] == [100, 30, 0]
