"""Cracks drawn on grainy concrete, with the maps of a network that sees them perfectly."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from pipeline.images.decode import Pixels
from pipeline.images.tiles import Tile, TileSpec, grid
from pipeline.measurement.cracks import Crack, CrackedTile, measure_cracks

SIZE = 480
SPEC = TileSpec(224, 0.0)
STRIDE = 2
FINE = 3
"""Samples to a pixel."""

Points = Sequence[tuple[float, float]]
"""A polyline, x before y."""


def _distances(points: Points, step: float) -> NDArray[np.float64]:
    """Return the distance to a polyline, pixels, at places `step` apart."""
    places = (np.arange(round(SIZE / step)) + 0.5) * step
    x, y = np.meshgrid(places, places)
    nearest = np.full(x.shape, np.inf)
    for (x0, y0), (x1, y1) in pairwise(points):
        dx, dy = x1 - x0, y1 - y0
        share = np.clip(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy), 0, 1)
        nearest = np.minimum(nearest, np.hypot(x - x0 - share * dx, y - y0 - share * dy))
    return nearest


def _draw(points: Points, width_px: float, grey: float = 20.0) -> Pixels:
    """Draw a crack with flat ends' width on concrete with grain, seen through a slight blur."""
    grain = 140 + gaussian_filter(np.random.default_rng(0).normal(0, 12, (SIZE, SIZE)), 1.5)
    fine = (_distances(points, 1 / FINE) <= width_px / 2).reshape(SIZE, FINE, SIZE, FINE).mean(axis=(1, 3))
    share = gaussian_filter(fine, 0.6)
    picture = np.clip(grain * (1 - share) + grey * share, 0, 255)
    return np.repeat(picture.round().astype(np.uint8)[..., None], 3, axis=2)


def _map(places: NDArray[np.bool_], cracked: Sequence[Tile] | None = None) -> list[CrackedTile]:
    """Cut places of the whole photo, `STRIDE` pixels apart, into those of its tiles; all are cracked by default."""
    return [
        CrackedTile(tile, places[_part(tile)].astype(np.float32), cracked is None or tile in cracked)
        for tile in grid(SIZE, SIZE, SPEC)
    ]


def _part(tile: Tile) -> tuple[slice, slice]:
    top, left = tile.top_px // STRIDE, tile.left_px // STRIDE
    side = SPEC.tile_px // STRIDE
    return slice(top, top + side), slice(left, left + side)


def _see(points: Points, width_px: float) -> NDArray[np.bool_]:
    """Return what a network sees: a crack a little wider than it is."""
    return _distances(points, STRIDE) <= width_px / 2 + 1.5


def _measure(points: Points, width_px: float, grey: float = 20.0) -> list[Crack]:
    return measure_cracks(_draw(points, width_px, grey), _map(_see(points, width_px)))


@settings(max_examples=12, deadline=None)
@given(angle=st.floats(0, np.pi), width_px=st.floats(2, 15), length=st.floats(200, 400))
def test_a_drawn_crack_is_measured(angle: float, width_px: float, length: float) -> None:
    """Over the borders of tiles it is one; thinning takes a few pixels at its ends."""
    across, down = np.cos(angle) * length / 2, np.sin(angle) * length / 2
    (crack,) = _measure([(240 - across, 240 - down), (240 + across, 240 + down)], width_px)
    assert length - 8 - width_px <= crack.length_px <= 1.03 * length
    assert crack.widths.status == "ok"
    assert crack.widths.p50 == pytest.approx(width_px, abs=0.5)
    apart = abs(crack.orientation_deg - np.degrees(angle)) % 180
    assert min(apart, 180 - apart) <= 2
    assert crack.score > 0.9


def test_a_bent_crack_is_followed() -> None:
    """Along both arms, and its box is around them."""
    points = [(60, 100), (240, 200), (400, 100)]
    (crack,) = _measure(points, 5)
    assert crack.length_px == pytest.approx(206 + 189, rel=0.04)
    assert crack.box == pytest.approx((60, 100, 340, 100), abs=6)
    assert crack.orientation_deg == pytest.approx(0, abs=2) or crack.orientation_deg == pytest.approx(180, abs=2)


def test_only_cracks_with_a_cracked_tile_count() -> None:
    """Other tiles lengthen them, and tell of none by themselves."""
    points = [(100, 100), (400, 100)]
    pixels, tiles = _draw(points, 4), grid(SIZE, SIZE, SPEC)
    (crack,) = measure_cracks(pixels, _map(_see(points, 4), tiles[:1]))
    assert crack.length_px == pytest.approx(300, rel=0.05)
    assert measure_cracks(pixels, _map(_see(points, 4), tiles[6:7])) == []
    assert measure_cracks(pixels, _map(_see(points, 4), [])) == []
    assert measure_cracks(pixels, []) == []


@pytest.mark.parametrize(
    ("length_px", "probability", "count"), [(60, 1, 0), (110, 1, 1), (110, 0.75, 0), (200, 0.75, 1)]
)
def test_short_and_doubtful_finds_are_no_cracks(length_px: float, probability: float, count: int) -> None:
    """Rather pores and stains; the surer the network is, the shorter a crack may be."""
    points = [(200.0, 200.0), (200.0 + length_px, 210.0)]
    maps = [found._replace(probability=found.probability * probability) for found in _map(_see(points, 4))]
    assert len(measure_cracks(_draw(points, 4), maps)) == count


def test_a_wide_crack_of_which_the_edges_are_seen_is_one_line() -> None:
    """What lies between and is as dark belongs to it."""
    points, width_px = [(60.0, 240.0), (420.0, 250.0)], 26.0
    hollow = _see(points, width_px) & (_distances(points, STRIDE) > width_px / 2 - 4)
    (crack,) = measure_cracks(_draw(points, width_px), _map(hollow))
    assert len(crack.lines) == 1
    assert crack.length_px == pytest.approx(360, rel=0.05)
    assert crack.widths.p50 == pytest.approx(width_px, abs=1)


def test_grain_in_a_wide_crack_makes_no_loops() -> None:
    """A line goes through it, and not around each place of its floor that is a little lighter."""
    points, width_px = [(60.0, 240.0), (420.0, 250.0)], 26.0
    apart = _distances(points, 1)
    grain = gaussian_filter(np.random.default_rng(1).normal(0, 30, (SIZE, SIZE)), 1.5)
    floor = np.where(apart < width_px / 2 - 2, grain, 0)[..., None]
    pixels = np.clip(_draw(points, width_px, 40) + floor, 0, 255).astype(np.uint8)
    hollow = _see(points, width_px) & (_distances(points, STRIDE) > width_px / 2 - 4)
    (crack,) = measure_cracks(pixels, _map(hollow))
    assert len(crack.lines) == 1
    assert crack.length_px == pytest.approx(360, rel=0.05)


def test_a_crack_around_an_island_of_concrete_has_two_arms() -> None:
    """What they enclose is as light as the concrete, and no part of the crack."""
    points = [(60.0, 240.0), (180.0, 240.0), (240.0, 224.0), (300.0, 240.0), (240.0, 256.0), (180.0, 240.0)]
    (crack,) = _measure(points, 4)
    assert 300 <= crack.length_px <= 120 + 4 * 63  # 245 along one of them


def test_a_light_line_has_no_width() -> None:
    """Efflorescence, or a filled crack: there is a line, and nothing dark across it."""
    (crack,) = _measure([(80, 80), (400, 300)], 5, grey=230)
    assert (crack.widths.status, crack.widths.p50, crack.widths.max) == ("not_dark", None, None)


def test_a_crack_along_the_border_has_no_width() -> None:
    """There is no background on one side."""
    (crack,) = _measure([(60, 5), (420, 5)], 4)
    assert (crack.widths.status, crack.widths.p95) == ("at_border", None)
    assert crack.length_px == pytest.approx(360, rel=0.05)


def test_lines_stay_in_the_photo() -> None:
    """Their box, too, even if a crack leaves it."""
    (crack,) = _measure([(-20, 100), (500, 380)], 4)
    left, top, width, height = crack.box
    assert 0 <= left < left + width <= SIZE
    assert 0 <= top < top + height <= SIZE
    assert crack.line_wkt.startswith("MULTILINESTRING ((")
