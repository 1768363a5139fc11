"""Translations: every catalogue says all that the code says and nothing else, and who reads gets their own language."""

import importlib.util
import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time
from gettext import c2py
from pathlib import Path
from types import ModuleType

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st

from privacy_middleware.errors import SettingsError
from privacy_middleware.language import N_, OURS, Language, Languages
from privacy_middleware.mail import Mail
from privacy_middleware.privacy import Privacy
from privacy_middleware.rights import mails, requests
from privacy_middleware.rights.requests import Particulars
from privacy_middleware.sources import Erased, Kept
from privacy_middleware.values import REQUEST_KINDS

from .requesting import ANNA, Desk, at_desk

ROOT = Path(__file__).parents[1]
TRANSLATED = [code for code in OURS if code != "en"]
KNOWN = "Please confirm your request"
"""A message of which there is a translation."""
MAY = date(2026, 5, 4)


def load_tool() -> ModuleType:
    """tools/ is no package."""
    spec = importlib.util.spec_from_file_location("catalogues", ROOT / "tools" / "catalogues.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tool = load_tool()


@pytest.fixture(scope="module")
def template() -> Catalog:
    return tool.template()


def read(code: str) -> Catalog:
    with (tool.FOLDER / f"{code}.po").open("rb") as file:
        return read_po(file, locale=code)


def messages(catalog: Catalog) -> list[Message]:
    return [message for message in catalog if message.id]


def pairs(code: str) -> Iterator[tuple[str, str]]:
    """Each translation that there is, with the English text that it stands for."""
    catalog = read(code)
    form_of = c2py(catalog.plural_expr)
    for message in messages(catalog):
        if isinstance(message.id, tuple):
            for form, text in enumerate(message.string):
                numbers = [number for number in range(200) if form_of(number) == form]
                # A form for 1 alone may write it as a word; one that holds for 0 as well, as in French, may not.
                is_one = numbers == [1] and placeholders(text) == placeholders(message.id[0])
                if text:
                    yield message.id[0 if is_one else 1], text
        elif message.string:
            yield message.id, message.string


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"%\(\w+\)\w", text.replace("%%", "")))


def tags(text: str) -> Counter[str]:
    return Counter(re.findall(r"</?[a-z][^<>]*>", text))


def edges(text: str) -> tuple[str, str]:
    """The white space around a text."""
    return text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]


def can_be_filled_in(text: str) -> bool:
    try:
        text % {name[2:-2]: 1 for name in placeholders(text)}
    except (TypeError, ValueError, KeyError):
        return False
    return True


# --- the package's catalogues ----------------------------------------------------------------------------------------------


def test_there_is_a_catalogue_of_each_language_and_of_no_other() -> None:
    assert sorted(path.stem for path in tool.FOLDER.glob("*")) == sorted(TRANSLATED) == sorted(tool.LANGUAGES)


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_catalogue_lacks_no_message_of_the_code(code: str, template: Catalog) -> None:
    assert {message.id for message in messages(template)} - {message.id for message in messages(read(code))} == set()


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_catalogue_has_no_message_that_the_code_has_not(code: str, template: Catalog) -> None:
    catalog = read(code)
    assert {message.id for message in messages(catalog)} - {message.id for message in messages(template)} == set()
    assert not catalog.obsolete


@pytest.mark.parametrize("code", TRANSLATED)
def test_every_message_is_translated(code: str) -> None:
    assert list(tool.missing(read(code))) == []


@pytest.mark.parametrize("code", TRANSLATED)
def test_no_translation_is_a_guess(code: str) -> None:
    assert [message.id for message in messages(read(code)) if message.fuzzy] == []


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_translation_has_the_placeholders_of_the_english_text(code: str) -> None:
    assert [pair for pair in pairs(code) if placeholders(pair[0]) != placeholders(pair[1])] == []


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_translation_has_the_html_of_the_english_text(code: str) -> None:
    assert [pair for pair in pairs(code) if tags(pair[0]) != tags(pair[1])] == []


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_translation_has_no_percent_sign_that_breaks_it(code: str) -> None:
    assert [pair for pair in pairs(code) if can_be_filled_in(pair[0]) and not can_be_filled_in(pair[1])] == []


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_translation_begins_and_ends_with_the_white_space_of_the_english_text(code: str) -> None:
    assert [pair for pair in pairs(code) if edges(pair[0]) != edges(pair[1])] == []


@pytest.mark.parametrize("code", TRANSLATED)
def test_the_tool_would_change_nothing_in_a_catalogue(code: str, template: Catalog) -> None:
    assert tool.outdated(code, tool.updated(code, template)) == []


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_catalogue_can_be_used(code: str) -> None:
    language = Languages().get(code)
    assert language.code == code
    assert language.locale.language == code
    assert language.own("") == ""


# --- the tool that keeps them ----------------------------------------------------------------------------------------------


@pytest.fixture
def own_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tool at work on a package of two messages; its folder of catalogues."""
    package = tmp_path / "package"
    (package / "templates").mkdir(parents=True)
    (package / "translations").mkdir()
    (package / "one.py").write_text(
        'a = _("Yes")\nb = _.plural("one day", "%(number)s days", 2)\nc = N_("Marked")\nd = other("Not this")\n'
    )
    (package / "templates" / "a.html").write_text("<p>{% trans %}\n  In a\n  template{% endtrans %} {{ _('Yes') }}</p>")
    monkeypatch.setattr(tool, "PACKAGE", package)
    monkeypatch.setattr(tool, "FOLDER", package / "translations")
    return package / "translations"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["catalogues.py", *arguments])
    return int(tool.main())


def test_the_tool_finds_what_is_marked_in_code_and_templates_sorted_each_once(own_tool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "da") == 0
    with (own_tool / "da.po").open("rb") as file:
        found = [message.id for message in messages(read_po(file, locale="da"))]
    assert found == ["In a template", "Marked", "Yes", ("one day", "%(number)s days")]


def test_the_tool_writes_a_language_and_a_project_but_no_date_name_or_line(own_tool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch, "da")
    text = (own_tool / "da.po").read_text()
    header = text.partition("\n\n")[0]
    assert '"Language: da\\n"' in header
    assert '"Project-Id-Version: privacy-middleware\\n"' in header
    assert "charset=utf-8" in header
    assert "Plural-Forms: nplurals=2; plural=(n != 1);" in header
    assert not re.search(r"Date|Translator|Team|@|Generated|\d{4}", header)
    assert re.findall(r"^#: (.*)$", text, re.MULTILINE)[-1] == "privacy_middleware/one.py"
    assert "privacy_middleware/one.py privacy_middleware/templates/a.html" in text


def test_the_tool_changes_nothing_when_it_is_run_again(own_tool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch)
    before = {path.name: path.read_bytes() for path in own_tool.iterdir()}
    run(monkeypatch)
    assert {path.name: path.read_bytes() for path in own_tool.iterdir()} == before
    assert set(before) == {f"{code}.po" for code in TRANSLATED}


def translate(folder: Path, english: str, danish: str) -> None:
    path = folder / "da.po"
    path.write_text(path.read_text().replace(f'msgid "{english}"\nmsgstr ""', f'msgid "{english}"\nmsgstr "{danish}"'))


def test_the_tool_keeps_translations_drops_old_messages_and_guesses_nothing(own_tool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch, "da")
    translate(own_tool, "Yes", "Ja")
    translate(own_tool, "Marked", "Mærket")
    code = own_tool.parent / "one.py"
    code.write_text(code.read_text().replace('"Marked"', '"Marked!"'))
    run(monkeypatch, "da")
    text = (own_tool / "da.po").read_text()
    assert 'msgid "Yes"\nmsgstr "Ja"' in text
    assert 'msgid "Marked!"\nmsgstr ""' in text
    assert "Mærket" not in text
    assert "fuzzy" not in text


def test_a_translation_that_is_marked_as_fuzzy_counts_as_missing_and_stays_marked(own_tool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch, "da")
    translate(own_tool, "Yes", "Nej")
    path = own_tool / "da.po"
    path.write_text(path.read_text().replace('msgid "Yes"', '#, fuzzy\nmsgid "Yes"'))
    run(monkeypatch, "da")
    assert '#, fuzzy\nmsgid "Yes"\nmsgstr "Nej"' in path.read_text()
    assert "Yes" in tool.missing(tool.updated("da", tool.template()))


def test_check_names_what_is_missing_or_out_of_date_and_changes_nothing(
    own_tool: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--check", "da") == 1
    assert "da: there is no catalogue" in capsys.readouterr().out
    assert list(own_tool.iterdir()) == []

    run(monkeypatch, "da")
    capsys.readouterr()
    assert run(monkeypatch, "--check", "da") == 1
    assert "da: not translated: 'Yes'" in capsys.readouterr().out

    for english in ("In a template", "Marked", "Yes"):
        translate(own_tool, english, "Ja")
    path = own_tool / "da.po"
    path.write_text(path.read_text().replace('[0] ""', '[0] "en dag"').replace('[1] ""', '[1] "%(number)s dage"'))
    before = path.read_bytes()
    assert run(monkeypatch, "--check", "da") == 0
    assert capsys.readouterr().out == ""

    code = own_tool.parent / "one.py"
    code.write_text(code.read_text().replace('"Marked"', '"Anew"'))
    assert run(monkeypatch, "--check", "da") == 1
    out = capsys.readouterr().out
    assert "da: not in it: 'Anew'" in out
    assert "da: not in the code: 'Marked'" in out
    assert path.read_bytes() == before


# --- which language a reader gets ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accepted", "code"),
    [
        ("", "en"),
        ("da", "da"),
        ("DA", "da"),
        ("da-DK, da;q=0.9, en;q=0.8", "da"),
        ("de-AT", "de"),
        ("en;q=0.4, fr;q=0.9, de;q=0.5", "fr"),
        ("es;q=0.5, de;q=0.5", "es"),  # as good as each other: the first
        ("sv, nb;q=0.9, de;q=0.1", "de"),  # two that there are not
        ("sv", "en"),
        ("da;q=0, de;q=0.1", "de"),  # not this one, whatever else
        ("da;q=2, de;q=0.1", "de"),
        ("da;q=viel, de;q=0.1", "de"),
        ("da;q=nan, de;q=0.1", "de"),
        ("da;q=-1, de;q=0.1", "de"),
        ("da ; q=0.1 , de ; q=0.2", "de"),
        ("de;level=1;q=0.1, fr;q=0.2", "fr"),
        ("*", "en"),
        ("sv, *;q=0.5, da;q=0.1", "en"),
        (",,;,", "en"),
        ("danish", "en"),
    ],
)
def test_the_browser_gets_the_language_that_it_likes_best_of_those_there_are(accepted: str, code: str) -> None:
    assert Languages().choose("", accepted) == code


@pytest.mark.parametrize("code", OURS)
def test_who_chose_a_language_gets_it_whatever_the_browser_says(code: str) -> None:
    assert Languages().choose(code, "sv, fr;q=0.5") == code
    assert Languages().choose(code.upper(), "") == code


@pytest.mark.parametrize("wished", ["", "xx", "../da", "da.po", "d", "da\n", "<script>"])
def test_a_choice_that_there_is_not_is_as_none(wished: str) -> None:
    assert Languages().choose(wished, "fr") == "fr"
    assert Languages("de").choose(wished, "") == "de"


def test_the_default_is_for_who_asks_for_nothing_that_there_is() -> None:
    languages = Languages("da")
    assert languages.choose("", "") == languages.choose("", "sv") == languages.choose("", "*") == "da"
    assert languages.choose("", "en") == "en"
    assert languages.get("xx").code == languages.get("").code == "da"


@given(wished=st.text(max_size=10), accepted=st.text(alphabet="adefnrsx-;,=q.0159 *", max_size=60) | st.text(max_size=60))
def test_whatever_is_asked_for_the_answer_is_a_language_that_there_is(wished: str, accepted: str) -> None:
    assert Languages().choose(wished, accepted) in OURS


def test_a_header_of_any_length_is_read_in_part() -> None:
    assert Languages().choose("", "xx," * 100_000 + "da") == "en"


def test_a_language_is_read_once_and_only_when_it_is_needed() -> None:
    languages = Languages()
    assert not languages.is_loaded("es")
    first = languages.get("es")
    assert languages.is_loaded("es")
    assert languages.get("es") is first
    assert not languages.is_loaded("fr")


def test_each_language_is_named_in_itself() -> None:
    assert [Languages.name_of(code)[1] for code in OURS] == ["English", "Dansk", "Deutsch", "Español", "Français"]


# --- the owner's catalogues ------------------------------------------------------------------------------------------------

HEADER = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n'


def catalogue(folder: Path, name: str, texts: dict[str, str]) -> Path:
    """Write a catalogue of the owner's; returns its folder."""
    lines = [f'msgid "{english}"\nmsgstr "{translated}"\n' for english, translated in texts.items()]
    (folder / name).write_text("\n".join([HEADER, *lines]), encoding="utf-8")
    return folder


def test_the_owners_catalogue_goes_before_ours_and_falls_back_to_it(tmp_path: Path) -> None:
    other = "If you did not ask for it, you need not do anything."
    ours = Languages().get("es")
    mine = Languages("en", catalogue(tmp_path, "es.po", {KNOWN: "¡Confirma, por favor!"})).get("es")
    assert mine(KNOWN) == "¡Confirma, por favor!" != ours(KNOWN) != KNOWN
    assert mine(other) == ours(other) != other
    days = ("one day", "%(number)s days")
    assert [mine.plural(*days, number) for number in (1, 2)] == [ours.plural(*days, number) for number in (1, 2)]


def test_the_owners_catalogue_stays_theirs(tmp_path: Path) -> None:
    before = Languages().get("es")(KNOWN)
    Languages("en", catalogue(tmp_path, "es.po", {KNOWN: "¡Hola!"})).get("es")
    assert Languages().get("es")(KNOWN) == before


def test_texts_of_the_owners_own_are_translated_by_their_catalogue_and_else_stay_as_they_are(tmp_path: Path) -> None:
    languages = Languages("en", catalogue(tmp_path, "da.po", {"Orders at 100%": "Ordrer til 100%", "Empty": ""}))
    assert languages.get("da").own("Orders at 100%") == "Ordrer til 100%"
    assert languages.get("de").own("Orders at 100%") == "Orders at 100%"
    assert languages.get("da").own("Empty") == "Empty"
    assert languages.get("da").own("") == ""


def test_the_owner_can_reword_english(tmp_path: Path) -> None:
    languages = Languages("en", catalogue(tmp_path, "en.po", {KNOWN: "Kindly confirm"}))
    assert languages.codes == OURS
    assert languages.get("en")(KNOWN) == "Kindly confirm"


def test_a_catalogue_of_the_owners_adds_a_language_and_what_it_lacks_is_english(tmp_path: Path) -> None:
    languages = Languages("sv", catalogue(tmp_path, "sv.po", {KNOWN: "Bekräfta din begäran"}))
    swedish = languages.get("sv")
    assert languages.codes == (*OURS, "sv")
    assert languages.choose("", "sv-FI, da;q=0.5") == languages.choose("", "") == "sv"
    assert languages.name_of("sv") == ("sv", "Svenska")
    assert swedish(KNOWN) == "Bekräfta din begäran"
    assert swedish("Sign in") == "Sign in"
    assert swedish.day(MAY) == "4 maj 2026"
    assert swedish.country("DK") == "Danmark"


@pytest.mark.parametrize("name", ["pt_BR.po", "pt-BR.po", "pt-br.po"])
def test_a_language_of_one_country_is_another_language(name: str, tmp_path: Path) -> None:
    languages = Languages("en", catalogue(tmp_path, name, {KNOWN: "Confirme"}))
    assert languages.choose("", "pt-BR") == languages.choose("pt-br", "") == "pt-br"
    assert languages.choose("", "pt") == "en"
    assert languages.get("pt-br")(KNOWN) == "Confirme"
    assert languages.get("pt-br").day(MAY) == "4 de maio de 2026"
    assert languages.name_of("pt-br")[1].startswith("Português")


def test_other_files_in_the_owners_folder_are_no_catalogues(tmp_path: Path) -> None:
    (tmp_path / "purposes.md").write_text("# Purposes")
    (tmp_path / "sv.po~").write_text("")
    assert Languages("en", tmp_path).codes == OURS
    assert Languages("en", tmp_path / "none").codes == OURS


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("da.po", b"this is no catalogue"),
        ("da.po", HEADER.encode() + b'msgid "Yes"\nmsgstr "\xff\xfe"\n'),
        ("da.po", b'msgid ""\nmsgstr "Content-Type: text/plain; charset=none-such\\n"\n\nmsgid "Yes"\nmsgstr "Ja"\n'),
        ("klingon.po", HEADER.encode()),
        ("xx.po", HEADER.encode()),
    ],
)
def test_a_broken_catalogue_stops_the_start_and_is_named(name: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(SettingsError, match=re.escape(str(tmp_path / name))) as raised:
        Languages("en", tmp_path)
    assert "msgfmt -c" in str(raised.value)


def test_a_translation_of_the_owners_with_other_placeholders_stops_the_start(tmp_path: Path) -> None:
    """It would break every page that it stands on."""
    catalogue(tmp_path, "da.po", {"Visits from %(span)s": "Besøg fra %(spand)s"})
    with pytest.raises(SettingsError, match=re.escape(str(tmp_path / "da.po"))):
        Languages("en", tmp_path)


def test_a_folder_in_the_place_of_a_catalogue_is_named(tmp_path: Path) -> None:
    (tmp_path / "da.po").mkdir()
    with pytest.raises(SettingsError, match=re.escape(str(tmp_path / "da.po"))):
        Languages("en", tmp_path)


def test_every_broken_catalogue_is_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "da.po").write_bytes(b"no catalogue")
    (tmp_path / "klingon.po").write_text(HEADER)
    with pytest.raises(SettingsError) as raised:
        Languages("xx", tmp_path)
    assert len(raised.value.problems) == 3


def test_an_unknown_default_language_stops_the_start_and_says_what_is_known(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"PRIVACY_LANGUAGE is 'sv'.*en, da, de, es, fr"):
        Languages("sv")
    with pytest.raises(SettingsError, match=r"PRIVACY_LANGUAGE is 'sv'.*known are en, da, de, es, fr, nb"):
        Languages("sv", catalogue(tmp_path, "nb.po", {}))
    with pytest.raises(SettingsError, match="PRIVACY_LANGUAGE"):
        Privacy.from_sources({"language": "sv"}, {})


# --- dates, numbers, lists, countries --------------------------------------------------------------------------------------


def plain(text: str) -> str:
    """With ordinary spaces: which of the narrow ones stands between digits is Unicode's business, and has changed."""
    return re.sub(r"\s", " ", text)


def in_each(write: Callable[[Language], str]) -> dict[str, str]:
    return {code: plain(write(Languages().get(code))) for code in OURS}


def test_dates_are_written_in_the_readers_language() -> None:
    assert in_each(lambda _: _.day(MAY)) == {
        "en": "4 May 2026", "da": "4. maj 2026", "de": "4. Mai 2026", "es": "4 de mayo de 2026", "fr": "4 mai 2026",
    }  # fmt: skip
    assert in_each(lambda _: _.month(MAY)) == {
        "en": "May 2026", "da": "maj 2026", "de": "Mai 2026", "es": "mayo de 2026", "fr": "mai 2026",
    }  # fmt: skip
    assert in_each(lambda _: _.short_day(MAY)) == {"en": "4 May", "da": "4. maj", "de": "4. Mai", "es": "4 may", "fr": "4 mai"}


def test_times_have_24_hours_everywhere() -> None:
    assert set(in_each(lambda _: _.hour(time(14, 3))).values()) <= {"14:03", "14.03"}
    assert set(in_each(lambda _: _.hour(datetime(2026, 5, 4, 0, 0, tzinfo=UTC))).values()) <= {"00:00", "00.00"}
    assert in_each(lambda _: _.moment(datetime(2026, 5, 4, 14, 3, tzinfo=UTC)))["en"] == "4 May 2026, 14:03"


def test_numbers_are_written_in_the_readers_language() -> None:
    assert in_each(lambda _: _.number(1_234_567.5)) == {
        "en": "1,234,567.5", "da": "1.234.567,5", "de": "1.234.567,5", "es": "1.234.567,5", "fr": "1 234 567,5",
    }  # fmt: skip
    assert set(in_each(lambda _: _.number(7)).values()) == {"7"}


def test_shares_are_written_in_the_readers_language() -> None:
    assert in_each(lambda _: _.percent(0.25)) == {"en": "25%", "da": "25 %", "de": "25 %", "es": "25 %", "fr": "25 %"}
    assert in_each(lambda _: _.percent(0.255, decimals=1)) == {
        "en": "25.5%", "da": "25,5 %", "de": "25,5 %", "es": "25,5 %", "fr": "25,5 %",
    }  # fmt: skip


def test_lists_are_written_in_the_readers_language() -> None:
    words = ["a", "b", "c"]
    assert in_each(lambda _: _.listed(words)) == {
        "en": "a, b and c",
        "da": "a, b og c",
        "de": "a, b und c",
        "es": "a, b y c",
        "fr": "a, b et c",
    }
    assert in_each(lambda _: _.listed(words, "or")) == {
        "en": "a, b or c", "da": "a, b eller c", "de": "a, b oder c", "es": "a, b o c", "fr": "a, b ou c",
    }  # fmt: skip
    assert set(in_each(lambda _: _.listed(iter(["a"]))).values()) == {"a"}
    assert set(in_each(lambda _: _.listed([])).values()) == {""}


def test_countries_are_written_in_the_readers_language() -> None:
    assert in_each(lambda _: _.country("DE")) == {
        "en": "Germany",
        "da": "Tyskland",
        "de": "Deutschland",
        "es": "Alemania",
        "fr": "Allemagne",
    }
    assert in_each(lambda _: _.country("dk"))["fr"] == "Danemark"


@pytest.mark.parametrize("code", ["", "X9", "<b>", "unknown"])
def test_what_is_no_country_stays_as_it_is(code: str) -> None:
    assert set(in_each(lambda _: _.country(code)).values()) == {code}


@pytest.mark.parametrize("code", OURS)
def test_the_number_in_a_plural_is_written_in_the_readers_language(code: str) -> None:
    _ = Languages().get(code)
    assert _.number(1234) in _.plural("%(number)s thing", "%(number)s things", 1234)


def test_a_percent_sign_is_written_twice_and_a_marked_text_stays_as_it_is() -> None:
    assert Languages().get("en")("100%% of %(what)s", what="50%") == "100% of 50%"
    assert N_("100%") == "100%"


# --- the languages of mails ------------------------------------------------------------------------------------------------


def person_mails(desk: Desk, who: Particulars) -> Iterator[Mail]:
    """Every kind of mail that a person can get, of every kind of request that it can be about."""
    for kind in REQUEST_KINDS:
        with desk.store.transaction():
            request = requests.open_request(desk.office, desk.store, kind, who, now=desk.now)
        yield mails.confirm(desk.office, kind, who, "https://www.example.org/link")
        yield mails.received(desk.office, request, who, "https://www.example.org/link")
        yield mails.refused(desk.office, request, who, "No.")
        yield mails.extended(desk.office, request, who, "Later.")
        if kind in ("overview", "correction"):
            yield mails.ready(desk.office, request, who, "https://www.example.org/link")
        if kind not in ("overview", "erasure"):
            yield mails.fulfilled(desk.office, request, who, told=["Post"])
        yield mails.lifted(desk.office, request, who)
    outcomes = {"orders": Erased(2), "invoices": Kept("The law wants it.")}
    yield mails.receipt(desk.office, who, submissions=1, outcomes=outcomes, told=["Post"])
    yield mails.receipt(desk.office, who, submissions=0, outcomes={}, told=[])
    yield mails.answer(desk.office, who, "Later.")
    yield mails.sign_up(desk.office, who, "https://www.example.org/link")
    yield mails.already(desk.office, who, "https://www.example.org/link")


def owner_mails(desk: Desk) -> Iterator[Mail]:
    office, id_ = desk.office, bytes(16)
    for kind in REQUEST_KINDS:
        yield mails.to_review(office, kind, id_)
        yield mails.reminder(office, kind, id_, due=desk.now)
        yield mails.trouble(office, kind, id_, places=["a line"])
        yield mails.mind(office, kind, id_)
        yield mails.mind(office, kind, id_, lifted=True)
        yield mails.tell_recipients(office, kind, Particulars(ANNA, "fr"), names=["Post"])
    for kind in mails.TO_PERSON:
        yield mails.lost(office, kind, id_)
    for kind in mails.NOTICES:
        yield mails.pass_on(office, "Post", kind, id_, entry="0" * 32)
        yield mails.not_told(office, "Post", kind, id_, fault="a line")
    yield mails.sign_in(office, "https://www.example.org/link")
    yield mails.report(office, "May", ["Visits: 3"], [("Pages", ["3  /"])])


@pytest.mark.parametrize("code", OURS)
def test_a_person_is_written_to_in_the_language_of_their_request(code: str) -> None:
    with at_desk(language="fr") as desk:
        found = list(person_mails(desk, Particulars(ANNA, code)))
        assert {mail.kind for mail in found} == set(mails.TO_PERSON)
        for mail in found:
            assert mail.language == code
            assert f'<html lang="{code}">' in mail.html
            assert "%(" not in mail.subject + mail.text


@pytest.mark.parametrize("code", OURS)
def test_the_owner_is_written_to_in_the_language_of_the_settings(code: str) -> None:
    with at_desk(language=code) as desk:
        for mail in owner_mails(desk):
            assert mail.language == code
            assert f'<html lang="{code}">' in mail.html
            assert "%(" not in mail.subject + mail.text


@pytest.mark.parametrize("code", TRANSLATED)
def test_no_line_of_a_mail_stays_english(code: str) -> None:
    """Apart from names, links, and what somebody else wrote."""
    with at_desk(language=code) as desk, at_desk() as english:
        here = [*person_mails(desk, Particulars(ANNA, code)), *owner_mails(desk)]
        there = [*person_mails(english, Particulars(ANNA, "en")), *owner_mails(english)]
        for mine, theirs in zip(here, there, strict=True):
            assert mine.subject != theirs.subject
            same = set(mine.text.splitlines()) & set(theirs.text.splitlines())
            assert {line for line in same if " " in line.partition("://")[0]} <= {
                "Later.",
                "3  /",
                "Visits: 3",
                "invoices: The law wants it.",
            }


def test_days_in_a_mail_are_written_in_its_language() -> None:
    with at_desk() as desk, desk.store.transaction():
        for code in OURS:
            who = Particulars(ANNA, code)
            request = requests.open_request(desk.office, desk.store, "overview", who, now=desk.now)
            day = datetime.fromtimestamp(request.due / 1000, UTC).date()
            assert desk.office.languages.get(code).day(day) in mails.received(desk.office, request, who, "").text


def test_a_request_in_a_language_that_there_is_no_more_is_answered_in_the_default() -> None:
    with at_desk(language="fr") as desk:
        mail = mails.confirm(desk.office, "overview", Particulars(ANNA, "sv"), "https://www.example.org/link")
        assert mail.language == "fr"
        assert '<html lang="fr">' in mail.html


@pytest.mark.parametrize("rule", ["n%0", "n/0", "nonsense(n)"])
def test_a_catalogue_whose_plural_cannot_be_calculated_stops_the_start(rule: str, tmp_path: Path) -> None:
    text = f'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n"Plural-Forms: nplurals=2; plural={rule};\\n"\n'
    (tmp_path / "it.po").write_text(text)
    with pytest.raises(SettingsError, match=r"it\.po is no catalogue"):
        Languages("en", tmp_path)


def test_an_owners_own_text_may_hold_a_percent_sign(tmp_path: Path) -> None:
    text = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n\nmsgid "Call us any time"\nmsgstr "Ring til os 100 %."\n'
    (tmp_path / "da.po").write_text(text)
    assert Languages("en", tmp_path).get("da").own("Call us any time") == "Ring til os 100 %."
