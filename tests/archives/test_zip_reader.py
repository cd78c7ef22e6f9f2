"""Members of a zip come back as they were put in, or with the reason why not."""

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
from tests.helpers.fake_sources import Counted, Flipping, gone_through, is_truth, listed, read
from tests.helpers.packing import packed_zip
from tests.helpers.zip_forms import Packed, piped, with_zip64

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
    pack=st.sampled_from([packed_zip, piped, with_zip64]),
    prefix=st.binary(max_size=40).filter(lambda data: not data.startswith(b"PK")),
)
def test_what_was_packed_comes_back(method: int, files: list[tuple[str, bytes]], pack: Packed, prefix: bytes) -> None:
    """Names, order and contents, by whatever method, sizes before or behind the members, a program in front."""
    assert gone_through(ZipReader, prefix + pack(files, method)) == (files, None)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("pack", [packed_zip, piped, with_zip64])
def test_a_zip_cut_anywhere_yields_what_stands_before_the_cut(pack: Packed, method: int) -> None:
    """Its directory is gone, so the damage is told; photos that are whole come all the same."""
    data = pack(SMALL, method)
    directory = data.index(b"PK\1\2")
    for length in range(len(data)):
        came, damage = gone_through(ZipReader, data[:length])
        assert came == SMALL[: len(came)], length
        assert isinstance(damage, zipfile.BadZipFile), length
        assert length < directory or came == SMALL, length


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("pack", [packed_zip, piped])
@pytest.mark.parametrize("bit", [0, 5, 7])
def test_no_damaged_byte_gives_wrong_content(pack: Packed, bit: int) -> None:
    """Each photo comes as it was put in, or fails, or the archive is told to be damaged."""
    data = bytearray(pack(SMALL, zipfile.ZIP_DEFLATED))
    for place in range(len(data)):
        data[place] ^= 1 << bit
        came, damage = gone_through(ZipReader, bytes(data))
        data[place] ^= 1 << bit
        assert is_truth(came, SMALL) or all(pair in SMALL for pair in came if isinstance(pair[1], bytes)), place
        assert len(came) == len(SMALL) or damage is not None, place


def test_a_byte_damaged_on_its_way_is_read_again() -> None:
    """The checksum tells; a second reading by itself gives the photo, and only a photo damaged for good fails."""
    data = packed_zip(SMALL[1:])
    entries, _ = listed(ZipReader(BytesRangeReader("a.zip", data)))
    for place in range(data.index(b"PK\1\2")):
        assert read(ZipReader(Flipping(data, place, times=1)), entries) == SMALL[1:], place
    came = dict(read(ZipReader(Flipping(data, data.index(b"again"), times=2)), entries))
    assert came.pop("b/ü.jpg") == SMALL[1][1]
    assert str(came["a.jpg"]) == ("The zip member cannot be read: its checksum is not the one that was stored with it.")


def test_an_unprotected_directory_is_read_twice() -> None:
    """Names have no checksum of their own."""
    data = packed_zip(SMALL[1:])
    for place in range(len(data)):
        assert gone_through(ZipReader, Flipping(data, place, times=1, is_protected=False)) == (SMALL[1:], None), place


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
def test_what_cannot_be_decoded_fails_alone(flags: int, method: int, kind: str, message: str) -> None:
    """It is told when it is listed; its neighbours are read."""
    data = bytearray(packed_zip(SMALL[1:]))
    struct.pack_into("<HH", data, 6, flags, method)
    struct.pack_into("<HH", data, data.index(b"PK\1\2") + 8, flags, method)
    entries, damage = listed(ZipReader(BytesRangeReader("a.zip", bytes(data))))
    assert damage is None
    (_, failure), *others = read(ZipReader(BytesRangeReader("a.zip", bytes(data))), entries)
    assert isinstance(failure, DataError)
    assert failure is entries[0].failure
    assert (failure.kind, str(failure)) == (kind, message)
    assert others == SMALL[2:]


def test_a_bomb_is_not_read() -> None:
    """A hundred megabytes of zeros in a hundred kilobytes; a megabyte of them is an image of one colour."""
    data = packed_zip([("bomb.png", bytes(100 << 20)), ("black.png", bytes(1 << 20))], zipfile.ZIP_DEFLATED)
    (_, failure), (_, content) = gone_through(ZipReader, data)[0]
    assert isinstance(failure, DataError)
    assert failure.kind == "too_large"
    assert content == bytes(1 << 20)


@pytest.mark.parametrize("method", METHODS[1:])
def test_a_member_that_lies_about_its_size_is_not_decompressed_further(method: int) -> None:
    """It stops at one byte more than it claims, far below what would fill the memory."""
    data = bytearray(packed_zip([("a.png", bytes(50 << 20))], method))
    for place in (22, data.index(b"PK\1\2") + 24):
        struct.pack_into("<L", data, place, 1_000)
    [(_, failure)], _ = gone_through(ZipReader, bytes(data))
    assert isinstance(failure, DataError)
    assert failure.kind == "member_unreadable"


def test_members_that_overlap_fail() -> None:
    """One file that a directory lists a thousand times is read once; one inside another is read by itself."""
    data = packed_zip([("a.jpg", b"photo")])
    start, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
    many = data[:start] + data[start:end] * 1_000 + data[end:]
    many = many[:-22] + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1_000, 1_000, (end - start) * 1_000, start, 0)
    came, damage = gone_through(ZipReader, many)
    assert damage is None
    assert sum(isinstance(content, bytes) for _, content in came) == 1
    assert {str(content) for _, content in came if isinstance(content, DataError)} == {
        "The zip member reaches into the next one, as in a zip bomb."
    }


def test_a_quoted_header_does_not_make_a_member_count_twice() -> None:
    """The bomb of David Fifield: each member's data hold the headers of those that follow."""
    inner = packed_zip([("b.jpg", b"inner")])
    start, end = inner.index(b"PK\1\2"), inner.index(b"PK\5\6")
    outer = packed_zip([("a.jpg", inner[:start])])
    directory, finish = outer.index(b"PK\1\2"), outer.index(b"PK\5\6")
    quoted = bytearray(inner[start:end])
    struct.pack_into("<L", quoted, 42, outer.index(inner[:start]))
    data = outer[:finish] + bytes(quoted)
    data += struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 2, 2, len(data) - directory, directory, 0)
    came, damage = gone_through(ZipReader, data)
    assert damage is None
    assert isinstance(came[0][1], DataError)
    assert came[1] == ("b.jpg", b"inner")


def test_a_header_with_much_in_it_is_read_to_its_end() -> None:
    """Some tools pad local headers by kilobytes; the member is then read once more, whole."""
    data = packed_zip([("a.jpg", b"photo")])
    start = data.index(b"PK\1\2")
    extra = struct.pack("<HH", 0xD935, 4_000) + bytes(4_000)
    padded = data[:28] + struct.pack("<H", len(extra)) + data[30:35] + extra + data[35:]
    padded = padded[:-6] + struct.pack("<LH", start + len(extra), 0)
    assert gone_through(ZipReader, padded) == ([("a.jpg", b"photo")], None)


def test_members_of_a_zip_that_was_replaced_fail() -> None:
    """The header of each must be its own."""
    entries, _ = listed(ZipReader(BytesRangeReader("a.zip", packed_zip(SMALL[1:]))))
    for other in (packed_zip([("z.jpg", b"another photo")] * 1), b"", bytes(1_000)):
        came = read(ZipReader(BytesRangeReader("a.zip", other)), entries)
        assert {content.kind for _, content in came if isinstance(content, DataError)} == {"member_unreadable"}
        assert len(came) == 3


def test_a_large_zip_is_listed_and_read_with_few_requests() -> None:
    """A thousand photos are listed with a handful of requests, and a hundred neighbours are read with one or two."""
    source = Counted(packed_zip([(f"IMG_{number:04d}.JPG", bytes(60_000)) for number in range(1_000)]))
    reader = ZipReader(source)
    entries, _ = listed(reader)
    assert len(entries) == 1_000
    assert len(source.requests) <= 4
    source.requests.clear()
    assert len(read(reader, entries[300:400])) == 100
    assert len(source.requests) <= 2
    assert source.read_bytes < 6_200_000


@pytest.mark.parametrize("method", METHODS)
def test_a_member_opens_as_a_source(method: int) -> None:
    """As a window where it is stored, else as its bytes, bounded by a limit of its own."""
    inner = packed_zip(SMALL[1:])
    reader = ZipReader(BytesRangeReader("outer.zip", packed_zip([("x.jpg", b"x"), ("inner.zip", inner)], method)))
    entries, _ = listed(reader)
    source = reader.opened(entries[1], Limits())
    assert isinstance(source, BytesRangeReader if method else Window)
    assert gone_through(ZipReader, source) == (SMALL[1:], None)
    if method:
        with pytest.raises(DataError, match="at most 100 are read"):
            reader.opened(entries[1], Limits(nested_bytes=100))


def test_a_member_that_cannot_be_read_does_not_open() -> None:
    """The reason is that of the member."""
    data = bytearray(packed_zip([("inner.zip", b"x" * 40)]))
    entries, _ = listed(ZipReader(BytesRangeReader("a.zip", bytes(data))))
    data[0] = 0
    with pytest.raises(DataError, match="its header is not at byte 0"):
        ZipReader(BytesRangeReader("a.zip", bytes(data))).opened(entries[0], Limits())
    with pytest.raises(DataError, match="password"):
        ZipReader(BytesRangeReader("a.zip", bytes(data))).opened(
            entries[0]._replace(failure=DataError("read", "encrypted", "password")), Limits()
        )


@settings(max_examples=150)
@given(data=st.data())
def test_mutations_end_in_a_failure_or_in_a_sound_photo(data: st.DataObject) -> None:
    """Whatever is done to a zip: nothing but the errors of damaged archives comes out, and soon."""
    pack, method = data.draw(st.sampled_from([packed_zip, piped, with_zip64])), data.draw(st.sampled_from(METHODS))
    zipped = bytearray(pack(SMALL[1:], method))
    for place in data.draw(st.lists(st.integers(0, len(zipped) - 1), max_size=6)):
        length = data.draw(st.integers(0, 4))
        zipped[place : place + length] = data.draw(st.one_of(st.binary(max_size=8), st.just(b"\xff" * 4)))
    begun = time.monotonic()
    came, _ = gone_through(ZipReader, bytes(zipped))
    assert time.monotonic() - begun < 20
    assert all(isinstance(content, DataError | bytes) for _, content in came)


def test_a_stored_zip_is_read_from_disk(tmp_path: Path) -> None:
    """As from memory."""
    path = tmp_path / "a.zip"
    path.write_bytes(packed_zip(SMALL[1:]))
    source = FileRangeReader(storage.canonical(str(path)), path.stat().st_size)
    assert gone_through(ZipReader, source) == (SMALL[1:], None)
