"""Regions of rasters: their pixels, tiles and cracks, as `overlay --region` draws them."""

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tifffile import imwrite

from pipeline import storage
from pipeline.core.errors import UsageError
from pipeline.dataset.layout import Layout
from pipeline.dataset.rasters import Raster
from pipeline.reports import dataset_stats
from pipeline.reports.heatmap import spread_scores
from pipeline.reports.overlay import OverlayConfig, write_region
from pipeline.reports.raster_pictures import Region, find_raster, open_region_reader, read_region_scores
from pipeline.reports.report import ReportConfig, write_report
from tests.helpers.raster_dataset import window, write_raster_dataset

LINE = np.array([[210.0, 20.0], [390.0, 120.0]])
GREY = (np.add.outer(np.arange(200), np.arange(400)) // 4).astype(np.uint8)


def write(folder: Path) -> tuple[Layout, Raster]:
    """A raster of two windows, tiled, with an overview, and its dataset."""
    pixels = np.repeat(GREY[..., None], 3, axis=2)
    options: dict[str, Any] = {"tile": (64, 64), "photometric": "rgb", "compression": "deflate"}
    imwrite(folder / "deck.tif", pixels, **options)
    imwrite(folder / "deck.tif", pixels[::2, ::2], append=True, subfiletype=1, **options)
    archive = f"file://{folder}/deck.tif"
    rows = [window(0, 0, archive=archive), window(0, 200, [LINE], archive=archive)]
    raster = Raster(archive, 400, 200)
    return write_raster_dataset(str(folder / "out"), rows, [raster]), raster


def test_a_region_has_the_pixels_of_the_raster(tmp_path: Path) -> None:
    """Over the borders of its blocks and windows, and the whole in small."""
    layout, raster = write(tmp_path)
    reader = open_region_reader(layout, raster)
    np.testing.assert_array_equal(reader.read(30, 150, 100, 130)[..., 0], GREY[30:130, 150:280])
    small = reader.read_small(100)
    assert small is not None
    assert max(small.shape) in {200, 400}


def test_a_region_has_its_tiles(tmp_path: Path) -> None:
    """Cut to it: where a tile lies, its score."""
    layout, raster = write(tmp_path)
    with dataset_stats.open_photos(layout, None) as photos:
        found = read_region_scores(photos, raster, Region(150, 50, 100, 100))
    scores = spread_scores(found, 100, 100)
    assert scores[:50, 50:].tolist() == [[0.875] * 50] * 50
    assert np.unique(scores[:50, :50]).tolist() == [0.125]
    assert np.unique(scores[50:]).tolist() == [0.125]


@pytest.mark.parametrize("cracks", [False, True])
def test_a_region_is_drawn(cracks: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """In its own size, with a legend below; the line lies where the crack is."""
    layout, raster = write(tmp_path)
    config = OverlayConfig(layout.url, ["deck.tif"], str(tmp_path / "made"), cracks=cracks)
    made = write_region(config, Region(200, 0, 200, 200))
    assert made.url == f"file://{tmp_path}/made/deck-200-0-200-200{'-cracks' if cracks else ''}.png"
    picture = np.asarray(Image.open(io.BytesIO(storage.read_bytes(made.url))))
    assert picture.shape[1] == 200
    assert picture.shape[0] > 200
    is_coloured = np.ptp(picture[:200].astype(int), axis=2) > 10
    assert is_coloured[72, 101:107].any()
    assert is_coloured.mean() < 0.1 if cracks else is_coloured[:100, :100].all()
    assert raster.mm_per_px is None


def test_a_raster_that_is_gone_is_told(tmp_path: Path) -> None:
    """The outcome says why there is no picture."""
    layout, _ = write(tmp_path)
    (tmp_path / "deck.tif").unlink()
    made = write_region(OverlayConfig(layout.url, ["deck.tif"], str(tmp_path / "made")), None)
    assert made.url is None
    assert "deck.tif" in made.why


@pytest.mark.parametrize("region", [(0, 0, 401, 10), (-1, 0, 10, 10), (0, 0, 0, 10), (390, 190, 10, 11)])
def test_a_region_lies_within_its_raster(region: tuple[int, int, int, int]) -> None:
    """Others are refused, with the raster's size."""
    with pytest.raises(UsageError, match="400 x 200 pixels"):
        Region(*region).check(Raster("file:///a.tif", 400, 200))


def test_a_region_is_no_whole_deck() -> None:
    """What would not fit into memory is refused."""
    raster = Raster("file:///a.tif", 100_000, 100_000)
    with pytest.raises(UsageError, match="smaller"):
        Region.whole(raster).check(raster)


def test_a_raster_is_found_by_its_name() -> None:
    """The URL, the path or the end of it; none and several are told."""
    rasters = [Raster("file:///maps/a/deck.tif", 1, 1), Raster("file:///maps/b/deck.tif", 1, 1)]
    assert find_raster(rasters, "a/deck.tif") == rasters[0]
    assert find_raster(rasters, "/maps/b/deck.tif") == rasters[1]
    for name in ("deck.tif", "other.tif"):
        with pytest.raises(UsageError, match=name):
            find_raster(rasters, name)


def test_a_report_shows_the_raster(tmp_path: Path) -> None:
    """In small with heat and lines, its worst place, and that it has no place on a map; no card for its windows."""
    layout, raster = write(tmp_path)
    made = write_report(ReportConfig(layout.url, str(tmp_path / "report.html")))
    page = (tmp_path / "report.html").read_text()
    [section] = re.findall(r'<section id="rasters">(.*?)</section>', page, re.DOTALL)
    assert "deck.tif" in section
    assert "works in pixels" in section
    assert section.count("<path class=") >= 2  # the line and its class in the legend
    assert section.count("<figure>") == 1
    assert section.count('src="data:') == 3
    assert made.cards == 0
    assert raster.archive in page


def test_a_report_without_pictures_reads_no_raster(tmp_path: Path) -> None:
    """With --top 0, and of one that is gone, it says what it knows."""
    layout, _ = write(tmp_path)
    (tmp_path / "deck.tif").unlink()
    for top, is_read in ((0, False), (3, True)):
        write_report(ReportConfig(layout.url, str(tmp_path / "report.html"), top))
        page = (tmp_path / "report.html").read_text()
        assert ("cannot be read any more" in page) == is_read
