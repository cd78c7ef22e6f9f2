"""What the rows of a dataset promise: each promise a sentence, and SQL that finds what breaks it.

The SQL reads these tables. `verify` makes four: `image_files`, `tile_files` (the committed rows, each with its
`filename`), `plan_files`, and `files` (filename, kind, part, token); and `run` (model_id, threshold). `TABLES` makes
the others of them. What a query returns is a name for people; no row, no fault.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import pyarrow as pa

from pipeline.images.tiles import TileSpec, grid

SIZES_AT_ONCE = 1000
"""Photo sizes whose grids are held at once: about 100,000 boxes."""


@dataclass(frozen=True)
class Invariant:
    """Something that holds for every row."""

    sentence: str
    broken_by: str
    """SQL: one column, `name`, of the files or photos that break it."""
    of_finished: bool = False
    """Whether a dataset may break it until it is finished."""
    of_unsealed: bool = False
    """Whether `compact` may break it."""


TABLES = (
    # Read once: on a remote store every further look at thousands of files costs minutes.
    "CREATE TEMP TABLE planned AS SELECT image_id, archive, image, occurrence FROM plan_files",
    "CREATE TEMP TABLE image_rows AS SELECT * FROM image_files",
    # A photo's tiles in one row. Boxes are compared as the sum of their hashes: no sorting of millions of tiles.
    """
    CREATE TEMP TABLE cut AS
    SELECT filename, part, image_id, any_value(image) AS image, count(*) AS tiles,
           max(crack_score) AS crack_score, count_if(crack_score >= threshold) AS crack_tiles,
           count_if((crack_score BETWEEN 0 AND 1) IS NOT TRUE) AS improbable,
           min(hash(archive, image)) AS first_address, max(hash(archive, image)) AS last_address,
           sum(hash("row", col, top_px, left_px, height_px, width_px)) AS boxes
    FROM tile_files CROSS JOIN run GROUP BY filename, part, image_id
    """,
    # The grid of each size of photo, in one row.
    "CREATE TEMP TABLE grids (height_px INTEGER, width_px INTEGER, tiles BIGINT, boxes HUGEINT)",
)
"""Made in this order before any promise is checked."""

SIZES = "SELECT DISTINCT height_px, width_px FROM image_rows WHERE status = 'ok' AND height_px > 0 AND width_px > 0"

ADD_GRIDS = """
    INSERT INTO grids
    SELECT photo_height_px, photo_width_px, count(*), sum(hash("row", col, top_px, left_px, height_px, width_px))
    FROM boxes GROUP BY ALL
"""

COUNTS = "SELECT count(*), count_if(status = 'failed') FROM image_rows"
"""Photos, and failed ones."""

INVARIANTS = (
    Invariant(
        "Every row stands in the file of its commit.",
        """
        SELECT filename AS name
        FROM (SELECT filename, part FROM image_rows UNION SELECT filename, part FROM cut) AS found
        JOIN files USING (filename) WHERE found.part IS DISTINCT FROM files.part
        """,
    ),
    Invariant(
        "Every row names the run that committed it.",
        "SELECT image AS name FROM image_rows JOIN files USING (filename) WHERE run_id IS DISTINCT FROM token",
        of_unsealed=True,
    ),
    Invariant(
        "Every row names the model of run.json.",
        "SELECT image AS name FROM image_rows CROSS JOIN run WHERE image_rows.model_id IS DISTINCT FROM run.model_id",
    ),
    Invariant(
        "No photo has two rows.",
        "SELECT any_value(image) AS name FROM image_rows GROUP BY image_id HAVING count(*) > 1",
    ),
    Invariant(
        "Every planned photo has its row.",
        "SELECT image AS name FROM (SELECT image_id, any_value(image) AS image FROM planned GROUP BY image_id) "
        "ANTI JOIN image_rows USING (image_id) WHERE image_id <> ''",
        of_finished=True,
    ),
    Invariant(
        "Every archive's photos are known.",
        "SELECT archive AS name FROM planned WHERE coalesce(image_id, '') = ''",
        of_finished=True,
    ),
    Invariant(
        "Every row is of a planned photo.",  # or of an archive that the plan takes them from when it has been read
        """
        SELECT image AS name FROM image_rows ANTI JOIN planned USING (image_id, archive, image, occurrence)
        WHERE archive NOT IN (SELECT archive FROM planned WHERE coalesce(image_id, '') = '')
        """,
    ),
    Invariant(
        "Archives are canonical URLs, and image_id is made of the photo's address.",
        r"""
        SELECT archive || ' ' || image AS name FROM image_rows
        WHERE CASE WHEN starts_with(archive, 'file://')
                   THEN regexp_full_match(archive, 'file://(/|(/[^/]+)+)', 's')
                        AND NOT regexp_matches(archive, '/\.\.?(/|$)')
                   ELSE regexp_full_match(archive, '[a-z][a-z0-9+.-]*://.*[^/]', 's') END IS NOT TRUE
           OR (NOT contains(image, '\')  -- its bytes are not known where some were no UTF-8
               AND image_id <> substr(sha256(archive || '/' || image || chr(0) || occurrence), 1, 16)
               AND image_id <> substr(sha256(archive || '!/' || image || chr(0) || occurrence), 1, 16))
        """,
    ),
    Invariant(
        "Failed photos stand in failed files, with a reason and no measure.",
        """
        SELECT image AS name FROM image_rows JOIN files USING (filename)
        WHERE (status = 'failed' OR kind = 'failed')
          AND (status = 'failed' AND kind = 'failed' AND failure_stage IS NOT NULL AND failure_kind IS NOT NULL
               AND coalesce(width_px, height_px, tiles, crack_tiles) IS NULL
               AND coalesce(crack_score, domain_score, latitude, longitude, altitude_m, focal_length_mm) IS NULL
               AND captured_at IS NULL AND camera IS NULL) IS NOT TRUE
        """,
    ),
    Invariant(
        "All other photos are ok, with size, tiles and scores, and no reason.",
        """
        SELECT image AS name FROM image_rows JOIN files USING (filename)
        WHERE status IS DISTINCT FROM 'failed' AND kind = 'part'
          AND (status = 'ok' AND height_px > 0 AND width_px > 0 AND tiles > 0 AND crack_tiles >= 0
               AND crack_score IS NOT NULL
               AND coalesce(failure_stage, failure_kind, failure_message) IS NULL) IS NOT TRUE
        """,
    ),
    Invariant(
        "Every tile is of a photo of its commit.",
        """
        SELECT cut.image AS name FROM cut LEFT JOIN image_rows i USING (part, image_id)
        WHERE (i.status = 'ok' AND first_address = last_address
               AND first_address = hash(i.archive, i.image)) IS NOT TRUE
        """,
    ),
    Invariant(
        "Every photo has as many tiles as its row says.",
        "SELECT i.image AS name FROM image_rows i LEFT JOIN cut USING (part, image_id) "
        "WHERE status = 'ok' AND coalesce(cut.tiles, 0) <> i.tiles",
    ),
    Invariant(
        "Every photo's tiles are the grid that covers it.",
        """
        SELECT i.image AS name FROM image_rows i JOIN cut USING (part, image_id)
        LEFT JOIN grids USING (height_px, width_px)
        WHERE status = 'ok' AND cut.tiles = i.tiles
          AND (cut.tiles = grids.tiles AND cut.boxes = grids.boxes) IS NOT TRUE
        """,
    ),
    Invariant(
        "Every photo's crack_score is the highest of its tiles, and crack_tiles those at or over the threshold.",
        """
        SELECT i.image AS name FROM image_rows i JOIN cut USING (part, image_id)
        WHERE status = 'ok' AND cut.tiles = i.tiles
          AND (cut.crack_score = i.crack_score AND cut.crack_tiles = i.crack_tiles) IS NOT TRUE
        """,
    ),
    Invariant("Every score is a probability.", "SELECT image AS name FROM cut WHERE improbable > 0"),
)
"""In the order in which they are checked and listed."""


def boxes(sizes: Iterable[tuple[int, int]], spec: TileSpec) -> Iterator[pa.Table]:
    """Make tables of the boxes that the photos of each size must have; some sizes at a time."""
    columns = ("photo_height_px", "photo_width_px", "row", "col", "top_px", "left_px", "height_px", "width_px")
    declared = pa.schema([(name, pa.int32()) for name in columns])
    sizes = iter(sizes)
    while some := [*islice(sizes, SIZES_AT_ONCE)]:
        rows = [(*size, *tile) for size in some for tile in grid(*size, spec)]
        yield pa.table([pa.array(column, pa.int32()) for column in zip(*rows, strict=True)], schema=declared)
