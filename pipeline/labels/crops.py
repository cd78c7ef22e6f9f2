"""Labelled tiles as files: boxes cut out of their photos, for who scores whole files.

Scoring reads files, on any machine of a cluster; so the cut ones lie beside the report while they are scored.
"""

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

from PIL import Image

from pipeline import storage
from pipeline.core.errors import DataError, UsageError
from pipeline.images.decode import decode
from pipeline.labels.boxes import Box, Pixels, cut, tile_name
from pipeline.labels.labelled_tiles import LabelledTiles

COMPRESSION = 1
"""Of 9; 7 ms for a tile of 160 pixels instead of the usual 20 ms, and the file is a twentieth larger."""


@contextmanager
def write_crops(tiles: LabelledTiles, folder: str) -> Iterator[list[str]]:
    """Give the URL of every tile as a file of its own: its file, or for a box a PNG in `folder`, which goes in the end.

    Args:
        tiles: what to give.
        folder: canonical URL of a folder that holds nothing else.

    Raises:
        UsageError: a photo cannot be read, or a box does not lie in it.
    """
    try:
        yield _urls(tiles, folder)
    finally:
        if storage.exists(folder):
            storage.filesystem_of(folder).rm(storage.path_of(folder), recursive=True)


def _urls(tiles: LabelledTiles, folder: str) -> list[str]:
    urls: list[str] = []
    with ThreadPoolExecutor(storage.FILES_AT_ONCE) as pool:
        for url, boxes in tiles.by_file():
            if boxes == [None]:
                urls.append(url)
                continue
            places = [storage.join(folder, f"{number}.png") for number in range(len(urls), len(urls) + len(boxes))]
            urls += pool.map(partial(_written, url, _photo(url)), boxes, places)
    return urls


def _photo(url: str) -> Pixels:
    try:
        return decode(storage.read_bytes(url)).pixels
    except DataError as error:
        raise UsageError(f"No tiles can be cut from {url}: {error} Remove or replace it.") from error


def _written(url: str, photo: Pixels, box: Box | None, place: str) -> str:
    """Write a box of a photo, and return where it lies."""
    if box is None:
        return url
    try:
        tile = cut(photo, box)
    except DataError as error:
        raise UsageError(f"The tile {tile_name(url, box)} cannot be cut: {error} Correct or remove it.") from error
    storage.write_whole(place, encode_png(tile))
    return place


def encode_png(tile: Pixels) -> bytes:
    """Return the file of a tile. Shape: (H, W, 3)."""
    data = io.BytesIO()
    Image.fromarray(tile).save(data, "PNG", compress_level=COMPRESSION)
    return data.getvalue()
