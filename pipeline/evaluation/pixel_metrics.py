"""How well crack maps agree with masks, pixel by pixel.

Knows arrays only. Maps have 256 levels, so counts of pixels by level give exact curves for any number of photos.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.metrics import Floats
from pipeline.labels.mask_files import Mask
from pipeline.models.crack_maps import Grey

Counts = NDArray[np.int64]
Plane = TypeVar("Plane", Grey, Mask)

LEVELS = 256
TOLERANCE_PX = 2
"""In rows and in columns. People draw masks by hand, and their edges are some pixels off."""


@dataclass(frozen=True)
class Agreement:
    """Measures of all pixels of some photos, at the map level with the best IoU and F1, which rise together."""

    average_precision: float
    """Area under the precision-recall curve, as a step function."""
    iou: float
    """Pixels that are crack in map and mask, as a part of those that are in either."""
    f1: float
    precision: float
    """Part of the pixels called crack that are crack."""
    recall: float
    """Part of the crack pixels that are called crack."""
    level: float
    """Pixels at or over this are called crack, in [0, 1]."""


@dataclass(frozen=True)
class MapQuality:
    """How well maps agree with masks."""

    pixels: int
    crack_pixels: int
    exact: Agreement
    tolerant: Agreement
    """With a tolerance: a pixel called crack is right within `TOLERANCE_PX` of the crack, and a crack pixel is found
    within as much of a pixel called crack."""


class PixelCounts:
    """Counts of pixels by level, photo by photo."""

    def __init__(self) -> None:
        self.photos = 0
        """Photos counted."""
        # Of all pixels, of crack pixels, of pixels near the crack, and of crack pixels by the highest level near them.
        self._counts: Counts = np.zeros((4, LEVELS), np.int64)

    def add(self, grey: Grey, crack: Mask) -> None:
        """Count one photo.

        Args:
            grey: its map, enlarged to the photo's size.
            crack: its mask.

        Shapes: (H, W) and (H, W).
        """
        near = dilate(crack.astype(np.uint8), TOLERANCE_PX) > 0
        parts = (grey.ravel(), grey[crack], grey[near], dilate(grey, TOLERANCE_PX)[crack])
        self.photos += 1
        self._counts += [np.bincount(part, minlength=LEVELS) for part in parts]

    def __add__(self, other: "PixelCounts") -> "PixelCounts":
        """Count two sets of photos together."""
        both = PixelCounts()
        both.photos = self.photos + other.photos
        both._counts = self._counts + other._counts
        return both

    def measure(self) -> MapQuality | None:
        """Measure the agreement; None without any crack pixel."""
        called, found, right, found_near = np.cumsum(self._counts[:, ::-1], axis=1)  # from level 255 down
        crack_pixels = int(found[-1])
        if not crack_pixels:
            return None
        exact, tolerant = (
            _agreement(of_called / np.maximum(called, 1), of_crack / crack_pixels)
            for of_called, of_crack in ((found, found), (right, found_near))
        )
        return MapQuality(int(called[-1]), crack_pixels, exact, tolerant)


def dilate(grey: Grey, by_px: int) -> Grey:
    """Give every pixel the highest level of the square around it.

    Shape: (H, W) → (H, W).
    """
    return combine_squares(np.maximum, np.pad(grey, by_px), 2 * by_px + 1)


def combine_squares(combine: np.ufunc, pixels: Plane, side_px: int) -> Plane:
    """Combine the pixels of every square of this side, which begins at the pixel of the result.

    Shape: (H, W) → (H - side_px + 1, W - side_px + 1).
    """
    height, width = (size - side_px + 1 for size in pixels.shape)
    rows = combine.reduce([pixels[shift : shift + height] for shift in range(side_px)])
    combined: Plane = combine.reduce([rows[:, shift : shift + width] for shift in range(side_px)])
    return combined


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
