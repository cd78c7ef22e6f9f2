"""A zip without its directory gives its members back, in time that grows with its length alone."""

import random
import struct
import time
import zipfile
import zlib

import pytest

from pipeline.archives.zip_salvage import salvage
from pipeline.storage.byte_ranges import BytesRangeReader
from tests.helpers.fake_sources import Counted
from tests.helpers.packing import packed_zip
from tests.helpers.zip_forms import Packed, piped

_rng = random.Random(0)
LARGE = [(f"{number}.jpg", _rng.randbytes(700_000 * number)) for number in range(4)]


def names_and_sizes(data: bytes) -> list[tuple[str, int]]:
    """What is found."""
    return [(entry.path, entry.size_bytes) for entry in salvage(BytesRangeReader("a.zip", data))]


@pytest.mark.parametrize("pack", [packed_zip, piped])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_longer_than_a_piece_are_found(pack: Packed, method: int) -> None:
    """Also where their ends must be searched."""
    data = pack(LARGE, method)
    assert names_and_sizes(data[: data.index(b"PK\1\2")]) == [(name, len(content)) for name, content in LARGE]


@pytest.mark.parametrize("shift", range(-40, 8, 3))
def test_an_end_that_lies_across_two_pieces_is_found(shift: int) -> None:
    """The descriptor is searched over the seam."""
    files = [("a.jpg", _rng.randbytes((1 << 20) + shift)), ("b.jpg", b"next")]
    data = piped(files)
    assert names_and_sizes(data[: data.index(b"PK\1\2")]) == [(name, len(content)) for name, content in files]


def test_a_zip_in_a_zip_is_not_taken_for_its_members() -> None:
    """The ends of inner members tell other lengths."""
    inner = piped([("b.jpg", b"inner"), ("c.jpg", b"photos")])
    data = piped([("inner.zip", inner), ("d.jpg", b"outer")])
    assert names_and_sizes(data[: data.rindex(b"PK\1\2", 0, data.rindex(b"PK\1\2"))]) == [
        ("inner.zip", len(inner)),
        ("d.jpg", 5),
    ]


def test_folders_are_left_out_and_refused_members_are_told() -> None:
    """As in a directory."""
    data = bytearray(packed_zip([("folder/", b""), ("a.jpg", b"secret")]))
    second = data.index(b"PK\3\4", 4)
    data[second + 6] |= 1
    [entry] = salvage(BytesRangeReader("a.zip", bytes(data[: data.index(b"PK\1\2")])))
    assert entry.path == "a.jpg"
    assert entry.failure is not None
    assert entry.failure.kind == "encrypted"


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_where_an_end_cannot_be_found_the_rest_is_left(method: int) -> None:
    """Those compressions do not tell where they end."""
    data = piped([("a.jpg", b"a"), ("b.jpg", b"b")], method)
    assert names_and_sizes(data[: data.index(b"PK\1\2")]) == []


def test_a_hostile_end_does_not_take_quadratic_time() -> None:
    """Every sixteen bytes might be the end, by the length, and each time the checksum is another."""
    header = packed_zip([("a.jpg", b"")])[:35]
    header = header[:6] + struct.pack("<H", 8) + header[8:]
    data = header + b"".join(struct.pack("<4s3L", b"PK\7\x08", 1, at, at) for at in range(0, 4 << 20, 16))
    begun = time.monotonic()
    assert names_and_sizes(data) == []
    assert time.monotonic() - begun < 20  # two minutes, were each checksum made from the start of its piece


def test_a_deflated_bomb_is_not_gone_through() -> None:
    """A member whose end is not told stops when it has grown far more than photos do."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    zeros = deflater.compress(bytes(200 << 20)) + deflater.flush()
    data = bytearray(packed_zip([("a.jpg", b"")])[:35])
    struct.pack_into("<2H", data, 6, 8, zipfile.ZIP_DEFLATED)
    assert names_and_sizes(bytes(data) + zeros + struct.pack("<3L", 0, len(zeros), 200 << 20)) == []


def test_what_lies_between_headers_is_not_read() -> None:
    """Where headers tell how long members are, members are skipped."""
    data = packed_zip([(f"{number}.jpg", bytes(3 << 20)) for number in range(10)])
    source = Counted(data[: data.index(b"PK\1\2")])
    assert len([*salvage(source)]) == 10
    assert source.read_bytes < 1 << 20
