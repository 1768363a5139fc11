"""Files of figures: every format says the same, and no cell does anything but stand there."""

import csv
import io
import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from privacy_middleware.site.files import FORMATS, TYPES, csv_of, file_of

COLUMNS = ("value", "visitors", "bounce_rate")
plain = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
dangerous = st.builds(
    "".join, st.lists(st.sampled_from([*"=+-@;\t\r\n\0 ,\"'", "\ufeff", "\uff1d", "cmd|' /C calc'!A0", "x", "1"]), max_size=8)
)
rows = st.lists(
    st.fixed_dictionaries({"value": plain | dangerous, "visitors": st.integers(0, 2**53), "bounce_rate": st.floats(0, 1)}), max_size=8
)


def written(found: list[dict[str, Any]], kind: str) -> bytes:
    response = file_of("pages", found, format_=kind, columns=COLUMNS, about={"dimension": "page"})
    assert response is not None
    return bytes(response.body)


@given(rows)
def test_json_ndjson_and_parquet_hold_the_rows_as_they_are(found: list[dict[str, Any]]) -> None:
    assert json.loads(written(found, "json")) == {"dimension": "page", "rows": found}
    lines = written(found, "ndjson").decode().split("\n")
    assert [json.loads(line) for line in lines[:-1]] == found
    assert lines[-1] == ""
    assert parquet.read_table(io.BytesIO(written(found, "parquet"))).to_pylist() == found


@given(rows)
def test_csv_holds_every_row_and_number(found: list[dict[str, Any]]) -> None:
    read = list(csv.reader(io.StringIO(written(found, "csv").decode(), newline="")))
    assert read[0] == list(COLUMNS)
    assert len(read) == len(found) + 1
    for cells, row in zip(read[1:], found, strict=True):
        assert [float(cell) for cell in cells[1:]] == [row["visitors"], row["bounce_rate"]]
        assert cells[0].replace("'", "") == row["value"].replace("'", "")


@given(rows)
def test_no_cell_of_csv_begins_a_formula(found: list[dict[str, Any]]) -> None:
    for row in list(csv.reader(io.StringIO(csv_of(found, COLUMNS), newline="")))[1:]:
        assert not row[0].lstrip(" \t\r\n\0\u00a0\ufeff\u3000").startswith(tuple("=+-@\uff1d\uff0b\uff0d\uff20"))


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_is_to_be_saved_and_not_shown(kind: str) -> None:
    response = file_of("pages", [], format_=kind, columns=COLUMNS, about={})
    assert response is not None
    assert response.headers["content-disposition"] == f'attachment; filename="pages.{kind}"'
    assert response.headers["content-type"] == TYPES[kind]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("kind", ["", "xlsx", "CSV", "html"])
def test_another_format_is_no_file(kind: str) -> None:
    assert file_of("pages", [], format_=kind, columns=COLUMNS, about={}) is None


def test_without_the_extra_there_is_no_parquet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert file_of("pages", [], format_="parquet", columns=COLUMNS, about={}) is None


@pytest.mark.parametrize("kind", FORMATS)
def test_columns_are_there_even_without_rows(kind: str) -> None:
    content = written([], kind)
    if kind == "csv":
        assert content == b'"value","visitors","bounce_rate"\r\n'
    elif kind == "parquet":
        assert parquet.read_table(io.BytesIO(content)).column_names == list(COLUMNS)
    else:
        assert content in (b"", b'{\n "dimension": "page",\n "rows": []\n}\n')
