"""The domain: a distance with a known unit, stored with the weights."""

import hashlib
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pipeline.core.errors import ModelError
from pipeline.models import domain
from pipeline.models.model import SHIPPED_MODEL, Model, load_card
from pipeline.models.network import encode_weights


def textures(tiles: int, features: int = 6, seed: int = 0) -> Tensor:
    """Draw correlated numbers of very different sizes, like a network's statistics."""
    source = torch.Generator().manual_seed(seed)
    mixed = torch.randn(tiles, features, generator=source) @ torch.randn(
        features, features, generator=torch.Generator().manual_seed(1)
    )
    return mixed * torch.logspace(-1, 1, features) + 5


@given(st.integers(30, 300), st.integers(1, 8))
def test_the_unit_is_the_training_tiles_own_distance(tiles: int, features: int) -> None:
    """In the root mean square it is one, or a little less, since the fit shrinks correlations."""
    seen = textures(tiles, features)
    assert 0.5 < float(domain.fit(seen)(seen).square().mean().sqrt()) < 1.001


@given(st.floats(0.3, 3), st.floats(-5, 5))
def test_units_of_features_do_not_matter(scale: float, shift: float) -> None:
    """Stretching and shifting single features leaves the distances as they are."""
    seen, others = textures(200), textures(50, seed=2) * 1.5
    stretch = scale ** torch.linspace(-1, 1, seen.shape[1])
    moved = domain.fit(seen * stretch + shift)(others * stretch + shift)
    torch.testing.assert_close(moved, domain.fit(seen)(others), rtol=1e-3, atol=1e-3)


def test_the_distance_is_linear() -> None:
    """It grows evenly in any direction away from the centre of the training tiles."""
    seen = textures(200)
    known = domain.fit(seen)
    way = torch.randn(seen.shape[1], generator=torch.Generator().manual_seed(3))
    steps = known(known.center + way * torch.arange(5)[:, None])
    torch.testing.assert_close(steps, steps[1] * torch.arange(5), rtol=1e-3, atol=1e-4)


def test_a_feature_constant_in_training_gives_a_large_finite_distance() -> None:
    """A tile in which it changes is farther than all training tiles, but not infinitely far."""
    seen = textures(200)
    seen[:, 2] = 7.0
    odd = seen[:1].clone()
    odd[0, 2] += 1.0
    known = domain.fit(seen)
    assert float(known(odd)) > float(known(seen).max())
    assert bool(torch.isfinite(known(odd)).all())


def test_the_threshold_holds_for_other_tiles() -> None:
    """About the given share is at or over it, even with few training tiles for many features."""
    seen, others = textures(200, features=60), textures(2000, features=60, seed=4)
    least = domain.fit_threshold(seen, torch.arange(200) % 2 == 0, 0.05)
    assert 0 < float((domain.fit(seen)(others) >= least).float().mean()) < 0.06
    assert least > float(domain.fit(seen)(seen).quantile(0.95))


def model_with(tensors: dict[str, Tensor]) -> Model:
    """Return a model with these weights."""
    weights = encode_weights(tensors)
    card = replace(load_card(SHIPPED_MODEL), weights_sha256=hashlib.sha256(weights).hexdigest())
    return Model("file:///model", card, weights)


def test_a_model_file_keeps_the_domain() -> None:
    """Half precision moves a distance by less than a hundredth."""
    seen = textures(300)
    known = domain.fit(seen)
    found = domain.domain_of(model_with({"head.weight": torch.ones(2, 2)} | known.tensors()))
    assert found is not None
    torch.testing.assert_close(found(seen), known(seen), rtol=0.01, atol=0.01)


def test_an_older_model_has_no_domain() -> None:
    """Weights without its tensors give None."""
    assert domain.domain_of(model_with({"head.weight": torch.ones(2, 2)})) is None


def test_a_part_of_a_domain_is_refused() -> None:
    """The error says what is there, what was expected, and what to do."""
    with pytest.raises(ModelError) as caught:
        domain.domain_of(model_with({"domain.center": torch.ones(3)}))
    assert str(caught.value) == (
        "The weights at file:///model hold center under domain.; expected center and whitening. Use the crackscan that "
        "trained the model, or train anew."
    )
