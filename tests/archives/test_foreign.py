"""An archive that cannot be opened says what it is and what to do, and is one failed row wherever it lies."""

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline import storage
from pipeline.archives.foreign import explain, find_form, refuse_by_name
from pipeline.archives.listing import image_id
from pipeline.archives.members import FOREIGN_SUFFIXES, SEEKABLE_SUFFIXES, SPLIT_PART, file_kind, whole_of
from pipeline.archives.readers import list_archive, list_folder
from pipeline.storage.byte_ranges import BytesRangeReader
from tests.helpers.packing import FORMS, SUFFIXES, pack, pack_zip, read_archive

FIELD = Path(__file__).parents[2].parent / "shared/field"
MAGIC = {
    "a 7z archive": b"7z\xbc\xaf\x27\x1c\0\4",
    "a RAR archive": b"Rar!\x1a\7\1\0",
    "a file of compress (.Z)": b"\x1f\x9d\x90",
    "an LZ4 file": b"\x04\x22\x4d\x18",
    "an lzip file": b"LZIP\1",
    "an LZMA file": b"\x5d\0\0\x80\0",
    "an lzop file": b"\x89LZO\0\r\n\x1a\n",
    "a cabinet": b"MSCF\0\0\0\0",
    "a xar archive": b"xar!\0\x1c",
    "an ACE archive": b"\x12\x34\x56\0\0\x90\0**ACE**",
    "an LHA archive": b"\x22\x33-lh5-",
}
IN_TRUTH = {".zip": "a zip", ".tar": "a plain tar", ".tgz": "a gzip file", ".tar.bz2": "a bzip2 file",
            ".tar.xz": "an xz file", ".tar.zst": "a zstd file"}  # fmt: skip

Store = Callable[[str, bytes], str]


@pytest.fixture
def stored(tmp_path: Path) -> Store:
    """Return a function that writes a file and returns its URL."""

    def store(name: str, data: bytes) -> str:
        (tmp_path / name).write_bytes(data)
        return storage.canonical(str(tmp_path / name))

    return store


def list_names(folder: Path) -> tuple[set[str], dict[str, int]]:
    """List a folder: the names of its archives, and the other files by kind."""
    listing, archives = list_folder(storage.canonical(str(folder)), without="file:///nothing")
    return {storage.name(file.url) for file in archives}, dict(listing.skipped)


@pytest.mark.parametrize("suffix", FOREIGN_SUFFIXES)
def test_a_foreign_archive_is_one_failed_row(suffix: str, stored: Store) -> None:
    """Its content is not read; the ending may be in capitals."""
    url = stored(f"night{suffix.upper()}", b"content")
    assert file_kind(url) == "archive"
    assert read_archive(url) == {("", 0): "archive_unreadable"}
    [row] = list_archive(storage.stat(url)).to_pylist()
    assert row["failure_stage"] == "open"
    assert row["failure_message"] == (
        f"night{suffix.upper()} is an archive of a kind that cannot be opened ({suffix}). "
        "Unpack it, or pack the photos as zip or tar."
    )


def test_a_stream_that_cannot_be_opened_is_one_failed_row(tmp_path: Path) -> None:
    """It is opened only when it is read, and costs itself, not the run."""
    os.mkfifo(tmp_path / "pipe.tgz")
    url = storage.canonical(str(tmp_path / "pipe.tgz"))
    assert read_archive(url) == {("", 0): "archive_unreadable"}


@pytest.mark.parametrize("suffix", [".gz", ".BZ2", ".xz", ".zst", ".Z"])
@pytest.mark.parametrize("stem", ["photo", "photo.JPG"])
def test_a_compressed_photo_is_one_failed_row(stem: str, suffix: str, stored: Store) -> None:
    """Nobody packs a photo so on purpose, but some backups do."""
    url = stored(f"{stem}{suffix}", b"compressed")
    [row] = list_archive(storage.stat(url)).to_pylist()
    assert (row["image"], row["failure_stage"], row["failure_kind"]) == ("", "open", "archive_unreadable")
    assert row["failure_message"] == (
        f"{stem}{suffix} is a compressed file without an archive in it, by its name. Decompress it; a compressed tar "
        f"is read if it is called {stem}.tar{suffix.lower()}."
    )


@pytest.mark.parametrize("outer", FORMS)
def test_a_foreign_archive_in_an_archive_is_one_failed_row(outer: str, stored: Store) -> None:
    """So is a split one, at its first part; the photos beside them are read."""
    names = ["in.7z", "d/in.tar.lz4", "in.zip.001", "in.zip.002", "in.part1.rar", "in.part2.rar"]
    url = stored(f"a{outer}", pack(outer, [*((name, b"7z" * 90) for name in names), ("b.jpg", b"b")]))
    failed = ["in.7z!/", "d/in.tar.lz4!/", "in.zip.001!/", "in.part1.rar!/"]
    assert read_archive(url) == {(name, 0): "archive_unreadable" for name in failed} | {("b.jpg", 0): b"b"}
    done = pa.chunked_array([[image_id(f"{url}!/{name}".encode(), 0) for name in failed]])
    if outer not in SEEKABLE_SUFFIXES:  # a resume meets them again
        assert read_archive(url, done=done) == {("b.jpg", 0): b"b"}


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("photos.zip.001", "photos.zip"),
        ("photos.ZIP.002", "photos.ZIP"),
        ("photos.7z.00010", "photos.7z"),
        ("photos.tar.gz.aa", "photos.tar.gz"),
        ("photos.tar.aac", "photos.tar"),
        ("photos.tar.gzaa", "photos.tar.gz"),
        ("photos.zip-ab", "photos.zip"),
        ("d/photos.tar.xz_ac", "d/photos.tar.xz"),
        ("bazaa", None),
        ("photos.tgz.00", "photos.tgz"),
        ("photos.zip.partab", "photos.zip"),
        ("photos.zip.part-2", "photos.zip"),
        ("photos.z01", "photos.zip"),
        ("photos.zx01", "photos.zipx"),
        ("photos.r00", "photos.rar"),
        ("d/photos.part01.rar", "d/photos.rar"),
        ("photos.zip", None),
        ("photos.tar.bz", None),
        ("photos.tar.br", None),
        ("photos.zip.1", None),
        ("photos.zip.asc", None),
        ("photos.zip.md5", None),
        ("photos.001", None),
        ("a.jpg.001", None),
        ("photos.z", None),
        (".rar", None),
    ],
)
def test_parts_of_split_archives_are_told_by_name(name: str, whole: str | None) -> None:
    """As 7-Zip, `split`, Info-ZIP, WinZip and WinRAR name them; `.1` is what wget adds to a second download."""
    assert whole_of(name) == whole
    assert (file_kind(name) == SPLIT_PART) == (whole is not None)


def test_of_a_split_archive_one_part_stands_for_all(tmp_path: Path) -> None:
    """The others are counted."""
    for name in ("p.zip.001", "p.zip.002", "p.zip.003", "q.part1.rar", "q.part2.rar", "r.r00", "a.jpg"):
        (tmp_path / name).touch()
    assert list_names(tmp_path) == ({"p.zip.001", "q.part1.rar", "r.r00"}, {SPLIT_PART: 3})


def test_parts_beside_the_whole_archive_are_counted(tmp_path: Path) -> None:
    """It was joined, or it is the last part and says so itself."""
    for name in ("p.zip", "p.zip.001", "p.zip.002", "Q.ZIP", "Q.Z01", "r.rar", "r.r00"):
        (tmp_path / name).touch()
    assert list_names(tmp_path) == ({"p.zip", "Q.ZIP", "r.rar"}, {SPLIT_PART: 4})


def test_the_advice_for_a_split_archive_fits_its_tool() -> None:
    """Parts that were cut are joined; others have headers of their own."""
    assert str(refuse_by_name("d/p.zip.001")) == (
        "p.zip.001 is one part of p.zip. Join the parts first, as in `cat p.zip.* > p.zip`."
    )
    assert str(refuse_by_name("p.z01")) == (
        "p.z01 is one part of p.zip. Unpack all parts, or pack the photos as zip or tar."
    )


@pytest.mark.parametrize(("truth", "suffix"), [*itertools.product(FORMS, SUFFIXES)])
def test_an_archive_with_the_ending_of_another_is_read_or_says_what_it_is(
    truth: str, suffix: str, stored: Store
) -> None:
    """Streams are told by their bytes; others have advice that works."""
    data = pack(truth, [("a.jpg", b"photo")])
    url = stored(f"night{suffix}", data)
    if truth == suffix or (suffix not in SEEKABLE_SUFFIXES and truth != ".zip"):
        assert read_archive(url) == {("a.jpg", 0): b"photo"}
        return
    assert read_archive(url) == {("", 0): "archive_unreadable"}
    right = str(explain(BytesRangeReader(f"night{suffix}", data), ValueError())).rpartition("Rename it to ")[2][:-1]
    assert read_archive(stored(right, data)) == {("a.jpg", 0): b"photo"}


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tgz"])
@pytest.mark.parametrize("outer", ["", ".zip", ".tgz"])
def test_what_an_archive_is_in_truth_stands_in_its_row(outer: str, suffix: str, stored: Store) -> None:
    """In another archive, too."""
    for name, magic in MAGIC.items():
        data = magic + bytes(2_000)
        packed = pack(outer, [(f"in{suffix}", data)]) if outer else data
        assert read_archive(stored(f"in{outer or suffix}", packed)) == {
            (f"in{suffix}!/" if outer else "", 0): "archive_unreadable"
        }
        message = str(explain(BytesRangeReader(f"d/in{suffix}", data), ValueError()))
        assert message == f"in{suffix} is {name}, which cannot be opened. Unpack it, or pack the photos as zip or tar."


@pytest.mark.parametrize("suffix", FORMS)
def test_every_form_is_told_by_its_first_bytes(suffix: str) -> None:
    """So is an empty zip, which has no member."""
    form = find_form(pack(suffix, [("a.jpg", b"photo")])[:512])
    assert form is not None
    assert form.name == IN_TRUTH[suffix]
    assert find_form(pack_zip([])) == find_form(pack_zip([("a.jpg", b"")]))


def test_damage_stays_the_reason_where_the_name_is_right() -> None:
    """Bytes that are no archive have no other name to propose."""
    for name, data in [("a.zip", pack_zip([("a.jpg", b"")])), ("a.tar.gz", b"BZh91"), ("a.zip", b"text"), ("a", b"PK")]:
        error = ValueError("damaged")
        assert explain(BytesRangeReader(name, data), error) is error


def test_archives_from_the_field_are_told() -> None:
    """Each that cannot be opened is an archive; one is read."""
    if not (FIELD / "split").exists():
        pytest.skip(f"there is no {FIELD / 'split'} here")
    names, skipped = list_names(FIELD / "split")
    assert names == {"a.gz", "a.tar.Z", "a.tar.lz4", "a.tbz", "other.7z", "other.rar", "photos.zip.001"}
    assert skipped == {SPLIT_PART: 1}
    assert "" not in {image for image, _ in read_archive(storage.canonical(str(FIELD / "split/a.tbz")))}
    gzipped = storage.canonical(str(FIELD / "archives/t05-gzip-called.tar"))
    [row] = list_archive(storage.stat(gzipped)).to_pylist()
    assert row["failure_message"] == (
        "t05-gzip-called.tar is a gzip file, whatever its name says. Rename it to t05-gzip-called.tar.gz."
    )
