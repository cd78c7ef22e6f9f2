"""How well crack maps agree with masks, pixel by pixel.

Knows arrays only; reading photos and writing the report is left to `mask_evaluation`. Maps have 256 levels, so that
counts of pixels by level are all there is to know, however many photos there are: the curves are exact.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

LEVELS = 256
TOLERANCE_PX = 2
"""Masks are drawn by hand: their edges are some pixels off, in rows and in columns."""


@dataclass(frozen=True)
class Agreement:
    """Measures of all pixels of some photos; at the map level where IoU and F1, which rise together, are best."""

    average_precision: float
    """Area under the precision-recall curve, as a step function."""
    iou: float
    """Pixels that both call crack, of those that either does."""
    f1: float
    precision: float
    """Part of the pixels called crack that are."""
    recall: float
    """Part of the crack's pixels that are called crack."""
    level: float
    """Pixels at or over this are called crack, in [0, 1]."""


@dataclass(frozen=True)
class MapQuality:
    """How well maps agree with masks."""

    pixels: int
    crack_pixels: int
    exact: Agreement
    tolerant: Agreement
    """Where a pixel called crack is right within `TOLERANCE_PX` of the crack, and a crack's pixel is found within as
    much of a pixel called crack."""


class PixelCounts:
    """Counts of pixels by level, photo by photo."""

    def __init__(self) -> None:
        # Of all pixels; of the crack's; of those near the crack; and of the crack's by the highest level near them.
        self._counts: Counts = np.zeros((4, LEVELS), np.int64)

    def add(self, grey: Grey, crack: Mask) -> None:
        """Count one photo in.

        Args:
            grey: its map, enlarged to the photo's size.
            crack: its mask.

        Shapes: (H, W) and (H, W).
        """
        near = widen(crack.astype(np.uint8), TOLERANCE_PX) > 0
        parts = (grey.ravel(), grey[crack], grey[near], widen(grey, TOLERANCE_PX)[crack])
        self._counts += [np.bincount(part, minlength=LEVELS) for part in parts]

    def __add__(self, other: "PixelCounts") -> "PixelCounts":
        """Count two sets of photos together."""
        both = PixelCounts()
        both._counts = self._counts + other._counts
        return both

    def quality(self) -> MapQuality | None:
        """Measure; None where no pixel is crack."""
        called, found, right, found_near = np.cumsum(self._counts[:, ::-1], axis=1)  # from level 255 down
        crack_pixels = int(found[-1])
        if not crack_pixels:
            return None
        exact, tolerant = (
            _agreement(of_called / np.maximum(called, 1), of_crack / crack_pixels)
            for of_called, of_crack in ((found, found), (right, found_near))
        )
        return MapQuality(int(called[-1]), crack_pixels, exact, tolerant)


def widen(grey: Grey, by_px: int) -> Grey:
    """Give every pixel the highest level of the square around it.

    Shape: (H, W) → (H, W).
    """
    padded = np.pad(grey, by_px)
    height, width = grey.shape
    shifts = range(2 * by_px + 1)
    rows: Grey = np.max([padded[shift : shift + height] for shift in shifts], axis=0)
    columns: Grey = np.max([rows[:, shift : shift + width] for shift in shifts], axis=0)
    return columns


def _agreement(precision: Floats, recall: Floats) -> Agreement:
    """Measure a precision-recall curve from level 255 to 0.

    Shapes: (256,) and (256,).
    """
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    best = int(np.argmax(f1))
    return Agreement(
        average_precision=float(np.diff(recall, prepend=0) @ precision),
        iou=float(f1[best] / (2 - f1[best])),
        f1=float(f1[best]),
        precision=float(precision[best]),
        recall=float(recall[best]),
        level=(LEVELS - 1 - best) / (LEVELS - 1),
    )
