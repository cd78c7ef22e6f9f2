"""The rule that chooses tiles to review, against the scores in a dataset."""

import math
from collections import Counter
from itertools import combinations, product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import UsageError
from pipeline.dataset.layout import Layout
from pipeline.dataset.sql import views
from pipeline.review.selection import Pick, ReviewRule, ReviewTile, choose_tiles
from tests.helpers.small_dataset import ok, write_dataset
from tests.helpers.two_inspections import CARD, photos, write_inspections

SCORED = [row for row in photos() if row["status"] == "ok"]
LIKE = [row for row in SCORED if row["domain_score"] < CARD["domain_threshold"]]
"""Photos that are like the training data."""
ARCHIVES = sorted({row["archive"] for row in SCORED})
NEARLY_0 = 1e-9


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """Two bridges in two months; tiles overlap by a quarter."""
    return write_inspections(tmp_path_factory.mktemp("inspected"))


def choose(layout: Layout, tiles: int, *picks: Pick, per_photo: int = 1, threshold: float = 0.5) -> list[ReviewTile]:
    """The tiles that a rule chooses."""
    with views(layout) as connection:
        return choose_tiles(connection, ReviewRule(tiles, picks, per_photo, threshold))


def log_odds(score: float) -> float:
    """Log-odds of a score, finite."""
    return math.log(max(score, NEARLY_0) / max(1 - score, NEARLY_0))


def doubts_of(row: dict[str, Any], threshold: float) -> dict[tuple[int, int], tuple[str, float]]:
    """The doubtful tiles of a photo, each with its reason and how bad it is, by row and column."""
    scores = {(tile["row"], tile["col"]): tile["crack_score"] for tile in row["grid"]}
    is_unlike, found = row["domain_score"] >= CARD["domain_threshold"], {}
    for (down, across), score in scores.items():
        steps = [step for step in product((-1, 0, 1), repeat=2) if step != (0, 0)]
        near = {step: scores.get((down + step[0], across + step[1]), 0.0) for step in steps}
        between = max(min(near[step], near[-step[0], -step[1]]) for step in steps)
        has_neighbour = any((down + step[0], across + step[1]) in scores for step in steps)
        if score >= threshold and is_unlike:
            found[down, across] = "unlike", score
        elif score >= threshold and has_neighbour and max(near.values()) < threshold:
            found[down, across] = "alone", score
        elif score < threshold <= between and not is_unlike:
            found[down, across] = "gap", between
    return found


@pytest.mark.parametrize("threshold", [0.5, 0.125])
def test_the_first_tiles_are_each_archives_most_uncertain(threshold: float, layout: Layout) -> None:
    """With as many places as archives, the best tile of each archive is there, the best of them first."""
    ranks = [
        min(
            distance(tile["crack_score"], threshold)
            for row in LIKE
            if row["archive"] == archive
            for tile in row["grid"]
        )
        for archive in ARCHIVES
    ]
    found = choose(layout, len(ARCHIVES), "uncertain", threshold=threshold)
    assert sorted(tile.archive for tile in found) == ARCHIVES
    assert [distance(tile.crack_score, threshold) for tile in found] == pytest.approx(sorted(ranks))


def distance(score: float, threshold: float) -> float:
    """How uncertain a score is; the smallest is most so."""
    return abs(log_odds(score) - log_odds(threshold))


@pytest.mark.parametrize("threshold", [0.5, 0.25, 0.125])
def test_the_worst_are_the_doubtful_ones(threshold: float, layout: Layout) -> None:
    """Counted by hand: one of each photo that has some, its worst one and why, before all that are sure."""
    expected = {row["image_id"]: doubts_of(row, threshold) for row in SCORED}
    doubtful = {image_id: doubts for image_id, doubts in expected.items() if doubts}
    reasons = {reason for doubts in doubtful.values() for reason, _ in doubts.values()}
    assert reasons >= ({"alone", "unlike"} if threshold == 0.5 else {"alone", "gap", "unlike"})
    found = choose(layout, len(SCORED), "worst", threshold=threshold)
    assert {tile.image_id for tile in found[: len(doubtful)]} == doubtful.keys()
    for tile in found[: len(doubtful)]:
        doubts = doubtful[tile.image_id]
        assert (tile.doubt, max(bad for _, bad in doubts.values())) == doubts[tile.row, tile.col]
    rest = found[len(doubtful) :]
    assert all(tile.doubt is None for tile in rest)
    assert len(found) == len(SCORED)


def test_each_archive_offers_its_worst_doubt_first(layout: Layout) -> None:
    """The worst archive first, and none of its second photos before the first of another."""
    worst = dict.fromkeys(ARCHIVES, 0.0)
    for row in SCORED:
        bad = [bad for _, bad in doubts_of(row, 0.125).values()]
        worst[row["archive"]] = max(worst[row["archive"]], *bad, 0.0)
    found = choose(layout, len(ARCHIVES), "worst", threshold=0.125)
    assert [tile.archive for tile in found] == sorted(ARCHIVES, key=lambda archive: -worst[archive])


@given(
    tiles=st.integers(1, 130),
    per_photo=st.integers(1, 4),
    picks=st.sampled_from([("uncertain",), ("worst",), ("uncertain", "worst")]),
)
@settings(max_examples=12)
def test_the_rule_holds(layout: Layout, tiles: int, per_photo: int, picks: tuple[Pick, ...]) -> None:
    """The numbers stay in their limits, no tile comes twice or overlaps another, and all have their scores."""
    found = choose(layout, tiles, *picks, per_photo=per_photo)
    assert len(found) <= tiles
    assert len(found) == tiles or len(found) > len(SCORED) - len(picks)
    assert max(Counter(tile.image_id for tile in found).values()) <= per_photo
    for one, other in combinations(found, 2):
        if one.image_id == other.image_id:
            apart_px = [abs(one.box.top_px - other.box.top_px), abs(one.box.left_px - other.box.left_px)]
            assert max(apart_px) >= 100
    written_scores = {
        (row["image_id"], tile["row"], tile["col"]): tile["crack_score"] for row in SCORED for tile in row["grid"]
    }
    assert all(written_scores[tile.image_id, tile.row, tile.col] == tile.crack_score for tile in found)


def test_archives_take_turns(layout: Layout) -> None:
    """Of forty tiles of four archives, each archive has ten."""
    assert Counter(tile.archive for tile in choose(layout, 40, "uncertain")) == dict.fromkeys(ARCHIVES, 10)


def test_a_second_tile_of_a_photo_comes_after_the_first_of_all(layout: Layout) -> None:
    """First one tile of every photo, then second ones."""
    found = choose(layout, len(SCORED) + 5, "uncertain", per_photo=3)
    assert len({tile.image_id for tile in found[: len(SCORED)]}) == len(SCORED)
    assert len(found) == len(SCORED) + 5


def row_of(name: str, *scores: float, like: bool = True) -> dict[str, Any]:
    """A photo of a row of tiles, each of which overlaps the next."""
    row = ok(name, 100, 25 + 75 * len(scores)) | {"domain_score": 0.0 if like else 9.0}
    assert len(row["grid"]) == len(scores)
    tiles = [tile | {"crack_score": score} for tile, score in zip(row["grid"], scores, strict=True)]
    return row | {"grid": tiles, "crack_score": max(scores), "max_tile_score": max(scores)}


def test_of_one_photo_the_best_tiles_that_do_not_overlap_are_chosen(tmp_path: Path) -> None:
    """By hand: a row of four tiles, none doubtful, each overlaps the next; the best, then the best of the rest."""
    layout = write_dataset(str(tmp_path / "out"), [[row_of("a.jpg", 0.75, 0.875, 0.5, 0.625)]])
    assert [tile.crack_score for tile in choose(layout, 9, "worst", per_photo=9)] == [0.875, 0.625]


CARD_OF_ROWS = {"threshold": 0.5, "domain_threshold": 2.0}


def test_doubts_come_before_obvious_cracks(tmp_path: Path) -> None:
    """By hand: a lone tile, a gap between two, grass; then what is sure, the highest first, also of one tile."""
    rows = {
        "obvious.jpg": (0.99, 0.98, 0.97),
        "alone.jpg": (0.125, 0.25, 0.875),
        "gap.jpg": (0.75, 0.8125, 0.25, 0.8125, 0.75),
        "sound.jpg": (0.25, 0.125, 0.25),
    }
    made = [row_of(name, *scores) for name, scores in rows.items()]
    made += [row_of("grass.jpg", 0.625, 0.6875, 0.625, like=False), one_tile("one", 0.9375)]
    layout = write_dataset(str(tmp_path / "scores"), [made], card=CARD_OF_ROWS)
    assert {(tile.image, tile.doubt, tile.crack_score) for tile in choose(layout, 3, "worst")} == {
        ("alone.jpg", "alone", 0.875), ("gap.jpg", "gap", 0.25), ("grass.jpg", "unlike", 0.6875),
    }  # fmt: skip
    sure = choose(layout, 6, "worst")[3:]
    assert {tile.image for tile in sure} == {"obvious.jpg", "one", "sound.jpg"}
    assert sure[-1].image == "sound.jpg"
    assert [tile.doubt for tile in sure] == [None] * 3


def test_reasons_take_turns(tmp_path: Path) -> None:
    """Ten photos of a meadow, however high their scores, leave room for what else there is."""
    meadow = [row_of(f"meadow-{number}.jpg", 0.99, 0.98, like=False) for number in range(10)]
    others = [row_of("pier-0.alone.jpg", 0.625, 0.25, 0.25), row_of("pier-00.gap.jpg", 0.75, 0.75, 0.25, 0.75, 0.75)]
    one = [row | {"archive": "file:///photos/one.zip"} for row in (*meadow, *others)]
    layout = write_dataset(str(tmp_path / "scores"), [one], card=CARD_OF_ROWS)
    assert {tile.doubt for tile in choose(layout, 3, "worst")} == {"unlike", "alone", "gap"}


def test_uncertain_tiles_of_photos_unlike_the_training_data_come_last(tmp_path: Path) -> None:
    """Grass may score as it likes."""
    rows = [row_of("grass.jpg", 0.5, 0.25, like=False), row_of("a.jpg", 0.0, 0.0), row_of("b.jpg", 0.0, 0.0)]
    layout = write_dataset(str(tmp_path / "scores"), [rows], card=CARD_OF_ROWS)
    assert [tile.image for tile in choose(layout, 3, "uncertain")][-1] == "grass.jpg"


def test_both_takes_uncertain_tiles_where_nothing_is_doubtful(tmp_path: Path) -> None:
    """Nobody is asked about obvious cracks; a photo's second tile comes after the first of all."""
    rows = [row_of(f"{number}.jpg", 0.99, 0.98 - number / 64, 0.97) for number in range(6)]
    layout = write_dataset(str(tmp_path / "scores"), [rows], card=CARD_OF_ROWS)
    found = choose(layout, 6, "uncertain", "worst", per_photo=2)
    assert [tile.pick for tile in found] == ["uncertain"] * 6
    assert len({tile.image for tile in found}) == 6


def test_a_fair_sample_has_the_weight_of_what_it_stands_for(layout: Layout) -> None:
    """Each tile once, all the same weight, and their sum is the number of tiles; a larger one begins with it."""
    tiles = sum(len(row["grid"]) for row in SCORED)
    found = choose(layout, 40, "random")
    assert sum(tile.weight or 0 for tile in found) == pytest.approx(tiles)
    assert {tile.weight for tile in found} == {tiles / 40}
    assert len({(tile.image_id, tile.row, tile.col) for tile in found}) == 40
    larger = choose(layout, 10_000, "random")
    assert {tile.weight for tile in larger} == {1.0}
    assert [(tile.image_id, tile.box) for tile in larger[:40]] == [(tile.image_id, tile.box) for tile in found]
    assert all(tile.weight is None for tile in choose(layout, 4, "uncertain", "worst"))


def test_a_fair_sample_knows_no_score(layout: Layout) -> None:
    """Its share of cracked tiles is about that of all: four standard errors of 150 tiles."""
    scores = [tile["crack_score"] for row in SCORED for tile in row["grid"]]
    drawn = [tile.crack_score for tile in choose(layout, 150, "random")]
    share, found = (sum(score >= 0.25 for score in each) / len(each) for each in (scores, drawn))
    assert abs(found - share) < 4 * math.sqrt(share * (1 - share) / 150)


def one_tile(name: str, score: float) -> dict[str, Any]:
    """A photo of one tile."""
    row = ok(name, 100, 100)
    return row | {"grid": [row["grid"][0] | {"crack_score": score}], "domain_score": 0.0}


def test_nearness_is_measured_in_log_odds(tmp_path: Path) -> None:
    """By hand, at a threshold of 0.05: 0.11 is more uncertain than 0.001, though that is nearer; 0 and 1 are least."""
    names = {"aa": 0.11, "bb": 0.001, "cc": 0.0, "dd": 1.0}
    layout = write_dataset(str(tmp_path / "out"), [[one_tile(name, score) for name, score in names.items()]])
    found = choose(layout, 4, "uncertain", threshold=0.05)
    assert [tile.image for tile in found] == ["aa", "bb", "cc", "dd"]


def test_a_dataset_without_tiles_offers_none(tmp_path: Path) -> None:
    """Before the first scored photo there is nothing to look at."""
    assert choose(write_dataset(str(tmp_path / "out"), []), 5, "worst") == []


@pytest.mark.parametrize(("tiles", "per_photo", "threshold"), [(0, 1, 0.5), (1, 0, 0.5), (1, 1, 1.5), (1, 1, math.nan)])
def test_wrong_rules_are_refused(tiles: int, per_photo: int, threshold: float) -> None:
    """Numbers outside their ranges."""
    with pytest.raises(UsageError, match=r"--tiles and --per-photo must be|--threshold is"):
        ReviewRule(tiles, ("worst",), per_photo, threshold)
