"""The width of a crack, from the grey values across it.

A crack wider than the camera's blur has a dark floor and two edges: its width is that between them at half of the
depth. A thinner one is a notch of the blur's own width, and only its area tells: the darkness summed over the profile
is that of a crack as dark as any, of the width that is sought (docs/cracks.md).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Profiles = NDArray[np.float64]
"""Grey values from 0 to 255 across a crack, one pixel apart, the crack near the middle. Shape: (N, K)."""
Values = NDArray[np.float64]
"""One of each profile. Shape: (N,)."""
Indices = NDArray[np.int64]

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
BLURRED_PX, BLURRED_BELL = 5.5, 2.15
"""A profile that is as wide at half depth, and as round, is a thin crack out of focus or a shallow groove: a Gaussian
has 2.2. Of the gauged cracks wider than 4 pixels, one in a hundred is as round."""


class CrackProfiles(NamedTuple):
    """What profiles tell of a crack; NaN where nothing dark is near the middle. Shape: (N,) each."""

    width_px: Values
    edges_px: Values
    """Width at half of the depth."""
    roundness: Values
    """Width at a quarter of the depth over that at three quarters."""
    offset_px: Values
    """From the middle of the profile to that of the crack."""

    @property
    def is_blurred(self) -> NDArray[np.bool_]:
        """Whether the width is that of a blur rather than of a crack."""
        return np.logical_and(self.edges_px >= BLURRED_PX, self.roundness >= BLURRED_BELL)


def profile_width_px(grey: NDArray[np.floating] | NDArray[np.uint8]) -> float | None:
    """Measure a crack's width.

    Args:
        grey: shape (K,), grey values from 0 to 255, one pixel apart, the crack near the middle.

    Returns:
        Pixels, to a fraction of one; None if the profile is too short, or nothing dark is near its middle.
    """
    if np.ndim(grey) != 1 or len(grey) < LEAST_PROFILE:
        return None
    width = float(measure_profiles(np.asarray(grey, np.float64)[None]).width_px[0])
    return None if np.isnan(width) else width


def measure_profiles(profiles: Profiles) -> CrackProfiles:
    """Measure a crack across, at several places.

    Args:
        profiles: of at least `LEAST_PROFILE` values, shape (N, K).
    """
    depths = compute_depths(profiles)
    deepest = find_deepest(depths)
    greatest = depths[np.arange(len(depths)), deepest]
    depths[~(greatest >= LEAST_DEPTH)] = np.nan
    left, right = _find_sides_at(depths, deepest, 1 / 2)
    wide, narrow = (np.subtract(*_find_sides_at(depths, deepest, part)[::-1]) for part in (1 / 4, 3 / 4))
    edges, roundness = right - left, wide / narrow
    share = np.clip((edges - THIN_PX) / (WIDE_PX - THIN_PX), 0, 1) * np.clip((BELL - roundness) / (BELL - BOX), 0, 1)
    width = (1 - share) * _sum_depths(depths, deepest) + share * edges
    return CrackProfiles(width, edges, roundness, (left + right) / 2 - (depths.shape[1] - 1) / 2)


def compute_depths(profiles: Profiles) -> Profiles:
    """Return how far each value lies below the background, as a share of a crack that no light enters.

    The background is a straight line through the medians on either side of the crack.

    Shape: (N, K) → (N, K); NaN where the background is as dark as a crack.
    """
    count = profiles.shape[1]
    middle = find_deepest(-profiles)
    bright = np.median(np.sort(profiles, axis=1)[:, count // 2 :], axis=1)
    dark = np.take_along_axis(profiles, middle[:, None], axis=1)[:, 0]
    first, last = _find_run(profiles < ((bright + dark) / 2)[:, None], middle)
    window = np.arange(BACKGROUND_PX)
    before, at_before = _find_background(profiles, first[:, None] - GUARD_PX - BACKGROUND_PX + window)
    after, at_after = _find_background(profiles, last[:, None] + GUARD_PX + 1 + window)
    before, after = np.where(np.isnan(before), after, before), np.where(np.isnan(after), before, after)
    share = np.clip((np.arange(count) - at_before[:, None]) / np.maximum(at_after - at_before, 1)[:, None], 0, 1)
    background = before[:, None] + share * (after - before)[:, None]
    contrast = background - DARK
    contrast[~(contrast.min(axis=1) >= LEAST_CONTRAST)] = np.nan
    depths: Profiles = (background - profiles) / contrast
    return depths


def find_deepest(depths: Profiles) -> Indices:
    """Return the index of the deepest value in the middle half of each profile, over three values. Shape: (N,)."""
    count = depths.shape[1]
    padded = np.pad(depths, ((0, 0), (1, 1)), mode="edge")
    smooth = padded[:, :-2] / 4 + padded[:, 1:-1] / 2 + padded[:, 2:] / 4
    start, stop = count // 4, count - count // 4
    found: Indices = start + np.argmax(smooth[:, start:stop], axis=1)
    return found


def median_without_nan(values: Profiles) -> Values:
    """Return the median of each row's numbers; NaN where there are none. Shape: (N, K) → (N,)."""
    ordered = np.sort(values, axis=1)  # NaN come last
    counts = (~np.isnan(values)).sum(axis=1)
    rows = np.arange(len(values))
    found: Values = (ordered[rows, np.maximum(counts - 1, 0) // 2] + ordered[rows, counts // 2]) / 2
    return found


def _find_background(profiles: Profiles, places: Indices) -> tuple[Values, Values]:
    """Return the median at places of each profile, and their middle; NaN with fewer than two inside.

    Shape: (N, K), (N, B) → (N,) and (N,).
    """
    is_inside = (places >= 0) & (places < profiles.shape[1])
    is_inside &= is_inside.sum(axis=1, keepdims=True) > 1
    values = np.take_along_axis(profiles, np.clip(places, 0, profiles.shape[1] - 1), axis=1)
    middle = (places * is_inside).sum(axis=1) / np.maximum(is_inside.sum(axis=1), 1)
    return median_without_nan(np.where(is_inside, values, np.nan)), middle


def _find_run(inside: NDArray[np.bool_], start: Indices) -> tuple[Indices, Indices]:
    """Return the first and last index of the run of true values around `start`, which counts as true. Shape: (N,)."""
    places = np.arange(inside.shape[1])
    before = np.where(~inside & (places < start[:, None]), places, -1).max(axis=1)
    after = np.where(~inside & (places > start[:, None]), places, len(places)).min(axis=1)
    return before + 1, after - 1


def _sum_depths(depths: Profiles, deepest: Indices) -> Values:
    """Return the area under the background, in pixels of a crack that no light enters. Shape: (N,)."""
    greatest = np.take_along_axis(depths, deepest[:, None], axis=1)
    first, last = _find_run(depths > TAIL * greatest, deepest)
    places = np.arange(depths.shape[1])
    is_crack = (places >= first[:, None]) & (places <= last[:, None])
    areas: Values = (np.clip(depths, 0, 1) * is_crack).sum(axis=1)
    return areas


def _find_sides_at(depths: Profiles, deepest: Indices, part: float) -> tuple[Values, Values]:
    """Return the two places at a part of the greatest depth, between pixels by straight lines. Shape: (N,) each."""
    level = part * np.take_along_axis(depths, deepest[:, None], axis=1)[:, 0]
    first, last = _find_run(depths > level[:, None], deepest)
    return first - _cross(depths, first, -1, level), last + _cross(depths, last, 1, level)


def _cross(depths: Profiles, inside: Indices, step: int, level: Values) -> Values:
    """Return how far from an index the level is crossed, towards the next one; 0 at the end of the profile."""
    outside = np.clip(inside + step, 0, depths.shape[1] - 1)
    rows = np.arange(len(depths))
    above, below = depths[rows, inside], depths[rows, outside]
    fall = above - below
    return np.where(outside == inside, 0.0, (above - level) / np.where(outside == inside, 1.0, fall))
