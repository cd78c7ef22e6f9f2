"""The directory of a zip is found and parsed, whichever program wrote it, and not believed unchecked."""

import io
import struct
import zipfile

import pytest

from pipeline.archives.zip_directory import find_directory, parse_entries
from pipeline.archives.zip_reader import ZipReader
from pipeline.storage.byte_ranges import BytesRangeReader, RangeReader
from tests.helpers.fake_sources import SparseReader, list_until_damage
from tests.helpers.packing import pack_zip

FILES = [("a.jpg", b"aaaa"), ("folder/b.jpg", b"b" * 50), ("c.jpg", b"")]
TRUTH = [(name, len(data)) for name, data in FILES]
DATA = pack_zip(FILES)
CENTRAL = DATA.index(b"PK\1\2")
END = DATA.index(b"PK\5\6")
RECORDS = [CENTRAL, CENTRAL + 51, CENTRAL + 51 + 58]
ALL = [name for name, _ in FILES]


def list_names_and_sizes(source: RangeReader | bytes) -> list[tuple[str, int]]:
    """List a zip, whose members must all be readable."""
    directory = find_directory(BytesRangeReader("a.zip", source) if isinstance(source, bytes) else source)
    found = [*parse_entries(directory)]
    assert [entry.failure for entry in found] == [None] * len(found)
    return [(entry.path, entry.size_bytes) for entry in found]


def patch(offset: int, form: str, *values: int, data: bytes = DATA) -> bytes:
    """Return the zip with other numbers at an offset."""
    changed = bytearray(data)
    struct.pack_into(form, changed, offset, *values)
    return bytes(changed)


def add_zip64(data: bytes, at_end: bytes = b"") -> bytes:
    """Return the zip with a zip64 record and locator; the fields that they replace are all ones."""
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
        patch(END + 20, "<H", 300) + b"PK\5\6" * 75,
        add_zip64(DATA),
        add_zip64(DATA, b"more to come in later versions"),
        b"prefix" + add_zip64(DATA),
        DATA[:END] + b"\0" * 7 + DATA[END:],
    ],
    ids=["plain", "prefix", "junk", "comment", "zip64", "longer zip64", "prefix and zip64", "hole before the end"],
)
def test_the_directory_is_found(data: bytes) -> None:
    """After a program, before a comment that looks like an end record, as zip64, or next to junk."""
    assert list_names_and_sizes(data) == TRUTH


def test_positions_include_the_bytes_before_the_zip() -> None:
    """They count from the start of the file."""
    source = BytesRangeReader("a.zip", b"prefix" + DATA)
    assert next(iter(parse_entries(find_directory(source)))).position == 6


@pytest.mark.parametrize("number", [0, 1, 2])
def test_zip64_fields_replace_values_that_do_not_fit(number: int) -> None:
    """Values that are all ones, in order: size, stored size, position."""
    places = [CENTRAL + 24, CENTRAL + 20, CENTRAL + 42]
    extra = struct.pack("<HHQ", 1, 8, struct.unpack_from("<L", DATA, places[number])[0])
    data = patch(places[number], "<L", 0xFFFFFFFF)
    data = patch(CENTRAL + 30, "<H", len(extra), data=data)
    behind_name = CENTRAL + 46 + len("a.jpg")
    data = data[:behind_name] + extra + data[behind_name:]
    end = END + len(extra)
    data = patch(end + 12, "<L", END + len(extra) - CENTRAL, data=data)
    assert list_names_and_sizes(data) == TRUTH


def test_absurd_sizes_are_capped() -> None:
    """Sizes from a hostile zip64 field fit into the columns of the plan; the member fails as outside the zip."""
    extra = struct.pack("<HHQ", 1, 8, (1 << 64) - 1)
    data = patch(CENTRAL + 20, "<L", 0xFFFFFFFF)
    data = patch(CENTRAL + 30, "<H", len(extra), data=data)
    data = data[: CENTRAL + 51] + extra + data[CENTRAL + 51 :]
    data = patch(END + len(extra) + 12, "<L", END + len(extra) - CENTRAL, data=data)
    first = next(iter(parse_entries(find_directory(BytesRangeReader("a.zip", data)))))
    assert first.stored_bytes < 1 << 63
    assert str(first.failure) == "The zip member would lie outside its archive."


def test_a_zip_of_the_finder_begins_again_after_4_gib() -> None:
    """The macOS Finder writes no zip64: positions of members and directory lose their upper bits."""
    data = DATA
    for number, position in enumerate([1000, 10, 60]):
        data = patch(RECORDS[number] + 42, "<L", position, data=data)
    source = SparseReader(data[:CENTRAL], data[CENTRAL:], (1 << 32) + CENTRAL)
    found = [*parse_entries(find_directory(source))]
    assert [entry.position for entry in found] == [1000, (1 << 32) + 10, (1 << 32) + 60]


def test_folders_are_left_out_and_links_are_marked() -> None:
    """A link is a small file with the mode of a link."""
    link = zipfile.ZipInfo("link.jpg")
    link.external_attr = 0o120777 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.mkdir("folder.jpg")
        archive.writestr(link, "a.jpg")
    found, damage = list_until_damage(ZipReader(BytesRangeReader("a.zip", buffer.getvalue())))
    assert [(entry.path, entry.is_link) for entry in found] == [("link.jpg", True)]
    assert damage is None


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ("ü ✓.jpg".encode(), "ü ✓.jpg"),
        (b"f\x81r.jpg", "für.jpg"),
        (b"../../etc/a.jpg", "../../etc/a.jpg"),
        (b"/a.jpg", "/a.jpg"),
        (b"new\nline\0.jpg", "new\nline\0.jpg"),
        (b"x" * 4_000, "x" * 4_000),
        (b"", ""),
    ],
)
def test_names_are_data(raw: bytes, path: str) -> None:
    """No name is used as a path, whatever it says."""
    data = pack_zip([("?" * len(raw), b"photo")]).replace(b"?" * len(raw), raw) if raw else pack_zip([("", b"")])
    found, damage = list_until_damage(ZipReader(BytesRangeReader("a.zip", data)))
    assert [entry.path for entry in found] == [path]
    assert damage is None


@pytest.mark.parametrize(
    ("data", "names", "message"),
    [
        (b"", [], "it has no directory at its end"),
        (b"garbage" * 30_000, [], "it has no directory at its end"),
        (
            patch(END + 4, "<H", 1),
            ALL,
            "it is one of several parts of a zip; join them with zip -s 0 FILE --out WHOLE, or unpack them",
        ),
        (patch(END + 10, "<H", 9), ALL, "its directory shows 3 members and should show 9"),
        (patch(RECORDS[1], "<L", 7), ["a.jpg"], f"its directory is damaged at byte {RECORDS[1]}"),
        (patch(RECORDS[2] + 28, "<H", 60), ["a.jpg", "folder/b.jpg"], "its directory is cut short"),
        (patch(END + 12, "<L", 1 << 20), ALL, "its directory is cut short"),
        (patch(END + 12, "<2L", END - CENTRAL - 9, 5), ALL, "its directory is not where its end says"),
        (DATA[:50] + DATA[60:], ["a.jpg"], "10 bytes are missing before its directory"),
        (b"PK\3\4" + bytes(40) + DATA, [""], "it ends with the directory of a zip inside it, and its own is missing"),
    ],
    ids=["empty", "garbage", "part", "count", "record", "name", "size", "place", "hole", "inner"],
)
def test_a_damaged_directory_is_reported(data: bytes, names: list[str], message: str) -> None:
    """The reader raises after the members before the damage."""
    found, damage = list_until_damage(ZipReader(BytesRangeReader("a.zip", data)))
    assert [entry.path for entry in found] == names
    assert isinstance(damage, zipfile.BadZipFile)
    assert str(damage) == message
