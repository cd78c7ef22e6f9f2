"""Input and output of a network: normalised pixels, calibrated logits, textures."""

import pytest
import timm
import torch

from pipeline.models.card import Calibration
from pipeline.models.network import apply_network, crack_scores, normalise


def test_calibration_is_the_sigmoid_of_a_scaled_logit() -> None:
    """Score = sigmoid(logit / temperature + bias)."""
    scores = crack_scores(torch.tensor([0.0, 4.0]), Calibration(temperature=2.0, bias=1.0))
    assert torch.allclose(scores, torch.sigmoid(torch.tensor([1.0, 3.0])))


@pytest.mark.parametrize("name", ["test_efficientnet", "test_resnet", "test_vit", "test_convnext"])
def test_collecting_textures_leaves_the_logits_as_they_are(name: str) -> None:
    """To the last bit, for every family of networks; the textures of a picture do not depend on the others."""
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=1).eval()
    pictures = torch.randn(3, 3, 160, 160)
    pictures[1] *= 3
    with torch.inference_mode():
        found = apply_network(network, pictures)
        assert torch.equal(found.logits, network(pictures)[:, 0])
        alone = apply_network(network, pictures[1:2]).textures
    torch.testing.assert_close(alone, found.textures[1:2], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(found.textures[0], found.textures[1], atol=0.01)


def test_an_even_picture_has_a_texture() -> None:
    """Feature maps without any spread give finite numbers."""
    network = timm.create_model("test_efficientnet", num_classes=1).eval()
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    with torch.inference_mode():
        textures = apply_network(network, torch.zeros(1, 3, 64, 64)).textures
    assert bool(torch.isfinite(textures).all())


def test_normalised_pixels_have_the_cards_mean_and_spread() -> None:
    """(pixel / 255 - mean) / std, channels first in shape and last in memory."""
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8).expand(1, 2, 2, 3)
    inputs = normalise(pixels, (0.0, 0.2, 0.5), (1.0, 0.5, 0.25))
    assert inputs.shape == (1, 3, 2, 2)
    assert torch.allclose(inputs[0, :, 0, 0], torch.tensor([0.0, 0.0, 2.0]), atol=1e-6)
