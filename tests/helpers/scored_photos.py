"""A dataset of real photos in a real archive, scored in this process by an engine with a computable answer.

The score of a tile is its mean brightness, and its domain score is its mean red.
"""

import io
import zipfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from pipeline import storage
from pipeline.archives.listing import decode_listing
from pipeline.archives.members import Limits
from pipeline.dataset.layout import Layout
from pipeline.dataset.lease import hold
from pipeline.dataset.run import Run
from pipeline.dataset.writer import open_writer
from pipeline.images.tiles import TileSpec
from pipeline.scoring.plan import expand_stream, read_planned_ids
from pipeline.scoring.reading import read_unit, split_units
from pipeline.scoring.scorer import PhotoScorer, ScoreRule
from tests.helpers.plans import save_listed_plan
from tests.helpers.small_dataset import with_cracks

SPEC = TileSpec(50, 0.0)
THRESHOLD = 0.5
DOMAIN_THRESHOLD = 0.9
CARD = {"threshold": THRESHOLD, "domain_threshold": DOMAIN_THRESHOLD}


def photo(
    level: int, at: datetime | None = None, place: tuple[float, float] | None = None, *, red: int | None = None
) -> bytes:
    """Make a black photo of 150 x 100 pixels, six tiles, whose right lower tile has one grey level.

    Args:
        level: grey level of that tile; its score is this over 255.
        at: time of capture, in the EXIF.
        place: latitude and longitude, in the EXIF.
        red: level of red everywhere; from `DOMAIN_THRESHOLD` x 255 on, the photo is out of domain.
    """
    pixels = np.zeros((100, 150, 3), np.uint8)
    pixels[50:, 100:] = level
    if red is not None:
        pixels[..., 0] = red
    exif = Image.Exif()
    if at is not None:
        exif.get_ifd(0x8769)[0x9003] = f"{at:%Y:%m:%d %H:%M:%S}"
    if place is not None:
        latitude, longitude = place
        exif.get_ifd(0x8825).update({1: "S" if latitude < 0 else "N", 2: _degrees(latitude)})
        exif.get_ifd(0x8825).update({3: "W" if longitude < 0 else "E", 4: _degrees(longitude)})
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", exif=exif.tobytes())
    return buffer.getvalue()


def zip_photos(path: Path, photos: Mapping[str, bytes]) -> Path:
    """Write a zip of photos by name."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in photos.items():
            archive.writestr(name, data)
    return path


def score_archives(
    out: Path,
    *inputs: Path | str,
    cracks: Mapping[str, int] | None = None,
    mm_per_px: Mapping[str, float] | None = None,
) -> Layout:
    """Score archives and folders into a finished dataset.

    Args:
        out: the dataset.
        inputs: what to score.
        cracks: the cracks of photos by name, see `small_dataset.with_cracks`, 0 of others; None measures none.
        mm_per_px: the scale of photos by name.
    """
    layout = Layout(storage.canonical(str(out)))
    members = save_listed_plan([str(path) for path in inputs], layout).members
    scorer = PhotoScorer(lambda: _brightness, ScoreRule(SPEC, THRESHOLD))
    fingerprint = {"model_id": "brightness", "tile_px": SPEC.tile_px, "overlap": SPEC.overlap}
    run = Run("one", "brightness", fingerprint, {"model_card": CARD})
    nothing = pa.chunked_array([], pa.string())
    with hold(layout, "one", lambda _holder: None) as lease:
        writer = open_writer(layout, run, lease)
        for unit in split_units(members):
            for read in read_unit(unit, Limits(), nothing):
                ended = read["ended"][0].as_py()
                if ended is None:
                    scored = scorer(read)
                    writer.add(scored if cracks is None else _measure(scored, cracks, mm_per_px or {}))
                else:
                    expand_stream(layout, decode_listing(ended))
        writer.commit()
        writer.finish(read_planned_ids(layout))
    return layout


def _measure(scored: pa.Table, cracks: Mapping[str, int], mm_per_px: Mapping[str, float]) -> pa.Table:
    """Add the cracks of photos that have a score."""
    rows = [
        with_cracks(row, cracks.get(row["image"], 0), mm_per_px.get(row["image"])) if row["status"] == "ok" else row
        for row in scored.to_pylist()
    ]
    return pa.Table.from_pylist(rows, scored.schema)


def _brightness(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
    scores = np.stack([tiles[..., 1].mean(axis=(1, 2)), tiles[..., 0].mean(axis=(1, 2))], axis=1) / 255
    return scores.astype(np.float32)


def _degrees(value: float) -> tuple[IFDRational, IFDRational, IFDRational]:
    return IFDRational(round(abs(value) * 1_000_000), 1_000_000), IFDRational(0, 1), IFDRational(0, 1)
