"""Random changes of light, lens, sensor and file for training pictures; a crack stays where it is.

Framing and turning are in `augment`, marks on the concrete in `synthetic.augmentations`.
"""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from pipeline.images.decode import Pixels, decode, resize
from pipeline.synthetic.noise import Field

MAX_FALLOFF = 0.6
"""Largest loss of light from one side to the other, as a share."""

MIN_SIDE_PX = 8
"""No picture is shrunk below this side."""


@dataclass(frozen=True)
class Camera:
    """How far a picture may be from what the lens saw: probabilities and largest changes."""

    exposure: float = 0.3
    """Of the exposure, as a natural logarithm."""
    gamma: float = 0.3
    """Of the tone curve's exponent, as a natural logarithm."""
    contrast: float = 0.0
    """Of the distance from the mean brightness, as a natural logarithm."""
    white_balance: float = 0.06
    """Of one channel against the others, as a natural logarithm."""
    saturation: float = 0.0
    """Of the distance from grey, as a share; at 1 a picture may lose its colour, or have twice as much."""
    grey: float = 0.0
    """Probability of having no colour at all."""
    falloff: float = 0.0
    """Probability that the light falls off to one side."""
    shrunk: float = 0.2
    """Probability of losing detail by being shrunk and enlarged."""
    shrunk_to: float = 0.4
    """Smallest size while shrunk."""
    sharpened: float = 0.0
    """Probability of the halos that phones and drones draw around edges."""
    blurred: float = 0.0
    """Probability of a soft lens, up to 1.5 px."""
    noise: float = 0.3
    """Probability of sensor noise."""
    noise_levels: float = 10.0
    """Largest standard deviation of the noise, in levels of 0 … 255."""
    coarse_noise: float = 0.0
    """Probability that noise has grains of 2 px, as in an enlarged picture."""
    jpeg: float = 0.25
    """Probability of being compressed."""
    jpeg_quality: int = 35
    """Lowest quality."""


PLAIN = Camera()
"""The usual changes of light and sharpness."""

FIELD = Camera(
    exposure=0.35, gamma=0.4, contrast=0.4, white_balance=0.1, saturation=0.8, grey=0.15, falloff=0.3, shrunk=0.25,
    shrunk_to=0.45, sharpened=0.15, blurred=0.1, noise=0.35, noise_levels=12, coarse_noise=0.4, jpeg=0.3,
    jpeg_quality=30,
)  # fmt: skip
"""Other cameras, other weather, other software between the lens and the file."""


def photograph(pixels: Pixels, random: np.random.Generator, camera: Camera) -> Pixels:
    """Photograph a picture again, with another camera in another light.

    Shape: (H, W, 3) → (H, W, 3).
    """
    seen = _change_light(pixels, random, camera)
    seen = _change_sharpness(seen, random, camera)
    if random.random() < camera.noise:
        seen = _add_noise(seen, random, camera)
    if random.random() < camera.jpeg:
        seen = _compress(seen, int(random.integers(camera.jpeg_quality, 96)))
    return seen


def _change_light(pixels: Pixels, random: np.random.Generator, camera: Camera) -> Pixels:
    """Change colour, contrast, exposure and white balance, and let the light fall off to one side."""
    kept = 0.0 if random.random() < camera.grey else 1 + camera.saturation * random.uniform(-1, 1)
    coloured = ImageEnhance.Color(Image.fromarray(pixels)).enhance(kept)
    table = _tone_curve(float(pixels.mean()) / 255, random, camera)
    lit = np.asarray(coloured.point(table.T.ravel().tolist()))
    if random.random() < camera.falloff:
        return _to_levels(lit * _light_falloff(lit.shape, random))
    return lit


def _tone_curve(mean: float, random: np.random.Generator, camera: Camera) -> Pixels:
    """Return the new value of each level, shape (256, 3)."""
    levels = np.linspace(0, 1, 256)[:, None]
    levels = (levels - mean) * np.exp(random.uniform(-camera.contrast, camera.contrast)) + mean
    gamma = np.exp(random.uniform(-camera.gamma, camera.gamma))
    exposure = random.uniform(-camera.exposure, camera.exposure)
    balance = random.uniform(-camera.white_balance, camera.white_balance, 3)
    return _to_levels(levels.clip(0, 1) ** gamma * np.exp(exposure + balance) * 255 + 0.5)


def _light_falloff(shape: tuple[int, ...], random: np.random.Generator) -> Field:
    """Return a factor for each pixel, which falls from 1 towards one side in a random direction."""
    turn, depth = random.uniform(0, 2 * np.pi), random.uniform(0, MAX_FALLOFF)
    down, right = (np.linspace(-1, 1, side, dtype=np.float32) for side in shape[:2])
    across = np.float32(np.cos(turn)) * right + np.float32(np.sin(turn)) * down[:, None]
    slope: Field = 1 - np.float32(depth) * (across - across.min()) / np.float32(2)
    return slope[..., None]


def _change_sharpness(pixels: Pixels, random: np.random.Generator, camera: Camera) -> Pixels:
    """Shrink, sharpen or blur a picture, or leave it as it is."""
    drawn = random.random()
    if drawn < camera.shrunk:
        return _lose_detail(pixels, random.uniform(camera.shrunk_to, 1))
    if drawn < camera.shrunk + camera.sharpened:
        halo = ImageFilter.UnsharpMask(float(random.uniform(0.7, 2)), int(random.integers(50, 180)), threshold=2)
        return np.asarray(Image.fromarray(pixels).filter(halo))
    if drawn < camera.shrunk + camera.sharpened + camera.blurred:
        return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(float(random.uniform(0.3, 1.5)))))
    return pixels


def _lose_detail(pixels: Pixels, scale: float) -> Pixels:
    height_px, width_px = pixels.shape[:2]
    small = resize(pixels, max(MIN_SIDE_PX, round(height_px * scale)), max(MIN_SIDE_PX, round(width_px * scale)))
    return resize(small, height_px, width_px)


def _add_noise(pixels: Pixels, random: np.random.Generator, camera: Camera) -> Pixels:
    """Add the same noise to all channels: a camera's processing leaves mostly brightness noise."""
    height_px, width_px = pixels.shape[:2]
    grain_px = 2 if random.random() < camera.coarse_noise else 1
    noise = random.standard_normal((-(-height_px // grain_px), -(-width_px // grain_px), 1), np.float32)
    noise = noise.repeat(grain_px, axis=0).repeat(grain_px, axis=1)[:height_px, :width_px]
    return _to_levels(pixels + noise * np.float32(random.uniform(0, camera.noise_levels)))


def _compress(pixels: Pixels, quality: int) -> Pixels:
    stored = io.BytesIO()
    Image.fromarray(pixels).save(stored, "JPEG", quality=quality)
    return decode(stored.getvalue()).pixels


def _to_levels(values: Field) -> Pixels:
    return np.clip(values, 0, 255).astype(np.uint8)
