"""Where the pixels of a raster lie on the map, on the earth, and how many millimetres of ground each spans.

Pixels are x, y from the outer corner of the upper left one: 0.5, 0.5 is its middle. Map coordinates are easting before
northing, and longitude before latitude, whatever order the coordinate reference system (CRS) itself declares.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import isfinite
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError, ProjError

Points = NDArray[np.float64]
"""Points x, y. Shape: (N, 2)."""
Geotransform = tuple[float, float, float, float, float, float]
"""As GDAL orders it: x = g0 + g1 column + g2 row, y = g3 + g4 column + g5 row; it may turn and shear."""

WGS84 = "OGC:CRS84"
"""Longitude before latitude, as GeoJSON has it (RFC 7946)."""
MOST_UNEVEN = 0.02
"""Share by which the two sides of a pixel may differ, before one scale for both is a guess."""
MOST_DISTORTION = 0.01
"""Share by which lengths on the map may differ from those on the ground, before the ground counts. National grids and
UTM stay below a thousandth; Web Mercator shows 50 degrees north 1.6 times too large."""
REACH_PX = 500
"""Half the distance over which ground is measured: one pixel of a millimetre would be lost in rounding."""


MOST_TURN_DEG = 1.0
"""Angle of rows to the map's axes up to which nobody would call a raster turned."""


class PixelSize(NamedTuple):
    """How much of the ground a pixel spans."""

    across_mm: float
    """Along a row."""
    down_mm: float
    """Along a column."""

    @property
    def mm_per_px(self) -> float:
        """The side of a square of the same area: the one scale for all directions."""
        return float(np.sqrt(self.across_mm * self.down_mm))

    @property
    def is_uneven(self) -> bool:
        """Whether lengths in millimetres depend on the direction, by more than `MOST_UNEVEN`."""
        return max(self) > (1 + MOST_UNEVEN) * min(self)


@dataclass(frozen=True)
class Georeference:
    """The place of a raster on the map."""

    geotransform: Geotransform
    crs: str | None = None
    """As WKT; None where nobody knows in what the geotransform counts."""

    def __post_init__(self) -> None:
        """Refuse numbers that are no map.

        Raises:
            ValueError: a number is not finite, or pixels have no area.
        """
        _, across, turned, _, sheared, down = self.geotransform
        if not all(map(isfinite, self.geotransform)) or across * down == turned * sheared:
            raise ValueError(f"{self.geotransform} is no geotransform: its pixels have no area.")

    @classmethod
    def of_pixels(cls) -> Self:
        """Return that of a raster without any: pixels, with y upwards, so that a map shows the raster upright."""
        return cls((0.0, 1.0, 0.0, 0.0, 0.0, -1.0))

    @property
    def is_on_earth(self) -> bool:
        """Whether longitude and latitude are known."""
        return self.crs is not None and is_on_earth(self.crs)

    @property
    def turn_deg(self) -> float:
        """How far its rows are turned from the map's easting, counterclockwise, -180 to 180."""
        return float(np.degrees(np.arctan2(self.geotransform[4], self.geotransform[1])))

    def to_map(self, pixels: Points) -> Points:
        """Return the map coordinates of pixels. Shape: (N, 2) → (N, 2)."""
        return self._origin + pixels @ self._matrix.T

    def to_pixels(self, places: Points) -> Points:
        """Return the pixels of map coordinates. Shape: (N, 2) → (N, 2)."""
        return (places - self._origin) @ np.linalg.inv(self._matrix).T

    def to_lonlat(self, pixels: Points) -> Points:
        """Return longitude and latitude in WGS 84, degrees; infinite outside what the CRS can show.

        The best transformation between the datums for which PROJ has the data is taken: without grids of its own, some
        national ones are a few metres off.

        Raises:
            ValueError: the raster's CRS is none of the earth.
        """
        if self.crs is None or not self.is_on_earth:
            raise ValueError("The raster has no coordinate reference system of the earth.")
        x, y = self.to_map(pixels).T
        return np.stack(_transformer(self.crs, WGS84).transform(x, y), axis=-1)

    def measure_pixel(self, pixel: Sequence[float]) -> PixelSize | None:
        """Measure a pixel x, y; None where the CRS is unknown, or does not reach so far.

        Lengths are those of the map if they hold on the ground (`MOST_DISTORTION`), so that they agree with drawings in
        the same grid; else those of the ground, on the ellipsoid of the CRS.
        """
        if self.crs is None:
            return None
        crs = _read_crs(self.crs)
        on_map = None
        if not crs.is_geographic:
            on_map = PixelSize(*(1000 * _metres(crs) * np.hypot(*self._matrix)).tolist())
        if not self.is_on_earth:
            return on_map
        on_ground = self._measure_ground(crs, np.asarray(pixel, np.float64))
        if on_ground is None:
            return None
        is_true = on_map is not None and np.allclose(on_map, on_ground, rtol=MOST_DISTORTION, atol=0)
        return on_map if is_true else on_ground

    def _measure_ground(self, crs: CRS, pixel: NDArray[np.float64]) -> PixelSize | None:
        """Measure geodesics (Karney 2013) between places beside a pixel."""
        geod, geographic = crs.get_geod(), crs.geodetic_crs
        if geod is None or geographic is None:
            return None
        steps = REACH_PX * np.array([[-1, 0], [1, 0], [0, -1], [0, 1]], np.float64)
        x, y = self.to_map(pixel + steps).T
        longitude, latitude = _transformer(self.crs or "", geographic.to_wkt()).transform(x, y)
        if not np.isfinite([longitude, latitude]).all() or np.abs(latitude).max() > 90:
            return None
        _, _, metres = geod.inv(longitude[::2], latitude[::2], longitude[1::2], latitude[1::2])
        return PixelSize(*(1000 / (2 * REACH_PX) * np.asarray(metres)).tolist())

    @cached_property
    def _matrix(self) -> NDArray[np.float64]:
        return np.array([self.geotransform[1:3], self.geotransform[4:6]], np.float64)

    @cached_property
    def _origin(self) -> NDArray[np.float64]:
        return np.array(self.geotransform[::3], np.float64)


def list_doubts(place: Georeference | None, middle: Sequence[float]) -> list[str]:
    """Say in sentences what a raster does not tell of its place, or tells only roughly.

    Args:
        place: of the raster.
        middle: its pixel x, y in the middle.
    """
    if place is None:
        return ["It has no georeference: it works in pixels, and tells no scale."]
    if place.crs is None:
        return ["It has no coordinate reference system: it works in pixels, and tells no scale."]
    size = place.measure_pixel(middle)
    if size is None:
        return [f"Its place lies outside what {name_crs(place.crs)} shows, so it tells no scale."]
    doubts = []
    if size.is_uneven:
        more = 100 * (max(size) / min(size) - 1)
        uneven = f"Its pixels are {more:.0f} % longer one way than the other, and lengths are by their mean"
        doubts.append(f"{uneven}: warp it to a grid to have them exact.")
    elif is_geographic(place.crs):
        doubts.append("Its map counts in degrees: the scale is that of its middle.")
    if min(abs(place.turn_deg), 180 - abs(place.turn_deg)) > MOST_TURN_DEG:
        turned = f"Its rows are turned by {place.turn_deg:.0f} degrees on the map: tiles and lines are placed so"
        doubts.append(f"{turned}, and orientation_deg counts from its rows.")
    return doubts


def make_wkt(definition: str) -> str:
    """Return a CRS as WKT (WKT2, ISO 19162).

    Args:
        definition: a code such as `EPSG:25832`, WKT, or a text of PROJ.

    Raises:
        ValueError: it is no CRS that PROJ knows, or none of a map.
    """
    crs = _read_crs(definition)
    if crs.is_geocentric:
        raise ValueError(f"{crs.name!r} counts from the middle of the earth; expected a map, or longitude and latitude")
    return crs.to_wkt()


def find_epsg(crs: str) -> int | None:
    """Return the EPSG code of a CRS in WKT, None where it has none."""
    return _read_crs(crs).to_epsg()


def is_on_earth(crs: str) -> bool:
    """Tell whether a CRS in WKT has longitude and latitude: not so the grid of a building site."""
    return _read_crs(crs).geodetic_crs is not None


def is_geographic(crs: str) -> bool:
    """Tell whether a CRS in WKT counts in degrees."""
    return bool(_read_crs(crs).is_geographic)


def name_crs(crs: str) -> str:
    """Return the name of a CRS in WKT, for people."""
    return str(_read_crs(crs).name)


def write_wkt1(crs: str) -> str | None:
    """Return a CRS as the older WKT that GeoPackage asks for; None where that has no words for it."""
    try:
        return _read_crs(crs).to_wkt("WKT1_GDAL")
    except CRSError:
        return None


@lru_cache(maxsize=64)
def _read_crs(definition: str) -> CRS:
    try:
        return CRS.from_user_input(definition)
    except CRSError as error:
        raise ValueError(f"PROJ knows no coordinate reference system {definition[:80]!r}: {error}") from error


@lru_cache(maxsize=64)
def _transformer(crs: str, to: str) -> Transformer:
    try:
        return Transformer.from_crs(_read_crs(crs), _read_crs(to), always_xy=True)
    except ProjError as error:
        raise ValueError(f"PROJ has no way from {name_crs(crs)} to {name_crs(to)}: {error}") from error


def _metres(crs: CRS) -> float:
    """Return the length of a unit of a CRS that counts in lengths."""
    return float(crs.axis_info[0].unit_conversion_factor)
