"""Clutter over pictures of concrete: what else a photo of a bridge shows, and what a detector takes for cracks.

Every kind is drawn over a real picture, so that the concrete around it stays real. A kind tells where it hides the
concrete; a crack below is hidden, too.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from pipeline.synthetic import cracks
from pipeline.synthetic.noise import Field, Mask, Pixels, fractal

HIDDEN_FROM = 0.3
"""Share of a pixel that must be covered to hide a crack there."""

_FINER = 2
"""Strokes are drawn this many times larger and then reduced, so that their edges are smooth."""

Numbers = NDArray[np.floating]
"""Of any precision."""


class Clutter(NamedTuple):
    """A picture with clutter."""

    pixels: Pixels
    hidden: Mask
    """Where the concrete cannot be seen any more."""


class _Canvas:
    """A picture in floats, and how far each pixel of it is hidden."""

    def __init__(self, pixels: Pixels, rng: np.random.Generator, other: Callable[[], Pixels]) -> None:
        self.pixels: Field = pixels.astype(np.float32)
        self.hidden = np.zeros(pixels.shape[:2], np.bool_)
        self.rng = rng
        self.other = other
        """Gives a picture of the same size, of another surface."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        height_px, width_px = self.pixels.shape[:2]
        return height_px, width_px

    @property
    def side(self) -> int:
        """Length of the shorter side."""
        return min(self.shape)

    def cover(self, share: Numbers, colour: Numbers) -> None:
        """Lay a colour or a picture over the canvas; `share` says how far, from 0 to 1, pixel by pixel."""
        self.pixels = (self.pixels * (1 - share[..., None]) + colour * share[..., None]).astype(np.float32)
        self.hidden |= share > HIDDEN_FROM

    def shade(self, depth: Numbers) -> None:
        """Darken by a share of each pixel's brightness; negative values brighten."""
        self.pixels = np.clip(self.pixels * (1 - depth[..., None]), 0, 255).astype(np.float32)

    def grid(self) -> tuple[Field, Field]:
        """Return the row and the column of every pixel."""
        rows, cols = np.mgrid[: self.shape[0], : self.shape[1]].astype(np.float32)
        return rows, cols

    def uniform(self, low: float, high: float) -> float:
        """Draw a number."""
        return float(self.rng.uniform(low, high))

    def log_uniform(self, low: float, high: float) -> float:
        """Draw a number, uniform on a logarithmic scale."""
        return float(np.exp(self.rng.uniform(np.log(low), np.log(high))))

    def blobs(self, low_px: float, high_px: float, roughness: float = 0.8, stretch: float = 1.0) -> Field:
        """Draw noise whose coarsest blobs have a size in this range."""
        return fractal(self.shape, self.rng, (self.uniform(low_px, high_px), 1.0), roughness, stretch)


def paint_clutter(pixels: Pixels, rng: np.random.Generator, most_kinds: int, other: Callable[[], Pixels]) -> Clutter:
    """Paint one to `most_kinds` kinds of clutter over a picture.

    Args:
        pixels: (H, W, 3).
        rng: random generator.
        most_kinds: the most kinds at once.
        other: gives pictures of the same size, of other surfaces, to show beside this one.
    """
    canvas = _Canvas(pixels, rng, other)
    kinds, weights = list(_KINDS), np.array(list(_KINDS.values()))
    for number in rng.choice(len(kinds), int(rng.integers(1, most_kinds + 1)), p=weights / weights.sum()):
        kinds[number](canvas)
    return Clutter(np.clip(canvas.pixels, 0, 255).astype(np.uint8), canvas.hidden)


_TONES: dict[str, tuple[tuple[float, float], ...]] = {
    "dark": ((5, 90),), "light": ((150, 250),), "any": ((0, 255), (0, 255), (0, 255)),
    "green": ((40, 150), (70, 190), (10, 90)), "rust": ((90, 180), (50, 110), (20, 70)),
    "sky": ((120, 210), (150, 230), (190, 255)),
}  # fmt: skip
"""Ranges of red, green and blue, or of all three at once."""


def _draw_colour(canvas: _Canvas, *tones: str) -> Numbers:
    """Draw red, green and blue, from 0 to 255, shape (3,)."""
    ranges = _TONES[tones[int(canvas.rng.integers(len(tones)))]]
    values = [canvas.uniform(*bounds) for bounds in ranges]
    tint = canvas.rng.normal(0, 8, 3) if len(values) == 1 else np.zeros(3)
    return np.clip(np.array(values) + tint, 0, 255).astype(np.float32)


def _draw_surface(canvas: _Canvas) -> Field:
    """Draw what lies beside the concrete: another surface, sky, water, metal, shade."""
    if canvas.rng.random() < 0.5:
        return canvas.other().astype(np.float32)
    rows, cols = canvas.grid()
    slope = (rows if canvas.rng.random() < 0.5 else cols) / canvas.side - 0.5
    surface = _draw_colour(canvas, *_TONES) + (slope * canvas.uniform(0, 80))[..., None]
    kind = int(canvas.rng.integers(4))
    if kind == 1:
        surface += (canvas.blobs(5, 60) * canvas.uniform(3, 30))[..., None]
    elif kind == 2:  # ripples of water, brushed metal
        surface += (canvas.blobs(5, 30, stretch=canvas.uniform(2, 8)) * canvas.uniform(5, 35))[..., None]
    elif kind == 3:
        surface += canvas.rng.normal(0, canvas.uniform(1, 20), (*canvas.shape, 1))
    clipped: Field = np.clip(surface, 0, 255).astype(np.float32)
    return clipped


def _draw_edge(canvas: _Canvas) -> None:
    """Draw the edge of the concrete, mostly level or upright: a gap, a lip or a shadow lies along it."""
    quarter = int(canvas.rng.integers(4)) * np.pi / 2
    turn = quarter + canvas.rng.normal(0, 0.15) if canvas.rng.random() < 0.7 else canvas.uniform(0, 2 * np.pi)
    rows, cols = canvas.grid()
    middle = (canvas.shape[0] / 2, canvas.shape[1] / 2)
    beyond = (cols - middle[1]) * np.cos(turn) + (rows - middle[0]) * np.sin(turn)
    beyond -= canvas.uniform(0.05, 0.42) * canvas.side
    if canvas.rng.random() < 0.4:
        beyond += canvas.blobs(10, 60) * canvas.uniform(0.5, 6)
    canvas.cover(np.clip(beyond / canvas.uniform(0.5, 3) + 0.5, 0, 1), _draw_surface(canvas))
    if canvas.rng.random() < 0.6:
        away = (beyond - canvas.uniform(-4, 1)) / canvas.uniform(0.7, 6)
        canvas.shade(np.exp(-(away**2)) * canvas.uniform(-0.35, 0.85))
    if canvas.rng.random() < 0.3:
        near = np.clip(1 + beyond / canvas.uniform(10, 60), 0, 1) * (beyond < 0)
        canvas.shade(near * canvas.uniform(0.1, 0.6))


def _draw_strokes(canvas: _Canvas, lines: list[tuple[Numbers, int]]) -> Numbers:
    """Draw lines of points (N, 2), as x and y, with their widths in pixels; return how far each pixel is covered."""
    height_px, width_px = canvas.shape
    drawn = Image.new("L", (width_px * _FINER, height_px * _FINER))
    pen = ImageDraw.Draw(drawn)
    for points, width in lines:
        pen.line([(x, y) for x, y in (points * _FINER).tolist()], fill=255, width=width, joint="curve")
    return _reduce(drawn, canvas.shape)


def _reduce(drawn: Image.Image, shape: tuple[int, int]) -> Numbers:
    small = drawn.resize((shape[1], shape[0]), Image.Resampling.BOX)
    return np.asarray(small, np.float32) / 255


def _draw_cables(canvas: _Canvas) -> None:
    """Draw cables, pipes and rails across the picture, lit from one side and with a glint, some with a shadow.

    Thin ones, which show no glint, are brighter than the concrete, or nobody could tell them from a straight crack.
    """
    for _ in range(int(canvas.rng.integers(1, 4))):
        width_px = canvas.log_uniform(1.5, 28)
        curve = _draw_curve(canvas)
        share = _draw_strokes(canvas, [(curve, max(1, round(width_px * _FINER)))])
        colour = _draw_colour(canvas, *_TONES)
        if width_px > 4:
            soft = Image.fromarray((share * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(width_px / 3))
            light = _shift(np.asarray(soft, np.float32) / 255, canvas, 3)
            glint = _draw_strokes(canvas, [(curve, max(1, round(width_px / 4 * _FINER)))])
            glint = _shift(glint, canvas, round(width_px / 4)) * canvas.uniform(60, 180)
            colour = colour * (0.6 + 0.6 * light[..., None]) + glint[..., None]
            if canvas.rng.random() < 0.4:
                canvas.shade(_shift(share, canvas, 20) * canvas.uniform(0.2, 0.6))
        else:
            colour = np.maximum(colour, canvas.pixels.mean(axis=(0, 1)) * canvas.uniform(1.1, 1.5))
        canvas.cover(share * canvas.uniform(0.7, 1), np.clip(colour, 0, 255))


def _draw_curve(canvas: _Canvas) -> Numbers:
    """Draw a straight line or a gentle curve through the picture, shape (N, 2)."""
    turn, start = canvas.uniform(0, 2 * np.pi), canvas.rng.uniform(0.1, 0.9, 2) * canvas.side
    along = np.linspace(-1.2, 1.2, 60) * canvas.side
    bend = canvas.uniform(0, 0.15) * canvas.side if canvas.rng.random() < 0.7 else 0.0
    away = bend * np.sin(np.linspace(0, canvas.uniform(0.5, 3) * np.pi, 60) + canvas.uniform(0, 6))
    across = np.cos(turn) * along - np.sin(turn) * away, np.sin(turn) * along + np.cos(turn) * away
    return np.stack(across, axis=1) + start


def _shift(field: Numbers, canvas: _Canvas, most_px: int) -> Numbers:
    offsets = canvas.rng.integers(-most_px, most_px + 1, 2)
    return np.roll(field, (int(offsets[0]), int(offsets[1])), (0, 1))


def _draw_plants(canvas: _Canvas) -> None:
    """Draw grass, moss, roots and leaves: many short curved strokes from one place."""
    base, spread_px = canvas.rng.uniform(0, 1.1, 2) * canvas.side, canvas.uniform(0.05, 0.6) * canvas.side
    tone = ("green", "green", "rust", "light", "dark")[int(canvas.rng.integers(5))]
    up, along = canvas.uniform(0, 2 * np.pi), np.linspace(0, 1, 8)
    height_px, width_px = canvas.shape
    drawn = Image.new("RGBA", (width_px * _FINER, height_px * _FINER))
    pen = ImageDraw.Draw(drawn)
    for _ in range(int(canvas.log_uniform(3, 250))):
        start, length_px = base + canvas.rng.normal(0, spread_px, 2), canvas.uniform(0.05, 0.5) * canvas.side
        heading = up + canvas.rng.normal(0, 0.5) + canvas.rng.normal(0, 0.8) * along
        points = start + length_px * along[:, None] * np.stack((np.cos(heading), np.sin(heading)), axis=1)
        fill = (*np.clip(_draw_colour(canvas, tone) * canvas.uniform(0.6, 1.2), 0, 255).astype(int).tolist(), 255)
        pen.line([(x, y) for x, y in (points * _FINER).tolist()], fill=fill, width=int(canvas.rng.integers(1, 7)))
        if canvas.rng.random() < 0.3:
            (x, y), leaf = (points[-1] * _FINER).tolist(), canvas.uniform(2, 16)
            pen.ellipse([x - leaf, y - leaf * 0.6, x + leaf, y + leaf * 0.6], fill=fill)
    small = np.asarray(drawn.resize((width_px, height_px), Image.Resampling.BOX), np.float32)
    canvas.cover(small[..., 3] / 255, small[..., :3])


def _draw_peeling_paint(canvas: _Canvas) -> None:
    """Draw paint, lime or soot with a ragged and sharp border, that may cast a thin shadow."""
    sharpness = canvas.uniform(3, 25)
    inside = (canvas.blobs(10, 90, canvas.uniform(0.7, 1.1)) - canvas.uniform(-0.6, 1.2)) * sharpness
    share = 1 / (1 + np.exp(-np.clip(inside, -30, 30)))
    kept = canvas.uniform(0, 0.6)
    grain = (canvas.pixels - canvas.pixels.mean()) * canvas.uniform(0, 0.5)
    colour = _draw_colour(canvas, "light", "any", "dark", "rust") * (1 - kept) + canvas.pixels * kept + grain
    canvas.cover(share * canvas.uniform(0.5, 1), colour)
    if canvas.rng.random() < 0.6:
        rim = np.exp(-((inside / canvas.uniform(0.6, 2.5)) ** 2)) * canvas.uniform(0.1, 0.6)
        canvas.shade(rim * (np.roll(share, 1, 0) < share) if canvas.rng.random() < 0.5 else rim)


def _draw_flakes(canvas: _Canvas) -> None:
    """Draw scaling: flakes whose rims are dark on one side and bright on the other."""
    height = fractal(canvas.shape, canvas.rng, (canvas.uniform(8, 40), 2.0), 0.9)
    level = canvas.uniform(0.2, 1.2)
    down, right = np.gradient(height)
    is_rim = np.abs(height - level) < np.hypot(down, right) * canvas.uniform(0.6, 1.6)
    changed = canvas.pixels * canvas.uniform(0.6, 1.25) + canvas.uniform(-20, 30)
    canvas.pixels = np.where((height > level)[..., None], changed, canvas.pixels).astype(np.float32)
    canvas.shade(is_rim * np.sign(-down) * canvas.uniform(0.1, 0.7))
    canvas.hidden |= is_rim


def _draw_tie_holes(canvas: _Canvas) -> None:
    """Draw the holes of formwork ties at even distances, with a rim."""
    pitch_px, radius_px = canvas.uniform(0.25, 0.6) * canvas.side, canvas.log_uniform(1.5, 12)
    rows, cols = canvas.grid()
    first = canvas.rng.uniform(0, pitch_px, 2)
    away = np.hypot(
        *((part - at + pitch_px / 2) % pitch_px - pitch_px / 2 for part, at in zip((rows, cols), first, strict=True))
    )
    share = np.clip(radius_px - away + 0.5, 0, 1)
    rim = np.exp(-(((away - 1.6 * radius_px) / (0.5 * radius_px)) ** 2))
    canvas.shade(share * canvas.uniform(0.3, 0.95) - rim * canvas.uniform(-0.15, 0.2))
    canvas.hidden |= share > HIDDEN_FROM


def _draw_writing(canvas: _Canvas) -> None:
    """Draw strokes of spray, chalk or felt pen: numbers, arrows, graffiti."""
    width, place = int(canvas.log_uniform(2, 24)), canvas.rng.uniform(0.2, 0.8, 2) * canvas.side
    size_px = canvas.uniform(0.05, 0.25) * canvas.side
    lines: list[tuple[Numbers, int]] = []
    for _ in range(int(canvas.rng.integers(2, 9))):
        steps = canvas.rng.normal(0, size_px, (int(canvas.rng.integers(1, 4)), 2))
        points = np.concatenate([place[None], place + np.cumsum(steps, axis=0)])
        lines.append((points, width))
        place = points[-1] + np.array([size_px * 0.8, canvas.rng.normal(0, size_px * 0.2)])
    share = Image.fromarray((_draw_strokes(canvas, lines) * 255).astype(np.uint8))
    soft = np.asarray(share.filter(ImageFilter.GaussianBlur(canvas.uniform(0.2, 1.5))), np.float32) / 255
    canvas.cover(soft * canvas.uniform(0.4, 1), _draw_colour(canvas, "any", "dark", "light"))


def _draw_aggregate(canvas: _Canvas) -> None:
    """Draw open aggregate: pebbles of their own brightness with dark gaps between (Worley 1996, cellular texture)."""
    pitch_px = canvas.log_uniform(6, 30)
    rows, cols = canvas.grid()
    count = int(max(canvas.shape) / pitch_px) + 4
    centres = canvas.rng.uniform(0.05, 0.95, (count, count, 2)).astype(np.float32)
    row, col = (rows / pitch_px).astype(int) + 1, (cols / pitch_px).astype(int) + 1
    nearest, second = (np.full(canvas.shape, np.inf, np.float32) for _ in range(2))
    owner = np.zeros(canvas.shape, np.int64)
    for down, right in np.ndindex(3, 3):
        at = centres[row + down - 1, col + right - 1]
        away = np.hypot(
            rows / pitch_px - (row + down - 2) - at[..., 0], cols / pitch_px - (col + right - 2) - at[..., 1]
        ).astype(np.float32)
        owner = np.where(away < nearest, (row + down - 1) * count + col + right - 1, owner)
        second = np.minimum(second, np.maximum(nearest, away))
        nearest = np.minimum(nearest, away)
    tint = canvas.rng.normal(1, canvas.uniform(0.03, 0.25), (count**2, 1)) * np.exp(
        canvas.rng.normal(0, 0.04, (count**2, 3))
    )
    gap = np.exp(-(((second - nearest) * pitch_px / canvas.uniform(0.5, 2)) ** 2)) * canvas.uniform(0.1, 0.6)
    mean = canvas.pixels.mean(axis=(0, 1))
    pebbles = mean * tint[owner] * (1 - gap[..., None]) + (canvas.pixels - mean) * canvas.uniform(0.1, 0.8)
    share = np.ones(canvas.shape, np.float32)
    if canvas.rng.random() < 0.6:
        share = np.clip((canvas.blobs(20, 90) - canvas.uniform(-0.5, 0.8)) * 8, 0, 1)
    canvas.cover(share, np.clip(pebbles, 0, 255))


def _draw_grooves(canvas: _Canvas) -> None:
    """Draw broomed or grooved concrete: many parallel lines, here strong and there weak."""
    turn, pitch_px = canvas.uniform(0, np.pi), canvas.uniform(3, 30)
    rows, cols = canvas.grid()
    across = (
        cols * np.cos(turn)
        + rows * np.sin(turn)
        + fractal(canvas.shape, canvas.rng, (60.0, 4.0)) * canvas.uniform(0, 3)
    )
    wave = np.exp(canvas.uniform(0.5, 6) * (np.cos(2 * np.pi * across / pitch_px) - 1))
    strength = canvas.uniform(0.05, 0.4) * (0.6 + 0.4 * fractal(canvas.shape, canvas.rng, (40.0, 2.0)))
    canvas.shade(wave * strength)


def _draw_veins(canvas: _Canvas) -> None:
    """Draw lines that wander and branch like cracks and are none: lime, roots, sealed cracks; none is darker."""
    widths_px = (canvas.uniform(1, 2.5), canvas.uniform(2.5, 10))
    depth = cracks.draw(np.zeros(canvas.shape, np.float32), canvas.rng, widths_px).depth
    share = depth / max(float(depth.max()), 1e-3) * canvas.uniform(0.5, 1)
    bright = np.maximum(_draw_colour(canvas, "light", "green", "rust"), canvas.pixels * canvas.uniform(1.05, 1.5))
    canvas.cover(share, np.clip(bright, 0, 255))


_KINDS: dict[Callable[[_Canvas], None], float] = {
    _draw_edge: 3, _draw_cables: 2, _draw_plants: 1.5, _draw_peeling_paint: 1.5, _draw_flakes: 1, _draw_tie_holes: 1,
    _draw_writing: 1, _draw_aggregate: 0.7, _draw_grooves: 1, _draw_veins: 1,
}  # fmt: skip
"""All kinds of clutter and how often each is drawn; their order is part of the random stream."""
