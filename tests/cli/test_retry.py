"""`crackscan retry`: its options become those of a run."""

import pytest
from click.testing import CliRunner

from pipeline.cli import main
from pipeline.core.errors import UsageError
from pipeline.scoring.config import ScoreConfig


def configs(monkeypatch: pytest.MonkeyPatch, *words: str) -> list[ScoreConfig]:
    """The configurations with which the command would score."""
    found = list[ScoreConfig]()

    def retry(config: ScoreConfig, _kinds: object, _callbacks: object) -> None:
        found.append(config)
        raise UsageError("That is enough.")

    monkeypatch.setattr("pipeline.scoring.flow.retry", retry)
    assert CliRunner().invoke(main, ["retry", "scores", *words]).exit_code == 2
    return found


def test_scales_are_told_as_to_score(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all photos, by a table, and from the autofocus."""
    [config] = configs(monkeypatch, "--mm-per-px", "0.4", "--scale", "scales.csv", "--scale-from", "coarse")
    assert (config.mm_per_px, config.scale_table, config.scale_from) == (0.4, "scales.csv", "coarse")


def test_whether_cracks_are_measured_is_up_to_the_dataset(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no option for it, and the configuration leaves it open."""
    [config] = configs(monkeypatch)
    assert config.cracks is None
    assert configs(monkeypatch, "--no-cracks") == []
