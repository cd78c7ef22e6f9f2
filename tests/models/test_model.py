"""A model on disk: it loads as it was saved, and a damaged one never loads."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipeline.core.errors import ModelError, UsageError
from pipeline.models import backbones, model
from pipeline.models.card import Card
from pipeline.models.model import CARD_FILE, SHIPPED_MODEL, WEIGHTS_FILE, Model
from pipeline.models.network import encode_weights, network_of, state_of

ARCHITECTURE = "test_efficientnet.r160_in1k"
"""The smallest network of timm: 0.4 million parameters."""


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """Return random weights."""
    torch.manual_seed(0)
    return backbones.build(ARCHITECTURE).state_dict()


@pytest.fixture
def folder(tmp_path: Path, state: dict[str, Tensor]) -> Path:
    """Write a model folder."""
    model.save_model(str(tmp_path / "model"), make_model(state), lambda card: f"# {card.model_id}\n")
    return tmp_path / "model"


def make_model(state: dict[str, Tensor]) -> Model:
    """Return a model with these weights, not yet on disk."""
    return Model("", make_card(), encode_weights(state))


def make_card() -> Card:
    """Return a card for the small network."""
    return replace(
        model.load_card(SHIPPED_MODEL), architecture=ARCHITECTURE, mean=(0.5,) * 3, std=(0.25,) * 3, int8=None
    )


def test_a_model_scores_as_before_it_was_written(folder: Path, state: dict[str, Tensor]) -> None:
    """Half precision on disk moves a logit by less than a hundredth."""
    before = backbones.build(ARCHITECTURE)
    before.load_state_dict(state)
    pictures = torch.rand(4, 3, 64, 64)
    with torch.no_grad():
        moved = network_of(model.load_model(str(folder)))(pictures) - before.eval()(pictures)
    assert float(moved.abs().max()) < 0.01


def test_the_id_follows_the_stored_bytes(folder: Path, state: dict[str, Tensor]) -> None:
    """The same weights and card give the same id and the same file; other weights give another id."""
    first = model.load_model(str(folder))
    again = model.save_model(str(folder.with_name("again")), make_model(state), lambda _: "")
    assert again.model_id == first.model_id
    assert (folder.with_name("again") / WEIGHTS_FILE).read_bytes() == (folder / WEIGHTS_FILE).read_bytes()
    other = {name: tensor * 2 for name, tensor in state.items()}
    changed = model.save_model(str(folder.with_name("other")), make_model(other), lambda _: "")
    assert changed.model_id != first.model_id
    assert (folder / "README.md").read_text() == f"# {first.model_id}\n"


def test_loaded_tensors_are_single_precision(folder: Path) -> None:
    """Scoring computes with float32, whatever the file stores."""
    kinds = {tensor.dtype for tensor in state_of(model.load_model(str(folder))).values()}
    assert kinds <= {torch.float32, torch.int64}


def test_damaged_weights_are_refused(folder: Path) -> None:
    """The SHA-256 in the card reveals one changed byte."""
    data = bytearray((folder / WEIGHTS_FILE).read_bytes())
    data[-1] ^= 1
    (folder / WEIGHTS_FILE).write_bytes(data)
    with pytest.raises(
        ModelError, match=r"model.safetensors is damaged: its SHA-256 begins with \w{12}, the card says"
    ):
        model.load_model(str(folder))


def test_missing_weights_are_named(folder: Path) -> None:
    """A card alone is no model."""
    (folder / WEIGHTS_FILE).unlink()
    with pytest.raises(ModelError, match=r"has a card and no model\.safetensors"):
        model.load_model(str(folder))


def test_a_folder_without_a_card_is_no_model(tmp_path: Path) -> None:
    """A wrong folder is wrong usage."""
    with pytest.raises(UsageError, match=r"^No model at .*; expected a folder with card.json"):
        model.load_model(str(tmp_path))


def test_weights_of_another_network_are_refused(folder: Path, state: dict[str, Tensor]) -> None:
    """A card with another architecture than the weights raises an error that names it."""
    card = replace(make_card(), architecture="test_resnet.r160_in1k")
    model.save_model(str(folder), replace(make_model(state), card=card), lambda _: "")
    with pytest.raises(ModelError, match="do not fit their card's architecture test_resnet"):
        network_of(model.load_model(str(folder)))


def test_an_unfinished_write_is_no_model(folder: Path, state: dict[str, Tensor]) -> None:
    """Saving removes the card first and writes it last, so a stop in between leaves no model instead of a mixed one."""

    def stop(card: Card) -> str:
        raise KeyboardInterrupt(card.model_id)

    with pytest.raises(KeyboardInterrupt):
        model.save_model(str(folder), make_model(state), stop)
    assert not (folder / CARD_FILE).exists()


def test_the_shipped_model_can_be_used() -> None:
    """The weights of the package's own model match its card and fit its network."""
    shipped = model.load_model(SHIPPED_MODEL)
    pictures = torch.zeros(1, 3, shipped.card.tile_px, shipped.card.tile_px)
    assert network_of(shipped)(pictures).shape == (1, 1)


def test_the_shipped_model_was_not_trained_on_what_is_only_to_measure_on() -> None:
    """Its card names neither the folder nor the origin of the walls and the asphalt, in its data or its command."""
    card = model.load_card(SHIPPED_MODEL)
    said = f"{card.data} {card.training}"
    assert "uav_weathered" in said
    assert not [name for name in ("eval_only", "crack_dataset", "Rissbilder", "CrackForest") if name in said]
