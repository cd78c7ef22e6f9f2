"""Mask files: from the bytes of a mask to the pixels that it marks.

A mask holds numbers, not brightness: the decoder of photos scales 16 bits to 8 and lays transparent parts on white, and
would lose both. Here a pixel is marked if a sample is over 0, whatever its depth. `masks` pairs masks with photos.

* Of a palette the index counts, not its colour: index 0 is the background, as in Pascal VOC and labelme. There index
  255 means that nobody knows what a pixel shows. A mask has no way to say so here, and is refused.
* A pixel that is fully transparent is not marked.
* JPEG changes samples near edges, so there a pixel is marked from over half of white on.
"""

import io
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, TiffImagePlugin, UnidentifiedImageError

from pipeline.core.errors import DataError
from pipeline.images import tiff
from pipeline.images.decode import MAX_PIXELS, decode
from pipeline.images.exif import DAMAGED
from pipeline.images.png import keep_whole_chunks

Mask = NDArray[np.bool_]
"""True where a photo is cracked, shape (H, W)."""

Samples = NDArray[Any]
"""The numbers of a mask file, shape (H, W, channels)."""

MASK_SUFFIXES = frozenset({"png", "tif", "tiff", "bmp", "gif", "jpg", "jpeg"})
"""Endings of masks; `read_mask` goes by the bytes."""

MOST_CRACK = 0.5
"""Part of a photo that can be crack. The most in 1,011 masks of two sources is 0.15; an inverted mask has over 0.8."""

HALF_WHITE = 127
"""Of 255. White lines of 1 to 5 px on black, saved as JPEG of quality 30 to 95: black comes back as 105 at most, white
as 146 at least, while up to twice as many pixels as the lines have are over 0."""

_FORMATS = ("PNG", "TIFF", "BMP", "GIF")
_JPEG_START = b"\xff\xd8"
_JPEG_IN_TIFF = frozenset({"jpeg", "tiff_jpeg"})

_GREY_MODES = frozenset({"1", "L", "I", "I;16", "I;16B", "F"})
_ALPHA_MODES = frozenset({"LA", "RGBA", "PA"})
_PALETTE_MODES = frozenset({"P", "PA"})
_MODES = _GREY_MODES | _ALPHA_MODES | _PALETTE_MODES | {"RGB"}

_LITTLE = sys.byteorder == "little"
_LOW_BYTES = {
    f"{colours};16{order}": f"{colours};16{other}"
    for colours in ("RGB", "RGBX", "RGBA")
    for order, other in (("B", "L"), ("L", "B"), ("N", "B" if _LITTLE else "L"))
}
"""Pillow's way to read colours of 16 bits, of which it keeps the high byte, to the one that keeps the low byte: the
other byte order."""

_GREY_ALPHA_16 = "LA;16B"
"""Grey and alpha of 16 bits each, which read like four channels of 8 bits."""

_UPRIGHT: dict[int, Callable[[Mask], Mask]] = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.T,
    6: lambda stored: stored[::-1].T,
    7: lambda stored: stored[::-1, ::-1].T,
    8: lambda stored: stored[:, ::-1].T,
}
"""EXIF orientation to the turn that sets a mask upright, as `decode` sets its photo."""

_UNKNOWN_INDEX = 255
_UNKNOWN_COLOUR = (224, 224, 192)
"""Of index 255 in the palette of Pascal VOC (VOC2012 devkit, `VOClabelcolormap`), which labelme has, too."""
_REDUCED = 1
"""The bit in a TIFF's NewSubfileType of a page that is a smaller copy of another (TIFF 6.0, page 36)."""

_BMP_START = b"BM"
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ADVICE = "Save it as a PNG in grey, 0 where there is no crack."


def read_mask(data: bytes) -> Mask:
    """Read which pixels a mask marks.

    Raises:
        DataError: the bytes are no mask, or one that is damaged, too large, or cannot be understood.
    """
    if data.startswith(_JPEG_START):
        return _mark_lossy(decode(data).pixels)
    try:
        with warnings.catch_warnings(action="ignore"):
            return _mark(keep_whole_chunks(_keep_palette(data)))
    except (Image.DecompressionBombError, MemoryError) as error:
        raise _too_many_pixels() from error
    except UnidentifiedImageError as error:
        if data.startswith(_TIFF_STARTS):
            raise _not_understood("It is a TIFF that is damaged, or of a rare kind.") from error
        found = f"No mask in {len(data):,} bytes that begin with {data[:12]!r}; expected PNG, TIFF, BMP, GIF or JPEG."
        raise DataError("decode", "not_an_image", found) from error
    except DAMAGED as error:
        raise DataError("decode", "truncated_image", f"The mask is damaged or cut short: {error}.") from error


def _keep_palette(data: bytes) -> bytes:
    """Return a BMP whose palette Pillow keeps; return other files as they are.

    Pillow takes a palette of greys for grey levels, and then reads pixels of 8 or 4 bits as if they had one bit. With
    black a little blue they are no greys.
    """
    if not data.startswith(_BMP_START):
        return data
    header_bytes = int.from_bytes(data[14:18], "little")
    bits_at, palette_at = (24 if header_bytes == 12 else 28), 14 + header_bytes
    if int.from_bytes(data[bits_at : bits_at + 2], "little") > 8 or data[palette_at : palette_at + 3] != bytes(3):
        return data
    return data[:palette_at] + b"\1" + data[palette_at + 1 :]


def _mark(data: bytes) -> Mask:
    with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
        _check(image)
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            tiff.check_parts(image, data, image.tag_v2)
        rawmode = _rawmode(image)
        samples = np.atleast_3d(np.asarray(image))  # loads the file, which sets a TIFF upright
        turn = _UPRIGHT[_read_orientation(image)]
        if rawmode in _LOW_BYTES:
            samples = samples.astype(np.uint16) << 8 | _read_otherwise(data, _LOW_BYTES[rawmode])
        elif rawmode == _GREY_ALPHA_16:
            samples = _read_otherwise(data, "RGBA").copy().view(">u2")
        if image.info.get("compression") in _JPEG_IN_TIFF:
            return turn(_mark_lossy(samples))
        return turn(_mark_visible(image, samples, rawmode))


def _read_orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of a loaded mask; 1, upright, if it is missing or damaged."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation)
    except DAMAGED:
        return 1
    return found if isinstance(found, int) and found in _UPRIGHT else 1


def _check(image: ImageFile.ImageFile) -> None:
    """Refuse a mask of too many pixels, and one whose numbers Pillow would change.

    Raises:
        DataError: it is such a mask.
    """
    if image.width * image.height > MAX_PIXELS:
        raise _too_many_pixels()
    pages = _count_pages(image)
    if pages > 1:
        raise _not_understood(f"It has {pages} pages or frames; expected one.")
    if image.mode not in _MODES:
        raise _not_understood(f"It is a {image.format} in {image.mode}; expected numbers, grey, a palette or RGB.")
    is_deep = image.mode not in _GREY_MODES and max(_tags(image).get(ExifTags.Base.BitsPerSample, (1,))) > 8
    is_planar = _tags(image).get(ExifTags.Base.PlanarConfiguration) == 2
    if is_deep and (is_planar or _rawmode(image) not in _LOW_BYTES):
        raise _not_understood("It is a TIFF of 16 bits a colour in planes, or with a premultiplied alpha.")
    channels, known = _tags(image).get(ExifTags.Base.SamplesPerPixel, 1), len(image.getbands())
    if channels > known:
        raise _not_understood(f"It is a TIFF of {channels} channels; expected {known}, or one more that is an alpha.")
    if image.mode == "F" and _is_white_zero(image):
        raise _not_understood("It is a TIFF of floats of which 0 is white.")


def _count_pages(image: ImageFile.ImageFile) -> int:
    """Count the pages or frames, without those that are smaller copies of others, and return to the first."""
    frames = getattr(image, "n_frames", 1)
    if frames == 1 or not isinstance(image, TiffImagePlugin.TiffImageFile):
        return int(frames)
    found = 0
    for number in range(frames):
        image.seek(number)
        found += not image.tag_v2.get(ExifTags.Base.NewSubfileType, 0) & _REDUCED
    image.seek(0)
    return found


def _is_white_zero(image: Image.Image) -> bool:
    """Tell whether 0 is white in a TIFF; Pillow turns that round in depths up to 8 bits."""
    return _tags(image).get(ExifTags.Base.PhotometricInterpretation) == 0


def _is_unsigned_32(image: Image.Image) -> bool:
    """Tell whether a TIFF of 32 bits has no negative numbers, which Pillow reads as if it had."""
    is_tiff = isinstance(image, TiffImagePlugin.TiffImageFile)
    return is_tiff and image.mode == "I" and _tags(image).get(ExifTags.Base.SampleFormat, (1,)) == (1,)


def _tags(image: Image.Image) -> Mapping[int, Any]:
    """Return the tags of a TIFF; other files have none."""
    return image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}


def _rawmode(image: ImageFile.ImageFile) -> str:
    """Return Pillow's name for how the pixels are stored."""
    args = image.tile[0].args if image.tile else ""
    return str(args[0] if isinstance(args, tuple) else args)


def _read_otherwise(data: bytes, rawmode: str) -> Samples:
    """Read a mask as if its pixels were stored in another way of the same size."""
    with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
        image.tile = [
            tile._replace(args=(rawmode, *tile.args[1:]) if isinstance(tile.args, tuple) else rawmode)
            for tile in image.tile
        ]
        return np.asarray(image)


def _mark_visible(image: Image.Image, samples: Samples, rawmode: str) -> Mask:
    """Mark what is over 0 and visible.

    Raises:
        DataError: the mask is black on transparent, or wholly transparent over colours, so nobody knows what it marks.
    """
    levels, visible = _split_alpha(image, samples, rawmode)
    if image.mode in _PALETTE_MODES:
        _check_unknown(image, levels[..., 0][visible])
        over_zero = _mark_indices(image, levels[..., 0], visible)
    elif _is_white_zero(image) and levels.dtype.itemsize > 1:
        over_zero = levels[..., 0] < np.iinfo(levels.dtype).max
    else:
        over_zero = np.any(levels != 0 if _is_unsigned_32(image) else levels > 0, axis=2)
    marked: Mask = over_zero & visible
    something_hidden = not visible.all() and (visible.any() or over_zero.any() != over_zero.all())
    if something_hidden and not marked.any():
        raise _not_understood("All that is visible in it is black, and other parts are transparent.")
    return marked


def _split_alpha(image: Image.Image, samples: Samples, rawmode: str) -> tuple[Samples, Mask]:
    """Return the samples without alpha, and which pixels are visible."""
    if image.mode in _ALPHA_MODES:
        return samples[..., :-1], samples[..., -1] > 0
    transparent = image.info.get("transparency")
    if transparent is None:
        return samples, np.ones(samples.shape[:2], np.bool_)
    if isinstance(transparent, bytes):  # an alpha for each of the first entries of a palette
        alphas = np.full(256, 255)
        alphas[: len(transparent)] = np.frombuffer(transparent, np.uint8)
        return samples, alphas[samples[..., 0]] > 0
    scale = {"L;2": 85, "L;4": 17}.get(rawmode, 1)  # Pillow scales 2 and 4 bits to 8
    return samples, np.any(samples != np.multiply(transparent, scale), axis=2)


def _mark_indices(image: Image.Image, indices: Samples, visible: Mask) -> Mask:
    """Mark the indices over 0 of a palette.

    Programs that count colours may begin a palette with the crack. Where the indices over 0 are most of the picture,
    and one of them is black, the colours count instead.
    """
    marked: Mask = indices > 0
    if (marked & visible).mean() <= MOST_CRACK:
        return marked
    colours = _read_colours(image)
    coloured: Mask = (colours.max(axis=1) > 1)[indices]  # `_keep_palette` leaves black with a level of 1
    return coloured if (coloured & visible).mean() <= MOST_CRACK and coloured.any() else marked


def _read_colours(image: Image.Image) -> Samples:
    """Return the colours of a palette, black where it has none, shape (256, 3)."""
    colours = np.zeros((256, 3), np.uint8)
    palette = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)[:256]
    colours[: len(palette)] = palette
    return colours


def _check_unknown(image: Image.Image, indices: Samples) -> None:
    """Refuse a palette whose index 255 means that nobody knows what a pixel shows, which is neither crack nor sound.

    It does in the colours of Pascal VOC, and beside other indices unless it is grey: in a palette of greys it is white.

    Raises:
        DataError: some of these indices are 255 and mean that.
    """
    unknown = indices == _UNKNOWN_INDEX
    if not unknown.any():
        return
    red, green, blue = _read_colours(image)[_UNKNOWN_INDEX].tolist()
    is_grey = red == green == blue > 0
    if (red, green, blue) == _UNKNOWN_COLOUR or (not is_grey and np.any((indices > 0) & ~unknown)):
        raise DataError(
            "decode",
            "unsupported_format",
            f"The mask cannot be understood. {unknown.sum():,} of its pixels have the palette's index 255, which in "
            "Pascal VOC and labelme means neither crack nor sound. Give them index 0, or that of the crack.",
        )


def _mark_lossy(levels: Samples) -> Mask:
    """Mark what is over half of white in a JPEG.

    Raises:
        DataError: its marks are darker, so that they cannot be told from the traces of the compression.
    """
    brightest, darkest = int(levels.max()), int(levels.min())
    if darkest < brightest <= HALF_WHITE:
        raise _not_understood(
            f"It is a JPEG with levels up to {brightest} of 255, which the compression may have left around black; "
            f"expected cracks of over {HALF_WHITE}."
        )
    marked: Mask = np.any(levels > HALF_WHITE, axis=2)
    return marked


def _not_understood(found: str) -> DataError:
    return DataError("decode", "unsupported_format", f"The mask cannot be understood. {found} {_ADVICE}")


def _too_many_pixels() -> DataError:
    message = f"The mask has more than {MAX_PIXELS:,} pixels, or more than the memory holds."
    return DataError("decode", "too_many_pixels", message)
