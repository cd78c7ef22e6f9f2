"""One synthetic photo: concrete, cracks, light and camera put together; files and formats belong to `sample`."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline import concrete, cracks
from pipeline.noise import Field, fractal, zoom


class Drawing(NamedTuple):
    """A photo that never was, and the truth about it.

    Shapes:
        pixels: (H, W, 3) uint8, upright RGB
        mask: (H, W) bool, true on cracks
    """

    pixels: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    widest_px: float
    """Width of the widest crack; 0 where there is none."""


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
    surface = concrete.paint(height_px, width_px, rng, busy=0.35 if cracked else 0.6)
    if not cracked:
        return Drawing(_photograph(surface, rng), np.zeros((height_px, width_px), np.bool_), 0.0)
    drawn = cracks.draw(surface.relief, rng, widths_px)
    _weather(surface, drawn.depth, rng)
    surface.shade *= 1 - drawn.depth
    surface.relief -= 3 * drawn.depth
    return Drawing(_photograph(surface, rng), drawn.mask, drawn.widest_px)


def _weather(surface: concrete.Surface, depth: Field, rng: np.random.Generator) -> None:
    """Darken or bleach the concrete along a crack, as water does that comes out of it."""
    if rng.random() < 0.6:
        return
    height, width = surface.small_shape
    step = max(1, min(height, width) // 60)
    blocks = np.maximum.reduceat(depth[:: concrete.SMALL], np.arange(0, depth.shape[1], concrete.SMALL), axis=1)
    halo = zoom(np.ascontiguousarray(blocks[::step, ::step]), height, width)
    ragged = fractal((height, width), rng, (30.0, 2.0))
    where = (halo * (1 + 0.5 * ragged)).clip(0, 1)
    surface.colour *= 1 + float(rng.choice((-0.35, -0.2, 0.2))) * where


def _photograph(surface: concrete.Surface, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Light the surface from one side, expose it unevenly and read a noisy sensor."""
    light = _lit(surface, rng)
    gain = float(np.exp(rng.normal(0, 0.22)))
    white = 1 + 0.03 * rng.standard_normal(3)
    level = 255 * gain * white
    grain = float(rng.uniform(0.5, 3.0)) * rng.standard_normal(light.shape, np.float32)
    pixels = np.empty((*light.shape, 3), np.uint8)
    for channel in range(3):
        speckle = fractal(surface.small_shape, rng, (1.0, 1.0)) * np.float32(0.8)
        values = concrete.full_size(surface, channel)
        values *= light
        values *= np.float32(level[channel])
        values += grain
        values += zoom(speckle, *light.shape)
        pixels[..., channel] = values.clip(0, 255)
    return pixels


def _lit(surface: concrete.Surface, rng: np.random.Generator) -> Field:
    """Return the light that comes back: shade, slopes that face the sun or not, uneven exposure, a soft lens."""
    relief, light = surface.relief, surface.shade
    slope = np.zeros_like(relief)
    steep = float(rng.uniform(0.01, 0.06))
    slope[1:, 1:] = relief[1:, 1:] - relief[:-1, :-1] if rng.random() < 0.5 else relief[1:, :-1] - relief[:-1, 1:]
    slope *= np.float32(steep)
    slope += np.float32(float(rng.uniform(0.005, 0.03))) * relief
    light = light * (1 + slope.clip(-0.4, 0.4))
    for _ in range(int(rng.integers(0, 3))):
        light[1:-1] = (light[:-2] + 2 * light[1:-1] + light[2:]) / 4
        light[:, 1:-1] = (light[:, :-2] + 2 * light[:, 1:-1] + light[:, 2:]) / 4
    light *= zoom(_exposure(surface.small_shape, rng), *light.shape)
    return light


def _exposure(shape: tuple[int, int], rng: np.random.Generator) -> Field:
    """Return a smooth factor near 1: light that falls off to one side, and to the corners."""
    rows = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None]
    cols = np.linspace(-1, 1, shape[1], dtype=np.float32)
    tilt = float(rng.normal(0, 0.08)) * rows + float(rng.normal(0, 0.08)) * cols
    corners = float(rng.uniform(0, 0.12)) * (rows**2 + cols**2)
    return (1 + tilt - corners).astype(np.float32)
