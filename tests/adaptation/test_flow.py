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
    assert (new.card.threshold, new.card.photo, new.card.places) == (
        old.card.threshold,
        old.card.photo,
        old.card.places,
    )
    assert new.card.data[: len(old.card.data)] == old.card.data
    assert [(source.tiles, source.cracked) for source in new.card.data[len(old.card.data) :]] == [(TILES, TILES // 2)]


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
    assert said.count("etter") >= 1
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


def test_the_old_model_is_never_written_over(data: Path, adapted: tuple[Path, str]) -> None:
    """--out that is --from is refused."""
    out, _ = adapted
    done = CliRunner().invoke(main, ["train", "--from", str(out), str(data), "--out", str(out)])
    assert done.exit_code == 2
    assert "holds the model of another run" in done.output


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
