"""Labelled tiles: their files, their labels, and the photos that they were cut from.

Reads folders with a folder per class, photos with crack masks (`masks`), exports of labelling tools
(`annotated_photos`), and tables of paths and labels (`label_tables`).
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline import storage
from pipeline.core.counts import count_of
from pipeline.core.errors import DataError, StorageError, UsageError
from pipeline.core.progress import OnProgress
from pipeline.core.secrets import refuse_credentials
from pipeline.images.decode import decode
from pipeline.images.formats import DECODED_SUFFIXES, PHOTO_SUFFIXES
from pipeline.labels import annotated_photos, label_tables, masks
from pipeline.labels.boxes import Box, cut, tile_name
from pipeline.labels.label_tables import ClassNames
from pipeline.labels.near_duplicates import Descriptors, descriptor

NAMED_FAILURES = 10
"""How many unreadable files an error names; it counts the others."""
NAMED_FOLDERS = 8
"""How many folders, or endings of files, a message names."""


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
    mask_of: Mapping[str, str] = field(default_factory=dict)
    """The URL of a photo that has a crack mask to the URL of the mask."""
    clutter: frozenset[str] = frozenset()
    """Those of the sources that show anything but cracks, and perhaps no concrete."""
    unlabelled: int = 0
    """Rows of tables that have no label yet; they are no tiles."""
    unmatched: Mapping[str, int] = field(default_factory=dict)
    """Pictures in folders that no class name takes, by the name of the folder; they are no tiles."""
    undecoded: Mapping[str, int] = field(default_factory=dict)
    """Pictures of a class whose format is not decoded, by the ending of the file; they are no tiles."""
    remarks: tuple[str, ...] = ()
    """What was not used of annotations, a sentence each."""

    @property
    def names(self) -> tuple[str, ...]:
        """The URL of each tile, with its box if it has one; every name is unique."""
        return tuple(map(tile_name, self.urls, self.boxes))

    @property
    def has_unused(self) -> bool:
        """Tell whether there are pictures or annotations beside the tiles that are none."""
        return bool(self.unmatched or self.undecoded or self.remarks)

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
            mask_of=self.mask_of,
            clutter=self.clutter,
        )

    @property
    def is_clutter(self) -> NDArray[np.bool_]:
        """Tell which tiles are clutter. Shape (n,)."""
        return np.array([source in self.clutter for source in self.sources], np.bool_)


class _Tile(NamedTuple):
    url: str
    box: Box | None
    cracked: bool
    group: str
    source: str


class _Source(NamedTuple):
    """The content of one DATA argument."""

    tiles: list[_Tile]
    mask_of: Mapping[str, str] = {}
    """The mask of each photo, by their URLs."""
    unlabelled: int = 0
    """Rows without a label."""
    unmatched: Mapping[str, str] = {}
    """The folder of each picture that no class name takes, by URL."""
    undecoded: Mapping[str, str] = {}
    """The ending of each picture of a class that is not decoded, by URL."""
    remarks: Sequence[str] = ()
    """What was not used of annotations."""

    @property
    def has_both_classes(self) -> bool:
        return len({tile.cracked for tile in self.tiles}) > 1


def read_labelled_tiles(
    data: Sequence[str], classes: ClassNames | None = None, clutter: Sequence[str] = ()
) -> LabelledTiles:
    """List the labelled tiles of folders and tables, each once, sorted by URL and box.

    Args:
        data: folders or URLs with folders of each class at any depth, or with photos in `images/` and their crack masks
            in `masks/`; or exports of labelling tools; or `.csv` and `.parquet` tables with the columns `path` (or
            `file`), `label` (class names, or 0 and 1; rows without a label do not count) and optionally `group` (or
            `photo_block`) and a box; or folders that `review` wrote.
        classes: names of the classes; Positive and Negative if not given.
        clutter: more of them, whose tiles show anything but cracks.

    Raises:
        UsageError: a place is missing or holds no labelled tiles, a label is unknown or contradicts another, a mask or
            annotation does not fit its photo, all tiles are of one class, or clutter is cracked.
    """
    refuse_credentials(("The data", place) for place in (*data, *clutter))
    names = classes or ClassNames()
    sources = [*(_read_source(source, names) for source in data), *(_read_clutter(each, names) for each in clutter)]
    tiles = sorted(_unite(sources).values(), key=lambda tile: (tile.url, tile.box or ()))
    files = {tile.url for tile in tiles}
    unmatched, undecoded = (
        {url: kind for each in of_all for url, kind in each.items() if url not in files}
        for of_all in ([each.unmatched for each in sources], [each.undecoded for each in sources])
    )
    by_folder = _count(unmatched.values())
    remarks = tuple(remark for each in sources for remark in each.remarks)
    others = [f"Pictures in other folders: {list_counts(by_folder)}."] if by_folder else []
    _check_both_classes(tiles, data, names, [*others, *remarks])
    return LabelledTiles(
        urls=tuple(tile.url for tile in tiles),
        labels=np.array([tile.cracked for tile in tiles], dtype=np.bool_),
        groups=tuple(tile.group for tile in tiles),
        sources=tuple(tile.source for tile in tiles),
        boxes=tuple(tile.box for tile in tiles),
        mask_of={photo: mask for each in sources for photo, mask in each.mask_of.items()},
        clutter=frozenset(clutter),
        unlabelled=sum(each.unlabelled for each in sources),
        unmatched=by_folder,
        undecoded=_count(undecoded.values()),
        remarks=remarks,
    )


def _unite(sources: Sequence[_Source]) -> dict[str, _Tile]:
    """Return the tiles of all sources by name, each from the first source that has it."""
    found: dict[str, _Tile] = {}
    for tile in (tile for source in sources for tile in source.tiles):
        name = tile_name(tile.url, tile.box)
        first = found.setdefault(name, tile)
        if first.cracked != tile.cracked:
            raise UsageError(
                f"{name} is labelled cracked and sound: once by {first.source}, once by {tile.source}. "
                "Correct one of the labels."
            )
    return found


def _count(kinds: Iterable[str]) -> dict[str, int]:
    """Count each kind, the most frequent first."""
    return dict(Counter(kinds).most_common())


def list_counts(counts: Mapping[str, int]) -> str:
    """Name folders or endings with their numbers of pictures, up to `NAMED_FOLDERS` of them."""
    named = [f"{kind} ({count:,})" for kind, count in counts.items()]
    more = [f"and {len(named) - NAMED_FOLDERS:,} more"] if len(named) > NAMED_FOLDERS else []
    return ", ".join([*named[:NAMED_FOLDERS], *more])


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
        raise _make_error(failures, failed, len(tiles))
    return np.stack(rows)


def _make_error(failures: list[str], failed: int, total: int) -> UsageError:
    error = UsageError(f"{failed} of {count_of(total, 'labelled tile')} cannot be read; repair or remove them:")
    unnamed = len(failures) - NAMED_FAILURES
    for named in [*failures[:NAMED_FAILURES], *([f"… and {unnamed} more"] if unnamed > 0 else [])]:
        error.add_note(f"  {named}")
    return error


def _read_source(source: str, names: ClassNames) -> _Source:
    url = storage.canonical(source)
    if not storage.exists(url):
        raise UsageError(
            f"{source} does not exist; expected a folder of labelled tiles, an export of a labelling tool, or a .csv "
            "or .parquet table."
        )
    if (table := _find_table(url)) is not None:
        return _read_table(table, source, names)
    if masks.is_masked(url):
        return _read_masked(url, source)
    found = _read_folder(url, source, names) if storage.is_folder(url) else _Source([])
    if found.tiles:
        return _beside_annotations(found, url, source, names)
    if annotated_photos.is_annotated(url):
        return _read_annotated(url, source, names)
    raise _refuse_source(found, source, names)


def _read_clutter(source: str, names: ClassNames) -> _Source:
    found = _read_source(source, names)
    if cracked := sum(tile.cracked for tile in found.tiles):
        raise UsageError(
            f"{source} is given as clutter, and {cracked} of its {count_of(len(found.tiles), 'tile')} are cracked. "
            "Clutter shows anything but cracks: give it as DATA, or take the cracked tiles out."
        )
    return found


def _refuse_source(found: _Source, source: str, names: ClassNames) -> UsageError:
    by_folder = _count(found.unmatched.values())
    pictures = (
        f"Its {count_of(len(found.unmatched), 'picture is', 'pictures are')} in {list_counts(by_folder)}."
        if by_folder
        else ""
    )
    return UsageError(
        f"{source} holds no labelled tiles; expected images in folders named {names.cracked} and {names.sound}, photos "
        f"in {masks.IMAGES} with crack masks in {masks.MASKS}, or the export of a labelling tool. "
        f"{' '.join([pictures or 'It holds no pictures.', *found.remarks])} "
        "Other names can be given with --positive and --negative, as many as there are."
    )


def _beside_annotations(found: _Source, url: str, source: str, names: ClassNames) -> _Source:
    """Return sorted tiles that may lie beside annotations, which are not used then.

    Raises:
        UsageError: all tiles are of one class, so perhaps a folder is only called like it.
    """
    try:
        is_annotated = annotated_photos.is_annotated(url)
    except UsageError:  # a file of another program
        is_annotated = False
    if not is_annotated:
        return found
    if found.has_both_classes:
        remark = f"The annotations in {source} are not used, since its pictures are in folders of both classes."
        return found._replace(remarks=(*found.remarks, remark))
    name = names.cracked if found.tiles[0].cracked else names.sound
    raise UsageError(
        f"{source} holds annotations, and all its pictures are in folders called {name}. Move the annotations away if "
        "the folders tell the class; else rename the folders."
    )


def _find_table(url: str) -> str | None:
    """Return the table of a DATA argument: the argument itself, or the table of a folder that `review` wrote."""
    if not storage.is_folder(url):
        return None if annotated_photos.is_annotated(url) else url
    table = storage.join(url, label_tables.REVIEW_TABLE)
    return table if storage.exists(table) else None


def _check_both_classes(tiles: list[_Tile], data: Sequence[str], names: ClassNames, remarks: Sequence[str]) -> None:
    cracked = sum(tile.cracked for tile in tiles)
    if not 0 < cracked < len(tiles):
        found = f"{cracked} cracked ({names.cracked}) and {len(tiles) - cracked} sound ({names.sound})"
        reasons = " ".join(["Both classes are needed.", *remarks])
        raise UsageError(f"{', '.join(data)} holds tiles of one class only: {found}. {reasons}")


def _read_table(url: str, source: str, names: ClassNames) -> _Source:
    rows, unlabelled = label_tables.read_table(url, names)
    label_tables.check_files(url, rows)
    return _Source([_Tile(row.url, row.box, row.cracked, row.group, source) for row in rows], unlabelled=unlabelled)


def _read_annotated(url: str, source: str, names: ClassNames) -> _Source:
    found = annotated_photos.read_labelled_boxes(url, names)
    group_of = label_tables.read_groups(url if storage.is_folder(url) else storage.parent(url))
    return _Source(
        [_Tile(each.url, each.box, each.cracked, group_of.get(each.url, each.url), source) for each in found.boxes],
        remarks=annotated_photos.list_unused(found),
    )


def _read_folder(url: str, source: str, names: ClassNames) -> _Source:
    group_of = label_tables.read_groups(url)
    found = _Source([], {}, 0, unmatched := {}, undecoded := {}, remarks := [])
    for file in storage.list_files(url):
        suffix = file.path.rpartition(".")[2].lower()
        if storage.is_hidden(file.path):
            continue
        if suffix not in PHOTO_SUFFIXES:
            if storage.is_folder_link(file):
                remarks.append(f"The link {file.url} leads to a folder and is not followed: give the folder.")
            continue
        # The folder's own name counts too, since a shell turns `tiles/*` into `tiles/Positive tiles/Negative`.
        folders = [storage.name(url), *file.path.split("/")[:-1]]
        cracked = next((label for folder in reversed(folders) if (label := names.parse(folder)) is not None), None)
        if cracked is None:
            unmatched[file.url] = folders[-1]
        elif suffix not in DECODED_SUFFIXES:
            undecoded[file.url] = f".{suffix}"
        else:
            found.tiles.append(_Tile(file.url, None, cracked, group_of.get(file.url, file.url), source))
    return found


def _read_masked(url: str, source: str) -> _Source:
    group_of = label_tables.read_groups(url)
    tiles, mask_of = list[_Tile](), dict[str, str]()
    for photo in masks.read_masked_photos(url):
        group = group_of.get(photo.url, photo.url)
        mask_of[photo.url] = photo.mask_url
        tiles += [_Tile(photo.url, box, cracked, group, source) for box, cracked in masks.label_boxes(photo.crack)]
    left_out = masks.list_left_out(url)
    kinds = list_counts(_count(left_out.values()))
    remark = f"{source} holds files beside its masked photos that are not used, {len(left_out):,} in all: {kinds}."
    return _Source(tiles, mask_of, remarks=[remark] if left_out else [])
