"""`crackscan overlay`: draw photos, or regions of rasters, with their cracks or heat, and photos on a map."""

import sys
from typing import TYPE_CHECKING

import click

from pipeline.cli.messages import echo
from pipeline.cli.options import crop_only_option, overwrite_option
from pipeline.core.counts import count_of
from pipeline.core.errors import UsageError

if TYPE_CHECKING:
    from pipeline.dataset.export import ExportConfig
    from pipeline.reports.overlay import OverlayConfig
    from pipeline.reports.thumbnails import Form

FAILED = 1


def _read_region(_context: click.Context, _option: click.Parameter, text: str | None) -> tuple[int, ...] | None:
    """Parse the four numbers of `--region`."""
    if text is None:
        return None
    numbers = [part.strip() for part in text.split(",")]
    if len(numbers) != 4 or not all(number.isdecimal() for number in numbers):
        raise click.BadParameter(
            f"{text!r} is no region; expected LEFT,TOP,WIDTH,HEIGHT in pixels, such as 0,0,900,600."
        )
    return tuple(map(int, numbers))


@click.command("overlay")
@click.argument("out", metavar="OUT")
@click.argument("images", nargs=-1, metavar="[IMAGE]...")
@click.option(
    "--out", "to", default="overlays", show_default=True, metavar="FOLDER", help="Folder or URL to write into."
)
@click.option("--format", "form", type=click.Choice(["png", "jpeg"]), default="png", show_default=True,
              help="PNG keeps the photo as it is; JPEG is smaller.")  # fmt: skip
@click.option("--cracks", is_flag=True, help="Draw the lines of cracks, coloured by width, and no heat.")
@click.option("--geojson", metavar="FILE", help="Also write all photos with a position, for QGIS, as `export` does.")
@click.option("--region", callback=_read_region, metavar="LEFT,TOP,WIDTH,HEIGHT",
              help="Draw this region of a raster, in its pixels; IMAGE is then its path.")  # fmt: skip
@crop_only_option
@overwrite_option
def command(
    out: str,
    images: tuple[str, ...],
    to: str,
    form: "Form",
    cracks: bool,
    geojson: str | None,
    region: tuple[int, ...] | None,
    crop_only: bool,
    overwrite: bool,
) -> None:
    """Draw photos of the dataset OUT with their cracks, or the scores of their tiles, over them.

    IMAGE is a photo's path in its archive, the end of that path, or its image_id. The command reads the
    photo from its archive again and draws it in its own size, with a legend below; with --cracks also with a scale bar
    where its scale is known. Exit code 1 if one cannot be read any more. With --region, IMAGE is the path or URL of one
    raster, or its end.

    \b
    Examples:
      crackscan overlay scores DJI_0042.JPG
      crackscan overlay scores span-3/DJI_0042.JPG span-3/DJI_0043.JPG --out pictures --format jpeg
      crackscan overlay scores DJI_0042.JPG --cracks
      crackscan overlay scores DJI_0042.JPG --cracks --crop-only
      crackscan overlay scores deck.tif --region 12000,4000,3000,2000 --cracks
      crackscan overlay scores --geojson photos.geojson
    """  # noqa: D301 - \b is Click's mark for "do not rewrap"
    if not images and geojson is None:
        raise UsageError("No IMAGE was given; expected a photo's path in its archive or its image_id, or --geojson.")
    if region is not None and len(images) != 1:
        raise UsageError(f"--region is of one raster, and {count_of(len(images), 'IMAGE was', 'IMAGEs were')} given.")
    if region is not None and crop_only:
        raise UsageError("--region says which part of a raster is drawn, and --crop-only chooses one. Leave one out.")
    from pipeline.dataset.export import ExportConfig, check_export
    from pipeline.reports.overlay import OverlayConfig

    table = None if geojson is None else ExportConfig(out, "geojson", geojson, overwrite=overwrite, option="--geojson")
    if table is not None:
        check_export(table)  # before the pictures, which take minutes
    is_complete = not images or _draw(OverlayConfig(out, images, to, form, overwrite, cracks, crop_only), region)
    if table is not None:
        _export_map(table)
    if not is_complete:
        sys.exit(FAILED)


def _draw(config: "OverlayConfig", region: tuple[int, ...] | None) -> bool:
    """Draw photos, or a region of a raster; return whether all could be read."""
    from pipeline.reports.overlay import write_overlays, write_region
    from pipeline.reports.raster_pictures import Region

    is_complete = True
    for overlay in write_overlays(config) if region is None else [write_region(config, Region(*region))]:
        if overlay.url is None:
            is_complete = False
            echo(f"{overlay.image} cannot be read any more: {overlay.why}", err=True)
        else:
            measures = f"  {overlay.measures}" if config.cracks else ""
            echo(f"{overlay.url}  {overlay.crack_score:.3f}  {overlay.image}{measures}")
    return is_complete


def _export_map(config: "ExportConfig") -> None:
    from pipeline.dataset.export import export

    made = export(config)
    echo(
        f"{made.url}: {count_of(made.rows['images'], 'photo')} with a position; "
        f"{count_of(made.unplaced, 'scored photo has', 'scored photos have')} none."
    )
