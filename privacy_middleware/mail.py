"""One mail, and how it is sent: by a mail server, or by a callable of the host's (`send_mail`) that takes a `Mail`."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

import msgspec

from .values import SMTP_PORTS

if TYPE_CHECKING:
    import smtplib
    from email.message import EmailMessage

SECONDS: Final = 20.0
"""Longest wait for each answer of a mail server."""
DATA_SECONDS: Final = 600.0
"""Longest wait for its answer to a mail (RFC 5321, 4.5.3.2.6): who gives up earlier sends it twice."""
WHOLE_SECONDS: Final = 900.0
"""Longest time for one connection in all."""
MOST_A_CONNECTION: Final = 50
"""Mails over one connection: many servers take no more."""
_PLAIN_ADDRESS: Final = re.compile(r"[\w!#$%&'*+/=?^`{|}~.\-\u0080-\U0010ffff]+@[\w.\-\u0080-\U0010ffff]+")
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
    headers: dict[str, str] = {}
    """Further headers, such as Reply-To or List-Unsubscribe."""
    automatic: bool = True
    """False if a person wrote it."""

    def __repr__(self) -> str:
        """Without address and text: it may end up in a log or a traceback."""
        return f"Mail({self.kind!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """For tracebacks that show variables: without them, too."""
        return [("kind", self.kind)]


class NotNow(Exception):
    """One mail cannot be delivered at the moment; others perhaps can."""


class SenderRefused(Exception):
    """The mail server takes no mail from the address that mails are from: set PRIVACY_MAIL_FROM, or let it send."""


class Unsure(Exception):
    """The connection broke off when a mail was handed over: perhaps it is sent."""


class Undeliverable(Exception):
    """A mail can never be delivered: it is not tried again. Raised by whatever sends mails."""


Send = Callable[[Mail], Awaitable[None] | None]
"""Sends a mail, or raises: `Undeliverable` to give it up, `Unsure` to be asked once more, anything else to be asked again later."""


def ascii_address(address: str) -> str:
    """Return the address that mails are from, with an international domain as the wire has it (RFC 5890).

    Raises:
        ValueError: if a letter before the @ is not ASCII: few servers take that.
    """
    local, _, domain = address.rpartition("@")
    if not local.isascii():
        raise ValueError
    return f"{local}@{domain.encode('idna').decode('ascii')}"


def is_mailable(address: str) -> bool:
    """Tell whether a normalised address can be written to from here: not those of machines inside, nor what a header reads otherwise."""
    local, _, domain = address.rpartition("@")
    labels = domain.split(".")
    is_outside = len(labels) > 1 and not labels[-1].isdigit()
    return is_outside and len(address) <= LONGEST_ADDRESS and len(local.encode()) <= LONGEST_LOCAL and _is_plain(address)


def _is_plain(address: str) -> bool:
    """Tell whether nothing in an address can be taken for a comment, a group, or another address (RFC 5322, dot-atom)."""
    return bool(_PLAIN_ADDRESS.fullmatch(address)) and "=?" not in address and address.isprintable()


class Smtp:
    """Sends mails by the server of a URL: `smtp://`, `smtp+starttls://`, `smtps://`, with user and password if need be."""

    def __init__(self, url: str, *, sender: str, name: str = "") -> None:
        self._url = url
        self._sender = sender
        self._name = name

    def __repr__(self) -> str:
        """Without the address of the server: it holds a password."""
        return "Smtp()"

    def __call__(self, mail: Mail) -> None:
        """Send one mail over a connection of its own."""
        with self.session() as send:
            send(mail)

    @contextmanager
    def session(self) -> Iterator[Callable[[Mail], None]]:
        """Return what sends mails over one connection, made at the first; a new one follows after `MOST_A_CONNECTION`, or a fault."""
        import smtplib

        with ExitStack() as open_now:
            server: smtplib.SMTP | None = None
            sent = 0

            def send(mail: Mail) -> None:
                nonlocal server, sent
                try:  # the sender was checked at the start
                    data = bytes_of(mail, sender=self._sender, name=self._name)
                except Exception:  # of what cannot be written, the standard library fails in many ways
                    raise Undeliverable from None
                if server is not None and sent < MOST_A_CONNECTION:
                    try:
                        sent += 1
                        return _hand_over(server, self._sender, mail.to, data)
                    except (Undeliverable, NotNow, Unsure):
                        server = None
                        open_now.close()
                        raise
                    except (SenderRefused, OSError, smtplib.SMTPException):
                        server = None  # it takes no more over this connection; nothing of the mail was handed over yet
                self._say_goodbye(server)
                open_now.close()
                server, sent = open_now.enter_context(_connected(self._url)), 1
                try:
                    _hand_over(server, self._sender, mail.to, data)
                except BaseException:  # what the server thinks of the next mail is not known after this
                    server = None
                    open_now.close()
                    raise
                return None

            yield send
            self._say_goodbye(server)

    @staticmethod
    def _say_goodbye(server: smtplib.SMTP | None) -> None:
        import smtplib

        if server is not None:
            with suppress(OSError, smtplib.SMTPException):  # it is sent, whatever the server says to a farewell
                server.quit()


def bytes_of(mail: Mail, *, sender: str, name: str = "") -> bytes:
    """Write a mail for the wire. Its further headers stand in one line each: the standard library would encode a long address in one.

    Raises:
        ValueError: if something cannot stand in a header.
    """
    if not all(f"{header}{value}".isascii() and f"{header}{value}".isprintable() for header, value in mail.headers.items()):
        raise ValueError("a header holds what is not ASCII, or a line end")
    lines = "".join(f"{header}: {value}\r\n" for header, value in mail.headers.items())
    return lines.encode() + message_of(mail, sender=sender, name=name).as_bytes()


def message_of(mail: Mail, *, sender: str, name: str = "") -> EmailMessage:
    """Write a mail in the form of the wire (RFC 5322).

    Raises:
        ValueError: if the address or the subject cannot stand in a header.
    """
    from email.headerregistry import Address
    from email.message import EmailMessage
    from email.policy import SMTP, SMTPUTF8
    from email.utils import format_datetime, formataddr

    if not _is_plain(mail.to) or {"\r", "\n"} & set(mail.subject):
        raise ValueError("the address is none that can be written to, or a line end stands in the subject")
    local, _, domain = mail.to.rpartition("@")
    policy = SMTP if mail.to.isascii() else SMTPUTF8
    message = EmailMessage(policy=policy.clone(cte_type="7bit"))
    message["From"] = formataddr((" ".join(name.split()), sender))
    message["To"] = Address(username=local, domain=domain)
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = f"<{mail.message_id}>"
    if mail.automatic:
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office notes
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    message["Content-Language"] = mail.language
    return message


def _hand_over(server: smtplib.SMTP, sender: str, to: str, data: bytes) -> None:
    """Send a mail to just this address, and tell a refusal for good from one for now. The text of an answer may hold the address."""
    options = () if to.isascii() else ("SMTPUTF8", "BODY=8BITMIME")
    server.ehlo_or_helo_if_needed()
    if options and not server.has_extn("smtputf8"):
        raise Undeliverable
    server.command_encoding = "utf-8" if options else "ascii"
    if server.mail(sender, options)[0] != 250:  # that is for the owner to mend, and the same for every mail
        raise SenderRefused
    _check(server.rcpt(to)[0])
    if server.sock is not None:
        server.sock.settimeout(DATA_SECONDS)
    code, _ = server.docmd("DATA")
    if code != 354:
        _check(code)
        raise NotNow
    try:  # a line that begins with a dot gets another (RFC 5321, 4.5.2)
        server.send(re.sub(rb"(?m)^\.", b"..", data.removesuffix(b"\r\n")) + b"\r\n.\r\n")
        code, _ = server.getreply()
    except OSError:
        raise Unsure from None
    _check(code)


def _check(code: int) -> None:
    if code >= 500:
        raise Undeliverable
    if code >= 300:
        raise NotNow


@contextmanager
def _connected(url: str) -> Iterator[smtplib.SMTP]:
    """Connect, and cut the connection when the whole takes too long: time-outs of single answers do not bound a server that drips."""
    import smtplib
    import ssl

    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or SMTP_PORTS[parts.scheme]
    is_tls = parts.scheme == "smtps"
    server = smtplib.SMTP_SSL(timeout=SECONDS, context=ssl.create_default_context()) if is_tls else smtplib.SMTP(timeout=SECONDS)
    cutter = threading.Timer(WHOLE_SECONDS, _cut, (server,))
    cutter.daemon = True
    cutter.start()
    try:
        server._host = host  # type: ignore[attr-defined]  # noqa: SLF001 - what the certificate must name; else only the constructor sets it
        code, _ = server.connect(host, port)
        if code != 220:
            raise ConnectionError(f"the mail server greets with {code}")
        if parts.scheme == "smtp+starttls":
            server.starttls(context=ssl.create_default_context())
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
        yield server
    finally:
        cutter.cancel()
        server.close()


def _cut(server: smtplib.SMTP) -> None:
    with suppress(OSError, AttributeError):
        if server.sock is not None:
            server.sock.shutdown(socket.SHUT_RDWR)
