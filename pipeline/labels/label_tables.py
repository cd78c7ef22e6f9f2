"""Tables of labelled tiles, as CSV or Parquet with path, label and maybe box, and manifests beside folders of tiles.

Knows columns and what their values mean; `labelled_tiles` makes a data set of them.
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
"""Identifies a photo everywhere, so that its tiles share a group even in two tables."""


class ClassNames(NamedTuple):
    """Names of the two classes in folder names and label columns, in any case."""

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
    """The photo's `image_id`, else the table's group after a hash of the table, else the URL."""
    box: Box | None
    """Which part of the file it is; None for the whole file."""


class Table(NamedTuple):
    """The content of a table."""

    rows: list[Row]
    unlabelled: int
    """Number of rows without a label, which are not in `rows`."""


_NUMBERS = {"1": True, "0": False, "1.0": True, "0.0": False, "true": True, "false": False}
"""Labels that mean the same whatever the names of the classes."""


def read_table(url: str, names: ClassNames) -> Table:
    """Read a table of labelled tiles; its paths are relative to its folder.

    A row with `top_px`, `left_px`, `height_px` and `width_px` is that part of its file. Counts rows with an empty label
    and leaves them out.

    Raises:
        UsageError: the file is no such table, lacks a column, has an invalid label or box, or has no label at all.
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


def read_groups(folder: str) -> dict[str, str]:
    """Return the group of every tile that the `manifest.csv` of a folder or of its two parents lists.

    Of two manifests the nearer counts. The paths of a manifest start from its own folder or, as in METU, from the one
    above, even if somebody renamed the folder. The name of a group holds a hash of the manifest, so that training and
    validation tiles of one manifest share groups and those of two data sets never do.
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
    """Return the rows of a table with every value as text, null as the empty text."""
    if url.lower().endswith(".csv"):
        try:
            text = data.decode("utf-8-sig")
            header = text.partition("\n")[0]
            # Spreadsheets write semicolons or tabs if the comma is their decimal mark.
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
    # pandas writes whole numbers as 12.0 in a column with empty values.
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
    """Return the base of relative paths: the table's folder, or the one above if the first file is only there."""
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
