"""The host's sources: what each gives, corrects and erases of one person, and that it never touches another's."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import JSON, Engine, Integer, LargeBinary, String, create_engine, select
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import NullPool

from privacy_middleware.rights.office import call
from privacy_middleware.sources import Change, DataSource, Erased, FileSource, Kept, SQLAlchemySource, spellings

ANNA, OTTO = "anna@example.org", "otto@example.org"


class Base(DeclarativeBase):
    """The host's models."""


class User(Base):
    """An account of the host's."""

    __tablename__ = "users"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    mail: Mapped[str | None] = mapped_column("email", String)
    telephone: Mapped[str | None] = mapped_column(String)
    password: Mapped[str | None] = mapped_column(String)
    photo: Mapped[bytes | None] = mapped_column(LargeBinary)
    likes: Mapped[dict[str, Any] | None] = mapped_column(JSON)


TABLE = User.__table__


@pytest.fixture
def engine() -> Iterator[Engine]:
    one = create_engine("sqlite:///host.db")
    Base.metadata.create_all(one)
    with Session(one) as session, session.begin():
        session.add(User(mail=ANNA, telephone="1", password="hash", photo=b"\xff", likes={"tea": True}))
        session.add(User(mail=OTTO, telephone="1", password="hash"))
    yield one
    one.dispose()


@pytest.fixture
def async_engine(engine: Engine) -> AsyncEngine:
    pytest.importorskip("aiosqlite")
    return create_async_engine("sqlite+aiosqlite:///host.db", poolclass=NullPool)


def mails(engine: Engine) -> list[str | None]:
    """The addresses that the table holds."""
    with engine.connect() as connection:
        return list(connection.execute(select(TABLE.c.email).order_by(TABLE.c.id)).scalars())


def telephones(engine: Engine) -> list[str | None]:
    with engine.connect() as connection:
        return list(connection.execute(select(TABLE.c.telephone).order_by(TABLE.c.id)).scalars())


def insert(engine: Engine, *several: str) -> None:
    with engine.begin() as connection:
        for mail in several:
            connection.execute(TABLE.insert().values(email=mail))


def change(field: str = "phone", old: Any = "1", new: Any = "2") -> Change:
    return Change("contact", field, old, new)


# --- what every source is --------------------------------------------------------------------------------------------------


def test_the_ready_made_sources_are_sources(engine: Engine, tmp_path: Path) -> None:
    assert isinstance(SQLAlchemySource(engine, User), DataSource)
    assert isinstance(FileSource(tmp_path, "{email}"), DataSource)


@pytest.mark.parametrize("missing", ["name", "export", "correct", "erase"])
def test_what_lacks_a_part_is_no_source(missing: str) -> None:
    parts = {"name": "x", "export": lambda s: [], "correct": lambda s, c: None, "erase": lambda s: Erased()}
    del parts[missing]
    assert not isinstance(type("Part", (), parts)(), DataSource)


def test_a_change_shows_no_value() -> None:
    assert "canary" not in repr(change(old="canary", new="canary")) + str([change(old="canary")])


# --- a table or model ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", [User, TABLE])
def test_a_source_gives_the_rows_of_a_person_and_of_nobody_else(table: Any, engine: Engine) -> None:
    [row] = SQLAlchemySource(engine, table).export(ANNA)
    assert (row["email"], row["telephone"], row["photo"], row["likes"]) == (ANNA, "1", b"\xff", {"tea": True})


def test_a_source_gives_nothing_of_whom_it_does_not_know(engine: Engine) -> None:
    assert list(SQLAlchemySource(engine, User).export("nobody@example.org")) == []


def test_a_source_is_called_as_its_table_or_as_given(engine: Engine) -> None:
    assert SQLAlchemySource(engine, User).name == "users"
    assert SQLAlchemySource(engine, User, name="Accounts").name == "Accounts"


def test_hidden_columns_are_not_shown(engine: Engine) -> None:
    [row] = SQLAlchemySource(engine, User, hidden=["password"]).export(ANNA)
    assert "password" not in row
    assert "telephone" in row


def test_an_erasure_deletes_the_rows_of_a_person_and_of_nobody_else(engine: Engine) -> None:
    insert(engine, ANNA)
    assert SQLAlchemySource(engine, User).erase(ANNA) == Erased(2)
    assert mails(engine) == [OTTO]


def test_an_erasure_that_is_asked_for_again_finds_nothing(engine: Engine) -> None:
    source = SQLAlchemySource(engine, User)
    source.erase(ANNA)
    assert source.erase(ANNA) == Erased(0)


@pytest.mark.parametrize("spelling", ["ANNA@EXAMPLE.ORG", "Anna@Example.org", "anna@example.ORG"])
def test_a_person_is_found_in_any_case(spelling: str, engine: Engine) -> None:
    insert(engine, spelling)
    source = SQLAlchemySource(engine, User)
    assert len(source.export(ANNA)) == 2
    assert source.erase(ANNA) == Erased(2)


@pytest.mark.parametrize(
    "other", ["anna@example.org.uk", "joanna@example.org", "anna@example.or", "anna+x@example.org", "%", "a_na@example.org"]
)
def test_a_similar_address_is_anothers(other: str, engine: Engine) -> None:
    insert(engine, other)
    source = SQLAlchemySource(engine, User)
    assert len(source.export(ANNA)) == 1
    source.erase(ANNA)
    assert other in mails(engine)


@pytest.mark.parametrize("subject", ["%", "_nna@example.org", "' OR 1=1 --@x.org", "anna@example.org' --", "\\", ""])
def test_a_hostile_address_finds_nobody(subject: str, engine: Engine) -> None:
    source = SQLAlchemySource(engine, User)
    assert list(source.export(subject)) == []
    assert source.erase(subject) == Erased(0)
    assert mails(engine) == [ANNA, OTTO]


@pytest.mark.parametrize("spelling", ["anna@bücher.example", "anna@xn--bcher-kva.example", "ANNA@xn--BCHER-kva.example"])
def test_both_spellings_of_an_international_domain_are_found(spelling: str, engine: Engine) -> None:
    insert(engine, spelling)
    assert len(SQLAlchemySource(engine, User).export("anna@xn--bcher-kva.example")) == 1


def test_anonymised_rows_stay_without_the_person(engine: Engine) -> None:
    source = SQLAlchemySource(engine, User, anonymise={"email": None, "telephone": "(erased)"}, kept="orders: the law on accounting")
    assert source.erase(ANNA) == Kept("orders: the law on accounting", 1)
    assert mails(engine) == [None, OTTO]
    assert telephones(engine) == ["(erased)", "1"]
    assert list(source.export(ANNA)) == []


def test_where_nothing_was_there_nothing_is_kept(engine: Engine) -> None:
    source = SQLAlchemySource(engine, User, anonymise={"email": None}, kept="the law")
    assert source.erase("nobody@example.org") == Erased(0)


def test_an_anonymised_row_that_is_asked_for_again_is_not_found(engine: Engine) -> None:
    """Then nobody can tell what was kept: the outcome of the first time is what counts."""
    source = SQLAlchemySource(engine, User, anonymise={"email": None}, kept="the law")
    source.erase(ANNA)
    assert source.erase(ANNA) == Erased(0)


def test_a_correction_replaces_the_old_value_of_the_person(engine: Engine) -> None:
    SQLAlchemySource(engine, User, corrects={"phone": "telephone"}).correct(ANNA, [change()])
    assert telephones(engine) == ["2", "1"]


def test_a_correction_leaves_another_value_than_the_old_one(engine: Engine) -> None:
    SQLAlchemySource(engine, User, corrects={"phone": "telephone"}).correct(ANNA, [change(old="77")])
    assert telephones(engine) == ["1", "1"]


def test_a_correction_of_a_field_that_is_not_named_changes_nothing(engine: Engine) -> None:
    SQLAlchemySource(engine, User, corrects={"phone": "telephone"}).correct(ANNA, [change("telephone"), change("password", "hash", "x")])
    [row] = SQLAlchemySource(engine, User).export(ANNA)
    assert (row["telephone"], row["password"]) == ("1", "hash")


def test_a_correction_that_is_asked_for_again_changes_nothing(engine: Engine) -> None:
    source = SQLAlchemySource(engine, User, corrects={"phone": "telephone"})
    source.correct(ANNA, [change()])
    source.correct(ANNA, [change()])
    assert telephones(engine) == ["2", "1"]


def test_all_of_a_correction_is_done_or_nothing(engine: Engine) -> None:
    source = SQLAlchemySource(engine, User, corrects={"phone": "telephone"})
    with pytest.raises(Exception, match=r"(?i)type"):
        source.correct(ANNA, [change(), change(old="2", new=object())])
    assert telephones(engine) == ["1", "1"]


@pytest.mark.parametrize(
    "wrong",
    [{"email": "e_mail"}, {"hidden": ["nothing"]}, {"anonymise": {"email": None, "nothing": 1}}, {"corrects": {"phone": "nothing"}}],
)
def test_a_column_that_there_is_not_is_refused_at_the_start(wrong: dict[str, Any], engine: Engine) -> None:
    with pytest.raises((ValueError, KeyError), match=r"nothing|e_mail"):
        SQLAlchemySource(engine, User, **wrong)


def test_a_wrong_column_is_told_with_those_that_there_are(engine: Engine) -> None:
    for wrong in ({"email": "e_mail"}, {"hidden": ["nothing"]}):
        with pytest.raises(ValueError, match="telephone"):
            SQLAlchemySource(engine, User, **wrong)  # type: ignore[arg-type]


def test_to_anonymise_and_leave_the_address_is_refused(engine: Engine) -> None:
    with pytest.raises(ValueError, match=r"'email': None"):
        SQLAlchemySource(engine, User, anonymise={"telephone": None})


@pytest.mark.parametrize("one", ["hidden", "corrects"])
def test_a_text_in_the_place_of_a_list_of_columns_is_refused(one: str, engine: Engine) -> None:
    with pytest.raises((ValueError, TypeError)):
        SQLAlchemySource(engine, User, **{one: "password"})  # type: ignore[arg-type]


# --- with an async engine --------------------------------------------------------------------------------------------------


def test_an_async_engine_gives_corrects_and_erases(engine: Engine, async_engine: AsyncEngine) -> None:
    source = SQLAlchemySource(async_engine, User, hidden=["password"], corrects={"phone": "telephone"})
    [row] = call(source.export, "anna@example.org")
    assert row["telephone"] == "1"
    call(source.correct, ANNA, [change()])
    assert telephones(engine) == ["2", "1"]
    assert call(source.erase, ANNA) == Erased(1)
    assert mails(engine) == [OTTO]


def test_an_async_engine_can_be_asked_from_several_event_loops(async_engine: AsyncEngine) -> None:
    source = SQLAlchemySource(async_engine, User)
    assert [len(asyncio.run(source.export(ANNA))) for _ in range(3)] == [1, 1, 1]


def test_an_async_engine_undoes_what_fails_in_the_middle(engine: Engine, async_engine: AsyncEngine) -> None:
    source = SQLAlchemySource(async_engine, User, corrects={"phone": "telephone"})
    with pytest.raises(Exception, match=r"(?i)type"):
        call(source.correct, ANNA, [change(), change(old="2", new=object())])
    assert telephones(engine) == ["1", "1"]


# --- files -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an invoice of Anna's, and one of Otto's."""
    one = tmp_path / "invoices"
    for mail in (ANNA, OTTO):
        write(one, f"{mail}/1.pdf", mail)
    return one


def write(folder: Path, path: str, text: str = "x") -> Path:
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def found(folder: Path, subject: str = ANNA, pattern: str = "{email}/*.pdf") -> list[str]:
    return [row["file"] for row in FileSource(folder, pattern).export(subject)]


def left(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_files_are_given_with_their_content(folder: Path) -> None:
    [row] = FileSource(folder, "{email}/*.pdf").export(ANNA)
    assert (row["file"], row["content"].read_bytes()) == (f"{ANNA}/1.pdf", ANNA.encode())
    assert row["modified"].endswith("+00:00")


def test_files_of_a_person_are_erased_and_nobody_elses(folder: Path) -> None:
    write(folder, f"{ANNA}/2.pdf")
    write(folder, f"{ANNA}/notes.txt")
    assert FileSource(folder, "{email}/*.pdf").erase(ANNA) == Erased(2)
    assert left(folder) == [f"{ANNA}/notes.txt", f"{OTTO}/1.pdf"]


def test_files_that_are_erased_again_are_none(folder: Path) -> None:
    source = FileSource(folder, "{email}/*.pdf")
    source.erase(ANNA)
    assert source.erase(ANNA) == Erased(0)


def test_a_folder_named_by_the_address_does_not_stay(folder: Path) -> None:
    FileSource(folder, "{email}/*.pdf").erase(ANNA)
    assert [path.name for path in folder.iterdir()] == [OTTO]


def test_a_folder_in_which_something_else_lies_stays(folder: Path) -> None:
    write(folder, f"{ANNA}/notes.txt")
    FileSource(folder, "{email}/*.pdf").erase(ANNA)
    assert (folder / ANNA / "notes.txt").exists()


def test_the_folder_of_the_source_itself_stays(tmp_path: Path) -> None:
    write(tmp_path / "f", ANNA)
    source = FileSource(tmp_path / "f", "{email}")
    assert source.erase(ANNA) == Erased(1)
    assert list(source.export(ANNA)) == []


def test_files_that_must_be_kept_are_kept_and_said(folder: Path) -> None:
    source = FileSource(folder, "{email}/*.pdf", kept="five years: the law on accounting")
    assert source.erase(ANNA) == Kept("five years: the law on accounting")
    assert source.erase("nobody@example.org") == Erased(0)
    assert len(left(folder)) == 2


def test_a_correction_changes_no_file(folder: Path) -> None:
    FileSource(folder, "{email}/*.pdf").correct(ANNA, [change()])
    assert (folder / ANNA / "1.pdf").read_text() == ANNA


@pytest.mark.parametrize("spelling", ["ANNA@EXAMPLE.ORG", "Anna@Example.Org"])
def test_files_are_found_in_any_case(spelling: str, tmp_path: Path) -> None:
    write(tmp_path, f"{spelling}/1.PDF")
    assert found(tmp_path) == [f"{spelling}/1.PDF"]


@pytest.mark.parametrize("spelling", ["anna@bücher.example", "anna@xn--bcher-kva.example"])
def test_files_are_found_under_both_spellings_of_a_domain(spelling: str, tmp_path: Path) -> None:
    write(tmp_path, f"{spelling}/1.pdf")
    assert found(tmp_path, "anna@xn--bcher-kva.example") == [f"{spelling}/1.pdf"]


@pytest.mark.parametrize(
    "subject",
    ["../../x@y", "../invoices/anna@example.org", "*", "*@example.org", "????@example.org", "[ao]nna@example.org", "**", ".*", "anna@example.org/..",
     "anna@example.org|otto@example.org", "(?:.)*@example.org", "a\0b@x.org", "", "/", "anna@example.org/1.pdf", "anna@example.or.", "\\w+@example.org"],
)  # fmt: skip
def test_a_hostile_address_finds_no_file(subject: str, folder: Path) -> None:
    write(folder.parent, "x@y/1.pdf")
    source = FileSource(folder, "{email}/*.pdf")
    assert list(source.export(subject)) == []
    assert source.erase(subject) == Erased(0)
    assert len(left(folder.parent)) == 3


@pytest.mark.parametrize("subject", ["anna@example.co", "nna@example.org", "anna@example.org.uk", "xanna@example.org", "anna@exampleXorg"])
@pytest.mark.parametrize("pattern", ["{email}/*.pdf", "{email}/1.pdf", "{email}/*"])
def test_a_similar_address_finds_no_file(subject: str, pattern: str, folder: Path) -> None:
    assert found(folder, subject, pattern) == []


@pytest.mark.parametrize("pattern", ["*{email}.pdf", "{email}*", "*-{email}.pdf", "{email}.*", "{email}-*.pdf"])
def test_a_pattern_in_which_nobody_can_tell_where_the_address_ends_is_refused(pattern: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="leave it out"):
        FileSource(tmp_path, pattern)


def test_a_star_stands_for_a_part_of_a_name_only(folder: Path) -> None:
    write(folder, f"{ANNA}/deep/2.pdf")
    assert found(folder) == [f"{ANNA}/1.pdf"]
    assert found(folder, pattern="{email}/*/*.pdf") == [f"{ANNA}/deep/2.pdf"]


def test_other_signs_of_a_pattern_are_taken_as_they_are(tmp_path: Path) -> None:
    write(tmp_path, f"{ANNA}/a+b[1].pdf")
    write(tmp_path, f"{ANNA}/aab1xpdf")
    assert found(tmp_path, pattern="{email}/a+b[1].pdf") == [f"{ANNA}/a+b[1].pdf"]


def test_a_pattern_with_two_addresses_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="once"):
        FileSource(tmp_path, "{email}/{email}.pdf")


def test_a_pattern_without_an_address_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\{email\}"):
        FileSource(tmp_path, "*.pdf")


def test_a_link_that_leads_out_of_the_folder_gives_nothing_away(folder: Path) -> None:
    secret = write(folder.parent, "secret.pdf", "canary")
    (folder / ANNA / "2.pdf").symlink_to(secret)
    assert "canary" not in repr(FileSource(folder, "{email}/*.pdf").export(ANNA))


def test_a_linked_folder_gives_nothing_away_and_loses_nothing(folder: Path) -> None:
    elsewhere = write(folder.parent, "elsewhere/1.pdf", "canary").parent
    (folder / "x@example.org").symlink_to(elsewhere, target_is_directory=True)
    source = FileSource(folder, "{email}/*.pdf")
    assert list(source.export("x@example.org")) == []
    source.erase("x@example.org")
    assert (elsewhere / "1.pdf").exists()


def test_what_a_link_leads_to_is_not_erased(folder: Path) -> None:
    other = folder / OTTO / "1.pdf"
    (folder / ANNA / "2.pdf").symlink_to(other)
    FileSource(folder, "{email}/*.pdf").erase(ANNA)
    assert other.exists()


def test_a_link_in_a_circle_ends(folder: Path) -> None:
    (folder / ANNA / "loop").symlink_to(folder, target_is_directory=True)
    assert found(folder) == [f"{ANNA}/1.pdf"]


def test_a_folder_that_matches_is_no_file(folder: Path) -> None:
    (folder / ANNA / "2.pdf").mkdir()
    assert FileSource(folder, "{email}/*.pdf").erase(ANNA) == Erased(1)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / ANNA / "2.pdf")
    assert found(folder) == [f"{ANNA}/1.pdf"]


def test_a_folder_that_is_not_there_is_no_empty_one(tmp_path: Path) -> None:
    """A disk that is not mounted must not look as if nothing were kept."""
    source = FileSource(tmp_path / "gone", "{email}/*.pdf")
    for method in (source.export, source.erase):
        with pytest.raises(FileNotFoundError, match="gone"):
            method(ANNA)


def test_an_error_of_a_source_of_files_names_no_address(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        FileSource(tmp_path / "gone", "{email}/*.pdf").export(ANNA)
    assert ANNA not in str(raised.value)


# --- spellings -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        (ANNA, [ANNA]),
        ("anna@xn--bcher-kva.example", ["anna@xn--bcher-kva.example", "anna@bücher.example"]),
        ("änna@example.org", ["änna@example.org"]),
        ("anna@straße.example", ["anna@straße.example"]),
    ],
)
def test_an_address_has_these_spellings(subject: str, expected: list[str]) -> None:
    assert spellings(subject) == expected


@pytest.mark.parametrize(
    "subject", ["anna@xn--.example", "anna@xn--\u0661.example", "anna@" + "x" * 300, "", "@", "anna@..", "anna@xn--999999999.org"]
)
def test_an_odd_domain_has_its_own_spelling_only(subject: str) -> None:
    assert spellings(subject)[0] in (subject, f"@{subject}")
