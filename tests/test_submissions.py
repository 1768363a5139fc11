"""Submissions in a real database file: whose they are, that nothing of them can be read there, when they go."""

import base64
import quopri
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from privacy_middleware.errors import KeyMissing, VaultError
from privacy_middleware.forms import Field, Form
from privacy_middleware.record.submissions import (
    Stored,
    Submission,
    add,
    find,
    find_one,
    masters,
    new_id,
    purge,
    read,
    root_key,
)
from privacy_middleware.rights.audit import note
from privacy_middleware.store.base import Store
from privacy_middleware.vault import Vault, normalise_email

from .conftest import query
from .databases import change, make_store

OLD, NEW = "old-secret-" * 4, "new-secret-" * 4
DAY = 20_600
"""2026-05-27"""
TIME = DAY * 86_400_000 + 43_123_457
ANNA, OTTO = "anna.canary@example.org", "otto@example.org"
EVER = {"first": 0, "last": 2**31}


@pytest.fixture
def vault() -> Vault:
    return Vault([NEW])


@pytest.fixture
def store() -> Iterator[Store]:
    store = make_store()
    store.open()
    yield store
    store.close()


def submission(email: str = ANNA, *, message: Any = "canary message", **more: Any) -> Submission:
    values = {"message": [message]} | ({"email": [email]} if email else {})
    facts: dict[str, Any] = {
        "id": new_id(), "form": "contact", "purpose": "answer", "day": DAY, "time": TIME, "expires": DAY + 30, "outcome": "accepted",
        "statement": b"digest", "visitor": None, "email": normalise_email(email), "values": values,
    }  # fmt: skip
    return Submission(**(facts | more))


def put(store: Store, vault: Vault, *several: Submission) -> list[Stored]:
    """Store them; returns what is known of each."""
    with store.transaction():
        for each in several:
            add(store, vault, each)
    by_id = {stored.id: stored for stored in find(store, **EVER)}
    return [by_id[each.id] for each in several]


def form(name: str = "contact", *, retention_days: int = 30) -> Form:
    fields = {"email": Field(treatment="keep", identity=True), "message": Field(treatment="keep")}
    return Form(name=name, path=f"/{name}", purpose="answer", retention_days=retention_days, fields=fields)


def swap(table: str, column: str, key: str, one: Any, other: Any) -> None:
    """Swap a column of two rows."""
    conditions = [key.replace("?", ":v0", 1).replace("?", ":v1", 1)] * 2
    values = [{f"v{number}": value for number, value in enumerate(which)} for which in (one, other)]
    a, b = (
        query(f"SELECT {column} FROM {table} WHERE {where}", **bound)[0][column] for where, bound in zip(conditions, values, strict=True)
    )
    change(f"UPDATE {table} SET {column} = ? WHERE {key}", b, *one)
    change(f"UPDATE {table} SET {column} = ? WHERE {key}", a, *other)


def files() -> bytes:
    """All bytes of the database and what lies beside it."""
    return b"".join(file.read_bytes() for file in Path().rglob("*") if file.is_file())


def spellings(text: str) -> set[bytes]:
    """What somebody would look for who has the files."""
    found = set()
    for case in {text, text.upper(), text.lower(), text.title(), text[::-1]}:
        for encoding in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le"):
            raw = case.encode(encoding)
            found |= {
                raw,
                raw.hex().encode(),
                raw.hex().upper().encode(),
                base64.b64encode(raw).rstrip(b"="),
                base64.b32encode(raw).rstrip(b"="),
            }
        found |= {quote(case).encode(), quopri.encodestring(case.encode())}
    return found


# --- whose they are --------------------------------------------------------------------------------------------------------


def test_what_was_stored_comes_out_as_it_was(store: Store, vault: Vault) -> None:
    values = {
        "message": ["a", "b\n\0=ü😀"],
        "email": [ANNA],
        "size": [3],
        "sent": [True, False],
        "file": [{"type": "image/png", "size": 7}],
    }
    [stored] = put(store, vault, submission(values=values))
    assert read(store, vault, stored) == (TIME, values)


def test_what_is_known_of_it_without_a_key_is_as_it_was_sent(store: Store, vault: Vault) -> None:
    sent = submission(visitor=-(2**63), outcome="invalid")
    [stored] = put(store, vault, sent)
    known = (stored.id, stored.form, stored.purpose, stored.day, stored.expires, stored.outcome, stored.statement, stored.visitor)
    assert known == (sent.id, "contact", "answer", DAY, DAY + 30, "invalid", b"digest", -(2**63))
    assert stored.answered is None


def test_submissions_of_one_person_share_a_subject(store: Store, vault: Vault) -> None:
    spellings_of_one = ["anna@example.org", "ANNA@Example.org", " anna@EXAMPLE.org\n"]
    stored = put(store, vault, *(submission(spelling) for spelling in spellings_of_one), submission("anna@example.org", form="newsletter"))
    assert len({each.subject for each in stored}) == 1
    assert [len(query(f"SELECT * FROM {table}")) for table in ("subject", "submission")] == [1, 4]


def test_submissions_of_two_people_have_subjects_of_their_own(store: Store, vault: Vault) -> None:
    anna, otto = put(store, vault, submission(ANNA), submission(OTTO))
    assert anna.subject != otto.subject
    assert len({row["sealed"] for row in query("SELECT sealed FROM subject")}) == 2


def test_anonymous_submissions_never_share_a_subject(store: Store, vault: Vault) -> None:
    stored = put(store, vault, *(submission("") for _ in range(5)), submission(ANNA))
    assert len({each.subject for each in stored}) == 6
    assert [row["lookup"] for row in query("SELECT lookup FROM subject WHERE lookup IS NOT NULL")] != []
    assert len(query("SELECT * FROM subject WHERE lookup IS NULL")) == 5


def test_an_anonymous_submission_has_no_time(store: Store, vault: Vault) -> None:
    [stored] = put(store, vault, submission(""))
    assert stored.time is None
    assert read(store, vault, stored) == (None, {"message": ["canary message"]})


def test_adding_twice_stores_once_and_changes_nothing(store: Store, vault: Vault) -> None:
    for email in (ANNA, ""):
        first = submission(email)
        put(store, vault, first)
        before = query("SELECT * FROM submission"), query("SELECT * FROM field"), query("SELECT * FROM subject")
        put(store, vault, submission(email, id=first.id, message="another", day=DAY + 5))
        assert (query("SELECT * FROM submission"), query("SELECT * FROM field"), query("SELECT * FROM subject")) == before


def test_a_person_is_found_again_by_another_process(store: Store, vault: Vault) -> None:
    put(store, vault, submission(ANNA))
    other = make_store()
    other.open()
    try:
        put(other, Vault([NEW]), submission(ANNA))
    finally:
        other.close()
    assert len(query("SELECT * FROM subject")) == 1


def test_two_databases_know_the_same_person_by_different_lookups(vault: Vault) -> None:
    for name in ("one.db", "two.db"):
        store = make_store(name)
        store.open()
        put(store, vault, submission(ANNA))
        store.close()
    assert query("SELECT lookup FROM subject", "one.db") != query("SELECT lookup FROM subject", "two.db")


@pytest.mark.sqlite
def test_the_order_of_the_rows_does_not_tell_the_order_in_which_they_came(store: Store, vault: Vault) -> None:
    came = [submission("") for _ in range(40)]
    put(store, vault, *came)
    rows = [row["id"] for row in query("SELECT * FROM submission")]
    assert rows == sorted(rows)
    assert rows != [each.id for each in came]


def test_a_failing_transaction_leaves_neither_submission_nor_subject(store: Store, vault: Vault) -> None:
    with pytest.raises(TypeError):
        put(store, vault, submission(ANNA), submission(OTTO, message=object()))
    assert [query(f"SELECT * FROM {table}") for table in ("subject", "submission", "field")] == [[], [], []]


def test_a_person_whose_key_is_under_a_lost_master_key_gets_no_second_subject(store: Store) -> None:
    put(store, Vault([OLD]), submission(ANNA))
    with pytest.raises(KeyMissing):
        put(store, Vault([NEW]), submission(ANNA))
    assert len(query("SELECT * FROM submission")) == 1


def test_neither_repr_nor_str_of_a_submission_shows_a_value() -> None:
    sent = submission(ANNA)
    for text in (repr(sent), str(sent), f"{[sent]}", str(sent.__rich_repr__())):
        assert "canary" not in text
        assert "contact" in text


# --- nothing of them can be read there -------------------------------------------------------------------------------------


@pytest.mark.sqlite
def test_the_files_hold_no_value_and_no_address_in_any_spelling(store: Store, vault: Vault) -> None:
    put(store, vault, submission("Anna.Canary@example.org"), submission("", message="Canary-of-nobody"))
    texts = [ANNA, "anna.canary", "canary message", "Canary-of-nobody"]
    for _ in range(2):  # in the journal, and in the file
        found = files()
        assert b"contact" in found  # so the search can find something
        assert not [spelling for text in texts for spelling in spellings(text) if spelling in found]
        assert store.checkpoint()


def test_the_files_hold_the_time_of_no_submission_neither_as_text_nor_as_a_number(store: Store, vault: Vault) -> None:
    put(store, vault, submission(""), submission(ANNA))
    found = files()
    seconds, milliseconds = TIME // 1000, TIME
    for number in (seconds, milliseconds):
        assert str(number).encode() not in found
        for length in (4, 6, 8):
            if number < 1 << 8 * length:
                assert number.to_bytes(length, "big") not in found
                assert number.to_bytes(length, "little") not in found


def test_equal_values_do_not_show_as_equal(store: Store, vault: Vault) -> None:
    put(store, vault, *(submission(email) for email in ("", "", ANNA, ANNA)))
    sealed = [row["value"] for row in query("SELECT value FROM field")]
    assert len(set(sealed)) == len(sealed) == 6
    assert len({row["time"] for row in query("SELECT time FROM submission WHERE time IS NOT NULL")}) == 2


def test_neither_secret_nor_any_key_is_in_the_files(store: Store, vault: Vault) -> None:
    put(store, vault, submission(ANNA))
    with store.transaction():
        root = root_key(store, vault)
    found = files()
    assert root not in found
    assert NEW.encode() not in found


def test_values_that_were_swapped_between_two_people_cannot_be_read(store: Store, vault: Vault) -> None:
    anna, otto = put(store, vault, submission(ANNA), submission(OTTO, message="canary of Otto"))
    swap("field", "value", "submission = ? AND name = ?", (anna.id, "message"), (otto.id, "message"))
    for stored in (anna, otto):
        with pytest.raises(VaultError):
            read(store, vault, stored)


def test_values_that_were_swapped_between_two_submissions_of_one_person_cannot_be_read(store: Store, vault: Vault) -> None:
    one, two = put(store, vault, submission(ANNA), submission(ANNA, message="another"))
    swap("field", "value", "submission = ? AND name = ?", (one.id, "message"), (two.id, "message"))
    for stored in (one, two):
        with pytest.raises(VaultError):
            read(store, vault, stored)


def test_values_that_were_swapped_between_two_fields_cannot_be_read(store: Store, vault: Vault) -> None:
    [stored] = put(store, vault, submission(ANNA))
    swap("field", "value", "submission = ? AND name = ?", (stored.id, "message"), (stored.id, "email"))
    with pytest.raises(VaultError):
        read(store, vault, stored)


def test_a_field_under_another_name_cannot_be_read(store: Store, vault: Vault) -> None:
    [stored] = put(store, vault, submission(ANNA))
    change("UPDATE field SET name = 'note' WHERE name = 'message'")
    with pytest.raises(VaultError):
        read(store, vault, stored)


def test_a_field_that_was_hung_on_another_submission_cannot_be_read(store: Store, vault: Vault) -> None:
    anna, otto = put(store, vault, submission(ANNA), submission(OTTO))
    change("DELETE FROM field WHERE submission = ?", otto.id)
    change("UPDATE field SET submission = ? WHERE submission = ?", otto.id, anna.id)
    with pytest.raises(VaultError):
        read(store, vault, otto)


def test_keys_that_were_swapped_between_two_people_open_nothing(store: Store, vault: Vault) -> None:
    anna, otto = put(store, vault, submission(ANNA), submission(OTTO))
    swap("subject", "sealed", "id = ?", (anna.subject,), (otto.subject,))
    for stored in (anna, otto):
        with pytest.raises(VaultError):
            read(store, vault, stored)


def test_a_submission_that_was_given_to_another_person_cannot_be_read(store: Store, vault: Vault) -> None:
    anna, otto = put(store, vault, submission(ANNA), submission(OTTO))
    change("UPDATE submission SET subject = ? WHERE id = ?", otto.subject, anna.id)
    moved = next(stored for stored in find(store, **EVER) if stored.id == anna.id)
    with pytest.raises(VaultError):
        read(store, vault, moved)
    assert read(store, vault, otto)[1]["email"] == [OTTO]


def test_times_that_were_swapped_cannot_be_read(store: Store, vault: Vault) -> None:
    one, two = put(store, vault, submission(ANNA), submission(ANNA, time=TIME + 1))
    swap("submission", "time", "id = ?", (one.id,), (two.id,))
    for stored in find(store, **EVER):
        with pytest.raises(VaultError):
            read(store, vault, stored)


def test_a_value_in_the_place_of_a_time_cannot_be_read(store: Store, vault: Vault) -> None:
    put(store, vault, submission(ANNA))
    change("UPDATE submission SET time = (SELECT value FROM field WHERE name = 'email')")
    [stored] = find(store, **EVER)
    with pytest.raises(VaultError):
        read(store, vault, stored)


@pytest.mark.parametrize("blob", [b"", b"x", b"x" * 28, b"x" * 300])
@pytest.mark.parametrize("place", ["field SET value", "subject SET sealed", "submission SET time"])
def test_garbage_in_any_place_is_a_vault_error(place: str, blob: bytes, store: Store, vault: Vault) -> None:
    put(store, vault, submission(ANNA))
    change(f"UPDATE {place} = ?", blob)
    [stored] = find(store, **EVER)
    with pytest.raises(VaultError):
        read(store, vault, stored)


def test_text_in_the_place_of_something_sealed_is_a_vault_error(store: Store, vault: Vault) -> None:
    put(store, vault, submission(ANNA))
    change("UPDATE field SET value = 'written by hand'")
    [stored] = find(store, **EVER)
    with pytest.raises(VaultError):
        read(store, vault, stored)


@pytest.mark.sqlite
def test_a_submission_whose_subject_is_gone_is_a_vault_error(store: Store, vault: Vault) -> None:
    [stored] = put(store, vault, submission(ANNA))
    change("DELETE FROM subject")
    with pytest.raises(VaultError, match="destroyed"):
        read(store, vault, stored)


def test_two_people_whose_lookups_were_swapped_do_not_get_each_others_key(store: Store, vault: Vault) -> None:
    anna, otto = put(store, vault, submission(ANNA), submission(OTTO))
    [row] = query("SELECT lookup FROM subject WHERE id = :id", id=otto.subject)
    change("UPDATE subject SET lookup = NULL WHERE id = ?", otto.subject)
    change("UPDATE subject SET lookup = ? WHERE id = ?", row["lookup"], anna.subject)
    with pytest.raises(VaultError):
        put(store, vault, submission(OTTO))


# --- purging ---------------------------------------------------------------------------------------------------------------


def kept() -> set[int]:
    return {row["day"] for row in query("SELECT day FROM submission")}


def test_the_purge_takes_what_is_past_the_promised_retention(store: Store, vault: Vault) -> None:
    put(store, vault, *(submission(day=DAY - back, expires=DAY - back + 30) for back in (0, 29, 30, 31, 400)))
    assert purge(store, [form()], today=DAY) == 3
    assert kept() == {DAY, DAY - 29}


def test_a_retention_that_was_shortened_since_counts(store: Store, vault: Vault) -> None:
    put(store, vault, *(submission(day=DAY - back, expires=DAY - back + 30) for back in (0, 9, 10, 11)))
    assert purge(store, [form(retention_days=10)], today=DAY) == 2
    assert kept() == {DAY, DAY - 9}


def test_a_retention_that_was_lengthened_since_does_not_count(store: Store, vault: Vault) -> None:
    put(store, vault, *(submission(day=DAY - back, expires=DAY - back + 30) for back in (29, 30)))
    assert purge(store, [form(retention_days=3000)], today=DAY) == 1
    assert kept() == {DAY - 29}


def test_the_retention_of_another_form_does_not_count(store: Store, vault: Vault) -> None:
    put(store, vault, submission(day=DAY - 20, expires=DAY + 10))
    assert purge(store, [form(), form("newsletter", retention_days=1)], today=DAY) == 0
    assert kept() == {DAY - 20}


@pytest.mark.parametrize("forms", [[], [form("newsletter", retention_days=3000)], [form("newsletter"), form("questionnaire")]])
def test_forms_that_are_not_declared_any_more_are_purged_as_was_promised(forms: list[Form], store: Store, vault: Vault) -> None:
    put(store, vault, *(submission(day=DAY - back, expires=DAY - back + 30) for back in (29, 30)))
    assert purge(store, forms, today=DAY) == 1
    assert kept() == {DAY - 29}


def test_a_persons_key_goes_with_their_last_submission(store: Store, vault: Vault) -> None:
    put(store, vault, submission(ANNA, day=DAY - 40, expires=DAY - 10), submission(ANNA), submission(OTTO, day=DAY - 40, expires=DAY - 10))
    put(store, vault, submission("", day=DAY - 40, expires=DAY - 10))
    assert purge(store, [form()], today=DAY) == 3
    assert len(query("SELECT * FROM subject")) == 1
    [stored] = find(store, **EVER)
    assert read(store, vault, stored)[1]["email"] == [ANNA]
    assert purge(store, [form()], today=DAY + 30) == 1
    assert [query(f"SELECT * FROM {table}") for table in ("subject", "submission", "field")] == [[], [], []]


def test_a_purge_in_many_turns_takes_all_that_is_due(store: Store, vault: Vault) -> None:
    put(store, vault, *(submission("", day=DAY - back, expires=DAY - back + 30) for back in range(25, 35) for _ in range(3)))
    assert purge(store, [form(), form("newsletter")], today=DAY, most=4) == 15
    assert kept() == set(range(DAY - 29, DAY - 24))


def test_purging_twice_takes_nothing_more(store: Store, vault: Vault) -> None:
    put(store, vault, submission(day=DAY - 40, expires=DAY - 10))
    assert [purge(store, [form()], today=DAY) for _ in range(2)] == [1, 0]


@pytest.mark.sqlite
def test_what_was_purged_is_in_no_file_any_more(store: Store, vault: Vault) -> None:
    put(store, vault, submission(ANNA, day=DAY - 40, expires=DAY - 10), submission(OTTO))
    assert store.checkpoint()
    subject = "subject.sealed, subject.lookup, subject.id, submission.time"
    old = f"FROM submission JOIN subject ON subject.id = submission.subject WHERE day < {DAY}"
    gone = [blob for row in query(f"SELECT {subject} {old}") for blob in row.values()]
    gone += [row["value"] for row in query(f"SELECT value FROM field WHERE submission IN (SELECT submission.id {old})")]
    assert len(gone) == 6
    assert all(blob in files() for blob in gone)
    purge(store, [form()], today=DAY)
    assert store.checkpoint()
    assert [blob for blob in gone if blob in files()] == []


def test_who_comes_again_after_the_purge_is_a_new_subject_under_a_new_key(store: Store, vault: Vault) -> None:
    put(store, vault, submission(ANNA, day=DAY - 40, expires=DAY - 10))
    [before] = query("SELECT * FROM subject")
    purge(store, [form()], today=DAY)
    put(store, vault, submission(ANNA))
    [after] = query("SELECT * FROM subject")
    assert before["id"] != after["id"]
    assert before["sealed"] != after["sealed"]
    assert before["lookup"] == after["lookup"]


# --- finding, audit --------------------------------------------------------------------------------------------------------


def test_submissions_are_found_by_day_form_and_purpose(store: Store, vault: Vault) -> None:
    put(
        store,
        vault,
        submission(day=DAY),
        submission(day=DAY + 1, form="newsletter", purpose="newsletter"),
        submission("", day=DAY + 2, form="quiz", purpose="questionnaire"),
        submission("", day=DAY + 2, form="order", purpose="answer"),
    )

    def days(**filters: Any) -> list[int]:
        return [stored.day - DAY for stored in find(store, **(EVER | filters))]

    assert days() == [0, 1, 2, 2]
    assert days(first=DAY + 1) == [1, 2, 2]
    assert days(last=DAY + 1) == [0, 1]
    assert days(first=DAY + 1, last=DAY + 1) == [1]
    assert days(first=DAY + 3) == days(first=DAY + 2, last=DAY) == []
    assert days(form="quiz") == [2]
    assert days(purpose="answer") == [0, 2]
    assert days(form="order", purpose="newsletter") == days(form="' OR ''='") == days(form="%") == []


def test_a_submission_is_found_by_the_first_letters_of_its_identifier(store: Store, vault: Vault) -> None:
    one, two, three = put(store, vault, *(submission(id=bytes.fromhex(start) + new_id()[2:]) for start in ("ab00", "ab10", "c000")))
    assert find_one(store, one.id.hex()) == one
    assert find_one(store, one.id.hex().upper()) == one
    assert find_one(store, "ab1") == two
    assert find_one(store, "c") == three


@pytest.mark.parametrize("prefix", ["", "a", "ab", "d", "%", "_", "c%", "c' OR '1'='1", "c\0", "ä", "\uff10", "c0" * 40, "\ud800"])
def test_what_begins_no_identifier_or_several_finds_none(prefix: str, store: Store, vault: Vault) -> None:
    put(store, vault, *(submission(id=bytes.fromhex(start) + new_id()[2:]) for start in ("ab00", "ab10", "c000")))
    assert find_one(store, prefix) is None


def test_an_audit_entry_says_who_did_what_with_which(store: Store) -> None:
    with store.transaction():
        note(store, now=TIME, actor="Berta", action="show", about="ab00")
    assert query("SELECT time, actor, action, object FROM audit") == [{"time": TIME, "actor": "Berta", "action": "show", "object": "ab00"}]


def test_the_masters_in_use_are_told_with_how_many_keys_each_wraps(store: Store) -> None:
    old, both = Vault([OLD]), Vault([NEW, OLD])
    assert masters(store) == {}
    put(store, old, submission(ANNA), submission(""))
    put(store, both, submission(ANNA), submission(OTTO))
    assert masters(store) == {old.newest: 2, both.newest: 1}
