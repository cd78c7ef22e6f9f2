"""The cracks that a whole job finds in a folder of photos, and how they fit the true ones."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pipeline.core.wkt import Line, parse_lines
from tests.bench.crack_drawing import spread

NEAR_PX = 5.0
"""How far a found line may be from the true one."""
STEP_PX = 2.0
MOST_OFF = 1 / 2
"""A find more of whose line is not near a true crack is none of it."""
TWELVE_MEGAPIXELS = 12e6


class FoundCrack(NamedTuple):
    """A row of the table of cracks."""

    lines: Sequence[Line]
    length_px: float
    width_px: float | None
    """The median along it; None if it is unknown."""

    @property
    def points(self) -> Line:
        """Points along its lines. Shape: (N, 2)."""
        return np.concatenate([spread(line, STEP_PX) for line in self.lines])


class ScoredPhoto(NamedTuple):
    """A photo and what was found in it."""

    pixels: int
    cracks: tuple[FoundCrack, ...]


class Found(NamedTuple):
    """What was found of one true crack."""

    share: float
    """Of its length, that is near some found line."""
    length_px: float | None
    """Of all finds that are of this crack; None if there is none."""
    width_px: float | None
    """The mean of their medians, weighted by length; None if none is known."""


def score_photos(photos: Path, out: Path, model: str) -> dict[str, ScoredPhoto]:
    """Score a folder as `crackscan score` does, on two CPUs; return its photos by name, without failed ones."""
    from pipeline.cluster.session import ClusterConfig
    from pipeline.dataset.sql import query
    from pipeline.models.model import find_model
    from pipeline.scoring.config import ScoreConfig
    from pipeline.scoring.flow import score

    cluster = ClusterConfig(cpus=2)
    score(ScoreConfig((str(photos),), str(out), find_model(model), cracks=True, cluster=cluster))
    images = query(str(out), "SELECT image, width_px, height_px FROM images WHERE status = 'ok' ORDER BY image")
    cracks = query(str(out), "SELECT image, line_wkt, length_px, crack_width_px_p50 FROM cracks ORDER BY image, crack")
    found: dict[str, list[FoundCrack]] = {}
    for row in cracks.to_pylist():
        crack = FoundCrack(parse_lines(row["line_wkt"]), row["length_px"], row["crack_width_px_p50"])
        found.setdefault(row["image"], []).append(crack)
    return {
        row["image"]: ScoredPhoto(row["width_px"] * row["height_px"], tuple(found.get(row["image"], ())))
        for row in images.to_pylist()
    }


def match_cracks(true: Sequence[Line], cracks: Sequence[FoundCrack]) -> tuple[list[Found], list[FoundCrack]]:
    """Return what was found of each true crack, and the finds that are of none.

    A find is of the crack that most of its line is near, and counts with its whole length and width.
    """
    trees = [cKDTree(spread(line, STEP_PX)) for line in true]
    owner = [_find_owner(trees, crack.points) for crack in cracks]
    everything = cKDTree(np.concatenate([np.empty((0, 2)), *(crack.points for crack in cracks)]))
    found = []
    for number, tree in enumerate(trees):
        own = [crack for crack, of in zip(cracks, owner, strict=True) if of == number]
        share = float((everything.query(tree.data)[0] <= NEAR_PX).mean())
        found.append(Found(share, sum(crack.length_px for crack in own) if own else None, average_width_px(own)))
    return found, [crack for crack, of in zip(cracks, owner, strict=True) if of is None]


def _find_owner(trees: Sequence[cKDTree], points: Line) -> int | None:
    """Return the number of the true crack that most of the points are near; None without one."""
    shares = [float((tree.query(points)[0] <= NEAR_PX).mean()) for tree in trees]
    best = int(np.argmax(shares)) if shares else None
    return best if best is not None and shares[best] >= 1 - MOST_OFF else None


def average_width_px(cracks: Sequence[FoundCrack]) -> float | None:
    """Return the mean width of cracks, weighted by their lengths; None if no width is known."""
    known = [(crack.width_px, crack.length_px) for crack in cracks if crack.width_px is not None]
    if not known:
        return None
    widths, lengths = np.array(known).T
    return float(np.average(widths, weights=lengths))


def count_per_twelve_megapixels(photos: Sequence[ScoredPhoto], count: float) -> float:
    """Return the number, or the length, of what was counted on photos to twelve megapixels."""
    return count * TWELVE_MEGAPIXELS / sum(photo.pixels for photo in photos)


def format_figure(values: NDArray[np.float64] | Sequence[float], form: str) -> str:
    """Return the mean of values in a form; a dash if there are none."""
    return format(float(np.mean(values)), form) if len(values) else "-"


def make_header(columns: Sequence[str]) -> str:
    """Return the two lines above a table in Markdown."""
    return f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|"
