"""Changes of scores between two inspections or two models: rose, fell, new, gone; and their agreement.

SQL makes a table and figures from the matches of `photo_matching`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from pipeline.core.table_schemas import CHANGES
from pipeline.dataset.sql import Connection
from pipeline.reports.dataset_stats import read_rows

KINDS = ("rose", "fell", "same", "new", "gone", "failed", "unclear")
"""Each photo, or pair of photos, is one of these: `rose` and `fell` say what the score did, `failed` if one of a pair
has no score, `unclear` if the other side may have the photo, but the rule cannot tell."""

_CREATE_CHANGES = """
    CREATE OR REPLACE TEMP TABLE changes AS
    WITH pair AS (
        SELECT m.is_unclear, m.distance_m, a.image_id AS image_id_a, b.image_id AS image_id_b,
               a.archive AS archive_a, b.archive AS archive_b, a.image AS image_a, b.image AS image_b,
               a.crack_score AS crack_score_a, b.crack_score AS crack_score_b,
               b.crack_score::DOUBLE - a.crack_score::DOUBLE AS difference,
               a.crack_tiles AS crack_tiles_a, b.crack_tiles AS crack_tiles_b, a.tiles AS tiles_a, b.tiles AS tiles_b,
               a.captured_at AS captured_at_a, b.captured_at AS captured_at_b,
               coalesce(b.latitude, a.latitude) AS latitude, coalesce(b.longitude, a.longitude) AS longitude
        FROM matches m LEFT JOIN a ON a.image_id = m.a LEFT JOIN b ON b.image_id = m.b)
    SELECT CASE WHEN is_unclear THEN 'unclear' WHEN image_id_a IS NULL THEN 'new' WHEN image_id_b IS NULL THEN 'gone'
                WHEN difference IS NULL THEN 'failed' WHEN difference >= $margin THEN 'rose'
                WHEN difference <= -$margin THEN 'fell' ELSE 'same' END AS change, * EXCLUDE (is_unclear)
    FROM pair
"""

_ORDERED = """
    SELECT * FROM changes ORDER BY
        list_position(['rose', 'fell', 'new', 'gone', 'same', 'failed', 'unclear'], change),
        abs(difference) DESC NULLS LAST, greatest(crack_score_a, crack_score_b) DESC NULLS LAST,
        coalesce(image_b, image_a), image_id_a, image_id_b
"""

_AGREEMENT = """
    SELECT count(*) FILTER (crack_tiles_a > 0 AND crack_tiles_b > 0) AS both,
           count(*) FILTER (crack_tiles_a > 0 AND crack_tiles_b = 0) AS only_a,
           count(*) FILTER (crack_tiles_a = 0 AND crack_tiles_b > 0) AS only_b,
           count(*) FILTER (crack_tiles_a = 0 AND crack_tiles_b = 0) AS neither,
           avg(difference) AS mean_difference, avg(abs(difference)) AS mean_distance
    FROM changes WHERE difference IS NOT NULL
"""


@dataclass(frozen=True)
class Agreement:
    """How far two datasets agree on which of their common photos are cracked."""

    both: int
    """Photos with a cracked tile in both."""
    only_a: int
    only_b: int
    neither: int
    mean_difference: float | None
    """Mean of the scores in B minus those in A; None if no photo is in both."""
    mean_distance: float | None
    """Mean of their absolute values."""

    @property
    def photos(self) -> int:
        """Photos with a score in both."""
        return self.both + self.only_a + self.only_b + self.neither

    @property
    def share(self) -> float | None:
        """Share of photos on which both agree."""
        return (self.both + self.neither) / self.photos if self.photos else None

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa: 1 is full agreement, 0 that of chance; None if chance alone would agree on all."""
        if not self.photos:
            return None
        yes_a, yes_b = self.both + self.only_a, self.both + self.only_b
        no_a, no_b = self.photos - yes_a, self.photos - yes_b
        by_chance = yes_a * yes_b + no_a * no_b  # times photos squared: the comparison of whole numbers is exact
        if by_chance == self.photos**2:
            return None
        return (self.photos * (self.both + self.neither) - by_chance) / (self.photos**2 - by_chance)


def make_changes(photos: Connection, margin: float) -> None:
    """Make the table `changes`, a row for each row of `matches`.

    Args:
        photos: has the tables `a` and `b` with scores, and `matches`, see `photo_matching.match`.
        margin: photos whose scores differ by less are the `same`; more than 0.
    """
    photos.execute(_CREATE_CHANGES, {"margin": margin})


def count_changes(photos: Connection) -> Mapping[str, int]:
    """Count the changes of each kind."""
    found = read_rows(photos, "SELECT change, count(*) AS photos FROM changes GROUP BY change")
    return dict.fromkeys(KINDS, 0) | {row["change"]: row["photos"] for row in found}


def measure_agreement(photos: Connection) -> Agreement:
    """Count the photos on which both sides agree."""
    return Agreement(**read_rows(photos, _AGREEMENT)[0])


def read_changes(photos: Connection) -> pa.Table:
    """Return the changes, schema `CHANGES`: scores that rose first, then those that fell, the largest changes first."""
    return photos.sql(_ORDERED).to_arrow_table().cast(CHANGES)
