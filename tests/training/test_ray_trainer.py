"""One fine-tuning on Ray Train: what it is called, and who works on it."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.core.errors import UsageError
from pipeline.labels.boxes import Box
from pipeline.labels.labelled_tiles import LabelledTiles
from pipeline.training.config import TrainConfig
from pipeline.training.ray_trainer import parallel_trials, run_id, scaling_config, starting_point

CONFIG = TrainConfig(("tiles",), "model")
URLS = ("file:///a.png", "file:///b.png")
TILES = LabelledTiles(URLS, np.array([True, False]), URLS, ("tiles",) * 2, (None, None))


def test_workers_follow_the_machine() -> None:
    """By default one worker a GPU, else one a CPU, but none with less than four tiles of a batch."""
    assert scaling_config(CONFIG, {"CPU": 2.0})[0] == 2
    assert scaling_config(CONFIG, {"CPU": 64.0})[0] == 8
    workers, scaling = scaling_config(CONFIG, {"CPU": 64.0, "GPU": 4.0})
    assert (workers, scaling.use_gpu) == (4, True)
    assert not scaling_config(replace(CONFIG, device="cpu"), {"CPU": 4.0, "GPU": 4.0})[1].use_gpu


@pytest.mark.parametrize("cpus", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_workers_fit_into_the_cpus_there_are(cpus: float, workers: int) -> None:
    """More workers than CPUs share them: they never wait for CPUs that nobody has."""
    _, scaling = scaling_config(replace(CONFIG, workers=workers), {"CPU": cpus})
    assert isinstance(scaling.resources_per_worker, dict)
    assert workers * float(dict(scaling.resources_per_worker)["CPU"]) <= cpus


def test_workers_that_cannot_work_are_refused() -> None:
    """No GPU for --device cuda, and more workers than tiles in a batch, are wrong usage."""
    with pytest.raises(UsageError, match="--device cuda was asked for, and Ray has no GPU"):
        scaling_config(replace(CONFIG, device="cuda"), {"CPU": 2.0})
    with pytest.raises(UsageError, match="33 workers cannot share a batch of 32 tiles"):
        scaling_config(replace(CONFIG, workers=33), {"CPU": 2.0})


def test_trials_have_room_side_by_side() -> None:
    """One worker each: as many as CPUs, or GPUs where they are used, and one on a Ray of half a CPU."""
    one = replace(CONFIG, workers=1)
    for found, expected in (({"CPU": 4.0}, 4), ({"CPU": 16.0, "GPU": 2.0}, 2), ({"CPU": 0.5}, 1)):
        assert parallel_trials(scaling_config(one, found)[1], found) == expected


def test_a_run_is_named_by_what_moves_its_result() -> None:
    """Labels, boxes, settings and validation tiles give another name; workers and places for results do not."""
    name = run_id(CONFIG, TILES, None)
    assert run_id(replace(CONFIG, workers=2, out="elsewhere", storage="else"), TILES, None) == name
    boxed = replace(TILES, boxes=(Box(0, 0, 9, 9), None))
    others = {
        run_id(CONFIG, replace(TILES, labels=~TILES.labels), None),
        run_id(CONFIG, boxed, None),
        run_id(CONFIG, TILES, TILES),
        run_id(replace(CONFIG, training=replace(CONFIG.training, seed=1)), TILES, None),
        run_id(replace(CONFIG, backbone="other"), TILES, None),
    }
    assert len(others - {name}) == 5


def test_what_was_never_trained_depends_on_the_seed_alone() -> None:
    """The same seed draws the same weights, another seed others."""
    config = replace(CONFIG, backbone="test_efficientnet.r160_in1k", weights="none")
    other = replace(config, training=replace(config.training, seed=1))
    first, again, third = (
        next(starting_point(given).network.parameters()).detach().numpy() for given in (config, config, other)
    )
    assert (first == again).all()
    assert (first != third).any()
