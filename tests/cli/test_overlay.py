"""`crackscan overlay` as a user types it."""

import json
from pathlib import Path

from click.testing import CliRunner

from pipeline.cli import main
from tests.helpers.scored_photos import photo, scored, zipped


def test_photos_are_drawn_and_mapped(tmp_path: Path) -> None:
    """A line a photo; exit code 1 where one cannot be read any more."""
    archive = zipped(tmp_path / "one.zip", {"a.png": photo(255, place=(48.5, 11.25)), "b.png": photo(9)})
    out = scored(tmp_path / "out", archive)
    words = ["overlay", out.url, "a.png", "--out", str(tmp_path / "drawn"), "--format", "jpeg"]
    told = CliRunner().invoke(main, [*words, "--geojson", str(tmp_path / "photos.geojson")])
    [drawn] = (tmp_path / "drawn").iterdir()
    assert drawn.read_bytes().startswith(b"\xff\xd8")
    assert (told.exit_code, told.output.splitlines()) == (0, [
        f"file://{drawn}  1.000  a.png",
        f"file://{tmp_path}/photos.geojson: 1 photos with a position; 1 scored photos have none.",
    ])  # fmt: skip
    [feature] = json.loads((tmp_path / "photos.geojson").read_text())["features"]
    assert feature["geometry"] == {"type": "Point", "coordinates": [11.25, 48.5]}
    archive.unlink()
    told = CliRunner().invoke(main, words)
    assert (told.exit_code, told.stdout) == (1, "")
    assert told.stderr.startswith("a.png cannot be read any more: ")


def test_no_photo_is_wrong_usage() -> None:
    """With what was expected."""
    told = CliRunner().invoke(main, ["overlay", "scores"])
    assert (told.exit_code, told.stderr) == (
        2,
        "crackscan: No IMAGE was given; expected a photo's path in its archive or its image_id, or --geojson.\n",
    )
