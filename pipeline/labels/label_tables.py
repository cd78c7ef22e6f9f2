"""Tables of labelled tiles, as CSV or Parquet with path, label and maybe box, and manifests beside folders of tiles.

Knows columns and what their values mean; `table_files` reads the files, `labelled_tiles` makes a data set of them.
"""

import hashlib
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, NamedTuple

from pipeline import storage
from pipeline.core.errors import UsageError
from pipeline.labels.boxes import Box
from pipeline.labels.table_files import TextTable, column_key, read_text_table

MANIFEST = "manifest.csv"
REVIEW_TABLE = "review.csv"
"""The table of a folder that `review` wrote."""
PATH_COLUMNS = ("path", "file", "filename", "filepath", "image", "image_path", "image_name")
"""The first that a table has; capitals, blanks and underscores make no difference in any column."""
LABEL_COLUMNS = ("label", "class")
GROUP_COLUMNS = ("group", "photo_block")
PHOTO_COLUMN = "image_id"
"""Identifies a photo everywhere, so that its tiles share a group even in two tables."""
MOST_SOUGHT = 100
"""Files of a table that are looked for before its paths are called wrong; on a remote store some 5 s."""

_FILE_COLUMNS = (PATH_COLUMNS[:4], PATH_COLUMNS[4:])
"""Columns that name one file. Beside `path`, `image` is something else: in a `review.csv`, the photo of the tile."""
_KNOWN_COLUMNS = (*PATH_COLUMNS, *LABEL_COLUMNS, *GROUP_COLUMNS, PHOTO_COLUMN, *Box._fields)
_BOX_FAMILY = re.compile("bbox|bndbox|boundingbox|polygon|segmentation|encodedpixels|rle$|regionshape")
"""How the names of columns with an area of a photo begin, each in itself."""
_BOX_CORNERS = tuple(
    frozenset(pair.split())
    for pair in (
        "xmin ymin", "xmax ymax", "x1 y1", "x0 y0", "x2 y2", "xtl ytl", "left top", "leftx topy", "startx starty",
        "xcenter ycenter", "xcentre ycentre", "centerx centery", "cx cy", "minx miny", "xstart ystart",
        "x y w h", "x y width height",
    )
)  # fmt: skip
"""Names of columns that are a box together; alone `width` and `height` are the photo's, `x` and `y` a place on a map."""
_UNIT = re.compile(r"\W*(?:px|pixels?)?\W*$")
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
    table = read_text_table(url, data, _KNOWN_COLUMNS)
    path_column, label_column = _column(url, table, PATH_COLUMNS), _column(url, table, LABEL_COLUMNS)
    _check_columns(url, table)
    records = [(f"row {line} of {url}", record) for line, record in enumerate(table.rows, 1) if any(record.values())]
    labelled = [(where, record) for where, record in records if record[label_column]]
    if not labelled:
        raise UsageError(
            f"Not one of the {len(records):,} rows of {url} has a label. Write {names.cracked} or 1 for cracked and "
            f"{names.sound} or 0 for sound into the column {label_column}; rows left empty are left out."
        )
    _check_agreement(table, labelled, names)
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
    of_all = "" if len(sought) == len(files) else f"first {len(sought)} of the "
    slashes = " Backslashes were read as /." if "\\" in files[sought[0]] else ""
    raise UsageError(
        f"Not one of the {of_all}{len(files):,} files in {url} was found; the first is {files[sought[0]]}, looked for "
        f"at {sought[0]}.{slashes} Paths in a table are relative to its folder: correct them, or move the table."
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
    table = read_text_table(url, data, _KNOWN_COLUMNS)
    if table.find(PATH_COLUMNS) and table.find((PHOTO_COLUMN, *GROUP_COLUMNS)):
        _check_cells(url, table)
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


def _column(url: str, table: TextTable, names: Sequence[str]) -> str:
    """Return the key of the first of these columns that the table has."""
    key = table.find(names)
    if key is None:
        columns = ", ".join(table.columns) if table.rows else "no rows"
        first = " or ".join(names[:2]) if names == PATH_COLUMNS else names[0]
        raise UsageError(f"{url} has no column {first}; it has {columns}. Expected path and label.")
    if table.count(key) > 1:
        raise UsageError(f"{url} has {table.count(key)} columns {key}; expected one. Rename or remove the others.")
    return key


def _check_columns(url: str, table: TextTable) -> None:
    """Refuse a table whose values are shifted, that has a column twice, or boxes in columns that are not read.

    Raises:
        UsageError: it is such a table.
    """
    _check_cells(url, table)
    for key in table.find_all((*GROUP_COLUMNS, PHOTO_COLUMN, *Box._fields)):
        if table.count(key) > 1:
            raise UsageError(f"{url} has {table.count(key)} columns {key}; expected one. Rename or remove the others.")
    unread = _list_unread_boxes(table)
    if unread:
        raise UsageError(
            f"{url} has boxes in the columns {', '.join(unread)}, which are not read; expected {', '.join(Box._fields)}. "
            "Rename and convert them, or remove them if every row is a whole file. The exports of labelling tools are "
            "read as COCO, Pascal VOC, YOLO, labelme, CVAT or Label Studio."
        )


def _check_cells(url: str, table: TextTable) -> None:
    if table.surplus_row is not None:
        raise UsageError(
            f"Row {table.surplus_row} of {url} has more values than the header has columns ({len(table.columns)}), so "
            "they are shifted. Put values that hold the separator, such as a decimal comma, in quotes."
        )


def _list_unread_boxes(table: TextTable) -> list[str]:
    """List the columns that hold areas of photos in other words than ours; none if ours are there, too."""
    if len(table.find_all(Box._fields)) == len(Box._fields):
        return []
    own = set(map(column_key, Box._fields))
    bare = {column: _UNIT.sub("", column_key(column)) for column in table.columns}
    paired = frozenset[str]().union(*(corners for corners in _BOX_CORNERS if corners <= set(bare.values())))
    is_box = {column: key in paired or bool(_BOX_FAMILY.match(key)) for column, key in bare.items()}
    return [column for column in table.columns if is_box[column] and column_key(column) not in own]


def _check_agreement(table: TextTable, labelled: Iterable[tuple[str, Mapping[str, str]]], names: ClassNames) -> None:
    """Check that columns which mean the same say the same.

    Raises:
        UsageError: two of them differ in a row.
    """
    rivals = [table.find_all(columns) for columns in (*_FILE_COLUMNS, LABEL_COLUMNS, GROUP_COLUMNS)]
    pairs = [(keys[0], other) for keys in rivals for other in keys[1:]]
    for where, record in labelled if pairs else ():
        for one, other in pairs:
            first, second = record[one], record[other]
            if first and second and not _agree(first, second, names):
                raise UsageError(
                    f"The columns {one} and {other} mean the same, and {where} has {first!r} and {second!r}. Rename or "
                    "remove one of them."
                )


def _agree(first: str, second: str, names: ClassNames) -> bool:
    """Tell whether two values say the same: equal, two words for one class, or a path and its end."""
    label = _parse(first, names)
    if label is not None and label == _parse(second, names):
        return True
    one, other = (f"/{_drop_dots(value.replace(chr(92), '/')).lstrip('/')}" for value in (first, second))
    return one.endswith(other) or other.endswith(one)


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
