"""Labelled tiles from synthetic walls, for training; the tiles of a wall stay on one side of the split."""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image

from pipeline.synthetic.config import SampleConfig
from pipeline.synthetic.drawing import Drawing, draw_photo
from pipeline.synthetic.photos import encode_jpeg, make_exif

Label = Literal["Positive", "Negative"]
"""Names of the folders, as in METU's published tiles."""

VAL_SHARE = 0.2
"""Share of the tiles that is held out for validation."""

WALL_TILES = 2.5
"""A wall is a square this many tiles wide."""

MAX_PER_WALL = 4
"""Most tiles of one label from one wall, so that there are many walls."""

CANDIDATES = 60
"""Boxes to try on a wall: fewer leave walls unused, more find nothing new."""


class Box(NamedTuple):
    """A labelled square on a wall."""

    label: Label
    top_px: int
    left_px: int


def count_splits(tiles: int) -> dict[str, int]:
    """Return how many tiles go to each split."""
    val = round(tiles * VAL_SHARE)
    return {"train": tiles - val, "val": val}


def write_tiles(config: SampleConfig, folder: Path, on_tile: Callable[[], None]) -> None:
    """Write the tiles and their manifest below `folder`.

    A Positive tile has at least tile_px / 4 crack pixels in its middle (three quarters of its height and width), so the
    crack is clearly inside; a Negative tile has no crack pixel. Other boxes become no tiles.
    """
    folder.mkdir()
    with (folder / "manifest.csv").open("w", newline="") as file:
        manifest = csv.writer(file, lineterminator="\n")
        manifest.writerow(("file", "label", "split", "group"))
        for number, (split, count) in enumerate(count_splits(config.tiles).items()):
            for label in ("Positive", "Negative"):
                (folder / split / label).mkdir(parents=True)
            for row in _cut_split(config, folder, (number, split), count):
                manifest.writerow(row)
                on_tile()


def _cut_split(config: SampleConfig, folder: Path, split: tuple[int, str], count: int) -> Iterator[tuple[str, ...]]:
    """Draw cracked and sound walls in turn until a split is full; write its tiles, yield its manifest rows."""
    number, name = split
    needed: dict[Label, int] = {"Positive": (count + 1) // 2, "Negative": count // 2}
    side_px, wall = int(WALL_TILES * config.tile_px), 0
    while any(needed.values()):
        rng = np.random.default_rng((config.seed, 1, number, wall))
        cracked = needed["Positive"] > 0 and (wall % 2 == 0 or needed["Negative"] == 0)
        drawing = draw_photo(side_px, side_px, int(rng.integers(2**63)), cracked=cracked, widths_px=config.widths_px)
        group = f"synthetic-{name}-wall-{wall:05d}"
        for index, box in enumerate(choose_boxes(drawing, config.tile_px, rng, needed)):
            path = Path(name, box.label, f"{group}-{index}.jpg")
            pixels = drawing.pixels[box.top_px :, box.left_px :][: config.tile_px, : config.tile_px]
            data = encode_jpeg(Image.fromarray(pixels), int(rng.integers(75, 96)), make_exif())
            (folder / path).write_bytes(data)
            needed[box.label] -= 1
            yield path.as_posix(), box.label, name, group
        wall += 1


def choose_boxes(drawing: Drawing, tile_px: int, rng: np.random.Generator, needed: dict[Label, int]) -> list[Box]:
    """Choose tiles on a wall: two of a label are at least half a tile apart; a cracked wall gives one sound tile, too.

    Args:
        drawing: the wall.
        tile_px: side of a tile.
        rng: random generator.
        needed: tiles that are still missing, by label.
    """
    cracked = bool(drawing.mask.any())
    quota: dict[Label, int] = {
        "Positive": min(MAX_PER_WALL, needed["Positive"]),
        "Negative": min(1 if cracked else MAX_PER_WALL, needed["Negative"]),
    }
    boxes: list[Box] = []
    for top_px, left_px in _propose_corners(drawing, tile_px, rng):
        box = label_box(drawing, tile_px, top_px, left_px)
        if box is None or not quota[box.label] or any(_is_near(box, other, tile_px / 2) for other in boxes):
            continue
        boxes.append(box)
        quota[box.label] -= 1
    return boxes


def _propose_corners(drawing: Drawing, tile_px: int, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    """Yield top left corners: half of them anywhere, half of them so that the box contains a crack pixel."""
    last_px = drawing.mask.shape[0] - tile_px
    rows, cols = np.nonzero(drawing.mask)
    for number in range(CANDIDATES):
        top_px, left_px = (int(corner) for corner in rng.integers(0, last_px + 1, 2))
        if len(rows) and number % 2 == 0:
            pixel = int(rng.integers(len(rows)))
            within_px = rng.integers(tile_px // 8, tile_px * 7 // 8, 2)
            top_px = int((rows[pixel] - within_px[0]).clip(0, last_px))
            left_px = int((cols[pixel] - within_px[1]).clip(0, last_px))
        yield top_px, left_px


def label_box(drawing: Drawing, tile_px: int, top_px: int, left_px: int) -> Box | None:
    """Return a labelled box, None for one that is neither clearly cracked nor sound; see `write_tiles`."""
    mask = drawing.mask[top_px : top_px + tile_px, left_px : left_px + tile_px]
    edge_px = tile_px // 8
    if not mask.any():
        return Box("Negative", top_px, left_px)
    if mask[edge_px:-edge_px, edge_px:-edge_px].sum() >= tile_px / 4:
        return Box("Positive", top_px, left_px)
    return None


def _is_near(box: Box, other: Box, distance_px: float) -> bool:
    apart_px = max(abs(box.top_px - other.top_px), abs(box.left_px - other.left_px))
    return box.label == other.label and apart_px < distance_px
