"""Where a network sees a crack, for networks and tiles with computable answers."""

import numpy as np
import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from pipeline.models.model import SHIPPED_MODEL, load_model
from pipeline.models.saliency import (
    FeatureRecorder,
    SaliencyMapper,
    choose_layers,
    find_dark_lines,
    scale_to_one,
    to_channels_first,
)


class LeftHalf(nn.Module):
    """A network whose logit is the sum of the left half of the picture, with layers as timm describes them."""

    feature_info = (
        {"module": "edges", "num_chs": 3, "reduction": 2},
        {"module": "fine", "num_chs": 3, "reduction": 8},
        {"module": "coarse", "num_chs": 3, "reduction": 16},
    )

    def __init__(self) -> None:
        super().__init__()
        self.edges = nn.AvgPool2d(2)
        self.fine = nn.AvgPool2d(4)
        self.coarse = nn.Sequential(nn.AvgPool2d(2), nn.ReLU(inplace=True))

    def forward(self, pixels: Tensor) -> Tensor:
        """Shape: (N, 3, H, W) → (N, 1)."""
        features = self.coarse(self.fine(self.edges(pixels)))
        left: Tensor = features[..., : features.shape[-1] // 2]
        return left.sum(dim=(1, 2, 3))[:, None]


def test_places_that_do_not_matter_weigh_nothing() -> None:
    """In both layers the left half has the same weight everywhere, and the right half none."""
    network = LeftHalf()
    recorder = FeatureRecorder(network)
    for _ in range(2):  # the second pass forgets the first
        layers = recorder.weigh(network(torch.ones(2, 3, 64, 64)))
        assert [layer.shape for layer in layers] == [(2, 8, 8), (2, 4, 4)]
        for layer in layers:
            half = layer.shape[-1] // 2
            assert layer[..., :half].eq(1).all()
            assert layer[..., half:].eq(0).all()


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("tf_efficientnet_lite0", {"blocks.2": 40, "blocks.4": 112, "blocks.6": 320}),
        ("resnet18", {"layer2": 128, "layer3": 256, "layer4": 512}),
        ("swin_tiny_patch4_window7_224", {"layers.1": 192, "layers.2": 384, "layers.3": 768}),
        ("vit_tiny_patch16_224", {"blocks.0": 192}),
    ],
)
def test_one_layer_for_each_stride(name: str, layers: dict[str, int]) -> None:
    """From stride 8 on, for every kind of network."""
    with torch.device("meta"):
        assert choose_layers(timm.create_model(name, num_classes=1)) == layers


def test_features_of_any_order_get_one_order() -> None:
    """Channels first, channels last, and tokens of a square after a class token."""
    places = torch.arange(2 * 5 * 4 * 4).reshape(2, 5, 4, 4)
    last = places.movedim(1, -1)
    tokens = torch.cat([torch.full((2, 1, 5), -1), last.flatten(1, 2)], dim=1)
    for features in (places, last, tokens):
        assert to_channels_first(features, 5).equal(places)


@pytest.mark.parametrize("width_px", [1, 3, 8, 20])
def test_a_dark_line_stands_out(width_px: int) -> None:
    """A crack of any width is the brightest part of the map, to the pixel; a bright line leaves its pixels black."""
    grey = torch.full((1, 100, 120), 150.0)
    grey[:, :, 50 : 50 + width_px] -= 40
    found = find_dark_lines(grey)[0, 40]
    assert found[50 : 50 + width_px].min() > 2 * found[: 50 - 3].max()
    assert find_dark_lines(300 - grey)[0, 40, 50 : 50 + width_px].max() == 0


def test_a_flat_tile_has_no_lines() -> None:
    """A slow change of light leaves hardly a trace."""
    assert find_dark_lines(torch.full((1, 64, 64), 99.0)).abs().max() < 1e-3
    slope = torch.linspace(60, 200, 128).expand(1, 128, 128)
    assert find_dark_lines(slope)[:, :, 40:-40].max() < 0.1


@given(seed=st.integers(0, 2**32), highest=st.floats(0.5, 1))
def test_the_highest_become_one(seed: int, highest: float) -> None:
    """Tile by tile; lower values keep their proportions, and a map of zeros stays zero."""
    found = torch.from_numpy(np.random.default_rng(seed).random((3, 6, 7), np.float32)) + 0.01
    found[1] = 0
    scaled = scale_to_one(found, highest)
    assert scaled.amax(dim=(1, 2)).tolist() == [1, 0, 1]
    for tile in (0, 2):
        below = scaled[tile] < 1
        ratios = scaled[tile][below] / found[tile][below]
        assert ratios.numel() < 2 or ratios.std() < 1e-4


@pytest.fixture(scope="module")
def mapper() -> SaliencyMapper:
    """Load the mapper of the shipped model."""
    return SaliencyMapper(load_model(SHIPPED_MODEL), "cpu")


def test_a_drawn_crack_is_found(mapper: SaliencyMapper) -> None:
    """On noise like concrete, nine tenths of the pixels over half brightness are within 3 pixels of the crack."""
    random = np.random.default_rng(3)
    tiles = np.repeat(random.normal(150, 8, (2, 224, 224, 1)), 3, axis=3)
    columns = (90 + 25 * np.sin(np.arange(224) / 30)).astype(int)
    for row, column in enumerate(columns):
        tiles[1, row, column : column + 5] -= 70
    maps = mapper(tiles.clip(0, 255).astype(np.uint8))
    assert maps.shape == (2, 224, 224)
    assert (maps.min(), maps.max()) == (0, 1)
    rows, found = np.nonzero(maps[1] >= 0.5)
    assert np.mean((found >= columns[rows] - 3) & (found < columns[rows] + 5 + 3)) > 0.9
    assert len(set(rows.tolist())) > 150


def test_a_tile_does_not_depend_on_the_others(mapper: SaliencyMapper) -> None:
    """In batches of one size, gradients of one tile's score do not reach the places of another tile."""
    tiles = np.random.default_rng(1).integers(0, 256, (2, 224, 224, 3), np.uint8)
    one, other = mapper(tiles), mapper(tiles[::-1].copy())
    assert one == pytest.approx(other[::-1], abs=1e-4)
