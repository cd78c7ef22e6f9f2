"""Workbooks of cracks: rows, pictures and links as a spreadsheet reads them, and which files they replace."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest
from openpyxl.utils.escape import unescape
from PIL import Image

from pipeline.core.errors import CrackscanError, UsageError
from pipeline.dataset.layout import Layout
from pipeline.dataset.moves import Moves, write_moves
from pipeline.dataset.sql import query
from pipeline.findings.element_rules import PARTS, ElementRule, ElementRules
from pipeline.findings.elements import set_elements
from pipeline.reports import workbook
from pipeline.reports.workbook import SHOWN_HEIGHT_PX, WorkbookConfig, draw_crack, write_workbook
from tests.helpers.limits import files_of_at_most
from tests.helpers.scored_photos import photo, score_archives, zip_photos
from tests.helpers.small_dataset import address, failed, ok, with_cracks, write_dataset
from tests.helpers.verdict_rows import judge


def read_sheet(path: Path) -> tuple[Any, list[dict[str, Any]]]:
    """The sheet, and its rows by column."""
    sheet = openpyxl.load_workbook(io.BytesIO(path.read_bytes())).active
    head, *rows = sheet.iter_rows()
    return sheet, [{name.value: cell for name, cell in zip(head, row, strict=True)} for row in rows]


def values(path: Path, column: str) -> list[Any]:
    """One column."""
    return [row[column].value for row in read_sheet(path)[1]]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Three photos of a zip: one with three cracks, a scale and a position, one with two cracks, and a sound one."""
    names = {"a.png": photo(200, place=(48.25, -11.5)), "b.png": photo(200), "c.png": photo(200)}
    archive = zip_photos(tmp_path / "photos.zip", names)
    return score_archives(tmp_path / "out", archive, cracks={"a.png": 3, "b.png": 2}, mm_per_px={"a.png": 0.5})


def test_each_crack_is_a_row(layout: Layout, tmp_path: Path) -> None:
    """The widest come first, those in millimetres before those in pixels, those of unknown width last, by length."""
    made = write_workbook(WorkbookConfig(layout.url, str(tmp_path / "file")))
    assert (made.cracks, made.left_out, made.thumbnails, made.unreadable) == (5, 0, 5, {})
    sheet, rows = read_sheet(tmp_path / "file")
    assert [(row["Image"].value, row["Crack"].value) for row in rows] == [
        ("a.png", 2), ("a.png", 0), ("b.png", 0), ("a.png", 1), ("b.png", 1),
    ]  # fmt: skip
    assert {name: cell.value for name, cell in rows[0].items()} == {
        "Archive": f"file://{tmp_path}/photos.zip",
        "Image": "a.png",
        "Crack": 2,
        "Picture": None,
        "Length, mm": 11.25,
        "Width p50, mm": 1.25,
        "Width p95, mm": 1.75,
        "Width max, mm": 2.25,
        "Length, px": 22.5,
        "Width p50, px": 2.5,
        "Width p95, px": 3.5,
        "Width max, px": 4.5,
        "Width status": "measured",
        "Direction, degrees": 14.5,
        "Scale, mm per px": 0.5,
        "Source of the scale": "given",
        "Score": 0.71875,
        "Captured at": None,
        "Latitude": 48.25,
        "Longitude": -11.5,
    }
    assert rows[0]["Width p95, mm"].number_format == "0.00"
    assert (sheet.freeze_panes, sheet.auto_filter.ref) == ("A2", "A1:T6")


def test_what_is_unknown_stays_empty(layout: Layout, tmp_path: Path) -> None:
    """A width that could not be measured is no 0 and says why; a photo without a scale has no millimetres."""
    write_workbook(WorkbookConfig(layout.url, str(tmp_path / "file"), thumbnails=0))
    *_, unknown = read_sheet(tmp_path / "file")[1]
    assert unknown["Width status"].value == "unknown: too thin to say (under half a pixel)"
    empty = {name for name, cell in unknown.items() if cell.value is None}
    assert empty >= {"Width p95, px", "Width p95, mm", "Length, mm", "Scale, mm per px", "Source of the scale"}


def test_a_crack_has_its_picture(layout: Layout, tmp_path: Path) -> None:
    """It lies within the cell of its row, which is high enough for it."""
    write_workbook(WorkbookConfig(layout.url, str(tmp_path / "file")))
    sheet, rows = read_sheet(tmp_path / "file")
    assert len(sheet._images) == len(rows) == 5
    for number, picture in enumerate(sheet._images, 1):
        start, end = picture.anchor._from, picture.anchor.to
        assert (start.row, end.row, start.col, end.col) == (number, number, 3, 3)
        assert sheet.row_dimensions[number + 1].height == (SHOWN_HEIGHT_PX + 2) * 0.75  # points
        assert Image.open(io.BytesIO(picture._data())).size[0] <= workbook.THUMBNAIL_PX


def test_a_picture_shows_the_crack_with_a_margin() -> None:
    """A line along row 30 of a grey photo is coloured, and no other row; the box of 40 pixels has 24 on every side."""
    pixels = np.full((200, 300, 3), 128, np.uint8)
    row = {
        "left_px": 100,
        "top_px": 30,
        "width_px": 40,
        "height_px": 1,
        "line_wkt": "MULTILINESTRING ((100 30, 140 30))",
    }
    drawn = draw_crack(pixels, row | {"crack_width_px_p95": 5.0, "crack_width_mm_p95": None})
    assert drawn.shape == (1 + 2 * 24, 40 + 2 * 24, 3)
    rows, cols = np.nonzero((drawn != 128).any(axis=2))
    assert set(rows) == {24}
    assert (cols.min(), cols.max()) == (24, 64)
    assert (pixels == 128).all()


def test_a_long_crack_is_shrunk_with_its_line() -> None:
    """The longer side of the picture is 320 pixels, and the line still runs where the dark is."""
    pixels = np.full((1000, 2000, 3), 200, np.uint8)
    pixels[np.arange(1000), np.arange(1000) * 2] = 0
    row = {
        "left_px": 0,
        "top_px": 0,
        "width_px": 2000,
        "height_px": 1000,
        "line_wkt": "MULTILINESTRING ((0 0, 2000 1000))",
    }
    drawn = draw_crack(pixels, row | {"crack_width_px_p95": None, "crack_width_mm_p95": None})
    assert drawn.shape == (160, 320, 3)
    is_line = (drawn == [0x00, 0xB4, 0xD8]).all(axis=2)
    rows, cols = np.nonzero(is_line)
    assert len(rows) >= 320
    assert np.abs(rows - cols / 2).max() <= 1


def test_only_the_widest_have_pictures_if_there_are_many(layout: Layout, tmp_path: Path) -> None:
    """The limit counts pictures, not photos; rows are all there."""
    made = write_workbook(WorkbookConfig(layout.url, str(tmp_path / "file"), thumbnails=2))
    sheet, rows = read_sheet(tmp_path / "file")
    assert (made.thumbnails, len(sheet._images), len(rows)) == (2, 2, 5)
    assert [picture.anchor._from.row for picture in sheet._images] == [1, 2]


def test_photos_that_are_gone_have_no_pictures(layout: Layout, tmp_path: Path) -> None:
    """The workbook is written without, and the reason is told."""
    (tmp_path / "photos.zip").unlink()
    made = write_workbook(WorkbookConfig(layout.url, str(tmp_path / "file")))
    sheet, rows = read_sheet(tmp_path / "file")
    assert (len(rows), len(sheet._images), made.thumbnails, len(made.unreadable)) == (5, 0, 0, 2)
    assert all("photos.zip" in reason for reason in made.unreadable.values())


def test_the_image_is_a_link_to_what_holds_it(layout: Layout, tmp_path: Path) -> None:
    """To its archive, or to the photo itself if it lies in a folder; special letters of its path are escaped."""
    write_workbook(WorkbookConfig(layout.url, str(tmp_path / "file")))
    assert {row["Image"].hyperlink.target for row in read_sheet(tmp_path / "file")[1]} == {
        f"FILE://{tmp_path}/photos.zip"
    }
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a b#1.png").write_bytes(photo(9))
    loose = score_archives(tmp_path / "loose", folder, cracks={"a b#1.png": 1})
    write_workbook(WorkbookConfig(loose.url, str(tmp_path / "file")))
    [row] = read_sheet(tmp_path / "file")[1]
    assert row["Image"].hyperlink.target == f"FILE://{folder}/a%20b%231.png"
    write_moves(loose, Moves(folders={f"file://{folder}": f"file://{tmp_path}/moved"}))
    write_workbook(WorkbookConfig(loose.url, str(tmp_path / "file")))
    [row] = read_sheet(tmp_path / "file")[1]
    assert row["Image"].hyperlink.target == f"FILE://{tmp_path}/moved/a%20b%231.png"


def test_photos_in_a_store_have_no_link(tmp_path: Path) -> None:
    """A spreadsheet opens no `s3://`; names of even length lie there."""
    layout = write_dataset(str(tmp_path / "out"), [[with_cracks(ok(name), 1) for name in ("a.jpg", "bb.jpg")]])
    assert {address(name)["archive"][:4] for name in ("a.jpg", "bb.jpg")} == {"file", "s3:/"}
    write_workbook(WorkbookConfig(layout.url, str(tmp_path / "file"), thumbnails=0))
    for row in read_sheet(tmp_path / "file")[1]:
        assert (row["Image"].hyperlink is None) == row["Archive"].value.startswith("s3:")


ODD_NAMES = (
    "=1+1.jpg",
    "{=1}.jpg",
    "+1.jpg",
    "12e4",
    "http://a.b/c.jpg",
    "Brücke 橋.jpg",
    "a\x00b\n\ufffe.jpg",
    "_x0041_.jpg",
)


def test_any_name_is_text(tmp_path: Path) -> None:
    """None is a formula, a number or a link of its own, also for whoever edits the cell; controls are escapes."""
    rows = [with_cracks(ok(name), 1) for name in ODD_NAMES]
    layout = write_dataset(str(tmp_path / "out"), [rows, [failed("no.jpg")]])
    write_workbook(WorkbookConfig(layout.url, str(tmp_path / "file"), thumbnails=0))
    _, cells = read_sheet(tmp_path / "file")
    shown = {name: name for name in ODD_NAMES} | {"a\x00b\n\ufffe.jpg": r"a\x00b\n\ufffe.jpg"}
    assert {unescape(row["Image"].value) for row in cells} == {*shown.values()}
    for row in cells:
        assert row["Image"].data_type in {"s", "inlineStr"}
        assert row["Image"].quotePrefix
        assert row["Archive"].quotePrefix
        assert "=" not in (row["Image"].hyperlink.target if row["Image"].hyperlink else "").partition("//")[0]


def test_what_people_told_is_text(layout: Layout, tmp_path: Path) -> None:
    """Verdicts and elements stand behind the columns of cracks, under their names; nothing of it is a formula."""
    formula = "=HYPERLINK(1)"
    for row in query(layout.url, "SELECT image_id, image FROM images").to_pylist():
        if row["image"] == "a.png":
            judge(layout, row["image_id"], "crack", cracks=[2], comment=formula, by="@ann")
    said = dict(zip((*PARTS, "=Nr."), (formula, "+1", "-2", "@x", "\t=1"), strict=True))
    set_elements(layout.url, ElementRules([*said], [ElementRule("row", "a.png", None, said)]))
    write_workbook(WorkbookConfig(layout.url, str(tmp_path / "file"), no_positions=True))
    _sheet, rows = read_sheet(tmp_path / "file")
    assert {"Latitude", "Longitude"} & {*rows[0]} == set()
    told = ("State", "Verdict", "Comment", "By", "Judged at", "Structure", "Span", "Element", "Face", "=Nr.")
    assert tuple(rows[0])[-len(told) :] == told
    assert [rows[0][name].value for name in told[:8]] == [
        "confirmed", "crack", formula, "@ann", "2026-11-30T12:00:00Z", formula, "+1", "-2",
    ]  # fmt: skip
    assert {cell.data_type for row in rows for name in told if (cell := row[name]).value is not None} == {"s"}
    assert [row["State"].value for row in rows] == ["confirmed", *["open"] * 4]
    assert {row["Structure"].value for row in rows if row["Image"].value == "b.png"} == {None}


def test_a_sheet_takes_no_more_rows_than_excel(layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The narrowest are left out, and counted."""
    monkeypatch.setattr(workbook, "MOST_ROWS", 4)
    made = write_workbook(WorkbookConfig(layout.url, str(tmp_path / "file")))
    assert (made.cracks, made.left_out) == (3, 2)
    sheet, rows = read_sheet(tmp_path / "file")
    assert (len(rows), sheet.auto_filter.ref) == (3, "A1:T4")


def test_a_sheet_has_no_more_links_than_excel(layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Later rows have the name alone, and so has a photo with too long a path."""
    monkeypatch.setattr(workbook, "MOST_LINKS", 2)
    write_workbook(WorkbookConfig(layout.url, str(tmp_path / "file")))
    links = [row["Image"].hyperlink is not None for row in read_sheet(tmp_path / "file")[1]]
    assert links == [True, True, False, False, False]
    monkeypatch.setattr(workbook, "MOST_LINK_LETTERS", 3)
    write_workbook(WorkbookConfig(layout.url, str(tmp_path / "file")))
    assert not any(row["Image"].hyperlink for row in read_sheet(tmp_path / "file")[1])


def test_a_workbook_replaces_an_older_one(layout: Layout, tmp_path: Path) -> None:
    """On any store; one that somebody saved with a spreadsheet stays, unless the user says so."""
    for url in (str(tmp_path / "file.xlsx"), "memory://workbooks/file.xlsx"):
        for _ in range(2):
            write_workbook(WorkbookConfig(layout.url, url, thumbnails=1))
    path = tmp_path / "file.xlsx"
    book = openpyxl.load_workbook(path)
    book.properties.lastModifiedBy = "Ada"
    book.save(path)
    before = path.read_bytes()
    with pytest.raises(UsageError, match="that `crackscan export` did not write"):
        write_workbook(WorkbookConfig(layout.url, str(path)))
    assert path.read_bytes() == before
    write_workbook(WorkbookConfig(layout.url, str(path), overwrite=True))
    assert values(path, "Crack") == [2, 0, 0, 1, 1]


@pytest.mark.parametrize("overwrite", [False, True])
def test_an_archive_is_never_replaced(*, overwrite: bool, layout: Layout, tmp_path: Path) -> None:
    """Workbooks are zips, but no other zip becomes one, and neither does another kind of file."""
    zip_photos(tmp_path / "other.zip", {"a.png": photo(1)})
    with zipfile.ZipFile(tmp_path / "torn.zip", "w") as torn:
        torn.writestr("[Content_Types].xml", "")
    (tmp_path / "a.png").write_bytes(photo(1))
    for name in ("photos.zip", "other.zip", "torn.zip", "a.png"):
        before = (tmp_path / name).read_bytes()
        with pytest.raises(UsageError, match="Give another --out"):
            write_workbook(WorkbookConfig(layout.url, str(tmp_path / name), overwrite=overwrite))
        assert (tmp_path / name).read_bytes() == before


def test_a_workbook_that_fails_leaves_the_older_one(layout: Layout, tmp_path: Path) -> None:
    """The file appears whole or not at all."""
    config = WorkbookConfig(layout.url, str(tmp_path / "made" / "file"))
    write_workbook(config)
    [path] = (tmp_path / "made").iterdir()
    before = path.read_bytes()
    with files_of_at_most(1000), pytest.raises(CrackscanError, match="A temporary file could not be written to"):
        write_workbook(config)
    assert [path.read_bytes() for path in (tmp_path / "made").iterdir()] == [before]


@pytest.mark.parametrize("version", [1, 2])
def test_older_datasets_make_an_empty_sheet(version: int, tmp_path: Path) -> None:
    """It has its head, and the outcome says that no cracks were measured."""
    layout = write_dataset(str(tmp_path / "out"), [[ok("a.jpg")]], schema_version=version)
    made = write_workbook(WorkbookConfig(layout.url, str(tmp_path / "file")))
    assert (made.cracks, made.is_measured) == (0, False)
    assert read_sheet(tmp_path / "file")[1] == []
