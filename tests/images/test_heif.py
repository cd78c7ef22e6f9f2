"""HEIF is opened if its list of items is sound."""

import numpy as np
import pytest

from pipeline.core.errors import DataError
from pipeline.images.decode import decode
from pipeline.images.heif import check_items
from tests.helpers.heic_photos import TURNED, UPRIGHT


@pytest.mark.parametrize("data", [UPRIGHT, TURNED])
def test_sound_lists_pass(data: bytes) -> None:
    """Each photo has two items: its pixels and its EXIF."""
    assert data.count(b"infe") == 2
    check_items(data)


def test_a_type_that_is_no_text_fails_instead_of_crashing() -> None:
    """pi-heif 1.4 ends the process over it."""
    place = UPRIGHT.index(b"Exif\0")
    damaged = UPRIGHT[: place + 3] + b"\xe8" + UPRIGHT[place + 4 :]
    with pytest.raises(DataError) as caught:
        decode(damaged)
    assert caught.value.kind == "truncated_image"
    assert str(caught.value) == (
        f"The photo is damaged: its list of items is no text at byte {UPRIGHT.index(b'infe', place - 20):,}."
    )


def test_the_word_elsewhere_is_no_item() -> None:
    """Pixels and what follows them may spell anything."""
    expected = decode(UPRIGHT).pixels
    for trailing in (b"infe", b"\xff\xff\xff\xffinfe\xff\xff", b"\0\0\0\x09infe\xff"):
        assert np.array_equal(decode(UPRIGHT + trailing).pixels, expected)


def test_pixels_of_another_code_are_named() -> None:
    """HEIF may hold AV1, which this decoder does not take."""
    other = UPRIGHT.replace(b"hvc1", b"av01").replace(b"hvcC", b"av1C")
    with pytest.raises(DataError) as caught:
        decode(other)
    assert caught.value.kind in {"unsupported_format", "truncated_image"}
