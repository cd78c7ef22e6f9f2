"""`crackscan export`: write a dataset as one file for other programs."""

from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.messages import echo
from pipeline.cli.options import overwrite_option, threshold_option
from pipeline.core.counts import count_of

if TYPE_CHECKING:
    from pipeline.dataset.export import Exported


@click.command("export")
@click.argument("dataset", metavar="OUT")
@click.option("--to", "form", required=True, type=click.Choice(["csv", "geojson", "duckdb"]), help="What to write.")
@click.option("--out", "file", required=True, metavar="FILE", help="Path or URL of the file to write.")
@click.option("--table", type=click.Choice(["images", "tiles", "folders"]), default="images", show_default=True,
              help="What a CSV holds, a line each.")  # fmt: skip
@click.option("--for", "program", type=click.Choice(["excel"]), help="Make a CSV for a spreadsheet: see below.")
@threshold_option
@overwrite_option
def command(dataset: str, **given: Any) -> None:  # noqa: ANN401 - Click's
    """Write the dataset OUT as one file for other programs; an older export is replaced.

    \b
    csv      images, or with --table tiles or folders; times in ISO 8601, empty where a value is missing
    geojson  photos with a position as points with their scores, for QGIS (RFC 7946)
    duckdb   a database with the tables images, tiles, failures, out_of_domain, folders, and
             run: what scored them

    A CSV holds every value as it is. --for excel marks it as UTF-8, and puts a ' before texts that Excel would run as
    formulas (they begin with = + - @ or a control character) or take for numbers; numbers and times stay as they are.

    The file appears when it is whole. Until then it needs room in the temporary folder; TMPDIR chooses another.

    \b
    Examples:
      crackscan export scores --to csv --out photos.csv
      crackscan export scores --to csv --table tiles --out tiles.csv
      crackscan export scores --to csv --table folders --for excel --out folders.csv
      crackscan export scores --to csv --for excel --out photos.csv
      crackscan export scores --to geojson --out photos.geojson --threshold 0.9
      crackscan export s3://results/tonight --to duckdb --out tonight.duckdb
    """  # noqa: D301 - \b is Click's mark for "do not rewrap"
    from pipeline.dataset.export import ExportConfig, export

    made = export(ExportConfig(dataset, **given))
    echo(_format_result(made, given["form"]))
    if not made.is_finished:
        echo(f"{dataset} is not finished: more photos will come. `crackscan status` shows how many.", err=True)


def _format_result(made: "Exported", form: str) -> str:
    counts = ", ".join(f"{count:,} {table}" for table, count in sorted(made.rows.items()) if table != "run")
    if form != "geojson":
        return f"Wrote {counts} to {made.url}"
    more = count_of(made.unplaced, "more was scored and has", "more were scored and have")
    return f"Wrote {count_of(made.rows['images'], 'photo')} to {made.url}; {more} no position"
