"""Lost sectors are found in compressed pictures, and zeros of their own are left alone."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import DataError
from pipeline.images.decode import decode
from pipeline.images.lost_sectors import SECTOR_BYTES, check_sectors
from tests.helpers.damaged_jpegs import draw_wall

WALL = draw_wall()


def _is_refused(data: bytes) -> bool:
    try:
        check_sectors(data)
    except DataError as error:
        return error.kind == "truncated_image"
    return False


@given(before=st.integers(1, 3 * SECTOR_BYTES), zeros=st.integers(0, 3 * SECTOR_BYTES), after=st.integers(0, 700))
def test_zeros_are_lost_sectors_if_they_begin_and_end_with_sectors(before: int, zeros: int, after: int) -> None:
    """Any other run of zeros may be a picture's own; the end of the file ends a sector, too, but for a few zeros."""
    data = b"x" * before + bytes(zeros) + b"x" * after
    ends = (before + zeros) % SECTOR_BYTES == 0 or (after == 0 and (before + zeros) % SECTOR_BYTES >= 64)

    assert _is_refused(data) == (zeros > 0 and before % SECTOR_BYTES == 0 and ends)


def test_several_lost_sectors_are_found_beside_zeros_of_the_picture() -> None:
    """Runs are looked at one by one, and the message says where the first loss is."""
    own = b"x" * 100 + bytes(2 * SECTOR_BYTES) + b"x" * (SECTOR_BYTES - 100)
    assert not _is_refused(own * 5)
    with pytest.raises(DataError) as caught:
        check_sectors(own + bytes(2 * SECTOR_BYTES) + own)
    assert str(caught.value) == (
        "The photo is damaged: zeros in place of bytes 1,536 to 2,560, as if sectors were lost. Copy it again from the "
        "camera, or leave it out."
    )


@pytest.mark.parametrize("form", ["WEBP", "AVIF", "JPEG2000", "TIFF"])
def test_a_lost_sector_fails_in_every_compressed_format(form: str) -> None:
    """Their decoders take zeros for pixels."""
    buffer = io.BytesIO()
    WALL.save(buffer, form, **({"compression": "zstd"} if form == "TIFF" else {}))
    whole, tried = buffer.getvalue(), 0
    assert decode(whole).pixels.shape == (208, 272, 3)
    for start in range(2 * SECTOR_BYTES, len(whole) - SECTOR_BYTES, SECTOR_BYTES):
        if whole[start - 1] and whole[start + SECTOR_BYTES]:
            tried += 1
            with pytest.raises(DataError) as caught:
                decode(whole[:start] + bytes(SECTOR_BYTES) + whole[start + SECTOR_BYTES :])
            assert caught.value.kind == "truncated_image"
    assert tried > 5
