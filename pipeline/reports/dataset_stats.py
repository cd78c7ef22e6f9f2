"""Statistics of a dataset: how many photos, how high their scores, what failed, where and when they were taken.

SQL over the views of `dataset.sql` counts. The answers are bounded, however many photos there are: photos of one place,
or of one moment and one score, become one dot. `svg_plots` and the page's template draw them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from pipeline.archives.members import is_raster
from pipeline.dataset.beside import STATES
from pipeline.dataset.layout import Layout
from pipeline.dataset.sql import FOLDER, IS_OVER, Connection, views
from pipeline.images.tiles import Tile
from pipeline.rasters.windows import parse_name
from pipeline.reports.heatmap import TileScores

HISTOGRAM_BINS = 40
"""Bins of the score, from 0 to 1."""
GroupBy = Literal["archive", "folder"]

GROUPS_SHOWN = 200
"""Archives or folders in the report: the worst ones."""
PLACES_ACROSS = 100
"""A grid of this many by this many squares covers all positions; the photos in one square are one dot."""
MOMENTS_ACROSS = 160
"""Spans of time along the timeline …"""
MOMENTS_DOWN = 40
"""… and steps of the score; the photos of one span and one step are one dot."""
FAR = 3.0
"""A position is left out if it is farther outside the middle 96 % of positions than this many times their spread …"""
LEAST_FAR_DEGREES = 0.002
"""… plus this distance, about two hundred metres."""
UNKNOWN_WIDTH_PX = 1
"""As wide counts a crack of unknown width where photos are put in order: most such cracks are thin."""


@dataclass(frozen=True)
class CrackRule:
    """Which cracks count: by their width (p95), and by what people said of them. Rejected ones never do."""

    from_mm: float | None = None
    """Cracks of photos with a scale count from this width on, in millimetres …"""
    from_px: float | None = None
    """… and others from this one on, in pixels; all of them, if `from_mm` is None."""
    confirmed: bool = False
    """Only what somebody confirmed counts: cracks, and photos as cracked."""

    @property
    def is_set(self) -> bool:
        """Whether cracks of some width do not count."""
        return self.from_mm is not None or self.from_px is not None


EVERY_CRACK = CrackRule()


@dataclass(frozen=True)
class Totals:
    """Figures of all photos, or of those of an archive or folder."""

    photos: int
    failed: int
    cracked: int
    """Photos with a tile at or over the threshold."""
    tiles: int
    crack_tiles: int
    out_of_domain: int
    """Photos unlike the model's training data."""
    worst_score: float | None
    """None if no photo has a score."""

    @property
    def scored(self) -> int:
        """Photos that have a score."""
        return self.photos - self.failed


@dataclass(frozen=True)
class GroupTotals(Totals):
    """Figures of one archive, or of one folder in it."""

    archive: str
    folder: str | None
    """None for an archive; empty for photos at its top."""


@dataclass(frozen=True)
class Failure:
    """Failed photos of one kind and stage."""

    kind: str
    stage: str
    photos: int
    example: str
    """Path of one of them, or its archive."""
    message: str
    """Why that one failed."""


@dataclass(frozen=True)
class RunFacts:
    """What one scoring run did."""

    run_id: str
    photos: int
    began_at: datetime
    ended_at: datetime
    """When it scored its first and its last photo, UTC."""


@dataclass(frozen=True)
class Dot:
    """Photos that a plot draws as one."""

    x: float
    """Longitude in degrees, or seconds since 1970."""
    y: float
    """Latitude in degrees, or a score."""
    photos: int
    score: float
    """The highest score of them."""
    image: str
    """The photo with that score."""


_COPY_FINDINGS = """
    CREATE TEMP TABLE judged AS
    SELECT kind, state, image_id, archive, image, crack, comment, "by", judged_at FROM findings
"""

_COPY_CRACKS = """
    CREATE TEMP TABLE measured AS
    SELECT image_id, archive, image, crack, length_px, length_mm, orientation_deg, score, width_status,
           crack_width_px_p95 AS p95_px, crack_width_mm_p95 AS p95_mm, mm_per_px, scale_source,
           coalesce(state, 'open') AS state, comment, "by",
           if(getvariable('confirmed'), state = 'confirmed', state IS DISTINCT FROM 'rejected') AS is_wanted,
           is_wanted AND CASE
               WHEN $from_mm IS NOT NULL AND mm_per_px IS NOT NULL THEN coalesce(p95_mm >= $from_mm::FLOAT, false)
               WHEN $from_px IS NOT NULL THEN coalesce(p95_px >= $from_px::FLOAT, false)
               ELSE $from_mm IS NULL END AS counts
    FROM cracks LEFT JOIN (SELECT image_id, crack, state, comment, "by" FROM judged WHERE kind = 'crack')
        USING (image_id, crack)
"""
"""All but the lines of cracks, which are many times as large."""

_COUNT_STATES = ", ".join(f"count(*) FILTER (state = '{state}') AS \"{state}\"" for state in STATES)

_COPY_PHOTOS = f"""
    CREATE TEMP TABLE photos AS
    WITH counted AS (
        SELECT image_id, count(*)::INTEGER AS cracks, sum(length_px) AS crack_length_px,
               sum(length_mm) AS crack_length_mm, max(p95_px) AS widest_px, max(p95_mm) AS widest_mm,
               sum(length_px * coalesce(p95_px, {UNKNOWN_WIDTH_PX}) * if(getvariable('in_mm'), mm_per_px ** 2, 1))
                   AS crack_area
        FROM measured WHERE counts GROUP BY image_id),
    said AS (SELECT image_id, {_COUNT_STATES} FROM judged GROUP BY image_id),
    filed AS (SELECT image_id, nullif(concat_ws(' / ', structure, span, element, face), '') AS part_name FROM elements)
    SELECT image_id, archive, image, occurrence, status, failure_stage, failure_kind, failure_message, tiles,
           crack_tiles, crack_score, domain_score, captured_at, latitude, longitude, altitude_m, camera, height_px,
           width_px, run_id, scored_at,
           coalesce(domain_score >= getvariable('domain_threshold'), false) AS is_out_of_domain,
           if(getvariable('confirmed'), coalesce(confirmed > 0, false), {IS_OVER}) AS is_over,
           if(images.cracks IS NULL, NULL, coalesce(counted.cracks, 0)) AS cracks, counted.crack_length_px,
           crack_length_mm, counted.widest_px, counted.widest_mm, mm_per_px, scale_source,
           coalesce(crack_area, 0) AS crack_area, part_name, said.* EXCLUDE (image_id),
           CASE WHEN confirmed > 0 THEN 'confirmed' WHEN "open" > 0 THEN 'open' WHEN unclear > 0 THEN 'unclear'
                WHEN rejected > 0 THEN 'rejected' END AS state
    FROM images LEFT JOIN counted USING (image_id) LEFT JOIN said USING (image_id) LEFT JOIN filed USING (image_id)
"""  # noqa: S608 - our own SQL
"""A copy, so that a remote dataset is read once and not for every figure, and all figures are of one moment. The view's
`widest_px` is the widest place of all cracks, the copy's the widest crack that counts."""

_SET_IN_MM = "SET VARIABLE in_mm = (SELECT coalesce(bool_and(mm_per_px IS NOT NULL), false) FROM measured WHERE counts)"
"""Areas are compared in square millimetres where all cracks that count have a scale, else in square pixels."""

_WORST_FIRST = """
    crack_score IS NULL, is_out_of_domain, state IS NOT DISTINCT FROM 'rejected', crack_area DESC, crack_score DESC,
    archive, image, occurrence
"""
"""Failed photos come last, before them those unlike the training data, and those whose findings were rejected. Most
crack first, which is nothing in a dataset without measured cracks; then the score."""

_TOTALS = """
    count(*) AS photos, count(*) FILTER (status = 'failed') AS failed, count(*) FILTER (is_over) AS cracked,
    coalesce(sum(tiles), 0)::BIGINT AS tiles, coalesce(sum(crack_tiles), 0)::BIGINT AS crack_tiles,
    count(*) FILTER (is_out_of_domain) AS out_of_domain, max(crack_score) AS worst_score
"""

_GROUPS = f"""
    SELECT archive, {{folder}} AS folder, {_TOTALS} FROM photos GROUP BY ALL
    ORDER BY worst_score DESC NULLS LAST, archive, folder LIMIT {GROUPS_SHOWN}
"""  # noqa: S608 - our own numbers

_FOLDER_OF: dict[GroupBy, str] = {"archive": "NULL::VARCHAR", "folder": FOLDER}

_HISTOGRAM = f"""
    SELECT least({HISTOGRAM_BINS - 1}, floor(crack_score * {HISTOGRAM_BINS}))::INT AS bin, count(*) AS photos
    FROM photos WHERE status = 'ok' GROUP BY bin
"""  # noqa: S608

_FAILURES = """
    SELECT failure_kind AS kind, failure_stage AS stage, count(*) AS photos,
           arg_min(if(image = '', archive, image), image) AS example, arg_min(failure_message, image) AS message
    FROM photos WHERE status = 'failed' GROUP BY ALL ORDER BY photos DESC, kind, stage
"""

_RUNS = """
    SELECT run_id, count(*) AS photos, min(scored_at) AS began_at, max(scored_at) AS ended_at
    FROM photos GROUP BY run_id ORDER BY began_at
"""

_CRACK_FACTS = "cracks, crack_length_px, crack_length_mm, widest_px, widest_mm, mm_per_px, scale_source"

_LISTED = f"""
    SELECT image_id, archive, image, crack_score, crack_tiles, tiles, captured_at, latitude, longitude, failure_kind,
           is_out_of_domain, is_over, failure_message, state, part_name, {_CRACK_FACTS}
    FROM photos WHERE is_over OR NOT getvariable('confirmed') ORDER BY {_WORST_FIRST} LIMIT ?
"""  # noqa: S608 - our own text

_PHOTOS = f"""
    SELECT image_id, archive, image, height_px, width_px, crack_score, crack_tiles, tiles, domain_score, captured_at,
           latitude, longitude, altitude_m, camera, part_name, {_CRACK_FACTS}
    FROM photos WHERE image_id IN (SELECT unnest(?)) ORDER BY {_WORST_FIRST}
"""  # noqa: S608

_OUT_OF_DOMAIN = (
    "SELECT image_id FROM photos WHERE is_out_of_domain ORDER BY domain_score DESC, archive, image, occurrence LIMIT ?"
)

_TILES = """
    SELECT image_id, "row", col, top_px, left_px, height_px, width_px, crack_score
    FROM tiles WHERE image_id IN (SELECT unnest(?)) ORDER BY image_id, "row", col
"""

_PLACED = """
    FROM photos WHERE crack_score IS NOT NULL AND latitude IS NOT NULL AND longitude IS NOT NULL
        AND NOT (latitude = 0 AND longitude = 0)
"""
"""Cameras without a fix write 0, 0, a place in the sea."""

_PLACES = f"""
    WITH placed AS (SELECT longitude AS x, latitude AS y, crack_score, image {_PLACED}),
         middle AS (SELECT quantile_cont(x, [0.02, 0.98]) AS xs, quantile_cont(y, [0.02, 0.98]) AS ys FROM placed),
         near AS (SELECT placed.* FROM placed, middle
                  WHERE x BETWEEN xs[1] - $far * (xs[2] - xs[1]) - $least AND xs[2] + $far * (xs[2] - xs[1]) + $least
                    AND y BETWEEN ys[1] - $far * (ys[2] - ys[1]) - $least AND ys[2] + $far * (ys[2] - ys[1]) + $least),
         size AS (SELECT greatest(max(x) - min(x), max(y) - min(y), 1e-9) AS side, min(x) AS west, min(y) AS south
                  FROM near)
    SELECT avg(x) AS x, avg(y) AS y, count(*) AS photos, max(crack_score) AS score, arg_max(image, crack_score) AS image
    FROM near, size
    GROUP BY floor((x - west) / side * {PLACES_ACROSS}), floor((y - south) / side * {PLACES_ACROSS}) ORDER BY score
"""  # noqa: S608 - our own numbers
"""A position far from all others is a camera's mistake; with it the plan would show two dots."""

_MOMENTS = f"""
    WITH dated AS (SELECT epoch(captured_at) AS x, crack_score AS y, image FROM photos
                   WHERE crack_score IS NOT NULL AND captured_at IS NOT NULL),
         span AS (SELECT min(x) AS first, greatest(max(x) - min(x), 1e-9) AS length FROM dated)
    SELECT avg(x) AS x, avg(y) AS y, count(*) AS photos, max(y) AS score, arg_max(image, y) AS image FROM dated, span
    GROUP BY floor((x - first) / length * {MOMENTS_ACROSS}), floor(y * {MOMENTS_DOWN}) ORDER BY score
"""  # noqa: S608


@contextmanager
def open_photos(layout: Layout, threshold: float | None, rule: CrackRule = EVERY_CRACK) -> Iterator[Connection]:
    """Open DuckDB with a dataset's views and copies of its photos, cracks and findings.

    The functions below read the table `photos`, those of `crack_stats` also `measured`, in which the cracks have
    `counts`, and those of `element_stats` also `judged`, the findings.

    Args:
        layout: the dataset.
        threshold: a tile counts as cracked from this score on; None takes the counts at the model's threshold.
        rule: which cracks count.
    """
    with views(layout, threshold) as connection:
        connection.execute("SET VARIABLE confirmed = CAST(? AS BOOLEAN)", [rule.confirmed])
        connection.execute(_COPY_FINDINGS)
        connection.execute(_COPY_CRACKS, {"from_mm": rule.from_mm, "from_px": rule.from_px})
        connection.execute(_SET_IN_MM)
        connection.execute(_COPY_PHOTOS)
        yield connection


def threshold_of(run: dict[str, Any], given: float | None) -> float | None:
    """Return the threshold that was given, else that of the model card in `run.json`; None without either."""
    threshold: float | None = run.get("model_card", {}).get("threshold") if given is None else given
    return threshold


def count_totals(photos: Connection) -> Totals:
    """Count all photos."""
    return Totals(**read_rows(photos, f"SELECT {_TOTALS} FROM photos")[0])  # noqa: S608 - our own text


def count_by_group(photos: Connection, by: GroupBy) -> list[GroupTotals]:
    """Count the photos of each archive or folder, the worst first."""
    return [GroupTotals(**row) for row in read_rows(photos, _GROUPS.format(folder=_FOLDER_OF[by]))]


def count_groups(photos: Connection, by: GroupBy) -> int:
    """Count the archives, or their folders."""
    distinct = f"SELECT DISTINCT archive, {_FOLDER_OF[by]} FROM photos"  # noqa: S608 - our own SQL
    return int(read_rows(photos, f"SELECT count(*) AS found FROM ({distinct})")[0]["found"])  # noqa: S608


def choose_grouping(photos: Connection) -> GroupBy:
    """Group by folder where one archive would be the only row, and has several."""
    return "folder" if count_groups(photos, "archive") == 1 < count_groups(photos, "folder") else "archive"


def count_by_score(photos: Connection) -> list[int]:
    """Count photos by score, in `HISTOGRAM_BINS` bins."""
    counts = [0] * HISTOGRAM_BINS
    for row in read_rows(photos, _HISTOGRAM):
        counts[row["bin"]] = row["photos"]
    return counts


def count_failures(photos: Connection) -> list[Failure]:
    """Count failed photos by kind and stage."""
    return [Failure(**row) for row in read_rows(photos, _FAILURES)]


def list_runs(photos: Connection) -> list[RunFacts]:
    """List the runs that scored the photos, the first one first."""
    return [RunFacts(**row) for row in read_rows(photos, _RUNS)]


def list_photos(photos: Connection, most: int) -> pa.Table:
    """List photos, the worst first and failed ones last."""
    return photos.sql(_LISTED, params=[most]).to_arrow_table()


def find_out_of_domain(photos: Connection, most: int) -> list[str]:
    """Return the `image_id` of the photos least like the training data."""
    return [row["image_id"] for row in read_rows(photos, _OUT_OF_DOMAIN, [most])]


def read_photos(photos: Connection, image_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Read the rows of some photos, the worst first."""
    return read_rows(photos, _PHOTOS, [list(image_ids)])


def read_tile_scores(photos: Connection, chosen: Sequence[dict[str, Any]]) -> dict[str, TileScores]:
    """Read the scored tiles of photos, by `image_id`.

    Args:
        photos: see `open_photos`.
        chosen: rows as `read_photos` returns them.
    """
    of_photo = dict[str, list[dict[str, Any]]]()
    for row in read_rows(photos, _TILES, [[photo["image_id"] for photo in chosen]]):
        of_photo.setdefault(row.pop("image_id"), []).append(row)
    return {
        photo["image_id"]: _tile_scores(photo, of_photo[photo["image_id"]])
        for photo in chosen
        if photo["image_id"] in of_photo
    }


def _tile_scores(photo: dict[str, Any], rows: list[dict[str, Any]]) -> TileScores:
    scores = np.array([row.pop("crack_score") for row in rows], np.float32)
    left_px, top_px = find_corner(photo["archive"], photo["image"])
    tiles = [Tile(**row | {"left_px": row["left_px"] - left_px, "top_px": row["top_px"] - top_px}) for row in rows]
    return TileScores(photo["height_px"], photo["width_px"], tiles, scores)


def find_corner(archive: str, image: str) -> tuple[int, int]:
    """Return left and top of a photo in the pixels of its tiles and cracks: 0, 0 but for a window of a raster."""
    if is_raster(archive):
        with suppress(ValueError):  # a folder may be called so
            top_px, left_px = parse_name(image)
            return left_px, top_px
    return 0, 0


def read_rows(photos: Connection, sql: str, values: Any = None) -> list[dict[str, Any]]:  # noqa: ANN401 - DuckDB's
    """Run a query; return its rows."""
    found: list[dict[str, Any]] = photos.sql(sql, params=values).to_arrow_table().to_pylist()
    return found


def list_places(photos: Connection) -> tuple[list[Dot], int]:
    """Return dots at positions, the worst last, and the number of photos left out as too far away."""
    dots = [Dot(**row) for row in read_rows(photos, _PLACES, {"far": FAR, "least": LEAST_FAR_DEGREES})]
    placed = read_rows(photos, f"SELECT count(*) AS photos {_PLACED}")[0]["photos"]
    return dots, placed - sum(dot.photos for dot in dots)


def list_moments(photos: Connection) -> list[Dot]:
    """Return dots along the time of capture, the worst last."""
    return [Dot(**row) for row in read_rows(photos, _MOMENTS)]
