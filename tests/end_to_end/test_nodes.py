"""Clusters of several machines: work goes to the right ones, and all of it gets done when machines come and go."""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from ray.cluster_utils import Cluster

from pipeline.cluster.session import ClusterConfig
from pipeline.dataset.verify import verify
from pipeline.images.decode import decode
from pipeline.images.tiles import TileSpec, cut, grid
from pipeline.scoring import ray_data
from pipeline.scoring.config import ScoreConfig
from pipeline.scoring.flow import score
from pipeline.scoring.placement import BatchSizes
from pipeline.scoring.progress import Progress, ScoreCallbacks
from pipeline.training import flow
from pipeline.training.progress import EpochResult
from tests import ROOT
from tests.helpers.brightness_engine import make_brightness, score_brightness
from tests.helpers.node_recorder import NOTES, make_noting_engine, read_and_note
from tests.training.test_flow import HYPERPARAMETERS, SMALL, RecordingCallbacks, config, tiles

pytestmark = pytest.mark.ray
__all__ = ["tiles"]  # a fixture

REPEATS = 5


@dataclass
class Machines:
    """A cluster: a head with one CPU, a machine with two CPUs, and one with two and a fake GPU."""

    cluster: Cluster
    notes: Path
    plain: Any
    device: Any

    def find_workers(self, work: str) -> set[str]:
        """Return the machines that did some work."""
        return {note.name.partition("-")[2] for note in self.notes.glob(f"{work}-*")}


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """Start three machines as child processes."""
    notes = tmp_path_factory.mktemp("notes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv(NOTES, str(notes))
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        try:
            yield Machines(cluster, notes, cluster.add_node(num_cpus=2), cluster.add_node(num_cpus=2, num_gpus=1))
        finally:
            cluster.shutdown()  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def archive(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a zip of sixty photos."""
    path = tmp_path_factory.mktemp("archive") / "photos.zip"
    with zipfile.ZipFile(path, "w") as copy:
        for repeat in range(REPEATS):
            for photo in photos.iterdir():
                copy.write(photo, f"{repeat}/{photo.name}")
    return path


def compute_scores(photos: Path) -> dict[str, float]:
    """Compute the crack scores by name in this process."""
    found = {}
    for photo in photos.iterdir():
        pixels = decode(photo.read_bytes()).pixels
        boxes = grid(pixels.shape[0], pixels.shape[1], TileSpec(224, 0.0))
        found[photo.name] = float(score_brightness(cut(pixels, boxes, 224))[:, 0].max())
    return found


def check(out: Path, photos: Path) -> None:
    """Check that every photo has one row with its score, and that the dataset keeps its invariants."""
    rows = pq.read_table(out / "images", columns=["image", "max_tile_score"]).to_pylist()
    scores = compute_scores(photos)
    assert {row["image"]: row["max_tile_score"] for row in rows} == {
        f"{repeat}/{name}": value for repeat in range(REPEATS) for name, value in scores.items()
    }
    assert len(rows) == REPEATS * len(scores)
    assert [check for check in verify(str(out), lambda *_: None) if check.broken] == []


def test_scorers_go_to_the_devices_and_readers_anywhere(
    machines: Machines, archive: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine without a device reads for the one with it, and scores nothing."""
    monkeypatch.setattr(ray_data, "read_measured", read_and_note)
    cluster = ClusterConfig(machines.cluster.address)
    config = ScoreConfig((str(archive),), str(tmp_path), cluster=cluster, sizes=BatchSizes(unit_photos=2))
    score(config, None, make_noting_engine)
    assert machines.find_workers("cuda") == {machines.device.node_id}
    assert machines.find_workers("cpu") == set()
    assert machines.find_workers("read") - {machines.device.node_id}
    check(tmp_path, photos)


def test_a_machine_goes_and_another_comes(machines: Machines, archive: Path, photos: Path, tmp_path: Path) -> None:
    """One goes with its scorers, readers and photos in transit, and one joins: no row is lost, none comes twice."""

    class ChangeMachines(ScoreCallbacks):
        lost = joined = False

        def on_progress(self, progress: Progress) -> None:
            if progress.tried > 5 and not self.lost:
                self.lost = True
                machines.cluster.remove_node(machines.plain, allow_graceful=False)
            if progress.tried > 20 and not self.joined:
                self.joined = True
                machines.plain = machines.cluster.add_node(num_cpus=2)

    callbacks, cluster = ChangeMachines(), ClusterConfig(machines.cluster.address)
    score(ScoreConfig((str(archive),), str(tmp_path), device="cpu", cluster=cluster), callbacks, make_brightness)
    assert (callbacks.lost, callbacks.joined) == (True, True)
    check(tmp_path, photos)


@pytest.mark.soak
def test_training_continues_with_the_remaining_workers(
    tiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers on two machines: after the first epoch one is lost; the other finishes, and no epoch repeats."""
    monkeypatch.setenv("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "15")  # until Ray believes that the machine is gone
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    lost = [cluster.add_node(num_cpus=1), cluster.add_node(num_cpus=1)][1:]

    @dataclass
    class LoseMachine(RecordingCallbacks):
        left: list[Any] = field(default_factory=lambda: lost)

        def on_epoch(self, result: EpochResult) -> None:
            super().on_epoch(result)
            if self.left:
                cluster.remove_node(self.left.pop(), allow_graceful=False)

    callbacks, hyperparameters = LoseMachine(), replace(HYPERPARAMETERS, epochs=4)
    train_config = replace(config(tiles, tmp_path / "model", workers=2), hyperparameters=hyperparameters, device="cpu")
    try:
        result = flow.train(replace(train_config, cluster=ClusterConfig(cluster.address)), callbacks)
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]
    assert callbacks.workers == 2
    assert [epoch.epoch for epoch in callbacks.epochs] == [0, 1, 2, 3, 4]
    assert result.card.architecture == SMALL
    history = pq.read_table(tmp_path / "model" / "history.parquet")
    assert history.column("epoch").to_pylist() == [0, 1, 2, 3, 4]
