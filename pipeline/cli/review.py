"""`crackscan review`: export the tiles most worth a person's look, as a folder to label."""

import shlex
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli import review_tools
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
@click.option("--pick", type=click.Choice(["uncertain", "worst", "both", "random"]), default="both", show_default=True,
              help="Scores near the threshold; the worst doubtful ones, then the highest; half of each; or a fair "
              "sample.")  # fmt: skip
@click.option("--per-photo", type=click.IntRange(min=1), default=2, show_default=True, metavar="N",
              help="Most tiles of one photo, but in a fair sample; a second one comes only when photos run "
              "out.")  # fmt: skip
@click.option("--page", is_flag=True, help="Also make FOLDER/review.html, a page to judge on, without a server.")
@click.option("--crop-only", is_flag=True, help="Nothing but the tiles leaves: the page has no surroundings.")
@click.option("--to", "tool", type=click.Choice(review_tools.TOOLS),
              help="Write tasks for a labelling tool instead, with scores and crack lines as proposals.")  # fmt: skip
@click.option("--whole-photos", is_flag=True, help="With --to: the photos of the tiles, each once, and not the tiles.")
@click.option("--threshold", type=click.FloatRange(0, 1), metavar="SCORE",
              help="Scores near it are uncertain.  [default: the model's]")  # fmt: skip
def command(dataset: str, tool: str | None, *, whole_photos: bool, **given: Any) -> None:  # noqa: ANN401 - Click's
    """Export the tiles of the dataset OUT most worth a person's look, as a folder that `train` takes back.

    Each photo gives its best tile, and archives take turns; a second tile of a photo comes only when photos run out,
    and no two overlap. What has a verdict is not asked again. The tiles are cut from the photos, which must still be
    where they were scored. Doubtful are tiles over the threshold whose neighbours are all under it, tiles under it
    between two that are over it, and tiles over it in photos unlike the training data.

    \b
    What is written:
      FOLDER/tiles/0001.png …    the tiles, at full resolution
      FOLDER/review.csv          path, label (empty: fill it in), group, and the origin of each tile
      FOLDER/review.html         with --page: the tiles large, keys 1, 0 and ?, a button that saves verdicts.csv
      FOLDER/around/0001.jpg …   with --page: their surroundings, unless --crop-only

    Judge on the page and give what it saves to `crackscan verdicts`. Or fill in the table: Positive or 1 for a crack,
    Negative or 0 for none, empty if nobody can tell: `train` leaves that tile out. The tiles are the hard ones: a model
    learns from them, but figures measured on them say little about the field. Those of --pick random are a fair sample.

    With --to, FOLDER has the files of a labelling tool and the pictures; what the tool exports goes to `crackscan
    verdicts`. The names of the pictures say what they show: leave them as they are.

    \b
    Examples:
      crackscan review scores --out looked-at --page
      crackscan review scores --out false-alarms --pick worst --tiles 500
      crackscan review scores --out fair --pick random --page
      crackscan review scores --out tasks --to label-studio
      crackscan train tiles/ looked-at --out my-model
    """  # noqa: D301 - \b is Click's mark for "do not rewrap"
    from pipeline.review.tile_folder import ReviewConfig, review

    review_tools.check_options(tool, given, whole_photos=whole_photos)
    config = ReviewConfig(dataset, **given)
    with progress("tiles") as show:
        made = (
            review(config, show) if tool is None else review_tools.write(config, tool, show, whole_photos=whole_photos)
        )
    lines = _format_result if tool is None else partial(review_tools.format_tasks, tool=tool)
    echo(*lines(made, dataset=dataset, folder=given["folder"]))
    for reason, tiles in made.unreachable.most_common(MOST_REASONS):
        words = ("tile could not be cut out of its photo", "tiles could not be cut out of their photos")
        echo(f"{count_of(tiles, *words)}: {reason}", err=True)


def _format_result(made: "Reviewed", dataset: str, folder: str) -> list[str]:
    place = shlex.quote(folder.rstrip("/") or folder)
    cut = f"Cut {count_of(made.tiles, 'tile')} of {count_of(made.photos, 'photo')}: {made.url}"
    if made.page_bytes is not None:
        return [
            f"{cut} (page: {made.page_bytes / 1000:,.0f} kB)",
            f"Next: open {place}/review.html in a browser, judge, and save verdicts.csv",
            f"  crackscan verdicts {shlex.quote(dataset)} {place}/verdicts.csv --by NAME",
        ]
    return [
        cut,
        f"Next: look at {place}/tiles, and fill in the column label of {place}/review.csv",
        f"  crackscan train DATA… {place} --out MODEL",
    ]
