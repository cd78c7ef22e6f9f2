"""Time and memory for large photos: one photo from command to row, and folders of them.

One photo of 12 megapixels, three times; then a folder of photos of 24, and one of twice as many. Memory is measured as
in `memory.py`. Ray starts workers to spill its object store; their logs show whether it did. Run as `make bench`.
"""

import os
import sys
import tempfile
from pathlib import Path

from tests import ROOT
from tests.bench.pipelines import MIB, QUIET, draw_photos
from tests.bench.process_tree import Usage, measure_command

PHOTOS = (30, 60)
"""Some seconds of photos, and twice as many."""


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        draw_photos(place / "12", 1)
        times_s = [score(place / "12" / "all", place).seconds for _ in range(3)]
        print(f"one photo of 12 megapixels  seconds {', '.join(f'{seconds:.1f}' for seconds in sorted(times_s))}")
        usages = []
        for photos in PHOTOS:
            draw_photos(place / str(photos), photos, "6000x4000")
            usages.append(score(place / str(photos) / "all", place))
            peak, spilled = usages[-1].peak_bytes / MIB, "spilled" if has_spilled(place) else "nothing spilled"
            print(
                f"{photos} photos of 24 megapixels  seconds {usages[-1].seconds:.1f}  peak_mib {peak:,.0f}  {spilled}"
            )
    print(f"twice the photos: {usages[-1].seconds / usages[0].seconds:.2f} times the time")


def score(photos: Path, place: Path) -> Usage:
    """Score a folder once, with Ray's files in a folder of its own."""
    out = place / "out" / str(len(list(place.glob("out/*"))))
    command = [sys.executable, "-m", "pipeline.cli", "score", str(photos), "--out", str(out)]
    (place / "ray").mkdir(exist_ok=True)
    environment = QUIET | {"PYTHONPATH": str(ROOT), "RAY_TMPDIR": str(place / "ray")}
    return measure_command(command, place / "log", os.environ | environment)


def has_spilled(place: Path) -> bool:
    """Tell whether any Ray in a folder has moved objects to disk: the workers for that write logs."""
    logs = list(place.glob("ray/**/raylet.out"))
    if not logs:
        sys.exit(f"Ray wrote no logs below {place / 'ray'}")
    return any(list(log.parent.glob("io_worker-*")) for log in logs)


if __name__ == "__main__":
    main()
