"""`crackscan score`: photos in, a dataset of crack scores out."""

import shlex
import sys
import time
from typing import Any

import click

from pipeline.cli.options import address_option, cpus_option, model_option, verbose_option
from pipeline.cli.progress import progress

DONE_WITH_FAILED_PHOTOS = 3
WORST_SHOWN = 5
WHY_FAILED = "SELECT image, failure_kind, failure_message FROM failures"
WORST = "SELECT image, crack_score FROM images ORDER BY crack_score DESC LIMIT 20"


@click.command("score")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("--out", required=True, metavar="OUT", help="Folder or URL of the dataset; an unfinished one goes on.")
@model_option
@click.option(
    "--tile", "tile_px", type=click.IntRange(min=16), metavar="PX", help="Side of a tile.  [default: the model's]"
)
@click.option("--overlap", type=click.FloatRange(0, 0.9), metavar="SHARE",
              help="Share of a tile in common with the next, 0 to 0.9.  [default: the model's]")  # fmt: skip
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Score at most N photos, for a trial.")
@click.option("--max-failures", type=click.FloatRange(0, 1), default=0.5, show_default=True, metavar="SHARE",
              help="Stop early when more than this share of the photos fails.")  # fmt: skip
@click.option("--max-pixels", type=click.IntRange(min=1), default=200_000_000, show_default=True, metavar="N",
              help="Photos of more pixels fail instead of filling the memory.")  # fmt: skip
@click.option("--batch-tiles", type=click.IntRange(min=1), default=32, show_default=True, metavar="N",
              help="Tiles the network sees at once; scores do not depend on it.")  # fmt: skip
@click.option(
    "--actors", type=click.IntRange(min=1), metavar="N", help="Scoring processes.  [default: one per GPU, or CPU]"
)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True,
              help="Where the network runs.")  # fmt: skip
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
    """Score the photos of every INPUT and write the dataset OUT.

    INPUT is a folder (searched through, archives in it too), a photo, a .zip, .tar, .tar.gz or .tgz, a glob in
    quotes, or @list.txt with one input a line. Every photo ends in exactly one row of OUT/images; run the same
    command again after an interruption, or with more inputs, and only what is missing is scored.

    \b
    Examples:
      crackscan score photos.zip --out scores
      crackscan score /data/2026/bridge-7 "/data/2026/*.tar" --out scores --overlap 0.25
      crackscan score photos.zip --out trial --limit 20
      crackscan score s3://inspections/tonight.zip --out s3://results/tonight
    """  # noqa: D301 - \b is Click's mark for "do not rewrap"
    from pipeline.cluster import ClusterConfig
    from pipeline.config import ScoreConfig
    from pipeline.flow import Progress, score

    config = ScoreConfig(inputs, out, cluster=ClusterConfig(address, cpus, verbose), **options)
    began_at = time.monotonic()
    with progress("photos") as show:

        def on_progress(now: Progress) -> None:
            rate = now.tiles / (time.monotonic() - began_at)
            show(now.scored + now.failed, now.photos, f"({now.tiles:,} tiles, {rate:,.0f}/s, {now.failed:,} failed)")

        summary = score(config, on_progress)
    _print_summary(summary, out, time.monotonic() - began_at)
    sys.exit(DONE_WITH_FAILED_PHOTOS if summary.failed else 0)


def _print_summary(summary: Any, out: str, seconds: float) -> None:  # noqa: ANN401 - its module imports Ray
    from pipeline.results import worst

    run = summary.run
    if run.photos == 0:
        click.echo(f"Nothing left to score: all {summary.listed:,} photos have their row in {out}.")
    else:
        click.echo(
            f"Scored {run.scored:,} photos ({run.tiles:,} tiles) in {seconds:,.0f} s; {run.failed:,} failed, "
            f"{summary.done_before:,} were done before."
        )
    if summary.skipped:
        kinds = ", ".join(f"{count:,} x {kind}" for kind, count in sorted(summary.skipped.items()))
        click.echo(f"Skipped files that are no photos: {kinds}")
    if summary.left:
        click.echo(f"{summary.left:,} photos are left; run it again without --limit to score them.")
    for photo in worst(out, WORST_SHOWN):
        click.echo(f"  {photo.crack_score:.3f}  {photo.crack_tiles:>4} of {photo.tiles} tiles  {photo.image}")
    if summary.failed:
        click.echo(f"{summary.failed:,} photos failed; see why:\n  crackscan query {shlex.quote(out)} '{WHY_FAILED}'")
    click.echo(f"Next:\n  crackscan query {shlex.quote(out)} '{WORST}'")
