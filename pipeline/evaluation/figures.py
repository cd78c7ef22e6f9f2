"""The pictures of an evaluation as PNG bytes: curves, reliability, and the worst mistakes.

Draws on Matplotlib's figure objects, since two evaluations would share the global state of pyplot.
"""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.metrics import CALIBRATION_BINS, Bools, Curves, Floats, RankedTiles, Scores
from pipeline.images.decode import Pixels, resize
from pipeline.labels.mask_files import Mask
from pipeline.models.crack_maps import Grey

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase

SIZE_INCHES = (6.4, 5.2)
"""Width and height, as Matplotlib orders them."""
DOTS_PER_INCH = 120
LOWEST_FALSE_ALARM_RATE = 1e-3
"""Left end of the ROC's logarithmic axis, since only small rates matter for a nightly run."""
SHEET_COLUMNS = 6
THUMBNAIL_PX = 180
NAME_CHARACTERS = 26


class Curve(NamedTuple):
    """Labels and scores that become one line in a figure."""

    name: str
    labels: Bools
    scores: Scores


class Mistake(NamedTuple):
    """A tile with a wrong call."""

    pixels: Pixels
    """Shape (H, W, 3)."""
    score: float
    name: str


class MaskedMap(NamedTuple):
    """A photo with its mask and its crack map."""

    pixels: Pixels
    """Shape (H, W, 3)."""
    crack: Mask
    """Shape (H, W)."""
    grey: Grey
    """Shape (H, W)."""
    score: float
    name: str


class QualityPoint(NamedTuple):
    """A backbone with a recipe that becomes one point in a figure."""

    name: str
    tiles_per_s: float
    auc: float
    """Mean over the left-out sources."""
    half_interval: float
    """Half of the 95 % interval; 0 if there is none."""


def precision_recall(curves: Sequence[Curve]) -> bytes:
    """Draw precision over recall for the curves with both classes."""
    figure, axes = _create_axes("Recall: cracked tiles found", "Precision: found tiles that are cracked")
    for curve in _with_both_classes(curves):
        points = _compute_points(curve)
        axes.step([0, *points.recall[0]], [1, *points.precision[0]], where="pre", label=curve.name)
    axes.set(xlim=(0, 1.01), ylim=(0, 1.01))
    return _save_with_legend(figure, axes)


def roc(curves: Sequence[Curve]) -> bytes:
    """Draw recall over the logarithm of the false-alarm rate for the curves with both classes."""
    figure, axes = _create_axes("False-alarm rate: sound tiles called cracked", "Recall: cracked tiles found")
    for curve in _with_both_classes(curves):
        points = _compute_points(curve)
        shown = np.maximum([0, *points.false_alarm_rate[0]], LOWEST_FALSE_ALARM_RATE)
        axes.step(shown, [0, *points.recall[0]], where="post", label=curve.name)
    for rate in (0.01, 0.05):
        axes.axvline(rate, color="grey", linewidth=0.8, linestyle=":")
    axes.set(xscale="log", xlim=(LOWEST_FALSE_ALARM_RATE, 1), ylim=(0, 1.01))
    axes.set_xticks([0.001, 0.01, 0.05, 0.1, 1], ["≤ 0.1 %", "1 %", "5 %", "10 %", "100 %"])
    return _save_with_legend(figure, axes)


def reliability(curves: Sequence[Curve]) -> bytes:
    """Draw the part of cracked tiles over the mean score by bin; true probabilities are on the diagonal."""
    figure, axes = _create_axes("Mean score of the tiles in a bin", "Part of them that is cracked")
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle=":")
    for curve in curves:
        scores, cracked, tiles = reliability_bins(curve.labels, curve.scores)
        (line,) = axes.plot(scores, cracked, linewidth=0.8, label=curve.name)
        axes.scatter(scores, cracked, s=20 + 180 * tiles / tiles.sum(), color=line.get_color(), alpha=0.6)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), title="Larger dots hold more tiles")
    return _save_with_legend(figure, axes)


def reliability_bins(labels: Bools, scores: Scores) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Return mean score, cracked part and number of tiles of every bin with tiles, from low to high."""
    which = np.minimum((scores * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    tiles = np.bincount(which, minlength=CALIBRATION_BINS)
    filled = tiles > 0
    score_sums = np.bincount(which, weights=scores, minlength=CALIBRATION_BINS)
    crack_sums = np.bincount(which, weights=labels, minlength=CALIBRATION_BINS)
    return score_sums[filled] / tiles[filled], crack_sums[filled] / tiles[filled], tiles[filled]


def quality_speed(points: Sequence[QualityPoint]) -> bytes:
    """Draw the AUC on left-out sources over the speed, one point per backbone and recipe."""
    figure, axes = _create_axes("Tiles a second, one CPU thread", "AUC, mean over the left-out sources")
    for point in points:
        axes.errorbar(point.tiles_per_s, point.auc, yerr=point.half_interval, fmt="o", capsize=3, label=point.name)
    axes.set(xscale="log", title="Bars: 95 % intervals over the seeds")
    axes.legend(loc="best", fontsize=8)
    return _save(figure)


def mistakes(false_alarms: Sequence[Mistake], misses: Sequence[Mistake]) -> bytes:
    """Draw a contact sheet with the false alarms above and the misses below."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [max(1, -(-len(tiles) // SHEET_COLUMNS)) for tiles in (false_alarms, misses)]
    figure = Figure(figsize=(SHEET_COLUMNS * 1.9, sum(rows) * 2.1 + 1), layout="constrained")
    FigureCanvasAgg(figure)
    parts = figure.subfigures(2, 1, squeeze=False, height_ratios=rows)
    _draw_sheet(parts[0, 0], "False alarms: sound tiles with the highest scores", false_alarms, rows[0])
    _draw_sheet(parts[1, 0], "Misses: cracked tiles with the lowest scores", misses, rows[1])
    return _save(figure)


def masked_maps(photos: Sequence[MaskedMap]) -> bytes:
    """Draw a contact sheet of photos, their masks and their crack maps side by side, two photos in a row."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = max(1, -(-len(photos) // 2))
    figure = Figure(figsize=(SHEET_COLUMNS * 1.9, rows * 1.9), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, SHEET_COLUMNS, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, photo in zip(grid.reshape(-1, 3), photos, strict=False):
        mask = photo.crack.astype(np.uint8) * 255
        for part, picture in zip(axes, (photo.pixels, mask, photo.grey), strict=True):
            part.imshow(_thumbnail(picture), cmap="gray", vmin=0, vmax=255)
        axes[0].set_title(_shorten(photo.name), fontsize=7)
        axes[1].set_title("mask", fontsize=7)
        axes[2].set_title(f"map, score {photo.score:.3f}", fontsize=7)
    return _save(figure)


def _draw_sheet(figure: "FigureBase", title: str, tiles: Sequence[Mistake], rows: int) -> None:
    figure.suptitle(title if tiles else f"{title}: none")
    grid = figure.subplots(rows, SHEET_COLUMNS, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, tile in zip(grid.flat, tiles, strict=False):
        axes.imshow(_thumbnail(tile.pixels))
        axes.set_title(f"{tile.score:.3f}\n{_shorten(tile.name)}", fontsize=7)


def _shorten(name: str) -> str:
    return name if len(name) <= NAME_CHARACTERS else "…" + name[-NAME_CHARACTERS + 1 :]


def _thumbnail(pixels: Pixels) -> Pixels:
    height_px, width_px = pixels.shape[:2]
    scale = THUMBNAIL_PX / max(height_px, width_px)
    return resize(pixels, max(1, round(height_px * scale)), max(1, round(width_px * scale)))


def _with_both_classes(curves: Sequence[Curve]) -> list[Curve]:
    return [curve for curve in curves if curve.labels.any() and not curve.labels.all()]


def _compute_points(curve: Curve) -> Curves:
    return RankedTiles(curve.labels, curve.scores).curves(np.ones((1, len(curve.labels))))


def _create_axes(x_label: str, y_label: str) -> tuple["Figure", "Axes"]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.grid(visible=True, alpha=0.3)
    return figure, axes


def _save_with_legend(figure: "Figure", axes: "Axes") -> bytes:
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="best", fontsize=8)
    else:
        axes.set_title("Both classes are needed for this curve")
    return _save(figure)


def _save(figure: "Figure") -> bytes:
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=DOTS_PER_INCH)
    return data.getvalue()
