"""Options that several commands share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


class Seconds(click.ParamType[float]):
    """The value of an option that may stand without one, and then takes a word behind it for its value."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401
        """Convert a number."""
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is no number of seconds. Does an input follow? Write --watch=60.", param, ctx)


address_option = click.option(
    "--address",
    metavar="ADDRESS",
    help="Running Ray cluster, seen from one of its machines: auto, or HOST:PORT.  [default: a private Ray]",
)

dashboard_option = click.option(
    "--address",
    envvar="RAY_API_SERVER_ADDRESS",
    show_envvar=True,
    default="http://127.0.0.1:8265",
    show_default=True,
    metavar="URL",
    help="Dashboard of the Ray cluster.",
)

cpus_option = click.option(
    "--cpus",
    type=click.IntRange(min=1),
    metavar="N",
    help="CPUs that the private Ray may use.  [default: all of this machine]",
)

verbose_option = click.option("-v", "--verbose", is_flag=True, help="Show Ray's own log lines and progress bars.")

model_option = click.option(
    "--model",
    metavar="MODEL",
    help="Model folder or URL, made by `crackscan train`; or `shipped`.  [default: the dataset's, or shipped]",
)

engine_option = click.option(
    "--engine",
    type=click.Choice(["auto", "openvino-int8", "openvino-bf16", "openvino-fp32", "torch-fp32", "torch-fp16"]),
    default="auto",
    show_default=True,
    help="What computes scores. auto: what the dataset began with; else on a GPU torch-fp16, on a CPU OpenVINO, "
    "with the model's int8 network if its measured scores are as good.",
)

threshold_option = click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    metavar="SCORE",
    help="Count a tile in crack_tiles from this score on; nothing is scored again.  [default: the model's, as scored]",
)

fail_on_option = click.option(
    "--fail-on",
    type=click.Choice(["new", "any", "never"]),
    default="any",
    show_default=True,
    help="What ends with exit code 3: photos that failed and inputs that changed in this run (new), or ever (any).",
)

overwrite_option = click.option(
    "--overwrite",
    is_flag=True,
    help="Also replace a file of the same kind that this command did not write; never an input or another kind.",
)

crop_only_option = click.option(
    "--crop-only",
    is_flag=True,
    help="Show no photo as a whole: only what is around cracks, or the worst tile, at most half its height and width.",
)

no_positions_option = click.option(
    "--no-positions",
    is_flag=True,
    help="Leave out where photos were taken: latitude, longitude and altitude.",
)

maps_option = click.option(
    "--maps",
    is_flag=True,
    help="Also keep a crack map, OUT/maps/<image_id>.png, of every photo at or over the model's threshold. Photos that "
    "already have their row get none.",
)

positive_option = click.option(
    "--positive",
    multiple=True,
    default=("Positive",),
    show_default=True,
    metavar="NAME",
    help="Name of cracked tiles: of a folder, or in a table's column label. May be given again.",
)

negative_option = click.option(
    "--negative",
    multiple=True,
    default=("Negative",),
    show_default=True,
    metavar="NAME",
    help="Name of sound tiles. May be given again.",
)

_SCORE = (
    model_option,
    click.option("--tile", "tile_px", type=click.IntRange(min=16), metavar="PX",
                 help="Side of a tile.  [default: the model's]"),
    click.option("--overlap", type=click.FloatRange(0, 0.9), metavar="SHARE",
                 help="Share of a tile in common with the next, 0 to 0.9.  [default: the model's]"),
    click.option("--overview", type=click.IntRange(min=0), metavar="N",
                 help="Of rasters, score the N-th overview: each usually has half the pixels of the one before along a "
                 "side, so that thin cracks vanish and a pixel spans more mm.  [default: 0, the raster itself]"),
    click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Score at most N photos, for a trial."),
    click.option("--max-failures", type=click.FloatRange(0, 1), default=0.5, show_default=True, metavar="SHARE",
                 help="Stop early when more than this share of the photos fails."),
    click.option("--on-changed", type=click.Choice(["report", "fail", "rescore"]), default="report", show_default=True,
                 help="An archive or photo was replaced after it was listed. report: name it, keep its scores, score "
                 "the rest. fail: score nothing. rescore: remove its scores and score what is there now."),
    click.option("--cracks/--no-cracks", default=None,
                 help="Also measure cracks, their lines and widths, in photos at or over the model's threshold: a row "
                 "each in OUT/cracks.  [default: if the model can, or as the dataset was begun]"),
    click.option("--mm-per-px", type=click.FloatRange(0, min_open=True), metavar="X",
                 help="Millimetres of the surface to a pixel of every photo, such as 0.42, for lengths and widths of "
                 "cracks in mm.  [default: as --scale says, else as each photo says itself]"),
    click.option("--scale", "scale_table", metavar="TABLE",
                 help="CSV or Parquet, or URL of one, with the columns image (a name, or a glob such as pier-7/*.JPG "
                 "or */night.zip/*) and mm_per_px or distance_m. The first row that matches a photo counts."),
    click.option("--scale-from", type=click.Choice(["precise", "coarse"]), default="precise", show_default=True,
                 help="What a photo may say of its scale. precise: the distance of the drone's laser. coarse: else "
                 "that of the autofocus, a guess."),
    click.option("--watch", type=Seconds(), is_flag=False, flag_value=60.0, metavar="[SECONDS]",
                 help="Go on: look at the inputs again, every 60 s or as often as given, and score what is new and "
                 "complete, until Ctrl-C or --until. Stands behind the inputs, or as --watch=60."),
    click.option("--until", metavar="TIME",
                 help="When --watch stops: a time of day, such as 06:00, or 2026-11-30T06:00."),
    fail_on_option,
    maps_option,
    engine_option,
)  # fmt: skip

_RUN = (
    click.option("--max-pixels", type=click.IntRange(min=1), default=200_000_000, show_default=True, metavar="N",
                 help="Photos of more pixels fail instead of filling the memory; TIFFs of more are scored by windows."),
    click.option("--max-photo-bytes", type=click.IntRange(min=1), default=1 << 30, show_default=True, metavar="N",
                 help="Photo files of more bytes fail, and are not read."),
    click.option("--max-ratio", type=click.FloatRange(min=1), default=200.0, show_default=True, metavar="X",
                 help="Large members of an archive that claim to grow more than X-fold fail: a zip bomb does."),
    click.option("--batch-tiles", type=click.IntRange(min=1), metavar="N",
                 help="Tiles the network sees at once; scores do not depend on it.  [default: 8, and 128 on a GPU]"),
    click.option("--actors", type=click.IntRange(min=1), metavar="N",
                 help="Scoring processes.  [default: one per CPU, or up to six per GPU]"),
    click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True,
                 help="Where the network runs."),
    address_option,
    cpus_option,
    verbose_option,
)  # fmt: skip


_TRAINING = (
    click.option("--clutter", multiple=True, metavar="DATA",
                 help="More tiles, all sound, of what else photos show: plants, water, metal, sky. No crack is drawn "
                 "on them, and photos of such things stay flagged as unlike the training tiles. May be given again."),
    click.option("--weights", metavar="FILE",
                 help='Weights to start from, of a file or a model; or "none".  [default: pre-trained ones]'),
    click.option("--epochs", type=click.IntRange(min=0), help="Epochs in which everything is trained."),
    click.option("--head-epochs", type=click.IntRange(min=0), help="Epochs before them for the last layer alone."),
    click.option("--epoch-tiles", type=click.IntRange(min=1), metavar="N", help="Tiles an epoch takes at most."),
    click.option("--batch-size", type=click.IntRange(min=1), help="Tiles to a step, over all workers."),
    click.option("--learning-rate", type=float, help="At its highest, when everything is trained."),
    click.option("--dense/--no-dense", default=None,
                 help="Also train where in a tile the crack is, pixel by pixel, from masks and drawn cracks.  "
                 "[default: --dense]"),
    click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True,
                 help="Where the network is trained."),
    positive_option,
    negative_option,
    address_option,
    cpus_option,
    verbose_option,
)  # fmt: skip


def training_options(command: Command) -> Command:
    """Add the options that `train` and `models compare` share."""
    for option in reversed(_TRAINING):
        command = option(command)
    return command


def score_options(command: Command) -> Command:
    """Add the options that `score` and `plan` share, besides those of `run_options`."""
    for option in reversed(_SCORE):
        command = option(command)
    return command


def run_options(command: Command) -> Command:
    """Add the options that `score`, `plan` and `retry` share."""
    for option in reversed(_RUN):
        command = option(command)
    return command
