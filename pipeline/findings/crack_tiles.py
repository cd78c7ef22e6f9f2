"""Which cracks run through which boxes of a photo: lines against boxes, geometry alone."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.core.wkt import Line
from pipeline.labels.boxes import Box


def length_inside_px(lines: Sequence[Line], box: Box) -> float:
    """Return how much of some lines is in a box, its edges included.

    Each segment is clipped as by Liang & Barsky 1984, A New Concept and Method for Line Clipping.

    Shape: each line is (N, 2), x and y.
    """
    low = np.array([box.left_px, box.top_px], np.float64)
    high = low + np.array([box.width_px, box.height_px])
    return float(sum(_clip(line, low, high).sum() for line in lines))


def runs_through(lines: Sequence[Line], box: Box) -> bool:
    """Tell whether any of some lines is in a box, be it a point."""
    low = np.array([box.left_px, box.top_px], np.float64)
    high = low + np.array([box.width_px, box.height_px])
    has_point = any(((low <= line) & (line < high)).all(axis=1).any() for line in lines)
    return has_point or length_inside_px(lines, box) > 0


def _clip(line: Line, low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the length of each segment of a line in a box. Shape: (N, 2), (2,) and (2,) → (N - 1,)."""
    start, step = line[:-1], np.diff(line, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        one, other = (low - start) / step, (high - start) / step
    # A segment along an axis never meets the edges beside it: it lies between them for ever, or nowhere.
    is_along, is_between = step == 0, (low <= start) & (start <= high)
    enter = np.where(is_along, np.where(is_between, -np.inf, np.inf), np.minimum(one, other)).max(axis=1, initial=0)
    leave = np.where(is_along, np.where(is_between, np.inf, -np.inf), np.maximum(one, other)).min(axis=1, initial=1)
    part: NDArray[np.float64] = np.clip(leave - enter, 0, 1)
    return part * np.hypot(step[:, 0], step[:, 1])
