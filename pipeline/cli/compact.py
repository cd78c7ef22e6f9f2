"""`crackscan compact`: rewrite the many small files of a finished dataset as a few large ones."""

import shlex
from typing import TYPE_CHECKING

import click

from pipeline.cli.config_file import config_option
from pipeline.cli.messages import echo
from pipeline.cli.progress import progress
from pipeline.core.counts import count_of

if TYPE_CHECKING:
    from pipeline.dataset.compact import Compacted


@click.command("compact")
@click.argument("out", metavar="OUT")
@click.option("--to", required=True, metavar="NEW", help="Folder or URL of the new dataset.")
@click.option("--part-mb", type=click.FloatRange(min=0, min_open=True), default=256, show_default=True, metavar="MB",
              help="Size that files aim at.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace an older compaction of OUT at NEW; see below.")
@config_option
def command(out: str, to: str, part_mb: float, overwrite: bool) -> None:
    """Rewrite the finished dataset OUT as NEW: few large files, sorted by archive and image.

    For Athena, Spark and archiving. NEW is sealed: it takes no further photos. OUT stays as it is, and a last step
    proves that both are equal. Sorting needs some 50 bytes a tile in the temporary folder; TMPDIR chooses another.

    With --overwrite, an older compaction of the same OUT is replaced, as after every night. Its readers see it until
    the new one is made and proved in the temporary folder (some 5 bytes a tile more). Then its files are removed and
    the new ones copied: until NEW/summary.json is back, a reader finds some of the rows, never one twice, never old
    beside new. To spare readers that moment, give each night another NEW. A NEW with scales of its own, set by
    `crackscan scale NEW`, is refused: set them in OUT, whose millimetres each compaction has.

    \b
    Examples:
      crackscan compact scores --to scores-compact
      crackscan compact s3://results/tonight --to s3://archive/tonight
      crackscan compact s3://results/bridge-7 --to s3://archive/bridge-7 --overwrite
    """  # noqa: D301 - \b is Click's mark for "do not rewrap"
    made = run_compaction(out, to, part_mb, overwrite=overwrite)
    echo(
        f"Rewrote {count_of(made.photos, 'photo')} and {count_of(made.tiles, 'tile')} from "
        f"{count_of(made.parts_before, 'part')} to {made.parts:,}. "
        f"{made.url} is sealed, and equal to {out} row for row."
    )
    echo("Next:", f"  crackscan verify {shlex.quote(to)} --equals {shlex.quote(out)}")


def run_compaction(out: str, to: str, part_mb: float, *, overwrite: bool = False) -> "Compacted":
    """Compact as the options say, and show the progress."""
    from pipeline.dataset.compact import compact

    with progress("tiles") as show:
        return compact(out, to, round(part_mb * (1 << 20)), show, overwrite=overwrite)
