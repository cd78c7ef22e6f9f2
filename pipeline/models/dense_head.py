"""The dense head: from the feature maps of a network's stages to the logit of a crack at every place.

From the deepest stage up, each step enlarges what is below to twice its size and mixes it with the stage's own maps, as
in U-Net (Ronneberger et al. 2015) with depthwise separable convolutions (Howard et al. 2017). It is a hundredth of
the default network in parameters. It has no batch norm, for the reason that `training.learner` gives.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from pipeline.models.card import Places
from pipeline.models.closer_look import count_highest, is_doubtful

PREFIX = "dense."
"""Prefix of its tensors in a model file."""

CHANNELS = (16, 24, 32, 48, 64)
"""Maps kept of each stage, the finest first; a network with fewer stages keeps the last of them."""
LEAST_STAGES, MOST_STAGES = 3, len(CHANNELS)
"""Stages of a network that can be used: their maps halve from each to the next."""
RARE = -3.0
"""Logit of a crack at a place before training: a twentieth, as in masks of cracked concrete."""


class DenseHead(nn.Module):
    """Finds the crack at every place of a picture.

    Args:
        stage_channels: number of maps of each stage of the network, the finest first.
    """

    def __init__(self, stage_channels: Sequence[int]) -> None:
        super().__init__()
        self.stages = len(stage_channels)
        channels = CHANNELS[-self.stages :]
        self.narrow = nn.ModuleList(
            nn.Conv2d(given, kept, 1) for given, kept in zip(stage_channels, channels, strict=True)
        )
        self.mix = nn.ModuleList(_separable(fine + coarse, fine) for fine, coarse in pairwise(channels))
        self.last = nn.Conv2d(channels[0], 1, 3, padding=1)
        nn.init.constant_(self.last.bias, RARE)  # type: ignore[arg-type]  # it has one

    def forward(self, stages: Sequence[Tensor]) -> Tensor:
        """Return the logits at the stride of the finest stage.

        Shape: each (N, C, h, w), the finest first → (N, h, w) of the finest.
        """
        narrow = [layer(maps) for layer, maps in zip(self.narrow, stages, strict=True)]
        found: Tensor = narrow[-1]
        for maps, mix in zip(reversed(narrow[:-1]), reversed(self.mix), strict=True):
            found = mix(torch.cat([maps, interpolate(found, maps.shape[-2:], mode="bilinear")], dim=1))
        logits: Tensor = self.last(found)
        return logits[:, 0]


def pool_places(places: Tensor) -> Tensor:
    """Return the mean logit of the highest places.

    Shape: (N, h, w) → (N,).
    """
    flat = places.flatten(1)
    return flat.topk(count_highest(int(flat.shape[1])), dim=1).values.mean(dim=1)


def join_logits(logits: Tensor, pooled: Tensor, places: Places) -> Tensor:
    """Return the logits that score tiles, from those of the network and of the highest places.

    Shape: (N,) each.
    """
    both = (1 - places.weight) * logits + places.weight * pooled
    return torch.where(is_doubtful(logits, places), both, logits)


def _separable(given: int, kept: int) -> nn.Sequential:
    """Mix each map over 3 x 3 places, then the maps at each place."""
    return nn.Sequential(
        nn.Conv2d(given, given, 3, padding=1, groups=given), nn.ReLU(), nn.Conv2d(given, kept, 1), nn.ReLU(),
    )  # fmt: skip
