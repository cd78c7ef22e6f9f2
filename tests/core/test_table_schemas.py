"""The output tables: their columns, and the functions that make them from scored photos."""

from itertools import pairwise

import pyarrow as pa
import pytest

from pipeline.core.table_schemas import (
    CRACKS,
    IMAGES,
    IMAGES_OF,
    MEMBERS,
    READ,
    SCHEMA_VERSION,
    SCORED,
    TILES,
    make_cracks_table,
    make_images_table,
    make_tiles_table,
)


def _scored(tiles_of: dict[str, int]) -> pa.Table:
    """Make scored photos with these numbers of tiles, and one crack fewer; one without tiles has failed."""
    rows = []
    for name, tiles in tiles_of.items():
        grid = [
            {
                "row": 0,
                "col": col,
                "top_px": 0,
                "left_px": 10 * col,
                "height_px": 5,
                "width_px": 9,
                "crack_score": col / 8,
            }
            for col in range(tiles)
        ]
        lines = [{"crack": crack, "length_px": 2.5 + crack, "width_px": 7 + crack} for crack in range(tiles - 1)]
        row = {"image_id": f"id {name}", "archive": "file:///a.zip", "image": name, "occurrence": 0, "lines": lines}
        rows.append(row | ({"status": "ok", "tiles": tiles, "grid": grid} if tiles else {"status": "failed"}))
    return pa.Table.from_pylist(rows, schema=SCORED)


def test_the_columns_of_photos_are_those_of_the_contract() -> None:
    """Analysts' queries name them, so a change needs a new schema version."""
    assert {field.name: str(field.type) for field in IMAGES} == {
        "part": "int32",
        "image_id": "string",
        "archive": "string",
        "image": "string",
        "occurrence": "int32",
        "size_bytes": "int64",
        "width_px": "int32",
        "height_px": "int32",
        "captured_at": "timestamp[ms]",
        "latitude": "double",
        "longitude": "double",
        "altitude_m": "double",
        "camera": "string",
        "focal_length_mm": "double",
        "tiles": "int32",
        "crack_tiles": "int32",
        "crack_score": "float",
        "max_tile_score": "float",
        "cracks": "int32",
        "crack_length_px": "float",
        "widest_px": "float",
        "mm_per_px": "double",
        "scale_source": "string",
        "widest_mm": "float",
        "domain_score": "float",
        "status": "string",
        "failure_stage": "string",
        "failure_kind": "string",
        "failure_message": "string",
        "model_id": "string",
        "run_id": "string",
        "scored_at": "timestamp[us, tz=UTC]",
    }


def test_the_columns_of_tiles_are_those_of_the_contract() -> None:
    """As those of photos."""
    assert {field.name: str(field.type) for field in TILES} == {
        "part": "int32",
        "image_id": "string",
        "archive": "string",
        "image": "string",
        "row": "int32",
        "col": "int32",
        "left_px": "int32",
        "top_px": "int32",
        "width_px": "int32",
        "height_px": "int32",
        "crack_score": "float",
    }


def test_the_columns_of_cracks_are_those_of_the_contract() -> None:
    """As those of photos."""
    assert {field.name: str(field.type) for field in CRACKS} == {
        "part": "int32",
        "image_id": "string",
        "archive": "string",
        "image": "string",
        "crack": "int32",
        "line_wkt": "string",
        "left_px": "int32",
        "top_px": "int32",
        "width_px": "int32",
        "height_px": "int32",
        "length_px": "float",
        "orientation_deg": "float",
        "crack_width_px_p50": "float",
        "crack_width_px_p95": "float",
        "crack_width_px_max": "float",
        "width_status": "string",
        "score": "float",
        "mm_per_px": "double",
        "scale_source": "string",
        "length_mm": "float",
        "crack_width_mm_p50": "float",
        "crack_width_mm_p95": "float",
        "crack_width_mm_max": "float",
    }


def test_each_schema_version_has_the_columns_of_those_before() -> None:
    """In the same order; the last one is today's."""
    assert (sorted(IMAGES_OF), IMAGES_OF[SCHEMA_VERSION]) == ([1, 2, 3], IMAGES)
    names = [IMAGES_OF[version].names for version in sorted(IMAGES_OF)]
    assert [name for name in names[1] if name not in names[0]] == ["max_tile_score"]
    assert [name for name in names[2] if name not in names[1]] == [
        "cracks",
        "crack_length_px",
        "widest_px",
        "mm_per_px",
        "scale_source",
        "widest_mm",
    ]
    for older, newer in pairwise(names):
        assert older == [name for name in newer if name in older]


def test_a_read_photo_has_its_bytes() -> None:
    """Beside its row in the plan it has the usage and log of reading; the end of a stream has its listing instead."""
    assert READ.names == [*MEMBERS.names, "data", "ended", "read_usage", "log"]


def test_images_rows_are_made_of_scored_photos() -> None:
    """Each row gets the part, the model and the run, and no tiles."""
    images = make_images_table(_scored({"a": 2, "b": 0}), part=3, model_id="m", run_id="r")

    assert images.schema == IMAGES
    assert images.select(["part", "image", "tiles", "status", "model_id", "run_id"]).to_pylist() == [
        {"part": 3, "image": "a", "tiles": 2, "status": "ok", "model_id": "m", "run_id": "r"},
        {"part": 3, "image": "b", "tiles": None, "status": "failed", "model_id": "m", "run_id": "r"},
    ]


@pytest.mark.parametrize("tiles_of", [{"a": 1}, {"a": 3, "b": 0, "c": 2}, {"a": 0, "b": 2}, {"a": 0}, {}])
def test_tiles_are_flattened_in_order(tiles_of: dict[str, int]) -> None:
    """Every tile follows its own photo; failed photos have none, and no photos give an empty table."""
    tiles = make_tiles_table(_scored(tiles_of), part=3)

    assert tiles.schema == TILES
    assert tiles.select(["part", "image_id", "image", "col", "left_px", "width_px", "crack_score"]).to_pylist() == [
        {
            "part": 3,
            "image_id": f"id {name}",
            "image": name,
            "col": col,
            "left_px": 10 * col,
            "width_px": 9,
            "crack_score": col / 8,
        }
        for name, count in tiles_of.items()
        for col in range(count)
    ]


@pytest.mark.parametrize("tiles_of", [{"a": 1}, {"a": 3, "b": 0, "c": 2}, {"a": 0}, {}])
def test_cracks_are_flattened_in_order(tiles_of: dict[str, int]) -> None:
    """Every crack follows its own photo; photos without cracks have no row, and no photos give an empty table."""
    cracks = make_cracks_table(_scored(tiles_of), part=3)

    assert cracks.schema == CRACKS
    assert cracks.select(["part", "image_id", "image", "crack", "length_px", "width_px"]).to_pylist() == [
        {"part": 3, "image_id": f"id {name}", "image": name, "crack": n, "length_px": 2.5 + n, "width_px": 7 + n}
        for name, tiles in tiles_of.items()
        for n in range(tiles - 1)
    ]


def test_photos_of_a_run_that_does_not_measure_have_no_cracks() -> None:
    """Their column `lines` is null."""
    unmeasured = pa.Table.from_pylist([{"image_id": "a", "status": "ok"}], schema=SCORED)

    assert make_cracks_table(unmeasured, part=0).equals(CRACKS.empty_table())
    assert make_images_table(unmeasured, 0, "m", "r")["cracks"].to_pylist() == [None]


def test_tables_of_several_chunks_and_slices_are_flattened_alike() -> None:
    """Scored photos come in many small tables, joined or sliced."""
    whole = _scored({"a": 2, "b": 0, "c": 3, "d": 1})
    chunked = pa.concat_tables([_scored({"a": 2, "b": 0}), _scored({"c": 3}), _scored({"d": 1})])

    assert make_tiles_table(chunked, part=0).equals(make_tiles_table(whole, part=0))
    assert make_tiles_table(whole.slice(1, 2), part=0)["image"].to_pylist() == ["c", "c", "c"]
    assert make_tiles_table(whole.slice(2), part=0)["col"].to_pylist() == [0, 1, 2, 0]
