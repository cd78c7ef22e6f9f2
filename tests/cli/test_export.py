"""The output of `crackscan export` for cracks."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from pipeline.cli import main
from pipeline.dataset.rasters import Raster
from pipeline.reports import workbook
from pipeline.reports.crack_stats import NOT_MEASURED
from tests.helpers.raster_dataset import RASTER, window, write_raster_dataset
from tests.helpers.small_dataset import ok, write_dataset


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A dataset with four cracks in two photos, whose places in their archives are lost."""
    write_dataset(str(tmp_path / "out"))
    shutil.rmtree(tmp_path / "out" / "plan")
    return tmp_path / "out"


def export(out: Path, *words: str) -> Result:
    """Export a dataset to `file` beside it."""
    return CliRunner().invoke(main, ["export", str(out), "--out", f"{out.parent}/file", *words])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("dxf",), "Wrote 2 drawings of 4 cracks to {url}"),
        (("svg",), "Wrote 2 drawings of 4 cracks to {url}"),
        (("xlsx", "--no-thumbnails"), "Wrote 4 cracks, 0 with a picture, to {url}"),
        (("csv", "--table", "cracks"), "Wrote 4 cracks to {url}"),
        (("geojson", "--table", "cracks"), "Wrote 0 cracks to {url}; 4 more are in photos that have no position"),
    ],
)
def test_the_command_says_how_many_cracks_it_wrote(words: tuple[str, ...], said: str, out: Path) -> None:
    """And where to."""
    shown = export(out, "--to", *words)
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout == said.format(url=f"file://{out.parent}/file") + "\n"


def test_pictures_that_cannot_be_made_are_told(out: Path) -> None:
    """How many photos cannot be read, and why the first one cannot; the workbook is written."""
    shown = export(out, "--to", "xlsx")
    assert shown.exit_code == 0
    assert shown.stdout == f"Wrote 4 cracks, 0 with a picture, to file://{out.parent}/file\n"
    assert shown.stderr.startswith("No picture of the cracks of 2 photos that cannot be read any more: ")


def test_cracks_without_room_are_told(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the form that has them all."""
    monkeypatch.setattr(workbook, "MOST_ROWS", 4)
    shown = export(out, "--to", "xlsx", "--thumbnails", "0")
    assert shown.stdout == f"Wrote 3 cracks, 0 with a picture, to file://{out.parent}/file\n"
    assert shown.stderr == ("A sheet has no room for the 1 narrowest; a CSV has: --to csv --table cracks.\n")


@pytest.mark.parametrize("words", [("dxf",), ("xlsx",), ("csv", "--table", "cracks"), ("geojson", "--table", "cracks")])
def test_a_dataset_without_cracks_says_why(words: tuple[str, ...], tmp_path: Path) -> None:
    """It ends well: a script exports old datasets as it does new ones."""
    out = tmp_path / "out"
    write_dataset(str(out), [[ok("a.jpg")]], schema_version=2)
    shown = export(out, "--to", *words)
    assert shown.exit_code == 0
    assert shown.stderr == f"{out} {NOT_MEASURED}\n"


def test_nothing_is_said_of_photos_without_a_position_if_there_are_none(tmp_path: Path) -> None:
    """A dataset without cracks has none there either."""
    write_dataset(str(tmp_path / "out"), [[ok("a.jpg")]], schema_version=2)
    shown = export(tmp_path / "out", "--to", "geojson", "--table", "cracks")
    assert shown.stdout == f"Wrote 0 cracks to file://{tmp_path}/file\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ("csv", "--no-thumbnails"),
            "--thumbnails is for the pictures of an xlsx, and --to is csv. Leave one of them out.",
        ),
        (
            ("xlsx", "--table", "cracks"),
            "--table is for csv and geojson, and --to is xlsx. Leave --table out: what --to xlsx writes are cracks.",
        ),
        (("dxf", "--for", "excel"), "--for is for csv, and --to is dxf. Leave one of them out."),
        (
            ("svg", "--threshold", "0.5"),
            "--threshold is for csv, geojson, gpkg and duckdb, and --to is svg. Leave one of them out.",
        ),
    ],
)
def test_an_option_of_another_form_is_refused(words: tuple[str, ...], sentence: str, out: Path) -> None:
    """Exit code 2, and nothing is written."""
    shown = export(out, "--to", *words)
    assert (shown.exit_code, shown.stderr) == (2, f"crackscan: {sentence}\n")
    assert not (out.parent / "file").exists()


def test_rasters_are_exported_as_layers(tmp_path: Path) -> None:
    """The counts on stdout; on stderr which raster has no place on earth."""
    line = np.array([[210.0, 20.0], [390.0, 120.0]])
    layout = write_raster_dataset(str(tmp_path / "out"), [window(0, 200, [line])], [Raster(RASTER, 400, 200)])
    shown = export(Path(layout.url.removeprefix("file://")), "--to", "gpkg")
    assert shown.stdout == f"Wrote 1 cracks, 1 tiles to file://{tmp_path}/file\n"
    assert shown.stderr == f"{RASTER} has no coordinate reference system: its layers are in pixels.\n"
    (tmp_path / "file").unlink()  # a file of another kind is never replaced
    shown = export(Path(layout.url.removeprefix("file://")), "--to", "geojson", "--table", "tiles")
    assert shown.stdout == f"Wrote 0 tiles at or over the threshold to file://{tmp_path}/file; 1 more has no position\n"
