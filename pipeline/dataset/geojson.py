"""Photos with a position as GeoJSON (RFC 7946), for QGIS and maps on the web.

Written photo by photo, however many there are. Where the file goes, and that it appears whole, is left to `export`.
"""

import json
from pathlib import Path
from typing import Any

HEAD = '{"type": "FeatureCollection", "crackscan": "images", "features": ['
"""What such a file begins with; by `crackscan` ours is told from others', which RFC 7946 allows in section 6.1."""

PLACES = 7
"""Decimals of a degree, one centimetre: more than any camera knows."""

_BATCH_PHOTOS = 10_000

_POSITIONED = """
    SELECT image_id, latitude, longitude, archive, image, captured_at, altitude_m, camera, focal_length_mm, height_px,
           width_px, tiles, crack_tiles, CAST(CAST(crack_score AS VARCHAR) AS DOUBLE) AS crack_score,
           CAST(CAST(domain_score AS VARCHAR) AS DOUBLE) AS domain_score
    FROM images WHERE latitude IS NOT NULL AND longitude IS NOT NULL ORDER BY archive, image, occurrence
"""
"""Scores go by way of text: 0.7 in single precision is 0.7 to people, and 0.699999988 to JSON."""


def write(connection: Any, path: Path) -> int:  # noqa: ANN401 - DuckDB's, which only `results` knows
    """Write every photo with a position as a point with its scores; return how many there are.

    Args:
        connection: DuckDB with a dataset's views.
        path: the file to write.
    """
    photos = 0
    with path.open("w", encoding="utf-8") as file:
        file.write(HEAD)
        for batch in connection.sql(_POSITIONED).to_arrow_reader(_BATCH_PHOTOS):
            for row in batch.to_pylist():
                file.write("\n" if photos == 0 else ",\n")
                file.write(json.dumps(_feature(row), ensure_ascii=False, allow_nan=False))
                photos += 1
        file.write("\n]}\n")
    return photos


def _feature(row: dict[str, Any]) -> dict[str, Any]:
    """Make a point of a photo; without altitude, which EXIF counts from the sea and GeoJSON from the ellipsoid."""
    image_id, latitude, longitude = (row.pop(name) for name in ("image_id", "latitude", "longitude"))
    captured_at = row["captured_at"]
    properties = row | {"captured_at": None if captured_at is None else captured_at.isoformat(timespec="seconds")}
    point = {"type": "Point", "coordinates": [round(longitude, PLACES), round(latitude, PLACES)]}
    return {"type": "Feature", "id": image_id, "geometry": point, "properties": properties}
