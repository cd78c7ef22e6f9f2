"""Tars are listed strictly: damage is told, and never taken for the end."""

import gzip
import io
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem

from pipeline import storage
from pipeline.archives import read_members, reader_of
from pipeline.errors import DataError, StorageError
from pipeline.members import Listing

_rng = random.Random(0)
PHOTOS = {f"span {number}/P{number}.JPG": _rng.randbytes(700 + 300 * number) for number in range(7)}
COMPRESSIONS = {".tar": "", ".tgz": "gz", ".tar.bz2": "bz2"}


def _tar(files: list[tuple[str, bytes]], compression: str = "", form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{compression}", format=form) as archive:  # type: ignore[call-overload]
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture
def stored(tmp_path: Path) -> Callable[[str, bytes], str]:
    """Write a file, and return its URL."""

    def store(name: str, data: bytes) -> str:
        (tmp_path / name).write_bytes(data)
        return storage.canonical(str(tmp_path / name))

    return store


def _read(url: str, listing: Listing) -> dict[tuple[str, int], bytes | DataError]:
    return {(member.path, member.occurrence): data for member, data in read_members(url, listing.members)}


def _names(listing: Listing) -> list[str]:
    return [member.path for member in listing.members]


@pytest.mark.parametrize(
    "name",
    [
        "../up.jpg",
        "/etc/abs.jpg",
        "new\nline.jpg",
        "back\\slash.jpg",
        "ümlaut ✓.jpg",
        "x" * 300 + ".jpg",
        "not \udcff utf-8.jpg",
    ],
)
@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@pytest.mark.parametrize("compression", ["", "gz"])
def test_names_are_data(name: str, form: int, compression: str, stored: Callable[[str, bytes], str]) -> None:
    """A name leads nowhere and means nothing: it comes back as it was written, in both forms of long names."""
    url = stored("a.tgz" if compression else "a.tar", _tar([(name, b"photo"), ("b.jpg", b"next")], compression, form))

    listing = reader_of(url).list()

    assert _names(listing) == [name, "b.jpg"]
    assert listing.failure is None
    assert _read(url, listing) == {(name, 0): b"photo", ("b.jpg", 0): b"next"}


@pytest.mark.parametrize("compression", ["", "gz"])
def test_links_and_devices_in_a_tar_are_counted(compression: str, stored: Callable[[str, bytes], str]) -> None:
    """They have no bytes of their own; folders are not counted, they hold nothing themselves."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{compression}") as archive:  # type: ignore[call-overload]
        for name, kind in [
            ("a.jpg", tarfile.SYMTYPE),
            ("b.jpg", tarfile.LNKTYPE),
            ("c", tarfile.DIRTYPE),
            ("d", tarfile.FIFOTYPE),
        ]:
            info = tarfile.TarInfo(name)
            info.type = kind
            archive.addfile(info)
    listing = reader_of(stored("a.tgz" if compression else "a.tar", buffer.getvalue())).list()

    assert listing == Listing(skipped=listing.skipped)
    assert listing.skipped == {"link or device": 3}


@pytest.mark.parametrize("suffix", [".tar", ".tgz"])
def test_a_cut_tar_yields_the_photos_before_the_cut(suffix: str, stored: Callable[[str, bytes], str]) -> None:
    """The photo that was cut is left out; those before it are listed."""
    data = _tar([*PHOTOS.items()], COMPRESSIONS[suffix])
    cut = data[: data.index(PHOTOS["span 5/P5.JPG"]) + 100] if suffix == ".tar" else data[: len(data) * 3 // 4]
    listing = reader_of(stored(f"a{suffix}", cut)).list()

    names = [*PHOTOS]
    assert _names(listing) == names[: len(listing.members)]
    assert len(listing.members) == 5 if suffix == ".tar" else len(listing.members) > 2
    assert listing.failure is not None
    assert listing.failure.kind == "archive_truncated"


@pytest.mark.parametrize("compression", ["", "gz"])
def test_a_tar_cut_between_photos_keeps_the_last_one(compression: str, stored: Callable[[str, bytes], str]) -> None:
    """Without the zeros that mark the end more may have followed: a failure, but the last photo is whole."""
    data = _tar([*PHOTOS.items()])
    cut = data[: data.index(b"span 5/P5.JPG")]
    url = stored("a.tgz" if compression else "a.tar", gzip.compress(cut) if compression else cut)

    listing = reader_of(url).list()

    assert _names(listing) == [*PHOTOS][:5]
    assert listing.failure is not None


@pytest.mark.parametrize("compression", ["", "gz"])
@pytest.mark.parametrize("damage", ["flipped", "zeroed"])
def test_a_damaged_header_is_not_the_end(damage: str, compression: str, stored: Callable[[str, bytes], str]) -> None:
    """`tarfile` alone would take it for the end of the archive and drop the rest without a word."""
    data = bytearray(_tar([*PHOTOS.items()]))
    header = data.index(b"span 4/P4.JPG")
    if damage == "flipped":
        data[header + 3] ^= 1
    else:
        data[header : header + 512] = bytes(512)
    url = stored("a.tgz" if compression else "a.tar", gzip.compress(bytes(data)) if compression else bytes(data))

    listing = reader_of(url).list()

    assert _names(listing) == [*PHOTOS][:4]
    assert listing.failure is not None
    assert listing.failure.kind == "archive_truncated"


def test_a_tar_with_too_many_zeros_at_its_end_is_suspect(stored: Callable[[str, bytes], str]) -> None:
    """A copy that was begun with its full size and never filled ends in zeros, far more than padding."""
    data = _tar([*PHOTOS.items()])

    assert reader_of(stored("a.tar", data + bytes(100_000))).list().failure is None
    assert reader_of(stored("b.tar", data + bytes(3 << 20))).list().failure is not None


def test_a_negative_size_does_not_go_round_in_circles(stored: Callable[[str, bytes], str]) -> None:
    """A header that sends the reader back is damage (CVE-2025-8194), not an endless archive."""
    info = tarfile.TarInfo("a.jpg")
    info.pax_headers = {"size": "-1024"}
    data = info.tobuf(tarfile.PAX_FORMAT) + bytes(1024)

    listing = reader_of(stored("a.tar", data)).list()

    assert listing.members == []
    assert listing.failure is not None


def test_a_wrong_checksum_of_the_compression_is_told(stored: Callable[[str, bytes], str]) -> None:
    """It stands at the very end, after all photos were listed: they stay, and one failure warns of them."""
    data = bytearray(_tar([*PHOTOS.items()], "gz"))
    data[-8] ^= 1

    listing = reader_of(stored("a.tgz", bytes(data))).list()

    assert _names(listing) == [*PHOTOS]
    assert listing.failure is not None


class _BadDisk(io.BytesIO):
    """A file of which only the first bytes can be read."""

    def readinto(self, buffer: object) -> int:
        """Fail as a broken disk does, after the first block."""
        if self.tell() > 0:
            raise OSError(5, "Input/output error")
        return super().readinto(buffer)  # type: ignore[arg-type]


@pytest.fixture
def bad_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every local file fail after its first block."""
    monkeypatch.setattr(LocalFileSystem, "open", lambda _self, path, _mode: _BadDisk(Path(path).read_bytes()))


@pytest.mark.parametrize("suffix", [".tar", ".tgz", ".tar.bz2"])
@pytest.mark.usefixtures("bad_disk")
def test_a_failing_disk_is_not_a_damaged_archive(suffix: str, stored: Callable[[str, bytes], str]) -> None:
    """The run stops and can be repeated; photos are not put down as failed for good."""
    url = stored(f"a{suffix}", _tar([("a.jpg", random.Random(1).randbytes(300_000))], COMPRESSIONS[suffix]))

    with pytest.raises(StorageError, match="could not be read"):
        reader_of(url).list()
