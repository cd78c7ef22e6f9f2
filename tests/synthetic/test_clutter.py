"""Clutter over concrete: every kind shows, the same seed draws the same, and what is hidden is told."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.synthetic import clutter
from pipeline.synthetic.noise import Pixels

SEEDS = range(6)


def make_concrete(seed: int, height_px: int = 96, width_px: int = 96) -> Pixels:
    """Return a picture of grey grain."""
    grain = np.random.default_rng(seed).normal(150, 6, (height_px, width_px, 1))
    return np.repeat(grain, 3, axis=2).clip(0, 255).astype(np.uint8)


def paint(pixels: Pixels, seed: int, most_kinds: int = 3) -> clutter.Clutter:
    """Paint clutter; the other surface is dark."""
    return clutter.paint_clutter(pixels, np.random.default_rng(seed), most_kinds, lambda: pixels // 3)


@settings(deadline=None, max_examples=40)  # a busy machine is slow, not wrong
@given(seed=st.integers(0, 2**32), height_px=st.integers(64, 128), width_px=st.integers(64, 128))
def test_a_seed_draws_one_picture(seed: int, height_px: int, width_px: int) -> None:
    """Of the same size, whatever it is; the picture given stays as it was."""
    before = make_concrete(1, height_px, width_px)
    first, again = paint(before, seed), paint(before, seed)
    assert first.pixels.shape == before.shape
    assert first.pixels.dtype == np.uint8
    assert first.hidden.shape == before.shape[:2]
    assert np.array_equal(first.pixels, again.pixels)
    assert np.array_equal(first.hidden, again.hidden)
    assert np.array_equal(before, make_concrete(1, height_px, width_px))


@pytest.mark.parametrize("kind", clutter._KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_shows(kind: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """On most pictures, at least a hundredth of the pixels change by ten levels or more."""
    monkeypatch.setattr(clutter, "_KINDS", {kind: 1.0})
    before = make_concrete(2)
    changes = [np.abs(paint(before, seed).pixels.astype(int) - before).max(axis=2) for seed in SEEDS]
    assert sum(float((change >= 10).mean()) > 0.01 for change in changes) > len(SEEDS) / 2


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32))
def test_what_cannot_be_seen_is_hidden(seed: int) -> None:
    """Where a black and a white picture look the same afterwards, the concrete is hidden."""
    black, white = (np.full((96, 96, 3), level, np.uint8) for level in (0, 255))
    other = make_concrete(3)
    painted = [clutter.paint_clutter(below, np.random.default_rng(seed), 1, lambda: other) for below in (black, white)]
    same = np.abs(painted[0].pixels.astype(int) - painted[1].pixels).max(axis=2) < 3
    shaded = painted[1].pixels.max(axis=2) < 128  # a deep shadow hides nothing for good
    assert not (same & ~shaded & ~painted[1].hidden).any()
