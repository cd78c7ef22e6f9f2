"""Doubtful tiles: those whose score their neighbours or their photo speak against.

The rule stands in `selection`. Photos without a tile over the threshold have none, so that most tiles of a dataset are
never sorted into their rows and columns.
"""

from typing import Literal

from pipeline.dataset.sql import Connection

Doubt = Literal["unlike", "alone", "gap"]

WORDS: dict[Doubt, str] = {
    "unlike": "over the threshold in a photo unlike the training data",
    "alone": "over the threshold, and none of its neighbours is",
    "gap": "under the threshold between two neighbours that are over it",
}
"""Why a tile is doubtful, for people."""

_DOUBTS = """
    CREATE OR REPLACE TEMP TABLE doubts AS
    WITH of_photos AS (
        SELECT part, image_id, "row", col, crack_score, coalesce(crack_score >= $threshold::FLOAT, false) AS is_over
        FROM tiles SEMI JOIN (
            SELECT part, image_id FROM tiles WHERE crack_score >= $threshold::FLOAT
        ) USING (part, image_id)
    ), along AS (
        SELECT *, max(crack_score) OVER before AS west, max(crack_score) OVER after AS east,
               count(*) OVER around AS around, count(*) FILTER (is_over) OVER around AS over
        FROM of_photos WINDOW
            before AS (PARTITION BY image_id, "row" ORDER BY col RANGE BETWEEN 1 PRECEDING AND 1 PRECEDING),
            after AS (PARTITION BY image_id, "row" ORDER BY col RANGE BETWEEN 1 FOLLOWING AND 1 FOLLOWING),
            around AS (PARTITION BY image_id, "row" ORDER BY col RANGE BETWEEN 1 PRECEDING AND 1 FOLLOWING)
    ), across AS (
        SELECT image_id, "row", col, crack_score, is_over, west, east,
               max(crack_score) OVER above AS north, max(crack_score) OVER below AS south,
               max(west) OVER above AS north_west, max(east) OVER below AS south_east,
               max(east) OVER above AS north_east, max(west) OVER below AS south_west,
               sum(around) OVER beside AS around, sum(over) OVER beside AS over
        FROM along WINDOW
            above AS (PARTITION BY image_id, col ORDER BY "row" RANGE BETWEEN 1 PRECEDING AND 1 PRECEDING),
            below AS (PARTITION BY image_id, col ORDER BY "row" RANGE BETWEEN 1 FOLLOWING AND 1 FOLLOWING),
            beside AS (PARTITION BY image_id, col ORDER BY "row" RANGE BETWEEN 1 PRECEDING AND 1 FOLLOWING)
    ), told AS (
        SELECT *, image_id IN (SELECT image_id FROM out_of_domain) AS unlike, greatest(
            least(coalesce(west, 0), coalesce(east, 0)), least(coalesce(north, 0), coalesce(south, 0)),
            least(coalesce(north_west, 0), coalesce(south_east, 0)),
            least(coalesce(north_east, 0), coalesce(south_west, 0))
        ) AS opposite
        FROM across
    )
    SELECT image_id, "row", col, if(is_over, crack_score, opposite) AS badness,
           CASE WHEN is_over AND unlike THEN 'unlike'
                WHEN is_over AND over = 1 AND around > 1 THEN 'alone'
                WHEN NOT is_over AND NOT unlike AND opposite >= $threshold::FLOAT THEN 'gap' END AS doubt
    FROM told WHERE doubt IS NOT NULL
"""
"""`around` and `over` count a tile and its neighbours, and those of them over the threshold; a neighbour that is not
there, at an edge, counts as sound. Most tiles of grass lie between others: as gaps they would say the same twice."""


def find_doubts(connection: Connection, threshold: float) -> None:
    """Make the table `doubts`: `image_id`, `row` and `col` of each doubtful tile, its `doubt` and its `badness`.

    Args:
        connection: DuckDB with a dataset's views.
        threshold: the score from which on a tile counts as cracked.
    """
    connection.execute(_DOUBTS, {"threshold": threshold})
