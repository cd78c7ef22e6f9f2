"""Photos of one drawn surface from two places, and their cracks in either: the truth is a known homography."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage
from skimage.transform import ProjectiveTransform, warp

from pipeline.core.wkt import Line
from pipeline.images.decode import Pixels
from pipeline.measurement.growth import KnownCrack
from pipeline.synthetic.drawing import draw_photo

HEIGHT_PX, WIDTH_PX = 420, 560
FINER = 4
"""Pixels across in which cracks are drawn, to one of the photo."""
CRACK_GREY, THINNEST_PX = 25, 1.25

Matrix = NDArray[np.float64]
"""Takes x, y, 1 of photo A to photo B."""

SAME: Matrix = np.eye(3)
TILTED: Matrix = np.array([[0.94, -0.12, 35.0], [0.10, 0.91, -12.0], [6e-5, -4e-5, 1.0]])
"""Turned by 7 degrees, tilted, moved and smaller."""


@cache
def draw_surface(seed: int = 7, width_px: int = WIDTH_PX) -> Pixels:
    """Draw sound concrete with its pores and stains."""
    return draw_photo(HEIGHT_PX, width_px, seed, cracked=False).pixels


def draw_cracks(pixels: Pixels, cracks: Sequence[KnownCrack]) -> Pixels:
    """Draw cracks on a photo along their lines, as wide as they say, thin ones `THINNEST_PX`."""
    height_px, width_px = pixels.shape[:2]
    cover = Image.new("L", (FINER * width_px, FINER * height_px))
    for crack in cracks:
        stroke_px = round(FINER * (crack.width_px_p50 or THINNEST_PX))
        for line in crack.lines:
            ImageDraw.Draw(cover).line([(x, y) for x, y in FINER * line], 255, stroke_px, "curve")
    share = np.asarray(cover.reduce(FINER), np.float32)[..., None] / 255
    drawn: Pixels = np.rint(pixels * (1 - share) + CRACK_GREY * share).astype(np.uint8)
    return drawn


def look_again(pixels: Pixels, matrix: Matrix = TILTED, noise: float = 4.0) -> Pixels:
    """Take the photo B of a surface that A shows: from elsewhere, in other light, less sharp, with noise."""
    seen = warp(pixels, ProjectiveTransform(np.linalg.inv(matrix)), order=1, cval=0.5)
    light = np.linspace(0.75, 1.05, seen.shape[1])[:, None]
    grey = ndimage.gaussian_filter(seen * light, (0.6, 0.6, 0)) * 255
    noisy = grey + np.random.default_rng(1).normal(0, noise, grey.shape)
    taken: Pixels = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    return taken


def move(line: Line, matrix: Matrix) -> Line:
    """Return a line of A in pixels of B, as points 2 px apart."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    at = np.linspace(0, along[-1], max(2, round(along[-1] / 2)))
    points: Line = ProjectiveTransform(matrix)(np.stack([np.interp(at, along, values) for values in line.T], axis=1))
    return points


def crack_along(number: int, *points: tuple[float, float], width_px: float | None = 2.0) -> KnownCrack:
    """Return a crack of photo A along some points; too thin if it has no width."""
    status = "ok" if width_px is not None else "too_thin"
    return KnownCrack(number, [np.array(points, np.float64)], width_px, width_px, status)
