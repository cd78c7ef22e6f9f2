"""Ray Data tuned by its guides: tiles in batches, channels last, one actor per core with room for readers."""

from typing import Any

import numpy as np
import ray
import torch

from tests.bench.contenders.common import BATCH_TILES, cut_photo, load_network, prepare, read_arguments, score

Batch = dict[str, np.ndarray[Any, Any]]


def to_tiles(photos: Batch) -> Batch:
    """Cut photos."""
    cut = [cut_photo(pixels) for pixels in photos["image"]]
    return {
        "path": np.repeat(photos["path"], [len(boxes) for boxes, _ in cut]),
        "row": np.array([box.row for boxes, _ in cut for box in boxes]),
        "col": np.array([box.col for boxes, _ in cut for box in boxes]),
        "tile": np.concatenate([tiles for _, tiles in cut]),
    }


class Predictor:
    """Scores batches of tiles on one thread."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        self.model = load_network().to(memory_format=torch.channels_last)

    def __call__(self, batch: Batch) -> Batch:
        """Replace pixels by scores."""
        tiles = prepare(batch.pop("tile")).contiguous(memory_format=torch.channels_last)
        return batch | {"crack_score": score(self.model, tiles)}


folder, out = read_arguments()
ray.init()
actors = int(ray.cluster_resources()["CPU"])  # type: ignore[no-untyped-call]
photos = ray.data.read_images(folder, mode="RGB", include_paths=True)
scored = photos.map_batches(to_tiles, batch_size=1, num_cpus=0.25).map_batches(
    Predictor, batch_size=BATCH_TILES, compute=ray.data.ActorPoolStrategy(size=actors), num_cpus=0.5
)
scored.write_parquet(out)
