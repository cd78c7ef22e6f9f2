"""A training on Ray Train: its run id and its workers."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.core.errors import UsageError
from pipeline.labels.boxes import Box
from pipeline.labels.labelled_tiles import LabelledTiles
from pipeline.training.config import TrainConfig
from pipeline.training.ray_trainer import choose_scaling, compute_run_id, count_parallel_trials, load_backbone

CONFIG = TrainConfig(("tiles",), "model")
URLS = ("file:///a.png", "file:///b.png")
TILES = LabelledTiles(URLS, np.array([True, False]), URLS, ("tiles",) * 2, (None, None))


def test_workers_follow_the_machine() -> None:
    """The default is one worker per GPU, else one per CPU, but each has four tiles of a batch or more."""
    assert choose_scaling(CONFIG, {"CPU": 2.0})[0] == 2
    assert choose_scaling(CONFIG, {"CPU": 64.0})[0] == 8
    workers, scaling = choose_scaling(CONFIG, {"CPU": 64.0, "GPU": 4.0})
    assert (workers, scaling.use_gpu) == (4, True)
    assert not choose_scaling(replace(CONFIG, device="cpu"), {"CPU": 4.0, "GPU": 4.0})[1].use_gpu


@pytest.mark.parametrize("cpus", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_workers_fit_into_the_cpus_there_are(cpus: float, workers: int) -> None:
    """Workers share CPUs if there are more of them, so that they never wait for CPUs that do not exist."""
    _, scaling = choose_scaling(replace(CONFIG, workers=workers), {"CPU": cpus})
    assert isinstance(scaling.resources_per_worker, dict)
    assert workers * float(dict(scaling.resources_per_worker)["CPU"]) <= cpus


def test_workers_that_cannot_work_are_refused() -> None:
    """--device cuda without a GPU, and more workers than tiles in a batch, raise UsageError."""
    with pytest.raises(UsageError, match="--device cuda was asked for, and Ray has no GPU"):
        choose_scaling(replace(CONFIG, device="cuda"), {"CPU": 2.0})
    with pytest.raises(UsageError, match="33 workers cannot share a batch of 32 tiles"):
        choose_scaling(replace(CONFIG, workers=33), {"CPU": 2.0})


def test_as_many_trials_run_as_there_are_devices() -> None:
    """As many trials run as there are CPUs, or GPUs if they are used; on a Ray of half a CPU, one."""
    one = replace(CONFIG, workers=1)
    for found, expected in (({"CPU": 4.0}, 4), ({"CPU": 16.0, "GPU": 2.0}, 2), ({"CPU": 0.5}, 1)):
        assert count_parallel_trials(choose_scaling(one, found)[1], found) == expected


def test_a_run_id_depends_on_what_moves_the_result() -> None:
    """Labels, boxes, settings and validation tiles change the run id; workers and output folders do not."""
    name = compute_run_id(CONFIG, TILES, None)
    assert compute_run_id(replace(CONFIG, workers=2, out="elsewhere", storage="else"), TILES, None) == name
    boxed = replace(TILES, boxes=(Box(0, 0, 9, 9), None))
    others = {
        compute_run_id(CONFIG, replace(TILES, labels=~TILES.labels), None),
        compute_run_id(CONFIG, boxed, None),
        compute_run_id(CONFIG, TILES, TILES),
        compute_run_id(replace(CONFIG, hyperparameters=replace(CONFIG.hyperparameters, seed=1)), TILES, None),
        compute_run_id(replace(CONFIG, backbone="other"), TILES, None),
    }
    assert len(others - {name}) == 5


def test_random_weights_depend_on_the_seed_only() -> None:
    """The same seed draws the same weights, another seed draws others."""
    config = replace(CONFIG, backbone="test_efficientnet.r160_in1k", weights="none")
    other = replace(config, hyperparameters=replace(config.hyperparameters, seed=1))
    first, again, third = (
        next(load_backbone(given).network.parameters()).detach().numpy() for given in (config, config, other)
    )
    assert (first == again).all()
    assert (first != third).any()
