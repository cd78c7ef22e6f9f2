"""Tiles for people to look at: cut out of their photos, with a table to write their labels into.

Which tiles, is left to `review_tiles`. What is written is labelled data once the labels are filled in: see `labelled`.
"""

import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pipeline import storage
from pipeline.core.errors import CrackscanError, DataError, UsageError
from pipeline.dataset.layout import Layout, check_outside
from pipeline.dataset.run import read_run
from pipeline.dataset.sql import views
from pipeline.labels.boxes import cut
from pipeline.labels.crops import encode_png
from pipeline.labels.tables import REVIEW_TABLE
from pipeline.reports.review_selection import Pick, ReviewRule, ReviewTile, choose
from pipeline.reports.source_photos import SourcePhoto, source_photos

PICKS: dict[str, tuple[Pick, ...]] = {"uncertain": ("uncertain",), "worst": ("worst",), "both": ("uncertain", "worst")}

_COLUMNS = (
    "path", "label", "group", "pick", "crack_score", "archive", "image", "image_id", "row", "col",
    "photo_top_px", "photo_left_px", "photo_height_px", "photo_width_px",
)  # fmt: skip
"""The box is the one in the photo, and not called as those are that `label_table` cuts by: the tile is cut already."""

_TILE = re.compile(r"tiles/\d+\.png")

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class ReviewConfig:
    """One review."""

    out: str
    """The dataset."""
    folder: str
    """Folder or URL to write; new, empty, or what an interrupted review left."""
    tiles: int = 200
    pick: Literal["uncertain", "worst", "both"] = "both"
    per_photo: int = 2
    """At most so many tiles of one photo."""
    threshold: float | None = None
    """Scores near it are uncertain; None takes the card's."""


@dataclass(frozen=True)
class Reviewed:
    """What there is to look at."""

    url: str
    """Canonical URL of the folder."""
    tiles: int
    photos: int
    """That they come from."""
    unreachable: Counter[str]
    """Tiles that could not be cut, by reason."""


def review(config: ReviewConfig, on_progress: OnProgress) -> Reviewed:
    """Choose tiles, cut them out of their photos, and write them with their table, which comes last.

    Args:
        config: which tiles, and where they go.
        on_progress: is told tiles done, and of how many.

    Raises:
        UsageError: there is no dataset, nothing in it to look at, or something else in the folder.
        CrackscanError: not one tile could be cut.
    """
    layout, folder = Layout(storage.canonical(config.out)), storage.canonical(config.folder)
    with views(layout) as connection:
        check_outside(layout, folder)
        _clear(folder)
        rule = ReviewRule(config.tiles, PICKS[config.pick], config.per_photo, _threshold(layout, config.threshold))
        chosen = choose(connection, rule)
    if not chosen:
        raise UsageError(f"{layout.url} has no scored tile, so there is nothing to look at. Score photos first.")
    cut_of, unreachable = _cut_all(layout, folder, chosen, on_progress)
    if not cut_of:
        [(reason, _)] = unreachable.most_common(1)
        raise CrackscanError(f"Not one of {len(chosen):,} tiles could be cut out of its photo: {reason}")
    rows = [_row(tile, cut_of[number]) for number, tile in enumerate(chosen) if number in cut_of]
    storage.write_whole(storage.join(folder, REVIEW_TABLE), _table(rows))
    return Reviewed(folder, len(rows), len({row["image_id"] for row in rows}), unreachable)


def _clear(folder: str) -> None:
    """Refuse a folder that holds anything, labels above all; what an interrupted review left goes."""
    files = storage.list_files(folder) if storage.exists(folder) else []
    others = [file.path for file in files if not _TILE.fullmatch(file.path)]
    if others:
        raise UsageError(f"{folder} is not empty: it holds {others[0]}. Give --out a new folder.")
    for file in files:
        storage.remove(file.url)


def _threshold(layout: Layout, given: float | None) -> float:
    threshold: float | None = read_run(layout).get("model_card", {}).get("threshold") if given is None else given
    if threshold is None:
        raise UsageError(f"{layout.run} names no threshold. Give --threshold.")
    return threshold


def _cut_all(
    layout: Layout, folder: str, chosen: Sequence[ReviewTile], on_progress: OnProgress
) -> tuple[dict[int, str], Counter[str]]:
    """Write the tiles, photo by photo; return the path of each by its number, and why others could not be cut."""
    of_photo = defaultdict[str, list[int]](list)
    for number, tile in enumerate(chosen):
        of_photo[tile.image_id].append(number)
    paths: dict[int, str] = {}
    unreachable = Counter[str]()
    for image_id, original in source_photos(layout, {tile.image_id: tile.archive for tile in chosen}):
        for number in of_photo[image_id]:
            path = f"tiles/{number + 1:04d}.png"
            reason = _cut(original, chosen[number], storage.join(folder, path))
            if reason is None:
                paths[number] = path
            else:
                unreachable[reason] += 1
            on_progress(len(paths) + unreachable.total(), len(chosen))
    return paths, unreachable


def _cut(original: SourcePhoto, tile: ReviewTile, place: str) -> str | None:
    """Write one tile as it is in its photo; or say why that cannot be done."""
    if isinstance(original, str):
        return original
    try:
        storage.write_whole(place, encode_png(cut(original, tile.box)))
    except DataError as error:
        return str(error)
    return None


def _row(tile: ReviewTile, path: str) -> dict[str, Any]:
    """Make a tile's row; `group` is its photo, so that no photo stands on both sides of a training."""
    box = {f"photo_{name}": value for name, value in tile.box._asdict().items()}
    facts = {name: getattr(tile, name) for name in ("pick", "archive", "image", "image_id", "row", "col")}
    return {"path": path, "label": "", "group": tile.image_id, "crack_score": f"{tile.crack_score:.4f}"} | facts | box


def _table(rows: Sequence[dict[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue().encode()
