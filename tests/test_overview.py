"""The overview and its package: all that is held of a person, nothing of another's, and nothing that could harm who opens it."""

import base64
import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy_middleware.language import Languages
from privacy_middleware.rights import audit, overview
from privacy_middleware.rights.overview import Overview, Part, gather
from privacy_middleware.rights.requests import Request
from privacy_middleware.site.package import package, shown
from privacy_middleware.site.pages import Pages
from privacy_middleware.sources import FileSource
from privacy_middleware.spreadsheet import harmless

from .requesting import ANNA, OTTO, POLICY, TEXT, Desk, Source, amount, at_desk, query
from .test_erasure import ANNAS_VISITOR, visit
from .test_submissions import files, spellings

ENGLISH = Languages().get("en")

MINUTE = 60_000
FORMULAS = [
    "=1+1",
    "+1",
    "-1+x",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "\uff1d1",
    " =1",
    "\u00a0=1",
    "\0=1",
    "a;=1",
    "a\n=1",
    "a\t=1",
    "-cmd|'/c calc'!A0",
]
HOSTILE = [
    '<script>alert("x")</script>',
    '"><img src=x onerror=alert(1)>',
    "{{ 7*7 }}",
    "{% raw %}",
    "</style><script>",
    "javascript:alert(1)",
    "&lt;b&gt;",
]


@pytest.fixture
def desk() -> Iterator[Desk]:
    with at_desk() as one:
        yield one


def look(desk: Desk, request: Request | None = None) -> Overview:
    return gather(desk.office, desk.store, desk.get(request) if request else desk.confirmed("overview"), now=desk.now)


@contextmanager
def overview_with(*sources: Any, **more: Any) -> Iterator[Overview]:
    with at_desk(sources=sources, **more) as desk:
        yield look(desk)


def rows(found: Overview, name: str) -> list[dict[str, Any]]:
    return [row for part in found.parts if part.name == name for row in part.rows]


def everything(found: Overview) -> str:
    return repr([(part.title, part.rows) for part in found.parts])


def pack(desk: Desk, found: Overview) -> dict[str, bytes]:
    """The files of the package by name."""
    data = b"".join(package(desk.office, Pages(Languages()), found, ENGLISH))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert len(names) == len(set(names))
        return {name: archive.read(name) for name in names}


def pack_rows(*given_rows: dict[str, Any]) -> dict[str, bytes]:
    """The package of somebody of whom a source gives these rows."""
    with at_desk(sources=(Source("accounts", rows=given_rows),)) as desk:
        return pack(desk, look(desk))


# --- what is in it ---------------------------------------------------------------------------------------------------------


def test_an_overview_shows_what_was_sent(desk: Desk) -> None:
    desk.submit()
    [row] = rows(look(desk), "submissions")
    assert (row["form"], row["purpose"], row["outcome"]) == ("contact", "answer", "accepted")
    assert row["fields"] == {"email": [ANNA], "message": [TEXT]}
    assert (row["date"], row["received"], row["kept_until"]) == ("2026-05-04", "2026-05-04T12:00:00+00:00", "2027-05-03")


def test_an_overview_shows_times_in_the_owners_time_zone() -> None:
    with at_desk(timezone="Europe/Copenhagen") as desk:
        desk.submit()
        [row] = rows(look(desk), "submissions")
    assert row["received"] == "2026-05-04T14:00:00+02:00"


def test_an_overview_shows_what_waits_in_the_spool(desk: Desk) -> None:
    desk.spool()
    assert len(rows(look(desk), "submissions")) == 1


def test_an_overview_shows_what_came_under_another_spelling(desk: Desk) -> None:
    desk.submit("ANNA.Canary@Example.ORG")
    assert len(rows(look(desk), "submissions")) == 1


def test_an_overview_shows_a_form_that_is_not_declared_any_more(desk: Desk) -> None:
    desk.submit(form="old", purpose="forgotten", values={"email": [ANNA], "name": ["Anna"]})
    [row] = rows(look(desk), "submissions")
    assert (row["form"], row["legal_basis"]) == ("old", "")
    assert row["fields"]["name"] == ["Anna"]


def test_an_overview_shows_fields_by_their_labels_and_loses_none_of_the_same_label() -> None:
    policy = POLICY.replace(
        'message = "keep"', 'one = {treatment = "keep", label = "Street"}\ntwo = {treatment = "keep", label = "Street"}'
    )
    with at_desk(policy=policy) as desk:
        desk.submit(values={"email": [ANNA], "one": ["Elm"], "two": ["Oak"]})
        [row] = rows(look(desk), "submissions")
    assert sorted(value for values in row["fields"].values() for value in values) == ["Elm", "Oak", ANNA]
    assert all("Street" in name for name in row["fields"] if name != "email")


def test_an_overview_shows_permissions_apart() -> None:
    with at_desk(policy=POLICY.replace("link_visit = true", 'legal_basis = "Consent, GDPR art. 6(1)(a)"')) as desk:
        desk.submit()
        [row] = rows(look(desk), "permissions")
    assert (row["form"], row["purpose"], row["statement"]) == ("contact", "answer", b"digest".hex())


def test_what_was_not_sent_by_permission_is_none(desk: Desk) -> None:
    desk.submit()
    assert rows(look(desk), "permissions") == []


def test_an_overview_shows_earlier_requests(desk: Desk) -> None:
    desk.confirmed("objection")
    desk.ask("erasure")
    assert {(row["kind"], row["state"]) for row in rows(look(desk), "requests")} == {
        ("objection", "fulfilled"),
        ("erasure", "awaiting confirmation"),
        ("overview", "fulfilled"),
    }


def test_an_overview_shows_who_looked_before(desk: Desk) -> None:
    desk.submit()
    request = desk.confirmed("overview")
    with desk.store.transaction():
        lookup = request.lookup
        audit.note(desk.store, now=desk.now, actor="berta (command line)", action="show", about="", subject=lookup)
    assert [row["what"] for row in rows(look(desk, request), "accesses")] == ["we opened what you sent"]


def test_to_look_is_noted_without_a_value(desk: Desk) -> None:
    desk.submit()
    look(desk)
    [entry] = [row for row in query("SELECT * FROM audit") if row["action"] == "overview"]
    assert entry["actor"] == audit.PERSON
    assert ANNA not in repr(entry)


def test_an_overview_of_somebody_of_whom_nothing_is_held_has_the_request_only(desk: Desk) -> None:
    found = look(desk)
    assert {part.name for part in found.parts} <= {"requests", "accesses"}
    assert found.email == ANNA


def test_restricted_data_are_shown(desk: Desk) -> None:
    desk.submit()
    desk.confirmed("restriction")
    assert len(rows(look(desk), "submissions")) == 1


def test_an_overview_counts_what_it_shows(desk: Desk) -> None:
    desk.submit(ANNA, ANNA)
    assert look(desk).counts["What you sent with forms"] == 2


def test_an_overview_of_a_request_that_is_forgotten_shows_nothing(desk: Desk) -> None:
    desk.submit()
    request = desk.ask("overview")
    desk.withdraw(request)
    with pytest.raises(Exception, match="forgotten"):
        look(desk, request)


# --- whose it is -----------------------------------------------------------------------------------------------------------


def test_nothing_of_another_person_is_ever_shown(desk: Desk) -> None:
    visit(desk, 99)
    desk.submit(OTTO, message="what Otto wrote", visitor=99)
    desk.confirmed("complaint", OTTO, text="what Otto asks")
    desk.submit(ANNA, visitor=ANNAS_VISITOR)
    shown_to_anna = everything(look(desk))
    assert "Otto" not in shown_to_anna
    assert OTTO not in shown_to_anna
    assert len(rows(look(desk), "visits")) == 0


def test_what_was_sent_without_an_address_is_nobodys(desk: Desk) -> None:
    desk.submit("", message="nobody wrote this")
    assert "nobody wrote" not in everything(look(desk))


@pytest.mark.parametrize(
    "other", ["anna.canary@example.org.uk", "anna.canary@example.or", "annacanary@example.org", "\u0251nna.canary@example.org"]
)
def test_nothing_of_a_similar_address_is_shown(other: str, desk: Desk) -> None:
    desk.submit(other, message="of somebody else")
    assert "somebody else" not in everything(look(desk))


def test_a_source_is_asked_for_the_person_of_the_request_only() -> None:
    asked: list[str] = []
    source = Source()
    source.export = lambda subject: asked.append(subject) or []  # type: ignore[method-assign,func-returns-value]
    with at_desk(sources=(source,)) as desk:
        look(desk, desk.confirmed("overview", OTTO))
    assert asked == [OTTO]


# --- the visit in which it was sent ----------------------------------------------------------------------------------------


def visits_of(desk: Desk, *minutes_ago: int) -> int:
    """How many of these hits are shown to who sends something now."""
    for minutes in minutes_ago:
        visit(desk, ANNAS_VISITOR, ago=minutes * MINUTE)
    desk.submit(visitor=ANNAS_VISITOR)
    return len(rows(look(desk), "visits"))


def test_the_visit_in_which_it_was_sent_is_shown(desk: Desk) -> None:
    assert visits_of(desk, 40, 20, 1) == 3


def test_an_earlier_visit_under_the_same_pseudonym_is_not_shown(desk: Desk) -> None:
    """It may be another person's at the same computer."""
    assert visits_of(desk, 300, 290, 20, 1) == 2


def test_a_later_visit_under_the_same_pseudonym_is_not_shown(desk: Desk) -> None:
    visit(desk, ANNAS_VISITOR)
    desk.submit(visitor=ANNAS_VISITOR)
    request = desk.confirmed("overview")
    desk.clock.move(hours=3)
    visit(desk, ANNAS_VISITOR)
    assert len(rows(look(desk, request), "visits")) == 1


def test_of_several_visits_the_one_in_the_middle_is_shown(desk: Desk) -> None:
    visit(desk, ANNAS_VISITOR, ago=200 * MINUTE)
    visit(desk, ANNAS_VISITOR, ago=MINUTE)
    desk.submit(visitor=ANNAS_VISITOR)
    desk.clock.move(hours=2)
    visit(desk, ANNAS_VISITOR)
    [row] = rows(look(desk), "visits")
    assert row["time"] == "2026-05-04T11:59:00+00:00"
    assert row["page"] == "/contact"


def test_a_visit_that_ended_long_before_is_not_shown(desk: Desk) -> None:
    assert visits_of(desk, 300, 290) == 0


def test_a_visit_of_another_pseudonym_is_not_shown(desk: Desk) -> None:
    visit(desk, ANNAS_VISITOR + 1)
    assert visits_of(desk) == 0


def test_a_visit_that_is_not_tied_is_not_shown(desk: Desk) -> None:
    visit(desk, ANNAS_VISITOR)
    desk.submit(visitor=None)
    assert rows(look(desk), "visits") == []


# --- sources ---------------------------------------------------------------------------------------------------------------


def test_an_overview_shows_what_the_hosts_sources_hold() -> None:
    with overview_with(Source("accounts", rows=({"name": "Anna"},)), Source("orders", rows=({"order": 7},))) as found:
        titles = {part.title: part.rows for part in found.parts}
    assert titles["accounts"] == ({"name": "Anna"},)
    assert titles["orders"] == ({"order": 7},)


def test_an_async_source_is_asked_too() -> None:
    source = Source()

    async def export(subject: str) -> list[dict[str, str]]:
        return [{"name": subject}]

    source.export = export  # type: ignore[method-assign]
    with overview_with(source) as found:
        assert rows(found, "source_1") == [{"name": ANNA}]


def test_a_source_that_fails_is_named_and_the_others_are_shown(caplog: pytest.LogCaptureFixture) -> None:
    def fail(subject: str) -> Any:
        raise ValueError(f"no such person: {subject}")

    broken = Source("broken")
    broken.export = fail  # type: ignore[method-assign]
    with overview_with(broken, Source("orders", rows=({"order": 7},))) as found:
        assert found.missing == ("broken",)
        assert rows(found, "source_2") == [{"order": 7}]
    assert "broken" in caplog.text
    assert ANNA not in caplog.text


@pytest.mark.parametrize("answer", [None, 7, [1], ["text"], [None], "text", object()])
def test_a_source_that_gives_nonsense_is_named(answer: Any) -> None:
    source = Source("broken")
    source.export = lambda _: answer  # type: ignore[method-assign]
    with overview_with(source) as found:
        assert found.missing == ("broken",)


def test_a_generator_may_give_the_rows() -> None:
    source = Source()
    source.export = lambda _: ({"n": n} for n in range(3))  # type: ignore[method-assign]
    with overview_with(source) as found:
        assert rows(found, "source_1") == [{"n": 0}, {"n": 1}, {"n": 2}]


def test_a_missing_source_is_named_in_the_package() -> None:
    source = Source("broken")
    source.export = lambda _: None  # type: ignore[method-assign]
    with at_desk(sources=(source,)) as desk:
        made = pack(desk, look(desk))
    assert json.loads(made["data.json"])["about"]["missing"] == ["broken"]
    assert b"broken" in made["index.html"]


class Slow(Source):
    """A source whose answers change, and count."""

    def __init__(self) -> None:
        super().__init__("slow")
        self.times = 0

    def export(self, subject: str) -> Any:
        self.times += 1
        return [{"name": f"slow canary {self.times}"}]


@pytest.fixture
def everything_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "SLOW_SECONDS", -1.0)


@pytest.mark.usefixtures("everything_is_slow")
def test_a_slow_source_is_asked_once_for_an_overview() -> None:
    source = Slow()
    with at_desk(sources=(source,)) as desk:
        request = desk.confirmed("overview")
        assert rows(look(desk, request), "source_1") == rows(look(desk, request), "source_1") == [{"name": "slow canary 1"}]
        assert source.times == 1


@pytest.mark.usefixtures("everything_is_slow")
def test_what_a_slow_source_gave_says_of_when_it_is() -> None:
    with at_desk(sources=(Slow(),)) as desk:
        request = desk.confirmed("overview")
        look(desk, request)
        desk.clock.move(hours=1)
        assert "slow, as of 2026-05-04, 12:00" in look(desk, request).counts


@pytest.mark.usefixtures("everything_is_slow")
def test_what_a_slow_source_gave_can_be_read_in_no_file() -> None:
    with at_desk(sources=(Slow(),)) as desk:
        look(desk)
        assert amount("step", "sealed IS NOT NULL") == 1
        found = files()
    assert not [spelling for text in ("slow canary", ANNA) for spelling in spellings(text) if spelling in found]


@pytest.mark.usefixtures("everything_is_slow")
def test_what_a_slow_source_gave_for_one_request_is_not_given_for_another() -> None:
    source = Slow()
    with at_desk(sources=(source,)) as desk:
        look(desk)
        assert rows(look(desk, desk.confirmed("overview", OTTO)), "source_1") == [{"name": "slow canary 2"}]


@pytest.mark.usefixtures("everything_is_slow")
def test_what_a_slow_source_gave_is_purged_after_three_days() -> None:
    source = Slow()
    with at_desk(sources=(source,)) as desk:
        request = desk.confirmed("overview")
        look(desk, request)
        desk.clock.move(hours=71)
        desk.work()
        assert amount("step", "sealed IS NOT NULL") == 1
        desk.clock.move(hours=2)
        desk.work()
        assert amount("step", "sealed IS NOT NULL") == 0


def test_what_a_quick_source_gave_is_not_stored() -> None:
    with at_desk(sources=(Source(rows=({"name": "Anna"},)),)) as desk:
        look(desk)
        assert amount("step") == 0


VALUES: dict[str, Any] = {
    "none": None, "yes": True, "int": 2**70, "float": 1.5, "nan": float("nan"), "decimal": Decimal("1.10"), "date": date(2026, 5, 4),
    "time": datetime(2026, 5, 4, tzinfo=UTC), "uuid": UUID(int=1), "list": [1, "a", None], "nested": {"a": {"b": [1]}}, "set": {1},
    "surrogate": "\ud800", "control": "\0\x1b", "tuple": (1, 2), "object": object(), "bytes in a list": [b"x"], "keys": {1: 2, (1, 2): 3},
}  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
def test_any_value_of_a_source_can_be_shown_and_packed(name: str) -> None:
    made = pack_rows({"value": VALUES[name]})
    assert json.loads(made["data.json"])["data"]["source_1"]["rows"]
    assert {"index.html", "data.json", "source_1.csv", "manifest.json"} <= set(made)


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.usefixtures("everything_is_slow")
def test_any_value_of_a_slow_source_is_the_same_the_second_time(name: str) -> None:
    source = Source(rows=({"value": VALUES[name]},))
    with at_desk(sources=(source,)) as desk:
        request = desk.confirmed("overview")
        first, second = (rows(look(desk, request), "source_1") for _ in range(2))
    assert [shown(ENGLISH, row["value"]) for row in first] == [shown(ENGLISH, row["value"]) for row in second]


def test_nested_values_are_shown_as_they_are() -> None:
    made = pack_rows({"prefs": {"tea": "green", "type": "x"}})
    assert b"green" in made["index.html"]
    assert b"green" in made["source_1.csv"]


# --- the package -----------------------------------------------------------------------------------------------------------


def test_a_package_holds_a_page_the_data_a_table_for_each_kind_and_checksums(desk: Desk) -> None:
    desk.submit()
    made = pack(desk, look(desk))
    assert set(made) == {"index.html", "data.json", "submissions.csv", "requests.csv", "manifest.json", "receipts.jsonld"}


def test_the_checksums_are_those_of_every_file(desk: Desk) -> None:
    desk.submit()
    made = pack(desk, look(desk))
    manifest = json.loads(made.pop("manifest.json"))
    assert manifest["sha256"] == {name: hashlib.sha256(content).hexdigest() for name, content in made.items()}
    assert manifest["format"] == 1


def test_the_data_are_complete_for_programs(desk: Desk) -> None:
    desk.submit()
    data = json.loads(pack(desk, look(desk))["data.json"])
    assert data["about"]["email"] == ANNA
    [row] = data["data"]["submissions"]["rows"]
    assert row["fields"]["message"] == [TEXT]
    assert data["information"]


def test_a_package_says_what_article_15_asks_for(desk: Desk) -> None:
    """Purposes, recipients, periods, rights, the authority."""
    page = pack(desk, look(desk))["index.html"].decode()
    for words in ("corrected or erased", "restricted", "object", "data protection authority", "365 days"):
        assert words in page


def test_a_table_has_a_row_for_each_value(desk: Desk) -> None:
    desk.submit(values={"email": [ANNA], "message": ["one", "two"]})
    text = pack(desk, look(desk))["submissions.csv"].decode("utf-8-sig")
    found = [(row["field"], row["value"]) for row in csv.DictReader(io.StringIO(text))]
    assert found == [("email", ANNA), ("message", "one"), ("message", "two")]


def test_what_was_sent_without_any_kept_field_has_a_row_too(desk: Desk) -> None:
    desk.submit(values={})
    text = pack(desk, look(desk))["submissions.csv"].decode("utf-8-sig")
    assert len(list(csv.DictReader(io.StringIO(text)))) == 1


@pytest.mark.parametrize("value", [{"a": 5}, {"a": "text"}, {}, None, "text", [1], {"a": ["x"]}])
def test_a_source_may_have_a_column_called_fields(value: Any) -> None:
    [row] = csv.DictReader(io.StringIO(pack_rows({"id": 1, "fields": value})["source_1.csv"].decode("utf-8-sig")))
    assert row["id"] == "1"


def test_tables_have_the_columns_of_all_rows() -> None:
    [one, other] = csv.DictReader(io.StringIO(pack_rows({"a": 1}, {"b": 2})["source_1.csv"].decode("utf-8-sig")))
    assert (one, other) == ({"a": "1", "b": ""}, {"a": "", "b": "2"})


@pytest.mark.parametrize("formula", FORMULAS)
def test_no_cell_of_a_table_is_a_formula(formula: str) -> None:
    made = pack_rows({formula: formula, "list": [formula]})
    for cell in next(csv.reader(io.StringIO(made["source_1.csv"].decode("utf-8-sig"), newline=""))):
        assert cell == "list" or cell.lstrip(" \t\r\n\0\u00a0")[:1] not in "=+-@\uff1d" or cell[:1] == "'"
        assert harmless(formula) != formula


@pytest.mark.parametrize("formula", FORMULAS)
def test_no_formula_was_sent_with_a_form(formula: str, desk: Desk) -> None:
    desk.submit(message=formula)
    text = pack(desk, look(desk))["submissions.csv"].decode("utf-8-sig")
    [value] = [row["value"] for row in csv.DictReader(io.StringIO(text, newline="")) if row["field"] == "message"]
    assert value == harmless(formula) != formula


@pytest.mark.parametrize("value", ["", "a", "a-b", "2026-05-04", "a=b", "1.5", "anna@example.org", "a, b", "-", "'"])
def test_a_harmless_cell_is_left_as_it_is(value: str) -> None:
    assert harmless(value) in (value, "'" + value)
    assert value in harmless(value)


@given(st.text(max_size=12))
def test_a_cell_begins_with_no_formula(text: str) -> None:
    cell = harmless(text)
    assert cell.lstrip(" \t\r\n\0\u00a0\ufeff\u3000")[:1] not in tuple("=+-@") or cell == ""
    assert harmless(text).replace("'", "") == text.replace("'", "")


def test_numbers_stay_numbers_in_a_table() -> None:
    [row] = list(csv.reader(io.StringIO(pack_rows({"n": -5})["source_1.csv"].decode("utf-8-sig"))))[1:]
    assert row == ["-5"]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_values_are_text_on_the_page(hostile: str) -> None:
    with at_desk(sources=(Source(hostile, rows=({hostile: hostile, "list": [hostile], "dict": {hostile: hostile}},)),)) as desk:
        desk.submit(message=hostile)
        page = pack(desk, look(desk))["index.html"].decode()
    body = page.partition("</style>")[2]
    assert "<script" not in body
    assert "<img" not in body
    assert "<b>" not in body
    assert ">49<" not in body
    assert "</style" not in body


def test_the_page_reads_nothing_from_elsewhere(desk: Desk) -> None:
    desk.submit()
    page = pack(desk, look(desk))["index.html"].decode()
    assert "default-src 'none'" in page
    for word in ("src=", "@import", "<link", "url(", "<script", "<iframe", "<form"):
        assert word not in page


def test_files_of_a_source_lie_beside_the_page() -> None:
    made = pack_rows({"file": "a/b ü.pdf", "content": b"%PDF\xff"})
    [name] = [name for name in made if name.startswith("files/")]
    assert made[name] == b"%PDF\xff"
    assert json.loads(made["data.json"])["data"]["source_1"]["rows"][0]["content"] == name


def test_two_files_in_a_row_are_two() -> None:
    made = pack_rows({"name": "x", "photo": b"one", "scan": b"two"}, {"name": "x", "photo": b"three", "scan": b""})
    assert sorted(content for name, content in made.items() if name.startswith("files/")) == [b"", b"one", b"three", b"two"]


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "..", "C:\\x.exe", "a\0b", "con", "x" * 500, "\u202efdp.exe", ""])
def test_a_file_lies_nowhere_else(name: str) -> None:
    [place] = [one for one in pack_rows({"file": name, "content": b"x"}) if one.startswith("files/")]
    assert place.startswith("files/source_1/1-")
    assert not {"..", "", "."} & set(place.split("/"))
    assert place.isascii()
    assert "\\" not in place
    assert len(place) < 150


def test_the_files_of_a_folder_are_packed_with_their_content(tmp_path: Path) -> None:
    folder = tmp_path / "invoices"
    (folder / ANNA).mkdir(parents=True)
    (folder / ANNA / "1.pdf").write_bytes(b"invoice" * 500_000)
    with at_desk(sources=(FileSource(folder, "{email}/*.pdf"),)) as desk:
        made = pack(desk, look(desk))
    assert [content for name, content in made.items() if name.startswith("files/")] == [b"invoice" * 500_000]
    assert json.loads(made["manifest.json"])["sha256"]


def test_a_file_that_went_away_since_does_not_break_the_package(tmp_path: Path) -> None:
    folder = tmp_path / "invoices"
    (folder / ANNA).mkdir(parents=True)
    (folder / ANNA / "1.pdf").write_bytes(b"1")
    with at_desk(sources=(FileSource(folder, "{email}/*.pdf"),)) as desk:
        found = look(desk)
        (folder / ANNA / "1.pdf").unlink()
        assert "manifest.json" in pack(desk, found)


def test_a_package_is_made_while_it_is_sent(desk: Desk) -> None:
    """What is large is not gathered first."""
    noise = [base64.b64encode(hashlib.sha256(str(n).encode()).digest() * 4000) for n in range(5)]
    large = tuple({"file": f"{n}", "content": content} for n, content in enumerate(noise))
    pieces = package(desk.office, Pages(Languages()), Overview(ANNA, "2026-11-22T10:00:00+00:00", (Part("source_1", "x", large),)), ENGLISH)
    sizes = [len(piece) for piece in pieces]
    assert len(sizes) > 5
    assert max(sizes) < sum(sizes) / 2


def test_a_package_that_nobody_reads_to_the_end_ends(desk: Desk) -> None:
    desk.submit()
    pieces = package(desk.office, Pages(Languages()), look(desk), ENGLISH)
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]


def test_a_package_says_nothing_of_the_machine(desk: Desk) -> None:
    data = b"".join(package(desk.office, Pages(Languages()), look(desk), ENGLISH))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert {entry.comment for entry in archive.infolist()} | {archive.comment} == {b""}
    assert str(Path.cwd()).encode() not in data
    assert not list(Path.cwd().glob("*.zip"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "yes"),
        (False, "no"),
        (3, "3"),
        ("a", "a"),
        ("2026-05-04T12:00:00+00:00", "2026-05-04, 12:00"),
        (b"abc", "a file, 3 bytes"),
        ({"type": "image/png", "size": 7}, "image/png, 7 bytes"),
    ],
)
def test_a_value_is_shown_in_words(value: Any, text: str) -> None:
    assert shown(ENGLISH, value) == text
