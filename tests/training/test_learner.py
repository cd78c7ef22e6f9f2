"""The network in training: the weights of the classes, and the layers that each phase moves."""

import copy
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from pipeline.images.decode import Pixels
from pipeline.labels.labelled_tiles import LabelledTiles
from pipeline.models import backbones
from pipeline.models.backbones import Backbone
from pipeline.models.network import attach_dense_head, normalise
from pipeline.training.augment import Batch
from pipeline.training.config import Hyperparameters
from pipeline.training.learner import Learner, Validation, compute_class_weights, validate
from pipeline.training.sampler import Indices, TilePool, build_uniform_pool

SMALL = "test_efficientnet.r160_in1k"
"""The smallest network of timm: 0.4 million parameters."""

CONFIG = Hyperparameters(epochs=3, head_epochs=1, epoch_tiles=16, batch_size=8, learning_rate=1e-3)
LABELS = np.arange(16) % 2 == 0


@pytest.fixture
def backbone() -> Backbone:
    """A small network with random weights."""
    torch.manual_seed(0)
    return backbones.load(SMALL, "none")


def batches(size: int = 8) -> Iterator[tuple[Indices, Batch]]:
    """Yield bright tiles labelled cracked, dark ones labelled sound; the left half of a bright one is crack."""
    for indices, pixels in tiles(size):
        targets = np.zeros(pixels.shape[:3], np.uint8)
        targets[LABELS[indices], :, :16] = 1
        yield indices, Batch(pixels, targets, LABELS[indices].astype(np.float32))


def tiles(size: int = 8) -> Iterator[tuple[Indices, Pixels]]:
    """Yield the tiles as scoring sees them."""
    random = np.random.default_rng(0)
    for start in range(0, len(LABELS), size):
        indices = np.arange(start, start + size)
        noise = random.integers(0, 100, (size, 32, 32, 3))
        yield indices, (noise + 120 * LABELS[indices][:, None, None, None]).astype(np.uint8)


def make_pool(labels: NDArray[np.bool_]) -> TilePool:
    """Return a pool of tiles with these labels, all equally likely."""
    urls = tuple(f"file:///{number}.png" for number in range(len(labels)))
    return build_uniform_pool(LabelledTiles(urls, labels, urls, ("tiles",) * len(urls), (None,) * len(urls)))


@settings(deadline=None)  # torch is loaded in the first example
@given(labels=st.lists(st.booleans(), min_size=2).filter(lambda labels: 0 < sum(labels) < len(labels)))
def test_both_classes_have_equal_weight(labels: list[bool]) -> None:
    """Each class has half of the weight, however uneven they are, and the mean weight is one."""
    cracked = np.array(labels)
    sound_weight, cracked_weight = compute_class_weights(make_pool(cracked))
    assert cracked.sum() * cracked_weight == pytest.approx(len(labels) / 2)
    assert (~cracked).sum() * sound_weight == pytest.approx(len(labels) / 2)


def changed_tensors(before: dict[str, Tensor], learner: Learner) -> set[str]:
    """Return the names of the tensors that training has changed."""
    after = learner.state()["network"]
    return {name.removeprefix("body.") for name in before if not torch.equal(before[name], after[name])}


def test_each_phase_moves_what_it_should(backbone: Backbone) -> None:
    """The first phase moves only the heads, the second all parameters; batch norm's statistics never move."""
    learner = Learner(backbone, make_pool(LABELS), CONFIG, torch.device("cpu"))
    before = {name: tensor.clone() for name, tensor in learner.state()["network"].items()}
    list(learner.train_epoch(0, batches()))
    dense = {name for name in before if name.startswith("dense.")}
    assert changed_tensors(before, learner) == {"classifier.weight", "classifier.bias", *dense}
    list(learner.train_epoch(1, batches()))
    list(learner.train_epoch(2, batches()))
    assert changed_tensors(before, learner) == {name for name, _ in backbone.network.named_parameters()} | dense
    assert dense


def test_a_dense_head_learns_where_the_crack_is(backbone: Backbone) -> None:
    """After a few epochs the places of the left half of the bright tiles stand out, and those of no other."""
    config = replace(CONFIG, epochs=40, head_epochs=0, learning_rate=2e-3)
    learner = Learner(backbone, make_pool(LABELS), config, torch.device("cpu"))
    for epoch in range(40):
        list(learner.train_epoch(epoch, batches()))
    network = attach_dense_head(backbone.network)
    weights = learner.averaged_weights()
    network.load_state_dict({n if n.startswith("dense.") else f"body.{n}": tensor for n, tensor in weights.items()})
    pixels = next(tiles(16))[1]
    with torch.inference_mode():
        places = network.eval()(normalise(torch.from_numpy(pixels), backbone.mean, backbone.std)).places
    assert places is not None
    left, right = places[LABELS, :, :6].mean(), places[LABELS, :, -6:].mean()
    assert left > max(right, places[~LABELS].mean()) + 1


def test_without_a_dense_head_a_model_has_no_more_tensors(backbone: Backbone) -> None:
    """`--no-dense` trains what it always did."""
    learner = Learner(backbone, make_pool(LABELS), replace(CONFIG, dense=False), torch.device("cpu"))
    list(learner.train_epoch(0, batches()))
    assert learner.averaged_weights().keys() == backbone.network.state_dict().keys()


def test_a_network_without_stages_is_scored_without_a_dense_head(backbone: Backbone) -> None:
    """As a transformer, whatever the settings say."""
    backbone.network.feature_info = []  # type: ignore[assignment]
    learner = Learner(backbone, make_pool(LABELS), CONFIG, torch.device("cpu"))
    assert CONFIG.dense
    assert all(np.isfinite(logits).all() for _, logits in learner.score(tiles()))


def test_a_network_learns(backbone: Backbone) -> None:
    """A few epochs teach the network, and its averaged weights, to tell bright tiles from dark ones."""
    config = replace(CONFIG, head_epochs=12, head_learning_rate=0.2, label_smoothing=0.0)
    learner = Learner(backbone, make_pool(LABELS), config, torch.device("cpu"))
    losses = [sum(learner.train_epoch(epoch, batches())) for epoch in range(12)]
    assert losses[-1] < losses[0] / 2
    validation = validate(learner.score(tiles()), LABELS)
    assert (validation.average_precision, validation.auc) == (1.0, 1.0)
    assert validation.rank == (1.0, -validation.loss)


def test_a_restored_learner_continues_as_if_never_interrupted(backbone: Backbone) -> None:
    """Weights, average, optimiser and step count are restored to the last bit."""
    straight = Learner(backbone, make_pool(LABELS), CONFIG, torch.device("cpu"))
    list(straight.train_epoch(1, batches()))
    interrupted = copy.deepcopy(straight.state())
    again = Learner(backbones.load(SMALL, "none"), make_pool(LABELS), CONFIG, torch.device("cpu"))
    again.restore(interrupted)
    for learner in (straight, again):
        list(learner.train_epoch(2, batches()))
    ours, theirs = straight.averaged_weights(), again.averaged_weights()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_validation_puts_logits_in_the_order_of_the_tiles() -> None:
    """The logits are in the order of the tiles, whatever the order of the batches; AP and AUC are of all tiles."""
    scored = [(np.array([2, 0]), np.array([3.0, -1.0], np.float32)), (np.array([1]), np.array([1.0], np.float32))]
    validation = validate(scored, np.array([False, True, False]))
    assert validation.logits.tolist() == [-1.0, 1.0, 3.0]
    assert (validation.auc, validation.average_precision) == (0.5, 0.5)


def test_the_better_epoch_has_the_higher_precision_or_the_smaller_loss() -> None:
    """The loss decides between epochs whose average precision differs by less than data can show."""
    logits = np.zeros(1, np.float32)
    good = Validation(logits, loss=0.2, average_precision=0.99999, auc=1.0)
    sure = Validation(logits, loss=0.1, average_precision=0.99998, auc=1.0)
    weak = Validation(logits, loss=0.0, average_precision=0.9, auc=1.0)
    assert weak.rank < good.rank < sure.rank
