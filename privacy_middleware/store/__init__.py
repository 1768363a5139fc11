"""Where everything is kept: `store_of` gives the store of the database that a URL names."""

from __future__ import annotations

from pathlib import Path

from ..values import POSTGRES
from .base import Store


def store_of(url: str) -> Store:
    """Return the store of a database, not opened yet; its driver is imported here."""
    if url.startswith(POSTGRES):
        from .postgres import PostgresStore

        return PostgresStore(url)
    from .sqlite import SQLiteStore

    return SQLiteStore(Path(url.removeprefix("sqlite:///")))
