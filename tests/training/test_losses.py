"""The loss falls towards the truth, and what nobody knows does not move it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.models.dense_head import pool_places
from pipeline.models.network import DenseOutput
from pipeline.training.crack_targets import CRACK, SOUND, UNKNOWN
from pipeline.training.losses import loss_of_pictures

SIDE = 20


def output(logit: float, places: torch.Tensor) -> DenseOutput:
    """Return the output for one picture."""
    return DenseOutput(torch.tensor([logit]), places[None])


def target_of(crack: torch.Tensor) -> torch.Tensor:
    """Return a target at twice the side of the places."""
    return crack.to(torch.uint8).repeat_interleave(2, 0).repeat_interleave(2, 1)[None]


CRACKED = torch.zeros(SIDE, SIDE)
CRACKED[10] = CRACK
GOAL = torch.tensor([1.0])


def test_the_truth_costs_nothing_and_the_contrary_much() -> None:
    """Places that say what the target says have no loss; the opposite has more than saying nothing."""
    right = torch.where(CRACKED == CRACK, 20.0, -20.0)
    losses = [
        float(loss_of_pictures(output(logit, places), GOAL, target_of(CRACKED)))
        for logit, places in ((20.0, right), (0.0, right * 0), (-20.0, -right))
    ]
    assert losses[0] == pytest.approx(0, abs=1e-3)
    assert losses[0] < losses[1] < losses[2]


@settings(deadline=None)
@given(seed=st.integers(0, 2**32))
def test_what_is_unknown_does_not_count(seed: int) -> None:
    """Other logits at unknown places give the same loss, unless they are the tile's highest."""
    random = torch.Generator().manual_seed(seed)
    places = torch.rand((SIDE, SIDE), generator=random)
    places[10] = 9.0
    target = target_of(CRACKED)
    target[:, :10] = UNKNOWN
    changed = places.clone()
    changed[:5] = torch.rand((5, SIDE), generator=random)
    first, second = (float(loss_of_pictures(output(0.5, each), GOAL, target)) for each in (places, changed))
    assert first == pytest.approx(second, rel=1e-5)


def test_a_picture_without_a_label_is_judged_by_its_places_alone() -> None:
    """Its tile logit has no gradient."""
    logit = torch.zeros(1, requires_grad=True)
    goal = torch.tensor([np.nan], dtype=torch.float32)
    loss_of_pictures(DenseOutput(logit, torch.zeros(1, SIDE, SIDE)), goal, target_of(CRACKED)).sum().backward()  # type: ignore[no-untyped-call]
    assert logit.grad is not None
    assert float(logit.grad.abs().max()) == 0


def test_a_crack_without_a_mask_pulls_the_highest_places_up() -> None:
    """Multiple-instance learning: some place must be a crack, and only the highest ones are asked."""
    places = torch.zeros(1, SIDE, SIDE)
    places[0, 3, :4] = 1.0
    places.requires_grad_()
    unknown = torch.full((1, 2 * SIDE, 2 * SIDE), UNKNOWN, dtype=torch.uint8)
    loss_of_pictures(DenseOutput(torch.zeros(1), places), GOAL, unknown).sum().backward()  # type: ignore[no-untyped-call]
    assert places.grad is not None
    assert (places.grad[0, 3, :4] < 0).all()
    assert int((places.grad != 0).sum()) == 4
    assert float(pool_places(places.detach())) == 1.0


def test_sound_tiles_push_every_place_down() -> None:
    """Of a sound tile each place is known."""
    places = torch.zeros(1, SIDE, SIDE, requires_grad=True)
    sound = torch.full((1, 2 * SIDE, 2 * SIDE), SOUND, dtype=torch.uint8)
    loss_of_pictures(DenseOutput(torch.zeros(1), places), torch.tensor([0.0]), sound).sum().backward()  # type: ignore[no-untyped-call]
    assert places.grad is not None
    assert (places.grad > 0).all()


def test_without_a_dense_head_only_the_label_counts() -> None:
    """As the loss was before."""
    found = loss_of_pictures(DenseOutput(torch.tensor([0.0, 2.0]), None), torch.tensor([1.0, 1.0]), None)
    assert found.tolist() == pytest.approx([np.log(2), np.log1p(np.exp(-2))], rel=1e-5)
