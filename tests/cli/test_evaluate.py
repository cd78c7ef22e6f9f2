"""The command `crackscan evaluate`."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from pipeline.cli import main
from pipeline.models.model import SHIPPED_MODEL
from pipeline.synthetic.drawing import draw_photo


def invoke(*arguments: str) -> tuple[int, str, str]:
    """Run the command; return exit code, stdout and stderr."""
    result = CliRunner().invoke(main, ["evaluate", *arguments], catch_exceptions=False)
    return result.exit_code, result.stdout, result.stderr


def tile(path: Path, size_px: int = 64) -> None:
    """Write a tile of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(path.name)).integers(0, 256, (size_px, size_px, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def test_help() -> None:
    """The help lists the files and shows examples."""
    code, text, _ = invoke("--help")
    assert code == 0
    assert "crackscan evaluate demo/tiles/val --model demo/model" in text
    assert "metrics.json" in text


def test_no_data() -> None:
    """Without DATA, Click says so."""
    code, _, error = invoke()
    assert code == 2
    assert "Missing argument 'DATA...' or '--masks'" in error


def test_missing_folder(tmp_path: Path) -> None:
    """A missing folder is one plain sentence."""
    code, _, error = invoke(f"{tmp_path}/nowhere")
    assert code == 2
    assert error == (
        f"crackscan: {tmp_path}/nowhere does not exist; expected a folder of labelled tiles, an export of a "
        "labelling tool, or a .csv or .parquet table.\n"
    )


def test_one_class(tmp_path: Path) -> None:
    """Tiles of one class are one plain sentence."""
    tile(tmp_path / "Positive" / "a.png")
    code, _, error = invoke(str(tmp_path))
    assert code == 2
    assert error == (
        f"crackscan: {tmp_path} holds tiles of one class only: 1 cracked (Positive) and 0 sound (Negative). Both "
        "classes are needed.\n"
    )


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    """Rows without a label, and pictures in folders of other names, one line each; a class may have several names."""
    for place in ("CD", "CP", "UD", "UP", "other"):
        tile(tmp_path / "tiles" / place / "a.png")
    (tmp_path / "t.csv").write_text("path,label\ntiles/CD/a.png,CD\ntiles/UD/a.png,ud\ntiles/UP/a.png,\n")
    names = ("--positive", "CD", "--positive", "CP", "--negative", "UD", "--negative", "UP")
    _, _, error = invoke(f"{tmp_path}/tiles", f"{tmp_path}/t.csv", *names, "--model", f"{tmp_path}/none")
    assert error.startswith(
        "1 row has no label yet and is left out.\n"
        "1 of 5 pictures is in a folder that no class name takes: other (1). Give --positive or --negative NAME for "
        "each that belongs.\n"
    )


def test_no_model(tmp_path: Path) -> None:
    """A missing model is one plain sentence, and leaves no report folder."""
    tile(tmp_path / "tiles" / "Positive" / "a.png")
    tile(tmp_path / "tiles" / "Negative" / "bb.png")
    code, _, error = invoke(f"{tmp_path}/tiles", "--model", f"{tmp_path}/none")
    assert code == 2
    assert error.startswith(f"crackscan: No model at {tmp_path}/none; expected a folder")
    assert not (tmp_path / "none").exists()


def test_a_folder_without_masks(tmp_path: Path) -> None:
    """A folder without photos and masks is one plain sentence."""
    code, _, error = invoke("--masks", str(tmp_path))
    assert code == 2
    assert error == (f"crackscan: {tmp_path} has no masks; expected a folder with images/ and masks/ in it.\n")


@pytest.mark.ray
def test_evaluate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flow of `score` scores tiles and a larger photo; a broken one is named, and makes exit code 3."""
    monkeypatch.chdir(tmp_path)
    tile(tmp_path / "a" / "Positive" / "small.png")
    tile(tmp_path / "a" / "Negative" / "large.png", size_px=700)
    tile(tmp_path / "b" / "crack" / "Positive" / "one.jpg")
    (tmp_path / "b" / "Negative").mkdir()
    (tmp_path / "b" / "Negative" / "broken.jpg").write_bytes(b"no picture")
    code, text, error = invoke("a", "b", "--model", "shipped", "--out", "report", "--repeats", "20", "--cpus", "2")
    assert code == 3
    assert "average precision" in text
    assert "recall at 1 % false alarms" in text
    assert f"worst mistakes: {tmp_path}/report\n" in text
    assert f"failed: {tmp_path}/b/Negative/broken.jpg: No photo in" in error
    assert "1 tile could not be scored and is not counted; metrics.json names it." in error
    found = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert [(result["source"], result["n"]) for result in found["results"]] == [("a", 2), ("b", 1), ("all", 3)]


@pytest.mark.ray
def test_evaluate_maps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flow of `score --maps` makes maps of photos, which are compared with their masks."""
    monkeypatch.chdir(tmp_path)
    drawing = draw_photo(300, 420, seed=3)
    for part, picture in (("images", drawing.pixels), ("masks", drawing.mask)):
        (tmp_path / "c" / part).mkdir(parents=True)
        Image.fromarray(picture).save(tmp_path / "c" / part / "crack.png")
    code, text, error = invoke("--masks", "c", "--model", SHIPPED_MODEL, "--out", "report", "--cpus", "2")
    assert (code, "best IoU" in text, "failed" in error) == (0, True, False)
    assert f"photos beside their masks and maps: {tmp_path}/report/masks.png\n" in text
    assert "9 px wide and more" in text
    assert text.count("(1 photo)") == 1
    [result] = json.loads((tmp_path / "report" / "masks.json").read_text())["results"]
    quality = result["quality"]
    assert (result["source"], result["photos"], quality["crack_pixels"]) == ("c", 1, drawing.mask.sum())
    assert quality["exact"]["average_precision"] > 3 * drawing.mask.mean()  # a blind map reaches the mean
