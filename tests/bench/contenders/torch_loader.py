"""A script with torch's DataLoader: a worker process decodes and cuts, this one scores with all of torch's threads."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from tests.bench.contenders.common import cut_photo, load_network, prepare, read_arguments, score

Cut = tuple[str, list[tuple[int, int]], Tensor]


class Photos(Dataset[Cut]):
    """The photos of a folder, cut."""

    def __init__(self, folder: str) -> None:
        self.paths = sorted(Path(folder).glob("*.jpg"))

    def __len__(self) -> int:
        """Count the photos."""
        return len(self.paths)

    def __getitem__(self, index: int) -> Cut:
        """Decode and cut one."""
        boxes, tiles = cut_photo(np.asarray(Image.open(self.paths[index]).convert("RGB")))
        return str(self.paths[index]), [(box.row, box.col) for box in boxes], prepare(tiles)


def main() -> None:
    """Score a folder."""
    folder, out = read_arguments()
    model, rows = load_network(), list[dict[str, object]]()
    for path, places, tiles in DataLoader(Photos(folder), batch_size=None, num_workers=1):
        found = zip(places, score(model, tiles).tolist(), strict=True)
        rows += [{"path": path, "row": row, "col": col, "crack_score": score} for (row, col), score in found]
    pq.write_table(pa.Table.from_pylist(rows), f"{out}/scores.parquet")


main()
