"""The cracks of a dataset as a workbook for spreadsheets: a row each with a picture and a link to its photo.

The widest come first, so the pictures, which need their photos again, go to those that matter most. Rows stream.
"""

import io
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
import xlsxwriter
from xlsxwriter.exceptions import FileCreateError

from pipeline import storage
from pipeline.archives.members import is_archive
from pipeline.core.errors import UsageError
from pipeline.core.wkt import parse_lines
from pipeline.dataset.beside import ELEMENTS, VERDICTS
from pipeline.dataset.export import is_measured, list_told_columns, list_told_cracks
from pipeline.dataset.layout import Layout
from pipeline.dataset.moves import Moves, read_moves
from pipeline.dataset.sql import Connection, views
from pipeline.dataset.targets import Product, Target, check_targets, mark_of
from pipeline.images.decode import Pixels
from pipeline.reports import thumbnails
from pipeline.reports.crack_drawings import spell
from pipeline.reports.dataset_stats import find_corner
from pipeline.reports.source_photos import read_source_photos
from pipeline.reports.width_classes import classify, explain_status

THUMBNAILS = 2000
"""Pictures of a workbook if nobody says otherwise: some 20 MB, and minutes to read their photos."""
THUMBNAIL_PX = 320
"""Longer side of a picture, twice what a cell shows, for fine screens and paper."""
SHOWN_HEIGHT_PX, SHOWN_WIDTH_PX = 90, 160
"""Largest size of a picture in its cell."""
MARGIN_PART, LEAST_MARGIN_PX = 0.2, 24
"""Of the photo around the box of a crack: a part of the box's longer side."""
MOST_ROWS = 1_048_576
"""Rows of a sheet in Excel, the head among them."""
MOST_LINKS, MOST_LINK_LETTERS = 65_530, 2079
"""Links of a sheet in Excel, and letters of a link."""

_TEXT = "@"
"""The number format of texts."""


class _Column(NamedTuple):
    title: str
    name: str
    """In the dataset."""
    letters: int
    """Width of the column."""
    format: str = _TEXT
    """In the language of spreadsheets."""


_COLUMNS = (
    _Column("Archive", "archive", 30),
    _Column("Image", "image", 30),
    _Column("Crack", "crack", 7, "0"),
    _Column("Picture", "picture", 24),
    _Column("Length, mm", "length_mm", 10, "#,##0"),
    _Column("Width p50, mm", "crack_width_mm_p50", 10, "0.00"),
    _Column("Width p95, mm", "crack_width_mm_p95", 10, "0.00"),
    _Column("Width max, mm", "crack_width_mm_max", 10, "0.00"),
    _Column("Length, px", "length_px", 10, "#,##0"),
    _Column("Width p50, px", "crack_width_px_p50", 10, "0.0"),
    _Column("Width p95, px", "crack_width_px_p95", 10, "0.0"),
    _Column("Width max, px", "crack_width_px_max", 10, "0.0"),
    _Column("Width status", "width_status", 22),
    _Column("Direction, degrees", "orientation_deg", 10, "0"),
    _Column("Scale, mm per px", "mm_per_px", 10, "0.0000"),
    _Column("Source of the scale", "scale_source", 10),
    _Column("Score", "score", 8, "0.000"),
    _Column("Captured at", "captured_at", 19, "yyyy-mm-dd hh:mm:ss"),
    _Column("Latitude", "latitude", 12, "0.0000000"),
    _Column("Longitude", "longitude", 12, "0.0000000"),
)

_POSITION = ("latitude", "longitude")
_OUR_NAMES = frozenset((*ELEMENTS.names, *VERDICTS.names, "state"))
_TOLD_LETTERS = {"comment": 40, "judged_at": 20}
"""Widths of columns that people added; the others have 14."""

_IMAGE_PLACE, _PICTURE_PLACE = ([column.name for column in _COLUMNS].index(name) for name in ("image", "picture"))
_LINK = {"quote_prefix": True, "font_color": "blue", "underline": 1}
_MOVES = 1
"""Of `object_position`: a picture moves, and hides, with its cell."""
_FILE = "FILE://"
"""In capitals, which mean the same: XlsxWriter makes paths of Windows from others."""
_FACTS_BYTES = 4096

_CRACKS = """
    SELECT told.*, captured_at, latitude, longitude
    FROM ({cracks}) AS told
    JOIN (SELECT part, image_id, captured_at, latitude, longitude FROM images) USING (part, image_id)
    ORDER BY crack_width_mm_p95 DESC NULLS LAST, crack_width_px_p95 DESC NULLS LAST, length_px DESC,
             archive, image, image_id, crack
"""
_BATCH_ROWS = 10_000

_Row = dict[str, Any]


class _Picture(NamedTuple):
    jpeg: bytes
    scale: float
    """Pixels of the cell to one of the picture."""


_Pictures = Mapping[tuple[str, int], _Picture]
"""By `image_id` and crack."""


class _Table(NamedTuple):
    columns: Sequence[_Column]
    rows: Iterator[_Row]
    length: int
    """Number of rows."""


@dataclass(frozen=True)
class WorkbookConfig:
    """One workbook."""

    out: str
    """The dataset."""
    file: str
    """Path or URL of the file to write."""
    thumbnails: int = THUMBNAILS
    """The highest number of pictures; those of the widest cracks."""
    overwrite: bool = False
    """Also replace a workbook of somebody else."""
    no_positions: bool = False
    """Leave out where photos were taken."""


@dataclass(frozen=True)
class Written:
    """The outcome."""

    url: str
    cracks: int
    """Number of rows."""
    left_out: int
    """Number of cracks that had no room in the sheet."""
    thumbnails: int
    """Number of pictures."""
    unreadable: Mapping[str, str]
    """Why photos could not be read again, by `image_id`; their cracks have no picture."""
    is_finished: bool
    """Whether every planned photo had its row."""
    is_measured: bool
    """Whether cracks were measured in any photo."""


def write_workbook(config: WorkbookConfig) -> Written:
    """Write the file, which appears whole and replaces an older one that nobody has changed since.

    Raises:
        UsageError: there is no dataset, or the file may not be replaced.
        StorageError: the file cannot be written.
    """
    layout, url = Layout(storage.canonical(config.out)), storage.canonical(config.file)
    with views(layout) as connection, storage.temporary_folder() as folder:
        product = Product("export", "zip", lambda url, _head: _check_workbook(url, overwrite=config.overwrite))
        check_targets([Target(url, product)], [layout])
        is_finished = storage.exists(layout.summary)
        found = connection.execute("SELECT count(*) FROM cracks").fetchall()[0][0]
        cracks = min(found, MOST_ROWS - 1)
        pictures, unreadable = _read_pictures(connection, layout, config.thumbnails)
        try:
            rows, columns = _read_rows(connection, cracks), _list_columns(connection, config)
            _write_book(folder / "workbook", _Table(columns, rows, cracks), pictures, read_moves(layout))
        except FileCreateError as error:
            [cause] = error.args
            raise cause from error
        storage.upload(folder / "workbook", url)
        left_out = found - cracks
        return Written(url, cracks, left_out, len(pictures), unreadable, is_finished, is_measured(connection))


def draw_crack(pixels: Pixels, crack: Mapping[str, Any], corner: tuple[int, int] = (0, 0)) -> Pixels:
    """Cut a crack with a margin out of its photo, shrink it, and draw its lines.

    Shape: (H, W, 3) → (h, w, 3), the longer side at most `THUMBNAIL_PX`.

    Args:
        pixels: the upright photo.
        crack: a row of the table `cracks`.
        corner: left and top of the photo in the pixels of its cracks.
    """
    left_px, top_px, width_px, height_px = (crack[f"{name}_px"] for name in ("left", "top", "width", "height"))
    left_px, top_px = left_px - corner[0], top_px - corner[1]
    margin_px = max(LEAST_MARGIN_PX, round(MARGIN_PART * max(width_px, height_px)))
    left, top = max(0, left_px - margin_px), max(0, top_px - margin_px)
    part = pixels[top : top_px + height_px + margin_px, left : left_px + width_px + margin_px]
    picture = thumbnails.shrink(part, THUMBNAIL_PX).copy()
    scale = picture.shape[1] / part.shape[1]
    colour = classify(crack["crack_width_px_p95"], crack["crack_width_mm_p95"]).colour
    for line in parse_lines(crack["line_wkt"]):
        points = (line - np.add(corner, [left, top])) * scale
        along = np.concatenate([[0], np.abs(np.diff(points, axis=0)).max(axis=1).cumsum()])
        places = np.arange(0, along[-1] + 1, 0.5)
        x, y = (np.interp(places, along, values).astype(int) for values in points.T)
        picture[y.clip(0, picture.shape[0] - 1), x.clip(0, picture.shape[1] - 1)] = list(bytes.fromhex(colour[1:]))
    return picture


def _list_columns(connection: Connection, config: WorkbookConfig) -> Sequence[_Column]:
    """Return the columns of the sheet: those of cracks, then what people said of them and where they are."""
    shown = [column for column in _COLUMNS if not (config.no_positions and column.name in _POSITION)]
    told = [
        _Column(name.replace("_", " ").capitalize(), name, _TOLD_LETTERS.get(name, 14))
        if name in _OUR_NAMES
        else _Column(spell(name), name, 14)
        for name in list_told_columns(connection)
    ]
    return [*shown, *told]


def _read_rows(connection: Connection, limit: int) -> Iterator[_Row]:
    for batch in (
        connection.sql(_CRACKS.format(cracks=list_told_cracks(connection))).limit(limit).to_arrow_reader(_BATCH_ROWS)
    ):
        yield from batch.to_pylist()


def _read_pictures(connection: Connection, layout: Layout, limit: int) -> tuple[_Pictures, dict[str, str]]:
    """Make the pictures of the widest cracks, and say which photos cannot be read."""
    cracks = defaultdict[str, list[_Row]](list)
    for row in _read_rows(connection, limit):
        cracks[row["image_id"]].append(row)
    pictures, unreadable = dict[tuple[str, int], _Picture](), dict[str, str]()
    archives = {image_id: rows[0]["archive"] for image_id, rows in cracks.items()}
    for image_id, source in read_source_photos(layout, archives):
        if isinstance(source, str):
            unreadable[image_id] = source
            continue
        for row in cracks[image_id]:
            drawn = draw_crack(source, row, find_corner(row["archive"], row["image"]))
            scale = min(SHOWN_HEIGHT_PX / drawn.shape[0], SHOWN_WIDTH_PX / drawn.shape[1])
            pictures[image_id, row["crack"]] = _Picture(thumbnails.encode(drawn, "jpeg"), scale)
    return pictures, unreadable


def _write_book(path: Path, table: _Table, pictures: _Pictures, moves: Moves) -> None:
    """Write rows one by one; `constant_memory` keeps none but the last."""
    columns, rows, count = table
    with xlsxwriter.Workbook(path, {"constant_memory": True, "tmpdir": str(path.parent)}) as book:
        book.set_properties({"author": mark_of("export")})
        top = {"valign": "top"}
        head, link = (book.add_format(top | more) for more in ({"bold": True, "text_wrap": True}, _LINK))
        formats = [book.add_format(top | {"num_format": c.format, "quote_prefix": c.format == _TEXT}) for c in columns]
        sheet = book.add_worksheet("Cracks")
        sheet.freeze_panes(1, 0)
        sheet.autofilter(0, 0, count, len(columns) - 1)
        for place, column in enumerate(columns):
            sheet.set_column(place, place, column.letters)
            sheet.write_string(0, place, column.title, head)
        for number, row in enumerate(rows, 1):
            if picture := pictures.get((row["image_id"], row["crack"])):
                sheet.set_row_pixels(number, SHOWN_HEIGHT_PX + 2)
                source = {"image_data": io.BytesIO(picture.jpeg), "x_scale": picture.scale, "y_scale": picture.scale}
                sheet.insert_image(number, _PICTURE_PLACE, "crack.jpg", source | {"object_position": _MOVES})
            for place, column in enumerate(columns):
                _write_cell(sheet, number, place, _show(row, column.name), formats[place])
            url = _find_url(row["archive"], row["image"], moves)
            if number <= MOST_LINKS and url is not None and len(url) <= MOST_LINK_LETTERS:
                sheet.write_url(number, _IMAGE_PLACE, url, link, spell(row["image"]))


def _write_cell(sheet: Any, row: int, place: int, value: object, style: Any) -> None:  # noqa: ANN401 - no types
    """Write a value in the type it has: `write` would take texts that begin with `=` for formulas."""
    if isinstance(value, str):
        sheet.write_string(row, place, value, style)
    elif isinstance(value, datetime):
        sheet.write_datetime(row, place, value, style)
    elif value is not None:
        sheet.write_number(row, place, value, style)


def _show(row: _Row, name: str) -> object:
    value = row.get(name)
    if name == "width_status":
        return "measured" if value == "ok" else f"unknown: {explain_status(row[name])}"
    return spell(value) if isinstance(value, str) else value


def _find_url(archive: str, image: str, moves: Moves) -> str | None:
    """Return where a photo, or the archive that holds it, can be opened; None for stores that no spreadsheet opens."""
    place = moves.place_of(archive)
    if not is_archive(place):
        place = storage.join(place, image)
    if place.startswith(storage.LOCAL):
        return _FILE + quote(place.removeprefix(storage.LOCAL))
    return place if place.startswith(("http://", "https://")) else None


def _check_workbook(url: str, *, overwrite: bool) -> bool:
    """Tell whether a zip is a workbook that may be replaced: one that nobody saved since, or any with `overwrite`.

    Raises:
        UsageError: it is somebody else's workbook.
    """
    try:
        with storage.open_file(url) as file, zipfile.ZipFile(file) as book, book.open("docProps/core.xml") as facts:
            is_ours = b"<cp:lastModifiedBy>crackscan export " in facts.read(_FACTS_BYTES)
            if "xl/workbook.xml" not in book.namelist():
                return False
    except (zipfile.BadZipFile, zlib.error, KeyError, RuntimeError):
        return False
    if not (is_ours or overwrite):
        raise UsageError(
            f"{url} is there already: a workbook that `crackscan export` did not write, or that was changed since. "
            "Give another --out, or --overwrite."
        )
    return True
