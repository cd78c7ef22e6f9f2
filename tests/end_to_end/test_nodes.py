"""Clusters of several machines: where the work is done, and that all of it is, whoever comes and goes."""

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
from pipeline.scoring.progress import Progress, ScoreCallbacks
from pipeline.training import flow
from pipeline.training.progress import EpochResult
from tests import ROOT
from tests.helpers.brightness_engine import brightness, make_brightness
from tests.helpers.node_recorder import NOTES, make_noting_brightness, noting_read
from tests.training.test_flow import SMALL, TRAINING, Watched, config, tiles

pytestmark = pytest.mark.ray
__all__ = ["tiles"]  # a fixture

REPEATS = 5


@dataclass
class Machines:
    """A cluster: a head with one CPU, a machine with two, and one with two and a device that Ray takes for a GPU."""

    cluster: Cluster
    notes: Path
    plain: Any
    device: Any

    def noted(self, work: str) -> set[str]:
        """On which machines some work was done."""
        return {note.name.partition("-")[2] for note in self.notes.glob(f"{work}-*")}


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """Three machines, in processes of this one."""
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
    """A zip of sixty photos."""
    place = tmp_path_factory.mktemp("archive") / "photos.zip"
    with zipfile.ZipFile(place, "w") as copy:
        for repeat in range(REPEATS):
            for photo in photos.iterdir():
                copy.write(photo, f"{repeat}/{photo.name}")
    return place


def expected(photos: Path) -> dict[str, float]:
    """Scores by name, computed here."""
    found = {}
    for photo in photos.iterdir():
        pixels = decode(photo.read_bytes()).pixels
        boxes = grid(pixels.shape[0], pixels.shape[1], TileSpec(224, 0.0))
        found[photo.name] = float(brightness(cut(pixels, boxes, 224))[:, 0].max())
    return found


def check(out: Path, photos: Path) -> None:
    """Every photo has one row with its score, and the dataset keeps its promises."""
    rows = pq.read_table(out / "images", columns=["image", "crack_score"]).to_pylist()
    scores = expected(photos)
    assert {row["image"]: row["crack_score"] for row in rows} == {
        f"{repeat}/{name}": value for repeat in range(REPEATS) for name, value in scores.items()
    }
    assert len(rows) == REPEATS * len(scores)
    assert [promise for promise in verify(str(out), lambda *_: None) if promise.broken] == []


def test_scorers_go_to_the_devices_and_readers_anywhere(
    machines: Machines, archive: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has no device reads for the one that has, and scores nothing."""
    monkeypatch.setattr(ray_data, "read_measured", noting_read)
    monkeypatch.setattr("pipeline.scoring.reading.UNIT_PHOTOS", 2)
    where = ClusterConfig(machines.cluster.address)
    score(ScoreConfig((str(archive),), str(tmp_path), cluster=where), ScoreCallbacks(), make_noting_brightness)
    assert machines.noted("cuda") == {machines.device.node_id}
    assert machines.noted("cpu") == set()
    assert machines.noted("read") - {machines.device.node_id}
    check(tmp_path, photos)


def test_a_machine_goes_and_another_comes(machines: Machines, archive: Path, photos: Path, tmp_path: Path) -> None:
    """One is lost with its scorers, readers and photos on their way, one joins: nothing is lost, nothing twice."""

    class Changing(ScoreCallbacks):
        lost = joined = False

        def scored(self, progress: Progress) -> None:
            if progress.tried > 5 and not self.lost:
                self.lost = True
                machines.cluster.remove_node(machines.plain, allow_graceful=False)
            if progress.tried > 20 and not self.joined:
                self.joined = True
                machines.plain = machines.cluster.add_node(num_cpus=2)

    watch, where = Changing(), ClusterConfig(machines.cluster.address)
    score(ScoreConfig((str(archive),), str(tmp_path), device="cpu", cluster=where), watch, make_brightness)
    assert (watch.lost, watch.joined) == (True, True)
    check(tmp_path, photos)


@pytest.mark.soak
def test_training_goes_on_with_the_workers_that_are_left(
    tiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers on two machines, one of which is lost after the first epoch: the other finishes; no epoch twice."""
    monkeypatch.setenv("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "15")  # until Ray believes that the machine is gone
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    lost = [cluster.add_node(num_cpus=1), cluster.add_node(num_cpus=1)][1:]

    @dataclass
    class Losing(Watched):
        left: list[Any] = field(default_factory=lambda: lost)

        def on_epoch(self, result: EpochResult) -> None:
            super().on_epoch(result)
            if self.left:
                cluster.remove_node(self.left.pop(), allow_graceful=False)

    watched, training = Losing(), replace(TRAINING, epochs=4)
    settings = replace(config(tiles, tmp_path / "model", workers=2), training=training, device="cpu")
    try:
        result = flow.train(replace(settings, cluster=ClusterConfig(cluster.address)), watched)
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]
    assert watched.workers == 2
    assert [epoch.epoch for epoch in watched.epochs] == [0, 1, 2, 3, 4]
    assert result.card.architecture == SMALL
    history = pq.read_table(tmp_path / "model" / "history.parquet")
    assert history.column("epoch").to_pylist() == [0, 1, 2, 3, 4]
