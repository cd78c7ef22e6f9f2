"""Crack maps: where in a photo the network sees a crack, finer than the tile, as an 8-bit grey PNG.

A map has the size of its photo divided by a whole number, `scale`. 0 means sound and 255 certainly cracked; where tiles
overlap, the higher value counts. `saliency` maps single tiles.
"""

import io
from collections.abc import Sequence
from math import ceil, isqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from pipeline.images.decode import Pixels, resize
from pipeline.images.tiles import Tile, cut
from pipeline.models.batching import TileMapper, score_in_batches

MAP_PIXELS = 1 << 20
"""The most pixels of a map, about; a photo of 12 million pixels keeps every fourth row and column."""
LEAST_SCORE = 0.1
"""Tiles that score less stay black: mapping them costs time, and nobody could see the result."""
MAP_BATCH_TILES = 4
"""Tiles that the network maps at once. One size, so that a map does not depend on other photos; fewer tiles cost as
much."""

Grey = NDArray[np.uint8]
"""A grey picture, shape (H, W)."""


class ScoredPhoto(NamedTuple):
    """A photo and the scores of its tiles."""

    image: str
    """Its name, which the map keeps."""
    pixels: Pixels
    """Shape (H, W, 3)."""
    grid: Sequence[Tile]
    scores: NDArray[np.float32]
    """One per tile of the grid."""
    origin_px: tuple[int, int] = (0, 0)
    """Left and top of a window in its raster."""


class MappedPhoto(NamedTuple):
    """The score and the crack map of a photo."""

    crack_score: float
    crack_map: bytes
    """PNG, as `PhotoMapper` draws it."""


class TileMap(NamedTuple):
    """Where in a tile the network sees a crack."""

    tile: Tile
    score: float
    """Of the tile."""
    places: NDArray[np.float32]
    """As `TileMapper` returns them, shape (h, w)."""


class PhotoMapper:
    """Draws the crack map of a photo.

    Args:
        map_tiles: finds cracks in tiles.
        tile_px: side of a tile as the network sees it.
        model_id: of the model, which the map keeps.
        batch_tiles: tiles that are mapped at once; always as many.
    """

    def __init__(self, map_tiles: TileMapper, tile_px: int, model_id: str, batch_tiles: int = MAP_BATCH_TILES) -> None:
        self._map_tiles = map_tiles
        self._batch_tiles = batch_tiles
        self._tile_px = tile_px
        self._model_id = model_id

    def __call__(self, photo: ScoredPhoto) -> bytes:
        """Return the map as PNG; its text fields are `scale`, `model_id` and `image`."""
        return self.draw(photo, self.map_tiles(photo, np.flatnonzero(photo.scores >= LEAST_SCORE).tolist()))

    def map_tiles(self, photo: ScoredPhoto, chosen: Sequence[int]) -> list[TileMap]:
        """Find cracks in some tiles of the grid."""
        tiles = [photo.grid[index] for index in chosen]
        chunks = (
            cut(photo.pixels, tiles[first : first + self._batch_tiles], self._tile_px)
            for first in range(0, len(tiles), self._batch_tiles)
        )
        batches = score_in_batches(self._map_tiles, chunks, self._batch_tiles)
        maps = (found for batch in batches for found in np.asarray(batch))
        return [*map(TileMap, tiles, [float(photo.scores[index]) for index in chosen], maps)]

    def draw(self, photo: ScoredPhoto, maps: Sequence[TileMap]) -> bytes:
        """Return the map as PNG; its text fields are `scale`, `model_id` and `image`."""
        scale = scale_of(*photo.pixels.shape[:2])
        info = PngImagePlugin.PngInfo()
        for key, value in {"scale": str(scale), "model_id": self._model_id, "image": photo.image}.items():
            info.add_text(key, value)
        buffer = io.BytesIO()
        drawn = _join_maps(maps, *photo.pixels.shape[:2])
        Image.fromarray(reduce_map(drawn, scale)).save(buffer, "PNG", pnginfo=info)
        return buffer.getvalue()


def _join_maps(maps: Sequence[TileMap], height_px: int, width_px: int) -> Grey:
    """Join the maps of all tiles, each as bright as its tile's score. Shape: (H, W)."""
    drawn = np.zeros((height_px, width_px), np.uint8)
    for tile, score, places in maps:
        grey = np.rint(places * np.float32(255 * score)).astype(np.uint8)
        box = drawn[tile.top_px : tile.top_px + tile.height_px, tile.left_px : tile.left_px + tile.width_px]
        np.maximum(box, resize(grey, *box.shape), out=box)
    return drawn


def scale_of(height_px: int, width_px: int) -> int:
    """Return the smallest whole number that divides a photo's sides so that few enough pixels are left."""
    return max(1, isqrt(max(0, height_px * width_px - 1) // MAP_PIXELS) + 1)


def reduce_map(grey: Grey, scale: int) -> Grey:
    """Keep the highest of every `scale` x `scale` pixels, so that a crack of one pixel does not fade.

    Shape: (H, W) → (ceil(H / scale), ceil(W / scale)).
    """
    height, width = (ceil(side / scale) for side in grey.shape)
    padded = np.zeros((height * scale, width * scale), np.uint8)
    padded[: grey.shape[0], : grey.shape[1]] = grey
    blocks: Grey = padded.reshape(height, scale, width, scale).max(axis=(1, 3))
    return blocks


def decode_map(png: bytes) -> tuple[Grey, int]:
    """Return the pixels and the scale of a map."""
    with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
        return np.asarray(image), int(image.info["scale"])


def enlarge_map(grey: Grey, scale: int, height_px: int, width_px: int) -> Grey:
    """Enlarge a map to the size of its photo.

    Shape: (h, w) → (height_px, width_px).
    """
    return grey.repeat(scale, axis=0).repeat(scale, axis=1)[:height_px, :width_px]
