"""`crackscan train`: options replace the preset, wrong use is one sentence, and a run prints its figures."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from pipeline.cli import main
from pipeline.cli.train import TRAINING_OPTIONS, command
from pipeline.evaluation.operating_point import OperatingTarget
from pipeline.labels.label_tables import ClassNames
from pipeline.training.config import PRESETS, TrainConfig


def arguments_of(monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[TrainConfig, OperatingTarget | None]:
    """Return the configuration of a command line, and the target of its calibration."""
    calls: list[tuple[TrainConfig, OperatingTarget | None]] = []

    def stop(config: TrainConfig, _callbacks: object, target: OperatingTarget | None) -> None:
        calls.append((config, target))
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.training.flow.train", stop)
    CliRunner().invoke(main, ["train", *words])
    return calls[0]


def config_of(monkeypatch: pytest.MonkeyPatch, *words: str) -> TrainConfig:
    """Return the configuration of a command line."""
    return arguments_of(monkeypatch, *words)[0]


def test_options_replace_the_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Options that are not given come from the preset; given ones count, also if 0."""
    quick = config_of(monkeypatch, "a", "b", "--out", "m", "--preset", "quick")
    assert quick.hyperparameters == PRESETS["quick"]
    assert (quick.data, quick.val, quick.workers) == (("a", "b"), (), None)
    words = ("--head-epochs", "0", "--seed", "7", "--batch-size", "16", "--augment", "none", "--epoch-tiles", "99")
    given = config_of(monkeypatch, "a", "--out", "m", "--val", "v", "--val", "w", *words).hyperparameters
    assert (given.head_epochs, given.seed, given.batch_size, given.augment, given.epoch_tiles) == (0, 7, 16, "none", 99)
    assert given.epochs == PRESETS["standard"].epochs


def test_facts_that_only_people_know_reach_the_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration has licences, attributions and a note in order, and the names of the classes."""
    words = ("--licence", "MIT", "--licence", "CC0", "--attribution", "me", "--note", "Interim.", "--positive", "crack")
    config = config_of(monkeypatch, "a", "--out", "m", *words)
    assert config.about.licences == ("MIT", "CC0")
    assert (config.about.attributions, config.about.note) == (("me",), "Interim.")
    assert config.classes == ClassNames(("crack",), ("Negative",))


def test_a_class_has_several_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The options may be given again, and are lists in a file of options; one name there needs no list."""
    names = ("--positive", "CD", "--positive", "CP", "--negative", "UD")
    assert config_of(monkeypatch, "a", "--out", "m", *names).classes == ClassNames(("CD", "CP"), ("UD",))
    (tmp_path / "c.yaml").write_text("out: m\ndata: [a]\npositive: [CD, CP]\nnegative: UD\n")
    assert config_of(monkeypatch, "--config", str(tmp_path / "c.yaml")).classes == ClassNames(("CD", "CP"), ("UD",))
    assert config_of(monkeypatch, "a", "--out", "m").classes == ClassNames()


def test_calibration_on_trials_needs_their_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --calibrate-on there is none; with it, the rates are one and three per cent by default."""
    assert arguments_of(monkeypatch, "a", "--out", "m")[1] is None
    words = ("a", "--out", "m", "--calibrate-on", "runs")
    assert arguments_of(monkeypatch, *words)[1] == OperatingTarget("runs", 0.01, 0.03)
    rates = ("--false-alarms", "0.02", "--base-rate", "0.1")
    assert arguments_of(monkeypatch, *words, *rates)[1] == OperatingTarget("runs", 0.02, 0.1)


def test_every_training_option_is_a_setting() -> None:
    """The options with defaults of a preset are its fields, and options of the command."""
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
        (
            ["tiles", "--positive", "a", "--negative", "b", "--negative", "A"],
            2,
            "'a' names cracked tiles and sound ones",
        ),
        (["tiles", "--positive", "negative"], 2, "'negative' names cracked tiles and sound ones. Give every name once"),
        (["tiles", "--positive", " "], 2, "expected at least one for each, and none empty"),
        (["tiles", "--calibrate-on", "nowhere"], 2, "nowhere holds no trials of tf_efficientnet_lite0"),
        (["tiles", "--calibrate-on", "tiles", "--base-rate", "2"], 2, "--base-rate is 2; expected a number between"),
        (["tiles", "--false-alarms", "0.1"], 2, "--false-alarms and --base-rate need trials: give --calibrate-on"),
        (["tiles", "--mlflow", "http://me:hunter2@host:5000"], 2, "What follows --mlflow holds a password in a URL"),
        (["tiles", "--licence", "a", "--licence", "b", "--licence", "c"], 2, "--licence was given 3 times"),
    ],
)
def test_wrong_use_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, message: str
) -> None:
    """The command trains nothing and starts no Ray; the message says what to change."""
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


def test_pictures_of_no_class_are_told(tmp_path: Path) -> None:
    """A line on stderr counts them by folder, and those of other formats by ending; stdout has nothing of it."""
    for place in ("D/CD", "D/UD", "P/CP", "P/UP", "P/UP/deep"):
        for number in range(1, 3):
            (tmp_path / "sdnet" / place).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (40, 40)).save(tmp_path / "sdnet" / place / f"{number}.jpg")
    (tmp_path / "sdnet" / "D" / "CD" / "3.psd").write_bytes(b"8BPS")
    words = ["--positive", "CD", "--negative", "UD", "--weights", str(tmp_path / "nowhere"), "--cpus", "1"]
    shown = CliRunner().invoke(main, ["train", str(tmp_path / "sdnet"), "--out", str(tmp_path / "m"), *words])
    assert shown.stdout == ""
    assert shown.stderr.startswith(
        "6 of 10 pictures are in folders that no class name takes: CP (2), UP (2), deep (2). Give --positive or "
        "--negative NAME for each that belongs.\n"
        "1 picture left out, of formats that are not decoded: .psd (1). Convert what belongs to JPEG, PNG or TIFF.\n"
    )


def test_rows_without_a_label_are_counted(tmp_path: Path) -> None:
    """Before it trains, the command says how many rows it leaves out."""
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
