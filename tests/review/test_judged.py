"""What people have judged is not asked again."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline import storage
from pipeline.dataset.beside import VERDICTS
from pipeline.dataset.commit_log import table_bytes
from pipeline.dataset.layout import Layout
from pipeline.dataset.sql import views
from pipeline.review.judged import find_judged
from pipeline.review.selection import Pick, ReviewRule, choose_tiles
from tests.helpers.small_dataset import BEGAN_AT, address, ok, with_cracks, write_dataset

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
TILES = {"a.jpg": [(0, 0), (0, 1), (1, 0), (1, 1)], "b.jpg": [(0, 0), (0, 1), (1, 0), (1, 1)]}
"""Of photos of 175 x 175 pixels; tiles of 100 overlap by 25."""


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Two photos of four tiles; crack 0 of the first runs through its upper left tile only."""
    rows = [with_cracks(ok("a.jpg", 175, 175), 1), with_cracks(ok("b.jpg", 175, 175), 0)]
    return write_dataset(str(tmp_path / "out"), [rows])


def say(layout: Layout, image: str, subject: str, box: tuple[int, ...] | None = None, **others: Any) -> None:  # noqa: ANN401
    """Add a verdict; the box is left, top, width, height."""
    corners = dict(zip(("left_px", "top_px", "width_px", "height_px"), box or (None,) * 4, strict=True))
    row = {"verdict_id": f"{image}{subject}{box}{others}", "subject": subject, "verdict": "crack", "by": "ann"}
    row |= {"judged_at": NOON, "recorded_at": NOON, "scored_at": BEGAN_AT} | address(image) | corners | others
    row.pop("occurrence")
    name = f"{len(list(storage.list_files(layout.url)))}-{subject}.parquet"
    table = pa.Table.from_pylist([row], schema=VERDICTS)
    storage.write_whole(storage.join(layout.url, "verdicts", name), table_bytes(table))


def judged(layout: Layout) -> list[tuple[str, int, int]]:
    """The tiles that count as judged, by the names of their photos."""
    with views(layout) as connection:
        find_judged(connection)
        names = 'SELECT DISTINCT image, "row", col FROM judged JOIN images USING (image_id) ORDER BY ALL'
        return connection.execute(names).fetchall()


def test_without_verdicts_nothing_is_judged(layout: Layout) -> None:
    """All tiles may be asked."""
    assert judged(layout) == []


def test_a_verdict_on_a_photo_judges_all_its_tiles(layout: Layout) -> None:
    """And none of another photo."""
    say(layout, "a.jpg", "photo")
    assert judged(layout) == [("a.jpg", *tile) for tile in TILES["a.jpg"]]


@pytest.mark.parametrize("box", [(75, 0, 100, 100), (70, 0, 110, 108), (76, 1, 97, 97)])
def test_a_verdict_on_a_tile_judges_that_one(box: tuple[int, ...], layout: Layout) -> None:
    """Also if a tool gave its box back a little larger or smaller; not its neighbours, which overlap it."""
    say(layout, "a.jpg", "tile", box, verdict="unclear")
    assert judged(layout) == [("a.jpg", 0, 1)]


def test_a_verdict_on_a_crack_judges_the_tiles_it_runs_through(layout: Layout) -> None:
    """Its line counts, not the box around it."""
    say(layout, "a.jpg", "crack", (0, 0, 175, 175), cracks=[0])
    assert judged(layout) == [("a.jpg", 0, 0)]


def test_a_verdict_on_another_picture_judges_nothing(layout: Layout) -> None:
    """The photo was scored anew since, or is gone."""
    say(layout, "a.jpg", "photo", scored_at=NOON)
    say(layout, "gone.jpg", "photo")
    assert judged(layout) == []


@pytest.mark.parametrize("picks", [("uncertain",), ("worst",), ("uncertain", "worst"), ("random",)])
def test_what_is_judged_is_not_chosen(picks: tuple[Pick, ...], layout: Layout) -> None:
    """By any pick; a fair sample stands for what is left."""
    say(layout, "a.jpg", "photo")
    say(layout, "b.jpg", "tile", (0, 0, 100, 100))
    with views(layout) as connection:
        found = choose_tiles(connection, ReviewRule(8, picks, 4, 0.5))
    assert {tile.image for tile in found} == {"b.jpg"}
    assert (0, 0) not in {(tile.row, tile.col) for tile in found}
    assert len(found) == 3 or picks != ("random",)
    assert {tile.weight for tile in found} == ({1.0} if picks == ("random",) else {None})
