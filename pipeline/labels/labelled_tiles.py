"""Labelled tiles: their files, their labels, and the photos that they were cut from.

Reads folders with a folder per class, photos with crack masks (`masks`), and tables of paths and labels
(`label_tables`).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline import storage
from pipeline.core.errors import DataError, StorageError, UsageError
from pipeline.core.progress import OnProgress
from pipeline.core.secrets import refuse_credentials
from pipeline.images.decode import PHOTO_SUFFIXES, decode
from pipeline.labels import label_tables, masks
from pipeline.labels.boxes import Box, cut, tile_name
from pipeline.labels.label_tables import ClassNames
from pipeline.labels.near_duplicates import Descriptors, descriptor

NAMED_FAILURES = 10
"""How many unreadable files an error names; it counts the others."""


@dataclass(frozen=True)
class LabelledTiles:
    """Tiles with their labels; the first five fields have one entry per tile."""

    urls: tuple[str, ...]
    labels: NDArray[np.bool_]
    """True = cracked."""
    groups: tuple[str, ...]
    """Tiles of one photo share a group; a tile of an unknown photo is a group of its own."""
    sources: tuple[str, ...]
    """The DATA argument that gave each tile, as the user wrote it."""
    boxes: tuple[Box | None, ...]
    """Which part of its file a tile is; None for the whole file."""
    unlabelled: int = 0
    """Rows of tables that have no label yet; they are no tiles."""

    @property
    def names(self) -> tuple[str, ...]:
        """The URL of each tile, with its box if it has one; every name is unique."""
        return tuple(map(tile_name, self.urls, self.boxes))

    def __len__(self) -> int:
        """Count the tiles."""
        return len(self.urls)

    def by_file(self) -> Iterator[tuple[str, list[Box | None]]]:
        """Yield the URL of each file with its boxes, in order, to read a file once for all its tiles."""
        for url, of_file in groupby(zip(self.urls, self.boxes, strict=True), key=itemgetter(0)):
            yield url, [box for _, box in of_file]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Size classes of the tiles: half octaves of a box's height, 0 for whole files. Shape (n,)."""
        return np.array([0 if box is None else round(2 * math.log2(box.height_px)) for box in self.boxes], np.int64)

    def subset(self, indices: ArrayLike) -> "LabelledTiles":
        """Return the tiles at these indices in this order, or the tiles where this mask is True."""
        chosen = np.asarray(indices)
        rows = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen.astype(np.int64)
        return LabelledTiles(
            urls=tuple(self.urls[row] for row in rows),
            labels=self.labels[rows],
            groups=tuple(self.groups[row] for row in rows),
            sources=tuple(self.sources[row] for row in rows),
            boxes=tuple(self.boxes[row] for row in rows),
        )


class _Tile(NamedTuple):
    url: str
    box: Box | None
    cracked: bool
    group: str
    source: str


def read_labelled_tiles(data: Sequence[str], classes: ClassNames | None = None) -> LabelledTiles:
    """List the labelled tiles of folders and tables, each once, sorted by URL and box.

    Args:
        data: folders or URLs with a folder per class at any depth, or with photos in `images/` and their crack masks in
            `masks/`; or `.csv` and `.parquet` tables with the columns `path` (or `file`), `label` (class names, or 0
            and 1; rows without a label do not count) and optionally `group` (or `photo_block`) and a box; or folders
            that `review` wrote.
        classes: names of the classes; Positive and Negative if not given.

    Raises:
        UsageError: a place is missing or holds no labelled tiles, a label is unknown or contradicts another, a mask
            does not fit its photo, or all tiles are of one class.
    """
    refuse_credentials(("The data", place) for place in data)
    names = classes or ClassNames()
    found: dict[str, _Tile] = {}
    unlabelled = 0
    for source in data:
        of_source, left_out = _read_source(source, names)
        unlabelled += left_out
        for tile in of_source:
            name = tile_name(tile.url, tile.box)
            first = found.setdefault(name, tile)
            if first.cracked != tile.cracked:
                raise UsageError(
                    f"{name} is labelled cracked and sound: once by {first.source}, once by {tile.source}. "
                    "Correct one of the labels."
                )
    tiles = sorted(found.values(), key=lambda tile: (tile.url, tile.box or ()))
    _check_both_classes(tiles, data, names)
    return LabelledTiles(
        urls=tuple(tile.url for tile in tiles),
        labels=np.array([tile.cracked for tile in tiles], dtype=np.bool_),
        groups=tuple(tile.group for tile in tiles),
        sources=tuple(tile.source for tile in tiles),
        boxes=tuple(tile.box for tile in tiles),
        unlabelled=unlabelled,
    )


def compute_descriptors(tiles: LabelledTiles, on_progress: OnProgress | None = None) -> Descriptors:
    """Read every tile and compute its descriptor; adjacent boxes of a photo share one read.

    Args:
        tiles: the tiles to read.
        on_progress: takes the number of tiles done and their total.

    Shape: (tiles, DESCRIPTOR_SIZE).

    Raises:
        UsageError: tiles cannot be read; the message names them.
    """
    rows: list[Descriptors] = []
    failures: list[str] = []
    done = failed = 0
    for url, boxes in tiles.by_file():
        try:
            photo = decode(storage.read_bytes(url)).pixels
            rows += [descriptor(cut(photo, box)) for box in boxes]
        except (DataError, StorageError) as error:
            failures.append(f"{url}: {error}")
            failed += len(boxes)
        done += len(boxes)
        if on_progress is not None:
            on_progress(done, len(tiles))
    if failures:
        raise UsageError(_describe(failures, failed, len(tiles)))
    return np.stack(rows)


def _describe(failures: list[str], failed: int, total: int) -> str:
    unnamed = len(failures) - NAMED_FAILURES
    more = [f"… and {unnamed} more"] if unnamed > 0 else []
    named = "\n  ".join([*failures[:NAMED_FAILURES], *more])
    return f"{failed} of {total} labelled tiles cannot be read; repair or remove them:\n  {named}"


def _read_source(source: str, names: ClassNames) -> tuple[list[_Tile], int]:
    """Return the tiles of one DATA argument and the number of rows without a label."""
    url = storage.canonical(source)
    if not storage.exists(url):
        raise UsageError(f"{source} does not exist; expected a folder of labelled tiles, or a .csv or .parquet table.")
    if (table := _find_table(url)) is not None:
        rows, unlabelled = label_tables.read_table(table, names)
        return [_Tile(row.url, row.box, row.cracked, row.group, source) for row in rows], unlabelled
    tiles = list(_read_masked(url, source) if masks.is_masked(url) else _read_folder(url, source, names))
    if not tiles:
        raise UsageError(
            f"{source} holds no labelled tiles; expected images in folders named {names.positive} and "
            f"{names.negative}, or photos in {masks.IMAGES} with crack masks in {masks.MASKS}. Other names can be "
            "given with --positive and --negative."
        )
    return tiles, 0


def _find_table(url: str) -> str | None:
    """Return the table of a DATA argument: the argument itself, or the table of a folder that `review` wrote."""
    if not storage.is_folder(url):
        return url
    table = storage.join(url, label_tables.REVIEW_TABLE)
    return table if storage.exists(table) else None


def _check_both_classes(tiles: list[_Tile], data: Sequence[str], names: ClassNames) -> None:
    cracked = sum(tile.cracked for tile in tiles)
    if not 0 < cracked < len(tiles):
        raise UsageError(
            f"{', '.join(data)} holds tiles of one class only: {cracked} cracked ({names.positive}) and "
            f"{len(tiles) - cracked} sound ({names.negative}). Both classes are needed."
        )


def _read_folder(url: str, source: str, names: ClassNames) -> Iterator[_Tile]:
    group_of = label_tables.read_groups(url)
    for file in storage.list_files(url):
        # The folder's own name counts too, since a shell turns `tiles/*` into `tiles/Positive tiles/Negative`.
        folders = [storage.name(url), *file.path.split("/")[:-1]]
        cracked = next((label for folder in reversed(folders) if (label := names.parse(folder)) is not None), None)
        if cracked is not None and _is_image(file.path):
            yield _Tile(file.url, None, cracked, group_of.get(file.url, file.url), source)


def _read_masked(url: str, source: str) -> Iterator[_Tile]:
    group_of = label_tables.read_groups(url)
    for photo in masks.read_masked_photos(url):
        group = group_of.get(photo.url, photo.url)
        for box, cracked in masks.label_boxes(photo.crack):
            yield _Tile(photo.url, box, cracked, group, source)


def _is_image(path: str) -> bool:
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.split("/"))
    return not hidden and path.rpartition(".")[2].lower() in PHOTO_SUFFIXES
