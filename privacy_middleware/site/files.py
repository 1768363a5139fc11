"""Writes rows of figures as a file: CSV, JSON, NDJSON, and Parquet (extra `parquet`)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.responses import Response

from ..spreadsheet import harmless
from .pages import HEADERS

TYPES: Final = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}
FORMATS: Final = tuple(TYPES)


def file_of(
    name: str, rows: Sequence[Mapping[str, Any]], *, format_: str, columns: Sequence[str], about: Mapping[str, Any]
) -> Response | None:
    """Return rows as a file to be saved; None if the format is not known, or what it needs is not installed.

    `about` says what the rows are; JSON has room for it.
    """
    content = _content(rows, format_, columns, about)
    if content is None:
        return None
    disposition = f'attachment; filename="{name}.{format_}"'
    return Response(content, media_type=TYPES[format_], headers={**HEADERS, "content-disposition": disposition})


def _content(rows: Sequence[Mapping[str, Any]], format_: str, columns: Sequence[str], about: Mapping[str, Any]) -> bytes | None:
    if format_ == "csv":
        return csv_of(rows, columns).encode()
    if format_ == "json":
        return (json.dumps({**about, "rows": [dict(row) for row in rows]}, ensure_ascii=False, indent=1) + "\n").encode()
    if format_ == "ndjson":
        return "".join(json.dumps(dict(row), ensure_ascii=False) + "\n" for row in rows).encode()
    return _parquet(rows, columns) if format_ == "parquet" else None


def csv_of(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Return rows as CSV (RFC 4180); no cell is a formula."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(columns)
    writer.writerows([harmless(cell) if isinstance(cell := row[name], str) else cell for name in columns] for row in rows)
    return out.getvalue()


def _parquet(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> bytes | None:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        return None
    out = io.BytesIO()
    parquet.write_table(pa.table({name: [row[name] for row in rows] for name in columns}), out)
    return out.getvalue()
