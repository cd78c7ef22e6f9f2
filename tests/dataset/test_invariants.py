"""What `verify` knows of rasters: their windows, the tiles in these, and the cracks that are joined over them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline import storage
from pipeline.core.wkt import Line
from pipeline.dataset.layout import Layout
from pipeline.dataset.lease import hold
from pipeline.dataset.rasters import Raster, add_rasters, make_grid_lines, write_joined_cracks
from pipeline.dataset.writer import open_writer
from pipeline.images.tiles import TileSpec, starts
from pipeline.rasters.windows import Size, Window, list_tiles
from pipeline.scoring.inspection import join_pieces
from tests.dataset.test_verify import broken, check_all, rewrite, setting
from tests.helpers.raster_dataset import RASTER, window, write_raster_dataset
from tests.helpers.small_dataset import SPEC, make_run

SIZE = Size(250, 400)
"""Of three rows of tiles, at 0, 75 and 150, and five columns, at 0, 75, 150, 225 and 300."""
WINDOWS = (
    Window(0, 0, 175, 250, 0, 0, 2, 3),
    Window(0, 225, 175, 175, 0, 3, 2, 2),
    Window(150, 0, 100, 250, 2, 0, 1, 3),
    Window(150, 225, 100, 175, 2, 3, 1, 2),
)
FIRST, SECOND = np.array([[20.0, 50.0], [238.0, 60.0]]), np.array([[240.0, 60.0], [390.0, 70.0]])
OWN = np.array([[250.0, 170.0], [350.0, 220.0]])
LINES: tuple[list[Line], ...] = ([FIRST], [SECOND], [], [OWN])
"""By window: two parts of one crack, and a crack within the last one."""
GRID, BEGINS = "is one of the grid that covers it", "says at which tile of the grid it begins"
COVER, JOINED, ALL_JOINED = "cover its grid, and each has one row", "is joined over windows begins", "of every raster"

Rows = list[dict[str, Any]]


def make_row(place: Window, lines: list[Any], first_tile: int = 0) -> dict[str, Any]:
    """A scored window, without the tiles before the first that shows something."""
    tiles = [
        tile._asdict()
        | {
            "row": tile.row + place.first_row,
            "col": tile.col + place.first_col,
            "top_px": tile.top_px + place.top_px,
            "left_px": tile.left_px + place.left_px,
            "crack_score": 0.875,
        }
        for tile in list_tiles(place, SIZE, SPEC)[first_tile:]
    ]
    size = {"height_px": place.height_px, "width_px": place.width_px}
    counts = {"grid": tiles, "tiles": len(tiles), "crack_tiles": len(tiles)}
    counts |= {} if tiles else {"crack_score": None, "max_tile_score": None}
    return window(place.top_px, place.left_px, lines) | size | counts


def make_failed(place: Window) -> dict[str, Any]:
    """A window whose block is damaged."""
    row = window(place.top_px, place.left_px)
    known = {name: row[name] for name in ("image_id", "archive", "image", "occurrence", "size_bytes", "scored_at")}
    failure = {"failure_stage": "decode", "failure_kind": "truncated_image", "failure_message": "a block is damaged"}
    return known | {"status": "failed"} | failure


def sound_rows() -> Rows:
    """All windows; the third shows less than its tiles, as beside a deck."""
    shown = zip(WINDOWS, LINES, (0, 0, 1, 0), strict=True)
    return [make_row(place, lines, first_tile) for place, lines, first_tile in shown]


def write(folder: Path, rows: Rows | None = None) -> Layout:
    """A finished dataset, one commit for each window."""
    rows = sound_rows() if rows is None else rows
    layout = write_raster_dataset(
        str(folder / "out"), rows, [Raster(RASTER, SIZE.width_px, SIZE.height_px)], finish=False
    )
    with hold(layout, "two", lambda _holder: None) as lease:
        ids = pa.chunked_array([[row["image_id"] for row in rows]], pa.string())
        open_writer(layout, make_run("two"), lease).finish(ids, lambda: write_joined_cracks(layout, join_pieces))
    return layout


def joined(**values: object) -> Callable[[Layout], object]:
    """Return a damage that sets columns of the first joined crack."""
    return lambda layout: rewrite(layout.raster_cracks, setting(**values))


def tile(**values: object) -> Callable[[Layout], object]:
    """Return a damage that sets columns of a tile of the first window."""
    return lambda layout: rewrite(layout.tiles(0, "one"), lambda rows: rows[4].update(values))


def resize(width_px: int, height_px: int) -> Callable[[Layout], object]:
    """Return a damage that gives the raster another size."""
    return lambda layout: add_rasters(layout, [Raster(RASTER, width_px, height_px)])


FAULTS: list[tuple[Callable[[Layout], object], str, str]] = [
    (tile(left_px=80), GRID, "r000000c000000"),
    (tile(height_px=99), GRID, "r000000c000000"),
    (tile(col=None), GRID, "r000000c000000"),
    (lambda out: storage.remove(out.rasters), BEGINS, "r000000c000000"),
    (lambda out: rewrite(out.images(0), setting(height_px=176)), COVER, "r000000c000000"),
    (lambda out: rewrite(out.images(1), setting(width_px=400)), COVER, "r000000c000225"),
    (joined(image_id="0" * 16), JOINED, "r000000c000000"),
    (joined(archive="file:///other.tif"), JOINED, "r000000c000000"),
    (joined(image="r000000c000225"), JOINED, "r000000c000225"),
    (joined(left_px=-1), JOINED, "r000000c000000"),
    (joined(left_px=20, width_px=381), JOINED, "r000000c000000"),  # of 400
    (joined(top_px=240, height_px=11), JOINED, "r000000c000000"),  # of 250
    (joined(left_px=250, width_px=100), JOINED, "r000000c000000"),  # it begins elsewhere
    (joined(top_px=175), JOINED, "r000000c000000"),
    (joined(line_wkt="POINT (1 1)"), JOINED, "r000000c000000"),
    (joined(length_px=0.0, length_mm=0.0), JOINED, "r000000c000000"),
    (joined(orientation_deg=None), JOINED, "r000000c000000"),
    (joined(crack=1), JOINED, "r000000c000000"),
    (joined(score=1.5), "is a probability", "r000000c000000"),
    (joined(crack_width_px_p50=9.0, crack_width_mm_p50=4.5), "widths that grow", "r000000c000000"),
    (joined(length_mm=1.0), "millimetres are its pixels", "r000000c000000"),
    (lambda out: storage.remove(out.raster_cracks), ALL_JOINED, RASTER),
    (lambda out: rewrite(out.raster_cracks, lambda rows: rows.append(rows[0])), JOINED, "r000000c000000"),
]


def test_a_sound_raster_keeps_every_invariant(tmp_path: Path) -> None:
    """None is broken, open or unchecked, though a tile that shows nothing has no row."""
    checks = check_all(write(tmp_path))
    assert {(check.broken, check.open, check.names) for check in checks} == {(0, 0, ())}


@pytest.mark.parametrize("fault", range(len(FAULTS)))
def test_a_broken_invariant_of_rasters_is_found_and_no_other(fault: int, tmp_path: Path) -> None:
    """If a raster breaks one invariant, its check fails, and names the window or the raster."""
    layout = write(tmp_path)
    break_it, invariant, name = FAULTS[fault]
    break_it(layout)
    found = broken(layout)
    assert [sentence for sentence in found if invariant in sentence] == [*found]
    assert any(listed == name for names in found.values() for listed in names), found


@pytest.mark.parametrize("left_out", [(0,), (1,), (3,), (0, 1), (2, 3), (1, 3), (0, 2)])
def test_a_window_that_is_missing_is_named(left_out: tuple[int, ...], tmp_path: Path) -> None:
    """Though the plan does not know it, either: alone, or with all others of its row or column."""
    rows = [row for number, row in enumerate(sound_rows()) if number not in left_out]
    found = broken(write(tmp_path, rows))
    assert [sentence for sentence in found if COVER in sentence] == [*found]
    (names,) = found.values()
    missing = {WINDOWS[number].name for number in left_out}
    assert len(left_out) == 2 or missing == {*names}


def test_a_window_that_is_there_twice_is_named(tmp_path: Path) -> None:
    """Under two ids, so that each is a photo."""
    again = sound_rows()[2]
    rows = [*sound_rows(), again | {"image_id": "0123456789abcdef", "occurrence": 1}]
    assert (
        WINDOWS[2].name
        in broken(write(tmp_path, rows))["The windows of a raster cover its grid, and each has one row."]
    )


def test_windows_that_begin_beside_the_grid_are_named(tmp_path: Path) -> None:
    """By pixel, or spelled as no window is."""
    for number, name in enumerate(("r000000c000224", "r0c0", "picture", "r99999999999999999999c000000")):
        rows = [*sound_rows(), make_failed(WINDOWS[0]) | {"image": name, "image_id": f"{number:016}"}]
        found = broken(write(tmp_path / str(number), rows))
        assert found["Every window is of a known raster, and its name says at which tile of the grid it begins."] == (
            name,
        )


def test_the_raster_of_another_size_has_another_grid(tmp_path: Path) -> None:
    """Its last windows do not reach its end."""
    layout = write(tmp_path)
    resize(475, 250)(layout)
    assert [COVER in sentence for sentence in broken(layout)] == [True]


def test_failed_windows_are_windows(tmp_path: Path) -> None:
    """Nothing is broken where a block was damaged, nor where nothing is shown, nor in a raster that cannot be read."""
    rows = sound_rows()
    rows[1], rows[2] = make_failed(WINDOWS[1]), make_row(WINDOWS[2], [], first_tile=3)
    assert broken(write(tmp_path / "one", rows)) == {}
    unread = make_failed(WINDOWS[0]) | {"image": "", "failure_stage": "open"}
    assert [*broken(write(tmp_path / "other", [unread | {"image_id": "f" * 16}]))] == [
        "Archives are canonical URLs, and image_id is the hash of the photo's address."
    ]


def test_an_unfinished_raster_is_not_broken(tmp_path: Path) -> None:
    """Windows without a row are open, and cracks are joined at the end."""
    rows = sound_rows()[:3]
    layout = write_raster_dataset(str(tmp_path / "out"), rows, [Raster(RASTER, 400, 250)], finish=False)
    checks = check_all(layout)
    assert not any(check.broken for check in checks)
    assert [check.names for check in checks if check.open and RASTER in check.names] == [(RASTER,)]
    assert [check.names for check in checks if check.open and COVER in check.invariant] == [(WINDOWS[3].name,)]


@pytest.mark.parametrize("name", ["rasters", "raster_cracks"])
def test_damaged_files_of_rasters_leave_the_rest_checked(name: str, tmp_path: Path) -> None:
    """What needs them is not checked."""
    layout = write(tmp_path)
    storage.write_whole(getattr(layout, name), b"PAR1 no more")
    checks = check_all(layout)
    [fault] = broken(layout).values()
    assert "no sound Parquet file" in fault[0]
    assert sum(check.broken is None for check in checks) == 5


def test_the_lines_of_a_grid_are_those_of_its_tiles() -> None:
    """Of each raster, down and across."""
    spec = TileSpec(64, 0.5)
    table = make_grid_lines([("a.tif", 1000, 50), ("b.tif", 64, 65)], spec).to_pylist()
    found = [(row["archive"], row["axis"], row["start_px"]) for row in table]
    sides = (("a.tif", "row", 1000), ("a.tif", "col", 50), ("b.tif", "row", 64), ("b.tif", "col", 65))
    expected = [(name, axis, at) for name, axis, side in sides for at in starts(side, min(64, side), spec.step_px)]
    assert found == expected
    assert {row["end_px"] - row["start_px"] for row in table} == {50, 64}
