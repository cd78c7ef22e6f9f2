"""Eight-bit integers for CPUs, made of a finished model, and what they cost on tiles that were held out.

NNCF's post-training quantisation. What scores with the result is `openvino_engine`'s business, whether to trust it
`engines`'.
"""

import contextlib
import io
import logging
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.core.errors import CrackscanError
from pipeline.evaluation.metrics import measure
from pipeline.labels.labelled_tiles import LabelledTiles, compute_descriptors, read_labelled_tiles
from pipeline.labels.split import SplitRule, TrainValSplit, split
from pipeline.labels.tables import ClassNames
from pipeline.models import domain, openvino_graph
from pipeline.models.batching import CRACK, DOMAIN
from pipeline.models.card import Quantised
from pipeline.models.domain import Domain
from pipeline.models.model import INT8_FILES, Int8, Model, add_int8, load_model
from pipeline.models.openvino_engine import OpenVinoEngine
from pipeline.models.openvino_runtime import ov
from pipeline.training import augment, model_readme
from pipeline.training.data_loader import Pixels, TileReader, in_batches
from pipeline.training.domain_fit import BATCH_TILES, RepresentativeImages

CALIBRATION_BATCHES = 10
"""Of training pictures, from which the ranges of all layers are read: 320 of them; NNCF's own default is 300."""
MOST_HELD_OUT = 2000
"""Tiles on which the cost is measured; a minute."""
SEED = 0

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class QuantiseConfig:
    """One `models quantise` run."""

    model: str
    """Model folder or URL."""
    data: tuple[str, ...]
    """Folders, URLs or tables of labelled tiles."""
    val: tuple[str, ...] = ()
    """Held-out tiles; none given holds a part of `data` out."""
    val_fraction: float = 0.2
    classes: ClassNames = field(default_factory=ClassNames)


def quantise_folder(config: QuantiseConfig, show: Callable[[str, int, int], None]) -> Quantised:
    """Quantise a model, and put the result into its folder.

    Args:
        config: the run.
        show: is told what is done, how far it is, and of how much.

    Raises:
        UsageError: there is no model, or the data cannot be used.
        ModelError: the model is damaged.
        CrackscanError: OpenVINO or NNCF cannot handle its architecture.
    """
    found = load_model(config.model)
    tiles = read_labelled_tiles(config.data, config.classes)
    validation = read_labelled_tiles(config.val, config.classes) if config.val else None
    look = partial(compute_descriptors, on_progress=partial(show, "comparing tiles"))
    parts = split(tiles, validation, SplitRule(config.val_fraction, SEED), look)
    int8, cost = quantise(found, parts, partial(show, "quantising"))
    add_int8(found, int8, cost, model_readme.readme)
    return cost


def quantise(
    model: Model, parts: TrainValSplit, on_progress: OnProgress = lambda _done, _total: None
) -> tuple[Int8, Quantised]:
    """Quantise a model.

    Args:
        model: as it was trained.
        parts: tiles like those it learnt from, for the ranges of its layers and for its domain; and others, on which
            the loss is measured.
        on_progress: is told pictures looked at, and of how many.

    Returns:
        The network, and what it costs.

    Raises:
        CrackscanError: OpenVINO or NNCF cannot handle its architecture.
        UsageError: a tile cannot be read.
    """
    tile_px = model.card.tile_px
    chosen = RepresentativeImages(parts.training, tile_px, SEED)
    pictures = [*chosen.batches(on_progress)]
    try:
        floats = openvino_graph.trace(model, tile_px)
        integers = _integers(floats, pictures[:: max(1, len(pictures) // CALIBRATION_BATCHES)])
        known = _domain(integers, model, pictures)
        whole = (
            openvino_graph.append_domain(integers, known),
            openvino_graph.append_domain(floats, domain.domain_of(model)),
        )
    except RuntimeError as error:
        raise CrackscanError(
            f"{model.card.architecture} cannot be quantised: {str(error).splitlines()[0]} The model is whole without, "
            "and is scored in floats."
        ) from error
    tiles = _some(parts.validation)
    found, expected = (_scores(OpenVinoEngine(of, model.card, "f32"), tiles, tile_px) for of in whole)
    int8 = _files(whole[0])
    return int8, _cost(int8, tiles, found, expected)


def _integers(floats: ov.Model, pictures: Sequence[Pixels]) -> ov.Model:
    """Quantise a graph of logits and textures.

    What makes statistics of the textures stays in floats, as does the last layer: both cost nothing.
    """
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # it misses CUDA, which nobody asked for
    import nncf  # takes seconds

    nncf.set_log_level(logging.ERROR)
    left = nncf.IgnoredScope(types=["ReduceMean", "Log", "MatMul"], validate=False)
    with contextlib.redirect_stdout(io.StringIO()):  # its progress bars; ours is on the terminal already
        return nncf.quantize(floats.clone(), nncf.Dataset(pictures), subset_size=len(pictures), ignored_scope=left)


def _domain(integers: ov.Model, model: Model, pictures: Sequence[Pixels]) -> Domain | None:
    """Learn the domain anew: a quantised network sees its training tiles a little otherwise.

    Distances are in units of the training tiles' own, so that the threshold in the card stays right.
    """
    if domain.domain_of(model) is None:
        return None
    engine = OpenVinoEngine(integers.clone(), model.card, "f32")
    return domain.fit(torch.from_numpy(np.concatenate([engine.answer(batch)[1] for batch in pictures])))


def _some(tiles: LabelledTiles) -> LabelledTiles:
    """Take tiles evenly from all, where there are more than are needed."""
    if len(tiles) <= MOST_HELD_OUT:
        return tiles
    return tiles.subset(np.linspace(0, len(tiles) - 1, MOST_HELD_OUT).astype(int))


def _scores(engine: OpenVinoEngine, tiles: LabelledTiles, tile_px: int) -> NDArray[np.float32]:
    """Shape: (n, 2)."""
    reader = TileReader(tiles.urls, tiles.boxes)
    plan = in_batches(np.arange(len(tiles)), BATCH_TILES)
    prepare = partial(_resized, tile_px)
    return np.concatenate([engine(pixels) for _, pixels in reader.batches(plan, prepare)])


def _resized(tile_px: int, pixels: Pixels, _index: int, _batch: int) -> Pixels:
    return augment.for_scoring(pixels, tile_px)


def _cost(int8: Int8, tiles: LabelledTiles, found: NDArray[np.float32], expected: NDArray[np.float32]) -> Quantised:
    """Compare scores, shape (n, 2) each."""
    shifts = np.abs(found - expected)
    strange = float(shifts[:, DOMAIN].mean())
    return Quantised(
        sha256=int8.sha256,
        tiles=len(tiles),
        auc=measure(tiles.labels, found[:, CRACK]).auc,
        auc_float=measure(tiles.labels, expected[:, CRACK]).auc,
        mean_shift=float(shifts[:, CRACK].mean()),
        greatest_shift=float(shifts[:, CRACK].max()),
        mean_domain_shift=None if np.isnan(strange) else strange,
        nncf=version("nncf"),
    )


def _files(whole: ov.Model) -> Int8:
    """Write a graph as OpenVINO keeps it; the same graph is the same bytes."""
    for number, step in enumerate(whole.get_ordered_ops()):  # else numbered on and on in one process
        step.set_friendly_name(f"{step.get_type_name()}_{number}")
    with tempfile.TemporaryDirectory() as folder:
        graph_file, constants_file = (Path(folder, name) for name in INT8_FILES)
        ov.save_model(whole, graph_file, compress_to_fp16=False)
        return Int8(graph_file.read_bytes(), constants_file.read_bytes())
