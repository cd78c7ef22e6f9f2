"""Transforms: scoring's changes nothing but the size, training's depends on seed, epoch and tile alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import augment
from pipeline.augment import Pixels, Strength
from pipeline.decode import resize

GENTLE = Strength(crop_area=1, crop_ratio=1, exposure=0, gamma=0, white_balance=0, blur=0, noise=0, jpeg=0)
"""Nothing but turns."""


def tile(height_px: int = 60, width_px: int = 60) -> Pixels:
    """Return noise."""
    return np.random.default_rng(1).integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)


def test_scoring_sees_the_tile_as_it_is() -> None:
    """A tile of the right size is not touched; another is resized as `score` does."""
    assert np.array_equal(augment.for_scoring(tile(), 60), tile())
    assert np.array_equal(augment.for_scoring(tile(), 32), resize(tile(), 32, 32))


@settings(deadline=None)  # a busy machine is slow, not wrong
@given(
    height_px=st.integers(1, 90), width_px=st.integers(1, 90), tile_px=st.integers(16, 64), seed=st.integers(0, 2**32)
)
def test_a_training_picture_is_always_a_tile(height_px: int, width_px: int, tile_px: int, seed: int) -> None:
    """Any tile, however small, becomes a square of uint8, and the tile itself is left alone."""
    pixels = tile(height_px, width_px)
    before = pixels.copy()
    picture = augment.for_training(pixels, tile_px, augment.generator(seed, 0, 0))
    assert picture.shape == (tile_px, tile_px, 3)
    assert picture.dtype == np.uint8
    assert np.array_equal(pixels, before)


def test_a_picture_depends_on_seed_epoch_and_tile() -> None:
    """The same three give the same picture; another of any of them another picture."""
    first = augment.for_training(tile(), 48, augment.generator(1, 2, 3))
    assert np.array_equal(first, augment.for_training(tile(), 48, augment.generator(1, 2, 3)))
    for other in ((2, 2, 3), (1, 3, 3), (1, 2, 4)):
        assert not np.array_equal(first, augment.for_training(tile(), 48, augment.generator(*other)))


@settings(deadline=None)  # a busy machine is slow, not wrong
@given(seed=st.integers(0, 2**32))
def test_without_strength_a_picture_is_one_of_eight_turns(seed: int) -> None:
    """Turned and mirrored pixels are the same pixels."""
    picture = augment.for_training(tile(), 60, augment.generator(seed, 0, 0), GENTLE)
    turns = [np.rot90(side, quarter) for side in (tile(), tile()[:, ::-1]) for quarter in range(4)]
    assert any(np.array_equal(picture, turn) for turn in turns)


@pytest.mark.parametrize("change", [{"blur": 1.0}, {"noise": 1.0}, {"jpeg": 1.0}, {"gamma": 0.5}, {"exposure": 0.5}])
def test_every_change_moves_pixels_and_keeps_the_picture(change: dict[str, float]) -> None:
    """A smooth picture stays within some levels of itself under blur, noise and JPEG, and in order under light."""
    ramp = np.repeat(np.linspace(60, 180, 64).astype(np.uint8)[None, :, None], 64, axis=0).repeat(3, axis=2)
    changed = augment.for_training(ramp, 64, augment.generator(0, 0, 5), Strength(**(vars(GENTLE) | change)))
    turns = [np.rot90(side, quarter) for side in (ramp, ramp[:, ::-1]) for quarter in range(4)]
    correlation = max(np.corrcoef(changed.ravel(), turn.ravel())[0, 1] for turn in turns)
    assert correlation > 0.98
    assert not any(np.array_equal(changed, turn) for turn in turns)
