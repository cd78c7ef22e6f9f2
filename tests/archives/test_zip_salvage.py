"""A zip without its directory gives its members back, in time proportional to its length."""

import random
import struct
import time
import zipfile
import zlib

import pytest

from pipeline.archives.zip_salvage import salvage
from pipeline.storage.byte_ranges import BytesRangeReader
from tests.helpers.fake_sources import CountingReader
from tests.helpers.packing import pack_zip
from tests.helpers.zip_forms import PackZip, pack_piped_zip

_rng = random.Random(0)
LARGE = [(f"{number}.jpg", _rng.randbytes(700_000 * number)) for number in range(4)]


def list_names_and_sizes(data: bytes) -> list[tuple[str, int]]:
    """List the salvaged members."""
    return [(entry.path, entry.size_bytes) for entry in salvage(BytesRangeReader("a.zip", data))]


@pytest.mark.parametrize("pack", [pack_zip, pack_piped_zip])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_longer_than_a_piece_are_found(pack: PackZip, method: int) -> None:
    """Even if their ends must be searched."""
    data = pack(LARGE, method)
    assert list_names_and_sizes(data[: data.index(b"PK\1\2")]) == [(name, len(content)) for name, content in LARGE]


@pytest.mark.parametrize("shift", range(-40, 8, 3))
def test_an_end_across_two_pieces_is_found(shift: int) -> None:
    """The search for the descriptor overlaps from piece to piece."""
    files = [("a.jpg", _rng.randbytes((1 << 20) + shift)), ("b.jpg", b"next")]
    data = pack_piped_zip(files)
    assert list_names_and_sizes(data[: data.index(b"PK\1\2")]) == [(name, len(content)) for name, content in files]


def test_members_of_a_nested_zip_are_not_listed() -> None:
    """The descriptors of inner members state other lengths."""
    inner = pack_piped_zip([("b.jpg", b"inner"), ("c.jpg", b"photos")])
    data = pack_piped_zip([("inner.zip", inner), ("d.jpg", b"outer")])
    assert list_names_and_sizes(data[: data.rindex(b"PK\1\2", 0, data.rindex(b"PK\1\2"))]) == [
        ("inner.zip", len(inner)),
        ("d.jpg", 5),
    ]


def test_folders_are_left_out_and_undecodable_members_are_marked() -> None:
    """As with a directory."""
    data = bytearray(pack_zip([("folder/", b""), ("a.jpg", b"secret")]))
    second = data.index(b"PK\3\4", 4)
    data[second + 6] |= 1
    [entry] = salvage(BytesRangeReader("a.zip", bytes(data[: data.index(b"PK\1\2")])))
    assert entry.path == "a.jpg"
    assert entry.failure is not None
    assert entry.failure.kind == "encrypted"


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_the_list_stops_where_no_end_can_be_found(method: int) -> None:
    """In bzip2 and LZMA, the end of the data is not searched."""
    data = pack_piped_zip([("a.jpg", b"a"), ("b.jpg", b"b")], method)
    assert list_names_and_sizes(data[: data.index(b"PK\1\2")]) == []


def test_a_hostile_end_does_not_take_quadratic_time() -> None:
    """Every 16 bytes, a descriptor has the right length and the wrong checksum."""
    header = pack_zip([("a.jpg", b"")])[:35]
    header = header[:6] + struct.pack("<H", 8) + header[8:]
    data = header + b"".join(struct.pack("<4s3L", b"PK\7\x08", 1, at, at) for at in range(0, 4 << 20, 16))
    begun = time.monotonic()
    assert list_names_and_sizes(data) == []
    assert (
        time.monotonic() - begun < 20
    )  # it would take two minutes to compute each checksum from the start of its piece


def test_a_deflated_bomb_stops() -> None:
    """The search for the end of a member stops when it has grown far more than photos do."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    zeros = deflater.compress(bytes(200 << 20)) + deflater.flush()
    data = bytearray(pack_zip([("a.jpg", b"")])[:35])
    struct.pack_into("<2H", data, 6, 8, zipfile.ZIP_DEFLATED)
    assert list_names_and_sizes(bytes(data) + zeros + struct.pack("<3L", 0, len(zeros), 200 << 20)) == []


def test_data_between_headers_are_not_read() -> None:
    """If headers have the sizes, members are skipped."""
    data = pack_zip([(f"{number}.jpg", bytes(3 << 20)) for number in range(10)])
    source = CountingReader(data[: data.index(b"PK\1\2")])
    assert len([*salvage(source)]) == 10
    assert source.read_bytes < 1 << 20
