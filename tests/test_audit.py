"""The audit log: that every entry hangs on the one before, and that whoever changes one is found out."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from privacy_middleware.cli import main
from privacy_middleware.errors import StoreError
from privacy_middleware.forms import AUDIT_DAYS
from privacy_middleware.record.purge import finish_purge
from privacy_middleware.rights.audit import Verified, note, verify
from privacy_middleware.store.base import Store

from .conftest import query
from .databases import change, make_store

NOW = 1_777_896_000_000
DAY = 86_400_000


@pytest.fixture
def store() -> Iterator[Store]:
    store = make_store()
    store.open()
    yield store
    store.close()


def write(store: Store, amount: int = 5, *, since: int = NOW) -> str:
    """Note some things, a day apart; returns the head."""
    for number in range(amount):
        with store.transaction():
            subject = bytes([number]) * 32 if number % 2 else None
            note(store, now=since + number * DAY, actor="Berta", action=f"show {number}", about=f"object {number}", subject=subject)
    return verify(store).head


def ids() -> list[int]:
    return [row["id"] for row in query("SELECT id FROM audit ORDER BY id")]


def purge(store: Store, *, now: int) -> None:
    finish_purge(store, [], now=now, zone=UTC)


# --- a sound chain ---------------------------------------------------------------------------------------------------------


def test_an_empty_log_is_whole(store: Store) -> None:
    assert verify(store) == Verified(0, "", None)


@pytest.mark.parametrize("amount", [1, 2, 50])
def test_an_untouched_log_is_whole(amount: int, store: Store) -> None:
    write(store, amount)
    assert verify(store).entries == amount
    assert verify(store).broken is None


def test_the_head_is_the_hash_of_the_newest_entry(store: Store) -> None:
    head = write(store)
    assert head == query("SELECT chain FROM audit ORDER BY id DESC LIMIT 1")[0]["chain"].hex()
    assert len(bytes.fromhex(head)) == 32


def test_every_entry_gives_another_head(store: Store) -> None:
    assert len({write(store, 1) for _ in range(10)}) == 10


def test_equal_entries_have_different_hashes(store: Store) -> None:
    with store.transaction():
        for _ in range(3):
            note(store, now=NOW, actor="a", action="b")
    assert len({row["chain"] for row in query("SELECT chain FROM audit")}) == 3


def test_an_entry_whose_transaction_was_rolled_back_leaves_no_gap(store: Store) -> None:
    write(store, 2)
    with pytest.raises(StoreError), store.transaction():
        failing_note(store)
    write(store, 2)
    assert verify(store) == Verified(4, verify(store).head, None)


def failing_note(store: Store) -> None:
    note(store, now=NOW, actor="a", action="b")
    store.execute("INSERT INTO nowhere VALUES (1)")


def test_several_entries_of_one_transaction_hang_together(store: Store) -> None:
    with store.transaction():
        for number in range(10):
            note(store, now=NOW, actor="a", action=str(number))
    assert verify(store).broken is None


def test_entries_of_threads_that_write_at_once_make_one_chain(store: Store) -> None:
    def work(name: str) -> None:
        with closing(make_store()) as own:
            own.open()
            for number in range(20):
                with own.transaction():
                    note(own, now=NOW, actor=name, action=str(number))

    threads = [threading.Thread(target=work, args=(f"thread {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verify(store) == Verified(80, verify(store).head, None)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(facts=st.lists(st.tuples(st.integers(0, 2**53), st.text(), st.text(), st.text(), st.none() | st.binary()), max_size=6))
def test_whatever_is_noted_the_chain_is_whole(facts: list[tuple[int, str, str, str, bytes | None]], store: Store) -> None:
    with store.transaction():
        for now, actor, action, about, subject in facts:
            if not any(0xD800 <= ord(c) < 0xE000 for text in (actor, action, about) for c in text):
                note(store, now=now, actor=actor, action=action, about=about, subject=subject)
    assert verify(store).broken is None


def test_facts_do_not_run_into_each_other(store: Store) -> None:
    """("ab", "c") and ("a", "bc") are two entries: neither may stand in the other's place."""
    with store.transaction():
        note(store, now=NOW, actor="ab", action="c", about="d")
        note(store, now=NOW, actor="a", action="b")
    change("UPDATE audit SET actor = 'a', action = 'bc' WHERE id = 1")
    assert verify(store).broken == 1


# --- tampering -------------------------------------------------------------------------------------------------------------

CHANGES = {
    "time": "time = time + 1",
    "actor": "actor = 'Otto'",
    "action": "action = action || '!'",
    "object": "object = ''",
    "subject": "subject = x'00'",
    "no subject": "subject = CASE WHEN subject IS NULL THEN x'' ELSE NULL END",
    "chain": "chain = zeroblob(32)",
    "no chain": "chain = NULL",
}


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("column", CHANGES)
def test_a_change_of_any_column_of_any_entry_is_found(column: str, number: int, store: Store) -> None:
    head = write(store)
    change(f"UPDATE audit SET {CHANGES[column]} WHERE id = ?", ids()[number])
    assert verify(store, known=head).broken is not None


@pytest.mark.parametrize("number", range(4))
def test_the_entry_that_was_changed_is_named(number: int, store: Store) -> None:
    write(store)
    changed = ids()[number]
    change("UPDATE audit SET actor = 'Otto' WHERE id = ?", changed)
    assert verify(store).broken == changed


def test_with_the_entrys_own_hash_made_anew_the_next_one_tells(store: Store) -> None:
    write(store)
    other = make_store("other.db")
    other.open()
    with other.transaction():
        note(other, now=NOW, actor="Otto", action="show 0", about="object 0")
    [forged] = other.rows("SELECT chain FROM audit")
    other.close()
    change("UPDATE audit SET actor = 'Otto', chain = ? WHERE id = ?", forged["chain"], ids()[0])
    assert verify(store).broken == ids()[1]


def test_a_log_with_only_one_entry_cannot_be_changed_either(store: Store) -> None:
    head = write(store, 1)
    change("UPDATE audit SET actor = 'Otto'")
    assert verify(store).broken == 1
    assert verify(store, known=head).broken == 1


def test_entries_without_a_hash_hide_no_change_behind_the_newest(store: Store) -> None:
    head = write(store)
    change("UPDATE audit SET chain = NULL, actor = 'Otto' WHERE id < ?", ids()[-1])
    assert verify(store, known=head).broken is not None


def test_a_log_whose_hashes_were_all_taken_away_is_found_by_the_head(store: Store) -> None:
    head = write(store)
    change("UPDATE audit SET chain = NULL, actor = 'Otto'")
    assert verify(store, known=head).broken is not None


@pytest.mark.parametrize("number", [1, 2, 3])
def test_an_entry_that_was_taken_out_of_the_middle_is_missed(number: int, store: Store) -> None:
    write(store)
    gone, following = ids()[number], ids()[number + 1]
    change("DELETE FROM audit WHERE id = ?", gone)
    assert verify(store).broken == following


def test_several_that_were_taken_out_of_the_middle_are_missed(store: Store) -> None:
    write(store, 10)
    change("DELETE FROM audit WHERE id BETWEEN ? AND ?", ids()[3], ids()[6])
    assert verify(store).broken is not None


def test_two_entries_that_changed_places_are_found(store: Store) -> None:
    write(store)
    one, other = ids()[1:3]
    for before, after in ((one, 900), (other, one), (900, other)):
        change("UPDATE audit SET id = ? WHERE id = ?", after, before)
    assert verify(store).broken == one


def test_an_entry_that_was_put_in_between_is_found(store: Store) -> None:
    write(store)
    change("UPDATE audit SET id = id * 10")
    sql = (
        "INSERT INTO audit (id, time, actor, action, object, subject, chain) SELECT 25, time, actor, 'x', object, subject, chain FROM audit"
    )
    change(f"{sql} WHERE id = 20")
    assert verify(store).broken == 25


@pytest.mark.parametrize("value", ["''", "'text'", "x''", "1.5", "x'00'", "zeroblob(40)"])
@pytest.mark.sqlite
def test_rubbish_in_the_place_of_a_hash_is_found_and_raises_nothing(value: str, store: Store) -> None:
    head = write(store)
    change(f"UPDATE audit SET chain = {value} WHERE id = ?", ids()[2])
    assert verify(store, known=head).broken is not None


@pytest.mark.parametrize("value", ["x'ff00'", "1.5", "x''", "'other'"])
@pytest.mark.parametrize("column", ["time", "actor", "action", "object", "subject"])
@pytest.mark.sqlite
def test_another_type_in_any_column_is_found(column: str, value: str, store: Store) -> None:
    write(store)
    change(f"UPDATE audit SET {column} = {value} WHERE id = ?", ids()[2])
    assert verify(store).broken is not None


# --- the head --------------------------------------------------------------------------------------------------------------


def test_a_head_that_was_noted_earlier_is_still_in_the_chain(store: Store) -> None:
    heads = [write(store, 1) for _ in range(5)]
    assert [verify(store, known=head).broken for head in heads] == [None] * 5


def test_entries_that_were_taken_off_the_end_are_missed_by_the_head(store: Store) -> None:
    head = write(store)
    change("DELETE FROM audit WHERE id = ?", ids()[-1])
    assert verify(store).broken is None  # nobody can see that without the head
    assert verify(store, known=head).broken == ids()[-1]


def test_a_log_that_was_emptied_is_missed_by_the_head(store: Store) -> None:
    head = write(store)
    change("DELETE FROM audit")
    assert verify(store, known=head).broken is not None


@pytest.mark.parametrize("head", ["00" * 32, "x", "'", "\ud800", "0" * 10_000])
def test_a_head_that_never_was_is_told(head: str, store: Store) -> None:
    write(store)
    assert verify(store, known=head).broken is not None


# --- the purge from the old end --------------------------------------------------------------------------------------------


def test_after_the_purge_of_the_oldest_the_chain_is_whole(store: Store) -> None:
    head = write(store, 10)
    purge(store, now=NOW + (AUDIT_DAYS + 5) * DAY)
    assert [row["action"] for row in query("SELECT action FROM audit WHERE action <> '' ORDER BY id")] == [
        f"show {n}" for n in range(5, 10)
    ]
    assert verify(store, known=head).broken is None


def test_after_a_purge_the_oldest_that_is_left_cannot_be_changed_either(store: Store) -> None:
    write(store, 10)
    purge(store, now=NOW + (AUDIT_DAYS + 5) * DAY)
    change("UPDATE audit SET actor = 'Otto' WHERE action = 'show 5'")
    assert verify(store).broken is not None


def test_after_a_purge_the_chain_goes_on(store: Store) -> None:
    write(store, 3)
    purge(store, now=NOW + (AUDIT_DAYS + 2) * DAY)
    write(store, 3, since=NOW + AUDIT_DAYS * DAY)
    assert verify(store).broken is None


def test_after_a_purge_of_everything_the_chain_goes_on(store: Store) -> None:
    write(store, 3)
    purge(store, now=NOW + (AUDIT_DAYS + 100) * DAY)
    assert "show" not in str(query("SELECT * FROM audit"))
    write(store, 3, since=NOW + (AUDIT_DAYS + 100) * DAY)
    assert verify(store).broken is None
    change("UPDATE audit SET actor = 'Otto' WHERE action = 'show 0'")
    assert verify(store).broken is not None


def test_many_purges_leave_a_whole_chain(store: Store) -> None:
    for day in range(0, 60, 3):
        write(store, 3, since=NOW + day * DAY)
        purge(store, now=NOW + (AUDIT_DAYS + day - 10) * DAY)
        assert verify(store).broken is None
    assert len(ids()) <= 15


def test_a_purge_where_nothing_is_old_takes_nothing(store: Store) -> None:
    write(store)
    before = query("SELECT * FROM audit")
    purge(store, now=NOW + 10 * DAY)
    assert query("SELECT * FROM audit") == before


def test_what_was_purged_says_nothing_any_more(store: Store) -> None:
    write(store, 2)
    purge(store, now=NOW + (AUDIT_DAYS + 100) * DAY)
    assert all(row["actor"] == row["action"] == row["object"] == "" and row["subject"] is None for row in query("SELECT * FROM audit"))


def test_after_a_time_with_a_wrong_clock_a_purge_makes_no_false_alarm(store: Store) -> None:
    write(store, 3, since=NOW)
    write(store, 3, since=NOW - 1000 * DAY)
    head = write(store, 3, since=NOW + 10 * DAY)
    purge(store, now=NOW + 20 * DAY)
    assert verify(store, known=head).broken is None
    assert len(ids()) == 9
    purge(store, now=NOW + (AUDIT_DAYS + 11) * DAY)
    assert verify(store, known=head).broken is None


def test_what_looks_like_a_purge_and_stands_in_the_middle_is_found(store: Store) -> None:
    write(store)
    change("UPDATE audit SET actor = '', action = '', object = '', subject = NULL WHERE id = ?", ids()[2])
    assert verify(store).broken == ids()[2]


# --- entries from before the chain -----------------------------------------------------------------------------------------


def write_unchained(amount: int = 3) -> None:
    """Entries as the version before wrote them."""
    for number in range(amount):
        change("INSERT INTO audit (time, actor, action, object) VALUES (?, 'Berta', 'show', ?)", NOW - DAY + number, f"old {number}")


def test_entries_from_before_the_chain_are_taken_as_they_are(store: Store) -> None:
    write_unchained()
    assert verify(store) == Verified(3, "", None)
    head = write(store)
    assert verify(store) == Verified(8, head, None)


def test_what_follows_entries_from_before_the_chain_cannot_be_changed(store: Store) -> None:
    write_unchained()
    write(store)
    change("UPDATE audit SET actor = 'Otto' WHERE action = 'show 0'")
    assert verify(store).broken == 4


def test_after_entries_from_before_the_chain_the_first_cannot_be_taken_out(store: Store) -> None:
    write_unchained()
    write(store)
    change("DELETE FROM audit WHERE action = 'show 0'")
    assert verify(store).broken == 5


def test_an_entry_without_a_hash_in_the_middle_is_found(store: Store) -> None:
    write(store)
    change("INSERT INTO audit (time, actor, action, object) VALUES (1, 'x', 'y', 'z')")
    assert verify(store).broken == 6


@pytest.mark.parametrize("days", range(-2, 7))
def test_entries_from_before_the_chain_are_purged_like_others(days: int, store: Store) -> None:
    write_unchained()
    head = write(store)
    purge(store, now=NOW + (AUDIT_DAYS + days) * DAY)
    assert verify(store, known=head).broken is None


# --- the command -----------------------------------------------------------------------------------------------------------


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "privacy_middleware", "audit", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


def test_the_command_says_that_it_is_whole_and_shows_the_head(store: Store) -> None:
    head = write(store)
    done = run("verify")
    assert done.returncode == 0, done.stderr
    assert head in done.stdout
    assert run("verify", "--head", head).returncode == 0


def test_the_command_fails_if_anything_was_changed(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    write(store)
    change("UPDATE audit SET actor = 'Otto' WHERE id = 3")
    assert main(["audit", "verify"]) == 1
    assert "entry 3" in capsys.readouterr().out


def test_the_command_fails_if_the_head_is_gone(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    head = write(store)
    change("DELETE FROM audit WHERE id = 5")
    assert main(["audit", "verify", "--head", head]) == 1
    assert main(["audit", "verify"]) == 0
    capsys.readouterr()


def test_the_command_shows_what_was_noted_and_obeys_nothing_in_it(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    with store.transaction():
        note(store, now=NOW, actor="Be\x1b[31mrta\n", action="show", about="x\ny", subject=b"\xab" * 32)
    assert main(["audit"]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert "\x1b" not in out
    assert "person abababab" in out


def test_the_command_does_not_show_what_a_purge_left_as_an_entry(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    write(store, 3)
    purge(store, now=NOW + (AUDIT_DAYS + 2) * DAY)
    assert main(["audit"]) == 0
    assert capsys.readouterr().out.count("\n") == 1
    assert main(["audit", "verify"]) == 0
    assert capsys.readouterr().out.startswith("1 entr")
