"""The dense head: its size follows the network's, and a model keeps it beside the network."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.core.errors import ModelError
from pipeline.models import backbones
from pipeline.models.card import Places
from pipeline.models.dense_head import join_logits, pool_places
from pipeline.models.dense_mapper import DenseMapper
from pipeline.models.model import SHIPPED_MODEL, Model, load_model
from pipeline.models.network import (
    attach_dense_head,
    crack_network_of,
    dense_stride_of,
    encode_weights,
    network_of,
    state_of,
    tensors_of,
)


@pytest.fixture(scope="module")
def shipped() -> Model:
    """Load the shipped model."""
    return load_model(SHIPPED_MODEL)


@pytest.fixture(scope="module")
def dense(shipped: Model) -> Model:
    """Give it a dense head that has learnt nothing."""
    torch.manual_seed(0)
    tensors = attach_dense_head(network_of(shipped)).tensors() | tensors_of(shipped)
    return replace(shipped, weights=encode_weights(tensors), card=replace(shipped.card, dense_stride=2))


@pytest.mark.parametrize(("name", "stride"), [("test_efficientnet", 2), ("convnext_atto", 4), ("test_vit", None)])
def test_its_stride_is_that_of_the_finest_stage(name: str, stride: int | None) -> None:
    """A network without stages that halve gets none; the tile's logit is the network's own in any case."""
    body = backbones.build(name).eval()
    network = attach_dense_head(body).eval()
    pictures = torch.zeros(2, 3, *body.pretrained_cfg["input_size"][1:])  # type: ignore[index]
    with torch.inference_mode():
        output = network(pictures)
        assert torch.allclose(output.logits, body(pictures)[:, 0], atol=1e-5)
    if stride is None:
        assert output.places is None
    else:
        assert output.places.shape == (2, pictures.shape[2] // stride, pictures.shape[3] // stride)
    assert dense_stride_of(body, network.tensors()) == stride


def test_a_model_keeps_its_dense_head(shipped: Model, dense: Model) -> None:
    """Written and read, in half precision; whoever knows only tiles reads the same network as before."""
    pictures = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        found = crack_network_of(dense)(pictures)
        assert torch.equal(network_of(dense)(pictures), network_of(shipped)(pictures))
        assert torch.allclose(found.logits, network_of(shipped)(pictures)[:, 0], atol=1e-5)
    assert found.places.shape == (2, 32, 32)


def test_maps_come_from_the_dense_head(dense: Model) -> None:
    """Probabilities, one for every other row and column; a tile's do not depend on the other tiles."""
    mapper = DenseMapper(replace(dense, card=replace(dense.card, places=Places())), "cpu")
    tiles = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    maps, turned = mapper(tiles), mapper(tiles[::-1].copy())
    assert maps.shape == (2, 32, 32)
    assert 0 < maps.min() < maps.max() < 1
    assert maps == pytest.approx(turned[::-1], abs=1e-5)
    closer = DenseMapper(replace(dense, card=replace(dense.card, places=Places(side_px=96))), "cpu")
    assert closer(tiles).shape == (2, 48, 48)
    own_size = DenseMapper(replace(dense, card=replace(dense.card, places=Places(side_px=96))), "cpu", enlarged=False)
    assert own_size(tiles) == pytest.approx(maps, abs=1e-5)


def test_places_count_where_the_network_doubts() -> None:
    """From the card's logit on, the highest hundredth has its weight; below, the network alone scores."""
    places = torch.full((2, 10, 20), -4.0)
    places[:, 3, 4:6] = torch.tensor([2.0, 4.0])
    joined = join_logits(torch.tensor([-1.0, -1.5]), pool_places(places), Places(weight=0.25, from_logit=-1.25))
    assert joined.tolist() == [0.75 * -1 + 0.25 * 3, -1.5]


def test_a_card_that_promises_too_much_is_refused(shipped: Model) -> None:
    """The weights have no dense head; the message says what to do."""
    promised = replace(shipped, weights=encode_weights(state_of(shipped)))
    with pytest.raises(ModelError, match="have no dense head of tf_efficientnet_lite0"):
        DenseMapper(promised, "cpu")
