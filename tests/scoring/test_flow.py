"""The whole flow on one Ray, with an engine that needs no network; `test_kills` disturbs it."""

import gzip
import io
import json
import re
import time
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from urllib.request import urlopen

import pyarrow.parquet as pq
import pytest
import ray
from PIL import Image

from pipeline.dataset.verify import verify
from pipeline.monitoring.prices import Prices
from pipeline.scoring.config import ScoreConfig
from pipeline.scoring.flow import retry, score
from pipeline.scoring.progress import ScoreCallbacks
from tests.helpers.brightness_engine import make_brightness
from tests.helpers.packing import pack_tar, pack_zip


@pytest.fixture
def mixed(photos: Path, tmp_path: Path) -> Path:
    """Make a folder with twelve photos in a tgz, in a zip, in a tgz in that zip, and loose, and with other files."""
    files = [(photo.name, photo.read_bytes()) for photo in sorted(photos.iterdir())]
    folder = tmp_path / "in"
    folder.mkdir()
    nested = gzip.compress(pack_tar([*files[6:9], ("note.md", b"")]))
    (folder / "a.tgz").write_bytes(gzip.compress(pack_tar([*files[:3], ("note.txt", b"")])))
    (folder / "b.zip").write_bytes(pack_zip([*files[3:6], ("in.tgz", nested)]))
    for name, data in files[9:]:
        (folder / name).write_bytes(data)
    return folder


def scrape(photos: float, timeout_s: float = 60) -> dict[str, float]:
    """Read our metrics from Ray as Prometheus does, by name and our own labels, once they count enough photos."""
    (port,) = [node["MetricsExportPort"] for node in ray.nodes()]  # type: ignore[no-untyped-call]
    until_s = time.monotonic() + timeout_s
    while True:
        with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            text = answer.read().decode()
        found = defaultdict[str, float](float)
        for name, labels, value in re.findall(r"^ray_crackscan_(\w+)\{(.*?)\} (\S+)$", text, re.MULTILINE):
            ours = ",".join(sorted(re.findall(r'(?:status|stage|kind)="(\w+)"', labels)))
            found[f"{name}({ours})"] += float(value)
        if found["photos_total(ok)"] + found["photos_total(failed)"] >= photos or time.monotonic() > until_s:
            return found
        time.sleep(0.5)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_of_two")
def test_metrics_report_and_log_agree_with_the_dataset(mixed: Path, tmp_path: Path) -> None:
    """Metrics, run report and log have the same counts as the dataset.

    This must be the first run of the module, because a Ray adds up the metrics of all runs.
    """
    out = tmp_path / "scores"
    config = ScoreConfig(
        (str(mixed),), str(out), actors=1, device="cpu", max_pixels=100_000, prices=Prices("EUR", 3600.0, 0.0)
    )
    summary = score(config, ScoreCallbacks(), make_brightness)
    images = pq.read_table(out / "images").to_pylist()
    failed = [row for row in images if row["status"] == "failed"]
    counts = {
        "photos_total(ok)": len(images) - len(failed),
        "photos_total(failed)": len(failed),
        "failures_total(decode,too_many_pixels)": len(failed),
        "tiles_total()": pq.read_table(out / "tiles").num_rows,
        "photo_bytes_total()": sum(row["size_bytes"] for row in images),
        "decode_seconds_count()": len(images) - len(failed),
        "score_seconds_count()": len(images) - len(failed),
        "uncommitted_photos()": 0,
    }
    found = scrape(len(images))
    assert {name: found[name] for name in counts} == counts
    (run,) = json.loads((out / "run-report.json").read_text())["runs"]
    assert (run["ended"], run["photos"], run["failed"]) == ("done", len(images), len(failed))
    assert (run["tiles"], run["photo_bytes"]) == (counts["tiles_total()"], counts["photo_bytes_total()"])
    assert run["failures"] == [{"stage": "decode", "kind": "too_many_pixels", "photos": len(failed)}]
    assert run["read_bytes"] >= sum(path.stat().st_size for path in mixed.iterdir() if path.suffix == ".tgz")
    assert all(run["stages"][stage]["cpu_s"] > 0 for stage in ("list", "read", "decode", "score", "write"))
    assert all(run["stages"][stage]["peak_bytes"] > 20 << 20 for stage in ("read", "score"))
    assert run["machines"] == [{"group": "", "cpus": 2.0, "gpus": 0.0}]
    assert summary.cost is not None
    assert summary.cost.amount <= run["cost"]["amount"] == pytest.approx(2 * run["wall_s"], abs=0.1)
    lines = [json.loads(line) for path in out.glob("logs/*.jsonl") for line in path.read_text().splitlines()]
    assert {line["run_id"] for line in lines} == {run["run_id"]}
    logged = {(line["archive"], line["image"]) for line in lines if line["event"] == "photo failed"}
    assert logged == {(row["archive"], row["image"]) for row in failed}
    assert {line["archive"] for line in lines if line["event"] == "listed"} == {
        f"file://{mixed}/{name}" for name in ("a.tgz", "b.zip")
    }


@pytest.mark.ray
@pytest.mark.usefixtures("ray_of_two")
def test_photos_that_failed_are_scored_again(mixed: Path, tmp_path: Path) -> None:
    """`retry` scores only failed photos of the given kinds, in any archive; each photo has one row at any time."""
    out = str(tmp_path / "scores")
    small = ScoreConfig((str(mixed),), out, actors=1, device="cpu", max_pixels=100_000)
    first = score(small, ScoreCallbacks(), make_brightness)
    assert (first.listed, first.left, first.uncounted, first.is_finished) == (12, 0, 0, True)
    assert (first.run.scored, first.run.failed, first.run.uncounted) == (6, 6, 0)
    assert first.skipped == Counter({".txt": 1, ".md": 1})
    assert [check.invariant for check in verify(out, lambda *_: None) if check.broken] == []

    large = replace(small, inputs=(), max_pixels=1_000_000)
    assert retry(large, ["empty_file"], ScoreCallbacks(), make_brightness).run.tried == 0
    again = retry(large, ["too_many_pixels"], ScoreCallbacks(), make_brightness)
    assert (again.run.scored, again.run.failed, again.done_before, again.failed) == (6, 0, 6, 0)
    assert (again.listed, again.left, again.uncounted, again.is_finished) == (12, 0, 0, True)
    assert [check.invariant for check in verify(out, lambda *_: None) if check.broken] == []
    assert score(replace(large, inputs=(str(mixed),)), ScoreCallbacks(), make_brightness).run.tried == 0


@pytest.mark.ray
@pytest.mark.usefixtures("ray_of_two")
def test_a_limit_leaves_the_rest_to_the_next_run(mixed: Path, tmp_path: Path) -> None:
    """Also in the middle of a stream; the summary counts what is left, as far as it is counted."""
    config = ScoreConfig((str(mixed),), str(tmp_path / "scores"), actors=1, device="cpu", limit=2)
    trial = score(config, ScoreCallbacks(), make_brightness)
    assert (trial.run.tried, trial.is_finished, trial.left + trial.uncounted > 0) == (2, False, True)
    rest = score(replace(config, limit=None), ScoreCallbacks(), make_brightness)
    assert (rest.run.tried, rest.done_before, rest.listed, rest.is_finished) == (10, 2, 12, True)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_of_two")
def test_photos_over_the_threshold_have_maps(mixed: Path, tmp_path: Path) -> None:
    """One each, and no other photo; a later run without maps adds none, and all invariants hold."""
    out = tmp_path / "scores"
    config = ScoreConfig((str(mixed),), str(out), actors=1, device="cpu", limit=8, maps=True)
    score(config, ScoreCallbacks(), make_brightness)
    photos = pq.read_table(out / "images", columns=["image_id", "image", "height_px", "width_px", "crack_tiles"])
    over = {photo["image_id"]: photo for photo in photos.to_pylist() if photo["crack_tiles"]}
    kept = {path.stem: path.read_bytes() for path in (out / "maps").iterdir()}
    assert 1 < len(over) < 8
    assert kept.keys() == over.keys()
    for image_id, png in kept.items():
        with Image.open(io.BytesIO(png)) as image:
            assert image.size == (over[image_id]["width_px"], over[image_id]["height_px"])
            assert image.info["image"] == over[image_id]["image"]
    score(replace(config, limit=None, maps=False), ScoreCallbacks(), make_brightness)
    assert {path.stem: path.read_bytes() for path in (out / "maps").iterdir()} == kept
    assert [check.invariant for check in verify(str(out), lambda *_: None) if check.broken] == []
