"""`crackscan train`: options lie over the preset, wrong use ends in one sentence, and a run prints what it reached."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from pipeline.cli import main
from pipeline.cli.train import TRAINING_OPTIONS, command
from pipeline.evaluation.operating_point import OperatingTarget
from pipeline.training.config import PRESETS, TrainConfig


def asked_of(monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[TrainConfig, OperatingTarget | None]:
    """Return the configuration that a command line makes, and what scores are calibrated for."""
    seen: list[tuple[TrainConfig, OperatingTarget | None]] = []

    def stop(config: TrainConfig, _watcher: object, use: OperatingTarget | None) -> None:
        seen.append((config, use))
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.training.flow.train", stop)
    CliRunner().invoke(main, ["train", *words])
    return seen[0]


def config_of(monkeypatch: pytest.MonkeyPatch, *words: str) -> TrainConfig:
    """Return the configuration that a command line makes."""
    return asked_of(monkeypatch, *words)[0]


def test_options_lie_over_the_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not given is the preset's; what is given is taken, zero included."""
    quick = config_of(monkeypatch, "a", "b", "--out", "m", "--preset", "quick")
    assert quick.training == PRESETS["quick"]
    assert (quick.data, quick.val, quick.workers) == (("a", "b"), (), None)
    words = ("--head-epochs", "0", "--seed", "7", "--batch-size", "16", "--augment", "none", "--epoch-tiles", "99")
    given = config_of(monkeypatch, "a", "--out", "m", "--val", "v", "--val", "w", *words).training
    assert (given.head_epochs, given.seed, given.batch_size, given.augment, given.epoch_tiles) == (0, 7, 16, "none", 99)
    assert given.epochs == PRESETS["standard"].epochs


def test_what_only_people_know_reaches_the_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """Licences, attributions and a note are passed on in order; so are the names of the classes."""
    words = ("--licence", "MIT", "--licence", "CC0", "--attribution", "me", "--note", "Interim.", "--positive", "crack")
    config = config_of(monkeypatch, "a", "--out", "m", *words)
    assert config.about.licences == ("MIT", "CC0")
    assert (config.about.attributions, config.about.note) == (("me",), "Interim.")
    assert config.classes == ("crack", "Negative")


def test_trials_are_asked_for_by_their_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --calibrate-on nothing is; with it, rates not given are one and three per cent."""
    assert asked_of(monkeypatch, "a", "--out", "m")[1] is None
    words = ("a", "--out", "m", "--calibrate-on", "runs")
    assert asked_of(monkeypatch, *words)[1] == OperatingTarget("runs", 0.01, 0.03)
    rates = ("--false-alarms", "0.02", "--base-rate", "0.1")
    assert asked_of(monkeypatch, *words, *rates)[1] == OperatingTarget("runs", 0.02, 0.1)


def test_every_training_option_is_a_setting() -> None:
    """The options that a preset fills in are fields of the settings, and options of the command."""
    names = {parameter.name for parameter in command.params}
    assert names >= set(TRAINING_OPTIONS)
    assert vars(PRESETS["quick"]).keys() >= set(TRAINING_OPTIONS)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["nowhere"], 2, "nowhere does not exist"),
        (["tiles", "--val", "nowhere"], 2, "nowhere does not exist"),
        (["one"], 2, "Both classes are needed"),
        (["tiles", "--backbone", "nope"], 2, "knows no backbone 'nope'"),
        (["tiles", "--weights", "none.pt"], 2, "No weights file at none.pt"),
        (["tiles", "--weights", "tiles/Positive/0.png"], 1, "is damaged, or holds more than tensors"),
        (["tiles", "--epochs", "0", "--head-epochs", "0"], 2, "There is nothing to train"),
        (["tiles", "--learning-rate", "-1"], 2, "expected a positive --learning-rate"),
        (["tiles", "--val-fraction", "2"], 2, "held out"),
        (["tiles", "--calibrate-on", "nowhere"], 2, "nowhere holds no trials of tf_efficientnet_lite0"),
        (["tiles", "--calibrate-on", "tiles", "--base-rate", "2"], 2, "--base-rate is 2; expected a number between"),
        (["tiles", "--false-alarms", "0.1"], 2, "--false-alarms and --base-rate need trials: give --calibrate-on"),
        (["tiles", "--mlflow", "http://me:hunter2@host:5000"], 2, "--mlflow holds a password in a URL"),
        (["tiles", "--licence", "a", "--licence", "b", "--licence", "c"], 2, "--licence was given 3 times"),
    ],
)
def test_wrong_use_ends_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, message: str
) -> None:
    """Nothing is trained, no Ray is started, and the message says what to mend."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for folder, name, count in (("tiles", "Positive", 6), ("tiles", "Negative", 6), ("one", "Positive", 2)):
        (tmp_path / folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = random.integers(0, 256, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / name / f"{number}.png")
    shown = CliRunner().invoke(main, ["train", *words, "--out", "model"])
    assert shown.exit_code == code, shown.output
    assert message in shown.stderr.splitlines()[-1]
    assert "Traceback" not in shown.output
    assert not (tmp_path / "model").exists()


def test_rows_without_a_label_are_told(tmp_path: Path) -> None:
    """Before anything is trained the command says how many rows it leaves out."""
    for name in ("a", "b"):
        Image.fromarray(np.full((40, 40, 3), 7, np.uint8)).save(tmp_path / f"{name}.png")
    (tmp_path / "review.csv").write_text("path,label\na.png,1\nb.png,0\na.png,\nb.png,\n")
    words = [
        "train",
        str(tmp_path),
        "--out",
        str(tmp_path / "m"),
        "--weights",
        str(tmp_path / "nowhere"),
        "--cpus",
        "1",
    ]
    shown = CliRunner().invoke(main, words)
    assert shown.stdout == "2 rows have no label yet and are left out.\n"
    assert "nowhere" in shown.stderr
