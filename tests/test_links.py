"""Links in mails: whom each opens to, for what, how long and how often; and that the stored ones open nothing."""

import secrets
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, get_args

import pytest

from privacy_middleware.record.submissions import root_key
from privacy_middleware.rights import links
from privacy_middleware.rights.links import LIFE, USES, Purpose
from privacy_middleware.rights.requests import Request

from .databases import make_store
from .requesting import ANNA, DAY, HOUR, OTTO, Desk, amount, at_desk, query, token_in
from .test_submissions import files, spellings

PURPOSES: tuple[Purpose, ...] = get_args(Purpose)


@pytest.fixture
def desk() -> Iterator[Desk]:
    with at_desk(mail=False) as one:
        yield one


@pytest.fixture
def request_of_anna(desk: Desk) -> Request:
    return desk.ask("overview")


def make(desk: Desk, request: Request, purpose: Purpose = "overview", **more: Any) -> str:
    with desk.store.transaction():
        return links.make(desk.store, root_key(desk.store, desk.office.vault()), request.id, purpose, now=more.get("now", desk.now))


def find(desk: Desk, token: str, purpose: Purpose = "overview", *, now: int | None = None) -> tuple[bytes, int] | None:
    root = root_key(desk.store, desk.office.vault())
    return links.find(desk.store, root, token, purpose, now=desk.now if now is None else now)


def use(desk: Desk, token: str) -> bool:
    with desk.store.transaction():
        return links.use(desk.store, root_key(desk.store, desk.office.vault()), token)


# --- what opens ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_link_opens_its_request_for_its_purpose(purpose: Purpose, desk: Desk, request_of_anna: Request) -> None:
    token = make(desk, request_of_anna, purpose)
    assert find(desk, token, purpose) == (request_of_anna.id, USES[purpose])


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_link_of_another_purpose_opens_nothing(purpose: Purpose, desk: Desk, request_of_anna: Request) -> None:
    token = make(desk, request_of_anna, purpose)
    assert [find(desk, token, other) for other in PURPOSES if other != purpose] == [None] * 3


def test_a_link_opens_no_other_request(desk: Desk, request_of_anna: Request) -> None:
    other = desk.ask("overview", OTTO)
    assert find(desk, make(desk, other)) == (other.id, 3)
    assert find(desk, make(desk, request_of_anna)) == (request_of_anna.id, 3)


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_link_opens_until_its_time_is_over(purpose: Purpose, desk: Desk, request_of_anna: Request) -> None:
    token = make(desk, request_of_anna, purpose)
    assert find(desk, token, purpose, now=desk.now + LIFE[purpose] - 1) is not None
    assert find(desk, token, purpose, now=desk.now + LIFE[purpose]) is None


def test_each_purpose_has_the_life_and_the_uses_that_the_mails_promise() -> None:
    assert LIFE == {"confirm": 24 * HOUR, "overview": 72 * HOUR, "correct": 72 * HOUR, "status": 400 * DAY}
    assert USES["confirm"] == 1
    assert USES["overview"] == 3


def test_a_link_that_was_purged_does_not_revive_when_the_clock_goes_back(desk: Desk) -> None:
    request = desk.confirmed("overview")
    token = make(desk, request)
    desk.clock.move(days=4)
    desk.work()
    assert amount("link", "purpose = 'overview' AND request = :id", id=request.id) == 0
    desk.clock.move(days=-4)
    assert find(desk, token) is None


def test_to_look_uses_nothing_up(desk: Desk, request_of_anna: Request) -> None:
    token = make(desk, request_of_anna)
    assert {find(desk, token) for _ in range(10)} == {(request_of_anna.id, 3)}


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_link_acts_as_often_as_it_may_and_not_oftener(purpose: Purpose, desk: Desk, request_of_anna: Request) -> None:
    token = make(desk, request_of_anna, purpose)
    assert [use(desk, token) for _ in range(5)] == [True] * USES[purpose] + [False] * (5 - USES[purpose])
    assert find(desk, token, purpose) == (request_of_anna.id, 0)


def test_links_of_one_request_and_purpose_share_their_uses(desk: Desk, request_of_anna: Request) -> None:
    several = [make(desk, request_of_anna) for _ in range(8)]
    assert use(desk, several[0])
    assert {found[1] for token in several if (found := find(desk, token))} == {2}
    assert use(desk, several[1])
    assert use(desk, several[2])
    assert [use(desk, token) for token in several] == [False] * 8


def test_a_use_of_one_purpose_leaves_the_others_alone(desk: Desk, request_of_anna: Request) -> None:
    one, other = make(desk, request_of_anna, "overview"), make(desk, request_of_anna, "status")
    use(desk, one)
    assert find(desk, other, "status") == (request_of_anna.id, 1)


def test_a_use_of_one_persons_link_leaves_anothers_alone(desk: Desk, request_of_anna: Request) -> None:
    one, other = make(desk, request_of_anna), make(desk, desk.ask("overview", OTTO))
    use(desk, one)
    found = find(desk, other)
    assert found is not None
    assert found[1] == 3


def test_a_use_that_is_rolled_back_was_none(desk: Desk, request_of_anna: Request) -> None:
    token = make(desk, request_of_anna)
    with suppress(ZeroDivisionError), desk.store.transaction():
        links.use(desk.store, root_key(desk.store, desk.office.vault()), token)
        raise ZeroDivisionError
    assert find(desk, token) == (request_of_anna.id, 3)


def test_two_workers_cannot_use_the_same_link_twice(desk: Desk, request_of_anna: Request) -> None:
    token, root = make(desk, request_of_anna, "confirm"), root_key(desk.store, desk.office.vault())
    other = make_store(desk.path)
    other.open()
    assert links.find(other, root, token, "confirm", now=desk.now) == (request_of_anna.id, 1)
    assert use(desk, token)
    with other.transaction():
        assert not links.use(other, root, token)
    other.close()


# --- what opens nothing ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["", "x", "%", "_" * 43, "' OR 1=1 --", "\0", "ü" * 43, "\ud800", "A" * 100_000])
def test_what_is_no_token_opens_and_uses_nothing(token: str, desk: Desk, request_of_anna: Request) -> None:
    make(desk, request_of_anna)
    assert find(desk, token) is None
    assert not use(desk, token)


def test_a_token_that_is_nearly_right_opens_nothing(desk: Desk, request_of_anna: Request) -> None:
    token = make(desk, request_of_anna)
    for wrong in (token[:-1], token + "=", token + "\n", " " + token, token.swapcase(), token[::-1]):
        assert find(desk, wrong) is None


def test_what_is_stored_of_a_link_opens_nothing(desk: Desk, request_of_anna: Request) -> None:
    make(desk, request_of_anna)
    for row in query("SELECT hash, request FROM link"):
        for value in row.values():
            assert find(desk, value.hex()) is None
            assert find(desk, value.decode("latin-1")) is None


def test_a_link_of_another_site_opens_nothing(desk: Desk, request_of_anna: Request) -> None:
    token = make(desk, request_of_anna)
    assert links.find(desk.store, secrets.token_bytes(32), token, "overview", now=desk.now) is None


def test_no_token_can_be_read_in_any_file(desk: Desk, request_of_anna: Request) -> None:
    token = make(desk, request_of_anna)
    found = files()
    assert not [spelling for spelling in spellings(token) if spelling in found]


def test_the_token_of_a_mail_that_waits_can_be_read_in_no_file() -> None:
    with at_desk() as desk:
        seen: list[str] = []
        desk.ask()
        before = files()
        desk.work()
        seen.append(token_in(desk.mail("confirm")))
        assert not [spelling for spelling in spellings(seen[0]) if spelling in before]


def test_tokens_are_long_and_never_the_same(desk: Desk, request_of_anna: Request) -> None:
    tokens = {make(desk, request_of_anna) for _ in range(200)}
    assert len(tokens) == 200
    assert {len(token) for token in tokens} == {43}
    assert all(character.isalnum() or character in "-_" for token in tokens for character in token)


def test_the_links_of_a_request_that_is_forgotten_open_nothing(desk: Desk) -> None:
    request = desk.ask("overview", ANNA)
    token = make(desk, request)
    desk.withdraw(request)
    assert find(desk, token) is None
