"""The split into training and validation tiles."""

from random import Random

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.core.errors import UsageError
from pipeline.labels.boxes import Box
from pipeline.labels.labelled_tiles import LabelledTiles
from pipeline.labels.near_duplicates import DESCRIPTOR_SIZE
from pipeline.labels.split import SplitRule, assign, assign_folds, find_components, split


def tiles_of(labels: list[bool], groups: list[str] | None = None, folder: str = "file:///a") -> LabelledTiles:
    """Return tiles without files; without groups, each is its own group."""
    urls = tuple(f"{folder}/{row:05d}.jpg" for row in range(len(labels)))
    none = (None,) * len(labels)
    return LabelledTiles(urls, np.array(labels), tuple(groups or urls), ("a",) * len(labels), none)


def draw_descriptors(count: int, first: int = 0) -> NDArray[np.float32]:
    """Draw descriptors of which no two are similar, flipped or turned."""
    descriptors = np.random.default_rng(first).normal(size=(count, DESCRIPTOR_SIZE)).astype(np.float32)
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    return descriptors


@st.composite
def data_sets(draw: st.DrawFn) -> tuple[LabelledTiles, NDArray[np.int64]]:
    """Draw tiles with labels, groups and families."""
    rows = draw(st.lists(st.tuples(st.booleans(), st.integers(0, 30), st.integers(0, 60)), min_size=2, max_size=80))
    labels, groups, family = (list(column) for column in zip(*rows, strict=True))
    return tiles_of(labels, [f"g{group}" for group in groups]), np.array(family, dtype=np.int64)


@given(data=data_sets(), fraction=st.floats(0.05, 0.6), seed=st.integers(0, 5))
@settings(deadline=None)
def test_no_group_or_family_on_both_sides(
    data: tuple[LabelledTiles, NDArray[np.int64]], fraction: float, seed: int
) -> None:
    """The split holds whole groups and whole families out, and both classes are on both sides."""
    tiles, family = data
    try:
        held = assign(tiles, family, SplitRule(fraction, seed))
    except UsageError:
        assume(False)  # noqa: FBT003 - hypothesis' way to set an example aside
    groups = np.array(tiles.groups)
    assert not set(groups[held]) & set(groups[~held])
    assert not set(family[held].tolist()) & set(family[~held].tolist())
    assert set(tiles.labels[held].tolist()) == set(tiles.labels[~held].tolist()) == {True, False}


@given(data=data_sets(), folds=st.integers(2, 6), seed=st.integers(0, 5))
@settings(deadline=None)
def test_folds_hold_whole_groups_and_families(
    data: tuple[LabelledTiles, NDArray[np.int64]], folds: int, seed: int
) -> None:
    """Every tile is in one fold, and nothing that belongs together is in two."""
    tiles, family = data
    fold = assign_folds(tiles, find_components(tiles.groups, family), folds, seed)
    assert set(fold.tolist()) <= set(range(folds))
    for group in set(tiles.groups):
        assert len(set(fold[np.array(tiles.groups) == group].tolist())) == 1
    for of_family in set(family.tolist()):
        assert len(set(fold[family == of_family].tolist())) == 1


def test_folds_share_the_classes_evenly() -> None:
    """Of 40 photos with a tile each, every fifth cracked, each of four folds has two cracked and eight sound ones."""
    labels = [row % 5 == 0 for row in range(40)]
    fold = assign_folds(tiles_of(labels), np.arange(40), 4, 0)
    counts = [(int(np.array(labels)[fold == each].sum()), int((fold == each).sum())) for each in range(4)]
    assert counts == [(2, 10)] * 4


@given(data=data_sets(), random=st.randoms(use_true_random=False))
@settings(deadline=None)
def test_order_does_not_matter(data: tuple[LabelledTiles, NDArray[np.int64]], random: Random) -> None:
    """The same tiles in another order, with other family numbers, give the same split."""
    tiles, family = data
    order = list(range(len(tiles)))
    random.shuffle(order)
    rule = SplitRule(0.3)
    try:
        expected = assign(tiles, family, rule)
    except UsageError:
        with pytest.raises(UsageError):
            assign(tiles.subset(order), 1000 - family[order], rule)
        return
    assert (assign(tiles.subset(order), 1000 - family[order], rule) == expected[order]).all()


def test_fraction_is_met() -> None:
    """The split holds out about the given fraction of each class."""
    labels = [row % 4 == 0 for row in range(2000)]
    tiles = tiles_of(labels, [f"photo{row // 8}" for row in range(2000)])
    held = assign(tiles, np.arange(2000), SplitRule(0.2))
    assert held.mean() == pytest.approx(0.2, abs=0.01)
    assert held[tiles.labels].mean() == pytest.approx(0.2, abs=0.01)


def test_seeds_differ() -> None:
    """Another seed gives another split, the same seed the same split."""
    tiles = tiles_of([row % 2 == 0 for row in range(100)])
    first, again, other = (assign(tiles, np.arange(100), SplitRule(0.2, seed)) for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()


def test_place_does_not_matter() -> None:
    """A copy of a data set at another place gives the same split."""
    labels = [row % 2 == 0 for row in range(100)]
    here, there = tiles_of(labels), tiles_of(labels, folder="s3://bucket/data")
    assert (assign(here, np.arange(100), SplitRule()) == assign(there, np.arange(100), SplitRule())).all()


def test_boxes_of_one_photo_stay_together() -> None:
    """Tiles of one photo are on one side, whatever their descriptors."""
    photos, boxes = 12, tuple(Box(0, left_px, 112, 112) for left_px in (0, 56, 112, 168))
    urls = tuple(f"file:///a/{photo}.jpg" for photo in range(photos) for _ in boxes)
    labels = np.arange(len(urls)) % 2 == 0
    tiles = LabelledTiles(urls, labels, urls, ("a",) * len(urls), boxes * photos)
    found = split(tiles, None, SplitRule(0.3), lambda all_: draw_descriptors(len(all_)))
    assert not set(found.training.urls) & set(found.validation.urls)
    assert len(found.validation) == 4 * len(set(found.validation.urls)) > 0


@given(random=st.randoms(use_true_random=False))
@settings(deadline=None)
def test_order_of_boxes_does_not_matter(random: Random) -> None:
    """Boxes in groups of their own give the same split in any order."""
    count = 40
    boxes = tuple(Box(0, 10 * number, 100, 100) for number in range(count))
    groups = tuple(f"g{number}" for number in range(count))
    tiles = LabelledTiles(("file:///a.jpg",) * count, np.arange(count) % 2 == 0, groups, ("a",) * count, boxes)
    order = random.sample(range(count), count)
    held = assign(tiles, np.arange(count), SplitRule())
    assert (assign(tiles.subset(order), np.arange(count), SplitRule()) == held[order]).all()


def test_two_photos_are_enough() -> None:
    """Of only two photos, the split holds one out, even if that is more than the fraction."""
    tiles = tiles_of([True, False] * 4, ["a"] * 4 + ["b"] * 4)
    assert assign(tiles, np.arange(8), SplitRule(0.2)).sum() == 4


def test_one_photo_is_not() -> None:
    """Tiles of one photo cannot be split; the message says what to do."""
    tiles = tiles_of([True, False] * 4, ["a"] * 8)
    with pytest.raises(UsageError, match=r"8 tiles come from 1 photo .* Give validation tiles with --val\."):
        assign(tiles, np.arange(8), SplitRule(0.2))


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_fraction_is_checked(fraction: float) -> None:
    """The fraction is between 0 and 1."""
    with pytest.raises(UsageError, match="expected a number between 0 and 1"):
        SplitRule(fraction)


def test_repeats_of_validation_tiles_are_dropped() -> None:
    """With validation tiles given, the split drops training tiles that repeat one or share its photo."""
    training = tiles_of([True, False, True, False], ["p1", "p2", "p3", "p4"])
    validation = tiles_of([True, False], ["v1", "p4"], folder="file:///b")
    descriptors = {training.urls: draw_descriptors(4), validation.urls: draw_descriptors(2, first=9)}
    mirrored = descriptors[training.urls][0].reshape(32, 32)[:, ::-1].ravel()
    descriptors[validation.urls][0] = mirrored
    found = split(training, validation, SplitRule(), lambda tiles: descriptors[tiles.urls])
    assert found.training.urls == training.urls[1:3]
    assert found.validation.urls == validation.urls
    assert found.dropped == 2


def test_nothing_left_to_train_on() -> None:
    """Validating on the training tiles themselves raises an error."""
    tiles = tiles_of([True, False, True])
    with pytest.raises(UsageError, match="3 of 3 training tiles repeat validation tiles"):
        split(tiles, tiles, SplitRule(), lambda _: draw_descriptors(3))


def test_split_keeps_twins_together() -> None:
    """Without validation tiles, the split holds some out, and twins are on one side."""
    tiles = tiles_of([row % 2 == 0 for row in range(60)])
    descriptors = draw_descriptors(60)
    descriptors[30:] = descriptors[:30]
    found = split(tiles, None, SplitRule(0.3), lambda _: descriptors)
    held = {tiles.urls.index(url) % 30 for url in found.validation.urls}
    assert len(found.validation) == 2 * len(held)
    assert len(found.training) + len(found.validation) == 60
    assert found.dropped == 0
