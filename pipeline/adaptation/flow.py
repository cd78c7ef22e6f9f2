"""labelled tiles → what the network sees → a changed last layer → model.

The adaptation on one page. It takes a minute for a hundred tiles, and no Ray. `side_by_side` says whether the new model
is better than the old one.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline import __version__, storage
from pipeline.adaptation import side_by_side
from pipeline.adaptation.last_layer import PRIOR_PRECISION, LastLayer, fit_last_layer, score_views
from pipeline.adaptation.side_by_side import FOLDS, Photos, SideBySide
from pipeline.adaptation.tile_views import CHANGED_VIEWS, TileViews, describe_tiles
from pipeline.core.counts import count_of
from pipeline.core.errors import UsageError
from pipeline.core.secrets import refuse_credentials
from pipeline.labels.labelled_tiles import LabelledTiles, compute_descriptors, read_labelled_tiles
from pipeline.labels.near_duplicates import group_duplicates
from pipeline.labels.split import SplitRule, assign_folds, find_components, split
from pipeline.models import backbones, engines, model, network
from pipeline.models.card import Card, DataSource, Value
from pipeline.models.model import SHIPPED, SHIPPED_MODEL, Int8, Model
from pipeline.training import model_card, model_readme, tracking
from pipeline.training.config import TrainConfig
from pipeline.training.model_readme import BEFORE
from pipeline.training.progress import TrainCallbacks
from pipeline.training.trials import shorten_place

MOST_TILES = 2000
"""The network sees them five times in a quarter of an hour; more deserve a training."""


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
    """None if no photo could be scored by a model that had not learnt from it."""
    already_there: bool
    """Whether an earlier call had finished the same adaptation; nothing is compared again."""


def adapt(config: TrainConfig, old_model: str, callbacks: TrainCallbacks | None = None) -> AdaptResult:
    """Adapt a model to labelled tiles, and compare it with the old one on photos that it has not learnt from.

    Args:
        config: its tiles, names and places; of the hyperparameters, only the seed counts.
        old_model: folder or URL of a model, or `shipped`.
        callbacks: receive the progress.

    Raises:
        UsageError: the data or the folder cannot be used, there is no model, it learnt from these labels already, or
            its last layer is of another kind.
        ModelError: the old model is damaged.
    """
    refuse_credentials([("--out", config.out), ("--from", old_model)])
    callbacks, folder = callbacks or TrainCallbacks(), storage.canonical(config.out)
    old = model.load_model(old_model)
    _check_folder(folder, old)
    _check_old_model(old, config)
    tiles, held_out = _read_tiles(config, callbacks)
    run = _compute_run_id(config, old, tiles, held_out)
    if (card := model_card.load_finished(folder, run)) is not None:
        return AdaptResult(folder, old.card, card, tiles, None, already_there=True)
    adapter = _Adapter(old, config.hyperparameters.seed, callbacks)
    if held_out is None:
        data = model_card.list_data_sources(tiles, tiles.subset([]), config)
        layer, compared = adapter.fit_and_cross_fit(tiles)
    else:
        parts = split(tiles, held_out, SplitRule(), adapter.compute_descriptors)
        callbacks.on_split(parts)
        tiles = parts.training
        data = model_card.list_data_sources(tiles, held_out, config)
        layer, compared = adapter.fit_and_measure(tiles, held_out)
    written = _write(folder, old, layer, _make_card(config, old, data, run, compared), callbacks)
    return AdaptResult(folder, old.card, written.card, tiles, compared, already_there=False)


def _check_folder(folder: str, old: Model) -> None:
    """Refuse the old model's folder, and one in which files of others would be replaced.

    Raises:
        UsageError: says what is there.
    """
    if folder == old.url:
        raise UsageError(f"--out is the folder of the old model, which stays as it is: {folder}. Choose another --out.")
    model_card.check_model_folder(folder)
    if tracking.has_history(folder) and not storage.exists(storage.join(folder, model.CARD_FILE)):
        raise UsageError(f"A training in {folder} was interrupted and can go on there. Choose another --out.")


def _check_old_model(old: Model, config: TrainConfig) -> None:
    """Refuse a model that learnt from the labels: it would be measured on what it was taught.

    Raises:
        UsageError: says from which model to start.
    """
    if (first := old.card.training.get("from_model")) is not None:
        raise UsageError(
            f"The model at {old.url} was adapted from model {first} and has learnt from labels. Start from that model "
            "again, and give all labels."
        )
    known = {source.name for source in old.card.data if source.role != "validation"}
    if seen := [place for place in (*config.data, *config.clutter, *config.val) if shorten_place(place) in known]:
        raise UsageError(
            f"The model at {old.url} has learnt from {seen[0]} already, as its card says. Give labels that it has not "
            "seen, or rename the folder if it is another one."
        )


def _read_tiles(config: TrainConfig, callbacks: TrainCallbacks) -> tuple[LabelledTiles, LabelledTiles | None]:
    tiles = read_labelled_tiles(config.data, config.classes, config.clutter)
    held_out = read_labelled_tiles(config.val, config.classes) if config.val else None
    for part in (tiles, held_out):
        if part is not None and part.unlabelled:
            callbacks.on_unlabelled(part.unlabelled)
        if part is not None and part.has_unused:
            callbacks.on_unused(part)
    if len(tiles) > MOST_TILES:
        raise UsageError(
            f"There are {count_of(len(tiles), 'labelled tile')}; --from takes {MOST_TILES:,} at most, for it changes "
            "the last layer only. Train without --from."
        )
    return tiles, held_out


def _compute_run_id(config: TrainConfig, old: Model, tiles: LabelledTiles, held_out: LabelledTiles | None) -> str:
    """Name an adaptation by its old model, its data and its settings."""
    parts = [part for part in (tiles, held_out) if part is not None]
    labels = [list(zip(part.names, part.labels.tolist(), strict=True)) for part in parts]
    settings = [old.model_id, config.hyperparameters.seed, PRIOR_PRECISION, CHANGED_VIEWS, FOLDS]
    return "adapt-" + hashlib.sha256(json.dumps([settings, labels]).encode()).hexdigest()[:12]


class _Adapter:
    """Fits last layers of one model and scores with them."""

    def __init__(self, old: Model, seed: int, callbacks: TrainCallbacks) -> None:
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

    def compute_descriptors(self, tiles: LabelledTiles) -> NDArray[np.float32]:
        """Read tiles, and compute their descriptors."""
        return compute_descriptors(tiles, self._callbacks.on_descriptors)

    def fit_and_measure(self, tiles: LabelledTiles, held_out: LabelledTiles) -> tuple[LastLayer, SideBySide]:
        """Fit to tiles, and compare on others."""
        layer = fit_last_layer(self._start, self._describe(tiles), tiles.labels, self._card)
        views = self._describe(held_out)
        scores = self._score(self._start, views), self._score(layer, views)
        return layer, side_by_side.compare(held_out.labels, self._find_photos(held_out), scores, self._card.threshold)

    def fit_and_cross_fit(self, tiles: LabelledTiles) -> tuple[LastLayer, SideBySide | None]:
        """Fit to all tiles, and compare on each photo by a fit to the others."""
        photos = self._find_photos(tiles)
        views = self._describe(tiles)

        def fit_and_score(learnt: NDArray[np.bool_], held: NDArray[np.bool_]) -> NDArray[np.float64]:
            own, others = (views.subset(torch.from_numpy(part)) for part in (learnt, held))
            return self._score(fit_last_layer(self._start, own, tiles.labels[learnt], self._card), others)

        before = self._score(self._start, views)
        folds = assign_folds(tiles, photos, FOLDS, self._seed)
        after = side_by_side.score_held_out(folds, tiles.labels, fit_and_score)
        layer = fit_last_layer(self._start, views, tiles.labels, self._card)
        known = ~np.isnan(after)
        if not known.any():
            return layer, None
        scores = before[known], after[known]
        return layer, side_by_side.compare(tiles.labels[known], photos[known], scores, self._card.threshold)

    def _find_photos(self, tiles: LabelledTiles) -> Photos:
        return find_components(tiles.groups, group_duplicates(self.compute_descriptors(tiles)))

    def _describe(self, tiles: LabelledTiles) -> TileViews:
        return describe_tiles(self._network, self._card, tiles, self._seed, self._callbacks.on_views)

    def _score(self, layer: LastLayer, views: TileViews) -> NDArray[np.float64]:
        """Return the scores of tiles as they are. Shape: (n,)."""
        scores: NDArray[np.float64] = torch.sigmoid(score_views(layer, views.unchanged(), self._card))[:, 0].numpy()
        return scores


def _make_card(
    config: TrainConfig, old: Model, data: tuple[DataSource, ...], run: str, compared: SideBySide | None
) -> Card:
    """Describe the new model: all but the last layer is the old one's, its threshold and calibrations, too."""
    source = SHIPPED if old.url == SHIPPED_MODEL else shorten_place(old.url)
    words = ["crackscan train", *model_card.name_data(config), f"--from {source} --seed {config.hyperparameters.seed}"]
    metrics: dict[str, Value] = {}
    if compared is not None:
        metrics |= asdict(compared.after)
        metrics |= {BEFORE + name: value for name, value in asdict(compared.before).items()}
    return replace(
        old.card,
        metrics=metrics,
        data=(*(source for source in old.card.data if source.role != "validation"), *data),
        training={
            "run": run,
            "command": " ".join([*words, "--out MODEL_DIR"]),
            "from_model": old.model_id,
            "weights_from": f"model {old.model_id}, of which the last layer was changed",
            "seed": config.hyperparameters.seed,
        },
        software=dict(old.card.software) | {"crackscan": __version__},
        note=config.about.note
        or f"Adapted from model {old.model_id} to a few labels. It says where to look, not that a bridge is safe.",
        int8=None,
    )


def _write(folder: str, old: Model, layer: LastLayer, card: Card, callbacks: TrainCallbacks) -> Model:
    """Write the model with the changed layer, in the precision in which files keep it."""
    name = backbones.last_layer_name(card.architecture)
    changed = {f"{name}.weight": layer.weight.half().float()[None], f"{name}.bias": layer.bias.float()[None]}
    weights = network.encode_weights(network.tensors_of(old) | changed)
    int8 = _change_int8(old, changed[f"{name}.weight"][0], changed[f"{name}.bias"][0], callbacks)
    if int8 is not None and old.card.int8 is not None:
        card = replace(card, int8=replace(old.card.int8, sha256=int8.sha256))
    return model.save_model(folder, Model(folder, card, weights, int8), model_readme.render_readme)


def _change_int8(old: Model, weight: torch.Tensor, bias: torch.Tensor, callbacks: TrainCallbacks) -> Int8 | None:
    """Return the old model's int8 network, if it has any, with the new last layer, which is in floats there, too."""
    if old.int8 is None:
        return None
    if (problem := engines.probe_openvino().problem) is not None:
        callbacks.on_not_quantised(problem)
        return None
    from pipeline.models import openvino_engine, openvino_graph
    from pipeline.training import quantise  # loads OpenVINO

    graph = openvino_engine.read_int8(old)
    return quantise.serialise(openvino_graph.replace_last_layer(graph, weight.numpy(), float(bias)))
