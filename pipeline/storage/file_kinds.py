"""What a file is, by its first bytes: the kinds that people keep beside photos, and those that commands write.

The content decides. A text has no first bytes of its own, so there the ending of its name says what it is.
"""

from typing import Literal

Kind = Literal[
    "zip", "tar", "gzip", "bzip2", "xz", "zstd", "7z", "rar", "jpeg", "png", "gif", "bmp", "tiff", "webp", "heif",
    "jpeg 2000", "jpeg xl", "photoshop", "pdf", "parquet", "duckdb", "sqlite", "html", "xml", "json", "geojson", "csv",
    "text", "empty", "unknown",
]  # fmt: skip

WORDS: dict[Kind, str] = {
    "zip": "a zip archive",
    "tar": "a tar archive",
    "gzip": "an archive (gzip)",
    "bzip2": "an archive (bzip2)",
    "xz": "an archive (xz)",
    "zstd": "an archive (zstd)",
    "7z": "a 7z archive",
    "rar": "a RAR archive",
    "jpeg": "a JPEG picture",
    "png": "a PNG picture",
    "gif": "a GIF picture",
    "bmp": "a BMP picture",
    "tiff": "a TIFF picture or camera RAW",
    "webp": "a WebP picture",
    "heif": "a HEIC or AVIF picture, or a film",
    "jpeg 2000": "a JPEG 2000 picture",
    "jpeg xl": "a JPEG XL picture",
    "photoshop": "a Photoshop picture",
    "pdf": "a PDF",
    "parquet": "a Parquet table",
    "duckdb": "a DuckDB database",
    "sqlite": "an SQLite database",
    "html": "an HTML page",
    "xml": "an XML file",
    "json": "a JSON file",
    "geojson": "a GeoJSON file",
    "csv": "a CSV table",
    "text": "a text",
    "empty": "an empty file",
    "unknown": "a file of a kind that crackscan does not know",
}
"""Each kind in words."""

TEXTS: frozenset[Kind] = frozenset({"html", "xml", "json", "geojson", "csv", "text"})

HEAD_BYTES = 4096
"""The first bytes that say what a file is."""

_BEGINNINGS: tuple[tuple[int, bytes, Kind], ...] = (
    (0, b"PK\x03\x04", "zip"),
    (0, b"PK\x05\x06", "zip"),
    (0, b"PK\x07\x08", "zip"),
    (257, b"ustar", "tar"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"BZh", "bzip2"),
    (0, b"\xfd7zXZ\x00", "xz"),
    (0, b"\x28\xb5\x2f\xfd", "zstd"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (0, b"Rar!\x1a\x07", "rar"),
    (0, b"\xff\xd8\xff", "jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"GIF8", "gif"),
    (0, b"II*\x00", "tiff"),
    (0, b"MM\x00*", "tiff"),
    (0, b"II+\x00", "tiff"),
    (0, b"MM\x00+", "tiff"),
    (8, b"WEBP", "webp"),
    (4, b"ftyp", "heif"),
    (4, b"jP  \r\n\x87\n", "jpeg 2000"),
    (0, b"\xff\x4f\xff\x51", "jpeg 2000"),
    (0, b"\xff\x0a", "jpeg xl"),
    (4, b"JXL \r\n\x87\n", "jpeg xl"),
    (0, b"8BPS", "photoshop"),
    (0, b"%PDF-", "pdf"),
    (0, b"PAR1", "parquet"),
    (8, b"DUCK", "duckdb"),
    (0, b"SQLite format 3\x00", "sqlite"),
)
"""Where a kind's own bytes stand."""

_ENDINGS: dict[str, Kind] = {
    "htm": "html",
    "html": "html",
    "csv": "csv",
    "tsv": "csv",
    "xml": "xml",
    "svg": "xml",
    "json": "json",
    "geojson": "geojson",
}
"""Kinds of texts by the ending of their name, which people rely on."""

_CONTROLS = frozenset(range(32)) - frozenset(b"\t\n\r\f\x1a\x1b")
"""Bytes that no text has in any 8-bit encoding."""

BOM = b"\xef\xbb\xbf"
"""Some programs begin a text in UTF-8 with it."""


def recognise(head: bytes, name: str) -> Kind:
    """Tell what a file is.

    Args:
        head: its first `HEAD_BYTES` bytes, or all.
        name: its name.
    """
    for start, own, kind in _BEGINNINGS:
        if head[start:].startswith(own):
            return kind
    if not head:
        return "empty"
    if head.startswith(b"BM") and not _is_text(head):
        return "bmp"
    return _recognise_text(head, name) if _is_text(head) else "unknown"


def _is_text(head: bytes) -> bool:
    return head.startswith((b"\xff\xfe", b"\xfe\xff")) or _CONTROLS.isdisjoint(head)


def _recognise_text(head: bytes, name: str) -> Kind:
    begin = head.removeprefix(BOM).lstrip()[:HEAD_BYTES].lower()
    if begin.startswith((b"<!doctype html", b"<html")):
        return "html"
    if begin.startswith((b"<?xml", b"<svg")):
        return "xml"
    if begin.startswith((b"{", b"[")):
        return "geojson" if b'"featurecollection"' in begin else "json"
    return _ENDINGS.get(name.rpartition(".")[2].lower(), "text")
