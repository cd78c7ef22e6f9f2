"""Camera RAW: what a sensor measured, developed by LibRaw as a camera would, with the extra `raw`.

Without the extra such a photo is one failed row. `decode` tells camera RAW from other photos.
"""

import io
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.core.errors import DataError
from pipeline.images.exif import DAMAGED, PhotoFacts, read_facts
from pipeline.images.refusals import describe_size, refuse_size

if TYPE_CHECKING:
    import rawpy

_INSTALL = "Install the extra: pip install 'crackscan[raw]'; or convert the photo to JPEG or TIFF."


def decode_camera_raw(data: bytes, name: str, max_pixels: int) -> tuple[NDArray[np.uint8], PhotoFacts]:
    """Develop a camera RAW photo: upright, 8-bit sRGB, with the camera's white balance.

    Args:
        data: the file.
        name: of the format, for messages.
        max_pixels: refuse a larger photo.

    Returns:
        Pixels, shape (H, W, 3), and what the EXIF says.

    Raises:
        DataError: the extra is missing, LibRaw does not know the camera, or the file is damaged or too large.
    """
    if find_spec("rawpy") is None:
        raise DataError("decode", "unsupported_format", f"The photo is a {name} file, which is not decoded. {_INSTALL}")
    import rawpy

    try:
        with rawpy.imread(io.BytesIO(data)) as raw:
            if raw.sizes.iheight * raw.sizes.iwidth > max_pixels:
                raise refuse_size(describe_size(raw.sizes.iheight, raw.sizes.iwidth), max_pixels)
            pixels = raw.postprocess(use_camera_wb=True, output_bps=8)
            is_grey = pixels.shape[2] == 1  # of a camera without colour filters
            return np.repeat(pixels, 3, axis=2) if is_grey else pixels, _read_facts(data, raw)
    except rawpy.LibRawFileUnsupportedError as error:
        found = f"The photo is a {name} file that LibRaw cannot read: {_describe(error)}. Convert it to JPEG or TIFF."
        raise DataError("decode", "unsupported_format", found) from error
    except rawpy.LibRawError as error:
        found = f"The photo, a {name} file, is damaged or cut short: {_describe(error)}."
        raise DataError("decode", "truncated_image", found) from error


def _read_facts(data: bytes, raw: "rawpy.RawPy") -> PhotoFacts:
    """Read the EXIF of the file, if it is a TIFF, else of the preview in it."""
    import rawpy

    holder = Image.new("L", (1, 1))
    try:
        holder.getexif().load(b"Exif\0\0" + data)
        facts = read_facts(holder)
        if facts != PhotoFacts():
            return facts
        thumbnail = raw.extract_thumb()
        if thumbnail.format == rawpy.ThumbFormat.JPEG:
            with Image.open(io.BytesIO(cast("bytes", thumbnail.data)), formats=("JPEG",)) as preview:
                return read_facts(preview)
    except (rawpy.LibRawError, *DAMAGED):
        pass
    return PhotoFacts()


def _describe(error: Exception) -> str:
    return str(error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else error)
