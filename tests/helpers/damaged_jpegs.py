"""Whole JPEGs as cameras and programs write them, and what disks, cards and lines do to them."""

import io
import re
from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Damage = Literal["cut", "cut, end marked", "zeroed sector", "flipped bytes", "lost interval"]
DAMAGES: tuple[Damage, ...] = get_args(Damage)

SECTOR_BYTES = 512
VISIBLE_LEVELS = 6.0
"""Mean difference of a block of 8 x 8 pixels, of 255 levels, from which on a change can be seen."""

_MARKER = re.compile(rb"\xff[\xd0-\xd7]")


def draw_wall(seed: int = 0, height_px: int = 208, width_px: int = 272) -> Image.Image:
    """Draw concrete with a dark crack, with the fine noise that gives a photo its bytes."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(120, 190, (height_px // 16, width_px // 16, 3), np.uint8))
    wall = np.asarray(coarse.resize((width_px, height_px), Image.Resampling.BICUBIC), np.int16)
    levels = np.clip(wall + random.normal(0, 6, (height_px, width_px, 1)), 0, 255)
    image = Image.fromarray(levels.astype(np.uint8))
    points = [(int(x), int(height_px * x / width_px + random.normal(0, 6))) for x in range(0, width_px, 12)]
    ImageDraw.Draw(image).line(points, fill=(40, 38, 36), width=3)
    return image


def encode_all_ways(image: Image.Image) -> dict[str, bytes]:
    """Encode a picture in every usual way: order of scans, sampling, restart markers."""
    files = {}
    for order in ("baseline", "progressive"):
        for sampling in ("4:4:4", "4:2:2", "4:2:0", "grey"):
            for interval_blocks in (0, 8):
                options = {} if sampling == "grey" else {"subsampling": sampling}
                buffer = io.BytesIO()
                (image.convert("L") if sampling == "grey" else image).save(
                    buffer, "JPEG", quality=88, progressive=order == "progressive",
                    restart_marker_blocks=interval_blocks, **options)  # fmt: skip
                files[f"{order} {sampling}{' with restarts' if interval_blocks else ''}"] = buffer.getvalue()
    return files


def damage(data: bytes, kind: Damage, random: Callable[[int, int], int]) -> bytes:
    """Damage the scans of a JPEG.

    Args:
        data: a whole JPEG; for `lost interval` one with restart markers, else it is cut.
        kind: what happens to it.
        random: draws a whole number from the first argument to the second, both included.
    """
    first, last = data.index(b"\xff\xda") + 14, len(data) - 3
    markers = [match.start() for match in _MARKER.finditer(data, first)]
    match kind:
        case "zeroed sector":
            start = random(first // SECTOR_BYTES + 1, last // SECTOR_BYTES) * SECTOR_BYTES
            lost = data[start : start + SECTOR_BYTES]
            return data[:start] + bytes(len(lost)) + data[start + len(lost) :]
        case "flipped bytes":
            flipped = bytearray(data)
            for _ in range(random(1, 4)):
                flipped[random(first, last)] ^= random(1, 255)
            return bytes(flipped)
        case "lost interval" if len(markers) > 2:
            number = random(0, len(markers) - 2)
            return data[: markers[number]] + data[markers[number + 1] :]
        case "cut, end marked":
            return data[: random(first, last)] + b"\xff\xd9"
    return data[: random(first, last)]


def differs_visibly(pixels: NDArray[np.uint8], whole: NDArray[np.uint8]) -> bool:
    """Tell whether a block of 8 x 8 pixels looks different."""
    height_px, width_px = (side - side % 8 for side in whole.shape[:2])
    difference = np.abs(pixels[:height_px, :width_px].astype(np.int16) - whole[:height_px, :width_px])
    blocks = difference.reshape(height_px // 8, 8, width_px // 8, 8, -1).mean(axis=(1, 3))
    return bool(blocks.max() > VISIBLE_LEVELS)


def has_warnings(data: bytes) -> bool:
    """Tell whether libjpeg-turbo warns or fails when it decodes a JPEG."""
    try:
        simplejpeg.decode_jpeg(data)
    except ValueError:
        return True
    return False
