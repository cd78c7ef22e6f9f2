"""The engine in torch: the score of a tile does not depend on the other tiles."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline.models.batching import CRACK, DOMAIN
from pipeline.models.domain import fit
from pipeline.models.model import SHIPPED_MODEL, Model, load_model
from pipeline.models.network import DOMAIN_PREFIX, apply_network, encode_weights, network_of, normalise, tensors_of
from pipeline.models.torch_engine import TorchEngine


@pytest.fixture(scope="module")
def tiles() -> NDArray[np.uint8]:
    """Draw tiles from even grey to noise."""
    rng = np.random.default_rng(0)
    return np.stack([rng.integers(128 - 4 * n, 129 + 3 * n, (224, 224, 3), np.uint8) for n in range(32)])


@pytest.fixture(scope="module")
def model(tiles: NDArray[np.uint8]) -> Model:
    """Return the shipped model with a domain fitted to the first of these tiles."""
    shipped = load_model(SHIPPED_MODEL)
    inputs = normalise(torch.from_numpy(tiles[:16]), shipped.card.mean, shipped.card.std)
    with torch.inference_mode():
        known = fit(apply_network(network_of(shipped), inputs).textures)
    return replace(shipped, weights=encode_weights(tensors_of(shipped) | known.tensors()))


Scorer = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@pytest.fixture(scope="module")
def engine(model: Model) -> Scorer:
    """Load the reference engine."""
    return to_arrays(TorchEngine(model, "cpu"))


def to_arrays(engine: TorchEngine) -> Scorer:
    """Wrap an engine so that it waits for its scores."""
    return lambda tiles: np.asarray(engine(tiles))


def test_a_score_does_not_depend_on_the_batch(engine: Scorer, tiles: NDArray[np.uint8]) -> None:
    """Alone or among 32, a tile gets the same crack score and domain score within 1e-5."""
    together = engine(tiles)

    alone = np.concatenate([engine(tiles[n : n + 1]) for n in range(0, 32, 5)])

    assert together.dtype == np.float32
    assert together.shape == (32, 2)
    assert ((together[:, CRACK] >= 0) & (together[:, CRACK] <= 1)).all()
    for column in (CRACK, DOMAIN):  # the engine tells these tiles apart, so the comparison means something
        assert len(set(together[:, column].tolist())) > 16
    np.testing.assert_allclose(alone, together[::5], rtol=1e-4, atol=1e-5)


def test_other_tiles_have_higher_domain_scores(engine: Scorer, tiles: NDArray[np.uint8]) -> None:
    """Strong noise scores higher than the even grey and faint noise of the fit."""
    distances = engine(tiles)[:, DOMAIN]
    assert distances[24:].min() > distances[:16].max() > 0


def test_an_older_model_gives_no_domain_score(model: Model, engine: Scorer, tiles: NDArray[np.uint8]) -> None:
    """A model from before there were domains gives the same probabilities, and NaN."""
    network = {name: tensor for name, tensor in tensors_of(model).items() if not name.startswith(DOMAIN_PREFIX)}
    older = to_arrays(TorchEngine(replace(model, weights=encode_weights(network)), "cpu"))(tiles)
    assert np.array_equal(older[:, CRACK], engine(tiles)[:, CRACK])
    assert np.isnan(older[:, DOMAIN]).all()


def test_a_score_does_not_depend_on_the_other_tiles(engine: Scorer, tiles: NDArray[np.uint8]) -> None:
    """In another order and among other tiles, a tile gets the same scores."""
    np.testing.assert_allclose(engine(tiles[::-1].copy())[::-1][:8], engine(tiles[:8]), rtol=1e-4, atol=1e-5)


def test_in_batches_of_one_size_scores_are_the_same_to_the_last_bit(engine: Scorer, tiles: NDArray[np.uint8]) -> None:
    """At any place and with any filling, so that an interrupted run ends with the same bits as another."""
    together = engine(tiles)
    order = np.random.default_rng(1).permutation(32)
    assert np.array_equal(engine(tiles[order]), together[order])
    padded = np.concatenate([tiles[:5], np.zeros_like(tiles[5:])])
    assert np.array_equal(engine(padded)[:5], together[:5])


@pytest.mark.parametrize(("half", "moves"), [(False, 1e-4), (True, 0.02)])
def test_a_gpu_scores_as_the_reference(
    *, half: bool, moves: float, model: Model, engine: Scorer, tiles: NDArray[np.uint8]
) -> None:
    """Batches read only after all have started, and in another order, have the scores of the CPU."""
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    on_gpu = TorchEngine(model, "cuda", half=half)
    batch = tiles[:8].copy()
    pending = []
    for start in range(0, 32, 8):
        batch[:] = tiles[start : start + 8]  # the caller may reuse the buffer at once
        pending.append(on_gpu(batch))
    found = np.concatenate([np.asarray(scores) for scores in pending[::-1]][::-1])
    np.testing.assert_allclose(found[:, CRACK], engine(tiles)[:, CRACK], atol=moves)
    np.testing.assert_allclose(found[:, DOMAIN], engine(tiles)[:, DOMAIN], rtol=moves)
