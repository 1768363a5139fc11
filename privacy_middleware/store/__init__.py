"""Where everything is kept: `store_of` gives the store of the database that the settings name."""

from __future__ import annotations

from ..settings import Settings
from .base import Store


def store_of(settings: Settings) -> Store:
    """Return the store of a database, not opened yet; its driver is imported here."""
    if settings.database_url.startswith("sqlite:"):
        from .sqlite import SQLiteStore

        return SQLiteStore(settings.database_path)
    from .postgres import PostgresStore

    return PostgresStore(settings.database_url)
