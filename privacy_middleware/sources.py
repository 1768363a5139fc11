"""What else the host keeps of a person: sources that are asked for an overview, a correction, an erasure.

Give them to the middleware: `PrivacyMiddleware(app, sources=[SQLAlchemySource(engine, users, email="email")])`. They are asked in a
thread of the package's own, never on the host's event loop; async methods run on an event loop of their own there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import msgspec

from .vault import normalise_email

Record = Mapping[str, Any]
"""One thing that is kept: names and values that JSON knows; `bytes` for the content of a file, or its `Path`, read when it is sent."""


class Erased(msgspec.Struct, frozen=True):
    """All that a source kept of a person is gone; `amount` says how much that was."""

    amount: int = 0


class Kept(msgspec.Struct, frozen=True):
    """Something must be kept, and why: the person is told, so write it for them ("invoices, for five years: the law on accounting")."""

    reason: str
    amount: int = 0
    """How much was erased besides."""


class Change(msgspec.Struct, frozen=True):
    """One value that a person corrected: in which form and field it was sent, and what is right."""

    form: str
    field: str
    old: Any
    new: Any

    def __repr__(self) -> str:
        """Without values: it may end up in a log or a traceback."""
        return f"Change({self.form!r}, {self.field!r})"


@runtime_checkable
class DataSource(Protocol):
    """Something of the host's that keeps personal data. `subject` is the person's normalised e-mail address.

    Each method may be async. One that raises is asked again later; until then the request stays open. It may be asked again also for
    what it has done already, if the process ended in the middle.
    """

    name: str
    """What the person reads, like "Customer accounts"; one that no other source has."""

    def export(self, subject: str) -> Sequence[Record] | Awaitable[Sequence[Record]]:
        """Return everything that is kept of a person; nothing, if nothing is."""

    def correct(self, subject: str, changes: Sequence[Change]) -> Awaitable[None] | None:
        """Take over what a person has corrected, as far as it is kept here."""

    def erase(self, subject: str) -> Erased | Kept | Awaitable[Erased | Kept]:
        """Erase everything that is kept of a person, or say what must be kept."""


class SQLAlchemySource:
    """The rows of one table or model, found by the column that holds an e-mail address (any case).

    Args:
        engine: an `Engine`; or an `AsyncEngine` of its own with `poolclass=NullPool`, since its connections must not be shared with
            another event loop.
        table: a `Table`, or a declarative model; it needs a primary key.
        email: the name of the column with the address.
        hidden: columns that are not shown to the person, such as a password's hash.
        anonymise: columns and what to put there instead of deleting the row: `{"email": None, "name": "(erased)"}`. Then `kept` says why.
        kept: why the rest of an anonymised row is kept; told to the person.
        corrects: which column a corrected field stands in: `{"phone": "telephone"}`. A value is replaced where it is the old one.
    """

    def __init__(
        self,
        engine: Any,
        table: Any,
        *,
        email: str = "email",
        name: str = "",
        hidden: Sequence[str] = (),
        anonymise: Mapping[str, Any] | None = None,
        kept: str = "",
        corrects: Mapping[str, str] | None = None,
    ) -> None:
        self._engine = engine
        self._table = getattr(table, "__table__", table)
        self.name = name or str(self._table.name)
        self._hidden = frozenset(hidden)
        self._anonymise = dict(anonymise) if anonymise else None
        self._kept = kept
        self._corrects = dict(corrects or {})
        columns = {email, *self._hidden, *(self._anonymise or ()), *self._corrects.values()}
        unknown = sorted(columns - set(self._table.c.keys()))
        if unknown:
            raise ValueError(f"the table {self._table.name} has no column {', '.join(unknown)}; it has {', '.join(self._table.c.keys())}")
        self._email = self._table.c[email]
        if not self._table.primary_key.columns:
            raise ValueError(f"the table {self._table.name} has no primary key, by which a row is found again; give it one")
        if self._anonymise is not None and email not in self._anonymise:
            raise ValueError(f"anonymise leaves the column {email} as it is; say what to put there, such as {{{email!r}: None}}")

    def export(self, subject: str) -> Any:
        """Return the person's rows, as dictionaries by column."""

        def read(connection: Any) -> list[dict[str, Any]]:
            return [{name: value for name, value in row.items() if name not in self._hidden} for row in self._rows(connection, subject)]

        return self._run(read)

    def correct(self, subject: str, changes: Sequence[Change]) -> Any:
        """Replace old values by new ones, in the columns that `corrects` names."""

        def write(connection: Any) -> None:
            for change in changes:
                column = self._corrects.get(change.field)
                if column is None:
                    continue
                for row in self._rows(connection, subject):
                    if row[column] == change.old:
                        connection.execute(self._table.update().where(self._is(row)).values({column: change.new}))

        return self._run(write)

    def erase(self, subject: str) -> Any:
        """Delete the person's rows, or anonymise them."""

        def write(connection: Any) -> Erased | Kept:
            rows = self._rows(connection, subject)
            for row in rows:
                if self._anonymise is None:
                    connection.execute(self._table.delete().where(self._is(row)))
                else:
                    connection.execute(self._table.update().where(self._is(row)).values(**self._anonymise))
            return Kept(self._kept, len(rows)) if self._kept and rows else Erased(len(rows))

        return self._run(write)

    def _rows(self, connection: Any, subject: str) -> list[Mapping[str, Any]]:
        """Return the person's rows. Databases take more for equal than mail does, such as letters with and without accents."""
        from sqlalchemy import func

        rows = connection.execute(self._table.select().where(func.lower(self._email).in_(spellings(subject)))).mappings()
        return [row for row in rows if normalise_email(str(row[self._email.key])) == subject]

    def _is(self, row: Mapping[str, Any]) -> Any:
        from sqlalchemy import and_

        return and_(*(column == row[column.key] for column in self._table.primary_key.columns))

    def _run(self, work: Callable[[Any], Any]) -> Any:
        if hasattr(self._engine, "sync_engine"):
            return self._run_async(work)
        with self._engine.begin() as connection:
            return work(connection)

    async def _run_async(self, work: Callable[[Any], Any]) -> Any:
        async with self._engine.begin() as connection:
            return await connection.run_sync(work)


class FileSource:
    """Files whose path holds the e-mail address: `FileSource("invoices", "{email}/*.pdf")`.

    Args:
        folder: where they are.
        pattern: their path below it; `{email}` stands for the address in any case, `*` for any part of another name.
        kept: if they must not be erased: why, told to the person.
    """

    def __init__(self, folder: str | Path, pattern: str, *, name: str = "", kept: str = "") -> None:
        parts = [part for part in pattern.split("/") if "{email}" in part]
        if len(parts) != 1 or parts[0].count("{email}") != 1:
            raise ValueError(f"the pattern {pattern!r} must say once whose a file is; write {{email}} where the address stands")
        if set("*?") & set(parts[0]):
            raise ValueError(f"in {pattern!r} a * stands beside {{email}}: others' addresses would match, too; leave it out there")
        self._folder = Path(folder)
        self._pattern = pattern.strip("/")
        self._depth = self._pattern.split("/").index(parts[0])
        self.name = name or self._folder.name
        self._kept = kept

    def export(self, subject: str) -> list[dict[str, Any]]:
        """Return the person's files."""
        return [
            {
                "file": path.relative_to(self._folder).as_posix(),
                "modified": datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds"),
                "content": path,
            }
            for path in self._files(subject)
        ]

    def correct(self, subject: str, changes: Sequence[Change]) -> None:
        """Change nothing: what a file says is known to the host only."""

    def erase(self, subject: str) -> Erased | Kept:
        """Delete the person's files, unless they must be kept."""
        files = list(self._files(subject))
        if self._kept:
            return Kept(self._kept) if files else Erased()
        for path in files:
            path.unlink(missing_ok=True)
            self._remove_empty(path)
        return Erased(len(files))

    def _remove_empty(self, path: Path) -> None:
        """Remove the folder that is named by the address, and those in it, if they are left empty."""
        parts = path.relative_to(self._folder).parts
        for depth in range(len(parts) - 1, self._depth, -1):
            with suppress(OSError):  # something else is in it
                self._folder.joinpath(*parts[:depth]).rmdir()

    def _files(self, subject: str) -> Iterator[Path]:
        """Look at every file below the folder: a path made from an address could lead anywhere. Links are not followed."""
        if not self._folder.is_dir():
            raise FileNotFoundError(f"the folder of the source {self.name!r} is not there")
        addresses = "(?:" + "|".join(map(re.escape, spellings(subject))) + ")"
        parts = (re.escape(part).replace(r"\*", "[^/]*").replace(r"\?", "[^/]") for part in self._pattern.split("{email}"))
        wanted = re.compile(addresses.join(parts), re.IGNORECASE | re.ASCII)
        for folder, _, names in os.walk(self._folder):
            for path in sorted(Path(folder, name) for name in names):
                is_plain = path.is_file() and not path.is_symlink()
                if is_plain and wanted.fullmatch(path.relative_to(self._folder).as_posix()):
                    yield path


def spellings(subject: str) -> list[str]:
    """Return how a host may have written a normalised address: with an international domain in its own letters, too."""
    local, _, domain = subject.rpartition("@")
    try:
        own = domain.encode("ascii").decode("idna")
    except UnicodeError:
        own = domain
    return list(dict.fromkeys((subject, f"{local}@{own}")))
