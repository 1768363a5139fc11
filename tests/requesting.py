"""What the tests of data requests share: a small site with a contact form, a clock that the test moves, and mails that are only collected."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from typing import Any

from privacy_middleware.collect.visitor import day_of
from privacy_middleware.mail import Mail
from privacy_middleware.privacy import Host, Privacy
from privacy_middleware.record import submissions
from privacy_middleware.record.submissions import Submission, new_id
from privacy_middleware.rights import notices, requests
from privacy_middleware.rights.clerk import Clerk
from privacy_middleware.rights.postman import Postman
from privacy_middleware.rights.requests import Particulars, Request
from privacy_middleware.sources import Change, Erased, Kept
from privacy_middleware.vault import blind_index, normalise_email

from .conftest import query
from .databases import environ, make_store
from .test_recorder import Clock, until

SECRET = "secret-of-the-tests-" * 2
ANNA, OTTO = "anna.canary@example.org", "otto.canary@example.org"
OWNER = "owner@example.net"
TEXT = "a canary sings at night"
HOUR, DAY = 3_600_000, 86_400_000
POLICY = """
[controller]
name = "Example"
email = "owner@example.net"
[[forms]]
name = "contact"
path = "/contact"
purpose = "answer"
retention_days = 365
link_visit = true
[forms.fields]
email = { treatment = "keep", identity = true }
message = "keep"
phone = { treatment = "keep", correction = "auto", optional = true }
"""
RECIPIENT = """
[[recipients]]
name = "Printer Ltd"
purpose = "answer"
data = "addresses"
country = "Denmark"
"""


class Source:
    """A source of the host's: it notes what it was asked, and does what the test says."""

    def __init__(self, name: str = "accounts", *, erases: Callable[[str], Any] | None = None, rows: tuple[Any, ...] = ()) -> None:
        self.name = name
        self.erases = erases or (lambda _: Erased(1))
        self.rows = rows
        self.asked: list[str] = []
        self.changes: list[Change] = []
        self.corrects: Callable[[], Any] = lambda: None

    def export(self, subject: str) -> Any:
        return self.rows

    def correct(self, subject: str, changes: Any) -> Any:
        self.asked.append(subject)
        self.changes += changes
        return self.corrects()

    def erase(self, subject: str) -> Any:
        self.asked.append(subject)
        return self.erases(subject)


class Desk:
    """One worker of a site in the current folder: its office, a database connection of the test's own, its clerk, and its mails."""

    def __init__(
        self, *, sources: tuple[Any, ...] = (), mail: bool | Callable[[Mail], Any] = True, clock: Clock | None = None, **settings: Any
    ) -> None:
        self.mails: list[Mail] = []
        self.clock = clock or Clock()
        self.counts: dict[str, int] = {}
        send = self.mails.append if mail is True else mail or None
        given = {"base_url": "https://www.example.org", "secret_keys": SECRET, "policy": POLICY, **settings}
        self.privacy = Privacy.from_sources(given, environ(), host=Host(sources=sources, send_mail=send))
        self.office = self.privacy.office
        self.path = self.privacy.settings.database_path
        self.store = make_store(self.path)
        self.store.open()
        self.clerk = Clerk(make_store(self.path), self.office, count=self._count, clock=self.clock)
        self.postman = Postman(make_store(self.path), self.office, count=self._count, clock=self.clock)

    def _count(self, name: str, amount: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + amount

    @property
    def now(self) -> int:
        return int(self.clock() * 1000)

    def close(self) -> None:
        self.clerk.close()
        self.postman.close()
        self.postman.store.close()
        self.store.close()

    # --- what a visitor does -----------------------------------------------------------------------------------------------

    def submission(self, email: str = ANNA, *, message: str = TEXT, visitor: int | None = None, **more: Any) -> Submission:
        """What a visitor sends now with the contact form, as the intake makes it."""
        values = {"message": [message]} | ({"email": [email]} if email else {})
        day = day_of(self.now, UTC)
        facts: dict[str, Any] = {
            "id": new_id(), "form": "contact", "purpose": "answer", "day": day, "time": self.now, "expires": day + 365,
            "outcome": "accepted", "statement": b"digest", "visitor": visitor, "email": normalise_email(email), "values": values,
            "came": self.now if email else 0,
        }  # fmt: skip
        return Submission(**(facts | more))

    def submit(self, *emails: str, **more: Any) -> None:
        """Store what visitors send now."""
        with self.store.transaction():
            for email in emails or (ANNA,):
                submissions.add(self.store, self.office.vault(), self.submission(email, **more))

    def spool(self, email: str = ANNA, **more: Any) -> None:
        """Put what a visitor sends now into the spool."""
        self.office.spool.add(self.office.vault(), self.submission(email, **more))

    def ask(self, kind: Any = "erasure", email: str = ANNA, *, text: str = "") -> Request:
        """Ask for something; the mail with the link is queued, if one can be."""
        who = Particulars(normalise_email(email), text=text)
        with self.store.transaction():
            request = requests.open_request(self.office, self.store, kind, who, now=self.now)
            if self.office.can_ask:
                requests.ask_for_proof(self.office, self.store, request, who, now=self.now)
        return self.get(request)

    def confirm(self, request: Request) -> Request:
        """Press the button behind the link."""
        with self.store.transaction():
            return requests.confirm(self.office, self.store, request, now=self.now)

    def confirmed(self, kind: Any = "erasure", email: str = ANNA, *, text: str = "") -> Request:
        return self.confirm(self.ask(kind, email, text=text))

    def decide(self, decision: Callable[..., Any], request: Request, **more: Any) -> Any:
        """Do something with a request as the owner does: approve, refuse, extend, lift."""
        with self.store.transaction():
            return decision(self.office, self.store, request, actor="Berta", now=self.now, **more)

    def withdraw(self, request: Request) -> Request:
        with self.store.transaction():
            return requests.withdraw(self.office, self.store, request, now=self.now)

    # --- what the app does by itself ---------------------------------------------------------------------------------------

    def work(self) -> None:
        """Have the clerk do all that is due, and the postman send what waits."""
        self.clerk.hurry().result(20)
        self.rest()
        notices.deliver(self.office, self.store, now=self.now)
        self.send()

    def send(self) -> None:
        """Have the postman send what waits, here and now."""
        self.postman._turn()

    def rest(self) -> None:
        """Wait until the clerk has nothing to do."""
        until(lambda: self.clerk.is_idle)

    # --- what is there -----------------------------------------------------------------------------------------------------

    def get(self, request: Request) -> Request:
        return requests.get(self.store, request.id)

    def state(self, request: Request) -> str:
        return self.get(request).state

    def lookup(self, email: str = ANNA) -> bytes:
        with self.store.transaction():
            return blind_index(submissions.root_key(self.store, self.office.vault()), normalise_email(email))

    def messages(self, email: str = ANNA) -> list[str]:
        """The texts that are kept of a person."""
        subject = submissions.subject_of(self.store, self.lookup(email))
        found = submissions.of_subject(self.store, subject) if subject else []
        return sorted(str(submissions.read(self.store, self.office.vault(), stored)[1]["message"][0]) for stored in found)

    def to(self, email: str = ANNA) -> list[str]:
        """The kinds of the mails that somebody was sent."""
        return [mail.kind for mail in self.mails if mail.to == email]

    def answers(self, email: str = ANNA) -> list[str]:
        """The same, without those that ask for the proof."""
        return [kind for kind in self.to(email) if kind != "confirm"]

    def mail(self, kind: str) -> Mail:
        """The one mail of a kind that was sent."""
        [mail] = [mail for mail in self.mails if mail.kind == kind]
        return mail


@contextmanager
def at_desk(**more: Any) -> Iterator[Desk]:
    """A desk that is closed at the end."""
    one = Desk(**more)
    try:
        yield one
    finally:
        one.close()


def token_in(mail: Mail) -> str:
    """The one-time id in the link of a mail."""
    found = re.search(r"/requests/\w+/([\w-]+)", mail.text)
    assert found is not None
    return found[1]


def amount(table: str, where: str = "TRUE", **values: Any) -> int:
    """How many rows a table has."""
    return int(query(f"SELECT COUNT(*) AS n FROM {table} WHERE {where}", **values)[0]["n"])


def actions() -> list[str]:
    """What was noted in the audit log, in order."""
    return [row["action"] for row in query("SELECT action FROM audit ORDER BY id")]


def graves() -> list[str]:
    """The lines of the file with the tombstones."""
    file = Path("privacy.erased")
    return [line for line in file.read_text().splitlines() if line] if file.exists() else []


__all__ = [
    "ANNA", "DAY", "HOUR", "OTTO", "OWNER", "POLICY", "RECIPIENT", "SECRET", "TEXT", "Clock", "Desk", "Erased", "Kept", "Source", "actions",
    "amount", "at_desk", "graves", "query", "token_in",
]  # fmt: skip
