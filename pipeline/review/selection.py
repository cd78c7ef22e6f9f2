"""Choose the tiles of a dataset that are most worth a person's look.

The rule in full:

    The pick `uncertain` ranks tiles by the distance of their score to the threshold in log-odds, since 0.01 and 0.02
    differ more than 0.51 and 0.52; the pick `worst` ranks them by their score. Each photo offers its best tile;
    archives take turns, each with its best photo next. When photos run out, they offer a second tile, and more up to
    `per_photo`; no two tiles of one photo overlap. `both` fills half of the places with uncertain tiles, then the
    others with worst ones.

So a hundred tiles come from a hundred photos, if there are as many. They are no fair sample: tiles that a model finds
hard are far more frequent among them than in the field, so figures measured on them say little about the field.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from operator import attrgetter
from typing import Literal

from pipeline.core.errors import UsageError
from pipeline.dataset.sql import Connection
from pipeline.labels.boxes import Box

Pick = Literal["uncertain", "worst"]

_OFFERED = """
    WITH photos AS (
        SELECT part, image_id, archive, min({rank}) AS best, image_id IN (SELECT image_id FROM out_of_domain) AS unlike
        FROM tiles GROUP BY part, image_id, archive
    ), turns AS (
        SELECT *, row_number() OVER (PARTITION BY archive ORDER BY unlike, best, image_id) AS turn FROM photos
    ), offering AS (
        SELECT part, image_id, row_number() OVER (ORDER BY unlike, turn, best, image_id) AS place FROM turns
        ORDER BY place LIMIT $photos
    )
    SELECT tiles.archive, tiles.image, tiles.image_id, "row", col, top_px, left_px, height_px, width_px, crack_score
    FROM tiles JOIN offering USING (part, image_id) ORDER BY place, {rank}, "row", col
"""
"""The tiles of as many photos as there are places, photo by photo; that is enough, as each has one to offer. Photos
unlike the training data, such as grass and water, come after all others."""

_NEARLY_0 = 1e-9
"""Keeps the log-odds of 0 and 1 finite."""

_ROWS = 10_000
"""Rows of a query's result in memory at once."""


@dataclass(frozen=True)
class ReviewTile:
    """A tile to review."""

    pick: Pick
    archive: str
    image: str
    image_id: str
    row: int
    col: int
    box: Box
    crack_score: float


@dataclass(frozen=True)
class ReviewRule:
    """How many tiles, and which."""

    tiles: int
    picks: tuple[Pick, ...]
    """Each in turn fills its share of the places that are left."""
    per_photo: int
    """Most tiles of one photo."""
    threshold: float
    """Scores near it are uncertain."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.tiles < 1 or self.per_photo < 1:
            raise UsageError("--tiles and --per-photo must be at least 1.")
        if not 0 <= self.threshold <= 1:
            raise UsageError(f"--threshold is {self.threshold:g}; expected a score from 0 to 1.")


def choose_tiles(connection: Connection, rule: ReviewRule) -> list[ReviewTile]:
    """Choose tiles by the rule above, the best ones first.

    Args:
        connection: DuckDB with a dataset's views.
        rule: how many tiles, and which.
    """
    chosen: list[ReviewTile] = []
    for number, pick in enumerate(rule.picks):
        places = math.ceil((rule.tiles - len(chosen)) / (len(rule.picks) - number))
        offers = list(_offer_tiles(_rank_tiles(connection, rule, pick), rule.per_photo, chosen))
        in_turn = (offer[turn] for turn in range(rule.per_photo) for offer in offers if turn < len(offer))
        chosen += islice(in_turn, places)
    return chosen


def _rank_tiles(connection: Connection, rule: ReviewRule, pick: Pick) -> Iterator[ReviewTile]:
    """Yield the tiles of the photos that may offer some, photo by photo, the best of each photo first."""
    found = connection.execute(_OFFERED.format(rank=_rank_sql(pick, rule.threshold)), {"photos": rule.tiles})
    while rows := found.fetchmany(_ROWS):
        for archive, image, image_id, row, col, *box, crack_score in rows:
            yield ReviewTile(pick, archive, image, image_id, row, col, Box(*box), crack_score)


def _rank_sql(pick: Pick, threshold: float) -> str:
    """Return the rank of a tile in SQL; the smallest comes first."""
    if pick == "worst":
        return "-crack_score"
    score = "CAST(crack_score AS DOUBLE)"
    odds = f"greatest({score}, {_NEARLY_0}) / greatest(1 - {score}, {_NEARLY_0})"
    line = math.log(max(threshold, _NEARLY_0) / max(1 - threshold, _NEARLY_0))
    return f"abs(ln({odds}) - ({line!r}))"


def _offer_tiles(
    ranked: Iterator[ReviewTile], per_photo: int, chosen: Sequence[ReviewTile]
) -> Iterator[list[ReviewTile]]:
    """Yield the offer of each photo: its best tiles that overlap neither each other nor tiles chosen before."""
    before = defaultdict[str, list[ReviewTile]](list)
    for tile in chosen:
        before[tile.image_id].append(tile)
    for image_id, tiles in groupby(ranked, attrgetter("image_id")):
        taken = [*before[image_id]]
        for tile in tiles:
            if len(taken) < per_photo and not any(_overlaps(tile.box, other.box) for other in taken):
                taken.append(tile)
        yield taken[len(before[image_id]) :]


def _overlaps(one: Box, other: Box) -> bool:
    down = one.top_px < other.top_px + other.height_px and other.top_px < one.top_px + one.height_px
    return down and one.left_px < other.left_px + other.width_px and other.left_px < one.left_px + one.width_px
