"""A newsletter to 10,000 people by a real mail server, killed again and again: each gets it once, or not at all, and the doubt is shown."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from privacy_middleware.cli import main
from privacy_middleware.collect.visitor import day_of
from privacy_middleware.privacy import Privacy
from privacy_middleware.record import submissions
from privacy_middleware.record.submissions import Submission, new_id
from privacy_middleware.rights import consents
from privacy_middleware.rights.consents import Wording

from .conftest import query
from .requesting import SECRET
from .serving import ROOT
from .serving_people import POLICY
from .test_mail import MailServer, mail_server

PEOPLE = 10_000
KILLS = 8
LETTER = "# A letter to all\n\nA canary *sang*.\n"


class Inbox(MailServer):
    """Counts who got how many, and reads nothing else: ten thousand mails take long to parse."""

    def __init__(self) -> None:
        super().__init__()
        self.got: Counter[str] = Counter()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's
        self.got.update(envelope.rcpt_tos)
        return "250 OK"


def sign_everybody_up(people: int) -> None:
    """People who have all said yes, in one transaction: to do it by mail and page would take an hour."""
    privacy = Privacy.from_sources()
    office, store = privacy.office, privacy.store
    store.open()
    now = int(time.time() * 1000)
    day = day_of(now, privacy.settings.zone)
    with store.transaction():
        for number in range(people):
            email = f"person{number}@example.org"
            sent = Submission(
                id=new_id(), form="news", purpose="newsletter", day=day, time=now, expires=day + 30, outcome="accepted",
                statement=office.digest(), visitor=None, email=email, values={"email": [email]}, came=now,
            )  # fmt: skip
            submissions.add(store, office.vault(), sent)
            [row] = store.rows("/* test */ SELECT * FROM submission WHERE id = :id", id=sent.id)
            consent, _ = consents._new(office, store, submissions.Stored(**row), language="en", now=now)
            store.execute("/* test */ UPDATE consent SET given = asked, until = NULL WHERE id = :id", id=consent.id)
            assert number or consents.wording(office, store, consent) == Wording("en")
    store.close()


def test_a_mailing_that_is_killed_reaches_each_person_once_or_leaves_a_doubt(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    inbox = Inbox()
    with mail_server(handler=inbox) as server:
        settings = {
            "PRIVACY_POLICY": POLICY, "PRIVACY_SECRET_KEYS": SECRET, "PRIVACY_BASE_URL": "https://www.example.org",
            "PRIVACY_SMTP_URL": f"smtp://127.0.0.1:{server.port}", "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        sign_everybody_up(PEOPLE)
        Path("letter.md").write_text(LETTER)
        command = [sys.executable, "-m", "privacy_middleware", "newsletter", "send", "letter.md"]
        chance = random.Random("canary")
        for kill in range(1, KILLS + 1):
            before = inbox.got.total()
            sending = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            until_sent(inbox, sending, min(before + chance.randint(1, PEOPLE // KILLS), PEOPLE * kill // (KILLS + 1)))
            time.sleep(chance.random() / 100)
            os.kill(sending.pid, signal.SIGKILL)
            sending.wait()
            change_lease()
        assert main(["newsletter", "send", "letter.md"]) == 0
        out = capsys.readouterr().out
        found = re.search(r"sent: (\d+); refused by the address: 0; doubtful: (\d+); left: 0", out)
        assert found, out
        sent, doubtful = int(found[1]), int(found[2])
        assert max(inbox.got.values()) == 1
        assert sent + doubtful == PEOPLE
        assert doubtful <= KILLS
        assert sent <= inbox.got.total() <= sent + doubtful
        assert main(["newsletter", "send", "letter.md"]) == 0
        assert max(inbox.got.values()) == 1
        assert query("SELECT COUNT(*) AS n FROM delivery WHERE state = 'sending'")[0]["n"] == 0


def until_sent(inbox: Inbox, sending: subprocess.Popen[bytes], amount: int) -> None:
    end = time.monotonic() + 60
    while inbox.got.total() < amount and sending.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.002)


def change_lease() -> None:
    """Whoever was killed keeps its lease for half a minute; the test does not wait for that."""
    from .databases import change

    change("DELETE FROM lease WHERE name = 'newsletter'")
