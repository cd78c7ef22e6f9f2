"""How dark a photo is along a line, beside what lies next to it: whether it shows a crack there, and how wide.

Other light makes a whole photo darker, so that all is measured against the background on either side.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.measurement.profiles import ALONG_PX, Points, cut_profiles
from pipeline.measurement.width import DARK, LEAST_CONTRAST, measure_profiles

Grey = NDArray[np.uint8]
"""A photo's grey values. Shape: (H, W)."""

ALONG = 9
"""Places along the line, about two pixels apart, over which the darkness is averaged: a crack goes on, grain does
not."""
WIDTH_REACH_PX = 32
"""Half length of a profile of which the width is measured."""


def measure_darkness(grey: Grey, points: Points, directions: Points, near_px: float) -> float:
    """Return how much darker a photo is along a line than along lines beside it.

    Args:
        grey: the photo.
        points: along the line, about two pixels apart.
        directions: of the line there.
        near_px: how far the dark may be from the line; as far it is sought beside other lines.

    Returns:
        The share of the way from the background to a crack that no light enters; about 0 where there is no crack.
    """
    lane_px = 2 * round(near_px) + 1
    reach_px = 3 * lane_px
    across = cut_profiles(grey, points, directions, reach_px)
    profiles = ndimage.uniform_filter1d(across, ALONG, axis=0, mode="nearest")
    background = np.median(profiles, axis=1, keepdims=True)
    depths = (background - profiles) / np.maximum(background - DARK, LEAST_CONTRAST)
    darkest = np.median(ndimage.maximum_filter1d(depths, lane_px, axis=1, mode="nearest"), axis=0)
    beside = reach_px + lane_px * np.array([-2, -1, 1, 2])
    return float(darkest[reach_px] - np.median(darkest[beside]))


def measure_widths(grey: Grey, points: Points, directions: Points) -> NDArray[np.float64]:
    """Return the width of a crack at places along it, in pixels; NaN where it is unknown. Shape: (N, 2) → (N,)."""
    measured = measure_profiles(cut_profiles(grey, points, directions, WIDTH_REACH_PX, ALONG_PX))
    return np.where(measured.is_blurred, np.nan, measured.width_px)
