"""Small pictures: sizes, cut-out tiles, legends and encodings."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from pipeline.images.tiles import Tile
from pipeline.reports import thumbnails
from pipeline.reports.thumbnails import Form


def test_the_longer_side_shrinks_to_the_length() -> None:
    """The proportions stay; a picture that is small enough stays as it is."""
    pixels = np.zeros((100, 300, 3), np.uint8)
    assert thumbnails.shrink(pixels, 150).shape == (50, 150, 3)
    assert thumbnails.shrink(pixels, 300) is pixels
    assert thumbnails.shrink(np.zeros((1, 900, 3), np.uint8), 30).shape == (1, 30, 3)


def test_a_tile_is_cut_out_pixel_for_pixel() -> None:
    """Height before width, from the top left."""
    pixels = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    assert (thumbnails.cut(pixels, Tile(0, 0, 1, 2, 3, 4)) == pixels[1:4, 2:6]).all()


@pytest.mark.parametrize(("height_px", "width_px"), [(40, 40), (300, 90), (600, 900)])
def test_a_legend_stands_below_the_picture(height_px: int, width_px: int) -> None:
    """The picture stays as it is; the strip has the colours of the scale."""
    pixels = np.full((height_px, width_px, 3), 128, np.uint8)
    framed = thumbnails.add_legend(pixels, "tile scores of bridge.jpg")
    assert framed.shape[1:] == (width_px, 3)
    assert (framed[:height_px] == pixels).all()
    strip = framed[height_px:].reshape(-1, 3)
    assert len(strip) >= thumbnails.LEAST_LEGEND_PX * width_px
    assert {(255, 237, 160), (177, 0, 38)} <= {tuple(pixel) for pixel in strip.tolist()}


@pytest.mark.parametrize(("form", "channels"), [("png", 4), ("png", 3), ("jpeg", 3)])
def test_a_data_url_holds_the_whole_picture(form: Form, channels: int) -> None:
    """A browser needs nothing else."""
    pixels = np.full((6, 9, channels), 77, np.uint8)
    head, _, data = thumbnails.to_data_url(pixels, form).partition(",")
    assert head == f"data:image/{form};base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert (image.format, image.size) == (form.upper(), (9, 6))
        assert np.asarray(image)[0, 0].tolist() == [77] * channels
