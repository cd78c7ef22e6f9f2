"""`crackscan models compare`: compare backbones and recipes on structures that they have not seen."""

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.messages import echo, print_table, short_url
from pipeline.cli.options import training_options
from pipeline.core.counts import count_of

if TYPE_CHECKING:
    from rich.table import Table

    from pipeline.evaluation.trial_comparison import Comparison, Interval
    from pipeline.training.trials import LeaveOneSourceOutConfig

TRAINING_OPTIONS = ("epochs", "head_epochs", "epoch_tiles", "batch_size", "learning_rate", "dense")
"""Options whose defaults come from the preset `trial`."""

COLUMNS = {
    "auc": "AUC",
    "average_precision": "AP",
    "recall_at_1_percent_false_alarms": "recall at 1 %",
    "recall_at_5_percent_false_alarms": "recall at 5 %",
    "ece_before": "ECE, raw",
    "ece_after": "calibrated",
    "photo_auc": "photos: AUC",
    "photo_recall_at_5_percent_false_alarms": "photos: recall at 5 %",
}
"""The figures, and their names in the table."""

PIPE_WIDTH = 200
"""Columns of the table without a terminal."""

READING = """\
How to read it: every figure is of a source that the network was not trained on. The last row of each is the mean over
the sources, and after ± half of its 95 % interval over the seeds (Student's t). AP is the average precision, recall
that of the cracked tiles where 1 or 5 % of the sound ones raise a false alarm, ECE the expected calibration error with
both classes counting alike; calibrated is on the other sources' trials. The last two columns are of photos of 12
megapixels, put together from the source's tiles and half of them cracked; these scores are calibrated on the other
sources' trials, too. Tiles a second: on one CPU thread."""


@click.command("compare")
@click.argument("data", nargs=-1, required=True, metavar="DATA...")
@click.option("--out", required=True, metavar="DIR", help="Folder or URL for results; a second run continues there.")
@click.option(
    "--backbone",
    multiple=True,
    metavar="NAME",
    help="Model name of timm; may be given again.  [default: tf_efficientnet_lite0]",
)
@click.option(
    "--augment",
    multiple=True,
    type=click.Choice(["none", "plain", "field"]),
    default=("field",),
    show_default=True,
    help="Recipe; may be given again.",
)
@click.option(
    "--seed",
    multiple=True,
    type=click.IntRange(min=0),
    default=(0, 1, 2),
    show_default=True,
    help="May be given again.",
)
@training_options
def command(data: tuple[str, ...], out: str, **given: Any) -> None:  # noqa: ANN401 - Click's
    """Compare backbones and recipes on sources that they were not trained on.

    Every DATA is one source: one camera, one structure. For each backbone, recipe, seed and source, a network is
    trained on all other sources and tested on that one: a trial, some five minutes on one CPU core. Trials run side by
    side, one a CPU or GPU. The same command again runs only what is missing.

    \b
    What is written:
      DIR/trials/*.json                       every trial: settings, tiles, logits, figures
      DIR/comparison.json, .csv               every figure
      DIR/quality_speed.png                   AUC over tiles a second

    \b
    Examples:
      crackscan models compare metu/ uav/ deck/ --out runs/compare
      crackscan models compare metu/ uav/ deck/ --out runs/compare --augment plain --augment field
      crackscan models compare a.csv b.csv --out c --backbone tf_efficientnet_lite0 --backbone mobilenetv3_large_100
    """  # noqa: D301 - \b is Click's mark for "do not rewrap"
    # Two threads of numpy's matrix product on busy cores are four to thirty times slower than one; read at its import.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    config = _config(data, out, given)
    from pipeline.cli.models_compare_display import CompareDisplay
    from pipeline.training import leave_one_source_out

    with CompareDisplay() as display:
        comparison = leave_one_source_out.run_trials(config, display)
    _print_comparison(comparison)


def _config(data: tuple[str, ...], out: str, given: dict[str, Any]) -> "LeaveOneSourceOutConfig":
    """Replace settings of the preset by the given options."""
    from pipeline.cluster.session import ClusterConfig
    from pipeline.labels.label_tables import ClassNames
    from pipeline.models.backbones import DEFAULT_BACKBONE
    from pipeline.training.config import TRIAL
    from pipeline.training.trials import LeaveOneSourceOutConfig

    training = {name: given.pop(name) for name in TRAINING_OPTIONS}
    return LeaveOneSourceOutConfig(
        data=data,
        out=out,
        backbones=tuple(dict.fromkeys(given.pop("backbone"))) or (DEFAULT_BACKBONE,),
        augments=tuple(dict.fromkeys(given.pop("augment"))),
        seeds=tuple(sorted(set(given.pop("seed")))),
        hyperparameters=replace(TRIAL, **{name: value for name, value in training.items() if value is not None}),
        classes=ClassNames(given.pop("positive"), given.pop("negative")),
        cluster=ClusterConfig(given.pop("address"), given.pop("cpus"), given.pop("verbose")),
        **given,
    )


def _print_comparison(comparison: "Comparison") -> None:
    """Print the table, the differences, and the place of the files."""
    print_table(_table(comparison), PIPE_WIDTH)
    for difference in comparison.differences:
        echo(f"{difference.name} against {difference.than}, by seed, {count_of(difference.auc.n, 'seed')}:")
        echo(f"  AUC {_format_difference(difference.auc)}")
        echo(f"  recall at 5 % false alarms {_format_difference(difference.recall_at_5_percent_false_alarms)}")
    echo(f"Tables and plot: {short_url(comparison.out)}")
    echo(*READING.splitlines())


def _table(comparison: "Comparison") -> "Table":
    from rich.table import Table

    table = Table(title="On sources left out of training", title_justify="left")
    table.add_column("source")
    for label in COLUMNS.values():
        table.add_column(label, justify="right")
    for entry in comparison.entries:
        n = entry.macro["auc"].n
        table.add_row(entry.name)
        table.add_row(f"{entry.tiles_per_s:.0f} tiles/s, {count_of(n, 'seed')}")
        for source, figures in entry.sources.items():
            table.add_row(f"  {source}", *[f"{getattr(figures, name):.4f}" for name in COLUMNS])
        table.add_row("  mean", *[_format_interval(entry.macro[name], ".4f") for name in COLUMNS], end_section=True)
    return table


def _format_difference(interval: "Interval") -> str:
    words = {True: "the interval excludes zero", False: "the interval includes zero", None: "no interval"}
    return f"{_format_interval(interval, '+.4f')}, {words[interval.excludes_zero]}"


def _format_interval(interval: "Interval", form: str) -> str:
    half = "" if interval.high is None else f" ± {interval.high - interval.mean:.4f}"
    return f"{interval.mean:{form}}{half}"
