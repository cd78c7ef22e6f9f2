"""What each pixel of a training picture shows, as far as anybody knows: sound, crack or unknown.

Masks drawn by hand are some pixels off, so the border of a crack is unknown. Of a cracked tile without a mask all is.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pipeline.labels.mask_files import Mask
from pipeline.labels.masks import LEAST_SPAN

SOUND, CRACK, UNKNOWN = 0, 1, 2

Target = NDArray[np.uint8]
"""One of the three for each pixel, shape (H, W)."""

BORDER_PX = 2
"""Pixels around a mask that nobody knows of, at the size of the photo."""


def from_mask(crack: Mask) -> Target:
    """Return the target of a photo with a mask."""
    around = (2 * BORDER_PX + 1, 2 * BORDER_PX + 1)
    near = sliding_window_view(np.pad(crack, BORDER_PX), around).any(axis=(2, 3))
    return np.where(crack, CRACK, np.where(near, UNKNOWN, SOUND)).astype(np.uint8)


def without_mask(shape: tuple[int, ...], *, cracked: bool) -> Target:
    """Return the target of a tile of which only the label is known; `shape` begins with height and width."""
    return np.full(shape[:2], UNKNOWN if cracked else SOUND, np.uint8)


def resize_target(target: Target, height_px: int, width_px: int) -> Target:
    """Resize a target; no crack gets lost, however thin it becomes."""
    if target.shape == (height_px, width_px):
        return target
    rows, cols = (_edges(given, kept) for given, kept in zip(target.shape, (height_px, width_px), strict=True))

    def is_in(kind: int) -> Mask:
        found: Mask = np.maximum.reduceat(np.maximum.reduceat(target == kind, rows, axis=0), cols, axis=1)
        return found

    return np.where(is_in(CRACK), CRACK, np.where(is_in(UNKNOWN), UNKNOWN, SOUND)).astype(np.uint8)


def _edges(given: int, kept: int) -> NDArray[np.int64]:
    """Return where the pixels that become one begin; an enlarged pixel begins several times."""
    return (np.arange(kept) * given // kept).astype(np.int64)


def tile_label(target: Target) -> bool | None:
    """Tell whether a picture counts as cracked; None if its crack is too small to see or all of it is unknown.

    The rule is that of `labels.masks`: a crack crosses at least a quarter of the rows or of the columns.
    """
    crack = target == CRACK
    if crack.any():
        return True if max(crack.any(axis=0).sum(), crack.any(axis=1).sum()) >= LEAST_SPAN * len(target) else None
    return None if (target == UNKNOWN).any() else False
