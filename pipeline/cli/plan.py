"""`crackscan plan`: what `score` would do, and how long it would take."""

from typing import Any

import click

from pipeline.cli.messages import echo, list_kinds, print_table
from pipeline.cli.options import address_option, cpus_option, engine_option, model_option, verbose_option
from pipeline.cli.score_display import show_run
from pipeline.core.counts import count_of

NOWHERE = "memory://no-dataset"
"""Stands for the dataset if none is given: an empty place."""
PIPE_WIDTH = 200
"""Columns of a table without a terminal."""


@click.command("plan")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option(
    "--out", default=NOWHERE, metavar="OUT", help="Dataset that the scores would go to.  [default: a new one]"
)
@model_option
@engine_option
@address_option
@cpus_option
@verbose_option
def command(
    inputs: tuple[str, ...],
    out: str,
    address: str | None,
    cpus: int | None,
    verbose: bool,
    **options: Any,  # noqa: ANN401 - Click's
) -> None:
    """Print what `crackscan score INPUT... --out OUT` would do, and write nothing.

    It lists archives, photos and bytes, what is done already, and what is skipped and why. To estimate the time for the
    rest, it scores a few of the photos here and now.

    \b
    Examples:
      crackscan plan photos.zip
      crackscan plan s3://inspections/tonight/ --out s3://results/tonight
    """  # noqa: D301 - \b is Click's mark for "do not rewrap"
    from pipeline.cluster.session import ClusterConfig
    from pipeline.scoring.config import ScoreConfig
    from pipeline.scoring.flow import preview

    with show_run() as callbacks:
        found = preview(ScoreConfig(inputs, out, cluster=ClusterConfig(address, cpus, verbose), **options), callbacks)
    _print_archives(found)
    if found.skipped:
        echo(f"Skipped, for they are no photos: {list_kinds(dict(sorted(found.skipped.items())))}")
    _print_time(found, cpus)


def _print_archives(found: Any) -> None:  # noqa: ANN401 - its module loads torch
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    table.add_column("archive", overflow="fold")
    for name in ("photos", "MB", "done", "unreadable"):
        table.add_column(name, justify="right")
    for archive in found.archives:
        photos = f"{archive.photos:,}" + (" + ?" if archive.uncounted else "")
        table.add_row(archive.archive, photos, f"{archive.size_bytes / 1e6:,.1f}", f"{archive.done:,}",
                      f"{archive.unreadable:,}")  # fmt: skip
    print_table(table, PIPE_WIDTH)
    if any(archive.uncounted for archive in found.archives):
        echo("?: compressed as a whole; its photos are counted while they are scored.")


def _print_time(found: Any, cpus: int | None) -> None:  # noqa: ANN401 - its module loads torch
    import os

    if found.pace is None:
        echo(f"{count_of(found.left, 'photo')} to score.")
        return
    scorers, pace = cpus or os.cpu_count() or 1, found.pace
    rate = found.photos_per_s(scorers)
    echo(
        f"{count_of(found.left, 'photo')} to score: about {_duration(found.left / rate)} on "
        f"{count_of(scorers, 'CPU')} like this machine's, {rate * 3600:,.0f} photos an hour, "
        f"{rate * pace.size_bytes / pace.photos / 1e6:,.1f} MB/s read. Measured just now on {pace.photos} of them: "
        f"{pace.tiles / pace.photos:,.0f} tiles a photo, {pace.tiles / pace.seconds:,.0f} tiles/s on one CPU."
    )


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes:.0f} min" if minutes < 60 else f"{minutes // 60:.0f} h {minutes % 60:.0f} min"
