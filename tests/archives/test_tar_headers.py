"""Headers of a tar mean what POSIX and GNU say, and no claim in them is followed blindly."""

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from pipeline.archives.tar_reader import TarReader
from pipeline.core.errors import DataError
from pipeline.storage.byte_ranges import BytesRangeReader
from tests.helpers.fake_sources import gone_through, listed, read
from tests.helpers.packing import packed_tar
from tests.helpers.tar_forms import header_of, info, packed

END = bytes(1024)
PHOTO = header_of("a.jpg", tarfile.REGTYPE, b"photo")


@pytest.fixture
def gnu_tar() -> None:
    """Skip where the tar command is another one: it is what writes the forms that `tarfile` cannot."""
    found = (
        subprocess.run(["tar", "--version"], capture_output=True, check=False).stdout if shutil.which("tar") else b""
    )
    if b"GNU" not in found:
        pytest.skip("needs GNU tar")


def pax(*records: bytes) -> bytes:
    """A header that tells more of the next file."""
    return header_of("pax", tarfile.XHDTYPE, b"".join(records))


def record(keyword: bytes, value: bytes) -> bytes:
    """One PAX record; its length counts itself."""
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
        (header_of("x", tarfile.GNUTYPE_LONGNAME, b"long.jpg\0"), "long.jpg"),
        (header_of("x", tarfile.GNUTYPE_LONGNAME, b"one.jpg\0") + pax(record(b"path", b"two.jpg")), "two.jpg"),
        (header_of("x", tarfile.GNUTYPE_LONGNAME, b"n.jpg\0") * 5_000, "n.jpg"),
        (header_of("pax", tarfile.XGLTYPE, record(b"comment", b"commit") + record(b"path", b"all.jpg")), "a.jpg"),
    ],
    ids=["own", "pax", "not utf-8", "empty", "gnu", "later wins", "deep", "global"],
)
def test_a_name_is_the_last_one_told(front: bytes, name: str) -> None:
    """By whatever header; it holds for one file, and what is told of all files names none."""
    came, damage = gone_through(TarReader, front + PHOTO + PHOTO + END)
    assert came == [(name, b"photo"), ("a.jpg", b"photo")]
    assert damage is None


def test_a_size_that_is_told_replaces_the_header_s() -> None:
    """Where the next header stands depends on it; a file so told is too large for a header of its own."""
    data = pax(record(b"size", b"5")) + header_of("a.jpg", tarfile.REGTYPE, b"photo", size=0) + PHOTO + END
    entries, damage = listed(TarReader(BytesRangeReader("a.tar", data)))
    assert [entry.size_bytes for entry in entries] == [5, 5]
    assert damage is None


@pytest.mark.parametrize("size", [b"-1024", b"x", b" 5", b"\xd9\xa3", b"1" * 30])
def test_a_size_that_is_none_is_damage(size: bytes) -> None:
    """A negative one would send the reader round in circles (CVE-2025-8194)."""
    came, damage = gone_through(TarReader, pax(record(b"size", size)) + PHOTO + END)
    assert came == []
    assert isinstance(damage, tarfile.ReadError)


def test_a_negative_size_in_base_256_is_damage() -> None:
    """As above."""
    data = bytearray(PHOTO)
    data[124:136] = b"\xff" * 12
    data[148:156] = b"%06o\0 " % (256 + sum(data[:148]) + sum(data[156:512]))
    _, damage = gone_through(TarReader, bytes(data) + END)
    assert str(damage) == "negative size at byte 0"


def test_a_size_in_base_256_is_read() -> None:
    """GNU tar writes it for files over 8 GiB; here of one byte more than there is."""
    header = tarfile.TarInfo("a.jpg")
    header.size = 9 << 30
    entries, damage = listed(TarReader(BytesRangeReader("a.tar", header.tobuf(tarfile.GNU_FORMAT) + b"x")))
    assert entries == []
    assert str(damage) == "it ends within 'a.jpg'"


@pytest.mark.parametrize(
    "records", [b"9999 path=a\n", b"path=a\n", b"7 path=a", b"0 a=b\n", b"5 ab\n", b"9 path=a\n\0\0\0"]
)
def test_damaged_records_are_told(records: bytes) -> None:
    """What they would have told is not guessed."""
    _, damage = gone_through(TarReader, header_of("pax", tarfile.XHDTYPE, records) + PHOTO + END)
    assert str(damage) == "damaged PAX records before byte 1,024"


def test_a_name_that_claims_gigabytes_is_not_read() -> None:
    """Far more than a name can have."""
    _, damage = gone_through(TarReader, header_of("x", tarfile.GNUTYPE_LONGNAME, b"", size=4 << 30) + END)
    assert str(damage) == "4,294,967,296 bytes of headers before byte 512; at most 1,048,576 are read"


def test_what_is_told_of_a_file_that_does_not_follow_is_damage() -> None:
    """The zeros that should mark the end stand in its place."""
    came, damage = gone_through(TarReader, PHOTO + pax(record(b"path", b"b.jpg")) + END)
    assert came == [("a.jpg", b"photo")]
    assert isinstance(damage, tarfile.ReadError)


def test_times_in_gnu_s_form_are_no_part_of_a_name() -> None:
    """`tar --incremental` keeps them where others keep the front of a long name."""
    data = bytearray(PHOTO)
    data[345:357] = b"14567012345\0"
    data[148:156] = b"%06o\0 " % (256 + sum(data[:148]) + sum(data[156:512]))
    assert gone_through(TarReader, bytes(data) + END) == ([("a.jpg", b"photo")], None)


@pytest.mark.parametrize("type_", [b"0", b"\0", b"7", b"Z"])
def test_what_is_of_no_other_type_is_a_file(type_: bytes) -> None:
    """So POSIX says of types that are not known."""
    assert gone_through(TarReader, header_of("a.jpg", type_, b"photo") + END) == ([("a.jpg", b"photo")], None)


@pytest.mark.parametrize("name_and_type", [("d", b"5"), ("d/", b"\0"), ("d/", b"D"), ("label", b"V")])
def test_folders_and_labels_are_no_files(name_and_type: tuple[str, bytes]) -> None:
    """GNU's lists of what a folder held are passed with their data."""
    name, type_ = name_and_type
    front = header_of(name, type_, b"Ya.jpg\0" if type_ == b"D" else b"")
    assert gone_through(TarReader, front + PHOTO + END) == ([("a.jpg", b"photo")], None)


def test_the_end_of_a_file_of_another_part_fails() -> None:
    """Its beginning is not in this tar."""
    came, damage = gone_through(TarReader, header_of("b.jpg", b"M", b"rest") + PHOTO + END)
    assert str(came[0][1]) == "The file is the end of one that begins in another part of this tar."
    assert came[1:] == [("a.jpg", b"photo")]
    assert damage is None


@pytest.mark.parametrize("form", ["gnu", "pax --sparse-version=0.0", "pax --sparse-version=0.1", "posix"])
@pytest.mark.usefixtures("gnu_tar")
def test_a_sparse_file_fails_and_its_neighbours_come(form: str, tmp_path: Path) -> None:
    """GNU tar leaves long zeros out; with many holes the map of them has blocks of its own."""
    (tmp_path / "b.jpg").write_bytes(b"photo")
    with (tmp_path / "a.jpg").open("wb") as file:
        for number in range(30):
            file.seek(number << 20)
            file.write(b"x" * 4096)
    command = ["tar", "-cf", "-", "--sparse", *f"--format={form}".split(), "a.jpg", "b.jpg"]
    data = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout
    assert len(data) < 1 << 20
    came, damage = gone_through(TarReader, data)
    assert damage is None
    assert isinstance(came[0][1], DataError)
    assert came[0][1].kind == "unsupported_compression"
    assert came[1] == ("b.jpg", b"photo")


@pytest.mark.usefixtures("gnu_tar")
def test_what_gnu_tar_writes_is_read(tmp_path: Path) -> None:
    """Hard links, symbolic links, folders and a name of 200 letters, in each of its forms."""
    long = "x" * 196 + ".jpg"
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / long).write_bytes(b"photo")
    (tmp_path / "d" / "link.jpg").symlink_to(long)
    (tmp_path / "d" / "z.jpg").hardlink_to(tmp_path / "d" / long)
    for form in ("gnu", "oldgnu", "posix", "v7", "ustar"):
        command = ["tar", "-cf", "-", f"--format={form}", "--sort=name", "d"]
        data = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).stdout
        entries, damage = listed(TarReader(BytesRangeReader("a.tar", data)))
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            expected = {entry.name for entry in archive if not entry.isdir()}
        assert {entry.path for entry in entries} == expected
        assert damage is None
        came = read(TarReader(BytesRangeReader("a.tar", data)), [entry for entry in entries if not entry.is_link])
        assert all(content == b"photo" for _, content in came)


def test_many_files_of_one_name_are_all_listed() -> None:
    """A hard link leads to the last one before it."""
    data = packed([info("a.jpg", b"1"), info("a.jpg", b"2"), info("l.jpg", type=tarfile.LNKTYPE, linkname="a.jpg")])
    assert gone_through(TarReader, data) == ([("a.jpg", b"1"), ("a.jpg", b"2"), ("l.jpg", b"2")], None)
    assert len(gone_through(TarReader, packed_tar([("b.jpg", b"")] * 300))[0]) == 300
