"""Old and new scores side by side: the verdict, and that nobody scores what it learnt from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.adaptation import side_by_side
from pipeline.adaptation.side_by_side import LEAST_PHOTOS

LABELS = np.arange(120) % 5 < 2


def deal(photos: int) -> NDArray[np.int64]:
    """Deal the tiles out to photos."""
    return np.arange(len(LABELS)) % photos


def blur(labels: NDArray[np.bool_], noise: float, seed: int) -> NDArray[np.float64]:
    """Return scores that tell the labels through noise."""
    return 1 / (1 + np.exp(-(np.where(labels, 1, -1) + np.random.default_rng(seed).normal(0, noise, len(labels)))))


@pytest.mark.parametrize(
    ("before", "after", "verdict"), [(4, 0.5, "better"), (0.5, 4, "worse"), (2, 2, "cannot be told")]
)
def test_the_verdict_follows_the_interval(before: float, after: float, verdict: str) -> None:
    """A clear gain is better, a clear loss worse, and noise cannot be told."""
    found = side_by_side.compare(LABELS, deal(40), (blur(LABELS, before, 0), blur(LABELS, after, 1)), 0.5)
    assert found.photos == 40
    assert found.verdict == verdict


def test_few_photos_tell_nothing() -> None:
    """With nine photos, even a perfect model cannot be called better."""
    scores = blur(LABELS, 4, 0), LABELS.astype(np.float64)
    few, enough = (
        side_by_side.compare(LABELS, deal(photos), scores, 0.5) for photos in (LEAST_PHOTOS - 1, LEAST_PHOTOS)
    )
    assert few.auc_gain is None
    assert (few.verdict, enough.verdict) == ("cannot be told", "better")


def test_chance_is_seldom_called_better() -> None:
    """Two models that are equally good: of a hundred pairs, few get a verdict at all."""
    pairs = ((blur(LABELS, 2, 2 * pair), blur(LABELS, 2, 2 * pair + 1)) for pair in range(100))
    verdicts = [side_by_side.compare(LABELS, deal(30), pair, 0.5).verdict for pair in pairs]
    assert verdicts.count("better") <= 8
    assert verdicts.count("worse") <= 8


@given(data=st.data(), folds=st.integers(2, 5), count=st.integers(2, 40))
@settings(deadline=None)
def test_no_tile_is_scored_by_what_learnt_from_it(data: st.DataObject, folds: int, count: int) -> None:
    """Each tile is held out once; a fold whose others have one class gets no scores."""
    fold_of = np.array(data.draw(st.lists(st.integers(0, folds - 1), min_size=count, max_size=count)))
    labels = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)))

    def score(learnt: NDArray[np.bool_], held: NDArray[np.bool_]) -> NDArray[np.float64]:
        assert not (learnt & held).any()
        assert not set(fold_of[learnt]) & set(fold_of[held])
        assert set(labels[learnt].tolist()) == {True, False}
        return fold_of[held] * 1.0

    after = side_by_side.score_held_out(fold_of, labels, score)
    for fold in set(fold_of.tolist()):
        has_both = len(set(labels[fold_of != fold].tolist())) == 2
        np.testing.assert_array_equal(after[fold_of == fold], fold * 1.0 if has_both else np.nan)
