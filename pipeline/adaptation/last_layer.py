"""The change of a network's last layer that labels ask for.

A network learnt from thousands of tiles what a crack looks like. A few dozen tiles of one bridge cannot teach it that
again, but they can say which of the things that it sees mean a crack on this concrete (Kirichenko et al. 2023,
last-layer retraining). All else stays. Each weight is pulled to its old value, as by a normal prior, so few labels
change little.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import softplus

from pipeline.adaptation.tile_views import TileViews
from pipeline.models.card import Card
from pipeline.models.dense_head import join_logits

PRIOR_PRECISION = 5.0
"""Inverse variance of the prior around each old weight; chosen on a source left out of training (experiments.md)."""
STEPS = 100
"""Of L-BFGS, at most; the loss is convex but where the places begin to count."""


class LastLayer(NamedTuple):
    """The last layer of a network with one output."""

    weight: Tensor
    """Shape (F,)."""
    bias: Tensor
    """Shape ()."""

    @classmethod
    def of(cls, classifier: nn.Linear) -> "LastLayer":
        """Copy that of a network."""
        return cls(classifier.weight.detach()[0].double(), classifier.bias.detach()[0].double())


def score_views(layer: LastLayer, views: TileViews, card: Card) -> Tensor:
    """Return the calibrated logits of views. Shape: (n, V)."""
    logits = views.features.double() @ layer.weight + layer.bias
    if views.pooled is not None and card.places is not None:
        logits = join_logits(logits, views.pooled.double(), card.places)
    return logits / card.calibration.temperature + card.calibration.bias


def fit_last_layer(start: LastLayer, views: TileViews, labels: NDArray[np.bool_], card: Card) -> LastLayer:
    """Change a last layer so that it says of tiles what their labels say; both classes have equal weight.

    Args:
        start: of the old model.
        views: of n tiles of both classes.
        labels: theirs, shape (n,).
        card: of the old model.
    """
    views = TileViews(views.features.double(), views.pooled)
    signs = torch.from_numpy(np.where(labels, 1.0, -1.0))[:, None]
    share = float(labels.mean())
    weights = torch.from_numpy(np.where(labels, 0.5 / share, 0.5 / (1 - share)))[:, None]
    change = torch.zeros(len(start.weight) + 1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([change], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        layer = _add(start, change)
        wrong = (weights * softplus(-signs * score_views(layer, views, card))).mean()
        total = wrong + PRIOR_PRECISION / (2 * len(labels)) * change.square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return LastLayer(*(part.detach() for part in _add(start, change)))


def _add(start: LastLayer, change: Tensor) -> LastLayer:
    return LastLayer(start.weight + change[:-1], start.bias + change[-1])
