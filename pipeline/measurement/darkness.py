"""How dark a photo is along a line, beside what lies next to it: whether it shows a crack there, and how wide.

Other light makes a whole photo darker, so that all is measured against the background on either side.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.measurement.width import DARK, LEAST_CONTRAST, measure_profiles

Grey = NDArray[np.uint8]
"""A photo's grey values. Shape: (H, W)."""
Points = NDArray[np.float64]
"""Places x, y in pixels of a photo, about two apart along a line, or the directions of the line there, of length 1.
Shape: (N, 2)."""

ALONG, ALONG_WIDTH = 9, 3
"""Places along the line over which grey values are averaged: a crack goes on, grain does not. Widths change faster."""
WIDTH_REACH_PX = 32
"""Half length of a profile of which the width is measured."""


def cut_profiles(grey: Grey, points: Points, directions: Points, reach_px: int, along: int) -> NDArray[np.float64]:
    """Return the grey values across a line, one pixel apart; beyond the photo's edge, those of the edge.

    Shape: (N, 2) → (N, 2 · reach_px + 1).
    """
    normals = np.stack([-directions[:, 1], directions[:, 0]], axis=1)
    places = points[:, None] + np.arange(-reach_px, reach_px + 1)[:, None] * normals[:, None] - 0.5
    limits = np.subtract(grey.shape[::-1], 1)
    start = np.clip(np.floor(places.min(axis=(0, 1))).astype(int), 0, limits)
    stop = np.clip(np.ceil(places.max(axis=(0, 1))).astype(int) + 1, start + 1, limits + 1)
    part = grey[start[1] : stop[1], start[0] : stop[0]].astype(np.float64)
    across = ndimage.map_coordinates(part, np.moveaxis(places - start, -1, 0)[::-1], order=1, mode="nearest")
    profiles: NDArray[np.float64] = ndimage.uniform_filter1d(across, along, axis=0, mode="nearest")
    return profiles


def measure_darkness(grey: Grey, points: Points, directions: Points, near_px: float) -> float:
    """Return how much darker a photo is along a line than along lines beside it.

    Args:
        grey: the photo.
        points: along the line.
        directions: of the line there.
        near_px: how far the dark may be from the line; as far it is sought beside other lines.

    Returns:
        The share of the way from the background to a crack that no light enters; about 0 where there is no crack.
    """
    lane_px = 2 * round(near_px) + 1
    reach_px = 3 * lane_px
    profiles = cut_profiles(grey, points, directions, reach_px, ALONG)
    background = np.median(profiles, axis=1, keepdims=True)
    depths = (background - profiles) / np.maximum(background - DARK, LEAST_CONTRAST)
    darkest = np.median(ndimage.maximum_filter1d(depths, lane_px, axis=1, mode="nearest"), axis=0)
    beside = reach_px + lane_px * np.array([-2, -1, 1, 2])
    return float(darkest[reach_px] - np.median(darkest[beside]))


def measure_widths(grey: Grey, points: Points, directions: Points) -> NDArray[np.float64]:
    """Return the width of a crack at places along it, in pixels; NaN where it is unknown. Shape: (N, 2) → (N,)."""
    profiles = cut_profiles(grey, points, directions, WIDTH_REACH_PX, ALONG_WIDTH)
    measured = measure_profiles(profiles)
    return np.where(measured.is_blurred, np.nan, measured.width_px)
