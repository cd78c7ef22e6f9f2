"""The estimate counts photos by archive, and computes the time of a job from a sample that stands for all."""

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import storage
from pipeline.archives.listing import decode_listing
from pipeline.archives.members import Limits
from pipeline.cluster.session import Node
from pipeline.dataset.layout import Layout
from pipeline.scoring.estimate import (
    ArchiveCounts,
    Counts,
    Pace,
    PhotoCost,
    SamplePhoto,
    choose_sample,
    count_plan,
    mean_cost,
    relative_error,
)
from pipeline.scoring.placement import Placement
from pipeline.scoring.plan import expand_stream
from pipeline.scoring.reading import read_unit, split_units
from pipeline.scoring.rehearsal import list_seekable
from tests.helpers.packing import NOTHING
from tests.helpers.plans import make_listed_plan, save_listed_plan

MB = 1_000_000
sizes = st.lists(st.integers(0, 50 * MB), min_size=1, max_size=300)


def make_pace(cost: PhotoCost, scorers: int = 2, readers: int = 1) -> Pace:
    """A pace of one sampled photo."""
    return Pace((SamplePhoto(cost, 1.0),), 1, Placement(scorers, 0.5, 0.0), (Node(readers * 2),), 10.0, 3.0)


def make_counts(left: int, left_bytes: int) -> Counts:
    """Counts of what is left."""
    return Counts((), {}, left, left_bytes, 0)


def test_photos_are_counted_by_archive(packed: dict[str, Path], tmp_path: Path) -> None:
    """Done and unreadable ones among them; streams are uncounted."""
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"no zip")
    plan = make_listed_plan([str(packed["zip"]), str(packed["tgz"]), str(broken)], Layout(f"file://{tmp_path}/out"))
    done = plan.members["image_id"].drop_null().slice(0, 3)
    todo = plan.without(done)
    found = count_plan(plan, done, todo)
    photos = plan.members.filter(pc.is_in(plan.members["archive"], pa.array([f"file://{packed['zip']}"])))
    size_bytes = sum(photos["size_bytes"].to_pylist())
    in_zip = sum(image_id in photos["image_id"].to_pylist() for image_id in done.to_pylist())
    assert {*found.archives} == {
        ArchiveCounts(f"file://{packed['zip']}", 12, size_bytes, in_zip, 0, 0),
        ArchiveCounts(f"file://{packed['tgz']}", 0, 0, 0, 0, 1),
        ArchiveCounts(f"file://{broken}", 1, 0, 3 - in_zip, 1, 0),
    }
    assert (found.left, found.uncounted) == (10, 1)
    assert 0 < found.left_bytes < size_bytes
    assert count_plan(plan, done, todo.slice(0, 4)).left == 3  # and the stream


def test_no_photo_of_a_stream_is_tried(packed: dict[str, Path], tmp_path: Path) -> None:
    """A run has read the stream to its end, so its photos are known, but reading one would take as long as all."""
    path, layout = tmp_path / "night.tgz", Layout(f"file://{tmp_path}/out")
    shutil.copy(packed["tgz"], path)
    [stream] = split_units(save_listed_plan([str(path)], layout).members)
    *_, end = [row for table in read_unit(stream, Limits(), NOTHING) for row in table.to_pylist()]
    expand_stream(layout, decode_listing(end["ended"]))
    plan = make_listed_plan([str(path)], layout)
    storage.remove(f"file://{path}")
    assert count_plan(plan, NOTHING, plan.members).left == 12
    assert list_seekable(plan.members).num_rows == 0


@given(sizes, st.integers(1, 80))
def test_large_photos_are_never_left_out(sizes_bytes: list[int], most: int) -> None:
    """Each photo that takes a point's share of all bytes is tried, and weighs less than smaller ones."""
    chosen = choose_sample(sizes_bytes, most)
    points = min(most, len(sizes_bytes))
    assert len(chosen) == points
    weights = {sizes_bytes[index]: weight for index, weight in chosen}
    assert sorted(weights, reverse=True) == sorted(weights, key=weights.__getitem__)
    tried = {sizes_bytes[index] for index, _ in chosen}
    mean = sum(sizes_bytes) / len(sizes_bytes) or 1
    assert all(size in tried for size in sizes_bytes if 1 + size / mean > 1.001 * 2 * len(sizes_bytes) / points)


@given(st.integers(1, 300), st.integers(1, 80), st.integers(0, 9))
def test_photos_of_one_size_have_one_weight(photos: int, most: int, size_bytes: int) -> None:
    """None is tried twice."""
    chosen = dict(choose_sample([size_bytes] * photos, most))
    assert len(chosen) == min(most, photos)
    assert len({*chosen.values()}) == 1


@pytest.mark.parametrize(("tried", "tolerance"), [(8, 0.2), (16, 0.15), (64, 0.05)])
def test_few_large_photos_count_as_few(tried: int, tolerance: float) -> None:
    """Ten of two hundred photos take two thirds of the time; every beginning of the sample knows."""
    small, large = PhotoCost(12, 0, 0.05, 0), PhotoCost(252, 0, 2.0, 0)
    sizes_bytes = [MB // 10] * 190 + [5 * MB] * 10
    sample = [
        SamplePhoto(large if sizes_bytes[index] > MB else small, weight)
        for index, weight in choose_sample(sizes_bytes, 64)[:tried]
    ]
    assert mean_cost(sample).score_s == pytest.approx((190 * 0.05 + 10 * 2.0) / 200, rel=tolerance)


def test_photos_that_cost_the_same_are_known_at_once() -> None:
    """The error is that of a mean: it falls with the root of their number, and with their likeness."""
    alike = [SamplePhoto(PhotoCost(1, 0, 0.5, 0.5), weight) for weight in (1.0, 5.0)]
    assert relative_error(alike) == 0
    unlike = [SamplePhoto(PhotoCost(1, 0, seconds, 0), 1.0) for seconds in (1.0, 3.0)]
    assert relative_error(unlike) == pytest.approx(0.5 / 2**0.5)
    assert relative_error(unlike * 4) == pytest.approx(0.25 / 2**0.5)
    assert relative_error([SamplePhoto(PhotoCost(0, 0, 0, 0), 1.0)]) == 0


def test_scorers_share_the_photos() -> None:
    """Start and end come once; the time of maps is told apart."""
    pace = make_pace(PhotoCost(tiles=63, read_s=0.01, score_s=0.2, map_s=0.1))
    needed = pace.job_time(make_counts(20, 20 * MB))
    assert (needed.start_s, needed.photos_s, needed.maps_s, needed.end_s) == pytest.approx((10.0, 2.0, 1.0, 3.0))
    assert needed.total_s == pytest.approx(16.0)
    assert pace.photos_per_s == pytest.approx(2 / 0.3)


def test_a_scorer_without_work_helps_nobody() -> None:
    """One photo, or many small ones that are handed over together, keep one scorer busy."""
    pace = make_pace(PhotoCost(tiles=63, read_s=0.0, score_s=0.2, map_s=0.0), scorers=8)
    assert pace.job_time(make_counts(1, 20 * MB)).photos_s == pytest.approx(0.2)
    assert pace.job_time(make_counts(40, MB)).photos_s == pytest.approx(8.0)


def test_slow_storage_sets_the_pace() -> None:
    """Two scorers have one reader, and wait for it."""
    pace = make_pace(PhotoCost(tiles=63, read_s=1.0, score_s=0.2, map_s=0.1))
    needed = pace.job_time(make_counts(20, 20 * MB))
    assert needed.photos_s + needed.maps_s == pytest.approx(20.0)
    assert pace.photos_per_s == pytest.approx(1.0)
