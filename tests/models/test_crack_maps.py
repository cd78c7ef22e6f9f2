"""Crack maps with a computable mapper: the brighter a place, the more it is a crack."""

import io
from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pipeline.images.tiles import TileSpec, grid
from pipeline.models.crack_maps import (
    LEAST_SCORE,
    MAP_PIXELS,
    Grey,
    PhotoMapper,
    ScoredPhoto,
    decode_map,
    enlarge_map,
    reduce_map,
    scale_of,
)

TILE_PX = 16


def greys(most_px: int = 40) -> st.SearchStrategy[Grey]:
    """Generate grey pictures of any shape."""
    sides = st.integers(1, most_px)
    return st.builds(
        lambda height, width, seed: np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8),
        sides, sides, st.integers(0, 2**32),
    )  # fmt: skip


def brightness(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Map tiles to their grey levels over 255, shape (N, T, T, 3) → (N, T, T)."""
    assert tiles.shape[1:] == (TILE_PX, TILE_PX, 3)
    maps: NDArray[np.float32] = tiles[..., 0].astype(np.float32) / np.float32(255)
    return maps


def photo(grey: Grey, scores: Sequence[float], overlap: float = 0.0) -> ScoredPhoto:
    """Return a grey photo, cut into tiles with these scores."""
    height_px, width_px = grey.shape
    tiles = grid(height_px, width_px, TileSpec(TILE_PX, overlap))
    assert len(tiles) == len(scores)
    return ScoredPhoto("bridge/pier 7 é.jpg", np.stack([grey] * 3, axis=-1), tiles, np.array(scores, np.float32))


def draw(scored: ScoredPhoto) -> Grey:
    """Return the map of a small photo, pixel by pixel."""
    grey, scale = decode_map(PhotoMapper(brightness, TILE_PX, "model00")(scored))
    assert scale == 1
    return grey


def test_a_tile_is_as_bright_as_its_score() -> None:
    """The map is the mapper's result times the tile's score; tiles with low scores are black."""
    white = np.full((TILE_PX, 4 * TILE_PX), 255, np.uint8)
    white[3, 5] = 51
    found = draw(photo(white, [1.0, 0.5, LEAST_SCORE, LEAST_SCORE - 0.01]))
    assert found.shape == white.shape
    assert found[3, 5] == 51
    assert [found[8, 16 * tile + 8] for tile in range(4)] == [255, 128, 26, 0]


def test_where_tiles_overlap_the_higher_counts() -> None:
    """In any order of the tiles."""
    white = np.full((TILE_PX, 24), 255, np.uint8)
    for scores in ([0.4, 0.8], [0.8, 0.4]):
        levels = [round(255 * score) for score in scores]
        assert draw(photo(white, scores))[0].tolist() == [levels[0]] * 8 + [204] * 8 + [levels[1]] * 8


def test_a_resized_tile_is_mapped_at_its_place() -> None:
    """A photo of one tile, larger than the network's, gets a map of its own shape, bright in the same place."""
    grey = np.zeros((20, 18), np.uint8)
    grey[10:, 9:] = 255
    found = draw(photo(grey, [1.0]))
    assert found.shape == (20, 18)
    assert found[15:, 14:].min() == 255
    assert max(found[:5].max(), found[:, :4].max()) == 0


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32))
def test_a_tile_does_not_depend_on_the_others(seed: int) -> None:
    """Tiles go to the mapper in batches of one size, and every map returns to its tile."""
    random = np.random.default_rng(seed)
    grey = random.integers(0, 256, (3 * TILE_PX, 4 * TILE_PX), np.uint8)
    scores = random.choice([0.0, 1.0], 12)
    kept = scores.reshape(3, 4).repeat(TILE_PX, 0).repeat(TILE_PX, 1)
    assert (draw(photo(grey, scores.tolist())) == grey * kept).all()


def test_the_png_describes_itself() -> None:
    """A map is an 8-bit grey PNG with scale, model and photo as its text."""
    data = PhotoMapper(brightness, TILE_PX, "model00")(photo(np.zeros((TILE_PX, TILE_PX), np.uint8), [1.0]))
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "L", (TILE_PX, TILE_PX))
        assert image.info == {"scale": "1", "model_id": "model00", "image": "bridge/pier 7 é.jpg"}


def test_a_large_photo_has_a_small_map() -> None:
    """A photo of 12 million pixels keeps every fourth row and column, and a bright pixel stays bright."""
    pixels = np.zeros((3000, 4000, 3), np.uint8)
    pixels[1501, 2003] = 255
    tiles = grid(3000, 4000, TileSpec(TILE_PX, 0.0))
    scored = ScoredPhoto("a", pixels, tiles, np.ones(len(tiles), np.float32))
    grey, scale = decode_map(PhotoMapper(brightness, TILE_PX, "model00")(scored))
    assert (scale, grey.shape) == (4, (750, 1000))
    assert np.argwhere(grey).tolist() == [[375, 500]]
    assert grey.max() == 255


@given(height=st.integers(1, 20_000), width=st.integers(1, 20_000))
def test_the_scale_is_the_smallest_that_fits(height: int, width: int) -> None:
    """A map has at most a million pixels, and the next smaller scale would give more."""
    scale = scale_of(height, width)
    assert height * width <= MAP_PIXELS * scale**2
    assert scale == 1 or height * width > MAP_PIXELS * (scale - 1) ** 2


@given(grey=greys(), scale=st.integers(1, 9))
def test_reduced_and_enlarged_keeps_every_bright_pixel(grey: Grey, scale: int) -> None:
    """The shape returns, no pixel gets darker, and none gets brighter than its block."""
    small = reduce_map(grey, scale)
    back = enlarge_map(small, scale, *grey.shape)
    assert back.shape == grey.shape
    assert (back >= grey).all()
    assert small.max() == grey.max()
    assert (reduce_map(back, scale) == small).all()
