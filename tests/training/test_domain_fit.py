"""The fit of the domain score, and that it tells concrete from everything else."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib import cbook
from numpy.typing import NDArray
from PIL import Image

from pipeline.images.tiles import TileSpec, cut, grid
from pipeline.labels.labelled_tiles import LabelledTiles
from pipeline.models import backbones
from pipeline.models.backbones import DEFAULT_BACKBONE
from pipeline.models.batching import DOMAIN
from pipeline.models.model import SHIPPED_MODEL, Model, load_card, load_model
from pipeline.models.network import encode_weights
from pipeline.models.torch_engine import TorchEngine
from pipeline.scoring.scorer import photo_domain_score
from pipeline.synthetic.drawing import draw_photo
from pipeline.training import domain_fit
from pipeline.training.config import Hyperparameters
from pipeline.training.loop import TrainingTask
from tests import ROOT
from tests.helpers.out_of_domain_photos import OUT_OF_DOMAIN

METU = ROOT.parent / "shared" / "data" / "metu_tiles" / "val"
SMALL = "test_efficientnet.r160_in1k"
"""The smallest network of timm: 0.4 million parameters."""


def tiles(folder: Path, pictures: Sequence[NDArray[np.uint8]], groups: Sequence[str] | None = None) -> LabelledTiles:
    """Write tiles, every other one labelled cracked."""
    for number, pixels in enumerate(pictures):
        Image.fromarray(pixels).save(folder / f"{number:03d}.png")
    urls = tuple(f"file://{folder}/{number:03d}.png" for number in range(len(pictures)))
    labels = np.arange(len(pictures)) % 2 == 0
    return LabelledTiles(urls, labels, tuple(groups or urls), ("tiles",) * len(urls), (None,) * len(urls))


@pytest.fixture
def task(tmp_path: Path) -> TrainingTask:
    """A task of noise tiles for a small network with random weights."""
    random = np.random.default_rng(0)
    listed = tiles(tmp_path, [random.integers(0, 256, (32, 32, 3), np.uint8) for _ in range(10)])
    torch.manual_seed(0)
    backbone = replace(backbones.load(SMALL, "none"), tile_px=32)
    return TrainingTask(backbone, listed, listed, Hyperparameters())


def test_every_tile_is_seen_twice_and_the_fit_repeats_exactly(task: TrainingTask) -> None:
    """The fit sees each tile as it is and changed; the same task and weights give the same numbers to the last bit."""
    reported: list[tuple[int, int]] = []
    weights = task.backbone.network.state_dict()

    first = domain_fit.fit_domain(task, weights, lambda *now: reported.append(now))
    again = domain_fit.fit_domain(task, weights, lambda *_: None)

    assert reported == [(10, 20), (20, 20)]
    assert first.threshold == again.threshold > 0
    assert torch.equal(first.domain.whitening, again.domain.whitening)


def test_the_fit_sees_at_most_max_tiles(task: TrainingTask) -> None:
    """A large training set takes no longer than a small one."""
    reported: list[tuple[int, int]] = []
    domain_fit.fit_domain(task, task.backbone.network.state_dict(), lambda *now: reported.append(now), max_tiles=4)
    assert reported[-1] == (8, 8)


def test_clutter_is_not_seen(task: TrainingTask, tmp_path: Path) -> None:
    """What is no concrete must stay unlike the training tiles: with it in the training, the domain is the same."""
    (tmp_path / "plants").mkdir()
    plants = tiles(tmp_path / "plants", [np.full((32, 32, 3), 9, np.uint8)] * 4)
    concrete = task.training
    both = LabelledTiles(
        concrete.urls + plants.urls,
        np.append(concrete.labels, np.zeros(4, np.bool_)),
        concrete.groups + plants.groups,
        concrete.sources + ("plants",) * 4,
        concrete.boxes + plants.boxes,
        clutter=frozenset({"plants"}),
    )
    weights = task.backbone.network.state_dict()
    alone, beside = (
        domain_fit.fit_domain(replace(task, training=training), weights, lambda *_: None).domain
        for training in (concrete, both)
    )
    assert torch.equal(alone.whitening, beside.whitening)


def test_tiles_of_one_photo_are_on_one_side() -> None:
    """No photo has tiles in both halves, unless there is only one photo."""
    halves = domain_fit.split_in_halves(["a", "b", "a", "c", "b"])
    assert halves.tolist() == [True, False, True, True, False]
    assert domain_fit.split_in_halves(["a", "a", "a"]).tolist() == [True, False, True]


def concrete(seed: int, side_px: int = 224) -> NDArray[np.uint8]:
    """Draw concrete, cracked where the seed is odd."""
    return draw_photo(side_px, side_px, seed, cracked=seed % 2 == 1).pixels


@pytest.mark.ray
def test_photos_without_concrete_are_out_of_domain(tmp_path: Path) -> None:
    """Sky, leaves, grass, print, noise and even colour reach the threshold; other concrete does not."""
    listed = tiles(tmp_path, [concrete(seed) for seed in range(60)])
    backbone = backbones.load(DEFAULT_BACKBONE)
    task = TrainingTask(backbone, listed, listed, Hyperparameters())
    fitted = domain_fit.fit_domain(task, backbone.network.state_dict(), lambda *_: None)
    weights = encode_weights(backbone.network.state_dict() | fitted.domain.tensors())
    card = replace(load_card(SHIPPED_MODEL), domain_threshold=fitted.threshold, dense_stride=None, places=None)

    is_out_of_domain = make_judge(Model("file:///model", card, weights))

    assert [name for name, photo in OUT_OF_DOMAIN.items() if not is_out_of_domain(photo)] == []
    assert not any(is_out_of_domain(concrete(seed)) for seed in range(100, 120))


@pytest.mark.ray
def test_the_shipped_model_knows_concrete() -> None:
    """A portrait, leaves and the rest are out of its domain; photos of concrete are not."""
    is_out_of_domain = make_judge(load_model(SHIPPED_MODEL))
    portrait = cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    photos = OUT_OF_DOMAIN | {"portrait": np.asarray(Image.open(str(portrait)).convert("RGB"))}
    assert [name for name, photo in photos.items() if not is_out_of_domain(photo)] == []
    if not METU.is_dir():
        pytest.skip("needs the METU tiles in ../shared/data for the other half")
    held_out = sorted(METU.glob("*/*.jpg"))[::20]
    assert (
        sum(is_out_of_domain(np.asarray(Image.open(path).convert("RGB"))) for path in held_out) <= len(held_out) // 50
    )


def make_judge(model: Model) -> Callable[[NDArray[np.uint8]], bool]:
    """Return a function that tells whether a photo is out of a model's domain, as `score` does."""
    threshold, spec = model.card.domain_threshold, TileSpec(model.card.tile_px, 0.0)
    assert threshold is not None
    engine = TorchEngine(model, "cpu")

    def is_out_of_domain(photo: NDArray[np.uint8]) -> bool:
        height_px, width_px = photo.shape[:2]
        scores = np.asarray(engine(cut(photo, grid(height_px, width_px, spec), spec.tile_px)))
        found = photo_domain_score(scores[:, DOMAIN])
        return found is not None and found >= threshold

    return is_out_of_domain
