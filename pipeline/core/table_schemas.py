"""The columns of every table of crackscan: declared here, never inferred.

Analysts read `IMAGES`, `TILES` and `CRACKS`. `MEMBERS` is the plan, and `SCORED` what a scoring actor gives the writer;
the functions below make the output tables from it. `compare` writes `CHANGES` and `CRACK_CHANGES`.
"""

import pyarrow as pa
import pyarrow.compute as pc

SCHEMA_VERSION = 3

CRACKS_SINCE = 3
"""The schema version from which on a dataset has cracks."""

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
        ("cracks", pa.int32()),
        ("crack_length_px", pa.float32()),
        ("widest_px", pa.float32()),
        ("mm_per_px", pa.float64()),
        ("scale_source", pa.string()),
        ("widest_mm", pa.float32()),
        ("domain_score", pa.float32()),
        ("status", pa.string()),
        *_FAILURE,
        ("model_id", pa.string()),
        ("run_id", pa.string()),
        ("scored_at", pa.timestamp("us", tz="UTC")),
    ]
)
"""One row per photo. The columns from `cracks` to `widest_mm` are null where the run does not measure cracks."""

CRACK_FACTS = ("cracks", "crack_length_px", "widest_px", "mm_per_px", "scale_source", "widest_mm")
"""Columns of `IMAGES` that tell of its cracks."""
_SINCE = {"max_tile_score": 2, **dict.fromkeys(CRACK_FACTS, CRACKS_SINCE)}

IMAGES_OF = {
    version: pa.schema([field for field in IMAGES if _SINCE.get(field.name, 1) <= version])
    for version in range(1, SCHEMA_VERSION + 1)
}
"""The same by schema version. A dataset keeps the one that it was begun in; in the first, `crack_score` was always the
highest score of a tile."""

_OF_PHOTO = [("part", pa.int32()), ("image_id", pa.string()), ("archive", pa.string()), ("image", pa.string())]

TILES = pa.schema(
    [
        *_OF_PHOTO,
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

_LINE = [
    ("crack", pa.int32()),
    ("line_wkt", pa.string()),
    ("left_px", pa.int32()),
    ("top_px", pa.int32()),
    ("width_px", pa.int32()),
    ("height_px", pa.int32()),
    ("length_px", pa.float32()),
    ("orientation_deg", pa.float32()),
    ("crack_width_px_p50", pa.float32()),
    ("crack_width_px_p95", pa.float32()),
    ("crack_width_px_max", pa.float32()),
    ("width_status", pa.string()),
    ("score", pa.float32()),
    ("mm_per_px", pa.float64()),
    ("scale_source", pa.string()),
    ("length_mm", pa.float32()),
    ("crack_width_mm_p50", pa.float32()),
    ("crack_width_mm_p95", pa.float32()),
    ("crack_width_mm_max", pa.float32()),
]

CRACKS = pa.schema([*_OF_PHOTO, *_LINE])
"""One row per crack: its line as WKT and the box around it, in pixels of the upright photo; its length, direction,
widths and score. Widths are null unless `width_status` is `ok`, millimetres where the photo has no scale."""

RASTERS = pa.schema(
    [
        ("archive", pa.string()),
        ("width_px", pa.int32()),
        ("height_px", pa.int32()),
        ("crs", pa.string()),
        ("geotransform", pa.list_(pa.float64())),
        ("nodata", pa.float64()),
        ("overviews", pa.list_(pa.int32())),
    ]
)
"""One row per raster, see `dataset.rasters`: its CRS as WKT and its geotransform, six numbers in GDAL's order, both
null where it has none; the value of pixels that show nothing; how many times smaller each of its overviews is."""

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

_OF_PAIR = [(f"{name}_{side}", pa.string()) for name in ("image_id", "archive", "image") for side in "ab"]
_GROWTH = ("length_{}_{}", "crack_width_{}_p50_{}", "crack_width_{}_p95_{}")

CRACK_CHANGES = pa.schema(
    [
        ("change", pa.string()),
        *_OF_PAIR,
        *[(f"cracks_{side}", pa.list_(pa.int32())) for side in "ab"],
        *[(name.format("px", side), pa.float32()) for name in _GROWTH for side in "ab"],
        *[(f"width_status_{side}", pa.string()) for side in "ab"],
        *[(name, pa.float32()) for name in ("longer_by_px", "wider_by_px", "length_error_px", "width_error_px")],
        ("mm_per_px", pa.float64()),
        ("scale_source", pa.string()),
        *[(name.format("mm", side), pa.float32()) for name in _GROWTH for side in "ab"],
        *[(name, pa.float32()) for name in ("longer_by_mm", "wider_by_mm")],
        ("overlap", pa.float32()),
        ("registration_error_px", pa.float32()),
        ("reason", pa.string()),
    ]
)
"""One row per crack of two photos of one place, or per cracks that belong together, see `reports.crack_growth`. Columns
of dataset A end in `_a`, of dataset B in `_b`. All pixels are those of the photo in A. `change` is `unknown` where the
two photos could not be laid over each other, which `reason` explains."""

_COMMIT_COLUMNS = ("part", "model_id", "run_id")

SCORED = pa.schema(
    [
        *[field for field in IMAGES if field.name not in _COMMIT_COLUMNS],
        ("grid", pa.list_(pa.struct([*_GRID, ("crack_score", pa.float32())]))),
        ("lines", pa.list_(pa.struct(_LINE))),
        ("crack_map", pa.large_binary()),
        ("ended", pa.large_binary()),
        *_READING,
        ("decode_usage", USAGE),
        ("score_usage", USAGE),
        ("map_usage", USAGE),
    ]
)
"""A photo from a scoring actor: its `IMAGES` columns, all its tiles in one list, all its cracks in another if the run
measures them, and its crack map as PNG if the run makes maps; or the end of a stream, as in `READ`. The usage columns
never reach the dataset's tables."""


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
    return _flatten(scored, part, "grid", TILES)


def make_cracks_table(scored: pa.Table, part: int) -> pa.Table:
    """Make `CRACKS` rows of scored photos, in their order.

    Shapes: (photos) → (sum of their cracks).
    """
    return _flatten(scored, part, "lines", CRACKS)


def _flatten(scored: pa.Table, part: int, column: str, declared: pa.Schema) -> pa.Table:
    """Make a row of each item in the lists of a column, with the names of its photo."""
    scored = scored.combine_chunks()
    lists = scored[column].combine_chunks() if scored.num_rows else pa.array([], SCORED.field(column).type)
    photo, item = pc.list_parent_indices(lists), pc.list_flatten(lists)
    columns = {"part": pa.repeat(pa.scalar(part, pa.int32()), len(item))}
    columns |= {name: scored[name].take(photo) for name in ("image_id", "archive", "image")}
    columns |= {field.name: pc.struct_field(item, field.name) for field in item.type}
    return pa.table([columns[name] for name in declared.names], schema=declared)
