"""The rasters of a dataset: `rasters.parquet`, the cracks joined over windows, and where tiles and cracks lie.

A raster is an archive whose photos are windows; tiles and cracks are in its pixels. Its run writes the file as it lists
the raster. The file says nothing that the raster does not, so it may be written again at any time. Nor does
`raster_cracks.parquet` say what the committed rows do not: docs/decisions/0028-rasters-on-the-map.md.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa

from pipeline import storage
from pipeline.core import table_schemas
from pipeline.core.errors import DatasetError
from pipeline.core.wkt import parse_lines
from pipeline.dataset.commit_log import read_table, table_bytes
from pipeline.dataset.layout import Layout
from pipeline.dataset.sql import Connection, shorten_decimals, views
from pipeline.images.tiles import TileSpec, starts
from pipeline.rasters.geopackage import Feature, Layer
from pipeline.rasters.georeference import Georeference, Geotransform, Points, list_doubts, name_crs

ShapeTable = Literal["tiles", "cracks"]
"""The tables whose rows lie in a raster."""

Row = dict[str, Any]
JoinPieces = Callable[[Sequence[Row], Sequence[Row]], Iterable[Row]]
"""Joins cracks over windows: from the rows of `CRACKS` of one raster, and its windows with their `image_id`, `row`,
`col`, `left_px`, `right_px`, `top_px` and `bottom_px`, to rows of `CRACKS`."""

_BATCH_ROWS = 10_000
_JOIN_AGAIN = "Remove it and summary.json, and run `crackscan score` again: it joins the cracks anew."

_SHAPES: dict[ShapeTable, str] = {
    "tiles": """
        SELECT image_id || '-' || "row" || '-' || col AS id, archive, image, image_id, "row", col, left_px, top_px,
               width_px, height_px, crack_score
        FROM tiles WHERE archive = $archive AND crack_score >= getvariable('photo_threshold') ORDER BY top_px, left_px
    """,
    "cracks": """
        SELECT image_id || '-' || crack AS id, cracks.* EXCLUDE (part)
        FROM cracks WHERE archive = $archive ORDER BY image, image_id, crack
    """,
}
"""The rows of a raster: of its tiles, those at or over the threshold."""

_JOINABLE = "SELECT DISTINCT archive FROM rasters SEMI JOIN committed_cracks USING (archive) ORDER BY archive"

_WINDOWS = """
    WITH corners AS (
        SELECT image_id, min(left_px) AS left_px, min(top_px) AS top_px, max(left_px + width_px) AS right_px,
               max(top_px + height_px) AS bottom_px
        FROM tiles WHERE archive = $archive GROUP BY image_id),
    named AS (
        SELECT image_id, regexp_extract(image, 'r(\\d+)c(\\d+)', 1)::INTEGER AS "row",
               regexp_extract(image, 'r(\\d+)c(\\d+)', 2)::INTEGER AS col
        FROM images WHERE archive = $archive AND status = 'ok')
    SELECT image_id, "row", col, min(left_px) OVER (PARTITION BY col) AS left_px,
           max(right_px) OVER (PARTITION BY col) AS right_px, min(top_px) OVER (PARTITION BY "row") AS top_px,
           max(bottom_px) OVER (PARTITION BY "row") AS bottom_px
    FROM named JOIN corners USING (image_id)
"""
"""The windows of a raster. Tiles that show nothing have no row, so all windows of a row say how high it is."""

_PIECES = "FROM committed_cracks WHERE archive = $archive ORDER BY image, image_id, crack"

PIXEL_PLACES = 9
"""Decimals of a degree in GeoJSON: a tenth of a millimetre."""

SHAPE_TABLES: tuple[ShapeTable, ...] = ("tiles", "cracks")

_SHAPE_COLUMNS: dict[ShapeTable, dict[str, type]] = {
    table: {
        field.name: str if pa.types.is_string(field.type) else int if pa.types.is_integer(field.type) else float
        for field in declared
        if field.name not in {"part", "line_wkt"}
    }
    for table, declared in zip(SHAPE_TABLES, (table_schemas.TILES, table_schemas.CRACKS), strict=True)
}
"""Columns of a layer of a GeoPackage."""


@dataclass(frozen=True)
class Raster:
    """A raster of a dataset."""

    archive: str
    """As in the column `archive`."""
    width_px: int
    height_px: int
    georeference: Georeference | None = None
    """None where it has none."""
    nodata: float | None = None
    """Value of pixels that show nothing."""
    overviews: tuple[int, ...] = ()
    """How many times smaller each of its overviews is."""

    @property
    def is_on_earth(self) -> bool:
        """Whether its pixels have longitude and latitude."""
        return self.georeference is not None and self.georeference.is_on_earth

    @property
    def mm_per_px(self) -> float | None:
        """Millimetres of ground to a pixel in its middle, None where its georeference tells none."""
        if self.georeference is None:
            return None
        size = self.georeference.measure_pixel((self.width_px / 2, self.height_px / 2))
        return None if size is None else size.mm_per_px


class Shape(NamedTuple):
    """A row with its outline or lines."""

    row: dict[str, Any]
    """Its `id`, and its columns."""
    lines: Sequence[Points]
    """The one closed ring of a tile, or the lines of a crack. Shape: (N, 2) each."""


def read_rasters(layout: Layout) -> list[Raster]:
    """Read the rasters of a dataset, in the order of their URLs.

    Raises:
        DatasetError: the file is damaged.
    """
    url = layout.rasters
    if not storage.exists(url):
        return []
    table = read_table(url)
    if not table.schema.equals(table_schemas.RASTERS):
        raise DatasetError(
            f"{url} has other columns than crackscan writes. Remove it, and run `crackscan score` again."
        )
    try:
        return [_parse_row(row) for row in table.sort_by("archive").to_pylist()]
    except (TypeError, ValueError) as error:
        raise DatasetError(f"{url} is damaged: {error} Remove it, and run `crackscan score` again.") from error


def add_rasters(layout: Layout, rasters: Iterable[Raster]) -> None:
    """Write rasters, instead of those of the same URL; only who holds the dataset may call it."""
    by_archive = {raster.archive: raster for raster in (*read_rasters(layout), *rasters)}
    rows = [_format_row(raster) for _, raster in sorted(by_archive.items())]
    storage.write_whole(layout.rasters, table_bytes(pa.Table.from_pylist(rows, table_schemas.RASTERS)))


def find_faults(layout: Layout) -> list[str]:
    """Find what is wrong with a dataset's `rasters.parquet` and the joined cracks, if there are any."""
    try:
        rasters, joined = read_rasters(layout), _read_joined(layout)
    except DatasetError as error:
        return [str(error)]
    if not joined.schema.equals(table_schemas.CRACKS):
        return [f"{layout.raster_cracks} has other columns than crackscan writes. {_JOIN_AGAIN}"]
    twice = {one.archive for one, next_one in pairwise(rasters)
             if one.archive == next_one.archive}  # fmt: skip
    empty = [raster.archive for raster in rasters if min(raster.width_px, raster.height_px) <= 0]
    return [*sorted(twice), *empty]


def _read_joined(layout: Layout) -> pa.Table:
    """Read the cracks that are joined over windows."""
    if not storage.exists(layout.raster_cracks):
        return table_schemas.CRACKS.empty_table()
    try:
        return read_table(layout.raster_cracks)
    except DatasetError as error:
        raise DatasetError(f"{error} {_JOIN_AGAIN}") from error


def make_grid_lines(sizes: Iterable[tuple[str, int, int]], spec: TileSpec) -> pa.Table:
    """Return where the rows and columns of tiles of rasters start and end.

    Args:
        sizes: URL, height and width of each raster.
        spec: their tiles.
    """
    rows = [
        (archive, axis, number, start_px, start_px + min(side_px, spec.tile_px))
        for archive, height_px, width_px in sizes
        for axis, side_px in (("row", height_px), ("col", width_px))
        for number, start_px in enumerate(starts(side_px, min(side_px, spec.tile_px), spec.step_px))
    ]
    return pa.Table.from_pylist([dict(zip(_GRID_LINES.names, row, strict=True)) for row in rows], _GRID_LINES)


_GRID_LINES = pa.schema(
    {"archive": pa.string(), "axis": pa.string(), "number": pa.int64(), "start_px": pa.int64(), "end_px": pa.int64()}
)


def write_joined_cracks(layout: Layout, join: JoinPieces) -> None:
    """Write the cracks of all rasters, joined over windows; nothing where there are none.

    Args:
        layout: the dataset, whose windows all have their rows, and which the caller holds.
        join: joins those of one raster.
    """
    if not storage.exists(layout.rasters):
        return
    with views(layout, rescaled=False) as connection:
        archives = [archive for (archive,) in connection.execute(_JOINABLE).fetchall()]
        tables = [_join_cracks(connection, archive, join) for archive in archives]
    if tables:
        storage.write_whole(layout.raster_cracks, table_bytes(pa.concat_tables(tables)))


def _join_cracks(connection: Connection, archive: str, join: JoinPieces) -> pa.Table:
    windows, pieces = (
        connection.sql(sql, params={"archive": archive}).to_arrow_table().to_pylist() for sql in (_WINDOWS, _PIECES)
    )
    return pa.Table.from_pylist([*_number(join(pieces, windows))], table_schemas.CRACKS)


def _number(rows: Iterable[Row]) -> Iterator[Row]:
    """Number the cracks of each window from 0, the longest first."""
    numbers = dict[str, int]()
    for row in sorted(rows, key=lambda row: (row["image"], row["image_id"], -row["length_px"], row["line_wkt"])):
        number = numbers.get(row["image_id"], 0)
        numbers[row["image_id"]] = number + 1
        yield row | {"crack": number}


def read_shapes(connection: Connection, table: ShapeTable, archive: str) -> Iterator[list[Shape]]:
    """Read the tiles at or over the threshold, or the cracks, of a raster, some at a time; lines in its pixels.

    Args:
        connection: see `sql.views`.
        table: which of them.
        archive: the raster.
    """
    found = shorten_decimals(connection.sql(_SHAPES[table], params={"archive": archive}))
    for batch in found.to_arrow_reader(_BATCH_ROWS):
        rows = batch.to_pylist()
        if rows:
            outline = _draw_box if table == "tiles" else _read_lines
            yield [Shape(row, outline(row)) for row in rows]


def place_shapes(shapes: Sequence[Shape], to_place: Callable[[Points], Points]) -> list[Shape]:
    """Move shapes onto a map; those that it cannot show are left out.

    Args:
        shapes: in pixels.
        to_place: from pixels to places. Shape: (N, 2) → (N, 2).
    """
    lines = [line for shape in shapes for line in shape.lines]
    places = to_place(np.concatenate(lines))
    placed = iter(np.split(places, np.cumsum([len(line) for line in lines])[:-1]))
    moved = [Shape(shape.row, [next(placed) for _ in shape.lines]) for shape in shapes]
    return [shape for shape in moved if all(np.isfinite(line).all() for line in shape.lines)]


def list_features(connection: Connection, table: ShapeTable, rasters: Sequence[Raster]) -> Iterator[dict[str, Any]]:
    """Yield the tiles at or over the threshold, or the cracks, of rasters as features of GeoJSON, in WGS 84."""
    for raster in rasters:
        if raster.georeference is not None and raster.is_on_earth:
            for shapes in read_shapes(connection, table, raster.archive):
                for shape in place_shapes(shapes, raster.georeference.to_lonlat):
                    yield _make_feature(shape, table)


def _make_feature(shape: Shape, table: ShapeTable) -> dict[str, Any]:
    """Make a polygon of a tile, counterclockwise as RFC 7946 asks, or lines of a crack."""
    lines = [np.round(line, PIXEL_PLACES) for line in shape.lines]
    if table == "tiles":
        kind, lines = "Polygon", [line if _is_counterclockwise(line) else line[::-1] for line in lines]
    else:
        kind = "MultiLineString"
    name, geometry = shape.row.pop("id"), {"type": kind, "coordinates": [line.tolist() for line in lines]}
    return {"type": "Feature", "id": name, "geometry": geometry, "properties": shape.row}


def _is_counterclockwise(ring: Points) -> bool:
    """Tell how a ring runs, by the sign of its area from its first corner: far numbers would round."""
    x, y = (ring - ring[0]).T
    return bool((x[:-1] * y[1:] - x[1:] * y[:-1]).sum() > 0)


def list_layers(connection: Connection, rasters: Sequence[Raster]) -> list[Layer]:
    """Return layers of tiles at or over the threshold and of cracks, for each CRS; rows are read as they are used."""
    by_crs: dict[str | None, list[Raster]] = {}
    for raster in rasters:
        crs = None if raster.georeference is None else raster.georeference.crs
        by_crs.setdefault(crs, []).append(raster)
    return [
        Layer(
            table if number == 1 else f"{table}_{number}",
            "POLYGON" if table == "tiles" else "MULTILINESTRING",
            _SHAPE_COLUMNS[table],
            crs,
            _list_rows(connection, table, members),
        )
        for number, (crs, members) in enumerate(by_crs.items(), 1)
        for table in SHAPE_TABLES
    ]


def _list_rows(connection: Connection, table: ShapeTable, rasters: Sequence[Raster]) -> Iterator[Feature]:
    for raster in rasters:
        place = raster.georeference or Georeference.of_pixels()
        for shapes in read_shapes(connection, table, raster.archive):
            for shape in place_shapes(shapes, place.to_map):
                yield Feature(shape.lines, [shape.row[name] for name in _SHAPE_COLUMNS[table]])


def note_doubts(raster: Raster) -> list[str]:
    """Say in sentences what a raster does not tell, or tells only roughly."""
    return list_doubts(raster.georeference, (raster.width_px / 2, raster.height_px / 2))


def note_description(archive: str, found: Mapping[str, Any]) -> list[str]:
    """Say in sentences what of a raster is not read, or not known, when it is listed.

    Args:
        archive: the raster.
        found: what its listing says of it, see `read_description`.
    """
    doubts = note_doubts(read_description(archive, found))
    if found.get("problem"):
        doubts = [f"It works in pixels, and tells no scale: {found['problem']}."]
    if not found.get("unread_bands"):
        return doubts
    read = "the first three are" if found["bands"] > 2 else "the first is"
    return [f"It has {found['bands']} bands, of which {read} read.", *doubts]


def note_places(rasters: Sequence[Raster], *, by_pixel: bool) -> list[str]:
    """Say which rasters have no place on earth, and what became of them.

    Args:
        rasters: those of a map.
        by_pixel: whether the map shows such rasters, too.
    """
    shown = "its layers are in pixels" if by_pixel else "it is not on this map; --to gpkg shows its pixels"
    site = "its layers are in that grid" if by_pixel else "it is not on this map; --to gpkg shows it"
    return [
        f"{raster.archive} has no coordinate reference system: {shown}."
        if raster.georeference is None or raster.georeference.crs is None
        else f"{raster.archive} lies in {name_crs(raster.georeference.crs)}, a grid without a place on earth: {site}."
        for raster in rasters
        if not raster.is_on_earth
    ]


def _draw_box(row: dict[str, Any]) -> list[Points]:
    left, top = row["left_px"], row["top_px"]
    right, bottom = left + row["width_px"], top + row["height_px"]
    return [np.array([[left, top], [left, bottom], [right, bottom], [right, top], [left, top]], np.float64)]


def _read_lines(row: dict[str, Any]) -> Sequence[Points]:
    return parse_lines(row.pop("line_wkt"))


def _format_row(raster: Raster) -> dict[str, Any]:
    place = raster.georeference
    return {
        "archive": raster.archive,
        "width_px": raster.width_px,
        "height_px": raster.height_px,
        "crs": place and place.crs,
        "geotransform": place and list(place.geotransform),
        "nodata": raster.nodata,
        "overviews": list(raster.overviews),
    }


def _parse_row(row: dict[str, Any]) -> Raster:
    place = None if row["geotransform"] is None else Georeference(_six(row["geotransform"]), row["crs"])
    return Raster(
        row["archive"], row["width_px"], row["height_px"], place, row["nodata"], tuple(row["overviews"] or ())
    )


def read_description(archive: str, found: Mapping[str, Any]) -> Raster:
    """Return a raster as its listing describes it: with the columns of `RASTERS`, without `archive`."""
    return _parse_row({**found, "archive": archive})


def _six(numbers: Sequence[float]) -> Geotransform:
    if len(numbers) != 6:
        raise ValueError(f"a geotransform has {len(numbers)} numbers, not 6.")
    return numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5]
