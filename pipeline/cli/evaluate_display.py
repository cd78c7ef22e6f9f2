"""What `evaluate` prints: tables of figures for tiles and for masks, and how to read them."""

from typing import TYPE_CHECKING

from pipeline.cli.messages import echo, print_table, short_url
from pipeline.core.counts import count_of

if TYPE_CHECKING:
    from rich.table import Table

    from pipeline.evaluation.evaluate import Evaluation, Result
    from pipeline.evaluation.mask_evaluation import MaskEvaluation, WidthResult

MOST_FAILURES = 10
"""Failed tiles that the terminal names; `metrics.json` names all."""

ROWS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "average_precision": "average precision",
    "auc": "AUC",
    "recall_at_1_percent_false_alarms": "recall at 1 % false alarms",
    "recall_at_5_percent_false_alarms": "recall at 5 % false alarms",
    "calibration_error": "calibration error",
}
"""The measures of tiles, and their names in the table."""

READING = """\
How to read it: recall is the part of the cracked tiles that were found, precision the part of the alarms that were
right; both change with the threshold, average precision and AUC do not. Recall at 1 % false alarms is the best recall
where one sound tile in a hundred raises a false alarm. A calibration error of 0.02 means that scores are off by
0.02 on average when they are read as probabilities. In brackets, 95 % intervals from resampling whole photos. All of
it holds for photos like these; other bridges need labelled tiles of their own."""

MASK_ROWS = {
    "average_precision": "average precision",
    "iou": "best IoU",
    "f1": "best F1",
    "precision": "  precision there",
    "recall": "  recall there",
    "level": "  map level there",
}
"""The measures of pixels, and their names in the table."""

MASK_READING = """\
How to read it: of the pixels that the map or the mask calls crack, IoU is the part that both do, at the map level where
that is best; average precision needs no level. Masks are drawn by hand: within {tolerance} pixels, a pixel called
crack is right, and a crack's pixel is found, if the other has a crack within as many pixels. A crack's pixel is as wide
as the largest square in the mask that covers it; a photo counts where most of its crack pixels do."""


def print_tiles(evaluation: "Evaluation") -> None:
    """Print the table, the place of the report and how to read it; failed tiles go to stderr."""
    print_table(_tile_table(evaluation), _pipe_width(evaluation))
    echo(f"The report, with curves and the worst mistakes: {short_url(evaluation.out)}")
    echo(*READING.splitlines())
    for url, message in sorted(evaluation.failures.items())[:MOST_FAILURES]:
        echo(f"failed: {short_url(url)}: {message}", err=True)
    if count := len(evaluation.failures):
        words = count_of(count, "tile could not be scored and is", "tiles could not be scored and are")
        echo(f"{words} not counted; metrics.json names {'it' if count == 1 else 'them all'}.", err=True)


def print_masks(evaluation: "MaskEvaluation") -> None:
    """Print the table, the place of the report and how to read it; failed photos go to stderr."""
    from pipeline.evaluation.pixel_metrics import TOLERANCE_PX

    print_table(_mask_table(evaluation), _pipe_width(evaluation))
    out = short_url(evaluation.out)
    echo(f"The report: {out}/masks.json, and photos beside their masks and maps: {out}/masks.png")
    echo(*MASK_READING.format(tolerance=TOLERANCE_PX).splitlines())
    for url, message in sorted(evaluation.failures.items()):
        echo(f"failed: {short_url(url)}: {message}", err=True)


def _pipe_width(evaluation: "Evaluation | MaskEvaluation") -> int:
    return 60 + 40 * len(evaluation.results)


def _tile_table(evaluation: "Evaluation") -> "Table":
    title = f"Model {evaluation.model_id}, threshold {evaluation.overall.threshold:g}"
    table = _make_table(title, [result.source for result in evaluation.results])
    metrics = [result.metrics for result in evaluation.results]
    table.add_row("tiles", *[f"{each.n:,}" for each in metrics])
    table.add_row("cracked: found / missed", *[f"{m.true_positives:,} / {m.false_negatives:,}" for m in metrics])
    table.add_row("sound: passed / false alarm", *[f"{m.true_negatives:,} / {m.false_positives:,}" for m in metrics])
    table.add_section()
    for name, label in ROWS.items():
        table.add_row(label, *[_format_interval(result, name) for result in evaluation.results])
    return table


def _mask_table(evaluation: "MaskEvaluation") -> "Table":
    from pipeline.evaluation.pixel_metrics import TOLERANCE_PX

    results = evaluation.results
    title = f"Crack maps of model {evaluation.model_id}, against masks"
    table = _make_table(title, [result.source for result in results])
    table.add_row("photos", *[f"{each.photos:,}" for each in results])
    over = f"  at or over the threshold {evaluation.threshold:g}"
    table.add_row(over, *[f"{each.over_threshold:,}" for each in results])
    table.add_row("crack pixels", *[f"{each.quality.crack_pixels / each.quality.pixels:.2%}" for each in results])
    for heading, kind in (("to the pixel", "exact"), (f"within {TOLERANCE_PX} pixels", "tolerant")):
        table.add_section()
        table.add_row(heading, style="bold")
        for name, label in MASK_ROWS.items():
            table.add_row(label, *[f"{getattr(getattr(each.quality, kind), name):.4f}" for each in results])
    table.add_section()
    table.add_row(f"best F1 within {TOLERANCE_PX} pixels, cracks", style="bold")
    for of_class in zip(*(each.by_width for each in results), strict=True):
        table.add_row(f"  {_format_widths(of_class[0])}", *map(_format_width_result, of_class))
    return table


def _format_widths(of: "WidthResult") -> str:
    return f"{of.least_px} px wide and more" if of.most_px is None else f"{of.least_px} to {of.most_px} px wide"


def _format_width_result(result: "WidthResult") -> str:
    return f"{result.quality.tolerant.f1:.4f} ({count_of(result.photos, 'photo')})" if result.quality else "-"


def _make_table(title: str, sources: list[str]) -> "Table":
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    table.add_column("")
    for source in sources:
        table.add_column(source, overflow="fold")
    return table


def _format_interval(result: "Result", name: str) -> str:
    value, interval = getattr(result.metrics, name), result.intervals[name]
    if value is None:
        return "-"
    return f"{value:.4f}" + (f" ({interval[0]:.4f} to {interval[1]:.4f})" if interval else "")
