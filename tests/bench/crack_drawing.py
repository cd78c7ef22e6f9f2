"""Cracks of known length and width, drawn on photos, to measure by.

It shares no code with `pipeline.synthetic`, which networks learn from. A crack is a polyline with a width at each
corner; a pixel is covered by as much of it as its distance to the crack's edge says.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from pipeline.core.wkt import Line
from pipeline.images.decode import Pixels

Kind = Literal["straight", "wobble", "wandering"]
"""As if drawn with a ruler; with a hand that shakes by about a pixel; from grain to grain."""
KINDS: tuple[Kind, ...] = get_args(Kind)
WIDTHS_PX = ((2.0, 4.0), (4.0, 8.0), (8.0, 15.0))
"""The classes of median widths, each crack's to a tenth."""
LENGTHS_PX = (300.0, 1200.0)
MOST_CRACKS, LEAST_CRACKS = 4, 2
"""In a photo."""
APART_PX, MARGIN_PX = 200.0, 80.0
"""Least distance of two cracks, and of a crack from the edge of the photo."""
TAPER = 1 / 3
"""A tapering crack is wider by this share of its median width at one end, and narrower at the other."""
LIGHT, BLUR_PX = (0.1, 0.5), (0.5, 1.5)
"""How much of the concrete's light is left in a crack, and the standard deviation of its edges' blur."""

Shares = NDArray[np.float32]


@dataclass(frozen=True)
class DrawnCrack:
    """A crack, and the manner in which it is drawn."""

    kind: Kind
    points: Line
    """Corners x, y in pixels of the photo, the middle of whose first pixel is 0.5, 0.5. Shape: (N, 2)."""
    widths_px: NDArray[np.float64]
    """At each corner, 1 at least. Shape: (N,)."""
    light: float
    """Share of the concrete's light that is left in it."""
    is_flat: bool = False
    """Whether it has one colour; else each pixel is a share of what was there."""
    blur_px: float = 0.0

    @property
    def length_px(self) -> float:
        """The exact length."""
        return float(measure_steps(self.points).sum())

    @property
    def width_px(self) -> float:
        """The median width: tapers are straight."""
        return float(self.widths_px[[0, -1]].mean())


def measure_steps(points: Line) -> NDArray[np.float64]:
    """Return the distances from each point of a line to the next. Shape: (N, 2) → (N - 1,)."""
    steps: NDArray[np.float64] = np.hypot(*np.diff(points, axis=0).T)
    return steps


def draw_cracks(number: int, height_px: int, width_px: int, random: np.random.Generator) -> list[DrawnCrack]:
    """Draw the cracks of a photo, away from each other; kinds and widths in turn from photo to photo.

    Args:
        number: of the photo.
        height_px: of the photo.
        width_px: of the photo.
        random: random generator.
    """
    cracks = list[DrawnCrack]()
    for index in range(int(random.integers(LEAST_CRACKS, MOST_CRACKS + 1))):
        turn = number * MOST_CRACKS + index
        taken = np.concatenate([spread(crack.points) for crack in cracks]) if cracks else np.empty((0, 2))
        kind, width = KINDS[turn % len(KINDS)], WIDTHS_PX[turn // len(KINDS) % len(WIDTHS_PX)]
        line = _place(kind, taken, (width_px, height_px), random)
        cracks.append(_thicken(kind, line, round(float(random.uniform(*width)), 1), random))
    return cracks


def _place(kind: Kind, taken: Line, size_px: tuple[int, int], random: np.random.Generator) -> Line:
    """Draw lines until one lies in the photo, which is given as width and height, and away from what is taken."""
    while True:
        line = draw_line(kind, float(random.uniform(*LENGTHS_PX)), random)
        room = np.array(size_px) - 2 * MARGIN_PX - np.ptp(line, axis=0)
        if (room < 0).any():
            continue
        placed: Line = line - line.min(axis=0) + MARGIN_PX + random.uniform(0, room)
        if not len(taken) or cKDTree(taken).query(spread(placed))[0].min() >= APART_PX:
            return placed


def draw_line(kind: Kind, length_px: float, random: np.random.Generator) -> Line:
    """Draw a line from 0, 0 at any angle, about as long as is said. Shape: (N, 2)."""
    heading = float(random.uniform(0, 2 * np.pi))
    if kind == "straight":
        return length_px * np.array([[0.0, 0.0], [np.cos(heading), np.sin(heading)]])
    longest = 12 if kind == "wobble" else 25
    steps = random.uniform(longest / 3, longest, int(length_px / (longest * 2 / 3)))
    if kind == "wobble":
        along = np.concatenate([[0.0], np.cumsum(steps)])
        across = random.normal(0, float(random.uniform(0.5, 1.5)), len(along))
        turned = np.array([[np.cos(heading), np.sin(heading)], [-np.sin(heading), np.cos(heading)]])
        line: Line = np.stack([along, across], axis=1) @ turned
        return line
    bends = ndimage.gaussian_filter1d(random.normal(0, 1, len(steps)), 8) * np.sqrt(8 * 2 * np.sqrt(np.pi))
    headings = heading + 0.3 * bends + random.normal(0, 0.35, len(steps))
    turns = np.stack([np.cos(headings), np.sin(headings)], axis=1)
    return np.concatenate([np.zeros((1, 2)), np.cumsum(steps[:, None] * turns, axis=0)])


def _thicken(kind: Kind, line: Line, width_px: float, random: np.random.Generator) -> DrawnCrack:
    """Give a line its width, in every second crack from one end to the other ever less, and its darkness."""
    along = np.concatenate([[0.0], np.cumsum(measure_steps(line))]) / measure_steps(line).sum()
    taper = TAPER * float(random.choice((-1, 0, 0, 1)))
    return DrawnCrack(
        kind=kind,
        points=line,
        widths_px=width_px * (1 + taper * (1 - 2 * along)),
        light=float(random.uniform(*LIGHT)),
        is_flat=bool(random.integers(2)),
        blur_px=float(random.uniform(*BLUR_PX)),
    )


def spread(line: Line, step_px: float = 2.0) -> Line:
    """Return points along a line, evenly apart by at most a step, its ends among them. Shape: (N, 2) → (M, 2)."""
    along = np.concatenate([[0.0], np.cumsum(measure_steps(line))])
    at = np.linspace(0, along[-1], int(np.ceil(along[-1] / step_px)) + 1)
    points: Line = np.stack([np.interp(at, along, values) for values in line.T], axis=1)
    return points


def paint(pixels: Pixels, cracks: Sequence[DrawnCrack]) -> Pixels:
    """Return a photo with cracks. Shape: (H, W, 3) → (H, W, 3)."""
    painted = pixels.copy()
    for crack in cracks:
        box, share = find_cover(crack, *pixels.shape[:2])
        concrete = painted[box].astype(np.float32)
        dark = crack.light * (np.median(concrete, axis=(0, 1)) if crack.is_flat else concrete)
        painted[box] = np.rint(concrete + share[..., None] * (dark - concrete)).astype(np.uint8)
    return painted


def find_cover(crack: DrawnCrack, height_px: int, width_px: int) -> tuple[tuple[slice, slice], Shares]:
    """Return rows and columns of a photo, and how much of each pixel there the crack covers, from 0 to 1."""
    margin = float(crack.widths_px.max()) / 2 + 4 * crack.blur_px + 2
    box, corner = _find_box(crack.points, margin, (height_px, width_px))
    beyond = np.full([side.stop - side.start for side in box], np.inf, np.float32)
    last = len(crack.points) - 2
    for index in range(last + 1):
        piece = slice(index, index + 2)
        points, half_widths = crack.points[piece] - corner, crack.widths_px[piece] / 2
        _approach(beyond, points, half_widths, is_end=(index == 0, index == last))
    cover = np.clip(0.5 - beyond, 0, 1)
    return box, ndimage.gaussian_filter(cover, crack.blur_px) if crack.blur_px else cover


def _find_box(points: Line, margin_px: float, shape: tuple[int, ...]) -> tuple[tuple[slice, slice], Line]:
    """Return the rows and columns around points, and x, y of their corner."""
    limits = np.array(shape[1::-1])
    start = np.clip(np.floor(points.min(axis=0) - margin_px), 0, limits).astype(int)
    stop = np.clip(np.ceil(points.max(axis=0) + margin_px), start, limits).astype(int)
    return (slice(start[1], stop[1]), slice(start[0], stop[0])), start.astype(float)


def _approach(beyond: Shares, points: Line, half_widths: NDArray[np.float64], is_end: tuple[bool, bool]) -> None:
    """Lower distances to the edge of a crack, < 0 inside, to those to one straight piece of it, in place.

    Corners are round, the ends of the crack flat.
    """
    box, _ = _find_box(points, float(half_widths.max()) + 2, beyond.shape)
    x, y = (np.arange(side.start, side.stop) + 0.5 - start for side, start in zip(box[::-1], points[0], strict=True))
    length = float(measure_steps(points)[0])
    right, down = (points[1] - points[0]) / length
    along = x[None] * right + y[:, None] * down
    across = x[None] * down - y[:, None] * right
    past = np.stack([-along, along - length])
    is_round = ~np.array(is_end)[:, None, None]
    away = np.hypot(across, np.maximum(past * is_round, 0).max(axis=0)) - np.interp(along, [0, length], half_widths)
    away = np.maximum(away, np.where(is_round, -np.inf, past).max(axis=0))
    beyond[box] = np.minimum(beyond[box], away)
