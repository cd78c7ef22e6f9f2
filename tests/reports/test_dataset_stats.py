"""Statistics of a dataset whose figures are all known beforehand, and its photos as dots."""

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
from tests.helpers.scored_photos import photo, score_archives, zip_photos

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
    """Seven photos of two archives: two of them failed, and one is out of domain."""
    folder = tmp_path_factory.mktemp("inspection")
    return score_archives(
        folder / "out", zip_photos(folder / "north.zip", NORTH), zip_photos(folder / "south.zip", SOUTH)
    )


@pytest.fixture
def photos(layout: Layout) -> Iterator[Connection]:
    """The photos of that dataset, counted at the model's threshold."""
    with dataset_stats.open_photos(layout, None) as connection:
        yield connection


def test_totals(photos: Connection) -> None:
    """Photos, failures, cracks and tiles count once each."""
    assert dataset_stats.count_totals(photos) == Totals(7, 2, 1, 30, 1, 1, float(np.float32(250 / 255)))
    assert dataset_stats.count_groups(photos, "archive") == 2


def test_another_threshold_moves_the_line(layout: Layout) -> None:
    """The counts change without new scores."""
    with dataset_stats.open_photos(layout, 0.15) as photos:
        found = dataset_stats.count_totals(photos)
    assert (found.cracked, found.crack_tiles) == (3, 3)


def test_figures_by_archive_add_up(photos: Connection) -> None:
    """The worst archive comes first."""
    north, south = dataset_stats.count_by_group(photos, "archive")
    assert (storage.name(north.archive), north.photos, north.failed, north.cracked, north.scored) == (
        "north.zip", 4, 2, 1, 2)  # fmt: skip
    assert (storage.name(south.archive), south.photos, south.failed, south.out_of_domain) == ("south.zip", 3, 0, 1)
    assert south.worst_score == pytest.approx(51 / 255)


def test_the_histogram_has_every_scored_photo(photos: Connection) -> None:
    """In forty bins of a fortieth."""
    counts = dataset_stats.count_by_score(photos)
    assert len(counts) == dataset_stats.HISTOGRAM_BINS
    assert [number for number, count in enumerate(counts) for _ in range(count)] == [1, 4, 8, 16, 39]


def test_failures_are_counted_by_kind(photos: Connection) -> None:
    """Each kind has a photo and its message."""
    found = [(row.kind, row.stage, row.photos, row.example) for row in dataset_stats.count_failures(photos)]
    assert found == [("empty_file", "decode", 1, "empty.png"), ("not_an_image", "decode", 1, "broken.png")]


def test_a_run_has_its_photos_and_times(photos: Connection) -> None:
    """One run scored all photos."""
    [run] = dataset_stats.list_runs(photos)
    assert (run.run_id, run.photos) == ("one", 7)
    assert run.began_at <= run.ended_at


def test_the_list_begins_with_the_worst_and_ends_with_failures(photos: Connection) -> None:
    """No more than the limit; a photo unlike the training data comes after all others that have a score."""
    names = dataset_stats.list_photos(photos, 100)["image"].to_pylist()
    assert names == ["bad.png", "fair.png", "good.png", "far.png", "sky.png", "broken.png", "empty.png"]
    assert dataset_stats.list_photos(photos, 2)["image"].to_pylist() == ["bad.png", "fair.png"]


def test_photos_come_by_area_of_crack_where_cracks_were_measured(tmp_path: Path) -> None:
    """Length times width, in square pixels unless all have a scale; unknown widths are a pixel. Then the score decides.

    a has 20.5 x 1.5 + 21.5 x 1 + 22.5 x 3.5 square pixels, b 20.5 x 1.5 and so does c, of a lower score.
    """
    photos = {"c.png": photo(9), "b.png": photo(50), "a.png": photo(5), "none.png": photo(250)}
    archive, cracks = zip_photos(tmp_path / "one.zip", photos), {"a.png": 3, "b.png": 1, "c.png": 1}
    some = {"c.png": 5.0, "a.png": 0.1}
    for scale, order in ((some, "abc"), (some | {"b.png": 1.0}, "cba")):
        layout = score_archives(tmp_path / order, archive, cracks=cracks, mm_per_px=scale)
        with dataset_stats.open_photos(layout, None) as opened:
            names = dataset_stats.list_photos(opened, 9)["image"].to_pylist()
        assert names == [f"{letter}.png" for letter in order] + ["none.png"]


def test_the_tiles_of_a_photo_come_with_their_scores(photos: Connection) -> None:
    """In the order of the grid; the lower right one is the worst."""
    ids = dataset_stats.list_photos(photos, 1)["image_id"].to_pylist()
    [row] = dataset_stats.read_photos(photos, ids)
    tiles = dataset_stats.read_tile_scores(photos, [row])[row["image_id"]]
    assert (tiles.height_px, tiles.width_px, len(tiles.tiles)) == (100, 150, 6)
    assert np.allclose(tiles.scores, [0, 0, 0, 0, 0, 250 / 255])
    assert tiles.worst[2:] == (50, 100, 50, 50)


def test_photos_out_of_domain(photos: Connection) -> None:
    """Photos over the domain threshold of the model card."""
    [image_id] = dataset_stats.find_out_of_domain(photos, 5)
    assert dataset_stats.read_photos(photos, [image_id])[0]["image"] == "sky.png"


@settings(max_examples=5)
@given(st.lists(st.floats(0, 1, width=32), max_size=40))
def test_no_score_falls_out_of_the_histogram(scores: list[float]) -> None:
    """Not even 0 and 1."""
    import duckdb

    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE photos (crack_score FLOAT, status VARCHAR)")
        for score in scores:
            connection.execute("INSERT INTO photos VALUES (?, 'ok')", [score])
        assert sum(dataset_stats.count_by_score(connection)) == len(scores)


def test_an_empty_dataset_has_figures(tmp_path: Path) -> None:
    """All figures are 0."""
    layout = score_archives(tmp_path / "out", zip_photos(tmp_path / "one.zip", {"broken.png": b"no"}))
    with dataset_stats.open_photos(layout, None) as photos:
        assert dataset_stats.count_totals(photos) == Totals(1, 1, 0, 0, 0, 0, None)
        assert sum(dataset_stats.count_by_score(photos)) == 0


def test_no_dataset_is_refused(tmp_path: Path) -> None:
    """The same error as in every command."""
    with (
        pytest.raises(UsageError, match="There is no dataset"),
        dataset_stats.open_photos(Layout(f"file://{tmp_path}"), None),
    ):
        pass


def test_positions_are_dots_and_bad_ones_are_left_out(photos: Connection) -> None:
    """0, 0 is no position."""
    dots, left_out = dataset_stats.list_places(photos)
    assert {dot.image for dot in dots} | {"far.png"} == {"bad.png", "fair.png", "far.png"}
    assert sum(dot.photos for dot in dots) + left_out == 3


def test_one_position_far_from_many_is_left_out_and_counted(tmp_path: Path) -> None:
    """The plan shows the bridge, not the way to the last position of the camera."""
    near = {f"{number:03d}.png": photo(9, place=(48.1 + number / 1e5, 11.5)) for number in range(60)}
    layout = score_archives(
        tmp_path / "out", zip_photos(tmp_path / "one.zip", near | {"far.png": photo(9, place=(-33, 18))})
    )
    with dataset_stats.open_photos(layout, None) as photos:
        dots, left_out = dataset_stats.list_places(photos)
    assert (sum(dot.photos for dot in dots), left_out) == (60, 1)


def test_moments_have_time_and_score(photos: Connection) -> None:
    """Photos without a time have no dot; the worst comes last, over the others."""
    dots = dataset_stats.list_moments(photos)
    assert [dot.image for dot in dots] == ["fair.png", "bad.png"]
    assert dots[1].x - dots[0].x == -3600
    assert dots[1].y == pytest.approx(250 / 255)


def test_photos_of_one_place_and_of_one_moment_are_one_dot(tmp_path: Path) -> None:
    """It has the score and the name of the worst photo."""
    burst = {f"{number}.png": photo(number, NINE, (48.1, 11.5)) for number in (200, 201, 203, 202)}
    layout = score_archives(
        tmp_path / "out", zip_photos(tmp_path / "one.zip", burst | {"other.png": photo(0, NINE, (48.2, 11.5))})
    )
    with dataset_stats.open_photos(layout, None) as photos:
        _, here = dataset_stats.list_places(photos)[0]
        _, now = dataset_stats.list_moments(photos)
    assert (here.photos, here.image) == (4, "203.png")
    assert here.score == pytest.approx(203 / 255)
    assert (now.photos, now.image) == (4, "203.png")


def test_photos_without_position_and_time_have_no_dot(tmp_path: Path) -> None:
    """None is left out, either."""
    layout = score_archives(tmp_path / "out", zip_photos(tmp_path / "one.zip", {"a.png": photo(1)}))
    with dataset_stats.open_photos(layout, None) as photos:
        assert dataset_stats.list_places(photos) == ([], 0)
        assert dataset_stats.list_moments(photos) == []
