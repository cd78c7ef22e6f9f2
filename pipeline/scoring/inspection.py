"""A closer look into photos with cracked tiles: their crack maps, and their cracks with length and width.

Those of a raster's windows are joined once it is complete.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from pipeline.core.wkt import parse_lines
from pipeline.measurement.cracks import Crack, CrackedTile, Widths, choose_tiles, measure_cracks
from pipeline.measurement.scale import Scale
from pipeline.measurement.stitching import Piece, Span, Stitched, stitch
from pipeline.models.batching import Device, Engine, TileMapper
from pipeline.models.crack_maps import LEAST_SCORE, PhotoMapper, ScoredPhoto
from pipeline.models.model import Model


class Wanted(NamedTuple):
    """What a run wants to know beside scores."""

    maps: bool = False
    cracks: bool = False


class SureTiles(NamedTuple):
    """How cracks are found in tiles that are cracked beyond doubt: in pictures of half the size, for they are many."""

    least_score: float
    mapper: PhotoMapper


class PhotoInspector:
    """Looks into photos.

    Args:
        mapper: finds cracks in tiles.
        threshold: score of a tile from which on it is cracked.
        wanted: what is made.
        sure: finds cracks in some of the tiles; None looks at all as closely.
    """

    def __init__(self, mapper: PhotoMapper, threshold: float, wanted: Wanted, sure: SureTiles | None = None) -> None:
        self._mapper, self._threshold, self._wanted, self._sure = mapper, np.float32(threshold), wanted, sure

    def __call__(self, photo: ScoredPhoto, scale: Scale | None) -> dict[str, Any]:
        """Return columns of `SCORED`: the map, the cracks, or both."""
        columns = dict[str, Any]()
        if self._wanted.maps:
            columns["crack_map"] = self._mapper(photo)
        if self._wanted.cracks:
            cracks = measure_cracks(photo.pixels, self._find(photo))
            columns |= describe_cracks([crack.move(*photo.origin_px) for crack in cracks], scale)
        return columns

    def _find(self, photo: ScoredPhoto) -> list[CrackedTile]:
        """Find cracks in cracked tiles, and in likely ones that touch them."""
        likely = np.flatnonzero(photo.scores >= LEAST_SCORE)
        is_cracked = (photo.scores[likely] >= self._threshold).tolist()
        chosen = likely[choose_tiles([photo.grid[index] for index in likely.tolist()], is_cracked)]
        is_sure = photo.scores[chosen] >= (np.inf if self._sure is None else self._sure.least_score)
        maps = self._mapper.map_tiles(photo, chosen[~is_sure].tolist())
        maps += [] if self._sure is None else self._sure.mapper.map_tiles(photo, chosen[is_sure].tolist())
        return [CrackedTile(tile, places, bool(score >= self._threshold)) for tile, score, places in maps]


def describe_cracks(cracks: Sequence[Crack], scale: Scale | None) -> dict[str, Any]:
    """Return the columns of `SCORED` that tell of a photo's cracks; millimetres where there is a scale."""
    widest_px = max((crack.widths.max for crack in cracks if crack.widths.max is not None), default=None)
    mm_per_px = None if scale is None else scale.mm_per_px
    return {
        "cracks": len(cracks),
        "crack_length_px": sum(crack.length_px for crack in cracks),
        "widest_px": widest_px,
        "widest_mm": _multiply(widest_px, mm_per_px),
        "mm_per_px": mm_per_px,
        "scale_source": None if scale is None else scale.source,
        "lines": [{"crack": number, **_measure(crack, scale)} for number, crack in enumerate(cracks)],
    }


def _measure(crack: Crack | Stitched, scale: Scale | None) -> dict[str, Any]:
    """Return the columns of a crack but its number."""
    mm_per_px = None if scale is None else scale.mm_per_px
    widths = asdict(crack.widths)
    status = widths.pop("status")
    left, top, width, height = crack.box
    return {
        "line_wkt": crack.line_wkt,
        "left_px": left,
        "top_px": top,
        "width_px": width,
        "height_px": height,
        "length_px": crack.length_px,
        "orientation_deg": crack.orientation_deg,
        "width_status": status,
        "score": crack.score,
        "mm_per_px": mm_per_px,
        "scale_source": None if scale is None else scale.source,
        "length_mm": _multiply(crack.length_px, mm_per_px),
        **{f"crack_width_px_{name}": value for name, value in widths.items()},
        **{f"crack_width_mm_{name}": _multiply(value, mm_per_px) for name, value in widths.items()},
    }


def _multiply(pixels: float | None, mm_per_px: float | None) -> float | None:
    return None if pixels is None or mm_per_px is None else pixels * mm_per_px


def join_pieces(pieces: Sequence[dict[str, Any]], windows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Join the cracks of a raster over its windows; see `dataset.rasters.JoinPieces`."""
    window_of = {window["image_id"]: (window["row"], window["col"]) for window in windows}
    rows = {window["row"]: Span(window["top_px"], window["bottom_px"]) for window in windows}
    cols = {window["col"]: Span(window["left_px"], window["right_px"]) for window in windows}
    for crack in stitch([_read_piece(row, window_of[row["image_id"]]) for row in pieces], rows, cols):
        first = pieces[crack.members[0]]
        yield first if crack.is_whole else first | _measure(crack, _read_scale(first))


def _read_piece(row: dict[str, Any], window: tuple[int, int]) -> Piece:
    widths = Widths(row["width_status"], *(row[f"crack_width_px_{name}"] for name in ("p50", "p95", "max")))
    return Piece(window, parse_lines(row["line_wkt"]), row["length_px"], widths, row["score"])


def _read_scale(row: dict[str, Any]) -> Scale | None:
    return None if row["mm_per_px"] is None else Scale(row["mm_per_px"], row["scale_source"])


def make_mapper(engine: Engine, model: Model, device: Device, tile_px: int, *, enlarged: bool = True) -> PhotoMapper:
    """Make what finds cracks within tiles: the engine itself, the dense head in torch, or what whole tiles tell.

    Args:
        engine: scores the tiles.
        model: whose engine it is.
        device: where it runs.
        tile_px: side of a tile as the network sees it.
        enlarged: whether in the picture that a closer look takes, or in one of the network's own size.
    """
    own = getattr(engine, "make_mapper", None)
    map_tiles: TileMapper | None = None if own is None else own(enlarged=enlarged)
    if map_tiles is not None:
        return PhotoMapper(map_tiles, tile_px, model.model_id, batch_tiles=1)
    if model.card.dense_stride is not None:
        from pipeline.models.dense_mapper import DenseMapper

        return PhotoMapper(DenseMapper(model, device, enlarged=enlarged), tile_px, model.model_id)
    from pipeline.models.saliency import SaliencyMapper

    return PhotoMapper(SaliencyMapper(model, device), tile_px, model.model_id)
