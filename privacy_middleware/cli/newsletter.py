"""The command `newsletter`: send an issue to everybody who confirmed, see what became of it, and take addresses off the list."""

from __future__ import annotations

import argparse
import sys
import time
import uuid
from pathlib import Path
from typing import Any, Final

from tqdm import tqdm

from ..errors import PrivacyError
from ..language import Languages
from ..mail import Mail
from ..privacy import Privacy
from ..record.worker import LEASE_MS
from ..rights import consents, mails, newsletter
from ..rights.mailer import Mailer
from ..rights.newsletter import Issue, Turn
from ..rights.office import call
from ..statement.own_words import as_mail
from ..statement.versions import change_notice
from ..store.base import Store
from . import disclose
from .common import actor, instant, open_store, open_to_read, print_table, printable, text_of

SHORT_ID: Final = 10
WAIT_SECONDS: Final = 1.0
PATIENCE_SECONDS: Final = 20.0
"""How long nothing may move before we say that the app seems not to run."""


def add_commands(commands: Any) -> None:
    """Add it to the parser's commands."""
    group = commands.add_parser("newsletter", help="send a newsletter, see what became of it, take addresses off the list")
    actions = group.add_subparsers(required=True, metavar="ACTION")
    send = actions.add_parser(
        "send", help="send an issue (Markdown) to everybody who confirmed; run it again to go on where it was broken off"
    )
    what = send.add_mutually_exclusive_group(required=True)
    what.add_argument("file", nargs="?", metavar="FILE", help="Markdown; its first heading is the subject. - reads it from standard input")
    what.add_argument("--statement-change", action="store_true", help="tell what the last version of the privacy statement has changed")
    send.add_argument("--subject", default="", help="instead of the first heading")
    send.add_argument("--try", dest="trial", metavar="ADDRESS", help="send it to this address only, to see how it looks")
    send.add_argument("--count", action="store_true", help="say how many would get it, and send nothing")
    send.set_defaults(command=_send)
    status = actions.add_parser("status", help="how many get it, and what became of each issue")
    status.set_defaults(command=_status)
    again = actions.add_parser(
        "resend", help="send an issue again to those of whom nobody knows whether they got it; some may get it twice"
    )
    again.add_argument("id", metavar="ISSUE", help="as `status` shows it; the first letters are enough")
    again.set_defaults(command=_resend)
    invite = actions.add_parser("invite", help="ask those who signed up before there was a confirmation whether they want it")
    invite.set_defaults(command=_invite)
    remove = actions.add_parser("remove", help="take off the list who complained, or whose address is dead: one address a line")
    remove.add_argument("file", metavar="FILE", help="- reads it from standard input")
    remove.add_argument("--because", choices=("complaint", "bounce"), required=True)
    remove.set_defaults(command=_remove)
    export = actions.add_parser(
        "export", help="give the list to a mail service that is a declared recipient: as `disclose … --purpose newsletter`"
    )
    disclose.add_arguments(export)
    export.set_defaults(command=disclose.run, purpose="newsletter")


def _send(options: argparse.Namespace) -> int:
    privacy = Privacy.from_sources()
    if not privacy.settings.base_url:
        raise PrivacyError("each mail needs the link that stops it: set PRIVACY_BASE_URL to the site's public address")
    store = open_store(privacy)
    try:
        subject, text = _issue(privacy, store, options)
        if options.trial:
            return _try(privacy, options.trial, subject, text)
        if options.count:
            print(f"{newsletter.for_how_many(store, now=_now())} people would get “{printable(subject)}”")
            return 0
        with store.transaction():
            issue = newsletter.begin(store, subject=subject, text=text, actor=actor(), now=_now())
        if issue.ended is not None:
            print(f"“{printable(subject)}” was sent to everybody before")
        else:
            _deliver(privacy, store, issue)
        return _report(store, newsletter.get(store, issue.id))
    finally:
        store.close()


def _issue(privacy: Privacy, store: Store, options: argparse.Namespace) -> tuple[str, str]:
    if options.statement_change:
        language = Languages(privacy.settings.language, privacy.settings.statement_folder).get(privacy.settings.language)
        return newsletter.read_issue(change_notice(language, store, site=privacy.office.site, address=privacy.office.page("")))
    return newsletter.read_issue(text_of("-" if options.file == "-" else f"@{options.file}"), subject=options.subject)


def _try(privacy: Privacy, address: str, subject: str, text: str) -> int:
    if privacy.office.send is None:
        raise PrivacyError("no mail can be sent from here: set PRIVACY_SMTP_URL")
    reader = mails.Reader(address, privacy.settings.language)
    mail: Mail = mails.issue(privacy.office, reader, privacy.office.page("newsletter/…"), subject=subject, text=text, html=as_mail(text))
    call(privacy.office.send, mail)
    print(f"sent to {printable(address)} only; its link to stop it leads nowhere")
    return 0


def _deliver(privacy: Privacy, store: Store, issue: Issue) -> None:
    """Send it from here where mail can be sent from here; else the running app does, and we look on."""
    done = newsletter.progress(store, issue)
    total, before = sum(done), done.sent + done.refused + done.doubtful
    with tqdm(total=total, initial=before, unit="mail", desc="sending", file=sys.stderr) as bar:
        sender = _Sender(privacy, store)
        if privacy.office.send is None or not sender.may_begin():
            print("the running app sends it (Ctrl-C ends this look only)", file=sys.stderr)
            _look_on(store, issue, bar)
            return
        turn = sender.send(issue, bar)
        newsletter.end_bounced(privacy.office, store, now=_now())
        _catch_up(store, issue, bar)
    if turn.fault:
        raise PrivacyError(f"it was broken off ({turn.fault}); nothing is lost. Run the same command again, or let the running app go on")
    if turn.due is not None:
        print(f"some servers asked to come again; the running app does, or run the same command again after {instant(turn.due)}")


class _Sender:
    """Sends as the app's own thread does, under the same lease: never two at once."""

    def __init__(self, privacy: Privacy, store: Store) -> None:
        self.privacy = privacy
        self.store = store
        self.holder = uuid.uuid4().hex
        self._renew_at = 0.0

    def send(self, issue: Issue, bar: Any) -> Turn:
        """Send an issue; the bar moves with each mail."""

        def may_send() -> bool:
            bar.update(min(1, bar.total - bar.n))
            return time.monotonic() < self._renew_at or self.may_begin()

        try:
            return newsletter.send(self.privacy.office, self.store, issue, clock=_now, may_send=may_send)
        finally:
            self.store.give_lease_back(Mailer.lease, self.holder)

    def may_begin(self) -> bool:
        """Take the lease, or keep it; False if the running app, or another command, is sending."""
        now = _now()
        self._renew_at = time.monotonic() + LEASE_MS / 3000
        return self.store.take_lease(Mailer.lease, self.holder, now=now, until=now + LEASE_MS)


def _look_on(store: Store, issue: Issue, bar: Any) -> None:
    moved = time.monotonic()
    while newsletter.get(store, issue.id).ended is None:
        done = newsletter.progress(store, issue)
        so_far = done.sent + done.refused + done.doubtful
        if so_far > bar.n:
            bar.update(so_far - bar.n)
            moved = time.monotonic()
        elif time.monotonic() - moved > PATIENCE_SECONDS:
            raise PrivacyError("nothing moves; does the app run, and can it send mails? It goes on by itself when it does")
        time.sleep(WAIT_SECONDS)
    _catch_up(store, issue, bar)


def _catch_up(store: Store, issue: Issue, bar: Any) -> None:
    done = newsletter.progress(store, newsletter.get(store, issue.id))
    bar.update(max(0, done.sent + done.refused + done.doubtful - bar.n))


def _report(store: Store, issue: Issue) -> int:
    done = newsletter.progress(store, issue)
    print(f"sent: {done.sent}; refused by the address: {done.refused}; doubtful: {done.doubtful}; left: {done.left + done.later}")
    if done.doubtful:
        short = issue.id.hex()[:SHORT_ID]
        print(f"doubtful: broken off at that very mail. To send these again, knowing that some may get it twice: newsletter resend {short}")
    return 1 if done.left else 0


def _status(_: argparse.Namespace) -> int:
    store = open_to_read(Privacy.from_sources())
    try:
        counts = consents.counts(store)
        found = [(issue, newsletter.progress(store, issue)) for issue in newsletter.issues(store)]
    finally:
        store.close()
    print(f"get it: {counts['given']}; have not confirmed yet: {counts['asked']}; have stopped it: {counts['withdrawn']}")
    if counts["uninvited"]:
        print(f"signed up before there was a confirmation: {counts['uninvited']}; ask them with `privacy-middleware newsletter invite`")
    rows = [
        {
            "issue": issue.id.hex()[:SHORT_ID], "begun": instant(issue.begun), "ended": instant(issue.ended), "sent": done.sent,
            "refused": done.refused, "doubtful": done.doubtful, "left": done.left + done.later, "subject": issue.subject,
        }
        for issue, done in found
    ]  # fmt: skip
    if rows:
        print_table(rows, list(rows[0]))
    return 0


def _resend(options: argparse.Namespace) -> int:
    privacy = Privacy.from_sources()
    store = open_store(privacy)
    try:
        issue = newsletter.find(store, options.id)
        with store.transaction():
            again = newsletter.resend_doubtful(store, issue, actor=actor(), now=_now())
        print(f"{again} are sent again")
        if again:
            _deliver(privacy, store, newsletter.get(store, issue.id))
        return _report(store, newsletter.get(store, issue.id))
    finally:
        store.close()


def _invite(_: argparse.Namespace) -> int:
    privacy = Privacy.from_sources()
    if not privacy.settings.base_url:
        raise PrivacyError("the mail needs a link: set PRIVACY_BASE_URL to the site's public address")
    store = open_store(privacy)
    try:
        invited = consents.invite(privacy.office, store, actor=actor(), now=_now())
    finally:
        store.close()
    print(f"{invited} mails wait to be sent; who does not confirm within {consents.UNCONFIRMED_DAYS} days is deleted")
    return 0


def _remove(options: argparse.Namespace) -> int:
    privacy = Privacy.from_sources()
    lines = [
        line.strip().strip('"').split(",")[0].strip('" ')
        for line in text_of("-" if options.file == "-" else f"@{options.file}").splitlines()
    ]
    emails = list(filter(None, lines))
    store = open_store(privacy)
    try:
        removed = newsletter.remove(privacy.office, store, emails, why=options.because, actor=actor(), now=_now())
        store.checkpoint()
    finally:
        store.close()
    print(f"{removed} of {len(emails)} were on the list, and are off it now")
    if Path(options.file).exists():
        print(f"{printable(options.file)} holds people's addresses: delete it when you need it no more")
    return 0


def _now() -> int:
    return int(time.time() * 1000)
