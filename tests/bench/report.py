"""Size of the report of a large dataset, time to make it, and time in which Chromium opens it.

Run as `python -m tests.bench.report --photos 10000`. The photos on cards have 1,600 x 1,200 pixels, drawn as by
`crackscan sample`; the others are rows with positions and times along a bridge.
"""

import argparse
import io
import statistics
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from pipeline.core import table_schemas
from pipeline.dataset.layout import Layout
from pipeline.dataset.lease import hold
from pipeline.dataset.run import Run, read_run
from pipeline.dataset.sql import query
from pipeline.dataset.writer import open_writer
from pipeline.reports.report import ReportConfig, write_report
from pipeline.synthetic.drawing import draw_photo
from tests.helpers.browser import Browser, open_chromium
from tests.helpers.scored_photos import CARD, score_archives, zip_photos

CARDS = 24
OPENED = 5
PHOTOS_A_COMMIT = 500
BEGAN_AT = datetime(2026, 5, 12, 8)  # noqa: DTZ001 - EXIF has no zone


def main() -> None:
    """Make a dataset and its report, measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=10_000)
    photos = parser.parse_args().photos
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        real = {f"real-{number:02d}.jpg": _draw_photo(number) for number in range(CARDS)}
        layout = score_archives(folder / "out", zip_photos(folder / "real.zip", real))
        _add_rows(layout, photos - CARDS)
        began_s = time.monotonic()
        made = write_report(ReportConfig(layout.url, str(folder / "report.html"), CARDS))
        print(f"{made.photos:,} photos, {made.cards - made.without_picture} pictures: {made.size_bytes / 1e6:.1f} MB")
        print(f"made in {time.monotonic() - began_s:.1f} s")
        with open_chromium(folder / "profile") as browser:
            opened = [_measure_opening_s(browser, folder / "report.html") for _ in range(OPENED)]
        print(f"opened in {min(opened):.2f} to {max(opened):.2f} s, median {statistics.median(opened):.2f} s")


def _draw_photo(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(draw_photo(1200, 1600, seed).pixels).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def _add_rows(layout: Layout, photos: int) -> None:
    """Add rows without photos, with fewer cracks than the real ones."""
    rng = np.random.default_rng(0)
    columns = ", ".join(name for name in table_schemas.SCORED.names if name in table_schemas.IMAGES.names)
    [like] = query(layout.url, f"SELECT {columns} FROM images LIMIT 1").to_pylist()
    fingerprint = read_run(layout)["fingerprint"]
    with hold(layout, "two", lambda _holder: None) as lease:
        writer = open_writer(layout, Run("two", "brightness", fingerprint, {"model_card": CARD}), lease)
        for first in range(0, photos, PHOTOS_A_COMMIT):
            numbers = range(first, min(first + PHOTOS_A_COMMIT, photos))
            rows = [like | _make_facts(number, number / photos, rng) for number in numbers]
            writer.add(pa.Table.from_pylist(rows, table_schemas.SCORED))
            writer.commit()


def _make_facts(number: int, along: float, rng: np.random.Generator) -> dict[str, object]:
    return {
        "image_id": f"{number:016x}",
        "image": f"span-{number % 40:02d}/girder-{number % 7}/DJI_{number:05d}.JPG",
        "archive": f"file:///flights/flight-{number % 12:02d}.zip",
        "crack_score": float(rng.beta(0.4, 1.2)) / 4,
        "latitude": 48.1365 + 0.0011 * along + rng.normal(0, 2e-5),
        "longitude": 11.5775 + 0.0021 * along + rng.normal(0, 2e-5),
        "captured_at": BEGAN_AT + timedelta(seconds=3 * number),
        "grid": [],
    }


def _measure_opening_s(browser: Browser, page: Path) -> float:
    """Measure the seconds from the request of a page to the end of its last script."""
    browser.get("about:blank")
    browser.get(page.as_uri())
    loaded = "return performance.getEntriesByType('navigation')[0].loadEventEnd"
    return float(browser.execute_script(loaded)) / 1000


if __name__ == "__main__":
    main()
