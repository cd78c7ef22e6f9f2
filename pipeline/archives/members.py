"""What all archive formats have in common: entries, limits, and the protocol of their readers.

Nothing here opens a file.
"""

import lzma
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from pipeline import storage
from pipeline.core.counts import count_of
from pipeline.core.errors import DataError
from pipeline.images.formats import PHOTO_SUFFIXES
from pipeline.storage.byte_ranges import RangeReader

SEEKABLE_SUFFIXES = (".zip", ".tar")
"""Archives that allow access to single members."""
STREAM_SUFFIXES = (
    ".tar.gz", ".tgz", ".taz", ".tar.bz2", ".tar.bz", ".tbz2", ".tbz", ".tb2", ".tz2", ".tar.xz", ".txz", ".tar.zst",
    ".tzst",
)  # fmt: skip
"""Archives that allow reading from front to back only; their bytes tell how they are compressed."""
FOREIGN_SUFFIXES = (
    ".7z", ".rar", ".zipx", ".cab", ".iso", ".dmg", ".ace", ".arj", ".lzh", ".lha", ".alz", ".sit", ".sitx", ".wim",
    ".cpio", ".xar", ".zpaq",
    ".tar.lz4", ".tlz4", ".tar.lz", ".tar.lzma", ".tlz", ".tar.lzo", ".tzo", ".tar.z", ".tar.br", ".tbr", ".tar.sz",
)  # fmt: skip
"""Archives that cannot be opened; each is one failed row, so that nobody believes its photos scored."""

RASTER_SUFFIXES = (".tif", ".tiff")
"""Photos that are rasters if they are too large for photos: archives of windows, see `rasters`."""

COMPRESSED_SUFFIXES = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".lzma", ".lz", ".z", ".br")
"""A file with one of these endings may be a compressed photo, if nothing before it tells otherwise, as `.txt` does."""

DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    IndexError,
    NotImplementedError,
    OSError,  # of a decompressor; storage raises StorageError
    OverflowError,
    ValueError,
    struct.error,
)
"""What the libraries raise for damaged archives, found by fuzzing."""


@dataclass(frozen=True)
class Limits:
    """How much may be read into memory, so that a bomb does no harm."""

    photo_bytes: int = 1 << 30
    """Largest photo file."""
    nested_bytes: int = 512 << 20
    """Largest nested archive that is compressed, and therefore decompressed into memory."""
    ratio: float = 200.0
    """Compressed members may grow by this factor, since photos are compressed already …"""
    ratio_from_bytes: int = 64 << 20
    """… but small files of one colour may grow by more."""

    def check(self, entry: "Entry", *, nested: bool = False) -> None:
        """Refuse a member that would fill the memory.

        Raises:
            DataError: it is too large, or grows too much by its own account.
        """
        limit_bytes = self.nested_bytes if nested else self.photo_bytes
        if entry.size_bytes > limit_bytes:
            found = f"{count_of(entry.size_bytes, 'byte')}; at most {limit_bytes:,} are read"
            raise DataError("read", "too_large", f"The file has {found}.")
        grows_much = entry.method and entry.size_bytes > self.ratio * entry.stored_bytes
        if grows_much and entry.size_bytes > self.ratio_from_bytes:
            found = f"{entry.stored_bytes:,} bytes that become {entry.size_bytes:,}"
            raise DataError("read", "too_large", f"The file has {found}, more than {self.ratio:g} times as many.")


class Entry(NamedTuple):
    """One file in the listing of an archive; folders are not listed."""

    path: str
    """Its path in the archive; bytes that are not UTF-8 are lone surrogates."""
    size_bytes: int
    """Of the decompressed file."""
    position: int = 0
    """Where a reader finds it: offset of the local header in a zip, of the data in a tar; its number in a stream or a
    raster."""
    stored_bytes: int = 0
    """Of the compressed file in the archive."""
    method: int = 0
    """How it is compressed, in the numbers of zip; 0 is not compressed. Of a window, how many bits its white has."""
    crc32: int | None = None
    """Checksum of the file, if the archive has one."""
    version: str = ""
    """Of a loose file: changes with its content. Members have the version of their archive."""
    is_link: bool = False
    """Whether it is a symbolic link or a device, which are skipped; a hard link is listed as its target."""
    failure: DataError | None = None
    """Why it cannot be read, if the listing shows that already."""


Content = bytes | DataError
"""The bytes of a file, or why it cannot be read."""


class SeekableReader(Protocol):
    """The reader of an archive format that allows access to single members."""

    def __init__(self, source: RangeReader) -> None:
        """Keep the archive; read nothing yet."""

    def entries(self) -> Iterator[Entry]:
        """List the files in the order of the archive; raise one of `DAMAGED` at the first damage."""

    def read(self, entries: Sequence[Entry], limits: Limits) -> Iterator[tuple[Entry, Content]]:
        """Read files, neighbours together; yield each exactly once, in any order."""

    def open_member(self, entry: Entry, limits: Limits) -> RangeReader:
        """Open one file: as a window if it is not compressed, else as its bytes in memory; raise `DataError`."""


SPLIT_PART = "part of a split archive"
"""Kind of such files in the count of skipped files: the first part has a failed row for all of them."""

_ALL_SUFFIXES = SEEKABLE_SUFFIXES + STREAM_SUFFIXES + FOREIGN_SUFFIXES
_NUMBERED_PART = re.compile(r"\d{2,5}|[a-f][a-z]|aa[a-z]|part[-_.]?(?:\d{1,5}|[a-z]{2,3})")
"""Ending of a part behind the name of the archive, as of 7-Zip (`.001`) and of `split` (`.aa`, `.00`)."""
_LETTERED_PART = re.compile(r"(.+?)[-_]?a[a-z]", re.IGNORECASE | re.DOTALL)
"""A part behind the name without a dot, as `split` names it by default."""
_LAST_PART = {"z": ".zip", "zx": ".zipx", "r": ".rar"}
"""Ending of the last or first part beside parts called `.z01` or `.r00`."""
_RAR_PART = re.compile(r"(.+)\.part\d{1,5}\.rar", re.IGNORECASE | re.DOTALL)
_BACKUP = re.compile(r"(?:~|\.bak|\.backup|\.orig|\.old|\.[^./]+_original)$", re.IGNORECASE)
"""Endings of second copies, as of editors and of ExifTool (`IMG_1.JPG_original`)."""


def file_kind(path: str) -> str:
    """Return by name whether a file is a `photo`, an `archive`, or of a kind that is skipped (`hidden`, `.txt`, …)."""
    name = path.rpartition("/")[2]
    suffix = name.rpartition(".")[2].lower() if "." in name else ""
    if storage.is_hidden(path):
        return "system folder" if storage.is_in_system_folder(path) else "hidden"
    if suffix in PHOTO_SUFFIXES:
        return "photo"
    if archive_suffix(path) is not None:
        return "archive" if whole_of(path) is None else SPLIT_PART
    if _BACKUP.search(name):
        return "backup copy"
    return f".{suffix}" if suffix else "no ending"


def archive_suffix(path: str) -> str | None:
    """Return the ending that makes a file an archive, or a part of one; None for other files."""
    lower = path.lower()
    if lower.endswith(_ALL_SUFFIXES):
        return next(suffix for suffix in _ALL_SUFFIXES if lower.endswith(suffix))
    is_one = whole_of(path) is not None or _may_be_compressed_photo(lower)
    return f".{lower.rpartition('.')[2]}" if is_one else None


def is_raster(url: str) -> bool:
    """Tell whether a file may be a raster, by its name; an `archive` with such a name is one."""
    return url.lower().endswith(RASTER_SUFFIXES)


def is_archive(url: str) -> bool:
    """Tell whether an `archive` of the plan is one, or a raster; not a folder."""
    return archive_suffix(url) is not None or is_raster(url)


def _may_be_compressed_photo(lower: str) -> bool:
    """Tell whether a file is called like a compressed photo (`a.jpg.gz`), or like nothing else (`a.gz`)."""
    stem, dot, suffix = lower.rpartition("/")[2].rpartition(".")
    inner = stem.rpartition(".")[2] if "." in stem else ""
    return stem != "" and dot + suffix in COMPRESSED_SUFFIXES and inner in PHOTO_SUFFIXES | {""}


def whole_of(path: str) -> str | None:
    """Return the path of the archive that was split, if a file is a part of one by its name."""
    if match := _RAR_PART.fullmatch(path):
        return f"{match[1]}.rar"
    stem, _, ending = path.rpartition(".")
    lower = ending.lower()
    if last := _LAST_PART.get(lower.rstrip("0123456789")):
        return f"{stem}{last}" if lower[-2:].isdecimal() else None
    if path.lower().endswith(_ALL_SUFFIXES):
        return None
    if (match := _LETTERED_PART.fullmatch(path)) and match[1].lower().endswith(_ALL_SUFFIXES):
        return match[1]
    return stem if _NUMBERED_PART.fullmatch(lower) and stem.lower().endswith(_ALL_SUFFIXES) else None
