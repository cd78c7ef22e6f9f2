"""Photos as small pictures: shrink, cut, draw lines, add a legend, and encode for a page or a file."""

import base64
import io
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from pipeline.core.wkt import Line
from pipeline.images.decode import Pixels, resize
from pipeline.images.tiles import Tile
from pipeline.reports import heatmap

Form = Literal["png", "jpeg"]

QUALITY = 82
"""Quality of JPEG: the next steps cost a third more bytes and show no more of a crack."""

LEGEND_PART = 30
"""The height of a legend is the picture's longer side divided by this."""
LEAST_LEGEND_PX = 22
"""Least height of a legend: people must be able to read its text on a small photo."""
LINE_PART = 1200
"""The width of a line is the picture's longer side divided by this: thin enough to show the crack beside it."""


class LegendItem(NamedTuple):
    """A sample of colour and what it means."""

    text: str
    colour: str | None = None
    """In CSS; None for a text alone."""
    sample_px: int | None = None
    """Length of the sample; None for that of a square."""


def shrink(pixels: Pixels, longest_px: int) -> Pixels:
    """Shrink a picture until its longer side has this length; return a smaller picture as it is."""
    height_px, width_px = pixels.shape[:2]
    scale = min(1.0, longest_px / max(height_px, width_px))
    return resize(pixels, max(1, round(height_px * scale)), max(1, round(width_px * scale)))


def cut(pixels: Pixels, tile: Tile) -> Pixels:
    """Cut one tile out of its photo, pixel for pixel."""
    return pixels[tile.top_px : tile.top_px + tile.height_px, tile.left_px : tile.left_px + tile.width_px]


def add_legend(pixels: Pixels, text: str) -> Pixels:
    """Add a strip below a picture: the colour scale from 0 to 1, and a text, as far as there is room for it.

    Shape: (H, W, 3) → (H + strip, W, 3).
    """
    height_px, width_px = pixels.shape[:2]
    strip_px = max(LEAST_LEGEND_PX, max(height_px, width_px) // LEGEND_PART)
    strip = Image.new("RGB", (width_px, strip_px), "white")
    font, draw = ImageFont.load_default(strip_px * 0.5), ImageDraw.Draw(strip)
    pad_px, bar_px = strip_px // 4, min(strip_px * 6, width_px // 2)
    bar = heatmap.to_colours(np.linspace(0, 1, bar_px, dtype=np.float32))[None].repeat(strip_px - 2 * pad_px, axis=0)
    zero_px = round(draw.textlength("0", font))
    strip.paste(Image.fromarray(bar), (2 * pad_px + zero_px, pad_px))
    end_px = 3 * pad_px + zero_px + bar_px
    for left_px, words in ((pad_px, "0"), (end_px, "1"), (end_px + 3 * pad_px + zero_px, text)):
        draw.text((left_px, strip_px / 2), words, "black", font, anchor="lm")
    return np.concatenate([pixels, np.asarray(strip)])


def draw_lines(pixels: Pixels, lines: Sequence[tuple[Line, str]]) -> Pixels:
    """Draw lines over a picture, each in its colour in CSS, in this order.

    Shape: (H, W, 3) → (H, W, 3).
    """
    image = Image.fromarray(pixels)
    draw, width_px = ImageDraw.Draw(image), max(1, max(image.size) // LINE_PART)
    for line, colour in lines:
        draw.line(line.ravel().tolist(), colour, width_px, joint="curve")
    return np.asarray(image)


def add_samples(pixels: Pixels, items: Sequence[LegendItem]) -> Pixels:
    """Add strips below a picture: samples of colour with their meaning, in as many rows as they need.

    Shape: (H, W, 3) → (H + strips, W, 3).
    """
    width_px = pixels.shape[1]
    strip_px = max(LEAST_LEGEND_PX, max(pixels.shape[:2]) // LEGEND_PART)
    font, pad_px = ImageFont.load_default(strip_px * 0.5), strip_px // 4
    left_px, row, placed = pad_px, 0, list[tuple[LegendItem, int, int, int]]()
    for item in items:
        sample_px = 0 if item.colour is None else item.sample_px or strip_px // 2
        item_px = sample_px + round(font.getlength(item.text)) + 4 * pad_px
        if left_px > pad_px and left_px + item_px > width_px:
            left_px, row = pad_px, row + 1
        placed.append((item, left_px, row, sample_px))
        left_px += item_px
    strips = Image.new("RGB", (width_px, strip_px * (row + 1)), "white")
    draw = ImageDraw.Draw(strips)
    for item, left_px, row, sample_px in placed:
        middle_px, right_px = row * strip_px + strip_px // 2, left_px + sample_px
        if item.colour is not None:
            draw.rectangle((left_px, middle_px - pad_px // 2, right_px, middle_px + pad_px // 2), item.colour)
            right_px += pad_px
        draw.text((right_px, middle_px), item.text, "black", font, anchor="lm")
    return np.concatenate([pixels, np.asarray(strips)])


def encode(pixels: Pixels, form: Form, mark: str | None = None) -> bytes:
    """Encode a picture of three or, as PNG, four channels.

    Args:
        pixels: the picture.
        form: the format.
        mark: the program that made it, to be said among the first bytes.
    """
    buffer = io.BytesIO()
    image = Image.fromarray(pixels)
    if form == "jpeg":
        image.save(buffer, "JPEG", quality=QUALITY, optimize=True, comment=mark)
    else:
        texts = PngInfo()
        if mark is not None:
            texts.add_text("Software", mark)
        image.save(buffer, "PNG", optimize=True, pnginfo=texts)
    return buffer.getvalue()


def to_data_url(pixels: Pixels, form: Form) -> str:
    """Encode a picture as a `data:` URL, for a page that needs no other file."""
    return f"data:image/{form};base64,{base64.b64encode(encode(pixels, form)).decode('ascii')}"
