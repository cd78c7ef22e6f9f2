"""Makes the int8 network of a model with NNCF's post-training quantisation, and measures its cost on held-out tiles.

`models.openvino_engine` scores with it; `models.engines` decides whether to trust it.
"""

import contextlib
import io
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline import storage
from pipeline.core.errors import CrackscanError, UsageError
from pipeline.core.progress import OnProgress, no_progress
from pipeline.core.scratch import temporary_folder
from pipeline.evaluation.metrics import measure
from pipeline.images.decode import Pixels
from pipeline.labels.label_tables import ClassNames
from pipeline.labels.labelled_tiles import LabelledTiles, compute_descriptors, read_labelled_tiles
from pipeline.labels.split import SplitRule, TrainValSplit, split
from pipeline.models import domain, openvino_graph
from pipeline.models.batching import CRACK, DOMAIN
from pipeline.models.card import Quantised
from pipeline.models.domain import Domain
from pipeline.models.model import INT8_FILES, README_FILE, SHIPPED_MODEL, Int8, Model, add_int8, load_model
from pipeline.models.openvino_engine import OpenVinoEngine
from pipeline.models.openvino_runtime import ov
from pipeline.training import model_readme
from pipeline.training.data_loader import TileReader, prepare_for_scoring, split_into_batches
from pipeline.training.domain_fit import BATCH_TILES, RepresentativeImages

CALIBRATION_BATCHES = 10
"""Batches of training pictures that set the ranges of all layers: 320 pictures; NNCF's own default is 300."""
MAX_HELD_OUT_TILES = 2000
"""Tiles that measure the cost; they take a minute."""
SEED = 0


@dataclass(frozen=True)
class QuantiseConfig:
    """One `models quantise` run."""

    model: str
    """Model folder or URL."""
    data: tuple[str, ...]
    """Folders, URLs or tables of labelled tiles."""
    val: tuple[str, ...] = ()
    """Held-out tiles; if empty, a part of `data` is held out."""
    val_fraction: float = 0.2
    classes: ClassNames = field(default_factory=ClassNames)


def quantise_folder(
    config: QuantiseConfig,
    on_progress: Callable[[str, int, int], None],
    on_unused: Callable[[LabelledTiles], None] | None = None,
) -> Quantised:
    """Quantise a model and add the result to its folder.

    Args:
        config: the run.
        on_progress: called with the name of the stage, the number done and the total.
        on_unused: called with tiles beside which there are pictures that are none.

    Raises:
        UsageError: there is no model, or the data cannot be used.
        ModelError: the model is damaged.
        CrackscanError: OpenVINO or NNCF cannot handle its architecture.
    """
    model = load_model(config.model)
    _check_folder(model)
    tiles = read_labelled_tiles(config.data, config.classes)
    validation = read_labelled_tiles(config.val, config.classes) if config.val else None
    for part in (tiles, validation):
        if on_unused is not None and part is not None and part.has_unused:
            on_unused(part)
    describe = partial(compute_descriptors, on_progress=partial(on_progress, "comparing tiles"))
    parts = split(tiles, validation, SplitRule(config.val_fraction, SEED), describe)
    int8, cost = quantise(model, parts, partial(on_progress, "quantising"))
    add_int8(model, int8, cost, model_readme.render_readme)
    return cost


def _check_folder(model: Model) -> None:
    """Refuse to change the shipped model, and to replace a README that training did not write.

    Raises:
        UsageError: says which.
    """
    if model.url == SHIPPED_MODEL:
        raise UsageError(
            f"The shipped model is part of the package and stays as it is. Copy {model.url}, and give the copy."
        )
    readme = storage.join(model.url, README_FILE)
    found = storage.read_bytes(readme) if storage.exists(readme) else b""
    if found and not found.startswith(model_readme.TITLE.encode()):
        raise UsageError(f"{readme} is there already, and no training wrote it. Give it another name.")


def quantise(model: Model, parts: TrainValSplit, on_progress: OnProgress = no_progress) -> tuple[Int8, Quantised]:
    """Quantise a model.

    Args:
        model: as it was trained.
        parts: training tiles set the ranges of its layers and its domain, validation tiles measure the cost.
        on_progress: called with the number of pictures seen and their total.

    Returns:
        The network and its cost.

    Raises:
        CrackscanError: OpenVINO or NNCF cannot handle its architecture.
        UsageError: a tile cannot be read.
    """
    tile_px = model.card.tile_px
    images = [*RepresentativeImages(parts.training, tile_px, SEED).batches(on_progress)]
    try:
        floats = openvino_graph.trace(model, tile_px)
        integers = _quantise_graph(floats, images[:: max(1, len(images) // CALIBRATION_BATCHES)])
        int8_graph = openvino_graph.append_domain(integers, _refit_domain(integers, model, images))
        float_graph = openvino_graph.append_domain(floats, domain.domain_of(model))
    except RuntimeError as error:
        raise CrackscanError(
            f"{model.card.architecture} cannot be quantised: {str(error).splitlines()[0]} The model is whole without, "
            "and is scored in floats."
        ) from error
    tiles = sample_evenly(parts.validation)
    scores, expected = (
        _score_tiles(OpenVinoEngine(graph, model.card, "f32"), tiles, tile_px) for graph in (int8_graph, float_graph)
    )
    int8 = serialise(int8_graph)
    return int8, _measure_cost(int8, tiles, scores, expected)


def _quantise_graph(floats: ov.Model, images: Sequence[Pixels]) -> ov.Model:
    """Quantise a graph of logits and textures.

    The statistics of the textures and the last layer stay in floats; they cost nothing.
    """
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # it warns that CUDA is missing
    import nncf  # takes seconds

    nncf.set_log_level(logging.ERROR)
    ignored = nncf.IgnoredScope(types=["ReduceMean", "Log", "MatMul"], validate=False)
    with contextlib.redirect_stdout(io.StringIO()):  # it draws bars over ours
        return nncf.quantize(floats.clone(), nncf.Dataset(images), subset_size=len(images), ignored_scope=ignored)


def _refit_domain(integers: ov.Model, model: Model, images: Sequence[Pixels]) -> Domain | None:
    """Fit the domain again, because a quantised network sees its training tiles a little differently.

    Distances are in units of those of the training tiles, so the threshold in the card stays right.
    """
    if domain.domain_of(model) is None:
        return None
    engine = OpenVinoEngine(integers.clone(), model.card, "f32")
    return domain.fit(torch.from_numpy(np.concatenate([engine.answer(batch)[1] for batch in images])))


def sample_evenly(tiles: LabelledTiles) -> LabelledTiles:
    """Take `MAX_HELD_OUT_TILES` evenly from all tiles, or all if there are fewer."""
    if len(tiles) <= MAX_HELD_OUT_TILES:
        return tiles
    return tiles.subset(np.linspace(0, len(tiles) - 1, MAX_HELD_OUT_TILES).astype(int))


def _score_tiles(engine: OpenVinoEngine, tiles: LabelledTiles, tile_px: int) -> NDArray[np.float32]:
    """Shape: (n, 2)."""
    reader = TileReader(tiles.urls, tiles.boxes)
    plan = split_into_batches(np.arange(len(tiles)), BATCH_TILES)
    return np.concatenate([engine(pixels) for _, pixels in reader.batches(plan, prepare_for_scoring(tile_px))])


def _measure_cost(
    int8: Int8, tiles: LabelledTiles, scores: NDArray[np.float32], expected: NDArray[np.float32]
) -> Quantised:
    """Compare scores, shape (n, 2) each."""
    shifts = np.abs(scores - expected)
    domain_shift = float(shifts[:, DOMAIN].mean())
    return Quantised(
        sha256=int8.sha256,
        tiles=len(tiles),
        auc=measure(tiles.labels, scores[:, CRACK]).auc,
        auc_float=measure(tiles.labels, expected[:, CRACK]).auc,
        mean_shift=float(shifts[:, CRACK].mean()),
        greatest_shift=float(shifts[:, CRACK].max()),
        mean_domain_shift=None if np.isnan(domain_shift) else domain_shift,
        nncf=version("nncf"),
    )


def serialise(graph: ov.Model) -> Int8:
    """Write a graph in OpenVINO's format; the same graph gives the same bytes."""
    for number, step in enumerate(graph.get_ordered_ops()):  # OpenVINO counts on within a process
        step.set_friendly_name(f"{step.get_type_name()}_{number}")
    with temporary_folder() as folder:
        graph_file, constants_file = (folder / name for name in INT8_FILES)
        ov.save_model(graph, graph_file, compress_to_fp16=False)
        return Int8(graph_file.read_bytes(), constants_file.read_bytes())
