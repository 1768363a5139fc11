"""The SQL that moves everything to another database, made of the names of tables and columns, which are fixed."""

from __future__ import annotations

from collections.abc import Sequence


def amount(table: str) -> str:
    """How many rows a table has."""
    return f"/* migrate.compare */ SELECT COUNT(*) FROM {table}"


def hits_after(columns: Sequence[str]) -> str:
    """Hits, with their numbers, in order."""
    return f"/* migrate.hits */ SELECT {', '.join(columns)} FROM hit WHERE id > :after ORDER BY id LIMIT :most"


HITS_UP_TO = "/* migrate.hits */ SELECT COUNT(*) FROM hit WHERE id <= :last"
CLEAR_HITS = "/* migrate.hits */ DELETE FROM hit"


def read(table: str, columns: Sequence[str]) -> str:
    """All rows of a table."""
    return f"/* migrate.read */ SELECT {', '.join(columns)} FROM {table}"


def write(table: str, columns: Sequence[str]) -> str:
    """One row."""
    return f"/* migrate.write */ INSERT INTO {table} ({', '.join(columns)}) VALUES (:{', :'.join(columns)})"


def write_word(table: str, columns: Sequence[str]) -> str:
    """One row, if it is not there."""
    return f"{write(table, columns)} ON CONFLICT DO NOTHING"


def clear(table: str) -> str:
    """Leave a table empty."""
    return f"/* migrate.write */ DELETE FROM {table}"


UNDO_MARK = "/* migrate.write */ DELETE FROM mark WHERE name = :name"
