"""One file of an archive, and what a reader of each format does.

The words that `zips`, `tars` and `archives` have in common; nothing here opens a file.
"""

import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from pipeline import storage
from pipeline.core.errors import DataError
from pipeline.images.decode import PHOTO_SUFFIXES, UNSUPPORTED_SUFFIXES
from pipeline.storage.byte_ranges import RangeReader

SEEKABLE_SUFFIXES = (".zip", ".tar")
"""Archives of which a part can be read by itself."""
STREAM_SUFFIXES = (
    ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst",
)  # fmt: skip
"""Archives that can only be read from front to back."""

DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    IndexError,
    NotImplementedError,
    OSError,  # of a decompressor; the storage's own are StorageErrors
    OverflowError,
    ValueError,
    struct.error,
)
"""What the libraries raise for damaged archives, found by fuzzing."""


@dataclass(frozen=True)
class Limits:
    """What is read into memory at most; a bomb stops here."""

    photo_bytes: int = 1 << 30
    """Largest photo file."""
    nested_bytes: int = 512 << 20
    """Largest nested archive that has to be decompressed before it can be read."""
    ratio: float = 200.0
    """Compressed members may grow by this factor; photos are compressed already …"""
    ratio_from_bytes: int = 64 << 20
    """… but small files of one colour may grow by more."""

    def check(self, entry: "Entry", *, nested: bool = False) -> None:
        """Refuse what would fill the memory.

        Raises:
            DataError: it is too large, or claims to grow too much.
        """
        most = self.nested_bytes if nested else self.photo_bytes
        if entry.size_bytes > most:
            found = f"{entry.size_bytes:,} bytes; at most {most:,} are read"
            raise DataError("read", "too_large", f"The file has {found}.")
        grows = entry.method and entry.size_bytes > self.ratio * entry.stored_bytes
        if grows and entry.size_bytes > self.ratio_from_bytes:
            found = f"{entry.stored_bytes:,} bytes that become {entry.size_bytes:,}"
            raise DataError("read", "too_large", f"The file has {found}, more than {self.ratio:g} times as many.")


class Entry(NamedTuple):
    """One file as an archive lists it. Folders are not listed."""

    path: str
    """Its name in the archive; bytes that are not UTF-8 are lone surrogates."""
    size_bytes: int
    """Of the file itself, decompressed."""
    position: int = 0
    """Where a reader finds it: offset of the local header in a zip, of the data in a tar; its number in a stream."""
    stored_bytes: int = 0
    """Bytes of it that lie in the archive, compressed."""
    method: int = 0
    """How it is compressed, in zip's numbers; 0 is not at all."""
    crc32: int | None = None
    """Checksum of the file, where the archive has one."""
    version: str = ""
    """Of a loose file: changes when the content does. Members have their archive's version."""
    is_link: bool = False
    """A symbolic link or a device, which is skipped; a hard link is listed as the file it leads to."""
    failure: DataError | None = None
    """Why it cannot be read, where that is known already."""


Content = bytes | DataError
"""The bytes of a photo, or why there are none."""


class SeekableReader(Protocol):
    """Lists and reads an archive whose members can be read by themselves."""

    def __init__(self, source: RangeReader) -> None:
        """Take the archive; nothing is read yet."""

    def entries(self) -> Iterator[Entry]:
        """List the files, in the order of the archive; raises one of `DAMAGED` where it cannot be read on."""

    def read(self, entries: Sequence[Entry], limits: Limits) -> Iterator[tuple[Entry, Content]]:
        """Read files, neighbours together; each comes exactly once, in any order."""

    def opened(self, entry: Entry, limits: Limits) -> RangeReader:
        """Return one file as a source: a window where it is not compressed, else its bytes; raises `DataError`."""


def file_kind(path: str) -> str:
    """Tell a photo (`photo`) and an archive (`archive`) by name from what is skipped (`hidden`, `.txt`, …)."""
    parts = path.split("/")
    suffix = parts[-1].rpartition(".")[2].lower() if "." in parts[-1] else ""
    if storage.is_hidden(path):
        return "hidden"
    if suffix in PHOTO_SUFFIXES | UNSUPPORTED_SUFFIXES:
        return "photo"
    if archive_suffix(path) is not None:
        return "archive"
    return f".{suffix}" if suffix else "no ending"


def archive_suffix(path: str) -> str | None:
    """Return the ending that makes a file an archive, None where it is none."""
    lower = path.lower()
    return next((suffix for suffix in SEEKABLE_SUFFIXES + STREAM_SUFFIXES if lower.endswith(suffix)), None)
