"""Match photos by the longest common tail of their paths: `1.jpg` of a folder `north`, and `north/1.jpg` of a zip.

A photo's path is that of its archive, without an ending such as `.zip`, and its own path below it. Two photos match by
the longest tail that no other photo of their sides has. The tail must cover the whole path of one of them below the
folders that all photos of its archive have in common: `span-1/1.jpg` never matches `span-2/1.jpg` of the same archive.
"""

import re

from pipeline.archives.members import SEEKABLE_SUFFIXES, STREAM_SUFFIXES
from pipeline.dataset.sql import Connection

_ENDINGS = "|".join(re.escape(suffix) for suffix in STREAM_SUFFIXES + SEEKABLE_SUFFIXES)

_MACROS = (
    rf"""
    CREATE OR REPLACE TEMP MACRO parts_of(path) AS list_transform(
        list_filter(string_split(nfc_normalize(path), '/'), lambda part: part NOT IN ('', '.')),
        lambda part: regexp_replace(part, '(?i)({_ENDINGS})!?$', ''))
    """,
    """
    CREATE OR REPLACE TEMP MACRO common_parts(one, other) AS coalesce(
        list_position(list_transform(list_zip(one, other, true), lambda pair: pair[1] = pair[2]), false) - 1,
        least(len(one), len(other)))
    """,
)
"""The folders and the name of a path: `./a//b` is `a/b`, and `inner.zip!/b` is `inner/b`. And how many parts two lists
have in common before they differ."""

_CREATE_PATHS = """
    CREATE OR REPLACE TEMP TABLE paths_{side} AS
    WITH photo AS (SELECT image_id, occurrence, archive, parts_of(image) AS parts FROM {side}),
         bounds AS (SELECT archive, min(parts[:-2]) AS first, max(parts[:-2]) AS last FROM photo GROUP BY archive),
         shared AS (SELECT archive, common_parts(bounds.first, bounds.last) AS folders FROM bounds)
    SELECT image_id, occurrence, parts_of(archive) || parts AS path, len(parts) - folders AS own
    FROM photo JOIN shared USING (archive)
"""
"""`own` counts the parts of a path below the folders that all photos of the archive share: what the first and the last
of them in order have in common, all have."""

_BY_TAIL = """
    INSERT INTO matches
    WITH one AS (SELECT path[-$parts:] AS tail, occurrence, any_value(image_id) AS image_id, any_value(own) AS own
                 FROM paths_a WHERE len(path) >= $parts GROUP BY ALL HAVING count(*) = 1),
         other AS (SELECT path[-$parts:] AS tail, occurrence, any_value(image_id) AS image_id, any_value(own) AS own
                   FROM paths_b WHERE len(path) >= $parts GROUP BY ALL HAVING count(*) = 1)
    SELECT one.image_id, other.image_id, NULL, false FROM one JOIN other USING (tail, occurrence)
    WHERE $parts >= least(one.own, other.own)
        AND one.image_id NOT IN (SELECT a FROM matches) AND other.image_id NOT IN (SELECT b FROM matches)
"""
"""A tail that two photos of one side share is no evidence."""

_LONGEST = "SELECT least((SELECT max(len(path)) FROM paths_a), (SELECT max(len(path)) FROM paths_b))"

_ALONE = "SELECT count(*) FROM {side} WHERE image_id NOT IN (SELECT {side} FROM matches)"

_CREATE_TAILS = """
    CREATE OR REPLACE TEMP TABLE tails_{side} AS
    SELECT image_id, occurrence, own, unnest(range(1, own + 1)) AS parts, path[-unnest(range(1, own + 1)):] AS tail
    FROM paths_{side} WHERE image_id NOT IN (SELECT {side} FROM matches)
"""

_CREATE_UNCLEAR = """
    CREATE OR REPLACE TEMP TABLE unclear_{side} AS
    SELECT DISTINCT mine.image_id FROM tails_{side} mine SEMI JOIN tails_{other} other
    ON mine.tail = other.tail AND mine.occurrence = other.occurrence
        AND (mine.parts = mine.own OR other.parts = other.own)
"""


def match_tails(photos: Connection) -> None:
    """Add the pairs to the table `matches`, and make the tables `unclear_a` and `unclear_b`.

    Args:
        photos: see `photo_matching.match`; `matches` has the pairs of equal names, and nothing else.

    Column of the latter: `image_id` of photos without a match that might have one, as several photos have their tail.
    """
    for statement in (*_MACROS, *(_CREATE_PATHS.format(side=side) for side in ("a", "b"))):
        photos.execute(statement)
    for parts in range(_count(photos, _LONGEST), 0, -1):
        if all(_count(photos, _ALONE.format(side=side)) for side in ("a", "b")):
            photos.execute(_BY_TAIL, {"parts": parts})
    for side in ("a", "b"):
        photos.execute(_CREATE_TAILS.format(side=side))
    for side, other in (("a", "b"), ("b", "a")):
        photos.execute(_CREATE_UNCLEAR.format(side=side, other=other))


def _count(photos: Connection, sql: str) -> int:
    return photos.execute(sql).fetchall()[0][0] or 0
