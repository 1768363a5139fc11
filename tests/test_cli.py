"""The command line: config, status, stats, import, purge, as the person who runs the site sees them."""

import csv
import gzip
import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from privacy_middleware.cli import main
from privacy_middleware.collect.agent import Agent
from privacy_middleware.collect.hit import Hit
from privacy_middleware.collect.source import DIRECT
from privacy_middleware.collect.visitor import day_number, day_of
from privacy_middleware.settings import SETTINGS
from privacy_middleware.statistics.reports import DIMENSIONS
from tests.conftest import FIREFOX, hits, query

from .databases import make_store

KEY = "correct-horse-battery-staple-0123456789"
PERSON = Agent("Firefox", "Linux", "desktop", "")
TODAY = day_of(int(time.time() * 1000), UTC)
CONTROLLER = '[controller]\nname = "Bakery Ltd"\n'


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    try:
        code = main(arguments)
    except SystemExit as ended:  # argparse
        code = int(ended.code or 0)
    out = capsys.readouterr()
    return code, out.out, out.err


@pytest.fixture(autouse=True)
def show_every_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not shown for too few visitors is another matter: tests/test_disclosure.py."""
    monkeypatch.setenv("PRIVACY_SUPPRESS_BELOW", "1")


def hit(
    day: int, visitor: int | None = 1, *, page: str = "/", hour: int = 12, kind: int = 0, agent: Agent = PERSON, campaign: str = ""
) -> Hit:
    time = day * 86_400_000 + hour * 3_600_000
    return Hit(day, time, visitor, None, 0, page, "", kind, 200, DIRECT, campaign, agent, "", "", sent=0, aborted=0, duration=0)


def fill(hits_to_add: Iterable[Hit], *, salts: Iterable[int] = (), name: str = "privacy.db") -> None:
    store = make_store(name)
    store.open()
    with store.transaction():
        store.add_hits(list(hits_to_add))
    for day in salts:
        store.salt(day, bytes(32))
    store.close()


def log_line(path: str = "/", *, at: datetime | None = None) -> str:
    stamp = (at or datetime.now(UTC)).strftime("%d/%b/%Y:%H:%M:%S +0000")
    return f'192.0.2.1 - - [{stamp}] "GET {path} HTTP/1.1" 200 5 "-" "{FIREFOX}"\n'


# --- all commands ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [(), ("nonsense",), ("stats", "--format", "xml"), ("import",), ("config", "--secret")])
def test_wrong_use_is_exit_code_2(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert "usage: privacy-middleware" in err


@pytest.mark.parametrize("command", ["config", "status", "stats", "purge"])
def test_a_wrong_setting_is_told_without_a_traceback(command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PRIVACY_RETENTION_DAYS", "soon")
    code, out, err = run(capsys, command)
    assert (code, out) == (1, "")
    assert err.startswith("privacy-middleware: privacy_middleware cannot start:\n  - PRIVACY_RETENTION_DAYS")


def test_a_wrong_declaration_is_told_without_a_traceback(capsys: pytest.CaptureFixture[str]):
    Path("privacy.toml").write_text("[visits]\nitems = ['shoe_size']\n")
    code, _, err = run(capsys, "config")
    assert code == 1
    assert "'shoe_size'" in err


@pytest.mark.parametrize("command", ["status", "stats", "purge"])
@pytest.mark.sqlite
def test_a_missing_database_is_told_and_not_made(command: str, capsys: pytest.CaptureFixture[str]):
    code, out, err = run(capsys, command)
    assert (code, out) == (1, "")
    assert err.startswith(f"privacy-middleware: there is no database {Path('privacy.db').absolute()}; run this in")
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"SQLite format 3\0" + b"\xff" * 4096])
@pytest.mark.parametrize("command", ["status", "stats", "purge", "import"])
@pytest.mark.sqlite
def test_a_file_that_is_no_database_is_told_and_left_alone(command: str, content: bytes, capsys: pytest.CaptureFixture[str]):
    Path("privacy.db").write_bytes(content)
    Path("log").write_text(log_line())
    code, out, err = run(capsys, command, *(["log"] if command == "import" else []))
    assert (code, out) == (1, "")
    assert re.match("privacy-middleware: .*privacy.db cannot be (used|read) as a database", err)
    assert Path("privacy.db").read_bytes() == content
    assert not [file for file in Path().iterdir() if "damaged" in file.name]


@pytest.mark.sqlite
def test_a_folder_in_place_of_the_database_is_told(capsys: pytest.CaptureFixture[str]):
    Path("privacy.db").mkdir()
    code, _, err = run(capsys, "stats")
    assert code == 1
    assert "as a database" in err


def test_it_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "privacy_middleware", "config"], capture_output=True, text=True, check=True, env=module_environment()
    )
    assert "PRIVACY_DATABASE_URL" in done.stdout
    assert done.stderr == ""


def test_a_reader_who_has_enough_ends_it_quietly():
    process = subprocess.Popen(
        [sys.executable, "-m", "privacy_middleware", "config", "--table"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=module_environment(),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), errors) == (0, b"")


def module_environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}


# --- config ----------------------------------------------------------------------------------------------------------------


@pytest.mark.sqlite
def test_config_shows_every_setting_with_value_and_origin(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    Path("privacy.toml").write_text("[settings]\nretention_days = 7\n")
    monkeypatch.setenv("PRIVACY_IP", "none")
    code, out, err = run(capsys, "config")
    assert (code, err) == (0, "")
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines()}
    assert list(rows) == [setting.variable for setting in SETTINGS]
    assert rows["PRIVACY_RETENTION_DAYS"] == ["7", "privacy.toml"]
    assert rows["PRIVACY_IP"] == ["none", "environment"]
    assert rows["PRIVACY_PATH"] == ["/privacy", "default"]
    assert rows["PRIVACY_SECRET_KEYS"] == ["(empty)", "default"]


def test_config_masks_secrets(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PRIVACY_SECRET_KEYS", f"{KEY},{KEY[::-1]}")
    code, out, err = run(capsys, "config")
    assert code == 0
    assert KEY not in out + err
    assert KEY[::-1] not in out + err
    assert "*** (2 given)" in out


def test_config_makes_no_file(capsys: pytest.CaptureFixture[str]):
    run(capsys, "config")
    assert list(Path().iterdir()) == []


def test_config_shows_an_inline_policy_on_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PRIVACY_POLICY", CONTROLLER)
    _, out, _ = run(capsys, "config")
    assert len(out.splitlines()) == len(SETTINGS)


def test_config_prints_the_table_of_the_readme(capsys: pytest.CaptureFixture[str]):
    code, out, _ = run(capsys, "config", "--table")
    assert code == 0
    assert re.findall(r"^\| `(PRIVACY_\w+)` \|", out, re.MULTILINE) == [setting.variable for setting in SETTINGS]


# --- stats -----------------------------------------------------------------------------------------------------------------

DAY = day_number(date(2026, 5, 4))
PERIOD = ("--from", "2026-05-04", "--to", "2026-05-05")
TWO_DAYS = [
    hit(DAY, 1, page="/a"),
    hit(DAY, 1, page="/b", hour=13),
    hit(DAY, 2, page="/a"),
    hit(DAY + 1, 1, page="/a"),
    hit(DAY + 1, 1, page="/f.pdf", kind=1),
    hit(DAY + 1, 3, agent=Agent("", "", "", "search")),
]


def test_stats_as_json_have_exactly_the_keys_of_the_issue(capsys: pytest.CaptureFixture[str]):
    fill(TWO_DAYS)
    code, out, err = run(capsys, "stats", *PERIOD, "--by", "page", "--format", "json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert list(found) == [
        "from", "to", "visitors", "visits", "page_views", "downloads", "bounce_rate", "visit_seconds", "bot_hits", "rows",
    ]  # fmt: skip
    assert all({"value", "visitors", "visits", "page_views"} <= set(row) for row in found["rows"])


def test_stats_as_json_hold_the_figures(capsys: pytest.CaptureFixture[str]):
    fill(TWO_DAYS)
    found = json.loads(run(capsys, "stats", *PERIOD, "--by", "page", "--format", "json")[1])
    rows = found.pop("rows")
    assert found == {
        "from": "2026-05-04", "to": "2026-05-05", "visitors": 3, "visits": 4, "page_views": 4, "downloads": 1,
        "bounce_rate": 1.0, "visit_seconds": 0.0, "bot_hits": 1,
    }  # fmt: skip
    assert [(row["value"], row["visitors"], row["visits"], row["page_views"]) for row in rows] == [("/a", 3, 3, 3), ("/b", 1, 1, 1)]


def test_stats_as_json_without_a_dimension_have_no_rows(capsys: pytest.CaptureFixture[str]):
    fill(TWO_DAYS)
    assert json.loads(run(capsys, "stats", *PERIOD, "--format", "json")[1])["rows"] == []


def test_stats_as_csv_hold_a_row_for_each_value(capsys: pytest.CaptureFixture[str]):
    fill(TWO_DAYS)
    code, out, err = run(capsys, "stats", *PERIOD, "--by", "page", "--format", "csv")
    assert (code, err) == (0, "")
    head, *rows = csv.reader(io.StringIO(out))
    assert head[:4] == ["page", "visitors", "visits", "page_views"]
    assert [row[:4] for row in rows] == [["/a", "3", "3", "3"], ["/b", "1", "1", "1"]]


def test_stats_as_csv_without_a_dimension_are_one_row_of_totals(capsys: pytest.CaptureFixture[str]):
    fill(TWO_DAYS)
    head, *rows = csv.reader(io.StringIO(run(capsys, "stats", *PERIOD, "--format", "csv")[1]))
    assert len(rows) == 1
    totals = dict(zip(head, rows[0], strict=True))
    assert (totals["from"], totals["to"], totals["visits"], totals["bot_hits"]) == ("2026-05-04", "2026-05-05", "4", "1")
    assert "rows" not in totals


def test_stats_as_a_table_say_everything_in_words(capsys: pytest.CaptureFixture[str]):
    fill(TWO_DAYS)
    code, out, err = run(capsys, "stats", *PERIOD, "--by", "page")
    assert (code, err) == (0, "")
    for part in (
        "2026-05-04 to 2026-05-05",
        "visitors 3 ",
        "visits 4 ",
        "page views 4 ",
        "downloads 1",
        "bounce rate 100%",
        "hits of bots 1",
    ):
        assert part in out
    assert re.search(r"^/a +3 +3 +3", out, re.MULTILINE)


@pytest.mark.parametrize("by", DIMENSIONS)
@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_every_dimension_is_shown_in_every_format(by: str, form: str, capsys: pytest.CaptureFixture[str]):
    fill(TWO_DAYS)
    code, out, err = run(capsys, "stats", *PERIOD, "--by", by, "--format", form)
    assert (code, err) == (0, "")
    assert out.endswith("\n")


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_an_empty_period_is_shown_in_every_format(form: str, capsys: pytest.CaptureFixture[str]):
    fill([])
    assert run(capsys, "stats", "--by", "page", "--format", form)[0] == 0


@pytest.mark.parametrize("begin", list("=+-@\t\r"))
@pytest.mark.parametrize("rest", ["cmd|' /C calc'!A0", 'HYPERLINK("http://evil.example")', "1+1", '"', ",", "\n=1"])
def test_no_cell_of_the_csv_is_a_formula(begin: str, rest: str, capsys: pytest.CaptureFixture[str]):
    fill([hit(DAY, page=begin + rest)])
    _, out, _ = run(capsys, "stats", *PERIOD, "--by", "page", "--format", "csv")
    cells = [cell for row in csv.reader(io.StringIO(out, newline="")) for cell in row]
    assert any(rest.replace("\n=", "\n'=") in cell for cell in cells)
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_a_harmless_cell_of_the_csv_is_left_as_it_is(capsys: pytest.CaptureFixture[str]):
    fill([hit(DAY, page='/a,"b"/søg=1')])
    _, out, _ = run(capsys, "stats", *PERIOD, "--by", "page", "--format", "csv")
    assert list(csv.reader(io.StringIO(out)))[1][0] == '/a,"b"/søg=1'


@pytest.mark.parametrize(
    "text", ["yesterday", "2026-13-01", "2026-02-30", "01.05.2026", "", "2026-05-01T00:00", "9999-12-31", "0001-01-01", "1' OR '1'='1"]
)
@pytest.mark.parametrize("option", ["--from", "--to"])
def test_a_wrong_date_is_told_with_an_example(option: str, text: str, capsys: pytest.CaptureFixture[str]):
    fill([])
    code, out, err = run(capsys, "stats", option, text)
    assert (code, out) == (2, "")
    assert f"argument {option}: {text!r} is not" in err


def test_a_period_that_ends_before_it_begins_is_told(capsys: pytest.CaptureFixture[str]):
    fill([])
    code, _, err = run(capsys, "stats", "--from", "2026-05-05", "--to", "2026-05-04")
    assert code == 1
    assert "--from 2026-05-05 is after --to 2026-05-04; swap them" in err


def test_an_unknown_dimension_is_told_with_the_known_ones(capsys: pytest.CaptureFixture[str]):
    code, _, err = run(capsys, "stats", "--by", "shoe_size")
    assert code == 2
    for by in DIMENSIONS:
        assert by in err


def test_without_dates_the_last_30_days_are_shown_today_included(capsys: pytest.CaptureFixture[str]):
    fill([hit(TODAY - back, visitor=back) for back in (-1, 0, 1, 29, 30, 40)])
    found = json.loads(run(capsys, "stats", "--format", "json")[1])
    assert found["page_views"] == 3
    assert date.fromisoformat(found["to"]) - date.fromisoformat(found["from"]) == timedelta(days=29)


def test_days_are_the_owners(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PRIVACY_TIMEZONE", "Pacific/Kiritimati")  # 14 hours ahead
    fill([])
    found = json.loads(run(capsys, "stats", "--format", "json")[1])
    assert found["to"] == datetime.now(ZoneInfo("Pacific/Kiritimati")).date().isoformat()


def test_hours_are_the_owners(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PRIVACY_TIMEZONE", "Europe/Copenhagen")
    fill([hit(DAY, hour=12)])
    assert json.loads(run(capsys, "stats", *PERIOD, "--by", "hour", "--format", "json")[1])["rows"][0]["value"] == "14"


@pytest.mark.sqlite
def test_stats_change_nothing_but_what_is_counted(capsys: pytest.CaptureFixture[str]):
    fill(TWO_DAYS)
    before = query("SELECT * FROM hit")
    for form in ("table", "json", "csv"):
        run(capsys, "stats", "--format", form, "--by", "page")
    assert query("SELECT * FROM hit") == before
    counted = Path("privacy.db").read_bytes()
    run(capsys, "stats")
    assert Path("privacy.db").read_bytes() == counted


# --- status ----------------------------------------------------------------------------------------------------------------


def test_status_tells_what_is_stored_and_for_how_long(capsys: pytest.CaptureFixture[str]):
    Path("privacy.toml").write_text(CONTROLLER)
    fill([hit(TODAY), hit(TODAY - 1)], salts=[TODAY])
    code, out, err = run(capsys, "status")
    assert (code, err) == (0, "")
    today, yesterday = date(1970, 1, 1) + timedelta(days=TODAY), date(1970, 1, 1) + timedelta(days=TODAY - 1)
    assert re.search(rf"^hits +2, {yesterday} to {today}; kept for 30 days$", out, re.MULTILINE)
    assert re.search(rf"^salts +of {today}$", out, re.MULTILINE)
    assert re.search(r"^purged +never yet$", out, re.MULTILINE)
    assert re.search(r"^dropped +no visits$", out, re.MULTILINE)
    assert "problem" not in out


def test_status_tells_what_was_dropped_and_why(capsys: pytest.CaptureFixture[str]):
    fill([])
    store = make_store()
    store.open()
    with store.transaction():
        store.count({"dropped.queue_full": 3, "dropped.no_salt": 1, "choice.refuse": 2}, day=TODAY)
        store.count({"dropped.queue_full": 4}, day=TODAY - 1)
    store.close()
    _, out, _ = run(capsys, "status")
    assert re.search(r"^dropped +queue_full: 7$", out, re.MULTILINE)
    assert re.search(r"^dropped +no_salt: 1$", out, re.MULTILINE)
    assert re.search(r"^choice +refuse: 2$", out, re.MULTILINE)
    assert "nothing" not in out


def test_status_shows_no_key(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PRIVACY_SECRET_KEYS", KEY)
    fill([], salts=[TODAY])
    _, out, err = run(capsys, "status")
    assert KEY not in out + err


def test_nobody_responsible_is_a_problem(capsys: pytest.CaptureFixture[str]):
    fill([])
    code, out, _ = run(capsys, "status")
    assert code == 1
    assert re.search(r"^problem +the statement names nobody responsible", out, re.MULTILINE)


def test_visits_past_their_retention_are_a_problem(capsys: pytest.CaptureFixture[str]):
    Path("privacy.toml").write_text(CONTROLLER)
    fill([hit(TODAY - 40)])
    code, out, _ = run(capsys, "status")
    assert code == 1
    assert "privacy-middleware purge" in out


# --- import ----------------------------------------------------------------------------------------------------------------


def test_import_tells_what_it_did(capsys: pytest.CaptureFixture[str]):
    Path("log").write_text(log_line("/a") + "bad\n" + log_line("/b") + "\n")
    code, out, err = run(capsys, "import", "log")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "log: 4 lines: 2 imported, 0 known from before, 2 bad",
        "  line 2: not in the common or combined format",
        "  line 4: not in the common or combined format",
    ]
    assert [found["path"] for found in hits()] == ["/a", "/b"]


def test_a_second_import_tells_that_all_is_known(capsys: pytest.CaptureFixture[str]):
    Path("log").write_text(log_line("/a") * 3)
    run(capsys, "import", "log")
    Path("log.1.gz").write_bytes(gzip.compress(Path("log").read_bytes()))
    code, out, _ = run(capsys, "import", "log", "log.1.gz")
    assert code == 0
    assert out.splitlines() == [f"{name}: 3 lines: 0 imported, 3 known from before, 0 bad" for name in ("log", "log.1.gz")]


def test_several_logs_are_imported_in_one_go_and_the_same_one_once(capsys: pytest.CaptureFixture[str]):
    Path("a").write_text(log_line("/a"))
    Path("b").write_text(log_line("/b"))
    assert run(capsys, "import", "a", "b", "a")[0] == 0
    assert sorted(found["path"] for found in hits()) == ["/a", "/b"]


def test_a_log_without_a_good_line_is_a_failure(capsys: pytest.CaptureFixture[str]):
    Path("log").write_text("bad\n" * 12)
    code, out, _ = run(capsys, "import", "log")
    assert code == 1
    assert "12 bad" in out
    assert len(out.splitlines()) == 11


def test_a_missing_log_is_told_and_what_came_before_it_is_imported(capsys: pytest.CaptureFixture[str]):
    Path("a").write_text(log_line("/a"))
    code, out, err = run(capsys, "import", "a", "missing")
    assert code == 1
    assert "a: 1 lines: 1 imported" in out
    assert err.startswith("privacy-middleware: missing cannot be read")
    assert len(hits()) == 1


def test_a_dry_run_writes_no_file(capsys: pytest.CaptureFixture[str]):
    Path("log").write_text(log_line("/a") + "bad\n")
    code, out, err = run(capsys, "import", "--dry-run", "log")
    assert (code, err) == (0, "")
    assert out.startswith("log: 2 lines: 1 would be imported, 0 known from before, 1 bad\n")
    assert [file.name for file in Path().iterdir()] == ["log"]


def test_a_dry_run_knows_what_was_imported(capsys: pytest.CaptureFixture[str]):
    Path("log").write_text(log_line("/a"))
    run(capsys, "import", "log")
    Path("log").write_text(Path("log").read_text() + log_line("/b"))
    assert "1 would be imported, 1 known from before" in run(capsys, "import", "--dry-run", "log")[1]
    assert len(hits()) == 1


def test_excluded_paths_and_our_own_pages_are_not_imported(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PRIVACY_EXCLUDE_PATHS", "/health,/internal/*")
    monkeypatch.setenv("PRIVACY_PATH", "/about/privacy")
    kept = ["/", "/healthy", "/about", "/about/privacyX", "/internal"]
    dropped = ["/health", "/health/db", "/internal/x", "/about/privacy", "/about/privacy/", "/about/privacy/opt-out?x=1"]
    Path("log").write_text("".join(map(log_line, kept + dropped)))
    _, out, _ = run(capsys, "import", "log")
    assert sorted(found["path"] for found in hits()) == sorted(kept)
    assert f"{len(dropped)} excluded" in out


def test_an_import_says_what_the_next_purge_will_take(capsys: pytest.CaptureFixture[str]):
    Path("log").write_text(log_line("/old", at=datetime.now(UTC) - timedelta(days=40)) + log_line("/new"))
    assert "are older than PRIVACY_RETENTION_DAYS and go with the next purge" in run(capsys, "import", "log")[1]
    Path("young").write_text(log_line("/young", at=datetime.now(UTC) - timedelta(days=20)))
    assert "older" not in run(capsys, "import", "young")[1]


def test_an_import_follows_the_owners_time_zone(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PRIVACY_TIMEZONE", "Pacific/Kiritimati")
    Path("log").write_text(log_line("/", at=datetime(2026, 5, 4, 11, tzinfo=UTC)))
    run(capsys, "import", "log")
    assert hits()[0]["day"] == day_number(date(2026, 5, 5))


def test_an_import_takes_only_what_is_declared(capsys: pytest.CaptureFixture[str]):
    Path("privacy.toml").write_text('[visits]\nitems = ["time", "page"]\n')
    Path("log").write_text(log_line("/a"))
    run(capsys, "import", "log")
    [found] = hits()
    assert (found["path"], found["visitor"], found["browser"], found["status"]) == ("/a", None, "", 0)


# --- purge -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [1, 7, 30, 365])
def test_purge_deletes_what_is_due_and_only_that(days: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PRIVACY_RETENTION_DAYS", str(days))
    fill([hit(TODAY - back, page=f"/{back}") for back in sorted({0, 1, days - 1, days, days + 1, days + 2, days + 1000})])
    due = {days, days + 1, days + 2, days + 1000}
    code, out, err = run(capsys, "purge")
    assert (code, err) == (0, "")
    assert {found["path"] for found in hits()} == {f"/{back}" for back in {0, 1, days - 1} - due}
    assert out.startswith(f"deleted {len(due)} hits of days before {date(1970, 1, 1) + timedelta(days=TODAY - days + 1)}")


def test_purge_counts_days_by_the_owners_clock(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    zone: tzinfo = ZoneInfo("Pacific/Kiritimati")
    monkeypatch.setenv("PRIVACY_TIMEZONE", "Pacific/Kiritimati")
    today = day_of(int(time.time() * 1000), zone)
    fill([hit(today - 29), hit(today - 30)])
    run(capsys, "purge")
    assert [found["day"] for found in hits()] == [today - 29]


def test_purge_destroys_the_salts_older_than_yesterdays(capsys: pytest.CaptureFixture[str]):
    fill([], salts=[TODAY - 5, TODAY - 2, TODAY - 1, TODAY])
    _, out, _ = run(capsys, "purge")
    assert {row["day"] for row in query("SELECT day FROM salt")} == {TODAY - 1, TODAY}
    assert "2 salts" in out


def test_purge_removes_the_words_that_no_hit_uses(capsys: pytest.CaptureFixture[str]):
    fill([hit(TODAY - 99, page="/gone", campaign="ref=gone"), hit(TODAY, page="/here", campaign="ref=here")])
    run(capsys, "purge")
    assert query("SELECT path FROM page") == [{"path": "/here"}]
    assert query("SELECT value FROM campaign") == [{"value": "ref=here"}]


def test_what_is_purged_is_in_no_file_any_more(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("PRIVACY_SUPPRESS_BELOW")
    fill([hit(TODAY - 99, page="/canary-page")])
    run(capsys, "purge")
    assert b"canary-page" not in b"".join(file.read_bytes() for file in Path().glob("privacy.db*"))


def test_a_second_purge_finds_nothing(capsys: pytest.CaptureFixture[str]):
    fill([hit(TODAY - 99)])
    run(capsys, "purge")
    assert run(capsys, "purge")[1].startswith("deleted 0 hits")


def test_status_tells_when_was_purged(capsys: pytest.CaptureFixture[str]):
    fill([])
    run(capsys, "purge")
    assert re.search(rf"^purged +{date(1970, 1, 1) + timedelta(days=TODAY)}$", run(capsys, "status")[1], re.MULTILINE)
