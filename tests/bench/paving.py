"""Photos put together from the sound pictures of a source, so that no seams show.

Pictures of one photo are alike in colour and grain, are brought to the same colour, and fade into each other. Where two
of them mix, their grain is as strong as in either (Heitz & Neyret 2018, blending that keeps the variance).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline import storage
from pipeline.images.decode import Pixels, decode
from pipeline.labels.boxes import cut
from pipeline.labels.labelled_tiles import LabelledTiles, read_labelled_tiles

HEIGHT_PX, WIDTH_PX = 3000, 4000
"""Twelve megapixels."""
SIDE_PX, FADE_PX = 224, 40
"""Of a patch, and of what two of them have in common."""
MOST_PICTURES, ALIKE = 300, 40
"""Pictures that are read of a source, and those among them of which a photo is made."""

Field = NDArray[np.float32]


class Pictures(NamedTuple):
    """Pictures of a source, and how they look."""

    pixels: Sequence[Pixels]
    """Shape (h, w, 3) each."""
    looks: Field
    """The mean colour and twice its standard deviation. Shape: (N, 6)."""


def read_sound(source: str, seed: int) -> Pictures:
    """Read sound pictures of a source, chosen at random."""
    pictures = read_pictures(read_labelled_tiles([source]), label=False, seed=seed)
    looks = [[*picture.mean(axis=(0, 1)), *(2 * picture.std(axis=(0, 1)))] for picture in pictures]
    return Pictures(pictures, np.array(looks, np.float32))


def read_pictures(tiles: LabelledTiles, *, label: bool, seed: int) -> list[Pixels]:
    """Read pictures of one class, chosen at random; of photos with masks, their larger boxes."""
    chosen = np.flatnonzero(tiles.labels == label)
    chosen = chosen[tiles.sizes[chosen] >= np.median(tiles.sizes[chosen])]
    chosen = np.random.default_rng(seed).permutation(chosen)[:MOST_PICTURES]
    return [cut(decode(storage.read_bytes(tiles.urls[index])).pixels, tiles.boxes[index]) for index in chosen]


def pave(pictures: Pictures, random: np.random.Generator, size_px: tuple[int, int]) -> Pixels:
    """Put a photo of a height and width together from pictures that are alike. Shape: (H, W, 3)."""
    first = int(random.integers(len(pictures.looks)))
    alike = np.argsort(np.linalg.norm(pictures.looks - pictures.looks[first], axis=1))[:ALIKE]
    colour = pictures.looks[first, :3]
    photo, strength = np.zeros((*size_px, 3), np.float32), np.zeros(size_px, np.float32)
    for top in range(-FADE_PX, size_px[0], SIDE_PX - FADE_PX):
        for left in range(-FADE_PX, size_px[1], SIDE_PX - FADE_PX):
            patch = _cut_patch(pictures.pixels[int(random.choice(alike))], random)
            _lay(patch - patch.mean(axis=(0, 1)), (top, left), photo, strength)
    photo /= np.sqrt(strength)[..., None]
    photo += colour
    paved: Pixels = np.clip(np.rint(photo, out=photo), 0, 255, out=photo).astype(np.uint8)
    return paved


def _lay(patch: Field, place: tuple[int, int], photo: Field, strength: Field) -> None:
    """Add a patch, weaker to its edges, and the square of its weight, in place."""
    ramp = np.minimum(np.arange(SIDE_PX) + 0.5, SIDE_PX - 0.5 - np.arange(SIDE_PX)) / FADE_PX
    ramp = np.minimum(ramp, 1).astype(np.float32)
    inside = tuple(slice(max(0, -start), limit - start) for start, limit in zip(place, strength.shape, strict=True))
    weight = np.outer(ramp, ramp)[inside]
    part = tuple(slice(max(0, start), start + SIDE_PX) for start in place)
    photo[part] += patch[inside] * weight[..., None]
    strength[part] += weight**2


def _cut_patch(picture: Pixels, random: np.random.Generator) -> Field:
    """Cut a square out of a picture at a random place, turned; smaller pictures go on as in a mirror."""
    lacking = [(0, max(0, SIDE_PX - side)) for side in picture.shape[:2]]
    large = np.pad(picture, [*lacking, (0, 0)], mode="symmetric")
    top, left = (int(random.integers(side - SIDE_PX + 1)) for side in large.shape[:2])
    turned = np.rot90(large[top : top + SIDE_PX, left : left + SIDE_PX], int(random.integers(4)))
    return turned.astype(np.float32)
