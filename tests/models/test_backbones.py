"""Backbones: pre-trained weights without a network, and words for what cannot be had."""

import io
from pathlib import Path

import pytest
import safetensors.torch
import torch

from pipeline.core.errors import ModelError, UsageError
from pipeline.models import backbones, weights
from pipeline.models.backbones import DEFAULT_BACKBONE

SMALL = "test_efficientnet.r160_in1k"
"""The smallest network of timm: 0.4 million parameters."""


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine that reaches no hub and has nothing cached."""
    monkeypatch.setattr(backbones, "hub_answers", lambda: False)
    monkeypatch.setattr(backbones, "_is_cached", lambda _: False)


def test_the_default_backbone_needs_no_network(no_network: None) -> None:  # noqa: ARG001 - a fixture
    """All tensors but the head's are the package's, in order; the head starts at zero."""
    loaded = backbones.load(DEFAULT_BACKBONE)
    packaged = backbones.packaged_file(DEFAULT_BACKBONE)
    assert packaged is not None
    theirs = list(torch.load(packaged, weights_only=True).values())
    ours = list(loaded.network.state_dict().values())
    assert len(ours) == len(theirs) == 296
    assert all(torch.equal(our, their) for our, their in zip(ours[:-2], theirs[:-2], strict=True))
    assert all(int(parameter.count_nonzero()) == 0 for parameter in backbones.head_parameters(loaded.network))
    assert (loaded.tile_px, loaded.mean, loaded.std) == (224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def test_a_network_has_one_output() -> None:
    """Any backbone gives one logit a picture."""
    assert backbones.build(SMALL).eval()(torch.zeros(2, 3, 64, 64)).shape == (2, 1)


def test_an_unknown_backbone_is_told_with_its_like() -> None:
    """A typing error is answered with what may have been meant."""
    with pytest.raises(
        UsageError, match=r"knows no backbone 'tf_efficientnet_lit0'. Did you mean tf_efficientnet_lite0"
    ):
        backbones.load("tf_efficientnet_lit0")


@pytest.mark.usefixtures("no_network")
def test_without_a_hub_the_error_names_what_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backbone that would have to be fetched says what can be used instead."""
    for optional in ("tf_efficientnet_lite1", "tf_efficientnet_lite2"):  # whose packages may be here
        monkeypatch.delitem(backbones.PACKAGED, optional)
    with pytest.raises(ModelError) as caught:
        backbones.load("resnet18")
    assert str(caught.value) == (
        "The weights of resnet18 are on timm's hub, which cannot be reached from here. Backbones that work without a "
        "network: tf_efficientnet_lite0. Or give --weights FILE, or --weights none."
    )


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_given_weights_are_taken(tmp_path: Path, suffix: str) -> None:
    """Weights come from a file by name, nested under state_dict or not; a head of another size stays at zero."""
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


def test_a_model_of_ours_is_taken_with_its_head(tmp_path: Path) -> None:
    """Fine-tuning can go on from a model of one output, stored at half precision."""
    source = {
        name: tensor.half() if tensor.ndim > 1 else tensor
        for name, tensor in backbones.build(SMALL).state_dict().items()
    }
    safetensors.torch.save_file(source, tmp_path / "model.safetensors")
    state = backbones.load(SMALL, str(tmp_path / "model.safetensors")).network.state_dict()
    assert all(torch.equal(state[name], source[name].float()) for name in source)


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    """Weights of another network are named with the first tensor that is missing."""
    safetensors.torch.save_file({"stem.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match=r"do not fit test_efficientnet.*tensors are missing or of another shape"):
        backbones.load(SMALL, str(tmp_path / "other.safetensors"))


class Bomb:
    """Runs when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        """Say what unpickling calls."""
        return (pytest.fail, ("code from a weights file was run",))


def test_code_in_a_weights_file_is_never_run(tmp_path: Path) -> None:
    """A pickle that holds more than tensors is refused without unpickling it."""
    torch.save({"weight": Bomb()}, tmp_path / "bomb.pt")
    with pytest.raises(ModelError, match="is damaged, or holds more than tensors, which are all that is read"):
        weights.read_weights(str(tmp_path / "bomb.pt"))


@pytest.mark.parametrize("data", [b"", b"no weights at all", io.BytesIO().getvalue() + b"\x80\x02}"])
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_damaged_weights_are_told_in_words(tmp_path: Path, data: bytes, suffix: str) -> None:
    """Whatever the bytes are, the answer is a ModelError."""
    (tmp_path / f"weights.{suffix}").write_bytes(data)
    with pytest.raises(ModelError, match="damaged"):
        weights.read_weights(str(tmp_path / f"weights.{suffix}"))


def test_missing_weights_are_wrong_usage(tmp_path: Path) -> None:
    """A path that is not there is named."""
    with pytest.raises(UsageError, match=r"^No weights file at .*none.pt; expected"):
        backbones.load(SMALL, str(tmp_path / "none.pt"))


def test_freezing_leaves_the_head_free() -> None:
    """In the first phase only the last layer is trained; afterwards everything is."""
    network = backbones.build(SMALL)
    backbones.freeze_body(network, frozen=True)
    free = [parameter for parameter in network.parameters() if parameter.requires_grad]
    assert [id(parameter) for parameter in free] == [id(parameter) for parameter in backbones.head_parameters(network)]
    backbones.freeze_body(network, frozen=False)
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_what_is_listed_works_here() -> None:
    """Every backbone that is said to be available loads, and its size is right."""
    choices = backbones.available()
    assert DEFAULT_BACKBONE in [choice.name for choice in choices]
    default = next(choice for choice in choices if choice.name == DEFAULT_BACKBONE)
    parameters = sum(parameter.numel() for parameter in backbones.load(DEFAULT_BACKBONE).network.parameters())
    assert default.million_parameters == pytest.approx(parameters / 1e6)
