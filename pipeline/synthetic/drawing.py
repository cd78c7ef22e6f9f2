"""One synthetic photo: concrete, cracks, light and camera."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from pipeline.synthetic import concrete, cracks
from pipeline.synthetic.noise import Field, Mask, Pixels, fractal, zoom

STRIP_PX = 128
"""Rows that are computed at a time; they fit the processor's cache, which is twice as fast as the whole photo."""


class Drawing(NamedTuple):
    """A drawn photo and its ground truth.

    Shapes:
        pixels: (H, W, 3) uint8, upright RGB
        mask: (H, W) bool, true on cracks
    """

    pixels: Pixels
    mask: Mask
    widest_px: float
    """Width of the widest crack, 0 without cracks."""
    lines: tuple[cracks.DrawnLine, ...] = ()
    """Along which the cracks run."""


def draw_photo(
    height_px: int, width_px: int, seed: int, *, cracked: bool = True, widths_px: tuple[float, float] = (1, 30)
) -> Drawing:
    """Draw a close-up of concrete, the same one for the same arguments.

    Args:
        height_px: height of the photo.
        width_px: width of the photo.
        seed: any whole number from 0.
        cracked: whether there are cracks; a sound photo carries more of the marks that look like them.
        widths_px: thinnest and widest crack; never wider than a quarter of the shorter side.
    """
    rng = np.random.default_rng(seed)
    surface = concrete.paint(height_px, width_px, rng, mark_probability=0.35 if cracked else 0.6)
    if not cracked:
        return Drawing(_take_photo(surface, rng), np.zeros((height_px, width_px), np.bool_), 0.0)
    drawn = cracks.draw(surface.relief, rng, widths_px)
    _stain_along_cracks(surface, drawn.depth, rng)
    surface.shade *= 1 - drawn.depth
    surface.relief -= 3 * drawn.depth
    lines = cracks.trace(drawn.paths, height_px, width_px)
    return Drawing(_take_photo(surface, rng), drawn.mask, drawn.widest_px, lines)


def _stain_along_cracks(surface: concrete.Surface, depth: Field, rng: np.random.Generator) -> None:
    """Darken or bleach the concrete along cracks, as water from a crack does."""
    if rng.random() < 0.6:
        return
    height, width = surface.canvas_shape
    step = max(1, min(height, width) // 60)
    blocks = np.maximum.reduceat(
        depth[:: concrete.COLOUR_SCALE], np.arange(0, depth.shape[1], concrete.COLOUR_SCALE), axis=1
    )
    halo = zoom(np.ascontiguousarray(blocks[::step, ::step]), height, width)
    ragged = fractal((height, width), rng, (30.0, 2.0))
    where = (halo * (1 + 0.5 * ragged)).clip(0, 1)
    surface.colour *= 1 + float(rng.choice((-0.35, -0.2, 0.2))) * where


def _take_photo(surface: concrete.Surface, rng: np.random.Generator) -> Pixels:
    """Light the surface from one side, expose it unevenly and read a noisy sensor."""
    light = _light(surface, rng)
    colours = surface.colour * _make_exposure(surface.canvas_shape, rng)
    colours *= 1 + np.float32(rng.uniform(0, 0.012)) * rng.standard_normal(colours.shape, np.float32)
    level = 255 * float(np.exp(rng.uniform(-0.4, 0.3))) * (1 + 0.02 * rng.standard_normal(3))
    noise = np.float32(rng.uniform(0.5, 3.0))
    layers = [Image.fromarray(colour * np.float32(gain)) for colour, gain in zip(colours, level, strict=True)]
    pixels = np.empty((*light.shape, 3), np.uint8)
    for top_px in range(0, light.shape[0], STRIP_PX):
        strip = light[top_px : top_px + STRIP_PX]
        grain = noise * rng.standard_normal(strip.shape, np.float32)
        for channel, layer in enumerate(layers):
            values = _enlarge(layer, top_px, strip.shape)
            values *= strip
            values += grain
            pixels[top_px : top_px + STRIP_PX, :, channel] = np.clip(values, 0, 255, out=values)
    return pixels


def _enlarge(layer: Image.Image, top_px: int, shape: tuple[int, int]) -> Field:
    """Enlarge the part of a colour canvas that belongs to a strip of the photo."""
    height_px, width_px = shape
    top, bottom = top_px / concrete.COLOUR_SCALE, min(layer.height, (top_px + height_px) / concrete.COLOUR_SCALE)
    box = (0, top, min(layer.width, width_px / concrete.COLOUR_SCALE), bottom)
    return np.array(layer.resize((width_px, height_px), Image.Resampling.BILINEAR, box))


def _light(surface: concrete.Surface, rng: np.random.Generator) -> Field:
    """Return brightness: pores and lines, slopes towards the light and away from it, blurred by a soft lens."""
    relief = surface.relief
    light = relief * np.float32(rng.uniform(0.01, 0.035))
    steep = np.float32(rng.uniform(0.02, 0.08))
    facing = relief[1:, 1:] - relief[:-1, :-1] if rng.random() < 0.5 else relief[1:, :-1] - relief[:-1, 1:]
    facing *= steep
    light[1:, 1:] += np.clip(facing, -0.3, 0.3, out=facing)
    light += 1
    light *= surface.shade
    for _ in range(int(rng.integers(0, 3))):
        _blur_columns(light)
        _blur_columns(light.T)
    return light


def _blur_columns(light: Field) -> None:
    """Blur along the columns with weights 1, 2, 1, in place."""
    around = light[:-2] + light[2:]
    around *= np.float32(0.25)
    middle = light[1:-1]
    middle *= np.float32(0.5)
    middle += around


def _make_exposure(shape: tuple[int, int], rng: np.random.Generator) -> Field:
    """Return a smooth factor near 1: light that falls off to one side, and to the corners."""
    rows = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None]
    cols = np.linspace(-1, 1, shape[1], dtype=np.float32)
    tilt_down, tilt_right = rng.normal(0, 0.08, 2).astype(np.float32)
    corners = np.float32(rng.uniform(0, 0.12))
    exposure: Field = 1 + tilt_down * rows + tilt_right * cols - corners * (rows**2 + cols**2)
    return exposure
