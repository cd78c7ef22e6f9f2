"""The same photos in every kind of archive, and no photo lost in a damaged one."""

import io
import random
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import members, storage
from pipeline.archives import READERS, read_members, reader_of
from pipeline.errors import DataError
from pipeline.members import ARCHIVE_SUFFIXES, Listing, Member

_rng = random.Random(0)
PHOTOS = {f"span {number}/P{number}.JPG": _rng.randbytes(700 + 300 * number) for number in range(7)}
OTHERS = {
    "notes.txt": b"text",
    "README": b"no ending",
    ".hidden.jpg": b"x",
    "span 1/.thumbs/a.jpg": b"x",
    "__MACOSX/span 1/P1.JPG": b"x",
    "span 1/._P1.JPG": b"x",
    "inner.zip": b"x",
}
SKIPPED = {".txt": 1, "no ending": 1, "hidden": 4, "archive": 1}
TAR_MODES = {
    ".tar": "",
    ".tgz": "gz",
    ".tar.gz": "gz",
    ".tar.bz2": "bz2",
    ".tbz2": "bz2",
    ".tar.xz": "xz",
    ".txz": "xz",
}


def _tar(files: list[tuple[str, bytes]], compression: str = "", form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{compression}", format=form) as archive:  # type: ignore[call-overload]
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def _zip(files: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return buffer.getvalue()


def _packed(suffix: str, files: list[tuple[str, bytes]]) -> bytes:
    return _zip(files, zipfile.ZIP_DEFLATED) if suffix == ".zip" else _tar(files, TAR_MODES[suffix])


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


@pytest.mark.parametrize("suffix", ARCHIVE_SUFFIXES)
def test_every_archive_gives_the_same_photos(suffix: str, stored: Callable[[str, bytes], str]) -> None:
    """Names, sizes, bytes and what is skipped do not depend on how the photos are packed."""
    url = stored(f"a{suffix}", _packed(suffix, [*OTHERS.items(), *PHOTOS.items()]))

    listing = reader_of(url).list()

    assert {member.path: member.size_bytes for member in listing.members} == {
        name: len(data) for name, data in PHOTOS.items()
    }
    assert listing.skipped == SKIPPED
    assert listing.failure is None
    assert _read(url, listing) == {(name, 0): data for name, data in PHOTOS.items()}


def test_a_folder_gives_the_same_photos(tmp_path: Path) -> None:
    """Loose files are listed and skipped by the same rules; archives among them are handed out to be read."""
    for name, data in (PHOTOS | OTHERS).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    url = storage.canonical(str(tmp_path))

    listing = reader_of(url).list()

    assert _read(url, listing) == {(name, 0): data for name, data in PHOTOS.items()}
    assert (
        listing.skipped + {"archive": 1} == SKIPPED
        if False
        else listing.skipped == {kind: count for kind, count in SKIPPED.items() if kind != "archive"}
    )
    assert [archive.path for archive in listing.archives] == ["inner.zip"]


def test_every_ending_has_a_reader() -> None:
    """The endings that make a file an archive are those that can be read."""
    assert {*READERS} == {*ARCHIVE_SUFFIXES, ""}


@pytest.mark.filterwarnings("ignore:Duplicate name")  # of the writer
@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tgz"])
def test_a_repeated_name_is_several_photos(suffix: str, stored: Callable[[str, bytes], str]) -> None:
    """Each occurrence has its number and its own bytes."""
    url = stored(f"a{suffix}", _packed(suffix, [("a.jpg", b"first"), ("b.jpg", b"other"), ("a.jpg", b"second")]))

    assert _read(url, reader_of(url).list()) == {
        ("a.jpg", 0): b"first",
        ("b.jpg", 0): b"other",
        ("a.jpg", 1): b"second",
    }


def test_links_in_a_zip_are_counted(stored: Callable[[str, bytes], str]) -> None:
    """A zip keeps a link as a small file with the link's mode; folders are not counted."""
    link = zipfile.ZipInfo("a.jpg")
    link.external_attr = 0o120777 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(link, "b.jpg")
        archive.mkdir("folder.jpg")
    listing = reader_of(stored("a.zip", buffer.getvalue())).list()

    assert listing.members == []
    assert listing.skipped == {"link or device": 1}


@pytest.mark.parametrize("suffix", ARCHIVE_SUFFIXES)
def test_an_empty_archive_is_sound(suffix: str, stored: Callable[[str, bytes], str]) -> None:
    """It holds nothing, and nothing is wrong with it."""
    assert reader_of(stored(f"a{suffix}", _packed(suffix, []))).list() == Listing()


@pytest.mark.parametrize("data", [b"", b"garbage" * 1_000], ids=["empty", "garbage"])
@pytest.mark.parametrize("suffix", ARCHIVE_SUFFIXES)
def test_what_is_no_archive_is_one_failure(suffix: str, data: bytes, stored: Callable[[str, bytes], str]) -> None:
    """Nothing is listed, and the failure says of what and why."""
    listing = reader_of(stored(f"a{suffix}", data)).list()

    assert listing.members == []
    assert listing.failure is not None
    assert listing.failure.stage == "open"
    assert listing.failure.kind == "archive_unreadable"
    assert str(listing.failure).startswith(f"a{suffix} is no archive: ")


@pytest.mark.parametrize("seventh", range(1, 7))
@pytest.mark.parametrize("suffix", ARCHIVE_SUFFIXES)
def test_a_cut_archive_loses_nothing_in_silence(suffix: str, seventh: int, stored: Callable[[str, bytes], str]) -> None:
    """What is listed can be read whole, and a failure stands for the rest, if it is more than padding."""
    data = _packed(suffix, [*PHOTOS.items()])
    url = stored(f"a{suffix}", data[: len(data) * seventh // 7])

    listing = reader_of(url).list()

    assert listing.failure is not None or _names(listing) == [*PHOTOS]
    assert _read(url, listing) == {(name, 0): PHOTOS[name] for name in _names(listing)}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_zip_member_leaves_its_neighbours(method: int, stored: Callable[[str, bytes], str]) -> None:
    """Its CRC tells; the others are read."""
    files = [("a.jpg", b"a" * 999), ("b.jpg", PHOTOS["span 3/P3.JPG"]), ("c.jpg", b"c" * 999)]
    data = bytearray(_zip(files, method))
    data[data.index(b"b.jpg") + 500] ^= 1
    url = stored("a.zip", bytes(data))

    read = _read(url, reader_of(url).list())

    failure = read.pop(("b.jpg", 0))
    assert read == {("a.jpg", 0): b"a" * 999, ("c.jpg", 0): b"c" * 999}
    assert isinstance(failure, DataError)
    assert (failure.stage, failure.kind) == ("read", "member_unreadable")


@pytest.mark.parametrize(
    ("offset", "flag"),
    [(6, b"\1\0"), (8, struct.pack("<H", 99))],
    ids=["password", "unknown method"],
)
def test_zip_members_that_cannot_be_decoded_fail_alone(
    offset: int, flag: bytes, stored: Callable[[str, bytes], str]
) -> None:
    """A password or a compression that Python lacks is told for that member; the next one is read."""
    data = bytearray(_zip([("a.jpg", b"aaaa"), ("b.jpg", b"bbbb")]))
    central = data.index(b"PK\1\2")
    data[offset : offset + 2] = data[central + offset + 2 : central + offset + 4] = flag
    url = stored("a.zip", bytes(data))

    read = _read(url, reader_of(url).list())

    assert isinstance(read["a.jpg", 0], DataError)
    assert read["b.jpg", 0] == b"bbbb"


def test_a_zip_whose_directory_lacks_members_is_told(stored: Callable[[str, bytes], str]) -> None:
    """The end record states how many there are; damage in the directory can hide some."""
    data = bytearray(_zip([("a.jpg", b"aaaa"), ("b.jpg", b"bbbb")]))
    data[data.rindex(b"PK\5\6") + 10] = 5

    listing = reader_of(stored("a.zip", bytes(data))).list()

    assert _names(listing) == ["a.jpg", "b.jpg"]
    assert str(listing.failure) == "a.zip is damaged or cut short: its directory shows 2 members and should show 5."


def test_a_zip_member_without_a_name_is_damage(stored: Callable[[str, bytes], str]) -> None:
    """What `zipfile` makes of it is an IndexError; found by fuzzing."""
    data = bytearray(_zip([("a.jpg", b"aaaa"), ("b.jpg", b"bbbb")]))
    data[data.rindex(b"b.jpg")] = 0

    listing = reader_of(stored("a.zip", bytes(data))).list()

    assert _names(listing) == ["a.jpg"]
    assert listing.failure is not None


@pytest.mark.parametrize("suffix", [*ARCHIVE_SUFFIXES, ""])
def test_a_member_too_large_is_not_read(
    suffix: str, tmp_path: Path, stored: Callable[[str, bytes], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is told with the size; smaller neighbours are read."""
    monkeypatch.setattr(members, "MAX_MEMBER_BYTES", 1_000)
    if suffix:
        url = stored(f"a{suffix}", _packed(suffix, [("a.jpg", bytes(1_001)), ("b.jpg", bytes(1_000))]))
    else:
        url = storage.canonical(str(tmp_path))
        stored("a.jpg", bytes(1_001))
        stored("b.jpg", bytes(1_000))

    read = _read(url, reader_of(url).list())

    failure = read["a.jpg", 0]
    assert isinstance(failure, DataError)
    assert (failure.kind, str(failure)) == ("too_large", "The photo's file has 1,001 bytes; at most 1,000 are read.")
    assert read["b.jpg", 0] == bytes(1_000)


@pytest.mark.parametrize("suffix", ARCHIVE_SUFFIXES)
@settings(max_examples=25, deadline=None)
@given(wanted=st.sets(st.integers(0, 6)), keep=st.floats(0, 1))
def test_each_asked_member_comes_exactly_once(
    suffix: str, wanted: set[int], keep: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Also where the archive was cut or replaced after it was listed: as its bytes, or as the reason why not."""
    place = tmp_path_factory.getbasetemp() / f"once{suffix}"
    url = storage.canonical(str(place))
    data = _packed(suffix, [*PHOTOS.items()])
    place.write_bytes(data)
    asked = [member for number, member in enumerate(reader_of(url).list().members) if number in wanted]
    place.write_bytes(data[: int(len(data) * keep)])

    came = [*read_members(url, asked)]

    assert sorted(member for member, _ in came) == asked
    assert all(isinstance(got, DataError) or got == PHOTOS[member.path] for member, got in came)


@pytest.mark.parametrize("suffix", ARCHIVE_SUFFIXES)
def test_members_that_went_away_come_as_failures(suffix: str, stored: Callable[[str, bytes], str]) -> None:
    """A sound archive of fewer photos, put in place of the one that was listed, hides nothing."""
    url = stored(f"a{suffix}", _packed(suffix, [*PHOTOS.items()]))
    asked = reader_of(url).list().members
    stored(f"a{suffix}", _packed(suffix, []))

    came = [*read_members(url, asked)]

    assert [member for member, _ in came] == asked
    assert all(isinstance(got, DataError) for _, got in came)


def test_a_loose_photo_that_went_away_comes_as_a_failure(tmp_path: Path) -> None:
    """Its neighbours are read."""
    (tmp_path / "b.jpg").write_bytes(b"here")
    url = storage.canonical(str(tmp_path))
    asked = [Member("a.jpg", 0, 4, 0, ""), Member("b.jpg", 0, 4, 0, "")]

    gone, here = (data for _, data in read_members(url, asked))

    assert isinstance(gone, DataError)
    assert str(gone) == f"{url}/a.jpg could not be read: it was not found."
    assert here == b"here"
