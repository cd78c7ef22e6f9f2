"""Scoring on a real Ray: no archive format, batch size or actor moves a score, and no failure loses a photo."""

import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.core.errors import StorageError
from pipeline.dataset.layout import Layout
from pipeline.images.tiles import TileSpec
from pipeline.models.model import SHIPPED_MODEL, Model, load_model
from pipeline.models.torch_engine import TorchEngine
from pipeline.scoring.placement import ScorerOptions
from pipeline.scoring.plan import list_photos
from pipeline.scoring.ray_data import score_photos
from pipeline.scoring.scorer import ScoreRule, Scoring
from tests.helpers.plans import NOTHING, make_listed_plan

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_of_two")]

Boxes = dict[str, list[dict[str, float]]]


@pytest.fixture(scope="module")
def model() -> Model:
    """Load the shipped model."""
    return load_model(SHIPPED_MODEL)


def score_boxes(members: pa.Table, model: Model, batch_tiles: int = 32, actors: int = 2) -> dict[str, Boxes]:
    """Score photos; return the tiles of each, by archive and name."""
    rule = ScoreRule(TileSpec(224, 0.25), threshold=0.5, batch_tiles=batch_tiles)
    tables = list(score_photos(members, Scoring(model, rule, TorchEngine), ScorerOptions(actors, "cpu"), NOTHING))
    rows = [row for table in tables for row in table.to_pylist() if row["ended"] is None]
    found: dict[str, Boxes] = {}
    for row in rows:
        found.setdefault(row["archive"], {})[row["image"].removeprefix("./")] = row["grid"]
    assert sum(map(len, found.values())) == len(rows)
    return found


@pytest.fixture(scope="module")
def reference(photos: Path, model: Model, tmp_path_factory: pytest.TempPathFactory) -> Boxes:
    """Score the photos as a folder."""
    layout = Layout(f"file://{tmp_path_factory.mktemp('plan')}")
    [boxes] = score_boxes(make_listed_plan([str(photos)], layout).members, model).values()
    return boxes


def test_the_archive_format_moves_no_score(
    packed: dict[str, Path], model: Model, reference: Boxes, tmp_path: Path
) -> None:
    """In a zip, tar and tgz, the photos have the same boxes and scores as in a folder, to the last bit."""
    plan = make_listed_plan([str(packed[kind]) for kind in ("zip", "tar", "tgz")], Layout(f"file://{tmp_path}"))
    found = score_boxes(plan.members, model)
    assert len(found) == 3
    assert all(boxes == reference for boxes in found.values())


@pytest.mark.parametrize(("batch_tiles", "actors"), [(7, 2), (64, 1)])
def test_batches_and_actors_move_no_score(
    batch_tiles: int, actors: int, photos: Path, model: Model, reference: Boxes, tmp_path: Path
) -> None:
    """Batch size and number of scorers change only the speed."""
    plan = make_listed_plan([str(photos)], Layout(f"file://{tmp_path}"))
    [found] = score_boxes(plan.members, model, batch_tiles, actors).values()
    assert found.keys() == reference.keys()
    for image, tiles in reference.items():
        for tile, expected in zip(found[image], tiles, strict=True):
            assert tile == pytest.approx(expected, abs=1e-5)


def test_scores_differ_from_tile_to_tile(reference: Boxes) -> None:
    """So the comparisons above compare something."""
    assert len({tile["crack_score"] for tiles in reference.values() for tile in tiles}) > 12


def test_a_crackscan_error_of_a_worker_arrives_unchanged(packed: dict[str, Path], model: Model, tmp_path: Path) -> None:
    """A folder that vanishes with its archive during scoring ends the run with the message of the storage."""
    vanishing = tmp_path / "in" / "photos.tar"
    vanishing.parent.mkdir()
    vanishing.write_bytes(packed["tar"].read_bytes())
    plan = make_listed_plan([str(vanishing)], Layout(f"file://{tmp_path}"))
    shutil.rmtree(vanishing.parent)
    with pytest.raises(StorageError, match=r"photos\.tar could not be .*: it was not found"):
        score_boxes(plan.members, model)


def test_a_photo_that_vanishes_fails_alone(photos: Path, model: Model, tmp_path: Path) -> None:
    """A loose photo that is missing when its turn comes is one failed row; its neighbours are scored."""
    copies = [tmp_path / name for name in ("a.jpg", "b.jpg")]
    for copy in copies:
        copy.write_bytes((photos / "photo-01.jpg").read_bytes())
    members = list_photos(str(copy.as_uri()) for copy in copies)
    copies[0].unlink()
    rule = ScoreRule(TileSpec(224, 0.0), threshold=0.5)
    rows = pa.concat_tables(
        list(score_photos(members, Scoring(model, rule, TorchEngine), ScorerOptions(1, "cpu"), NOTHING))
    ).to_pylist()
    outcome = {row["image"]: (row["status"], row["failure_stage"], row["failure_kind"]) for row in rows}
    assert outcome == {"a.jpg": ("failed", "read", "vanished"), "b.jpg": ("ok", None, None)}
