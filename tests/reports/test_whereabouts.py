"""Where and when photos were taken, as dots."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pipeline.dataset.sql import Connection
from pipeline.reports import dataset_stats
from tests.helpers.scored_photos import photo, scored, zipped

NINE = datetime(2026, 5, 1, 9)  # noqa: DTZ001 - EXIF has no zone
PHOTOS = {
    "bad.png": photo(250, NINE, (48.1, 11.5)),
    "fair.png": photo(102, NINE + timedelta(hours=1), (48.1002, 11.5)),
    "nowhere.png": photo(51, place=(0.0, 0.0)),
    "far.png": photo(10, place=(-33, 18)),
    "broken.png": b"no photo",
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """Five photos, some of which tell where and when."""
    folder = tmp_path_factory.mktemp("whereabouts")
    with dataset_stats.statistics_of(scored(folder / "out", zipped(folder / "one.zip", PHOTOS)), None) as connection:
        yield connection


def test_positions_are_dots_and_bad_ones_are_left_out(photos: Connection) -> None:
    """0, 0 is no position."""
    dots, left_out = dataset_stats.places(photos)
    assert {dot.image for dot in dots} | {"far.png"} == {"bad.png", "fair.png", "far.png"}
    assert sum(dot.photos for dot in dots) + left_out == 3


def test_one_position_far_from_many_is_left_out_and_counted(tmp_path: Path) -> None:
    """A plan of the bridge, not of the way to the camera's last fix."""
    near = {f"{number:03d}.png": photo(9, place=(48.1 + number / 1e5, 11.5)) for number in range(60)}
    layout = scored(tmp_path / "out", zipped(tmp_path / "one.zip", near | {"far.png": photo(9, place=(-33, 18))}))
    with dataset_stats.statistics_of(layout, None) as photos:
        dots, left_out = dataset_stats.places(photos)
    assert (sum(dot.photos for dot in dots), left_out) == (60, 1)


def test_moments_tell_when_and_how_bad(photos: Connection) -> None:
    """Photos without a time are not drawn; the worst is drawn last, over the others."""
    dots = dataset_stats.moments(photos)
    assert [dot.image for dot in dots] == ["fair.png", "bad.png"]
    assert dots[1].x - dots[0].x == -3600
    assert dots[1].y == pytest.approx(250 / 255)


def test_photos_of_one_place_and_of_one_moment_are_one_dot(tmp_path: Path) -> None:
    """It has the worst photo's score and name."""
    burst = {f"{number}.png": photo(number, NINE, (48.1, 11.5)) for number in (200, 201, 203, 202)}
    layout = scored(tmp_path / "out", zipped(tmp_path / "one.zip", burst | {"other.png": photo(0, NINE, (48.2, 11.5))}))
    with dataset_stats.statistics_of(layout, None) as photos:
        _, here = dataset_stats.places(photos)[0]
        _, now = dataset_stats.moments(photos)
    assert (here.photos, here.image) == (4, "203.png")
    assert here.score == pytest.approx(203 / 255)
    assert (now.photos, now.image) == (4, "203.png")


def test_no_photo_that_tells_is_no_dot(tmp_path: Path) -> None:
    """And none is left out."""
    layout = scored(tmp_path / "out", zipped(tmp_path / "one.zip", {"a.png": photo(1)}))
    with dataset_stats.statistics_of(layout, None) as photos:
        assert dataset_stats.places(photos) == ([], 0)
        assert dataset_stats.moments(photos) == []
