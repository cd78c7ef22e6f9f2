"""Lines of cracks for a page: the parts of them that lie in a box, with as few points as can be seen. Geometry only."""

import numpy as np
from numpy.typing import NDArray

from pipeline.core.wkt import Line
from pipeline.labels.boxes import Box


def clip(line: Line, box: Box) -> list[Line]:
    """Return the parts of a line in a box, in its order. Shape: (N, 2) → some of (M, 2)."""
    parts: list[list[NDArray[np.float64]]] = []
    enters, leaves = _meet(line, box)
    last = -1
    for number in np.flatnonzero(enters < leaves).tolist():
        start, step = line[number], line[number + 1] - line[number]
        if not parts or last != number - 1 or enters[number] > 0:
            parts.append([start + enters[number] * step])
        parts[-1].append(start + leaves[number] * step)
        last = number if leaves[number] == 1 else -1
    return [np.stack(points) for points in parts]


def thin(line: Line, least_px: float) -> Line:
    """Drop the points of a line that come less than this after one that is kept, along it; keep both ends."""
    come_px = np.hypot(*np.diff(line, axis=0).T).cumsum()
    is_kept = np.concatenate([[True], np.diff(come_px // least_px, prepend=0) > 0])
    is_kept[-1] = True
    kept: Line = line[is_kept]
    return kept


def _meet(line: Line, box: Box) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return at which share of each segment it enters the box and leaves it; it has no part in it if it leaves first.

    Liang and Barsky, A new concept and method for line clipping, 1984. Shapes: (N, 2) → (N - 1), (N - 1).
    """
    low = np.array([box.left_px, box.top_px], np.float64)
    high = low + np.array([box.width_px, box.height_px])
    start, step = line[:-1], np.diff(line, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        first, second = (low - start) / step, (high - start) / step
    near, far = np.minimum(first, second), np.maximum(first, second)
    along = step == 0  # parallel to an edge: within the box all the way, or never
    inside = (low <= start) & (start < high)
    near = np.where(along, np.where(inside, -np.inf, np.inf), near)
    far = np.where(along, np.where(inside, np.inf, -np.inf), far)
    return near.max(axis=1).clip(0), far.min(axis=1).clip(max=1)
