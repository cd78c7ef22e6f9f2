"""Draws the README's pictures into its own folder; `make pictures` first scores the sample.

    python docs/pictures/draw.py SCORES REPORT

SCORES is a dataset of the sample, REPORT the page that `crackscan report` made from it; its picture needs Chromium.
"""

import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from PIL import Image

from pipeline import storage
from pipeline.dataset.sql import list_worst
from pipeline.reports.overlay import OverlayConfig, write_overlays

HERE = Path(__file__).parent
OVERLAY_PX, REPORT_PX = 760, 900
"""Widths of the saved pictures: concrete is noise, which PNG cannot compress."""
PHOTOS = 100
"""The sample has fewer."""
WINDOW = "1200,1500"
"""Width and height of the browser window."""

INK, PAPER = "#1f2933", "#ffffff"
READS, WORKS, WRITES = "#dbeafe", "#fde68a", "#bbf7d0"


class Step(NamedTuple):
    """A box of the flow."""

    name: str
    does: str
    colour: str


SCORE = (
    Step("inputs", "zip, tar, folder,\ndisk or S3", READS),
    Step("plan", "every photo\nonce", READS),
    Step("reading", "bytes from\narchives", WORKS),
    Step("decode", "upright\nRGB", WORKS),
    Step("tiles", "a grid over\nall pixels", WORKS),
    Step("engine", "scores\nin batches", WORKS),
    Step("writer", "Parquet, whole\nor not at all", WRITES),
)
TRAIN = (
    Step("labels", "tiles, masks,\ntables", READS),
    Step("split", "no photo on\nboth sides", READS),
    Step("augment", "other light,\ndrawn cracks", WORKS),
    Step("learner", "head, then\nall layers", WORKS),
    Step("model", "weights and\ncard", WRITES),
)
AFTER = (
    Step("query", "SQL", READS),
    Step("report", "one page,\nno network", READS),
    Step("any tool", "DuckDB, Spark,\npandas, …", READS),
)
WIDTH, GAP, HEIGHT = 1.62, 0.28, 0.95


def flow() -> Figure:
    """Draw the paths of photos and of labelled tiles, from left to right."""
    figure, axes = plt.subplots(figsize=(13, 4.4))
    axes.axis("off")
    axes.set_aspect("equal")
    _row(axes, "train", TRAIN, top=4.0)
    _row(axes, "score", SCORE, top=2.0)
    _row(axes, "after", AFTER, top=0.0, first=4, in_turn=False)
    _arrow(axes, _middle(4), 4.0 - HEIGHT, _middle(5) - WIDTH / 4, 2.0)  # the model goes into the engine
    for number in (4, 5, 6):
        _arrow(axes, _middle(6), 2.0 - HEIGHT, _middle(number), 0.0)
    note = "Ray runs the yellow steps, on one laptop or many machines; pixels stay there"
    axes.text(0, 2.0 - HEIGHT - 0.45, note, color=INK, fontsize=10, style="italic")
    axes.set(xlim=(-1.1, _middle(6) + WIDTH / 2 + 0.1), ylim=(-HEIGHT - 0.1, 4.1))
    return figure


def _middle(number: int) -> float:
    return number * (WIDTH + GAP) + WIDTH / 2


def _row(axes: Axes, title: str, steps: tuple[Step, ...], top: float, *, first: int = 0, in_turn: bool = True) -> None:
    """Draw a row of boxes from a given position, in sequence or side by side."""
    y = top - HEIGHT / 2
    axes.text(first * (WIDTH + GAP) - 0.25, y, title, color=INK, fontsize=13, weight="bold", ha="right", va="center")
    for number, step in enumerate(steps, start=first):
        middle, left = _middle(number), _middle(number) - WIDTH / 2
        box = FancyBboxPatch(
            (left, top - HEIGHT), WIDTH, HEIGHT, "round,pad=0,rounding_size=0.12", fc=step.colour, ec=INK
        )
        axes.add_patch(box)
        axes.text(middle, top - 0.24, step.name, color=INK, fontsize=12, weight="bold", ha="center", va="center")
        axes.text(middle, top - 0.62, step.does, color=INK, fontsize=9, ha="center", va="center")
        if in_turn and number > first:
            _arrow(axes, left - GAP, y, left, y)


def _arrow(axes: Axes, x: float, y: float, to_x: float, to_y: float) -> None:
    axes.annotate("", (to_x, to_y), (x, y), arrowprops={"arrowstyle": "->", "color": INK, "shrinkA": 0, "shrinkB": 0})


def render_figure(figure: Figure) -> Image.Image:
    """Return a figure as a picture."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=110, bbox_inches="tight", facecolor=PAPER)
    return Image.open(buffer)


def overlay(scores: str, folder: str) -> Image.Image:
    """Return a photo with the scores of its tiles over it: the cracked photo with the fewest cracked tiles."""
    photo = min(
        (photo for photo in list_worst(scores, PHOTOS) if photo.crack_tiles), key=lambda photo: photo.crack_tiles
    )
    (written,) = write_overlays(OverlayConfig(scores, [photo.image], folder))
    if written.url is None:
        sys.exit(f"{photo.image} can no longer be read: {written.why}")
    return Image.open(io.BytesIO(storage.read_bytes(written.url)))


def screenshot(page: Path, folder: str) -> Image.Image:
    """Return a screenshot of a page in a browser."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("A picture of the report needs Chromium: apt-get install chromium")
    to = Path(folder) / "report.png"
    switches = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
                f"--user-data-dir={folder}/profile", f"--window-size={WINDOW}", f"--screenshot={to}")  # fmt: skip
    subprocess.run([chromium, *switches, page.resolve().as_uri()], check=True, capture_output=True)  # noqa: S603
    return Image.open(to)


def save(picture: Image.Image, name: str, width_px: int | None = None) -> None:
    """Save a picture as a small PNG, at most `width_px` wide, with a palette that includes its rare colours."""
    width, height = picture.size
    if width_px is not None and width > width_px:
        picture = picture.resize((width_px, round(height * width_px / width)), Image.Resampling.LANCZOS)
    few = picture.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE)
    few.save(HERE / name, optimize=True)


def main(scores: str, report: str) -> None:
    """Draw all pictures."""
    with tempfile.TemporaryDirectory() as folder:
        save(render_figure(flow()), "flow.png")
        save(overlay(scores, folder), "overlay.png", OVERLAY_PX)
        save(screenshot(Path(report), folder), "report.png", REPORT_PX)


if __name__ == "__main__":
    main(*sys.argv[1:])
