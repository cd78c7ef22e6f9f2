"""`crackscan plan`: what `score` would do, and how long it would take."""

import time
from typing import Any

import click

from pipeline.cli.config_file import config_option
from pipeline.cli.messages import echo, list_kinds, print_table
from pipeline.cli.options import run_options, score_options
from pipeline.cli.prices_file import prices_option
from pipeline.cli.score import make_config
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
@score_options
@run_options
@prices_option
@config_option
def command(fail_on: str, watch: float | None, until: str | None, **given: Any) -> None:  # noqa: ANN401 - Click's
    """Print what `crackscan score INPUT... --out OUT` would do, and write nothing.

    First it lists archives, photos and bytes, what is done already, and what is skipped and why. Then it rehearses: it
    starts what `score` would start and scores a few of the photos, to tell how long the job takes from its start to
    its end. That takes as long as a job of a few photos. It takes all options of `score`, since tiles, overlap,
    maps, cracks and scorers change the time.

    \b
    Examples:
      crackscan plan photos.zip
      crackscan plan photos.zip --overlap 0.25 --maps
      crackscan plan s3://inspections/tonight/ --out s3://results/tonight --address auto
      crackscan plan --config tonight.yaml
    """  # noqa: D301 - \b is Click's mark for "do not rewrap"
    began_at_s = time.monotonic()
    from pipeline.scoring.flow import preview

    del fail_on, watch, until  # say how and when `score` ends
    config = make_config(**given)
    with show_run(_print_counts) as callbacks:
        found = preview(config, callbacks, began_at_s=began_at_s)
    _print_time(found)
    if config.prices is not None and found.pace is not None:
        cost = config.prices.cost(found.pace.nodes, found.pace.job_time(found.counts).total_s)
        echo(f"Cost: about {cost}, storage and traffic not included.")


def _print_counts(counts: Any) -> None:  # noqa: ANN401 - its module loads pyarrow
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    table.add_column("archive", overflow="fold")
    for name in ("photos", "MB", "done", "unreadable"):
        table.add_column(name, justify="right")
    for archive in counts.archives:
        photos = f"{archive.photos:,}" + (" + ?" if archive.uncounted else "")
        table.add_row(archive.archive, photos, f"{archive.size_bytes / 1e6:,.1f}", f"{archive.done:,}",
                      f"{archive.unreadable:,}")  # fmt: skip
    print_table(table, PIPE_WIDTH)
    if any(archive.uncounted for archive in counts.archives):
        echo("?: compressed as a whole; its photos are counted while they are scored.")
    if counts.skipped:
        echo(f"Skipped, for they are no photos: {list_kinds(dict(sorted(counts.skipped.items())))}")


def _print_time(found: Any) -> None:  # noqa: ANN401 - its module loads pyarrow
    counts, pace = found.counts, found.pace
    photos, streams = count_of(counts.left, "photo"), count_of(counts.uncounted, "archive")
    if pace is None:
        unread = ", and those of archives that are read from front to back only, whose time is not known before"
        echo(f"{photos} to score{unread if counts.left or counts.uncounted else ''}.")
        return
    needed = pace.job_time(counts)
    maps = f", {_duration(needed.maps_s)} to draw crack maps" if needed.maps_s else ""
    echo(
        f"{photos} to score: about {_duration(needed.total_s)} on {_machines(pace)}: {_duration(needed.start_s)} to "
        f"start, {_duration(needed.photos_s)} to read and score{maps}, {_duration(needed.end_s)} to end."
    )
    if counts.uncounted:
        echo(f"The photos of {streams} compressed as a whole come on top; their time is not known before.")
    rate, tiles = pace.photos_per_s, pace.cost.tiles
    echo(
        f"Measured just now on {pace.tried} of them, with {count_of(pace.placement.actors, 'scorer')}: "
        f"{tiles:,.0f} tiles a photo, {rate * tiles:,.0f} tiles/s, {rate * 3600:,.0f} photos an hour, "
        f"{rate * counts.left_bytes / counts.left / 1e6:,.1f} MB/s read."
    )


def _machines(pace: Any) -> str:  # noqa: ANN401 - its module loads pyarrow
    cpus, gpus = (sum(values) for values in zip(*((node.cpus, node.gpus) for node in pace.nodes), strict=True))
    gpu = f"{count_of(int(gpus), 'GPU')} and " if pace.placement.gpus else ""
    return f"{gpu}{count_of(int(cpus), 'CPU')}"


def _duration(seconds: float) -> str:
    """Write a duration with two digits, because rounding must not spoil an estimate."""
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = seconds / 60
    if minutes < 10:
        return f"{minutes:.1f} min"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes // 60:.0f} h {minutes % 60:.0f} min"
