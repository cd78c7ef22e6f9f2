"""What training makes small: the error of the tile's label, and of every place whose truth is known.

A crack without a mask is somewhere in its tile: the mean of the highest places must be a crack (multiple-instance
learning, Dietterich et al. 1997).
"""

import torch
from torch import Tensor
from torch.nn.functional import adaptive_max_pool2d, binary_cross_entropy_with_logits

from pipeline.models.dense_head import pool_places
from pipeline.models.network import DenseOutput
from pipeline.training.crack_targets import CRACK, UNKNOWN

CRACK_WEIGHT = 3.0
"""Of a crack place to a sound one: masks are a fiftieth of their photos."""
PLACES_WEIGHT, OVERLAP_WEIGHT, POOLED_WEIGHT = 2.0, 0.5, 0.35
"""Of the parts of the loss, to that of the tile's label."""


def loss_of_pictures(output: DenseOutput, goals: Tensor, targets: Tensor | None) -> Tensor:
    """Return the loss of each picture.

    Args:
        output: of the network.
        goals: probability to reach, NaN for a picture without a label; shape (N,).
        targets: what each pixel shows, shape (N, H, W) uint8; None if there is no dense head.

    Shape: (N,).
    """
    loss = _label_loss(output.logits, goals)
    if output.places is None or targets is None:
        return loss
    places = output.places.float()
    loss = loss + POOLED_WEIGHT * _label_loss(pool_places(places), goals)
    crack, known = _at_places(targets, places)
    wrong = binary_cross_entropy_with_logits(places, crack, 1 + (CRACK_WEIGHT - 1) * crack, reduction="none")
    weights = known * (1 + (CRACK_WEIGHT - 1) * crack)
    error = (wrong * known).sum(dim=(1, 2)) / weights.sum(dim=(1, 2)).clamp(min=1)
    return loss + PLACES_WEIGHT * error + OVERLAP_WEIGHT * _overlap_loss(places, crack, known)


def _label_loss(logits: Tensor, goals: Tensor) -> Tensor:
    has_label = ~goals.isnan()
    found = binary_cross_entropy_with_logits(logits.float(), goals.nan_to_num(0.5), reduction="none")
    return found * has_label


def _at_places(targets: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Return where a crack is and where the truth is known: any crack pixel makes a crack of its place.

    Shape: (N, H, W) → (N, h, w) twice.
    """
    crack, unknown = (
        adaptive_max_pool2d((targets == kind).float()[:, None], places.shape[1:])[:, 0] for kind in (CRACK, UNKNOWN)
    )
    return crack, torch.maximum(crack, 1 - unknown)


def _overlap_loss(places: Tensor, crack: Tensor, known: Tensor) -> Tensor:
    """Return one minus the overlap of found and true crack (Milletari et al. 2016, Dice), 0 without a true one."""
    found = torch.sigmoid(places) * known
    both, either = (found * crack).sum(dim=(1, 2)), (found + crack).sum(dim=(1, 2))
    return (1 - (2 * both + 1) / (either + 1)) * (crack.sum(dim=(1, 2)) > 0)
