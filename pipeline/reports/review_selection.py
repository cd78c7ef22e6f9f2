"""Which tiles of a dataset are most worth a person's look.

The rule, in full:

    Tiles are ranked: uncertain ones by how near their score is to the threshold, in log-odds, since 0.01 and 0.02
    differ more than 0.51 and 0.52; worst ones by their score. Each photo offers its best tile; archives take turns,
    each with its best photo next. Only where photos run out, photos offer a second tile, and so on up to `per_photo`;
    of one photo no two tiles overlap. `both` is uncertain ones for half of the places, and then worst ones.

So a hundred tiles come of a hundred photos, where there are so many. They are no fair sample: what a model finds hard
is among them far more often than in the field, so figures measured on them say little about it.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from operator import attrgetter
from typing import Any, Literal

from pipeline.core.errors import UsageError
from pipeline.labels.boxes import Box

Pick = Literal["uncertain", "worst"]

_OFFERED = """
    WITH photos AS (
        SELECT part, image_id, archive, min({rank}) AS best FROM tiles GROUP BY part, image_id, archive
    ), turns AS (
        SELECT *, row_number() OVER (PARTITION BY archive ORDER BY best, image_id) AS turn FROM photos
    ), offering AS (
        SELECT part, image_id, row_number() OVER (ORDER BY turn, best, image_id) AS place FROM turns
        ORDER BY place LIMIT $photos
    )
    SELECT tiles.archive, tiles.image, tiles.image_id, "row", col, top_px, left_px, height_px, width_px, crack_score
    FROM tiles JOIN offering USING (part, image_id) ORDER BY place, {rank}, "row", col
"""
"""The tiles of as many photos as there are places, photo by photo; that is enough, for each has one to offer."""

_NEARLY_0 = 1e-9
"""Keeps the log-odds of 0 and 1 finite."""

_ROWS = 10_000
"""Of a query's result in memory at once."""


@dataclass(frozen=True)
class ReviewTile:
    """A tile that is worth a look."""

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
    """In turn; each fills its share of the places that are left."""
    per_photo: int
    """No more tiles of one photo."""
    threshold: float
    """Scores near it are uncertain."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.tiles < 1 or self.per_photo < 1:
            raise UsageError("--tiles and --per-photo must be at least 1.")
        if not 0 <= self.threshold <= 1:
            raise UsageError(f"--threshold is {self.threshold:g}; expected a score from 0 to 1.")


def choose(connection: Any, rule: ReviewRule) -> list[ReviewTile]:  # noqa: ANN401 - DuckDB's, which only `results` knows
    """Choose tiles by the rule above, the most worthy first.

    Args:
        connection: DuckDB with a dataset's views.
        rule: how many, and which.
    """
    chosen: list[ReviewTile] = []
    for number, pick in enumerate(rule.picks):
        places = math.ceil((rule.tiles - len(chosen)) / (len(rule.picks) - number))
        offers = list(_offers(_ranked(connection, rule, pick), rule.per_photo, chosen))
        in_turn = (offer[turn] for turn in range(rule.per_photo) for offer in offers if turn < len(offer))
        chosen += islice(in_turn, places)
    return chosen


def _ranked(connection: Any, rule: ReviewRule, pick: Pick) -> Iterator[ReviewTile]:  # noqa: ANN401 - as above
    """Yield the tiles of the photos that may offer some, photo by photo, each photo's best first."""
    found = connection.execute(_OFFERED.format(rank=_rank(pick, rule.threshold)), {"photos": rule.tiles})
    while rows := found.fetchmany(_ROWS):
        for archive, image, image_id, row, col, *box, crack_score in rows:
            yield ReviewTile(pick, archive, image, image_id, row, col, Box(*box), crack_score)


def _rank(pick: Pick, threshold: float) -> str:
    """Return what ranks tiles, in SQL; the smaller the sooner."""
    if pick == "worst":
        return "-crack_score"
    score = "CAST(crack_score AS DOUBLE)"
    odds = f"greatest({score}, {_NEARLY_0}) / greatest(1 - {score}, {_NEARLY_0})"
    line = math.log(max(threshold, _NEARLY_0) / max(1 - threshold, _NEARLY_0))
    return f"abs(ln({odds}) - ({line!r}))"


def _offers(ranked: Iterator[ReviewTile], per_photo: int, chosen: Sequence[ReviewTile]) -> Iterator[list[ReviewTile]]:
    """Yield what each photo offers: its best tiles that do not overlap, nor with those chosen of it before."""
    before = defaultdict[str, list[ReviewTile]](list)
    for tile in chosen:
        before[tile.image_id].append(tile)
    for image_id, tiles in groupby(ranked, attrgetter("image_id")):
        taken = [*before[image_id]]
        for tile in tiles:
            if len(taken) < per_photo and not any(_overlap(tile.box, other.box) for other in taken):
                taken.append(tile)
        yield taken[len(before[image_id]) :]


def _overlap(one: Box, other: Box) -> bool:
    down = one.top_px < other.top_px + other.height_px and other.top_px < one.top_px + one.height_px
    return down and one.left_px < other.left_px + other.width_px and other.left_px < one.left_px + one.width_px
