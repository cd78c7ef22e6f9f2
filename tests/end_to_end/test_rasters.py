"""Rasters from end to end: every pixel scored once, as photos are; killed and resumed; from S3, by ranges."""

import io
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline import storage
from pipeline.archives.members import Limits
from pipeline.archives.rasters import RasterLimits
from pipeline.archives.readers import list_archive
from pipeline.core.errors import UsageError
from pipeline.core.table_schemas import READ
from pipeline.dataset.diff import differences
from pipeline.dataset.layout import Layout
from pipeline.dataset.sql import query
from pipeline.images.tiles import TileSpec, grid
from pipeline.models.card import PhotoCalibration
from pipeline.rasters import windows
from pipeline.rasters.window_decoder import WindowPhoto, decode_window
from pipeline.rasters.window_reader import WindowRule
from pipeline.scoring.inputs import find_inputs
from pipeline.scoring.reading import read_unit, split_units
from pipeline.scoring.scorer import PhotoScorer, ScoreRule
from tests.conftest import S3Place
from tests.helpers.brightness_engine import score_brightness
from tests.helpers.raster_files import make_bands, make_deck, write_raster

SPEC = TileSpec(32, 0.25)
MOST_KILLS = 5
"""A raster of six windows ends before many more."""
NOTHING = pa.chunked_array([], pa.string())
DECK = make_deck(700, 610, 150)
FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "a COG in JPEG": ("uint8", {"driver": "COG", "compress": "JPEG", "quality": 90, "blocksize": 128}),
    "deflated strips": ("uint8", {"compress": "DEFLATE"}),
    "16 bits with nodata": (
        "uint16",
        {"compress": "DEFLATE", "nodata": 0, "tiled": True, "blockxsize": 64, "blockysize": 64},
    ),
}


@pytest.fixture(params=FORMS)
def deck(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a raster of one of the forms; that with nodata shows a deck that lies askew."""
    monkeypatch.setattr(windows, "WINDOW_PIXELS", 200 * 200)
    dtype, options = FORMS[request.param]
    bands = np.maximum(make_bands(700, 610), 1).astype(dtype) * (16 if dtype == "uint16" else 1)
    if "nodata" in options:
        bands[:, ~DECK] = 0
    write_raster(bands, tmp_path / "deck.tif", **options)
    return tmp_path / "deck.tif"


def _read(path: Path) -> Iterator[pa.Table]:
    inputs = find_inputs([str(path)], Layout("file:///nowhere"), limits=RasterLimits(100_000))
    (file,) = inputs.archives
    for unit in split_units(list_archive(file, None, WindowRule(SPEC))):
        yield from read_unit(unit, Limits(), NOTHING, windows=WindowRule(SPEC))


def _as_photo(row: dict[str, Any]) -> tuple[dict[str, Any], WindowPhoto]:
    """Give a window as a PNG."""
    photo, buffer = decode_window(row["data"]), io.BytesIO()
    Image.fromarray(photo.pixels).save(buffer, "PNG")
    return row | {"archive": "file:///photos", "data": buffer.getvalue()}, photo


def test_tiles_cover_every_pixel_that_shows_something_once(deck: Path) -> None:
    """The tiles of all windows are the grid of the whole raster, without those that show nothing."""
    scorer = PhotoScorer(lambda: score_brightness, ScoreRule(SPEC, 0.5))
    rows = [row for table in _read(deck) for row in scorer(table).to_pylist()]
    assert {row["status"] for row in rows} == {"ok"}
    found = [(tile["row"], tile["col"], tile["top_px"], tile["left_px"]) for row in rows for tile in row["grid"]]
    shown = DECK if any(row["tiles"] == 0 for row in rows) else np.ones_like(DECK)
    expected = [
        tile[:4]
        for tile in grid(700, 610, SPEC)
        if shown[tile.top_px : tile.top_px + tile.height_px, tile.left_px : tile.left_px + tile.width_px].any()
    ]
    assert sorted(found) == sorted(expected)
    assert {(row["tiles"] == 0, row["crack_score"] is None) for row in rows} <= {(False, False), (True, True)}


@pytest.mark.parametrize("photo", [None, PhotoCalibration(1.1, -0.06, -0.57)])
def test_scores_are_those_of_the_windows_given_as_photos(deck: Path, photo: PhotoCalibration | None) -> None:
    """Tile by tile, and the score of a window where all of it shows something."""
    scorer = PhotoScorer(lambda: score_brightness, ScoreRule(SPEC, 0.5, photo=photo))
    compared = 0
    for table in _read(deck):
        (window,) = scorer(table).to_pylist()
        as_photo, decoded = _as_photo(table.to_pylist()[0])
        (expected,) = scorer(pa.Table.from_pylist([as_photo], schema=READ)).to_pylist()
        if decoded.valid is None:
            assert window["crack_score"] == pytest.approx(expected["crack_score"], abs=1e-5)
        scores = {(tile["row"], tile["col"]): tile["crack_score"] for tile in expected["grid"]}
        for tile in window["grid"]:
            place = tile["row"] - decoded.window.first_row, tile["col"] - decoded.window.first_col
            assert tile["crack_score"] == pytest.approx(scores[place], abs=1e-5)
            compared += 1
    assert compared > 300


@pytest.mark.ray
def test_a_raster_on_s3_is_read_by_ranges(s3: S3Place, deck: Path) -> None:
    """It is found among other files by its beginning; pixels are those of the local file."""
    url = storage.join(s3.url, "deck.tif")
    storage.write_whole(url, deck.read_bytes())
    inputs = find_inputs([s3.url], Layout("file:///nowhere"), limits=RasterLimits(100_000))
    assert [file.url for file in inputs.archives] == [url]
    listing = list_archive(inputs.archives[0], None, WindowRule(SPEC))
    local = {table["image"][0].as_py(): table["data"][0].as_py() for table in _read(deck)}
    remote = {
        table["image"][0].as_py(): table["data"][0].as_py()
        for unit in split_units(listing)
        for table in read_unit(unit, Limits(), NOTHING, windows=WindowRule(SPEC))
    }
    assert remote == local
    assert len(local) > 9


def test_a_folder_with_the_name_of_a_raster_is_refused(tmp_path: Path) -> None:
    """Its photos would be taken for windows."""
    folder = tmp_path / "scans.tif"
    folder.mkdir()
    with pytest.raises(UsageError, match="has the name of an archive"):
        find_inputs([str(folder)], Layout("file:///nowhere"))


SCRIPT = """
import sys
from pipeline.cluster.session import ClusterConfig
from pipeline.scoring.config import ScoreConfig
from pipeline.scoring.flow import score
from tests.helpers.brightness_engine import SINGLE_BLOCKS, SINGLE_COMMITS, make_brightness

raster, out, limit = sys.argv[1:]
score(
    ScoreConfig((raster,), out, max_pixels=1_000_000, cracks=False, limit=int(limit) or None, actors=1, lease_ttl_s=3.0,
                cluster=ClusterConfig(cpus=1), sizes=SINGLE_BLOCKS, commit_limits=SINGLE_COMMITS),
    make_engine=make_brightness,
)
"""
"""Scores a raster with an engine that needs no network, and commits each window by itself."""


def _score(raster: Path, out: Path, limit: int = 0) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(raster), str(out), str(limit)])


def _list_commits(out: Path) -> list[Path]:
    return list(out.glob("images/part-*.parquet"))


def _read_tiles(out: Path) -> list[dict[str, Any]]:
    columns = ["image", "row", "col", "left_px", "top_px", "width_px", "height_px", "crack_score"]
    rows = pq.read_table(out / "tiles", columns=columns).to_pylist()
    return sorted(rows, key=lambda row: (row["row"], row["col"]))


@pytest.mark.ray
def test_a_raster_killed_at_any_moment_is_resumed(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """A deck that lies askew in nodata, of 16 bits: rows as of an undisturbed run, and `verify` has no fault."""
    raster, kept, killed = (tmp_path / name for name in ("deck.tif", "kept", "killed"))
    deck, bands = make_deck(6000, 9000, 900), make_bands(6000, 9000).astype(np.uint16) * 16 + 16
    bands[:, ~deck] = 0
    write_raster(bands, raster, compress="DEFLATE", zlevel=1, nodata=0, tiled=True, blockxsize=256, blockysize=256)
    chance = random.Random(pytestconfig.getoption("--seed"))
    with _score(raster, kept) as process:
        assert process.wait(900) == 0
    for _ in range(min(MOST_KILLS, pytestconfig.getoption("--kills"))):
        with _score(raster, killed) as process:
            before, more = len(_list_commits(killed)), chance.choice([0, 1, 2])
            while process.poll() is None and len(_list_commits(killed)) <= before + more:
                time.sleep(0.05)
            time.sleep(chance.random())
            process.kill()
    with _score(raster, killed) as process:
        assert process.wait(900) == 0
    assert differences(str(killed), str(kept)) == []
    for out in (kept, killed):
        verify = [sys.executable, "-m", "pipeline.cli", "verify", str(out)]
        subprocess.run(verify, check=True, timeout=300, capture_output=True)
    tiles = _read_tiles(killed)
    shown = [
        tile[:2]
        for tile in grid(6000, 9000, TileSpec(224, 0.0))
        if deck[tile.top_px : tile.top_px + tile.height_px, tile.left_px : tile.left_px + tile.width_px].any()
    ]
    assert [(tile["row"], tile["col"]) for tile in tiles] == shown
    [described] = query(str(killed), "SELECT height_px, width_px, nodata, empty_tiles FROM rasters").to_pylist()
    assert described == {"height_px": 6000, "width_px": 9000, "nodata": 0, "empty_tiles": 27 * 41 - len(shown)}
