"""A small dataset of rasters, written by the dataset writer: windows of four tiles, and cracks in raster pixels."""

from collections.abc import Sequence
from typing import Any

from pipeline.core.wkt import Line, format_lines
from pipeline.dataset.layout import Layout
from pipeline.dataset.rasters import Raster, add_rasters
from pipeline.images.tiles import Tile
from tests.helpers.small_dataset import BEGAN_AT, THRESHOLD, image_id, write_dataset

RASTER = "file:///maps/deck.tif"
TILE_PX = 100
WINDOW_PX = 2 * TILE_PX


def window(
    top_px: int, left_px: int, lines: Sequence[Line] = (), archive: str = RASTER, mm_per_px: float | None = 0.5
) -> dict[str, Any]:
    """Make the row of a scored window; its first tile is cracked, and each line, in raster pixels, is a crack."""
    name = f"r{top_px:06}c{left_px:06}"
    grid = [Tile(row, col, top_px + row * TILE_PX, left_px + col * TILE_PX, TILE_PX, TILE_PX)
            for row in range(2) for col in range(2)]  # fmt: skip
    tiles = [tile._asdict() | {"crack_score": 0.875 if tile.row == tile.col == 0 else 0.125} for tile in grid]
    cracks = [make_crack(number, line, mm_per_px) for number, line in enumerate(lines)]
    scale = {"mm_per_px": mm_per_px, "scale_source": mm_per_px and "georeference"}
    return {
        "image_id": image_id(archive, name),
        "archive": archive,
        "image": name,
        "occurrence": 0,
        "status": "ok",
        "size_bytes": 1000,
        "height_px": WINDOW_PX,
        "width_px": WINDOW_PX,
        "grid": tiles,
        "tiles": 4,
        "crack_tiles": 1 if THRESHOLD <= 0.875 else 0,
        "crack_score": 0.875,
        "max_tile_score": 0.875,
        "scored_at": BEGAN_AT,
        "cracks": len(cracks),
        "crack_length_px": sum(crack["length_px"] for crack in cracks),
        "widest_px": max((crack["crack_width_px_max"] for crack in cracks), default=None),
        "widest_mm": mm_per_px and max((crack["crack_width_mm_max"] for crack in cracks), default=None),
        **scale,
        "lines": cracks,
    }


def make_crack(number: int, line: Line, mm_per_px: float | None) -> dict[str, Any]:
    """Make a crack of one straight line, as wide as its number plus 2."""
    left, top = (int(value) for value in line.min(axis=0))
    right, bottom = (int(-(-value // 1)) for value in line.max(axis=0))
    (x0, y0), (x1, y1) = line[0], line[-1]
    px = {"length_px": float(((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5)}
    px |= {f"crack_width_px_{name}": number + width for name, width in (("p50", 2.0), ("p95", 3.0), ("max", 4.0))}
    mm = {name.replace("px", "mm"): mm_per_px and value * mm_per_px for name, value in px.items()}
    return {
        "crack": number,
        "line_wkt": format_lines([line]),
        "left_px": left,
        "top_px": top,
        "width_px": max(1, right - left),
        "height_px": max(1, bottom - top),
        "orientation_deg": 0.0,
        "width_status": "ok",
        "score": 0.75,
        "mm_per_px": mm_per_px,
        "scale_source": mm_per_px and "georeference",
        **px,
        **mm,
    }


def write_raster_dataset(
    out: str, rows: Sequence[dict[str, Any]], rasters: Sequence[Raster] = (), *, finish: bool = True
) -> Layout:
    """Write a dataset of windows, one commit each, and `rasters.parquet`."""
    layout = write_dataset(out, [[row] for row in rows], finish=finish)
    if rasters:
        add_rasters(layout, rasters)
    return layout
