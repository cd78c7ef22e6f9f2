"""Windows: whole tiles of one grid, each tile in one of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.images.tiles import TileSpec, grid
from pipeline.rasters import windows
from pipeline.rasters.windows import Size, Window, count_tiles, list_tiles, parse_name, plan_windows

SIDES = st.integers(1, 2000)


@given(
    SIDES, SIDES, st.integers(1, 700), st.integers(1, 2500), st.integers(16, 300), st.floats(0, 0.9), st.integers(1, 20)
)
def test_every_tile_of_the_grid_is_in_one_window(
    height_px: int, width_px: int, block_height_px: int, block_width_px: int, tile_px: int, overlap: float, pixels: int
) -> None:
    """However a raster is stored: the tiles of all windows, moved to their places, are those of the whole raster."""
    raster, spec = Size(height_px, width_px), TileSpec(tile_px, overlap)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "WINDOW_PIXELS", pixels * tile_px**2)
        planned = [*plan_windows(raster, Size(block_height_px, min(block_width_px, width_px)), 3, spec)]
    found = [
        (row + window.first_row, col + window.first_col, top + window.top_px, left + window.left_px, high, wide)
        for window in planned
        for row, col, top, left, high, wide in list_tiles(window, raster, spec)
    ]
    assert len(set(found)) == len(found)
    if max(raster) > 1.25 * tile_px:
        assert sorted(found) == [tuple(tile) for tile in grid(*raster, spec)]
    assert len(found) == count_tiles(raster, spec)[0] * count_tiles(raster, spec)[1]
    assert len({window.name for window in planned}) == len(planned)


@given(SIDES, SIDES, st.integers(1, 700), st.integers(1, 2500), st.integers(16, 300), st.floats(0, 0.9))
def test_the_tiles_of_a_window_are_the_grid_of_a_photo_of_its_size(
    height_px: int, width_px: int, block_height_px: int, block_width_px: int, tile_px: int, overlap: float
) -> None:
    """So a window that is given as a photo has the same scores; a window ends where its tiles do."""
    raster, spec = Size(height_px, width_px), TileSpec(tile_px, overlap)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "WINDOW_PIXELS", 9 * tile_px**2)
        planned = [*plan_windows(raster, Size(block_height_px, min(block_width_px, width_px)), 3, spec)]
    for window in planned:
        assert 0 <= window.top_px < window.end_px[0] <= height_px
        assert 0 <= window.left_px < window.end_px[1] <= width_px
        if max(window.height_px, window.width_px) > 1.25 * tile_px:
            assert list_tiles(window, raster, spec) == grid(window.height_px, window.width_px, spec)


@pytest.mark.parametrize(
    ("raster", "block", "pixel_bytes"),
    [
        (Size(40_000, 40_000), Size(512, 512), 3),
        (Size(40_000, 40_000), Size(1, 40_000), 3),
        (Size(40_000, 40_000), Size(256, 256), 8),
        (Size(300, 3_000_000), Size(1, 3_000_000), 3),
        (Size(100_000, 100_000), Size(2048, 2048), 3),
    ],
)
def test_windows_are_bounded(raster: Size, block: Size, pixel_bytes: int) -> None:
    """A window takes some 64 MB, whatever the size of its raster."""
    planned = [*plan_windows(raster, block, pixel_bytes, TileSpec(224, 0.0))]
    assert max(window.height_px * window.width_px * pixel_bytes for window in planned) < 4.2 * windows.WINDOW_BYTES
    assert max(window.height_px * window.width_px for window in planned) > 1 << 22


def test_windows_of_strips_are_as_wide_as_their_raster() -> None:
    """So no strip is read for two windows that lie side by side."""
    planned = [*plan_windows(Size(40_000, 40_000), Size(1, 40_000), 3, TileSpec(224, 0.0))]
    assert {(window.left_px, window.width_px) for window in planned} == {(0, 40_000)}


def test_a_window_is_named_by_its_upper_left_pixel() -> None:
    """Names lead back to places, and sort as windows do."""
    window = Window(4032, 0, 10, 10, 18, 0, 1, 1)
    assert window.name == "r004032c000000"
    assert parse_name(window.name) == (4032, 0)
    with pytest.raises(ValueError, match="no window"):
        parse_name("deck.tif")
