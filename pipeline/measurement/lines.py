"""From the places of cracks to the lines along which cracks run.

The places are thinned to lines one pixel wide. Of each connected piece, the longest path is the crack's first
line; what branches off follows, longest first, and branches that are hardly longer than the crack is wide are left out.
Ends that point at each other over a small gap belong to one crack.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, dijkstra
from skimage.morphology import skeletonize

Line = NDArray[np.float64]
"""Points along a line, row before column. Shape: (N, 2)."""
Path = NDArray[np.int64]
"""Numbers of skeleton pixels along a path. Shape: (N,)."""

AROUND = np.ones((3, 3), bool)
"""Pixels that touch at a corner are neighbours."""
_AHEAD = ((0, 1), (1, -1), (1, 0), (1, 1))
"""Half of the neighbours: each pair of pixels is found once."""


@dataclass(frozen=True)
class LineRule:
    """What counts as a line; lengths in pixels of the map."""

    spur_px: float
    """Branches shorter than this are left out."""
    gap_px: float
    """The widest gap over which two ends are joined."""
    gap_angle_deg: float
    """The most by which the ends' directions may differ from that of the gap."""


def trace_lines(places: NDArray[np.bool_], rule: LineRule) -> list[list[Line]]:
    """Find the cracks of a map.

    Args:
        places: where cracks are, shape (H, W).
        rule: what counts as a line.

    Returns:
        For each crack its lines, the longest first, in pixels of the map: 0.5, 0.5 is the middle of the first one.
    """
    labels, _ = ndimage.label(places, AROUND)
    pieces = list[list[Line]]()
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        inside = np.pad(labels[box] == number, 1)  # the border of a map is no end of thinning
        corner = np.array([part.start for part in box]) - 1 + 0.5
        skeleton = skeletonize(inside, method="lee") > 0  # Zhang and Suen's method eats thin diagonals
        pieces.append([points + corner for points in _trace_piece(skeleton, rule.spur_px)])
    return _join_pieces(pieces, rule)


def measure_length(line: Line) -> float:
    """Return the length of a line, in its pixels."""
    return float(np.hypot(*np.diff(line, axis=0).T).sum())


def find_direction(line: Line, side: int, reach_px: float) -> NDArray[np.float64]:
    """Return the unit vector out of a line's end, from the points of the last `reach_px`.

    Args:
        line: in any coordinates.
        side: 0 for its first end, -1 for its last.
        reach_px: how much of it tells the direction.
    """
    points = line if side == -1 else line[::-1]
    away = np.hypot(*(points - points[-1]).T)
    start = points[np.flatnonzero(away >= min(reach_px, away[0]))[-1]]
    vector: NDArray[np.float64] = points[-1] - start
    return vector / max(float(np.hypot(*vector)), 1e-9)


def _trace_piece(skeleton: NDArray[np.bool_], spur_px: float) -> Iterator[Line]:
    """Yield the lines of one connected skeleton, the longest first; each later one begins on an earlier one."""
    pixels, graph = _connect(skeleton)
    path = _find_longest_path(graph)
    taken = np.zeros(len(pixels), bool)
    while len(path):
        taken[path] = True
        yield pixels[path].astype(float)
        path = _find_longest_branch(graph, np.flatnonzero(taken), spur_px)


def _connect(skeleton: NDArray[np.bool_]) -> tuple[NDArray[np.int64], csr_array]:
    """Return the pixels of a skeleton, shape (N, 2), and the distances of neighbours, both ways, shape (N, N)."""
    pixels = np.argwhere(skeleton)
    numbers = np.full(np.add(skeleton.shape, 2), -1)
    numbers[1:-1, 1:-1][skeleton] = np.arange(len(pixels))
    starts, ends, lengths = list[Path](), list[Path](), list[NDArray[np.float64]]()
    for down, right in _AHEAD:
        beside = numbers[pixels[:, 0] + 1 + down, pixels[:, 1] + 1 + right]
        found = np.flatnonzero(beside >= 0)
        starts.append(found)
        ends.append(beside[found])
        lengths.append(np.full(len(found), np.hypot(down, right)))
    first, second = np.concatenate(starts), np.concatenate(ends)
    places = np.concatenate([first, second]), np.concatenate([second, first])
    apart = np.tile(np.concatenate(lengths), 2)
    return pixels, coo_array((apart, places), (len(pixels), len(pixels))).tocsr()


def _find_longest_path(graph: csr_array) -> Path:
    """Return the path from the pixel that is farthest from any to the one that is farthest from that."""
    first = int(np.argmax(dijkstra(graph, indices=0)))
    lengths, before = dijkstra(graph, indices=first, return_predecessors=True)
    return _walk_back(before, int(np.argmax(lengths)))


def _find_longest_branch(graph: csr_array, taken: Path, least_px: float) -> Path:
    """Return the path from the lines so far to the pixel farthest from them; empty if it is too short."""
    lengths, before, _ = dijkstra(graph, indices=taken, return_predecessors=True, min_only=True)
    farthest = int(np.argmax(lengths))
    return _walk_back(before, farthest) if lengths[farthest] >= least_px else np.empty(0, np.int64)


def _walk_back(before: NDArray[np.integer], end: int) -> Path:
    path = [end]
    while before[path[-1]] >= 0:
        path.append(int(before[path[-1]]))
    return np.array(path[::-1])


def _join_pieces(pieces: Sequence[list[Line]], rule: LineRule) -> list[list[Line]]:
    """Join pieces whose ends point at each other over a gap: the line over it is a line of the crack."""
    ends = [
        (number, line[side], find_direction(line, side, rule.gap_px))
        for number, lines in enumerate(pieces)
        for line in lines
        if len(line) > 1
        for side in (0, -1)
    ]
    bridges = [
        (first, second, np.array([start, end]))
        for index, (first, start, outward) in enumerate(ends)
        for second, end, back in ends[index + 1 :]
        if first != second and _points_over(end - start, outward, back, rule)
    ]
    owners = np.array([[first, second] for first, second, _ in bridges]).reshape(-1, 2)
    linked = coo_array((np.ones(len(owners)), (owners[:, 0], owners[:, 1])), (len(pieces), len(pieces)))
    _, crack_of = connected_components(linked, directed=False)
    cracks: dict[int, list[Line]] = {}
    for number, lines in enumerate(pieces):
        cracks.setdefault(int(crack_of[number]), []).extend(lines)
    for first, _, bridge in bridges:
        cracks[int(crack_of[first])].append(bridge)
    return [sorted(lines, key=measure_length, reverse=True) for lines in cracks.values()]


def _points_over(
    gap: NDArray[np.float64], outward: NDArray[np.float64], back: NDArray[np.float64], rule: LineRule
) -> bool:
    length = float(np.hypot(*gap))
    least = np.cos(np.radians(rule.gap_angle_deg)) * length
    return 0 < length <= rule.gap_px and bool(outward @ gap >= least) and bool(-(back @ gap) >= least)
