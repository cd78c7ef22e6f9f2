"""The directory of a zip is found and read whatever wrote it, and is not believed blindly."""

import io
import struct
import zipfile
import zlib

import pytest

from pipeline.archives.zip_directory import entries, find_directory, name_of
from pipeline.archives.zip_reader import ZipReader
from pipeline.storage.byte_ranges import BytesRangeReader, RangeReader
from tests.helpers.fake_sources import Hollow, listed
from tests.helpers.packing import packed_zip

FILES = [("a.jpg", b"aaaa"), ("folder/b.jpg", b"b" * 50), ("c.jpg", b"")]
TRUTH = [(name, len(data)) for name, data in FILES]
DATA = packed_zip(FILES)
CENTRAL = DATA.index(b"PK\1\2")
END = DATA.index(b"PK\5\6")
RECORDS = [CENTRAL, CENTRAL + 51, CENTRAL + 51 + 58]
ALL = [name for name, _ in FILES]


def names_and_sizes(source: RangeReader | bytes) -> list[tuple[str, int]]:
    """List a zip that must be sound."""
    directory = find_directory(BytesRangeReader("a.zip", source) if isinstance(source, bytes) else source)
    found = [*entries(directory)]
    assert [entry.failure for entry in found] == [None] * len(found)
    return [(entry.path, entry.size_bytes) for entry in found]


def patched(offset: int, form: str, *values: int, data: bytes = DATA) -> bytes:
    """The zip with other numbers at a place."""
    changed = bytearray(data)
    struct.pack_into(form, changed, offset, *values)
    return bytes(changed)


def with_zip64(data: bytes, at_end: bytes = b"") -> bytes:
    """The zip with a zip64 record and its locator, and nothing but ones in the record that those replace."""
    _, _, _, _, count, size, start, _ = struct.unpack("<4s4H2LH", data[END:])
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44 + len(at_end), 45, 45, 0, 0, count, count, size, start) + at_end
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, END, 1)
    return data[:END] + record + locator + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, *[0xFFFF] * 2, *[0xFFFFFFFF] * 2, 0)


@pytest.mark.parametrize(
    "data",
    [
        DATA,
        b"\x7fELF a program that extracts itself" * 9 + DATA,
        DATA + b"junk after the end",
        patched(END + 20, "<H", 300) + b"PK\5\6" * 75,
        with_zip64(DATA),
        with_zip64(DATA, b"more to come in later versions"),
        b"prefix" + with_zip64(DATA),
        DATA[:END] + b"\0" * 7 + DATA[END:],
    ],
    ids=["plain", "prefix", "junk", "comment", "zip64", "longer zip64", "prefix and zip64", "hole before the end"],
)
def test_the_directory_is_found(data: bytes) -> None:
    """Behind a program, before a comment that looks like an end itself, in the large form, or with junk around."""
    assert names_and_sizes(data) == TRUTH


def test_positions_count_from_where_the_zip_begins() -> None:
    """Not from where the file does."""
    source = BytesRangeReader("a.zip", b"prefix" + DATA)
    assert next(iter(entries(find_directory(source)))).position == 6


@pytest.mark.parametrize("number", [0, 1, 2])
def test_zip64_fields_replace_what_does_not_fit(number: int) -> None:
    """Those that are all ones, in their order: size, stored size, position."""
    places = [CENTRAL + 24, CENTRAL + 20, CENTRAL + 42]
    extra = struct.pack("<HHQ", 1, 8, struct.unpack_from("<L", DATA, places[number])[0])
    data = patched(places[number], "<L", 0xFFFFFFFF)
    data = patched(CENTRAL + 30, "<H", len(extra), data=data)
    behind_name = CENTRAL + 46 + len("a.jpg")
    data = data[:behind_name] + extra + data[behind_name:]
    end = END + len(extra)
    data = patched(end + 12, "<L", END + len(extra) - CENTRAL, data=data)
    assert names_and_sizes(data) == TRUTH


def test_sizes_beyond_all_measure_are_held_back() -> None:
    """What a hostile zip64 field claims still fits into the columns of the plan; the member lies outside the zip."""
    extra = struct.pack("<HHQ", 1, 8, (1 << 64) - 1)
    data = patched(CENTRAL + 20, "<L", 0xFFFFFFFF)
    data = patched(CENTRAL + 30, "<H", len(extra), data=data)
    data = data[: CENTRAL + 51] + extra + data[CENTRAL + 51 :]
    data = patched(END + len(extra) + 12, "<L", END + len(extra) - CENTRAL, data=data)
    first = next(iter(entries(find_directory(BytesRangeReader("a.zip", data)))))
    assert first.stored_bytes < 1 << 63
    assert str(first.failure) == "The zip member would lie outside its archive."


def test_a_zip_of_the_finder_begins_again_after_4_gib() -> None:
    """The macOS Finder writes no zip64: positions, and where the directory is, lose their upper bits."""
    data = DATA
    for number, position in enumerate([1000, 10, 60]):
        data = patched(RECORDS[number] + 42, "<L", position, data=data)
    source = Hollow(data[:CENTRAL], data[CENTRAL:], (1 << 32) + CENTRAL)
    found = [*entries(find_directory(source))]
    assert [entry.position for entry in found] == [1000, (1 << 32) + 10, (1 << 32) + 60]


def test_folders_are_left_out_and_links_are_told() -> None:
    """A link is a small file with the mode of one."""
    link = zipfile.ZipInfo("link.jpg")
    link.external_attr = 0o120777 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.mkdir("folder.jpg")
        archive.writestr(link, "a.jpg")
    found, damage = listed(ZipReader(BytesRangeReader("a.zip", buffer.getvalue())))
    assert [(entry.path, entry.is_link) for entry in found] == [("link.jpg", True)]
    assert damage is None


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ("ü ✓.jpg".encode(), "ü ✓.jpg"),
        (b"f\x81r.jpg", "f\udc81r.jpg"),
        (b"../../etc/a.jpg", "../../etc/a.jpg"),
        (b"/a.jpg", "/a.jpg"),
        (b"new\nline\0.jpg", "new\nline\0.jpg"),
        (b"x" * 4_000, "x" * 4_000),
        (b"", ""),
    ],
)
def test_names_are_data(raw: bytes, path: str) -> None:
    """They are UTF-8 whether they say so or not; other bytes are kept as they are, and a name leads nowhere."""
    data = packed_zip([("?" * len(raw), b"photo")]).replace(b"?" * len(raw), raw) if raw else packed_zip([("", b"")])
    found, damage = listed(ZipReader(BytesRangeReader("a.zip", data)))
    assert [entry.path for entry in found] == [path]
    assert damage is None


def test_the_unicode_name_is_taken_where_it_belongs_to_the_name() -> None:
    """Info-ZIP's field 0x7075 has the checksum of the name that it stands for."""
    unicode_name = "für.jpg".encode()
    right = struct.pack("<HHBL", 0x7075, 5 + len(unicode_name), 1, zlib.crc32(b"f\x81r.jpg")) + unicode_name
    wrong = right.replace(zlib.crc32(b"f\x81r.jpg").to_bytes(4, "little"), b"\0\0\0\0")
    assert name_of(b"f\x81r.jpg", struct.pack("<HH", 0x5455, 0) + right) == "für.jpg"
    assert name_of(b"f\x81r.jpg", wrong) == "f\udc81r.jpg"


@pytest.mark.parametrize(
    ("data", "names", "message"),
    [
        (b"", [], "it has no directory at its end"),
        (b"garbage" * 30_000, [], "it has no directory at its end"),
        (patched(END + 4, "<H", 1), ALL, "it is one of several parts of a zip; join the parts first"),
        (patched(END + 10, "<H", 9), ALL, "its directory shows 3 members and should show 9"),
        (patched(RECORDS[1], "<L", 7), ["a.jpg"], f"its directory is damaged at byte {RECORDS[1]}"),
        (patched(RECORDS[2] + 28, "<H", 60), ["a.jpg", "folder/b.jpg"], "its directory is cut short"),
        (patched(END + 12, "<L", 1 << 20), ALL, "its directory is cut short"),
        (patched(END + 12, "<2L", END - CENTRAL - 9, 5), ALL, "its directory is not where its end says"),
        (DATA[:50] + DATA[60:], ["a.jpg"], "10 bytes are missing before its directory"),
        (b"PK\3\4" + bytes(40) + DATA, [""], "it ends with the directory of a zip inside it, and its own is missing"),
    ],
    ids=["empty", "garbage", "part", "count", "record", "name", "size", "place", "hole", "inner"],
)
def test_a_damaged_directory_is_told(data: bytes, names: list[str], message: str) -> None:
    """After the members that stand before the damage."""
    found, damage = listed(ZipReader(BytesRangeReader("a.zip", data)))
    assert [entry.path for entry in found] == names
    assert isinstance(damage, zipfile.BadZipFile)
    assert str(damage) == message
