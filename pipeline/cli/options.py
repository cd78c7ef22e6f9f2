"""Options that several commands share, declared once."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

address_option = click.option(
    "--address",
    metavar="ADDRESS",
    help="Running Ray cluster, seen from one of its machines: auto, or HOST:PORT.  [default: a private Ray]",
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
    help="Model folder or URL, made by `crackscan train`.  [default: the dataset's, or the shipped model]",
)

threshold_option = click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    metavar="SCORE",
    help="Count a tile in crack_tiles from this score on; nothing is scored again.  [default: the model's, as scored]",
)

maps_option = click.option(
    "--maps",
    is_flag=True,
    help="Also keep a crack map, OUT/maps/<image_id>.png, of every photo at or over the model's threshold. Photos that "
    "have their row already get none.",
)

_RUN = (
    click.option("--max-pixels", type=click.IntRange(min=1), default=200_000_000, show_default=True, metavar="N",
                 help="Photos of more pixels fail instead of filling the memory."),
    click.option("--max-photo-bytes", type=click.IntRange(min=1), default=1 << 30, show_default=True, metavar="N",
                 help="Photo files of more bytes fail, and are not read."),
    click.option("--max-ratio", type=click.FloatRange(min=1), default=200.0, show_default=True, metavar="X",
                 help="Large members of an archive that claim to grow more than X-fold fail: a zip bomb does."),
    click.option("--batch-tiles", type=click.IntRange(min=1), default=32, show_default=True, metavar="N",
                 help="Tiles the network sees at once; scores do not depend on it."),
    click.option("--actors", type=click.IntRange(min=1), metavar="N",
                 help="Scoring processes.  [default: one per GPU, or CPU]"),
    click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True,
                 help="Where the network runs."),
    address_option,
    cpus_option,
    verbose_option,
)  # fmt: skip


def run_options(command: Command) -> Command:
    """Add what `score` and `retry` have in common."""
    for option in reversed(_RUN):
        command = option(command)
    return command
