"""The pixels of a tile as the network sees them: resized for scoring, changed at random for training.

A tile's randomness comes from the seed, the epoch and the tile's number, so neither the number of workers nor the order
of work changes a picture. Light and camera are in `photometric`, marks and drawn cracks in `synthetic.augmentations`,
normalisation in `models.network`.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.images.decode import Pixels, resize
from pipeline.synthetic import augmentations
from pipeline.training.photometric import FIELD, PLAIN, Camera, photograph

Augment = Literal["none", "plain", "field"]
"""No change; changes as between two photos of one concrete; changes as between two structures in the field."""


@dataclass(frozen=True)
class Change:
    """How far a training picture may be from the tile."""

    crop_area: float
    """Smallest part of the tile's area that is kept."""
    crop_ratio: float
    """Largest height to width, or width to height, of the part kept."""
    camera: Camera
    busy_sound: float = 0.0
    """Probability of each kind of mark on a sound tile that gets marks."""
    busy_cracked: float = 0.0
    """The same on a cracked tile; smaller, because marks can hide the crack."""
    marked: float = 0.0
    """Part of the tiles that get marks at all."""
    sizes: tuple[float, ...] = (1.0,)
    """Sides that the pictures of a step may have, as shares of the network's."""


CHANGES = {
    "plain": Change(crop_area=0.6, crop_ratio=1.25, camera=PLAIN),
    "field": Change(crop_area=0.4, crop_ratio=1.25, camera=FIELD, busy_sound=0.25, busy_cracked=0.12, marked=0.5,
                    sizes=(4 / 7, 5 / 7, 6 / 7, 1.0)),
}  # fmt: skip


def for_scoring(pixels: Pixels, tile_px: int) -> Pixels:
    """Resize a tile, as `score` does.

    Shape: (H, W, 3) → (tile_px, tile_px, 3).
    """
    return resize(pixels, tile_px, tile_px)


def for_training(
    pixels: Pixels, tile_px: int, random: np.random.Generator, change: Change, *, cracked: bool | None
) -> Pixels:
    """Change a tile at random: framing, marks, light, sharpness, noise.

    Args:
        pixels: (H, W, 3).
        tile_px: side of the result.
        random: of this tile in this epoch.
        change: how far.
        cracked: whether the tile shows a crack; None draws one on a sound tile.

    Shape: → (tile_px, tile_px, 3).
    """
    framed = _turn(resize(_crop(pixels, random, change), tile_px, tile_px), random)
    if cracked is None:
        framed = augmentations.paint_cracks(framed, random, change.busy_cracked)
    elif random.random() < change.marked:
        framed = augmentations.paint_marks(framed, random, change.busy_cracked if cracked else change.busy_sound)
    return photograph(framed, random, change.camera)


def draw_side_px(tile_px: int, change: Change, seed: int, epoch: int, step: int) -> int:
    """Draw the side of a step's pictures: one for all of them, so that they make one batch.

    Args:
        tile_px: the network's side.
        change: lists the sides to draw from.
        seed: of the run.
        epoch: 0, 1, …
        step: of the epoch.
    """
    return round(tile_px * float(np.random.default_rng((seed, epoch, step)).choice(change.sizes)))


def generator(seed: int, epoch: int, tile: int) -> np.random.Generator:
    """Return the source of all randomness of one tile in one epoch."""
    return np.random.default_rng((seed, epoch, tile))


def _crop(pixels: Pixels, random: np.random.Generator, change: Change) -> Pixels:
    height_px, width_px = pixels.shape[:2]
    side = np.sqrt(random.uniform(change.crop_area, 1))
    stretch = np.exp(random.uniform(-1, 1) * np.log(change.crop_ratio) / 2)
    crop_height_px = max(1, min(height_px, round(height_px * side * stretch)))
    crop_width_px = max(1, min(width_px, round(width_px * side / stretch)))
    top_px = int(random.integers(height_px - crop_height_px + 1))
    left_px = int(random.integers(width_px - crop_width_px + 1))
    return pixels[top_px : top_px + crop_height_px, left_px : left_px + crop_width_px]


def _turn(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Turn and mirror a square in one of its eight ways."""
    turned = np.rot90(pixels, int(random.integers(4)))
    return np.ascontiguousarray(turned[:, ::-1] if random.random() < 0.5 else turned)
