"""One mail, and how it is sent: by a mail server, or by a callable of the host's (`send_mail`) that takes a `Mail`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

import msgspec

from .settings import SMTP_PORTS

if TYPE_CHECKING:
    import smtplib
    from email.message import EmailMessage

SECONDS: Final = 20.0
"""Longest wait for each answer of a mail server."""


class Mail(msgspec.Struct, frozen=True):
    """A mail to one address, in plain text and simple HTML."""

    kind: str
    """What it is for, like `confirm`."""
    to: str
    subject: str
    text: str
    html: str
    language: str = "en"
    message_id: str = ""
    """The same each time it is tried (without < and >): who gets it twice can tell."""

    def __repr__(self) -> str:
        """Without address and text: it may end up in a log or a traceback."""
        return f"Mail({self.kind!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """For tracebacks that show variables: without them, too."""
        return [("kind", self.kind)]


class NotNow(Exception):
    """One mail cannot be delivered at the moment; others perhaps can."""


class Undeliverable(Exception):
    """A mail can never be delivered: it is not tried again. Raised by whatever sends mails."""


Send = Callable[[Mail], Awaitable[None] | None]
"""Sends a mail, or raises: `Undeliverable` to give it up, anything else to be asked again later."""


def smtp(url: str, *, sender: str, name: str = "") -> Send:
    """Return what sends mails by the server of a URL: `smtp://`, `smtp+starttls://`, `smtps://`, with user and password if need be."""

    def send(mail: Mail) -> None:
        try:
            message = message_of(mail, sender=sender, name=name)
        except ValueError:  # a header that cannot be written: no server will take it
            raise Undeliverable from None
        with _connect(url) as server:
            _hand_over(server, message)

    return send


def message_of(mail: Mail, *, sender: str, name: str = "") -> EmailMessage:
    """Write a mail in the form of the wire (RFC 5322).

    Raises:
        ValueError: if there is a line end in the address or the subject.
    """
    from email.message import EmailMessage
    from email.policy import SMTP, SMTPUTF8
    from email.utils import format_datetime, formataddr

    message = EmailMessage(policy=SMTP if mail.to.isascii() else SMTPUTF8)
    message["From"] = formataddr((name, sender))
    message["To"] = mail.to
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = f"<{mail.message_id}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office notes
    message["Content-Language"] = mail.language
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    return message


def _hand_over(server: smtplib.SMTP, message: EmailMessage) -> None:
    """Send it, and tell a refusal for good from one for now; the text of a server's answer may hold the address."""
    import smtplib

    try:
        server.send_message(message)
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
    except smtplib.SMTPNotSupportedError:  # letters beyond ASCII in the address, and the server knows only those
        codes = [550]
    except smtplib.SMTPResponseException as error:
        codes = [error.smtp_code]
    else:
        return
    raise Undeliverable if min(codes) >= 500 else NotNow


def _connect(url: str) -> smtplib.SMTP:
    import smtplib
    import ssl

    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or SMTP_PORTS[parts.scheme]
    if parts.scheme == "smtps":
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=SECONDS, context=ssl.create_default_context())
    else:
        server = smtplib.SMTP(host, port, timeout=SECONDS)
    try:
        if parts.scheme == "smtp+starttls":
            server.starttls(context=ssl.create_default_context())
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
    except BaseException:
        server.close()
        raise
    return server
