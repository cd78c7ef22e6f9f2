"""Lines as well-known text (OGC Simple Features), the column `line_wkt`."""

import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Line = NDArray[np.float64]
"""Points x, y in pixels of the photo. Shape: (N, 2)."""

_GEOMETRY = re.compile(r"MULTILINESTRING\s*\((.*)\)", re.DOTALL)
_LINE = re.compile(r"\(([^()]*)\)")


def format_lines(lines: Iterable[Line]) -> str:
    """Return lines as a MULTILINESTRING, to a tenth of a pixel."""
    texts = (", ".join(f"{x:.1f} {y:.1f}" for x, y in line) for line in lines)
    return f"MULTILINESTRING ({', '.join(f'({text})' for text in texts)})"


def parse_lines(text: str) -> Sequence[Line]:
    """Return the lines of a MULTILINESTRING as `format_lines` writes it.

    Raises:
        ValueError: it is something else.
    """
    geometry = _GEOMETRY.fullmatch(text.strip())
    if geometry is None:
        raise ValueError(f"{text[:60]!r} is no MULTILINESTRING.")
    return [_parse_points(points) for points in _LINE.findall(geometry[1])]


def _parse_points(text: str) -> Line:
    return np.array([[float(number) for number in point.split()] for point in text.split(",")], np.float64)
