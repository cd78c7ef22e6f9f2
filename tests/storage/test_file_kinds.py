"""What a file is, by its first bytes."""

import io
import tarfile
import zipfile
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.storage.file_kinds import HEAD_BYTES, WORDS, Kind, recognise


def picture(form: str) -> bytes:
    """A small picture."""
    data = io.BytesIO()
    Image.new("RGB", (8, 8)).save(data, form)
    return data.getvalue()


def make(kind: Kind, path: Path) -> None:
    """Let a program of this kind write a file."""
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("page.html", "<!doctype html>")
    elif kind == "tar":
        with tarfile.open(path, "w") as archive:
            archive.add(__file__, "a.py")
    elif kind == "parquet":
        pq.write_table(pa.table({"a": [1]}), path)
    elif kind == "duckdb":
        duckdb.connect(path).close()
    else:
        path.write_bytes(picture(kind))


@pytest.mark.parametrize("kind", ["zip", "tar", "parquet", "duckdb", "png", "jpeg", "tiff", "bmp", "gif", "webp"])
def test_content_decides(kind: Kind, tmp_path: Path) -> None:
    """Whatever the file is called."""
    make(kind, tmp_path / "page.html")
    assert recognise((tmp_path / "page.html").read_bytes()[:HEAD_BYTES], "page.html") == kind


@pytest.mark.parametrize(
    ("data", "name", "kind"),
    [
        (b"<!DOCTYPE html>\n<p>", "notes", "html"),
        (b"\xef\xbb\xbf\n <html>", "notes.txt", "html"),
        (b"a;b\n1;2\n", "t.csv", "csv"),
        (b"a;b\n1;2\n", "t.CSV", "csv"),
        (b"a;b\n1;2\n", "t", "text"),
        ("größe,\n".encode("cp1252"), "t.csv", "csv"),
        ("a,b\n".encode("utf-16"), "t.csv", "csv"),
        (b'{"type": "FeatureCollection"}', "x", "geojson"),
        (b'{"type": "Feature"}', "x", "json"),
        (b"<?xml version='1.0'?>", "x", "xml"),
        (b"BM is how this text begins", "x", "text"),
        (b"", "x.csv", "empty"),
        (b"\x00\x01\x02", "x.csv", "unknown"),
    ],
)
def test_a_text_is_what_it_begins_with_or_is_called(data: bytes, name: str, kind: Kind) -> None:
    """Only texts are known by their name."""
    assert recognise(data, name) == kind


@given(st.binary(max_size=HEAD_BYTES), st.text(max_size=9))
def test_any_bytes_have_a_kind_in_words(data: bytes, name: str) -> None:
    """No bytes and no name are an error."""
    assert WORDS[recognise(data, name)]
