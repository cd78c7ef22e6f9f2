"""The headers of a tar mean what POSIX and GNU say, and no claim in them is believed unchecked."""

import gzip
import io
import shutil
import subprocess
import tarfile
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.archives.tar_reader import TarReader
from pipeline.core.errors import DataError
from pipeline.storage.byte_ranges import BytesRangeReader
from tests.helpers.fake_sources import list_and_read, list_until_damage, read_entries, read_stream
from tests.helpers.packing import pack_tar
from tests.helpers.tar_forms import make_header, make_member, pack_members

END = bytes(1024)
PHOTO = make_header("a.jpg", tarfile.REGTYPE, b"photo")


@pytest.fixture
def gnu_tar() -> None:
    """Skip without GNU tar, which writes forms that `tarfile` cannot."""
    found = (
        subprocess.run(["tar", "--version"], capture_output=True, check=False).stdout if shutil.which("tar") else b""
    )
    if b"GNU" not in found:
        pytest.skip("needs GNU tar")


def pax(*records: bytes) -> bytes:
    """Return an extended header for the next file."""
    return make_header("pax", tarfile.XHDTYPE, b"".join(records))


def record(keyword: bytes, value: bytes) -> bytes:
    """Return one PAX record; its length includes the digits of the length."""
    bare = len(keyword) + len(value) + 3
    length = bare + len(str(bare + len(str(bare))))
    return b"%d %s=%s\n" % (length, keyword, value)


@pytest.mark.parametrize(
    ("front", "name"),
    [
        (b"", "a.jpg"),
        (pax(record(b"path", "für.jpg".encode())), "für.jpg"),
        (pax(record(b"path", b"\xff.jpg"), record(b"mtime", b"1.5")), "\udcff.jpg"),
        (pax(record(b"path", b"")), "a.jpg"),
        (make_header("x", tarfile.GNUTYPE_LONGNAME, b"long.jpg\0"), "long.jpg"),
        (make_header("x", tarfile.GNUTYPE_LONGNAME, b"one.jpg\0") + pax(record(b"path", b"two.jpg")), "two.jpg"),
        (make_header("x", tarfile.GNUTYPE_LONGNAME, b"n.jpg\0") * 5_000, "n.jpg"),
        (make_header("pax", tarfile.XGLTYPE, record(b"comment", b"commit") + record(b"path", b"all.jpg")), "a.jpg"),
    ],
    ids=["own", "pax", "not utf-8", "empty", "gnu", "later wins", "deep", "global"],
)
def test_the_last_name_before_a_file_wins(front: bytes, name: str) -> None:
    """Whatever header holds it; it is for one file, and global headers give no names."""
    found, damage = list_and_read(TarReader, front + PHOTO + PHOTO + END)
    assert found == [(name, b"photo"), ("a.jpg", b"photo")]
    assert damage is None


def test_the_size_of_an_extended_header_wins() -> None:
    """Files too large for the field of their header have one; the position of the next header depends on it."""
    data = pax(record(b"size", b"5")) + make_header("a.jpg", tarfile.REGTYPE, b"photo", size=0) + PHOTO + END
    entries, damage = list_until_damage(TarReader(BytesRangeReader("a.tar", data)))
    assert [entry.size_bytes for entry in entries] == [5, 5]
    assert damage is None


@pytest.mark.parametrize("size", [b"-1024", b"x", b" 5", b"\xd9\xa3", b"1" * 30])
def test_an_invalid_size_is_damage(size: bytes) -> None:
    """A negative size would send the reader into an endless loop (CVE-2025-8194)."""
    found, damage = list_and_read(TarReader, pax(record(b"size", size)) + PHOTO + END)
    assert found == []
    assert isinstance(damage, tarfile.ReadError)


def test_a_negative_size_in_base_256_is_damage() -> None:
    """It would send the reader into an endless loop, too."""
    data = bytearray(PHOTO)
    data[124:136] = b"\xff" * 12
    data[148:156] = b"%06o\0 " % (256 + sum(data[:148]) + sum(data[156:512]))
    _, damage = list_and_read(TarReader, bytes(data) + END)
    assert str(damage) == "negative size at byte 0"


def test_a_size_in_base_256_is_read() -> None:
    """GNU tar writes it for files over 8 GiB; here the tar ends before the data."""
    header = tarfile.TarInfo("a.jpg")
    header.size = 9 << 30
    entries, damage = list_until_damage(TarReader(BytesRangeReader("a.tar", header.tobuf(tarfile.GNU_FORMAT) + b"x")))
    assert entries == []
    assert str(damage) == "it ends within 'a.jpg'"


@pytest.mark.parametrize(
    "records", [b"9999 path=a\n", b"path=a\n", b"7 path=a", b"0 a=b\n", b"5 ab\n", b"9 path=a\n\0\0\0"]
)
def test_damaged_records_are_damage(records: bytes) -> None:
    """The reader does not guess what a damaged PAX record says."""
    _, damage = list_and_read(TarReader, make_header("pax", tarfile.XHDTYPE, records) + PHOTO + END)
    assert str(damage) == "damaged PAX records before byte 1,024"


def test_a_name_that_claims_gigabytes_is_not_read() -> None:
    """The limit is 1 MiB, far more than any path has."""
    _, damage = list_and_read(TarReader, make_header("x", tarfile.GNUTYPE_LONGNAME, b"", size=4 << 30) + END)
    assert str(damage) == "4,294,967,296 bytes of headers before byte 512; at most 1,048,576 are read"


def test_a_record_that_claims_gigabytes_is_not_read() -> None:
    """Records that mean something have at most 1 MiB, all records of a file 256 MiB."""
    size = 2 << 20
    long = pax(record(b"path", b"x" * size))
    _, damage = list_and_read(TarReader, long + PHOTO + END)
    assert str(damage) == f"a record of {size + 14:,} bytes before byte 66,048; at most 1,048,576 are read"
    _, damage = list_and_read(TarReader, make_header("pax", tarfile.XHDTYPE, b"", size=4 << 30) + END)
    assert str(damage) == "4,294,967,296 bytes of headers before byte 512; at most 268,435,456 are read"


@settings(max_examples=60)
@given(
    lengths=st.lists(st.one_of(st.integers(0, 60), st.integers(0, 300_000)), max_size=6),
    name_at=st.integers(0, 6),
    read=st.sampled_from([partial(list_and_read, TarReader), lambda data: read_stream(gzip.compress(data))]),
)
def test_records_without_meaning_are_skipped(lengths: list[int], name_at: int, read: Callable[[bytes], object]) -> None:
    """However long they are, before or behind the name: extended attributes, resource forks, thumbnails."""
    records = [record(b"LIBARCHIVE.xattr.com.apple.ResourceFork", b"=\n x" * (length // 4)) for length in lengths]
    records.insert(name_at, record(b"path", b"named.jpg"))
    data = pax(*records) + PHOTO + PHOTO + END
    assert read(data) == ([("named.jpg", b"photo"), ("a.jpg", b"photo")], None)


def test_skipped_records_take_no_memory() -> None:
    """A resource fork of 60 MB is skipped in pieces."""
    data = pax(record(b"SCHILY.xattr.user.preview", bytes(60 << 20))) + PHOTO + END
    tracemalloc.start()
    found, damage = list_and_read(TarReader, data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (found, damage) == ([("a.jpg", b"photo")], None)
    assert peak < 2 << 20


@pytest.mark.parametrize("place", [100, 70_000, 150_300])
def test_long_records_that_are_cut_or_damaged_are_damage(place: int) -> None:
    """The newline at the end of a skipped record shows whether the next one begins behind it."""
    data = bytearray(pax(record(b"SCHILY.xattr.a", bytes(150_000))) + PHOTO + END)
    _, damage = list_and_read(TarReader, bytes(data[:place]))
    assert isinstance(damage, tarfile.ReadError)
    data[data.index(b"\n", 1_024)] = 0
    assert str(list_and_read(TarReader, bytes(data))[1]) == "damaged PAX records before byte 151,040"


def test_a_tar_from_the_field_with_long_records_is_read() -> None:
    """Its first photo has 1.2 MB of extended attributes."""
    path = Path(__file__).parents[2].parent / "shared/field/archives/t09-pax-header-of-1.2-MB.tar.gz"
    if not path.exists():
        pytest.skip(f"there is no {path} here")
    found, damage = read_stream(path.read_bytes())
    assert damage is None
    assert len(found) > 1
    assert all(isinstance(content, bytes) for _, content in found)


def test_an_extended_header_without_its_file_is_damage() -> None:
    """The zeros that mark the end are in the place of the file."""
    found, damage = list_and_read(TarReader, PHOTO + pax(record(b"path", b"b.jpg")) + END)
    assert found == [("a.jpg", b"photo")]
    assert isinstance(damage, tarfile.ReadError)


def test_times_in_gnu_s_form_are_no_part_of_a_name() -> None:
    """`tar --incremental` keeps them where other forms keep the front of a long name."""
    data = bytearray(PHOTO)
    data[345:357] = b"14567012345\0"
    data[148:156] = b"%06o\0 " % (256 + sum(data[:148]) + sum(data[156:512]))
    assert list_and_read(TarReader, bytes(data) + END) == ([("a.jpg", b"photo")], None)


@pytest.mark.parametrize("type_", [b"0", b"\0", b"7", b"Z"])
def test_unknown_types_are_files(type_: bytes) -> None:
    """POSIX says so."""
    assert list_and_read(TarReader, make_header("a.jpg", type_, b"photo") + END) == ([("a.jpg", b"photo")], None)


@pytest.mark.parametrize("name_and_type", [("d", b"5"), ("d/", b"\0"), ("d/", b"D"), ("label", b"V")])
def test_folders_and_labels_are_no_files(name_and_type: tuple[str, bytes]) -> None:
    """The reader skips GNU's lists of the files of a folder, with their data."""
    name, type_ = name_and_type
    front = make_header(name, type_, b"Ya.jpg\0" if type_ == b"D" else b"")
    assert list_and_read(TarReader, front + PHOTO + END) == ([("a.jpg", b"photo")], None)


def test_the_end_of_a_file_of_another_part_fails() -> None:
    """Its beginning is in another tar."""
    found, damage = list_and_read(TarReader, make_header("b.jpg", b"M", b"rest") + PHOTO + END)
    assert str(found[0][1]) == "The file is the end of one that begins in another part of this tar."
    assert found[1:] == [("a.jpg", b"photo")]
    assert damage is None


@pytest.mark.parametrize("form", ["gnu", "pax --sparse-version=0.0", "pax --sparse-version=0.1", "posix"])
@pytest.mark.usefixtures("gnu_tar")
def test_a_sparse_file_fails_and_its_neighbours_are_read(form: str, tmp_path: Path) -> None:
    """GNU tar leaves long zeros out; a map of many holes fills blocks of its own."""
    (tmp_path / "b.jpg").write_bytes(b"photo")
    with (tmp_path / "a.jpg").open("wb") as file:
        for number in range(30):
            file.seek(number << 20)
            file.write(b"x" * 4096)
    command = ["tar", "-cf", "-", "--sparse", *f"--format={form}".split(), "a.jpg", "b.jpg"]
    data = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout
    assert len(data) < 1 << 20
    found, damage = list_and_read(TarReader, data)
    assert damage is None
    assert isinstance(found[0][1], DataError)
    assert found[0][1].kind == "unsupported_compression"
    assert found[1] == ("b.jpg", b"photo")


@pytest.mark.usefixtures("gnu_tar")
def test_tars_of_gnu_tar_are_read(tmp_path: Path) -> None:
    """Hard links, symbolic links, folders and a name of 200 letters, in all five forms."""
    long = "x" * 196 + ".jpg"
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / long).write_bytes(b"photo")
    (tmp_path / "d" / "link.jpg").symlink_to(long)
    (tmp_path / "d" / "z.jpg").hardlink_to(tmp_path / "d" / long)
    for form in ("gnu", "oldgnu", "posix", "v7", "ustar"):
        command = ["tar", "-cf", "-", f"--format={form}", "--sort=name", "d"]
        data = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).stdout
        entries, damage = list_until_damage(TarReader(BytesRangeReader("a.tar", data)))
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            expected = {entry.name for entry in archive if not entry.isdir()}
        assert {entry.path for entry in entries} == expected
        assert damage is None
        found = read_entries(
            TarReader(BytesRangeReader("a.tar", data)), [entry for entry in entries if not entry.is_link]
        )
        assert all(content == b"photo" for _, content in found)


def test_many_files_of_one_name_are_all_listed() -> None:
    """A hard link is the last file of that name before it."""
    data = pack_members(
        [
            make_member("a.jpg", b"1"),
            make_member("a.jpg", b"2"),
            make_member("l.jpg", type=tarfile.LNKTYPE, linkname="a.jpg"),
        ]
    )
    assert list_and_read(TarReader, data) == ([("a.jpg", b"1"), ("a.jpg", b"2"), ("l.jpg", b"2")], None)
    assert len(list_and_read(TarReader, pack_tar([("b.jpg", b"")] * 300))[0]) == 300


def test_a_link_of_cpio_finds_its_target() -> None:
    """It strips `./` from names, not from the targets of links."""
    link = tarfile.TarInfo("b.jpg")
    link.type, link.linkname = tarfile.LNKTYPE, "./a.jpg"
    found, damage = list_and_read(TarReader, PHOTO + link.tobuf() + END)
    assert found == [("a.jpg", b"photo"), ("b.jpg", b"photo")]
    assert damage is None


@pytest.mark.parametrize("kind", [b"A", b"E"])
def test_solaris_attributes_are_no_photos(kind: bytes) -> None:
    """Their headers have the name of the photo that they belong to."""
    found, damage = list_and_read(TarReader, make_header("a.jpg", kind, b"attributes") + PHOTO + END)
    assert found == [("a.jpg", b"photo")]
    assert damage is None
