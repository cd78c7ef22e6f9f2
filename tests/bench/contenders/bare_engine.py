"""The bare engine: one process per core scores prepared tiles, all at the same time.

It also measures decoding and cutting, which no flow can hide on a machine whose every core scores. It prints JSON.
"""

import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.cluster.session import MALLOC_ENV
from pipeline.images.decode import decode
from pipeline.images.tiles import TileSpec, cut, grid
from pipeline.models import engines
from pipeline.models.batching import CHUNK_TILES
from pipeline.models.model import SHIPPED_MODEL, load_model

SECONDS = 10.0
PHOTOS = 4
"""The first photos of a folder; every fourth drawn photo is rotated and takes longer."""
SPEC = TileSpec(224, 0.0)


class Speed(NamedTuple):
    """Speed of one process."""

    engine: str
    tiles_per_s: float
    decode_s: float
    """Seconds of decoding and cutting per tile."""


def work(photos: list[bytes]) -> Speed:
    """Measure one process."""
    tiles, model = np.concatenate([*cut_photo(photos[0])]), load_model(SHIPPED_MODEL)
    name = engines.choose("auto", "cpu", (model, SPEC.tile_px), lambda: False).name
    engine = engines.make(name, SPEC.tile_px, model, "cpu")
    size = engines.batch_tiles(name)
    batches = [tiles[first : first + size] for first in range(0, len(tiles) - size, size)]
    engine(batches[0])
    began_at, done = time.perf_counter(), 0
    while (seconds := time.perf_counter() - began_at) < SECONDS:
        engine(batches[done % len(batches)])
        done += 1
    decoding_at = time.perf_counter()
    decoded = sum(len(chunk) for photo in photos for chunk in cut_photo(photo))
    decode_s = (time.perf_counter() - decoding_at) / decoded
    return Speed(name, done * size / seconds, decode_s)


def cut_photo(photo: bytes) -> Iterator[NDArray[np.uint8]]:
    """Decode and cut as crackscan does; shape (n, 224, 224, 3)."""
    pixels = decode(photo).pixels
    tiles = grid(pixels.shape[0], pixels.shape[1], SPEC)
    for first in range(0, len(tiles), CHUNK_TILES):
        yield cut(pixels, tiles[first : first + CHUNK_TILES], SPEC.tile_px)


def main() -> None:
    """Measure all cores at once."""
    photos = [path.read_bytes() for path in sorted(Path(sys.argv[1]).glob("*.jpg"))[:PHOTOS]]
    cores = len(os.sched_getaffinity(0))
    os.environ.update(MALLOC_ENV)  # as the scorers have it; the processes start with it
    with multiprocessing.get_context("spawn").Pool(cores) as pool:
        found = pool.map(work, [photos] * cores, chunksize=1)
    print(json.dumps({
        "engine": found[0].engine,
        "tiles_per_s": sum(speed.tiles_per_s for speed in found),
        "decode_s": sum(speed.decode_s for speed in found) / cores,
        "cores": cores,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
