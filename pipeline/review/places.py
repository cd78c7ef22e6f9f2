"""The places to look at: chosen tiles with what surrounds them and the cracks that run there."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.core.wkt import Line, parse_lines
from pipeline.dataset.sql import Connection
from pipeline.findings.crack_tiles import runs_through
from pipeline.labels.boxes import Box
from pipeline.reports.dataset_stats import find_corner
from pipeline.reports.width_classes import WidthClass, classify, format_width
from pipeline.review.crack_lines import clip
from pipeline.review.selection import ReviewTile

_PHOTOS = "SELECT image_id, height_px, width_px FROM images WHERE image_id IN (SELECT unnest(?))"

_CRACKS = """
    SELECT image_id, crack, line_wkt, crack_width_px_p95, crack_width_mm_p95 FROM cracks
    WHERE image_id IN (SELECT unnest(?)) ORDER BY image_id, crack
"""


class DrawnCrack(NamedTuple):
    """The part of a crack that lies in the surroundings of a tile."""

    number: int
    """Its number in its photo."""
    lines: Sequence[Line]
    """In pixels of the photo."""
    width_class: WidthClass
    width: str
    """For people, with its unit."""
    is_through: bool
    """Whether it runs through the tile."""


@dataclass(frozen=True)
class Place:
    """A tile to look at."""

    tile: ReviewTile
    around: Box
    """What surrounds it: a tile to each side, as far as the photo goes; the tile alone where nothing else may leave."""
    corner_px: tuple[int, int]
    """Left and top of the pixels of its photo, see `find_corner`."""
    drawn: Sequence[DrawnCrack]

    @property
    def cracks(self) -> str:
        """The numbers of the cracks that run through the tile, with blanks between."""
        return " ".join(str(crack.number) for crack in self.drawn if crack.is_through)

    def place(self, box: Box) -> Box:
        """Return a box of the photo in the pixels that can be read of it: in a raster, those of its window."""
        left_px, top_px = self.corner_px
        return box._replace(left_px=box.left_px - left_px, top_px=box.top_px - top_px)


class _Crack(NamedTuple):
    number: int
    lines: Sequence[Line]
    width_class: WidthClass
    width: str


def find_places(connection: Connection, chosen: Sequence[ReviewTile], *, crop_only: bool) -> list[Place]:
    """Find the surroundings and the cracks of chosen tiles.

    Args:
        connection: DuckDB with a dataset's views.
        chosen: the tiles.
        crop_only: whether nothing but the tile may be shown.
    """
    image_ids = sorted({tile.image_id for tile in chosen})
    sizes = {image_id: size for image_id, *size in connection.execute(_PHOTOS, [image_ids]).fetchall()}
    cracks = _read_cracks(connection, image_ids)
    places = []
    for tile in chosen:
        corner_px = find_corner(tile.archive, tile.image)
        around = tile.box if crop_only else _surround(tile.box, corner_px, *sizes[tile.image_id])
        places.append(Place(tile, around, corner_px, _draw(cracks.get(tile.image_id, []), tile.box, around)))
    return places


def _surround(box: Box, corner_px: tuple[int, int], height_px: int, width_px: int) -> Box:
    """Return a box with as much to each side, in its photo."""
    left_px, top_px = corner_px
    top, left = max(top_px, box.top_px - box.height_px), max(left_px, box.left_px - box.width_px)
    bottom = min(top_px + height_px, box.top_px + 2 * box.height_px)
    right = min(left_px + width_px, box.left_px + 2 * box.width_px)
    return Box(top, left, bottom - top, right - left)


def _read_cracks(connection: Connection, image_ids: Sequence[str]) -> Mapping[str, Sequence[_Crack]]:
    found = defaultdict[str, list[_Crack]](list)
    for image_id, number, line_wkt, width_px, width_mm in connection.execute(_CRACKS, [image_ids]).fetchall():
        width_class, width = classify(width_px, width_mm), format_width(width_px, width_mm)
        found[image_id].append(_Crack(number, parse_lines(line_wkt), width_class, width))
    return found


def _draw(cracks: Sequence[_Crack], box: Box, around: Box) -> list[DrawnCrack]:
    drawn = []
    for crack in cracks:
        lines = [part for line in crack.lines for part in clip(line, around)]
        if lines:
            drawn.append(DrawnCrack(crack.number, lines, *crack[2:], runs_through(crack.lines, box)))
    return drawn
