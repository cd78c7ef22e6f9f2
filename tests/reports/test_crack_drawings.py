"""Drawings of cracks: millimetres, layers and data, any name, and which files they replace."""

import io
from pathlib import Path
from typing import Any, get_args
from xml.etree.ElementTree import Element

import pytest
from ezdxf import filemanagement, units
from ezdxf.document import Drawing as Document
from ezdxf.entities.lwpolyline import LWPolyline
from ezdxf.entities.text import Text
from hypothesis import given
from hypothesis import strategies as st

from pipeline import storage
from pipeline.core import xml
from pipeline.core.errors import UsageError
from pipeline.dataset.layout import Layout
from pipeline.reports.crack_drawings import Drawing, DrawingConfig, Form, make_dxf, make_svg, write_drawings
from pipeline.reports.width_classes import MM_CLASSES, PX_CLASSES, UNKNOWN
from tests.helpers.small_dataset import ok, with_cracks, write_dataset
from tests.helpers.two_inspections import photos, write_inspections

SVG = "{http://www.w3.org/2000/svg}"
FORMS = get_args(Form)


def crack(number: int, width: float | None, mm_per_px: float | None, line_wkt: str) -> dict[str, Any]:
    """A row of the table, 100 pixels long; `width` in mm if there is a scale."""
    px = width if width is None or mm_per_px is None else width / mm_per_px
    mm = None if px is None or mm_per_px is None else width
    return {
        "crack": number,
        "line_wkt": line_wkt,
        "length_px": 100.0,
        "length_mm": None if mm_per_px is None else 100 * mm_per_px,
        "crack_width_px_p95": px,
        "crack_width_mm_p95": mm,
        "width_status": "ok" if width else "too_thin",
    }


def drawing(*cracks: dict[str, Any], image: str = "a.jpg", mm_per_px: float | None = 0.5) -> Drawing:
    """A drawing of a photo of 400 x 200 pixels."""
    return Drawing(image, 200, 400, mm_per_px, None if mm_per_px is None else "laser", cracks)


def read_dxf(data: bytes) -> Document:
    """The document, in which ezdxf's audit finds nothing to mend."""
    document = filemanagement.read(io.StringIO(data.decode()))
    audit = document.audit()
    assert (audit.errors, audit.fixes) == ([], [])
    return document


def lines_of(document: Document) -> list[LWPolyline]:
    """The frame of the photo, and the lines."""
    return [entity for entity in document.modelspace() if isinstance(entity, LWPolyline)]


def text_of(document: Document) -> Text:
    """The one text."""
    [text] = [entity for entity in document.modelspace() if isinstance(entity, Text)]
    return text


def read_svg(data: bytes) -> dict[str, Element]:
    """The layers by id."""
    root = xml.parse_xml(data)
    assert root.tag == f"{SVG}svg"
    return {layer.attrib["id"]: layer for layer in root}


def points_of(polyline: Element) -> list[list[float]]:
    """The points of a polyline."""
    return [[float(number) for number in point.split(",")] for point in polyline.attrib["points"].split()]


TWO_LINES = "MULTILINESTRING ((10 20, 30 60), (30 60, 100.5 199))"


def test_a_dxf_is_in_millimetres_from_the_lower_left_corner() -> None:
    """At half a millimetre a pixel, x is halved, and y counts upwards from the photo's lower edge, 200 pixels down."""
    document = read_dxf(make_dxf(drawing(crack(0, 0.25, 0.5, TWO_LINES))))
    assert document.units == units.MM
    frame, *lines = lines_of(document)
    assert [*frame.vertices()] == [(0, 0), (200, 0), (200, 100), (0, 100)]
    assert frame.closed
    assert [[*line.vertices()] for line in lines] == [[(5, 90), (15, 70)], [(15, 70), (50.25, 0.5)]]
    assert {line.dxf.layer for line in lines} == {"cracks-mm-0.2-0.3"}


def test_a_drawing_without_a_scale_is_in_pixels() -> None:
    """It says so, and its layers are of pixels."""
    shown = drawing(crack(0, 3, None, TWO_LINES), mm_per_px=None)
    document = read_dxf(make_dxf(shown))
    _, line, _ = lines_of(document)
    assert document.units == 0
    assert ([*line.vertices()], line.dxf.layer) == ([(10, 180), (30, 140)], "cracks-px-2-4")
    assert text_of(document).dxf.text == "a.jpg   no scale: in pixels"
    svg = make_svg(shown)
    assert b'width="400.000px" height="220.000px" viewBox="0 0 400.000 220.000"' in svg
    assert points_of(read_svg(svg)["cracks-px-2-4"][0][1]) == [[10, 20], [30, 60]]


def test_an_svg_is_in_millimetres_from_the_upper_left_corner() -> None:
    """A unit is a millimetre; each line is a polyline in the group of its layer, with the data of its crack."""
    data = make_svg(drawing(crack(7, 0.25, 0.5, TWO_LINES)))
    assert b'width="200.000mm" height="110.000mm" viewBox="0 0 200.000 110.000"' in data
    layers = read_svg(data)
    [group] = layers["cracks-mm-0.2-0.3"]
    assert [points_of(line) for line in group if line.tag == f"{SVG}polyline"] == [
        [[5, 10], [15, 30]],
        [[15, 30], [50.25, 99.5]],
    ]
    assert group.attrib == {
        "data-crack": "7",
        "data-length-mm": "50.0",
        "data-width-p95-mm": "0.25",
        "data-width-status": "ok",
    }
    frame, text = layers["photo"]
    assert (frame.attrib["width"], frame.attrib["height"]) == ("200.000", "100.000")
    assert text.text == "a.jpg   0.5 mm per pixel (scale: laser)"


@pytest.mark.parametrize(("mm_per_px", "classes"), [(0.5, MM_CLASSES), (None, PX_CLASSES)])
def test_each_class_of_width_is_a_layer(mm_per_px: float | None, classes: list[Any]) -> None:
    """Also an empty one, so that all drawings have the same; a crack is in the layer of its p95, or in `unknown`."""
    widths = [*(one.from_width + 0.01 for one in classes), None]
    shown = drawing(*(crack(n, width, mm_per_px, TWO_LINES) for n, width in enumerate(widths)), mm_per_px=mm_per_px)
    expected = [f"cracks-{one.key}" for one in (*classes, UNKNOWN)]
    layers = read_svg(make_svg(shown))
    assert [*layers] == ["photo", *expected]
    assert [layers[name][0].attrib["data-crack"] for name in expected] == [str(n) for n, _ in enumerate(widths)]
    document = read_dxf(make_dxf(shown))
    assert [line.dxf.layer for line in lines_of(document)][1::2] == expected
    for one in (*classes, UNKNOWN):
        assert document.layers.get(f"cracks-{one.key}").rgb == tuple(bytes.fromhex(one.colour[1:]))


def test_an_unknown_width_is_no_number() -> None:
    """The data of the crack say why it is unknown."""
    shown = drawing(crack(3, None, 0.5, TWO_LINES))
    _, line, _ = lines_of(read_dxf(make_dxf(shown)))
    values = [tag.value for tag in line.get_xdata("CRACKSCAN")]
    assert values == ["crack", 3, "length_mm", 50.0, "width_status", "too_thin"]
    [group] = read_svg(make_svg(shown))["cracks-unknown"]
    assert group.attrib == {"data-crack": "3", "data-length-mm": "50.0", "data-width-status": "too_thin"}


@given(st.text(st.characters(codec=None, exclude_categories=())))
def test_any_name_of_a_photo_can_be_written(image: str) -> None:
    """Both formats stay whole, whatever letters, controls and halves of surrogates are in it."""
    shown = drawing(image=image)
    expected = " ".join(shown.caption.split())
    assert " ".join(text_of(read_dxf(make_dxf(shown))).plain_text().split()) == expected
    found = read_svg(make_svg(shown))["photo"][1].text
    assert found is not None
    assert " ".join(found.split()) == expected


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """Two bridges in two months."""
    return write_inspections(tmp_path_factory.mktemp("inspected"))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("folder", ["file://{tmp_path}/new", "memory:///drawings-{form}"])
def test_each_photo_with_cracks_is_a_drawing(form: Form, folder: str, layout: Layout, tmp_path: Path) -> None:
    """Its name has the photo's name and id, and its lines are the photo's; a second time, drawings are replaced."""
    url = folder.format(tmp_path=tmp_path, form=form)
    cracked = {row["image_id"]: row for row in photos() if row.get("cracks")}
    for _ in range(2):
        made = write_drawings(DrawingConfig(layout.url, form, url))
        assert (made.photos, made.cracks) == (len(cracked), sum(row["cracks"] for row in cracked.values()))
        assert (made.url, made.is_finished, made.is_measured) == (storage.canonical(url), True, True)
    files = storage.list_files(url)
    assert {file.path for file in files} == {
        f"{Path(row['image']).stem}-{image_id}.{form}" for image_id, row in cracked.items()
    }
    for file in files:
        data, row = storage.read_bytes(file.url), cracked[Path(file.path).stem.rpartition("-")[2]]
        if form == "dxf":
            document = read_dxf(data)
            assert document.units == (units.MM if row["mm_per_px"] else 0)
            assert len(lines_of(document)) == 1 + row["cracks"]
        else:
            assert sum(len(layer) for name, layer in read_svg(data).items() if name != "photo") == row["cracks"]


def test_a_line_lies_where_the_dataset_says(tmp_path: Path) -> None:
    """The crack from (0, 3) to (20, 7.5) in a photo 120 pixels high, 0.4 millimetres each."""
    layout = write_dataset(str(tmp_path / "out"))
    write_drawings(DrawingConfig(layout.url, "dxf", str(tmp_path / "drawn")))
    [path] = (tmp_path / "drawn").glob("a-*.dxf")
    _, line, *_ = lines_of(read_dxf(path.read_bytes()))
    assert [*line.vertices()] == [(0, 46.8), (8, 45)]


@pytest.mark.parametrize("form", FORMS)
def test_odd_names_become_files(form: Form, tmp_path: Path) -> None:
    """Names that differ only in letters that files may not have stay two drawings."""
    names = ["a/b?.jpg", "a/b*.jpg", "Brücke 橋\n.jpg", ".jpg", "noending", "x" * 300 + ".jpg"]
    layout = write_dataset(str(tmp_path / "out"), [[with_cracks(ok(name), 1) for name in names]])
    assert write_drawings(DrawingConfig(layout.url, form, str(tmp_path / "drawn"))).photos == len(names)
    stems = sorted(path.stem.rpartition("-")[0] for path in (tmp_path / "drawn").iterdir())
    assert stems == sorted(["b_", "b_", "Brücke_橋_", "_jpg", "noending", "x" * 60])


@pytest.mark.parametrize("form", FORMS)
def test_a_file_of_others_stays(form: Form, layout: Layout, tmp_path: Path) -> None:
    """Nothing is drawn if one is in the way; `overwrite` replaces only files of the same kind."""
    config = DrawingConfig(layout.url, form, str(tmp_path / "drawn"))
    write_drawings(config)
    path, *others = sorted((tmp_path / "drawn").iterdir())
    data = path.read_bytes().replace(b"crackscan export", b"another program!")
    path.write_bytes(data)
    for other in others:
        other.unlink()
    with pytest.raises(UsageError, match=r"that `crackscan export` did not write\. Give another --out, or --overwrite"):
        write_drawings(config)
    assert [*(tmp_path / "drawn").iterdir()] == [path]
    assert path.read_bytes() == data
    write_drawings(DrawingConfig(layout.url, form, config.folder, overwrite=True))
    assert path.read_bytes() != data
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(
        UsageError, match=r"is there already: a PNG picture, which never becomes .*\. Give another --out"
    ):
        write_drawings(DrawingConfig(layout.url, form, config.folder, overwrite=True))


def test_no_drawing_is_written_into_a_dataset(layout: Layout, tmp_path: Path) -> None:
    """Nor below a file."""
    with pytest.raises(UsageError, match="lies in the dataset"):
        write_drawings(DrawingConfig(layout.url, "dxf", f"{layout.url}/drawn"))
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(UsageError, match="is a text; expected a folder"):
        write_drawings(DrawingConfig(layout.url, "dxf", str(tmp_path / "notes")))


@pytest.mark.parametrize("version", [1, 2])
def test_older_datasets_have_nothing_to_draw(version: int, tmp_path: Path) -> None:
    """They say that no cracks were measured."""
    layout = write_dataset(str(tmp_path / "out"), [[ok("a.jpg")]], schema_version=version)
    made = write_drawings(DrawingConfig(layout.url, "svg", str(tmp_path / "drawn")))
    assert (made.photos, made.cracks, made.is_measured) == (0, 0, False)
    assert not (tmp_path / "drawn").exists()
