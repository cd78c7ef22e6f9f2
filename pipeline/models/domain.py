"""How unlike the training tiles a tile is, so that leaves or a sky are flagged instead of scored with confidence.

A distance between textures, as `network` sees them. From which pictures it is learnt is left to `domain_tiles`, what a
photo's tiles say together to `scoring`.
"""

import torch
from torch import Tensor, nn

from pipeline.core.errors import ModelError
from pipeline.models.model import Model
from pipeline.models.network import DOMAIN_PREFIX, tensors_of

SHRINKAGE = 0.1
"""How far correlations are drawn to zero; a few hundred tiles say little of each (docs/experiments.md)."""
LEAST_SPREAD = 0.01
"""Of a feature, as part of the middle one's: a map that no training tile woke would else outvote all others."""


class Domain(nn.Module):
    """Mahalanobis' distance from the training tiles; theirs is 1 or a little less in the root mean square.

    Maesschalck et al. 2000; for pictures unlike the training data Lee et al. 2018.
    """

    center: Tensor
    """Shape (F,)."""
    whitening: Tensor
    """Makes all directions alike; shape (F, F)."""

    def __init__(self, center: Tensor, whitening: Tensor) -> None:
        super().__init__()
        self.register_buffer("center", center)
        self.register_buffer("whitening", whitening)

    def forward(self, textures: Tensor) -> Tensor:
        """Measure tiles.

        Shape: (N, F) → (N,).
        """
        away: Tensor = (textures - self.center) @ self.whitening
        return away.square().sum(dim=1).sqrt()

    def tensors(self) -> dict[str, Tensor]:
        """Return what a model file keeps of it."""
        return {DOMAIN_PREFIX + name: tensor for name, tensor in self.state_dict().items()}


def fit(textures: Tensor) -> Domain:
    """Learn what tiles look like.

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


def threshold(textures: Tensor, is_first_half: Tensor, share: float) -> float:
    """Return the distance that this share of tiles reaches or exceeds, where it is learnt from the others' half.

    Shapes: (tiles, F), (tiles,).
    """
    first, second = textures[is_first_half], textures[~is_first_half]
    distances = torch.cat([fit(second)(first), fit(first)(second)])
    return float(distances.quantile(1 - share))


def domain_of(model: Model) -> Domain | None:
    """Read what a model knows of its training tiles; None where it was trained before there was such a thing.

    Raises:
        ModelError: only a part of it is there.
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
