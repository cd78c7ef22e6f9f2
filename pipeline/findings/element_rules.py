"""The table that says which photos show which part of a structure: a row for each part, and the first that fits counts.

A row says which photos it means by a pattern, an area, or both; all its other columns are what it says of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from pipeline import storage
from pipeline.core import table_schemas
from pipeline.core.control_characters import escape_controls
from pipeline.core.errors import StorageError, UsageError
from pipeline.core.photo_patterns import PhotoPatterns
from pipeline.core.secrets import refuse_credentials
from pipeline.dataset.beside import VERDICTS
from pipeline.findings.areas import Area, Points, parse_area
from pipeline.labels.table_columns import check_cells
from pipeline.labels.table_files import CSV_SUFFIXES, TextTable, column_key, read_text_table

PATTERN, AREA = "image", "polygon"
"""The columns that say which photos a row means."""
PARTS = ("structure", "span", "element", "face")
"""The columns of every table of elements; one that a table lacks is empty."""
EXPECTED = f"the columns {PATTERN} or {AREA}, and {', '.join(PARTS)} or others"

_TAKEN = {
    column_key(name): name
    for name in (
        *table_schemas.IMAGES.names, *table_schemas.CRACKS.names, *VERDICTS.names, "kind", "state", "filename",
    )
    if name not in PARTS
}  # fmt: skip
"""Columns that findings and exports have already."""


class ElementRule(NamedTuple):
    """One row."""

    where: str
    """The row and its file, for messages."""
    pattern: str
    """Empty where only the area counts."""
    area: Area | None
    values: Mapping[str, str]
    """What it says of its photos, by column; empty texts are missing ones."""

    @property
    def name(self) -> str:
        """What it says, for messages."""
        return " / ".join(filter(None, self.values.values()))


class Photo(NamedTuple):
    """A photo for which a rule is looked for."""

    archive: str
    image: str
    place: tuple[float, float]
    """Longitude and latitude, NaN where they are unknown."""


@dataclass(frozen=True)
class ElementRules:
    """A table of rules."""

    columns: Sequence[str]
    """Those that rows say something in: `PARTS`, then the office's own."""
    rules: Sequence[ElementRule]

    @property
    def has_areas(self) -> bool:
        """Whether a rule asks where photos were taken."""
        return any(rule.area is not None for rule in self.rules)

    def find_all(self, photos: Sequence[Photo]) -> list[int | None]:
        """Return the number of the first rule that fits each photo; None where none does."""
        by_area = self._find_by_area(np.array([photo.place for photo in photos], np.float64).reshape(-1, 2))
        found = list[int | None]()
        for photo, first_area in zip(photos, by_area, strict=True):
            first = min(next(self._find_by_pattern(photo), len(self.rules)), first_area)
            found.append(first if first < len(self.rules) else None)
        return found

    def _find_by_pattern(self, photo: Photo) -> Iterator[int]:
        for place in self._patterns.find(photo.archive, photo.image):
            number = self._with_pattern[place]
            area = self.rules[number].area
            if area is None or area.contains(np.array([photo.place]))[0]:
                yield number

    def _find_by_area(self, places: Points) -> list[int]:
        """Return the first rule with an area and no pattern that has each place; the number of rules where none has."""
        found = np.full(len(places), len(self.rules))
        for number, rule in enumerate(self.rules):
            if rule.area is not None and not rule.pattern:
                left = np.flatnonzero(found == len(self.rules))
                found[left[rule.area.contains(places[left])]] = number
        numbers: list[int] = found.tolist()
        return numbers

    @cached_property
    def _with_pattern(self) -> Sequence[int]:
        return [number for number, rule in enumerate(self.rules) if rule.pattern]

    @cached_property
    def _patterns(self) -> PhotoPatterns:
        return PhotoPatterns([self.rules[number].pattern for number in self._with_pattern])


def read_element_rules(place: str) -> ElementRules:
    """Read a table of rules, CSV or Parquet.

    Raises:
        UsageError: it cannot be read, lacks a column, has one that findings have already, or a row of it says too
            little; names the row.
    """
    url = storage.canonical(place)
    refuse_credentials([("RULES", url)])
    if not url.lower().endswith((*CSV_SUFFIXES, ".parquet")):
        raise UsageError(f"{place} is neither a .csv nor a .parquet; expected a table with {EXPECTED}.")
    try:
        data = storage.read_bytes(url)
    except StorageError as error:
        raise UsageError(f"The table of elements cannot be read: {error}") from error
    columns = read_text_table(url, data, ()).columns
    table = read_text_table(url, data, columns)
    check_cells(url, table)
    own = _name_columns(url, table)
    rules = [
        _parse_rule(f"row {number} of {url}", row, own) for number, row in enumerate(table.rows, 1) if any(row.values())
    ]
    if not rules:
        raise UsageError(f"{url} has no rows; expected {EXPECTED}, a row for each part of a structure.")
    return ElementRules([*own], rules)


def _name_columns(url: str, table: TextTable) -> dict[str, str]:
    """Return the columns that rows say something in, by name, with their keys."""
    keys = {column_key(name): name for name in table.columns if name}
    if not {PATTERN, AREA} & {*keys}:
        raise UsageError(f"{url} has the columns {', '.join(table.columns) or 'none'}; expected {EXPECTED}.")
    if twice := [name for key, name in keys.items() if table.count(key) > 1]:
        raise UsageError(f"{url} has two columns {twice[0]}; expected one. Rename or remove the other.")
    own = {name: key for key, name in keys.items() if key not in {PATTERN, AREA, *PARTS}}
    for name, key in own.items():
        if key in _TAKEN:
            raise UsageError(
                f"{url} has a column {name}, and findings have a column {_TAKEN[key]} of their own. Rename it, such as "
                f"office_{key}."
            )
        if '"' in name or escape_controls(name) != name:
            raise UsageError(f"{url} has a column {name!r}; expected a name without quotes and control characters.")
    return {name: name for name in PARTS} | own


def _parse_rule(where: str, row: Mapping[str, str], columns: Mapping[str, str]) -> ElementRule:
    pattern, polygon = row.get(PATTERN, ""), row.get(AREA, "")
    if not pattern and not polygon:
        raise UsageError(
            f"{where} does not say which photos it means; expected an image, such as DJI_0417.JPG or */pier-7/*, or a "
            "polygon."
        )
    try:
        area = parse_area(polygon) if polygon else None
    except ValueError as error:
        raise UsageError(
            f"{where}: {error}. Expected a polygon such as POLYGON ((11.5 48.1, 11.6 48.1, 11.6 48.2, 11.5 48.1))."
        ) from error
    rule = ElementRule(where, pattern, area, {name: row.get(key, "") for name, key in columns.items()})
    if not rule.name:
        raise UsageError(f"{where} says nothing of its photos; expected {', '.join(PARTS)} or others.")
    return rule
