"""Cracks over windows in a dataset: joined when it is finished, gone when it grows, and kept by a compaction."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline import storage
from pipeline.core.progress import no_progress
from pipeline.core.table_schemas import SCORED
from pipeline.core.wkt import Line
from pipeline.dataset.compact import compact
from pipeline.dataset.diff import differences
from pipeline.dataset.layout import Layout
from pipeline.dataset.lease import hold
from pipeline.dataset.rasters import Raster, write_joined_cracks
from pipeline.dataset.sql import query
from pipeline.dataset.writer import open_writer
from pipeline.findings.scales import remove_scales, set_scales
from pipeline.scoring.inspection import join_pieces
from tests.helpers.raster_dataset import RASTER, window, write_raster_dataset
from tests.helpers.small_dataset import make_run, ok, with_cracks

FIRST, SECOND = np.array([[20.0, 50.0], [198.0, 60.0]]), np.array([[203.0, 60.0], [390.0, 70.0]])
OWN = np.array([[250.0, 150.0], [350.0, 190.0]])
"""Two parts of one crack, and a crack within the second window."""
CRACKS = "SELECT image, crack, length_px, length_mm, line_wkt, score FROM cracks ORDER BY image, crack"


def windows(*lines_of: list[Line], width: int = 200) -> list[dict[str, Any]]:
    """Windows side by side, with these lines."""
    return [window(0, width * number, lines) for number, lines in enumerate(lines_of)]


def finish(layout: Layout, rows: list[dict[str, Any]]) -> None:
    """End a run that finds nothing to do, as `scoring.flow` does."""
    with hold(layout, "two", lambda _holder: None) as lease:
        writer = open_writer(layout, make_run("two"), lease)
        ids = pa.chunked_array([[row["image_id"] for row in rows]], pa.string())
        writer.finish(ids, lambda: write_joined_cracks(layout, join_pieces))


def write(folder: Path, rows: list[dict[str, Any]]) -> Layout:
    """A dataset of one raster, finished."""
    layout = write_raster_dataset(str(folder / "out"), rows, [Raster(RASTER, 400, 200)], finish=False)
    finish(layout, rows)
    return layout


def test_a_crack_over_two_windows_is_one(tmp_path: Path) -> None:
    """It stands with the first window, numbered anew there; what lies in one window stays with that."""
    layout = write(tmp_path, windows([FIRST], [OWN, SECOND]))
    joined, own = query(layout.url, CRACKS).to_pylist()
    assert (joined["image"], joined["crack"]) == ("r000000c000000", 0)
    assert joined["length_px"] == pytest.approx(178.28 + 5.0 + 187.27, abs=0.1)
    assert joined["length_mm"] == pytest.approx(0.5 * joined["length_px"])
    assert joined["line_wkt"] == "MULTILINESTRING ((20.0 50.0, 198.0 60.0, 203.0 60.0, 390.0 70.0))"
    assert (own["image"], own["crack"]) == ("r000000c000200", 0)
    assert query(layout.url, "SELECT DISTINCT archive FROM cracks").to_pylist() == [{"archive": RASTER}]


def test_the_committed_rows_stay(tmp_path: Path) -> None:
    """Window by window, as their photos count them."""
    layout = write(tmp_path, windows([FIRST], [OWN, SECOND]))
    assert query(layout.url, "SELECT count(*) AS n FROM committed_cracks").to_pylist() == [{"n": 3}]
    assert query(layout.url, "SELECT sum(cracks) AS n FROM images").to_pylist() == [{"n": 3}]


def test_a_dataset_that_grows_shows_windows_until_it_is_finished(tmp_path: Path) -> None:
    """Then it is joined anew: a third window lengthens the crack."""
    rows = windows([FIRST], [OWN, SECOND])
    layout = write(tmp_path, rows)
    third = window(0, 400, [np.array([[402.0, 70.0], [580.0, 80.0]])])
    with hold(layout, "three", lambda _holder: None) as lease:
        writer = open_writer(layout, make_run("three"), lease)
        assert not storage.exists(layout.raster_cracks)
        writer.add(pa.Table.from_pylist([third], SCORED))
        writer.commit()
    assert query(layout.url, CRACKS).num_rows == 4
    finish(layout, [*rows, third])
    longest = query(layout.url, CRACKS).to_pylist()[0]
    assert longest["length_px"] == pytest.approx(178.28 + 5.0 + 187.27 + 12.0 + 178.28, abs=0.2)
    assert query(layout.url, CRACKS).num_rows == 2


def test_an_unfinished_raster_is_not_joined(tmp_path: Path) -> None:
    """As long as a window has no row."""
    rows = windows([FIRST], [SECOND])
    layout = write_raster_dataset(str(tmp_path / "out"), rows, [Raster(RASTER, 600, 200)], finish=False)
    finish(layout, [*rows, window(0, 400)])
    assert not storage.exists(layout.raster_cracks)
    assert query(layout.url, CRACKS).num_rows == 2


def test_joining_again_makes_the_same(tmp_path: Path) -> None:
    """To the byte, so a kill between the cracks and the summary costs nothing."""
    rows = windows([FIRST], [OWN, SECOND])
    layout = write(tmp_path, rows)
    before = storage.read_bytes(layout.raster_cracks)
    storage.remove(layout.summary)
    finish(layout, rows)
    assert storage.read_bytes(layout.raster_cracks) == before


def test_photos_beside_a_raster_keep_their_cracks(tmp_path: Path) -> None:
    """And a dataset of photos alone has no such file."""
    photo = with_cracks(ok("a.jpg"), 2)
    layout = write(tmp_path, [photo, *windows([FIRST], [SECOND])])
    assert query(layout.url, "SELECT count(*) AS n FROM cracks WHERE image = 'a.jpg'").to_pylist() == [{"n": 2}]
    alone = write_raster_dataset(str(tmp_path / "alone"), [photo], finish=False)
    finish(alone, [photo])
    assert not storage.exists(alone.raster_cracks)
    assert storage.exists(alone.summary)


def test_scales_that_are_set_afterwards_reach_joined_cracks(tmp_path: Path) -> None:
    """And go with them, also where the cracks were joined meanwhile."""
    rows = windows([FIRST], [SECOND])
    layout = write(tmp_path, rows)
    [before] = query(layout.url, CRACKS).to_pylist()
    set_scales(layout.url, lambda _archive, _image: (2.0, "given"))
    finish(layout, rows)
    [scaled] = query(layout.url, CRACKS).to_pylist()
    assert scaled["length_mm"] == pytest.approx(4 * before["length_mm"])
    remove_scales(layout.url)
    assert query(layout.url, CRACKS).to_pylist() == [before]


def test_a_compaction_keeps_joined_cracks(tmp_path: Path) -> None:
    """With the rasters, and today's millimetres; and a second one replaces the first."""
    layout = write(tmp_path, windows([FIRST], [OWN, SECOND]))
    set_scales(layout.url, lambda _archive, _image: (2.0, "given"))
    for overwrite in (False, True):
        compact(layout.url, str(tmp_path / "new"), 1 << 20, no_progress, overwrite=overwrite)
        new = f"file://{tmp_path}/new"
        assert query(new, CRACKS).to_pylist() == query(layout.url, CRACKS).to_pylist()
        assert differences(layout.url, new) == []
        assert storage.exists(Layout(new).rasters)
