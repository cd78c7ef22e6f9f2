"""`crackscan models calibrate`: what it prints and refuses; the scores come from a fake."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from pipeline.cli import main
from pipeline.cluster.session import ClusterConfig
from pipeline.core.progress import OnProgress
from pipeline.models.model import SHIPPED_MODEL, load_card


def grey_scores(
    urls: Sequence[str], name: str, cluster: ClusterConfig, on_progress: OnProgress
) -> tuple[dict[str, float], dict[str, str]]:
    """Score a tile by the grey level of its corner."""
    assert (name, cluster) == ("shipped", ClusterConfig())
    on_progress(len(urls), len(urls))
    levels = {url: int(np.asarray(Image.open(url.removeprefix("file://")))[0, 0, 0]) for url in urls}
    return {url: 1 / (1 + math.exp((128 - level) / 40)) for url, level in levels.items()}, {}


def write_tiles(folder: Path, count: int) -> Path:
    """Tiles of different patterns; every second one is cracked, and those are brighter than the others."""
    random = np.random.default_rng(0)
    for number in range(count):
        pixels = random.integers(0, 255, (32, 32, 3), dtype=np.uint8)
        pixels[0, 0] = 60 + 40 * (number % 2) + number % 30
        path = folder / ("Positive" if number % 2 else "Negative") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return folder


def run(*words: str | Path) -> Result:
    """Run the command."""
    return CliRunner().invoke(main, ["models", "calibrate", *map(str, words)])


@pytest.fixture(autouse=True)
def _fake_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Score without Ray."""
    monkeypatch.setattr("pipeline.scoring.predict.predict_scores", grey_scores)


def test_what_was_fitted_is_said(tmp_path: Path) -> None:
    """Old and new values, the figures with intervals, what they say, and the place of the model."""
    result = run("shipped", write_tiles(tmp_path / "own", 60), "--out", tmp_path / "new")
    assert result.exit_code == 0, result.output
    old, new = load_card(SHIPPED_MODEL), load_card(str(tmp_path / "new"))
    lines = result.output.splitlines()
    assert "Fitted to 60 tiles, 30 of them cracked, of 60 photos:" in lines
    assert f"  threshold {old.threshold:g} → {new.threshold:g}" in lines
    assert "(moved along: too few sound tiles to fit it)" in result.output
    assert any(line.strip().startswith("F1 ") and " to " in line for line in lines)
    assert "On tiles like these, the new calibration is better: all of the interval of F1 is over zero." in lines
    assert lines[-1].startswith(f"Wrote model {new.model_id} (from {old.model_id}): ")
    assert (tmp_path / "new" / "README.md").exists()


def test_too_few_tiles_are_refused(tmp_path: Path) -> None:
    """Before anything is scored or written, with what is missing."""
    result = run("shipped", write_tiles(tmp_path / "own", 48), "--out", tmp_path / "new", "--false-alarms", "0.01")
    assert result.exit_code == 2
    assert (
        "There are 48 labelled tiles; expected at least 50; and 24 sound tiles; expected at least 100." in result.output
    )
    assert not (tmp_path / "new").exists()


def test_one_class_is_refused(tmp_path: Path) -> None:
    """As labelled data everywhere is."""
    folder = write_tiles(tmp_path / "own", 120)
    for path in (folder / "Negative").iterdir():
        path.unlink()
    result = run("shipped", folder, "--out", tmp_path / "new")
    assert result.exit_code == 2
    assert "Negative" in result.output
