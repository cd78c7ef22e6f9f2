"""The output of `crackscan overlay`."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.cli import main
from tests.helpers.scored_photos import photo, score_archives, zip_photos


def test_photos_are_drawn_and_mapped(tmp_path: Path) -> None:
    """A line for each photo; exit code 1 if one cannot be read any more."""
    archive = zip_photos(tmp_path / "one.zip", {"a.png": photo(255, place=(48.5, 11.25)), "b.png": photo(9)})
    out = score_archives(tmp_path / "out", archive)
    words = ["overlay", out.url, "a.png", "--out", str(tmp_path / "drawn"), "--format", "jpeg"]
    shown = CliRunner().invoke(main, [*words, "--geojson", str(tmp_path / "photos.geojson")])
    [drawn] = (tmp_path / "drawn").iterdir()
    assert drawn.read_bytes().startswith(b"\xff\xd8")
    assert (shown.exit_code, shown.output.splitlines()) == (0, [
        f"file://{drawn}  1.000  a.png",
        f"file://{tmp_path}/photos.geojson: 1 photo with a position; 1 scored photo has none.",
    ])  # fmt: skip
    [feature] = json.loads((tmp_path / "photos.geojson").read_text())["features"]
    assert feature["geometry"] == {"type": "Point", "coordinates": [11.25, 48.5]}
    archive.unlink()
    shown = CliRunner().invoke(main, words)
    assert (shown.exit_code, shown.stdout) == (1, "")
    assert shown.stderr.startswith("a.png cannot be read any more: ")


def test_no_photo_is_wrong_usage() -> None:
    """The message says what was expected."""
    shown = CliRunner().invoke(main, ["overlay", "scores"])
    assert (shown.exit_code, shown.stderr) == (
        2,
        "crackscan: No IMAGE was given; expected a photo's path in its archive or its image_id, or --geojson.\n",
    )


def test_cracks_are_described(tmp_path: Path) -> None:
    """Their length and width, beside the score."""
    out = score_archives(tmp_path / "out", zip_photos(tmp_path / "one.zip", {"a.png": photo(255)}), cracks={"a.png": 1})
    shown = CliRunner().invoke(main, ["overlay", out.url, "a.png", "--cracks", "--out", str(tmp_path / "drawn")])
    [drawn] = (tmp_path / "drawn").iterdir()
    assert (shown.exit_code, shown.output) == (
        0, f"file://{drawn}  1.000  a.png  1 crack, 20 px, the widest 1.5 px\n")  # fmt: skip


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["a.tif", "--region", "1,2,3"], "'1,2,3' is no region; expected LEFT,TOP,WIDTH,HEIGHT in pixels"),
        (["a.tif", "--region", "-1,2,3,4"], "'-1,2,3,4' is no region"),
        (["a.tif", "b.tif", "--region", "1,2,3,4"], "--region is of one raster, and 2 IMAGEs were given."),
    ],
)
def test_a_region_is_four_numbers_of_one_raster(words: list[str], reason: str) -> None:
    """Others are wrong usage."""
    shown = CliRunner().invoke(main, ["overlay", "scores", *words])
    assert shown.exit_code == 2
    assert reason in shown.stderr
