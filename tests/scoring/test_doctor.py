"""The doctor's round: every check once, and what it says of a sound and of a broken machine."""

from pathlib import Path

import pytest

from pipeline import storage
from pipeline.models.model import SHIPPED_MODEL
from pipeline.scoring import doctor

SUBJECTS = ["Python", "packages", "CPU", "memory", "GPU", "object store", "temporary folder", "this folder", "Pillow",
            "model", "Ray"]  # fmt: skip


def test_every_check_comes_once(tmp_path: Path) -> None:
    """In the order of need, then each storage that was named; the machine of the tests passes."""
    found = list(doctor.run_checks([str(tmp_path), str(tmp_path / "new")]))
    assert [finding.subject for finding in found] == [*SUBJECTS, "storage", "storage"]
    assert {finding.state for finding in found} <= {"ok", "warning"}


def test_a_damaged_model_fails(tmp_path: Path) -> None:
    """The checksum is compared with the card's."""
    for file in storage.list_files(SHIPPED_MODEL):
        storage.write_whole(storage.join(str(tmp_path), file.path), storage.read_bytes(file.url))
    assert doctor._model(str(tmp_path)).state == "ok"
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    damaged = doctor._model(str(tmp_path))
    assert (damaged.state, damaged.advice) == ("failed", doctor.AGAIN)
    assert "is damaged: its SHA-256 begins with" in damaged.found


def test_a_photo_that_is_not_scored_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the run says of it is told."""
    monkeypatch.setattr(
        "pipeline.scoring.predict.predict_scores", lambda urls, *_: ({}, {urls[0]: "The photo is damaged."})
    )
    assert doctor._ray()[1:3] == ("failed", "it scored no photo: The photo is damaged.")


@pytest.mark.ray
def test_ray_is_started_scores_a_photo_and_is_stopped() -> None:
    """A real Ray of one CPU with the shipped model; none is left afterwards."""
    import ray

    found = doctor._ray()
    assert (found.state, found.found.partition(",")[0]) == ("ok", "started")
    assert not ray.is_initialized()
