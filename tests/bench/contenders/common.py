"""Network, tile grid and arguments of all contenders, so that they do the same work.

Each contender is the script that a user would write with one library and its documentation. It handles no faults and
resumes nothing.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.images.tiles import Tile, TileSpec, cut, grid
from pipeline.models.model import SHIPPED_MODEL, load_model
from pipeline.models.network import network_of

BATCH_TILES = 32
SPEC = TileSpec(224, 0.0)


def read_arguments() -> tuple[str, str]:
    """Return the folder of photos and the folder for Parquet files."""
    Path(sys.argv[2]).mkdir(parents=True)
    return sys.argv[1], sys.argv[2]


def load_network() -> nn.Module:
    """Load the shipped network, as timm builds it."""
    return network_of(load_model(SHIPPED_MODEL))


def cut_photo(pixels: NDArray[np.uint8]) -> tuple[list[Tile], NDArray[np.uint8]]:
    """Cut a photo; shape (H, W, 3) → (N, 224, 224, 3)."""
    boxes = grid(pixels.shape[0], pixels.shape[1], SPEC)
    return boxes, cut(pixels, boxes, SPEC.tile_px)


def prepare(tiles: NDArray[np.uint8]) -> Tensor:
    """Do what torchvision's ToTensor and Normalize do; shape (N, 224, 224, 3) → (N, 3, 224, 224)."""
    return (torch.from_numpy(np.ascontiguousarray(tiles.transpose(0, 3, 1, 2))).float() / 255 - 0.5) / 0.5


@torch.inference_mode()
def score(model: nn.Module, tiles: Tensor) -> NDArray[np.float32]:
    """Score tiles in batches; shape (N, 3, 224, 224) → (N,)."""
    logits = [model(batch)[:, 0] for batch in torch.split(tiles, BATCH_TILES)]
    found: NDArray[np.float32] = torch.cat(logits).sigmoid().numpy()
    return found
