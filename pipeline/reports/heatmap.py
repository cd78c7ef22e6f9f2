"""Heat: tile scores as colours over their photo, the same in reports, overlays and legends.

Arrays only. Where tiles overlap the higher score counts, as in crack maps. The photo shows through the colour, so that
an inspector can judge the concrete under it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.images.decode import Pixels
from pipeline.images.tiles import Tile

STOPS = ((0.0, (255, 237, 160)), (0.35, (254, 178, 76)), (0.7, (240, 59, 32)), (1.0, (177, 0, 38)))
"""Scores and their colours, with linear interpolation between them: light to dark and yellow to red, which eyes that
mix up red and green can read, too (after ColorBrewer's YlOrRd)."""

LEAST_SCORE = 0.1
"""Tiles that score less stay clear: otherwise yellow would cover a sound photo."""
MOST_OPACITY = 0.4
"""Opacity at score 1; the crack must stay visible."""
LEAST_OPACITY = 0.15
"""Opacity at `LEAST_SCORE`."""

Scores = NDArray[np.float32]


class TileScores(NamedTuple):
    """The scored tiles of one photo."""

    height_px: int
    """Height of the upright photo."""
    width_px: int
    tiles: Sequence[Tile]
    scores: Scores
    """One for each tile."""

    @property
    def worst(self) -> Tile:
        """The tile with the highest score."""
        return self.tiles[int(np.argmax(self.scores))]


def to_colours(scores: Scores) -> Pixels:
    """Return the colour of each score.

    Shape: (…) → (…, 3).
    """
    places, stops = [place for place, _ in STOPS], np.array([colour for _, colour in STOPS], np.float64)
    channels = [np.interp(scores, places, stops[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def to_css(score: float) -> str:
    """Return the colour of one score in CSS."""
    red, green, blue = to_colours(np.array(score, np.float32)).tolist()
    return f"#{red:02x}{green:02x}{blue:02x}"


def draw_layer(photo: TileScores, height_px: int, width_px: int) -> Pixels:
    """Draw the heat of a photo as a layer for a picture of it, in the size of that picture.

    Shape: (height_px, width_px, 4), RGBA.
    """
    scores = spread_scores(photo, height_px, width_px)
    rise = (scores - LEAST_SCORE) / (1 - LEAST_SCORE)
    opacity = np.where(scores < LEAST_SCORE, 0, LEAST_OPACITY + (MOST_OPACITY - LEAST_OPACITY) * rise)
    alpha = np.rint(255 * opacity).astype(np.uint8)
    return np.concatenate([to_colours(scores), alpha[..., None]], axis=-1)


def blend(pixels: Pixels, rgba: Pixels) -> Pixels:
    """Lay a layer over a picture of the same size.

    Shape: (H, W, 3), (H, W, 4) → (H, W, 3).
    """
    alpha = rgba[..., 3:].astype(np.uint16)
    mixed = pixels * (255 - alpha) + rgba[..., :3] * alpha
    return ((mixed + 127) // 255).astype(np.uint8)


def spread_scores(photo: TileScores, height_px: int, width_px: int) -> Scores:
    """Spread tile scores over the pixels of a picture of their photo; where tiles overlap the highest counts.

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
    """Return the start and end of a box along one side of the picture; adjacent boxes leave no gap."""
    first = int(start_px * scale + 0.5)
    return first, max(first + 1, int((start_px + side_px) * scale + 0.5))
