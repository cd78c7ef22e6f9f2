"""`crackscan models quantise`: give a model an int8 network, and measure its loss."""

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.messages import echo, format_unused
from pipeline.cli.options import negative_option, positive_option

if TYPE_CHECKING:
    from pipeline.cli.progress import StageBar
    from pipeline.labels.labelled_tiles import LabelledTiles
    from pipeline.models.card import Quantised


@click.command("quantise")
@click.argument("model", metavar="MODEL")
@click.argument("data", nargs=-1, required=True, metavar="DATA...")
@click.option(
    "--val", multiple=True, metavar="DATA", help="Held-out tiles; may be given again.  [default: a part of DATA]"
)
@click.option("--val-fraction", default=0.2, show_default=True, help="Part of DATA held out where there is no --val.")
@positive_option
@negative_option
def command(model: str, positive: tuple[str, ...], negative: tuple[str, ...], **places: Any) -> None:  # noqa: ANN401 - Click's
    """Give the MODEL folder a network of eight-bit integers, which CPUs compute up to three times as fast.

    `crackscan train` does the same; this is for models without one. DATA is the labelled tiles that the model was
    trained on, as `train` takes them: they give the ranges of the integers, and a new domain score. Other tiles measure
    the loss, which the card keeps: `score --engine auto` takes the int8 network only where it loses at most 0.002 of
    the AUC, and crack scores move by at most 0.02 and domain scores by 0.1 in the mean.

    \b
    Examples:
      crackscan models quantise demo/model demo/sample/tiles/train --val demo/sample/tiles/val
      crackscan models quantise s3://models/tonight tiles.csv
    """  # noqa: D301 - \b is Click's mark for "do not rewrap"
    from pipeline.cli.progress import StageBar
    from pipeline.core.errors import UsageError
    from pipeline.labels.label_tables import ClassNames
    from pipeline.models.engines import probe_openvino

    if (problem := probe_openvino().problem) is not None:
        raise UsageError(f"Nothing can be quantised here: {problem}")
    from pipeline.training.quantise import QuantiseConfig, quantise_folder

    config = QuantiseConfig(model, classes=ClassNames(positive, negative), **places)
    with StageBar() as bar:
        quantised = quantise_folder(config, bar.show, partial(_print_unused, bar))
    echo(f"Wrote int8.xml and int8.bin into {model}")
    echo(*_describe_loss(quantised))


def _print_unused(bar: "StageBar", tiles: "LabelledTiles") -> None:
    """Say which pictures are left out."""
    for line in format_unused(tiles):
        bar.print(line, err=True)


def _describe_loss(quantised: "Quantised") -> tuple[str, str]:
    """Write the loss, and whether `score` will use the network."""
    from pipeline.models.engines import why_not_trusted

    aucs = "" if quantised.auc is None else f"AUC {quantised.auc:.5f}, in floats {quantised.auc_float:.5f}; "
    refusal = why_not_trusted(quantised)
    verdict = "`score` will use it on CPUs." if refusal is None else f"`score` will not use it on its own: {refusal}."
    shifts = f"scores move by {quantised.mean_shift:.4f} in the mean, {quantised.greatest_shift:.2f} at most"
    return f"  on {quantised.tiles:,} held-out tiles: {aucs}{shifts}", verdict
