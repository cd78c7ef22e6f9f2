"""Scores of single photos, without a dataset."""

from contextlib import nullcontext
from pathlib import Path

import pytest

from pipeline import storage
from pipeline.cluster.session import ClusterConfig
from pipeline.models.model import SHIPPED_MODEL
from pipeline.scoring import predict
from pipeline.scoring.predict import predict_scores

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_of_two")]


def test_single_photos_are_scored_without_a_dataset(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`predict_scores` gives the highest tile score, and the reason where a photo fails."""
    monkeypatch.setattr(predict, "session", lambda _config: nullcontext())
    (tmp_path / "bad.jpg").write_bytes(b"no photo")
    urls = [storage.canonical(str(photos / "photo-01.jpg")), storage.canonical(str(tmp_path / "bad.jpg"))]
    told: list[tuple[int, int]] = []
    scores, failures = predict_scores(urls, SHIPPED_MODEL, ClusterConfig(), lambda *now: told.append(now))
    assert scores.keys() == {urls[0]}
    assert 0 < scores[urls[0]] < 1
    assert failures.keys() == {urls[1]}
    assert told[-1] == (2, 2)
