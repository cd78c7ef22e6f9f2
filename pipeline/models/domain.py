"""How unlike the training tiles a tile is, so that a run flags leaves or sky instead of scoring them with confidence.

A distance between textures, as `network` computes them. `training.domain_fit` chooses the pictures to fit it to.
"""

import torch
from torch import Tensor, nn

from pipeline.core.errors import ModelError
from pipeline.models.model import Model
from pipeline.models.network import DOMAIN_PREFIX, tensors_of

SHRINKAGE = 0.1
"""How far correlations shrink towards zero; a few hundred tiles say little about each (docs/experiments.md)."""
LEAST_SPREAD = 0.01
"""Of a feature, relative to the median; otherwise a feature without spread in training would outweigh all others."""


class Domain(nn.Module):
    """Mahalanobis distance from the training tiles; theirs is 1 or a little less in the root mean square.

    De Maesschalck et al. 2000; Lee et al. 2018 for pictures unlike the training data.
    """

    center: Tensor
    """Shape (F,)."""
    whitening: Tensor
    """Gives all directions the same spread; shape (F, F)."""

    def __init__(self, center: Tensor, whitening: Tensor) -> None:
        super().__init__()
        self.register_buffer("center", center)
        self.register_buffer("whitening", whitening)

    def forward(self, textures: Tensor) -> Tensor:
        """Return the distance of each tile.

        Shape: (N, F) → (N,).
        """
        away: Tensor = (textures - self.center) @ self.whitening
        return away.square().sum(dim=1).sqrt()

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors that a model file keeps."""
        return {DOMAIN_PREFIX + name: tensor for name, tensor in self.state_dict().items()}


def fit(textures: Tensor) -> Domain:
    """Fit a domain to the textures of training tiles.

    Shape: (tiles, F).
    """
    exact = textures.double()
    spreads, center = torch.std_mean(exact, dim=0, correction=0)
    spreads = spreads.clamp(min=max(LEAST_SPREAD * float(spreads.median()), torch.finfo(torch.float32).eps))
    standard = (exact - center) / spreads
    correlations = standard.T @ standard / len(exact)
    shrunk = (1 - SHRINKAGE) * correlations + SHRINKAGE * torch.eye(len(center), dtype=exact.dtype)
    variances, directions = torch.linalg.eigh(shrunk)
    whitening = directions / (spreads[:, None] * (len(center) * variances).sqrt())
    return Domain(center.float(), whitening.float())


def fit_threshold(textures: Tensor, is_first_half: Tensor, share: float) -> float:
    """Return the distance that this share of tiles reaches or exceeds, each measured by a fit to the other half.

    Shapes: (tiles, F), (tiles,).
    """
    first, second = textures[is_first_half], textures[~is_first_half]
    distances = torch.cat([fit(second)(first), fit(first)(second)])
    return float(distances.quantile(1 - share))


def domain_of(model: Model) -> Domain | None:
    """Return the domain of a model; None for a model from before there were domains.

    Raises:
        ModelError: the weights hold only a part of it.
    """
    tensors = {
        name.removeprefix(DOMAIN_PREFIX): tensor
        for name, tensor in tensors_of(model).items()
        if name.startswith(DOMAIN_PREFIX)
    }
    if not tensors:
        return None
    if tensors.keys() != {"center", "whitening"}:
        raise ModelError(
            f"The weights at {model.url} hold {', '.join(sorted(tensors))} under {DOMAIN_PREFIX}; expected center and "
            "whitening. Use the crackscan that trained the model, or train anew."
        )
    return Domain(**tensors)
