"""Who did not ask for a purpose is in no export, no mailing and no preference: for generated people and what they permit."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from privacy_middleware.collect.visitor import date_of, day_of
from privacy_middleware.rights import disclosures

from . import databases
from .requesting import DAY
from .serving_people import POST, PRINTER, People

DEEDS = ("asks", "signs up", "says yes", "leaves", "objects", "is restricted", "is erased", "asks without an address", "answers a poll")
PEOPLE = st.lists(st.lists(st.sampled_from(DEEDS), max_size=6), min_size=1, max_size=5)


@contextmanager
def folder() -> Iterator[None]:
    """A folder and database of its own for each example."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        databases.current.begin()
        try:
            yield
        finally:
            databases.current.end()
            os.chdir(before)


class Life:
    """One person: what they did, and what follows from it."""

    def __init__(self, desk: People, number: int) -> None:
        self.desk = desk
        self.email = f"person{number}@example.org"
        self.token = ""
        self.has_asked = self.has_agreed = self.objects = False

    def do(self, deed: str) -> None:
        desk = self.desk
        desk.clock.now += 60
        if deed == "asks":
            desk.send_form("contact", self.email, message=f"question of {self.email}")
            self.has_asked = True
        elif deed == "signs up":
            self.token = desk.ask_for_news(self.email)
        elif deed == "says yes" and self.token:
            consent = desk.press(self.token)
            self.has_agreed = consent is not None and consent.is_in_force
        elif deed == "leaves" and self.token:
            desk.press(self.token, "leave")
            self.has_agreed = False
        elif deed in ("objects", "is restricted"):
            desk.confirmed("objection" if deed == "objects" else "restriction", self.email)
            self.objects = True
        elif deed == "is erased":
            desk.confirmed("erasure", self.email)
            desk.work()
            self.has_asked = self.has_agreed = self.objects = False
            self.token = ""
        elif deed == "asks without an address":
            desk.send_form("contact", "", message=f"question of {self.email}")
        elif deed == "answers a poll":
            desk.send_form("poll", "", found="friend", comment=f"comment of {self.email}")


@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@given(PEOPLE)
def test_who_did_not_ask_for_a_purpose_is_never_served_for_it(people: list[list[str]]) -> None:
    with folder():
        desk = People(also=PRINTER + POST, limits="address=100,network=100,all=1000", database_url=databases.current.url())
        try:
            lives = [Life(desk, number) for number in range(len(people))]
            for number in range(max(map(len, people), default=0)):
                for life, deeds in zip(lives, people, strict=True):
                    if number < len(deeds):
                        life.do(deeds[number])
            desk.clock.now += 60
            desk.issue()
            assert sorted(desk.got()) == sorted(life.email for life in lives if life.has_agreed and not life.objects)
            exported = {
                purpose: given_to(desk, name, purpose) for name, purpose in (("printer-ltd", "answer"), ("post-letters", "newsletter"))
            }
            assert set(exported["answer"]) == {life.email for life in lives if life.has_asked and not life.objects}
            assert set(exported["newsletter"]) == {life.email for life in lives if life.has_agreed and not life.objects}
            fields = {name for found in exported.values() for values in found.values() for name in values}
            assert fields <= {"email", "message"}
            desk.clock.now += 2000 * DAY // 1000
            assert given_to(desk, "printer-ltd", "answer") == {}
        finally:
            desk.close()
            for one in (desk.privacy.recorder, desk.privacy.clerk, desk.privacy.postman):
                one.close()


def given_to(desk: People, name: str, purpose: str) -> dict[str, dict[str, Any]]:
    today = day_of(desk.now, desk.office.settings.zone)
    recipient = disclosures.recipient_of(desk.office, name, purpose, today=date_of(today))
    found = disclosures.people(desk.office, desk.store, recipient, today=today, everybody=True)
    return {str(one.fields["email"][0]): one.fields for one in found}
