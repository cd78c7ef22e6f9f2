"""Tables as people and their programs save them, CSV or Parquet, as rows of text.

Knows encodings, delimiters and headers; `label_tables` says what the columns mean.
"""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.errors import UsageError

CSV_SUFFIXES = (".csv", ".tsv", ".txt")

_DELIMITERS = ",;\t"
"""Spreadsheets write semicolons or tabs where the comma is their decimal mark."""
_DELIMITER_HINT = re.compile(r"sep=(.)\s*", re.IGNORECASE)
"""The first line of some CSVs for Excel."""
_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
"""The beginning of Excel's "Unicode text"."""


def column_key(name: str) -> str:
    """Return what the spellings of a column's name share: `File Name`, ` file_name` and `FILENAME` are one."""
    return re.sub(r"[\s_-]", "", name).casefold()


class TextTable(NamedTuple):
    """A table whose values are texts without blanks around them."""

    columns: tuple[str, ...]
    """Names, as the table has them."""
    rows: Sequence[Mapping[str, str]]
    """Values by `column_key`, null and missing ones as the empty text; some rows may be all empty."""

    def find(self, names: Sequence[str]) -> str | None:
        """Return the key of the first of these columns that has values, or None."""
        keys = self.rows[0] if self.rows else {}
        return next((key for key in map(column_key, names) if key in keys), None)

    def count(self, key: str) -> int:
        """Count the columns of a key; a table with two of them contradicts itself."""
        return Counter(map(column_key, self.columns))[key]


def read_text_table(url: str, data: bytes) -> TextTable:
    """Read a table by the ending of its name.

    Raises:
        UsageError: the file is no such table.
    """
    if url.lower().endswith(CSV_SUFFIXES):
        try:
            return _make_table(list(_read_csv(_decode(url, data))))
        except csv.Error as error:
            raise UsageError(f"{url} is no CSV: {error}. Save it again as CSV, with quotes in pairs.") from error
    if url.lower().endswith(".parquet"):
        try:
            return _read_parquet(data)
        except pa.ArrowException as error:
            raise UsageError(f"{url} is no Parquet table: {error}") from error
    raise UsageError(f"{url} is neither a folder of labelled tiles nor a .csv or .parquet table.")


def _make_table(lines: Sequence[Sequence[str]]) -> TextTable:
    """Take the first line that is not empty for the header; of two columns with one name the first counts."""
    lines = [[cell.strip() for cell in line] for line in lines]
    begin = next((number for number, line in enumerate(lines) if any(line)), len(lines))
    columns = tuple(lines[begin]) if begin < len(lines) else ()
    keys = [column_key(column) for column in columns]
    # Later columns first, so that the first one of a name stays.
    rows = [
        dict(reversed([*zip_longest(keys, line[: len(keys)], fillvalue="")])) for line in lines[begin + 1 :] if line
    ]
    return TextTable(columns, rows)


def _decode(url: str, data: bytes) -> str:
    """Decode UTF-8, or UTF-16 that says so."""
    try:
        return data.decode("utf-16" if data.startswith(_UTF_16_MARKS) else "utf-8-sig")
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start)
        where = f"row {row}" if row else "its header"
        raise UsageError(
            f"{url} is no CSV in UTF-8: {where} has the byte 0x{data[error.start]:02x}. Save it again as CSV in UTF-8."
        ) from error


def _read_csv(text: str) -> Iterator[list[str]]:
    text = text.lstrip("\r\n")
    header = text.splitlines()[0] if text else ""
    delimiter = max(_DELIMITERS, key=header.count)
    if hint := _DELIMITER_HINT.fullmatch(header):
        delimiter, text = hint[1], text[len(header) :].lstrip("\r\n")
    lines = io.StringIO(text, newline=None)  # a return alone ends a line, too
    # Strict, since a quote without its pair would swallow all rows behind it.
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)


def _read_parquet(data: bytes) -> TextTable:
    """Read the columns of single values; others, such as pictures in the table, have no text."""
    file = pq.ParquetFile(pa.BufferReader(data))
    single = [field.name for field in file.schema_arrow if not _is_blob(field.type)]
    table = file.read(columns=single)
    cells = [map(_to_text, column.to_pylist()) for column in table.columns]
    keys = [column_key(name) for name in table.column_names]
    rows = [dict(zip(keys, row, strict=True)) for row in zip(*cells, strict=True)]
    return TextTable(tuple(file.schema_arrow.names), rows)


def _is_blob(kind: pa.DataType) -> bool:
    return bool(pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _to_text(value: object) -> str:
    is_missing = value is None or value != value  # noqa: PLR0124 - not a number, as pandas marks missing values
    return "" if is_missing else str(value).strip()
