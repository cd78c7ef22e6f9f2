"""Where photos are kept: folders, zip and tar files, and how to list and read what is in them.

A reader knows one kind of archive; `READERS` is the table of kinds. Listing tells photos from other files; reading
gives bytes, or the `DataError` of the one member that cannot be read. Nothing is ever extracted to disk.
"""

import bz2
import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO, Literal, NamedTuple, Protocol, cast

from pipeline import storage
from pipeline.decode import PHOTO_SUFFIXES, UNSUPPORTED_SUFFIXES
from pipeline.errors import DataError, StorageError

MAX_MEMBER_BYTES = 1 << 30
"""Largest photo file that is read into memory; a zip bomb stops here."""

_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError)
"""What the standard library raises for damaged archives."""


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
    archives: list[storage.StoredFile] = field(default_factory=list)
    """Archives found in a folder."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Files that are no photos, counted by kind."""
    failure: DataError | None = None
    """Why the archive, or the rest of it, cannot be read."""

    def add(self, path: str, size_bytes: int, position: int = 0, version: str = "") -> None:
        """Take a photo in, or count what is none."""
        kind = file_kind(path)
        if kind == "photo":
            occurrence = self._seen[path]
            self._seen[path] += 1
            self.members.append(Member(path, occurrence, size_bytes, position, version))
        else:
            self.skipped[kind] += 1

    _seen: Counter[str] = field(default_factory=Counter, repr=False)


class Reader(Protocol):
    """Lists and reads one archive."""

    streams: bool
    """Whether it can only be read from front to back, so that one task must read all of it."""

    def __init__(self, url: str) -> None: ...

    def list(self) -> Listing:
        """List the photos."""

    def read(self, members: Iterable[Member]) -> Iterator[tuple[Member, bytes | DataError]]:
        """Read photos; one that cannot be read comes as its `DataError`."""


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
    return next((suffix for suffix in READERS if suffix and lower.endswith(suffix)), None)


def reader_of(url: str) -> Reader:
    """Open the reader for an archive, or for a folder."""
    return READERS[archive_suffix(url) or ""](url)


class FolderReader:
    """Loose photos below a folder, and the archives among them."""

    streams = False

    def __init__(self, url: str) -> None:
        self.url = url

    def list(self) -> Listing:
        """List everything below the folder."""
        listing = Listing()
        for file in storage.list_files(self.url):
            if file_kind(file.path) == "archive":
                listing.archives.append(file)
            else:
                listing.add(file.path, file.size_bytes, version=file.version)
        return listing

    def read(self, members: Iterable[Member]) -> Iterator[tuple[Member, bytes | DataError]]:
        """Read file after file."""
        for member in members:
            try:
                yield member, _bounded(member) or storage.read_bytes(storage.join(self.url, member.path))
            except StorageError as error:
                yield member, DataError("read", "member_unreadable", str(error))


class ZipReader:
    """Members of a zip file, found through its central directory."""

    streams = False

    def __init__(self, url: str) -> None:
        self.url = url

    def list(self) -> Listing:
        """List the central directory."""
        listing = Listing()
        try:
            with storage.open_file(self.url) as file, zipfile.ZipFile(file) as archive:
                for position, info in enumerate(archive.infolist()):
                    if not info.is_dir():
                        listing.add(info.filename, info.file_size, position)
        except _DAMAGED as error:
            listing.failure = _unreadable(self.url, error)
        return listing

    def read(self, members: Iterable[Member]) -> Iterator[tuple[Member, bytes | DataError]]:
        """Read members by their place in the directory; the CRC is checked."""
        with storage.open_file(self.url) as file, zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
            for member in members:
                try:
                    yield member, _bounded(member) or archive.read(infos[member.position])
                except (*_DAMAGED, NotImplementedError, RuntimeError) as error:  # unknown method; password needed
                    yield member, DataError("read", "member_unreadable", f"The zip member cannot be read: {error}.")


class TarReader:
    """Members of a plain tar, read by their offset."""

    streams = False

    def __init__(self, url: str) -> None:
        self.url = url

    def list(self) -> Listing:
        """List the headers, skipping over the data."""
        with storage.open_file(self.url) as file:
            return _list_tar(self.url, file, "r:")

    def read(self, members: Iterable[Member]) -> Iterator[tuple[Member, bytes | DataError]]:
        """Read the byte ranges that the listing found."""
        with storage.open_file(self.url) as file:
            for member in members:
                file.seek(member.position)
                data = _bounded(member) or file.read(member.size_bytes)
                yield member, _whole(member, data)


class CompressedTarReader:
    """Members of a compressed tar, read in one pass from front to back."""

    streams = True

    def __init__(self, url: str) -> None:
        self.url = url

    def list(self) -> Listing:
        """Decompress it once to learn what it holds."""
        with self._decompressed() as file:
            return _list_tar(self.url, file, "r|")

    def read(self, members: Iterable[Member]) -> Iterator[tuple[Member, bytes | DataError]]:
        """Decompress it again and give the members that are wanted as they come by."""
        wanted = {member.position: member for member in members}
        with self._decompressed() as file, tarfile.open(fileobj=file, mode="r|") as archive:
            for number, info in enumerate(archive):
                if not wanted:
                    return
                member = wanted.pop(number, None)
                if member is not None:
                    yield member, _bounded(member) or _whole(member, cast("IO[bytes]", archive.extractfile(info)).read())

    def _decompressed(self) -> IO[bytes]:
        raw = storage.open_file(self.url)
        suffix = archive_suffix(self.url) or ""
        if suffix in {".tar.bz2", ".tbz2"}:
            return cast("IO[bytes]", bz2.BZ2File(raw))
        if suffix in {".tar.xz", ".txz"}:
            return cast("IO[bytes]", lzma.LZMAFile(raw))
        return cast("IO[bytes]", gzip.GzipFile(fileobj=raw))


READERS: dict[str, type[Reader]] = {
    ".zip": ZipReader,
    ".tar": TarReader,
    ".tar.gz": CompressedTarReader,
    ".tgz": CompressedTarReader,
    ".tar.bz2": CompressedTarReader,
    ".tbz2": CompressedTarReader,
    ".tar.xz": CompressedTarReader,
    ".txz": CompressedTarReader,
    "": FolderReader,
}
"""File name ending to reader; no ending is a folder."""


def read_members(url: str, members: Iterable[Member]) -> Iterator[tuple[Member, bytes | DataError]]:
    """Read photos of one archive: each comes exactly once, as its bytes or as the reason why there are none."""
    left = dict.fromkeys(members)
    try:
        for member, data in reader_of(url).read(list(left)):
            del left[member]
            yield member, data
    except _DAMAGED as error:
        for member in left:
            yield member, DataError("read", "member_unreadable", f"The archive is damaged before this photo: {error}.")


class _StrictTarInfo(tarfile.TarInfo):
    """A header that must be sound: `tarfile` takes a damaged one for the end of the archive, without a word."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> "_StrictTarInfo":
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # the two zero blocks that end a tar
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"{error} at byte {tarfile_.offset:,}") from error  # type: ignore[attr-defined]


def _list_tar(url: str, file: IO[bytes], mode: Literal["r:", "r|"]) -> Listing:
    """List a tar from its headers; where it is cut short, the photo that was cut is left out."""
    listing, last = Listing(), -1
    try:
        with tarfile.open(fileobj=file, mode=mode, tarinfo=_StrictTarInfo) as archive:
            for number, info in enumerate(archive):
                last = info.offset_data if mode == "r:" else number
                if info.isfile():
                    listing.add(info.name, info.size, last)
                elif not info.isdir():
                    listing.skipped["link or device"] += 1
        while mode == "r|" and file.read(1 << 20):
            pass  # to the end, where the checksum of the compression stands
    except _DAMAGED as error:
        listing.failure = _unreadable(url, error)
        if listing.members and listing.members[-1].position == last:
            listing.members.pop()
            listing.failure = _truncated(url, error)
    return listing


def _unreadable(url: str, error: Exception) -> DataError:
    return DataError("open", "archive_unreadable", f"{storage.name(url)} is no sound archive: {error or 'it is empty'}.")


def _truncated(url: str, error: Exception) -> DataError:
    return DataError("open", "archive_truncated", f"{storage.name(url)} is damaged or cut short: {error}.")


def _bounded(member: Member) -> DataError | None:
    if member.size_bytes <= MAX_MEMBER_BYTES:
        return None
    found = f"{member.size_bytes:,} bytes; at most {MAX_MEMBER_BYTES:,} are read"
    return DataError("read", "too_large", f"The photo's file has {found}.")


def _whole(member: Member, data: bytes | DataError) -> bytes | DataError:
    if isinstance(data, DataError) or len(data) == member.size_bytes:
        return data
    return DataError("read", "member_unreadable", f"Only {len(data):,} of {member.size_bytes:,} bytes are there.")
