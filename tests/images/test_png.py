"""A PNG is whole if every chunk on which its pixels depend is; notes are no pixels."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import DataError
from pipeline.images.decode import decode
from pipeline.images.png import keep_whole_chunks
from tests.helpers.damaged_jpegs import draw_wall
from tests.helpers.hostile_photos import encode, make_png, make_png_header

FIELD = Path(__file__).parents[2].parent / "shared/field/tiff-png"
WALL = draw_wall()
WHOLE = encode(WALL, "PNG")
NOTE = struct.pack(">I", 12) + b"tEXtComment\0note" + bytes(4)
"""A note of the wrong checksum."""
BEHIND_HEADER = 33


def _with_note(place: int) -> bytes:
    return WHOLE[:place] + NOTE + WHOLE[place:]


@pytest.mark.parametrize("place", [BEHIND_HEADER, len(WHOLE) - 12], ids=["before", "after"])
def test_a_damaged_note_fails_no_photo(place: int) -> None:
    """Its checksum is wrong, and the pixels are whole."""
    assert np.array_equal(decode(_with_note(place)).pixels, np.asarray(WALL))


@pytest.mark.parametrize("end", [WHOLE[:-12], WHOLE[:-1], WHOLE[:-12] + NOTE[:10], WHOLE + b"garbage"])
def test_the_end_of_a_png_holds_no_pixels(end: bytes) -> None:
    """A missing or damaged end, a cut note and trailing bytes fail no photo."""
    assert np.array_equal(decode(end).pixels, np.asarray(WALL))


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_a_flipped_byte_changes_no_pixel_unseen(place: int, change: int) -> None:
    """Wherever a byte is flipped, the photo fails or has its pixels."""
    data = bytearray(WHOLE)
    data[place] ^= change
    try:
        pixels = decode(bytes(data)).pixels
    except DataError as error:
        assert error.stage == "decode"  # noqa: PT017 - either outcome is right
    else:
        assert np.array_equal(pixels, np.asarray(WALL))


@pytest.mark.parametrize("name", [b"IHDR", b"PLTE", b"tRNS", b"IDAT"])
def test_a_damaged_chunk_of_pixels_fails_by_name(name: bytes) -> None:
    """Pillow would not look at the checksum."""
    levels = (b"IDAT", zlib.compress(bytes(41)))
    data = bytearray(make_png(make_png_header(1, 40, 8, 3), (b"PLTE", bytes(9)), (b"tRNS", b"\xff\xff"), levels))
    assert decode(bytes(data)).pixels.shape == (1, 40, 3)
    place = data.index(name)
    data[place + 4 + int.from_bytes(data[place - 4 : place])] ^= 1

    with pytest.raises(DataError) as caught:
        decode(bytes(data))

    assert caught.value.kind == "truncated_image"
    assert str(caught.value) == f"The photo is damaged: the checksum of its chunk {name.decode()} is wrong."


def test_whole_files_are_not_copied() -> None:
    """A sound PNG, and any other file, is the same object."""
    assert keep_whole_chunks(WHOLE) is WHOLE
    assert keep_whole_chunks(b"GIF89a") == b"GIF89a"


@pytest.mark.skipif(not FIELD.is_dir(), reason="the files from the field are not here")
def test_the_file_from_the_field() -> None:
    """A wrong checksum in a text chunk."""
    assert decode((FIELD / "n01-bad-crc-in-text.png").read_bytes()).pixels.shape == (300, 420, 3)
