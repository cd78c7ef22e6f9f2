"""Tables as programs save them: one content, whatever the encoding, delimiter and ends of lines."""

import codecs
import csv
import io
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import UsageError
from pipeline.labels.table_files import column_key, read_text_table

CELLS = st.text(st.sampled_from("aä1 ,;\t\"'\n\\/."), max_size=6).map(str.strip)
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-sig", "utf-16-be-sig"]


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


@pytest.mark.parametrize(("row", "where"), [(0, "its header"), (1, "row 1"), (3, "row 3")])
def test_another_encoding(row: int, where: str) -> None:
    """The error names the row that is not in UTF-8, and what to do."""
    lines = [b"path,label"] + [b"a.jpg,1"] * 4
    lines[row] += b",br\xfccke"
    with pytest.raises(UsageError) as caught:
        read_text_table("file:///t.csv", b"\r\n".join(lines), ("path", "label"))
    assert str(caught.value) == (
        f"file:///t.csv is no CSV in UTF-8: {where} has the byte 0xfc. Save it again as CSV in UTF-8."
    )


def test_rows_of_other_lengths() -> None:
    """Missing values are empty, and values without a column have no name."""
    table = read_text_table("file:///t.csv", b"path,label\na\nb,1,2,3\n", ("path", "label"))
    assert table.rows == [{"path": "a", "label": ""}, {"path": "b", "label": "1"}]


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
    assert read_text_table(f"file:///t.{ending}", b"path\tlabel\na\t1\n").columns == ("path", "label", ("path", "label"))
