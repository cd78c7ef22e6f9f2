"""What goes into the network and what comes out: pixels normalised, logits calibrated."""

import torch

from pipeline.card import Calibration
from pipeline.network import crack_scores, normalised


def test_calibration_is_the_sigmoid_of_a_scaled_logit() -> None:
    """Score = sigmoid(logit / temperature + bias)."""
    scores = crack_scores(torch.tensor([0.0, 4.0]), Calibration(temperature=2.0, bias=1.0))
    assert torch.allclose(scores, torch.sigmoid(torch.tensor([1.0, 3.0])))


def test_normalised_pixels_have_the_cards_mean_and_spread() -> None:
    """(pixel / 255 - mean) / std, channels first in shape and last in memory."""
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8).expand(1, 2, 2, 3)
    inputs = normalised(pixels, (0.0, 0.2, 0.5), (1.0, 0.5, 0.25))
    assert inputs.shape == (1, 3, 2, 2)
    assert torch.allclose(inputs[0, :, 0, 0], torch.tensor([0.0, 0.0, 2.0]), atol=1e-6)
