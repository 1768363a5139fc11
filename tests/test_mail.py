"""Mails against real servers: what arrives, what is given up, what is tried again, and what can never be smuggled in."""

import asyncio
import ipaddress
import socket
import ssl
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import example, given, settings
from hypothesis import strategies as st

from privacy_middleware import mail as mail_module
from privacy_middleware.mail import Mail, NotNow, Smtp, Undeliverable, Unsure, bytes_of, message_of
from privacy_middleware.vault import normalise_email

ANNA, SENDER = "anna.canary@example.org", "privacy@example.net"
LETTER = Mail("confirm", ANNA, "Please confirm", "Hello\nAnna\n", "<p>Hello</p>", "en", "0123@example.net")


class Received(NamedTuple):
    """One mail as a server got it."""

    sender: str
    to: list[str]
    message: EmailMessage


class MailServer:
    """A mail server in a thread; `answers` says what it says to a command in place of 250, `login` who may send."""

    def __init__(self, *, answers: dict[str, str] | None = None, login: tuple[str, str] | None = None) -> None:
        self.answers = answers or {}
        self.login = login
        self.inbox: list[Received] = []
        self.tried: list[tuple[str, str]] = []
        self.port = 0
        self.limit = 0
        """How many mails it takes over one connection; 0: any number."""

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802 - aiosmtpd's
        if "MAIL" in self.answers:
            return self.answers["MAIL"]
        session.mails = getattr(session, "mails", 0) + 1
        if self.limit and session.mails > self.limit:
            return "421 too many mails over one connection"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802 - aiosmtpd's
        if "RCPT" in self.answers:
            return self.answers["RCPT"]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's
        if "DATA" in self.answers:
            return self.answers["DATA"]
        message = message_from_bytes(envelope.content, policy=default)
        self.inbox.append(Received(envelope.mail_from, list(envelope.rcpt_tos), message))
        return "250 OK"

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        given = (data.login.decode(), data.password.decode())
        self.tried.append(given)
        return AuthResult(success=given == self.login, handled=False)


@contextmanager
def mail_server(
    *, tls: ssl.SSLContext | None = None, is_tls_from_start: bool = False, utf8: bool = True, handler: MailServer | None = None, **more: Any
) -> Iterator[MailServer]:
    """A mail server of the test's own on this machine, on a free port."""
    server = handler or MailServer(**more)
    options: dict[str, Any] = {"enable_SMTPUTF8": utf8, "hostname": "test"}
    if tls and not is_tls_from_start:
        options |= {"tls_context": tls, "require_starttls": True}
    if server.login:
        options |= {"authenticator": server.authenticate, "auth_required": True}
    loop = asyncio.new_event_loop()

    async def listen() -> asyncio.Server:
        return await loop.create_server(lambda: SMTP(server, loop=loop, **options), "127.0.0.1", 0, ssl=tls if is_tls_from_start else None)

    listener = loop.run_until_complete(listen())
    server.port = listener.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(_end(listener), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _end(listener: asyncio.Server) -> None:
    listener.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.sleep(0.01)  # the transports close


@contextmanager
def raw_server(talk: Callable[[Any], None]) -> Iterator[int]:
    """A server that does with a connection what the test says; yields its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10)
    connections: list[socket.socket] = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connections.append(connection)
                with suppress(OSError, ValueError), connection.makefile("rwb", buffering=0) as file:
                    talk(file)
                connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        for one in (*connections, listener):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        thread.join(10)


def by_the_book(file: Any, **answers: bytes) -> None:
    """Talk SMTP as a server does that takes everything; `answers` are other answers than 250."""
    file.write(b"220 test\r\n")
    while line := file.readline():
        verb = line[:4].strip().upper().decode()
        if verb == "DATA":
            file.write(b"354 go on\r\n")
            while file.readline() not in (b".\r\n", b""):
                pass
        file.write(answers.get(verb, b"250 OK") + b"\r\n")
        if verb == "QUIT":
            return


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate, with its key, for 127.0.0.1 only."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = (
        builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1)).add_extension(names, critical=False)
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    pem += key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path_factory.mktemp("certificate") / "server.pem"
    path.write_bytes(pem)
    return path


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    """What a server speaks TLS with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine trusts that certificate."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits as long as the package would."""
    monkeypatch.setattr(mail_module, "SECONDS", 0.3)
    monkeypatch.setattr(mail_module, "WHOLE_SECONDS", 0.6)


def changed(**changes: Any) -> Mail:
    return Mail(**({name: getattr(LETTER, name) for name in LETTER.__struct_fields__} | changes))


def send(
    server: MailServer | int, mail: Mail = LETTER, *, scheme: str = "smtp", login: str = "", name: str = "Example", sender: str = SENDER
) -> None:
    port = server if isinstance(server, int) else server.port
    Smtp(f"{scheme}://{login}127.0.0.1:{port}", sender=sender, name=name)(mail)


def received(mail: Mail = LETTER, **more: Any) -> Received:
    """What arrives of a mail."""
    with mail_server() as server:
        send(server, mail, **more)
    [one] = server.inbox
    return one


# --- what arrives ----------------------------------------------------------------------------------------------------------


def test_a_mail_arrives_from_and_at_whom_it_says():
    one = received()
    assert (one.sender, one.to) == (SENDER, [ANNA])
    assert (one.message["From"], one.message["To"]) == (f"Example <{SENDER}>", ANNA)


def test_a_mail_arrives_in_plain_text_and_in_html():
    message = received().message
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert message.get_body(("plain",)).get_content().splitlines() == ["Hello", "Anna"]
    assert message.get_body(("html",)).get_content().strip() == "<p>Hello</p>"


def test_a_mail_has_the_headers_of_an_automatic_one():
    message = received(changed(language="da")).message
    assert message["Subject"] == "Please confirm"
    assert message["Message-ID"] == "<0123@example.net>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Content-Language"] == "da"
    assert parsedate_to_datetime(message["Date"]).tzinfo is not None


def test_a_mail_names_nothing_of_the_machine_or_the_program():
    message = received().message
    ours = {"From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Language", "MIME-Version", "Content-Type"}
    assert set(message.keys()) - ours <= {"X-Peer", "X-MailFrom", "X-RcptTo"}
    assert socket.gethostname() not in message.as_string()


@pytest.mark.parametrize("text", ["Grüße, Ærø ✉ 漢字", ".\n..\n.x", "x" * 3000, "From here\n", "", "a\tb"])
def test_a_text_arrives_as_it_was_written(text: str):
    message = received(changed(text=text, subject="Grüße ✉", html=f"<p>{text}</p>")).message
    assert message["Subject"] == "Grüße ✉"
    assert message.get_body(("plain",)).get_content().splitlines() == (text.splitlines() or [""])


def test_letters_beyond_ascii_in_the_name_of_the_sender_arrive():
    assert received(name="Bücher, Ærø & Söhne").message["From"].addresses[0].display_name == "Bücher, Ærø & Söhne"


def test_a_sender_without_a_name_is_just_the_address():
    assert received(name="").message["From"] == SENDER


def test_an_address_with_letters_beyond_ascii_gets_its_mail_from_a_server_that_knows_them():
    with mail_server() as server:
        send(server, changed(to="änna@example.org"))
    assert server.inbox[0].to == ["änna@example.org"]


def test_an_address_with_letters_beyond_ascii_is_given_up_by_a_server_that_does_not_know_them():
    with mail_server(utf8=False) as server, pytest.raises(Undeliverable):
        send(server, changed(to="änna@example.org"))


def test_an_address_in_ascii_needs_no_server_that_knows_other_letters():
    with mail_server(utf8=False) as server:
        send(server, changed(text="Grüße ✉", subject="Grüße ✉"))
    assert server.inbox[0].message["Subject"] == "Grüße ✉"


# --- in secret, and as whom ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("scheme", "from_start"), [("smtp+starttls", False), ("smtps", True)])
@pytest.mark.usefixtures("trusted")
def test_a_mail_goes_encrypted_to_a_server_that_is_trusted(scheme: str, from_start: bool, tls: ssl.SSLContext):
    with mail_server(tls=tls, is_tls_from_start=from_start) as server:
        send(server, scheme=scheme)
    assert len(server.inbox) == 1


@pytest.mark.parametrize(("scheme", "from_start"), [("smtp+starttls", False), ("smtps", True)])
def test_a_server_that_nobody_vouches_for_gets_nothing(scheme: str, from_start: bool, tls: ssl.SSLContext):
    with mail_server(tls=tls, is_tls_from_start=from_start) as server, pytest.raises(ssl.SSLCertVerificationError):
        send(server, scheme=scheme)
    assert server.inbox == []


@pytest.mark.usefixtures("trusted")
def test_a_server_of_another_name_gets_nothing(tls: ssl.SSLContext):
    with mail_server(tls=tls, is_tls_from_start=True) as server, pytest.raises(ssl.SSLCertVerificationError):
        Smtp(f"smtps://localhost:{server.port}", sender=SENDER)(LETTER)
    assert server.inbox == []


def test_a_server_that_offers_no_encryption_gets_neither_mail_nor_password():
    heard = b""

    def listen(file: Any) -> None:
        nonlocal heard
        file.write(b"220 test\r\n")
        while line := file.readline():
            heard += line
            file.write(b"250 AUTH PLAIN LOGIN\r\n" if line[:4] == b"ehlo" else b"250 OK\r\n")

    with raw_server(listen) as port, pytest.raises(OSError, match="STARTTLS"):
        send(port, scheme="smtp+starttls", login="anna:canary@")
    assert b"ehlo" in heard
    assert b"AUTH " not in heard.upper()
    assert b"MAIL" not in heard


@pytest.mark.parametrize(
    ("user", "password", "written"), [("anna", "secret", "anna:secret@"), ("a@b.org", "p:/@ %", "a%40b.org:p%3A%2F%40%20%25@")]
)
@pytest.mark.usefixtures("trusted")
def test_a_server_that_asks_for_a_password_gets_it(user: str, password: str, written: str, tls: ssl.SSLContext):
    with mail_server(tls=tls, login=(user, password)) as server:
        send(server, scheme="smtp+starttls", login=written)
    assert len(server.inbox) == 1


@pytest.mark.usefixtures("trusted")
def test_a_wrong_password_gives_no_mail_up(tls: ssl.SSLContext):
    with mail_server(tls=tls, login=("anna", "right")) as server, pytest.raises(OSError) as raised:  # noqa: PT011 - its kind says it
        send(server, scheme="smtp+starttls", login="anna:canary@")
    assert server.inbox == []
    assert "canary" not in str(raised.value)


# --- what a server answers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["RCPT", "DATA"])
@pytest.mark.parametrize("answer", ["421 busy", "450 try again", "451 greylisted", "452 full"])
def test_a_refusal_for_now_is_tried_again(command: str, answer: str):
    with mail_server(answers={command: answer}) as server, pytest.raises(NotNow):
        send(server)
    assert server.inbox == []


@pytest.mark.parametrize("command", ["RCPT", "DATA"])
@pytest.mark.parametrize("answer", ["550 no such person", "551 elsewhere", "552 too big", "553 no", "554 never"])
def test_a_refusal_for_good_gives_the_mail_up(command: str, answer: str):
    with mail_server(answers={command: answer}) as server, pytest.raises(Undeliverable):
        send(server)
    assert server.inbox == []


@pytest.mark.parametrize("answer", ["530 authentication required", "550 sender not allowed", "553 not your address", "451 later"])
def test_a_refusal_of_the_sender_gives_no_mail_up(answer: str):
    with mail_server(answers={"MAIL": answer}) as server, pytest.raises(Exception) as raised:  # noqa: PT011 - any but one
        send(server)
    assert not isinstance(raised.value, Undeliverable)


@pytest.mark.parametrize("answer", ["550 no such person", "450 later"])
def test_a_refusal_does_not_repeat_what_the_server_said_of_the_address(answer: str):
    with mail_server(answers={"RCPT": f"{answer} {ANNA}"}) as server, pytest.raises((NotNow, Undeliverable)) as raised:
        send(server)
    assert ANNA not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize("answer", [b"250 OK", b"421 bye", b"500 what?", b"221 bye", b"nonsense"])
def test_a_mail_that_was_accepted_is_sent_whatever_the_farewell(answer: bytes):
    with raw_server(lambda file: by_the_book(file, QUIT=answer)) as port:
        send(port)


def test_a_mail_that_was_accepted_is_sent_if_the_server_then_hangs_up():
    def talk(file: Any) -> None:
        with suppress(ZeroDivisionError):
            by_the_book(HangsUpAtQuit(file))

    with raw_server(talk) as port:
        send(port)


class HangsUpAtQuit:
    """A connection whose server closes it when the client says goodbye."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.write = file.write

    def readline(self) -> bytes:
        line = self.file.readline()
        return b"" if line[:4].upper() == b"QUIT" else line


def test_a_given_up_mail_stays_given_up_whatever_the_farewell():
    with raw_server(lambda file: by_the_book(file, RCPT=b"550 no", QUIT=b"421 bye")) as port, pytest.raises(Undeliverable):
        send(port)


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
def test_a_server_that_hangs_up_in_the_middle_gives_no_mail_up(verb: str):
    def talk(file: Any) -> None:
        file.write(b"220 test\r\n")
        while line := file.readline():
            if line[:4].upper().decode() == verb:
                return
            file.write(b"250 OK\r\n")

    with raw_server(talk) as port, pytest.raises((OSError, Unsure)) as raised:
        send(port)
    assert ANNA not in str(raised.value)


def test_a_server_that_is_away_gives_no_mail_up():
    with mail_server() as server:
        port = server.port
    with pytest.raises(ConnectionRefusedError):
        send(port)


@pytest.mark.parametrize("greeting", [b"421 too busy\r\n", b"554 go away\r\n"])
def test_a_server_that_greets_with_a_refusal_is_as_good_as_away(greeting: bytes):
    with raw_server(lambda file: file.write(greeting)) as port, pytest.raises(OSError):  # noqa: PT011 - its kind says it
        send(port)


def test_a_server_whose_name_nobody_knows_gives_no_mail_up():
    with pytest.raises(socket.gaierror):
        Smtp("smtp://mail.invalid", sender=SENDER)(LETTER)


@pytest.mark.parametrize("greeting", [b"", b"220 test\r\n"])
@pytest.mark.timeout(15)
@pytest.mark.usefixtures("impatient")
def test_a_server_that_says_nothing_is_not_waited_for_for_ever(greeting: bytes):
    def talk(file: Any) -> None:
        file.write(greeting)
        while file.read(1000):
            pass

    with raw_server(talk) as port, pytest.raises(OSError):  # noqa: PT011 - its kind says it
        send(port)


@pytest.mark.timeout(15)
@pytest.mark.usefixtures("impatient")
def test_a_server_that_answers_a_letter_at_a_time_is_not_waited_for_for_ever():
    def drip(file: Any) -> None:
        while file.write(b"2"):
            time.sleep(0.1)

    with raw_server(drip) as port, pytest.raises((OSError, NotNow)):
        send(port)


@pytest.mark.timeout(15)
@pytest.mark.usefixtures("impatient")
def test_a_server_that_never_ends_its_answer_is_not_listened_to_for_ever():
    def drone(file: Any) -> None:
        while file.write(b"220-and\r\n" * 100):
            time.sleep(0.01)

    with raw_server(drone) as port, pytest.raises(OSError):  # noqa: PT011 - its kind says it
        send(port)


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff" * 5000 + b"\r\n", b"220 " + b"x" * 100_000 + b"\r\n", b"\r\n"]
)
@pytest.mark.usefixtures("impatient")
def test_what_is_no_mail_server_gives_no_mail_up(answer: bytes):
    with raw_server(lambda file: file.write(answer)) as port, pytest.raises(Exception) as raised:  # noqa: PT011 - any but one
        send(port)
    assert not isinstance(raised.value, Undeliverable)


# --- what cannot be smuggled in --------------------------------------------------------------------------------------------

HEADERS = ["to", "subject", "message_id", "language"]


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
@pytest.mark.parametrize("place", HEADERS)
def test_a_line_end_in_a_header_is_never_sent(place: str, end: str):
    with mail_server() as server, pytest.raises(Undeliverable):
        send(server, changed(**{place: f"{getattr(LETTER, place)}{end}Bcc: otto@example.org"}))
    assert server.inbox == []


@pytest.mark.parametrize("smuggled", ["\n", "\r\n", "\r", "\x0bBcc: x", "\u2028Bcc: x", "\x85Bcc: x", "\0Bcc: x", "\x1bBcc: x"])
@pytest.mark.parametrize("place", HEADERS)
def test_nothing_in_a_header_adds_another(place: str, smuggled: str):
    with mail_server() as server, suppress(Undeliverable):
        send(server, changed(**{place: getattr(LETTER, place) + smuggled}))
    for one in server.inbox:
        assert one.message["Bcc"] is None
        assert one.message.get_body(("plain",)).get_content().splitlines() == ["Hello", "Anna"]


def test_a_name_of_the_controller_on_two_lines_still_sends_mails():
    assert received(name="Example\nLtd").message["From"] == f"Example Ltd <{SENDER}>"


@pytest.mark.parametrize(
    "to",
    [
        "(1)victim@x.org",
        "victim(2)@x.org",
        "victim@x.org(3)",
        "g:victim@x.org",
        "=?utf-8?q?victim?=@x.org",
        "a,victim@x.org",
        "A <victim@x.org>",
    ],
)
def test_a_mail_goes_to_no_other_address_than_its_own(to: str):
    with mail_server() as server, suppress(Undeliverable):
        send(server, changed(to=to))
    assert [one.to for one in server.inbox] in ([], [[to]])


LETTERS = st.text(alphabet="ab.@=?()[]:'ü\u0301_q~!#$%&*+-/^`{|}1\u2028\u200b", min_size=1, max_size=14)


@settings(max_examples=400, deadline=None)
@given(LETTERS, st.sampled_from(["x.org", "[1.2.3.4]", "x.org(c)", ".x", "x.org.", "a=?b", "[x", "(x"]))
@example("|{=#", "[x")
@example("/{/~.:##b", "x]")
@example("(]?).", ".x")
def test_of_any_address_either_a_mail_to_it_is_written_or_none(local: str, domain: str):
    to = normalise_email(f"{local}@{domain}")
    if not to:
        return
    try:
        message = message_of(changed(to=to), sender=SENDER)
    except ValueError:
        return
    [address] = message["To"].addresses
    assert f"{address.username}@{address.domain}" == to
    assert message.as_bytes()


# --- what it shows of itself -----------------------------------------------------------------------------------------------


def test_a_mail_shows_neither_address_nor_text():
    shown = repr(LETTER) + str(LETTER) + repr(LETTER.__rich_repr__())
    assert "confirm" in shown
    for value in (ANNA, "Hello", "Please"):
        assert value not in shown


def test_what_sends_shows_no_password():
    assert "canary" not in repr(Smtp("smtps://anna:canary@mail.example.org", sender=SENDER))


def test_a_long_header_stands_in_one_line_as_mail_programs_read_it():
    """What the standard library encodes (RFC 2047), no mail program takes for an address to leave by (RFC 2369)."""
    link = f"<https://www.example.org/privacy/newsletter/{'a' * 64}>"
    data = bytes_of(changed(headers={"List-Unsubscribe": link, "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}), sender=SENDER)
    assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in b"\r\n" + data
    assert f"\r\nList-Unsubscribe: {link}\r\n".encode() in b"\r\n" + data


@pytest.mark.parametrize("value", ["a\r\nBcc: x@example.org", "\u00e9", "a\x00"])
def test_a_header_that_could_be_another_is_refused(value: str):
    with pytest.raises(ValueError, match="a header holds"):
        bytes_of(changed(headers={"Reply-To": value}), sender=SENDER)


def test_a_server_that_takes_few_mails_a_connection_gets_the_others_over_new_ones():
    with mail_server() as server:
        sender = Smtp(f"smtp://127.0.0.1:{server.port}", sender=SENDER)
        server.limit = 2
        with sender.session() as send_one:
            for number in range(5):
                send_one(changed(to=f"person{number}@example.org"))
        assert [mail.to for mail in server.inbox] == [[f"person{number}@example.org"] for number in range(5)]
