"""Rasters as archives: which TIFFs are rasters, and their windows as photos."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline import storage
from pipeline.archives.listing import entry_of
from pipeline.archives.members import Limits, is_archive, is_raster
from pipeline.archives.rasters import RasterLimits, find_rasters, raster_of
from pipeline.archives.readers import list_archive, list_folder, read_members
from pipeline.core.errors import DataError
from pipeline.images.tiles import TileSpec
from pipeline.rasters import windows
from pipeline.rasters.window_decoder import WindowPhoto, decode_window
from pipeline.rasters.window_reader import WindowRule
from tests import ROOT
from tests.helpers.raster_files import ON_EARTH, make_bands, write_raster

RULE = WindowRule(TileSpec(32, 0.0))
LIMITS = RasterLimits(pixels=50_000)
KINDS = {"ok", "archive_unreadable", "archive_truncated", "unsupported_format", "too_large", "member_unreadable",
         "truncated_image"}  # fmt: skip
"""What may become of a window, or of a raster."""


@pytest.fixture(autouse=True)
def _small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "WINDOW_PIXELS", 100 * 100)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder with a raster, a TIFF that is none, and a small one."""
    write_raster(make_bands(300, 270), tmp_path / "deck.tif", compress="DEFLATE", **ON_EARTH)
    write_raster(make_bands(100, 100), tmp_path / "photo.tif")
    (tmp_path / "damaged.TIFF").write_bytes(b"II*\0" + bytes(5000))
    return tmp_path


def test_a_raster_is_a_tiff_with_more_pixels_than_a_photo_may_have(folder: Path) -> None:
    """A folder has it among its archives, not among its photos; a damaged TIFF is a photo, which fails."""
    listing, archives = list_folder(
        storage.canonical(str(folder)), "nothing", None, lambda files: find_rasters(files, LIMITS)
    )
    assert [storage.name(file.url) for file in archives] == ["deck.tif"]
    assert listing.table()["image"].to_pylist() == ["damaged.TIFF", "photo.tif"]


def test_a_file_that_no_photo_may_have_is_a_raster_unseen(folder: Path) -> None:
    """Beyond --max-photo-bytes nothing is read whole, so that a damaged one tells why it fails."""
    files = storage.list_files(str(folder))
    found = find_rasters(files, RasterLimits(pixels=50_000, file_bytes=4000))
    assert {storage.name(file.url) for file in found} == {"damaged.TIFF", "deck.tif", "photo.tif"}


def test_small_files_are_not_looked_into(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A million small TIFFs cost no request."""
    monkeypatch.setattr("pipeline.archives.rasters.read_size", lambda _: pytest.fail("it was looked into"))
    assert find_rasters(storage.list_files(str(folder)), RasterLimits()) == []


def test_names_tell_archives_from_folders() -> None:
    """A TIFF in the column `archive` is a raster."""
    assert is_raster("s3://b/deck.TIF")
    assert is_archive("s3://b/deck.tiff")
    assert is_archive("s3://b/night.zip")
    assert not is_archive("s3://b/deck")


def test_a_raster_is_listed_by_its_windows(folder: Path) -> None:
    """Every window once; the listing tells size and place, and each row what its window takes."""
    file = storage.stat(str(folder / "deck.tif"))
    listing = list_archive(file, None, RULE)
    assert len(set(listing["image"].to_pylist())) == listing.num_rows > 4
    assert listing["image"][0].as_py() == "r000000c000000"
    assert listing["version"].unique().to_pylist() == [file.version]
    described = raster_of(listing)
    assert described is not None
    assert (described["height_px"], described["width_px"], described["overviews"]) == (300, 270, [])
    assert "UTM zone 32N" in described["crs"]


def test_the_windows_that_are_read_are_those_that_were_listed(folder: Path) -> None:
    """Each yields the pixels of its place, in any order."""
    file = storage.stat(str(folder / "deck.tif"))
    entries = [entry_of(row) for row in list_archive(file, None, RULE).to_pylist()]
    expected = np.moveaxis(make_bands(300, 270), 0, -1)
    found = dict(read_members(file.url, None, entries[::-1], Limits(), RULE))
    assert found.keys() == {*entries}
    for entry, content in found.items():
        assert isinstance(content, bytes)
        photo = decode_window(content)
        assert isinstance(photo, WindowPhoto)
        top, left = photo.window.top_px, photo.window.left_px
        height, width = photo.pixels.shape[:2]
        assert photo.window.name == entry.path
        assert np.array_equal(photo.pixels, expected[top : top + height, left : left + width])
        assert photo.scale_facts.map_mm_per_px == pytest.approx(2, rel=1e-3)


def test_a_window_that_the_raster_has_no_more_fails(folder: Path) -> None:
    """As a photo whose archive was replaced."""
    file = storage.stat(str(folder / "deck.tif"))
    [first, *_] = [entry_of(row) for row in list_archive(file, None, RULE).to_pylist()]
    for strange in (first._replace(position=10_000), first._replace(path="r000001c000000")):
        ((_, content),) = read_members(file.url, None, [strange], Limits(), RULE)
        assert isinstance(content, DataError)
        assert content.kind == "member_unreadable"
    ((_, content),) = read_members(file.url, None, [first], Limits(photo_bytes=10), RULE)
    assert isinstance(content, DataError)
    assert content.kind == "too_large"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"II*\0\x08\0\0\0" + bytes(100), "archive_unreadable"),
        (b"no tiff at all", "archive_unreadable"),
        (write_raster(make_bands(64, 64, 1).astype("float32")), "unsupported_format"),
        (write_raster(np.zeros((3, 3000, 3000), np.uint8), compress="DEFLATE", tiled=True), "too_large"),
    ],
)
def test_a_raster_that_cannot_be_read_is_one_failed_row(tmp_path: Path, data: bytes, kind: str) -> None:
    """It has no name, and the stage `open`, as an archive that cannot be opened."""
    path = tmp_path / "deck.tif"
    path.write_bytes(data)
    (row,) = list_archive(storage.stat(str(path)), None, RULE).to_pylist()
    assert (row["image"], row["failure_stage"], row["failure_kind"]) == ("", "open", kind)


@pytest.mark.ray
def test_damaged_rasters_are_failed_rows(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """Of 500, damaged at random, nothing hangs, takes memory, or raises anything else."""
    command = [sys.executable, "-m", "tests.helpers.hostile_rasters", str(tmp_path / "deck.tif"), "500"]
    done = subprocess.run(
        [*command, str(pytestconfig.getoption("--seed"))], cwd=ROOT, capture_output=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    outcomes = json.loads(done.stdout)
    assert min(outcomes["ok"], outcomes["truncated_image"], outcomes["archive_unreadable"]) > 20
    assert outcomes.keys() <= KINDS
