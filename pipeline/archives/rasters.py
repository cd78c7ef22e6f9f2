"""Rasters as archives: which TIFFs are rasters, and their windows as photos."""

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline import storage
from pipeline.archives.listing import Listing
from pipeline.archives.members import Content, Entry, Limits, is_raster
from pipeline.core.errors import DataError, StorageError
from pipeline.images.decode import MAX_PIXELS
from pipeline.rasters.tiff_directories import read_size
from pipeline.rasters.window_reader import WindowReader, WindowRule
from pipeline.storage.byte_ranges import FileRangeReader, RangeReader

LOOKS_AT_ONCE = 32
"""TIFFs that are looked into at a time: on a remote store each look waits for one or two requests."""
LEAST_BYTES_PER_PIXEL = 0.02
"""A TIFF of fewer bytes to a pixel than any photo has is no raster if it has more pixels than a photo may: so nobody
looks into the many small ones. JPEG takes 0.1 to 1 byte."""


@dataclass(frozen=True)
class RasterLimits:
    """How large a TIFF may be that is read as a photo; a larger one is a raster."""

    pixels: int = MAX_PIXELS
    file_bytes: int = Limits.photo_bytes

    @property
    def least_bytes(self) -> float:
        """Smaller files are never rasters."""
        return LEAST_BYTES_PER_PIXEL * self.pixels


DEFAULT_LIMITS = RasterLimits()


def find_rasters(
    files: Iterable[storage.StoredFile], limits: RasterLimits = DEFAULT_LIMITS
) -> list[storage.StoredFile]:
    """Choose the rasters among loose files, by their names, sizes and, if those leave doubt, their first directory."""
    maybe = [file for file in files if is_raster(file.url) and file.size_bytes >= limits.least_bytes]
    if not maybe:
        return []
    contexts = [copy_context() for _ in maybe]
    with ThreadPoolExecutor(LOOKS_AT_ONCE) as threads:
        found = threads.map(lambda context, file: context.run(_is_large, file, limits), contexts, maybe)
        return [file for file, is_large in zip(maybe, found, strict=True) if is_large]


def _is_large(file: storage.StoredFile, limits: RasterLimits) -> bool:
    """Tell whether a TIFF is too large for a photo."""
    if file.size_bytes > limits.file_bytes:
        return True
    try:
        size = read_size(FileRangeReader(file.url, file.size_bytes))
    except StorageError as error:
        if not error.permanent:
            raise
        return False  # it fails as a photo does, with the reason
    return size is not None and size[0] * size[1] > limits.pixels


def list_windows(listing: Listing, source: RangeReader, rule: WindowRule) -> None:
    """List the windows of a raster; one that cannot be read has a failed row."""
    reader = WindowReader(source, rule)
    try:
        reader.check_ratio()
        white_bits = reader.find_white().bit_length()
        for number, window in enumerate(reader.windows):
            listing.add_photo(Entry(window.name, reader.size_bytes(window), number, method=white_bits))
    except DataError as error:
        listing.fail(error)
        return
    listing.raster = json.dumps(reader.describe())


def read_windows(
    source: RangeReader, entries: Sequence[Entry], limits: Limits, rule: WindowRule
) -> Iterator[tuple[Entry, Content]]:
    """Read windows of a raster; yield each exactly once."""
    reader = WindowReader(source, rule)
    by_window = dict[Any, Entry]()
    for entry in sorted(entries, key=lambda entry: entry.position):
        window = reader.windows[entry.position] if entry.position < len(reader.windows) else None
        if window is None or window.name != entry.path:
            yield entry, DataError("read", "member_unreadable", "The raster has no such window any more.")
            continue
        try:
            limits.check(entry._replace(method=0))
        except DataError as error:
            yield entry, error
        else:
            by_window[window] = entry
    white = (1 << max((entry.method for entry in entries), default=8)) - 1
    for window, content in reader.read([*by_window], white):
        yield by_window[window], content


def raster_of(listing: pa.Table) -> dict[str, Any] | None:
    """Return what a listing says of its raster, as `WindowReader.describe` does; None where it is of none."""
    data = (listing.schema.metadata or {}).get(b"raster")
    return None if data is None else json.loads(data)
