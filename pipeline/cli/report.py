"""`crackscan report`: make one HTML page, or a PDF, of a dataset."""

from typing import TYPE_CHECKING

import click

from pipeline.cli.messages import echo
from pipeline.cli.options import crop_only_option, no_positions_option, overwrite_option, threshold_option
from pipeline.core.counts import count_of

if TYPE_CHECKING:
    from pipeline.reports.dataset_stats import GroupBy


@click.command("report")
@click.argument("out", metavar="OUT")
@click.option("--out", "to", metavar="FILE",
              help="Page to write, or its URL.  [default: report.html, or with --pdf report.pdf]")  # fmt: skip
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
@click.option("--confirmed", is_flag=True, help="Only what somebody confirmed: see `crackscan verdicts`.")
@click.option("--pdf", is_flag=True, help="Print the page into a PDF, by a Chromium, Chrome or Edge of this machine.")
@crop_only_option
@no_positions_option
@threshold_option
@overwrite_option
def command(
    out: str,
    to: str | None,
    top: int,
    group_by: "GroupBy | None",
    from_mm: float | None,
    from_px: float | None,
    confirmed: bool,
    pdf: bool,
    crop_only: bool,
    no_positions: bool,
    threshold: float | None,
    overwrite: bool,
) -> None:
    """Make one HTML page of the dataset OUT: figures, the worst photos with their cracks, all photos as a table.

    Photos with the most crack come first: its length times its width. Cracks are lines over the photos, coloured by
    width, and rows of a table. Where none were measured, photos come by score and show the heat of their tiles.

    Where elements are told (`crackscan elements`) or verdicts given, it lists findings element by element: confirmed,
    open, unclear and rejected ones. Cracks that somebody rejected count nowhere else.

    The page needs no network and no other file: you can mail, archive and print it. The pictures come from the
    archives; if one cannot be read any more, the cards of its photos have no picture. An older report is replaced.

    \b
    Examples:
      crackscan report scores
      crackscan report scores --out bridge-7.html --top 50
      crackscan report scores --group-by folder
      crackscan report scores --from-mm 0.2
      crackscan report scores --confirmed --pdf --out bridge-7.pdf
      crackscan report scores --crop-only --no-positions
      crackscan report s3://results/tonight --threshold 0.95
    """  # noqa: D301 - \b is Click's mark for "do not rewrap"
    from pipeline.reports.dataset_stats import CrackRule
    from pipeline.reports.report import ReportConfig, write_report

    rule = CrackRule(from_mm, from_px, confirmed)
    options = {"overwrite": overwrite, "pdf": pdf, "crop_only": crop_only, "no_positions": no_positions}
    file = to or ("report.pdf" if pdf else "report.html")
    made = write_report(ReportConfig(out, file, top, threshold, group_by, rule=rule, **options))
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
