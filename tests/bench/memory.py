"""Does peak memory grow with the archive? Scores 200 and then 2,000 photos and compares.

Run as `make bench`. Memory is the proportional set size of the whole process tree plus what lies in shared memory
(Ray's object store is a file there), sampled while the command runs.
"""

import argparse
import io
import json
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

SIDE_PX = 448
"""Four tiles of 224 px; noise, so that a photo has 600 kB and 2,000 of them do not fit into the object store."""
SAMPLE_EVERY_S = 0.5
MIB = 1 << 20
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - only its size is read


def main() -> None:
    """Measure, print a table, and write the figures as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, nargs="+", default=[200, 2000])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = [measured(photos, Path(folder)) for photos in arguments.photos]
    for figure in figures:
        print("  ".join(f"{name} {value:,.0f}" for name, value in figure.items()))
    print(f"peak memory, largest archive over smallest: {figures[-1]['peak_mib'] / figures[0]['peak_mib']:.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


def measured(photos: int, folder: Path) -> dict[str, float]:
    """Score an archive of so many photos; return the peak memory and the time."""
    archive, out = folder / f"{photos}.zip", folder / f"scores-{photos}"
    write_archive(archive, photos)
    shared_before, began_at, peak = shared_bytes(), time.monotonic(), 0
    command = [sys.executable, "-m", "pipeline.cli", "score", str(archive), "--out", str(out)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            peak = max(peak, tree_bytes(process.pid) + shared_bytes() - shared_before)
            time.sleep(SAMPLE_EVERY_S)
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    return {"photos": photos, "peak_mib": peak / MIB, "archive_mib": archive.stat().st_size / MIB,
            "seconds": time.monotonic() - began_at}  # fmt: skip


def write_archive(path: Path, photos: int) -> None:
    """Write a zip of PNG photos of noise."""
    random = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(photos):
            photo = io.BytesIO()
            pixels = random.integers(0, 256, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(photo, "PNG", compress_level=0)
            archive.writestr(f"noise-{number:05d}.png", photo.getvalue())


def tree_bytes(pid: int) -> int:
    """Proportional set size of a process and all below it, Ray's workers among them, without shared memory."""
    return sum(
        own_bytes(process.pid) for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    )


def own_bytes(pid: int) -> int:
    """`Pss` less `Pss_Shmem` of one process; 0 where it ended meanwhile."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return 0
    kibibytes = {name.rstrip(":"): int(value) for name, value, *_ in map(str.split, lines)}
    return (kibibytes["Pss"] - kibibytes["Pss_Shmem"]) * 1024


def shared_bytes() -> int:
    """What is in use of shared memory."""
    return shutil.disk_usage(SHARED_MEMORY).used


if __name__ == "__main__":
    main()
