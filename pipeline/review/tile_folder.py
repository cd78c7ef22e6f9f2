"""Tiles for people to look at, cut out of their photos, and a table for their labels; a page to judge on beside it.

`selection` chooses the tiles, `page` makes the page. Once people have filled in the labels, the folder is labelled
data: see `labels.labelled_tiles`; `crackscan verdicts` takes the table or what the page saved into the dataset.
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
from pipeline.dataset.sql import Connection, views
from pipeline.dataset.targets import check_folder, has_mark
from pipeline.images.decode import Pixels
from pipeline.labels.label_tables import REVIEW_TABLE
from pipeline.reports.dataset_stats import threshold_of
from pipeline.reports.source_photos import read_source_photos
from pipeline.review.page import PAGE, Shown, make_page, picture_bytes
from pipeline.review.pictures import SmallPictures, make_small, write_around, write_tile
from pipeline.review.places import Place, find_places
from pipeline.review.selection import Pick, ReviewRule, choose_tiles

PICKS: dict[str, tuple[Pick, ...]] = {
    "uncertain": ("uncertain",), "worst": ("worst",), "both": ("uncertain", "worst"), "random": ("random",),
}  # fmt: skip

_COLUMNS = (
    "path", "label", "group", "pick", "weight", "crack_score", "cracks", "archive", "image", "image_id", "row", "col",
    "photo_top_px", "photo_left_px", "photo_height_px", "photo_width_px",
)  # fmt: skip
"""The box is that in the photo. Its columns have other names than those by which `labels.label_tables` cuts tiles,
because these tiles are cut already."""

_PLAIN = ("cracks", "weight")
"""Columns of digits and blanks, which a spreadsheet may take for numbers."""

_OURS = (
    (re.compile(r"tiles/\d+\.png"), has_mark("review", b"tEXtSoftware\0")),
    (re.compile(r"around/\d+\.jpg"), has_mark("review", b"")),
    (re.compile(re.escape(PAGE)), has_mark("review", b'<meta name="generator" content="')),
)
"""Files of an interrupted review, and how to tell that they are ours."""


_HEAD_BYTES = 1000
"""Of a file, in which its mark stands."""


@dataclass(frozen=True)
class ReviewConfig:
    """Which tiles to review, and where to write them."""

    out: str
    """The dataset."""
    folder: str
    """Folder or URL to write: new, empty, or with the rest of an interrupted review."""
    tiles: int = 200
    pick: Literal["uncertain", "worst", "both", "random"] = "both"
    per_photo: int = 2
    """Most tiles of one photo; those drawn at random may be more."""
    threshold: float | None = None
    """Scores near it are uncertain; None takes that of the model card."""
    page: bool = False
    """Whether to make a page to judge on, with the surroundings of the tiles."""
    crop_only: bool = False
    """Whether nothing but the tiles may leave their photos."""


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
    page_bytes: int | None = None
    """Size of the page; None without one."""


def review(config: ReviewConfig, on_progress: OnProgress) -> Reviewed:
    """Choose tiles, cut them out of their photos, and write them; their table comes last.

    Args:
        config: which tiles, and where to write them.
        on_progress: is called with the number of tiles done, and of all.

    Raises:
        UsageError: there is no dataset, it has no scored tile that nobody has judged, or the folder holds something
            else.
        CrackscanError: none of the tiles could be cut.
    """
    layout, folder = Layout(storage.canonical(config.out)), storage.canonical(config.folder)
    with views(layout) as connection:
        check_folder(folder, [layout])
        _clear_folder(folder)
        threshold = _threshold(layout, config.threshold)
        rule = ReviewRule(config.tiles, PICKS[config.pick], config.per_photo, threshold)
        chosen = choose_tiles(connection, rule)
        if not chosen:
            raise _refuse_empty(connection, layout)
        places = find_places(connection, chosen, crop_only=config.crop_only)
    shown, unreachable = _cut_places(
        layout, _Cutter(folder, picture_bytes(places) if config.page else None), places, on_progress
    )
    if not shown:
        [(reason, _)] = unreachable.most_common(1)
        raise CrackscanError(f"{none_of(len(chosen), 'tile')} could be cut out of its photo: {reason}")
    page = make_page(storage.name(layout.url), threshold, shown) if config.page else None
    if page is not None:
        storage.write_whole(storage.join(folder, PAGE), page)
    storage.write_whole(storage.join(folder, REVIEW_TABLE), _encode_table([_make_row(one) for one in shown]))
    photos = {one.place.tile.image_id for one in shown}
    return Reviewed(folder, len(shown), len(photos), unreachable, None if page is None else len(page))


def _refuse_empty(connection: Connection, layout: Layout) -> UsageError:
    """Say why there is no tile to look at."""
    if connection.execute("SELECT 1 FROM tiles LIMIT 1").fetchone():
        return UsageError(f"Every scored tile of {layout.url} has been judged, so there is nothing to look at.")
    return UsageError(f"{layout.url} has no scored tile, so there is nothing to look at. Score photos first.")


def _clear_folder(folder: str) -> None:
    """Refuse a folder that holds anything, above all labels; remove the files of an interrupted review."""
    files = storage.list_files(folder) if storage.exists(folder) else []
    is_ours = {file.path: [test for pattern, test in _OURS if pattern.fullmatch(file.path)] for file in files}
    others = [path for path, tests in is_ours.items() if not tests]
    if not others:
        contents = storage.read_many([file.url for file in files])
        pairs = zip(files, contents, strict=True)
        others = [file.path for file, data in pairs if not is_ours[file.path][0](file.url, data[:_HEAD_BYTES])]
    if others:
        raise UsageError(f"{folder} is not empty: it holds {others[0]}. Give --out a new folder.")
    for file in files:
        storage.remove(file.url)


def _threshold(layout: Layout, given: float | None) -> float:
    threshold = threshold_of(read_run(layout), given)
    if threshold is None:
        raise UsageError(f"{layout.run} names no threshold. Give --threshold.")
    return threshold


@dataclass(frozen=True)
class _Cutter:
    """Writes the pictures of a place."""

    folder: str
    small_bytes: int | None
    """Most bytes of the small pictures for the page; None without one."""

    def cut(self, pixels: Pixels, place: Place, number: int) -> Shown:
        """Write the files of a place; return what the page shows of it.

        Raises:
            DataError: it reaches over the photo's edge.
        """
        path, around = f"tiles/{number + 1:04d}.png", f"around/{number + 1:04d}.jpg"
        write_tile(pixels, place, storage.join(self.folder, path))
        if self.small_bytes is None:
            return Shown(place, path, None, SmallPictures(None, None))
        small = make_small(pixels, place, self.small_bytes)
        if place.around == place.tile.box:
            return Shown(place, path, None, small)
        write_around(pixels, place, storage.join(self.folder, around))
        return Shown(place, path, around, small)


def _cut_places(
    layout: Layout, cutter: _Cutter, places: Sequence[Place], on_progress: OnProgress
) -> tuple[list[Shown], Counter[str]]:
    """Write the pictures, photo by photo; return the places in their order, and why others are missing."""
    numbers_of = defaultdict[str, list[int]](list)
    for number, place in enumerate(places):
        numbers_of[place.tile.image_id].append(number)
    shown: dict[int, Shown] = {}
    unreachable = Counter[str]()
    for image_id, source in read_source_photos(layout, {place.tile.image_id: place.tile.archive for place in places}):
        for number in numbers_of[image_id]:
            try:
                if isinstance(source, str):
                    unreachable[source] += 1
                else:
                    shown[number] = cutter.cut(source, places[number], number)
            except DataError as error:
                unreachable[str(error)] += 1
            on_progress(len(shown) + unreachable.total(), len(places))
    return [shown[number] for number in sorted(shown)], unreachable


def _make_row(one: Shown) -> dict[str, Any]:
    """Make the row of a tile; `group` is its photo, so that no split puts tiles of one photo on both sides."""
    tile = one.place.tile
    facts = {name: getattr(tile, name) for name in ("pick", "archive", "image", "image_id", "row", "col")}
    facts |= {"path": one.tile, "label": "", "group": tile.image_id, "crack_score": f"{tile.crack_score:.4f}"}
    facts |= {"cracks": one.place.cracks, "weight": "" if tile.weight is None else f"{tile.weight:.10g}"}
    return facts | {f"photo_{name}": value for name, value in tile.box._asdict().items()}


def _encode_table(rows: Sequence[dict[str, Any]]) -> bytes:
    """Write the table for a spreadsheet, in which people fill in the labels."""
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    table.writeheader()
    for row in rows:
        texts = {name for name, value in row.items() if isinstance(value, str) and name not in _PLAIN}
        table.writerow({name: guard(value) if name in texts else value for name, value in row.items()})
    return text.getvalue().encode()
