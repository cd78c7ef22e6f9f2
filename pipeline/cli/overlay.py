"""`crackscan overlay`: draw photos with their heat, and photos on a map."""

import sys
from typing import TYPE_CHECKING

import click

from pipeline.cli.messages import echo
from pipeline.core.counts import count_of
from pipeline.core.errors import UsageError

if TYPE_CHECKING:
    from pipeline.reports.thumbnails import Form

FAILED = 1


@click.command("overlay")
@click.argument("out", metavar="OUT")
@click.argument("images", nargs=-1, metavar="[IMAGE]...")
@click.option(
    "--out", "to", default="overlays", show_default=True, metavar="FOLDER", help="Folder or URL to write into."
)
@click.option("--format", "form", type=click.Choice(["png", "jpeg"]), default="png", show_default=True,
              help="PNG keeps the photo as it is; JPEG is smaller.")  # fmt: skip
@click.option("--geojson", metavar="FILE", help="Also write all photos with a position, for QGIS, as `export` does.")
def command(out: str, images: tuple[str, ...], to: str, form: "Form", geojson: str | None) -> None:
    """Draw photos of the dataset OUT with the scores of their tiles over them.

    IMAGE is a photo's path in its archive, the end of that path, or its image_id. The command reads the
    photo from its archive again and draws it in its own size, with the scale below. Exit code 1 if one cannot be read
    any more.

    \b
    Examples:
      crackscan overlay scores DJI_0042.JPG
      crackscan overlay scores span-3/DJI_0042.JPG span-3/DJI_0043.JPG --out pictures --format jpeg
      crackscan overlay scores --geojson photos.geojson
    """  # noqa: D301 - \b is Click's mark for "do not rewrap"
    if not images and geojson is None:
        raise UsageError("No IMAGE was given; expected a photo's path in its archive or its image_id, or --geojson.")
    is_complete = not images or _draw(out, images, to, form)
    if geojson is not None:
        _export_map(out, geojson)
    if not is_complete:
        sys.exit(FAILED)


def _draw(out: str, images: tuple[str, ...], to: str, form: "Form") -> bool:
    """Draw photos; return whether all could be read."""
    from pipeline.reports.overlay import OverlayConfig, write_overlays

    is_complete = True
    for overlay in write_overlays(OverlayConfig(out, images, to, form)):
        if overlay.url is None:
            is_complete = False
            echo(f"{overlay.image} cannot be read any more: {overlay.why}", err=True)
        else:
            echo(f"{overlay.url}  {overlay.crack_score:.3f}  {overlay.image}")
    return is_complete


def _export_map(out: str, file: str) -> None:
    from pipeline.dataset.export import ExportConfig, export

    made = export(ExportConfig(out, "geojson", file))
    echo(
        f"{made.url}: {count_of(made.rows['images'], 'photo')} with a position; "
        f"{count_of(made.unplaced, 'scored photo has', 'scored photos have')} none."
    )
