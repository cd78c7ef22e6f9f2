"""Tables of labelled tiles: a CSV or Parquet of path, label and maybe box, and the manifest beside a folder of tiles.

Knows columns and how their words are understood; which tiles make a data set is left to `labelled`.
"""

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.core.errors import UsageError
from pipeline.labels.boxes import Box

MANIFEST = "manifest.csv"
REVIEW_TABLE = "review.csv"
"""The table of a folder that `review` wrote."""
PATH_COLUMNS = ("path", "file")
LABEL_COLUMNS = ("label",)
GROUP_COLUMNS = ("group", "photo_block")
PHOTO_COLUMN = "image_id"
"""Names a photo everywhere, so that its tiles share a group also where they stand in two tables."""


class ClassNames(NamedTuple):
    """What the two classes are called, in folder names and label columns; upper or lower case does not matter."""

    positive: str = "Positive"
    negative: str = "Negative"

    def parse(self, word: str) -> bool | None:
        """Return True for cracked, False for sound, None for a word that names neither."""
        return {self.positive.casefold(): True, self.negative.casefold(): False}.get(word.strip().casefold())


class Row(NamedTuple):
    """One labelled tile of a table."""

    url: str
    cracked: bool
    group: str
    """The photo's `image_id`; else the table's group with a hash of the table before it; else the URL."""
    box: Box | None
    """Which part of the file it is; None is all of it."""


class Table(NamedTuple):
    """What a table holds."""

    rows: list[Row]
    unlabelled: int
    """Rows whose label is empty, which are left out."""


_NUMBERS = {"1": True, "0": False, "1.0": True, "0.0": False, "true": True, "false": False}
"""Labels understood whatever the classes are called."""


def read(url: str, names: ClassNames) -> Table:
    """Read a table of labelled tiles; paths in it are relative to its folder.

    A row with `top_px`, `left_px`, `height_px` and `width_px` stands for that part of its file. One whose label is
    empty is left out, and counted.

    Raises:
        UsageError: it is no such table, lacks a column, holds a label or a box that is none, or no label at all.
    """
    data = storage.read_bytes(url)
    records = _records(url, data)
    path_column = _column(url, records, PATH_COLUMNS)
    label_column = _column(url, records, LABEL_COLUMNS)
    prefix = _content_hash(data)
    folder = _base_folder(url, [record[path_column] for record in records])
    rows = []
    for line, record in enumerate(records, start=1):
        if not record[label_column].strip():
            continue
        tile_url = _resolve(folder, record[path_column])
        where = f"row {line} of {url}"
        cracked = _label(record[label_column], names, where)
        rows.append(Row(tile_url, cracked, _group(record, prefix) or tile_url, _box(record, where)))
    if not rows:
        raise UsageError(
            f"Not one of the {len(records):,} rows of {url} has a label. Write {names.positive} or 1 for cracked and "
            f"{names.negative} or 0 for sound into the column {label_column}; rows left empty are left out."
        )
    return Table(rows, len(records) - len(rows))


def groups_of_folder(folder: str) -> dict[str, str]:
    """Return the group of every tile that the `manifest.csv` of a folder or of its two parents lists.

    Of two manifests the nearer counts. A manifest names files from its own folder, or (as METU's does) from the one
    above: both are understood, also where the folder was renamed. The group's name holds a hash of the manifest, so
    that training and validation tiles of one manifest share groups and those of two data sets never do.
    """
    groups: dict[str, str] = {}
    place = folder
    for _ in range(3):
        manifest = storage.join(place, MANIFEST)
        if storage.exists(manifest):
            for url, group in _groups_of_manifest(manifest).items():
                groups.setdefault(url, group)
        place = storage.parent(place)
        if place.endswith(("/", ":")):  # the root of the disk or of the bucket
            break
    return groups


def _groups_of_manifest(url: str) -> dict[str, str]:
    data = storage.read_bytes(url)
    records = _records(url, data)
    prefix = _content_hash(data)
    exact: dict[str, str] = {}
    below: dict[str, str] = {}
    for record in records:
        group = _group(record, prefix)
        path = next((record[name] for name in PATH_COLUMNS if record.get(name)), None)
        if group is None or path is None:
            continue
        exact[storage.join(storage.parent(url), path)] = group
        below[storage.join(storage.parent(url), path.partition("/")[2])] = group
    return below | exact


def _records(url: str, data: bytes) -> Sequence[Mapping[str, str]]:
    """Return the rows of a table with every value as text; null is the empty text."""
    if url.lower().endswith(".csv"):
        try:
            text = data.decode("utf-8-sig")
            header = text.partition("\n")[0]
            # Spreadsheets save a CSV with semicolons or tabs where the comma is the decimal mark.
            delimiter = max(",;\t", key=header.count)
            return list(csv.DictReader(io.StringIO(text), restval="", delimiter=delimiter))
        except (UnicodeDecodeError, csv.Error) as error:
            raise UsageError(f"{url} is no CSV in UTF-8: {error}.") from error
    if url.lower().endswith(".parquet"):
        try:
            rows = pq.read_table(pa.BufferReader(data)).to_pylist()
        except pa.ArrowException as error:
            raise UsageError(f"{url} is no Parquet table: {error}") from error
        return [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]
    raise UsageError(f"{url} is neither a folder of labelled tiles nor a .csv or .parquet table.")


def _column(url: str, records: Sequence[Mapping[str, str]], names: Sequence[str]) -> str:
    """Return the name of the first of these columns that the table has."""
    found = list(records[0]) if records else []
    for name in names:
        if name in found:
            return name
    columns = ", ".join(str(name) for name in found) or "no rows"
    raise UsageError(f"{url} has no column {' or '.join(names)}; it has {columns}. Expected path and label.")


def _label(word: str, names: ClassNames, where: str) -> bool:
    cracked = names.parse(word)
    if cracked is None:
        cracked = _NUMBERS.get(word.strip().lower())
    if cracked is None:
        raise UsageError(
            f"The label in {where} is {word!r}; expected {names.positive} or 1 for cracked, {names.negative} or 0 for "
            "sound. Other names can be given with --positive and --negative."
        )
    return cracked


def _box(record: Mapping[str, str], where: str) -> Box | None:
    words = [record.get(name) or "" for name in Box._fields]
    if not any(words):
        return None
    # pandas writes whole numbers beside empty ones as 12.0.
    numbers = [int(word.removesuffix(".0")) for word in words if word.removesuffix(".0").isdecimal()]
    if len(numbers) < len(words) or 0 in numbers[2:]:
        found = ", ".join(f"{name} {word!r}" for name, word in zip(Box._fields, words, strict=True))
        raise UsageError(
            f"The box in {where} is {found}; expected whole pixels from 0 on, height and width at least 1, or all four "
            "empty for the whole file."
        )
    return Box(*numbers)


def _group(record: Mapping[str, str], prefix: str) -> str | None:
    if record.get(PHOTO_COLUMN):
        return f"{PHOTO_COLUMN}:{record[PHOTO_COLUMN]}"
    group = next((record[name] for name in GROUP_COLUMNS if record.get(name)), None)
    return f"{prefix}:{group}" if group else None


def _content_hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]


def _base_folder(url: str, paths: Sequence[str]) -> str:
    """Return what relative paths start from: the table's folder, or the one above where only there the first is."""
    folder = storage.parent(url)
    above = storage.parent(folder)
    first = paths[0]
    if not storage.exists(_resolve(folder, first)) and storage.exists(_resolve(above, first)):
        return above
    return folder


def _resolve(folder: str, path: str) -> str:
    if "://" in path or path.startswith("/"):
        return storage.canonical(path)
    return storage.canonical(storage.join(folder, path))
