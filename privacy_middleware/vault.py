"""Encryption at rest: what is kept of a person is sealed under a key of that person alone, which the master key wraps.

AES-256-GCM (NIST SP 800-38D) with a random nonce of 96 bits. What is sealed is bound to its place (table, row, field) as
associated data, so that it opens nowhere else. Master keys are derived from the secret keys by HKDF (RFC 5869). To erase somebody
is to destroy their key.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import unicodedata
from collections.abc import Iterable
from typing import Final, NamedTuple

from .errors import KeyMissing, VaultError

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
FINGERPRINT_BYTES: Final = 8
LONGEST_EMAIL: Final = 320
"""Characters of a local part and a domain at the longest (RFC 3696, erratum 1690, has less); what is longer costs time to look at."""
_NOT_IN_EMAIL: Final = frozenset(',;:<>()[]"\\')


class Wrapped(NamedTuple):
    """A key, sealed under a master key; `master` is the fingerprint of that one."""

    master: bytes
    key: bytes


class Vault:
    """The master keys, derived from the secret keys (newest first): the newest wraps, all of them unwrap."""

    def __init__(self, secret_keys: Iterable[str]) -> None:
        masters = [_derive(secret.encode(), "master") for secret in secret_keys]
        self._masters = {hashlib.sha256(b"fingerprint" + master).digest()[:FINGERPRINT_BYTES]: master for master in masters}
        self.newest = next(iter(self._masters))
        """The fingerprint of the newest master key."""

    def __repr__(self) -> str:
        """Without keys: it may end up in a log or a traceback."""
        return f"Vault({len(self._masters)} master keys)"

    def place_of(self, master: bytes) -> int | None:
        """Return which of the keys given has this fingerprint (0 is the newest), or None if none has."""
        return next((place for place, known in enumerate(self._masters) if known == master), None)

    def wrap(self, key: bytes, place: str) -> Wrapped:
        """Seal a key, or anything else, under the newest master key."""
        return Wrapped(self.newest, seal(self._masters[self.newest], key, place))

    def unwrap(self, wrapped: Wrapped, place: str) -> bytes:
        """Open what `wrap` has sealed.

        Raises:
            KeyMissing: if it was sealed under another master key than those given. VaultError: if it was changed, or moved.
        """
        master = self._masters.get(wrapped.master)
        if master is None:
            remedy = "set PRIVACY_SECRET_KEYS as the app has it: a new key first, old ones behind"
            raise KeyMissing(f"it is sealed under a secret key that is not given; {remedy}")
        return unseal(master, wrapped.key, place)


def new_key() -> bytes:
    """Return a random key."""
    return secrets.token_bytes(KEY_BYTES)


def seal(key: bytes, data: bytes, place: str) -> bytes:
    """Encrypt, bound to a place; 28 bytes longer than `data`."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, data, place.encode())


def unseal(key: bytes, sealed: bytes, place: str) -> bytes:
    """Decrypt what was sealed for the same place.

    Raises:
        VaultError: if it was changed, or sealed for another place or under another key.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place.encode())
    except (InvalidTag, ValueError, TypeError):  # of another type, if somebody wrote into the database
        raise VaultError("something sealed was changed, or moved from its place; it is left as it is and cannot be read") from None


def blind_index(root: bytes, email: str) -> bytes:
    """Return what a data subject is found by: a keyed hash of the normalised address, which tells nothing without the key."""
    return _keyed_hash(_derive(root, "index"), email)


def field_hash(root: bytes, *, form: str, field: str, text: str) -> str:
    """Return the keyed hash of a field's text: equal for equal texts of the same field, and only there."""
    return _keyed_hash(_derive(root, f"hash {form} {field}"), text)[:16].hex()


def token_hash(root: bytes, purpose: str, text: str) -> bytes:
    """Return a keyed hash of something that must be recognised and not be read, for one purpose."""
    return _keyed_hash(_derive(root, f"token {purpose}"), text)


def normalise_email(text: str) -> str:
    """Return the spelling under which an e-mail address is found, or "" if it is none.

    Only what mail systems take for equal is made equal: the case of ASCII letters, the composition of others (RFC 6532, 3.1), the
    two spellings of an international domain. Look-alikes stay apart: they can be other people's.
    """
    text = text.strip()
    if len(text) > LONGEST_EMAIL:
        return ""
    if any(len(composed := _composed(c)) == 1 and composed != c for c in text):  # as the Kelvin sign, which would become a K
        return ""
    local, _, domain = _composed(text).removesuffix(".").rpartition("@")
    address = f"{_composed(_lower(local))}@{_domain(_composed(_lower(domain)))}"
    return address if _is_address(address) else ""


def _is_address(text: str) -> bool:
    local, _, domain = text.rpartition("@")
    return bool(
        local
        and "@" not in local
        and all(domain.split("."))
        and all(c.isprintable() and not c.isspace() and c not in _NOT_IN_EMAIL for c in text)
    )


def _domain(domain: str) -> str:
    if domain.isascii():
        return domain
    if set(domain) & set("ßẞς\u200c\u200d"):  # which the two versions of IDNA spell differently
        return _composed(domain.lower())
    try:
        return domain.encode("idna").decode("ascii")
    except UnicodeError:
        return domain


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _lower(text: str) -> str:
    """ASCII only: elsewhere `lower` and `casefold` make one address out of two (the Kelvin sign and k)."""
    return "".join(c.lower() if c.isascii() else c for c in text)


def _keyed_hash(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode("utf-8", "surrogatepass"), "sha256")


def _derive(secret: bytes, purpose: str) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), KEY_BYTES, salt=b"privacy_middleware", info=purpose.encode()).derive(secret)
