"""The doctor checks everything once, and reports what is broken."""

from pathlib import Path

import pytest

from pipeline import storage
from pipeline.models.model import SHIPPED_MODEL
from pipeline.scoring.doctor import REINSTALL, check_model, check_ray, run_checks

SUBJECTS = ["Python", "packages", "CPU", "memory", "GPU", "object store", "temporary folder", "this folder", "Pillow",
            "model", "Ray"]  # fmt: skip


def test_the_doctor_runs_every_check_once(tmp_path: Path) -> None:
    """In the order of need, then each named storage; the machine of the tests passes."""
    found = list(run_checks([str(tmp_path), str(tmp_path / "new")]))
    assert [finding.subject for finding in found] == [*SUBJECTS, "storage", "storage"]
    assert {finding.state for finding in found} <= {"ok", "warning"}


def test_a_damaged_model_fails(tmp_path: Path) -> None:
    """Its checksum differs from its card's."""
    for file in storage.list_files(SHIPPED_MODEL):
        storage.write_whole(storage.join(str(tmp_path), file.path), storage.read_bytes(file.url))
    assert check_model(str(tmp_path)).state == "ok"
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    damaged = check_model(str(tmp_path))
    assert (damaged.state, damaged.advice) == ("failed", REINSTALL)
    assert "is damaged: its SHA-256 begins with" in damaged.found


def test_a_photo_without_a_score_fails() -> None:
    """The finding contains the failure of the photo."""
    found = check_ray(lambda urls, *_: ({}, {urls[0]: "The photo is damaged."}))
    assert found[1:3] == ("failed", "it scored no photo: The photo is damaged.")


@pytest.mark.ray
def test_ray_starts_scores_a_photo_and_stops() -> None:
    """A real Ray of one CPU with the shipped model; afterwards no Ray is left."""
    import ray

    found = check_ray()
    assert (found.state, found.found.partition(",")[0]) == ("ok", "started")
    assert not ray.is_initialized()
