"""Where and when photos were taken, as dots: some photos in one place, or of one moment and one score, are one dot.

So a plot has some thousands at most, however many photos there are.
"""

from dataclasses import dataclass

from pipeline.dataset.sql import Connection
from pipeline.reports.dataset_stats import rows

PLACES_ACROSS = 100
"""Photos whose positions fall into one of so many by so many squares are one dot."""
MOMENTS_ACROSS = 160
"""Photos of one of so many spans of time, and of nearly one score, are one dot …"""
MOMENTS_DOWN = 40
"""… so nearly: the score is cut in so many steps."""


@dataclass(frozen=True)
class Dot:
    """Some photos that are drawn as one."""

    x: float
    """Longitude in degrees, or seconds since 1970."""
    y: float
    """Latitude in degrees, or a score."""
    photos: int
    score: float
    """The highest."""
    image: str
    """The photo that has it."""


_PLACED = """
    FROM photos WHERE crack_score IS NOT NULL AND latitude IS NOT NULL AND longitude IS NOT NULL
        AND NOT (latitude = 0 AND longitude = 0)
"""
"""Cameras without a fix write 0, 0, which lies in the sea."""

_PLACES = f"""
    WITH placed AS (SELECT longitude AS x, latitude AS y, crack_score, image {_PLACED}),
         middle AS (SELECT quantile_cont(x, [0.02, 0.98]) AS xs, quantile_cont(y, [0.02, 0.98]) AS ys FROM placed),
         near AS (SELECT placed.* FROM placed, middle
                  WHERE x BETWEEN xs[1] - $far * (xs[2] - xs[1]) - $least AND xs[2] + $far * (xs[2] - xs[1]) + $least
                    AND y BETWEEN ys[1] - $far * (ys[2] - ys[1]) - $least AND ys[2] + $far * (ys[2] - ys[1]) + $least),
         size AS (SELECT greatest(max(x) - min(x), max(y) - min(y), 1e-9) AS side, min(x) AS west, min(y) AS south
                  FROM near)
    SELECT avg(x) AS x, avg(y) AS y, count(*) AS photos, max(crack_score) AS score, arg_max(image, crack_score) AS image
    FROM near, size
    GROUP BY floor((x - west) / side * {PLACES_ACROSS}), floor((y - south) / side * {PLACES_ACROSS}) ORDER BY score
"""  # noqa: S608 - our own numbers
"""A position far from all others is a camera's mistake, and would leave a plan of two dots."""

FAR = 3.0
"""Beyond the middle 96 % of positions, so many times their spread …"""
LEAST_FAR_DEGREES = 0.002
"""… and some two hundred metres are left out."""

_MOMENTS = f"""
    WITH dated AS (SELECT epoch(captured_at) AS x, crack_score AS y, image FROM photos
                   WHERE crack_score IS NOT NULL AND captured_at IS NOT NULL),
         span AS (SELECT min(x) AS first, greatest(max(x) - min(x), 1e-9) AS length FROM dated)
    SELECT avg(x) AS x, avg(y) AS y, count(*) AS photos, max(y) AS score, arg_max(image, y) AS image FROM dated, span
    GROUP BY floor((x - first) / length * {MOMENTS_ACROSS}), floor(y * {MOMENTS_DOWN}) ORDER BY score
"""  # noqa: S608


def places(photos: Connection) -> tuple[list[Dot], int]:
    """Return dots at positions, the worst last, and how many photos are left out as too far away."""
    dots = [Dot(**row) for row in rows(photos, _PLACES, {"far": FAR, "least": LEAST_FAR_DEGREES})]
    placed = rows(photos, f"SELECT count(*) AS photos {_PLACED}")[0]["photos"]
    return dots, placed - sum(dot.photos for dot in dots)


def moments(photos: Connection) -> list[Dot]:
    """Return dots along the time of capture, the worst last."""
    return [Dot(**row) for row in rows(photos, _MOMENTS)]
