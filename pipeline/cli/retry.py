"""`crackscan retry`: score the failed photos again."""

import time
from typing import TYPE_CHECKING, Any, get_args

import click

from pipeline.cli import score
from pipeline.cli.options import fail_on_option, maps_option, model_option, run_options
from pipeline.cli.prices_file import prices_option, read_prices
from pipeline.cli.score_display import end_run, show_run
from pipeline.core.errors import Kind

if TYPE_CHECKING:
    from pipeline.scoring.progress import FailOn

SCALE_OPTIONS = {"mm_per_px", "scale_table", "scale_from"}
"""Options of `score` by parameter. Whether cracks are measured is as in the dataset."""


@click.command("retry")
@click.argument("out", metavar="OUT")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(get_args(Kind)), metavar="KIND",
              help="Only those of this failure_kind; may be repeated.  [default: all]")  # fmt: skip
@model_option
@fail_on_option
@maps_option
@run_options
@prices_option
def command(
    out: str,
    kinds: tuple[str, ...],
    fail_on: "FailOn",
    address: str | None,
    cpus: int | None,
    verbose: bool,
    prices_file: str | None,
    **options: Any,  # noqa: ANN401 - Click's
) -> None:
    """Score the failed photos of the dataset OUT again, once the cause is mended.

    It removes their rows and scores them as `crackscan score` would, from the archives in the plan. `crackscan status
    OUT` counts failed photos by kind. A photo that fails again has a failed row again. Loose photos, and archives of
    which nothing was scored, may have been mended or replaced; of others, `crackscan score --on-changed rescore` scores
    what is there now. Photos tell their scale as in `score`: give its options for scale again, or run `crackscan scale`
    afterwards.

    \b
    Examples:
      crackscan retry scores
      crackscan retry scores --kind too_many_pixels --max-pixels 400000000
      crackscan retry scores --scale distances.csv
    """  # noqa: D301 - \b is Click's mark for "do not rewrap"
    from pipeline.cluster.session import ClusterConfig
    from pipeline.scoring.config import ScoreConfig
    from pipeline.scoring.flow import retry

    cluster, prices = ClusterConfig(address, cpus, verbose), read_prices(prices_file)
    config = ScoreConfig((), out, max_failures=1.0, cluster=cluster, prices=prices, **options)
    began_at = time.monotonic()
    with show_run() as callbacks:
        summary = retry(config, kinds or None, callbacks)
    end_run(summary, out, time.monotonic() - began_at, fail_on)


command.params += [option for option in score.command.params if option.name in SCALE_OPTIONS]
