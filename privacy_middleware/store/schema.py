"""The numbered migrations of each database, and which of them one lacks."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import resources
from typing import Final, Literal, NamedTuple

from ..errors import SchemaTooNew, StoreError

_NEWER: Final = "the database was written by a newer privacy_middleware; install that version, or use another database"


class Migration(NamedTuple):
    """One step of the schema."""

    number: int
    script: str
    checksum: str


def migrations(database: Literal["sqlite", "postgres"]) -> list[Migration]:
    """Return the migrations of a kind of database, in order."""
    folder = resources.files(__package__) / "migrations" / database
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    scripts = [(int(file.name[:4]), file.read_text(encoding="utf-8")) for file in files]
    return [Migration(number, script, hashlib.sha256(script.encode()).hexdigest()) for number, script in scripts]


def missing(applied: Mapping[int, str], known: list[Migration]) -> list[Migration]:
    """Return what is still to be applied, of the checksums by number that are.

    Raises:
        SchemaTooNew: if one was applied that this version does not know. StoreError: if one differs from that in this package.
    """
    if set(applied) - {migration.number for migration in known}:
        raise SchemaTooNew(_NEWER)
    for migration in known:
        if applied.get(migration.number, migration.checksum) != migration.checksum:
            number = migration.number
            raise StoreError(f"migration {number} of the database is not the one of this package; was the package changed by hand?")
    return [migration for migration in known if migration.number not in applied]
