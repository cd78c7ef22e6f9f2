"""Marks: a drawn crack is dark, thin and there; marks without one leave the tile's light as it was elsewhere."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.synthetic import augmentations


def concrete(seed: int, side_px: int = 96) -> np.ndarray:
    """Return grey grain."""
    grain = np.random.default_rng(seed).normal(150, 6, (side_px, side_px, 1))
    return np.repeat(grain, 3, axis=2).clip(0, 255).astype(np.uint8)


@settings(deadline=None, max_examples=30)  # a busy machine is slow, not wrong
@given(seed=st.integers(0, 2**32), side_px=st.integers(96, 160))
def test_a_drawn_crack_darkens_a_line_and_nothing_else(seed: int, side_px: int) -> None:
    """No pixel gets brighter, a good part stay as they were, and enough of them get visibly darker."""
    before = concrete(1, side_px)
    after = augmentations.paint_cracks(before, np.random.default_rng(seed), busy=0)
    darker = before.astype(int)[..., 0] - after[..., 0]
    assert after.shape == before.shape
    assert darker.min() >= 0
    assert (darker > 6).sum() >= augmentations.SHORTEST * side_px / 2
    assert np.quantile(darker, 0.4) <= 2


def test_no_marks_no_change() -> None:
    """A tile that gets no mark comes back as it was."""
    assert np.array_equal(augmentations.paint_marks(concrete(2), np.random.default_rng(0), busy=0), concrete(2))


def test_marks_are_painted() -> None:
    """With every kind of mark, a good part of the tile looks otherwise; the same seed paints the same."""
    before = concrete(3)
    first, again = (augmentations.paint_marks(before, np.random.default_rng(4), busy=1) for _ in range(2))
    assert np.array_equal(first, again)
    assert (np.abs(first.astype(int) - before) > 10).mean() > 0.05


def test_a_flat_tile_can_be_cracked() -> None:
    """A tile of one colour has no grain to follow, and is drawn on all the same."""
    flat = np.full((64, 64, 3), 128, np.uint8)
    assert augmentations.paint_cracks(flat, np.random.default_rng(0), busy=0).min() < 110
