"""The rule that chooses tiles to review, against the scores in a dataset."""

import math
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any, get_args

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


def rank(pick: Pick, score: float, threshold: float) -> float:
    """The smallest rank comes first."""
    return -score if pick == "worst" else abs(log_odds(score) - log_odds(threshold))


@pytest.mark.parametrize("pick", get_args(Pick))
@pytest.mark.parametrize("threshold", [0.5, 0.125])
def test_the_first_tiles_are_each_archives_best(pick: Pick, threshold: float, layout: Layout) -> None:
    """With as many places as archives, the best tile of each archive is there, the best of them first."""
    expected = sorted(
        min(
            rank(pick, tile["crack_score"], threshold)
            for row in LIKE
            if row["archive"] == archive
            for tile in row["grid"]
        )
        for archive in ARCHIVES
    )
    found = choose(layout, len(ARCHIVES), pick, threshold=threshold)
    assert sorted(tile.archive for tile in found) == ARCHIVES
    assert [rank(pick, tile.crack_score, threshold) for tile in found] == pytest.approx(expected)


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
    assert Counter(tile.archive for tile in choose(layout, 40, "worst")) == dict.fromkeys(ARCHIVES, 10)


def test_a_second_tile_of_a_photo_comes_after_the_first_of_all(layout: Layout) -> None:
    """First one tile of every photo, then second ones."""
    found = choose(layout, len(SCORED) + 5, "uncertain", per_photo=3)
    assert len({tile.image_id for tile in found[: len(SCORED)]}) == len(SCORED)
    assert len(found) == len(SCORED) + 5


def test_of_one_photo_the_best_tiles_that_do_not_overlap_are_chosen(tmp_path: Path) -> None:
    """By hand: a row of four tiles, each overlaps the next; the best, then the best of the rest."""
    scores = [0.75, 0.875, 0.5, 0.625]
    row = ok("a.jpg", 100, 325)
    row["grid"] = [tile | {"crack_score": score} for tile, score in zip(row["grid"], scores, strict=True)]
    layout = write_dataset(str(tmp_path / "out"), [[row]])
    assert [tile.crack_score for tile in choose(layout, 9, "worst", per_photo=9)] == [0.875, 0.625]


def test_photos_unlike_the_training_data_come_last(tmp_path: Path) -> None:
    """Grass may score as it likes."""
    scores = {"grass.jpg": 9.0, "a.jpg": 1.0, "b.jpg": 1.0}
    rows = [ok(name) | {"domain_score": score} for name, score in scores.items()]
    layout = write_dataset(str(tmp_path / "scores"), [rows], card={"threshold": 0.5, "domain_threshold": 2.0})
    for pick in get_args(Pick):
        assert [tile.image for tile in choose(layout, 3, pick)][-1] == "grass.jpg"


def test_both_is_half_and_half(layout: Layout) -> None:
    """Uncertain ones first, one more of them if the number is odd, and no tile for both reasons."""
    found = choose(layout, 11, "uncertain", "worst", per_photo=2)
    assert [tile.pick for tile in found] == ["uncertain"] * 6 + ["worst"] * 5
    assert found[:6] == choose(layout, 6, "uncertain", per_photo=2)
    assert len({(tile.image_id, tile.row, tile.col) for tile in found}) == 11


def one_tile(name: str, score: float) -> dict[str, Any]:
    """A photo of one tile."""
    row = ok(name, 100, 100)
    return row | {"grid": [row["grid"][0] | {"crack_score": score}]}


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
