"""The estimate counts photos by archive and done ones, and measures the pace on a few photos."""

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipeline import storage
from pipeline.archives.listing import decode_listing
from pipeline.archives.members import Limits
from pipeline.dataset.layout import Layout
from pipeline.images.tiles import TileSpec
from pipeline.models.model import SHIPPED_MODEL, load_model
from pipeline.scoring.estimate import SAMPLE_PHOTOS, ArchiveEstimate, estimate
from pipeline.scoring.plan import expand_stream
from pipeline.scoring.reading import read_unit, split_units
from pipeline.scoring.scorer import ScoreRule, Scoring
from tests.helpers.brightness_engine import make_brightness
from tests.helpers.packing import NOTHING
from tests.helpers.plans import make_listed_plan, save_listed_plan


@pytest.fixture(scope="module")
def scoring() -> Scoring:
    """Brightness in place of the network."""
    return Scoring(load_model(SHIPPED_MODEL), ScoreRule(TileSpec(224, 0.25), threshold=0.5), make_brightness)


def test_photos_are_counted_by_archive(packed: dict[str, Path], tmp_path: Path, scoring: Scoring) -> None:
    """Done and unreadable ones among them; streams are uncounted, and the pace is of remaining photos."""
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"no zip")
    plan = make_listed_plan([str(packed["zip"]), str(packed["tgz"]), str(broken)], Layout(f"file://{tmp_path}/out"))
    done = plan.members["image_id"].drop_null().slice(0, 3)
    found = estimate(plan, done, scoring)
    photos = plan.members.filter(pc.is_in(plan.members["archive"], pa.array([f"file://{packed['zip']}"])))
    size_bytes = sum(photos["size_bytes"].to_pylist())
    in_zip = sum(image_id in photos["image_id"].to_pylist() for image_id in done.to_pylist())
    assert {*found.archives} == {
        ArchiveEstimate(f"file://{packed['zip']}", 12, size_bytes, in_zip, 0, 0),
        ArchiveEstimate(f"file://{packed['tgz']}", 0, 0, 0, 0, 1),
        ArchiveEstimate(f"file://{broken}", 1, 0, 3 - in_zip, 1, 0),
    }
    assert found.left == 10
    assert found.pace is not None
    assert found.pace.photos == SAMPLE_PHOTOS
    assert found.photos_per_s(2) == pytest.approx(2 * SAMPLE_PHOTOS / found.pace.seconds)


def test_the_estimate_opens_no_stream(packed: dict[str, Path], tmp_path: Path, scoring: Scoring) -> None:
    """A run has read the stream to its end, so its photos are known, but reading one would take as long as all."""
    path, layout = tmp_path / "night.tgz", Layout(f"file://{tmp_path}/out")
    shutil.copy(packed["tgz"], path)
    [stream] = split_units(save_listed_plan([str(path)], layout).members)
    *_, end = [row for table in read_unit(stream, Limits(), NOTHING) for row in table.to_pylist()]
    expand_stream(layout, decode_listing(end["ended"]))
    plan = make_listed_plan([str(path)], layout)
    storage.remove(f"file://{path}")
    found = estimate(plan, NOTHING, scoring)
    assert (found.left, found.pace, found.photos_per_s(2)) == (12, None, None)


def test_without_remaining_photos_there_is_no_pace(packed: dict[str, Path], tmp_path: Path, scoring: Scoring) -> None:
    """Nor a throughput."""
    plan = make_listed_plan([str(packed["zip"])], Layout(f"file://{tmp_path}/out"))
    found = estimate(plan, plan.members["image_id"], scoring)
    assert (found.left, found.pace, found.photos_per_s(2)) == (0, None, None)
