"""The tile scorer: photos in, crack scores out. A plain class that Ray happens to host.

Tiles of neighbouring photos share batches, so that small photos fill them too; a large photo is cut a batch at a time.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.batching import Engine, score_in_batches
from pipeline.decode import MAX_PIXELS, UNSUPPORTED_SUFFIXES, Decoder, Photo, PhotoFacts, decode
from pipeline.errors import DataError, UsageError
from pipeline.schema import SCORED
from pipeline.tiles import Tile, TileSpec, cut, grid

BATCH_TILES = 32
"""Tiles the network sees at once on a CPU; larger batches fall out of its cache."""


_KEPT = ("image_id", "archive", "image", "occurrence", "size_bytes", "ended")
"""Columns that leave as they came. A row with `ended` is no photo but the end of an archive, and has no others."""


@dataclass(frozen=True)
class ScoreRule:
    """How photos become scores, besides the model."""

    tiles: TileSpec
    threshold: float
    """A tile at or over this score counts in `crack_tiles`."""
    max_pixels: int = MAX_PIXELS
    """Larger photos fail."""
    batch_tiles: int = BATCH_TILES
    """Tiles the network sees at once."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.batch_tiles < 1 or self.max_pixels < 1:
            raise UsageError("--batch-tiles and --max-pixels must be at least 1.")


@dataclass
class _Outcome:
    """What became of one row."""

    row: dict[str, Any]
    height_px: int | None = None
    width_px: int | None = None
    facts: PhotoFacts = field(default_factory=PhotoFacts)
    grid: list[Tile] = field(default_factory=list)
    failure: dict[str, str] | None = None
    """Its columns; the error itself would keep the photo's memory."""


class PhotoScorer:
    """Decodes, cuts and scores a table of photos.

    Args:
        make_engine: builds the engine, once, in the process that will use it.
        rule: tile grid, limits and batch size.
        make_decoder: chooses the decoder, once, in that process.
    """

    def __init__(
        self, make_engine: Callable[[], Engine], rule: ScoreRule, make_decoder: Callable[[], Decoder] = lambda: decode
    ) -> None:
        self._engine = make_engine()
        self._decode = make_decoder()
        self._rule = rule

    def __call__(self, photos: pa.Table) -> pa.Table:
        """Score photos, and let the ends of archives pass.

        Shape: schema `READ` (n rows) → schema `SCORED` (n rows, in order).
        """
        outcomes: list[_Outcome] = []
        batches = [*score_in_batches(self._engine, self._cut(photos, outcomes), self._rule.batch_tiles)]
        scores = np.concatenate(batches) if batches else np.empty(0, np.float32)
        ends = np.cumsum([len(outcome.grid) for outcome in outcomes])
        rows = [self._row(outcome, scores[end - len(outcome.grid) : end])
                for outcome, end in zip(outcomes, ends, strict=True)]  # fmt: skip
        return pa.Table.from_pylist(rows, schema=SCORED)

    def _cut(self, photos: pa.Table, outcomes: list[_Outcome]) -> Iterator[NDArray[np.uint8]]:
        """Yield the tiles of all photos, at most a batch at a time, and note what became of each row."""
        for index in range(photos.num_rows):
            row = photos.slice(index, 1).to_pylist()[0]  # one photo's bytes in memory at a time
            data = row.pop("data")
            outcomes.append(_Outcome(row))
            if row["ended"] is None:
                yield from self._tiles(outcomes[-1], data)

    def _tiles(self, outcome: _Outcome, data: bytes | None) -> Iterator[NDArray[np.uint8]]:
        """Yield the tiles of one photo, whose pixels are gone before the next is decoded."""
        try:
            photo = self._photo(outcome.row, data)
        except DataError as error:
            outcome.failure = error.columns()
            return
        outcome.height_px, outcome.width_px = photo.pixels.shape[:2]
        outcome.facts = photo.facts
        outcome.grid = grid(outcome.height_px, outcome.width_px, self._rule.tiles)
        for first in range(0, len(outcome.grid), self._rule.batch_tiles):
            chunk = outcome.grid[first : first + self._rule.batch_tiles]
            yield cut(photo.pixels, chunk, self._rule.tiles.tile_px)

    def _photo(self, row: dict[str, Any], data: bytes | None) -> Photo:
        """Decode a photo; one whose bytes could not be read fails with the reason that came instead of them."""
        if row["failure_stage"] is not None:
            raise DataError(row["failure_stage"], row["failure_kind"], row["failure_message"])
        suffix = row["image"].rpartition(".")[2].lower()
        if suffix in UNSUPPORTED_SUFFIXES:
            raise DataError("decode", "unsupported_format", f"Photos of the kind .{suffix} cannot be decoded here.")
        return self._decode(data or b"", self._rule.max_pixels)

    def _row(self, outcome: _Outcome, scores: NDArray[np.float32]) -> dict[str, Any]:
        kept = {name: outcome.row[name] for name in _KEPT}
        if outcome.row["ended"] is not None:
            return kept
        row = kept | {"scored_at": datetime.now(UTC), "status": "ok" if outcome.failure is None else "failed"}
        if outcome.failure is not None:
            return row | outcome.failure
        return row | {
            "height_px": outcome.height_px,
            "width_px": outcome.width_px,
            **vars(outcome.facts),
            "tiles": len(scores),
            "crack_tiles": int(np.count_nonzero(scores >= np.float32(self._rule.threshold))),
            "crack_score": float(scores.max()),
            "grid": [
                tile._asdict() | {"crack_score": score}
                for tile, score in zip(outcome.grid, scores.tolist(), strict=True)
            ],
        }
