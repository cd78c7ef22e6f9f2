"""Bootstrap intervals of the measures."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.evaluation.bootstrap import Bootstrap, bootstrap, bootstrap_differences
from pipeline.evaluation.metrics import MEASURES, measure


def draw(seed: int, n: int, decimals: int) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Draw labels and scores that correlate with them; few decimals make equal scores."""
    random = np.random.default_rng(seed)
    labels = random.random(n) < 0.4
    return labels, np.round(labels * 0.3 + random.random(n) * 0.7, decimals).astype(np.float32)


def test_interval_holds_the_estimate() -> None:
    """The interval of every measure of ordinary scores contains the measure."""
    labels, scores = draw(seed=1, n=500, decimals=6)
    found = measure(labels, scores)
    intervals = bootstrap(labels, scores, [str(row) for row in range(500)], 0.5, Bootstrap(300))
    for name in MEASURES:
        interval = intervals[name]
        assert interval is not None
        assert interval[0] <= getattr(found, name) <= interval[1], name


def test_coverage() -> None:
    """A 95 % interval of the accuracy contains the true accuracy about 95 times in a hundred."""
    random = np.random.default_rng(3)
    held = 0
    for trial in range(200):
        right = random.random(100) < 0.8
        labels = random.random(100) < 0.5
        scores = np.where(labels == right, 0.9, 0.1).astype(np.float32)
        interval = bootstrap(labels, scores, [str(row) for row in range(100)], 0.5, Bootstrap(200, trial))["accuracy"]
        assert interval is not None
        held += interval[0] <= 0.8 <= interval[1]
    assert 175 <= held <= 199


def test_groups_widen_the_interval() -> None:
    """Tiles that repeat each other within a photo are worth less than their number."""
    few_labels, few_scores = draw(seed=2, n=40, decimals=6)
    labels, scores = np.repeat(few_labels, 10), np.repeat(few_scores, 10)
    alone = bootstrap(labels, scores, [str(row) for row in range(400)], 0.5, Bootstrap(300))["accuracy"]
    in_photos = bootstrap(labels, scores, [str(row // 10) for row in range(400)], 0.5, Bootstrap(300))["accuracy"]
    assert alone is not None
    assert in_photos is not None
    assert in_photos[1] - in_photos[0] > 2 * (alone[1] - alone[0])


def test_seed_repeats() -> None:
    """The same seed gives the same intervals."""
    labels, scores = draw(seed=4, n=50, decimals=6)
    groups = [str(row // 5) for row in range(50)]
    assert bootstrap(labels, scores, groups, 0.5, Bootstrap(50, 7)) == bootstrap(
        labels, scores, groups, 0.5, Bootstrap(50, 7)
    )


def test_one_class_and_no_tiles() -> None:
    """An undefined measure has no interval."""
    scores = np.linspace(0, 1, 20, dtype=np.float32)
    cracked = bootstrap(np.ones(20, dtype=np.bool_), scores, [str(row) for row in range(20)], 0.5, Bootstrap(20))
    assert cracked["auc"] is None
    assert cracked["recall"] is not None
    assert set(bootstrap(np.ones(0, dtype=np.bool_), scores[:0], [], 0.5, Bootstrap(20)).values()) == {None}


@given(data=st.data(), count=st.integers(8, 40))
@settings(deadline=None, max_examples=30)
def test_differences_are_of_the_same_resampled_data(data: st.DataObject, count: int) -> None:
    """A model against itself differs by nothing; swapped models differ by the opposite."""
    labels = np.arange(count) % 2 == 0
    groups = [f"photo {row % 4}" for row in range(count)]
    first, second = (np.array(data.draw(st.lists(st.floats(0, 1), min_size=count, max_size=count))) for _ in range(2))
    resampling = Bootstrap(repeats=50)
    same = bootstrap_differences(labels, (first, first), groups, 0.5, resampling)
    assert same["auc"] == (0.0, 0.0)
    there, back = (
        bootstrap_differences(labels, pair, groups, 0.5, resampling)["auc"]
        for pair in ((first, second), (second, first))
    )
    assert there is not None
    assert back is not None
    assert there == pytest.approx((-back[1], -back[0]), abs=1e-9)
