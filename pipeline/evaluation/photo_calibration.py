"""From the tiles of trials to the calibration of whole photos.

Photos are put together from the scored tiles of one left-out source: sound ones, and in every second photo a crack
through two to four neighbouring tiles. Tiles of one picture lie side by side, so that what raises a false alarm in one
does in its neighbours, too.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.calibration import Rates, Sample, scores_of
from pipeline.models.card import Calibration, PhotoCalibration
from pipeline.models.photo_score import logits_of, weigh_tiles

GRIDS = ((1, 1), (2, 2), (6, 8), (14, 18))
"""Rows and columns of tiles: a picture of one tile, one of 0.2 megapixels, one of 2.4 and one of 12."""
FLAGGED_SOUND = 0.01
"""Part of the sound photos of the largest grid that may be called cracked on the middle one of the sources. On a source
left out of the fit it was up to 0.02, and 0.09 of pictures of one tile (docs/experiments.md)."""
PHOTOS = 200
"""Of each grid and source; half of them cracked."""
MOST_CRACK_TILES = 4
SEED = 0
START = np.array([1.0, 0.0])
"""The weights of evidence and background for tiles that are independent."""
RIDGE = 1e-4
"""Pull towards them: photos that are told apart without any error have no best weights."""
STEPS = 50
LEAST_STEP = 1e-6
"""A card keeps four decimals."""

Weights = NDArray[np.float64]


class PhotoSample(NamedTuple):
    """Photos of one source, half of them cracked."""

    facts: NDArray[np.float64]
    """Log likelihood ratio and background as `photo_score.weigh_tiles` returns them, and a 1; shape (n, 3)."""
    labels: NDArray[np.bool_]
    """Shape (n,)."""
    is_large: NDArray[np.bool_]
    """Whether a photo has the largest grid; shape (n,)."""

    def scores(self, calibration: PhotoCalibration) -> NDArray[np.float64]:
        """Return the probabilities of a crack, as `photo_score.score_photo` does. Shape (n,)."""
        weights = np.array([calibration.evidence, calibration.background, calibration.bias])
        scores: NDArray[np.float64] = 1 / (1 + np.exp(-self.facts @ weights))
        return scores


def draw_photos(
    sample: Sample,
    pictures: Sequence[str],
    calibration: Calibration,
    grids: Sequence[tuple[int, int]] = GRIDS,
) -> PhotoSample:
    """Put photos together from the tiles of a source, `PHOTOS` of each grid.

    Args:
        sample: its tiles.
        pictures: the picture that each tile is a part of; tiles without one have a name of their own.
        calibration: of the tiles.
        grids: rows and columns of tiles.
    """
    random = np.random.default_rng(SEED)
    logits = logits_of(scores_of(sample, calibration).astype(np.float32))
    sound, cracked = (_by_picture(np.flatnonzero(sample.labels == label), pictures) for label in (False, True))
    facts, labels, is_large = [], [], []
    for rows, cols in grids:
        for number in range(PHOTOS):
            photo = logits[_fill(rows * cols, sound, random)].reshape(rows, cols)
            if number % 2:
                path = [*_walk(rows, cols, int(random.integers(2, MOST_CRACK_TILES + 1)), random)]
                photo[tuple(np.transpose(path))] = logits[_fill(len(path), cracked, random)]
            facts.append([*weigh_tiles(photo), 1.0])
            labels.append(bool(number % 2))
            is_large.append((rows, cols) == max(grids))
    return PhotoSample(np.array(facts), np.array(labels), np.array(is_large))


def fit_photos(samples: Sequence[PhotoSample], threshold: float) -> PhotoCalibration:
    """Find the weights that make the labels most likely (Platt 1999), and the bias that suits the card's threshold.

    Every source weighs the same, and has a bias of its own beside the common weights. What another source gets is not
    that bias, at even odds, but the one with which `FLAGGED_SOUND` of the large sound photos reach the threshold: the
    median over the sources. Where people left cracks unmarked, every photo of 250 sound tiles has one, and in the mean
    that source would set the bias of all.

    Args:
        samples: of the sources.
        threshold: over which tiles and photos are called cracked.
    """
    bias_of = np.eye(len(samples))
    facts = np.concatenate(
        [
            np.hstack([sample.facts[:, :2], np.tile(own, (len(sample.facts), 1))])
            for sample, own in zip(samples, bias_of, strict=True)
        ]
    )
    start = np.concatenate([START, np.zeros(len(samples))])
    weights = _fit_logistic(facts, np.concatenate([sample.labels for sample in samples]), start)
    highest = [
        np.quantile(sample.facts[~sample.labels & sample.is_large, :2] @ weights[:2], 1 - FLAGGED_SOUND)
        for sample in samples
    ]
    line = logits_of(np.array([threshold], np.float32))[0]
    found = (*weights[:2], line - np.median(highest))
    return PhotoCalibration(*(round(float(weight), 4) for weight in found))


def _fit_logistic(facts: NDArray[np.float64], labels: NDArray[np.bool_], start: Weights) -> Weights:
    """Return the weights of a logistic regression, pulled a little to `start`: Newton's method, the loss is convex."""
    signs = np.where(labels, 1.0, -1.0)

    def loss(weights: Weights) -> float:
        wrong = np.logaddexp(0, -signs * (facts @ weights)).mean()
        return float(wrong + RIDGE / 2 * np.square(weights - start).sum())

    weights = start
    for _ in range(STEPS):
        wrong = np.exp(-np.logaddexp(0, signs * (facts @ weights)))
        gradient = -(facts * (signs * wrong)[:, None]).mean(axis=0) + RIDGE * (weights - start)
        hessian = (facts * (wrong * (1 - wrong))[:, None]).T @ facts / len(facts) + RIDGE * np.eye(len(start))
        step = np.linalg.solve(hessian, gradient)
        while loss(weights - step) > loss(weights) and np.abs(step).max() > LEAST_STEP:
            step = step / 2
        weights = weights - step
        if np.abs(step).max() <= LEAST_STEP:
            break
    return weights


def rates_of(sample: PhotoSample, calibration: PhotoCalibration, threshold: float) -> Rates:
    """Return the effect of a threshold on photos."""
    called = sample.scores(calibration) >= threshold
    return Rates(float(called[sample.labels].mean()), float(called[~sample.labels].mean()))


def _by_picture(tiles: NDArray[np.int64], pictures: Sequence[str]) -> list[list[int]]:
    ordered = sorted(tiles.tolist(), key=lambda tile: pictures[tile])
    return [[*of_picture] for _, of_picture in groupby(ordered, key=lambda tile: pictures[tile])]


def _fill(count: int, pictures: Sequence[list[int]], random: np.random.Generator) -> list[int]:
    """Draw pictures until their tiles are as many; at once all that are needed if each has the most tiles."""
    most_tiles = max(map(len, pictures))
    found: list[int] = []
    while len(found) < count:
        for drawn in random.integers(len(pictures), size=-(-(count - len(found)) // most_tiles)).tolist():
            found += pictures[drawn]
    return found[:count]


def _walk(rows: int, cols: int, length: int, random: np.random.Generator) -> Iterator[tuple[int, int]]:
    """Yield neighbouring cells of a grid in a row, a column or a diagonal; fewer where the edge comes first."""
    row, col = int(random.integers(rows)), int(random.integers(cols))
    down, right = [(0, 1), (1, 0), (1, 1), (1, -1)][int(random.integers(4))]
    if row + down >= rows:
        down = -down
    if not 0 <= col + right < cols:
        right = -right
    while length and 0 <= row < rows and 0 <= col < cols:
        yield row, col
        row, col, length = row + down, col + right, length - 1
