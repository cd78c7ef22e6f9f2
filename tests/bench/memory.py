"""Peak memory for 200 and for 2,000 photos: it must not grow with the archive.

Run as `make bench`. Memory is the proportional set size of the whole process tree plus shared memory
(Ray's object store is a file there), sampled during the command.
"""

import argparse
import io
import json
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from tests.bench.process_tree import measure_command

SIDE_PX = 448
"""Four tiles of 224 px; noise, so that a photo has 600 kB and 2,000 of them do not fit into the object store."""
MIB = 1 << 20


def main() -> None:
    """Measure, print a table, and write the figures as JSON if `--json` is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, nargs="+", default=[200, 2000])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = [measure(photos, Path(folder)) for photos in arguments.photos]
    for figure in figures:
        print("  ".join(f"{name} {value:,.0f}" for name, value in figure.items()))
    print(f"peak memory, largest archive over smallest: {figures[-1]['peak_mib'] / figures[0]['peak_mib']:.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


def measure(photos: int, folder: Path) -> dict[str, float]:
    """Score an archive of a number of photos; return the peak memory and the time."""
    archive, out = folder / f"{photos}.zip", folder / f"scores-{photos}"
    write_archive(archive, photos)
    command = [sys.executable, "-m", "pipeline.cli", "score", str(archive), "--out", str(out)]
    usage = measure_command(command, folder / "log")
    return {"photos": photos, "peak_mib": usage.peak_bytes / MIB, "archive_mib": archive.stat().st_size / MIB,
            "seconds": usage.seconds}  # fmt: skip


def write_archive(path: Path, photos: int) -> None:
    """Write a zip of PNG photos of noise."""
    random = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(photos):
            photo = io.BytesIO()
            pixels = random.integers(0, 256, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(photo, "PNG", compress_level=0)
            archive.writestr(f"noise-{number:05d}.png", photo.getvalue())


if __name__ == "__main__":
    main()
