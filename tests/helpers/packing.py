"""Archives of every kind made of the same files, and what comes out of one by the way that the workers go."""

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
from pipeline.scoring.reading import read_unit, units

Files = Sequence[tuple[str, bytes]]
Outcome = dict[tuple[str, int], bytes | str]
"""Name and occurrence, to the bytes or the kind of failure."""

SUFFIXES = (*SEEKABLE_SUFFIXES, *STREAM_SUFFIXES)
NOTHING = pa.chunked_array([], pa.string())


def packed_tar(files: Files, form: int = tarfile.PAX_FORMAT) -> bytes:
    """A plain tar."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def packed_zip(files: Files, method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip, compressed by one method."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return buffer.getvalue()


def packed(suffix: str, files: Files) -> bytes:
    """An archive by its ending."""
    if suffix == ".zip":
        return packed_zip(files, zipfile.ZIP_DEFLATED)
    return _COMPRESS[suffix.removeprefix(".tar").lstrip(".")](packed_tar(files))


_COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    **dict.fromkeys(("gz", "tgz"), gzip.compress),
    **dict.fromkeys(("bz2", "tbz2"), bz2.compress),
    **dict.fromkeys(("xz", "txz"), lzma.compress),
    **dict.fromkeys(("zst", "tzst"), partial(pa.compress, codec="zstd", asbytes=True)),
}


def outcome(url: str, limits: Limits | None = None, done: pa.ChunkedArray = NOTHING) -> Outcome:
    """List an archive and read it unit by unit; checks that each listed photo comes once, streams' photos too."""
    listed = list_archive(storage.stat(url))
    asked = set(listed["image_id"].drop_null().to_pylist())
    rows = [
        row
        for unit in units(listed)
        for table in read_unit(unit, limits or Limits(), done)
        for row in table.to_pylist()
    ]
    for row in rows:
        if row["ended"] is not None:
            asked |= set(decode_listing(row["ended"])["image_id"].to_pylist())
    came = [row for row in rows if row["ended"] is None]
    assert sorted(row["image_id"] for row in came) == sorted(asked - set(done.to_pylist()))
    return {(row["image"], row["occurrence"]): row["failure_kind"] or row["data"] for row in came}
