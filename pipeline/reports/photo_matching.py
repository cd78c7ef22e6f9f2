"""Match the photos of two inspections by their names or by their positions.

SQL makes a table of matches from two tables of photos. It treats both sides alike: after an exchange of the sides the
same photos match. Why others have no match is said in words. `score_changes` compares the matched photos.

By name, the last resort is the longest common tail of two paths: `1.jpg` of a folder `north`, and `north/1.jpg` of a
zip. A photo's path is that of its archive, without an ending such as `.zip`, and its own path below it. Two photos
match by the longest tail that no other photo of their sides has. The tail must cover the whole path of one of them
below the folders that all photos of its archive have in common: `span-1/1.jpg` never matches `span-2/1.jpg` of the same
archive.
"""

import re
from dataclasses import dataclass
from itertools import product
from typing import Literal

from pipeline.archives.members import SEEKABLE_SUFFIXES, STREAM_SUFFIXES
from pipeline.core.counts import count_of
from pipeline.core.errors import UsageError
from pipeline.dataset.sql import Connection
from pipeline.reports.svg_plots import EARTH_RADIUS_M

By = Literal["name", "place"]
Side = Literal["a", "b"]
SIDES: tuple[Side, Side] = ("a", "b")


@dataclass(frozen=True)
class Rule:
    """When two photos match."""

    by: By = "name"
    within_m: float = 5.0
    """By place: the greatest distance between them, in metres."""

    def __post_init__(self) -> None:
        """Check the distance."""
        if not 0.01 <= self.within_m <= 1000:
            raise UsageError(f"The distance is {self.within_m:g} m; expected 0.01 to 1000. Give another --within.")


@dataclass(frozen=True)
class Matched:
    """How many photos of one side there are, and how far the rule got with them."""

    photos: int
    unplaced: int
    """Photos without a position."""
    alone: int
    """Photos without a match."""
    unclear: int
    """Those of them that may have one."""
    example: str | None
    """The path of a photo without a match."""


_CREATE_MATCHES = "CREATE OR REPLACE TEMP TABLE matches (a VARCHAR, b VARCHAR, distance_m DOUBLE, is_unclear BOOLEAN)"

_KEYS = (
    ("archive", "image", "occurrence"),
    ("regexp_extract(archive, '[^/]*$')", "image", "occurrence"),
    ("image", "occurrence"),
)
"""From the most certain to the least: the same file, a file in an archive of the same name, a file of the same name."""

_SPELLINGS = ("({part})::VARCHAR", "nfc_normalize(({part})::VARCHAR)")
"""Each key as it is, then composed: macOS writes `ü` as `u` and two dots, other systems as one letter."""

_BY_KEY = """
    INSERT INTO matches
    WITH one AS (SELECT [{key}] AS key, any_value(image_id) AS image_id FROM a GROUP BY key HAVING count(*) = 1),
         other AS (SELECT [{key}] AS key, any_value(image_id) AS image_id FROM b GROUP BY key HAVING count(*) = 1)
    SELECT one.image_id, other.image_id, NULL, false FROM one JOIN other USING (key)
    WHERE one.image_id NOT IN (SELECT a FROM matches) AND other.image_id NOT IN (SELECT b FROM matches)
"""
"""A key that two photos of one side share is no evidence, whatever else they have in common."""

_PLACED = """
    CREATE OR REPLACE TEMP TABLE placed_{side} AS
    WITH placed AS (
        SELECT image_id, radians(latitude) AS latitude, radians(longitude) AS longitude,
               epoch(captured_at) - min(epoch(captured_at)) OVER () AS after_s
        FROM {side} WHERE latitude IS NOT NULL AND longitude IS NOT NULL AND NOT (latitude = 0 AND longitude = 0))
    SELECT *, floor($radius / $within * cos(latitude) * cos(longitude))::BIGINT AS x,
           floor($radius / $within * cos(latitude) * sin(longitude))::BIGINT AS y,
           floor($radius / $within * sin(latitude))::BIGINT AS z
    FROM placed
"""
"""Cubes of space as wide as the distance: near photos are in the same cube or adjacent ones, at the date line, too."""

_CANDIDATES = """
    CREATE OR REPLACE TEMP TABLE candidates AS
    WITH step AS (SELECT unnest([-1, 0, 1]) AS step),
         around AS (SELECT a.* EXCLUDE (x, y, z), x + dx.step AS x, y + dy.step AS y, z + dz.step AS z
                    FROM placed_a a, step dx, step dy, step dz),
         pair AS (SELECT around.image_id AS a, b.image_id AS b,
                         coalesce(abs(around.after_s - b.after_s), 1e99) AS apart,
                         2 * $radius * asin(sqrt(least(1.0,
                             pow(sin((around.latitude - b.latitude) / 2), 2)
                             + cos(around.latitude) * cos(b.latitude)
                             * pow(sin((around.longitude - b.longitude) / 2), 2)))) AS distance_m
                  FROM around JOIN placed_b b USING (x, y, z))
    SELECT a, b, distance_m, row_number() OVER (ORDER BY round(distance_m, 1), apart, least(a, b), greatest(a, b), a)
        AS place
    FROM pair WHERE distance_m <= $within
"""
"""Haversine distances. If they are equal to ten centimetres, which no camera resolves, the time from the start of the
inspection to each photo decides: a repeated flight takes the photos of one place in the same order."""

_NEAREST = """
    INSERT INTO matches
    SELECT a, b, distance_m, false FROM candidates
    QUALIFY row_number() OVER (PARTITION BY a ORDER BY place) = 1
        AND row_number() OVER (PARTITION BY b ORDER BY place) = 1
"""
"""Pairs in which each photo is the nearest to the other."""

_DELETE_MATCHED = "DELETE FROM candidates WHERE a IN (SELECT a FROM matches) OR b IN (SELECT b FROM matches)"

_UNMATCHED = """
    INSERT INTO matches
    WITH alone_a AS (SELECT * FROM a WHERE image_id NOT IN (SELECT a FROM matches WHERE a IS NOT NULL)),
         alone_b AS (SELECT * FROM b WHERE image_id NOT IN (SELECT b FROM matches WHERE b IS NOT NULL))
    SELECT image_id, NULL, NULL, {unclear_a} FROM alone_a
    UNION ALL SELECT NULL, image_id, NULL, {unclear_b} FROM alone_b
"""

_UNCLEAR = {
    "name": "(image_id IN (SELECT image_id FROM unclear_{side}))",
    "place": "(latitude IS NULL OR longitude IS NULL OR (latitude = 0 AND longitude = 0))",
}
"""Whether a photo without a match may have one on the other side that the rule cannot find."""


_MATCHED = """
    SELECT count(*), count(*) FILTER ({unplaced}), count(*) FILTER (is_alone),
           count(*) FILTER (is_alone AND is_unclear), min(image) FILTER (is_alone)
    FROM (SELECT {side}.*, is_unclear, (m.a IS NULL OR m.b IS NULL) AS is_alone
          FROM {side} JOIN matches m ON image_id = m.{side})
"""


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


def match(photos: Connection, rule: Rule) -> None:
    """Make the table `matches`: a row for each pair, and one for each photo without a match.

    Args:
        photos: has the tables `a` and `b`, with `image_id`, `archive`, `image`, `occurrence`, `latitude`, `longitude`
            and `captured_at`.
        rule: when two photos match.

    Columns: `a` and `b` are `image_id`, one of them null for a photo without a match; `is_unclear` is true if that may
    be wrong, because several photos have its name or it has no position; `distance_m` is that of a pair by place.
    """
    photos.execute(_CREATE_MATCHES)
    if rule.by == "name":
        for key, spelling in product(_KEYS, _SPELLINGS):
            photos.execute(_BY_KEY.format(key=", ".join(spelling.format(part=part) for part in key)))
        _match_tails(photos)
    else:
        _match_by_place(photos, rule.within_m)
    unclear = {f"unclear_{side}": _UNCLEAR[rule.by].format(side=side) for side in SIDES}
    photos.execute(_UNMATCHED.format(**unclear))


def count_matched(photos: Connection, side: Side) -> Matched:
    """Count the photos of one side, after `match`."""
    return Matched(*photos.execute(_MATCHED.format(side=side, unplaced=_UNCLEAR["place"])).fetchall()[0])


def _match_by_place(photos: Connection, within_m: float) -> None:
    """Pair the nearest photos, then the nearest of the rest: each photo matches one other at most."""
    facts = {"radius": EARTH_RADIUS_M, "within": within_m}
    for side in SIDES:
        photos.execute(_PLACED.format(side=side), facts)
    photos.execute(_CANDIDATES, facts)
    while photos.execute(_NEAREST).fetchall()[0][0]:
        photos.execute(_DELETE_MATCHED)


def _match_tails(photos: Connection) -> None:
    """Add the pairs to the table `matches`, and make the tables `unclear_a` and `unclear_b`.

    Args:
        photos: see `match`; `matches` has the pairs of equal names, and nothing else.

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


def explain_unmatched(rule: Rule, a: Matched, b: Matched) -> list[str]:
    """Say why photos have no match; nothing if most have one and none is unclear.

    Raises:
        UsageError: the rule goes by positions, and all photos of a side lack one.
    """
    return _explain_places(rule, a, b) if rule.by == "place" else _explain_names(a, b)


def _explain_places(rule: Rule, a: Matched, b: Matched) -> list[str]:
    lacking = [
        f"{count_of(side.photos, 'photo')} in {name}" for name, side in (("A", a), ("B", b)) if not _placed(side)
    ]
    if lacking:
        raise UsageError(
            f"No position in the EXIF or XMP of the {' and of the '.join(lacking)}, so --by place can match nothing. "
            "Leave it out to match by name."
        )
    hints = []
    if a.unplaced or b.unplaced:
        hints.append(
            f"No position: {a.unplaced:,} of {count_of(a.photos, 'photo')} in A, {b.unplaced:,} of {b.photos:,} in B. "
            "They cannot be matched by place; without --by place, photos match by name."
        )
    if a.alone == a.photos:
        hints.append(
            f"No photo in B is within {rule.within_m:g} m of one in A. Give a larger --within, or leave out --by place."
        )
    return hints


def _explain_names(a: Matched, b: Matched) -> list[str]:
    hints = []
    pairs = a.photos - a.alone
    if 2 * pairs < min(a.photos, b.photos):
        found = f"Only {count_of(pairs, 'photo')} in A" if pairs else "No photo in A"
        hints.append(
            f"{found} could be matched with one in B by the end of its path; A has {a.example}, B has {b.example}. "
            "Check that both show the same structure; photos with positions can be matched with --by place."
        )
    if a.unclear or b.unclear:
        hints.append(
            f"Paths of several photos end alike, so {a.unclear:,} in A and {b.unclear:,} in B are unclear. Score "
            "folders or archives whose names tell them apart, or try --by place."
        )
    return hints


def _placed(side: Matched) -> int:
    return side.photos - side.unplaced
