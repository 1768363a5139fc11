"""The commands about what was sent with forms, as the person who runs the site sees them."""

import csv
import io
import json
import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from privacy_middleware.cli import main
from privacy_middleware.collect.visitor import date_of, day_of
from privacy_middleware.record.spool import Spool
from privacy_middleware.record.submissions import Submission
from privacy_middleware.vault import Vault

from .conftest import query
from .databases import make_store
from .test_recorder import script, write_lock
from .test_submissions import ANNA, DAY, OTTO, TIME, change, put, submission

KEY, OTHER = "new-secret-" * 4, "other-secret-" * 4
TODAY = day_of(int(time.time() * 1000), UTC)
ESCAPES = "\x1b[31mred\x1b]0;title\x07\r\x08\x9b31m\x7f\u202etxt"
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028\u2029]")
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
[[forms]]
name = "newsletter"
path = "/newsletter"
purpose = "newsletter"
retention_days = 30
[forms.fields]
email = { treatment = "keep", identity = true }
"""
FACTS = ["id", "date", "form", "purpose", "outcome", "answered", "kept_until"]


@pytest.fixture(autouse=True)
def _declared(monkeypatch: pytest.MonkeyPatch, clean_environment: None) -> None:
    Path("privacy.toml").write_text(TOML)
    monkeypatch.setenv("PRIVACY_SECRET_KEYS", KEY)
    monkeypatch.setenv("LOGNAME", "berta")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    try:
        code = main(arguments)
    except SystemExit as ended:  # argparse
        code = int(ended.code or 0)
    out = capsys.readouterr()
    return code, out.out, out.err


def fill(*several: Submission, secret: str = KEY) -> list[str]:
    """Store submissions; returns their identifiers."""
    with closing(make_store()) as store:
        store.open()
        return [each.id.hex() for each in put(store, Vault([secret]), *several)]


def fill_three() -> list[str]:
    return fill(
        submission(ANNA, day=DAY),
        submission(OTTO, day=DAY + 1, form="newsletter", purpose="newsletter", values={"email": [OTTO]}),
        submission("", day=DAY + 2, message="nobody's"),
    )


def count_forms(amounts: dict[str, int], day: int = DAY) -> None:
    with closing(make_store()) as store:
        store.open()
        with store.transaction():
            store.count(amounts, day=day)


def audited() -> list[dict[str, Any]]:
    return query("SELECT actor, action, object FROM audit WHERE action <> '' ORDER BY id")


def table(out: str) -> list[list[str]]:
    return [line.split() for line in out.splitlines()]


def cells(out: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(out, newline="")))


def iso(day: int) -> str:
    return str(date_of(day))


# --- all of them -----------------------------------------------------------------------------------------------------------

COMMANDS: list[tuple[str, ...]] = [
    ("submissions", "list"),
    ("submissions", "show", "ab"),
    ("submissions", "export"),
    ("submissions", "answer", "ab"),
    ("forms",),
    ("audit",),
]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.sqlite
def test_a_missing_database_is_told_and_not_made(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, *command)
    assert (code, out) == (1, "")
    assert err.startswith(f"privacy-middleware: there is no database {Path('privacy.db').absolute()}; run this in")
    assert [path.name for path in Path().iterdir()] == ["privacy.toml"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.sqlite
def test_a_file_that_is_no_database_is_told_and_left_alone(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    Path("privacy.db").write_bytes(b"this is no database" * 100)
    code, out, err = run(capsys, *command)
    assert (code, out) == (1, "")
    assert re.match(r"privacy-middleware: \S+/privacy.db cannot be (used|read) as a database", err)
    assert Path("privacy.db").read_bytes() == b"this is no database" * 100


@pytest.mark.parametrize(
    "command",
    [
        ("submissions",),
        ("submissions", "show"),
        ("submissions", "answer"),
        ("submissions", "list", "--format", "xml"),
        ("submissions", "export", "--format", "table"),
        ("submissions", "list", "--from", "yesterday"),
        ("submissions", "export", "--to", "2026-02-30"),
        ("forms", "--from", "1' OR '1'='1"),
        ("forms", "--format", "xml"),
        ("audit", "--all"),
    ],
)
def test_wrong_use_is_exit_code_2(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, *command)
    assert (code, out) == (2, "")
    assert "usage: privacy-middleware" in err


@pytest.mark.parametrize("command", [("submissions", "list"), ("submissions", "export"), ("forms",)])
def test_a_period_that_ends_before_it_begins_is_told(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    fill_three()
    code, out, err = run(capsys, *command, "--from", "2026-05-05", "--to", "2026-05-04")
    assert (code, out) == (1, "")
    assert "--from 2026-05-05 is after --to 2026-05-04; swap them" in err
    assert audited() == []


@pytest.mark.parametrize("action", ["list", "export"])
def test_an_unknown_form_is_told_with_the_declared_ones(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    fill_three()
    code, out, err = run(capsys, "submissions", action, "--form", "contcat")
    assert (code, out) == (1, "")
    assert "there is no form 'contcat'" in err
    assert "contact, newsletter" in err


@pytest.mark.parametrize("action", ["show", "answer"])
@pytest.mark.parametrize("unknown", ["ffff", "%", "", "_", "' OR ''='", "ab" * 30, "\x1b[31m"])
def test_an_unknown_identifier_is_told_and_nothing_is_done(action: str, unknown: str, capsys: pytest.CaptureFixture[str]) -> None:
    known = fill(submission(id=bytes(16)))
    code, out, err = run(capsys, "submissions", action, known[0], unknown)
    assert (code, out) == (1, "")
    assert f"no submission, or several, begin with {unknown}" in err or CONTROLS.search(unknown)
    assert not CONTROLS.search(err)
    assert "privacy-middleware submissions list" in err
    assert audited() == []
    assert query("SELECT answered FROM submission") == [{"answered": None}]


@pytest.mark.parametrize("action", ["show", "answer"])
def test_an_identifier_that_several_begin_with_is_told(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    fill(*(submission(id=b"\xab" + bytes([n]) * 15) for n in range(2)))
    code, _, err = run(capsys, "submissions", action, "ab")
    assert code == 1
    assert "or several, begin with ab" in err


# --- list ------------------------------------------------------------------------------------------------------------------


def test_a_list_tells_what_is_there_without_opening_it(capsys: pytest.CaptureFixture[str]) -> None:
    ids = fill_three()
    code, out, err = run(capsys, "submissions", "list")
    assert (code, err) == (0, "")
    assert table(out) == [
        FACTS,
        [ids[0][:10], iso(DAY), "contact", "answer", "accepted", iso(DAY + 29)],
        [ids[1][:10], iso(DAY + 1), "newsletter", "newsletter", "accepted", iso(DAY + 29)],
        [ids[2][:10], iso(DAY + 2), "contact", "answer", "accepted", iso(DAY + 29)],
    ]
    assert not any(value in out for value in (ANNA, OTTO, "canary"))
    assert audited() == []


@pytest.mark.sqlite
def test_a_list_needs_no_key_and_changes_nothing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    fill_three()
    monkeypatch.delenv("PRIVACY_SECRET_KEYS")
    before = Path("privacy.db").read_bytes()
    for form in ("table", "json", "csv"):
        assert run(capsys, "submissions", "list", "--format", form)[0] == 0
    assert Path("privacy.db").read_bytes() == before
    assert not Path("privacy.secret").exists()


def test_a_list_as_json_and_as_csv_has_whole_identifiers(capsys: pytest.CaptureFixture[str]) -> None:
    ids = fill_three()
    as_json = json.loads(run(capsys, "submissions", "list", "--format", "json")[1])
    head, *rows = cells(run(capsys, "submissions", "list", "--format", "csv")[1])
    assert [list(row) for row in as_json] == [FACTS] * 3
    assert head == FACTS
    assert [row["id"] for row in as_json] == [row[0] for row in rows] == ids
    assert [list(row.values()) for row in as_json] == rows


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_an_empty_list_is_shown_in_every_format(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    fill()
    code, out, err = run(capsys, "submissions", "list", "--format", form)
    assert (code, err) == (0, "")
    assert out.strip() == {"table": "  ".join(FACTS), "json": "[]", "csv": ",".join(f'"{fact}"' for fact in FACTS)}[form]


FILTERS: dict[tuple[str, ...], list[int]] = {
    (): [0, 1, 2],
    ("--form", "contact"): [0, 2],
    ("--form", "newsletter"): [1],
    ("--purpose", "answer"): [0, 2],
    ("--purpose", "nothing"): [],
    ("--from", iso(DAY + 1)): [1, 2],
    ("--to", iso(DAY + 1)): [0, 1],
    ("--from", iso(DAY + 1), "--to", iso(DAY + 1)): [1],
    ("--from", iso(DAY + 3)): [],
    ("--form", "contact", "--purpose", "answer", "--to", iso(DAY)): [0],
    ("--form", "contact", "--purpose", "newsletter"): [],
    ("--purpose", "' OR ''='"): [],
}


@pytest.mark.parametrize("filters", FILTERS)
def test_filters_choose_by_form_purpose_and_day(filters: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    ids = fill_three()
    expected = [ids[place] for place in FILTERS[filters]]
    for action in ("list", "export"):
        code, out, _ = run(capsys, "submissions", action, *filters, "--format", "json")
        assert code == 0
        assert [row["id"] for row in json.loads(out)] == expected


def test_a_form_that_is_declared_no_more_is_found_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    fill(submission(form="old"))
    assert len(table(run(capsys, "submissions", "list", "--form", "old")[1])) == 2


# --- show ------------------------------------------------------------------------------------------------------------------


def test_show_opens_what_is_named_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    ids = fill_three()
    code, out, err = run(capsys, "submissions", "show", ids[0])
    assert (code, err) == (0, "")
    shown = dict(line.split(None, 1) for line in out.splitlines() if line)
    received = datetime.fromtimestamp(TIME // 1000, UTC).isoformat()
    assert shown == {
        "id": ids[0], "date": iso(DAY), "form": "contact", "purpose": "answer", "outcome": "accepted", "kept_until": iso(DAY + 29),
        "received": received, "email": ANNA, "message": "canary message",
    }  # fmt: skip


def test_show_opens_several_by_their_first_letters(capsys: pytest.CaptureFixture[str]) -> None:
    ids = fill_three()
    _, out, _ = run(capsys, "submissions", "show", ids[1][:10].upper(), ids[2])
    assert out.index(OTTO) < out.index("nobody's")
    assert ANNA not in out


def test_an_anonymous_submission_is_shown_without_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    [id_] = fill(submission(""))
    assert "received" not in run(capsys, "submissions", "show", id_)[1]


def test_every_kind_of_value_is_shown_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    [id_] = fill(submission("", values={"a": [True, False], "b": [7], "c": [{"type": "image/png", "size": 99}], "d": ["one", "two"]}))
    _, out, _ = run(capsys, "submissions", "show", id_)
    assert " ".join(out.split()).endswith("a yes a no b 7 c image/png, 99 bytes d one d two")


def test_lines_of_a_value_stay_lines_and_cannot_pass_for_other_facts(capsys: pytest.CaptureFixture[str]) -> None:
    [id_] = fill(submission("", message="one\r\nemail        forged@example.org\nthree\u2028id           forged"))
    _, out, _ = run(capsys, "submissions", "show", id_)
    assert "one\n             email        forged@example.org\n             three" in out
    assert not re.search(r"^(email|id) +forged", out, re.MULTILINE)
    assert len(out.splitlines()) == len(out.split("\n")) - 1


def test_escape_sequences_are_shown_and_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    [id_] = fill(submission("", values={"message": [ESCAPES], "na\x1bme": ["x"]}))
    _, out, _ = run(capsys, "submissions", "show", id_)
    assert not CONTROLS.search(out)
    assert "\\x1b[31mred\\x1b]0;title\\x07" in out


def test_a_faulty_one_is_marked_and_the_others_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    ids = fill_three()
    change("UPDATE field SET value = x'00' WHERE submission = ?", bytes.fromhex(ids[0]))
    code, out, _ = run(capsys, "submissions", "show", *ids)
    assert code == 1
    assert re.search(r"^problem +.*cannot be read", out, re.MULTILINE)
    assert ANNA not in out
    assert OTTO in out


def test_without_the_key_it_is_marked_with_the_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    [id_] = fill(submission(), secret=OTHER)
    code, out, _ = run(capsys, "submissions", "show", id_)
    assert code == 1
    assert "set PRIVACY_SECRET_KEYS as the app has it" in out


@pytest.mark.parametrize("action", ["show", "export", "answer"])
def test_without_the_secret_file_none_is_made(action: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    [id_] = fill(submission(), secret=OTHER)
    monkeypatch.delenv("PRIVACY_SECRET_KEYS")
    run(capsys, "submissions", action, *([] if action == "export" else [id_]))
    assert not Path("privacy.secret").exists()


# --- export ----------------------------------------------------------------------------------------------------------------


def test_an_export_as_json_holds_everything(capsys: pytest.CaptureFixture[str]) -> None:
    ids = fill_three()
    code, out, err = run(capsys, "submissions", "export", "--format", "json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert [row["id"] for row in found] == ids
    assert [row["fields"] for row in found] == [
        {"email": [ANNA], "message": ["canary message"]},
        {"email": [OTTO]},
        {"message": ["nobody's"]},
    ]
    received = datetime.fromtimestamp(TIME // 1000, UTC).isoformat()
    assert [row["received"] for row in found] == [received, received, ""]
    assert not any("problem" in row for row in found)


def test_an_export_as_csv_has_a_row_for_each_and_a_column_for_each_field(capsys: pytest.CaptureFixture[str]) -> None:
    ids = fill_three()
    code, out, err = run(capsys, "submissions", "export")
    assert (code, err) == (0, "")
    head, *rows = cells(out)
    assert head == [*FACTS, "received", "email", "message"]
    assert [row[0] for row in rows] == ids
    assert [row[-2:] for row in rows] == [[ANNA, "canary message"], [OTTO, ""], ["", "nobody's"]]


def test_a_field_that_has_the_name_of_a_fact_has_a_column_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    fill(submission("", values={"id": ["mine"], "received": ["yesterday"], "date": ["1 May"], "field id": ["other"]}))
    head, row = cells(run(capsys, "submissions", "export")[1])
    assert len(set(head)) == len(head) == len(row)
    assert {"mine", "yesterday", "1 May", "other"} <= set(row)
    assert row[1] == iso(DAY)


def test_several_values_of_a_field_are_lines_of_one_cell(capsys: pytest.CaptureFixture[str]) -> None:
    fill(submission("", values={"message": ['one, "1"', "two;2"], "sent": [True]}))
    assert cells(run(capsys, "submissions", "export")[1])[1][-2:] == ['one, "1"\ntwo;2', "yes"]


@pytest.mark.parametrize(
    "begin",
    [
        "=",
        "+",
        "-",
        "@",
        "\t",
        "\r",
        "\n",
        " =",
        "\t=",
        "\u00a0@",
        pytest.param("\0=", marks=pytest.mark.sqlite),
        "\ufeff=",
        "\uff1d",
        "\uff0b",
        "\uff0d",
        "\uff20",
    ],
)
@pytest.mark.parametrize("rest", ["cmd|' /C calc'!A0", 'HYPERLINK("http://evil.example")', '"', ",=1", "\n=1"])
def test_no_cell_of_a_csv_is_a_formula(begin: str, rest: str, capsys: pytest.CaptureFixture[str]) -> None:
    fill(submission("", values={"message": [begin + rest], begin + "name": ["x"]}))
    found = [cell for row in cells(run(capsys, "submissions", "export")[1]) for cell in row]
    assert any(rest.replace("\n=", "\n'=") in cell for cell in found)
    assert not [cell for cell in found if re.match("[\\s\0\ufeff]*[=+@\uff1d\uff0b\uff0d\uff20-]|[\t\r\n]", cell)]


def test_a_harmless_cell_of_a_csv_is_left_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    fill(submission("", message='a = "b", 1-2; søg\nzwei'))
    assert cells(run(capsys, "submissions", "export")[1])[1][-1] == 'a = "b", 1-2; søg\nzwei'


def test_an_export_to_a_file_is_its_owners_alone_and_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    fill_three()
    before = os.umask(0)
    try:
        code, out, err = run(capsys, "submissions", "export", "--output", "out.csv")
    finally:
        os.umask(before)
    assert (code, out, err) == (0, "", "")
    assert stat.S_IMODE(Path("out.csv").stat().st_mode) == 0o600
    assert len(cells(Path("out.csv").read_text(encoding="utf-8"))) == 4


def test_an_export_to_a_file_is_what_it_would_print(capsys: pytest.CaptureFixture[str]) -> None:
    fill(submission("", message="a\r\nb\nü"))
    for form in ("csv", "json"):
        run(capsys, "submissions", "export", "--format", form, "--output", f"out.{form}")
        assert Path(f"out.{form}").read_bytes().decode() == run(capsys, "submissions", "export", "--format", form)[1]


@pytest.mark.parametrize("there", ["file", "link", "folder"])
def test_an_export_never_goes_over_what_is_there(there: str, capsys: pytest.CaptureFixture[str]) -> None:
    fill_three()
    Path("kept").write_text("mine")
    {"file": lambda: Path("out").write_text("mine"), "link": lambda: Path("out").symlink_to("kept"), "folder": Path("out").mkdir}[there]()
    code, out, err = run(capsys, "submissions", "export", "--output", "out")
    assert (code, out) == (1, "")
    assert "out is there already; name a file that is not" in err
    assert Path("kept").read_text() == "mine"


def test_an_export_into_a_missing_folder_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    fill_three()
    code, out, err = run(capsys, "submissions", "export", "--output", "nowhere/out")
    assert (code, out) == (1, "")
    assert "nowhere/out cannot be written" in err


def test_an_export_marks_what_cannot_be_opened_and_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    ids = fill_three()
    change("UPDATE field SET value = x'00' WHERE submission = ?", bytes.fromhex(ids[0]))
    code, out, err = run(capsys, "submissions", "export", "--format", "json")
    assert code == 1
    assert "1 of 3 cannot be opened; see `privacy-middleware status`" in err
    found = {row["id"]: row for row in json.loads(out)}
    assert "cannot be read" in found[ids[0]]["problem"]
    assert found[ids[0]]["fields"] == {}
    assert found[ids[1]]["fields"] == {"email": [OTTO]}
    code, out, _ = run(capsys, "submissions", "export")
    assert code == 1
    assert [row[7] for row in cells(out)[1:]].count("(unreadable)") == 1
    assert OTTO in out


def test_a_row_that_somebody_changed_into_text_is_marked_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    fill_three()
    change("UPDATE subject SET sealed = 'by hand'")
    assert run(capsys, "submissions", "export")[0] == 1


def test_an_export_of_nothing_is_a_headline(capsys: pytest.CaptureFixture[str]) -> None:
    fill()
    assert cells(run(capsys, "submissions", "export")[1]) == [[*FACTS, "received"]]
    assert json.loads(run(capsys, "submissions", "export", "--format", "json")[1]) == []


@pytest.mark.parametrize("arguments", [("export",), ("export", "--format", "json"), ("show", "00")])
def test_a_terminal_that_knows_ascii_only_is_no_reason_to_fail(arguments: tuple[str, ...]) -> None:
    fill(submission("", message="søg 😀", id=bytes(16)))
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "privacy_middleware", "submissions", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, env=environment, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "g " in done.stdout


# --- answer ----------------------------------------------------------------------------------------------------------------


def test_answer_notes_when_and_the_list_tells(capsys: pytest.CaptureFixture[str]) -> None:
    ids = fill_three()
    assert run(capsys, "submissions", "answer", ids[0][:12], ids[2]) == (0, "2 noted as answered\n", "")
    rows = {row["id"]: row["answered"] for row in json.loads(run(capsys, "submissions", "list", "--format", "json")[1])}
    assert rows[ids[1]] == ""
    for id_ in (ids[0], ids[2]):
        assert abs(datetime.fromisoformat(rows[id_]).timestamp() - time.time()) < 120


def test_answer_opens_nothing_and_needs_no_key(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    [id_] = fill(submission())
    monkeypatch.setenv("PRIVACY_SECRET_KEYS", OTHER)
    code, out, _ = run(capsys, "submissions", "answer", id_)
    assert code == 0
    assert "canary" not in out


# --- audit -----------------------------------------------------------------------------------------------------------------


def test_every_look_and_change_is_audited_with_who_and_which_but_no_value(capsys: pytest.CaptureFixture[str]) -> None:
    ids = fill_three()
    run(capsys, "submissions", "show", ids[0][:8], ids[1])
    run(capsys, "submissions", "export", "--form", "contact", "--from", iso(DAY))
    run(capsys, "submissions", "export")
    run(capsys, "submissions", "answer", ids[2])
    found = [(row["action"], row["object"]) for row in audited()]
    assert (found[0], found[3]) == (("show", f"{ids[0]} {ids[1]}"), ("answer", ids[2]))
    assert [(action, about.partition(": ")[0]) for action, about in found[1:3]] == [
        ("export", f"2 submissions form=contact from={iso(DAY)}"),
        ("export", "3 submissions"),
    ]
    named = [set(about.partition(": ")[2].split()) for _, about in found[1:3]]
    assert (len(named[0]), named[1]) == (2, set(ids))
    assert named[0] < named[1]
    assert {row["actor"] for row in audited()} == {"berta (command line)"}
    code, out, err = run(capsys, "audit")
    assert (code, err) == (0, "")
    assert [line.split("  ")[1:3] for line in out.splitlines()] == [
        ["berta (command line)", a] for a in ("show", "export", "export", "answer")
    ]
    assert all(abs(datetime.fromisoformat(line.split()[0]).timestamp() - time.time()) < 120 for line in out.splitlines())
    assert not any(value in out for value in (ANNA, OTTO, "canary", "nobody"))


def test_the_audit_entry_is_written_before_anything_is_shown() -> None:
    """The reader of the output is slow: the entry is there before the first line is read."""
    fill(submission("", message="x" * 300_000))
    command = [sys.executable, "-m", "privacy_middleware", "submissions", "export"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        assert [row["action"] for row in audited()] == ["export"]
        assert process.poll() is None
        process.stdout.read()


@pytest.mark.parametrize("arguments", [("export",), ("export", "--output", "out"), ("show", "00")])
@pytest.mark.sqlite
def test_where_no_entry_can_be_written_nothing_is_shown(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    fill(submission(id=bytes(16)))
    change("CREATE TRIGGER no_audit BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no entry'); END")
    code, out, err = run(capsys, "submissions", *arguments)
    assert (code, out) == (1, "")
    assert "SQLITE_CONSTRAINT" in err
    assert not Path("out").exists()


@pytest.mark.sqlite
def test_while_the_database_is_locked_nothing_is_shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("privacy_middleware.store.sqlite.BUSY_SECONDS", 0.1)
    fill(submission(id=bytes(16)))
    with write_lock():
        code, out, err = run(capsys, "submissions", "show", "00")
    assert (code, out) == (1, "")
    assert "locked" in err


def test_an_audit_entry_is_one_line_whatever_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    fill_three()
    forged = "2026-01-01T00:00:00+00:00  somebody  show  everything"
    run(capsys, "submissions", "export", "--purpose", f"x\n{forged}\x1b[31m")
    _, out, _ = run(capsys, "audit")
    assert len(out.splitlines()) == 1
    assert not CONTROLS.search(out)


def test_an_empty_audit_is_empty(capsys: pytest.CaptureFixture[str]) -> None:
    fill()
    assert run(capsys, "audit") == (0, "nobody has opened or changed anything yet\n", "")


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="everybody has a name here")
def test_somebody_without_a_name_is_audited_by_number() -> None:
    """As in a container that runs under a number of its own."""
    fill(submission(id=bytes(16)))
    code = """
        from privacy_middleware.cli import main
        for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
            os.environ.pop(name, None)
        os.getuid = lambda: 54321
        print(main(["submissions", "answer", "00"]))
    """
    assert script(code).splitlines()[-1] == "0"
    assert "54321" in audited()[0]["actor"]


# --- forms -----------------------------------------------------------------------------------------------------------------

FUNNEL = {f"form.contact.{step}": amount for step, amount in {"view": 9, "sent": 5, "invalid": 2, "failed": 1, "accepted": 2}.items()}
HEAD = ["form", "view", "sent", "invalid", "failed", "accepted", "abandoned"]


def test_forms_shows_how_far_visitors_come(capsys: pytest.CaptureFixture[str]) -> None:
    count_forms(FUNNEL)
    code, out, err = run(capsys, "forms")
    assert (code, err) == (0, "")
    assert table(out) == [HEAD, ["contact", "9", "5", "2", "1", "2", "7"], ["newsletter", *"000000"]]


def test_forms_in_every_format_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    count_forms(FUNNEL | {"form.contact.lost.too_large": 3})
    as_json = json.loads(run(capsys, "forms", "--format", "json")[1])
    as_csv = cells(run(capsys, "forms", "--format", "csv")[1])
    as_table = table(run(capsys, "forms")[1])
    assert as_csv == as_table[:3] == [HEAD, *([str(row[name]) for name in HEAD] for row in as_json)]
    assert as_json[0]["remarks"] == {"lost.too_large": 3}


def test_forms_tells_what_else_was_counted(capsys: pytest.CaptureFixture[str]) -> None:
    count_forms(FUNNEL | {"form.contact.lost.unfinished": 3, "form.contact.dropped.payment_number.message": 4})
    out = run(capsys, "forms")[1].splitlines()
    assert "contact: lost.unfinished: 3" in out
    assert "contact: dropped.payment_number.message: 4" in out


def test_forms_counts_the_days_of_the_period_only(capsys: pytest.CaptureFixture[str]) -> None:
    for back in range(3):
        count_forms({"form.contact.view": 10**back}, DAY - back)
    for arguments, views in (
        {(): 111, ("--from", iso(DAY)): 1, ("--to", iso(DAY - 1)): 110, ("--from", iso(DAY - 1), "--to", iso(DAY - 1)): 10}
    ).items():
        assert json.loads(run(capsys, "forms", *arguments, "--format", "json")[1])[0]["view"] == views


def test_forms_shows_a_form_that_is_declared_no_more(capsys: pytest.CaptureFixture[str]) -> None:
    count_forms({"form.old.view": 1, "dropped.queue_full": 7})
    assert [row[0] for row in table(run(capsys, "forms")[1])] == ["form", "contact", "newsletter", "old"]


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_without_forms_it_says_so_in_every_format(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("privacy.toml").write_text('[controller]\nname = "Bakery Ltd"\n')
    fill()
    code, out, err = run(capsys, "forms", "--format", form)
    assert (code, err) == (0, "")
    assert {"table": "no form is declared", "json": "[]", "csv": '"form"'}[form] in out


def test_forms_whose_names_begin_alike_are_counted_apart(capsys: pytest.CaptureFixture[str]) -> None:
    count_forms({"form.contact.view": 1, "form.contact-us.view": 2, "form.contact_us.view": 4})
    assert {row["form"]: row["view"] for row in json.loads(run(capsys, "forms", "--format", "json")[1])} == {
        "contact": 1, "newsletter": 0, "contact-us": 2, "contact_us": 4,
    }  # fmt: skip


# --- status and purge ------------------------------------------------------------------------------------------------------


def test_status_tells_how_many_there_are_of_each_form(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    fill_three()
    assert "1 people signed up for the newsletter, and cannot be asked" in run(capsys, "status")[1]
    for name, value in {"BASE_URL": "https://www.example.org", "SMTP_URL": "smtp://localhost", "MAIL_FROM": "a@example.org"}.items():
        monkeypatch.setenv(f"PRIVACY_{name}", value)
    code, out, err = run(capsys, "status")
    assert (code, err) == (0, "")
    assert re.search(rf"^submissions +contact: 2, since {iso(DAY)}$", out, re.MULTILINE)
    assert re.search(rf"^submissions +newsletter: 1, since {iso(DAY + 1)}$", out, re.MULTILINE)
    assert "problem" not in out


def test_status_tells_what_was_lost_and_leaves_the_funnel_to_its_command(capsys: pytest.CaptureFixture[str]) -> None:
    count_forms(FUNNEL | {"form.contact.lost.too_large": 3})
    _, out, _ = run(capsys, "status")
    assert re.search(r"^form +contact.lost.too_large: 3$", out, re.MULTILINE)
    assert "contact.view" not in out


@pytest.mark.sqlite
def test_what_waits_in_the_spool_is_a_problem(capsys: pytest.CaptureFixture[str]) -> None:
    fill()
    for _ in range(2):
        Spool(Path("privacy.db")).add(Vault([KEY]), submission())
    code, out, _ = run(capsys, "status")
    assert code == 1
    assert re.search(r"^problem +2 submissions wait in privacy\.db\.spool", out, re.MULTILINE)


@pytest.mark.sqlite
def test_a_lost_key_is_a_problem_and_status_makes_no_new_one(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    fill(submission(), secret=OTHER)
    code, out, _ = run(capsys, "status")
    assert code == 1
    assert re.search(r"^problem +.*PRIVACY_SECRET_KEYS does not hold", out, re.MULTILINE)
    monkeypatch.delenv("PRIVACY_SECRET_KEYS")
    code, out, _ = run(capsys, "status")
    assert code == 1
    assert re.search(r"^problem +.*is gone: put \S+/privacy.secret back", out, re.MULTILINE)
    assert not Path("privacy.secret").exists()


@pytest.mark.parametrize("command", [("status",), ("keys", "status"), ("submissions", "list"), ("forms",), ("audit",)])
@pytest.mark.sqlite
def test_commands_that_only_look_make_no_secret(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill()
    monkeypatch.delenv("PRIVACY_SECRET_KEYS")
    assert run(capsys, *command)[0] == 0
    assert not Path("privacy.secret").exists()


def test_status_shows_no_key_and_no_value(capsys: pytest.CaptureFixture[str]) -> None:
    fill_three()
    _, out, err = run(capsys, "status")
    assert not any(secret in out + err for secret in (KEY, ANNA, OTTO, "canary"))


def days_kept() -> list[int]:
    return sorted(TODAY - row["day"] for row in query("SELECT day FROM submission"))


def aged(days: Iterable[int], **more: Any) -> list[Submission]:
    """Submissions of so many days ago, to be kept for 30 days."""
    return [submission("", day=TODAY - back, expires=TODAY - back + 30, **more) for back in days]


def test_purge_takes_what_is_past_its_retention_and_tells_how_many(capsys: pytest.CaptureFixture[str]) -> None:
    fill(*aged([0, 29, 30, 31]), *aged([29, 30], form="undeclared"))
    code, out, err = run(capsys, "purge")
    assert (code, err) == (0, "")
    assert days_kept() == [0, 29, 29]
    assert ", 3 submissions, " in out
    assert ", 0 submissions, " in run(capsys, "purge")[1]


def test_purge_follows_a_retention_that_was_shortened_since(capsys: pytest.CaptureFixture[str]) -> None:
    Path("privacy.toml").write_text(TOML.replace("retention_days = 30", "retention_days = 7"))
    fill(*aged([0, 6, 7, 29]))
    run(capsys, "purge")
    assert days_kept() == [0, 6]


def test_purge_needs_no_key(capsys: pytest.CaptureFixture[str]) -> None:
    fill(*aged([30]), secret=OTHER)
    assert run(capsys, "purge")[0] == 0
    assert days_kept() == []


@pytest.mark.sqlite
def test_what_was_purged_is_in_no_file_any_more(capsys: pytest.CaptureFixture[str]) -> None:
    fill(*aged([30, 1]))
    sealed = {row["day"]: row["value"] for row in query("SELECT day, value FROM field JOIN submission ON submission.id = field.submission")}
    run(capsys, "purge")
    found = b"".join(path.read_bytes() for path in Path().glob("privacy.db*"))
    assert sealed[TODAY - 30] not in found
    assert sealed[TODAY - 1] in found
    assert len(query("SELECT * FROM subject")) == 1


def test_old_audit_entries_go_with_the_purge(capsys: pytest.CaptureFixture[str]) -> None:
    fill()
    now = int(time.time() * 1000)
    for days in (401, 399):
        change("INSERT INTO audit (time, actor, action, object) VALUES (?, 'a', 'show', 'x')", now - days * 86_400_000)
    run(capsys, "purge")
    assert len(audited()) == 1


def test_the_last_day_that_is_told_is_the_last_day_that_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    [id_] = fill(*aged([29]))
    [row] = json.loads(run(capsys, "submissions", "list", "--format", "json")[1])
    assert row["id"] == id_
    assert date.fromisoformat(row["kept_until"]) == date_of(TODAY)
    run(capsys, "purge")
    assert days_kept() == [29]
