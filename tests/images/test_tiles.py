"""The tile grid covers every pixel and stays within the photo."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import UsageError
from pipeline.images.tiles import ONE_TILE_LIMIT, Tile, TileSpec, cut, grid

sides = st.integers(1, 700)
specs = st.builds(TileSpec, st.integers(16, 120), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9]))


@settings(deadline=None)
@given(sides, sides, specs)
def test_every_pixel_is_covered(height_px: int, width_px: int, spec: TileSpec) -> None:
    """Each pixel of the photo is in a box, and no box leaves the photo."""
    seen = np.zeros((height_px, width_px), bool)

    for tile in grid(height_px, width_px, spec):
        assert tile.top_px >= 0
        assert tile.left_px >= 0
        assert tile.top_px + tile.height_px <= height_px
        assert tile.left_px + tile.width_px <= width_px
        seen[tile.top_px : tile.top_px + tile.height_px, tile.left_px : tile.left_px + tile.width_px] = True

    assert seen.all()


@settings(deadline=None)
@given(sides, sides, specs)
def test_the_last_row_and_column_end_with_the_photo(height_px: int, width_px: int, spec: TileSpec) -> None:
    """The grid shifts them in to the photo's edge."""
    last = grid(height_px, width_px, spec)[-1]

    assert (last.top_px + last.height_px, last.left_px + last.width_px) == (height_px, width_px)


@settings(deadline=None)
@given(sides, sides, specs)
def test_rows_and_columns_number_a_full_rectangle(height_px: int, width_px: int, spec: TileSpec) -> None:
    """The grid is listed row by row, each row as long as the others."""
    tiles = grid(height_px, width_px, spec)
    rows, cols = tiles[-1].row + 1, tiles[-1].col + 1

    assert [(tile.row, tile.col) for tile in tiles] == [(row, col) for row in range(rows) for col in range(cols)]


@settings(deadline=None)
@given(sides, sides, specs)
def test_boxes_are_a_step_apart(height_px: int, width_px: int, spec: TileSpec) -> None:
    """Neighbours are one step apart, the last pair at most one; no two boxes are the same."""
    tiles = grid(height_px, width_px, spec)
    tops = sorted({tile.top_px for tile in tiles})
    lefts = sorted({tile.left_px for tile in tiles})

    for starts in (tops, lefts):
        gaps = np.diff(starts)
        assert (gaps[:-1] == spec.step_px).all()
        assert (gaps[-1:] <= spec.step_px).all()
    assert len(set(tiles)) == len(tiles) == len(tops) * len(lefts)


@settings(deadline=None)
@given(specs, st.data())
def test_a_small_photo_is_one_tile(spec: TileSpec, data: st.DataObject) -> None:
    """A photo with both sides at most 1.25 tiles is one box; one pixel more makes several."""
    limit = int(ONE_TILE_LIMIT * spec.tile_px)
    height_px, width_px = data.draw(st.integers(1, limit)), data.draw(st.integers(1, limit))

    assert grid(height_px, width_px, spec) == [Tile(0, 0, 0, 0, height_px, width_px)]
    assert len(grid(height_px, limit + 1, spec)) > 1


def test_a_short_side_is_spanned_whole() -> None:
    """Boxes span a side shorter than a tile; the long side is cut as usual."""
    tiles = grid(100, 500, TileSpec(224, 0.0))

    assert tiles == [Tile(0, 0, 0, 0, 100, 224), Tile(0, 1, 0, 224, 100, 224), Tile(0, 2, 0, 276, 100, 224)]


def test_a_photo_of_whole_tiles_is_cut_without_overlap() -> None:
    """448 x 672 pixels are exactly two rows of three tiles of 224."""
    tiles = grid(448, 672, TileSpec(224, 0.0))

    assert [(tile.top_px, tile.left_px) for tile in tiles] == [
        (top, left) for top in (0, 224) for left in (0, 224, 448)
    ]


def test_overlap_is_the_share_that_neighbours_have_in_common() -> None:
    """A quarter of overlap leaves a step of three quarters."""
    assert TileSpec(224, 0.25).step_px == 168


@settings(deadline=None)
@given(st.integers(20, 90), st.integers(20, 90), st.sampled_from([0.0, 0.3]))
def test_cut_is_slicing(height_px: int, width_px: int, overlap: float) -> None:
    """Boxes as large as a tile keep their pixels."""
    spec = TileSpec(16, overlap)
    pixels = np.random.default_rng(0).integers(0, 256, (height_px, width_px, 3), np.uint8)
    tiles = grid(height_px, width_px, spec)

    squares = cut(pixels, tiles, spec.tile_px)

    assert squares.dtype == np.uint8
    assert squares.shape == (len(tiles), 16, 16, 3)
    for square, tile in zip(squares, tiles, strict=True):
        assert tile[4:] in {(16, 16), (height_px, width_px)}
        if tile[4:] == (16, 16):
            assert (square == pixels[tile.top_px : tile.top_px + 16, tile.left_px : tile.left_px + 16]).all()


@settings(deadline=None)
@given(st.tuples(*[st.integers(20, 60)] * 2), st.tuples(*[st.sampled_from([1, -1])] * 2), st.permutations([0, 1]),
       st.sampled_from([16, 70]))  # fmt: skip
def test_a_turned_photo_is_cut_like_any_other(
    size: tuple[int, int], steps: tuple[int, int], axes: list[int], tile_px: int
) -> None:
    """A mirrored or turned view gives the same tiles as a copy of it in row order."""
    stored = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    turned = stored[:: steps[0], :: steps[1]].transpose(*axes, 2)
    height_px, width_px = turned.shape[:2]
    tiles = grid(height_px, width_px, TileSpec(tile_px, 0.3))
    assert (cut(turned, tiles, tile_px) == cut(np.array(turned, order="C"), tiles, tile_px)).all()


def test_cut_resizes_odd_boxes() -> None:
    """A box of another size is resized to the tile; an even colour stays the same."""
    pixels = np.full((30, 300, 3), (10, 100, 200), np.uint8)

    squares = cut(pixels, grid(30, 300, TileSpec(64, 0.0)), 64)

    assert squares.shape == (5, 64, 64, 3)
    assert (squares == (10, 100, 200)).all()


@pytest.mark.parametrize(
    ("tile_px", "overlap", "message"),
    [
        (15, 0.0, "The tile is 15 pixels; expected at least 16. Give a larger --tile."),
        (224, 0.95, "The overlap is 0.95; expected a share from 0 to 0.9. Give another --overlap."),
        (224, -0.1, "The overlap is -0.1; expected a share from 0 to 0.9. Give another --overlap."),
        (224, float("nan"), "The overlap is nan; expected a share from 0 to 0.9. Give another --overlap."),
    ],
)
def test_a_wrong_spec_is_refused(tile_px: int, overlap: float, message: str) -> None:
    """Tiles too small for a network, and overlaps outside [0, 0.9], are wrong usage."""
    with pytest.raises(UsageError) as caught:
        TileSpec(tile_px, overlap)

    assert str(caught.value) == message
