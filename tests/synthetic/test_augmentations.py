"""Drawn cracks darken thin lines and nothing else; marks change a tile only where they are."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.synthetic import augmentations


def make_concrete(seed: int, side_px: int = 96) -> np.ndarray:
    """Return a tile of grey grain."""
    grain = np.random.default_rng(seed).normal(150, 6, (side_px, side_px, 1))
    return np.repeat(grain, 3, axis=2).clip(0, 255).astype(np.uint8)


@settings(deadline=None, max_examples=30)  # a busy machine is slow, not wrong
@given(seed=st.integers(0, 2**32), side_px=st.integers(96, 160))
def test_a_drawn_crack_darkens_a_line_and_nothing_else(seed: int, side_px: int) -> None:
    """No pixel gets brighter, 40 % change by at most 2 levels, and enough get visibly darker."""
    before = make_concrete(1, side_px)
    after, crack = augmentations.paint_cracks(before, np.random.default_rng(seed), mark_probability=0)
    darker = before.astype(int)[..., 0] - after[..., 0]
    assert after.shape == before.shape
    assert darker.min() >= 0
    assert (darker > 6).sum() >= augmentations.MIN_CRACK_SHARE * side_px / 2
    assert np.quantile(darker, 0.4) <= 2
    assert darker[crack].mean() > 3 * darker[~crack].mean(), "the mask is where the crack is"


def test_no_marks_no_change() -> None:
    """A tile without marks stays the same."""
    assert np.array_equal(
        augmentations.paint_marks(make_concrete(2), np.random.default_rng(0), mark_probability=0), make_concrete(2)
    )


def test_marks_are_painted() -> None:
    """With every kind of mark, more than 5 % of the tile looks different; the same seed paints the same."""
    before = make_concrete(3)
    first, again = (augmentations.paint_marks(before, np.random.default_rng(4), mark_probability=1) for _ in range(2))
    assert np.array_equal(first, again)
    assert (np.abs(first.astype(int) - before) > 10).mean() > 0.05


def test_a_flat_tile_can_be_cracked() -> None:
    """A tile of one colour has no grain, and still gets a crack."""
    flat = np.full((64, 64, 3), 128, np.uint8)
    assert augmentations.paint_cracks(flat, np.random.default_rng(0), mark_probability=0).pixels.min() < 110
