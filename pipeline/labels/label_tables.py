"""Tables of labelled tiles, as CSV or Parquet with path, label and maybe box, and manifests beside folders of tiles.

Knows what the values mean; `table_columns` knows the columns, `table_files` reads the files, `labelled_tiles` makes a
data set of them.
"""

import hashlib
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, NamedTuple

from pipeline import storage
from pipeline.core.counts import none_of
from pipeline.core.errors import UsageError
from pipeline.labels.boxes import Box
from pipeline.labels.table_columns import (
    GROUP_COLUMNS,
    KNOWN_COLUMNS,
    LABEL_COLUMNS,
    PATH_COLUMNS,
    PHOTO_COLUMN,
    check_agreement,
    check_cells,
    check_columns,
    find_column,
)
from pipeline.labels.table_files import column_key, read_text_table

MANIFEST = "manifest.csv"
REVIEW_TABLE = "review.csv"
"""The table of a folder that `review` wrote."""
MOST_SOUGHT = 100
"""Files of a table that are looked for before its paths are called wrong; on a remote store some 5 s."""

_Form = Literal["NFC", "NFD"]
_FORMS: tuple[_Form, ...] = ("NFC", "NFD")
"""Letters and their accents as one, as most programs write them, and apart, as macOS does."""
MOST_DIGITS = 10
"""Of a number of pixels in a box; Python refuses to read thousands."""

_DRIVE = re.compile(r"(?:file:/*)?[A-Za-z]:[\\/]|\\\\")
"""The beginning of a path on a drive of Windows, or on a machine in its network."""


@dataclass(frozen=True)
class ClassNames:
    """Names of the two classes in folder names and label columns, in any case; a class may have several."""

    positive: str | Sequence[str] = ("Positive",)
    """Of cracked tiles: a name, or several."""
    negative: str | Sequence[str] = ("Negative",)
    """Of sound tiles: a name, or several."""

    def __post_init__(self) -> None:
        """Check that every name says one thing.

        Raises:
            UsageError: a name is empty, or names both classes, or a class has none.
        """
        cracked, sound = (set(map(_fold, names)) for names in (self.positives, self.negatives))
        if not cracked or not sound or "" in cracked | sound:
            raise UsageError(
                f"The names of the classes are {self.cracked!r} and {self.sound!r}; expected at least one for each, "
                "and none empty. Give them with --positive and --negative."
            )
        if both := sorted(cracked & sound):
            raise UsageError(
                f"{both[0]!r} names cracked tiles and sound ones. Give every name once, with --positive or with "
                "--negative."
            )

    @property
    def positives(self) -> tuple[str, ...]:
        """The names of cracked tiles."""
        return (self.positive,) if isinstance(self.positive, str) else tuple(self.positive)

    @property
    def negatives(self) -> tuple[str, ...]:
        """The names of sound tiles."""
        return (self.negative,) if isinstance(self.negative, str) else tuple(self.negative)

    @property
    def cracked(self) -> str:
        """The names of cracked tiles, for messages."""
        return ", ".join(self.positives)

    @property
    def sound(self) -> str:
        """The names of sound tiles, for messages."""
        return ", ".join(self.negatives)

    def parse(self, word: str) -> bool | None:
        """Return True for cracked, False for sound, None for a word that names neither."""
        for names, label in ((self.positives, True), (self.negatives, False)):
            if _fold(word) in map(_fold, names):
                return label
        return None


def _fold(name: str) -> str:
    """Return what the spellings of a name share; macOS writes letters and their accents apart."""
    return unicodedata.normalize("NFC", name.strip()).casefold()


class Row(NamedTuple):
    """One labelled tile of a table."""

    url: str
    cracked: bool
    group: str
    """The photo's `image_id`, else the table's group after a hash of the table, else the URL."""
    box: Box | None
    """Which part of the file it is; None for the whole file."""
    path: str
    """As the table has it."""


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
        UsageError: the file is no such table, lacks a column, has an invalid label, path or box, or has no label at
            all.
    """
    data = storage.read_bytes(url)
    table = read_text_table(url, data, KNOWN_COLUMNS)
    path_column, label_column = find_column(url, table, PATH_COLUMNS), find_column(url, table, LABEL_COLUMNS)
    check_columns(url, table)
    records = [(f"row {line} of {url}", record) for line, record in enumerate(table.rows, 1) if any(record.values())]
    labelled = [(where, record) for where, record in records if record[label_column]]
    if not labelled:
        raise UsageError(
            f"{none_of(len(records), 'row')} of {url} has a label. Write {names.cracked} or 1 for cracked "
            f"and {names.sound} or 0 for sound into the column {label_column}; rows left empty are left out."
        )
    check_agreement(table, labelled, lambda word: _parse(word, names))
    urls, prefix = _resolve_all(url, {where: record[path_column] for where, record in labelled}), _content_hash(data)
    rows = []
    for where, record in labelled:
        tile_url = urls[record[path_column]]
        cracked = _label(record[label_column], names, where)
        group = _group(record, prefix) or tile_url
        rows.append(Row(tile_url, cracked, group, _box(record, where), record[path_column]))
    return Table(rows, len(records) - len(rows))


def check_files(url: str, rows: Sequence[Row]) -> None:
    """Check that the files of a table are where it says, by the first that is found.

    Raises:
        UsageError: not one of them is.
    """
    files = {row.url: row.path for row in rows}
    sought = list(files)[:MOST_SOUGHT]
    if any(map(storage.exists, sought)):
        return
    of_all = "" if len(sought) == len(files) else f" of {len(files):,}"
    slashes = " Backslashes were read as /." if "\\" in files[sought[0]] else ""
    raise UsageError(
        f"{none_of(len(sought), 'file')}{of_all} in {url} was found; the first is {files[sought[0]]}, looked for at "
        f"{sought[0]}.{slashes} Paths in a table are relative to its folder: correct them, or move the table."
    )


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
    prefix = _content_hash(data)
    exact: dict[str, str] = {}
    below: dict[str, str] = {}
    table = read_text_table(url, data, KNOWN_COLUMNS)
    if table.find(PATH_COLUMNS) and table.find((PHOTO_COLUMN, *GROUP_COLUMNS)):
        check_cells(url, table)
    for record in table.rows:
        group = _group(record, prefix)
        listed = next((record[key] for key in map(column_key, PATH_COLUMNS) if record.get(key)), None)
        if group is None or listed is None:
            continue
        for path in {listed, listed.replace("\\", "/")}:
            relative = _drop_dots(path)
            exact[storage.join(storage.parent(url), relative)] = group
            below[storage.join(storage.parent(url), relative.partition("/")[2])] = group
    return below | exact


def _parse(word: str, names: ClassNames) -> bool | None:
    cracked = names.parse(word)
    return _NUMBERS.get(word.lower()) if cracked is None else cracked


def _label(word: str, names: ClassNames, where: str) -> bool:
    cracked = _parse(word, names)
    if cracked is None:
        raise UsageError(
            f"The label in {where} is {word!r}; expected {names.cracked} or 1 for cracked, {names.sound} or 0 for "
            "sound. Other names can be given with --positive and --negative, as many as there are."
        )
    return cracked


def _box(record: Mapping[str, str], where: str) -> Box | None:
    words = [record.get(column_key(name), "") for name in Box._fields]
    if not any(words):
        return None
    # pandas writes whole numbers as 12.0 in a column with empty values.
    whole = [word.removesuffix(".0") for word in words]
    numbers = [int(word) for word in whole if word.isdecimal() and len(word) <= MOST_DIGITS]
    if len(numbers) < len(words) or 0 in numbers[2:]:
        found = ", ".join(f"{name} {word[:40]!r}" for name, word in zip(Box._fields, words, strict=True))
        raise UsageError(
            f"The box in {where} is {found}; expected whole pixels from 0 on, height and width at least 1, or all four "
            "empty for the whole file."
        )
    return Box(*numbers)


def _group(record: Mapping[str, str], prefix: str) -> str | None:
    if photo := record.get(column_key(PHOTO_COLUMN)):
        return f"{PHOTO_COLUMN}:{photo}"
    group = next((record[key] for key in map(column_key, GROUP_COLUMNS) if record.get(key)), None)
    return f"{prefix}:{group}" if group else None


def _content_hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]


def _resolve_all(url: str, paths: Mapping[str, str]) -> Mapping[str, str]:
    """Return the URLs of a table's paths, which start from its folder, or from the one above if the first does.

    Args:
        url: of the table.
        paths: by the places in the table, for messages.

    Raises:
        UsageError: a path is missing, has a zero byte, or is on a drive of Windows.
    """
    for where, path in paths.items():
        if not path:
            raise UsageError(f"There is a label in {where}, and no path. Give the path, or remove the label.")
        if "\0" in path:
            raise UsageError(f"The path in {where} is {path!r}, with a zero byte in it, as no file has. Correct it.")
    folder = storage.parent(url)
    places = (folder, storage.parent(folder))
    is_windows = _has_windows_paths(places, paths.values())
    for where, path in paths.items():
        if is_windows and _DRIVE.match(path):
            raise UsageError(
                f"The path in {where} is {path}, on a drive of Windows, which is not here. Write paths relative to "
                f"the table's folder, {folder}, with the files beside it."
            )
    # Every path once, since resolving takes far longer than the rest.
    slashed = {path: path.replace("\\", "/") if is_windows else path for path in paths.values()}
    first = next(iter(slashed.values()))
    form = _find_form(places, slashed.values())
    base = next((place for place in places if storage.exists(_resolve(place, _compose(first, form)))), folder)
    return {path: _resolve(base, _compose(slashes, form)) for path, slashes in slashed.items()}


def _find_form(places: Sequence[str], paths: Collection[str]) -> _Form | None:
    """Return the Unicode form in which the first file of a table with accents is found; None for that of the table."""
    accented = islice(
        (path for path in paths if len({path, *(_compose(path, form) for form in _FORMS)}) > 1), MOST_SOUGHT
    )
    for path in accented:
        for form in (None, *_FORMS):
            if any(storage.exists(_resolve(place, _compose(path, form))) for place in places):
                return form
    return None


def _compose(path: str, form: _Form | None) -> str:
    return unicodedata.normalize(form, path) if form else path


def _has_windows_paths(places: Sequence[str], paths: Iterable[str]) -> bool:
    """Tell whether a table comes from Windows: its first path with a backslash or a drive is no file's name here."""
    first = next((path for path in paths if "\\" in path or _DRIVE.match(path)), None)
    return first is not None and not any(storage.exists(_resolve(place, first)) for place in places)


def _resolve(folder: str, path: str) -> str:
    if "://" in path or path.startswith("/"):
        return storage.canonical(path)
    return storage.canonical(storage.join(folder, _drop_dots(path)))


def _drop_dots(path: str) -> str:
    """Return a relative path without `./` in front, which stores of objects take for a folder."""
    return re.sub(r"^(?:\./+)+", "", path)
