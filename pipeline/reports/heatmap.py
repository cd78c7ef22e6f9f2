"""Heat: tile scores as colours over their photo, the same in reports, overlays and legends.

Numbers only. Where tiles overlap the higher score counts, as in `maps`. The photo is seen through the colour, so that
an inspector can judge the concrete under it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.images.tiles import Tile

STOPS = ((0.0, (255, 237, 160)), (0.35, (254, 178, 76)), (0.7, (240, 59, 32)), (1.0, (177, 0, 38)))
"""Score to colour, between them a straight line: light to dark and yellow to red, also for eyes that mix up red and
green (after ColorBrewer's YlOrRd)."""

LEAST_SCORE = 0.1
"""Tiles that score less stay clear: else a sound photo would be covered in yellow."""
MOST_OPAQUE = 0.4
"""Opacity at score 1; the crack must still be seen."""
LEAST_OPAQUE = 0.15
"""Opacity at `LEAST_SCORE`."""

Scores = NDArray[np.float32]
Pixels = NDArray[np.uint8]


class TileScores(NamedTuple):
    """The scored tiles of one photo."""

    height_px: int
    """Of the photo, upright."""
    width_px: int
    tiles: Sequence[Tile]
    scores: Scores
    """One a tile."""

    @property
    def worst(self) -> Tile:
        """The tile with the highest score."""
        return self.tiles[int(np.argmax(self.scores))]


def colours(scores: Scores) -> Pixels:
    """Return the colour of each score.

    Shape: (…) → (…, 3).
    """
    places, stops = [place for place, _ in STOPS], np.array([colour for _, colour in STOPS], np.float64)
    channels = [np.interp(scores, places, stops[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def css(score: float) -> str:
    """Return the colour of one score as CSS spells it."""
    red, green, blue = colours(np.array(score, np.float32)).tolist()
    return f"#{red:02x}{green:02x}{blue:02x}"


def layer(photo: TileScores, height_px: int, width_px: int) -> Pixels:
    """Draw the heat of a photo, to be laid over a picture of it of any size.

    Shape: (height_px, width_px, 4), RGBA.
    """
    scores = field(photo, height_px, width_px)
    rise = (scores - LEAST_SCORE) / (1 - LEAST_SCORE)
    opaque = np.where(scores < LEAST_SCORE, 0, LEAST_OPAQUE + (MOST_OPAQUE - LEAST_OPAQUE) * rise)
    alpha = np.rint(255 * opaque).astype(np.uint8)
    return np.concatenate([colours(scores), alpha[..., None]], axis=-1)


def lay_over(pixels: Pixels, rgba: Pixels) -> Pixels:
    """Lay a layer over a picture of the same size.

    Shape: (H, W, 3), (H, W, 4) → (H, W, 3).
    """
    alpha = rgba[..., 3:].astype(np.uint16)
    mixed = pixels * (255 - alpha) + rgba[..., :3] * alpha
    return ((mixed + 127) // 255).astype(np.uint8)


def field(photo: TileScores, height_px: int, width_px: int) -> Scores:
    """Spread tile scores over the pixels of a picture of their photo; the highest counts.

    Shape: (height_px, width_px).
    """
    drawn = np.zeros((height_px, width_px), np.float32)
    down, across = height_px / photo.height_px, width_px / photo.width_px
    for tile, score in zip(photo.tiles, photo.scores, strict=True):
        top, bottom = _span(tile.top_px, tile.height_px, down)
        left, right = _span(tile.left_px, tile.width_px, across)
        box = drawn[top:bottom, left:right]
        np.maximum(box, score, out=box)
    return drawn


def _span(start_px: int, side_px: int, scale: float) -> tuple[int, int]:
    """Return where a box begins and ends along one side of the picture; neighbours leave no gap."""
    first = int(start_px * scale + 0.5)
    return first, max(first + 1, int((start_px + side_px) * scale + 0.5))
