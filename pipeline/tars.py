"""Tar files, plain and compressed: listed by their headers, read by offset or in one pass.

Stricter than `tarfile`, which takes a damaged header for the end of the archive without a word.
"""

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import IO, Any, Literal, Self, cast

from pipeline import storage
from pipeline.errors import DataError
from pipeline.members import DAMAGED, LINK, Listing, Member, archive_suffix, bounded, whole

MAX_PADDING_BYTES = 1 << 20
"""Tars are padded with zeros to 10 KiB, on tape to more; beyond this, photos were overwritten or never arrived."""

_DECOMPRESSORS: dict[str, Callable[[IO[bytes]], AbstractContextManager[Any]]] = {
    ".tar.gz": gzip.open,
    ".tgz": gzip.open,
    ".tar.bz2": bz2.open,
    ".tbz2": bz2.open,
    ".tar.xz": lzma.open,
    ".txz": lzma.open,
}


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
                file.seek(member.position - tarfile.BLOCKSIZE)
                if _is_header_of(member, file.read(tarfile.BLOCKSIZE)):
                    yield member, bounded(member) or whole(member, file.read(member.size_bytes))


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
        with self._decompressed() as file, _open_tar(file, "r|") as archive:
            for number, info in enumerate(archive):
                member = wanted.pop(number, None)
                if member is not None and info.name == member.path:
                    content = cast("IO[bytes]", archive.extractfile(info))
                    yield member, bounded(member) or whole(member, content.read())
                if not wanted:
                    return

    @contextmanager
    def _decompressed(self) -> Iterator[IO[bytes]]:
        opened = _DECOMPRESSORS[archive_suffix(self.url) or ""]
        with storage.open_file(self.url) as raw, opened(raw) as file:
            yield cast("IO[bytes]", file)


class _StrictTarInfo(tarfile.TarInfo):
    """A header that must be sound, or the zeros that end a tar."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        """Read the next header, and the extended ones before it."""
        try:
            info = super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # the zeros; typeshed lacks the name
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"{error} at byte {archive.offset:,}") from error
        if info.size < 0:  # would send `tarfile` round in circles
            raise tarfile.ReadError(f"negative size at byte {archive.offset:,}")
        return info


def _is_header_of(member: Member, block: bytes) -> bool:
    """Tell whether the block before a member's bytes is still its header; long names stand elsewhere."""
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return info.size == member.size_bytes


def _list_tar(url: str, file: IO[bytes], mode: Literal["r:", "r|"]) -> Listing:
    """List a tar from its headers; where it is cut short, the photo that was cut is left out."""
    listing, end_of_last = Listing(), 0
    try:
        with _open_tar(file, mode) as archive:
            for number, info in enumerate(archive):
                if info.isfile():
                    if listing.add(info.name, info.size, info.offset_data if mode == "r:" else number):
                        end_of_last = info.offset_data + info.size
                elif not info.isdir():
                    listing.skipped[LINK] += 1
            _check_nothing_left(cast("IO[bytes]", archive.fileobj))
    except DAMAGED as error:
        end = file.seek(0, io.SEEK_END) if mode == "r:" else file.tell()
        if end_of_last > end:
            listing.members.pop()
        listing.fail(storage.name(url), error)
    return listing


def _open_tar(file: IO[bytes], mode: Literal["r:", "r|"]) -> tarfile.TarFile:
    """Open a tar strictly; its names are UTF-8 whatever the locale, other bytes become surrogates."""
    return tarfile.open(fileobj=file, mode=mode, tarinfo=_StrictTarInfo, encoding="utf-8")


def _check_nothing_left(file: IO[bytes]) -> None:
    """Read to the end, where the checksum of a compression stands; only padding may follow the end of a tar."""
    padding_bytes = 0
    while rest := file.read(1 << 20):
        padding_bytes += len(rest)
        if padding_bytes > MAX_PADDING_BYTES or rest.strip(b"\0"):
            raise tarfile.ReadError("more than padding follows the zeros that mark its end")
