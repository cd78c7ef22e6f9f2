"""How cost grows with ten and a hundred times the photos, with overlap, and with a second scorer.

Run as `make scale`, which then plans and resumes a million photos.
"""

import argparse
import io
import json
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow.dataset
from PIL import Image

from tests.bench.process_tree import measure_command

SMALL_PX = 224
"""A photo of one tile: everything but scoring takes most of the time."""
LARGE_PX = 1120
"""25 tiles, and 81 with an overlap of half."""
MIB = 1 << 20


def main() -> None:
    """Measure, print a table in Markdown, and write the figures as JSON if `--json` is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        small = [write_archive(place / f"small-{photos}.zip", photos, SMALL_PX) for photos in given.photos]
        large = write_archive(place / "large.zip", 80, LARGE_PX)
        figures = [measure(archive, place, "--overlap", "0") for archive in small]
        figures += [measure(large, place, "--overlap", overlap, "--actors", actors)
                    for overlap in ("0", "0.5") for actors in ("1", "2")]  # fmt: skip
    print("| photos | options | tiles | seconds | CPU s | peak MiB |\n|---|---|---|---|---|---|")
    for row in figures:
        print(f"| {row['archive']} | {row['options']} | {row['tiles']:,} | {row['seconds']:.0f} | {row['cpu_s']:.0f} "
              f"| {row['peak_mib']:,.0f} |")  # fmt: skip
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1))


def measure(archive: Path, place: Path, *options: str) -> dict[str, str | float]:
    """Score an archive."""
    out = place / f"{archive.stem}{''.join(options)}"
    command = [sys.executable, "-m", "pipeline.cli", "score", str(archive), "--out", str(out), *options]
    usage = measure_command(command, place / "log")
    return {
        "archive": archive.stem,
        "options": " ".join(options),
        "tiles": pyarrow.dataset.dataset(out / "tiles").count_rows(),
        "seconds": usage.seconds,
        "cpu_s": usage.cpu_s,
        "peak_mib": usage.peak_bytes / MIB,
    }


def write_archive(path: Path, photos: int, side_px: int) -> Path:
    """Write a zip of JPEG photos that differ only in their names."""
    levels = np.random.default_rng(0).integers(90, 160, (side_px // 8, side_px // 8), dtype=np.uint8)
    photo = io.BytesIO()
    Image.fromarray(levels).resize((side_px, side_px), Image.Resampling.BICUBIC).convert("RGB").save(photo, "JPEG")
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(photos):
            archive.writestr(f"{number:06d}.jpg", photo.getvalue())
    return path


if __name__ == "__main__":
    main()
