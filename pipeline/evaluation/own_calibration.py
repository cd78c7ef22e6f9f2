"""A model's calibration and threshold, fitted again to labelled tiles of the user's own; the weights stay.

The rule in full:

* Temperature and bias are those that make the labels most likely, both classes weighing the same: see `calibration`.
* The threshold is that with the highest F1 on these tiles; or the lowest at which no more than a given part of the
  sound ones is called cracked.
* The bias of photos is that at which one sound photo in a hundred is called cracked, where the sound tiles are as many
  as those of a photo (`LEAST_SOUND`). With fewer, each photo that is put together from them would have the worst of
  them; then the bias moves as far as the tiles' scores and their threshold do, so that photos stay where they were.

Figures come from cross-validation: each tile is judged by a fit to tiles of other photos (Stone 1974). Near-identical
tiles count as of one photo.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline import __version__, storage
from pipeline.cluster.session import ClusterConfig
from pipeline.core.counts import count_of
from pipeline.core.errors import UsageError
from pipeline.core.progress import OnProgress, no_progress
from pipeline.core.secrets import refuse_credentials
from pipeline.dataset.targets import check_folder
from pipeline.evaluation.bootstrap import Bootstrap, bootstrap, bootstrap_differences
from pipeline.evaluation.calibration import Sample, fit_across, scores_of, threshold_for
from pipeline.evaluation.evaluate import CROPS, CrackScores, score_tiles
from pipeline.evaluation.metrics import Bools, Floats, measure
from pipeline.evaluation.photo_calibration import FLAGGED_SOUND, GRIDS, draw_photos
from pipeline.labels.labelled_tiles import LabelledTiles, compute_descriptors
from pipeline.labels.near_duplicates import group_duplicates
from pipeline.labels.split import assign_folds, find_components
from pipeline.models import model
from pipeline.models.card import Calibration, Card, DataSource, PhotoCalibration, Value
from pipeline.models.model import Model, Readme
from pipeline.models.photo_score import logits_of

LEAST_TILES = 50
"""Of published evidence that so few help."""
LEAST_PHOTOS = 10
"""With fewer, resampled photos say too little of other photos, and no interval is honest."""
LEAST_OF_CLASS = 10
"""With fewer cracked or sound tiles, one of them moves recall or precision by more than 0.1."""
LEAST_SOUND = math.prod(GRIDS[-1])
"""Sound tiles from which the photos' own bias can be told: those of one large photo."""
FOLDS = 5
SEED = 0

PREFIX = "calibrated/"
"""Prefix of the card's metrics that come from here."""
ROLE = "calibration"
"""Of the data in the card."""

AT_THRESHOLD = ("f1", "precision", "recall", "balanced_accuracy")
"""The measures that depend on the threshold."""
MEASURED = (*AT_THRESHOLD, "calibration_error")

Components = NDArray[np.int64]


@dataclass(frozen=True)
class OwnConfig:
    """One calibration."""

    model: str
    """Model folder or URL, or `shipped`."""
    out: str
    """Folder or URL of the new model: new or empty."""
    false_alarm_rate: float | None = None
    """Part of the sound tiles that may be called cracked; None takes the threshold with the highest F1."""
    resampling: Bootstrap = field(default_factory=Bootstrap)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)

    def __post_init__(self) -> None:
        """Check the range."""
        if self.false_alarm_rate is not None and not 0 < self.false_alarm_rate < 1:
            raise UsageError(f"--false-alarms is {self.false_alarm_rate:g}; expected a number between 0 and 1.")


class Point(NamedTuple):
    """What a fit says."""

    calibration: Calibration
    threshold: float


class Change(NamedTuple):
    """A measure on tiles of photos that the fit has not seen; None where it is not defined."""

    before: float | None
    after: float | None
    before_interval: tuple[float, float] | None
    """95 %, from resampled photos."""
    after_interval: tuple[float, float] | None
    gain_interval: tuple[float, float] | None
    """Of how much higher it is after."""


@dataclass(frozen=True)
class Calibrated:
    """A model with another calibration."""

    url: str
    """Canonical URL of its folder."""
    old: Card
    card: Card
    tiles: int
    cracked: int
    photos: int
    changes: Mapping[str, Change]
    """By measure, those of `MEASURED`."""
    is_photo_fitted: bool
    """Whether the photos' bias is fitted too, and not moved along."""
    failures: Mapping[str, str]
    """Reasons by name for tiles that have no score."""


def calibrate(
    tiles: LabelledTiles,
    config: OwnConfig,
    crack_scores: CrackScores,
    readme: Readme,
    on_progress: OnProgress = no_progress,
) -> Calibrated:
    """Fit the calibration of a model to labelled tiles, and write the model with it into another folder.

    Args:
        tiles: the user's own, which the model has not learnt from.
        config: the models and the fit.
        crack_scores: scores tiles by URL, as `scoring.predict.predict_scores` does.
        readme: writes the README.
        on_progress: takes the number of tiles done and their total.

    Raises:
        UsageError: there is no model, it has learnt from the tiles, the folder holds something, or there are too few
            tiles, photos, or tiles of a class.
        ModelError: the model is damaged.
        CrackscanError: no tile has a score.
    """
    refuse_credentials([("MODEL", config.model), ("--out", config.out)])
    old, out = model.load_model(config.model), _check_out(config)
    _check_unseen(old.card, tiles)
    check_enough(tiles.labels, tiles.groups, config.false_alarm_rate)
    found = score_tiles(tiles, out, lambda files: crack_scores(files, config.model, config.cluster, on_progress))
    check_enough(found.tiles.labels, found.tiles.groups, config.false_alarm_rate)
    sample = Sample(_raw_logits(found.scores, old.card.calibration), found.tiles.labels)
    components = find_components(found.tiles.groups, group_duplicates(compute_descriptors(found.tiles)))
    folds = assign_folds(found.tiles, components, FOLDS, SEED)
    now = Point(old.card.calibration, old.card.threshold)
    changes = compare(sample, components, now, _score_held_out(sample, folds, config), config.resampling)
    point = fit(sample, config.false_alarm_rate)
    photo = None if old.card.photo is None else fit_photo(sample, found.tiles.groups, (now, point), old.card.photo)
    photos = len(np.unique(components))
    card = _make_card(old, found.tiles, point, photo, _list_metrics(changes, len(found.tiles), photos))
    written = model.save_model(out, Model(out, card, old.weights, old.int8), readme)
    is_fitted = photo is not None and _has_photo(sample)
    cracked = int(sample.labels.sum())
    return Calibrated(
        out, old.card, written.card, len(found.tiles), cracked, photos, changes, is_fitted, found.failures
    )


def check_enough(labels: Bools, groups: Sequence[str], false_alarm_rate: float | None) -> None:
    """Refuse tiles that are too few to say anything.

    Raises:
        UsageError: says what is missing.
    """
    photos, cracked = len(set(groups)), int(labels.sum())
    sound = len(labels) - cracked
    least_sound = LEAST_OF_CLASS if false_alarm_rate is None else max(LEAST_OF_CLASS, math.ceil(1 / false_alarm_rate))
    short = [
        f"{count_of(found, noun)}; expected at least {least}"
        for found, noun, least in (
            (len(labels), "labelled tile", LEAST_TILES),
            (photos, "photo", LEAST_PHOTOS),
            (cracked, "cracked tile", LEAST_OF_CLASS),
            (sound, "sound tile", least_sound),
        )
        if found < least
    ]
    if short:
        raise UsageError(
            f"There are {'; and '.join(short)}. A calibration on fewer would follow chance: label more tiles, of other "
            "photos, such as `crackscan review` chooses."
        )


def fit(sample: Sample, false_alarm_rate: float | None) -> Point:
    """Fit calibration and threshold to tiles of both classes by the rule above."""
    calibration = fit_across([sample])
    if false_alarm_rate is not None:
        return Point(calibration, threshold_for([sample], calibration, false_alarm_rate))
    return Point(calibration, best_threshold(sample.labels, scores_of(sample, calibration)))


def best_threshold(labels: Bools, scores: Floats) -> float:
    """Return the threshold with the highest F1, midway between two scores; the higher one of two as good.

    Shapes: (n,) and (n,), with at least one cracked tile.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, found = scores[order], np.cumsum(labels[order])
    ends = np.flatnonzero(np.append(np.diff(ranked) != 0, [True]))  # a threshold cannot divide equal scores
    best = int(ends[np.argmax(2 * found[ends] / (ends + 1 + labels.sum()))])
    high, low = float(ranked[best]), float(ranked[best + 1]) if best + 1 < len(ranked) else 0.0
    if low == 0:
        return math.floor(high * 1e6) / 1e6
    middle = round(1 / (1 + math.exp(-(_logit(low) + _logit(high)) / 2)), 6)
    return middle if low < middle <= high else high


def fit_photo(
    sample: Sample, pictures: Sequence[str], points: tuple[Point, Point], photo: PhotoCalibration
) -> PhotoCalibration:
    """Fit the bias of photos, or move it along, by the rule above; the other weights stay.

    Args:
        sample: the tiles.
        pictures: the photo of each tile.
        points: of the old model and of the new one.
        photo: of the old model.
    """
    weights = np.array([photo.evidence, photo.background])
    old, new = (draw_photos(sample, pictures, point.calibration, GRIDS[-1:]) for point in points)
    sound = ~new.labels
    before, after = old.facts[sound, :2] @ weights, new.facts[sound, :2] @ weights
    lines = [float(logits_of(np.array([point.threshold], np.float32))[0]) for point in points]
    if _has_photo(sample):
        bias = lines[1] - float(np.quantile(after, 1 - FLAGGED_SOUND))
    else:
        bias = photo.bias + (lines[1] - lines[0]) - float(np.median(after - before))
    return replace(photo, bias=round(bias, 4))


def compare(
    sample: Sample, photos: Components, now: Point, held_out: tuple[Floats, Floats], resampling: Bootstrap
) -> dict[str, Change]:
    """Compare the old point with fits to other photos, on the tiles that have such a fit.

    Args:
        sample: the tiles.
        photos: which tiles belong together.
        now: the old point.
        held_out: logit and margin of each tile by a fit to other photos; NaN without any.
        resampling: how to compute intervals.
    """
    known = ~np.isnan(held_out[0])
    labels, groups = sample.labels[known], [*map(str, photos[known])]
    logits = _calibrate(sample.logits[known], now.calibration)
    share = float(labels.mean())
    margins = (_sigmoid(logits - _logit(now.threshold)), _sigmoid(held_out[1][known]))
    chances = (_at_share(logits, share), _at_share(held_out[0][known], share))
    found = _compare(labels, margins, groups, resampling)
    errors = _compare(labels, chances, groups, resampling)
    return {name: found[name] for name in AT_THRESHOLD} | {"calibration_error": errors["calibration_error"]}


def _compare(
    labels: Bools, pair: tuple[Floats, Floats], groups: Sequence[str], resampling: Bootstrap
) -> dict[str, Change]:
    gains = bootstrap_differences(labels, pair, groups, 0.5, resampling)
    before, after = (measure(labels, each, 0.5) for each in pair)
    of_before, of_after = (bootstrap(labels, each, groups, 0.5, resampling) for each in pair)
    return {
        name: Change(getattr(before, name), getattr(after, name), of_before[name], of_after[name], gains[name])
        for name in MEASURED
    }


def _score_held_out(sample: Sample, folds: Components, config: OwnConfig) -> tuple[Floats, Floats]:
    """Return for each tile its logit by a fit to the other folds, and how far that is over the threshold of that fit.

    Returns:
        NaN for the tiles of a fold whose other folds have one class only, from which nothing can be told.

    Shape: (n,) each.
    """
    logits, margins = (np.full(len(sample.labels), np.nan) for _ in range(2))
    for fold in np.unique(folds):
        held = folds == fold
        others = Sample(sample.logits[~held], sample.labels[~held])
        if 0 < others.labels.sum() < len(others.labels):
            point = fit(others, config.false_alarm_rate)
            logits[held] = _calibrate(sample.logits[held], point.calibration)
            margins[held] = logits[held] - _logit(point.threshold)
    return logits, margins


def _has_photo(sample: Sample) -> bool:
    return int((~sample.labels).sum()) >= LEAST_SOUND


def _raw_logits(scores: NDArray[np.float32], calibration: Calibration) -> NDArray[np.float32]:
    """Return the logits of the network, with the places of its dense head, from its scores."""
    return ((logits_of(scores) - calibration.bias) * calibration.temperature).astype(np.float32)


def _calibrate(logits: NDArray[np.float32], calibration: Calibration) -> Floats:
    calibrated: Floats = logits.astype(np.float64) / calibration.temperature + calibration.bias
    return calibrated


def _at_share(logits: Floats, share: float) -> Floats:
    """Return the probabilities where this part of the tiles is cracked; see `calibration`."""
    return _sigmoid(logits + _logit(share))


def _sigmoid(logits: Floats) -> Floats:
    with np.errstate(over="ignore"):
        found: Floats = 1 / (1 + np.exp(-logits))
    return found


def _logit(score: float) -> float:
    if not 0 < score < 1:
        return math.inf if score >= 1 else -math.inf
    return math.log(score) - math.log1p(-score)


def _check_out(config: OwnConfig) -> str:
    """Refuse a folder that holds anything but what an interrupted call left; return its canonical URL."""
    out = storage.canonical(config.out)
    check_folder(out)
    others = [file.path for file in (storage.list_files(out) if storage.exists(out) else [])]
    others = [path for path in others if not path.startswith(f"{CROPS}/")]
    if others:
        raise UsageError(f"{out} is not empty: it holds {others[0]}. Give --out a new folder.")
    return out


def _check_unseen(card: Card, tiles: LabelledTiles) -> None:
    """Refuse tiles that a model has learnt from: its scores of them are better than those of others.

    Raises:
        UsageError: names them.
    """
    known = {source.name for source in card.data if source.role not in {"validation", ROLE}}
    if seen := [place for place in dict.fromkeys(tiles.sources) if _shorten(place) in known]:
        raise UsageError(
            f"The model has learnt from {seen[0]} already, as its card says. Give labels that it has not seen, or "
            "rename the folder if it is another one."
        )


def _shorten(place: str) -> str:
    """Name a place as cards do, by its last two parts, which say nothing about the machine."""
    return "/".join([part for part in place.rstrip("/").split("/") if part not in {"", ".", ".."}][-2:])


def _make_card(
    old: Model, tiles: LabelledTiles, point: Point, photo: PhotoCalibration | None, metrics: Mapping[str, Value]
) -> Card:
    """Describe the new model: all but the calibration is the old one's. An earlier calibration of this kind goes."""
    kept = {name: value for name, value in old.card.metrics.items() if not name.startswith(PREFIX)}
    sources = np.array(tiles.sources)
    own = [
        DataSource(
            _shorten(place), ROLE, int((sources == place).sum()), int(tiles.labels[sources == place].sum()), None, None
        )
        for place in dict.fromkeys(tiles.sources)
    ]
    return replace(
        old.card,
        calibration=point.calibration,
        threshold=point.threshold,
        photo=photo,
        metrics=kept | dict(metrics),
        data=(*(source for source in old.card.data if source.role != ROLE), *own),
        training=dict(old.card.training) | {"calibrated_from": old.model_id, "calibrated_with": __version__},
    )


def _list_metrics(changes: Mapping[str, Change], tiles: int, photos: int) -> dict[str, Value]:
    found: dict[str, Value] = {f"{PREFIX}tiles": tiles, f"{PREFIX}photos": photos}
    for name, change in changes.items():
        low, high = change.gain_interval or (None, None)
        found |= {f"{PREFIX}{name}/before": change.before, f"{PREFIX}{name}/after": change.after}
        found |= {f"{PREFIX}{name}/gain_low": low, f"{PREFIX}{name}/gain_high": high}
    return found
