"""The owner's own sections add to the statement, in each language, and cannot hide or change what it says."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from privacy_middleware import PrivacyMiddleware
from privacy_middleware.errors import SettingsError
from privacy_middleware.language import OURS, Languages, english
from privacy_middleware.privacy import Privacy
from privacy_middleware.statement.changes import changes
from privacy_middleware.statement.facts import digest
from privacy_middleware.statement.own_words import LONGEST, as_html, read_own_words
from privacy_middleware.statement.section import plain_text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "statement"
    made.mkdir()
    return made


def privacy(folder: Path, **settings: Any) -> Privacy:
    return Privacy.from_sources({"statement": str(folder), **settings}, {})


def test_a_section_of_ones_own_is_titled_by_its_heading_and_stands_in_every_language(folder: Path) -> None:
    (folder / "shop.md").write_text("# Our shop\n\nWe post parcels. *Gladly.*")
    (folder / "shop.da.md").write_text("# Vores butik\n\nVi sender pakker.")
    found = privacy(folder)
    for code in OURS:
        [section] = [one for one in found.sections(Languages().get(code)) if one.name == "shop"]
        assert section.title == ("Vores butik" if code == "da" else "Our shop")
    with TestClient(PrivacyMiddleware(Starlette(), statement=str(folder))) as client:
        html = client.get("/privacy/").text
        assert '<section id="shop">\n<h2>Our shop</h2>' in html
        assert "<em>Gladly.</em>" in html
        assert "Vi sender pakker." in client.get("/privacy/?lang=da").text


def test_a_file_without_a_heading_is_titled_by_its_name(folder: Path) -> None:
    (folder / "working-hours.md").write_text("From nine to five.")
    assert "Working hours" in [section.title for section in privacy(folder).sections(english())]


@pytest.mark.parametrize("name", [section.name for section in Privacy.from_sources({}, {}).sections(english())])
def test_words_at_the_head_of_one_of_our_sections_hide_nothing_of_it(name: str, folder: Path) -> None:
    before = {section.name: section for section in Privacy.from_sources({}, {}).sections(english())}
    (folder / f"{name}.md").write_text("Nothing is collected here. Never mind the rest.")
    after = {section.name: section for section in privacy(folder).sections(english())}
    assert set(after) == set(before)
    assert "Never mind the rest." in after[name].markdown
    for one, section in before.items():
        assert msgspec.structs.replace(after[one], markdown="") == msgspec.structs.replace(section, markdown="")


def test_no_html_of_theirs_reaches_the_page(folder: Path) -> None:
    for text in ("<script>alert(1)</script>", "a <b>bold</b> word", "<!-- no -->", "<style>section { display: none }</style>"):
        (folder / "own.md").write_text(f"One line.\n\n{text}\n")
        with pytest.raises(SettingsError, match=r"own\.md, line 3: there is HTML in it; write it as Markdown"):
            privacy(folder)


@pytest.mark.parametrize(
    "text",
    [
        "[x](javascript:alert(1))",
        "![x](https://spy.example/pixel.gif)",
        "[x](data:text/html,hi)",
        "`<script>`",
        "&lt;script&gt;",
        "[x](<vbscript:x>)",
    ],
)
def test_markdown_runs_nothing(text: str) -> None:
    html = str(as_html(text))
    assert "<script" not in html
    assert 'href="javascript' not in html
    assert 'href="data' not in html
    assert 'href="vbscript' not in html


def test_headings_of_theirs_go_below_those_of_the_statement() -> None:
    html = str(as_html("# One\n\n## Two"))
    assert "<h1" not in html
    assert "<h2" not in html
    assert "<h3>One</h3>" in html


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("Working Hours.md", b"x", "name it like working-hours.md"),
        ("shop.da.md", b"x", "shop.md is missing, though there is one of a language"),
        ("shop.md", b"\xff\xfe", "cannot be read"),
        ("shop.md", b"x" * (LONGEST + 1), "is longer than"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_remedy(name: str, content: bytes, said: str, folder: Path) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(SettingsError, match=said):
        read_own_words(folder)


def test_other_files_of_the_folder_are_left_alone(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")
    (folder / "shop.md.bak").write_text("old")
    assert read_own_words(folder) == {}
    assert read_own_words(None) == {}


def test_other_words_are_another_version_and_the_change_is_named(folder: Path) -> None:
    (folder / "shop.md").write_text("# Shop\n\nWe post parcels.")
    before = privacy(folder).facts
    (folder / "shop.md").write_text("# Shop\n\nWe post parcels and letters.")
    after = privacy(folder).facts
    assert digest(before) != digest(after)
    assert [change.words for change in changes(english(), before, after)] == ["Our own words (shop.md) has changed"]


def test_a_byte_order_mark_and_windows_lines_make_no_difference(folder: Path) -> None:
    (folder / "shop.md").write_bytes(b"\xef\xbb\xbf# Shop\r\n\r\nWe post parcels.\r\n")
    [section] = [one for one in privacy(folder).sections(english()) if one.name == "shop"]
    assert (section.title, section.markdown) == ("Shop", "We post parcels.")


def test_they_are_in_the_plain_text_and_in_the_document_for_programs(folder: Path) -> None:
    (folder / "shop.md").write_text("# Shop\n\nWe post parcels.")
    assert "We post parcels." in plain_text(privacy(folder).sections(english()))
    with TestClient(PrivacyMiddleware(Starlette(), statement=str(folder))) as client:
        document = client.get("/privacy/statement.json").json()
    assert [section["markdown"] for section in document["sections"] if section["name"] == "shop"] == ["We post parcels."]


def test_an_old_version_keeps_the_words_that_it_had(folder: Path) -> None:
    for words in ("We post parcels.", "We post nothing."):
        (folder / "shop.md").write_text(f"# Shop\n\n{words}")
        with TestClient(PrivacyMiddleware(Starlette(), statement=str(folder))) as client:
            client.get("/privacy/statement/changes")
            old = client.get("/privacy/statement/1").text
    assert "We post parcels." in old
    assert "We post nothing." not in old


def test_the_folder_beside_privacy_toml_is_found_and_none_beside_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "shop.md").write_text("# Shop\n\nWe post parcels.")
    monkeypatch.chdir("/")
    assert Privacy.from_sources({"database_url": f"sqlite:///{tmp_path}/p.db"}, {}).facts.own == {}
    (tmp_path / "privacy.toml").write_text('[controller]\nname = "Example"\n')
    found = Privacy.from_sources({"database_url": f"sqlite:///{tmp_path}/p.db", "policy": str(tmp_path / "privacy.toml")}, {})
    assert list(found.facts.own) == ["shop"]
    assert found.settings.statement_folder == folder
