"""Which tiles an epoch takes, in which order: all of them alike, or sources and classes in even parts.

The order depends on seed and epoch alone: any number of workers sees the same batches. Reading the tiles is left to
`batches`, changing them to `augment`.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.labels.labelled_tiles import LabelledTiles

Indices = NDArray[np.int64]

DRAWN = 0.2
"""Part of an epoch that is sound tiles with a crack drawn on them: two fifths of the cracked ones."""
CRACKED = 0.5 - DRAWN
"""Part of an epoch that is cracked tiles as they are; the other half is sound tiles."""


@dataclass(frozen=True)
class Stratum:
    """Tiles that are drawn from alike."""

    tiles: Indices
    share: float
    """Of an epoch."""


@dataclass(frozen=True)
class Deck:
    """What an epoch is dealt from."""

    tiles: LabelledTiles
    """From `drawn_from` on: the sound tiles a second time, to draw cracks on, labelled cracked."""
    drawn_from: int
    strata: tuple[Stratum, ...]
    """Their shares sum to one."""

    @property
    def cracked_share(self) -> float:
        """Part of an epoch that is labelled cracked, on the mean."""
        return sum(part.share * float(self.tiles.labels[part.tiles].mean()) for part in self.strata)


def alike(tiles: LabelledTiles) -> Deck:
    """Deal every tile as often as any other."""
    return Deck(tiles, len(tiles), (Stratum(np.arange(len(tiles)), 1.0),))


def balanced(tiles: LabelledTiles) -> Deck:
    """Deal as many cracked as sound tiles, and as many of one source as of another that has such tiles.

    Where tiles were cut in several sizes, both classes come in the same sizes: there is far more sound concrete in
    small boxes than in large ones, and how much a tile was enlarged would tell the classes apart.
    """
    sound = np.flatnonzero(~tiles.labels)
    doubled = tiles.subset(np.concatenate([np.arange(len(tiles)), sound]))
    is_drawn = np.arange(len(doubled)) >= len(tiles)
    doubled = replace(doubled, labels=doubled.labels | is_drawn)
    sources = np.array(doubled.sources)
    strata: list[Stratum] = []
    for kind, share in ((doubled.labels & ~is_drawn, CRACKED), (is_drawn, DRAWN), (~doubled.labels, 0.5)):
        for source in sorted(set(sources[kind])):
            chosen = np.flatnonzero(kind & (sources == source))
            parts = _size_shares(tiles, source)
            strata += _by_size(chosen, doubled.sizes[chosen], parts, share / len(set(sources[kind])))
    return Deck(doubled, len(tiles), tuple(strata))


def _size_shares(tiles: LabelledTiles, source: str) -> dict[int, float]:
    """Return how often each size of a source's tiles is to be dealt.

    The more tiles of the scarcer class, the more often, by the square root: large sound boxes are few, and would
    otherwise come a hundred times or hardly ever.
    """
    own = np.array(tiles.sources) == source
    counts = {
        int(size): min(int((tiles.labels[own & (tiles.sizes == size)] == label).sum()) for label in (True, False))
        for size in np.unique(tiles.sizes[own])
    }
    return {size: math.sqrt(count) for size, count in counts.items()}


def _by_size(tiles: Indices, sizes: Indices, shares: dict[int, float], share: float) -> list[Stratum]:
    """Divide a share among sizes; sizes that only one class has count where there are no others."""
    here = {size: shares[size] for size in np.unique(sizes).tolist()}
    whole = sum(here.values())
    if not whole:
        return [Stratum(tiles, share)]
    return [Stratum(tiles[sizes == size], share * part / whole) for size, part in here.items() if part]


def epoch_order(strata: tuple[Stratum, ...], epoch_tiles: int, seed: int, epoch: int) -> Indices:
    """List the tiles of an epoch.

    Within a stratum, epochs follow each other through one random order of its tiles, then through another, so that
    short epochs see every tile before any tile comes again.

    Args:
        strata: what to deal from.
        epoch_tiles: how many an epoch takes.
        seed: of the orders.
        epoch: 0, 1, …
    """
    counts = _counts([stratum.share for stratum in strata], epoch_tiles)
    turn = np.random.default_rng((seed, len(strata), epoch)).permutation(np.repeat(np.arange(len(strata)), counts))
    order = np.empty(epoch_tiles, np.int64)
    for number, (stratum, count) in enumerate(zip(strata, counts, strict=True)):
        order[turn == number] = stratum.tiles[_walk(len(stratum.tiles), count, (seed, number), epoch)]
    return order


def _walk(tiles: int, count: int, seed: tuple[int, int], epoch: int) -> Indices:
    """Return the `count` steps of an epoch through endless random orders of so many tiles."""
    first, last = epoch * count, (epoch + 1) * count
    turns = range(first // tiles, -(-last // tiles))
    orders = [np.random.default_rng((*seed, turn)).permutation(tiles) for turn in turns]
    return np.concatenate([np.empty(0, np.int64), *orders])[first % tiles :][:count]


def _counts(shares: list[float], total: int) -> list[int]:
    """Divide a number in these shares, by largest remainders."""
    exact = np.array(shares) * total
    counts = np.floor(exact).astype(int)
    for index in np.argsort(counts - exact, kind="stable")[: total - int(counts.sum())]:
        counts[index] += 1
    return [int(count) for count in counts]
