"""Marks painted over pictures of real sound concrete: what is mistaken for cracks, and drawn cracks.

The marks are `concrete`'s, the cracks `cracks`'; here they meet a photo instead of a drawing. Light and camera come
after, and are `camera`'s.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.synthetic import concrete, cracks
from pipeline.synthetic.concrete import SMALL, Surface
from pipeline.synthetic.noise import Field, zoom

Pixels = NDArray[np.uint8]

SHORTEST = 0.25
"""A drawn crack covers at least as many pixels as this share of the side, or a look would not find it."""

THINNEST_PX = (1.0, 2.0)
"""Range of the width of the thinnest crack of a picture."""

WIDEST_PX = (2.0, 16.0)
"""Range of the width of the widest; drawn evenly on a logarithmic scale, as SDNET2018's cracks are 1 to 5 px wide and
METU's 10 to 30."""

_GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_SMOOTH_PX = 8
"""Relief is what differs from the mean of so many pixels around."""
_FLATTEST_LEVELS = 2.0
"""Grain below this standard deviation counts as flat: noise of the camera, which frays no crack."""


def paint_marks(pixels: Pixels, random: np.random.Generator, busy: float) -> Pixels:
    """Paint boards, joints, scratches, wires, stains and shadows over a picture, each with probability `busy`.

    Shape: (H, W, 3) → (H, W, 3).
    """
    surface = _surface(pixels)
    concrete.mark(surface, random, busy)
    return _seen(pixels, surface)


def paint_cracks(pixels: Pixels, random: np.random.Generator, busy: float) -> Pixels:
    """Draw cracks of random width and contrast over a picture of sound concrete, among other marks.

    Shape: (H, W, 3) → (H, W, 3).
    """
    surface = _surface(pixels)
    concrete.mark(surface, random, busy)
    depth = _visible_cracks(surface.relief, random)
    if random.random() < 0.5:  # half of all lenses are softer than a drawing
        depth = _blurred(depth, float(random.uniform(0.4, 1.3)))
    surface.shade *= 1 - depth
    return _seen(pixels, surface)


def _surface(pixels: Pixels) -> Surface:
    """Take a picture for a surface whose grain is what is fine in it."""
    height_px, width_px = pixels.shape[:2]
    grey = pixels.astype(np.float32) @ _GREY
    coarse = Image.fromarray(grey).resize(
        (max(1, width_px // _SMOOTH_PX), max(1, height_px // _SMOOTH_PX)), Image.Resampling.BOX
    )
    relief = grey - np.asarray(coarse.resize((width_px, height_px), Image.Resampling.BILINEAR))
    relief /= max(float(relief.std()), _FLATTEST_LEVELS)
    small = (3, -(-height_px // SMALL), -(-width_px // SMALL))
    return Surface(relief, np.ones(relief.shape, np.float32), np.ones(small, np.float32))


def _visible_cracks(relief: Field, random: np.random.Generator) -> Field:
    """Draw until enough of a crack lies within the picture."""
    while True:
        low, high = np.log(WIDEST_PX)
        widths_px = (float(random.uniform(*THINNEST_PX)), float(np.exp(random.uniform(low, high))))
        drawn = cracks.draw(relief, random, widths_px)
        if drawn.mask.sum() >= SHORTEST * min(relief.shape):
            return drawn.depth


def _blurred(field: Field, sigma_px: float) -> Field:
    """Blur by a Gaussian, rows then columns."""
    offsets = np.arange(-4, 5)
    weights = np.exp(-(offsets**2) / (2 * sigma_px**2))
    weights /= weights.sum()
    for _ in range(2):
        wide = np.pad(field, ((4, 4), (0, 0)), mode="edge")
        field = sum(np.float32(w) * wide[at : at + len(field)] for at, w in enumerate(weights)).T  # type: ignore[union-attr]  # at least one
    return field


def _seen(pixels: Pixels, surface: Surface) -> Pixels:
    height_px, width_px = pixels.shape[:2]
    colour = np.stack([zoom(channel, height_px, width_px) for channel in surface.colour], axis=-1)
    painted = pixels * colour * surface.shade[..., None]
    return np.clip(painted, 0, 255, out=painted).astype(np.uint8)
