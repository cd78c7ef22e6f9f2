"""What `train --from` does and shows: a model is adapted to labels, and stands beside the old one."""

import os
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from pipeline.cli.messages import echo
from pipeline.cli.verdict_labels import resolve_datasets
from pipeline.core.counts import count_of

if TYPE_CHECKING:
    from pipeline.adaptation.flow import AdaptResult

TAKEN = {"data", "out", "from_model", "val", "clutter", "positive", "negative", "seed"}
TAKEN |= {"licence", "attribution", "note"}
"""Options of `train` that count with `--from`."""

ADVICE = {
    "better": "Better at ranking cracked tiles over sound ones: the whole interval is over zero.",
    "worse": "Worse at it: the whole interval is under zero. Go on with the old model, and look at the labels again.",
    "cannot be told": "Whether it is better cannot be told from these labels. Go on with the old model, or label tiles "
    "of more photos.",
}


def refuse_other_options(ctx: click.Context) -> None:
    """Refuse what was given and would not count.

    Raises:
        click.UsageError: names it.
    """
    given = [name for name in ctx.params if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT]
    names = [f"--{name.replace('_', '-')}" for name in given if name not in TAKEN]
    if names:
        raise click.UsageError(
            f"With --from, {' and '.join(names)} would change nothing: only the last layer of the old model changes. "
            "Leave it out, or train without --from."
        )


def adapt(out: str, old_model: str, given: dict[str, Any]) -> None:
    """Adapt a model as the options say, show the progress, and print both models side by side."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in `train`
    from pipeline.adaptation import flow
    from pipeline.cli.train_display import TrainDisplay
    from pipeline.labels.label_tables import ClassNames
    from pipeline.models.card import About
    from pipeline.training.config import Hyperparameters, TrainConfig

    config = TrainConfig(
        data=resolve_datasets(given["data"]),
        out=out,
        clutter=given["clutter"],
        val=resolve_datasets(given["val"]),
        classes=ClassNames(given["positive"], given["negative"]),
        hyperparameters=Hyperparameters(seed=given["seed"] or 0),
        about=About(given["licence"], given["attribution"], given["note"]),
    )
    with TrainDisplay(config.hyperparameters) as display:
        result = flow.adapt(config, old_model, display)
    echo(*_format_result(result, out))


def _format_result(result: "AdaptResult", out: str) -> list[str]:
    learnt = f"{count_of(len(result.tiles), 'tile')}, {int(result.tiles.labels.sum()):,} cracked"
    opening = "This model is already there and was left as it is" if result.already_there else "Wrote model"
    return [
        f"{opening}: {out}  ({result.card.model_id}, from {result.old.model_id} and {learnt})",
        *([] if result.already_there else _format_comparison(result)),
        "Next:",
        f"  crackscan evaluate --model {out} DATA…",
        f"  crackscan score PHOTOS… --model {out} --out SCORES",
    ]


def _format_comparison(result: "AdaptResult") -> list[str]:
    """Write the figures of both models, the interval, and what follows from it."""
    compared = result.compared
    if compared is None:
        return [
            "It could not be measured: without one photo, the others show one class.",
            ADVICE["cannot be told"],
        ]
    before, after = compared.before, compared.after
    rows = {
        "AUC": (before.auc, after.auc),
        f"cracked tiles found at {before.threshold:.3g}": (before.recall, after.recall),
        "sound tiles called cracked": (_false_alarms(before), _false_alarms(after)),
        "calibration error": (before.calibration_error, after.calibration_error),
    }
    lines = [
        f"On {count_of(before.n, 'tile')} of {count_of(compared.photos, 'photo')} that it did not learn from:",
        f"  {'':<30s} {'old':>7s} {'new':>7s}",
    ]
    lines += [f"  {name:<30s} {_number(old):>7s} {_number(new):>7s}" for name, (old, new) in rows.items()]
    if compared.auc_gain is None:
        lines.append("  No interval: it takes ten photos or more, and both classes.")
    else:
        low, high = compared.auc_gain
        lines.append(f"  AUC, new less old: 95 % interval {low:+.3f} to {high:+.3f} (photos resampled)")
    if len(set(result.tiles.groups)) == len(result.tiles):
        lines.append("  Each tile counts as a photo of its own: nothing says which were cut from one photo.")
    return [*lines, ADVICE[compared.verdict]]


def _false_alarms(metrics: Any) -> float | None:  # noqa: ANN401 - `Metrics`, which would load numpy here
    sound = metrics.false_positives + metrics.true_negatives
    return metrics.false_positives / sound if sound else None


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
