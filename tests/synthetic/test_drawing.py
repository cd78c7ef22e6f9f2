"""A drawn photo agrees with its mask, at any size, and repeats for the same arguments."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.synthetic.drawing import draw_photo


@pytest.mark.parametrize("size", [(64, 64), (65, 301), (301, 67), (480, 640), (129, 128)])
@pytest.mark.parametrize("cracked", [True, False])
def test_any_size_works(size: tuple[int, int], *, cracked: bool) -> None:
    """Pixels and mask have the requested height and width, also for odd numbers."""
    drawing = draw_photo(*size, seed=3, cracked=cracked)
    assert drawing.pixels.shape == (*size, 3)
    assert drawing.pixels.dtype == np.uint8
    assert drawing.mask.shape == size
    assert drawing.mask.any() == cracked
    assert (drawing.widest_px > 0) == cracked


def test_same_arguments_same_photo_and_other_seed_another() -> None:
    """The seed decides every pixel of photo and mask."""
    first, again, other = (draw_photo(200, 150, seed) for seed in (5, 5, 6))
    assert np.array_equal(first.pixels, again.pixels)
    assert np.array_equal(first.mask, again.mask)
    assert not np.array_equal(first.pixels, other.pixels)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_cracks_are_darker_than_what_is_around_them(seed: int) -> None:
    """The mean over crack pixels is at least 3 levels below the mean over their surroundings."""
    drawing = draw_photo(200, 200, seed, widths_px=(4, 12))
    near = np.zeros_like(drawing.mask)
    for row, col in np.argwhere(drawing.mask)[::20]:
        near[max(0, row - 15) : row + 16, max(0, col - 15) : col + 16] = True
    brightness = drawing.pixels.mean(axis=2)
    assert brightness[drawing.mask].mean() < brightness[near & ~drawing.mask].mean() - 3


def test_photos_are_neither_black_nor_white() -> None:
    """Exposure varies, but most pixels keep their detail."""
    for seed in range(12):
        pixels = draw_photo(128, 128, seed, cracked=False).pixels
        assert 25 < pixels.mean() < 235
        assert (pixels == 255).mean() < 0.2
