"""Decodes photos, cuts them into tiles and scores them; a plain class that Ray hosts.

Neighbouring photos share batches, so that small photos fill batches, too. A photo is cut a few tiles at a time.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from pipeline.archives.members import Limits, is_raster
from pipeline.archives.rasters import RasterLimits
from pipeline.core.errors import DataError, UsageError
from pipeline.core.table_schemas import SCORED
from pipeline.core.usage import Usage, measure, usage_now, with_peak
from pipeline.dataset.moves import NO_MOVES, Moves
from pipeline.images.decode import MAX_PIXELS, Decoder, Photo, Pixels, decode
from pipeline.images.exif import PhotoFacts
from pipeline.images.tiles import Tile, TileSpec, cut, grid
from pipeline.measurement.scale import Scale, ScaleRule, find_scale
from pipeline.models.batching import (
    BATCH_TILES,
    CHUNK_TILES,
    CRACK,
    DOMAIN,
    Device,
    Engine,
    score_in_batches,
)
from pipeline.models.card import PhotoCalibration
from pipeline.models.crack_maps import ScoredPhoto
from pipeline.models.model import Model
from pipeline.models.photo_score import score_photo
from pipeline.rasters.window_decoder import WindowPhoto, decode_window
from pipeline.rasters.window_reader import WindowRule
from pipeline.rasters.windows import Window, list_tiles
from pipeline.scoring.inspection import PhotoInspector, SureTiles, Wanted, describe_cracks, make_mapper

KEPT_PIXELS = 50_000_000
"""Larger photos are decoded again when a tile is cracked, rather than kept beside the next one (150 MB)."""

MakeEngine = Callable[[Model, Device], Engine]

_PASSED_ON = ("image_id", "archive", "image", "occurrence", "size_bytes", "ended", "read_usage", "log")
"""Columns that pass unchanged. A row with `ended` is the end of a stream, not a photo, and has no other columns."""


@dataclass(frozen=True)
class ScoreRule:
    """Tile grid, threshold and limits."""

    tiles: TileSpec
    threshold: float
    """A tile at or over this score counts in `crack_tiles`."""
    max_pixels: int = MAX_PIXELS
    """Larger photos fail."""
    batch_tiles: int = BATCH_TILES
    """Tiles that the network sees at once."""
    photo: PhotoCalibration | None = None
    """Of the photo's score; None takes the highest score of a tile."""
    scale: ScaleRule = field(default_factory=ScaleRule)
    """What the user says about millimetres."""
    wanted: Wanted = field(default_factory=Wanted)
    """What is made beside scores."""
    overview: int = 0
    """Which overview of rasters is scored; 0 for the rasters themselves."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.batch_tiles < 1 or self.max_pixels < 1:
            raise UsageError("--batch-tiles and --max-pixels must be at least 1.")


@dataclass(frozen=True)
class Scoring:
    """Model, rule, engine, limits, decoder and places for the photos of a run."""

    model: Model
    rule: ScoreRule
    make_engine: MakeEngine
    limits: Limits = field(default_factory=Limits)
    """What may be read into memory."""
    decode: Decoder = decode
    moves: Moves = NO_MOVES
    """Where archives and folders lie now."""

    @property
    def window_rule(self) -> WindowRule:
        """How rasters are cut into windows."""
        return WindowRule(self.rule.tiles, self.rule.overview, self.limits.ratio)

    @property
    def raster_limits(self) -> RasterLimits:
        """How large a TIFF may be that is decoded as a whole."""
        return RasterLimits(self.rule.max_pixels, self.limits.photo_bytes)


def make_inspector(engine: Engine, model: Model, device: Device, rule: ScoreRule) -> PhotoInspector:
    """Make what looks into photos, as the rule wants it."""
    tile_px, places, calibration = rule.tiles.tile_px, model.card.places, model.card.calibration
    sure = None
    if rule.wanted.cracks and places is not None and places.to_logit is not None:
        least_score = 1 / (1 + math.exp(-places.to_logit / calibration.temperature - calibration.bias))
        sure = SureTiles(least_score, make_mapper(engine, model, device, tile_px, enlarged=False))
    return PhotoInspector(make_mapper(engine, model, device, tile_px), rule.threshold, rule.wanted, sure)


@dataclass
class _Outcome:
    """The result of one row."""

    row: dict[str, Any]
    height_px: int | None = None
    width_px: int | None = None
    facts: PhotoFacts = field(default_factory=PhotoFacts)
    scale: Scale | None = None
    grid: list[Tile] = field(default_factory=list)
    """In pixels of the photo, or of the window."""
    window: Window | None = None
    """Of a raster; None for a photo."""
    failure: dict[str, str] | None = None
    """Columns of the failure; the error itself would keep the photo in memory."""
    decode_usage: Usage = field(default_factory=Usage)
    """Usage of decoding and cutting."""
    map_usage: Usage = field(default_factory=Usage)
    """Usage of looking into the photo, a second decoding included."""
    pixels: Pixels | None = None
    """Kept until the tiles have their scores, if the photo may be looked into and is not too large."""


class _Scores:
    """Scores of tiles, in order. The newest batch may still be computed, by a GPU."""

    def __init__(self) -> None:
        self._settled = np.empty((0, 2), np.float32)
        self._newest: ArrayLike | None = None

    def add(self, batch: ArrayLike) -> None:
        """Add a batch, shape (n, 2), and wait for the one before."""
        self.settle()
        self._newest = batch

    def settle(self) -> None:
        """Wait for all."""
        if self._newest is not None:
            self._settled = np.concatenate([self._settled, np.asarray(self._newest)])
            self._newest = None

    def take(self, count: int) -> NDArray[np.float32] | None:
        """Return the next scores and forget them; None if they are not there yet."""
        if len(self._settled) < count:
            return None
        found, self._settled = self._settled[:count], self._settled[count:]
        return found


class Decoders(NamedTuple):
    """What decodes photos, and windows of rasters."""

    photo: Decoder = decode
    window: Decoder = decode_window


class PhotoScorer:
    """Decodes, cuts and scores a table of photos.

    Args:
        make_engine: builds the engine, once, in the process that uses it.
        rule: tile grid, limits and batch size.
        make_decoders: chooses the decoders, once, in that process.
        make_inspector: builds what looks into photos with cracked tiles, once, in that process; None leaves it out.
        gpus: share of a GPU that the scorer reserves.
    """

    def __init__(
        self,
        make_engine: Callable[[], Engine],
        rule: ScoreRule,
        make_decoders: Callable[[], Decoders] = Decoders,
        make_inspector: Callable[[Engine], PhotoInspector] | None = None,
        gpus: float = 0.0,
    ) -> None:
        self._gpus = gpus
        self._engine = make_engine()
        self._decoders = make_decoders()
        self._inspect = None if make_inspector is None else make_inspector(self._engine)
        self._rule = rule
        self._warm_up()

    def _warm_up(self) -> None:
        """Score and inspect blank tiles: engines compile at their first batch, and that is no photo's time."""
        side_px = self._rule.tiles.tile_px
        np.asarray(self._engine(np.zeros((self._rule.batch_tiles, side_px, side_px, 3), np.uint8)))
        if self._inspect is not None:
            pixels = np.zeros((side_px, side_px, 3), np.uint8)
            blank = ScoredPhoto("", pixels, grid(side_px, side_px, self._rule.tiles), np.ones(1, np.float32))
            self._inspect(blank, None)

    def __call__(self, photos: pa.Table) -> pa.Table:
        """Score photos, and pass the ends of streams on.

        Shape: schema `READ` (n rows) → schema `SCORED` (n rows, in order).
        """
        before, outcomes, rows, scores = usage_now(), list[_Outcome](), list[dict[str, Any]](), _Scores()
        for batch in score_in_batches(self._engine, self._cut_photos(photos, outcomes), self._rule.batch_tiles):
            scores.add(batch)
            self._add_rows(rows, outcomes, scores, photos["data"])
        scores.settle()
        self._add_rows(rows, outcomes, scores, photos["data"])
        self._add_usage(rows, outcomes, usage_now() - before)
        return pa.Table.from_pylist(rows, schema=SCORED)

    def _add_rows(
        self, rows: list[dict[str, Any]], outcomes: Sequence[_Outcome], scores: "_Scores", data: pa.ChunkedArray
    ) -> None:
        """Make the rows of further photos whose tiles all have their scores, and free the photos."""
        for outcome in outcomes[len(rows) :]:
            found = scores.take(len(outcome.grid))
            if found is None:
                return
            rows.append(self._inspected_row(outcome, found, data[len(rows)]))
            outcome.pixels = None

    def _add_usage(self, rows: list[dict[str, Any]], outcomes: list[_Outcome], total: Usage) -> None:
        """Add the usage of each photo: its own decoding, and by its number of tiles a share of everything else.

        The scorer reserves its share of a GPU all the time: the GPU computes while the next tiles are decoded.
        """
        rest = total - sum((outcome.decode_usage + outcome.map_usage for outcome in outcomes), Usage())
        scoring = replace(with_peak(rest), gpu_s=self._gpus * total.wall_s)
        tiles = sum(len(outcome.grid) for outcome in outcomes)
        for row, outcome in zip(rows, outcomes, strict=True):
            share = len(outcome.grid) / tiles if tiles else 1 / len(outcomes)
            row |= {
                "decode_usage": vars(outcome.decode_usage),
                "score_usage": vars(scoring.share(share)),
                "map_usage": vars(outcome.map_usage),
            }

    def _cut_photos(self, photos: pa.Table, outcomes: list[_Outcome]) -> Iterator[NDArray[np.uint8]]:
        """Yield the tiles of all photos, a few at a time, and append the outcome of each row."""
        for index in range(photos.num_rows):
            row = photos.slice(index, 1).to_pylist()[0]  # one photo's bytes in memory at a time
            data = row.pop("data")
            outcomes.append(_Outcome(row))
            if row["ended"] is None:
                yield from self._cut_photo(outcomes[-1], data, sum(len(outcome.grid) for outcome in outcomes))

    def _cut_photo(self, outcome: _Outcome, data: bytes | None, tiles_before: int) -> Iterator[NDArray[np.uint8]]:
        """Yield the tiles of one photo in chunks that fit batches."""
        before = usage_now()
        try:
            photo = self._decode_row(outcome.row, data)
        except DataError as error:
            outcome.failure = error.columns()
            return
        finally:
            outcome.decode_usage += usage_now() - before
        outcome.height_px, outcome.width_px = photo.pixels.shape[:2]
        outcome.facts = photo.facts
        if self._inspect is not None and outcome.height_px * outcome.width_px <= KEPT_PIXELS:
            outcome.pixels = photo.pixels
        names = outcome.row["archive"], outcome.row["image"]
        outcome.scale = find_scale(photo.scale_facts, outcome.width_px, self._rule.scale, *names)
        if isinstance(photo, WindowPhoto):
            outcome.window, outcome.scale = photo.window, _adjust_scale(outcome.scale, photo.factor)
            outcome.grid = list_shown_tiles(photo, self._rule.tiles)
        else:
            outcome.grid = grid(outcome.height_px, outcome.width_px, self._rule.tiles)
        for first in range(-(tiles_before % CHUNK_TILES), len(outcome.grid), CHUNK_TILES):
            chunk = outcome.grid[max(0, first) : first + CHUNK_TILES]
            if not chunk:
                continue
            tiles = measure(partial(cut, photo.pixels, chunk, self._rule.tiles.tile_px))
            outcome.decode_usage += tiles.usage
            yield tiles.result

    def _decode_row(self, row: dict[str, Any], data: bytes | None) -> Photo:
        """Decode a photo; raise the failure of reading, if the row carries one."""
        if row["failure_stage"] is not None:
            raise DataError(row["failure_stage"], row["failure_kind"], row["failure_message"])
        decoder = self._decoders.window if is_raster(row["archive"]) else self._decoders.photo
        return decoder(data or b"", self._rule.max_pixels)

    def _inspected_row(self, outcome: _Outcome, scores: NDArray[np.float32], data: pa.Scalar) -> dict[str, Any]:
        """Make the row of a photo, and look into it if anybody wants to and a tile is at or over the threshold."""
        row = self._row(outcome, scores)
        if self._inspect is None or not row.get("crack_tiles"):
            return row
        try:
            inspected = measure(partial(self._look_into, self._inspect, outcome, scores, data))
        except DataError as error:  # a second decoding can fail when memory is short or the machine hangs
            outcome.failure = error.columns()
            return self._row(outcome, scores)
        outcome.map_usage = inspected.usage
        return row | inspected.result

    def _look_into(
        self, inspect: PhotoInspector, outcome: _Outcome, scores: NDArray[np.float32], data: pa.Scalar
    ) -> dict[str, Any]:
        pixels = outcome.pixels
        if pixels is None:
            pixels = self._decode_row(outcome.row, data.as_py()).pixels
        origin_px = (0, 0) if outcome.window is None else (outcome.window.left_px, outcome.window.top_px)
        photo = ScoredPhoto(outcome.row["image"], pixels, outcome.grid, scores[:, CRACK], origin_px)
        return inspect(photo, outcome.scale)

    def _row(self, outcome: _Outcome, scores: NDArray[np.float32]) -> dict[str, Any]:
        passed_on = {name: outcome.row[name] for name in _PASSED_ON}
        if outcome.row["ended"] is not None:
            return passed_on
        row = passed_on | {"scored_at": datetime.now(UTC), "status": "ok" if outcome.failure is None else "failed"}
        if outcome.failure is not None:
            return row | outcome.failure
        cracks = scores[:, CRACK]
        highest = float(cracks.max()) if len(cracks) else None
        return row | {
            "height_px": outcome.height_px,
            "width_px": outcome.width_px,
            **vars(outcome.facts),
            **(describe_cracks([], outcome.scale) if self._rule.wanted.cracks else {}),
            "tiles": len(scores),
            "crack_tiles": int(np.count_nonzero(cracks >= np.float32(self._rule.threshold))),
            "crack_score": highest if self._rule.photo is None else _score(outcome, cracks, self._rule.photo),
            "max_tile_score": highest,
            "domain_score": photo_domain_score(scores[:, DOMAIN]),
            "grid": [
                tile._asdict() | {"crack_score": score}
                for tile, score in zip(_place_tiles(outcome), cracks.tolist(), strict=True)
            ],
        }


def list_shown_tiles(photo: WindowPhoto, spec: TileSpec) -> list[Tile]:
    """List the tiles of a window that show something, in its own pixels."""
    tiles, valid = list_tiles(photo.window, photo.raster, spec), photo.valid
    if valid is None:
        return tiles
    return [
        tile
        for tile in tiles
        if valid[tile.top_px : tile.top_px + tile.height_px, tile.left_px : tile.left_px + tile.width_px].any()
    ]


def _place_tiles(outcome: _Outcome) -> list[Tile]:
    """Return the tiles of a photo; of a window, in rows, columns and pixels of its raster."""
    window = outcome.window
    if window is None:
        return outcome.grid
    down, right = window.first_row, window.first_col
    return [
        Tile(row + down, col + right, top + window.top_px, left + window.left_px, height, width)
        for row, col, top, left, height, width in outcome.grid
    ]


def _score(outcome: _Outcome, cracks: NDArray[np.float32], calibration: PhotoCalibration) -> float | None:
    """Compute the score of a photo or window; None if nothing is to be seen in it."""
    window = outcome.window
    if not len(cracks):
        return None
    if window is None:
        return score_photo(cracks, outcome.grid[-1].row + 1, calibration)
    laid = np.full((window.rows, window.cols), np.nan, np.float32)
    laid[[tile.row for tile in outcome.grid], [tile.col for tile in outcome.grid]] = cracks
    return score_photo(laid.ravel(), window.rows, calibration)


def _adjust_scale(scale: Scale | None, factor: float) -> Scale | None:
    """Return the scale of an overview, of which users know that of the raster itself; a map tells it as it is."""
    if scale is None or scale.source == "georeference":
        return scale
    return scale._replace(mm_per_px=scale.mm_per_px * factor)


def photo_domain_score(scores: NDArray[np.float32]) -> float | None:
    """Compute the domain score of a photo: the median of its tiles, or None if the model computes no domain score.

    With the median, a photo of concrete under a strip of sky, or with a hand in it, still counts as concrete. For an
    even number of tiles it is the lower of the middle two.

    Shape: (n,).
    """
    if not len(scores):
        return None
    middle = float(np.sort(scores)[(len(scores) - 1) // 2])
    return None if np.isnan(middle) else middle
