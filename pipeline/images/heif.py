"""HEIF: what phones write as HEIC, opened by pi-heif through Pillow.

Source of the layout: ISO/IEC 14496-12, 8.11.6 (item information).
"""

import re

from PIL import Image

from pipeline.core.errors import DataError

_ITEM = re.compile(rb"infe")


def register_opener() -> None:
    """Let Pillow open HEIF: the photo alone, without thumbnails, depth and auxiliary images, on one thread."""
    if "HEIF" not in Image.OPEN:
        from pi_heif import register_heif_opener  # 5 MB of libraries that most inspections never need

        register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)


def check_items(data: bytes) -> None:
    """Refuse a file whose list of items is damaged: pi-heif crashes over types and names that are no UTF-8.

    Raises:
        DataError: `truncated_image`.
    """
    for match in _ITEM.finditer(data):
        start, end = match.start() - 4, match.start() - 4 + int.from_bytes(data[match.start() - 4 : match.start()])
        if start < 0 or not match.end() < end <= len(data):
            continue  # a word in the pixels, or a box that libheif refuses
        id_bytes = 4 if data[match.end()] >= 3 else 2
        try:
            data[match.end() + 4 + id_bytes + 2 : end].decode()
        except UnicodeDecodeError as error:
            found = f"The photo is damaged: its list of items is no text at byte {match.start():,}."
            raise DataError("decode", "truncated_image", found) from error
