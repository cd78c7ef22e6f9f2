"""Labelled tiles: which files they are, cracked or sound, and which of them were cut from one photo.

Reads folders with a folder per class, and tables of path and label (`label_table`). What a tile looks like is left to
`fingerprint`, which tiles are held out to `split`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline import label_table, storage
from pipeline.decode import PHOTO_SUFFIXES, decode
from pipeline.errors import DataError, StorageError, UsageError
from pipeline.fingerprint import fingerprint
from pipeline.label_table import ClassNames

__all__ = ["ClassNames", "LabelledTiles", "fingerprints", "read"]

NAMED_FAILURES = 10
"""How many unreadable tiles an error names; the rest are counted."""


@dataclass(frozen=True)
class LabelledTiles:
    """Tiles with their labels; all four fields have one entry a tile."""

    urls: tuple[str, ...]
    labels: NDArray[np.bool_]
    """True = cracked."""
    groups: tuple[str, ...]
    """Tiles of one photo share a group; a tile whose photo is unknown is a group of its own."""
    sources: tuple[str, ...]
    """The DATA argument each tile came from, as it was given."""

    def __len__(self) -> int:
        """Count the tiles."""
        return len(self.urls)

    def subset(self, indices: ArrayLike) -> "LabelledTiles":
        """Return the tiles at these indices, or where this mask is True, in that order."""
        chosen = np.asarray(indices)
        rows = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen.astype(np.int64)
        return LabelledTiles(
            urls=tuple(self.urls[row] for row in rows),
            labels=self.labels[rows],
            groups=tuple(self.groups[row] for row in rows),
            sources=tuple(self.sources[row] for row in rows),
        )


class _Tile(NamedTuple):
    url: str
    cracked: bool
    group: str
    source: str


def read(data: Sequence[str], classes: ClassNames | None = None) -> LabelledTiles:
    """List the labelled tiles of folders and tables, sorted by URL; a tile reached twice is listed once.

    Args:
        data: folders or URLs with a folder per class at any depth, or `.csv` and `.parquet` tables with the columns
            `path` (or `file`), `label` (class names, or 0 and 1) and optionally `group` (or `photo_block`).
        classes: what the classes are called; Positive and Negative if not given.

    Raises:
        UsageError: a place is missing or holds no labelled tiles, a label is unknown or contradicts another, or all
            tiles are of one class.
    """
    names = classes or ClassNames()
    found: dict[str, _Tile] = {}
    for source in data:
        for tile in _read_source(source, names):
            first = found.setdefault(tile.url, tile)
            if first.cracked != tile.cracked:
                raise UsageError(
                    f"{tile.url} is labelled cracked and sound: once by {first.source}, once by {tile.source}. "
                    "Correct one of the labels."
                )
    tiles = [found[url] for url in sorted(found)]
    _check_both_classes(tiles, data, names)
    return LabelledTiles(
        urls=tuple(tile.url for tile in tiles),
        labels=np.array([tile.cracked for tile in tiles], dtype=np.bool_),
        groups=tuple(tile.group for tile in tiles),
        sources=tuple(tile.source for tile in tiles),
    )


def fingerprints(tiles: LabelledTiles, on_progress: Callable[[int, int], None] | None = None) -> NDArray[np.float32]:
    """Read every tile and return its fingerprint.

    Args:
        tiles: the tiles to look at.
        on_progress: called with the tiles done and their total.

    Shape: (tiles, FINGERPRINT_SIZE).

    Raises:
        UsageError: tiles cannot be read; the message names them.
    """
    rows: list[NDArray[np.float32]] = []
    failures: list[str] = []
    for done, url in enumerate(tiles.urls, start=1):
        try:
            rows.append(fingerprint(decode(storage.read_bytes(url)).pixels))
        except (DataError, StorageError) as error:
            failures.append(f"{url}: {error}")
        if on_progress is not None:
            on_progress(done, len(tiles))
    if failures:
        raise UsageError(_unreadable(failures, len(tiles)))
    return np.stack(rows)


def _unreadable(failures: list[str], total: int) -> str:
    unnamed = len(failures) - NAMED_FAILURES
    more = [f"… and {unnamed} more"] if unnamed > 0 else []
    named = "\n  ".join([*failures[:NAMED_FAILURES], *more])
    return f"{len(failures)} of {total} labelled tiles cannot be read; repair or remove them:\n  {named}"


def _read_source(source: str, names: ClassNames) -> list[_Tile]:
    url = storage.canonical(source)
    if not storage.exists(url):
        raise UsageError(f"{source} does not exist; expected a folder of labelled tiles, or a .csv or .parquet table.")
    if storage.is_folder(url):
        tiles = list(_read_folder(url, source, names))
    else:
        tiles = [_Tile(row.url, row.cracked, row.group, source) for row in label_table.read(url, names)]
    if not tiles:
        raise UsageError(
            f"{source} holds no labelled tiles; expected images in folders named {names.positive} and "
            f"{names.negative}. Other names can be given with --positive and --negative."
        )
    return tiles


def _check_both_classes(tiles: list[_Tile], data: Sequence[str], names: ClassNames) -> None:
    cracked = sum(tile.cracked for tile in tiles)
    if not 0 < cracked < len(tiles):
        raise UsageError(
            f"{', '.join(data)} holds tiles of one class only: {cracked} cracked ({names.positive}) and "
            f"{len(tiles) - cracked} sound ({names.negative}). Both classes are needed."
        )


def _read_folder(url: str, source: str, names: ClassNames) -> Iterator[_Tile]:
    group_of = label_table.groups_of_folder(url)
    for file in storage.list_files(url):
        # The folder's own name counts too: `evaluate tiles/Positive tiles/Negative` is what a shell makes of `tiles/*`.
        folders = [storage.name(url), *file.path.split("/")[:-1]]
        cracked = next((label for folder in reversed(folders) if (label := names.parse(folder)) is not None), None)
        if cracked is not None and _is_image(file.path):
            yield _Tile(file.url, cracked, group_of.get(file.url, file.url), source)


def _is_image(path: str) -> bool:
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.split("/"))
    return not hidden and path.rpartition(".")[2].lower() in PHOTO_SUFFIXES
