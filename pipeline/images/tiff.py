"""TIFFs: which kinds are decoded, what their levels mean, and whether compressed parts are whole.

TIFF holds whatever its writer liked, and Pillow reads some of it as if it were something else: signed levels as
unsigned ones, the levels of a negative upright. So only kinds pass whose brightness tests have proven. Sources: TIFF
6.0 with its Technical Note 2, TIFF/EP, and the DNG Specification.
"""

import io
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from PIL import ExifTags, ImageFile, TiffImagePlugin

from pipeline.core.counts import count_of
from pipeline.core.errors import DataError
from pipeline.images.jpeg import check_jpeg
from pipeline.images.lost_sectors import check_sectors

_SUBFILE, _DNG_VERSION, _TILE_OFFSETS, _TILE_SIZES = 254, 50706, 324, 325
_INK_SET, _SAMPLE_FORMAT, _JPEG_TABLES, _SUBSAMPLING = 332, 339, 347, 530
_REDUCED = 1
_MAX_PIXEL_BYTES = 16
"""Deflated pixels are checked up to this size, so that a bomb takes no time; eight samples of 16 bits."""
_MAX_PAGES = 100
"""Pages to search; a damaged TIFF may lead from page to page for ever."""
_SEPARATE = 2
_UNCOMPRESSED, _JPEG_COMPRESSIONS, _JPEG, _DEFLATE = 1, {6, 7}, 7, {8, 32946}
_DECODED_COMPRESSIONS = {_UNCOMPRESSED, 5, *_JPEG_COMPRESSIONS, *_DEFLATE, 32773, 34925, 50000}
"""Besides: LZW, PackBits, LZMA, Zstandard. Not fax codes, of whose damage Pillow hears nothing, nor WebP and others."""
_FILL_ORDER, _REVERSED, _EXTRA_SAMPLES, _COLOUR_MAP = 266, 2, 338, 320
_SENSOR = {32803, 34892}
"""Photometric interpretations of camera RAW: a colour filter array, and linear levels."""

_PHOTOMETRICS = {0: "WhiteIsZero", 1: "BlackIsZero", 2: "RGB", 3: "palette", 4: "transparency mask", 5: "CMYK",
                 6: "YCbCr", 8: "CIELab", 9: "ICCLab", 10: "ITULab", 32844: "LogL", 32845: "LogLuv"}  # fmt: skip
_SAMPLE_FORMATS = {1: "unsigned", 2: "signed", 3: "floating-point", 4: "unspecified", 5: "complex", 6: "complex"}
_WHITE_IS_ZERO, _PALETTE, _CMYK, _YCBCR, _CMYK_INKS, _UNSIGNED = 0, 3, 5, 6, 1, 1
_LEAST_WHITE = 256
"""The brightest colour of a palette is at least this, of 65,535; some writers give 8 bits."""
_DECODED_BITS = {0: {1, 2, 4, 8, 16}, 1: {1, 2, 4, 8, 12, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 5: {8, 16}, 6: {8}}
"""Photometric interpretation to the bits that a sample may have."""

Directory = Mapping[int, Any]
"""The tags of a page."""


class GreyScale(NamedTuple):
    """What grey levels of more than 8 bits mean."""

    white: int = 0xFFFF
    """The highest level."""
    is_negative: bool = False
    """Whether the highest level is black."""


def read_page(data: bytes) -> tuple[int, Directory]:
    """Read the tags of the first page that is no thumbnail.

    Returns:
        The number of the page, from 0, and its tags; the first page if there is none, or one of camera RAW.

    Raises:
        DataError: Pillow cannot read this kind of TIFF; also raises what Pillow raises for damage.
    """
    if data.startswith(b"MM\0+"):
        found = "The photo is a big-endian BigTIFF, which is not decoded. Save it as TIFF or PNG."
        raise DataError("decode", "unsupported_format", found)
    header_bytes = 16 if data.startswith(b"II+\0") else 8
    directory, file = TiffImagePlugin.ImageFileDirectory_v2(data[:header_bytes]), io.BytesIO(data)
    first: Directory = {}
    for number in range(_MAX_PAGES):
        file.seek(directory.next)
        directory.load(file)
        page = dict(directory)
        if ExifTags.Base.ImageWidth not in page:
            raise DataError(
                "decode", "truncated_image", "The photo is damaged or cut short: the TIFF has no directory."
            )
        if page.get(_SUBFILE, 0) & _REDUCED == 0 or is_camera_raw(page):
            return number, page
        first = first or page
        if not directory.next:
            break
    return 0, first


def is_camera_raw(page: Directory) -> bool:
    """Tell whether a first page is that of a camera RAW file: levels of a sensor, or a preview of them."""
    has_preview = page.get(_SUBFILE) == _REDUCED and ExifTags.Base.SubIFDs in page
    return _DNG_VERSION in page or page.get(ExifTags.Base.PhotometricInterpretation) in _SENSOR or has_preview


def check_kind(page: Directory) -> None:
    """Refuse a kind whose brightness Pillow may get wrong.

    Raises:
        DataError: `unsupported_format`, naming the kind.
    """
    photometric, bits, sample_format = _kind(page)
    is_decoded = sample_format == (_UNSIGNED,) and len(bits) == 1 and bits[0] in _DECODED_BITS.get(photometric, ())
    if not is_decoded or any(_list_doubts(page)):
        raise refuse_kind(page)


def _list_doubts(page: Directory) -> Iterator[bool]:
    """Yield what makes Pillow get a kind wrong that it else decodes."""
    photometric, bits, _ = _kind(page)
    compression = page.get(ExifTags.Base.Compression, _UNCOMPRESSED)
    samples, is_plain = page.get(ExifTags.Base.SamplesPerPixel, 1), compression == _UNCOMPRESSED
    yield compression not in _DECODED_COMPRESSIONS
    yield photometric == _CMYK and page.get(_INK_SET, _CMYK_INKS) != _CMYK_INKS
    yield photometric == _YCBCR and compression not in _JPEG_COMPRESSIONS and page.get(_SUBSAMPLING) != (1, 1)
    yield photometric == _PALETTE and max(page.get(_COLOUR_MAP, (0,))) < _LEAST_WHITE  # 8 bits, not 16
    yield _in_planes(page) and is_plain and (bits != (8,) or photometric == _WHITE_IS_ZERO)
    yield samples == 2 and (_in_planes(page) or compression == _JPEG or page.get(_EXTRA_SAMPLES) == (1,))
    yield compression in _JPEG_COMPRESSIONS and bits != (8,)
    yield is_plain and page.get(_FILL_ORDER) == _REVERSED


def refuse_kind(page: Directory) -> DataError:
    """Return the failure of a TIFF whose kind is not decoded."""
    photometric, bits, sample_format = _kind(page)
    levels = " and ".join(_SAMPLE_FORMATS.get(kind, f"SampleFormat {kind}") for kind in sample_format)
    kind = _PHOTOMETRICS.get(photometric, f"PhotometricInterpretation {photometric}")
    found = f"a TIFF of {kind} with {count_of(page.get(ExifTags.Base.SamplesPerPixel, 1), 'sample')} a pixel"
    planes = " in planes" if _in_planes(page) else ""
    compression = page.get(ExifTags.Base.Compression, _UNCOMPRESSED)
    coded = "" if compression == _UNCOMPRESSED else f" in compression {compression}"
    depth = f"{levels}, of {' and '.join(map(str, bits))} bits"
    message = f"The photo is {found}{planes}{coded}, {depth}, which is not decoded."
    return DataError("decode", "unsupported_format", f"{message} Save it as TIFF or PNG of 8 bits, grey or RGB.")


def read_grey_scale(page: Directory) -> GreyScale:
    """Return what the grey levels of a page mean."""
    photometric, bits, _ = _kind(page)
    return GreyScale((1 << bits[0]) - 1, is_negative=photometric == _WHITE_IS_ZERO)


def check_parts(image: ImageFile.ImageFile, data: bytes, page: Directory) -> None:
    """Refuse a TIFF that lacks parts, which Pillow leaves black, or has damaged ones, of which libtiff says nothing.

    Args:
        image: opened at the page to decode.
        data: the file.
        page: the tags of the page.

    Raises:
        DataError: `truncated_image`.
    """
    places = (tile.extents or (0, 0, 0, 0) for tile in image.tile)
    if sum((right - left) * (bottom - top) for left, top, right, bottom in places) < image.width * image.height:
        raise DataError("decode", "truncated_image", "The photo is damaged: parts of the TIFF are missing.")
    compression = page.get(ExifTags.Base.Compression, _UNCOMPRESSED)
    if compression != _UNCOMPRESSED:
        check_sectors(data)
    if compression == _JPEG:
        tables = bytes(page.get(_JPEG_TABLES, b"")).removesuffix(b"\xff\xd9")
        for part in _list_parts(data, page):
            check_jpeg(tables + part[2:] if tables else part)
    elif compression in _DEFLATE and page.get(_FILL_ORDER) != _REVERSED:
        left_bytes = image.width * image.height * _MAX_PIXEL_BYTES
        for part in _list_parts(data, page):
            left_bytes -= _check_deflated(part, left_bytes)


def _kind(page: Directory) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    """Return photometric interpretation, and the different bits and formats of the samples."""
    photometric = page.get(ExifTags.Base.PhotometricInterpretation, _WHITE_IS_ZERO)
    bits, formats = page.get(ExifTags.Base.BitsPerSample, (1,)), page.get(_SAMPLE_FORMAT, (_UNSIGNED,))
    return photometric, tuple(dict.fromkeys(bits)), tuple(dict.fromkeys(formats))


def _in_planes(page: Directory) -> bool:
    return page.get(ExifTags.Base.PlanarConfiguration) == _SEPARATE


def _list_parts(data: bytes, page: Directory) -> Iterator[bytes]:
    """Yield the compressed strips or tiles."""
    starts = page.get(_TILE_OFFSETS) or page.get(ExifTags.Base.StripOffsets) or ()
    sizes = page.get(_TILE_SIZES) or page.get(ExifTags.Base.StripByteCounts) or ()
    for start, size in zip(starts, sizes, strict=False):
        if size:  # a part without bytes was never written
            yield data[start : start + size]


def _check_deflated(part: bytes, most_bytes: int) -> int:
    """Decompress a part to check it, and return its size; stop at the most bytes."""
    inflater, size_bytes = zlib.decompressobj(), 0
    try:
        while part and not inflater.eof and size_bytes < most_bytes:
            size_bytes += len(inflater.decompress(part, 1 << 20))
            part = inflater.unconsumed_tail
    except zlib.error as error:
        raise DataError("decode", "truncated_image", f"The photo is damaged: {error} in a part of the TIFF.") from error
    return size_bytes
