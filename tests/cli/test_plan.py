"""`crackscan plan` takes what `score` takes, says how long the job lasts and in what, and writes nothing."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from pipeline.cli import main, plan, score
from pipeline.cluster.session import Node
from pipeline.scoring.config import ScoreConfig
from pipeline.scoring.estimate import ArchiveCounts, Counts, Estimate, Pace, PhotoCost, SamplePhoto
from pipeline.scoring.placement import Placement
from pipeline.scoring.progress import ScoreCallbacks
from pipeline.synthetic.drawing import draw_photo
from tests.conftest import Crackscan

COST = PhotoCost(tiles=63, read_s=0.01, score_s=0.2, map_s=0.0)


def run_plan(monkeypatch: pytest.MonkeyPatch, found: Estimate, *words: str) -> str:
    """What the command prints if the preview finds this."""
    configs = []

    def preview(config: ScoreConfig, callbacks: ScoreCallbacks, began_at_s: float) -> Estimate:
        assert began_at_s > 0
        configs.append(config)
        callbacks.on_counted(found.counts)
        return found

    monkeypatch.setattr("pipeline.scoring.flow.preview", preview)
    shown = CliRunner().invoke(main, ["plan", "photos", *words])
    assert shown.exit_code == 0, shown.output
    assert configs[0].inputs == ("photos",)
    return shown.stdout


def counts(left: int = 2000, uncounted: int = 0) -> Counts:
    """Photos of one folder."""
    folder = ArchiveCounts("file:///photos", left + 100, 2_100_000_000, 100, 0, uncounted)
    return Counts((folder,), {"text": 2}, left, left * 1_000_000, uncounted)


def pace(cost: PhotoCost = COST, gpus: float = 0.0) -> Pace:
    """A pace of two scorers."""
    return Pace((SamplePhoto(cost, 1.0),), 12, Placement(2, 0.5, gpus), (Node(2, 2 * gpus),), 9.6, 2.64)


LISTED = (
    " archive         photos       MB  done  unreadable \n"
    " file:///photos   2,100  2,100.0   100           0 \n"
    "Skipped, for they are no photos: 2 x text\n"
)


def test_the_time_is_told_in_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start and end stand beside the photos, and the pace that a large job has."""
    assert run_plan(monkeypatch, Estimate(counts(), pace())) == LISTED + (
        "2,000 photos to score: about 3.5 min on 2 CPUs: 9.6 s to start, 3.3 min to read and score, 2.6 s to end.\n"
        "Measured just now on 12 of them, with 2 scorers: 63 tiles a photo, 630 tiles/s, 36,000 photos an hour, "
        "10.0 MB/s read.\n"
    )


def test_maps_and_graphics_processors_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Maps have a time of their own."""
    told = run_plan(monkeypatch, Estimate(counts(), pace(PhotoCost(63, 0.0, 0.1, 0.1), gpus=0.5)))
    assert "about 3.5 min on 1 GPU and 2 CPUs: 9.6 s to start, 100 s to read and score, 100 s to draw crack" in told


def test_streams_come_on_top(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows how many photos they hold."""
    told = run_plan(monkeypatch, Estimate(counts(uncounted=2), pace()))
    assert "?: compressed as a whole; its photos are counted while they are scored.\n" in told
    assert "The photos of 2 archives compressed as a whole come on top; their time is not known before.\n" in told


def test_no_time_is_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """If all is done there is none to tell; photos that are read from front to back only cannot be tried."""
    assert run_plan(monkeypatch, Estimate(counts(0), None)).endswith("\n0 photos to score.\n")
    assert run_plan(monkeypatch, Estimate(counts(0, uncounted=1), None)).endswith(
        "\n0 photos to score, and those of archives that are read from front to back only, whose time is not known "
        "before.\n"
    )


def test_prices_give_a_cost(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """That of holding the machines for that time."""
    prices = tmp_path / "prices.yaml"
    prices.write_text("{currency: EUR, cpu_hour: 3600, gpu_hour: 0}")
    told = run_plan(monkeypatch, Estimate(counts(), pace()), "--prices", str(prices))
    assert told.endswith("\nCost: about 424.48 EUR, storage and traffic not included.\n")


def test_a_command_line_of_score_is_one_of_plan() -> None:
    """So is its file for --config; only OUT may be left out."""
    assert {each.name for each in plan.command.params} == {each.name for each in score.command.params}


@pytest.mark.ray
def test_a_plan_rehearses_and_writes_nothing(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, crackscan: Crackscan
) -> None:
    """With tiles and maps as asked for; nothing of Ray's is printed."""
    photos = tmp_path_factory.mktemp("cracked")
    for seed in range(12):
        Image.fromarray(draw_photo(300, 450, seed, cracked=True).pixels).save(photos / f"{seed}.png")
    ran = crackscan("plan", str(photos), "--out", "scores", "--tile", "64", "--engine", "openvino-fp32", "--maps")
    assert ran.returncode == 0, ran.stderr
    assert re.search(r"^12 photos to score: about \d+ s on \d+ CPUs: .* to draw crack maps, .* to end\.$", ran.stdout,
                     re.MULTILINE)  # fmt: skip
    assert "raylet" not in ran.stdout + ran.stderr
    assert not [*tmp_path.iterdir()]
