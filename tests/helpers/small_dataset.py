"""A small dataset, written by the dataset writer: five photos of two archives, two of them failed, in two commits."""

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


def make_run(run_id: str, card: Mapping[str, float] = CARD) -> Run:
    """Make a run of this id, with a model of this card."""
    fingerprint = {"model_id": "model00", "tile_px": SPEC.tile_px, "overlap": SPEC.overlap}
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


def failed(image: str, kind: str = "not_an_image") -> dict[str, Any]:
    """Make the row of a photo that could not be decoded."""
    failure = {"failure_stage": "decode", "failure_kind": kind, "failure_message": "no image"}
    return address(image) | {"status": "failed", "size_bytes": 3, "scored_at": BEGAN_AT} | failure


COMMITS = ([ok("a.jpg"), failed("no.jpg")], [ok("bb.jpg", 80, 80), failed("nope.jpg"), ok("ccc.jpg", 500, 60)])
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
    finish: bool = True,
) -> Layout:
    """Write a dataset whose photos are planned and committed, and finish it if `finish` is set."""
    layout = Layout(storage.canonical(out))
    rows = [row for commit in commits for row in commit]
    write_plan(layout, rows)
    with hold(layout, run_id, lambda _holder: None) as lease:
        writer = open_writer(layout, make_run(run_id, card), lease)
        for commit in commits:
            writer.add(pa.Table.from_pylist(commit, table_schemas.SCORED))
            writer.commit()
        if finish:
            writer.finish(pa.chunked_array([[row["image_id"] for row in rows]], pa.string()))
    return layout
