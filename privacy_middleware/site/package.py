"""Writes the overview as a ZIP that is made while it is sent: to read offline, for programs, and for spreadsheets, with checksums."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from ..collect.treatment import Kept
from ..language import Language, english
from ..rights.office import Office
from ..rights.overview import Overview, Part, Row
from ..spreadsheet import write_csv
from ..statement.linked_data import OF_REQUESTS, Decision, Event, receipt_document
from .pages import Pages

FORMAT: Final = 1
PIECE: Final = 1_048_576
_README: Final = "index.html"
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d")


def package(office: Office, pages: Pages, overview: Overview, language: Language) -> Iterator[bytes]:
    """Yield the bytes of the ZIP, a file at a time: index.html, data.json, a CSV for each kind, files of sources, manifest.json."""
    out = _Out()
    sums: dict[str, str] = {}
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in _files(office, pages, overview, language):
            digest = hashlib.sha256()
            with archive.open(_entry(name, overview), "w", force_zip64=True) as file:
                for piece in _pieces(content):
                    digest.update(piece)
                    file.write(piece)
                    if written := out.take():
                        yield written
            sums[name] = digest.hexdigest()
        archive.writestr(_entry("manifest.json", overview), _json({"format": FORMAT, "made": overview.made, "sha256": sums}))
    yield out.take()


def _entry(name: str, overview: Overview) -> zipfile.ZipInfo:
    made = datetime.fromisoformat(overview.made)
    entry = zipfile.ZipInfo(name, made.timetuple()[:6])
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o600 << 16
    return entry


def _pieces(content: bytes | Path) -> Iterator[bytes]:
    """Yield a file's content, from the disk in pieces: it can be large."""
    if isinstance(content, bytes):
        yield content
        return
    try:
        with content.open("rb") as file:
            while piece := file.read(PIECE):
                yield piece
    except OSError:  # it went away since it was listed: the others are sent all the same
        return


def kept_in_words(_: Language, kept: Kept) -> str:
    """Write what is kept of one value as people read it."""
    if isinstance(kept, bool):
        return _("yes") if kept else _("no")
    if isinstance(kept, dict):  # of a file that was sent with a form
        size = kept.get("size")
        return f"{kept.get('type')}, {_('large') if size is None else _('%(size)s bytes', size=_.number(size))}"
    return str(kept)


def shown(_: Language, value: Any) -> str:
    """Write a value of a row as people read it."""
    if value is None:
        return ""
    if isinstance(value, str) and _INSTANT.fullmatch(value):
        return f"{value[:10]}, {value[11:16]}"
    if isinstance(value, bytes):
        return _("a file, %(size)s bytes", size=_.number(len(value)))
    if isinstance(value, Path):
        return _("a file: see the download")
    if isinstance(value, list) or (isinstance(value, dict) and value.keys() != {"type", "size"}):
        return msgspec.json.encode(value).decode()
    return kept_in_words(_, value)


class _Out(io.RawIOBase):
    """Takes what the archive writes; it can go neither back nor forth."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        data, self._parts = b"".join(self._parts), []
        return data


def _files(office: Office, pages: Pages, overview: Overview, language: Language) -> Iterator[tuple[str, bytes | Path]]:
    parts, files = [], []
    for part in overview.parts:
        plain, found = _without_files(part)
        parts.append(plain)
        files += found
    bare = msgspec.structs.replace(overview, parts=tuple(parts))
    about = {"email": overview.email, "made": overview.made, "missing": overview.missing, "format": FORMAT}
    data = {part.name: {"title": part.heading, "rows": part.rows} for part in parts}
    yield (
        _README,
        pages.text(
            "package.html",
            language,
            overview=bare,
            sections=office.statement(language),
            site=office.site,
            shown=partial(shown, language),
            url=lambda path: office.page(path.removeprefix("/")),
        ).encode("utf-8", "backslashreplace"),
    )
    yield "data.json", _json({"about": about, "data": data, "information": office.statement(language)})
    yield "receipts.jsonld", _json(_receipts(office, overview, language))
    for part in parts:
        yield f"{part.name}.csv", _csv(part)
    yield from files


def _receipts(office: Office, overview: Overview, language: Language) -> list[dict[str, Any]]:
    """Return a receipt of each consent, objection and restriction in the overview."""
    decisions = []
    for part in overview.parts:
        for number, row in enumerate(part.rows, 1):
            if part.name == "permissions":
                decisions.append(_decided(row, "consented", row["purpose"], str(row["date"]), f"{row['date']}-{row['form']}-{number}"))
            elif part.name == "requests" and row["kind"] in OF_REQUESTS and row["confirmed"]:
                decisions.append(_decided(row, OF_REQUESTS[row["kind"]], "", row["confirmed"], row["id"]))
    address = office.page("")
    return [
        receipt_document(
            language,
            overview.facts.get(decision.version, office.facts),
            decision._replace(person=overview.email, language=language.code),
            address=address,
        )
        for decision in decisions
    ]


def _decided(row: Row, event: Event, purpose: str, at: str, identifier: str) -> Decision:
    day = datetime.fromisoformat(at)
    return Decision(event, purpose, day if "T" in at else day.date(), row["statement"][:8], identifier)


def _without_files(part: Part) -> tuple[Part, list[tuple[str, bytes | Path]]]:
    """Put the content of files beside, and its place in the rows."""
    rows: list[Row] = []
    files: list[tuple[str, bytes | Path]] = []
    for number, row in enumerate(part.rows, 1):
        plain: Row = {}
        for name, value in row.items():
            if isinstance(value, (bytes, Path)):
                called = f"{name}-{row.get('file') or row.get('name') or ''}"
                safe = re.sub(r"[^A-Za-z0-9._-]+", "_", called)[-80:]
                place = f"files/{part.name}/{number}-{len(files) + 1}-{safe}"
                files.append((place, value))
                plain[name] = place
            else:
                plain[name] = value
        rows.append(plain)
    return msgspec.structs.replace(part, rows=tuple(rows)), files


def _json(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value, enc_hook=str))


def _csv(part: Part) -> bytes:
    """A row for each value, if the rows hold fields; with a mark by which spreadsheets know the letters."""
    rows = [flat for row in part.rows for flat in _flat(row)] if part.name == "submissions" else list(part.rows)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    write_csv(out, [{name: _cell(value) for name, value in row.items()} for row in rows], columns)
    return b"\xef\xbb\xbf" + out.getvalue().encode("utf-8", "backslashreplace")


def _flat(row: Row) -> Iterator[Row]:
    facts = {name: value for name, value in row.items() if name != "fields"}
    values = [(name, value) for name, kept in row["fields"].items() for value in kept]
    for name, value in values or [("", "")]:
        yield {**facts, "field": name, "value": value}


def _cell(value: Any) -> Any:
    return value if isinstance(value, (str, int, float)) and not isinstance(value, bool) else shown(english(), value)
