"""Runs that are killed, stopped, doubled or short of CPUs give the dataset of an undisturbed run."""

import os
import random
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.dataset.commit_log import read_log
from pipeline.dataset.diff import differences
from pipeline.dataset.layout import Layout
from pipeline.images.decode import Photo, decode
from pipeline.images.tiles import TileSpec
from pipeline.models.model import SHIPPED_MODEL, load_model
from pipeline.scoring.placement import ScorerOptions
from pipeline.scoring.ray_data import score_photos
from pipeline.scoring.scorer import ScoreRule, Scoring
from tests import ROOT
from tests.helpers.brightness_engine import LEASE_TTL_S, make_brightness
from tests.helpers.packing import NOTHING
from tests.helpers.plans import make_listed_plan

pytestmark = pytest.mark.ray

SCRIPT = ("-m", "tests.helpers.brightness_engine")
NOTING = ("-m", "tests.helpers.score_and_note")
PHOTOS = 72
SCORER, READER = "ray::MapWorker(MapBatches(PhotoScorer", "ray::MapBatches(read_measured"
"""Titles of Ray's processes."""

GRACE_S = 10.0
"""For a busy test machine; on a quiet one we measured a fifth of a second."""

KILLS_A_RUN = 5
"""Kills of the driver, and of each kind of worker; a run ends before many more."""


@pytest.fixture(scope="module")
def archives(packed: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Write a zip of sixty photos and a tgz of twelve."""
    path = tmp_path_factory.mktemp("archives") / "photos.zip"
    with zipfile.ZipFile(path, "w") as copy, zipfile.ZipFile(packed["zip"]) as photos:
        for repeat in range(5):
            for name in photos.namelist():
                copy.writestr(f"{repeat}/{name}", photos.read(name))
    return [str(path), str(packed["tgz"])]


@pytest.fixture(scope="module")
def undisturbed(archives: list[str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the dataset of an undisturbed run."""
    out = str(tmp_path_factory.mktemp("undisturbed") / "scores")
    subprocess.run([sys.executable, *SCRIPT, out, *archives], check=True, timeout=300)
    return out


@contextmanager
def start_run(out: Path, archives: list[str]) -> "Iterator[subprocess.Popen[bytes]]":
    """Start a run, and kill it at the end of the context."""
    command = [sys.executable, *SCRIPT, str(out), *archives]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def read_maps(out: Path) -> dict[str, bytes]:
    """Read the crack maps of a dataset by `image_id`; check that exactly the photos with a crack tile have one."""
    photos = pq.read_table(out / "images", columns=["image_id", "crack_tiles"]).to_pylist()
    maps = {path.stem: path.read_bytes() for path in (out / "maps").iterdir()}
    assert maps.keys() == {photo["image_id"] for photo in photos if photo["crack_tiles"]}
    return maps


def count_commits(out: Path) -> int:
    """Count the commits of a dataset."""
    return len(list(out.glob("images/part-*.parquet")))


def wait_until(ready: Callable[[], object], process: "subprocess.Popen[bytes]", timeout_s: float = 120) -> None:
    """Wait until a condition holds or the process has ended."""
    deadline = time.monotonic() + timeout_s
    while not ready() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)


def find_workers(process: "subprocess.Popen[bytes]", title: str) -> list[psutil.Process]:
    """Find Ray's processes with a title below a run."""
    try:
        return [child for child in psutil.Process(process.pid).children(recursive=True) if has_title(child, title)]
    except psutil.NoSuchProcess:
        return []


def has_title(process: psutil.Process, title: str) -> bool:
    """Tell whether a process has that title."""
    try:
        return "".join(process.cmdline()).startswith(title)
    except psutil.Error:
        return False


@pytest.mark.parametrize("cpus", [1, 3])
def test_any_number_of_cpus_works(cpus: int, packed: dict[str, Path], tmp_path: Path) -> None:
    """On 1 and 3 CPUs (2 in the other tests) the scorers never starve the readers: all photos get scores."""
    arguments = f"{str(tmp_path)!r}, {str(packed['zip'])!r}, cpus={cpus}"
    code = f"from tests.helpers.brightness_engine import main; main({arguments})"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(read_log(Layout(f"file://{tmp_path}")).done) == 12


def test_a_driver_killed_at_any_moment(
    archives: list[str], undisturbed: str, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """The same command resumes each time; actors outlive the driver by seconds, but write nothing."""
    chance, kills = random.Random(pytestconfig.getoption("--seed")), pytestconfig.getoption("--kills")
    for number in range(-(-kills // KILLS_A_RUN)):
        out = tmp_path / f"scores-{number}"
        for _ in range(min(kills, KILLS_A_RUN)):
            with start_run(out, archives) as process:
                target = count_commits(out) + chance.choice([0, 1, 3, 9])
                wait_until(lambda out=out, target=target: count_commits(out) > target, process)  # type: ignore[misc]
                time.sleep(chance.random() / 5)
        subprocess.run([sys.executable, *SCRIPT, out, *archives], check=True, timeout=300)
        assert differences(str(out), undisturbed) == []
        assert read_maps(out) == read_maps(Path(undisturbed))
        assert (out / "summary.json").exists()


def test_workers_killed_at_any_moment(
    archives: list[str], undisturbed: str, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """Ray repeats the work of killed scorers and readers, and the run reaches its end."""
    chance, kills = random.Random(pytestconfig.getoption("--seed")), pytestconfig.getoption("--kills")
    killed = Counter[str]()
    for number in range(-(-kills // KILLS_A_RUN)):
        out = tmp_path / f"scores-{number}"
        with start_run(out, archives) as process:
            for title in (READER, SCORER) * min(kills, KILLS_A_RUN):
                wait_until(partial(find_workers, process, title), process)
                time.sleep(chance.random())
                for victim in find_workers(process, title)[:1]:
                    victim.kill()
                    killed[title] += 1
            errors = process.communicate(timeout=300)[1].decode()
        assert process.returncode == 0, errors
        assert differences(str(out), undisturbed) == []
    assert killed[SCORER]
    assert killed[READER]


def test_a_grace_of_seconds_is_enough(archives: list[str], undisturbed: str, tmp_path: Path) -> None:
    """After SIGTERM and, soon after, SIGKILL, as when a machine goes away, all scored photos are committed."""
    out, tried = tmp_path / "scores", tmp_path / "scores.tried"

    def count_tried() -> int:
        return int(tried.read_text() or 0) if tried.exists() else 0

    with subprocess.Popen([sys.executable, *NOTING, str(out), *archives], stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: count_tried() > 10, process)
        before = count_tried()
        assert count_commits(out) == 0
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: count_commits(out), process, timeout_s=GRACE_S)
        process.kill()
    assert 10 < before <= len(read_log(Layout(out.as_uri())).done) < PHOTOS
    subprocess.run([sys.executable, *SCRIPT, out, *archives], check=True, timeout=300)
    assert differences(str(out), undisturbed) == []


def test_one_of_two_simultaneous_commands_works(archives: list[str], undisturbed: str, tmp_path: Path) -> None:
    """The other reports who holds the dataset, where and since when, and ends."""
    out = tmp_path / "scores"
    with start_run(out, archives) as one, start_run(out, archives) as other:
        errors = [process.communicate(timeout=300)[1].decode() for process in (one, other)]
        assert sorted([one.returncode, other.returncode]) == [0, 1], errors
    [refusal] = [text.strip().splitlines()[-1] for text in errors if "DatasetHeldError" in text]
    assert re.search(r"process \d+ on \S+, since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", refusal), refusal
    assert differences(str(out), undisturbed) == []


def test_a_stopped_writer_that_wakes_up_commits_nothing(archives: list[str], undisturbed: str, tmp_path: Path) -> None:
    """After SIGSTOP beyond the lease, another writer takes over and finishes; the first ends and leaves nothing."""
    out = tmp_path / "scores"
    with start_run(out, archives) as first:
        wait_until(lambda: count_commits(out) > 3, first)
        first.send_signal(signal.SIGSTOP)
        time.sleep(1.5 * LEASE_TTL_S)
        with start_run(out, archives) as second:
            errors = second.communicate(timeout=300)[1].decode()
            assert second.returncode == 0, errors
        first.send_signal(signal.SIGCONT)
        errors = first.communicate(timeout=120)[1].decode()
        assert (first.returncode, "LostPlaceError" in errors) == (1, True), errors
    assert differences(str(out), undisturbed) == []
    assert (out / "summary.json").exists()


def crash_on_mark(data: bytes, max_pixels: int) -> Photo:
    """Decode a photo; one with a mark at its end kills the decoder, as a fault in a C library would."""
    if data.endswith(b"SEGFAULT"):
        os.kill(os.getpid(), signal.SIGSEGV)
    return decode(data, max_pixels)


@pytest.mark.usefixtures("ray_of_two")
def test_a_photo_that_kills_its_decoder_fails_alone(photos: Path, tmp_path: Path) -> None:
    """It is one failed row, without an end of the run, failed neighbours or endless restarts."""
    archive = tmp_path / "photos.zip"
    with zipfile.ZipFile(archive, "w") as copy:
        for number, photo in enumerate(sorted(photos.iterdir())):
            copy.writestr(photo.name, photo.read_bytes() + (b"SEGFAULT" if number in {3, 7} else b""))
    members = make_listed_plan([str(archive)], Layout(f"file://{tmp_path}/out")).members
    model = load_model(SHIPPED_MODEL)
    scoring = Scoring(model, ScoreRule(TileSpec(224, 0.0), threshold=0.5), make_brightness, decode=crash_on_mark)
    rows = pa.concat_tables(list(score_photos(members, scoring, ScorerOptions(1, "cpu"), NOTHING))).to_pylist()
    assert len({row["image"] for row in rows}) == len(rows) == 12
    failed = {row["image"]: row["failure_kind"] for row in rows if row["status"] == "failed"}
    assert failed == {"photo-03.jpg": "decoder_crashed", "photo-07.jpg": "decoder_crashed"}
