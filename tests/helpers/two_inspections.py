"""A dataset of two bridges, inspected in two months, as an inspection office would query it.

It has four archives of 14 photos each, scored in three nights. Scores are multiples of 1/256, so that sums are exact in
any engine. A killed writer has left tiles and cracks beside the committed files: a reader that includes them counts
wrong.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline import storage
from pipeline.core import table_schemas
from pipeline.dataset.commit_log import table_bytes
from pipeline.dataset.layout import Layout
from pipeline.images.tiles import grid
from tests.helpers.small_dataset import SPEC, with_cracks, write_dataset

CARD = {"threshold": 0.5, "domain_threshold": 1.25}
SURVEYS = (("elm", 4), ("elm", 10), ("oak", 4), ("oak", 10))
"""Bridge and month of 2026, one archive each."""
PARTS = ("deck", "pier-1", "pier-2", "abutment")
PHOTOS = 14
"""Photos of an archive; the last two fail."""
KINDS = ("truncated_image", "not_an_image")
ORPHAN_PART = 90


def photo(survey: int, number: int) -> dict[str, Any]:
    """Make the row of a photo, as a scorer returns it; every fifth has no position, the tenth shows no concrete."""
    bridge, month = SURVEYS[survey]
    archive, image = f"s3://inspections/{bridge}/2026-{month:02d}.zip", f"{PARTS[number % 4]}/DJI_{number:04d}.JPG"
    name = hashlib.sha256(f"{archive}!/{image}\0".encode() + b"0").hexdigest()[:16]
    night = datetime(2026, 11, 1 + survey // 2 + (survey == 3), 22, tzinfo=UTC)
    address = {"image_id": name, "archive": archive, "image": image, "occurrence": 0}
    row = address | {"size_bytes": 1000 + number, "scored_at": night + timedelta(seconds=60 * survey + 5 * number)}
    if number >= PHOTOS - len(KINDS):
        kind = KINDS[number - PHOTOS]
        return row | {
            "status": "failed",
            "failure_stage": "decode",
            "failure_kind": kind,
            "failure_message": 'no, "it"',
        }
    row |= {"status": "ok"} | _facts(survey, number, month) | _measures(survey, number)
    return with_cracks(row, number % 3, mm_per_px=0.125 * 4 ** ((number - 1) % 6) if survey % 2 else None)


def _facts(survey: int, number: int, month: int) -> dict[str, Any]:
    """Make its EXIF facts."""
    position = {
        "latitude": 47.5 + (SURVEYS[survey][0] == "oak") * 0.25 + number / 8192,
        "longitude": -8.25 + number / 4096,
        "altitude_m": 400.0 + 4 * (number % 4),
    }
    return {
        "captured_at": datetime(2026, month, 10 + number % 3, 9, number),  # noqa: DTZ001 - EXIF has no zone
        "camera": "DJI FC6310" if number % 3 else "Canon EOS R5",
        "focal_length_mm": 8.5 if number % 3 else 35.0,
        **(dict.fromkeys(position) if number % 5 == 4 else position),
    }


def _measures(survey: int, number: int) -> dict[str, Any]:
    """Make its tiles and their scores, which rise from April to October."""
    height_px, width_px = (250, 400) if number % 2 else (160, 250)
    boxes = grid(height_px, width_px, SPEC)
    levels = np.random.default_rng([survey, number]).beta(0.5, 4 - survey % 2, len(boxes))
    scores = np.floor(levels * 256) / 256
    return {
        "height_px": height_px,
        "width_px": width_px,
        "tiles": len(boxes),
        "crack_tiles": int((scores >= CARD["threshold"]).sum()),
        "crack_score": float(scores.max()),
        "max_tile_score": float(scores.max()),
        "domain_score": 2.0 if number == 9 else 0.5 + number / 64,
        "grid": [box._asdict() | {"crack_score": score} for box, score in zip(boxes, scores.tolist(), strict=True)],
    }


@cache
def photos() -> tuple[dict[str, Any], ...]:
    """Return the rows of all photos."""
    return tuple(photo(survey, number) for survey in range(len(SURVEYS)) for number in range(PHOTOS))


def write_inspections(folder: Path) -> Layout:
    """Write the dataset, one run per night, and the leftovers of a killed writer."""
    nights = sorted({row["scored_at"].date() for row in photos()})
    for run_id, night in zip(("first", "second", "third"), nights, strict=True):
        rows = [row for row in photos() if row["scored_at"].date() == night]
        commits = [rows[first : first + 10] for first in range(0, len(rows), 10)]
        layout = write_dataset(str(folder / "scores"), commits, run_id, card=CARD, finish=night == nights[-1])
    orphans = pa.Table.from_pylist([row for row in photos() if row["status"] == "ok"], table_schemas.SCORED)
    for url, make in (
        (layout.tiles(ORPHAN_PART, "killed"), table_schemas.make_tiles_table),
        (layout.cracks(ORPHAN_PART, "killed"), table_schemas.make_cracks_table),
    ):
        storage.write_whole(url, table_bytes(make(orphans, ORPHAN_PART)))
    return layout
