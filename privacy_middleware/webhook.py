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
    try:
        parts = urlsplit(hook.url)
        host, port, is_tls = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80), parts.scheme == "https"
    except ValueError:
        raise NotSent("its webhook is no address; mend it in privacy.toml") from None
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    addresses = _addresses(hook, host, port, is_tls=is_tls)
    sockets: list[socket.socket] = []
    cutter = threading.Timer(WHOLE_SECONDS, _cut, (sockets,))
    cutter.daemon = True
    cutter.start()
    connection = http.client.HTTPConnection(host, port, timeout=SECONDS)
    try:
        connection.sock = _connected(addresses, host, port, sockets, is_tls=is_tls, connect=connect)
    except NotSent:
        cutter.cancel()
        raise
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


def _connected(
    addresses: Sequence[str], host: str, port: int, sockets: list[socket.socket], *, is_tls: bool, connect: Callable[..., socket.socket]
) -> socket.socket:
    """Connect to one of the very addresses that were looked at: the name may stand for another one a moment later (DNS rebinding)."""
    fault = ""
    for address in addresses:
        try:
            raw = connect((address, port), timeout=SECONDS)
            sockets.append(raw)
            return ssl.create_default_context().wrap_socket(raw, server_hostname=host) if is_tls else raw
        except OSError as error:  # TLS is a kind of it
            fault = type(error).__name__
            for one in sockets:
                one.close()
    raise NotSent(f"{host} cannot be reached ({fault})")


def _addresses(hook: Hook, host: str, port: int, *, is_tls: bool) -> list[str]:
    """Return the addresses of a host, in the order in which to try them; all must be outside, or in a network that is named."""
    try:
        found = list(dict.fromkeys(str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
    except (OSError, UnicodeError):
        raise NotSent(f"{host} is not known") from None
    for text in found:
        address = ipaddress.ip_address(text.partition("%")[0])
        is_inside = any(address in network for network in hook.inside if network.version == address.version)
        if not is_inside and not _is_outside(address):
            raise NotSent(f"{host} is an address inside a network; if that is meant, name it in PRIVACY_WEBHOOK_INSIDE")
        if not is_inside and not is_tls:
            raise NotSent("data go out by https only; write the webhook so")
    return found


def _is_outside(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Tell whether an address is one of the internet's, also that of version 4 in one of version 6 (RFC 6052, 3056, 4380, 4291)."""
    if not address.is_global or address.is_multicast:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return True
    within = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if any(address in network for network in _WITH_IPV4):
        within.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return not address.is_site_local and all(one is None or _is_outside(one) for one in within)


_WITH_IPV4: Final = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))


def _cut(sockets: Sequence[socket.socket]) -> None:
    for one in sockets:
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
