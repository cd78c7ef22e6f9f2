"""Ray Data as its guide "Working with images" does it: read, a row a tile, a predictor class, Parquet."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import ray

from tests.bench.contenders.common import BATCH_TILES, cut_photo, load_network, prepare, read_arguments, score


def to_tiles(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Cut one photo."""
    for box, tile in zip(*cut_photo(row["image"]), strict=True):
        yield {"path": row["path"], "row": box.row, "col": box.col, "tile": tile}


class Predictor:
    """Scores batches of tiles."""

    def __init__(self) -> None:
        self.model = load_network()

    def __call__(self, batch: dict[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
        """Replace pixels by scores."""
        tiles = batch.pop("tile")
        return batch | {"crack_score": score(self.model, prepare(tiles))}


folder, out = read_arguments()
photos = ray.data.read_images(folder, mode="RGB", include_paths=True)
scored = photos.flat_map(to_tiles).map_batches(
    Predictor, batch_size=BATCH_TILES, compute=ray.data.ActorPoolStrategy(size=1)
)
scored.write_parquet(out)
