"""Preparation of tiles: for scoring it changes only the size, for training it depends on seed, epoch and tile only."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.images.decode import Pixels, resize
from pipeline.training import augment
from pipeline.training.augment import CHANGES, Change, Picture
from pipeline.training.crack_targets import CRACK, SOUND, Target, from_mask, tile_label, without_mask
from pipeline.training.photometric import Camera

STILL = Camera(exposure=0, gamma=0, white_balance=0, shrunk=0, noise=0, jpeg=0)
GENTLE = Change(crop_area=1, crop_ratio=1, camera=STILL)
"""Only turns and mirrors."""


def tile(height_px: int = 60, width_px: int = 60) -> Pixels:
    """Return noise."""
    return np.random.default_rng(1).integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)


def picture_of(pixels: Pixels, *, cracked: bool | None = True, target: Target | None = None) -> Picture:
    """Return a tile to change; without a target nobody knows where its crack is."""
    known = without_mask(pixels.shape, cracked=bool(cracked)) if target is None else target
    return Picture(pixels, known, cracked)


def other(side_px: int) -> Pixels:
    """Return another surface: green."""
    return np.full((side_px, side_px, 3), (0, 200, 0), np.uint8)


def augmented(seed: int, epoch: int = 0, number: int = 0, change: Change = CHANGES["plain"]) -> Pixels:
    """Return the tile changed."""
    return augment.for_training(picture_of(tile()), 48, augment.generator(seed, epoch, number), change, other).pixels


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
    given = picture_of(pixels, cracked=cracked)
    picture = augment.for_training(given, tile_px, augment.generator(seed, 0, 0), CHANGES[name], other)
    assert picture.pixels.shape == (tile_px, tile_px, 3)
    assert picture.target.shape == (tile_px, tile_px)
    assert picture.pixels.dtype == picture.target.dtype == np.uint8
    assert picture.cracked in {True, None} if cracked is not False else picture.cracked is False
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
    picture = augment.for_training(picture_of(tile()), 60, augment.generator(seed, 0, 0), GENTLE).pixels
    turns = [np.rot90(side, quarter) for side in (tile(), tile()[:, ::-1]) for quarter in range(4)]
    assert any(np.array_equal(picture, turn) for turn in turns)


def test_the_pictures_of_a_step_are_of_one_size() -> None:
    """Sizes come from the list, all of them in time, and depend on seed, epoch and step only."""
    sizes = [augment.draw_side_px(224, CHANGES["field"], 0, 1, step) for step in range(60)]
    assert set(sizes) == {160, 192, 224}
    assert sizes == [augment.draw_side_px(224, CHANGES["field"], 0, 1, step) for step in range(60)]
    assert sizes != [augment.draw_side_px(224, CHANGES["field"], 0, 2, step) for step in range(60)]
    assert augment.draw_side_px(224, CHANGES["plain"], 0, 1, 0) == 224


def test_a_crack_is_painted_on_a_sound_tile() -> None:
    """On flat concrete only a painted crack is dark, its target says where, and only no label paints one."""
    flat = np.full((60, 60, 3), 150, np.uint8)
    painted, unchanged = (
        augment.for_training(picture_of(flat, cracked=cracked), 60, augment.generator(7, 0, 0), GENTLE)
        for cracked in (None, False)
    )
    assert painted.pixels.min() < 130
    assert painted.cracked
    assert painted.pixels[painted.target == CRACK].mean() < painted.pixels[painted.target == SOUND].mean() - 20
    assert np.array_equal(unchanged.pixels, flat)
    assert (unchanged.target == SOUND).all()


def test_marks_go_to_tiles_of_both_kinds() -> None:
    """Cracked and sound tiles get marks; otherwise marks would give the label away."""
    flat = np.full((60, 60, 3), 150, np.uint8)
    busy = replace(GENTLE, busy_sound=1.0, busy_cracked=1.0, marked=1.0)
    for cracked in (True, False):
        given = picture_of(flat, cracked=cracked)
        assert not np.array_equal(augment.for_training(given, 60, augment.generator(0, 0, 0), busy).pixels, flat)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), side_px=st.integers(80, 120))
def test_the_target_moves_with_the_picture(seed: int, side_px: int) -> None:
    """Whatever the framing, the target's crack lies on the crack of the picture."""
    pixels, crack = np.full((80, 80, 3), 200, np.uint8), np.zeros((80, 80), np.bool_)
    crack[30:50, 10:70] = True
    pixels[crack] = 0
    framing = replace(GENTLE, crop_area=0.5, crop_ratio=1.25)
    given = picture_of(pixels, target=from_mask(crack))
    picture = augment.for_training(given, side_px, augment.generator(seed, 0, 0), framing)
    assert np.quantile(picture.pixels[picture.target == CRACK], 0.9) < 100, "its edge is half dark"
    assert (picture.pixels[picture.target == SOUND] > 140).all()
    assert picture.cracked in {True, None}


def test_a_part_that_lost_its_crack_gets_no_other() -> None:
    """Cut off most of a crack, and what is left stays marked, without a label and without a drawn crack."""
    pixels, crack = np.full((80, 80, 3), 200, np.uint8), np.zeros((80, 80), np.bool_)
    crack[:4, :30] = True
    pixels[crack] = 0
    framing = replace(GENTLE, crop_area=0.3)
    given = picture_of(pixels, target=from_mask(crack))
    pictures = [augment.for_training(given, 80, augment.generator(seed, 0, 0), framing) for seed in range(60)]
    assert {picture.cracked for picture in pictures} == {True, None}
    for picture in pictures:
        assert (picture.pixels[picture.target == SOUND] > 140).all()


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), cracked=st.booleans())
def test_a_joined_picture_keeps_one_zone(seed: int, *, cracked: bool) -> None:
    """The rest is another surface, and sound; a crack that is hardly left gives no label."""
    crack = np.zeros((60, 60), np.bool_)
    crack[28:32, :] = cracked
    given = picture_of(np.full((60, 60, 3), 150, np.uint8), cracked=cracked, target=from_mask(crack))
    joined = augment.for_training(given, 60, augment.generator(seed, 0, 0), replace(GENTLE, joined=1.0), other)
    is_other = (joined.pixels == (0, 200, 0)).all(axis=2)
    assert 0.05 < is_other.mean() < 0.95
    assert (joined.target[is_other] == SOUND).all()
    if not cracked:
        assert joined.cracked is False
    else:
        assert joined.cracked == (tile_label(joined.target) or None)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32))
def test_clutter_leaves_most_of_a_crack(seed: int) -> None:
    """What clutter hides is unknown, and never most of the crack; a crack that nobody marked gets no clutter."""
    crack = np.zeros((60, 60), np.bool_)
    crack[28:32, :] = True
    busy = replace(GENTLE, cluttered_cracked=1.0)
    flat = np.full((60, 60, 3), 150, np.uint8)
    given = picture_of(flat, target=from_mask(crack))
    cluttered = augment.for_training(given, 60, augment.generator(seed, 0, 0), busy, other)
    assert (cluttered.target == CRACK).sum() >= augment.LEAST_SEEN * crack.sum()
    assert cluttered.cracked
    unmarked = augment.for_training(picture_of(flat), 60, augment.generator(seed, 0, 0), busy, other)
    assert np.array_equal(unmarked.pixels, flat)
