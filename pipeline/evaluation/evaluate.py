"""An evaluation: labelled tiles scored by a model, measured per source and over all, written down.

Scores come from the same flow that `score` uses. What is measured is left to `metrics` and `intervals`, the pictures
to `figures`, the table on the terminal to the command.
"""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline import storage
from pipeline.cluster.session import ClusterConfig
from pipeline.core.errors import CrackscanError, StorageError, UsageError
from pipeline.core.secrets import refuse_credentials
from pipeline.evaluation import figures
from pipeline.evaluation.bootstrap import Bootstrap, bootstrap
from pipeline.evaluation.figures import Curve, Mistake
from pipeline.evaluation.metrics import Metrics, measure
from pipeline.images.decode import decode
from pipeline.labels import crops
from pipeline.labels.boxes import Box, cut
from pipeline.labels.labelled_tiles import LabelledTiles

ALL = "all"
"""Stands for the source where the tiles of all sources are measured together."""
MISTAKES_SHOWN = 12
"""Of each kind; two rows of a contact sheet."""

CUT = "cut-tiles"
"""Folder of the report in which tiles that were cut from larger photos lie while they are scored."""

NOT_SCORED = "No score came back for this name; rename the file to plain letters."

OnProgress = Callable[[int, int], None]
CrackScores = Callable[[Sequence[str], str, ClusterConfig, OnProgress], tuple[dict[str, float], dict[str, str]]]
"""What `single_photos.crack_scores` is: scores by URL, and why by URL where a tile failed."""


@dataclass(frozen=True)
class EvaluationConfig:
    """How to evaluate."""

    model: str
    """Model folder or URL."""
    out: str
    """Folder or URL for the report."""
    threshold: float | None = None
    """A tile at or over it is called cracked; None takes the model card's."""
    resampling: Bootstrap = field(default_factory=Bootstrap)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)

    def __post_init__(self) -> None:
        """Check the threshold."""
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise UsageError(f"--threshold is {self.threshold:g}; expected a number between 0 and 1.")


@dataclass(frozen=True)
class Result:
    """The measures of one source."""

    source: str
    metrics: Metrics
    intervals: dict[str, tuple[float, float] | None]
    """95 % intervals by measure."""


@dataclass(frozen=True)
class Evaluation:
    """What came out."""

    model_id: str
    out: str
    """Canonical URL of the report."""
    results: tuple[Result, ...]
    """One a source, and all together last; where there is one source, only that one."""
    tiles: LabelledTiles
    """The tiles that could be scored."""
    scores: NDArray[np.float32]
    failures: dict[str, str]
    """Why, by name (`LabelledTiles.names`), for the tiles that could not be scored; they are not counted."""

    @property
    def overall(self) -> Metrics:
        """The measures of all tiles together."""
        return self.results[-1].metrics


def evaluate(
    tiles: LabelledTiles,
    config: EvaluationConfig,
    crack_scores: CrackScores,
    on_progress: OnProgress = lambda _done, _total: None,
) -> Evaluation:
    """Score labelled tiles, measure, and write the report.

    Args:
        tiles: what to score.
        config: with which model, and where the report goes.
        crack_scores: scores tiles by URL (`single_photos.crack_scores`).
        on_progress: called with the tiles done and their total.

    Raises:
        UsageError: there is no model, or the report cannot be written where it should.
        CrackscanError: not one tile could be scored.
    """
    from pipeline.models.model import load_card

    refuse_credentials([("--model", config.model), ("--out", config.out)])
    card = load_card(config.model)
    out = check_writable(config.out)
    with crops.write_crops(tiles, storage.join(out, CUT)) as files:
        score_of, told = crack_scores(files, config.model, config.cluster, on_progress)
    # Nothing is dropped silently: a name that is not UTF-8 comes back from Parquet spelled otherwise.
    failures = {
        name: told.get(file, NOT_SCORED) for name, file in zip(tiles.names, files, strict=True) if file not in score_of
    }
    if not score_of:
        name, message = next(iter(failures.items()))
        raise CrackscanError(f"None of the {len(tiles)} tiles could be scored; the first, {name}: {message}")
    scored = tiles.subset([file in score_of for file in files])
    scores = np.array([score_of[file] for file in files if file in score_of], dtype=np.float32)
    threshold = card.threshold if config.threshold is None else config.threshold
    results = assess(scored, scores, threshold, config.resampling)
    evaluation = Evaluation(card.model_id, out, results, scored, scores, failures)
    _write(evaluation)
    return evaluation


def assess(
    tiles: LabelledTiles, scores: NDArray[np.float32], threshold: float, resampling: Bootstrap
) -> tuple[Result, ...]:
    """Measure each source, and all together last."""
    sources = list(dict.fromkeys(tiles.sources))
    parts = [(source, np.array(tiles.sources) == source) for source in sources] if len(sources) > 1 else []
    everything = (ALL if parts else sources[0], np.ones(len(tiles), dtype=np.bool_))
    return tuple(
        Result(
            source,
            measure(tiles.labels[part], scores[part], threshold),
            bootstrap(tiles.labels[part], scores[part], tiles.subset(part).groups, threshold, resampling),
        )
        for source, part in [*parts, everything]
    )


def check_writable(place: str) -> str:
    """Find out before the work, not after it, whether the report can be written."""
    out = storage.canonical(place)
    trial = storage.join(out, ".crackscan-trial")
    try:
        storage.write_whole(trial, b"")
        storage.remove(trial)
    except (StorageError, OSError) as error:
        raise UsageError(f"The report cannot be written: {error} Give another place with --out.") from error
    return out


def _write(evaluation: Evaluation) -> None:
    """Write the report, `metrics.json` last: where that stands, the rest is whole."""
    curves = [Curve(result.source, *_rows_of(evaluation, result.source)) for result in evaluation.results]
    files = {
        "tiles.csv": _tiles_csv(evaluation),
        "precision_recall.png": figures.precision_recall(curves),
        "roc.png": figures.roc(curves),
        "reliability.png": figures.reliability(curves),
        "mistakes.png": figures.mistakes(*worst_mistakes(evaluation)),
        "metrics.json": f"{json.dumps(as_dict(evaluation), indent=2)}\n".encode(),
    }
    for name, data in files.items():
        storage.write_whole(storage.join(evaluation.out, name), data)


def _rows_of(evaluation: Evaluation, source: str) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    rows = np.array([source in {ALL, of} for of in evaluation.tiles.sources])
    return evaluation.tiles.labels[rows], evaluation.scores[rows]


def as_dict(evaluation: Evaluation) -> dict[str, object]:
    """Return what `metrics.json` holds; a measure without meaning is null."""
    return {
        "model_id": evaluation.model_id,
        "threshold": evaluation.overall.threshold,
        "results": [
            {"source": result.source, **asdict(result.metrics), "intervals_95_percent": result.intervals}
            for result in evaluation.results
        ],
        "failures": [{"url": url, "message": message} for url, message in sorted(evaluation.failures.items())],
    }


def _tiles_csv(evaluation: Evaluation) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "label", "crack_score", "source", "group", *Box._fields])
    tiles = evaluation.tiles
    labels, scores = tiles.labels.astype(int).tolist(), evaluation.scores.tolist()
    columns = zip(tiles.urls, labels, scores, tiles.sources, tiles.groups, tiles.boxes, strict=True)
    writer.writerows((*of_tile, *(box or [""] * len(Box._fields))) for *of_tile, box in columns)
    return text.getvalue().encode(errors="backslashreplace")


def worst_mistakes(evaluation: Evaluation) -> tuple[list[Mistake], list[Mistake]]:
    """Return the most confident false alarms and misses, with their pixels, the worst first."""
    labels, scores = evaluation.tiles.labels, evaluation.scores
    called = scores >= evaluation.overall.threshold
    false_alarms = np.flatnonzero(called & ~labels)
    misses = np.flatnonzero(~called & labels)
    worst_first = (
        false_alarms[np.argsort(-scores[false_alarms], kind="stable")],
        misses[np.argsort(scores[misses], kind="stable")],
    )
    shown = [[_mistake(evaluation, row) for row in rows[:MISTAKES_SHOWN].tolist()] for rows in worst_first]
    return shown[0], shown[1]


def _mistake(evaluation: Evaluation, row: int) -> Mistake:
    tiles = evaluation.tiles
    pixels = cut(decode(storage.read_bytes(tiles.urls[row])).pixels, tiles.boxes[row])
    return Mistake(pixels, float(evaluation.scores[row]), storage.name(tiles.names[row]))
