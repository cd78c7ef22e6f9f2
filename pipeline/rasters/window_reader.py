"""Reads the windows of a raster: the blocks around each, by byte ranges, and each block as seldom as may be."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from pipeline.core.counts import count_of
from pipeline.core.errors import DataError
from pipeline.images.tiles import TileSpec
from pipeline.rasters.excerpts import Area, find_area, list_bands, make_excerpt
from pipeline.rasters.georeference import Georeference
from pipeline.rasters.geotiff import FoundPlace, read_georeference
from pipeline.rasters.levels import find_white
from pipeline.rasters.tiff_raster import (
    SPARE_BYTES,
    Blocks,
    Layer,
    Level,
    Raster,
    open_raster,
    place_block,
    read_blocks,
)
from pipeline.rasters.window_decoder import Part, Parts, pack_window
from pipeline.rasters.windows import Window, plan_windows
from pipeline.storage.byte_ranges import RangeReader, double_check, read_together

KEPT_BYTES = 64 << 20
"""Blocks that wait for a further window of the same reading; those that do not fit are read again."""

_Key = tuple[int, int, int, int]
"""0 for the picture or 1 for the mask; plane, row and column of a block."""


@dataclass(frozen=True)
class WindowRule:
    """How rasters are cut into windows."""

    tiles: TileSpec
    overview: int = 0
    """Which level is read: 0 the raster itself, 1 its largest overview, and so on."""
    max_ratio: float = 200.0
    """A raster may grow by this factor when it is decoded; more is a bomb."""


def rule_of(fingerprint: Mapping[str, Any], max_ratio: float = WindowRule.max_ratio) -> WindowRule:
    """Return how the rasters of a dataset are cut, from the fingerprint of its run."""
    tiles = TileSpec(int(fingerprint["tile_px"]), float(fingerprint["overlap"]))
    return WindowRule(tiles, int(fingerprint.get("overview", 0)), max_ratio)


@dataclass
class WindowReader:
    """Reads windows of one raster.

    Args:
        file: of the raster.
        rule: how it is cut.
    """

    file: RangeReader
    rule: WindowRule
    _kept: dict[_Key, bytes] = field(default_factory=dict)

    @cached_property
    def raster(self) -> Raster:
        """The raster; raises `DataError` if it cannot be read."""
        return open_raster(self._source)

    @cached_property
    def level(self) -> Level:
        """What of it is read."""
        return self.raster.choose_level(self.rule.overview)

    @cached_property
    def windows(self) -> list[Window]:
        """All of them, row by row."""
        picture = self.level.picture
        return [*plan_windows(picture.size, picture.block, picture.pixel_bytes, self.rule.tiles)]

    def find_white(self) -> int:
        """Return the level that becomes white, the same for all windows."""
        return find_white(self._source, self.raster)

    def describe(self) -> dict[str, Any]:
        """Return size, place, bands and overviews of the level that is read, as JSON has them."""
        picture, place = self.level.picture, self.place
        return {
            "height_px": picture.size.height_px,
            "width_px": picture.size.width_px,
            "crs": place and place.crs,
            "geotransform": place and [*place.geotransform],
            "nodata": self.raster.nodata,
            "bands": picture.samples,
            "unread_bands": picture.samples - len(list_bands(picture)),
            "problem": self._found_place.problem,
            "overviews": [
                round(picture.size.width_px / level.picture.size.width_px)
                for level in self.raster.levels[self.rule.overview + 1 :]
            ],
        }

    @cached_property
    def factor(self) -> float:
        """Pixels of the raster to one of the level that is read, along a side."""
        return self.raster.levels[0].picture.size.width_px / self.level.picture.size.width_px

    @cached_property
    def place(self) -> Georeference | None:
        """Where the level that is read lies on the map; None where the file does not tell."""
        full, size = self.raster.levels[0].picture.size, self.level.picture.size
        found = self._found_place.georeference
        if found is None or size == full:
            return found
        x, across, turn, y, lean, down = found.geotransform
        wide, high = full.width_px / size.width_px, full.height_px / size.height_px
        return Georeference((x, across * wide, turn * high, y, lean * wide, down * high), found.crs)

    @cached_property
    def mm_per_px(self) -> float | None:
        """Millimetres of ground to a pixel of the level, in the middle of the raster; None where nothing tells it."""
        size = self.level.picture.size
        found = self.place and self.place.measure_pixel((size.width_px / 2, size.height_px / 2))
        return found.mm_per_px if found else None

    def check_ratio(self) -> None:
        """Refuse a raster that would grow too much.

        Raises:
            DataError: `too_large`.
        """
        picture, blocks = self.level.picture, self._blocks[0]
        written = int(np.count_nonzero(blocks.sizes))
        planes = len(blocks.sizes)
        block_bytes = picture.block.height_px * picture.block.width_px * picture.pixel_bytes // planes
        if written * block_bytes > self.rule.max_ratio * self.file.size_bytes + SPARE_BYTES:
            found = f"{count_of(self.file.size_bytes, 'byte')} that become {written * block_bytes:,}"
            message = f"{self.file.name} has {found}, more than {self.rule.max_ratio:g} times as many."
            raise DataError("open", "too_large", f"{message} If it is sound, give a higher --max-ratio.")

    def size_bytes(self, window: Window) -> int:
        """Return how many bytes of the file a window needs."""
        return sum(
            int(blocks.sizes[list(area.planes), area.first_row : area.end_row, area.first_col : area.end_col].sum())
            for (_, area), blocks in zip(self._areas(window), self._blocks, strict=True)
        )

    def read(self, windows: Sequence[Window], white: int) -> Iterator[tuple[Window, bytes | DataError]]:
        """Read windows; yield each once, with the bytes that `decode_window` takes, or why there are none."""
        uses = Counter(key for window in windows for key in self._keys(window))
        for window in windows:
            keys = [*self._keys(window)]
            uses.subtract(keys)
            try:
                found = self._read_blocks(keys)
                yield window, self._pack(window, found, white)
            except DataError as error:
                yield window, error
                continue
            self._keep({key: data for key, data in found.items() if uses[key]})

    @cached_property
    def _found_place(self) -> FoundPlace:
        return read_georeference(self.raster.directory.values)

    @cached_property
    def _source(self) -> RangeReader:
        return double_check(self.file)

    @cached_property
    def _layers(self) -> list[Layer]:
        return [layer for layer in self.level if layer is not None]

    @cached_property
    def _blocks(self) -> list[Blocks]:
        return [read_blocks(self._source, layer) for layer in self._layers]

    def _areas(self, window: Window) -> list[tuple[Layer, Area]]:
        return [(layer, find_area(layer, window)) for layer in self._layers]

    def _keys(self, window: Window) -> Iterator[_Key]:
        for number, (_, area) in enumerate(self._areas(window)):
            sizes = self._blocks[number].sizes
            yield from ((number, *key) for key in area.keys if sizes[key])

    def _read_blocks(self, keys: Sequence[_Key]) -> dict[_Key, bytes]:
        """Read blocks that are not kept; all of them together."""
        found = {key: self._kept[key] for key in keys if key in self._kept}
        places = sorted((self._place(key), key) for key in keys if key not in found)
        read = read_together(self._source, [place for place, _ in places])
        for ((start, end), key), data in zip(places, read, strict=True):
            if len(data) < end - start:
                message = f"The raster is cut short: a block ends at byte {end:,} of {self.file.size_bytes:,}."
                raise DataError("read", "member_unreadable", message)
            found[key] = data
        return found

    def _place(self, key: _Key) -> tuple[int, int]:
        number, *place = key
        return place_block(self.file, self._layers[number], self._blocks[number], (place[0], place[1], place[2]))

    def _keep(self, blocks: dict[_Key, bytes]) -> None:
        """Keep the blocks that a later window needs, as far as they fit."""
        self._kept, left_bytes = {}, KEPT_BYTES
        for key, data in blocks.items():
            left_bytes -= len(data)
            if left_bytes >= 0:
                self._kept[key] = data

    def _pack(self, window: Window, found: dict[_Key, bytes], white: int) -> bytes:
        made = [
            self._excerpt(number, layer, area, window, found)
            for number, (layer, area) in enumerate(self._areas(window))
        ]
        picture = self.level.picture
        parts = Parts(
            window,
            picture.size,
            made[0][0],
            made[1][0] if len(made) > 1 else None,
            self.raster.nodata,
            white,
            picture.is_negative,
            self.factor,
            self.mm_per_px,
        )
        return pack_window(parts, [excerpt for _, excerpt in made])

    def _excerpt(
        self, number: int, layer: Layer, area: Area, window: Window, found: dict[_Key, bytes]
    ) -> tuple[Part, bytes]:
        blocks = [found.get((number, *key), b"") for key in area.keys]
        top_px = window.top_px - area.first_row * layer.block.height_px
        left_px = window.left_px - area.first_col * layer.block.width_px
        bands = list_bands(layer)
        read = tuple(range(1, len(bands) + 1)) if layer.is_planar else bands
        excerpt = make_excerpt(layer, area, blocks) if any(blocks) else b""
        has_alpha = number == 0 and layer.alpha is not None
        return Part(
            len(excerpt), top_px, left_px, read, has_alpha, self._list_absent(layer, area, window, blocks)
        ), excerpt

    def _list_absent(
        self, layer: Layer, area: Area, window: Window, blocks: Sequence[bytes]
    ) -> tuple[tuple[int, int, int, int], ...]:
        """List the parts of a window whose blocks were never written."""
        if all(blocks):
            return ()
        height_px, width_px = layer.block
        boxes = set[tuple[int, int, int, int]]()
        for (_, row, col), data in zip(area.keys, blocks, strict=True):
            if not data:
                top, left = max(row * height_px, window.top_px), max(col * width_px, window.left_px)
                bottom, right = (
                    min((row + 1) * height_px, window.end_px[0]),
                    min((col + 1) * width_px, window.end_px[1]),
                )
                boxes.add((top - window.top_px, left - window.left_px, bottom - top, right - left))
        return tuple(sorted(boxes))
