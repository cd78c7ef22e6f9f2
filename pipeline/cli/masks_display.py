"""What `evaluate --masks` prints."""

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.table import Table

    from pipeline.evaluation.mask_evaluation import MaskEvaluation

ROWS = {
    "average_precision": "average precision",
    "iou": "best IoU",
    "f1": "best F1",
    "precision": "  precision there",
    "recall": "  recall there",
    "level": "  map level there",
}
"""The measures, as the table calls them."""

READING = """\
How to read it: of the pixels that the map or the mask calls crack, IoU is the part that both do, at the map level where
that is best; average precision needs no level. Masks are drawn by hand: within {tolerance} pixels, a pixel called
crack is right, and a crack's pixel is found, if the other has a crack within as many pixels."""


def tell(evaluation: "MaskEvaluation") -> None:
    """Print the table, where the report lies and how to read it; failed photos go to stderr."""
    from rich.console import Console

    from pipeline.evaluation.pixel_metrics import TOLERANCE_PX

    # A pipe or a file has no width: nothing is cut off there.
    Console(width=None if sys.stdout.isatty() else 60 + 40 * len(evaluation.results)).print(_table(evaluation))
    out = evaluation.out.removeprefix("file://")
    click.echo(f"The report: {out}/masks.json, and photos beside their masks and maps: {out}/masks.png")
    click.echo(READING.format(tolerance=TOLERANCE_PX))
    for url, message in sorted(evaluation.failures.items()):
        click.echo(f"failed: {url.removeprefix('file://')}: {message}", err=True)


def _table(evaluation: "MaskEvaluation") -> "Table":
    from rich.table import Table

    from pipeline.evaluation.pixel_metrics import TOLERANCE_PX

    table = Table(title=f"Crack maps of model {evaluation.model_id}, against masks", title_justify="left")
    table.add_column("")
    for result in evaluation.results:
        table.add_column(result.source, overflow="fold")
    results = evaluation.results
    table.add_row("photos", *[f"{each.photos:,}" for each in results])
    table.add_row(
        f"  at or over the threshold {evaluation.threshold:g}", *[f"{each.over_threshold:,}" for each in results]
    )
    table.add_row("crack pixels", *[f"{each.quality.crack_pixels / each.quality.pixels:.2%}" for each in results])
    for title, kind in (("to the pixel", "exact"), (f"within {TOLERANCE_PX} pixels", "tolerant")):
        table.add_section()
        table.add_row(f"[bold]{title}")
        for name, words in ROWS.items():
            table.add_row(words, *[f"{getattr(getattr(each.quality, kind), name):.4f}" for each in results])
    return table
