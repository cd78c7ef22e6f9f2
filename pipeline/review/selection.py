"""Choose the tiles of a dataset that are most worth a person's look.

The rule in full:

    A tile that was judged is not asked again: one whose photo has a verdict, whose middle lies in a tile with a
    verdict, or through which a crack with a verdict runs. A verdict on a photo that was scored anew since does not
    count. See `judged`.

    The pick `uncertain` ranks tiles by the distance of their score to the threshold in log-odds, since 0.01 and 0.02
    differ more than 0.51 and 0.52. Photos unlike the training data come after all others.

    The pick `worst` ranks doubtful tiles first, because a person who looks at an obvious crack learns nothing, and
    neither does the model. A tile is doubtful for the first of these reasons that holds; see `doubts`:

        unlike   it is over the threshold, and its photo is unlike the training data: grass, water, another material
        alone    it is over the threshold and none of its neighbours is; it has up to eight, by row and column
        gap      it is under the threshold, between two neighbours that are over it and lie opposite each other: to its
                 left and right, above and below, or along a diagonal, as where a crack is interrupted

    The higher its score, the worse a doubtful tile is; of a gap, the lower score of its two neighbours counts, and
    of several pairs the highest of these. Where no doubtful tile is left, the highest scores follow.

    Each photo offers its best tile; archives take turns, each with its best photo next, and the reasons take turns in
    an archive, so that a meadow does not fill all places. When photos run out, they offer a second tile, and more up
    to `per_photo`; no two tiles of one photo overlap.

    `both` fills half of the places with uncertain tiles, then the others with doubtful ones, and with uncertain ones
    where there are not as many.

    The pick `random` draws tiles by a hash of their address, each with the same chance, whatever their scores, photos
    and archives. Its weight is the number of tiles that it stands for: all that nobody has judged over those that
    were drawn, one over the chance of each. So sums of weights estimate numbers of tiles in the dataset.

A hundred tiles of the other picks come from a hundred photos, if there are as many. They are no fair sample and have no
weight: tiles that a model finds hard are far more frequent among them than in the field, so figures measured on them
say little about the field.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from operator import attrgetter
from typing import Literal, NamedTuple

from pipeline.core.errors import UsageError
from pipeline.dataset.sql import Connection
from pipeline.labels.boxes import Box
from pipeline.review.doubts import Doubt, find_doubts
from pipeline.review.judged import find_judged

Pick = Literal["uncertain", "worst", "random"]

_OFFERED = """
    WITH offers AS (
        SELECT tiles.*, doubt, {rank} AS rank
        FROM (FROM tiles ANTI JOIN judged USING (image_id, "row", col)) AS tiles
        LEFT JOIN {doubts} USING (image_id, "row", col) WHERE {condition}
    ), photos AS (
        SELECT part, image_id, archive, min(rank) AS best, arg_min(doubt, rank) AS doubt,
               image_id IN (SELECT image_id FROM out_of_domain) AS unlike
        FROM offers GROUP BY part, image_id, archive
    ), kinds AS (
        SELECT *, CASE WHEN doubt IS NOT NULL THEN 0 WHEN unlike THEN 2 ELSE 1 END AS late,
               row_number() OVER (PARTITION BY archive, doubt ORDER BY late, best, image_id) AS kind_turn
        FROM photos
    ), turns AS (
        SELECT *, row_number() OVER (PARTITION BY archive ORDER BY late, kind_turn, best, image_id) AS turn FROM kinds
    ), offering AS (
        SELECT part, image_id, row_number() OVER (ORDER BY late, turn, best, image_id) AS place FROM turns
        ORDER BY place LIMIT $photos
    )
    SELECT offers.archive, offers.image, offers.image_id, "row", col, top_px, left_px, height_px, width_px,
           crack_score, doubt
    FROM offers JOIN offering USING (part, image_id) ORDER BY place, rank, "row", col
"""
"""The tiles of as many photos as there are places, photo by photo; that is enough, as each has one to offer. Doubtful
ones come first where doubts count, and photos unlike the training data last where they do not."""

_NO_DOUBTS = "(FROM doubts LIMIT 0)"

_DRAWN = """
    WITH drawn AS (FROM tiles ANTI JOIN judged USING (image_id, "row", col))
    SELECT archive, image, image_id, "row", col, top_px, left_px, height_px, width_px, crack_score,
           (SELECT count(*) FROM drawn) AS offered
    FROM drawn ORDER BY md5(concat_ws('/', image_id, "row", col)), image_id, "row", col LIMIT $tiles
"""
"""The hash is chance enough, and the same in every run: an interrupted review draws the same tiles again."""

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
    doubt: Doubt | None = None
    """Why it is doubtful, if that is why it was picked."""
    weight: float | None = None
    """The number of tiles that it stands for, one over the chance that it had; None if it was not drawn."""


@dataclass(frozen=True)
class ReviewRule:
    """How many tiles, and which."""

    tiles: int
    picks: tuple[Pick, ...]
    """Each in turn fills its share of the places that are left."""
    per_photo: int
    """Most tiles of one photo; those that are drawn may be more."""
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
    find_judged(connection)
    find_doubts(connection, rule.threshold)
    if rule.picks == ("random",):
        return _draw(connection, rule.tiles)
    is_shared = len(rule.picks) > 1
    chosen: list[ReviewTile] = []
    for number, pick in enumerate(rule.picks):
        places = math.ceil((rule.tiles - len(chosen)) / (len(rule.picks) - number))
        chosen += _choose(connection, rule, _Share(pick, places, only_doubtful=is_shared), chosen)
    if is_shared and len(chosen) < rule.tiles:
        chosen += _choose(connection, rule, _Share(rule.picks[0], rule.tiles - len(chosen)), chosen)
    return chosen


class _Share(NamedTuple):
    """The next places to fill."""

    pick: Pick
    places: int
    only_doubtful: bool = False
    """Whether the worst tiles must be doubtful."""


def _choose(connection: Connection, rule: ReviewRule, share: _Share, chosen: Sequence[ReviewTile]) -> list[ReviewTile]:
    """Choose the next tiles of one pick, beside those that were chosen before."""
    before = Counter(tile.image_id for tile in chosen)
    ranked = _rank_tiles(connection, rule, share)
    offers = [(before[tiles[0].image_id], tiles) for tiles in _offer_tiles(ranked, rule.per_photo, chosen) if tiles]
    turns = range(rule.per_photo)
    in_turn = (tiles[turn - had] for turn in turns for had, tiles in offers if 0 <= turn - had < len(tiles))
    return list(islice(in_turn, share.places))


def _draw(connection: Connection, tiles: int) -> list[ReviewTile]:
    """Draw tiles, each with the same chance."""
    rows = connection.execute(_DRAWN, {"tiles": tiles}).fetchall()
    return [
        ReviewTile("random", archive, image, image_id, row, col, Box(*box), score, weight=offered / len(rows))
        for archive, image, image_id, row, col, *box, score, offered in rows
    ]


def _rank_tiles(connection: Connection, rule: ReviewRule, share: _Share) -> Iterator[ReviewTile]:
    """Yield the tiles of the photos that may offer some, photo by photo, the best of each photo first."""
    is_worst = share.pick == "worst"
    query = _OFFERED.format(
        rank=_rank_sql(share.pick, rule.threshold),
        doubts="doubts" if is_worst else _NO_DOUBTS,
        condition="doubt IS NOT NULL" if is_worst and share.only_doubtful else "true",
    )
    found = connection.execute(query, {"photos": rule.tiles})
    while rows := found.fetchmany(_ROWS):
        for archive, image, image_id, row, col, *box, crack_score, doubt in rows:
            yield ReviewTile(share.pick, archive, image, image_id, row, col, Box(*box), crack_score, doubt)


def _rank_sql(pick: Pick, threshold: float) -> str:
    """Return the rank of a tile in SQL; the smallest comes first."""
    if pick == "worst":
        return "if(doubt IS NULL, -crack_score, -1 - badness)"
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
