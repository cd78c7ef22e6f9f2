"""`crackscan evaluate`: how good a model is on labelled tiles."""

from typing import TYPE_CHECKING, Any, NamedTuple

import click

from pipeline.cli.config_file import config_option
from pipeline.cli.options import address_option, cpus_option, model_option, verbose_option

if TYPE_CHECKING:
    from rich.table import Table

    from pipeline.evaluation.evaluate import Evaluation, EvaluationConfig, Result
    from pipeline.evaluation.mask_evaluation import MaskEvaluation
    from pipeline.labels.labelled_tiles import LabelledTiles

FAILURES_EXIT_CODE = 3
FAILURES_TOLD = 10
"""How many failed tiles are named on the terminal; `metrics.json` names all."""

ROWS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "average_precision": "average precision",
    "auc": "AUC",
    "recall_at_1_percent_false_alarms": "recall at 1 % false alarms",
    "recall_at_5_percent_false_alarms": "recall at 5 % false alarms",
    "calibration_error": "calibration error",
}
"""The measures, as the table calls them."""

READING = """\
How to read it: recall is the part of the cracked tiles that were found, precision the part of the alarms that were
right; both change with the threshold, average precision and AUC do not. Recall at 1 % false alarms is the best recall
where one sound tile in a hundred raises a false alarm. A calibration error of 0.02 means that scores are off by
0.02 on average when they are read as probabilities. In brackets, 95 % intervals from resampling whole photos. All of
it holds for photos like these; other bridges need labelled tiles of their own."""


class Measured(NamedTuple):
    """What came out."""

    tiles: "Evaluation | None"
    masks: "MaskEvaluation | None"

    @property
    def failed(self) -> int:
        """Tiles and photos that could not be scored."""
        return sum(len(each.failures) for each in self if each is not None)


@click.command("evaluate")
@click.argument("data", nargs=-1)
@click.option(
    "--masks",
    multiple=True,
    metavar="FOLDER",
    help="Folder with images/ and masks/: crack maps of its photos are compared with the masks, pixel by pixel. May be "
    "repeated, with or without DATA.",
)
@model_option
@click.option(
    "--out",
    metavar="DIR",
    help="Folder or URL for the report.  [default: MODEL/evaluation; ./evaluation for the shipped model]",
)
@click.option("--positive", default="Positive", show_default=True, metavar="NAME", help="Name of the cracked class.")
@click.option("--negative", default="Negative", show_default=True, metavar="NAME", help="Name of the sound class.")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    metavar="SCORE",
    help="A tile at or over it is called cracked.  [default: the model card's]",
)
@click.option(
    "--repeats",
    default=1000,
    show_default=True,
    type=click.IntRange(min=1),
    metavar="N",
    help="Resampled data sets behind each 95 % interval.",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Same seed, same intervals.")
@address_option
@cpus_option
@verbose_option
@config_option
def command(**given: Any) -> None:  # noqa: ANN401 - Click's
    """Measure a model on labelled tiles that it was not trained on.

    DATA is one or more folders or URLs with Positive/ and Negative/ below, or CSV or Parquet tables with the columns
    path, label and maybe group. Each is measured by itself, and all together.

    \b
    The report:
      metrics.json          every figure, with its 95 % interval, and the tiles that could not be read
      tiles.csv             every tile with its score
      precision_recall.png  roc.png  reliability.png
      mistakes.png          the most confident false alarms and misses
      masks.json  masks.png with --masks: how well maps fit the masks, and photos beside both

    \b
    Examples:
      crackscan evaluate demo/tiles/val --model demo/model
      crackscan evaluate bridge_a bridge_b --model demo/model --threshold 0.8 --out report
      crackscan evaluate labels.csv --positive crack --negative sound
      crackscan evaluate --masks bridge_a --model demo/model
    """  # noqa: D301 - \b is Click's mark for "do not rewrap"
    if measured(**given).failed:
        click.get_current_context().exit(FAILURES_EXIT_CODE)


def measured(
    data: tuple[str, ...],
    masks: tuple[str, ...],
    model: str | None,
    out: str | None,
    positive: str,
    negative: str,
    **options: Any,  # noqa: ANN401 - Click's
) -> Measured:
    """Evaluate as the options say, and print the tables."""
    if not data and not masks:
        raise click.MissingParameter(param_hint="'DATA...' or '--masks'", param_type="argument")
    from pipeline.labels.labelled_tiles import ClassNames, read_labelled_tiles

    # Wrong DATA is told before Ray and torch take their seconds to import.
    tiles = read_labelled_tiles(data, ClassNames(positive, negative)) if data else None
    if tiles is not None and tiles.unlabelled:
        from pipeline.cli.progress import unlabelled_words

        click.echo(unlabelled_words(tiles.unlabelled), err=True)
    config = _config(model, out, **options)
    return Measured(
        _on_tiles(tiles, config) if tiles is not None else None, _on_masks(masks, config) if masks else None
    )


def _config(
    model: str | None,
    out: str | None,
    threshold: float | None,
    repeats: int,
    seed: int,
    **ray: Any,  # noqa: ANN401 - Click's
) -> "EvaluationConfig":
    from pipeline.cluster.session import ClusterConfig
    from pipeline.evaluation.bootstrap import Bootstrap
    from pipeline.evaluation.evaluate import EvaluationConfig
    from pipeline.models.model import SHIPPED_MODEL

    return EvaluationConfig(
        model=model or SHIPPED_MODEL,
        out=out or (f"{model.rstrip('/')}/evaluation" if model else "evaluation"),
        threshold=threshold,
        resampling=Bootstrap(repeats, seed),
        cluster=ClusterConfig(**ray),
    )


def _on_tiles(tiles: "LabelledTiles", config: "EvaluationConfig") -> "Evaluation":
    """Evaluate on labelled tiles, and print the table."""
    from pipeline.cli.progress import progress
    from pipeline.evaluation.evaluate import evaluate
    from pipeline.scoring.predict import predict_scores

    with progress("tiles") as on_progress:
        evaluation = evaluate(tiles, config, predict_scores, on_progress)
    _tell(evaluation)
    return evaluation


def _on_masks(folders: tuple[str, ...], config: "EvaluationConfig") -> "MaskEvaluation":
    """Evaluate on photos with masks, and print the table."""
    from pipeline.cli.masks_display import tell
    from pipeline.cli.progress import progress
    from pipeline.evaluation.mask_evaluation import evaluate_masks
    from pipeline.scoring.predict import predict_maps

    with progress("photos") as on_progress:
        evaluation = evaluate_masks(folders, config, predict_maps, on_progress)
    tell(evaluation)
    return evaluation


def _tell(evaluation: "Evaluation") -> None:
    """Print the table, where the report lies and how to read it; failed tiles go to stderr."""
    import sys

    from rich.console import Console

    # A pipe or a file has no width: nothing is cut off there.
    Console(width=None if sys.stdout.isatty() else 60 + 40 * len(evaluation.results)).print(_table(evaluation))
    click.echo(f"The report, with curves and the worst mistakes: {evaluation.out.removeprefix('file://')}")
    click.echo(READING)
    for url, message in sorted(evaluation.failures.items())[:FAILURES_TOLD]:
        name = url.removeprefix("file://").encode(errors="backslashreplace").decode()
        click.echo(f"failed: {name}: {message}", err=True)
    if evaluation.failures:
        count = len(evaluation.failures)
        words = "1 tile could not be scored and is" if count == 1 else f"{count:,} tiles could not be scored and are"
        click.echo(f"{words} not counted; metrics.json names {'it' if count == 1 else 'them all'}.", err=True)


def _table(evaluation: "Evaluation") -> "Table":
    from rich.table import Table

    threshold = evaluation.overall.threshold
    table = Table(title=f"Model {evaluation.model_id}, threshold {threshold:g}", title_justify="left")
    table.add_column("")
    for result in evaluation.results:
        table.add_column(result.source, overflow="fold")
    metrics = [result.metrics for result in evaluation.results]
    table.add_row("tiles", *[f"{each.n:,}" for each in metrics])
    table.add_row("cracked: found / missed", *[f"{m.true_positives:,} / {m.false_negatives:,}" for m in metrics])
    table.add_row("sound: passed / false alarm", *[f"{m.true_negatives:,} / {m.false_positives:,}" for m in metrics])
    table.add_section()
    for name, words in ROWS.items():
        table.add_row(words, *[_cell(result, name) for result in evaluation.results])
    return table


def _cell(result: "Result", name: str) -> str:
    value, interval = getattr(result.metrics, name), result.intervals[name]
    if value is None:
        return "-"
    return f"{value:.4f}" + (f" ({interval[0]:.4f} to {interval[1]:.4f})" if interval else "")
