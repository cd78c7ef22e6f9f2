"""Backbones: pre-trained weights without a network, and clear errors for weights that cannot be fetched."""

import io
import socket
import urllib.request
from pathlib import Path

import huggingface_hub
import pytest
import safetensors.torch
import torch

from pipeline.core.errors import ModelError, UsageError
from pipeline.models import backbones, weights
from pipeline.models.backbones import DEFAULT_BACKBONE
from pipeline.models.model import load_model

SMALL = "test_efficientnet.r160_in1k"
"""The smallest network of timm: 0.4 million parameters."""


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Act like a machine without a network, a proxy or a cache of the hub."""

    def refuse(*_: object) -> socket.socket:
        raise ConnectionRefusedError

    monkeypatch.setattr(urllib.request, "getproxies", dict)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)


def test_the_default_backbone_needs_no_network(no_network: None) -> None:  # noqa: ARG001 - a fixture
    """All tensors but the head's are those of the package, in order; the head starts at zero."""
    loaded = backbones.load(DEFAULT_BACKBONE)
    packaged = backbones.find_packaged_weights(DEFAULT_BACKBONE)
    assert packaged is not None
    theirs = list(torch.load(packaged, weights_only=True).values())
    ours = list(loaded.network.state_dict().values())
    assert len(ours) == len(theirs) == 296
    assert all(torch.equal(our, their) for our, their in zip(ours[:-2], theirs[:-2], strict=True))
    assert all(int(parameter.count_nonzero()) == 0 for parameter in backbones.head_parameters(loaded.network))
    assert (loaded.tile_px, loaded.mean, loaded.std) == (224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def test_a_network_has_one_output() -> None:
    """Any backbone gives one logit per picture."""
    assert backbones.build(SMALL).eval()(torch.zeros(2, 3, 64, 64)).shape == (2, 1)


def test_the_error_for_an_unknown_backbone_names_similar_ones() -> None:
    """A typing error gets a suggestion."""
    with pytest.raises(
        UsageError, match=r"knows no backbone 'tf_efficientnet_lit0'. Did you mean tf_efficientnet_lite0"
    ):
        backbones.load("tf_efficientnet_lit0")


@pytest.mark.usefixtures("no_network")
def test_without_a_hub_the_error_names_what_works() -> None:
    """The error for a backbone that is not on this machine lists those that are."""
    offline = [name for name in backbones.PACKAGED if backbones.find_packaged_weights(name)]
    assert DEFAULT_BACKBONE in offline
    with pytest.raises(ModelError) as caught:
        backbones.load("resnet18")
    assert str(caught.value) == (
        "The weights of resnet18 are on timm's hub, which cannot be reached from here. Backbones that work without a "
        f"network: {', '.join(offline)}. Or give --weights FILE, or --weights none."
    )


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_weights_come_from_a_file(tmp_path: Path, suffix: str) -> None:
    """Tensors load by name, nested under state_dict or not; a head of another size stays at zero."""
    source = backbones.build(SMALL).state_dict()
    head = {name: torch.ones(10, *tensor.shape[1:]) for name, tensor in source.items() if "classifier" in name}
    path = tmp_path / f"weights.{suffix}"
    if suffix == "safetensors":
        safetensors.torch.save_file(source | head, path)
    else:
        torch.save({"state_dict": source | head}, path)
    loaded = backbones.load(SMALL, str(path))
    state = loaded.network.state_dict()
    assert all(torch.equal(state[name], source[name]) for name in source.keys() - head.keys())
    assert all(int(state[name].count_nonzero()) == 0 for name in head)
    assert loaded.weights_from == f"file weights.{suffix}"


def test_a_model_of_ours_loads_with_its_head(tmp_path: Path) -> None:
    """Fine-tuning can continue from a model of one output, stored in half precision."""
    source = {
        name: tensor.half() if tensor.ndim > 1 else tensor
        for name, tensor in backbones.build(SMALL).state_dict().items()
    }
    safetensors.torch.save_file(source, tmp_path / "model.safetensors")
    state = backbones.load(SMALL, str(tmp_path / "model.safetensors")).network.state_dict()
    assert all(torch.equal(state[name], source[name].float()) for name in source)


def test_weights_come_from_a_model() -> None:
    """By the name by which every command knows it."""
    of_model = safetensors.torch.load(load_model("shipped").weights)
    state = backbones.load(DEFAULT_BACKBONE, "shipped").network.state_dict()
    assert all(torch.equal(state[name], of_model[name].to(state[name].dtype)) for name in state)


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    """The error for weights of another network names the first missing tensor."""
    safetensors.torch.save_file({"stem.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match=r"do not fit test_efficientnet.*tensors are missing or of another shape"):
        backbones.load(SMALL, str(tmp_path / "other.safetensors"))


class Bomb:
    """Runs when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        """Return what unpickling calls."""
        return (pytest.fail, ("a weights file ran its code",))


def test_code_in_a_weights_file_never_runs(tmp_path: Path) -> None:
    """A pickle that holds more than tensors raises an error without being unpickled."""
    torch.save({"weight": Bomb()}, tmp_path / "bomb.pt")
    with pytest.raises(ModelError, match="is damaged, or holds more than tensors; crackscan reads nothing else"):
        weights.read_weights(str(tmp_path / "bomb.pt"))


@pytest.mark.parametrize("data", [b"", b"no weights at all", io.BytesIO().getvalue() + b"\x80\x02}"])
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_damaged_weights_raise_an_error_in_words(tmp_path: Path, data: bytes, suffix: str) -> None:
    """Any bytes that are no weights raise ModelError."""
    (tmp_path / f"weights.{suffix}").write_bytes(data)
    with pytest.raises(ModelError, match="damaged"):
        weights.read_weights(str(tmp_path / f"weights.{suffix}"))


def test_missing_weights_are_wrong_usage(tmp_path: Path) -> None:
    """The error names the missing path."""
    with pytest.raises(UsageError, match=r"^No weights file at .*none.pt; expected"):
        backbones.load(SMALL, str(tmp_path / "none.pt"))


def test_freezing_leaves_the_head_free() -> None:
    """A frozen body leaves only the last layer trainable; unfrozen, everything is."""
    network = backbones.build(SMALL)
    backbones.freeze_body(network, frozen=True)
    free = [parameter for parameter in network.parameters() if parameter.requires_grad]
    assert [id(parameter) for parameter in free] == [id(parameter) for parameter in backbones.head_parameters(network)]
    backbones.freeze_body(network, frozen=False)
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_available_backbones_work_here() -> None:
    """The list has the default backbone with its size."""
    choices = backbones.available()
    assert DEFAULT_BACKBONE in [choice.name for choice in choices]
    default = next(choice for choice in choices if choice.name == DEFAULT_BACKBONE)
    parameters = sum(parameter.numel() for parameter in backbones.load(DEFAULT_BACKBONE).network.parameters())
    assert default.million_parameters == pytest.approx(parameters / 1e6)
