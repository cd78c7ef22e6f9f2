"""Compares two datasets, row for row.

It compares the sums of the rows' 64-bit hashes, photo by photo, so that tens of millions of tiles need no sorting.
"""

from contextlib import ExitStack

from pipeline import storage
from pipeline.core.counts import count_of
from pipeline.dataset.layout import Layout
from pipeline.dataset.sql import Connection, connect, views

SHOWN = 3
"""Number of photos that a sentence names."""

_DIGESTS = """
    WITH photo AS (SELECT image_id, any_value(image) AS image, count(*) AS rows, sum(hash(r)) AS digest
                   FROM (SELECT * EXCLUDE (part, run_id, scored_at) FROM images) r GROUP BY image_id),
         cut AS (SELECT image_id, count(*) AS rows, sum(hash(r)) AS digest
                 FROM (SELECT * EXCLUDE (part) FROM tiles) r GROUP BY image_id),
         measured AS (SELECT image_id, count(*) AS rows, sum(hash(r)) AS digest
                      FROM (SELECT * EXCLUDE (part) FROM committed_cracks
                            UNION ALL SELECT * EXCLUDE (part) FROM cracks SEMI JOIN rasters USING (archive)) r
                      GROUP BY image_id)
    SELECT image_id, image, [photo.rows, photo.digest] AS photo, [cut.rows, cut.digest] AS cut,
           [measured.rows, measured.digest] AS measured
    FROM photo LEFT JOIN cut USING (image_id) LEFT JOIN measured USING (image_id)
"""

_COMPARED = """
    CREATE TEMP TABLE compared AS
    SELECT coalesce(here.image, there.image) AS image, image_id,
           CASE WHEN there.image_id IS NULL THEN 'here' WHEN here.image_id IS NULL THEN 'there'
                WHEN here.photo IS DISTINCT FROM there.photo THEN 'images'
                WHEN here.cut IS DISTINCT FROM there.cut THEN 'tiles'
                WHEN here.measured IS DISTINCT FROM there.measured THEN 'cracks' END AS difference
    FROM here FULL JOIN there USING (image_id)
"""

_COUNTED = """
    SELECT difference, count(*), min({'image': image, 'image_id': image_id}, $shown)
    FROM compared WHERE difference IS NOT NULL GROUP BY difference ORDER BY difference
"""


def differences(out: str, other: str) -> list[str]:
    """Compare two datasets in all columns but `part`, `run_id` and `scored_at`; scores bit by bit.

    Returns:
        A sentence for each kind of difference; none if both hold the same photos, tiles and cracks.
    """
    here, there = Layout(storage.canonical(out)), Layout(storage.canonical(other))
    with ExitStack() as stack:
        sides = [stack.enter_context(views(layout)) for layout in (here, there)]
        both = stack.enter_context(connect(here))
        for name, side in zip(("here", "there"), sides, strict=True):
            both.register(name, side.sql(_DIGESTS).to_arrow_table())
        both.execute(_COMPARED)
        found = both.execute(_COUNTED, {"shown": SHOWN}).fetchall()
        return [_describe(kind, count, photos, (here, there), sides) for kind, count, photos in found]


def _describe(
    kind: str, count: int, photos: list[dict[str, str]], layouts: tuple[Layout, Layout], sides: list[Connection]
) -> str:
    names = [photo["image"] for photo in photos]
    if kind == "images":
        names = [f"{photo['image']} ({_describe_columns(photo['image_id'], sides)})" for photo in photos]
    shown = ", ".join(names) + (", …" if count > len(names) else "")
    if kind in {"images", "tiles", "cracks"}:
        return f"Photos with other {kind} rows: {count:,} ({shown})"
    return f"Photos only in {layouts[kind == 'there'].url}: {count:,} ({shown})"


def _describe_columns(image_id: str, sides: list[Connection]) -> str:
    """Describe which columns of a photo differ, with both values."""
    sql = "SELECT * EXCLUDE (part, run_id, scored_at) FROM images WHERE image_id = ?"
    here, there = (side.sql(sql, params=[image_id]).to_arrow_table().to_pylist() for side in sides)
    if len(here) != len(there):
        return f"{len(here)} and {count_of(len(there), 'row')}"
    pairs = [
        (name, value, right[name]) for left, right in zip(here, there, strict=True) for name, value in left.items()
    ]
    return ", ".join(f"{name} {value!r} and {other!r}" for name, value, other in pairs if value != other)
