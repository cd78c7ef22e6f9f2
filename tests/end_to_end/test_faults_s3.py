"""Whole jobs from S3 to S3 through a proxy that makes faults: the table is the same, or the cause is told.

The undisturbed run comes first. All share one Ray, whose start would take longer than a job. The kinds of request that
a job makes are listed, and each kind meets each fault that it can.
"""

import io
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from pipeline import storage
from pipeline.core.errors import StorageError
from pipeline.dataset import writer
from pipeline.dataset.diff import differences
from pipeline.dataset.layout import Layout
from pipeline.dataset.sql import views
from pipeline.dataset.verify import verify
from pipeline.scoring import flow, placement
from pipeline.scoring.config import ScoreConfig
from pipeline.scoring.progress import ScoreCallbacks, ScoreSummary
from pipeline.storage import retry
from tests.conftest import S3Place, _s3_place
from tests.helpers.brightness_engine import make_brightness
from tests.helpers.fault_proxy import Fault, FaultProxy, Rule
from tests.helpers.s3_server import S3Server

pytestmark = pytest.mark.ray

ARCHIVES = ("photos.zip", "photos.tar", "photos.tgz")
LARGE = "large.zip"
"""One photo that fills its archive: a byte that is flipped anywhere is a byte of the photo."""

Request = tuple[str, str]
"""Method, and what its target holds."""

LISTED = ("GET", "list-type=2")
LOOKED_UP = [("HEAD", name) for name in ARCHIVES]
READ = [("GET", f"/{name}") for name in (*ARCHIVES, "lease", "plan/")]
RESUMED = [("GET", f"/{name}") for name in ("run.json", "images/part-000000")]
"""What is read only by a run that goes on."""
CREATED = [("PUT", f"/{name}") for name in ("lease", "run.json", "images/part-000000")]
"""Only if there is none."""
WRITTEN = [
    ("PUT", f"/{name}") for name in ("plan/", "tiles/part-000001", "images/part-000001", "summary.json", "logs/")
]
REMOVED = ("DELETE", "/lease")


@pytest.fixture(scope="module")
def store(s3_server: S3Server) -> Iterator[S3Place]:
    """A place behind the proxy for all tests of the module."""
    with pytest.MonkeyPatch.context() as patch, FaultProxy(s3_server.port).running() as proxy:
        yield from _s3_place(S3Server(proxy.port), patch, proxy)


@pytest.fixture(scope="module")
def undisturbed(
    store: S3Place,
    packed: dict[str, Path],
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """The dataset of a run without faults; from then on the inputs are there, and Ray runs."""
    request.getfixturevalue("ray_of_two")  # after `store`, since the workers inherit where that is
    for archive in (*(packed[name.rpartition(".")[2]] for name in ARCHIVES), large(tmp_path_factory.mktemp("large"))):
        storage.upload(archive, f"{store.url}/inputs/{archive.name}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flow, "session", lambda *_: nullcontext())
        patch.setattr(placement, "BLOCK_BYTES", 1)
        patch.setattr(writer, "COMMIT_PHOTOS", 5)
        patch.setattr(retry, "FIRST_WAIT_S", 0.02)  # in this process; the workers wait as always
        out = f"{store.url}/undisturbed"
        assert score(store, out).run.scored == 37
        yield out


@pytest.fixture(autouse=True)
def _calm(store: S3Place) -> Iterator[None]:
    """Leave no faults to the next test."""
    yield
    store.rules.clear()


def large(folder: Path) -> Path:
    """A zip of one photo that can hardly be compressed."""
    noise, photo = np.random.default_rng(1).integers(0, 256, (300, 300, 3), np.uint8), io.BytesIO()
    Image.fromarray(noise).save(photo, "PNG")
    with zipfile.ZipFile(folder / LARGE, "w") as archive:
        archive.writestr("large.png", photo.getvalue())
    return folder / LARGE


def config(store: S3Place, out: str, names: Sequence[str] = ("",)) -> ScoreConfig:
    """A job over all inputs, or some."""
    return ScoreConfig(tuple(f"{store.url}/inputs/{name}" for name in names), out, actors=1)


def score(store: S3Place, out: str, names: Sequence[str] = ("",)) -> ScoreSummary:
    """Run a job."""
    return flow.score(config(store, out, names), ScoreCallbacks(), make_brightness)


def end_readers() -> None:
    """End Ray's readers after a run that failed: each was stopped wherever it was, maybe in the middle of an import.

    A worker that imports half a module is of no more use, and a run of its own never meets one.
    """
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if "".join(child.cmdline()).startswith(("ray::IDLE", "ray::MapBatches(read")):
                child.kill()


def each(faults: Sequence[Fault], kinds: Sequence[Request]) -> list[Rule]:
    """Have each kind of request meet each fault once: where it is tried again, the next."""
    return [Rule(fault, method, target) for fault in faults for method, target in kinds]


def all_met(store: S3Place) -> list[str]:
    """Take the rules away and tell which were never met."""
    left = [f"{rule.fault} of {rule.method} {rule.target}" for rule in store.rules if rule.met < (rule.count or 1)]
    store.rules.clear()
    return left


def broken(out: str) -> list[str]:
    """Promises that a finished dataset does not keep."""
    return [check.promise for check in verify(out, lambda *_: None) if check.broken != 0 or check.open]


def failures(out: str) -> list[tuple[str, str, str]]:
    """Image, kind and message of each failed photo."""
    with views(Layout(out)) as connection:
        found: list[tuple[str, str, str]] = connection.sql(
            "SELECT image, failure_kind, failure_message FROM images WHERE status = 'failed'"
        ).fetchall()
    return found


def test_requests_that_fail_and_answers_that_are_lost(store: S3Place, undisturbed: str) -> None:
    """503, resets, breaks, short bodies, latency and lost answers, of a run and of one that goes on: the same table."""
    out = f"{store.url}/fails"
    store.rules[:] = [
        *each(["slow_down", "reset"], [LISTED, *LOOKED_UP, *READ, *CREATED, *WRITTEN, REMOVED]),
        *each(["break", "cut", "lose"], [LISTED, *READ]),
        *each(["lose"], [*CREATED, *WRITTEN, REMOVED]),
        *each(["late"], [READ[0], READ[-1], CREATED[-1]]),
    ]
    score(store, out, ARCHIVES)
    assert all_met(store) == []
    store.rules[:] = each(["slow_down", "reset", "break", "cut", "lose"], [LISTED, *RESUMED])
    score(store, out)
    assert all_met(store) == []
    assert differences(out, undisturbed) == []
    assert broken(out) == []


def test_flipped_bytes(store: S3Place, undisturbed: str) -> None:
    """In what is read, of each archive when it is listed and when it is scored, and in what is written: the same."""
    out = f"{store.url}/flips"
    # Listing takes 4 and 6 requests, of which the flipped one is met above, and one more that decides.
    scored = [Rule("flip", "GET", f"/{name}", skip=skip) for name, skip in (("photos.zip", 4), ("photos.tar", 6))]
    store.rules[:] = [*each(["flip"], READ), *scored, *each(["flip_upload"], [*CREATED, *WRITTEN])]
    score(store, out, ARCHIVES)
    assert all_met(store) == []
    store.rules[:] = each(["flip"], RESUMED)
    score(store, out)
    assert all_met(store) == []
    assert differences(out, undisturbed) == []
    assert broken(out) == []


def test_a_fault_that_lasts_is_told_and_the_run_goes_on_when_it_has_passed(
    store: S3Place, undisturbed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A photo that never comes whole fails; an archive that never does, or a commit, ends the run: each by name."""
    out = f"{store.url}/lasts"
    store.rules[:] = [Rule("flip", "GET", f"/{LARGE}", count=None, skip=4)]
    score(store, out, [LARGE])
    assert all_met(store) == []
    [(image, kind, message)] = failures(out)
    assert (image, kind) == ("large.png", "member_unreadable")
    assert message.startswith("The zip member cannot be read: its ")

    store.rules[:] = [Rule("flip", "GET", "/photos.tgz", count=None)]
    with pytest.raises(StorageError, match=r"photos\.tgz"):
        score(store, out)
    end_readers()
    assert all_met(store) == []

    monkeypatch.setattr(retry, "LIMIT_S", 2.0)
    store.rules[:] = [Rule("slow_down", "PUT", "/images/part-", count=None, skip=1)]  # after the fence
    with pytest.raises(
        StorageError, match=r"images/part-.* could not be created: the server answered 503 \(Please reduce"
    ):
        score(store, out)
    end_readers()
    assert all_met(store) == []

    flow.retry(config(store, out, ()), None, ScoreCallbacks(), make_brightness)
    assert differences(out, undisturbed) == []
    assert broken(out) == []
