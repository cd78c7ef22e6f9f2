"""Precision and recall from verdicts: right where the sample is fair, and none where it is not."""

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline import storage
from pipeline.core.errors import UsageError
from pipeline.dataset.beside import VERDICTS
from pipeline.dataset.commit_log import table_bytes
from pipeline.dataset.layout import Layout
from pipeline.dataset.sql import query
from pipeline.evaluation.bootstrap import Bootstrap
from pipeline.evaluation.verdict_figures import Figure, measure_verdicts
from tests.helpers.small_dataset import BEGAN_AT, ok, write_dataset

PHOTOS = 40
FEW = Bootstrap(200)
TILES = "SELECT image_id, archive, image, left_px, top_px, width_px, height_px, crack_score, scored_at FROM tiles JOIN "
TILES += '(SELECT image_id, scored_at FROM images) USING (image_id) ORDER BY image_id, "row", col'


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Forty photos of 12 tiles, whose scores are spread evenly; half of them are over the threshold."""
    rows = []
    for number in range(PHOTOS):
        row = ok(f"{number:03d}.jpg", 300, 310)
        chance = [hashlib.sha256(f"{number} {n}".encode()).digest()[0] / 255 for n in range(len(row["grid"]))]
        grid = [tile | {"crack_score": score} for tile, score in zip(row["grid"], chance, strict=True)]
        over = sum(score >= 0.5 for score in chance)
        rows.append(
            row | {"grid": grid, "crack_score": max(chance), "crack_tiles": over, "max_tile_score": max(chance)}
        )
    return write_dataset(str(tmp_path / "out"), [rows])


def tiles_of(layout: Layout) -> list[dict[str, Any]]:
    """All tiles."""
    return query(layout.url, TILES).to_pylist()


def is_cracked(tile: dict[str, Any]) -> bool:
    """The truth: cracked where the score is high or, by chance, not; so precision and recall are known."""
    return (hashlib.sha256(str(sorted(tile.items(), key=str)).encode()).digest()[0] < 200) == (
        tile["crack_score"] >= 0.5
    )


def judge(layout: Layout, tiles: list[dict[str, Any]], name: str = "a", minutes: int = 0, **others: Any) -> None:  # noqa: ANN401
    """Save the truth about some tiles as verdicts."""
    at = BEGAN_AT + timedelta(days=1, minutes=minutes)
    rows = []
    for number, tile in enumerate(tiles):
        said = {"verdict_id": f"{name}{number}", "subject": "tile", "cracks": [], "by": "ann", "judged_at": at}
        said |= {"recorded_at": at, "verdict": "crack" if is_cracked(tile) else "no_crack"}
        rows.append({key: value for key, value in tile.items() if key != "crack_score"} | said | others)
    table = pa.Table.from_pylist(rows, VERDICTS)
    storage.write_whole(storage.join(layout.url, "verdicts", f"{name}.parquet"), table_bytes(table))


def truth(tiles: list[dict[str, Any]]) -> tuple[float, float]:
    """Precision and recall of all tiles."""
    cracked, over = (
        np.array([test(tile) for tile in tiles]) for test in (is_cracked, lambda t: t["crack_score"] >= 0.5)
    )
    return (cracked & over).sum() / over.sum(), (cracked & over).sum() / cracked.sum()


def test_a_fair_sample_gives_figures(layout: Layout) -> None:
    """A quarter of the tiles, each standing for four: the intervals hold what all tiles have."""
    tiles = tiles_of(layout)
    judge(layout, tiles[::4], pick="random", weight=4.0)
    found = measure_verdicts(layout.url, resampling=FEW)
    assert (found.sampled, found.before, found.photos) == (len(tiles) // 4, 0, PHOTOS)
    for figure, right in zip((found.precision, found.recall), truth(tiles), strict=True):
        assert figure is not None
        assert figure.interval is not None
        low, high = figure.interval
        assert low < figure.value < high
        assert low < right < high


def test_weights_undo_the_sampling(layout: Layout) -> None:
    """High scores sampled four times as densely as low ones: the figures are those of the weighted sums."""
    tiles = tiles_of(layout)
    high = [tile for tile in tiles if tile["crack_score"] >= 0.5]
    low = [tile for tile in tiles if tile["crack_score"] < 0.5]
    judge(layout, high, "a", pick="random", weight=1.0)
    judge(layout, low[::4], "b", pick="random", weight=4.0)
    found = measure_verdicts(layout.url, resampling=FEW)
    hits, missed = sum(map(is_cracked, high)), sum(map(is_cracked, low[::4]))
    assert found.precision is not None
    assert found.recall is not None
    assert found.precision.value == pytest.approx(hits / len(high))
    assert found.recall.value == pytest.approx(hits / (hits + 4 * missed))


def test_hard_picks_alone_give_none(layout: Layout) -> None:
    """They are counted, and nothing is estimated from them."""
    judge(layout, tiles_of(layout)[:50], pick="worst")
    found = measure_verdicts(layout.url)
    assert (found.judged, found.sampled, found.precision, found.recall) == (50, 0, None, None)


def test_tiles_judged_before_the_sample_stand_for_themselves(layout: Layout) -> None:
    """Since the sample is one of the others; tiles that are picked later say nothing that the sample does not."""
    tiles = tiles_of(layout)
    judge(layout, tiles[:100], "a", pick="worst")
    judge(layout, tiles[100::3], "b", minutes=1, pick="random", weight=3.0)
    judge(layout, tiles[101::3], "c", minutes=2, pick="worst")
    found = measure_verdicts(layout.url, resampling=FEW)
    assert (found.sampled, found.before) == (len(tiles[100::3]), 100)
    known = [(tile, 1) for tile in tiles[:100]] + [(tile, 3) for tile in tiles[100::3]]
    over = [(tile, weight) for tile, weight in known if tile["crack_score"] >= 0.5]
    assert found.precision is not None
    assert found.precision.value == pytest.approx(
        sum(weight for tile, weight in over if is_cracked(tile)) / sum(weight for _, weight in over)
    )


def test_a_sampled_tile_that_is_judged_again_stays_in_the_sample(layout: Layout) -> None:
    """With its last answer, and the weight of its sample; unclear ones are left out, and counted."""
    tiles = tiles_of(layout)[:60]
    judge(layout, tiles, "a", pick="random", weight=2.0)
    judge(layout, tiles[:5], "b", minutes=1, pick="worst", verdict="unclear")
    judge(layout, tiles[5:6], "c", minutes=1, pick="worst")
    found = measure_verdicts(layout.url, resampling=FEW)
    assert (found.sampled, found.before, found.unclear) == (55, 0, 5)


def test_a_box_that_is_no_tile_is_left_out(layout: Layout) -> None:
    """It has no score."""
    tiles = tiles_of(layout)[:3]
    judge(layout, [tiles[0] | {"left_px": 7}, *tiles[1:]], pick="random", weight=2.0)
    found = measure_verdicts(layout.url)
    assert (found.sampled, found.unscored) == (2, 1)


def test_few_photos_have_no_interval(layout: Layout) -> None:
    """Their resamples would be hardly different."""
    judge(layout, tiles_of(layout)[:30], pick="random", weight=2.0)
    found = measure_verdicts(layout.url)
    assert found.precision is not None
    assert found.precision.interval is None


def test_perfect_figures_are_not_certain(layout: Layout) -> None:
    """All of some photos agree: the interval reaches as far as one of all right answers in as many photos."""
    over = [tile for tile in tiles_of(layout) if tile["crack_score"] >= 0.5]
    judge(layout, over, pick="random", weight=1.0, verdict="crack")
    found = measure_verdicts(layout.url, resampling=FEW)
    photos = len({tile["image_id"] for tile in over})
    assert found.precision == Figure(1.0, (pytest.approx(0.025 ** (1 / photos)), 1.0))


def test_a_ratio_of_nothing_is_none(layout: Layout) -> None:
    """No tile over the threshold, or no cracked one."""
    judge(layout, tiles_of(layout)[:60], pick="random", weight=1.0, verdict="no_crack")
    assert measure_verdicts(layout.url, resampling=FEW).recall is None
    assert measure_verdicts(layout.url, threshold=1.0, resampling=FEW).precision is None


def test_a_threshold_is_needed(tmp_path: Path) -> None:
    """Where the model names none."""
    layout = write_dataset(str(tmp_path / "none"), card={})
    with pytest.raises(UsageError, match=r"names no threshold\. Give --threshold"):
        measure_verdicts(layout.url)
