"""Time and memory of the driver to plan and resume a million photos, in zips or loose.

Run as `make scale`, or as `python -m tests.bench.million --loose` for one alone. It plans tiny photos, commits rows for
all but a few thousand as a run would, resumes to score the rest with a fake engine, and resumes once more with nothing
left to do. Zips are written to disk. Loose photos lie in a bucket of S3 that is made up, all under one prefix
(`--folders 1`) or in folders, behind plain HTTP on loopback: pages of the listing are asked for twice.
"""

import argparse
import contextlib
import io
import multiprocessing
import os
import resource
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from PIL import Image

from pipeline import storage
from pipeline.cluster.session import ClusterConfig
from pipeline.dataset.layout import Layout
from pipeline.scoring.config import ScoreConfig
from pipeline.scoring.progress import Progress, ScoreCallbacks, ScoreSummary
from tests import ROOT
from tests.helpers.made_up_bucket import BUCKET, MadeUpBucket, run_server

os.environ["PYTHONPATH"] = str(ROOT)  # the workers import `tests.helpers.brightness_engine`

COMMIT_PHOTOS = 500
MIB = 1 << 20


def main() -> None:
    """Measure, and print a line for each step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=1_000_000)
    parser.add_argument("--archives", type=int, default=1000)
    parser.add_argument("--left", type=int, default=5_000)
    parser.add_argument("--loose", action="store_true", help="loose photos in a bucket, in place of zips")
    parser.add_argument("--folders", type=int, default=1, help="of the loose photos")
    parser.add_argument("--answer-ms", type=float, default=30, help="of the bucket")
    arguments = parser.parse_args()
    make_photos = serve_loose if arguments.loose else write_zips
    with tempfile.TemporaryDirectory() as folder, make_photos(Path(folder), arguments) as photos:
        out = Path(folder) / "scores"
        measure("plan a new dataset, to the first score", begin, photos, out)
        commit(out, arguments.left)
        measure(f"resume, {arguments.left:,} photos left", score, photos, out)
        measure("resume, nothing left", score, photos, out)


def measure(what: str, step: Callable[[str, Path], str], photos: str, out: Path) -> None:
    """Run a step in a process of its own; print its time and the peak of its memory."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        seconds, cpu_s, peak, outcome = pool.submit(run, step, photos, out).result()
    used = f"{seconds:.1f} s, {cpu_s:.1f} s of CPU, driver's peak memory {peak / MIB:,.0f} MiB"
    print(f"{what}: {used}; {outcome}", flush=True)


def run(step: Callable[[str, Path], str], photos: str, out: Path) -> tuple[float, float, int, str]:
    """Run a step in this process; the time includes imports, as for a command."""
    began_at = time.monotonic()
    outcome = step(photos, out)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return time.monotonic() - began_at, time.process_time(), peak, outcome


class _StopError(Exception):
    """Ends a run that has begun."""


class _StopAtFirstScore(ScoreCallbacks):
    """Ends a run when its first photos have scores."""

    def on_progress(self, progress: Progress) -> None:
        """Raise at the first score."""
        if progress.tried:
            raise _StopError(f"{progress.photos:,} photos to score")


def begin(photos: str, out: Path) -> str:
    """List everything, save the listings, pass all the work to Ray, and wait for the first scores."""
    try:
        run_score(photos, out, _StopAtFirstScore())
    except _StopError as begun:
        return str(begun)
    return "nothing to begin"


def score(photos: str, out: Path) -> str:
    """Score the remaining photos."""
    summary = run_score(photos, out, ScoreCallbacks())
    return f"{summary.run.scored:,} photos scored, {summary.done_before:,} were done before"


def run_score(photos: str, out: Path, callbacks: ScoreCallbacks) -> ScoreSummary:
    """Run the flow with a fake engine."""
    from pipeline.scoring.flow import score
    from tests.helpers.brightness_engine import make_fast_brightness

    config = ScoreConfig((photos,), str(out), cluster=ClusterConfig(cpus=2))
    return score(config, callbacks, make_fast_brightness)


@contextlib.contextmanager
def serve_loose(_folder: Path, arguments: argparse.Namespace) -> Iterator[str]:
    """Serve loose photos from a made-up bucket, and yield the folder of all."""
    names = (f"span-{index % arguments.folders:04d}/DSC{index:07d}.JPG" for index in range(arguments.photos))
    bucket = MadeUpBucket(sorted(f"bridge 7/{name}" for name in names), make_photo())
    with run_server(bucket, arguments.answer_ms / 1000) as environment:
        os.environ.update(environment)
        yield f"s3://{BUCKET}/bridge 7"


@contextlib.contextmanager
def write_zips(folder: Path, arguments: argparse.Namespace) -> Iterator[str]:
    """Write zips of one tiny photo over and over, and yield their folder."""
    archives = folder / "archives"
    archives.mkdir()
    photo = make_photo()
    for number in range(arguments.archives):
        with zipfile.ZipFile(archives / f"night-{number:04d}.zip", "w") as archive:
            for index in range(number, arguments.photos, arguments.archives):
                archive.writestr(f"bridge-{number:04d}/span-{index % 40:02d}/DSC{index:07d}.JPG", photo)
    yield str(archives)


def make_photo() -> bytes:
    """Draw a tiny photo."""
    photo = io.BytesIO()
    Image.new("RGB", (16, 16), "grey").save(photo, "JPEG")
    return photo.getvalue()


def commit(out: Path, left: int) -> None:
    """Commit a row for all planned photos but some, a few hundred at a time."""
    from pipeline.dataset.commit_log import read_log
    from pipeline.dataset.lease import hold
    from pipeline.dataset.run import Run, read_run
    from pipeline.dataset.writer import open_writer
    from pipeline.scoring.plan import make_plan
    from pipeline.scoring.planned_inputs import read_planned_inputs

    layout = Layout(storage.canonical(str(out)))
    plan = make_plan(read_planned_inputs(layout), layout, read_log(layout).done)
    photos = plan.members.slice(0, plan.members.num_rows - left).select(
        ["image_id", "archive", "image", "occurrence", "size_bytes"]
    )
    found = read_run(layout)
    run_before = Run("filled", found["fingerprint"]["model_id"], found["fingerprint"], {})
    with hold(layout, "filled", lambda _holder: None) as lease:
        writer = open_writer(layout, run_before, lease)
        for first in range(0, photos.num_rows, COMMIT_PHOTOS):
            writer.add(make_rows(photos.slice(first, COMMIT_PHOTOS)))
        writer.commit()


def make_rows(photos: pa.Table) -> pa.Table:
    """Make rows of one tile with one score."""
    from pipeline.core.table_schemas import SCORED

    box = {"row": 0, "col": 0, "top_px": 0, "left_px": 0, "height_px": 16, "width_px": 16, "crack_score": 0.5}
    same = {"width_px": 16, "height_px": 16, "tiles": 1, "crack_tiles": 0, "crack_score": 0.5, "status": "ok",
            "scored_at": datetime.now(UTC), "grid": [box]}  # fmt: skip
    columns = [
        photos[field.name].combine_chunks()
        if field.name in photos.column_names
        else pa.array([same.get(field.name)] * photos.num_rows, field.type)
        for field in SCORED
    ]
    return pa.table(columns, schema=SCORED)


if __name__ == "__main__":
    main()
