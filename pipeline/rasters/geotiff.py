"""The georeference that a TIFF states in its tags (GeoTIFF, OGC 19-008r4), as pixels on a map.

rasterio (GDAL) understands the tags: we hand it a picture of one pixel that has them. What it cannot place gives no
place rather than a wrong one, with the reason.
"""

import struct
import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rasterio.crs import CRS
from rasterio.errors import CRSError, NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader, MemoryFile

from pipeline.rasters.georeference import Georeference, Geotransform, make_wkt

PIXEL_SCALE, TIEPOINTS, TRANSFORMATION = 33550, 33922, 34264
KEYS, DOUBLES, TEXTS = 34735, 34736, 34737
MOST_VALUES = 10_000
"""Of a tag; a georeference has some dozens."""

_SHORT, _LONG, _ASCII, _DOUBLE = 3, 4, 2, 12
_FORMATS = {_SHORT: "H", _LONG: "I", _DOUBLE: "d"}
_KINDS = {PIXEL_SCALE: _DOUBLE, TIEPOINTS: _DOUBLE, TRANSFORMATION: _DOUBLE, KEYS: _SHORT, DOUBLES: _DOUBLE,
          TEXTS: _ASCII}  # fmt: skip
_PIXEL = {256: 1, 257: 1, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: 1}
"""Tags of a grey picture of one pixel, whose strip is a byte of the header."""

TagValues = Mapping[int, Sequence[int] | Sequence[float] | bytes]
"""Values of TIFF tags by their number."""


class FoundPlace(NamedTuple):
    """What the tags of a TIFF say of its place."""

    georeference: Georeference | None
    problem: str = ""
    """Why there is no place, or no CRS; empty where nothing is missing, or nothing was said."""


def read_georeference(tags: TagValues) -> FoundPlace:
    """Read the georeference of a TIFF.

    Args:
        tags: of its directory.
    """
    own = {tag: tags[tag] for tag in _KINDS if 0 < len(tags.get(tag, ())) <= MOST_VALUES}
    if not {TIEPOINTS, TRANSFORMATION} & own.keys():
        return FoundPlace(None)
    try:
        with MemoryFile(_write_pixel(own)) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with file.open(driver="GTiff") as picture:
                return _find_place(picture, says_crs=KEYS in own)
    except (RasterioError, ValueError, struct.error) as error:
        return FoundPlace(None, f"its georeference cannot be read: {error}")


def _find_place(picture: DatasetReader, *, says_crs: bool) -> FoundPlace:
    if picture.transform.is_identity:
        points = (
            "it has ground control points, which gdalwarp lays out" if picture.gcps[0] else "its tags are incomplete"
        )
        return FoundPlace(None, f"its georeference places no pixel: {points}")
    x, y = picture.transform.c, picture.transform.f
    place: Geotransform = (x, picture.transform.a, picture.transform.b, y, picture.transform.d, picture.transform.e)
    if picture.crs is None or not picture.crs.wkt:
        return FoundPlace(Georeference(place), "GDAL does not know its coordinate reference system" if says_crs else "")
    try:
        return FoundPlace(Georeference(place, _write_crs(picture.crs)))
    except (CRSError, ValueError) as error:
        return FoundPlace(Georeference(place), str(error))


def _write_crs(crs: CRS) -> str:
    epsg = crs.to_epsg()
    return make_wkt(crs.to_wkt(version="WKT2_2019") if epsg is None else f"EPSG:{epsg}")


def _write_pixel(tags: TagValues) -> bytes:
    """Return a TIFF of one pixel with these tags."""
    values = {tag: (_LONG, struct.pack("<I", number)) for tag, number in _PIXEL.items()}
    values |= {tag: (_KINDS[tag], _pack(_KINDS[tag], numbers)) for tag, numbers in tags.items()}
    entries, rest = bytearray(), bytearray()
    end = 8 + 2 + 12 * len(values) + 4
    for tag, (kind, data) in sorted(values.items()):
        count = len(data) // (1 if kind == _ASCII else struct.calcsize(_FORMATS[kind]))
        inline = data.ljust(4, b"\0") if len(data) <= 4 else struct.pack("<I", end + len(rest))
        rest += b"" if len(data) <= 4 else data + bytes(len(data) % 2)
        entries += struct.pack("<HHI4s", tag, kind, count, inline)
    return bytes(struct.pack("<2sHIH", b"II", 42, 8, len(values)) + entries + struct.pack("<I", 0) + rest)


def _pack(kind: int, values: Sequence[int] | Sequence[float] | bytes) -> bytes:
    if kind == _ASCII:
        return bytes(values) if isinstance(values, bytes) else bytes(int(value) & 0xFF for value in values)
    return struct.pack(f"<{len(values)}{_FORMATS[kind]}", *values)
