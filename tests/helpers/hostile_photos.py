"""Odd photos: sound ones that crackscan must score, and broken ones that must each become one failed row."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

from pipeline.core.errors import Kind

HEIGHT_PX, WIDTH_PX = 40, 60


def encode(image: Image.Image, form: str, **options: Any) -> bytes:  # noqa: ANN401 - Pillow's
    """Encode a photo as the bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def make_png(header: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """Make a PNG of its header and other chunks."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in [(b"IHDR", header), *chunks, (b"IEND", b"")]
    )


def make_png_header(height_px: int, width_px: int, bits: int, colour: int) -> bytes:
    """Make the header of a PNG."""
    return struct.pack(">2I5B", width_px, height_px, bits, colour, 0, 0, 0)


def make_gif(screen_px: int, frame_px: int, disposal: int) -> bytes:
    """Make a GIF of 43 bytes with a screen and a frame of these sizes."""
    control = b"!\xf9\x04" + bytes([disposal << 2]) + bytes(4)
    frame = b"," + struct.pack("<4H", 0, 0, frame_px, frame_px) + b"\0\x02\x02\x4c\x01\0;"
    return b"GIF89a" + struct.pack("<2H", screen_px, screen_px) + b"\x80\0\0" + b"\0\0\0\xff\xff\xff" + control + frame


def make_tiff(*tags: tuple[int, int, bytes]) -> bytes:
    """Make a little-endian TIFF of one page, with tags of (number, type, values) and no pixels."""
    widths = {3: 2, 4: 4}
    entries, values, end = b"", b"", 8 + 2 + 12 * len(tags) + 4
    for number, kind, data in sorted(tags):
        place = data.ljust(4, b"\0") if len(data) <= 4 else struct.pack("<I", end + len(values))
        values += data if len(data) > 4 else b""
        entries += struct.pack("<HHI", number, kind, len(data) // widths[kind]) + place
    page = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 8)  # the next page is this one again
    return b"II*\0" + struct.pack("<I", 8) + page + values


def _make_empty_tiff(height_px: int, *more: tuple[int, int, bytes]) -> bytes:
    """Make a TIFF of grey pixels, 16 wide, without their bytes."""
    sides = [(256, 4, struct.pack("<I", 16)), (257, 4, struct.pack("<I", height_px))]
    others = [(number, 3, struct.pack("<H", value)) for number, value in ((258, 8), (259, 1), (262, 1), (277, 1))]
    return make_tiff(*sides, *others, *more)


def _make_webp_with_canvas(side_px: int) -> bytes:
    side = (side_px - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<II", 10, 0) + side + side + encode(_PHOTO, "WEBP")[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _make_bmp(height_px: int) -> bytes:
    data = bytearray(encode(_PHOTO, "BMP"))
    data[22:26] = struct.pack("<i", height_px)
    return bytes(data)


def _make_looping_tiff() -> bytes:
    """Make a sound TIFF whose next page is itself."""
    data = bytearray(encode(_PHOTO, "TIFF"))
    first = int.from_bytes(data[4:8], "little")
    tags = int.from_bytes(data[first : first + 2], "little")
    data[first + 2 + 12 * tags : first + 6 + 12 * tags] = data[4:8]
    return bytes(data)


_PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (HEIGHT_PX, WIDTH_PX, 3), np.uint8))
_OTHER = Image.new("RGB", _PHOTO.size, "white")
_GREY_PNG = make_png_header(HEIGHT_PX, WIDTH_PX, 8, 0)
_GREY = (b"IDAT", zlib.compress(bytes(HEIGHT_PX * (WIDTH_PX + 1))))
_LONG_TEXT, _BOMB = zlib.compress(bytes(2 << 20)), zlib.compress(bytes(64 << 20), 1)
_SIDE, _ABSURD = struct.pack("<I", 30_000), struct.pack("<I", 8) * 20_000

SOUND: dict[str, bytes] = {
    "png-called.jpg": encode(_PHOTO, "PNG"),
    "jpeg-called.png": encode(_PHOTO, "JPEG"),
    "trailing-garbage.jpg": encode(_PHOTO, "JPEG") + b"garbage" * 1_000,
    "progressive.jpg": encode(_PHOTO, "JPEG", progressive=True),
    "cmyk.jpg": encode(_PHOTO.convert("CMYK"), "JPEG"),
    "16-bit.png": encode(Image.fromarray(np.full((HEIGHT_PX, WIDTH_PX), 30_000, np.uint16)), "PNG"),
    "1-bit.png": encode(_PHOTO.convert("1"), "PNG"),
    "animated.gif": encode(_PHOTO, "GIF", save_all=True, append_images=[_OTHER]),
    "animated.webp": encode(_PHOTO, "WEBP", save_all=True, append_images=[_OTHER]),
    "pages.tif": encode(_PHOTO, "TIFF", save_all=True, append_images=[_OTHER]),
    "endless-pages.tif": _make_looping_tiff(),
    "top-down.bmp": _make_bmp(-HEIGHT_PX),
    "notes-of-2-MB.png": make_png(_GREY_PNG, (b"zTXt", b"note\0\0" + _LONG_TEXT), _GREY),
    "profile-of-2-MB.png": make_png(_GREY_PNG, (b"iCCP", b"profile\0\0" + _LONG_TEXT), _GREY),
}
"""File name to an odd photo of 40 x 60 pixels that must be scored."""

SLIM: dict[str, bytes] = {
    "1x1.png": encode(Image.new("RGB", (1, 1)), "PNG"),
    "1x100000.png": encode(Image.new("RGB", (100_000, 1)), "PNG"),
    "100000x1.png": encode(Image.new("RGB", (1, 100_000)), "PNG"),
}
"""File name to a photo that must be scored, of the height and width in its name."""

BROKEN: dict[str, tuple[bytes, Kind]] = {
    "empty.jpg": (b"", "empty_file"),
    "text.jpg": (b"A list of bridges.\n" * 50, "not_an_image"),
    "drawing.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported_format"),
    **{
        f"cut-short.{form.lower()}": (data[: len(data) * 2 // 3], "truncated_image")
        for form in ("JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF")
        if (data := encode(_PHOTO, form))
    },
    "bomb.png": (make_png(make_png_header(50_000, 50_000, 8, 2), (b"IDAT", _BOMB)), "too_many_pixels"),
    "notes-bomb.png": (make_png(_GREY_PNG, (b"zTXt", b"note\0\0" + _BOMB), _GREY), "truncated_image"),
    "profile-bomb.png": (make_png(_GREY_PNG, (b"iCCP", b"profile\0\0" + _BOMB), _GREY), "truncated_image"),
    "screen.gif": (make_gif(65_535, 1, 0), "too_many_pixels"),
    "frame.gif": (make_gif(10, 65_535, 2), "too_many_pixels"),
    "canvas.webp": (_make_webp_with_canvas(50_000), "too_many_pixels"),
    "tall.bmp": (_make_bmp(2**31 - 1), "too_many_pixels"),
    "deep.bmp": (_make_bmp(-(2**31)), "too_many_pixels"),
    "strips.tif": (_make_empty_tiff(16, (273, 4, _ABSURD), (278, 3, b"\1\0"), (279, 4, _ABSURD)), "truncated_image"),
    "beyond.tif": (_make_empty_tiff(16, (273, 4, b"\xff" * 4), (279, 4, b"\xff" * 4)), "truncated_image"),
    "tiles.tif": (_make_empty_tiff(16, (322, 4, _SIDE), (323, 4, _SIDE), (324, 4, b"\x08\0\0\0")), "too_many_pixels"),
}
"""File name to a file that must become one failed row, and its kind."""
