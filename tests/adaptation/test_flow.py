"""Adaptation from end to end, on the command line: what it writes, says, refuses and repeats."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from jobs.train import work
from pipeline.cli import main
from pipeline.core.errors import UsageError
from pipeline.models import engines
from pipeline.models.batching import CRACK
from pipeline.models.model import SHIPPED, load_model
from pipeline.synthetic.drawing import draw_photo

TILES = 12


def draw_tiles(folder: Path, first: int, count: int = TILES) -> Path:
    """Draw cracked and sound tiles in turn."""
    for seed in range(first, first + count):
        of_class = folder / ("Positive" if seed % 2 else "Negative")
        of_class.mkdir(exist_ok=True, parents=True)
        Image.fromarray(draw_photo(224, 224, seed, cracked=seed % 2 == 1).pixels).save(of_class / f"{seed}.png")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Draw a dozen tiles to learn from."""
    return draw_tiles(tmp_path_factory.mktemp("tiles"), 0)


def adapt(*arguments: object) -> Result:
    """Run the command."""
    return CliRunner().invoke(main, ["train", "--from", SHIPPED, *map(str, arguments)])


@pytest.fixture(scope="module")
def adapted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Adapt the shipped model; return the folder and what was said."""
    out = tmp_path_factory.mktemp("adapted") / "model"
    done = adapt(data, "--out", out)
    assert done.exit_code == 0, done.output
    return out, done.output


def test_the_new_model_differs_in_its_last_layer_alone(adapted: tuple[Path, str]) -> None:
    """It is a model of its own, all other tensors are the old ones, and the card says where it comes from."""
    import safetensors.torch

    old, new = load_model(SHIPPED), load_model(str(adapted[0]))
    before, after = (safetensors.torch.load(model.weights) for model in (old, new))
    assert before.keys() == after.keys()
    assert {name for name in before if not before[name].equal(after[name])} == {"classifier.weight", "classifier.bias"}
    assert new.model_id != old.model_id
    assert new.card.training["from_model"] == old.model_id
    for name in ("threshold", "calibration", "photo", "places", "domain_threshold"):
        assert getattr(new.card, name) == getattr(old.card, name)
    known = [source for source in old.card.data if source.role != "validation"]
    assert [*new.card.data[:-1]] == known
    assert (new.card.data[-1].tiles, new.card.data[-1].cracked) == (TILES, TILES // 2)
    assert new.card.int8 is not None
    assert old.card.int8 is not None
    assert new.card.int8.sha256 != old.card.int8.sha256


def test_all_engines_score_with_the_new_layer(adapted: tuple[Path, str]) -> None:
    """The int8 network got the new last layer, too: both engines move from the old scores in the same way."""
    tiles = np.stack([draw_photo(224, 224, seed, cracked=seed % 2 == 1).pixels for seed in range(100, 104)])
    old, new = load_model(SHIPPED), load_model(str(adapted[0]))
    logits = {
        (engine, model.model_id): np.log(1 / np.asarray(engines.make(engine, 224, model, "cpu")(tiles))[:, CRACK] - 1)
        for engine in ("torch-fp32", "openvino-int8")
        for model in (old, new)
    }
    exact, integers = (
        logits[engine, old.model_id] - logits[engine, new.model_id] for engine in ("torch-fp32", "openvino-int8")
    )
    assert np.abs(exact).max() > 0.1
    np.testing.assert_allclose(integers, exact, atol=0.25)


def test_old_and_new_stand_side_by_side(adapted: tuple[Path, str]) -> None:
    """The command prints both models' figures with the verdict, and README and card keep them."""
    out, said = adapted
    assert f"On {TILES} tiles of {TILES} photos that it did not learn from:" in said
    assert "AUC, new less old: 95 % interval" in said
    assert "Each tile counts as a photo of its own" in said
    assert "cannot be told" in said or "Better at ranking" in said
    metrics = json.loads((out / "card.json").read_text())["metrics"]
    assert metrics["n"] == metrics["before/n"] == TILES
    assert "| measure | old model | this one |" in (out / "README.md").read_text()


def test_the_same_command_finds_its_model(adapted: tuple[Path, str], data: Path) -> None:
    """It is left as it is; another command does not replace it."""
    out, _ = adapted
    written = (out / "card.json").read_bytes()
    again = adapt(data, "--out", out)
    assert again.exit_code == 0, again.output
    assert "already there and was left as it is" in again.output
    other = adapt(data, "--out", out, "--seed", "1")
    assert other.exit_code == 2
    assert "holds the model of another run" in other.output
    assert (out / "card.json").read_bytes() == written


def test_held_out_tiles_of_ones_own(data: Path, tmp_path: Path) -> None:
    """With --val, both models are measured there, and nothing of it is learnt."""
    held_out = draw_tiles(tmp_path / "val", 50, 4)
    done = adapt(data, "--val", held_out, "--out", tmp_path / "model")
    assert done.exit_code == 0, done.output
    assert "On 4 tiles of 4 photos that it did not learn from:" in done.output
    assert "No interval: it takes ten photos or more" in done.output
    assert "cannot be told from these labels" in done.output


@pytest.mark.parametrize("options", [["--epochs", "3"], ["--preset", "quick"], ["--backbone", "resnet18"]])
def test_options_that_would_change_nothing_are_refused(data: Path, tmp_path: Path, options: list[str]) -> None:
    """They shape a training, and there is none; nothing is written."""
    done = adapt(data, *options, "--out", tmp_path / "model")
    assert done.exit_code == 2
    assert f"{options[0]} would change nothing" in done.output
    assert not (tmp_path / "model").exists()


def test_an_adapted_model_is_not_adapted_again(data: Path, adapted: tuple[Path, str], tmp_path: Path) -> None:
    """It would be measured on what it learnt; nor is a model written over itself."""
    out, _ = adapted
    again, itself = (
        CliRunner().invoke(main, ["train", "--from", str(out), str(data), "--out", str(folder)])
        for folder in (tmp_path / "new", out)
    )
    assert (again.exit_code, itself.exit_code) == (2, 2)
    assert "Start from that model again, and give all labels." in again.output
    assert "--out is the folder of the old model" in itself.output


def test_data_that_the_model_learnt_from_is_refused(tmp_path: Path) -> None:
    """The card of the shipped model names `metu_tiles/train`."""
    known = draw_tiles(tmp_path / "metu_tiles" / "train", 0, 4)
    done = adapt(known, "--out", tmp_path / "model")
    assert done.exit_code == 2
    assert "has learnt from" in done.output


def test_labels_of_one_photo_tell_nothing(tmp_path: Path) -> None:
    """The model is written, and nothing is claimed of it."""
    tiles = draw_tiles(tmp_path / "tiles", 0, 4)
    rows = [f"{path},{path.parent.name},one photo" for path in sorted(tiles.rglob("*.png"))]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(["path,label,group", *rows]))
    done = adapt(table, "--out", tmp_path / "model")
    assert done.exit_code == 0, done.output
    assert "It could not be measured" in done.output
    assert "cannot be told" in done.output
    assert json.loads((tmp_path / "model" / "card.json").read_text())["metrics"] == {}


def test_a_missing_model_is_told(data: Path, tmp_path: Path) -> None:
    """Exit code 2, with the place."""
    done = CliRunner().invoke(
        main, ["train", "--from", str(tmp_path / "none"), str(data), "--out", str(tmp_path / "m")]
    )
    assert done.exit_code == 2
    assert f"No model at {tmp_path / 'none'}" in done.output


def test_a_job_says_that_it_needs_no_cluster() -> None:
    """`python -m jobs.train --from` is refused before anything is read."""
    with pytest.raises(UsageError, match="needs no cluster"):
        work(from_model=SHIPPED, data=("nowhere",))
