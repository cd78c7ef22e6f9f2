"""Tables as people and their programs save them, CSV or Parquet, as rows of text.

Knows encodings, delimiters and headers; `label_tables` says what the columns mean.
"""

import codecs
import csv
import io
import re
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.errors import UsageError

CSV_SUFFIXES = (".csv", ".tsv", ".txt")

_DELIMITERS = ",;\t"
"""Spreadsheets write semicolons or tabs where the comma is their decimal mark."""
_DELIMITER_HINT = re.compile(r"sep=(.)\s*", re.IGNORECASE)
"""The first line of some CSVs for Excel."""
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark is the beginning of this one
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",  # Excel's "Unicode text"
    codecs.BOM_UTF16_BE: "utf-16",
}
"""The beginning of files that say how they are encoded."""
_WITHOUT_MARK = {re.compile(rb"[^\0]\0[^\0]\0"): "utf-16-le", re.compile(rb"\0[^\0]\0[^\0]"): "utf-16-be"}
"""How a header in Latin letters begins in UTF-16."""
_DAMAGED = (pa.ArrowException, OSError, ValueError, OverflowError)
"""What pyarrow raises for a damaged Parquet file; `OSError` is not that of reading, since the bytes are there."""

MOST_ROWS = 5_000_000
"""Of a table. They take some 3 GB; a Parquet file of 13 kB can hold billions of equal ones."""


def column_key(name: str) -> str:
    """Return what the spellings of a column's name share: `File Name`, ` file_name` and `FILENAME` are one."""
    return re.sub(r"[\s_-]", "", name).casefold()


class TextTable(NamedTuple):
    """A table whose values are texts without blanks around them."""

    columns: tuple[str, ...]
    """Names of all columns, as the table has them."""
    rows: Sequence[Mapping[str, str]]
    """Values of the columns asked for, by `column_key`, null and missing ones as the empty text; some rows may be all
    empty."""
    surplus_row: int | None = None
    """The first row, from 1, with values beyond the last column, which says that its values are shifted; or None."""

    def find(self, names: Sequence[str]) -> str | None:
        """Return the key of the first of these columns that has values, or None."""
        return next(iter(self.find_all(names)), None)

    def find_all(self, names: Sequence[str]) -> list[str]:
        """Return the keys of these columns that have values."""
        keys = self.rows[0] if self.rows else {}
        return [key for key in map(column_key, names) if key in keys]

    def count(self, key: str) -> int:
        """Count the columns of a key; a table with two of them contradicts itself."""
        return Counter(map(column_key, self.columns))[key]


def read_text_table(url: str, data: bytes, columns: Collection[str]) -> TextTable:
    """Read a table by the ending of its name.

    Args:
        url: of the table.
        data: its bytes.
        columns: names of the columns whose values are wanted, in any spelling.

    Raises:
        UsageError: the file is no such table, or has more than `MOST_ROWS`.
    """
    wanted = frozenset(map(column_key, columns))
    if url.lower().endswith(CSV_SUFFIXES):
        try:
            return _make_table(url, _read_csv(_decode(url, data)), wanted)
        except csv.Error as error:
            raise UsageError(f"{url} is no CSV: {error}. Save it again as CSV, with quotes in pairs.") from error
    if url.lower().endswith(".parquet"):
        try:
            return _read_parquet(url, data, wanted)
        except _DAMAGED as error:
            raise UsageError(f"{url} is no Parquet table, or a damaged one: {error}. Write it again.") from error
    raise UsageError(f"{url} is neither a folder of labelled tiles nor a .csv or .parquet table.")


def _make_table(url: str, lines: Iterator[list[str]], wanted: Collection[str]) -> TextTable:
    """Take the first line that is not empty for the header; of two columns with one name the first counts."""
    columns = next((cells for cells in map(_strip, lines) if any(cells)), ())
    keys = [column_key(column) for column in columns]
    # Later columns first, so that the first one of a name stays.
    places = [(key, place) for place, key in reversed([*enumerate(keys)]) if key in wanted]
    rows: list[Mapping[str, str]] = []
    surplus_row = None
    for cells in (_strip(line) for line in lines if line):
        rows.append({key: cells[place] if place < len(cells) else "" for key, place in places})
        if surplus_row is None and any(cells[len(keys) :]):
            surplus_row = len(rows)
        if len(rows) > MOST_ROWS:
            raise _too_many_rows(url, f"more than {MOST_ROWS:,}")
    return TextTable(columns, rows, surplus_row)


def _strip(cells: Sequence[str]) -> tuple[str, ...]:
    return tuple(sys.intern(cell.strip()) for cell in cells)  # equal values share their memory


def _too_many_rows(url: str, found: str) -> UsageError:
    return UsageError(f"{url} has {found} rows; expected at most {MOST_ROWS:,}. Split it into several tables.")


def _decode(url: str, data: bytes) -> str:
    """Decode UTF-8, or UTF-16 and UTF-32 by their marks or, UTF-16, by the zeros in it."""
    marked = (encoding for mark, encoding in _MARKS.items() if data.startswith(mark))
    guessed = (encoding for start, encoding in _WITHOUT_MARK.items() if start.match(data))
    try:
        return data.decode(next(marked, None) or next(guessed, "utf-8"))
    except UnicodeDecodeError as error:
        row = len(re.findall(rb"\r\n|\r|\n", data[: error.start]))
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


def _read_parquet(url: str, data: bytes, wanted: Collection[str]) -> TextTable:
    """Read the columns of single values; others, such as pictures in the table, have no text."""
    file = pq.ParquetFile(pa.BufferReader(data))
    if file.metadata.num_rows > MOST_ROWS:
        raise _too_many_rows(url, f"{file.metadata.num_rows:,}")
    single = [field.name for field in file.schema_arrow if not pa.types.is_nested(field.type)]
    table = file.read(columns=[name for name in single if column_key(name) in wanted])
    keys = map(column_key, table.column_names)
    texts = {key: _read_texts(column) for key, column in zip(keys, table.columns, strict=True)}
    found = {key: column for key, column in texts.items() if column is not None}
    rows = [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]
    return TextTable(tuple(file.schema_arrow.names), rows)


def _read_texts(column: pa.ChunkedArray) -> list[str] | None:
    """Return the values of a column as texts; None for bytes that are no text, such as pictures."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        try:
            column = column.cast(pa.large_string())
        except pa.ArrowInvalid:
            return None
    return [sys.intern(_to_text(value)) for batch in column.chunks for value in batch.to_pylist()]


def _to_text(value: object) -> str:
    is_missing = value is None or value != value  # noqa: PLR0124 - not a number, as pandas marks missing values
    return "" if is_missing else str(value).strip()
