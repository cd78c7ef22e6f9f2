"""What a plan comes to: photos by archive, what is done, and a pace measured on photos that can be had at once."""

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
from pipeline.scoring.estimate import TRIED_PHOTOS, ArchiveEstimate, estimate
from pipeline.scoring.plan import keep_ended
from pipeline.scoring.reading import read_unit, units
from pipeline.scoring.scorer import ScoreRule, Scoring
from tests.helpers.brightness_engine import make_brightness
from tests.helpers.packing import NOTHING
from tests.helpers.plans import kept, planned


@pytest.fixture(scope="module")
def scoring() -> Scoring:
    """Brightness in place of the network."""
    return Scoring(load_model(SHIPPED_MODEL), ScoreRule(TileSpec(224, 0.25), threshold=0.5), make_brightness)


def test_photos_are_summed_up_by_archive(packed: dict[str, Path], tmp_path: Path, scoring: Scoring) -> None:
    """What is done and what cannot be read among them; a stream is uncounted, and the time is of what is left."""
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"no zip")
    plan = planned([str(packed["zip"]), str(packed["tgz"]), str(broken)], Layout(f"file://{tmp_path}/out"))
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
    assert found.pace.photos == TRIED_PHOTOS
    assert found.photos_per_s(2) == pytest.approx(2 * TRIED_PHOTOS / found.pace.seconds)


def test_what_is_left_of_a_stream_is_not_looked_into(packed: dict[str, Path], tmp_path: Path, scoring: Scoring) -> None:
    """Its photos are known once it was read to its end, but one of them would take as long as the whole archive."""
    place, layout = tmp_path / "night.tgz", Layout(f"file://{tmp_path}/out")
    shutil.copy(packed["tgz"], place)
    [stream] = units(kept([str(place)], layout).members)
    *_, end = [row for table in read_unit(stream, Limits(), NOTHING) for row in table.to_pylist()]
    keep_ended(layout, decode_listing(end["ended"]))
    plan = planned([str(place)], layout)
    storage.remove(f"file://{place}")
    found = estimate(plan, NOTHING, scoring)
    assert (found.left, found.pace, found.photos_per_s(2)) == (12, None, None)


def test_nothing_is_tried_where_nothing_is_left(packed: dict[str, Path], tmp_path: Path, scoring: Scoring) -> None:
    """There is no pace, and no time."""
    plan = planned([str(packed["zip"])], Layout(f"file://{tmp_path}/out"))
    found = estimate(plan, plan.members["image_id"], scoring)
    assert (found.left, found.pace, found.photos_per_s(2)) == (0, None, None)
