"""Areas on the earth as people draw them: polygons of well-known text in longitude and latitude, WGS 84.

A point on the edge that two areas share lies in one of them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
"""Longitude and latitude in degrees. Shape: (N, 2)."""

_POLYGON = re.compile(r"(?:SRID=(\d+);)?\s*(MULTI)?POLYGON\s*(?:ZM|Z|M)?\s*(\(.*\))", re.IGNORECASE | re.DOTALL)
_RING = re.compile(r"\(([^()]*)\)")
_RINGS = re.compile(r"\(R(,R)*\)")
_PARTS = re.compile(r"\(\(R(,R)*\)(,\(R(,R)*\))*\)")
"""How rings stand together, without blanks."""

_WGS84 = "4326"
_LEAST_CORNERS = 4
"""Of a ring, whose last corner is its first."""


@dataclass(frozen=True)
class Area:
    """A polygon or several, with their holes."""

    rings: Sequence[Points]
    """Outlines and holes: what an odd number of them surrounds is inside."""

    def contains(self, points: Points) -> NDArray[np.bool_]:
        """Tell which points lie inside; those without a place, NaN, do not. Shape: (N, 2) → (N,)."""
        x, y = points.T
        inside = np.zeros(len(points), bool)
        for ring in self.rings:
            for one, other in pairwise(ring.tolist()):
                # From south to north, so that both areas at an edge reckon with the same numbers.
                (x0, y0), (x1, y1) = sorted((one, other), key=lambda corner: (corner[1], corner[0]))
                if y0 < y1:
                    inside ^= (y0 <= y) & (y < y1) & (x < x0 + (y - y0) * ((x1 - x0) / (y1 - y0)))
        return inside


def parse_area(text: str) -> Area:
    """Parse a POLYGON or MULTIPOLYGON; heights are left out.

    Raises:
        ValueError: it is something else, or lies on no earth; says what was found.
    """
    found = _POLYGON.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text.strip()[:60]!r} is no POLYGON and no MULTIPOLYGON")
    system, is_multiple, body = found.groups()
    if system not in {None, _WGS84}:
        raise ValueError(f"its coordinates are in EPSG:{system}, not in WGS 84 (EPSG:{_WGS84})")
    shape = re.sub(r"\s", "", _RING.sub("R", body))
    if not (_PARTS if is_multiple else _RINGS).fullmatch(shape):
        raise ValueError(f"{text.strip()[:60]!r} has its brackets in other places than a polygon")
    return Area([_parse_ring(ring) for ring in _RING.findall(body)])


def _parse_ring(text: str) -> Points:
    try:
        ring = np.array([[float(number) for number in corner.split()[:2]] for corner in text.split(",")], np.float64)
        longitude, latitude = ring.T
    except ValueError as error:
        raise ValueError(f"{text.strip()[:60]!r} is no list of longitudes and latitudes") from error
    if len(ring) < _LEAST_CORNERS or (ring[0] != ring[-1]).any():
        raise ValueError(f"a ring of it has {len(ring)} corners, the last of which must be the first again")
    if not ((np.abs(longitude) <= 180) & (np.abs(latitude) <= 90)).all():
        raise ValueError("it lies outside of -180 to 180 and -90 to 90 degrees; longitude comes before latitude")
    return ring
