"""Entries of an export and their values: every check names the file, the entry, and what was expected there.

Knows no format. Files come from anywhere, so a value is of any type and any size until a function here has looked.
"""

import math
import reprlib
from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.core.counts import count_of
from pipeline.core.errors import UsageError
from pipeline.images.decode import MAX_PIXELS

Coordinates = NDArray[np.float64]
"""Shape (n, 2): right and down from the photo's upper left corner, in pixels or in parts of its sides."""

MOST_COORDINATE = 1e6
"""No photo has a side of so many pixels, and the drawing of shapes is exact up to here."""
MOST_POINTS = 50_000
"""Of one outline; the drawing takes seconds for more. A crack of 10,000 pixels, traced on both sides, has 20,000."""


class Size(NamedTuple):
    """The size of a photo or a mask."""

    height_px: int
    width_px: int

    def __str__(self) -> str:
        """Say it in words."""
        return f"{count_of(self.height_px, 'pixel')} high and {self.width_px} wide"


class Entry(NamedTuple):
    """A place in an annotation file."""

    url: str
    """The file."""
    path: str
    """Which of its entries, for people; empty for the whole file."""

    def part(self, name: str) -> "Entry":
        """Return the place of a part of this entry."""
        return Entry(self.url, f"{name} of {self.path}" if self.path else name)

    def error(self, what: str, found: object, expected: str) -> UsageError:
        """Return the error that names a wrong value."""
        return UsageError(
            f"{self} has {what} {_REPR.repr(found)}; expected {expected}. Correct or remove the entry, or export the "
            "annotations again."
        )

    def __str__(self) -> str:
        """Name the entry and its file."""
        return f"{self.path} of {self.url}" if self.path else self.url


_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 80


def number(value: object, entry: Entry, what: str) -> float:
    """Return a finite number of a size that coordinates have; texts count as XML writes them."""
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            found = float(value)
        except (ValueError, OverflowError):
            found = math.nan
        if abs(found) <= MOST_COORDINATE:
            return found
    raise entry.error(what, value, f"a number from {-MOST_COORDINATE:,.0f} to {MOST_COORDINATE:,.0f}")


def whole(value: object, entry: Entry, what: str) -> int:
    """Return a whole number, which some writers spell 640.0."""
    found = number(value, entry, what)
    if found != int(found):
        raise entry.error(what, value, "a whole number")
    return int(found)


def size(height: object, width: object, entry: Entry) -> Size:
    """Return a size that a photo can have."""
    found = Size(whole(height, entry, "the height"), whole(width, entry, "the width"))
    if min(found) < 1 or found.height_px * found.width_px > MAX_PIXELS:
        raise entry.error("the size", tuple(found), f"height and width of at least 1 and at most {MAX_PIXELS:,} pixels")
    return found


def optional_size(height: object, width: object, entry: Entry) -> Size | None:
    """Return a size, None where both sides are missing or null."""
    return None if height is None and width is None else size(height, width, entry)


def coordinates(values: Sequence[object], entry: Entry, least: int) -> Coordinates:
    """Return points that are written as one list, x before y, or as a list of pairs or of `{"x": …, "y": …}`.

    Args:
        values: of the file.
        entry: whose points they are.
        least: how many points the shape needs.
    """
    flat: list[object] = []
    for value in values if len(values) <= 2 * MOST_POINTS else ():
        if isinstance(value, list | tuple) and len(value) == 2:
            flat += value
        elif isinstance(value, dict) and {"x", "y"} <= value.keys():
            flat += (value["x"], value["y"])
        else:
            flat.append(value)
    count = len(values) / 2 if len(values) > 2 * MOST_POINTS else len(flat) / 2
    if count % 1 or not least <= count <= MOST_POINTS:
        raise entry.error(
            f"an outline of {count:,.1f}".removesuffix(".0") + " points",
            values,
            f"pairs of x and y, {least} to {MOST_POINTS:,}",
        )
    return np.array([number(value, entry, "the coordinate") for value in flat], np.float64).reshape(-1, 2)


def text(value: object, entry: Entry, what: str) -> str:
    """Return a text that can be printed and looked up: what JSON escapes as half a character becomes `?`."""
    if not isinstance(value, str):
        raise entry.error(what, value, "a text")
    return value.encode("utf-8", "replace").decode("utf-8").replace("\0", "?")


def record(value: object, entry: Entry, what: str) -> dict[str, object]:
    """Return a JSON object."""
    if not isinstance(value, dict):
        raise entry.error(what, value, "an object")
    return cast("dict[str, object]", value)


def sequence(value: object, entry: Entry, what: str) -> list[object]:
    """Return a JSON list."""
    if not isinstance(value, list):
        raise entry.error(what, value, "a list")
    return value
