"""What `train --from` gains on a source that a model has not seen: `python -m tests.bench.adaptation MODEL DATA`.

For k = 20, 50, 100 and 200: labels k tiles of random photos, adapts the model to them, and measures old and new model
on the tiles of all other photos; again and again. Says how often the command would call the new model better, and how
often that is wrong.
"""

import argparse
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.adaptation import side_by_side
from pipeline.adaptation.last_layer import LastLayer, fit_last_layer, score_views
from pipeline.adaptation.side_by_side import FOLDS
from pipeline.adaptation.tile_views import TileViews, describe_tiles
from pipeline.evaluation.metrics import measure
from pipeline.labels.labelled_tiles import LabelledTiles, read_labelled_tiles
from pipeline.labels.split import assign_folds, find_components
from pipeline.models.card import Card
from pipeline.models.model import load_model
from pipeline.models.network import scoring_network_of

LABELLED = (20, 50, 100, 200)
OF_A_PHOTO = 2
"""Tiles of each class that are taken of a photo."""
MOST_TILES = 900


class Outcome(NamedTuple):
    """One draw of labels."""

    old_auc: float
    gain: float
    recall_gain: float
    verdict: str


def main() -> None:
    """Measure, and print a line for each k."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="A model that has not learnt from DATA.")
    parser.add_argument("data", help="Labelled tiles, or photos with masks.")
    parser.add_argument("--repeats", type=int, default=10, help="Draws of labels for each k.")
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(given.model)
    tiles = _choose(read_labelled_tiles([given.data]))
    network = scoring_network_of(model)
    views = describe_tiles(network, model.card, tiles, 0, lambda done, total: print(f"\r{done}/{total}", end=""))
    start = LastLayer.of(network.body.get_classifier())  # type: ignore[operator]
    print(f"\n{len(tiles)} tiles of {len(set(tiles.groups))} photos, {int(tiles.labels.sum())} cracked")
    print("labels   old AUC    gain (sd, least)            recall at 5 %   called better, wrongly")
    for count in LABELLED:
        found = [_draw(start, views, tiles, model.card, count, seed) for seed in range(given.repeats)]
        gains = np.array([each.gain for each in found])
        better = [each.gain for each in found if each.verdict == "better"]
        print(
            f"{count:6d}   {np.mean([each.old_auc for each in found]):.4f}    {gains.mean():+.4f} ({gains.std():.4f}, "
            f"{gains.min():+.4f})   {np.mean([each.recall_gain for each in found]):+13.3f}   "
            f"{len(better):6d} of {len(found)}, {sum(gain <= 0 for gain in better)}"
        )


def _choose(tiles: LabelledTiles) -> LabelledTiles:
    """Take tiles of the network's own size, a few of each photo."""
    random = np.random.default_rng(0)
    sides = np.array([224 if box is None else box.height_px for box in tiles.boxes])
    fitting = np.flatnonzero((sides >= 200) & (sides <= 256))
    kinds = [(tiles.groups[row], bool(tiles.labels[row])) for row in fitting]
    chosen = []
    for kind in sorted(set(kinds)):
        chosen += random.permutation([row for row, of in zip(fitting, kinds, strict=True) if of == kind])[
            :OF_A_PHOTO
        ].tolist()
    return tiles.subset(np.sort(random.permutation(chosen)[:MOST_TILES]))


def _draw(start: LastLayer, views: TileViews, tiles: LabelledTiles, card: Card, count: int, seed: int) -> Outcome:
    """Label tiles of random photos, adapt, and measure on the tiles of the others."""
    groups = np.array(tiles.groups)
    order = np.random.default_rng(seed).permutation(sorted(set(tiles.groups)))
    last = int(np.argmax(np.cumsum([(groups == group).sum() for group in order]) >= count))
    labelled = np.isin(groups, order[: last + 1])
    labels, rest = tiles.labels[labelled], ~labelled
    own = views.subset(torch.from_numpy(labelled))
    before = _score(start, views, card)

    def fit_and_score(learnt: NDArray[np.bool_], held: NDArray[np.bool_]) -> NDArray[np.float64]:
        part, others = (own.subset(torch.from_numpy(mask)) for mask in (learnt, held))
        return _score(fit_last_layer(start, part, labels[learnt], card), others, card)

    photos = find_components(tiles.subset(labelled).groups, np.arange(len(labels)))
    after = side_by_side.score_held_out(assign_folds(tiles.subset(labelled), photos, FOLDS, 0), labels, fit_and_score)
    verdict = side_by_side.compare(labels, photos, (before[labelled], after), card.threshold).verdict
    layer = fit_last_layer(start, own, labels, card)
    adapted = _score(layer, views.subset(torch.from_numpy(rest)), card)
    old, new = (measure(tiles.labels[rest], scores) for scores in (before[rest], adapted))
    recalls = [each.recall_at_5_percent_false_alarms or 0.0 for each in (old, new)]
    return Outcome(old.auc or 0.0, (new.auc or 0.0) - (old.auc or 0.0), recalls[1] - recalls[0], verdict)


def _score(layer: LastLayer, views: TileViews, card: Card) -> NDArray[np.float64]:
    scores: NDArray[np.float64] = torch.sigmoid(score_views(layer, views.unchanged(), card))[:, 0].numpy()
    return scores


if __name__ == "__main__":
    main()
