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
from pipeline.training.config import Hyperparameters
from pipeline.training.learner import Learner, Validation, compute_targets_and_weights, validate
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


def batches(size: int = 8) -> Iterator[tuple[Indices, Pixels]]:
    """Yield bright tiles labelled cracked, dark ones labelled sound."""
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
    _, weights = compute_targets_and_weights(make_pool(cracked), 0.0)
    assert float(weights[torch.from_numpy(cracked)].sum()) == pytest.approx(len(labels) / 2, rel=1e-4)
    assert float(weights.mean()) == pytest.approx(1, rel=1e-4)


def test_smoothing_keeps_targets_off_the_ends() -> None:
    """With smoothing 0.1 a crack's target is 0.95 and sound concrete's 0.05."""
    targets, _ = compute_targets_and_weights(make_pool(np.array([True, False])), 0.1)
    assert targets.tolist() == pytest.approx([0.95, 0.05])


def changed_tensors(before: dict[str, Tensor], learner: Learner) -> set[str]:
    """Return the names of the tensors that training has changed."""
    after = learner.state()["network"]
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_each_phase_moves_what_it_should(backbone: Backbone) -> None:
    """The first phase moves only the head, the second all parameters; batch norm's statistics never move."""
    learner = Learner(backbone, make_pool(LABELS), CONFIG, torch.device("cpu"))
    before = {name: tensor.clone() for name, tensor in learner.state()["network"].items()}
    list(learner.train_epoch(0, batches()))
    assert changed_tensors(before, learner) == {"classifier.weight", "classifier.bias"}
    list(learner.train_epoch(1, batches()))
    list(learner.train_epoch(2, batches()))
    assert changed_tensors(before, learner) == {name for name, _ in backbone.network.named_parameters()}


def test_a_network_learns(backbone: Backbone) -> None:
    """A few epochs teach the network, and its averaged weights, to tell bright tiles from dark ones."""
    config = replace(CONFIG, head_epochs=12, head_learning_rate=0.2, label_smoothing=0.0)
    learner = Learner(backbone, make_pool(LABELS), config, torch.device("cpu"))
    losses = [sum(learner.train_epoch(epoch, batches())) for epoch in range(12)]
    assert losses[-1] < losses[0] / 2
    validation = validate(learner.score(batches()), LABELS)
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
