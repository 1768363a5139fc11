"""What several commands share: opening the database, dates, and text that is safe in a terminal or spreadsheet."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from ..errors import PrivacyError, StoreError
from ..privacy import Privacy
from ..store.base import Store


def open_store(privacy: Privacy, *, create: bool = False) -> Store:
    """Open the database to write; close it on every path.

    Raises:
        StoreError: if there is none, unless `create`; if it cannot be used.
    """
    store = privacy.store
    if not create:
        check_there(store)
    store.open(mend=False)
    return store


def open_to_read(privacy: Privacy) -> Store:
    """Open the database to read only.

    Raises:
        StoreError: if there is none, or it cannot be read.
    """
    store = privacy.store
    check_there(store)
    store.open_to_read()
    return store


def check_there(store: Store) -> None:
    """Check that there is a database.

    Raises:
        StoreError: if not.
    """
    if not store.exists():
        raise StoreError(f"there is no database {store.place}; run this in the app's working directory, or set PRIVACY_DATABASE_URL")


def a_date(text: str) -> date:
    """Read an argument that is a date."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date; write it like 2026-05-01") from None
    if not 1970 < found.year <= 2100:
        raise argparse.ArgumentTypeError(f"{text!r} is not within the years 1971 to 2100")
    return found


def printable(text: str) -> str:
    """Show control characters instead of letting a terminal obey them; lines stay lines."""
    text = text.replace("\r\n", "\n")
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)


def in_one_line(text: str) -> str:
    """As `printable`, and without line ends: where a line is an entry."""
    return printable(text).replace("\n", "\\n")


def actor() -> str:
    """Return who runs this command, for the audit log."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in some containers
        name = f"uid {os.getuid()}"
    return f"{name} (command line)"


def instant(milliseconds: int | None) -> str:
    """Write an instant (epoch milliseconds) in UTC; "" if there is none."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds") if milliseconds is not None else ""


def text_of(given: str) -> str:
    """Read a text that may stand in a file, or come by standard input."""
    try:
        text = sys.stdin.read() if given == "-" else Path(given[1:]).read_text(encoding="utf-8") if given.startswith("@") else given
    except (OSError, ValueError) as error:
        raise PrivacyError(f"{given[1:]} cannot be read ({type(error).__name__}); name a readable UTF-8 file") from None
    return text.strip()


def new_file(path: Path) -> Any:
    """Make a file that only its owner can read; one that is there stays."""
    try:
        return open(path, "x", encoding="utf-8", newline="", opener=lambda name, flags: os.open(name, flags, 0o600))
    except FileExistsError:
        raise PrivacyError(f"{path} is there already; name a file that is not") from None
    except OSError as error:
        raise PrivacyError(f"{path} cannot be written ({error.strerror})") from None


def print_table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    """Print rows under headings, each cell in one line."""
    widths = [max(len(column), *(len(str(row[column])) for row in rows)) if rows else len(column) for column in columns]
    for cells in [columns, *([in_one_line(cell) if isinstance(cell := row[column], str) else cell for column in columns] for row in rows)]:
        print(
            "  ".join(
                f"{cell:>{width}}" if isinstance(cell, int) else f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True)
            ).rstrip()
        )
