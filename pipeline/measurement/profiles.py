"""Grey values of a photo across a line, in which widths and darkness are measured.

Points and directions are x, y in pixels of the upright photo: 0.5, 0.5 is the middle of the first pixel.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.images.decode import Pixels

Points = NDArray[np.float64]
"""Places x, y in pixels of a photo, or directions of length 1. Shape: (N, 2)."""

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue (ITU-R BT.601)."""
ALONG_PX = 5
"""Places along a line, one pixel apart, over which the grey values of a profile are averaged where its width is
measured: a crack goes on, grain does not."""


def find_normals(directions: Points) -> Points:
    """Return directions turned by a right angle: along a row to the right becomes down a column."""
    return np.stack([-directions[:, 1], directions[:, 0]], axis=1)


def cut_profiles(
    photo: Pixels, points: Points, directions: Points, reach_px: int, along_px: int = 1
) -> NDArray[np.float64]:
    """Return the grey values across a line, one pixel apart; beyond the photo's edge, those of the edge.

    Args:
        photo: RGB or grey, shape (H, W, 3) or (H, W).
        points: middles of the profiles.
        directions: of the line there.
        reach_px: half length of a profile.
        along_px: places along the line, one pixel apart, over which each value is averaged; an odd number.

    Returns:
        Shape (N, 2 · reach_px + 1).
    """
    if not len(points):
        return np.empty((0, 2 * reach_px + 1))
    places = _lay_out(points, directions, *map(_count_around, (2 * reach_px + 1, along_px))) - 0.5
    limits = np.subtract(photo.shape[1::-1], 1)
    start = np.clip(np.floor(places.min(axis=(0, 1, 2))).astype(int), 0, limits)
    stop = np.clip(np.ceil(places.max(axis=(0, 1, 2))).astype(int), start, limits) + 1
    grey = _convert_to_grey(photo[start[1] : stop[1], start[0] : stop[0]])
    found = ndimage.map_coordinates(grey, np.moveaxis(places - start, -1, 0)[::-1], order=1, mode="nearest")
    profiles: NDArray[np.float64] = found.mean(axis=2)
    return profiles


def are_inside(
    shape: tuple[int, ...], points: Points, directions: Points, reach_px: int, along_px: int = 1
) -> NDArray[np.bool_]:
    """Tell which profiles lie inside a photo of a shape (H, W, …); arguments as of `cut_profiles`. Shape: (N,)."""
    ends = np.array([-1, 1])
    corners = _lay_out(points, directions, reach_px * ends, along_px // 2 * ends)
    return np.asarray(((corners >= 0) & (corners < shape[1::-1])).all(axis=(1, 2, 3)))


def _convert_to_grey(part: Pixels) -> NDArray[np.floating]:
    return part @ LUMA if part.ndim == 3 else part.astype(np.float32)


def _count_around(count: int) -> NDArray[np.int64]:
    """Return whole numbers around 0; `count` is odd."""
    return np.arange(-(count // 2), count // 2 + 1)


def _lay_out(points: Points, directions: Points, across: NDArray[np.int64], along: NDArray[np.int64]) -> Points:
    """Return places at distances across and along a line. Shape: (N, 2), (K,), (A,) → (N, K, A, 2)."""
    middles = points[:, None, None] + along[:, None] * directions[:, None, None]
    laid: Points = middles + across[:, None, None] * find_normals(directions)[:, None, None]
    return laid
