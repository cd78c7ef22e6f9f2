"""Pictures of rasters: a region, or the whole in small, with the heat of tiles and the lines of cracks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipeline import storage
from pipeline.core.errors import DataError, StorageError, UsageError
from pipeline.dataset.layout import Layout
from pipeline.dataset.moves import read_moves
from pipeline.dataset.rasters import Raster, note_doubts
from pipeline.dataset.sql import Connection
from pipeline.images.tiles import Tile
from pipeline.rasters.georeference import name_crs
from pipeline.rasters.regions import MOST_REGION_PIXELS, RegionReader
from pipeline.rasters.windows import Size
from pipeline.reports import crack_stats, heatmap, thumbnails
from pipeline.reports.crack_stats import CrackLines
from pipeline.reports.dataset_stats import read_rows
from pipeline.reports.heatmap import TileScores
from pipeline.reports.photo_cards import Frame, Picture, draw_path
from pipeline.storage.byte_ranges import FileRangeReader

_TILES = """
    SELECT greatest(top_px - $top, 0) AS first_row, greatest(left_px - $left, 0) AS first_col,
           least(top_px + height_px - $top, $height) AS end_row, least(left_px + width_px - $left, $width) AS end_col,
           crack_score
    FROM tiles WHERE archive = $archive AND left_px < $left + $width AND left_px + width_px > $left
        AND top_px < $top + $height AND top_px + height_px > $top
"""


OVERVIEW_PX = 1600
"""Longest side of a raster's picture in a page."""
MOST_LINES = 3000
"""Cracks drawn over it, the widest."""
PLACE_PX = 448
"""Side of a place that is cut out."""


class Place(NamedTuple):
    """A place of a raster, pixel for pixel."""

    picture: str
    """A `data:` URL."""
    title: str


@dataclass(frozen=True)
class RasterCard:
    """A raster in a page."""

    raster: Raster
    picture: Picture | None
    """The whole in small; None where that cannot be read, or takes too long."""
    places: Sequence[Place]
    """The worst, the worst first."""
    notes: Sequence[str]
    """What people should know of it."""

    @property
    def system(self) -> str:
        """The name of its coordinate reference system, or that it has none."""
        place = self.raster.georeference
        return "in pixels" if place is None or place.crs is None else name_crs(place.crs)


class Region(NamedTuple):
    """A rectangle of a raster, in its pixels."""

    left_px: int
    top_px: int
    width_px: int
    height_px: int

    @classmethod
    def whole(cls, raster: Raster) -> "Region":
        """Return all of a raster."""
        return cls(0, 0, raster.width_px, raster.height_px)

    def check(self, raster: Raster) -> None:
        """Refuse a region that is none of a raster, or too large for one picture.

        Raises:
            UsageError: says what it is.
        """
        right, bottom = self.left_px + self.width_px, self.top_px + self.height_px
        is_inside = 0 <= self.left_px < right <= raster.width_px and 0 <= self.top_px < bottom <= raster.height_px
        if not is_inside:
            raise UsageError(
                f"--region is {','.join(map(str, self))}; expected left,top,width,height within the raster's "
                f"{raster.width_px:,} x {raster.height_px:,} pixels."
            )
        if self.width_px * self.height_px > MOST_REGION_PIXELS:
            raise UsageError(
                f"--region has {self.width_px * self.height_px:,} pixels; expected at most {MOST_REGION_PIXELS:,}. "
                "Give a smaller one."
            )


def open_region_reader(layout: Layout, raster: Raster) -> RegionReader:
    """Open a raster of a dataset where it lies now.

    Raises:
        StorageError: it is gone, or cannot be read.
    """
    file = storage.stat(read_moves(layout).place_of(raster.archive))
    return RegionReader(FileRangeReader(file.url, file.size_bytes), Size(raster.height_px, raster.width_px))


def find_raster(rasters: Sequence[Raster], name: str) -> Raster:
    """Return the raster of a URL, or of the end of one.

    Raises:
        UsageError: there is none, or there are several.
    """
    exact = [raster for raster in rasters if name in {raster.archive, raster.archive.removeprefix(storage.LOCAL)}]
    found = exact or [raster for raster in rasters if raster.archive.endswith(f"/{name.lstrip('/')}")]
    if len(found) != 1:
        listed = ", ".join(raster.archive for raster in rasters[:5]) or "none"
        problem = "No raster" if not found else f"{len(found)} rasters"
        raise UsageError(f"{problem} of the dataset can be meant by {name}; it has: {listed}. Give the URL of one.")
    return found[0]


def read_region_scores(photos: Connection, raster: Raster, region: Region) -> TileScores:
    """Read the tiles in a region, cut to it, in its pixels.

    Args:
        photos: see `dataset_stats.open_photos`.
        raster: the raster.
        region: of it.
    """
    place = {"left": region.left_px, "top": region.top_px, "width": region.width_px, "height": region.height_px}
    rows = read_rows(photos, _TILES, {"archive": raster.archive, **place})
    tiles = [
        Tile(
            0,
            0,
            row["first_row"],
            row["first_col"],
            row["end_row"] - row["first_row"],
            row["end_col"] - row["first_col"],
        )
        for row in rows
    ]
    scores = np.array([row["crack_score"] for row in rows], np.float32)
    return TileScores(region.height_px, region.width_px, tiles, scores)


def make_raster_card(
    photos: Connection, layout: Layout, raster: Raster, most_places: int, *, found_only: bool = False
) -> RasterCard:
    """Read a raster again and make its card; what cannot be read is said in its notes.

    Args:
        photos: see `dataset_stats.open_photos`.
        layout: the dataset.
        raster: one of its rasters.
        most_places: places to cut out, the worst; 0 reads nothing.
        found_only: whether to show places of cracks alone, and not the whole.
    """
    notes = note_doubts(raster)
    if not most_places:
        return RasterCard(raster, None, (), notes)
    scores = read_region_scores(photos, raster, Region.whole(raster))
    cracks = crack_stats.read_lines_in(photos, raster.archive, (0, 0, raster.width_px, raster.height_px))
    picture, places = None, list[Place]()
    try:
        reader = open_region_reader(layout, raster)
        picture = None if found_only else _draw_whole(reader, scores, cracks[-MOST_LINES:])
        places = [*_cut_places(reader, scores, cracks, most_places)] if cracks or not found_only else []
    except (DataError, StorageError) as error:
        notes.append(f"It cannot be read any more: {error}")
    else:
        if picture is None and not found_only:
            notes.append("It has no overviews to be shown by: `gdaladdo -r average FILE 2 4 8 16 32` adds some.")
    return RasterCard(raster, picture, places, notes)


def _draw_whole(reader: RegionReader, scores: TileScores, cracks: Sequence[CrackLines]) -> Picture | None:
    pixels = reader.read_small(OVERVIEW_PX)
    if pixels is None:
        return None
    small = thumbnails.shrink(pixels, OVERVIEW_PX)
    height_px, width_px = small.shape[:2]
    heat = heatmap.draw_layer(scores, height_px, width_px)
    return Picture(
        photo=thumbnails.to_data_url(small, "jpeg"),
        heat=thumbnails.to_data_url(heat, "png"),
        cracks=[draw_path(crack, width_px / scores.width_px) for crack in cracks],
        tile="",
        frame=Frame(0, 0, 100, 100),
        width_px=width_px,
        height_px=height_px,
    )


def _cut_places(reader: RegionReader, scores: TileScores, cracks: Sequence[CrackLines], most: int) -> Iterator[Place]:
    """Yield the middles of the widest cracks; of a raster without, the tiles with the highest scores."""
    found = [(crack.title, crack.lines[0][len(crack.lines[0]) // 2]) for crack in reversed(cracks[-most:])]
    if not cracks:
        worst = np.argsort(-scores.scores, kind="stable")[:most].tolist()
        tiles = [(float(scores.scores[number]), scores.tiles[number]) for number in worst]
        found = [
            (f"Tile score {score:.3f}", np.array([tile.left_px + tile.width_px / 2, tile.top_px + tile.height_px / 2]))
            for score, tile in tiles
        ]
    size = np.minimum((scores.width_px, scores.height_px), PLACE_PX)
    most_corner = np.array([scores.width_px, scores.height_px]) - size
    width_px, height_px = size.tolist()
    for title, middle in found:
        left_px, top_px = np.clip(middle - size / 2, 0, most_corner).astype(int).tolist()
        pixels = reader.read(top_px, left_px, height_px, width_px)
        yield Place(thumbnails.to_data_url(pixels, "jpeg"), f"{title}, at {left_px:,}, {top_px:,}")
