"""Preparation of tiles: for scoring it changes only the size, for training it depends on seed, epoch and tile only."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.images.decode import Pixels, resize
from pipeline.training import augment
from pipeline.training.augment import CHANGES, Change
from pipeline.training.photometric import Camera

STILL = Camera(exposure=0, gamma=0, white_balance=0, shrunk=0, noise=0, jpeg=0)
GENTLE = Change(crop_area=1, crop_ratio=1, camera=STILL)
"""Only turns and mirrors."""


def tile(height_px: int = 60, width_px: int = 60) -> Pixels:
    """Return noise."""
    return np.random.default_rng(1).integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)


def augmented(seed: int, epoch: int = 0, number: int = 0, change: Change = CHANGES["plain"]) -> Pixels:
    """Return the tile changed."""
    return augment.for_training(tile(), 48, augment.generator(seed, epoch, number), change, cracked=True)


def test_scoring_sees_the_tile_as_it_is() -> None:
    """Preparation for scoring keeps a tile of the right size and resizes any other, as `score` does."""
    assert np.array_equal(augment.for_scoring(tile(), 60), tile())
    assert np.array_equal(augment.for_scoring(tile(), 32), resize(tile(), 32, 32))


@settings(deadline=None)  # a busy machine is slow, not wrong
@given(
    height_px=st.integers(1, 90), width_px=st.integers(1, 90), tile_px=st.integers(32, 64), seed=st.integers(0, 2**32),
    name=st.sampled_from(["plain", "field"]), cracked=st.sampled_from([True, False, None]),
)  # fmt: skip
def test_a_training_picture_is_always_a_tile(
    height_px: int, width_px: int, tile_px: int, seed: int, name: str, *, cracked: bool | None
) -> None:
    """Any tile, however small, becomes a square of uint8, and the tile itself stays as it is."""
    pixels = tile(height_px, width_px)
    before = pixels.copy()
    picture = augment.for_training(pixels, tile_px, augment.generator(seed, 0, 0), CHANGES[name], cracked=cracked)
    assert picture.shape == (tile_px, tile_px, 3)
    assert picture.dtype == np.uint8
    assert np.array_equal(pixels, before)


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_a_picture_depends_on_seed_epoch_and_tile(name: str) -> None:
    """The same three give the same picture; a change of any of them gives another picture."""
    first = augmented(1, 2, 3, CHANGES[name])
    assert np.array_equal(first, augmented(1, 2, 3, CHANGES[name]))
    for other in ((2, 2, 3), (1, 3, 3), (1, 2, 4)):
        assert not np.array_equal(first, augmented(*other, CHANGES[name]))


@settings(deadline=None)  # a busy machine is slow, not wrong
@given(seed=st.integers(0, 2**32))
def test_without_strength_a_picture_is_one_of_eight_turns(seed: int) -> None:
    """A picture without other changes is one of the eight turns and mirrors of the tile."""
    picture = augment.for_training(tile(), 60, augment.generator(seed, 0, 0), GENTLE, cracked=True)
    turns = [np.rot90(side, quarter) for side in (tile(), tile()[:, ::-1]) for quarter in range(4)]
    assert any(np.array_equal(picture, turn) for turn in turns)


def test_the_pictures_of_a_step_are_of_one_size() -> None:
    """Sizes come from the list, all of them in time, and depend on seed, epoch and step only."""
    sizes = [augment.draw_side_px(224, CHANGES["field"], 0, 1, step) for step in range(60)]
    assert set(sizes) == {128, 160, 192, 224}
    assert sizes == [augment.draw_side_px(224, CHANGES["field"], 0, 1, step) for step in range(60)]
    assert sizes != [augment.draw_side_px(224, CHANGES["field"], 0, 2, step) for step in range(60)]
    assert augment.draw_side_px(224, CHANGES["plain"], 0, 1, 0) == 224


def test_a_crack_is_painted_on_a_sound_tile() -> None:
    """On flat concrete only a painted crack is dark, and only `cracked=None` paints one."""
    flat = np.full((60, 60, 3), 150, np.uint8)
    painted, unchanged = (
        augment.for_training(flat, 60, augment.generator(7, 0, 0), GENTLE, cracked=cracked) for cracked in (None, False)
    )
    assert painted.min() < 130
    assert np.array_equal(unchanged, flat)


def test_marks_go_to_tiles_of_both_kinds() -> None:
    """Cracked and sound tiles get marks; otherwise marks would give the label away."""
    flat = np.full((60, 60, 3), 150, np.uint8)
    busy = replace(GENTLE, busy_sound=1.0, busy_cracked=1.0, marked=1.0)
    for cracked in (True, False):
        assert not np.array_equal(
            augment.for_training(flat, 60, augment.generator(0, 0, 0), busy, cracked=cracked), flat
        )
