"""Directories of TIFFs: of all four forms, and of none that would take for ever."""

import struct

import numpy as np
import pytest

from pipeline.core.errors import DataError
from pipeline.rasters.tiff_directories import MOST_DIRECTORIES, read_array, read_directories, read_size
from pipeline.storage.byte_ranges import BytesRangeReader
from tests.helpers.raster_files import add_overviews, make_bands, write_raster


def _source(data: bytes) -> BytesRangeReader:
    return BytesRangeReader("deck.tif", data)


@pytest.mark.parametrize("endianness", ["LITTLE", "BIG"])
@pytest.mark.parametrize("bigtiff", ["YES", "NO"])
def test_all_four_forms_are_read(endianness: str, bigtiff: str) -> None:
    """Both orders of bytes, 32 and 64 bits: sizes, bits and places of blocks."""
    data = write_raster(
        make_bands(100, 90), endianness=endianness, bigtiff=bigtiff, tiled=True, blockxsize=32, blockysize=16
    )
    (directory,) = read_directories(_source(data))
    assert (directory.number(257, 0), directory.number(256, 0)) == (100, 90)
    assert directory.numbers(258) == (8, 8, 8)
    places = read_array(_source(data), directory, 324, 1000)
    assert len(places) == 7 * 3
    assert (np.diff(places) > 0).all()
    assert read_size(_source(data)) == (100, 90)


def test_overviews_are_further_directories() -> None:
    """Each says that it is a smaller picture."""
    data = add_overviews(write_raster(make_bands(200, 200)), [2, 4])
    assert [each.number(254, 0) for each in read_directories(_source(data))] == [0, 1, 1]
    assert [each.number(256, 0) for each in read_directories(_source(data))] == [200, 100, 50]


@pytest.mark.parametrize("steps", [[0], [1, 0], [0, 1, 2]])
def test_directories_that_lead_back_are_refused(steps: list[int]) -> None:
    """A chain that ends in itself is no endless loop."""
    chain = [8 + 18 * number for number in range(len(steps))]
    data = struct.pack("<2sHI", b"II", 42, 8) + b"".join(
        struct.pack("<HHHIII", 1, 256, 4, 1, 10, chain[step]) for step in steps
    )
    with pytest.raises(DataError, match="lead back"):
        read_directories(_source(data))


def test_a_chain_of_directories_without_end_is_refused() -> None:
    """Each of many directories leads to the next."""
    data = struct.pack("<2sHI", b"II", 42, 8) + b"".join(
        struct.pack("<HHHIII", 1, 256, 4, 1, 10, 8 + 18 * (number + 1)) for number in range(3 * MOST_DIRECTORIES)
    )
    with pytest.raises(DataError, match="too many"):
        read_directories(_source(data))


def test_a_raster_that_is_cut_or_altered_anywhere_raises_nothing_else() -> None:
    """Whatever stands in a directory, it is read or refused."""
    data = write_raster(make_bands(60, 50), tiled=True, blockxsize=16, blockysize=16)
    random = np.random.default_rng(5)
    refused = 0
    for number in range(400):
        damaged = bytearray(data if number % 2 else data[: random.integers(0, len(data))])
        for place in random.integers(0, 400, 3):
            if place < len(damaged):
                damaged[place] = random.integers(0, 256)
        try:
            read_directories(_source(bytes(damaged)))
        except DataError:
            refused += 1
    assert 0 < refused < 400


@pytest.mark.parametrize("kind", [2, 5, 6, 9, 11, 12, 99])
def test_places_that_are_no_whole_numbers_are_refused(kind: int) -> None:
    """Text, signed numbers, fractions and unknown types place no block."""
    data = bytearray(write_raster(make_bands(60, 50), tiled=True, blockxsize=16, blockysize=16))
    (directory,) = read_directories(_source(bytes(data)))
    entry = data.index(struct.pack("<HH", 324, directory.fields[324].kind))
    data[entry + 2 : entry + 4] = struct.pack("<H", kind)
    (directory,) = read_directories(_source(bytes(data)))
    with pytest.raises(DataError, match="lacks whole numbers in tag 324"):
        read_array(_source(bytes(data)), directory, 324, 1000)


def test_places_far_behind_the_end_do_not_turn_round() -> None:
    """Those of 64 bits are no negative numbers, which would lie before the file."""
    data = bytearray(write_raster(make_bands(20, 20), bigtiff="YES"))
    (directory,) = read_directories(_source(bytes(data)))
    entry = data.index(struct.pack("<H", 273), directory.fields[273].place - 12)
    data[entry + 2 : entry + 20] = struct.pack("<HQQ", 16, 1, 2**64 - 1)
    (directory,) = read_directories(_source(bytes(data)))
    assert read_array(_source(bytes(data)), directory, 273, 1000).tolist() == [len(data) + 1]


def test_what_is_no_tiff_has_no_size() -> None:
    """Looking into many files raises nothing."""
    for data in (b"", b"II", b"\xff\xd8\xff", b"II*\0" + b"\xff" * 20, b"II+\0\x09\0\0\0" + bytes(20)):
        assert read_size(_source(data)) is None
