"""Two photos of one surface laid over each other: the homography from photo B to photo A.

Features of both (SIFT, Lowe 2004) are matched, and RANSAC (Fischler & Bolles 1981) finds the homography on which most
of them agree. It holds for a flat surface. Where the photos do not show the same one, or it cannot be told, there is a
reason instead of a homography: a wrong one would tell of cracks that never grew.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, KDTree
from skimage.feature import SIFT
from skimage.measure import ransac
from skimage.transform import ProjectiveTransform

from pipeline.images.decode import Pixels, resize

LONGEST_PX = 1000
"""Features are sought in a picture whose longer side is at most this: more pixels cost more and find no more places."""
LEAST_SIDE_PX = 32
"""Of a picture in which features are sought."""
CONTRAST = 0.0067
"""Least contrast of a feature: half of Lowe's, for concrete has little (docs/experiments.md)."""
MOST_FEATURES = 4000
"""The coarsest so many of a photo count, which bounds memory."""
RATIO = 0.8
"""A match counts if the next best is farther by this factor (Lowe 2004)."""
MOST_RESIDUAL_PX = 3.0
"""How far a feature may be from where the homography says, in pixels of the reduced picture."""
TRIALS = 2000
LEAST_INLIERS = 20
"""Matches on one homography: photos of other places had 7 at most (docs/experiments.md)."""
LEAST_SPREAD = 0.05
"""Share of photo A that the inliers must surround: a date in the corner of both photos also matches."""
LEAST_OVERLAP = 0.2
MOST_STRETCH = 2.5
"""How many times as large or as small one photo may show a place as the other: beyond, one shows cracks that the other
cannot."""
SUPPORT_SHARE = 0.2
"""The homography is trusted up to this far from an inlier, in longer sides of photo A: behind an edge of the structure
begins another surface, which has none."""
FAR_PX = 1e9
GRID = 48
"""Places across and down photo A at which its overlap is counted."""

Refusal = Literal["few_features", "few_matches", "matches_in_one_spot", "small_overlap", "scales_differ"]
"""Why two photos could not be laid over each other."""

Points = NDArray[np.float64]
"""Places x, y in pixels of a photo, from its upper left corner. Shape: (N, 2)."""
Matrix = NDArray[np.floating]
"""Of a homography. Shape: (3, 3)."""


class Features(NamedTuple):
    """The features of a photo, without its pixels."""

    width_px: int
    height_px: int
    reduced: float
    """Pixels of the photo to one of the reduced picture."""
    points: Points
    descriptors: NDArray[np.uint8]
    """Shape: (N, 128)."""


@dataclass(frozen=True)
class Registration:
    """How photo B lies over photo A."""

    matrix: Matrix
    """Takes x, y, 1 in pixels of B to homogeneous coordinates in pixels of A."""
    inliers: Points
    """Features of A that the homography explains."""
    error_px: float
    """Root mean square distance of the inliers from where the homography says, in pixels of A."""
    overlap: float
    """Share of A that B covers."""
    size_a: tuple[int, int]
    """Width and height in pixels …"""
    size_b: tuple[int, int]
    """… of both photos."""

    def to_a(self, points: Points) -> Points:
        """Return places of B in pixels of A. Shape: (N, 2) → (N, 2)."""
        return _project(self.matrix, points)

    def to_b(self, points: Points) -> Points:
        """Return places of A in pixels of B. Shape: (N, 2) → (N, 2)."""
        return _project(np.linalg.inv(self.matrix), points)

    def areas(self, points: Points) -> NDArray[np.float64]:
        """Return square pixels of A to one of B, at places of B. Shape: (N, 2) → (N,).

        The Jacobian's determinant of x → H x, det H / w³ with w the third homogeneous coordinate.
        """
        scale: NDArray[np.float64] = np.linalg.det(self.matrix) / (points @ self.matrix[2, :2] + self.matrix[2, 2]) ** 3
        return scale

    def covers(self, points: Points, margin_px: float = 0.0) -> NDArray[np.bool_]:
        """Tell which places of A are sure to be in both photos: near an inlier, `margin_px` or more from their edges.

        Shape: (N, 2) → (N,).
        """
        near, _ = KDTree(self.inliers).query(points, distance_upper_bound=SUPPORT_SHARE * max(self.size_a))
        inside = _is_within(points, self.size_a, margin_px) & _is_within(self.to_b(points), self.size_b, margin_px)
        covered: NDArray[np.bool_] = inside & np.isfinite(near)
        return covered


def find_features(pixels: Pixels) -> Features:
    """Find the features of a photo, shape (H, W, 3); none where it is flat."""
    height_px, width_px = pixels.shape[:2]
    reduced = max(1.0, max(height_px, width_px) / LONGEST_PX)
    small = resize(pixels, max(1, round(height_px / reduced)), max(1, round(width_px / reduced)))
    nothing = Features(width_px, height_px, reduced, np.empty((0, 2)), np.empty((0, 128), np.uint8))
    if min(small.shape[:2]) < LEAST_SIDE_PX:
        return nothing
    sift = SIFT(upsampling=1, c_dog=CONTRAST)
    try:
        sift.detect_and_extract(small.mean(axis=2, dtype=np.float32) / 255)
    except RuntimeError:  # skimage's way to say that it found none
        return nothing
    found, sigmas, descriptors = map(np.asarray, (sift.keypoints, sift.sigmas, sift.descriptors))
    coarsest = np.argsort(-sigmas, kind="stable")[:MOST_FEATURES]
    points = (found[coarsest, ::-1] + 0.5) * (width_px / small.shape[1], height_px / small.shape[0])
    return Features(width_px, height_px, reduced, points, descriptors[coarsest])


def register(a: Features, b: Features) -> Registration | Refusal:
    """Lay photo B over photo A, or say why that cannot be done. It gives the same answer each time."""
    if min(len(a.points), len(b.points)) < LEAST_INLIERS:
        return "few_features"
    places = _match(a.descriptors, b.descriptors)
    of_a, of_b = a.points[places[:, 0]], b.points[places[:, 1]]
    if len(places) < LEAST_INLIERS:
        return "few_matches"
    residual_px = MOST_RESIDUAL_PX * a.reduced
    rules = {"min_samples": 4, "residual_threshold": residual_px, "max_trials": TRIALS, "rng": 0}
    _, is_inlier = ransac((of_b, of_a), ProjectiveTransform, **rules)
    if is_inlier is None or is_inlier.sum() < LEAST_INLIERS:
        return "few_matches"
    of_a, of_b = of_a[is_inlier], of_b[is_inlier]
    fitted = ProjectiveTransform.from_estimate(of_b, of_a)
    if not fitted:
        return "few_matches"
    error_px = float(np.sqrt((fitted.residuals(of_b, of_a) ** 2).mean()))
    sizes = (a.width_px, a.height_px), (b.width_px, b.height_px)
    found = Registration(fitted.params, of_a, error_px, _measure_overlap(fitted.params, *sizes), *sizes)
    return _find_fault(found, of_b) or found


def _match(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Return the rows of a and b that are each other's nearest, and far nearer than the next. Shape: (M, 2)."""
    squares = np.maximum(2 - 2 * (_normalise(a) @ _normalise(b).T), 0)  # distances of unit vectors
    nearest = squares.argmin(axis=1)
    rows = np.arange(len(a))
    best, second = np.partition(squares, 1, axis=1)[:, :2].T
    chosen = (squares.argmin(axis=0)[nearest] == rows) & (best < RATIO**2 * second)
    return np.stack([rows[chosen], nearest[chosen]], axis=1)


def _normalise(descriptors: NDArray[np.uint8]) -> NDArray[np.float32]:
    vectors = descriptors.astype(np.float32)
    unit: NDArray[np.float32] = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return unit


def _find_fault(found: Registration, of_b: Points) -> Refusal | None:
    """Say why a homography cannot be believed."""
    if not _surround(found.inliers, found.size_a) or not _surround(of_b, found.size_b):
        return "matches_in_one_spot"
    if found.overlap < LEAST_OVERLAP:
        return "small_overlap"
    areas = found.areas(of_b)  # of one sign where no place lies behind the camera; negative if mirrored
    is_sound = bool(np.all(areas > MOST_STRETCH**-2) and np.all(areas < MOST_STRETCH**2))
    return None if is_sound else "scales_differ"


def _surround(points: Points, size: tuple[int, int]) -> bool:
    """Tell whether points surround enough of a photo."""
    spread = points - points.mean(axis=0)
    is_line = np.linalg.svd(spread, compute_uv=False)[1] < 1
    return not is_line and bool(ConvexHull(points).volume >= LEAST_SPREAD * size[0] * size[1])


def _measure_overlap(matrix: Matrix, size_a: tuple[int, int], size_b: tuple[int, int]) -> float:
    """Return the share of A that B covers, counted at the places of a grid."""
    across, down = ((np.arange(GRID) + 0.5) / GRID * side for side in size_a)
    places = np.stack(np.meshgrid(across, down), axis=-1).reshape(-1, 2)
    return float(_is_within(_project(np.linalg.inv(matrix), places), size_b).mean())


def _is_within(points: Points, size: tuple[int, int], margin_px: float = 0.0) -> NDArray[np.bool_]:
    beyond = np.maximum(margin_px - points, points - (np.array(size) - margin_px)).max(axis=1)
    within: NDArray[np.bool_] = beyond <= 0
    return within


def _project(matrix: Matrix, points: Points) -> Points:
    """Return places under a homography; at `FAR_PX` are those behind the camera."""
    moved = points @ matrix[:, :2].T + matrix[:, 2]
    is_seen = moved[:, 2:] * np.sign(matrix[2, 2]) > 0
    projected: Points = np.where(is_seen, moved[:, :2] / np.where(is_seen, moved[:, 2:], 1), FAR_PX)
    return projected
