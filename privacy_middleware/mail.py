"""One mail, and how it is sent: by a mail server, or by a callable of the host's (`send_mail`) that takes a `Mail`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
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
DATA_SECONDS: Final = 600.0
"""Longest wait for its answer to a mail (RFC 5321, 4.5.3.2.6): who gives up earlier sends it twice."""
LONGEST_ADDRESS: Final = 254
LONGEST_LOCAL: Final = 64


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


class Unsure(Exception):
    """The connection broke off when a mail was handed over: perhaps it is sent."""


class Undeliverable(Exception):
    """A mail can never be delivered: it is not tried again. Raised by whatever sends mails."""


Send = Callable[[Mail], Awaitable[None] | None]
"""Sends a mail, or raises: `Undeliverable` to give it up, `Unsure` to be asked once more, anything else to be asked again later."""


def is_mailable(address: str) -> bool:
    """Tell whether a normalised address can be written to from here: not those of machines inside, nor what a header reads otherwise."""
    local, _, domain = address.rpartition("@")
    labels = domain.split(".")
    is_outside = len(labels) > 1 and not labels[-1].isdigit()
    return is_outside and len(address) <= LONGEST_ADDRESS and len(local.encode()) <= LONGEST_LOCAL and "=?" not in address


def smtp(url: str, *, sender: str, name: str = "") -> Send:
    """Return what sends mails by the server of a URL: `smtp://`, `smtp+starttls://`, `smtps://`, with user and password if need be."""

    def send(mail: Mail) -> None:
        import smtplib

        try:
            data = message_of(mail, sender=sender, name=name).as_bytes()
        except Exception:  # an address that cannot be written: the standard library fails in many ways
            raise Undeliverable from None
        server = _connect(url)
        try:
            _hand_over(server, sender, mail.to, data)
            with suppress(OSError, smtplib.SMTPException):  # it is sent, whatever the server says to a farewell
                server.quit()
        finally:
            server.close()

    return send


def message_of(mail: Mail, *, sender: str, name: str = "") -> EmailMessage:
    """Write a mail in the form of the wire (RFC 5322).

    Raises:
        ValueError: if there is a line end in the address or the subject.
    """
    from email.headerregistry import Address
    from email.message import EmailMessage
    from email.policy import SMTP, SMTPUTF8
    from email.utils import format_datetime, formataddr

    if {"\r", "\n"} & {*mail.to, *mail.subject}:
        raise ValueError("a line end stands in the address or the subject")
    local, _, domain = mail.to.rpartition("@")
    policy = SMTP if mail.to.isascii() else SMTPUTF8
    message = EmailMessage(policy=policy.clone(cte_type="7bit"))
    message["From"] = formataddr((" ".join(name.split()), sender))
    message["To"] = Address(username=local, domain=domain)
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = f"<{mail.message_id}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office notes
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    message["Content-Language"] = mail.language
    return message


def _hand_over(server: smtplib.SMTP, sender: str, to: str, data: bytes) -> None:
    """Send a mail to just this address, and tell a refusal for good from one for now. The text of an answer may hold the address."""
    import smtplib

    options = () if to.isascii() else ("SMTPUTF8", "BODY=8BITMIME")
    server.ehlo_or_helo_if_needed()
    if options and not server.has_extn("smtputf8"):
        raise Undeliverable
    server.command_encoding = "utf-8" if options else "ascii"
    if server.mail(sender, options)[0] != 250:  # the sender is refused: that is for the owner to mend
        raise NotNow
    _check(server.rcpt(to)[0])
    if server.sock is not None:
        server.sock.settimeout(DATA_SECONDS)
    try:
        _check(server.data(data)[0])
    except smtplib.SMTPDataError as error:
        _check(error.smtp_code)
    except OSError:
        raise Unsure from None


def _check(code: int) -> None:
    if code >= 500:
        raise Undeliverable
    if code >= 300:
        raise NotNow


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
