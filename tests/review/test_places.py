"""What surrounds a tile, and the cracks that run there."""

from pathlib import Path

import pytest

from pipeline.dataset.layout import Layout
from pipeline.dataset.sql import views
from pipeline.review.places import Place, find_places
from pipeline.review.selection import ReviewRule, choose_tiles
from tests.helpers.small_dataset import ok, with_cracks, write_dataset


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """One photo of 250 x 400 pixels; its three cracks are short lines at its upper left corner."""
    return write_dataset(str(tmp_path / "out"), [[with_cracks(ok("a.jpg", 250, 400), 3, mm_per_px=0.4)]])


def find(layout: Layout, *, crop_only: bool = False) -> dict[tuple[int, int], Place]:
    """All places by row and column."""
    with views(layout) as connection:
        chosen = choose_tiles(connection, ReviewRule(100, ("random",), 1, 0.5))
        found = find_places(connection, chosen, crop_only=crop_only)
    return {(place.tile.row, place.tile.col): place for place in found}


def test_surroundings_are_a_tile_to_each_side(layout: Layout) -> None:
    """As far as the photo goes."""
    places = find(layout)
    assert places[1, 2].tile.box == (75, 150, 100, 100)
    assert places[1, 2].around == (0, 50, 250, 300)
    assert places[0, 0].around == (0, 0, 200, 200)


def test_cracks_are_those_that_run_through_the_tile(layout: Layout) -> None:
    """Others in its surroundings are drawn, too, and no part of any that lies outside of them."""
    places = find(layout)
    assert places[0, 0].cracks == "0 1 2"
    assert places[0, 1].cracks == ""
    assert [(crack.number, crack.is_through) for crack in places[0, 1].drawn] == [(n, False) for n in range(3)]
    assert places[1, 3].drawn == []
    assert [crack.width for crack in places[0, 0].drawn] == ["0.60 mm", "unknown", "1.40 mm"]


def test_a_crop_has_nothing_beyond_the_tile(layout: Layout) -> None:
    """Neither surroundings nor lines there."""
    places = find(layout, crop_only=True)
    assert all(place.around == place.tile.box for place in places.values())
    assert places[0, 1].drawn == []
    assert places[0, 0].cracks == "0 1 2"
