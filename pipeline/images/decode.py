"""The decoder: from the bytes of a photo to upright RGB pixels and the facts in its EXIF.

Every photo that is scored goes through `decode`. Whatever is wrong with the bytes raises `DataError`.
"""

import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, PngImagePlugin, TiffImagePlugin, UnidentifiedImageError

from pipeline.core.counts import count_of
from pipeline.core.errors import DataError
from pipeline.images import heif, jpeg2000, tiff
from pipeline.images.camera_raw import decode_camera_raw
from pipeline.images.exif import DAMAGED, PhotoFacts, parse_facts, read_metadata
from pipeline.images.formats import identify
from pipeline.images.jpeg import Colours, decode_jpeg, mend
from pipeline.images.jpeg_structure import read_header
from pipeline.images.lost_sectors import check_sectors
from pipeline.images.png import drop_notes, keep_whole_chunks
from pipeline.images.refusals import describe_size, refuse_kind, refuse_size
from pipeline.images.scale_facts import ScaleFacts, parse_scale_facts

Pixels = NDArray[np.uint8]
"""A picture or several: (…, H, W, 3), 8-bit RGB."""

MAX_PIXELS = 200_000_000
"""Largest photo by default; its RGB pixels are 600 MB."""

DECODERS = {"JPEG": "JPEG", "PNG": "PNG", "TIFF": "TIFF", "BMP": "BMP", "WebP": "WEBP", "GIF": "GIF", "HEIF": "HEIF",
             "AVIF": "AVIF", "JPEG 2000": "JPEG2000"}  # fmt: skip
"""Format, as `identify` names it, to the decoder of Pillow that may try it: well-tested ones, never the rare ones."""

_NOT_SUPPORTED = re.compile("^unsupported|not supported|support for this|unknown raw mode", re.IGNORECASE)
"""How Pillow and libheif say that a file is of a kind that they do not decode, in other words than of damage."""

_WITHOUT_CHECKSUMS = frozenset({"WebP", "HEIF", "AVIF", "JPEG 2000"})
"""Formats that are compressed without checksums, whose decoders take anything for pixels; JPEGs are checked apart."""

_TO_STORED: dict[int, Callable[[Pixels], Pixels]] = {
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: upright.swapaxes(0, 1)[::-1],
    7: lambda upright: upright.swapaxes(0, 1)[::-1, ::-1],
    8: lambda upright: upright.swapaxes(0, 1)[:, ::-1],
}
"""EXIF orientation to the view that turns an upright photo into the photo as its file stores it."""

_INVERSE_ORIENTATIONS = {6: 8, 8: 6}
"""The quarter turns undo each other; every other orientation undoes itself."""

_BAND_PIXELS = 1 << 16
"""Pixels converted at a time: a band stays in the cache, and only the result is as large as the photo."""

_MAX_TIFF_TILE_PIXELS = 1 << 24
"""Tiles of a TIFF reach over the margins of its photo, and each is decoded whole."""

PngImagePlugin.MAX_TEXT_CHUNK = 16 << 20  # sound photos have notes and colour profiles of more than Pillow's 1 MB


@dataclass(frozen=True)
class Photo:
    """A decoded photo."""

    pixels: Pixels
    """Shape (H, W, 3), upright RGB; of a turned photo possibly a view."""
    facts: PhotoFacts
    scale_facts: ScaleFacts = field(default_factory=ScaleFacts)
    """Of camera RAW, none are read."""


Decoder = Callable[[bytes, int], Photo]
"""From a photo's bytes and the most pixels it may have to the photo; raises `DataError`. `decode` is one."""


def decode(data: bytes, max_pixels: int = MAX_PIXELS) -> Photo:
    """Decode a photo that is whole: upright, first frame, 8-bit RGB.

    Converts grey, palette, CMYK and 16-bit to RGB and lays transparent parts on white.

    Raises:
        DataError: the bytes are no photo, or one that is damaged, of a kind that is not decoded, has more than
            `max_pixels`, or needs more memory than an allocation gets. The photo is to blame for that: a machine that
            runs out of memory kills processes, and refuses only allocations that are too large for it.
    """
    if not data:
        raise DataError("decode", "empty_file", "The file is empty; expected a photo.")
    # Pillow refuses from twice this limit on, before GIF and WebP allocate even to open a file. The limit never
    # shrinks, since other code opens pictures in this process, too.
    Image.MAX_IMAGE_PIXELS = limit = max(max_pixels, Image.MAX_IMAGE_PIXELS or 0)
    try:
        with warnings.catch_warnings(action="ignore"):
            return _decode_format(data, identify(data), max_pixels)
    except Image.DecompressionBombError as error:
        raise refuse_size(f"more than {2 * limit:,} pixels", max_pixels) from error
    except MemoryError as error:
        message = "Decoding takes more memory than there is for a photo. Score it on a machine that has more."
        raise DataError("decode", "too_large", message) from error
    except DAMAGED as error:
        raise _refuse(data, error) from error


def _decode_format(data: bytes, form: str | None, max_pixels: int) -> Photo:
    """Decode a photo of the format that its first bytes show."""
    if form is not None and form.endswith("RAW"):
        return Photo(*decode_camera_raw(data, form, max_pixels))
    if form not in DECODERS:
        raise UnidentifiedImageError
    if form == "TIFF":
        return _decode_tiff(data, max_pixels)
    with _open_checked(data, form, max_pixels) as image:
        if form == "JPEG":
            return _make_photo(_decode_jpeg(image, data), image)
        image.load()
        _check_size(image, max_pixels)  # once more: only its pixels show how large a HEIF is
        return _make_photo(decode_with_pillow(image), image)


def _make_photo(pixels: Pixels, image: Image.Image) -> Photo:
    metadata = read_metadata(image)
    return Photo(pixels, parse_facts(metadata), parse_scale_facts(metadata, *pixels.shape[:2]))


def _open_checked(data: bytes, form: str, max_pixels: int) -> ImageFile.ImageFile:
    """Open a photo after what its format lets one check in the bytes."""
    if form in _WITHOUT_CHECKSUMS:
        check_sectors(data)
    match form:
        case "PNG":
            return _open_png(keep_whole_chunks(data), max_pixels)
        case "HEIF":
            heif.check_items(data)
            heif.register_opener()
        case "JPEG 2000":
            jpeg2000.check_components(data)
    image = _open(data, form, max_pixels)
    if form == "BMP":
        _check_bmp(image, data)
    return image


def _open_png(data: bytes, max_pixels: int) -> ImageFile.ImageFile:
    """Open a PNG, without its notes if Pillow cannot read one of them."""
    try:
        return _open(data, "PNG", max_pixels)
    except UnidentifiedImageError:
        return _open(drop_notes(data), "PNG", max_pixels)


def _open(data: bytes, form: str, max_pixels: int) -> ImageFile.ImageFile:
    """Open a photo without decoding a pixel; refuse one that is too large."""
    image = Image.open(io.BytesIO(data), formats=[DECODERS[form]])
    _check_size(image, max_pixels)
    return image


def _check_bmp(image: Image.Image, data: bytes) -> None:
    """Refuse a BMP whose pixels Pillow would misread: it takes a short palette of greys for grey levels.

    Raises:
        DataError: `unsupported_format`.
    """
    bits_at = 24 if int.from_bytes(data[14:18], "little") == 12 else 28
    bits = int.from_bytes(data[bits_at : bits_at + 2], "little")
    if {"1": 1, "L": 8}.get(image.mode, bits) != bits:
        raise refuse_kind(f"a BMP of {bits} bits with a palette of few greys")


def _decode_tiff(data: bytes, max_pixels: int) -> Photo:
    number, page = tiff.read_page(data)
    if tiff.is_camera_raw(page):
        return Photo(*decode_camera_raw(data, "camera RAW", max_pixels))
    tiff.check_kind(page)
    try:
        opened = _open(data, "TIFF", max_pixels)
    except UnidentifiedImageError as error:
        raise tiff.refuse_kind(page) from error
    with opened as image:
        if number:
            image.seek(number)
            _check_size(image, max_pixels)
        tiff.check_parts(image, data, page)
        image.load()  # first, since it turns a TIFF upright and removes its orientation
        return _make_photo(decode_with_pillow(image, tiff.read_grey_scale(page)), image)


def _decode_jpeg(image: Image.Image, data: bytes) -> Pixels:
    """Decode a JPEG, turned upright.

    libjpeg-turbo decodes it straight into an array: Pillow's pixels in two thirds of its time. Pillow decodes CMYK, and
    what libjpeg-turbo does not take.
    """
    colours: Colours = "CMYK" if image.mode == "CMYK" else "RGB"
    stored = decode_jpeg(data, image.height, image.width, colours)
    if stored is None:
        image.load()
        return decode_with_pillow(image)
    if colours == "CMYK":
        with Image.open(io.BytesIO(mend(data, read_header(data))), formats=["JPEG"]) as whole:
            whole.load()
            return decode_with_pillow(whole)
    orientation = _read_orientation(image)
    # A view: the cutting of tiles turns them one by one, in the cache.
    return _TO_STORED[_INVERSE_ORIENTATIONS.get(orientation, orientation)](stored) if orientation > 1 else stored


def _refuse(data: bytes, error: Exception) -> DataError:
    """Return the failure of bytes that no decoder takes: no photo, one of another format, or a damaged one."""
    form = identify(data)
    if form is None:
        return DataError("decode", "not_an_image", f"No photo in {_describe(data)}.")
    frame = read_header(data).frame if form == "JPEG" else None
    kind = frame.refusal if frame is not None else None
    if form not in DECODERS:
        kind = f"a file of the format {form}"
    elif _NOT_SUPPORTED.search(str(error)):
        kind = f"a {form} of a kind that its decoder refuses ({error})"
    if kind is not None:
        return refuse_kind(kind)
    reason = f"no {form} decoder finds a photo in it" if isinstance(error, UnidentifiedImageError) else error
    return DataError("decode", "truncated_image", f"The photo is damaged or cut short: {reason}.")


def decode_with_pillow(image: Image.Image, scale: tiff.GreyScale = tiff.GreyScale()) -> Pixels:  # noqa: B008 - frozen
    """Convert to RGB and turn as the EXIF says, band by band.

    Args:
        image: loaded.
        scale: what its grey levels mean, if they have more than 8 bits.

    Shape: → (H, W, 3).
    """
    orientation = _read_orientation(image)
    size = image.size if orientation > 4 else (image.height, image.width)
    pixels = np.empty((*size, 3), np.uint8)
    stored = _TO_STORED[orientation](pixels) if orientation > 1 else pixels
    rows = max(1, _BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        stored[top:bottom] = _to_rgb(image.crop((0, top, image.width, bottom)), scale)
    return pixels


def resize(pixels: Pixels, height_px: int, width_px: int) -> Pixels:
    """Resize with antialiased bilinear filtering; return pixels of the right size as they are.

    Shape: (H, W, 3) → (height_px, width_px, 3).
    """
    pixels = _copy_by_rows(pixels)
    if pixels.shape[:2] == (height_px, width_px):
        return pixels
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize((width_px, height_px), Image.Resampling.BILINEAR))


def _copy_by_rows(pixels: Pixels) -> Pixels:
    """Copy a part of a turned or mirrored photo into row order; return other pixels as they are.

    Copies it as it is stored, then turns it in the cache, plane by plane: three to four times as fast
    (docs/experiments.md).
    """
    down, right = pixels.strides[:2]
    if 0 <= right <= abs(down):
        return pixels
    forward = (slice(None, None, 1 if down > 0 else -1), slice(None, None, 1 if right > 0 else -1))
    stored, upright = pixels[forward].copy(order="K"), np.empty(pixels.shape, np.uint8)
    for plane in np.ndindex(pixels.shape[2:]):
        upright[(..., *plane)] = stored[(..., *plane)][forward]
    return upright


def _check_size(image: ImageFile.ImageFile, max_pixels: int) -> None:
    """Refuse a photo that would fill the memory, before any pixel is decoded."""
    found, in_tile = image.width * image.height, _count_tile_pixels(image)
    if found > max_pixels:
        raise refuse_size(describe_size(image.height, image.width), max_pixels)
    if in_tile > max(max_pixels, _MAX_TIFF_TILE_PIXELS):
        raise refuse_size(f"stored in tiles of {count_of(in_tile, 'pixel')}", max_pixels)
    if len(image.tile) > 4 * (image.height + found // 64):  # a row or 8 x 8 pixels each, in up to four planes
        message = f"The photo is damaged: {count_of(found, 'pixel')} in {len(image.tile):,} pieces."
        raise DataError("decode", "truncated_image", message)


def _count_tile_pixels(image: Image.Image) -> int:
    """Return how many pixels a tile of a TIFF has, 0 for a photo without tiles."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return 0
    width, height = (image.tag_v2.get(tag) for tag in (ExifTags.Base.TileWidth, ExifTags.Base.TileLength))
    return width * height if isinstance(width, int) and isinstance(height, int) else 0


def _read_orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 if it is missing or damaged."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation)
    except DAMAGED:
        return 1
    return found if isinstance(found, int) and found in _TO_STORED else 1


def _to_rgb(image: Image.Image, scale: tiff.GreyScale) -> Pixels:
    """Convert any mode to 8-bit RGB, shape (H, W, 3) or (H, W, 1)."""
    if image.mode.startswith("I"):
        return _scale_levels(image, scale)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _scale_levels(image: Image.Image, scale: tiff.GreyScale) -> Pixels:
    """Scale grey levels of more than 8 bits to 0 … 255, rounded; `convert` would clip them at 255."""
    levels = np.clip(np.asarray(image, np.int64), 0, scale.white)
    upright = ((levels * 255 + scale.white // 2) // scale.white).astype(np.uint8)[..., None]
    if isinstance(transparent := image.info.get("transparency"), int):  # of a PNG: this level is transparent
        upright[levels == transparent] = 255
    return 255 - upright if scale.is_negative else upright


def _describe(data: bytes) -> str:
    return f"{len(data):,} bytes that begin with {data[:12]!r}; expected {', '.join(DECODERS)} or camera RAW"
