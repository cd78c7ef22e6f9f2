"""Descriptors: what a tile looks like in 1,024 numbers, and which tiles show the same picture.

Knows pixels only; `split` decides what tiles of the same picture may do.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipeline.images.decode import Pixels

Descriptors = NDArray[np.float32]
"""Shape (n, DESCRIPTOR_SIZE), or (DESCRIPTOR_SIZE,) of one tile."""

SIDE = 32
DESCRIPTOR_SIZE = SIDE * SIDE
SAME_PICTURE = 0.9
"""Cosine similarity from which two tiles are the same picture.

Measured on METU, 11,906 tiles, as the best of the eight flips and quarter turns. Mirrored, resized and saved again as
JPEG of quality 50, a tile has a similarity of at least 0.925 to itself (quality 75: 0.983). Tiles of different photos
reach at most 0.871 (a validation and a training tile with cracks of the same shape), sound ones 0.727. Crops of one
crack a few pixels apart reach 0.87 to 0.96.
"""
FLAT_LEVELS = 0.1
"""Grey levels of texture (root mean square) below which a tile is flat; the flattest METU tile has 1.06."""
BLOCK_ROWS = 512
"""Descriptors compared with all others at once: 24 MB of similarities for 12,000 tiles."""
SKETCH_SIDE = 12
"""Lowest frequencies of each direction in a sketch. With 12, one pair in 9,000 of boxes cut from deck photos needs a
full comparison, with 8 one in 60."""
ROUNDING = 1e-4
"""By how much the bound of a sketch may fall short in single precision."""
PAIRS_AT_ONCE = 1 << 14
"""Pairs compared in full at once: 128 MB."""
_GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""ITU-R BT.601 luma."""


def descriptor(pixels: Pixels) -> Descriptors:
    """Return the texture of a tile: grey, averaged to 32 x 32 cells, without illumination, scaled to length one.

    Subtracts the best quadratic surface: with it, any two nearly flat tiles lit from the same side look alike (up to
    0.96 for different pictures in METU), without it they do not (0.73). A tile without texture becomes zeros, which are
    similar to nothing.

    Shape: (H, W, 3) → (DESCRIPTOR_SIZE,).
    """
    grey = pixels.astype(np.float32) @ _GREY
    cells = (_averaging_matrix(grey.shape[0]) @ grey @ _averaging_matrix(grey.shape[1]).T).ravel()
    surfaces = _quadratic_surfaces()
    texture = cells - surfaces @ (surfaces.T @ cells)
    length = float(np.linalg.norm(texture))
    if length < FLAT_LEVELS * SIDE:
        return np.zeros(DESCRIPTOR_SIZE, dtype=np.float32)
    unit: Descriptors = (texture / length).astype(np.float32)
    return unit


def group_duplicates(descriptors: Descriptors) -> NDArray[np.int64]:
    """Number the families of tiles that show the same picture; a third tile may link two.

    Compares n² sketches: 11,000 tiles take some 3 s of one core, 37,000 some 25 s.

    Shape: (n, DESCRIPTOR_SIZE) → (n,).
    """
    family = np.arange(len(descriptors))  # the lowest row of each family
    for first, second in _find_same_pictures(descriptors, descriptors, each_pair_once=True):
        one, other = family[first], family[second]
        links = np.unique(one[one != other] * len(descriptors) + other[one != other])
        for link in links.tolist():
            low, high = sorted(family[list(divmod(link, len(descriptors)))].tolist())
            if low != high:
                family[family == high] = low
    return family


def find_duplicates(descriptors: Descriptors, of: Descriptors) -> NDArray[np.bool_]:
    """Tell which tiles show the same picture as any tile in `of`."""
    found = np.zeros(len(descriptors), dtype=np.bool_)
    for first, _ in _find_same_pictures(descriptors, of):
        found[first] = True
    return found


def _find_same_pictures(
    descriptors: Descriptors, others: Descriptors, *, each_pair_once: bool = False
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield the row numbers of similar tiles in `descriptors` and in `others`, some pairs at a time."""
    sketches = sketch(others)
    for start in range(0, len(descriptors), BLOCK_ROWS):
        skip = start if each_pair_once else 0
        for view in flips_and_turns(descriptors[start : start + BLOCK_ROWS]):
            # Flat indices: ten times faster than np.nonzero of two dimensions.
            maybe = np.flatnonzero(sketch(view) @ sketches[skip:].T >= SAME_PICTURE - ROUNDING)
            for low in range(0, len(maybe), PAIRS_AT_ONCE):
                first, second = np.divmod(maybe[low : low + PAIRS_AT_ONCE], len(others) - skip)
                same = np.einsum("ij,ij->i", view[first], others[skip + second]) >= SAME_PICTURE
                yield first[same] + start, second[same] + skip


def sketch(descriptors: Descriptors) -> Descriptors:
    """Shorten descriptors so that the product of two sketches is at least the similarity of the tiles.

    A sketch holds the lowest frequencies and the length of the remainder. By Cauchy and Schwarz, the remainders add at
    most the product of their lengths.

    Shape: (n, DESCRIPTOR_SIZE) → (n, SKETCH_SIDE² + 1).
    """
    low = descriptors @ _low_frequencies()
    remainder = np.sqrt(np.clip(np.square(descriptors).sum(axis=1) - np.square(low).sum(axis=1), 0, None))
    sketches: Descriptors = np.concatenate([low, remainder[:, None]], axis=1)
    return sketches


def flips_and_turns(descriptors: Descriptors) -> Iterator[Descriptors]:
    """Yield the descriptors of the eight flips and quarter turns; the quadratic surfaces turn into themselves."""
    square = descriptors.reshape(-1, SIDE, SIDE)
    for quarter_turns in range(4):
        turned = np.rot90(square, quarter_turns, axes=(1, 2))
        yield np.ascontiguousarray(turned).reshape(len(descriptors), -1)
        yield np.ascontiguousarray(turned[:, :, ::-1]).reshape(len(descriptors), -1)


@cache
def _averaging_matrix(side_px: int) -> Descriptors:
    """Return the matrix that averages a side of pixels to cells and divides a pixel on a border between two cells.

    Shape: (SIDE, side_px).
    """
    edges = np.linspace(0, side_px, SIDE + 1)
    pixels = np.arange(side_px)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights: Descriptors = (np.clip(overlap, 0, None) * SIDE / side_px).astype(np.float32)
    return weights


@cache
def _quadratic_surfaces() -> Descriptors:
    """Return an orthonormal basis of the quadratic surfaces, shape (DESCRIPTOR_SIZE, 6)."""
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j].reshape(2, -1)
    orthonormal, _ = np.linalg.qr(np.stack([np.ones_like(x), x, y, x * y, x * x, y * y], axis=1))
    basis: Descriptors = orthonormal.astype(np.float32)
    return basis


@cache
def _low_frequencies() -> Descriptors:
    """Return an orthonormal basis of the lowest frequencies (DCT-II), shape (DESCRIPTOR_SIZE, SKETCH_SIDE²)."""
    waves = np.cos(np.pi * np.arange(SKETCH_SIDE)[:, None] * (np.arange(SIDE) + 0.5) / SIDE)
    waves /= np.linalg.norm(waves, axis=1, keepdims=True)
    basis: Descriptors = np.kron(waves, waves).T.astype(np.float32)
    return basis
