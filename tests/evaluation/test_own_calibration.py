"""A calibration on labels of one's own: what is fitted, what the figures say, and when it is refused."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.cluster.session import ClusterConfig
from pipeline.core.errors import UsageError
from pipeline.core.progress import OnProgress
from pipeline.evaluation.bootstrap import Bootstrap
from pipeline.evaluation.calibration import Sample, rates_at
from pipeline.evaluation.metrics import measure
from pipeline.evaluation.own_calibration import (
    LEAST_SOUND,
    Calibrated,
    OwnConfig,
    Point,
    best_threshold,
    calibrate,
    check_enough,
    compare,
    fit,
    fit_photo,
)
from pipeline.evaluation.photo_calibration import FLAGGED_SOUND, GRIDS, draw_photos
from pipeline.labels.labelled_tiles import LabelledTiles, read_labelled_tiles
from pipeline.models import model
from pipeline.models.card import Calibration, DataSource, PhotoCalibration
from pipeline.models.model import SHIPPED_MODEL, Model
from pipeline.training.model_readme import render_readme

SHIFT = 2.0
"""How much too low the logits of `draw_sample` are."""
QUICK = Bootstrap(50)
LEVELS_A_LOGIT = 40
"""Grey levels of a logit in `grey_scores`, where 128 is 0."""


def draw_sample(tiles: int = 400, seed: int = 0) -> Sample:
    """Tiles whose probability of a crack at even odds is that of their logit plus `SHIFT`, half of them cracked."""
    random = np.random.default_rng(seed)
    labels = np.arange(tiles) % 2 == 1
    return Sample(random.normal(np.where(labels, 1.0, -1.0) * 2, 2).astype(np.float32) - np.float32(SHIFT), labels)


def test_the_shift_of_the_logits_is_found() -> None:
    """Normal logits of ± 2 with a deviation of 2 are calibrated as they are, but for the shift."""
    found = fit(draw_sample(4000), None)
    assert found.calibration.temperature == pytest.approx(1, abs=0.1)
    assert found.calibration.bias == pytest.approx(SHIFT, abs=0.15)
    assert found.threshold == pytest.approx(0.5, abs=0.12)


def test_a_part_of_false_alarms_sets_the_threshold() -> None:
    """No more than this part of the sound tiles is called cracked."""
    sample = draw_sample()
    found = fit(sample, 0.05)
    assert 0.03 < rates_at([sample], found.calibration, found.threshold).false_alarm_rate <= 0.05


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 99)), min_size=2, max_size=30))
def test_no_threshold_has_a_higher_f1(tiles: list[tuple[bool, int]]) -> None:
    """Whatever the scores."""
    labels = np.array([label for label, _ in tiles] + [True])
    scores = np.array([score / 100 for _, score in tiles] + [0.5])
    best = measure(labels, scores, best_threshold(labels, scores)).f1
    assert best == max(measure(labels, scores, each).f1 or 0.0 for each in {*scores.tolist(), 1.0})


def test_the_threshold_lies_between_two_scores() -> None:
    """Midway in log-odds, so that a new tile near one of them is on its side."""
    scores = np.array([0.9, 0.8, 0.2, 0.1])
    assert best_threshold(np.array([True, True, False, False]), scores) == pytest.approx(0.5)
    assert best_threshold(np.ones(2, np.bool_), scores[:2]) <= 0.8


def test_figures_before_and_after() -> None:
    """A threshold that calls nothing cracked has a recall of 0; at the right one all is found."""
    labels = np.arange(40) % 2 == 1
    logits = np.where(labels, 1.0, -1.0).astype(np.float32) - 3
    photos = np.arange(40) // 2
    held_out = logits.astype(np.float64) + 3, logits.astype(np.float64) + 3
    changes = compare(Sample(logits, labels), photos, Point(Calibration(), 0.5), held_out, QUICK)
    assert (changes["recall"].before, changes["recall"].after) == (0, 1)
    assert changes["f1"].gain_interval == (1, 1)
    assert changes["precision"].before is None
    error = changes["calibration_error"]
    assert error.after == pytest.approx(1 - 1 / (1 + math.exp(-1)), abs=1e-6)
    assert error.before is not None
    assert error.after is not None
    assert error.before > error.after
    held_out[0][:2] = held_out[1][:2] = np.nan  # a fold whose others have one class: its tiles are left out
    assert compare(Sample(logits, labels), photos, Point(Calibration(), 0.5), held_out, QUICK)["recall"].after == 1


PHOTO = PhotoCalibration(0.6, -0.2, -3.0)


def test_the_bias_of_photos_is_fitted_to_enough_sound_tiles() -> None:
    """One sound photo in a hundred is over the threshold."""
    sample = draw_sample(2 * LEAST_SOUND)
    pictures = [f"{number}.jpg" for number in range(len(sample.labels))]
    point = fit(sample, None)
    found = fit_photo(sample, pictures, (Point(Calibration(), 0.3), point), PHOTO)
    photos = draw_photos(sample, pictures, point.calibration, GRIDS[-1:])
    assert (photos.scores(found)[~photos.labels] >= point.threshold).mean() == pytest.approx(FLAGGED_SOUND, abs=0.01)
    assert (found.evidence, found.background) == (PHOTO.evidence, PHOTO.background)


def test_the_bias_of_photos_moves_along_with_few_sound_tiles() -> None:
    """As far as the threshold; and not at all where nothing changes."""
    sample = draw_sample(60)
    pictures = [f"{number}.jpg" for number in range(60)]
    same, higher = Point(Calibration(), 0.5), Point(Calibration(), 0.6)
    assert fit_photo(sample, pictures, (same, same), PHOTO) == PHOTO
    moved = fit_photo(sample, pictures, (same, higher), PHOTO)
    assert moved.bias == pytest.approx(PHOTO.bias + math.log(0.6 / 0.4), abs=1e-3)


@pytest.mark.parametrize(
    ("cracked", "sound", "photos", "rate", "message"),
    [
        (20, 29, 49, None, "49 labelled tiles; expected at least 50"),
        (25, 25, 9, None, "9 photos; expected at least 10"),
        (9, 60, 60, None, "9 cracked tiles; expected at least 10"),
        (60, 0, 60, None, "0 sound tiles; expected at least 10"),
        (60, 99, 60, 0.01, "99 sound tiles; expected at least 100"),
        (1, 1, 1, None, "2 labelled tiles; expected at least 50; and 1 photo; expected at least 10; and 1 cracked"),
    ],
)
def test_too_few_are_refused(cracked: int, sound: int, photos: int, rate: float | None, message: str) -> None:
    """With what is missing, all of it at once."""
    labels = np.arange(cracked + sound) < cracked
    groups = [str(number % photos) for number in range(len(labels))]
    with pytest.raises(UsageError) as caught:
        check_enough(labels, groups, rate)
    assert message in str(caught.value)


def test_enough_is_enough() -> None:
    """Fifty tiles of ten photos, ten of one class."""
    check_enough(np.arange(50) < 10, [str(number % 10) for number in range(50)], None)


# The whole of it, on a model without a network


def grey_scores(
    urls: Sequence[str], name: str, cluster: ClusterConfig, on_progress: OnProgress
) -> tuple[dict[str, float], dict[str, str]]:
    """Score a tile by the grey level of its corner, calibrated as the model's card says."""
    assert cluster == ClusterConfig()
    on_progress(len(urls), len(urls))
    fitted = model.load_card(name).calibration
    levels = {url: int(np.asarray(Image.open(url.removeprefix("file://")))[0, 0, 0]) for url in urls}
    logits = {url: (level - 128) / LEVELS_A_LOGIT / fitted.temperature + fitted.bias for url, level in levels.items()}
    return {url: 1 / (1 + math.exp(-logit)) for url, logit in logits.items()}, {}


@pytest.fixture
def old(tmp_path: Path) -> Model:
    """A model with the card of the shipped one, int8 network and all."""
    shipped = model.load_model(SHIPPED_MODEL)
    training = {"weights_from": "x", "command": "crackscan train"}
    card = replace(shipped.card, calibration=Calibration(), threshold=0.5, data=(), training=training)
    return model.save_model(str(tmp_path / "old"), replace(shipped, card=card), render_readme)


@pytest.fixture
def tiles(tmp_path: Path) -> LabelledTiles:
    """Sixty tiles of different patterns; cracked ones are brighter than 90, sound ones darker than 80."""
    random = np.random.default_rng(0)
    for number in range(60):
        pixels = random.integers(0, 255, (32, 32, 3), dtype=np.uint8)
        pixels[0, 0] = 90 + number if number % 2 else 20 + number
        path = tmp_path / "own" / ("Positive" if number % 2 else "Negative") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return read_labelled_tiles([str(tmp_path / "own")])


def run(tiles: LabelledTiles, old: Model, out: Path) -> Calibrated:
    """Calibrate."""
    return calibrate(tiles, OwnConfig(old.url, str(out), None, QUICK), grey_scores, render_readme)


def test_a_calibrated_model(tiles: LabelledTiles, old: Model, tmp_path: Path) -> None:
    """It is the old one with another calibration, says so, and finds the cracks that the old one missed."""
    found = run(tiles, old, tmp_path / "new")
    new = model.load_model(str(tmp_path / "new"))
    assert (new.weights, new.int8, new.card.int8) == (old.weights, old.int8, old.card.int8)
    assert new.model_id != old.model_id
    changed = {"calibration", "threshold", "photo", "metrics", "data", "training"}
    assert {name for name in vars(new.card) if getattr(new.card, name) != getattr(old.card, name)} <= changed
    assert new.card.training["calibrated_from"] == old.model_id
    assert new.card.data == (DataSource(f"{tmp_path.name}/own", "calibration", 60, 30, None, None),)
    assert (found.tiles, found.cracked, found.photos, found.is_photo_fitted) == (60, 30, 60, False)
    f1 = found.changes["f1"]
    assert f1.before is not None
    assert f1.after is not None
    assert f1.before < 0.8 < f1.after
    assert f1.gain_interval is not None
    assert f1.gain_interval[0] > 0
    assert new.card.metrics["calibrated/f1/after"] == f1.after
    readme = (tmp_path / "new" / "README.md").read_text()
    assert f"Calibration and threshold of model {old.model_id} were fitted again to 60 tiles of 60 photos" in readme
    again = run(tiles, new, tmp_path / "again")
    assert again.card.training["calibrated_from"] == new.model_id
    assert again.card.data == new.card.data
    assert again.card.calibration.temperature == new.card.calibration.temperature


def test_what_a_model_has_learnt_from_is_refused(tiles: LabelledTiles, old: Model, tmp_path: Path) -> None:
    """Its scores of those tiles are better than those of others."""
    card = replace(old.card, data=(DataSource(f"{tmp_path.name}/own", "training", 60, 30, None, None),))
    known = model.save_model(str(tmp_path / "known"), replace(old, card=card), render_readme)
    with pytest.raises(UsageError, match=r"has learnt from .*own already"):
        run(tiles, known, tmp_path / "new")


def test_a_folder_with_files_stays(tiles: LabelledTiles, old: Model, tmp_path: Path) -> None:
    """That of the old model, above all."""
    with pytest.raises(UsageError, match=r"is not empty: it holds .*\. Give --out a new folder"):
        run(tiles, old, tmp_path / "old")
