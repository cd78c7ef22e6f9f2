"""Memory, bytes and time of a raster, by default of 8,000 pixels a side, in three forms that photogrammetry writes.

A COG in JPEG, deflated strips, and 16 bits with nodata around a deck that lies askew. With `--side 40000`, writing
takes minutes, and up to 20 GB of disk. Prints seconds, the peak of memory as in `memory.py`, and bytes read over the
size of the file.
"""

import argparse
import json
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window

from tests import ROOT
from tests.bench.pipelines import MIB, QUIET
from tests.bench.process_tree import Usage, measure_command

STRIPE_ROWS = 512
FORMS: dict[str, dict[str, Any]] = {
    "cog-jpeg": {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "JPEG", "photometric": "YCBCR"},
    "strips-deflate": {"compress": "DEFLATE", "zlevel": 1},
    "16-bit-nodata": {
        "tiled": True,
        "blockxsize": 256,
        "blockysize": 256,
        "compress": "DEFLATE",
        "zlevel": 1,
        "nodata": 0,
    },
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=8000, help="pixels")
    parser.add_argument("--forms", nargs="*", default=[*FORMS], choices=[*FORMS])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for form in given.forms:
            place = Path(folder) / form
            place.mkdir()
            path = write(place, form, given.side)
            usage, read_bytes = score(path, place)
            size_bytes = path.stat().st_size
            print(
                f"{form}  {given.side} px  file_mib {size_bytes / MIB:,.0f}  seconds {usage.seconds:.1f}  "
                f"peak_mib {usage.peak_bytes / MIB:,.0f}  read_over_size {read_bytes / size_bytes:.3f}"
            )
            path.unlink()


def write(place: Path, form: str, side_px: int) -> Path:
    """Write a raster, stripe by stripe."""
    path, dtype = place / "deck.tif", "uint16" if form.startswith("16") else "uint8"
    profile = {"driver": "GTiff", "width": side_px, "height": side_px, "count": 3, "dtype": dtype, "BIGTIFF": "YES"}
    with warnings.catch_warnings(action="ignore", category=NotGeoreferencedWarning):
        with rasterio.open(path, "w", **profile, **FORMS[form]) as written:
            for top, stripe in draw(side_px, dtype, askew="nodata" in FORMS[form]):
                written.write(stripe, window=Window(0, top, side_px, stripe.shape[1]))
        if form.startswith("cog"):
            rasterio.shutil.copy(path, place / "cog.tif", driver="COG", COMPRESS="JPEG", BIGTIFF="YES")
            (place / "cog.tif").replace(path)
    return path


def draw(side_px: int, dtype: str, *, askew: bool) -> Iterator[tuple[int, NDArray[Any]]]:
    """Draw stripes of grain with a crack, and the row at which each begins. Shape: (3, rows, side_px)."""
    piece = np.random.default_rng(3).normal(150, 10, (STRIPE_ROWS, 1024))
    for top in range(0, side_px, STRIPE_ROWS):
        rows = np.arange(top, min(side_px, top + STRIPE_ROWS))[:, None]
        grey = np.tile(piece, (1, -(-side_px // 1024)))[: len(rows), :side_px]
        cols = np.arange(side_px)[None]
        grey = np.where(abs(rows - 0.3 * cols - side_px / 3) < 2, 60, grey).clip(1, 255)
        if askew:
            grey = np.where(abs(rows - cols) < side_px / 5, grey * 16, 0)
        yield top, np.broadcast_to(grey.astype(dtype), (3, *grey.shape))


def score(path: Path, place: Path) -> tuple[Usage, int]:
    """Score a raster once; return what it took, and the bytes that were read."""
    out = place / "out"
    command = [sys.executable, "-m", "pipeline.cli", "score", str(path), "--out", str(out), "--max-pixels", "20000000"]
    usage = measure_command(command, place / "log", os.environ | QUIET | {"PYTHONPATH": str(ROOT)})
    report = json.loads((out / "run-report.json").read_text())
    return usage, int(report["runs"][-1]["read_bytes"])


if __name__ == "__main__":
    main()
