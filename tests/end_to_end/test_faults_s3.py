"""Whole jobs from S3 to S3 through a proxy that injects faults: the dataset is the same, or an error names the cause.

The undisturbed run comes first. All jobs share one Ray, whose start takes longer than a job. The constants list the
kinds of request that a job makes; each kind meets each fault that applies to it.
"""

import io
import threading
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from pipeline import storage
from pipeline.core.errors import StorageError
from pipeline.core.waits import longest_wait
from pipeline.dataset.diff import differences
from pipeline.dataset.layout import Layout
from pipeline.dataset.sql import views
from pipeline.dataset.verify import verify
from pipeline.dataset.writer import COMMIT_S, CommitLimits
from pipeline.scoring import flow
from pipeline.scoring.config import ScoreConfig
from pipeline.scoring.progress import Progress, ScoreCallbacks, ScoreSummary
from pipeline.storage.retry import RetryPolicy, limit_retries
from tests.conftest import S3Place, make_s3_place
from tests.helpers.brightness_engine import SINGLE_BLOCKS, make_brightness
from tests.helpers.fault_proxy import Fault, FaultProxy, Rule
from tests.helpers.s3_server import S3Server

pytestmark = pytest.mark.ray

ARCHIVES = ("photos.zip", "photos.tar", "photos.tgz")
LARGE = "large.zip"
"""One photo that fills its archive: every byte of the archive is a byte of the photo."""

Request = tuple[str, str]
"""Method, and a part of the target."""

LISTINGS = ("GET", "list-type=2")
STATS = [("HEAD", name) for name in ARCHIVES]
READ = [("GET", f"/{name}") for name in (*ARCHIVES, "lease", "plan/")]
RESUME_READS = [("GET", f"/{name}") for name in ("run.json", "images/part-000000")]
"""What only a resumed run reads."""
CREATIONS = [("PUT", f"/{name}") for name in ("lease", "run.json", "images/part-000000")]
"""Files created only if absent."""
WRITES = [("PUT", f"/{name}") for name in ("plan/", "tiles/part-000001", "images/part-000001", "summary.json", "logs/")]
REMOVAL = ("DELETE", "/lease")


@pytest.fixture(scope="module")
def store(s3_server: S3Server) -> Iterator[S3Place]:
    """Make a folder behind the proxy for all tests of the module."""
    with pytest.MonkeyPatch.context() as patch, FaultProxy(s3_server.port).running() as proxy:
        yield from make_s3_place(S3Server(proxy.port), patch, proxy)


@pytest.fixture(scope="module")
def undisturbed(
    store: S3Place,
    packed: dict[str, Path],
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """Return the dataset of a run without faults; this uploads the inputs and starts Ray, too."""
    request.getfixturevalue("ray_of_two")  # after `store`: the workers inherit its environment
    large = write_large(tmp_path_factory.mktemp("large"))
    for archive in (*(packed[name.rpartition(".")[2]] for name in ARCHIVES), large):
        storage.upload(archive, f"{store.url}/inputs/{archive.name}")
    with limit_retries(RetryPolicy().limit_s, first_wait_s=0.02):  # in this process; the workers wait as always
        out = f"{store.url}/undisturbed"
        assert score(store, out).run.scored == 37
        yield out


@pytest.fixture(autouse=True)
def _clear_rules(store: S3Place) -> Iterator[None]:
    """Remove the faults before the next test."""
    yield
    store.rules.clear()


def write_large(folder: Path) -> Path:
    """Write a zip of one photo that hardly compresses."""
    noise, photo = np.random.default_rng(1).integers(0, 256, (300, 300, 3), np.uint8), io.BytesIO()
    Image.fromarray(noise).save(photo, "PNG")
    with zipfile.ZipFile(folder / LARGE, "w") as archive:
        archive.writestr("large.png", photo.getvalue())
    return folder / LARGE


def make_config(store: S3Place, out: str, names: Sequence[str] = ("",)) -> ScoreConfig:
    """Make a job over all or some inputs."""
    return ScoreConfig(
        tuple(f"{store.url}/inputs/{name}" for name in names),
        out,
        actors=1,
        sizes=SINGLE_BLOCKS,
        commit_limits=CommitLimits(photos=5, seconds=COMMIT_S),
    )


def score(store: S3Place, out: str, names: Sequence[str] = ("",)) -> ScoreSummary:
    """Run a job."""
    return flow.score(make_config(store, out, names), ScoreCallbacks(), make_brightness)


def end_readers() -> None:
    """Kill Ray's readers after a failed run, which may have stopped them in the middle of an import.

    Such a worker cannot be used again. A run with a Ray of its own never meets one.
    """
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if "".join(child.cmdline()).startswith(("ray::IDLE", "ray::MapBatches(read")):
                child.kill()


def cross(faults: Sequence[Fault], kinds: Sequence[Request]) -> list[Rule]:
    """Make a rule for each fault and kind of request; a repeated request meets the next fault."""
    return [Rule(fault, method, target) for fault in faults for method, target in kinds]


def clear_unmet(store: S3Place) -> list[str]:
    """Remove the rules, and return those that no request has met."""
    left = [f"{rule.fault} of {rule.method} {rule.target}" for rule in store.rules if rule.met < (rule.count or 1)]
    store.rules.clear()
    return left


def broken_invariants(out: str) -> list[str]:
    """Promises that a finished dataset does not keep."""
    return [check.invariant for check in verify(out, lambda *_: None) if check.broken != 0 or check.open]


def read_failures(out: str) -> list[tuple[str, str, str]]:
    """Read image, kind and message of each failed photo."""
    with views(Layout(out)) as connection:
        found: list[tuple[str, str, str]] = connection.sql(
            "SELECT image, failure_kind, failure_message FROM images WHERE status = 'failed'"
        ).fetchall()
    return found


def test_failed_requests_and_lost_answers(store: S3Place, undisturbed: str) -> None:
    """503, resets, breaks, short bodies, delays and lost answers, also in a resumed run, leave the same dataset."""
    out = f"{store.url}/fails"
    store.rules[:] = [
        *cross(["slow_down", "reset"], [LISTINGS, *STATS, *READ, *CREATIONS, *WRITES, REMOVAL]),
        *cross(["break", "cut", "lose"], [LISTINGS, *READ]),
        *cross(["lose"], [*CREATIONS, *WRITES, REMOVAL]),
        *cross(["late"], [READ[0], READ[-1], CREATIONS[-1]]),
    ]
    score(store, out, ARCHIVES)
    assert clear_unmet(store) == []
    store.rules[:] = cross(["slow_down", "reset", "break", "cut", "lose"], [LISTINGS, *RESUME_READS])
    score(store, out)
    assert clear_unmet(store) == []
    assert differences(out, undisturbed) == []
    assert broken_invariants(out) == []


def test_flipped_bytes(store: S3Place, undisturbed: str) -> None:
    """Flipped in what is read, during listing and scoring, or in what is written: the dataset is the same."""
    out = f"{store.url}/flips"
    # Listing takes 4 and 6 requests, of which the flipped one is met above, and one more that decides.
    scored = [Rule("flip", "GET", f"/{name}", skip=skip) for name, skip in (("photos.zip", 4), ("photos.tar", 6))]
    store.rules[:] = [*cross(["flip"], READ), *scored, *cross(["flip_upload"], [*CREATIONS, *WRITES])]
    score(store, out, ARCHIVES)
    assert clear_unmet(store) == []
    store.rules[:] = cross(["flip"], RESUME_READS)
    score(store, out)
    assert clear_unmet(store) == []
    assert differences(out, undisturbed) == []
    assert broken_invariants(out) == []


def test_a_lasting_fault_is_named_and_a_later_run_goes_on(store: S3Place, undisturbed: str) -> None:
    """A photo that never arrives intact fails; an archive or commit with a lasting fault ends the run and is named."""
    out = f"{store.url}/lasts"
    store.rules[:] = [Rule("flip", "GET", f"/{LARGE}", count=None, skip=4)]
    score(store, out, [LARGE])
    assert clear_unmet(store) == []
    [(image, kind, message)] = read_failures(out)
    assert (image, kind) == ("large.png", "member_unreadable")
    assert message.startswith("The zip member cannot be read: its ")

    store.rules[:] = [Rule("flip", "GET", "/photos.tgz", count=None)]
    with pytest.raises(StorageError, match=r"photos\.tgz"):
        score(store, out)
    end_readers()
    assert clear_unmet(store) == []

    store.rules[:] = [Rule("slow_down", "PUT", "/images/part-", count=None, skip=1)]  # after the fence
    refused = r"images/part-.* could not be created: the server answered 503 \(Please reduce"
    with limit_retries(2.0, first_wait_s=0.02), pytest.raises(StorageError, match=refused):
        score(store, out)
    end_readers()
    assert clear_unmet(store) == []

    flow.retry(make_config(store, out, ()), None, ScoreCallbacks(), make_brightness)
    assert differences(out, undisturbed) == []
    assert broken_invariants(out) == []


def test_an_outage_while_workers_read_is_told(store: S3Place, undisturbed: str) -> None:
    """The workers cannot say that they wait; this process asks the storage itself and does, within five seconds."""
    out, waits, began = f"{store.url}/outage", list[tuple[float, str]](), list[float]()

    class Outage(ScoreCallbacks):
        def on_progress(self, _now: Progress) -> None:
            if not began:
                began.append(time.monotonic())
                store.rules[:] = [Rule("slow_down", count=None)]
                threading.Timer(6, store.rules.clear).start()
            if (wait := longest_wait()) is not None:
                waits.append((time.monotonic() - began[0], wait.cause))

    flow.score(make_config(store, out), Outage(), make_brightness)

    first_s, cause = waits[0]
    assert first_s < 5
    assert "503" in cause
    assert differences(out, undisturbed) == []
    until_s = time.monotonic() + 10
    while longest_wait() is not None and time.monotonic() < until_s:
        time.sleep(0.1)
    assert longest_wait() is None
