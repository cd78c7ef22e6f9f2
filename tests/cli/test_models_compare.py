"""`crackscan models compare`: options become settings, wrong use is one sentence, and the table has all figures."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from pipeline.cli import main
from pipeline.cli.models_compare import COLUMNS, TRAINING_OPTIONS, command
from pipeline.evaluation.trial_comparison import Comparison, Figures, summarise
from pipeline.training.augment import Augment
from pipeline.training.config import TRIAL
from pipeline.training.trials import LeaveOneSourceOutConfig
from tests.evaluation.test_trial_comparison import RESULTS, SPEEDS


def shown(*words: str) -> tuple[int, str, str]:
    """Return exit code, stdout and stderr of the command."""
    result = CliRunner().invoke(main, ["models", "compare", *words])
    return result.exit_code, result.stdout, result.stderr


def config_of(monkeypatch: pytest.MonkeyPatch, *words: str) -> LeaveOneSourceOutConfig:
    """Return the configuration that a command line makes."""
    configs: list[LeaveOneSourceOutConfig] = []

    def stop(config: LeaveOneSourceOutConfig, _callbacks: object) -> Comparison:
        configs.append(config)
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.training.leave_one_source_out.run_trials", stop)
    shown(*words)
    return configs[0]


def test_options_replace_the_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without options the default backbone and recipe over three seeds; each given value counts once."""
    usual = config_of(monkeypatch, "a", "b", "--out", "o")
    assert usual == LeaveOneSourceOutConfig(("a", "b"), "o")
    words = ("--backbone", "x", "--backbone", "y", "--augment", "plain", "--augment", "field", "--augment", "plain")
    given = config_of(
        monkeypatch, "a", "b", "--out", "o", *words, "--seed", "3", "--epoch-tiles", "64", "--epochs", "2"
    )
    assert (given.backbones, given.augments, given.seeds) == (("x", "y"), ("plain", "field"), (3,))
    assert (given.hyperparameters.epoch_tiles, given.hyperparameters.epochs) == (64, 2)
    assert given.hyperparameters.batch_size == TRIAL.batch_size


def test_every_recipe_and_setting_has_an_option() -> None:
    """--augment has all recipes as choices; the options with defaults of the preset are its fields."""
    options = {parameter.name: parameter for parameter in command.params}
    assert tuple(options["augment"].type.choices) == get_args(Augment)  # type: ignore[attr-defined]  # a Choice has them
    assert options.keys() >= set(TRAINING_OPTIONS)
    assert vars(TRIAL).keys() >= set(TRAINING_OPTIONS)
    assert tuple(COLUMNS) == Figures._fields


def test_the_table_has_all_figures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A row for each left-out source, the mean with its interval, and the difference to the first candidate."""
    found = summarise(f"file://{tmp_path}", RESULTS, SPEEDS)
    monkeypatch.setattr("pipeline.training.leave_one_source_out.run_trials", lambda *_: found)
    code, out, err = shown("a", "b", "--out", str(tmp_path))
    assert code == 0, err
    lines = [[word for word in line.split() if word not in "│┃"] for line in out.splitlines()]
    assert ["50", "tiles/s,", "2", "seeds"] in lines
    assert [line[:2] for line in lines if line[:1] in (["a"], ["b"])] == [
        ["a", "1.0000"],
        ["b", "0.8750"],
        ["a", "1.0000"],
        ["b", "0.6250"],
    ]
    assert ["mean", "0.9375", "±", "0.7941"] in [line[:4] for line in lines]
    differences = (
        "fast, field against slow, field, by seed, 2 seeds:\n"
        "  AUC +0.1250 ± 0.0000, the interval excludes zero\n"
        "  recall at 5 % false alarms +0.1250 ± 1.5882, the interval includes zero\n"
    )
    assert differences in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("tiles",), "One source was given (tiles); expected at least two DATA, for each is left out once."),
        (("tiles", "nowhere"), "nowhere does not exist"),
        (
            ("tiles", "one"),
            "one cannot be left out and tested on: of its 2 tiles that no other DATA holds, 2 are cracked.",
        ),
        (("tiles", "other", "--backbone", "nope"), "knows no backbone 'nope'"),
        (("tiles", "other", "--epochs", "0", "--head-epochs", "0"), "There is nothing to train"),
    ],
)
def test_wrong_use_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], message: str
) -> None:
    """The command trains nothing and starts no Ray; the message says what to change."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    counts = (("tiles", "Positive", 2), ("tiles", "Negative", 2), ("one", "Positive", 2), ("other", "Positive", 2))
    for folder, name, count in (*counts, ("other", "Negative", 2)):
        (tmp_path / folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = random.integers(0, 256, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / name / f"{number}.png")
    code, out, err = shown(*words, "--out", "o")
    assert code == 2, out + err
    assert message in err
    assert "Traceback" not in out + err
    assert not (tmp_path / "o").exists()
