"""Exports of cracks, opened by the programs that people open them with: openpyxl, ezdxf, an XML parser and GDAL."""

import io
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

import openpyxl
import pyogrio
import pytest
from ezdxf import filemanagement

from pipeline.dataset.export import ExportConfig, export
from pipeline.dataset.layout import Layout
from pipeline.reports.crack_drawings import DrawingConfig, write_drawings
from pipeline.reports.workbook import WorkbookConfig, write_workbook
from tests.helpers.small_dataset import failed, ok, with_cracks, write_dataset

PLACE = {"latitude": 48.25, "longitude": -11.5}

HOSTILE = (
    "=cmd('|calc')!A1.jpg",
    "@SUM(1).jpg",
    "+1.jpg",
    "-1.jpg",
    "\t=1.jpg",
    "a\nb.jpg",
    "a\r\nb.jpg",
    'say "x", it\'s;.jpg',
    "<b>&amp;]]>.jpg",
    "🌉/橋.jpg",
    "\x1b[31m\x07\x7f.jpg",
    "{\\fArial;%%c^J}.jpg",
    "../../x.jpg",
)
"""Names as of formulas, lines, quotes, markup, other scripts, terminals, texts of DXF, and folders above."""


class Counts(NamedTuple):
    """Cracks that each program finds."""

    xlsx: int
    dxf: int
    svg: int
    points: int
    """Of the map of cracks."""
    photos: int
    """Points of the map of photos."""


def count_dxf(path: Path) -> int:
    """The lines of a drawing in which ezdxf's audit finds nothing, without the frame of the photo."""
    document = filemanagement.read(io.StringIO(path.read_text(encoding="utf-8")))
    audit = document.audit()
    assert (audit.errors, audit.fixes) == ([], [])
    return len(document.modelspace().query("LWPOLYLINE")) - 1


def count_svg(path: Path) -> int:
    """The cracks of a drawing."""
    groups = ET.fromstring(path.read_bytes()).iter()  # noqa: S314 - our own
    return sum("data-crack" in element.attrib for element in groups)


def export_all(layout: Layout, folder: Path) -> Counts:
    """Export a dataset in every form that has cracks, and count them."""
    write_workbook(WorkbookConfig(layout.url, str(folder / "cracks.xlsx"), thumbnails=0))
    for form in ("dxf", "svg"):
        write_drawings(DrawingConfig(layout.url, form, str(folder / form)))
    for table in ("images", "cracks"):
        export(ExportConfig(layout.url, "geojson", str(folder / f"{table}.geojson"), table))
    points = {table: len(read_names(folder / f"{table}.geojson")) for table in ("images", "cracks")}
    return Counts(
        len(read_cells(folder / "cracks.xlsx")),
        sum(map(count_dxf, folder.glob("dxf/*"))),
        sum(map(count_svg, folder.glob("svg/*"))),
        points["cracks"],
        points["images"],
    )


def read_cells(path: Path) -> list[tuple[object, ...]]:
    """The rows of a workbook below its head; no cell is a formula."""
    rows = [*openpyxl.load_workbook(path).active.iter_rows()]
    assert {cell.data_type for row in rows for cell in row} <= {"s", "n", "inlineStr"}
    return [tuple(cell.value for cell in row) for row in rows[1:]]


def read_names(path: Path) -> list[str]:
    """The photos of a map, as GDAL reads them."""
    if not pyogrio.read_info(path)["features"]:
        return []
    meta, _, _, columns = pyogrio.raw.read(path, columns=["image"])
    assert list(meta["fields"]) == ["image"]
    return list(columns[0])


def test_hostile_names_come_through(tmp_path: Path) -> None:
    """Nothing is run, split, lost or written elsewhere; half of the photos have no scale, one no crack, one failed."""
    rows = [with_cracks(ok(name) | PLACE, 2, mm_per_px=0.5 if n % 2 else None) for n, name in enumerate(HOSTILE)]
    layout = write_dataset(str(tmp_path / "out"), [[*rows, with_cracks(ok("sound.jpg") | PLACE, 0), failed("no.jpg")]])
    before = {*tmp_path.iterdir()}
    cracks = 2 * len(HOSTILE)
    made = tmp_path / "made"
    made.mkdir()
    assert export_all(layout, made) == Counts(cracks, cracks, cracks, cracks, len(HOSTILE) + 1)
    assert sorted({*read_names(made / "cracks.geojson")}) == sorted(HOSTILE)
    assert {*tmp_path.iterdir()} == before | {made}
    for form in ("dxf", "svg"):
        drawn = [path.name for path in (made / form).iterdir()]
        assert len(drawn) == len(HOSTILE)
        assert all(name.isprintable() for name in drawn)


def test_a_dataset_without_a_crack_is_exported(tmp_path: Path) -> None:
    """Cracks were measured and none was found: tables have their heads, and nothing is drawn."""
    sound = [with_cracks(ok(name) | PLACE, 0) for name in ("a.jpg", "bb.jpg")]
    layout = write_dataset(str(tmp_path / "out"), [sound])
    assert export_all(layout, tmp_path) == Counts(0, 0, 0, 0, 2)


@pytest.mark.parametrize("mm_per_px", [0.4, None])
def test_two_thousand_cracks_of_a_photo_are_exported(mm_per_px: float | None, tmp_path: Path) -> None:
    """With and without a scale, none is left out."""
    photo = with_cracks(ok("a.jpg", 120, 10100) | PLACE, 2000, mm_per_px)
    layout = write_dataset(str(tmp_path / "out"), [[photo]])
    assert export_all(layout, tmp_path) == Counts(2000, 2000, 2000, 2000, 1)
