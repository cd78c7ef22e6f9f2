"""`crackscan train`: fine-tunes a network on labelled tiles."""

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli import train_from
from pipeline.cli.config_file import config_option
from pipeline.cli.messages import echo
from pipeline.cli.options import training_options
from pipeline.cli.verdict_labels import resolve_datasets

if TYPE_CHECKING:
    from pipeline.evaluation.operating_point import OperatingTarget
    from pipeline.training.config import TrainConfig
    from pipeline.training.flow import TrainResult

TRAINING_OPTIONS = ("epochs", "head_epochs", "epoch_tiles", "batch_size", "learning_rate", "dense", "augment", "seed")
"""Options whose defaults come from the preset."""


@click.command("train")
@click.argument("data", nargs=-1, required=True, metavar="DATA...")
@click.option("--out", required=True, metavar="MODEL_DIR", help="Folder or URL for the model.")
@click.option(
    "--val",
    multiple=True,
    metavar="DATA",
    help="Held-out tiles; may be given again.  [default: a part of DATA; with --from each photo in turn]",
)
@click.option("--val-fraction", default=0.2, show_default=True, help="Part of DATA held out where there is no --val.")
@click.option(
    "--preset",
    default="standard",
    show_default=True,
    type=click.Choice(["quick", "standard"]),
    help="quick: minutes on two CPU cores. standard: half an hour to an hour.",
)
@click.option(
    "--from",
    "from_model",
    metavar="MODEL",
    help="Adapt this model (`shipped`, or a folder) to a few labels of your own: only its last layer changes, little "
    "with few labels, in a minute. Says whether it got better. Takes no option that shapes a training.",
)
@click.option("--backbone", metavar="NAME", help="Any model name of timm.  [default: tf_efficientnet_lite0]")
@click.option(
    "--augment",
    type=click.Choice(["none", "plain", "field"]),
    help="How tiles are changed at random. plain: framing and light. field: far more, and cracks and look-alikes are "
    "drawn on them.  [default: field]",
)
@click.option("--seed", type=click.IntRange(min=0), help="Same seed, same model, with one worker to the last bit.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes.  [default: one a GPU, or one a CPU]")
@click.option("--storage", metavar="DIR", help="Folder or URL for checkpoints.  [default: MODEL_DIR/checkpoints]")
@click.option("--mlflow", metavar="URL", help="MLflow server to log the run to; needs crackscan[mlflow].")
@click.option(
    "--calibrate-on",
    metavar="DIR",
    help="Results of `models compare`: scores and threshold are fitted to its trials.  [default: validation tiles]",
)
@click.option(
    "--false-alarms",
    type=float,
    metavar="RATE",
    help="Part of the sound tiles that the threshold may call cracked, with --calibrate-on.  [default: 0.01]",
)
@click.option(
    "--base-rate",
    type=float,
    metavar="RATE",
    help="Part of the field's tiles that are cracked, for the precision in the card, with --calibrate-on.  "
    "[default: 0.03]",
)
@click.option(
    "--licence", multiple=True, help="Of the data, for the card: once, or once for each DATA, --clutter and --val."
)
@click.option("--attribution", multiple=True, help="Who made the data, for the card: likewise.")
@click.option("--note", metavar="TEXT", help="What people must know before they trust the model, for the card.")
@training_options
@config_option
@click.pass_context
def command(ctx: click.Context, /, out: str, from_model: str | None, **given: Any) -> None:  # noqa: ANN401 - Click's
    """Fine-tune a network to tell cracked tiles from sound ones.

    DATA is a folder or URL with Positive/ and Negative/ below it at any depth; or one with photos in images/ and their
    crack masks (same name and size, over 0 = crack) in masks/, from which cracked and sound tiles are cut; or an export
    of a labelling tool (COCO, labelme, YOLO, Pascal VOC, CVAT, Label Studio); or a CSV or Parquet table of path and
    label; or a dataset that `score` wrote and people judged, whose verdicts are the labels. Tiles of one photo, and
    near-identical tiles, never stand on both sides. Options not given come from the preset. The same command continues
    an interrupted run from its last epoch.

    \b
    What is written:
      MODEL_DIR/model.safetensors, card.json, README.md   the model
      MODEL_DIR/int8.xml, int8.bin                        its network in eight-bit integers, for CPUs
      MODEL_DIR/history.parquet                           every epoch's figures

    \b
    Examples:
      crackscan train demo/tiles/train --val demo/tiles/val --out demo/model --preset quick
      crackscan train tiles.csv --out model --val-fraction 0.3 --epochs 20
      crackscan train sdnet/ --out model --positive CD --positive CW --negative UD --negative UW
      crackscan train coco.json --out model --positive crack --negative "no crack"
      crackscan train a/ b/ --clutter plants/ --out model
      crackscan train looked-at --from shipped --out model-of-mine
      crackscan train scores --from shipped --out model-of-mine
      crackscan train a/ b/ --out model --backbone convnext_tiny --weights convnext.safetensors
    """  # noqa: D301 - \b is Click's mark for "do not rewrap"
    if from_model is None:
        echo(*_format_result(run_training(out=out, **given), out))
    else:
        train_from.refuse_other_options(ctx)
        train_from.adapt(out, from_model, given)


def run_training(out: str, preset: str, **given: Any) -> "TrainResult":  # noqa: ANN401 - Click's
    """Train as the options say, and show the progress."""
    # Two threads of numpy's matrix product on busy cores are four to thirty times slower than one; read at its import.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from pipeline.cli.train_display import TrainDisplay
    from pipeline.training import flow

    use = _operating_target(given)
    given |= {name: resolve_datasets(given[name]) for name in ("data", "val")}
    config = _config(out, preset, given)
    with TrainDisplay(config.hyperparameters) as display:
        return flow.train(config, display, use)


def _operating_target(given: dict[str, Any]) -> "OperatingTarget | None":
    """Take out the options of the calibration."""
    from pipeline.evaluation.operating_point import OperatingTarget

    trials = given.pop("calibrate_on")
    rates = {"false_alarm_rate": given.pop("false_alarms"), "base_rate": given.pop("base_rate")}
    known = {name: rate for name, rate in rates.items() if rate is not None}
    if trials is None and known:
        raise click.UsageError("--false-alarms and --base-rate need trials: give --calibrate-on as well.")
    return None if trials is None else OperatingTarget(trials, **known)


def _config(out: str, preset: str, given: dict[str, Any]) -> "TrainConfig":
    """Replace settings of the preset by the given options."""
    from pipeline.cluster.session import ClusterConfig
    from pipeline.labels.label_tables import ClassNames
    from pipeline.models.backbones import DEFAULT_BACKBONE
    from pipeline.models.card import About
    from pipeline.training.config import PRESETS, TrainConfig

    training = {name: given.pop(name) for name in TRAINING_OPTIONS}
    names = ClassNames(given.pop("positive"), given.pop("negative"))
    about = About(given.pop("licence"), given.pop("attribution"), given.pop("note"))
    ray = ClusterConfig(given.pop("address"), given.pop("cpus"), given.pop("verbose"))
    return TrainConfig(
        out=out,
        classes=names,
        backbone=given.pop("backbone") or DEFAULT_BACKBONE,
        hyperparameters=replace(
            PRESETS[preset], **{name: value for name, value in training.items() if value is not None}
        ),
        about=about,
        cluster=ray,
        **given,
    )


def _format_result(result: "TrainResult", out: str) -> list[str]:
    """Write the figures, and what to type next."""
    card, metrics = result.card, result.card.metrics
    opening = "This model is already there and was left as it is" if result.already_there else "Wrote model"
    epoch = int(card.training["best_epoch"] or 0) + 1
    figures = (
        f"AP {metrics['average_precision']:.4f}",
        f"AUC {metrics['auc']:.5f}",
        f"accuracy {metrics['accuracy']:.4f}",
    )
    return [
        f"{opening}: {out}  ({card.model_id}, epoch {epoch} of {card.training['epochs_done']})",
        f"  on the validation tiles: {', '.join(figures)} at threshold {card.threshold}",
        "Next:",
        f"  crackscan models show {out}",
        f"  crackscan evaluate --model {out} DATA…",
        f"  crackscan score PHOTOS… --model {out} --out SCORES",
    ]
