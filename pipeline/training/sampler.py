"""Which tiles an epoch takes, in which order: all tiles alike, or sources and classes in equal parts.

The order depends on seed and epoch only, so any number of workers sees the same batches. `data_loader` reads the tiles,
`augment` changes them.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.labels.labelled_tiles import LabelledTiles

Indices = NDArray[np.int64]
"""Rows of tiles."""

PAINTED_SHARE = 0.2
"""Part of an epoch that is sound tiles with a painted crack: two fifths of the cracked ones."""
CRACKED_SHARE = 0.5 - PAINTED_SHARE
"""Part of an epoch that is cracked tiles as they are; the other half is sound tiles."""


@dataclass(frozen=True)
class Stratum:
    """Tiles that are equally likely."""

    tiles: Indices
    share: float
    """Of an epoch."""


@dataclass(frozen=True)
class TilePool:
    """The tiles from which an epoch takes its sample, in strata."""

    tiles: LabelledTiles
    """From `first_painted` on: the sound tiles of concrete a second time, labelled cracked, to paint cracks on."""
    first_painted: int
    strata: tuple[Stratum, ...]
    """Their shares sum to one."""

    @property
    def cracked_share(self) -> float:
        """Expected part of an epoch that is labelled cracked."""
        return sum(part.share * float(self.tiles.labels[part.tiles].mean()) for part in self.strata)

    def is_cracked(self, index: int) -> bool | None:
        """Tell whether a tile shows a crack; None means that one is to be painted."""
        return None if index >= self.first_painted else bool(self.tiles.labels[index])


def build_uniform_pool(tiles: LabelledTiles) -> TilePool:
    """Take every tile equally often."""
    return TilePool(tiles, len(tiles), (Stratum(np.arange(len(tiles)), 1.0),))


def build_balanced_pool(tiles: LabelledTiles) -> TilePool:
    """Take as many cracked as sound tiles, and equally many from each source that has such tiles.

    No crack is painted on clutter, which may be no concrete.

    Where tiles were cut in several sizes, both classes get the same sizes: small boxes hold far more sound concrete
    than large ones, so the enlargement of a tile would give its class away.
    """
    sound = np.flatnonzero(~tiles.labels & ~tiles.is_clutter)
    doubled = tiles.subset(np.concatenate([np.arange(len(tiles)), sound]))
    is_painted = np.arange(len(doubled)) >= len(tiles)
    doubled = replace(doubled, labels=doubled.labels | is_painted)
    sources = np.array(doubled.sources)
    strata: list[Stratum] = []
    kinds = ((doubled.labels & ~is_painted, CRACKED_SHARE), (is_painted, PAINTED_SHARE), (~doubled.labels, 0.5))
    for is_kind, share in kinds:
        for source in sorted(set(sources[is_kind])):
            chosen = np.flatnonzero(is_kind & (sources == source))
            weights = _weigh_sizes(tiles, source)
            strata += _split_by_size(chosen, doubled.sizes[chosen], weights, share / len(set(sources[is_kind])))
    return TilePool(doubled, len(tiles), tuple(strata))


def _weigh_sizes(tiles: LabelledTiles, source: str) -> dict[int, float]:
    """Return the weight of each size of a source's tiles: the square root of the scarcer class's count.

    Large sound boxes are few; other weights would take them a hundred times or hardly ever.
    """
    own = np.array(tiles.sources) == source
    counts = {
        int(size): min(int((tiles.labels[own & (tiles.sizes == size)] == label).sum()) for label in (True, False))
        for size in np.unique(tiles.sizes[own])
    }
    return {size: math.sqrt(count) for size, count in counts.items()}


def _split_by_size(tiles: Indices, sizes: Indices, weights: dict[int, float], share: float) -> list[Stratum]:
    """Divide a share among sizes; a size that only one class has counts only if no size has both."""
    present = {size: weights[size] for size in np.unique(sizes).tolist()}
    total = sum(present.values())
    if not total:
        return [Stratum(tiles, share)]
    return [Stratum(tiles[sizes == size], share * weight / total) for size, weight in present.items() if weight]


def order_epoch(strata: tuple[Stratum, ...], epoch_tiles: int, seed: int, epoch: int) -> Indices:
    """List the tiles of an epoch.

    Within a stratum, successive epochs walk through one random order of its tiles, then through another, so that short
    epochs reach every tile before any tile repeats.

    Args:
        strata: where to take them from.
        epoch_tiles: how many.
        seed: of the orders.
        epoch: 0, 1, …
    """
    counts = _apportion([stratum.share for stratum in strata], epoch_tiles)
    stratum_of = np.random.default_rng((seed, len(strata), epoch)).permutation(
        np.repeat(np.arange(len(strata)), counts)
    )
    order = np.empty(epoch_tiles, np.int64)
    for number, (stratum, count) in enumerate(zip(strata, counts, strict=True)):
        order[stratum_of == number] = stratum.tiles[_walk(len(stratum.tiles), count, (seed, number), epoch)]
    return order


def _walk(tiles: int, count: int, seed: tuple[int, int], epoch: int) -> Indices:
    """Return the `count` steps of an epoch on an endless walk through random orders of `tiles` tiles."""
    first, last = epoch * count, (epoch + 1) * count
    rounds = range(first // tiles, -(-last // tiles))
    orders = [np.random.default_rng((*seed, number)).permutation(tiles) for number in rounds]
    return np.concatenate([np.empty(0, np.int64), *orders])[first % tiles :][:count]


def _apportion(shares: list[float], total: int) -> list[int]:
    """Divide a number by shares, with the method of largest remainders."""
    exact = np.array(shares) * total
    counts = np.floor(exact).astype(int)
    for index in np.argsort(counts - exact, kind="stable")[: total - int(counts.sum())]:
        counts[index] += 1
    return [int(count) for count in counts]
