"""The width of a crack, from the grey values across it.

A crack wider than the camera's blur has a dark floor and two edges: its width is that between them at half of the
depth. A thinner one is a notch of the blur's own width, and only its area tells: the darkness summed over the profile
is that of a crack as dark as any, of the width that is sought (docs/cracks.md).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Profile = NDArray[np.float64]
"""Grey values from 0 to 255 across a crack, one pixel apart, the crack near the middle. Shape: (K,)."""

DARK = 20.0
"""Grey value of a crack that no light enters; with 8 instead, the mean error on gauged cracks grows by a tenth
(docs/experiments.md)."""
TAIL = 0.2
"""Part of the greatest depth down to which a pixel belongs to the crack."""
THIN_PX, WIDE_PX = 2.5, 4.0
"""Width at half depth up to which the area alone counts, and from which on the edges count; between them both do.
The sharpest photos show a line as two pixels wide, however thin it is."""
BOX, BELL = 2.1, 2.6
"""Width at a quarter of the depth over that at three quarters: up to which the profile has edges, and from which on it
has none. A box of width 4 under a blur of 0.8 pixels has 1.7, a Gaussian of any width 2.2, a triangle 3."""
GUARD_PX = 3
"""The blur beside the crack, which is no background."""
BACKGROUND_PX = 8
"""Pixels on either side whose median is the background there."""
LEAST_PROFILE = 9
"""Values that a profile needs: a crack and a background on both sides."""
LEAST_CONTRAST = 8.0
"""Grey values between background and `DARK`; on darker concrete a crack cannot be told by its darkness."""
LEAST_DEPTH = 0.05
"""Of `DARK` below the background; a crack of a twentieth of a pixel is as deep."""
BLURRED_PX, BLURRED_BELL = 4.2, 2.0
"""A profile that is as wide at half depth, and as round, is a thin crack out of focus or a shallow groove; of gauged
cracks of 4 to 6 pixels, one in twenty is as round."""


class CrackProfile(NamedTuple):
    """What a profile tells of a crack."""

    width_px: float
    edges_px: float
    """Width at half of the depth."""
    roundness: float
    """Width at a quarter of the depth over that at three quarters."""
    offset_px: float
    """From the middle of the profile to that of the crack."""

    @property
    def is_blurred(self) -> bool:
        """Whether the width is that of a blur rather than of a crack."""
        return self.edges_px >= BLURRED_PX and self.roundness >= BLURRED_BELL


def profile_width_px(grey: NDArray[np.floating] | NDArray[np.uint8]) -> float | None:
    """Measure a crack's width.

    Args:
        grey: shape (K,), grey values from 0 to 255, one pixel apart, the crack near the middle.

    Returns:
        Pixels, to a fraction of one; None if the profile is too short, or nothing dark is near its middle.
    """
    found = measure_profile(grey)
    return None if found is None else found.width_px


def measure_profile(grey: NDArray[np.floating] | NDArray[np.uint8]) -> CrackProfile | None:
    """Measure a crack across; arguments as for `profile_width_px`."""
    profile = np.asarray(grey, np.float64)
    if profile.ndim != 1 or len(profile) < LEAST_PROFILE or not np.isfinite(profile).all():
        return None
    depth = compute_depth(profile)
    if depth is None:
        return None
    deepest = find_deepest(depth)
    if depth[deepest] < LEAST_DEPTH:
        return None
    left, right = _sides_at(depth, deepest, 1 / 2)
    wide, narrow = (float(np.subtract(*_sides_at(depth, deepest, part)[::-1])) for part in (1 / 4, 3 / 4))
    edges, roundness = right - left, wide / narrow
    share = np.clip((edges - THIN_PX) / (WIDE_PX - THIN_PX), 0, 1) * np.clip((BELL - roundness) / (BELL - BOX), 0, 1)
    width = float((1 - share) * _area_px(depth, deepest) + share * edges)
    return CrackProfile(width, edges, roundness, (left + right) / 2 - (len(depth) - 1) / 2)


def compute_depth(profile: Profile) -> Profile | None:
    """Return how far each value lies below the background, as a share of a crack that no light enters.

    The background is a straight line through the medians on either side of the crack.

    Shape: (K,); None if the background is as dark as a crack.
    """
    places = np.arange(len(profile))
    left, right = _find_sides(profile)
    before = slice(max(0, left - GUARD_PX - BACKGROUND_PX), max(0, left - GUARD_PX))
    after = slice(right + GUARD_PX + 1, right + GUARD_PX + 1 + BACKGROUND_PX)
    sides = [part for part in (before, after) if len(profile[part]) > 1]
    if not sides:
        return None
    centers = [float(places[part].mean()) for part in sides]
    background = np.interp(places, centers, [float(np.median(profile[part])) for part in sides])
    contrast = background - DARK
    return None if contrast.min() < LEAST_CONTRAST else (background - profile) / contrast


def find_deepest(depth: Profile) -> int:
    """Return the index of the deepest value in the middle half, over three values."""
    count = len(depth)
    padded = np.pad(depth, 1, mode="edge")
    smooth = padded[:-2] / 4 + padded[1:-1] / 2 + padded[2:] / 4
    start, stop = count // 4, count - count // 4
    return start + int(np.argmax(smooth[start:stop]))


def _find_sides(profile: Profile) -> tuple[int, int]:
    """Return the first and last index around the darkest value that are darker than half of its depth."""
    middle = find_deepest(-profile)
    bright = float(np.median(np.sort(profile)[len(profile) // 2 :]))
    return _walk(profile < (bright + profile[middle]) / 2, middle)


def _walk(inside: NDArray[np.bool_], start: int) -> tuple[int, int]:
    """Return the first and last index of the run of true values around `start`, which counts as true."""
    outside = np.flatnonzero(~inside)
    before, after = outside[outside < start], outside[outside > start]
    first = int(before[-1]) + 1 if len(before) else 0
    last = int(after[0]) - 1 if len(after) else len(inside) - 1
    return first, last


def _area_px(depth: Profile, deepest: int) -> float:
    first, last = _walk(depth > TAIL * depth[deepest], deepest)
    return float(np.clip(depth[first : last + 1], 0, 1).sum())


def _sides_at(depth: Profile, deepest: int, part: float) -> tuple[float, float]:
    """Return the two places at a part of the greatest depth, between pixels by straight lines."""
    level = depth[deepest] * part
    first, last = _walk(depth > level, deepest)
    left = first if first == 0 else first - _crossing(depth[first], depth[first - 1], level)
    right = last if last == len(depth) - 1 else last + _crossing(depth[last], depth[last + 1], level)
    return float(left), float(right)


def _crossing(inside: float, outside: float, level: float) -> float:
    return (inside - level) / (inside - outside)
