"""What a tile looks like in a few hundred numbers, and which tiles are the same picture.

Knows pixels only. Which tiles may stand on which side of a split is left to `split`.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

SIDE = 32
FINGERPRINT_SIZE = SIDE * SIDE
SAME_PICTURE = 0.9
"""Cosine similarity from which two tiles are the same picture.

Measured on METU, 11,906 tiles, the best of the eight flips and quarter turns: mirrored, resized and saved again as JPEG
of quality 50, a tile is at least 0.925 like itself (quality 75: 0.983). Tiles of different photos are at most 0.871
alike (a validation and a training tile with cracks of the same shape), sound ones 0.727. Between 0.87 and 0.96 stand
crops of one crack a few pixels apart.
"""
FLAT_LEVELS = 0.1
"""Grey levels of texture (root mean square) below which a tile is flat; the flattest METU tile has 1.06."""
BLOCK_ROWS = 512
"""Fingerprints compared with all others at once: 24 MB of similarities for 12,000 tiles."""
SKETCH_SIDE = 12
"""Lowest frequencies of each direction in a sketch. With 12, one pair in 9,000 of boxes cut from deck photos has to be
compared in full, with 8 one in 60."""
ROUNDING = 1e-4
"""By how much a sketch's bound may fall short, in single precision."""
PAIRS_AT_ONCE = 1 << 14
"""Pairs compared in full at once: 128 MB."""
_GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""ITU-R BT.601 luma."""


def descriptor(pixels: NDArray[np.uint8]) -> Floats:
    """Return the texture of a tile: grey, averaged to 32 x 32 cells, without illumination, of length one.

    The best quadratic surface is taken away: with it, any two near-flat tiles lit from the same side are alike (up to
    0.96 for strangers in METU), without it they are not (0.73). A tile of no texture becomes zeros: like nothing.

    Shape: (H, W, 3) → (FINGERPRINT_SIZE,).
    """
    grey = pixels.astype(np.float32) @ _GREY
    cells = (_averaging(grey.shape[0]) @ grey @ _averaging(grey.shape[1]).T).ravel()
    surfaces = _smooth_surfaces()
    texture = cells - surfaces @ (surfaces.T @ cells)
    length = float(np.linalg.norm(texture))
    if length < FLAT_LEVELS * SIDE:
        return np.zeros(FINGERPRINT_SIZE, dtype=np.float32)
    unit: Floats = (texture / length).astype(np.float32)
    return unit


def duplicate_groups(prints: Floats) -> NDArray[np.int64]:
    """Return a number for every tile that tiles of the same picture share, also where a third tile links them.

    Costs n² comparisons of sketches: 11,000 tiles take some 3 s of one core, 37,000 some 25 s.

    Shape: (n, FINGERPRINT_SIZE) → (n,).
    """
    family = np.arange(len(prints))  # the lowest row of each family
    for first, second in _same_pictures(prints, prints, each_pair_once=True):
        one, other = family[first], family[second]
        links = np.unique(one[one != other] * len(prints) + other[one != other])
        for link in links.tolist():
            low, high = sorted(family[list(divmod(link, len(prints)))].tolist())
            if low != high:
                family[family == high] = low
    return family


def duplicates_of(prints: Floats, of: Floats) -> NDArray[np.bool_]:
    """Tell which tiles show the same picture as any tile in `of`."""
    found = np.zeros(len(prints), dtype=np.bool_)
    for first, _ in _same_pictures(prints, of):
        found[first] = True
    return found


def _same_pictures(
    prints: Floats, others: Floats, *, each_pair_once: bool = False
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield the row numbers of like tiles, in `prints` and in `others`: a part of the pairs at a time."""
    sketches = _sketches(others)
    for start in range(0, len(prints), BLOCK_ROWS):
        skip = start if each_pair_once else 0
        for view in _views(prints[start : start + BLOCK_ROWS]):
            # Numbered in one row: ten times faster than np.nonzero in two.
            maybe = np.flatnonzero(_sketches(view) @ sketches[skip:].T >= SAME_PICTURE - ROUNDING)
            for low in range(0, len(maybe), PAIRS_AT_ONCE):
                first, second = np.divmod(maybe[low : low + PAIRS_AT_ONCE], len(others) - skip)
                same = np.einsum("ij,ij->i", view[first], others[skip + second]) >= SAME_PICTURE
                yield first[same] + start, second[same] + skip


def _sketches(prints: Floats) -> Floats:
    """Shorten fingerprints so that the product of two sketches is at least the similarity of the tiles.

    A sketch is the lowest frequencies and the length of all that is left of them, which by Cauchy and Schwarz can add
    no more than the product of both lengths.

    Shape: (n, FINGERPRINT_SIZE) → (n, SKETCH_SIDE² + 1).
    """
    low = prints @ _low_frequencies()
    left = np.sqrt(np.clip(np.square(prints).sum(axis=1) - np.square(low).sum(axis=1), 0, None))
    sketches: Floats = np.concatenate([low, left[:, None]], axis=1)
    return sketches


def _views(prints: Floats) -> Iterator[Floats]:
    """Yield the fingerprints of the eight flips and quarter turns; the smooth surfaces turn into themselves."""
    square = prints.reshape(-1, SIDE, SIDE)
    for quarter_turns in range(4):
        turned = np.rot90(square, quarter_turns, axes=(1, 2))
        yield np.ascontiguousarray(turned).reshape(len(prints), -1)
        yield np.ascontiguousarray(turned[:, :, ::-1]).reshape(len(prints), -1)


@cache
def _averaging(side_px: int) -> Floats:
    """Return the matrix that averages a side of pixels to cells, a pixel on a border divided between both.

    Shape: (SIDE, side_px).
    """
    edges = np.linspace(0, side_px, SIDE + 1)
    pixels = np.arange(side_px)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights: Floats = (np.clip(overlap, 0, None) * SIDE / side_px).astype(np.float32)
    return weights


@cache
def _smooth_surfaces() -> Floats:
    """Return an orthonormal basis of the quadratic surfaces, shape (FINGERPRINT_SIZE, 6)."""
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j].reshape(2, -1)
    orthonormal, _ = np.linalg.qr(np.stack([np.ones_like(x), x, y, x * y, x * x, y * y], axis=1))
    basis: Floats = orthonormal.astype(np.float32)
    return basis


@cache
def _low_frequencies() -> Floats:
    """Return an orthonormal basis of the lowest frequencies (DCT-II), shape (FINGERPRINT_SIZE, SKETCH_SIDE²)."""
    waves = np.cos(np.pi * np.arange(SKETCH_SIDE)[:, None] * (np.arange(SIDE) + 0.5) / SIDE)
    waves /= np.linalg.norm(waves, axis=1, keepdims=True)
    basis: Floats = np.kron(waves, waves).T.astype(np.float32)
    return basis
