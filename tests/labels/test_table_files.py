"""Tables as programs save them: one content, whatever the encoding, delimiter and ends of lines."""

import codecs
import csv
import io
import random
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import UsageError
from pipeline.labels import table_files
from pipeline.labels.table_files import column_key, read_text_table

CELLS = st.text(st.sampled_from("aä1 ,;\t\"'\n\\/."), max_size=6).map(str.strip)
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-sig", "utf-16-be-sig", "utf-16-le", "utf-16-be", "utf-32"]


def encode(text: str, encoding: str) -> bytes:
    """Encode a text, with the mark of its byte order if the encoding has one."""
    marks = {"utf-16-le-sig": codecs.BOM_UTF16_LE, "utf-16-be-sig": codecs.BOM_UTF16_BE}
    return marks.get(encoding, b"") + text.encode(encoding.removesuffix("-sig") if encoding in marks else encoding)


@given(
    rows=st.lists(st.tuples(CELLS, CELLS), max_size=4),
    delimiter=st.sampled_from(",;\t"),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(ENCODINGS),
    hint=st.booleans(),
)
@settings(deadline=None, max_examples=150)
def test_any_csv_comes_back(
    rows: list[tuple[str, str]], delimiter: str, line_end: str, encoding: str, *, hint: bool
) -> None:
    """What spreadsheets and scripts write is read as it was, line breaks within quotes too."""
    text = io.StringIO()
    # Python's writer forgets other line ends.
    quoting: Literal[0, 1] = csv.QUOTE_ALL if line_end == "\r" else csv.QUOTE_MINIMAL
    writer = csv.writer(text, delimiter=delimiter, lineterminator=line_end, quoting=quoting)
    writer.writerows([("path", "label"), *rows])
    whole = (f"sep={delimiter}{line_end}" if hint else "") + text.getvalue()
    table = read_text_table("file:///t.csv", encode(whole, encoding), ("path", "label"))
    assert table.columns == ("path", "label")
    assert [(row["path"], row["label"]) for row in table.rows] == rows


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize(("row", "where"), [(0, "its header"), (1, "row 1"), (3, "row 3")])
def test_another_encoding(row: int, where: str, line_end: bytes) -> None:
    """The error names the row that is not in UTF-8, and what to do."""
    lines = [b"path,label"] + [b"a.jpg,1"] * 4
    lines[row] += b",br\xfccke"
    with pytest.raises(UsageError) as caught:
        read_text_table("file:///t.csv", line_end.join(lines), ("path", "label"))
    assert str(caught.value) == (
        f"file:///t.csv is no CSV in UTF-8: {where} has the byte 0xfc. Save it again as CSV in UTF-8."
    )


def test_rows_of_other_lengths() -> None:
    """Missing values are empty; values without a column have no name, and their first row is known."""
    table = read_text_table("file:///t.csv", b"path,label\na\nb,1,2,3\n", ("path", "label"))
    assert table.rows == [{"path": "a", "label": ""}, {"path": "b", "label": "1"}]
    assert table.surplus_row == 2


def test_two_columns_of_one_name() -> None:
    """The first counts, and their number is known."""
    table = read_text_table("file:///t.csv", b"Label,label\n1,0\n", ("path", "label"))
    assert (table.rows, table.count("label")) == ([{"label": "1"}], 2)


def test_keys_of_columns() -> None:
    """Spellings of a name share a key."""
    assert {column_key(name) for name in ("File Name", " file_name", "FILENAME", "file-name")} == {"filename"}


@pytest.mark.parametrize("ending", ["csv", "CSV", "tsv", "txt"])
def test_endings(ending: str) -> None:
    """Text with tabs has several endings."""
    assert read_text_table(f"file:///t.{ending}", b"path\tlabel\na\t1\n", ()).columns == ("path", "label")


def parquet_of(table: pa.Table) -> bytes:
    """Return a table as a Parquet file."""
    data = io.BytesIO()
    pq.write_table(table, data)
    return data.getvalue()


@pytest.mark.parametrize("kind", [pa.string(), pa.binary(), pa.large_binary(), pa.dictionary(pa.int32(), pa.binary())])
def test_paths_as_bytes(kind: pa.DataType) -> None:
    """A path that was written as bytes is text; only the columns asked for are read."""
    paths = pa.array([b"a.jpg", "ä.jpg".encode()]).cast(pa.string() if kind == pa.string() else pa.binary())
    column = paths.dictionary_encode() if pa.types.is_dictionary(kind) else paths.cast(kind)
    table = read_text_table("file:///t.parquet", parquet_of(pa.table({"path": column, "note": [1, 2]})), ("path",))
    assert (table.columns, table.rows) == (("path", "note"), [{"path": "a.jpg"}, {"path": "ä.jpg"}])


def test_pictures_as_bytes() -> None:
    """Bytes that are no text have no values."""
    data = parquet_of(pa.table({"image": [b"\xff\xd8"], "label": [1]}))
    assert read_text_table("file:///t.parquet", data, ("image", "label")).rows == [{"label": "1"}]


def test_damaged_parquet() -> None:
    """Whatever is damaged is one kind of error, or is not noticed."""
    whole = parquet_of(pa.table({"path": [f"{number}.jpg" for number in range(99)], "label": [1] * 99}))
    chance, refused = random.Random(0), 0
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(3):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            read_text_table("file:///t.parquet", bytes(data), ("path", "label"))
        except UsageError as error:
            refused += str(error).startswith("file:///t.parquet is no Parquet table, or a damaged one: ")
    assert refused > 100


@pytest.mark.parametrize(("ending", "found"), [("csv", "more than 3"), ("parquet", "4")])
def test_too_many_rows(monkeypatch: pytest.MonkeyPatch, ending: str, found: str) -> None:
    """A small file can hold more rows than the memory."""
    monkeypatch.setattr(table_files, "MOST_ROWS", 3)
    data = b"path\n" + b"a\n" * 4 if ending == "csv" else parquet_of(pa.table({"path": ["a"] * 4}))
    with pytest.raises(UsageError) as caught:
        read_text_table(f"file:///t.{ending}", data, ("path",))
    assert (
        str(caught.value) == f"file:///t.{ending} has {found} rows; expected at most 3. Split it into several tables."
    )
