"""Cracks: lines that wander and branch, drawn as depth over a surface."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.synthetic.noise import Field, Mask, wander

STEP_PX = 0.6
"""Distance between two points of a path: below one pixel, so that the thinnest crack has no gaps."""

MAX_WIDTH_SHARE = 0.25
"""No crack is wider than this share of the shorter side, whatever the settings say."""

CRACKED_FROM = 0.4
"""Share of a pixel that makes it a crack pixel: under half, or a hairline between two rows would be in neither."""

MIN_CONTRAST = 0.2
"""No crack has less contrast than this, or nobody could see it in the photo."""

RIM_DEPTH = 0.8
"""Darkness at the edge of a crack, as a share of its core's: light still falls on the upper walls."""

LINE_POINTS = 5
"""Every so many points of a path, 3 pixels apart, make its line: no chord is a quarter of a pixel off."""

Line = NDArray[np.float64]
"""Points x, y in pixels of the photo; 0.5, 0.5 is the middle of its first pixel. Shape: (N, 2)."""


@dataclass(frozen=True)
class Path:
    """One crack without its branches, point by point.

    Shapes:
        x_px, y_px, width_px: (N,) float32
    """

    x_px: Field
    y_px: Field
    width_px: Field
    contrast: float
    """Darkness of its core: 0 is invisible, 1 is black."""


class DrawnLine(NamedTuple):
    """What of a path lies in the photo."""

    pieces: tuple[Line, ...]
    """More than one where the path leaves the photo and comes back."""
    width_px: float
    """The median along it."""

    @property
    def length_px(self) -> float:
        """The length of all pieces."""
        return float(sum(np.hypot(*np.diff(piece, axis=0).T).sum() for piece in self.pieces))


class Cracks(NamedTuple):
    """Drawn cracks.

    Shapes:
        depth: (H, W) float32, 0 on the surface to 1 in the darkest core
        mask: (H, W) bool, true where about half of a pixel or more is crack
    """

    depth: Field
    mask: Mask
    widest_px: float
    paths: tuple[Path, ...]
    """The two arms of each crack, and each branch, whole; `trace` cuts them."""


class Manner(NamedTuple):
    """What all cracks of a picture have in common."""

    thinnest_px: float
    widest_px: float
    roughness: float
    longest: float


class Trend(NamedTuple):
    """Start, direction, length and width of a path."""

    x_px: float
    y_px: float
    heading: float
    """Radians."""
    length_px: float
    width_px: float


def draw(
    relief: Field,
    rng: np.random.Generator,
    widths_px: tuple[float, float],
    roughness: float = 1.0,
    longest: float = 1.3,
) -> Cracks:
    """Draw one to three cracks with their branches, or now and then a net of thin ones.

    Args:
        relief: (H, W) of the surface; the edges of a crack follow its grain.
        rng: random generator.
        widths_px: width of the thinnest and of the widest crack.
        roughness: how far they wander, kink and fray, and change their width: 0 straight lines of even width without
            branches, 1 cracks through coarse concrete.
        longest: length of the longest, as a share of the diagonal; a picture cut from a larger one needs 2 and more,
            so that some run through it.
    """
    height_px, width_px = relief.shape
    depth, cover, relief = np.zeros_like(relief), np.zeros_like(relief), relief * np.float32(roughness)
    widest_px, paths = 0.0, _make_paths(height_px, width_px, rng, Manner(*widths_px, roughness, longest))
    for path in paths:
        inside = _find_inside(path, height_px, width_px)
        if inside.any():
            widest_px = max(widest_px, float(path.width_px[inside].max()))
            carve(path, relief, cover, depth)
    return Cracks(depth, cover >= CRACKED_FROM, widest_px, tuple(paths))


def trace(paths: Iterable[Path], height_px: int, width_px: int) -> tuple[DrawnLine, ...]:
    """Return the lines of paths in a photo of this size; those outside it have none."""
    lines = list[DrawnLine]()
    for path in paths:
        inside = _find_inside(path, height_px, width_px)
        points = np.column_stack((path.x_px, path.y_px)).astype(np.float64)
        runs = np.split(np.arange(len(inside)), np.flatnonzero(np.diff(inside)) + 1)
        pieces = [points[[*run[:-1:LINE_POINTS], run[-1]]] for run in runs if inside[run[0]] and len(run) > 1]
        if pieces:
            lines.append(DrawnLine(tuple(pieces), float(np.median(path.width_px[inside]))))
    return tuple(lines)


def _find_inside(path: Path, height_px: int, width_px: int) -> Mask:
    """Tell for each point of a path whether it is in the photo. Shape: (N,)."""
    return (path.x_px >= 0) & (path.x_px < width_px) & (path.y_px >= 0) & (path.y_px < height_px)


def _make_paths(height_px: int, width_px: int, rng: np.random.Generator, manner: Manner) -> list[Path]:
    cap_px = MAX_WIDTH_SHARE * min(height_px, width_px)
    low_px, high_px = min(manner.thinnest_px, cap_px), min(manner.widest_px, cap_px)
    is_net = rng.random() < 0.15
    if is_net:
        high_px = max(low_px, min(high_px, 4.0))
    paths = []
    for _ in range(int(rng.integers(4, 8)) if is_net else int(rng.integers(1, 4))):
        width = low_px * (high_px / low_px) ** float(rng.random() ** 1.8)
        trend = Trend(
            x_px=float(rng.uniform(0.2, 0.8)) * width_px,
            y_px=float(rng.uniform(0.2, 0.8)) * height_px,
            heading=float(rng.uniform(0, 2 * np.pi)),
            length_px=float(rng.uniform(0.4, manner.longest)) * float(np.hypot(height_px, width_px)),
            width_px=width,
        )
        contrast = float(rng.uniform(MIN_CONTRAST, 0.5) + 0.45 * min(1.0, width / 8))
        limits = manner._replace(thinnest_px=low_px, widest_px=high_px)
        generations = 1 if manner.roughness == 0 else 3 if is_net else 2
        paths += _grow(trend, contrast, rng, limits, generations)
    return paths


def _grow(trend: Trend, contrast: float, rng: np.random.Generator, manner: Manner, generations: int) -> list[Path]:
    """Return a crack through the trend's point, and the branches that leave it."""
    ahead, behind = trend, trend._replace(heading=trend.heading + np.pi)
    arms = [_walk(arm._replace(length_px=trend.length_px / 2), contrast, rng, manner) for arm in (ahead, behind)]
    return [path for arm in arms for path in (arm, *_branch(arm, rng, manner, generations - 1))]


def _branch(path: Path, rng: np.random.Generator, manner: Manner, generations: int) -> list[Path]:
    if generations == 0 or len(path.x_px) < 40:
        return []
    branches: list[Path] = []
    for _ in range(int(rng.poisson(1.0))):
        at = int(rng.integers(len(path.x_px) // 10, len(path.x_px) - 20))
        along = float(np.arctan2(path.y_px[at + 10] - path.y_px[at], path.x_px[at + 10] - path.x_px[at]))
        trend = Trend(
            x_px=float(path.x_px[at]),
            y_px=float(path.y_px[at]),
            heading=along + float(rng.choice((-1, 1)) * rng.uniform(0.4, 1.4)),
            length_px=float(rng.uniform(0.15, 0.6)) * len(path.x_px) * STEP_PX,
            width_px=max(manner.thinnest_px, float(path.width_px[at] * rng.uniform(0.3, 0.75))),
        )
        contrast = max(MIN_CONTRAST, path.contrast * float(rng.uniform(0.75, 1.0)))
        branch = _walk(trend, contrast, rng, manner)
        branches += [branch, *_branch(branch, rng, manner, generations - 1)]
    return branches


def _walk(trend: Trend, contrast: float, rng: np.random.Generator, manner: Manner) -> Path:
    """Return a path that keeps to its heading in the long run, bends slowly, and kinks from grain to grain."""
    count = max(30, int(trend.length_px / STEP_PX))
    grain = float(rng.uniform(8, 25)) / STEP_PX
    kinks = rng.standard_normal(int(count / grain) + 2).repeat(int(grain) + 1)[:count]
    bend = 0.35 * wander(count, rng, (600, 150)) + 0.3 * wander(count, rng, (grain * 2, 4))
    heading = trend.heading + manner.roughness * (bend + 0.35 * kinks)
    remaining = np.linspace(1, 0, count, dtype=np.float32)
    taper = np.minimum(1, 3 * remaining) ** 0.7
    width = trend.width_px * (np.exp(0.35 * wander(count, rng, (300, 10))) * taper) ** manner.roughness
    return Path(
        x_px=(trend.x_px + STEP_PX * np.cos(heading).cumsum()).astype(np.float32),
        y_px=(trend.y_px + STEP_PX * np.sin(heading).cumsum()).astype(np.float32),
        width_px=width.clip(manner.thinnest_px, manner.widest_px).astype(np.float32),
        contrast=contrast,
    )


def carve(path: Path, relief: Field, cover: Field, depth: Field) -> None:
    """Draw a path into `cover` and `depth`, in place: a disc at every point, all discs of one size at once."""
    progress = (STEP_PX / np.maximum(STEP_PX, 0.25 * path.width_px)).cumsum().astype(np.int64)
    kept = np.flatnonzero(np.diff(progress, prepend=-1))
    reaches = np.ceil(path.width_px[kept] * 0.75 + 1.5).astype(np.int64)
    for reach in np.unique(reaches):
        chosen = kept[reaches == reach]
        per_batch = max(1, 2_000_000 // int(2 * reach + 1) ** 2)
        for start in range(0, len(chosen), per_batch):
            _stamp_discs(path, chosen[start : start + per_batch], int(reach), relief, (cover, depth))


def _stamp_discs(path: Path, points: NDArray[np.int64], reach: int, relief: Field, layers: tuple[Field, Field]) -> None:
    height_px, width_px = relief.shape
    x, y, width = (values[points, None, None] for values in (path.x_px, path.y_px, path.width_px))
    offsets = np.arange(-reach, reach + 1)
    rows = np.floor(y).astype(np.int64) + offsets[:, None]
    cols = np.floor(x).astype(np.int64) + offsets
    inside = (rows >= 0) & (rows < height_px) & (cols >= 0) & (cols < width_px)
    flat = (rows.clip(0, height_px - 1) * width_px + cols.clip(0, width_px - 1)).ravel()
    # The grain of the concrete frays the edge; a hairline frays less, or it would break up.
    fray = np.minimum(0.12 * width, 1.5) * relief.ravel()[flat].reshape(rows.shape[0], rows.shape[1], -1)
    distance = np.hypot(rows + np.float32(0.5) - y, cols + np.float32(0.5) - x) + fray.clip(-width / 3, width / 3)
    covered = (width / 2 + np.float32(0.5) - distance).clip(0, 1) * inside
    core = np.float32(RIM_DEPTH) + np.float32(1 - RIM_DEPTH) * (1 - 2 * distance / width).clip(0, 1)
    cover, depth = layers
    np.maximum.at(cover.ravel(), flat, covered.astype(np.float32).ravel())
    np.maximum.at(depth.ravel(), flat, (covered * core * path.contrast).astype(np.float32).ravel())
