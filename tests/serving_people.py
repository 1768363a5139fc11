"""What the tests of answers, newsletter and recipients share: a site with a form of every purpose, and people who use them."""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Final

from privacy_middleware.collect.visitor import day_of
from privacy_middleware.mail import Mail
from privacy_middleware.record import submissions
from privacy_middleware.record.submissions import Submission, new_id
from privacy_middleware.rights import consents, newsletter
from privacy_middleware.rights.consents import Consent, Wording
from privacy_middleware.rights.newsletter import Issue
from privacy_middleware.vault import normalise_email

from .requesting import ANNA, Desk

HOOK_SECRET: Final = "whsec_" + base64.b64encode(b"a secret of the tests, 32 bytes.").decode()
PRINTER: Final = """
[[recipients]]
name = "Printer Ltd"
purpose = "answer"
fields = ["email", "message"]
country = "DK"
undertaking = { reference = "agreement 12", date = 2020-05-01 }
"""
POST: Final = """
[[recipients]]
name = "Post & Letters"
purpose = "newsletter"
fields = ["email"]
country = "DK"
undertaking = { reference = "agreement 13", date = 2020-05-01 }
"""
POLICY: Final = """
[controller]
name = "Example"
email = "owner@example.net"
[[forms]]
name = "contact"
title = "contact form"
path = "/contact"
purpose = "answer"
retention_days = 365
[forms.fields]
email = { treatment = "keep", identity = true, label = "Your address" }
message = "keep"
phone = { treatment = "keep", correction = "auto", optional = true }
[[forms]]
name = "news"
path = "/news"
purpose = "newsletter"
retention_days = 30
[forms.fields]
email = { treatment = "keep", identity = true }
name = "keep"
[[forms]]
name = "interests"
purpose = "personalised content"
retention_days = 60
[forms.fields]
topics = { treatment = "choice", choices = ["cats", "birds"], several = true }
size = { treatment = "choice", choices = ["small", "large"] }
[[forms]]
name = "poll"
title = "three questions"
path = "/poll"
purpose = "questionnaire"
retention_days = 90
[forms.fields]
age = { treatment = "bucket", edges = [20, 40] }
found = { treatment = "choice", choices = ["friend", "search"] }
comment = "redact"
other = "keep"
"""
OUR_ANSWER: Final = "a canary was answered"


class People(Desk):
    """A desk whose site has a form of every purpose."""

    def __init__(self, **more: Any) -> None:
        policy = more.pop("policy", POLICY) + more.pop("also", "")
        super().__init__(policy=policy, **more)

    def send_form(self, form: str, email: str = ANNA, **values: Any) -> Submission:
        """Store what somebody sends now with a form; values are texts or lists of them."""
        declared = next(one for one in self.office.declaration.forms if one.name == form)
        day = day_of(self.now, UTC)
        kept = {name: value if isinstance(value, list) else [value] for name, value in values.items()}
        if declared.identity and email:
            kept[declared.identity] = [email]
        sent = Submission(
            id=new_id(), form=form, purpose=declared.purpose, day=day, time=self.now, expires=day + declared.retention_days,
            outcome="accepted", statement=self.office.digest(), visitor=None, email=normalise_email(email) if declared.identity else "",
            values=kept, came=self.now,
        )  # fmt: skip
        with self.store.transaction():
            submissions.add(self.store, self.office.vault(), sent)
        return sent

    def ask_for_news(self, email: str = ANNA, **values: Any) -> str:
        """Sign up for the newsletter; returns the secret id in the mail."""
        before = len(self.mails)
        self.send_form("news", email, name="A canary", **values)
        self.work()
        [mail] = [mail for mail in self.mails[before:] if mail.kind in ("sign_up", "already")]
        return token_of(mail)

    def subscribe(self, email: str = ANNA) -> str:
        """Sign up, and say yes; returns the secret id."""
        token = self.ask_for_news(email)
        self.press(token)
        return token

    def press(self, token: str, action: str = "join") -> Consent | None:
        """Press a button behind the link."""
        with self.store.transaction():
            consent = consents.find(self.office, self.store, token)
            if consent is None:
                return None
            if action == "join":
                return consents.give(self.office, self.store, consent, Wording("da", "Yes, please."), now=self.now)
            return consents.withdraw(self.office, self.store, consent, actor="the person", now=self.now)

    def issue(self, text: str = "# News\n\nA canary *sang*.") -> Issue:
        """Begin an issue, and send what can be sent of it."""
        subject, text = newsletter.read_issue(text)
        with self.store.transaction():
            issue = newsletter.begin(self.store, subject=subject, text=text, actor="Berta", now=self.now)
        return self.go_on(issue)

    def go_on(self, issue: Issue) -> Issue:
        newsletter.send(self.office, self.store, issue, clock=lambda: self.now)
        return newsletter.get(self.store, issue.id)

    def got(self, kind: str = "issue") -> list[str]:
        """Who was sent mails of a kind."""
        return [mail.to for mail in self.mails if mail.kind == kind]


@contextmanager
def serving_people(**more: Any) -> Iterator[People]:
    """A desk that is closed at the end."""
    one = People(**more)
    try:
        yield one
    finally:
        one.close()


def token_of(mail: Mail) -> str:
    """The secret id in the link of a newsletter's mail."""
    return mail.text.partition("/newsletter/")[2].split()[0]


class Hooks:
    """A real web server that takes webhooks, and answers as the test says."""

    def __init__(self) -> None:
        self.status = 200
        self.taken: list[tuple[dict[str, str], bytes]] = []
        hooks = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                hooks.taken.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(hooks.status)
                self.send_header("location", "/elsewhere")
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: Any) -> None:
                """Nothing on the terminal."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/hook?site=1"

    @property
    def messages(self) -> list[dict[str, Any]]:
        """What was sent, each with a signature that a receiver takes."""
        for headers, body in self.taken:
            signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
            key = base64.b64decode(HOOK_SECRET.removeprefix("whsec_"))
            expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
            assert headers["webhook-signature"] == f"v1,{expected}"
        return [json.loads(body) for _, body in self.taken]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@contextmanager
def taking_hooks() -> Iterator[Hooks]:
    hooks = Hooks()
    try:
        yield hooks
    finally:
        hooks.close()


def hooked(recipient: str, url: str) -> str:
    """The declaration of a recipient with a webhook."""
    return recipient.rstrip() + f'\nwebhook = "{url}"\n'


INSIDE: Final = {"webhook_inside": "127.0.0.1/32", "webhook_secrets": f"printer-ltd={HOOK_SECRET},post-letters={HOOK_SECRET}"}
