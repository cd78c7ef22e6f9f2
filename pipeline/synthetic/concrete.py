"""Sound concrete: grain, pores, boards, joints, stains and shadows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.synthetic.noise import Field, fractal, wander

COLOUR_SCALE = 4
"""The canvas of colours is this many times smaller than the photo, since colours have no fine detail."""


@dataclass
class Surface:
    """A concrete surface, painted step by step.

    Shapes:
        relief: (H, W) float32, height of the grain; standard deviation about 1
        shade: (H, W) float32, factor on brightness from small and sharp marks (pores, lines)
        colour: (3, H / COLOUR_SCALE, W / COLOUR_SCALE) float32, reflectance of red, green and blue
    """

    relief: Field
    shade: Field
    colour: NDArray[np.float32]

    @property
    def canvas_shape(self) -> tuple[int, int]:
        """Height and width of the colour canvas."""
        return self.colour.shape[1], self.colour.shape[2]


def paint(height_px: int, width_px: int, rng: np.random.Generator, mark_probability: float) -> Surface:
    """Paint a surface with the marks that are mistaken for cracks.

    Args:
        height_px: height of the photo.
        width_px: width of the photo.
        rng: random generator.
        mark_probability: of each kind of mark.
    """
    surface = _draw_bare(height_px, width_px, rng)
    _draw_pores(surface, rng)
    draw_marks(surface, rng, mark_probability)
    return surface


def draw_marks(surface: Surface, rng: np.random.Generator, mark_probability: float) -> None:
    """Draw marks on a surface, each kind with a probability."""
    for draw in _MARKS:
        if rng.random() < mark_probability:
            draw(surface, rng)


def _draw_bare(height_px: int, width_px: int, rng: np.random.Generator) -> Surface:
    """Draw cement skin: grain that may be brushed in one direction, and mottling in a tint of grey."""
    shape, small = (height_px, width_px), (-(-height_px // COLOUR_SCALE), -(-width_px // COLOUR_SCALE))
    brushed = rng.random() < 0.3
    stretch = float(rng.uniform(2, 8)) if brushed else 1.0
    relief = fractal(shape, rng, (float(rng.uniform(6, 20)), 1.0), float(rng.uniform(0.6, 1.1)), stretch)
    tint = 1 + 0.025 * rng.standard_normal() * np.array([1, 0.1, -1]) + 0.012 * rng.standard_normal(3)
    mottling = fractal(small, rng, (float(rng.uniform(20, 120)), 1.0), float(rng.uniform(0.6, 0.9)))
    grey = 0.56 + float(rng.uniform(0.012, 0.04)) * mottling
    warmth = fractal(small, rng, (120.0, 8.0))
    colour = np.stack([tint[i] * grey * (1 + lean * warmth) for i, lean in enumerate((0.012, 0.0, -0.014))])
    return Surface(relief, np.ones(shape, np.float32), colour.astype(np.float32))


def _draw_pores(surface: Surface, rng: np.random.Generator) -> None:
    """Draw bug holes: dark on the side of the light, bright on the far rim."""
    height_px, width_px = surface.shade.shape
    density = float(np.exp(rng.uniform(np.log(2e-6), np.log(2.5e-4))))
    scale = float(rng.uniform(0.6, 2.0))
    for _ in range(min(2500, int(rng.poisson(density * height_px * width_px)))):
        radius = scale * min(8.0, 0.8 + float(rng.pareto(2.2)))
        reach = int(radius * 1.6) + 2
        top, left = int(rng.integers(0, height_px)), int(rng.integers(0, width_px))
        rows = np.arange(max(0, top - reach), min(height_px, top + reach + 1))[:, None]
        cols = np.arange(max(0, left - reach), min(width_px, left + reach + 1))
        turn, squash = float(rng.uniform(0, np.pi)), float(rng.uniform(0.55, 1))
        across = (cols - left) * np.cos(turn) + (rows - top) * np.sin(turn)
        along = ((rows - top) * np.cos(turn) - (cols - left) * np.sin(turn)) / squash
        frame = np.s_[rows[0, 0] : rows[-1, 0] + 1, cols[0] : cols[-1] + 1]
        distance = np.hypot(across, along) * (1 + 0.12 * surface.relief[frame])
        inside = (radius + 0.5 - distance).clip(0, 1)
        surface.shade[frame] *= 1 - float(rng.uniform(0.2, 0.75)) * inside
        surface.relief[frame] -= 2 * inside


def draw_line(field: Field, centre: NDArray[np.floating], profile: Field) -> None:
    """Multiply a line that runs down `field` into it, in place; `field.T` gives a line to the right.

    Shapes:
        centre: (H,) column of the line in each row, in pixels
        profile: (2 * reach + 1,) factors on brightness across the line
    """
    height_px, width_px = field.shape
    reach = len(profile) // 2
    offsets = np.arange(-reach + 1, reach)
    cols = np.floor(centre).astype(np.int64)[:, None] + offsets
    values = np.interp(cols - centre[:, None], np.arange(-reach, reach + 1), profile)
    inside = (cols >= 0) & (cols < width_px)
    rows = np.broadcast_to(np.arange(height_px)[:, None], cols.shape)
    field[rows[inside], cols[inside]] *= values[inside].astype(np.float32)


def _straight_centre(shape: tuple[int, ...], rng: np.random.Generator, lean: float) -> NDArray[np.floating]:
    """Return the column of a straight line in each row: it starts anywhere and leans by about `lean` columns a row."""
    return float(rng.uniform(0, shape[1])) + float(rng.normal(0, lean)) * np.arange(shape[0])


def line_profile(width_px: float, dark: float, bright: float) -> Field:
    """Return the profile of a line that is dark in its middle and bright along one side, factors on brightness."""
    across = np.arange(-int(2 * width_px) - 3, int(2 * width_px) + 4, dtype=np.float32)
    groove = np.exp(-((across / (0.6 * width_px)) ** 4))
    lit = np.exp(-(((across - width_px) / (0.5 * width_px)) ** 2))
    profile: Field = (1 - dark * groove + bright * lit).astype(np.float32)
    return profile


def _draw_boards(surface: Surface, rng: np.random.Generator) -> None:
    """Draw the seams of formwork boards, at even distances; each board has its own brightness."""
    is_level = rng.random() < 0.5
    shade = surface.shade.T if is_level else surface.shade
    span = shade.shape[1]
    pitch, slope = float(rng.uniform(0.12, 0.5)) * span, float(rng.normal(0, 0.02))
    profile = line_profile(float(rng.uniform(1, 3.5)), float(rng.uniform(-0.1, 0.3)), float(rng.uniform(0, 0.12)))
    edges = np.arange(float(rng.uniform(0.1, 1)) * pitch, span, pitch)
    levels = 1 + 0.03 * rng.standard_normal(len(edges) + 1)
    lean = slope * (np.arange(shade.shape[0]) - shade.shape[0] / 2)
    shade *= levels[np.searchsorted(edges, np.arange(span))].astype(np.float32)
    for edge in edges:
        draw_line(shade, edge + lean, profile)


def _draw_joint(surface: Surface, rng: np.random.Generator) -> None:
    """Draw one construction joint, in half of all cases: level or upright, wider and darker than seams of boards."""
    if rng.random() < 0.5:
        return
    shade = surface.shade.T if rng.random() < 0.5 else surface.shade
    profile = line_profile(float(rng.uniform(3, 9)), float(rng.uniform(0.3, 0.7)), float(rng.uniform(0.03, 0.15)))
    draw_line(shade, _straight_centre(shade.shape, rng, 0.04), profile)


def _draw_scratches(surface: Surface, rng: np.random.Generator) -> None:
    """Draw scratches: thin bright straight lines, each over a part of the photo."""
    for _ in range(int(rng.integers(1, 4))):
        shade = surface.shade.T if rng.random() < 0.5 else surface.shade
        top = int(rng.integers(0, shade.shape[0]))
        part = shade[top : top + int(rng.uniform(0.1, 0.5) * shade.shape[0])]
        profile = line_profile(float(rng.uniform(0.8, 1.6)), -float(rng.uniform(0.05, 0.2)), 0)
        draw_line(part, _straight_centre(part.shape, rng, 0.4), profile)


def _draw_wires(surface: Surface, rng: np.random.Generator) -> None:
    """Draw wires: as thin and dark as cracks, but lit along one side."""
    for _ in range(int(rng.integers(1, 4))):
        shade = surface.shade.T if rng.random() < 0.5 else surface.shade
        height_px, width_px = shade.shape
        sway = wander(height_px, rng, (height_px / 2, height_px / 4)) * float(rng.uniform(0.01, 0.08)) * width_px
        profile = line_profile(float(rng.uniform(0.8, 3)), float(rng.uniform(0.15, 0.6)), float(rng.uniform(0.1, 0.35)))
        first, last = sorted(rng.integers(0, height_px, 2))
        draw_line(shade[first:last], (_straight_centre(shade.shape, rng, 0.2) + sway)[first:last], profile)


def _tint(surface: Surface, where: Field, tint: tuple[float, float, float]) -> None:
    """Multiply a colour into the surface, to the degree `where`, from 0 to 1."""
    for channel, factor in enumerate(tint):
        surface.colour[channel] *= 1 + (factor - 1) * where


def _draw_stains(surface: Surface, rng: np.random.Generator) -> None:
    """Draw patches of damp or lime with a ragged edge."""
    field = fractal(surface.canvas_shape, rng, (max(surface.canvas_shape) / 2, 2.0), 0.6)
    where = 1 / (1 + np.exp(-(field - rng.uniform(0.5, 1.4)) * rng.uniform(2, 12)))
    damp = float(rng.uniform(0.6, 0.85)) if rng.random() < 0.7 else float(rng.uniform(1.1, 1.3))
    _tint(surface, where, (damp, damp * 1.005, damp * 1.01))


def _draw_streaks(surface: Surface, rng: np.random.Generator) -> None:
    """Draw rust, soot or lime that runs down from a few points."""
    height, width = surface.canvas_shape
    rust, soot, lime = (0.8, 0.62, 0.45), (0.6, 0.6, 0.6), (1.25, 1.25, 1.22)
    tint = (rust, soot, lime)[int(rng.integers(3))]
    ragged = fractal((height, width), rng, (40.0, 1.0), 0.7, stretch=0.1)
    cols, rows = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    for _ in range(int(rng.integers(1, 5))):
        top, length = float(rng.uniform(-0.3, 0.7)) * height, float(rng.uniform(0.1, 0.6)) * height
        spread = float(rng.uniform(0.006, 0.03)) * width + 1
        fall = np.where(rows > top, np.exp(-(rows - top) / length), np.exp(-(((rows - top) / 3) ** 2)))
        across = np.exp(-(((cols - rng.uniform(0, width)) / spread) ** 2))
        _tint(surface, (fall * across * (0.6 + 0.3 * ragged)).clip(0, 1).astype(np.float32), tint)


def _draw_paint(surface: Surface, rng: np.random.Generator) -> None:
    """Draw a faded mark of paint or chalk, as surveyors leave them, in a quarter of all cases."""
    if rng.random() < 0.75:
        return
    height, width = surface.canvas_shape
    rows, cols = np.arange(height)[:, None], np.arange(width)
    radius = float(rng.uniform(0.03, 0.1)) * min(height, width) + 2
    distance = np.hypot(rows - rng.uniform(0, height), cols - rng.uniform(0, width)) / radius
    worn = fractal((height, width), rng, (20.0, 1.0), 0.8)
    where = (np.exp(-(distance**4)) * (0.45 + 0.25 * worn)).clip(0, 1).astype(np.float32)
    tint = ((0.45, 0.8, 1.25), (1.3, 0.6, 0.5), (1.35, 1.35, 1.35))[int(rng.integers(3))]
    _tint(surface, where, tint)


def _draw_shadow(surface: Surface, rng: np.random.Generator) -> None:
    """Draw the shadow of a rail, a pipe or an edge: bluish, with a soft straight border, wider than cracks are."""
    height, width = surface.canvas_shape
    turn = float(rng.uniform(0, np.pi))
    across = np.arange(height)[:, None] * np.sin(turn) + np.arange(width) * np.cos(turn)
    across = (across - across.min()) / (across.max() - across.min()) - float(rng.uniform(0.2, 0.8))
    soft = float(rng.uniform(0.6, 3)) / max(height, width)
    half = float(rng.choice((0.04, 0.1, 0.6)))
    where = 1 / (1 + np.exp(-((half - np.abs(across + half * (half > 0.5))) / soft).clip(-30, 30)))
    depth = float(rng.uniform(0.5, 0.85))
    _tint(surface, where.astype(np.float32), (depth, depth * 1.02, depth * 1.06))


_MARKS = (
    *(_draw_boards, _draw_joint, _draw_scratches, _draw_wires),
    *(_draw_stains, _draw_streaks, _draw_paint, _draw_shadow),
)
"""All kinds of marks; their order is part of the random stream."""
