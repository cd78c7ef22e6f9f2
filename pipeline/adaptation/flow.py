"""labelled tiles → what the network sees → a changed last layer → model.

The adaptation on one page. It takes a minute for a hundred tiles, and no Ray. `side_by_side` says whether the new model
is better than the old one.
"""

import hashlib
import json
import shlex
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline import __version__, storage
from pipeline.adaptation import side_by_side
from pipeline.adaptation.last_layer import PULL, LastLayer, fit_last_layer, score_views
from pipeline.adaptation.side_by_side import FOLDS, SideBySide
from pipeline.adaptation.tile_views import CHANGED_VIEWS, TileViews, describe_tiles
from pipeline.core.errors import UsageError
from pipeline.core.secrets import refuse_credentials
from pipeline.labels.labelled_tiles import LabelledTiles, compute_descriptors, read_labelled_tiles
from pipeline.labels.near_duplicates import Descriptors, group_duplicates
from pipeline.labels.split import SplitRule, assign_folds, split
from pipeline.models import backbones, model, network
from pipeline.models.card import Card, Value
from pipeline.models.model import Model
from pipeline.training import model_card, model_readme
from pipeline.training.config import TrainConfig
from pipeline.training.model_readme import BEFORE
from pipeline.training.trials import shorten_place


class AdaptCallbacks:
    """Receives the progress; every method may be overridden."""

    def on_unused(self, tiles: LabelledTiles) -> None:
        """Receive tiles beside which there are pictures, rows or annotations that are none."""

    def on_descriptors(self, done: int, total: int) -> None:
        """Receive the number of tiles compared, to find repeats, and their total."""

    def on_views(self, done: int, total: int) -> None:
        """Receive the number of tiles that the network has seen, and their total."""


@dataclass(frozen=True)
class AdaptResult:
    """A finished adaptation."""

    folder: str
    """URL of the model folder."""
    old: Card
    card: Card
    tiles: LabelledTiles
    """What it learnt from."""
    compared: SideBySide | None
    """None if an earlier call had finished the same adaptation."""


def adapt(config: TrainConfig, old_model: str, callbacks: AdaptCallbacks | None = None) -> AdaptResult:
    """Adapt a model to labelled tiles, and compare it with the old one on photos that it has not learnt from.

    Args:
        config: its tiles, names and places; of the hyperparameters, only the seed counts.
        old_model: folder or URL of a model, or `shipped`.
        callbacks: receive the progress.

    Raises:
        UsageError: the data or the folder cannot be used, there is no model, or its last layer is of another kind.
        ModelError: the old model is damaged.
    """
    refuse_credentials([("--out", config.out), ("--from", old_model)])
    callbacks, folder = callbacks or AdaptCallbacks(), storage.canonical(config.out)
    model_card.check_model_folder(folder)
    old = model.load_model(old_model)
    tiles, held_out = _read_tiles(config, callbacks)
    run = _compute_run_id(config, old, tiles, held_out)
    if (card := model_card.load_finished(folder, run)) is not None:
        return AdaptResult(folder, old.card, card, tiles, None)
    adapter = _Adapter(old, config.hyperparameters.seed, callbacks)
    describe = partial(compute_descriptors, on_progress=callbacks.on_descriptors)
    if held_out is None:
        layer, compared = adapter.fit_and_cross_fit(tiles, describe)
    else:
        tiles = split(tiles, held_out, SplitRule(), describe).training
        layer, compared = adapter.fit_and_measure(tiles, held_out)
    parts = (tiles, tiles.subset([]) if held_out is None else held_out)
    written = _write(folder, old, layer, _make_card(config, old, parts, run, compared))
    return AdaptResult(folder, old.card, _write_int8(written, old, held_out or tiles).card, tiles, compared)


def _read_tiles(config: TrainConfig, callbacks: AdaptCallbacks) -> tuple[LabelledTiles, LabelledTiles | None]:
    tiles = read_labelled_tiles(config.data, config.classes, config.clutter)
    held_out = read_labelled_tiles(config.val, config.classes) if config.val else None
    for part in (tiles, held_out):
        if part is not None and (part.has_unused or part.unlabelled):
            callbacks.on_unused(part)
    return tiles, held_out


def _compute_run_id(config: TrainConfig, old: Model, tiles: LabelledTiles, held_out: LabelledTiles | None) -> str:
    """Name an adaptation by its old model, its data and its settings."""
    parts = [part for part in (tiles, held_out) if part is not None]
    labels = [list(zip(part.names, part.labels.tolist(), strict=True)) for part in parts]
    settings = [old.model_id, config.hyperparameters.seed, PULL, CHANGED_VIEWS, FOLDS]
    return "adapt-" + hashlib.sha256(json.dumps([settings, labels]).encode()).hexdigest()[:12]


class _Adapter:
    """Fits last layers of one model and scores with them."""

    def __init__(self, old: Model, seed: int, callbacks: AdaptCallbacks) -> None:
        torch.set_num_threads(1)  # two of one process are many times slower where other work is going on
        self._card = old.card
        self._network = network.scoring_network_of(old)
        self._seed = seed
        self._callbacks = callbacks
        classifier = self._network.body.get_classifier()  # type: ignore[operator]  # every timm network has it
        if not isinstance(classifier, nn.Linear):
            raise UsageError(
                f"The last layer of {old.card.architecture} is {type(classifier).__name__}; --from changes linear ones "
                "only. Train without --from, with --weights."
            )
        self._start = LastLayer.of(classifier)

    def fit_and_measure(self, tiles: LabelledTiles, held_out: LabelledTiles) -> tuple[LastLayer, SideBySide]:
        """Fit to tiles, and compare on others."""
        layer = fit_last_layer(self._start, self._describe(tiles), tiles.labels, self._card)
        views = self._describe(held_out)
        before, after = (self._score(each, views) for each in (self._start, layer))
        return layer, side_by_side.compare(held_out, before, after, self._card.threshold)

    def fit_and_cross_fit(
        self, tiles: LabelledTiles, describe: Callable[[LabelledTiles], Descriptors]
    ) -> tuple[LastLayer, SideBySide]:
        """Fit to all tiles, and compare on each photo by a fit to the others."""
        folds = assign_folds(tiles, group_duplicates(describe(tiles)), FOLDS, self._seed)
        views = self._describe(tiles)

        def score_others(learnt: NDArray[np.bool_], held: NDArray[np.bool_]) -> NDArray[np.float64]:
            own, other = (views.subset(torch.from_numpy(np.flatnonzero(part))) for part in (learnt, held))
            return self._score(fit_last_layer(self._start, own, tiles.labels[learnt], self._card), other)

        before = self._score(self._start, views)
        after = side_by_side.score_held_out(folds, tiles.labels, before, score_others)
        layer = fit_last_layer(self._start, views, tiles.labels, self._card)
        return layer, side_by_side.compare(tiles, before, after, self._card.threshold)

    def _describe(self, tiles: LabelledTiles) -> TileViews:
        return describe_tiles(self._network, self._card, tiles, self._seed, self._callbacks.on_views)

    def _score(self, layer: LastLayer, views: TileViews) -> NDArray[np.float64]:
        """Return the scores of tiles as they are. Shape: (n,)."""
        scores: NDArray[np.float64] = torch.sigmoid(score_views(layer, views.unchanged(), self._card))[:, 0].numpy()
        return scores


def _make_card(
    config: TrainConfig, old: Model, parts: tuple[LabelledTiles, LabelledTiles], run: str, compared: SideBySide
) -> Card:
    """Describe the new model: all that scores tiles but the last layer is the old one's, and so is the threshold."""
    added = {"run": run, "from_model": old.model_id, "command": _render_command(config, old)}
    metrics: dict[str, Value] = {**asdict(compared.after)}
    metrics |= {BEFORE + name: value for name, value in asdict(compared.before).items()}
    return replace(
        old.card,
        metrics=metrics,
        data=(*old.card.data, *model_card.list_data_sources(*parts, config)),
        training=dict(old.card.training) | added,
        software=dict(old.card.software) | {"crackscan": __version__},
        note=config.about.note or old.card.note,
        int8=None,
    )


def _render_command(config: TrainConfig, old: Model) -> str:
    places = [*map(shorten_place, config.data), *(f"--clutter {shorten_place(place)}" for place in config.clutter)]
    places += [f"--val {shorten_place(place)}" for place in config.val]
    names = [f"--positive {shlex.quote(name)}" for name in config.classes.positives]
    names += [f"--negative {shlex.quote(name)}" for name in config.classes.negatives]
    words = ["crackscan train", *places, *names, f"--from {shorten_place(old.url)}"]
    return " ".join([*words, f"--seed {config.hyperparameters.seed}", "--out MODEL_DIR"])


def _write(folder: str, old: Model, layer: LastLayer, card: Card) -> Model:
    name = backbones.last_layer_name(card.architecture)
    changed = {f"{name}.weight": layer.weight.float()[None], f"{name}.bias": layer.bias.float()[None]}
    weights = network.encode_weights(network.tensors_of(old) | changed)
    return model.save_model(folder, Model(folder, card, weights), model_readme.render_readme)


def _write_int8(written: Model, old: Model, tiles: LabelledTiles) -> Model:
    """Give the new model the old one's int8 network with the new last layer, if the old one has any."""
    if old.int8 is None:
        return written
    from pipeline.models import openvino_engine, openvino_graph
    from pipeline.training import quantise  # loads OpenVINO

    name, tensors = backbones.last_layer_name(old.card.architecture), network.tensors_of(written)
    weight, bias = tensors[f"{name}.weight"][0], tensors[f"{name}.bias"]
    integers = openvino_graph.replace_last_layer(openvino_engine.read_int8(old), weight.numpy(), float(bias))
    int8 = quantise.serialise(integers)
    graphs = (integers, openvino_graph.build_graph(written, written.card.tile_px))
    cost = quantise.measure_cost(int8, graphs, written.card, quantise.sample_evenly(tiles))
    return model.add_int8(written, int8, cost, model_readme.render_readme)
