"""Writes CSV in which no spreadsheet finds a formula."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

_FORMULA_WITHIN: Final = re.compile(r"(?<=[;\t\r\n])(?=[ ]*(?:[=+@\uff1d\uff0b\uff20]|-[\w(]))")
_BREAKS: Final = ("\t", "\r", "\n")
_INVISIBLE: Final = " \t\r\n\0\u00a0\ufeff\u3000"
_BEGINS_FORMULA: Final = tuple("=+-@\uff1d\uff0b\uff0d\uff20")  # full-width ones, too: some spreadsheets take them for the same


def harmless(cell: str) -> str:
    """Keep a spreadsheet from running a cell as a formula (OWASP, "CSV Injection"; ASVS 1.2.10)."""
    cell = _FORMULA_WITHIN.sub("'", cell)  # a spreadsheet that takes ; for the separator begins a cell there
    return "'" + cell if cell[:1] in _BREAKS or cell.lstrip(_INVISIBLE)[:1] in _BEGINS_FORMULA else cell


def write_csv(out: Any, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Write rows, a column for each name; what a row lacks stays empty."""
    writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow([harmless(column) for column in columns])
    writer.writerows([harmless(cell) if isinstance(cell := row.get(column, ""), str) else cell for column in columns] for row in rows)
