"""How good a dataset's scores are on its own photos: precision and recall from verdicts, where the sample allows it.

Tiles that were picked because they are hard say little about the field. Tiles that were sampled with known odds do:
each stands for as many tiles as its `weight` says (Horvitz & Thompson 1952), and a ratio of such sums estimates the
ratio in the dataset. Whole photos are resampled for the intervals, see `bootstrap`.

`review` samples among tiles that nobody has judged. So tiles that were judged before the sample are a part of the
dataset of which all is known: each stands for itself.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipeline import storage
from pipeline.core.errors import UsageError
from pipeline.dataset.layout import Layout
from pipeline.dataset.run import read_run
from pipeline.dataset.sql import query
from pipeline.evaluation.bootstrap import Bootstrap, bootstrap_weighted
from pipeline.evaluation.metrics import Bools, Floats, RankedTiles, Scores

MIN_PHOTOS = 10
"""For an interval: with fewer photos, a resampled set is hardly another one."""
TAIL = 0.025
"""Of each side of a 95 % interval."""

_BOX = "image_id, left_px, top_px, width_px, height_px"

_SAMPLED = f"""
    WITH said AS (
        SELECT *, coalesce(pick = 'random' AND weight > 0, false) AS is_random
        FROM verdicts WHERE subject = 'tile' AND is_current
    ), sampled AS (
        SELECT {_BOX}, true AS is_random, arg_max(weight, judged_at) AS weight FROM said WHERE is_random GROUP BY {_BOX}
    ), before AS (
        SELECT {_BOX}, false AS is_random, 1.0 AS weight FROM said GROUP BY {_BOX}
        HAVING NOT bool_or(is_random) AND min(recorded_at) < (SELECT min(judged_at) FROM said WHERE is_random)
    ), chosen AS (FROM sampled UNION ALL BY NAME FROM before)
    SELECT image_id, chosen.is_random, chosen.weight, verdict, crack_score
    FROM chosen JOIN (FROM said WHERE is_last) AS last USING ({_BOX})
         LEFT JOIN (SELECT {_BOX}, crack_score FROM tiles SEMI JOIN chosen USING (image_id)) AS scored USING ({_BOX})
    ORDER BY ALL
"""  # noqa: S608 - our own SQL
"""A tile that was sampled stays in the sample, with its last verdict, also if it was picked and judged again since."""

_JUDGED = "SELECT count(*) AS tiles FROM verdicts WHERE subject = 'tile' AND is_last AND is_current"


class Figure(NamedTuple):
    """An estimate of a ratio."""

    value: float
    interval: tuple[float, float] | None
    """95 %; None with too few photos."""


@dataclass(frozen=True)
class VerdictFigures:
    """What verdicts say about the scores of a dataset at a threshold."""

    threshold: float
    judged: int
    """Tiles with a verdict, however they were picked."""
    sampled: int
    """Tiles among them that were sampled at random, and are cracked or sound."""
    before: int
    """Tiles that were judged before the sample was, cracked or sound; each stands for itself."""
    photos: int
    """Photos that all of these are of."""
    cracked: int
    """Tiles of these that are cracked."""
    unclear: int
    """Tiles of which nobody can tell; they are left out."""
    unscored: int
    """Boxes that are no tiles of the dataset; they are left out."""
    precision: Figure | None
    """None if no tile of the sample is over the threshold."""
    recall: Figure | None
    """None if no tile of the sample is cracked."""


def measure_verdicts(out: str, threshold: float | None = None, resampling: Bootstrap | None = None) -> VerdictFigures:
    """Estimate precision and recall of a dataset's tiles from the verdicts on a random sample of them.

    Args:
        out: the dataset.
        threshold: a tile at or over it is called cracked; None takes that of the model card.
        resampling: how to compute the intervals.

    Raises:
        UsageError: there is no dataset, or no threshold.
    """
    layout = Layout(storage.canonical(out))
    at = read_run(layout).get("model_card", {}).get("threshold") if threshold is None else threshold
    if at is None:
        raise UsageError(f"{layout.run} names no threshold. Give --threshold.")
    rows = query(out, _SAMPLED).to_pylist()
    known = [row for row in rows if row["verdict"] != "unclear" and row["crack_score"] is not None]
    sample = _Sample(
        np.array([row["verdict"] == "crack" for row in known], np.bool_),
        np.array([row["crack_score"] for row in known], np.float32),
        np.array([row["weight"] for row in known], np.float64),
        [row["image_id"] for row in known],
    )
    precision, recall = _estimate(sample, at, resampling or Bootstrap()) if known else (None, None)
    unclear = sum(row["verdict"] == "unclear" for row in rows)
    return VerdictFigures(
        threshold=at,
        judged=query(out, _JUDGED)["tiles"][0].as_py(),
        sampled=sum(row["is_random"] for row in known),
        before=sum(not row["is_random"] for row in known),
        photos=len({*sample.photos}),
        cracked=int(sample.labels.sum()),
        unclear=unclear,
        unscored=len(rows) - unclear - len(known),
        precision=precision,
        recall=recall,
    )


class _Sample(NamedTuple):
    """Tiles that were sampled: one value a tile, each of shape (n,)."""

    labels: Bools
    scores: Scores
    weights: Floats
    photos: list[str]


def _estimate(sample: _Sample, threshold: float, resampling: Bootstrap) -> tuple[Figure | None, Figure | None]:
    tiles = RankedTiles(sample.labels, sample.scores, threshold)
    values = tiles.measure(sample.weights[np.newaxis, tiles.order])
    has_enough = len({*sample.photos}) >= MIN_PHOTOS
    intervals = bootstrap_weighted(tiles, sample.weights, sample.photos, resampling) if has_enough else {}
    of_ratio = {"precision": sample.scores >= threshold, "recall": sample.labels}
    precision, recall = (
        _make_figure(float(values[name][0]), intervals.get(name), _count_photos(sample, counted))
        for name, counted in of_ratio.items()
    )
    return precision, recall


def _count_photos(sample: _Sample, counted: Bools) -> int:
    return len({photo for photo, is_counted in zip(sample.photos, counted, strict=True) if is_counted})


def _make_figure(value: float, interval: tuple[float, float] | None, photos: int) -> Figure | None:
    """Make a figure; None if it is undefined.

    Where all of a few photos agree, resampling them shows no doubt: the interval is then at least that of Clopper and
    Pearson 1934 for as many photos that are all right, or all wrong.

    Args:
        value: NaN if undefined.
        interval: of the bootstrap.
        photos: those with a tile that counts in the ratio's denominator.
    """
    if np.isnan(value):
        return None
    if interval is None:
        return Figure(value, None)
    low, high = interval
    reach = TAIL ** (1 / photos)
    return Figure(value, (min(low, reach) if value == 1 else low, max(high, 1 - reach) if value == 0 else high))
