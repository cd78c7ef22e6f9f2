"""What an archive holds: its photos, what was skipped, and why the rest cannot be read.

The words that the readers of `archives` and `tars` have in common; nothing here opens a file.
"""

import lzma
import struct
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from pipeline.decode import PHOTO_SUFFIXES, UNSUPPORTED_SUFFIXES
from pipeline.errors import DataError
from pipeline.storage import StoredFile

MAX_MEMBER_BYTES = 1 << 30
"""Largest photo file that is read into memory; a zip bomb stops here."""

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
"""File name endings of archives."""

LINK = "link or device"
"""The kind under which such members are counted."""

DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
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
"""What the standard library raises for damaged archives, found by fuzzing."""


class Member(NamedTuple):
    """One photo of an archive."""

    path: str
    """Its name in the archive; bytes that are not UTF-8 are lone surrogates."""
    occurrence: int
    """0, 1, … where a name repeats."""
    size_bytes: int
    position: int
    """Where a reader finds it: byte offset in a tar, number in a compressed tar or zip; 0 for a loose file."""
    version: str
    """Of a loose file: changes when the content does. Members have their archive's version."""


@dataclass
class Listing:
    """What an archive holds."""

    members: list[Member] = field(default_factory=list)
    archives: list[StoredFile] = field(default_factory=list)
    """Archives found in a folder."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Files that are no photos, counted by kind."""
    failure: DataError | None = None
    """Why the archive, or the rest of it, cannot be read."""

    def add(self, path: str, size_bytes: int, position: int = 0, version: str = "") -> bool:
        """Take a photo in, or count what is none; tell which it was."""
        kind = file_kind(path)
        if kind == "photo":
            occurrence = self._seen[path]
            self._seen[path] += 1
            self.members.append(Member(path, occurrence, size_bytes, position, version))
        else:
            self.skipped[kind] += 1
        return kind == "photo"

    def fail(self, archive: str, error: Exception) -> None:
        """Note that the archive, or what comes after the members seen so far, cannot be read."""
        reason = str(error) or "it ends early"
        if self._seen or self.skipped:
            self.failure = DataError("open", "archive_truncated", f"{archive} is damaged or cut short: {reason}.")
        else:
            self.failure = DataError("open", "archive_unreadable", f"{archive} is no archive: {reason}.")

    _seen: Counter[str] = field(default_factory=Counter, repr=False)


class Reader(Protocol):
    """Lists and reads one archive."""

    streams: bool
    """Whether it can only be read from front to back, so that one task must read all of it."""

    def __init__(self, url: str) -> None:
        """Take the archive's URL; nothing is opened yet."""

    def list(self) -> Listing:
        """List the photos."""

    def read(self, members: Iterable[Member]) -> Iterator[tuple[Member, bytes | DataError]]:
        """Read photos; one that cannot be read comes as its `DataError`, one that moved away not at all."""


def file_kind(path: str) -> str:
    """Tell a photo (`photo`) and an archive (`archive`) by name from what is skipped (`hidden`, `.txt`, …)."""
    parts = path.split("/")
    suffix = parts[-1].rpartition(".")[2].lower() if "." in parts[-1] else ""
    if "__MACOSX" in parts or any(part.startswith(".") and part not in {".", ".."} for part in parts):
        return "hidden"
    if suffix in PHOTO_SUFFIXES | UNSUPPORTED_SUFFIXES:
        return "photo"
    if archive_suffix(path) is not None:
        return "archive"
    return f".{suffix}" if suffix else "no ending"


def archive_suffix(path: str) -> str | None:
    """Return the ending that makes a file an archive, None where it is none."""
    lower = path.lower()
    return next((suffix for suffix in ARCHIVE_SUFFIXES if lower.endswith(suffix)), None)


def bounded(member: Member) -> DataError | None:
    """Refuse a member that is too large for memory."""
    if member.size_bytes <= MAX_MEMBER_BYTES:
        return None
    found = f"{member.size_bytes:,} bytes; at most {MAX_MEMBER_BYTES:,} are read"
    return DataError("read", "too_large", f"The photo's file has {found}.")


def whole(member: Member, data: bytes | DataError) -> bytes | DataError:
    """Refuse a member of which a part is missing."""
    if isinstance(data, DataError) or len(data) == member.size_bytes:
        return data
    return DataError("read", "member_unreadable", f"Only {len(data):,} of {member.size_bytes:,} bytes are there.")
