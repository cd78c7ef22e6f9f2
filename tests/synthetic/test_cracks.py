"""Drawn cracks agree with their mask and their widths."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import maximum_filter

from pipeline.synthetic.cracks import CRACKED_FROM, MIN_CONTRAST, RIM_DEPTH, Path, carve, draw, trace
from pipeline.synthetic.noise import Field


def _flat(height_px: int, width_px: int) -> Field:
    """Return a surface without grain, which frays no edge."""
    return np.zeros((height_px, width_px), np.float32)


def _straight(width_px: float, length_px: int, contrast: float = 1.0) -> Path:
    """Return a level crack along row 32, from column 10 on."""
    x_px = np.arange(0, length_px, 0.6, dtype=np.float32) + 10
    return Path(x_px, np.full_like(x_px, 32), np.full_like(x_px, width_px), contrast)


@pytest.mark.parametrize("width_px", [1, 2, 3, 5, 10, 30])
def test_a_straight_crack_is_as_wide_as_stated(width_px: int) -> None:
    """The mask of a level crack is as high as its width, within one pixel."""
    cover, depth = _flat(64, 128), _flat(64, 128)
    carve(_straight(width_px, 100), _flat(64, 128), cover, depth)
    across = (cover >= CRACKED_FROM)[:, 40:80].sum(axis=0)
    assert abs(across - width_px).max() <= 1
    assert across.min() >= 1


def test_a_hairline_has_no_gaps() -> None:
    """The mask of the thinnest crack has pixels in every column between its ends."""
    cover, depth = _flat(64, 128), _flat(64, 128)
    carve(_straight(1, 100), _flat(64, 128), cover, depth)
    assert (cover >= CRACKED_FROM)[:, 11:109].any(axis=0).all()


def test_depth_is_at_most_the_contrast() -> None:
    """The core of a crack is as dark as its contrast says, and pixels outside have no depth."""
    cover, depth = _flat(64, 128), _flat(64, 128)
    carve(_straight(8, 100, contrast=0.4), _flat(64, 128), cover, depth)
    assert depth.max() == pytest.approx(0.4, abs=0.03)
    assert not depth[cover == 0].any()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), height_px=st.integers(64, 300), width_px=st.integers(64, 300))
def test_there_is_always_a_crack_and_the_mask_is_on_it(seed: int, height_px: int, width_px: int) -> None:
    """Whatever the seed and size, the mask is not empty, and each of its pixels is deeper than the surface."""
    drawn = draw(_flat(height_px, width_px), np.random.default_rng(seed), (1, 30))
    assert drawn.mask.shape == (height_px, width_px)
    assert drawn.mask.any()
    assert (drawn.depth[drawn.mask] >= 0.99 * MIN_CONTRAST * RIM_DEPTH * CRACKED_FROM).all()
    assert drawn.depth.min() >= 0
    assert drawn.depth.max() <= 1


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), low_px=st.floats(1, 20), span_px=st.floats(0, 20))
def test_the_widest_crack_keeps_to_the_limits(seed: int, low_px: float, span_px: float) -> None:
    """No crack is thinner or wider than the limits, nor wider than a quarter of the shorter side."""
    drawn = draw(_flat(100, 140), np.random.default_rng(seed), (low_px, low_px + span_px))
    cap_px = 100 / 4
    assert min(low_px, cap_px) - 1e-3 <= drawn.widest_px <= min(low_px + span_px, cap_px) + 1e-3


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), height_px=st.integers(64, 300), width_px=st.integers(64, 300))
def test_lines_run_along_the_mask(seed: int, height_px: int, width_px: int) -> None:
    """All their points lie in the photo, and at least nine in ten on the mask or beside it; each has a width."""
    drawn = draw(_flat(height_px, width_px), np.random.default_rng(seed), (1, 30))
    lines = trace(drawn.paths, height_px, width_px)
    points = np.concatenate([piece for line in lines for piece in line.pieces])
    assert (points >= 0).all()
    assert (points <= (width_px, height_px)).all()
    near = maximum_filter(drawn.mask, 3)
    columns, rows = np.minimum(points.astype(int), (width_px - 1, height_px - 1)).T
    assert near[rows, columns].mean() >= 0.9
    assert all(1 <= line.width_px <= drawn.widest_px for line in lines)


def test_the_line_of_a_straight_crack_is_as_long() -> None:
    """A crack that leaves the photo and comes back has a piece on each side of the gap, and their length."""
    x_px = np.arange(10, 110, 0.6, dtype=np.float32)
    y_px = np.where((x_px > 40) & (x_px < 70), -1, 5).astype(np.float32)
    path = Path(x_px, y_px, np.full_like(x_px, 2), 1.0)
    outside = Path(x_px, np.full_like(x_px, -1), np.full_like(x_px, 2), 1.0)
    [line] = trace([path, outside], 64, 128)
    assert [len(piece) >= 10 for piece in line.pieces] == [True, True]
    assert line.length_px == pytest.approx(30 + 40, abs=1.3)
    assert line.width_px == 2
