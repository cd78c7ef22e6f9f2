"""Heat: colours of scores, and their places over a photo."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.images.tiles import Tile, TileSpec, grid
from pipeline.reports import heatmap
from pipeline.reports.heatmap import TileScores

SIDES_PX = st.integers(20, 400)


def scored(height_px: int, width_px: int, scores: list[float] | float) -> TileScores:
    """A photo in overlapping tiles of 50 pixels."""
    tiles = grid(height_px, width_px, TileSpec(50, 0.25))
    values = [scores] * len(tiles) if isinstance(scores, float) else scores
    return TileScores(height_px, width_px, tiles, np.array(values, np.float32))


@given(SIDES_PX, SIDES_PX, st.integers(5, 500), st.integers(5, 500))
def test_the_heat_of_tiles_that_cover_a_photo_covers_its_picture(
    height_px: int, width_px: int, drawn_height_px: int, drawn_width_px: int
) -> None:
    """No pixel of a picture of any size is between two tiles."""
    spread = heatmap.spread_scores(scored(height_px, width_px, 0.75), drawn_height_px, drawn_width_px)
    assert spread.shape == (drawn_height_px, drawn_width_px)
    assert (spread == 0.75).all()


def test_where_tiles_overlap_the_higher_score_counts() -> None:
    """As in crack maps."""
    tiles = [Tile(0, 0, 0, 0, 10, 10), Tile(0, 1, 0, 5, 10, 10)]
    spread = heatmap.spread_scores(TileScores(10, 15, tiles, np.array([0.25, 0.5], np.float32)), 10, 15)
    assert spread[0].tolist() == [0.25] * 5 + [0.5] * 10


def test_sound_tiles_stay_clear_and_cracked_ones_can_be_seen_through() -> None:
    """Below the least score the layer is clear; above it the opacity rises, and never hides the photo."""
    opacities = [
        heatmap.draw_layer(scored(50, 50, score), 50, 50)[0, 0, 3] / 255
        for score in (0.0, 0.09, heatmap.LEAST_SCORE, 0.5, 1.0)
    ]
    assert opacities[:2] == [0, 0]
    assert opacities[2] < opacities[3] < opacities[4]
    assert opacities[4] == heatmap.MOST_OPACITY


def test_a_clear_layer_changes_nothing_and_an_opaque_one_all() -> None:
    """Alpha is the share of the layer."""
    pixels = np.full((2, 2, 3), 200, np.uint8)
    layer = np.full((2, 2, 4), 100, np.uint8)
    layer[..., 3] = [[0, 255], [0, 51]]
    assert heatmap.blend(pixels, layer)[..., 0].tolist() == [[200, 100], [200, 180]]


@given(st.floats(0, 1), st.floats(0, 1))
def test_higher_scores_are_darker(one: float, other: float) -> None:
    """So people can read the scale in grey, too."""
    low, high = sorted((one, other))
    light = heatmap.to_colours(np.array([low, high], np.float32)) @ np.array([0.2126, 0.7152, 0.0722])
    assert light[1] <= light[0] + 1  # rounding


def test_css_names_the_colour_that_is_drawn() -> None:
    """The page and the pictures have the same scale."""
    assert heatmap.to_css(0.0) == "#ffeda0"
    assert heatmap.to_css(1.0) == "#b10026"


def test_the_worst_tile_is_the_one_with_the_highest_score() -> None:
    """Of equal ones it is the first."""
    photo = scored(50, 100, [0.1, 0.9, 0.9])
    assert photo.worst == photo.tiles[1]
