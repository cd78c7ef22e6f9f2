"""OpenVINO computes what torch does, whatever the other tiles of the batch."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline.core.errors import ModelError
from pipeline.models import openvino_graph
from pipeline.models.batching import CRACK, DOMAIN
from pipeline.models.card import Places
from pipeline.models.dense_mapper import DenseMapper
from pipeline.models.model import SHIPPED_MODEL, Int8, Model, load_model
from pipeline.models.network import DOMAIN_PREFIX, attach_dense_head, encode_weights, network_of, tensors_of
from pipeline.models.openvino_engine import OpenVinoEngine, read_int8
from pipeline.models.torch_engine import TorchEngine


@pytest.fixture(scope="module")
def model() -> Model:
    """Return the model of the package."""
    return load_model(SHIPPED_MODEL)


@pytest.fixture(scope="module")
def tiles() -> NDArray[np.uint8]:
    """Draw tiles from even grey to noise."""
    rng = np.random.default_rng(0)
    return np.stack([rng.integers(128 - 8 * n, 129 + 7 * n, (224, 224, 3), np.uint8) for n in range(16)])


def test_a_score_does_not_depend_on_the_other_tiles(model: Model, tiles: NDArray[np.uint8]) -> None:
    """In batches of one size a tile has the same scores to the last bit at any place, in int8 and floats."""
    for engine in (OpenVinoEngine(read_int8(model), model.card, "f32"),
                   OpenVinoEngine(openvino_graph.build_graph(model, 224), model.card, "f32")):  # fmt: skip
        together = engine(tiles)
        order = np.random.default_rng(1).permutation(16)
        assert np.array_equal(engine(tiles[order]), together[order])
        assert len(set(together[:, DOMAIN].tolist())) == 16


@pytest.fixture(scope="module")
def dense(model: Model, tiles: NDArray[np.uint8]) -> Model:
    """Give the network places that have learnt nothing and count for half of the tiles."""
    torch.manual_seed(0)
    tensors = tensors_of(model) | attach_dense_head(network_of(model)).tensors()
    alone = replace(model, card=replace(model.card, places=None))
    logits = OpenVinoEngine(openvino_graph.build_graph(alone, 224), alone.card, "f32").answer(tiles)[0]
    card = replace(model.card, dense_stride=2, places=Places(weight=0.5, from_logit=float(np.median(logits))))
    return replace(model, weights=encode_weights(tensors), card=card)


def test_places_count_from_the_cards_logit_on(dense: Model, tiles: NDArray[np.uint8]) -> None:
    """As in torch; and some tiles have a lower logit, whose scores are those of the network alone, to the last bit."""
    engine = OpenVinoEngine(openvino_graph.build_graph(dense, 224), dense.card, "f32")
    found, without = engine(tiles), without_places(dense, tiles)
    np.testing.assert_allclose(found, np.asarray(TorchEngine(dense, "cpu")(tiles)), atol=1e-4)
    moved = found[:, CRACK] != without[:, CRACK]
    assert 0 < moved.sum() < len(tiles)
    order = np.random.default_rng(1).permutation(16)
    assert np.array_equal(engine(tiles[order]), found[order])


def test_a_closer_look_is_one_at_a_larger_picture(dense: Model, tiles: NDArray[np.uint8]) -> None:
    """As in torch, in any order; where the places do not count, nothing changes."""
    places = dense.card.places
    assert places is not None
    closer = replace(dense, card=replace(dense.card, places=replace(places, side_px=320)))
    engine = OpenVinoEngine(openvino_graph.build_graph(closer, 224), closer.card, "f32")
    found, before = engine(tiles), OpenVinoEngine(openvino_graph.build_graph(dense, 224), dense.card, "f32")(tiles)
    np.testing.assert_allclose(found, np.asarray(TorchEngine(closer, "cpu")(tiles)), atol=2e-5)
    moved = found[:, CRACK] != before[:, CRACK]
    assert moved.sum() == (before[:, CRACK] != without_places(dense, tiles)[:, CRACK]).sum()
    order = np.random.default_rng(1).permutation(16)
    assert np.array_equal(engine(tiles[order]), found[order])


def test_a_tile_larger_than_the_picture_is_not_made_smaller(dense: Model) -> None:
    """As with `--tile 352` and a card that says 320; the highest places are those of the larger picture."""
    places = dense.card.places
    assert places is not None
    closer = replace(dense, card=replace(dense.card, places=replace(places, side_px=320, from_logit=-99.0)))
    tiles = np.random.default_rng(0).integers(0, 256, (2, 352, 352, 3), np.uint8)
    found = OpenVinoEngine(openvino_graph.build_graph(closer, 352), closer.card, "f32")(tiles)
    np.testing.assert_allclose(found[:, CRACK], np.asarray(TorchEngine(closer, "cpu")(tiles))[:, CRACK], atol=2e-5)


def without_places(model: Model, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Score with the network alone."""
    alone = replace(model, card=replace(model.card, places=None))
    return OpenVinoEngine(openvino_graph.build_graph(alone, 224), alone.card, "f32")(tiles)


@pytest.mark.parametrize("side", [160, 112])
def test_places_are_those_of_the_dense_head(model: Model, tiles: NDArray[np.uint8], side: int) -> None:
    """As torch finds them, in the larger picture or in the network's own size; a tile's do not depend on the others."""
    enlarged = side == 160
    mapper = OpenVinoEngine(openvino_graph.build_graph(model, 224), model.card, "f32").make_mapper(enlarged=enlarged)
    assert mapper is not None
    found = mapper(tiles[:3])
    assert found.shape == (3, side, side)
    np.testing.assert_allclose(found, DenseMapper(model, "cpu", enlarged=enlarged)(tiles[:3]), atol=1e-3)
    assert np.array_equal(mapper(tiles[2:3])[0], found[2])
    alone = replace(model.card, places=None)
    without = replace(model, card=alone)
    assert OpenVinoEngine(openvino_graph.build_graph(without, 224), alone, "f32").make_mapper(enlarged=enlarged) is None


def test_batches_may_change_their_size(model: Model, tiles: NDArray[np.uint8]) -> None:
    """One tile alone scores as among 16, apart from rounding."""
    engine = OpenVinoEngine(openvino_graph.build_graph(model, 224), model.card, "f32")
    np.testing.assert_allclose(engine(tiles[:1]), engine(tiles)[:1], rtol=1e-4, atol=1e-5)


def test_an_older_model_gives_no_domain_score(model: Model, tiles: NDArray[np.uint8]) -> None:
    """A model without a domain gives the same probabilities, and NaN."""
    network = {name: tensor for name, tensor in tensors_of(model).items() if not name.startswith(DOMAIN_PREFIX)}
    older = replace(model, weights=encode_weights(network))
    found = OpenVinoEngine(openvino_graph.build_graph(older, 224), model.card, "f32")(tiles)
    np.testing.assert_allclose(found[:, CRACK], np.asarray(TorchEngine(model, "cpu")(tiles))[:, CRACK], atol=1e-5)
    assert np.isnan(found[:, DOMAIN]).all()


def test_probabilities_stay_within_0_and_1(model: Model, tiles: NDArray[np.uint8]) -> None:
    """Even if the calibration makes logits enormous; nothing overflows."""
    card = replace(model.card, calibration=replace(model.card.calibration, temperature=1e-6))
    with np.errstate(all="raise"):
        found = OpenVinoEngine(openvino_graph.build_graph(model, 224), card, "f32")(tiles)
    assert ((found[:, CRACK] >= 0) & (found[:, CRACK] <= 1)).all()


def test_a_damaged_int8_network_raises_an_error_in_words(model: Model) -> None:
    """And so does a missing one."""
    with pytest.raises(ModelError, match=r"^The int8 network of .* cannot be read by OpenVINO .* `crackscan models"):
        read_int8(replace(model, int8=Int8(b"<net", b"")))
    with pytest.raises(ModelError, match="has no int8 network"):
        read_int8(replace(model, int8=None))


def test_there_is_no_telemetry() -> None:
    """The package by which OpenVINO and NNCF report every conversion to their maker is not loaded."""
    import sys

    import nncf

    assert nncf is not None
    assert [name for name, found in sys.modules.items() if "openvino_telemetry" in name and found is not None] == []
