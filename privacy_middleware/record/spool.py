"""Keeps submissions in encrypted files beside the database for as long as the database cannot take them.

One file a submission, sealed under the newest master key, complete and on disk (fsync of file and folder) before it has its
name. The name says on which day its retention ends, and is sealed with it. What cannot be opened stays until that day.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from ..errors import VaultError
from ..vault import FINGERPRINT_BYTES, Vault, Wrapped
from .submissions import Submission

_ENDING: Final = ".sealed"
_DRAFT: Final = ".draft"
_STALE_SECONDS: Final = 60.0


class Spool:
    """The folder of one database's spool; it is made when it is first needed."""

    def __init__(self, database: Path) -> None:
        self.folder = database.with_name(database.name + ".spool")

    def add(self, vault: Vault, submission: Submission) -> None:
        """Write a submission to disk.

        Raises:
            OSError: if it cannot be written.
        """
        name = f"{submission.expires}-{submission.id.hex()}"
        wrapped = vault.wrap(msgspec.msgpack.encode(submission), _place(name))
        self.folder.mkdir(mode=0o700, exist_ok=True)
        draft = self.folder / (name + _DRAFT)
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(wrapped.master + wrapped.key)
                file.flush()
                os.fsync(file.fileno())
            draft.rename(draft.with_suffix(_ENDING))
        except OSError:
            with contextlib.suppress(OSError):
                draft.unlink()
            raise
        _sync_folder(self.folder)
        _sync_folder(self.folder.parent)

    def waiting(self) -> list[Path]:
        """Return the files that wait for the database."""
        return sorted(self.folder.glob("*" + _ENDING))

    def open(self, vault: Vault, path: Path) -> Submission:
        """Read a file of the spool.

        Raises:
            VaultError: if it cannot be opened with the keys given. OSError: if it cannot be read, or another process was faster.
        """
        data = path.read_bytes()
        wrapped = Wrapped(data[:FINGERPRINT_BYTES], data[FINGERPRINT_BYTES:])
        try:
            return msgspec.msgpack.decode(vault.unwrap(wrapped, _place(path.stem)), type=Submission)
        except msgspec.DecodeError:
            raise VaultError(f"{path} was written by another version of this package; it is left as it is") from None

    def remove(self, path: Path) -> None:
        """Delete a file whose submission the database holds."""
        path.unlink(missing_ok=True)

    def clear(self, *, today: int) -> None:
        """Delete what is past its retention, and what a killed process has only begun: its visitor has seen no answer."""
        for draft in self.folder.glob("*" + _DRAFT):
            with contextlib.suppress(OSError):
                if time.time() - draft.stat().st_mtime > _STALE_SECONDS:
                    draft.unlink()
        for path in self.waiting():
            expires = path.stem.partition("-")[0]
            if expires.isdigit() and int(expires) <= today:
                self.remove(path)


def openable(spool: Spool, vault: Vault) -> Iterator[tuple[Path, Submission]]:
    """Yield what can be opened; what another process was faster with, or what is sealed under another key, is passed over."""
    for path in spool.waiting():
        with contextlib.suppress(OSError, VaultError):
            submission = spool.open(vault, path)
            yield path, submission


def _place(name: str) -> str:
    return f"spool|{name}"


def _sync_folder(folder: Path) -> None:
    """Have the name of a new file on disk too; Windows cannot, and need not."""
    with contextlib.suppress(PermissionError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
