"""Pictures of a place: the tile, pixel for pixel; its surroundings; and both in small, within so many bytes."""

from typing import NamedTuple

from pipeline import storage
from pipeline.dataset.targets import mark_of
from pipeline.images.decode import Pixels
from pipeline.labels.boxes import cut
from pipeline.labels.crops import encode_png
from pipeline.reports.thumbnails import encode, shrink, to_data_url
from pipeline.review.places import Place

SIDES_PX = (640, 448, 320, 224, 160, 112, 80)
"""Longest sides of small pictures, of which the largest that is light enough is taken."""

TILE_PART = 0.6
"""Of the bytes of a place, those that the tile may take; its surroundings take the rest."""


class SmallPictures(NamedTuple):
    """Pictures within a page, as `data:` URLs; None where even the smallest is too heavy."""

    tile: str | None
    around: str | None
    """None, too, where nothing but the tile may leave."""


def write_tile(pixels: Pixels, place: Place, url: str) -> None:
    """Write a tile as it is in its photo.

    Raises:
        DataError: it reaches over the photo's edge, so somebody replaced the photo.
    """
    storage.write_whole(url, encode_png(cut(pixels, place.place(place.tile.box)), mark_of("review")))


def write_around(pixels: Pixels, place: Place, url: str) -> None:
    """Write the surroundings of a tile.

    Raises:
        DataError: they reach over the photo's edge.
    """
    storage.write_whole(url, encode(cut(pixels, place.place(place.around)), "jpeg", mark_of("review")))


def make_small(pixels: Pixels, place: Place, most_bytes: int) -> SmallPictures:
    """Make the pictures for the page.

    Args:
        pixels: the photo.
        place: where in it.
        most_bytes: of both together, in the page.
    """
    whole = place.around == place.tile.box
    tile = _shrink(cut(pixels, place.place(place.tile.box)), int(most_bytes * (1 if whole else TILE_PART)))
    if whole:
        return SmallPictures(tile, None)
    return SmallPictures(tile, _shrink(cut(pixels, place.place(place.around)), most_bytes - len(tile or "")))


def _shrink(pixels: Pixels, most_bytes: int) -> str | None:
    """Make the largest picture that is light enough."""
    sides = [side for side in SIDES_PX if side < max(pixels.shape[:2])]
    for side in (max(pixels.shape[:2]), *sides) if max(pixels.shape[:2]) <= SIDES_PX[0] else sides:
        url = to_data_url(shrink(pixels, side), "jpeg")
        if len(url) <= most_bytes:
            return url
    return None
