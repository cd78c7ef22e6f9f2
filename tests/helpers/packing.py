"""Archives of every kind made of the same files, and their photos as the workers read them."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from functools import partial

import pyarrow as pa

from pipeline import storage
from pipeline.archives.listing import decode_listing
from pipeline.archives.members import SEEKABLE_SUFFIXES, STREAM_SUFFIXES, Limits
from pipeline.archives.readers import list_archive
from pipeline.scoring.reading import read_unit, split_units

Files = Sequence[tuple[str, bytes]]
Outcome = dict[tuple[str, int], bytes | str]
"""Name and occurrence to the bytes, or to the kind of failure."""

SUFFIXES = (*SEEKABLE_SUFFIXES, *STREAM_SUFFIXES)
FORMS = (".zip", ".tar", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
"""One suffix for each form of archive."""
NOTHING = pa.chunked_array([], pa.string())


def pack_tar(files: Files, form: int = tarfile.PAX_FORMAT) -> bytes:
    """Pack a plain tar."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def pack_zip(files: Files, method: int = zipfile.ZIP_STORED) -> bytes:
    """Pack a zip, compressed by one method."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return buffer.getvalue()


def pack(suffix: str, files: Files) -> bytes:
    """Pack an archive by its suffix."""
    if suffix == ".zip":
        return pack_zip(files, zipfile.ZIP_DEFLATED)
    return _COMPRESS[suffix.removeprefix(".tar").lstrip(".")](pack_tar(files))


_COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    **dict.fromkeys(("gz", "tgz", "taz"), gzip.compress),
    **dict.fromkeys(("bz2", "bz", "tbz2", "tbz", "tb2", "tz2"), bz2.compress),
    **dict.fromkeys(("xz", "txz"), lzma.compress),
    **dict.fromkeys(("zst", "tzst"), partial(pa.compress, codec="zstd", asbytes=True)),
}


def read_archive(url: str, limits: Limits | None = None, done: pa.ChunkedArray = NOTHING) -> Outcome:
    """List an archive and read it unit by unit; check that each photo comes once, also those of streams."""
    listed = list_archive(storage.stat(url))
    expected = set(listed["image_id"].drop_null().to_pylist())
    rows = [
        row
        for unit in split_units(listed)
        for table in read_unit(unit, limits or Limits(), done)
        for row in table.to_pylist()
    ]
    for row in rows:
        if row["ended"] is not None:
            expected |= set(decode_listing(row["ended"])["image_id"].to_pylist())
    photos = [row for row in rows if row["ended"] is None]
    assert sorted(row["image_id"] for row in photos) == sorted(expected - set(done.to_pylist()))
    return {(row["image"], row["occurrence"]): row["failure_kind"] or row["data"] for row in photos}
