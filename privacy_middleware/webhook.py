"""Sends one signed message to a recipient's webhook, and nowhere else: no redirect is followed, no address inside our network reached.

The signature is that of Standard Webhooks (https://github.com/standard-webhooks/standard-webhooks, version 1): the receiver can check that
it comes from us, is whole, and is not an old one again.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

from .values import Network

SECONDS: Final = 20.0
WHOLE_SECONDS: Final = 60.0
MOST_ANSWER: Final = 4096
_ACCEPTED: Final = range(200, 300)


class NotSent(Exception):
    """Nothing reached the recipient; the text says why."""


class NotAccepted(Exception):
    """It was sent, and the recipient did not say that it took it; the text says what it said instead."""


class Hook(NamedTuple):
    """Where to send, the secret to sign with, and the inside networks that may be reached."""

    url: str
    secret: bytes
    inside: Sequence[Network] = ()

    def __repr__(self) -> str:
        """Without the secret: it may end up in a log or a traceback."""
        return f"Hook({urlsplit(self.url).hostname!r})"


def signature(secret: bytes, *, id_: str, timestamp: int, body: bytes) -> str:
    """Return the value of `webhook-signature`."""
    signed = f"{id_}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()


def post(
    hook: Hook, message: dict[str, Any], *, id_: str, timestamp: int, connect: Callable[..., socket.socket] = socket.create_connection
) -> str:
    """Send a message as JSON; returns what the recipient answered, as a proof: the status, and a checksum of the answer.

    The same `id_` is the same message sent again. `timestamp` is in epoch seconds.

    Raises:
        NotSent, NotAccepted: with a text that holds nothing of the message.
    """
    body = msgspec.json.encode(message)
    headers = {
        "content-type": "application/json",
        "user-agent": "privacy-middleware",
        "webhook-id": id_,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(hook.secret, id_=id_, timestamp=timestamp, body=body),
    }
    parts = urlsplit(hook.url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection = _connection(hook, connect)
    cutter = threading.Timer(WHOLE_SECONDS, _cut, (connection,))
    cutter.daemon = True
    cutter.start()
    try:
        connection.request("POST", target, body, headers)
        answer = connection.getresponse()
        text = answer.read(MOST_ANSWER)
    except (OSError, http.client.HTTPException) as error:
        raise NotAccepted(f"the connection broke off ({type(error).__name__})") from None
    finally:
        cutter.cancel()
        connection.close()
    if answer.status not in _ACCEPTED:
        raise NotAccepted(f"it answered {answer.status}" + (": redirects are not followed" if 300 <= answer.status < 400 else ""))
    return f"{answer.status}, sha256 {hashlib.sha256(text).hexdigest()[:16]}"


def _connection(hook: Hook, connect: Callable[..., socket.socket]) -> http.client.HTTPConnection:
    """Connect to the very address that was looked at: the name may stand for another one a moment later (DNS rebinding)."""
    parts = urlsplit(hook.url)
    host, is_tls = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if is_tls else 80)
    address = _address(hook, host, port, is_tls=is_tls)
    connection = http.client.HTTPConnection(host, port, timeout=SECONDS)
    try:
        raw = connect((address, port), timeout=SECONDS)
        connection.sock = ssl.create_default_context().wrap_socket(raw, server_hostname=host) if is_tls else raw
    except OSError as error:  # TLS is a kind of it
        raise NotSent(f"{host} cannot be reached ({type(error).__name__})") from None
    return connection


def _address(hook: Hook, host: str, port: int, *, is_tls: bool) -> str:
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        raise NotSent(f"{host} is not known") from None
    for text in sorted(found):
        address = ipaddress.ip_address(text.partition("%")[0])
        is_inside = any(address in network for network in hook.inside if network.version == address.version)
        if not is_inside and (not address.is_global or address.is_multicast):
            raise NotSent(f"{host} is an address inside a network; if that is meant, name it in PRIVACY_WEBHOOK_INSIDE")
        if not is_inside and not is_tls:
            raise NotSent("data go out by https only; write the webhook so")
    return min(found)


def _cut(connection: http.client.HTTPConnection) -> None:
    with suppress(OSError, AttributeError):
        connection.sock.shutdown(socket.SHUT_RDWR)
