"""Smooth random fields and curves, from which `concrete` and `cracks` are drawn."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Field = NDArray[np.float32]
"""One number per pixel: (H, W) float32."""

Pixels = NDArray[np.uint8]
"""A picture: (H, W, 3), 8-bit RGB."""

Mask = NDArray[np.bool_]
"""True on crack pixels: (H, W)."""


def zoom(field: Field, height_px: int, width_px: int) -> Field:
    """Return `field` stretched to (height_px, width_px) by bicubic interpolation."""
    if field.shape == (height_px, width_px):
        return field
    return np.array(Image.fromarray(field).resize((width_px, height_px), Image.Resampling.BICUBIC))


def fractal(
    shape: tuple[int, int],
    rng: np.random.Generator,
    sizes_px: tuple[float, float],
    roughness: float = 0.6,
    stretch: float = 1.0,
) -> Field:
    """Return noise in octaves, with mean 0 and standard deviation 1.

    It adds octaves from coarse to fine while the array doubles in size, so all of them together cost little more than
    the finest.

    Args:
        shape: height and width of the result in pixels.
        rng: random generator.
        sizes_px: size of the coarsest and of the finest blobs.
        roughness: strength of an octave, as a share of the next coarser one's.
        stretch: blobs are this many times wider than high.
    """
    height_px, width_px = shape
    size_px, finest_px = sizes_px
    field, strength = np.zeros((2, 2), np.float32), 1.0
    while size_px >= finest_px:
        rows, cols = int(height_px / size_px) + 2, int(width_px / (size_px * stretch)) + 2
        rows, cols = min(rows, height_px), min(cols, width_px)
        field = zoom(field, rows, cols)
        field += np.float32(strength) * rng.standard_normal((rows, cols), np.float32)
        size_px, strength = size_px / 2, strength * roughness
    field = zoom(field, height_px, width_px)
    step = max(1, min(shape) // 256)  # a sample of the pixels is enough to measure mean and spread
    sampled = field[::step, ::step]
    spread = max(float(sampled.std()), 1e-6)
    field -= sampled.mean()
    field /= np.float32(spread)
    return field


def wander(count: int, rng: np.random.Generator, lengths: tuple[float, float], roughness: float = 0.6) -> Field:
    """Return a random curve in octaves, with mean about 0 and standard deviation about 1.

    Args:
        count: number of values.
        rng: random generator.
        lengths: number of values that the longest and the shortest features span.
        roughness: strength of an octave, as a share of the next coarser one's.
    """
    curve, power, strength = np.zeros(count, np.float32), 0.0, 1.0
    length, shortest = lengths
    positions = np.arange(count, dtype=np.float32)
    while length >= shortest:
        knots = rng.standard_normal(int(count / length) + 3)
        curve += np.float32(strength) * np.interp(positions / length + rng.random(), np.arange(len(knots)), knots)
        power += strength**2
        length, strength = length / 2, strength * roughness
    curve /= np.float32(max(power, 1e-6) ** 0.5)
    return curve
