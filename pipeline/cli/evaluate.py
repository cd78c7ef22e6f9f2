"""`crackscan evaluate`: how good a model is on labelled tiles and masks."""

from typing import TYPE_CHECKING, Any, NamedTuple

import click

from pipeline.cli.config_file import config_option
from pipeline.cli.messages import DONE_WITH_FAILED_PHOTOS, echo, format_unlabelled, format_unused
from pipeline.cli.options import (
    address_option,
    cpus_option,
    model_option,
    negative_option,
    overwrite_option,
    positive_option,
    verbose_option,
)
from pipeline.cli.progress import progress

if TYPE_CHECKING:
    from pipeline.evaluation.evaluate import Evaluation, EvaluationConfig
    from pipeline.evaluation.mask_evaluation import MaskEvaluation
    from pipeline.labels.labelled_tiles import LabelledTiles


class Measured(NamedTuple):
    """The results of an evaluation."""

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
@positive_option
@negative_option
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
@overwrite_option
@address_option
@cpus_option
@verbose_option
@config_option
def command(**given: Any) -> None:  # noqa: ANN401 - Click's
    """Measure a model on labelled tiles that it was not trained on.

    DATA is one or more folders or URLs with Positive/ and Negative/ below, or CSV or Parquet tables with the columns
    path, label and maybe group. The report has each of them alone, and all together. --positive and --negative name
    other folders and labels.

    \b
    The report:
      metrics.json          every figure, with its 95 % interval, and the tiles that could not be read
      tiles.csv             every tile with its score
      precision_recall.png  roc.png  reliability.png
      mistakes.png          the most confident false alarms and misses
      masks.json  masks.png with --masks: how well maps fit the masks, also by crack width; photos beside both

    \b
    Examples:
      crackscan evaluate demo/tiles/val --model demo/model
      crackscan evaluate bridge_a bridge_b --model demo/model --threshold 0.8 --out report
      crackscan evaluate labels.csv --positive crack --positive spalling --negative sound
      crackscan evaluate --masks bridge_a --model demo/model
    """  # noqa: D301 - \b is Click's mark for "do not rewrap"
    if run_evaluation(**given).failed:
        click.get_current_context().exit(DONE_WITH_FAILED_PHOTOS)


def run_evaluation(
    data: tuple[str, ...],
    masks: tuple[str, ...],
    model: str | None,
    out: str | None,
    positive: tuple[str, ...],
    negative: tuple[str, ...],
    **options: Any,  # noqa: ANN401 - Click's
) -> Measured:
    """Evaluate as the options say, and print the tables."""
    if not data and not masks:
        raise click.MissingParameter(param_hint="'DATA...' or '--masks'", param_type="argument")
    from pipeline.labels.label_tables import ClassNames
    from pipeline.labels.labelled_tiles import read_labelled_tiles

    # Wrong DATA ends the command before it imports Ray and torch, which takes seconds.
    tiles = read_labelled_tiles(data, ClassNames(positive, negative)) if data else None
    if tiles is not None:
        _print_left_out(tiles)
    config = _config(model, out, **options)
    on_tiles = None if tiles is None else _evaluate_tiles(tiles, config)
    return Measured(on_tiles, _evaluate_masks(masks, config) if masks else None)


def _print_left_out(tiles: "LabelledTiles") -> None:
    """Say what the labelled data holds besides its tiles."""
    if tiles.unlabelled:
        echo(format_unlabelled(tiles.unlabelled), err=True)
    for line in format_unused(tiles):
        echo(line, err=True)


def _config(
    model: str | None,
    out: str | None,
    threshold: float | None,
    repeats: int,
    seed: int,
    overwrite: bool,
    **ray: Any,  # noqa: ANN401 - Click's
) -> "EvaluationConfig":
    from pipeline.cluster.session import ClusterConfig
    from pipeline.evaluation.bootstrap import Bootstrap
    from pipeline.evaluation.evaluate import EvaluationConfig
    from pipeline.models.model import SHIPPED, SHIPPED_MODEL, find_model

    is_shipped = find_model(model) == SHIPPED_MODEL
    return EvaluationConfig(
        model=model or SHIPPED,
        out=out or ("evaluation" if is_shipped else f"{str(model).rstrip('/')}/evaluation"),
        overwrite=overwrite,
        threshold=threshold,
        resampling=Bootstrap(repeats, seed),
        cluster=ClusterConfig(**ray),
    )


def _evaluate_tiles(tiles: "LabelledTiles", config: "EvaluationConfig") -> "Evaluation":
    """Evaluate on labelled tiles, and print the table."""
    from pipeline.cli.evaluate_display import print_tiles
    from pipeline.evaluation.evaluate import evaluate
    from pipeline.scoring.predict import predict_scores

    with progress("tiles") as on_progress:
        evaluation = evaluate(tiles, config, predict_scores, on_progress)
    print_tiles(evaluation)
    return evaluation


def _evaluate_masks(folders: tuple[str, ...], config: "EvaluationConfig") -> "MaskEvaluation":
    """Evaluate on photos with masks, and print the table."""
    from pipeline.cli.evaluate_display import print_masks
    from pipeline.evaluation.mask_evaluation import evaluate_masks
    from pipeline.scoring.predict import predict_maps

    with progress("photos") as on_progress:
        evaluation = evaluate_masks(folders, config, predict_maps, on_progress)
    print_masks(evaluation)
    return evaluation
