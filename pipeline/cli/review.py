"""`crackscan review`: export the tiles most worth a person's look, as a folder to label."""

import shlex
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.messages import echo
from pipeline.cli.progress import progress
from pipeline.core.counts import count_of

if TYPE_CHECKING:
    from pipeline.review.tile_folder import Reviewed

MOST_REASONS = 3


@click.command("review")
@click.argument("dataset", metavar="OUT")
@click.option("--out", "folder", required=True, metavar="FOLDER", help="Folder or URL to write; new or empty.")
@click.option("--tiles", type=click.IntRange(min=1), default=200, show_default=True, metavar="N",
              help="Tiles to export at most.")  # fmt: skip
@click.option("--pick", type=click.Choice(["uncertain", "worst", "both"]), default="both", show_default=True,
              help="Scores near the threshold, the highest scores, or half of each.")  # fmt: skip
@click.option("--per-photo", type=click.IntRange(min=1), default=2, show_default=True, metavar="N",
              help="Most tiles of one photo; a second one comes only when photos run out.")  # fmt: skip
@click.option("--threshold", type=click.FloatRange(0, 1), metavar="SCORE",
              help="Scores near it are uncertain.  [default: the model's]")  # fmt: skip
def command(dataset: str, **given: Any) -> None:  # noqa: ANN401 - Click's
    """Export the tiles of the dataset OUT most worth a person's look, as a folder that `train` takes back.

    Each photo gives its best tile, and archives take turns; a second tile of a photo comes only when photos run out,
    and no two overlap. The tiles are cut from the photos, which must still be where they were scored.

    \b
    What is written:
      FOLDER/tiles/0001.png …   the tiles, at full resolution
      FOLDER/review.csv         path, label (empty: fill it in), group, and the origin of each tile

    Write Positive or 1 for a crack and Negative or 0 for none; leave a label empty if nobody can tell: `train` leaves
    that tile out. The tiles are the hard ones: a model learns from them, but figures measured on them say little about
    the field.

    \b
    Examples:
      crackscan review scores --out looked-at
      crackscan review scores --out false-alarms --pick worst --tiles 500
      crackscan train tiles/ looked-at --out my-model
    """  # noqa: D301 - \b is Click's mark for "do not rewrap"
    from pipeline.review.tile_folder import ReviewConfig, review

    with progress("tiles") as show:
        made = review(ReviewConfig(dataset, **given), show)
    echo(*_format_result(made, given["folder"]))
    for reason, tiles in made.unreachable.most_common(MOST_REASONS):
        words = ("tile could not be cut out of its photo", "tiles could not be cut out of their photos")
        echo(f"{count_of(tiles, *words)}: {reason}", err=True)


def _format_result(made: "Reviewed", folder: str) -> list[str]:
    place = shlex.quote(folder.rstrip("/") or folder)
    return [
        f"Cut {count_of(made.tiles, 'tile')} of {count_of(made.photos, 'photo')}: {made.url}",
        f"Next: look at {place}/tiles, and fill in the column label of {place}/review.csv",
        f"  crackscan train DATA… {place} --out MODEL",
    ]
