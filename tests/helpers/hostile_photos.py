"""Odd photos, made here: sound ones that must be scored, and broken ones that must each cost one failed row."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

from pipeline.core.errors import Kind

HEIGHT_PX, WIDTH_PX = 40, 60


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:  # noqa: ANN401 - Pillow's
    """Return a photo as a file's bytes."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def png(header: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """Put a PNG together of its header and what follows that."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in [(b"IHDR", header), *chunks, (b"IEND", b"")]
    )


def png_header(height_px: int, width_px: int, bits: int, colour: int) -> bytes:
    """Return what a PNG says of its pixels."""
    return struct.pack(">2I5B", width_px, height_px, bits, colour, 0, 0, 0)


def gif(screen_px: int, frame_px: int, disposal: int) -> bytes:
    """Return a GIF of 43 bytes whose screen and frame are as large as it says."""
    control = b"!\xf9\x04" + bytes([disposal << 2]) + bytes(4)
    frame = b"," + struct.pack("<4H", 0, 0, frame_px, frame_px) + b"\0\x02\x02\x4c\x01\0;"
    return b"GIF89a" + struct.pack("<2H", screen_px, screen_px) + b"\x80\0\0" + b"\0\0\0\xff\xff\xff" + control + frame


def tiff(*tags: tuple[int, int, bytes]) -> bytes:
    """Put a little-endian TIFF of one page together, with tags of (number, type, values) and no pixels."""
    widths = {3: 2, 4: 4}
    entries, values, end = b"", b"", 8 + 2 + 12 * len(tags) + 4
    for number, kind, data in sorted(tags):
        place = data.ljust(4, b"\0") if len(data) <= 4 else struct.pack("<I", end + len(values))
        values += data if len(data) > 4 else b""
        entries += struct.pack("<HHI", number, kind, len(data) // widths[kind]) + place
    page = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 8)  # the next page is this one, for ever
    return b"II*\0" + struct.pack("<I", 8) + page + values


def _tiff_of(height_px: int, *more: tuple[int, int, bytes]) -> bytes:
    """Return a TIFF of grey bytes, 16 pixels wide, that are not there."""
    sides = [(256, 4, struct.pack("<I", 16)), (257, 4, struct.pack("<I", height_px))]
    others = [(number, 3, struct.pack("<H", value)) for number, value in ((258, 8), (259, 1), (262, 1), (277, 1))]
    return tiff(*sides, *others, *more)


def _webp_canvas(side_px: int) -> bytes:
    side = (side_px - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<II", 10, 0) + side + side + encoded(_PHOTO, "WEBP")[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _bmp(height_px: int) -> bytes:
    data = bytearray(encoded(_PHOTO, "BMP"))
    data[22:26] = struct.pack("<i", height_px)
    return bytes(data)


def _looping_tiff() -> bytes:
    """Return a sound TIFF whose next page is itself."""
    data = bytearray(encoded(_PHOTO, "TIFF"))
    first = int.from_bytes(data[4:8], "little")
    tags = int.from_bytes(data[first : first + 2], "little")
    data[first + 2 + 12 * tags : first + 6 + 12 * tags] = data[4:8]
    return bytes(data)


_PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (HEIGHT_PX, WIDTH_PX, 3), np.uint8))
_OTHER = Image.new("RGB", _PHOTO.size, "white")
_GREY_PNG = png_header(HEIGHT_PX, WIDTH_PX, 8, 0)
_GREY = (b"IDAT", zlib.compress(bytes(HEIGHT_PX * (WIDTH_PX + 1))))
_LONG_TEXT, _BOMB = zlib.compress(bytes(2 << 20)), zlib.compress(bytes(64 << 20), 1)
_SIDE, _ABSURD = struct.pack("<I", 30_000), struct.pack("<I", 8) * 20_000

SOUND: dict[str, bytes] = {
    "png-called.jpg": encoded(_PHOTO, "PNG"),
    "jpeg-called.png": encoded(_PHOTO, "JPEG"),
    "trailing-garbage.jpg": encoded(_PHOTO, "JPEG") + b"garbage" * 1_000,
    "progressive.jpg": encoded(_PHOTO, "JPEG", progressive=True),
    "cmyk.jpg": encoded(_PHOTO.convert("CMYK"), "JPEG"),
    "16-bit.png": encoded(Image.fromarray(np.full((HEIGHT_PX, WIDTH_PX), 30_000, np.uint16)), "PNG"),
    "1-bit.png": encoded(_PHOTO.convert("1"), "PNG"),
    "animated.gif": encoded(_PHOTO, "GIF", save_all=True, append_images=[_OTHER]),
    "animated.webp": encoded(_PHOTO, "WEBP", save_all=True, append_images=[_OTHER]),
    "pages.tif": encoded(_PHOTO, "TIFF", save_all=True, append_images=[_OTHER]),
    "endless-pages.tif": _looping_tiff(),
    "top-down.bmp": _bmp(-HEIGHT_PX),
    "notes-of-2-MB.png": png(_GREY_PNG, (b"zTXt", b"note\0\0" + _LONG_TEXT), _GREY),
    "profile-of-2-MB.png": png(_GREY_PNG, (b"iCCP", b"profile\0\0" + _LONG_TEXT), _GREY),
}
"""File name to a photo of 40 x 60 pixels that is scored, odd as it is."""

SLIM: dict[str, bytes] = {
    "1x1.png": encoded(Image.new("RGB", (1, 1)), "PNG"),
    "1x100000.png": encoded(Image.new("RGB", (100_000, 1)), "PNG"),
    "100000x1.png": encoded(Image.new("RGB", (1, 100_000)), "PNG"),
}
"""File name to a photo that is scored, of the height and width in its name."""

BROKEN: dict[str, tuple[bytes, Kind]] = {
    "empty.jpg": (b"", "empty_file"),
    "text.jpg": (b"A list of bridges.\n" * 50, "not_an_image"),
    "drawing.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported_format"),
    **{
        f"cut-short.{form.lower()}": (data[: len(data) * 2 // 3], "truncated_image")
        for form in ("JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF")
        if (data := encoded(_PHOTO, form))
    },
    "bomb.png": (png(png_header(50_000, 50_000, 8, 2), (b"IDAT", _BOMB)), "too_many_pixels"),
    "notes-bomb.png": (png(_GREY_PNG, (b"zTXt", b"note\0\0" + _BOMB), _GREY), "truncated_image"),
    "profile-bomb.png": (png(_GREY_PNG, (b"iCCP", b"profile\0\0" + _BOMB), _GREY), "truncated_image"),
    "screen.gif": (gif(65_535, 1, 0), "too_many_pixels"),
    "frame.gif": (gif(10, 65_535, 2), "too_many_pixels"),
    "canvas.webp": (_webp_canvas(50_000), "too_many_pixels"),
    "tall.bmp": (_bmp(2**31 - 1), "too_many_pixels"),
    "deep.bmp": (_bmp(-(2**31)), "too_many_pixels"),
    "strips.tif": (_tiff_of(16, (273, 4, _ABSURD), (278, 3, b"\1\0"), (279, 4, _ABSURD)), "truncated_image"),
    "beyond.tif": (_tiff_of(16, (273, 4, b"\xff" * 4), (279, 4, b"\xff" * 4)), "truncated_image"),
    "tiles.tif": (_tiff_of(16, (322, 4, _SIDE), (323, 4, _SIDE), (324, 4, b"\x08\0\0\0")), "too_many_pixels"),
}
"""File name to a file that becomes one failed row of this kind."""
