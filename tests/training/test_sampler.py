"""Epochs: every tile in turn, sources and classes in equal parts, sound tiles a second time with painted cracks."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.labels.boxes import Box
from pipeline.labels.labelled_tiles import LabelledTiles
from pipeline.training.sampler import (
    CRACKED_SHARE,
    PAINTED_SHARE,
    Stratum,
    build_balanced_pool,
    build_uniform_pool,
    order_epoch,
)


def tiles(cracked: list[int], sound: list[int]) -> LabelledTiles:
    """Return tiles, with these numbers of cracked and sound ones from each source."""
    rows = [(label, f"source {number}") for label, counts in ((True, cracked), (False, sound))
            for number, count in enumerate(counts) for _ in range(count)]  # fmt: skip
    urls = tuple(f"file:///{number}.png" for number in range(len(rows)))
    boxes = (None,) * len(rows)
    return LabelledTiles(urls, np.array([label for label, _ in rows]), urls, tuple(source for _, source in rows), boxes)


@settings(deadline=None)  # a busy machine is slow, not wrong
@given(count=st.integers(1, 60), epoch_tiles=st.integers(1, 60), seed=st.integers(0, 99))
def test_every_tile_comes_before_any_repeats(count: int, epoch_tiles: int, seed: int) -> None:
    """Whatever the length of an epoch, the epochs together walk through all tiles in turn."""
    strata = (Stratum(np.arange(count), 1.0),)
    walk = np.concatenate(
        [order_epoch(strata, epoch_tiles, seed, epoch) for epoch in range(-(-3 * count // epoch_tiles))]
    )
    for turn in range(3):
        assert sorted(walk[turn * count : (turn + 1) * count]) == list(range(count))


def test_another_seed_or_epoch_is_another_order() -> None:
    """The order depends on the seed and the epoch."""
    strata = build_balanced_pool(tiles([20, 30], [40, 10])).strata
    assert np.array_equal(order_epoch(strata, 100, 1, 0), order_epoch(strata, 100, 1, 0))
    assert not np.array_equal(order_epoch(strata, 100, 1, 0), order_epoch(strata, 100, 2, 0))
    assert not np.array_equal(order_epoch(strata, 100, 1, 0), order_epoch(strata, 100, 1, 1))


@settings(deadline=None)  # a busy machine is slow, not wrong
@given(
    cracked=st.lists(st.integers(0, 9), min_size=3, max_size=3).filter(any),
    sound=st.lists(st.integers(0, 9), min_size=3, max_size=3).filter(any),
    epoch_tiles=st.integers(1, 500),
)
def test_an_epoch_is_balanced(cracked: list[int], sound: list[int], epoch_tiles: int) -> None:
    """Half of an epoch is sound; the sources of each kind have equal shares, off by one at most."""
    pool = build_balanced_pool(tiles(cracked, sound))
    order = order_epoch(pool.strata, epoch_tiles, seed=3, epoch=2)
    assert len(order) == epoch_tiles
    sources = np.array(pool.tiles.sources)[order]
    labels, painted = pool.tiles.labels[order], order >= pool.first_painted
    for kind, share, has in (
        (labels & ~painted, CRACKED_SHARE, cracked),
        (painted, PAINTED_SHARE, sound),
        (~labels, 0.5, sound),
    ):
        for number, count in enumerate(has):
            expected = share / sum(map(bool, has)) * epoch_tiles if count else 0
            assert abs(int((kind & (sources == f"source {number}")).sum()) - expected) <= 1
    assert pool.cracked_share == pytest.approx(0.5)


def test_cracks_are_painted_on_sound_tiles_only() -> None:
    """Only the sound tiles come a second time, at the end, labelled cracked."""
    given_tiles = tiles([2, 1], [3, 2])
    pool = build_balanced_pool(given_tiles)
    assert pool.tiles.urls[pool.first_painted :] == given_tiles.subset(~given_tiles.labels).urls
    assert pool.tiles.labels[pool.first_painted :].all()
    assert np.array_equal(pool.tiles.labels[: pool.first_painted], given_tiles.labels)


def test_no_crack_is_painted_on_clutter() -> None:
    """It has its part of the sound tiles, and may be no concrete."""
    pool = build_balanced_pool(replace(tiles([2, 0], [3, 5]), clutter=frozenset({"source 1"})))
    order = order_epoch(pool.strata, 400, 0, 0)
    painted, clutter = order >= pool.first_painted, pool.tiles.is_clutter[order]
    assert not clutter[painted].any()
    assert clutter.sum() == pytest.approx(100, abs=1)
    assert pool.cracked_share == pytest.approx(0.5)


def test_a_uniform_pool_has_no_painted_cracks() -> None:
    """A uniform pool has every tile once, in one stratum, and the share of cracked tiles as it is."""
    pool = build_uniform_pool(tiles([3], [1]))
    assert sorted(order_epoch(pool.strata, 4, 0, 0)) == [0, 1, 2, 3]
    assert pool.cracked_share == pytest.approx(0.75)
    assert pool.first_painted == 4


def test_both_classes_come_in_the_same_sizes() -> None:
    """Large sound boxes are few, small ones many; in an epoch, both classes have the same share of each size."""
    sizes = [112] * 60 + [224] * 60 + [112] * 110 + [224] * 10
    urls = tuple(f"file:///{number}.png" for number in range(len(sizes)))
    labels = np.arange(len(sizes)) < 120
    boxes = tuple(Box(0, 0, side, side) for side in sizes)
    pool = build_balanced_pool(LabelledTiles(urls, labels, urls, ("a",) * len(sizes), boxes))
    order = order_epoch(pool.strata, 1000, 0, 0)
    large = pool.tiles.sizes[order] == pool.tiles.sizes.max()
    parts = [large[pool.tiles.labels[order] == label].mean() for label in (True, False)]
    assert parts[0] == pytest.approx(parts[1], abs=0.01)
    assert 0.2 < parts[0] < 0.4
