"""What is told of photos that are looked into."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.core.table_schemas import SCORED
from pipeline.images.decode import Pixels
from pipeline.images.tiles import Tile, TileSpec, grid
from pipeline.measurement.cracks import Crack, Widths
from pipeline.measurement.scale import Scale
from pipeline.models.batching import TileMapper
from pipeline.models.crack_maps import PhotoMapper, ScoredPhoto
from pipeline.models.model import SHIPPED_MODEL, load_model
from pipeline.scoring.inspection import PhotoInspector, Wanted, describe_cracks
from pipeline.scoring.scorer import ScoreRule, make_inspector
from tests.helpers.brightness_engine import BrightnessEngine, map_brightness

LINE = np.array([[10.0, 20.0], [40.0, 60.0]])
KNOWN = Crack((LINE,), 50.0, 53.1, Widths("ok", 1.5, 2.5, 3.0), 0.9)
THIN = Crack((LINE + 5,), 80.0, 53.1, Widths("too_thin"), 0.8)


def test_cracks_are_told_in_pixels_and_millimetres() -> None:
    """Millimetres are pixels times the scale; widths that are unknown are so in both."""
    columns = describe_cracks([THIN, KNOWN], Scale(0.5, "laser"))
    assert {name: columns[name] for name in ("cracks", "crack_length_px", "widest_px", "widest_mm")} == {
        "cracks": 2, "crack_length_px": 130.0, "widest_px": 3.0, "widest_mm": 1.5,
    }  # fmt: skip
    thin, known = columns["lines"]
    assert (thin["crack"], thin["width_status"], thin["length_mm"]) == (0, "too_thin", 40.0)
    assert (thin["crack_width_px_p50"], thin["crack_width_mm_max"]) == (None, None)
    assert (known["crack"], known["crack_width_mm_p50"], known["crack_width_mm_p95"]) == (1, 0.75, 1.25)
    assert (known["left_px"], known["top_px"], known["width_px"], known["height_px"]) == (10, 20, 30, 40)
    assert (known["mm_per_px"], known["scale_source"]) == (0.5, "laser")
    assert known.keys() == {field.name for field in SCORED.field("lines").type.value_type}


def test_without_a_scale_there_are_no_millimetres() -> None:
    """Neither of the photo nor of its cracks."""
    columns = describe_cracks([KNOWN], None)
    assert [columns[name] for name in ("mm_per_px", "scale_source", "widest_mm")] == [None] * 3
    assert [value for name, value in columns["lines"][0].items() if "mm" in name] == [None] * 5


@pytest.mark.parametrize(("maps", "cracks"), [(True, False), (False, True), (True, True)])
def test_only_what_is_wanted_is_made(maps: bool, cracks: bool) -> None:  # noqa: FBT001 - cases
    """A bright stripe is a crack to the mapper of brightness."""
    pixels = np.zeros((128, 128, 3), np.uint8)
    pixels[60:64] = 255
    photo = ScoredPhoto("a.png", pixels, [Tile(0, 0, 0, 0, 128, 128)], np.ones(1, np.float32))
    inspect = PhotoInspector(PhotoMapper(map_brightness, 128, "model00"), 0.5, Wanted(maps, cracks))
    columns = inspect(photo, None)
    assert ("crack_map" in columns, columns.get("cracks")) == (maps, 1 if cracks else None)


def test_the_shipped_model_looks_at_sure_tiles_in_their_own_size() -> None:
    """From the score on at which no closer look follows; with an engine of its own, one tile at a time."""
    model = load_model(SHIPPED_MODEL)
    sizes = list[bool]()

    class Engine(BrightnessEngine):
        def make_mapper(self, *, enlarged: bool) -> TileMapper:
            def map_tiles(tiles: Pixels) -> NDArray[np.float32]:
                sizes.extend([enlarged] * len(tiles))
                return map_brightness(tiles)

            return map_tiles

    pixels = np.full((64, 192, 3), 255, np.uint8)
    photo = ScoredPhoto("a.png", pixels, grid(64, 192, TileSpec(64, 0)), np.array([0.9, 0.99, 0.999], np.float32))
    rule = ScoreRule(TileSpec(64, 0), model.card.threshold, wanted=Wanted(cracks=True))
    make_inspector(Engine(0), model, "cpu", rule)(photo, None)
    assert sizes == [True, True, False]


def test_tiles_that_touch_no_cracked_one_are_not_looked_at() -> None:
    """And of those that do, only likely ones are."""
    seen = list[int]()

    def map_tiles(tiles: Pixels) -> NDArray[np.float32]:
        seen.append(len(tiles))
        return map_brightness(tiles)

    photo = ScoredPhoto(
        "a.png", np.zeros((64, 64 * 7, 3), np.uint8), grid(64, 64 * 7, TileSpec(64, 0)),
        np.array([0.2, 0.9, 0.2, 0.2, 0.0, 0.9, 0.0], np.float32),
    )  # fmt: skip
    PhotoInspector(PhotoMapper(map_tiles, 64, "model00", batch_tiles=1), 0.5, Wanted(cracks=True))(photo, None)
    assert sum(seen) == 4
