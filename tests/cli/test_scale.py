"""`crackscan scale`: what it says, and what it refuses."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipeline.cli import main
from pipeline.dataset.sql import query
from tests.helpers.small_dataset import write_dataset

SCALES = "SELECT image, mm_per_px, scale_source FROM images WHERE status = 'ok' ORDER BY image"

NEEDS_FOCAL_LENGTH = (
    "Error: Invalid value for '--scale': the row of *.jpg has a distance, which tells a scale only with the photo's "
    "focal length in pixels; a dataset does not keep that (focal_length_mm is in millimetres). Give mm_per_px, or "
    "score into another OUT with this table."
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the dataset `scores`: of its measured photos a.jpg, bb.jpg and ccc.jpg, the first has a scale."""
    monkeypatch.chdir(tmp_path)
    write_dataset("scores")
    return tmp_path


def run(*words: str) -> Result:
    """The output of the command."""
    return CliRunner(env={"COLUMNS": "300"}).invoke(main, ["scale", "scores", *words])


def scales() -> list[tuple[object, ...]]:
    """The scales of the scored photos."""
    return [tuple(row.values()) for row in query("scores", SCALES).to_pylist()]


def test_one_scale_for_all_photos() -> None:
    """And back to what they were scored with."""
    shown = run("--mm-per-px", "0.25")
    assert (shown.exit_code, shown.stdout) == (0, "Set the scale of 3 photos of scores.\n")
    assert scales() == [(name, 0.25, "given") for name in ("a.jpg", "bb.jpg", "ccc.jpg")]
    assert run("--remove").stdout == "Photos of scores have the scales that they were scored with.\n"
    assert run("--remove").stdout == "Photos of scores have the scales that they were scored with; no other was set.\n"
    assert scales() == [("a.jpg", 0.4, "given"), ("bb.jpg", None, None), ("ccc.jpg", None, None)]


def test_a_table_of_scales(folder: Path) -> None:
    """Its first row that matches counts; the other photos keep theirs, also what an earlier call had set."""
    run("--mm-per-px", "7")
    (folder / "scales.csv").write_text("image;mm_per_px\n*two.tar/c*;0,5\nccc.jpg;2\nbb.jpg;3\n")
    shown = run("--scale", "scales.csv")
    assert shown.stdout == "Set the scale of 2 photos of scores; 1 has the one that it was scored with.\n"
    assert scales() == [("a.jpg", 0.4, "given"), ("bb.jpg", 3, "table"), ("ccc.jpg", 0.5, "table")]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "Error: Give one of --mm-per-px, --scale and --remove."),
        (("--mm-per-px", "1", "--remove"), "Error: Give one of --mm-per-px, --scale and --remove."),
        (("--mm-per-px", "0"), "Error: Invalid value for '--mm-per-px': 0.0 is not in the range x>0."),
        (("--mm-per-px", "inf"), "crackscan: --mm-per-px is inf; expected millimetres to a pixel, more than 0."),
        (("--scale", "distances.csv"), NEEDS_FOCAL_LENGTH),
    ],
)
def test_mistakes_change_nothing(words: tuple[str, ...], message: str, folder: Path) -> None:
    """Exit code 2, and a sentence."""
    (folder / "distances.csv").write_text("image,distance_m\n*.jpg,5\n")
    shown = run(*words)
    assert shown.exit_code == 2
    assert shown.stderr.splitlines()[-1] == message
    assert not (folder / "scores" / "scales.parquet").exists()


def test_a_folder_without_a_dataset_is_refused() -> None:
    """It says so, and leaves nothing there."""
    shown = CliRunner().invoke(main, ["scale", "nowhere", "--mm-per-px", "1"])
    assert shown.exit_code == 2
    assert shown.stderr.startswith("crackscan: There is no dataset at ")
    assert not Path("nowhere").exists()
