"""Daft as its guide to batch inference does it: paths, download, decode, a class of one instance, Parquet."""

from typing import Any

import daft
import numpy as np
from daft import DataType, ImageMode, Series, col

from tests.bench.contenders.common import cut_photo, load_network, prepare, read_arguments, score

TILE = DataType.struct({"row": DataType.int32(), "col": DataType.int32(), "crack_score": DataType.float32()})


@daft.cls(max_concurrency=1)
class Predictor:
    """Cuts and scores photos."""

    def __init__(self) -> None:
        self.model = load_network()

    @daft.method.batch(return_dtype=DataType.list(TILE), batch_size=1)
    def predict(self, photos: Series) -> list[list[dict[str, Any]]]:
        """Return the tiles of each photo with their scores."""
        return [self.of_one(np.asarray(pixels)) for pixels in photos.to_pylist()]

    def of_one(self, pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> list[dict[str, Any]]:
        """Return the tiles of one photo with their scores."""
        boxes, tiles = cut_photo(pixels)
        found = score(self.model, prepare(tiles)).tolist()
        return [{"row": box.row, "col": box.col, "crack_score": score} for box, score in zip(boxes, found, strict=True)]


folder, out = read_arguments()
photos = daft.from_glob_path(f"{folder}/*.jpg").select("path")
decoded = photos.with_column("photo", col("path").download().decode_image(mode=ImageMode.RGB))
found: Any = Predictor().predict(col("photo"))  # an expression, once decorated
tiles = decoded.select("path", found.alias("tile")).explode("tile")
tiles.select("path", col("tile").get("row").alias("row"), col("tile").get("col").alias("col"),
             col("tile").get("crack_score").alias("crack_score")).write_parquet(out)  # fmt: skip
