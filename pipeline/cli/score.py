"""`crackscan score`: photos in, a dataset of crack scores out."""

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.config_file import config_option
from pipeline.cli.options import run_options, score_options
from pipeline.cli.prices_file import prices_option, read_prices
from pipeline.cli.score_display import end_run, show_run
from pipeline.cli.watch_display import show_watch

if TYPE_CHECKING:
    from pipeline.scoring.config import ScoreConfig
    from pipeline.scoring.progress import FailOn, ScoreSummary


@click.command("score")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("--out", required=True, metavar="OUT", help="Folder or URL of the dataset, new or unfinished.")
@score_options
@run_options
@prices_option
@config_option
def command(out: str, fail_on: "FailOn", **given: Any) -> None:  # noqa: ANN401 - Click's
    """Score the photos of every INPUT and write the dataset OUT.

    INPUT is a folder (searched through, archives in it too), a photo, a .zip, .tar, .tar.gz, .tar.bz2, .tar.xz or
    .tar.zst, a glob in quotes, or @list.txt with one input a line, relative to the list's folder; each on disk or as a
    URL such as s3://…. Every photo ends in exactly one row of OUT/images; run the same command again after an
    interruption, or with more inputs, and only what is missing is scored.

    Photos with cracked tiles are looked into: every crack is a row of OUT/cracks, with its line, length and width in
    pixels, and in millimetres where the scale is known (--mm-per-px, --scale, or a drone's laser).

    A crack map (--maps) is a grey picture of the photo, smaller by the whole number in its PNG text "scale": black is
    sound, white a crack for sure. Scores are the same with and without.

    A TIFF of more than --max-pixels, such as an orthophoto, is scored by windows: an archive whose photos are named by
    row and column of their upper left pixel. --overview scores a smaller picture in the file instead.

    A photo's scale, in mm to a pixel, comes from the first of these that tells it: --mm-per-px, --scale, the photo's
    laser and focal length, and with --scale-from coarse its autofocus. Its source stands in the column scale_source.

    With --watch it does not end with the last photo: it looks at the inputs again, every 60 s or as often as you say,
    and scores what is new and complete, that is, the same at two looks (in an object store, at once). Ctrl-C or --until
    ends it: with 0 when nothing is left, with 4 when something is.

    \b
    Examples:
      crackscan score photos.zip --out scores
      crackscan score /data/2026/bridge-7 "/data/2026/*.tar" --out scores --overlap 0.25
      crackscan score photos.zip --out trial --limit 20
      crackscan score photos.zip --out scores --maps
      crackscan score photos.zip --out scores --mm-per-px 0.42
      crackscan score photos.zip --out scores --scale distances.csv --scale-from coarse
      crackscan score deck.tif --out scores --overview 1
      crackscan score s3://inspections/tonight/ --out s3://results/tonight
      crackscan score s3://inspections/ --out s3://results/all --on-changed rescore --fail-on new
      crackscan score /data/incoming --out scores --watch
      crackscan score s3://inspections/ --out s3://results/all --watch 300 --until 06:00
      crackscan score photos.zip --out scores --prices prices.yaml
      crackscan score --config tonight.yaml
    """  # noqa: D301 - \b is Click's mark for "do not rewrap"
    began_at = time.monotonic()
    summary = run_score(out=out, **given)
    end_run(summary, out, time.monotonic() - began_at, fail_on)


def run_score(watch: float | None, until: str | None, **given: Any) -> "ScoreSummary":  # noqa: ANN401 - Click's
    """Score as the options say, and show the progress."""
    from pipeline.scoring.flow import score

    config = make_config(**given)
    if watch is not None:
        return _watch(config, watch, until)
    if until is not None:
        raise click.UsageError("--until tells a watch when to stop: give --watch, too.")
    with show_run() as callbacks:
        return score(config, callbacks)


def _watch(config: "ScoreConfig", every_s: float, until: str | None) -> "ScoreSummary":
    """Score what comes until it is time to stop, and show how the watch stands."""
    from pipeline.watch.flow import watch
    from pipeline.watch.schedule import Schedule, parse_until

    schedule = Schedule(every_s, None if until is None else parse_until(until, datetime.now(UTC)))
    with show_watch() as callbacks:
        return watch(config, schedule, callbacks)


def make_config(
    inputs: tuple[str, ...],
    out: str,
    address: str | None,
    cpus: int | None,
    verbose: bool,
    prices_file: str | None,
    **options: Any,  # noqa: ANN401 - Click's
) -> "ScoreConfig":
    """Make the configuration of a run from the options of `score`."""
    from pipeline.cluster.session import ClusterConfig
    from pipeline.scoring.config import ScoreConfig

    cluster, prices = ClusterConfig(address, cpus, verbose), read_prices(prices_file)
    return ScoreConfig(inputs, out, cluster=cluster, prices=prices, **options)
