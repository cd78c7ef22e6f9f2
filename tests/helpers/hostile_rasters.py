"""Damaged rasters, read as a run reads them, in a process with little memory and an alarm for each.

As a script, it damages rasters of every form in CASES ways from SEED on, reads what is left of them into the file PATH,
and prints how many ended in which way. Whatever is no row stops it with a traceback.
"""

import json
import resource
import signal
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import storage
from pipeline.archives.listing import entry_of
from pipeline.archives.members import Limits
from pipeline.archives.rasters import RasterLimits, find_rasters
from pipeline.archives.readers import list_archive, read_members
from pipeline.core.errors import DataError
from pipeline.images.tiles import TileSpec
from pipeline.rasters import windows
from pipeline.rasters.window_decoder import decode_window
from pipeline.rasters.window_reader import WindowRule
from tests.helpers.raster_files import ON_EARTH, add_overviews, make_bands, write_raster

MEMORY_BYTES = 3 << 30
"""Of addresses, most of which libraries take and never use."""
CASE_S = 60
"""A case takes a hundredth of a second; a busy machine stands still for seconds."""
MOST_WINDOWS = 40
RULE = WindowRule(TileSpec(32, 0.0))

_VALUES = (0, 1, 2, 3, 5, 16, 33, 255, 256, 1000, 65_535, 65_536, 1 << 20, (1 << 24) + 1, (1 << 31) - 1, 1 << 31,
           (1 << 32) - 1)  # fmt: skip
"""Where programs that count are off."""
_TILES: dict[str, Any] = {"tiled": True, "blockxsize": 32, "blockysize": 32}


def make_forms() -> list[bytes]:
    """Make sound rasters of four windows or more, in every form and compression."""
    bands, shown = make_bands(150, 130), np.zeros((150, 130), bool)
    shown[20:90] = True
    return [
        write_raster(bands, compress="JPEG", photometric="YCBCR", **_TILES, **ON_EARTH),
        write_raster(bands, compress="DEFLATE", predictor=2),
        write_raster(bands.astype(np.uint16) * 16, compress="LZW", nodata=0, **_TILES),
        write_raster(bands, bigtiff="YES", compress="DEFLATE", endianness="BIG", **_TILES),
        write_raster(bands, interleave="band"),
        write_raster(bands, mask=shown, compress="DEFLATE", **_TILES),
        write_raster(bands, driver="COG", compress="JPEG", blocksize=128),
        add_overviews(write_raster(bands, compress="DEFLATE", **_TILES), [2]),
        *(
            write_raster(bands, compress=name, **_TILES)
            for name in ("ZSTD", "WEBP", "LERC_DEFLATE", "LZMA", "PACKBITS")
        ),
    ]


def damage(data: bytes, chance: np.random.Generator) -> bytes:
    """Damage a raster: a number in its first directory, bytes of that or of anything, or its end."""
    damaged, (start, end, entry_bytes) = bytearray(data), _find_directory(data)
    kind = chance.integers(0, 4)
    if kind == 0:
        _set_number(damaged, start, end, entry_bytes, chance)
    elif kind == 1:
        damaged[chance.integers(start, end)] = chance.integers(0, 256)
    elif kind == 2:
        for place in chance.integers(0, len(damaged), 3):
            damaged[place] = chance.integers(0, 256)
    else:
        del damaged[chance.integers(0, len(damaged)) :]
    return bytes(damaged)


def _find_directory(data: bytes) -> tuple[int, int, int]:
    """Return where the entries of the first directory start and end, and the size of each."""
    order, is_big = _form_of(data)
    (place,) = struct.unpack_from(order + ("Q" if is_big else "I"), data, 8 if is_big else 4)
    (count,) = struct.unpack_from(order + ("Q" if is_big else "H"), data, place)
    start, entry_bytes = place + (8 if is_big else 2), 20 if is_big else 12
    return start, start + count * entry_bytes, entry_bytes


def _form_of(data: bytes | bytearray) -> tuple[str, bool]:
    return "<" if data[:2] == b"II" else ">", b"+" in data[2:4]


def _set_number(data: bytearray, start: int, end: int, entry_bytes: int, chance: np.random.Generator) -> None:
    """Set the type, the length or the value of an entry."""
    order, is_big = _form_of(data)
    place, value = int(chance.choice(range(start, end, entry_bytes))), int(chance.choice([*_VALUES, len(data), start]))
    wide, what = order + ("Q" if is_big else "I"), chance.integers(0, 4)
    inline = place + entry_bytes - struct.calcsize(wide)
    kind, length = struct.unpack_from(f"{order}H", data, place + 2)[0], struct.unpack_from(wide, data, place + 4)[0]
    if what == 0:
        struct.pack_into(f"{order}H", data, place + 2, int(chance.integers(0, 20)))
    elif what == 1:
        struct.pack_into(wide, data, place + 4, value)
    elif kind == 3 and length == 1:
        struct.pack_into(f"{order}H", data, inline, value & 0xFFFF)
    else:
        struct.pack_into(wide, data, inline, value)


def read_outcomes(path: Path) -> Iterator[str]:
    """Read a raster as a run does; yield how each of its windows, or all of it, ended."""
    file = storage.stat(str(path))
    find_rasters([file], RasterLimits(100))
    rows = list_archive(file, None, RULE).to_pylist()
    yield from (row["failure_kind"] for row in rows if row["failure_kind"])
    entries = [entry_of(row) for row in rows if not row["failure_kind"]][:MOST_WINDOWS]
    found = dict(read_members(file.url, None, entries, Limits(), RULE))
    if found.keys() != {*entries}:
        raise AssertionError(f"{len(entries)} windows were asked for, and {len(found)} read.")
    for content in found.values():
        try:
            if isinstance(content, DataError):
                raise content
            decode_window(content)
        except DataError as error:
            yield error.kind
        else:
            yield "ok"


def main(path: Path, cases: int, seed: int) -> None:
    """Damage and read rasters, and print what became of them."""
    windows.WINDOW_PIXELS = 100 * 100
    chance, outcomes, forms = np.random.default_rng(seed), Counter[str](), make_forms()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    for number in range(cases):
        path.write_bytes(damage(forms[number % len(forms)], chance))
        signal.alarm(CASE_S)  # ends the process
        outcomes.update(read_outcomes(path))
    signal.alarm(0)
    sys.stdout.write(json.dumps(outcomes))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
