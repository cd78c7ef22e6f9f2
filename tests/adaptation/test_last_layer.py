"""The change of the last layer, on features whose answer is known."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.adaptation.last_layer import LastLayer, fit_last_layer, score_views
from pipeline.adaptation.tile_views import TileViews
from pipeline.models.card import Calibration, Places
from pipeline.models.model import SHIPPED, load_card

FEATURES = 8
CARD = dataclasses.replace(load_card(SHIPPED), calibration=Calibration(), places=None)
"""Of a network whose logits are its scores."""
START = LastLayer(torch.zeros(FEATURES, dtype=torch.float64), torch.tensor(0.0, dtype=torch.float64))


def draw_views(labels: NDArray[np.bool_], seed: int = 0, views: int = 3) -> TileViews:
    """Draw features of which the first tells the class, and the others say nothing."""
    features = np.random.default_rng(seed).normal(size=(len(labels), views, FEATURES))
    features[:, :, 0] = np.where(labels, 2.0, -2.0)[:, None]
    return TileViews(torch.from_numpy(features.astype(np.float32)), None)


def length_of(layer: LastLayer) -> float:
    """Return how far a layer is from `START`."""
    return float(torch.cat([layer.weight, layer.bias[None]]).norm())


def test_it_learns_which_feature_means_a_crack() -> None:
    """Other tiles with the same meaning are told apart, and no feature without meaning weighs as much."""
    labels = np.arange(60) % 3 == 0
    layer = fit_last_layer(START, draw_views(labels), labels, CARD)

    others = np.arange(40) % 2 == 0
    scores = score_views(layer, draw_views(others, seed=1), CARD)[:, 0].numpy()
    assert scores[others].min() > scores[~others].max()
    assert float(layer.weight[0]) > 3 * float(layer.weight[1:].abs().max())


@given(few=st.integers(1, 5), times=st.integers(2, 20), seed=st.integers(0, 100))
@settings(deadline=None, max_examples=30)
def test_fewer_labels_change_less(few: int, times: int, seed: int) -> None:
    """The same tiles, several times over, change the layer more."""
    labels = np.tile([True, False], few)
    views = draw_views(labels, seed)
    many = TileViews(views.features.repeat(times, 1, 1), None)

    little, more = (
        length_of(fit_last_layer(START, part, np.tile(labels, len(part.features) // len(labels)), CARD))
        for part in (views, many)
    )
    assert 0 < little < more


def test_labels_that_say_what_the_model_says_change_hardly_anything() -> None:
    """A model that is sure and right has nothing to learn."""
    labels = np.arange(20) % 2 == 0
    sure = LastLayer(torch.tensor([10.0] + [0.0] * (FEATURES - 1), dtype=torch.float64), START.bias)
    layer = fit_last_layer(sure, draw_views(labels), labels, CARD)
    assert float((layer.weight - sure.weight).abs().max()) < 1e-6


def test_both_classes_have_equal_weight() -> None:
    """Without any feature that tells them apart, many sound tiles do not make every tile sound."""
    labels = np.arange(50) == 0
    views = TileViews(torch.zeros((50, 1, FEATURES)), None)
    assert float(fit_last_layer(START, views, labels, CARD).bias) == pytest.approx(0, abs=1e-6)


def test_scores_are_those_of_the_card() -> None:
    """Places join from their bound on, then temperature and bias."""
    card = dataclasses.replace(CARD, calibration=Calibration(2.0, 0.5), places=Places(0.25, -1.0))
    layer = LastLayer(torch.tensor([1.0], dtype=torch.float64), torch.tensor(0.0, dtype=torch.float64))
    views = TileViews(torch.tensor([[[4.0]], [[-2.0]]]), torch.tensor([[8.0], [8.0]]))
    scores = score_views(layer, views, card)
    assert scores[:, 0].tolist() == [(0.75 * 4 + 0.25 * 8) / 2 + 0.5, -2 / 2 + 0.5]
