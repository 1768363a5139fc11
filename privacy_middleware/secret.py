"""The secret that is made once and kept beside the SQLite file, where none is given."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
from pathlib import Path
from typing import Final

from .errors import KeyMissing
from .values import SECRET_MIN_LENGTH

logger = logging.getLogger("privacy_middleware")

_BYTES: Final = 32


def secret_path(database: Path) -> Path:
    """Return where the secret of a database is kept."""
    return database.with_suffix(".secret")


def random_secret() -> str:
    """Return a new secret."""
    return secrets.token_urlsafe(_BYTES)


def lasting_secret(database: Path) -> str:
    """Return the secret kept beside a database, made once (mode 0600) if there is none.

    Several workers that start at once get the same one.

    Raises:
        KeyMissing: if there is none that lasts: it cannot be read, or none can be kept.
    """
    path = secret_path(database)
    try:
        secret = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        secret = _make(path)
    except (OSError, UnicodeDecodeError) as error:
        raise KeyMissing(f"{path} cannot be read ({type(error).__name__}); set PRIVACY_SECRET_KEYS, or mend the file") from None
    if len(secret) < SECRET_MIN_LENGTH:
        raise KeyMissing(f"{path} holds no key of {SECRET_MIN_LENGTH} characters; put the right one back, or set PRIVACY_SECRET_KEYS")
    return secret


def _make(path: Path) -> str:
    secret = random_secret()
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(secret)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # atomic, and fails if another worker was first
        finally:
            draft.unlink()
    except FileExistsError:
        with contextlib.suppress(OSError):  # a link to nowhere
            return path.read_text(encoding="ascii").strip()
        raise KeyMissing(f"{path} is there but cannot be read; set PRIVACY_SECRET_KEYS, or mend the file") from None
    except OSError as error:
        raise KeyMissing(f"no secret can be kept in {path} ({type(error).__name__}); set PRIVACY_SECRET_KEYS") from None
    logger.warning("a new secret was made and kept in %s (mode 0600); back it up, but apart from the database", path)
    return secret
