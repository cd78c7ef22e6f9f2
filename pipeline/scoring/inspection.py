"""A closer look into photos with cracked tiles: their crack maps, and their cracks with length and width."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from pipeline.measurement.cracks import Crack, CrackedTile, group_tiles, measure_cracks
from pipeline.measurement.scale import Scale
from pipeline.models.batching import Device, Engine, TileMapper
from pipeline.models.crack_maps import LEAST_SCORE, PhotoMapper, ScoredPhoto
from pipeline.models.model import Model


class Wanted(NamedTuple):
    """What a run wants to know beside scores."""

    maps: bool = False
    cracks: bool = False


class PhotoInspector:
    """Looks into photos.

    Args:
        mapper: finds cracks in tiles.
        threshold: score of a tile from which on it is cracked.
        wanted: what is made.
    """

    def __init__(self, mapper: PhotoMapper, threshold: float, wanted: Wanted) -> None:
        self._mapper, self._threshold, self._wanted = mapper, threshold, wanted

    def __call__(self, photo: ScoredPhoto, scale: Scale | None) -> dict[str, Any]:
        """Return columns of `SCORED`: the map, the cracks, or both."""
        chosen = np.flatnonzero(photo.scores >= LEAST_SCORE)
        is_cracked = (photo.scores >= np.float32(self._threshold))[chosen].tolist()
        if not self._wanted.maps:  # what a crack cannot reach is not looked at
            groups = group_tiles([photo.grid[number] for number in chosen], is_cracked)
            chosen = chosen[sorted(number for group in groups for number in group)]
        maps, columns = self._mapper.map_tiles(photo, chosen.tolist()), dict[str, Any]()
        if self._wanted.maps:
            columns["crack_map"] = self._mapper.draw(photo, maps)
        if self._wanted.cracks:
            tiles = [CrackedTile(tile, places, score >= np.float32(self._threshold)) for tile, score, places in maps]
            columns |= describe_cracks(measure_cracks(photo.pixels, tiles), scale)
        return columns


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
        "lines": [_describe(number, crack, scale) for number, crack in enumerate(cracks)],
    }


def _describe(number: int, crack: Crack, scale: Scale | None) -> dict[str, Any]:
    mm_per_px = None if scale is None else scale.mm_per_px
    widths = asdict(crack.widths)
    status = widths.pop("status")
    left, top, width, height = crack.box
    return {
        "crack": number,
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


def make_mapper(engine: Engine, model: Model, device: Device) -> TileMapper:
    """Make what finds cracks within tiles: the engine itself, the dense head in torch, or what whole tiles tell."""
    own: TileMapper | None = getattr(engine, "map_tiles", None)
    if own is not None:
        return own
    if model.card.dense_stride is not None:
        from pipeline.models.dense_mapper import DenseMapper

        return DenseMapper(model, device)
    from pipeline.models.saliency import SaliencyMapper

    return SaliencyMapper(model, device)
