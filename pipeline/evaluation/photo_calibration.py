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
PHOTOS = 200
"""Of each grid and source; half of them cracked."""
MOST_CRACK_TILES = 4
SEED = 0
START = np.array([1.0, 0.0, 0.0])
"""The weights of tiles that are independent."""
RIDGE = 1e-4
"""Pull towards them: photos that are told apart without any error have no best weights."""
STEPS = 50


class PhotoSample(NamedTuple):
    """Photos of one source, half of them cracked."""

    facts: NDArray[np.float64]
    """Log likelihood ratio and background as `photo_score.weigh_tiles` returns them, and a 1; shape (n, 3)."""
    labels: NDArray[np.bool_]
    """Shape (n,)."""

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
    facts, labels = [], []
    for rows, cols in grids:
        for number in range(PHOTOS):
            photo = logits[_fill(rows * cols, sound, random)].reshape(rows, cols)
            if number % 2:
                path = [*_walk(rows, cols, int(random.integers(2, MOST_CRACK_TILES + 1)), random)]
                photo[tuple(np.transpose(path))] = logits[_fill(len(path), cracked, random)]
            facts.append([*weigh_tiles(photo), 1.0])
            labels.append(bool(number % 2))
    return PhotoSample(np.array(facts), np.array(labels))


def fit_photos(samples: Sequence[PhotoSample]) -> PhotoCalibration:
    """Find the weights that make the labels most likely (Platt 1999); every source weighs the same."""
    facts = np.concatenate([sample.facts for sample in samples])
    signs = np.where(np.concatenate([sample.labels for sample in samples]), 1.0, -1.0)
    weights = START
    for _ in range(STEPS):  # Newton's method; the loss is convex
        wrong = 1 / (1 + np.exp(signs * (facts @ weights)))
        slope = -(facts * (signs * wrong)[:, None]).mean(axis=0) + RIDGE * (weights - START)
        bend = (facts * (wrong * (1 - wrong))[:, None]).T @ facts / len(facts) + RIDGE * np.eye(len(START))
        weights = weights - np.linalg.solve(bend, slope)
    return PhotoCalibration(*(round(float(weight), 4) for weight in weights))


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
