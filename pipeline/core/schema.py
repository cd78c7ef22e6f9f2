"""Every table of crackscan, column by column: declared here, never inferred.

`images` and `tiles` are the output that analysts read. `members` is the plan, `scored` what a scoring actor hands to
the writer; the functions below make the output tables from those. `CHANGES` is what `compare` writes.
"""

import pyarrow as pa
import pyarrow.compute as pc

SCHEMA_VERSION = 1

_ADDRESS = [("archive", pa.string()), ("image", pa.string()), ("occurrence", pa.int32())]
_FAILURE = [("failure_stage", pa.string()), ("failure_kind", pa.string()), ("failure_message", pa.string())]

_PLACE = [
    ("path", pa.binary()),  # the name as its raw bytes; `image` is its spelling for people
    ("size_bytes", pa.int64()),
    ("position", pa.int64()),
    ("stored_bytes", pa.int64()),
    ("method", pa.int32()),
    ("crc32", pa.int64()),
]

MEMBERS = pa.schema(
    [
        ("entry", pa.string()),
        ("image_id", pa.string()),
        *_ADDRESS,
        *_PLACE,
        ("version", pa.string()),
        ("inner", pa.struct(_PLACE)),
        *_FAILURE,
    ]
)
"""The plan, see `listing`. `entry` tells what a row stands for:

    photo    a photo; or, with a failure, what of an archive cannot be read
    stream   an archive whose photos are known only once it has been read from front to back; it has no `image_id`

`inner` is the nested archive that holds the photo, null for most.
"""

USAGE = pa.struct(
    [
        ("wall_s", pa.float64()),
        ("cpu_s", pa.float64()),
        ("gpu_s", pa.float64()),
        ("read_bytes", pa.int64()),
        ("retries", pa.int32()),
        ("peak_bytes", pa.int64()),
    ]
)
"""What a step of the work took, see `effort`."""

_OF_READING = [("read_effort", USAGE), ("log", pa.list_(pa.string()))]

READ = pa.schema([*MEMBERS, ("data", pa.large_binary()), ("ended", pa.large_binary()), *_OF_READING])
"""A photo on its way to a scorer, with its bytes; or the end of a stream, which has nothing but `archive` and `ended`:
what it held, as `listing.encoded`. Either comes with what reading it took, and what was logged meanwhile."""

_GRID = [(name, pa.int32()) for name in ("row", "col", "top_px", "left_px", "height_px", "width_px")]
_FACTS = [
    ("captured_at", pa.timestamp("ms")),
    ("latitude", pa.float64()),
    ("longitude", pa.float64()),
    ("altitude_m", pa.float64()),
    ("camera", pa.string()),
    ("focal_length_mm", pa.float64()),
]

IMAGES = pa.schema(
    [
        ("part", pa.int32()),
        ("image_id", pa.string()),
        *_ADDRESS,
        ("size_bytes", pa.int64()),
        ("width_px", pa.int32()),
        ("height_px", pa.int32()),
        *_FACTS,
        ("tiles", pa.int32()),
        ("crack_tiles", pa.int32()),
        ("crack_score", pa.float32()),
        ("domain_score", pa.float32()),
        ("status", pa.string()),
        *_FAILURE,
        ("model_id", pa.string()),
        ("run_id", pa.string()),
        ("scored_at", pa.timestamp("us", tz="UTC")),
    ]
)
"""One row per photo."""

TILES = pa.schema(
    [
        ("part", pa.int32()),
        ("image_id", pa.string()),
        ("archive", pa.string()),
        ("image", pa.string()),
        ("row", pa.int32()),
        ("col", pa.int32()),
        ("left_px", pa.int32()),
        ("top_px", pa.int32()),
        ("width_px", pa.int32()),
        ("height_px", pa.int32()),
        ("crack_score", pa.float32()),
    ]
)
"""One row per tile: the calibrated probability of a crack, in [0, 1]."""

CHANGES = pa.schema(
    [
        ("change", pa.string()),
        ("distance_m", pa.float64()),
        *[(f"{name}_{side}", pa.string()) for name in ("image_id", "archive", "image") for side in "ab"],
        *[(f"crack_score_{side}", pa.float32()) for side in "ab"],
        ("difference", pa.float64()),
        *[(f"{name}_{side}", pa.int32()) for name in ("crack_tiles", "tiles") for side in "ab"],
        *[(f"captured_at_{side}", pa.timestamp("ms")) for side in "ab"],
        ("latitude", pa.float64()),
        ("longitude", pa.float64()),
    ]
)
"""One row per photo that two datasets have in common, or only one of them has, see `changes`: the columns of the one
end in `_a`, of the other in `_b`, and are null where it has no such photo. `difference` is score B minus score A."""

_OF_THE_COMMIT = ("part", "model_id", "run_id")

SCORED = pa.schema(
    [
        *[field for field in IMAGES if field.name not in _OF_THE_COMMIT],
        ("grid", pa.list_(pa.struct([*_GRID, ("crack_score", pa.float32())]))),
        ("crack_map", pa.large_binary()),
        ("ended", pa.large_binary()),
        *_OF_READING,
        ("decode_effort", USAGE),
        ("score_effort", USAGE),
    ]
)
"""A photo as a scoring actor hands it over: its `images` columns, all its tiles in one list, and its crack map as PNG
where one was asked for; or the end of a stream, as in `READ`. What it took never reaches the dataset's tables."""


def images_table(scored: pa.Table, part: int, model_id: str, run_id: str) -> pa.Table:
    """Make `images` rows of scored photos."""
    constants = {"part": part, "model_id": model_id, "run_id": run_id}
    columns = [
        pa.array([constants[field.name]] * scored.num_rows, field.type)
        if field.name in constants
        else scored[field.name]
        for field in IMAGES
    ]
    return pa.table(columns, schema=IMAGES)


def tiles_table(scored: pa.Table, part: int) -> pa.Table:
    """Make `tiles` rows of scored photos, in their order, row by row of each grid.

    Shape: (photos) → (sum of their tiles).
    """
    scored = scored.combine_chunks()
    grid = scored["grid"].combine_chunks() if scored.num_rows else pa.array([], SCORED.field("grid").type)
    photo, tile = pc.list_parent_indices(grid), pc.list_flatten(grid)
    columns = {
        "part": pa.array([part] * len(tile), pa.int32()),
        **{name: scored[name].take(photo) for name in ("image_id", "archive", "image")},
        **{name: pc.struct_field(tile, name) for name in (*(name for name, _ in _GRID), "crack_score")},
    }
    return pa.table([columns[name] for name in TILES.names], schema=TILES)
