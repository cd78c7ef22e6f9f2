"""The invariants of a dataset's rows: for each a sentence, and SQL that finds the files or photos that break it.

`verify` creates the tables `image_files`, `tile_files` and `crack_files` (the committed rows, each with its
`filename`), `plan_files`, `files` (filename, kind, part, token), `run` (model_id, threshold), `forgotten` (image_id
of photos that are being removed), and of rasters `rasters`, `joined` (their cracks, joined over windows) and
`grid_lines` (`rasters.make_grid_lines`). `TABLES` derives the others from them. A query returns names for people; no
row means no fault.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import pyarrow as pa

from pipeline.images.tiles import TileSpec, grid

SIZES_AT_ONCE = 1000
"""Photo sizes whose grids are in memory at once: about 100,000 boxes."""


@dataclass(frozen=True)
class Invariant:
    """A fact that holds for every row."""

    sentence: str
    broken_by: str
    """SQL with one column, `name`: the files or photos that break it."""
    only_finished: bool = False
    """Whether it holds for finished datasets only."""
    only_unsealed: bool = False
    """Whether it does not hold for what `compact` writes."""
    of_rasters: bool = False
    """Whether it needs the files of rasters, which may be damaged while all others are sound."""


TABLES = (
    # Read once: on a remote store reading thousands of files again takes minutes.
    "CREATE TEMP TABLE planned AS SELECT image_id, archive, image, occurrence FROM plan_files",
    "CREATE TEMP TABLE image_rows AS SELECT * FROM image_files",
    # A photo's tiles in one row. The sum of their hashes compares boxes without sorting millions of tiles.
    """
    CREATE TEMP TABLE cut AS
    SELECT filename, part, image_id, any_value(image) AS image, count(*) AS tiles,
           max(crack_score) AS crack_score, count_if(crack_score >= threshold) AS crack_tiles,
           count_if((crack_score BETWEEN 0 AND 1) IS NOT TRUE) AS improbable,
           min(hash(archive, image)) AS first_address, max(hash(archive, image)) AS last_address,
           sum(hash("row", col, top_px, left_px, height_px, width_px)) AS boxes
    FROM tile_files CROSS JOIN run GROUP BY filename, part, image_id
    """,
    """
    CREATE TEMP TABLE crack_rows AS
    SELECT * EXCLUDE (line_wkt), starts_with(line_wkt, 'MULTILINESTRING') AS has_line FROM crack_files
    """,
    # A photo's cracks in one row.
    """
    CREATE TEMP TABLE measured AS
    SELECT filename, part, image_id, any_value(image) AS image, count(*) AS cracks, sum(length_px) AS length_px,
           min(crack) AS first, max(crack) AS last, count(DISTINCT crack) AS numbers,
           min(hash(archive, image)) AS first_address, max(hash(archive, image)) AS last_address
    FROM crack_rows GROUP BY filename, part, image_id
    """,
    # Windows of rasters, whose tiles and cracks are in pixels of the raster; their names tell where they are.
    r"""
    CREATE TEMP TABLE windows AS
    SELECT part, image_id, archive, image, height_px, width_px, tiles,
           TRY_CAST(regexp_extract(image, '^r(\d+)c\d+$', 1) AS BIGINT) AS top_px,
           TRY_CAST(regexp_extract(image, '^r\d+c(\d+)$', 1) AS BIGINT) AS left_px
    FROM image_rows WHERE status = 'ok' AND regexp_matches(lower(archive), '\.tiff?$')
      AND regexp_matches(image, '^r\d+c\d+$')
    """,
    # With the failed ones, and those whose names say nothing; one without a name is a raster that could not be opened.
    r"""
    CREATE TEMP TABLE named AS
    SELECT archive, image, TRY_CAST(regexp_extract(image, '^r(\d+)c\d+$', 1) AS BIGINT) AS top_px,
           TRY_CAST(regexp_extract(image, '^r\d+c(\d+)$', 1) AS BIGINT) AS left_px
    FROM image_rows SEMI JOIN rasters USING (archive) WHERE image <> ''
    """,
    # Windows lie in rows and columns: each reaches to the tile before the next one.
    """
    CREATE TEMP TABLE bands AS
    WITH begins AS (SELECT DISTINCT archive, 'row' AS axis, top_px AS start_px FROM named UNION ALL
                    SELECT DISTINCT archive, 'col', left_px FROM named),
         ends AS (SELECT archive, axis, max(number) AS number FROM grid_lines GROUP BY ALL),
         found AS (SELECT archive, axis, g.start_px, coalesce(
                       lead(g.number) OVER (PARTITION BY archive, axis ORDER BY g.number) - 1, ends.number) AS number
                   FROM begins JOIN grid_lines g USING (archive, axis, start_px) JOIN ends USING (archive, axis))
    SELECT archive, axis, found.start_px, g.end_px FROM found JOIN grid_lines g USING (archive, axis, number)
    """,
    """
    CREATE TEMP TABLE joined_rows AS
    SELECT * EXCLUDE (line_wkt), starts_with(line_wkt, 'MULTILINESTRING') AS has_line FROM joined
    """,
    "CREATE TEMP VIEW all_cracks AS FROM crack_rows UNION ALL FROM joined_rows",
    """
    CREATE TEMP TABLE window_tiles AS
    SELECT t.part, t.image_id, t.archive, t.image, t."row", t.col, t.top_px, t.left_px, t.height_px, t.width_px
    FROM tile_files t WHERE t.archive IN (SELECT DISTINCT archive FROM windows)
    """,
    # The grid of each photo size in one row.
    "CREATE TEMP TABLE grids (height_px INTEGER, width_px INTEGER, tiles BIGINT, boxes HUGEINT)",
)
"""Statements that create the tables, in this order."""

SIZES = (
    "SELECT DISTINCT height_px, width_px FROM image_rows WHERE status = 'ok' AND height_px > 0 AND width_px > 0 "
    "AND image_id NOT IN (SELECT image_id FROM windows)"
)

ADD_GRIDS = """
    INSERT INTO grids
    SELECT photo_height_px, photo_width_px, count(*), sum(hash("row", col, top_px, left_px, height_px, width_px))
    FROM boxes GROUP BY ALL
"""

COUNTS = "SELECT count(*), count_if(status = 'failed') FROM image_rows"
"""Numbers of photos and of failed photos."""

_OF_A_PHOTO = """
    SELECT found.image AS name FROM {table} found LEFT JOIN image_rows i USING (part, image_id)
    WHERE (i.image_id IS NOT NULL OR found.image_id NOT IN (FROM forgotten))
      AND (i.status = 'ok' AND first_address = last_address
           AND first_address = hash(i.archive, i.image)) IS NOT TRUE
"""

_PX = ("length_px", "crack_width_px_p50", "crack_width_px_p95", "crack_width_px_max")
_IN_MM = """
    CASE WHEN {px} IS NULL OR mm_per_px IS NULL THEN {mm} IS NULL
         ELSE abs({mm} - {px} * mm_per_px) <= 1e-4 * {px} * mm_per_px END
"""

INVARIANTS = (
    Invariant(
        "Every row is in the file of its commit.",
        """
        SELECT filename AS name
        FROM (SELECT filename, part FROM image_rows UNION SELECT filename, part FROM cut
              UNION SELECT filename, part FROM measured) AS found
        JOIN files USING (filename) WHERE found.part IS DISTINCT FROM files.part
        """,
    ),
    Invariant(
        "Every row names the run that committed it.",
        "SELECT image AS name FROM image_rows JOIN files USING (filename) WHERE run_id IS DISTINCT FROM token",
        only_unsealed=True,
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
        only_finished=True,
    ),
    Invariant(
        "Every archive's photos are known.",
        "SELECT archive AS name FROM planned WHERE coalesce(image_id, '') = ''",
        only_finished=True,
    ),
    Invariant(
        "Every row is of a planned photo.",  # or of a stream, whose photos the plan gets when it has been read
        """
        SELECT image AS name FROM image_rows ANTI JOIN planned USING (image_id, archive, image, occurrence)
        WHERE archive NOT IN (SELECT archive FROM planned WHERE coalesce(image_id, '') = '')
        """,
    ),
    Invariant(
        "Archives are canonical URLs, and image_id is the hash of the photo's address.",
        r"""
        SELECT archive || ' ' || image AS name FROM image_rows
        WHERE CASE WHEN starts_with(archive, 'file://')
                   THEN regexp_full_match(archive, 'file://(/|(/[^/]+)+)', 's')
                        AND NOT regexp_matches(archive, '/\.\.?(/|$)')
                   ELSE regexp_full_match(archive, '[a-z][a-z0-9+.-]*://.*[^/]', 's') END IS NOT TRUE
           OR (NOT contains(image, '\')  -- a name that is not UTF-8 does not show its bytes
               AND image_id <> substr(sha256(archive || '/' || image || chr(0) || occurrence), 1, 16)
               AND image_id <> substr(sha256(archive || '!/' || image || chr(0) || occurrence), 1, 16))
        """,
    ),
    Invariant(
        "Failed photos are in failed files, with a reason and no measure.",
        """
        SELECT image AS name FROM image_rows JOIN files USING (filename)
        WHERE (status = 'failed' OR kind = 'failed')
          AND (status = 'failed' AND kind = 'failed' AND failure_stage IS NOT NULL AND failure_kind IS NOT NULL
               AND coalesce(width_px, height_px, tiles, crack_tiles) IS NULL
               AND coalesce(crack_score, max_tile_score, domain_score) IS NULL
               AND coalesce(cracks, crack_length_px, widest_px, mm_per_px, widest_mm) IS NULL
               AND scale_source IS NULL
               AND coalesce(latitude, longitude, altitude_m, focal_length_mm) IS NULL
               AND captured_at IS NULL AND camera IS NULL) IS NOT TRUE
        """,
    ),
    Invariant(
        "All other photos are ok, with size, tiles and scores, and no reason.",
        """
        SELECT image AS name FROM image_rows JOIN files USING (filename)
        WHERE status IS DISTINCT FROM 'failed' AND kind = 'part'
          AND (status = 'ok' AND height_px > 0 AND width_px > 0 AND crack_tiles >= 0
               AND (tiles > 0 AND (crack_score BETWEEN 0 AND 1)
                    OR tiles = 0 AND crack_score IS NULL AND image_id IN (SELECT image_id FROM windows))
               AND coalesce(failure_stage, failure_kind, failure_message) IS NULL) IS NOT TRUE
        """,
    ),
    Invariant("Every tile is of a photo of its commit.", _OF_A_PHOTO.format(table="cut")),
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
        WHERE status = 'ok' AND cut.tiles = i.tiles AND i.image_id NOT IN (SELECT image_id FROM windows)
          AND (cut.tiles = grids.tiles AND cut.boxes = grids.boxes) IS NOT TRUE
        """,
    ),
    Invariant(
        "Every tile of a window lies in its window.",
        """
        SELECT t.image AS name FROM window_tiles t JOIN windows w USING (part, image_id)
        WHERE (t.top_px >= w.top_px AND t.left_px >= w.left_px
               AND t.top_px::BIGINT + t.height_px <= w.top_px + w.height_px
               AND t.left_px::BIGINT + t.width_px <= w.left_px + w.width_px) IS NOT TRUE
        """,
    ),
    Invariant(
        "No tile of a raster stands in two windows.",
        """
        SELECT any_value(t.image) AS name FROM window_tiles t JOIN windows w USING (part, image_id)
        GROUP BY t.archive, t."row", t.col HAVING count(*) > 1
        """,
    ),
    Invariant(
        "Every tile of a raster is one of the grid that covers it.",
        """
        SELECT t.image AS name FROM window_tiles t SEMI JOIN rasters USING (archive)
        LEFT JOIN grid_lines r ON r.archive = t.archive AND r.axis = 'row' AND r.number = t."row"
        LEFT JOIN grid_lines c ON c.archive = t.archive AND c.axis = 'col' AND c.number = t.col
        WHERE (t.top_px = r.start_px AND t.top_px + t.height_px = r.end_px
               AND t.left_px = c.start_px AND t.left_px + t.width_px = c.end_px) IS NOT TRUE
        """,
        of_rasters=True,
    ),
    Invariant(
        "Every window is of a known raster, and its name says at which tile of the grid it begins.",
        """
        SELECT n.image AS name FROM named n
        LEFT JOIN grid_lines r ON r.archive = n.archive AND r.axis = 'row' AND r.start_px = n.top_px
        LEFT JOIN grid_lines c ON c.archive = n.archive AND c.axis = 'col' AND c.start_px = n.left_px
        WHERE (r.number IS NOT NULL AND c.number IS NOT NULL
               AND n.image = printf('r%06dc%06d', n.top_px, n.left_px)) IS NOT TRUE
        UNION ALL SELECT image FROM windows ANTI JOIN rasters USING (archive)
        """,
        of_rasters=True,
    ),
    Invariant(
        "The windows of a raster cover its grid, and each has one row.",
        """
        SELECT printf('r%06dc%06d', top_px, left_px) AS name
        FROM (SELECT archive, r.start_px AS top_px, c.start_px AS left_px FROM bands r JOIN bands c USING (archive)
              WHERE r.axis = 'row' AND c.axis = 'col') ANTI JOIN named USING (archive, top_px, left_px)
        UNION ALL SELECT image FROM named GROUP BY archive, image HAVING count(*) > 1
        UNION ALL SELECT archive FROM bands GROUP BY archive, axis HAVING min(start_px) > 0
        UNION ALL
        SELECT image FROM windows w JOIN bands r USING (archive) JOIN bands c USING (archive)
        WHERE r.axis = 'row' AND r.start_px = w.top_px AND c.axis = 'col' AND c.start_px = w.left_px
          AND (w.top_px + w.height_px = r.end_px AND w.left_px + w.width_px = c.end_px) IS NOT TRUE
        """,
        only_finished=True,
        of_rasters=True,
    ),
    Invariant(
        "Every photo's max_tile_score is the highest of its tiles, and crack_tiles those at or over the threshold.",
        """
        SELECT i.image AS name FROM image_rows i JOIN cut USING (part, image_id)
        WHERE status = 'ok' AND cut.tiles = i.tiles
          AND (cut.crack_score = i.max_tile_score AND cut.crack_tiles = i.crack_tiles) IS NOT TRUE
        """,
    ),
    Invariant("Every crack is of a photo of its commit.", _OF_A_PHOTO.format(table="measured")),
    Invariant(
        "Every photo has as many cracks as its row says, numbered from 0.",
        """
        SELECT i.image AS name FROM image_rows i LEFT JOIN measured USING (part, image_id)
        WHERE status = 'ok'
          AND (coalesce(measured.cracks, 0) = coalesce(i.cracks, 0)
               AND (measured.cracks IS NULL OR first = 0 AND last = measured.cracks - 1 AND numbers = measured.cracks)
              ) IS NOT TRUE
        """,
    ),
    Invariant(
        "Every photo's crack_length_px is the sum of its cracks, and unmeasured photos have no measure of cracks.",
        """
        SELECT i.image AS name FROM image_rows i LEFT JOIN measured USING (part, image_id)
        WHERE status = 'ok' AND coalesce(measured.cracks, 0) = coalesce(i.cracks, 0)
          AND (CASE WHEN i.cracks IS NULL
                    THEN coalesce(crack_length_px, widest_px, mm_per_px, widest_mm) IS NULL AND scale_source IS NULL
                    ELSE abs(crack_length_px - coalesce(length_px, 0)) <= 1e-3 * coalesce(length_px, 0) END) IS NOT TRUE
        """,
    ),
    Invariant(
        "Every crack has a line, a length, an orientation, and a box inside its photo.",
        """
        SELECT c.image AS name FROM crack_rows c JOIN image_rows i USING (part, image_id)
        LEFT JOIN windows w USING (part, image_id)
        WHERE (has_line AND length_px > 0 AND isfinite(length_px) AND (orientation_deg BETWEEN 0 AND 180)
               AND c.top_px >= coalesce(w.top_px, 0) AND c.left_px >= coalesce(w.left_px, 0)
               AND c.height_px > 0 AND c.width_px > 0
               AND c.top_px::BIGINT + c.height_px <= coalesce(w.top_px, 0) + i.height_px
               AND c.left_px::BIGINT + c.width_px <= coalesce(w.left_px, 0) + i.width_px) IS NOT TRUE
        """,
    ),
    Invariant(
        "Every crack with width_status ok has widths that grow from p50 to max, and no other has one.",
        """
        SELECT image AS name FROM all_cracks
        WHERE (width_status IS NOT NULL
               AND CASE WHEN width_status = 'ok'
                        THEN crack_width_px_p50 >= 0 AND crack_width_px_p50 <= crack_width_px_p95
                             AND crack_width_px_p95 <= crack_width_px_max AND isfinite(crack_width_px_max)
                        ELSE coalesce(crack_width_px_p50, crack_width_px_p95, crack_width_px_max) IS NULL
                   END) IS NOT TRUE
        """,
    ),
    Invariant(
        "Every crack's millimetres are its pixels times mm_per_px.",
        "SELECT image AS name FROM all_cracks WHERE (coalesce(mm_per_px > 0 AND isfinite(mm_per_px), true) AND "  # noqa: S608 - our own names
        + " AND ".join(_IN_MM.format(px=name, mm=name.replace("px", "mm")) for name in _PX)
        + ") IS NOT TRUE",
    ),
    Invariant(
        "Every score is a probability.",
        "SELECT image AS name FROM cut WHERE improbable > 0 UNION ALL "
        "SELECT image FROM all_cracks WHERE (score BETWEEN 0 AND 1) IS NOT TRUE",
    ),
    Invariant(
        "Every crack that is joined over windows begins in one, is numbered there, and lies in its raster.",
        """
        SELECT j.image AS name FROM joined_rows j LEFT JOIN windows w USING (image_id, archive, image)
        LEFT JOIN rasters r USING (archive)
        WHERE (has_line AND length_px > 0 AND isfinite(length_px) AND (orientation_deg BETWEEN 0 AND 180)
               AND j.top_px >= 0 AND j.left_px >= 0 AND j.height_px > 0 AND j.width_px > 0
               AND coalesce(j.top_px::BIGINT + j.height_px <= r.height_px
                            AND j.left_px::BIGINT + j.width_px <= r.width_px, true)
               AND j.top_px < w.top_px + w.height_px AND j.top_px::BIGINT + j.height_px > w.top_px
               AND j.left_px < w.left_px + w.width_px AND j.left_px::BIGINT + j.width_px > w.left_px) IS NOT TRUE
        UNION ALL
        SELECT any_value(image) FROM joined_rows GROUP BY image_id
        HAVING (min(crack) = 0 AND max(crack) = count(*) - 1 AND count(DISTINCT crack) = count(*)) IS NOT TRUE
        """,
        of_rasters=True,
    ),
    Invariant(
        "The cracks of every raster are joined over its windows.",
        "SELECT DISTINCT archive AS name FROM crack_rows SEMI JOIN rasters USING (archive) "
        "ANTI JOIN joined_rows USING (archive)",
        only_finished=True,
        of_rasters=True,
    ),
)
"""In the order of checks and output."""


def make_boxes(sizes: Iterable[tuple[int, int]], spec: TileSpec) -> Iterator[pa.Table]:
    """Yield tables of the boxes that photos of each size must have, some sizes at a time."""
    columns = ("photo_height_px", "photo_width_px", "row", "col", "top_px", "left_px", "height_px", "width_px")
    declared = pa.schema([(name, pa.int32()) for name in columns])
    sizes = iter(sizes)
    while some := [*islice(sizes, SIZES_AT_ONCE)]:
        rows = [(*size, *tile) for size in some for tile in grid(*size, spec)]
        yield pa.table([pa.array(column, pa.int32()) for column in zip(*rows, strict=True)], schema=declared)
