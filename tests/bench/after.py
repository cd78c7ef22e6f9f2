"""Time and memory of the commands that read a large dataset.

Run as `python -m tests.bench.after --photos 143000`. The dataset is synthetic: photos of 4,000 x 3,000 pixels in 140
tiles each, in random order, as many workers score them, with random scores. Memory is the peak of the process itself.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa

from pipeline import storage
from pipeline.core import table_schemas
from pipeline.dataset.commit_log import TOKEN, table_bytes
from pipeline.dataset.layout import Layout
from pipeline.images.tiles import TileSpec, grid

SPEC = TileSpec(300, 0.0)
HEIGHT_PX, WIDTH_PX = 3000, 4000
ARCHIVES = 50
PHOTOS_A_COMMIT = 500
RUN, MODEL, THRESHOLD = "bench", "model00", 0.5
MIB = 1 << 20


def main() -> None:
    """Make a dataset, measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=143_000)
    parser.add_argument("--folder", type=Path, help="where to make and keep the dataset")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.folder or Path(temporary)).absolute()
        small, large = folder / "small", folder / "large"
        make_dataset(Layout(storage.canonical(str(small))), arguments.photos)
        print_files(small)
        measure("status", small)
        counted = "SELECT sum(crack_tiles) FROM images"
        measure("query", small, counted)
        measure("query", small, counted, "--threshold", 0.9)
        for form, *more in (("csv",), ("csv", "--table", "tiles"), ("geojson",), ("duckdb",)):
            measure("export", small, "--to", form, *more, "--out", folder / f"export.{form}")
        measure("review", small, "--out", folder / "review")  # chooses photos, then fails: they do not exist
        measure("verify", small)
        measure("compact", small, "--to", large)
        print_files(large)
        measure("verify", large, "--equals", small)


def measure(command: str, *words: object) -> None:
    """Run a command, and print its time and peak memory."""
    call = f"from pipeline.cli.{command} import command; command()"
    began_at, peak_bytes = time.monotonic(), 0
    with subprocess.Popen([sys.executable, "-c", call, *map(str, words)], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:  # fmt: skip
        while process.poll() is None:
            peak_bytes = max(peak_bytes, psutil.Process(process.pid).memory_info().rss)
            time.sleep(0.1)
    options = " ".join(str(word) for word in words[1:] if not isinstance(word, Path))
    measured = f"{time.monotonic() - began_at:6.1f} s  {peak_bytes / MIB:6,.0f} MiB"
    print(f"{command:8} {measured}  exit {process.returncode}  {options}")


def print_files(dataset: Path) -> None:
    """Print the number and size of files."""
    for table in ("images", "tiles"):
        sizes = [path.stat().st_size / MIB for path in (dataset / table).iterdir()]
        print(f"{table:8} {len(sizes):,} files, {sum(sizes):,.1f} MiB, the largest {max(sizes):,.1f} MiB")


def make_dataset(layout: Layout, photos: int) -> None:
    """Write a finished dataset."""
    random = np.random.default_rng(3)
    order = random.permutation(photos)
    commits = -(-photos // PHOTOS_A_COMMIT)
    rows = []
    for part in range(commits):
        addresses = [address(number) for number in order[part * PHOTOS_A_COMMIT : (part + 1) * PHOTOS_A_COMMIT]]
        rows += addresses
        write_commit(layout, part, addresses, random)
    for archive in sorted({str(row["archive"]) for row in rows}):
        members = [{"entry": "photo", **row} for row in rows if row["archive"] == archive]
        table = pa.Table.from_pylist(members, table_schemas.MEMBERS)
        storage.write_whole(layout.plan(archive), table_bytes(table))
    fingerprint = {"model_id": MODEL, "tile_px": SPEC.tile_px, "overlap": SPEC.overlap}
    run = {"fingerprint": fingerprint, "model_card": {"threshold": THRESHOLD}}
    storage.write_whole(layout.run, json.dumps(run).encode())
    summary = {"photos": photos, "failed": 0, "commits": commits}
    storage.write_whole(layout.summary, json.dumps(summary).encode())


def address(number: int) -> dict[str, object]:
    """Make the columns that name a photo."""
    archive, image = f"s3://inspections/2026/bridge-{number % ARCHIVES}.zip", f"span-{number % 7}/DSC_{number:07d}.JPG"
    id_ = hashlib.sha256(f"{archive}!/{image}\0".encode() + b"0").hexdigest()[:16]
    return {"image_id": id_, "archive": archive, "image": image, "occurrence": 0, "size_bytes": 6_000_000}


def write_commit(layout: Layout, part: int, rows: list[dict[str, object]], random: np.random.Generator) -> None:
    """Write the photos and tiles of a commit."""
    boxes = np.array(grid(HEIGHT_PX, WIDTH_PX, SPEC), np.int32)
    scores = (1 / (1 + np.exp(-random.normal(-4, 3, (len(rows), len(boxes)))))).astype(np.float32)
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=10 * part)
    same = {"part": part, "run_id": RUN, "model_id": MODEL, "status": "ok", "scored_at": at, "tiles": len(boxes),
            "height_px": HEIGHT_PX, "width_px": WIDTH_PX, "camera": "NIKON Z 7", "captured_at": at,
            "latitude": 47.5, "longitude": 8.25}  # fmt: skip
    measures = zip((scores >= np.float32(THRESHOLD)).sum(1).tolist(), scores.max(1).tolist(), strict=True)
    images = [row | same | {"crack_tiles": tiles, "crack_score": score}
              for row, (tiles, score) in zip(rows, measures, strict=True)]  # fmt: skip
    names = {name: np.repeat([str(row[name]) for row in rows], len(boxes)) for name in ("image_id", "archive", "image")}
    columns = ("row", "col", "top_px", "left_px", "height_px", "width_px")
    tiles = {"part": np.full(scores.size, part, np.int32), "crack_score": scores.ravel(), **names}
    tiles |= {name: np.tile(boxes[:, index], len(rows)) for index, name in enumerate(columns)}
    write_file(
        layout.tiles(part, RUN),
        pa.table({field.name: pa.array(tiles[field.name], field.type) for field in table_schemas.TILES}),
    )
    write_file(layout.images(part), pa.Table.from_pylist(images, table_schemas.IMAGES))


def write_file(url: str, table: pa.Table) -> None:
    """Write a file as the dataset writer does."""
    facts = {TOKEN: RUN, "crackscan.schema": str(table_schemas.SCHEMA_VERSION), "crackscan.model": MODEL}
    storage.write_whole(url, table_bytes(table.replace_schema_metadata(facts)))


if __name__ == "__main__":
    main()
