"""Where photos are kept: folders, zip and tar files, and how to list and read what is in them.

A reader knows one kind of archive; `READERS` is the table of kinds. Listing tells photos from other files; reading
gives bytes, or the `DataError` of the one member that cannot be read. Nothing is ever extracted to disk.
"""

import io
import stat
import zipfile
from collections.abc import Iterable, Iterator
from typing import IO

from pipeline import storage
from pipeline.errors import DataError, StorageError
from pipeline.members import DAMAGED, LINK, Listing, Member, Reader, archive_suffix, bounded, file_kind
from pipeline.tars import CompressedTarReader, TarReader

_ZIP_END_BYTES = 22 + 65_535
"""The end record of a zip and the longest comment after it."""


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
                yield member, bounded(member) or storage.read_bytes(storage.join(self.url, member.path))
            except StorageError as error:
                if not error.lasting or not storage.is_folder(self.url):  # the place is in trouble, not the photo
                    raise
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
                    if stat.S_ISLNK(info.external_attr >> 16):
                        listing.skipped[LINK] += 1
                    elif not info.is_dir():
                        listing.add(info.filename, info.file_size, position)
                _check_all_there(file, len(archive.infolist()))
        except DAMAGED as error:
            listing.fail(storage.name(self.url), error)
        return listing

    def read(self, members: Iterable[Member]) -> Iterator[tuple[Member, bytes | DataError]]:
        """Read members by their place in the directory; the CRC is checked."""
        with storage.open_file(self.url) as file, zipfile.ZipFile(file) as archive:
            infos = dict(enumerate(archive.infolist()))
            for member in members:
                info = infos.get(member.position)
                if info is None or info.filename != member.path:
                    continue
                try:
                    yield member, bounded(member) or archive.read(info)
                except (*DAMAGED, RuntimeError) as error:  # a RuntimeError where a password is needed
                    yield member, DataError("read", "member_unreadable", f"The zip member cannot be read: {error}.")


def _check_all_there(file: IO[bytes], found: int) -> None:
    """Compare with the number that the end of a zip states: `zipfile` reads on over damage in the directory."""
    file.seek(max(0, file.seek(0, io.SEEK_END) - _ZIP_END_BYTES))
    tail = file.read()
    expected = int.from_bytes(tail[tail.rfind(b"PK\5\6") + 10 :][:2], "little")
    if found % 65536 != expected != 65535:  # 65535 stands for "see the zip64 record"
        raise zipfile.BadZipFile(f"its directory shows {found:,} members and should show {expected:,}")


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
"""File name ending to reader, for all of `ARCHIVE_SUFFIXES`; no ending is a folder."""


def reader_of(url: str) -> Reader:
    """Choose the reader for an archive, or for a folder."""
    return READERS[archive_suffix(url) or ""](url)


def read_members(url: str, members: Iterable[Member]) -> Iterator[tuple[Member, bytes | DataError]]:
    """Read photos of one archive: each comes exactly once, as its bytes or as the reason why there are none."""
    left = dict.fromkeys(members)
    reason = "it has changed since it was listed"
    try:
        for member, data in reader_of(url).read(list(left)):
            del left[member]
            yield member, data
    except DAMAGED as error:
        reason = f"it is damaged before this photo: {error}"
    for member in left:
        yield member, DataError("read", "member_unreadable", f"The archive does not yield this photo; {reason}.")
