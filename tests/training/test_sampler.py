"""Epochs: every tile in its turn, sources and classes in even parts, sound tiles a second time to draw cracks on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.labels.boxes import Box
from pipeline.labels.labelled_tiles import LabelledTiles
from pipeline.training.sampler import CRACKED, DRAWN, Stratum, alike, balanced, epoch_order


def tiles(cracked: list[int], sound: list[int]) -> LabelledTiles:
    """List so many cracked and sound tiles of each source."""
    rows = [(label, f"source {number}") for label, counts in ((True, cracked), (False, sound))
            for number, count in enumerate(counts) for _ in range(count)]  # fmt: skip
    urls = tuple(f"file:///{number}.png" for number in range(len(rows)))
    boxes = (None,) * len(rows)
    return LabelledTiles(urls, np.array([label for label, _ in rows]), urls, tuple(source for _, source in rows), boxes)


@settings(deadline=None)  # a busy machine is slow, not wrong
@given(count=st.integers(1, 60), epoch_tiles=st.integers(1, 60), seed=st.integers(0, 99))
def test_every_tile_comes_before_any_comes_again(count: int, epoch_tiles: int, seed: int) -> None:
    """However long an epoch is, the epochs together walk through all tiles in turn."""
    strata = (Stratum(np.arange(count), 1.0),)
    walk = np.concatenate(
        [epoch_order(strata, epoch_tiles, seed, epoch) for epoch in range(-(-3 * count // epoch_tiles))]
    )
    for turn in range(3):
        assert sorted(walk[turn * count : (turn + 1) * count]) == list(range(count))


def test_another_seed_or_epoch_is_another_order() -> None:
    """The order is the seed's and the epoch's."""
    strata = balanced(tiles([20, 30], [40, 10])).strata
    assert np.array_equal(epoch_order(strata, 100, 1, 0), epoch_order(strata, 100, 1, 0))
    assert not np.array_equal(epoch_order(strata, 100, 1, 0), epoch_order(strata, 100, 2, 0))
    assert not np.array_equal(epoch_order(strata, 100, 1, 0), epoch_order(strata, 100, 1, 1))


@settings(deadline=None)  # a busy machine is slow, not wrong
@given(
    cracked=st.lists(st.integers(0, 9), min_size=3, max_size=3).filter(any),
    sound=st.lists(st.integers(0, 9), min_size=3, max_size=3).filter(any),
    epoch_tiles=st.integers(1, 500),
)
def test_an_epoch_is_dealt_evenly(cracked: list[int], sound: list[int], epoch_tiles: int) -> None:
    """Half of an epoch is sound; every kind is shared evenly among the sources that have it; off by one at most."""
    deck = balanced(tiles(cracked, sound))
    order = epoch_order(deck.strata, epoch_tiles, seed=3, epoch=2)
    assert len(order) == epoch_tiles
    sources = np.array(deck.tiles.sources)[order]
    labels, drawn = deck.tiles.labels[order], order >= deck.drawn_from
    for kind, share, has in ((labels & ~drawn, CRACKED, cracked), (drawn, DRAWN, sound), (~labels, 0.5, sound)):
        for number, count in enumerate(has):
            expected = share / sum(map(bool, has)) * epoch_tiles if count else 0
            assert abs(int((kind & (sources == f"source {number}")).sum()) - expected) <= 1
    assert deck.cracked_share == pytest.approx(0.5)


def test_cracks_are_drawn_on_sound_tiles_only() -> None:
    """The sound tiles, and no others, stand a second time at the end, labelled cracked."""
    given_tiles = tiles([2, 1], [3, 2])
    deck = balanced(given_tiles)
    assert deck.tiles.urls[deck.drawn_from :] == given_tiles.subset(~given_tiles.labels).urls
    assert deck.tiles.labels[deck.drawn_from :].all()
    assert np.array_equal(deck.tiles.labels[: deck.drawn_from], given_tiles.labels)


def test_alike_has_no_drawn_cracks() -> None:
    """Every tile once, in one stratum, and the share of cracked ones as it is."""
    deck = alike(tiles([3], [1]))
    assert sorted(epoch_order(deck.strata, 4, 0, 0)) == [0, 1, 2, 3]
    assert deck.cracked_share == pytest.approx(0.75)
    assert deck.drawn_from == 4


def test_both_classes_come_in_the_same_sizes() -> None:
    """Large sound boxes are few and small ones many; an epoch has each size as often among cracked as among sound."""
    sizes = [112] * 60 + [224] * 60 + [112] * 110 + [224] * 10
    urls = tuple(f"file:///{number}.png" for number in range(len(sizes)))
    labels = np.arange(len(sizes)) < 120
    boxes = tuple(Box(0, 0, side, side) for side in sizes)
    deck = balanced(LabelledTiles(urls, labels, urls, ("a",) * len(sizes), boxes))
    order = epoch_order(deck.strata, 1000, 0, 0)
    large = deck.tiles.sizes[order] == deck.tiles.sizes.max()
    parts = [large[deck.tiles.labels[order] == label].mean() for label in (True, False)]
    assert parts[0] == pytest.approx(parts[1], abs=0.01)
    assert 0.2 < parts[0] < 0.4
