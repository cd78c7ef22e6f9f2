"""What a dataset says of an inspection: every figure is known beforehand."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import storage
from pipeline.core.errors import UsageError
from pipeline.dataset.layout import Layout
from pipeline.dataset.sql import Connection
from pipeline.reports import dataset_stats
from pipeline.reports.dataset_stats import Totals
from tests.helpers.scored_photos import photo, scored, zipped

NINE = datetime(2026, 5, 1, 9)  # noqa: DTZ001 - EXIF has no zone
NORTH = {
    "bad.png": photo(250, NINE, (48.1, 11.5)),
    "fair.png": photo(102, NINE + timedelta(hours=1), (48.1002, 11.5)),
    "broken.png": b"no photo",
    "empty.png": b"",
}
SOUTH = {"good.png": photo(51, place=(0.0, 0.0)), "sky.png": photo(26, red=255), "far.png": photo(10, place=(-33, 18))}


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """Seven photos of two archives, two of them failed and one strange."""
    folder = tmp_path_factory.mktemp("inspection")
    return scored(folder / "out", zipped(folder / "north.zip", NORTH), zipped(folder / "south.zip", SOUTH))


@pytest.fixture
def photos(layout: Layout) -> Iterator[Connection]:
    """The photos of that dataset, counted at the model's threshold."""
    with dataset_stats.statistics_of(layout, None) as connection:
        yield connection


def test_totals(photos: Connection) -> None:
    """Photos, failures, cracks and tiles are counted once each."""
    assert dataset_stats.totals(photos) == Totals(7, 2, 1, 30, 1, 1, float(np.float32(250 / 255)))
    assert dataset_stats.archives(photos) == 2


def test_another_threshold_moves_the_line(layout: Layout) -> None:
    """Nothing is scored again."""
    with dataset_stats.statistics_of(layout, 0.15) as photos:
        found = dataset_stats.totals(photos)
    assert (found.cracked, found.crack_tiles) == (3, 3)


def test_figures_by_archive_add_up(photos: Connection) -> None:
    """The worst archive comes first."""
    north, south = dataset_stats.by_archive(photos)
    assert (storage.name(north.archive), north.photos, north.failed, north.cracked, north.scored) == (
        "north.zip", 4, 2, 1, 2)  # fmt: skip
    assert (storage.name(south.archive), south.photos, south.failed, south.out_of_domain) == ("south.zip", 3, 0, 1)
    assert south.worst_score == pytest.approx(51 / 255)


def test_the_histogram_has_every_scored_photo(photos: Connection) -> None:
    """Forty steps of a fortieth."""
    counts = dataset_stats.histogram(photos)
    assert len(counts) == dataset_stats.HISTOGRAM_BINS
    assert [number for number, count in enumerate(counts) for _ in range(count)] == [1, 4, 8, 16, 39]


def test_failures_are_counted_by_kind(photos: Connection) -> None:
    """Each with a photo and what was said of it."""
    found = [(row.kind, row.stage, row.photos, row.example) for row in dataset_stats.failures(photos)]
    assert found == [("empty_file", "decode", 1, "empty.png"), ("not_an_image", "decode", 1, "broken.png")]


def test_a_run_is_told_with_its_photos(photos: Connection) -> None:
    """All were scored by one run."""
    [run] = dataset_stats.runs(photos)
    assert (run.run_id, run.photos) == ("one", 7)
    assert run.began_at <= run.ended_at


def test_the_list_begins_with_the_worst_and_ends_with_failures(photos: Connection) -> None:
    """As many as are asked for."""
    names = dataset_stats.listed(photos, 100)["image"].to_pylist()
    assert names == ["bad.png", "fair.png", "good.png", "sky.png", "far.png", "broken.png", "empty.png"]
    assert dataset_stats.listed(photos, 2)["image"].to_pylist() == ["bad.png", "fair.png"]


def test_the_tiles_of_a_photo_come_with_their_scores(photos: Connection) -> None:
    """In the order of the grid; the worst is the right lower one."""
    ids = dataset_stats.listed(photos, 1)["image_id"].to_pylist()
    [row] = dataset_stats.photo_rows(photos, ids)
    tiles = dataset_stats.tile_scores(photos, [row])[row["image_id"]]
    assert (tiles.height_px, tiles.width_px, len(tiles.tiles)) == (100, 150, 6)
    assert np.allclose(tiles.scores, [0, 0, 0, 0, 0, 250 / 255])
    assert tiles.worst[2:] == (50, 100, 50, 50)


def test_the_strangest_photos(photos: Connection) -> None:
    """Those over the domain threshold of the model's card."""
    [image_id] = dataset_stats.most_out_of_domain(photos, 5)
    assert dataset_stats.photo_rows(photos, [image_id])[0]["image"] == "sky.png"


@settings(max_examples=5)
@given(st.lists(st.floats(0, 1, width=32), max_size=40))
def test_no_score_falls_out_of_the_histogram(scores: list[float]) -> None:
    """Also 0 and 1."""
    import duckdb

    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE photos (crack_score FLOAT, status VARCHAR)")
        for score in scores:
            connection.execute("INSERT INTO photos VALUES (?, 'ok')", [score])
        assert sum(dataset_stats.histogram(connection)) == len(scores)


def test_an_empty_dataset_has_figures(tmp_path: Path) -> None:
    """All are nought."""
    layout = scored(tmp_path / "out", zipped(tmp_path / "one.zip", {"broken.png": b"no"}))
    with dataset_stats.statistics_of(layout, None) as photos:
        assert dataset_stats.totals(photos) == Totals(1, 1, 0, 0, 0, 0, None)
        assert sum(dataset_stats.histogram(photos)) == 0


def test_no_dataset_is_refused(tmp_path: Path) -> None:
    """As everywhere."""
    with (
        pytest.raises(UsageError, match="There is no dataset"),
        dataset_stats.statistics_of(Layout(f"file://{tmp_path}"), None),
    ):
        pass
