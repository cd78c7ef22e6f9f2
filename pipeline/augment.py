"""What a tile goes through before the network sees it: as it is for scoring, or changed at random for training.

All randomness of a tile comes from a seed, the epoch and the tile's number, so that a picture depends neither on the
number of workers nor on the order of work. Normalisation is `model`'s.
"""

import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.decode import decode, resize

Pixels = NDArray[np.uint8]

Augment = Literal["none", "standard"]


@dataclass(frozen=True)
class Strength:
    """How far a training picture may be from the tile; probabilities and ranges."""

    crop_area: float = 0.6
    """Smallest part of the tile's area that is kept."""
    crop_ratio: float = 1.25
    """Largest height to width, or width to height, of the part kept."""
    exposure: float = 0.3
    """Largest change of the exposure, as a natural logarithm."""
    gamma: float = 0.3
    """Largest change of the tone curve's exponent, as a natural logarithm."""
    white_balance: float = 0.06
    """Largest change of one channel against the others, as a natural logarithm."""
    blur: float = 0.2
    """Probability of losing detail by being shrunk and enlarged."""
    blur_scale: float = 0.4
    """Smallest size while shrunk."""
    noise: float = 0.3
    """Probability of sensor noise."""
    noise_levels: float = 10.0
    """Largest standard deviation of the noise, in levels of 0 … 255."""
    jpeg: float = 0.25
    """Probability of being compressed."""
    jpeg_quality: int = 35
    """Lowest quality."""


STANDARD = Strength()


def for_scoring(pixels: Pixels, tile_px: int) -> Pixels:
    """Make a tile what `score` makes of it: resized.

    Shape: (H, W, 3) → (tile_px, tile_px, 3).
    """
    return resize(pixels, tile_px, tile_px)


def for_training(pixels: Pixels, tile_px: int, random: np.random.Generator, strength: Strength = STANDARD) -> Pixels:
    """Change a tile as another photo of the same concrete could differ: framing, light, sharpness, noise.

    Shape: (H, W, 3) → (tile_px, tile_px, 3).
    """
    framed = _turned(resize(_cropped(pixels, random, strength), tile_px, tile_px), random)
    lit = _lit(framed, random, strength)
    if random.random() < strength.blur:
        lit = _blurred(lit, random.uniform(strength.blur_scale, 1))
    if random.random() < strength.noise:
        lit = _noisy(lit, random.uniform(0, strength.noise_levels), random)
    if random.random() < strength.jpeg:
        lit = _compressed(lit, int(random.integers(strength.jpeg_quality, 96)))
    return lit


def generator(seed: int, epoch: int, tile: int) -> np.random.Generator:
    """Return the source of all randomness of one tile in one epoch."""
    return np.random.default_rng((seed, epoch, tile))


def _cropped(pixels: Pixels, random: np.random.Generator, strength: Strength) -> Pixels:
    height_px, width_px = pixels.shape[:2]
    side = np.sqrt(random.uniform(strength.crop_area, 1))
    stretch = np.exp(random.uniform(-1, 1) * np.log(strength.crop_ratio) / 2)
    crop_height_px = max(1, min(height_px, round(height_px * side * stretch)))
    crop_width_px = max(1, min(width_px, round(width_px * side / stretch)))
    top_px = int(random.integers(height_px - crop_height_px + 1))
    left_px = int(random.integers(width_px - crop_width_px + 1))
    return pixels[top_px : top_px + crop_height_px, left_px : left_px + crop_width_px]


def _turned(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """One of the eight ways to lay a square."""
    turned = np.rot90(pixels, int(random.integers(4)))
    return turned[:, ::-1] if random.random() < 0.5 else turned


def _lit(pixels: Pixels, random: np.random.Generator, strength: Strength) -> Pixels:
    """Change exposure, tone curve and white balance by one lookup table a channel."""
    gamma = np.exp(random.uniform(-strength.gamma, strength.gamma))
    exposure = random.uniform(-strength.exposure, strength.exposure)
    balance = random.uniform(-strength.white_balance, strength.white_balance, 3)
    levels = np.linspace(0, 1, 256)[:, None] ** gamma * np.exp(exposure + balance)  # (256, 3)
    table = np.clip(levels * 255 + 0.5, 0, 255).astype(np.uint8)
    return np.stack([table[:, channel][pixels[..., channel]] for channel in range(3)], axis=-1)


def _blurred(pixels: Pixels, scale: float) -> Pixels:
    height_px, width_px = pixels.shape[:2]
    shrunk = resize(pixels, max(1, round(height_px * scale)), max(1, round(width_px * scale)))
    return resize(shrunk, height_px, width_px)


def _noisy(pixels: Pixels, levels: float, random: np.random.Generator) -> Pixels:
    """Add the same noise to all channels: what is left of it after a camera's processing is mostly brightness."""
    noise = random.standard_normal((*pixels.shape[:2], 1), np.float32) * np.float32(levels)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


def _compressed(pixels: Pixels, quality: int) -> Pixels:
    stored = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stored, "JPEG", quality=quality)
    return decode(stored.getvalue()).pixels
