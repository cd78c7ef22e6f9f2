"""Crack maps: where in a photo the network sees a crack, finer than the tile, as an 8-bit grey PNG.

A map is its photo divided by a whole number, `scale`: 0 is sound, 255 a crack for sure, and where tiles overlap the
higher value counts. What the network sees in one tile is `activation`'s business, how good maps are `map_quality`'s.
"""

import io
from collections.abc import Callable, Sequence
from math import ceil, isqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from pipeline.images.decode import resize
from pipeline.images.tiles import Tile, cut
from pipeline.models.batching import score_in_batches

MAP_PIXELS = 1 << 20
"""A map has at most about this many: of a photo of 12 million pixels every fourth, both ways."""
LEAST_SCORE = 0.1
"""Tiles that score less stay black: they cost time, and their pixels could hardly be seen."""
MAP_BATCH_TILES = 4
"""Tiles the network looks into at once: one size, so that a map does not depend on what else is mapped; a photo with
fewer pays for as many."""

Grey = NDArray[np.uint8]

TileMapper = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Tiles, shape (N, T, T, 3) uint8, to where in each of them a crack is, shape (N, h, w): of the highest place 1, of a
place without any crack 0."""


class ScoredPhoto(NamedTuple):
    """A photo whose tiles were scored."""

    image: str
    """Its name, for who finds the map alone."""
    pixels: NDArray[np.uint8]
    """Shape (H, W, 3)."""
    grid: Sequence[Tile]
    scores: NDArray[np.float32]
    """One a tile of the grid."""


class MappedPhoto(NamedTuple):
    """What came of a photo whose crack map was asked for."""

    crack_score: float
    crack_map: bytes
    """PNG, as `PhotoMapper` draws it."""


class PhotoMapper:
    """Draws the crack map of a photo.

    Args:
        map_tiles: finds cracks in tiles.
        tile_px: side of a tile as the network sees it.
        model_id: of its model, for who finds the map alone.
    """

    def __init__(self, map_tiles: TileMapper, tile_px: int, model_id: str) -> None:
        self._map_tiles = map_tiles
        self._tile_px = tile_px
        self._model_id = model_id

    def __call__(self, photo: ScoredPhoto) -> bytes:
        """Return the map as PNG, with `scale`, `model_id` and `image` as its text."""
        scale = scale_of(*photo.pixels.shape[:2])
        about = PngImagePlugin.PngInfo()
        for key, value in {"scale": str(scale), "model_id": self._model_id, "image": photo.image}.items():
            about.add_text(key, value)
        buffer = io.BytesIO()
        Image.fromarray(reduce_map(self._drawn(photo), scale)).save(buffer, "PNG", pnginfo=about)
        return buffer.getvalue()

    def _drawn(self, photo: ScoredPhoto) -> Grey:
        """Put the maps of all tiles together, each as bright as its tile's score.

        Shape: (H, W).
        """
        drawn = np.zeros(photo.pixels.shape[:2], np.uint8)
        chosen = np.flatnonzero(photo.scores >= LEAST_SCORE).tolist()
        tiles = [photo.grid[index] for index in chosen]
        chunks = (
            cut(photo.pixels, tiles[first : first + MAP_BATCH_TILES], self._tile_px)
            for first in range(0, len(tiles), MAP_BATCH_TILES)
        )
        batches = score_in_batches(self._map_tiles, chunks, MAP_BATCH_TILES)
        maps = (found for batch in batches for found in np.asarray(batch))
        for tile, score, found in zip(tiles, photo.scores[chosen], maps, strict=True):
            grey = np.rint(found * (255 * score)).astype(np.uint8)
            box = drawn[tile.top_px : tile.top_px + tile.height_px, tile.left_px : tile.left_px + tile.width_px]
            np.maximum(box, resize(grey, *box.shape), out=box)
        return drawn


def scale_of(height_px: int, width_px: int) -> int:
    """Return the whole number that a photo's sides are divided by: the smallest that leaves few enough pixels."""
    return max(1, isqrt(max(0, height_px * width_px - 1) // MAP_PIXELS) + 1)


def reduce_map(grey: Grey, scale: int) -> Grey:
    """Take the highest of every `scale` x `scale` pixels, so that a crack of one pixel does not fade.

    Shape: (H, W) → (ceil(H / scale), ceil(W / scale)).
    """
    height, width = (ceil(side / scale) for side in grey.shape)
    padded = np.zeros((height * scale, width * scale), np.uint8)
    padded[: grey.shape[0], : grey.shape[1]] = grey
    blocks: Grey = padded.reshape(height, scale, width, scale).max(axis=(1, 3))
    return blocks


def decode_map(png: bytes) -> tuple[Grey, int]:
    """Read a map: its pixels and its scale."""
    with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
        return np.asarray(image), int(image.info["scale"])


def enlarge_map(grey: Grey, scale: int, height_px: int, width_px: int) -> Grey:
    """Bring a map to the size of its photo.

    Shape: (h, w) → (height_px, width_px).
    """
    return grey.repeat(scale, axis=0).repeat(scale, axis=1)[:height_px, :width_px]
