"""The pixels of a tile as the network sees them: resized for scoring, changed at random for training.

A tile's randomness comes from the seed, the epoch and the tile's number, so neither the number of workers nor the order
of work changes a picture. Light and camera are in `photometric`, marks and drawn cracks in `synthetic.augmentations`,
clutter in `synthetic.clutter`, normalisation in `models.network`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.images.decode import Pixels, resize
from pipeline.synthetic import augmentations
from pipeline.synthetic.clutter import paint_clutter
from pipeline.training import crack_targets
from pipeline.training.crack_targets import CRACK, SOUND, UNKNOWN, Target, resize_target, tile_label
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
    joined: float = 0.0
    """Part of the tiles that share the picture with two or four surfaces, as where concrete meets something else."""
    cluttered_sound: float = 0.0
    """Part of the sound tiles that get clutter in place of marks."""
    cluttered_cracked: float = 0.0
    """The same of the cracked tiles whose mask tells whether the crack is still to be seen."""


CHANGES = {
    "plain": Change(crop_area=0.6, crop_ratio=1.25, camera=PLAIN),
    "field": Change(crop_area=0.4, crop_ratio=1.25, camera=FIELD, busy_sound=0.25, busy_cracked=0.12, marked=0.5,
                    sizes=(5 / 7, 6 / 7, 1.0), joined=0.2, cluttered_sound=0.6, cluttered_cracked=0.35),
}  # fmt: skip


MOST_KINDS_SOUND, MOST_KINDS_CRACKED = 3, 1
"""Kinds of clutter at once; the crack is to be found among them."""
LEAST_SEEN = 0.6
"""Part of its crack that a picture must keep under clutter; else it gets none."""
LEAST_ZONE = 0.4
"""Part of a joined picture that a cracked tile without a mask must keep to count as cracked."""

Other = Callable[[int], Pixels]
"""Gives a picture of a sound surface with this side, at random."""


class Picture(NamedTuple):
    """A tile on its way to the network."""

    pixels: Pixels
    target: Target
    """What each pixel shows, of the same height and width."""
    cracked: bool | None
    """Its label; None if it shows too little of its crack to have one."""


class Batch(NamedTuple):
    """N pictures of one size."""

    pixels: Pixels
    """Shape (N, T, T, 3)."""
    targets: NDArray[np.uint8]
    """Shape (N, T, T)."""
    labels: NDArray[np.float32]
    """1 cracked, 0 sound, NaN for None; shape (N,)."""


def join_pictures(pictures: list[Picture]) -> Batch:
    """Make a batch."""
    pixels, targets, labels = zip(*pictures, strict=True)
    return Batch(np.stack(pixels), np.stack(targets), np.array(labels, dtype=np.float32))


def for_scoring(pixels: Pixels, tile_px: int) -> Pixels:
    """Resize a tile, as `score` does.

    Shape: (H, W, 3) → (tile_px, tile_px, 3).
    """
    return resize(pixels, tile_px, tile_px)


def for_training(
    tile: Picture, tile_px: int, random: np.random.Generator, change: Change, other: Other | None = None
) -> Picture:
    """Change a tile at random: framing, surfaces beside it, marks or clutter, light, sharpness, noise.

    Args:
        tile: of any size; None as its label draws a crack on a sound tile.
        tile_px: side of the result.
        random: of this tile in this epoch.
        change: how far.
        other: gives other surfaces; None draws none.
    """
    framed = _turn(_crop(tile, random, change, tile_px), random)
    if tile.cracked is None:  # not `framed`: a part of a cracked tile may have lost its label
        framed = _paint_crack(framed, random, change)
    if other is not None and random.random() < change.joined:
        framed = _join_surfaces(framed, random, other)
    framed = _paint_over(framed, random, change, other)
    return framed._replace(pixels=photograph(framed.pixels, random, change.camera))


def _paint_crack(sound: Picture, random: np.random.Generator, change: Change) -> Picture:
    drawn = augmentations.paint_cracks(sound.pixels, random, change.busy_cracked)
    return Picture(drawn.pixels, crack_targets.from_mask(drawn.crack), cracked=True)


def _join_surfaces(picture: Picture, random: np.random.Generator, other: Other) -> Picture:
    """Keep one of two or four zones of a picture, and show other surfaces in the rest."""
    side_px = len(picture.pixels)
    cuts = [(0, round(float(at) * side_px), side_px) for at in random.uniform(0.25, 0.75, 2)]
    rows, cols = ([slice(*pair) for pair in pairwise(cut)] for cut in cuts)
    whole = [slice(0, side_px)]
    rows, cols = ((rows, whole), (whole, cols), (rows, cols), (rows, cols))[int(random.integers(4))]
    zones = [(row, col) for row in rows for col in cols]
    kept = int(random.integers(len(zones)))
    pixels, target = picture.pixels.copy(), picture.target.copy()
    for number, zone in enumerate(zones):
        if number != kept:
            pixels[zone], target[zone] = other(side_px)[zone], SOUND
    if not picture.cracked:
        return Picture(pixels, target, picture.cracked)
    if (picture.target == CRACK).any():
        return Picture(pixels, target, tile_label(target) or None)
    is_large = target[zones[kept]].size >= LEAST_ZONE * target.size
    return Picture(pixels, target, True if is_large else None)


def _paint_over(picture: Picture, random: np.random.Generator, change: Change, other: Other | None) -> Picture:
    """Paint clutter or marks. Of a crack without a mask nobody would know whether clutter hides it."""
    has_mask = not picture.cracked or bool((picture.target == CRACK).any())
    share = change.cluttered_cracked if picture.cracked else change.cluttered_sound
    if other is not None and has_mask and random.random() < share:
        most_kinds = MOST_KINDS_CRACKED if picture.cracked else MOST_KINDS_SOUND
        side_px = len(picture.pixels)
        clutter = paint_clutter(picture.pixels, random, most_kinds, lambda: other(side_px))
        target = np.where(clutter.hidden & (picture.target == CRACK), UNKNOWN, picture.target)
        if (target == CRACK).sum() >= LEAST_SEEN * (picture.target == CRACK).sum():
            return picture._replace(pixels=clutter.pixels, target=target)
    if random.random() < change.marked:
        busy = change.busy_cracked if picture.cracked else change.busy_sound
        return picture._replace(pixels=augmentations.paint_marks(picture.pixels, random, busy))
    return picture


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


def _crop(tile: Picture, random: np.random.Generator, change: Change, tile_px: int) -> Picture:
    """Keep a part of a tile, as a square of the network's side; its crack may be left out."""
    height_px, width_px = tile.target.shape
    side = np.sqrt(random.uniform(change.crop_area, 1))
    stretch = np.exp(random.uniform(-1, 1) * np.log(change.crop_ratio) / 2)
    crop_height_px = max(1, min(height_px, round(height_px * side * stretch)))
    crop_width_px = max(1, min(width_px, round(width_px * side / stretch)))
    top_px = int(random.integers(height_px - crop_height_px + 1))
    left_px = int(random.integers(width_px - crop_width_px + 1))
    part = np.s_[top_px : top_px + crop_height_px, left_px : left_px + crop_width_px]
    target = resize_target(tile.target[part], tile_px, tile_px)
    has_mask = bool((tile.target == CRACK).any())
    cracked = (tile_label(target) or None) if tile.cracked and has_mask else tile.cracked
    return Picture(resize(tile.pixels[part], tile_px, tile_px), target, cracked)


def _turn(picture: Picture, random: np.random.Generator) -> Picture:
    """Turn and mirror a square in one of its eight ways."""
    quarters, is_mirrored = int(random.integers(4)), random.random() < 0.5

    def turn(square: NDArray[np.uint8]) -> NDArray[np.uint8]:
        turned = np.rot90(square, quarters)
        return np.ascontiguousarray(turned[:, ::-1] if is_mirrored else turned)

    return picture._replace(pixels=turn(picture.pixels), target=turn(picture.target))
