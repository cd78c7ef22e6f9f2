"""Drawings of cracks, one a photo: DXF for CAD, SVG for browsers and Inkscape; in millimetres where there is a scale.

Each has a layer for each class of width, the frame of the photo, and a text that says the photo's name and scale.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import PurePosixPath
from typing import Any, Literal
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from ezdxf import filemanagement

from pipeline import storage
from pipeline.core.control_characters import escape_controls
from pipeline.core.wkt import Line, parse_lines
from pipeline.dataset.export import is_measured
from pipeline.dataset.layout import Layout
from pipeline.dataset.sql import Connection, views
from pipeline.dataset.targets import Product, Target, check_folder, check_targets, has_mark, mark_of
from pipeline.reports.width_classes import MM_CLASSES, PX_CLASSES, UNKNOWN, WidthClass, classify

Form = Literal["dxf", "svg"]

DXF_VERSION = "R2010"
"""The oldest that all programs of today read and that has colours in RGB."""
APPLICATION = "CRACKSCAN"
"""Names our extended data in DXF."""
MILLIMETRES, NO_UNIT = 4, 0
"""Values of DXF's `$INSUNITS`."""
TEXT_PART, STROKE_PART = 40, 800
"""The longer side of the photo divided by these is the height of the text, and the width of lines in SVG."""
GREY = "#d9d9d9"
"""Of the photo in SVG: on it, all colours of the classes can be seen."""
PLACES = 3
"""Decimals of coordinates: a micrometre."""

_PRODUCTS: Mapping[Form, Product] = {
    "dxf": Product("export", "text", has_mark("export", b"$LASTSAVEDBY\n  1\n")),
    "svg": Product("export", "xml", has_mark("export", b"<!-- ")),
}
"""CAD programs write who saved a drawing last, so one that somebody changed is no longer ours."""

_NAMES = "SELECT DISTINCT image_id, image FROM cracks"
_CRACKS = """
    SELECT cracks.*, photo_height_px, photo_width_px
    FROM cracks JOIN (
        SELECT part, image_id, height_px AS photo_height_px, width_px AS photo_width_px FROM images
    ) USING (part, image_id)
    ORDER BY archive, image, image_id, crack
"""
_BATCH_ROWS = 10_000

_UNPRINTABLE = str.maketrans({0xFFFE: "\\ufffe", 0xFFFF: "\\uffff"})
"""Characters that XML forbids, besides controls and surrogates (XML 1.0, section 2.2)."""


@dataclass(frozen=True)
class DrawingConfig:
    """What to draw, and where to."""

    out: str
    """The dataset."""
    form: Form
    folder: str
    """Folder or URL to write into."""
    overwrite: bool = False
    """Also replace files of this kind that are no drawings of ours."""


@dataclass(frozen=True)
class Drawn:
    """The outcome."""

    url: str
    photos: int
    """Number of drawings."""
    cracks: int
    is_finished: bool
    """Whether every planned photo had its row."""
    is_measured: bool
    """Whether cracks were measured in any photo."""


@dataclass(frozen=True)
class Drawing:
    """What a drawing shows."""

    image: str
    height_px: int
    width_px: int
    mm_per_px: float | None
    scale_source: str | None
    cracks: Sequence[Mapping[str, Any]]
    """Rows of the table `cracks`."""

    @property
    def unit(self) -> Literal["mm", "px"]:
        """The unit of the drawing."""
        return "px" if self.mm_per_px is None else "mm"

    @property
    def scale(self) -> float:
        """Units of the drawing to a pixel of the photo."""
        return self.mm_per_px or 1.0

    @property
    def size(self) -> tuple[float, float]:
        """Height and width of the photo, in the unit of the drawing."""
        return self.height_px * self.scale, self.width_px * self.scale

    @property
    def classes(self) -> Sequence[WidthClass]:
        """The classes of width, each a layer."""
        return (*(PX_CLASSES if self.mm_per_px is None else MM_CLASSES), UNKNOWN)

    @property
    def caption(self) -> str:
        """The photo's name and scale."""
        scale = "no scale: in pixels"
        if self.mm_per_px is not None:
            scale = f"{self.mm_per_px:.4g} mm per pixel (scale: {self.scale_source})"
        return f"{spell(self.image)}   {scale}"


def write_drawings(config: DrawingConfig) -> Drawn:
    """Draw every photo with cracks into a folder; draw none if a file is in the way.

    Raises:
        UsageError: there is no dataset, or a file may not be replaced.
        StorageError: a drawing cannot be written.
    """
    layout, folder = Layout(storage.canonical(config.out)), storage.canonical(config.folder)
    make = _MAKERS[config.form]
    with views(layout) as connection:
        names = dict(connection.execute(_NAMES).fetchall())
        urls = {id_: storage.join(folder, f"{_file_stem(image)}-{id_}.{config.form}") for id_, image in names.items()}
        check_folder(folder, [layout])
        there = {file.url for file in storage.list_files(folder)} if storage.exists(folder) else set()
        product = _PRODUCTS[config.form]
        check_targets([Target(url, product, config.overwrite) for url in there & {*urls.values()}], [layout])
        is_finished, cracks = storage.exists(layout.summary), 0
        for image_id, drawing in _read_drawings(connection):
            storage.write_whole(urls[image_id], make(drawing))
            cracks += len(drawing.cracks)
        return Drawn(folder, len(urls), cracks, is_finished, is_measured(connection))


def make_dxf(drawing: Drawing) -> bytes:
    """Make a DXF: y upwards, the photo's lower left corner at (0, 0), each line a polyline with its crack's data."""
    document = filemanagement.new(DXF_VERSION)
    document.header["$LASTSAVEDBY"] = mark_of("export")
    document.units = NO_UNIT if drawing.mm_per_px is None else MILLIMETRES
    document.appids.new(APPLICATION)
    for one in drawing.classes:
        document.layers.add(_layer(one), true_color=int(one.colour[1:], 16))
    document.layers.add("photo")
    space, (height, width) = document.modelspace(), drawing.size
    space.add_lwpolyline([(0, 0), (width, 0), (width, height), (0, height)], close=True, dxfattribs={"layer": "photo"})
    text_height = max(height, width) / TEXT_PART
    text = space.add_text(_escape_dxf(drawing.caption), height=text_height, dxfattribs={"layer": "photo"})
    text.set_placement((0, -2 * text_height))
    for crack in drawing.cracks:
        for line in _place(crack, drawing.scale):
            points = np.stack([line[:, 0], height - line[:, 1]], axis=1).round(PLACES)
            polyline = space.add_lwpolyline(points.tolist(), dxfattribs={"layer": _layer(_classify(crack))})
            polyline.set_xdata(APPLICATION, _list_xdata(crack, drawing.unit))
    stream = io.StringIO()
    document.write(stream)
    return document.encode(stream.getvalue())


def make_svg(drawing: Drawing) -> bytes:
    """Make an SVG: y downwards, a unit is a millimetre or, without a scale, a pixel of the photo; a group a layer."""
    (height, width), unit = drawing.size, drawing.unit
    text_height, stroke = (max(height, width) / part for part in (TEXT_PART, STROKE_PART))
    shown_height = height + 2 * text_height
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f"<!-- {mark_of('export')} -->",
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:inkscape="http://www.inkscape.org/namespaces/inkscape"',
        f' width="{width:.3f}{unit}" height="{shown_height:.3f}{unit}" viewBox="0 0 {width:.3f} {shown_height:.3f}">',
        f'<g id="photo" inkscape:groupmode="layer" inkscape:label="photo" font-size="{text_height:.3f}">',
        f'<rect width="{width:.3f}" height="{height:.3f}" fill="{GREY}"/>',
        f'<text y="{height + 1.5 * text_height:.3f}">{escape(drawing.caption)}</text>',
        "</g>",
    ]
    for one in drawing.classes:
        lines.append(f'<g id="{_layer(one)}" inkscape:groupmode="layer" inkscape:label="{one.label}"')
        dashes = f' stroke-dasharray="{3 * stroke:.3f}"' if one is UNKNOWN else ""
        lines.append(f' fill="none" stroke="{one.colour}" stroke-width="{stroke:.3f}"{dashes}>')
        lines += [_draw_svg(crack, drawing) for crack in drawing.cracks if _classify(crack) is one]
        lines.append("</g>")
    return "\n".join([*lines, "</svg>", ""]).encode()


def spell(text: str) -> str:
    """Return a text that every file format takes, with its control characters and the like as escapes."""
    return escape_controls(text).translate(_UNPRINTABLE)


def _read_drawings(connection: Connection) -> Iterator[tuple[str, Drawing]]:
    rows = (row for batch in connection.sql(_CRACKS).to_arrow_reader(_BATCH_ROWS) for row in batch.to_pylist())
    for image_id, group in groupby(rows, lambda row: str(row["image_id"])):
        cracks = [*group]
        first = cracks[0]
        scale = first["mm_per_px"], first["scale_source"]
        yield image_id, Drawing(first["image"], first["photo_height_px"], first["photo_width_px"], *scale, cracks)


def _draw_svg(crack: Mapping[str, Any], drawing: Drawing) -> str:
    """Draw the lines of a crack as one group with its data."""
    data = _list_data(crack, drawing.unit)
    attributes = " ".join(f"data-{name.replace('_', '-')}={quoteattr(str(value))}" for name, value in data.items())
    title = ", ".join(f"{name} {value}" for name, value in data.items())
    texts = (" ".join(f"{x:.3f},{y:.3f}" for x, y in line) for line in _place(crack, drawing.scale))
    polylines = "".join(f'<polyline points="{points}"/>' for points in texts)
    return f"<g {attributes}><title>{escape(title)}</title>{polylines}</g>"


def _list_data(crack: Mapping[str, Any], unit: Literal["mm", "px"]) -> dict[str, int | float | str]:
    """List the number of a crack, its length and width, or why there is none."""
    width = crack[f"crack_width_{unit}_p95"]
    known = {} if width is None else {f"width_p95_{unit}": round(width, PLACES)}
    length = {f"length_{unit}": round(crack[f"length_{unit}"], PLACES)}
    return {"crack": crack["crack"], **length, **known, "width_status": crack["width_status"]}


_XDATA_CODES = {int: 1071, float: 1040, str: 1000}
"""Group codes of extended data by type (DXF reference)."""


def _list_xdata(crack: Mapping[str, Any], unit: Literal["mm", "px"]) -> list[tuple[int, int | float | str]]:
    """List the data of a crack as a name before each value."""
    data = _list_data(crack, unit).items()
    return [pair for name, value in data for pair in ((1000, name), (_XDATA_CODES[type(value)], value))]


def _place(crack: Mapping[str, Any], scale: float) -> list[Line]:
    return [line * scale for line in parse_lines(crack["line_wkt"])]


def _classify(crack: Mapping[str, Any]) -> WidthClass:
    return classify(crack["crack_width_px_p95"], crack["crack_width_mm_p95"])


def _layer(one: WidthClass) -> str:
    return f"cracks-{one.key}"


def _escape_dxf(text: str) -> str:
    """Escape what CAD programs take for a control code: `%%d` is a degree sign, and `^J` the end of a line."""
    return text.replace("%%", "%%%%%%").replace("^", "^ ")


def _file_stem(image: str) -> str:
    """Return a file name that every system takes, close to that of the photo."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in PurePosixPath(image).stem)[:60]


_MAKERS: Mapping[Form, Callable[[Drawing], bytes]] = {"dxf": make_dxf, "svg": make_svg}
