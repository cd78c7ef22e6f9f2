"""Two inspections of one bridge, whose cracks grew by known amounts between them.

pier.png    seen again from elsewhere: DEEP is longer and wider, FINE the same, OLD gone, FRESH new
deck.png    another surface in the second year
sound.png   without a crack in either
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from PIL import Image

from pipeline import storage
from pipeline.core.table_schemas import CRACKS
from pipeline.core.wkt import format_lines
from pipeline.dataset.commit_log import read_table, table_bytes
from pipeline.dataset.layout import Layout
from pipeline.images.decode import Pixels
from pipeline.measurement.growth import KnownCrack
from tests.helpers.scored_photos import score_archives, zip_photos
from tests.helpers.warped_photos import TILTED, crack_along, draw_cracks, draw_surface, look_again, move

DEEP = crack_along(0, (120, 100), (300, 130), width_px=4.0)
DEEPER = crack_along(0, (120, 100), (300, 130), (400, 220), width_px=7.0)
FINE = crack_along(1, (150, 300), (350, 320), width_px=None)
OLD = crack_along(2, (100, 200), (250, 220))
FRESH = crack_along(2, (330, 250), (450, 260))


class Photo(NamedTuple):
    """A photo, and the cracks that were found in it."""

    pixels: Pixels
    cracks: Sequence[KnownCrack] = ()


def _seen(*cracks: KnownCrack) -> list[KnownCrack]:
    return [crack._replace(lines=[move(line, TILTED) for line in crack.lines]) for crack in cracks]


def write_inspections(folder: Path) -> tuple[Layout, Layout]:
    """Write both datasets; in the first, a pixel is 0.5 mm."""
    pier, deck, sound = (draw_surface(seed) for seed in (7, 6, 8))
    old, new = (DEEP, FINE, OLD), (DEEPER, FINE, FRESH)
    before = {
        "pier.png": Photo(draw_cracks(pier, old), old),
        "deck.png": Photo(deck, (DEEP,)),
        "sound.png": Photo(sound),
    }
    after = {
        "pier.png": Photo(look_again(draw_cracks(pier, new), noise=2), _seen(*new)),
        "deck.png": Photo(sound, (DEEP,)),
        "sound.png": Photo(sound),
    }
    return inspect(folder, 2025, before, 0.5), inspect(folder, 2026, after, None)


def inspect(folder: Path, year: int, photos: Mapping[str, Photo], mm_per_px: float | None) -> Layout:
    """Write the dataset of some photos, with their cracks."""
    place = zip_photos(folder / f"{year}.zip", {name: _encode(photo.pixels) for name, photo in photos.items()})
    counts = {name: len(photo.cracks) for name, photo in photos.items()}
    scales = {} if mm_per_px is None else dict.fromkeys(photos, mm_per_px)
    layout = score_archives(folder / f"out-{year}", place, cracks=counts, mm_per_px=scales)
    for file in storage.list_files(storage.join(layout.url, "cracks")):
        rows = [row | _describe(photos[row["image"]].cracks[row["crack"]]) for row in read_table(file.url).to_pylist()]
        storage.write_whole(file.url, table_bytes(pa.Table.from_pylist(rows, CRACKS)))
    return layout


def _describe(crack: KnownCrack) -> dict[str, object]:
    widths = {"crack_width_px_p50": crack.width_px_p50, "crack_width_px_p95": crack.width_px_p95}
    return {"line_wkt": format_lines(crack.lines), "width_status": crack.width_status, **widths}


def _encode(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
