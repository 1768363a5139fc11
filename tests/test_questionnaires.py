"""Questionnaires: numbers by question, texts apart from all else, and never one person's answers together."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy_middleware.cli import main
from privacy_middleware.forms import Form
from privacy_middleware.record import submissions
from privacy_middleware.statistics import questionnaires
from privacy_middleware.statistics.questionnaires import Question, Results

from .databases import environ
from .requesting import SECRET, actions
from .serving_people import POLICY, People, serving_people


@pytest.fixture
def desk() -> Iterator[People]:
    with serving_people() as desk:
        yield desk


def form(desk: People) -> Form:
    return next(form for form in desk.office.declaration.forms if form.name == "poll")


def results(desk: People, *, fewest: int = 3, texts: bool = True) -> Results:
    return questionnaires.results(desk.store, desk.office.vault(), form(desk), fewest=fewest, texts=texts)


def question(found: Results, name: str) -> Question:
    return next(one for one in found.questions if one.name == name)


def answer(desk: People, amount: int, **values: str) -> None:
    for _ in range(amount):
        desk.send_form("poll", "", **values)


def test_answers_are_counted_by_question(desk: People) -> None:
    answer(desk, 6, found="friend", age="20 to 39")
    answer(desk, 3, found="search", age="under 20")
    found = results(desk)
    assert (found.total, question(found, "found").answers) == (9, (("friend", 6), ("search", 3)))
    assert dict(question(found, "age").answers) == {"20 to 39": 6, "under 20": 3}


def test_numbers_are_rounded_down_and_small_ones_hidden(desk: People) -> None:
    answer(desk, 5, found="friend")
    answer(desk, 2, found="search")
    found = results(desk)
    assert (found.total, question(found, "found").answers, question(found, "found").others) == (6, (("friend", 3), ("search", 0)), 0)


def test_of_too_few_nothing_is_shown(desk: People) -> None:
    answer(desk, 2, found="friend", comment="alone")
    assert results(desk) == Results("poll", "three questions", 0, ())


def test_with_one_as_the_fewest_all_is_shown(desk: People) -> None:
    answer(desk, 1, found="friend")
    assert dict(question(results(desk, fewest=1), "found").answers) == {"friend": 1, "search": 0}


def test_texts_are_redacted_and_in_the_order_of_the_alphabet(desk: People) -> None:
    for text in ("zebra", "write to anna.canary@example.org", "ant"):
        answer(desk, 1, other=text, comment="[e-mail] " + text[:3])
    assert question(results(desk), "other").texts == ("ant", "write to [e-mail]", "zebra")
    assert question(results(desk, texts=False), "found").texts == ()
    assert "other" not in {one.name for one in results(desk, texts=False).questions}


def test_no_text_shows_in_a_repr(desk: People) -> None:
    answer(desk, 3, comment="a canary")
    assert "canary" not in repr(question(results(desk), "comment"))


def test_what_was_not_accepted_or_may_only_be_stored_does_not_count() -> None:
    policy = POLICY.replace("[forms.fields]\nage =", '[forms.fields]\nemail = { treatment = "keep", identity = true }\nage =')
    with serving_people(policy=policy) as desk:
        answer(desk, 3, found="friend")
        desk.send_form("poll", found="search")
        desk.confirmed("restriction")
        assert results(desk).total == 3
        assert "email" not in {one.name for one in results(desk).questions}


def test_what_cannot_be_opened_is_counted_apart(desk: People) -> None:
    from .databases import change

    answer(desk, 4, found="friend")
    change("UPDATE field SET value = submission WHERE submission = (SELECT submission FROM field ORDER BY submission LIMIT 1)")
    assert (results(desk).total, results(desk).unreadable) == (3, 1)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(["friend", "search"]), max_size=40), st.integers(1, 6))
def test_one_person_more_or_less_never_shows_below_the_fewest(values: list[str], fewest: int) -> None:
    from privacy_middleware.forms import Field

    field = Field(treatment="choice", choices=("friend", "search"))
    shown = questionnaires._question("found", field, [[value] for value in values], fewest=fewest, texts=False)
    for _, amount in shown.answers:
        assert amount == 0 or amount >= fewest
        assert amount % fewest == 0
    assert shown.others % fewest == 0


# --- nobody's set ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def settled(desk: People, monkeypatch: pytest.MonkeyPatch) -> People:
    Path("privacy.toml").write_text(POLICY)
    for name, value in {**environ(), "PRIVACY_SECRET_KEYS": SECRET}.items():
        monkeypatch.setenv(name, value)
    return desk


def test_no_command_opens_one_persons_answers(settled: People, capsys: pytest.CaptureFixture[str]) -> None:
    sent = settled.send_form("poll", "", found="friend", comment="a canary's comment")
    assert main(["submissions", "show", sent.id.hex()]) == 1
    assert "shown question by question" in capsys.readouterr().err
    for format_ in ("csv", "json"):
        assert main(["submissions", "export", "--format", format_]) == 0
        printed = capsys.readouterr()
        assert "canary" not in printed.out
        assert "1 left out: answers without a name" in printed.err


def test_with_a_name_given_for_it_they_can_be_opened() -> None:
    policy = POLICY.replace("[forms.fields]\nage =", '[forms.fields]\nemail = { treatment = "keep", identity = true }\nage =')
    with serving_people(policy=policy) as desk:
        named, anonymous = desk.send_form("poll", found="friend"), desk.send_form("poll", "", found="friend")
        by_id = {one.id: one for one in submissions.find(desk.store, first=0, last=2**31)}
        assert submissions.may_be_opened(desk.store, by_id[named.id])
        assert not submissions.may_be_opened(desk.store, by_id[anonymous.id])


def test_the_command_shows_them_by_question_and_notes_it(settled: People, capsys: pytest.CaptureFixture[str]) -> None:
    answer(settled, 4, found="friend", comment="a canary's comment", age="20 to 39")
    assert main(["questionnaires"]) == 0
    out = capsys.readouterr().out
    assert "three questions: 3 people or more" in out
    assert "     3  friend" in out
    assert "    <3  search" in out
    assert out.count("- a canary's comment") == 4
    assert actions() == ["show questionnaires"]
    assert main(["questionnaires", "--form", "poll", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["total"] == 3
    assert main(["questionnaires", "--form", "contact"]) == 1


def test_a_text_cannot_act_on_a_terminal(settled: People, capsys: pytest.CaptureFixture[str]) -> None:
    answer(settled, 3, comment="\x1b[31mred\nline")
    assert main(["questionnaires"]) == 0
    assert "\x1b" not in capsys.readouterr().out
