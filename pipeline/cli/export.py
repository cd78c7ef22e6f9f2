"""`crackscan export`: write a dataset, or its cracks, for other programs."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.messages import echo
from pipeline.cli.options import no_positions_option, overwrite_option, threshold_option
from pipeline.core.counts import count_of
from pipeline.core.errors import UsageError

if TYPE_CHECKING:
    from pipeline.dataset.export import Exported
    from pipeline.reports.crack_drawings import Drawn, Form
    from pipeline.reports.workbook import Written


OF_CRACKS = ("dxf", "svg", "xlsx")
"""The forms that hold cracks and nothing else."""
FORMS_OF = {
    "table": ("--table", "csv and geojson"),
    "program": ("--for", "csv"),
    "threshold": ("--threshold", "csv, geojson, gpkg and duckdb"),
}
"""The forms that an option is for."""


@click.command("export")
@click.argument("dataset", metavar="OUT")
@click.option("--to", "form", required=True, help="What to write.",
              type=click.Choice(["csv", "geojson", "gpkg", "duckdb", "dxf", "svg", "xlsx"]))  # fmt: skip
@click.option("--out", "file", required=True, metavar="FILE",
              help="Path or URL of the file to write; of a folder for dxf and svg.")  # fmt: skip
@click.option("--table", type=click.Choice(["images", "tiles", "cracks", "folders"]),
              help="What a CSV holds, a line each, or a map: images, tiles or cracks.  [default: images]")  # fmt: skip
@click.option("--for", "program", type=click.Choice(["excel"]), help="Make a CSV for a spreadsheet: see below.")
@click.option("--thumbnails", type=click.IntRange(min=0), metavar="N",
              help="At most N pictures in an xlsx, those of the widest cracks.  [default: 2000]")  # fmt: skip
@click.option("--no-thumbnails", "thumbnails", type=int, flag_value=0, is_flag=True, help="As --thumbnails 0.")
@no_positions_option
@threshold_option
@overwrite_option
def command(dataset: str, form: Any, file: str, overwrite: bool, no_positions: bool, **given: Any) -> None:  # noqa: ANN401
    """Write the dataset OUT, or its cracks, for other programs; an older export is replaced.

    \b
    csv      images, or with --table tiles, cracks or folders; times in ISO 8601, empty where a value is missing
    geojson  photos with a position as points with their scores and cracks, or with --table cracks a point for each
             crack, at the position of its photo; of rasters, with --table tiles or cracks, the outlines of tiles at
             or over the threshold and the lines of cracks where they are; in WGS 84, for QGIS (RFC 7946)
    gpkg     the same tiles and cracks of rasters as layers of a GeoPackage, in the raster's coordinate reference
             system, or in its pixels if it has none
    duckdb   a database with the tables images, tiles, cracks, failures, out_of_domain, folders, verdicts,
             elements, findings, and run: what scored them
    dxf, svg a drawing of each photo with cracks, into a folder: the lines in layers by width, in mm where the photo
             has a scale, else in pixels
    xlsx     a workbook with a row for each crack, the widest first, with its picture and a link to its photo

    Cracks in a csv or xlsx also have what people told: state, verdict, comment, by and judged_at once there are
    verdicts, and the columns of their element once `crackscan elements` has been told.

    A CSV holds every value as it is. --for excel marks it as UTF-8, and puts a ' before texts that Excel would run as
    formulas (they begin with = + - @ or a control character) or take for numbers; numbers and times stay as they are.

    The pictures of a workbook are cut out of the photos, which are read from their archives again: minutes for the
    2,000 of the default. Where that cannot be done, rows have no picture.

    A file appears when it is whole. Until then it needs room in the temporary folder; TMPDIR chooses another.

    \b
    Examples:
      crackscan export scores --to csv --out photos.csv
      crackscan export scores --to csv --table tiles --out tiles.csv
      crackscan export scores --to csv --table folders --for excel --out folders.csv
      crackscan export scores --to csv --for excel --out photos.csv
      crackscan export scores --to geojson --out photos.geojson --threshold 0.9
      crackscan export scores --to geojson --table cracks --out cracks.geojson
      crackscan export scores --to gpkg --out deck.gpkg
      crackscan export scores --to dxf --out drawings
      crackscan export scores --to xlsx --out cracks.xlsx
      crackscan export scores --to csv --table cracks --no-positions --out cracks.csv
      crackscan export s3://results/tonight --to duckdb --out tonight.duckdb
    """  # noqa: D301 - \b is Click's mark for "do not rewrap"
    options = {name: value for name, value in given.items() if value is not None}
    _refuse_options(form, options)
    if no_positions:
        _refuse_positions(form)
        options["no_positions"] = True
    made: Exported | Drawn | Written
    if form in {"dxf", "svg"}:
        made = _draw(dataset, form, file, overwrite)
    elif form == "xlsx":
        made = _write_workbook(dataset, file, overwrite, options)
    else:
        made = _export(dataset, form, file, overwrite, options)
    if not made.is_measured and (form in OF_CRACKS or options.get("table") == "cracks"):
        from pipeline.reports.crack_stats import NOT_MEASURED

        echo(f"{dataset} {NOT_MEASURED}", err=True)
    if not made.is_finished:
        echo(f"{dataset} is not finished: more photos will come. `crackscan status` shows how many.", err=True)


def _refuse_positions(form: str) -> None:
    if form in {"dxf", "svg"}:
        raise UsageError(f"--no-positions is for csv, duckdb and xlsx; --to {form} has none. Leave it out.")


def _refuse_options(form: str, options: Mapping[str, Any]) -> None:
    if "thumbnails" in options and form != "xlsx":
        raise UsageError(f"--thumbnails is for the pictures of an xlsx, and --to is {form}. Leave one of them out.")
    for name in options if form in OF_CRACKS else ():
        if name in FORMS_OF:
            option, forms = FORMS_OF[name]
            advice = (
                f"Leave {option} out: what --to {form} writes are cracks."
                if name == "table"
                else "Leave one of them out."
            )
            raise UsageError(f"{option} is for {forms}, and --to is {form}. {advice}")


def _export(dataset: str, form: Any, file: str, overwrite: bool, options: Mapping[str, Any]) -> "Exported":  # noqa: ANN401
    from pipeline.dataset.export import ExportConfig, export

    made = export(ExportConfig(dataset, form, file, overwrite=overwrite, **options))
    echo(_format_exported(made, form))
    for note in made.notes:
        echo(note, err=True)
    return made


def _format_exported(made: "Exported", form: str) -> str:
    if form != "geojson":
        counts = ", ".join(
            f"{count:,} {table}"
            for table, count in sorted(made.rows.items())
            if table != "run" and (count or table not in {"elements", "verdicts"})
        )
        return f"Wrote {counts} to {made.url}"
    if "tiles" in made.rows:
        more = count_of(made.unplaced, "more has", "more have")
        over = count_of(made.rows["tiles"], "tile")
        return f"Wrote {over} at or over the threshold to {made.url}; {more} no position"
    if "cracks" in made.rows:
        more = count_of(made.unplaced, "more is in a photo that has", "more are in photos that have")
        wrote = count_of(made.rows["cracks"], "crack")
    else:
        more = count_of(made.unplaced, "more was scored and has", "more were scored and have")
        wrote = count_of(made.rows["images"], "photo")
    return f"Wrote {wrote} to {made.url}{f'; {more} no position' if made.unplaced else ''}"


def _draw(dataset: str, form: "Form", folder: str, overwrite: bool) -> "Drawn":
    from pipeline.reports.crack_drawings import DrawingConfig, write_drawings

    made = write_drawings(DrawingConfig(dataset, form, folder, overwrite))
    echo(f"Wrote {count_of(made.photos, 'drawing')} of {count_of(made.cracks, 'crack')} to {made.url}")
    return made


def _write_workbook(dataset: str, file: str, overwrite: bool, options: Mapping[str, Any]) -> "Written":
    from pipeline.reports.workbook import WorkbookConfig, write_workbook

    made = write_workbook(WorkbookConfig(dataset, file, overwrite=overwrite, **options))
    echo(f"Wrote {count_of(made.cracks, 'crack')}, {made.thumbnails:,} with a picture, to {made.url}")
    if made.left_out:
        echo(f"A sheet has no room for the {made.left_out:,} narrowest; a CSV has: --to csv --table cracks.",
             err=True)  # fmt: skip
    if made.unreadable:
        [(_, reason), *_] = made.unreadable.items()
        echo(f"No picture of the cracks of {count_of(len(made.unreadable))} that cannot be read any more: {reason}",
             err=True)  # fmt: skip
    return made
