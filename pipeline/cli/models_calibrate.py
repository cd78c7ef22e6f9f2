"""`crackscan models calibrate`: fit a model's calibration and threshold to labelled tiles of the user's own."""

from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.messages import align_columns, echo, format_unlabelled, format_unused
from pipeline.cli.options import address_option, cpus_option, negative_option, positive_option, verbose_option
from pipeline.cli.progress import progress
from pipeline.cli.verdict_labels import resolve_datasets
from pipeline.core.counts import count_of

if TYPE_CHECKING:
    from pipeline.evaluation.own_calibration import Calibrated, Change
    from pipeline.labels.labelled_tiles import LabelledTiles

NAMES = {
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
    "balanced_accuracy": "balanced accuracy",
    "calibration_error": "calibration error",
}
"""The measures, and their names in the table."""

MOST_FAILURES = 10
"""Failed tiles that are named."""


@click.command("calibrate")
@click.argument("model", metavar="MODEL")
@click.argument("data", nargs=-1, required=True, metavar="DATA...")
@click.option("--out", required=True, metavar="DIR", help="Folder or URL of the new model; new or empty.")
@click.option("--false-alarms", "false_alarm_rate", type=click.FloatRange(0, 1, min_open=True, max_open=True),
              metavar="PART", help="The threshold calls no more than this part of the sound tiles cracked.  [default: "
              "that with the highest F1]")  # fmt: skip
@positive_option
@negative_option
@address_option
@cpus_option
@verbose_option
def command(
    model: str,
    data: tuple[str, ...],
    positive: tuple[str, ...],
    negative: tuple[str, ...],
    **given: Any,  # noqa: ANN401 - Click's
) -> None:
    """Fit the calibration of MODEL to labelled tiles of your own, into another model; the network stays.

    DATA is labelled tiles as `train` takes them, or a dataset with verdicts: fifty or more of ten photos or more, ten
    of each class, none of which the model has learnt from. Temperature, bias and threshold are fitted again, and the
    bias of whole photos is fitted or moved along. The figures before and after come from cross-validation: each tile
    is judged by a fit to tiles of other photos.

    Scores change, so that the model has another id: `score` begins a new dataset with it. MODEL stays as it is;
    `shipped` is the model of the package. A threshold for the highest F1 suits photos where cracks are as frequent as
    in DATA: take a fair sample (`crackscan review --pick random`), or give --false-alarms.

    \b
    Examples:
      crackscan models calibrate shipped looked-at --out my-model
      crackscan models calibrate my-model scores --out my-model-2 --false-alarms 0.02
    """  # noqa: D301 - \b is Click's mark for "do not rewrap"
    from pipeline.labels.label_tables import ClassNames
    from pipeline.labels.labelled_tiles import read_labelled_tiles

    tiles = read_labelled_tiles(resolve_datasets(data), ClassNames(positive, negative))
    if tiles.unlabelled:
        echo(format_unlabelled(tiles.unlabelled), err=True)
    for line in format_unused(tiles):
        echo(line, err=True)
    found = _calibrate(tiles, model, **given)
    echo(*_describe(found))
    for name, message in sorted(found.failures.items())[:MOST_FAILURES]:
        echo(f"{name}: {message}", err=True)


def _calibrate(
    tiles: "LabelledTiles",
    model: str,
    out: str,
    false_alarm_rate: float | None,
    **ray: Any,  # noqa: ANN401 - Click's
) -> "Calibrated":
    from pipeline.cluster.session import ClusterConfig
    from pipeline.evaluation.own_calibration import OwnConfig, calibrate
    from pipeline.scoring.predict import predict_scores
    from pipeline.training.model_readme import render_readme

    config = OwnConfig(model, out, false_alarm_rate, cluster=ClusterConfig(**ray))
    with progress("tiles") as show:
        return calibrate(tiles, config, predict_scores, render_readme, show)


def _describe(found: "Calibrated") -> list[str]:
    """Write what was fitted, the figures, what they say, and the place of the model."""
    tiles = f"{count_of(found.tiles, 'tile')}, {found.cracked:,} of them cracked, of {count_of(found.photos, 'photo')}"
    rows = [("", "before", "after", "after less before, 95 % interval"), *map(_make_row, found.changes.items())]
    return [
        f"Fitted to {tiles}:",
        *(f"  {line}" for line in _list_changes(found)),
        "On each tile with a fit to tiles of other photos:",
        *align_columns(rows),
        _judge(found.changes["f1"]),
        f"Wrote model {found.card.model_id} (from {found.old.model_id}): {found.url}",
    ]


def _list_changes(found: "Calibrated") -> list[str]:
    old, new = found.old, found.card
    lines = [
        f"temperature {old.calibration.temperature:g} → {new.calibration.temperature:g}",
        f"bias {old.calibration.bias:g} → {new.calibration.bias:g}",
        f"threshold {old.threshold:g} → {new.threshold:g}",
    ]
    if old.photo is not None and new.photo is not None:
        how = "fitted" if found.is_photo_fitted else "moved along: too few sound tiles to fit it"
        lines.append(f"bias of photos {old.photo.bias:g} → {new.photo.bias:g} ({how})")
    return lines


def _make_row(named: "tuple[str, Change]") -> tuple[str, ...]:
    name, change = named
    gain = "not defined" if change.gain_interval is None else "{:+.3f} to {:+.3f}".format(*change.gain_interval)
    before = _format(change.before, change.before_interval)
    return NAMES[name], before, _format(change.after, change.after_interval), gain


def _format(value: float | None, interval: tuple[float, float] | None) -> str:
    if value is None:
        return "not defined"
    return f"{value:.3f}" if interval is None else f"{value:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"


def _judge(f1: "Change") -> str:
    """Say in a sentence whether the new model is better."""
    low, high = f1.gain_interval or (0.0, 0.0)
    if low > 0:
        return "On tiles like these, the new calibration is better: all of the interval of F1 is over zero."
    if high < 0:
        return "On tiles like these, the new calibration is worse: all of the interval of F1 is under zero."
    return "These tiles do not tell whether the new calibration is better: the interval of F1 includes zero."
