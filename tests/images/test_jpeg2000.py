"""JPEG 2000 is decoded where Pillow gets it right."""

import pytest

from pipeline.core.errors import DataError
from pipeline.images.decode import decode
from pipeline.images.jpeg2000 import check_components
from tests.helpers.damaged_jpegs import draw_wall
from tests.helpers.hostile_photos import encode

WHOLE = encode(draw_wall(), "JPEG2000")
FIRST = WHOLE.index(b"\xff\x4f\xff\x51") + 42
"""Position of the depth of the first component."""


def _with_component(depth: int, across: int, down: int) -> bytes:
    return WHOLE[:FIRST] + bytes([depth, across, down]) + WHOLE[FIRST + 3 :]


def test_usual_files_are_decoded() -> None:
    """Three components of 8 bits, each at every pixel."""
    assert WHOLE[FIRST : FIRST + 9] == b"\7\1\1" * 3
    check_components(WHOLE)
    assert decode(WHOLE).pixels.shape == (208, 272, 3)
    check_components(_with_component(7, 2, 2))  # 272 and 208 are even
    check_components(_with_component(15, 1, 1))


@pytest.mark.parametrize(("component", "found"), [
    ((0, 1, 1), "1 bits at every 1 x 1 pixels"),
    ((6 | 128, 1, 1), "7 bits at every 1 x 1 pixels"),
    ((7, 3, 1), "8 bits at every 3 x 1 pixels"),
    ((7, 1, 3), "8 bits at every 1 x 3 pixels"),
    ((7, 0, 1), "8 bits at every 0 x 1 pixels"),
])  # fmt: skip
def test_what_pillow_gets_wrong_fails_by_name(component: tuple[int, int, int], found: str) -> None:
    """White would be grey, or colours slanted."""
    with pytest.raises(DataError) as caught:
        decode(_with_component(*component))
    assert caught.value.kind == "unsupported_format"
    assert str(caught.value) == (
        f"The photo is a JPEG 2000 with a component of {found}, which is not decoded. Convert it to JPEG, PNG or TIFF."
    )


def test_a_header_cut_short_is_left_to_the_decoder() -> None:
    """It has no components to look at, and is damaged, not of another kind."""
    kinds = set()
    for end in range(12, FIRST):
        with pytest.raises(DataError) as caught:
            decode(WHOLE[:end])
        kinds.add(caught.value.kind)
    assert kinds == {"truncated_image"}
