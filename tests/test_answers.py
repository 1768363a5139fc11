"""Answers to what people ask: mailed once, kept with the question, and gone with it."""

from collections.abc import Iterator

import pytest

from privacy_middleware.collect.visitor import day_of
from privacy_middleware.errors import PrivacyError
from privacy_middleware.record import submissions
from privacy_middleware.record.submissions import Stored
from privacy_middleware.rights import answers
from privacy_middleware.statistics.response_times import response_times

from .databases import contents
from .requesting import ANNA, DAY, HOUR, OTTO, OWNER, actions, amount
from .serving_people import OUR_ANSWER, People, serving_people


@pytest.fixture
def desk() -> Iterator[People]:
    with serving_people() as desk:
        yield desk


def ask(desk: People, email: str = ANNA) -> Stored:
    return stored(desk, desk.send_form("contact", email, message="Can canaries fly?").id)


def stored(desk: People, id_: bytes) -> Stored:
    found = submissions.find_one(desk.store, id_.hex())
    assert found
    return found


def send(desk: People, one: Stored, text: str = OUR_ANSWER, **more: bool) -> Stored:
    with desk.store.transaction():
        answers.send(desk.office, desk.store, one, text, actor="Berta", now=desk.now, **more)
    return stored(desk, one.id)


def test_an_answer_is_mailed_to_who_asked_and_kept_with_the_question(desk: People) -> None:
    one = ask(desk)
    send(desk, one)
    desk.send()
    mail = desk.mail("answer")
    assert (mail.to, mail.headers, mail.automatic) == (ANNA, {"Reply-To": OWNER}, False)
    assert OUR_ANSWER in mail.text
    assert "Can canaries fly?" not in mail.text
    assert mail.text.rstrip().endswith("/privacy/requests/")
    assert [reply.text for reply in answers.thread(desk.office, desk.store, one)] == [OUR_ANSWER]
    assert actions() == ["answer"]


def test_a_thread_has_its_answers_in_order(desk: People) -> None:
    one = ask(desk)
    send(desk, one, "first")
    desk.clock.now += 60
    send(desk, stored(desk, one.id), "second")
    assert [reply.text for reply in answers.thread(desk.office, desk.store, one)] == ["first", "second"]


def test_an_answer_is_nowhere_in_plain(desk: People) -> None:
    send(desk, ask(desk))
    assert b"canary was answered" not in contents()
    assert OUR_ANSWER not in repr(answers.thread(desk.office, desk.store, answers.queue(desk.store)[0]))


def test_retention_runs_from_the_last_answer_and_from_closing(desk: People) -> None:
    one = ask(desk)
    today = day_of(desk.now, desk.office.settings.zone)
    assert one.expires == today + 365
    desk.clock.now += 100 * DAY // 1000
    answered = send(desk, one)
    assert (answered.runs_from, answered.expires) == (today + 100, today + 465)
    desk.clock.now += 50 * DAY // 1000
    with desk.store.transaction():
        answers.close(desk.office, desk.store, answered, actor="Berta", now=desk.now)
    closed = stored(desk, one.id)
    assert (closed.runs_from, closed.expires) == (today + 150, today + 515)
    forms = desk.office.declaration.forms
    assert submissions.purge(desk.store, forms, today=today + 514) == 0
    assert submissions.purge(desk.store, forms, today=today + 515) == 1
    assert amount("reply") == amount("submission") == 0


def test_a_question_that_nobody_answers_goes_in_time(desk: People) -> None:
    one = ask(desk)
    assert submissions.purge(desk.store, desk.office.declaration.forms, today=one.day + 365) == 1


def test_the_queue_has_what_is_open_the_oldest_first(desk: People) -> None:
    first = ask(desk)
    desk.send_form("news", OTTO, name="Otto")
    desk.clock.now += DAY // 1000
    second = ask(desk, OTTO)
    assert [one.id for one in answers.queue(desk.store)] == [first.id, second.id]
    send(desk, first, close_it=True)
    assert [one.id for one in answers.queue(desk.store)] == [second.id]
    desk.confirmed("restriction", OTTO)
    assert answers.queue(desk.store) == []


@pytest.mark.parametrize(("form", "email"), [("news", ANNA), ("poll", "")])
def test_only_what_asks_for_an_answer_gets_one(desk: People, form: str, email: str) -> None:
    one = stored(desk, desk.send_form(form, email, **({"name": "A"} if form == "news" else {"found": "friend"})).id)
    with pytest.raises(PrivacyError, match="not to be answered"):
        send(desk, one)
    assert amount("mail") == amount("reply") == 0


def test_who_gave_no_address_cannot_be_answered_by_mail(desk: People) -> None:
    with pytest.raises(PrivacyError, match="no e-mail address"):
        send(desk, ask(desk, ""))


@pytest.mark.parametrize("text", ["", "  \n", "x" * 20_001])
def test_an_answer_says_something_and_not_too_much(desk: People, text: str) -> None:
    with pytest.raises(PrivacyError, match="the answer is"):
        send(desk, ask(desk), text)


def test_what_is_to_be_stored_only_is_not_answered(desk: People) -> None:
    one = ask(desk)
    desk.confirmed("restriction")
    with pytest.raises(PrivacyError, match="only be stored"):
        send(desk, one)


def test_what_is_closed_is_not_closed_twice(desk: People) -> None:
    closed = send(desk, ask(desk), close_it=True)
    with pytest.raises(PrivacyError, match="closed already"), desk.store.transaction():
        answers.close(desk.office, desk.store, closed, actor="Berta", now=desk.now)


@pytest.mark.parametrize(("hours", "step"), [(0, "4"), (3, "4"), (5, "24"), (30, "72"), (100, "168"), (500, "longer")])
def test_how_long_an_answer_took_is_counted_once(desk: People, hours: int, step: str) -> None:
    one = ask(desk)
    desk.clock.now += hours * HOUR // 1000
    send(desk, send(desk, one))
    times = response_times(desk.store, today=day_of(desk.now, desk.office.settings.zone))
    assert (times.total, times.half, times.steps[step]) == (1, step, 1)


def test_the_half_of_the_answers_came_within(desk: People) -> None:
    for hours in (0, 5, 5, 500):
        one = ask(desk)
        desk.clock.now += hours * HOUR // 1000
        send(desk, one)
    assert response_times(desk.store, today=day_of(desk.now, desk.office.settings.zone)).half == "24"


def test_an_overview_has_our_answers(desk: People) -> None:
    from privacy_middleware.rights.overview import gather

    send(desk, ask(desk))
    found = gather(desk.office, desk.store, desk.confirmed("overview"), now=desk.now)
    [row] = found.parts[0].rows
    assert OUR_ANSWER in row["answers"][0]


def test_an_erasure_takes_the_answers_along_also_those_that_wait(desk: People) -> None:
    send(desk, ask(desk))
    desk.confirmed("erasure")
    desk.work()
    assert amount("reply") == amount("submission") == 0
    assert desk.answers() == ["receipt"]


def test_an_address_inside_is_not_written_to(desk: People) -> None:
    with pytest.raises(PrivacyError, match="no e-mail address that could be written to"):
        send(desk, ask(desk, "root@localhost"))
