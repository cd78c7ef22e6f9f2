"""Tiles for people to look at, cut out of their photos, and a table for their labels.

`selection` chooses the tiles. Once people have filled in the labels, the folder is labelled data: see
`labels.labelled_tiles`.
"""

import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pipeline import storage
from pipeline.core.counts import none_of
from pipeline.core.errors import CrackscanError, DataError, UsageError
from pipeline.core.progress import OnProgress
from pipeline.core.spreadsheets import guard
from pipeline.dataset.layout import Layout
from pipeline.dataset.run import read_run
from pipeline.dataset.sql import views
from pipeline.dataset.targets import check_folder, has_mark, mark_of
from pipeline.labels.boxes import cut
from pipeline.labels.crops import encode_png
from pipeline.labels.label_tables import REVIEW_TABLE
from pipeline.reports.dataset_stats import find_corner, threshold_of
from pipeline.reports.source_photos import SourcePhoto, read_source_photos
from pipeline.review.selection import Pick, ReviewRule, ReviewTile, choose_tiles

PICKS: dict[str, tuple[Pick, ...]] = {"uncertain": ("uncertain",), "worst": ("worst",), "both": ("uncertain", "worst")}

_COLUMNS = (
    "path", "label", "group", "pick", "crack_score", "archive", "image", "image_id", "row", "col",
    "photo_top_px", "photo_left_px", "photo_height_px", "photo_width_px",
)  # fmt: skip
"""The box is that in the photo. Its columns have other names than those by which `labels.label_tables` cuts tiles,
because these tiles are cut already."""

_TILE = re.compile(r"tiles/\d+\.png")

_is_cut_by_us = has_mark("review", b"tEXtSoftware\0")


@dataclass(frozen=True)
class ReviewConfig:
    """Which tiles to review, and where to write them."""

    out: str
    """The dataset."""
    folder: str
    """Folder or URL to write: new, empty, or with the rest of an interrupted review."""
    tiles: int = 200
    pick: Literal["uncertain", "worst", "both"] = "both"
    per_photo: int = 2
    """Most tiles of one photo."""
    threshold: float | None = None
    """Scores near it are uncertain; None takes that of the model card."""


@dataclass(frozen=True)
class Reviewed:
    """A folder of tiles to look at."""

    url: str
    """Canonical URL of the folder."""
    tiles: int
    photos: int
    """Photos that the tiles come from."""
    unreachable: Counter[str]
    """Number of tiles that could not be cut, by reason."""


def review(config: ReviewConfig, on_progress: OnProgress) -> Reviewed:
    """Choose tiles, cut them out of their photos, and write them; their table comes last.

    Args:
        config: which tiles, and where to write them.
        on_progress: is called with the number of tiles done, and of all.

    Raises:
        UsageError: there is no dataset, it has no scored tile, or the folder holds something else.
        CrackscanError: none of the tiles could be cut.
    """
    layout, folder = Layout(storage.canonical(config.out)), storage.canonical(config.folder)
    with views(layout) as connection:
        check_folder(folder, [layout])
        _clear_folder(folder)
        rule = ReviewRule(config.tiles, PICKS[config.pick], config.per_photo, _threshold(layout, config.threshold))
        chosen = choose_tiles(connection, rule)
    if not chosen:
        raise UsageError(f"{layout.url} has no scored tile, so there is nothing to look at. Score photos first.")
    paths, unreachable = _cut_tiles(layout, folder, chosen, on_progress)
    if not paths:
        [(reason, _)] = unreachable.most_common(1)
        raise CrackscanError(f"{none_of(len(chosen), 'tile')} could be cut out of its photo: {reason}")
    rows = [_make_row(tile, paths[number]) for number, tile in enumerate(chosen) if number in paths]
    storage.write_whole(storage.join(folder, REVIEW_TABLE), _encode_table(rows))
    return Reviewed(folder, len(rows), len({row["image_id"] for row in rows}), unreachable)


def _clear_folder(folder: str) -> None:
    """Refuse a folder that holds anything, above all labels; remove the tiles of an interrupted review."""
    files = storage.list_files(folder) if storage.exists(folder) else []
    others = [file.path for file in files if not _TILE.fullmatch(file.path)]
    if not others:
        tiles = storage.read_many([file.url for file in files])
        others = [file.path for file, tile in zip(files, tiles, strict=True) if not _is_cut_by_us(file.url, tile)]
    if others:
        raise UsageError(f"{folder} is not empty: it holds {others[0]}. Give --out a new folder.")
    for file in files:
        storage.remove(file.url)


def _threshold(layout: Layout, given: float | None) -> float:
    threshold = threshold_of(read_run(layout), given)
    if threshold is None:
        raise UsageError(f"{layout.run} names no threshold. Give --threshold.")
    return threshold


def _cut_tiles(
    layout: Layout, folder: str, chosen: Sequence[ReviewTile], on_progress: OnProgress
) -> tuple[dict[int, str], Counter[str]]:
    """Write the tiles, photo by photo; return the path of each by its number, and why others are missing."""
    numbers_of = defaultdict[str, list[int]](list)
    for number, tile in enumerate(chosen):
        numbers_of[tile.image_id].append(number)
    paths: dict[int, str] = {}
    unreachable = Counter[str]()
    for image_id, source in read_source_photos(layout, {tile.image_id: tile.archive for tile in chosen}):
        for number in numbers_of[image_id]:
            path = f"tiles/{number + 1:04d}.png"
            reason = _cut_tile(source, chosen[number], storage.join(folder, path))
            if reason is None:
                paths[number] = path
            else:
                unreachable[reason] += 1
            on_progress(len(paths) + unreachable.total(), len(chosen))
    return paths, unreachable


def _cut_tile(source: SourcePhoto, tile: ReviewTile, url: str) -> str | None:
    """Write one tile as it is in its photo; return the reason if that is impossible."""
    if isinstance(source, str):
        return source
    try:
        left_px, top_px = find_corner(tile.archive, tile.image)
        box = tile.box._replace(left_px=tile.box.left_px - left_px, top_px=tile.box.top_px - top_px)
        storage.write_whole(url, encode_png(cut(source, box), mark_of("review")))
    except DataError as error:
        return str(error)
    return None


def _make_row(tile: ReviewTile, path: str) -> dict[str, Any]:
    """Make the row of a tile; `group` is its photo, so that no split puts tiles of one photo on both sides."""
    box = {f"photo_{name}": value for name, value in tile.box._asdict().items()}
    facts = {name: getattr(tile, name) for name in ("pick", "archive", "image", "image_id", "row", "col")}
    return {"path": path, "label": "", "group": tile.image_id, "crack_score": f"{tile.crack_score:.4f}"} | facts | box


def _encode_table(rows: Sequence[dict[str, Any]]) -> bytes:
    """Write the table for a spreadsheet, in which people fill in the labels."""
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    table.writeheader()
    for row in rows:
        table.writerow({name: guard(value) if isinstance(value, str) else value for name, value in row.items()})
    return text.getvalue().encode()
