"""A zip gives its members back unchanged, or with the reason why not."""

import random
import struct
import time
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import storage
from pipeline.archives.members import Limits
from pipeline.archives.zip_reader import ZipReader
from pipeline.core.errors import DataError
from pipeline.storage.byte_ranges import BytesRangeReader, FileRangeReader, Window
from tests.helpers.fake_sources import (
    CountingReader,
    FlippingReader,
    list_and_read,
    list_until_damage,
    read_entries,
)
from tests.helpers.packing import pack_zip
from tests.helpers.zip_forms import PackZip, RawMember, pack_piped_zip, pack_raw_zip, pack_zip64

_rng = random.Random(0)
READABLE = "stored, deflated, bzip2, LZMA can be read"
METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
SMALL = [("a.jpg", b"first photo"), ("b/ü.jpg", bytes(300) + _rng.randbytes(40)), ("c.jpg", b""), ("a.jpg", b"again")]
NAMES = st.one_of(
    st.sampled_from(
        ["a.jpg", "../up.jpg", "/abs.jpg", "new\nline.jpg", "back\\slash", "x" * 4_000, "ümlaut ✓.jpg", ""]
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12),
).filter(lambda name: not name.endswith("/"))
CONTENTS = st.one_of(st.binary(max_size=200), st.integers(0, 100_000).map(bytes))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=40)
@given(
    files=st.lists(st.tuples(NAMES, CONTENTS), max_size=8),
    pack=st.sampled_from([pack_zip, pack_piped_zip, pack_zip64]),
    prefix=st.binary(max_size=40).filter(lambda data: not data.startswith(b"PK")),
)
def test_packed_members_are_read_unchanged(
    method: int, files: list[tuple[str, bytes]], pack: PackZip, prefix: bytes
) -> None:
    """Names, order and contents are the same for all methods, sizes before or after members, a program in front."""
    assert list_and_read(ZipReader, prefix + pack(files, method)) == (files, None)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("pack", [pack_zip, pack_piped_zip, pack_zip64])
def test_a_zip_cut_anywhere_yields_the_members_before_the_cut(pack: PackZip, method: int) -> None:
    """The directory is lost, so the damage is reported; complete members are read nevertheless."""
    data = pack(SMALL, method)
    directory = data.index(b"PK\1\2")
    for length in range(len(data)):
        found, damage = list_and_read(ZipReader, data[:length])
        assert found == SMALL[: len(found)], length
        assert isinstance(damage, zipfile.BadZipFile), length
        assert length < directory or found == SMALL, length


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("pack", [pack_zip, pack_piped_zip])
@pytest.mark.parametrize("bit", [0, 5, 7])
def test_no_damaged_byte_gives_wrong_content(pack: PackZip, bit: int) -> None:
    """Each photo is unchanged or fails, or the archive is reported as damaged; a name has no checksum."""
    data, contents = bytearray(pack(SMALL, zipfile.ZIP_DEFLATED)), {content for _, content in SMALL}
    for place in range(len(data)):
        data[place] ^= 1 << bit
        found, damage = list_and_read(ZipReader, bytes(data))
        data[place] ^= 1 << bit
        assert contents >= {content for _, content in found if isinstance(content, bytes)}, place
        assert len(found) == len(SMALL) or damage is not None, place


def test_a_byte_damaged_on_its_way_is_read_again() -> None:
    """The checksum shows the damage; a second read gives the photo, and only a photo that stays damaged fails."""
    data = pack_zip(SMALL[1:])
    entries, _ = list_until_damage(ZipReader(BytesRangeReader("a.zip", data)))
    for place in range(data.index(b"PK\1\2")):
        assert read_entries(ZipReader(FlippingReader(data, place, times=1)), entries) == SMALL[1:], place
    found = dict(read_entries(ZipReader(FlippingReader(data, data.index(b"again"), times=2)), entries))
    assert found.pop("b/ü.jpg") == SMALL[1][1]
    assert str(found["a.jpg"]) == (
        "The zip member cannot be read: its checksum is not the one that was stored with it."
    )


def test_an_unprotected_directory_is_read_twice() -> None:
    """Names have no checksum."""
    data = pack_zip(SMALL[1:])
    for place in range(len(data)):
        assert list_and_read(ZipReader, FlippingReader(data, place, times=1, is_protected=False)) == (
            SMALL[1:],
            None,
        ), place


@pytest.mark.parametrize(
    ("flags", "method", "kind", "message"),
    [
        (1, 0, "encrypted", "The zip member is protected by a password. Decrypt the archive first."),
        (65, 8, "encrypted", "The zip member is protected by a password. Decrypt the archive first."),
        (1, 99, "encrypted", "The zip member is protected by a password. Decrypt the archive first."),
        (0, 9, "unsupported_compression", f"The zip member is compressed by method 9; {READABLE}."),
        (0, 93, "unsupported_compression", f"The zip member is compressed by method 93; {READABLE}."),
    ],
)
def test_undecodable_members_fail_alone(flags: int, method: int, kind: str, message: str) -> None:
    """The listing has the failure; the neighbours are read."""
    data = bytearray(pack_zip(SMALL[1:]))
    struct.pack_into("<HH", data, 6, flags, method)
    struct.pack_into("<HH", data, data.index(b"PK\1\2") + 8, flags, method)
    entries, damage = list_until_damage(ZipReader(BytesRangeReader("a.zip", bytes(data))))
    assert damage is None
    (_, failure), *others = read_entries(ZipReader(BytesRangeReader("a.zip", bytes(data))), entries)
    assert isinstance(failure, DataError)
    assert failure is entries[0].failure
    assert (failure.kind, str(failure)) == (kind, message)
    assert others == SMALL[2:]


def test_a_bomb_is_not_read() -> None:
    """100 MB of zeros in 100 kB are a bomb; 1 MB of zeros is an image of one colour."""
    data = pack_zip([("bomb.png", bytes(100 << 20)), ("black.png", bytes(1 << 20))], zipfile.ZIP_DEFLATED)
    (_, failure), (_, content) = list_and_read(ZipReader, data)[0]
    assert isinstance(failure, DataError)
    assert failure.kind == "too_large"
    assert content == bytes(1 << 20)


@pytest.mark.parametrize("method", METHODS[1:])
def test_a_member_that_lies_about_its_size_is_not_decompressed_further(method: int) -> None:
    """Decompression stops at one byte more than the stated size."""
    data = bytearray(pack_zip([("a.png", bytes(50 << 20))], method))
    for place in (22, data.index(b"PK\1\2") + 24):
        struct.pack_into("<L", data, place, 1_000)
    [(_, failure)], _ = list_and_read(ZipReader, bytes(data))
    assert isinstance(failure, DataError)
    assert failure.kind == "member_unreadable"


def test_members_that_overlap_fail() -> None:
    """Of a thousand records of one file, one is readable."""
    data = pack_zip([("a.jpg", b"photo")])
    start, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
    many = data[:start] + data[start:end] * 1_000 + data[end:]
    many = many[:-22] + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1_000, 1_000, (end - start) * 1_000, start, 0)
    found, damage = list_and_read(ZipReader, many)
    assert damage is None
    assert sum(isinstance(content, bytes) for _, content in found) == 1
    assert {str(content) for _, content in found if isinstance(content, DataError)} == {
        "The zip member reaches into the next one, as in a zip bomb."
    }


def test_a_quoted_header_does_not_make_a_member_count_twice() -> None:
    """As in David Fifield's bomb, where the data of each member contain the headers of the next ones."""
    inner = pack_zip([("b.jpg", b"inner")])
    start, end = inner.index(b"PK\1\2"), inner.index(b"PK\5\6")
    outer = pack_zip([("a.jpg", inner[:start])])
    directory, finish = outer.index(b"PK\1\2"), outer.index(b"PK\5\6")
    quoted = bytearray(inner[start:end])
    struct.pack_into("<L", quoted, 42, outer.index(inner[:start]))
    data = outer[:finish] + bytes(quoted)
    data += struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 2, 2, len(data) - directory, directory, 0)
    found, damage = list_and_read(ZipReader, data)
    assert damage is None
    assert isinstance(found[0][1], DataError)
    assert found[1] == ("b.jpg", b"inner")


def test_a_header_with_much_in_it_is_read_to_its_end() -> None:
    """Some tools pad local headers by kilobytes; the reader then reads the member once more, whole."""
    data = pack_zip([("a.jpg", b"photo")])
    start = data.index(b"PK\1\2")
    extra = struct.pack("<HH", 0xD935, 4_000) + bytes(4_000)
    padded = data[:28] + struct.pack("<H", len(extra)) + data[30:35] + extra + data[35:]
    padded = padded[:-6] + struct.pack("<LH", start + len(extra), 0)
    assert list_and_read(ZipReader, padded) == ([("a.jpg", b"photo")], None)


def test_members_that_share_data_through_their_names_fail() -> None:
    """As in Fifield's bomb with extra fields: the local header of a member holds that of the next as its name."""
    content = bytes(5_000)
    kernel = pack_raw_zip([RawMember(b"c.jpg", content)])
    kernel = kernel[: kernel.index(b"PK\1\2")]
    local = b"PK\3\4" + kernel[4:26] + struct.pack("<HH", len(kernel) - len(content), 0)
    data = local + kernel
    records, count = bytearray(), 2
    for name, position in ((b"a.jpg", 0), (b"c.jpg", len(local))):
        packed = pack_raw_zip([RawMember(name, content)])
        record = bytearray(packed[packed.index(b"PK\1\2") : packed.index(b"PK\5\6")])
        struct.pack_into("<L", record, 42, position)
        records += record
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(records), len(data), 0)
    found, damage = list_and_read(ZipReader, data + records + end)
    assert damage is None
    assert str(found[0][1]) == "The zip member reaches into the next one, as in a zip bomb."
    assert found[1] == ("c.jpg", content)


@given(
    spans=st.lists(st.tuples(st.integers(0, 3_000), st.integers(0, 900), st.integers(0, 300)), max_size=12),
)
def test_members_that_are_read_have_no_more_bytes_than_the_zip(spans: list[tuple[int, int, int]]) -> None:
    """Whatever positions, lengths and names a directory claims, so that no bomb is made of overlaps."""
    records = bytearray()
    for position, stored_bytes, name_bytes in spans:
        packed = pack_raw_zip([RawMember(b"n" * name_bytes, b"")])
        record = bytearray(packed[packed.index(b"PK\1\2") : packed.index(b"PK\5\6")])
        struct.pack_into("<LL", record, 20, stored_bytes, stored_bytes)
        struct.pack_into("<L", record, 42, position)
        records += record
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, len(spans), len(spans), len(records), 2_000, 0)
    entries, damage = list_until_damage(ZipReader(BytesRangeReader("a.zip", bytes(2_000) + records + end)))
    assert damage is None
    assert sum(30 + entry.stored_bytes for entry in entries if entry.failure is None) <= 2_000


def test_members_of_a_zip_that_was_replaced_fail() -> None:
    """The header of each member must be there, and its bytes must have the checksum in the directory."""
    entries, _ = list_until_damage(ZipReader(BytesRangeReader("a.zip", pack_zip(SMALL[1:]))))
    for other in (pack_zip([("z.jpg", b"another photo")] * 1), b"", bytes(1_000)):
        found = read_entries(ZipReader(BytesRangeReader("a.zip", other)), entries)
        assert {content.kind for _, content in found if isinstance(content, DataError)} == {"member_unreadable"}
        assert len(found) == 3


def test_a_large_zip_is_listed_and_read_with_few_requests() -> None:
    """Listing a thousand photos takes at most four requests, reading a hundred neighbours at most two."""
    source = CountingReader(pack_zip([(f"IMG_{number:04d}.JPG", bytes(60_000)) for number in range(1_000)]))
    reader = ZipReader(source)
    entries, _ = list_until_damage(reader)
    assert len(entries) == 1_000
    assert len(source.requests) <= 4
    source.requests.clear()
    assert len(read_entries(reader, entries[300:400])) == 100
    assert len(source.requests) <= 2
    assert source.read_bytes < 6_200_000


@pytest.mark.parametrize("method", METHODS)
def test_a_member_opens_as_a_range_reader(method: int) -> None:
    """A stored member is a window, others are bytes in memory, within a limit."""
    inner = pack_zip(SMALL[1:])
    reader = ZipReader(BytesRangeReader("outer.zip", pack_zip([("x.jpg", b"x"), ("inner.zip", inner)], method)))
    entries, _ = list_until_damage(reader)
    source = reader.open_member(entries[1], Limits())
    assert isinstance(source, BytesRangeReader if method else Window)
    assert list_and_read(ZipReader, source) == (SMALL[1:], None)
    if method:
        with pytest.raises(DataError, match="at most 100 are read"):
            reader.open_member(entries[1], Limits(nested_bytes=100))


def test_a_member_that_cannot_be_read_does_not_open() -> None:
    """The error is that of reading the member."""
    data = bytearray(pack_zip([("inner.zip", b"x" * 40)]))
    entries, _ = list_until_damage(ZipReader(BytesRangeReader("a.zip", bytes(data))))
    data[0] = 0
    with pytest.raises(DataError, match="its header is not at byte 0"):
        ZipReader(BytesRangeReader("a.zip", bytes(data))).open_member(entries[0], Limits())
    with pytest.raises(DataError, match="password"):
        ZipReader(BytesRangeReader("a.zip", bytes(data))).open_member(
            entries[0]._replace(failure=DataError("read", "encrypted", "password")), Limits()
        )


@settings(max_examples=150)
@given(data=st.data())
def test_a_mutated_zip_gives_members_or_damage(data: st.DataObject) -> None:
    """Whatever the mutation, the reader raises only errors of damaged archives, and within 20 s."""
    pack, method = (
        data.draw(st.sampled_from([pack_zip, pack_piped_zip, pack_zip64])),
        data.draw(st.sampled_from(METHODS)),
    )
    zipped = bytearray(pack(SMALL[1:], method))
    for place in data.draw(st.lists(st.integers(0, len(zipped) - 1), max_size=6)):
        length = data.draw(st.integers(0, 4))
        zipped[place : place + length] = data.draw(st.one_of(st.binary(max_size=8), st.just(b"\xff" * 4)))
    begun = time.monotonic()
    found, _ = list_and_read(ZipReader, bytes(zipped))
    assert time.monotonic() - begun < 20
    assert all(isinstance(content, DataError | bytes) for _, content in found)


def test_a_stored_zip_is_read_from_disk(tmp_path: Path) -> None:
    """Members are the same as from memory."""
    path = tmp_path / "a.zip"
    path.write_bytes(pack_zip(SMALL[1:]))
    source = FileRangeReader(storage.canonical(str(path)), path.stat().st_size)
    assert list_and_read(ZipReader, source) == (SMALL[1:], None)
