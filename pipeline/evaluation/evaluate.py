"""An evaluation: scores labelled tiles with a model, measures per source and over all, and writes a report.

The scores come from the same flow as those of `crackscan score`.
"""

import csv
import io
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline import storage
from pipeline.cluster.session import ClusterConfig
from pipeline.core.counts import none_of
from pipeline.core.errors import CrackscanError, StorageError, UsageError
from pipeline.core.progress import OnProgress, no_progress
from pipeline.core.secrets import refuse_credentials
from pipeline.dataset.targets import Product, Target, check_targets, has_mark, mark_of
from pipeline.evaluation import figures
from pipeline.evaluation.bootstrap import Bootstrap, bootstrap
from pipeline.evaluation.figures import Curve, Mistake
from pipeline.evaluation.metrics import Bools, Metrics, measure
from pipeline.images.decode import decode
from pipeline.labels import crops
from pipeline.labels.boxes import Box, cut
from pipeline.labels.labelled_tiles import LabelledTiles
from pipeline.storage.file_kinds import HEAD_BYTES, Kind

ALL = "all"
"""Stands in place of a source for the tiles of all sources together."""
REPORT: Mapping[str, Kind] = {
    "tiles.csv": "csv",
    "precision_recall.png": "png",
    "roc.png": "png",
    "reliability.png": "png",
    "mistakes.png": "png",
    "metrics.json": "json",
}
"""The files of a report; the last one is written last."""

MISTAKES_SHOWN = 12
"""Of each kind; two rows of a contact sheet."""

CROPS = "cut-tiles"
"""Folder in the report for tiles cut from larger photos, which exists until they are scored."""

NOT_SCORED = "No score came back for this name; rename the file to plain letters."

CrackScores = Callable[[Sequence[str], str, ClusterConfig, OnProgress], tuple[dict[str, float], dict[str, str]]]
"""Returns scores by URL, and the reasons of failures by URL; `scoring.predict.predict_scores` is one."""


@dataclass(frozen=True)
class EvaluationConfig:
    """One evaluation."""

    model: str
    """Model folder or URL, or `shipped`."""
    out: str
    """Folder or URL for the report."""
    threshold: float | None = None
    """A tile at or over it is called cracked; None means the threshold of the model card."""
    resampling: Bootstrap = field(default_factory=Bootstrap)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    overwrite: bool = False
    """Also replace files of the report's names that are no report."""

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


class ScoredTiles(NamedTuple):
    """Labelled tiles with what a model says of them."""

    tiles: LabelledTiles
    """The tiles that have a score."""
    scores: NDArray[np.float32]
    failures: dict[str, str]
    """Reasons by name (`LabelledTiles.names`) for tiles without a score."""


@dataclass(frozen=True)
class Evaluation:
    """The outcome of an evaluation."""

    model_id: str
    out: str
    """Canonical URL of the report."""
    results: tuple[Result, ...]
    """One per source and, with several sources, one of all together at the end."""
    tiles: LabelledTiles
    """The tiles that have a score."""
    scores: NDArray[np.float32]
    failures: dict[str, str]
    """Reasons by name (`LabelledTiles.names`) for tiles without a score; no measure counts them."""

    @property
    def overall(self) -> Metrics:
        """The measures of all tiles together."""
        return self.results[-1].metrics


def evaluate(
    tiles: LabelledTiles,
    config: EvaluationConfig,
    crack_scores: CrackScores,
    on_progress: OnProgress = no_progress,
) -> Evaluation:
    """Score labelled tiles, measure, and write the report.

    Args:
        tiles: what to score.
        config: the model, the place of the report, and how to measure.
        crack_scores: scores tiles by URL, as `scoring.predict.predict_scores` does.
        on_progress: takes the number of tiles done and their total.

    Raises:
        UsageError: there is no model, or the report cannot be written.
        CrackscanError: no tile has a score.
    """
    from pipeline.models.model import load_card

    refuse_credentials([("--model", config.model), ("--out", config.out)])
    card = load_card(config.model)
    inputs = {*tiles.urls, *(storage.canonical(source) for source in tiles.sources)}
    out = check_report(config, REPORT, inputs)
    scored = score_tiles(tiles, out, lambda files: crack_scores(files, config.model, config.cluster, on_progress))
    threshold = card.threshold if config.threshold is None else config.threshold
    results = assess(scored.tiles, scored.scores, threshold, config.resampling)
    evaluation = Evaluation(card.model_id, out, results, *scored)
    _write_report(evaluation)
    return evaluation


def score_tiles(
    tiles: LabelledTiles, folder: str, score: Callable[[Sequence[str]], tuple[dict[str, float], dict[str, str]]]
) -> ScoredTiles:
    """Score labelled tiles as files of their own.

    Args:
        tiles: what to score.
        folder: canonical URL of a folder in which tiles that are cut from photos stand meanwhile.
        score: returns scores by URL, and the reasons of failures by URL.

    Raises:
        UsageError: there is something in the way of the tiles that are cut.
        CrackscanError: no tile has a score.
    """
    _check_crops(storage.join(folder, CROPS))
    with crops.write_crops(tiles, storage.join(folder, CROPS), mark_of("evaluate")) as files:
        score_of, reason_of = score(files)
    # Parquet spells a name that is not UTF-8 differently, so that its tile has neither a score nor a reason.
    failures = {
        name: reason_of.get(file, NOT_SCORED)
        for name, file in zip(tiles.names, files, strict=True)
        if file not in score_of
    }
    if not score_of:
        name, message = next(iter(failures.items()))
        raise CrackscanError(f"{none_of(len(tiles), 'tile')} could be scored; the first, {name}: {message}")
    scores = np.array([score_of[file] for file in files if file in score_of], dtype=np.float32)
    return ScoredTiles(tiles.subset([file in score_of for file in files]), scores, failures)


def assess(
    tiles: LabelledTiles, scores: NDArray[np.float32], threshold: float, resampling: Bootstrap
) -> tuple[Result, ...]:
    """Measure each source and, at the end, all together."""
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


def check_report(config: EvaluationConfig, files: Mapping[str, Kind], inputs: Collection[str]) -> str:
    """Check before the work that the report can be written, and return its canonical URL.

    Args:
        config: the place, and whether to replace files that are no report.
        files: the report's files and their kinds; the last one, which is written last, tells whether all are ours.
        inputs: canonical URLs of what is read.

    Raises:
        UsageError: it cannot.
    """
    out = storage.canonical(config.out)

    @cache
    def is_report() -> bool:
        with suppress(StorageError, ValueError):
            found = json.loads(storage.read_bytes(storage.join(out, [*files][-1])))
            return isinstance(found, dict) and {"model_id", "threshold", "results", "failures"} <= found.keys()
        return False

    products = {name: Product("evaluate", kind, lambda _url, _head: is_report()) for name, kind in files.items()}
    targets = [Target(storage.join(out, name), each, config.overwrite) for name, each in products.items()]
    check_targets(targets, inputs=inputs)
    _check_writable(out)
    return out


def _check_writable(out: str) -> None:
    trial = storage.join(out, ".crackscan-trial")
    try:
        storage.write_whole(trial, b"")
        storage.remove(trial)
    except (StorageError, OSError) as error:
        raise UsageError(f"The report cannot be written: {error} Give another place with --out.") from error


def _check_crops(folder: str) -> None:
    """Refuse a folder that we did not fill, because it is removed at the end; a killed evaluation may have left it."""
    for file in storage.list_files(folder) if storage.exists(folder) else []:
        if not has_mark("evaluate", b"tEXtSoftware\0")(file.url, storage.read_ranges(file.url, [(0, HEAD_BYTES)])[0]):
            raise UsageError(f"{file.url} is in the way of the tiles that are cut for the report. Give another --out.")
        break  # all of them, or none, and there may be a hundred thousand


def _write_report(evaluation: Evaluation) -> None:
    """Write the report, `metrics.json` last, so that a report with that file is complete."""
    curves = [Curve(result.source, *_select(evaluation, result.source)) for result in evaluation.results]
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


def _select(evaluation: Evaluation, source: str) -> tuple[Bools, NDArray[np.float32]]:
    """Return the labels and scores of a source."""
    rows = np.array([source in {ALL, of} for of in evaluation.tiles.sources])
    return evaluation.tiles.labels[rows], evaluation.scores[rows]


def as_dict(evaluation: Evaluation) -> dict[str, object]:
    """Return the content of `metrics.json`; an undefined measure is null."""
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
