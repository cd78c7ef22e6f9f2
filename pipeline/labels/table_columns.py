"""Columns of tables of labelled tiles: which ones are read, and which say too little, too much or two things.

A column that looks as if it were read and is not gives wrong labels in silence; such tables are refused here.
`label_tables` reads the values.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from pipeline.core.errors import UsageError
from pipeline.labels.boxes import Box
from pipeline.labels.table_files import TextTable, column_key

PATH_COLUMNS = ("path", "file", "filename", "filepath", "image", "image_path", "image_name")
"""The first that a table has; capitals, blanks and underscores make no difference in any column."""
LABEL_COLUMNS = ("label", "class")
GROUP_COLUMNS = ("group", "photo_block")
PHOTO_COLUMN = "image_id"
"""Identifies a photo everywhere, so that its tiles share a group even in two tables."""

_FILE_COLUMNS = (PATH_COLUMNS[:4], PATH_COLUMNS[4:])
"""Columns that name one file. Beside `path`, `image` is something else: in a `review.csv`, the photo of the tile."""
KNOWN_COLUMNS = (*PATH_COLUMNS, *LABEL_COLUMNS, *GROUP_COLUMNS, PHOTO_COLUMN, *Box._fields)
"""Whose values are read."""
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
"""Names of columns that are a box together; alone `width` and `height` are the photo's, `x` and `y` are on a map."""
_UNIT = re.compile(r"\W*(?:px|pixels?)?\W*$")
"""A unit at the end of a name: `left (pixels)`."""

ParseLabel = Callable[[str], bool | None]
"""From a label to whether it says cracked; None for a word that is no label."""


def find_column(url: str, table: TextTable, names: Sequence[str]) -> str:
    """Return the key of the first of these columns that the table has."""
    key = table.find(names)
    if key is None:
        columns = ", ".join(table.columns) if table.rows else "no rows"
        first = " or ".join(names[:2]) if names == PATH_COLUMNS else names[0]
        raise UsageError(f"{url} has no column {first}; it has {columns}. Expected path and label.")
    if table.count(key) > 1:
        raise UsageError(f"{url} has {table.count(key)} columns {key}; expected one. Rename or remove the others.")
    return key


def check_columns(url: str, table: TextTable) -> None:
    """Refuse a table whose values are shifted, that has a column twice, or boxes in columns that are not read.

    Raises:
        UsageError: it is such a table.
    """
    check_cells(url, table)
    for key in table.find_all((*GROUP_COLUMNS, PHOTO_COLUMN, *Box._fields)):
        if table.count(key) > 1:
            raise UsageError(f"{url} has {table.count(key)} columns {key}; expected one. Rename or remove the others.")
    unread = _list_unread_boxes(table)
    if unread:
        raise UsageError(
            f"{url} has boxes in the columns {', '.join(unread)}, which are not read; expected "
            f"{', '.join(Box._fields)}. Rename and convert them, or remove them if every row is a whole file. "
            "The exports of labelling tools are read as COCO, Pascal VOC, YOLO, labelme, CVAT or Label Studio."
        )


def check_cells(url: str, table: TextTable) -> None:
    """Refuse a table with values beyond its last column.

    Raises:
        UsageError: it is such a table.
    """
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


def check_agreement(table: TextTable, rows: Iterable[tuple[str, Mapping[str, str]]], parse: ParseLabel) -> None:
    """Check that columns which mean the same say the same.

    Args:
        table: whose columns are looked for.
        rows: places in the table, for messages, and its rows.
        parse: from a label to whether it says cracked; None for a word that is no label.

    Raises:
        UsageError: two of them differ in a row.
    """
    rivals = [table.find_all(columns) for columns in (*_FILE_COLUMNS, LABEL_COLUMNS, GROUP_COLUMNS)]
    pairs = [(keys[0], other) for keys in rivals for other in keys[1:]]
    for where, record in rows if pairs else ():
        for one, other in pairs:
            first, second = record[one], record[other]
            if first and second and not _agree(first, second, parse):
                raise UsageError(
                    f"The columns {one} and {other} mean the same, and {where} has {first!r} and {second!r}. Rename or "
                    "remove one of them."
                )


def _agree(first: str, second: str, parse: ParseLabel) -> bool:
    """Tell whether two values say the same: equal, two words for one class, or a path and its end."""
    label = parse(first)
    if label is not None and label == parse(second):
        return True
    one, other = ("/" + value.replace("\\", "/").removeprefix("./").lstrip("/") for value in (first, second))
    return one.endswith(other) or other.endswith(one)
