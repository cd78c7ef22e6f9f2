"""`crackscan report`: make one HTML page of a dataset."""

from typing import TYPE_CHECKING

import click

from pipeline.cli.messages import echo
from pipeline.cli.options import overwrite_option, threshold_option
from pipeline.core.counts import count_of

if TYPE_CHECKING:
    from pipeline.reports.dataset_stats import GroupBy


@click.command("report")
@click.argument("out", metavar="OUT")
@click.option(
    "--out", "to", default="report.html", show_default=True, metavar="FILE", help="Page to write, or its URL."
)
@click.option("--top", type=click.IntRange(0, 200), default=24, show_default=True, metavar="N",
              help="Photos shown as cards, the worst ones; 0 reads no archive.")  # fmt: skip
@click.option(
    "--group-by",
    type=click.Choice(["archive", "folder"]),
    help="Rows of the table of groups.  [default: folder, if there is one archive with several]",
)
@click.option(
    "--from-mm",
    type=click.FloatRange(0, min_open=True),
    metavar="MM",
    help="Only cracks at least so wide (95th percentile along them) count: in cards, table and totals.",
)
@click.option("--from-px", type=click.FloatRange(0, min_open=True), metavar="PX",
              help="The same in pixels, for photos without a scale; for all, without --from-mm.")  # fmt: skip
@threshold_option
@overwrite_option
def command(
    out: str,
    to: str,
    top: int,
    group_by: "GroupBy | None",
    from_mm: float | None,
    from_px: float | None,
    threshold: float | None,
    overwrite: bool,
) -> None:
    """Make one HTML page of the dataset OUT: figures, the worst photos with their cracks, all photos as a table.

    Photos with the most crack come first: its length times its width. Cracks are lines over the photos, coloured by
    width, and rows of a table. Where none were measured, photos come by score and show the heat of their tiles.

    The page needs no network and no other file: you can mail, archive and print it. The pictures come from the
    archives; if one cannot be read any more, the cards of its photos have no picture. An older report is replaced.

    \b
    Examples:
      crackscan report scores
      crackscan report scores --out bridge-7.html --top 50
      crackscan report scores --group-by folder
      crackscan report scores --from-mm 0.2
      crackscan report s3://results/tonight --threshold 0.95
    """  # noqa: D301 - \b is Click's mark for "do not rewrap"
    from pipeline.reports.dataset_stats import CrackRule
    from pipeline.reports.report import ReportConfig, write_report

    rule = CrackRule(from_mm, from_px)
    made = write_report(ReportConfig(out, to, top, threshold, group_by, rule=rule, overwrite=overwrite))
    cracks = "" if made.cracks is None else f"{count_of(made.cracks.cracks, 'crack')}, "
    echo(
        f"{made.url}: {cracks}{count_of(made.photos, 'photo')}, {made.cards:,} of them as cards, "
        f"{made.size_bytes / 1000:,.0f} kB."
    )
    missing = made.without_picture
    if missing:
        verbs = "has no picture, for its photo" if missing == 1 else "have no picture, for their photos"
        said = "it says" if missing == 1 else "they say"
        echo(f"{missing:,} of the cards {verbs} cannot be read any more; {said} why.")
