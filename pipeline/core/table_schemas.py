"""The columns of every table of crackscan: declared here, never inferred.

Analysts read `IMAGES` and `TILES`. `MEMBERS` is the plan, and `SCORED` what a scoring actor gives the writer; the
functions below make the output tables from it. `compare` writes `CHANGES`.
"""

import pyarrow as pa
import pyarrow.compute as pc

SCHEMA_VERSION = 2

_ADDRESS = [("archive", pa.string()), ("image", pa.string()), ("occurrence", pa.int32())]
_FAILURE = [("failure_stage", pa.string()), ("failure_kind", pa.string()), ("failure_message", pa.string())]

_PLACE = [
    ("path", pa.binary()),  # the raw bytes of the name; `image` spells it for people
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
"""The plan, see `archives.listing`. `entry` is the kind of a row:

    photo    a photo; or, with a failure, an unreadable part of an archive
    stream   an archive that shows its photos only when read from front to back; it has no `image_id`

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
"""What a step used, see `core.usage`."""

_READING = [("read_usage", USAGE), ("log", pa.list_(pa.string()))]

READ = pa.schema([*MEMBERS, ("data", pa.large_binary()), ("ended", pa.large_binary()), *_READING])
"""A photo on its way to a scorer, with its bytes; or the end of a stream, which has only `archive` and, in `ended`, the
listing (`archives.listing`). Either comes with the usage and the log lines of reading it."""

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
        ("max_tile_score", pa.float32()),
        ("domain_score", pa.float32()),
        ("status", pa.string()),
        *_FAILURE,
        ("model_id", pa.string()),
        ("run_id", pa.string()),
        ("scored_at", pa.timestamp("us", tz="UTC")),
    ]
)
"""One row per photo."""

IMAGES_OF = {1: IMAGES.remove(IMAGES.get_field_index("max_tile_score")), SCHEMA_VERSION: IMAGES}
"""The same by schema version. A dataset keeps the one that it was begun in; in the first, `crack_score` was always the
highest score of a tile."""

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

FOLDERS = pa.schema(
    [
        ("archive", pa.string()),
        ("folder", pa.string()),
        *[(name, pa.int64()) for name in ("photos", "failed", "crack_photos", "tiles", "crack_tiles")],
        ("crack_score", pa.float32()),
    ]
)
"""One row per folder of each archive: its photos, those over the threshold, and the highest score."""

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
"""One row per photo of either of two datasets, see `reports.score_changes`. Columns of dataset A end in `_a`, of
dataset B in `_b`; they are null where that dataset lacks the photo. `difference` is score B minus score A."""

_COMMIT_COLUMNS = ("part", "model_id", "run_id")

SCORED = pa.schema(
    [
        *[field for field in IMAGES if field.name not in _COMMIT_COLUMNS],
        ("grid", pa.list_(pa.struct([*_GRID, ("crack_score", pa.float32())]))),
        ("crack_map", pa.large_binary()),
        ("ended", pa.large_binary()),
        *_READING,
        ("decode_usage", USAGE),
        ("score_usage", USAGE),
        ("map_usage", USAGE),
    ]
)
"""A photo from a scoring actor: its `IMAGES` columns, all its tiles in one list, and its crack map as PNG if the run
makes maps; or the end of a stream, as in `READ`. The usage columns never reach the dataset's tables."""


def make_images_table(
    scored: pa.Table, part: int, model_id: str, run_id: str, version: int = SCHEMA_VERSION
) -> pa.Table:
    """Make `IMAGES` rows of scored photos, in a version of the schema."""
    constants = {"part": part, "model_id": model_id, "run_id": run_id}
    columns = [
        pa.array([constants[field.name]] * scored.num_rows, field.type)
        if field.name in constants
        else scored[field.name]
        for field in IMAGES_OF[version]
    ]
    return pa.table(columns, schema=IMAGES_OF[version])


def make_tiles_table(scored: pa.Table, part: int) -> pa.Table:
    """Make `TILES` rows of scored photos, in their order, row by row of each grid.

    Shapes: (photos) → (sum of their tiles).
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
