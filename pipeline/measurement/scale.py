"""The scale of a photo: how many millimetres of a surface that the camera faces a pixel spans.

It is the distance over the focal length, both of the pinhole camera. A ladder of sources, of which the first that
answers counts: what the user gives for all photos, the user's table, the map on which a raster lies, the laser of the
drone and, if asked for, the distance of the autofocus. What is missing, impossible or contradicts itself gives no
scale, never a wrong one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import Literal, NamedTuple

from pipeline.core.photo_patterns import PhotoPatterns
from pipeline.images.scale_facts import ScaleFacts

Source = Literal["given", "table", "georeference", "laser", "coarse"]
"""Where a scale comes from: the `scale_source` column."""

LEAST_DISTANCE_M, MOST_DISTANCE_M = 0.05, 500.0
"""Distances from which a crack is photographed; beyond, a pixel is wider than any."""
LEAST_FOCAL_SHARE, MOST_FOCAL_SHARE = 0.3, 30.0
"""Focal lengths of lenses, in long sides of the picture: the widest show 118 degrees, the longest 2 degrees."""
FILM_WIDTH_MM = 36.0
"""Long side of a picture on 35 mm film."""
MOST_DISAGREEMENT = 1.25
"""Factor up to which two focal lengths of a photo agree. Those on film are whole millimetres, and 4 % off in 4:3, since
makers compare diagonals. Those of another lens or zoom, or of the picture before it was resized, differ more."""


class Scale(NamedTuple):
    """The scale of a photo."""

    mm_per_px: float
    source: Source


class ScaleRow(NamedTuple):
    """A row of the user's table: the scale of the photos of one name or glob."""

    image: str
    """Name or glob of `image`, or of `archive`/`image`; `*` also matches slashes."""
    mm_per_px: float | None
    distance_m: float | None
    """From the camera to the surface; counts where `mm_per_px` is None."""


@dataclass(frozen=True)
class ScaleTable:
    """The user's table, in which the first row that matches counts."""

    rows: Sequence[ScaleRow] = ()

    def find(self, archive: str, image: str) -> ScaleRow | None:
        """Return the row of a photo."""
        first = next(self._patterns.find(archive, image), None)
        return None if first is None else self.rows[first]

    @cached_property
    def _patterns(self) -> PhotoPatterns:
        return PhotoPatterns([row.image for row in self.rows])


@dataclass(frozen=True)
class ScaleRule:
    """What the user says about scales."""

    mm_per_px: float | None = None
    """Of all photos."""
    table: ScaleTable = ScaleTable()
    use_coarse: bool = False
    """Whether the distance of the autofocus counts, too."""


def find_scale(facts: ScaleFacts, width_px: int, rule: ScaleRule, archive: str, image: str) -> Scale | None:
    """Return the scale of a photo, None where nothing tells it.

    Args:
        facts: what the photo says.
        width_px: of the photo, upright, as its cracks were measured.
        rule: what the user says.
        archive: as in the column `archive`.
        image: as in the column `image`.
    """
    focal_px = find_focal_px(facts, width_px)
    row = rule.table.find(archive, image) or ScaleRow(image, None, None)
    ladder: tuple[tuple[Source, float | None], ...] = (
        ("given", rule.mm_per_px),
        ("table", row.mm_per_px or _divide(row.distance_m, focal_px)),
        ("georeference", facts.map_mm_per_px if 0 < (facts.map_mm_per_px or 0) < inf else None),
        ("laser", _divide(facts.laser_distance_m, focal_px)),
        ("coarse", _divide(facts.subject_distance_m, focal_px) if rule.use_coarse else None),
    )
    return next((Scale(mm_per_px, source) for source, mm_per_px in ladder if mm_per_px is not None), None)


def find_focal_px(facts: ScaleFacts, width_px: int) -> float | None:
    """Return the focal length in pixels of a photo that is `width_px` wide, None where it is not sure.

    The best source counts: the maker's calibration, then the focal length on the sensor, then the one on 35 mm film.
    The others must agree with it.
    """
    if not facts.full_width_px or not facts.full_height_px or (facts.digital_zoom or 1) > 1:
        return None
    long_px = max(facts.full_width_px, facts.full_height_px)
    found = [
        facts.calibrated_focal_px,
        _multiply(facts.focal_length_mm, facts.focal_plane_px_per_mm),
        _multiply(facts.focal_length_35mm, long_px / FILM_WIDTH_MM),
    ]
    known = [focal_px for focal_px in found if focal_px is not None]
    if not known or max(known) > MOST_DISAGREEMENT * min(known):
        return None
    is_lens = LEAST_FOCAL_SHARE <= known[0] / long_px <= MOST_FOCAL_SHARE
    return known[0] * width_px / facts.full_width_px if is_lens else None


def _multiply(length_mm: float | None, px_per_mm: float | None) -> float | None:
    return None if length_mm is None or px_per_mm is None else length_mm * px_per_mm


def _divide(distance_m: float | None, focal_px: float | None) -> float | None:
    """Return millimetres per pixel."""
    is_known = distance_m is not None and LEAST_DISTANCE_M <= distance_m <= MOST_DISTANCE_M
    return 1000 * distance_m / focal_px or None if is_known and distance_m and focal_px else None
