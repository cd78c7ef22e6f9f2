"""Augmentations of real tiles: painted marks that are mistaken for cracks, and drawn cracks.

They use the marks of `concrete` and the cracks of `cracks`. Training changes light and camera afterwards.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image

from pipeline.synthetic import concrete, cracks
from pipeline.synthetic.concrete import COLOUR_SCALE, Surface
from pipeline.synthetic.noise import Field, Mask, Pixels, zoom

MIN_CRACK_SHARE = 0.25
"""A drawn crack covers at least this share of the shorter side, in pixels, or nobody would see it."""

MIN_WIDTH_RANGE_PX = (1.0, 2.0)
"""Range of the width of the thinnest crack of a picture."""

MAX_WIDTH_RANGE_PX = (2.0, 24.0)
"""Range of the width of the widest, uniform on a logarithmic scale: SDNET2018's cracks are 1 to 5 px wide, METU's 10
to 30."""

SMOOTH_SHARE, STRAIGHT_SHARE = 0.6, 0.3
"""Part of the pictures whose cracks are smoother than concrete breaks, and, among those, with straight lines of even
width: a detector that has seen rough ones alone takes every smooth line for a joint or a wire."""

LONGEST = 3.0
"""Length of the longest crack, as a share of the picture's diagonal: a tile is a small part of a photo, and most cracks
run through it."""

_GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Weights of red, green and blue in brightness (ITU-R BT.601)."""
_SMOOTH_PX = 8
"""Relief is the difference from the mean over this many pixels around."""
_MIN_GRAIN_LEVELS = 2.0
"""Grain with a smaller standard deviation is noise of the camera, which frays no crack."""


def paint_marks(pixels: Pixels, rng: np.random.Generator, mark_probability: float) -> Pixels:
    """Paint boards, joints, scratches, wires, stains and shadows over a picture, each kind with a probability.

    Shape: (H, W, 3) → (H, W, 3).
    """
    surface = _extract_surface(pixels)
    concrete.draw_marks(surface, rng, mark_probability)
    return _apply_surface(pixels, surface)


class CrackedPicture(NamedTuple):
    """A picture with drawn cracks."""

    pixels: Pixels
    crack: Mask


def paint_cracks(pixels: Pixels, rng: np.random.Generator, mark_probability: float) -> CrackedPicture:
    """Draw cracks of random width and contrast over a picture of sound concrete, among other marks.

    Shape: (H, W, 3).
    """
    surface = _extract_surface(pixels)
    concrete.draw_marks(surface, rng, mark_probability)
    depth, crack = _draw_visible_cracks(surface.relief, rng)
    if rng.random() < 0.5:  # half of all lenses are softer than a drawing
        depth = _blur(depth, float(rng.uniform(0.4, 1.3)))
    surface.shade *= 1 - depth
    return CrackedPicture(_apply_surface(pixels, surface), crack)


def _extract_surface(pixels: Pixels) -> Surface:
    """Make a surface whose grain is the fine detail of a picture."""
    height_px, width_px = pixels.shape[:2]
    grey = pixels.astype(np.float32) @ _GREY
    coarse = Image.fromarray(grey).resize(
        (max(1, width_px // _SMOOTH_PX), max(1, height_px // _SMOOTH_PX)), Image.Resampling.BOX
    )
    relief = grey - np.asarray(coarse.resize((width_px, height_px), Image.Resampling.BILINEAR))
    relief /= max(float(relief.std()), _MIN_GRAIN_LEVELS)
    small = (3, -(-height_px // COLOUR_SCALE), -(-width_px // COLOUR_SCALE))
    return Surface(relief, np.ones(relief.shape, np.float32), np.ones(small, np.float32))


def _draw_visible_cracks(relief: Field, rng: np.random.Generator) -> tuple[Field, Mask]:
    """Draw cracks until enough of them is within the picture; return their depth and mask."""
    kind, roughness = rng.random(), 1.0
    if kind < SMOOTH_SHARE:
        roughness = 0.0 if kind < STRAIGHT_SHARE else float(rng.random()) ** 2
    while True:
        low, high = np.log(MAX_WIDTH_RANGE_PX)
        widths_px = (float(rng.uniform(*MIN_WIDTH_RANGE_PX)), float(np.exp(rng.uniform(low, high))))
        drawn = cracks.draw(relief, rng, widths_px, roughness, LONGEST)
        if drawn.mask.sum() >= MIN_CRACK_SHARE * min(relief.shape):
            return drawn.depth, drawn.mask


def _blur(field: Field, sigma_px: float) -> Field:
    """Blur by a Gaussian, rows then columns."""
    offsets = np.arange(-4, 5)
    weights = np.exp(-(offsets**2) / (2 * sigma_px**2))
    weights /= weights.sum()
    for _ in range(2):
        padded = np.pad(field, ((4, 4), (0, 0)), mode="edge")
        field = sum(np.float32(w) * padded[at : at + len(field)] for at, w in enumerate(weights)).T  # type: ignore[union-attr]  # there is at least one weight
    return field


def _apply_surface(pixels: Pixels, surface: Surface) -> Pixels:
    height_px, width_px = pixels.shape[:2]
    colour = np.stack([zoom(channel, height_px, width_px) for channel in surface.colour], axis=-1)
    painted = pixels * colour * surface.shade[..., None]
    return np.clip(painted, 0, 255, out=painted).astype(np.uint8)
