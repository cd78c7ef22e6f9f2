"""Scores of single photos, without a dataset."""

from pathlib import Path

import pytest

from pipeline import storage
from pipeline.cluster.session import ClusterConfig
from pipeline.models.model import SHIPPED_MODEL
from pipeline.scoring.predict import predict_scores

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_of_two")]


def test_single_photos_are_scored_without_a_dataset(photos: Path, tmp_path: Path) -> None:
    """`predict_scores` returns the crack score of each photo, and the reason for each that failed."""
    (tmp_path / "bad.jpg").write_bytes(b"no photo")
    urls = [storage.canonical(str(photos / "photo-01.jpg")), storage.canonical(str(tmp_path / "bad.jpg"))]
    calls: list[tuple[int, int]] = []
    scores, failures = predict_scores(urls, SHIPPED_MODEL, ClusterConfig(), lambda *now: calls.append(now))
    assert scores.keys() == {urls[0]}
    assert 0 < scores[urls[0]] < 1
    assert failures.keys() == {urls[1]}
    assert calls[-1] == (2, 2)
