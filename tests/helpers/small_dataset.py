"""A small dataset, written by the dataset writer: five photos of two archives, two of them failed, in two commits.

Two of its photos have cracks, three and one; one has a scale.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from pipeline import storage
from pipeline.core import table_schemas
from pipeline.dataset.commit_log import table_bytes
from pipeline.dataset.layout import Layout
from pipeline.dataset.lease import hold
from pipeline.dataset.run import Run
from pipeline.dataset.writer import open_writer
from pipeline.images.tiles import TileSpec, grid

SPEC = TileSpec(100, 0.25)
THRESHOLD = 0.5
BEGAN_AT = datetime(2026, 1, 1, tzinfo=UTC)
ARCHIVES = ("file:///photos/one.zip", "s3://bucket/two.tar")


CARD = {"threshold": THRESHOLD}


def make_run(run_id: str, card: Mapping[str, float] = CARD, schema_version: int = table_schemas.SCHEMA_VERSION) -> Run:
    """Make a run of this id, with a model of this card."""
    fingerprint = {"model_id": "model00", "tile_px": SPEC.tile_px, "overlap": SPEC.overlap}
    fingerprint |= {"schema_version": schema_version}
    return Run(run_id, "model00", fingerprint, {"model_card": dict(card)})


def image_id(archive: str, image: str) -> str:
    """Return the id of a photo of an archive."""
    return hashlib.sha256(f"{archive}!/{image}\0".encode() + b"0").hexdigest()[:16]


def address(image: str) -> dict[str, Any]:
    """Return the columns that name a photo; names of even length are in the first archive."""
    archive = ARCHIVES[len(image) % 2]
    return {"image_id": image_id(archive, image), "archive": archive, "image": image, "occurrence": 0}


def ok(image: str, height_px: int = 120, width_px: int = 310, after_s: float = 0) -> dict[str, Any]:
    """Make the row of a scored photo; the scores of its tiles follow from its name and their numbers."""
    boxes = grid(height_px, width_px, SPEC)
    chance = hashlib.sha256(image.encode()).digest()
    tiles = [tile._asdict() | {"crack_score": chance[number % 32] / 255} for number, tile in enumerate(boxes)]
    scores = [tile["crack_score"] for tile in tiles]
    measures: dict[str, Any] = {"tiles": len(tiles), "crack_tiles": sum(s >= THRESHOLD for s in scores)}
    measures |= {"crack_score": max(scores), "max_tile_score": max(scores)}
    facts = {"status": "ok", "size_bytes": 1000, "height_px": height_px, "width_px": width_px, "grid": tiles}
    return address(image) | facts | measures | {"scored_at": BEGAN_AT + timedelta(seconds=after_s)}


def with_cracks(row: dict[str, Any], cracks: int, mm_per_px: float | None = None) -> dict[str, Any]:
    """Add cracks to the row of a scored photo of at least 20 + 5 n pixels a side; every second one is too thin."""
    lines = [_crack(number, mm_per_px) for number in range(cracks)]
    scale = {"mm_per_px": mm_per_px, "scale_source": mm_per_px and "given"}
    measures = {"cracks": cracks, "crack_length_px": sum(line["length_px"] for line in lines)}
    for unit in ("px", "mm"):
        widths = [line[f"crack_width_{unit}_max"] for line in lines]
        measures[f"widest_{unit}"] = max((width for width in widths if width is not None), default=None)
    return row | measures | scale | {"lines": [line | scale for line in lines]}


def _crack(number: int, mm_per_px: float | None) -> dict[str, Any]:
    """Make a slanting crack, all of whose measures grow with its number."""
    left_px, width_px = 5 * number, None if number % 2 else 0.5 + number
    px: dict[str, float | None] = {"length_px": 20.5 + number}
    px |= {f"crack_width_px_{name}": width_px and width_px + n for n, name in enumerate(("p50", "p95", "max"))}
    mm = {name.replace("px", "mm"): mm_per_px and value and value * mm_per_px for name, value in px.items()}
    return {
        "crack": number,
        "line_wkt": f"MULTILINESTRING (({left_px} 3, {left_px + 20} 7.5))",
        "left_px": left_px,
        "top_px": 3,
        "width_px": 20,
        "height_px": 5,
        "orientation_deg": 12.5 + number,
        "width_status": "too_thin" if width_px is None else "ok",
        "score": 0.75 - number / 64,
        **px,
        **mm,
    }


def failed(image: str, kind: str = "not_an_image") -> dict[str, Any]:
    """Make the row of a photo that could not be decoded."""
    failure = {"failure_stage": "decode", "failure_kind": kind, "failure_message": "no image"}
    return address(image) | {"status": "failed", "size_bytes": 3, "scored_at": BEGAN_AT} | failure


COMMITS = (
    [with_cracks(ok("a.jpg"), 3, mm_per_px=0.4), failed("no.jpg")],
    [with_cracks(ok("bb.jpg", 80, 80), 0), failed("nope.jpg"), with_cracks(ok("ccc.jpg", 500, 60), 1)],
)
"""The rows that `write_dataset` writes, commit by commit."""


def write_plan(layout: Layout, rows: list[dict[str, Any]]) -> None:
    """Write a plan of these photos, one file for each archive."""
    for archive in sorted({row["archive"] for row in rows}):
        members = [{"entry": "photo", "size_bytes": 1, **row} for row in rows if row["archive"] == archive]
        names = set(table_schemas.MEMBERS.names)
        table = pa.Table.from_pylist(
            [{k: v for k, v in row.items() if k in names} for row in members], table_schemas.MEMBERS
        )
        storage.write_whole(layout.plan(archive), table_bytes(table))


def write_dataset(
    out: str,
    commits: Sequence[Sequence[dict[str, Any]]] = COMMITS,
    run_id: str = "one",
    *,
    card: Mapping[str, float] = CARD,
    schema_version: int = table_schemas.SCHEMA_VERSION,
    finish: bool = True,
) -> Layout:
    """Write a dataset whose photos are planned and committed, and finish it if `finish` is set."""
    layout = Layout(storage.canonical(out))
    rows = [row for commit in commits for row in commit]
    write_plan(layout, rows)
    with hold(layout, run_id, lambda _holder: None) as lease:
        writer = open_writer(layout, make_run(run_id, card, schema_version), lease)
        for commit in commits:
            writer.add(pa.Table.from_pylist(commit, table_schemas.SCORED))
            writer.commit()
        if finish:
            writer.finish(pa.chunked_array([[row["image_id"] for row in rows]], pa.string()))
    return layout
