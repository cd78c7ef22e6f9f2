"""The pictures of an evaluation."""

import io
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from PIL import Image

from pipeline.evaluation import figures
from pipeline.evaluation.figures import Curve, Mistake, QualityPoint, reliability_bins

LABELS = np.array([True, False, True, False])
SCORES = np.array([0.9, 0.1, 0.4, 0.6], dtype=np.float32)


@pytest.mark.parametrize("draw", [figures.precision_recall, figures.roc, figures.reliability])
def test_curves_are_pngs(draw: Callable[[Sequence[Curve]], bytes]) -> None:
    """Every figure is a PNG with a drawing in it, even with a source of one class, and an empty one without sources."""
    curves = [Curve("both", LABELS, SCORES), Curve("one class", LABELS[:1], SCORES[:1])]
    drawn, empty = (np.asarray(Image.open(io.BytesIO(draw(given)))) for given in (curves, []))
    assert drawn.shape == empty.shape
    assert (drawn != empty).any()


def test_a_comparison_is_drawn() -> None:
    """Every backbone and recipe is a point with its interval."""
    points = [QualityPoint("small", 90.0, 0.9, 0.02), QualityPoint("large", 20.0, 0.95, 0.0)]
    drawn, fewer = (np.asarray(Image.open(io.BytesIO(figures.quality_speed(some)))) for some in (points, points[:1]))
    assert drawn.shape == fewer.shape
    assert (drawn != fewer).any()


def test_same_input_same_picture() -> None:
    """Figures share no state."""
    curves = [Curve("a", LABELS, SCORES)]
    first = figures.roc(curves)
    figures.precision_recall(curves)
    assert figures.roc(curves) == first


def test_reliability_bins() -> None:
    """A bin has mean score, cracked part and number of its tiles; 1.0 belongs to the last bin."""
    labels = np.array([True, False, True])
    scores, cracked, tiles = reliability_bins(labels, np.array([0.01, 0.03, 1.0], dtype=np.float32))
    assert scores == pytest.approx([0.02, 1.0])
    assert cracked.tolist() == [0.5, 1.0]
    assert tiles.tolist() == [2, 1]


def test_mistakes() -> None:
    """The contact sheet shows tiles of any shape, grows with their number, and can be empty."""
    tile = Mistake(np.full((30, 500, 3), 200, dtype=np.uint8), 0.75, "a-very-long-name-of-a-tile-from-somewhere.jpg")
    few, many, none = (
        Image.open(io.BytesIO(figures.mistakes(*given))) for given in (([tile], [tile]), ([tile] * 7, []), ([], []))
    )
    assert few.size == none.size
    assert many.height > few.height
